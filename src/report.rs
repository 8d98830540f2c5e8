//! What a command tells: one value, printed as text or as JSON.

use crate::backend::{LEFT_NAMED, Left, Mended};
use crate::cleanup;
use crate::difference::Differences;
use crate::discover::{Found, Stamp};
use crate::guards::listed;
use crate::plan::Action;
use crate::rows::{Applied, Counted};
use crate::schema::tables::TableType;
use crate::schema::{Direction, Move};
use crate::v1::account::Account;
use comfy_table::{CellAlignment, Table, presets};
use semver::Version;
use serde::Serialize;
use std::fmt::Write as _;
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

    /// What was done, in a line.
    fn summary(&self) -> String {
        // Columns and indexes come by the dozen and nobody reads all their names here; --json and -v have them.
        const MANY: [(&str, &str, &str); 4] = [
            ("added column ", "column", "columns"),
            ("dropped column ", "column", "columns"),
            ("created index ", "index", "indexes"),
            ("dropped index ", "index", "indexes"),
        ];
        let mut parts: Vec<String> = Vec::new();
        for (verb, one, many) in MANY {
            let names: Vec<&str> = self.steps.iter().filter_map(|step| step.what.strip_prefix(verb)).collect();
            let verb = verb.split(' ').next().unwrap_or_default();
            match names.as_slice() {
                [] => {}
                names if one == "column" && names.len() <= 2 => parts.push(format!("{verb} {one} {}", names.join(", "))),
                names => parts.push(format!("{verb} {}", counted(names.len() as u64, one, many))),
            }
        }
        let is_listed = |what: &str| MANY.iter().any(|(verb, ..)| what.starts_with(verb)) || self.counts_say(what);
        parts.extend(self.steps.iter().map(|step| &step.what).filter(|what| !is_listed(what)).cloned());
        parts.extend(self.counts());
        if parts.is_empty() { "stamped".to_owned() } else { parts.join("; ") }
    }

    /// A move whose counts are told says nothing itself.
    fn counts_say(&self, what: &str) -> bool {
        let is_move = |rows: Move| what == rows.describe(Direction::Up) || what == rows.describe(Direction::Down);
        [Move::Runs, Move::OpenDay, Move::OwnedRows, Move::EntityKeys].into_iter().any(is_move)
            || what.starts_with("archived values")
            || what.starts_with("restored values")
    }

    fn counts(&self) -> Vec<String> {
        let rows = match self.table_type {
            Some(TableType::Sessions) => ("run", "runs"),
            Some(TableType::Learnings) => ("entity memory", "entity memories"),
            _ => ("row", "rows"),
        };
        [
            (self.moved, rows, "moved"),
            (self.already_there, rows, "there already"),
            (self.cleared, ("open day", "open days"), "left to the app to compute again"),
            (self.archived, ("value", "values"), "archived"),
            (self.restored, ("value", "values"), "restored"),
            (self.left_count, rows, "left in place"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, (one, many), what)| format!("{} {what}", counted(count, one, many)))
        .collect()
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

fn version(version: &Option<Version>, otherwise: &str) -> String {
    version.as_ref().map_or(otherwise.to_owned(), |version| format!("v{version}"))
}

impl Report {
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

    /// What a command writes to stdout.
    pub fn to_text(&self) -> String {
        if self.failure.is_some() && self.tables.is_empty() && self.converted.is_empty() {
            return String::new();
        }
        match self.command {
            "current" => format!("{}\n", self.current.as_deref().unwrap_or("v2.0.0")),
            "status" => self.status_text(),
            "plan" => self.plan_text(),
            "v1-to-v2" => self.accounts_text(),
            "verify" => self.verify_text(),
            _ if self.dry_run => self.plan_text(),
            _ => self.change_text(),
        }
    }

    /// What goes to stderr, a line each: notes, then warnings. The failure is printed by whoever ends the program.
    pub fn messages(&self) -> (Vec<String>, Vec<String>) {
        let mut notes = self.notes.clone();
        let mut warnings = self.warnings.clone();
        for account in self.converted.iter().filter(|account| !account.lost_summaries.is_empty()) {
            warnings.push(format!(
                "{}: it has summaries of sessions that have no row, which have no place: {}",
                account.table,
                listed(&account.lost_summaries)
            ));
        }
        for account in self.converted.iter().filter(|_| self.command != "verify") {
            let table = &account.table;
            notes.extend(
                account.counts.iter().map(|(count, number)| format!("{table}: {} {}", grouped(number), count.phrase())),
            );
            notes.extend(
                account
                    .renamed
                    .iter()
                    .map(|(before, after)| format!("{table}: session {before} is now {after}: another session has its id")),
            );
            if account.rejected > 0 {
                let mut text = format!("{table}: {} could not be converted:", counted(account.rejected, "row", "rows"));
                for (id, reason) in account.rejections.iter().take(20) {
                    let _ = write!(text, "\n  {id}: {reason}");
                }
                if account.rejections.len() > 20 {
                    let _ = write!(text, "\n  and {} more: --json names them", account.rejections.len() - 20);
                }
                warnings.push(text);
            }
        }
        for table in &self.tables {
            notes.extend(table.notes.iter().cloned());
            warnings.extend(table.warnings.iter().cloned());
            if table.left_count > 0 {
                warnings.push(left_text(table));
            }
            if self.command != "status" {
                warnings.extend(table.drift.iter().map(|drift| format!("{}: {drift}", table.name)));
            }
        }
        (notes, warnings)
    }

    fn accounts_text(&self) -> String {
        if self.converted.is_empty() {
            return "Nothing to convert.\n".to_owned();
        }
        let mut text = String::new();
        let mut grid = plain_table();
        grid.set_header(["TABLE", "READ", "WRITTEN", "THERE ALREADY", "MERGED", "REJECTED"]);
        for account in self.converted.iter().filter(|account| account.steps.is_empty()) {
            let numbers = [account.read, account.written, account.already_there, account.merged, account.rejected];
            grid.add_row(std::iter::once(account.table.clone()).chain(numbers.map(grouped)));
        }
        for at in 1..6 {
            if let Some(column) = grid.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if grid.row_count() > 0 {
            let _ = writeln!(text, "{}", trimmed(&grid));
        }
        for account in self.converted.iter().filter(|account| !account.steps.is_empty()) {
            let _ = writeln!(text, "{}  {}", account.table, account.steps.join("; "));
        }
        let runs: u64 = self.converted.iter().map(|account| account.runs).sum();
        let written: u64 = self.converted.iter().map(|account| account.written).sum();
        let verb = if self.dry_run { "would be written" } else { "written" };
        let _ = writeln!(
            text,
            "{} and {} {verb} in {}.",
            counted(written, "row", "rows"),
            counted(runs, "run", "runs"),
            seconds(self.seconds)
        );
        text
    }

    fn change_text(&self) -> String {
        let changed: Vec<&TableReport> =
            self.tables.iter().filter(|table| !matches!(table.outcome, Outcome::Unchanged)).collect();
        let mut text = String::new();
        if !changed.is_empty() {
            let mut grid = plain_table();
            for table in &changed {
                let way = match (&table.after, table.outcome) {
                    (Some(after), _) => format!("{} -> v{after}", version(&table.before, "?")),
                    (None, _) => version(&table.before, table.stamp.as_deref().unwrap_or("?")),
                };
                let what = match table.outcome {
                    Outcome::Pending => "not begun".to_owned(),
                    Outcome::Failed if table.steps.is_empty() => "failed, unchanged".to_owned(),
                    Outcome::Failed => format!("failed after: {}", table.summary()),
                    Outcome::Refused => "refused".to_owned(),
                    _ => table.summary(),
                };
                let took = if table.seconds > 0.0 { seconds(table.seconds) } else { String::new() };
                grid.add_row([table.name.clone(), way, took, what]);
            }
            if let Some(column) = grid.column_mut(2) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let _ = writeln!(text, "{}", trimmed(&grid));
        }
        let unchanged = self.tables.len() - changed.len();
        let target = self.target.as_deref().unwrap_or_default();
        let done = changed.iter().filter(|table| table.outcome == Outcome::Migrated).count() as u64;
        let line = match (self.tables.len(), done, unchanged as u64, &self.failure) {
            (.., Some(_)) => String::new(),
            (_, 0, ..) if self.command == "cleanup" => "Nothing to clean up: no table keeps the old column runs.".to_owned(),
            (_, done, ..) if self.command == "cleanup" => {
                format!("The old column runs of {} is gone, in {}.", counted(done, "table", "tables"), seconds(self.seconds))
            }
            (0, ..) => "Nothing to migrate: the database has no table of Agno's.".to_owned(),
            (_, 0, unchanged, _) => {
                let verb = if unchanged == 1 { "is" } else { "are" };
                format!("Nothing to do: {} {verb} {} {target}.", counted(unchanged, "table", "tables"), self.at_or_beyond())
            }
            (_, done, 0, _) => format!("{} at {target} in {}.", counted(done, "table", "tables"), seconds(self.seconds)),
            (_, done, unchanged, _) => format!(
                "{} at {target} in {}, {} unchanged.",
                counted(done, "table", "tables"),
                seconds(self.seconds),
                grouped(unchanged)
            ),
        };
        if !line.is_empty() {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn at_or_beyond(&self) -> &'static str {
        if self.command == "down" { "at or below" } else { "at or above" }
    }

    fn verify_text(&self) -> String {
        let mut text = String::new();
        if !self.tables.is_empty() {
            let mut grid = plain_table();
            grid.set_header(["TYPE", "TABLE", "STAMPED", "ROWS", "RUNS COMPARED", "DIFFERENCES"]);
            for table in &self.tables {
                grid.add_row([
                    table.table_type.map_or("", TableType::word).to_owned(),
                    table.name.clone(),
                    table.stamp.as_ref().map_or("-".to_owned(), |stamp| format!("v{stamp}")),
                    table.rows.map(grouped).unwrap_or_default(),
                    table.compared.map(grouped).unwrap_or_default(),
                    if table.differences.is_empty() { "none".to_owned() } else { grouped(table.differences.count) },
                ]);
            }
            for at in 3..6 {
                if let Some(column) = grid.column_mut(at) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            let _ = writeln!(text, "{}", trimmed(&grid));
        }
        if !self.converted.is_empty() {
            let mut grid = plain_table();
            grid.set_header(["V1 TABLE", "READ", "COMPARED", "MERGED", "CHANGED SINCE", "DIFFERENCES"]);
            for account in &self.converted {
                let numbers = [account.read, account.already_there, account.merged, account.changed];
                let differences =
                    if account.differences.is_empty() { "none".to_owned() } else { grouped(account.differences.count) };
                grid.add_row(std::iter::once(account.table.clone()).chain(numbers.map(grouped)).chain([differences]));
            }
            for at in 1..6 {
                if let Some(column) = grid.column_mut(at) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            let _ = writeln!(text, "\n{}\n", trimmed(&grid));
        }
        let of_tables = self.tables.iter().map(|table| (&table.name, &table.differences));
        let of_accounts = self.converted.iter().map(|account| (&account.table, &account.differences));
        let mut count = 0;
        for (name, differences) in of_tables.chain(of_accounts).filter(|(_, differences)| !differences.is_empty()) {
            text.push_str(&differences_text(name, differences));
            count += differences.count;
        }
        let line = match (&self.failure, self.tables.len(), count) {
            (Some(_), ..) => return text,
            (None, 0, _) => "Nothing to verify: the database has no table of Agno's.".to_owned(),
            (None, tables, 0) => format!(
                "Verified: {} {} what the stamps say.",
                counted(tables as u64, "table", "tables"),
                if tables == 1 { "is" } else { "are" }
            ),
            (None, _, count) => format!("{}: nothing was changed.", counted(count, "difference", "differences")),
        };
        let _ = writeln!(text, "{line}");
        text
    }

    fn plan_text(&self) -> String {
        let mut text = String::new();
        let headings = [("up", "up to"), ("down", "down to"), (cleanup::DIRECTION, "clean up")];
        for (direction, heading) in headings {
            let mut begun = false;
            for table in &self.tables {
                let steps: Vec<&StepReport> = table.steps.iter().filter(|step| step.direction == direction).collect();
                let stamps = direction == "up" && self.command != "down" || direction == "down" && self.command != "up";
                let only_stamp = table.steps.is_empty() && table.after.is_some() && table.goes() == direction && stamps;
                if steps.is_empty() && !only_stamp {
                    continue;
                }
                if !begun {
                    let _ = writeln!(
                        text,
                        "{}",
                        format!("-- {heading} {}", self.target.as_deref().unwrap_or_default()).trim_end()
                    );
                    begun = true;
                }
                let _ = writeln!(text, "\n-- {} ({})", table.name, table.table_type.map_or("", TableType::word));
                for step in steps {
                    let _ = writeln!(text, "-- v{}: {}", step.version, planned(&step.what));
                    for sql in &step.sql {
                        let _ = writeln!(text, "{sql};");
                    }
                }
                if let Some(after) = &table.after {
                    let _ = writeln!(text, "-- stamp v{after}");
                }
            }
        }
        let refused: Vec<&TableReport> = self.tables.iter().filter(|table| !table.refusals.is_empty()).collect();
        if text.is_empty() && refused.is_empty() {
            let _ = writeln!(text, "-- nothing to do");
        }
        for table in refused {
            for refusal in &table.refusals {
                let _ = writeln!(text, "-- refused: {}: {refusal}", table.name);
            }
        }
        text
    }

    fn status_text(&self) -> String {
        if self.tables.is_empty() && self.looks_like.is_empty() && self.v1_tables.is_empty() {
            return "The database has no table of Agno's.\n".to_owned();
        }
        let mut grid = plain_table();
        grid.set_header(["TYPE", "TABLE", "ROWS", "STAMPED", "SHAPE", "STATE"]);
        for table in &self.tables {
            let mut state: Vec<String> = table.drift.iter().map(|drift| format!("drift: {drift}")).collect();
            if !table.steps.is_empty() {
                let versions: std::collections::BTreeSet<&str> = table.steps.iter().map(|s| s.version.as_str()).collect();
                let versions = versions.into_iter().map(|v| format!("v{v}")).collect::<Vec<_>>().join(", ");
                state.push(format!("pending: {versions}"));
            } else if table.after.is_some() {
                state.push("pending: stamp".to_owned());
            }
            state.extend(table.refusals.iter().map(|refusal| format!("in the way: {refusal}")));
            grid.add_row([
                table.table_type.map_or("", TableType::word).to_owned(),
                table.name.clone(),
                table.rows.map(grouped).unwrap_or_default(),
                table.stamp.as_ref().map_or("-".to_owned(), |stamp| format!("v{stamp}")),
                version(&table.shape, "-"),
                if state.is_empty() { "up to date".to_owned() } else { state.join("; ") },
            ]);
        }
        for table in &self.looks_like {
            let state = format!("looks like one of Agno's, left alone: {}", table.reason);
            grid.add_row([table.table_type.word(), &table.name, "", "", "", &state]);
        }
        for table in &self.v1_tables {
            grid.add_row(["v1", table, "", "", "", "Agno v1, left alone"]);
        }
        if let Some(column) = grid.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        trimmed(&grid) + "\n"
    }
}

impl TableReport {
    /// Which way its stamp goes.
    fn goes(&self) -> &'static str {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if after < before => "down",
            _ => "up",
        }
    }
}

/// What was said of a thing done, said of a thing to do.
fn planned(what: &str) -> String {
    const VERBS: [(&str, &str); 7] = [
        ("created ", "create "),
        ("dropped ", "drop "),
        ("added ", "add "),
        ("changed ", "change "),
        ("moved ", "move "),
        ("archived ", "archive "),
        ("restored ", "restore "),
    ];
    VERBS
        .iter()
        .find_map(|(done, to_do)| what.strip_prefix(done).map(|rest| format!("{to_do}{rest}")))
        .unwrap_or_else(|| what.replacen("made ", "make ", 1))
}

/// Differences of a table, those with the same way out together.
fn differences_text(table: &str, differences: &Differences) -> String {
    const SHOWN: usize = 10;
    let mut text = format!("\n{table}:\n");
    let mut mends: Vec<&str> = differences.named.iter().map(|one| one.mend.as_str()).collect();
    mends.sort_unstable();
    mends.dedup();
    for mend in mends {
        let alike: Vec<_> = differences.named.iter().filter(|one| one.mend == mend).collect();
        for one in alike.iter().take(SHOWN) {
            let place = [one.id.as_deref(), one.item.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let place = if place.is_empty() { place } else { format!("{place}: ") };
            let _ = writeln!(text, "  {place}{}", one.what);
        }
        if alike.len() > SHOWN {
            let _ = writeln!(text, "  and {} more (--json names them)", grouped((alike.len() - SHOWN) as u64));
        }
        let _ = writeln!(text, "    -> {mend}");
    }
    if differences.count > differences.named.len() as u64 {
        let _ = writeln!(
            text,
            "  {} more are counted and not named",
            grouped(differences.count - differences.named.len() as u64)
        );
    }
    text.push('\n');
    text
}

fn left_text(table: &TableReport) -> String {
    const SHOWN: usize = 10;
    let mut text = format!("{}: {} could not move and stayed where they were:", table.name, grouped(table.left_count));
    for left in table.left.iter().take(SHOWN) {
        let item = left.item.as_deref().map_or(String::new(), |item| format!(" {item}"));
        let _ = write!(text, "\n  {}{item}: {}", left.id, left.reason);
    }
    if table.left_count > SHOWN as u64 {
        let _ = write!(text, "\n  and {} more (--json names up to {LEFT_NAMED})", grouped(table.left_count - SHOWN as u64));
    }
    text
}

/// Columns side by side, no lines: it can be read and cut.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.095 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}
