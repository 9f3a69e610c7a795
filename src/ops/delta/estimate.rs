//! What a layer would cost, piece by piece or as a whole.

use super::{
    index::Index,
    stretch::{self, Stretch},
};
use crate::{archive, ops::toc::GAP, toc::Table};

/// What asking costs, as bytes that could have come meanwhile.
const REQUEST: u64 = GAP / 2;

/// What fetching a layer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// How many bytes come if what is here is used.
    pub delta: u64,
    /// How many requests that takes at least.
    pub requests: u64,
    /// How many bytes come otherwise.
    pub full: u64,
}

impl Estimate {
    /// Returns the estimate for a layer with this table, of which nothing came yet.
    pub(super) fn of(table: &Table, index: &Index) -> Result<Self, archive::Error> {
        let mut estimate = Self {
            full: table.plain_size(),
            ..Self::default()
        };
        let mut end = None;
        stretch::each(table, |offset, stretch| {
            let is_here = match stretch {
                Stretch::Made(_) => true,
                Stretch::Untold(_) => false,
                Stretch::Chunk(placed) => index.seen(&placed.chunk.hash).is_some(),
            };
            if is_here {
                return Ok(true);
            }
            let range = offset..offset + stretch.length();
            match end {
                Some(end) if range.start <= end + GAP => estimate.delta += range.end - end,
                _ => {
                    estimate.delta += range.end - range.start;
                    estimate.requests += 1;
                }
            }
            end = Some(range.end);
            Ok::<_, archive::Error>(true)
        })?;
        Ok(estimate)
    }

    /// Returns the estimate for what is fetched whole.
    pub(in crate::ops) const fn whole(size: u64) -> Self {
        Self {
            delta: size,
            requests: 1,
            full: size,
        }
    }

    /// Adds the estimate of a layer: in the sum, `delta` is what comes if for each layer the better
    /// way is taken.
    pub(in crate::ops) const fn add(&mut self, other: Self) {
        // Layers may be those of many kits.
        self.delta = self.delta.saturating_add(other.bytes());
        self.requests += other.requests;
        self.full = self.full.saturating_add(other.full);
    }

    /// Tells whether it is worth the trouble: less has to come, and not only a little.
    pub(super) const fn is_worth_it(&self) -> bool {
        let cost = self.delta + self.requests * REQUEST;
        // What is copied and compared takes time, too.
        cost < self.full - self.full / 10
    }

    /// Returns the bytes that will come of a layer, whichever way is taken.
    const fn bytes(&self) -> u64 {
        if self.is_worth_it() {
            self.delta
        } else {
            self.full
        }
    }
}
