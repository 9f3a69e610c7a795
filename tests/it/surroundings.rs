//! What is around the program: disks that cannot be written, clocks that jump, little memory, users
//! without names, stores that came from elsewhere.
#![cfg(unix)]

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::support::{Sandbox, kits, set_mode, trees::Fingerprint};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Calls `change` for each file and folder below `folder`, and for itself.
fn for_all(folder: &Path, change: &dyn Fn(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_all(&path, change);
        } else {
            change(&path);
        }
    }
    change(folder);
}

fn with_kits() -> Sandbox {
    let kit = Sandbox::new();
    kits::pack(&kit, "a:1", "one");
    kits::pack(&kit, "b:1", "two");
    kit
}

// --- the disk ---

// hazard: 103
#[test]
#[cfg(target_os = "linux")]
fn a_store_that_may_not_be_written_is_read_and_what_writes_says_so() {
    let kit = with_kits();
    for_all(kit.home(), &|path| {
        set_mode(path, if path.is_dir() { 0o555 } else { 0o444 });
    });
    kit.file("new/Kitfile", "model: {path: m}\n")
        .file("new/m", "m");
    let before = Fingerprint::of(kit.home(), false);
    let run = |words: &[&str]| {
        let output = crate::pack::as_nobody(&kit, words);
        // What it opens up for that user is the folder of the home alone.
        set_mode(kit.home(), 0o555);
        output
    };
    for words in [
        &["list"][..],
        &["info", "a:1"],
        &["files", "a:1"],
        &["cat", "a:1", "model.bin"],
        &["verify"],
        &["diff", "a:1", "b:1"],
        &["history"],
        &["du"],
        &["doctor"],
    ] {
        let Some(output) = run(words) else { return };
        let output = output.exits(0);
        assert!(!output.stderr.contains("error"), "{words:?}: {output}");
    }
    for words in [
        &["pack", "new", "-t", "new:1"][..],
        &["tag", "a:1", "c:1"],
        &["remove", "a:1"],
        &["prune"],
    ] {
        let Some(output) = run(words) else { return };
        assert_ne!(output.code, 0, "{words:?}: {output}");
        assert!(
            output.stderr.contains("Permission denied"),
            "{words:?}: {output}"
        );
        assert!(output.stderr.contains("[HOME]"), "{words:?}: {output}");
    }
    assert_eq!(Fingerprint::of(kit.home(), false), before);
}

// hazard: 109
#[test]
fn a_fifo_a_link_or_a_folder_in_the_place_of_a_blob_is_damage_and_holds_nobody_up() {
    for what in ["fifo", "link", "dangling", "folder"] {
        for part in 0..3 {
            let kit = Sandbox::new();
            let manifest = kits::pack(&kit, "a:1", "one");
            let (config, layers) = kits::blobs(&kit, &manifest);
            let path = kit
                .store()
                .blob_path([&manifest, &config, &layers[0]][part]);
            fs::rename(&path, kit.path("aside")).unwrap();
            match what {
                "fifo" => {
                    let made = Command::new("mkfifo").arg(&path).status();
                    assert!(made.unwrap().success());
                }
                // What it leads to has the right bytes: it is still not ours.
                "link" => std::os::unix::fs::symlink(kit.path("aside"), &path).unwrap(),
                "dangling" => std::os::unix::fs::symlink("nowhere", &path).unwrap(),
                _ => fs::create_dir(&path).unwrap(),
            }
            for words in [
                &["unpack", "a:1", "-d", "out"][..],
                &["cat", "a:1", "model.bin"],
                &["verify"],
                &["save", "a:1", "-o", "a.tar"],
            ] {
                let output = kit.run(words);
                // The list of what is in a kit may come from its documents alone.
                assert_eq!(output.code, 5, "{what} {part} {words:?}: {output}");
            }
            assert!(!kit.path("out/model.bin").exists() && !kit.path("a.tar").exists());
            let _ = kit.run(["list"]);
            kits::pack(&kit, "a:1", "one");
            kit.run(["verify"]).success();
            kit.run(["unpack", "a:1", "-d", "out"]).success();
        }
    }
}

