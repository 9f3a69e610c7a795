//! All places logins are kept in, in the order they are asked.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::Error,
    file::{self, LoginFile},
    helper::{self, HELPER_TIME, Helper},
    key,
    secret::Credential,
};
use crate::platform;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The own file, which need not be there.
    pub own: PathBuf,
    /// Files of others, which are only read, in this order.
    pub others: Vec<PathBuf>,
    /// The folders in which programs are found, as `PATH` lists them.
    pub path: Option<OsString>,
}

/// What a login decided beside the password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whether the password may go to this machine's own registry in clear.
    pub plain_http: bool,
    /// The hosts that the password may be sent to for a token.
    pub token_servers: Vec<String>,
}

/// A login that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The login.
    pub credential: Credential,
    /// The file it came from, or that named the helper.
    pub file: PathBuf,
    /// The helper program that had it.
    pub helper: Option<String>,
}

/// Tells where the login came from.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.helper {
            Some(helper) => write!(f, "{helper} (named in {})", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// Where a login was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// With a helper program.
    Helper(String),
    /// In a file, readable for whoever reads the file.
    Plain(PathBuf),
}

/// What became of a login that was to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Whether there was one of our own.
    pub removed: bool,
    /// The files of others that still have one, which is used, too.
    pub left: Vec<PathBuf>,
}

/// The logins of a user.
pub struct Keyring {
    sources: Sources,
    helper_time: Duration,
}

impl Keyring {
    /// Returns the logins in `sources`. Nothing is read yet.
    pub const fn new(sources: Sources) -> Self {
        Self {
            sources,
            helper_time: HELPER_TIME,
        }
    }

    /// Returns the keyring with another patience for helpers.
    #[must_use]
    pub const fn with_helper_time(mut self, time: Duration) -> Self {
        self.helper_time = time;
        self
    }

    /// Looks for the login that `repository` of `registry` is reached with: the own file first,
    /// in each file the key that names the most. A file that cannot be read or a helper that does
    /// not work is an error: going on without would fail later, with a worse message.
    pub fn find(&self, registry: &str, repository: Option<&str>) -> Result<Option<Found>, Error> {
        let own = LoginFile::read_own(&self.sources.own)?;
        if let Some(found) = self.find_in(&own, registry, repository)? {
            return Ok(Some(found));
        }
        for path in &self.sources.others {
            if let Some(file) = LoginFile::read(path)?
                && let Some(found) = self.find_in(&file, registry, repository)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(
        &self,
        file: &LoginFile,
        registry: &str,
        repository: Option<&str>,
    ) -> Result<Option<Found>, Error> {
        let found = |credential, helper| {
            Some(Found {
                credential,
                file: file.path.clone(),
                helper,
            })
        };
        for wanted in key::candidates(registry, repository) {
            let is_whole_registry = !wanted.contains('/');
            let mut names = Vec::new();
            names.extend(file.cred_helper(&wanted));
            names.extend(file.creds_store().filter(|_| is_whole_registry));
            for name in names {
                let helper = self.helper(name, &file.path);
                let server = if is_whole_registry {
                    key::of_registry(&wanted)
                } else {
                    &wanted
                };
                if let Some(credential) = helper.get(server)? {
                    return Ok(found(credential, Some(helper.program())));
                }
            }
            if let Some(credential) = file.login(&wanted)? {
                return Ok(found(credential, None));
            }
        }
        Ok(None)
    }

    /// Returns what the login of a registry decided beside the password.
    pub fn trust(&self, registry: &str) -> Result<Trust, Error> {
        let own = LoginFile::read_own(&self.sources.own)?;
        Ok(own.trust(&key::normal(registry)))
    }

    /// Returns the own file if it holds secrets and the system lets others read it.
    pub fn open_to_others(&self) -> Option<&Path> {
        let own = &self.sources.own;
        let metadata = fs::symlink_metadata(own).ok()?;
        let is_open = cfg!(unix) && metadata.is_file() && platform::mode(&metadata) & 0o077 != 0;
        if !is_open {
            return None;
        }
        let file = LoginFile::read_own(own).ok()?;
        file.holds_secrets().then_some(own)
    }

    /// Reads the own file, so that what is wrong with it is known before a password is asked for.
    pub fn check(&self) -> Result<(), Error> {
        LoginFile::read_own(&self.sources.own).map(drop)
    }

    /// Keeps a login: with the helper the own file names; if nobody has decided yet, with the
    /// system's own where its helper is installed; else in the file.
    pub fn save(
        &self,
        registry: &str,
        credential: &Credential,
        trust: &Trust,
    ) -> Result<Saved, Error> {
        let _lock = file::lock(&self.sources.own)?;
        let mut own = LoginFile::read_own(&self.sources.own)?;
        if !own.is_configured()
            && let Some(native) = self.native_helper()
        {
            own.set_creds_store(native);
        }
        let server = key::of_registry(registry);
        let named = own.cred_helper(&key::normal(registry));
        let Some(name) = named.or(own.creds_store()).map(str::to_owned) else {
            own.set(server, Some(credential), trust)?;
            own.write()?;
            return Ok(Saved::Plain(own.path));
        };
        let path = own.path.clone();
        let helper = self.helper(&name, &path);
        helper.store(server, credential)?;
        own.set(server, None, trust)?;
        own.write()?;
        Ok(Saved::Helper(helper.program()))
    }

    /// Forgets the login of a registry, as far as it is ours.
    pub fn forget(&self, registry: &str) -> Result<Forgotten, Error> {
        let mut forgotten = Forgotten::default();
        if LoginFile::read_own(&self.sources.own)?.is_configured() {
            forgotten.removed = self.forget_own(registry)?;
        }
        for path in &self.sources.others {
            // What cannot be read there is not used either, and says so when it is to be used.
            let left = LoginFile::read(path).ok().flatten().is_some_and(|file| {
                let found = self.find_in(&file, registry, None);
                found.is_ok_and(|found| found.is_some())
            });
            if left {
                forgotten.left.push(path.clone());
            }
        }
        Ok(forgotten)
    }

    /// Takes a login out of the own file and its helper. Returns whether there was one.
    fn forget_own(&self, registry: &str) -> Result<bool, Error> {
        let _lock = file::lock(&self.sources.own)?;
        let mut own = LoginFile::read_own(&self.sources.own)?;
        let mut removed = false;
        let wanted = key::normal(registry);
        let server = key::of_registry(registry);
        for name in own
            .cred_helper(&wanted)
            .into_iter()
            .chain(own.creds_store())
        {
            removed |= self.helper(name, &own.path).erase(server)?;
        }
        let had_login = own.login(&wanted)?.is_some();
        if own.remove(server) {
            own.write()?;
            removed |= had_login;
        }
        Ok(removed)
    }

    fn helper<'a>(&self, name: &'a str, path: &'a Path) -> Helper<'a> {
        Helper {
            name,
            path,
            location: self.installed(&helper::program(name)),
            time: self.helper_time,
        }
    }

    /// Returns the name of the system's own helper if it is installed.
    fn native_helper(&self) -> Option<&'static str> {
        let name = if cfg!(target_os = "macos") {
            "osxkeychain"
        } else if cfg!(windows) {
            "wincred"
        } else if self.installed("pass").is_some() {
            "pass"
        } else {
            "secretservice"
        };
        self.installed(&helper::program(name)).map(|_| name)
    }

    /// Returns where a program lies. Relative folders in `PATH` count for nothing: what lies in
    /// the current directory is not to be trusted with passwords.
    fn installed(&self, program: &str) -> Option<PathBuf> {
        let path = self.sources.path.as_ref()?;
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file())
    }
}
