//! Large layers go to the disk while they are written, and out of the page cache.
//!
//! Otherwise they pile up there, push out what is of more use, and the sync at the end waits for
//! all of it at once: that takes twice as long (`docs/decisions/0008-writing-layers.md`).

use std::fs::File;

use crate::platform;

/// How much is written between two calls.
const STEP: u64 = 16 << 20;
/// What is shorter stays in the cache, where the next command finds it.
const SHORT: u64 = 64 << 20;

/// Follows how far a file is written.
pub(super) struct Settling<'a> {
    out: &'a File,
    /// How much of it was sent to the disk.
    sent: u64,
    /// Where that begins which the last call sent.
    last: u64,
}

impl<'a> Settling<'a> {
    pub(super) const fn new(out: &'a File) -> Self {
        Self {
            out,
            sent: 0,
            last: 0,
        }
    }

    /// Takes note that everything before `end` is written.
    pub(super) fn written_to(&mut self, end: u64) {
        if end < SHORT || end - self.sent < STEP {
            return;
        }
        // What the last call sent has arrived by now, and is forgotten with this one.
        platform::settle(self.out, self.last, end - self.last);
        self.last = self.sent;
        self.sent = end;
    }
}
