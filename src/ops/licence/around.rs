//! What may stand in a licence file beside the licence: its title, and who holds the copyright. A
//! comparison of texts passes over such lines wherever they stand, so whoever puts a condition into
//! one of them would be overheard.

use std::ops::Range;

/// How many words a title may have.
const MAX_TITLE: usize = 15;

/// How many words a notice of copyright may have.
const MAX_NOTICE: usize = 30;

/// Words of titles beside those of the licence's own names.
const TITLE: &[&str] = &[
    "the",
    "a",
    "of",
    "this",
    "is",
    "under",
    "license",
    "licence",
    "licensed",
    "version",
    "v",
    "software",
    "project",
    "file",
    "text",
    "full",
    "copying",
    "spdx",
    "identifier",
    "expat",
    "http",
    "https",
    "blackboxed",
    "url",
];

/// Words that stand between names in a notice.
const BETWEEN: &[&str] = &[
    "and",
    "the",
    "of",
    "for",
    "in",
    "by",
    "on",
    "at",
    "its",
    "their",
    "to",
    "an",
    "a",
    "et",
    "al",
    "de",
    "la",
    "le",
    "du",
    "der",
    "von",
    "van",
    "und",
    "e",
    "y",
    "inc",
    "ltd",
    "llc",
    "gmbh",
    "corp",
    "co",
    "contributors",
    "contributor",
    "authors",
    "author",
    "other",
    "others",
    "team",
    "project",
    "developers",
    "maintainers",
    "owners",
    "owner",
    "holder",
    "holders",
    "affiliates",
    "subsidiaries",
    "community",
    "members",
    "copyright",
    "c",
    "all",
    "rights",
    "reserved",
    "present",
    "yyyy",
    "year",
    "name",
    "fullname",
    "various",
    "http",
    "https",
    "blackboxed",
    "url",
];

/// Words of conditions, whoever writes them with a capital.
const CONDITION: &[&str] = &[
    "no",
    "not",
    "non",
    "none",
    "noncommercial",
    "commercial",
    "commercially",
    "use",
    "used",
    "uses",
    "usage",
    "user",
    "users",
    "only",
    "clause",
    "condition",
    "conditions",
    "license",
    "licence",
    "licensed",
    "subject",
    "except",
    "forbidden",
    "prohibited",
    "must",
    "may",
    "shall",
    "should",
    "cannot",
    "can",
    "patent",
    "patents",
    "additional",
    "terms",
    "restriction",
    "restrictions",
    "restricted",
    "without",
    "unless",
    "permission",
    "proprietary",
    "confidential",
    "purpose",
    "purposes",
    "evaluation",
    "internal",
    "academic",
    "educational",
    "modified",
    "fee",
    "pay",
    "royalty",
    "royalties",
];

/// Tells whether the lines of a file say nothing but the licence `names`, its title and whose the
/// copyright is. `licence` are the lines that the licence was found in.
pub(super) fn is_harmless(lines: &[String], licence: Range<usize>, names: &[&str]) -> bool {
    let mut titles = 0;
    let mut after_notice = false;
    let mut after_blank = true;
    for (number, line) in lines.iter().enumerate() {
        let words = words(line);
        if words.is_empty() {
            (after_notice, after_blank) = (false, true);
            continue;
        }
        let is_inside = licence.contains(&number);
        let is_first = lines[..number].iter().all(|it| self::words(it).is_empty());
        let ends = lines
            .get(number + 1)
            .is_none_or(|next| self::words(next).is_empty());
        let says_copyright = words[0] == "copyright"
            && (after_blank || after_notice || words.get(1).is_some_and(|it| is_mark_or_year(it)));
        let is_passed_over = !is_inside
            || says_copyright
            || is_first
                && (ends && is_title_like(&words) || words.contains(&"copyright".to_owned()));
        if is_passed_over {
            let (title, notice) = parts(line);
            let title = self::words(title);
            titles += title.len();
            let begins = !notice.is_empty();
            let is_known = is_title(&title, names) && (!begins || is_notice(notice));
            let goes_on = after_notice && is_notice(line);
            if !is_known && !goes_on {
                return false;
            }
            after_notice = begins || goes_on;
        } else {
            after_notice = false;
        }
        after_blank = false;
    }
    titles <= MAX_TITLE
}

/// Returns the words of a line in lower case, without signs.
fn words(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn is_mark_or_year(word: &str) -> bool {
    word.starts_with('c') || word.starts_with(|c: char| c.is_ascii_digit())
}

/// Tells whether words end with `license`, `license version 2`, or begin a notice after that.
fn is_title_like(words: &[String]) -> bool {
    let at = words.iter().rposition(|word| word == "license");
    at.is_some_and(|at| {
        let rest = &words[at + 1..];
        rest.is_empty() || rest[0] == "version" || rest[0] == "copyright"
    })
}

/// Splits a line where a notice begins in it.
fn parts(line: &str) -> (&str, &str) {
    let lower = line.to_ascii_lowercase();
    let starts = ["copyright", "(c)", "\u{a9}", "all rights reserved"];
    let at = starts.iter().filter_map(|start| lower.find(start)).min();
    line.split_at(at.unwrap_or(line.len()))
}

/// Tells whether all words are of a name of the licence, or mean nothing.
fn is_title(title: &[String], names: &[&str]) -> bool {
    let own: Vec<String> = names.iter().flat_map(|name| words(name)).collect();
    title
        .iter()
        .all(|word| own.contains(word) || TITLE.contains(&word.as_str()))
}

/// Tells whether a line is names and years.
fn is_notice(line: &str) -> bool {
    let mut count = 0;
    let (mut has_name, mut has_handle) = (false, false);
    for word in line.split_whitespace() {
        count += 1;
        if word.starts_with('.') {
            continue; // The end of an address: the text comes with blanks for some signs.
        }
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let lower = word.to_lowercase();
        let is_date = word.chars().all(|c| !c.is_alphabetic());
        if is_date || word.contains('@') || BETWEEN.contains(&lower.as_str()) {
            continue;
        }
        if words(word)
            .iter()
            .any(|it| CONDITION.contains(&it.as_str()))
        {
            return false;
        }
        if word.starts_with(char::is_lowercase) && !word.contains(char::is_uppercase) {
            has_handle = true;
        } else {
            has_name = true;
        }
    }
    // A sentence has a capital at its beginning and small letters after it.
    count <= MAX_NOTICE && !(has_name && has_handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_names_and_years() {
        for line in [
            "Copyright (c) 2024 Ann Arbor",
            "Copyright (c) 2016 Amanieu d'Antras and other contributors",
            "Copyright 2018- The Hugging Face team. All rights reserved.",
            "(c) 1995-2020, Example Inc. and its affiliates",
            "Copyright (c) 2013 someone",
            "Copyright [yyyy] [name of copyright owner]",
            "Copyright (c) 2020 Ann Arbor <ann@example.test>",
            "\u{a9} 2021 株式会社",
            "All rights reserved.",
            "of the University of California.",
        ] {
            assert!(is_notice(line), "{line}");
        }
        for line in [
            "Copyright (c) 2024 Ann Arbor. Commercial use is forbidden.",
            "Copyright (c) 2024 Ann Arbor. Ask first",
            "(c) No Commercial Use",
            "Copyright 2024 Acme, not for resale",
            "All rights reserved except those granted below",
            "Copyright 2020 A for Non-Commercial work",
        ] {
            assert!(!is_notice(line), "{line}");
        }
    }
}
