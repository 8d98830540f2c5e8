//! The way back: rows into lists.

use super::{Halt, rowid_of, walk};
use crate::backend::sqlite::{Sqlite, as_text};
use crate::backend::{Dialect, Moved};
use crate::convert::runs::{Element, Encoding, ListText, RunList};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::{Context, Result, anyhow};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// Puts the rows of the runs table back. A session whose list is as its rows say is not written: it is byte for byte what it
/// was before `up`.
pub fn join(connection: &Connection, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
    let table = Sqlite.quote(sessions);
    let total: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    progress.on(Event::Rows { name: sessions.to_owned(), total: total.unsigned_abs() });

    let joining = Joining { connection, sessions: &table, runs: &Sqlite.quote(runs), rowid: rowid_of(connection, runs)? };
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
    Ok(moved)
}

struct Joining<'c> {
    connection: &'c Connection,
    sessions: &'c str,
    runs: &'c str,
    /// The rowid of the runs table.
    rowid: &'static str,
}

impl Joining<'_> {
    /// Puts the runs of one session back and returns how many there are.
    fn session(&self, id: &str) -> Result<u64> {
        let sql = format!(
            "SELECT run_id, {} FROM {} WHERE session_id = ?1 ORDER BY run_index, created_at, run_id",
            self.rowid, self.runs
        );
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
        let sql = format!("SELECT run_data FROM {} WHERE {} = ?1", self.runs, self.rowid);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([rowid])?;
        let row = rows.next()?.ok_or_else(|| anyhow!("a run has gone while it was read"))?;
        match row.get_ref(0)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(read(bytes)),
            other => Ok(read(as_text(other).unwrap_or_else(|| "null".to_owned()).as_bytes())),
        }
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
