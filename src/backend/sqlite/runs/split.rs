//! The copy of runs into rows.

use super::flush::{Asking, flush};
use super::{COLUMNS, Halt, Session, Stored, each_session, rowid_of, values, walk};
use crate::backend::{Dialect, Moved, sqlite::Sqlite};
use crate::convert::runs::{Element, RunList, RunRow};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::{Context, Result, anyhow};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::ScopedJoinHandle;

/// A batch is sent when its payloads reach this many bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// Batches that wait for the writer: what the reader may be ahead.
const BATCHES_AHEAD: usize = 3;

/// Rows an INSERT writes at once. One row: 12% slower; 32: no faster.
const ROWS_AN_INSERT: usize = 8;

/// A run on its way, its payload a part of the batch's.
struct Run {
    session: Arc<Session>,
    index: i64,
    row: RunRow,
    payload: Range<usize>,
}

#[derive(Default)]
struct Batch {
    runs: Vec<Run>,
    payloads: Vec<u8>,
    /// What stays: session, which element, why.
    left: Vec<(String, Option<String>, String)>,
    /// Sessions that are done with it.
    sessions: u64,
}

/// Takes a batch: sends it to the other thread, or writes it.
type Sink<'s> = &'s mut dyn FnMut(Batch) -> Result<()>;

/// Reads in one thread, writes in the other: reading, unescaping and splitting take about half as long as writing. A third
/// brings what is written to the disk. Without a `reader` all is done in turn.
pub fn split(
    connection: &Connection,
    reader: Option<Connection>,
    sessions: &str,
    runs: &str,
    progress: &mut dyn Progress,
) -> Result<Moved> {
    let count = format!("SELECT count(*) FROM {}", Sqlite.quote(sessions));
    let total: i64 = connection.query_row(&count, [], |row| row.get(0))?;
    progress.on(Event::Rows { name: sessions.to_owned(), total: total.unsigned_abs() });
    let mut writer = Writer::new(connection, sessions, runs)?;
    let mut done = 0;
    let mut write = |batch: Batch| {
        writer.write_batch(&batch)?;
        done += batch.sessions;
        progress.on(Event::Moved { done });
        Ok(())
    };
    let Some(reader) = reader else {
        read_runs(connection, sessions, &mut write)?;
        return Ok(writer.moved);
    };
    let path = file_that_grows(connection)?;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BATCHES_AHEAD);
        let reading = scope.spawn(move || {
            let mut send = |batch| sender.send(batch).map_err(|_| anyhow!("the thread that writes runs has stopped"));
            read_runs(&reader, sessions, &mut send)
        });
        let (mut asking, asked) = Asking::new();
        let flushing = path.map(|path| scope.spawn(move || flush(&path, &asked)));
        let written = receiver.into_iter().try_for_each(|batch: Batch| -> Result<()> {
            let bytes = batch.payloads.len();
            write(batch)?;
            asking.wrote(bytes);
            Ok(())
        });
        drop(asking);
        let flushed = flushing.map_or(Ok(Ok(())), ScopedJoinHandle::join);
        let flushed = flushed.map_err(|_| anyhow!("the thread that flushes the file ended by itself"))?;
        let read = reading.join().map_err(|_| anyhow!("the thread that reads runs ended by itself"))?;
        // The one that failed first is the cause: a reader whose writer is gone only says so, a writer without batches ends.
        written?;
        flushed?;
        read
    })?;
    Ok(writer.moved)
}

/// What the runs are written to now; nothing where that is a log that the commit brings to the disk at one go.
fn file_that_grows(connection: &Connection) -> Result<Option<PathBuf>> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(connection.path().filter(|_| mode != "wal").map(PathBuf::from))
}

/// Sends every run of every session.
fn read_runs(connection: &Connection, sessions: &str, sink: Sink<'_>) -> Result<()> {
    let mut batch = Batch::default();
    each_session(connection, sessions, |session, stored| {
        let mut sending = Sending { batch: &mut batch, session: Arc::new(session) };
        match stored {
            // Read once to see that the list is whole: a list that breaks off gives no rows.
            Stored::Large(large) => match walk(RunList::open(large.open()?), |_, _, _| Ok(())) {
                Ok(()) => sending.send_list(large.open()?, Some(sink))?,
                Err(halt) => sending.leave(halt)?,
            },
            Stored::Value(bytes) => sending.send_list(bytes, None)?,
            Stored::Unreadable(why) => sending.leave_all(why),
        }
        batch.sessions += 1;
        if batch.payloads.len() >= BATCH_BYTES { give(sink, &mut batch) } else { Ok(()) }
    })?;
    give(sink, &mut batch)
}

