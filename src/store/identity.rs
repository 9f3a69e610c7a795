//! Which blob files were seen to hold what their name says, and how the file system described them
//! then: `blob-stamps`.
//!
//! A blob with its recorded stamp counts as being there without being read again. Losing the file
//! only costs time. It is a row of records of [`RECORD`] bytes: digest, stamp, and the beginning of
//! their hash, so that a record cut short or altered is no record. Later records replace earlier
//! ones of the same digest.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use crate::{
    digest::{Digest, Hasher},
    failpoint::failpoint,
    platform::FileStamp,
};

use super::Error;

/// Digest (32), stamp (5 numbers of 8), checksum (8).
const RECORD: usize = 80;
/// Where the checksum begins.
const CHECKED: usize = RECORD - 8;

/// The stamps on record.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    stamps: HashMap<Digest, FileStamp>,
    /// How many bytes the file has.
    length: usize,
}

impl Stamps {
    /// Reads the records at `path`. Anything that cannot be read counts as not recorded.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match fs::read(path) {
            Ok(content) => Ok(Self::parse(&content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    fn parse(content: &[u8]) -> Self {
        let mut stamps = HashMap::with_capacity(content.len() / RECORD);
        let mut rest = content;
        while let Some(record) = rest.first_chunk() {
            if let Some((digest, stamp)) = decode(record) {
                stamps.insert(digest, stamp);
                rest = &rest[RECORD..];
            } else {
                // A record that was cut short: the next one begins somewhere in here.
                rest = &rest[1..];
            }
        }
        Self {
            stamps,
            length: content.len(),
        }
    }

    /// Tells whether `digest` was seen in a file of exactly this stamp.
    pub(super) fn matches(&self, digest: &Digest, stamp: &FileStamp) -> bool {
        self.stamps.get(digest) == Some(stamp)
    }

    pub(super) fn insert(&mut self, digest: Digest, stamp: FileStamp) {
        self.stamps.insert(digest, stamp);
    }

    pub(super) fn remove(&mut self, digest: &Digest) {
        self.stamps.remove(digest);
    }

    /// Tells whether more than half of the file is of no use any more.
    pub(super) fn is_mostly_stale(&self) -> bool {
        self.length > (2 * self.stamps.len() + 64) * RECORD
    }

    /// Writes the records anew at `path` by way of `temporary`, only those that `keep` wants.
    /// Records that others add meanwhile are lost, which only costs time.
    pub(super) fn rewrite(
        &mut self,
        path: &Path,
        temporary: &Path,
        keep: impl Fn(&Digest) -> bool,
    ) -> Result<(), Error> {
        self.stamps.retain(|digest, _| keep(digest));
        let mut records: Vec<_> = self.stamps.iter().map(|(d, s)| (*d, *s)).collect();
        records.sort_unstable_by_key(|(digest, _)| *digest);
        let content = encode_all(&records);
        failpoint!("store.stamps.rewrite", fs::write(temporary, &content))
            .map_err(Error::io("write", temporary))?;
        failpoint!("store.stamps.rename", fs::rename(temporary, path))
            .map_err(Error::io("replace", path))?;
        self.length = content.len();
        Ok(())
    }
}

/// Adds records at `path`, in one write so that those of other processes stay whole.
pub(super) fn append(path: &Path, records: &[(Digest, FileStamp)]) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(
            |mut file| failpoint!(write "store.stamps.append", &mut file, &encode_all(records)),
        )
        .map_err(Error::io("write", path))
}

fn encode_all(records: &[(Digest, FileStamp)]) -> Vec<u8> {
    let mut content = Vec::with_capacity(records.len() * RECORD);
    for (digest, stamp) in records {
        let start = content.len();
        content.extend_from_slice(digest.as_bytes());
        content.extend_from_slice(&stamp.device.to_le_bytes());
        content.extend_from_slice(&stamp.inode.to_le_bytes());
        content.extend_from_slice(&stamp.size.to_le_bytes());
        content.extend_from_slice(&stamp.modified.to_le_bytes());
        content.extend_from_slice(&stamp.changed.to_le_bytes());
        let checksum = checksum(&content[start..]);
        content.extend_from_slice(&checksum);
    }
    content
}

fn decode(record: &[u8; RECORD]) -> Option<(Digest, FileStamp)> {
    if record[CHECKED..] != checksum(&record[..CHECKED]) {
        return None;
    }
    let number = |index: usize| -> [u8; 8] {
        let start = 32 + 8 * index;
        record[start..start + 8]
            .try_into()
            .expect("eight bytes were cut out")
    };
    let digest = record[..32].try_into().expect("32 bytes were cut out");
    Some((
        Digest::from_bytes(digest),
        FileStamp {
            device: u64::from_le_bytes(number(0)),
            inode: u64::from_le_bytes(number(1)),
            size: u64::from_le_bytes(number(2)),
            modified: i64::from_le_bytes(number(3)),
            changed: i64::from_le_bytes(number(4)),
        },
    ))
}

/// Returns the beginning of the hash of `record` and of the name of this format.
fn checksum(record: &[u8]) -> [u8; 8] {
    let mut hasher = Hasher::new();
    hasher.update(b"kit blob stamp 1\n");
    hasher.update(record);
    *hasher
        .finish()
        .as_bytes()
        .first_chunk()
        .expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> (Digest, FileStamp) {
        let stamp = FileStamp {
            device: number,
            inode: number + 1,
            size: number + 2,
            modified: -3,
            changed: i64::MAX,
        };
        (Digest::of(&number.to_le_bytes()), stamp)
    }

    #[test]
    fn records_are_read_back_and_the_last_one_of_a_digest_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stamps");
        append(&path, &[record(1), record(2)]).unwrap();
        append(&path, &[(record(1).0, record(7).1)]).unwrap();
        let mut stamps = Stamps::read(&path).unwrap();
        assert!(stamps.matches(&record(2).0, &record(2).1));
        assert!(!stamps.matches(&record(1).0, &record(1).1));
        assert!(stamps.matches(&record(1).0, &record(7).1));
        let only = record(2).0;
        stamps
            .rewrite(&path, &directory.path().join("t"), |digest| *digest == only)
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), RECORD as u64);
    }

    #[test]
    fn a_record_cut_short_or_altered_costs_only_itself() {
        let (one, two, three) = (record(1), record(2), record(3));
        let whole = encode_all(&[one]);
        for length in 0..RECORD {
            let mut content = whole[..length].to_vec();
            content.extend(encode_all(&[two, three]));
            let stamps = Stamps::parse(&content);
            assert!(stamps.matches(&two.0, &two.1) && stamps.matches(&three.0, &three.1));
            assert_eq!(stamps.stamps.len(), 2);
        }
        for position in 0..RECORD {
            let mut content = encode_all(&[one, two]);
            content[position] ^= 1;
            assert_eq!(Stamps::parse(&content).stamps.len(), 1, "byte {position}");
        }
    }
}
