//! The table of a layer tells what is where in it, whoever makes it and however.

use std::{fs, io::Cursor};

use super::{packing::ALL, *};
use crate::{
    archive::{
        decompress::{self, Bounds, Decompressed},
        pack::{Compression, Packed},
        tabulate::{self, Tabulated},
    },
    chunk::ChunkHash,
    limits::Limits,
    toc::{Absence, Form, Table},
};

fn packed(
    found: &Found,
    shape: Shape,
    compression: Compression,
    threads: usize,
) -> (Packed, Vec<u8>) {
    let options = pack::Options {
        threads,
        compression,
        file_digests: threads == 2,
        toc: true,
    };
    let out = tempfile::NamedTempFile::new().unwrap();
    let layer = layer(found, 0, shape);
    let packed = pack::write(layer, out.as_file(), &options, &Silent, &Silent).unwrap();
    if compression == Compression::None {
        let measured = pack::measure(layer, &options, &Silent, &Silent).unwrap();
        assert_eq!(packed, measured);
    }
    (packed, fs::read(out.path()).unwrap())
}

fn open(bytes: &[u8], compression: Compression) -> Decompressed<Cursor<&[u8]>> {
    let compression = match compression {
        Compression::None => decompress::Compression::None,
        Compression::Gzip | Compression::GzipFastest => decompress::Compression::Gzip,
        Compression::Zstd => decompress::Compression::Zstd,
    };
    let bounds = Bounds::of(bytes.len() as u64, None, &Limits::default());
    Decompressed::new(Cursor::new(bytes), compression, bounds).unwrap()
}

/// Checks that each chunk of the table is what is at its place.
fn check(table: &Table, plain: &[u8]) {
    assert_eq!(table.plain_size(), plain.len() as u64);
    for placed in table.chunks() {
        let start = usize::try_from(placed.offset).unwrap();
        let content = &plain[start..start + placed.chunk.length as usize];
        assert_eq!(ChunkHash::of(content), placed.chunk.hash);
    }
}

#[test]
fn a_layer_has_one_table_however_it_is_packed_and_read() {
    let context = packing::context();
    let found = context.walk(&["."], "").unwrap();
    let (_, plain) = packed(&found, Shape::Tar, Compression::None, 1);
    let mut first: Option<Table> = None;
    for compression in [Compression::None, Compression::Zstd] {
        for threads in [1, 2, 5] {
            let (packed, bytes) = packed(&found, Shape::Tar, compression, threads);
            let table = packed.table.unwrap().unwrap();
            check(&table, &plain);
            assert_eq!(table.form(), Form::Plain);
            let read = tabulate::archive(open(&bytes, compression), &Silent).unwrap();
            let expected = Tabulated {
                table: Ok(table.clone()),
                digest: packed.digest,
                size: packed.size,
            };
            assert!(read == expected, "{compression:?} {threads}");
            let first = first.get_or_insert_with(|| table.clone());
            assert!(*first == table, "{compression:?} {threads}");
        }
    }
    let table = first.unwrap();
    let paths = names(&found, 0);
    assert_eq!(table.len(), paths.len());
    let mut entries = table.entries();
    for path in paths {
        let entry = entries.next().unwrap();
        assert_eq!(entry.path, path);
        assert_eq!(entry.size, fs::metadata(context.path(&path)).unwrap().len());
    }
}

#[test]
fn a_raw_layer_has_one_table_however_it_is_packed_and_read() {
    let context = packing::context();
    for name in ["a", "b", "d", "h"] {
        let found = context.walk(&[name], "").unwrap();
        let plain = fs::read(context.path(name)).unwrap();
        for compression in ALL {
            let (packed, bytes) = packed(&found, Shape::Raw, compression, 2);
            let table = packed.table.unwrap().unwrap();
            check(&table, &plain);
            assert_eq!((table.form(), table.len()), (Form::Raw, 1));
            let size = plain.len() as u64;
            let read = tabulate::raw(open(&bytes, compression), size, &Silent).unwrap();
            assert!(read.table == Ok(table));
            let read = tabulate::raw(open(&bytes, compression), size + 1, &Silent).unwrap();
            assert_eq!(read.table, Err(Absence::Foreign));
        }
    }
}

#[test]
fn folders_stand_in_a_table_where_they_stand_in_the_archive() {
    let context = Context::new(&[("a/b/c", "x"), ("a/d", "y"), ("e/f", "")]);
    fs::create_dir_all(context.path("a/empty")).unwrap();
    fs::create_dir_all(context.path("z/last")).unwrap();
    let found = context.walk(&["."], "").unwrap();
    let (packed, bytes) = packed(&found, Shape::Tar, Compression::None, 2);
    let table = packed.table.unwrap().unwrap();
    check(&table, &bytes);
    let mut entries = table.entries();
    for path in names(&found, 0) {
        let entry = entries.next().unwrap();
        assert_eq!(entry.path, path.trim_end_matches('/'));
        assert_eq!(entry.is_file(), !path.ends_with('/'));
    }
    assert!(entries.next().is_none());
}

/// Returns an archive of GNU tar's form, with what `change` does to it.
fn foreign(change: impl Fn(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [("./a/b", &b"beta"[..]), ("c", b"")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, path, content).unwrap();
    }
    change(&mut builder);
    builder.into_inner().unwrap()
}

#[test]
fn an_archive_of_others_has_a_table_that_says_so() {
    let bytes = foreign(|_| {});
    let read = tabulate::archive(open(&bytes, Compression::None), &Silent).unwrap();
    assert_eq!(
        (read.digest, read.size),
        (Digest::of(&bytes), bytes.len() as u64)
    );
    let table = read.table.unwrap();
    check(&table, &bytes);
    assert_eq!((table.form(), table.len()), (Form::Other, 2));
    let entry = table.find("a/b").unwrap();
    assert_eq!((entry.mode, entry.size), (0o600, 4));

    // One of ours with more zeros behind it is none of ours.
    let context = Context::new(&[("a", "x")]);
    let found = context.walk(&["."], "").unwrap();
    let (_, mut bytes) = packed(&found, Shape::Tar, Compression::None, 1);
    let read = |bytes: &[u8]| {
        let read = tabulate::archive(open(bytes, Compression::None), &Silent);
        read.unwrap().table.unwrap().form()
    };
    assert_eq!(read(&bytes), Form::Plain);
    // Padding is no content, and not looked at by who unpacks.
    bytes[512 + 300] = 1;
    assert_eq!(read(&bytes), Form::Other);
    bytes[512 + 300] = 0;
    bytes.resize(bytes.len() + 512, 0);
    assert_eq!(read(&bytes), Form::Other);
}

#[test]
fn what_cannot_be_unpacked_has_no_table() {
    let link = foreign(|builder| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "link", "a/b").unwrap();
    });
    let whole = foreign(|_| {});
    for bytes in [&link[..], &whole[..700], b"no archive"] {
        let read = tabulate::archive(open(bytes, Compression::None), &Silent).unwrap();
        assert_eq!(read.table, Err(Absence::Foreign));
        assert_eq!(
            (read.digest, read.size),
            (Digest::of(bytes), bytes.len() as u64)
        );
    }
}
