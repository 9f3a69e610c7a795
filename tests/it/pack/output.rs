//! What `kit pack` prints where, what a dry run lists, and what a second run finds.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::Sandbox;

fn project() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  name: net\n  path: net.bin\ndocs:\n  - path: ./README.md\n",
    );
    kit.file("net.bin", "weights").file("README.md", "read me");
    kit
}

#[test]
fn the_digest_stands_alone_on_standard_output() {
    let kit = project();
    let output = kit.run(["pack", ".", "-t", "team/net:1.0,prod"]);
    let digest = kit.store().names()["team/net:prod"].clone();
    assert_eq!(kit.store().names()["team/net:1.0"], digest);
    assert_eq!(output.stdout, format!("Model saved: {digest}\n"));
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved model layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged team/net:1.0
Tagged team/net:prod
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "team/net:1.0"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Already saved model layer: sha256:[DIGEST]
Already saved docs layer: sha256:[DIGEST]
Configuration already exists in storage: sha256:[DIGEST]
Manifest already exists in storage: sha256:[DIGEST]
Tagged team/net:1.0
[exit 0]

"#]]
    );
    assert_eq!(
        kit.run(["pack", ".", "-q"]).to_string(),
        format!("Model saved: {digest}\n[exit 0]\n")
    );
    assert_eq!(
        kit.run(["pack", ".", "--format", "{{ .Digest }}"])
            .success(),
        format!("{digest}\n")
    );
}

