//! `kit convert`.

use snapbox::{assert_data_eq, str};

use super::{fails, is_segment, layers, pack, pack_plain, tree};
use crate::support::{Sandbox, foreign, kits};

const CHUNKED: [&str; 4] = ["--layer-format", "chunked", "--segment-size", "1MiB"];

#[track_caller]
fn convert(kit: &Sandbox, name: &str, to: &str, more: &[&str]) -> String {
    let words = ["convert", name, "-t", to, "--format", "{{ .Digest }}"];
    kit.run(words.iter().chain(more))
        .success()
        .trim()
        .to_owned()
}

#[test]
fn a_kit_that_is_converted_there_and_back_has_its_digests_again() {
    let (kit, other) = (tree(), tree());
    let plain = pack_plain(&kit, "net:plain");
    let chunked = pack(&other, "net:chunked");
    assert_eq!(convert(&kit, "net:plain", "net:chunked", &CHUNKED), chunked);
    assert_eq!(
        convert(
            &other,
            "net:chunked",
            "net:plain",
            &["--layer-format", "tar"]
        ),
        plain
    );
    assert_eq!(kit.store().blobs(), other.store().blobs());
    kit.run(["verify"]).success();
    // Without the plain layers, too.
    kit.run(["remove", "net:plain"]).success();
    assert_eq!(
        convert(&kit, "net:chunked", "net:plain", &["--layer-format", "tar"]),
        plain
    );
    assert_eq!(kit.store().blobs(), other.store().blobs());
}

#[test]
fn the_table_of_contents_stays() {
    let kit = tree();
    pack_plain(&kit, "net:1");
    let toc = kit.run(["toc", "add", "net:1", "--format", "{{ .Toc.Digest }}"]);
    let toc = toc.success().trim().to_owned();
    let with_toc = kit.store().names()["net:1"].clone();
    let chunked = convert(&kit, "net:1", "net:2", &CHUNKED);
    let annotations = &kit.store().manifest(&chunked)["annotations"];
    assert_eq!(annotations["org.modelkit.toc.digest"], toc);
    kit.run(["verify"]).success();
    assert_eq!(
        convert(&kit, "net:2", "net:3", &["--layer-format", "tar"]),
        with_toc
    );
}

