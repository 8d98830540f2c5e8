//! What happens while the user waits, as events. Who shows them is not known here.

use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Work on a table begins.
    Table {
        /// The table.
        name: String,
        /// What is being done: `to v3.0.0`.
        work: String,
    },
    /// Rows begin to move.
    Rows {
        /// The table they come from.
        name: String,
        /// How many.
        total: u64,
    },
    /// So many of them have moved.
    Moved {
        /// Since the beginning of the move.
        done: u64,
    },
    /// The table is done.
    TableDone,
    /// Someone else holds the database; this is waited for.
    Waiting(String),
}

/// Someone who is told.
pub trait Progress {
    /// Called for each event, in order.
    fn on(&mut self, event: Event);
}

/// Nobody.
pub struct Silent;

impl Progress for Silent {
    fn on(&mut self, _: Event) {}
}

/// A list that keeps the events, for tests.
impl Progress for Vec<Event> {
    fn on(&mut self, event: Event) {
        self.push(event);
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Asks for an end at the next whole version; called by the signal handler.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether an end was asked for.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
