//! SQLite, built in.

mod definition;
mod dialect;
mod observe;
mod open;
mod rehearse;
mod runs;
mod space;

use super::{Access, Backend, Catalog, Dialect, EachRow, Moved, Row, Vacuumed, Value};
use crate::difference::Compared;
use crate::error::Stop;
use crate::plan::Action;
use crate::progress::{Event, Progress, interrupted};
use crate::schema::{ColumnShape, Shape};
use anyhow::{Context, Result, anyhow};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use observe::Known;
use open::{connect, open_to_read, wait_to_read};
use rehearse::Rehearsal;

pub use dialect::Sqlite;
pub use open::make;

/// A SQLite file.
pub struct SqliteBackend {
    connection: Connection,
    path: PathBuf,
    lock_wait: Duration,
    /// During a transaction that splits runs: see [`SqliteBackend::reader`].
    reader: Option<Connection>,
    /// From the first plan on, until a transaction begins.
    rehearsal: Option<Rehearsal>,
    /// Observed before, and the same as long as the definitions are.
    known: Known,
}

/// How long is waited between two tries to get a lock.
const POLL: Duration = Duration::from_millis(20);

/// The page cache, as SQLite counts: in KB below zero.
const CACHE: i32 = -4_000;

/// While runs move. The indexes by id, user and time grow everywhere, and what the cache does not hold of them is written over and
/// over: for 74,000 new pages of 100,000 runs 124,600 writes of pages with 4 MB, 88,200 with 10 MB and 79,100 with
/// 15 MB, a twenty-fifth less time than with 10. The process needs 13 MB besides.
const CACHE_OF_MOVE: i32 = -15_000;

/// SQLite asks so often, in steps of its machine, whether it should go on.
const STEPS_BETWEEN_CHECKS: i32 = 20_000;

impl SqliteBackend {
    /// Opens a file that exists.
    ///
    /// # Errors
    /// No such file, no file, no database, no rights: each in a sentence.
    pub fn open(path: &Path, access: Access, lock_wait: Duration) -> Result<SqliteBackend> {
        let shown = path.display();
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let root = Path::new("/").join(path);
                let hint = match path.is_relative() && root.exists() {
                    true => format!(" ({0} is there: its URL has four slashes, sqlite:///{0})", root.display()),
                    false => String::new(),
                };
                return Err(anyhow!(
                    "there is no file {shown}{hint}: give the path or the URL of the database of your Agno app with --db{}",
                    open::others_beside(path)
                ));
            }
            Err(error) => return Err(anyhow!(error).context(format!("cannot look at {shown}"))),
        };
        if metadata.is_dir() {
            return Err(anyhow!("{shown} is a directory: give the database file in it with --db"));
        }
        if !metadata.is_file() {
            return Err(anyhow!("{shown} is neither a file nor a directory: give a database file with --db"));
        }
        open::wait_for(lock_wait);
        let set_up = || -> Result<Connection> {
            let connection = match access {
                Access::Read => open_to_read(path)?,
                Access::Write => connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, "")?,
            };
            if access == Access::Write {
                // Not inside a transaction: there the first is ignored. Without them a rebuild would delete the rows of child
                // tables, and a rename would rewrite the references to the table it replaces.
                connection.pragma_update(None, "foreign_keys", false)?;
                connection.pragma_update(None, "legacy_alter_table", true)?;
                // What moves here is no change of the app's: triggers of the user's stay silent.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
                // Rows that break a CHECK of the user's are there already: a rebuild carries them over.
                connection.pragma_update(None, "ignore_check_constraints", true)?;
            }
            connection.pragma_update(None, "cache_size", CACHE)?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        };
        let connection = set_up().map_err(explained).with_context(|| format!("cannot read {shown}"))?;
        Ok(SqliteBackend::of(connection, path, lock_wait))
    }

    fn of(connection: Connection, path: &Path, lock_wait: Duration) -> SqliteBackend {
        SqliteBackend {
            connection,
            path: path.to_owned(),
            lock_wait,
            reader: None,
            rehearsal: None,
            known: Known::default(),
        }
    }

    /// A database that is not there, as an empty one: for telling what would be written to it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn imagined(path: &Path, lock_wait: Duration) -> Result<SqliteBackend> {
        let connection = Connection::open_in_memory().map_err(explain)?;
        Ok(SqliteBackend::of(connection, path, lock_wait))
    }

    /// A second connection that reads what was there when the transaction began, while this one writes. Called at its
    /// beginning, before anything is changed.
    ///
    /// In WAL mode that is what WAL is for. In the rollback modes the reader takes no locks (`immutable`): nobody else can
    /// write, page 1 is not written before the commit, the reader has parsed the schema, and what the move of runs does only
    /// adds pages: those of the sessions table stay as they are. With auto_vacuum making a table moves pages of others, so
    /// there is no such reader then; the move reads and writes in turn, at half the speed.
    fn reader(&self) -> Result<Option<Connection>> {
        let mode: String = self.connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let moves_pages: i64 = self.connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        if mode != "wal" && moves_pages != 0 {
            return Ok(None);
        }
        let options = if mode == "wal" { "" } else { "?immutable=1" };
        let reader = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
        // It reads every page once.
        reader.pragma_update(None, "cache_size", -500).map_err(explain)?;
        reader.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(explain)?;
        if mode == "wal" {
            // Holds the state of now.
            reader.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").map_err(explain)?;
        }
        Ok(Some(reader))
    }
}

