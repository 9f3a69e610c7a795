//! A real registry that others have filled.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use super::names;
use crate::support::{
    Sandbox, have, kits,
    registry::{RealRegistry, Setup},
    testdata,
};

/// Starts a registry, where it and skopeo are installed.
fn start() -> Option<RealRegistry> {
    if !have("skopeo") {
        return None;
    }
    RealRegistry::start(&Setup::default())
}

/// Copies from a layout, `oci:PATH:NAME` without `oci:`, to the registry.
#[track_caller]
fn copy(registry: &RealRegistry, layout: &str, to: &str) {
    let made = Command::new("skopeo")
        .args(["copy", "-q", "--dest-tls-verify=false"])
        .arg(format!("oci:{layout}"))
        .arg(format!("docker://{}/{to}", registry.host()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

fn artifact(name: &str) -> String {
    testdata("artifacts").join(name).display().to_string()
}

/// Packs a kit in a store of its own and copies it to the registry as `to`.
#[track_caller]
fn push(registry: &RealRegistry, to: &str, content: &str) -> String {
    let kit = Sandbox::new();
    let digest = kits::pack(&kit, "x:1", content);
    copy(
        registry,
        &format!("{}:x:1", kit.store().path().display()),
        to,
    );
    digest
}

#[test]
fn kits_of_others_come_as_they_are_and_nothing_comes_twice() {
    let Some(registry) = start() else { return };
    let (kit, host) = (Sandbox::new(), registry.host());
    for (name, tag) in [
        ("basic", "plain"),
        ("basic", "gzip"),
        ("modelpack", "raw"),
        ("modelpack", "tar"),
        ("parts", "v1"),
        ("overlap", "v1"),
    ] {
        copy(
            &registry,
            &format!("{}:{tag}", artifact(name)),
            &format!("team/{name}:{tag}"),
        );
        let reference = format!("{host}/team/{name}:{tag}");
        let report = kit.run(["pull", &reference, "--format", "json"]).json();
        let recorded = crate::support::Layout::at(artifact(name)).names();
        assert_eq!(report["digest"], json!(recorded[tag]), "{reference}");
        assert_eq!(kit.store().names()[&reference], recorded[tag]);
        let report = kit.run(["pull", &reference, "--format", "json"]).json();
        assert_eq!(
            (&report["fetched"], &report["stored"]),
            (&json!(0), &json!(0))
        );
    }
    kit.run(["verify"]).success();
    kit.run(["unpack", &format!("{host}/team/basic:gzip"), "-d", "out"])
        .success();
    kit.run(["unpack", &format!("{host}/team/modelpack:raw"), "-d", "raw"])
        .success();
    assert!(Path::new(&kit.path("out")).join("Kitfile").exists());
}

#[test]
fn what_a_pull_says() {
    let Some(registry) = start() else { return };
    let (kit, host) = (Sandbox::new(), registry.host());
    push(&registry, "team/net:1", "weights");
    let reference = format!("{host}/team/net:1");
    assert_data_eq!(
        kit.run(["pull", &reference])
            .hide(&host, "[HOST]")
            .hide_digests(),
        str![[r#"
Pulled sha256:[DIGEST]
[stderr]
Pulling [HOST]/team/net:1
2.0 KiB fetched, 0 blobs there already
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pull", &reference])
            .hide(&host, "[HOST]")
            .hide_digests(),
        str![[r#"
Pulled sha256:[DIGEST]
[stderr]
Pulling [HOST]/team/net:1
0 B fetched, 1 blob there already
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["pull", &reference, "-q"]).hide_digests(),
        str![[r#"
Pulled sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run([
            "pull",
            &reference,
            "--format",
            "{{ .Digest }} {{ .Fetched }}"
        ])
        .hide(&host, "[HOST]")
        .hide_digests(),
        str![[r#"
sha256:[DIGEST] 0
[stderr]
Pulling [HOST]/team/net:1
0 B fetched, 1 blob there already
[exit 0]

"#]]
    );
}

#[test]
fn kits_are_named_by_tag_or_digest() {
    let Some(registry) = start() else { return };
    let host = registry.host();
    let digest = push(&registry, "team/net:1", "weights");
    let by_digest = format!("{host}/team/net@{digest}");
    for (reference, named) in [
        (format!("{host}/team/net:1"), format!("{host}/team/net:1")),
        (by_digest.clone(), by_digest.clone()),
        // The digest decides, as it does everywhere else.
        (format!("{host}/team/net:gone@{digest}"), by_digest),
    ] {
        let kit = Sandbox::new();
        let report = kit.run(["pull", &reference, "--format", "json"]).json();
        assert_eq!(report["digest"], json!(digest));
        assert_eq!(report["reference"], json!(named));
        kit.run(["info", &named]).success();
        kit.run(["unpack", &reference, "-d", "out"]).success();
        assert_eq!(fs::read(kit.path("out/model.bin")).unwrap(), b"weights");
    }
    push(&registry, "team/net:latest", "the latest");
    let kit = Sandbox::new();
    kit.run(["pull", &format!("{host}/team/net")]).success();
    assert!(
        kit.store()
            .names()
            .contains_key(&format!("{host}/team/net:latest"))
    );
}

// hazard: 84
#[test]
fn a_tag_that_moved_is_followed_and_one_that_moved_back_is_told_of() {
    let Some(registry) = start() else { return };
    let (kit, host) = (Sandbox::new(), registry.host());
    let reference = format!("{host}/team/net:1");
    let old = push(&registry, "team/net:1", "old");
    kit.run(["pull", &reference]).success();
    let new = push(&registry, "team/net:1", "new");
    let wrong = kit.run(["pull", &reference, "--expect-digest", &old]);
    assert_data_eq!(
        wrong.hide(&host, "[HOST]").hide_digests(),
        str![[r#"
[stderr]
Pulling [HOST]/team/net:1
error: [HOST]/team/net:1 is sha256:[DIGEST], not sha256:[DIGEST]
hint: someone has moved the tag, or it is not the kit you were told of
[exit 5]

"#]]
    );
    assert_eq!(kit.store().names()[&reference], old);
    kit.run(["pull", &reference, "--expect-digest", &new])
        .success();
    assert_eq!(kit.store().names()[&reference], new);
    push(&registry, "team/net:1", "old");
    let back = kit.run(["pull", &reference]).exits(0);
    assert!(back.stderr.contains("which it had left"), "{back}");
    assert_eq!(kit.store().names()[&reference], old);
}

// hazard: 88
#[test]
fn what_is_damaged_in_the_store_is_fetched_again() {
    let Some(registry) = start() else { return };
    let (kit, host) = (Sandbox::new(), registry.host());
    let manifest = push(&registry, "team/net:1", "weights");
    let reference = format!("{host}/team/net:1");
    kit.run(["pull", &reference]).success();
    let (_, layers) = kits::blobs(&kit, &manifest);
    for harm in [kits::damage, kits::lose] {
        harm(&kit, &layers[0]);
        kit.run(["pull", &reference]).success();
        assert!(kit.store().damaged().is_empty());
        kit.run(["unpack", &reference, "-d", "out", "-o"]).success();
    }
}

#[test]
fn what_is_no_kit_is_said() {
    let Some(registry) = start() else { return };
    let (kit, host) = (Sandbox::new(), registry.host());
    let manifest = |config: Value, layer: Value| {
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
               "config": config, "layers": [layer]})
    };
    let image = foreign_image(
        &kit,
        "image",
        "application/vnd.oci.image.config.v1+json",
        &manifest,
    );
    copy(&registry, &image, "team/image:1");
    assert_data_eq!(
        kit.run(["pull", &format!("{host}/team/image:1")])
            .hide(&host, "[HOST]"),
        str![[r#"
[stderr]
Pulling [HOST]/team/image:1
error: [HOST]/team/image:1 on [HOST] is a container image, not a kit
[exit 1]

"#]]
    );
    let chart = foreign_image(
        &kit,
        "chart",
        "application/vnd.cncf.helm.config.v1+json",
        &manifest,
    );
    copy(&registry, &chart, "team/chart:1");
    assert_data_eq!(
        kit.run(["pull", &format!("{host}/team/chart:1")])
            .hide(&host, "[HOST]"),
        str![[r#"
[stderr]
Pulling [HOST]/team/chart:1
error: [HOST]/team/chart:1 on [HOST] is not a kit: its config is of the type `application/vnd.cncf.helm.config.v1+json`
[exit 1]

"#]]
    );
    for name in ["team/none:1", "team/image:2"] {
        let output = kit.run(["pull", &format!("{host}/{name}")]).exits(3);
        assert!(output.stderr.contains(name), "{output}");
    }
    assert_data_eq!(
        kit.run(["pull", "team/net:1"]),
        str![[r#"
[stderr]
Pulling team/net:1
error: team/net:1 names no registry
hint: write the registry before it: registry.example/team/net:1.0
[exit 2]

"#]]
    );
    assert!(names(&kit).is_empty());
}

/// Writes a layout with an artifact of another kind and returns what skopeo calls it.
fn foreign_image(
    kit: &Sandbox,
    name: &str,
    config_type: &str,
    manifest: &dyn Fn(Value, Value) -> Value,
) -> String {
    let blob = |bytes: &[u8]| {
        let digest = crate::support::digest(bytes);
        kit.file(format!("{name}/blobs/sha256/{}", &digest[7..]), bytes);
        digest
    };
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let tar = [0_u8; 1024];
    let config = json!({"mediaType": config_type, "digest": blob(config), "size": config.len()});
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar",
                       "digest": blob(&tar), "size": tar.len()});
    let text = manifest(config, layer).to_string();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": blob(text.as_bytes()), "size": text.len(),
        "annotations": {"org.opencontainers.image.ref.name": "v1"}}]});
    kit.file(format!("{name}/index.json"), index.to_string());
    kit.file(
        format!("{name}/oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    format!("{}:v1", kit.path(name).display())
}
