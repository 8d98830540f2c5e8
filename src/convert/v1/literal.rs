//! Reads the `repr` of a Python dict, as Agno 1.x keeps a user memory on SQLite, into a [`Node`] tree.
//!
//! Source: `upsert_memory` in `agno/memory/v2/db/sqlite.py` and `agno/memory/db/sqlite.py` of Agno 1.8.4 and 1.0.0 store
//! `str(memory)`. Own reader, not the crate `py_literal`: that one copies every string, turns numbers into big integers and
//! floats, and recurses without a limit.

use super::members::Members;
use super::read::{Broken, Oddities, number_length};
use super::tree::{Node, Text};
use crate::convert::scan;
use std::borrow::Cow;

/// How deep dicts and lists may lie in each other; a memory has two levels.
const DEPTH: usize = 64;

/// Reads a dict, list, tuple, string, number, True, False or None. A tuple becomes a list.
///
/// # Errors
/// [`Broken`] when the text is no such literal, or one that JSON has no form for: bytes, sets, complex numbers, keys that
/// are no strings.
pub fn read(text: &str) -> Result<(Node<'_>, Oddities), Broken> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, oddities: Oddities::default() };
    reader.blanks();
    let node = reader.value(0)?;
    reader.blanks();
    if reader.at == reader.bytes.len() { Ok((node, reader.oddities)) } else { Err(Broken) }
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    oddities: Oddities,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>, Broken> {
        if depth == DEPTH {
            return Err(Broken);
        }
        match self.peek().ok_or(Broken)? {
            b'\'' | b'"' => Ok(Node::Text(Text(self.string()?))),
            b'{' => self.dict(depth + 1),
            b'[' => self.list(b']', depth + 1),
            b'(' => self.list(b')', depth + 1),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Node<'t>, Broken> {
        let rest = &self.bytes[self.at..];
        for (word, node) in [
            ("None", Node::Null),
            ("True", Node::Bool(true)),
            ("False", Node::Bool(false)),
            ("nan", Node::Number("NaN".into())),
            ("inf", Node::Number("Infinity".into())),
            ("-inf", Node::Number("-Infinity".into())),
        ] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                self.oddities.not_a_number |= matches!(node, Node::Number(_));
                return self.ended(node);
            }
        }
        let start = self.at;
        self.at += number_length(rest).ok_or(Broken)?;
        self.ended(Node::Number(Cow::Borrowed(&self.text[start..self.at])))
    }

    /// A word or number ends where no letter, digit or dot follows: `1j` and `Nonesuch` are none.
    fn ended(&self, node: Node<'t>) -> Result<Node<'t>, Broken> {
        match self.peek() {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || byte >= 0x80 => Err(Broken),
            _ => Ok(node),
        }
    }

    fn list(&mut self, closer: u8, depth: usize) -> Result<Node<'t>, Broken> {
        self.at += 1;
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.blanks();
            if self.eat(closer) {
                // `(1)` is a number in brackets, no tuple.
                return if closer == b')' && items.len() == 1 && !comma { Err(Broken) } else { Ok(Node::list(items)) };
            }
            if !items.is_empty() && !comma {
                return Err(Broken);
            }
            items.push(self.value(depth)?);
            self.blanks();
            comma = self.eat(b',');
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Node<'t>, Broken> {
        self.at += 1;
        let (mut members, mut comma) = (Vec::new(), true);
        loop {
            self.blanks();
            if self.eat(b'}') {
                return Ok(Node::object(Members::read(members)));
            }
            if !comma || !matches!(self.peek(), Some(b'\'' | b'"')) {
                return Err(Broken);
            }
            let key = self.string()?;
            self.blanks();
            if !self.eat(b':') {
                return Err(Broken);
            }
            self.blanks();
            members.push((key, self.value(depth)?));
            self.blanks();
            comma = self.eat(b',');
        }
    }

    /// The string that begins here, in the form of JSON. A text without special characters is a slice.
    fn string(&mut self) -> Result<Cow<'t, str>, Broken> {
        let quote = self.bytes[self.at];
        let start = self.at + 1;
        let mut at = start;
        let mut json: Vec<u8> = Vec::new();
        let mut copied = start;
        loop {
            match *self.bytes.get(at).ok_or(Broken)? {
                byte if byte == quote => break,
                b'\n' => return Err(Broken),
                b'\\' => {
                    json.extend_from_slice(&self.bytes[copied..at]);
                    at += self.escape(at, &mut json)?;
                    copied = at;
                }
                byte @ (b'"' | 0..=0x1f) => {
                    json.extend_from_slice(&self.bytes[copied..at]);
                    scan::escape(&[byte], &mut json);
                    self.oddities.nul |= byte == 0;
                    at += 1;
                    copied = at;
                }
                _ => at += 1,
            }
        }
        self.at = at + 1;
        if copied == start && json.is_empty() {
            return Ok(Cow::Borrowed(&self.text[start..at]));
        }
        json.extend_from_slice(&self.bytes[copied..at]);
        String::from_utf8(json).map(Cow::Owned).map_err(|_| Broken)
    }

    /// Appends what the escape sequence at `at` stands for, in the form of JSON, and returns its length.
    fn escape(&mut self, at: usize, json: &mut Vec<u8>) -> Result<usize, Broken> {
        let (code, length) = match self.bytes.get(at + 1).ok_or(Broken)? {
            b'\n' => return Ok(2),
            byte @ (b'\\' | b'\'' | b'"') => (u32::from(*byte), 2),
            b'n' => (0x0a, 2),
            b'r' => (0x0d, 2),
            b't' => (0x09, 2),
            b'a' => (0x07, 2),
            b'b' => (0x08, 2),
            b'f' => (0x0c, 2),
            b'v' => (0x0b, 2),
            b'x' => (self.code(at + 2, 2)?, 4),
            b'u' => (self.code(at + 2, 4)?, 6),
            b'U' => (self.code(at + 2, 8)?, 10),
            b'0'..=b'7' => {
                let octal = |byte: &&u8| matches!(byte, b'0'..=b'7');
                let digits = self.bytes[at + 1..].iter().take(3).take_while(octal);
                let code = digits.clone().fold(0, |code, digit| code << 3 | u32::from(digit - b'0'));
                (code, 1 + digits.count())
            }
            // A name like \N{DASH} is never written by repr; any other backslash stands for itself.
            b'N' => return Err(Broken),
            _ => {
                json.extend_from_slice(b"\\\\");
                return Ok(1);
            }
        };
        self.oddities.nul |= code == 0;
        match char::from_u32(code) {
            Some(char) => scan::escape(char.encode_utf8(&mut [0; 4]).as_bytes(), json),
            None if code < 0x1_0000 => {
                self.oddities.lone_surrogate = true;
                json.extend_from_slice(format!("\\u{code:04x}").as_bytes());
            }
            None => return Err(Broken),
        }
        Ok(length)
    }

    fn code(&self, at: usize, digits: usize) -> Result<u32, Broken> {
        self.bytes.get(at..at + digits).ok_or(Broken)?.iter().try_fold(0u32, |code, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Broken)?;
            Ok(code.checked_mul(16).ok_or(Broken)? | digit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Result<String, Broken> {
        read(text).map(|(node, _)| node.to_json())
    }

    #[test]
    fn what_repr_writes() {
        for (python, expected) in [
            ("{}", "{}"),
            ("{'memory': 'likes tea', 'topics': ['a', \"b's\"]}", r#"{"memory":"likes tea","topics":["a","b's"]}"#),
            (
                r#"{'a': 'it\'s "q" 0 \n é\\ \x07 \u200b \U0001f600'}"#,
                "{\"a\":\"it's \\\"q\\\" 0 \\n é\\\\ \\u0007 \u{200b} 😀\"}",
            ),
            (
                "[None, True, False, 1, -2, 1.5, 1e+16, 5e-324, 9223372036854775808]",
                "[null,true,false,1,-2,1.5,1e+16,5e-324,9223372036854775808]",
            ),
            ("(1, 2)", "[1,2]"),
            ("(1,)", "[1]"),
            ("()", "[]"),
            ("[1, ]", "[1]"),
            ("[nan, inf, -inf]", "[NaN,Infinity,-Infinity]"),
            (r"'\ud800'", r#""\ud800""#),
            (r"'\x00'", r#""\u0000""#),
            (r"'\d\101\0'", r#""\\dA\u0000""#),
            ("{'a': 1, 'a': 2}", "{\"a\":2}"),
        ] {
            assert_eq!(json(python).as_deref(), Ok(expected), "{python}");
        }
    }

    #[test]
    fn what_is_no_literal() {
        for text in [
            "",
            "{",
            "{'a'}",
            "{'a': }",
            "{'a': 1 'b': 2}",
            "{1: 2}",
            "[1 2]",
            "[,]",
            "{,}",
            "(1)",
            "b'x'",
            "1j",
            "{1, 2}",
            "null",
            "true",
            "Nonesuch",
            "datetime.datetime(2024, 1, 1)",
            "'a",
            "'a\nb'",
            r"'\xg0'",
            r"'\U00110000'",
            r"'\N{DASH}'",
            "User likes tea",
            "{'a': <object at 0x7f>}",
            "[1]]",
            "0x10",
            "1_000",
            "None None",
        ] {
            assert_eq!(json(text), Err(Broken), "{text}");
        }
        assert_eq!(json(&"[".repeat(100_000)), Err(Broken));
    }

    #[test]
    fn oddities_are_noticed() {
        let noticed = read(r"[nan, '\ud800', '\x00']").expect("reads").1;
        assert_eq!(noticed, Oddities { not_a_number: true, lone_surrogate: true, nul: true });
        assert_eq!(read("['a\\\\x00']").expect("reads").1, Oddities::default());
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "[\\[\\]{}(),:'\"\\\\xuU0-9a-fé\n. NoneTrue]{0,40}") {
            if let Ok(json) = json(&text) {
                prop_assert!(crate::convert::v1::read::read(&json).is_ok(), "{}", json);
            }
        }

        #[test]
        fn any_string_comes_out_as_it_went_in(text in ".*") {
            // What repr does, in one of its two quotings.
            let quoted: String = text.chars().map(|char| match char {
                '\'' => "\\'".to_owned(),
                '\\' => "\\\\".to_owned(),
                char if (char as u32) < 0x20 => format!("\\x{:02x}", char as u32),
                char => char.to_string(),
            }).collect();
            let inner: String = serde_json::from_str(&json(&format!("'{quoted}'")).expect("reads")).expect("JSON");
            prop_assert_eq!(inner, text);
        }
    }
}
