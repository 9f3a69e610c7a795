//! What stands in the target before, and what may become of it.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::{files, packed};
use crate::support::trees::Fingerprint;

#[test]
fn equal_files_are_left_alone_and_all_others_are_named_at_once() {
    let kit = packed();
    kit.run(["unpack", "net:1", "-d", "out"]).success();
    let before = fs::metadata(kit.path("out/model/net.bin"))
        .unwrap()
        .modified()
        .unwrap();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
0 files written, 12 already there (0 B)
[exit 0]

"#]]
    );
    let after = fs::metadata(kit.path("out/model/net.bin"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);

    kit.file("out/README.md", "other")
        .file("out/code/a.py", "of the same length?\n");
    fs::remove_file(kit.path("out/lora.bin")).unwrap();
    kit.dir("out/lora.bin");
    fs::remove_dir_all(kit.path("out/data/test")).unwrap();
    kit.file("out/data/test", "no folder");
    fs::remove_file(kit.path("out/model/net.bin")).unwrap();
    let before = Fingerprint::of(&kit.path("out"), true);
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "-q"]),
        str![[r#"
[stderr]
error: 4 paths in the target are in the way
  README.md exists with other content
  code/a.py exists with other content
  data/test is not a folder
  lora.bin is a folder
hint: --overwrite replaces files that differ, --ignore-existing keeps them, -d DIR unpacks elsewhere
[exit 1]

"#]]
    );
    assert_eq!(Fingerprint::of(&kit.path("out"), true), before);
}

#[test]
fn overwrite_replaces_and_ignore_existing_keeps() {
    let kit = packed();
    kit.file("out/README.md", "mine")
        .file("out/Kitfile", "mine")
        .exec("out/lora.bin", "mine");
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "-q"]),
        str![[r#"
[stderr]
error: 3 paths in the target are in the way
  Kitfile exists with other content
  README.md exists with other content
  lora.bin exists with other content
hint: --overwrite replaces files that differ, --ignore-existing keeps them, -d DIR unpacks elsewhere
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "-i"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
9 files written, 3 kept although different (222 B)
[exit 0]

"#]]
    );
    assert_eq!(fs::read(kit.path("out/README.md")).unwrap(), b"mine");
    assert_eq!(fs::read(kit.path("out/Kitfile")).unwrap(), b"mine");
    // Both: what is to be kept is kept.
    kit.run(["unpack", "net:1", "-d", "out", "-i", "-o"])
        .success();
    assert_eq!(fs::read(kit.path("out/README.md")).unwrap(), b"mine");
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "-o"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
0 files written, 3 replaced, 9 already there (318 B)
[exit 0]

"#]]
    );
    let mut out = Fingerprint::of(&kit.path("out"), true);
    let mut src = Fingerprint::of(&kit.path("src"), true);
    out.0.remove(&b"Kitfile"[..]);
    src.0.remove(&b"Kitfile"[..]);
    assert_eq!(out, src);
    // What cannot be replaced by a file is not.
    fs::remove_file(kit.path("out/README.md")).unwrap();
    kit.file("out/README.md/x", "");
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "-o", "-q"]),
        str![[r#"
[stderr]
error: 1 path in the target is in the way
  README.md is a folder
hint: move that away, or unpack elsewhere with -d DIR
[exit 1]

"#]]
    );
    assert!(kit.path("out/README.md/x").exists());
}

// hazard: 39
#[test]
fn a_file_that_a_killed_run_cut_off_is_completed() {
    let kit = packed();
    kit.file("out/model/net.bin", "content of mod")
        .file("out/README.md", "");
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
10 files written, 2 completed (526 B)
[exit 0]

"#]]
    );
    assert_eq!(
        fs::read(kit.path("out/model/net.bin")).unwrap(),
        b"content of model/net.bin\n"
    );
}

// hazard: 40
#[test]
fn the_target_must_be_a_folder() {
    let kit = packed();
    kit.file("file", "x");
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "file", "-q"]),
        str![[r#"
[stderr]
error: file is not a folder
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "file/below", "-q"]),
        str![[r#"
[stderr]
error: cannot unpack into file/below
  caused by: Not a directory (os error 20)
[exit 1]

"#]]
    );
    kit.run(["unpack", "net:1", "-d", "new/deep/er"]).success();
    assert!(kit.path("new/deep/er/Kitfile").exists());
}

