//! The first table: which content a file has, by what the file system tells about it.
//!
//! One file for each tree that was packed or looked at, so that what is read and written is as
//! long as that tree, and not as all trees of the machine.

use std::path::PathBuf;

use super::{
    Cache,
    stamp::{is_settled, is_telling},
    table::{DAY, Kind, Table},
};
use crate::{digest::Digest, platform::FileStamp};

/// The most files of one tree that are remembered.
pub(super) const MAX_FILES: usize = 8_000_000;

/// Device and inode, big-endian so that bytes sort as numbers do.
const KEY: usize = 16;
/// Size, time of change of the content and of the file.
const TIMES: usize = 24;

const KIND: Kind = Kind {
    magic: b"kit cache files 1      \n",
    key: KEY,
    record: KEY + TIMES + 32 + DAY,
    most: MAX_FILES,
};

/// What is known of the files of one tree.
pub struct Files<'c> {
    cache: &'c Cache,
    table: Table,
}

impl<'c> Files<'c> {
    pub(super) fn open(cache: &'c Cache, path: PathBuf) -> Self {
        let read = if cache.is_believed() {
            Table::read
        } else {
            Table::blank
        };
        Self {
            cache,
            table: read(&KIND, path, cache.today()),
        }
    }

    /// Returns the digest of the file that has `stamp`, if it is known.
    pub fn find(&mut self, stamp: &FileStamp) -> Option<Digest> {
        if !is_telling(stamp) {
            return None;
        }
        let record = self.table.find(&key(stamp))?;
        let (times_now, digest) = (times(stamp), &record[KEY + TIMES..]);
        (record[KEY..KEY + TIMES] == times_now)
            .then(|| digest.try_into().ok().map(Digest::from_bytes))?
    }

    /// Makes room for what is learnt of `count` files.
    pub fn expect(&mut self, count: usize) {
        self.table.expect(count);
    }

    /// Remembers that the file that had `stamp` before and after it was read has `digest`.
    pub fn learn(&mut self, stamp: &FileStamp, digest: &Digest) {
        if is_settled(stamp, self.cache.began()) {
            let mut record = [0; KEY + TIMES + 32];
            record[..KEY].copy_from_slice(&key(stamp));
            record[KEY..KEY + TIMES].copy_from_slice(&times(stamp));
            record[KEY + TIMES..].copy_from_slice(digest.as_bytes());
            self.table.add(&record);
        }
    }

    /// Writes down what was learnt. What cannot be written is found out again another time.
    pub fn save(self) {
        self.cache.save(self.table);
    }
}

fn key(stamp: &FileStamp) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(&stamp.device.to_be_bytes());
    key[8..].copy_from_slice(&stamp.inode.to_be_bytes());
    key
}

fn times(stamp: &FileStamp) -> [u8; TIMES] {
    let mut times = [0; TIMES];
    times[..8].copy_from_slice(&stamp.size.to_le_bytes());
    times[8..16].copy_from_slice(&stamp.modified.to_le_bytes());
    times[16..].copy_from_slice(&stamp.changed.to_le_bytes());
    times
}
