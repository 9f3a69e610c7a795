//! `kit files`: what is in a kit.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::support::{Sandbox, testdata};

/// Returns a sandbox with the kit `x:1`, made by another tool.
fn golden() -> Sandbox {
    let kit = Sandbox::new();
    let source = format!("{}:plain", testdata("artifacts/basic").display());
    let _ = kit.run(["load", &source, "-t", "x:1"]).success();
    kit
}

#[test]
fn files_come_with_type_size_and_execute_bit() {
    let kit = golden();
    assert_data_eq!(
        kit.run(["files", "x:1", "--filter", "code,docs"]),
        str![[r#"
TYPE        SIZE         MODE   PATH
code        8 B          -      src/notes.tmp
code        0 B          -      src/pkg/__init__.py
code        31 B         x      src/run.sh
code        15 B         -      src/train.py
docs        8 B          -      docs/guide.md
docs        8 B          -      README.md
[exit 0]

"#]]
    );
    let all = kit.run(["files", "x:1", "--format", "json"]).json();
    let folders = kit
        .run(["files", "x:1", "--folders", "--format", "json"])
        .json();
    assert!(all.as_array().unwrap().len() < folders.as_array().unwrap().len());
    let run = &all
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"] == "src/run.sh")
        .unwrap();
    assert_eq!(
        (&run["executable"], &run["size"]),
        (&true.into(), &31.into())
    );
}

#[test]
fn patterns_and_templates_choose() {
    let kit = golden();
    let paths = |arguments: &[&str]| {
        let mut line = vec!["files", "x:1", "--format", "{{ .Path }}"];
        line.extend(arguments);
        kit.run(line).success()
    };
    assert_eq!(
        paths(&["--include", "data/**.csv", "--exclude", "data/test"]),
        "data/train/a.csv\ndata/train/empty.csv\n"
    );
    assert_eq!(paths(&["--filter", "model"]), "model.bin\n");
}

#[test]
fn nothing_selected_is_told_with_what_there_is() {
    let kit = golden();
    assert_data_eq!(
        kit.run(["files", "x:1", "--include", "nope/**"]),
        str![[r#"
[stderr]
error: no file of x:1 is selected by --include and --exclude
  it holds model `model.bin`, code `src`, dataset `data/train`, dataset `data/test`, docs `docs`, docs `README.md`
hint: without patterns all paths are listed
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["files", "x:1", "--filter", "datasets:nope"]),
        str![[r#"
[stderr]
error: nothing in the kit matches `datasets:nope`; it holds model:net, code:src, datasets:train, datasets:test, docs:docs, docs:README.md
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["files", "y:1"]),
        str![[r#"
[stderr]
error: no kit y:1 in the store
hint: there is `x:1`
[exit 3]

"#]]
    );
}

#[test]
fn a_listing_by_headers_alone_is_that_of_a_whole_reading() {
    let kit = Sandbox::new();
    kit.file("net/Kitfile", "code:\n  - path: .\n");
    // Around the sizes of a block and of what is read at a time; and one extended header.
    for size in [0, 1, 511, 512, 513, 15_000, 16_384, 100_000] {
        kit.file(
            format!("net/{size:06}/{}", "n".repeat(120)),
            vec![b'x'; size],
        );
        kit.file(format!("net/{size:06}/a.bin"), vec![b'x'; size]);
    }
    let _ = kit.run(["pack", "net", "-t", "net:1"]).success();
    let list = || {
        kit.run([
            "files",
            "net:1",
            "--folders",
            "--format",
            "{{ .Path }} {{ .Size }}",
        ])
        .success()
    };
    let quick = list();
    // Without this record nothing is known of the blobs.
    fs::remove_file(kit.home().join("store/blob-stamps")).unwrap();
    assert_eq!(quick, list());
    assert_eq!(quick.lines().count(), 8 * 3);
    assert!(quick.contains("016384/a.bin 16384\n"), "{quick}");
}

#[test]
fn content_is_read_only_where_someone_wrote_to_the_blob() {
    let kit = golden();
    let before = kit.run(["files", "x:1"]).success();
    let digest = &kit.store().names()["x:1"];
    let (_, model, _) = kit.store().layers(digest)[0].clone();
    let path = kit.store().blob_path(&model);
    let mut content = fs::read(&path).unwrap();
    // In the content of the only file: the headers stay as they are.
    content[1000] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    let after = kit.run(["files", "x:1"]).exits(5);
    assert!(after.stderr.contains("is damaged"), "{after}");
    // The other layers are as they were, and can still be listed.
    let code = kit.run(["files", "x:1", "--filter", "code"]).success();
    assert!(before.contains(code.lines().last().unwrap()));
}
