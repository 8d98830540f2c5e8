//! What Agno insists on when it reads, as data, and the check of every document against it before it is written.
//!
//! Agno 2.x catches the error of a document it cannot read, starts an empty session and saves that over the row: one key it
//! does not accept wipes a conversation. Whatever does not fit is taken out and kept under `agno_v1`.
//!
//! Source: the `from_dict` methods and fields of `RunOutput`, `TeamRunOutput`, `WorkflowRunOutput`, `StepOutput`, `Message`,
//! `ToolExecution`, the media and the metrics of Agno 2.0.11, 2.9.0 and 3.1.10. 2.0 is the strictest: it breaks on keys that
//! later releases pass over, so that only keys that it knows are written, at every target version.

use super::ledger::{Ledger, Place};
use super::tree::{Members, Node};

/// What a value must be. Null never fits: it is taken out, which says the same.
#[derive(Debug)]
pub enum Check {
    /// Anything but null.
    Any,
    /// Anything, null too.
    Present,
    /// A string.
    Text,
    /// True or false.
    Bool,
    /// A number without fraction or exponent.
    Int,
    /// A number.
    Number,
    /// An object.
    Object,
    /// A string or a list.
    TextOrList,
    /// A list of objects.
    Objects,
    /// A list of strings.
    Texts,
    /// A list of objects and strings.
    ObjectsOrTexts,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An object with these fields.
    Of(&'static Fields),
    /// A list of objects with these fields.
    ListOf(&'static Fields),
    /// An object whose values are objects with these fields.
    MapOf(&'static Fields),
    /// An empty list.
    Empty,
}

/// How many of some fields an object must have.
#[derive(Debug)]
pub enum Sources {
    /// Nothing is asked.
    Free,
    /// Exactly one of these.
    One(&'static [&'static str]),
    /// One of these or more.
    Some(&'static [&'static str]),
}

/// The fields of a document.
#[derive(Debug)]
pub struct Fields {
    /// Each field and what it must be.
    pub known: &'static [(&'static str, Check)],
    /// The fields without which it is not read.
    pub required: &'static [&'static str],
    /// The fields it takes its content from.
    pub sources: Sources,
}

impl Fields {
    fn check(&self, key: &str) -> Option<&'static Check> {
        self.known.iter().find(|(name, _)| *name == key).map(|(_, check)| check)
    }

    /// It has what cannot be done without.
    fn complete(&self, node: &Node<'_>) -> bool {
        let Node::Object { members, .. } = node else { return false };
        let fits = |key: &&&str| self.check(key).is_some_and(|check| check.fits(members.get(key)));
        let there = |keys: &'static [&'static str]| keys.iter().filter(fits).count();
        let required = |key: &&str| self.check(key).is_some_and(|check| members.has(key) && check.can_fit(members.get(key)));
        self.required.iter().all(required)
            && match self.sources {
                Sources::Free => true,
                Sources::One(keys) => there(keys) == 1,
                Sources::Some(keys) => there(keys) >= 1,
            }
    }

    fn fits(&self, node: &Node<'_>) -> bool {
        self.complete(node)
            && node.members().iter().all(|(key, value)| self.check(key).is_some_and(|check| check.fits(value)))
    }

    /// The members that fit; the others go to the ledger.
    pub fn mend<'t>(&self, members: Members<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) -> Members<'t> {
        let mut fitting = Members::new();
        for (key, value) in members {
            let mended = match self.check(&key) {
                Some(check) if check.fits(&value) => Some(value),
                Some(check) => check.mend(value, Place::Key(&place, &key), ledger),
                None => {
                    ledger.keep(Place::Key(&place, &key), value);
                    None
                }
            };
            if let Some(value) = mended {
                fitting.push(key, value);
            }
        }
        fitting
    }
}

impl Check {
    /// The value is read by every release of Agno 2 and 3.
    pub fn fits(&self, node: &Node<'_>) -> bool {
        match self {
            Check::Any => !node.is_null(),
            Check::Present => true,
            Check::Text => matches!(node, Node::Text(_)),
            Check::Bool => matches!(node, Node::Bool(_)),
            Check::Int => {
                matches!(node, Node::Number(number) if number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
            }
            Check::Number => matches!(node, Node::Number(_)),
            Check::Object => node.is_object(),
            Check::TextOrList => matches!(node, Node::Text(_)) || node.is_list(),
            Check::Objects => matches!(node, Node::List { items, .. } if items.iter().all(Node::is_object)),
            Check::Texts => {
                matches!(node, Node::List { items, .. } if items.iter().all(|item| matches!(item, Node::Text(_))))
            }
            Check::ObjectsOrTexts => {
                let fits = |item: &Node<'_>| item.is_object() || matches!(item, Node::Text(_));
                matches!(node, Node::List { items, .. } if items.iter().all(fits))
            }
            Check::OneOf(words) => matches!(node, Node::Text(text) if words.iter().any(|word| text.is(word))),
            Check::Of(fields) => fields.fits(node),
            Check::ListOf(fields) => matches!(node, Node::List { items, .. } if items.iter().all(|item| fields.fits(item))),
            Check::MapOf(fields) => {
                matches!(node, Node::Object { members, .. } if members.iter().all(|(_, value)| fields.fits(value)))
            }
            Check::Empty => matches!(node, Node::List { items, .. } if items.is_empty()),
        }
    }

    /// Something is left of it when what does not fit is taken out.
    fn can_fit(&self, node: &Node<'_>) -> bool {
        match self {
            Check::ListOf(_) => matches!(node, Node::List { .. }),
            Check::MapOf(_) => matches!(node, Node::Object { .. }),
            _ => self.fits(node),
        }
    }

    /// What of a value fits, if anything; the rest goes to the ledger.
    fn mend<'t>(&self, node: Node<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) -> Option<Node<'t>> {
        match (self, node) {
            (_, Node::Null) => None,
            (Check::Of(fields), node) => mend_object(fields, node, place, ledger),
            (Check::ListOf(fields), Node::List { items, .. }) => {
                let mend = |(at, item)| mend_object(fields, item, Place::Index(&place, at), ledger);
                Some(Node::list(items.into_iter().enumerate().filter_map(mend).collect()))
            }
            (Check::MapOf(fields), Node::Object { members, .. }) => {
                let mend = |(key, value): (std::borrow::Cow<'t, str>, _)| {
                    let value = mend_object(fields, value, Place::Key(&place, &key), ledger)?;
                    Some((key, value))
                };
                Some(Node::object(members.into_iter().filter_map(mend).collect()))
            }
            (Check::Objects | Check::Texts | Check::ObjectsOrTexts, Node::List { items, .. }) => {
                let mut fitting = Vec::new();
                for (at, item) in items.into_iter().enumerate() {
                    if self.fits(&Node::list(vec![item.clone()])) {
                        fitting.push(item);
                    } else {
                        ledger.keep(Place::Index(&place, at), item);
                    }
                }
                Some(Node::list(fitting))
            }
            (_, node) => {
                ledger.keep(place, node);
                None
            }
        }
    }
}

/// What of an object fits; `None` when it lacks what cannot be done without, and went to the ledger as a whole.
pub fn mend_object<'t>(fields: &Fields, node: Node<'t>, place: Place<'_>, ledger: &mut Ledger<'t>) -> Option<Node<'t>> {
    if fields.fits(&node) {
        return Some(node);
    }
    if !fields.complete(&node) {
        ledger.keep(place, node);
        return None;
    }
    let Node::Object { members, .. } = node else { return None };
    Some(Node::object(fields.mend(members, place, ledger)))
}
