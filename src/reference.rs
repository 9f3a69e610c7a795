//! Names of kits: `[registry/]repository[:tag|@digest]`.

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
    /// Returns the text that is shown and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reference {
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
}
