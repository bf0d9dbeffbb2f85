//! When a delivery is tried, and what an answer to it means. The delays are those that Standard Webhooks recommends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// After the first attempt, which is made at once; 75 h 35 min 5 s in all.
const DELAYS: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(10),
    SignedDuration::from_hours(14),
    SignedDuration::from_hours(20),
    SignedDuration::from_hours(24),
];

/// For how long an endpoint may fail without any success before it is disabled.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(75);
/// A receiver's `Retry-After` is followed up to this: no one may park a delivery for ever.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// How long an endpoint that says "too much" without saying for how long is left alone.
const THROTTLE: SignedDuration = SignedDuration::from_secs(30);
/// Jitter makes a delay longer by up to a tenth, never shorter: the whole schedule is never below [`PATIENCE`].
const JITTER_PARTS: i64 = 10 * 256;

/// How long to wait after the attempt of this number (from 1) failed; none after the last. `jitter` is drawn by lot.
pub fn delay_after(attempt: i32, jitter: u8) -> Option<SignedDuration> {
    let index = usize::try_from(attempt).ok()?.checked_sub(1)?;
    let delay = DELAYS.get(index)?;
    let extra = delay.as_millis() * i128::from(jitter) / i128::from(JITTER_PARTS);
    Some(*delay + SignedDuration::from_millis(i64::try_from(extra).expect("below a day")))
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx: the receiver has it.
    Delivered,
    /// 410: the receiver wants no more of these, ever.
    Gone,
    /// Anything else, redirects included.
    Failed {
        /// Not to be tried again earlier, as the receiver asked.
        not_before: Option<SignedDuration>,
        /// Nothing at all is to be sent to the endpoint for so long: it is overloaded (429, 502, 504).
        throttle: Option<SignedDuration>,
    },
}

/// What an answer with this status means. `retry_after` is what its header says, if it can be read.
pub fn verdict(status: u16, retry_after: Option<Duration>) -> Verdict {
    let wait = retry_after.map(|wait| SignedDuration::try_from(wait).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT));
    match status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        429 | 502 | 504 => Verdict::Failed { not_before: wait, throttle: Some(wait.unwrap_or(THROTTLE)) },
        _ => Verdict::Failed { not_before: wait, throttle: None },
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). None for what is neither; nothing for a date in the past.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_75_hours_35_minutes_and_5_seconds() {
        let delays: Vec<_> = (1..=10).map(|attempt| delay_after(attempt, 0)).collect();
        assert_eq!(delays.iter().flatten().count(), 9);
        assert_eq!(delays[9], None);
        let total: SignedDuration = delays.into_iter().flatten().fold(SignedDuration::ZERO, |sum, delay| sum + delay);
        assert_eq!(total, SignedDuration::new(75 * 3_600 + 35 * 60 + 5, 0));
        assert!(total > PATIENCE);
        assert_eq!((delay_after(0, 0), delay_after(-1, 0), delay_after(11, 0)), (None, None, None));
    }

    #[test]
    fn jitter_makes_a_delay_longer_by_less_than_a_tenth() {
        for attempt in 1..10 {
            let (least, most) = (delay_after(attempt, 0), delay_after(attempt, 255));
            let (least, most) = (least.expect("a delay"), most.expect("a delay"));
            assert!(most > least && most < least + least / 10, "{least} {most}");
        }
    }

    #[test]
    fn only_2xx_is_success() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(status, None), Verdict::Delivered, "{status}");
        }
        assert_eq!(verdict(410, None), Verdict::Gone);
        let failed = |not_before, throttle| Verdict::Failed { not_before, throttle };
        for status in [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 500, 503] {
            assert_eq!(verdict(status, None), failed(None, None), "{status}");
        }
        for status in [429, 502, 504] {
            assert_eq!(verdict(status, None), failed(None, Some(THROTTLE)), "{status}");
            let wait = Some(SignedDuration::from_secs(7));
            assert_eq!(verdict(status, Some(Duration::from_secs(7))), failed(wait, wait), "{status}");
        }
        let day = Some(LONGEST_WAIT);
        assert_eq!(verdict(503, Some(Duration::from_secs(u64::MAX))), failed(day, None));
        assert_eq!(verdict(429, Some(Duration::from_hours(1_000))), failed(day, day));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let read = |value: &str| parse_retry_after(value, now);
        assert_eq!(read("119"), Some(Duration::from_secs(119)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(read("Sun, 22 Nov 2026 10:01:00 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(read("Sun, 22 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        for unreadable in ["", "soon", "-5", "1.5", "2026-11-22"] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
    }
}
