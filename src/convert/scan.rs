//! A scanner for JSON that finds where values begin and end. It does not validate: Python writes NaN, and what is only moved
//! need not be understood. Works on slices; whoever has only the beginning of a text is told so and comes back with more.

use memchr::memchr2;
use std::borrow::Cow;
use std::ops::Range;

/// Why a scan gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The text ends inside a value: more of it may follow.
    More,
    /// No JSON, whatever follows.
    Broken,
}

/// The index of the first byte at or after `at` that is no blank, if the text goes that far.
pub fn skip_blanks(text: &[u8], at: usize) -> usize {
    text[at.min(text.len())..]
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        .map_or(text.len(), |found| at + found)
}

/// Bytes that are looked at together.
pub const WORD: usize = 8;

/// How many of the bytes come before the first quote or backslash. A handful of instructions for all of them: strings of JSON are
/// short, and a call of memchr takes as long as thirty bytes of this.
pub fn plain(bytes: [u8; WORD]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; WORD]);
    const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);
    // The high bit of each byte that is zero, and perhaps of some behind the first of them.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let word = u64::from_le_bytes(bytes);
    let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
    found.trailing_zeros() as usize / 8
}

/// Words of a string that are looked at before memchr, which is faster in long ones, is called.
const WORDS: usize = 4;

/// The end (exclusive) of the string that begins with the quote at `at`.
fn skip_string(text: &[u8], at: usize) -> Result<usize, Stop> {
    let mut at = at + 1;
    loop {
        at += plain_prefix(text.get(at..).ok_or(Stop::More)?).ok_or(Stop::More)?;
        if text[at] == b'"' {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// Where the first quote or backslash is.
fn plain_prefix(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < WORDS * WORD {
        let Some(word) = text[at..].first_chunk() else { break };
        let plain = plain(*word);
        if plain < WORD {
            return Some(at + plain);
        }
        at += WORD;
    }
    memchr2(b'"', b'\\', &text[at..]).map(|found| at + found)
}

/// The end (exclusive) of the value that begins at `at`, which must be no blank.
pub fn skip_value(text: &[u8], at: usize) -> Result<usize, Stop> {
    match text.get(at).ok_or(Stop::More)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = at;
            loop {
                match text.get(at).ok_or(Stop::More)? {
                    b'"' => {
                        at = skip_string(text, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Ok(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        b',' | b':' | b'}' | b']' => Err(Stop::Broken),
        _ => {
            let length = text[at..]
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
                .ok_or(Stop::More)?;
            let word = &text[at..at + length];
            let plausible = word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            if plausible { Ok(at + length) } else { Err(Stop::Broken) }
        }
    }
}

/// Walks the members of the object that begins at `at`, calling `member` with each key (decoded) and where its value is;
/// returns the end (exclusive) of the object.
pub fn members(text: &[u8], at: usize, mut member: impl FnMut(&[u8], Range<usize>)) -> Result<usize, Stop> {
    let mut at = skip_blanks(text, at + 1);
    if *text.get(at).ok_or(Stop::More)? == b'}' {
        return Ok(at + 1);
    }
    loop {
        if *text.get(at).ok_or(Stop::More)? != b'"' {
            return Err(Stop::Broken);
        }
        let key_end = skip_string(text, at)?;
        let key = &text[at..key_end];
        at = skip_blanks(text, key_end);
        if *text.get(at).ok_or(Stop::More)? != b':' {
            return Err(Stop::Broken);
        }
        let value = skip_blanks(text, at + 1);
        let value_end = skip_value(text, value)?;
        if key.contains(&b'\\') {
            member(string(key).unwrap_or_default().as_bytes(), value..value_end);
        } else {
            member(&key[1..key.len() - 1], value..value_end);
        }
        at = skip_blanks(text, value_end);
        match text.get(at).ok_or(Stop::More)? {
            b',' => at = skip_blanks(text, at + 1),
            b'}' => return Ok(at + 1),
            _ => return Err(Stop::Broken),
        }
    }
}

/// The text of a JSON string; `None` for any other value and for a string that is no text (a lone surrogate, a bare control
/// character).
pub fn string(value: &[u8]) -> Option<Cow<'_, str>> {
    if value.first() != Some(&b'"') {
        return None;
    }
    let plain = !value.contains(&b'\\') && !value.iter().any(|byte| *byte < 0x20);
    if plain {
        return std::str::from_utf8(&value[1..value.len() - 1]).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(value).ok().map(Cow::Owned)
}

/// A number as it is written; `None` for any other value, NaN and Infinity among them.
pub fn number(value: &[u8]) -> Option<&str> {
    match value.first()? {
        b'-' | b'0'..=b'9' if value != b"-Infinity" => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// Appends `text` as the inside of a JSON string: quotes, backslashes and control characters escaped, the rest as it is.
pub fn escape(text: &[u8], into: &mut Vec<u8>) {
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => {
                into.extend_from_slice(&text[from..at]);
                into.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                from = at + 1;
                continue;
            }
            _ => continue,
        };
        into.extend_from_slice(&text[from..at]);
        into.extend_from_slice(escaped);
        from = at + 1;
    }
    into.extend_from_slice(&text[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_place() {
        let text = br#" {"a" : {"run_id":"no"}, "run\u005fid":"yes", "n": NaN ,"l":[{"x":"]}"}, "\""] } tail"#;
        let mut seen = Vec::new();
        let end = members(text, 1, |key, value| {
            seen.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(&text[value])))
        });
        assert_eq!(end, Ok(text.len() - 5));
        assert_eq!(seen, [r#"a={"run_id":"no"}"#, "run_id=\"yes\"", "n=NaN", r#"l=[{"x":"]}"}, "\""]"#]);
    }

    #[test]
    fn every_beginning_asks_for_more_and_never_errs() {
        let text = br#"{"a":"x\"y","b":[1,{"c":null}],"d":-1.5e3}"#;
        for end in 0..text.len() {
            assert_eq!(members(&text[..end], 0, |_, _| {}), Err(Stop::More), "{end}");
        }
        assert_eq!(members(text, 0, |_, _| {}), Ok(text.len()));
    }

    #[test]
    fn strings_of_every_length_end_where_they_end() {
        for length in 0..80 {
            for stop in ["\"", "\\\"\"", "\\\\\""] {
                // Bytes beside those that are looked for, in value.
                let text =
                    format!("\"{}{stop} tail that follows", "!#[]\u{a2}é".chars().cycle().take(length).collect::<String>());
                let end = text.len() - " tail that follows".len();
                assert_eq!(skip_string(text.as_bytes(), 0), Ok(end), "{text}");
                assert_eq!(skip_string(&text.as_bytes()[..end - 1], 0), Err(Stop::More), "{text}");
            }
        }
    }

    #[test]
    fn strings_and_numbers() {
        assert_eq!(string(br#""a\u00e9\n""#).as_deref(), Some("aé\n"));
        assert_eq!(string(br#""\ud83d""#), None);
        assert_eq!(string(b"12"), None);
        assert_eq!(number(b"12.50"), Some("12.50"));
        assert_eq!(number(b"NaN"), None);
        assert_eq!(number(b"-Infinity"), None);
        let mut out = Vec::new();
        escape("a\"b\\c\nd\u{1}é".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok("a\\\"b\\\\c\\nd\\u0001é"));
    }
}
