//! The old column held against the runs table.

use super::{Halt, Session, Stored, each_session, values, walk};
use crate::backend::sqlite::Sqlite;
use crate::backend::{Dialect, sqlite::as_text};
use crate::convert::runs::{Element, RunList, RunRow, id_of, user_of};
use crate::convert::same::same_json;
use crate::difference::{Compared, RunDiffers};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::Result;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};
use std::collections::HashSet;
use std::io::Read;

/// What of a row is held against its run, besides the payload and the owner: what the run says itself. What comes from its
/// session may have changed there since. The place is compared as an order: runs that the app deleted leave holes.
const COMPARED: [(usize, &str); 7] = [
    (RUN_TYPE, "run_type"),
    (3, "agent_id"),
    (4, "team_id"),
    (5, "workflow_id"),
    (7, "parent_run_id"),
    (8, "status"),
    (CREATED_AT, "created_at"),
];
const RUN_TYPE: usize = 2;
const USER_ID: usize = 6;
const CREATED_AT: usize = 11;

/// Holds every run of the old column against its row, one at a time.
pub fn compare(connection: &Connection, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Compared> {
    let count = format!("SELECT count(*) FROM {}", Sqlite.quote(sessions));
    let total: i64 = connection.query_row(&count, [], |row| row.get(0))?;
    progress.on(Event::Rows { name: sessions.to_owned(), total: total.unsigned_abs() });
    let sql = format!("SELECT {} FROM {} WHERE run_id = ?1", super::COLUMNS.join(", "), Sqlite.quote(runs));
    let mut comparing = Comparing { row_of: connection.prepare(&sql)?, compared: Compared::default() };
    let mut done = 0;
    each_session(connection, sessions, |session, stored| {
        if interrupted() {
            return Err(Stop::Interrupted.into());
        }
        match stored {
            Stored::Value(bytes) => comparing.list(&session, bytes)?,
            Stored::Large(large) => comparing.list(&session, large.open()?)?,
            Stored::Unreadable(why) => comparing.compared.no_list(&session.id, why),
        }
        done += 1;
        progress.on(Event::Moved { done });
        Ok(())
    })?;
    Ok(comparing.compared)
}

struct Comparing<'c> {
    row_of: Statement<'c>,
    compared: Compared,
}

/// By what Agno sorts the rows of a session.
type Order = (Option<i64>, Option<i64>, String);

impl Comparing<'_> {
    fn list<R: Read>(&mut self, session: &Session, source: R) -> Result<()> {
        let mut seen = HashSet::new();
        let mut last: Option<Order> = None;
        let outcome = walk(RunList::open(source), |index, payload, element| {
            self.compared.runs += 1;
            let differs = match element {
                Element::Other(why) => Some(RunDiffers::NoRow(why.to_owned())),
                Element::Run(fields) => {
                    let row = fields.row();
                    if seen.insert(row.run_id.clone()) {
                        self.run(&values(session, index, &row, payload), &row, &mut last)?
                    } else {
                        Some(RunDiffers::NoRow(format!("its id {} is that of a run before it", row.run_id)))
                    }
                }
            };
            if let Some(differs) = differs {
                self.compared.differs(&session.id, index, &differs);
            }
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(Halt::Error(error)) => Err(error),
            Err(halt) => {
                let why = halt.of_list(&session.id)?;
                self.compared.no_list(&session.id, why);
                Ok(())
            }
        }
    }

    fn run(&mut self, wanted: &[ValueRef<'_>], run: &RunRow, last: &mut Option<Order>) -> Result<Option<RunDiffers>> {
        let id = run.run_id.as_str();
        let mut rows = self.row_of.query([ToSqlOutput::Borrowed(wanted[0])])?;
        let Some(row) = rows.next()? else { return Ok(Some(RunDiffers::Missing(id.to_owned()))) };
        let there = |at: usize| row.get_ref(at);
        if there(1)? != wanted[1] {
            let other = as_text(there(1)?).unwrap_or_default();
            return Ok(Some(RunDiffers::Elsewhere(id.to_owned(), other)));
        }
        // `up` writes both times the same: a run that the app changed later, and that is one still, counts as it is.
        // What the run itself says of its creation may be later than any clock of the app.
        let times = whole(there(12)?).zip(whole(there(11)?));
        if times.is_some_and(|(updated, created)| updated != created) && is_run(there(10)?, id) {
            self.compared.changed += 1;
            return Ok(None);
        }
        // Bytes first. Agno 3 writes a list anew when it deletes a run of it: the others stay what they say.
        let is_same = match (there(10)?, wanted[10]) {
            (ValueRef::Text(there) | ValueRef::Blob(there), ValueRef::Text(wanted)) => {
                there == wanted || std::str::from_utf8(wanted).is_ok_and(|wanted| same_json(Some(there), Some(wanted)))
            }
            _ => false,
        };
        if !is_same {
            return Ok(Some(RunDiffers::Content(id.to_owned())));
        }
        let mut columns = Vec::new();
        for (at, column) in COMPARED {
            let is_the_sessions =
                (at == RUN_TYPE && run.run_type.is_none()) || (at == CREATED_AT && run.created_at.is_none());
            if !is_the_sessions && there(at)? != wanted[at] {
                columns.push(column);
            }
        }
        // The session of nobody may have become somebody's since, and a run may say whose it is.
        let owner = there(USER_ID)?;
        let is_of_run = || {
            matches!((owner, wanted[10]), (ValueRef::Text(owner), ValueRef::Text(run))
            if user_of(run).is_some_and(|user| user.as_bytes() == owner))
        };
        if owner != ValueRef::Null && owner != wanted[USER_ID] && !is_of_run() {
            columns.push("user_id");
        }
        if !columns.is_empty() {
            return Ok(Some(RunDiffers::Columns(id.to_owned(), columns.join(", "))));
        }
        let order = Some((whole(there(9)?), whole(there(11)?), id.to_owned()));
        let is_later = *last < order;
        *last = order;
        Ok((!is_later).then(|| RunDiffers::Order(id.to_owned())))
    }
}

fn is_run(payload: ValueRef<'_>, id: &str) -> bool {
    match payload {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => id_of(bytes).as_deref() == Some(id),
        _ => false,
    }
}

fn whole(value: ValueRef<'_>) -> Option<i64> {
    value.as_i64_or_null().ok().flatten()
}
