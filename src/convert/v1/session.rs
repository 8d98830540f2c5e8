//! A session row, column by column.
//!
//! Source: `agno/storage/session` of Agno 1.8.4, `agno/session` of 2.0.11 and 3.1.10.

use super::ledger::{self, Count, Ledger, Place};
use super::read::{Oddities, read};
use super::run::{Draft, Owner, Ran};
use super::tree::{Members, Node, Text};
use super::{
    Context, Converted, Rejected, Run, RunRow, Session, SessionRow, memory, metrics, runs, storable, time, workflow,
};
use super::{without_escaped_nul, without_nul};
use std::borrow::Cow;
use std::collections::HashMap;

/// What an app set in a memory object: Agno 2 takes it from the app.
const SETTINGS: [&str; 11] = [
    "update_system_message_on_change",
    "create_session_summary",
    "update_session_summary_after_run",
    "create_user_memories",
    "update_user_memories_after_run",
    "user_id",
    "num_memories",
    "updating_memory",
    "retrieval",
    "num_messages",
    "version",
];

/// The columns of a row, read.
struct Columns<'t> {
    id: &'t str,
    oddities: Oddities,
}

impl<'t> Columns<'t> {
    fn reject<T>(&self, reason: impl Into<String>) -> Result<T, Rejected> {
        Err(Rejected { id: self.id.to_owned(), reason: reason.into() })
    }

