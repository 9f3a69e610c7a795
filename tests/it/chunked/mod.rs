//! Large layers in segments, wherever their kits go, and back.

mod convert; // one form of a kit from the other
mod hostile; // segments that are none
mod local; // what reads kits reads these
mod registries; // pushed, pulled and read from afar

use std::{ffi::OsStr, fs};

use serde_json::Value;

use crate::support::Sandbox;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const KITFILE: &str = "manifestVersion: 1.0.0\n\
                       package: {name: net}\n\
                       model: {name: net, path: model.bin}\n\
                       datasets: [{name: rows, path: rows}]\n\
                       docs: [{path: README.md}]\n";

/// The type of a segment.
const SEGMENT: &str = "application/vnd.modelkit.segment.v1";

/// Returns bytes without any pattern, others for each `seed`.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Returns a sandbox with `net/`: a model, a dataset of several files that is large enough, and a
/// document that is not.
fn tree() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("net/Kitfile", KITFILE);
    kit.file("net/model.bin", noise(8 * MIB, 1));
    kit.file("net/rows/a.bin", noise(3 * MIB, 2));
    kit.file("net/rows/b.bin", noise(40 * KIB, 3));
    kit.file("net/rows/c.bin", noise(3 * MIB, 4));
    kit.file("net/README.md", "a net\n");
    kit
}

/// Packs `net/` in segments of about 1 MiB, and returns the digest.
#[track_caller]
fn pack(kit: &Sandbox, name: &str) -> String {
    pack_as(
        kit,
        name,
        &["--layer-format", "chunked", "--segment-size", "1MiB"],
    )
}

/// Packs `net/` as others do.
#[track_caller]
fn pack_plain(kit: &Sandbox, name: &str) -> String {
    pack_as(kit, name, &[])
}

#[track_caller]
fn pack_as(kit: &Sandbox, name: &str, more: &[&str]) -> String {
    let mut words = vec!["pack", "net", "-q", "-t", name, "--format", "{{ .Digest }}"];
    words.extend(more);
    kit.run(words).success().trim().to_owned()
}

/// Returns the layers that a manifest lists.
fn layers(kit: &Sandbox, manifest: &str) -> Vec<Value> {
    let manifest = kit.store().manifest(manifest);
    manifest["layers"].as_array().unwrap().clone()
}

fn is_segment(layer: &Value) -> bool {
    layer["mediaType"] == SEGMENT
}

fn digest_of(layer: &Value) -> String {
    layer["digest"].as_str().unwrap().to_owned()
}

/// Asserts that `out` has what was packed.
#[track_caller]
fn assert_unpacked(kit: &Sandbox, from: &Sandbox, out: &str) {
    for file in [
        "model.bin",
        "rows/a.bin",
        "rows/b.bin",
        "rows/c.bin",
        "README.md",
    ] {
        let found = fs::read(kit.path(format!("{out}/{file}"))).unwrap();
        let packed = fs::read(from.path(format!("net/{file}"))).unwrap();
        assert!(found == packed, "{file}");
    }
}

/// Changes one byte of the model.
fn flip(kit: &Sandbox, at: usize) {
    let path = kit.path("net/model.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Runs a command that must end with `code`, and returns all that it says.
#[track_caller]
fn fails<I: IntoIterator<Item: AsRef<OsStr>>>(kit: &Sandbox, words: I, code: i32) -> String {
    kit.run(words).exits(code).to_string()
}
