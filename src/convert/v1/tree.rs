//! A JSON document as a tree of slices over its text: strings and numbers stay as they are written, a value that nobody
//! takes apart is written back byte for byte.
//!
//! Not `serde_json::Value`: it copies every string, and reading v1 databases with it takes more than twice the time.

use super::super::scan;
use super::members::Member;
use super::members::Members;
use std::borrow::Cow;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written; NaN, Infinity and -Infinity too, which Python writes.
    Number(Cow<'t, str>),
    /// A string.
    Text(Text<'t>),
    /// A list.
    List {
        /// The text it was read from, while nothing has changed in it.
        source: Option<&'t str>,
        /// Its elements.
        items: Vec<Node<'t>>,
    },
    /// An object.
    Object {
        /// The text it was read from, while nothing has changed in it.
        source: Option<&'t str>,
        /// Its members in order.
        members: Members<'t>,
    },
    /// A value that is only passed on, as JSON.
    Raw(Cow<'t, str>),
}

/// A string as it stands between the quotes of JSON, escapes included: a lone surrogate survives in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'t>(pub Cow<'t, str>);

impl<'t> Text<'t> {
    /// The JSON form of a plain text.
    pub fn of(plain: impl Into<Cow<'t, str>>) -> Text<'t> {
        let plain = plain.into();
        let special = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
        if !plain.as_bytes().iter().any(special) {
            return Text(plain);
        }
        let mut escaped = Vec::with_capacity(plain.len() + 16);
        scan::escape(plain.as_bytes(), &mut escaped);
        // Escaping puts ASCII into UTF-8, so nothing is ever replaced.
        Text(Cow::Owned(String::from_utf8_lossy(&escaped).into_owned()))
    }

    /// What it says; `None` when it holds a lone surrogate, which no UTF-8 can.
    pub fn plain(&self) -> Option<Cow<'_, str>> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Some(Cow::Borrowed(&self.0));
        }
        serde_json::from_str::<String>(&format!("\"{}\"", self.0)).ok().map(Cow::Owned)
    }

    /// It says exactly this, written without escapes.
    pub fn is(&self, plain: &str) -> bool {
        self.0 == plain
    }

    /// It has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'t> Node<'t> {
    /// A string.
    pub fn text(plain: impl Into<Cow<'t, str>>) -> Node<'t> {
        Node::Text(Text::of(plain))
    }

    /// An integer.
    pub fn int(value: i64) -> Node<'t> {
        Node::Number(Cow::Owned(value.to_string()))
    }

    /// A list that was made here.
    pub fn list(items: Vec<Node<'t>>) -> Node<'t> {
        Node::List { source: None, items }
    }

    /// An object that was made here.
    pub fn object(members: Members<'t>) -> Node<'t> {
        Node::Object { source: None, members }
    }

    /// An optional string; null for none.
    pub fn some_text(plain: Option<impl Into<Cow<'t, str>>>) -> Node<'t> {
        plain.map_or(Node::Null, Node::text)
    }

    /// It is an object, also one too deep to be taken apart.
    pub fn is_object(&self) -> bool {
        matches!(self, Node::Object { .. }) || matches!(self, Node::Raw(text) if text.starts_with('{'))
    }

    /// It is a list, also one too deep to be taken apart.
    pub fn is_list(&self) -> bool {
        matches!(self, Node::List { .. }) || matches!(self, Node::Raw(text) if text.starts_with('['))
    }

    /// It is null.
    pub fn is_null(&self) -> bool {
        *self == Node::Null
    }

    /// It is what Python takes for false: null, false, zero, empty.
    pub fn is_falsy(&self) -> bool {
        match self {
            Node::Null | Node::Bool(false) => true,
            Node::Bool(true) | Node::Raw(_) => false,
            Node::Number(number) => number.parse::<f64>() == Ok(0.0),
            Node::Text(text) => text.is_empty(),
            Node::List { items, .. } => items.is_empty(),
            Node::Object { members, .. } => members.is_empty(),
        }
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member<'t>] {
        match self {
            Node::Object { members, .. } => members.as_slice(),
            _ => &[],
        }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Node<'t>] {
        match self {
            Node::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The value of a key of an object; null for anything else.
    pub fn get(&self, key: &str) -> &Node<'t> {
        match self {
            Node::Object { members, .. } => members.get(key),
            _ => &Node::Null,
        }
    }

    /// The string, unless it is empty.
    pub fn filled_text(&self) -> Option<&Text<'t>> {
        match self {
            Node::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// What a string says; `None` for an empty one, one with a lone surrogate and anything else.
    pub fn plain(&self) -> Option<Cow<'_, str>> {
        self.filled_text().and_then(Text::plain)
    }

    /// An integer that fits in 64 bits, or the whole part of a number with a fraction.
    pub fn as_i64(&self) -> Option<i64> {
        let Node::Number(number) = self else { return None };
        number.parse().ok().or_else(|| {
            let value: f64 = number.parse().ok()?;
            // 2^63 is the first float beyond i64.
            (value.is_finite() && value.abs() < 9_223_372_036_854_775_808.0).then_some(value as i64)
        })
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Appends it as JSON.
    ///
    /// Recursive: trees that were read are never deeper than [`super::read::DEPTH`].
    pub fn write(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(number) => out.push_str(number),
            Node::Text(text) => quoted(&text.0, out),
            Node::Raw(text) => out.push_str(text),
            Node::List { source: Some(text), .. } | Node::Object { source: Some(text), .. } => out.push_str(text),
            Node::List { source: None, items } => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object { source: None, members } => write_members(members, out),
        }
    }
}

/// Appends an object.
pub fn write_members(members: &Members<'_>, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quoted(key, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

fn quoted(inside: &str, out: &mut String) {
    out.push('"');
    out.push_str(inside);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::v1::read::read;
    use proptest::prelude::*;

    /// A tree that forgot its text, so that all of it is written anew.
    fn forgetful<'t>(node: Node<'t>) -> Node<'t> {
        match node {
            Node::List { items, .. } => Node::list(items.into_iter().map(forgetful).collect()),
            Node::Object { members, .. } => {
                Node::object(members.into_iter().map(|(key, value)| (key, forgetful(value))).collect())
            }
            other => other,
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".*", inner, 0..40)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_written_as_it_was_read(value in json()) {
            let text = value.to_string();
            let (node, _) = read(&text).expect("reads");
            prop_assert_eq!(&node.to_json(), &text);
            let anew: serde_json::Value = serde_json::from_str(&forgetful(node).to_json()).expect("JSON");
            prop_assert_eq!(anew, value);
        }

        #[test]
        fn a_text_says_what_it_was_made_of(plain in any::<String>()) {
            let text = Text::of(plain.clone());
            prop_assert!(text.plain().is_some_and(|said| said == plain));
            let json = Node::Text(text).to_json();
            prop_assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), plain);
        }
    }

    #[test]
    fn whole_numbers() {
        let whole = |text: &str| read(text).expect("reads").0.as_i64();
        assert_eq!(whole("1700000000.75"), Some(1_700_000_000));
        assert_eq!(whole("-1.5e3"), Some(-1500));
        assert_eq!(whole("9223372036854775807"), Some(i64::MAX));
        assert_eq!(whole("9223372036854775808"), None);
        assert_eq!(whole("1e400"), None);
        assert_eq!(whole("NaN"), None);
    }
}
