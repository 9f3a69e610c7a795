//! `--compression`: the bytes of compressed layers, and what a kit says of them.

use std::{io::Read, process::Command};

use serde_json::Value;

use crate::support::{Sandbox, digest, have};

const METHODS: [&str; 3] = ["gzip", "gzip-fastest", "zstd"];

/// Returns text that shrinks as text does, but is no repetition.
fn text(length: usize) -> Vec<u8> {
    let words = [
        "model", "layer", "weight", " of ", "the ", "data\n", "0.", "7", "tensor", ", ",
    ];
    let mut state = 1_u32;
    let mut text = Vec::with_capacity(length + 8);
    while text.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend(words[(state >> 16) as usize % words.len()].as_bytes());
    }
    text.truncate(length);
    text
}

/// A project of a file that spans many blocks, small files on their borders, and an empty one.
fn project() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  path: weights.bin\ncode:\n  - path: src\nprompts:\n  - path: say.md\n",
    );
    kit.file("weights.bin", text((9 << 20) + 17));
    for number in 0..7 {
        kit.file(format!("src/{number}.py"), text(300_000 + number));
    }
    kit.file("src/empty", "").file("say.md", "# Say\n");
    kit
}

fn pack(kit: &Sandbox, arguments: &[&str]) -> Value {
    let digest = kit
        .run(
            ["pack", ".", "--format", "{{ .Digest }}"]
                .iter()
                .chain(arguments),
        )
        .success();
    kit.store().manifest(digest.trim_end())
}

fn layers(manifest: &Value) -> &Vec<Value> {
    manifest["layers"].as_array().unwrap()
}

/// Returns what the blob of a layer unpacks to.
fn unpacked(kit: &Sandbox, layer: &Value) -> Vec<u8> {
    let blob = kit.store().blob(layer["digest"].as_str().unwrap());
    assert_eq!(blob.len() as u64, layer["size"].as_u64().unwrap());
    let mut content = Vec::new();
    let media_type = layer["mediaType"].as_str().unwrap();
    if media_type.ends_with("+gzip") {
        let mut reader = flate2::read::MultiGzDecoder::new(&*blob);
        reader.read_to_end(&mut content).unwrap();
    } else if media_type.ends_with("+zstd") {
        content = zstd::decode_all(&*blob).unwrap();
    } else {
        content = blob;
    }
    content
}

#[test]
fn compressed_layers_are_the_plain_ones_compressed_on_any_number_of_threads() {
    let kit = project();
    for format in ["tar", "raw"] {
        let plain = pack(&kit, &["--layer-format", format]);
        for method in METHODS {
            let arguments = ["--layer-format", format, "--compression", method];
            let packed = pack(&kit, &[&arguments[..], &["--threads", "1"]].concat());
            for threads in ["2", "7", "16"] {
                let again = pack(&kit, &[&arguments[..], &["--threads", threads]].concat());
                assert_eq!(again, packed, "{method} with {threads} threads");
            }
            assert_eq!(layers(&packed).len(), layers(&plain).len());
            for (layer, plain) in layers(&packed).iter().zip(layers(&plain)) {
                let content = unpacked(&kit, layer);
                assert_eq!(digest(&content), plain["digest"], "{layer}");
                let suffix = method.trim_end_matches("-fastest");
                let media_type = format!("{}+{suffix}", plain["mediaType"].as_str().unwrap());
                assert_eq!(layer["mediaType"], media_type);
                let mut annotations = layer["annotations"].clone();
                let size = annotations.as_object_mut().unwrap();
                let size = size.remove("org.modelkit.layer.uncompressed-size").unwrap();
                assert_eq!(size, content.len().to_string());
                // With the size of the file in it, which is what it unpacks to.
                assert_eq!(annotations, plain["annotations"]);
            }
        }
    }
}

#[test]
fn the_config_tells_both_digests_of_a_compressed_layer() {
    let kit = project();
    let plain = pack(&kit, &[]);
    let packed = pack(&kit, &["--compression", "zstd"]);
    let config: Value = kit
        .store()
        .manifest(packed["config"]["digest"].as_str().unwrap());
    for (element, index) in [("/model", 0), ("/code/0", 1), ("/prompts/0", 2)] {
        let element = config.pointer(element).unwrap();
        assert_eq!(element["digest"], layers(&packed)[index]["digest"]);
        assert_eq!(element["diffId"], layers(&plain)[index]["digest"]);
        assert_ne!(element["digest"], element["diffId"]);
    }
}