    /// A text; `None` for an empty one.
    fn text(&self, name: &str, column: Option<&'t [u8]>) -> Result<Option<&'t str>, Rejected> {
        match column.map(std::str::from_utf8).transpose() {
            Ok(text) => Ok(text.filter(|text| !text.is_empty())),
            Err(_) => self.reject(format!("has a {name} that is not valid UTF-8")),
        }
    }

    /// A JSON value; null for NULL.
    fn json(&mut self, name: &str, column: Option<&'t [u8]>) -> Result<Node<'t>, Rejected> {
        let Some(text) = self.text(name, column)? else { return Ok(Node::Null) };
        match read(text) {
            Ok((node, oddities)) => {
                self.oddities = self.oddities.and(oddities);
                Ok(node)
            }
            Err(_) => self.reject(format!("has a {name} that is no JSON")),
        }
    }
}

/// Converts a row.
pub fn convert<'t>(row: &SessionRow<'t>, context: &Context<'_>) -> Result<Converted, Rejected> {
    let Ok(session_id) = std::str::from_utf8(row.session_id.unwrap_or_default()) else {
        let id = String::from_utf8_lossy(row.session_id.unwrap_or_default()).into_owned();
        return Err(Rejected { id, reason: "has a session_id that is not valid UTF-8".to_owned() });
    };
    let mut columns = Columns { id: session_id, oddities: Oddities::default() };
    if session_id.is_empty() {
        return columns.reject("has no session_id");
    }
    let user_id = columns.text("user_id", row.user_id)?;
    let agent_id = columns.text("agent_id", row.agent_id)?;
    let team_id = columns.text("team_id", row.team_id)?;
    let workflow_id = columns.text("workflow_id", row.workflow_id)?;
    let workflow_name = columns.text("workflow_name", row.workflow_name)?;
    let team_session_id = columns.text("team_session_id", row.team_session_id)?;
    let created_at = columns.text("created_at", row.created_at)?.and_then(time::epoch).filter(|time| *time > 0);
    let updated_at = columns.text("updated_at", row.updated_at)?.and_then(time::epoch);

    let mut memory = match columns.json("memory", row.memory)? {
        Node::Object { members, .. } => members,
        Node::Null => Members::new(),
        // Phidata and agents without storage of runs wrote nothing else.
        Node::List { items, .. } if items.is_empty() => Members::new(),
        _ => return columns.reject("has a memory that is no object"),
    };
    let session_data = columns.json("session_data", row.session_data)?;
    let extra_data = columns.json("extra_data", row.extra_data)?;
    let own_runs = columns.json("runs", row.runs)?;
    let data = [
        ("agent_data", columns.json("agent_data", row.agent_data)?),
        ("team_data", columns.json("team_data", row.team_data)?),
        ("workflow_data", columns.json("workflow_data", row.workflow_data)?),
    ];
    let user_data = columns.json("user_data", row.user_data)?;
    let session_state = columns.json("session_state", row.session_state)?;
    storable(columns.oddities, context.storage).or_else(|reason| columns.reject(reason))?;

    let ran = if workflow_id.is_some() {
        Ran::Workflow
    } else {
        match (agent_id, team_id) {
            (Some(_), Some(_)) if row.team_data.is_none() => Ran::Agent,
            (Some(_), Some(_)) => last_ran(&memory),
            (Some(_), None) => Ran::Agent,
            (None, Some(_)) => Ran::Team,
            (None, None) => context.mode.ran(),
        }
    };
    let id = match ran {
        Ran::Agent => agent_id,
        Ran::Team => team_id,
        Ran::Workflow => workflow_id,
    };
    let owner = Owner { session_id: session_id.into(), ran, id: id.map(Cow::Borrowed), created_at };
    let mut ledger = Ledger::default();
    let root = Place::Root;

    // The ids that are not the session's own.
    for (name, value, of) in
        [("agent_id", agent_id, Ran::Agent), ("team_id", team_id, Ran::Team), ("workflow_id", workflow_id, Ran::Workflow)]
    {
        if ran != of {
            ledger.keep(Place::Key(&root, name), Node::some_text(value));
        }
    }
    ledger.keep(Place::Key(&root, "team_session_id"), Node::some_text(team_session_id));
    ledger.keep(Place::Key(&root, "user_data"), if user_data.is_falsy() { Node::Null } else { user_data });

    let mut drafts = match ran {
        Ran::Workflow => of_workflow(&mut memory, own_runs, &data[2].1, &owner, &mut ledger),
        _ => {
            ledger.keep(Place::Key(&root, "runs"), own_runs);
            of_memory(&mut memory, &owner, &mut ledger)
        }
    }
    .or_else(|reason| columns.reject(reason))?;

    let (summary, foreign_summaries) = memory::summary(&mut memory, session_id, user_id, &mut ledger.counts);
    let memory_user = memory.get("user_id").plain().map(Cow::into_owned);
    let user = memory_user.as_deref().or(user_id);
    let memories =
        memory::of_session(memory.take("memories"), user, context.storage, created_at.or(updated_at), &mut ledger.counts);
    for (key, value) in std::mem::take(&mut memory) {
        if SETTINGS.contains(&key.as_ref()) || value.is_falsy() {
            ledger.counts.more(Count::Settings, usize::from(!value.is_null()));
        } else {
            ledger.keep(Place::Key(&Place::Key(&root, "memory"), &key), value);
        }
    }

    let first = drafts.iter().find_map(|draft| draft.members.get("created_at").as_i64()).filter(|time| *time > 0);
    let created_at = created_at.or(first).or(updated_at.filter(|time| *time > 0)).or(context.earliest);
    if let Some(time) = created_at {
        for draft in &mut drafts {
            if draft.members.get("created_at").is_null() {
                draft.members.set("created_at", Node::int(time));
            }
        }
    }
    let names = rename(&drafts, session_id, context, &mut ledger);

    let workflow_data = workflow::with_name(&data[2].1, workflow_name.map(Cow::Borrowed));
    if workflow_data.is_none()
        && !matches!(data[2].1.get("name"), Node::Text(name) if Some(name.0.as_ref()) == workflow_name)
    {
        ledger.keep(Place::Key(&root, "workflow_name"), Node::some_text(workflow_name));
    }
    let mut data = data.map(|(name, node)| object(name, node, &mut ledger));
    if let Some(named) = workflow_data {
        data[2] = Some(named.to_json());
    }
    let metadata = object("extra_data", extra_data, &mut ledger);
    let session_data = of_data(session_data, session_state, &drafts, session_id, ran, &mut ledger);

    let mut counts = std::mem::take(&mut ledger.counts);
    let runs = drafts.into_iter().map(|draft| written(draft, &names)).collect();
    let [agent_data, team_data, workflow_data] = data;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut session = Session {
        session_id: session_id.to_owned(),
        session_type: ran.word().to_owned(),
        agent_id: owned(agent_id.filter(|_| ran == Ran::Agent)),
        team_id: owned(team_id.filter(|_| ran == Ran::Team)),
        workflow_id: owned(workflow_id),
        user_id: owned(user_id),
        session_data,
        agent_data,
        team_data,
        workflow_data,
        metadata,
        summary: summary.map(|summary| summary.to_json()),
        created_at,
        updated_at,
        runs,
    };
    clean(&mut session, context, &mut counts);
    Ok(Converted { session, team_session_id: owned(team_session_id), memories, foreign_summaries, counts })
}

/// Whose session it is when agents and teams shared a table: that of its last run.
fn last_ran(memory: &Members<'_>) -> Ran {
    let last = memory.get("runs").items().last().unwrap_or(&Node::Null);
    let run = if last.get("response").is_object() { last.get("response") } else { last };
    match run {
        Node::Object { members, .. } => super::run::ran(members, Ran::Agent),
        _ => Ran::Agent,
    }
}

fn of_memory<'t>(
    memory: &mut Members<'t>,
    owner: &Owner<'t>,
    ledger: &mut Ledger<'t>,
) -> Result<Vec<Draft<'t>>, &'static str> {
    let mut found = runs::of_memory(memory, &owner.session_id, ledger)?;
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
            }
        }
    }
    Ok(drafts)
}

