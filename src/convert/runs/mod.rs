//! Runs between the list in `sessions.runs` and rows of the runs table.
//!
//! The list is read as a stream, so a session of any size needs the memory of its largest run (about twice). A run's
//! payload is copied byte for byte.

mod list;
mod run;
#[cfg(test)]
mod tests;
mod text;

pub use list::{Encoding, RunList, Trouble};
pub use run::{Element, Fields, RunRow, created_at_of, id_of, user_of};
pub use text::ListText;