#[test]
fn the_name_moves_unless_there_is_another() {
    let kit = tree();
    pack_plain(&kit, "net:1");
    let mut words = vec!["convert", "net:1", "--progress=none"];
    words.extend(CHUNKED);
    let output = kit.run(&words).hide_digests().to_string();
    assert_data_eq!(
        output,
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Made a new kit with 2 layers in 20 segments: only `kit` reads it, and `kit convert --layer-format tar` makes one of it that all read
net:1 is sha256:[DIGEST] now
As it was it is sha256:[DIGEST], which stays until it is removed
[exit 0]

"#]]
    );
    let output = kit.run(&words).hide_digests().to_string();
    assert_data_eq!(
        output,
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
net:1 has 2 layers in 20 segments: it is left as it is
[exit 0]

"#]]
    );
    let output = kit.run([
        "convert",
        "net:1",
        "--progress=none",
        "--layer-format",
        "tar",
    ]);
    assert_data_eq!(
        output.hide_digests().to_string(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Made a new kit with each layer as one blob
net:1 is sha256:[DIGEST] now
As it was it is sha256:[DIGEST], which stays until it is removed
[exit 0]

"#]]
    );
    let output = kit.run([
        "convert",
        "net:1",
        "--layer-format",
        "tar",
        "--format",
        "json",
    ]);
    let report = output.json();
    assert_eq!(report["wasRight"], true);
    assert_eq!(report["digest"], report["oldDigest"]);
    assert_eq!(report["layers"][0]["segments"], 0);
}

#[test]
fn a_kit_of_small_layers_is_left_as_it_is() {
    let kit = tree();
    let plain = pack_plain(&kit, "net:1");
    assert_eq!(
        convert(&kit, "net:1", "net:2", &["--layer-format", "chunked"]),
        plain
    );
    assert_eq!(kit.store().names()["net:2"], plain);
}

#[test]
fn other_sizes_of_segments_are_other_kits_of_the_same_plain_one() {
    let kit = tree();
    let plain = pack_plain(&kit, "net:1");
    let small = convert(&kit, "net:1", "net:2", &CHUNKED);
    let large = ["--layer-format", "chunked", "--segment-size", "1536KiB"];
    let large = convert(&kit, "net:2", "net:3", &large);
    let count = |digest: &str| layers(&kit, digest).len();
    assert!(count(&large) < count(&small));
    assert_eq!(
        convert(&kit, "net:3", "net:4", &["--layer-format", "tar"]),
        plain
    );
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let kit = tree();
    pack_plain(&kit, "net:1");
    for (words, code, why) in [
        (&["net:1"][..], 2, "--layer-format"),
        (
            &["net:1", "--layer-format", "raw"],
            2,
            "one of 'tar' or 'chunked'",
        ),
        (
            &["net:1", "--layer-format", "tar", "--segment-size", "1MiB"],
            2,
            "of use with",
        ),
        (&["net:7", "--layer-format", "tar"], 3, "net:7"),
        (
            &[
                "net:1",
                "--layer-format",
                "tar",
                "-t",
                &format!("x@sha256:{}", "a".repeat(64)),
            ],
            2,
            "not a name",
        ),
    ] {
        let output = kit
            .run(["convert"].iter().chain(words))
            .exits(code)
            .to_string();
        assert!(output.contains(why), "{why}: {output}");
    }
    let mut pack = foreign::ForeignKit::new(&kit, "pack");
    pack.layer(
        "application/vnd.cncf.model.weight.v1.raw",
        b"w",
        &serde_json::json!({}),
    );
    let config = serde_json::json!({"modelfs": {"type": "layers"}});
    let pack = pack.finish("application/vnd.cncf.model.config.v1+json", &config);
    foreign::load(&kit, &pack);
    let output = kit
        .run(["convert", "x:1", "--layer-format", "chunked"])
        .exits(1)
        .to_string();
    assert!(output.contains("is a ModelPack"), "{output}");
}

#[test]
fn a_damaged_layer_is_not_converted() {
    let kit = tree();
    let plain = pack_plain(&kit, "net:1");
    let chunked = pack(&kit, "net:2");
    kit.run(["remove", "net:1"]).success();
    let segments: Vec<_> = layers(&kit, &chunked)
        .into_iter()
        .filter(is_segment)
        .collect();
    kits::damage(&kit, segments[1]["digest"].as_str().unwrap());
    let words = ["convert", "net:2", "--layer-format", "tar", "-t", "net:3"];
    fails(&kit, words, 5);
    assert!(!kit.store().names().contains_key("net:3"));
    assert!(!kit.store().blobs().contains(&plain));
    kits::lose(&kit, segments[1]["digest"].as_str().unwrap());
    fails(&kit, words, 5);
}

#[test]
fn a_kit_of_another_program_comes_back_or_is_said_not_to() {
    let kit = tree();
    pack_plain(&kit, "net:1");
    let layer = layers(&kit, &kit.store().names()["net:1"])[0].clone();
    let bytes = kit.store().blob(layer["digest"].as_str().unwrap());
    let made = foreign::ForeignKit::new(&kit, "made");
    let mut made = made;
    made.layer(
        layer["mediaType"].as_str().unwrap(),
        &bytes,
        &layer["annotations"],
    );
    let config = serde_json::json!({"manifestVersion": "1.0.0", "package": {},
        "model": {"name": "net", "path": "model.bin"}});
    let made = made.finish(foreign::MODELKIT_CONFIG, &config);
    foreign::load(&kit, &made);
    let before = kit.store().names()["x:1"].clone();
    let words = ["convert", "x:1", "-t", "x:2"].iter().chain(&CHUNKED);
    let output = kit.run(words).to_string();
    assert!(
        output.contains("another program wrote its manifest"),
        "{output}"
    );
    let after = convert(&kit, "x:2", "x:3", &["--layer-format", "tar"]);
    assert_ne!(before, after);
    assert_eq!(layers(&kit, &after), layers(&kit, &before));
    kit.run(["unpack", "x:2", "-d", "out", "--include", "model.bin"])
        .success();
}
