//! Times as v1 kept them, in seconds since 1970.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads a time: an integer, a number with a fraction, milli-, micro- or nanoseconds, or an ISO date and time, which is UTC
/// unless it says otherwise. `None` for anything else.
pub fn epoch(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(scaled(number));
    }
    if let Ok(number) = text.parse::<f64>() {
        // Beyond this a float is no time in any unit.
        return (number.is_finite() && number.abs() < 1e18).then(|| scaled(number as i64));
    }
    iso(text)
}

/// Seconds, whatever the unit: in seconds 100,000,000,000 is the year 5138.
fn scaled(number: i64) -> i64 {
    match number.unsigned_abs() {
        0..=99_999_999_999 => number,
        100_000_000_000..=99_999_999_999_999 => number / 1000,
        100_000_000_000_000..=99_999_999_999_999_999 => number / 1_000_000,
        _ => number / 1_000_000_000,
    }
}

/// Reads an ISO date and time.
pub fn iso(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_second());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.9", Some(1_700_000_000)),
            ("1700000000123", Some(1_700_000_000)),
            ("1700000000123456", Some(1_700_000_000)),
            ("1700000000123456789", Some(1_700_000_000)),
            ("9223372036854775807", Some(9_223_372_036)),
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("2023-11-14 22:13:20", Some(1_700_000_000)),
            ("2023-11-14T22:13:20.123456", Some(1_700_000_000)),
            ("2023-11-14 22:13:20+00", Some(1_700_000_000)),
            ("2023-11-14T23:13:20.5+01:00", Some(1_700_000_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000)),
            ("", None),
            ("soon", None),
            ("nan", None),
            ("1e300", None),
        ] {
            assert_eq!(epoch(text), expected, "{text}");
        }
    }
}
