use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    chunk::{Chunk, ChunkHash, Chunker, FileDigest, Grain},
    digest::Digest,
    oci::{Descriptor, Encoding, Manifest, annotation, media_type},
};

/// Adds a file with content that is all of one byte.
fn file(builder: &mut TableBuilder, path: &str, mode: u16, offset: u64, content: &[u8]) {
    let size = content.len() as u64;
    builder.file(path.as_bytes(), mode, offset, size);
    let mut chunker = Chunker::new(Grain::of(size));
    chunker.push(content, |chunk| builder.chunk(&chunk));
    if let Some(chunk) = chunker.finish() {
        builder.chunk(&chunk);
    }
}

/// An archive with a bit of everything.
fn table() -> Table {
    let mut builder = TableBuilder::new(Form::Plain);
    builder.folder(b"data", 0o755);
    file(&mut builder, "data/a", 0o644, 1024, b"alpha");
    file(&mut builder, "data/a.sh", 0o755, 2048, b"#!/bin/sh");
    file(&mut builder, "data/empty", 0o600, 0, b"");
    builder.folder("data/é".as_bytes(), 0o1777);
    file(
        &mut builder,
        "data/è",
        0o4755,
        4096,
        &vec![7; (1 << 20) + 5],
    );
    builder.finish(2 << 20).unwrap()
}

fn raw(content: &[u8]) -> Table {
    let mut builder = TableBuilder::new(Form::Raw);
    file(&mut builder, "", 0o644, 0, content);
    builder.finish(content.len() as u64).unwrap()
}

/// Makes the table again of what is read from it.
fn again(table: &Table) -> Table {
    let mut builder = TableBuilder::new(table.form());
    let mut entries = table.entries();
    while let Some(entry) = entries.next() {
        if entry.is_file() {
            builder.file(entry.path.as_bytes(), entry.mode, entry.offset, entry.size);
            entry.chunks().for_each(|it| builder.chunk(&it.chunk));
        } else {
            builder.folder(entry.path.as_bytes(), entry.mode);
        }
    }
    builder.finish(table.plain_size()).unwrap()
}

fn manifest(layers: &[(Encoding, &[u8])]) -> Manifest {
    let layer = |(encoding, content): &(Encoding, &[u8])| {
        let kind = format!(
            "application/vnd.kitops.modelkit.code.v1.{}",
            encoding.name()
        );
        Descriptor::of(&kind, content)
    };
    Manifest {
        artifact_type: None,
        config: Descriptor::of(media_type::CONFIG, b"{}"),
        layers: layers.iter().map(layer).collect(),
        annotations: BTreeMap::new(),
        subject: None,
    }
}

/// A manifest of five layers, with what it says about its table of contents, and that.
fn kit() -> (Manifest, Assembled) {
    let plain = vec![0; 2 << 20];
    let mut manifest = manifest(&[
        (Encoding::Tar, &plain),
        (Encoding::Raw, b"weights"),
        (Encoding::TarZstd, b"names that are not UTF-8"),
        (Encoding::Raw, b"weights"),
        (Encoding::RawGzip, b"weights"),
    ]);
    let (tar, file) = (table(), raw(b"weights"));
    let tables = [
        Ok(&tar),
        Ok(&file),
        Err(Absence::Names),
        Ok(&file),
        Ok(&file),
    ];
    let layers = manifest.layers.iter().zip(tables);
    let contents: Vec<Content<'_>> = layers
        .map(|(layer, table)| Content {
            digest: layer.digest,
            size: layer.size,
            encoding: crate::oci::LayerType::parse(&layer.media_type)
                .unwrap()
                .encoding,
            table,
        })
        .collect();
    let assembled = assemble(&contents);
    assembled.toc.annotate(&mut manifest.annotations);
    (manifest, assembled)
}

#[test]
fn a_table_gives_back_what_was_put_in() {
    let table = table();
    let mut entries = table.entries();
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        found.push((
            entry.path.to_owned(),
            entry.mode,
            entry.is_file(),
            entry.offset,
            entry.size,
            entry.chunks().count(),
        ));
    }
    let expected = [
        ("data", 0o755, false, 0, 0, 0),
        ("data/a", 0o644, true, 1024, 5, 1),
        ("data/a.sh", 0o755, true, 2048, 9, 1),
        ("data/empty", 0o600, true, 2057, 0, 0),
        ("data/é", 0o1777, false, 2057, 0, 0),
        ("data/è", 0o4755, true, 4096, (1 << 20) + 5, 5),
    ];
    let expected = expected.map(|(path, mode, is_file, offset, size, chunks)| {
        (path.to_owned(), mode, is_file, offset, size, chunks)
    });
    assert_eq!(found, expected);
    assert_eq!(table.len(), expected.len());
    assert_eq!(again(&table), table);

    let entry = table.find("data/a").unwrap();
    let alpha = Chunk {
        length: 5,
        hash: ChunkHash::of(b"alpha"),
    };
    assert_eq!(entry.path, "data/a");
    assert_eq!(entry.digest(), FileDigest::of([alpha]));
    assert!(table.find("data/b").is_none() && table.find("").is_none());
    let chunks: Vec<PlacedChunk> = table.chunks().collect();
    assert_eq!(chunks.len(), 7);
    assert_eq!((chunks[0].offset, chunks[0].chunk), (1024, alpha));
    let end = chunks.last().unwrap();
    assert_eq!(
        end.offset + u64::from(end.chunk.length),
        4096 + (1 << 20) + 5
    );
}

