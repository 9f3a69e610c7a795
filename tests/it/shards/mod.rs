//! Large folders of data as several layers, of which a change touches what it must.

mod changes;
mod commands;
mod independent;
mod many;

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use self::independent::{Filter, Matching, Reader};
use crate::support::{Sandbox, trees::Fingerprint};

const KITFILE: &str = r#"manifestVersion: "1.0.0"
package:
  name: net
model:
  name: net
  path: ./weights
  license: MIT
  description: a model
  parts:
    - name: adapters
      path: adapters/
      license: Apache-2.0
      type: lora
  parameters:
    depth: 3
code:
  - path: src
datasets:
  - name: rows
    path: data
    description: all rows
    license: CC0-1.0
    parameters:
      rows: 5
  - name: one
    path: one.bin
docs:
  - path: README.md
"#;

/// How large layers are in these tests.
const SIZE: &str = "16KiB";

/// Returns bytes that nothing else has.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|at| (seed * 31 + at * 7 + at / 251 * seed) % 251);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

/// Returns a directory in which a model, a part and a dataset are worth several layers each, and
/// code and a file that must not be cut.
fn tree() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("net/Kitfile", KITFILE);
    for number in 0..80 {
        let folder = number / 10;
        kit.file(
            format!("net/data/{folder}/row-{number}.csv"),
            content(number, 400 + number * 37),
        );
        kit.file(format!("net/weights/w{number}.bin"), content(number, 1500));
        kit.file(format!("net/src/f{number}.py"), content(number, 1500));
        kit.file(
            format!("net/adapters/a/{}{number}", "long-name/".repeat(12)),
            content(number, 1000),
        );
    }
    kit.exec("net/data/run.sh", "#!/bin/sh\n")
        .dir("net/data/empty/below")
        .file("net/data/größe/ä.csv", content(3, 9000))
        .file("net/data/large.bin", content(5, 300_000))
        .file("net/one.bin", content(7, 200_000))
        .file("net/README.md", "# Net\n");
    kit
}

fn pack(kit: &Sandbox, arguments: &[&str]) -> Value {
    let all = [
        "pack",
        "net",
        "-t",
        "net:1",
        "--format",
        "json",
        "--shard-size",
        SIZE,
    ];
    kit.run(all.iter().chain(arguments)).json()
}

fn digest(packed: &Value) -> String {
    packed["digest"].as_str().unwrap().to_owned()
}

/// Returns how many layers each element has, in their order.
fn counts(layers: &Value) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for layer in layers.as_array().unwrap() {
        let path = layer["path"].as_str().unwrap();
        match counts.last_mut() {
            Some((last, count)) if last == path => *count += 1,
            _ => counts.push((path.to_owned(), 1)),
        }
    }
    counts
}

fn fingerprint(kit: &Sandbox, folder: &str) -> Fingerprint {
    let mut tree = Fingerprint::of(&kit.path(folder), true);
    tree.0.remove(b"Kitfile".as_slice());
    tree
}

