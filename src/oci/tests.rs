use std::{collections::BTreeMap, fmt::Write as _};

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

/// The reference's documents for one small tree, byte for byte.
const MODELKIT: &str = include_str!("../../testdata/documents/modelkit.manifest.json");
const MODELKIT_CONFIG: &str = include_str!("../../testdata/documents/modelkit.config.json");
/// The specification's example, byte for byte.
const MODELPACK: &str = include_str!("../../testdata/documents/modelpack.manifest.json");

fn digest(hex: &str) -> Digest {
    Digest::from_hex(hex).unwrap()
}

/// A manifest with `layers` in place of the list and `more` after it.
fn manifest(layers: &str, more: &str) -> String {
    let config = descriptor("application/vnd.x", &Digest::of(b"config").to_string(), "6");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":{layers}{more}}}"#)
}

fn descriptor(media_type: &str, digest: &str, size: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// The error and its causes on one line.
fn refusal<T: std::fmt::Debug>(read: Result<T, Error>) -> String {
    let error = read.unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

fn refused(document: &str) -> String {
    refusal(Manifest::parse(document.as_bytes()))
}

#[test]
fn the_references_manifest_is_read_and_written_with_its_kind_added() {
    assert_eq!(
        Digest::of(MODELKIT.as_bytes()),
        digest("a9195c1abdc039c8a918c36bd02c6c8e7addc85ad7cead0925ef9a27aa3dd63f")
    );
    let manifest = Manifest::parse(MODELKIT.as_bytes()).unwrap();
    manifest.config.verify(MODELKIT_CONFIG.as_bytes()).unwrap();
    assert_eq!(
        Family::of_config(&manifest.config.media_type),
        Some(Family::ModelKit)
    );
    let kinds: Vec<_> = manifest
        .layers
        .iter()
        .map(|layer| LayerType::parse(&layer.media_type).unwrap().kind)
        .collect();
    assert_eq!(
        kinds,
        [
            LayerKind::Model,
            LayerKind::ModelPart,
            LayerKind::Code,
            LayerKind::Dataset,
            LayerKind::Docs
        ]
    );
    assert_eq!(manifest.annotations[annotation::CLI_VERSION], "unknown");
    assert_eq!(manifest.artifact_type, None);

    let with_kind = MODELKIT.replacen(
        r#""schemaVersion":2,"#,
        r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
        1,
    );
    assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), with_kind);
}

#[test]
fn the_modelpack_example_is_written_back_to_the_byte() {
    assert_eq!(
        Digest::of(MODELPACK.as_bytes()),
        digest("5c4512dd5c4f60a473289480384ba3e8d5ab591593648c8a66a6b544ff365e07")
    );
    let manifest = Manifest::parse(MODELPACK.as_bytes()).unwrap();
    assert_eq!(
        manifest.artifact_type.as_deref(),
        Some(media_type::MODELPACK_ARTIFACT)
    );
    assert_eq!(
        manifest.layers[1].annotations[annotation::FILE_PATH],
        "model.safetensors"
    );
    assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), MODELPACK);
}

// hazard: 66
#[test]
fn a_kit_without_layers_is_a_kit() {
    for layers in [r#""layers":[],"#, r#""layers":null,"#, ""] {
        let text = manifest("[]", r#","annotations":null,"mediaType":"","subject":null"#)
            .replace(r#""layers":[],"#, layers);
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.layers, []);
        assert!(
            String::from_utf8(manifest.to_bytes())
                .unwrap()
                .ends_with(r#""layers":[]}"#)
        );
    }
}

#[test]
fn unknown_keys_are_ignored_and_free_maps_may_hold_any_key() {
    let layer = r#"{"mediaType":"x","digest":"DIGEST","size":1,"urls":["http://x.test/"],
        "platform":{"Size":1},"new":{"LAYERS":[]},"annotations":{"Layers":"","layers":""}}"#
        .replace("DIGEST", &Digest::of(b"x").to_string());
    let text = manifest(
        &format!("[{layer}]"),
        r#","annotations":{"Config":"a","config":"b"},"new":[{"Digest":1}]"#,
    );
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.layers[0].size, 1);
    assert_eq!(manifest.annotations.len(), 2);
}

