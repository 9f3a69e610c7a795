//! Nothing is done twice, and what changed is always seen.

use std::{
    fs::{self, File, Metadata},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, kits};

const KITFILE: &str = "manifestVersion: 1.0.0
model: {name: net, path: net.bin}
datasets: [{name: rows, path: data}]
";

/// Returns a directory with a model and a folder, as old as it takes for stamps to be believed.
fn tree() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("Kitfile", KITFILE)
        .file("net.bin", [7; 5000])
        .file("data/a.csv", "1,2,3\n")
        .file("data/b.csv", "4,5,6\n".repeat(100))
        .file("data/sub/c.csv", "");
    let_time_pass();
    kit
}

/// Waits until what was written before is told from what is written now.
fn let_time_pass() {
    thread::sleep(Duration::from_millis(150));
}

fn pack(kit: &Sandbox, arguments: &[&str]) -> Value {
    let all = ["pack", ".", "-t", "net:1", "--format", "json"];
    kit.run(all.iter().chain(arguments)).json()
}

/// Returns the digest that packing gives without believing anything.
fn truth(kit: &Sandbox) -> String {
    digest(&pack(kit, &["--no-cache"]))
}

fn digest(packed: &Value) -> String {
    packed["digest"].as_str().unwrap().to_owned()
}

