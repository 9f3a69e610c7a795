//! Where layers are cut into segments, the blobs they are kept in if they are chunked.
//!
//! It is the rule by which files are cut into chunks, with other lengths: whoever changes a layer
//! in one place moves the cuts near it, and hardly any other. The first segment is a small one: an
//! archive begins with a header, which changes with the length of the file. None of this may change.

use super::{WINDOW, gear::GEAR};

/// The first segment is so many times smaller than the others.
const FIRST: u64 = 32;

/// Where one layer is cut, whose bytes arrive in pieces.
#[derive(Clone, Debug)]
pub struct Segmenter {
    /// How the current segment ends.
    ends: Ends,
    /// How all but the first one do.
    later: Ends,
    /// The sum up to here, once it is near enough to the first possible cut to matter.
    sum: u64,
    /// How much of the current segment was seen.
    length: u64,
}

/// Where a segment may end.
#[derive(Clone, Copy, Debug)]
struct Ends {
    shortest: u64,
    longest: u64,
    threshold: u64,
}

impl Ends {
    fn from(shortest: u64) -> Self {
        let shortest = shortest.max(u64::from(WINDOW));
        Self {
            shortest,
            longest: shortest.saturating_mul(4),
            threshold: u64::try_from((1_u128 << u64::BITS) / u128::from(shortest))
                .expect("the shortest is longer than a byte"),
        }
    }
}

impl Segmenter {
    /// Returns what cuts segments of about `target` bytes: half of that at least, twice that at
    /// most, and the first one the thirty-second part of that; none shorter than 64 bytes.
    pub fn new(target: u64) -> Self {
        let later = Ends::from(target / 2);
        Self {
            ends: Ends::from(later.shortest / FIRST),
            later,
            sum: 0,
            length: 0,
        }
    }

    /// Returns how many of `bytes`, which are not empty, belong to the current segment, counted in
    /// it already, and whether it ends there. The rest is to be given again.
    pub fn seek(&mut self, bytes: &[u8]) -> (usize, bool) {
        let before = self.length;
        let Ends {
            shortest,
            longest,
            threshold,
        } = self.ends;
        let most = |length: u64| {
            let room = length.saturating_sub(before);
            usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()))
        };
        let window = u64::from(WINDOW);
        let (warm, first) = (most(shortest - window), most(shortest - 1));
        let bytes = &bytes[..most(longest)];
        let mut sum = self.sum;
        for byte in &bytes[warm..first] {
            sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        }
        let cut = bytes[first..].iter().position(|byte| {
            sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
            sum < threshold
        });
        let length = cut.map_or(bytes.len(), |cut| first + cut + 1);
        self.length += length as u64;
        let is_cut = cut.is_some() || self.length == longest;
        if is_cut {
            (self.ends, self.sum, self.length) = (self.later, 0, 0);
        } else {
            self.sum = sum;
        }
        (length, is_cut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    /// Bytes that look random and are the same each time.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 32);
        let mut block = 0_u64;
        while bytes.len() < length {
            let words = [seed.to_le_bytes(), block.to_le_bytes()].concat();
            bytes.extend_from_slice(Digest::of(&words).as_bytes());
            block += 1;
        }
        bytes.truncate(length);
        bytes
    }

    fn lengths(target: u64, pieces: &[&[u8]]) -> Vec<usize> {
        let mut segmenter = Segmenter::new(target);
        let (mut lengths, mut length) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, is_cut) = segmenter.seek(rest);
                assert!(taken > 0);
                rest = &rest[taken..];
                length += taken;
                if is_cut {
                    lengths.push(std::mem::take(&mut length));
                }
            }
        }
        if length > 0 {
            lengths.push(length);
        }
        lengths
    }

    #[test]
    fn the_cuts_of_known_bytes_never_change() {
        let bytes = noise(1, 1 << 20);
        let found = lengths(64 << 10, &[&bytes]);
        assert_eq!(found.iter().sum::<usize>(), bytes.len());
        let words: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(words.join(" "), GOLDEN);
        assert_eq!(lengths(1 << 20, &[&bytes[..10_000]]), [10_000]);
        // Bytes that are all the same are cut nowhere but at the longest.
        assert_eq!(
            lengths(64 << 10, &[&vec![0; 300_000]]),
            [4_096, 131_072, 131_072, 33_760]
        );
    }

    const GOLDEN: &str = "1250 67009 60129 88106 58662 61446 33281 40381 45233 49167 131072 43153 \
                          131072 32892 81156 41049 59657 23861";

    /// The rule as `docs/format.md` has it, one byte after the other.
    fn by_the_book(target: u64, bytes: &[u8]) -> Vec<usize> {
        let later = usize::try_from(target / 2).unwrap();
        let mut shortest = (later / 32).max(64);
        let mut lengths = Vec::new();
        let mut begin = 0;
        for end in 1..=bytes.len() {
            let length = end - begin;
            let sum = bytes[begin..end].iter().rev().take(64).enumerate();
            let sum = sum.fold(0_u64, |sum, (place, byte)| {
                sum.wrapping_add(GEAR[usize::from(*byte)] << place)
            });
            let is_cut = length >= shortest
                && u128::from(sum) < (1 << 64) / u128::try_from(shortest).unwrap();
            if is_cut || length == 4 * shortest || end == bytes.len() {
                lengths.push(length);
                begin = end;
                shortest = later;
            }
        }
        lengths
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn cuts_follow_the_rule_however_bytes_arrive(
            seed: u64,
            length in 0_usize..20_000,
            cuts in proptest::collection::vec(0_usize..20_000, 0..8),
            target in 64_u64..1_000,
        ) {
            let target = target * 2;
            let bytes = noise(seed, length);
            let whole = lengths(target, &[&bytes]);
            if target >= 128 {
                prop_assert_eq!(&whole, &by_the_book(target, &bytes));
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).collect();
            cuts.extend([0, length]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|it| &bytes[it[0]..it[1]]).collect();
            prop_assert_eq!(whole, lengths(target, &pieces));
        }
    }

    #[test]
    fn an_insertion_moves_few_cuts() {
        let bytes = noise(2, 4 << 20);
        let place = |lengths: Vec<usize>, bytes: &[u8]| {
            let mut at = 0;
            let parts = lengths.into_iter().map(|length| {
                at += length;
                Digest::of(&bytes[at - length..at])
            });
            parts.collect::<std::collections::HashSet<_>>()
        };
        let old = place(lengths(64 << 10, &[&bytes]), &bytes);
        for at in [0, 1_000_000, 2_345_678, 4 << 20] {
            let changed = [&bytes[..at], b"inserted", &bytes[at..]].concat();
            let new = place(lengths(64 << 10, &[&changed]), &changed);
            let lacking = new.difference(&old).count();
            assert!((1..=3).contains(&lacking), "{lacking} at {at}");
        }
    }
}
