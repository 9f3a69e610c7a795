//! Single files out of kits that are in a registry and not in the store.

mod listing;
mod untabled;
mod wrong;

use std::{
    fs,
    io::Read as _,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    fake::{Fake, Shelf},
    noise,
    registry::{RealRegistry, Setup},
    shelf::{Fate, Rules, StoreShelf},
    tocs,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Returns what `data/pick.bin` holds.
fn picked() -> Vec<u8> {
    noise(MIB, 77)
}

/// Writes the sources of a kit with a model of `model` bytes and a dataset of 4 MiB in nine files.
fn sources(kit: &Sandbox, model: usize) {
    kit.file(
        "src/Kitfile",
        "manifestVersion: 1.0.0\nmodel: {name: net, path: w}\ncode: [{path: code}]\n\
         datasets: [{name: train, path: data}]\n",
    )
    .file("src/w/net.bin", vec![0; model])
    .file("src/data/pick.bin", picked())
    .file("src/data/empty", "")
    .exec("src/code/run.sh", "#!/bin/sh\n")
    .file("src/code/train.py", noise(3000, 9));
    for number in 0..7 {
        kit.file(format!("src/data/{number}.bin"), noise(400 * KIB, number));
    }
}

/// Hands out a kit of 70 MiB, which has a table of contents, or a small one, which has none.
fn shelf(is_large: bool, flags: &[&str], rules: Rules) -> (Sandbox, StoreShelf, String) {
    let publisher = Sandbox::new();
    sources(&publisher, if is_large { 66 * MIB } else { 12 * MIB });
    let shelf = StoreShelf::of(&publisher, rules);
    let name = format!("{}/team/net:1", shelf.host());
    let pack = ["pack", "src", "-q", "-t", &name];
    publisher.run(pack.iter().chain(flags)).success();
    (publisher, shelf, name)
}

/// Runs a command on the kit in a sandbox that has nothing yet.
fn fresh(words: &[&str], name: &str) -> (Sandbox, Output) {
    let kit = Sandbox::new();
    let words = words.iter().map(|word| word.replace('@', name));
    let output = kit.run(words);
    let host = name.split_once('/').unwrap().0;
    // Nothing comes into the store, not even a folder.
    assert!(!kit.home().join("store").exists());
    (kit, output.hide(host, "[HOST]"))
}

/// Returns what the manifest in the store says of the table of contents: its digest and size.
fn toc(publisher: &Sandbox, name: &str) -> Option<(String, u64)> {
    let shown = publisher.run(["inspect", name]).json();
    let annotations = shown["manifest"]["annotations"].as_object()?.clone();
    let (_, digest) = annotations
        .iter()
        .find(|(key, _)| key.ends_with("toc.digest"))?;
    let digest = digest.as_str()?.to_owned();
    let size = publisher.store().blob(&digest).len() as u64;
    Some((digest, size))
}

#[test]
fn of_a_large_kit_one_file_comes_alone() {
    let (publisher, shelf, name) = shelf(true, &[], Rules::default());
    let (_, toc) = toc(&publisher, &name).unwrap();
    let before = shelf.sent();
    let (kit, output) = fresh(
        &["unpack", "@", "-d", "out", "--include", "data/pick.bin"],
        &name,
    );
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking dataset `train` to `data`
1 file written (1.0 MiB)
[exit 0]

"#]]
    );
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    assert_eq!(fs::read_dir(kit.path("out")).unwrap().count(), 1);
    let sent = shelf.sent() - before;
    let most = (MIB + MIB / 10) as u64 + toc;
    assert!(sent <= most, "{sent} bytes were sent, {most} may be");

    let before = shelf.sent();
    let (_, output) = fresh(&["cat", "@", "data/pick.bin"], &name);
    assert_eq!(output.code, 0);
    let sent = shelf.sent() - before;
    assert!(sent <= most, "{sent} bytes were sent, {most} may be");
    let (_, output) = fresh(&["cat", "@", "code/run.sh"], &name);
    assert_eq!(output.success(), "#!/bin/sh\n");
}