// hazard: 106
#[test]
fn a_store_that_was_copied_works_where_it_is_now() {
    let kit = with_kits();
    let other = Sandbox::new();
    for flags in ["-R", "-Rp"] {
        let _ = fs::remove_dir_all(other.home().join("store"));
        let copied = Command::new("cp")
            .arg(flags)
            .arg(kit.home().join("store"))
            .arg(other.home())
            .status();
        assert!(copied.unwrap().success());
        other.run(["verify"]).success();
        assert_eq!(other.store().names(), kit.store().names());
        other.run(["unpack", "a:1", "-d", "out"]).success();
        fs::remove_dir_all(other.path("out")).unwrap();
        kits::pack(&other, "c:1", "one");
        other.run(["remove", "a:1"]).success();
        other.run(["unpack", "c:1", "-d", "out"]).success();
        fs::remove_dir_all(other.path("out")).unwrap();
    }
    // Of a version that comes after this one nothing is touched.
    let marker = other.home().join("store/kit-store.json");
    set_mode(&marker, 0o644);
    fs::write(&marker, "{\"version\":2}\n").unwrap();
    let before = Fingerprint::of(other.home(), false);
    for words in [
        &["list"][..],
        &["prune"],
        &["pack", "packed"],
        &["verify", "--repair"],
    ] {
        let output = other.run(words);
        assert_ne!(output.code, 0, "{words:?}: {output}");
        assert!(
            output.stderr.contains("has format 2"),
            "{words:?}: {output}"
        );
    }
    assert_eq!(Fingerprint::of(other.home(), false), before);
}

// --- the clock ---

// hazard: 108
#[test]
fn a_clock_that_was_a_year_off_costs_no_kit_and_hides_no_change() {
    let now = SystemTime::now();
    for then in [now - YEAR, now + YEAR] {
        let kit = with_kits();
        kit.file("tree/Kitfile", "model: {path: m}\n")
            .file("tree/m", "before");
        kit.run(["pack", "tree", "-q", "-t", "tree:1"]).success();
        let set_back = |path: &Path| {
            let file = fs::File::open(path).unwrap();
            file.set_modified(then).unwrap();
        };
        for_all(kit.home(), &set_back);
        for_all(&kit.path("tree"), &set_back);
        for words in [
            &["prune"][..],
            &["prune", "--older-than", "1h"],
            &["verify"],
            &["pack", "tree", "-q", "-t", "tree:1"],
        ] {
            let output = kit.run(words);
            assert_eq!(output.code, 0, "{words:?}: {output}");
        }
        assert_eq!(kit.store().names().len(), 3);
        // A change is seen, whatever the times say.
        fs::write(kit.path("tree/m"), "after!").unwrap();
        set_back(&kit.path("tree/m"));
        kit.run(["pack", "tree", "-q", "-t", "tree:1"]).success();
        kit.run(["unpack", "tree:1", "-d", "out", "-q"]).success();
        assert_eq!(fs::read(kit.path("out/m")).unwrap(), b"after!");
        kit.run(["verify"]).success();
    }
}

// --- memory ---

/// Runs `kit` with at most so many KiB of addresses.
#[cfg(target_os = "linux")]
fn within(kit: &Sandbox, kib: u32, words: &[&str]) -> crate::support::Output {
    let mut command = kit.program("sh");
    let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_kit"));
    command.args(words);
    kit.finish(command, b"")
}

// hazard: 105
#[test]
#[cfg(target_os = "linux")]
fn a_kit_that_is_larger_than_the_memory_is_packed_and_unpacked() {
    const MEMORY: u32 = 256 << 10;
    let kit = Sandbox::new();
    kit.file("tree/Kitfile", "model: {path: m.bin}\n");
    let model = fs::File::create(kit.path("tree/m.bin")).unwrap();
    model.set_len(300 << 20).unwrap();
    for (name, compression) in [
        ("plain:1", "none"),
        ("zstd:1", "zstd"),
        ("gzip:1", "gzip-fastest"),
    ] {
        let words = [
            "pack",
            "tree",
            "-q",
            "-t",
            name,
            "--compression",
            compression,
            "--threads",
            "2",
        ];
        within(&kit, MEMORY, &words).success();
        let words = ["unpack", name, "-d", "out", "-q", "--threads", "2"];
        within(&kit, MEMORY, &words).success();
        assert_eq!(
            fs::metadata(kit.path("out/m.bin")).unwrap().len(),
            300 << 20
        );
        fs::remove_dir_all(kit.path("out")).unwrap();
        within(&kit, MEMORY, &["verify", name]).success();
        kit.run(["remove", name, "-q"]).success();
    }
}

