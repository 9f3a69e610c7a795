//! Tables of contents: what is accepted is written again as the same bytes, and all that is read from
//! it lies in its layer.

use modelkit::{
    archive::between::{Segment, Segments},
    chunk::MAX_CHUNK,
    toc::{Form, Root, Table, TableBuilder},
};

/// Reads the input as a root, and as a table.
pub(super) fn check(input: &[u8]) -> bool {
    let root = Root::parse(input);
    if let Ok(root) = &root {
        assert_eq!(root.to_bytes(), input);
        let mut end = input.len() as u64;
        for position in root.tables() {
            let range = root.layers()[position].range().unwrap();
            assert_eq!(range.start, end);
            assert!(range.end > range.start);
            end = range.end;
        }
        assert_eq!(end, root.size());
    }
    let table = Table::parse(input.to_vec());
    if let Ok(table) = &table {
        check_table(table);
        assert!(root.is_err(), "one cannot be taken for the other");
    }
    root.is_ok() || table.is_ok()
}

fn check_table(table: &Table) {
    let mut builder = TableBuilder::new(table.form());
    let (mut entries, mut count, mut end) = (table.entries(), 0, 0);
    while let Some(entry) = entries.next() {
        count += 1;
        if !entry.is_file() {
            assert_eq!((entry.size, entry.chunks().count()), (0, 0));
            builder.folder(entry.path.as_bytes(), entry.mode);
            continue;
        }
        builder.file(entry.path.as_bytes(), entry.mode, entry.offset, entry.size);
        assert!(entry.offset >= end);
        end = entry.offset;
        for placed in entry.chunks() {
            assert_eq!(placed.offset, end);
            assert!((1..=MAX_CHUNK).contains(&placed.chunk.length));
            end += u64::from(placed.chunk.length);
            builder.chunk(&placed.chunk);
        }
        assert_eq!(end, entry.offset + entry.size);
        assert!(end <= table.plain_size());
        let first = table.find(entry.path).unwrap();
        assert_eq!(first.path, entry.path);
    }
    assert_eq!(count, table.len());
    let again = builder.finish(table.plain_size()).unwrap();
    assert_eq!(again.as_bytes(), table.as_bytes());
    let mut segments = Segments::new(table);
    let mut at = 0;
    loop {
        assert_eq!(segments.offset(), at);
        match segments.next() {
            Ok(Some(segment)) => {
                assert!(segment.length() > 0);
                let is_unknown = matches!(segment, Segment::Unknown(_));
                assert!(!is_unknown || table.form() == Form::Other);
                at += segment.length();
            }
            Ok(None) => return assert_eq!(at, table.plain_size()),
            Err(_) => return assert_eq!(table.form(), Form::Plain),
        }
    }
}

/// Returns inputs that are accepted, and some that are not.
pub(super) fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let hash = [7; 32];
    let table = |form: u8, entries: u8, size: u8, rest: &[&[u8]]| {
        let mut bytes = vec![form, 0, 0, 0, entries, 0, 0, 0, 0, size, 0, 0, 0, 0, 0, 0];
        bytes.extend(rest.concat());
        bytes
    };
    let mut root = b"kittoc/1\x01\0\0\0".to_vec();
    root.extend([1; 32]);
    root.extend([
        0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0,
    ]);
    root.extend([2; 32]);
    let folder: &[u8] = &[2, 0, 1, b'a'];
    let file: &[u8] = &[0, 1, 2, b'/', b'b', 5, 0x80, 8];
    let moded: &[u8] = &[3, 0, 1, 1, 3, 0xc3, 0xa9, b'x', 0];
    let accepted = vec![
        root.clone(),
        table(0, 0, 4, &[]),
        table(0, 2, 10, &[folder, file, &hash]),
        table(1, 3, 20, &[folder, file, &hash, moded]),
        table(2, 1, 0, &[&[0, 0, 0, 0]]),
    ];
    let refused = vec![
        root[1..].to_vec(),
        table(3, 0, 4, &[]),
        table(0, 2, 4, &[folder, file, &hash]),
        table(0, 2, 10, &[folder, file, &hash[1..]]),
        table(2, 2, 10, &[folder, file, &hash]),
    ];
    (accepted, refused)
}
