//! Without a Kitfile one is drafted in memory; it never takes what looks private.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::would_hold;
use crate::support::Sandbox;

#[test]
fn a_draft_is_said_and_nothing_is_written_into_the_directory() {
    let kit = Sandbox::new();
    kit.file("README.md", "r")
        .file("net.safetensors", "w")
        .file("data/train.csv", "d")
        .file("src/a.py", "a");
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "draft:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
No Kitfile in .: packing a draft of one
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved dataset layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged draft:1
[exit 0]

"#]]
    );
    assert!(!kit.path("Kitfile").exists());
    kit.run(["unpack", "draft:1", "-d", "out"]).success();
    assert_data_eq!(
        fs::read_to_string(kit.path("out/Kitfile")).unwrap(),
        str![[r#"
manifestVersion: "1.0.0"
model:
  name: net
  path: net.safetensors
code:
  - path: src/
datasets:
  - path: data/
docs:
  - path: README.md
    description: Readme file

"#]]
    );
    let verbose = kit.run(["pack", ".", "-v"]).stderr;
    assert!(verbose.contains("path: net.safetensors"), "{verbose}");
    let document = kit.run(["pack", ".", "--format", "json"]).json();
    assert_eq!(document["drafted"], true);
}

#[test]
fn private_files_are_never_taken_at_any_depth_and_each_is_named() {
    let kit = Sandbox::new();
    kit.file("net.safetensors", "w")
        .file("src/a.py", "a")
        .file("src/deep/er/b.py", "b");
    for private in [
        ".env",
        "server.pem",
        "id_rsa",
        "src/.npmrc",
        "src/tls.key",
        "src/deep/er/id_ed25519",
        "src/deep/.aws/credentials",
        "keys/id_rsa",
        ".ssh/config",
    ] {
        kit.file(private, "private");
    }
    assert_data_eq!(
        would_hold(&kit),
        str![[r#"
net.safetensors
src/a.py
src/deep/er/b.py
"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "."]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
No Kitfile in .: packing a draft of one
warning: `.env` is left out of the draft: hidden
warning: `.ssh` is left out of the draft: hidden
warning: `id_rsa` is left out of the draft: may be a private key
warning: `keys/id_rsa` is left out of the draft: may be a private key
warning: `server.pem` is left out of the draft: may be a private key
warning: `src/.npmrc` is left out of the draft: hidden
warning: `src/deep/.aws` is left out of the draft: hidden
warning: `src/deep/er/id_ed25519` is left out of the draft: may be a private key
warning: `src/tls.key` is left out of the draft: may be a private key
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
    // A Kitfile that somebody wrote is taken at its word.
    kit.file("Kitfile", "code:\n  - path: src\n");
    assert!(would_hold(&kit).contains("src/tls.key"));
}

#[cfg(unix)]
#[test]
fn a_link_does_not_bring_a_private_file_in() {
    let kit = Sandbox::new();
    kit.file("src/a.py", "a")
        .file("src/.env", "private")
        .symlink(".env", "src/settings");
    kit.file("net.gguf", "w")
        .file("src/.hidden/x", "private")
        .symlink(".hidden", "src/shown");
    kit.file("../id_rsa", "private")
        .symlink("../../id_rsa", "src/other");
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "all"])
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
No Kitfile in .: packing a draft of one
warning: `src/.env` is left out of the draft: hidden
warning: `src/.hidden` is left out of the draft: hidden
warning: `src/other` is left out of the draft: it leads to `id_rsa`: may be a private key
warning: `src/settings` is left out of the draft: it leads to `src/.env`: hidden
warning: `src/shown` is left out of the draft: it leads to `src/.hidden`: hidden
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "all", "--dry-run", "-q"])
            .success(),
        str![[r#"
model net.gguf (1 file, 1 B)
  net.gguf
code src/a.py (1 file, 1 B)
  src/a.py

"#]]
    );
}

#[cfg(unix)]
#[test]
fn what_a_draft_cannot_name_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let kit = Sandbox::new();
    kit.file("net.gguf", "w").dir("empty");
    let made = std::process::Command::new("mkfifo")
        .arg(kit.path("queue"))
        .status();
    assert!(made.unwrap().success());
    if cfg!(target_os = "linux") {
        kit.file(std::ffi::OsStr::from_bytes(b"b\xff.bin"), "x");
        assert_data_eq!(
            kit.run(["pack", "."]).hide_digests(),
            str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
No Kitfile in .: packing a draft of one
warning: `b�.bin` is in no layer of the draft
warning: `queue` is a fifo and is not packed
warning: code `empty/` holds no content
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
        );
    }
}

#[test]
fn a_directory_with_nothing_to_pack_is_not_found() {
    let kit = Sandbox::new();
    kit.dir("empty");
    assert_data_eq!(
        kit.run(["pack", "empty"]),
        str![[r#"
[stderr]
error: empty holds nothing to pack
[exit 3]

"#]]
    );
    kit.file("private/.env", "s").file("private/id_rsa", "s");
    assert_data_eq!(
        kit.run(["pack", "private"]),
        str![[r#"
[stderr]
error: private holds nothing to pack, but for what is only taken if a Kitfile names it: `.env` (hidden), `id_rsa` (may be a private key)
[exit 3]

"#]]
    );
    kit.file("litter/.git/HEAD", "s")
        .file("litter/.kitignore", "");
    assert_data_eq!(
        kit.run(["pack", "litter"]),
        str![[r#"
[stderr]
error: litter holds nothing to pack
[exit 3]

"#]]
    );
}
