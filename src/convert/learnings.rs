//! The re-key of entity memories: rows of namespace `user` move from a key that all users share to one that names the user.
//!
//! Source: `agno/learn/migrations.py` and `build_learning_id` in `agno/learn/utils.py` of Agno 3.1.10. Unlike there, every
//! column is kept (Agno loses workflow_id and restarts the times).

use super::scan;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// The learning type of entity memories.
pub const ENTITY_MEMORY: &str = "entity_memory";

/// The namespace no store of Agno reads: rows that hold data of two users wait there.
pub const QUARANTINE: &str = "quarantined_user";

/// An entity memory of namespace `user` on the key of before 3.0.0.
#[derive(Debug)]
pub struct EntityRow<'t> {
    /// Column entity_type.
    pub entity_type: &'t str,
    /// Column entity_id.
    pub entity_id: &'t str,
    /// Column user_id.
    pub owner: &'t str,
    /// Column content.
    pub content: &'t str,
}

/// What becomes of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It belongs to its owner and gets this key.
    Owned(String),
    /// Its content was written by another user: it gets this key and the namespace [`QUARANTINE`].
    Quarantined(String),
    /// It stays, for this reason.
    Stays(&'static str),
}

/// Decides by the row alone.
pub fn fate(row: &EntityRow<'_>) -> Fate {
    if row.entity_type.is_empty() || row.entity_id.is_empty() {
        return Fate::Stays("has no entity type or id");
    }
    if row.owner.is_empty() {
        return Fate::Stays("has no owner");
    }
    let writer = match object(row.content) {
        Some(content) => Some(content.get("user_id").and_then(as_python_text)),
        None => scanned_writer(row.content),
    };
    let Some(writer) = writer else { return Fate::Stays("has content that is no object") };
    let (entity_type, entity_id) = (row.entity_type, row.entity_id);
    match writer {
        Some(writer) if writer != row.owner => Fate::Quarantined(format!("entity_{QUARANTINE}_{entity_type}_{entity_id}")),
        _ => Fate::Owned(key_of(row.owner, entity_type, entity_id)),
    }
}

/// The key of an entity memory of one user, since 3.0.0.
pub fn key_of(owner: &str, entity_type: &str, entity_id: &str) -> String {
    format!("entity_user_{}_{entity_type}_{entity_id}", user_segment(owner))
}

/// The first 16 hex digits of the SHA-256 of the user id.
fn user_segment(user_id: &str) -> String {
    Sha256::digest(user_id.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Content as an object. Agno 2 on SQLite may have encoded it twice.
fn object(content: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(content).ok()? {
        Value::Object(map) => Some(map),
        Value::String(inner) => serde_json::from_str(&inner).ok(),
        _ => None,
    }
}

/// The user_id in content that Python reads and a strict parser does not (lone surrogates, NaN); `None`: it is no object.
fn scanned_writer(content: &str) -> Option<Option<String>> {
    let text = scan::string(content.trim().as_bytes()).unwrap_or(content.trim().into());
    let text = text.trim().as_bytes();
    let mut writer = None;
    let is_object = text.first() == Some(&b'{');
    let end = scan::members(text, 0, |key, value| {
        if key == b"user_id" {
            writer = text.get(value);
        }
    });
    if !is_object || end != Ok(text.len()) {
        return None;
    }
    let Some(writer) = writer else { return Some(None) };
    match serde_json::from_slice(writer) {
        Ok(writer) => Some(as_python_text(&writer)),
        // Whoever that is, it is not the owner of the row, which is text.
        Err(_) => Some(Some(String::from_utf8_lossy(writer).into_owned())),
    }
}

/// `str(value)` of Python for an id; `None` for null.
fn as_python_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        other => Some(other.to_string()),
    }
}

/// The content of the row that already has the new key, with what it lacks from the row that moves. The row that has the
/// key was written by the newer app: it wins every conflict. Entries of `facts`, `events` and `relationships` that it lacks
/// come before its own: later in the list is newer.
///
/// `None` when either is no object or a collection is no list: merging would lose something.
pub fn merge(moving: &str, having: &str) -> Option<String> {
    let (source, target) = (object(moving)?, object(having)?);
    let mut merged = source.clone();
    merged.extend(target.iter().map(|(key, value)| (key.clone(), value.clone())));

    for field in ["facts", "events", "relationships"] {
        let (mut entries, kept) = (collection(&source, field)?, collection(&target, field)?);
        let seen: HashSet<String> = kept.iter().map(|entry| identity(field, entry)).collect();
        entries.retain(|entry| !seen.contains(&identity(field, entry)));
        entries.extend(kept);
        merged.insert(field.to_owned(), Value::Array(entries));
    }
    if !truthy(merged.get("description")) && truthy(source.get("description")) {
        merged.insert("description".to_owned(), source["description"].clone());
    }
    merged.insert("properties".to_owned(), properties(&source, &target)?);
    merged.insert("aliases".to_owned(), aliases(&source, &target)?);
    serde_json::to_string(&merged).ok()
}

fn collection(content: &Map<String, Value>, field: &str) -> Option<Vec<Value>> {
    match content.get(field) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(entries)) => Some(entries.clone()),
        Some(_) => None,
    }
}

/// What makes two entries the same to Agno's entity store.
fn identity(field: &str, entry: &Value) -> String {
    let part = |key: &str| entry.get(key).unwrap_or(&Value::Null).to_string();
    match (field, entry) {
        (_, Value::String(text)) => folded(text),
        (_, entry) if !entry.is_object() => folded(&entry.to_string()),
        ("facts", entry) => match entry.get("content") {
            content if truthy(content) => folded(&as_python_text(&entry["content"]).unwrap_or_default()),
            _ => part("id"),
        },
        ("events", _) => format!("{}\u{0}{}", part("content"), part("date")),
        _ => ["entity_id", "entity_type", "relation", "direction"].map(part).join("\u{0}"),
    }
}

