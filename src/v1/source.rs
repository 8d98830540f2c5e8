//! The tables of Agno v1 and phidata in a database, found by their shape, and their rows.

use crate::backend::{Backend, Catalog, Value};
use crate::convert::v1::{MemoryRow, Mode, Notation, SessionRow, time};
use crate::schema::{ColumnType, Shape};
use anyhow::Result;

/// What a v1 table keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Sessions of teams.
    Teams,
    /// Sessions of workflows.
    Workflows,
    /// Sessions of agents; also tables that served several of the three.
    Agents,
    /// Memories.
    Memories,
    /// Documents of PgVector without content_id.
    Vectors,
}

impl Kind {
    /// The word of `--table` for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Teams => "v1-teams",
            Kind::Workflows => "v1-workflows",
            Kind::Agents => "v1-agents",
            Kind::Memories => "v1-memories",
            Kind::Vectors => "vectors",
        }
    }

    /// The kind a word of `--table` stands for.
    pub fn from_word(word: &str) -> Option<Kind> {
        [Kind::Teams, Kind::Workflows, Kind::Agents, Kind::Memories].into_iter().find(|kind| kind.word() == word)
    }

    /// Whether it keeps sessions.
    pub fn is_storage(self) -> bool {
        matches!(self, Kind::Teams | Kind::Workflows | Kind::Agents)
    }

    /// What the conversion of its rows is told.
    pub fn mode(self) -> Mode {
        match self {
            Kind::Teams => Mode::Team,
            Kind::Workflows => Mode::Workflow,
            _ => Mode::Agent,
        }
    }
}

/// What a table of v1 keeps, by its columns. Source: `agno/storage/`, `agno/memory/` and `agno/vectordb/pgvector/` of Agno 1.0.0
/// to 1.8.4, `phi/storage/` of phidata 2.7.10.
pub fn kind_of(shape: &Shape) -> Option<Kind> {
    let has = |columns: &[&str]| columns.iter().all(|column| shape.column(column).is_some());
    if has(&["session_type"]) || has(&["memory_id"]) {
        return None;
    }
    if has_vectors(shape) {
        return (!has(&["content_id"])).then_some(Kind::Vectors);
    }
    let session =
        has(&["session_id", "session_data", "created_at", "updated_at"]) && (has(&["extra_data"]) || has(&["user_data"]));
    if session && (has(&["memory"]) || has(&["workflow_name", "runs"])) {
        let (agent, team) = (has(&["agent_id", "agent_data"]), has(&["team_id", "team_data"]));
        let workflow = has(&["workflow_id", "workflow_data"]) || has(&["workflow_name", "runs"]);
        return match (agent, team, workflow) {
            (false, true, false) => Some(Kind::Teams),
            (false, false, true) => Some(Kind::Workflows),
            (false, false, false) => None,
            // Of several modes: the kind is decided row by row.
            _ => Some(Kind::Agents),
        };
    }
    (has(&["id", "user_id", "memory", "created_at", "updated_at"]) && shape.columns.len() <= 6).then_some(Kind::Memories)
}

/// The columns that v2 has in PgVector tables beyond those of v1, each with an index.
pub const VECTOR_COLUMNS: [&str; 2] = ["content_hash", "content_id"];

/// Whether a column has an index of its own.
pub fn has_index(shape: &Shape, column: &str) -> bool {
    shape.indexes.iter().any(|index| index.valid && index.columns == [column])
}

/// Whether a table is one of PgVector's, of any release.
pub fn has_vectors(shape: &Shape) -> bool {
    ["id", "name", "meta_data", "filters", "content", "embedding", "usage"]
        .iter()
        .all(|column| shape.column(column).is_some())
}

/// A v1 table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The number of its database among the sources.
    pub source: usize,
    /// Its name.
    pub name: String,
    /// What it keeps.
    pub kind: Kind,
    /// What it has.
    pub shape: Shape,
}

/// The v1 tables of a database.
pub fn tables(catalog: &Catalog, source: usize) -> Vec<Table> {
    let of = |(name, shape): (&String, &Shape)| {
        // Also with the columns, the indexes may be missing.
        let lacks = || has_vectors(shape) && VECTOR_COLUMNS.iter().any(|column| !has_index(shape, column));
        let kind = kind_of(shape).or_else(|| lacks().then_some(Kind::Vectors))?;
        Some(Table { source, name: name.clone(), kind, shape: shape.clone() })
    };
    catalog.tables.iter().filter_map(of).collect()
}

