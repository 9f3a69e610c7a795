//! What one run of the program left: both streams and the exit code, as one text for snapshots.

use std::fmt;

use snapbox::{Data, IntoData};

/// The result of a run. Paths of the sandbox are already replaced by `[HOME]` and `[WORK]`,
/// process numbers by `[PID]`.
#[must_use = "compare it with a snapshot or call `success`"]
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The exit code; on Unix 128 and the number of the signal that ended the program.
    pub(crate) code: i32,
}

impl Output {
    /// Returns standard output of a run that must have ended with 0.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, 0, "the command failed:\n{self}");
        self.stdout
    }

    /// Checks the exit code and returns the run for more checks.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "another exit code was expected:\n{self}");
        self
    }

    /// Returns standard output as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
    }

    /// Puts `[DIGEST]` for each whole SHA-256, for snapshots that are not about content.
    pub(crate) fn hide_digests(self) -> Self {
        self.map(hide_digests)
    }

    /// Puts `[VERSION]` for the version of the program.
    pub(crate) fn hide_version(self) -> Self {
        self.map(|text| text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]"))
    }

    /// Puts `with` for each `text`.
    pub(crate) fn hide(self, text: &str, with: &str) -> Self {
        self.map(|stream| stream.replace(text, with))
    }

    /// Changes both streams alike.
    pub(crate) fn map(self, change: impl Fn(&str) -> String) -> Self {
        Self {
            stdout: change(&self.stdout),
            stderr: change(&self.stderr),
            code: self.code,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn stream(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
            f.write_str(text)?;
            if !text.is_empty() && !text.ends_with('\n') {
                f.write_str("[no newline]\n")?;
            }
            Ok(())
        }
        stream(f, &self.stdout)?;
        if !self.stderr.is_empty() {
            f.write_str("[stderr]\n")?;
            stream(f, &self.stderr)?;
        }
        writeln!(f, "[exit {}]", self.code)
    }
}

impl IntoData for Output {
    fn into_data(self) -> Data {
        self.to_string().into_data()
    }
}

/// Puts `[DIGEST]` for each run of exactly 64 hex digits.
fn hide_digests(text: &str) -> String {
    let mut out = String::new();
    let mut hex = String::new();
    let flush = |hex: &mut String, out: &mut String| {
        out.push_str(if hex.len() == 64 { "[DIGEST]" } else { hex });
        hex.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            hex.push(c);
        } else {
            flush(&mut hex, &mut out);
            out.push(c);
        }
    }
    flush(&mut hex, &mut out);
    out
}

/// Puts `[PID]` for the number in `pid 123` and `process 123`.
pub(super) fn hide_process_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, word)) = ["pid ", "process "]
        .iter()
        .filter_map(|word| Some((rest.find(word)?, word)))
        .min()
    {
        let end = at + word.len();
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            out.push_str("[PID]");
            rest = &rest[digits..];
        }
    }
    out + rest
}

#[test]
fn only_whole_digests_and_process_numbers_are_hidden() {
    let digest = "ab12".repeat(16);
    assert_eq!(
        hide_digests(&format!("at sha256:{digest}, {digest}0 and abc")),
        format!("at sha256:[DIGEST], {digest}0 and abc")
    );
    assert_eq!(
        hide_process_numbers("process 17 (kit pack, pid 17) in process"),
        "process [PID] (kit pack, pid [PID]) in process"
    );
}

#[test]
fn a_run_is_shown_as_one_text() {
    let output = Output {
        stdout: "result".to_owned(),
        stderr: "error: no\n".to_owned(),
        code: 3,
    };
    snapbox::assert_data_eq!(
        output,
        snapbox::str![[r"
result[no newline]
[stderr]
error: no
[exit 3]

"]]
    );
}
