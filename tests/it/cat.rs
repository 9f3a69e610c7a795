//! `kit cat`: one file of a kit.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

use snapbox::{assert_data_eq, str};

use super::support::{Sandbox, testdata};

/// Returns a sandbox with the kit `q:1`.
fn packed() -> Sandbox {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "q");
    let _ = kit.run(["pack", "q", "-t", "q:1"]).success();
    kit
}

#[test]
fn a_file_comes_out_byte_for_byte() {
    let kit = packed();
    for path in ["src/train.py", "data/train.csv", "./model//weights.json"] {
        let content = fs::read_to_string(kit.path("q").join(path)).unwrap();
        assert_eq!(kit.run(["cat", "q:1", path]).success(), content, "{path}");
    }
}

#[test]
fn the_kitfile_is_a_file_of_every_kit() {
    let kit = packed();
    let text = kit.run(["cat", "q:1", "Kitfile"]).success();
    assert!(text.starts_with("manifestVersion: "), "{text}");
    kit.dir("again").file("again/Kitfile", text);
    let again = kit.run_with(["check", "q", "-f", "again/Kitfile"], b"");
    let _ = again.success();
}

#[test]
fn what_is_no_file_is_told_with_what_is() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["cat", "q:1", "train.py"]),
        str![[r#"
[stderr]
error: q:1 holds no file `train.py`
hint: there is `src/train.py`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["cat", "q:1", "src/trian.py"]),
        str![[r#"
[stderr]
error: q:1 holds no file `src/trian.py`
hint: there is `src/train.py`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["cat", "q:1", "nothing-like-it"]),
        str![[r#"
[stderr]
error: q:1 holds no file `nothing-like-it`
hint: `kit files` lists the paths
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["cat", "q:1", "src/"]),
        str![[r#"
[stderr]
error: `src` in q:1 is a folder
hint: `kit files q:1 --include 'src'` lists what is in it
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["cat", "q:1", "."]),
        str![[r#"
[stderr]
error: `.` in q:1 is a folder
hint: `kit files q:1` lists what is in it
[exit 1]

"#]]
    );
}

// hazard: 85
#[test]
fn not_one_byte_of_a_damaged_layer_is_printed() {
    let kit = packed();
    let digest = &kit.store().names()["q:1"];
    for (_, layer, _) in kit.store().layers(digest) {
        let path = kit.store().blob_path(&layer);
        let mut content = fs::read(&path).unwrap();
        let last = content.len() - 1;
        content[last] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
    }
    let output = kit.run(["cat", "q:1", "src/train.py"]).exits(5);
    assert_eq!(output.stdout, "");
}

// hazard: 142
#[test]
fn a_reader_that_had_enough_is_no_failure() {
    let kit = Sandbox::new();
    kit.file("big/a.bin", vec![7; 4 << 20]);
    kit.file("big/Kitfile", "model:\n  path: a.bin\n");
    let _ = kit.run(["pack", "big", "-t", "big:1"]).success();
    for arguments in [
        &["cat", "big:1", "a.bin"][..],
        &["save", "big:1", "-o", "-"],
    ] {
        let mut command: Command = kit.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("error"), "{arguments:?}: {errors}");
    }
}
