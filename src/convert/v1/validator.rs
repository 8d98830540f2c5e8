//! What Agno insists on when it reads, as data, and the check of every document against it before it is written.
//!
//! Agno 2.x catches the error of a document it cannot read, starts an empty session and saves that over the row: one key it
//! does not accept wipes a conversation. Whatever does not fit is taken out and kept under `agno_v1`.
//!
//! Source: the `from_dict` methods and fields of `RunOutput`, `TeamRunOutput`, `WorkflowRunOutput`, `StepOutput`, `Message`,
//! `ToolExecution`, the media and the metrics of Agno 2.0.11, 2.9.0 and 3.1.10. 2.0 is the strictest: it breaks on keys that
//! later releases pass over, so that only keys that it knows are written, at every target version.

use super::ledger::{Ledger, Place};
use super::members::Members;
use super::tree::Node;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::v1::read::read;
    use crate::convert::v1::shapes::{AGENT_RUN, SUMMARY, TEAM_RUN, WORKFLOW_RUN};

    /// Documents on which some release of Agno 2 or 3 breaks, and what is left of them.
    #[test]
    fn what_agno_breaks_on() {
        let run = |rest: &str| format!(r#"{{"run_id":"r","agent_id":"a",{rest}}}"#);
        let message = |rest: &str| run(&format!(r#""messages":[{{"role":"user",{rest}}}]"#));
        let empty = r#"{"run_id":"r","agent_id":"a"}"#.to_owned();
        let bare = r#"{"run_id":"r","agent_id":"a","messages":[{"role":"user"}]}"#.to_owned();
        let none = r#"{"run_id":"r","agent_id":"a","messages":[]}"#.to_owned();
        for (document, left) in [
            (run(r#""thinking":"x""#), &empty),
            (run(r#""extra_data":{}"#), &empty),
            (run(r#""event":"RunResponse""#), &empty),
            (run(r#""events":[{"event":"RunResponseContent"}]"#), &empty),
            (run(r#""formatted_tool_calls":[]"#), &empty),
            (run(r#""team_session_id":"s""#), &empty),
            (run(r#""team_id":"t""#), &empty),
            (run(r#""metrics":[{}]"#), &empty),
            (run(r#""metrics":"x""#), &empty),
            (run(r#""input":"x""#), &empty),
            (run(r#""tools":{}"#), &empty),
            (run(r#""citations":[]"#), &empty),
            (run(r#""response_audio":{"id":"x"}"#), &empty),
            (run(r#""response_audio":{"url":"x","content":"y"}"#), &empty),
            (run(r#""created_at":null"#), &empty),
            (run(r#""created_at":1.5"#), &empty),
            (message(r#""id":null"#), &bare),
            (message(r#""content":{}"#), &bare),
            (message(r#""content":7"#), &bare),
            (message(r#""created_at":null"#), &bare),
            (message(r#""created_at":1.5"#), &bare),
            (message(r#""tool_calls":{}"#), &bare),
            (message(r#""provider_data":[]"#), &bare),
            (message(r#""tool_call_error":"yes""#), &bare),
            (message(r#""metrics":null"#), &bare),
            (message(r#""metrics":[]"#), &bare),
            (message(r#""audio":{"url":"x"}"#), &bare),
            (message(r#""audio_output":{"transcript":"x"}"#), &bare),
            (message(r#""references":{"time":1}"#), &bare),
            (run(r#""messages":[{"content":"x"}]"#), &none),
            (run(r#""messages":[{"role":7}]"#), &none),
            (run(r#""messages":["x",null]"#), &none),
        ] {
            let (node, _) = read(&document).expect("reads");
            assert!(!Check::Of(&AGENT_RUN).fits(&node), "{document}");
            let Node::Object { members, .. } = node else { panic!("an object") };
            let mended = Node::object(AGENT_RUN.mend(members, Place::Root, &mut Ledger::default()));
            assert!(Check::Of(&AGENT_RUN).fits(&mended), "{document}");
            assert_eq!(mended.to_json(), *left, "{document}");
        }
    }

    #[test]
    fn what_stands_deeper() {
        for (fields, document, left) in [
            (&AGENT_RUN, r#"{"metrics":{"input_tokens":[1],"time":1,"duration":0.5}}"#, r#"{"metrics":{"duration":0.5}}"#),
            (&AGENT_RUN, r#"{"metrics":{"input_tokens":1.5}}"#, r#"{"metrics":{}}"#),
            (&AGENT_RUN, r#"{"tools":[{"metrics":{"time":1}},7]}"#, r#"{"tools":[{"metrics":{}}]}"#),
            (&AGENT_RUN, r#"{"references":[{"query":"q"},{"time":1},"x"]}"#, r#"{"references":[{"query":"q"}]}"#),
            (
                &AGENT_RUN,
                r#"{"reasoning_steps":["x",{"next_action":"fly","confidence":"high","title":"t"}]}"#,
                r#"{"reasoning_steps":[{"title":"t"}]}"#,
            ),
            (&AGENT_RUN, r#"{"citations":{"urls":["x",{"url":"y"}]}}"#, r#"{"citations":{"urls":[{"url":"y"}]}}"#),
            (&AGENT_RUN, r#"{"images":["x",{"id":"i"},{"url":"u","length":1}]}"#, r#"{"images":[{"url":"u"}]}"#),
            (
                &AGENT_RUN,
                r#"{"files":[{"name":"x"},{"url":"u","content":"c"}]}"#,
                r#"{"files":[{"url":"u","content":"c"}]}"#,
            ),
            (&AGENT_RUN, r#"{"videos":[{"url":"u","duration":"long"}]}"#, r#"{"videos":[{"url":"u"}]}"#),
            (&TEAM_RUN, r#"{"agent_id":"a","member_responses":[{"message":{}}]}"#, "{}"),
            (&WORKFLOW_RUN, r#"{"agent_id":"a","agent_name":"n","metrics":{"total_steps":1}}"#, "{}"),
            (
                &WORKFLOW_RUN,
                r#"{"metrics":{"steps":{"a":{"step_name":"a"},"b":{"step_name":"b","executor_type":"x","executor_name":"y"}}}}"#,
                r#"{"metrics":{"steps":{"b":{"step_name":"b","executor_type":"x","executor_name":"y"}}}}"#,
            ),
            (&WORKFLOW_RUN, r#"{"step_results":[{"metrics":{"step_name":"x"}}]}"#, r#"{"step_results":[{"metrics":{}}]}"#),
            (&SUMMARY, r#"{"summary":"s","last_updated":"x","updated_at":7,"extra":1}"#, r#"{"summary":"s"}"#),
        ] {
            let (node, _) = read(document).expect("reads");
            let Node::Object { members, .. } = node else { panic!("an object") };
            let mut ledger = Ledger::default();
            assert_eq!(Node::object(fields.mend(members, Place::Root, &mut ledger)).to_json(), left, "{document}");
            assert!(ledger.counts.iter().count() > 0, "{document}");
        }
        assert!(!Check::Of(&SUMMARY).fits(&read("{}").expect("reads").0));
    }

    #[test]
    fn what_fits_keeps_its_text() {
        let text = r#"{ "run_id":"r", "agent_id" : "a", "content":{"time":[1.10]}, "status":"odd" }"#;
        let (node, _) = read(text).expect("reads");
        let mended = mend_object(&AGENT_RUN, node, Place::Root, &mut Ledger::default());
        assert_eq!(mended.map(|node| node.to_json()).as_deref(), Some(text));
    }
}
