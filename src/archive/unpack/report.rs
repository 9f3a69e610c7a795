//! What became of the files, and what was in their way.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use super::place::Counts;
use crate::archive::{Conflict, Error, Obstacle};

/// Most conflicts that are listed.
const CONFLICTS_LIMIT: usize = 1000;

/// What became of the files of a layer, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were not there.
    pub written: u64,
    /// Files that were not there and are links to the store now.
    pub linked: u64,
    /// Files put in place of others.
    pub replaced: u64,
    /// Files of which the beginning was there.
    pub completed: u64,
    /// Files that were there with the same bytes.
    pub equal: u64,
    /// Other files that were kept.
    pub kept: u64,
    /// Bytes of content written.
    pub bytes: u64,
}

impl Report {
    /// Returns how many files were selected.
    pub const fn files(&self) -> u64 {
        self.written + self.linked + self.replaced + self.completed + self.equal + self.kept
    }

    pub(super) fn of(counts: &Counts) -> Self {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            written: get(&counts.written),
            linked: get(&counts.linked),
            replaced: get(&counts.replaced),
            completed: get(&counts.completed),
            equal: get(&counts.equal),
            kept: get(&counts.kept),
            bytes: get(&counts.bytes),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.written += other.written;
        self.linked += other.linked;
        self.replaced += other.replaced;
        self.completed += other.completed;
        self.equal += other.equal;
        self.kept += other.kept;
        self.bytes += other.bytes;
    }
}

/// What became of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerReport {
    /// Whether the layer was what it promised; if not, [`super::Unpack::finish`] tells why.
    pub held: bool,
    /// What became, or will become, of its files.
    pub files: Report,
}

/// The things in the way that were met, as many as can be listed.
#[derive(Default)]
pub(super) struct Conflicts {
    found: BTreeSet<Conflict>,
    more: u64,
}

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add(&mut self, path: String, obstacle: Obstacle) {
        let conflict = Conflict { path, obstacle };
        if self.found.len() < CONFLICTS_LIMIT {
            self.found.insert(conflict);
        } else if !self.found.contains(&conflict) {
            self.more += 1;
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for Conflict { path, obstacle } in other.found {
            self.add(path, obstacle);
        }
        self.more += other.more;
    }

    pub(super) fn into_error(self) -> Option<Error> {
        (!self.is_empty()).then(|| Error::Conflicts {
            conflicts: self.found.into_iter().collect(),
            more: self.more,
        })
    }
}
