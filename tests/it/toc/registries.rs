//! In registries: real ones without lists of referrers, and one that has them.

use std::process::Command;

use super::pack;
use crate::support::{
    Layout, Sandbox,
    fake::uploads::{Habits, Uploads},
    have, kits,
    registry::{RealRegistry, Setup},
};

/// Returns the tag that keeps the table of contents of a kit.
fn tag_of(kit: &str) -> String {
    format!("{}.toc", kit.replace(':', "-"))
}

#[test]
fn a_pushed_table_of_contents_outlives_the_cleaning_up_and_goes_with_its_kit() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let name = format!("{}/team/net:1", registry.host());
    let (digest, toc) = pack(&kit, &name, "weights");
    kit.run(["push", &name]).success();
    registry.clean_up();
    assert!(registry.has(&toc));
    // It is no kit, and its tag is not told as one.
    let repository = format!("{}/team/net", registry.host());
    let listed = kit.run(["list", &repository, "--format", "{{ .Tags }}"]);
    assert_eq!(listed.success(), "[1]\n");
    let tag = format!("{repository}:{}", tag_of(&digest));
    let listed = kit.run(["list", &tag]).success();
    assert!(listed.contains("(no kit)"), "{listed}");
    kit.run(["toc", "show", "-r", &name]).success();
    other.run(["pull", &name]).success();
    assert!(other.store().blobs().contains(&toc));
    other.run(["verify"]).success();
    other.run(["toc", "show", &name]).success();
    // A second push sends nothing.
    let again = kit.run(["push", &name, "--format", "json"]).json();
    assert_eq!(again["kits"][0]["wasThere"], true);
    // With the kit all that keeps the table goes.
    kit.run(["remove", "-r", "--force", &name]).success();
    registry.clean_up();
    assert!(!registry.has(&toc) && !registry.has(&digest));
}

#[test]
fn without_its_table_of_contents_a_kit_is_pulled_whole() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let name = format!("{}/team/net:1", registry.host());
    let (digest, toc) = pack(&kit, &name, "weights");
    kit.run(["push", &name]).success();
    registry.lose(&toc);
    let pulled = other.run(["pull", &name, "-v", "--progress", "none"]);
    let text = pulled.to_string();
    assert!(text.contains("the kit is whole without it"), "{text}");
    pulled.success();
    assert_eq!(other.store().names()[&name], digest);
    other.run(["verify"]).success();
    other.run(["pull", &name]).success();
    other.run(["unpack", &name, "-d", "out"]).success();
    // What the registry has not got is made again.
    let repaired = other.run(["verify", "--repair", "--format", "json"]).json();
    assert_eq!(repaired["restored"], serde_json::json!([toc]));
    other.run(["toc", "show", &name]).success();
}

#[test]
fn a_registry_that_lists_referrers_gets_no_tag() {
    let registry = Uploads::start(Habits {
        referrers: true,
        ..Habits::default()
    });
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", registry.host());
    let (digest, toc) = pack(&kit, &name, "weights");
    kit.run(["push", "--plain-http", &name]).success();
    registry.has_kit("team/net", "1");
    let about = registry.about("team/net");
    let [(artifact, document)] = about.as_slice() else {
        panic!("{about:?}");
    };
    assert!(artifact.starts_with("sha256:"), "{artifact}");
    assert_eq!(document["subject"]["digest"], digest);
    assert_eq!(document["layers"][0]["digest"], toc);
    assert_eq!(document["artifactType"], "application/vnd.modelkit.toc.v1");
    assert_eq!(
        document["config"]["mediaType"],
        "application/vnd.oci.empty.v1+json"
    );
    // The table is there before the manifest that names it.
    let asked = registry.asked();
    let blob = asked
        .iter()
        .position(|it| it.query.contains(&toc.replace(':', "%3A")) || it.query.contains(&toc));
    let manifest = asked
        .iter()
        .position(|it| it.method == "PUT" && it.path.ends_with("/manifests/1"));
    assert!(blob.unwrap() < manifest.unwrap());
    registry.forget();
    kit.run(["push", "--plain-http", &name]).success();
    assert!(registry.asked().iter().all(|it| it.method != "POST"));
}

