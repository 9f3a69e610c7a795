//! The variables of the environment that are read, and what for. Nothing is read that is not here,
//! and the help page is made of it.

/// A variable of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub what: &'static str,
    /// The setting of the file that it goes before, if there is one.
    pub beats: Option<&'static str>,
}

const fn variable(name: &'static str, what: &'static str) -> Variable {
    Variable {
        name,
        what,
        beats: None,
    }
}

const fn beats_colour(name: &'static str, what: &'static str) -> Variable {
    Variable {
        name,
        what,
        beats: Some("color"),
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
];
