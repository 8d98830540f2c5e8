//! Holds converted rows against what is there, for `verify --from`.

use crate::backend::Backend;
use crate::convert::runs::{Element, RunList, id_of};
use crate::convert::same::same_json;
use crate::convert::v1::{Converted, Memory, Run, Session};
use crate::difference::{Difference, Differences};
use crate::progress::Progress;
use crate::v1::sink::{Rows, Sink, Taken, Targets, is_same};
use crate::v1::target::{RunColumns, Target, There};
use anyhow::Result;
use std::collections::HashMap;

/// Reads what is there and compares it.
pub struct Comparing<'c> {
    /// The database.
    pub backend: &'c mut dyn Backend,
    /// Its tables.
    pub targets: &'c Targets,
    /// It was said that no run can be asked for.
    pub told: bool,
}

const MISSING: &str = "if the app did not delete it: agno-migrate v1-to-v2 writes it";
const OTHER: &str = "if the old row is right, delete the new one and run agno-migrate v1-to-v2 again";

impl Sink for Comparing<'_> {
    fn take(&mut self, rows: Rows, _: &mut dyn Progress) -> Result<Taken> {
        let mut taken = Taken::default();
        match rows {
            Rows::Sessions(sessions) => {
                for converted in &sessions {
                    self.session(converted, &mut taken)?;
                }
            }
            Rows::Memories(memories) => self.memories(&memories, &mut taken)?,
        }
        Ok(taken)
    }

    fn target(&mut self) -> (&mut dyn Backend, &Targets) {
        let backend: &mut dyn Backend = &mut *self.backend;
        (backend, self.targets)
    }
}

fn differs(differences: &mut Differences, id: &str, item: Option<String>, what: String, mend: &str) {
    differences.add(Difference { id: Some(id.to_owned()), item, what, mend: mend.to_owned() });
}

