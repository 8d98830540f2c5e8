//! The tables of v2 that converted rows go to, in the shape they have, and what is in them.

use crate::backend::{Backend, Value};
use crate::convert::runs::ListText;
use crate::convert::v1::{Memory, Run, Session};
use crate::discover::has_columns;
use crate::schema::tables::{RUNS, SESSIONS, TableType};
use crate::schema::{ColumnShape, Shape};
use crate::v1::comparing::each_of_list;
use anyhow::{Result, anyhow};
use std::collections::HashMap;
use std::ops::Range;

/// A table that rows are written to.
pub struct Target {
    /// Its name.
    pub name: String,
    shape: Shape,
    /// Of sessions: the runs table and its shape, at schema 3.0.0.
    pub runs: Option<(String, Shape)>,
    /// JSON is encoded twice, as Agno 2 on SQLite writes it.
    twice: bool,
    /// The column that names its rows.
    key: &'static str,
}

/// Sessions as rows of their tables.
#[derive(Default)]
pub struct SessionRows {
    sessions: Vec<Vec<Option<String>>>,
    runs: Vec<Vec<Option<String>>>,
    /// Where the runs of each session end.
    ends: Vec<usize>,
}

/// A row that is there.
pub struct There<'r> {
    columns: &'r [&'r str],
    fields: &'r [Option<&'r [u8]>],
}

impl There<'_> {
    /// A column as text; `None`: NULL, or no such column.
    pub fn text(&self, column: &str) -> Option<&[u8]> {
        let at = self.columns.iter().position(|name| *name == column)?;
        self.fields.get(at).copied().flatten()
    }

    /// A column as a number.
    pub fn number(&self, column: &str) -> Option<i64> {
        std::str::from_utf8(self.text(column)?).ok()?.parse().ok()
    }
}

/// A session that is there: its columns as text.
pub struct SessionThere<'r> {
    /// Its id.
    pub id: &'r [u8],
    /// Its type.
    pub session_type: &'r [u8],
    /// Seconds since 1970.
    pub created_at: &'r [u8],
    /// Whose it is: the id of its agent, team or workflow.
    pub owner: &'r [u8],
}

/// A run that is there.
pub struct RunThere<'r> {
    /// Its id.
    pub id: &'r str,
    /// Its JSON.
    pub payload: &'r [u8],
    /// Whether the app changed it since it was written; `None` where nothing tells.
    pub touched: Option<bool>,
    /// Its columns, where it has a row.
    pub columns: Option<RunColumns<'r>>,
}

/// run_type, agent_id, team_id, workflow_id, parent_run_id, status, created_at and user_id of a row.
pub type RunColumns<'r> = [Option<&'r [u8]>; 8];

impl Target {
    /// A table that is there.
    pub fn open(backend: &mut dyn Backend, table_type: TableType, name: &str, runs: Option<&str>) -> Result<Target> {
        let shape = backend.shape(name)?.ok_or_else(|| anyhow!("the table {name} has gone"))?;
        let runs = match runs {
            Some(runs) if table_type == TableType::Sessions => backend.shape(runs)?.map(|shape| (runs.to_owned(), shape)),
            _ => None,
        };
        let is_text = backend.dialect().key_is_primary();
        let twice = is_text && table_type == TableType::Sessions && runs.is_none();
        Ok(Target { name: name.to_owned(), shape, runs, twice, key: table_type.known().key[0] })
    }

    /// Whether runs can be asked for: in the runs table, or in the column where there is none.
    pub fn has_runs(&self) -> bool {
        match &self.runs {
            Some((_, shape)) => has_columns(shape, TableType::Runs),
            None => self.shape.column("runs").is_some(),
        }
    }

    /// Whether it has a column.
    pub fn has(&self, column: &str) -> bool {
        self.shape.column(column).is_some()
    }

    /// Type and created_at of the sessions that are there, by id.
    pub fn sessions(&self, backend: &mut dyn Backend, ids: &[&str]) -> Result<HashMap<String, (String, String)>> {
        let mut there = HashMap::new();
        for some in ids.chunks(500) {
            let places = (1..=some.len()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT session_id, session_type, created_at FROM {} WHERE session_id IN ({places})",
                backend.dialect().table(&self.name)
            );
            let values: Vec<Value> = some.iter().map(|id| Value::from(*id)).collect();
            for row in backend.query(&sql, &values)? {
                let mut fields = row.into_iter().map(Option::unwrap_or_default);
                let mut next = || fields.next().unwrap_or_default();
                there.insert(next(), (next(), next()));
            }
        }
        Ok(there)
    }

