//! Shows how far long work is: bars on a terminal, lines in a log, events for a program.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::json;

use super::{
    escape::escape,
    human,
    interrupt::Interrupt,
    ui::{Level, Ui},
};
use crate::progress::{Meter, Progress, Silent};

/// Work shorter than this shows no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(250);
/// Plain lines come at least this far apart …
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// … and, while anything moves, not much further than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Events for programs come this far apart.
const EVENT_PAUSE: Duration = Duration::from_millis(250);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Look {
    /// Bars on a terminal, else plain lines
    #[value(alias = "true")]
    Auto,
    /// Nothing
    #[value(alias = "false")]
    None,
    /// A line every ten seconds or ten per cent
    Plain,
    /// Bars with rate and time left
    #[value(alias = "cherry")]
    Fancy,
    /// Events on standard error, one JSON object a line
    Json,
}

/// Shows on a [`Ui`] what the core reports.
pub(crate) struct Reporter {
    ui: Arc<Ui>,
    interrupt: Interrupt,
    look: Look,
    begun: AtomicU64,
}

impl Reporter {
    /// Returns a reporter. Bars that `ui` cannot draw become plain lines, and a `ui` that keeps
    /// its status lines back gets no progress either, unless a program asked for events.
    pub(crate) fn new(ui: Arc<Ui>, interrupt: Interrupt, look: Look) -> Self {
        let look = match look {
            Look::Json | Look::None => look,
            _ if !ui.shows(Level::Info) => Look::None,
            Look::Auto | Look::Fancy if ui.can_draw() => Look::Fancy,
            Look::Auto | Look::Fancy | Look::Plain => Look::Plain,
        };
        Self {
            ui,
            interrupt,
            look,
            begun: AtomicU64::new(0),
        }
    }
}

impl Progress for Reporter {
    fn begin(&self, label: &str, total: Option<u64>) -> Box<dyn Meter> {
        let ui = Arc::clone(&self.ui);
        match self.look {
            Look::Fancy => Box::new(Bar {
                ui,
                label: escape(label).into_owned(),
                count: Count::new(total),
                drawn: OnceLock::new(),
            }),
            Look::Plain => Box::new(Lines {
                ui,
                label: label.to_owned(),
                count: Count::new(total),
                pace: Mutex::new(Pace::new(Instant::now())),
            }),
            Look::Json => {
                let id = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                ui.event(&json!({ "event": "begin", "id": id, "label": label, "total": total }));
                Box::new(Events {
                    ui,
                    id,
                    count: Count::new(total),
                    last: Mutex::new(Instant::now()),
                })
            }
            Look::Auto | Look::None => Box::new(Silent),
        }
    }

    fn warn(&self, text: &str) {
        self.ui.warn(text);
    }

    fn status(&self, text: &str) {
        self.ui.status(text);
    }

    fn detail(&self, text: &str) {
        self.ui.debug(text);
    }

    fn cancelled(&self) -> bool {
        self.interrupt.requested()
    }
}

/// How much is done. It only grows, and is never shown as more than all.
struct Count {
    done: AtomicU64,
    total: Option<u64>,
    start: Instant,
}

impl Count {
    fn new(total: Option<u64>) -> Self {
        Self {
            done: AtomicU64::new(0),
            total,
            start: Instant::now(),
        }
    }

    /// Adds and returns what is done by now.
    fn add(&self, bytes: u64) -> u64 {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed);
        self.bounded(done.saturating_add(bytes))
    }

    fn done(&self) -> u64 {
        self.bounded(self.done.load(Ordering::Relaxed))
    }

    fn bounded(&self, done: u64) -> u64 {
        self.total.map_or(done, |total| done.min(total))
    }
}

/// Returns how many of hundred parts are done; all of nothing is done.
fn percent(done: u64, total: u64) -> u64 {
    let percent = (u128::from(done) * 100).checked_div(u128::from(total));
    percent.map_or(100, |percent| u64::try_from(percent).unwrap_or(100))
}

/// A bar on a terminal, drawn once the work has lasted a moment.
struct Bar {
    ui: Arc<Ui>,
    label: String,
    count: Count,
    drawn: OnceLock<ProgressBar>,
}

impl Meter for Bar {
    fn advance(&self, bytes: u64) {
        let done = self.count.add(bytes);
        if let Some(bar) = self.drawn.get() {
            // Two threads may arrive here in the wrong order; a bar never goes back.
            if done > bar.position() {
                bar.set_position(done);
            }
        } else if self.count.start.elapsed() >= PATIENCE {
            let bar = self.drawn.get_or_init(|| self.draw());
            bar.set_position(self.count.done());
        }
    }
}

