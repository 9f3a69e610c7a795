//! How far a blob that is read in order may come ahead of its reader.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The bytes of a blob that may be asked for or held: those from where the reader is to a certain
/// number of bytes further on. So what comes out of order needs no more memory than that.
#[derive(Debug)]
pub struct Window {
    bounds: Mutex<Bounds>,
    moved: Notify,
}

/// What is asked for at a time, at least.
const LEAST_SHARE: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Bounds {
    start: u64,
    size: u64,
}

impl Window {
    /// Returns a window of `size` bytes at the beginning.
    pub fn new(size: u64) -> Self {
        Self {
            bounds: Mutex::new(Bounds { start: 0, size }),
            moved: Notify::new(),
        }
    }

    /// Makes it at least so large.
    pub fn widen(&self, size: u64) {
        let mut bounds = self.bounds();
        bounds.size = bounds.size.max(size);
        drop(bounds);
        self.moved.notify_waiters();
    }

    /// Moves it on: the reader has taken `bytes` more.
    pub fn advance(&self, bytes: u64) {
        self.bounds().start += bytes;
        self.moved.notify_waiters();
    }

    /// Returns how much one of `connections` may ask for at a time, so that all have something to
    /// ask for, but not much less than is worth an answer.
    pub(super) fn share(&self, connections: usize) -> u64 {
        let size = self.bounds().size;
        (size / connections.max(1) as u64).max(LEAST_SHARE.min(size))
    }

    /// Tells whether the bytes up to `end` may come, of a part that begins at `start`. What the
    /// reader waits for may in every case.
    fn admits(&self, start: u64, end: u64) -> bool {
        let bounds = self.bounds();
        start <= bounds.start || end <= bounds.start.saturating_add(bounds.size)
    }

    /// Waits until `begin` returns something. It is given a function that tells whether a part from
    /// one place to another may come.
    pub(super) async fn wait<T>(
        &self,
        mut begin: impl FnMut(&dyn Fn(u64, u64) -> bool) -> Option<T>,
    ) -> T {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // From here on no move is missed.
            moved.as_mut().enable();
            if let Some(begun) = begin(&|start, end| self.admits(start, end)) {
                return begun;
            }
            moved.await;
        }
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        // Every change is one step.
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_window_is_admitted_but_what_the_reader_waits_for() {
        let window = Window::new(10);
        assert!(window.admits(0, 10) && window.admits(0, 11) && !window.admits(1, 11));
        window.advance(4);
        assert!(window.admits(4, 99) && window.admits(5, 14) && !window.admits(5, 15));
        window.widen(20);
        window.widen(1);
        assert!(window.admits(5, 24) && !window.admits(5, 25));
        assert_eq!(window.share(4), 20);
        window.widen(LEAST_SHARE * 8);
        assert_eq!(window.share(4), LEAST_SHARE * 2);
        assert_eq!(window.share(99), LEAST_SHARE);
    }
}
