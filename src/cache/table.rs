//! A file of sorted records of one length, read in one go and replaced as a whole.
//!
//! A header of [`HEADER`] bytes (what the table is, how many records), the records in the order of
//! their keys, each ending with the day it was last of use, and the SHA-256 of all of it. A file
//! that is cut short, altered, of another version or longer than it says counts as empty: it is
//! written anew when there is something to record.

use std::{
    cmp::Ordering,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    digest::{Digest, Hasher},
    platform,
};

/// What a table is (24) and its number of records (8).
const HEADER: usize = 32;
/// The SHA-256 at the end.
const CHECKED: usize = 32;
/// The number of the last day that a record was of use.
pub(super) const DAY: usize = 4;

/// Records unused for this many days are left out when a table is rewritten.
pub(super) const MAX_AGE_DAYS: u32 = 90;
/// A record's day is not made newer as long as it is less than this behind: an unchanged tree
/// writes nothing.
const STALE_DAYS: u32 = 7;

/// A kind of table.
pub(super) struct Kind {
    /// What stands at the beginning of the file: format and version.
    pub(super) magic: &'static [u8; 24],
    /// The length of the key, with which a record begins.
    pub(super) key: usize,
    /// The length of a record, with its day.
    pub(super) record: usize,
    /// The most records that are kept.
    pub(super) most: usize,
}

/// The records of a table as they were read, and those to be added.
pub(super) struct Table {
    kind: &'static Kind,
    path: PathBuf,
    content: Vec<u8>,
    today: u32,
    /// Records to be written, in any order; later ones count.
    fresh: Vec<u8>,
}

impl Table {
    /// Reads the table at `path`; what cannot be read or believed is empty.
    pub(super) fn read(kind: &'static Kind, path: PathBuf, today: u32) -> Self {
        let content = load(kind, &path).unwrap_or_default();
        Self {
            kind,
            path,
            content,
            today,
            fresh: Vec::new(),
        }
    }

    /// Returns an empty table, to which can be added what replaces records of the one at `path`.
    pub(super) const fn blank(kind: &'static Kind, path: PathBuf, today: u32) -> Self {
        Self {
            kind,
            path,
            content: Vec::new(),
            today,
            fresh: Vec::new(),
        }
    }

    /// Returns the record of `key` without its day. Asking keeps it from growing old.
    pub(super) fn find(&mut self, key: &[u8]) -> Option<&[u8]> {
        let records = records(self.kind, &self.content);
        let (mut low, mut high) = (0, records.len() / self.kind.record);
        while low < high {
            let middle = low.midpoint(high);
            let start = middle * self.kind.record;
            match records[start..start + self.kind.key].cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let record = &records[start..start + self.kind.record];
                    let (value, day) = record.split_at(self.kind.record - DAY);
                    if day_of(day).saturating_add(STALE_DAYS) <= self.today {
                        self.fresh.extend_from_slice(value);
                        self.fresh.extend_from_slice(&self.today.to_le_bytes());
                    }
                    return Some(value);
                }
            }
        }
        None
    }

    /// Makes room for `count` more records.
    pub(super) fn expect(&mut self, count: usize) {
        self.fresh.reserve_exact(count * self.kind.record);
    }

    /// Adds a record, given without its day.
    pub(super) fn add(&mut self, value: &[u8]) {
        debug_assert_eq!(value.len(), self.kind.record - DAY);
        self.fresh.extend_from_slice(value);
        self.fresh.extend_from_slice(&self.today.to_le_bytes());
    }

    /// Tells whether there is something to be written.
    pub(super) const fn is_changed(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Returns the file that the table is in.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what was added into the file, among what others have added meanwhile. Nothing to
    /// add, nothing written.
    pub(super) fn save(self, turn: &Path) -> io::Result<()> {
        if !self.is_changed() {
            return Ok(());
        }
        let Self {
            kind,
            path,
            content,
            today,
            fresh,
        } = self;
        drop(content); // As large as the one that is read now.
        let _turn = platform::turn(turn)?;
        let others = load(kind, &path).unwrap_or_default();
        let merged = merge(kind, records(kind, &others), &fresh, today);
        let mut header = [0; HEADER];
        header[..24].copy_from_slice(kind.magic);
        header[24..].copy_from_slice(&(merged.len() as u64).to_le_bytes());
        // Not durable: what a power cut spoils counts as empty.
        platform::replace(&path, false, |file| {
            let mut hasher = Hasher::new();
            hasher.update(&header);
            file.write_all(&header)?;
            for record in merged {
                hasher.update(record);
                file.write_all(record)?;
            }
            file.write_all(hasher.finish().as_bytes())
        })
    }
}

