//! The move of runs on SQLite, both ways. See docs/architecture.md for the figures behind the two threads.

use super::as_text;
use crate::backend::{Dialect, Moved, sqlite::Sqlite};
use crate::convert::runs::{Element, Encoding, ListText, RunList, RunRow, Trouble};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::{Context, Result, anyhow};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Values up to this size are read with their row; larger ones as a stream.
const STREAMED_ABOVE: i64 = 1 << 20;

/// A batch is sent when its payloads reach this many bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// Batches that wait for the writer: what the reader may be ahead.
const BATCHES_AHEAD: usize = 3;

/// Rows an INSERT writes at once. One row: 12% slower; 32: no faster.
const ROWS_AN_INSERT: usize = 8;

/// The columns of a runs row, in the order they are bound.
const COLUMNS: [&str; 13] = [
    "run_id",
    "session_id",
    "run_type",
    "agent_id",
    "team_id",
    "workflow_id",
    "user_id",
    "parent_run_id",
    "status",
    "run_index",
    "run_data",
    "created_at",
    "updated_at",
];

/// The most a SQLite value may hold.
const LARGEST_VALUE: i64 = 1_000_000_000;

/// JSON columns of sessions that Agno 2 on SQLite keeps encoded twice, besides `runs`.
/// Source: `SqliteDb.upsert_session` of Agno 2.0.11 to 2.9.0.
const ENCODED_TWICE: [&str; 6] = ["session_data", "agent_data", "team_data", "workflow_data", "metadata", "summary"];

/// What a row takes from its session.
struct Session {
    id: String,
    user_id: Value,
    session_type: Value,
    created_at: Value,
}

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

/// Reads in one thread, writes in the other: reading, unescaping and splitting take about half as long as writing. Without
/// a `reader` both are done in turn.
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
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BATCHES_AHEAD);
        let reading = scope.spawn(move || {
            let mut send = |batch| sender.send(batch).map_err(|_| anyhow!("the thread that writes runs has stopped"));
            read_runs(&reader, sessions, &mut send)
        });
        let written = receiver.into_iter().try_for_each(write);
        let read = reading.join().map_err(|_| anyhow!("the thread that reads runs ended by itself"))?;
        // The one that failed first is the cause: a reader whose writer is gone only says so, a writer without batches ends.
        written?;
        read
    })?;
    Ok(writer.moved)
}

