//! Kits in the `ModelPack` format: with a Kitfile of their own, and without.

use std::fs;

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox, digest,
    foreign::{ForeignKit, gzip, load, zstd},
    reference_tar,
    trees::{Fingerprint, Node},
};

const CONFIG: &str = "application/vnd.cncf.model.config.v1+json";

/// The names of the format, today's and those of its first tool.
pub(crate) const FAMILIES: [(&str, &str); 2] =
    [("cncf", "org.cncf.model"), ("cnai", "org.cnai.model")];

/// A `ModelPack` without a Kitfile: a layer for each of these, raw or in an archive of its own.
pub(crate) fn modelpack(kit: &Sandbox, (family, keys): (&str, &str), encoding: &str) -> String {
    let files = [
        ("weight.config", "config.json", 0o644, "{}"),
        (
            "weight",
            "weights/a.gguf",
            0o644,
            "weights, weights, weights",
        ),
        ("weight", "weights/b.gguf", 0o644, "more"),
        ("code", "src/run.sh", 0o755, "#!/bin/sh\n"),
        ("dataset", "rows.csv", 0o644, "1,2\n"),
        ("doc", "README.md", 0o644, "# Net\n"),
    ];
    let mut pack = ForeignKit::new(kit, "layout");
    let mut diff_ids = Vec::new();
    for (kind, path, mode, content) in files {
        let (container, compression) = encoding.split_once('+').unwrap_or((encoding, ""));
        let plain = if container == "raw" {
            content.as_bytes().to_vec()
        } else {
            reference_tar::layer(&[reference_tar::file(path, mode, content)], ".", &[])
        };
        let bytes = match compression {
            "gzip" => gzip(&plain),
            "zstd" => zstd(&plain),
            _ => plain.clone(),
        };
        diff_ids.push(digest(&plain));
        let metadata = json!({"name": path.rsplit('/').next(), "mode": mode, "uid": 0, "gid": 0,
            "size": content.len(), "mtime": "2026-01-02T03:04:05.678Z", "typeflag": 0});
        let media_type = format!("application/vnd.{family}.model.{kind}.v1.{encoding}");
        let mut annotations = json!({});
        annotations[format!("{keys}.filepath")] = path.into();
        annotations[format!("{keys}.file.metadata+json")] = metadata.to_string().into();
        pack.layer(&media_type, &bytes, &annotations);
    }
    let config = json!({
        "descriptor": {"createdAt": "2026-01-02T03:04:05Z", "name": "net", "version": "2.0",
            "authors": ["Ann"], "licenses": ["MIT"], "description": "a net", "family": "llama3"},
        "modelfs": {"type": "layers", "diffIds": diff_ids},
        "config": {"architecture": "transformer", "format": "gguf"},
    });
    pack.finish(
        &format!("application/vnd.{family}.model.config.v1+json"),
        &config,
    )
}

