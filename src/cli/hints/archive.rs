//! What goes wrong while directories are packed or unpacked.

use super::{HEAL, io_kind, write_kind};
use crate::{
    archive::{self, Conflict, LinkProblem, LinkReason, Obstacle, bundle},
    cli::{
        failure::{Failure, Kind},
        ui::output_failure,
    },
    limits::{EXPANSION, TAR_FILES, WINDOW},
    registry, s3, store,
};

/// What can be done about a layer whose bytes are those that were packed.
const MADE_WRONG: &str =
    "its digest holds, so it was made like that: whoever made the kit has to make it again";

impl From<archive::Error> for Failure {
    fn from(error: archive::Error) -> Self {
        use archive::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Links(problems) => links(problems),
            E::NoSuchPath { paths } => paths
                .iter()
                .filter(|_| paths.len() > 1)
                .fold(plain(Kind::NotFound), |failure, path| {
                    failure.detail(format!("`{path}`"))
                })
                .hint("the paths of a Kitfile are relative to the directory that is packed"),
            E::Special { .. } => plain(Kind::Failed).hint("without --strict it is left out"),
            E::ChangedWhileReading { .. } => {
                plain(Kind::Failed).hint("try again when nothing writes there")
            }
            E::NotEmpty { .. } => {
                plain(Kind::Failed).hint("copy it to where it has a length, and pack the copy")
            }
            E::Conflicts { conflicts, .. } => {
                let differs = |it: &Conflict| it.obstacle == Obstacle::Different;
                lines(&error).hint(if conflicts.iter().any(differs) {
                    "--overwrite replaces files that differ, --ignore-existing keeps them, -d DIR unpacks elsewhere"
                } else {
                    "move that away, or unpack elsewhere with -d DIR"
                })
            }
            E::Layer { cause, .. } if matches!(**cause, E::Read(_)) => unreadable(error),
            E::Layer { cause, .. } if matches!(**cause, E::Expands { .. } | E::Window { .. }) => {
                over(plain(Kind::Limit), cause)
            }
            E::Layer { cause, .. } if matches!(**cause, E::NoRoom { .. }) => plain(Kind::Limit),
            E::Layer { cause, .. } if is_made_wrong(cause) => plain(Kind::Damaged).hint(MADE_WRONG),
            E::Layer { .. } if error.is_damage() => plain(Kind::Damaged).hint(HEAL),
            E::Layer { .. }
            | E::Damaged { .. }
            | E::Size { .. }
            | E::Altered { .. }
            | E::DiffId { .. }
            | E::Compressed { .. }
            | E::CutOff { .. }
            | E::NoEnd
            | E::Trailing
            | E::Header { .. }
            | E::Kind { .. }
            | E::Name { .. }
            | E::Twice { .. }
            | E::Folded { .. }
            | E::Below { .. }
            | E::Both { .. }
            | E::Clash { .. }
            | E::Misplaced(_) => plain(Kind::Damaged),
            E::Expands { .. } | E::Window { .. } => over(plain(Kind::Limit), &error),
            E::NoRoom { .. } | E::TooDeep { .. } | E::TooManyFiles => plain(Kind::Limit),
            E::ReadFile { source, .. } => Self::of(io_kind(source), &error),
            E::WriteLayer { source, .. } | E::Target { source, .. } | E::Write { source, .. } => {
                Self::of(write_kind(source), &error).with_space_hint(source)
            }
            E::LinkAsRoot => plain(Kind::NotAllowed)
                .hint("without --link files are copied; or unpack as another user"),
            E::Link { source, .. } => {
                Self::of(write_kind(source), &error).hint("without --link files are copied")
            }
            E::Interrupted => plain(Kind::Interrupted),
            E::Read(_)
            | E::NotAFolder { .. }
            | E::NotFileOrFolder { .. }
            | E::NameNotUnicode { .. }
            | E::Changed { .. } => plain(Kind::Failed),
        }
    }
}

