//! The databases. A [`Dialect`] writes actions as SQL and does no I/O; a [`Backend`] talks to one database.

pub mod postgres;
pub mod sqlite;
pub mod url;

use crate::difference::Compared;
use crate::plan::Action;
use crate::progress::Progress;
use crate::schema::{ColumnShape, ColumnType, Definition, Direction, Retype, Shape};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Location;

/// What a command does with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reads: no file is written or made, not even the sidecars of a WAL database.
    Read,
    /// Changes it.
    Write,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What will be done with it.
    pub access: Access,
    /// How long other programs are waited for.
    pub lock_wait: Duration,
    /// How long one statement waits for the lock of a table, where tables have locks.
    pub lock_timeout: Duration,
    /// How long a server that is still starting is waited for.
    pub wait: Duration,
    /// The schema that has the tables, where databases have schemas.
    pub schema: String,
}

impl Default for Opening {
    fn default() -> Opening {
        Opening {
            access: Access::Write,
            lock_wait: Duration::from_secs(300),
            lock_timeout: Duration::from_secs(5),
            wait: Duration::ZERO,
            schema: DEFAULT_SCHEMA.to_owned(),
        }
    }
}

/// The schema Agno uses on PostgreSQL when the app names none.
pub const DEFAULT_SCHEMA: &str = "ai";

/// Opens the database that a URL or path names.
///
/// # Errors
/// A URL that is none, a database that is not there or not to be had.
pub fn open(url: &str, opening: &Opening) -> Result<Box<dyn Backend>> {
    match url::parse(url)? {
        Location::Sqlite(path) => Ok(Box::new(sqlite::SqliteBackend::open(&path, opening.access, opening.lock_wait)?)),
        Location::Postgres(rest) => {
            let settings = postgres::settings::Settings::read(&rest, &postgres::settings::Process)?;
            Ok(Box::new(postgres::PostgresBackend::open(&settings, opening)?))
        }
    }
}

/// What to call the database of a URL that was not opened: without a password. `None` when it says nothing that is safe.
pub fn name_of(url: &str) -> Option<String> {
    match url::parse(url).ok()? {
        Location::Sqlite(path) => Some(path.display().to_string()),
        Location::Postgres(rest) => {
            postgres::settings::Settings::read(&rest, &postgres::settings::Process).ok().map(|settings| settings.name())
        }
    }
}

/// Opens a database to tell what would be written to it: a SQLite file that is not there is an empty database.
///
/// # Errors
/// See [`open`].
pub fn open_to_tell(url: &str, opening: &Opening) -> Result<Box<dyn Backend>> {
    match url::parse(url)? {
        Location::Sqlite(path) if !path.exists() => Ok(Box::new(sqlite::SqliteBackend::imagined(&path, opening.lock_wait)?)),
        _ => open(url, opening),
    }
}

/// Makes a SQLite file that is not there, empty; elsewhere databases are not made.
///
/// # Errors
/// A URL that is none, a folder that is not there or not to be written.
pub fn make(url: &str) -> Result<()> {
    match url::parse(url)? {
        Location::Sqlite(path) => sqlite::make(&path),
        Location::Postgres(_) => Ok(()),
    }
}

/// How a kind of database calls things and writes actions. Pure.
pub trait Dialect: Sync {
    /// Its name, for people.
    fn word(&self) -> &'static str;

    /// An identifier, quoted.
    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// A table, quoted, in its schema.
    fn table(&self, name: &str) -> String {
        self.quote(name)
    }

    /// The SQL name of a column type.
    fn type_name(&self, column_type: ColumnType) -> &'static str;

    /// The type as the backend tells it when it observes a column of it.
    fn seen_as(&self, column_type: ColumnType) -> ColumnType;

    /// A name of ours, fitted to the longest name it allows.
    fn fit(&self, name: &str) -> String {
        name.to_owned()
    }

    /// The longest name in bytes, where there is a limit.
    fn longest_name(&self) -> Option<usize> {
        None
    }

    /// Whether an index can be built outside a transaction while the application goes on writing.
    fn builds_apart(&self) -> bool {
        false
    }

