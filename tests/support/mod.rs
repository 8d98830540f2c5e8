//! What the tests share: fresh copies of fixtures, commands in-process, and databases as values that can be compared.
#![allow(dead_code)]

use agno_migrate::cli::Cli;
use agno_migrate::commands;
use agno_migrate::progress::Silent;
use agno_migrate::report::Report;
use clap::Parser;
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The releases that wrote a fixture, and the schema they speak.
pub const RELEASES: [(&str, &str); 6] = [
    ("2.0.11", "2.0.0"),
    ("2.2.13", "2.0.0"),
    ("2.4.8", "2.3.0"),
    ("2.5.5", "2.5.0"),
    ("2.9.0", "2.5.6"),
    ("3.1.10", "3.0.0"),
];

/// Every schema version.
pub const SCHEMAS: [&str; 5] = ["2.0.0", "2.3.0", "2.5.0", "2.5.6", "3.0.0"];

/// A database of its own for a test.
pub struct Database {
    folder: TempDir,
    pub path: PathBuf,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sqlite")
}

impl Database {
    /// What a release wrote.
    pub fn of(release: &str) -> Database {
        let database = Database::empty();
        std::fs::copy(fixtures().join(format!("agno-{release}.db")), &database.path).expect("the fixture");
        database
    }

    /// A file that does not exist yet.
    pub fn empty() -> Database {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agno.db");
        Database { folder, path }
    }

    /// The tables a release makes, without rows.
    pub fn fresh(release: &str) -> Database {
        let database = Database::empty();
        database.sql(&std::fs::read_to_string(fixtures().join(format!("fresh-{release}.sql"))).expect("the DDL"));
        database
    }

    pub fn open(&self) -> Connection {
        let connection = Connection::open(&self.path).expect("opens");
        connection.pragma_update(None, "foreign_keys", false).expect("a pragma");
        connection
    }

    pub fn sql(&self, sql: &str) {
        self.open().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first column of the first row, as text.
    pub fn one(&self, sql: &str) -> String {
        let value = self.open().query_row(sql, [], |row| row.get::<_, Value>(0)).unwrap_or_else(|e| panic!("{sql}: {e}"));
        text(&value)
    }

    /// Runs a command in this process.
    pub fn run(&self, arguments: &[&str]) -> Report {
        let db = self.path.to_str().expect("UTF-8");
        let all = ["agno-migrate"].into_iter().chain(arguments.iter().copied()).chain(["--db", db]);
        let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
        commands::run(&cli, &mut Silent, &mut |_| Ok(true))
    }

    /// Runs a command that must end well.
    pub fn ok(&self, arguments: &[&str]) -> Report {
        let report = self.run(arguments);
        assert_eq!((report.failure.as_deref(), report.exit_code), (None, 0), "{arguments:?}\n{}", report.to_json());
        report
    }

    /// Runs a command that must be refused, and returns why.
    pub fn refused(&self, arguments: &[&str], exit_code: u8) -> String {
        let before = self.dump();
        let report = self.run(arguments);
        assert_eq!(report.exit_code, exit_code, "{arguments:?}\n{}", report.to_json());
        assert_eq!(self.dump(), before, "a refused command changed something");
        report.failure.expect("a reason")
    }

    /// The binary, on this database.
    pub fn binary(&self, arguments: &[&str]) -> Output {
        binary().args(arguments).arg("--db").arg(&self.path).output().expect("the binary runs")
    }

    /// Every row of every table but the version table, as comparable values.
    pub fn dump(&self) -> Dump {
        dump(&self.open())
    }

    /// The stamps.
    pub fn stamps(&self) -> BTreeMap<String, String> {
        let connection = self.open();
        let Ok(mut statement) = connection.prepare("SELECT table_name, version FROM agno_schema_versions") else {
            return BTreeMap::new();
        };
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").map(|row| row.expect("a row")).collect()
    }

    /// The shape of a table, as comparable text.
    pub fn shape(&self, table: &str) -> BTreeSet<String> {
        shape(&self.open(), table)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The binary, with none of the environment's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agno-migrate"));
    command.env_remove("AGNO_DB_URL").env_remove("DATABASE_URL").env_remove("NO_COLOR");
    command
}

/// Tables, each a sorted list of rows.
pub type Dump = BTreeMap<String, Vec<String>>;

pub fn dump(connection: &Connection) -> Dump {
    let mut tables = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'agno_schema_versions' \
         AND name NOT LIKE 'sqlite_%'",
        )
        .expect("tables");
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0)).expect("tables").map(|row| row.expect("a name")).collect();
    tables.into_iter().map(|table| (table.clone(), rows(connection, &table))).collect()
}

