//! PostgreSQL as a [`Backend`].

mod apart;
mod aside;
mod client;
mod compare;
mod connect;
mod dialect;
mod json;
mod locks;
mod observe;
mod obstacles;
mod passfile;
mod rights;
mod runs;
pub mod settings;
mod sharing;
mod tls;

use crate::backend::{Access, Backend, Catalog, Dialect, EachRow, Mended, Moved, Opening, Row, Vacuumed, Value};
use crate::difference::Compared;
use crate::error::Stop;
use crate::plan::Action;
use crate::progress::{Event, Progress, interrupted};
use crate::schema::tables::{KNOWN, TableType};
use crate::schema::{ColumnShape, ColumnType, Direction, Retype, Shape};
use anyhow::{Context, Result, anyhow};
use aside::Aside;
use client::Client;
pub use dialect::Postgres;
use settings::Settings;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to sleep between two tries for the lock of migrations.
const POLL: Duration = Duration::from_millis(200);

/// Between two tries for a table: whoever queued behind us goes first.
const PAUSE: Duration = Duration::from_secs(1);

/// A database, and the schema of it that has the tables.
pub struct PostgresBackend {
    client: Client,
    /// To connect once more with.
    settings: Settings,
    dialect: &'static Postgres,
    name: String,
    access: Access,
    lock_wait: Duration,
    lock_timeout: Duration,
    /// As the server numbers it: 170002.
    version: u32,
    /// What this transaction has to put back.
    aside: Aside,
}

impl PostgresBackend {
    /// Connects.
    ///
    /// # Errors
    /// A server that cannot be reached, proves nothing, or does not let the role in; one older than 13.
    pub fn open(settings: &Settings, opening: &Opening) -> Result<PostgresBackend> {
        let mut client = Client::connect(settings, opening.wait)?;
        let version = client.one("SELECT current_setting('server_version_num')", &[])?;
        let version = version.and_then(|version| version.parse().ok()).unwrap_or(0);
        if version < 130_000 {
            return Err(anyhow!("this server is older than PostgreSQL 13, the oldest agno-migrate was made for"));
        }
        // One per process and database: it lives as long as the program.
        let dialect: &'static Postgres = Box::leak(Box::new(Postgres { schema: opening.schema.clone() }));
        Ok(PostgresBackend {
            client,
            settings: settings.clone(),
            dialect,
            name: settings.name(),
            access: opening.access,
            lock_wait: opening.lock_wait,
            lock_timeout: opening.lock_timeout,
            version,
            aside: Aside::default(),
        })
    }

    /// What every transaction begins with. Everything is local to it: a pooler may give the connection to someone else after.
    /// Compiling a question to the catalogs takes ten times as long as answering it.
    fn settle(&mut self, lock_timeout: Duration) -> Result<()> {
        // The time limits are for the app's statements. Values are archived as text: it has to read the same wherever it is
        // read again. Strings are what they look like: the SQL of this program relies on it. A check that is put off to the end
        // of the transaction would keep the table from being altered until then.
        let transaction_timeout = if self.version >= 170_000 { "SET LOCAL transaction_timeout = 0; " } else { "" };
        self.client.run(&format!(
            "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
             {transaction_timeout}SET LOCAL row_security = off; SET LOCAL client_min_messages = error; SET LOCAL jit = off; \
             SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
             SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL standard_conforming_strings = on; \
             SET LOCAL quote_all_identifiers = off; \
             SET CONSTRAINTS ALL IMMEDIATE",
            milliseconds(lock_timeout)
        ))
    }

    /// The number that migrations of this schema of this database share.
    fn lock_number(&self) -> i64 {
        let hash = Sha256::digest(format!("agno-migrate {}", self.dialect.schema));
        hash.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
    }

    fn key_of(&self, key: &str) -> String {
        self.dialect.quote(key)
    }

    fn to_jsonb(&self, retypes: &[Retype]) -> Vec<String> {
        let becomes = retypes.iter().filter(|retype| retype.to == ColumnType::Jsonb);
        becomes.map(|retype| self.dialect.quote(retype.column)).collect()
    }