/// Sends every run of every session, in the order of session ids: the indexes that begin with the session grow at their end.
fn read_runs(connection: &Connection, sessions: &str, sink: Sink<'_>) -> Result<()> {
    let has_rowid = connection.prepare(&format!("SELECT rowid FROM {}", Sqlite.quote(sessions))).is_ok();
    let utf8: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    // A stream gives the bytes as they are stored, and needs a rowid.
    let streamed_above = if has_rowid && utf8 == "UTF-8" { STREAMED_ABOVE } else { i64::MAX };
    let sql = format!(
        "SELECT {rowid}, session_id, user_id, session_type, created_at, octet_length(runs), \
                CASE WHEN octet_length(runs) <= {streamed_above} THEN runs END \
         FROM {table} WHERE runs IS NOT NULL ORDER BY session_id",
        rowid = if has_rowid { "rowid" } else { "0" },
        table = Sqlite.quote(sessions),
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        let id = match row.get_ref(1)? {
            ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => {
                let shown = String::from_utf8_lossy(bytes).into_owned();
                batch.left.push((shown, None, "the session id is not valid UTF-8".to_owned()));
                batch.sessions += 1;
                continue;
            }
            // A row with the same bytes as text would be of another session.
            ValueRef::Blob(bytes) => {
                let shown = String::from_utf8_lossy(bytes).into_owned();
                batch.left.push((shown, None, "the session id is bytes, not text".to_owned()));
                batch.sessions += 1;
                continue;
            }
            other => as_text(other).unwrap_or_default(),
        };
        let session = Arc::new(Session {
            id,
            user_id: row.get(2).unwrap_or(Value::Null),
            session_type: row.get(3).unwrap_or(Value::Null),
            created_at: row.get(4).unwrap_or(Value::Null),
        });
        let mut sending = Sending { batch: &mut batch, session };
        match row.get_ref(6)? {
            ValueRef::Null => {
                let open = || connection.blob_open("main", sessions, "runs", row.get(0)?, true);
                // Read once to see that the list is whole: a list that breaks off gives no rows.
                match walk(RunList::open(open()?), |_, _, _| Ok(())) {
                    Ok(()) => sending.send_list(open()?, Some(sink))?,
                    Err(halt) => sending.leave(halt)?,
                }
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => sending.send_list(bytes, None)?,
            // A number is no list.
            _ => sending.leave(Trouble::NoList.into())?,
        }
        batch.sessions += 1;
        if batch.payloads.len() >= BATCH_BYTES {
            give(sink, &mut batch)?;
        }
    }
    give(sink, &mut batch)
}

/// Why a walk over a list stopped.
enum Halt {
    Trouble(Trouble),
    Error(anyhow::Error),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Halt {
        Halt::Trouble(trouble)
    }
}

/// Calls `each` with the place, the bytes and the kind of each element.
fn walk<R: Read>(
    list: Result<Option<RunList<R>>, Trouble>,
    mut each: impl FnMut(i64, &[u8], Element<'_>) -> Result<()>,
) -> Result<(), Halt> {
    let Some(mut list) = list? else { return Ok(()) };
    let mut index = 0;
    while let Some((bytes, element)) = list.next_element()? {
        each(index, bytes, element).map_err(Halt::Error)?;
        index += 1;
    }
    Ok(())
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
        let why = match halt {
            Halt::Error(error) => return Err(error),
            Halt::Trouble(Trouble::Io(error)) => {
                return Err(anyhow!(error).context(format!("reading the runs of session {}", self.session.id)));
            }
            Halt::Trouble(Trouble::NoList) => "its runs are no list",
            Halt::Trouble(Trouble::Broken) => "its runs are no JSON, or break off",
        };
        self.batch.left.push((self.session.id.clone(), None, why.to_owned()));
        Ok(())
    }
}

impl From<Trouble> for anyhow::Error {
    fn from(trouble: Trouble) -> anyhow::Error {
        match trouble {
            Trouble::Io(error) => error.into(),
            Trouble::NoList => anyhow!("the runs are no list"),
            Trouble::Broken => anyhow!("the runs are no JSON, or break off"),
        }
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
    fn new(connection: &'c Connection, sessions: &str, runs: &str) -> rusqlite::Result<Writer<'c>> {
        let (sessions, runs) = (Sqlite.quote(sessions), Sqlite.quote(runs));
        let row = format!("({})", ["?"; COLUMNS.len()].join(","));
        let insert = |rows: usize| {
            format!("INSERT OR IGNORE INTO {runs} ({}) VALUES {}", COLUMNS.join(","), vec![row.as_str(); rows].join(","))
        };
        let there_before: i64 =
            connection.query_row(&format!("SELECT coalesce(max(rowid), 0) FROM {runs}"), [], |row| row.get(0))?;
        Ok(Writer {
            connection,
            many: connection.prepare(&insert(ROWS_AN_INSERT))?,
            one: connection.prepare(&insert(1))?,
            there_before,
            last: there_before,
            sessions,
            runs,
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
        let sql = format!("SELECT rowid > ?1 AND session_id = ?2 AND run_index = ?3 FROM {} WHERE run_id = ?4", self.runs);
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
            "SELECT r.rowid, r.session_id, \
                    (SELECT created_at FROM {0} WHERE session_id = ?2) < (SELECT created_at FROM {0} WHERE session_id = r.session_id) \
             FROM {1} r WHERE r.run_id = ?1",
            self.sessions, self.runs
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
            let sql = format!("DELETE FROM {} WHERE rowid = ?1 RETURNING run_index", self.runs);
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
    fn text(value: &Option<String>) -> ValueRef<'_> {
        value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
    }
    let (row, session) = (&run.row, &run.session);
    // Agno reads a number there: any other value is none.
    let of_session = match &session.created_at {
        Value::Integer(seconds) => ValueRef::Integer(*seconds),
        Value::Real(seconds) => ValueRef::Integer(*seconds as i64),
        _ => ValueRef::Null,
    };
    let created_at = row.created_at.map_or(of_session, ValueRef::Integer);
    let values: [ValueRef<'_>; COLUMNS.len()] = [
        ValueRef::Text(row.run_id.as_bytes()),
        ValueRef::Text(session.id.as_bytes()),
        row.run_type.map_or(ValueRef::from(&session.session_type), |kind| ValueRef::Text(kind.as_bytes())),
        text(&row.agent_id),
        text(&row.team_id),
        text(&row.workflow_id),
        ValueRef::from(&session.user_id),
        text(&row.parent_run_id),
        text(&row.status),
        ValueRef::Integer(run.index),
        ValueRef::Text(&payloads[run.payload.clone()]),
        created_at,
        created_at,
    ];
    for (at, value) in values.into_iter().enumerate() {
        statement.raw_bind_parameter(offset + at + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// Puts the rows of the runs table back. A session whose list is as its rows say is not written: it is byte for byte what it
/// was before `up`.
pub fn join(connection: &Connection, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
    let table = Sqlite.quote(sessions);
    let total: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    progress.on(Event::Rows { name: sessions.to_owned(), total: total.unsigned_abs() });

    let joining = Joining { connection, sessions: &table, runs: &Sqlite.quote(runs) };
    let mut moved = Moved::default();
    let mut done = 0;
    // In pages: a table is not changed while a statement walks over it. Only text: other ids have no rows.
    let page = format!(
        "SELECT session_id FROM {table} WHERE typeof(session_id) = 'text' AND (?1 IS NULL OR session_id > ?1) \
         ORDER BY session_id LIMIT 500"
    );
    let mut page = connection.prepare(&page)?;
    let mut last: Option<Vec<u8>> = None;
    loop {
        // As SQLite has it: an id may be no valid UTF-8, and has to be skipped, not to end the walk.
        let after = last.as_deref().map_or(ValueRef::Null, ValueRef::Text);
        let ids = page.query_map([ToSqlOutput::Borrowed(after)], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?;
        let ids: Vec<Vec<u8>> = ids.collect::<rusqlite::Result<_>>()?;
        let Some(end) = ids.last() else { break };
        for id in &ids {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            if let Ok(id) = std::str::from_utf8(id) {
                moved.moved += joining.session(id).with_context(|| format!("session {id}"))?;
            }
        }
        done += ids.len() as u64;
        last = Some(end.clone());
        progress.on(Event::Moved { done });
    }
    // The table goes next: whatever the reason, no row of it may be left behind.
    let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {}", joining.runs), [], |row| row.get(0))?;
    if rows.unsigned_abs() != moved.moved {
        return Err(anyhow!("{rows} rows of {runs} were to be put back, and {} were: nothing was changed", moved.moved));
    }
    joining.encode_twice()?;
    Ok(moved)
}

struct Joining<'c> {
    connection: &'c Connection,
    sessions: &'c str,
    runs: &'c str,
}

impl Joining<'_> {
    /// Puts the runs of one session back and returns how many there are.
    fn session(&self, id: &str) -> Result<u64> {
        let sql =
            format!("SELECT run_id, rowid FROM {} WHERE session_id = ?1 ORDER BY run_index, created_at, run_id", self.runs);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows: Vec<(String, i64)> = statement
            .query_map([id], |row| Ok((as_text(row.get_ref(0)?).unwrap_or_default(), row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let sql = format!("SELECT runs FROM {} WHERE session_id = ?1", self.sessions);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut value = statement.query([id])?;
        let Some(old) = value.next()? else { return Ok(0) };
        let old: &[u8] = match old.get_ref(0)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
            _ => b"",
        };
        let list = match self.list(old, &rows) {
            Ok(list) => list,
            // Nothing of it was moved, nothing of it has to come back.
            Err(Halt::Trouble(_)) if rows.is_empty() => return Ok(0),
            Err(Halt::Error(error)) => return Err(error),
            Err(Halt::Trouble(trouble)) => {
                let why = anyhow::Error::from(trouble);
                return Err(Stop::Refused(format!(
                    "{why}, and there are rows of it in the runs table: mend the column runs of that session, or set it to NULL"
                ))
                .into());
            }
        };
        drop(value);
        if let List::New(text) = list {
            let text = text.finish();
            let text = text.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text));
            let sql = format!("UPDATE {} SET runs = ?1 WHERE session_id = ?2", self.sessions);
            self.connection.prepare_cached(&sql)?.execute(params![ToSqlOutput::Borrowed(text), id])?;
        }
        Ok(rows.len() as u64)
    }

    /// The list as Agno 3 shows it: the old one first, each row in place of the first element that has its id, then the other
    /// rows. Source: `merge_runs_table_with_legacy_blob` in `agno/db/utils.py` of 3.1.10.
    fn list(&self, old: &[u8], rows: &[(String, i64)]) -> Result<List, Halt> {
        let mut places: HashMap<&str, i64> = rows.iter().map(|(id, rowid)| (id.as_str(), *rowid)).collect();
        let mut same = true;
        let mut is_empty = false;
        if let Some(list) = RunList::open(old)? {
            let is_once = list.encoding() == Encoding::Once;
            is_empty = rows.is_empty();
            walk(Ok(Some(list)), |_, bytes, element| {
                same &= !is_once;
                is_empty = false;
                if let Some(rowid) = taken(&mut places, &element) {
                    same &= self.payload(rowid, |payload| payload == bytes)?;
                }
                Ok(())
            })?;
        }
        // Agno 2.0 to 2.4 break on an empty list: NULL stands for it.
        if same && places.is_empty() && !is_empty {
            return Ok(List::Same);
        }
        let mut places: HashMap<&str, i64> = rows.iter().map(|(id, rowid)| (id.as_str(), *rowid)).collect();
        let mut text = ListText::encoded_twice();
        walk(RunList::open(old), |_, bytes, element| {
            match taken(&mut places, &element) {
                Some(rowid) => self.payload(rowid, |payload| text.push(payload))?,
                None => text.push(bytes),
            }
            Ok(())
        })?;
        for (_, rowid) in rows.iter().filter(|(id, _)| places.contains_key(id.as_str())) {
            self.payload(*rowid, |payload| text.push(payload)).map_err(Halt::Error)?;
        }
        Ok(List::New(text))
    }

    fn payload<T>(&self, rowid: i64, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let sql = format!("SELECT run_data FROM {} WHERE rowid = ?1", self.runs);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([rowid])?;
        let row = rows.next()?.ok_or_else(|| anyhow!("a run has gone while it was read"))?;
        match row.get_ref(0)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(read(bytes)),
            other => Ok(read(as_text(other).unwrap_or_else(|| "null".to_owned()).as_bytes())),
        }
    }

    /// Agno 2.0 and 2.1 read nothing but JSON in a JSON string. Rows that Agno 3 wrote are encoded once.
    fn encode_twice(&self) -> Result<()> {
        let is_once = |column: &str| format!("(typeof({column}) = 'text' AND substr(ltrim({column}), 1, 1) IN ('{{', '['))");
        let sets = ENCODED_TWICE
            .map(|column| format!("{column} = CASE WHEN {} THEN json_quote({column}) ELSE {column} END", is_once(column)));
        let sql =
            format!("UPDATE {} SET {} WHERE {}", self.sessions, sets.join(", "), ENCODED_TWICE.map(is_once).join(" OR "));
        self.connection.execute(&sql, [])?;
        Ok(())
    }
}

/// What becomes of a session's list.
enum List {
    Same,
    New(ListText),
}

/// The row that stands for an element, each only once.
fn taken(places: &mut HashMap<&str, i64>, element: &Element<'_>) -> Option<i64> {
    match element {
        Element::Run(fields) => places.remove(fields.row().run_id.as_str()),
        Element::Other(_) => None,
    }
}

/// Sessions whose runs are larger together than a SQLite value may be, with what escaping adds.
pub fn oversized(connection: &Connection, sessions: &str, runs: &str) -> rusqlite::Result<Vec<String>> {
    let (sessions, runs) = (Sqlite.quote(sessions), Sqlite.quote(runs));
    // Escaping adds at most the length again for text of Agno's, which has no control characters: a third of the limit is
    // surely small enough, and only what is above it is measured.
    let sql = format!(
        "SELECT large.id FROM \
           (SELECT session_id AS id, sum(octet_length(run_data)) AS size FROM {runs} GROUP BY session_id) large \
         WHERE large.size > {third} AND large.id IN (SELECT session_id FROM {sessions}) \
           AND (SELECT sum(octet_length(json_quote(run_data)) + 2) FROM {runs} WHERE session_id = large.id) > {LARGEST_VALUE}",
        third = LARGEST_VALUE / 3,
    );
    let mut statement = connection.prepare(&sql)?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Sessions with rows in the runs table whose column cannot be read as a list. Reads every list once: a tenth of the time
/// that putting them back takes.
pub fn unreadable(connection: &Connection, sessions: &str, runs: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT session_id, runs FROM {} s WHERE runs IS NOT NULL AND EXISTS (SELECT 1 FROM {} r WHERE r.session_id = s.session_id)",
        Sqlite.quote(sessions),
        Sqlite.quote(runs)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome = match row.get_ref(1)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => walk(RunList::open(bytes), |_, _, _| Ok(())),
            _ => Err(Trouble::NoList.into()),
        };
        match outcome {
            Ok(()) => {}
            Err(Halt::Trouble(_)) => ids.push(as_text(row.get_ref(0)?).unwrap_or_default()),
            Err(Halt::Error(error)) => return Err(error),
        }
    }
    Ok(ids)
}

/// Whether the disk has room for the rows that a split writes: a copy of every list, twice in WAL mode.
pub fn room(connection: &Connection, path: &Path, sessions: &str) -> Result<Option<String>> {
    let sql = format!("SELECT coalesce(sum(octet_length(runs)), 0) FROM {}", Sqlite.quote(sessions));
    let payload: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let needed = payload.unsigned_abs() * if mode == "wal" { 2 } else { 1 };
    let folder = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
    let free =
        fs4::available_space(&folder).with_context(|| format!("cannot tell the free space of {}", folder.display()))?;
    Ok((free < needed).then(|| {
        format!(
            "the runs of {sessions} need about {} MB on the disk of {}, and {} MB are free: make room",
            needed.div_ceil(1_000_000),
            path.display(),
            free / 1_000_000
        )
    }))
}