    /// The rows of sessions and their runs. Takes them: documents may be large, and are moved, not copied.
    pub fn session_rows(&self, sessions: Vec<Session>) -> SessionRows {
        let columns: Vec<&ColumnShape> = self.session_columns().collect();
        let of_runs: Vec<&ColumnShape> = self.run_columns().collect();
        let mut rows = SessionRows::default();
        for mut session in sessions {
            rows.sessions.push(columns.iter().map(|column| self.session_field(&mut session, &column.name)).collect());
            if self.runs.is_some() {
                let runs = std::mem::take(&mut session.runs);
                rows.runs.extend(runs.into_iter().enumerate().map(|(index, mut run)| {
                    of_runs.iter().map(|column| run_field(&session, index, &mut run, &column.name)).collect()
                }));
            }
            rows.ends.push(rows.runs.len());
        }
        rows
    }

    /// Writes some of the sessions, with their runs.
    pub fn put_sessions(&self, backend: &mut dyn Backend, rows: &SessionRows, some: Range<usize>) -> Result<u64> {
        let from = some.start.checked_sub(1).map_or(0, |before| rows.ends[before]);
        let to = rows.ends[some.end - 1];
        let columns: Vec<&ColumnShape> = self.session_columns().collect();
        let written = backend.put(&self.name, &columns, &rows.sessions[some])?;
        if let Some((name, _)) = &self.runs {
            let columns: Vec<&ColumnShape> = self.run_columns().collect();
            backend.put(name, &columns, &rows.runs[from..to])?;
        }
        Ok(written)
    }

    fn session_columns(&self) -> impl Iterator<Item = &ColumnShape> {
        SESSIONS.columns.iter().filter_map(|column| self.shape.column(column.name))
    }

    fn run_columns(&self) -> impl Iterator<Item = &ColumnShape> {
        let shape = self.runs.as_ref().map(|(_, shape)| shape);
        RUNS.columns.iter().filter_map(move |column| shape?.column(column.name))
    }

    fn session_field(&self, session: &mut Session, column: &str) -> Option<String> {
        let json = |text: &mut Option<String>| match self.twice {
            true => text.as_ref().and_then(|text| serde_json::to_string(text).ok()),
            false => text.take(),
        };
        match column {
            "session_id" => Some(session.session_id.clone()),
            "session_type" => Some(session.session_type.clone()),
            "agent_id" => session.agent_id.clone(),
            "team_id" => session.team_id.clone(),
            "workflow_id" => session.workflow_id.clone(),
            "user_id" => session.user_id.clone(),
            "session_data" => json(&mut session.session_data),
            "agent_data" => json(&mut session.agent_data),
            "team_data" => json(&mut session.team_data),
            "workflow_data" => json(&mut session.workflow_data),
            "metadata" => json(&mut session.metadata),
            "summary" => json(&mut session.summary),
            "created_at" => session.created_at.map(|at| at.to_string()),
            "updated_at" => session.updated_at.map(|at| at.to_string()),
            "runs" if self.runs.is_none() => self.list(session),
            _ => None,
        }
    }

    /// The runs as the column of that name holds them.
    fn list(&self, session: &Session) -> Option<String> {
        if !self.twice {
            return session.runs_json();
        }
        let mut list = ListText::encoded_twice();
        for run in &session.runs {
            list.push(run.json.as_bytes());
        }
        // What was pushed is UTF-8, and escaping keeps it so.
        list.finish().and_then(|text| String::from_utf8(text).ok())
    }

    /// The rows of memories.
    pub fn memory_rows(&self, memories: &[Memory]) -> Vec<Vec<Option<String>>> {
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let field = |memory: &Memory, column: &str| match column {
            "memory_id" => Some(memory.memory_id.clone()),
            "memory" => Some(memory.memory.clone()),
            "input" => memory.input.clone(),
            "user_id" => memory.user_id.clone(),
            "topics" => memory.topics.clone(),
            "created_at" => number(memory.created_at.or(memory.updated_at).or(Some(0))),
            _ => number(memory.updated_at),
        };
        let columns: Vec<&ColumnShape> = self.memory_columns().collect();
        memories.iter().map(|memory| columns.iter().map(|column| field(memory, &column.name)).collect()).collect()
    }

    /// Writes some of the memories; returns how many were not there yet.
    pub fn put_memories(&self, backend: &mut dyn Backend, rows: &[Vec<Option<String>>]) -> Result<u64> {
        let columns: Vec<&ColumnShape> = self.memory_columns().collect();
        backend.put(&self.name, &columns, rows)
    }

    fn memory_columns(&self) -> impl Iterator<Item = &ColumnShape> {
        let names = ["memory_id", "memory", "input", "user_id", "topics", "created_at", "updated_at"];
        names.into_iter().filter_map(|name| self.shape.column(name))
    }

