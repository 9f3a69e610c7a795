//! `kit load`: kits out of image layouts.

use std::fs;

use serde_json::json;
use snapbox::{assert_data_eq, str};

use super::support::{Layout, Sandbox, digest, testdata};

fn artifact(name: &str) -> String {
    testdata("artifacts")
        .join(name)
        .to_str()
        .unwrap()
        .to_owned()
}

/// Returns the names in the store, if there is one yet.
fn names(kit: &Sandbox) -> Vec<String> {
    if kit.store().path().join("index.json").exists() {
        kit.store().names().into_keys().collect()
    } else {
        Vec::new()
    }
}

#[test]
fn kits_of_another_tool_load_with_their_digests() {
    let kit = Sandbox::new();
    let mut count = 0;
    for name in ["basic", "parts", "overlap", "refs-base", "refs-child"] {
        for (tag, digest) in Layout::at(artifact(name)).names() {
            let source = format!("{}:{tag}", artifact(name));
            let target = format!("{name}:{tag}");
            let loaded = kit.run(["load", &source, "-t", &target]).success();
            assert_eq!(loaded, format!("Loaded {target} (digest {digest})\n"));
            assert_eq!(kit.store().names()[&target], digest);
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} kits were seen");
    assert!(kit.store().damaged().is_empty());
}

#[test]
fn which_kit_and_which_name_must_be_clear() {
    let kit = Sandbox::new();
    let basic = artifact("basic");
    let run = |source: &str, tag: Option<&str>| {
        let mut line = vec!["load".to_owned(), source.to_owned()];
        line.extend(tag.map(|tag| format!("-t={tag}")));
        kit.run(line).hide(&basic, "[BASIC]").hide_digests()
    };
    assert_data_eq!(
        run(&basic, None),
        str![[r#"
[stderr]
error: the kit sha256:[DIGEST] in [BASIC] is called `plain`, which is no full name of a kit
hint: give it a name: `kit load [BASIC]:plain -t REPOSITORY:plain`
[exit 2]

"#]]
    );
    assert_data_eq!(
        run(&basic, Some("x:1")),
        str![[r#"
[stderr]
error: [BASIC] holds several kits, and one name cannot be given to all
hint: choose one: [BASIC]:NAME
hint: there is `plain`, `gzip`
[exit 2]

"#]]
    );
    assert_data_eq!(
        run(&format!("{basic}:plane"), Some("x:1")),
        str![[r#"
[stderr]
error: [BASIC] holds no kit that is called `plane`
hint: there is `plain`, `gzip`
[exit 3]

"#]]
    );
    assert_data_eq!(
        run("absent:x", None),
        str![[r#"
[stderr]
error: there is no file or folder `absent:x`
[exit 3]

"#]]
    );
    assert_data_eq!(
        run("-", None),
        str![[r#"
[stderr]
error: a kit cannot be loaded from standard input
hint: write it to a file first: it is read in another order than it was written in
[exit 2]

"#]]
    );
    assert!(names(&kit).is_empty());
}

#[test]
fn formats_that_are_no_kits_are_refused_with_a_reason() {
    let kit = Sandbox::new();
    let modelpack = artifact("modelpack");
    assert_data_eq!(
        kit.run(["load", &modelpack])
            .hide(&modelpack, "[MODELPACK]")
            .hide_digests(),
        str![[r#"
[stderr]
error: the kit sha256:[DIGEST] in [MODELPACK] is called `raw`, which is no full name of a kit
hint: give it a name: `kit load [MODELPACK]:raw -t REPOSITORY:raw`
[exit 2]

"#]]
    );
    let manifest = json!({
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(b"{}"), "size": 2,
        },
        "layers": [],
    })
    .to_string();
    let image = "application/vnd.oci.image.manifest.v1+json";
    let index = "application/vnd.oci.image.index.v1+json";
    let of_manifest = digest(manifest.as_bytes());
    let cases = [
        (image, of_manifest.clone()),
        (index, of_manifest.clone()),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            of_manifest.clone(),
        ),
        ("text/plain", of_manifest),
        (image, format!("sha512:{}", "0".repeat(128))),
    ];
    let mut shown = String::new();
    for (number, (media_type, digest_text)) in cases.iter().enumerate() {
        let folder = format!("layout-{number}");
        let entry = json!({
            "mediaType": media_type, "digest": digest_text, "size": manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": "a/b:1"},
        });
        let blob = |content: &str| {
            let hex = digest(content.as_bytes()).replace("sha256:", "");
            format!("{folder}/blobs/sha256/{hex}")
        };
        kit.file(
            format!("{folder}/oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .file(
            format!("{folder}/index.json"),
            json!({"schemaVersion": 2, "manifests": [entry]}).to_string(),
        )
        .file(blob("{}"), "{}")
        .file(blob(&manifest), &manifest);
        shown += &kit.run(["load", &folder]).hide_digests().to_string();
    }
    kit.dir("empty")
        .file("note.txt", "hello")
        .file("gz", b"\x1f\x8b\x08\0");
    for source in ["empty", "note.txt", "gz"] {
        shown += &kit.run(["load", source]).to_string();
    }
    assert_data_eq!(
        shown,
        str![[r#"
[stderr]
error: cannot load layout-0: sha256:[DIGEST] is a container image, not a kit
[exit 1]
[stderr]
error: cannot load layout-1: sha256:[DIGEST] is an index of several manifests, not a kit
[exit 1]
[stderr]
error: cannot load layout-2: sha256:[DIGEST] is a container image, not a kit
[exit 1]
[stderr]
error: cannot load layout-3: sha256:[DIGEST] is of the type `text/plain`, which no kit has
[exit 1]
[stderr]
error: `index.json` in layout-4 cannot be read
  caused by: manifest 1 has an unusable digest
  caused by: digest algorithm `sha512` is not supported, only sha256 is
[exit 5]
[stderr]
error: cannot load empty: it has no file `oci-layout`
[exit 1]
[stderr]
error: note.txt is not a usable tar file: it does not begin with a tar header
[exit 5]
[stderr]
error: gz is not a usable tar file: it is compressed with gzip; decompress it first
[exit 5]

"#]]
    );
    assert!(names(&kit).is_empty());
}

// hazard: 87
#[test]
fn a_damaged_or_cut_layout_gives_no_kit() {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "q");
    let _ = kit.run(["pack", "q", "-t", "q:1"]).success();
    let _ = kit.run(["save", "q:1", "-o", "q/"]).code;
    let _ = kit.run(["save", "q:1", "-o", "out/"]).success();
    let _ = kit.run(["save", "q:1", "-o", "out.tar"]).success();
    let layout = Layout::at(kit.path("out"));
    let (_, layer, _) = layout.layers(&layout.names()["q:1"])[0].clone();
    let path = layout.blob_path(&layer);
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    flipped[700] ^= 1;
    for (content, problem) in [
        (Some(&flipped[..]), "its content is"),
        (Some(&sound[1..]), "bytes in place of"),
        (None, "is missing"),
    ] {
        fs::remove_file(&path).unwrap();
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let other = Sandbox::new();
        let output = other.run(["load", kit.path("out").to_str().unwrap()]);
        assert!(
            output.code == 5 && output.stderr.contains(problem),
            "{output}"
        );
        assert!(names(&other).is_empty());
        fs::write(&path, &sound).unwrap();
    }
    let tar = fs::read(kit.path("out.tar")).unwrap();
    for length in [600, tar.len() / 2, tar.len() - 2000] {
        kit.file("cut.tar", &tar[..length]);
        let other = Sandbox::new();
        let output = other.run(["load", kit.path("cut.tar").to_str().unwrap()]);
        assert!(output.code != 0 && output.code < 100, "{length}: {output}");
        assert!(names(&other).is_empty());
    }
}

// hazard: 59, 122
#[test]
fn a_manifest_beyond_all_bounds_is_refused_by_its_size() {
    let kit = Sandbox::new();
    let size = 5 << 20;
    let manifest = vec![b' '; size];
    let name = digest(&manifest);
    kit.file("big/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    kit.file(
        format!("big/blobs/{}", name.replace(':', "/")),
        &manifest[..],
    );
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": media_type, "digest": name, "size": size,
         "annotations": {"org.opencontainers.image.ref.name": "big:1"}}
    ]});
    kit.file("big/index.json", index.to_string());
    assert_data_eq!(
        kit.run(["load", "big"]).hide_digests(),
        str![[r#"
[stderr]
error: `blobs/sha256/[DIGEST]` has 5242880 bytes, more than the 4194304 that are read
[exit 9]

"#]]
    );
}

#[test]
fn a_name_that_cannot_be_kept_is_not_proposed_as_a_tag() {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "q");
    let _ = kit.run(["pack", "q", "-t", "q:1"]).success();
    let _ = kit.run(["save", "q:1", "-o", "out/"]).success();
    let index = fs::read_to_string(kit.path("out/index.json")).unwrap();
    fs::write(kit.path("out/index.json"), index.replace("q:1", "Q/q:1")).unwrap();
    let output = kit.run(["load", "out"]).exits(2);
    assert!(
        output
            .stderr
            .contains("`kit load out:Q/q:1 -t REPOSITORY:TAG`"),
        "{output}"
    );
    let line = ["load", "out:Q/q:1", "-t", "r:1"];
    let _ = kit.run(line).success();
}
