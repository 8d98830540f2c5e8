//! Makes a connection as libpq does: host after host, within the time that was given, and says why it cannot be made.

use super::settings::{Host, Settings, SslMode};
use super::tls;
use crate::error::Stop;
use crate::progress::interrupted;
use anyhow::{Result, anyhow};
use postgres::error::SqlState;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long to sleep between looks at what is waited for.
pub const POLL: Duration = Duration::from_millis(100);

/// Why a host gave no connection.
pub enum Failure {
    /// It said so, or nothing is there.
    Error(postgres::Error),
    /// It did not answer in time.
    Mute,
    /// The user wants an end.
    Interrupted,
}

/// Connects to the first host that lets itself be connected to; servers that are still starting are waited for up to `wait`.
///
/// # Errors
/// Whatever keeps the connection from being made, in a sentence without the password.
pub fn connect(settings: &Settings, tls: &MakeRustlsConnect, wait: Duration) -> Result<postgres::Client> {
    let started = Instant::now();
    loop {
        match any_host(settings, tls) {
            Ok(client) => return Ok(client),
            Err(Failure::Interrupted) => return Err(Stop::Interrupted.into()),
            Err(_) if interrupted() => return Err(Stop::Interrupted.into()),
            Err(failure) if is_starting(&failure) && started.elapsed() < wait => std::thread::sleep(POLL * 3),
            Err(failure) => return Err(refused(settings, &failure)),
        }
    }
}

/// The same once, and what the server says about it.
pub fn any_host(settings: &Settings, tls: &MakeRustlsConnect) -> Result<postgres::Client, Failure> {
    let mut last = Failure::Mute;
    for host in &settings.hosts {
        match one_host(config(settings, host), tls.clone(), settings.connect_timeout) {
            Ok(client) => return Ok(client),
            // As libpq: who is not let in by one host does not try the others.
            Err(Failure::Error(error)) if error.code().is_some_and(|code| code.code().starts_with("28")) => {
                return Err(Failure::Error(error));
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// In a thread of its own: a server that accepts and then says nothing would be waited for without an end.
fn one_host(
    config: postgres::Config,
    tls: MakeRustlsConnect,
    timeout: Option<Duration>,
) -> Result<postgres::Client, Failure> {
    let (sender, answer) = mpsc::channel();
    let started = Instant::now();
    std::thread::spawn(move || {
        // Nobody may want the answer any more.
        let _ = sender.send(config.connect(tls));
    });
    loop {
        match answer.recv_timeout(POLL) {
            Ok(outcome) => return outcome.map_err(Failure::Error),
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::Mute),
            Err(RecvTimeoutError::Timeout) if interrupted() => return Err(Failure::Interrupted),
            Err(RecvTimeoutError::Timeout) if timeout.is_some_and(|timeout| started.elapsed() >= timeout) => {
                return Err(Failure::Mute);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn config(settings: &Settings, host: &Host) -> postgres::Config {
    let mut config = postgres::Config::new();
    config.host(&host.name).port(host.port);
    if let Some(address) = host.address {
        config.hostaddr(address);
    }
    config.user(&settings.user).dbname(&settings.database).application_name(&settings.application_name);
    if let Some(password) = settings.password.as_ref().or(host.password.as_ref()) {
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
        // Nobody listens in on a socket, and no server speaks TLS there.
        _ if host.is_socket() => postgres::config::SslMode::Disable,
        SslMode::Disable => postgres::config::SslMode::Disable,
        SslMode::Prefer => postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => postgres::config::SslMode::Require,
    });
    config
}

/// A server that may be there in a moment.
fn is_starting(failure: &Failure) -> bool {
    let Failure::Error(error) = failure else { return true };
    match error.code() {
        Some(code) => *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::TOO_MANY_CONNECTIONS,
        None => tls::refusal(error).is_none() && (io_kind(error).is_some() || error.to_string().contains("closed")),
    }
}

/// The kind of the input or output that failed, if it was that.
pub fn io_kind(error: &postgres::Error) -> Option<std::io::ErrorKind> {
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
pub fn refused(settings: &Settings, failure: &Failure) -> anyhow::Error {
    let (name, user) = (settings.name(), &settings.user);
    let Failure::Error(error) = failure else {
        return anyhow!("cannot connect to {name}: it does not answer in time (connect_timeout)");
    };
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
            Some(_) if settings.hosts.iter().any(|host| !host.is_socket()) => {
                format!("the host cannot be reached: {}", causes(error))
            }
            _ if error.to_string().contains("invalid configuration") => {
                let unread = settings.open_pass_file.as_ref().map_or(String::new(), |file| {
                    format!(" ({} is not used: others may read it; chmod 600 it)", file.display())
                });
                format!("the server wants a password of {user}: give it in the URL, in PGPASSWORD or in .pgpass{unread}")
            }
            _ => causes(error),
        },
    };
    anyhow!("cannot connect to {name}: {why}")
}

/// The message of the server, without its detail, which may show a row.
pub fn message(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| causes(error), |error| error.message().to_owned())
}

/// The innermost cause.
pub fn causes(error: &postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
