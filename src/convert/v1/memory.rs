//! User memories, from their table and from sessions, and summaries.
//!
//! Source: `agno/memory/v2/schema.py`, `agno/memory/memory.py`, `agno/memory/v2/memory.py` of Agno 1.8.4,
//! `agno/db/schemas/memory.py`, `agno/session/summary.py` of 3.1.10.

use super::ledger::{Count, Counts};
use super::members::Members;
use super::tree::Node;
use super::{Memory, MemoryRow, Notation, Rejected, SessionMemory, Storage, ids, literal, read, shapes, storable, time};
use std::borrow::Cow;

/// Converts a row of a memory table.
///
/// # Errors
/// [`Rejected`] when the row cannot become a memory.
pub fn row(row: &MemoryRow<'_>, notation: Notation, storage: Storage) -> Result<(Memory, Counts), Rejected> {
    let id = String::from_utf8_lossy(row.id.unwrap_or_default()).into_owned();
    let reject = |reason: &str| Rejected { id: id.clone(), reason: reason.to_owned() };
    let text = |column: Option<&'_ [u8]>| -> Result<Option<String>, Rejected> {
        column
            .map(|bytes| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| reject("is not valid UTF-8")))
            .transpose()
    };
    let memory_id = text(row.id)?.filter(|id| !id.is_empty()).ok_or_else(|| reject("has no id"))?;
    let content = text(row.memory)?.ok_or_else(|| reject("has no memory"))?;
    let read = match notation {
        Notation::Python => literal::read(&content).map_err(|_| reject("has a memory that is no Python literal")),
        Notation::Json => read::read(&content).map_err(|_| reject("has a memory that is no JSON")),
    };
    let (node, oddities) = read?;
    storable(oddities, storage).map_err(reject)?;
    let Node::Object { members, .. } = node else { return Err(reject("has a memory that is no object")) };

    let mut counts = Counts::default();
    let (mut memory, last_updated) =
        of(members, memory_id, &mut counts).ok_or_else(|| reject("has a memory without text"))?;
    let when = |column: Option<&[u8]>| column.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(time::epoch);
    // The host that wrote last_updated did so in its own time zone: the columns come first.
    let last_updated = last_updated.as_deref().and_then(time::epoch);
    memory.user_id = text(row.user_id)?;
    memory.created_at = when(row.created_at).or(when(row.updated_at)).or(last_updated);
    memory.updated_at = when(row.updated_at).or(when(row.created_at)).or(last_updated);
    clean(&mut memory, storage, &mut counts);
    Ok((memory, counts))
}

/// A memory of an object, and when it last changed as it was written; `None` without text.
fn of(mut members: Members<'_>, memory_id: String, counts: &mut Counts) -> Option<(Memory, Option<String>)> {
    let memory = match members.take("memory") {
        text @ Node::Text(_) => text.to_json(),
        _ => return None,
    };
    let topics = match (members.take("topics"), members.take("topic")) {
        (topics, Node::Null) => topics,
        (Node::Null, topic) => Node::list(vec![topic]),
        (topics, _) => {
            counts.one(Count::MemoryParts);
            topics
        }
    };
    let topics = match topics {
        Node::Null => None,
        Node::List { items, .. } => {
            let (texts, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| matches!(item, Node::Text(_)));
            counts.more(Count::MemoryParts, others.len());
            Some(Node::list(texts).to_json())
        }
        topic @ Node::Text(_) => Some(Node::list(vec![topic]).to_json()),
        _ => {
            counts.one(Count::MemoryParts);
            None
        }
    };
    let input = match members.take("input") {
        Node::Null => None,
        Node::Text(text) => {
            // The column is text: it cannot hold a lone surrogate.
            counts.more(Count::MemoryParts, usize::from(text.plain().is_none()));
            text.plain().map(Cow::into_owned)
        }
        other => Some(other.to_json()),
    };
    let last_updated = members.take("last_updated").plain().map(Cow::into_owned);
    for key in ["memory_id", "id"] {
        members.take(key);
    }
    counts.more(Count::MemoryParts, members.iter().filter(|(_, value)| !value.is_null()).count());
    let memory = Memory { memory_id, memory, topics, input, user_id: None, created_at: None, updated_at: None };
    Some((memory, last_updated))
}

fn clean(memory: &mut Memory, storage: Storage, counts: &mut Counts) {
    for text in [Some(&mut memory.memory_id), memory.input.as_mut(), memory.user_id.as_mut()].into_iter().flatten() {
        super::without_nul(text, storage, counts);
    }
    for json in [Some(&mut memory.memory), memory.topics.as_mut()].into_iter().flatten() {
        super::without_escaped_nul(json, storage, counts);
    }
}