#[test]
fn folders_of_data_become_several_layers_and_nothing_else_does() {
    let kit = tree();
    let packed = pack(&kit, &[]);
    let counts = counts(&packed["layers"]);
    let paths: Vec<&str> = counts.iter().map(|(path, _)| path.as_str()).collect();
    let order = ["weights", "adapters", "src", "data", "one.bin", "README.md"];
    assert_eq!(paths, order);
    for (path, count) in &counts {
        let is_cut = ["weights", "adapters", "data"].contains(&path.as_str());
        assert_eq!(*count > 3, is_cut, "{path}: {count}");
        assert_eq!(*count > 1, is_cut, "{path}: {count}");
    }
    // The forms of the manifest and of the config.
    let store = kit.store();
    let manifest = store.manifest(&digest(&packed));
    let config = store.manifest(manifest["config"]["digest"].as_str().unwrap());
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let kind = layer["mediaType"].as_str().unwrap();
        let kind = kind.rsplit_once("modelkit.").unwrap().1;
        let path = layer["annotations"]["org.cncf.model.filepath"].as_str();
        kinds.push((kind, path.unwrap()));
    }
    kinds.dedup();
    let expected = [
        ("model.v1.tar", "weights"),
        ("modelpart.v1.tar", "weights"),
        ("modelpart.v1.tar", "adapters"),
        ("code.v1.tar", "src"),
        ("dataset.v1.tar", "data"),
        ("dataset.v1.tar", "one.bin"),
        ("docs.v1.tar", "README.md"),
    ];
    assert_eq!(kinds, expected);
    let fields = |element: &Value| {
        let fields = element.as_object().unwrap().keys();
        fields.cloned().collect::<Vec<_>>().join(" ")
    };
    let mut parts: Vec<(String, &Value)> = Vec::new();
    for part in config["model"]["parts"].as_array().unwrap() {
        parts.push((fields(part), &part["path"]));
    }
    parts.dedup();
    assert_eq!(
        parts,
        [
            ("diffId digest name path".to_owned(), &"./weights".into()),
            (
                "diffId digest license name path type".to_owned(),
                &"adapters/".into()
            ),
            (
                "diffId digest name path type".to_owned(),
                &"adapters/".into()
            ),
        ]
    );
    let mut datasets: Vec<(String, &Value)> = Vec::new();
    for data in config["datasets"].as_array().unwrap() {
        datasets.push((fields(data), &data["name"]));
    }
    datasets.dedup();
    assert_eq!(
        datasets,
        [
            (
                "description diffId digest license name parameters path".to_owned(),
                &"rows".into()
            ),
            ("diffId digest name path".to_owned(), &"rows".into()),
            ("diffId digest name path".to_owned(), &"one".into()),
        ]
    );
}

#[test]
fn a_reader_that_knows_nothing_of_it_unpacks_the_same_tree() {
    let kit = tree();
    let manifest = digest(&pack(&kit, &[]));
    let store = kit.store();
    let reader = Reader {
        store: store.path(),
        matching: Matching::Order,
        filter: None,
    };
    for (matching, target) in [(Matching::Order, "order"), (Matching::Digest, "digest")] {
        let reader = Reader { matching, ..reader };
        reader.unpack(&manifest, &kit.path(target)).unwrap();
        assert_eq!(fingerprint(&kit, target), fingerprint(&kit, "net"));
    }
    for (number, (kind, value, folders)) in [
        ("model", None, &["weights", "adapters"][..]),
        ("model", Some("net"), &["weights"]),
        ("model", Some("./weights"), &["weights"]),
        ("model", Some("adapters"), &["adapters"]),
        ("datasets", Some("rows"), &["data"]),
        ("datasets", Some("data"), &["data"]),
        ("code", None, &["src"]),
    ]
    .into_iter()
    .enumerate()
    {
        let reader = Reader {
            filter: Some(Filter { kind, value }),
            ..reader
        };
        let (theirs, ours) = (format!("theirs-{number}"), format!("ours-{number}"));
        reader.unpack(&manifest, &kit.path(&theirs)).unwrap();
        let filter = match value {
            Some(value) => format!("{kind}:{value}"),
            None => kind.to_owned(),
        };
        kit.run(["unpack", "net:1", "-d", &ours, "--filter", &filter])
            .success();
        let taken = fingerprint(&kit, &theirs);
        assert_eq!(taken, fingerprint(&kit, &ours), "{filter}");
        let mut expected = fingerprint(&kit, "net");
        expected.0.retain(|path, _| {
            let folder = path.split(|byte| *byte == b'/').next().unwrap();
            folders.contains(&str::from_utf8(folder).unwrap())
        });
        assert_eq!(taken, expected, "{filter}");
    }
}

