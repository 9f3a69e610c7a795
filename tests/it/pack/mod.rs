//! `kit pack`: what goes into a kit, what does not, and what is said about it.

mod compression; // what compressed layers are
mod draft; // no Kitfile: one is drafted
mod kitfile; // which Kitfile, and what each section becomes
mod links; // symbolic links, by where they end
mod modes; // what can be executed
mod moving; // what changes while it is walked
mod output; // what is printed, what is dry, what is done again
mod raw; // files as layers, without an archive around them
mod room; // what is taken of the disk
mod toc; // tables of contents

use snapbox::{assert_data_eq, str};

use crate::support::Sandbox;

/// Writes a Kitfile that names `path` as code.
fn code(kit: &Sandbox, path: &str) {
    kit.file("Kitfile", format!("code:\n  - path: {path}\n"));
}

/// Returns the files that a kit of the working directory would hold, one a line.
fn would_hold(kit: &Sandbox) -> String {
    let text = kit.run(["pack", "--dry-run", "-q"]).success();
    let files = text.lines().filter_map(|line| line.strip_prefix("  "));
    files.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "model:\n  name: m\n  path: nope\n");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: path `nope` does not exist
hint: the paths of a Kitfile are relative to the directory that is packed
[exit 3]

"#]]
    );
    kit.file(
        "Kitfile",
        "model:\n  path: nope\ndocs:\n  - path: ./file//below\n  - path: there\n",
    );
    kit.file("there", "").file("file", "");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: 2 paths of the Kitfile do not exist
  `nope`
  `file/below`
hint: the paths of a Kitfile are relative to the directory that is packed
[exit 3]

"#]]
    );
    kit.file("Kitfile", "docs:\n  - path: file/below\n");
    kit.file("file", "");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: path `file/below` does not exist
hint: the paths of a Kitfile are relative to the directory that is packed
[exit 3]

"#]]
    );
}

// hazard: 44
#[test]
fn a_path_outside_the_context_is_refused_before_anything_is_read() {
    let kit = Sandbox::new();
    kit.file("secret", "s").dir("context");
    for path in ["../secret", "a/../../secret", "/etc/passwd"] {
        kit.file("context/Kitfile", format!("docs:\n- path: {path}\n"));
        let output = kit.run(["pack", "context"]).exits(1);
        let expected = "line 2, column 9: ";
        assert!(output.stderr.contains(expected), "{output}");
        assert!(output.stderr.contains(path), "{output}");
    }
}