/// A session whose runs go into batches.
struct Sending<'b> {
    batch: &'b mut Batch,
    session: Arc<Session>,
}

impl Sending<'_> {
    /// With a `sink` batches are given away on the way; without one a list that turns out to be broken is taken back whole.
    fn send_list<R: Read>(&mut self, source: R, mut sink: Option<Sink<'_>>) -> Result<()> {
        let (runs, payloads, left) = (self.batch.runs.len(), self.batch.payloads.len(), self.batch.left.len());
        let outcome = walk(RunList::open(source), |index, bytes, element| {
            match element {
                Element::Run(fields) => {
                    let from = self.batch.payloads.len();
                    self.batch.payloads.extend_from_slice(bytes);
                    let payload = from..self.batch.payloads.len();
                    self.batch.runs.push(Run { session: Arc::clone(&self.session), index, row: fields.row(), payload });
                }
                Element::Other(why) => {
                    self.batch.left.push((self.session.id.clone(), Some(format!("runs[{index}]")), why.to_owned()));
                }
            }
            match &mut sink {
                Some(sink) if self.batch.payloads.len() >= BATCH_BYTES => give(sink, self.batch),
                _ => Ok(()),
            }
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(halt) => {
                if sink.is_none() {
                    self.batch.runs.truncate(runs);
                    self.batch.payloads.truncate(payloads);
                    self.batch.left.truncate(left);
                }
                self.leave(halt)
            }
        }
    }

    fn leave(&mut self, halt: Halt) -> Result<()> {
        let why = halt.of_list(&self.session.id)?;
        self.leave_all(why);
        Ok(())
    }

    fn leave_all(&mut self, why: &str) {
        self.batch.left.push((self.session.id.clone(), None, why.to_owned()));
    }
}

fn give(sink: Sink<'_>, batch: &mut Batch) -> Result<()> {
    if interrupted() {
        return Err(Stop::Interrupted.into());
    }
    sink(std::mem::take(batch))
}

/// Writes runs, and settles who gets an id that two runs have.
struct Writer<'c> {
    connection: &'c Connection,
    sessions: String,
    runs: String,
    /// The rowid of the runs table.
    rowid: &'static str,
    many: Statement<'c>,
    one: Statement<'c>,
    /// Rows above this rowid are of this move.
    there_before: i64,
    /// The last row that was written. Not SQLite's own: that is of the connection, and may be of another table.
    last: i64,
    /// Ids of the session at hand that were found to be there already.
    known: (String, HashSet<String>),
    moved: Moved,
}

