//! Turns the errors of the mechanisms into failures: which kind it is, and what the user can do.
//! One `From` a mechanism, one arm a variant that deserves more than [`Kind::Failed`].

mod archive;
mod network;
mod ops;
mod push;

use std::io;

use super::failure::{Failure, Kind};
use crate::{config, filter, kitfile, limits::Limit, reference, store};

/// What can be done about a damaged blob.
const HEAL: &str =
    "`kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it";

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        use config::Error as E;
        match &error {
            E::NoHome { variable } => Self::of(Kind::Failed, &error).hint(format!(
                "set {variable}, or name a folder with --config PATH or KITOPS_HOME"
            )),
            E::Absolute { .. } => Self::of(Kind::Failed, &error),
            E::SourceDateEpoch { .. } | E::BadFile { .. } => Self::of(Kind::Usage, &error),
            E::FileTooLarge { .. } => Self::of(Kind::Limit, &error),
            E::ReadFile { source, .. } => Self::of(io_kind(source), &error),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::NotFound { suggestions, .. } => {
                let failure = plain(Kind::NotFound);
                match suggestions.as_slice() {
                    [] => failure.hint("`kit list` shows what there is"),
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::Missing { .. } | E::Damaged { .. } => plain(Kind::Damaged).hint(HEAL),
            E::BadManifest { .. } | E::TooLarge { .. } | E::WrongSize { .. } => {
                plain(Kind::Damaged)
            }
            E::WrongContent { .. } => plain(Kind::Damaged)
                .hint("try again: nothing of it was kept. If it happens again, what the other side stores is damaged"),
            E::Undecidable { kit, .. } => plain(Kind::Damaged).hint(format!(
                "remove {kit}, or mend it by packing or loading it again"
            )),
            E::PartlyRebuilt { .. } | E::IndexLost { .. } => {
                plain(Kind::Damaged).hint("run `kit verify --repair`")
            }
            E::BadMarker { .. } => plain(Kind::Damaged).hint(
                "delete the file if no newer version of kit has worked here; it is written anew",
            ),
            E::Busy { .. } => {
                plain(Kind::Busy).hint("try again later, or wait longer with --lock-timeout")
            }
            E::Newer { .. } | E::Unlockable { .. } => plain(Kind::Failed),
            E::IndexFull { .. } => plain(Kind::Limit).hint("`kit remove` takes names off"),
            E::Io { source, .. } => Self::of(io_kind(source), &error).with_space_hint(source),
            E::Interrupted => plain(Kind::Interrupted),
        }
    }
}

impl From<filter::Error> for Failure {
    fn from(error: filter::Error) -> Self {
        let kind = match error {
            filter::Error::NoMatch { .. } => Kind::NotFound,
            _ => Kind::Usage,
        };
        Self::of(kind, &error)
    }
}

impl From<kitfile::Error> for Failure {
    fn from(error: kitfile::Error) -> Self {
        match &error {
            kitfile::Error::Read { source, .. } => Self::of(io_kind(source), &error),
            kitfile::Error::Invalid { path, problems } => {
                let failure = Self::new(
                    Kind::Failed,
                    format!("{} is not a valid Kitfile", path.display()),
                );
                problems.0.iter().fold(failure, |failure, problem| {
                    failure.detail(problem.to_string())
                })
            }
        }
    }
}

impl From<reference::Error> for Failure {
    fn from(error: reference::Error) -> Self {
        Self::of(Kind::Usage, &error)
    }
}

impl Failure {
    /// Says which tag was looked for if `reference` has none and was not found, and where what is
    /// damaged can be had again.
    pub(crate) fn about(mut self, reference: &reference::Reference) -> Self {
        let repository = reference.repository();
        if let Some(registry) = repository.and_then(reference::Repository::registry) {
            for hint in self.hints.iter_mut().filter(|hint| *hint == HEAL) {
                *hint = format!("`kit verify --repair` fetches it again from {registry}");
            }
        }
        let is_bare = reference.tag().is_none() && reference.digest().is_none();
        if self.kind == Kind::NotFound && is_bare {
            return self.hint("a name without a tag means the tag `latest`");
        }
        self
    }

    fn allows_more(self, limit: &Limit) -> Self {
        self.hint(format!(
            "if you trust it, --limit {}=NUMBER allows more [default: {}]",
            limit.name, limit.default
        ))
    }

    fn with_space_hint(self, source: &io::Error) -> Self {
        match io_kind(source) {
            Kind::Limit => self.hint("free space there; `kit prune` frees what no kit needs"),
            _ => self,
        }
    }
}

/// Returns what kind of failure an error of the system is.
pub(crate) fn io_kind(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::NotAllowed,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Kind::Limit
        }
        _ => Kind::Failed,
    }
}

/// Returns what kind of failure it is when something cannot be written. "Not found" is what was
/// asked for, never the place it should go to.
fn write_kind(error: &io::Error) -> Kind {
    match io_kind(error) {
        Kind::NotFound => Kind::Failed,
        kind => kind,
    }
}

/// Lists some names in a sentence.
pub(crate) fn listed(names: &[String]) -> String {
    const MOST: usize = 5;
    let quoted: Vec<_> = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect();
    let quoted = quoted.join(", ");
    match names.len().saturating_sub(MOST) {
        0 => quoted,
        more => format!("{quoted} and {more} more"),
    }
}
