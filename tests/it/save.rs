//! `kit save`: kits as image layouts.

use std::{fs, process::Command};

use snapbox::{assert_data_eq, str};

use super::support::{Layout, Sandbox, have, testdata};

/// Returns a sandbox with the kit `team/q:1`, and its digest.
fn packed() -> (Sandbox, String) {
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "q");
    let _ = kit.run(["pack", "q", "-t", "team/q:1,prod"]).success();
    let digest = kit.store().names()["team/q:1"].clone();
    (kit, digest)
}

#[test]
fn a_folder_and_a_tar_file_load_into_another_store_unchanged() {
    let (kit, digest) = packed();
    assert_data_eq!(
        kit.run(["save", "team/q:1,prod", "-o", "q.tar"])
            .hide_digests(),
        str![[r#"
q.tar
[stderr]
Saved team/q:1 (digest sha256:[DIGEST])
Saved team/q:prod (digest sha256:[DIGEST])
Wrote 7 blobs of 27.0 KiB
[exit 0]

"#]]
    );
    assert_eq!(
        kit.run(["save", "team/q:1", "-o", "dir/"]).success(),
        "dir/\n"
    );
    let folder = Layout::at(kit.path("dir"));
    assert_eq!(folder.names()["team/q:1"], digest);
    assert!(folder.damaged().is_empty());
    let streamed = kit.run(["save", "team/q:1,prod", "-o", "/dev/stdout"]);
    if cfg!(target_os = "linux") {
        // Not replaced by a file, but written to.
        assert!(streamed.success().len() > 10_000);
    }
    for source in ["q.tar", "dir"] {
        let other = Sandbox::new();
        let source = kit.path(source);
        let loaded = other.run(["load", source.to_str().unwrap()]).success();
        assert!(
            loaded.contains(&format!("Loaded team/q:1 (digest {digest})\n")),
            "{loaded}"
        );
        assert_eq!(other.store().names()["team/q:1"], digest);
        assert!(other.store().damaged().is_empty());
    }
}

#[test]
fn the_same_kits_give_the_same_file_whatever_was_there() {
    let (kit, _) = packed();
    let _ = kit.run(["save", "team/q:1", "-o", "a.tar"]).success();
    kit.file("b.tar", "something old");
    let _ = kit.run(["save", "team/q:1", "-o", "b.tar"]).success();
    assert_eq!(
        fs::read(kit.path("a.tar")).unwrap(),
        fs::read(kit.path("b.tar")).unwrap()
    );
    // Three: the source and the two files, and nothing that passed.
    assert_eq!(fs::read_dir(kit.path("")).unwrap().count(), 3);
}

#[test]
fn a_folder_in_use_and_a_missing_target_are_refused() {
    let (kit, _) = packed();
    kit.file("full/x", "x");
    assert_data_eq!(
        kit.run(["save", "team/q:1", "-o", "full"]),
        str![[r#"
[stderr]
error: full is there already and is not an empty folder
hint: name a folder that is empty or not there
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["save", "team/q:1"]),
        str![[r#"
[stderr]
error: it is not said where to save to
hint: -o FILE.tar writes a tar file, -o DIR/ a folder, -o - a tar file to standard output
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["save", "team/q:2", "-o", "x.tar"]),
        str![[r#"
[stderr]
error: no kit team/q:2 in the store
hint: there is `team/q:1`, `team/q:prod`
[exit 3]

"#]]
    );
    let absent = kit.run(["save", "team/q:1", "-o", "absent/x.tar"]).exits(1);
    assert!(
        absent
            .stderr
            .starts_with("error: cannot create absent/x.tar\n")
    );
}

#[test]
fn a_damaged_kit_leaves_no_file() {
    let (kit, digest) = packed();
    let (_, layer, _) = kit.store().layers(&digest)[1].clone();
    let path = kit.store().blob_path(&layer);
    let mut content = fs::read(&path).unwrap();
    content[600] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    for target in ["x.tar", "x/"] {
        let output = kit.run(["save", "team/q:1", "-o", target]).exits(5);
        assert!(output.stderr.contains(&layer), "{output}");
        assert_eq!(fs::read_dir(kit.path("")).unwrap().count(), 1, "{target}");
    }
    // Loading over it heals.
    let (other, _) = packed();
    let _ = other.run(["save", "team/q:1", "-o", "sound.tar"]).success();
    let sound = other.path("sound.tar");
    let healed = kit.run(["load", sound.to_str().unwrap()]);
    assert!(healed.stderr.contains("Healed 1 blob"), "{healed}");
    assert!(kit.store().damaged().is_empty());
}

// hazard: 85
#[test]
fn not_one_byte_of_a_damaged_kit_goes_into_a_pipe() {
    let (kit, digest) = packed();
    let layer = kit.store().layers(&digest).remove(0).1;
    let path = kit.store().blob_path(&layer);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let out = kit.run(["save", "team/q:1", "-o", "-"]).exits(5);
    assert_eq!(out.stdout, "", "{out}");
}

#[test]
fn many_names_of_a_kit_are_loaded_as_one_kit() {
    let (kit, digest) = packed();
    let names: Vec<String> = (0..40).map(|number| format!("team/q:t{number}")).collect();
    let mut tag = vec!["tag".to_owned(), "team/q:1".to_owned()];
    tag.push(format!(
        "team/q:{}",
        names
            .iter()
            .map(|name| &name[7..])
            .collect::<Vec<_>>()
            .join(",")
    ));
    let _ = kit.run(&tag).success();
    let mut save = vec!["save".to_owned(), "-o".to_owned(), "q.tar".to_owned()];
    save.extend(names.iter().cloned());
    let _ = kit.run(&save).success();
    let other = Sandbox::new();
    fs::copy(kit.path("q.tar"), other.path("q.tar")).unwrap();
    let loaded = other.run(["load", "q.tar", "--format", "json"]).json();
    assert_eq!(loaded["kits"].as_array().unwrap().len(), 1);
    assert_eq!(loaded["stored"], 7);
    assert_eq!(
        loaded["kits"][0]["references"].as_array().unwrap().len(),
        40
    );
    assert!(other.store().names().values().all(|named| *named == digest));
    assert_eq!(other.store().names().len(), 40);
}

#[test]
fn skopeo_reads_what_was_saved_and_what_it_writes_loads() {
    if !have("skopeo") {
        return;
    }
    let (kit, digest) = packed();
    let _ = kit.run(["save", "team/q:1", "-o", "q.tar"]).success();
    let store = kit.store();
    for (index, source) in [
        format!("oci:{}:team/q:1", store.path().display()),
        format!("oci-archive:{}:team/q:1", kit.path("q.tar").display()),
    ]
    .iter()
    .enumerate()
    {
        let folder = kit.path(format!("copy-{index}"));
        let target = format!("oci:{}:v1", folder.display());
        let copy = Command::new("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--preserve-digests",
                source,
                &target,
            ])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&copy.stderr);
        assert!(copy.status.success(), "{source}: {errors}");
        let other = Sandbox::new();
        let layout = format!("{}:v1", folder.display());
        let _ = other.run(["load", &layout, "-t", "got:1"]).success();
        assert_eq!(other.store().names()["got:1"], digest, "{source}");
    }
}