#[test]
fn a_kitfile_that_was_written_back_for_each_layer_packs_to_the_same_kit() {
    let kit = tree();
    let first = digest(&pack(&kit, &[]));
    let store = kit.store();
    let reader = Reader {
        store: store.path(),
        matching: Matching::Order,
        filter: None,
    };
    reader.unpack(&first, &kit.path("theirs")).unwrap();
    let written = fs::read_to_string(kit.path("theirs/Kitfile")).unwrap();
    assert!(written.matches("./weights").count() > 3, "{written}");
    for arguments in [&[][..], &["--no-cache"]] {
        let pack = ["pack", "theirs", "--shard-size", SIZE, "--format", "json"];
        let again = kit.run(pack.iter().chain(arguments)).json();
        assert_eq!(digest(&again), first);
    }
    // Which layers there were says nothing about how many there will be.
    let off = kit.run(["pack", "theirs", "--shard-size", "off", "--format", "json"]);
    let layers = counts(&off.json()["layers"]);
    assert!(layers.iter().all(|(_, count)| *count == 1), "{layers:?}");
    // Ours is what was packed.
    kit.run(["unpack", "net:1", "-d", "ours"]).success();
    let ours = fs::read_to_string(kit.path("ours/Kitfile")).unwrap();
    assert_eq!(ours, KITFILE);
    let again = kit.run(["pack", "ours", "--shard-size", SIZE, "--format", "json"]);
    assert_eq!(digest(&again.json()), first);
    let check = kit.run(["check", "theirs"]).success();
    assert!(check.starts_with("Kitfile is valid: 6 layers, "), "{check}");
}

#[test]
fn threads_change_no_digest_and_other_encodings_no_file() {
    let kit = tree();
    let first = pack(&kit, &[]);
    for arguments in [
        &["--threads", "1", "--no-cache"][..],
        &["--threads", "7", "--no-cache"],
        &["--shard-size", "16384"],
    ] {
        assert_eq!(digest(&pack_as(&kit, arguments)), digest(&first));
    }
    for arguments in [
        &["--compression", "zstd"][..],
        &["--compression", "gzip"],
        &["--layer-format", "raw"],
        &["--layer-format", "raw", "--compression", "zstd"],
    ] {
        let packed = pack_as(&kit, arguments);
        let is_raw = arguments[1] == "raw";
        let counts = counts(&packed["layers"]);
        assert_eq!(counts.len() > 100, is_raw, "{arguments:?}");
        assert!(packed["layers"].as_array().unwrap().len() > 20);
        kit.run(["unpack", "net:1", "-d", "out", "-o"]).success();
        let mut expected = fingerprint(&kit, "net");
        if is_raw {
            // No archive, no empty folder.
            expected
                .0
                .retain(|path, _| !path.starts_with(b"data/empty"));
        }
        assert_eq!(fingerprint(&kit, "out"), expected, "{arguments:?}");
        kit.run(["status", "net", "--exit-code"]).success();
        fs::remove_dir_all(kit.path("out")).unwrap();
    }
}

fn pack_as(kit: &Sandbox, arguments: &[&str]) -> Value {
    let all = ["pack", "net", "-t", "net:1", "--format", "json"];
    let size = ["--shard-size", SIZE];
    let size = size.iter().filter(|_| !arguments.contains(&"--shard-size"));
    kit.run(all.iter().chain(size).chain(arguments)).json()
}

#[test]
fn only_folders_of_a_gibibyte_become_layers_unless_a_size_is_given() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "datasets: [{name: a, path: a}]\n")
        .dir("a");
    // Nothing reads them: they take no place on the disk.
    for number in 0..64 {
        let file = fs::File::create(kit.path(format!("a/{number}"))).unwrap();
        file.set_len(16 << 20).unwrap();
    }
    let layers = |arguments: &[&str]| {
        let dry = ["pack", ".", "--dry-run", "--format", "json"];
        let listed = kit.run(dry.iter().chain(arguments)).json();
        let layers = listed.as_array().unwrap().clone();
        let files = layers.iter().flat_map(|it| it["files"].as_array().unwrap());
        let files: BTreeSet<String> = files.map(ToString::to_string).collect();
        assert_eq!(files.len(), 64);
        layers.len()
    };
    let whole = layers(&[]);
    assert!((10..60).contains(&whole), "{whole}");
    assert_eq!(layers(&["--shard-size", "auto"]), whole);
    assert_eq!(layers(&["--shard-size", "32MiB"]), whole);
    assert_eq!(layers(&["--shard-size", "off"]), 1);
    // As large as the largest layer may be: one is enough.
    assert_eq!(layers(&["--shard-size", "256MiB"]), 1);
    assert!(layers(&["--shard-size", "255MiB"]) > 1);
    kit.file("config.toml", "");
    fs::write(
        kit.home().join("config.toml"),
        "[pack]\nshard-size = \"off\"\n",
    )
    .unwrap();
    assert_eq!(layers(&[]), 1);
    assert_eq!(layers(&["--shard-size", "auto"]), whole);
    fs::remove_file(kit.home().join("config.toml")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(kit.path("a/0"));
    file.unwrap().set_len((16 << 20) - 1).unwrap();
    assert_eq!(layers(&[]), 1);
}