/// Equal, or a panic that names the tables and the first rows that differ.
pub fn assert_same(left: &Dump, right: &Dump, what: &str) {
    for table in left.keys().chain(right.keys()) {
        let none = Vec::new();
        let (left, right) = (left.get(table).unwrap_or(&none), right.get(table).unwrap_or(&none));
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|row| !those.contains(row)).map(|row| format!("{row:.600}")).take(2).collect::<Vec<_>>()
        };
        assert!(left == right, "{what}: {table}\nonly left: {:#?}\nonly right: {:#?}", only(left, right), only(right, left));
    }
}

pub fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a table");
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let is_sessions = names.iter().any(|name| name == "session_type");
    let runs = if table == "agno_sessions" { "agno_runs".to_owned() } else { format!("{table}_runs") };
    let has_runs = connection.prepare(&format!("SELECT 1 FROM \"{runs}\"")).is_ok();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let mut fields = BTreeMap::new();
            for (at, name) in names.iter().enumerate() {
                let value = match row.get_ref(at)? {
                    ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
                    other => other.into(),
                };
                if is_sessions && has_runs && name == "runs" {
                    // Retained, and no part of what the database says.
                    continue;
                }
                // Going down encodes what Agno 3 wrote once in sessions twice: the same data.
                let value = if is_sessions { decoded(&text(&value)) } else { format!("{value:?}") };
                fields.insert(name.clone(), value);
            }
            Ok(format!("{fields:?}"))
        })
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    rows.sort();
    rows
}

/// JSON in a JSON string, as the JSON it holds.
fn decoded(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(inner) if inner.starts_with(['{', '[']) => inner,
        _ => text.to_owned(),
    }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(int) => int.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Columns with types and nullability, keys, unique and other indexes by what they cover; column order and names aside.
pub fn shape(connection: &Connection, table: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut add = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = statement.query_map([table], |row| row.get::<_, String>(0)).expect("facts");
        facts.extend(found.map(|fact| fact.expect("a fact")));
    };
    add("SELECT 'column ' || name || ' ' || replace(type, 'TEXT', 'VARCHAR') || iif(\"notnull\", ' NOT NULL', '') || \
         iif(pk, ' KEY', '') FROM pragma_table_xinfo(?1)");
    add("SELECT iif(i.\"unique\", 'unique ', 'index ') || (SELECT group_concat(name) FROM pragma_index_info(i.name)) || \
         coalesce(' WHERE' || nullif(substr(s.sql, instr(s.sql, ' WHERE ') + 6), s.sql), '') \
         FROM pragma_index_list(?1) i LEFT JOIN sqlite_schema s ON s.name = i.name WHERE instr(coalesce(s.sql, ''), ' WHERE ') > 0");
    add("SELECT iif(i.\"unique\", 'unique ', 'index ') || (SELECT group_concat(name) FROM pragma_index_info(i.name)) \
         FROM pragma_index_list(?1) i LEFT JOIN sqlite_schema s ON s.name = i.name WHERE instr(coalesce(s.sql, ''), ' WHERE ') = 0");
    add("SELECT 'foreign key ' || \"from\" || ' ' || \"table\" || ' ' || on_delete FROM pragma_foreign_key_list(?1)");
    facts
}

/// The default name of every table type.
pub const DEFAULTS: [&str; 12] = [
    "agno_memories",
    "agno_sessions",
    "agno_runs",
    "agno_metrics",
    "agno_eval_runs",
    "agno_knowledge",
    "agno_culture",
    "agno_approvals",
    "agno_components",
    "agno_schedules",
    "agno_schedule_runs",
    "agno_learnings",
];
