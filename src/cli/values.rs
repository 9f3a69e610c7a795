//! The values that flags take, read from text.

use std::{fmt, num::NonZeroUsize, time::Duration};

use serde::Serialize;

use super::ui::Level;
use crate::{
    archive::walk::FollowLinks,
    digest::{self, Digest},
    limits::{EXPANSION, Limit, Limits, TAR_FILES, WINDOW},
    reference::{self, Reference},
    suggest::closest,
};

/// Why a value on the command line cannot be used, in words that need no further context.
#[derive(Clone, Debug)]
pub(crate) struct BadValue {
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

impl BadValue {
    /// Returns a complaint with nothing to suggest.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Adds a suggestion.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadValue {}

/// Reads a level of messages.
pub(super) fn log_level(text: &str) -> Result<Level, BadValue> {
    match text {
        "trace" => Ok(Level::Trace),
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        // The reference's words, which scripts may look for.
        _ => Err(BadValue::new(format!(
            "invalid log level '{text}'. Options are 'trace', 'debug', 'info', 'warn', 'error'"
        ))),
    }
}

/// Reads how many threads shall work.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, BadValue> {
    text.parse().map_err(|_| {
        BadValue::new(format!("'{text}' is not a number of threads"))
            .hint("write a whole number, 1 or more")
    })
}

/// A limit that is moved: `NAME=VALUE`.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    limit: &'static Limit,
    value: u64,
}

impl Moved {
    /// Returns the limits that count when these are moved, the last of a name.
    pub(crate) fn all(moved: &[Self]) -> Limits {
        let mut limits = Limits::default();
        for Self { limit, value } in moved {
            limits.set(limit, *value);
        }
        limits
    }
}

/// The limits on what layers may cost that are read.
pub(crate) const LAYER_LIMITS: &[&Limit] = &[&EXPANSION, &WINDOW];

/// The limits on what a file with kits may cost.
pub(crate) const BUNDLE_LIMITS: &[&Limit] = &[&TAR_FILES];

/// Returns the help of a flag that moves `limits` on what is called `trusted`.
pub(crate) fn limit_help(trusted: &str, limits: &[&Limit]) -> String {
    let each = limits.iter();
    let each = each.map(|limit| format!("{} ({} {})", limit.name, limit.default, limit.unit));
    let each: Vec<_> = each.collect();
    format!(
        "Move a limit for a {trusted} you trust: {}",
        each.join(" or ")
    )
}

/// Reads the move of one of [`LAYER_LIMITS`].
pub(crate) fn layer_limit(text: &str) -> Result<Moved, BadValue> {
    moved(text, LAYER_LIMITS)
}

/// Reads the move of one of [`BUNDLE_LIMITS`].
pub(crate) fn bundle_limit(text: &str) -> Result<Moved, BadValue> {
    moved(text, BUNDLE_LIMITS)
}

fn moved(text: &str, limits: &[&'static Limit]) -> Result<Moved, BadValue> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let Some(limit) = limits.iter().find(|limit| limit.name == name) else {
        let names = limits.iter().map(|limit| limit.name);
        let bad = BadValue::new(format!("there is no limit '{name}' here"));
        let bad = match closest(name, names) {
            Some(near) => bad.hint(format!("did you mean '{near}'?")),
            None => bad,
        };
        return Err(limits.iter().fold(bad, |bad, limit| {
            bad.hint(format!("{}=NUMBER: {}", limit.name, limit.what))
        }));
    };
    match value.parse() {
        Ok(value) if (1..=limit.most).contains(&value) => Ok(Moved { limit, value }),
        _ => {
            let message = match value {
                "" => format!("the limit '{name}' needs a number"),
                _ => format!("the limit '{name}' cannot be '{value}'"),
            };
            let range = match limit.most {
                u64::MAX => "1 or more".to_owned(),
                most => format!("from 1 to {most}"),
            };
            let hint = format!("write {name}=NUMBER, {range} ({})", limit.unit);
            Err(BadValue::new(message).hint(hint))
        }
    }
}

/// Reads how many requests may be under way at a time.
pub(crate) fn concurrency(text: &str) -> Result<usize, BadValue> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        // The reference's words.
        _ => Err(BadValue::new(format!(
            "invalid argument for concurrency ({text}): must be at least 1"
        ))),
    }
}

/// Reads a span of time: a number of seconds, or numbers with units.
pub(crate) fn duration(text: &str) -> Result<Duration, BadValue> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|_| {
        BadValue::new(format!("'{text}' is not a span of time"))
            .hint("write seconds, or units such as 90s, 10m, 1h30m")
    })
}