    /// Tries to have the table to itself until the wait is over: whoever queued behind goes first in between.
    fn write_anew(&mut self, quoted: &str, progress: &mut dyn Progress) -> Result<()> {
        let started = Instant::now();
        loop {
            let statement = format!("VACUUM (FULL) {quoted}");
            let written = apart::run(&mut self.client, &self.settings, &statement, self.lock_timeout, progress);
            let Err(error) = written else { return Ok(()) };
            let is_locked = matches!(error.downcast_ref(), Some(Stop::Locked(_)));
            if !is_locked || interrupted() || started.elapsed() >= self.lock_wait {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Bytes of a table, quoted, with its indexes.
    fn size(&mut self, quoted: &str) -> Result<u64> {
        let sql = "SELECT pg_total_relation_size($1::regclass)::text";
        Ok(self.client.one(sql, &[quoted])?.and_then(|bytes| bytes.parse().ok()).unwrap_or_default())
    }
}

/// A wait as the server takes it: at least a millisecond (zero would be for ever), at most what fits its setting.
fn milliseconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).max(1)
}

impl Backend for PostgresBackend {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    fn catalog(&mut self) -> Result<Catalog> {
        let client = &mut self.client;
        observe::catalog(&self.dialect.schema, &mut |sql, texts| client.ask(sql, texts))
    }

    fn shape(&mut self, table: &str) -> Result<Option<Shape>> {
        let client = &mut self.client;
        observe::shape(&self.dialect.schema, table, &mut |sql, texts| client.ask(sql, texts))
    }

    fn has_table(&mut self, table: &str) -> Result<bool> {
        let client = &mut self.client;
        observe::has_table(&self.dialect.schema, table, &mut |sql, texts| client.ask(sql, texts))
    }

    fn snapshot(&mut self, progress: &mut dyn Progress) -> Result<()> {
        match self.access {
            Access::Read => {
                self.client.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
                self.settle(self.lock_timeout)
            }
            // No migration beside the one that is planned.
            Access::Write => self.begin(self.lock_wait, progress),
        }
    }

    fn begin(&mut self, wait: Duration, progress: &mut dyn Progress) -> Result<()> {
        let started = Instant::now();
        let mut told = false;
        let lock = format!("SELECT pg_try_advisory_xact_lock({})::text", self.lock_number());
        self.aside = Aside::default();
        loop {
            // Not what the role or the database may be set to: what is read after a lock is had has to be what is there then.
            self.client.run("BEGIN ISOLATION LEVEL READ COMMITTED")?;
            if self.client.one(&lock, &[])?.as_deref() == Some("true") {
                return self.settle(self.lock_timeout);
            }
            // Not held while waiting: a pooler can use the connection meanwhile.
            self.client.run("ROLLBACK")?;
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            if started.elapsed() >= wait {
                return Err(Stop::Locked(format!(
                    "another agno-migrate has been at work on this database for {} seconds: let it finish, or wait longer with \
                     --lock-wait SECONDS",
                    wait.as_secs()
                ))
                .into());
            }
            if !told && started.elapsed() > Duration::from_secs(1) {
                told = true;
                progress.on(Event::Waiting("waiting for another agno-migrate".to_owned()));
            }
            std::thread::sleep(POLL);
        }
    }

    fn commit(&mut self) -> Result<()> {
        self.aside.put_back(&mut self.client, self.dialect)?;
        self.client.run("COMMIT")
    }

