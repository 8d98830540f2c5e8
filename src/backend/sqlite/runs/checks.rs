//! What is looked at before runs are moved.

use super::{Halt, walk};
use crate::backend::sqlite::{Sqlite, as_text, space};
use crate::backend::{Dialect, megabytes};
use crate::convert::runs::{RunList, Trouble};
use anyhow::Result;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::path::Path;

/// The most a SQLite value may hold.
const LARGEST_VALUE: i64 = 1_000_000_000;

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
pub fn room(connection: &Connection, path: &Path, sessions: &[&str]) -> Result<Option<String>> {
    let mut payload = 0;
    for table in sessions {
        let sql = format!("SELECT coalesce(sum(octet_length(runs)), 0) FROM {}", Sqlite.quote(table));
        payload += connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let needed = payload * if mode == "wal" { 2 } else { 1 };
    let free = space::free(&space::folder_of(path)?)?;
    Ok((free < needed).then(|| {
        format!(
            "the runs of {} need about {} MB on the disk of {}, and {} MB are free: make room",
            sessions.join(", "),
            megabytes(needed),
            path.display(),
            free / 1_000_000
        )
    }))
}