// hazard: 15, 16, 40
#[cfg(unix)]
#[test]
fn the_target_may_be_a_link_and_nothing_below_it() {
    let kit = packed();
    kit.dir("real").symlink("real", "link");
    kit.run(["unpack", "net:1", "-d", "link"]).success();
    assert!(kit.path("real/Kitfile").exists());

    kit.dir("elsewhere")
        .dir("out")
        .symlink("../elsewhere", "out/data")
        .symlink("nowhere", "out/model");
    for flags in [&[][..], &["-o"], &["-i"]] {
        let words = ["unpack", "net:1", "-d", "out"];
        let output = kit.run(words.iter().chain(flags));
        assert_data_eq!(
            output,
            str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
error: 2 paths in the target are in the way
  data is a symbolic link
  model is a symbolic link
hint: move that away, or unpack elsewhere with -d DIR
[exit 1]

"#]]
        );
        assert_eq!(fs::read_dir(kit.path("elsewhere")).unwrap().count(), 0);
        assert!(!kit.path("out/nowhere").exists());
    }
}

// hazard: 17, 18
#[cfg(unix)]
#[test]
fn a_linked_kitfile_is_replaced_itself_on_request_and_never_written_through() {
    let kit = packed();
    for (target, content) in [("../precious", Some("mine")), ("../dangling", None)] {
        let _ = fs::remove_dir_all(kit.path("out"));
        kit.dir("out").symlink(target, "out/Kitfile");
        if let Some(content) = content {
            kit.file("precious", content);
        }
        let output = kit
            .run(["unpack", "net:1", "-d", "out", "-f", "kitfile"])
            .exits(1);
        assert_data_eq!(
            output,
            str![[r#"
[stderr]
Unpacking to [WORK]/out
error: 1 path in the target is in the way
  Kitfile is a symbolic link
hint: move that away, or unpack elsewhere with -d DIR
[exit 1]

"#]]
        );
        kit.run(["unpack", "net:1", "-d", "out", "-f", "kitfile", "-o"])
            .success();
        assert!(
            fs::symlink_metadata(kit.path("out/Kitfile"))
                .unwrap()
                .is_file()
        );
        assert_eq!(fs::read(kit.path("precious")).unwrap(), b"mine");
        assert!(!kit.path("dangling").exists());
    }
}

// hazard: 40
#[cfg(unix)]
#[test]
fn a_target_that_may_not_be_written_is_named() {
    use crate::support::set_mode;
    let kit = packed();
    kit.dir("out");
    set_mode(&kit.path("out"), 0o555);
    if let Some(output) = crate::pack::as_nobody(&kit, &["unpack", "net:1", "-d", "out"]) {
        assert_data_eq!(
            output,
            str![[r#"
[stderr]
Unpacking to [WORK]/out
error: cannot unpack into out
  caused by: Permission denied (os error 13)
[exit 4]

"#]]
        );
    }
    set_mode(&kit.path("out"), 0o755);
}

#[test]
fn what_a_killed_run_left_is_swept_and_the_users_own_is_not() {
    let kit = packed();
    kit.file("out/.kit-unpack-0123456789abcdef/x", "left")
        .file("out/.kit-unpack-mine", "a file");
    kit.run(["unpack", "net:1", "-d", "out"]).success();
    assert!(!kit.path("out/.kit-unpack-0123456789abcdef").exists());
    let left = files(&kit, "out");
    assert!(
        left.lines()
            .filter(|line| line.contains(".kit-unpack"))
            .eq([".kit-unpack-mine"]),
        "{left}"
    );
}

// hazard: 24
#[test]
#[cfg(target_os = "linux")] // where names are told apart
fn names_that_other_systems_do_not_tell_apart_are_told() {
    let kit = crate::support::Sandbox::new();
    kit.file("src/Kitfile", "code: [{path: a}]\ndocs: [{path: b}]\n")
        .file("src/a/File", "one\n")
        .file("src/a/file", "two\n")
        .file("src/a/dir/x", "three\n")
        .file("src/b/x", "four\n");
    kit.run(["pack", "src", "-t", "net:1"]).success();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking code `a`
Unpacking docs `b`
warning: the kit holds `a/file` and another name that is the same on systems that fold case or accents
5 files written (75 B)
[exit 0]

"#]]
    );
    // Also when nothing is written, and not of what is left out.
    let again = kit.run(["unpack", "net:1", "-d", "out"]);
    assert!(again.stderr.contains("warning: the kit holds `a/file` and"));
    let part = kit.run(["unpack", "net:1", "-d", "part", "--exclude", "a/File"]);
    assert!(!part.stderr.contains("warning"), "{}", part.stderr);
}