fn made_up() -> impl snapbox::IntoData {
    str![[r#"
manifestVersion: "1.0.0"
package:
  name: net
  version: "2.0"
  description: a net
  license: MIT
  authors: [Ann]
model:
  name: net
  path: weights/a.gguf
  format: gguf
  parts:
    - path: config.json
    - path: weights/b.gguf
code:
  - path: src/run.sh
datasets:
  - path: rows.csv
docs:
  - path: README.md
[exit 0]

"#]]
}

#[test]
fn a_modelpack_without_a_kitfile_gets_one_from_what_it_says() {
    for family in FAMILIES {
        for encoding in ["raw", "tar", "tar+gzip", "tar+zstd"] {
            let kit = Sandbox::new();
            load(&kit, &modelpack(&kit, family, encoding));
            assert_data_eq!(kit.run(["info", "x:1"]), made_up());
            kit.run(["unpack", "x:1", "-d", "out"]).success();
            assert_eq!(
                fs::read_to_string(kit.path("out/Kitfile")).unwrap(),
                kit.run(["info", "x:1"]).success()
            );
            let out = Fingerprint::of(&kit.path("out"), true);
            assert!(out.0.len() == 9, "{out:?}");
            let run = Node::File(true, digest(b"#!/bin/sh\n"));
            assert_eq!(out.0[&b"src/run.sh"[..]], run);
            let weights = Node::File(false, digest(b"weights, weights, weights"));
            assert_eq!(out.0[&b"weights/a.gguf"[..]], weights);

            // It is a kit like others.
            let inspected = kit.run(["inspect", "x:1"]).json();
            assert_eq!(inspected["config"]["config"]["architecture"], "transformer");
            assert!(inspected["kitfile"]["model"]["diffId"].is_string());
            assert_eq!(kit.run(["cat", "x:1", "rows.csv"]).success(), "1,2\n");
            kit.run([
                "unpack",
                "x:1",
                "-d",
                "some",
                "--filter",
                "docs",
                "--filter",
                "datasets:rows.csv",
            ])
            .success();
            let some = Fingerprint::of(&kit.path("some"), true);
            let some: Vec<_> = some
                .0
                .keys()
                .map(|path| String::from_utf8_lossy(path))
                .collect();
            assert_eq!(some, ["README.md", "rows.csv"]);
            kit.run(["save", "x:1", "-o", "saved"]).success();
            kit.run(["remove", "x:1"]).success();
            kit.run(["prune"]).success();
            kit.run(["load", "saved"]).success();
            kit.run(["verify"]).success();
            kit.run(["unpack", "x:1", "-d", "out"]).success();
        }
    }
}

#[test]
fn a_kitfile_that_a_modelpack_carries_is_used() {
    // As KitOps writes it: an annotation, and a layer for each element.
    let kit = Sandbox::new();
    let mut pack = ForeignKit::new(&kit, "layout");
    let kitfile = json!({"manifestVersion": "1.0.0", "package": {"name": "net"},
        "model": {"name": "weights", "path": "./m", "parameters": {"lr": 0.5}},
        "prompts": [{"name": "hello", "path": "hello.md"}],
        "code": [{"path": "."}]});
    pack.annotations = json!({"ml.kitops.modelkit.kitfile": kitfile.to_string()});
    let mut diff_ids = Vec::new();
    for (kind, path, file, subtype) in [
        ("weight", "m", "m/a.bin", None),
        ("code", ".", "run.py", None),
        ("code", "hello.md", "hello.md", Some("prompt")),
    ] {
        let plain = reference_tar::layer(&[reference_tar::file(file, 0o644, file)], ".", &[]);
        let mut annotations = json!({"org.cncf.model.filepath": path});
        if let Some(subtype) = subtype {
            annotations["ml.kitops.modelkit.layer-subtype"] = subtype.into();
        }
        let media_type = format!("application/vnd.cncf.model.{kind}.v1.tar");
        diff_ids.push(pack.layer(&media_type, &plain, &annotations));
    }
    let config = json!({"descriptor": {"name": "another name"}, "config": {},
        "modelfs": {"type": "layers", "diffIds": diff_ids}});
    load(&kit, &pack.finish(CONFIG, &config));
    assert_data_eq!(
        kit.run(["unpack", "x:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `weights` to `m`
Unpacking code `.`
Unpacking prompt `hello` to `hello.md`
4 files written (192 B)
[exit 0]

"#]]
    );
    let info = kit.run(["info", "x:1"]).success();
    assert_eq!(info, fs::read_to_string(kit.path("out/Kitfile")).unwrap());
    assert!(info.contains("lr: 0.5"), "{info}");
    let files = kit.run([
        "files",
        "x:1",
        "--filter",
        "prompts",
        "--format",
        "{{ .Path }}",
    ]);
    assert_eq!(files.success(), "hello.md\n");
    let files = kit.run([
        "files",
        "x:1",
        "--filter",
        "model:weights",
        "--format",
        "{{ .Path }}",
    ]);
    assert_eq!(files.success(), "m/a.bin\n");
}

#[test]
fn a_file_called_kitfile_that_is_none_is_only_a_file() {
    for content in ["this is: [no Kitfile", "", "model: {path: /etc}"] {
        let kit = Sandbox::new();
        let mut pack = ForeignKit::new(&kit, "layout");
        let path = |path: &str| json!({"org.cncf.model.filepath": path});
        let doc = "application/vnd.cncf.model.doc.v1.raw";
        pack.layer(doc, content.as_bytes(), &path("Kitfile"));
        let config = json!({"descriptor": {}, "config": {}});
        load(&kit, &pack.finish(CONFIG, &config));
        let output = kit.run(["unpack", "x:1", "-d", "out"]);
        output.success();
        assert_eq!(
            fs::read_to_string(kit.path("out/Kitfile")).unwrap(),
            content
        );
        assert!(kit.run(["info", "x:1"]).success().contains("docs:"));
    }
}

#[test]
fn a_modelpack_layer_without_a_path_is_its_entries_or_refused() {
    let kit = Sandbox::new();
    let mut pack = ForeignKit::new(&kit, "layout");
    let entries = [
        reference_tar::file("d/a", 0o644, "a"),
        reference_tar::file("d/b", 0o755, "b"),
    ];
    let tar = reference_tar::layer(&entries, ".", &[]);
    pack.layer("application/vnd.cncf.model.weight.v1.tar", &tar, &json!({}));
    load(
        &kit,
        &pack.finish(CONFIG, &json!({"descriptor": {}, "config": {}})),
    );
    kit.run(["unpack", "x:1", "-d", "out", "--filter", "model"])
        .success();
    let out = Fingerprint::of(&kit.path("out"), true);
    assert_eq!(out.0.len(), 3);
    assert_eq!(out.0[&b"d/b"[..]], Node::File(true, digest(b"b")));

    let kit = Sandbox::new();
    let mut pack = ForeignKit::new(&kit, "layout");
    pack.layer(
        "application/vnd.cncf.model.weight.v1.raw",
        b"weights",
        &json!({}),
    );
    load(
        &kit,
        &pack.finish(CONFIG, &json!({"descriptor": {}, "config": {}})),
    );
    assert_data_eq!(
        kit.run(["unpack", "x:1", "-d", "out"]).hide_digests(),
        str![[r#"
[stderr]
error: layer sha256:[DIGEST] of x:1 is a file without a path: it has no annotation `org.cncf.model.filepath`
[exit 5]

"#]]
    );
    assert!(!kit.path("out").exists());
    kit.run(["list"]).success();
    kit.run(["info", "x:1"]).success();
}

// hazard: 1, 2
#[test]
fn paths_of_a_modelpack_stay_in_the_target() {
    for path in [
        "../evil",
        "/tmp/evil",
        "a/../../evil",
        ".kit-unpack-x/evil",
        ".",
        "",
    ] {
        let kit = Sandbox::new();
        let mut pack = ForeignKit::new(&kit, "layout");
        let annotations = json!({"org.cncf.model.filepath": path});
        pack.layer(
            "application/vnd.cncf.model.weight.v1.raw",
            b"evil",
            &annotations,
        );
        let config = json!({"descriptor": {}, "config": {}});
        load(&kit, &pack.finish(CONFIG, &config));
        let _ = kit
            .run(["unpack", "x:1", "-d", "out", "--filter", "model"])
            .exits(5);
        assert!(
            !kit.path("evil").exists() && !kit.path("out/evil").exists(),
            "{path}"
        );
    }
}

// hazard: 35
#[test]
fn a_modelpack_that_contradicts_itself_is_refused() {
    let plain = b"weights";
    let path = json!({"org.cncf.model.filepath": "a"});
    for (config, code) in [
        (
            json!({"descriptor": {}, "config": {}, "modelfs": {"type": "layers", "diffIds": []}}),
            5,
        ),
        (
            json!({"modelfs": {"type": "layers", "diffIds": [digest(b"other")]}}),
            5,
        ),
        (
            json!({"modelfs": {"type": "layers", "diffIds": [digest(plain)]}}),
            0,
        ),
        (
            json!({"modelfs": {"type": "layers", "diff_ids": [digest(plain)]}}),
            0,
        ),
    ] {
        let kit = Sandbox::new();
        let mut pack = ForeignKit::new(&kit, "layout");
        pack.layer("application/vnd.cncf.model.weight.v1.raw", plain, &path);
        load(&kit, &pack.finish(CONFIG, &config));
        let output = kit.run(["unpack", "x:1", "-d", "out"]);
        assert_eq!(output.code, code, "{config} {}", output.stderr);
    }
    for config in [json!(null), json!([]), json!({"modelfs": {"diffIds": "x"}})] {
        let kit = Sandbox::new();
        let pack = ForeignKit::new(&kit, "layout");
        let layout = pack.finish(CONFIG, &config);
        let _ = kit.run(["load", &layout, "-t", "x:1"]).exits(5);
    }
}

// hazard: 8, 11
#[test]
fn a_raw_layer_that_says_it_is_a_link_or_a_folder_is_refused() {
    for (flag, code) in [(0, 0), (48, 0), (2, 1), (5, 1)] {
        let kit = Sandbox::new();
        let mut pack = ForeignKit::new(&kit, "layout");
        let metadata = json!({"mode": 493, "typeflag": flag}).to_string();
        let annotations = json!({"org.cncf.model.filepath": "a",
            "org.cncf.model.file.metadata+json": metadata});
        pack.layer("application/vnd.cncf.model.code.v1.raw", b"b", &annotations);
        load(&kit, &pack.finish(CONFIG, &json!({})));
        let output = kit.run(["unpack", "x:1", "-d", "out"]);
        assert_eq!(output.code, code, "{flag}: {}", output.stderr);
        assert_eq!(kit.path("out/a").exists(), code == 0);
    }
}