/// If this fails, kits have other digests.
#[test]
fn the_bytes_of_tables_never_change() {
    let (_, assembled) = kit();
    let digests = [
        Digest::of(table().as_bytes()),
        Digest::of(raw(b"").as_bytes()),
        assembled.toc.root_digest,
        assembled.toc.digest,
    ];
    assert_eq!(
        digests.map(|digest| digest.hex()),
        [
            "0d96b4e3e1705e4a1dbb9ffb11adb11e52e73c95639d0da09deacff7c79a97f4",
            "26b280b5b7650ec0467533b2d91620f2de0df70c4b3bc4f7a4003376811cbbe0",
            "abed306054874054bac28b6c5373d02c5268bff026378cb162bca74b5fc47cf1",
            "d06109805ad3804f4a529e1de25f44cfb67c1e8781edec29760d322cc565720a",
        ]
    );
}

#[test]
fn each_part_is_opened_by_what_the_part_before_says() {
    let (manifest, Assembled { bytes, toc }) = kit();
    assert_eq!(TocRef::of(&manifest), Ok(Some(toc)));
    assert_eq!(toc.size, bytes.len() as u64);
    assert_eq!(toc.descriptor(), Descriptor::of(media_type::TOC, &bytes));
    let root_size = usize::try_from(toc.root_size).unwrap();
    let root = Root::open(&toc, &manifest, &bytes[..root_size]).unwrap();
    assert_eq!(root.tables().collect::<Vec<_>>(), [0, 1, 4]);
    let part = |position: usize| {
        let range = root.layers()[position].range().unwrap();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        bytes[range].to_vec()
    };
    assert_eq!(root.layers()[0].open(part(0)), Ok(table()));
    for position in [1, 3, 4] {
        assert_eq!(
            root.layers()[position].open(part(position)),
            Ok(raw(b"weights"))
        );
    }
    assert_eq!(root.layers()[1], root.layers()[3]);
    assert_eq!(root.layers()[2].table, Err(Absence::Names));

    // What belongs elsewhere is not taken.
    for (position, bytes) in [(0, part(1)), (1, part(0)), (2, part(1)), (0, Vec::new())] {
        assert!(root.layers()[position].open(bytes).is_err());
    }
    assert!(Root::open(&toc, &manifest, &bytes).is_err());
}

#[test]
fn a_root_of_another_manifest_is_refused() {
    let (manifest, Assembled { bytes, toc }) = kit();
    let root = &bytes[..usize::try_from(toc.root_size).unwrap()];
    let changes: [&dyn Fn(&mut Manifest); 5] = [
        &|it| it.layers.truncate(4),
        &|it| it.layers.swap(0, 1),
        &|it| it.layers[0].size += 1,
        &|it| it.layers[0].digest = Digest::of(b"other"),
        &|it| it.layers[0].media_type = it.layers[1].media_type.clone(),
    ];
    Root::open(&toc, &manifest, root).unwrap();
    for change in changes {
        let mut other = manifest.clone();
        change(&mut other);
        let found = Root::open(&toc, &other, root);
        assert!(matches!(found, Err(Error::OtherLayers { .. })), "{found:?}");
    }
    let longer = TocRef {
        size: toc.size + 1,
        ..toc
    };
    assert!(Root::open(&longer, &manifest, root).is_err());
}

#[test]
fn annotations_are_read_as_they_are_written_and_in_no_other_way() {
    let (manifest, Assembled { toc, .. }) = kit();
    let mut stripped = manifest.clone();
    assert!(TocRef::strip(&mut stripped.annotations));
    assert!(!TocRef::strip(&mut stripped.annotations));
    assert_eq!(TocRef::of(&stripped), Ok(None));
    let keys = [
        annotation::TOC_DIGEST,
        annotation::TOC_SIZE,
        annotation::TOC_ROOT_DIGEST,
        annotation::TOC_ROOT_SIZE,
    ];
    for key in keys {
        let mut without = manifest.clone();
        without.annotations.remove(key);
        assert_eq!(TocRef::of(&without), Err(Error::MissingAnnotation { key }));
    }
    let digest = toc.digest.to_string();
    for (key, values) in [
        (keys[0], ["", "sha256:", &digest[1..]]),
        (keys[1], ["", "+900", "99999999999999999999"]),
        (keys[1], ["0900", "451", "1099511627776"]),
        (keys[2], ["sha512:00", "x", "SHA256:00"]),
        (keys[3], ["451", "453", " 452"]),
    ] {
        for value in values {
            let mut wrong = manifest.clone();
            wrong.annotations.insert(key.to_owned(), value.to_owned());
            let found = TocRef::of(&wrong);
            assert!(
                matches!(found, Err(Error::Annotation { .. })),
                "{key} {value}"
            );
        }
    }
}

