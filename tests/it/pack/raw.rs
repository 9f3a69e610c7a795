//! `--layer-format raw`: files as layers.

use std::fs;

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, digest, set_mode};

/// Returns the manifest and the config of what is packed.
fn pack(kit: &Sandbox, arguments: &[&str]) -> (Value, Value) {
    let arguments = [
        "pack",
        ".",
        "--format",
        "{{ .Digest }}",
        "--layer-format",
        "raw",
    ]
    .iter()
    .chain(arguments);
    let digest = kit.run(arguments).success();
    let manifest = kit.store().manifest(digest.trim_end());
    let config = kit
        .store()
        .manifest(manifest["config"]["digest"].as_str().unwrap());
    (manifest, config)
}

#[test]
fn a_folder_becomes_a_layer_and_an_element_for_each_file() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  name: net\n  path: ./weights\n  license: MIT\n  parts:\n    - path: lora.bin\n      type: lora\n\
         datasets:\n  - name: rows\n    path: data/\n    description: all rows\n    parameters: {a: 1}\n\
         prompts:\n  - path: prompts\n",
    );
    kit.file("weights/a.bin", "a").exec("weights/sub/b.sh", "b");
    kit.file("lora.bin", "lora")
        .file("data/1", "1")
        .file("data/2", "");
    kit.file("data/3", "333").file("prompts/x.md", "# X");
    let (manifest, config) = pack(&kit, &[]);
    let expected = [
        ("model", "weights/a.bin", "a", 420),
        ("modelpart", "weights/sub/b.sh", "b", 493),
        ("modelpart", "lora.bin", "lora", 420),
        ("dataset", "data/1", "1", 420),
        ("dataset", "data/2", "", 420),
        ("dataset", "data/3", "333", 420),
        ("code", "prompts/x.md", "# X", 420),
    ];
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), expected.len());
    for (layer, (kind, path, content, mode)) in layers.iter().zip(expected) {
        let media_type = format!("application/vnd.kitops.modelkit.{kind}.v1.raw");
        assert_eq!(layer["mediaType"], media_type, "{path}");
        assert_eq!(layer["digest"], digest(content.as_bytes()), "{path}");
        assert_eq!(layer["size"], content.len(), "{path}");
        let annotations = &layer["annotations"];
        assert_eq!(annotations["org.cncf.model.filepath"], path);
        let metadata = annotations["org.cncf.model.file.metadata+json"]
            .as_str()
            .unwrap();
        let name = path.rsplit('/').next().unwrap();
        let size = content.len();
        assert_eq!(
            metadata,
            format!(
                r#"{{"name":"{name}","mode":{mode},"uid":0,"gid":0,"size":{size},"mtime":"1970-01-01T00:00:00Z","typeflag":0}}"#
            )
        );
    }
    let both = |content: &str| {
        let digest = digest(content.as_bytes());
        (digest.clone(), digest)
    };
    for (pointer, path, content) in [
        ("/model", "weights/a.bin", "a"),
        ("/model/parts/0", "weights/sub/b.sh", "b"),
        ("/model/parts/1", "lora.bin", "lora"),
        ("/datasets/0", "data/1", "1"),
        ("/datasets/2", "data/3", "333"),
        ("/prompts/0", "prompts/x.md", "# X"),
    ] {
        let element = config.pointer(pointer).unwrap();
        assert_eq!(element["path"], path);
        let text = |key: &str| element[key].as_str().unwrap().to_owned();
        assert_eq!((text("digest"), text("diffId")), both(content), "{path}");
    }
    assert_eq!(config["model"]["parts"][0]["name"], "net");
    assert_eq!(config["model"]["parts"][0]["license"], "MIT");
    assert_eq!(config["model"]["parts"][1]["type"], "lora");
    assert_eq!(config["datasets"][0]["description"], "all rows");
    assert_eq!(config["datasets"][1]["description"], Value::Null);
    assert_eq!(config["datasets"][1]["name"], "rows");
}

