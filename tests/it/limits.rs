//! `--limit`: what is refused as too much, and let through by whoever trusts it.

use std::fs;

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    foreign::{one_layer, zstd},
    testdata,
    trees::Fingerprint,
};

// hazard: 121
#[test]
fn a_bomb_is_refused_unless_the_manifest_says_its_length_or_the_limit_is_moved() {
    let zeros = vec![0; 260 << 20];
    let bomb = zstd(&zeros);
    assert!(bomb.len() < 256 << 10);
    let kit = Sandbox::new();
    one_layer(&kit, "raw+zstd", &bomb, &zeros, &json!({}));
    let unpack = ["unpack", "x:1", "-d", "out", "--filter", "model", "-q"];
    assert_data_eq!(
        kit.run(unpack).hide_digests(),
        str![[r#"
[stderr]
error: cannot unpack model `net` to `m` (sha256:[DIGEST])
  caused by: the layer unpacks to more than 268435456 bytes, which is too much for its size
hint: if you trust it, --limit expansion=NUMBER allows more [default: 1000]
[exit 9]

"#]]
    );
    assert_eq!(Fingerprint::of(&kit.path("out"), true).0.len(), 0);
    let needed = zeros.len().div_ceil(bomb.len());
    let limit = |times: usize| format!("--limit=expansion={times}");
    kit.run([&unpack[..], &[&limit(needed)]].concat()).success();
    assert_eq!(fs::metadata(kit.path("out/m")).unwrap().len(), 260 << 20);

    let kit = Sandbox::new();
    let annotations = json!({"org.modelkit.layer.uncompressed-size": zeros.len().to_string()});
    one_layer(&kit, "raw+zstd", &bomb, &zeros, &annotations);
    kit.run(unpack).success();
    assert_eq!(fs::metadata(kit.path("out/m")).unwrap().len(), 260 << 20);
}

/// Returns a frame of zstd with a window of `2^log` bytes and this content.
fn frame(log: u8, content: &[u8]) -> Vec<u8> {
    let block = u32::try_from(content.len()).unwrap() << 3 | 1; // the last one, not compressed
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    [&head, &block.to_le_bytes()[..3], content].concat()
}

// hazard: 105, 121
#[test]
fn a_wide_window_is_refused_unless_the_limit_is_moved_by_a_flag_or_a_setting() {
    let kit = Sandbox::new();
    one_layer(&kit, "raw+zstd", &frame(28, b"w"), b"w", &json!({}));
    assert_data_eq!(
        kit.run(["cat", "x:1", "m"]),
        str![[r#"
[stderr]
error: the zstd data needs more than 128 MiB of memory
hint: if you trust it, --limit window=NUMBER allows more [default: 128]
[exit 9]

"#]]
    );
    let unpack = ["unpack", "x:1", "-d", "out", "--filter", "model"];
    kit.file("other/Kitfile", "model: {path: n}\n")
        .file("other/n", "n");
    kit.run(["pack", "other", "-t", "y:1"]).success();
    for line in [
        &unpack[..],
        &["cat", "x:1", "m"],
        &["files", "x:1", "--include", "m"],
        &["diff", "x:1", "y:1", "--files"],
        &["status", "out", "--kit", "x:1"],
    ] {
        for limit in [&[][..], &["--limit", "window=128"]] {
            let refused = kit.run([line, limit].concat()).exits(9);
            assert!(refused.stderr.contains("--limit window="), "{refused}");
        }
        // The next power of two counts.
        kit.run([line, &["--limit", "window=129"]].concat())
            .success();
    }
    fs::write(
        kit.home().join("config.toml"),
        "[cat]\nlimit = ['window=256']\n",
    )
    .unwrap();
    assert_eq!(kit.run(["cat", "x:1", "m"]).success(), "w");
    let refused = kit.run(["cat", "x:1", "m", "--limit", "window=128"]);
    assert_eq!(
        refused.code, 9,
        "the flag goes before the setting: {refused}"
    );
}

#[test]
fn a_tar_file_may_hold_so_many_files() {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "net");
    kit.run(["pack", "net", "-t", "x:1"]).success();
    kit.run(["save", "x:1", "-o", "x.tar"]).success();
    let count = fs::read_dir(kit.store().path().join("blobs/sha256"))
        .unwrap()
        .count()
        + 2;
    let other = Sandbox::new();
    let file = kit.path("x.tar").display().to_string();
    let load = |limit: String| other.run(["load", &file, "--limit", &limit]);
    assert_data_eq!(
        load(format!("tar-files={}", count - 1)).hide(&file, "[FILE]"),
        str![[r#"
[stderr]
error: [FILE] holds more than 8 files
hint: if you trust it, --limit tar-files=NUMBER allows more [default: 200000]
[exit 9]

"#]]
    );
    load(format!("tar-files={count}")).success();
    // What `kit copy` reads is bounded by the same flag.
    let source = format!("oci:{file}");
    let copy = |limit: String| other.run(["copy", &source, "oci:copied", "--limit", &limit]);
    let refused = copy(format!("tar-files={}", count - 1)).exits(9);
    assert!(refused.stderr.contains("--limit tar-files="), "{refused}");
    copy(format!("tar-files={count}")).success();
}

#[test]
fn a_limit_that_is_none_is_told_with_those_there_are() {
    let kit = Sandbox::new();
    for (line, expected) in [
        (
            &["cat", "x:1", "m", "--limit", "expanson=9"][..],
            str![[r#"
[stderr]
error: there is no limit 'expanson' here
  given for --limit
hint: did you mean 'expansion'?
hint: expansion=NUMBER: how many times its size a compressed layer may unpack to
hint: window=NUMBER: how many MiB of memory it may take to read a layer in zstd
[exit 2]

"#]],
        ),
        (
            &["cat", "x:1", "m", "--limit", "tar-files=9"],
            str![[r#"
[stderr]
error: there is no limit 'tar-files' here
  given for --limit
hint: expansion=NUMBER: how many times its size a compressed layer may unpack to
hint: window=NUMBER: how many MiB of memory it may take to read a layer in zstd
[exit 2]

"#]],
        ),
        (
            &["cat", "x:1", "m", "--limit", "window=0"],
            str![[r#"
[stderr]
error: the limit 'window' cannot be '0'
  given for --limit
hint: write window=NUMBER, from 1 to 2048 (MiB)
[exit 2]

"#]],
        ),
        (
            &["cat", "x:1", "m", "--limit", "window=4096"],
            str![[r#"
[stderr]
error: the limit 'window' cannot be '4096'
  given for --limit
hint: write window=NUMBER, from 1 to 2048 (MiB)
[exit 2]

"#]],
        ),
        (
            &["load", "x.tar", "--limit", "tar-files"],
            str![[r#"
[stderr]
error: the limit 'tar-files' needs a number
  given for --limit
hint: write tar-files=NUMBER, 1 or more (files)
[exit 2]

"#]],
        ),
    ] {
        assert_data_eq!(kit.run(line), expected);
    }
}
