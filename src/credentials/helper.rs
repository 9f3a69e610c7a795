//! The helper programs of Docker: `docker-credential-NAME get|store|erase`, which read from
//! standard input and answer on standard output.

use std::{
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    error::{Error, HelperProblem},
    secret::{Credential, Secret, TOKEN_USER},
};

/// How long a helper may take: some ask the user to unlock a store, or a cloud for a token.
pub(super) const HELPER_TIME: Duration = Duration::from_secs(60);
/// Bytes of a helper's answer.
const MAX_ANSWER: usize = 1 << 20;
/// Characters of what a helper says on standard error that are shown.
const MAX_WORDS: usize = 300;

/// A helper by the name that stands in files.
pub(super) struct Helper<'a> {
    pub(super) name: &'a str,
    /// The file that names it.
    pub(super) path: &'a Path,
    /// Where the program lies, if it is installed.
    pub(super) location: Option<PathBuf>,
    pub(super) time: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// How a helper ended.
struct Ended {
    success: bool,
    out: Zeroizing<Vec<u8>>,
    err: Vec<u8>,
}

impl Helper<'_> {
    /// Returns the name of the program.
    pub(super) fn program(&self) -> String {
        program(self.name)
    }

    /// Asks for the login of `server`.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credential>, Error> {
        let ended = self.run("get", server.as_bytes())?;
        if !ended.success {
            return if is_not_found(&ended.out) {
                Ok(None)
            } else {
                Err(self.failed(&ended))
            };
        }
        let answer: Answer =
            serde_json::from_slice(&ended.out).map_err(|_| self.error(HelperProblem::Junk))?;
        if answer.secret.is_empty() {
            return Ok(None);
        }
        let secret = Secret::new(answer.secret);
        Ok(Some(Credential::of(&answer.username, secret)))
    }

    /// Gives it a login to keep.
    pub(super) fn store(&self, server: &str, credential: &Credential) -> Result<(), Error> {
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::Identity(token) | Credential::Access(token) => (TOKEN_USER, token),
        };
        let input = json!({ "ServerURL": server, "Username": user, "Secret": secret.expose() });
        let input = Zeroizing::new(input.to_string());
        let ended = self.run("store", input.as_bytes())?;
        if ended.success {
            Ok(())
        } else {
            Err(self.failed(&ended))
        }
    }

    /// Lets it forget a login. Returns whether it had one.
    pub(super) fn erase(&self, server: &str) -> Result<bool, Error> {
        // Helpers end with success when there is nothing to erase.
        let had = self.get(server)?.is_some();
        if !had {
            return Ok(false);
        }
        let ended = self.run("erase", server.as_bytes())?;
        if ended.success || is_not_found(&ended.out) {
            Ok(had)
        } else {
            Err(self.failed(&ended))
        }
    }

    fn run(&self, action: &str, input: &[u8]) -> Result<Ended, Error> {
        if !is_name(self.name) {
            return Err(self.error(HelperProblem::Name));
        }
        let Some(location) = &self.location else {
            return Err(self.error(HelperProblem::Missing));
        };
        let spawned = Command::new(location)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|error| self.error(HelperProblem::Run(error)))?;
        let ended = exchange(&mut child, input, self.time);
        if !matches!(ended, Ok(Some(_))) {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        match ended {
            Ok(Some(ended)) => Ok(ended),
            Ok(None) => Err(self.error(HelperProblem::Hangs(self.time))),
            Err(error) => Err(self.error(HelperProblem::Run(error))),
        }
    }

    fn failed(&self, ended: &Ended) -> Error {
        // Standard error is for people; standard output may hold what was asked for.
        let text = String::from_utf8_lossy(&ended.err);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let words = line.unwrap_or_default().chars().take(MAX_WORDS).collect();
        self.error(HelperProblem::Failed(words))
    }

    fn error(&self, problem: HelperProblem) -> Error {
        Error::Helper {
            program: self.program(),
            path: self.path.to_owned(),
            problem,
        }
    }
}

/// Returns the name of the program for a name in a file.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Tells whether a name can only be part of a program's name, never a path or a flag.
pub(super) fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.chars().all(known)
}

/// Tells whether a helper that failed only says that it knows no such login.
fn is_not_found(out: &[u8]) -> bool {
    let text = String::from_utf8_lossy(out).to_lowercase();
    text.contains("credentials not found") || text.contains("no credentials")
}

/// Gives a program its input and takes its output; `None` if it did not end in time.
fn exchange(child: &mut Child, input: &[u8], time: Duration) -> io::Result<Option<Ended>> {
    let end = Instant::now() + time;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // Threads that are never joined: a grandchild may hold the pipes open for ever.
    let input = Zeroizing::new(input.to_vec());
    thread::spawn(move || {
        // A helper may answer without reading all.
        let _ = stdin.write_all(&input);
    });
    let out = read(stdout);
    let err = read(stderr);
    let rest = || end.saturating_duration_since(Instant::now());
    let Ok(out) = out.recv_timeout(rest()) else {
        return Ok(None);
    };
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if rest().is_zero() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    };
    // It has ended: what it said is there, unless something of it lives on.
    let err = err.recv_timeout(rest().min(Duration::from_secs(1)));
    Ok(Some(Ended {
        success: status.success(),
        out: Zeroizing::new(out),
        err: err.unwrap_or_default(),
    }))
}

/// Reads a pipe to its end, or to the limit, in a thread.
fn read(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut pipe = pipe.take(MAX_ANSWER as u64);
        // Half an answer is no answer, which its reader notices.
        let _ = pipe.read_to_end(&mut bytes);
        // Nobody may be waiting any more.
        let _ = sender.send(bytes);
    });
    receiver
}
