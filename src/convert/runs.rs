//! Runs between the list in `sessions.runs` and rows of the runs table.
//!
//! The list is read as a stream, so a session of any size needs the memory of its largest run (about twice). A run's
//! payload is copied byte for byte.

use super::scan::{self, Stop, WORD};
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

/// What an element of the list is.
#[derive(Debug, PartialEq)]
pub enum Element<'t> {
    /// A run that can become a row.
    Run(Fields<'t>),
    /// Something else, with the reason why it cannot.
    Other(&'static str),
}

/// A field of a run that its row repeats.
#[derive(Clone, Copy)]
enum Field {
    RunId,
    AgentId,
    AgentName,
    TeamId,
    TeamName,
    WorkflowId,
    WorkflowName,
    ParentRunId,
    Status,
    CreatedAt,
}

impl Field {
    /// How many there are.
    const COUNT: usize = 10;

    fn of(key: &[u8]) -> Option<Field> {
        Some(match key {
            b"run_id" => Field::RunId,
            b"agent_id" => Field::AgentId,
            b"agent_name" => Field::AgentName,
            b"team_id" => Field::TeamId,
            b"team_name" => Field::TeamName,
            b"workflow_id" => Field::WorkflowId,
            b"workflow_name" => Field::WorkflowName,
            b"parent_run_id" => Field::ParentRunId,
            b"status" => Field::Status,
            b"created_at" => Field::CreatedAt,
            _ => return None,
        })
    }
}

/// Where the values of fields are in an object; the last one counts where a key stands twice, as in Python.
type Places = [Option<(usize, usize)>; Field::COUNT];

/// An element that is there as a whole.
struct Found {
    span: Range<usize>,
    /// Of an object that can be read.
    places: Option<Places>,
}

/// The length of the object that begins `text`, and where its fields are.
fn places(text: &[u8]) -> Result<(usize, Places), Stop> {
    let mut places = Places::default();
    let length = scan::members(text, 0, |key, value| {
        if let Some(field) = Field::of(key) {
            places[field as usize] = Some((value.start, value.end));
        }
    })?;
    Ok((length, places))
}

/// The fields of a run that its row repeats, as they are written.
#[derive(Debug, PartialEq)]
pub struct Fields<'t>([Option<&'t [u8]>; Field::COUNT]);

/// The row of a run, without what it takes from its session.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run's id; a number as its text.
    pub run_id: String,
    /// `agent`, `team` or `workflow`; `None`: the session's type.
    pub run_type: Option<&'static str>,
    /// The agent that ran.
    pub agent_id: Option<String>,
    /// The team that ran.
    pub team_id: Option<String>,
    /// The workflow that ran.
    pub workflow_id: Option<String>,
    /// The run that called this one.
    pub parent_run_id: Option<String>,
    /// COMPLETED, PAUSED ..
    pub status: Option<String>,
    /// Seconds since 1970; `None`: the session's.
    pub created_at: Option<i64>,
}

impl<'t> Element<'t> {
    fn of(bytes: &'t [u8], places: Option<Places>) -> Element<'t> {
        if bytes.first() != Some(&b'{') {
            return Element::Other("is no object");
        }
        if std::str::from_utf8(bytes).is_err() {
            return Element::Other("is not valid UTF-8");
        }
        let Some(places) = places else { return Element::Other("is no JSON") };
        let fields = Fields(places.map(|place| place.and_then(|(start, end)| bytes.get(start..end))));
        match fields.run_id() {
            None => Element::Other("has no run_id"),
            Some(_) => Element::Run(fields),
        }
    }
}

/// The fields of a run, by its payload; `None`: it is none.
fn fields_of(payload: &[u8]) -> Option<Fields<'_>> {
    let places = if payload.first() == Some(&b'{') { places(payload).ok() } else { None };
    match Element::of(payload, places.map(|(_, places)| places)) {
        Element::Run(fields) => Some(fields),
        Element::Other(_) => None,
    }
}

/// When a run began, by its payload, in whole seconds since 1970; `None`: it says nothing of it, or is no run.
pub fn created_at_of(payload: &[u8]) -> Option<i64> {
    fields_of(payload)?.created_at()
}

/// The id of a run, by its payload; `None`: it is none.
pub fn id_of(payload: &[u8]) -> Option<String> {
    fields_of(payload)?.run_id()
}

/// Whose a run says it is, by its payload. Its row has the user of its session, or that of the call that wrote it.
pub fn user_of(payload: &[u8]) -> Option<String> {
    let mut user = None;
    let scanned = scan::members(payload, 0, |key, value| {
        if key == b"user_id" {
            user = id(payload.get(value));
        }
    });
    scanned.ok().and(user)
}

