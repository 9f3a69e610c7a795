//! What the environment and `<home>/config.toml` ask for. No other module reads environment
//! variables.

mod aws;
pub mod file;
mod network;
mod variables;

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

pub use aws::Aws;
pub use network::{Logins, Network};
pub use variables::{ALL as VARIABLES, Variable};

/// What flags and environment say about the whole run.
#[derive(Clone, Debug)]
pub struct Settings {
    home: Home,
    home_from: &'static str,
    said: Vec<Variable>,
    source_date_epoch: Option<OsString>,
    /// Whether `NO_COLOR` is set to anything but nothing.
    pub no_color: bool,
    /// Whether `CLICOLOR_FORCE` asks for colour even in a pipe.
    pub force_color: bool,
    /// Whether the terminal cannot move its cursor (`TERM=dumb`, or no `TERM` on Unix).
    pub dumb_terminal: bool,
}

/// Where the home is, or which variable would have told.
#[derive(Clone, Debug)]
enum Home {
    At(PathBuf),
    Unknown(&'static str),
}

/// Why a setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a flag nor the environment tells where kits are kept.
    #[error("cannot tell where kits are kept: {variable} is not set")]
    NoHome {
        /// The variable that usually tells.
        variable: &'static str,
    },
    /// A relative home cannot be made absolute.
    #[error("cannot make {} absolute", path.display())]
    Absolute {
        /// The path as it was given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file with settings cannot be read.
    #[error("cannot read the settings in {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file with settings is longer than anybody writes.
    #[error("the settings in {} are longer than 64 KiB", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file with settings cannot be understood.
    #[error("{}, line {line}: {problem}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// `SOURCE_DATE_EPOCH` is not a number of seconds.
    #[error("SOURCE_DATE_EPOCH is `{value}`, not a number of seconds since 1970")]
    SourceDateEpoch {
        /// The value found.
        value: String,
    },
}

/// The systems that differ in where a program keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Mac,
    Windows,
    Other,
}

impl System {
    const CURRENT: Self = if cfg!(target_os = "macos") {
        Self::Mac
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Other
    };
}

/// Returns what a test wants to go wrong (`crate::failpoint`).
#[cfg(feature = "failpoints")]
pub(crate) fn failpoints() -> Option<String> {
    env::var("KIT_FAIL").ok()
}

impl Settings {
    /// Reads the environment of the process; `config` is the value of `--config`.
    pub fn read(config: Option<&Path>) -> Self {
        Self::from_lookup(config, System::CURRENT, env::var_os)
    }

    fn from_lookup(
        config: Option<&Path>,
        system: System,
        lookup: impl Fn(&'static str) -> Option<OsString>,
    ) -> Self {
        let lookup = |variable: Variable| variable.read(&lookup);
        let is_on = |variable| lookup(variable).is_some_and(|value| value != "0");
        let term = lookup(variables::TERM);
        let (home, home_from) = home(config, system, lookup);
        Self {
            home,
            home_from,
            said: VARIABLES
                .iter()
                .copied()
                .filter(|variable| lookup(*variable).is_some())
                .collect(),
            source_date_epoch: lookup(variables::SOURCE_DATE_EPOCH),
            no_color: lookup(variables::NO_COLOR).is_some()
                || lookup(variables::CLICOLOR).is_some_and(|value| value == "0"),
            force_color: is_on(variables::CLICOLOR_FORCE),
            dumb_terminal: term.map_or(system != System::Windows, |term| term == "dumb"),
        }
    }

    /// Returns the absolute path of the folder that holds store, cache and credentials. It need
    /// not exist.
    pub fn home(&self) -> Result<PathBuf, Error> {
        match &self.home {
            Home::At(path) => std::path::absolute(path).map_err(|source| Error::Absolute {
                path: path.clone(),
                source,
            }),
            Home::Unknown(variable) => Err(Error::NoHome { variable }),
        }
    }

    /// Returns what told where the home is: `--config` or a variable.
    pub const fn home_from(&self) -> &'static str {
        self.home_from
    }

    /// Returns the variables that are set. Their values are nobody's business.
    pub fn variables(&self) -> &[Variable] {
        &self.said
    }

    /// Returns the settings in the home; `None` if there is no file with any, or no home.
    pub fn file(&self) -> Result<Option<file::File>, Error> {
        self.home().map_or(Ok(None), |home| file::read(&home))
    }

    /// Returns the time that stands for "now" in everything that is written, in seconds since
    /// 1970, if the environment fixes it.
    pub fn source_date_epoch(&self) -> Result<Option<u64>, Error> {
        let Some(value) = &self.source_date_epoch else {
            return Ok(None);
        };
        let text = value.to_string_lossy();
        match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Error::SourceDateEpoch {
                value: text.into_owned(),
            }),
        }
    }
}

