//! What packing tells of a layer beyond its bytes.

use super::*;
use crate::archive::{pack::Compression, tree::Entry};

pub(super) const ALL: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::GzipFastest,
    Compression::Zstd,
];

/// Files that lie in one piece, that span two, that span many, that end where a piece ends, and
/// that have no content.
pub(super) fn context() -> Context {
    let mebibyte = 1 << 20;
    let files = [
        ("a", 0),
        ("b", 700_000),
        ("c", 700_000),
        ("d", 5 * mebibyte + 17),
        ("e", 3),
        ("f", 2 * mebibyte),
        ("g", 0),
        ("h", mebibyte),
    ];
    let files = files.map(|(name, length)| (name, name.repeat(length)));
    let files = files.each_ref().map(|(name, content)| (*name, &**content));
    Context::new(&files)
}

fn is_file(entry: &Entry<'_>) -> bool {
    entry.kind() == Kind::File
}

#[test]
fn each_file_has_its_digest_whatever_the_pieces_and_threads_are() {
    let context = context();
    let found = context.walk(&["."], "").unwrap();
    let files = found.tree.entries(0).filter(is_file);
    let expected: Vec<Digest> = files
        .map(|file| {
            let path = String::from_utf8(file.path()).unwrap();
            Digest::of(&fs::read(context.path(&path)).unwrap())
        })
        .collect();
    assert_eq!(expected.len(), 8);
    for compression in ALL {
        let mut before = None;
        for threads in [1, 2, 7] {
            let options = pack::Options {
                threads,
                compression,
                file_digests: true,
                toc: true,
            };
            let out = tempfile::tempfile().unwrap();
            let packed = pack::write(
                layer(&found, 0, Shape::Tar),
                &out,
                &options,
                &Silent,
                &Silent,
            )
            .unwrap();
            assert_eq!(packed.files, expected, "{options:?}");
            assert_eq!(packed.plain_size, pack::archive_size(&found.tree, 0));
            assert_eq!(packed.size, out.metadata().unwrap().len());
            let is_plain = compression == Compression::None;
            assert_eq!(packed.digest == packed.diff_id, is_plain, "{options:?}");
            let before = before.get_or_insert_with(|| packed.clone());
            assert_eq!(*before, packed, "{options:?}");
        }
    }
}

#[test]
fn a_raw_layer_has_the_digest_of_its_file() {
    let context = context();
    for name in ["a", "b", "d", "h"] {
        let found = context.walk(&[name], "").unwrap();
        let bytes = fs::read(context.path(name)).unwrap();
        for compression in ALL {
            let options = pack::Options {
                threads: 2,
                compression,
                file_digests: true,
                toc: true,
            };
            let out = tempfile::tempfile().unwrap();
            let raw = layer(&found, 0, Shape::Raw);
            let packed = pack::write(raw, &out, &options, &Silent, &Silent).unwrap();
            assert_eq!(packed.files, [Digest::of(&bytes)]);
            assert_eq!(packed.diff_id, Digest::of(&bytes));
            assert_eq!(packed.plain_size, bytes.len() as u64);
        }
    }
}

// hazard: 47
#[test]
fn a_file_that_changes_is_refused_whatever_it_becomes() {
    for compression in ALL {
        for shape in [Shape::Tar, Shape::Raw] {
            let context = Context::new(&[("a", &"x".repeat(6 << 20))]);
            let found = context.walk(&["a"], "").unwrap();
            fs::write(context.path("a"), "y".repeat(6 << 20)).unwrap();
            let options = pack::Options {
                threads: 2,
                compression,
                file_digests: true,
                toc: true,
            };
            let out = tempfile::tempfile().unwrap();
            let error = pack::write(layer(&found, 0, shape), &out, &options, &Silent, &Silent);
            assert!(
                matches!(error, Err(Error::ChangedWhileReading { .. })),
                "{compression:?} {shape:?} {error:?}"
            );
        }
    }
}
