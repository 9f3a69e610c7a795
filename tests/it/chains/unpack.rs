//! What of parents is unpacked, and what if it cannot be.

use snapbox::{assert_data_eq, str};

use super::{base_and_child, files, pack};
use crate::support::kits::{blobs, damage};

#[test]
fn filters_hold_for_parents_and_take_the_model_alone() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    for (arguments, expected) in [
        ("", "Kitfile w/net.bin vocab.txt lora.bin tune.csv"),
        ("--filter model", "w/net.bin vocab.txt lora.bin"),
        ("--filter model:net", "w/net.bin"),
        ("--filter model:vocab,lora", "vocab.txt lora.bin"),
        ("--filter model:./w/net.bin", "w/net.bin"),
        ("--filter datasets", "tune.csv"),
        ("--filter datasets,kitfile", "Kitfile tune.csv"),
        ("--filter docs,datasets", "tune.csv"),
        ("--include **.bin", "w/net.bin lora.bin"),
        (
            "--exclude w --exclude Kitfile",
            "vocab.txt lora.bin tune.csv",
        ),
    ] {
        let arguments = arguments.split_whitespace();
        let dry = ["unpack", "child:1", "--dry-run"].into_iter();
        let listed = kit.run(dry.chain(arguments.clone())).success();
        assert_eq!(
            listed.split_whitespace().collect::<Vec<_>>().join(" "),
            expected
        );
        // What is announced is what is written.
        let folder = arguments
            .clone()
            .collect::<String>()
            .replace(['*', '/'], "_");
        let folder = format!("out{folder}");
        let real = ["unpack", "child:1", "-d", &folder].into_iter();
        kit.run(real.chain(arguments)).success();
        let mut expected: Vec<_> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(files(&kit, &folder), expected);
    }
    assert_data_eq!(
        kit.run(["unpack", "child:1", "--filter", "model:nte", "-q"]),
        str![[r#"
[stderr]
error: nothing in the kit matches `model:nte`; it holds model:net, model:vocab, model:lora, datasets:tune
[exit 3]

"#]]
    );
}

#[test]
fn nothing_is_written_if_a_file_of_any_kit_is_in_the_way() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    kit.file("out/w/net.bin", "other")
        .file("out/tune.csv", "other");
    assert_data_eq!(
        kit.run(["unpack", "child:1", "-d", "out", "-q"]),
        str![[r#"
[stderr]
error: 2 paths in the target are in the way
  tune.csv exists with other content
  w/net.bin exists with other content
hint: --overwrite replaces files that differ, --ignore-existing keeps them, -d DIR unpacks elsewhere
[exit 1]

"#]]
    );
    assert_eq!(files(&kit, "out"), ["tune.csv", "w/net.bin"]);
    kit.run(["unpack", "child:1", "-d", "out", "-o"]).success();
    assert_eq!(files(&kit, "out").len(), 5);
}

#[test]
fn a_parent_that_has_grown_into_a_child_is_noticed() {
    let kit = base_and_child();
    kit.file("base/Kitfile", "model:\n  path: w\n");
    pack(&kit, "base", "team/base:1").success();
    kit.file(
        "child/Kitfile",
        "model:\n  path: team/base:1\ndatasets:\n  - path: w/tune.csv\n",
    )
    .file("child/w/tune.csv", "1,2");
    pack(&kit, "child", "child:1").success();
    kit.run(["unpack", "child:1", "-d", "fine"]).success();
    kit.file("base/w/tune.csv", "3,4");
    pack(&kit, "base", "team/base:1").success();
    assert_data_eq!(
        kit.run(["unpack", "child:1", "-d", "out", "-q"])
            .hide_digests(),
        str![[r#"
[stderr]
error: cannot unpack dataset `w/tune.csv` (sha256:[DIGEST])
  caused by: `w/tune.csv` is not the same in model `w` of team/base:1 and dataset `w/tune.csv`
[exit 5]

"#]]
    );
}

#[test]
fn a_damaged_parent_is_named_and_the_rest_unpacks() {
    let kit = base_and_child();
    pack(&kit, "child", "child:1").success();
    let base = kit.store().names()["team/base:1"].clone();
    let (config, layers) = blobs(&kit, &base);
    damage(&kit, &layers[0]);
    let output = kit.run(["unpack", "child:1", "-d", "out"]).exits(5);
    assert!(
        output
            .stderr
            .contains("model `net` to `w/net.bin` of team/base:1"),
        "{output}"
    );
    assert_eq!(
        files(&kit, "out"),
        ["Kitfile", "lora.bin", "tune.csv", "vocab.txt"]
    );
    damage(&kit, &config);
    assert_data_eq!(
        kit.run(["unpack", "child:1", "-d", "out"]).hide_digests(),
        str![[r#"
[stderr]
error: parent kit team/base:1 cannot be used (child:1 => team/base:1)
  caused by: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
    let output = pack(&kit, "child", "child:2").exits(5);
    assert!(
        output
            .stderr
            .contains("parent kit team/base:1 cannot be used"),
        "{output}"
    );
}
