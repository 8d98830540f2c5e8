//! Whether two texts are the same JSON, however they are written: Agno 2 on SQLite encodes twice, Agno 3 encodes a list anew when
//! it takes a run out, JSONB writes numbers its own way.

use super::v1::read::read;
use super::v1::tree::{Node, Text};
use std::borrow::Cow;
use std::collections::HashMap;

/// Whether a column that is there holds the JSON that is wanted; `None` is NULL.
pub fn same_json(there: Option<&[u8]>, wanted: Option<&str>) -> bool {
    let is_null = |text: &str| read(text).is_ok_and(|(node, _)| node.is_null());
    match (there.map(std::str::from_utf8), wanted) {
        (None, None) => true,
        // What is no text is no JSON.
        (Some(Err(_)), _) => false,
        // JSON null stands for NULL.
        (Some(Ok(text)), None) | (None, Some(text)) => is_null(text),
        (Some(Ok(there)), Some(wanted)) => there == wanted || same_text(&decoded(there), &decoded(wanted)),
    }
}

/// Lists and objects that were encoded twice, encoded once.
fn decoded(text: &str) -> Cow<'_, str> {
    let inner = if text.starts_with('"') { serde_json::from_str::<String>(text).ok() } else { None };
    match inner {
        Some(inner) if inner.starts_with(['{', '[']) && read(&inner).is_ok() => Cow::Owned(inner),
        _ => Cow::Borrowed(text),
    }
}

fn same_text(a: &str, b: &str) -> bool {
    a == b || matches!((read(a), read(b)), (Ok((a, _)), Ok((b, _))) if same_value(&a, &b))
}

/// Recursive: trees that were read are never deeper than [`super::v1::read::DEPTH`].
fn same_value(a: &Node<'_>, b: &Node<'_>) -> bool {
    match (a, b) {
        // 1.0 and 1, 1e5 and 100000; by every digit, of which a float has only the first.
        (Node::Number(a), Node::Number(b)) => a == b || decimal(a).is_some_and(|digits| decimal(b) == Some(digits)),
        (Node::Text(a), Node::Text(b)) => same_words(a, b),
        (Node::List { items: a, .. }, Node::List { items: b, .. }) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Node::Object { members: a, .. }, Node::Object { members: b, .. }) => {
            let of_b: HashMap<String, &Node<'_>> = b.iter().map(|(key, b)| (said(key), b)).collect();
            a.len() == b.len() && a.iter().all(|(key, a)| of_b.get(&said(key)).is_some_and(|b| same_value(a, b)))
        }
        (a, b) => a == b,
    }
}

fn same_words(a: &Text<'_>, b: &Text<'_>) -> bool {
    a == b || a.plain().is_some_and(|said| b.plain() == Some(said))
}

/// A key, whatever its escapes.
fn said(key: &str) -> String {
    Text(Cow::Borrowed(key)).plain().map_or_else(|| key.to_owned(), Cow::into_owned)
}

/// A JSON number as its sign, its digits without zeros around them, and the power of ten behind them; `None`: a power beyond
/// all use, or none at all.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (digits, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    let digits = all.trim_end_matches('0');
    let behind = i64::try_from(all.len() - digits.len()).ok()? - i64::try_from(part.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_add(behind)?;
    match digits.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        digits => Some((is_negative, digits.to_owned(), power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_as_values() {
        let same = |there: &str, wanted: &str| same_json(Some(there.as_bytes()), Some(wanted));
        assert!(same(r#"{"a": 1.0, "b": [1e5]}"#, r#"{"b":[100000],"a":1.0}"#));
        assert!(same(r#""{\"a\": 1}""#, r#"{"a":1}"#));
        assert!(same(r#""text""#, r#""text""#));
        assert!(same(r#""{\"s\": NaN}""#, r#"{"s": NaN}"#) && same(r#"{"s":NaN}"#, r#"{"s": NaN}"#));
        assert!(!same("NaN", "Infinity") && !same("NaN", "0"));
        assert!(same(r#"{"\u00e9":"\u00e9\/"}"#, r#"{"é": "é/"}"#) && !same(r#"{"é":1}"#, r#"{"e":1}"#));
        assert!(same(r#"["\ud83d"]"#, r#"[ "\ud83d" ]"#) && !same(r#"["\ud83d"]"#, r#"["\ud83e"]"#));
        assert!(!same("1234567890123456789", "1234567890123456780"));
        assert!(
            !same("9007199254740993", "9007199254740992.0") && !same("0.12345678901234567891", "0.12345678901234567799")
        );
        assert!(same("-0.0", "0") && same("1200", "1.2E+3") && same("0.0120", "12e-3") && same("1e500", "10.0e499"));
        assert!(!same("-1", "1") && !same("1e500", "1e501") && !same("1e99999999999999999999", "2e99999999999999999999"));
        assert!(!same(r#""123""#, "123") && !same(r#""null""#, "null"));
        assert!(!same(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!same(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#));
        assert!(!same("[1, 2]", "[2, 1]") && !same("{broken", "{broken,"));
        assert!(same_json(None, None) && same_json(Some(b"null"), None) && !same_json(Some(b"1"), None));
    }
}
