//! In registries.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    MIB, assert_unpacked, digest_of, fails, flip, is_segment, layers, pack, pack_plain, tree,
};
use crate::support::{
    Sandbox,
    registry::{RealRegistry, Setup},
    shelf::{Asked, Fate, Rules, StoreShelf},
};

/// Returns a registry with a kit in segments that has a table of contents, and its name.
fn shelf(rules: Rules) -> (Sandbox, StoreShelf, String) {
    let publisher = tree();
    let shelf = StoreShelf::of(&publisher, rules);
    let name = format!("{}/team/net:1", shelf.host());
    pack(&publisher, &name);
    publisher.run(["toc", "add", &name]).success();
    (publisher, shelf, name)
}

#[test]
fn a_kit_comes_out_of_a_real_registry_as_it_went_in_and_a_change_is_two_segments() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (tree(), Sandbox::new());
    let first = format!("{}/team/net:1", registry.host());
    let second = format!("{}/team/net:2", registry.host());
    let digest = pack(&kit, &first);
    kit.run(["push", &first]).success();
    other.run(["pull", &first]).success();
    assert_eq!(other.store().names()[&first], digest);
    other.run(["verify"]).success();
    other.run(["unpack", &first, "-d", "out"]).success();
    assert_unpacked(&other, &kit, "out");
    flip(&kit, 4 * MIB);
    pack(&kit, &second);
    let pushed = kit.run(["push", &second, "--format", "json"]).json();
    // Of the model one segment or two; and the config, which has the digest of the layer.
    let sent = pushed["kits"][0]["sent"].as_u64().unwrap();
    assert!((2..=3).contains(&sent), "{pushed}");
    let bytes = pushed["kits"][0]["sentBytes"].as_u64().unwrap();
    assert!(bytes <= 4 * MIB as u64 + 4096, "{pushed}");
    let pulled = other.run(["pull", &second, "--format", "json"]).json();
    assert!(pulled["fetched"].as_u64().unwrap() <= bytes, "{pulled}");
    other.run(["unpack", &second, "-d", "changed"]).success();
    assert_unpacked(&other, &kit, "changed");
    // Into another repository all of it is mounted.
    let elsewhere = format!("{}/team/copy:1", registry.host());
    let copied = other
        .run(["copy", &second, &elsewhere, "--format", "json"])
        .json();
    assert_eq!(copied["sentBytes"], 0, "{copied}");
    // Where only images are taken, too.
    let image = format!("{}/team/image:1", registry.host());
    let third = Sandbox::new();
    other.run(["push", "--compat", &second, &image]).success();
    third.run(["pull", &image]).success();
    let digest = &other.store().names()[&second];
    assert_eq!(&third.store().names()[&image], digest);
}

#[test]
fn packing_straight_into_a_registry_sends_the_segments() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (tree(), Sandbox::new());
    let name = format!("{}/team/net:1", registry.host());
    let packed = [
        "pack",
        "net",
        "-t",
        &name,
        "--push",
        "--no-store",
        "--layer-format",
        "chunked",
        "--segment-size",
        "1MiB",
    ];
    kit.run(packed).success();
    assert!(!kit.store().path().join("index.json").exists());
    other.run(["pull", &name]).success();
    assert_eq!(other.store().names()[&name], pack(&kit, "net:1"));
    other.run(["unpack", &name, "-d", "out"]).success();
    assert_unpacked(&other, &kit, "out");
}

#[test]
fn a_kit_that_is_not_here_is_unpacked_as_it_comes() {
    let (publisher, shelf, name) = shelf(Rules::default());
    let kit = Sandbox::new();
    kit.run(["unpack", &name, "-d", "out"]).success();
    assert_unpacked(&kit, &publisher, "out");
    assert!(!kit.home().join("store").exists());
    let asked: BTreeSet<String> = shelf.blobs().into_iter().collect();
    let manifest = &publisher.store().names()[&name];
    for layer in layers(&publisher, manifest) {
        assert!(asked.contains(&digest_of(&layer)), "{layer}");
    }
}

#[test]
fn one_file_comes_by_ranges_of_the_segments_that_have_it() {
    let (publisher, shelf, name) = shelf(Rules::default());
    let kit = Sandbox::new();
    let before = shelf.sent();
    kit.run(["unpack", &name, "-d", "out", "--include", "rows/b.bin"])
        .success();
    let found = fs::read(kit.path("out/rows/b.bin")).unwrap();
    assert!(found == fs::read(publisher.path("net/rows/b.bin")).unwrap());
    let sent = shelf.sent() - before;
    assert!(sent < MIB as u64 / 4, "{sent}");
    // One that lies in several segments.
    let shown = kit.run(["cat", &name, "rows/c.bin"]);
    assert_eq!(shown.code, 0);
    let before = shelf.sent();
    kit.run(["unpack", &name, "-d", "out", "--include", "rows/c.bin"])
        .success();
    let found = fs::read(kit.path("out/rows/c.bin")).unwrap();
    assert!(found == fs::read(publisher.path("net/rows/c.bin")).unwrap());
    let sent = shelf.sent() - before;
    assert!(sent < 7 * MIB as u64 / 2, "{sent}");
    // Lists need no layer at all.
    let before = shelf.blobs().len();
    let listed = kit.run(["files", &name]).success();
    assert_eq!(listed, publisher.run(["files", &name]).success());
    kit.run(["du", &name]).success();
    let segments: Vec<String> = layers(&publisher, &publisher.store().names()[&name])
        .iter()
        .filter(|it| is_segment(it))
        .map(digest_of)
        .collect();
    let asked = shelf.blobs().split_off(before);
    assert!(asked.iter().all(|it| !segments.contains(it)));
}

