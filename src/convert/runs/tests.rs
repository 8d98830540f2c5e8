//! The list and its runs together: what is written is read, in portions of any size.

use super::*;
use proptest::prelude::*;
use std::io::{self, Read};

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
