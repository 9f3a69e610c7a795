//! An answer that comes too slowly.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::{End, LEAST_PROGRESS, pace::Pace};
use crate::{http::Reason, registry::repository::BlobBody};

/// Watches one answer come.
pub(super) struct Watch<'p> {
    /// How long was waited for it to begin.
    before: Duration,
    /// How long was waited for what came of it.
    waited: Duration,
    /// What tells how long so many bytes usually take, unless they may take any time.
    usual: Option<(&'p Pace, u64)>,
    /// In such a time something must come.
    stall: Duration,
    /// What came since `since`.
    came: u64,
    since: Duration,
}

impl<'p> Watch<'p> {
    /// Returns a watch over an answer that was waited for so long and that may be silent so long.
    pub(super) const fn new(
        stall: Duration,
        before: Duration,
        usual: Option<(&'p Pace, u64)>,
    ) -> Self {
        Self {
            before,
            waited: Duration::ZERO,
            usual,
            stall,
            came: 0,
            since: Duration::ZERO,
        }
    }

    /// Returns how long was waited so far, as far as that counts.
    pub(super) fn waited(&self) -> Duration {
        self.counted(self.patience())
    }

    pub(super) async fn next(&mut self, body: &mut BlobBody) -> Result<Option<Bytes>, End> {
        let began = Instant::now();
        let next = self.wait(began, pin!(body.next())).await?;
        self.waited += began.elapsed();
        let bytes = next?;
        self.came += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.came >= LEAST_PROGRESS {
            (self.came, self.since) = (0, self.waited);
        } else if bytes.is_some() && self.waited >= self.since + self.stall {
            // A byte now and then is as good as none.
            return Err(End::Broken(body.broken(Reason::Silent(self.stall))));
        }
        Ok(bytes)
    }

    /// Waits for what is `coming` since `began`, unless that takes too long.
    async fn wait<T>(
        &self,
        began: Instant,
        mut coming: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, End> {
        let least = self.least();
        loop {
            if self.usual.is_none() {
                return Ok(coming.await);
            }
            // What is usual may show only while this one is waited for.
            let patience = self.patience();
            let waited = self.counted(patience) + began.elapsed();
            let left = patience.map_or(least, |patience| patience.saturating_sub(waited));
            if left.is_zero() {
                return Err(End::Slow);
            }
            if let Ok(next) = timeout(left.min(least), coming.as_mut()).await {
                return Ok(next);
            }
        }
    }

    /// Returns how long the answer may take, if that is known.
    fn patience(&self) -> Option<Duration> {
        let (pace, bytes) = self.usual?;
        pace.patience(bytes, self.least())
    }

    /// Returns what is waited for anything at least.
    fn least(&self) -> Duration {
        self.stall / 8
    }

    fn counted(&self, patience: Option<Duration>) -> Duration {
        // A server that wanted to be asked later is not slow for that.
        let before = patience.map_or(self.before, |most| self.before.min(most / 2));
        before + self.waited
    }
}
