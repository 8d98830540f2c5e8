//! Brings what a move has written so far to the disk while it goes on.
//!
//! The system would begin when a tenth of its memory waits to be written, or after half a minute: up to two gigabytes would be
//! left for the commit, which waits for the disk with both processors idle.

use anyhow::Result;
use rusqlite::ffi;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Less is not worth a wait of the disk's.
const LEAST: u64 = 64 << 20;

/// And not less than this part of all: the index of random run ids is touched everywhere between two turns, and is written
/// again in each. With a quarter a tenth more is written at a million runs, and 4% more at 100,000.
const PART: u64 = 4;

/// Asks the thread that runs [`flush`] for a turn whenever there is enough for one.
pub struct Asking {
    ask: SyncSender<()>,
    written: u64,
    flushed: u64,
}

impl Asking {
    /// Beside it what [`flush`] listens to.
    pub fn new() -> (Asking, Receiver<()>) {
        let (ask, asked) = sync_channel(0);
        (Asking { ask, written: 0, flushed: 0 }, asked)
    }

    /// Counts what was written. Never waits: while the disk is busy, the next turn only becomes larger.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        let due = self.written - self.flushed >= LEAST.max(self.written / PART);
        if due && self.ask.try_send(()).is_ok() {
            self.flushed = self.written;
        }
    }
}

/// Takes a turn whenever it is asked.
///
/// # Errors
/// The disk did not write. A system tells that once, and it would not be told to SQLite any more.
pub fn flush(path: &Path, asked: &Receiver<()>) -> Result<()> {
    let mut file = None;
    while asked.recv().is_ok() {
        if file.is_none() {
            // Never closed: closing a file ends every POSIX lock that the process has on it, SQLite's own too.
            // One that cannot be opened is flushed by the commit alone.
            file = File::open(path).ok().map(ManuallyDrop::new);
        }
        let Some(file) = &file else { return Ok(()) };
        if file.sync_data().is_err() {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None).into());
        }
    }
    Ok(())
}
