//! In the store.

use std::fs;

use serde_json::json;
use snapbox::{assert_data_eq, str};

use super::{MIB, assert_unpacked, digest_of, flip, is_segment, layers, pack, pack_plain, tree};
use crate::support::{Sandbox, have, kits};

#[test]
fn segments_are_the_layers_of_the_plain_kit() {
    let kit = tree();
    let plain = pack_plain(&kit, "net:plain");
    let chunked = pack(&kit, "net:chunked");
    let (before, after) = (layers(&kit, &plain), layers(&kit, &chunked));
    let mut rest = after.as_slice();
    for layer in &before {
        let first = &rest[0];
        if !is_segment(first) {
            assert_eq!(first, layer);
            rest = &rest[1..];
            continue;
        }
        let told = first["annotations"]["org.modelkit.layer"].as_str().unwrap();
        let canonical = String::from_utf8(kit.store().blob(&plain)).unwrap();
        assert!(canonical.contains(told), "{told}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(told).unwrap(),
            *layer
        );
        let mut found = Vec::new();
        let mut count = 0;
        while let Some(segment) = rest.first().filter(|it| is_segment(it)) {
            if count > 0 && segment.get("annotations").is_some() {
                break;
            }
            let blob = kit.store().blob(&digest_of(segment));
            assert!(blob.len() <= 2 * MIB, "{}", blob.len());
            found.extend(blob);
            rest = &rest[1..];
            count += 1;
        }
        assert!(count >= 4, "{count}");
        assert!(found == kit.store().blob(&digest_of(layer)));
    }
    assert!(rest.is_empty());
    // The model and the dataset are large enough, the document is not.
    let whole = after.iter().filter(|it| !is_segment(it)).count();
    assert_eq!(whole, 1);
    let [plain, chunked] = [plain, chunked].map(|it| kit.store().manifest(&it));
    assert_eq!(plain["config"], chunked["config"]);
    assert_eq!(plain["annotations"], chunked["annotations"]);
}

#[test]
fn what_reads_kits_reads_those_in_segments() {
    let kit = tree();
    pack_plain(&kit, "net:plain");
    pack(&kit, "net:chunked");
    let run = |words: &[&str], tag: &str| {
        let words = words
            .iter()
            .map(|word| word.replace("REF", &format!("net:{tag}")));
        kit.run(words).success()
    };
    for words in [
        &["info", "REF"][..],
        &["files", "REF"],
        &["files", "REF", "--format", "json"],
        &["cat", "REF", "rows/b.bin"],
        &["cat", "REF", "model.bin"],
        &["inspect", "REF", "--format", "{{ .Size }}"],
        &["list", "REF", "--format", "{{ .Size }}"],
    ] {
        assert!(run(words, "plain") == run(words, "chunked"), "{words:?}");
    }
    let differ = [
        "diff",
        "--files",
        "net:plain",
        "net:chunked",
        "--format",
        "json",
    ];
    let differ = kit.run(differ).json();
    assert_eq!(differ["files"], json!([]));
    assert_eq!(differ["identical"], false);
    assert_eq!(differ["shared"][0]["type"], "docs");
    assert_eq!(differ["unique1"][0]["type"], "dataset");
    assert_eq!(differ["unique2"][0]["type"], "segment");
    kit.run(["verify", "net:chunked"]).success();
    kit.run(["unpack", "net:chunked", "-d", "out"]).success();
    assert_unpacked(&kit, &kit, "out");
    kit.run([
        "unpack",
        "net:chunked",
        "-d",
        "some",
        "--include",
        "rows/c.bin",
    ])
    .success();
    let found = fs::read(kit.path("some/rows/c.bin")).unwrap();
    assert!(found == fs::read(kit.path("net/rows/c.bin")).unwrap());
    assert!(!kit.path("some/model.bin").exists());
    let status = kit.run(["status", "net", "--kit", "net:chunked", "--format", "json"]);
    assert_eq!(status.json()["clean"], true);
    flip(&kit, 100);
    let status = kit.run(["status", "net", "--kit", "net:chunked", "--format", "json"]);
    assert_eq!(status.json()["elements"][0]["state"], "modified");
}

#[test]
fn a_flipped_byte_is_one_segment_or_two() {
    let kit = tree();
    let first = pack(&kit, "net:1");
    for at in [0, 3 * MIB + 17, 8 * MIB - 1] {
        flip(&kit, at);
        let before = layers(&kit, &first);
        let second = pack(&kit, "net:2");
        let after = layers(&kit, &second);
        let known: Vec<String> = before.iter().map(digest_of).collect();
        let new = after.iter().filter(|it| !known.contains(&digest_of(it)));
        let count = new.count();
        assert!((1..=2).contains(&count), "{count} at {at}");
        flip(&kit, at);
    }
}

#[test]
fn what_did_not_change_is_not_packed_again_and_what_is_damaged_is_healed() {
    let kit = tree();
    let chunked = pack(&kit, "net:1");
    let again = [
        "pack",
        "net",
        "--layer-format",
        "chunked",
        "--segment-size",
        "1MiB",
    ];
    let json = |more: &[&str]| {
        let words = again.iter().chain(more).chain(&["--format", "json"]);
        kit.run(words).json()
    };
    let packed = json(&[]);
    assert_eq!(packed["digest"], chunked);
    let stored =
        |packed: &serde_json::Value, layer: usize| packed["layers"][layer]["stored"].clone();
    assert_eq!(
        [stored(&packed, 0), stored(&packed, 1)],
        ["present", "present"]
    );
    assert!(packed["layers"][0]["segments"].as_u64().unwrap() >= 4);
    assert_eq!(packed["layers"][2].get("segments"), None);
    let segment = digest_of(&layers(&kit, &chunked)[2]);
    kits::damage(&kit, &segment);
    let packed = json(&["--no-cache"]);
    assert_eq!(packed["digest"], chunked);
    assert_eq!(stored(&packed, 0), "healed");
    kits::lose(&kit, &segment);
    assert_eq!(stored(&json(&[]), 0), "new");
    kit.run(["verify"]).success();
}

