//! When a file's stamp tells that its content is still the same.
//!
//! A file system's clock ticks every few milliseconds, or seconds. A file that is written, read
//! and written again within one tick has the same stamp before and after. So a stamp is believed
//! later only if it was already older than a tick when the reading began: whatever was written
//! after that has a newer one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::platform::FileStamp;

/// How far behind the beginning of the run a stamp with fractions of a second must be. Kernels
/// tick every 1 to 10 ms; on network file systems another clock counts.
const FINE_MARGIN: Duration = Duration::from_millis(100);

/// How far behind a stamp of whole seconds must be: file systems without fractions tick every
/// second, FAT every two.
const COARSE_MARGIN: Duration = Duration::from_secs(2);

const SECOND: i64 = 1_000_000_000;

/// Returns the time in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// Tells whether `stamp` is one of a file system that numbers files and says when they change.
/// Without that two files may look the same, and one that was changed as it was before.
pub(super) const fn is_telling(stamp: &FileStamp) -> bool {
    stamp.inode != 0
}

/// Tells whether the content that a file with `stamp` had at `began` or later, and as long as it
/// had that stamp, cannot have been replaced without another stamp.
pub(super) fn is_settled(stamp: &FileStamp, began: i64) -> bool {
    let settled = |time: i64| {
        let margin = if time % SECOND == 0 {
            COARSE_MARGIN
        } else {
            FINE_MARGIN
        };
        let margin = i64::try_from(margin.as_nanos()).expect("seconds are few nanoseconds");
        time < began.saturating_sub(margin)
    };
    is_telling(stamp) && settled(stamp.modified) && settled(stamp.changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_counts_only_if_it_was_older_than_a_tick_when_reading_began() {
        let began = 1_000 * SECOND + 500_000_000;
        let millisecond = 1_000_000;
        for (inode, modified, changed, settled) in [
            (
                1,
                began - 101 * millisecond,
                began - 101 * millisecond,
                true,
            ),
            // Within a tick, or after the beginning: what is written now may get the same stamp.
            (1, began - 99 * millisecond, began - 99 * millisecond, false),
            (1, began, began, false),
            (1, began + 1, began + 1, false),
            // The time of the content can be put back, that of the file cannot.
            (1, 7, began - 1, false),
            (1, 7, 7, true),
            // File systems without change times keep the other one.
            (1, began - 1, 7, false),
            // Whole seconds.
            (1, 999 * SECOND, 999 * SECOND, false),
            (1, 998 * SECOND, 998 * SECOND, true),
            (1, 999 * SECOND + 1, 999 * SECOND + 1, true),
            // No number.
            (0, 7, 7, false),
            // A clock that stands at the beginning of time.
            (1, i64::MIN, i64::MIN, true),
        ] {
            let stamp = FileStamp {
                device: 1,
                inode,
                size: 3,
                modified,
                changed,
            };
            assert_eq!(is_settled(&stamp, began), settled, "{modified} {changed}");
        }
        let old = FileStamp {
            device: 1,
            inode: 1,
            size: 3,
            modified: 1,
            changed: 1,
        };
        assert!(!is_settled(&old, 0), "without a clock nothing is settled");
    }
}
