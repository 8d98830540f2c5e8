//! Rows of Agno 1.x become rows of Agno 2 and 3: pure functions over the columns of one row.
//!
//! A streaming caller reads a row of a v1 table, fills a [`SessionRow`] or [`MemoryRow`] with its columns as the database
//! holds them, and calls [`convert_session`] or [`convert_memory`]. Either gives the columns of the row to write, or
//! [`Rejected`] with the row's id and a reason, never a panic:
//!
//! ```
//! use agno_migrate::convert::v1::{Context, SessionRow, convert_session};
//!
//! let row = SessionRow {
//!     session_id: Some(b"s"),
//!     agent_id: Some(b"a"),
//!     memory: Some(br#"{"runs": [{"run_id": "r", "content": "hi", "metrics": {"time": [0.5, 0.25]}}]}"#),
//!     created_at: Some(b"1700000000"),
//!     ..SessionRow::default()
//! };
//! let converted = convert_session(&row, &Context::default()).expect("converts");
//! assert_eq!(converted.session.runs[0].row.run_id, "r");
//! assert!(converted.session.runs[0].json.contains(r#""metrics":{"duration":0.75}"#));
//! ```
//!
//! - **One output for every target version.** What is written is read by 2.0 to 3.1: only fields that all of them know are
//!   used. The caller writes [`Session::runs`] as rows of the runs table, or [`Session::runs_json`] into `sessions.runs`, and
//!   leaves out columns its target does not have.
//! - **JSON is encoded once.** Agno encodes it once more for SQLite; so does the caller.
//! - **State between rows is the caller's**: the ids of runs that other sessions took ([`Context::taken`]); session ids that
//!   two tables share ([`merge::member`]); memories that many sessions repeat ([`SessionMemory::newer`]).
//! - **Nothing gets lost uncounted.** What v2 has no field for, or would break on, is kept under `agno_v1`, in the metadata of
//!   its run or in session_data, by its place in the v1 document; what is left out is counted in [`ledger::Counts`].
//!
//! The conversion goes by place in the document: what an app keeps in session_state, metadata or tool arguments is passed on
//! byte for byte, whatever its keys are called.

mod data;
mod found;
pub mod ids;
pub mod ledger;
pub mod literal;
pub mod media;
pub mod members;
mod memory;
pub mod merge;
pub mod message;
pub mod metrics;
pub mod read;
pub mod run;
pub mod runs;
mod session;
pub mod shapes;
pub mod time;
mod tools;
pub mod tree;
pub mod validator;
pub mod workflow;

use super::runs::RunRow;
use ledger::{Count, Counts};
use read::Oddities;
use run::Ran;

/// The columns of a row of a v1 session table, as the database holds them; `None`: NULL, or the table has no such column.
/// Ids are text, times are numbers as text, the rest is JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionRow<'t> {
    /// The key.
    pub session_id: Option<&'t [u8]>,
    /// Whose session it is.
    pub user_id: Option<&'t [u8]>,
    /// Its agent.
    pub agent_id: Option<&'t [u8]>,
    /// Its team; in agent tables of 1.1.14 to 1.1.17 the team the agent is a member of.
    pub team_id: Option<&'t [u8]>,
    /// Its workflow.
    pub workflow_id: Option<&'t [u8]>,
    /// The name of its workflow (workflow_v2).
    pub workflow_name: Option<&'t [u8]>,
    /// The team's session it belongs to.
    pub team_session_id: Option<&'t [u8]>,
    /// Runs, summaries, memories.
    pub memory: Option<&'t [u8]>,
    /// State, metrics, name, media.
    pub session_data: Option<&'t [u8]>,
    /// The app's own data.
    pub extra_data: Option<&'t [u8]>,
    /// About the agent.
    pub agent_data: Option<&'t [u8]>,
    /// About the team.
    pub team_data: Option<&'t [u8]>,
    /// About the workflow.
    pub workflow_data: Option<&'t [u8]>,
    /// Runs of workflow_v2.
    pub runs: Option<&'t [u8]>,
    /// About the user (phidata).
    pub user_data: Option<&'t [u8]>,
    /// State of a workflow (phidata).
    pub session_state: Option<&'t [u8]>,
    /// Seconds since 1970.
    pub created_at: Option<&'t [u8]>,
    /// Seconds since 1970.
    pub updated_at: Option<&'t [u8]>,
}