    /// The type of a column that keeps a value of any other.
    fn any_type(&self) -> &'static str;

    /// The type of a column that keeps the key of any row.
    fn any_key_type(&self) -> &'static str {
        self.any_type()
    }

    /// An expression as the archive keeps it.
    fn to_archive(&self, expression: &str) -> String;

    /// An archived value, as a value of a type.
    fn of_archive(&self, expression: &str, column_type: ColumnType) -> String;

    /// An archived value, as a value of a column that is there.
    fn of_archive_as(&self, expression: &str, column: &ColumnShape) -> String;

    /// A JSON column as text.
    fn as_text(&self, column: &str) -> String;

    /// Whether a JSON column holds an object, as a condition.
    fn is_object(&self, column: &str) -> String;

    /// The whole seconds since 1970 at which the run in a JSON column says that it began; NULL when it says none.
    fn run_created_at(&self, column: &str) -> String;

    /// A parameter that holds JSON text, as a value of a JSON column.
    fn of_text(&self, parameter: &str) -> String;

    /// Whether a value is text, as a condition: others have an order of their own.
    fn is_text(&self, column: &str) -> String;

    /// Whether a column reads like the text of a parameter, as a condition that an index answers.
    fn reads_like(&self, column: &str, parameter: &str) -> String {
        format!("{column} = {parameter}")
    }

    /// The key of a table was its primary key in every version: nothing turns it back.
    fn key_is_primary(&self) -> bool;

    /// Whether a column can be given another type, or NOT NULL, where it is: elsewhere the table has to be made anew.
    fn alters_columns(&self) -> bool {
        false
    }

    /// The action on `table`, which has `shape`, as statements. `now` is the second the command started.
    ///
    /// # Errors
    /// The reason why it cannot be done without losing something of the table.
    fn render(&self, table: &str, action: &Action, shape: &Shape, now: i64) -> Result<Vec<String>, String>;

    /// The statements that would make the table after the action, where the database keeps them.
    fn redefine(&self, table: &str, action: &Action, shape: &Shape) -> Option<Definition>;
}

/// A value that goes to the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A string.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// A row of an answer, each column as text; NULL is `None`.
pub type Row = Vec<Option<String>>;

/// Takes the fields of a row, each the bytes of its text or `None` for NULL, and says whether to go on.
pub type EachRow<'e> = &'e mut dyn FnMut(&[Option<&[u8]>]) -> Result<bool>;

/// Everything in a database that matters here, observed at once.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The ordinary tables and their shapes.
    pub tables: BTreeMap<String, Shape>,
    /// Every name that something has: tables, indexes, views, virtual tables.
    pub names: BTreeSet<String>,
    /// Tables that are no ordinary ones, each with its columns and what it is: `a partitioned table`.
    pub unusual: BTreeMap<String, (Shape, &'static str)>,
}

/// What a move of rows did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Rows that are new where they went.
    pub moved: u64,
    /// Rows that were there already.
    pub already_there: u64,
    /// Rows that could not go, each with its id and the reason.
    pub left: Vec<Left>,
    /// How many could not go; `left` names the first [`LEFT_NAMED`] of them.
    pub left_count: u64,
}

/// How many rows that could not go a report names.
pub const LEFT_NAMED: usize = 1000;

/// A row that could not go.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Left {
    /// Where it is: the id of its session or its own.
    pub id: String,
    /// Which one it is there, when the id names several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Why it stays.
    pub reason: String,
}

impl Moved {
    /// Counts a row that stays.
    pub fn leave(&mut self, id: &str, item: Option<String>, reason: impl Into<String>) {
        self.left_count += 1;
        if self.left.len() < LEFT_NAMED {
            self.left.push(Left { id: id.to_owned(), item, reason: reason.into() });
        }
    }
}

/// Rows whose JSON had what the new type cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Keys of rows from which NUL characters were taken.
    pub nuls: Vec<String>,
    /// Keys of rows in which surrogates without a partner became U+FFFD.
    pub surrogates: Vec<String>,
}

