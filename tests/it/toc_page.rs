//! "Table of contents" in `docs/format.md` tells all that a second reader needs: the one below
//! knows nothing else.

use std::fmt::Write as _;

use modelkit::{
    chunk::{Chunker, Grain},
    digest::Digest,
    oci::{Encoding, Manifest},
    toc::{self, Form, TableBuilder, TocRef},
};

use crate::format_page::{block, example, page};

/// What the independent reader finds of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    path: String,
    mode: u32,
    /// Offset, length and hash of each chunk; `None` for a folder.
    chunks: Option<Vec<(usize, usize, String)>>,
}

/// Reads from the front of bytes.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> &'b [u8] {
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head
    }

    fn fixed(&mut self, count: usize) -> usize {
        let bytes = self.take(count).iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    fn number(&mut self) -> usize {
        let byte = self.fixed(1);
        if byte < 0x80 {
            return byte;
        }
        byte - 0x80 + (self.number() << 7)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Reads a table as the page tells, and returns its form, the plain size and what is in it.
fn read_table(table: &[u8]) -> (usize, usize, Vec<Item>) {
    let mut bytes = Bytes(table);
    let form = bytes.fixed(1);
    assert_eq!(bytes.fixed(3), 0);
    let (count, plain_size) = (bytes.fixed(4), bytes.fixed(8));
    let (mut path, mut end, mut items) = (Vec::new(), 0, Vec::new());
    for _ in 0..count {
        let code = bytes.fixed(1);
        let mode = match code {
            0 => 0o644,
            1 | 2 => 0o755,
            _ => u32::try_from(bytes.fixed(2)).unwrap(),
        };
        path.truncate(bytes.number());
        let rest = bytes.number();
        path.extend(bytes.take(rest));
        let chunks = [0, 1, 3].contains(&code).then(|| {
            let size = bytes.number();
            let mut chunks = Vec::new();
            if size > 0 {
                let mut offset = end + bytes.number();
                end = offset + size;
                while offset < end {
                    let length = if size < 1_048_576 {
                        size
                    } else {
                        bytes.number()
                    };
                    chunks.push((offset, length, hex(bytes.take(32))));
                    offset += length;
                }
                assert_eq!(offset, end);
            }
            chunks
        });
        let path = String::from_utf8(path.clone()).unwrap();
        items.push(Item { path, mode, chunks });
    }
    assert!(bytes.0.is_empty());
    (form, plain_size, items)
}

/// Reads the root, checks it against a manifest, and returns the table of each layer.
fn read_root<'b>(blob: &'b [u8], manifest: &serde_json::Value) -> Vec<Option<&'b [u8]>> {
    let said = |key: &str| manifest["annotations"][format!("org.modelkit.toc.{key}")].as_str();
    assert_eq!(said("digest"), Some(&*Digest::of(blob).to_string()));
    assert_eq!(said("size"), Some(&*blob.len().to_string()));
    let layers = manifest["layers"].as_array().unwrap();
    let root_size = 12 + 88 * layers.len();
    let root = &blob[..root_size];
    assert_eq!(said("root-size"), Some(&*root_size.to_string()));
    assert_eq!(said("root-digest"), Some(&*Digest::of(root).to_string()));
    let mut bytes = Bytes(root);
    assert_eq!(bytes.take(8), b"kittoc/1");
    assert_eq!(bytes.fixed(4), layers.len());
    let table = |layer: &serde_json::Value| {
        let digest = format!("sha256:{}", hex(bytes.take(32)));
        assert_eq!(layer["digest"], digest);
        assert_eq!(layer["size"], bytes.fixed(8));
        let encoding =
            ["tar", "tar+gzip", "tar+zstd", "raw", "raw+gzip", "raw+zstd"][bytes.fixed(1)];
        let media_type = layer["mediaType"].as_str().unwrap();
        assert!(media_type.ends_with(&format!(".v1.{encoding}")));
        let absence = bytes.fixed(1);
        assert_eq!(bytes.fixed(2), 0);
        let (length, offset) = (bytes.fixed(4), bytes.fixed(8));
        let digest = Digest::from_bytes(bytes.take(32).try_into().unwrap());
        (absence == 0).then(|| {
            let table = &blob[offset..offset + length];
            assert_eq!(Digest::of(table), digest);
            table
        })
    };
    layers.iter().map(table).collect()
}

/// Writes rows of 16 bytes, all of them.
fn rows(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, row) in bytes.chunks(16).enumerate() {
        write!(text, "{:03x} ", 16 * number).unwrap();
        for pair in row.chunks(2) {
            write!(text, " {}", hex(pair)).unwrap();
        }
        text.push('\n');
    }
    text
}

fn add(builder: &mut TableBuilder, path: &str, offset: u64, content: &[u8]) {
    let size = content.len() as u64;
    builder.file(path.as_bytes(), 0o644, offset, size);
    let mut chunker = Chunker::new(Grain::of(size));
    chunker.push(content, |chunk| builder.chunk(&chunk));
    chunker.finish().iter().for_each(|it| builder.chunk(it));
}

#[test]
fn the_example_is_read_as_the_page_tells() {
    let page = page();
    let kit = example(&page);
    let store = kit.store();
    let digest = store.names().remove("team/tiny:1").unwrap();
    let mut manifest = Manifest::parse(&store.blob(&digest)).unwrap();

    let mut model = TableBuilder::new(Form::Plain);
    add(&mut model, "model.bin", 512, b"weights");
    let model = model.finish(2048).unwrap();
    let mut data = TableBuilder::new(Form::Plain);
    data.folder(b"data", 0o755);
    add(&mut data, "data/rows.csv", 1024, b"a,b\n1,2\n");
    add(&mut data, "data/é.csv", 0, b"");
    let data = data.finish(4096).unwrap();
    let layers = manifest.layers.iter().zip([&model, &data]);
    let contents: Vec<toc::Content<'_>> = layers
        .map(|(layer, table)| toc::Content {
            digest: layer.digest,
            size: layer.size,
            encoding: Encoding::Tar,
            table: Ok(table),
        })
        .collect();
    let assembled = toc::assemble(&contents);
    assembled.toc.annotate(&mut manifest.annotations);
    assert_eq!(TocRef::of(&manifest), Ok(Some(assembled.toc)));
    assert_eq!(block(&page, "text toc"), rows(&assembled.bytes));

    let manifest: serde_json::Value = serde_json::from_slice(&manifest.to_bytes()).unwrap();
    let tables = read_root(&assembled.bytes, &manifest);
    let found: Vec<_> = tables.into_iter().flatten().map(read_table).collect();
    let item = |path: &str, mode, chunks| Item {
        path: path.to_owned(),
        mode,
        chunks,
    };
    // The BLAKE3 of `weights` and of the lines.
    let weights = "3edc5c4a5df8c79ef4f8dbdc373cd21ca041ccf39fe5693250d004092094dc4a";
    let csv = "c42223f1fbf292f60491e1d0666e49af4b7eb75a63385041b98391acecf68562";
    let expected = [
        (
            0,
            2048,
            vec![item(
                "model.bin",
                0o644,
                Some(vec![(512, 7, weights.to_owned())]),
            )],
        ),
        (
            0,
            4096,
            vec![
                item("data", 0o755, None),
                item(
                    "data/rows.csv",
                    0o644,
                    Some(vec![(1024, 8, csv.to_owned())]),
                ),
                item("data/é.csv", 0o644, Some(Vec::new())),
            ],
        ),
    ];
    assert_eq!(found, expected);
}
