//! Which Kitfile is used, and what each of its sections becomes.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, kits::zip};

/// Returns the manifest and the config of the kit `name`.
fn kit_of(kit: &Sandbox, name: &str) -> (serde_json::Value, serde_json::Value) {
    let store = kit.store();
    let manifest = store.manifest(&store.names()[name]);
    let config = store.manifest(manifest["config"]["digest"].as_str().unwrap());
    (manifest, config)
}

// hazard: 130
#[test]
fn what_json_cannot_hold_is_refused_before_a_layer_is_written() {
    let kit = Sandbox::new();
    kit.file("m", "m");
    for value in [
        ".inf",
        "-.INF",
        ".nan",
        "9999999999999999999999999999999999999999999",
    ] {
        let kitfile = format!("model: {{path: m, parameters: {{rate: {value}}}}}\n");
        kit.file("Kitfile", kitfile);
        let output = kit.run(["pack", "."]).exits(1);
        assert!(
            output.stderr.contains("line 1, column 37"),
            "{value}: {output}"
        );
        assert_eq!(fs::read_dir(kit.home()).unwrap().count(), 0);
    }
    // What has one meaning has it everywhere.
    let kitfile =
        "model: {path: m, parameters: {a: no, b: 0o17, c: 1_000, d: 2001-01-02, e: 1e3}}\n";
    kit.file("Kitfile", kitfile);
    kit.run(["pack", ".", "-t", "x:1"]).success();
    let (_, config) = kit_of(&kit, "x:1");
    let expected =
        serde_json::json!({"a": "no", "b": 15, "c": 1000, "d": "2001-01-02T00:00:00Z", "e": 1000});
    assert_eq!(config["model"]["parameters"], expected);
}

#[test]
fn f_names_a_file_here_or_in_the_context_but_not_both() {
    let kit = Sandbox::new();
    kit.file("context/a", "a")
        .file("context/b", "b")
        .file("context/Kitfile", "code:\n  - path: a\n");
    kit.file("context/there.yaml", "code:\n  - path: b\n");
    kit.file("here.yaml", "package:\n  name: here\ncode:\n  - path: b\n");
    let files = |file: &str| {
        let output = kit.run(["pack", "context", "--dry-run", "-q", "-f", file]);
        (output.code, output.stdout)
    };
    assert_eq!(
        files("there.yaml"),
        (0, "code b (1 file, 1 B)\n  b\n".to_owned())
    );
    assert_eq!(files("here.yaml"), files("there.yaml"));
    assert_eq!(files("context/there.yaml"), files("there.yaml"));
    kit.file("there.yaml", "code:\n  - path: a\n");
    assert_data_eq!(
        kit.run(["pack", "context", "-f", "there.yaml"]),
        str![[r#"
[stderr]
error: `there.yaml` could be either of two files
  in the current directory: [WORK]/there.yaml
  in the directory of the kit: [WORK]/context/there.yaml
hint: give the whole path of the one you mean
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "context", "-f", "nowhere.yaml"]),
        str![[r#"
[stderr]
error: there is no file `nowhere.yaml`
  neither in the current directory nor in the directory of the kit
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", "context", "-f", "context"]),
        str![[r#"
[stderr]
error: the Kitfile context is a folder
[exit 1]

"#]]
    );
}

#[test]
fn the_kitfile_comes_through_a_pipe() {
    let kit = Sandbox::new();
    kit.file("a", "a");
    let output = kit.run_with(
        ["pack", ".", "-f", "-", "-t", "p:1"],
        b"code:\n  - path: a\n",
    );
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged p:1
[exit 0]

"#]]
    );
    let output = kit.run_with(
        ["pack", ".", "-f", "-"],
        b"code:\n  - paht: a\ndocs:\n  - path: /x\n",
    );
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: standard input is not a valid Kitfile
  line 2, column 5: unknown field `paht` in `code[0]`; did you mean `path`?
  line 4, column 11: absolute paths are not supported in a Kitfile (path /x in docs layer 0)
[exit 1]

"#]]
    );
}

#[test]
fn names_are_looked_for_in_the_order_of_the_reference() {
    let kit = Sandbox::new();
    kit.file("a", "a").file("b", "b").file("c", "c");
    for (name, path) in [(".kitfile", "c"), ("kitfile", "b"), ("Kitfile", "a")] {
        kit.file(name, format!("code:\n  - path: {path}\n"));
        let shown = kit.run(["pack", "--dry-run", "-q"]).success();
        assert!(shown.ends_with(&format!("\n  {path}\n")), "{name}: {shown}");
    }
}

#[test]
fn prompts_are_code_layers_with_an_annotation() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "prompts:\n  - name: greet\n    path: greet.md\ncode:\n  - path: a\n",
    );
    kit.file("greet.md", "Hello").file("a", "a");
    kit.run(["pack", ".", "-t", "p:1"]).success();
    let (manifest, _) = kit_of(&kit, "p:1");
    let layers: Vec<_> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| format!("{} {}", layer["mediaType"], layer["annotations"]))
        .collect();
    assert_data_eq!(
        layers.join("\n"),
        str![[r#"
"application/vnd.kitops.modelkit.code.v1.tar" {"org.cncf.model.filepath":"a"}
"application/vnd.kitops.modelkit.code.v1.tar" {"ml.kitops.modelkit.layer-subtype":"prompt","org.cncf.model.filepath":"greet.md"}
"#]]
    );
    kit.run(["unpack", "p:1", "-d", "out", "--filter", "prompts"])
        .success();
    assert!(kit.path("out/greet.md").exists() && !kit.path("out/a").exists());
}

#[test]
fn an_mcp_bundle_is_checked_and_stored_as_it_is() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "mcpServers:\n  - name: s\n    path: tools/s.mcpb\n",
    );
    kit.file("tools/s.mcpb", "not a zip");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: `tools/s.mcpb` is not an MCP bundle
  caused by: it is not a ZIP archive
