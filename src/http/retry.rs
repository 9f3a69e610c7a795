//! Which failures are tried again, how often, and when.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::time::Instant;

use super::{
    error::{Error, Reason},
    limits::{MAX_RETRIES, MAX_RETRY_AFTER},
};

/// Lets time pass. Tests bring their own.
pub trait Clock: Send + Sync {
    /// Waits.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Returns the time that it shows.
    fn now(&self) -> Instant {
        Instant::now()
    }
    /// Returns a number from 0 to 1 by which waits differ, so that many clients do not all come
    /// back at the same moment.
    fn jitter(&self) -> f64;
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(time))
    }

    fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}

/// How often something is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How often an answer that promises better later is asked for again.
    pub retries: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: MAX_RETRIES,
        }
    }
}

/// The first wait; each next one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// No wait is longer, unless the peer asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

impl Policy {
    /// Returns how long to wait before the next try after an answer; `None` to take it as it is.
    /// `failed` counts the tries so far, from 1.
    pub(super) fn after_status(
        self,
        status: u16,
        retry_after: Option<Duration>,
        failed: u32,
        jitter: f64,
    ) -> Option<Duration> {
        if failed > self.retries || !matches!(status, 408 | 429 | 500 | 502 | 503 | 504) {
            return None;
        }
        let own = backoff(failed, jitter);
        match retry_after {
            Some(asked) if asked > Duration::from_secs(MAX_RETRY_AFTER) => None,
            // Never earlier than asked for.
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }

    /// Returns how long to wait before the next of several tries, whatever the last one met;
    /// `None` when there have been enough of them, or `asked` is too long.
    pub(super) fn next(
        self,
        failed: u32,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        let asked = asked.unwrap_or_default();
        if failed > self.retries || asked > Duration::from_secs(MAX_RETRY_AFTER) {
            return None;
        }
        Some(asked.max(backoff(failed, jitter)))
    }

    /// Returns how long to wait before the next try after no answer came.
    pub(super) fn after_error(self, error: &Error, failed: u32, jitter: f64) -> Option<Duration> {
        let Error::Unreachable { reason, .. } = error else {
            return None;
        };
        let most = match reason {
            // Answers come late or never; once more is a minute.
            Reason::Silent(_) => 1,
            Reason::Connect(_) | Reason::Broken(_) | Reason::Name => 3,
            // The same would come again.
            Reason::UnknownAuthority
            | Reason::OtherHost
            | Reason::Certificate(_)
            | Reason::WantsCertificate(_)
            | Reason::NotTls
            | Reason::Tls(_)
            | Reason::Proxy(_) => 0,
        };
        (failed <= most.min(self.retries)).then(|| backoff(failed, jitter))
    }
}

pub(super) fn backoff(failed: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    // Between three and five quarters.
    doubled
        .min(LONGEST_WAIT)
        .mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Reads `Retry-After`: seconds, or a date, which is compared with the peer's own clock.
pub(super) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let then = http_date(value)?;
    let now = http_date(date?)?;
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = text.trim().strip_suffix(" GMT")?;
    let (_, text) = text.split_once(", ")?;
    let mut parts = text.split([' ', ':']);
    let mut part = || parts.next();
    let number = |text: &str| text.parse::<u64>().ok();
    let day = number(part()?)?;
    let name = part()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let month = u64::try_from(month).ok()? + 1;
    let year = number(part()?)?;
    let (hours, minutes, seconds) = (number(part()?)?, number(part()?)?, number(part()?)?);
    let sane = (1970..10_000).contains(&year) && (1..=31).contains(&day);
    if !sane || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // Years are counted from March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 70
    #[test]
    fn waits_double_up_to_a_limit() {
        let waits: Vec<_> = (1..=7)
            .map(|failed| backoff(failed, 0.5).as_millis())
            .collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000]);
        assert_eq!(backoff(1, 0.0).as_micros(), 187_500);
        assert_eq!(backoff(1, 1.0).as_micros(), 312_500);
        assert_eq!(backoff(u32::MAX, 0.5).as_millis(), 8000);
    }

    #[test]
    fn only_what_may_be_better_later_is_asked_again() {
        let policy = Policy { retries: 2 };
        for (status, again) in [
            (200, false),
            (401, false),
            (404, false),
            (429, true),
            (503, true),
        ] {
            assert_eq!(
                policy.after_status(status, None, 1, 0.5).is_some(),
                again,
                "{status}"
            );
        }
        assert!(policy.after_status(503, None, 2, 0.5).is_some());
        assert_eq!(policy.after_status(503, None, 3, 0.5), None);
    }

    // hazard: 70
    #[test]
    fn what_the_peer_asks_for_is_never_cut_short() {
        let policy = Policy::default();
        let seconds = Duration::from_secs;
        let wait = |asked| policy.after_status(429, Some(seconds(asked)), 1, 0.5);
        assert_eq!(wait(20), Some(seconds(20)));
        assert_eq!(wait(0), Some(Duration::from_millis(250)));
        assert_eq!(wait(60), Some(seconds(60)));
        assert_eq!(wait(61), None);
        assert_eq!(wait(86_400), None, "nobody waits a day");
    }

    #[test]
    fn a_silent_peer_is_asked_once_more_and_a_wrong_certificate_never() {
        let after = |reason, failed| {
            let error = Error::Unreachable {
                peer: String::new(),
                proxy: None,
                reason,
            };
            Policy::default().after_error(&error, failed, 0.5).is_some()
        };
        let silent = Reason::Silent(Duration::from_secs(30));
        assert!(after(silent.clone(), 1) && !after(silent, 2));
        assert!(after(Reason::Name, 3) && !after(Reason::Name, 4));
        assert!(!after(Reason::UnknownAuthority, 1));
        assert!(!after(Reason::NotTls, 1));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, expected) in [
            ("20", Some(20)),
            (" 0 ", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Mon, 07 Nov 1994 00:00:00 GMT", Some(54_623)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None),
            ("Sun, 06 anF 1994 08:50:37 GMT", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(value, date), expected, "{value}");
        }
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", None), None);
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            http_date("Thu, 29 Feb 2024 12:00:00 GMT"),
            Some(1_709_208_000)
        );
    }
}
