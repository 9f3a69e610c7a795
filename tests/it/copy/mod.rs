//! `kit copy`: between real registries, layouts, and what goes wrong between them.

mod layouts;
pub(crate) mod referrers;
mod trouble;

use std::fmt::Write as _;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, kits,
    logins::{PASSWORD, login, sandbox},
    registry::{RealRegistry, Setup},
};

/// Packs and pushes a kit with a model of so many bytes, which are not all the same.
pub(super) fn push(kit: &Sandbox, name: &str, bytes: usize) -> String {
    let mut content = String::with_capacity(bytes + 16);
    let mut number = 0;
    while content.len() < bytes {
        writeln!(content, "{number:015}").unwrap();
        number += 1;
    }
    content.truncate(bytes);
    let digest = kits::pack(kit, name, &content);
    kit.run(["push", name, "-q"]).success();
    digest
}

/// Runs `kit copy` and keeps the progress away.
pub(super) fn copy<'a>(kit: &Sandbox, words: impl IntoIterator<Item = &'a str>) -> Output {
    let first = ["copy", "--progress", "none"];
    kit.run(first.into_iter().chain(words))
}

/// Two registries, unless they are not installed.
pub(super) fn two() -> Option<(RealRegistry, RealRegistry)> {
    let one = RealRegistry::start(&Setup::default())?;
    Some((one, RealRegistry::start(&Setup::default())?))
}

#[test]
fn a_kit_is_copied_byte_for_byte_and_only_once() {
    let Some((one, two)) = two() else {
        return;
    };
    let (kit, other) = (Sandbox::new(), Sandbox::new());
    let name = format!("{}/team/net:1.0", one.host());
    let target = format!("{}/prod/net:1.0,latest", two.host());
    let digest = push(&kit, &name, 3 << 20);
    let copy = || {
        copy(&other, [&*name, &target])
            .hide(&one.host(), "[ONE]")
            .hide(&two.host(), "[TWO]")
            .hide_digests()
    };
    assert_data_eq!(
        copy(),
        str![[r#"
Copied sha256:[DIGEST]
[stderr]
Copying [ONE]/team/net:1.0 to [TWO]/prod/net:1.0, [TWO]/prod/net:latest
Sent 2 blobs (3.0 MiB)
[exit 0]

"#]]
    );
    assert_data_eq!(
        copy(),
        str![[r#"
Copied sha256:[DIGEST]
[stderr]
Copying [ONE]/team/net:1.0 to [TWO]/prod/net:1.0, [TWO]/prod/net:latest
All of it is there already
[exit 0]

"#]]
    );
    assert!(!other.home().join("store").exists());
    for tag in ["1.0", "latest"] {
        let pulled = other.run(["pull", &format!("{}/prod/net:{tag}", two.host())]);
        assert!(pulled.success().contains(&digest), "{tag}");
    }
}

// hazard: 138
#[test]
fn each_registry_is_asked_with_its_own_login() {
    let secured = || {
        RealRegistry::start(&Setup {
            user: Some(("ci", PASSWORD)),
            tls: true,
            ..Setup::default()
        })
    };
    let (Some(one), Some(two)) = (secured(), secured()) else {
        return;
    };
    let kit = sandbox();
    let (ca, other_ca) = (one.path("ca.pem"), two.path("ca.pem"));
    let trusting = [
        "--ca-file",
        ca.to_str().unwrap(),
        "--ca-file",
        other_ca.to_str().unwrap(),
    ];
    let name = format!("{}/team/net:1.0", one.host());
    let target = format!("{}/prod/net:1.0", two.host());
    kits::pack(&kit, &name, "weights");
    login(&kit, &one.host(), trusting).success();
    let run = |words: &[&str]| kit.run(words.iter().copied().chain(trusting));
    run(&["push", &name]).success();
    let output = run(&["copy", &name, &target]).exits(4);
    let hint = format!("hint: run `kit login {}`", two.host());
    assert!(output.stderr.contains(&hint), "{output}");
    login(&kit, &two.host(), trusting).success();
    let output = run(&["copy", &name, &target, "-vvv"]).exits(0);
    assert!(!output.stderr.contains(PASSWORD), "{output}");
    run(&["pull", &target]).success();
}

#[test]
fn within_a_registry_nothing_is_sent() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let kit = Sandbox::new();
    let host = registry.host();
    let name = format!("{host}/team/net:1.0");
    let digest = push(&kit, &name, 3 << 20);
    let report = copy(
        &kit,
        [&*name, &format!("{host}/prod/net:2"), "--format", "json"],
    )
    .json();
    assert_eq!(report["mounted"], 2, "{report}");
    assert_eq!(report["sentBytes"], 0);
    assert_eq!(report["digest"], digest);
    // By its digest, under another tag of the same repository.
    let by_digest = format!("{host}/team/net@{digest}");
    let report = copy(
        &kit,
        [
            &*by_digest,
            &format!("{host}/team/net:2"),
            "--format",
            "json",
        ],
    )
    .json();
    assert_eq!(report["wasThere"], true);
    kit.run(["pull", &format!("{host}/team/net:2")]).success();
}

#[test]
fn a_dry_run_tells_what_is_missing_and_sends_nothing() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", one.host());
    let target = format!("{}/prod/net:1.0", two.host());
    push(&kit, &name, 1 << 20);
    let words = [&*name, &target, "--dry-run", "--format", "json"];
    let report = copy(&kit, words).json();
    assert_eq!(report["sent"], 2);
    assert!(report["sentBytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(kit.run(["pull", &target]).code, 3);
    copy(&kit, [&*name, &target]).success();
    let report = copy(&kit, words).json();
    assert_eq!(
        (&report["sent"], &report["present"]),
        (&0.into(), &2.into())
    );
}

#[test]
fn what_cannot_be_copied_is_refused_with_a_way_out() {
    let kit = Sandbox::new();
    for (words, message) in [
        (["net:1", "r.example/net:1"], "net:1 names no registry"),
        (["r.example/net:1", "net:1"], "net:1 names no registry"),
        (
            ["r.example/net:1,2", "s.example/net:1"],
            "several kits cannot be copied at once",
        ),
        (
            ["r.example/net:1", "r.example/net:1"],
            "r.example/net:1 would be copied to itself",
        ),
        (
            ["r.example/net", "r.example/net:latest"],
            "r.example/net:latest would be copied to itself",
        ),
        (["oci:", "r.example/net:1"], "'oci:' is no layout"),
    ] {
        let output = copy(&kit, words).exits(2);
        assert!(output.stderr.contains(message), "{output}");
    }
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let name = format!("{}/team/net:1.0", registry.host());
    push(&kit, &name, 10);
    let wanted = format!("sha256:{}", "0".repeat(64));
    let target = format!("{}/prod/net:1.0", registry.host());
    let output = copy(&kit, [&*name, &target, "--expect-digest", &wanted]).exits(5);
    assert!(output.stderr.contains(&wanted), "{output}");
    assert_eq!(kit.run(["pull", &target]).code, 3);
}