#[test]
fn a_directory_that_is_not_there_or_no_directory_is_named() {
    let kit = Sandbox::new();
    kit.file("file", "");
    assert_data_eq!(
        kit.run(["pack", "nowhere"]),
        str![[r#"
[stderr]
error: there is no folder nowhere
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "file"]),
        str![[r#"
[stderr]
error: file is not a folder
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "a", "b"]),
        str![[r#"
[stderr]
error: unexpected argument 'b'
hint: see `kit pack --help`
[exit 2]

"#]]
    );
}

// hazard: 45
#[cfg(unix)]
#[test]
fn what_is_neither_file_nor_folder_is_named_and_refused_on_request() {
    let kit = Sandbox::new();
    code(&kit, "src");
    kit.file("src/a.py", "a");
    fifo(&kit, "src/queue");
    let _socket = std::os::unix::net::UnixListener::bind(kit.path("src/socket")).unwrap();
    assert_data_eq!(
        kit.run(["pack", "."]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: `src/queue` is a fifo and is not packed
warning: `src/socket` is a socket and is not packed
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "--strict"]),
        str![[r#"
[stderr]
error: `src/queue` is a fifo and cannot be packed
hint: without --strict it is left out
[exit 1]

"#]]
    );
    code(&kit, "src/queue");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: path `src/queue` is neither a file nor a folder
[exit 1]

"#]]
    );
}

// hazard: 45
#[cfg(unix)]
#[test]
fn devices_are_named() {
    let kit = Sandbox::new();
    let made = std::process::Command::new("mknod")
        .arg(kit.path("null"))
        .args(["c", "1", "3"])
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIP: devices cannot be made here");
        return;
    }
    code(&kit, ".");
    kit.file("a", "a");
    assert_data_eq!(
        kit.run(["pack", "."]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: `null` is a device and is not packed
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
}

#[cfg(unix)]
fn fifo(kit: &Sandbox, name: &str) {
    let made = std::process::Command::new("mkfifo")
        .arg(kit.path(name))
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn layers_share_a_tree_by_whole_names() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  path: main\ncode:\n  - path: .\ndatasets:\n  - path: main/sub\n  - path: data\n",
    );
    for file in [
        "main/m",
        "main/sub/d",
        "main/sub-1/m",
        "data/d",
        "data-v2/c",
        "database.txt",
        "c",
    ] {
        kit.file(file, file);
    }
    assert_data_eq!(
        kit.run(["pack", "--dry-run"]),
        str![[r#"
model main (2 files, 18 B)
  main/m
  main/sub-1/m
code . (3 files, 22 B)
  c
  data-v2/c
  database.txt
dataset main/sub (1 file, 10 B)
  main/sub/d
dataset data (1 file, 6 B)
  data/d
[stderr]
7 files of 56 B would be packed
[exit 0]

"#]]
    );
}

#[test]
fn what_is_ignored_is_counted_and_a_layer_that_is_left_out_is_named() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "docs:\n  - path: m/a.md\ncode:\n  - path: .\ndatasets:\n  - path: d\n",
    );
    kit.file(".kitignore", "m/*.md\n*.log\nd\n!d/keep\n");
    for file in [
        "m/a.md",
        "m/b.md",
        "x.log",
        ".git/HEAD",
        "__pycache__/c",
        "s/._x",
        "d/drop",
        "d/keep",
        "code.py",
    ] {
        kit.file(file, file);
    }
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: the Kitfile names what is ignored
  docs `m/a.md`: .kitignore:1: m/*.md
hint: take it out of the Kitfile, or bring it back with `!PATH` in .kitignore
[exit 1]

"#]]
    );
    kit.file(
        "Kitfile",
        "docs:\n  - path: m\ncode:\n  - path: .\ndatasets:\n  - path: d\n",
    )
    .file("m/c.txt", "kept");
    assert_data_eq!(
        kit.run(["pack", "."]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Left out: 5 by .kitignore, 1 ._*, 1 .git, 1 __pycache__
Saved code layer: sha256:[DIGEST]
Saved dataset layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        would_hold(&kit),
        str![[r#"
code.py
d/keep
m/c.txt
"#]]
    );
    // What a re-included file needs to be unpacked is there.
    kit.run(["pack", ".", "-t", "x:1"]).success();
    kit.run(["unpack", "x:1", "-d", "out", "--filter", "datasets"])
        .success();
    assert_eq!(std::fs::read(kit.path("out/d/keep")).unwrap(), b"d/keep");
}

#[test]
fn a_layer_without_content_is_named() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "code:\n  - path: empty\ndocs:\n  - path: nothing.md\n",
    );
    kit.dir("empty/deep").file("nothing.md", "");
    assert_data_eq!(
        kit.run(["pack", "."]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: code `empty` holds no content
warning: docs `nothing.md` holds no content
Saved code layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
}

// hazard: 131
#[test]
fn an_ignore_file_that_cannot_be_understood_is_refused_with_its_line() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file(".kitignore", "ok\n[a\n");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: ./.kitignore cannot be understood
  line 2: `[a`: pattern `[a` holds a `[` that does not begin a set such as `[a-z]`
[exit 1]

"#]]
    );
    kit.file(".kitignore", "!\n");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: ./.kitignore cannot be understood
  line 1: `!`: `!` needs a pattern behind it
[exit 1]

"#]]
    );
}

// hazard: 24, 26, 27, 43, 49, 133
#[test]
fn odd_names_are_packed_and_those_that_clash_elsewhere_are_named() {
    let kit = Sandbox::new();
    code(&kit, "src");
    kit.file("src/w..bin", "1")
        .file("src/a b", "2")
        .file("src/ünï", "3");
    if cfg!(unix) {
        for name in [
            "con",
            "aux.txt",
            "a:b",
            "back\\slash",
            "dot.",
            "A b",
            "new\nline",
            "esc\x1b[31m",
        ] {
            kit.file(format!("src/{name}"), name);
        }
        assert_data_eq!(
            kit.run(["pack", ".", "-t", "odd:1"]).hide_digests(),
            str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: `A b` and `a b` in `src` are one name on systems that fold case or accents
warning: `src/a:b`, `src/aux.txt`, `src/back/slash` and 4 more paths cannot be unpacked on Windows
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged odd:1
[exit 0]

"#]]
        );
    } else {
        kit.run(["pack", ".", "-t", "odd:1"]).success();
    }
    kit.run(["unpack", "odd:1", "-d", "out"]).success();
    let there = crate::support::trees::Fingerprint::of(&kit.path("out/src"), true);
    assert_eq!(
        there,
        crate::support::trees::Fingerprint::of(&kit.path("src"), true)
    );
}

// hazard: 46
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file("a", "a").file("secret", "s");
    crate::support::set_mode(&kit.path("secret"), 0);
    let Some(run) = as_nobody(&kit, &["pack", "."]) else {
        return;
    };
    assert_data_eq!(
        run,
        str![[r#"
[stderr]
error: cannot read ./secret
  caused by: Permission denied (os error 13)
[exit 4]

"#]]
    );
    kit.file("deep/secret", "s");
    crate::support::set_mode(&kit.path("secret"), 0o644);
    crate::support::set_mode(&kit.path("deep"), 0);
    let run = as_nobody(&kit, &["pack", "."]).unwrap();
    crate::support::set_mode(&kit.path("deep"), 0o755);
    assert_data_eq!(
        run,
        str![[r#"
[stderr]
error: cannot read [WORK]/deep
  caused by: Permission denied (os error 13)
[exit 4]

"#]]
    );
}

/// Runs `kit` as a user who may not do everything; `None`, said loudly, if that cannot be.
#[cfg(unix)]
pub(crate) fn as_nobody(kit: &Sandbox, args: &[&str]) -> Option<crate::support::Output> {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(kit.path("")).unwrap().uid();
    if owner != 0 {
        return Some(kit.run(args));
    }
    if !crate::support::have("setpriv") {
        return None;
    }
    // The sandbox must be reachable, and its home writable, for that user.
    let program = kit.path("../kit");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_kit"), &program).unwrap();
    }
    for path in [kit.path(".."), kit.path(""), kit.home().to_owned()] {
        crate::support::set_mode(&path, 0o777);
    }
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(args)
        .current_dir(kit.path(""))
        .env_clear()
        .env("KITOPS_HOME", kit.home())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Some(kit.finish(command, b""))
}
