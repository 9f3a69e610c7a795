//! What happens at which point, as `KIT_FAIL` says.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Signal, getpid, kill_process},
};

static PLAN: OnceLock<Plan> = OnceLock::new();

/// All that `KIT_FAIL` asks for.
#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    /// Where the names of points go that are reached, one a line.
    record: Option<File>,
}

/// What happens at one point, or at all of them.
#[derive(Debug)]
struct Rule {
    /// `None` for every point.
    point: Option<String>,
    /// How often it was reached so far.
    reached: AtomicU64,
    /// How often it is passed before something happens.
    skip: u64,
    /// Whether that happens ever after, and not once.
    always: bool,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The step is not done and fails so.
    Fail(Errno),
    /// The process dies, as by `kill -9`.
    Kill,
    /// Half is written. If that may be (`part`) the rest follows, otherwise the disk is full.
    Short,
    /// Half is written, then the process dies.
    Torn,
    /// The step is done later.
    Delay(Duration),
}

/// Takes over what `text` asks for:
/// `NAME:[skip=N:][always:]ACTION`, with `*` for every name, more of them after commas, and
/// `record=FILE`. Actions are `ENOSPC`, `EIO`, `EMFILE`, `EDQUOT`, `EINTR`, `kill`, `short`, `torn`
/// and `delay=MILLISECONDS`. The error says what is wrong with it.
pub(crate) fn arm(text: &str) -> Result<(), String> {
    let plan = parse(text)?;
    PLAN.set(plan)
        .map_err(|_| "the points are armed already".to_owned())
}

fn parse(text: &str) -> Result<Plan, String> {
    let mut plan = Plan::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        if let Some(path) = part.strip_prefix("record=") {
            let file = OpenOptions::new().append(true).create(true).open(path);
            plan.record = Some(file.map_err(|error| format!("{path}: {error}"))?);
            continue;
        }
        let bad = || format!("`{part}` is no failpoint");
        let mut words = part.split(':');
        let name = words.next().ok_or_else(bad)?;
        let (mut skip, mut always, mut action) = (0, false, None);
        for word in words {
            match word.split_once('=') {
                Some(("skip", number)) => skip = number.parse().map_err(|_| bad())?,
                Some(("delay", number)) => {
                    let number = number.parse().map_err(|_| bad())?;
                    action = Some(Action::Delay(Duration::from_millis(number)));
                }
                None if word == "always" => always = true,
                _ => action = Some(named(word).ok_or_else(bad)?),
            }
        }
        plan.rules.push(Rule {
            point: (name != "*").then(|| name.to_owned()),
            reached: AtomicU64::new(0),
            skip,
            always,
            action: action.ok_or_else(bad)?,
        });
    }
    Ok(plan)
}

fn named(word: &str) -> Option<Action> {
    Some(match word {
        "ENOSPC" => Action::Fail(Errno::NOSPC),
        "EIO" => Action::Fail(Errno::IO),
        "EMFILE" => Action::Fail(Errno::MFILE),
        "EDQUOT" => Action::Fail(Errno::DQUOT),
        "EINTR" => Action::Fail(Errno::INTR),
        "kill" => Action::Kill,
        "short" => Action::Short,
        "torn" => Action::Torn,
        _ => return None,
    })
}

impl Plan {
    /// Tells what happens at `point`, which is reached now.
    fn at(&self, point: &str) -> Option<Action> {
        if let Some(record) = &self.record {
            // In one write: threads and processes share the file.
            let _ = (&*record).write_all(format!("{point}\n").as_bytes());
        }
        let mut happens = None;
        for rule in &self.rules {
            if rule.point.as_deref().is_none_or(|it| it == point) {
                let before = rule.reached.fetch_add(1, Ordering::Relaxed);
                if before == rule.skip || (rule.always && before > rule.skip) {
                    happens = Some(rule.action);
                }
            }
        }
        happens
    }
}

/// Returns what is to be done at `point` once all that needs no bytes is done.
fn meet(point: &str) -> io::Result<Option<Action>> {
    let action = PLAN.get().and_then(|plan| plan.at(point));
    match action {
        Some(Action::Fail(errno)) => Err(errno.into()),
        Some(Action::Kill) => die(),
        Some(Action::Delay(time)) => {
            thread::sleep(time);
            Ok(None)
        }
        Some(Action::Short | Action::Torn) | None => Ok(action),
    }
}

/// Comes to a point before a step that writes nothing.
pub(crate) fn reach(point: &str) -> io::Result<()> {
    match meet(point)? {
        Some(Action::Short) => Err(Errno::NOSPC.into()),
        Some(Action::Torn) => die(),
        _ => Ok(()),
    }
}

/// Writes all of `bytes`, unless something happens at `point`.
pub(crate) fn write(point: &str, mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    let Some(action) = meet(point)? else {
        return file.write_all(bytes);
    };
    file.write_all(&bytes[..bytes.len() / 2])?;
    file.flush()?; // Dying is to find it written.
    match action {
        Action::Torn => die(),
        _ => Err(Errno::NOSPC.into()),
    }
}

/// Writes some of `bytes` and returns how many, unless something happens at `point`.
pub(crate) fn write_part(point: &str, mut file: impl Write, bytes: &[u8]) -> io::Result<usize> {
    match meet(point)? {
        None => file.write(bytes),
        Some(action) => {
            let written = file.write(&bytes[..bytes.len().div_ceil(2)])?;
            if action == Action::Torn {
                die();
            }
            Ok(written)
        }
    }
}

fn die() -> ! {
    // Nothing runs after it: no destructor, no flush.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_happens_at_that_point_after_so_many_times_and_once() {
        let plan = parse("a.b:skip=2:EIO,c:always:short,*:skip=6:kill").unwrap();
        let met: Vec<_> = ["a.b", "c", "a.b", "c", "a.b", "x", "a.b"]
            .map(|point| plan.at(point))
            .into();
        let (short, failed) = (Some(Action::Short), Some(Action::Fail(Errno::IO)));
        assert_eq!(
            met,
            [None, short, None, short, failed, None, Some(Action::Kill)]
        );
    }

    #[test]
    fn what_is_no_failpoint_is_refused() {
        for text in ["a", "a:EWHAT", "a:skip=x:EIO", "a:skip=1", "a:delay=x"] {
            assert_eq!(
                parse(text).unwrap_err(),
                format!("`{text}` is no failpoint")
            );
        }
    }
}
