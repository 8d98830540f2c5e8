//! What the tests share: fresh copies of fixtures, commands in-process, and databases as values that can be compared.
#![allow(dead_code)]

pub mod postgres;
pub mod sqlite;
pub mod v1;

use agno_migrate::cli::Cli;
use agno_migrate::commands::{self, Answer};
use agno_migrate::progress::Silent;
use agno_migrate::report::Report;
use clap::Parser;
use rusqlite::Connection;
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

/// A kind of database that the contract is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    /// The server at this place in [`postgres::servers`].
    Postgres(usize),
}

/// Every kind there is: SQLite, and the servers in AGNO_MIGRATE_TEST_POSTGRES (URLs of superusers, separated by blanks).
pub fn kinds() -> Vec<Kind> {
    let servers = postgres::servers();
    if servers.is_empty() {
        assert!(std::env::var_os("AGNO_MIGRATE_TEST_ALL").is_none(), "AGNO_MIGRATE_TEST_POSTGRES names no server");
        eprintln!("skipped on PostgreSQL: AGNO_MIGRATE_TEST_POSTGRES names no server (tests/run starts some)");
    }
    std::iter::once(Kind::Sqlite).chain((0..servers.len()).map(Kind::Postgres)).collect()
}

impl Kind {
    pub fn fixtures(self) -> PathBuf {
        let folder = if self == Kind::Sqlite { "sqlite" } else { "postgres" };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
    }

    /// What a release wrote.
    pub fn of(self, release: &str) -> Database {
        match self {
            Kind::Sqlite => {
                let database = Database::empty();
                std::fs::copy(self.fixtures().join(format!("agno-{release}.db")), &database.path).expect("the fixture");
                database
            }
            Kind::Postgres(server) => postgres::database(server, &format!("agno-{release}")),
        }
    }

    /// The tables a release makes, without rows.
    pub fn fresh(self, release: &str) -> Database {
        match self {
            Kind::Sqlite => {
                let database = Database::empty();
                let ddl = std::fs::read_to_string(self.fixtures().join(format!("fresh-{release}.sql")));
                database.sql(&ddl.expect("the DDL"));
                database
            }
            Kind::Postgres(server) => postgres::database(server, &format!("fresh-{release}")),
        }
    }
}

/// A database of its own for a test.
pub struct Database {
    pub kind: Kind,
    folder: TempDir,
    /// The file; on a server nothing.
    pub path: PathBuf,
    /// What --db takes.
    pub url: String,
}

impl Database {
    /// What a release wrote, in SQLite.
    pub fn of(release: &str) -> Database {
        Kind::Sqlite.of(release)
    }

    /// The tables a release makes in SQLite, without rows.
    pub fn fresh(release: &str) -> Database {
        Kind::Sqlite.fresh(release)
    }

    /// A file that does not exist yet.
    pub fn empty() -> Database {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agno.db");
        let url = path.to_str().expect("UTF-8").to_owned();
        Database { kind: Kind::Sqlite, folder, path, url }
    }

    pub fn open(&self) -> Connection {
        assert_eq!(self.kind, Kind::Sqlite);
        let connection = Connection::open(&self.path).expect("opens");
        connection.pragma_update(None, "foreign_keys", false).expect("a pragma");
        connection
    }

    pub fn sql(&self, sql: &str) {
        match self.kind {
            Kind::Sqlite => self.open().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}")),
            Kind::Postgres(_) => postgres::connect(&self.url).batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}")),
        }
    }

    /// The rows of a query, as text.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        match self.kind {
            Kind::Sqlite => sqlite::query(&self.open(), sql),
            Kind::Postgres(_) => postgres::query(&self.url, sql),
        }
    }

    /// The first column of the first row, as text.
    pub fn one(&self, sql: &str) -> String {
        let rows = self.query(sql);
        rows.first().and_then(|row| row.first()).unwrap_or_else(|| panic!("{sql}: no row")).clone()
    }

    /// Runs a command in this process.
    pub fn run(&self, arguments: &[&str]) -> Report {
        let all = ["agno-migrate"].into_iter().chain(arguments.iter().copied()).chain(["--db", &self.url]);
        let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
        commands::run(&cli, &mut Silent, &mut |_| Ok(Answer::Yes))
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
        binary().args(arguments).args(["--db", &self.url]).output().expect("the binary runs")
    }

    /// Every row of every table but the version table, as comparable values.
    pub fn dump(&self) -> Dump {
        match self.kind {
            Kind::Sqlite => sqlite::dump(&self.open()),
            Kind::Postgres(_) => postgres::dump(&self.url),
        }
    }

    /// Whether there is such a table.
    pub fn has(&self, table: &str) -> bool {
        !self.shape(table).is_empty()
    }

    /// The stamps.
    pub fn stamps(&self) -> BTreeMap<String, String> {
        if !self.has("agno_schema_versions") {
            return BTreeMap::new();
        }
        let rows = self.query("SELECT table_name, version FROM agno_schema_versions");
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    }

    /// The shapes of these tables, asked over one connection; without those that are not there.
    pub fn shapes(&self, tables: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let shapes = match self.kind {
            Kind::Sqlite => {
                let connection = self.open();
                tables.iter().map(|table| sqlite::shape(&connection, table)).collect()
            }
            Kind::Postgres(_) => postgres::shapes(&self.url, tables),
        };
        let named = tables.iter().map(|table| (*table).to_owned()).zip(shapes);
        named.filter(|(_, shape)| !shape.is_empty()).collect()
    }

    /// The shape of a table, as comparable text.
    pub fn shape(&self, table: &str) -> BTreeSet<String> {
        match self.kind {
            Kind::Sqlite => sqlite::shape(&self.open(), table),
            Kind::Postgres(_) => postgres::shape(&self.url, table),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Database {
    /// A database of a test that failed stays, to be looked at; thousands of the others would fill the disk.
    fn drop(&mut self) {
        if self.kind != Kind::Sqlite && !std::thread::panicking() {
            postgres::remove(self);
        }
    }
}

/// Does the same on every kind at once: a test that does one after the other leaves a processor idle.
pub fn on_every_kind(each: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let begun: Vec<_> = kinds()
            .into_iter()
            .map(|kind| {
                scope.spawn({
                    let each = &each;
                    move || each(kind)
                })
            })
            .collect();
        for one in begun {
            if let Err(panic) = one.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// The binary, with none of the environment's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agno-migrate"));
    command.env_remove("AGNO_DB_URL").env_remove("DATABASE_URL").env_remove("NO_COLOR");
    command
}

/// Tables, each a sorted list of rows.
pub type Dump = BTreeMap<String, Vec<String>>;

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

/// Every difference that `verify` told, as `table: id item: what`.
pub fn differences(report: &Report) -> Vec<String> {
    let tables = report.tables.iter().map(|table| (&table.name, &table.differences));
    let accounts = report.converted.iter().map(|account| (&account.table, &account.differences));
    let mut all = Vec::new();
    for (table, differences) in tables.chain(accounts) {
        assert!(differences.named.iter().all(|one| !one.mend.is_empty()), "a way out");
        all.extend(differences.named.iter().map(|one| {
            let place = [one.id.as_deref(), one.item.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
            format!("{table}: {place}: {}", one.what)
        }));
    }
    all
}
