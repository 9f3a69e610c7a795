//! The only writer: results to standard output, everything else to standard error.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use serde_json::Value;

use super::{
    escape::{escape, escape_lines},
    failure::{Failure, Kind},
    template::Template,
};
use crate::config::Settings;

/// How much is told on standard error. Results on standard output do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Failures only.
    Error,
    /// Also warnings.
    Warn,
    /// Also what is done: the default.
    Info,
    /// Also decisions.
    Debug,
    /// Also every step.
    Trace,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Even in a pipe
    Always,
    /// Nowhere
    Never,
}

impl Colour {
    /// Decides for one stream.
    fn wanted(self, settings: &Settings, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if settings.no_color => false,
            Self::Auto if settings.force_color => true,
            Self::Auto => is_terminal && !settings.dumb_terminal,
        }
    }
}

/// The two output streams of the process.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about two streams, not a state"
)]
pub(crate) struct Ui {
    level: Level,
    colour_out: bool,
    colour_err: bool,
    bars_possible: bool,
    /// Whether everything on standard error is JSON, one object a line.
    json_events: bool,
    bars: OnceLock<MultiProgress>,
}

impl Ui {
    /// Returns a writer to the streams of the process.
    pub(crate) fn new(
        settings: &Settings,
        level: Level,
        colour: Colour,
        json_events: bool,
    ) -> Self {
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            level,
            colour_out: colour.wanted(settings, io::stdout().is_terminal()),
            colour_err: colour.wanted(settings, err_is_terminal),
            bars_possible: err_is_terminal && !settings.dumb_terminal,
            json_events,
            bars: OnceLock::new(),
        }
    }

    /// Tells whether lines of this level are shown.
    pub(crate) fn shows(&self, level: Level) -> bool {
        self.level >= level
    }

    /// Tells whether standard output may be coloured.
    pub(crate) const fn colour_out(&self) -> bool {
        self.colour_out
    }

    /// Returns how wide the terminal is that shows the results; `None` if something else takes them.
    #[expect(clippy::unused_self, reason = "the writer knows the terminal")]
    pub(crate) fn columns(&self) -> Option<usize> {
        let stdout = io::stdout();
        let (terminal_size::Width(width), _) = stdout
            .is_terminal()
            .then(|| terminal_size::terminal_size_of(&stdout))??;
        Some(width.into())
    }

    /// Tells whether standard error is a terminal on which lines can be drawn over.
    pub(crate) const fn can_draw(&self) -> bool {
        self.bars_possible
    }

    /// Returns the place where progress bars are drawn; from then on lines go above them.
    pub(crate) fn bars(&self) -> &MultiProgress {
        self.bars
            .get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)))
    }

    /// Writes a result as it is: the caller has escaped what came from outside, and ends lines.
    pub(crate) fn out(&self, text: impl fmt::Display) -> Result<(), Failure> {
        self.write_out(text.to_string().as_bytes())
    }

    /// Writes one line of a result, escaped.
    pub(crate) fn line(&self, text: impl fmt::Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.write_out(format!("{}\n", escape(&text)).as_bytes())
    }

    /// Writes a JSON document, indented by two blanks.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(document).map_err(|error| {
            Failure::new(Kind::Failed, "cannot write the result as JSON").because(&error)
        })?;
        text.push(b'\n');
        self.write_out(&text)
    }

    /// Writes `data` as `template` says, and a line feed if it did not end with one.
    pub(crate) fn template(&self, template: &Template, data: &Value) -> Result<(), Failure> {
        let text = template
            .render(data)
            .map_err(|error| Failure::of(Kind::Usage, &error))?;
        let mut text = escape_lines(&text).into_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.write_out(text.as_bytes())
    }

    /// Writes bytes to standard output.
    pub(crate) fn write_out(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        self.above_bars(|| out.write_all(bytes).and_then(|()| out.flush()))
            .map_err(|error| output_failure(&error))
    }

    /// Returns standard output for content that is too large to be held. An error of it goes
    /// through [`output_failure`].
    #[expect(clippy::unused_self, reason = "only who has the writer may write")]
    pub(crate) fn stream(&self) -> io::StdoutLock<'static> {
        io::stdout().lock()
    }

    /// Tells whether there is someone to ask.
    #[expect(clippy::unused_self, reason = "the writer knows the terminal")]
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question that is answered by `y` or `yes`; anything else, and nobody there to ask,
    /// is a no.
    pub(crate) fn confirm(&self, question: impl fmt::Display) -> bool {
        if !self.can_ask() {
            return false;
        }
        let question = question.to_string();
        let mut answer = String::new();
        let asked = self.above_bars(|| {
            io::stderr().write_all(format!("{} [y/N] ", escape(&question)).as_bytes())?;
            io::stdin().read_line(&mut answer)
        });
        asked.is_ok() && is_yes(&answer)
    }

    /// Asks for one line, without the blanks around it; `None` if nobody is there to ask or the
    /// input ends.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        let mut answer = String::new();
        let asked = self.above_bars(|| {
            io::stderr()
                .write_all(format!("{} (Enter for none): ", escape(question)).as_bytes())?;
            io::stdin().read_line(&mut answer)
        });
        let is_answered = asked.is_ok_and(|length| length > 0);
        is_answered.then(|| answer.trim().to_owned())
    }

    /// Asks for a line as it is typed, on a terminal.
    pub(crate) fn ask_line(&self, question: &str) -> io::Result<String> {
        let mut answer = String::new();
        self.above_bars(|| {
            io::stderr().write_all(escape(question).as_bytes())?;
            io::stdin().read_line(&mut answer)
        })?;
        Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Asks for a line that is not shown while it is typed, on a terminal.
    pub(crate) fn ask_secret(&self, question: &str) -> io::Result<String> {
        self.above_bars(|| rpassword::prompt_password(escape(question)))
    }

    /// Tells that a step is done.
    pub(crate) fn status(&self, text: impl fmt::Display) {
        if self.shows(Level::Info) {
            self.note("status", Style::new(), "", &text.to_string());
        }
    }

    /// Tells something the user must know although the work goes on.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        if self.shows(Level::Warn) {
            let style = AnsiColor::Yellow.on_default().bold();
            self.note("warning", style, "warning:", &text.to_string());
        }
    }

    /// Tells what the user can do next.
    pub(crate) fn hint(&self, text: impl fmt::Display) {
        if self.shows(Level::Info) {
            let style = AnsiColor::Cyan.on_default();
            self.note("hint", style, "hint:", &text.to_string());
        }
    }

    /// Tells a decision, for `-v`.
    pub(crate) fn debug(&self, text: impl fmt::Display) {
        if self.shows(Level::Debug) {
            let style = Style::new().dimmed();
            self.note("debug", style, "debug:", &text.to_string());
        }
    }

    /// Tells a step, for `-vv`.
    pub(crate) fn trace(&self, text: impl fmt::Display) {
        if self.shows(Level::Trace) {
            let style = Style::new().dimmed();
            self.note("trace", style, "trace:", &text.to_string());
        }
    }

    /// Tells why the command did not do what was asked.
    pub(crate) fn failure(&self, failure: &Failure, json: bool) {
        if failure.is_silent() {
            return;
        }
        let text = if json || self.json_events {
            failure.render_json()
        } else {
            failure.render(self.colour_err)
        };
        self.write_err(&text);
    }

    /// Writes one event of `--progress json`.
    pub(crate) fn event(&self, event: &Value) {
        self.write_err(&event.to_string());
    }

    fn note(&self, event: &str, style: Style, heading: &str, text: &str) {
        if self.json_events {
            self.event(&serde_json::json!({ "event": event, "text": text }));
            return;
        }
        let text = escape(text);
        let line = match heading {
            "" => text.into_owned(),
            _ if self.colour_err => format!("{style}{heading}{style:#} {text}"),
            _ => format!("{heading} {text}"),
        };
        self.write_err(&line);
    }

    fn write_err(&self, line: &str) {
        // One write a line, so that lines of several processes do not mix. When nobody can read
        // standard error there is nobody to tell, and the exit code still says it.
        let _ = self.above_bars(|| io::stderr().write_all(format!("{line}\n").as_bytes()));
    }

    /// Runs `write` with the progress bars out of the way.
    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.bars.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Returns what a failed write to standard output means: a closed pipe is no failure.
pub(crate) fn output_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reported(Kind::OutputClosed),
        io::ErrorKind::StorageFull => {
            Failure::new(Kind::Limit, "cannot write to standard output").because(error)
        }
        _ => Failure::new(Kind::Failed, "cannot write to standard output").because(error),
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in [("y\n", true), (" YES ", true), ("", false), ("yep", false)] {
            assert_eq!(is_yes(answer), expected, "{answer}");
        }
    }

    // hazard: 142
    #[test]
    fn a_closed_pipe_is_silent_and_a_full_disk_is_a_limit() {
        let of = |kind: io::ErrorKind| output_failure(&kind.into());
        assert!(of(io::ErrorKind::BrokenPipe).is_silent());
        assert_eq!(of(io::ErrorKind::BrokenPipe).kind.code(), 0);
        assert_eq!(of(io::ErrorKind::StorageFull).kind, Kind::Limit);
        assert_eq!(of(io::ErrorKind::PermissionDenied).kind, Kind::Failed);
    }
}