impl Comparing<'_> {
    /// One at a time: a session and its runs may be large.
    fn session(&mut self, converted: &Converted, taken: &mut Taken) -> Result<()> {
        let Some(target) = &self.targets.sessions else { return Ok(()) };
        let session = &converted.session;
        let id = session.session_id.as_str();
        match target.sessions(self.backend, &[id])?.get(id) {
            None => {
                let what = "its session is missing".to_owned();
                differs(&mut taken.differences, id, None, what, MISSING);
                return Ok(());
            }
            // The session of another has this id, unless it has the runs of this one: then it was changed.
            Some(other) if !is_same(other, converted) => {
                if !self.has_any_run(target, session)? {
                    taken.collided.push(id.to_owned());
                    return Ok(());
                }
                taken.already_there += 1;
                let what = "its session has another session_type or created_at".to_owned();
                let mend = "correct both by the old row: agno-migrate v1-to-v2 would take it for another session";
                differs(&mut taken.differences, id, None, what, mend);
            }
            Some(_) => taken.already_there += 1,
        }
        let mut user = None;
        let has_changed = target.row(self.backend, id, &mut |there| {
            user = there.text("user_id").map(<[u8]>::to_vec);
            let has_changed = there.number("updated_at") != session.updated_at;
            if !has_changed {
                let other = other_columns(session, there);
                if !other.is_empty() {
                    let what = format!("its session has another {}", other.join(", "));
                    differs(&mut taken.differences, id, None, what, OTHER);
                }
            }
            Ok(has_changed)
        })?;
        taken.changed += u64::from(has_changed);
        if !target.has_runs() {
            if !std::mem::replace(&mut self.told, true) {
                taken.differences.add(Difference {
                    id: None,
                    item: None,
                    what: format!("{} has no table of runs that could be asked: no run was compared", target.name),
                    mend: "mend that table first, as it is said with it; then run agno-migrate verify again".to_owned(),
                });
            }
            return Ok(());
        }
        self.runs(target, session, user.as_deref(), has_changed, taken)
    }

    /// Whether a session that is there has a run of ours, as it was converted.
    fn has_any_run(&mut self, target: &Target, session: &Session) -> Result<bool> {
        let mut has_any = false;
        if target.has_runs() {
            target.each_run_of(self.backend, &session.session_id, &mut |there| {
                let is_it = |run: &Run| run.row.run_id == there.id && same_run(run, there.payload);
                has_any = has_any || session.runs.iter().any(is_it);
            })?;
        }
        Ok(has_any)
    }

    /// The runs of a session, where they are. Those that the app added come after ours.
    /// `user`: whose the session is now.
    fn runs(
        &mut self,
        target: &Target,
        session: &Session,
        user: Option<&[u8]>,
        has_changed: bool,
        taken: &mut Taken,
    ) -> Result<()> {
        let id = session.session_id.as_str();
        let places: HashMap<&str, usize> =
            session.runs.iter().enumerate().map(|(at, run)| (run.row.run_id.as_str(), at)).collect();
        let mut found = vec![false; session.runs.len()];
        let mut last = 0;
        let differences = &mut taken.differences;
        let mut each = |run_id: &str, payload: &[u8], touched: bool, columns: Option<RunColumns<'_>>| {
            let Some((at, run)) = places.get(run_id).and_then(|at| Some((*at, session.runs.get(*at)?))) else { return };
            if std::mem::replace(&mut found[at], true) {
                return;
            }
            let item = || Some(format!("runs[{at}]"));
            if at < last {
                differs(differences, id, item(), format!("run {run_id} comes after one that it came before"), OTHER);
            }
            last = last.max(at);
            // What the app changed is a run still.
            if touched && id_of(payload).as_deref() == Some(run_id) {
                return;
            }
            if !same_run(run, payload) {
                differs(differences, id, item(), format!("run {run_id} has another content"), OTHER);
            } else if let Some(there) = columns {
                let created_at = run.row.created_at.or(session.created_at).map(|at| at.to_string());
                let own = session.user_id.as_deref().map(str::as_bytes);
                let wanted = [
                    ("run_type", Some(run.row.run_type.unwrap_or(&session.session_type))),
                    ("agent_id", run.row.agent_id.as_deref()),
                    ("team_id", run.row.team_id.as_deref()),
                    ("workflow_id", run.row.workflow_id.as_deref()),
                    ("parent_run_id", run.row.parent_run_id.as_deref()),
                    ("status", run.row.status.as_deref()),
                    ("created_at", created_at.as_deref()),
                ];
                let other = wanted.into_iter().zip(there).filter(|((_, wanted), there)| wanted.map(str::as_bytes) != *there);
                let mut other: Vec<&str> = other.map(|((column, _), _)| column).collect();
                // A session of nobody may have become somebody's before its runs became rows.
                if there.last().is_some_and(|owner| *owner != own && *owner != user) {
                    other.push("user_id");
                }
                if !other.is_empty() {
                    differs(differences, id, item(), format!("run {run_id} has another {}", other.join(", ")), OTHER);
                }
            }
        };
        target.each_run_of(self.backend, id, &mut |run| {
            each(run.id, run.payload, run.touched.unwrap_or(has_changed), run.columns);
        })?;
        taken.runs += session.runs.len() as u64;
        for (at, run) in session.runs.iter().enumerate().filter(|(at, _)| !found[*at]) {
            let mend = "if the app did not delete it: delete the new session and run agno-migrate v1-to-v2 again";
            let what = format!("run {} is missing", run.row.run_id);
            differs(&mut taken.differences, id, Some(format!("runs[{at}]")), what, mend);
        }
        Ok(())
    }

    fn memories(&mut self, batch: &[Memory], taken: &mut Taken) -> Result<()> {
        let Some(target) = &self.targets.memories else {
            for memory in batch {
                let what = "its memory is missing: there is no table of memories".to_owned();
                differs(&mut taken.differences, &memory.memory_id, None, what, MISSING);
            }
            return Ok(());
        };
        for memory in batch {
            let id = memory.memory_id.as_str();
            let mut is_there = false;
            let mut other = Vec::new();
            let mut has_changed = false;
            target.row(self.backend, id, &mut |there| {
                is_there = true;
                has_changed = there.number("updated_at") != memory.updated_at;
                let json = |column: &str, wanted: Option<&str>| same_json(there.text(column), wanted);
                // A table that got the column later got the time of the change, or of the migration.
                let created_at = there.number("created_at");
                let at = memory.created_at.or(memory.updated_at).unwrap_or(0);
                let is_made_then = !target.has("created_at")
                    || created_at == Some(at)
                    || memory.updated_at.is_none_or(|updated_at| created_at == Some(updated_at));
                let columns = [
                    ("memory", json("memory", Some(&memory.memory))),
                    ("topics", json("topics", memory.topics.as_deref())),
                    ("input", there.text("input") == memory.input.as_deref().map(str::as_bytes)),
                    ("user_id", there.text("user_id") == memory.user_id.as_deref().map(str::as_bytes)),
                    ("agent_id", there.text("agent_id").is_none()),
                    ("team_id", there.text("team_id").is_none()),
                    ("created_at", is_made_then),
                ];
                other = columns.into_iter().filter(|(_, is_same)| !is_same).map(|(column, _)| column).collect();
                Ok(has_changed)
            })?;
            if !is_there {
                differs(&mut taken.differences, id, None, "its memory is missing".to_owned(), MISSING);
                continue;
            }
            taken.already_there += 1;
            if has_changed {
                taken.changed += 1;
            } else if !other.is_empty() {
                differs(&mut taken.differences, id, None, format!("its memory has another {}", other.join(", ")), OTHER);
            }
        }
        Ok(())
    }
}

/// The columns of a session that differ.
fn other_columns(session: &Session, there: &There<'_>) -> Vec<&'static str> {
    let texts = [
        ("agent_id", &session.agent_id),
        ("team_id", &session.team_id),
        ("workflow_id", &session.workflow_id),
        ("user_id", &session.user_id),
    ];
    let documents = [
        ("session_data", &session.session_data),
        ("agent_data", &session.agent_data),
        ("team_data", &session.team_data),
        ("workflow_data", &session.workflow_data),
        ("metadata", &session.metadata),
        ("summary", &session.summary),
    ];
    let texts = texts.into_iter().filter(|(column, wanted)| there.text(column) != wanted.as_deref().map(str::as_bytes));
    let documents = documents.into_iter().filter(|(column, wanted)| !same_json(there.text(column), wanted.as_deref()));
    texts.chain(documents).map(|(column, _)| column).collect()
}

fn same_run(run: &Run, payload: &[u8]) -> bool {
    run.json.as_bytes() == payload || same_json(Some(payload), Some(&run.json))
}

/// The runs of a list, each with its id.
pub(super) fn each_of_list(list: &[u8], each: &mut dyn FnMut(&str, &[u8])) {
    // A list that cannot be read has none of the runs: each of them is told as missing.
    let Ok(Some(mut list)) = RunList::open(list) else { return };
    while let Ok(Some((payload, element))) = list.next_element() {
        if let Element::Run(fields) = element {
            each(&fields.row().run_id, payload);
        }
    }
}
