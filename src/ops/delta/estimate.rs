//! What a layer would cost, piece by piece or as a whole.

use std::ops::Range;

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
    /// Returns the estimates for parts of a layer with this table, which are in order and of which
    /// nothing came yet.
    pub(super) fn of(
        table: &Table,
        index: &Index,
        places: &[Range<u64>],
    ) -> Result<Vec<Self>, archive::Error> {
        let full = |place: &Range<u64>| Self {
            full: place.end - place.start,
            ..Self::default()
        };
        let mut estimates: Vec<Self> = places.iter().map(full).collect();
        let mut ends = vec![None; places.len()];
        // Those before it are done.
        let mut first = 0;
        stretch::each(table, |offset, stretch| {
            let range = offset..offset + stretch.length();
            while places.get(first).is_some_and(|it| it.end <= range.start) {
                first += 1;
            }
            let is_here = match stretch {
                Stretch::Made(_) => true,
                Stretch::Untold(_) => false,
                Stretch::Chunk(it) => index.seen(&it.chunk.hash).is_some(),
            };
            let touched = places.iter().enumerate().skip(first);
            let touched = touched.take_while(|(_, place)| !is_here && place.start < range.end);
            for (number, place) in touched {
                // A chunk comes as a whole or cannot be checked.
                let range = match stretch {
                    Stretch::Chunk(_) => range.clone(),
                    _ => range.start.max(place.start)..range.end.min(place.end),
                };
                let estimate = &mut estimates[number];
                match ends[number] {
                    Some(end) if range.start <= end + GAP => estimate.delta += range.end - end,
                    _ => {
                        estimate.delta += range.end - range.start;
                        estimate.requests += 1;
                    }
                }
                ends[number] = Some(range.end);
            }
            Ok::<_, archive::Error>(first < places.len())
        })?;
        Ok(estimates)
    }

    /// Returns the estimate for a part of a layer that is fetched whole.
    pub(super) const fn all_of(place: &Range<u64>) -> Self {
        Self::whole(place.end - place.start)
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
