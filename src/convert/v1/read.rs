//! Reads JSON as Python writes it into a [`Node`] tree: strict, except for NaN and Infinity.

use super::members::Members;
use super::tree::{Node, Text};
use memchr::memchr2;
use std::borrow::Cow;

/// How deep a tree goes. What lies deeper is checked and passed on as it is written, so that neither reading nor writing
/// nor converting can run out of stack. No value that is converted lies deeper than ten levels, but for teams within teams.
pub const DEPTH: usize = 64;

/// What was met that not every database can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// NaN, Infinity or -Infinity.
    pub not_a_number: bool,
    /// A lone surrogate, as `\ud800`.
    pub lone_surrogate: bool,
    /// A NUL character, as `\u0000`.
    pub nul: bool,
}

impl Oddities {
    /// What was met in either.
    pub fn and(self, other: Oddities) -> Oddities {
        Oddities {
            not_a_number: self.not_a_number || other.not_a_number,
            lone_surrogate: self.lone_surrogate || other.lone_surrogate,
            nul: self.nul || other.nul,
        }
    }
}

/// No JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Reads a whole document.
///
/// # Errors
/// [`Broken`] when it is no JSON.
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

    /// Passes over a byte if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>, Broken> {
        let start = self.at;
        Ok(match self.peek().ok_or(Broken)? {
            b'"' => Node::Text(Text(Cow::Borrowed(self.string()?))),
            b'{' | b'[' if depth == DEPTH => {
                self.skip()?;
                Node::Raw(Cow::Borrowed(&self.text[start..self.at]))
            }
            b'{' => {
                let members = self.object(depth + 1)?;
                Node::Object { source: Some(&self.text[start..self.at]), members }
            }
            b'[' => {
                let items = self.list(depth + 1)?;
                Node::List { source: Some(&self.text[start..self.at]), items }
            }
            b'n' => self.word("null", Node::Null)?,
            b't' => self.word("true", Node::Bool(true))?,
            b'f' => self.word("false", Node::Bool(false))?,
            _ => Node::Number(Cow::Borrowed(self.number()?)),
        })
    }

    fn word(&mut self, word: &str, node: Node<'t>) -> Result<Node<'t>, Broken> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(Broken);
        }
        self.at += word.len();
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node<'t>>, Broken> {
        self.at += 1;
        self.blanks();
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            self.blanks();
            items.push(self.value(depth)?);
            self.blanks();
            if self.eat(b']') {
                return Ok(items);
            }
            if !self.eat(b',') {
                return Err(Broken);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Members<'t>, Broken> {
        self.at += 1;
        self.blanks();
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Ok(Members::new());
        }
        loop {
            self.blanks();
            let key = self.key()?;
            self.blanks();
            members.push((canonical(key), self.value(depth)?));
            self.blanks();
            if self.eat(b'}') {
                return Ok(Members::read(members));
            }
            if !self.eat(b',') {
                return Err(Broken);
            }
        }
    }

    /// A key and the colon after it.
    fn key(&mut self) -> Result<&'t str, Broken> {
        if self.peek() != Some(b'"') {
            return Err(Broken);
        }
        let key = self.string()?;
        self.blanks();
        if self.eat(b':') { Ok(key) } else { Err(Broken) }
    }

    /// The inside of the string that begins here.
    fn string(&mut self) -> Result<&'t str, Broken> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            let found = at + memchr2(b'"', b'\\', self.bytes.get(at..).ok_or(Broken)?).ok_or(Broken)?;
            if self.bytes[found] == b'"' {
                if self.bytes[start..found].iter().any(|byte| *byte < 0x20) {
                    return Err(Broken);
                }
                self.at = found + 1;
                return Ok(&self.text[start..found]);
            }
            at = found + self.escape(found)?;
        }
    }

    /// The length of the escape sequence at `at`, or of a pair that makes one character.
    fn escape(&mut self, at: usize) -> Result<usize, Broken> {
        match self.bytes.get(at + 1).ok_or(Broken)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(2),
            b'u' => {
                let code = self.code(at + 2)?;
                self.oddities.nul |= code == 0;
                if (0xd800..0xdc00).contains(&code)
                    && self.bytes.get(at + 6..at + 8) == Some(b"\\u")
                    && (0xdc00..0xe000).contains(&self.code(at + 8)?)
                {
                    return Ok(12);
                }
                self.oddities.lone_surrogate |= (0xd800..0xe000).contains(&code);
                Ok(6)
            }
            _ => Err(Broken),
        }
    }

    fn code(&self, at: usize) -> Result<u32, Broken> {
        let digits = self.bytes.get(at..at + 4).ok_or(Broken)?;
        digits.iter().try_fold(0, |code, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Broken)?;
            Ok(code << 4 | digit)
        })
    }

    fn number(&mut self) -> Result<&'t str, Broken> {
        let rest = &self.bytes[self.at..];
        for word in ["NaN", "Infinity", "-Infinity"] {
            if rest.starts_with(word.as_bytes()) {
                self.oddities.not_a_number = true;
                self.at += word.len();
                return Ok(&self.text[self.at - word.len()..self.at]);
            }
        }
        let length = number_length(rest).ok_or(Broken)?;
        self.at += length;
        Ok(&self.text[self.at - length..self.at])
    }

    /// Passes over the list or object that begins here, without recursion.
    fn skip(&mut self) -> Result<(), Broken> {
        let mut closers: Vec<u8> = Vec::new();
        loop {
            // A value begins here.
            self.blanks();
            let opener = self.peek().ok_or(Broken)?;
            match opener {
                b'{' | b'[' => {
                    self.at += 1;
                    self.blanks();
                    let closer = if opener == b'{' { b'}' } else { b']' };
                    if !self.eat(closer) {
                        closers.push(closer);
                        if closer == b'}' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.value(0)?;
                }
            }
            // A value has ended: close what ends with it.
            loop {
                let Some(closer) = closers.last() else { return Ok(()) };
                self.blanks();
                if self.eat(*closer) {
                    closers.pop();
                    continue;
                }
                if !self.eat(b',') {
                    return Err(Broken);
                }
                if *closer == b'}' {
                    self.blanks();
                    self.key()?;
                }
                break;
            }
        }
    }
}

