//! Which bytes of a piece are there.

use std::ops::Range;

/// The bytes that are there: ranges in order that neither overlap nor touch.
#[derive(Debug, Default)]
pub(super) struct Coverage(Vec<Range<u64>>);

impl Coverage {
    /// Returns what is not there of `wanted`, in order.
    pub(super) fn gaps(&self, wanted: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = wanted.start;
        for there in &self.0 {
            if there.end <= at {
                continue;
            }
            if there.start >= wanted.end {
                break;
            }
            if there.start > at {
                gaps.push(at..there.start);
            }
            at = there.end;
        }
        if at < wanted.end {
            gaps.push(at..wanted.end);
        }
        gaps
    }

    /// Adds bytes that were not there.
    pub(super) fn add(&mut self, new: Range<u64>) {
        let next = self.0.partition_point(|there| there.end < new.start);
        let mut joined = new;
        let mut last = next;
        while let Some(there) = self.0.get(last)
            && there.start <= joined.end
        {
            joined = joined.start.min(there.start)..joined.end.max(there.end);
            last += 1;
        }
        self.0.splice(next..last, [joined]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_there_and_what_is_not_make_up_the_whole(
            added in proptest::collection::vec((0u64..64, 0u64..16), 0..12),
            (start, length) in (0u64..64, 0u64..32),
        ) {
            let mut coverage = Coverage::default();
            let mut there = BTreeSet::new();
            for (start, length) in added {
                for gap in coverage.gaps(start..start + length) {
                    coverage.add(gap);
                }
                there.extend(start..start + length);
            }
            let mut missing = Vec::new();
            for gap in coverage.gaps(start..start + length) {
                prop_assert!(!gap.is_empty());
                missing.extend(gap);
            }
            let expected: Vec<u64> =
                (start..start + length).filter(|byte| !there.contains(byte)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert!(coverage.0.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
