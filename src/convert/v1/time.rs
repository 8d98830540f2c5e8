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
pub fn scaled(number: i64) -> i64 {
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

/// Whether a text is what `datetime.isoformat()` writes, which every release of Python reads back.
pub fn is_isoformat(text: &str) -> bool {
    let bytes = text.as_bytes();
    let zone = bytes.iter().skip(19).position(|byte| matches!(byte, b'+' | b'-')).map(|at| at + 19);
    let seconds_end = zone.unwrap_or(bytes.len());
    let digits = bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.T +".contains(byte));
    // Before 3.11 Python reads three or six digits of a fraction only.
    let lengths = matches!(seconds_end, 19 | 23 | 26) && matches!(bytes.len() - seconds_end, 0 | 6);
    // A leap second is none to Python.
    digits && lengths && bytes.get(17..19) != Some(b"60") && iso(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_reads_back() {
        for text in
            ["2024-05-01T10:00:00", "2024-05-01T10:00:00.123456", "2024-05-01 10:00:00", "2024-05-01T10:00:00.123+02:00"]
        {
            assert!(is_isoformat(text), "{text}");
        }
        for text in [
            "",
            "2024-05-01",
            "2024-05-01T10:00",
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00.1234567",
            "20240501T100000",
            "2024-05-01T10:00:60",
            "2024-13-01T10:00:00",
            "2024-05-01T10:00:00[UTC]",
            "2024-05-01T10:00:00+02",
            "soon",
        ] {
            assert!(!is_isoformat(text), "{text}");
        }
    }

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
