//! What the commands tell of a kit with such layers: its elements, as they were packed.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::{KITFILE, SIZE, content, digest, fingerprint, pack, tree};
use crate::support::{
    Sandbox,
    shelf::{Rules, StoreShelf},
};

#[test]
fn packing_tells_of_a_folder_in_one_line() {
    let kit = tree();
    assert_data_eq!(
        kit.run(["pack", "net", "-t", "net:1", "--shard-size", SIZE])
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved model layers of `weights`: 8 new, 0 already there
Saved modelpart layers of `adapters`: 5 new, 0 already there
Saved code layer: sha256:[DIGEST]
Saved dataset layers of `data`: 15 new, 0 already there
Saved dataset layer: sha256:[DIGEST]
Saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged net:1
[exit 0]

"#]]
    );
    kit.file("net/data/3/row-37.csv", "changed\n");
    assert_data_eq!(
        kit.run(["pack", "net", "-t", "net:2", "--shard-size", SIZE])
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved model layers of `weights`: 0 new, 8 already there
Saved modelpart layers of `adapters`: 0 new, 5 already there
Already saved code layer: sha256:[DIGEST]
Saved dataset layers of `data`: 1 new, 14 already there
Already saved dataset layer: sha256:[DIGEST]
Already saved docs layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged net:2
[exit 0]

"#]]
    );
    let dry = kit.run(["pack", "net", "--shard-size", SIZE, "--dry-run"]);
    let headings: Vec<String> = dry
        .success()
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(str::to_owned)
        .collect();
    assert_data_eq!(
        headings.join("\n"),
        str![[r#"
model weights (80 files, 117.1 KiB, 8 layers)
modelpart adapters (80 files, 78.1 KiB, 5 layers)
code src (80 files, 117.1 KiB)
dataset data (83 files, 445.4 KiB, 15 layers)
dataset one.bin (1 file, 195.3 KiB)
docs README.md (1 file, 6 B)
"#]]
    );
    assert_data_eq!(
        kit.run(["diff", "net:1", "net:2", "--files"])
            .map(|text| text.replace(" \n", "\n"))
            .hide_digests(),
        str![[r#"
Comparing:
  ModelKit1: net:1
  ModelKit2: net:2

Configurations:
---------------------------------------
Configs differ:
  ModelKit1 Config Digest: sha256:d961ccc124
  ModelKit2 Config Digest: sha256:4a1d2efa68

Annotations:
---------------------------------------
  Annotations are identical

Shared Layers
---------------------------------------
Type    | Digest             | Size
Code    | sha256:b16e6bfbbc  | 161.5 KiB
Dataset | 14 layers of data  | 514.0 KiB
Dataset | sha256:0d87fb7205  | 197.0 KiB
Docs    | sha256:5c4f7e5faa  | 2.0 KiB
Model   | sha256:fd9590829f  | 5.5 KiB
ModelPart | 7 layers of weights | 166.5 KiB
ModelPart | 5 layers of adapters | 160.0 KiB

Unique Layers to ModelKit1 (net:1)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:b42543636b  | 30.5 KiB

Unique Layers to ModelKit2 (net:2)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:d8e9847e05  | 29.0 KiB

Files
---------------------------------------
Change   | Size                     | Path
modified | 1.7 KiB -> 8 B           | data/3/row-37.csv

[exit 0]

"#]]
    );
}

#[test]
fn all_that_reads_a_kit_shows_each_element_once() {
    let kit = tree();
    pack(&kit, &[]);
    assert_eq!(kit.run(["info", "net:1"]).success(), KITFILE);
    let parts = kit.run(["info", "net:1", "-f", "model.parts"]).success();
    assert_eq!(parts.matches("path:").count(), 1, "{parts}");
    let names = kit
        .run(["info", "net:1", "-f", "datasets.1.name"])
        .success();
    assert_eq!(names, "one\n");
    let files = [
        "files",
        "net:1",
        "--format",
        "{{ .Type }} {{ .Name }} {{ .Path }}",
    ];
    let files = kit.run(files).success();
    let mut lines: Vec<&str> = files.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count);
    let of = |start: &str| files.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(of("model net weights/"), 80, "{files}");
    assert_eq!(of("modelpart adapters adapters/"), 80);
    assert_eq!(of("dataset rows data/"), 83);
    let weights = kit.run([
        "files",
        "net:1",
        "--filter",
        "model:net",
        "--format",
        "{{ .Path }}",
    ]);
    assert_eq!(weights.success().lines().count(), 80);
    // What a filter could have selected is listed once.
    assert_data_eq!(
        kit.run([
            "unpack",
            "net:1",
            "-d",
            "none",
            "--filter",
            "datasets:nothing"
        ]),
        str![[r#"
[stderr]
Unpacking to [WORK]/none
error: nothing in the kit matches `datasets:nothing`; it holds model:net, model:adapters, code:src, datasets:rows, datasets:one, docs:README.md
[exit 3]

"#]]
    );
    let listed = kit.run([
        "list",
        "--filter",
        "datasets:rows",
        "--format",
        "{{ .Tags }}",
    ]);
    assert!(listed.success().contains('1'));
}

#[test]
fn one_file_is_found_in_its_layer() {
    let kit = tree();
    pack(&kit, &[]);
    for path in [
        "data/7/row-77.csv",
        "weights/w9.bin",
        "data/größe/ä.csv",
        "data/large.bin",
    ] {
        let mut command = kit.command(["cat", "net:1", path]);
        let out = command.output().unwrap();
        assert_eq!(
            out.stdout,
            fs::read(kit.path("net").join(path)).unwrap(),
            "{path}"
        );
    }
    let unpack = [
        "unpack",
        "net:1",
        "-d",
        "out",
        "--include",
        "data/7/**",
        "--filter",
        "datasets",
    ];
    assert_data_eq!(
        kit.run(unpack),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking dataset `rows` to `data`
10 files written (30.8 KiB)
[exit 0]

"#]]
    );
}

#[test]
fn unpacking_tells_of_a_folder_once() {
    let kit = tree();
    pack(&kit, &[]);
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out"])
            .hide(kit.path("out").to_str().unwrap(), "[OUT]"),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `weights`
Unpacking modelpart `adapters` to `adapters`
Unpacking code `src`
Unpacking dataset `rows` to `data`
Unpacking dataset `one` to `one.bin`
Unpacking docs `README.md`
326 files written (955.4 KiB)
[exit 0]

"#]]
    );
}

#[test]
fn a_kit_on_top_of_one_with_such_layers_takes_its_model() {
    let kit = tree();
    pack(&kit, &[]);
    kit.file(
        "child/Kitfile",
        "model: {name: tuned, path: 'net:1', parts: [{name: net, path: tuned}]}\n\
         datasets: [{name: more, path: more}]\n",
    );
    for number in 0..60 {
        kit.file(format!("child/more/{number}"), content(number, 3000));
        kit.file(format!("child/tuned/{number}"), content(number, 3000));
    }
    let child = ["pack", "child", "-t", "child:1", "--shard-size", SIZE];
    kit.run(child).success();
    kit.run(["unpack", "child:1", "-d", "out"]).success();
    let mut expected = fingerprint(&kit, "child");
    let net = fingerprint(&kit, "net");
    let model = net
        .0
        .into_iter()
        .filter(|(path, _)| path.starts_with(b"weights") || path.starts_with(b"adapters"));
    expected.0.extend(model);
    assert_eq!(fingerprint(&kit, "out"), expected);
    kit.run(["status", "child", "--exit-code"]).success();
}

#[test]
fn damage_names_the_layer_and_the_rest_comes_out() {
    let kit = tree();
    let packed = pack(&kit, &[]);
    let layers = packed["layers"].as_array().unwrap();
    let broken = layers
        .iter()
        .filter(|it| it["path"] == "data")
        .nth(2)
        .unwrap();
    let broken = broken["digest"].as_str().unwrap();
    let path = kit.store().blob_path(broken);
    let mut content = fs::read(&path).unwrap();
    let last = content.len() - 1500;
    content[last] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    let unpack = kit.run(["unpack", "net:1", "-d", "out"]).exits(5);
    assert!(unpack.stderr.contains(broken), "{}", unpack.stderr);
    assert!(kit.path("out/weights/w9.bin").exists());
    assert!(kit.path("out/data/0/row-1.csv").exists());
    // Packing again heals it, and all is there.
    let again = kit.run([
        "pack",
        "net",
        "-t",
        "net:1",
        "--shard-size",
        SIZE,
        "--format",
        "json",
    ]);
    assert_eq!(digest(&again.json()), digest(&packed));
    kit.run(["unpack", "net:1", "-d", "out"]).success();
    assert_eq!(fingerprint(&kit, "out"), fingerprint(&kit, "net"));
}

#[test]
fn what_is_left_out_is_told_as_without_layers() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "datasets: [{name: a, path: a}]\ndocs: [{path: b}]\n",
    )
    .file(".kitignore", "b/*\n")
    .file("b/x", "");
    for number in 0..60 {
        kit.file(format!("a/{number}"), content(number, 3000));
    }
    for size in [SIZE, "off"] {
        let pack = kit.run(["pack", ".", "-t", "a:1", "--shard-size", size]);
        assert!(pack.stderr.contains("docs `b`"), "{size}: {}", pack.stderr);
        pack.success();
    }
}

#[test]
fn it_comes_out_of_a_registry_whole_and_in_part() {
    let publisher = tree();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/net:1", shelf.host());
    pack(&publisher, &["-t", &name]);
    let kit = Sandbox::new();
    kit.run(["unpack", &name, "-d", "out"]).success();
    assert_eq!(fingerprint(&kit, "out"), fingerprint(&publisher, "net"));
    kit.run(["pull", &name]).success();
    kit.run(["unpack", &name, "-d", "out"]).success();
    let one = ["unpack", &name, "-d", "one", "--filter", "model:net"];
    let one = kit.run(one).success();
    assert_eq!(one, "");
    let files = fingerprint(&kit, "one").0.into_keys();
    let mut files = files.map(|path| String::from_utf8(path).unwrap());
    assert!(files.all(|path| path.starts_with("weights")));
}
