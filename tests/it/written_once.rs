//! Whatever a kit comes from and goes to, each of its bytes is written once: no copy in a temporary
//! place, not even one that is gone or has no name before anybody could see it.
//!
//! The system counts what a process gives to calls that write, and adds the counts of a process to
//! those of its parent when that has waited for it. So nothing is missed, and no time matters.
#![cfg(target_os = "linux")]

use std::process::Command;

use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Uploads},
    shelf::{Rules, StoreShelf},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What may be written beside a kit: its documents, headers, what the cache remembers.
const BESIDE: u64 = MIB / 2;

/// Runs a script that has its last word from `/proc`, and returns what it wrote, in bytes.
#[track_caller]
fn written(kit: &Sandbox, script: &str, words: &[&str]) -> u64 {
    let mut command: Command = kit.program("sh");
    let counted = format!("{{ {script}; }} >/dev/null || exit; cat /proc/$$/io");
    command.args(["-c", &counted]).args(words);
    let said = kit.finish(command, b"").success();
    let line = said.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

/// Runs `kit`, and returns how many bytes it wrote to files, pipes and the like.
#[track_caller]
fn kit_writes(kit: &Sandbox, words: &[&str]) -> u64 {
    let program = [env!("CARGO_BIN_EXE_kit")];
    written(kit, "\"$0\" \"$@\"", &[&program, words].concat())
}

/// Returns bytes that no compression shrinks.
fn noise(length: u64, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let length = usize::try_from(length).unwrap();
    words.flatten().take(length).collect()
}

/// Writes the sources of a kit, and returns how many bytes they have.
fn sources(kit: &Sandbox) -> u64 {
    kit.file(
        "src/Kitfile",
        "manifestVersion: 1.0.0\npackage: {name: net}\nmodel: {name: net, path: model.bin}\n\
         datasets: [{name: rows, path: rows}]\n",
    )
    .file("src/model.bin", noise(6 * MIB, 7));
    for number in 0..60 {
        kit.file(
            format!("src/rows/{number}.bin"),
            noise(40 * KIB, 100 + 2 * number),
        );
    }
    6 * MIB + 60 * 40 * KIB
}

#[track_caller]
fn assert_once(what: &str, written: u64, bytes: u64) {
    assert!(
        written >= bytes,
        "{what}: {written} of {bytes} bytes written: are all counted?"
    );
    assert!(
        written < bytes + bytes / 20 + BESIDE,
        "{what}: {written} bytes written, for {bytes}"
    );
}

#[test]
fn a_second_copy_would_be_seen() {
    let kit = Sandbox::new();
    kit.file("one", noise(3 * MIB, 1));
    let once = written(&kit, "cat one >two", &[]);
    assert_eq!(once, 3 * MIB);
    let twice = written(&kit, "cat one >two; cat two >three; rm two", &[]);
    assert_eq!(twice, 6 * MIB);
}

#[test]
fn what_goes_into_the_store_or_comes_out_of_it_is_written_once() {
    let kit = Sandbox::new();
    let bytes = sources(&kit);
    for (tag, more) in [
        ("plain", &[][..]),
        ("raw", &["--layer-format", "raw"]),
        ("gzip", &["--compression", "gzip-fastest"]),
        ("zstd", &["--compression", "zstd"]),
        ("shards", &["--shard-size", "256KiB"]),
    ] {
        let name = format!("net:{tag}");
        let home = Sandbox::new();
        let source = kit.path("src");
        let pack = [&["pack", source.to_str().unwrap(), "-t", &name], more].concat();
        assert_once(&format!("pack, {tag}"), kit_writes(&home, &pack), bytes);

        let (tar, folder) = (format!("{tag}.tar"), format!("{tag}.layout"));
        for (what, words) in [
            ("unpack", &["unpack", &name, "-d", tag][..]),
            ("save", &["save", &name, "-o", &tar]),
            (
                "save to a folder",
                &["save", &name, "-o", &folder, "--layout", "dir"],
            ),
        ] {
            assert_once(&format!("{what}, {tag}"), kit_writes(&home, words), bytes);
        }
        for (what, layout) in [("load", &tar), ("load of a folder", &folder)] {
            let other = Sandbox::new();
            let path = home.path(layout);
            let words = ["load", path.to_str().unwrap()];
            assert_once(&format!("{what}, {tag}"), kit_writes(&other, &words), bytes);
        }
    }
}

#[test]
fn what_comes_out_of_a_registry_is_written_once() {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let bytes = sources(&publisher);
    for (tag, more) in [
        ("plain", &[][..]),
        ("raw", &["--layer-format", "raw"]),
        ("zstd", &["--compression", "zstd"]),
    ] {
        let name = format!("{}/team/net:{tag}", shelf.host());
        let pack = [&["pack", "src", "-q", "-t", &name], more].concat();
        publisher.run(pack).success();
        for words in [
            &["pull", &name][..],
            &["pull", &name, "-d", "out"],
            &["unpack", &name, "-d", "out"],
        ] {
            let kit = Sandbox::new();
            let what = format!("{}, {tag}", words.join(" "));
            assert_once(&what, kit_writes(&kit, words), bytes);
        }
        let kit = Sandbox::new();
        let copy = ["copy", &name, "oci:layout:1"];
        assert_once(&format!("copy, {tag}"), kit_writes(&kit, &copy), bytes);
    }
}

#[test]
fn a_kit_of_which_a_part_is_here_is_put_together_in_its_place() {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    sources(&publisher);
    let name = |tag: &str| format!("{}/team/net:{tag}", shelf.host());
    let publish = |tag: &str| {
        let pack = ["pack", "src", "-q", "-t", "net:plain"];
        publisher.run(pack).success();
        let add = ["toc", "add", "net:plain", "-t", &name(tag)];
        publisher.run(add).success();
    };
    publish("1");
    let mut model = noise(6 * MIB, 7);
    model[3_000_000] ^= 1;
    publisher.file("src/model.bin", &model);
    publish("2");

    let kit = Sandbox::new();
    kit.run(["pull", &name("1"), "-q"]).success();
    let sent = shelf.sent();
    let pulled = kit_writes(&kit, &["pull", &name("2")]);
    assert!(shelf.sent() - sent < MIB, "the rest is here");
    assert_once("pull", pulled, 6 * MIB);
}

/// What goes through a socket may be counted, too: so no file may be long.
#[test]
fn what_goes_to_a_registry_is_written_nowhere() {
    let kit = Sandbox::new();
    sources(&kit);
    let short = |words: &[&str]| {
        let program = [env!("CARGO_BIN_EXE_kit")];
        let mut command = kit.program("sh");
        let script = "ulimit -f 1024; exec \"$0\" \"$@\"";
        command.args(["-c", script]);
        command.args([&program, words].concat());
        kit.finish(command, b"")
    };
    let pack = ["pack", "src", "-t", "net:1"];
    assert_ne!(short(&pack).code, 0, "the limit holds");
    for more in [
        &[][..],
        &["--layer-format", "raw"],
        &["--compression", "zstd"],
    ] {
        let registry = Uploads::start(Habits::default());
        let name = format!("{}/team/net:1", registry.host());
        let words = [
            "pack",
            "src",
            "--push",
            "--plain-http",
            "--no-store",
            "-t",
            &name,
        ];
        short(&[&words, more].concat()).success();
        registry.has_kit("team/net", "1");
    }
    let registry = Uploads::start(Habits::default());
    let name = format!("{}/team/net:1", registry.host());
    kit.run(pack).success();
    short(&["push", "net:1", &name, "--plain-http"]).success();
    registry.has_kit("team/net", "1");
}
