//! How a SQLite file is opened: to be changed, or only to be read, and what is said of one that is not there.

use super::{POLL, STEPS_BETWEEN_CHECKS, dialect, explain, space};
use crate::backend::url::is_file_name;
use crate::convert::runs::created_at_of;
use crate::progress::interrupted;
use anyhow::{Result, anyhow};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long reads wait for a writer, in milliseconds; the handler that SQLite calls can hold no state.
static READ_WAIT: AtomicU64 = AtomicU64::new(0);

/// Says how long reads wait for a writer from now on.
pub fn wait_for(lock_wait: Duration) {
    READ_WAIT.store(lock_wait.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Databases in the folder of a file that is not there, by their names, as the end of a sentence.
pub fn others_beside(path: &Path) -> String {
    const NAMED: usize = 5;
    let Ok(folder) = space::folder_of(path) else { return String::new() };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_file_name(name)).collect();
    names.sort();
    match names.len() {
        0 => String::new(),
        more @ 1..=NAMED => format!("; {} has {}", folder.display(), names[..more].join(", ")),
        more => format!("; {} has {} and {} more", folder.display(), names[..NAMED].join(", "), more - NAMED),
    }
}

/// Makes an empty database unless there is a file.
///
/// # Errors
/// A folder that is not there or not to be written.
pub fn make(path: &Path) -> Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(anyhow!(error).context(format!("cannot make {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Characters of a path that mean something in a URI.
const URI: &AsciiSet = &CONTROLS.add(b'?').add(b'#').add(b'%');

/// A connection that waits for writers, hears an interrupt and knows [`dialect::CREATED_AT_OF`]. `options`: those of the URI.
pub fn connect(path: &Path, flags: OpenFlags, options: &str) -> Result<Connection> {
    let absolute = std::path::absolute(path)?;
    let text = absolute.to_str().ok_or_else(|| anyhow!("the path {} is not valid UTF-8", path.display()))?;
    let uri = format!("file:{}{options}", utf8_percent_encode(text, URI));
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(explain)?;
    connection.create_scalar_function(
        dialect::CREATED_AT_OF,
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |context| match context.get_raw(0) {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(created_at_of(bytes)),
            _ => Ok(None),
        },
    )?;
    connection.busy_handler(Some(wait_to_read))?;
    connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(interrupted))?;
    Ok(connection)
}

/// Called by SQLite when someone holds the lock a read needs.
pub fn wait_to_read(tries: i32) -> bool {
    let waited = u64::from(tries.unsigned_abs()) * POLL.as_millis() as u64;
    if interrupted() || waited >= READ_WAIT.load(Ordering::Relaxed) {
        return false;
    }
    std::thread::sleep(POLL);
    true
}

/// Opens a file that only is to be read: read-only, since closing a connection that could write would checkpoint the WAL.
pub fn open_to_read(path: &Path) -> Result<Connection> {
    // SQLite has it beside the file that a link names.
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    // Without a log nobody has the database open in WAL mode, and SQLite would leave an empty one and its index behind.
    if is_wal(path) && !Path::new(&log).exists() {
        return connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "?immutable=1");
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "")?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(error.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) && is_wal(path) =>
        {
            Err(anyhow!(
                "{} has a write-ahead log beside it, and reading that takes the right to write in its folder",
                path.display()
            ))
        }
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.extended_code == ffi::SQLITE_READONLY_ROLLBACK => {
            // A write was cut off. Every reader that may write puts the file back as it was before it; so do we.
            drop(connection);
            let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
            writer.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(|error| {
                explain(error).context(format!(
                    "{} has the journal of a write that was cut off beside it, and reading takes the right to write the file \
                     and its folder",
                    path.display()
                ))
            })?;
            drop(writer);
            connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "")
        }
        _ => Ok(connection),
    }
}

/// Whether the header of the file says that it is in WAL mode.
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut header));
    read.is_ok() && header[18] == 2
}