/// The memories inside a session's memory. `user`: the session's, for a list that does not say whose it is.
pub fn of_session(
    memories: Node<'_>,
    user: Option<&str>,
    storage: Storage,
    created_at: Option<i64>,
    counts: &mut Counts,
) -> Vec<SessionMemory> {
    let mut found = Vec::new();
    let mut add = |node: Node<'_>, id: Option<&str>, user: Option<&str>, counts: &mut Counts| {
        let derived = if id.is_none() { ids::of_memory(&without_nulls(&node)) } else { None };
        let Node::Object { members, .. } = node else {
            return counts.more(Count::EmptyMemories, usize::from(!node.is_null()));
        };
        let stored = members.get("id").plain().or(members.get("memory_id").plain()).map(Cow::into_owned);
        let Some(id) = id.map(str::to_owned).or(stored).or(derived) else { return counts.one(Count::EmptyMemories) };
        let Some((mut memory, last_updated)) = of(members, id, counts) else { return counts.one(Count::EmptyMemories) };
        let time = last_updated.as_deref().and_then(time::epoch).or(created_at);
        memory.user_id = user.map(str::to_owned);
        memory.created_at = time;
        memory.updated_at = time;
        clean(&mut memory, storage, counts);
        found.push(SessionMemory { memory, last_updated });
    };
    match memories {
        Node::List { items, .. } => items.into_iter().for_each(|item| add(item, None, user, counts)),
        Node::Object { members, .. } => {
            for (user, memories) in members {
                let user = super::tree::Text(user).plain().map(Cow::into_owned);
                match memories {
                    Node::Object { members, .. } => {
                        for (id, memory) in members {
                            let id = super::tree::Text(id).plain().map(Cow::into_owned);
                            add(memory, id.as_deref(), user.as_deref(), counts);
                        }
                    }
                    Node::List { items, .. } => {
                        items.into_iter().for_each(|item| add(item, None, user.as_deref(), counts));
                    }
                    other => counts.more(Count::EmptyMemories, usize::from(!other.is_null())),
                }
            }
        }
        other => counts.more(Count::EmptyMemories, usize::from(!other.is_null())),
    }
    found
}

/// Agno leaves nulls out before it makes an id of a memory.
fn without_nulls<'t>(node: &Node<'t>) -> Node<'t> {
    Node::object(node.members().iter().filter(|(_, value)| !value.is_null()).cloned().collect())
}

/// The summary of a session, and the ids of sessions whose summaries stand beside it: a memory is shared by sessions.
pub fn summary<'t>(
    memory: &mut Members<'t>,
    session_id: &str,
    user: Option<&str>,
    counts: &mut Counts,
) -> (Option<Node<'t>>, Vec<String>) {
    let (mut own, mut foreign) = (Node::Null, Vec::new());
    if let Node::Object { members: users, .. } = memory.take("summaries") {
        // The user's own first: another user's summary of a session with this id is better than none.
        let mut users: Vec<_> = users.into_iter().collect();
        users.sort_by_key(|(key, _)| Some(key.as_ref()) != user);
        for (_, sessions) in users {
            let Node::Object { members: sessions, .. } = sessions else { continue };
            for (id, summary) in sessions {
                let Some(id) = super::tree::Text(id).plain().map(Cow::into_owned) else { continue };
                if id != session_id {
                    counts.one(Count::ForeignSummaries);
                    foreign.push(id);
                } else if own.is_null() {
                    own = summary;
                } else {
                    counts.one(Count::MemoryParts);
                }
            }
        }
    }
    let classic = memory.take("summary");
    if own.is_null() {
        own = classic;
    }
    (converted(own, counts), foreign)
}

/// Exactly the fields of v2: it breaks on any other. `None` without text.
fn converted<'t>(summary: Node<'t>, counts: &mut Counts) -> Option<Node<'t>> {
    let mut members = match summary {
        Node::Object { members, .. } => members,
        text @ Node::Text(_) => [("summary".into(), text)].into_iter().collect(),
        other => {
            counts.more(Count::MemoryParts, usize::from(!other.is_null()));
            return None;
        }
    };
    if members.get("summary").filled_text().is_none() {
        counts.more(Count::MemoryParts, members.iter().filter(|(_, value)| !value.is_falsy()).count());
        return None;
    }
    let mut out = Members::new();
    out.set("summary", members.take("summary"));
    if let Node::List { items, .. } = members.take("topics") {
        let texts: Vec<_> = items.into_iter().filter(|item| matches!(item, Node::Text(_))).collect();
        out.set("topics", Node::list(texts));
    }
    // Read as ISO by Python; its text stays as it is.
    for key in ["updated_at", "last_updated"] {
        let updated_at = members.take(key);
        if out.get("updated_at").is_null() && updated_at.plain().is_some_and(|text| time::is_isoformat(&text)) {
            out.set("updated_at", updated_at);
        } else {
            counts.more(Count::MemoryParts, usize::from(!updated_at.is_null()));
        }
    }
    counts.more(Count::MemoryParts, members.iter().filter(|(_, value)| !value.is_null()).count());
    let mut misfits = super::ledger::Ledger::default();
    let out = shapes::SUMMARY.mend(out, super::ledger::Place::Root, &mut misfits);
    Some(Node::object(out))
}
