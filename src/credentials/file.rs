//! One file of logins, in the shape of Docker's `config.json`.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    error::Error,
    key,
    keyring::Trust,
    secret::{Credential, Secret},
};
use crate::{failpoint::failpoint, platform};

/// Bytes of a file of logins.
const MAX_FILE: u64 = 4 << 20;

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".credentials-";

/// The content of a file; everything that is not understood is kept as it is.
pub(super) struct LoginFile {
    pub(super) path: PathBuf,
    content: Map<String, Value>,
}

impl LoginFile {
    /// Reads a file that others write, `None` if there is none. Links are followed: mounted
    /// secrets are links.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        Self::load(path, true)
    }

    /// Reads the own file, which may not be there yet.
    pub(super) fn read_own(path: &Path) -> Result<Self, Error> {
        if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_symlink()) {
            return Err(Error::Link {
                path: path.to_owned(),
            });
        }
        Ok(Self::load(path, false)?.unwrap_or_else(|| Self {
            path: path.to_owned(),
            content: Map::new(),
        }))
    }

    fn load(path: &Path, follow: bool) -> Result<Option<Self>, Error> {
        let unreadable = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let file = match platform::open_to_read(path, follow) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = Zeroizing::new(Vec::new());
        let read = file.take(MAX_FILE + 1).read_to_end(&mut text);
        read.map_err(unreadable)?;
        let malformed = |problem: &str| Error::Malformed {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        if text.len() as u64 > MAX_FILE {
            return Err(malformed("it is too large"));
        }
        if text.trim_ascii().is_empty() {
            let path = path.to_owned();
            let content = Map::new();
            return Ok(Some(Self { path, content }));
        }
        match serde_json::from_slice(&text) {
            Ok(Value::Object(content)) => Ok(Some(Self {
                path: path.to_owned(),
                content,
            })),
            Ok(_) => Err(malformed("it is no JSON object")),
            // Only the place: the words may quote what stands there.
            Err(error) => Err(malformed(&format!(
                "no JSON from line {}, column {} on",
                error.line(),
                error.column()
            ))),
        }
    }

    /// Tells whether somebody has decided how logins are kept here.
    pub(super) fn is_configured(&self) -> bool {
        let filled = |name| self.object(name).is_some_and(|it| !it.is_empty());
        self.creds_store().is_some() || filled("credHelpers") || filled("auths")
    }

    /// Returns the helper for all registries.
    pub(super) fn creds_store(&self) -> Option<&str> {
        let name = self.content.get("credsStore")?.as_str()?;
        Some(name).filter(|name| !name.is_empty())
    }

    /// Returns the helper for one key.
    pub(super) fn cred_helper(&self, wanted: &str) -> Option<&str> {
        let (_, name) = find(self.object("credHelpers")?, wanted)?;
        name.as_str().filter(|name| !name.is_empty())
    }

    /// Returns the login that stands under a key, if it is there in full.
    pub(super) fn login(&self, wanted: &str) -> Result<Option<Credential>, Error> {
        let Some((key, entry)) = self.object("auths").and_then(|it| find(it, wanted)) else {
            return Ok(None);
        };
        let text = |name: &str| {
            let text = entry.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let secret = |text: &str| Secret::new(text.to_owned());
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Credential::Identity(secret(token))));
        }
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credential::Access(secret(token))));
        }
        if let Some(auth) = text("auth") {
            let pair = decode(auth).ok_or_else(|| Error::Malformed {
                path: self.path.clone(),
                problem: format!("the `auth` of `{key}` is no base64 of NAME:PASSWORD"),
            })?;
            let (user, password) = pair;
            return Ok(Some(Credential::Password { user, password }));
        }
        match (text("username"), text("password")) {
            (Some(user), Some(password)) => Ok(Some(Credential::Password {
                user: user.to_owned(),
                password: secret(password),
            })),
            _ => Ok(None),
        }
    }

    /// Returns what was decided about a registry when it was logged in to.
    pub(super) fn trust(&self, wanted: &str) -> Trust {
        let entry = self.object("auths").and_then(|it| find(it, wanted));
        let Some(kit) = entry.and_then(|(_, entry)| entry.get("kit")) else {
            return Trust::default();
        };
        let servers = kit.get("tokenServers").and_then(Value::as_array);
        let servers = servers.into_iter().flatten().filter_map(Value::as_str);
        Trust {
            plain_http: kit.get("plainHttp").and_then(Value::as_bool) == Some(true),
            token_servers: servers.map(str::to_owned).collect(),
        }
    }

    /// Sets the helper for all registries.
    pub(super) fn set_creds_store(&mut self, name: &str) {
        self.content.insert("credsStore".to_owned(), name.into());
    }

    /// Puts an entry under `key`, in place of all entries that mean the same. The secret is left
    /// out where a helper keeps it.
    pub(super) fn set(
        &mut self,
        key: &str,
        credential: Option<&Credential>,
        trust: &Trust,
    ) -> Result<(), Error> {
        self.remove(key);
        let mut entry = Map::new();
        match credential {
            Some(Credential::Password { user, password }) => {
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                entry.insert("auth".to_owned(), STANDARD.encode(pair.as_bytes()).into());
            }
            Some(Credential::Identity(token)) => {
                entry.insert("identitytoken".to_owned(), token.expose().into());
            }
            Some(Credential::Access(token)) => {
                entry.insert("registrytoken".to_owned(), token.expose().into());
            }
            None => {}
        }
        if *trust != Trust::default() {
            let mut kit = Map::new();
            if trust.plain_http {
                kit.insert("plainHttp".to_owned(), true.into());
            }
            if !trust.token_servers.is_empty() {
                kit.insert("tokenServers".to_owned(), json!(trust.token_servers));
            }
            entry.insert("kit".to_owned(), kit.into());
        }
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        let Value::Object(auths) = auths else {
            return Err(Error::Malformed {
                path: self.path.clone(),
                problem: "`auths` is no JSON object".to_owned(),
            });
        };
        auths.insert(key.to_owned(), entry.into());
        Ok(())
    }

    /// Tells whether a secret stands in it.
    pub(super) fn holds_secrets(&self) -> bool {
        let secrets = ["auth", "password", "identitytoken", "registrytoken"];
        let is_filled = |entry: &Value, key: &str| {
            let text = entry.get(key).and_then(Value::as_str);
            text.is_some_and(|text| !text.is_empty())
        };
        self.object("auths").is_some_and(|entries| {
            let mut entries = entries.values();
            entries.any(|entry| secrets.iter().any(|key| is_filled(entry, key)))
        })
    }

    /// Takes off all entries that mean `key`. Returns whether there were any.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let Some(Value::Object(auths)) = self.content.get_mut("auths") else {
            return false;
        };
        let wanted = key::normal(key);
        let before = auths.len();
        auths.retain(|key, _| key::normal(key) != wanted);
        auths.len() != before
    }

    /// Writes the file: for its owner alone, whole or not at all.
    pub(super) fn write(&self) -> Result<(), Error> {
        let failed = |source| Error::Write {
            path: self.path.clone(),
            source,
        };
        let content: BTreeMap<_, _> = self.content.iter().collect();
        let mut text = serde_json::to_vec_pretty(&content)
            .map(Zeroizing::new)
            .map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let temporary = folder.join(format!("{TEMPORARY}{:016x}", fastrand::u64(..)));
        let written = (|| {
            let mut file = failpoint!("login.create", new_private(&temporary))?;
            failpoint!(write "login.write", &mut file, &text)?;
            failpoint!("login.sync", file.sync_all())?;
            failpoint!("login.rename", fs::rename(&temporary, &self.path))?;
            failpoint!("login.dirsync", platform::sync_dir(folder))
        })();
        if written.is_err() {
            // It may not have come into being, or have its name already.
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(failed)
    }

    fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.content.get(name)?.as_object()
    }
}

/// Holds the own file for one change: two logins at a time must both last.
pub(super) fn lock(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let lock = path.with_extension("lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    private(&mut options);
    let file = options.open(lock).map_err(failed)?;
    file.lock().map_err(failed)?;
    sweep(path);
    Ok(file)
}

/// Removes what killed processes were writing: whoever writes holds the lock, which is ours now.
fn sweep(path: &Path) {
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(TEMPORARY.as_bytes())
        {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn new_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    options.open(path)
}

/// Makes what is created readable by its owner alone, where there are such bits.
fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options; // The home is the user's own.
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Returns the entry whose key means `wanted`, which is in its one spelling.
fn find<'a>(map: &'a Map<String, Value>, wanted: &str) -> Option<(&'a String, &'a Value)> {
    map.get_key_value(wanted)
        .or_else(|| map.iter().find(|(key, _)| key::normal(key) == wanted))
}

/// Reads base64 of `name:password`, with or without the signs at its end. Docker writes zero
/// bytes behind some passwords.
fn decode(auth: &str) -> Option<(String, Secret)> {
    let auth = auth.trim().trim_end_matches('=');
    let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(auth).ok()?);
    let text = std::str::from_utf8(&bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some((user.to_owned(), Secret::new(password.to_owned())))
}