#[test]
fn a_registry_that_takes_no_such_artifacts_takes_the_kit() {
    const TYPES: &[&str] = &[
        "application/vnd.kitops.modelkit.config.v1+json",
        "application/vnd.kitops.modelkit.manifest.v1+json",
        "application/vnd.kitops.modelkit.model.v1.tar",
    ];
    let registry = Uploads::start(Habits {
        types: Some(TYPES),
        ..Habits::default()
    });
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", registry.host());
    let (_, toc) = pack(&kit, &name, "weights");
    let pushed = kit.run(["push", "--plain-http", &name, "--progress", "none"]);
    let text = pushed.to_string();
    assert!(text.contains("may clean its table of contents"), "{text}");
    pushed.success();
    registry.has_kit("team/net", "1");
    assert!(registry.has_blob("team/net", &toc));
    assert!(registry.about("team/net").is_empty());
}

#[test]
fn in_the_form_of_an_image_the_table_is_one_of_its_layers() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let name = format!("{}/team/net:1", registry.host());
    let (digest, toc) = pack(&kit, &name, "weights");
    kit.run(["push", "--compat", &name]).success();
    registry.clean_up();
    other.run(["pull", &name]).success();
    assert_eq!(other.store().names()[&name], digest);
    assert!(other.store().blobs().contains(&toc));
}

#[test]
fn pack_sends_the_table_without_storing_it() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    kit.file("packed/model.bin", vec![3; 64 << 20]);
    kit.file(
        "packed/Kitfile",
        "manifestVersion: 1.0.0\npackage: {name: net}\nmodel: {name: net, path: model.bin}\n",
    );
    let name = format!("{}/team/net:1", registry.host());
    kit.run(["pack", "packed", "-t", &name, "--push", "--no-store", "-q"])
        .success();
    registry.clean_up();
    other.run(["toc", "show", "-r", &name]).success();
}

#[test]
fn a_copy_has_its_table_of_contents_wherever_it_goes() {
    let (Some(one), Some(two)) = (
        RealRegistry::start(&Setup::default()),
        RealRegistry::start(&Setup::default()),
    ) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let (first, second) = (
        format!("{}/team/net:1", one.host()),
        format!("{}/prod/net:1", two.host()),
    );
    let (digest, toc) = pack(&kit, &first, "weights");
    kit.run(["push", &first]).success();
    other.run(["copy", &first, &second]).success();
    two.clean_up();
    assert!(two.has(&toc));
    other.run(["toc", "show", "-r", &second]).success();
    other
        .run(["copy", "--with-referrers", &second, "oci:layout:net:1"])
        .success();
    let layout = Layout::at(other.path("layout"));
    assert!(layout.blobs().contains(&toc));
    assert_eq!(layout.index()["manifests"].as_array().unwrap().len(), 1);
    let third = format!("{}/third/net:1", one.host());
    other.run(["copy", "oci:layout:net:1", &third]).success();
    one.clean_up();
    other.run(["toc", "show", "-r", &third]).success();
    // Where the source has lost it, the kit is copied without.
    two.lose(&toc);
    let fourth = format!("{}/fourth/net:1", two.host());
    other.run(["copy", &second, &fourth]).success();
    other.run(["pull", &fourth]).success();
    assert_eq!(other.store().names()[&fourth], digest);
}

#[test]
fn skopeo_copies_a_kit_with_a_table_of_contents() {
    let Some(registry) = RealRegistry::start(&Setup::default()).filter(|_| have("skopeo")) else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let name = format!("{}/team/net:1", registry.host());
    let (digest, toc) = pack(&kit, "team/net:1", "weights");
    assert!(registry.receive(kit.store().path(), "team/net:1", "team/net:1"));
    let copied = Command::new("skopeo")
        .args(["copy", "-q", "--src-tls-verify=false"])
        .arg(format!("docker://{name}"))
        .arg(format!("oci:{}:1", kit.path("out").display()))
        .env("HOME", kit.home())
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    // Skopeo knows nothing of tables: the kit is whole without.
    other.run(["pull", &name]).success();
    assert_eq!(other.store().names()[&name], digest);
    assert!(!other.store().blobs().contains(&toc));
    // Who has it brings it along.
    kit.run(["tag", "team/net:1", &name]).success();
    kit.run(["push", &name]).success();
    kits::lose(&kit, &toc);
    kit.run(["pull", &name]).success();
    assert!(kit.store().blobs().contains(&toc));
}
