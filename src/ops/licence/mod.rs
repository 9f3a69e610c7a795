//! Tells which licence a text is, by a table of all SPDX licences: word for word, but for titles and
//! who holds the copyright. Nothing is guessed.

mod around;

use std::{
    io::{self, Read as _},
    path::Path,
};

use spdx::detection::{LicenseEntry, Store, TextData};

use crate::platform;

/// Longer files are not read: the longest known licence has some 40 KB.
const MAX_TEXT: u64 = 128 * 1024;

/// What the licence files of a directory say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Licence {
    /// There are none.
    #[default]
    None,
    /// All hold the licence with this SPDX identifier.
    Known(String),
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Looks which licence the files `names` in `directory` hold.
pub fn of_files(directory: &Path, names: &[String]) -> Licence {
    let mut licences = None;
    let mut found: Vec<(&str, String)> = Vec::new();
    for name in names {
        let outcome = read(&directory.join(name))
            .map_err(|error| format!("`{name}` cannot be read: {error}"))
            .and_then(|text| {
                let text =
                    text.ok_or_else(|| format!("`{name}` is longer than {} KiB", MAX_TEXT / 1024))?;
                // Some 100 ms, so only when there is a text.
                let licences = match &mut licences {
                    Some(licences) => licences,
                    empty => empty.insert(
                        Store::load_inline()
                            .map_err(|error| format!("no table of licences: {error}"))?,
                    ),
                };
                identify(licences, &text).map_err(|reason| format!("`{name}` {reason}"))
            });
        match outcome {
            Ok(identifier) => found.push((name, identifier)),
            Err(reason) => return Licence::Unknown(reason),
        }
    }
    match found.as_slice() {
        [] => Licence::None,
        [(first, identifier), rest @ ..] => {
            match rest.iter().find(|(_, other)| other != identifier) {
                None => Licence::Known(identifier.clone()),
                Some((other, another)) => {
                    Licence::Unknown(format!("`{first}` is {identifier}, `{other}` is {another}"))
                }
            }
        }
    }
}

/// Returns the text at `path`; `None` if it is too long.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = platform::open_to_read(path, true)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_TEXT).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns the SPDX identifier of the licence that `text` is, or why none can be told.
fn identify(licences: &Store, text: &str) -> Result<String, String> {
    let text = TextData::new(text);
    // All that are most like it: licences with one text must not win by the order of a table.
    let mut best: Vec<(&str, &LicenseEntry, &TextData)> = Vec::new();
    let mut highest = 0.0;
    for (name, entry) in licences.iter() {
        let texts = entry.alternates.iter().chain(&entry.headers);
        for known in std::iter::once(&entry.original).chain(texts) {
            let score = known.match_score(&text);
            if score > highest {
                highest = score;
                best.clear();
            }
            if score >= highest && score > 0.0 {
                best.push((name, entry, known));
            }
        }
    }
    best.sort_by_key(|(name, ..)| *name);
    let Some((name, _, known)) = best.first() else {
        return Err("holds no licence that is known".to_owned());
    };
    let (part, score) = text.optimize_bounds(known);
    // Word for word: one word more, such as "non-commercial", makes another licence.
    if score < 1.0 {
        return Err("is not the text of a known licence".to_owned());
    }
    let (start, end) = part.lines_view();
    let aliases = best.iter().flat_map(|(_, entry, _)| &entry.aliases);
    let ids = best.iter().map(|(name, ..)| *name);
    let ids = ids.chain(aliases.map(String::as_str));
    let names: Vec<&str> = ids
        .flat_map(|id| [id, spdx::license_id(id).map_or("", |id| id.full_name)])
        .collect();
    if !around::is_harmless(text.lines(), start..end, &names) {
        return Err(format!("holds more than the text of {name}"));
    }
    one_of(&best)
}