#[test]
fn what_is_selected_comes_out_as_from_the_store() {
    let (publisher, shelf, name) = shelf(true, &["--compression", "zstd"], Rules::default());
    for (patterns, most) in [
        (
            &["--include", "code/**", "--include", "data/3.bin"][..],
            None,
        ),
        (&["--include", "**", "--exclude", "w"], None),
        (&["--include", "data/empty"], None),
        (&["--include", "nothing/of/it"], Some(MIB)),
    ] {
        let before = shelf.sent();
        let here = [&["unpack", &name, "-d", "out", "-o"][..], patterns].concat();
        let _ = fs::remove_dir_all(publisher.path("out"));
        let here = publisher.run(here);
        let there = [&["unpack", "@", "-d", "out"][..], patterns].concat();
        let (kit, there) = fresh(&there, &name);
        assert_eq!(there.code, here.code, "{patterns:?}: {there}");
        let (ours, theirs) = (tree(&kit), tree(&publisher));
        assert_eq!(ours, theirs, "{patterns:?}");
        let sent = shelf.sent() - before;
        let most = most.unwrap_or(9 * MIB) as u64;
        assert!(sent < most, "{patterns:?}: {sent} bytes were sent");
    }
}

/// Returns paths, modes and sizes of what was taken out.
fn tree(kit: &Sandbox) -> Vec<(String, bool, u64)> {
    fn add(folder: &std::path::Path, to: &mut Vec<(String, bool, u64)>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, to);
                continue;
            }
            let metadata = path.metadata().unwrap();
            #[cfg(unix)]
            let runs = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 > 0;
            #[cfg(not(unix))]
            let runs = false;
            to.push((path.to_string_lossy().into_owned(), runs, metadata.len()));
        }
    }
    let mut found = Vec::new();
    add(&kit.path("out"), &mut found);
    let root = kit.path("out").to_string_lossy().into_owned();
    for (path, _, _) in &mut found {
        *path = path.replace(&root, "");
    }
    found.sort();
    found
}

#[test]
fn connections_that_break_cost_little() {
    let asked = AtomicUsize::new(0);
    let rules = Rules::for_blobs(move |it| {
        let is_hit = it.range.is_some() && asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if is_hit {
            Fate::Cut(70_000)
        } else {
            Fate::Fine
        }
    });
    let (_publisher, shelf, name) = shelf(true, &[], rules);
    let words = [
        "unpack",
        "@",
        "-d",
        "out",
        "--include",
        "data/*",
        "--retries",
        "9",
    ];
    let (kit, output) = fresh(&words, &name);
    output.success();
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    let sent = shelf.sent();
    assert!(sent < 6 * MIB as u64, "{sent} bytes were sent");
}

#[test]
fn what_nobody_reads_any_more_is_not_fetched() {
    let mut shelf = Shelf::with_model(&noise(40 * MIB, 3));
    tocs::add(&mut shelf, "1");
    let registry = Fake::start(move |request| {
        let answer = shelf.answer(request);
        if request.header("range").is_some() {
            return answer.slow(MIB);
        }
        answer
    });
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", registry.host());
    let mut command = kit.command(["cat", &name, "model.bin", "-q"]);
    let mut reading = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = reading.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    // What was read is part of 16 MiB that came together, and as much was begun.
    drop(out);
    assert!(reading.wait().unwrap().success());
    let sent = registry.sent();
    assert!(sent < 28 * MIB as u64, "{sent} bytes were sent");
}

#[test]
fn one_file_comes_out_of_a_real_registry() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let publisher = Sandbox::new();
    sources(&publisher, 66 * MIB);
    let name = format!("{}/team/net:1", registry.host());
    publisher.run(["pack", "src", "-q", "-t", &name]).success();
    publisher.run(["push", "-q", &name]).success();
    let (digest, _) = toc(&publisher, &name).unwrap();
    let hex = digest.trim_start_matches("sha256:");
    let root = registry.path("data/docker/registry/v2");
    let blob = root.join("blobs/sha256").join(&hex[..2]).join(hex);
    let link = root.join("repositories/team/net/_layers/sha256").join(hex);
    for folder in [&blob, &link] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(blob.join("data"), publisher.store().blob(&digest)).unwrap();
    fs::write(link.join("link"), &digest).unwrap();
    let words = [
        "-vvv",
        "unpack",
        "@",
        "-d",
        "out",
        "--include",
        "data/pick.bin",
    ];
    let (kit, output) = fresh(&words, &name);
    let said = output.exits(0).stderr;
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    // The config, the table of contents, and one part of one layer.
    assert_eq!(said.matches("/blobs/").count(), 3, "{said}");
    assert_eq!(said.matches("206 Partial Content").count(), 1, "{said}");
}
