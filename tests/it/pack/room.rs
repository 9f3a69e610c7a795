//! What a kit takes of a disk. These tests mount file systems, and say so where they cannot.
#![cfg(target_os = "linux")]

use std::{ffi::OsStr, fs, path::PathBuf, process::Command};

use snapbox::{assert_data_eq, str};

use crate::support::{Layout, Sandbox, digest};

/// A file system below a sandbox.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts what `mount` with `arguments` mounts; `None` where it cannot be had, which is said.
    fn new(kit: &Sandbox, arguments: &[&OsStr]) -> Option<Self> {
        let target = kit.path("mounted");
        fs::create_dir(&target).unwrap();
        if succeeds(Command::new("mount").args(arguments).arg(&target)) {
            return Some(Self(target));
        }
        eprintln!("SKIP: nothing can be mounted here");
        None
    }

    /// Returns how many bytes are in use.
    fn used(&self) -> u64 {
        assert!(succeeds(Command::new("sync").arg("-f").arg(&self.0)));
        let mut df = Command::new("df");
        let output = df.args(["-B1", "--output=used"]).arg(&self.0).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.lines().last().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn raw_layers_share_the_blocks_of_their_files_where_that_can_be() {
    let mut kit = Sandbox::new();
    let image = kit.path("image");
    let file = fs::File::create(&image).unwrap();
    file.set_len(400 << 20).unwrap();
    if !succeeds(
        Command::new("mkfs.xfs")
            .args(["-q", "-m", "reflink=1"])
            .arg(&image),
    ) {
        eprintln!("SKIP: `mkfs.xfs` is not installed");
        return;
    }
    let arguments = ["-o".as_ref(), "loop".as_ref(), image.as_os_str()];
    let Some(mounted) = Mounted::new(&kit, &arguments) else {
        return;
    };
    let content: Vec<u8> = (0..12_u32 << 20).flat_map(u32::to_le_bytes).collect();
    kit.file("mounted/Kitfile", "model:\n  path: w.bin\n");
    kit.file("mounted/w.bin", &content);
    kit.env("KITOPS_HOME", kit.path("mounted/home"));
    let before = mounted.used();
    let arguments = ["pack", "mounted", "--layer-format", "raw", "-t", "a:1"];
    kit.run(arguments).success();
    let store = Layout::at(kit.path("mounted/home/store"));
    let blob = digest(&content);
    assert!(store.blob(&blob) == content);
    let grown = mounted.used() - before;
    assert!(grown < 8 << 20, "{grown} bytes more for a copy of 48 MiB");
    // The blob is its own: what becomes of the file does not matter to it.
    fs::write(kit.path("mounted/w.bin"), "other").unwrap();
    assert!(store.blob(&blob) == content);
    kit.run(["verify"]).success();
}

// hazard: 101, 102
#[test]
fn a_layer_for_which_there_is_no_room_is_refused_before_it_is_written() {
    let mut kit = Sandbox::new();
    let arguments = ["-t", "tmpfs", "-o", "size=8m", "none"].map(AsRef::as_ref);
    let Some(mounted) = Mounted::new(&kit, &arguments) else {
        return;
    };
    kit.file("Kitfile", "model:\n  path: w.bin\n");
    kit.file("w.bin", vec![1; 20 << 20]);
    kit.env("KITOPS_HOME", kit.path("mounted/home"));
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: [WORK]/mounted/home/store has [..] bytes left, and 20973056 are to come
hint: free 12.0 MiB there; `kit prune` frees what no kit needs
hint: `kit pack --push --no-store` sends a kit and keeps no copy of it here
[exit 9]

"#]]
    );
    assert!(mounted.used() < 1 << 20, "nothing is left behind");
}
