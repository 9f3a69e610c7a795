//! How fast bytes come, and what follows from it: how much one request asks for, when a slow one
//! is not waited for, and how much may come at all.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The least and the most bytes that one request asks for.
const RANGE: (u64, u64) = (2 << 20, 32 << 20);
/// One request asks for what comes in about this time: with less, asking takes too much of it.
const RANGE_TIME: Duration = Duration::from_millis(250);
/// The fewest connections that are used where there is enough to ask for.
const FEWEST_CONNECTIONS: usize = 4;
/// Their number while nobody knows how fast they are.
const FIRST_CONNECTIONS: usize = 8;
/// The most that are used, unless told otherwise.
pub(super) const MOST_CONNECTIONS: usize = 16;
/// As many connections are used as it takes to get so much a second.
const ENOUGH: f64 = 400e6;
/// A part that takes so many times longer than others did is asked for again.
const SLOW: u32 = 4;

/// How fast one connection is, from what came so far.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<f64>>);

impl Pace {
    /// Notes that `bytes` took `time` on one connection, with asking for them.
    pub(super) fn note(&self, bytes: u64, time: Duration) {
        let rate = as_float(bytes) / time.as_secs_f64().max(1e-6);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(known.map_or(rate, |known| known * 0.75 + rate * 0.25));
    }

    fn rate(&self) -> Option<f64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many connections are to be used: few fast ones or many slow ones.
    pub(super) fn connections(&self) -> usize {
        let Some(rate) = self.rate() else {
            return FIRST_CONNECTIONS;
        };
        let is_enough = |count: &usize| as_float(*count as u64) * rate >= ENOUGH;
        let mut counts = FEWEST_CONNECTIONS..MOST_CONNECTIONS;
        counts.find(is_enough).unwrap_or(MOST_CONNECTIONS)
    }

    /// Returns how many bytes the next request asks for.
    pub(super) fn range(&self) -> u64 {
        let Some(rate) = self.rate() else {
            return RANGE.0;
        };
        let bytes = rate * RANGE_TIME.as_secs_f64();
        let mib = 1_u64 << 20;
        // Compared one by one: a float is never turned into a number of bytes.
        let fits = (RANGE.0 / mib..=RANGE.1 / mib)
            .rev()
            .map(|count| count * mib);
        fits.into_iter()
            .find(|size| as_float(*size) <= bytes)
            .unwrap_or(RANGE.0)
    }

    /// Returns after how long a request for `bytes` is too slow; `None` while nobody knows what is
    /// usual.
    pub(super) fn patience(&self, bytes: u64, least: Duration) -> Option<Duration> {
        let usual = as_float(bytes) / self.rate()?.max(1.0);
        let usual = Duration::try_from_secs_f64(usual).ok()?;
        Some(usual.saturating_mul(SLOW).max(least))
    }
}

/// Lets through so many bytes a second, over all connections.
#[derive(Debug)]
pub(super) struct Limit {
    per_second: u64,
    next: Mutex<Option<Instant>>,
}

impl Limit {
    pub(super) const fn new(per_second: u64) -> Self {
        Self {
            per_second,
            next: Mutex::new(None),
        }
    }

    /// Waits until there is room for the next bytes, now that `bytes` have come.
    pub(super) async fn pass(&self, bytes: u64) {
        let until = self.book(bytes, Instant::now());
        sleep_until(until).await;
    }

    /// Returns when what came may have come at the earliest.
    fn book(&self, bytes: u64, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let time = Duration::try_from_secs_f64(as_float(bytes) / as_float(self.per_second.max(1)));
        let begins = next.map_or(now, |next| next.max(now));
        let ends = begins + time.unwrap_or(Duration::from_secs(1));
        *next = Some(ends);
        ends
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates need no more than 52 bits"
)]
const fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn slow_connections_are_many_and_fast_ones_are_asked_for_much() {
        let pace = Pace::default();
        assert_eq!((pace.range(), pace.connections()), (2 * MIB, 8));
        for (rate, range, connections) in [
            (0, 2, 16),
            (1, 2, 16),
            (20, 5, 16),
            (40, 10, 10),
            (100, 25, 4),
            (900, 32, 4),
        ] {
            let pace = Pace::default();
            pace.note(rate * MIB, Duration::from_secs(1));
            assert_eq!(pace.range(), range * MIB, "{rate} MiB/s");
            assert_eq!(pace.connections(), connections, "{rate} MiB/s");
        }
    }

    #[test]
    fn slow_is_what_takes_four_times_longer_than_usual() {
        let (pace, least) = (Pace::default(), Duration::from_secs(2));
        assert_eq!(pace.patience(MIB, least), None);
        pace.note(MIB, Duration::from_secs(1));
        assert_eq!(pace.patience(MIB, least), Some(Duration::from_secs(4)));
        assert_eq!(pace.patience(1, least), Some(least));
    }

    #[test]
    fn the_sum_of_all_connections_is_limited() {
        let (limit, now) = (Limit::new(1000), Instant::now());
        let seconds = |at: Instant| (at - now).as_secs_f64();
        assert!((seconds(limit.book(500, now)) - 0.5).abs() < 1e-6);
        assert!((seconds(limit.book(1500, now)) - 2.0).abs() < 1e-6);
        // Time in which nothing came is not saved up.
        let later = now + Duration::from_secs(10);
        assert!((seconds(limit.book(1000, later)) - 11.0).abs() < 1e-6);
    }
}