    fn rollback(&mut self) -> Result<()> {
        self.client.run("ROLLBACK")
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64> {
        self.client.execute(sql, parameters)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.client.query(sql, parameters)
    }

    fn scan(&mut self, sql: &str, parameters: &[Value], each: EachRow<'_>) -> Result<()> {
        self.client.scan(sql, parameters, each)
    }

    fn put(&mut self, table: &str, columns: &[&ColumnShape], rows: &[Vec<Option<String>>]) -> Result<u64> {
        let names = columns.iter().map(|column| self.dialect.quote(&column.name)).collect::<Vec<_>>().join(", ");
        let numbers = || 1..=columns.len();
        let values = columns.iter().zip(numbers()).map(|(column, at)| format!("v.c{at}::{}", column.declared));
        let arrays = numbers().map(|at| format!("${at}::text[]")).collect::<Vec<_>>().join(", ");
        let fields = numbers().map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ");
        // A column a parameter: as many rows as are wanted in one round trip.
        let sql = format!(
            "INSERT INTO {} ({names}) SELECT {} FROM unnest({arrays}) AS v({fields}) ON CONFLICT DO NOTHING",
            self.dialect.table(table),
            values.collect::<Vec<_>>().join(", ")
        );
        self.client.put(&sql, columns.len(), rows)
    }

    fn make_schema(&mut self) -> Result<()> {
        let there = self.client.one("SELECT 1::text FROM pg_namespace WHERE nspname = $1", &[&self.dialect.schema])?;
        match there {
            Some(_) => Ok(()),
            None => self.client.run(&format!("CREATE SCHEMA {}", self.dialect.quote(&self.dialect.schema))),
        }
    }

    fn read_only(&mut self) -> Result<Option<String>> {
        let only = self
            .client
            .one("SELECT (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')::text", &[])?;
        Ok((only.as_deref() == Some("true")).then(|| {
            format!("{} can only be read (a standby, or default_transaction_read_only): connect to the primary", self.name)
        }))
    }

    fn unwritable(&mut self, table: &str, direction: Direction) -> Result<Option<String>> {
        rights::lacking_to_write(&mut self.client, self.dialect, table, direction)
    }

    fn rehearse(&mut self, table: &str, actions: &[Action], _: &[String]) -> Result<Vec<String>> {
        obstacles::find(&mut self.client, self.dialect, table, actions)
    }

    fn oversized(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>> {
        runs::Tables::new(self.dialect, sessions, runs).oversized(&mut self.client)
    }

    fn unreadable_lists(&mut self, sessions: &str, runs: &str) -> Result<Vec<String>> {
        runs::Tables::new(self.dialect, sessions, runs).unreadable(&mut self.client)
    }

    fn orphans_of(&mut self, _: &str) -> Result<BTreeMap<String, u64>> {
        // The server enforces foreign keys.
        Ok(BTreeMap::new())
    }

    fn room(&mut self, _: &[&str]) -> Result<Option<String>> {
        // What the server has left is not to be asked for by a client.
        Ok(None)
    }

    fn day_begins(&self, column: &str) -> String {
        format!("extract(epoch FROM {column}::timestamp)")
    }

    fn split_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
        runs::Tables::new(self.dialect, sessions, runs).split(&mut self.client, progress)
    }

    fn join_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Moved> {
        runs::Tables::new(self.dialect, sessions, runs).join(&mut self.client, progress)
    }

    fn share(&mut self, table: &str, like: &str) -> Result<Vec<String>> {
        sharing::share(&mut self.client, self.dialect, table, like)
    }

    fn own(&mut self, table: &str, like: &str) -> Result<Vec<String>> {
        sharing::own(&mut self.client, self.dialect, table, like)
    }

    fn limit(&mut self, runs: &str, sessions: &str) -> Result<Vec<String>> {
        sharing::limit(&mut self.client, self.dialect, runs, sessions)
    }

    fn set_aside(&mut self, tables: &[&str]) -> Result<()> {
        tables.iter().try_for_each(|table| self.aside.set(&mut self.client, self.dialect, table))
    }

    fn hold(&mut self, tables: &[&str]) -> Result<()> {
        let tables = tables.iter().map(|table| self.dialect.table(table)).collect::<Vec<_>>().join(", ");
        self.client.run(&format!("LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE"))
    }

    fn vacuum(&mut self, tables: &[&str], progress: &mut dyn Progress) -> Result<Vacuumed> {
        let mut vacuumed = Vacuumed { before: 0, after: 0 };
        for table in tables {
            let quoted = self.dialect.table(table);
            vacuumed.before += self.size(&quoted)?;
            progress.on(Event::Table { name: (*table).to_owned(), work: "being written anew".to_owned() });
            let written = self.write_anew(&quoted, progress);
            progress.on(Event::TableDone);
            written.with_context(|| {
                format!("cannot give the space of {table} back (what was dropped is dropped: run cleanup --vacuum again)")
            })?;
            vacuumed.after += self.size(&quoted)?;
        }
        Ok(vacuumed)
    }

    fn backup_file(&mut self, _: Option<&Path>) -> Result<PathBuf> {
        // pg_restore --clean cannot: it drops the sessions before the key on them.
        Err(Stop::Refused(format!(
            "--backup copies SQLite files, and this is PostgreSQL: pg_dump --format=custom --schema={schema} --file=agno.dump DATABASE \
             saves it; psql --command='DROP SCHEMA {schema} CASCADE' DATABASE and then pg_restore --dbname=DATABASE agno.dump bring it \
             back (DATABASE: the URL without +psycopg)",
            schema = self.dialect.schema
        ))
        .into())
    }

    fn backup(&mut self, to: Option<&Path>, _: &mut dyn Progress) -> Result<PathBuf> {
        self.backup_file(to)
    }

    fn compare_runs(&mut self, sessions: &str, runs: &str, progress: &mut dyn Progress) -> Result<Compared> {
        compare::compare(&runs::Tables::new(self.dialect, sessions, runs), &mut self.client, progress)
    }

    fn unconvertible(&mut self, table: &str, key: &str, retypes: &[Retype]) -> Result<Vec<String>> {
        let columns = self.to_jsonb(retypes);
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let (table, key) = (self.dialect.table(table), self.key_of(key));
        json::unconvertible(&mut self.client, &table, &key, &columns)
    }

    fn retype(&mut self, table: &str, key: &str, retypes: &[Retype], statement: &str) -> Result<Mended> {
        let (columns, key) = (self.to_jsonb(retypes), self.key_of(key));
        let quoted = self.dialect.table(table);
        json::retype(&mut self.client, &quoted, &key, &columns, statement).context("changing the types of columns")
    }

    fn execute_apart(&mut self, statement: &str, progress: &mut dyn Progress) -> Result<()> {
        match apart::run(&mut self.client, &self.settings, statement, self.lock_wait, progress) {
            // Two that begin at once: one of them made it.
            Err(error) if matches!(client::code(&error), Some("42P07" | "23505")) => Ok(()),
            outcome => outcome,
        }
    }

    fn blockers(&mut self, tables: &[&str]) -> Result<Option<String>> {
        let quoted: Vec<String> = tables.iter().map(|table| self.dialect.table(table)).collect();
        self.client.blockers(&self.dialect.schema, &quoted)
    }

    fn refusal(&self, error: &anyhow::Error) -> Option<String> {
        // Messages of class 54 have sizes and names of indexes; others may show a value.
        let error = error.chain().find_map(|cause| cause.downcast_ref::<client::ServerError>())?;
        match error.code.get(..2)? {
            "54" => Some(format!("is more than the server takes: {error}")),
            "22" | "23" => Some(format!("has a value that the server does not take (PostgreSQL: {})", error.code)),
            _ => None,
        }
    }

    fn v1_elsewhere(&mut self) -> Result<Vec<String>> {
        let has = |columns: &str, number: u32| {
            format!(
                "(SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped \
                    AND a.attname IN ({columns})) = {number}"
            )
        };
        let sql = format!(
            "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND n.nspname <> $1 AND {} AND {} GROUP BY 1 ORDER BY 1",
            has("'session_id', 'session_data', 'memory', 'created_at', 'updated_at'", 5),
            has("'session_type'", 0),
        );
        Ok(self.client.ask(&sql, &[&self.dialect.schema])?.into_iter().flatten().flatten().collect())
    }

    fn elsewhere(&mut self) -> Result<Vec<String>> {
        let literal = |column: &&str| format!("'{column}'");
        let has =
            KNOWN.iter().filter(|known| known.table_type.is_stamped() && known.table_type != TableType::Runs).map(|known| {
                let columns: Vec<String> = known.key.iter().chain(known.columns).map(literal).collect();
                format!("count(*) FILTER (WHERE a.attname IN ({})) = {}", columns.join(", "), columns.len())
            });
        let sql = format!(
            "SELECT DISTINCT n.nspname::text FROM pg_namespace n JOIN ( \
               SELECT c.relnamespace FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               WHERE c.relkind = 'r' GROUP BY c.oid, c.relnamespace HAVING {}) t ON t.relnamespace = n.oid \
             WHERE n.nspname <> $1 ORDER BY 1",
            has.collect::<Vec<_>>().join(" OR ")
        );
        Ok(self.client.ask(&sql, &[&self.dialect.schema])?.into_iter().flatten().flatten().collect())
    }
}
