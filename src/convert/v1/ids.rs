//! Ids that v1 did not have, derived from what it had: the same input always gets the same ids.

use super::tree::{Node, Text};
use md5::{Digest, Md5};
use std::fmt::{Display, Write};
use uuid::Uuid;

/// The namespace of derived ids; made once, for nothing else.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_52c4_9a3e_4b0e_8d57_1c2a_a90b_77e3);

/// The id of what stands at a place of a session.
pub fn derived(session_id: &str, place: impl Display) -> String {
    let mut name = String::with_capacity(96);
    // Writing to a String cannot fail.
    let _ = write!(name, "{session_id}\n{place}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string()
}

/// The id that Agno 1.x gives a row of a memory table: the MD5 of the memory as JSON with sorted keys, without blanks.
///
/// `None` when the memory holds a key that has no UTF-8.
///
/// Source: `MemoryRow.generate_id` in `agno/memory/row.py` of Agno 1.8.4.
pub fn of_memory(memory: &Node<'_>) -> Option<String> {
    let mut json = String::new();
    python_json(memory, &mut json)?;
    json.retain(|char| !matches!(char, ' ' | '\n' | '\t'));
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(json.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

/// `json.dumps(value, sort_keys=True)` of Python.
fn python_json(node: &Node<'_>, out: &mut String) -> Option<()> {
    match node {
        Node::Text(text) => python_string(text, out),
        Node::List { items, .. } => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                python_json(item, out)?;
            }
            out.push(']');
            Some(())
        }
        Node::Object { members, .. } => {
            let mut sorted: Vec<_> =
                members.iter().map(|(key, value)| Some((plain_key(key)?, key, value))).collect::<Option<_>>()?;
            // Rust orders strings by code point, as Python does.
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (index, (_, key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                python_string(&Text(key.as_ref().into()), out)?;
                out.push_str(": ");
                python_json(value, out)?;
            }
            out.push('}');
            Some(())
        }
        other => {
            other.write(out);
            Some(())
        }
    }
}

fn plain_key(key: &str) -> Option<String> {
    Text(key.into()).plain().map(|plain| plain.into_owned())
}

/// A string with everything beyond ASCII escaped, as Python writes it.
fn python_string(text: &Text<'_>, out: &mut String) -> Option<()> {
    out.push('"');
    for char in text.plain()?.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            char => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::v1::read::read;

    #[test]
    fn memory_ids_are_those_of_agno() {
        for (memory, id) in [
            // Written by Agno 1.0.0, 1.1.17, 1.2.16 and 1.5.10.
            (r#"{"memory": "likes \"0\" it's", "input": "in"}"#, "337351e08d46d820aafb4d89f8cac614"),
            (r#"{"input": "in", "memory": "likes \"1\" it's"}"#, "bec3162928615c41e295a7303bd7cb78"),
        ] {
            assert_eq!(of_memory(&read(memory).expect("reads").0).as_deref(), Some(id));
        }
    }

    #[test]
    fn strings_are_written_as_python_does() {
        let mut out = String::new();
        let (node, _) = read(r#"{"z":"é😀\u007f\n\b\/ x","a":[1.50,null,{}]}"#).expect("reads");
        python_json(&node, &mut out).expect("has UTF-8");
        assert_eq!(out, r#"{"a": [1.50, null, {}], "z": "\u00e9\ud83d\ude00\u007f\n\b/ x"}"#);
    }

    #[test]
    fn the_same_place_has_the_same_id() {
        assert_eq!(derived("s", "runs[0]"), derived("s", "runs[0]"));
        assert_ne!(derived("s", "runs[0]"), derived("s", "runs[1]"));
        assert_ne!(derived("s", "runs[0]"), derived("t", "runs[0]"));
        assert_eq!(derived("s", "runs[0]").len(), 36);
    }
}