fn stored(packed: &Value) -> Vec<&str> {
    let layers = packed["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer["stored"].as_str().unwrap())
        .collect()
}

/// Returns when a blob was last begun: every layer that is packed makes a file there.
fn last_written(kit: &Sandbox) -> SystemTime {
    let folder = fs::metadata(kit.home().join("store/ingest")).unwrap();
    folder.modified().unwrap()
}

/// Returns the files of the cache.
fn cache_files(kit: &Sandbox) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![kit.home().join("cache/hashes")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "lock" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Writes `content` into the file as it is, and puts its time back.
fn write_in_place(path: &Path, content: &[u8], before: &Metadata) {
    use std::io::Write as _;
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(content).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn an_unchanged_tree_is_packed_without_writing_a_layer() {
    let kit = tree();
    let first = pack(&kit, &[]);
    assert_eq!(stored(&first), ["new", "new"]);
    let before = last_written(&kit);
    let_time_pass();
    let second = pack(&kit, &[]);
    assert_eq!(digest(&second), digest(&first));
    assert_eq!(stored(&second), ["present", "present"]);
    assert_eq!(last_written(&kit), before, "a layer was packed");
    // And when nothing is to be believed it is.
    let third = pack(&kit, &["--no-cache"]);
    assert_eq!(digest(&third), digest(&first));
    assert_eq!(stored(&third), ["present", "present"]);
    assert_ne!(last_written(&kit), before, "no layer was packed");
}

#[test]
fn packing_again_says_what_packing_says_of_what_is_there() {
    let kit = tree();
    kit.run(["pack", ".", "-t", "net:1"]).success();
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "net:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Already saved model layer: sha256:[DIGEST]
Already saved dataset layer: sha256:[DIGEST]
Configuration already exists in storage: sha256:[DIGEST]
Manifest already exists in storage: sha256:[DIGEST]
Tagged net:1
[exit 0]

"#]]
    );
}

#[test]
#[cfg(unix)]
fn what_was_touched_moved_or_copied_needs_no_new_layer() {
    let kit = tree();
    let first = pack(&kit, &[]);
    for (what, change) in [
        ("touched", "touch data/a.csv"),
        (
            "copied",
            "cp data/a.csv x && rm data/a.csv && mv x data/a.csv",
        ),
    ] {
        let status = std::process::Command::new("sh")
            .args(["-c", change])
            .current_dir(kit.path(""))
            .status()
            .unwrap();
        assert!(status.success());
        let_time_pass();
        let before = last_written(&kit);
        let again = pack(&kit, &[]);
        assert_eq!(digest(&again), digest(&first), "{what}");
        assert_eq!(last_written(&kit), before, "{what}: a layer was packed");
    }
}

#[test]
#[cfg(unix)]
fn every_change_is_seen() {
    type Change = fn(&Sandbox);
    let changes: [(&str, Change); 8] = [
        ("a byte in place, the time put back", |kit| {
            let path = kit.path("data/a.csv");
            write_in_place(&path, b"1,2,4\n", &fs::metadata(&path).unwrap());
        }),
        ("a byte of the only file, the time put back", |kit| {
            let path = kit.path("net.bin");
            write_in_place(&path, &[8; 5000], &fs::metadata(&path).unwrap());
        }),
        ("another file of that name, size and time", |kit| {
            let before = fs::metadata(kit.path("data/a.csv")).unwrap();
            kit.file("new", "1,2,5\n");
            let file = File::options().write(true).open(kit.path("new")).unwrap();
            file.set_modified(before.modified().unwrap()).unwrap();
            fs::rename(kit.path("new"), kit.path("data/a.csv")).unwrap();
        }),
        ("the execute bit", |kit| {
            crate::support::set_mode(&kit.path("data/a.csv"), 0o755);
        }),
        ("another name", |kit| {
            fs::rename(kit.path("data/a.csv"), kit.path("data/z.csv")).unwrap();
        }),
        ("two names exchanged", |kit| {
            fs::rename(kit.path("data/b.csv"), kit.path("x")).unwrap();
            fs::rename(kit.path("data/sub/c.csv"), kit.path("data/b.csv")).unwrap();
            fs::rename(kit.path("x"), kit.path("data/sub/c.csv")).unwrap();
        }),
        ("an empty folder", |kit| {
            kit.dir("data/empty");
        }),
        ("an ignored file", |kit| {
            kit.file(".kitignore", "data/b.csv\n");
        }),
    ];
    for (what, change) in changes {
        let kit = tree();
        let before = digest(&pack(&kit, &[]));
        let_time_pass();
        change(&kit);
        let after = digest(&pack(&kit, &[]));
        assert_ne!(after, before, "{what}");
        assert_eq!(after, truth(&kit), "{what}");
    }
}

#[test]
fn a_file_rewritten_in_the_moment_it_was_packed_is_seen() {
    let kit = tree();
    for round in 0..20 {
        kit.file("data/a.csv", format!("{round:05}\n"))
            .file("net.bin", [round; 5000]);
        pack(&kit, &[]);
        kit.file("data/a.csv", format!("{round:04}x\n"))
            .file("net.bin", [round + 100; 5000]);
        let after = digest(&pack(&kit, &[]));
        assert_eq!(after, truth(&kit), "round {round}");
    }
}

// hazard: 88, 92
#[test]
fn a_lost_or_damaged_blob_is_packed_again() {
    let kit = tree();
    let first = pack(&kit, &[]);
    let layer = first["layers"][0]["digest"].as_str().unwrap();
    kits::lose(&kit, layer);
    assert_eq!(stored(&pack(&kit, &[])), ["new", "present"]);
    kits::damage(&kit, layer);
    assert_eq!(stored(&pack(&kit, &[])), ["healed", "present"]);
    kits::damage(&kit, layer);
    assert_eq!(stored(&pack(&kit, &["--no-cache"])), ["healed", "present"]);
    kit.run(["verify"]).success();
}

#[test]
fn a_damaged_cache_is_no_cache() {
    let kit = tree();
    let first = digest(&pack(&kit, &[]));
    let files = cache_files(&kit);
    assert_eq!(files.len(), 3, "{files:?}");
    for path in &files {
        let whole = fs::read(path).unwrap();
        let cuts = (0..whole.len()).step_by(whole.len() / 5);
        for end in cuts.chain([whole.len() - 1]) {
            let mut flipped = whole.clone();
            flipped[end] ^= 0x10;
            for content in [&whole[..end], &flipped] {
                fs::write(path, content).unwrap();
                let status = kit.run(["status"]).success();
                assert!(status.starts_with("No changes"), "{path:?} {end}: {status}");
                assert_eq!(digest(&pack(&kit, &[])), first, "{path:?} {end}");
            }
        }
    }
    // Something else in its place.
    fs::remove_dir_all(kit.home().join("cache")).unwrap();
    fs::write(kit.home().join("cache"), "a file").unwrap();
    assert_eq!(digest(&pack(&kit, &[])), first);
    kit.run(["status"]).success();
}

#[test]
fn processes_share_the_cache() {
    let kit = tree();
    for number in 0..40 {
        kit.file(format!("data/n{number}"), [number; 100]);
    }
    let_time_pass();
    let run = |arguments: &[&str]| {
        let mut command = kit.command(arguments);
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    for round in 0..4 {
        kit.file(format!("data/n{round}"), "changed");
        let children: Vec<_> = (0..4)
            .flat_map(|_| [run(&["pack", ".", "-t", "net:1"]), run(&["status"])])
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            // The first `status` may find no kit yet, or only the one before.
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_early = text.contains("it is not known which kit");
            assert!(output.status.success() || is_early, "{text}");
        }
        assert_eq!(digest(&pack(&kit, &[])), truth(&kit));
    }
    let status = kit.run(["status"]).success();
    assert!(status.starts_with("No changes"), "{status}");
}

#[test]
fn the_cache_can_be_looked_at_and_emptied() {
    let kit = tree();
    let first = digest(&pack(&kit, &[]));
    let info = kit.run(["cache", "info", "--format", "json"]).json();
    assert_eq!(info["entries"][0]["name"], "hashes");
    let size: u64 = cache_files(&kit)
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert_eq!(info["size"], size);
    kit.run(["cache", "clear"]).success();
    assert!(!kit.home().join("cache/hashes").exists());
    assert_eq!(digest(&pack(&kit, &[])), first);
    kit.run(["status"]).success();
}
