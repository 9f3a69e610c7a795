//! What can be executed after unpacking.
#![cfg(unix)]

use snapbox::{assert_data_eq, str};

use super::code;
use crate::support::{Sandbox, set_mode};

/// Packs the working directory with these words and returns the files that can be executed.
fn executable(kit: &Sandbox, words: &str) -> Vec<String> {
    let words = words.split_whitespace();
    kit.run(["pack", ".", "-q", "-t", "m:1"].into_iter().chain(words))
        .success();
    let template = "{{ if .executable }}{{ .path }}{{ end }}";
    let listed = kit.run(["files", "m:1", "--format", template]).success();
    let lines = listed.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn the_owners_bit_and_patterns_say_what_can_be_executed() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file("bin/a", "a")
        .file("bin/deep/b", "#!/bin/sh\n")
        .file("run.sh", "#!/bin/sh\n")
        .exec("tool", "t");
    for (words, expected) in [
        ("", "tool"),
        ("--executable bin", "bin/a bin/deep/b tool"),
        ("--executable **.sh --executable bin/a", "bin/a run.sh tool"),
        ("--executable *", "bin/a bin/deep/b run.sh tool"),
        ("--executable ./run.sh", "run.sh tool"),
        ("--keep-modes --executable run.sh", "run.sh tool"),
    ] {
        let expected: Vec<_> = expected.split(' ').collect();
        assert_eq!(executable(&kit, words), expected, "{words}");
    }
    // A pattern gives the digest that the bit would give.
    let digest = |words: &[&str]| {
        let common = ["pack", ".", "-q", "--format", "{{ .Digest }}"].iter();
        kit.run(common.chain(words)).success()
    };
    let by_pattern = digest(&["--executable", "run.sh"]);
    assert_ne!(by_pattern, digest(&[]));
    set_mode(&kit.path("run.sh"), 0o755);
    assert_eq!(by_pattern, digest(&[]));
}

#[test]
fn a_drafted_kit_takes_patterns_too() {
    let kit = Sandbox::new();
    kit.file("serve.py", "print()")
        .file("model.safetensors", "m");
    assert_eq!(executable(&kit, "--executable serve.py"), ["serve.py"]);
}

#[test]
fn a_pattern_that_is_none_or_matches_nothing_is_told() {
    let kit = Sandbox::new();
    code(&kit, "src");
    kit.file("src/a", "a").file("b", "b");
    assert_data_eq!(
        kit.run([
            "pack",
            ".",
            "--dry-run",
            "--executable",
            "b",
            "--executable",
            "src"
        ]),
        str![[r#"
code src (1 file, 1 B)
  src/a
[stderr]
warning: --executable `b` matches no file
1 file of 1 B would be packed
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "--executable", "[a"]),
        str![[r#"
[stderr]
error: pattern `[a` holds a `[` that does not begin a set such as `[a-z]`
[exit 2]

"#]]
    );
}

#[test]
fn kept_modes_are_readable_and_executable_where_a_pattern_says_so() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file("a", "a").file("b", "b");
    set_mode(&kit.path("a"), 0o640);
    set_mode(&kit.path("b"), 0o640);
    kit.run([
        "pack",
        ".",
        "-t",
        "m:1",
        "--keep-modes",
        "--executable",
        "a",
    ])
    .success();
    let manifest = kit.store().names()["m:1"].clone();
    let (_, layers) = crate::support::kits::blobs(&kit, &manifest);
    let archive = kit.store().blob(&layers[0]);
    let modes: Vec<_> = archive
        .chunks(512)
        .filter(|block| block.get(257..262) == Some(b"ustar"))
        .map(|block| {
            (
                block[0],
                String::from_utf8_lossy(&block[100..107]).into_owned(),
            )
        })
        .collect();
    assert_eq!(
        modes,
        [(b'a', "0000750".to_owned()), (b'b', "0000640".to_owned())]
    );
}