#[test]
fn without_a_table_of_contents_files_are_found_by_the_headers() {
    let publisher = tree();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/net:1", shelf.host());
    pack(&publisher, &name);
    let kit = Sandbox::new();
    let words = [
        "unpack",
        &name,
        "-d",
        "out",
        "--include",
        "rows/c.bin",
        "--allow-unverified",
    ];
    kit.run(words).success();
    let found = fs::read(kit.path("out/rows/c.bin")).unwrap();
    assert!(found == fs::read(publisher.path("net/rows/c.bin")).unwrap());
    kit.run(["unpack", &name, "-d", "all", "--include", "rows/c.bin"])
        .success();
    kit.run(["files", &name]).success();
}

#[test]
fn what_a_pull_left_is_not_fetched_again() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let (publisher, shelf, name) = shelf(Rules {
        blobs: Some(Box::new(move |asked: &Asked| {
            let is_late = asked.before > 5;
            if broken.load(Ordering::SeqCst) && is_late {
                Fate::Status(404)
            } else {
                Fate::Fine
            }
        })),
        ..Rules::default()
    });
    let kit = Sandbox::new();
    fails(
        &kit,
        ["pull", &name, "--concurrency", "1", "--jobs", "1"],
        5,
    );
    is_broken.store(false, Ordering::SeqCst);
    let pulled = kit.run(["pull", &name, "--format", "json"]).json();
    assert!(pulled["present"].as_u64().unwrap() >= 1, "{pulled}");
    kit.run(["verify"]).success();
    kit.run(["unpack", &name, "-d", "out"]).success();
    assert_unpacked(&kit, &publisher, "out");
    let digest = &publisher.store().names()[&name];
    assert_eq!(&kit.store().names()[&name], digest);
    drop(shelf);
}

#[test]
fn segments_that_are_here_are_not_fetched_to_unpack() {
    let (publisher, shelf, name) = shelf(Rules::default());
    let kit = Sandbox::new();
    kit.run(["pull", &name]).success();
    flip(&publisher, 3 * MIB);
    let second = name.replace(":1", ":2");
    pack(&publisher, &second);
    let before = shelf.sent();
    kit.run(["unpack", &second, "-d", "out"]).success();
    assert_unpacked(&kit, &publisher, "out");
    let sent = shelf.sent() - before;
    assert!(sent < 5 * MIB as u64, "{sent}");
}

#[test]
fn a_changed_folder_is_brought_up_to_date_by_chunks() {
    let (publisher, shelf, name) = shelf(Rules::default());
    let kit = Sandbox::new();
    kit.run(["unpack", &name, "-d", "out"]).success();
    flip(&publisher, 3 * MIB);
    let second = name.replace(":1", ":2");
    pack(&publisher, &second);
    publisher.run(["toc", "add", &second]).success();
    let before = shelf.sent();
    kit.run(["unpack", &second, "-d", "out", "-o"]).success();
    assert_unpacked(&kit, &publisher, "out");
    let sent = shelf.sent() - before;
    assert!(sent < MIB as u64, "{sent}");
}

#[test]
fn of_a_segment_that_is_new_only_new_chunks_are_pulled() {
    let (publisher, shelf, name) = shelf(Rules::default());
    let kit = Sandbox::new();
    kit.run(["pull", &name]).success();
    flip(&publisher, 3 * MIB);
    let second = name.replace(":1", ":2");
    pack(&publisher, &second);
    publisher.run(["toc", "add", &second]).success();
    let would = kit
        .run(["pull", &second, "--dry-run", "--format", "json"])
        .json();
    assert!(would["fetch"].as_u64().unwrap() < MIB as u64, "{would}");
    let before = shelf.sent();
    let pulled = kit.run(["pull", &second, "--format", "json"]).json();
    let sent = shelf.sent() - before;
    assert!(sent < MIB as u64, "{sent}: {pulled}");
    kit.run(["verify"]).success();
    kit.run(["unpack", &second, "-d", "out"]).success();
    assert_unpacked(&kit, &publisher, "out");
}

#[test]
fn a_plain_kit_that_is_here_serves_for_one_in_segments() {
    let publisher = tree();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = |tag: &str| format!("{}/team/net:{tag}", shelf.host());
    pack_plain(&publisher, &name("1"));
    pack(&publisher, &name("2"));
    for tag in ["1", "2"] {
        publisher.run(["toc", "add", &name(tag)]).success();
    }
    for (first, second) in [("1", "2"), ("2", "1")] {
        let kit = Sandbox::new();
        kit.run(["pull", &name(first)]).success();
        let before = shelf.sent();
        kit.run(["pull", &name(second)]).success();
        let sent = shelf.sent() - before;
        // Documents, and chunks that lie across the ends of segments.
        assert!(sent < 6 * MIB as u64, "{sent} for {second}");
        kit.run(["verify"]).success();
        kit.run(["unpack", &name(second), "-d", "out"]).success();
        assert_unpacked(&kit, &publisher, "out");
    }
}