/// The columns of a row of a v1 memory table, as the database holds them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryRow<'t> {
    /// The key.
    pub id: Option<&'t [u8]>,
    /// Whose memory it is.
    pub user_id: Option<&'t [u8]>,
    /// The memory, in the [`Notation`] of its database.
    pub memory: Option<&'t [u8]>,
    /// A date and time in UTC as text, or a number.
    pub created_at: Option<&'t [u8]>,
    /// A date and time in UTC as text, or a number.
    pub updated_at: Option<&'t [u8]>,
}

/// How a memory is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// The repr of a Python dict: on SQLite.
    Python,
    /// JSON: on Postgres.
    Json,
}

/// What the target's columns can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Text that Python reads as JSON (SQLite): NaN, lone surrogates and NULs pass as they are.
    #[default]
    Text,
    /// JSONB (Postgres): NULs are removed and counted, a row with NaN or a lone surrogate is rejected.
    Jsonb,
}

/// What a v1 table was made for, by its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// An agent's sessions.
    #[default]
    Agent,
    /// A team's sessions.
    Team,
    /// A workflow's sessions, of either kind.
    Workflow,
}

/// What the conversion of a row has to know besides the row.
#[derive(Clone, Copy, Default)]
pub struct Context<'c> {
    /// What the target's columns can hold.
    pub storage: Storage,
    /// What the table was made for: decides where a row has no id that says it.
    pub mode: Mode,
    /// The earliest created_at of the table, in seconds since 1970: for rows without any time. The target wants one.
    pub earliest: Option<i64>,
    /// Whether another session, one with another session_id, has a run with this id. Asked for the id as the target holds it.
    pub taken: Option<&'c dyn Fn(&str) -> bool>,
}

/// A row that is not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row's key, as far as it can be read.
    pub id: String,
    /// Why, as the end of a sentence that begins with the id; no content of the row.
    pub reason: String,
}

/// A row of the sessions table of v2. JSON columns are texts, encoded once; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// The key.
    pub session_id: String,
    /// `agent`, `team` or `workflow`.
    pub session_type: String,
    /// The agent of an agent's session.
    pub agent_id: Option<String>,
    /// The team of a team's session.
    pub team_id: Option<String>,
    /// The workflow of a workflow's session.
    pub workflow_id: Option<String>,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// State, metrics, name, `agno_v1`; never NULL, on which the metrics of Agno 2.0 to 2.4 break.
    pub session_data: Option<String>,
    /// About the agent.
    pub agent_data: Option<String>,
    /// About the team.
    pub team_data: Option<String>,
    /// About the workflow.
    pub workflow_data: Option<String>,
    /// The app's own data, nothing of ours: 2.9.0 copies it into other sessions.
    pub metadata: Option<String>,
    /// The summary.
    pub summary: Option<String>,
    /// Seconds since 1970.
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    pub updated_at: Option<i64>,
    /// The runs in order, member runs before their team's.
    pub runs: Vec<Run>,
}

