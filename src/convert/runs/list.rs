//! Reads the list in `sessions.runs`, whichever way it was written.

use super::run::{Element, Places, places};
use crate::convert::scan::{self, Stop, WORD};
use std::io::{self, Read};
use std::ops::Range;

/// How much is read at a time; more when a single run is larger.
const CHUNK: usize = 64 * 1024;

/// How a list was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON list.
    Once,
    /// A JSON string that holds the list: what Agno 2.x writes on SQLite.
    Twice,
}

/// Why a value is not read as a list of runs.
#[derive(Debug)]
pub enum Trouble {
    /// The database did not give the bytes.
    Io(io::Error),
    /// It is JSON, but no list.
    NoList,
    /// It is no JSON, or breaks off.
    Broken,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

/// Reads a value of `sessions.runs` element by element.
pub struct RunList<R> {
    source: R,
    encoding: Encoding,
    /// Bytes of the payload that are read and not yet given out, from `at` on.
    payload: Vec<u8>,
    at: usize,
    /// Bytes of the source that end inside an escape sequence.
    partial: Vec<u8>,
    source_ended: bool,
    /// The outer string's closing quote was seen.
    string_ended: bool,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
    Done,
}

/// An element that is there as a whole.
struct Found {
    span: Range<usize>,
    /// Of an object that can be read.
    places: Option<Places>,
}

impl<R: Read> RunList<R> {
    /// Begins to read a value. `None`: there are no runs (empty, or JSON null).
    ///
    /// # Errors
    /// [`Trouble`] when the value is something else than a list.
    pub fn open(source: R) -> Result<Option<RunList<R>>, Trouble> {
        let mut list = RunList {
            source,
            encoding: Encoding::Once,
            payload: Vec::new(),
            at: 0,
            partial: Vec::new(),
            source_ended: false,
            string_ended: false,
            place: Place::First,
        };
        if list.first_byte()? == Some(b'"') {
            list.encoding = Encoding::Twice;
            list.partial = std::mem::take(&mut list.payload);
            list.partial.drain(..=list.at);
            list.at = 0;
            list.unescape()?;
            list.first_byte()?;
        }
        match list.payload.get(list.at) {
            None => Ok(None),
            Some(b'[') => {
                list.at += 1;
                Ok(Some(list))
            }
            Some(b'n') => {
                while !list.ended() {
                    list.fill(CHUNK)?;
                }
                if list.payload[list.at..].trim_ascii() == b"null" { Ok(None) } else { Err(Trouble::Broken) }
            }
            Some(_) => Err(Trouble::NoList),
        }
    }

    /// How the list was written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next element as it is written, and what a row needs of it; `None` after the last.
    ///
    /// # Errors
    /// [`Trouble`] when the list breaks off or the source fails.
    pub fn next_element(&mut self) -> Result<Option<(&[u8], Element<'_>)>, Trouble> {
        if self.place == Place::Done {
            return Ok(None);
        }
        let found = loop {
            match self.find() {
                Ok(Some(found)) => break found,
                Ok(None) => {
                    self.place = Place::Done;
                    return Ok(None);
                }
                Err(Stop::Broken) => return Err(Trouble::Broken),
                Err(Stop::More) if self.ended() => return Err(Trouble::Broken),
                Err(Stop::More) => {
                    self.payload.drain(..self.at);
                    self.at = 0;
                    // Doubling keeps the scan of a large run, begun again each time, linear.
                    self.fill(CHUNK.max(self.payload.len()))?;
                }
            }
        };
        self.place = Place::Later;
        self.at = found.span.end;
        let bytes = &self.payload[found.span];
        Ok(Some((bytes, Element::of(bytes, found.places))))
    }

    /// The next element; `None` at the end of the list.
    fn find(&self) -> Result<Option<Found>, Stop> {
        let text = &self.payload;
        let mut at = scan::skip_blanks(text, self.at);
        let first = *text.get(at).ok_or(Stop::More)?;
        match (first, self.place) {
            (b']', _) => {
                let rest = scan::skip_blanks(text, at + 1);
                return match (rest < text.len(), self.ended()) {
                    (true, _) => Err(Stop::Broken),
                    (false, true) => Ok(None),
                    (false, false) => Err(Stop::More),
                };
            }
            (b',', Place::Later) => at = scan::skip_blanks(text, at + 1),
            (_, Place::First) => {}
            _ => return Err(Stop::Broken),
        }
        if text.get(at) == Some(&b'{') {
            match places(&text[at..]) {
                Ok((length, places)) => return Ok(Some(Found { span: at..at + length, places: Some(places) })),
                Err(Stop::More) => return Err(Stop::More),
                // No JSON inside. It may end all the same.
                Err(Stop::Broken) => {}
            }
        }
        Ok(Some(Found { span: at..scan::skip_value(text, at)?, places: None }))
    }

