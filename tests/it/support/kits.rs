//! Small kits in the store of a sandbox, and what can happen to them there.

use std::{fs, io::Write as _};

use super::{Sandbox, sandbox::set_mode};

/// Packs a model with this content under these names and returns the digest.
#[track_caller]
pub(crate) fn pack(kit: &Sandbox, names: &str, content: &str) -> String {
    let kitfile = "manifestVersion: 1.0.0\n\
                   package: {name: net, version: 1.0.0, authors: [Ann, Bo]}\n\
                   model: {name: net, path: model.bin}\n";
    kit.file("packed/model.bin", content);
    pack_kitfile(kit, names, kitfile)
}

/// Packs `packed/` as this Kitfile says; no names leave the kit without any.
#[track_caller]
pub(crate) fn pack_kitfile(kit: &Sandbox, names: &str, kitfile: &str) -> String {
    kit.file("packed/Kitfile", kitfile);
    let mut arguments = vec!["pack", "packed", "-q", "--format", "{{ .Digest }}"];
    if !names.is_empty() {
        arguments.extend(["-t", names]);
    }
    kit.run(arguments).success().trim().to_owned()
}

/// Returns the digests of config and layers of a kit.
pub(crate) fn blobs(kit: &Sandbox, manifest: &str) -> (String, Vec<String>) {
    let manifest: serde_json::Value = serde_json::from_slice(&kit.store().blob(manifest)).unwrap();
    let digest = |it: &serde_json::Value| it["digest"].as_str().unwrap().to_owned();
    let layers = manifest["layers"].as_array().unwrap().iter().map(digest);
    (digest(&manifest["config"]), layers.collect())
}

/// Changes one byte of a blob.
pub(crate) fn damage(kit: &Sandbox, digest: &str) {
    let path = kit.store().blob_path(digest);
    let mut content = fs::read(&path).unwrap();
    content[0] ^= 1;
    set_mode(&path, 0o644);
    fs::write(&path, content).unwrap();
}

/// Deletes a blob.
pub(crate) fn lose(kit: &Sandbox, digest: &str) {
    let path = kit.store().blob_path(digest);
    set_mode(&path, 0o644);
    fs::remove_file(path).unwrap();
}

/// Returns how many blobs there are.
pub(crate) fn count_blobs(kit: &Sandbox) -> usize {
    let folder = kit.store().path().join("blobs/sha256");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Returns a ZIP file that holds `name`, uncompressed.
pub(crate) fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = !0_u32;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let size = u32::try_from(content.len()).unwrap();
    let length = u16::try_from(name.len()).unwrap();
    let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    for number in [!crc, size, size] {
        common.extend(number.to_le_bytes());
    }
    common.extend(length.to_le_bytes());
    common.extend([0, 0]);
    let mut out = b"PK\x03\x04".to_vec();
    out.extend(&common);
    out.write_all(name.as_bytes()).unwrap();
    out.extend(content);
    let directory = u32::try_from(out.len()).unwrap();
    out.extend(b"PK\x01\x02\x0a\x00");
    out.extend(&common);
    out.extend([0; 14]);
    out.extend(name.as_bytes());
    let end = u32::try_from(out.len()).unwrap();
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend((end - directory).to_le_bytes());
    out.extend(directory.to_le_bytes());
    out.extend([0, 0]);
    out
}
