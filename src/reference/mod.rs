//! Names of kits: `[registry/]repository[:tag[,tag…]|@digest]`, or a digest alone.
//!
//! A name has one spelling: registries are lower case, `localhost/x` is `x`, and a tag beside a
//! digest is dropped, because the digest decides. What could be a file path is never a name.

mod error;
mod parse;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

pub use error::{Error, Part};

use crate::digest::Digest;

/// A registry and a repository as they are shown and stored: `team/net`,
/// `registry.example:5000/team/net`. The local pseudo registry `localhost/` is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// A name as a user writes it. Exactly one of these shapes: repository; repository and tag;
/// repository and digest; digest alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Option<Repository>,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Repository {
    /// The longest path of a repository, in bytes.
    pub const LONGEST: usize = 255;

    /// Reads a repository without tag or digest.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::refuse_foreign(text)?;
        parse::repository(text)
    }

    /// Returns the text that is shown and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the registry's host and port; `None` for a repository that is only here.
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.0.split_once('/')?;
        parse::is_registry(first).then_some(first)
    }

    /// Returns the repository within its registry.
    pub fn path(&self) -> &str {
        match self.registry() {
            Some(registry) => &self.0[registry.len() + 1..],
            None => &self.0,
        }
    }
}

impl Reference {
    /// The tag that is meant where a caller needs one and none was given.
    pub const LATEST: &'static str = "latest";

    /// Reads one name. A missing tag stays missing, see [`Reference::or_latest`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Self::parse_list(text)?;
        match all.pop() {
            Some(only) if all.is_empty() => Ok(only),
            _ => Err(Error::SeveralTags {
                text: text.to_owned(),
            }),
        }
    }

    /// Reads a name that may have several tags, `team/net:1.0,prod`, and returns one reference for
    /// each different one, at least one, in the order they were given.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        parse::references(text)
    }

    /// Returns the repository; `None` for a digest alone.
    pub const fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// Returns the tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if one was given.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the name with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Self::LATEST.to_owned());
        }
        self
    }

    /// Returns the same repository with this tag. A digest alone has no repository: an error.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        parse::check_tag(tag)?;
        Ok(Self {
            repository: Some(self.repository.clone().ok_or(Error::NoRepository)?),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// Returns the same repository, if there is one, with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest),
        }
    }
}

impl From<Repository> for Reference {
    fn from(repository: Repository) -> Self {
        Self {
            repository: Some(repository),
            tag: None,
            digest: None,
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self {
            repository: None,
            tag: None,
            digest: Some(digest),
        }
    }
}

/// Reads the name of a registry alone, `registry.example:5000`, and returns its one spelling.
pub fn registry(text: &str) -> Result<String, Error> {
    parse::refuse_foreign(text)?;
    parse::registry(text)
}

/// Tells whether `text` can be a tag.
pub fn is_tag(text: &str) -> bool {
    parse::check_tag(text).is_ok()
}

/// Returns the kit that a Kitfile's `model.path` names; `None` if it is the path of a file.
///
/// Only a text with a tag or digest counts, and none that begins like a path.
pub fn model_path_reference(text: &str) -> Option<Reference> {
    if !text.contains([':', '@']) || text.starts_with(['.', '/']) {
        return None;
    }
    Reference::parse(text).ok()
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes what [`Reference::parse`] reads back.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.repository, &self.tag, &self.digest) {
            (Some(repository), _, Some(digest)) => write!(f, "{repository}@{digest}"),
            (Some(repository), Some(tag), None) => write!(f, "{repository}:{tag}"),
            (Some(repository), None, None) => write!(f, "{repository}"),
            (None, _, Some(digest)) => write!(f, "{digest}"),
            // No constructor makes a reference to nothing.
            (None, _, None) => Ok(()),
        }
    }
}
