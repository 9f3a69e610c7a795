//! `kit status`

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, set_mode};

const KITFILE: &str = "manifestVersion: 1.0.0
package: {name: net}
model: {name: net, path: net.bin}
code: [{path: src}]
datasets: [{name: rows, path: data}]
";

fn tree() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("Kitfile", KITFILE)
        .file("net.bin", [7; 5000])
        .file("src/a.py", "print(1)\n")
        .exec("src/run.sh", "#!/bin/sh\n")
        .file("data/a.csv", "1,2,3\n")
        .file("data/b.csv", "4,5,6\n");
    kit.run(["pack", ".", "-t", "team/net:1"]).success();
    kit
}

#[test]
fn a_directory_is_compared_with_the_kit_it_was_packed_into() {
    let kit = tree();
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
No changes since team/net:1 (sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["status", "--exit-code"]).exits(0).hide_digests(),
        str![[r#"
No changes since team/net:1 (sha256:[DIGEST])
[exit 0]

"#]]
    );

    kit.file("net.bin", [8; 5000])
        .file("data/new.csv", "7\n")
        .file("data/deep/er/one.csv", "8\n")
        .dir("data/empty")
        .file("elsewhere", "in no element\n")
        .file(
            "Kitfile",
            KITFILE.replace("package: {name: net}", "package: {name: other}"),
        );
    fs::remove_file(kit.path("data/a.csv")).unwrap();
    set_mode(&kit.path("src/a.py"), 0o755);
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
Changes since team/net:1 (sha256:[DIGEST])

Kitfile: modified

model `net` in `net.bin`
  modified: net.bin

code `src`
  mode:     src/a.py

dataset `rows` in `data`
  deleted:  data/a.csv
  new:      data/deep/er/one.csv
  new:      data/empty/
  new:      data/new.csv
[stderr]
1 modified, 3 new, 1 deleted, 1 with another mode: `kit pack . -t team/net:1` packs the directory as it is
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["status", "--exit-code", "-q"]).hide_digests(),
        str![[r#"
Changes since team/net:1 (sha256:[DIGEST])

Kitfile: modified

model `net` in `net.bin`
  modified: net.bin

code `src`
  mode:     src/a.py

dataset `rows` in `data`
  deleted:  data/a.csv
  new:      data/deep/er/one.csv
  new:      data/empty/
  new:      data/new.csv
[exit 10]

"#]]
    );

    kit.run(["pack", ".", "-t", "team/net:2"]).success();
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
No changes since team/net:2 (sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["status", "--kit", "team/net:1", "--format", "json"])
            .hide_digests(),
        str![[r#"
{
  "clean": false,
  "digest": "sha256:[DIGEST]",
  "directory": ".",
  "elements": [
    {
      "changes": [
        {
          "change": "modified",
          "path": "net.bin"
        }
      ],
      "name": "net",
      "path": "net.bin",
      "state": "modified",
      "type": "model"
    },
    {
      "changes": [
        {
          "change": "mode",
          "path": "src/a.py"
        }
      ],
      "name": "",
      "path": "src",
      "state": "modified",
      "type": "code"
    },
    {
      "changes": [
        {
          "change": "deleted",
          "path": "data/a.csv"
        },
        {
          "change": "new",
          "path": "data/deep/er/one.csv"
        },
        {
          "change": "new",
          "path": "data/empty/"
        },
        {
          "change": "new",
          "path": "data/new.csv"
        }
      ],
      "name": "rows",
      "path": "data",
      "state": "modified",
      "type": "dataset"
    }
  ],
  "kitfile": "modified",
  "reference": "team/net:1"
}
[exit 0]

"#]]
    );
}

#[test]
fn elements_come_and_go() {
    let kit = tree();
    fs::remove_dir_all(kit.path("src")).unwrap();
    let kitfile = KITFILE.replace("path: data}", "path: rows}");
    kit.file("Kitfile", kitfile).file("rows/a.csv", "1,2,3\n");
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
Changes since team/net:1 (sha256:[DIGEST])

Kitfile: modified

code `src`
  deleted:  src/a.py
  deleted:  src/run.sh

dataset `rows` in `rows`: new
  new:      rows/a.csv

dataset `rows` in `data`: deleted
  deleted:  data/a.csv
  deleted:  data/b.csv
[stderr]
1 new, 4 deleted: `kit pack . -t team/net:1` packs the directory as it is
[exit 0]

"#]]
    );
}

#[test]
fn what_was_unpacked_is_what_the_kit_is() {
    let kit = tree();
    kit.run(["unpack", "team/net:1", "-d", "out"]).success();
    // Once without and once with what the first one found out.
    for _ in 0..2 {
        let status = kit.run(["status", "out"]).success();
        assert!(
            status.starts_with("No changes since team/net:1"),
            "{status}"
        );
    }
    // Nothing is known of a kit that was made elsewhere.
    fs::remove_dir_all(kit.home().join("cache")).unwrap();
    kit.run(["status", "out", "--exit-code"]).success();
    fs::remove_file(kit.path("out/Kitfile")).unwrap();
    kit.file("out/data/a.csv", "1,2,4\n");
    assert_data_eq!(
        kit.run(["status", "out"]).hide_digests(),
        str![[r#"
Changes since team/net:1 (sha256:[DIGEST])

Kitfile: deleted

dataset `rows` in `data`
  modified: data/a.csv
[stderr]
1 modified: `kit pack out -t team/net:1` packs the directory as it is
[exit 0]

"#]]
    );
}

#[test]
fn what_was_not_taken_is_not_missed() {
    let kit = tree();
    kit.run(["unpack", "team/net:1", "-d", "out", "--filter", "datasets"])
        .success();
    kit.run(["status", "out", "--exit-code"]).success();
    kit.run(["unpack", "team/net:1", "-d", "out", "--filter", "model"])
        .success();
    kit.run(["status", "out", "--exit-code"]).success();
    fs::remove_dir_all(kit.path("out/data")).unwrap();
    assert_data_eq!(
        kit.run(["status", "out"]).hide_digests(),
        str![[r#"
Changes since team/net:1 (sha256:[DIGEST])

dataset `rows` in `data`
  deleted:  data/a.csv
  deleted:  data/b.csv
[stderr]
2 deleted: `kit pack out -t team/net:1` packs the directory as it is
[exit 0]

"#]]
    );
    // Single files are not the kit.
    kit.run(["unpack", "team/net:1", "-d", "some", "--include", "*.bin"])
        .success();
    assert_data_eq!(
        kit.run(["status", "some"]),
        str![[r#"
[stderr]
error: it is not known which kit some belongs to
hint: name it with --kit; `kit pack` and `kit unpack` remember it
[exit 3]

"#]]
    );
}

#[test]
fn a_directory_without_a_kitfile_is_drafted_again() {
    let kit = tree();
    fs::remove_file(kit.path("Kitfile")).unwrap();
    kit.run(["pack", "."]).success();
    kit.run(["status", "--exit-code"]).success();
    kit.file("LICENSE", "free\n");
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
Changes since sha256:[DIGEST]

Kitfile: modified

docs `LICENSE`: new
  new:      LICENSE
[stderr]
1 new: `kit pack . -t NAME` packs the directory as it is
[exit 0]

"#]]
    );
}

#[test]
fn another_kitfile_is_remembered() {
    let kit = tree();
    kit.file(
        "Kitfile.data",
        "manifestVersion: 1.0.0\ndatasets: [{path: data}]\n",
    );
    kit.run(["pack", ".", "-f", "Kitfile.data", "-t", "rows:1"])
        .success();
    kit.run(["status", "--exit-code"]).success();
    kit.run_with(["pack", ".", "-f", "-", "-t", "rows:2"], KITFILE.as_bytes())
        .success();
    kit.run(["status", "--exit-code"]).success();
    let status = kit.run(["status", "--exit-code", "-f", "Kitfile.data"]);
    assert_eq!(status.code, 10, "{status}");
}

#[test]
#[cfg(unix)]
fn modes_count_as_they_were_packed() {
    let kit = tree();
    set_mode(&kit.path("data/a.csv"), 0o600);
    kit.run(["status", "--exit-code"]).success();
    kit.run(["pack", ".", "--keep-modes", "-t", "team/net:3"])
        .success();
    kit.run(["status", "--exit-code"]).success();
    set_mode(&kit.path("data/a.csv"), 0o640);
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
Changes since team/net:3 (sha256:[DIGEST])

dataset `rows` in `data`
  mode:     data/a.csv
[stderr]
1 with another mode: `kit pack . -t team/net:3` packs the directory as it is
[exit 0]

"#]]
    );
}

#[test]
fn files_of_the_kit_that_the_model_comes_from_are_not_new() {
    let kit = tree();
    kit.file(
        "Kitfile.child",
        "manifestVersion: 1.0.0\nmodel: {path: team/net:1}\ncode: [{path: .}]\n",
    );
    kit.run(["pack", ".", "-f", "Kitfile.child", "-t", "child:1"])
        .success();
    kit.run(["unpack", "child:1", "-d", "out"]).success();
    kit.file("out/src/new.py", "print(2)\n");
    let status = kit.run(["status", "out"]);
    // `src` belongs to the other kit, too.
    assert!(
        status.stdout.starts_with("No changes since child:1"),
        "{status}"
    );
    kit.run(["remove", "team/net:1"]).success();
    assert_data_eq!(
        kit.run(["status", "out"]).hide_digests(),
        str![[r#"
Changes since child:1 (sha256:[DIGEST])

code `.`
  new:      net.bin
  new:      src/new.py
[stderr]
warning: the model is in team/net:1, which is not in the store: its files count as new
2 new: `kit pack out -t child:1` packs the directory as it is
[exit 0]

"#]]
    );
}

#[test]
fn without_a_kit_there_is_nothing_to_compare_with() {
    let kit = tree();
    kit.dir("other");
    assert_data_eq!(
        kit.run(["status", "other"]),
        str![[r#"
[stderr]
error: it is not known which kit other belongs to
hint: name it with --kit; `kit pack` and `kit unpack` remember it
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["status", "nowhere"]),
        str![[r#"
[stderr]
error: there is no folder nowhere
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["status", "--kit", "nobody"]),
        str![[r#"
[stderr]
error: no kit nobody:latest in the store
hint: `kit list` shows what there is
[exit 3]

"#]]
    );
    kit.run(["remove", "team/net:1"]).success();
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
[stderr]
error: the kit that . belongs to is not in the store any more: team/net:1 (sha256:[DIGEST])
hint: --kit names another one to compare with
[exit 3]

"#]]
    );
}

#[test]
fn a_damaged_layer_is_told_and_not_compared_with() {
    let kit = tree();
    fs::remove_dir_all(kit.home().join("cache")).unwrap();
    kit.file("data/a.csv", "1,2,4\n");
    let (_, layers) = crate::support::kits::blobs(&kit, &manifest(&kit));
    crate::support::kits::damage(&kit, &layers[2]);
    assert_data_eq!(
        kit.run(["status"]).hide_digests(),
        str![[r#"
[stderr]
error: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
}

fn manifest(kit: &Sandbox) -> String {
    let digest = kit.run(["inspect", "team/net:1", "--format", "{{ .Digest }}"]);
    digest.success().trim().to_owned()
}

#[test]
#[cfg(unix)]
fn links_are_followed_as_they_were_when_packing() {
    let kit = tree();
    kit.file("../outside.csv", "9\n");
    kit.symlink("../../outside.csv", "data/link.csv");
    kit.run(["pack", ".", "--follow-links", "all", "-t", "team/net:4"])
        .success();
    kit.run(["status", "--exit-code"]).success();
    kit.file("../outside.csv", "8\n");
    let status = kit.run(["status"]).success();
    assert!(status.contains("modified: data/link.csv"), "{status}");
}
