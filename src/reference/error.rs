//! What is wrong with a name, and with which part of it.

use std::fmt;

use crate::digest;

/// A part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Host and port.
    Registry,
    /// What comes before the tag.
    Repository,
    /// What comes behind `:`.
    Tag,
}

impl Part {
    const fn rule(self) -> &'static str {
        match self {
            Self::Registry => {
                "a host name or address and, behind `:`, a port from 1 to 65535 without zeros in front"
            }
            Self::Repository => {
                "lower-case letters and digits, in between `/`, `.`, `_`, `__` or any number of `-`"
            }
            Self::Tag => {
                "1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registry => "registry",
            Self::Repository => "repository",
            Self::Tag => "tag",
        })
    }
}

/// Why a text is not the name of a kit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing at all.
    #[error("the name of the kit is empty")]
    Empty,
    /// The path of a file.
    #[error("`{text}` is a file path, not the name of a kit")]
    Path {
        /// What was given.
        text: String,
    },
    /// A URL.
    #[error("`{text}` is a URL, not the name of a kit; did you mean `{suggestion}`?")]
    Url {
        /// What was given.
        text: String,
        /// The same without its scheme.
        suggestion: String,
    },
    /// A repository with upper-case letters and no other fault.
    #[error("repository `{text}` has upper-case letters; did you mean `{suggestion}`?")]
    UpperCase {
        /// What was given.
        text: String,
        /// The same in lower case.
        suggestion: String,
    },
    /// A character that can stand nowhere in the part.
    #[error("{part} `{text}` holds {character:?}, expected {}", part.rule())]
    Character {
        /// Which part.
        part: Part,
        /// The part.
        text: String,
        /// The character.
        character: char,
    },
    /// Allowed characters in an order that is not.
    #[error("{part} `{text}` is not valid, expected {}", part.rule())]
    Shape {
        /// Which part.
        part: Part,
        /// The part.
        text: String,
    },
    /// Longer than registries allow.
    #[error(
        "repository `{text}` is longer than {} bytes",
        super::Repository::LONGEST
    )]
    Long {
        /// The repository.
        text: String,
    },
    /// Something else than a digest behind `@` or a digest's algorithm.
    #[error("`{text}` names no kit")]
    Digest {
        /// What was given.
        text: String,
        /// What is wrong with the digest.
        #[source]
        source: digest::ParseError,
    },
    /// A repository whose tags would look like digests.
    #[error("repository `{text}` has the name of a digest algorithm")]
    Algorithm {
        /// The repository.
        text: String,
    },
    /// A local repository that could not be told from one of a registry.
    #[error("`localhost/{text}` would be shown as `{text}`, a name in registry `{registry}`")]
    LocalRegistry {
        /// What stands behind `localhost/`.
        text: String,
        /// What looks like a registry there.
        registry: String,
    },
    /// Several tags where one name is needed.
    #[error("`{text}` has several tags where one name is needed")]
    SeveralTags {
        /// What was given.
        text: String,
    },
    /// Nothing between two commas, or behind the last.
    #[error("`{text}` has an empty tag")]
    EmptyTag {
        /// What was given.
        text: String,
    },
    /// A whole name among the tags of another one.
    #[error("`{name}` in `{text}` is a name where a tag is expected: only tags follow a comma")]
    NameAmongTags {
        /// The name.
        name: String,
        /// What was given.
        text: String,
    },
    /// A tag for a digest alone.
    #[error("a digest without a repository cannot have a tag")]
    NoRepository,
}
