//! Moments for people: RFC 3339 and how far away.

use jiff::Timestamp;

use crate::config::duration;

/// A Unix time as RFC 3339 in UTC, or the number when it is out of range.
pub(crate) fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |moment| moment.to_string())
}

/// The time of day in UTC, with milliseconds.
pub(crate) fn clock_time(milliseconds: u64) -> String {
    let of_day = milliseconds % 86_400_000;
    let (seconds, fraction) = (of_day / 1_000, of_day % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{fraction:03}", seconds % 60)
}

/// A moment in milliseconds as a log shows it: the time of day, and for another
/// day than today its date before it.
pub(crate) fn at(milliseconds: u64, now: u64) -> String {
    const DAY: u64 = 86_400;
    let seconds = milliseconds / 1_000;
    if seconds / DAY == now / DAY {
        return clock_time(milliseconds);
    }
    let date = rfc3339(seconds);
    format!(
        "{} {}",
        date.get(..10).unwrap_or_default(),
        clock_time(milliseconds)
    )
}

/// How far `then` is from `now`: `in 4 min 58 s`, `12 s ago`.
pub(crate) fn relative(then: u64, now: u64) -> String {
    if then > now {
        format!("in {}", duration::about(then - now))
    } else {
        format!("{} ago", duration::about(now - then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_well() {
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(clock_time(1_700_000_000_042), "22:13:20.042");
        assert_eq!(at(1_700_000_000_042, 1_700_000_100), "22:13:20.042");
        assert_eq!(
            at(1_700_000_000_042, 1_700_100_000),
            "2023-11-14 22:13:20.042"
        );
        assert_eq!(relative(1_300, 1_000), "in 5 min 0 s");
        assert_eq!(relative(988, 1_000), "12 s ago");
    }
}