/// An error of SQLite as a sentence that says what to do.
fn explain(error: rusqlite::Error) -> anyhow::Error {
    let code = error.sqlite_error_code();
    let sentence = match code {
        Some(ErrorCode::OperationInterrupted) => return Stop::Interrupted.into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if interrupted() => return Stop::Interrupted.into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            return Stop::Locked(
                "the database is locked by another program: stop the app, or wait longer with --lock-wait SECONDS"
                    .to_owned(),
            )
            .into();
        }
        Some(ErrorCode::NotADatabase) => {
            "the file is not a SQLite database (or it is encrypted): give the database file of your Agno app, or a decrypted copy, \
             with --db"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the database file is damaged: run PRAGMA integrity_check on it, and restore a backup or repair a copy with \
             sqlite3's .recover"
        }
        Some(ErrorCode::DiskFull) => "the disk is full: make room and run the command again",
        // A quota and a limit on file sizes are no full disk to SQLite.
        Some(ErrorCode::SystemIoFailure) => {
            "the disk did not read or write: it may be over a quota or a limit on file sizes (ulimit -f), or failing; make room \
             and run the command again"
        }
        Some(ErrorCode::ReadOnly) => "the database cannot be written: check the rights of the file and of its folder",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the database file cannot be opened: check the rights of the file and of its folder (SQLite makes files beside it)"
        }
        _ => return anyhow!(error),
    };
    anyhow!("{sentence} (SQLite: {error})")
}

/// The same for an error that may be one of SQLite's. What was said around it stays.
fn explained(error: anyhow::Error) -> anyhow::Error {
    let around: Vec<String> =
        error.chain().take_while(|cause| !cause.is::<rusqlite::Error>()).map(ToString::to_string).collect();
    match error.downcast::<rusqlite::Error>() {
        Ok(error) => around.into_iter().rev().fold(explain(error), anyhow::Error::context),
        Err(error) => error,
    }
}