fn of_workflow<'t>(
    memory: &mut Members<'t>,
    own_runs: Node<'t>,
    workflow_data: &Node<'t>,
    owner: &Owner<'t>,
    ledger: &mut Ledger<'t>,
) -> Result<Vec<Draft<'t>>, &'static str> {
    let names = workflow::step_names(workflow_data);
    let mut column: Members<'t> = [("runs".into(), own_runs)].into_iter().collect();
    let mut found = Vec::new();
    for (from, kind, name) in
        [(memory, workflow::Kind::Classic, "memory.runs"), (&mut column, workflow::Kind::Steps, "runs")]
    {
        for (index, run) in runs::of_memory(from, &owner.session_id, ledger)?.into_iter().enumerate() {
            found.push((run, kind, format!("{name}[{index}]")));
        }
    }
    let mut drafts: Vec<Draft<'t>> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for (run, kind, place) in found {
        let draft = workflow::convert(run, kind, &names, &place, owner, ledger);
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
    Ok(drafts)
}

/// New ids for runs whose ids another session took: a primary key at 3.0.0, and `up` of Agno breaks on them from 2.5.6.
fn rename(
    drafts: &[Draft<'_>],
    session_id: &str,
    context: &Context<'_>,
    ledger: &mut Ledger<'_>,
) -> HashMap<String, String> {
    let Some(taken) = context.taken else { return HashMap::new() };
    let mut names = HashMap::new();
    for draft in drafts.iter().filter(|draft| taken(&draft.run_id)) {
        ledger.counts.one(Count::RenamedRuns);
        names.insert(draft.run_id.clone(), format!("{}:{session_id}", draft.run_id));
    }
    names
}

fn written(draft: Draft<'_>, names: &HashMap<String, String>) -> Run {
    let named = |id: String| names.get(&id).cloned().unwrap_or(id);
    let mut members = draft.members;
    let run_id = named(draft.run_id);
    members.set("run_id", Node::text(run_id.clone()));
    let parent_run_id = draft.parent.map(named);
    if let Some(parent) = &parent_run_id {
        members.set("parent_run_id", Node::text(parent.clone()));
    }
    let text = |key: &str| members.get(key).plain().map(Cow::into_owned);
    let row = RunRow {
        run_id,
        run_type: Some(draft.ran.word()),
        agent_id: text("agent_id"),
        team_id: text("team_id"),
        workflow_id: text("workflow_id"),
        parent_run_id,
        status: text("status"),
        created_at: members.get("created_at").as_i64(),
    };
    let mut json = String::new();
    super::tree::write_members(&members, &mut json);
    Run { row, json }
}

/// A column that v2 wants to be an object, as it was written; anything else is kept.
fn object<'t>(name: &str, node: Node<'t>, ledger: &mut Ledger<'t>) -> Option<String> {
    if node.is_object() {
        return Some(node.to_json());
    }
    ledger.keep(Place::Key(&Place::Root, name), node);
    None
}

