//! Makes text from outside safe to show: names, authors and error texts of others may hold
//! characters that move the cursor, set the window title or reverse the reading direction.

use std::{borrow::Cow, fmt::Write as _, path::Path};

/// Returns `text` with everything a terminal would act on written out: `\n`, `\x1b`, `\u{202e}`.
/// The result is one line.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_active)
}

/// Returns `text` escaped, but for line feeds and tabs: for output whose layout the user chose.
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| !matches!(c, '\n' | '\t') && is_active(c))
}

/// Returns a path as it is shown: escaped, bytes that are no UTF-8 as `\xff`.
pub(crate) fn escape_path(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_encoded_bytes())
}

/// Returns a name of unknown encoding as it is shown.
pub(crate) fn escape_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}"); // Writing to a string cannot fail.
        }
    }
    shown
}

fn escape_where(text: &str, must_escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&must_escape) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 8);
    shown.push_str(&text[..first]);
    for c in text[first..].chars() {
        if !must_escape(c) {
            shown.push(c);
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match c {
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            '\t' => write!(shown, "\\t"),
            '\0'..='\x7f' => write!(shown, "\\x{:02x}", u32::from(c)),
            _ => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(shown)
}

/// Tells whether a character does something other than stand in its place.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' // direction marks
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction overrides, isolates
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // invisible marks
            | '\u{e0000}'..='\u{e007f}') // invisible tag characters
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 133
    #[test]
    fn active_characters_are_written_out() {
        for (raw, shown) in [
            ("plain/ümläut 日本 👩‍🔬", "plain/ümläut 日本 👩‍🔬"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("del\x7f", "del\\x7f"),
            ("csi\u{9b}2J", "csi\\u{9b}2J"),
            ("cod\u{202e}exe", "cod\\u{202e}exe"),
            ("iso\u{2066}x\u{2069}", "iso\\u{2066}x\\u{2069}"),
            ("\0", "\\x00"),
        ] {
            assert_eq!(escape(raw), shown);
        }
    }

    #[test]
    fn chosen_layout_survives_but_nothing_else() {
        assert_eq!(escape_lines("a\tb\n\x1b[0m"), "a\tb\n\\x1b[0m");
    }

    // hazard: 133
    #[test]
    fn bytes_that_are_no_text_are_shown_in_hex() {
        assert_eq!(escape_bytes(b"a\xff\x1b\xc3("), "a\\xff\\x1b\\xc3(");
    }
}
