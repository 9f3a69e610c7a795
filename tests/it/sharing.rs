//! Raw layers are put in their place without being copied: as clones, or as hard links.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, digest,
    foreign::{ForeignKit, MODELKIT_CONFIG, load},
    have,
    kits::damage,
};

/// The user whom everybody may be.
const NOBODY: &str = "65534";

/// Makes a kit of raw layers: the model, and a script that may be executed. Returns the digest of
/// the model.
fn raw_kit(kit: &Sandbox, model: &[u8]) -> String {
    let mut raw = ForeignKit::new(kit, "layout");
    let metadata =
        |mode| json!({"org.cncf.model.file.metadata+json": json!({"mode": mode}).to_string()});
    let digest = raw.layer(
        "application/vnd.kitops.modelkit.model.v1.raw",
        model,
        &metadata(420),
    );
    let script = b"#!/bin/sh\n";
    let script = raw.layer(
        "application/vnd.kitops.modelkit.code.v1.raw",
        script,
        &metadata(493),
    );
    let config = json!({"package": {}, "model": {"path": "m/model.bin", "digest": digest},
        "code": [{"path": "run.sh", "digest": script}]});
    load(kit, &raw.finish(MODELKIT_CONFIG, &config));
    digest
}

/// Runs the program as a user who may not do everything; `None` if that cannot be.
fn run_as_nobody(kit: &Sandbox, arguments: &[&str]) -> Option<Output> {
    let command = kit.command(arguments);
    if !is_root() {
        return Some(kit.finish(command, b""));
    }
    if !have("setpriv") {
        return None;
    }
    let root = kit.path("..");
    let owned = Command::new("chown")
        .args(["-R", NOBODY])
        .arg(root)
        .status();
    assert!(owned.unwrap().success());
    // Where nobody may look there is no program to run.
    let program = kit.path("kit");
    fs::copy(command.get_program(), &program).unwrap();
    let mut as_nobody = Command::new("setpriv");
    as_nobody
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(program)
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    Some(kit.finish(as_nobody, b""))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn with_link_raw_layers_are_read_only_names_of_their_blobs() {
    let kit = Sandbox::new();
    let model = b"weights".repeat(100_000);
    let digest_of_model = raw_kit(&kit, &model);
    let Some(output) = run_as_nobody(&kit, &["unpack", "x:1", "-d", "out", "--link"]) else {
        return;
    };
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `m/model.bin`
Unpacking code `run.sh`
2 files written, 1 linked (80 B)
[exit 0]

"#]]
    );
    let blob = kit.store().blob_path(&digest_of_model);
    let there = fs::metadata(kit.path("out/m/model.bin")).unwrap();
    assert_eq!(there.ino(), fs::metadata(blob).unwrap().ino());
    assert_eq!(there.mode() & 0o777, 0o444);
    // What may be executed has another mode than the blob.
    let script = fs::metadata(kit.path("out/run.sh")).unwrap();
    assert_eq!((script.nlink(), script.mode() & 0o777), (1, 0o755));

    // Again: all is there. Removing the kit leaves the file.
    let again = [
        "unpack",
        "x:1",
        "-d",
        "out",
        "--link",
        "--format",
        "{{ .Equal }}",
    ];
    assert_eq!(run_as_nobody(&kit, &again).unwrap().success(), "3\n");
    run_as_nobody(&kit, &["remove", "x:1"]).unwrap().success();
    run_as_nobody(&kit, &["prune"]).unwrap().success();
    assert!(fs::read(kit.path("out/m/model.bin")).unwrap() == model);
}

#[test]
fn a_damaged_blob_is_not_linked() {
    let kit = Sandbox::new();
    let digest_of_model = raw_kit(&kit, &b"weights".repeat(100_000));
    damage(&kit, &digest_of_model);
    let Some(output) = run_as_nobody(&kit, &["unpack", "x:1", "-d", "out", "--link"]) else {
        return;
    };
    let output = output.exits(5);
    assert!(
        output.stderr.contains("the content is damaged"),
        "{}",
        output.stderr
    );
    assert!(!kit.path("out/m").exists());
    assert!(kit.path("out/run.sh").exists());
}

