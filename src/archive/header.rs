//! Tar headers exactly as the reference writes them: USTAR where a name fits, PAX where not.
//!
//! The bytes written here decide layer digests, so they come from no library whose next version
//! might choose another encoding. `docs/format.md` holds the field table.

/// The unit of a tar archive in bytes.
pub(super) const BLOCK: usize = 512;
/// The two zero blocks that end an archive, in bytes.
pub(super) const END: usize = 2 * BLOCK;
/// The longest name that fits the name field.
const NAME: usize = 100;
/// The longest prefix that fits the prefix field.
const PREFIX: usize = 155;
/// The largest size that fits the size field: 11 octal digits.
const LARGEST_PLAIN_SIZE: u64 = 0o77_777_777_777;

/// What a header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file of that many bytes.
    File(u64),
    /// A folder.
    Folder,
}

/// Returns `size` rounded up to whole blocks.
pub(super) const fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

/// Pads `out`, whose length was a multiple of a block before, to whole blocks.
pub(super) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// Returns how many bytes [`append`] writes for such an entry, content not counted.
pub(super) fn length(path: &[u8], kind: Kind) -> u64 {
    let records = pax_records(path, kind);
    let blocks = if records.is_empty() {
        BLOCK
    } else {
        2 * BLOCK + records.len().next_multiple_of(BLOCK)
    };
    blocks as u64
}

/// Appends the header blocks of an entry. `path` is relative, with `/` between its parts and none
/// at its end; `mode` holds permission bits only.
pub(super) fn append(out: &mut Vec<u8>, path: &[u8], mode: u32, kind: Kind) {
    let records = pax_records(path, kind);
    if records.is_empty() {
        let (prefix, name) = split(path).unwrap_or((b"", path));
        out.extend_from_slice(&block(name, prefix, mode, kind));
        return;
    }
    let mut name = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => [&path[..slash], b"/PaxHeaders.0/", &path[slash + 1..]].concat(),
        None => [b"PaxHeaders.0/", path].concat(),
    };
    name.retain(u8::is_ascii);
    name.truncate(NAME);
    while name.last() == Some(&b'/') {
        name.pop();
    }
    out.extend_from_slice(&extension_block(&name, records.len() as u64));
    out.extend_from_slice(&records);
    pad(out);
    out.extend_from_slice(&block(&cut(path), b"", mode, kind));
}

/// Returns what of a long or foreign name the name field holds; the whole one is in a record.
fn cut(path: &[u8]) -> Vec<u8> {
    let mut name = path.to_vec();
    name.retain(u8::is_ascii);
    if name.len() > NAME {
        name.truncate(NAME);
        // A cut that ends in `/` would look like a folder to old readers.
        let end = name
            .iter()
            .rposition(|byte| *byte != b'/')
            .map_or(0, |last| last + 1);
        if let Some(slash) = name.get_mut(end) {
            *slash = 0;
        }
    }
    name
}

/// Returns the PAX records that the entry needs, sorted by key; empty if it needs none.
fn pax_records(path: &[u8], kind: Kind) -> Vec<u8> {
    let large = matches!(kind, Kind::File(size) if size > LARGEST_PLAIN_SIZE);
    // A large file takes the PAX way as a whole, and there prefixes are not used.
    let long = if large {
        path.len() > NAME
    } else {
        path.len() > NAME && split(path).is_none()
    };
    let mut records = Vec::new();
    if long || !path.is_ascii() {
        append_record(&mut records, b"path", path);
    }
    if let (true, Kind::File(size)) = (large, kind) {
        append_record(&mut records, b"size", size.to_string().as_bytes());
    }
    records
}

/// Appends `<length> <key>=<value>\n`, where the length counts itself.
fn append_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Splits a long ASCII path into the prefix and name fields; `None` if it is short or cannot be.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME || !path.is_ascii() {
        return None;
    }
    let slash = path[..path.len().min(PREFIX + 1)]
        .iter()
        .rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (slash > 0 && (1..=NAME).contains(&name.len())).then_some((prefix, name))
}

/// Returns the header block of the entry itself.
fn block(name: &[u8], prefix: &[u8], mode: u32, kind: Kind) -> [u8; BLOCK] {
    let (flag, size) = match kind {
        Kind::File(size) if size > LARGEST_PLAIN_SIZE => (b'0', 0),
        Kind::File(size) => (b'0', size),
        Kind::Folder => (b'5', 0),
    };
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    octal(&mut block[100..107], mode.into());
    octal(&mut block[108..115], 1000);
    octal(&mut block[116..123], 0);
    octal(&mut block[124..135], size);
    octal(&mut block[136..147], 0);
    block[156] = flag;
    octal(&mut block[329..336], 0);
    octal(&mut block[337..344], 0);
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    seal(&mut block);
    block
}

/// Returns the header block of an `x` entry whose body is `size` bytes of records. Unlike that of
/// an ordinary entry it has no owner and leaves the device fields empty.
fn extension_block(name: &[u8], size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    for (start, end) in [(100, 107), (108, 115), (116, 123), (136, 147)] {
        octal(&mut block[start..end], 0);
    }
    octal(&mut block[124..135], size);
    block[156] = b'x';
    seal(&mut block);
    block
}

/// Writes the magic and the checksum.
fn seal(block: &mut [u8; BLOCK]) {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..154], sum);
    block[154] = 0;
}