/// Binds `$1`, `$2` .. by name: SQLite numbers such parameters by their first place in the text, not by their number.
fn bind(statement: &mut rusqlite::Statement<'_>, parameters: &[Value]) -> rusqlite::Result<()> {
    for (at, value) in parameters.iter().enumerate() {
        let Some(index) = statement.parameter_index(&format!("${}", at + 1))? else { continue };
        let value = match value {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        };
        statement.raw_bind_parameter(index, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// Any value as text. Text that is not UTF-8 shows replacement characters: it is for messages and never written back.
fn as_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(int) => Some(int.to_string()),
        ValueRef::Real(real) => Some(real.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

impl Backend for SqliteBackend {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &Sqlite
    }

    fn catalog(&mut self) -> Result<Catalog> {
        observe::catalog(&self.connection, &mut self.known).map_err(explain)
    }

    fn shape(&mut self, table: &str) -> Result<Option<Shape>> {
        observe::shape(&self.connection, table, &mut self.known).map_err(explain)
    }

    fn has_table(&mut self, table: &str) -> Result<bool> {
        observe::has_table(&self.connection, table).map_err(explain)
    }

    fn snapshot(&mut self, _: &mut dyn Progress) -> Result<()> {
        self.connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(explain)
    }

    fn begin(&mut self, wait: Duration, progress: &mut dyn Progress) -> Result<()> {
        let started = Instant::now();
        let mut told = false;
        self.rehearsal = None;
        self.connection.busy_handler(None)?;
        let outcome = loop {
            // Exclusive from the first moment: no reader can keep the pages of a large move in memory, nor block the commit.
            match self.connection.execute_batch("BEGIN EXCLUSIVE") {
                Ok(()) => break Ok(()),
                Err(error)
                    if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
                {
                    if interrupted() {
                        break Err(Stop::Interrupted.into());
                    }
                    if started.elapsed() >= wait {
                        break Err(anyhow!(Stop::Locked(format!(
                            "another program has held {} for {} seconds: stop the app or the other migration, or wait longer \
                             with --lock-wait SECONDS",
                            self.path.display(),
                            wait.as_secs()
                        ))));
                    }
                    if !told && started.elapsed() > Duration::from_secs(1) {
                        told = true;
                        progress.on(Event::Waiting(format!("waiting for a program that holds {}", self.path.display())));
                    }
                    std::thread::sleep(POLL);
                }
                Err(error) => break Err(explain(error)),
            }
        };
        self.connection.busy_handler(Some(wait_to_read))?;
        outcome
    }

    fn commit(&mut self) -> Result<()> {
        self.reader = None;
        self.connection.execute_batch("COMMIT").map_err(explain)
    }

    fn rollback(&mut self) -> Result<()> {
        self.reader = None;
        // A full disk or an interrupt may have rolled back already.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        // Once asked to stop, SQLite would refuse the statement that undoes.
        self.connection.progress_handler(STEPS_BETWEEN_CHECKS, None::<fn() -> bool>)?;
        let outcome = self.connection.execute_batch("ROLLBACK").map_err(explain);
        self.connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(interrupted))?;
        outcome
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64> {
        let run = || -> rusqlite::Result<usize> {
            let mut statement = self.connection.prepare(sql)?;
            bind(&mut statement, parameters)?;
            statement.raw_execute()
        };
        run().map(|rows| rows as u64).map_err(explain)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let width = statement.column_count();
            bind(&mut statement, parameters)?;
            let mut rows = statement.raw_query();
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push((0..width).map(|at| Ok(as_text(row.get_ref(at)?))).collect::<rusqlite::Result<Row>>()?);
            }
            Ok(all)
        };
        read().map_err(explain)
    }

    fn scan(&mut self, sql: &str, parameters: &[Value], each: EachRow<'_>) -> Result<()> {
        let mut statement = self.connection.prepare(sql).map_err(explain)?;
        let width = statement.column_count();
        bind(&mut statement, parameters).map_err(explain)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(explain)? {
            let fields = (0..width).map(|at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Null => None,
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
                    number => as_text(number).map(|text| Cow::Owned(text.into_bytes())),
                })
            });
            let fields = fields.collect::<rusqlite::Result<Vec<Option<Cow<'_, [u8]>>>>>().map_err(explain)?;
            if !each(&fields.iter().map(Option::as_deref).collect::<Vec<_>>())? {
                break;
            }
        }
        Ok(())
    }

    fn put(&mut self, table: &str, columns: &[&ColumnShape], rows: &[Vec<Option<String>>]) -> Result<u64> {
        let names = columns.iter().map(|column| Sqlite.quote(&column.name)).collect::<Vec<_>>().join(", ");
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", Sqlite.table(table));
        let put = || -> rusqlite::Result<usize> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut written = 0;
            for row in rows {
                for (at, field) in row.iter().enumerate() {
                    // A column of numbers makes a number of the text: that is its affinity.
                    let value = field.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()));
                    statement.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(value))?;
                }
                written += statement.raw_execute()?;
            }
            Ok(written)
        };
        put().map(|written| written as u64).map_err(explain)
    }

    fn read_only(&mut self) -> Result<Option<String>> {
        let shown = self.path.display();
        // Asked of a connection that would write: this one may be made to read. It takes no lock and reads nothing.
        let writer = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
        if writer.is_readonly("main").map_err(explain)? {
            return Ok(Some(format!(
                "{shown} cannot be written: give this user the right to write the file and its folder"
            )));
        }
        let folder = space::folder_of(&self.path)?;
        if let Err(error) = tempfile::tempfile_in(&folder)
            && matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
        {
            return Ok(Some(format!(
                "{} cannot be written, and SQLite makes files beside the database while it changes it: give this user the right",
                folder.display()
            )));
        }
        Ok(None)
    }

    fn rehearse(&mut self, _: &str, _: &[Action], statements: &[String]) -> Result<Vec<String>> {
        let rehearsal = Rehearsal::of(&self.connection, &mut self.rehearsal);
        rehearsal.and_then(|rehearsal| rehearsal.rehearse(statements)).map_err(explain)
    }

    fn unmovable(&mut self, runs: &str) -> Result<Option<String>> {
        let lacks_rowid = self.shape(runs)?.is_some_and(|shape| dialect::rowid_name(&shape).is_none());
        Ok(lacks_rowid.then(|| {
            format!(
                "{runs} is WITHOUT ROWID, or has columns named rowid, _rowid_ and oid, and runs are moved by their rowids: create \
                 it again as Agno does, with its rows"
            )
        }))
    }

    fn oversized(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>> {
        runs::oversized(&self.connection, sessions, runs).map_err(explain)
    }

    fn unreadable_lists(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>> {
        runs::unreadable(&self.connection, sessions, runs).map_err(explained)
    }

    fn orphans_of(&mut self, table: &str) -> Result<BTreeMap<String, u64>> {
        let orphans = || -> rusqlite::Result<BTreeMap<String, u64>> {
            let sql = "SELECT DISTINCT m.name FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
                       WHERE m.type = 'table' AND lower(f.\"table\") = lower(?1)";
            let mut children = self.connection.prepare(sql)?;
            let children: Vec<String> = children.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut orphans = BTreeMap::new();
            for child in children {
                let sql = "SELECT count(*) FROM pragma_foreign_key_check(?1) WHERE lower(parent) = lower(?2)";
                // A key on columns that are not unique is no key to SQLite, and cannot be checked: it never held anything.
                let count = self.connection.query_row(sql, [&child, table], |row| row.get::<_, i64>(0)).unwrap_or(0);
                orphans.insert(child, count.unsigned_abs());
            }
            Ok(orphans)
        };
        orphans().map_err(explain)
    }

    fn room(&mut self, sessions: &[&str]) -> Result<Option<String>> {
        runs::room(&self.connection, &self.path, sessions).map_err(explained)
    }

    fn day_begins(&self, column: &str) -> String {
        format!("unixepoch({column})")
    }

    fn before_split(&mut self) -> Result<()> {
        self.reader = self.reader().map_err(explained)?;
        Ok(())
    }

    fn split_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
        self.connection.pragma_update(None, "cache_size", CACHE_OF_MOVE).map_err(explain)?;
        let moved = runs::split(&self.connection, self.reader.take(), sessions, runs, progress).map_err(explained)?;
        self.connection.pragma_update(None, "cache_size", CACHE).map_err(explain)?;
        Ok(moved)
    }

    fn join_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
        runs::join(&self.connection, sessions, runs, progress).map_err(explained)
    }

    fn has_plain_sessions(&mut self, sessions: &str) -> Result<bool> {
        runs::has_plain(&self.connection, sessions).map_err(explain)
    }

    fn encode_sessions(&mut self, sessions: &str) -> Result<()> {
        runs::encode(&self.connection, sessions).map_err(explain)
    }

    fn room_to_vacuum(&mut self) -> Result<()> {
        space::room_to_vacuum(&self.connection, &self.path).map_err(explained)
    }

    fn vacuum(&mut self, _: &[&str], progress: &mut dyn Progress) -> Result<Vacuumed> {
        progress.on(Event::Table { name: self.name(), work: "being written anew".to_owned() });
        let vacuumed = space::vacuum(&self.connection, &self.path).map_err(explained);
        progress.on(Event::TableDone);
        vacuumed
    }

    fn backup_file(&mut self, to: Option<&Path>) -> Result<PathBuf> {
        space::backup_file(&self.connection, &self.path, to).map_err(explained)
    }

    fn backup(&mut self, to: Option<&Path>, progress: &mut dyn Progress) -> Result<PathBuf> {
        space::backup(&self.connection, &self.path, to, self.lock_wait, progress).map_err(explained)
    }

    fn refusal(&self, error: &anyhow::Error) -> Option<String> {
        let error = error.chain().find_map(|cause| cause.downcast_ref::<rusqlite::Error>())?;
        match error.sqlite_error_code()? {
            ErrorCode::TooBig => Some("is more than SQLite takes".to_owned()),
            ErrorCode::ConstraintViolation => Some("has a value that a constraint of the table does not take".to_owned()),
            _ => None,
        }
    }

    fn compare_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Compared> {
        runs::compare(&self.connection, sessions, runs, progress).map_err(explained)
    }
}
