//! Runs on SQLite: split into rows, put back, compared. See docs/architecture.md for the figures behind the two threads.

mod checks;
mod compare;
mod encode;
mod flush;
mod join;
mod split;

pub use checks::{oversized, room, unreadable};
pub use compare::compare;
pub use encode::{encode, has_plain};
pub use join::join;
pub use split::split;

use super::dialect::rowid_name;
use super::{Sqlite, as_text, observe};
use crate::backend::Dialect;
use crate::convert::runs::{Element, RunList, RunRow, Trouble};
use anyhow::{Result, anyhow};
use rusqlite::Connection;
use rusqlite::blob::Blob;
use rusqlite::types::ValueRef;
use std::io::Read;

/// Values up to this size are read with their row; larger ones as a stream.
const STREAMED_ABOVE: i64 = 1 << 20;

/// The columns of a runs row, in the order of [`values`].
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

/// What a row takes from its session.
struct Session {
    id: String,
    user_id: Owned,
    session_type: Owned,
    created_at: Owned,
}

/// A value as SQLite has it. Not rusqlite's own: that one panics at text that is not valid UTF-8, and such an owner has to
/// stay the owner.
enum Owned {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Owned {
    fn of(value: ValueRef<'_>) -> Owned {
        match value {
            ValueRef::Null => Owned::Null,
            ValueRef::Integer(number) => Owned::Integer(number),
            ValueRef::Real(number) => Owned::Real(number),
            ValueRef::Text(bytes) => Owned::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Owned::Blob(bytes.to_vec()),
        }
    }

    fn value(&self) -> ValueRef<'_> {
        match self {
            Owned::Null => ValueRef::Null,
            Owned::Integer(number) => ValueRef::Integer(*number),
            Owned::Real(number) => ValueRef::Real(*number),
            Owned::Text(bytes) => ValueRef::Text(bytes),
            Owned::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// A row as a run and its session make it.
fn values<'r>(session: &'r Session, index: i64, row: &'r RunRow, payload: &'r [u8]) -> [ValueRef<'r>; COLUMNS.len()] {
    fn text(value: &Option<String>) -> ValueRef<'_> {
        value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
    }
    // Agno reads a number there: any other value is none.
    let of_session = match session.created_at {
        Owned::Integer(seconds) => ValueRef::Integer(seconds),
        Owned::Real(seconds) => ValueRef::Integer(seconds as i64),
        _ => ValueRef::Null,
    };
    let created_at = row.created_at.map_or(of_session, ValueRef::Integer);
    [
        ValueRef::Text(row.run_id.as_bytes()),
        ValueRef::Text(session.id.as_bytes()),
        row.run_type.map_or(session.session_type.value(), |kind| ValueRef::Text(kind.as_bytes())),
        text(&row.agent_id),
        text(&row.team_id),
        text(&row.workflow_id),
        session.user_id.value(),
        text(&row.parent_run_id),
        text(&row.status),
        ValueRef::Integer(index),
        ValueRef::Text(payload),
        created_at,
        created_at,
    ]
}

/// The list of a session, as it is stored.
enum Stored<'r> {
    /// Read with its row.
    Value(&'r [u8]),
    /// To be read as a stream.
    Large(Large<'r>),
    /// No list, for this reason.
    Unreadable(&'static str),
}

/// A value that is read as a stream, as often as needed.
struct Large<'r> {
    connection: &'r Connection,
    sessions: &'r str,
    rowid: i64,
}

impl Large<'_> {
    fn open(&self) -> rusqlite::Result<Blob<'_>> {
        self.connection.blob_open("main", self.sessions, "runs", self.rowid, true)
    }
}

/// The name by which the rowid of a runs table is reached: rows are told apart by it, and those of a move follow those before.
///
/// # Errors
/// It has none: [`crate::plan::Guard::Movable`] comes first.
fn rowid_of(connection: &Connection, runs: &str) -> Result<&'static str> {
    let shape = observe::shape(connection, runs, &mut observe::Known::default())?.unwrap_or_default();
    rowid_name(&shape).ok_or_else(|| anyhow!("{runs} has no rowid"))
}

/// Calls `each` with every session that has something in its column, in the order of ids: the indexes of the runs table that
/// begin with the session grow at their end.
fn each_session(
    connection: &Connection,
    sessions: &str,
    mut each: impl FnMut(Session, Stored<'_>) -> Result<()>,
) -> Result<()> {
    let shape = observe::shape(connection, sessions, &mut observe::Known::default())?.unwrap_or_default();
    let rowid = rowid_name(&shape);
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    // A stream gives the bytes as they are stored, needs a rowid, and is not to be had where columns are generated.
    let is_generated = shape.columns.iter().any(|column| column.generated);
    let streamed_above = if rowid.is_some() && !is_generated && encoding == "UTF-8" { STREAMED_ABOVE } else { i64::MAX };
    let sql = format!(
        "SELECT {rowid}, session_id, user_id, session_type, created_at, octet_length(runs), \
                CASE WHEN octet_length(runs) <= {streamed_above} THEN runs END \
         FROM {table} WHERE runs IS NOT NULL ORDER BY session_id",
        rowid = rowid.unwrap_or("0"),
        table = Sqlite.quote(sessions),
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(1)?;
        let unreadable = match id {
            ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => Some("the session id is not valid UTF-8"),
            // A row with the same bytes as text would be of another session.
            ValueRef::Blob(_) => Some("the session id is bytes, not text"),
            // The text that a row has for it is another id to whoever looks for the session.
            ValueRef::Integer(_) | ValueRef::Real(_) => Some("the session id is a number, not text"),
            ValueRef::Null => Some("the session has no id"),
            _ => None,
        };
        let session = Session {
            id: as_text(id).unwrap_or_default(),
            user_id: Owned::of(row.get_ref(2)?),
            session_type: Owned::of(row.get_ref(3)?),
            created_at: Owned::of(row.get_ref(4)?),
        };
        let stored = match (unreadable, row.get_ref(6)?) {
            (Some(why), _) => Stored::Unreadable(why),
            (None, ValueRef::Null) => Stored::Large(Large { connection, sessions, rowid: row.get(0)? }),
            (None, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => Stored::Value(bytes),
            // A number is no list.
            (None, _) => Stored::Unreadable(NO_LIST),
        };
        each(session, stored)?;
    }
    Ok(())
}

const NO_LIST: &str = "its runs are no list";
const BROKEN: &str = "its runs are no JSON, or break off";

/// Why a walk over a list stopped.
enum Halt {
    Trouble(Trouble),
    Error(anyhow::Error),
}

impl Halt {
    /// What is wrong with the list.
    ///
    /// # Errors
    /// What is not the list's fault.
    fn of_list(self, session: &str) -> Result<&'static str> {
        match self {
            Halt::Error(error) => Err(error),
            Halt::Trouble(Trouble::Io(error)) => {
                Err(anyhow!(error).context(format!("reading the runs of session {session}")))
            }
            Halt::Trouble(Trouble::NoList) => Ok(NO_LIST),
            Halt::Trouble(Trouble::Broken) => Ok(BROKEN),
        }
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Halt {
        Halt::Trouble(trouble)
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
