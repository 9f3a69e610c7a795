//! Folders that change while they are walked, and folders that contain themselves.
#![cfg(unix)]

use std::{
    fs,
    process::Command,
    sync::mpsc::{self, TryRecvError},
    thread,
};

use crate::support::{Sandbox, trees::Fingerprint};

// hazard: 47, 51
#[test]
fn entries_that_come_and_go_meanwhile_are_packed_whole_or_named() {
    let kit = Sandbox::new();
    kit.file("tree/Kitfile", "code: [{path: src}]\n");
    for number in 0..300 {
        kit.file(format!("tree/src/stays-{number}"), number.to_string());
    }
    let mut ends = Vec::new();
    thread::scope(|scope| {
        let (top, file) = (kit.path("tree/src/x"), kit.path("tree/src/z"));
        // Gone at the end of this block, also when it fails: the scope waits for all threads.
        let (_packing, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            let folder = top.join("y");
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("f"), "here").unwrap();
                fs::write(&file, "here").unwrap();
                fs::remove_dir_all(&top).unwrap();
                fs::remove_file(&file).unwrap();
                // The name is now a folder, and then nothing.
                fs::create_dir(&file).unwrap();
                fs::remove_dir(&file).unwrap();
            }
        });
        for _ in 0..40 {
            ends.push(kit.run(["pack", "tree", "-q", "--no-cache", "-t", "net:1"]));
        }
    });
    for output in &ends {
        assert!([0, 1, 3].contains(&output.code), "{output}");
        assert!(
            output.code == 0
                || output.stderr.contains("tree/src/")
                || output.stderr.contains("`src/"),
            "{output}"
        );
    }
    kit.run(["verify"]).success();
    if ends.iter().any(|output| output.code == 0) {
        kit.run(["unpack", "net:1", "-d", "out"]).success();
        let found = Fingerprint::of(&kit.path("out/src"), true).0;
        let stays = found.keys().filter(|name| name.starts_with(b"stays-"));
        assert_eq!(stays.count(), 300);
    }
}

// hazard: 51
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_is_mounted_into_itself_ends() {
    let kit = Sandbox::new();
    kit.file("tree/Kitfile", "code: [{path: .}]\n")
        .file("tree/a", "a");
    kit.dir("tree/deep/again");
    let again = kit.path("tree/deep/again");
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(kit.path("tree")).arg(&again);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIP: nothing can be mounted here");
        return;
    }
    let output = kit.run(["pack", "tree", "-q", "-t", "net:1"]);
    let unpacked = kit.run(["unpack", "net:1", "-d", "out", "-q"]);
    let unmounted = Command::new("umount").arg(&again).status();
    assert!(unmounted.unwrap().success());
    let _ = output.exits(0);
    let _ = unpacked.exits(0);
    let found = Fingerprint::of(&kit.path("out"), true).0;
    let names: Vec<_> = found.keys().map(|it| String::from_utf8_lossy(it)).collect();
    assert!(names.contains(&"deep/again/a".into()), "{names:?}");
    assert!(
        !names.contains(&"deep/again/deep/again/a".into()),
        "{names:?}"
    );
}
