//! What a command tells: one value, printed as text ([`Report::to_text`]) or as JSON.

mod text;

use crate::backend::{LEFT_NAMED, Left, Mended};
use crate::difference::Differences;
use crate::discover::{Found, Stamp};
use crate::guards::listed;
use crate::plan::Action;
use crate::rows::{Applied, Counted};
use crate::schema::Direction;
use crate::schema::tables::TableType;
use crate::v1::account::Account;
use semver::Version;
use serde::Serialize;
use std::time::Duration;

/// Everything a command has to say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Version of this format; new fields do not raise it.
    pub schema: u32,
    /// The command.
    pub command: &'static str,
    /// The database, without secrets.
    pub database: String,
    /// The version it goes to, where it goes somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The version the database is on: the lowest of its tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Nothing was changed, only told.
    pub dry_run: bool,
    /// The copy of the database that was made before it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Agno's tables.
    pub tables: Vec<TableReport>,
    /// Tables that are almost Agno's and were left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub looks_like: Vec<LooksLikeReport>,
    /// Tables of Agno v1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub v1_tables: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What may be worth knowing.
    pub notes: Vec<String>,
    /// Tables of v1 and what became of their rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub converted: Vec<Account>,
    /// Why it stopped, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The exit code.
    pub exit_code: u8,
    /// Seconds it took.
    pub seconds: f64,
}

/// The reports of several databases.
#[derive(Serialize)]
struct Several<'r> {
    schema: u32,
    exit_code: u8,
    databases: &'r [Report],
}

/// A table that is almost one of Agno's.
#[derive(Clone, Debug, Serialize)]
pub struct LooksLikeReport {
    /// Its name.
    pub name: String,
    /// What it would be.
    #[serde(rename = "type")]
    pub table_type: TableType,
    /// What keeps it from being one.
    pub reason: String,
}

/// How it went with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not begun.
    #[default]
    Pending,
    /// Nothing was to be done.
    Unchanged,
    /// It is at the target now.
    Migrated,
    /// Something stands in the way.
    Refused,
    /// It stopped; the table is at a whole version.
    Failed,
    /// It is what its stamp says.
    Proven,
    /// It is not.
    Differs,
}

/// What there is to say of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableReport {
    /// What it keeps.
    #[serde(rename = "type")]
    pub table_type: Option<TableType>,
    /// Its name.
    pub name: String,
    /// What it was stamped with; `None` without a stamp.
    pub stamp: Option<String>,
    /// The version it was on.
    #[serde(serialize_with = "as_text")]
    pub before: Option<Version>,
    /// The version it is on now, when that changed.
    #[serde(serialize_with = "as_text")]
    pub after: Option<Version>,
    /// The version its shape has.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    pub shape: Option<Version>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How it went.
    pub outcome: Outcome,
    /// What was done, or would be.
    pub steps: Vec<StepReport>,
    /// What versions up to its stamp want and it lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Rows that moved between tables: runs, or entity memories that got another key.
    pub moved: u64,
    /// Rows that were where they belong already.
    pub already_there: u64,
    /// Values and rows that went to the archive.
    pub archived: u64,
    /// Values and rows that came back from the archive.
    pub restored: u64,
    /// Open days of metrics that were deleted, for the app to compute again.
    pub cleared: u64,
    /// How many rows could not move and stay where they were.
    pub left_count: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// Runs of the old column that were held against the runs table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<u64>,
    /// Of these, those that the app changed since: they count as they are.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Where the data is not what the stamp says.
    #[serde(skip_serializing_if = "Differences::is_empty")]
    pub differences: Differences,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<String>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What may be worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Seconds it took.
    pub seconds: f64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn as_text<S: serde::Serializer>(version: &Option<Version>, serializer: S) -> Result<S::Ok, S::Error> {
    match version {
        Some(version) => serializer.serialize_some(&version.to_string()),
        None => serializer.serialize_none(),
    }
}

/// A step that was taken, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The version it belongs to.
    pub version: String,
    /// Up or down.
    pub direction: &'static str,
    /// What it does.
    pub what: String,
    /// The statements, in a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<String>,
}

impl StepReport {
    /// A step with its statements.
    pub fn new(version: &Version, direction: Direction, action: &Action, sql: Vec<String>) -> StepReport {
        let direction = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        StepReport { version: version.to_string(), direction, what: action.done(), sql }
    }
}

impl TableReport {
    /// Nothing is known yet.
    pub fn of(table: &Found) -> TableReport {
        TableReport {
            table_type: Some(table.table_type),
            name: table.name.clone(),
            stamp: match &table.stamp {
                Stamp::None => None,
                Stamp::Version(version) => Some(version.to_string()),
                Stamp::Unknown(text) => Some(text.clone()),
            },
            before: table.stamp.version().cloned(),
            ..TableReport::default()
        }
    }

    /// Notes a step that was taken.
    pub fn done(&mut self, version: &Version, direction: Direction, action: &Action) {
        self.steps.push(StepReport::new(version, direction, action, Vec::new()));
    }

    /// Adds what had to be taken out of JSON.
    pub fn mended(&mut self, mended: Mended) {
        let mut say = |ids: &[String], what: &str| {
            if !ids.is_empty() {
                let rows = if ids.len() == 1 { "1 row".to_owned() } else { format!("{} rows", ids.len()) };
                self.warnings.push(format!("{}: {what} in {rows}, which JSONB cannot hold: {}", self.name, listed(ids)));
            }
        };
        say(&mended.nuls, "NUL characters were taken out");
        say(&mended.surrogates, "surrogates without a partner became U+FFFD");
    }

    /// Adds what a move did.
    pub fn add(&mut self, applied: Applied) {
        let moved = applied.moved;
        let count = match applied.what {
            Counted::Runs | Counted::Learnings => &mut self.moved,
            Counted::ClearedDays => &mut self.cleared,
            Counted::Restored => &mut self.restored,
            Counted::Archived => &mut self.archived,
        };
        *count += moved.moved;
        self.already_there += moved.already_there;
        self.left_count += moved.left_count;
        self.left.extend(moved.left.into_iter().take(LEFT_NAMED.saturating_sub(self.left.len())));
        self.warnings.extend(applied.warnings);
        self.notes.extend(applied.notes);
    }

    /// It is at the target.
    pub fn finished(&mut self, took: Duration) {
        self.outcome = Outcome::Migrated;
        self.seconds = took.as_secs_f64();
    }

    /// It stopped.
    pub fn failed(&mut self, took: Duration) {
        self.outcome = Outcome::Failed;
        self.seconds = took.as_secs_f64();
    }
}

/// `1 run`, `12,345 runs`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Report {
    /// Of a command that was said wrongly: nothing was even opened.
    pub fn usage(failure: String, exit_code: u8) -> Report {
        Report { failure: Some(failure), exit_code, ..Report::new("", String::new()) }
    }

    /// A report of a command.
    pub fn new(command: &'static str, database: String) -> Report {
        Report { schema: 1, command, database, ..Report::default() }
    }

    /// As one JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("{{\"failure\": \"{error}\"}}")) + "\n"
    }

    /// The reports of several databases, as one JSON document.
    pub fn several_to_json(reports: &[Report], exit_code: u8) -> String {
        let document = Several { schema: 1, exit_code, databases: reports };
        serde_json::to_string_pretty(&document).unwrap_or_else(|error| format!("{{\"failure\": \"{error}\"}}")) + "\n"
    }
}
