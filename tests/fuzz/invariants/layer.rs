//! Archives: read in one way only, whatever the pieces the bytes come in, and as another reader
//! understands them.

use std::io::{self, Read};

use modelkit::{
    archive::unpack::{Entry, Kind, TarReader},
    digest::Digest,
};

/// An entry and its content.
pub(super) type Entries = Vec<(Entry, Vec<u8>)>;

pub(super) fn check(input: &[u8]) -> bool {
    let whole = read(input);
    let slowly = read(Pieces {
        rest: input,
        count: 0,
    });
    assert_eq!(whole, slowly, "the pieces make a difference");
    let Ok((entries, digest, size)) = whole else {
        return false;
    };
    assert_eq!(digest, Digest::of(input), "not every byte was read");
    assert_eq!(size, input.len() as u64);
    for (entry, content) in &entries {
        check_entry(entry, content);
    }
    compare(input, &entries);
    true
}

/// Reads an archive; an error as text, for two to be compared.
pub(super) fn read(read: impl Read) -> Result<(Entries, Digest, u64), String> {
    let mut tar = TarReader::new(read);
    let mut entries = Vec::new();
    let mut next = || -> Result<bool, modelkit::archive::Error> {
        let Some(entry) = tar.next_entry()? else {
            return Ok(false);
        };
        let mut content = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match tar.read_content(&mut buffer)? {
                0 => break,
                read => content.extend_from_slice(&buffer[..read]),
            }
        }
        entries.push((entry, content));
        Ok(true)
    };
    loop {
        match next() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    let sums = tar.finish().map_err(|error| error.to_string())?;
    Ok((entries, sums.digest, sums.size))
}

/// Gives few bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    count: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.count += 1;
        let most = [513, 1, 510, 7][self.count % 4].min(into.len());
        self.rest.read(&mut into[..most])
    }
}

fn check_entry(entry: &Entry, content: &[u8]) {
    let path = entry.path.escape_ascii();
    let parts = || entry.path.split(|byte| *byte == b'/');
    assert!(
        parts().all(|part| !matches!(part, b"" | b"." | b"..")) || entry.path.is_empty(),
        "`{path}` is not clean"
    );
    assert!(!entry.path.contains(&0), "`{path}` has a NUL");
    assert!(entry.path.len() <= 4096 && parts().all(|part| part.len() <= 255));
    assert_eq!(content.len() as u64, entry.size, "{path}");
    assert!(entry.mode <= 0o7777);
    match entry.kind {
        Kind::File => assert!(!entry.path.is_empty(), "a file without a name"),
        Kind::Folder => assert!(content.is_empty(), "`{path}` is a folder with content"),
    }
}

/// What is accepted here must be the same to a reader that accepts nearly everything.
fn compare(input: &[u8], entries: &Entries) {
    let mut archive = tar::Archive::new(input);
    let mut others = archive
        .entries()
        .expect("the archive is read from its start")
        .map(|entry| entry.expect("what is accepted is readable to others"))
        .filter(|entry| !entry.header().entry_type().is_pax_global_extensions());
    for (ours, content) in entries {
        let mut theirs = others.next().expect("others see the entry too");
        let raw = theirs.path_bytes().into_owned();
        let parts: Vec<&[u8]> = raw
            .split(|byte| *byte == b'/')
            .filter(|part| !matches!(*part, b"" | b"."))
            .collect();
        let path = ours.path.escape_ascii();
        assert_eq!(parts.join(&b'/'), ours.path, "the name of `{path}`");
        assert_eq!(theirs.size(), ours.size, "the size of `{path}`");
        let kind = match theirs.header().entry_type() {
            tar::EntryType::Directory => Kind::Folder,
            // How archives told a folder before there was a type for it.
            tar::EntryType::Regular if raw.ends_with(b"/") => Kind::Folder,
            tar::EntryType::Regular => Kind::File,
            other => panic!("`{path}` is {other:?} to others"),
        };
        assert_eq!(kind, ours.kind, "the kind of `{path}`");
        let mut bytes = Vec::new();
        theirs
            .read_to_end(&mut bytes)
            .expect("what is accepted is readable to others");
        assert!(bytes == *content, "the content of `{path}`");
    }
    assert!(others.next().is_none(), "others see more entries");
}