#[test]
fn root_gets_no_links_to_the_store() {
    if !is_root() {
        eprintln!("SKIP: not root");
        return;
    }
    let kit = Sandbox::new();
    raw_kit(&kit, b"weights");
    assert_data_eq!(
        kit.run(["unpack", "x:1", "-d", "out", "--link"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
error: root may write to read-only files, and through a link into the store
hint: without --link files are copied; or unpack as another user
[exit 4]

"#]]
    );
    assert!(!kit.path("out").exists());
}

#[test]
fn link_without_raw_layers_says_that_nothing_was_linked() {
    let kit = Sandbox::new();
    crate::support::kits::pack(&kit, "x:1", "weights");
    let Some(output) = run_as_nobody(&kit, &["unpack", "x:1", "-d", "out", "--link"]) else {
        return;
    };
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model.bin`
warning: nothing was linked: only raw layers that are not compressed can be
2 files written (130 B)
[exit 0]

"#]]
    );
}

/// A file system in a file, mounted.
struct Mounted {
    _image: tempfile::NamedTempFile,
    folder: tempfile::TempDir,
}

impl Mounted {
    /// Makes one that shares blocks; `None` if that cannot be, which is said.
    fn new() -> Option<Self> {
        if !is_root() || Command::new("mkfs.xfs").arg("-V").output().is_err() {
            eprintln!("SKIP: not root, or no mkfs.xfs");
            return None;
        }
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(400 << 20).unwrap();
        let mut make = Command::new("mkfs.xfs");
        make.args(["-q", "-m", "reflink=1"]).arg(image.path());
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-o", "loop"])
            .arg(image.path())
            .arg(folder.path());
        for mut command in [make, mount] {
            let output = command.output().unwrap();
            if !output.status.success() {
                eprintln!("SKIP: {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
        }
        Some(Self {
            _image: image,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

/// Returns how many blocks of `path` are those of another file, too, as `filefrag` tells.
fn is_shared(path: &Path) -> bool {
    let output = Command::new("filefrag")
        .arg("-v")
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().contains("shared")
}

#[test]
fn raw_layers_are_cloned_where_the_file_system_can() {
    let Some(mounted) = Mounted::new() else {
        return;
    };
    let mut kit = Sandbox::new();
    kit.env("KITOPS_HOME", mounted.path("home"));
    let model: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest_of_model = raw_kit(&kit, &model);
    let out = mounted.path("out");
    kit.run([
        "unpack".as_ref(),
        "x:1".as_ref(),
        "-d".as_ref(),
        out.as_os_str(),
    ])
    .success();

    let there = out.join("m/model.bin");
    assert_eq!(digest(&fs::read(&there).unwrap()), digest_of_model);
    assert!(is_shared(&there));
    let metadata = fs::metadata(&there).unwrap();
    assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (1, 0o644));

    // Changing it leaves the blob alone, and what is damaged is not cloned.
    fs::write(&there, "other").unwrap();
    kit.run(["verify"]).success();
    let name = digest_of_model.strip_prefix("sha256:").unwrap();
    let blob = mounted.path("home/store/blobs/sha256").join(name);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&blob, bytes).unwrap(); // root may
    let other = mounted.path("other");
    let output = kit.run([
        "unpack".as_ref(),
        "x:1".as_ref(),
        "-d".as_ref(),
        other.as_os_str(),
    ]);
    assert!(output.exits(5).stderr.contains("the content is damaged"));
    assert!(!other.join("m").exists());
}

#[test]
fn link_to_another_file_system_says_so() {
    let Some(mounted) = Mounted::new() else {
        return;
    };
    let kit = Sandbox::new();
    raw_kit(&kit, b"weights");
    let out = mounted.path("out");
    fs::create_dir(&out).unwrap();
    let owned = Command::new("chown").arg(NOBODY).arg(&out).status();
    assert!(owned.unwrap().success());
    let mode = Command::new("chmod")
        .args(["-R", "a+rx"])
        .arg(mounted.path(""))
        .status();
    assert!(mode.unwrap().success());
    let out = out.to_str().unwrap();
    let Some(output) = run_as_nobody(&kit, &["unpack", "x:1", "-d", out, "--link"]) else {
        return;
    };
    assert_data_eq!(
        output.hide(out, "[OUT]"),
        str![[r#"
[stderr]
Unpacking to [OUT]
Unpacking model `m/model.bin`
error: cannot link [OUT]/m/model.bin to the store: it is on another file system
  caused by: Invalid cross-device link (os error 18)
hint: without --link files are copied
[exit 1]

"#]]
    );
    assert_eq!(fs::read_dir(out).unwrap().count(), 0);
}