impl Session {
    /// The runs as the list of `sessions.runs`; `None` for none: Agno 2.0 to 2.4 break on an empty list.
    pub fn runs_json(&self) -> Option<String> {
        if self.runs.is_empty() {
            return None;
        }
        let mut list = String::with_capacity(2 + self.runs.iter().map(|run| run.json.len() + 1).sum::<usize>());
        for (index, run) in self.runs.iter().enumerate() {
            list.push(if index == 0 { '[' } else { ',' });
            list.push_str(&run.json);
        }
        list.push(']');
        Some(list)
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What a row of the runs table repeats of it. `run_type` is always there.
    pub row: RunRow,
    /// The run as JSON.
    pub json: String,
}

/// A row of the memories table of v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The key.
    pub memory_id: String,
    /// The text, as a JSON string.
    pub memory: String,
    /// The topics, as a JSON list of strings.
    pub topics: Option<String>,
    /// What the user said.
    pub input: Option<String>,
    /// Whose memory it is.
    pub user_id: Option<String>,
    /// Seconds since 1970 (since schema 2.3.0).
    pub created_at: Option<i64>,
    /// Seconds since 1970.
    pub updated_at: Option<i64>,
}

/// A memory that was found inside a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMemory {
    /// The memory. The caller leaves it out when a memory table has rows of its user: what was deleted there stays deleted.
    pub memory: Memory,
    /// When it last changed, in ISO form, as the session has it.
    pub last_updated: Option<String>,
}

impl SessionMemory {
    /// Of two copies of a memory the one that changed later, or `other` when they do not differ in that.
    pub fn newer(self, other: SessionMemory) -> SessionMemory {
        let time = |memory: &SessionMemory| memory.last_updated.as_deref().map(|text| (time::epoch(text), text.to_owned()));
        if time(&self) > time(&other) { self } else { other }
    }
}

/// A converted session row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The row to write.
    pub session: Session,
    /// The team's session it belongs to: with the same id as its own it is to be merged into that ([`merge::member`]).
    pub team_session_id: Option<String>,
    /// Memories that were inside it.
    pub memories: Vec<SessionMemory>,
    /// Sessions whose summaries were inside it: one without a row of its own has lost its summary.
    pub foreign_summaries: Vec<String>,
    /// Sessions whose runs were inside it: one without a row of its own has lost them.
    pub foreign_runs: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}

/// Converts a row of a session table: of an agent, a team or a workflow, of any release from phidata to 1.8.4.
///
/// # Errors
/// [`Rejected`] when the row cannot be read.
pub fn convert_session(row: &SessionRow<'_>, context: &Context<'_>) -> Result<Converted, Rejected> {
    session::convert(row, context)
}

/// Converts a row of a memory table.
///
/// # Errors
/// [`Rejected`] when the row cannot be read.
pub fn convert_memory(row: &MemoryRow<'_>, notation: Notation, storage: Storage) -> Result<(Memory, Counts), Rejected> {
    memory::row(row, notation, storage)
}

/// Whether the target can hold what was met.
fn storable(oddities: Oddities, storage: Storage) -> Result<(), &'static str> {
    match storage {
        Storage::Jsonb if oddities.not_a_number => Err("holds NaN or Infinity, which JSONB cannot"),
        Storage::Jsonb if oddities.lone_surrogate => Err("holds a lone surrogate, which JSONB cannot"),
        _ => Ok(()),
    }
}

/// Removes NULs that Postgres refuses from a text.
fn without_nul(text: &mut String, storage: Storage, counts: &mut Counts) {
    if storage == Storage::Jsonb && text.contains('\0') {
        counts.more(Count::Nuls, text.matches('\0').count());
        text.retain(|char| char != '\0');
    }
}

/// Removes NULs that Postgres refuses from JSON.
fn without_escaped_nul(json: &mut String, storage: Storage, counts: &mut Counts) {
    if storage != Storage::Jsonb || !json.contains("\\u0000") {
        return;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("\\u0000") {
            counts.one(Count::Nuls);
            rest = after;
        } else {
            // The escaped character may be a backslash, which escapes nothing itself.
            let length = 2.min(rest.len());
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    clean.push_str(rest);
    *json = clean;
}

impl Mode {
    fn ran(self) -> Ran {
        match self {
            Mode::Agent => Ran::Agent,
            Mode::Team => Ran::Team,
            Mode::Workflow => Ran::Workflow,
        }
    }
}
