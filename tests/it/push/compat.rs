//! Registries that take container images and nothing else.

use snapbox::{assert_data_eq, str};

use super::push;
use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Uploads},
    kits,
    registry::{RealRegistry, Setup},
};

#[test]
fn a_registry_with_a_list_of_types_is_named_and_takes_the_other_form() {
    let registry = Uploads::start(Habits {
        types: Some(&[
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar",
        ]),
        ..Habits::default()
    });
    let (kit, host) = (Sandbox::new(), registry.host());
    let name = format!("{host}/team/net:1.0");
    kits::pack(&kit, &name, "weights");
    let mut said = push(&kit, [&*name])
        .hide(&host, "[HOST]")
        .hide_digests()
        .to_string();
    for _ in 0..2 {
        let output = push(&kit, [&*name, "--compat"]);
        said += &output.hide(&host, "[HOST]").hide_digests().to_string();
    }
    assert_data_eq!(
        said,
        str![[r#"
[stderr]
Pushing [HOST]/team/net:1.0
error: [HOST]/team/net did not take the manifest: it answered 400: unknown media type: application/vnd.kitops.modelkit.model.v1.tar (MANIFEST_INVALID)
hint: GitLab, Quay and others take only the media types on a list: have those of the manifest added to it, or push with --compat, as a container image that `kit pull` makes a kit of again
[exit 4]
Pushed sha256:[DIGEST]
[stderr]
Pushing [HOST]/team/net:1.0
Sent 1 blob (229 B), 2 already there
The image sha256:[DIGEST] holds the kit sha256:[DIGEST]
[exit 0]
Pushed sha256:[DIGEST]
[stderr]
Pushing [HOST]/team/net:1.0
The registry has this kit: only its name was sent
The image sha256:[DIGEST] holds the kit sha256:[DIGEST]
[exit 0]

"#]]
    );
    registry.has_kit("team/net", "1.0");
}

#[test]
fn the_other_form_is_pulled_as_the_kit_it_was() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, host) = (Sandbox::new(), registry.host());
    let (base, name) = (
        format!("{host}/team/base:1"),
        format!("{host}/team/net:1.0"),
    );
    kits::pack(&kit, &base, "weights");
    kit.file(
        "child/Kitfile",
        format!("model:\n  path: {base}\ndocs:\n  - path: a.md\n"),
    )
    .file("child/a.md", "read");
    kit.run(["pack", "child", "-t", &name]).success();
    let report = push(&kit, [&*name, "--compat", "--format", "json"]).json();
    let kit_digest = report["kits"][0]["digest"].as_str().unwrap();
    let image = report["kits"][0]["image"].as_str().unwrap();
    assert_ne!(kit_digest, image);
    assert_eq!(report["kits"][0]["parents"].as_array().unwrap().len(), 1);
    let again = push(&kit, [&*name, "--compat"]).exits(0);
    assert!(!again.stderr.contains("warning"), "{again}");
    let other = Sandbox::new();
    let pulled = other.run(["pull", &name]).exits(0);
    assert_eq!(pulled.stdout.trim(), format!("Pulled {kit_digest}"));
    // By the digest that the registry has, too: the name is the kit's.
    let by_digest = format!("{host}/team/net@{image}");
    let report = other.run(["pull", &by_digest, "--format", "json"]).json();
    assert_eq!(report["digest"], kit_digest);
    assert_eq!(report["reference"], format!("{host}/team/net@{kit_digest}"));
    let _ = other.run(["unpack", &name, "-d", "out"]).exits(0);
    let model = std::fs::read_to_string(other.path("out/model.bin")).unwrap();
    assert_eq!(model, "weights");
    let _ = other.run(["verify"]).exits(0);
}
