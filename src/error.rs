//! Why a command stops before its end, where that decides the exit code.

use std::fmt;

/// A reason to stop that has an exit code of its own; every other error ends with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The command line, a URL or a version is wrong: 2.
    Usage(String),
    /// Someone else holds the database or a table: 5.
    Locked(String),
    /// The same for a lock on a table that one statement did not get: it may be tried again. 5.
    Busy(String),
    /// Something stands in the way: 6.
    Refused(String),
    /// Ctrl-C or SIGTERM: 130.
    Interrupted,
}

impl Stop {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Stop::Usage(_) => 2,
            Stop::Locked(_) | Stop::Busy(_) => 5,
            Stop::Refused(_) => 6,
            Stop::Interrupted => 130,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Usage(message) | Stop::Locked(message) | Stop::Busy(message) | Stop::Refused(message) => {
                f.write_str(message)
            }
            Stop::Interrupted => {
                f.write_str("interrupted: every table is at a whole version; run the command again to go on")
            }
        }
    }
}

impl std::error::Error for Stop {}

/// What to do about someone who holds a table.
pub fn holds(who: &str) -> String {
    format!(
        "{who} holds a lock on the table: end that session or let it finish, then run the command again; --lock-wait SECONDS \
         waits longer"
    )
}

/// The exit code of an error: that of the first [`Stop`] in its chain, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref::<Stop>()).map_or(1, Stop::exit_code)
}
