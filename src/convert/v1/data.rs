//! `session_data` and the other columns that are objects.
//!
//! Source: `agno/storage/session` of Agno 1.8.4, `get_session_name` in `agno/os/utils.py` of 2.0.11 and 3.1.10.

use super::ledger::{self, Ledger, Place};
use super::members::Members;
use super::metrics;
use super::run::{Draft, Ran};
use super::tree::{Node, Text};
use std::borrow::Cow;
use std::collections::HashSet;

/// A column that v2 wants to be an object, as it was written; anything else is kept.
pub fn object<'t>(name: &str, node: Node<'t>, ledger: &mut Ledger<'t>) -> Option<String> {
    if node.is_object() {
        return Some(node.to_json());
    }
    ledger.keep(Place::Key(&Place::Root, name), node);
    None
}

/// Converts session_data: an object even when there was none, as the metrics of Agno 2.0 to 2.4 break on NULL.
/// `state_column`: the column of that name that phidata had.
pub fn of_session<'t>(
    session_data: Node<'t>,
    state_column: Node<'t>,
    drafts: &[Draft<'t>],
    session_id: &str,
    ran: Ran,
    ledger: &mut Ledger<'t>,
) -> String {
    let root = Place::Root;
    let mut data = match session_data {
        Node::Object { members, .. } => members,
        Node::Null => Members::new(),
        other => {
            ledger.keep(Place::Key(&root, "session_data"), other);
            Members::new()
        }
    };
    if data.has("session_metrics") {
        let value = data.take("session_metrics");
        let value = metrics::convert(value, metrics::Of::Session, Place::Key(&root, "session_metrics"), ledger);
        data.set_some("session_metrics", value);
    }
    let mut state = match data.get("session_state") {
        Node::Object { members, .. } => Some(members.clone()),
        Node::Null => Some(Members::new()),
        _ => None,
    };
    let mut added = false;
    if let Some(state) = &mut state {
        let shared = [&state_column, data.get("team_session_state"), data.get("workflow_session_state")];
        let mut keys: HashSet<Cow<'t, str>> = state.iter().map(|(key, _)| key.clone()).collect();
        for (key, value) in shared.into_iter().flat_map(Node::members) {
            if keys.insert(key.clone()) {
                state.push(key.clone(), value.clone());
                added = true;
            }
        }
    }
    if let Some(state) = state.filter(|_| added) {
        data.set("session_state", Node::object(state));
    }
    if !state_column.is_object() {
        ledger.keep(Place::Key(&root, "session_state"), state_column);
    }
    if data.get("session_name").is_null() {
        if let Some(name) = name(drafts, session_id, ran) {
            data.set("session_name", name);
        }
    }
    ledger::file(&mut data, ledger.take());
    Node::object(data).to_json()
}

/// AgentOS shows the first thing the user said as the name of a session, and breaks when that is a list.
fn name<'t>(drafts: &[Draft<'t>], session_id: &str, ran: Ran) -> Option<Node<'t>> {
    // For a team, releases differ in whether they look at its members' runs.
    let own = drafts.iter().filter(|draft| draft.ran == ran);
    let list = [first_said(drafts.iter()), first_said(own)].into_iter().flatten().find(|content| content.is_list())?;
    let text = list.items().iter().find_map(|part| match part {
        Node::Text(text) if !text.is_empty() => Some(text.clone()),
        part => part.get("text").filled_text().cloned(),
    });
    Some(Node::Text(text.unwrap_or_else(|| Text::of(session_id.to_owned()))))
}

/// The content of the first message of a user, for a workflow also in the first run it called.
fn first_said<'d, 't: 'd>(drafts: impl Iterator<Item = &'d Draft<'t>>) -> Option<&'d Node<'t>> {
    let said = |message: &&Node<'t>| {
        matches!(message.get("role"), Node::Text(role) if role.is("user")) && !message.get("content").is_falsy()
    };
    let messages = |draft: &'d Draft<'t>| {
        let called = draft.members.get("step_executor_runs").items().iter().take(1);
        draft.members.get("messages").items().iter().chain(called.flat_map(|run| run.get("messages").items()))
    };
    drafts.flat_map(messages).find(said).map(|message| message.get("content"))
}
