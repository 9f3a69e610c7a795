//! Downloads that are cut, resumed, shared and given up.
#![expect(
    clippy::cast_possible_truncation,
    clippy::single_range_in_vec_init,
    reason = "the blobs have a few MiB, and lists of ranges are compared"
)]

mod resuming;
mod sharing;
mod writing;

use std::ops::Range;

use super::*;

/// What a piece of a small blob has.
const PIECE: u64 = 256 << 10;

/// A blob to download: several pieces of which no two are alike, the last one short.
struct Source {
    content: Vec<u8>,
    digest: Digest,
}

impl Source {
    fn new(length: u64) -> Self {
        let mut state = length | 1;
        let content: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let digest = Digest::of(&content);
        Self { content, digest }
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn claim<'w>(&self, writer: &'w Writer<'w>) -> Partial<'w> {
        match writer.partial(&self.digest, self.size(), &Silent).unwrap() {
            Claim::Ours(partial) => partial,
            Claim::Here => panic!("the blob is there"),
        }
    }

    fn is_here(&self, writer: &Writer<'_>) -> bool {
        let claim = writer.partial(&self.digest, self.size(), &Silent).unwrap();
        matches!(claim, Claim::Here)
    }

    /// Brings `range` in small writes, and returns how much of it was new.
    fn bring(&self, partial: &Partial<'_>, range: Range<u64>) -> u64 {
        let mut new = 0;
        let bytes = &self.content[range.start as usize..range.end as usize];
        for (offset, bytes) in (range.start..).step_by(30_000).zip(bytes.chunks(30_000)) {
            new += partial.write_at(offset, bytes).unwrap();
        }
        new
    }

    /// Brings what is missing, stores the blob and returns how much was brought.
    fn finish(&self, partial: Partial<'_>) -> u64 {
        let mut brought = 0;
        for range in partial.missing() {
            brought += self.bring(&partial, range);
        }
        assert_eq!(partial.missing(), []);
        partial.commit().unwrap();
        brought
    }

    /// The store with the pieces `there` of the blob, left by a process that is no more.
    fn left(&self, there: &[u64]) -> Room {
        let room = Room::new();
        let writer = room.store.writer(&Silent).unwrap();
        let partial = self.claim(&writer);
        for piece in there {
            let end = ((piece + 1) * PIECE).min(self.size());
            self.bring(&partial, piece * PIECE..end);
        }
        drop(partial);
        drop(writer);
        room
    }

    /// Resumes, finishes, looks at the blob, and returns what had to be brought.
    fn heal(&self, room: &Room) -> u64 {
        let writer = room.store.writer(&Silent).unwrap();
        let partial = self.claim(&writer);
        let resumed = partial.resumed();
        let brought = self.finish(partial);
        assert_eq!(resumed + brought, self.size());
        let path = room.store.blob_path(&self.digest);
        assert!(fs::read(path).unwrap() == self.content);
        assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
        brought
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let from = found.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
