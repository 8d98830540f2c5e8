//! The runs of a session: found in their shapes, member runs unfolded, parents and ids settled.

use super::ids;
use super::ledger::{Count, Ledger, Place};
use super::media::At;
use super::members::Members;
use super::run::{self, Draft, Owner, Ran};
use super::tree::Node;
use std::collections::{HashMap, HashSet};

/// The runs of a memory, as a list without wrappers; `Err`: what they are instead.
///
/// # Errors
/// When `runs` is neither a list nor an object of lists.
pub fn of_memory<'t>(
    memory: &mut Members<'t>,
    session_id: &str,
    ledger: &mut Ledger<'t>,
) -> Result<Vec<Members<'t>>, &'static str> {
    let elements = match memory.take("runs") {
        Node::Null => return Ok(Vec::new()),
        Node::List { items, .. } => items,
        Node::Object { members, .. } => own(members, session_id, ledger)?,
        _ => return Err("has runs that are no list"),
    };
    let mut runs = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        match element {
            Node::Object { members, .. } => runs.push(unwrap(members, index, ledger)),
            Node::Null => ledger.counts.one(Count::NullRuns),
            other => ledger.keep(Place::Index(&Place::Key(&Place::Root, "runs"), index), other),
        }
    }
    Ok(runs)
}

/// Of runs by session, those of this one. A memory object is shared by sessions, also of different users: the others' runs
/// are in rows of their own. A single list under another id is that of a session that was renamed.
fn own<'t>(by_session: Members<'t>, session_id: &str, ledger: &mut Ledger<'t>) -> Result<Vec<Node<'t>>, &'static str> {
    let single = by_session.len() == 1;
    let has_own = by_session.iter().any(|(key, _)| key == session_id);
    let mut mine = Vec::new();
    for (key, value) in by_session {
        match value {
            Node::List { items, .. } if key == session_id || (single && !has_own) => mine = items,
            Node::List { items, .. } => ledger.counts.more(Count::ForeignRuns, items.len()),
            Node::Null => {}
            _ => return Err("has runs that are no list"),
        }
    }
    Ok(mine)
}

/// Takes a run out of what AgentMemory, TeamMemory and WorkflowMemory wrapped around it.
///
/// Source: `AgentRun`, `TeamRun`, `WorkflowRun` in `agno/memory/{agent,team,workflow}.py` of Agno 1.8.4. The messages of
/// `message` and `messages` are in those of the response.
fn unwrap<'t>(mut wrapper: Members<'t>, index: usize, ledger: &mut Ledger<'t>) -> Members<'t> {
    let wrapped = ["message", "response", "input", "member_responses"].iter().any(|key| wrapper.has(key));
    if !wrapped || wrapper.has("run_id") || wrapper.has("content") || wrapper.has("session_id") {
        return wrapper;
    }
    let runs = Place::Key(&Place::Root, "runs");
    let place = Place::Index(&runs, index);
    let (response, message, messages) = (wrapper.take("response"), wrapper.take("message"), wrapper.take("messages"));
    let mut run = match response {
        Node::Object { members, .. } => members,
        other => {
            ledger.keep(Place::Key(&place, "response"), other);
            Members::new()
        }
    };
    if run.get("messages").is_falsy() {
        let mut all = match messages {
            Node::List { items, .. } => items,
            _ => Vec::new(),
        };
        all.extend(Some(message).filter(|message| !message.is_null()));
        if !all.is_empty() {
            run.take("messages");
            run.set("messages", Node::list(all));
        }
    }
    let input = wrapper.take("input");
    if let Some(second) = run.fill("input", input) {
        ledger.keep(Place::Key(&place, "input"), second);
    }
    if let Node::List { items, .. } = wrapper.take("member_responses") {
        let mut all = match run.take("member_responses") {
            Node::List { items, .. } => items,
            _ => Vec::new(),
        };
        all.extend(items);
        run.set("member_responses", Node::list(all));
    }
    for (key, value) in wrapper {
        ledger.keep(Place::Key(&place, &key), value);
    }
    run
}

/// Converts a run and, before it, its member runs, recursively: the tree that was read is never deeper than
/// [`super::read::DEPTH`].
pub fn unfold<'t>(
    mut members: Members<'t>,
    parent: Option<&str>,
    else_: Ran,
    at: At<'_>,
    owner: &Owner<'t>,
    ledger: &mut Ledger<'t>,
    drafts: &mut Vec<Draft<'t>>,
) {
    let ran = run::ran(&members, else_);
    let run_id = run::id_of(&members, owner, &at.place.to_string());
    let here = at.key("member_responses");
    match members.take("member_responses") {
        Node::List { items, .. } => {
            for (index, item) in items.into_iter().enumerate() {
                match item {
                    Node::Object { members, .. } => {
                        let member = unwrap(members, index, ledger);
                        unfold(member, Some(&run_id), Ran::Agent, here.index(index), owner, ledger, drafts);
                    }
                    Node::Null => ledger.counts.one(Count::NullRuns),
                    other => ledger.keep(here.index(index).place, other),
                }
            }
        }
        // It goes to the ledger of the run, with all else that does not fit.
        other => members.set_some("member_responses", other),
    }
    let mut draft = run::convert(members, ran, run_id, owner, ledger);
    if draft.parent.is_none() {
        draft.parent = parent.filter(|parent| **parent != draft.run_id).map(str::to_owned);
    }
    drafts.push(draft);
}