/// Returns where the home is, and what said so.
fn home(
    config: Option<&Path>,
    system: System,
    lookup: impl Fn(Variable) -> Option<OsString>,
) -> (Home, &'static str) {
    if let Some(path) = config.filter(|path| !path.as_os_str().is_empty()) {
        return (Home::At(path.to_owned()), "--config");
    }
    if let Some(path) = lookup(variables::KITOPS_HOME) {
        return (Home::At(path.into()), variables::KITOPS_HOME.name);
    }
    let (variable, below) = match system {
        System::Mac => (variables::HOME, "Library/Caches/kitops"),
        System::Windows => (variables::LOCALAPPDATA, "kitops"),
        System::Other => {
            // The base directory specification tells programs to ignore a relative path here.
            let data = lookup(variables::XDG_DATA_HOME).map(PathBuf::from);
            if let Some(data) = data.filter(|path| path.has_root()) {
                return (Home::At(data.join("kitops")), variables::XDG_DATA_HOME.name);
            }
            (variables::HOME, ".local/share/kitops")
        }
    };
    let home = match lookup(variable) {
        Some(base) => Home::At(Path::new(&base).join(below)),
        None => Home::Unknown(variable.name),
    };
    (home, variable.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: Option<&str>, system: System, variables: &[(&str, &str)]) -> Settings {
        Settings::from_lookup(config.map(Path::new), system, |name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    #[cfg(unix)]
    type Case<'a> = (Option<&'a str>, System, &'a [(&'a str, &'a str)], &'a str);

    #[test]
    #[cfg(unix)]
    fn the_home_comes_from_the_flag_then_the_variable_then_the_platform() {
        use System::{Mac, Other, Windows};
        let both = [
            ("KITOPS_HOME", "/k"),
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "/x"),
        ];
        let cases: &[Case<'_>] = &[
            (Some("/c"), Other, &both, "/c"),
            (Some(""), Other, &both, "/k"),
            (None, Other, &both, "/k"),
            (None, Other, &both[1..], "/x/kitops"),
            (
                None,
                Other,
                &[("KITOPS_HOME", ""), ("HOME", "/h")],
                "/h/.local/share/kitops",
            ),
            (
                None,
                Other,
                &[("XDG_DATA_HOME", "x"), ("HOME", "/h")],
                "/h/.local/share/kitops",
            ),
            (None, Mac, &both[1..], "/h/Library/Caches/kitops"),
            (None, Windows, &[("LOCALAPPDATA", "/l")], "/l/kitops"),
        ];
        for (config, system, variables, expected) in cases {
            let home = settings(*config, *system, variables).home().unwrap();
            assert_eq!(home, Path::new(expected), "{config:?} {variables:?}");
        }
    }

    #[test]
    fn every_variable_of_the_page_is_read_and_no_other() {
        // With nothing set all are looked for. Which decides about the home depends on the system.
        let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let nothing = |name: &'static str| {
            read.borrow_mut().insert(name);
            None
        };
        for system in [System::Mac, System::Windows, System::Other] {
            let set = |variable: Variable| variable.read(nothing);
            home(None, system, set);
            Logins::from_lookup(system, nothing);
        }
        Network::from_lookup(nothing);
        Aws::from_lookup(nothing);
        // What decides other things shows in the settings.
        let only = |variable: Option<(&str, &str)>| {
            let dumb = [("TERM", "dumb")];
            let set = variable.as_slice();
            let settings = settings(
                None,
                System::Other,
                if set.is_empty() { &dumb } else { set },
            );
            format!(
                "{:?}",
                Settings {
                    said: Vec::new(),
                    ..settings
                }
            )
        };
        for variable in VARIABLES {
            let changes = |value| only(Some((variable.name, value))) != only(None);
            if ["0", "1"].into_iter().any(changes) {
                read.borrow_mut().insert(variable.name);
            }
        }
        let page = VARIABLES.iter().flat_map(Variable::names);
        assert_eq!(*read.borrow(), page.collect());
    }

    #[test]
    fn variables_go_before_the_settings_that_they_are_about() {
        let overruled = |table: Option<&str>, key: &str| -> Vec<&str> {
            let all = VARIABLES.iter().filter(|it| it.beats(table, key));
            all.map(|it| it.name).collect()
        };
        let network = Some("network");
        let pair = ["KITOPS_CLIENT_CERT", "KITOPS_CLIENT_KEY"];
        assert_eq!(overruled(network, "cert"), pair);
        assert_eq!(overruled(network, "key"), pair);
        let proxies = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
        assert_eq!(overruled(network, "proxy"), proxies);
        assert_eq!(overruled(None, "proxy"), [""; 0]);
        assert_eq!(
            overruled(None, "color"),
            ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"]
        );
    }

    #[test]
    fn a_relative_home_is_made_absolute() {
        let home = settings(Some("here"), System::Other, &[]).home().unwrap();
        assert_eq!(home, env::current_dir().unwrap().join("here"));
    }

    #[test]
    fn a_missing_home_is_an_error_only_when_it_is_needed() {
        let settings = settings(None, System::Other, &[]);
        assert_eq!(
            settings.home().unwrap_err().to_string(),
            "cannot tell where kits are kept: HOME is not set"
        );
    }

    #[test]
    fn the_fixed_time_must_be_a_number() {
        let epoch = |value| {
            settings(None, System::Other, &[("SOURCE_DATE_EPOCH", value)])
                .source_date_epoch()
                .map_err(|error| error.to_string())
        };
        assert_eq!(epoch(""), Ok(None));
        assert_eq!(epoch("1700000000"), Ok(Some(1_700_000_000)));
        assert_eq!(
            epoch("-1"),
            Err("SOURCE_DATE_EPOCH is `-1`, not a number of seconds since 1970".into())
        );
    }

    pub(in crate::config) fn lookup<'a>(
        variables: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&'static str) -> Option<OsString> + 'a {
        |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        }
    }

    #[test]
    fn colour_variables_follow_their_conventions() {
        let of = |variables: &[(&str, &str)]| {
            let settings = settings(None, System::Other, variables);
            (settings.no_color, settings.force_color)
        };
        assert_eq!(of(&[]), (false, false));
        assert_eq!(of(&[("NO_COLOR", "")]), (false, false));
        assert_eq!(of(&[("NO_COLOR", "1")]), (true, false));
        assert_eq!(of(&[("CLICOLOR", "0")]), (true, false));
        assert_eq!(of(&[("CLICOLOR", "1")]), (false, false));
        assert_eq!(of(&[("CLICOLOR_FORCE", "1")]), (false, true));
        assert_eq!(of(&[("CLICOLOR_FORCE", "0")]), (false, false));
    }
}
