//! Processes that are killed, interrupted, stopped in the middle of their work, or have the power
//! cut after it.
#![cfg(unix)]

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use crate::support::{Sandbox, digest, kits, trees::Fingerprint};

/// A model without content worth the time it takes to write it: nobody waits for its end.
const ENDLESS: u64 = 1 << 36;

/// Returns what is being written in the store.
fn being_written(kit: &Sandbox) -> Vec<String> {
    let Ok(folder) = fs::read_dir(kit.store().path().join("ingest")) else {
        return Vec::new();
    };
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Returns the names of the kits.
fn names(kit: &Sandbox) -> Vec<String> {
    let is_there = kit.store().path().join("index.json").exists();
    let names = is_there.then(|| kit.store().names());
    names.into_iter().flatten().map(|it| it.0).collect()
}

fn start(kit: &Sandbox, words: &[&str]) -> Child {
    let mut command = kit.command(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Begins to pack what takes very long, and returns when a layer is being written.
fn pack_without_end(kit: &Sandbox) -> Child {
    kit.file("endless/Kitfile", "model: {path: m.bin}\n");
    let model = fs::File::create(kit.path("endless/m.bin")).unwrap();
    model.set_len(ENDLESS).unwrap();
    let words = [
        "pack",
        "endless",
        "-q",
        "-t",
        "endless:1",
        "--compression",
        "zstd",
    ];
    let mut child = start(kit, &words);
    while being_written(kit).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        thread::yield_now();
    }
    child
}

/// Writes a tree with some megabytes, in few files and in many, and returns what it unpacks to.
fn tree(kit: &Sandbox, folder: &str) -> Fingerprint {
    let kitfile = "model: {path: m.bin}\ndatasets: [{path: data}]\n";
    kit.file(format!("{folder}/Kitfile"), kitfile);
    let content: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
    kit.file(format!("{folder}/m.bin"), content);
    for number in 0..200 {
        kit.file(format!("{folder}/data/{number}.csv"), number.to_string());
    }
    let mut tree = Fingerprint::of(&kit.path(folder), true);
    tree.0.remove(&b"Kitfile"[..]);
    tree
}

#[track_caller]
fn unpacks_to(kit: &Sandbox, name: &str, out: &str, expected: &Fingerprint) {
    kit.run(["unpack", name, "-d", out, "-q"]).success();
    let mut found = Fingerprint::of(&kit.path(out), true);
    found.0.remove(&b"Kitfile"[..]);
    assert_eq!(found, *expected);
}

// hazard: 94, 95, 143
#[test]
fn packs_that_are_killed_at_any_moment_leave_nothing_wrong() {
    let kit = Sandbox::new();
    let whole = tree(&kit, "tree");
    kits::pack(&kit, "before:1", "before");
    let words = ["pack", "tree", "-q", "--no-cache", "-t", "net:1"];
    let began = Instant::now();
    kit.run(words).success();
    let length = began.elapsed();
    for part in 0..12 {
        kit.run(["remove", "net:1", "-q"]).success();
        kit.run(["prune", "-q"]).success();
        let mut child = start(&kit, &words);
        thread::sleep(length * part / 10);
        // As a cancelled job is: asked first, and killed before it could do much.
        if part % 2 == 0 {
            signal(&child, "-TERM");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kit.run(["verify", "-q"]).success();
        let names = names(&kit);
        assert!(names.contains(&"before:1".to_owned()), "{names:?}");
        if names.contains(&"net:1".to_owned()) {
            unpacks_to(&kit, "net:1", &format!("out-{part}"), &whole);
        }
        kit.run(words).success();
        assert_eq!(being_written(&kit), [""; 0], "after {part}");
    }
    unpacks_to(&kit, "net:1", "out", &whole);
    kit.run(["unpack", "before:1", "-d", "old"]).success();
}

// hazard: 96, 143
#[test]
fn an_interrupted_pack_leaves_nothing_and_tells_the_signal_by_its_code() {
    for (name, code, word) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let kit = Sandbox::new();
        kits::pack(&kit, "before:1", "before");
        let child = pack_without_end(&kit);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
        assert_eq!(being_written(&kit), [""; 0]);
        assert_eq!(names(&kit), ["before:1"]);
        kit.run(["verify"]).success();
    }
}

// hazard: 112, 116, 119, 120, 144
#[test]
fn who_stands_still_stops_nobody_but_those_who_delete() {
    let kit = Sandbox::new();
    kits::pack(&kit, "gone:1", "unneeded");
    let mut child = pack_without_end(&kit);
    signal(&child, "-STOP");
    // Nobody waits for it.
    for number in 0..10 {
        kit.file("small/Kitfile", "model: {path: m}\n");
        kit.file("small/m", number.to_string());
        let name = format!("small:{number}");
        let words = ["pack", "small", "-q", "-t", &name, "--lock-timeout", "0s"];
        kit.run(words).success();
    }
    kit.run(["unpack", "small:1", "-d", "out", "--lock-timeout", "0s"])
        .success();
    kit.run(["tag", "small:1", "other:1", "--lock-timeout", "0s"])
        .success();
    // What is deleted needs all others to be done.
    let blobs = kits::count_blobs(&kit);
    let output = kit.run(["remove", "gone:1"]).exits(0);
    assert!(output.stderr.contains("the store is in use by"), "{output}");
    assert_eq!(kits::count_blobs(&kit), blobs);
    let output = kit.run(["prune", "--lock-timeout", "1s"]).exits(8);
    assert!(output.stderr.contains("`kit pack"), "{output}");
    assert!(output.stderr.contains("(pid [PID])"), "{output}");
    assert_eq!(kits::count_blobs(&kit), blobs);
    assert_eq!(being_written(&kit).len(), 1);
    // With its death the lock is free.
    child.kill().unwrap();
    child.wait().unwrap();
    kit.run(["prune", "--lock-timeout", "0s"]).success();
    assert_eq!(kits::count_blobs(&kit), blobs - 3);
    assert_eq!(being_written(&kit), [""; 0]);
    kit.run(["verify"]).success();
}

// hazard: 39, 143
#[test]
fn unpacks_that_are_killed_at_any_moment_are_completed_by_the_next() {
    let kit = Sandbox::new();
    let whole = tree(&kit, "tree");
    kit.run(["pack", "tree", "-q", "-t", "net:1"]).success();
    let began = Instant::now();
    kit.run(["unpack", "net:1", "-d", "first", "-q"]).success();
    let length = began.elapsed();
    for part in 0..12 {
        let out = format!("out-{part}");
        let words = ["unpack", "net:1", "-d", &out, "-q"];
        let mut child = start(&kit, &words);
        thread::sleep(length * part / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        // What has its name is whole.
        if kit.path(&out).exists() {
            for entry in fs::read_dir(kit.path(&out)).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap() == "m.bin" {
                    let content = fs::read(&path).unwrap();
                    let source = fs::read(kit.path("tree/m.bin")).unwrap();
                    assert_eq!(digest(&content), digest(&source), "{out}");
                }
            }
        }
        let more = [&[][..], &["-i"], &["-o"]][usize::try_from(part).unwrap() % 3];
        kit.run(words.iter().chain(more)).success();
        let mut found = Fingerprint::of(&kit.path(&out), true);
        found.0.remove(&b"Kitfile"[..]);
        assert_eq!(found, whole, "{out}");
        fs::remove_dir_all(kit.path(&out)).unwrap();
    }
    // Nor does a dead one keep the blobs from going.
    kit.run(["remove", "net:1"]).success();
    assert_eq!(kits::count_blobs(&kit), 0);
}

// hazard: 116, 117
#[test]
fn a_kit_that_is_removed_while_it_is_unpacked_comes_out_whole() {
    let kit = Sandbox::new();
    kit.file(
        "tree/Kitfile",
        "model: {path: m.bin}\ndocs: [{path: d.md}]\n",
    );
    kit.file("tree/m.bin", vec![7; 48 << 20])
        .file("tree/d.md", "d");
    let mut expected = Fingerprint::of(&kit.path("tree"), true);
    expected.0.remove(&b"Kitfile"[..]);
    for flags in [&["-q"][..], &["-q", "--force"]] {
        kit.run(["pack", "tree", "-q", "-t", "net:1"]).success();
        let child = start(&kit, &["unpack", "net:1", "-d", "out", "-q"]);
        while !kit.path("out").exists() {
            thread::yield_now();
        }
        // It has the kit open by now, and may be done when the signal comes: then it is whole, too.
        signal(&child, "-STOP");
        kit.run(["remove", "net:1"].iter().chain(flags)).success();
        let prune = kit.run(["prune", "--lock-timeout", "0s"]);
        assert!([0, 8].contains(&prune.code), "{prune}");
        signal(&child, "-CONT");
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let mut found = Fingerprint::of(&kit.path("out"), true);
        found.0.remove(&b"Kitfile"[..]);
        assert_eq!(found, expected);
        fs::remove_dir_all(kit.path("out")).unwrap();
        kit.run(["prune"]).success();
        assert_eq!(kits::count_blobs(&kit), 0);
    }
}
