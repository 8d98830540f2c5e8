//! What becomes of converted rows: they are written, or held against what is there.

use crate::backend::{Backend, Value};
use crate::convert::v1::ledger::Counts;
use crate::convert::v1::{Converted, Memory};
use crate::difference::Differences;
use crate::progress::Progress;
use crate::v1::target::Target;
use anyhow::Result;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
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
    /// Sessions whose id another program gave to one of its own meanwhile.
    pub collided: Vec<String>,
    /// Rows that the database does not take: id and reason.
    pub refused: Vec<(String, String)>,
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

    /// The database and its tables, to ask what is there.
    fn target(&mut self) -> (&mut dyn Backend, &Targets);
}

/// Whether a session that is there is the one that was converted, as far as type and time tell: whose id is whose was settled
/// before, but another program may have written since.
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

    fn target(&mut self) -> (&mut dyn Backend, &Targets) {
        let backend: &mut dyn Backend = &mut *self.backend;
        (backend, self.targets)
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
        let (mut batch, mut of_batch) = (Vec::new(), Vec::new());
        for converted in converted {
            match there.get(&converted.session.session_id) {
                // Whose id it is was settled before: the time may have been changed since.
                Some((session_type, _)) if *session_type == converted.session.session_type => taken.already_there += 1,
                Some(_) => taken.collided.push(converted.session.session_id),
                None => {
                    let id = converted.session.session_id.clone();
                    of_batch.push((id, converted.session.runs.len() as u64, converted.counts));
                    batch.push(converted.session);
                }
            }
        }
        let mut refused = Vec::new();
        if let (Some(sessions), Mode::Write, false) = (&self.targets.sessions, self.mode, batch.is_empty()) {
            let (rows, some) = (sessions.session_rows(batch), 0..of_batch.len());
            let put = |backend: &mut dyn Backend, some| sessions.put_sessions(backend, &rows, some);
            self.in_halves(some, &put, progress, &mut refused)?;
        }
        for (at, reason) in refused {
            let (id, runs, counts) = &mut of_batch[at];
            taken.refused.push((std::mem::take(id), reason));
            (*runs, *counts) = (0, Counts::default());
        }
        taken.written = (of_batch.len() - taken.refused.len()) as u64;
        for (_, runs, counts) in of_batch {
            taken.runs += runs;
            taken.counts.add(&counts);
        }
        Ok(taken)
    }

    fn memories(&mut self, batch: &[Memory], progress: &mut dyn Progress) -> Result<Taken> {
        let mut refused = Vec::new();
        let written = match (&self.targets.memories, self.mode) {
            (None, _) => batch.len() as u64,
            (Some(memories), Mode::Write) => {
                let rows = memories.memory_rows(batch);
                let put = |backend: &mut dyn Backend, some: Range<usize>| memories.put_memories(backend, &rows[some]);
                self.in_halves(0..batch.len(), &put, progress, &mut refused)?
            }
            (Some(memories), Mode::Tell) => {
                let there = there(self.backend, memories, batch)?;
                batch.iter().filter(|memory| !there.contains(&memory.memory_id)).count() as u64
            }
        };
        let already_there = (batch.len() - refused.len()) as u64 - written;
        let refused = refused.into_iter().map(|(at, reason)| (batch[at].memory_id.clone(), reason)).collect();
        Ok(Taken { written, already_there, refused, ..Taken::default() })
    }

    /// Puts rows in a transaction. When the database does not take one of them, each half in one of its own, until that row is
    /// alone: all others are written.
    fn in_halves(
        &mut self,
        some: Range<usize>,
        put: Put<'_>,
        progress: &mut dyn Progress,
        refused: &mut Vec<(usize, String)>,
    ) -> Result<u64> {
        let outcome = in_transaction(self.backend, self.lock_wait, progress, |backend| put(backend, some.clone()));
        let Err(error) = outcome else { return outcome };
        let Some(reason) = self.backend.refusal(&error) else { return Err(error) };
        if some.len() == 1 {
            refused.push((some.start, reason));
            return Ok(0);
        }
        let middle = some.start + some.len() / 2;
        let first = self.in_halves(some.start..middle, put, progress, refused)?;
        Ok(first + self.in_halves(middle..some.end, put, progress, refused)?)
    }
}

/// Writes some of the rows of a batch; returns how many were not there yet.
type Put<'p> = &'p dyn Fn(&mut dyn Backend, Range<usize>) -> Result<u64>;

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
