//! What is said of parents by commands that neither pack nor unpack.

use snapbox::{assert_data_eq, str};

use super::{base_and_child, files, pack};
use crate::support::Sandbox;

#[test]
fn programs_are_told_the_parents() {
    let kit = base_and_child();
    let base = kit.store().names()["team/base:1"].clone();
    let parents = |arguments: &[&str]| -> serde_json::Value {
        let output = kit.run(arguments).success();
        serde_json::from_str::<serde_json::Value>(&output).unwrap()["parents"].clone()
    };
    let expected = serde_json::json!([{"reference": "team/base:1", "digest": base}]);
    for arguments in [
        &["pack", "child", "-t", "child:1", "--format", "json"][..],
        &["check", "child", "--format", "json"],
        &["unpack", "child:1", "-d", "out", "--format", "json"],
    ] {
        assert_eq!(parents(arguments), expected, "{arguments:?}");
    }
    let of_base = ["unpack", "team/base:1", "-d", "b", "--format", "json"];
    assert_eq!(parents(&of_base), serde_json::json!([]));
}

#[test]
fn looking_into_a_child_says_where_its_model_is() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    assert_data_eq!(
        kit.run(["files", "child:1"]),
        str![[r#"
TYPE        SIZE         MODE   PATH
modelpart   4 B          -      lora.bin
dataset     3 B          -      tune.csv
[stderr]
The model is in another kit: team/base:1
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["cat", "child:1", "w/net.bin"]),
        str![[r#"
[stderr]
error: child:1 holds no file `w/net.bin`
hint: `kit files` lists the paths
hint: the model is in another kit: team/base:1
[exit 3]

"#]]
    );
    let output = kit
        .run(["files", "child:1", "--filter", "datasets"])
        .exits(0);
    assert_eq!(output.stderr, "");
}

#[test]
fn saving_a_child_names_the_parents_that_stay_behind() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    kit.file("grand/Kitfile", "model:\n  path: child:1\n");
    pack(&kit, "grand", "grand:1").success();
    assert_data_eq!(
        kit.run(["save", "grand:1", "-o", "g.tar"]).hide_digests(),
        str![[r#"
g.tar
[stderr]
Saved grand:1 (digest sha256:[DIGEST])
Wrote 2 blobs of 381 B
warning: the model of grand:1 is in `child:1`, `team/base:1`, which is not saved with it
hint: name that as well: `kit save grand:1 child:1 team/base:1 -o g.tar`
[exit 0]

"#]]
    );
    let json = kit.run([
        "save",
        "grand:1",
        "child:1",
        "-o",
        "h.tar",
        "--format",
        "{{ .parentsLeft }}",
    ]);
    assert_eq!(json.success(), "[team/base:1]\n");
    let whole = kit
        .run(["save", "grand:1", "child:1", "team/base:1", "-o", "w.tar"])
        .exits(0);
    assert!(!whole.stderr.contains("warning"), "{whole}");
    // What is carried together arrives together.
    let other = Sandbox::new();
    std::fs::copy(kit.path("w.tar"), other.path("w.tar")).unwrap();
    other.run(["load", "w.tar"]).success();
    other.run(["unpack", "grand:1", "-d", "out"]).success();
    assert_eq!(
        files(&other, "out"),
        ["Kitfile", "lora.bin", "vocab.txt", "w/net.bin"]
    );
}

#[test]
fn removing_a_parent_lists_its_children() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1,2").success();
    assert_data_eq!(
        kit.run(["remove", "team/base:1", "--dry-run"])
            .hide_digests(),
        str![[r#"
Would remove team/base:1 (digest sha256:[DIGEST])
[stderr]
warning: `child:1`, `child:2` would lose the kit that holds the model: team/base:1
Would free 8.0 KiB in 5 blobs
[exit 0]

"#]]
    );
    // With a second name it is still found by digest, but not by the name that the child knows.
    kit.run(["tag", "team/base:1", "team/base:2"]).success();
    let quiet = kit.run(["remove", "team/base:2"]).exits(0);
    assert!(!quiet.stderr.contains("warning"), "{quiet}");
    let both = kit
        .run(["remove", "team/base:1", "child:1,2", "--dry-run"])
        .exits(0);
    assert!(!both.stderr.contains("warning"), "{both}");
    let json = kit
        .run(["remove", "team/base:1", "--format", "json"])
        .success();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        report["bereft"],
        serde_json::json!([{"parent": "team/base:1", "children": ["child:1", "child:2"]}])
    );
}