// hazard: 104, 105, 124
#[test]
#[cfg(target_os = "linux")]
fn many_layers_and_many_files_need_few_open_files_and_little_memory() {
    let kit = Sandbox::new();
    let mut kitfile = "code: [{path: src}]\ndocs:\n".to_owned();
    for number in 0..100 {
        let path = format!("docs/{number}.md");
        kitfile.extend(["  - path: ", &path, "\n"]);
        kit.file(format!("tree/{path}"), number.to_string());
    }
    for folder in 0..20 {
        kit.dir(format!("tree/src/{folder}"));
        for file in 0..100 {
            fs::write(kit.path(format!("tree/src/{folder}/{file}")), [1]).unwrap();
        }
    }
    kit.file("tree/Kitfile", kitfile);
    for words in [
        &["pack", "tree", "-q", "-t", "net:1"][..],
        &["verify", "net:1"],
        &["files", "net:1", "-q"],
        &["save", "net:1", "-o", "net.tar", "-q"],
        &["unpack", "net:1", "-d", "out", "-q"],
        &["status", "out", "--kit", "net:1"],
        &["remove", "net:1", "-q"],
        &["load", "net.tar", "-q"],
    ] {
        let mut command = kit.program("sh");
        let script = "ulimit -n 64; ulimit -v 262144; exec \"$0\" \"$@\"";
        command.args(["-c", script]).arg(env!("CARGO_BIN_EXE_kit"));
        command.args(words);
        kit.finish(command, b"").success();
    }
    let found = Fingerprint::of(&kit.path("out"), true).0;
    assert_eq!(found.len(), 100 + 20 * 101 + 3);
}

// --- whoever starts it ---

// hazard: 142
#[test]
#[cfg(target_os = "linux")]
fn a_user_without_a_name_and_process_1_can_use_it() {
    let kit = with_kits();
    if let Some(output) = crate::pack::as_nobody(&kit, &["list"]) {
        output.success();
    }
    let root = fs::metadata("/proc/self").unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&root) == 0;
    for (program, flags, words) in [
        (
            "setpriv",
            &["--reuid=4242424", "--clear-groups", "--"][..],
            &["version"][..],
        ),
        (
            "unshare",
            &["--pid", "--fork"],
            &["unpack", "a:1", "-d", "out"],
        ),
    ] {
        if !is_root || !crate::support::have(program) {
            return;
        }
        let mut command = kit.program(program);
        let kit_program = kit.path("../kit-for-all");
        if !kit_program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_kit"), &kit_program).unwrap();
            set_mode(&kit.path(".."), 0o755);
        }
        command
            .args(flags)
            .arg(&kit_program)
            .args(words)
            .current_dir("/");
        command.current_dir(kit.path(""));
        let output = kit.finish(command, b"");
        if output.stderr.starts_with("unshare:") {
            eprintln!("SKIP: no process can be the first here");
            return;
        }
        let _ = output.exits(0);
    }
    assert!(kit.path("out/model.bin").exists());
}

// hazard: 142
#[test]
fn a_home_that_cannot_be_made_is_named_and_nothing_panics() {
    let mut kit = Sandbox::new();
    kit.file("a-file", "x")
        .file("packed/Kitfile", "model: {path: m}\n")
        .file("packed/m", "m");
    for home in ["/dev/null/home", "/proc/home"] {
        kit.env("KITOPS_HOME", home);
        for words in [
            &["pack", "packed", "-t", "a:1"][..],
            &["list"],
            &["login", "r.example", "-u", "x", "-p", "y"],
            &["prune"],
        ] {
            let output = kit.run(words);
            assert!(![101, 134].contains(&output.code), "{words:?}: {output}");
            assert!(!output.stderr.contains("panicked"), "{words:?}: {output}");
            if words[0] == "pack" {
                assert_ne!(output.code, 0, "{output}");
                assert!(output.stderr.contains(home), "{output}");
            }
        }
    }
    for (name, value) in [
        ("LANG", "C"),
        ("LC_ALL", "xx_YY.broken"),
        ("TERM", "dumb"),
        ("COLUMNS", "0"),
    ] {
        kit.env("KITOPS_HOME", kit.home().to_owned());
        kit.env(name, value);
        kit.run(["pack", "packed", "-t", "a:1"]).success();
        kit.run(["list"]).success();
    }
}
