//! Downloads that can be resumed: one partial for each digest, `ingest/<hex>`, with a side file
//! `ingest/<hex>.pieces` that tells which pieces of it are there.
//!
//! Whoever holds the lock on the partial downloads. The others wait, and then find the blob, or
//! go on with the partial of a process that is no more:
//!
//! ```no_run
//! # use modelkit::{digest::Digest, progress::Silent, store::{Claim, Error, Store, Writer}};
//! # fn fetch(_: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Vec<u8>)> { std::iter::empty() }
//! # fn example(writer: &Writer<'_>, digest: &Digest, size: u64) -> Result<(), Error> {
//! let partial = match writer.partial(digest, size, &Silent)? {
//!     Claim::Here => return Ok(()), // It was there, or another process has brought it.
//!     Claim::Ours(partial) => partial,
//! };
//! // A connection that breaks is nothing special: what is missing is asked for again.
//! for range in partial.missing() {
//!     for (offset, bytes) in fetch(range) {
//!         partial.write_at(offset, &bytes)?; // In any order, from any thread.
//!     }
//! }
//! partial.commit()?; // Fails if anything is missing or the content is not what was asked for.
//! # Ok(())
//! # }
//! ```
//!
//! Dropping a partial in place of committing it keeps it for the next run. Bytes are believed
//! three times over: a piece is complete when each of its bytes was written once (what comes a
//! second time is not written again, so that nothing changes behind the hash); a later run reads
//! back every piece and believes those that have the sum on record; the digest of the whole is
//! computed from the file by a thread of its own that follows the pieces in order, so that at the
//! end next to nothing is left to be read.

mod claim;
mod coverage;
mod left;
mod record;
mod sum;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use crate::{
    digest::{Digest, Hasher},
    failpoint::failpoint,
    platform,
};

use super::{Error, Writer, writer::Committed};
use coverage::Coverage;
use sum::Sum;

pub use claim::Claim;
pub(super) use claim::{claim, try_claim};
pub use left::LeftPartial;
pub(super) use left::{all, end, sweep};

/// How much a piece has at least: what a killed process was writing of each is fetched again.
const PIECE: u64 = 256 << 10;

/// How much a piece has at most.
const LARGEST_PIECE: u64 = 64 << 20;

/// Larger pieces are used for blobs that would have more: so many lines are read in no time.
const PIECES: u64 = 16 << 10;

/// How much is sent to the disk at once.
const STEP: u64 = 16 << 20;

/// How much is read back at once.
const BUFFER: usize = 256 << 10;

/// Returns how long the pieces of a blob of `size` bytes are.
fn piece_length(size: u64) -> u64 {
    // No overflow: clamped before it is rounded up.
    (size / PIECES)
        .clamp(PIECE, LARGEST_PIECE)
        .next_power_of_two()
}

/// A blob on its way into the store, held by this process alone. Threads may share it.
///
/// Dropped without a commit it stays for the next run, unless nothing of it is worth keeping.
pub struct Partial<'w> {
    writer: &'w Writer<'w>,
    digest: Digest,
    size: u64,
    path: PathBuf,
    /// The side file.
    notes: PathBuf,
    shared: Arc<Shared>,
    resumed: u64,
    hashing: Option<JoinHandle<io::Result<Option<Digest>>>>,
    fate: Fate,
}

/// What becomes of the files when a partial is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They stay if there is anything in them.
    Kept,
    Deleted,
    /// Nothing is done with them: they are as before, or have become a blob.
    Left,
}

/// The hash of the first pieces.
#[derive(Default)]
struct Hashed {
    hasher: Hasher,
    pieces: u64,
}

/// What the threads share that write and the one that hashes.
struct Shared {
    file: File,
    size: u64,
    piece: u64,
    state: Mutex<State>,
    /// Told when a piece is done and when the partial is dropped.
    changed: Condvar,
}

struct State {
    /// For each piece whether it is complete.
    done: Vec<bool>,
    /// Pieces that are begun. Never locked while the state is: a piece that gets complete locks
    /// the state.
    begun: HashMap<u64, Arc<Mutex<Begun>>>,
    /// The side file; a blob of one piece needs none.
    record: Option<File>,
    is_closing: bool,
}

/// A piece that is begun.
struct Begun {
    coverage: Coverage,
    sum: Sum,
    /// Up to where the piece is in the sum.
    summed: u64,
    /// Whoever was waiting for it comes too late to write.
    is_done: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is made after all that can fail.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new(file: File, size: u64) -> Result<Self, std::num::TryFromIntError> {
        let piece = piece_length(size);
        let pieces = usize::try_from(size.div_ceil(piece))?;
        Ok(Self {
            file,
            size,
            piece,
            state: Mutex::new(State {
                done: vec![false; pieces],
                begun: HashMap::new(),
                record: None,
                is_closing: false,
            }),
            changed: Condvar::new(),
        })
    }

