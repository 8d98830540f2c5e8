//! What becomes of converted rows: they are written, or held against what is there.

use crate::backend::{Backend, Value};
use crate::convert::v1::ledger::Counts;
use crate::convert::v1::{Converted, Memory};
use crate::difference::Differences;
use crate::progress::Progress;
use crate::v1::target::Target;
use anyhow::Result;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Converted rows on their way.
pub enum Rows {
    /// Sessions with their runs.
    Sessions(Vec<Converted>),
    /// Memories.
    Memories(Vec<Memory>),
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows that were written, or would be.
    pub written: u64,
    /// Rows that were there already.
    pub already_there: u64,
    /// Runs inside what was written, or was compared.
    pub runs: u64,
    /// What was left out of what was written.
    pub counts: Counts,
    /// Sessions whose id another session has: they need one of their own.
    pub collided: Vec<String>,
    /// Rows that the app changed since: not compared any further.
    pub changed: u64,
    /// What differs.
    pub differences: Differences,
}

/// The tables that rows go to; `None`: that kind of row goes nowhere, or the table is not there yet.
#[derive(Default)]
pub struct Targets {
    /// Sessions.
    pub sessions: Option<Target>,
    /// Memories.
    pub memories: Option<Target>,
}

/// Takes converted rows. Works in a thread of its own.
pub trait Sink: Send {
    /// Takes rows.
    ///
    /// # Errors
    /// What stops the whole.
    fn take(&mut self, rows: Rows, progress: &mut dyn Progress) -> Result<Taken>;

    /// Calls `each` with the id and the session of every run that is there.
    ///
    /// # Errors
    /// What the database does not let itself be asked.
    fn each_run(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;
}

/// Whether a session that is there is the one that was converted.
pub fn is_same(there: &(String, String), converted: &Converted) -> bool {
    let created = converted.session.created_at.map(|at| at.to_string()).unwrap_or_default();
    there.0 == converted.session.session_type && there.1 == created
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rows are written.
    Write,
    /// They are only counted (`--dry-run`).
    Tell,
}

/// Writes batches, each in a transaction of its own. What is there is left alone.
pub struct Writing<'w> {
    /// The database.
    pub backend: &'w mut dyn Backend,
    /// Its tables.
    pub targets: &'w Targets,
    /// How long other programs are waited for.
    pub lock_wait: Duration,
    /// Whether anything is written.
    pub mode: Mode,
}

impl Sink for Writing<'_> {
    fn take(&mut self, rows: Rows, progress: &mut dyn Progress) -> Result<Taken> {
        match rows {
            Rows::Sessions(sessions) => self.sessions(sessions, progress),
            Rows::Memories(memories) => self.memories(&memories, progress),
        }
    }

    fn each_run(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        match &self.targets.sessions {
            Some(sessions) => sessions.each_run(self.backend, each),
            None => Ok(()),
        }
    }
}

impl Writing<'_> {
    fn sessions(&mut self, converted: Vec<Converted>, progress: &mut dyn Progress) -> Result<Taken> {
        let wanted: Vec<&str> = converted.iter().map(|converted| converted.session.session_id.as_str()).collect();
        let there = match &self.targets.sessions {
            Some(sessions) => sessions.sessions(self.backend, &wanted)?,
            None => HashMap::new(),
        };
        let mut taken = Taken::default();
        let mut batch = Vec::new();
        let mut ids = HashSet::new();
        for converted in converted {
            let is_second = !ids.insert(converted.session.session_id.clone());
            match there.get(&converted.session.session_id) {
                Some(other) if is_same(other, &converted) => taken.already_there += 1,
                // Two of a batch: the second would be lost.
                None if is_second => taken.collided.push(converted.session.session_id),
                Some(_) => taken.collided.push(converted.session.session_id),
                None => {
                    taken.written += 1;
                    taken.runs += converted.session.runs.len() as u64;
                    taken.counts.add(&converted.counts);
                    batch.push(converted.session);
                }
            }
        }
        if let (Some(sessions), Mode::Write, false) = (&self.targets.sessions, self.mode, batch.is_empty()) {
            in_transaction(self.backend, self.lock_wait, progress, |backend| sessions.put_sessions(backend, batch))?;
        }
        Ok(taken)
    }

    fn memories(&mut self, batch: &[Memory], progress: &mut dyn Progress) -> Result<Taken> {
        let written = match (&self.targets.memories, self.mode) {
            (None, _) => batch.len() as u64,
            (Some(memories), Mode::Write) => {
                in_transaction(self.backend, self.lock_wait, progress, |backend| memories.put_memories(backend, batch))?
            }
            (Some(memories), Mode::Tell) => {
                let there = there(self.backend, memories, batch)?;
                batch.iter().filter(|memory| !there.contains(&memory.memory_id)).count() as u64
            }
        };
        Ok(Taken { written, already_there: batch.len() as u64 - written, ..Taken::default() })
    }
}

/// The ids of those memories that have a row.
fn there(backend: &mut dyn Backend, memories: &Target, batch: &[Memory]) -> Result<HashSet<String>> {
    let mut there = HashSet::new();
    for some in batch.chunks(500) {
        let places = (1..=some.len()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
        let table = backend.dialect().table(&memories.name);
        let values: Vec<Value> = some.iter().map(|memory| Value::from(memory.memory_id.as_str())).collect();
        let rows = backend.query(&format!("SELECT memory_id FROM {table} WHERE memory_id IN ({places})"), &values)?;
        there.extend(rows.into_iter().flatten().flatten());
    }
    Ok(there)
}

/// Does work in a transaction of its own.
pub fn in_transaction<T>(
    backend: &mut dyn Backend,
    wait: Duration,
    progress: &mut dyn Progress,
    work: impl FnOnce(&mut dyn Backend) -> Result<T>,
) -> Result<T> {
    backend.begin(wait, progress)?;
    let outcome = work(backend).and_then(|result| backend.commit().map(|()| result));
    if outcome.is_err() {
        let _ = backend.rollback();
    }
    outcome
}
