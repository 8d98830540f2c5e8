//! A connection that says everything in text, uses no named statements (a pooler in transaction mode would mix them up), and
//! can be interrupted.

use super::settings::{Settings, SslMode};
use super::tls;
use crate::backend::{EachRow, Row, Value};
use crate::error::Stop;
use crate::progress::interrupted;
use anyhow::{Result, anyhow};
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, ToSql, Type};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long to sleep between looks at what is waited for.
const POLL: Duration = Duration::from_millis(100);

/// A connection.
pub struct Client {
    inner: postgres::Client,
    /// The role, for messages.
    user: String,
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
        let config = config(settings);
        let started = Instant::now();
        let inner = loop {
            match config.connect(tls.clone()) {
                Ok(client) => break client,
                Err(error) if is_starting(&error) && started.elapsed() < wait && !interrupted() => {
                    std::thread::sleep(POLL * 3);
                }
                Err(_) if interrupted() => return Err(Stop::Interrupted.into()),
                Err(error) => return Err(refused(settings, &error)),
            }
        };
        let open = Arc::new(AtomicBool::new(true));
        watch(&inner, tls, Arc::clone(&open));
        Ok(Client { inner, user: settings.user.clone(), open })
    }

    /// Runs statements that answer nothing.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.inner.batch_execute(sql).map_err(|error| explain(&self.user, &error))
    }

    /// Runs one statement and tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut execute = || -> Result<u64, postgres::Error> {
            let mut rows = self.inner.query_typed_raw(sql, typed(values))?;
            while rows.next()?.is_some() {}
            Ok(rows.rows_affected().unwrap_or(0))
        };
        execute().map_err(|error| explain(&self.user, &error))
    }

    /// Runs a query with a small answer.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
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

    /// The role.
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// Cancels what the server is doing when the user interrupts: the client itself waits for an answer.
fn watch(client: &postgres::Client, tls: MakeRustlsConnect, open: Arc<AtomicBool>) {
    let token = client.cancel_token();
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

fn config(settings: &Settings) -> postgres::Config {
    let mut config = postgres::Config::new();
    for (host, port) in &settings.hosts {
        config.host(host).port(*port);
    }
    config.user(&settings.user).dbname(&settings.database).application_name(&settings.application_name);
    if let Some(password) = &settings.password {
        config.password(password);
    }
    if let Some(options) = &settings.options {
        config.options(options);
    }
    if let Some(timeout) = settings.connect_timeout {
        config.connect_timeout(timeout);
    }
    if settings.read_write {
        config.target_session_attrs(postgres::config::TargetSessionAttrs::ReadWrite);
    }
    config.ssl_mode(match settings.ssl_mode {
        SslMode::Disable => postgres::config::SslMode::Disable,
        SslMode::Prefer => postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => postgres::config::SslMode::Require,
    });
    config
}

/// A server that may be there in a moment.
fn is_starting(error: &postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::TOO_MANY_CONNECTIONS,
        None => tls::refusal(error).is_none() && (io_kind(error).is_some() || error.to_string().contains("closed")),
    }
}

fn io_kind(error: &postgres::Error) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// Why a connection was not made.
fn refused(settings: &Settings, error: &postgres::Error) -> anyhow::Error {
    let (name, user) = (settings.name(), &settings.user);
    if let Some(why) = tls::refusal(error) {
        return anyhow!("cannot connect to {name}: {why}");
    }
    let why = match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD => format!("the server does not accept the password of {user}"),
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!("the server does not let {user} in this way (role, pg_hba.conf, or TLS): {}", message(error))
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!("there is no database {}", settings.database)
        }
        Some(_) => message(error),
        None => match io_kind(error) {
            Some(std::io::ErrorKind::ConnectionRefused) => {
                "nothing answers there: is the server running, and are host and port right? --wait SECONDS waits for one that \
                 is starting"
                    .to_owned()
            }
            Some(std::io::ErrorKind::NotFound) => "there is no such socket: is the server running?".to_owned(),
            Some(std::io::ErrorKind::TimedOut) => "it does not answer in time".to_owned(),
            Some(_) if settings.hosts.iter().any(|(host, _)| !host.starts_with('/')) => {
                format!("the host cannot be reached: {}", causes(error))
            }
            _ if settings.password.is_none() && error.to_string().contains("invalid configuration") => format!(
                "the server wants a password of {user}: give it in the URL, in PGPASSWORD or in .pgpass"
            ),
            _ => causes(error),
        },
    };
    anyhow!("cannot connect to {name}: {why}")
}

/// The message of the server, without its detail, which may show a row.
fn message(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| causes(error), |error| error.message().to_owned())
}

/// The innermost cause.
fn causes(error: &postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
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
        // insufficient_privilege
        "42501" => Stop::Refused(format!(
            "the role {user} lacks a right ({message}): let the owner of the tables run this, or GRANT it"
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