#[test]
fn packing_says_who_reads_such_a_kit() {
    let kit = tree();
    let packed = kit.run([
        "pack",
        "net",
        "--progress=none",
        "-t",
        "net:1",
        "--layer-format",
        "chunked",
    ]);
    assert_data_eq!(
        packed.hide_digests().to_string(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
No layer has 128.0 MiB: the kit is the same as with --layer-format tar
Saved model layer: sha256:[DIGEST]
Saved dataset layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged net:1
[exit 0]

"#]]
    );
    let packed = [
        "pack",
        "net",
        "--progress=none",
        "-t",
        "net:2",
        "--layer-format",
        "chunked",
        "--segment-size",
        "1MiB",
    ];
    let packed = kit.run(packed);
    assert_data_eq!(
        packed.hide_digests().to_string(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Layers of 4.0 MiB and more are kept in segments of some 1.0 MiB: only `kit` reads this kit, and `kit convert --layer-format tar` makes one of it that all read
Saved model layer: sha256:[DIGEST] in segments, 11 new, 0 already there
Saved dataset layer: sha256:[DIGEST] in segments, 9 new, 0 already there
Already saved docs layer: sha256:[DIGEST]
Configuration already exists in storage: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged net:2
[exit 0]

"#]]
    );
    assert_eq!(kit.store().names()["net:1"], pack_plain(&kit, "net:3"));
}

#[test]
fn what_segments_cannot_be_is_refused() {
    let kit = tree();
    for (words, why) in [
        (
            &["--layer-format", "chunked", "--compression", "gzip"][..],
            "cannot be in segments",
        ),
        (
            &["--segment-size", "32MiB"],
            "is of use with --layer-format chunked alone",
        ),
        (
            &["--layer-format", "chunked", "--segment-size", "1KiB"],
            "a size is 1.0 MiB to",
        ),
        (
            &["--layer-format", "chunked", "--segment-size", "many"],
            "not a size",
        ),
        (
            &["--layer-format", "cut"],
            "one of 'tar', 'raw' or 'chunked'",
        ),
    ] {
        let output = kit
            .run(["pack", "net"].iter().chain(words))
            .exits(2)
            .to_string();
        assert!(output.contains(why), "{why}: {output}");
    }
    assert!(!kit.store().path().exists());
}

#[test]
fn segments_go_wherever_their_kit_goes() {
    let (kit, other) = (tree(), Sandbox::new());
    let chunked = pack(&kit, "team/net:1");
    kit.run(["save", "team/net:1", "-o", "saved.tar"]).success();
    fs::copy(kit.path("saved.tar"), other.path("saved.tar")).unwrap();
    other.run(["load", "saved.tar"]).success();
    assert_eq!(other.store().names()["team/net:1"], chunked);
    other.run(["verify"]).success();
    other.run(["unpack", "team/net:1", "-d", "out"]).success();
    assert_unpacked(&other, &kit, "out");
    other.run(["remove", "team/net:1"]).success();
    assert_eq!(kits::count_blobs(&other), 0);
    // What two versions share stays with the one that is left.
    flip(&kit, 5 * MIB);
    let second = pack(&kit, "team/net:2");
    kit.run(["remove", "team/net:1"]).success();
    kit.run(["prune"]).success();
    kit.run(["verify"]).success();
    let unneeded = kit.run(["verify", "--format", "json"]).json();
    assert_eq!(unneeded["unneeded"], json!([]));
    assert_eq!(kits::count_blobs(&kit), layers(&kit, &second).len() + 2);
}

#[test]
fn other_programs_carry_them() {
    if !have("skopeo") {
        return;
    }
    let kit = tree();
    let chunked = pack(&kit, "team/net:1");
    let from = format!("oci:{}:team/net:1", kit.store().path().display());
    let mut skopeo = kit.program("skopeo");
    skopeo.args(["copy", "-q", &from, "oci:carried:team/net:1"]);
    kit.finish(skopeo, b"").success();
    kit.run(["remove", "team/net:1"]).success();
    kit.run(["load", "carried"]).success();
    assert_eq!(kit.store().names()["team/net:1"], chunked);
    kit.run(["unpack", "team/net:1", "-d", "out"]).success();
    assert_unpacked(&kit, &kit, "out");
}

#[test]
fn the_table_of_contents_is_that_of_the_plain_kit() {
    let kit = tree();
    let digest = |name: &str| {
        let added = kit.run(["toc", "add", name, "--format", "{{ .Toc.Digest }}"]);
        added.success()
    };
    pack_plain(&kit, "net:plain");
    pack(&kit, "net:chunked");
    assert_eq!(digest("net:plain"), digest("net:chunked"));
    let show = |name: &str| {
        let shown = kit.run(["toc", "show", name, "--format", "json"]).json();
        shown["layers"].clone()
    };
    assert_eq!(show("net:plain"), show("net:chunked"));
    kit.run(["verify"]).success();
}