type Build<'b> = &'b dyn Fn(&mut TableBuilder);

#[test]
fn a_builder_gives_up_on_what_a_table_cannot_tell() {
    let give_up = |build: &dyn Fn(&mut TableBuilder)| {
        let mut builder = TableBuilder::new(Form::Plain);
        builder.folder(b"before", 0o755);
        build(&mut builder);
        file(&mut builder, "later", 0o644, 1 << 20, b"x");
        builder.finish(2 << 20).unwrap_err()
    };
    let long = "x/".repeat(2500);
    let cases: [(Absence, Build<'_>); 7] = [
        (Absence::Names, &|it| it.folder(b"\xff", 0o755)),
        (Absence::Foreign, &|it| it.folder(long.as_bytes(), 0o755)),
        (Absence::Foreign, &|it| it.folder(b"a//b", 0o755)),
        (Absence::Foreign, &|it| it.folder(b"../b", 0o755)),
        (Absence::Foreign, &|it| it.folder(b"", 0o755)),
        (Absence::Foreign, &|it| it.folder(b"a", 0o10000)),
        (Absence::Foreign, &|it| file(it, "a", 0o644, 3 << 20, b"x")),
    ];
    for (absence, build) in cases {
        assert_eq!(give_up(build), absence);
    }
    let mut builder = TableBuilder::new(Form::Plain);
    file(&mut builder, "a", 0o644, 1024, b"x");
    file(&mut builder, "b", 0o644, 1024, b"x");
    assert!(builder.has_given_up());
    assert_eq!(builder.finish(4096), Err(Absence::Foreign));
}

/// Bytes of tables and roots with a fault in each, and where it is found.
#[test]
fn what_is_written_in_another_way_is_refused() {
    let head = |form: u8, entries: u8, size: u8| {
        let mut bytes = vec![0; 16];
        (bytes[0], bytes[4], bytes[8]) = (form, entries, size);
        bytes
    };
    let hash = [9; 32];
    let with = |mut bytes: Vec<u8>, rest: &[&[u8]]| {
        bytes.extend(rest.concat());
        bytes
    };
    let one = [0, 0, 1, b'a', 1, 0];
    for good in [
        head(0, 0, 0),
        head(1, 0, 9),
        with(head(0, 1, 1), &[&one, &hash]),
        with(head(2, 1, 1), &[&[0, 0, 0, 1, 0], &hash]),
        with(head(2, 1, 0), &[&[0, 0, 0, 0]]),
        with(head(0, 2, 1), &[&[2, 0, 1, b'a', 2, 1, 2], b"/b"]),
        with(head(0, 2, 1), &[&[2, 0, 1, b'a', 2, 1, 0]]),
    ] {
        let table = Table::parse(good.clone()).unwrap();
        assert_eq!(again(&table).as_bytes(), good);
    }
    for bad in [
        Vec::new(),
        head(3, 0, 0),
        vec![0; 15],
        with(head(0, 0, 0), &[&[0]]),
        [&[0, 0, 0, 1][..], &[0; 12]].concat(),
        [&[0, 0, 0, 0, 0, 0, 0, 255][..], &[0; 8]].concat(),
        [&[0; 8][..], &[255; 8]].concat(),
        // One entry: cut off, of no kind, an odd mode, a number in too many bytes.
        with(head(0, 1, 1), &[&one, &hash[1..]]),
        with(head(0, 1, 1), &[&[5, 0, 1, b'a']]),
        with(head(0, 1, 1), &[&[4, 0o355, 1, 0, 1, b'a']]),
        with(head(0, 1, 1), &[&[4, 0, 0x10, 0, 1, b'a']]),
        with(head(0, 1, 1), &[&[2, 0x80, 0, 1, b'a']]),
        // Paths.
        with(head(0, 1, 1), &[&[2, 1, 1, b'a']]),
        with(head(0, 1, 1), &[&[2, 0, 0]]),
        with(head(0, 1, 1), &[&[2, 0, 1, b'/']]),
        with(head(0, 1, 1), &[&[2, 0, 2, b'a', 0]]),
        with(head(0, 1, 1), &[&[2, 0, 2, b'.', b'.']]),
        with(head(0, 1, 1), &[&[2, 0, 1, 0xff]]),
        with(head(0, 2, 1), &[&[2, 0, 1, b'a', 2, 0, 2], b"ab"]),
        with(head(0, 2, 1), &[&[2, 0, 1, b'a', 2, 1, 1], b"/"]),
        with(
            head(0, 2, 1),
            &[&[2, 0, 2], "é".as_bytes(), &[2, 1, 1, 0xa8]],
        ),
        // Contents outside the layer, of no length.
        with(head(0, 1, 0), &[&one, &hash]),
        with(head(0, 1, 1), &[&[0, 0, 1, b'a', 1, 1], &hash]),
        with(head(0, 1, 1), &[&[0, 0, 1, b'a', 0], &hash]),
        // Raw: not one file, not all of it, with a path or mode.
        head(2, 0, 0),
        with(head(2, 1, 2), &[&[0, 0, 0, 1, 0], &hash]),
        with(head(2, 1, 1), &[&one, &hash]),
        with(head(2, 1, 1), &[&[1, 0, 0, 1, 0], &hash]),
        with(head(2, 1, 0), &[&[2, 0, 0]]),
    ] {
        assert!(Table::parse(bad.clone()).is_err(), "{bad:?}");
    }
    // Chunks of a file of 1 MiB and a bit: too short in the middle, too long, beyond the end.
    let size = (1 << 20) + 5;
    for lengths in [
        &[32_767, size - 32_767][..],
        &[262_145],
        &[0],
        &[262_144, 262_144, 262_144, 262_144, 6],
    ] {
        let mut builder = TableBuilder::new(Form::Plain);
        builder.file(b"a", 0o644, 512, size.into());
        for length in lengths {
            let hash = ChunkHash::of(b"");
            builder.chunk(&Chunk {
                length: *length,
                hash,
            });
        }
        assert_eq!(builder.finish(2 << 20), Err(Absence::Foreign));
    }
}

#[test]
fn no_bit_of_a_root_can_be_another() {
    let (_, Assembled { bytes, toc }) = kit();
    let bytes = &bytes[..usize::try_from(toc.root_size).unwrap()];
    let root = Root::parse(bytes).unwrap();
    assert_eq!(root.to_bytes(), bytes);
    for end in 0..bytes.len() {
        assert!(Root::parse(&bytes[..end]).is_err());
    }
    for bit in 0..8 * bytes.len() {
        let mut other = bytes.to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parsed) = Root::parse(&other) {
            assert!(parsed != root && parsed.to_bytes() == other, "bit {bit}");
        }
    }
}

