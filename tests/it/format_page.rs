//! `docs/format.md` tells what is really written: its example, its tables of limits and exit codes.

use std::{fmt::Write as _, fs, path::Path};

use modelkit::limits;

use crate::support::{Sandbox, testdata};

pub(crate) fn page() -> String {
    fs::read_to_string(testdata("../docs/format.md")).unwrap()
}

/// Returns the fenced block that is marked `kind name`, such as `json config`.
pub(crate) fn block(page: &str, mark: &str) -> String {
    let start = format!("```{mark}\n");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{mark}"));
    let (block, rest) = rest.split_once("```").unwrap();
    assert!(!rest.contains(&start), "`{mark}` stands there twice");
    block.to_owned()
}

/// Packs the example of the page.
pub(crate) fn example(page: &str) -> Sandbox {
    let kit = Sandbox::new();
    kit.file("tiny/Kitfile", block(page, "yaml Kitfile"));
    kit.file("tiny/model.bin", "weights");
    kit.file("tiny/data/rows.csv", "a,b\n1,2\n");
    kit.file("tiny/data/é.csv", "");
    kit.run(["pack", "tiny", "-t", "team/tiny:1"]).success();
    kit
}

#[test]
fn the_example_is_what_pack_makes_of_it() {
    let page = page();
    let kit = example(&page);
    let store = kit.store();
    let text = |digest: &str| String::from_utf8(store.blob(digest)).unwrap() + "\n";

    let digest = store.names().remove("team/tiny:1").unwrap();
    let manifest = store.manifest(&digest);
    assert_eq!(block(&page, "json manifest"), text(&digest));
    let config = manifest["config"]["digest"].as_str().unwrap();
    assert_eq!(block(&page, "json config"), text(config));
    let index = fs::read_to_string(store.path().join("index.json")).unwrap();
    assert_eq!(block(&page, "json index"), index + "\n");

    let layer = store.blob(&store.layers(&digest)[1].1);
    assert_eq!(layer.len(), 4096);
    assert_eq!(block(&page, "text layer"), rows(&layer));
}

/// Writes the rows of 16 bytes that are not all zeros.
fn rows(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, row) in bytes.chunks(16).enumerate() {
        if row.iter().all(|byte| *byte == 0) {
            continue;
        }
        write!(text, "{:03x} ", 16 * number).unwrap();
        for pair in row.chunks(2) {
            write!(text, " {:02x}{:02x}", pair[0], pair[1]).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_log_of_names_has_the_lines_that_are_told() {
    let page = page();
    let kit = example(&page);
    let log = fs::read_to_string(kit.store().path().join("names.log")).unwrap();
    let without_time = |line: &str| {
        let (time, rest) = line.split_once(',').unwrap();
        assert_eq!(
            time.len(),
            r#"{"time":"2026-01-02T03:04:05.678Z""#.len(),
            "{line}"
        );
        rest.to_owned()
    };
    assert_eq!(
        without_time(&block(&page, "json names")),
        without_time(&log)
    );
}

#[test]
fn a_blob_stamp_is_laid_out_as_the_table_says() {
    let kit = example(&page());
    let store = kit.store();
    let stamps = fs::read(store.path().join("blob-stamps")).unwrap();
    let records: Vec<&[u8]> = stamps.chunks(80).collect();
    assert_eq!(records.len(), 4);
    for record in records {
        let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
        let digest = record[..32].iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let blob = store.blob_path(&format!("sha256:{digest}"));
        let metadata = fs::metadata(blob).unwrap();
        assert_eq!(number(48), metadata.len());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let time = |seconds: i64, rest: i64| u64::try_from(seconds * 1_000_000_000 + rest);
            assert_eq!(number(32), metadata.dev());
            assert_eq!(number(40), metadata.ino());
            assert_eq!(
                Ok(number(56)),
                time(metadata.mtime(), metadata.mtime_nsec())
            );
            assert_eq!(
                Ok(number(64)),
                time(metadata.ctime(), metadata.ctime_nsec())
            );
        }
        let checked = [b"kit blob stamp 1\n", &record[..72]].concat();
        let hash = modelkit::digest::Digest::of(&checked);
        assert_eq!(record[72..], hash.as_bytes()[..8]);
    }
}

/// A constant of the program.
#[derive(Debug)]
struct Constant {
    /// Its file below `src`.
    file: String,
    name: String,
    value: String,
}

/// Collects the constants of unsigned types in the sources at `folder`, whose name is `name`.
fn constants(folder: &Path, name: &str, found: &mut Vec<Constant>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file = format!("{name}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            constants(&entry.path(), &format!("{file}/"), found);
            continue;
        }
        for line in fs::read_to_string(entry.path()).unwrap().lines() {
            let constant = line.split_once("const ").and_then(|(_, rest)| {
                let (name, rest) = rest.split_once(": u")?;
                let (_, value) = rest.strip_suffix(';')?.split_once(" = ")?;
                Some((name.to_owned(), value.to_owned()))
            });
            if let Some((name, value)) = constant {
                let file = file.clone();
                found.push(Constant { file, name, value });
            }
        }
    }
}

#[test]
fn every_limit_is_in_the_table_with_its_value() {
    let page = page();
    let (_, limits) = page.split_once("\n## Limits\n").unwrap();
    let (limits, _) = limits.split_once("\n## ").unwrap();
    let mut constants = {
        let mut found = Vec::new();
        constants(&testdata("../src"), "", &mut found);
        found
    };
    let rows: Vec<&str> = limits.lines().filter(|row| row.ends_with("` |")).collect();
    assert!(rows.len() > 30, "{rows:?}");
    for row in rows {
        let quoted: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let [.., value, place, name] = quoted.as_slice() else {
            panic!("{row}");
        };
        let count = constants.len();
        constants.retain(|constant| {
            let is_it = constant.file.starts_with(place) && constant.name == *name;
            assert!(!is_it || constant.value == *value, "{row}\n{constant:?}");
            !is_it
        });
        assert!(constants.len() < count, "there is no such constant: {row}");
    }
    constants.retain(|Constant { name, .. }| {
        // The largest number of a field is a fact about tar, not a limit of ours.
        let words = ["MAX", "LIMIT", "LONGEST"];
        words.iter().any(|word| name.contains(word)) && name != "OCTAL_MAX"
    });
    assert!(
        constants.is_empty(),
        "docs/format.md, Limits: add rows for {constants:?}"
    );
}

#[test]
fn the_limits_that_can_be_moved_are_those_of_the_code() {
    let page = page();
    let (_, moved) = page.split_once("\n### Limits that can be moved\n").unwrap();
    let (moved, _) = moved.split_once("\n## ").unwrap();
    let rows: Vec<_> = moved.lines().filter(|it| it.starts_with("| `")).collect();
    let expected = limits::ALL.map(|limit| {
        let most = match limit.most {
            u64::MAX => "–".to_owned(),
            most => most.to_string(),
        };
        let (name, default, what) = (limit.name, limit.default, limit.what);
        format!("| `{name}` | {default} | {most} | {what} |")
    });
    assert_eq!(rows, expected);
}

#[test]
fn the_documented_failure_is_what_a_program_gets() {
    let output = Sandbox::new().run(["unpack", "nix:1", "--format", "json"]);
    assert_eq!(output.code, 3);
    let page = page();
    let documented = page
        .lines()
        .find(|line| line.starts_with(r#"{"error":"#))
        .unwrap();
    assert_eq!(output.stderr.trim_end(), documented);
}
