//! `kit push`: to a real registry, and to one that does what real ones cannot be told to do.

mod compat;
mod habits;
mod hostile;
mod killed;
mod parents;
mod real;
mod tokens;
mod trouble;

use std::fmt::Write as _;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    fake::uploads::{Asked, Habits, Trouble, Uploads},
    kits,
};

/// The size of a model that is sent in several chunks, with the least chunks there are.
const SEVERAL_CHUNKS: usize = 5 << 20;

/// The least chunks there are.
pub(super) const CHUNKS: [&str; 2] = ["--chunk-size", "1MiB"];

/// A registry to whose requests something happens.
pub(super) fn with(
    trouble: impl Fn(&Asked, usize) -> Option<Trouble> + Send + Sync + 'static,
) -> Habits {
    Habits {
        trouble: Box::new(trouble),
        ..Habits::default()
    }
}

/// A refusal without words.
pub(super) fn refuse(status: u16) -> Trouble {
    Trouble::Answer(status, vec![], String::new())
}

/// Packs a model of so many bytes, which are not all the same.
pub(super) fn pack_large(kit: &Sandbox, name: &str, bytes: usize) -> String {
    let mut content = String::with_capacity(bytes + 16);
    let mut number = 0;
    while content.len() < bytes {
        writeln!(content, "{number:015}").unwrap();
        number += 1;
    }
    content.truncate(bytes);
    kits::pack(kit, name, &content)
}

/// Runs `kit push` with the network options of these tests.
pub(super) fn push<'a>(kit: &Sandbox, more: impl IntoIterator<Item = &'a str>) -> Output {
    let words = ["push", "--plain-http", "--progress", "none"];
    kit.run(words.into_iter().chain(more))
}

pub(super) fn count(asked: &[Asked], method: &str) -> usize {
    asked.iter().filter(|it| it.method == method).count()
}

#[test]
fn a_kit_is_pushed_under_its_name_and_a_second_push_sends_its_name_alone() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let name = format!("{host}/team/net:1.0");
    kits::pack(&kit, &name, "weights");
    assert_data_eq!(
        push(&kit, [&*name]).hide(&host, "[HOST]").hide_digests(),
        str![[r#"
Pushed sha256:[DIGEST]
[stderr]
Pushing [HOST]/team/net:1.0
Sent 2 blobs (2.2 KiB)
[exit 0]

"#]]
    );
    registry.has_kit("team/net", "1.0");
    registry.forget();
    assert_data_eq!(
        push(&kit, [&*name]).hide(&host, "[HOST]").hide_digests(),
        str![[r#"
Pushed sha256:[DIGEST]
[stderr]
Pushing [HOST]/team/net:1.0
The registry has this kit: only its name was sent
[exit 0]

"#]]
    );
    let methods: Vec<String> = registry.asked().into_iter().map(|it| it.method).collect();
    assert_eq!(methods, ["HEAD", "PUT"]);
    assert_eq!(registry.received(), 0);
}

#[test]
fn the_config_goes_after_the_layers_and_the_manifest_last() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let name = format!("{}/team/net:1.0", registry.host());
    let digest = pack_large(&kit, &name, 100_000);
    let (config, layers) = kits::blobs(&kit, &digest);
    push(&kit, [&*name]).success();
    let puts = registry.asked().into_iter().filter(|it| it.method == "PUT");
    let targets: Vec<String> = puts.map(|it| format!("{}?{}", it.path, it.query)).collect();
    let at = |text: &str| {
        let text = text.replace(':', "%3A");
        targets.iter().position(|it| it.contains(&text)).unwrap()
    };
    assert!(at(&layers[0]) < at(&config));
    assert!(targets.last().unwrap().contains("/manifests/1.0"));
}

#[test]
fn several_tags_and_another_name_are_pushed() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let first = kits::pack(&kit, "team/net:1", "one");
    kits::pack(&kit, "team/net:2", "two");
    let target = format!("{host}/other/net");
    push(&kit, ["team/net:1", &format!("{target}:a,b")]).success();
    registry.has_kit("other/net", "a");
    registry.has_kit("other/net", "b");
    push(&kit, ["team/net:2", &target]).success();
    registry.has_kit("other/net", "latest");
    for tag in ["x", "y"] {
        kit.run([
            "tag",
            &format!("team/net@{first}"),
            &format!("{target}:{tag}"),
        ])
        .success();
    }
    let both = format!("{target}:x,y");
    let report = push(&kit, [&*both, "--format", "json"]).json();
    assert_eq!(report["kits"].as_array().unwrap().len(), 2);
    assert_eq!(report["kits"][0]["references"][0], format!("{target}:x"));
    assert_eq!(report["kits"][0]["digest"], first);
    assert_eq!(report["kits"][0]["wasThere"], true);
    // By its digest, without a tag.
    let by_digest = format!("{target}@{first}");
    push(&kit, [&*by_digest]).success();
    push(&kit, [&*first, &format!("{host}/third/net:1")]).success();
    registry.has_kit("third/net", "1");
}

#[test]
fn what_another_repository_has_is_mounted_and_not_sent() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let name = format!("{host}/team/net:1.0");
    pack_large(&kit, &name, 3_000_000);
    push(&kit, [&*name]).success();
    registry.forget();
    let other = format!("{host}/prod/net:1.0");
    let report = push(&kit, [&*name, &other, "--format", "json"]).json();
    assert_eq!(report["kits"][0]["mounted"], 2, "{report}");
    registry.has_kit("prod/net", "1.0");
    assert_eq!(registry.received(), 0);
}