    fn pieces(&self) -> u64 {
        self.size.div_ceil(self.piece)
    }

    fn range(&self, number: u64) -> Range<u64> {
        let start = number * self.piece;
        start..(start + self.piece).min(self.size)
    }

    /// Reads a part of the file and gives it to `take`.
    fn read(
        &self,
        range: Range<u64>,
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let part = &mut buffer[..left.min(BUFFER)];
            platform::read_exact_at(&self.file, part, at)?;
            take(part);
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Writes those bytes of piece `number` that are not there, and returns their count.
    fn fill(&self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<u64> {
        let piece = self.range(number);
        let begun = {
            let mut state = lock(&self.state);
            if state.done[index(number)] {
                return Ok(0);
            }
            let begun = state.begun.entry(number).or_insert_with(|| {
                Arc::new(Mutex::new(Begun {
                    coverage: Coverage::default(),
                    sum: Sum::new(),
                    summed: piece.start,
                    is_done: false,
                }))
            });
            Arc::clone(begun)
        };
        let mut begun = lock(&begun);
        if begun.is_done {
            return Ok(0);
        }
        let mut new = 0;
        for gap in begun.coverage.gaps(offset..offset + bytes.len() as u64) {
            let bytes = &bytes[index(gap.start - offset)..index(gap.end - offset)];
            failpoint!(
                "store.partial.write",
                platform::write_all_at(&self.file, bytes, gap.start)
            )?;
            if gap.start == begun.summed {
                begun.sum.update(bytes);
                begun.summed = gap.end;
            }
            new += bytes.len() as u64;
            begun.coverage.add(gap);
        }
        if begun.coverage.gaps(piece.clone()).is_empty() {
            self.complete(number, piece, &mut begun)?;
        }
        Ok(new)
    }

    /// Declares a piece complete of which every byte is there.
    fn complete(&self, number: u64, piece: Range<u64>, begun: &mut Begun) -> io::Result<()> {
        let rest = begun.summed..piece.end;
        if !rest.is_empty() {
            let sum = &mut begun.sum;
            let read = self.read(rest, &mut vec![0; BUFFER], |bytes| sum.update(bytes));
            if let Err(error) = read {
                // What cannot be read is not there.
                begun.coverage = Coverage::default();
                (begun.sum, begun.summed) = (Sum::new(), piece.start);
                return Err(error);
            }
        }
        begun.is_done = true;
        self.is_there(number, begun.sum.clone().finish())
    }

    /// Notes that piece `number` is there and has that sum.
    fn is_there(&self, number: u64, sum: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.begun.remove(&number);
        state.done[index(number)] = true;
        self.changed.notify_all();
        match &mut state.record {
            // In one write, so that no line is cut short by a process that is killed.
            Some(file) => {
                let line = record::line(number, sum);
                failpoint!(write "store.side.append", file, line.as_bytes())
            }
            None => Ok(()),
        }
    }

    /// Hashes the pieces after those that are `hashed` in order, each as soon as it is there; `None`
    /// if the rest will not come.
    fn hash_in_order(&self, hashed: Hashed) -> io::Result<Option<Digest>> {
        let Hashed { mut hasher, pieces } = hashed;
        let mut buffer = vec![0; BUFFER];
        let mut sent = pieces * self.piece;
        for number in pieces..self.pieces() {
            let mut state = lock(&self.state);
            while !state.done[index(number)] {
                if state.is_closing {
                    return Ok(None);
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_closing {
                return Ok(None);
            }
            drop(state);
            let range = self.range(number);
            self.read(range.clone(), &mut buffer, |bytes| hasher.update(bytes))?;
            if range.end - sent >= STEP {
                // To the disk while the rest comes: the sync at the end would wait for all of it.
                platform::settle(&self.file, sent, range.end - sent);
                sent = range.end;
            }
        }
        Ok(Some(hasher.finish()))
    }
}

/// Returns an offset or number below a length in memory as such.
fn index(number: u64) -> usize {
    usize::try_from(number).expect("it is below a length in memory")
}

impl Partial<'_> {
    /// Begins the thread that hashes what is there. Without one commit does it.
    fn start(&mut self, hashed: Hashed) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("hash".to_owned());
        let hashing = thread.spawn(move || shared.hash_in_order(hashed));
        self.hashing = hashing.ok();
    }

    /// Returns the digest the blob must have.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the length the blob must have.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many bytes an earlier run has left that are right.
    pub const fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Returns the bytes that are not there, in order, those of neighbouring pieces in one range.
    pub fn missing(&self) -> Vec<Range<u64>> {
        let shared = &self.shared;
        let mut open = Vec::new();
        {
            let state = lock(&shared.state);
            for (number, _) in (0..).zip(&state.done).filter(|(_, done)| !**done) {
                open.push((number, state.begun.get(&number).map(Arc::clone)));
            }
        }
        let mut missing: Vec<Range<u64>> = Vec::new();
        for (number, begun) in open {
            let piece = shared.range(number);
            let gaps = match begun {
                Some(begun) => {
                    let begun = lock(&begun);
                    begun.coverage.gaps(piece)
                }
                None => vec![piece],
            };
            for gap in gaps {
                match missing.last_mut() {
                    Some(last) if last.end == gap.start => last.end = gap.end,
                    _ => missing.push(gap),
                }
            }
        }
        missing
    }

    /// Writes `bytes`, which are the blob's from `offset` on, and returns how many of them were not
    /// there yet. Those that were are left alone: the same range may be asked for twice.
    ///
    /// Fails with [`Error::WrongSize`] if the blob would become longer than it must be.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<u64, Error> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(Error::WrongSize {
                digest: self.digest,
                expected: self.size,
                actual: end,
            });
        }
        let (mut at, mut rest, mut new) = (offset, bytes, 0);
        while !rest.is_empty() {
            let number = at / self.shared.piece;
            let room = self.shared.range(number).end - at;
            let length = usize::try_from(room).map_or(rest.len(), |room| room.min(rest.len()));
            let (now, later) = rest.split_at(length);
            new += self
                .shared
                .fill(number, at, now)
                .map_err(Error::io("write", &self.path))?;
            at += length as u64;
            rest = later;
        }
        Ok(new)
    }

    /// Makes the file the blob. Unlike a [`super::TempBlob`] it is durable on return, and others
    /// who wait for it need not read it.
    ///
    /// Fails with [`Error::WrongSize`] while bytes are missing, and keeps what is there. Fails with
    /// [`Error::WrongContent`] if the digest is another one: which bytes are wrong cannot be told,
    /// so nothing is kept.
    pub fn commit(mut self) -> Result<Committed, Error> {
        let missing: u64 = self.missing().iter().map(|gap| gap.end - gap.start).sum();
        if missing > 0 {
            return Err(Error::WrongSize {
                digest: self.digest,
                expected: self.size,
                actual: self.size - missing,
            });
        }
        let actual = self.whole()?;
        if actual != self.digest {
            self.fate = Fate::Deleted;
            return Err(Error::WrongContent {
                digest: self.digest,
                actual,
            });
        }
        let (digest, size) = (self.digest, self.size);
        let committed = self
            .writer
            .keep(&self.shared.file, &self.path, &digest, size)?;
        self.fate = match committed {
            Committed::AlreadyThere => Fate::Deleted,
            Committed::Stored | Committed::Healed => Fate::Left,
        };
        if self.fate == Fate::Left {
            remove(&self.notes)?;
        }
        // While others still wait: they find it on record.
        self.writer.flush()?;
        Ok(committed)
    }

    /// Returns the digest of the whole, of which every byte is there.
    fn whole(&mut self) -> Result<Digest, Error> {
        let hashed = self.hashing.take().and_then(|thread| thread.join().ok());
        // Without a thread it is all done here.
        let hashed = hashed.unwrap_or_else(|| self.shared.hash_in_order(Hashed::default()));
        let digest = hashed.map_err(Error::io("read", &self.path))?;
        Ok(digest.expect("all pieces are there and the partial is not dropped"))
    }

    /// Tells whether the next run could do anything with what is there.
    fn is_worth_keeping(&self) -> bool {
        let state = lock(&self.shared.state);
        state.record.is_some() && state.done.contains(&true)
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.hashing.take() {
            let _ = thread.join(); // Nobody wants its result any more.
        }
        if self.fate == Fate::Deleted || (self.fate == Fate::Kept && !self.is_worth_keeping()) {
            // Still under the lock. What stays is for the next run, or for prune.
            let _ = remove(&self.notes);
            let _ = remove(&self.path);
        }
    }
}

/// Deletes the file `path` if it is there.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_small_and_not_too_many() {
        const GIB: u64 = 1 << 30;
        for (size, piece) in [
            (0, PIECE),
            (PIECE, PIECE),
            (4 * GIB, PIECE),
            (5 * GIB, 2 * PIECE),
            (1024 * GIB, 64 << 20),
            (1 << 50, LARGEST_PIECE),
            (u64::MAX, LARGEST_PIECE),
        ] {
            assert_eq!(piece_length(size), piece, "{size}");
        }
    }
}