impl Bar {
    fn draw(&self) -> ProgressBar {
        let layout = match self.count.total {
            Some(_) => "{prefix} [{wide_bar}] {percent:>3}% {amount} {rate} {left}",
            None => "{prefix} {spinner} {amount} {rate}",
        };
        let style = ProgressStyle::with_template(layout)
            .expect("the layout is constant")
            .progress_chars("=> ")
            .with_key(
                "amount",
                |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let done = human::bytes(state.pos());
                    let _ = match state.len() {
                        Some(total) => write!(out, "{done} of {}", human::bytes(total)),
                        None => write!(out, "{done}"),
                    };
                },
            )
            .with_key(
                "rate",
                |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{}/s", human::bytes(whole(state.per_sec())));
                },
            )
            .with_key(
                "left",
                |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{} left", human::duration(state.eta()));
                },
            );
        let bar = match self.count.total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let bar = self
            .ui
            .bars()
            .add(bar.with_elapsed(self.count.start.elapsed()));
        bar.set_style(style);
        bar.set_prefix(shorten(&self.label, 22));
        bar
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.drawn.get() {
            bar.finish_and_clear();
            self.ui.bars().remove(bar);
        }
    }
}

/// Returns the whole part of a rate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a rate is shown, not counted with"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// Returns the end of `label`, which tells most, in at most `most` columns.
fn shorten(label: &str, most: usize) -> String {
    use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
    if label.width() <= most {
        return label.to_owned();
    }
    let mut room = most - 1;
    let mut kept: Vec<char> = Vec::new();
    for c in label.chars().rev() {
        let width = c.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        kept.push(c);
    }
    std::iter::once('…').chain(kept.into_iter().rev()).collect()
}

/// Lines for a log.
struct Lines {
    ui: Arc<Ui>,
    label: String,
    count: Count,
    pace: Mutex<Pace>,
}

impl Meter for Lines {
    fn advance(&self, bytes: u64) {
        let done = self.count.add(bytes);
        let part = self.count.total.map(|total| percent(done, total));
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.is_due(Instant::now(), part) {
            // The lock is held while the line is written, so that the lines stand in order.
            let done = human::bytes(done);
            let label = &self.label;
            match (self.count.total, part) {
                (Some(total), Some(part)) => {
                    let total = human::bytes(total);
                    self.ui
                        .status(format_args!("{label}: {part} % ({done} of {total})"));
                }
                _ => self.ui.status(format_args!("{label}: {done}")),
            }
        }
    }
}

/// When the next plain line is due.
struct Pace {
    last: Instant,
    tenths: u64,
}

impl Pace {
    const fn new(start: Instant) -> Self {
        Self {
            last: start,
            tenths: 0,
        }
    }

    fn is_due(&mut self, now: Instant, percent: Option<u64>) -> bool {
        let pause = now.saturating_duration_since(self.last);
        let tenths = percent.map_or(0, |percent| percent / 10);
        if tenths < self.tenths {
            return false; // A thread that was overtaken.
        }
        let due = pause >= LONGEST_PAUSE || (tenths > self.tenths && pause >= SHORTEST_PAUSE);
        if due {
            self.last = now;
            self.tenths = tenths;
        }
        due
    }
}

/// Events for a program:
///
/// ```json
/// {"event":"begin","id":1,"label":"…","total":1024}
/// {"event":"advance","id":1,"done":512}
/// {"event":"end","id":1,"done":1024}
/// {"event":"status","text":"…"}
/// {"event":"warning","text":"…"}
/// ```
struct Events {
    ui: Arc<Ui>,
    id: u64,
    count: Count,
    last: Mutex<Instant>,
}

impl Meter for Events {
    fn advance(&self, bytes: u64) {
        self.count.add(bytes);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= EVENT_PAUSE {
            *last = Instant::now();
            let done = self.count.done();
            self.ui
                .event(&json!({ "event": "advance", "id": self.id, "done": done }));
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let done = self.count.done();
        self.ui
            .event(&json!({ "event": "end", "id": self.id, "done": done }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_never_exceeds_its_total() {
        let count = Count::new(Some(10));
        assert_eq!(count.add(4), 4);
        assert_eq!(count.add(40), 10);
        assert_eq!(count.add(u64::MAX / 2), 10);
    }

    #[test]
    fn percents_cover_empty_and_huge_totals() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn plain_lines_keep_their_distance() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(start);
        for (seconds, percent, due) in [
            (0.5, 90, false), // Quick work says nothing.
            (1.0, 5, false),  // Less than ten per cent.
            (2.0, 12, true),
            (2.5, 25, false), // Too soon.
            (3.1, 25, true),
            (9.0, 26, false),
            (13.2, 27, true),  // Ten seconds.
            (14.5, 11, false), // Overtaken.
        ] {
            assert_eq!(pace.is_due(at(seconds), Some(percent)), due, "{seconds}");
        }
    }

    // hazard: 134
    #[test]
    fn a_long_label_keeps_its_end() {
        assert_eq!(shorten("short", 30), "short");
        assert_eq!(shorten("data/very/long/name.bin", 10), "…/name.bin");
        assert_eq!(shorten("日本日本日本", 6), "…日本");
    }
}
