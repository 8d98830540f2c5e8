//! A connection that says everything in text, uses no named statements (a pooler in transaction mode would mix them up), and
//! can be interrupted.

use super::connect::{self, POLL, causes, io_kind, message};
use super::locks;
use super::settings::Settings;
use super::tls;
use crate::backend::{EachRow, Row, Value};
use crate::error::Stop;
use crate::progress::interrupted;
use anyhow::{Result, anyhow};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, ToSql, Type};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection.
pub struct Client {
    inner: postgres::Client,
    tls: MakeRustlsConnect,
    /// The role, for messages.
    user: String,
    /// The modes of locks that the last statement may have waited for.
    conflicting: &'static str,
    /// Tells the thread that watches for an interruption to end.
    open: Arc<AtomicBool>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

impl Client {
    /// Connects; a server that is still starting is waited for up to `wait`.
    ///
    /// # Errors
    /// Whatever keeps the connection from being made, in a sentence without the password.
    pub fn connect(settings: &Settings, wait: Duration) -> Result<Client> {
        let tls = tls::connector(settings)?;
        let inner = connect::connect(settings, &tls, wait)?;
        Ok(Client::of(inner, tls, settings))
    }

    /// Connects for a statement that may take long: without limits of time, where the server or its pooler takes settings.
    ///
    /// # Errors
    /// See [`Client::connect`].
    pub fn connect_for_long(settings: &Settings) -> Result<Client> {
        let tls = tls::connector(settings)?;
        let given = settings.options.as_deref().unwrap_or_default();
        let unlimited = format!("{given} -c statement_timeout=0 -c lock_timeout=0");
        // Known from 17 on.
        let options = [format!("{unlimited} -c transaction_timeout=0"), unlimited];
        for options in options {
            let settings = Settings { options: Some(options.trim().to_owned()), ..settings.clone() };
            if let Ok(inner) = connect::any_host(&settings, &tls) {
                return Ok(Client::of(inner, tls, &settings));
            }
        }
        Client::connect(settings, Duration::ZERO)
    }

    fn of(inner: postgres::Client, tls: MakeRustlsConnect, settings: &Settings) -> Client {
        let open = Arc::new(AtomicBool::new(true));
        watch(inner.cancel_token(), tls.clone(), Arc::clone(&open));
        Client { inner, tls, user: settings.user.clone(), conflicting: "", open }
    }

    /// What makes the server end the statement that runs.
    pub fn canceling(&self) -> impl Fn() + use<> {
        let (token, tls) = (self.inner.cancel_token(), self.tls.clone());
        move || {
            let _ = token.cancel_query(tls.clone());
        }
    }

    /// Runs statements that answer nothing.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.notice(sql);
        self.inner.batch_execute(sql).map_err(|error| explain(&self.user, &error))
    }

