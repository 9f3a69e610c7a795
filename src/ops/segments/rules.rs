//! Which layers are cut into segments, and how large these are.

/// How large segments are on average, in bytes, if nobody says otherwise.
pub const TARGET: u64 = 32 << 20;

/// The smallest size of segments that can be asked for, in bytes.
pub const MIN_SEGMENT_SIZE: u64 = 1 << 20;

/// The largest size of segments that can be asked for, in bytes.
pub const MAX_SEGMENT_SIZE: u64 = 16 << 30;

/// About how many segments the layers of one kit are cut into at most; twice as many can come of it.
pub const MAX_SEGMENTS: u64 = 4_000;

/// The most layers and segments that a manifest can have.
const ROOM: u64 = 10_000;

/// Layers of so many times the size of segments are cut, and no smaller ones.
const CUT_FROM: u64 = 4;

/// How the layers of a kit are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// From how many bytes on.
    pub from: u64,
    /// Into how many bytes, on average.
    pub target: u64,
}

impl Cuts {
    /// Returns how layers of these `sizes` are cut if segments of `size` bytes are asked for, or it
    /// is not said how large they should be.
    pub fn of(size: Option<u64>, sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut target = size
            .unwrap_or(TARGET)
            .clamp(MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE);
        let sizes: Vec<u64> = sizes.into_iter().collect();
        let is_too_many = |target: u64| {
            let large = sizes.iter().filter(|size| **size >= target * CUT_FROM);
            // The first segment of each is a small one.
            let count = large.clone().map(|size| size.div_ceil(target) + 1);
            let count = count.sum::<u64>();
            let others = sizes.len() as u64 - large.count() as u64;
            count > 0 && (count > MAX_SEGMENTS || 2 * count + others > ROOM)
        };
        while is_too_many(target) {
            target *= 2;
        }
        Self {
            from: target * CUT_FROM,
            target,
        }
    }

    /// Returns how large the segments of a layer of `size` bytes are; `None` if it stays as it is.
    pub const fn target_of(&self, size: u64) -> Option<u64> {
        if size >= self.from {
            Some(self.target)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_layers_stay_and_many_segments_grow() {
        const GIB: u64 = 1 << 30;
        let with_others = [vec![50 * GIB], vec![1; 8_000]].concat();
        for (size, sizes, from, target) in [
            (None, &[GIB][..], 128 << 20, 32 << 20),
            (None, &[124 * GIB], 128 << 20, 32 << 20),
            (None, &[125 * GIB], 256 << 20, 64 << 20),
            (None, &[95 * GIB, 30 * GIB], 256 << 20, 64 << 20),
            (Some(1 << 20), &vec![3 << 20; 9_000], 4 << 20, 1 << 20),
            (Some(1 << 20), &[4 << 20; 800], 4 << 20, 1 << 20),
            (Some(1 << 20), &[4 << 20; 801], 8 << 20, 2 << 20),
            (None, &with_others, 256 << 20, 64 << 20),
        ] {
            let cuts = Cuts::of(size, sizes.iter().copied());
            assert_eq!(cuts, Cuts { from, target });
        }
        let cuts = Cuts::of(None, []);
        assert_eq!(cuts.target_of((128 << 20) - 1), None);
        assert_eq!(cuts.target_of(128 << 20), Some(TARGET));
    }
}