/// Returns the records of `old` and the added ones in the order of their keys, without those
/// that are too old or too many.
fn merge<'r>(kind: &Kind, old: &'r [u8], fresh: &'r [u8], today: u32) -> Vec<&'r [u8]> {
    let mut fresh: Vec<&[u8]> = fresh.chunks_exact(kind.record).collect();
    // Stable, so that of equal keys the one added last is the last.
    fresh.sort_by_key(|record| &record[..kind.key]);
    let mut all = Vec::with_capacity(fresh.len() + old.len() / kind.record);
    let mut rest = old.chunks_exact(kind.record).peekable();
    for (position, &record) in fresh.iter().enumerate() {
        let key = &record[..kind.key];
        let next = fresh.get(position + 1);
        if next.is_some_and(|next| &next[..kind.key] == key) {
            continue;
        }
        while let Some(older) = rest.next_if(|older| &older[..kind.key] < key) {
            all.push(older);
        }
        rest.next_if(|older| &older[..kind.key] == key);
        all.push(record);
    }
    all.extend(rest);
    let day = |record: &[u8]| day_of(&record[kind.record - DAY..]);
    let mut oldest = today.saturating_sub(MAX_AGE_DAYS);
    if all.len() > kind.most {
        // Whole days go, so that nothing has to be told apart within one.
        let mut days: Vec<u32> = all.iter().map(|record| day(record)).collect();
        days.sort_unstable_by(|a, b| b.cmp(a));
        oldest = oldest.max(days[kind.most].saturating_add(1)).min(today);
    }
    all.retain(|record| day(record) >= oldest);
    all.truncate(kind.most);
    all
}

/// Returns the whole content of the table at `path` if it is all right.
fn load(kind: &Kind, path: &Path) -> Option<Vec<u8>> {
    // Longer than it may be is not ours.
    let longest = kind.most as u64 * kind.record as u64 + (HEADER + CHECKED) as u64;
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > longest {
        return None;
    }
    let content = fs::read(path).ok()?;
    is_sound(kind, &content).then_some(content)
}

fn is_sound(kind: &Kind, content: &[u8]) -> bool {
    let Some((body, checked)) = content.split_last_chunk::<CHECKED>() else {
        return false;
    };
    let Some((header, records)) = body.split_first_chunk::<HEADER>() else {
        return false;
    };
    let count = (records.len() / kind.record) as u64;
    header[..24] == kind.magic[..]
        && records.len().is_multiple_of(kind.record)
        && header[24..] == count.to_le_bytes()
        && Digest::of(body).as_bytes() == checked
}

fn records<'c>(kind: &Kind, content: &'c [u8]) -> &'c [u8] {
    let end = content.len().saturating_sub(CHECKED);
    let records = content.get(HEADER..end).unwrap_or_default();
    debug_assert!(records.len().is_multiple_of(kind.record));
    records
}

fn day_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("a day has four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key of one byte, value of one byte, day.
    const SMALL: Kind = Kind {
        magic: b"kit test table         \n",
        key: 1,
        record: 6,
        most: 4,
    };

    fn contents(path: &Path, today: u32) -> Vec<(u8, u8)> {
        let table = Table::read(&SMALL, path.to_owned(), today);
        let records = records(&SMALL, &table.content).chunks_exact(6);
        records.map(|record| (record[0], record[1])).collect()
    }

    fn add(path: &Path, today: u32, records: &[[u8; 2]]) {
        let mut table = Table::read(&SMALL, path.to_owned(), today);
        for record in records {
            table.add(record);
        }
        let lock = path.with_extension("lock");
        table.save(&lock).unwrap();
    }

    #[test]
    fn records_are_merged_replaced_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        add(&path, 100, &[[5, 1], [3, 1]]);
        add(&path, 100, &[[4, 1], [3, 2], [3, 3], [9, 1]]);
        assert_eq!(contents(&path, 100), [(3, 3), (4, 1), (5, 1), (9, 1)]);
        let mut table = Table::read(&SMALL, path, 100);
        assert_eq!(table.find(&[4]), Some(&[4, 1][..]));
        assert_eq!(table.find(&[6]), None);
    }

    #[test]
    fn what_is_old_goes_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        add(&path, 100, &[[1, 1], [2, 1]]);
        let mut table = Table::read(&SMALL, path.clone(), 100 + MAX_AGE_DAYS);
        table.find(&[2]);
        let lock = path.with_extension("lock");
        table.save(&lock).unwrap();
        add(&path, 101 + MAX_AGE_DAYS, &[[3, 1]]);
        assert_eq!(contents(&path, 0), [(2, 1), (3, 1)]);
        // Too many: the oldest days go, all of them.
        add(&path, 102 + MAX_AGE_DAYS, &[[4, 1], [5, 1], [6, 1]]);
        assert_eq!(contents(&path, 0), [(3, 1), (4, 1), (5, 1), (6, 1)]);
        let all: Vec<[u8; 2]> = (0..6).map(|key| [key, 7]).collect();
        add(&path, 103 + MAX_AGE_DAYS, &all);
        assert_eq!(contents(&path, 0).len(), 4);
    }

    #[test]
    fn nothing_is_written_when_nothing_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        add(&path, 100, &[[1, 1]]);
        let before = fs::metadata(&path).unwrap();
        let mut table = Table::read(&SMALL, path.clone(), 100 + STALE_DAYS - 1);
        table.find(&[1]);
        let lock = path.with_extension("lock");
        table.save(&lock).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            platform::FileStamp::of(&before),
            platform::FileStamp::of(&after)
        );
    }

    #[test]
    fn a_damaged_table_is_empty_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        add(&path, 100, &[[1, 1], [2, 2]]);
        let whole = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].into()).collect();
        damaged.push([&whole[..], b"x"].concat());
        for position in 0..whole.len() {
            let mut content = whole.clone();
            content[position] ^= 1;
            damaged.push(content);
        }
        for content in damaged {
            fs::write(&path, &content).unwrap();
            assert_eq!(contents(&path, 100), []);
            add(&path, 100, &[[7, 7]]);
            assert_eq!(contents(&path, 100), [(7, 7)]);
        }
        // Something else of that name costs the table, not the command.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(contents(&path, 100), []);
    }
}
