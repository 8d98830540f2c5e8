//! The words the declaration is written in. A [`Step`] is a fact a table should satisfy, not a command to run.

use super::tables::NewTable;
use std::fmt;

/// Which way a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Make the fact hold.
    Up,
    /// Make it not hold any more, without losing a value.
    Down,
}

/// What a column holds. Each dialect has its own type for it; two that it writes alike are one to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A string, VARCHAR without a limit.
    Varchar,
    /// A string, TEXT. Compares equal to [`ColumnType::Varchar`] when shapes are judged.
    Text,
    /// JSON kept as text.
    Json,
    /// JSON kept parsed, where the database can.
    Jsonb,
    /// A 64-bit integer; times are seconds since 1970 UTC.
    BigInt,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnType::Varchar => "VARCHAR",
            ColumnType::Text => "TEXT",
            ColumnType::Json => "JSON",
            ColumnType::Jsonb => "JSONB",
            ColumnType::BigInt => "BIGINT",
        })
    }
}

/// A column that a version adds or that a new table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// NOT NULL.
    pub required: bool,
    /// SQL for the value of rows that were there before; `{now}` is the second the command started. Nothing of it stays as a
    /// default.
    pub fill: Option<&'static str>,
}

impl Column {
    /// A nullable column.
    pub const fn new(name: &'static str, column_type: ColumnType) -> Column {
        Column { name, column_type, required: false, fill: None }
    }

    /// NOT NULL; rows that are there get the value of the SQL expression `fill`.
    pub const fn filled(self, fill: &'static str) -> Column {
        Column { required: true, fill: Some(fill), ..self }
    }
}

/// A nullable VARCHAR column.
pub const fn text(name: &'static str) -> Column {
    Column::new(name, ColumnType::Varchar)
}

/// A NOT NULL column of a table that is created empty.
pub const fn required(name: &'static str, column_type: ColumnType) -> Column {
    Column { required: true, ..Column::new(name, column_type) }
}

/// The rows a partial index covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Rows where the column is NULL.
    Null(&'static str),
    /// Rows where it is not.
    NotNull(&'static str),
}

/// An index that a version wants. It is found by what it covers, never by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its columns, in order.
    pub columns: &'static [&'static str],
    /// Two rows may not have equal values in them.
    pub unique: bool,
    /// The rows it covers; all without one.
    pub condition: Option<Condition>,
    /// Built beside the application's work, outside the transaction, where the database can: its tables are large.
    pub apart: bool,
    /// The name is `<table>_<suffix>`; without one `idx_<table>_<columns joined by _>`.
    pub suffix: Option<&'static str>,
}

impl Index {
    /// A plain index.
    pub const fn on(columns: &'static [&'static str]) -> Index {
        Index { columns, unique: false, condition: None, apart: false, suffix: None }
    }

    /// A unique index over some of the rows, named `<table>_<suffix>`.
    pub const fn unique_where(suffix: &'static str, columns: &'static [&'static str], condition: Condition) -> Index {
        Index { columns, unique: true, condition: Some(condition), apart: false, suffix: Some(suffix) }
    }

    /// A unique key of the table, named `<table>_<suffix>`.
    pub const fn key(suffix: &'static str, columns: &'static [&'static str]) -> Index {
        Index { columns, unique: true, condition: None, apart: false, suffix: Some(suffix) }
    }

    /// The same, built outside the transaction where the database can.
    pub const fn apart(self) -> Index {
        Index { apart: true, ..self }
    }

    /// The name Agno gives it on `table`, before a dialect fits it to its limits.
    pub fn name(&self, table: &str) -> String {
        match self.suffix {
            Some(suffix) => format!("{table}_{suffix}"),
            None => format!("idx_{table}_{}", self.columns.join("_")),
        }
    }
}

/// A column whose type a version changes; the values stay what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retype {
    /// The column.
    pub column: &'static str,
    /// Its type before.
    pub from: ColumnType,
    /// Its type after.
    pub to: ColumnType,
}

/// JSON kept as text becomes JSON kept parsed.
pub const fn parsed(column: &'static str) -> Retype {
    Retype { column, from: ColumnType::Json, to: ColumnType::Jsonb }
}

/// VARCHAR becomes TEXT.
pub const fn widened(column: &'static str) -> Retype {
    Retype { column, from: ColumnType::Varchar, to: ColumnType::Text }
}

/// Rows that change their place or form. What each does is code, in `convert` and the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Each element of `runs` becomes a row of the runs table; back, the rows become the list that Agno 3 shows.
    Runs,
    /// The JSON columns of sessions, as the releases of older schemas read them. Going up they stay as they are: newer releases read
    /// either.
    Encoding,
    /// The newest, unfinished, unowned day of metrics goes, so that the app computes it again per user. Nothing to do going
    /// back: the app computes it again for all users.
    OpenDay,
    /// Rows that belong to one user have no place in the older key: going down they wait in the archive.
    OwnedRows,
    /// Entity memories of one user move to a key that names the user. Not undone: the old key is shared across users.
    EntityKeys,
}

