//! System calls: what is synced before success is told, and what becomes of calls that fail. These
//! tests look on with `strace`, and say so where it is not installed.
#![cfg(target_os = "linux")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use crate::support::{
    Output, Sandbox,
    fake::{Fake, Shelf},
    have, kits,
    trees::Fingerprint,
};

/// Runs `kit` with `strace` and these flags of it.
fn traced(kit: &Sandbox, flags: &[&str], words: &[&str]) -> Output {
    let mut command: Command = kit.program("strace");
    command.args(["-f", "-y", "-s", "0", "-e", "signal=none"]);
    command.args(["-o", kit.path("trace").to_str().unwrap()]);
    command.args(flags).arg("--");
    command.arg(env!("CARGO_BIN_EXE_kit")).args(words);
    kit.finish(command, b"")
}

// --- what a power cut would take ---

/// What of a folder and all below it would be lost if the power went: a file system that forgets
/// what was not synced.
#[derive(Default)]
struct Forgetful {
    /// Files with bytes that were not synced.
    files: BTreeSet<String>,
    /// Folders with names that were not synced, and these.
    folders: BTreeMap<String, BTreeSet<String>>,
    /// What was named with unsynced bytes, and names that were given before what they need.
    faults: Vec<String>,
    /// How many syncs there were.
    syncs: usize,
}

impl Forgetful {
    /// Reads the trace of a process that worked below `root`.
    fn watch(trace: &str, root: &str) -> Self {
        let mut system = Self::default();
        let mut begun: BTreeMap<&str, String> = BTreeMap::new();
        for line in trace.lines() {
            let (pid, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            if let Some((call, _)) = rest.split_once(" <unfinished ...>") {
                begun.insert(pid, call.to_owned());
                // Bytes count from here on, syncs when they are done.
                if !call.starts_with('f') && !call.starts_with("syncfs") {
                    system.call(call, root);
                }
                continue;
            }
            let whole = match rest.split_once(" resumed>") {
                Some((_, end)) if rest.starts_with("<...") => {
                    begun.remove(pid).unwrap_or_default() + end
                }
                _ => rest.to_owned(),
            };
            if !whole.contains(" = -1 ") {
                system.call(&whole, root);
            }
        }
        system
    }

    fn call(&mut self, call: &str, root: &str) {
        let Some((name, rest)) = call.split_once('(') else {
            return;
        };
        // Of the file that is open, and of the paths in quotes.
        let open = rest.split_once('<').and_then(|it| it.1.split_once('>'));
        let open = open.map(|it| it.0).filter(|it| it.starts_with(root));
        let quoted: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        match name {
            "write" | "pwrite64" | "writev" | "ftruncate" | "copy_file_range" => {
                if let Some(file) = open {
                    self.files.insert(file.to_owned());
                }
            }
            "fsync" | "fdatasync" => {
                self.syncs += 1;
                if let Some(path) = open {
                    self.files.remove(path);
                    self.folders.remove(path);
                }
            }
            "syncfs" => {
                self.syncs += 1;
                self.files.clear();
                self.folders.clear();
            }
            "mkdir" | "mkdirat" => self.named(quoted[0], root),
            "openat" if rest.contains("O_CREAT") => self.named(quoted[0], root),
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                let [from, to] = quoted[..] else { return };
                if self.files.remove(from) {
                    self.faults.push(format!("{to} got its name unsynced"));
                    self.files.insert(to.to_owned());
                }
                if to.ends_with("/index.json") && self.has_unsynced_blobs() {
                    self.faults
                        .push(format!("{to} was written before its blobs were synced"));
                }
                self.named(to, root);
            }
            _ => {}
        }
    }

    fn named(&mut self, path: &str, root: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if path.starts_with(root) {
            let names = self.folders.entry(folder.to_owned()).or_default();
            names.insert(name.to_owned());
        }
    }

    fn has_unsynced_blobs(&self) -> bool {
        let names = |it: &str| it.contains("/blobs/");
        self.files.iter().any(|it| names(it))
            || self.folders.keys().any(|it| names(&format!("{it}/")))
    }

    /// Returns what would be lost of what is needed.
    fn lost(&self) -> Vec<String> {
        // Notes about what is there anyway, and what processes tell each other.
        let not_needed = [
            "/ingest/",
            "/lock",
            "/cache",
            "/blob-stamps",
            "/origins",
            ".tmp",
        ];
        let names = self.folders.iter();
        let names = names.flat_map(|(at, names)| names.iter().map(move |it| format!("{at}/{it}")));
        let mut lost: Vec<String> = self.files.iter().cloned().chain(names).collect();
        lost.extend(self.faults.iter().cloned());
        lost.retain(|it| !not_needed.iter().any(|part| it.contains(part)));
        lost
    }
}

