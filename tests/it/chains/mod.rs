//! Kits whose `model.path` names another kit: the chain of parents.

mod store;
mod unpack;

use snapbox::{assert_data_eq, str};

use crate::support::{Output, Sandbox};

/// Packs the folder `name` as `reference`.
fn pack(kit: &Sandbox, folder: &str, reference: &str) -> Output {
    kit.run(["pack", folder, "-t", reference]).hide_digests()
}

/// A base kit with a model and a part, and the sources of a child with a dataset and a part.
fn base_and_child() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "base/Kitfile",
        "model:\n  name: net\n  path: w/net.bin\n  parts:\n    - {name: vocab, path: vocab.txt}\n\
         docs:\n  - path: README.md\n",
    )
    .file("base/w/net.bin", "weights")
    .file("base/vocab.txt", "words")
    .file("base/README.md", "read");
    pack(&kit, "base", "team/base:1").success();
    kit.file(
        "child/Kitfile",
        "model:\n  path: team/base:1\n  parts:\n    - {name: lora, path: lora.bin}\n\
         datasets:\n  - {name: tune, path: tune.csv}\n",
    )
    .file("child/lora.bin", "lora")
    .file("child/tune.csv", "1,2");
    kit
}

/// Returns the files below `folder`, sorted.
fn files(kit: &Sandbox, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![kit.path(folder)];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let relative = path.strip_prefix(kit.path(folder)).unwrap();
                found.push(relative.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_child_is_packed_without_the_model_and_unpacked_with_it() {
    let kit = base_and_child();
    assert_data_eq!(
        pack(&kit, "child", "team/child:1"),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved modelpart layer: sha256:[DIGEST]
Saved dataset layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Parent team/base:1 (digest sha256:[DIGEST])
Tagged team/child:1
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "team/child:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `w/net.bin` of team/base:1
Unpacking modelpart `vocab` to `vocab.txt` of team/base:1
Unpacking modelpart `lora` to `lora.bin`
Unpacking dataset `tune` to `tune.csv`
5 files written (157 B)
[exit 0]

"#]]
    );
    let all = ["Kitfile", "lora.bin", "tune.csv", "vocab.txt", "w/net.bin"];
    assert_eq!(files(&kit, "out"), all);
    // Again: everything is there.
    let again = kit.run(["unpack", "team/child:1", "-d", "out"]).exits(0);
    assert!(again.stderr.contains("5 already there"), "{again}");
    // By digest it is the same kit with the same parent.
    let digest = kit.store().names()["team/child:1"].clone();
    kit.run(["unpack", &digest, "-d", "by-digest"]).success();
    assert_eq!(files(&kit, "by-digest"), all);
    // The reference stays as it was written, and each kit keeps its own names.
    let info = kit.run(["info", "team/child:1", "-f", "model.path"]);
    assert_eq!(info.success(), "team/base:1\n");
    let names: Vec<String> = kit.store().names().into_keys().collect();
    assert_eq!(names, ["team/base:1", "team/child:1"]);
}

#[test]
fn a_missing_parent_is_named_with_the_way_to_it() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    kit.run(["remove", "-q", "team/base:1"]).success();
    assert_data_eq!(
        pack(&kit, "child", "child:2"),
        str![[r#"
[stderr]
error: parent kit team/base:1 is not in the store (child:2 => team/base:1)
hint: `kit load` takes it out of a bundle; a name that begins with a registry is looked for there
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "child:1", "-d", "out"]),
        str![[r#"
[stderr]
error: parent kit team/base:1 is not in the store (child:1 => team/base:1)
hint: `kit load` takes it out of a bundle; a name that begins with a registry is looked for there
[exit 3]

"#]]
    );
    assert!(!kit.path("out").exists());
    assert_data_eq!(
        kit.run(["check", "child", "--strict"]),
        str![[r#"
Kitfile is valid: 2 layers, 2 files, 7 B
[stderr]
Not checked against the kits that the model is to come from: parent kit team/base:1 is not in the store (this kit => team/base:1)
[exit 0]

"#]]
    );
    // What needs no model needs no parent.
    kit.run(["unpack", "child:1", "-d", "out", "--filter", "datasets"])
        .success();
    kit.run(["files", "child:1"]).success();
    kit.run(["info", "child:1"]).success();
    kit.run(["list"]).success();
    // A name that is nearly right.
    pack(&kit, "base", "team/bsae:1").success();
    let output = pack(&kit, "child", "child:2").exits(3);
    assert!(output.stderr.contains("there is `team/bsae:1`"), "{output}");
}

#[test]
fn a_kit_that_is_its_own_parent_is_refused() {
    let kit = Sandbox::new();
    kit.file("m/Kitfile", "model:\n  path: a.bin\n")
        .file("m/a.bin", "a");
    pack(&kit, "m", "a:1").success();
    kit.file("self/Kitfile", "model:\n  path: localhost/a:1\n");
    kit.file("b/Kitfile", "model:\n  path: a:1\n");
    assert_data_eq!(
        pack(&kit, "self", "x:1,2"),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Parent a:1 (digest sha256:[DIGEST])
Tagged x:1
Tagged x:2
[exit 0]

"#]]
    );
    // Whichever of its names it is.
    let output = pack(&kit, "self", "a:2,1").exits(1);
    assert!(
        output.stderr.contains("in a circle: a:1 => a:1"),
        "{output}"
    );
    pack(&kit, "b", "b:1").success();
    kit.file("self/Kitfile", "model:\n  path: b:1\n");
    let output = pack(&kit, "self", "a:1").exits(1);
    assert!(
        output.stderr.contains("in a circle: a:1 => b:1 => a:1"),
        "{output}"
    );
    // Names move: here the parent's name comes to mean the child.
    kit.run(["tag", "b:1", "a:1"]).success();
    assert_data_eq!(
        kit.run(["unpack", "b:1", "-d", "out"]),
        str![[r#"
[stderr]
error: kits take their model from each other in a circle: b:1 => a:1, which is a kit met before
hint: let model.path of one of them name the files of the model
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "a:1", "-d", "out"]),
        str![[r#"
[stderr]
error: kits take their model from each other in a circle: a:1 => a:1
hint: let model.path of one of them name the files of the model
[exit 1]

"#]]
    );
    assert!(!kit.path("out").exists());
}

#[test]
fn ten_parents_pack_and_unpack_and_eleven_do_not() {
    let kit = Sandbox::new();
    kit.file("k/Kitfile", "model:\n  path: net.bin\n")
        .file("k/net.bin", "n");
    pack(&kit, "k", "k:0").success();
    for number in 1..=10 {
        let (file, path) = (format!("part{number}"), format!("k:{}", number - 1));
        let kitfile = format!("model:\n  path: {path}\n  parts:\n    - path: {file}\n");
        kit.file("k/Kitfile", kitfile)
            .file(format!("k/{file}"), &file);
        pack(&kit, "k", &format!("k:{number}")).success();
    }
    kit.run(["unpack", "k:10", "-d", "out"]).success();
    assert_eq!(files(&kit, "out").len(), 12);
    kit.file("k/Kitfile", "model:\n  path: k:10\n");
    assert_data_eq!(
        pack(&kit, "k", "k:11"),
        str![[r#"
[stderr]
error: more than 10 kits take their model from one another: k:11 => k:10 => k:9 => k:8 => k:7 => k:6 => k:5 => k:4 => k:3 => k:2 => k:1 => k:0
hint: let model.path name a kit further up the chain
[exit 9]

"#]]
    );
}

#[test]
fn what_belongs_to_a_parent_is_left_to_it_by_whole_names() {
    let kit = base_and_child();
    kit.file(
        "all/Kitfile",
        "model:\n  path: team/base:1\ncode:\n  - path: .\ndatasets:\n  - path: w/own\n",
    );
    for path in [
        "w/net.bin",
        "w/net.bin.txt",
        "w/own/x",
        "vocab.txt",
        "vocab.txt2",
        "README.md",
        "a",
    ] {
        kit.file(format!("all/{path}"), "x");
    }
    assert_data_eq!(
        kit.run(["pack", "all", "--dry-run"]),
        str![[r#"
code . (3 files, 3 B)
  a
  vocab.txt2
  w/net.bin.txt
dataset w/own (1 file, 1 B)
  w/own/x
[stderr]
warning: `README.md` is left out: it belongs to docs of team/base:1, which is not unpacked with this kit
Left out: `vocab.txt` belongs to modelpart `vocab` of team/base:1
Left out: `w/net.bin` belongs to model `net` of team/base:1
4 files of 4 B would be packed
[exit 0]

"#]]
    );
    // A folder that belongs to a parent, but for what the child names in it.
    kit.file("base/Kitfile", "model:\n  path: w\n");
    pack(&kit, "base", "team/base:1").success();
    assert_data_eq!(
        kit.run(["pack", "all", "--dry-run"]),
        str![[r#"
code . (4 files, 4 B)
  README.md
  a
  vocab.txt
  vocab.txt2
dataset w/own (1 file, 1 B)
  w/own/x
[stderr]
Left out: `w` belongs to model of team/base:1
5 files of 5 B would be packed
[exit 0]

"#]]
    );
    let output = kit.run(["check", "all", "--strict"]).exits(0);
    assert!(
        output
            .stderr
            .contains("`w` belongs to model of team/base:1"),
        "{output}"
    );
}

#[test]
fn a_path_that_two_kits_of_a_chain_use_is_an_error() {
    let kit = base_and_child();
    kit.file(
        "child/Kitfile",
        "model:\n  path: team/base:1\ndocs:\n  - path: ./README.md\ncode:\n  - path: w//net.bin\n",
    );
    assert_data_eq!(
        pack(&kit, "child", "child:1"),
        str![[r#"
[stderr]
error: kits that are unpacked together use the same paths
  `README.md`: docs of child:1, docs of team/base:1
  `w/net.bin`: code of child:1, model `net` of team/base:1
hint: give the elements of this kit paths of their own
[exit 1]

"#]]
    );
    // A parent and a grandparent clash as well.
    kit.file("child/Kitfile", "model:\n  path: team/base:1\n");
    pack(&kit, "child", "middle:1").success();
    kit.file(
        "base/Kitfile",
        "model:\n  path: x:1\ncode:\n  - path: w/net.bin\n",
    );
    kit.file("x/Kitfile", "model:\n  path: w\n")
        .file("x/w/net.bin", "x");
    pack(&kit, "x", "x:1").success();
    pack(&kit, "base", "team/base:1").success();
    kit.file("x/Kitfile", "model:\n  path: w/net.bin\n");
    pack(&kit, "x", "x:1").success();
    assert_data_eq!(
        pack(&kit, "child", "child:1"),
        str![[r#"
[stderr]
error: kits that are unpacked together use the same paths
  `w/net.bin`: code of team/base:1, model of x:1
hint: give the elements of this kit paths of their own
[exit 1]

"#]]
    );
}

#[test]
fn a_path_that_only_looks_like_a_reference_is_a_path() {
    let kit = Sandbox::new();
    kit.file("k/Kitfile", "model:\n  path: ./a:b\n");
    if cfg!(windows) {
        return; // No such names there.
    }
    kit.file("k/a:b", "x");
    kit.run(["check", "k"]).success();
    pack(&kit, "k", "k:1").success();
    assert_eq!(
        kit.run(["files", "k:1", "--format", "{{ .path }}"])
            .success(),
        "a:b\n"
    );
}