/// What the encoders make of fixed content. A kit that is packed again must find its layers in
/// the registry: an update of an encoder that changes these is a decision, not a mending.
const GOLDEN: [(&str, &str, &str); 3] = [
    (
        "gzip",
        "sha256:813f019f456d317d2e5193cca7a1252663fae9e97fd23352c40470f1282d7d48",
        "sha256:c8057b43d006f32aed30f1b83f0047de9c13599f45f61c50cdab22b1df2b7213",
    ),
    (
        "gzip-fastest",
        "sha256:87a23b01a2b9898dd2909855894beadae3caf0871d8ef6d1f42421eab43c8e69",
        "sha256:0e04747193ab660440288a757a97cd67ce4e6badcbd7d11048ecb7eec47c57f3",
    ),
    (
        "zstd",
        "sha256:4db03a5c2adeccde47508ca006787dbed9a846136a5df573b891abb84e300d0e",
        "sha256:3eafde7efcc240e4da9041edb6626062c51ed96f2342698098791a88107eb640",
    ),
];

#[test]
fn the_bytes_of_compressed_layers_do_not_change_unnoticed() {
    let kit = project();
    for (method, model, code) in GOLDEN {
        let packed = pack(&kit, &["--compression", method]);
        let found = [0, 1].map(|index| layers(&packed)[index]["digest"].as_str().unwrap());
        assert_eq!(found, [model, code], "{method}");
    }
}

#[test]
fn headers_and_frames_are_as_the_format_page_says() {
    let kit = project();
    for (method, extra) in [("gzip", 0), ("gzip-fastest", 4)] {
        let packed = pack(&kit, &["--compression", method]);
        let blob = kit
            .store()
            .blob(layers(&packed)[0]["digest"].as_str().unwrap());
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 0xff];
        assert_eq!(blob[..10], header);
        // 9 MiB of content, and the headers of the archive.
        let members = blob.windows(10).filter(|bytes| *bytes == header);
        assert_eq!(members.count(), 10);
    }
    let packed = pack(&kit, &["--compression", "zstd"]);
    let blob = kit
        .store()
        .blob(layers(&packed)[0]["digest"].as_str().unwrap());
    let mut rest = &*blob;
    let mut lengths = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(rest[4] & 0b100, 0b100, "there is a checksum");
        lengths.push(
            zstd::zstd_safe::get_frame_content_size(rest)
                .unwrap()
                .unwrap(),
        );
        rest = &rest[zstd::zstd_safe::find_frame_compressed_size(rest).unwrap()..];
    }
    assert_eq!(lengths[..2], [4 << 20, 4 << 20]);
    assert_eq!(lengths.len(), 3);
}

#[test]
fn other_programs_read_what_is_compressed() {
    let kit = project();
    for (method, program) in [("gzip", "gzip"), ("gzip-fastest", "gzip"), ("zstd", "zstd")] {
        if !have(program) {
            continue;
        }
        let packed = pack(&kit, &["--compression", method]);
        for layer in layers(&packed) {
            let blob = kit.store().blob_path(layer["digest"].as_str().unwrap());
            let output = Command::new(program)
                .args(["-d", "-c"])
                .stdin(std::fs::File::open(blob).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(output.stdout == unpacked(&kit, layer), "{method}");
        }
    }
}

#[test]
fn packing_again_writes_nothing_new() {
    let kit = project();
    let first = pack(&kit, &["--compression", "gzip"]);
    let blobs = kit.store().blobs();
    let output = kit.run(["pack", ".", "--compression", "gzip", "--format", "json"]);
    let layers = output.json();
    for layer in layers["layers"].as_array().unwrap() {
        assert_eq!(layer["stored"], "present");
    }
    assert_eq!(kit.store().blobs(), blobs);
    assert_eq!(first["layers"][0]["digest"], layers["layers"][0]["digest"]);
}

#[test]
fn bundles_of_servers_are_never_compressed() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "mcpServers:\n  - name: a\n    path: a.mcpb\n");
    kit.file("a.mcpb", crate::support::kits::zip("manifest.json", b"{}"));
    let plain = pack(&kit, &[]);
    for arguments in [&["--compression", "zstd"][..], &["--layer-format", "raw"]] {
        assert_eq!(pack(&kit, arguments), plain);
    }
}
