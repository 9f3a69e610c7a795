//! Layouts on either side.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::{copy, push, two};
use crate::support::{Layout, Sandbox, digest, have, kits};

#[test]
fn a_kit_travels_in_a_layout_that_others_read() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", one.host());
    let target = format!("{}/prod/net:1.0", two.host());
    let digest = push(&kit, &name, 1 << 20);
    copy(&kit, [&*name, "oci:folder:1.0"]).success();
    let report = copy(&kit, ["oci:folder", &target, "--format", "json"]).json();
    assert_eq!(report["digest"], digest);
    // A second name takes no second copy, and a blob that was damaged is written anew.
    let layer = kits::blobs(&kit, &digest).1.remove(0);
    let blob = Layout::at(kit.path("folder")).blob_path(&layer);
    let mut content = fs::read(&blob).unwrap();
    content[0] ^= 1;
    fs::write(&blob, content).unwrap();
    let report = copy(&kit, [&*name, "oci:folder:again", "--format", "json"]).json();
    assert_eq!(
        (&report["sent"], &report["present"]),
        (&1.into(), &1.into())
    );
    assert_eq!(crate::support::digest(&fs::read(&blob).unwrap()), layer);
    let loaded = kit.run(["load", "folder:again", "-t", "loaded:1"]);
    assert!(loaded.success().contains(&digest));
    copy(&kit, ["oci:folder:again", "oci:other"]).success();
    if have("skopeo") {
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "oci:other:again"])
            .current_dir(kit.path(""))
            .output()
            .unwrap();
        assert_eq!(crate::support::digest(&output.stdout), digest);
    }
    // The tar file that `kit save` writes is a layout, too.
    kit.run(["save", &name, "-o", "net.tar"]).success();
    let report = copy(
        &kit,
        [
            "oci:net.tar",
            &format!("{}/tar/net:1", two.host()),
            "--format",
            "json",
        ],
    );
    assert_eq!(report.json()["digest"], digest);
}

#[test]
fn processes_that_copy_into_one_layout_lose_no_name_of_each_other() {
    const PROCESSES: usize = 8;
    let kit = Sandbox::new();
    kits::pack(&kit, "net:1", "weights");
    kit.run(["save", "net:1", "-o", "net.tar"]).success();
    for round in 0..4 {
        let folder = format!("folder-{round}");
        let copies: Vec<_> = (0..PROCESSES)
            .map(|number| {
                let target = format!("oci:{folder}:{number}");
                kit.command(["copy", "oci:net.tar", &target])
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut copy in copies {
            assert!(copy.wait().unwrap().success());
        }
        let index = fs::read(kit.path(&folder).join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), PROCESSES);
    }
}

#[test]
fn a_layout_that_was_only_begun_is_finished() {
    let kit = Sandbox::new();
    kits::pack(&kit, "net:1", "weights");
    kit.run(["save", "net:1", "-o", "net.tar"]).success();
    let target = ["oci:net.tar", "oci:folder:1"];
    copy(&kit, target).success();
    // Killed between the files that make a folder a layout.
    fs::remove_dir_all(kit.path("folder/blobs")).unwrap();
    fs::remove_file(kit.path("folder/oci-layout")).unwrap();
    let refused = copy(&kit, target).exits(1);
    assert!(refused.stderr.contains("not an empty folder"), "{refused}");
    let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    kit.file("folder/index.json", empty);
    kit.file("folder/oci-layout.part-0123456789abcdef", "{");
    copy(&kit, target).success();
    assert!(
        kit.run(["load", "folder:1", "-t", "again:1"])
            .success()
            .contains("sha256:")
    );
}

#[test]
fn no_folder_is_filled_by_mistake() {
    let kit = Sandbox::new();
    let digest = kits::pack(&kit, "net:1", "weights");
    kit.run(["save", "net:1", "-o", "net.tar"]).success();
    kit.file("full/notes.txt", "mine");
    let output = copy(&kit, ["oci:net.tar", "oci:full:1"]).exits(1);
    assert!(output.stderr.contains("is not an empty folder"), "{output}");
    let store = format!("oci:{}", kit.home().join("store").display());
    let output = copy(&kit, ["oci:net.tar", &store]).exits(2);
    assert!(output.stderr.contains("is the store of kit"), "{output}");
    // Read it may be. Which of several is meant has to be said.
    copy(&kit, [&*store, "oci:out:1"]).success();
    assert!(Layout::at(kit.path("out")).blob_path(&digest).is_file());
    kits::pack(&kit, "net:2", "other");
    let output = copy(&kit, [&*store, "oci:out:2"]).exits(2);
    assert!(output.stderr.contains("net:1"), "{output}");
    copy(&kit, [&*format!("{store}:net:2"), "oci:out:2"]).success();
    assert_eq!(Layout::at(kit.path("out")).names().len(), 2);
}

#[test]
fn an_index_is_copied_with_all_that_it_names() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let manifests: Vec<_> = ["amd64", "arm64"]
        .into_iter()
        .map(|name| {
            let digest = kits::pack(&kit, &format!("net:{name}"), name);
            let size = kit.store().blob(&digest).len();
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": size,
                "platform": {"architecture": name, "os": "linux"},
            })
        })
        .collect();
    kit.run([
        "save",
        "net:amd64",
        "net:arm64",
        "-o",
        "folder",
        "--layout",
        "dir",
    ])
    .success();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
    .to_string();
    let digest = digest(index.as_bytes());
    kit.file(Layout::at(kit.path("folder")).blob_path(&digest), &index);
    let listed = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest,
            "size": index.len(),
            "annotations": {"org.opencontainers.image.ref.name": "all"},
        }],
    });
    kit.file("folder/index.json", listed.to_string());
    let (first, second) = (
        format!("{}/team/net:all", one.host()),
        format!("{}/prod/net:all", two.host()),
    );
    copy(&kit, ["oci:folder", &first]).success();
    copy(&kit, [&*first, &second]).success();
    let report = copy(&kit, [&*second, "oci:out:all", "--format", "json"]).json();
    assert_eq!(report["digest"], digest);
    assert_eq!(
        (&report["manifests"], &report["sent"]),
        (&3.into(), &4.into())
    );
    let out = Layout::at(kit.path("out"));
    assert_eq!(out.blob(&digest), index.as_bytes());
    let report = copy(&kit, [&*first, &second, "--format", "json"]).json();
    assert_eq!(report["wasThere"], true);
    copy(&kit, ["oci:out", &format!("{}/third/net:all", two.host())]).success();
}
