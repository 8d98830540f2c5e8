//! Whose id is whose: of sessions, runs and memories, in the target and in what was converted. Hashes only, some 16 bytes for
//! each, whatever its size.

use crate::backend::Backend;
use crate::convert::v1::ids;
use crate::convert::v1::ledger::{Count, Counts};
use crate::convert::v1::{Memory, Session};
use crate::v1::sink::Targets;
use anyhow::Result;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

/// What ids are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To write rows.
    Write,
    /// To compare rows with those that are there.
    Compare,
}

/// Who has what.
pub struct Names {
    purpose: Purpose,
    sessions: HashMap<u64, Holder>,
    /// The session that has each run.
    runs: HashMap<u64, u64>,
    memories: HashMap<u64, Remembered>,
}

/// Who has the id of a session.
#[derive(Clone, Copy)]
enum Holder {
    /// A session that was in the target before: the hashes of its type, time and owner.
    There { session_type: u64, created_at: u64, owner: u64 },
    /// A row of the table of this number, in this conversion.
    Row(usize),
}

struct Remembered {
    user: u64,
    /// A row of this conversion has it.
    by_row: bool,
}

/// Whether a converted session can have its id and those of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Nobody has them.
    Free,
    /// It is in the target already.
    There,
    /// Another row of this conversion has its id: of the table of this number.
    Row(usize),
    /// Another session in the target has its id.
    Other,
    /// Other sessions have ids of its runs.
    Runs,
}

/// The hash of an id.
pub fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Names {
    /// Nobody has anything.
    pub fn new(purpose: Purpose) -> Names {
        Names { purpose, sessions: HashMap::new(), runs: HashMap::new(), memories: HashMap::new() }
    }

    /// Takes up what the target has.
    ///
    /// # Errors
    /// What the database does not let itself be asked.
    pub fn load(&mut self, backend: &mut dyn Backend, targets: &Targets) -> Result<()> {
        if let Some(sessions) = &targets.sessions {
            sessions.each_session(backend, &mut |there| {
                let (session_type, created_at, owner) =
                    (hash(there.session_type), hash(there.created_at), hash(there.owner));
                self.sessions.insert(hash(there.id), Holder::There { session_type, created_at, owner });
            })?;
            sessions.each_run(backend, &mut |run, session| {
                self.runs.insert(hash(run), hash(session));
            })?;
        }
        if let Some(memories) = &targets.memories {
            memories.each_memory(backend, &mut |id, user| {
                self.memories.insert(hash(id), Remembered { user: hash(user), by_row: false });
            })?;
        }
        Ok(())
    }

    /// Whether another session than the one with this hash has a run.
    pub fn has_run(&self, run: &str, but: u64) -> bool {
        self.runs.get(&hash(run.as_bytes())).is_some_and(|session| *session != but)
    }

    /// Whether a session can have its ids.
    pub fn fit(&self, session: &Session) -> Fit {
        let id = hash(session.session_id.as_bytes());
        let fit = match self.sessions.get(&id) {
            None => Fit::Free,
            Some(Holder::Row(table)) => return Fit::Row(*table),
            Some(there) if self.is_same(id, *there, session) => Fit::There,
            Some(Holder::There { .. }) => return Fit::Other,
        };
        if session.runs.iter().any(|run| self.has_run(&run.row.run_id, id)) { Fit::Runs } else { fit }
    }

    /// Whether the session that is there is the converted one. The app may have given it to another agent since, or somebody
    /// another time; then its runs still tell. Of another type it is the one that was changed only to who compares: a team and
    /// a member of it may share runs.
    fn is_same(&self, id: u64, there: Holder, session: &Session) -> bool {
        let Holder::There { session_type, created_at, owner } = there else { return false };
        let has_run = |run: &str| self.runs.get(&hash(run.as_bytes())) == Some(&id);
        let shares_runs = session.runs.iter().any(|run| has_run(&run.row.run_id));
        let is_of_type = session_type == hash(session.session_type.as_bytes());
        if shares_runs {
            return is_of_type || self.purpose == Purpose::Compare;
        }
        let time = session.created_at.map(|at| at.to_string()).unwrap_or_default();
        let own = match session.session_type.as_str() {
            "team" => &session.team_id,
            "workflow" => &session.workflow_id,
            _ => &session.agent_id,
        };
        is_of_type && created_at == hash(time.as_bytes()) && owner == hash(own.as_deref().unwrap_or_default().as_bytes())
    }

    /// Notes that a row of a table has the ids of a session.
    pub fn enter(&mut self, session: &Session, table: usize) {
        let id = hash(session.session_id.as_bytes());
        self.sessions.insert(id, Holder::Row(table));
        for run in &session.runs {
            self.runs.entry(hash(run.row.run_id.as_bytes())).or_insert(id);
        }
    }

    /// Gives a memory an id that no other user's memory has; false: the user's memory of that id was had before.
    pub fn remember(&mut self, memory: &mut Memory, counts: &mut Counts) -> bool {
        let user = memory.user_id.clone().unwrap_or_default();
        let (hashed, own) = (hash(user.as_bytes()), memory.memory_id.clone());
        loop {
            let is_known = self.memories.contains_key(&hash(memory.memory_id.as_bytes()));
            if self.purpose == Purpose::Compare && !is_known && memory.memory_id != own {
                // It was not written under another id: whose the row is that has its own is for whoever compares to say.
                memory.memory_id = own;
                return true;
            }
            match self.memories.entry(hash(memory.memory_id.as_bytes())) {
                Entry::Vacant(free) => {
                    free.insert(Remembered { user: hashed, by_row: true });
                    break;
                }
                Entry::Occupied(mut there) if there.get().user == hashed => {
                    if std::mem::replace(&mut there.get_mut().by_row, true) {
                        return false;
                    }
                    break;
                }
                Entry::Occupied(_) => memory.memory_id = ids::derived(&user, &memory.memory_id),
            }
        }
        counts.more(Count::RenamedMemories, usize::from(own != memory.memory_id));
        true
    }
}