#[test]
fn json_tells_everything_that_was_packed() {
    let kit = project();
    let output = kit.run(["pack", ".", "-t", "team/net", "--format", "json", "-q"]);
    assert_data_eq!(
        output,
        str![[r#"
{
  "digest": "sha256:277a5bbfc60a563a76ee9b919dcf07ff6091808360b137852571b3dc60402254",
  "references": [
    "team/net:latest"
  ],
  "parents": [],
  "drafted": false,
  "config": "sha256:c86223e167cbcd46dcf0bd0e01d0edd79f354f637685a3ad6acab5c3c822aa11",
  "size": 4096,
  "layers": [
    {
      "type": "model",
      "name": "net",
      "path": "net.bin",
      "mediaType": "application/vnd.kitops.modelkit.model.v1.tar",
      "digest": "sha256:5d278af073b9261d711973f172c45b13cff26e71d15149a6d28aa3945e3c52a4",
      "size": 2048,
      "stored": "new",
      "bytes": 7,
      "fileCount": 1
    },
    {
      "type": "docs",
      "name": "",
      "path": "README.md",
      "mediaType": "application/vnd.kitops.modelkit.docs.v1.tar",
      "digest": "sha256:0562611dde7b3f48c556ecf31c3839b12f11afd4fc5da27b4b42baeaab13ddc5",
      "size": 2048,
      "stored": "new",
      "bytes": 7,
      "fileCount": 1
    }
  ],
  "toc": null
}
[exit 0]

"#]]
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let kit = project();
    assert_data_eq!(
        kit.run(["pack", "--dry-run"]),
        str![[r#"
model net.bin (1 file, 7 B)
  net.bin
docs README.md (1 file, 7 B)
  README.md
[stderr]
2 files of 14 B would be packed
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "--dry-run", "--format", "json"]),
        str![[r#"
[
  {
    "type": "model",
    "name": "net",
    "path": "net.bin",
    "bytes": 7,
    "fileCount": 1,
    "files": [
      "net.bin"
    ]
  },
  {
    "type": "docs",
    "name": "",
    "path": "README.md",
    "bytes": 7,
    "fileCount": 1,
    "files": [
      "README.md"
    ]
  }
]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run([
            "pack",
            "--dry-run",
            "--format",
            "{{ range . }}{{ .Path }};{{ end }}"
        ]),
        str![[r#"
net.bin;README.md;
[exit 0]

"#]]
    );
    assert_eq!(fs::read_dir(kit.home()).unwrap().count(), 0);
}

#[test]
fn bad_names_are_refused_before_anything_is_packed() {
    let kit = project();
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "team/net:a b"]),
        str![[r#"
[stderr]
error: tag `a b` holds ' ', expected 1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`
  given for --tag
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "team/net:ok,no/tag"]),
        str![[r#"
[stderr]
error: `no/tag` in `team/net:ok,no/tag` is a name where a tag is expected: only tags follow a comma
  given for --tag
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "Team/Net:1"]),
        str![[r#"
[stderr]
error: repository `Team/Net` has upper-case letters; did you mean `team/net`?
  given for --tag
[exit 2]

"#]]
    );
    let digest = format!("team/net@sha256:{}", "0".repeat(64));
    assert_data_eq!(
        kit.run(["pack", ".", "-t", &digest]),
        str![[r#"
[stderr]
error: a kit cannot be called by a digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
  given for --tag
hint: give it a name, as in `repository:tag`
[exit 2]

"#]]
    );
    assert_eq!(fs::read_dir(kit.home()).unwrap().count(), 0);
    // No tag is `latest`, and one name for two spellings.
    kit.run(["pack", ".", "-t", "localhost/net"]).success();
    assert_eq!(
        kit.store().names().into_keys().collect::<Vec<_>>(),
        ["net:latest"]
    );
}

#[test]
fn compression_is_refused_in_words_of_the_reference() {
    let kit = project();
    kit.run(["pack", ".", "--compression", "none"]).success();
    assert_data_eq!(
        kit.run(["pack", ".", "--compression", "best"]),
        str![[r#"
[stderr]
error: invalid compression type: must be one of 'none', 'gzip', 'gzip-fastest', or 'zstd'
  given for --compression
[exit 2]

"#]]
    );
}

#[test]
fn a_time_is_recorded_on_request_and_can_be_fixed() {
    let mut kit = project();
    let plain = kit.run(["pack", "."]).success();
    kit.env("SOURCE_DATE_EPOCH", "1700000000");
    assert_eq!(kit.run(["pack", "."]).success(), plain);
    let created = kit.run(["pack", ".", "--created", "-t", "c:1"]).success();
    assert_ne!(created, plain);
    assert_eq!(kit.run(["pack", ".", "--created"]).success(), created);
    let store = kit.store();
    assert_eq!(
        store.manifest(&store.names()["c:1"])["annotations"],
        serde_json::json!({"org.opencontainers.image.created": "2023-11-14T22:13:20Z"})
    );
    kit.env("SOURCE_DATE_EPOCH", "soon");
    kit.run(["pack", "."]).success();
    assert_data_eq!(
        kit.run(["pack", ".", "--created"]),
        str![[r#"
[stderr]
error: SOURCE_DATE_EPOCH is `soon`, not a number of seconds since 1970
[exit 2]

"#]]
    );
}

// hazard: 88, 90
#[test]
fn packing_again_mends_what_is_damaged_and_says_so() {
    let kit = project();
    kit.run(["pack", ".", "-t", "net:1"]).success();
    let store = kit.store();
    let manifest = store.names()["net:1"].clone();
    let config = store.manifest(&manifest)["config"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, layer, _) = store.layers(&manifest)[0].clone();
    for (blob, what) in [(layer, "layer"), (config, "config"), (manifest, "manifest")] {
        let whole = store.blob(&blob);
        for damage in [&whole[1..], &b""[..], &[b"x", &whole[1..]].concat()] {
            let path = store.blob_path(&blob);
            // Blobs are not made to be written to.
            crate::support::set_mode(&path, 0o644);
            fs::write(&path, damage).unwrap();
            let output = kit.run(["pack", ".", "-t", "net:1"]).exits(0);
            assert!(
                output.stderr.contains("was damaged and has been replaced"),
                "{what}: {output}"
            );
            assert_eq!(store.blob(&blob), whole, "{what}");
        }
    }
}

#[test]
fn switches_take_values_and_stand_anywhere() {
    let kit = project();
    let digest = kit.run(["pack", "."]).success();
    for line in [
        "pack . --keep-modes=false --strict=true --dry-run=0",
        "--quiet=true pack .",
        "pack . --created=false --threads 3",
        "pack",
    ] {
        assert_eq!(kit.run(line.split(' ')).success(), digest, "{line}");
    }
    assert_data_eq!(
        kit.run(["pack", ".", "--threads", "0"]),
        str![[r#"
[stderr]
error: '0' is not a number of threads
  given for --threads
hint: write a whole number, 1 or more
[exit 2]

"#]]
    );
}

/// The file is written to the whole time: its time stamp is another one after its last byte was
/// read than before its first, however long the reading takes.
// hazard: 47
#[cfg(unix)]
#[test]
fn a_file_that_changes_while_it_is_packed_is_named() {
    use std::{
        io::{Seek as _, SeekFrom, Write as _},
        sync::mpsc::{self, TryRecvError},
    };
    let kit = Sandbox::new();
    kit.file("Kitfile", "model:\n  path: net.bin\n")
        .file("net.bin", vec![7; 48 << 20]);
    let output = std::thread::scope(|scope| {
        let path = kit.path("net.bin");
        // Gone at the end of this block, also when it fails: the scope waits for all threads.
        let (_packing, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            let mut file = fs::File::options().write(true).open(path).unwrap();
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                file.seek(SeekFrom::Start(0)).unwrap();
                file.write_all(b"x").unwrap();
            }
        });
        kit.run(["pack", ".", "-t", "torn:1"])
    });
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: ./net.bin changed while it was being read
hint: try again when nothing writes there
[exit 1]

"#]]
    );
    assert!(!kit.home().join("store/index.json").exists() || kit.store().names().is_empty());
}
