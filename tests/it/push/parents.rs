//! Kits whose model is in another kit.

use snapbox::{assert_data_eq, str};

use super::push;
use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Uploads},
    kits,
};

/// Packs a kit that takes its model from `parent`.
fn pack_child(kit: &Sandbox, name: &str, parent: &str) {
    let (_, file) = name.rsplit_once('/').unwrap();
    let file = file.replace(':', ".");
    let kitfile = format!("model:\n  path: {parent}\ndocs:\n  - path: {file}\n");
    kit.file("child/Kitfile", &kitfile)
        .file(format!("child/{file}"), name);
    kit.run(["pack", "child", "-t", name]).success();
}

#[test]
fn a_parent_goes_before_its_child_and_only_where_it_is_missing() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let (base, middle) = (format!("{host}/team/base:1"), format!("{host}/team/mid:1"));
    let name = format!("{host}/team/net:1");
    let digest = kits::pack(&kit, &base, "weights");
    pack_child(&kit, &middle, &base);
    pack_child(&kit, &name, &middle);
    assert_data_eq!(
        push(&kit, [&*name]).hide(&host, "[HOST]").hide_digests(),
        str![[r#"
Pushed sha256:[DIGEST]
[stderr]
Pushing [HOST]/team/net:1
Pushing [HOST]/team/base:1, its parent
Pushing [HOST]/team/mid:1, its parent
Sent 2 blobs (2.2 KiB)
[exit 0]

"#]]
    );
    for (repository, tag) in [("team/base", "1"), ("team/mid", "1"), ("team/net", "1")] {
        registry.has_kit(repository, tag);
    }
    pack_child(&kit, &name, &base);
    registry.forget();
    let report = push(&kit, [&*name, "--format", "json"]).json();
    assert_eq!(report["kits"][0]["parents"].as_array().unwrap().len(), 0);
    let puts = registry.asked().into_iter().filter(|it| it.method == "PUT");
    assert!(puts.into_iter().all(|it| it.path.contains("/team/net/")));
    // Into another registry of its own, where the parent does not belong.
    let other = Uploads::start(Habits::default());
    let target = format!("{}/team/net:1", other.host());
    let output = push(&kit, [&*name, &target]).exits(0);
    assert!(
        output.stderr.contains("Not looked for: its parent"),
        "{output}"
    );
    assert!(!other.names("team/base", "1"));
    // Another kit has its name there: it stays.
    kits::pack(&kit, &base, "other weights");
    let output = push(&kit, [&*name]).exits(0);
    assert!(
        output
            .stderr
            .contains(&format!("is {digest} in the registry")),
        "{output}"
    );
}

#[test]
fn a_parent_that_nobody_will_find_is_said() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let name = format!("{host}/team/net:1");
    kits::pack(&kit, "team/base:1", "weights");
    pack_child(&kit, &name, "team/base:1");
    let output = push(&kit, [&*name]).exits(0);
    assert!(output.stderr.contains("names no registry"), "{output}");
    let base = format!("{host}/team/base:1");
    kits::pack(&kit, &base, "weights");
    pack_child(&kit, &name, &base);
    kit.run(["remove", &base, "--force"]).success();
    let output = push(&kit, [&*name]).exits(0);
    assert!(
        output.stderr.contains("neither in the store nor"),
        "{output}"
    );
    registry.has_kit("team/net", "1");
}
