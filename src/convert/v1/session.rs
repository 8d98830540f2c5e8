//! A session row, column by column.
//!
//! Source: `agno/storage/session` of Agno 1.8.4, `agno/session` of 2.0.11 and 3.1.10.

use super::ledger::{Count, Ledger, Place};
use super::members::Members;
use super::read::{Oddities, read};
use super::run::{Draft, Owner, Ran};
use super::tree::Node;
use super::{
    Context, Converted, Rejected, Run, RunRow, Session, SessionRow, Storage, data, found, memory, storable, time, workflow,
};
use super::{without_escaped_nul, without_nul};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

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

/// When a session began of which nothing tells: the year of Agno's first release. The target wants a time, and 0 would silence
/// the app's metrics.
const NO_TIME: i64 = 1_735_689_600;

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
    // PostgreSQL holds no NUL: an id of nothing else is none there.
    if session_id.is_empty() || (context.storage == Storage::Jsonb && session_id.chars().all(|char| char == '\0')) {
        return columns.reject("has no session_id");
    }
    let user_id = columns.text("user_id", row.user_id)?;
    let agent_id = columns.text("agent_id", row.agent_id)?;
    let team_id = columns.text("team_id", row.team_id)?;
    let workflow_id = columns.text("workflow_id", row.workflow_id)?;
    let workflow_name = columns.text("workflow_name", row.workflow_name)?;
    let team_session_id = columns.text("team_session_id", row.team_session_id)?;
    let created_at = columns.text("created_at", row.created_at)?.and_then(time::epoch);
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
            (Some(_), Some(_)) if data[1].1.is_null() => Ran::Agent,
            (Some(_), Some(_)) => found::has_team_run(&memory),
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
    let mut ledger = Ledger::default();
    let root = Place::Root;
    let foreign_runs = found::foreign(&memory, session_id);
    let found = found::find(ran, &mut memory, own_runs, session_id, &mut ledger).or_else(|reason| columns.reject(reason))?;
    // 0 would silence the app's metrics.
    let past = |time: &i64| *time > 0;
    let first = || found::first_time(&found, &memory, session_id);
    let created_at = created_at.filter(past).or_else(first).or(updated_at.filter(past)).or(context.earliest);
    let created_at = created_at.or(Some(NO_TIME));
    let owner = Owner { session_id: session_id.into(), ran, id: id.map(Cow::Borrowed), created_at };

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

    let drafts = match ran {
        Ran::Workflow => found::of_workflow(found, &data[2].1, &owner, &mut ledger),
        _ => found::of_memory(found, &mut memory, &owner, &mut ledger),
    };

    let (summary, foreign_summaries) = memory::summary(&mut memory, session_id, user_id, &mut ledger.counts);
    let memory_user = memory.get("user_id").plain().map(Cow::into_owned);
    let user = memory_user.as_deref().or(user_id);
    let memories = memory::of_session(memory.take("memories"), user, context.storage, created_at, &mut ledger.counts);
    for (key, value) in std::mem::take(&mut memory) {
        if SETTINGS.contains(&key.as_ref()) || value.is_falsy() {
            ledger.counts.more(Count::Settings, usize::from(!value.is_null()));
        } else {
            ledger.keep(Place::Key(&Place::Key(&root, "memory"), &key), value);
        }
    }

    let names = rename(&drafts, session_id, context, &mut ledger);

    let workflow_data = workflow::with_name(&data[2].1, workflow_name.map(Cow::Borrowed));
    if workflow_data.is_none()
        && !matches!(data[2].1.get("name"), Node::Text(name) if Some(name.0.as_ref()) == workflow_name)
    {
        ledger.keep(Place::Key(&root, "workflow_name"), Node::some_text(workflow_name));
    }
    let mut data = data.map(|(name, node)| data::object(name, node, &mut ledger));
    if let Some(named) = workflow_data {
        data[2] = Some(named.to_json());
    }
    let metadata = data::object("extra_data", extra_data, &mut ledger);
    let session_data = data::of_session(session_data, session_state, &drafts, session_id, ran, &mut ledger);

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
        session_data: Some(session_data),
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
    Ok(Converted { session, team_session_id: owned(team_session_id), memories, foreign_summaries, foreign_runs, counts })
}

/// New ids for runs whose ids another session took: a primary key at 3.0.0, and `up` of Agno breaks on them from 2.5.6. Also
/// for those that differ from another run only by what the target cannot hold.
fn rename(
    drafts: &[Draft<'_>],
    session_id: &str,
    context: &Context<'_>,
    ledger: &mut Ledger<'_>,
) -> HashMap<String, String> {
    let is_taken = |id: &str| context.taken.is_some_and(|taken| taken(id));
    let is_odd = |id: &str| context.storage == Storage::Jsonb && id.contains('\0');
    let mut names = HashMap::new();
    let renamed: Vec<&Draft<'_>> = drafts.iter().filter(|draft| is_odd(&draft.run_id) || is_taken(&draft.run_id)).collect();
    if renamed.is_empty() {
        return names;
    }
    let storable = |id: &str| if is_odd(id) { id.replace('\0', "") } else { id.to_owned() };
    let session_id = storable(session_id);
    let mut used: HashSet<String> = drafts.iter().map(|draft| draft.run_id.clone()).collect();
    for draft in renamed {
        let own = storable(&draft.run_id);
        let mut id = own.clone();
        let mut number = 1;
        while is_taken(&id) || used.contains(&id) {
            id = if number == 1 { format!("{own}:{session_id}") } else { format!("{own}:{session_id}:{number}") };
            number += 1;
        }
        ledger.counts.more(Count::RenamedRuns, usize::from(id != own));
        ledger.counts.more(Count::Nuls, draft.run_id.len() - own.len());
        used.insert(id.clone());
        names.insert(draft.run_id.clone(), id);
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
        created_at: members.get("created_at").as_i64().filter(|time| *time > 0),
    };
    let mut json = String::new();
    super::tree::write_members(&members, &mut json);
    Run { row, json }
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
            // They are counted where the run says them.
            without_nul(text, context.storage, &mut super::ledger::Counts::default());
        }
        without_escaped_nul(&mut run.json, context.storage, counts);
    }
}