/// Megabytes, rounded up.
pub fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// What giving space back brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacuumed {
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// One database. Used as `&mut dyn Backend`.
pub trait Backend: Send {
    /// What to call it in messages; no secret is in it.
    fn name(&self) -> String;

    /// How it writes SQL.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Observes every table.
    fn catalog(&mut self) -> Result<Catalog>;

    /// Observes one table.
    fn shape(&mut self, table: &str) -> Result<Option<Shape>>;

    /// Whether there is an ordinary table of the name: a part of the questions of [`Backend::shape`].
    fn has_table(&mut self, table: &str) -> Result<bool>;

    /// Begins to read a state of the database that no other migration changes meanwhile; [`Backend::rollback`] ends it.
    ///
    /// # Errors
    /// [`crate::error::Stop::Locked`] when another migration did not end in time.
    fn snapshot(&mut self, progress: &mut dyn Progress) -> Result<()>;

    /// Begins a transaction that no other migration and no application can get in the way of; waits for them up to `wait`.
    ///
    /// # Errors
    /// [`crate::error::Stop::Locked`] when they did not go in time.
    fn begin(&mut self, wait: Duration, progress: &mut dyn Progress) -> Result<()>;

    /// Ends it; what it did is there for good.
    fn commit(&mut self) -> Result<()>;

    /// Ends it; it never was.
    fn rollback(&mut self) -> Result<()>;

    /// Runs a statement and tells how many rows it changed. Parameters are `$1`, `$2` .., in order.
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64>;

    /// Runs a query with a small answer.
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>>;