const CALLS: &str = "trace=write,pwrite64,writev,ftruncate,copy_file_range,fsync,fdatasync,syncfs,\
                     mkdir,mkdirat,openat,rename,renameat,renameat2,link,linkat";

// hazard: 98, 99
#[test]
fn what_is_told_to_be_done_no_power_cut_takes_away() {
    if !have("strace") {
        return;
    }
    let shelf = Shelf::with_model(&vec![9; 3 << 20]);
    let registry = Fake::start(move |request| shelf.answer(request));
    let pulled = format!("{}/team/net:1", registry.host());
    let kit = Sandbox::new();
    kit.file(
        "tree/Kitfile",
        "model: {path: m.bin}\ndocs: [{path: d.md}]\n",
    );
    kit.file("tree/m.bin", vec![7; 3 << 20])
        .file("tree/d.md", "d");
    let home = kit.home().to_str().unwrap().to_owned();
    for words in [
        &["pack", "tree", "-t", "net:1"][..],
        &["pack", "tree", "-t", "net:2", "--compression", "zstd"],
        &["tag", "net:1", "other:1"],
        &["pull", &pulled, "-q"],
        &["save", "net:1", "-o", "saved/"],
        &["remove", "other:1", "-q"],
        &["remove", "net:2", "-q"],
        &["load", "saved", "-t", "loaded:1"],
        &["unpack", "net:1", "-d", "out"],
    ] {
        traced(&kit, &["-e", CALLS], words).success();
        let trace = fs::read_to_string(kit.path("trace")).unwrap();
        let root = match words[0] {
            "unpack" | "save" => kit.path("").to_str().unwrap().to_owned(),
            _ => home.clone(),
        };
        let seen = Forgetful::watch(&trace, &root);
        assert!(seen.syncs > 0, "{words:?}");
        assert_eq!(seen.lost(), [""; 0], "{words:?}");
    }
}

#[test]
fn the_watcher_of_syncs_sees_what_would_be_lost() {
    let lost = |trace: &str| Forgetful::watch(trace, "/h").lost();
    let blob = "1 openat(AT_FDCWD</>, \"/h/ingest/1\", O_RDWR|O_CREAT) = 5</h/ingest/1>\n\
                1 write(5</h/ingest/1>, \"\"..., 3 <unfinished ...>\n\
                2 mkdir(\"/else/where\", 0777) = 0\n\
                1 <... write resumed>) = 3\n";
    let sync = "1 fsync(5</h/ingest/1>) = 0\n";
    let rename = "1 rename(\"/h/ingest/1\", \"/h/blobs/sha256/aa\") = 0\n";
    let folders = "1 fsync(6</h/blobs/sha256>) = 0\n1 fsync(6</h/ingest>) = 0\n";
    let index = "1 rename(\"/h/2.tmp\", \"/h/index.json\") = 0\n1 fsync(4</h>) = 0\n";
    assert_eq!(
        lost(&[blob, sync, rename, folders, index].concat()),
        [""; 0]
    );
    for (trace, expected) in [
        (
            [blob, rename, folders, index].concat(),
            "/h/blobs/sha256/aa got its name unsynced",
        ),
        (
            [blob, sync, rename, index, folders].concat(),
            "/h/index.json was written before",
        ),
        (
            [blob, sync, rename, "1 fsync(6</h/ingest>) = 0\n"].concat(),
            "/h/blobs/sha256/aa",
        ),
        (
            [
                blob,
                "1 fsync(5</h/ingest/1>) = -1 EIO (x)\n",
                rename,
                folders,
            ]
            .concat(),
            "got its name unsynced",
        ),
    ] {
        let found = lost(&trace).join("\n");
        assert!(found.contains(expected), "{found}\n{trace}");
    }
}

// --- calls that fail ---