/// Returns the identifier that several names of one text have in common.
fn one_of(best: &[(&str, &LicenseEntry, &TextData)]) -> Result<String, String> {
    let mut names: Vec<&str> = best
        .iter()
        .flat_map(|(name, entry, _)| {
            let aliases = entry.aliases.iter().map(String::as_str);
            std::iter::once(*name).chain(aliases)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    // GPL, LGPL, AGPL, GFDL: the text is the same whether later versions are allowed or not.
    if let Some(gnu) = names
        .iter()
        .find(|name| spdx::license_id(name).is_some_and(spdx::LicenseId::is_gnu))
    {
        let version = gnu.trim_end_matches('+');
        let version = version.strip_suffix("-or-later").unwrap_or(version);
        let version = version.strip_suffix("-only").unwrap_or(version);
        return Err(format!(
            "does not say whether {version}-only or {version}-or-later is meant"
        ));
    }
    // A name with an addition is for what adds something to the text, or says so elsewhere.
    let shortest = names.iter().min_by_key(|name| name.len()).copied();
    match shortest {
        Some(short) if names.iter().all(|name| name.starts_with(short)) => Ok(short.to_owned()),
        _ => Err(format!("is the text of {}", names.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIT: &str = "Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the \"Software\"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
";

    const APACHE: &str = include_str!("../../../docs/LICENSE");

    /// Looks at files with these contents, called `LICENSE0` and so on.
    fn of(texts: &[&str]) -> Licence {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..texts.len()).map(|i| format!("LICENSE{i}")).collect();
        for (name, text) in names.iter().zip(texts) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        of_files(folder.path(), &names)
    }

    fn known(identifier: &str) -> Licence {
        Licence::Known(identifier.to_owned())
    }

    fn reason(texts: &[&str]) -> String {
        match of(texts) {
            Licence::Unknown(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_licence_is_known_by_its_text_whoever_holds_the_copyright() {
        let titled = format!(
            "# The MIT License\n\nCopyright (c) 2024 Ann Arbor\nCopyright (c) 2025 Bob\n\n{MIT}"
        );
        let wrapped = format!(
            "MIT License\n\nCopyright (c) 2019 The Regents of the University\nof California. All rights reserved.\n\n{MIT}"
        );
        let one_line = format!(
            "The MIT License (MIT) Copyright (c) 2015 someone <someone@active-4.test>\n\n{MIT}"
        );
        let behind =
            format!("{MIT}\nCopyright 2018- The Hugging Face team. All rights reserved.\n");
        let wide = MIT.replace('\n', "\r\n");
        for (text, identifier) in [
            (MIT, "MIT"),
            (&titled, "MIT"),
            (&wrapped, "MIT"),
            (&one_line, "MIT"),
            (&behind, "MIT"),
            (&wide, "MIT"),
            (APACHE, "Apache-2.0"),
        ] {
            assert_eq!(of(&[text]), known(identifier), "{text}");
        }
        assert_eq!(of(&[MIT, &titled]), known("MIT"));
        assert_eq!(of(&[]), Licence::None);
    }

    #[test]
    fn what_is_not_sure_is_not_said() {
        let more = format!(
            "{MIT}\nThe Software must not be used by competitors of the authors, nor for weapons, nor to train models.\n"
        );
        let mut inside = MIT.to_owned();
        inside.insert_str(
            inside.find("THE SOFTWARE IS").unwrap(),
            "The Software must not be used by competitors, nor for weapons, nor to train any models.\n",
        );
        for around in [
            format!("{MIT}\nThe Software must not be used commercially.\n"),
            format!("For non-commercial use only.\n\n{MIT}"),
            format!("{MIT}Commons Clause License Condition v1.0\n"),
            format!("MIT License (modified: no commercial use)\n\n{MIT}"),
            format!("Non-commercial license\n\nCopyright (c) 2024 Ann Arbor\n\n{MIT}"),
            format!("Copyright (c) 2024 Ann Arbor. Commercial use is forbidden.\n\n{MIT}"),
            format!("{MIT}\n(c) No commercial use by anyone\n"),
            MIT.replace(
                "\n\nTHE",
                "\n\nCopyright 2024 Ann, who forbids commercial use.\n\nTHE",
            ),
            MIT.replace("\nTHE", "\n\nCopyright holders must be paid.\n\nTHE"),
        ] {
            let reason = reason(&[&around]);
            assert_eq!(
                reason, "`LICENSE0` holds more than the text of MIT",
                "{around}"
            );
        }
        for (text, expected) in [
            (&*more, "`LICENSE0` holds more than the text of MIT"),
            (
                &MIT.replace("without restriction", "for non-commercial purposes"),
                "`LICENSE0` is not the text of a known licence",
            ),
            (&inside, "`LICENSE0` is not the text of a known licence"),
            ("Ask us.", "`LICENSE0` holds no licence that is known"),
            ("", "`LICENSE0` holds no licence that is known"),
            (
                &APACHE[..3000],
                "`LICENSE0` is not the text of a known licence",
            ),
            (
                &format!("{APACHE}\n{MIT}"),
                "`LICENSE0` holds more than the text of Apache-2.0",
            ),
        ] {
            assert_eq!(reason(&[text]), expected, "{text}");
        }
        assert_eq!(
            reason(&[MIT, APACHE]),
            "`LICENSE0` is MIT, `LICENSE1` is Apache-2.0"
        );
    }

    #[test]
    fn a_huge_file_is_not_read_and_a_missing_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("LICENSE")).unwrap();
        file.set_len(64 << 20).unwrap();
        let of = |name: &str| of_files(folder.path(), &[name.to_owned()]);
        assert_eq!(
            of("LICENSE"),
            Licence::Unknown("`LICENSE` is longer than 128 KiB".to_owned())
        );
        assert!(
            matches!(of("license"), Licence::Unknown(reason) if reason.starts_with("`license` cannot be read"))
        );
    }

    #[test]
    fn names_of_one_text_have_a_name_in_common_or_none() {
        let store = Store::load_inline().unwrap();
        let of = |name: &str| {
            let (name, entry) = store.iter().find(|(it, _)| *it == name).unwrap();
            one_of(&[(name, entry, &entry.original)])
        };
        assert_eq!(of("MPL-2.0"), Ok("MPL-2.0".to_owned()));
        assert_eq!(
            of("GPL-3.0-or-later"),
            Err("does not say whether GPL-3.0-only or GPL-3.0-or-later is meant".to_owned())
        );
    }
}
