//! Durations as people write them: a whole number and one of `s`, `m`, `h`,
//! `d`. There is no bare number, so seconds are never mistaken for
//! milliseconds.

/// The seconds of `90s`, `5m`, `1h`, `30d`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()
        .filter(|_| digits)?
        .checked_mul(seconds)
}

/// Seconds in the largest unit that divides them.
pub(crate) fn display(seconds: u64) -> String {
    for (unit, length) in [('d', 86_400), ('h', 3_600), ('m', 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// A length of time for people: the two largest units of it.
pub(crate) fn about(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "+5m",
            "5 m",
            "5ms",
            "1.5h",
            "5M",
            "99999999999999999d",
            "5µ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_reads_back_as_written() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h", 3_600), ("30d", 2_592_000)] {
            assert_eq!(parse(text), Some(seconds));
            assert_eq!(display(seconds), text);
        }
    }
}