/// What a version wants of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A table beside it, named by the runs rule, with its keys and indexes.
    CreateTable(&'static NewTable),
    /// A column. Going down its values go to the archive first.
    AddColumn(Column),
    /// An index.
    CreateIndex(Index),
    /// Columns of other types, all changed at once.
    Retype(&'static [Retype]),
    /// A primary key in place of a unique key on the same column; held by databases that had it from the start.
    PrimaryKey {
        /// The column.
        column: &'static str,
        /// The suffix of the unique key's name.
        unique: &'static str,
    },
    /// One unique key in place of another.
    MoveKey {
        /// The key before.
        from: Index,
        /// The key after.
        to: Index,
    },
    /// A column that the version has no use for but that stays until `cleanup`; going down it is there again.
    Retire(Column),
    /// Rows that move.
    Move(Move),
}

impl Move {
    /// What it does, as the object of a sentence.
    pub fn describe(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Move::Runs, Direction::Up) => "copy each run of the column runs into a row of the runs table",
            (Move::Runs, Direction::Down) => "put the rows of the runs table back into the column runs",
            (Move::Encoding, Direction::Up) => "leave the JSON of sessions encoded as it is",
            (Move::Encoding, Direction::Down) => "encode the JSON of sessions as Agno 2 reads it",
            (Move::OpenDay, Direction::Up) => "clear the newest unfinished day, which the app computes again per user",
            (Move::OpenDay, Direction::Down) => "leave the open day to the app",
            (Move::OwnedRows, Direction::Up) => "put archived rows of single users back",
            (Move::OwnedRows, Direction::Down) => "archive the rows of single users",
            (Move::EntityKeys, Direction::Up) => "move entity memories of single users to keys that name the user",
            (Move::EntityKeys, Direction::Down) => {
                "leave entity memories on their keys: the old keys are shared across users"
            }
        }
    }

    /// The same when it is done.
    pub fn done(self, direction: Direction) -> String {
        let to_do = self.describe(direction);
        let (verb, rest) = to_do.split_once(' ').unwrap_or((to_do, ""));
        let done = match verb {
            "copy" => "copied",
            "leave" => "left",
            "encode" => "encoded",
            "clear" => "cleared",
            "archive" => "archived",
            "move" => "moved",
            same => same,
        };
        format!("{done} {rest}")
    }
}

impl Step {
    /// What it wants, for people: `a column user_id, indexed`. The docs of the versions are made of these.
    pub fn describe(&self) -> String {
        match self {
            Step::CreateTable(table) => {
                format!("a runs table: key {}, {} indexes, rows go with their session", table.key, table.indexes.len())
            }
            Step::AddColumn(column) => {
                let null = if column.required { " NOT NULL" } else { "" };
                let fill = column.fill.map_or(String::new(), |fill| {
                    format!(", rows that are there get {}", fill.replace("{now}", "the time the command started"))
                });
                format!("column {} {}{null}{fill}", column.name, column.column_type)
            }
            Step::CreateIndex(index) => format!(
                "{}index on ({}){}",
                if index.unique { "unique " } else { "" },
                index.columns.join(", "),
                match index.condition {
                    None => String::new(),
                    Some(Condition::Null(column)) => format!(" where {column} is NULL"),
                    Some(Condition::NotNull(column)) => format!(" where {column} is not NULL"),
                }
            ),
            Step::Retype(retypes) => {
                let of =
                    |to: ColumnType| retypes.iter().filter(|r| r.to == to).map(|r| r.column).collect::<Vec<_>>().join(", ");
                let mut parts = Vec::new();
                if retypes.iter().any(|r| r.to == ColumnType::Jsonb) {
                    parts.push(format!("JSON becomes JSONB where the database has it: {}", of(ColumnType::Jsonb)));
                }
                if retypes.iter().any(|r| r.to == ColumnType::Text) {
                    parts.push(format!("VARCHAR becomes TEXT where they differ: {}", of(ColumnType::Text)));
                }
                parts.join("; ")
            }
            Step::PrimaryKey { column, .. } => format!("primary key ({column}) where it was only unique"),
            Step::MoveKey { from, to } => {
                format!("unique ({}) becomes unique ({})", from.columns.join(", "), to.columns.join(", "))
            }
            Step::Retire(column) => format!("column {} is no longer used; it stays until it is dropped", column.name),
            Step::Move(rows) => rows.describe(Direction::Up).to_owned(),
        }
    }
}