/// Reads a number of bytes: `50MiB`, `1.5GB`, `4096`; a trailing `/s` says nothing more.
pub(crate) fn bytes(text: &str) -> Result<u64, BadValue> {
    let bad = || {
        BadValue::new(format!("'{text}' is not a number of bytes"))
            .hint("write it as 500KiB, 50MiB or 1.5GiB")
    };
    let bare = text.strip_suffix("/s").unwrap_or(text);
    let digits = bare
        .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
        .unwrap_or(bare.len());
    let (number, unit) = bare.split_at(digits);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(bad()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    // Thousandths are enough of anything.
    let part = &part[..part.len().min(3)];
    let thousandths = format!("{whole}{part:0<3}");
    let thousandths: u64 = thousandths.parse().map_err(|_| bad())?;
    let bytes = u128::from(thousandths) * u128::from(unit) / 1000;
    let bytes = u64::try_from(bytes).map_err(|_| bad())?;
    if bytes == 0 { Err(bad()) } else { Ok(bytes) }
}

/// Reads a digest.
pub(crate) fn digest(text: &str) -> Result<Digest, BadValue> {
    text.parse()
        .map_err(|error: digest::ParseError| BadValue::new(error.to_string()))
}

/// Reads the name of one kit.
pub(crate) fn reference(text: &str) -> Result<Reference, BadValue> {
    Reference::parse(text).map_err(|error| BadValue::new(error.to_string()))
}

/// Reads names that share a repository: `repo:tag,tag`.
pub(crate) fn references(text: &str) -> Result<References, BadValue> {
    Reference::parse_list(text)
        .map(References)
        .map_err(|error| BadValue::new(error.to_string()))
}

/// Reads names that a kit is to get: a digest is not given, it is what the kit is.
pub(crate) fn new_names(text: &str) -> Result<References, BadValue> {
    let names = references(text)?;
    match names.0.iter().find_map(Reference::digest) {
        Some(digest) => Err(
            BadValue::new(format!("a kit cannot be called by a digest: {digest}"))
                .hint("give it a name, as in `repository:tag`"),
        ),
        None => Ok(names),
    }
}

/// Reads the name of a registry: host and port.
pub(crate) fn registry(text: &str) -> Result<String, BadValue> {
    reference::registry(text).map_err(|error| match error {
        reference::Error::Url { text, suggestion } => {
            let host = suggestion.split('/').next().unwrap_or_default();
            let host = if host == "index.docker.io" {
                "docker.io"
            } else {
                host
            };
            BadValue::new(format!(
                "'{text}' is an address, not the name of a registry"
            ))
            .hint(format!("write '{host}'"))
        }
        reference::Error::Empty => BadValue::new("the name of the registry is empty"),
        error => {
            let bad = BadValue::new(error.to_string());
            match text.split_once('/') {
                Some((host, _)) if reference::registry(host).is_ok() => {
                    bad.hint(format!("write '{host}'"))
                }
                _ => bad,
            }
        }
    })
}

/// Names that were given as one argument.
#[derive(Clone, Debug)]
pub(crate) struct References(pub(crate) Vec<Reference>);

/// A kit, and where it was said to be.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) reference: Reference,
    pub(crate) place: Option<Place>,
}

/// Where a kit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Local,
    Remote,
}

/// Reads a name that may have `local://` or `remote://` before it.
pub(crate) fn named(text: &str) -> Result<Named, BadValue> {
    let (place, name) = if let Some(name) = text.strip_prefix("remote://") {
        (Some(Place::Remote), name)
    } else if let Some(name) = text.strip_prefix("local://") {
        (Some(Place::Local), name)
    } else {
        (None, text)
    };
    let reference = reference(name)?.or_latest();
    Ok(Named { reference, place })
}

/// Reads a boolean as the reference does.
pub(super) fn switch(text: &str) -> Result<bool, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(BadValue::new(format!("'{text}' is neither true nor false"))),
    }
}

/// What becomes of links.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Links {
    /// Those that end inside the directory are packed as what they lead to
    Context,
    /// All are packed as what they lead to
    All,
    /// None is packed
    Skip,
}

impl Links {
    /// Returns the word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::All => "all",
            Self::Skip => "skip",
        }
    }

    /// Returns what [`Self::word`] was made of.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "all" => Self::All,
            "skip" => Self::Skip,
            _ => Self::Context,
        }
    }
}

impl From<Links> for FollowLinks {
    fn from(links: Links) -> Self {
        match links {
            Links::Context => Self::Context,
            Links::All => Self::All,
            Links::Skip => Self::Skip,
        }
    }
}