/// Converts the runs of an agent's or a team's session.
pub fn convert<'t>(runs: Vec<Members<'t>>, owner: &Owner<'t>, ledger: &mut Ledger<'t>) -> Vec<Draft<'t>> {
    let root = Place::Root;
    let at = At { session_id: &owner.session_id, run_id: "", place: Place::Key(&root, "runs") };
    let mut list = Assembly::default();
    // v1 replaced a run that was stored again: the later one counts.
    let mut last: HashMap<String, usize> = HashMap::new();
    for (index, run) in runs.iter().enumerate() {
        let id = run::id_of(run, owner, &at.index(index).place.to_string());
        if last.insert(id, index).is_some() {
            ledger.counts.one(Count::RepeatedRuns);
        }
    }
    let listed: HashSet<usize> = last.values().copied().collect();
    let mut tops = Vec::new();
    for (index, run) in runs.into_iter().enumerate() {
        if listed.contains(&index) {
            let mut drafts = Vec::new();
            unfold(run, None, owner.ran, at.index(index), owner, ledger, &mut drafts);
            tops.push(drafts);
        }
    }
    list.tops = last.into_keys().collect();
    for mut drafts in tops {
        let Some(top) = drafts.pop() else { continue };
        for member in drafts {
            list.member(member, ledger);
        }
        list.top(top);
    }
    list.settle(owner);
    list.drafts
}

/// Runs in the order of the session, each id once.
#[derive(Default)]
struct Assembly<'t> {
    drafts: Vec<Draft<'t>>,
    at: HashMap<String, usize>,
    /// Ids of runs that stand in the session's own list.
    tops: HashSet<String>,
    /// Parents of such runs, where a team run lists them too.
    adopted: HashMap<String, String>,
}

impl<'t> Assembly<'t> {
    fn member(&mut self, draft: Draft<'t>, ledger: &mut Ledger<'t>) {
        let twice = self.tops.contains(&draft.run_id) || self.at.contains_key(&draft.run_id);
        if !twice {
            self.top(draft);
            return;
        }
        ledger.counts.one(Count::RepeatedRuns);
        if let Some(parent) = draft.parent {
            match self.at.get(&draft.run_id) {
                Some(index) => {
                    self.drafts[*index].parent.get_or_insert(parent);
                }
                None => {
                    self.adopted.entry(draft.run_id).or_insert(parent);
                }
            }
        }
    }

    fn top(&mut self, mut draft: Draft<'t>) {
        if draft.parent.is_none() {
            draft.parent = self.adopted.remove(&draft.run_id);
        }
        self.at.insert(draft.run_id.clone(), self.drafts.len());
        self.drafts.push(draft);
    }

    /// Runs of agents that no team run lists belong to the next one.
    fn settle(&mut self, owner: &Owner<'t>) {
        if owner.ran != Ran::Team {
            return;
        }
        let mut next: Option<String> = None;
        for draft in self.drafts.iter_mut().rev() {
            match draft.ran {
                Ran::Team if draft.parent.is_none() => next = Some(draft.run_id.clone()),
                Ran::Agent if draft.parent.is_none() => draft.parent.clone_from(&next),
                _ => {}
            }
        }
    }
}

/// The one run of a memory that has messages but no runs.
pub fn of_messages<'t>(messages: Node<'t>, owner: &Owner<'t>) -> Option<Members<'t>> {
    let answer = messages.items().iter().rev().find(|message| {
        matches!(message.get("role"), Node::Text(role) if role.is("assistant")) && !message.get("content").is_falsy()
    });
    let content = answer.map_or(Node::Null, |message| message.get("content").clone());
    if messages.items().is_empty() {
        return None;
    }
    let mut run = Members::new();
    run.set("run_id", Node::text(ids::derived(&owner.session_id, "messages")));
    run.set_some("content", content);
    run.set("messages", messages);
    run.set("status", Node::text("COMPLETED"));
    Some(run)
}

/// Adds the runs that only a team's context has: member runs of the team run at their place, or the last one.
pub fn of_context<'t>(interactions: Node<'t>, owner: &Owner<'t>, drafts: &mut Vec<Draft<'t>>, ledger: &mut Ledger<'t>) {
    let Node::List { items, .. } = interactions else { return };
    let parent = drafts.iter().rposition(|draft| draft.ran == Ran::Team && draft.parent.is_none());
    let (root, mut found) = (Place::Root, Vec::new());
    let context = Place::Key(&root, "team_context");
    for (index, item) in items.into_iter().enumerate() {
        let Node::Object { members: mut interaction, .. } = item else { continue };
        let Node::Object { members: response, .. } = interaction.take("response") else { continue };
        let known = |drafts: &[Draft<'_>], id: &str| drafts.iter().any(|draft| draft.run_id == id);
        let place = Place::Index(&context, index);
        let id = run::id_of(&response, owner, &place.to_string());
        if known(drafts, &id) || known(&found, &id) {
            ledger.counts.one(Count::TeamContext);
            continue;
        }
        let at = At { session_id: &owner.session_id, run_id: &id, place };
        let parent = parent.map(|at| drafts[at].run_id.clone());
        unfold(response, parent.as_deref(), Ran::Agent, at, owner, ledger, &mut found);
    }
    found.retain(|draft| drafts.iter().all(|old| old.run_id != draft.run_id));
    let at = parent.unwrap_or(drafts.len());
    drafts.splice(at..at, found);
}