/// The columns of a session row, in the order of [`SessionRow`].
const SESSION: [&str; 18] = [
    "session_id",
    "user_id",
    "agent_id",
    "team_id",
    "workflow_id",
    "workflow_name",
    "team_session_id",
    "memory",
    "session_data",
    "extra_data",
    "agent_data",
    "team_data",
    "workflow_data",
    "runs",
    "user_data",
    "session_state",
    "created_at",
    "updated_at",
];

/// The columns of a memory row, in the order of [`MemoryRow`].
const MEMORY: [&str; 5] = ["id", "user_id", "memory", "created_at", "updated_at"];

/// Where a page begins. By key, so that no page reads the rows before it; by number only behind keys that are no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first row.
    Start,
    /// Behind a key, with the number of rows up to it.
    Key {
        /// The key.
        key: String,
        /// Rows that were had.
        rows: u64,
    },
    /// Behind so many rows.
    Row(u64),
}

/// The key of a row is text.
const TEXT_KEY: &str = "1";

/// The key is bytes or a number that reads like the key of another row: v2 has one text for both.
const READS_LIKE_ANOTHER: &str = "2";

/// Whether two rows have one key, as v2 writes it.
pub fn shares_key(fields: Fields<'_>) -> bool {
    fields.last().copied().flatten() == Some(READS_LIKE_ANOTHER.as_bytes())
}

/// Rows of a page. A page of a server comes whole: a row may be large.
const PAGE: usize = 50;

