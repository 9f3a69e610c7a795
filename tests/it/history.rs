//! `kit history`

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use snapbox::{assert_data_eq, str};

use crate::support::{Output, Sandbox, kits::pack};

/// Puts `[TIME]` for each time, and letters for the digests in the order they appear first.
fn plain(output: Output, digests: &[&str]) -> Output {
    let year = |at: usize, text: &str| text[at..].starts_with("20") && text[at..].contains('T');
    output.map(|text| {
        let mut text = text.to_owned();
        for (digest, letter) in digests
            .iter()
            .zip(["AAAAAAAAAA", "BBBBBBBBBB", "CCCCCCCCCC"])
        {
            let hex = digest.trim_start_matches("sha256:");
            text = text.replace(hex, letter).replace(&hex[..10], letter);
        }
        let lines = text.lines().map(|line| {
            let is_row = line.len() > 20 && year(0, line);
            let line = if is_row {
                &format!("[TIME]              {}", &line[20..])
            } else {
                line
            };
            format!("{line}\n")
        });
        lines.collect()
    })
}

#[test]
fn changes_are_told_newest_first() {
    let kit = Sandbox::new();
    let one = pack(&kit, "team/net:1.0,prod", "one");
    let two = pack(&kit, "team/net:prod", "two");
    kit.run(["tag", "team/net:prod", "other:1"]).success();
    let nameless = pack(&kit, "", "three");
    kit.run(["remove", "team/net:1.0"]).success();
    let digests = [&*one, &*two, &*nameless];
    let shown = |line: &[&str]| plain(kit.run([&["history"], line].concat()), &digests);
    assert_data_eq!(
        shown(&[]),
        str![[r#"
TIME                   NAME            KIT          BEFORE       COMMAND
[TIME]                 team/net:1.0    removed      AAAAAAAAAA   kit remove
[TIME]                 <none>          CCCCCCCCCC   -            kit pack
[TIME]                 other:1         BBBBBBBBBB   -            kit tag
[TIME]                 team/net:prod   BBBBBBBBBB   AAAAAAAAAA   kit pack
[TIME]                 team/net:prod   AAAAAAAAAA   -            kit pack
[TIME]                 team/net:1.0    AAAAAAAAAA   -            kit pack
[exit 0]

"#]]
    );
    assert_data_eq!(
        shown(&["team/net:prod"]),
        str![[r#"
TIME                   NAME            KIT          BEFORE       COMMAND
[TIME]                 team/net:prod   BBBBBBBBBB   AAAAAAAAAA   kit pack
[TIME]                 team/net:prod   AAAAAAAAAA   -            kit pack
[exit 0]

"#]]
    );
    assert_data_eq!(
        shown(&["team/net", "-n", "2"]),
        str![[r#"
TIME                   NAME            KIT          BEFORE       COMMAND
[TIME]                 team/net:1.0    removed      AAAAAAAAAA   kit remove
[TIME]                 team/net:prod   BBBBBBBBBB   AAAAAAAAAA   kit pack
[exit 0]

"#]]
    );
    assert_data_eq!(
        shown(&[&two]),
        str![[r#"
TIME                   NAME            KIT          BEFORE       COMMAND
[TIME]                 other:1         BBBBBBBBBB   -            kit tag
[TIME]                 team/net:prod   BBBBBBBBBB   AAAAAAAAAA   kit pack
[exit 0]

"#]]
    );
    assert_data_eq!(
        shown(&["team/ent"]),
        str![[r#"
[stderr]
error: nothing is known of team/ent: no kit in the store has had that name
hint: there is `team/net`
[exit 3]

"#]]
    );
    for line in shown(&[]).stdout.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn a_kit_that_is_gone_is_not_offered() {
    let kit = Sandbox::new();
    let one = pack(&kit, "net:1", "one");
    pack(&kit, "net:1", "two");
    let offered = kit.run(["history", "net:1"]);
    let back = format!("`kit tag net@{one} net:1`");
    assert!(offered.stderr.contains(&back), "{offered}");
    kit.run(["remove", &format!("net@{one}")]).success();
    let gone = kit.run(["history", "net:1"]);
    assert_eq!(gone.stderr, "");
    let rows = kit.run(["history", "net:1", "--format", "json"]).json();
    assert_eq!(rows[0]["oldInStore"], false);
    assert_eq!(rows[0]["newInStore"], true);
    assert_eq!(rows[0]["old"], one.as_str());
}

#[test]
fn the_way_back_that_is_offered_works() {
    let kit = Sandbox::new();
    let one = pack(&kit, "net:1", "one");
    pack(&kit, "net:1", "two");
    let offered = kit.run(["history", "net:1"]).stderr;
    let line: Vec<&str> = offered
        .split('`')
        .nth(1)
        .unwrap()
        .split(' ')
        .skip(1)
        .collect();
    kit.run(line).success();
    assert_eq!(kit.store().names()["net:1"], one);
}

#[test]
fn damaged_lines_are_told_and_the_others_are_shown() {
    let kit = Sandbox::new();
    pack(&kit, "net:1", "one");
    let log = kit.store().path().join("names.log");
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(b"something else\n").unwrap();
    pack(&kit, "net:2", "one");
    let output = kit.run(["history"]);
    assert!(
        output
            .stderr
            .contains("warning: line 2 of names.log cannot be read"),
        "{output}"
    );
    assert_eq!(output.exits(0).stdout.lines().count(), 3);
}

#[test]
fn a_change_that_was_written_down_and_not_made_is_told_apart() {
    let kit = Sandbox::new();
    pack(&kit, "net:1", "one");
    let index = kit.store().path().join("index.json");
    let before = fs::read(&index).unwrap();
    pack(&kit, "net:1", "two");
    // As if the program had been killed before it replaced the index.
    fs::write(&index, before).unwrap();
    let done = || {
        let rows = kit.run(["history", "net:1", "--format", "json"]).json();
        let rows = rows.as_array().unwrap();
        rows.iter()
            .map(|row| row["done"] == true)
            .collect::<Vec<_>>()
    };
    assert_eq!(done(), [false, true]);
    let shown = kit.run(["history"]).success();
    assert!(shown.contains("kit pack (not done)"), "{shown}");
    pack(&kit, "net:1", "three");
    assert_eq!(done(), [true, false, true]);
}

#[test]
fn an_empty_store_has_no_history() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["history"]),
        str![[r#"
TIME   NAME   KIT   BEFORE   COMMAND
[exit 0]

"#]]
    );
    assert_eq!(kit.run(["history", "--format", "json"]).success(), "[]\n");
    assert!(!kit.store().path().exists());
}
