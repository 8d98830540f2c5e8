//! JSON columns of sessions, encoded as Agno 2 reads them.

use crate::backend::Dialect;
use crate::backend::sqlite::Sqlite;
use rusqlite::{Connection, Result};

/// JSON columns of sessions that Agno 2 on SQLite keeps encoded twice, besides `runs`: 2.0 and 2.1 read nothing else.
/// Source: `SqliteDb.upsert_session` of Agno 2.0.11 to 2.9.0.
const ENCODED_TWICE: [&str; 6] = ["session_data", "agent_data", "team_data", "workflow_data", "metadata", "summary"];

/// A column holds an object or a list as it is: rows that Agno 3 wrote.
fn is_once(column: &str) -> String {
    format!("(typeof({column}) = 'text' AND substr(ltrim({column}), 1, 1) IN ('{{', '['))")
}

/// Whether a session has JSON that is encoded once.
pub fn has_plain(connection: &Connection, sessions: &str) -> Result<bool> {
    let any = ENCODED_TWICE.map(is_once).join(" OR ");
    connection.prepare(&format!("SELECT 1 FROM {} WHERE {any} LIMIT 1", Sqlite.quote(sessions)))?.exists([])
}

/// Encodes JSON that is encoded once a second time.
pub fn encode(connection: &Connection, sessions: &str) -> Result<()> {
    let sets = ENCODED_TWICE
        .map(|column| format!("{column} = CASE WHEN {} THEN json_quote({column}) ELSE {column} END", is_once(column)));
    let any = ENCODED_TWICE.map(is_once).join(" OR ");
    let sql = format!("UPDATE {} SET {} WHERE {any}", Sqlite.quote(sessions), sets.join(", "));
    connection.execute(&sql, []).map(|_| ())
}
