//! A second tar writer, written from the format's description alone, to judge the first by.
//!
//! It shares no code and no crate with `src/archive`. It is slow, holds everything in memory, and
//! takes a plain list of what is in the context.

/// One path of the context.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The path below the context, `/` between its parts.
    pub(crate) path: Vec<u8>,
    /// The permission bits.
    pub(crate) mode: u32,
    /// The bytes of a file; `None` for a folder.
    pub(crate) content: Option<Vec<u8>>,
}

pub(crate) fn file(path: impl AsRef<[u8]>, mode: u32, content: impl AsRef<[u8]>) -> Entry {
    Entry {
        path: path.as_ref().to_vec(),
        mode,
        content: Some(content.as_ref().to_vec()),
    }
}

pub(crate) fn folder(path: impl AsRef<[u8]>, mode: u32) -> Entry {
    Entry {
        path: path.as_ref().to_vec(),
        mode,
        content: None,
    }
}

/// Returns the layer for `path` (`.` for the whole context) out of a context holding `entries`,
/// of which the layers at `others` take what is theirs. Paths are clean.
pub(crate) fn layer(entries: &[Entry], path: &str, others: &[&str]) -> Vec<u8> {
    let path = parts(path.as_bytes());
    let mut taken: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            let entry = parts(&entry.path);
            let related = entry.starts_with(&path) || path.starts_with(&entry);
            related
                && !others.iter().any(|other| {
                    let other = parts(other.as_bytes());
                    // A layer above (or equal to) this one owns nothing of it.
                    !path.starts_with(&other) && entry.starts_with(&other)
                })
        })
        .collect();
    taken.sort_by_key(|entry| parts(&entry.path));
    let mut tar = Vec::new();
    for entry in taken {
        write(&mut tar, entry);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Splits a path; `.` has no parts. Comparing these lists is the order of a walk.
fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|b| *b == b'/')
        .filter(|part| *part != b".")
        .collect()
}

fn write(tar: &mut Vec<u8>, entry: &Entry) {
    let content = entry.content.as_deref().unwrap_or_default();
    let kind = if entry.content.is_some() { b'0' } else { b'5' };
    let path = &entry.path;
    let (mut prefix, mut name) = (Vec::new(), path.clone());
    let split = split(path);
    if !path.is_ascii() || (path.len() > 100 && split.is_none()) {
        let record = record("path", path);
        let mut header = Header::new(&extension_name(path), b'x', record.len());
        header.octal(100, 8, 0);
        header.octal(108, 8, 0);
        header.0[329..345].fill(0);
        tar.extend(header.finish());
        padded(tar, &record);
        name = ascii(path);
        name.truncate(100);
        if ascii(path).len() > 100 && name.ends_with(b"/") {
            name.pop(); // readers would take a file with a final slash for a folder
        }
    } else if let Some(at) = split {
        (prefix, name) = (path[..at].to_vec(), path[at + 1..].to_vec());
    }
    let mut header = Header::new(&name, kind, content.len());
    header.octal(100, 8, u64::from(entry.mode & 0o7777));
    header.text(345, &prefix);
    tar.extend(header.finish());
    padded(tar, content);
}

/// Returns where a long ASCII path is cut into prefix and name, if that is possible.
fn split(path: &[u8]) -> Option<usize> {
    if path.len() <= 100 {
        return None;
    }
    // A name that ends in `/` would lose that byte first, but no name here does.
    let length = path.len().min(156);
    let at = path[..length].iter().rposition(|b| *b == b'/')?;
    let rest = path.len() - at - 1;
    (at > 0 && at <= 155 && (1..=100).contains(&rest)).then_some(at)
}

/// Returns the name of the extension header before the entry at `path`.
fn extension_name(path: &[u8]) -> Vec<u8> {
    let base = path
        .iter()
        .rposition(|b| *b == b'/')
        .map_or(0, |slash| slash + 1);
    let mut name = ascii(&[&path[..base], b"PaxHeaders.0/", &path[base..]].concat());
    name.truncate(100);
    while name.ends_with(b"/") {
        name.pop();
    }
    name
}

/// Returns one record of an extension header: its length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

