//! What is damaged or contradicts itself is refused, and nothing of it is seen.

use std::fs;

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use super::{files, packed};
use crate::support::{Sandbox, digest, reference_tar, set_mode, trees::Fingerprint};

/// Changes the blob of the layer for `path` in the kit `net:1`.
fn damage(kit: &Sandbox, path: &str, change: impl Fn(&mut Vec<u8>)) {
    let store = kit.store();
    let manifest = store.manifest(&store.names()["net:1"]);
    let layers = manifest["layers"].as_array().unwrap();
    let layer = layers
        .iter()
        .find(|layer| layer["annotations"]["org.cncf.model.filepath"] == path)
        .unwrap();
    let blob = store.blob_path(layer["digest"].as_str().unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    change(&mut bytes);
    set_mode(&blob, 0o644);
    fs::write(&blob, bytes).unwrap();
}

// hazard: 85
#[test]
fn a_flipped_byte_anywhere_leaves_nothing_of_its_layer_and_all_of_the_others() {
    let kit = packed();
    let size = {
        let store = kit.store();
        let layers = store.layers(&store.names()["net:1"]);
        usize::try_from(layers[0].2).unwrap()
    };
    // A name, a mode, content, padding, the end.
    for (number, at) in [0, 101, 512 + 512 + 3, 512 + 600, size - 1]
        .into_iter()
        .enumerate()
    {
        damage(&kit, "model", |bytes| bytes[at] ^= 1);
        let out = format!("out{number}");
        let output = kit.run(["unpack", "net:1", "-d", &out]).exits(5);
        if at == size - 1 {
            assert_data_eq!(
                output.hide_digests(),
                str![[r#"
[stderr]
Unpacking to [WORK]/out4
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
error: cannot unpack model `net` to `model` (sha256:[DIGEST])
  caused by: the content is damaged: expected sha256:[DIGEST], found sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
            );
        }
        let found = Fingerprint::of(&kit.path(&out), true).0;
        assert!(
            !found.keys().any(|path| path.starts_with(b"model")),
            "byte {at}"
        );
        assert_eq!(files(&kit, &out).lines().count(), 10, "byte {at}");
        damage(&kit, "model", |bytes| bytes[at] ^= 1);
    }
    // Without the damaged layer all is well, and mending and running again completes.
    damage(&kit, "model", |bytes| bytes[600] ^= 1);
    kit.run([
        "unpack",
        "net:1",
        "-d",
        "part",
        "--filter",
        "datasets,docs,kitfile",
    ])
    .success();
    kit.run(["pack", "src", "-q"]).success();
    kit.run(["unpack", "net:1", "-d", "out0"]).success();
    assert_eq!(files(&kit, "out0").lines().count(), 12);
}

// hazard: 86, 87, 88, 92
#[test]
fn blobs_that_are_cut_empty_longer_or_gone_are_named() {
    let kit = packed();
    damage(&kit, "model", Vec::clear);
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "a"]).hide_digests(),
        str![[r#"
[stderr]
Unpacking to [WORK]/a
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
error: cannot unpack model `net` to `model` (sha256:[DIGEST])
  caused by: cannot read the layer
  caused by: blob sha256:[DIGEST] is damaged: it has 0 bytes in place of 3584
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
    assert_eq!(files(&kit, "a").lines().count(), 10);
    kit.run(["pack", "src", "-q"]).success();
    damage(&kit, "model", |bytes| bytes.truncate(700));
    let _ = kit.run(["unpack", "net:1", "-d", "b"]).exits(5);
    kit.run(["pack", "src", "-q"]).success();
    damage(&kit, "model", |bytes| bytes.push(0));
    let _ = kit.run(["unpack", "net:1", "-d", "c"]).exits(5);
    let store = kit.store();
    let layer = store.layers(&store.names()["net:1"])[0].1.clone();
    fs::remove_file(store.blob_path(&layer)).unwrap();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "d", "-q"]).hide_digests(),
        str![[r#"
[stderr]
error: cannot unpack model `net` to `model` (sha256:[DIGEST])
  caused by: cannot read the layer
  caused by: blob sha256:[DIGEST] is missing from the store
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
}

// hazard: 90
#[test]
fn a_damaged_manifest_or_config_is_named() {
    let kit = packed();
    let store = kit.store();
    let manifest = store.names()["net:1"].clone();
    let config = store.manifest(&manifest)["config"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    for blob in [config, manifest] {
        let path = store.blob_path(&blob);
        let mut bytes = store.blob(&blob);
        bytes[20] ^= 1;
        set_mode(&path, 0o644);
        fs::write(&path, &bytes).unwrap();
        assert_data_eq!(
            kit.run(["unpack", "net:1", "-d", "out"]).hide_digests(),
            str![[r#"
[stderr]
error: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
        );
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
    }
    assert!(!kit.path("out").exists());
}

/// Stores a kit as some other tool could have made it, and names it `odd:1`.
fn store(kit: &Sandbox, config: &Value, layers: &[(&str, Vec<u8>)]) {
    let store = kit.store();
    let put = |media_type: &str, bytes: &[u8]| {
        fs::write(store.blob_path(&digest(bytes)), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
    };
    let layers: Vec<_> = layers
        .iter()
        .map(|(kind, bytes)| put(&media_type(kind), bytes))
        .collect();
    let config = put(
        "application/vnd.kitops.modelkit.config.v1+json",
        config.to_string().as_bytes(),
    );
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut manifest = put(
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    );
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "odd:1"});
    let mut index = store.index();
    index["manifests"]
        .as_array_mut()
        .unwrap()
        .retain(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] != "odd:1");
    index["manifests"].as_array_mut().unwrap().push(manifest);
    fs::write(store.path().join("index.json"), index.to_string()).unwrap();
}

fn media_type(kind: &str) -> String {
    if kind.contains('/') {
        return kind.to_owned();
    }
    format!("application/vnd.kitops.modelkit.{kind}.v1.tar")
}

fn tar(path: &str) -> Vec<u8> {
    reference_tar::layer(&[reference_tar::file(path, 0o644, path)], path, &[])
}

// hazard: 34, 35, 36
#[test]
fn kits_that_contradict_themselves_are_refused_before_anything_is_written() {
    let kit = packed();
    let a = tar("a");
    let right = digest(&a);
    let wrong = digest(b"wrong");
    for (config, layers, part) in [
        // Fewer entries than layers, none at all, fewer layers than entries.
        (
            json!({"datasets": [{"path": "a"}]}),
            vec![("dataset", tar("a")), ("dataset", tar("b"))],
            "no element for layer",
        ),
        (
            json!({}),
            vec![("model", a.clone())],
            "no element for layer",
        ),
        (Value::Null, vec![("model", a.clone())], "config"),
        (
            json!({"datasets": [{"path": "a"}, {"path": "b"}]}),
            vec![("dataset", a.clone())],
            "there is no layer",
        ),
        // Digests that say otherwise.
        (
            json!({"code": [{"path": "a", "digest": wrong}]}),
            vec![("code", a.clone())],
            "no element for layer",
        ),
        (
            json!({"code": [{"path": "a", "digest": "sha256:x"}]}),
            vec![("code", a.clone())],
            "config",
        ),
        // Kinds nobody knows.
        (
            json!({"code": [{"path": "a"}]}),
            vec![("application/x-thing", a.clone())],
            "application/x-thing",
        ),
        (
            json!({"code": [{"path": "a"}]}),
            vec![(
                "application/vnd.kitops.modelkit.code.v1.tar+lzma",
                a.clone(),
            )],
            "lzma",
        ),
    ] {
        store(&kit, &config, &layers);
        let output = kit.run(["unpack", "odd:1", "-d", "out"]);
        assert!(output.code == 5 || output.code == 1, "{config}: {output}");
        assert!(output.stderr.contains(part), "{config}: {output}");
        assert!(!kit.path("out").exists(), "{config}: {output}");
    }
    // What the uncompressed content should be is looked at when it has been read.
    let config = json!({"code": [{"path": "a", "digest": right, "diffId": wrong}]});
    store(&kit, &config, &[("code", a.clone())]);
    let output = kit.run(["unpack", "odd:1", "-d", "out"]);
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking code `a`
error: cannot unpack code `a` (sha256:[DIGEST])
  caused by: the uncompressed content is sha256:[DIGEST], but the config says sha256:[DIGEST]
hint: its digest holds, so it was made like that: whoever made the kit has to make it again
[exit 5]

"#]]
    );
    assert!(!kit.path("out/a").exists());
    let config = json!({"code": [{"path": "a", "digest": right, "diffId": right}]});
    store(&kit, &config, &[("code", a)]);
    kit.run(["unpack", "odd:1", "-d", "out2"]).success();
}

#[test]
fn older_kits_without_digests_are_matched_by_order() {
    let kit = packed();
    let base =
        |name: &str| reference_tar::layer(&[reference_tar::file(name, 0o644, name)], ".", &[]);
    let config = json!({
        "manifestVersion": "1.0.0",
        "model": {"name": "m", "path": "deep/er/m.bin"},
        "datasets": [{"name": "x", "path": "sub/x"}, {"name": "y", "path": "y"}],
    });
    store(
        &kit,
        &config,
        &[
            ("model", base("m.bin")),
            ("dataset", base("x")),
            ("dataset", base("y")),
        ],
    );
    kit.run(["unpack", "odd:1", "-d", "out"]).success();
    assert_data_eq!(
        files(&kit, "out"),
        str![[r#"
Kitfile
deep/er/m.bin
sub/x
y
"#]]
    );
}

// hazard: 1, 2, 37
#[test]
fn an_archive_that_leads_out_or_replaces_the_kitfile_is_refused() {
    let kit = packed();
    kit.file("precious", "mine");
    for path in [
        "../precious",
        "/tmp/precious",
        "Kitfile",
        "a/../../precious",
        ".kit-unpack-0/x",
    ] {
        let layer = reference_tar::layer(&[reference_tar::file(path, 0o644, "x")], ".", &[]);
        let config = json!({"code": [{"path": ".", "digest": digest(&layer)}]});
        store(&kit, &config, &[("code", layer)]);
        let output = kit.run(["unpack", "odd:1", "-d", "out", "-o"]).exits(5);
        assert!(output.stderr.contains(path), "{output}");
    }
    assert_eq!(fs::read(kit.path("precious")).unwrap(), b"mine");
    assert_eq!(files(&kit, "out"), "Kitfile");
}

// hazard: 1, 2
#[test]
fn a_path_that_leads_out_in_a_config_leads_nowhere() {
    let kit = packed();
    let layer = tar("a");
    let raw = "application/vnd.kitops.modelkit.code.v1.raw";
    for (config, layer) in [
        // Once the config has digests the paths of an archive are whole.
        (
            json!({"code": [{"path": "../a", "digest": digest(&layer)}]}),
            ("code", layer.clone()),
        ),
        (
            json!({"code": [{"path": "../../a/b"}]}),
            ("code", layer.clone()),
        ),
        (json!({"code": [{"path": "/a/b"}]}), ("code", layer.clone())),
        (json!({"code": [{"path": "../a"}]}), (raw, layer.clone())),
        (json!({"code": [{"path": "/a"}]}), (raw, layer.clone())),
    ] {
        store(&kit, &config, &[layer]);
        let output = kit.run(["unpack", "odd:1", "-d", "x/y/out"]);
        assert!([0, 5].contains(&output.code), "{config}: {output}");
        assert_eq!(
            fs::read_dir(kit.path("")).unwrap().count(),
            2,
            "{config}: {output}"
        );
        assert_eq!(
            fs::read_dir(kit.path("x/y")).unwrap().count(),
            1,
            "{config}: {output}"
        );
        fs::remove_dir_all(kit.path("x")).unwrap();
    }
}
