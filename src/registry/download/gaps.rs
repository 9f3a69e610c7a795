//! Which bytes of a blob are still to come.

use std::ops::Range;

/// Ranges without overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps(Vec<Range<u64>>);

impl Gaps {
    /// Returns the gaps in any order, however they overlap.
    pub(super) fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| range.start < range.end);
        ranges.sort_by_key(|range| range.start);
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match gaps.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => gaps.push(range),
            }
        }
        Self(gaps)
    }

    /// Returns how many bytes are to come.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|gap| gap.end - gap.start).sum()
    }

    /// Takes up to `most` bytes from the front, out of one gap. A rest that would be less than
    /// half of that is taken along.
    pub(super) fn take(&mut self, most: u64) -> Option<Range<u64>> {
        let gap = self.0.first_mut()?;
        let length = gap.end - gap.start;
        let taken = if length <= most + most / 2 {
            length
        } else {
            most
        };
        let range = gap.start..gap.start + taken;
        if taken == length {
            self.0.remove(0);
        } else {
            gap.start = range.end;
        }
        Some(range)
    }

    /// Returns those parts of `range` that are to come.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let gaps = self.0.iter();
        let cut = gaps.map(|gap| gap.start.max(range.start)..gap.end.min(range.end));
        cut.filter(|part| part.start < part.end).collect()
    }

    /// Takes `range` out: it came.
    pub(super) fn remove(&mut self, range: &Range<u64>) {
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for gap in self.0.drain(..) {
            left.push(gap.start..gap.end.min(range.start));
            left.push(gap.start.max(range.end)..gap.end);
        }
        left.retain(|part| part.start < part.end);
        self.0 = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_given_out_in_order_and_small_rests_go_along() {
        let mut gaps = Gaps::new(vec![20..45, 0..5, 3..8, 9..9]);
        assert_eq!(gaps, Gaps(vec![0..8, 20..45]));
        assert_eq!(gaps.len(), 33);
        assert_eq!(gaps.take(10), Some(0..8));
        assert_eq!(gaps.take(10), Some(20..30));
        assert_eq!(gaps.take(10), Some(30..45));
        assert_eq!(gaps.take(10), None);
    }

    #[test]
    fn what_came_is_no_gap_any_more() {
        let mut gaps = Gaps::new(vec![0..10, 20..30]);
        assert_eq!(gaps.within(&(5..25)), [5..10, 20..25]);
        gaps.remove(&(5..25));
        assert_eq!(gaps, Gaps(vec![0..5, 25..30]));
        gaps.remove(&(0..0));
        gaps.remove(&(1..2));
        assert_eq!(gaps, Gaps(vec![0..1, 2..5, 25..30]));
        gaps.remove(&(0..100));
        assert_eq!(gaps, Gaps::default());
    }
}
