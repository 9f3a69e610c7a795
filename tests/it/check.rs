//! `kit check`: a Kitfile without packing.

use snapbox::{assert_data_eq, str};

use super::support::{Sandbox, testdata};

#[test]
fn a_sound_kitfile_is_told_with_what_it_names() {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "q");
    assert_data_eq!(
        kit.run(["check", "q"]),
        str![[r#"
Kitfile is valid: 5 layers, 7 files, 11.7 KiB
[exit 0]

"#]]
    );
    let report = kit.run(["check", "q", "--format", "json"]).json();
    assert_eq!(report["valid"], true);
    assert_eq!(report["fileCount"], 7);
    // Nothing is packed.
    assert!(!kit.home().join("store").exists());
}

#[test]
fn all_problems_come_in_one_go() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "pakage: {}\nmodel:\n  path: /abs\n  nam: x\n");
    assert_data_eq!(
        kit.run(["check"]),
        str![[r#"
[stderr]
error: Kitfile is not a valid Kitfile
  line 1, column 1: unknown field `pakage`; did you mean `package`?
  line 3, column 9: absolute paths are not supported in a Kitfile (path /abs in model)
  line 4, column 3: unknown field `nam` in `model`; did you mean `name`?
[exit 1]

"#]]
    );
    let report = kit.run(["check", "--format", "json"]).exits(1);
    let document: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(document["valid"], false);
    let problems = document["problems"].as_array().unwrap();
    assert!(problems.len() >= 2, "{document}");
    assert_eq!(problems[0]["line"], 1);
    assert_eq!(problems[0]["suggestion"], "package");
    assert_eq!(report.stderr, "");
}

#[test]
fn paths_that_do_not_exist_are_all_named() {
    let kit = Sandbox::new();
    kit.file("a", "x").file(
        "Kitfile",
        "model:\n  path: a\ncode:\n  - path: nope\ndocs:\n  - path: neither/this\n",
    );
    assert_data_eq!(
        kit.run(["check"]),
        str![[r#"
[stderr]
error: Kitfile names what does not exist
  code `nope` does not exist
  docs `neither/this` does not exist
hint: the paths of a Kitfile are relative to the directory that is packed
[exit 1]

"#]]
    );
}

#[test]
fn no_kitfile_and_no_folder_are_not_found() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["check"]),
        str![[r#"
[stderr]
error: there is no Kitfile in .
hint: name one with -f; `kit pack --dry-run` shows what a draft would pack
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["check", "absent"]),
        str![[r#"
[stderr]
error: there is no folder absent
[exit 3]

"#]]
    );
}

#[test]
fn strict_takes_warnings_for_mistakes() {
    let kit = Sandbox::new();
    kit.file("a", "x").dir("empty").file(
        "Kitfile",
        "manifestVersion: 1.0.0\nmodel:\n  path: a\ndocs:\n  - path: empty\n",
    );
    assert_data_eq!(
        kit.run(["check"]),
        str![[r#"
Kitfile is valid: 2 layers, 1 file, 1 B
[stderr]
warning: docs `empty` holds no content
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["check", "--strict"]),
        str![[r#"
[stderr]
warning: docs `empty` holds no content
error: 1 warning in the check of Kitfile
hint: without --strict warnings are allowed
[exit 1]

"#]]
    );
}

#[test]
fn an_ignore_file_that_cannot_be_understood_is_a_mistake() {
    let kit = Sandbox::new();
    kit.file("a", "x")
        .file("Kitfile", "model:\n  path: a\n")
        .file(".kitignore", "ok\n[a\n");
    assert_data_eq!(
        kit.run(["check"]),
        str![[r#"
[stderr]
error: ./.kitignore cannot be understood
  line 2: `[a`: pattern `[a` holds a `[` that does not begin a set such as `[a-z]`
[exit 1]

"#]]
    );
}

#[test]
fn another_kitfile_is_found_here_or_in_the_directory() {
    let kit = Sandbox::new();
    let text = "model:\n  path: a\n";
    kit.file("net/a", "x")
        .file("net/there.yaml", text)
        .file("here.yaml", text)
        .file("both.yaml", text)
        .file("net/both.yaml", text);
    for file in ["there.yaml", "here.yaml", "net/there.yaml"] {
        let _ = kit.run(["check", "net", "-f", file]).success();
    }
    let piped = kit.run_with(["check", "net", "-f", "-"], text.as_bytes());
    let _ = piped.success();
    assert_data_eq!(
        kit.run(["check", "net", "-f", "both.yaml"]),
        str![[r#"
[stderr]
error: `both.yaml` could be either of two files
  in the current directory: [WORK]/both.yaml
  in the directory of the kit: [WORK]/net/both.yaml
hint: give the whole path of the one you mean
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["check", "net", "-f", "absent.yaml"]),
        str![[r#"
[stderr]
error: there is no file `absent.yaml`
  neither in the current directory nor in the directory of the kit
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["check", "net", "-f", "net"]),
        str![[r#"
[stderr]
error: the Kitfile net is a folder
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run_with(["check", "net", "-f", "-"], b"modle: {}"),
        str![[r#"
[stderr]
error: standard input is not a valid Kitfile
  line 1, column 1: unknown field `modle`; did you mean `model`?
[exit 1]

"#]]
    );
}
