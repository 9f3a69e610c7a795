//! `kit diff`

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    fake::{
        Fake,
        documents::{Documents, MANIFEST, manifest},
    },
    kits::{blobs, damage, lose, pack_kitfile},
    registry::{RealRegistry, Setup},
};

const KITFILE: &str = "manifestVersion: 1.0.0\n\
    package: {name: net}\n\
    model: {name: net, path: model.bin}\n\
    datasets: [{name: rows, path: data}]\n\
    code: [{path: src}]\n";

/// Packs two versions: of three layers one differs.
fn two(kit: &Sandbox) -> [String; 2] {
    kit.file("packed/model.bin", "weights")
        .file("packed/data/a.csv", "1,2\n")
        .file("packed/data/gone.csv", "3\n")
        .file("packed/data/run.sh", "echo\n")
        .file("packed/src/train.py", "pass\n");
    let first = pack_kitfile(kit, "net:1", KITFILE);
    kit.file("packed/data/a.csv", "1,2,3\n")
        .file("packed/data/new/b.csv", "new")
        .exec("packed/data/run.sh", "echo\n");
    std::fs::remove_file(kit.path("packed/data/gone.csv")).unwrap();
    [first, pack_kitfile(kit, "net:2,latest", KITFILE)]
}

#[test]
fn two_kits_are_compared_in_the_form_of_kitops() {
    let kit = Sandbox::new();
    let _ = two(&kit);
    let output = kit.run(["diff", "net:1", "local://net"]);
    assert!(output.stdout.contains("\n  Annotations are identical \n"));
    let shown = output.hide("identical \n", "identical[BLANK]\n");
    assert_data_eq!(
        shown,
        str![[r#"
Comparing:
  ModelKit1: net:1
  ModelKit2: net:latest

Configurations:
---------------------------------------
Configs differ:
  ModelKit1 Config Digest: sha256:aec2e75b2a
  ModelKit2 Config Digest: sha256:ea63500ae4

Annotations:
---------------------------------------
  Annotations are identical[BLANK]

Shared Layers
---------------------------------------
Type    | Digest             | Size
Code    | sha256:c94873aaa4  | 2.5 KiB
Model   | sha256:df83e844ef  | 2.0 KiB

Unique Layers to ModelKit1 (net:1)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:5f2f3cb7d1  | 4.5 KiB

Unique Layers to ModelKit2 (net:latest)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:8405f5eadf  | 5.0 KiB

[exit 0]

"#]]
    );
    let with_files = kit.run(["diff", "net:1", "net:2", "--files"]);
    let (_, files) = with_files.stdout.split_once("\nFiles\n").unwrap();
    assert_data_eq!(
        files,
        str![[r#"
---------------------------------------
Change   | Size                     | Path
modified | 4 B -> 6 B               | data/a.csv
removed  | 2 B                      | data/gone.csv
added    | 3 B                      | data/new/b.csv
mode     | 5 B +x                   | data/run.sh


"#]]
    );
}

#[test]
fn equal_kits_are_identical_whatever_they_are_called() {
    let kit = Sandbox::new();
    let [first, _] = two(&kit);
    kit.run(["tag", "net:1", "other:1"]).success();
    for (a, b) in [("net:1", "other:1"), ("net:1", &*first), ("net", "net:2")] {
        for flags in [&[][..], &["--files"], &["--exit-code"]] {
            let output = kit.run([&["diff", a, b], flags].concat());
            assert_eq!(output.success(), "ModelKits are identical\n");
        }
    }
}

#[test]
fn a_script_is_told_by_the_exit_code_if_it_wants() {
    let kit = Sandbox::new();
    let _ = two(&kit);
    let _ = kit.run(["diff", "net:1", "net:2"]).exits(0);
    let output = kit.run(["diff", "net:1", "net:2", "--exit-code"]).exits(10);
    assert_eq!(output.stderr, "");
    let _ = kit.run(["diff", "net:1", "net:3", "--exit-code"]).exits(3);
}

#[test]
fn json_tells_layers_and_files() {
    let kit = Sandbox::new();
    let [first, second] = two(&kit);
    let report = kit
        .run(["diff", "net:1", "net:2", "--files", "--format", "json"])
        .json();
    assert_eq!(report["identical"], false);
    assert_eq!(report["kits"][0]["digest"], first.as_str());
    assert_eq!(report["kits"][1]["digest"], second.as_str());
    assert_eq!(report["sameConfig"], false);
    assert_eq!(report["sameAnnotations"], true);
    assert_eq!(report["shared"].as_array().unwrap().len(), 2);
    for unique in ["unique1", "unique2"] {
        assert_eq!(report[unique][0]["type"], "dataset");
        assert_eq!(report[unique].as_array().unwrap().len(), 1);
    }
    let files = report["files"].as_array().unwrap();
    let told: Vec<_> = files
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("data/a.csv", "modified"),
            ("data/gone.csv", "removed"),
            ("data/new/b.csv", "added"),
            ("data/run.sh", "mode"),
        ]
    );
    assert_eq!(files[0]["old"]["size"], 4);
    assert_eq!(
        files[0]["new"]["digest"],
        crate::support::digest(b"1,2,3\n")
    );
    assert_eq!(files[2]["old"], serde_json::Value::Null);
    let template = "{{ .SameConfig }}";
    let line = ["diff", "net:1", "net:2", "--format", template];
    assert_eq!(kit.run(line).success(), "false\n");
}

#[test]
fn a_layer_that_both_have_is_not_read_and_any_other_is_verified() {
    let kit = Sandbox::new();
    let [first, second] = two(&kit);
    let (of_first, of_second) = (blobs(&kit, &first).1, blobs(&kit, &second).1);
    let is_shared = |layer: &&String| of_second.contains(layer);
    lose(&kit, of_first.iter().find(is_shared).unwrap());
    let whole = kit.run(["diff", "net:1", "net:2", "--files"]).success();
    assert!(whole.contains("data/gone.csv"));
    damage(&kit, of_first.iter().find(|it| !is_shared(it)).unwrap());
    let _ = kit.run(["diff", "net:1", "net:2"]).success();
    let output = kit.run(["diff", "net:1", "net:2", "--files"]).exits(5);
    assert!(output.stderr.contains("is damaged"), "{output}");
    assert_eq!(output.stdout, "");
}

#[test]
fn a_moved_element_and_another_kitfile_are_told() {
    let kit = Sandbox::new();
    kit.file("packed/model.bin", "weights");
    let one = "manifestVersion: 1.0.0\npackage: {name: a}\nmodel: {path: model.bin}\n";
    pack_kitfile(&kit, "net:1", one);
    pack_kitfile(&kit, "net:2", &one.replace("name: a", "name: b"));
    kit.file("packed/other.bin", "weights");
    pack_kitfile(&kit, "net:3", &one.replace("model.bin", "other.bin"));
    let template = "{{ range .Files }}{{ .Change }} {{ .Path }}\n{{ end }}";
    let files = |second: &str| {
        kit.run(["diff", "net:1", second, "--files", "--format", template])
            .success()
    };
    assert_eq!(files("net:2"), "modified Kitfile\n");
    assert_eq!(
        files("net:3"),
        "modified Kitfile\nremoved model.bin\nadded other.bin\n"
    );
}

#[test]
fn what_is_not_where_it_is_looked_for_is_not_compared() {
    let kit = Sandbox::new();
    let _ = two(&kit);
    let mut shown = String::new();
    for (a, b) in [
        ("net:1", "nett:2"),
        ("remote://reg.invalid/net:1", "net:2"),
        ("net:1", "reg.invalid/net:1"),
        ("net:1", "local://reg.invalid/net:1"),
        ("remote://net:1", "net:1"),
        ("net:1,2", "net:1"),
        ("local://./x", "net:1"),
    ] {
        let output = kit.run(["diff", a, b, "--retries", "0"]);
        shown += &output.to_string();
    }
    let files = ["diff", "net:1", "remote://reg.invalid/net:1", "--files"];
    let once = ["--retries", "0"];
    shown += &kit.run(files.iter().chain(&once)).to_string();
    assert_data_eq!(
        shown,
        str![[r#"
[stderr]
error: no kit nett:2 in the store
hint: there is `net:2`
[exit 3]
[stderr]
error: cannot reach https://reg.invalid: no such host
hint: check the name; behind a company's proxy set HTTPS_PROXY or --proxy
[exit 6]
[stderr]
error: cannot reach https://reg.invalid: no such host
hint: check the name; behind a company's proxy set HTTPS_PROXY or --proxy
[exit 6]
[stderr]
error: no kit reg.invalid/net:1 in the store
hint: `kit list` shows what there is
[exit 3]
[stderr]
error: can not check remote: net:1 does not contain registry
hint: write the registry before it: registry.example/team/net:1.0
[exit 2]
[stderr]
error: `net:1,2` has several tags where one name is needed
  given for KIT1
[exit 2]
[stderr]
error: `./x` is a file path, not the name of a kit
  given for KIT1
[exit 2]
[stderr]
error: cannot reach https://reg.invalid: no such host
hint: check the name; behind a company's proxy set HTTPS_PROXY or --proxy
[exit 6]

"#]]
    );
}

#[test]
fn kits_are_compared_across_places() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let kit = Sandbox::new();
    let _ = two(&kit);
    let host = registry.host();
    let layout = kit.store().path().to_owned();
    if !registry.receive(&layout, "net:1", "team/net:1") {
        return;
    }
    registry.receive(&layout, "net:2", "team/net:2");
    let (one, two) = (format!("{host}/team/net:1"), format!("{host}/team/net:2"));
    let diff = |words: &[&str]| {
        let output = kit.run([&["diff"][..], words].concat());
        let output = output.hide(&host, "[HOST]").hide_digests();
        // The form of KitOps has a blank at the end of a line.
        output.map(|text| text.replace(" \n", "\n"))
    };
    assert_data_eq!(
        diff(&["local://net:1", &format!("remote://{one}")]),
        str![[r#"
ModelKits are identical
[exit 0]

"#]]
    );
    // Not local, so it is looked for there.
    assert_data_eq!(
        diff(&[&one, &two]),
        str![[r#"
Comparing:
  ModelKit1: [HOST]/team/net:1
  ModelKit2: [HOST]/team/net:2

Configurations:
---------------------------------------
Configs differ:
  ModelKit1 Config Digest: sha256:aec2e75b2a
  ModelKit2 Config Digest: sha256:ea63500ae4

Annotations:
---------------------------------------
  Annotations are identical

Shared Layers
---------------------------------------
Type    | Digest             | Size
Code    | sha256:c94873aaa4  | 2.5 KiB
Model   | sha256:df83e844ef  | 2.0 KiB

Unique Layers to ModelKit1 ([HOST]/team/net:1)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:5f2f3cb7d1  | 4.5 KiB

Unique Layers to ModelKit2 ([HOST]/team/net:2)
---------------------------------------
Type    | Digest             | Size
Dataset | sha256:8405f5eadf  | 5.0 KiB

[exit 0]

"#]]
    );
    assert_data_eq!(
        diff(&[
            "net:2",
            &one,
            "--exit-code",
            "--format",
            "{{ .identical }} {{ .kits }}"
        ]),
        str![[r#"
false [map[config:sha256:[DIGEST] digest:sha256:[DIGEST] place:local reference:net:2] map[config:sha256:[DIGEST] digest:sha256:[DIGEST] place:remote reference:[HOST]/team/net:1]]
[exit 10]

"#]]
    );
    let missing = format!("remote://{host}/team/net:3");
    assert_data_eq!(
        diff(&[&missing, &one]),
        str![[r#"
[stderr]
error: [HOST] has no team/net:3: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    kit.run(["tag", "net:2", &one]).success();
    // Now there are two of that name, and the one that is here comes first.
    let answers = [
        (one.clone(), "true"),
        (format!("local://{one}"), "true"),
        (format!("remote://{one}"), "false"),
    ];
    for (name, answer) in answers {
        let output = diff(&["net:2", &name, "--format", "{{ .identical }}"]);
        assert_eq!(output.success(), format!("{answer}\n"), "{name}");
    }
}

#[test]
fn what_is_no_kit_in_a_registry_is_not_compared() {
    let foreign = manifest("{}").replace("kitops.modelkit", "example.other");
    let mut documents = Documents::new();
    documents
        .kit("good", "net")
        .tag("foreign", MANIFEST, &foreign)
        .tag("junk", MANIFEST, "[]");
    let registry = Fake::start(move |request| documents.answer(request));
    let (kit, host) = (Sandbox::new(), registry.host());
    let mut shown = String::new();
    for tag in ["foreign", "junk", "none"] {
        let names = [tag, "good"].map(|tag| format!("{host}/team/net:{tag}"));
        shown += &kit
            .run(["diff", &names[0], &names[1]])
            .hide(&host, "[HOST]")
            .to_string();
    }
    assert_data_eq!(
        shown,
        str![[r#"
[stderr]
error: [HOST]/team/net:foreign is of a kind that this version of kit does not know: config type `application/vnd.example.other.config.v1+json`
[exit 1]
[stderr]
error: the manifest of team/net:junk on [HOST] cannot be used
  caused by: manifest is malformed
  caused by: expected an object, found an array at line 1 column 2
hint: push it again, unless something on the way answers in the registry's place: -vvv shows who
[exit 5]
[stderr]
error: [HOST] has no team/net:none: unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
}