#[test]
fn raw_kits_come_out_as_they_went_in_and_their_kitfile_packs_the_same() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "model:\n  path: weights\ncode:\n  - path: src\n");
    // The same content twice, names that read as something else, and a path within a path.
    for (path, content) in [
        ("weights/a", "same"),
        ("weights/b", "same"),
        ("src/x.py", "same"),
        ("src/m:1", "x"),
        ("src/C:y", ""),
        ("src/ü \u{2603}", "y"),
    ] {
        kit.file(path, content);
    }
    kit.exec("src/run", "#!/bin/sh\n");
    let output = kit.run(["pack", ".", "-t", "a:1", "--layer-format", "raw"]);
    let expected = "warning: KitOps cannot unpack raw layers of equal content, as these files \
                    have: `src/x.py`, `weights/a`, `weights/b`\n";
    assert!(output.stderr.contains(expected), "{output}");
    let packed = output.success();
    kit.run(["unpack", "a:1", "-d", "out"]).success();
    for path in [
        "weights/a",
        "weights/b",
        "src/x.py",
        "src/m:1",
        "src/C:y",
        "src/run",
    ] {
        let [before, after] = [kit.path(path), kit.path("out").join(path)].map(|path| {
            (
                fs::read(&path).unwrap(),
                fs::metadata(&path).unwrap().permissions(),
            )
        });
        assert_eq!(before, after, "{path}");
    }
    let again = kit.run(["pack", "out", "--layer-format", "raw"]).success();
    assert_eq!(again, packed);
}

#[test]
fn a_model_that_reads_as_a_reference_is_still_a_file() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "model:\n  path: .\n").file("m:1", "x");
    let (manifest, config) = pack(&kit, &[]);
    assert_eq!(config["model"]["path"], "./m:1");
    let annotations = &manifest["layers"][0]["annotations"];
    assert_eq!(annotations["org.cncf.model.filepath"], "m:1");
}

#[test]
fn a_thousand_files_are_raw_and_one_more_is_an_archive() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "datasets:\n  - path: d\ndocs:\n  - path: README\n",
    );
    kit.file("README", "r");
    for number in 0..1000 {
        kit.file(format!("d/{number}"), number.to_string());
    }
    let (manifest, config) = pack(&kit, &[]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1001);
    assert_eq!(config["datasets"].as_array().unwrap().len(), 1000);

    kit.file("d/more", "");
    let output = kit.run(["pack", ".", "--layer-format", "raw", "-t", "a:1"]);
    let expected = "warning: dataset `d` holds 1001 files, more than the 1000 that become raw \
                    layers: it is packed as tar\n";
    assert!(output.stderr.contains(expected), "{output}");
    let manifest = kit.store().names()["a:1"].clone();
    let types: Vec<String> = kit
        .store()
        .layers(&manifest)
        .into_iter()
        .map(|(media_type, ..)| media_type)
        .collect();
    let kind = |rest| format!("application/vnd.kitops.modelkit.{rest}");
    assert_eq!(types, [kind("dataset.v1.tar"), kind("docs.v1.raw")]);
}

#[test]
fn folders_that_only_archives_hold_are_told() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "code:\n  - path: src\ndatasets:\n  - path: src/rows\n  - path: nothing\n",
    );
    // `src/rows` is empty in the layer of `src`, but comes out with its own.
    kit.file("src/x", "x").file("src/rows/r", "r");
    kit.dir("src/empty/inner").dir("src/void").dir("nothing");
    set_mode(&kit.path("src"), 0o750);
    let arguments = ["pack", ".", "--layer-format", "raw", "--dry-run"];
    assert_data_eq!(
        kit.run(arguments),
        str![[r#"
code src/x (1 file, 1 B)
  src/x
dataset src/rows/r (1 file, 1 B)
  src/rows/r
dataset nothing (0 files, 0 B)
[stderr]
warning: dataset `nothing` holds no content
warning: empty folders are left out of raw layers: `src/empty/inner`, `src/void`
2 files of 2 B would be packed
[exit 0]

"#]]
    );
    let arguments = [
        "pack",
        ".",
        "--layer-format",
        "raw",
        "--keep-modes",
        "--dry-run",
    ];
    let output = kit.run(arguments);
    let expected = "warning: permissions of folders are left out of raw layers: `src`\n";
    assert!(output.stderr.contains(expected), "{output}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf_8_is_refused_in_raw_layers_alone() {
    use std::os::unix::ffi::OsStringExt;
    let kit = Sandbox::new();
    kit.file("Kitfile", "code:\n  - path: src\n")
        .file("src/x", "x");
    let name = std::ffi::OsString::from_vec(b"src/\xff".to_vec());
    kit.file(&name, "y");
    assert_data_eq!(
        kit.run(["pack", ".", "--layer-format", "raw"]),
        str![[r#"
[stderr]
error: `src/�` cannot be a raw layer: its name is not UTF-8
hint: rename it, or pack with --layer-format tar
[exit 1]

"#]]
    );
    kit.run(["pack", "."]).success();
}

#[test]
fn another_layer_format_is_refused() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["pack", ".", "--layer-format", "zip"]),
        str![[r#"
[stderr]
error: invalid layer format: must be one of 'tar', 'raw' or 'chunked'
  given for --layer-format
[exit 2]

"#]]
    );
}
