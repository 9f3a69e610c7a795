//! What can go wrong with logins.

use std::{io, path::PathBuf, time::Duration};

/// Why a login cannot be read or kept. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of logins cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The own file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of logins does not have its form.
    #[error("{} is not a file of logins: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The own file is a symbolic link: what it leads to is not ours to write.
    #[error("{} is a symbolic link", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A helper program did not do its work.
    #[error("the credential helper {program} {problem}")]
    Helper {
        /// The program: `docker-credential-…`.
        program: String,
        /// The file that names it.
        path: PathBuf,
        /// What it did instead.
        problem: HelperProblem,
    },
}

/// What a helper program did in place of its work. What it printed on standard output is not here:
/// that is where it prints secrets.
#[derive(Debug, thiserror::Error)]
pub enum HelperProblem {
    /// Its name has characters that names of programs have not.
    #[error("has a name that no helper has")]
    Name,
    /// There is no such program.
    #[error("is not installed")]
    Missing,
    /// It could not be started, or the pipes to it broke.
    #[error("cannot be run: {0}")]
    Run(io::Error),
    /// It did not end.
    #[error("did not answer for {} seconds", .0.as_secs())]
    Hangs(Duration),
    /// It said no.
    #[error("failed{}", said(.0))]
    Failed(String),
    /// It printed something else than the answer that is laid down.
    #[error("printed something that is no login")]
    Junk,
}

fn said(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    }
}
