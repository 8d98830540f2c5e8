//! Where the runs of a row are, and what they say about it.

use super::ledger::{Count, Ledger, Place};
use super::members::Members;
use super::run::{self, Draft, Owner, Ran};
use super::tree::{Node, Text};
use super::{runs, time, workflow};
use std::borrow::Cow;
use std::collections::HashMap;

/// The time of the first run or message.
pub fn first_time(found: &[Found<'_>], memory: &Members<'_>, session_id: &str) -> Option<i64> {
    let interactions = memory.get("team_context").get(session_id).get("member_interactions").items();
    let of_runs = found.iter().find_map(|found| time_of(|key| found.run.get(key)));
    let of_either = of_runs.or_else(|| interactions.iter().chain(memory.get("messages").items()).find_map(time_in));
    // As a session's own time: one in milliseconds is none that Agno reads.
    of_either.map(time::scaled)
}

/// The time of a run or message, or of the first thing inside it.
fn time_in(node: &Node<'_>) -> Option<i64> {
    time_of(|key| node.get(key))
}

fn time_of<'n, 't: 'n>(get: impl Fn(&str) -> &'n Node<'t>) -> Option<i64> {
    let own = get("created_at").as_i64().filter(|time| *time > 0);
    let lists = ["messages", "member_responses", "step_responses", "step_executor_runs"];
    let inside = || lists.iter().find_map(|key| get(key).items().iter().find_map(time_in));
    own.or_else(inside).or_else(|| get("response").is_object().then(|| time_in(get("response")))?)
}

/// Whose session it is when agents and teams shared a table: a team's when a team ran in it. Agno 2.0 breaks on a team's run
/// in an agent's session, never on an agent's run in a team's.
pub fn has_team_run(memory: &Members<'_>) -> Ran {
    let is_team = |element: &Node<'_>| {
        let run = if element.get("response").is_object() { element.get("response") } else { element };
        matches!(run, Node::Object { members, .. } if run::ran(members, Ran::Agent) == Ran::Team)
    };
    if memory.get("runs").items().iter().any(is_team) { Ran::Team } else { Ran::Agent }
}

/// A run where it was found.
pub struct Found<'t> {
    run: Members<'t>,
    kind: workflow::Kind,
    place: String,
}

/// The runs of a row: in its memory, those of workflow_v2 in a column of their own.
pub fn find<'t>(
    ran: Ran,
    memory: &mut Members<'t>,
    own_runs: Node<'t>,
    session_id: &str,
    ledger: &mut Ledger<'t>,
) -> Result<Vec<Found<'t>>, &'static str> {
    let mut column = Members::new();
    if ran == Ran::Workflow {
        column.set("runs", own_runs);
    } else {
        ledger.keep(Place::Key(&Place::Root, "runs"), own_runs);
    }
    let mut found = Vec::new();
    for (from, kind, name) in
        [(memory, workflow::Kind::Classic, "memory.runs"), (&mut column, workflow::Kind::Steps, "runs")]
    {
        for (index, run) in runs::of_memory(from, session_id, ledger)?.into_iter().enumerate() {
            found.push(Found { run, kind, place: format!("{name}[{index}]") });
        }
    }
    Ok(found)
}

/// The sessions that runs inside a memory belong to, other than its own: a memory object is shared by sessions.
pub fn foreign(memory: &Members<'_>, session_id: &str) -> Vec<String> {
    let Node::Object { members: by_session, .. } = memory.get("runs") else { return Vec::new() };
    // A single list is the session's own, which was renamed.
    if by_session.len() == 1 {
        return Vec::new();
    }
    let foreign = by_session.iter().filter(|(key, runs)| key != session_id && !runs.items().is_empty());
    foreign.filter_map(|(key, _)| Text(key.clone()).plain().map(Cow::into_owned)).collect()
}

/// The runs of an agent's or a team's session, converted.
pub fn of_memory<'t>(
    found: Vec<Found<'t>>,
    memory: &mut Members<'t>,
    owner: &Owner<'t>,
    ledger: &mut Ledger<'t>,
) -> Vec<Draft<'t>> {
    let mut found: Vec<Members<'t>> = found.into_iter().map(|found| found.run).collect();
    let messages = memory.take("messages");
    if found.is_empty() {
        found.extend(runs::of_messages(messages, owner));
    }
    let mut drafts = runs::convert(found, owner, ledger);
    if let Node::Object { members: contexts, .. } = memory.take("team_context") {
        for (session, context) in contexts {
            let Node::Object { members: mut context, .. } = context else { continue };
            // The memory is shared: other sessions have their own context.
            if session == owner.session_id {
                runs::of_context(context.take("member_interactions"), owner, &mut drafts, ledger);
                let text = context.take("text");
                ledger.keep(Place::Key(&Place::Root, "team_context"), if text.is_falsy() { Node::Null } else { text });
            } else {
                ledger.counts.one(Count::TeamContext);
            }
        }
    }
    if owner.ran == Ran::Agent { without_teams(drafts, ledger) } else { drafts }
}

/// The runs of an agent's session without those of teams, on which Agno 2.0 breaks: they are in the team's session too.
fn without_teams<'t>(drafts: Vec<Draft<'t>>, ledger: &mut Ledger<'t>) -> Vec<Draft<'t>> {
    let (teams, mut agents): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|draft| draft.ran == Ran::Team);
    for agent in &mut agents {
        if teams.iter().any(|team| agent.parent.as_ref() == Some(&team.run_id)) {
            agent.parent = None;
            agent.members.take("parent_run_id");
        }
    }
    for (index, team) in teams.into_iter().enumerate() {
        let place = Place::Key(&Place::Root, "team_runs");
        ledger.keep(Place::Index(&place, index), Node::object(team.members));
    }
    agents
}

/// The runs of a workflow's session, converted.
pub fn of_workflow<'t>(
    found: Vec<Found<'t>>,
    workflow_data: &Node<'t>,
    owner: &Owner<'t>,
    ledger: &mut Ledger<'t>,
) -> Vec<Draft<'t>> {
    let names = workflow::step_names(workflow_data);
    let mut drafts: Vec<Draft<'t>> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for found in found {
        let draft = workflow::convert(found.run, found.kind, &names, &found.place, owner, ledger);
        match at.get(&draft.run_id) {
            Some(index) => {
                ledger.counts.one(Count::RepeatedRuns);
                drafts[*index] = draft;
            }
            None => {
                at.insert(draft.run_id.clone(), drafts.len());
                drafts.push(draft);
            }
        }
    }
    drafts
}
