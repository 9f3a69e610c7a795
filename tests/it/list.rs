//! `kit list`

use std::{fs, process::Stdio};

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    kits::{blobs, damage, lose, pack, pack_kitfile},
};

#[test]
fn an_empty_store_lists_nothing_and_is_not_made() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["list"]),
        str![[r#"
REPOSITORY   TAG   MAINTAINER   NAME   SIZE   DIGEST
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["ls", "--format", "json"]),
        str![[r#"
[]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["list", "--format", "{{ .Repo }}"]),
        str![[r#"
[exit 0]

"#]]
    );
    assert!(!kit.store().path().exists());
}

#[test]
fn a_table_has_a_row_for_each_tag_and_kits_without_a_name_come_last() {
    let kit = Sandbox::new();
    pack(&kit, "team/net:1.0,prod", "one");
    pack(&kit, "team/net:1.0", "two");
    pack(&kit, "team/net:1.0", "three"); // takes the last tag of `two`
    pack(&kit, "", "one");
    pack(&kit, "a.example:5000/x:1", "one");
    assert_data_eq!(
        kit.run(["list"]).hide_digests(),
        str![[r#"
REPOSITORY         TAG      MAINTAINER   NAME   SIZE      DIGEST
a.example:5000/x   1        Ann          net    2.0 KiB   sha256:[DIGEST]
team/net           <none>   Ann          net    2.0 KiB   sha256:[DIGEST]
team/net           prod     Ann          net    2.0 KiB   sha256:[DIGEST]
team/net           1.0      Ann          net    2.0 KiB   sha256:[DIGEST]
<none>             <none>   Ann          net    2.0 KiB   sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["list", "--local", "a.example:5000/x"])
            .hide_digests(),
        str![[r#"
REPOSITORY         TAG   MAINTAINER   NAME   SIZE      DIGEST
a.example:5000/x   1     Ann          net    2.0 KiB   sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["list", "team/net:prod"]).hide_digests(),
        str![[r#"
REPOSITORY   TAG    MAINTAINER   NAME   SIZE      DIGEST
team/net     prod   Ann          net    2.0 KiB   sha256:[DIGEST]
[exit 0]

"#]]
    );
}

#[test]
fn an_unknown_repository_is_not_found_with_a_suggestion() {
    let kit = Sandbox::new();
    pack(&kit, "team/net:1.0", "one");
    assert_data_eq!(
        kit.run(["list", "team/ent"]),
        str![[r#"
[stderr]
error: no kit of team/ent in the store
hint: there is `team/net`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["list", "team/net:2"]),
        str![[r#"
[stderr]
error: no kit of team/net:2 in the store
hint: there is `team/net`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["list", "other"]),
        str![[r#"
[stderr]
error: no kit of other in the store
hint: `kit list` shows what there is
[exit 3]

"#]]
    );
}

#[test]
fn json_has_the_keys_of_the_reference_and_the_size_in_bytes() {
    let kit = Sandbox::new();
    pack(&kit, "team/net:1.0,prod", "one");
    pack_kitfile(
        &kit,
        "",
        "manifestVersion: 1.0.0\ncode: [{path: model.bin}]\n",
    );
    let output = kit.run(["list", "--format", "json"]).hide_digests();
    assert_data_eq!(
        output,
        str![[r#"
[
  {
    "repo": "team/net",
    "digest": "sha256:[DIGEST]",
    "tags": [
      "1.0",
      "prod"
    ],
    "modelName": "net",
    "size": 2048,
    "author": "Ann"
  },
  {
    "repo": "<none>",
    "digest": "sha256:[DIGEST]",
    "tags": [],
    "modelName": "<none>",
    "size": 2048,
    "author": "<none>"
  }
]
[exit 0]

"#]]
    );
    let template = "{{ .Repo }} {{ .Tags }} {{ .ModelName }} {{ .Size }} {{ .Author }}";
    assert_data_eq!(
        kit.run(["list", "--format", template]),
        str![[r#"
team/net [1.0 prod] net 2048 Ann
<none> [] <none> 2048 <none>
[exit 0]

"#]]
    );
}

// hazard: 90, 91
#[test]
fn a_kit_that_cannot_be_read_is_marked_and_the_others_are_listed() {
    for broken in [lose, damage] {
        for what in ["manifest", "config"] {
            let kit = Sandbox::new();
            pack(&kit, "a:1", "whole");
            let manifest = pack_kitfile(
                &kit,
                "b:1,2",
                "manifestVersion: 1.0.0\npackage: {name: other}\nmodel: {name: m, path: model.bin}\n",
            );
            let (config, _) = blobs(&kit, &manifest);
            broken(
                &kit,
                if what == "manifest" {
                    &manifest
                } else {
                    &config
                },
            );
            let output = kit.run(["list"]).exits(5);
            let rows: Vec<&str> = output.stdout.lines().collect();
            assert!(
                rows[1].starts_with("a ") && rows[1].contains("net "),
                "{output}"
            );
            assert_eq!(output.stdout.matches("(damaged)").count(), 2, "{output}");
            assert!(
                output
                    .stderr
                    .starts_with("error: 1 kit cannot be read\n  b:1: "),
                "{output}"
            );
            let output = kit.run(["list", "--format", "json"]).exits(5);
            let rows: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
            assert_eq!(rows[0]["problem"], serde_json::Value::Null);
            assert!(
                rows[1]["problem"]
                    .as_str()
                    .unwrap()
                    .contains("blob sha256:")
            );
        }
    }
}

// hazard: 92
#[test]
fn a_lost_layer_does_not_concern_the_list() {
    let kit = Sandbox::new();
    let manifest = pack(&kit, "a:1", "one");
    lose(&kit, &blobs(&kit, &manifest).1[0]);
    kit.run(["list"]).success();
    kit.run(["remove", "a:1"]).success();
}

// hazard: 93
#[test]
fn a_lost_index_is_restored_for_the_list() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    fs::write(kit.store().path().join("index.json"), "{").unwrap();
    let output = kit.run(["list"]).exits(0);
    assert!(output.stdout.contains("\na "), "{output}");
    assert!(
        output
            .stderr
            .starts_with("warning: the index of the store was lost"),
        "{output}"
    );
}

// hazard: 133
#[test]
fn control_characters_are_shown_escaped_and_kept_in_json() {
    let kit = Sandbox::new();
    kit.file("packed/m", "");
    let kitfile = "manifestVersion: 1.0.0\n\
                   package: {name: \"a\\nb\", authors: [\"\\e]0;owned\\a\\u202e\"]}\n\
                   model: {name: m, path: m}\n";
    pack_kitfile(&kit, "evil:1", kitfile);
    for output in [
        kit.run(["list"]),
        kit.run(["list", "--color", "always"]),
        kit.run(["list", "--format", "{{ .Author }}"]),
    ] {
        let shown = output.success();
        assert!(shown.contains("\\x1b]0;owned\\x07\\u{202e}"), "{shown}");
        assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown}");
    }
    let json = kit.run(["list", "--format", "json"]).json();
    assert_eq!(json[0]["author"], "\x1b]0;owned\x07\u{202e}");
    assert_eq!(json[0]["modelName"], "a\nb");
}

// hazard: 142
#[test]
fn a_closed_pipe_ends_the_list_with_0() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let mut child = kit
        .command(["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

// hazard: 134
#[test]
fn colours_are_for_the_error_and_not_with_no_color() {
    let mut kit = Sandbox::new();
    kit.env("NO_COLOR", "1");
    let plain = kit.run(["list", "x"]).exits(3);
    assert!(!plain.stderr.contains('\x1b'), "{plain}");
    let coloured = kit.run(["list", "x", "--color", "always"]).exits(3);
    assert!(coloured.stderr.contains('\x1b'), "{coloured}");
}

// hazard: 133, 134
#[test]
fn a_table_stays_one_whatever_names_and_terminals_are_like() {
    let mut kit = Sandbox::new();
    let names = [
        "模".repeat(3500),
        "e\u{301}\u{202e}".repeat(1500),
        "\u{200b}\u{1f468}\u{200d}\u{1f469}\u{feff}".repeat(500),
        "\u{1b}]0;owned\u{7}\u{9b}2J\r\n".repeat(500),
    ];
    for (number, name) in names.iter().enumerate() {
        let kitfile = serde_json::json!({
            "package": {"name": name, "authors": [name], "version": name},
            "model": {"path": "model.bin"},
        });
        kit.file("packed/model.bin", "weights");
        // As YAML takes it.
        let kitfile = kitfile.to_string().replace('\u{9b}', "\\u009b");
        pack_kitfile(&kit, &format!("net:{number}"), &kitfile);
    }
    for terminal in ["dumb", "xterm", ""] {
        for columns in ["0", "1", "80", "99999999999999999999", "x"] {
            kit.env("TERM", terminal);
            kit.env("COLUMNS", columns);
            kit.env("NO_COLOR", "1");
            let list = kit.run(["list"]).success();
            assert_eq!(
                list.lines().count(),
                1 + names.len(),
                "{terminal} {columns}"
            );
            let is_active = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!list.contains(is_active), "{terminal} {columns}");
        }
    }
    for number in 0..names.len() {
        for command in ["info", "inspect", "files", "history"] {
            kit.run([command, &format!("net:{number}")]).success();
        }
    }
    let rows = kit.run(["list", "--format", "json"]).json();
    for name in &names {
        let is_its =
            |row: &&serde_json::Value| row["modelName"] == **name && row["author"] == **name;
        assert_eq!(rows.as_array().unwrap().iter().filter(is_its).count(), 1);
    }
}