/// Case folded, runs of blanks as one blank.
fn folded(text: &str) -> String {
    caseless::default_case_fold_str(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn properties(source: &Map<String, Value>, target: &Map<String, Value>) -> Option<Value> {
    let of = |content: &Map<String, Value>| match content.get("properties") {
        Some(Value::Object(map)) => Some(map.clone()),
        value if !truthy(value) => Some(Map::new()),
        _ => None,
    };
    let mut merged = of(source)?;
    merged.extend(of(target)?);
    Some(Value::Object(merged))
}

/// The other names of the entity: those of the row that has the key, then the moving row's name and other names.
fn aliases(source: &Map<String, Value>, target: &Map<String, Value>) -> Option<Value> {
    let fold = |value: &Value| as_python_text(value).unwrap_or_default().trim().to_lowercase();
    let named = |content: &Map<String, Value>| -> Option<Vec<Value>> {
        let mut names: Vec<Value> = content.get("name").filter(|name| truthy(Some(name))).cloned().into_iter().collect();
        names.extend(collection(content, "aliases")?.into_iter().filter(|name| truthy(Some(name))));
        Some(names)
    };
    let mut seen: HashSet<String> = named(target)?.iter().map(fold).collect();
    let mut aliases = collection(target, "aliases")?;
    for name in named(source)? {
        if seen.insert(fold(&name)) {
            aliases.push(Value::String(as_python_text(&name).unwrap_or_default()));
        }
    }
    Some(Value::Array(aliases))
}

fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::Bool(true)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'t>(owner: &'t str, content: &'t str) -> EntityRow<'t> {
        EntityRow { entity_type: "person", entity_id: "ann", owner, content }
    }

    #[test]
    fn a_row_goes_to_its_owner() {
        // The key that Agno 3.1.10's build_learning_id gives for these.
        let expected = "entity_user_bb82030dbc2bcaba_person_ann".to_owned();
        for content in [r#"{"user_id":"u1"}"#, "{}", r#"{"user_id":null}"#, r#""{\"user_id\":\"u1\"}""#] {
            assert_eq!(fate(&row("u1", content)), Fate::Owned(expected.clone()), "{content}");
        }
        assert!(matches!(fate(&row("7", r#"{"user_id":7}"#)), Fate::Owned(_)));
        assert_eq!(
            fate(&row("u1", r#"{"user_id":"u2"}"#)),
            Fate::Quarantined("entity_quarantined_user_person_ann".to_owned())
        );
        for (owner, content) in [("", "{}"), ("u1", "[]"), ("u1", "nope"), ("u1", "null")] {
            assert!(matches!(fate(&row(owner, content)), Fate::Stays(_)), "{content}");
        }
    }

    #[test]
    fn what_python_reads_goes_to_its_owner() {
        let of = |content: &str| fate(&EntityRow { entity_type: "t", entity_id: "i", owner: "bob", content });
        let own = Fate::Owned(key_of("bob", "t", "i"));
        for content in [r#"{"user_id": "bob", "t": "\ud83d"}"#, r#"{"t": NaN}"#, r#"{"user_id": null, "t": [Infinity]}"#] {
            assert_eq!(of(content), own, "{content}");
            let twice = serde_json::to_string(content).expect("a string");
            assert_eq!(of(&twice), own, "{twice}");
        }
        for content in [r#"{"user_id": "eve", "t": NaN}"#, r#"{"user_id": "\ud83d", "t": 1}"#] {
            assert!(matches!(of(content), Fate::Quarantined(_)), "{content}");
        }
        for content in ["[NaN]", r#"{"t": NaN"#, "NaN", r#"{"t": NaN} x"#, ""] {
            assert!(matches!(of(content), Fate::Stays(_)), "{content}");
        }
    }

    #[test]
    fn the_newer_row_wins_and_nothing_of_the_older_is_lost() {
        let merged = merge(
            r#"{"name":"Ann","description":"old","facts":[{"id":"1","content":"Likes  TEA"},{"id":"2","content":"Tall"}],
                "events":[{"content":"x","date":"1"}],"properties":{"a":1,"b":1.10},"aliases":["Annie"],"extra":true}"#,
            r#"{"name":"ann","description":"","facts":[{"id":"9","content":"likes tea"}],"events":null,
                "properties":{"a":2},"aliases":["An"]}"#,
        )
        .expect("merges");
        let value: Value = serde_json::from_str(&merged).expect("JSON");
        assert_eq!(value["facts"], serde_json::json!([{"id":"2","content":"Tall"},{"id":"9","content":"likes tea"}]));
        assert_eq!(value["events"], serde_json::json!([{"content":"x","date":"1"}]));
        assert_eq!((&value["description"], &value["name"], &value["extra"]), (&"old".into(), &"ann".into(), &true.into()));
        assert_eq!(value["properties"].to_string(), r#"{"a":2,"b":1.10}"#);
        assert_eq!(value["aliases"], serde_json::json!(["An", "Annie"]));
    }

    #[test]
    fn what_cannot_be_merged_stays() {
        assert_eq!(merge("{}", "[]"), None);
        assert_eq!(merge(r#"{"facts":"x"}"#, "{}"), None);
        assert_eq!(merge("{}", r#"{"events":{}}"#), None);
    }
}
