//! What the fuzz targets are made of.

pub mod invariants;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time for an input of up to 64 KiB, and for each 64 KiB of a longer one. Without the
/// instrumentation, which costs about ten times as much, it is a tenth of this.
const DEADLINE: Duration = Duration::from_secs(2);

/// A block of an archive.
const BLOCK: usize = 512;

/// Checks `input` and that this takes no longer than linear work can.
///
/// Only what this thread uses counts, so that a busy machine is no finding.
pub fn run(target: &str, input: &[u8]) {
    let start = used();
    invariants::check(target, input);
    let took = used().saturating_sub(start);
    let allowed =
        DEADLINE * u32::try_from(input.len().div_ceil(64 << 10).max(1)).unwrap_or(u32::MAX);
    assert!(
        took <= allowed,
        "{} bytes took {took:?} of processor time, allowed are {allowed:?}",
        input.len()
    );
}

fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .expect("the clock does not run backwards from zero")
}

/// Gives the headers of the archive in `data[..size]` their checksums, most of the time, and
/// sometimes an end mark: blind changes alone would never get past these. Returns the new size.
pub fn mend_archive(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    if seed.is_multiple_of(16) {
        return size;
    }
    let mut at = 0;
    while at + BLOCK <= size && data[at..at + BLOCK].iter().any(|byte| *byte != 0) {
        let header = &mut data[at..at + BLOCK];
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let content = header[124..136]
            .iter()
            .filter(|byte| (b'0'..=b'7').contains(*byte))
            .fold(0_usize, |size, digit| size << 3 | usize::from(digit - b'0'));
        at = (at + BLOCK).saturating_add(content).next_multiple_of(BLOCK);
    }
    let end = at + 2 * BLOCK;
    if end > most.min(data.len()) || !seed.is_multiple_of(4) {
        return size;
    }
    data[size.min(at)..end].fill(0);
    end
}