/// Appends `content` and zeros up to a whole block.
fn padded(tar: &mut Vec<u8>, content: &[u8]) {
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// The 512 bytes before an entry's content.
struct Header([u8; 512]);

impl Header {
    fn new(name: &[u8], kind: u8, size: usize) -> Self {
        let mut header = Self([0; 512]);
        header.text(0, name);
        header.octal(108, 8, 1000); // owner
        header.octal(116, 8, 0); // group
        header.octal(124, 12, size as u64);
        header.octal(136, 12, 0); // time
        header.0[156] = kind;
        header.text(257, b"ustar\x0000");
        header.octal(329, 8, 0); // device
        header.octal(337, 8, 0);
        header
    }

    fn text(&mut self, at: usize, text: &[u8]) {
        self.0[at..at + text.len()].copy_from_slice(text);
    }

    /// Writes an octal number that fills its field but for a final NUL.
    fn octal(&mut self, at: usize, width: usize, value: u64) {
        let digits = format!("{value:0fill$o}\0", fill = width - 1);
        self.text(at, digits.as_bytes());
    }

    /// Returns the header with its checksum, which counts its own field as blanks.
    fn finish(mut self) -> [u8; 512] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148, 7, sum);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::digest;

    #[test]
    fn the_small_example_has_the_layers_it_must_have() {
        let tree = [
            file("README.md", 0o644, "# Readme\n"),
            folder("data", 0o755),
            file("data/d.csv", 0o644, "a,b\n1,2\n"),
            folder("model", 0o755),
            file("model/w.gguf", 0o644, "weights\n"),
            folder("model/sub", 0o755),
            file("model/sub/lora.gguf", 0o644, "part\n"),
            folder("src", 0o755),
            file("src/run.sh", 0o755, "#!/bin/sh\necho hi\n"),
        ];
        let all = [
            "model",
            "model/sub/lora.gguf",
            "src",
            "data/d.csv",
            "README.md",
        ];
        let expected = [
            (
                3072,
                "eb0d26a26bf6cb939f910b48436288b06240eda32e340e4306078bd9b2923b60",
            ),
            (
                3072,
                "756618e82e35180466f144343a2f0d61b9eb1f1ef79b2de9bc02a458c0bac1eb",
            ),
            (
                2560,
                "6e827236bb6f62543c083dfd8de5b73cb4c17984ce730fc28f99f7198fb4267c",
            ),
            (
                2560,
                "e246df15930c368562ac35abec0420be42299433dbe52cc98d6f7499e35ccf85",
            ),
            (
                2048,
                "3d6cdb070cacbed6af16857504801e4e20e16dcbfdb47bf881cef2c88eb590cb",
            ),
        ];
        for (path, (size, hex)) in all.into_iter().zip(expected) {
            let layer = layer(&tree, path, &all);
            assert_eq!(
                (layer.len(), digest(&layer)),
                (size, format!("sha256:{hex}")),
                "{path}"
            );
        }
    }

    #[test]
    fn odd_names_and_modes_are_written_as_they_must_be() {
        let long = format!("m/{}", "a".repeat(90));
        let longer = format!("{long}/{}", "b".repeat(60));
        let tree = |modes: u32| {
            vec![
                folder("m", 0o755),
                file("m/B", 0o644, "1\n"),
                file("m/_", 0o644, "3\n"),
                file("m/a", 0o644, "2\n"),
                folder("m/a-", 0o755),
                file("m/a-/x", 0o644, "5\n"),
                folder("m/a.d", 0o755),
                file("m/a.d/x", 0o644, "4\n"),
                folder(&long, 0o755),
                folder(&longer, 0o755),
                file(format!("{longer}/f.txt"), 0o644, "x\n"),
                file(format!("m/{}.bin", "c".repeat(120)), 0o644, "y\n"),
                folder("m/empty", 0o755),
                folder("m/sticky", 0o755 | (modes & 0o1777)),
                file("m/suid", 0o755 | (modes & 0o4755), "s\n"),
                file("m/é ñ.txt", 0o644, "z\n"),
                file(format!("m/é{}", "c".repeat(120)), 0o644, "q\n"),
            ]
        };
        for (modes, hex) in [
            (
                0o7777,
                "a30fa7dd741938faed3edf1997601a157c1f6dc8b5aee448962dc8c86de5ad79",
            ),
            (
                0o755,
                "f37fdf880851312f849078a99a6ab0c1c4f178242e0f7c9b609f2cbf0b63f43f",
            ),
        ] {
            let layer = layer(&tree(modes), "m", &[]);
            assert_eq!(
                (layer.len(), digest(&layer)),
                (17920, format!("sha256:{hex}"))
            );
        }
    }

    #[test]
    fn a_layer_leaves_to_others_what_lies_below_them_by_whole_names() {
        let tree = [
            folder("data", 0o755),
            file("data/a", 0o644, "a"),
            file("database", 0o644, "b"),
        ];
        let kept = layer(&tree, ".", &["data"]);
        assert_eq!(kept, layer(&tree[2..], ".", &[]));
    }
}