/// The fields of a row, as bytes.
pub type Fields<'f> = &'f [Option<&'f [u8]>];

impl Table {
    /// Whether it has rows of agents and of others.
    pub fn serves_several(&self) -> bool {
        let columns = ["team_data", "workflow_data", "workflow_name"];
        self.kind == Kind::Agents && columns.iter().any(|column| self.shape.column(column).is_some())
    }

    /// The column its rows are read in the order of.
    pub fn key(&self) -> &'static str {
        if self.kind.is_storage() { "session_id" } else { "id" }
    }

    fn select(&self, backend: &dyn Backend) -> String {
        let columns: &[&str] = if self.kind.is_storage() { &SESSION } else { &MEMORY };
        let dialect = backend.dialect();
        let column = |name: &&str| match self.shape.column(name) {
            Some(_) => dialect.as_text(&dialect.quote(name)),
            None => "NULL".to_owned(),
        };
        let columns = columns.iter().map(column).collect::<Vec<_>>().join(", ");
        let (table, key) = (dialect.table(&self.name), dialect.quote(self.key()));
        // What kind of key it has comes last.
        format!(
            "SELECT {columns}, CASE WHEN {is_text} THEN '{TEXT_KEY}' \
               WHEN EXISTS (SELECT 1 FROM {table} other WHERE other.{key} = CAST(one.{key} AS TEXT)) THEN '{READS_LIKE_ANOTHER}' \
             END FROM {table} one",
            is_text = dialect.is_text(&format!("one.{key}")),
        )
    }

    /// Calls `each` with the next page of rows; returns where the page after it begins, `None` when there are no more.
    pub fn page(
        &self,
        backend: &mut dyn Backend,
        from: &From,
        each: &mut dyn FnMut(Fields<'_>) -> Result<()>,
    ) -> Result<Option<From>> {
        let key = backend.dialect().quote(self.key());
        let (rows, parameters) = match from {
            From::Start => (format!("{key} IS NOT NULL ORDER BY {key} LIMIT {PAGE}"), Vec::new()),
            From::Key { key: after, .. } => {
                (format!("{key} > $1 ORDER BY {key} LIMIT {PAGE}"), vec![Value::from(after.as_str())])
            }
            From::Row(rows) => (format!("{key} IS NOT NULL ORDER BY {key} LIMIT {PAGE} OFFSET {rows}"), Vec::new()),
        };
        let sql = format!("{} WHERE {rows}", self.select(backend));
        let (mut rows, in_order) = match from {
            From::Start => (0, true),
            From::Key { rows, .. } => (*rows, true),
            From::Row(rows) => (*rows, false),
        };
        let mut next = None;
        backend.scan(&sql, &parameters, &mut |fields| {
            let key = fields.first().copied().flatten().unwrap_or_default();
            rows += 1;
            let is_text = fields.last().copied().flatten() == Some(TEXT_KEY.as_bytes());
            // Bytes that read like text are in another place of the order than that text.
            next = Some(match std::str::from_utf8(key) {
                Ok(key) if in_order && is_text => From::Key { key: key.to_owned(), rows },
                _ => From::Row(rows),
            });
            each(fields)?;
            Ok(matches!(next, Some(From::Key { .. })) || !in_order)
        })?;
        Ok(next)
    }

    /// Calls `each` with the row of a key, if there is one.
    pub fn row(&self, backend: &mut dyn Backend, key: &str, each: &mut dyn FnMut(Fields<'_>) -> Result<()>) -> Result<()> {
        let dialect = backend.dialect();
        let sql = format!("{} WHERE {}", self.select(backend), dialect.reads_like(&dialect.quote(self.key()), "$1"));
        backend.scan(&sql, &[key.into()], &mut |fields| {
            // One that reads like another is no row of v2.
            if !shares_key(fields) {
                each(fields)?;
            }
            Ok(true)
        })
    }

    /// How its memories are written: JSON where the column is, else the repr of Python.
    pub fn notation(&self) -> Notation {
        match self.shape.column("memory").and_then(|column| column.column_type) {
            Some(ColumnType::Json | ColumnType::Jsonb) => Notation::Json,
            _ => Notation::Python,
        }
    }

    /// Rows without a key, which nothing can name.
    pub fn without_key(&self, backend: &mut dyn Backend) -> Result<u64> {
        let dialect = backend.dialect();
        let sql = format!("SELECT count(*) FROM {} WHERE {} IS NULL", dialect.table(&self.name), dialect.quote(self.key()));
        number(backend, &sql).map(|count| count.unwrap_or(0).unsigned_abs())
    }

    /// How many rows it has.
    pub fn rows(&self, backend: &mut dyn Backend) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", backend.dialect().table(&self.name));
        number(backend, &sql).map(|count| count.unwrap_or(0).unsigned_abs())
    }

    /// The earliest created_at of its rows, in seconds since 1970, whatever unit they are in.
    pub fn earliest(&self, backend: &mut dyn Backend) -> Result<Option<i64>> {
        let dialect = backend.dialect();
        let bounds = UNITS.windows(2).map(|bounds| format!("created_at >= {} AND created_at < {}", bounds[0], bounds[1]));
        // Text, an ISO time, is more than any number.
        let last = UNITS.last().map(|bound| format!("created_at >= {bound}"));
        let minimum = |of: String| dialect.as_text(&format!("min(CASE WHEN {of} THEN created_at END)"));
        let minima = bounds.chain(last).map(minimum).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {minima} FROM {}", dialect.table(&self.name));
        Ok(backend.query(&sql, &[])?.into_iter().flatten().flatten().filter_map(|text| time::epoch(&text)).min())
    }
}

/// Where times begin that are in seconds, milli-, micro- and nanoseconds.
const UNITS: [i64; 4] = [1, 100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000];

fn number(backend: &mut dyn Backend, sql: &str) -> Result<Option<i64>> {
    Ok(backend.query(sql, &[])?.into_iter().flatten().flatten().next().and_then(|text| text.parse().ok()))
}

/// A session row of fields in the order of the page.
pub fn session_row<'f>(fields: Fields<'f>) -> SessionRow<'f> {
    let field = |at: usize| fields.get(at).copied().flatten();
    SessionRow {
        session_id: field(0),
        user_id: field(1),
        agent_id: field(2),
        team_id: field(3),
        workflow_id: field(4),
        workflow_name: field(5),
        team_session_id: field(6),
        memory: field(7),
        session_data: field(8),
        extra_data: field(9),
        agent_data: field(10),
        team_data: field(11),
        workflow_data: field(12),
        runs: field(13),
        user_data: field(14),
        session_state: field(15),
        created_at: field(16),
        updated_at: field(17),
    }
}

/// A memory row of fields in the order of the page.
pub fn memory_row<'f>(fields: Fields<'f>) -> MemoryRow<'f> {
    let field = |at: usize| fields.get(at).copied().flatten();
    MemoryRow { id: field(0), user_id: field(1), memory: field(2), created_at: field(3), updated_at: field(4) }
}