    /// The first byte of the payload that is no blank.
    fn first_byte(&mut self) -> Result<Option<u8>, Trouble> {
        loop {
            self.at = scan::skip_blanks(&self.payload, self.at);
            if let Some(byte) = self.payload.get(self.at) {
                return Ok(Some(*byte));
            }
            if self.ended() {
                return Ok(None);
            }
            self.fill(CHUNK)?;
        }
    }

    /// The whole payload is read.
    fn ended(&self) -> bool {
        self.source_ended
    }

    /// Reads up to `amount` bytes more.
    fn fill(&mut self, amount: usize) -> Result<(), Trouble> {
        let target = match self.encoding {
            Encoding::Once => &mut self.payload,
            Encoding::Twice => &mut self.partial,
        };
        // At once: growing step by step copies what is there each time.
        target.reserve(amount);
        let read = self.source.by_ref().take(amount as u64).read_to_end(target)?;
        self.source_ended = read < amount;
        match self.encoding {
            Encoding::Once => Ok(()),
            Encoding::Twice => self.unescape(),
        }
    }

    /// Moves what was read of the outer string to the payload, unescaped.
    fn unescape(&mut self) -> Result<(), Trouble> {
        let from = std::mem::take(&mut self.partial);
        // No escape sequence is shorter than what it stands for. The rest is for the last word, of which less may count.
        let mut end = self.payload.len();
        self.payload.resize(end + from.len() + WORD, 0);
        let mut at = 0;
        while at < from.len() && !self.string_ended {
            let plain = match from[at..].first_chunk::<WORD>() {
                Some(word) => {
                    self.payload[end..end + WORD].copy_from_slice(word);
                    scan::plain(*word)
                }
                None => {
                    self.payload[end] = from[at];
                    usize::from(!matches!(from[at], b'"' | b'\\'))
                }
            };
            at += plain;
            end += plain;
            match (from.get(at), from.get(at + 1)) {
                (Some(b'"'), _) => {
                    self.string_ended = true;
                    at += 1;
                }
                (Some(b'\\'), Some(byte @ (b'"' | b'\\'))) => {
                    self.payload[end] = *byte;
                    at += 2;
                    end += 1;
                }
                (Some(b'\\'), _) => match unescape_one(&from[at..]) {
                    Ok((length, code)) => {
                        at += length;
                        end += write_code(code, &mut self.payload[end..]);
                    }
                    Err(Stop::More) if !self.source_ended => break,
                    Err(_) => return Err(Trouble::Broken),
                },
                _ => {}
            }
        }
        self.payload.truncate(end);
        let rest = &from[at..];
        if self.string_ended && !rest.trim_ascii().is_empty() {
            return Err(Trouble::Broken);
        }
        if self.source_ended && !self.string_ended {
            return Err(Trouble::Broken);
        }
        self.partial = if self.string_ended { Vec::new() } else { rest.to_vec() };
        Ok(())
    }
}

/// The length of the escape sequence at the beginning of `text`, and the character it stands for.
fn unescape_one(text: &[u8]) -> Result<(usize, u32), Stop> {
    let byte = match text.get(1).ok_or(Stop::More)? {
        b'"' => b'"',
        b'\\' => b'\\',
        b'/' => b'/',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let high = hex(text.get(2..6).ok_or(Stop::More)?)?;
            if !(0xd800..0xdc00).contains(&high) {
                return Ok((6, high));
            }
            match (text.get(6), text.get(7)) {
                (None, _) | (Some(b'\\'), None) => return Err(Stop::More),
                (Some(b'\\'), Some(b'u')) => {
                    let low = hex(text.get(8..12).ok_or(Stop::More)?)?;
                    if (0xdc00..0xe000).contains(&low) {
                        return Ok((12, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
                    }
                }
                _ => {}
            }
            return Ok((6, high));
        }
        _ => return Err(Stop::Broken),
    };
    Ok((2, byte.into()))
}

fn hex(digits: &[u8]) -> Result<u32, Stop> {
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?)).ok_or(Stop::Broken)
}

/// Writes a character to the beginning of `into` and tells its length. A lone surrogate has no UTF-8: it is written as the three
/// bytes it would have, and its run is found to be no text later.
fn write_code(code: u32, into: &mut [u8]) -> usize {
    if let Ok(byte @ ..0x80) = u8::try_from(code) {
        into[0] = byte;
        return 1;
    }
    match char::from_u32(code) {
        Some(char) => char.encode_utf8(into).len(),
        None => {
            into[..3].copy_from_slice(&[
                0xe0 | (code >> 12) as u8,
                0x80 | (code >> 6 & 0x3f) as u8,
                0x80 | (code & 0x3f) as u8,
            ]);
            3
        }
    }
}