// hazard: 78
#[test]
fn a_repository_that_gave_nothing_is_not_asked_again() {
    let kit = Sandbox::new();
    let registry = Uploads::start(Habits {
        mounts: false,
        ..Habits::default()
    });
    kits::pack(&kit, "net:1", "weights");
    let push_to = |repository: &str| {
        let seen = registry.asked().len();
        push(
            &kit,
            ["net:1", &format!("{}/{repository}:1", registry.host())],
        )
        .success();
        let asked = registry.asked().split_off(seen);
        let from = asked.iter().filter_map(|it| it.field("from"));
        from.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(push_to("a/net").len(), 0);
    assert_eq!(push_to("b/net"), ["a/net".to_owned()].into());
    assert_eq!(push_to("c/net"), ["b/net".to_owned()].into());
    let _ = kit.run(["cache", "clear"]).exits(0);
    assert_eq!(push_to("d/net").len(), 0);
}

#[test]
fn a_mount_that_is_not_done_becomes_an_upload() {
    for (mounts, status) in [
        (false, None),
        (true, Some(401)),
        (true, Some(404)),
        (true, Some(405)),
    ] {
        let kit = Sandbox::new();
        let registry = Uploads::start(Habits {
            mounts,
            trouble: Box::new(move |asked, _| {
                let is_mount = asked.query.contains("mount=");
                let status = status.filter(|_| is_mount)?;
                Some(Trouble::Answer(status, vec![], String::new()))
            }),
            ..Habits::default()
        });
        let host = registry.host();
        let name = format!("{host}/team/net:1.0");
        kits::pack(&kit, &name, "weights");
        push(&kit, [&*name]).success();
        push(&kit, [&*name, &format!("{host}/prod/net:1.0")]).success();
        registry.has_kit("prod/net", "1.0");
        let opened = registry
            .asked()
            .iter()
            .filter(|it| it.query.contains("mount="))
            .count();
        assert!(opened > 0);
    }
}

// hazard: 89
#[test]
fn a_damaged_blob_is_named_and_never_sent_whole() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let name = format!("{}/team/net:1.0", registry.host());
    let digest = pack_large(&kit, &name, SEVERAL_CHUNKS);
    let layer = kits::blobs(&kit, &digest).1.remove(0);
    kits::damage(&kit, &layer);
    for more in [vec![], vec!["--chunk-size", "1MiB"]] {
        let output = push(&kit, [&*name].into_iter().chain(more)).exits(5);
        assert!(
            output.stderr.contains(&format!("blob {layer} is damaged")),
            "{output}"
        );
        assert!(output.stderr.contains("kit verify --repair"), "{output}");
    }
    let encoded = layer.replace(':', "%3A");
    let asked = registry.asked();
    let closings = asked
        .iter()
        .filter(|it| it.query.contains(&encoded) && it.status != 0);
    assert_eq!(closings.count(), 0, "{asked:#?}");
    assert!(!registry.names("team/net", "1.0"));
    registry.is_content();
}

#[test]
fn a_push_needs_a_registry_and_a_kit() {
    let kit = Sandbox::new();
    kits::pack(&kit, "team/net:1.0", "weights");
    assert_data_eq!(
        kit.run(["push", "team/net:1.0"]),
        str![[r#"
[stderr]
error: registry is required when pushing: team/net:1.0 has none
hint: name one: kit push team/net:1.0 registry.example/team/net:1.0
[exit 2]

"#]]
    );
    for (words, code, message) in [
        (
            "localhost:1/team/net:1.0",
            3,
            "no kit localhost:1/team/net:1.0",
        ),
        (
            "team/net:1.0,2.0 localhost:1/team/net:1.0",
            2,
            "one tag after the other",
        ),
        ("team/net:1.0 --max-rate 0", 2, "not a number of bytes"),
        ("team/net:1.0 --concurrency 0", 2, "must be at least 1"),
    ] {
        let words = ["push"].into_iter().chain(words.split(' '));
        let output = kit.run(words).exits(code);
        assert!(output.stderr.contains(message), "{output}");
    }
}
