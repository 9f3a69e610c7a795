//! Checks that a file is an MCP bundle: a ZIP archive with a `manifest.json` in its root.
//!
//! Only the list of entries at the archive's end is read; nothing is decompressed.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use crate::platform;

/// The end record without its comment, in bytes, and the longest comment.
const END_LENGTH: u64 = 22;
const MAX_COMMENT: u64 = 0xffff;
/// The largest list of entries that is read, in bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum NotABundle {
    /// A folder, or a path at which several files are packed.
    #[error("it is not a single file")]
    NotAFile,
    /// No end record, or one that does not fit the file.
    #[error("it is not a ZIP archive")]
    NotZip,
    /// The list of entries is damaged or too long.
    #[error("its list of entries is damaged")]
    BadList,
    /// No `manifest.json` in the root.
    #[error("it holds no manifest.json")]
    NoManifest,
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks the file at `path`.
///
/// # Errors
///
/// Why it is not a bundle.
pub fn check_path(path: &std::path::Path) -> Result<(), NotABundle> {
    check(&platform::open_to_read(path, true)?)
}

/// Checks `file`, whose position is moved.
///
/// # Errors
///
/// Why it is not a bundle.
pub fn check(file: &File) -> Result<(), NotABundle> {
    let length = file.metadata()?.len();
    let (list_at, list_length) = find_list(file, length)?;
    if list_length > MAX_LIST || list_at.saturating_add(list_length) > length {
        return Err(NotABundle::BadList);
    }
    let mut list = file;
    list.seek(SeekFrom::Start(list_at))?;
    let mut list = BufReader::new(list.take(list_length));
    let mut record = [0; 46];
    loop {
        if list.buffer().is_empty() && list.get_ref().limit() == 0 {
            return Err(NotABundle::NoManifest);
        }
        read(&mut list, &mut record)?;
        if record[..4] != *b"PK\x01\x02" {
            return Err(NotABundle::BadList);
        }
        let mut name = vec![0; usize::from(short(&record[28..]))];
        read(&mut list, &mut name)?;
        if name == b"manifest.json" {
            return Ok(());
        }
        let rest = u64::from(short(&record[30..])) + u64::from(short(&record[32..]));
        let skipped = io::copy(&mut list.by_ref().take(rest), &mut io::sink())?;
        if skipped != rest {
            return Err(NotABundle::BadList);
        }
    }
}

/// Returns where the list of entries is and how long.
fn find_list(mut file: &File, length: u64) -> Result<(u64, u64), NotABundle> {
    let start = length.saturating_sub(END_LENGTH + MAX_COMMENT);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(END_LENGTH + MAX_COMMENT).read_to_end(&mut tail)?;
    let last = tail.len().checked_sub(22).ok_or(NotABundle::NotZip)?;
    let end = (0..=last)
        .rev()
        .map(|at| &tail[at..])
        // A comment may look like an end record: the real one's comment ends with the file.
        .find(|end| {
            end.starts_with(b"PK\x05\x06") && end.len() == 22 + usize::from(short(&end[20..]))
        })
        .ok_or(NotABundle::NotZip)?;
    let list_length = u64::from(long(&end[12..]));
    let list_at = u64::from(long(&end[16..]));
    Ok((list_at, list_length))
}

fn read(list: &mut impl Read, buffer: &mut [u8]) -> Result<(), NotABundle> {
    list.read_exact(buffer).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            NotABundle::BadList
        } else {
            error.into()
        }
    })
}

fn short(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn long(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A ZIP archive of empty stored files.
    fn zip(names: &[&str], comment: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut list = Vec::new();
        for name in names {
            let at = u32::try_from(out.len()).unwrap();
            let length = u16::try_from(name.len()).unwrap().to_le_bytes();
            out.extend_from_slice(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
            out.extend_from_slice(&length);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(name.as_bytes());
            list.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
            list.extend_from_slice(&[0; 20]);
            list.extend_from_slice(&length);
            list.extend_from_slice(&[0; 12]);
            list.extend_from_slice(&at.to_le_bytes());
            list.extend_from_slice(name.as_bytes());
        }
        let count = u16::try_from(names.len()).unwrap().to_le_bytes();
        let at = u32::try_from(out.len()).unwrap();
        let length = u32::try_from(list.len()).unwrap();
        out.extend_from_slice(&list);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&count);
        out.extend_from_slice(&count);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&u16::try_from(comment.len()).unwrap().to_le_bytes());
        out.extend_from_slice(comment);
        out
    }

    fn verdict(content: &[u8]) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        match check(&file) {
            Ok(()) => "a bundle".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_bundle_is_a_zip_with_a_manifest_in_its_root() {
        let good = zip(&["server/index.js", "manifest.json"], b"");
        let mut cut = good.clone();
        cut.drain(..8);
        for (content, expected) in [
            (good.clone(), "a bundle"),
            (
                zip(&["manifest.json"], b"PK\x05\x06 in a comment"),
                "a bundle",
            ),
            (zip(&["a/manifest.json"], b""), "it holds no manifest.json"),
            (zip(&[], b""), "it holds no manifest.json"),
            (b"hello".to_vec(), "it is not a ZIP archive"),
            (Vec::new(), "it is not a ZIP archive"),
            (good[..good.len() - 1].to_vec(), "it is not a ZIP archive"),
            (cut, "its list of entries is damaged"),
        ] {
            assert_eq!(verdict(&content), expected, "{content:?}");
        }
    }
}
