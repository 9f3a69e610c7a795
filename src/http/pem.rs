//! Splits PEM texts into blocks: only what is asked for is handed to the TLS library, which
//! takes a text without any certificate without a word.

use std::fmt::Write as _;

/// A block between `-----BEGIN …-----` and its end.
pub(super) struct Block<'a> {
    /// What it says it is: `CERTIFICATE`.
    pub(super) label: &'a str,
    /// The lines, markers included.
    pub(super) text: &'a str,
}

/// Returns the whole blocks in `text`.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        rest = &rest[start..];
        let Some((label, _)) = rest[BEGIN.len()..].split_once("-----") else {
            break;
        };
        let mut end = String::new();
        let _ = write!(end, "-----END {label}-----"); // Writing to a string cannot fail.
        let Some(at) = rest.find(&end) else {
            rest = &rest[BEGIN.len()..];
            continue;
        };
        let (block, behind) = rest.split_at(at + end.len());
        found.push(Block { label, text: block });
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text() {
        let text = "subject\n-----BEGIN A-----\nx\n-----END A-----\n-----BEGIN cut-----\n\
                    -----BEGIN B C-----\ny\n-----END B C-----";
        let found: Vec<_> = blocks(text).iter().map(|it| (it.label, it.text)).collect();
        assert_eq!(
            found,
            [
                ("A", "-----BEGIN A-----\nx\n-----END A-----"),
                ("B C", "-----BEGIN B C-----\ny\n-----END B C-----"),
            ]
        );
        for junk in [
            "",
            "junk",
            "-----BEGIN ",
            "-----BEGIN X",
            "-----BEGIN X-----",
        ] {
            assert!(blocks(junk).is_empty(), "{junk}");
        }
    }
}
