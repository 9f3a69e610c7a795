//! Segments that are no layer, and those of another one.

use serde_json::{Value, json};

use super::{SEGMENT, digest_of, fails, layers, noise, pack, tree};
use crate::support::{
    Sandbox, digest,
    foreign::{self, ForeignKit, MODELKIT_CONFIG},
    kits, reference_tar,
    shelf::{Rules, StoreShelf},
};

const MODEL: &str = "application/vnd.kitops.modelkit.model.v1.tar";

/// Returns the layer of a model in one file.
fn layer() -> Vec<u8> {
    let entries = [reference_tar::file("m", 0o644, noise(5000, 1))];
    reference_tar::layer(&entries, "m", &[])
}

/// Puts `x:1` into the store, whose segments are these, and of which the first one says `told`.
#[track_caller]
fn load(kit: &Sandbox, segments: &[&[u8]], told: Option<&str>, of: &[u8]) {
    let mut made = ForeignKit::new(kit, "made");
    for (number, segment) in segments.iter().enumerate() {
        let annotations = match told {
            Some(told) if number == 0 => json!({"org.modelkit.layer": told}),
            _ => json!({}),
        };
        made.layer(SEGMENT, segment, &annotations);
    }
    let config = json!({"manifestVersion": "1.0.0", "package": {},
        "model": {"name": "net", "path": "m", "digest": digest(of), "diffId": digest(of)}});
    let layout = made.finish(MODELKIT_CONFIG, &config);
    foreign::load(kit, &layout);
}

fn told(layer: &[u8]) -> String {
    let size = layer.len();
    let path = r#""annotations":{"org.cncf.model.filepath":"m"}"#;
    format!(
        r#"{{"mediaType":"{MODEL}","digest":"{}","size":{size},{path}}}"#,
        digest(layer)
    )
}

/// Asserts that nothing takes anything out of the kit `x:1`, with a reason that holds `why`.
#[track_caller]
fn assert_refused(kit: &Sandbox, why: &str) {
    for words in [
        &["unpack", "x:1", "-d", "out"][..],
        &["unpack", "x:1", "-d", "out", "--include", "m"],
        &["cat", "x:1", "m"],
        &["files", "x:1"],
        &["convert", "x:1", "--layer-format", "tar"],
        &["toc", "add", "x:1"],
        &["verify", "x:1"],
    ] {
        let output = kit.run(words).exits(5);
        let text = output.to_string();
        assert!(text.contains(why), "{words:?}: {why}: {text}");
        assert_eq!(output.stdout.find("noise"), None);
        assert!(!kit.path("out/m").exists());
    }
    let names = kit.store().names();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn segments_as_they_should_be_are_a_layer() {
    let kit = Sandbox::new();
    let layer = layer();
    load(
        &kit,
        &[&layer[..1000], &layer[1000..]],
        Some(&told(&layer)),
        &layer,
    );
    kit.run(["verify"]).success();
    kit.run(["unpack", "x:1", "-d", "out"]).success();
    assert_eq!(std::fs::read(kit.path("out/m")).unwrap(), noise(5000, 1));
}

#[test]
fn segments_that_are_no_layer_are_refused() {
    let layer = layer();
    let told = told(&layer);
    let longer = told.replace(
        &format!("\"size\":{}", layer.len()),
        "\"size\":1125899906842624",
    );
    for (segments, told, why) in [
        (&[&layer[..]][..], Some(&*told), "two of them at least"),
        (&[&layer[..9], &layer[9..]], None, "does not say what layer"),
        (
            &[&layer[..9], &layer[10..]],
            Some(&told),
            "not as long as the layer",
        ),
        (
            &[&layer[..9], &layer[9..]],
            Some(&longer),
            "not as long as the layer",
        ),
        (&[&layer[..], b""], Some(&told), "is empty"),
        (&[&layer[..9], &layer[9..]], Some("{"), "no descriptor"),
        (
            &[&layer[..9], &layer[9..]],
            Some(&told.replace(".tar", ".tar+zstd")),
            "several blobs",
        ),
        (
            &[&layer[..9], &layer[9..]],
            Some(&told.replace('{', "{ ")),
            "canonical",
        ),
    ] {
        let kit = Sandbox::new();
        load(&kit, segments, told, &layer);
        assert_refused(&kit, why);
        // What looks at documents alone says what there is.
        kit.run(["inspect", "x:1"]).success();
        kit.run(["remove", "x:1"]).success();
        assert_eq!(kits::count_blobs(&kit), 0);
    }
}

#[test]
fn segments_of_another_layer_are_damage() {
    let layer = layer();
    let mut other = layer.clone();
    other[600] ^= 1;
    let kit = Sandbox::new();
    load(
        &kit,
        &[&other[..2000], &other[2000..]],
        Some(&told(&layer)),
        &layer,
    );
    for words in [
        &["unpack", "x:1", "-d", "out"][..],
        &["cat", "x:1", "m"],
        &["files", "x:1"],
        &["convert", "x:1", "--layer-format", "tar"],
    ] {
        let output = kit.run(words).exits(5);
        // A list is written as it is read.
        assert!(words[0] == "files" || output.stdout.is_empty(), "{words:?}");
        assert!(!kit.path("out/m").exists());
    }
    let verified = kit.run(["verify", "--format", "json"]).exits(5);
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(verified["sound"], false);
    assert_eq!(verified["damaged"], json!([]));
    let wrong = verified["wrongLayers"][0]["problem"].as_str().unwrap();
    assert!(wrong.contains(&digest(&other)), "{wrong}");
    assert!(!kit.store().blobs().contains(&digest(&layer)));
}

#[test]
fn a_registry_cannot_give_another_layer_either() {
    let layer = layer();
    let mut other = layer.clone();
    other[600] ^= 1;
    let publisher = Sandbox::new();
    load(
        &publisher,
        &[&other[..2000], &other[2000..]],
        Some(&told(&layer)),
        &layer,
    );
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/net:1", shelf.host());
    publisher.run(["tag", "x:1", &name]).success();
    let kit = Sandbox::new();
    fails(&kit, ["unpack", &name, "-d", "out"], 5);
    fails(&kit, ["unpack", &name, "-d", "out", "--include", "m"], 5);
    fails(&kit, ["cat", &name, "m"], 5);
    assert!(!kit.path("out/m").exists());
}

#[test]
fn a_damaged_segment_is_found_wherever_it_is_read() {
    let kit = tree();
    let chunked = pack(&kit, "net:1");
    let segment = digest_of(&layers(&kit, &chunked)[3]);
    kits::damage(&kit, &segment);
    let verified = kit.run(["verify", "--format", "json"]).exits(5);
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(verified["damaged"][0]["digest"], segment);
    assert_eq!(verified["wrongLayers"], json!([]));
    for words in [
        &["unpack", "net:1", "-d", "out", "--filter", "model"][..],
        &["cat", "net:1", "model.bin"],
    ] {
        let output = kit.run(words).exits(5);
        assert!(output.stdout.is_empty());
    }
    assert!(!kit.path("out/model.bin").exists());
    kits::lose(&kit, &segment);
    fails(&kit, ["unpack", "net:1", "-d", "out"], 5);
    fails(&kit, ["cat", "net:1", "model.bin"], 5);
    assert!(!kit.path("out/model.bin").exists());
}