fn of_data<'t>(
    session_data: Node<'t>,
    state_column: Node<'t>,
    drafts: &[Draft<'t>],
    session_id: &str,
    ran: Ran,
    ledger: &mut Ledger<'t>,
) -> Option<String> {
    let root = Place::Root;
    let mut data = match session_data {
        Node::Object { members, .. } => members,
        Node::Null => Members::new(),
        other => {
            ledger.keep(Place::Key(&root, "session_data"), other);
            Members::new()
        }
    };
    let nothing = data.is_empty();
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
        for (key, value) in shared.into_iter().flat_map(Node::members) {
            if !state.has(key) {
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
    if nothing && data.is_empty() { None } else { Some(Node::object(data).to_json()) }
}

/// AgentOS shows the first thing the user said as the name of a session, and breaks when that is a list.
fn name<'t>(drafts: &[Draft<'t>], session_id: &str, ran: Ran) -> Option<Node<'t>> {
    let first = |drafts: &mut dyn Iterator<Item = &Node<'t>>| -> Option<Node<'t>> {
        let said = |message: &&Node<'t>| {
            matches!(message.get("role"), Node::Text(role) if role.is("user")) && !message.get("content").is_falsy()
        };
        drafts.flat_map(Node::items).find(said).map(|message| message.get("content").clone())
    };
    let messages = |draft: &'_ Draft<'t>| -> Vec<Node<'t>> {
        let mut lists = vec![draft.members.get("messages").clone()];
        lists.extend(draft.members.get("step_executor_runs").items().iter().take(1).map(|run| run.get("messages").clone()));
        lists
    };
    // Cloning is only worth it where a list is at all possible.
    let all: Vec<Node<'t>> = drafts.iter().take(8).flat_map(messages).collect();
    let own: Vec<Node<'t>> = drafts.iter().filter(|draft| draft.ran == ran).take(1).flat_map(messages).collect();
    let list = [first(&mut all.iter()), first(&mut own.iter())].into_iter().flatten().find(Node::is_list)?;
    let text = list.items().iter().find_map(|part| match part {
        Node::Text(text) if !text.is_empty() => Some(text.clone()),
        part => part.get("text").filled_text().cloned(),
    });
    Some(Node::Text(text.unwrap_or_else(|| Text::of(session_id.to_owned()))))
}

fn clean(session: &mut Session, context: &Context<'_>, counts: &mut super::ledger::Counts) {
    for text in [
        Some(&mut session.session_id),
        session.agent_id.as_mut(),
        session.team_id.as_mut(),
        session.workflow_id.as_mut(),
        session.user_id.as_mut(),
    ]
    .into_iter()
    .flatten()
    {
        without_nul(text, context.storage, counts);
    }
    for json in [
        session.session_data.as_mut(),
        session.agent_data.as_mut(),
        session.team_data.as_mut(),
        session.workflow_data.as_mut(),
        session.metadata.as_mut(),
        session.summary.as_mut(),
    ]
    .into_iter()
    .flatten()
    {
        without_escaped_nul(json, context.storage, counts);
    }
    for run in &mut session.runs {
        let row = &mut run.row;
        let ids = [Some(&mut row.run_id), row.agent_id.as_mut(), row.team_id.as_mut(), row.workflow_id.as_mut()];
        for text in ids.into_iter().chain([row.parent_run_id.as_mut(), row.status.as_mut()]).flatten() {
            without_nul(text, context.storage, counts);
        }
        without_escaped_nul(&mut run.json, context.storage, counts);
    }
}
