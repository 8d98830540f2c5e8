//! Messages.
//!
//! Source: `Message` in `agno/models/message.py` of Agno 1.0.0, 1.8.4, 2.0.11 and 3.1.10.

use super::ledger::{Count, Ledger};
use super::media::{self, At, Kind, Medium, Packing};
use super::members::Members;
use super::metrics;
use super::shapes;
use super::tree::{Node, Text};
use super::validator;

/// The media of messages.
const MEDIA: [(&str, Kind); 4] =
    [("images", Kind::Image), ("audio", Kind::Audio), ("videos", Kind::Video), ("files", Kind::File)];

/// Converts a list of messages; null for none.
pub fn list<'t>(node: Node<'t>, at: At<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    match node {
        Node::List { items, .. } => Node::list(
            items.into_iter().enumerate().filter_map(|(index, item)| one(item, at.index(index), ledger)).collect(),
        ),
        Node::Null => Node::Null,
        other => {
            ledger.keep(at.place, other);
            Node::Null
        }
    }
}

/// Converts a message; `None` for what is none, which goes to the ledger.
pub fn one<'t>(node: Node<'t>, at: At<'_>, ledger: &mut Ledger<'t>) -> Option<Node<'t>> {
    let (source, mut members) = match node {
        Node::Object { members, source } => (source, members),
        other => {
            ledger.keep(at.place, other);
            return None;
        }
    };
    if !matches!(members.get("role"), Node::Text(_)) {
        ledger.keep(at.place, Node::Object { source, members });
        return None;
    }
    // Only v2 gives messages an id.
    let packing = if members.get("id").filled_text().is_some() { Packing::Plain } else { Packing::Zlib };
    for (key, kind) in MEDIA {
        if members.has(key) {
            let value = members.take(key);
            let (media, transcripts) = media::list(value, kind, packing, at.key(key), ledger);
            members.set_some(key, media);
            for transcript in transcripts {
                speak(&mut members, transcript, at.key(key), ledger);
            }
        }
    }
    for (key, kind) in [("audio_output", Kind::Audio), ("image_output", Kind::Image)] {
        if members.has(key) {
            let value = members.take(key);
            // What the model gave back was never packed.
            match media::one(value, kind, Packing::Plain, at.key(key), ledger) {
                Medium::Kept(medium) => members.set(key, medium),
                Medium::Lost(Some(transcript)) => speak(&mut members, transcript, at.key(key), ledger),
                Medium::Lost(None) | Medium::Left => {}
            }
        }
    }
    let thinking = members.take("thinking");
    think(&mut members, thinking, at, ledger);
    let redacted = members.take("redacted_thinking");
    if let Some(second) = members.fill("redacted_reasoning_content", redacted) {
        ledger.keep(at.key("redacted_thinking").place, second);
    }
    if members.has("metrics") {
        let metrics = members.take("metrics");
        let metrics = metrics::convert(metrics, metrics::Of::Message, at.key("metrics").place, ledger);
        members.set_some("metrics", metrics);
    }
    whole(&mut members, "created_at");
    if packing == Packing::Zlib {
        let old = members.take("id");
        ledger.keep(at.key("id").place, if old.is_falsy() { Node::Null } else { old });
        members.set("id", Node::text(at.id()));
    }
    validator::mend_object(&shapes::MESSAGE, Node::object(members), at.place, ledger)
}

/// A transcript without its sound becomes the content of a message that has none.
fn speak<'t>(members: &mut Members<'t>, transcript: Text<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    if members.get("content").is_falsy() {
        members.set("content", Node::Text(transcript));
    } else if *members.get("content") != Node::Text(transcript.clone()) {
        ledger.keep(at.key("transcript").place, Node::Text(transcript));
    }
}

/// `thinking` goes before `reasoning_content`.
pub fn think<'t>(members: &mut Members<'t>, thinking: Node<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    match (thinking, members.get("reasoning_content")) {
        (thinking, _) if thinking.is_falsy() => {}
        (Node::Text(thinking), Node::Text(reasoning)) if !reasoning.is_empty() => {
            if thinking != *reasoning {
                let joined = format!("{}\\n\\n{}", thinking.0, reasoning.0);
                members.set("reasoning_content", Node::Text(Text(joined.into())));
            }
        }
        (thinking @ Node::Text(_), reasoning) if reasoning.is_falsy() => members.set("reasoning_content", thinking),
        (thinking, _) => ledger.keep(at.key("thinking").place, thinking),
    }
}

/// Cuts the fraction off a number, which pydantic would not take for an integer.
pub fn whole(members: &mut Members<'_>, key: &str) {
    let value = members.get(key);
    if let (Node::Number(number), Some(whole)) = (value, value.as_i64()) {
        if number.bytes().any(|byte| !byte.is_ascii_digit()) {
            let key = key.to_owned();
            members.set(key, Node::int(whole));
        }
    }
}

/// Marks the messages that a run of Agno 1.0 repeats from history: the leading ones, but for the system's and the examples the
/// app gives the model before each run, that are those of `history`. Without the mark every run would replay all runs before
/// it.
pub fn mark_history<'t>(messages: &mut Node<'t>, examples: &Node<'t>, history: &Node<'t>, ledger: &mut Ledger<'t>) {
    let Node::List { items, .. } = messages else { return };
    if history.items().is_empty() {
        return;
    }
    ledger.counts.one(Count::RepeatedHistory);
    let expected: Vec<&Node<'t>> = history.items().iter().filter(|message| !is_system(message)).collect();
    let mut said: Vec<&mut Node<'t>> = items.iter_mut().filter(|message| !is_system(message)).collect();
    let is_at = |said: &[&mut Node<'t>], from: usize, these: &[&Node<'t>]| {
        said.len() >= from + these.len() && said[from..].iter().zip(these).all(|(new, old)| same_message(old, new))
    };
    // History repeats the examples of earlier runs: they are skipped only when all of history follows.
    let examples: Vec<&Node<'t>> = examples.items().iter().collect();
    let skipped = is_at(&said, 0, &examples) && is_at(&said, examples.len(), &expected);
    let from = if skipped { examples.len() } else { 0 };
    for (old, message) in expected.iter().zip(said.iter_mut().skip(from)) {
        match &mut **message {
            Node::Object { members, source } if same(old, members) => {
                if !members.has("from_history") {
                    *source = None;
                    members.set("from_history", Node::Bool(true));
                }
            }
            _ => return,
        }
    }
}

fn same_message<'t>(old: &Node<'t>, new: &Node<'t>) -> bool {
    matches!(new, Node::Object { members, .. } if same(old, members))
}

fn is_system(message: &Node<'_>) -> bool {
    matches!(message.get("role"), Node::Text(role) if role.is("system") || role.is("developer"))
}

fn same<'t>(old: &Node<'t>, new: &Members<'t>) -> bool {
    let said = |old: &Node<'t>, new: &Node<'t>| old == new || old.to_json() == new.to_json();
    ["role", "content", "tool_calls", "tool_call_id"].iter().all(|key| said(old.get(key), new.get(key)))
}

/// The content of the last message of the user that is the run's own; null for none.
pub fn asked<'t>(messages: &Node<'t>) -> Node<'t> {
    let own = |message: &&Node<'t>| {
        matches!(message.get("role"), Node::Text(role) if role.is("user"))
            && *message.get("from_history") != Node::Bool(true)
    };
    messages.items().iter().rev().find(own).map_or(Node::Null, |message| message.get("content").clone())
}
