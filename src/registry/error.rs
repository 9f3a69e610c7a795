//! What can go wrong between a registry and us.

use std::{fmt, ops::Range, time::Duration};

use crate::{digest::Digest, http, oci};

/// Why a registry did not do what was asked. Its words are as it sent them, cut, without our
/// secrets; whoever shows them escapes them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The name is no address.
    #[error("{registry} cannot be part of an address")]
    Name {
        /// The registry.
        registry: String,
    },
    /// What answers is no registry.
    #[error("{peer} is not a registry: it answered {status} to /v2/{}", quoted(words.as_deref()))]
    NotARegistry {
        /// Who answered.
        peer: String,
        /// The status.
        status: u16,
        /// Its words.
        words: Option<String>,
    },
    /// It wants a proof that cannot be understood or given.
    #[error("cannot understand how {registry} wants to be logged in to: {problem}")]
    Challenge {
        /// The registry.
        registry: String,
        /// What is wrong.
        problem: String,
    },
    /// It lets nobody in without a login.
    #[error("{registry} asks for a login")]
    LoginNeeded {
        /// The registry.
        registry: String,
    },
    /// It does not take the login.
    #[error("{peer} refused the login with {status}{}", quoted(words.as_deref()))]
    Refused {
        /// The registry, or its token server.
        peer: String,
        /// The status.
        status: u16,
        /// Its words.
        words: Option<String>,
    },
    /// It answered neither yes nor no.
    #[error("{peer} answered {status}{}", quoted(words.as_deref()))]
    Status {
        /// The registry, or its token server.
        peer: String,
        /// The status.
        status: u16,
        /// Its words.
        words: Option<String>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// It asks for the login to be sent elsewhere.
    #[error("{registry} asks to send the login to {server}, {problem}")]
    TokenServer {
        /// The registry.
        registry: String,
        /// The host, as the option of `kit login` takes it, or what stands in place of one.
        server: String,
        /// Why it is not sent.
        problem: ServerProblem,
    },
    /// A token server's answer holds no token.
    #[error("the token server {peer} sent no token that can be used")]
    NoToken {
        /// The server.
        peer: String,
    },
    /// It does not let us do that with a repository.
    #[error("{registry} does not let {} {action} {repository}{}", if *logged_in { "this login" } else { "us" }, quoted(words.as_deref()))]
    Denied {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// What was wanted, as a verb.
        action: &'static str,
        /// Whether a login was shown.
        logged_in: bool,
        /// Its words.
        words: Option<String>,
    },
    /// It has no such manifest, or no such repository.
    #[error("{registry} has no {name}{}", quoted(words.as_deref()))]
    NoManifest {
        /// The registry.
        registry: String,
        /// Repository and tag or digest.
        name: String,
        /// Its words.
        words: Option<String>,
    },
    /// It has a manifest but not what the manifest names.
    #[error("{registry} has no blob {digest} in {repository}")]
    NoBlob {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// The blob.
        digest: Digest,
    },
    /// A manifest of another kind than that of a kit.
    #[error("{name} on {registry} is {what}")]
    NotAKit {
        /// The registry.
        registry: String,
        /// Repository and tag or digest.
        name: String,
        /// What it is.
        what: String,
    },
    /// A manifest that cannot be read.
    #[error("the manifest of {name} on {registry} cannot be used")]
    BadManifest {
        /// The registry.
        registry: String,
        /// Repository and tag or digest.
        name: String,
        /// Why not.
        source: Box<oci::Error>,
    },
    /// What came does not have the digest that it was asked for by, or said to have.
    #[error("{peer} sent content with the digest {actual} in place of {expected}")]
    WrongContent {
        /// Who sent it.
        peer: String,
        /// What was wanted, or said to come.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A blob has another size than the manifest says.
    #[error("{peer} sent {} for the blob {digest}, which has {size} bytes", bytes(*actual))]
    WrongSize {
        /// Who sent it.
        peer: String,
        /// The blob.
        digest: Digest,
        /// Its size by the manifest.
        size: u64,
        /// The size that was announced; `None` for more than the size.
        actual: Option<u64>,
    },
    /// A request for some bytes of a blob was not answered with these.
    #[error("{peer} was asked for the bytes {}-{} of {digest} and {answer}", range.start, range.end.saturating_sub(1))]
    Range {
        /// Who answered.
        peer: String,
        /// The blob.
        digest: Digest,
        /// What was asked for.
        range: Range<u64>,
        /// What came.
        answer: RangeAnswer,
    },
    /// It does not take a blob or a manifest.
    #[error("{registry}/{repository} did not take {what}: it answered {status}{}", quoted(words.as_deref()))]
    NotTaken {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// A digest, or what else it is.
        what: String,
        /// The status.
        status: u16,
        /// Its words.
        words: Option<String>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// It says that it took a blob, but has none, or less.
    #[error("{registry} says that it took {digest}, but does not have its {size} bytes")]
    NotStored {
        /// The registry.
        registry: String,
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// It has lost the upload of a blob again and again.
    #[error("{registry} has dropped the upload of {digest} {times} times")]
    StartsOver {
        /// The registry.
        registry: String,
        /// The blob.
        digest: Digest,
        /// How often.
        times: u32,
    },
    /// It says that what it took has another digest.
    #[error("{peer} says that it took {actual} in place of {expected}")]
    OtherDigest {
        /// Who says so.
        peer: String,
        /// What was sent.
        expected: Digest,
        /// What it says.
        actual: Digest,
    },
    /// An upload cannot go on where it says.
    #[error("{peer} sends an upload on to `{location}`: {problem}")]
    Location {
        /// Who says so.
        peer: String,
        /// The address, without its secrets.
        location: String,
        /// Why not.
        problem: &'static str,
    },
    /// A blob here is not what its name says; it was not sent to its end.
    #[error("blob {digest} is damaged: its content has the digest {actual}")]
    Damaged {
        /// The blob.
        digest: Digest,
        /// What its content has.
        actual: Digest,
    },
    /// A blob here cannot be read.
    #[error("cannot read blob {digest}")]
    Read {
        /// The blob.
        digest: Digest,
        /// Why not.
        source: std::io::Error,
    },
    /// It has no such repository.
    #[error("{registry} has no repository {repository}{}", quoted(words.as_deref()))]
    NoRepository {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// Its words.
        words: Option<String>,
    },
    /// A list cannot be read to the end.
    #[error("the list of {what} {problem}")]
    List {
        /// What it lists, and of which repository.
        what: String,
        /// What is wrong with it.
        problem: ListProblem,
    },
    /// The login is a token, which the registry does not take.
    #[error("{registry} takes a name and a password, and the login is a token alone")]
    NameNeeded {
        /// The registry.
        registry: String,
    },
    /// The login would go over the wire in clear.
    #[error("the login for {registry} would be sent in clear: it does not speak TLS")]
    InClear {
        /// The registry.
        registry: String,
    },
}

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListProblem {
    /// It is not what such a list is.
    Form,
    /// Where it goes on cannot be understood.
    Link,
    /// It goes on at another host.
    Elsewhere {
        /// Which one.
        host: String,
    },
    /// It leads back to a page that was read.
    Circle,
    /// It has more pages than are read.
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// It has more entries than are read.
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for ListProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("cannot be understood"),
            Self::Link => f.write_str("does not say where it goes on"),
            Self::Elsewhere { host } => write!(f, "goes on at {host}, which is another host"),
            Self::Circle => f.write_str("leads back to a page that was read already"),
            Self::TooLong { limit } => write!(f, "has more than {limit} pages"),
            Self::TooMany { limit } => write!(f, "has more than {limit} entries"),
        }
    }
}

/// Why a login is not sent to a token server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerProblem {
    /// It is another host, and nobody said that it is trusted.
    Foreign,
    /// It does not speak TLS although the registry does.
    InClear,
    /// It is an address that no token server has: link-local, or this machine's own.
    Address,
    /// It is no address.
    Malformed,
}

impl fmt::Display for ServerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "which is another host",
            Self::InClear => "which does not speak TLS",
            Self::Address => "which is an address that no token server has",
            Self::Malformed => "which is no address",
        })
    }
}

/// What comes in place of the bytes that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeAnswer {
    /// The whole blob, from its beginning.
    Whole,
    /// The word that there are no such bytes.
    Refused,
    /// Other bytes, or nobody knows which.
    Other(String),
}

impl fmt::Display for RangeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("sent the whole blob"),
            Self::Refused => f.write_str("said that there are none"),
            Self::Other(what) if what.is_empty() => f.write_str("did not say what it sent"),
            Self::Other(what) => write!(f, "sent `{what}`"),
        }
    }
}

fn bytes(count: Option<u64>) -> String {
    count.map_or_else(|| "more".to_owned(), |count| format!("{count} bytes"))
}

fn quoted(words: Option<&str>) -> String {
    words.map_or_else(String::new, |words| format!(": {words}"))
}
