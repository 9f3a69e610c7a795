//! The variables of the environment that are read, and what for. Nothing is read that is not here,
//! and the help page is made of it.

use std::ffi::OsString;

/// A variable of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub what: &'static str,
    /// The settings of the file that it goes before.
    beats: Option<Beats>,
    /// Whether its name in lower case is read, too, and first: that spelling is the older one.
    lower: Option<&'static str>,
}

/// Settings of one table of the file; without a table those for all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beats {
    table: Option<&'static str>,
    keys: &'static [&'static str],
}

impl Variable {
    /// Tells whether it goes before the setting `key` in `table` of the file.
    pub fn beats(&self, table: Option<&str>, key: &str) -> bool {
        self.beats
            .is_some_and(|it| it.table == table && it.keys.contains(&key))
    }

    /// Returns the names that it is read by.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.lower.into_iter().chain([self.name])
    }

    /// Returns its value. An empty one counts as one that is not set, as in shells and in `KitOps`.
    pub(super) fn read(
        &self,
        lookup: impl Fn(&'static str) -> Option<OsString>,
    ) -> Option<OsString> {
        self.names()
            .filter_map(lookup)
            .find(|value| !value.is_empty())
    }
}

const fn variable(name: &'static str, what: &'static str) -> Variable {
    Variable {
        name,
        what,
        beats: None,
        lower: None,
    }
}

const fn beats_colour(name: &'static str, what: &'static str) -> Variable {
    Variable {
        beats: Some(Beats {
            table: None,
            keys: &["color"],
        }),
        ..variable(name, what)
    }
}

/// Certificate and key are a pair: one from here and one from the file do not belong together.
const fn beats_certificate(name: &'static str, what: &'static str) -> Variable {
    Variable {
        beats: Some(Beats {
            table: Some("network"),
            keys: &["cert", "key"],
        }),
        ..variable(name, what)
    }
}

const fn beats_proxy(name: &'static str, lower: &'static str, what: &'static str) -> Variable {
    Variable {
        beats: Some(Beats {
            table: Some("network"),
            keys: &["proxy"],
        }),
        lower: Some(lower),
        ..variable(name, what)
    }
}

pub(super) const KITOPS_HOME: Variable = variable(
    "KITOPS_HOME",
    "folder of the store, the cache and the settings, if --config names none",
);
pub(super) const XDG_DATA_HOME: Variable = variable(
    "XDG_DATA_HOME",
    "the home is its `kitops`, if KITOPS_HOME is not set (not on macOS and Windows)",
);
pub(super) const HOME: Variable = variable(
    "HOME",
    "else the home is `.local/share/kitops` in it, on macOS `Library/Caches/kitops`",
);
pub(super) const LOCALAPPDATA: Variable = variable(
    "LOCALAPPDATA",
    "the same on Windows: the home is its `kitops`",
);
pub(super) const SOURCE_DATE_EPOCH: Variable = variable(
    "SOURCE_DATE_EPOCH",
    "seconds since 1970 that `pack --created` records in place of the time",
);
pub(super) const NO_COLOR: Variable = beats_colour("NO_COLOR", "anything but nothing: no colour");
pub(super) const CLICOLOR: Variable = beats_colour("CLICOLOR", "0: no colour");
pub(super) const CLICOLOR_FORCE: Variable =
    beats_colour("CLICOLOR_FORCE", "anything but 0: colour also in a pipe");
pub(super) const TERM: Variable = variable("TERM", "dumb: neither colour nor progress bars");