#[test]
fn no_bit_of_a_table_can_be_another() {
    let table = table();
    for end in 0..table.as_bytes().len() {
        assert!(Table::parse(table.as_bytes()[..end].to_vec()).is_err());
    }
    for bit in 0..8 * table.as_bytes().len() {
        let mut other = table.as_bytes().to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parsed) = Table::parse(other.clone()) {
            assert!(again(&parsed).as_bytes() == other, "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_the_same(
        form in 0..4_u8,
        entries in 0..4_u8,
        rest in prop::collection::vec(prop_oneof![0..6_u8, Just(b'a'), Just(b'/'), any::<u8>()], 0..200),
    ) {
        let mut bytes = vec![form, 0, 0, 0, entries, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        bytes.extend(rest);
        // As far as it goes, so that more than the empty table is ever read.
        for end in (16..=bytes.len()).rev() {
            if let Ok(table) = Table::parse(bytes[..end].to_vec()) {
                prop_assert!(again(&table).as_bytes() == &bytes[..end]);
            }
        }
        let _ = Root::parse(&bytes);
    }

    #[test]
    fn any_tree_comes_back(
        paths in prop::collection::vec("[aé漢]{1,3}(/[aé漢]{1,3}){0,2}", 0..12),
        modes in prop::collection::vec(0..=0o7777_u16, 12),
        sizes in prop::collection::vec(0..2000_usize, 12),
    ) {
        let mut builder = TableBuilder::new(Form::Other);
        let mut expected = Vec::new();
        let mut end = 0;
        for ((path, mode), size) in paths.iter().zip(modes).zip(sizes) {
            if size % 7 == 0 {
                builder.folder(path.as_bytes(), mode);
                expected.push((path.clone(), mode, None));
            } else {
                end += 512;
                file(&mut builder, path, mode, end, &vec![1; size]);
                expected.push((path.clone(), mode, Some((end, size as u64))));
                end += size as u64;
            }
        }
        let table = builder.finish(end).unwrap();
        let mut found = Vec::new();
        let mut entries = table.entries();
        while let Some(entry) = entries.next() {
            let content = entry.is_file().then_some((entry.offset, entry.size));
            found.push((entry.path.to_owned(), entry.mode, content));
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(again(&table), table);
    }
}
