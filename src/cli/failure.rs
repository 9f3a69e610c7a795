//! What the user is told when a command does not do what was asked.

use std::{error::Error, fmt::Write as _};

use anstyle::{AnsiColor, Style};

use super::escape::escape;

/// Why a command ended: decides the exit code. The codes are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The operation failed, or the disk did.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// What was named does not exist, or no filter matched.
    NotFound = 3,
    /// Permission is missing.
    NotAllowed = 4,
    /// Content does not have its digest, or its form.
    Damaged = 5,
    /// A host cannot be reached, or the network refused.
    Network = 6,
    /// Repaired, but something was lost.
    Lossy = 7,
    /// Another process holds what is needed.
    Busy = 8,
    /// A limit was met, or the disk is full.
    Limit = 9,
    /// The things compared differ, and the user asked to be told by exit code.
    Differs = 10,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
    /// Stopped by a request to terminate.
    Terminated = 143,
    /// Whoever read the output had enough. Not a failure.
    OutputClosed = 0,
}

impl Kind {
    /// Returns the exit code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the word for this kind in JSON.
    const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::NotAllowed => "not-allowed",
            Self::Damaged => "damaged",
            Self::Network => "network",
            Self::Lossy => "lossy",
            Self::Busy => "busy",
            Self::Limit => "limit",
            Self::Differs => "differs",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::OutputClosed => "output-closed",
        }
    }
}

/// A failure on its way to the user. All texts are raw; rendering escapes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    /// What could not be done, to what.
    pub(crate) message: String,
    /// The particulars where there are several, one a line: conflicts, faults of a Kitfile.
    pub(crate) details: Vec<String>,
    /// The chain of causes, outermost first.
    pub(crate) causes: Vec<String>,
    /// What the user can do: commands and flags.
    pub(crate) hints: Vec<String>,
    silent: bool,
}

impl Failure {
    /// Returns a failure that has a message only.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hints: Vec::new(),
            silent: false,
        }
    }

    /// Returns a failure with the text of `error` and all its sources as causes.
    pub(crate) fn of(kind: Kind, error: &dyn Error) -> Self {
        let failure = Self::new(kind, error.to_string());
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }

    /// Returns a failure that sets the exit code and prints nothing: the result on standard
    /// output said it already.
    pub(crate) fn reported(kind: Kind) -> Self {
        Self {
            silent: true,
            ..Self::new(kind, "")
        }
    }

    /// Adds `error` and its sources to the causes.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Some outside errors repeat their source, which would say everything twice.
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds something the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds one of several particulars.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Tells whether there is nothing to print.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Returns the lines for people, without the line feed at the end.
    ///
    /// ```text
    /// error: cannot unpack team/net:1
    ///   3 files are in the way: a.bin
    ///   caused by: …
    /// hint: …
    /// ```
    pub(crate) fn render(&self, colour: bool) -> String {
        let (error, hint) = if colour {
            (
                AnsiColor::Red.on_default().bold(),
                AnsiColor::Cyan.on_default(),
            )
        } else {
            (Style::new(), Style::new())
        };
        let mut text = format!("{error}error:{error:#} {}", escape(&self.message));
        // Writing to a string cannot fail.
        for detail in &self.details {
            let _ = write!(text, "\n  {}", escape(detail));
        }
        for cause in &self.causes {
            let _ = write!(text, "\n  caused by: {}", escape(cause));
        }
        for line in &self.hints {
            let _ = write!(text, "\n{hint}hint:{hint:#} {}", escape(line));
        }
        text
    }

    /// Returns the failure as one line of JSON:
    ///
    /// ```json
    /// {"error":{"kind":"not-found","message":"…","details":[],"causes":["…"],"hints":["…"]},"exit":3}
    /// ```
    ///
    /// `kind` is one of `failed usage not-found not-allowed damaged network lossy busy limit
    /// differs interrupted terminated`; `exit` is the exit code. The texts are those people get,
    /// not escaped.
    pub(crate) fn render_json(&self) -> String {
        let document = Document {
            error: Words {
                kind: self.kind.word(),
                message: &self.message,
                details: &self.details,
                causes: &self.causes,
                hints: &self.hints,
            },
            exit: self.kind.code(),
        };
        serde_json::to_string(&document).expect("texts and a number can be written")
    }
}

/// The form of a failure in JSON.
#[derive(serde::Serialize)]
struct Document<'a> {
    error: Words<'a>,
    exit: u8,
}

#[derive(serde::Serialize)]
struct Words<'a> {
    kind: &'static str,
    message: &'a str,
    details: &'a [String],
    causes: &'a [String],
    hints: &'a [String],
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read /models/\x1b[2Ja.bin")]
    struct Outer(#[source] io::Error);

    fn example() -> Failure {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        Failure::of(Kind::NotAllowed, &Outer(source))
            .detail("line 3")
            .hint("run `chmod`")
    }

    #[test]
    fn a_failure_tells_what_then_why_then_what_to_do() {
        assert_eq!(
            example().render(false),
            "error: cannot read /models/\\x1b[2Ja.bin\n  line 3\n  caused by: permission denied\n\
             hint: run `chmod`"
        );
    }

    #[test]
    fn a_failure_in_json_is_one_line_and_exact() {
        let text = example().render_json();
        assert!(!text.contains('\n'));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            document["error"]["message"],
            "cannot read /models/\x1b[2Ja.bin"
        );
        assert_eq!(document["error"]["kind"], "not-allowed");
        assert_eq!(document["error"]["causes"][0], "permission denied");
        assert_eq!(document["exit"], 4);
    }

    #[test]
    fn colour_only_dresses_the_two_headings() {
        let dressed = Failure::new(Kind::Failed, "x").hint("y").render(true);
        assert_eq!(
            dressed,
            "\x1b[1m\x1b[31merror:\x1b[0m x\n\x1b[36mhint:\x1b[0m y"
        );
    }
}
