//! What can go wrong between a registry and us.

use std::{fmt, time::Duration};

use crate::http;

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
    /// The login would go over the wire in clear.
    #[error("the login for {registry} would be sent in clear: it does not speak TLS")]
    InClear {
        /// The registry.
        registry: String,
    },
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

fn quoted(words: Option<&str>) -> String {
    words.map_or_else(String::new, |words| format!(": {words}"))
}