    /// Calls `each` with the row of a key, if it is there, and returns what it says; false without a row.
    pub fn row(
        &self,
        backend: &mut dyn Backend,
        key: &str,
        each: &mut dyn FnMut(&There<'_>) -> Result<bool>,
    ) -> Result<bool> {
        // Runs may be large, and are read apart.
        let columns: Vec<&str> =
            self.shape.columns.iter().map(|column| column.name.as_str()).filter(|name| *name != "runs").collect();
        let dialect = backend.dialect();
        let selected = columns.iter().map(|name| dialect.as_text(&dialect.quote(name))).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {selected} FROM {} WHERE {} = $1", dialect.table(&self.name), dialect.quote(self.key));
        let mut said = false;
        backend.scan(&sql, &[key.into()], &mut |fields| {
            said = each(&There { columns: &columns, fields })?;
            Ok(false)
        })?;
        Ok(said)
    }

    /// Calls `each` with the runs of a session in their order.
    pub fn each_run_of(&self, backend: &mut dyn Backend, session: &str, each: &mut dyn FnMut(RunThere<'_>)) -> Result<()> {
        let dialect = backend.dialect();
        let Some((runs, _)) = &self.runs else {
            let sql = format!("SELECT {} FROM {} WHERE session_id = $1", dialect.as_text("runs"), dialect.table(&self.name));
            return backend.scan(&sql, &[session.into()], &mut |fields| {
                if let [Some(list)] = fields {
                    each_of_list(list, &mut |id, payload| each(RunThere { id, payload, touched: None, columns: None }));
                }
                Ok(false)
            });
        };
        let sql = format!(
            "SELECT run_id, {}, CASE WHEN updated_at <> created_at THEN 'later' END, \
               run_type, agent_id, team_id, workflow_id, parent_run_id, status, {}, user_id FROM {} WHERE session_id = $1 \
             ORDER BY run_index, created_at, run_id",
            dialect.as_text("run_data"),
            dialect.as_text("created_at"),
            dialect.table(runs)
        );
        backend.scan(&sql, &[session.into()], &mut |fields| {
            if let [Some(id), Some(payload), later, columns @ ..] = fields {
                let columns = columns.try_into().ok();
                each(RunThere { id: &String::from_utf8_lossy(id), payload, touched: Some(later.is_some()), columns });
            }
            Ok(true)
        })
    }

    /// Calls `each` with the id and the session of every run that is there.
    pub fn each_run(&self, backend: &mut dyn Backend, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        if !self.has_runs() {
            return Ok(());
        }
        let dialect = backend.dialect();
        let Some((runs, _)) = &self.runs else {
            // Before 3.0.0 runs are in the rows of their sessions; `up` breaks on an id that two of them have.
            let list = dialect.as_text("runs");
            let sql = format!("SELECT session_id, {list} FROM {} WHERE runs IS NOT NULL", dialect.table(&self.name));
            return backend.scan(&sql, &[], &mut |fields| {
                if let [Some(session), Some(list)] = fields {
                    each_of_list(list, &mut |run, _| each(run.as_bytes(), session));
                }
                Ok(true)
            });
        };
        let sql = format!("SELECT run_id, session_id FROM {}", dialect.table(runs));
        backend.scan(&sql, &[], &mut |fields| {
            if let [Some(run), Some(session)] = fields {
                each(run, session);
            }
            Ok(true)
        })
    }

    /// Calls `each` with every session that is there.
    pub fn each_session(&self, backend: &mut dyn Backend, each: &mut dyn FnMut(SessionThere<'_>)) -> Result<()> {
        let dialect = backend.dialect();
        let sql = format!(
            "SELECT session_id, session_type, {}, CASE session_type WHEN 'team' THEN team_id WHEN 'workflow' THEN workflow_id \
               ELSE agent_id END FROM {}",
            dialect.as_text("created_at"),
            dialect.table(&self.name)
        );
        backend.scan(&sql, &[], &mut |fields| {
            if let [id, session_type, created_at, owner] = *fields {
                let [id, session_type, created_at, owner] =
                    [id, session_type, created_at, owner].map(Option::unwrap_or_default);
                each(SessionThere { id, session_type, created_at, owner });
            }
            Ok(true)
        })
    }

    /// Calls `each` with the id and the user of every memory that is there.
    pub fn each_memory(&self, backend: &mut dyn Backend, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let sql = format!("SELECT memory_id, user_id FROM {}", backend.dialect().table(&self.name));
        backend.scan(&sql, &[], &mut |fields| {
            if let [Some(id), user] = *fields {
                each(id, user.unwrap_or_default());
            }
            Ok(true)
        })
    }
}

fn run_field(session: &Session, index: usize, run: &mut Run, column: &str) -> Option<String> {
    let row = &run.row;
    match column {
        "run_id" => Some(row.run_id.clone()),
        "session_id" => Some(session.session_id.clone()),
        "run_type" => Some(row.run_type.unwrap_or(&session.session_type).to_owned()),
        "agent_id" => row.agent_id.clone(),
        "team_id" => row.team_id.clone(),
        "workflow_id" => row.workflow_id.clone(),
        "user_id" => session.user_id.clone(),
        "parent_run_id" => row.parent_run_id.clone(),
        "status" => row.status.clone(),
        "run_index" => Some(index.to_string()),
        "run_data" => Some(std::mem::take(&mut run.json)),
        "created_at" | "updated_at" => row.created_at.or(session.created_at).map(|at| at.to_string()),
        _ => None,
    }
}