impl Fields<'_> {
    fn get(&self, field: Field) -> Option<&[u8]> {
        self.0[field as usize]
    }

    /// The run's id; a number as its text.
    fn run_id(&self) -> Option<String> {
        id(self.get(Field::RunId))
    }

    /// The row.
    pub fn row(&self) -> RunRow {
        let kinds = [
            ("agent", Field::AgentId, Field::AgentName),
            ("team", Field::TeamId, Field::TeamName),
            ("workflow", Field::WorkflowId, Field::WorkflowName),
        ];
        let is_of = |id: Field, name: Field| filled(self.get(id)) || filled(self.get(name));
        RunRow {
            run_id: self.run_id().unwrap_or_default(),
            run_type: kinds.into_iter().find(|(_, id, name)| is_of(*id, *name)).map(|(kind, ..)| kind),
            agent_id: id(self.get(Field::AgentId)),
            team_id: id(self.get(Field::TeamId)),
            workflow_id: id(self.get(Field::WorkflowId)),
            parent_run_id: id(self.get(Field::ParentRunId)),
            status: self.get(Field::Status).and_then(scan::string).map(|status| status.into_owned()),
            created_at: self.created_at(),
        }
    }

    /// Whole seconds since 1970.
    fn created_at(&self) -> Option<i64> {
        self.get(Field::CreatedAt).and_then(scan::number).and_then(seconds)
    }
}

/// A string or a number, as text.
fn id(value: Option<&[u8]>) -> Option<String> {
    let value = value?;
    scan::string(value).map(|text| text.into_owned()).or_else(|| scan::number(value).map(str::to_owned))
}

/// True as Python sees an id or a name.
fn filled(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| !matches!(value, b"null" | b"\"\"" | b"false" | b"0" | b"[]" | b"{}"))
}

/// Whole seconds of a number greater than 0.
fn seconds(number: &str) -> Option<i64> {
    let whole = number.parse::<i64>().ok().or_else(|| {
        let value = number.parse::<f64>().ok()?;
        // Above 2^53 a float is no time any more.
        (value < 9_007_199_254_740_992.0).then_some(value as i64)
    })?;
    (whole > 0).then_some(whole)
}

/// The text of a list, to be put into `sessions.runs`.
pub struct ListText {
    text: Vec<u8>,
    empty: bool,
}

impl ListText {
    /// An empty list, written as a string that holds it, which every Agno 2 reads.
    pub fn encoded_twice() -> ListText {
        ListText { text: b"\"[".to_vec(), empty: true }
    }

    /// Appends an element as it is written.
    pub fn push(&mut self, element: &[u8]) {
        if !self.empty {
            self.text.extend_from_slice(b", ");
        }
        self.empty = false;
        scan::escape(element, &mut self.text);
    }

    /// The length so far, in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// No element was pushed.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The finished text; `None` for a list without elements, which Agno 2.0 does not read: NULL stands for it.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.text.extend_from_slice(b"]\"");
        (!self.empty).then_some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An element and the row it makes, if it makes one.
    type Seen = (Vec<u8>, Option<RunRow>);

    fn read(text: &[u8]) -> Result<Vec<Seen>, String> {
        let Some(mut list) = RunList::open(text).map_err(|t| format!("{t:?}"))? else { return Ok(Vec::new()) };
        let mut elements = Vec::new();
        while let Some((bytes, element)) = list.next_element().map_err(|t| format!("{t:?}"))? {
            let row = match &element {
                Element::Run(fields) => Some(fields.row()),
                Element::Other(_) => None,
            };
            elements.push((bytes.to_vec(), row));
        }
        Ok(elements)
    }

    fn twice(text: &str) -> Vec<u8> {
        serde_json::to_vec(text).expect("a string")
    }