    /// Reads rows one after the other, each field as the bytes of its text, until `each` says false or there are no more.
    fn scan(&mut self, sql: &str, parameters: &[Value], each: EachRow<'_>) -> Result<()>;

    /// Inserts rows, each a text or NULL per column; one whose key is there is left as it is. Returns how many were written.
    fn put(&mut self, table: &str, columns: &[&ColumnShape], rows: &[Vec<Option<String>>]) -> Result<u64>;

    /// Makes the schema of the tables, where databases have schemas and it is not there.
    fn make_schema(&mut self) -> Result<()> {
        Ok(())
    }

    /// Why the database cannot be written, if it is known before trying.
    fn read_only(&mut self) -> Result<Option<String>>;

    /// Why rows of a table, which is made when it is not there, cannot be written (up) or taken out again (down), if it is known
    /// before trying.
    fn unwritable(&mut self, _table: &str, _direction: Direction) -> Result<Option<String>> {
        Ok(None)
    }

    /// Finds out without touching a row what would fail of the actions on a table, which `statements` do, or break a view or
    /// trigger. Empty: nothing stands in the way.
    fn rehearse(&mut self, table: &str, actions: &[Action], statements: &[String]) -> Result<Vec<String>>;

    /// Why runs cannot be moved into or out of a runs table, if its making is the reason; a table that is not there is made well.
    fn unmovable(&mut self, _runs: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// The sessions whose list of runs would be too large for one value, going back from the runs table.
    fn oversized(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>>;

    /// The sessions that have rows in the runs table and something else than a list of runs in their column.
    fn unreadable_lists(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>>;

    /// How many rows of each other table have a foreign key on `table` that names no row. They may have been there before: SQLite
    /// does not enforce keys unless it is told to.
    fn orphans_of(&mut self, table: &str) -> Result<BTreeMap<String, u64>>;

    /// Why there is no room for the runs of sessions tables as rows, if there is none.
    fn room(&mut self, sessions: &[&str]) -> Result<Option<String>>;

    /// The seconds since 1970 at which a day begins, as SQL over a column that holds the day.
    fn day_begins(&self, column: &str) -> String;

    /// Called before a transaction in which runs are split changes anything: from then on another connection could not see the
    /// state at its beginning.
    fn before_split(&mut self) -> Result<()> {
        Ok(())
    }

    /// Copies each element of `sessions.runs` into a row of `runs`.
    fn split_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved>;

    /// Puts the rows of `runs` back into `sessions.runs`.
    fn join_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved>;

    /// Whether a session has JSON that the releases of older schemas do not read as it is encoded.
    fn has_plain_sessions(&mut self, _sessions: &str) -> Result<bool> {
        Ok(false)
    }

    /// Encodes the JSON columns of `sessions`, all but `runs`, as every Agno 2 reads them.
    fn encode_sessions(&mut self, _sessions: &str) -> Result<()> {
        Ok(())
    }

    /// Holds every run of the column `runs` against the runs table.
    fn compare_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Compared>;

    /// Keeps others from writing tables until the end of the transaction, where the transaction alone does not. Reading goes on.
    fn hold(&mut self, _tables: &[&str]) -> Result<()> {
        Ok(())
    }

    /// Gives a table that was just made the owner and the rights of another, where databases have such. Returns what the user should
    /// know.
    fn share(&mut self, _table: &str, _like: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The same of the owner alone: what a table keeps of many others is for nobody else's eyes.
    fn own(&mut self, _table: &str, _like: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Shows nobody more rows of a runs table that was just made than of its sessions, where databases can. Returns what the
    /// user should know.
    fn limit(&mut self, _runs: &str, _sessions: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Keeps what reacts to writes of an app, such as triggers, from reacting to this transaction's writes of tables.
    fn set_aside(&mut self, _tables: &[&str]) -> Result<()> {
        Ok(())
    }

    /// Gives the space of what was dropped from tables back to the disk. Outside of any transaction.
    ///
    /// # Errors
    /// [`crate::error::Stop::Refused`] when the disk has no room to do it, [`crate::error::Stop::Locked`] when an application
    /// did not let go of a table in time.
    fn vacuum(&mut self, tables: &[&str], progress: &mut dyn Progress) -> Result<Vacuumed>;

    /// Refuses when the disk has no room for [`Backend::vacuum`], where that can be known beforehand.
    ///
    /// # Errors
    /// [`crate::error::Stop::Refused`], with what to do.
    fn room_to_vacuum(&mut self) -> Result<()> {
        Ok(())
    }

    /// The file that [`Backend::backup`] would make, of the same `to`.
    ///
    /// # Errors
    /// [`crate::error::Stop::Refused`] when the file is there, the disk has no room, or the database is no file.
    fn backup_file(&mut self, to: Option<&Path>) -> Result<PathBuf>;

    /// Copies the database, as it is now, into a file that is not there yet. `to`: the file or its folder; without it the
    /// copy lies beside the database. Returns the file.
    ///
    /// # Errors
    /// Those of [`Backend::backup_file`].
    fn backup(&mut self, to: Option<&Path>, progress: &mut dyn Progress) -> Result<PathBuf>;

    /// Runs a statement outside of any transaction; one that finds its work done or being done by another is content.
    ///
    /// # Errors
    /// [`crate::error::Stop::Locked`] when others kept it waiting for too long.
    fn execute_apart(&mut self, statement: &str, _progress: &mut dyn Progress) -> Result<()> {
        self.execute(statement, &[]).map(|_| ())
    }

    /// The keys of rows with a value that cannot have its new type, not even mended.
    fn unconvertible(&mut self, _table: &str, _key: &str, _retypes: &[Retype]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Runs the statement that changes types. Values that the new type cannot hold are mended; the rest of them stays as it is.
    fn retype(&mut self, _table: &str, _key: &str, _retypes: &[Retype], statement: &str) -> Result<Mended> {
        self.execute(statement, &[]).map(|_| Mended::default())
    }

    /// Who holds locks on tables (without any: on all), for the message to whoever waited for them in vain.
    fn blockers(&mut self, _tables: &[&str]) -> Result<Option<String>> {
        Ok(None)
    }

    /// Why the database does not take a row, when an error is about that; the end of a sentence that begins with the row's id,
    /// and has nothing of the row.
    fn refusal(&self, _error: &anyhow::Error) -> Option<String> {
        None
    }

    /// Other schemas that have tables of Agno v1.
    fn v1_elsewhere(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Other schemas that have tables of Agno's.
    fn elsewhere(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