#[test]
fn sizes_that_are_none_are_refused() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "docs: [{path: Kitfile}]\n");
    assert_data_eq!(
        kit.run(["pack", ".", "--shard-size", "large"]),
        str![[r#"
[stderr]
error: 'large' is not a size of layers
  given for --shard-size
hint: write a size such as 64MiB, `auto`, or `off` for one layer each
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "--shard-size", "4000"]),
        str![[r#"
[stderr]
error: layers of '4000' are too small: a size is 4.0 KiB at least
  given for --shard-size
hint: write a size such as 64MiB, `auto`, or `off` for one layer each
[exit 2]

"#]]
    );
}

/// Returns the rows of the first table behind `heading` in docs/format.md, without its two first.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md");
    let page = fs::read_to_string(page).unwrap();
    let lines = page.lines().skip_while(|line| !line.starts_with(heading));
    let lines = lines.skip_while(|line| !line.starts_with("| "));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn the_example_on_the_page_is_what_is_packed() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "datasets: [{name: d, path: d}]\n");
    let entries = table("### An example of shards");
    let shards = table("and the rest is short enough. The layers:");
    assert_eq!((entries.len(), shards.len()), (15, 6));
    let mut files: Vec<Vec<String>> = vec![Vec::new(); shards.len()];
    let mut place = 0;
    for (number, row) in entries.iter().enumerate() {
        let [path, bytes, weight, at, hash, candidate, shard] = row.as_slice() else {
            panic!("{row:?}");
        };
        let shard: usize = shard.parse().unwrap();
        if let Some(folder) = path.strip_suffix('/') {
            kit.dir(folder);
        } else {
            kit.file(path, vec![0; bytes.parse().unwrap()]);
            files[shard - 1].push(path.clone());
        }
        // What the columns say of each other.
        let weight: u64 = weight.parse().unwrap();
        let content: u64 = bytes.parse().unwrap_or(0);
        assert_eq!(weight, 512 + content.next_multiple_of(512), "{path}");
        assert_eq!(at, &place.to_string(), "{path}");
        place += weight;
        let hashed = crate::support::digest(path.trim_end_matches('/').as_bytes());
        assert_eq!(hashed["sha256:".len()..][..16], *hash, "{path}");
        let hash = u128::from(u64::from_str_radix(hash, 16).unwrap());
        let is_candidate = number > 0 && hash * 8192 < u128::from(weight) << 64;
        assert_eq!(candidate == "yes", is_candidate, "{path}");
    }
    let pack = ["pack", ".", "--shard-size", "8KiB", "--format", "json"];
    let dry = kit.run(pack.iter().chain(&["--dry-run"])).json();
    let listed = dry.as_array().unwrap().iter().map(|it| &it["files"]);
    let listed: Vec<Vec<String>> = listed
        .map(|it| serde_json::from_value(it.clone()).unwrap())
        .collect();
    assert_eq!(listed, files);
    let packed = kit.run(pack).json();
    let layers = packed["layers"].as_array().unwrap().iter();
    let layers: Vec<Vec<String>> = layers
        .enumerate()
        .map(|(number, it)| {
            let digest = it["digest"].as_str().unwrap().to_owned();
            vec![(number + 1).to_string(), digest, it["size"].to_string()]
        })
        .collect();
    assert_eq!(layers, shards);
}
