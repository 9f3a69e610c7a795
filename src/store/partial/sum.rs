//! A sum that tells whether a piece is as it was written.
//!
//! It is there for what disks and power cuts do, not for anybody's malice: whether the content is
//! what was asked for is decided by the digest of the whole, in every run. A second SHA-256 of
//! every byte would take as long as that one; this takes less than a tenth of it.

/// An odd number without a pattern, so that multiplying by it loses nothing.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the lanes begin with.
const START: [u64; 4] = [1, 2, 3, 4];

/// How many bytes the lanes take at a time, 8 each.
const BLOCK: usize = 32;

/// Computes the sum of bytes that come in order. `docs/format.md` has it in words.
#[derive(Clone)]
pub(super) struct Sum {
    lanes: [u64; 4],
    rest: [u8; BLOCK],
    length: u64,
}

impl Sum {
    pub(super) const fn new() -> Self {
        Self {
            lanes: START,
            rest: [0; BLOCK],
            length: 0,
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let held = usize::try_from(self.length % BLOCK as u64).expect("it is less than a block");
        self.length += bytes.len() as u64;
        if held > 0 {
            let taken = bytes.len().min(BLOCK - held);
            self.rest[held..held + taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if held + taken < BLOCK {
                return;
            }
            let block = self.rest;
            mix(&mut self.lanes, &block);
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        // In registers while it goes round.
        let mut lanes = self.lanes;
        for block in blocks {
            mix(&mut lanes, block);
        }
        self.lanes = lanes;
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    pub(super) fn finish(mut self) -> u64 {
        let held = usize::try_from(self.length % BLOCK as u64).expect("it is less than a block");
        if held > 0 {
            self.rest[held..].fill(0);
            mix(&mut self.lanes, &self.rest);
        }
        let lanes = self.lanes.into_iter();
        lanes.fold(self.length, step)
    }
}

/// Every step can be undone, so that no single change of a lane gets lost. Multiplying carries a
/// change to higher bits, the shift back to lower ones.
const fn step(lane: u64, word: u64) -> u64 {
    let product = (lane ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

#[inline]
fn mix(lanes: &mut [u64; 4], block: &[u8; BLOCK]) {
    let (words, _) = block.as_chunks::<8>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = step(*lane, u64::from_le_bytes(*word));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn sum(bytes: &[u8]) -> u64 {
        let mut sum = Sum::new();
        sum.update(bytes);
        sum.finish()
    }

    #[test]
    fn a_sum_does_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..=255).collect();
        for size in [1, 3, 8, 31, 32, 33, 100] {
            let mut parts = Sum::new();
            bytes.chunks(size).for_each(|part| parts.update(part));
            assert_eq!(parts.finish(), sum(&bytes), "{size}");
        }
        // Written to files, so it stays as it is.
        assert_eq!(sum(&bytes), 0x31c1_77dd_b7e0_3d5b);
        assert_eq!(sum(b"weights"), 0x954a_27e7_61f5_529e);
        assert_eq!(sum(b""), 0xe821_a9cc_1f06_a6e9);
    }

    #[test]
    fn every_bit_every_length_and_every_order_count() {
        let bytes: Vec<u8> = (1..=100_u8).map(|byte| byte.wrapping_mul(7)).collect();
        let mut seen = HashSet::from([sum(&bytes)]);
        let mut count = 1;
        let mut see = |changed: &[u8]| {
            count += 1;
            assert!(seen.insert(sum(changed)));
            assert_eq!(seen.len(), count);
        };
        for bit in 0..800 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            see(&changed);
        }
        for length in 0..100 {
            see(&bytes[..length]);
            see(&vec![0; length + 1]);
        }
        let mut swapped = bytes.clone();
        swapped.rotate_left(32);
        see(&swapped);
        swapped.rotate_left(8);
        see(&swapped);
    }
}