// hazard: 61, 62
#[test]
fn documents_with_two_readings_are_refused() {
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    for (document, message) in [
        (
            manifest("[]", r#","manifests":[]"#),
            "manifest holds `manifests`, which does not belong there: it could be read in two ways",
        ),
        (
            manifest("[]", r#","manifests":null"#),
            "manifest holds `manifests`, which does not belong there: it could be read in two ways",
        ),
        (
            manifest(
                "[]",
                r#","mediaType":"application/vnd.oci.image.index.v1+json""#,
            ),
            "manifest says that its media type is `application/vnd.oci.image.index.v1+json`, \
             expected `application/vnd.oci.image.manifest.v1+json`",
        ),
        (
            manifest("[]", r#","layers":[]"#),
            "manifest is malformed: key `layers` stands twice",
        ),
        (
            manifest("[]", r#","LAYERS":[]"#),
            "manifest is malformed: key `LAYERS` could be taken for `layers`",
        ),
        (
            manifest("[]", r#","layer\u017f":[]"#),
            "manifest is malformed: key `layerſ` could be taken for `layers`",
        ),
        (
            manifest("[]", "").replace("digest", "Digest"),
            "manifest is malformed: key `Digest` could be taken for `digest`",
        ),
        (
            manifest("[]", r#","x":{"a":[{"b":1,"b":1}]}"#),
            "manifest is malformed: key `b` stands twice",
        ),
        (
            manifest("[]", "").replace(":2", ":1"),
            "manifest has schema version 1, only 2 is supported",
        ),
        (
            manifest("[]", "").replace(":2", ":2.5"),
            "manifest has schema version 2.5, only 2 is supported",
        ),
        (
            index.to_owned(),
            "manifest says that its media type is `application/vnd.oci.image.index.v1+json`, \
             expected `application/vnd.oci.image.manifest.v1+json`",
        ),
        (
            r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
            "manifest holds `manifests`, which does not belong there: it could be read in two ways",
        ),
        (
            r#"{"schemaVersion":2}"#.to_owned(),
            "manifest is malformed: `config` is missing",
        ),
        (
            "[]".to_owned(),
            "manifest is malformed: expected an object, found an array",
        ),
        (
            manifest(
                &format!(r#"[["x","{}",1,null,null,null]]"#, Digest::of(b"x")),
                "",
            ),
            "manifest is malformed: expected an object, found an array",
        ),
    ] {
        let refusal = refused(&document);
        // Positions are tested where they are made.
        assert_eq!(refusal.split(" at line ").next(), Some(message));
    }
    assert!(refusal(Manifest::parse(b"{\"a\":\"\xff\"}")).contains("invalid utf-8"));
}

// hazard: 59, 64, 65
#[test]
fn unusable_digests_and_sizes_are_refused_with_their_place() {
    let good = Digest::of(b"x").to_string();
    for (bad, says) in [
        ("", "is not a digest"),
        ("abc", "is not a digest"),
        ("md5:900150983cd24fb0d6963f7d28e17f72", "is not a digest"),
        ("sha256:../../../../etc/passwd", "is not a digest"),
        (&good.replace('b', "B"), "is not a digest"),
        (
            &format!("sha512:{0}{0}", &good[7..]),
            "`sha512` is not supported, only sha256 is",
        ),
    ] {
        let layers = format!(
            "[{},{}]",
            descriptor("x", &good, "1"),
            descriptor("x", bad, "1")
        );
        let message = refused(&manifest(&layers, ""));
        assert!(
            message.starts_with("layer 2 has an unusable digest: "),
            "{message}"
        );
        assert!(message.contains(says), "{message}");
    }
    for size in [
        "-5",
        "1125899906842625",
        "1152921504606846976",
        "18446744073709551616",
        "1.5",
        "1e3",
    ] {
        let message = refused(&manifest(
            &format!("[{}]", descriptor("x", &good, size)),
            "",
        ));
        assert!(message.starts_with("layer 1 has size "), "{message}");
    }
    for size in ["0", "107374182400", "1125899906842624"] {
        let text = manifest(&format!("[{}]", descriptor("x", &good, size)), "");
        let read = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(read.layers[0].size.to_string(), size);
    }
    let layers = format!(
        "[{},{}]",
        descriptor("x", &good, "1"),
        descriptor("y", &good, "2")
    );
    assert!(refused(&manifest(&layers, "")).contains("two different sizes"));
}

// hazard: 66
#[test]
fn embedded_data_must_be_the_blob() {
    let with = |data: &str| {
        let layer = descriptor("x", &Digest::of(b"weights").to_string(), "7");
        let layer = layer.replace('}', &format!(r#","data":"{data}"}}"#));
        Manifest::parse(manifest(&format!("[{layer}]"), "").as_bytes())
    };
    with("d2VpZ2h0cw==").unwrap();
    with("").unwrap();
    for bad in ["d2VpZ2h0eg==", "d2VpZ2h0cw", "!"] {
        let message = refusal(with(bad));
        assert_eq!(
            message,
            "layer 1 embeds `data` that does not have its digest and size"
        );
    }
}

// hazard: 66, 122
#[test]
fn documents_are_bounded() {
    let layer = descriptor("x", &Digest::of(b"x").to_string(), "1");
    let layers = |count: usize| format!("[{}]", vec![layer.as_str(); count].join(","));
    let most = Manifest::parse(manifest(&layers(10_000), "").as_bytes()).unwrap();
    assert_eq!(most.layers.len(), 10_000);
    assert_eq!(most.blobs().count(), 2, "equal blobs are needed once");
    assert!(refused(&manifest(&layers(10_001), "")).contains("more than 10000 descriptors"));
    // Each blob may be as large as that, but not all of them.
    let large = descriptor(
        "x",
        &Digest::of(b"x").to_string(),
        &(1_u64 << 50).to_string(),
    );
    let large =
        |count: usize| manifest(&format!("[{}]", vec![large.as_str(); count].join(",")), "");
    assert!(Manifest::parse(large(1023).as_bytes()).is_ok());
    assert!(refused(&large(1024)).contains("more than 1152921504606846976 bytes together"));
    let padded = |length: usize| {
        let plain = manifest("[]", "");
        plain.clone() + &" ".repeat(length - plain.len())
    };
    assert!(Manifest::parse(padded(4 << 20).as_bytes()).is_ok());
    assert!(refused(&padded((4 << 20) + 1)).contains("more than the 4194304 bytes allowed"));
    let long = manifest("[]", "") + &" ".repeat(4 << 20);
    assert_eq!(
        refused(&long),
        "manifest is 4194470 bytes long, more than the 4194304 bytes allowed"
    );
    let deep = manifest("[]", &format!(r#","x":{}"#, "[".repeat(100_000)));
    assert!(refused(&deep).contains("recursion limit exceeded"));
}

#[test]
fn entries_that_cannot_be_used_do_not_hide_the_others_from_a_lenient_reader() {
    let digest = Digest::of(b"x").to_string();
    let sound = descriptor(media_type::MANIFEST, &digest, "1");
    let foreign = sound.replace("sha256:", "sha512:");
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{foreign},{sound}]}}"#);
    assert!(Index::parse(text.as_bytes()).is_err());
    let (index, wrong) = Index::parse_leniently(text.as_bytes()).unwrap();
    assert_eq!((index.manifests.len(), wrong.len()), (1, 1));
    assert!(wrong[0].to_string().starts_with("manifest 1 "));

    let tags = tagged(format!(r#"{{"a":{foreign},"b":{sound}}}"#).as_bytes()).unwrap();
    assert_eq!(tags["b"].as_ref().unwrap(), &index.manifests[0]);
    let error = tags["a"].as_ref().unwrap_err().to_string();
    assert_eq!(error, "tag `a` has an unusable digest");
    for bad in [
        "",
        "null",
        "[]",
        r#"{"a":1}"#,
        &format!(r#"{{"a":{sound},"a":{sound}}}"#),
    ] {
        assert!(tagged(bad.as_bytes()).is_err(), "{bad}");
    }
}

// hazard: 61, 62
#[test]
fn an_index_is_read_as_strictly() {
    let digest = Digest::of(b"x").to_string();
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        descriptor(media_type::MANIFEST, &digest, "1")
    );
    let index = Index::parse(text.as_bytes()).unwrap();
    assert_eq!(index.manifests.len(), 1);
    let null = r#"{"schemaVersion":2,"manifests":null}"#;
    assert_eq!(Index::parse(null.as_bytes()).unwrap(), Index::default());
    assert_eq!(
        String::from_utf8(Index::default().to_bytes()).unwrap(),
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
    );
    for (document, says) in [
        (manifest("[]", ""), "`manifests` is missing"),
        (manifest("[]", r#","manifests":[]"#), "index holds `config`"),
        (
            null.replace('}', r#","layers":[]}"#),
            "index holds `layers`",
        ),
        (
            null.replace('}', r#","Manifests":[]}"#),
            "could be taken for `manifests`",
        ),
        (
            text.replace("sha256:", "sha512:"),
            "manifest 1 has an unusable digest",
        ),
        (
            text.replace("\"size\":1", "\"size\":-1"),
            "manifest 1 has size -1",
        ),
        (text.replace(",\"size\":1", ""), "`size` is missing"),
        (text.replace(":2", ":3"), "schema version 3"),
    ] {
        let message = refusal(Index::parse(document.as_bytes()));
        assert!(message.contains(says), "{message}");
    }
}

fn any_descriptor() -> impl Strategy<Value = Descriptor> {
    (
        ".{0,12}",
        any::<[u8; 32]>(),
        0..=Descriptor::MAX_SIZE,
        any_annotations(),
        prop::option::of(".{1,12}"),
    )
        .prop_map(
            |(media_type, digest, size, annotations, artifact_type)| Descriptor {
                media_type,
                digest: Digest::from_bytes(digest),
                size,
                annotations,
                artifact_type,
            },
        )
}

fn any_annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(".{0,8}", ".{0,8}", 0..3)
}

proptest! {
    #[test]
    fn a_manifest_that_is_written_reads_back(
        config in any_descriptor(),
        layers in prop::collection::vec(any_descriptor(), 0..4),
        artifact_type in prop::option::of(".{1,12}"),
        annotations in any_annotations(),
        subject in prop::option::of(any_descriptor()),
    ) {
        let manifest = Manifest { artifact_type, config, layers, annotations, subject };
        let bytes = manifest.to_bytes();
        let read = Manifest::parse(&bytes).unwrap();
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn an_index_that_is_written_reads_back(
        manifests in prop::collection::vec(any_descriptor(), 0..4),
        annotations in any_annotations(),
    ) {
        let index = Index { manifests, annotations };
        prop_assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    }

    #[test]
    fn a_damaged_manifest_is_an_error_or_a_manifest(at in 0..1420_usize, byte in any::<u8>()) {
        let mut bytes = MODELPACK.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes) {
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
        }
    }
}