/// Tells whether a layer is what was packed, and that cannot be read.
const fn is_made_wrong(cause: &archive::Error) -> bool {
    use archive::Error as E;
    matches!(
        cause,
        E::DiffId { .. }
            | E::Compressed { .. }
            | E::CutOff { .. }
            | E::NoEnd
            | E::Trailing
            | E::Header { .. }
    )
}

/// Adds how to move the limit that was met, if it can be.
fn over(failure: Failure, cause: &archive::Error) -> Failure {
    match cause {
        archive::Error::Expands { is_told: false, .. } => failure.allows_more(&EXPANSION),
        archive::Error::Window { .. } => failure.allows_more(&WINDOW),
        _ => failure,
    }
}

/// Returns the failure of a layer whose bytes cannot be read.
fn unreadable(error: archive::Error) -> Failure {
    if let Some(store::Error::Damaged { .. } | store::Error::Missing { .. }) = error.of_source() {
        return Failure::of(Kind::Damaged, &error).hint(HEAL);
    }
    let mut plain = Failure::of(Kind::Failed, &error);
    let archive::Error::Layer { cause, .. } = error else {
        return plain;
    };
    let archive::Error::Read(source) = *cause else {
        return plain;
    };
    let kind = io_kind(&source);
    let Some(inner) = source.into_inner() else {
        plain.kind = kind;
        return plain;
    };
    // The kind of failure, and what can be done, are those of the cause.
    let mut failure = match inner.downcast::<registry::Error>() {
        Ok(lost) => Failure::from(*lost),
        Err(inner) => {
            let Ok(lost) = inner.downcast::<s3::Error>() else {
                plain.kind = kind;
                return plain;
            };
            Failure::from(*lost)
        }
    };
    let cause = std::mem::replace(&mut failure.message, plain.message);
    failure.causes.insert(0, cause);
    failure
}

/// Returns the failure of a message with several lines: the first is the message.
fn lines(error: &archive::Error) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end_matches(':');
    lines.fold(Failure::new(Kind::Failed, first), |failure, line| {
        failure.detail(line.trim_start())
    })
}

fn links(problems: &[LinkProblem]) -> Failure {
    let message = match problems.len() {
        1 => "a link cannot be packed".to_owned(),
        count => format!("{count} links cannot be packed"),
    };
    let failure = Failure::new(Kind::Failed, message);
    let failure = problems.iter().fold(failure, |failure, problem| {
        failure.detail(problem.to_string())
    });
    let outside = |problem: &LinkProblem| problem.reason == LinkReason::Outside;
    failure.hint(if problems.iter().any(outside) {
        "--follow-links all packs what lies outside, --follow-links skip leaves links out"
    } else {
        "mend or remove them, or leave all links out with --follow-links skip"
    })
}

impl From<bundle::Error> for Failure {
    fn from(error: bundle::Error) -> Self {
        use bundle::Error as E;
        match &error {
            // What was read was checked while it was read, and may say more than the disk.
            E::Content { source, .. } => match source.get_ref().and_then(|it| it.downcast_ref()) {
                Some(store::Error::Damaged { .. } | store::Error::Missing { .. }) => {
                    Self::of(Kind::Damaged, &error).hint(HEAL)
                }
                _ => Self::of(io_kind(source), &error).with_space_hint(source),
            },
            E::TooLarge { .. } => Self::of(Kind::Limit, &error),
            E::TooManyFiles { .. } => Self::of(Kind::Limit, &error).allows_more(&TAR_FILES),
            E::Io {
                action: "read",
                source,
                ..
            } => Self::of(io_kind(source), &error),
            E::Io { source, .. } => Self::of(write_kind(source), &error).with_space_hint(source),
            E::Output(source) => output_failure(source),
            E::BadTar { .. } => Self::of(Kind::Damaged, &error),
            E::NotEmpty(_) => {
                Self::of(Kind::Failed, &error).hint("name a folder that is empty or not there")
            }
            E::NotAFile(_) => Self::of(Kind::Failed, &error).hint("copy it to a file first"),
        }
    }
}