pub(super) const KIT_USERNAME: Variable = variable(
    "KIT_USERNAME",
    "name for the registry that a command names; goes before all logins that are kept",
);
pub(super) const KIT_PASSWORD: Variable = variable(
    "KIT_PASSWORD",
    "its password; without KIT_USERNAME an identity token",
);
pub(super) const DOCKER_CONFIG: Variable = variable(
    "DOCKER_CONFIG",
    "folder with Docker's `config.json`, whose logins are used, too",
);
pub(super) const REGISTRY_AUTH_FILE: Variable = variable(
    "REGISTRY_AUTH_FILE",
    "file with the logins of Podman, which are used, too",
);
pub(super) const XDG_RUNTIME_DIR: Variable = variable(
    "XDG_RUNTIME_DIR",
    "else they are in its `containers/auth.json`",
);
pub(super) const XDG_CONFIG_HOME: Variable = variable(
    "XDG_CONFIG_HOME",
    "and in its `containers/auth.json` (in `~/.config` if it is not set)",
);
pub(super) const USERPROFILE: Variable = variable(
    "USERPROFILE",
    "on Windows the folder with `.docker` and `.config`",
);
pub(super) const PATH: Variable = variable(
    "PATH",
    "where credential helpers are, `docker-credential-…`",
);
pub(super) const KITOPS_CLIENT_CERT: Variable =
    beats_certificate("KITOPS_CLIENT_CERT", "client certificate (PEM), as --cert");
pub(super) const KITOPS_CLIENT_KEY: Variable =
    beats_certificate("KITOPS_CLIENT_KEY", "its key, as --key");
pub(super) const SSL_CERT_FILE: Variable = variable(
    "SSL_CERT_FILE",
    "authorities (PEM) that are believed in place of the system's",
);
pub(super) const SSL_CERT_DIR: Variable =
    variable("SSL_CERT_DIR", "the same, folders with such files");
pub(super) const HTTPS_PROXY: Variable = beats_proxy(
    "HTTPS_PROXY",
    "https_proxy",
    "proxy for https, http://HOST:PORT; this one and the next three also in lower case",
);
pub(super) const HTTP_PROXY: Variable = beats_proxy("HTTP_PROXY", "http_proxy", "proxy for http");
pub(super) const ALL_PROXY: Variable = beats_proxy(
    "ALL_PROXY",
    "all_proxy",
    "proxy for what has none of its own",
);
pub(super) const NO_PROXY: Variable = Variable {
    lower: Some("no_proxy"),
    ..variable(
        "NO_PROXY",
        "who is reached without those: hosts and all below them, networks (10.0.0.0/8), with or \
         without :PORT, or *",
    )
};
pub(super) const AWS_ACCESS_KEY_ID: Variable = variable(
    "AWS_ACCESS_KEY_ID",
    "name of the key for datasets in s3://; without one they are fetched anonymously",
);
pub(super) const AWS_SECRET_ACCESS_KEY: Variable = variable("AWS_SECRET_ACCESS_KEY", "that key");
pub(super) const AWS_SESSION_TOKEN: Variable =
    variable("AWS_SESSION_TOKEN", "token of a key that ends");
pub(super) const AWS_REGION: Variable = variable("AWS_REGION", "region of the bucket");
pub(super) const AWS_DEFAULT_REGION: Variable =
    variable("AWS_DEFAULT_REGION", "the same, if AWS_REGION is not set");
pub(super) const AWS_ENDPOINT_URL_S3: Variable = variable(
    "AWS_ENDPOINT_URL_S3",
    "address of a storage that is not the one of AWS",
);
pub(super) const AWS_ENDPOINT_URL: Variable = variable(
    "AWS_ENDPOINT_URL",
    "the same, if AWS_ENDPOINT_URL_S3 is not set",
);

/// All of them, in the order of the help page.
pub const ALL: &[Variable] = &[
    KITOPS_HOME,
    XDG_DATA_HOME,
    HOME,
    LOCALAPPDATA,
    SOURCE_DATE_EPOCH,
    NO_COLOR,
    CLICOLOR,
    CLICOLOR_FORCE,
    TERM,
    KIT_USERNAME,
    KIT_PASSWORD,
    DOCKER_CONFIG,
    REGISTRY_AUTH_FILE,
    XDG_RUNTIME_DIR,
    XDG_CONFIG_HOME,
    USERPROFILE,
    PATH,
    KITOPS_CLIENT_CERT,
    KITOPS_CLIENT_KEY,
    SSL_CERT_FILE,
    SSL_CERT_DIR,
    HTTPS_PROXY,
    HTTP_PROXY,
    ALL_PROXY,
    NO_PROXY,
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    AWS_REGION,
    AWS_DEFAULT_REGION,
    AWS_ENDPOINT_URL_S3,
    AWS_ENDPOINT_URL,
];