    /// Runs one statement and tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        self.notice(sql);
        let mut execute = || -> Result<u64, postgres::Error> {
            let mut rows = self.inner.query_typed_raw(sql, typed(values))?;
            while rows.next()?.is_some() {}
            Ok(rows.rows_affected().unwrap_or(0))
        };
        execute().map_err(|error| explain(&self.user, &error))
    }

    /// Runs a query with a small answer.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        self.notice(sql);
        let mut query = || -> Result<Vec<Row>, postgres::Error> {
            let mut rows = self.inner.query_typed_raw(sql, typed(values))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let fields = (0..row.len()).map(|at| row.try_get::<_, Option<AnyText>>(at).map(|field| field.map(|t| t.0)));
                all.push(fields.collect::<Result<Row, _>>()?);
            }
            Ok(all)
        };
        query().map_err(|error| explain(&self.user, &error))
    }

    /// Reads rows one after the other until `each` says false.
    pub fn scan(&mut self, sql: &str, values: &[Value], each: EachRow<'_>) -> Result<()> {
        self.notice(sql);
        let user = &self.user;
        let fail = |error: postgres::Error| explain(user, &error);
        let mut rows = self.inner.query_typed_raw(sql, typed(values)).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let fields = (0..row.len()).map(|at| row.try_get::<_, Option<&str>>(at).map(|field| field.map(str::as_bytes)));
            if !each(&fields.collect::<Result<Vec<_>, _>>().map_err(fail)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Runs a statement whose parameters are the columns of rows, as lists of texts.
    pub fn put(&mut self, sql: &str, width: usize, rows: &[Vec<Option<String>>]) -> Result<u64> {
        let lists: Vec<Vec<Option<&str>>> =
            (0..width).map(|at| rows.iter().map(|row| row.get(at).and_then(Option::as_deref)).collect()).collect();
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            lists.iter().map(|list| (list as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect();
        let put = || -> Result<u64, postgres::Error> {
            let mut answer = self.inner.query_typed_raw(sql, values)?;
            while answer.next()?.is_some() {}
            Ok(answer.rows_affected().unwrap_or(0))
        };
        put().map_err(|error| explain(&self.user, &error))
    }

    /// The same with texts as parameters.
    pub fn ask(&mut self, sql: &str, texts: &[&str]) -> Result<Vec<Row>> {
        let values: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
        self.query(sql, &values)
    }

    /// The first field of the first row.
    pub fn one(&mut self, sql: &str, texts: &[&str]) -> Result<Option<String>> {
        Ok(self.ask(sql, texts)?.into_iter().flatten().next().flatten())
    }

    /// Runs something inside the transaction that may fail with one of these SQLSTATEs (or classes of them, by their first
    /// letters); then it never was, and the answer is false.
    pub fn attempt(&mut self, codes: &str, run: impl FnOnce(&mut Client) -> Result<()>) -> Result<bool> {
        self.run("SAVEPOINT agno_migrate_try")?;
        match run(self) {
            Ok(()) => self.run("RELEASE SAVEPOINT agno_migrate_try").map(|()| true),
            Err(error) if code(&error).is_some_and(|code| codes.split(' ').any(|these| code.starts_with(these))) => {
                self.run("ROLLBACK TO SAVEPOINT agno_migrate_try; RELEASE SAVEPOINT agno_migrate_try")?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn notice(&mut self, sql: &str) {
        if let Some(conflicting) = locks::conflicting(sql) {
            self.conflicting = conflicting;
        }
    }

    /// Who holds locks on tables, quoted, that the last statement may have waited for; without tables: on any of the schema.
    pub fn blockers(&mut self, schema: &str, tables: &[String]) -> Result<Option<String>> {
        let modes = self.conflicting;
        let named = self.ask(locks::BLOCKERS, &[schema, &tables.join("\n"), modes])?;
        Ok(locks::named(named))
    }

    /// Who keeps the statement with a tag from going on.
    pub fn waited_for_by(&mut self, tag: &str) -> Result<Option<String>> {
        self.ask(locks::WAITED_FOR, &[tag]).map(locks::named)
    }

    /// The role.
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// Cancels what the server is doing when the user interrupts: the client itself waits for an answer.
fn watch(token: postgres::CancelToken, tls: MakeRustlsConnect, open: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        while open.load(Ordering::Relaxed) {
            if interrupted() {
                // Again and again: the first may come between two statements.
                let _ = token.cancel_query(tls.clone());
                std::thread::sleep(POLL * 5);
            }
            std::thread::sleep(POLL);
        }
    });
}

/// An error of the server as a sentence that says what to do. Details of the server are left out: they show rows.
fn explain(user: &str, error: &postgres::Error) -> anyhow::Error {
    let Some(code) = error.code() else {
        return match error.is_closed() || io_kind(error).is_some() {
            _ if interrupted() => Stop::Interrupted.into(),
            true => anyhow!(
                "the connection to the server was lost; every table is at a whole version: run the command again to go on"
            ),
            false => anyhow!(causes(error)),
        };
    };
    let message = message(error);
    match code.code() {
        // query_canceled
        "57014" if interrupted() => Stop::Interrupted.into(),
        // lock_not_available, deadlock_detected, serialization_failure
        "55P03" | "40P01" | "40001" => Stop::Busy(message).into(),
        // Row-level security that holds for its owner too, while row_security is off.
        "42501" if message.contains("row-level security") => Stop::Refused(format!(
            "{message}: {user} would not see every row; run this as a role with BYPASSRLS, or ALTER TABLE .. NO FORCE ROW LEVEL \
             SECURITY for as long as it takes"
        ))
        .into(),
        // insufficient_privilege
        "42501" => Stop::Refused(format!(
            "the role {user} lacks a right ({message}): let the owner of the tables run this, or GRANT it"
        ))
        .into(),
        // foreign_key_violation
        "23503" => Stop::Refused(format!(
            "{message}: rows of one table name rows that another does not have; add those, or delete these, then run the command \
             again"
        ))
        .into(),
        // read_only_sql_transaction
        "25006" => Stop::Refused(format!("the server can only be read ({message}): connect to the primary")).into(),
        // admin_shutdown, crash_shutdown, cannot_connect_now
        "57P01" | "57P02" | "57P03" => anyhow!(
            "the server ended the connection ({message}); every table is at a whole version: run the command again to go on"
        ),
        "53100" => anyhow!("the disk of the server is full ({message}): make room and run the command again"),
        // Data exceptions quote the value.
        code if code.starts_with("22") => anyhow!(ServerError {
            code: code.to_owned(),
            message: "a value is not of the form or range that its type has".to_owned()
        }),
        code => anyhow!(ServerError { code: code.to_owned(), message }),
    }
}

/// An error with its SQLSTATE, for those who know what to do about one.
#[derive(Debug)]
pub struct ServerError {
    /// SQLSTATE.
    pub code: String,
    /// The server's sentence.
    pub message: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (PostgreSQL: {})", self.message, self.code)
    }
}

impl std::error::Error for ServerError {}

/// The SQLSTATE of an error that has no sentence of ours.
pub fn code(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<ServerError>()).map(|error| error.code.as_str())
}

fn typed(values: &[Value]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values
        .iter()
        .map(|value| -> (&(dyn ToSql + Sync), Type) {
            match value {
                Value::Null => (&None::<&str>, Type::TEXT),
                Value::Int(int) => (int, Type::INT8),
                Value::Text(text) => (text, Type::TEXT),
            }
        })
        .collect()
}

/// A value of the plain types that queries here answer with, as text.
struct AnyText(String);

impl<'a> FromSql<'a> for AnyText {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<AnyText, Box<dyn std::error::Error + Sync + Send>> {
        Ok(AnyText(match *of {
            Type::BOOL => bool::from_sql(of, raw)?.to_string(),
            Type::INT2 => i16::from_sql(of, raw)?.to_string(),
            Type::INT4 => i32::from_sql(of, raw)?.to_string(),
            Type::INT8 => i64::from_sql(of, raw)?.to_string(),
            // JSONB begins with its version.
            Type::JSONB => std::str::from_utf8(raw.get(1..).unwrap_or_default())?.to_owned(),
            _ => std::str::from_utf8(raw)?.to_owned(),
        }))
    }

    fn accepts(of: &Type) -> bool {
        matches!(
            *of,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::JSONB
                | Type::JSON
                | Type::TEXT
                | Type::VARCHAR
                | Type::NAME
        )
    }
}