impl<'c> Writer<'c> {
    fn new(connection: &'c Connection, sessions: &str, runs: &str) -> Result<Writer<'c>> {
        let rowid = rowid_of(connection, runs)?;
        let (sessions, runs) = (Sqlite.quote(sessions), Sqlite.quote(runs));
        let row = format!("({})", ["?"; COLUMNS.len()].join(","));
        let insert = |rows: usize| {
            format!("INSERT OR IGNORE INTO {runs} ({}) VALUES {}", COLUMNS.join(","), vec![row.as_str(); rows].join(","))
        };
        let there_before: i64 =
            connection.query_row(&format!("SELECT coalesce(max({rowid}), 0) FROM {runs}"), [], |row| row.get(0))?;
        Ok(Writer {
            connection,
            many: connection.prepare(&insert(ROWS_AN_INSERT))?,
            one: connection.prepare(&insert(1))?,
            there_before,
            last: there_before,
            sessions,
            runs,
            rowid,
            known: Default::default(),
            moved: Moved::default(),
        })
    }

    fn write_batch(&mut self, batch: &Batch) -> Result<()> {
        for (session, item, why) in &batch.left {
            self.moved.leave(session, item.clone(), why.as_str());
        }
        let mut chunks = batch.runs.chunks(ROWS_AN_INSERT);
        chunks.try_for_each(|chunk| self.write(chunk, &batch.payloads)).context("writing to the runs table")
    }

    fn write(&mut self, chunk: &[Run], payloads: &[u8]) -> Result<()> {
        if chunk.len() < ROWS_AN_INSERT {
            return chunk.iter().try_for_each(|run| self.write_one(run, payloads));
        }
        let last = self.last;
        for (at, run) in chunk.iter().enumerate() {
            bind(&mut self.many, at * COLUMNS.len(), run, payloads)?;
        }
        let written = self.many.raw_execute()?;
        self.wrote(written);
        if written < chunk.len() {
            for run in chunk {
                self.settle_unless_written(run, payloads, last)?;
            }
        }
        Ok(())
    }

    fn write_one(&mut self, run: &Run, payloads: &[u8]) -> Result<()> {
        bind(&mut self.one, 0, run, payloads)?;
        let written = self.one.raw_execute()?;
        self.wrote(written);
        if written == 0 { self.settle(run, payloads) } else { Ok(()) }
    }

    fn wrote(&mut self, rows: usize) {
        self.moved.moved += rows as u64;
        if rows > 0 {
            self.last = self.connection.last_insert_rowid();
        }
    }

    /// After an INSERT of several rows that did not write all of them: settles this one unless it is its row that is there.
    fn settle_unless_written(&mut self, run: &Run, payloads: &[u8], last: i64) -> Result<()> {
        let sql = format!(
            "SELECT {} > ?1 AND session_id = ?2 AND run_index = ?3 FROM {} WHERE run_id = ?4",
            self.rowid, self.runs
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let written = statement
            .query_row(params![last, run.session.id, run.index, run.row.run_id], |row| row.get::<_, Option<bool>>(0))
            .optional()?;
        if written == Some(Some(true)) { Ok(()) } else { self.settle(run, payloads) }
    }

    /// Some row has the id already. The first by (sessions.created_at, session_id, position) keeps it, rows that were there
    /// before the move always do.
    fn settle(&mut self, run: &Run, payloads: &[u8]) -> Result<()> {
        let sql = format!(
            "SELECT r.{2}, r.session_id, \
                    (SELECT created_at FROM {0} WHERE session_id = ?2) < (SELECT created_at FROM {0} WHERE session_id = r.session_id) \
             FROM {1} r WHERE r.run_id = ?1",
            self.sessions, self.runs, self.rowid
        );
        let there: Option<(i64, String, Option<bool>)> = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![run.row.run_id, run.session.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let item = Some(format!("runs[{}]", run.index));
        let Some((rowid, other, is_older)) = there else {
            // Not refused for its id: something that a row needs was NULL.
            self.moved.leave(&run.session.id, item, "it and its session lack created_at or a type, which a row needs");
            return Ok(());
        };
        let same_session = other == run.session.id;
        let id = &run.row.run_id;
        if rowid <= self.there_before && same_session {
            if self.known.0 != run.session.id {
                self.known = (run.session.id.clone(), HashSet::new());
            }
            if self.known.1.insert(id.clone()) {
                self.moved.already_there += 1;
                return Ok(());
            }
        }
        if same_session {
            self.moved.leave(&run.session.id, item, format!("its id {id} is that of a run before it"));
        } else if rowid > self.there_before && is_older == Some(true) {
            let sql = format!("DELETE FROM {} WHERE {} = ?1 RETURNING run_index", self.runs, self.rowid);
            let index: i64 = self.connection.query_row(&sql, [rowid], |row| row.get(0))?;
            bind(&mut self.one, 0, run, payloads)?;
            self.one.raw_execute()?;
            let reason = format!("its id {id} is that of a run of session {}, which is older", run.session.id);
            self.moved.leave(&other, Some(format!("runs[{index}]")), reason);
        } else {
            self.moved.leave(&run.session.id, item, format!("its id {id} is that of a run of session {other}"));
        }
        Ok(())
    }
}

/// Binds a row behind `offset` parameters.
fn bind(statement: &mut Statement<'_>, offset: usize, run: &Run, payloads: &[u8]) -> rusqlite::Result<()> {
    let values = values(&run.session, run.index, &run.row, &payloads[run.payload.clone()]);
    for (at, value) in values.into_iter().enumerate() {
        statement.raw_bind_parameter(offset + at + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}