    #[test]
    fn a_list_encoded_once_or_twice_gives_the_same_bytes() {
        let list = r#" [ {"run_id":"a","x":1.10, "y":"é\u00e9\"]"} ,{"run_id": 7},null, {"a":1},3 ,"s", []] "#;
        let once = read(list.as_bytes()).expect("reads");
        assert_eq!(once, read(&twice(list)).expect("reads"));
        assert_eq!(once.len(), 7);
        assert_eq!(once[0].0, r#"{"run_id":"a","x":1.10, "y":"é\u00e9\"]"}"#.as_bytes());
        assert_eq!(once[1].1.as_ref().map(|row| row.run_id.as_str()), Some("7"));
        assert!(once[2..].iter().all(|(_, row)| row.is_none()));
    }

    #[test]
    fn nothing_there_is_no_list() {
        for text in ["", "null", " null ", "\"null\"", "\"\"", "[]", "\"[]\"", "[ ]"] {
            assert_eq!(read(text.as_bytes()), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_said_to_be_none() {
        for (text, trouble) in [
            ("{}", "NoList"),
            ("3", "NoList"),
            ("\"hello\"", "NoList"),
            ("nul", "Broken"),
            ("[", "Broken"),
            ("[{}", "Broken"),
            ("[{},", "Broken"),
            ("[{}]]", "Broken"),
            ("[{} {}]", "Broken"),
            ("[,{}]", "Broken"),
            ("[{},]", "Broken"),
            ("\"[{}]", "Broken"),
            ("\"[{}]\" x", "Broken"),
            ("\"[\\", "Broken"),
            ("\"[\\x]\"", "Broken"),
            ("\"[\\u+041]\"", "Broken"),
        ] {
            assert_eq!(read(text.as_bytes()), Err(trouble.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_row_says_what_the_run_says() {
        let row = |text: &str| read(format!("[{text}]").as_bytes()).expect(text).remove(0).1.expect(text);
        let run = row(
            r#"{"run_id":"r","agent_id":"","team_name":"T","team_id":null,"parent_run_id":"p","status":"PAUSED","created_at":1700000000.9,
               "events":[{"run_id":"e","agent_id":"x"}]}"#,
        );
        assert_eq!(run.run_type, Some("team"));
        assert_eq!(
            (run.run_id.as_str(), run.agent_id.as_deref(), run.team_id, run.parent_run_id.as_deref(), run.status.as_deref()),
            ("r", Some(""), None, Some("p"), Some("PAUSED"))
        );
        assert_eq!(run.created_at, Some(1_700_000_000));
        for created_at in ["0", "-5", "0.4", "\"1700000000\"", "null", "NaN", "Infinity", "1e300", "99999999999999999999"] {
            let run = row(&format!(r#"{{"run_id":"r","created_at":{created_at}}}"#));
            assert_eq!((run.created_at, run.run_type), (None, None), "{created_at}");
        }
        assert_eq!(row(r#"{"run_id":"old","run_id":"new"}"#).run_id, "new");
        assert_eq!(row(r#"{"run_id":12.0}"#).run_id, "12.0");
    }

    #[test]
    fn what_cannot_be_a_row_says_why() {
        for (text, why) in [
            (&b"[{\"run_id\":null}]"[..], "has no run_id"),
            (b"[{\"run_id\":true}]", "has no run_id"),
            (b"[{\"run_id\":\"\\ud800\"}]", "has no run_id"),
            (b"[{\"run_id\":\"a\xff\"}]", "is not valid UTF-8"),
            (b"\"[{\\\"run_id\\\":\\\"\\ud800\\\"}]\"", "is not valid UTF-8"),
            (b"[{\"run_id\" \"a\"}]", "is no JSON"),
            (b"[\"run_id\"]", "is no object"),
        ] {
            let mut list = RunList::open(text).expect("a list").expect("a list");
            let (_, element) = list.next_element().expect("an element").expect("an element");
            assert_eq!(element, Element::Other(why));
        }
    }

    /// Gives the bytes in small portions, as a blob does.
    struct Drip<'t>(&'t [u8], usize);
    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(into.len()).min(self.0.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn chunks_may_end_anywhere() {
        let run = format!("{{\"run_id\":\"a\",\"x\":\"{}\"}}", "\\\"é\\ud83d\\ude00\\n".repeat(20_000));
        let list = format!("[{run}, {run},{run}]");
        for text in [list.clone().into_bytes(), twice(&list)] {
            for step in [1021, 65_535, 1 << 20] {
                let mut reader = RunList::open(Drip(&text, step)).expect("opens").expect("a list");
                let mut seen = 0;
                while let Some((bytes, _)) = reader.next_element().expect("reads") {
                    assert_eq!(bytes, run.as_bytes());
                    seen += 1;
                }
                assert_eq!(seen, 3);
            }
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(".*", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_list_comes_out_as_it_went_in(list in proptest::collection::vec(json(), 0..6), escaped in any::<bool>()) {
            let text = serde_json::Value::Array(list.clone()).to_string();
            let bytes = if escaped { twice(&text) } else { text.clone().into_bytes() };
            let read = read(&bytes).expect("reads");
            prop_assert_eq!(read.len(), list.len());
            let mut joined = ListText::encoded_twice();
            for ((bytes, _), value) in read.iter().zip(&list) {
                prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON"), value);
                joined.push(bytes);
            }
            if let Some(joined) = joined.finish() {
                let inner: String = serde_json::from_slice(&joined).expect("a string");
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&inner).expect("JSON"), serde_json::Value::Array(list));
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let mut list = b"[".to_vec();
            list.extend(&bytes);
            let _ = read(&list);
        }
    }
}