[exit 1]

"#]]
    );
    let bundle = zip("manifest.json", b"{}");
    kit.file("tools/s.mcpb", zip("other.json", b"{}"));
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: `tools/s.mcpb` is not an MCP bundle
  caused by: it holds no manifest.json
[exit 1]

"#]]
    );
    kit.file("tools/s.mcpb", &bundle);
    kit.run(["pack", ".", "-t", "m:1"]).success();
    let (manifest, _) = kit_of(&kit, "m:1");
    let layer = &manifest["layers"][0];
    assert_eq!(layer["digest"], crate::support::digest(&bundle));
    assert_data_eq!(
        format!("{} {}", layer["mediaType"], layer["annotations"]),
        str![[
            r#""application/vnd.kitops.modelkit.mcpb.v1.raw" {"org.cncf.model.file.metadata+json":"{/"name/":/"s.mcpb/",/"mode/":420,/"uid/":0,/"gid/":0,/"size/":126,/"mtime/":/"1970-01-01T00:00:00Z/",/"typeflag/":0}","org.cncf.model.filepath":"tools/s.mcpb"}"#
        ]]
    );
    kit.run(["unpack", "m:1", "-d", "out"]).success();
    assert_eq!(fs::read(kit.path("out/tools/s.mcpb")).unwrap(), bundle);
}

#[test]
fn remote_datasets_and_models_in_other_kits_make_no_layer_and_stay_in_the_config() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  path: registry.example/base/net:1\n  parts:\n    - path: lora.bin\n\
         datasets:\n  - name: far\n    path: data\n    remotePath: s3://bucket/data\n    remoteHash: sha256:1\n",
    );
    kit.file("lora.bin", "l").file("data/x", "is not packed");
    kit.file("base/Kitfile", "model:\n  path: net.bin\n")
        .file("base/net.bin", "n");
    kit.run(["pack", "base", "-t", "registry.example/base/net:1"])
        .success();
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "r:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved modelpart layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Parent registry.example/base/net:1 (digest sha256:[DIGEST])
Tagged r:1
[exit 0]

"#]]
    );
    let (manifest, config) = kit_of(&kit, "r:1");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(config["model"]["path"], "registry.example/base/net:1");
    assert_eq!(config["datasets"][0]["remotePath"], "s3://bucket/data");
}

#[test]
fn a_kitfile_without_elements_makes_a_kit_without_layers() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "package:\n  name: nothing\n");
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "n:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: the Kitfile names nothing to pack: the kit has no layers
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged n:1
[exit 0]

"#]]
    );
    let (manifest, _) = kit_of(&kit, "n:1");
    assert_eq!(manifest["layers"], serde_json::json!([]));
    kit.run(["unpack", "n:1", "-d", "out"]).success();
    assert!(kit.path("out/Kitfile").exists());
}

#[test]
fn a_file_that_is_also_the_kitfile_is_not_in_a_layer() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "code:\n  - path: .\ndocs:\n  - path: Kitfile\n")
        .file("sub/Kitfile", "x");
    assert_data_eq!(
        kit.run(["pack", "--dry-run"]),
        str![[r#"
code . (1 file, 1 B)
  sub/Kitfile
docs Kitfile (0 files, 0 B)
[stderr]
warning: docs `Kitfile` is left out (describes the kit: Kitfile): its layer is empty
1 file of 1 B would be packed
[exit 0]

"#]]
    );
}