/// Packs over and over, while the first, the second and so on of these calls fails in each thread,
/// until `most` or until none of them fails any more. What is there before must be there after it,
/// and the same command must work when nothing fails.
fn survives(calls: &str, error: &str, numbers: impl Iterator<Item = u32>) {
    if !have("strace") {
        return;
    }
    let kit = Sandbox::new();
    kit.file(
        "tree/Kitfile",
        "model: {path: m.bin}\ndatasets: [{path: data}]\n",
    );
    kit.file("tree/m.bin", vec![7; 1 << 20]);
    for number in 0..5 {
        kit.file(format!("tree/data/{number}.csv"), number.to_string());
    }
    let files = |folder: &str| {
        let mut files = Fingerprint::of(&kit.path(folder), false);
        files.0.remove(&b"Kitfile"[..]); // Written from the config.
        files
    };
    let source = files("tree");
    let before = kits::pack(&kit, "before:1", "before");
    let words = [
        "pack",
        "tree",
        "-q",
        "--no-cache",
        "--threads",
        "2",
        "-t",
        "net:1",
    ];
    let mut met = 0;
    for number in numbers {
        let inject = format!("inject={calls}:error={error}:when={number}");
        let output = traced(
            &kit,
            &["-e", &format!("trace={calls}"), "-e", &inject],
            &words,
        );
        let what = format!("{calls} {number} {error}: {output}");
        let trace = fs::read_to_string(kit.path("trace")).unwrap();
        assert!(!output.stderr.contains("panicked"), "{what}");
        assert_ne!(output.code, 101, "{what}");
        assert_ne!(output.code, 134, "{what}");
        met += usize::from(trace.contains("(INJECTED)"));
        assert!(output.code == 0 || error != "EINTR", "{what}");
        let names = kit.store().names();
        assert_eq!(names["before:1"], before, "{what}");
        assert!(kit.store().damaged().is_empty(), "{what}");
        if output.code == 0 {
            assert!(names.contains_key("net:1"), "{what}");
        }
        kit.run(["verify", "-q"]).success();
        kit.run(words).success();
        assert_eq!(being_written(&kit), [""; 0], "{what}");
        kit.run(["unpack", "net:1", "-d", "out", "-q"]).success();
        assert_eq!(files("out"), source, "{what}");
        fs::remove_dir_all(kit.path("out")).unwrap();
        kit.run(["remove", "net:1", "-q"]).success();
        if !trace.contains("(INJECTED)") {
            break;
        }
    }
    assert!(met > 0, "{calls}: none of them failed");
}

fn being_written(kit: &Sandbox) -> Vec<String> {
    let folder = fs::read_dir(kit.store().path().join("ingest")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

// hazard: 100, 101
#[test]
fn a_write_that_fails_is_an_error_and_nothing_more() {
    survives("write,pwrite64", "ENOSPC", 1..26);
}

// hazard: 100
#[test]
fn a_sync_or_a_rename_that_fails_is_an_error_and_nothing_more() {
    survives("fsync,fdatasync,syncfs", "EIO", 1..26);
    survives("rename,renameat,renameat2", "EIO", 1..26);
}

// hazard: 104
#[test]
fn files_that_cannot_be_opened_or_are_elsewhere_are_an_error_and_nothing_more() {
    survives("openat", "EMFILE", (10..80).step_by(5));
    survives("openat", "ENFILE", (12..80).step_by(9));
    survives("openat", "ESTALE", (14..80).step_by(9));
    survives("rename,renameat,renameat2", "EXDEV", (1..26).step_by(2));
}

// hazard: 104
#[test]
fn calls_that_are_interrupted_are_made_again() {
    survives("write,pwrite64", "EINTR", 1..9);
    survives("read,pread64", "EINTR", (8..40).step_by(3));
}

// hazard: 101, 102
#[test]
fn a_file_system_that_is_full_in_the_middle_of_it_costs_that_command_alone() {
    // No more than so many bytes fit into a file: the write before is cut short, the next fails.
    let kit = Sandbox::new();
    let before = kits::pack(&kit, "before:1", "before");
    kit.file("tree/Kitfile", "model: {path: m.bin}\n");
    kit.file("tree/m.bin", vec![7; 3 << 20]);
    let words = [
        "pack",
        "tree",
        "-q",
        "--compression",
        "gzip-fastest",
        "-t",
        "net:1",
    ];
    let full = |words: &[&str], blocks: u32| {
        let mut command = kit.program("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_kit"));
        command.args(words);
        kit.finish(command, b"")
    };
    for blocks in [0, 1, 2, 3] {
        let output = full(&words, blocks);
        assert_ne!(output.code, 0, "{blocks}: {output}");
        assert_eq!(
            kit.store().names().into_keys().collect::<Vec<_>>(),
            ["before:1"]
        );
        assert_eq!(kit.store().names()["before:1"], before);
        assert_eq!(being_written(&kit), [""; 0]);
        kit.run(["verify", "-q"]).success();
    }
    kit.run(words).success();
    kit.file("big/Kitfile", "model: {path: m.bin}\n");
    kit.file(
        "big/m.bin",
        (0..99_999_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    );
    kit.run(["pack", "big", "-q", "-t", "big:1"]).success();
    let output = full(&["unpack", "big:1", "-d", "out"], 100);
    assert_ne!(output.code, 0, "{output}");
    assert!(!Path::new(&kit.path("out/m.bin")).exists());
    kit.run(["unpack", "big:1", "-d", "out"]).success();
}
