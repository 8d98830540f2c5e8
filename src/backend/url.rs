//! Which database a user means: what an Agno app has in its `db_url`, or a plain path.

use crate::error::Stop;
use percent_encoding::percent_decode_str;
use std::path::{Path, PathBuf};

/// The URL Agno uses when the app gives none.
pub const DEFAULT_URL: &str = "sqlite:///agno.db";

/// A database, by kind and place. [`std::fmt::Debug`] is not derived: a password must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server: what follows `://`.
    Postgres(String),
}

/// Reads a URL or a path.
///
/// # Errors
/// [`Stop::Usage`] for a kind of database that is not supported and for SQLite databases that are no files. The message
/// never repeats a URL, which may hold a password.
pub fn parse(url: &str) -> Result<Location, Stop> {
    if url.starts_with(['"', '\'']) && !Path::new(url).exists() {
        return Err(Stop::Usage("the database URL has quotes around it: give it without them".to_owned()));
    }
    let Some((scheme, rest)) = url.trim().split_once("://") else {
        return match url {
            "" => Err(Stop::Usage("the database URL is empty".to_owned())),
            ":memory:" => Err(in_memory()),
            // It would be shown as a path, with its password.
            path if path.split_once('@').is_some_and(|(user, _)| user.contains(':')) && !Path::new(path).exists() => {
                Err(Stop::Usage(
                    "the database URL lacks what is before its user: postgresql://USER:PASSWORD@HOST/DATABASE".to_owned(),
                ))
            }
            path if is_list(path) && !Path::new(path).exists() => Err(Stop::Usage(
                "the database is given as a list of KEY=VALUE: give its URL, postgresql://USER:PASSWORD@HOST/DATABASE"
                    .to_owned(),
            )),
            path if path.to_ascii_lowercase().starts_with("sqlite:") && !Path::new(path).exists() => Err(slashes()),
            path if path.starts_with("file:") && !Path::new(path).exists() => {
                Err(Stop::Usage("a file: URI is not supported: give the plain path of the file".to_owned()))
            }
            path => Ok(Location::Sqlite(PathBuf::from(path))),
        };
    };
    let kind = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
    match kind.as_str() {
        "sqlite" => sqlite(rest),
        "postgresql" | "postgres" => Ok(Location::Postgres(rest.to_owned())),
        // Whatever is no name of a kind is not repeated: it may be a password.
        kind if !kind.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Err(Stop::Usage("the database URL is none: it begins with sqlite:// or postgresql://".to_owned()))
        }
        _ => Err(Stop::Usage(format!(
            "agno-migrate does not know databases of the kind '{kind}': give a SQLite file or URL ({DEFAULT_URL}) or one of PostgreSQL \
             (postgresql://USER@HOST/DATABASE)"
        ))),
    }
}

/// Looks like the settings of libpq, `host=db password = ..`.
fn is_list(text: &str) -> bool {
    let words = text.split(['=', ' ']).map(str::to_ascii_lowercase);
    text.contains('=')
        && words
            .into_iter()
            .any(|word| ["host", "hostaddr", "user", "dbname", "password", "service"].contains(&word.as_str()))
}

/// What follows `sqlite://`, as SQLAlchemy reads it: `/relative`, `//absolute`; options behind `?` are for the driver.
fn sqlite(rest: &str) -> Result<Location, Stop> {
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let Some(path) = path.strip_prefix('/') else {
        return if path.is_empty() { Err(in_memory()) } else { Err(slashes()) };
    };
    // SQLAlchemy takes the path as it is; a file that has the decoded name and not the written one was meant by other tools.
    let written = PathBuf::from(path);
    let decoded = percent_decode_str(path).decode_utf8().map(|path| PathBuf::from(path.as_ref()));
    match (path, decoded) {
        ("" | ":memory:", _) => Err(in_memory()),
        (path, _) if path.starts_with("file:") => Err(Stop::Usage(
            "a SQLite URL with a file: URI inside is not supported: give the plain path of the file".to_owned(),
        )),
        (_, Ok(decoded)) if !written.exists() && decoded.exists() => Ok(Location::Sqlite(decoded)),
        _ => Ok(Location::Sqlite(written)),
    }
}

/// Whether a name ends as those of SQLite files do.
pub fn is_file_name(name: &str) -> bool {
    [".db", ".sqlite", ".sqlite3"].iter().any(|end| name.to_ascii_lowercase().ends_with(end))
}

fn slashes() -> Stop {
    Stop::Usage(
        "a SQLite URL has three slashes before a relative path (sqlite:///agno.db) and four before an absolute one \
         (sqlite:////var/lib/agno.db)"
            .to_owned(),
    )
}

fn in_memory() -> Stop {
    Stop::Usage("a SQLite database in memory ends with its process and cannot be migrated: give a file".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agno_apps_have_is_understood() {
        for (url, path) in [
            ("sqlite:///agno.db", "agno.db"),
            ("sqlite:////var/lib/agno.db", "/var/lib/agno.db"),
            ("sqlite+aiosqlite:///tmp/x.db", "tmp/x.db"),
            ("sqlite+pysqlite:///x.db?check_same_thread=false", "x.db"),
            ("SQLite:///a b.db", "a b.db"),
            (" sqlite:///agno.db\n", "agno.db"),
            ("tmp/agno.db", "tmp/agno.db"),
            ("/tmp/sessões.db", "/tmp/sessões.db"),
        ] {
            assert!(parse(url) == Ok(Location::Sqlite(PathBuf::from(path))), "{url}");
        }
    }

    #[test]
    fn the_rest_is_a_usage_error_that_tells_no_secret() {
        for url in [
            "",
            ":memory:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite://agno.db",
            "sqlite:///file:x?mode=ro",
            "sqlite:agno.db",
            "file:agno.db",
            "\"sqlite:///agno.db\"",
            "mongodb://me:hunter2@host/db",
            "me:hunter2@host/db",
            "me:hunter2@host://db",
            "host=db password=hunter2 dbname=app",
            "user=pw PASSWORD = hunter2",
            "://x",
        ] {
            match parse(url) {
                Err(Stop::Usage(message)) => assert!(!message.contains("hunter2"), "{message}"),
                _ => panic!("{url}"),
            }
        }
    }
}