/// Fills `field` with the octal digits of `value`, padded with zeros on the left.
fn octal(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b"01234567"[(value & 7) as usize];
        value >>= 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// An archive of the entries, whose contents are their letters and a line feed.
    fn archive(entries: &[(&str, u32, Option<&str>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (path, mode, content) in entries {
            let kind = content.map_or(Kind::Folder, |content| Kind::File(content.len() as u64));
            let before = out.len() as u64;
            append(&mut out, path.as_bytes(), *mode, kind);
            assert_eq!(out.len() as u64 - before, length(path.as_bytes(), kind));
            out.extend_from_slice(content.unwrap_or("").as_bytes());
            pad(&mut out);
        }
        out.resize(out.len() + END, 0);
        out
    }

    /// The second vector of the reference: odd names, and modes as given.
    fn odd_names(special: [u32; 2]) -> Vec<u8> {
        let (a, b) = ("a".repeat(90), "b".repeat(60));
        let entries = [
            ("m".to_owned(), 0o755, None),
            ("m/B".to_owned(), 0o644, Some("1\n")),
            ("m/_".to_owned(), 0o644, Some("3\n")),
            ("m/a".to_owned(), 0o644, Some("2\n")),
            ("m/a-".to_owned(), 0o755, None),
            ("m/a-/x".to_owned(), 0o644, Some("5\n")),
            ("m/a.d".to_owned(), 0o755, None),
            ("m/a.d/x".to_owned(), 0o644, Some("4\n")),
            (format!("m/{a}"), 0o755, None),
            (format!("m/{a}/{b}"), 0o755, None),
            (format!("m/{a}/{b}/f.txt"), 0o644, Some("x\n")),
            (format!("m/{}.bin", "c".repeat(120)), 0o644, Some("y\n")),
            ("m/empty".to_owned(), 0o755, None),
            ("m/sticky".to_owned(), special[0], None),
            ("m/suid".to_owned(), special[1], Some("s\n")),
            ("m/é ñ.txt".to_owned(), 0o644, Some("z\n")),
            (format!("m/é{}", "c".repeat(120)), 0o644, Some("q\n")),
        ];
        let entries: Vec<_> = entries
            .iter()
            .map(|(path, mode, content)| (path.as_str(), *mode, *content))
            .collect();
        archive(&entries)
    }

    #[test]
    fn an_archive_of_odd_names_is_the_reference_s() {
        let layer = odd_names([0o1777, 0o4755]);
        assert_eq!(layer.len(), 17920);
        assert_eq!(
            Digest::of(&layer).hex(),
            "a30fa7dd741938faed3edf1997601a157c1f6dc8b5aee448962dc8c86de5ad79"
        );
        let layer = odd_names([0o755, 0o755]);
        assert_eq!(
            Digest::of(&layer).hex(),
            "f37fdf880851312f849078a99a6ab0c1c4f178242e0f7c9b609f2cbf0b63f43f"
        );
    }

    #[test]
    fn an_archive_of_a_plain_folder_is_the_reference_s() {
        let layer = archive(&[
            ("data", 0o755, None),
            ("data/d.csv", 0o644, Some("a,b\n1,2\n")),
        ]);
        assert_eq!(
            Digest::of(&layer).hex(),
            "e246df15930c368562ac35abec0420be42299433dbe52cc98d6f7499e35ccf85"
        );
    }

    // hazard: 49
    #[test]
    fn a_file_of_8_gib_takes_a_size_record_and_loses_its_prefix() {
        let mut out = Vec::new();
        append(&mut out, b"big", 0o644, Kind::File(LARGEST_PLAIN_SIZE));
        assert_eq!(out.len(), 512);
        assert_eq!(&out[124..136], b"77777777777\0");

        out.clear();
        let long = [&[b'd'; 90][..], b"/", &[b'f'; 90]].concat();
        append(&mut out, &long, 0o644, Kind::File(LARGEST_PLAIN_SIZE + 1));
        assert_eq!(out.len(), 1536);
        let expected = format!(
            "191 path={}\n19 size=8589934592\n",
            String::from_utf8(long.clone()).unwrap()
        );
        assert_eq!(&out[512..512 + expected.len()], expected.as_bytes());
        assert_eq!(&out[1024 + 124..1024 + 136], b"00000000000\0");
        assert_eq!(out[1024 + 345], 0);
    }

    #[test]
    fn a_name_cut_behind_a_slash_does_not_end_in_it() {
        let long = format!("{}/{}", "d".repeat(99), "é".repeat(3));
        assert_eq!(
            cut(long.as_bytes()),
            format!("{}/", "d".repeat(99)).as_bytes()
        );
        let long = format!("{}/{}x", "d".repeat(99), "é".repeat(3));
        assert_eq!(
            cut(long.as_bytes()),
            format!("{}\0", "d".repeat(99)).as_bytes()
        );
        let long = format!("{}/é/x", "d".repeat(98));
        assert_eq!(
            cut(long.as_bytes()),
            format!("{}\0/", "d".repeat(98)).as_bytes()
        );
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for length in [90, 91, 92, 93, 94, 95, 990, 991, 992, 993] {
            let mut records = Vec::new();
            append_record(&mut records, b"path", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            let (count, _) = text.split_once(' ').unwrap();
            assert_eq!(count.parse(), Ok(text.len()), "{length}");
        }
    }
}
