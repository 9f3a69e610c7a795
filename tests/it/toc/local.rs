//! In the store, and in files.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use super::pack;
use crate::support::{
    Sandbox, digest,
    foreign::{gzip, one_layer, zstd},
    kits, reference_tar,
};

#[test]
fn a_kit_gets_a_table_of_contents_and_its_name_moves() {
    let kit = Sandbox::new();
    let old = kits::pack(&kit, "team/net:1", "weights");
    kit.run(["tag", "team/net:1", "team/net:prod"]).success();
    assert_data_eq!(
        kit.run(["toc", "show", "team/net:1"]),
        str![[r#"
[stderr]
error: team/net:1 has no table of contents
hint: `kit toc add team/net:1` makes a kit that has one
[exit 3]

"#]]
    );
    let added = kit.run(["toc", "add", "team/net:1"]);
    assert_data_eq!(
        added.hide(&old, "[OLD]").hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Made a new kit with the same layers and a table of contents (163 B)
team/net:1 is sha256:[DIGEST] now
Without the table it is [OLD]: team/net:prod
[exit 0]

"#]]
    );
    let names = kit.store().names();
    let new = &names["team/net:1"];
    assert_eq!(names["team/net:prod"], old);
    // Only our annotations are new.
    let (mut manifest, before) = (kit.store().manifest(new), kit.store().manifest(&old));
    let annotations = manifest.as_object_mut().unwrap().remove("annotations");
    assert_eq!(manifest, before);
    assert_eq!(annotations.unwrap().as_object().unwrap().len(), 4);
    // Once more: nothing changes.
    let again = kit.run(["toc", "add", "team/net:1"]);
    assert_data_eq!(
        again.hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
team/net:1 has its table of contents (163 B): it is left as it is
[exit 0]

"#]]
    );
    assert_eq!(kit.store().names(), names);
    assert_data_eq!(
        kit.run(["toc", "show", "team/net:1"]).hide_digests(),
        str![[r#"
LAYER               SIZE      ENTRIES   CHUNKS   TABLE   SHARE
sha256:df83e844ef   2.0 KiB   1         1        63 B    3.07 %

Table of contents: sha256:[DIGEST], 163 B of 2.0 KiB (7.95 %)
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["toc", "show", "team/net:1", "--entries"]),
        str![[r#"
LAYER   OFFSET         SIZE         MODE   CHUNKS   PATH
0       512            7 B          0644   1        model.bin
[exit 0]

"#]]
    );
    let shown = kit.run(["toc", "show", "team/net:1", "--entries", "--format", "json"]);
    let entry = &shown.json()[0];
    assert_eq!((&entry["offset"], &entry["size"]), (&json!(512), &json!(7)));
    assert!(entry["digest"].as_str().unwrap().starts_with("blake3:"));
}

#[test]
fn with_a_name_of_its_own_the_old_name_stays() {
    let kit = Sandbox::new();
    let old = kits::pack(&kit, "team/net:1", "weights");
    let words = ["toc", "add", "team/net:1", "-t", "team/net:toc,latest"];
    let new = kit.run(words).success();
    let new = new.trim().strip_prefix("Model saved: ").unwrap();
    let names = kit.store().names();
    assert_eq!(names["team/net:1"], old);
    assert_eq!(
        (&*names["team/net:toc"], &*names["team/net:latest"]),
        (new, new)
    );
    // A digest alone leads to a kit without a name.
    let kit = Sandbox::new();
    let old = kits::pack(&kit, "", "weights");
    kit.run(["toc", "add", &old]).success();
    let digests: Vec<String> = kit
        .run(["list", "--format", "{{ .Digest }}"])
        .success()
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(
        digests.contains(&old) && digests.contains(&new.to_owned()),
        "{digests:?}"
    );
}

#[test]
fn what_pack_leaves_out_can_be_added_later_and_is_the_same() {
    let kit = Sandbox::new();
    let large = vec![7; 64 << 20];
    kit.file("packed/model.bin", &large);
    let kitfile =
        "manifestVersion: 1.0.0\npackage: {name: net}\nmodel: {name: net, path: model.bin}\n";
    let with = kits::pack_kitfile(&kit, "net:with", kitfile);
    let words = ["pack", "packed", "-t", "net:without", "--no-toc", "-q"];
    kit.run(words).success();
    let words = ["toc", "add", "net:without", "--format", "{{ .Digest }}"];
    assert_eq!(kit.run(words).success().trim(), with);
}

#[test]
fn layers_of_other_programs_get_tables_too() {
    let plain = reference_tar::layer(&[reference_tar::file("m", 0o644, "weights")], ".", &[]);
    let json = json!({});
    for (encoding, bytes) in [
        ("tar", plain.clone()),
        ("tar+gzip", gzip(&plain)),
        ("tar+zstd", zstd(&plain)),
    ] {
        let kit = Sandbox::new();
        one_layer(&kit, encoding, &bytes, &plain, &json);
        kit.run(["toc", "add", "x:1"]).success();
        let shown = kit.run(["toc", "show", "x:1", "--format", "json"]).json();
        assert_eq!(shown["layers"][0]["table"]["entries"], 1, "{shown}");
        assert_eq!(shown["layers"][0]["table"]["plainSize"], plain.len());
        kit.run(["unpack", "x:1", "-d", "out"]).success();
    }
    for (encoding, bytes) in [("raw", b"weights".to_vec()), ("raw+gzip", gzip(b"weights"))] {
        let kit = Sandbox::new();
        one_layer(&kit, encoding, &bytes, b"weights", &json);
        kit.run(["toc", "add", "x:1"]).success();
        let shown = kit.run(["toc", "show", "x:1", "--format", "json"]).json();
        assert_eq!(shown["layers"][0]["table"]["form"], "raw", "{shown}");
        assert_eq!(shown["layers"][0]["table"]["plainSize"], 7);
    }
}

#[test]
fn a_damaged_layer_gets_no_table() {
    let kit = Sandbox::new();
    let digest = kits::pack(&kit, "net:1", "weights");
    let (_, layers) = kits::blobs(&kit, &digest);
    kits::damage(&kit, &layers[0]);
    let _ = kit.run(["toc", "add", "net:1"]).exits(5);
    assert_eq!(kit.store().names()["net:1"], digest);
}

#[test]
fn verify_finds_tables_of_contents_and_makes_them_again() {
    let kit = Sandbox::new();
    let (_, toc) = pack(&kit, "net:1", "weights");
    kit.run(["verify"]).success();
    // Damaged: that is a finding, and nothing else is kept from working.
    kits::damage(&kit, &toc);
    for words in [
        "unpack net:1 -d out",
        "tag net:1 net:2",
        "save net:1 -o out.tar",
    ] {
        kit.run(words.split(' ')).success();
    }
    let _ = kit.run(["verify"]).exits(5);
    assert_data_eq!(
        kit.run(["verify", "--repair", "net:1"]).hide_digests(),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by net:1
set aside: [HOME]/store/quarantine/[DIGEST]
made again: sha256:[DIGEST]
Checked 1 kit, 4 blobs, 3.0 KiB: 1 finding
[exit 0]

"#]]
    );
    kit.run(["verify"]).success();
    assert_eq!(digest(&kit.store().blob(&toc)), toc);
    // Missing: the kit is whole, and that is said.
    kits::lose(&kit, &toc);
    let found = kit.run(["verify", "--format", "json"]).json();
    assert_eq!(
        (&found["sound"], &found["missingTocs"][0]["digest"]),
        (&json!(true), &json!(toc))
    );
    let _ = kit.run(["toc", "show", "net:1"]).exits(3);
    kit.run(["pack", "packed", "-t", "net:3", "-q"]).success();
    let repaired = kit.run(["verify", "--repair", "--format", "json"]).json();
    assert_eq!(repaired["restored"], json!([toc]));
    kit.run(["toc", "show", "net:1"]).success();
}

#[test]
fn a_table_of_contents_of_another_kit_is_found_out() {
    let kit = Sandbox::new();
    let (first, _) = pack(&kit, "net:1", "weights");
    let second = kits::pack(&kit, "net:2", "others");
    let mut manifest = kit.store().manifest(&second);
    manifest["annotations"] = kit.store().manifest(&first)["annotations"].clone();
    kit.run(["save", "net:1", "net:2", "-o", "layout", "--layout", "dir"])
        .success();
    let bytes = manifest.to_string();
    let wrong = digest(bytes.as_bytes());
    kit.file(format!("layout/blobs/sha256/{}", &wrong[7..]), &bytes);
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": wrong, "size": bytes.len(),
        "annotations": {"org.opencontainers.image.ref.name": "net:wrong"},
    }]});
    kit.file("layout/index.json", index.to_string());
    kit.run(["load", "layout"]).success();
    kit.run(["unpack", "net:wrong", "-d", "out"]).success();
    let verified = kit.run(["verify", "net:wrong"]).exits(5);
    assert_data_eq!(
        verified,
        str![[r#"
wrong table of contents: net:wrong: the table of contents is that of other layers: one has another digest or size
Checked 1 kit, 4 blobs, 3.2 KiB: 1 finding
[stderr]
error: the store is damaged
hint: `kit toc add net:wrong` makes a kit that has the right one
[exit 5]

"#]]
    );
    let added = kit.run(["toc", "add", "net:wrong"]);
    added.success();
    kit.run(["verify", "net:wrong"]).success();
}

#[test]
fn what_is_saved_and_loaded_has_its_table_and_frees_it_when_it_goes() {
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let (digest, toc) = pack(&kit, "net:1", "weights");
    for layout in ["dir", "tar"] {
        let file = kit.path(layout);
        let file = file.to_str().unwrap();
        kit.run(["save", "net:1", "-o", file, "--layout", layout])
            .success();
        let other = Sandbox::new();
        other.run(["load", file]).success();
        assert!(other.store().blobs().contains(&toc), "{layout}");
        other.run(["prune"]).success();
        other.run(["toc", "show", "net:1"]).success();
        other.run(["verify"]).success();
        other.run(["remove", "net:1"]).success();
        assert_eq!(kits::count_blobs(&other), 0);
    }
    // A layout without it is a kit all the same.
    std::fs::remove_file(kit.path("dir/blobs/sha256").join(&toc[7..])).unwrap();
    let loaded = other.run(["load", kit.path("dir").to_str().unwrap()]);
    assert_data_eq!(
        loaded.hide(&digest, "[KIT]"),
        str![[r#"
Loaded net:1 (digest [KIT])
[stderr]
The table of contents of [KIT] is not there: the kit is whole without it
3 blobs stored, 0 there already
[exit 0]

"#]]
    );
    other.run(["verify"]).success();
}

#[test]
fn a_table_that_two_kits_share_goes_with_the_last_of_them() {
    let kit = Sandbox::new();
    let (first, toc) = pack(&kit, "net:1", "weights");
    let words = ["pack", "packed", "-t", "net:2", "-q", "--created"];
    kit.run(words).success();
    kit.run(["toc", "add", "net:2"]).success();
    assert_ne!(kit.store().names()["net:2"], first);
    let du = kit.run(["du", "net:1", "--format", "json"]).json();
    assert_eq!(du["kits"][0]["toc"], kit.store().blob(&toc).len());
    let inspected = kit.run(["inspect", "net:1"]).json();
    assert_eq!(inspected["toc"]["digest"], toc);
    kit.run(["remove", "net:1"]).success();
    assert!(kit.store().blobs().contains(&toc));
    kit.run(["remove", "--all", "--force", "-y"]).success();
    assert_eq!(kits::count_blobs(&kit), 0);
}
