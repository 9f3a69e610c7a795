//! `kit du`

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    kits::{blobs, damage, lose, pack, pack_kitfile},
};

/// Packs two kits that share a layer, the second in two repositories.
fn some(kit: &Sandbox) -> [String; 2] {
    let kitfile = "manifestVersion: 1.0.0\nmodel: {path: model.bin}\ncode: [{path: src}]\n";
    kit.file("packed/src/a.py", "x".repeat(5000))
        .file("packed/model.bin", "one");
    let one = pack_kitfile(kit, "net:1,old", kitfile);
    kit.file("packed/model.bin", "two");
    let two = pack_kitfile(kit, "net:2", kitfile);
    kit.run(["tag", "net:2", "other:2"]).success();
    [one, two]
}

#[test]
fn unique_and_shared_bytes_are_told_apart() {
    let kit = Sandbox::new();
    let _ = some(&kit);
    assert_data_eq!(
        kit.run(["du"]),
        str![[r#"
REPOSITORY   TAGS    UNIQUE    SHARED     DIGEST
net          1,old   3.1 KiB   7.0 KiB    sha256:3a74b79aed
net          2       0 B       10.1 KiB   sha256:2c675e0ded
other        2       0 B       10.1 KiB   sha256:2c675e0ded

Total: 13.2 KiB in 7 blobs
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["du", "net"]),
        str![[r#"
REPOSITORY   TAGS    UNIQUE    SHARED     DIGEST
net          1,old   3.1 KiB   7.0 KiB    sha256:3a74b79aed
net          2       0 B       10.1 KiB   sha256:2c675e0ded

Removing 2 kits frees 3.1 KiB
Total: 13.2 KiB in 7 blobs
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["du", "net:2", "other:2"]),
        str![[r#"
REPOSITORY   TAGS   UNIQUE   SHARED     DIGEST
net          2      0 B      10.1 KiB   sha256:2c675e0ded
other        2      0 B      10.1 KiB   sha256:2c675e0ded

Removing 2 kits frees 3.1 KiB
Total: 13.2 KiB in 7 blobs
[exit 0]

"#]]
    );
}

#[test]
fn what_is_told_to_be_freed_is_freed() {
    let kit = Sandbox::new();
    let _ = some(&kit);
    let bytes = |line: &[&str], field: &str| {
        let line = [line, &["--format", "json"]].concat();
        kit.run(line).json()[field].as_u64().unwrap()
    };
    let disk = || {
        let blobs = fs::read_dir(kit.store().path().join("blobs/sha256")).unwrap();
        blobs
            .map(|blob| blob.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    assert_eq!(bytes(&["du"], "total"), disk());
    assert_eq!(bytes(&["du"], "together"), disk());
    for names in [&["net:1", "net:old"][..], &["net:2", "other:2"]] {
        let told = bytes(&[&["du"], names].concat(), "together");
        let freed = bytes(&[&["remove"], names].concat(), "bytes");
        assert_eq!(told, freed, "{names:?}");
        assert_eq!(bytes(&["du"], "total"), disk());
    }
    assert_eq!(disk(), 0);
}

#[test]
fn garbage_is_what_prune_frees_and_leftovers_are_told() {
    let kit = Sandbox::new();
    let one = pack(&kit, "net:1", "one");
    pack(&kit, "net:2", "two");
    let store = kit.store();
    let index = store.path().join("index.json");
    let mut document = store.index();
    document["manifests"].as_array_mut().unwrap().remove(0);
    fs::write(index, document.to_string()).unwrap();
    fs::write(store.path().join("ingest/1-00-1.tmp"), "left by a dead one").unwrap();
    let partial = one.replace("sha256:", "ingest/");
    fs::write(store.path().join(partial), "half a download").unwrap();
    fs::write(store.path().join("quarantine/abc"), "bad").unwrap();
    let report = kit.run(["du", "--format", "json"]).json();
    let pruned = kit.run(["prune", "--dry-run", "--format", "json"]).json();
    assert_eq!(report["garbage"]["files"], 3);
    assert_eq!(report["temporary"]["bytes"], 18);
    assert_eq!(report["resumable"]["bytes"], 15);
    assert_eq!(report["setAside"]["files"], 1);
    assert_eq!(
        pruned["bytes"].as_u64().unwrap(),
        report["garbage"]["bytes"].as_u64().unwrap() + 18 + 15
    );
    assert_data_eq!(
        kit.run(["du"]).hide_digests(),
        str![[r#"
REPOSITORY   TAGS   UNIQUE    SHARED   DIGEST
net          2      2.8 KiB   0 B      sha256:28e714cc05

Total: 5.6 KiB in 6 blobs
`kit prune` frees: 2.8 KiB
Unfinished downloads: 15 B
Damaged blobs that were set aside: 3 B
[exit 0]

"#]]
    );
}

#[test]
fn a_damaged_kit_is_told_and_the_others_are_measured() {
    let kit = Sandbox::new();
    let [one, two] = some(&kit);
    lose(&kit, &blobs(&kit, &two).1[0]);
    damage(&kit, &one);
    assert_data_eq!(
        kit.run(["du"]).hide_digests(),
        str![[r#"
REPOSITORY   TAGS    UNIQUE      SHARED    DIGEST
net          1,old   (damaged)   -         sha256:3a74b79aed
net          2       0 B         8.1 KiB   sha256:2c675e0ded
other        2       0 B         8.1 KiB   sha256:2c675e0ded

Total: 11.2 KiB in 6 blobs
`kit prune` frees nothing: it cannot be told what the damaged kits need
[stderr]
error: 3 kits cannot be measured
  net:1: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
  net:2: 1 blob is missing
  other:2: 1 blob is missing
hint: `kit verify` tells what is damaged, and whom it concerns
[exit 5]

"#]]
    );
    let line = ["du", "--format", "json"];
    let report = kit.run(line).exits(5).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["garbage"], serde_json::Value::Null);
}

#[test]
fn an_empty_store_takes_nothing_and_an_unknown_kit_is_not_found() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["du"]),
        str![[r#"
REPOSITORY   TAGS   UNIQUE   SHARED   DIGEST

Total: 0 B in 0 blobs
[exit 0]

"#]]
    );
    assert!(!kit.store().path().exists());
    pack(&kit, "net:1", "one");
    assert_data_eq!(
        kit.run(["du", "ent"]),
        str![[r#"
[stderr]
error: no kit of ent in the store
hint: there is `net`
[exit 3]

"#]]
    );
}