/// Keys are compared as they are written: one with escapes gets the form everyone else writes.
fn canonical(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return Cow::Borrowed(key);
    }
    match Text(Cow::Borrowed(key)).plain() {
        Some(plain) => Text::of(plain.into_owned()).0,
        None => Cow::Borrowed(key),
    }
}

/// The length of the number of JSON at the beginning.
pub fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_read_is_written_as_it_was() {
        let text = r#" {"a" : [1.10, -0, 1e400 ,12345678901234567890123,NaN], "é\u00e9\n":{"x":null,"y":[true,false,{}]} ,"s":"\ud83d\ude00"} "#;
        let (node, oddities) = read(text).expect("reads");
        assert_eq!(node.to_json(), text.trim());
        assert_eq!(oddities, Oddities { not_a_number: true, ..Oddities::default() });
        assert_eq!(node.get("éé\\n").get("y").items().len(), 3);
        assert!(matches!(node.get("s"), Node::Text(text) if text.plain().as_deref() == Some("😀")));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let (node, _) = read(r#"{"a":1,"b":2,"\u0061":3}"#).expect("reads");
        assert_eq!(node.get("a").as_i64(), Some(3));
        assert_eq!(node.members().len(), 2);
    }

    #[test]
    fn what_no_database_likes_is_noticed() {
        assert!(read(r#"["\ud800"]"#).expect("reads").1.lone_surrogate);
        assert!(read(r#"["\udc00\ud800"]"#).expect("reads").1.lone_surrogate);
        assert!(read(r#"["a\u0000"]"#).expect("reads").1.nul);
        assert!(!read(r#"["a\\u0000"]"#).expect("reads").1.nul);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "nul",
            "nulll",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "[1]]",
            "\"\u{1f}\"",
            "'a'",
            "None",
            "infinity",
            "-",
        ] {
            assert_eq!(read(text), Err(Broken), "{text}");
            let deep = format!("{}{text}{}", "[".repeat(DEPTH + 2), "]".repeat(DEPTH + 2));
            if !text.trim().is_empty() {
                assert_eq!(read(&deep), Err(Broken), "{text} deep down");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        for levels in [DEPTH - 1, DEPTH, DEPTH + 1, 200, 200_000] {
            let text = format!("{}1{}", "[{\"a\":".repeat(levels), "}]".repeat(levels));
            let (node, _) = read(&text).expect("reads");
            assert_eq!(node.to_json(), text);
            assert_eq!(read(&text[..text.len() - 1]), Err(Broken));
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(text in "[\\[\\]{},:\"a0-9eE.+\\-\\\\u \ntrufalsn]{0,24}") {
            prop_assert_eq!(read(&text).is_ok(), serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
        }
    }
}
