//! A report as people read it.

use super::{Outcome, Report, StepReport, TableReport, counted, grouped};
use crate::backend::LEFT_NAMED;
use crate::cleanup;
use crate::difference::Differences;
use crate::guards::listed;
use crate::schema::tables::TableType;
use crate::schema::{Direction, Move};
use comfy_table::{CellAlignment, Table, presets};
use semver::Version;
use std::fmt::Write as _;

impl TableReport {
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
        let is_move = |rows: Move| what == rows.done(Direction::Up) || what == rows.done(Direction::Down);
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

fn version(version: &Option<Version>, otherwise: &str) -> String {
    version.as_ref().map_or(otherwise.to_owned(), |version| format!("v{version}"))
}

impl Report {
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
        for account in self.converted.iter().filter(|account| !account.lost_runs.is_empty()) {
            warnings.push(format!(
                "{}: it has runs of sessions that have no row, which are not converted: {}",
                account.table,
                listed(&account.lost_runs)
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
            (_, 0, ..) if self.command == "cleanup" => "Nothing to clean up.".to_owned(),
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
            (None, tables, 0) => {
                let verb = if tables == 1 { "is" } else { "are" };
                let of_v1 = match self.converted.len() as u64 {
                    0 => String::new(),
                    1 => ", and what 1 table of v1 has is there".to_owned(),
                    number => format!(", and what {number} tables of v1 have is there"),
                };
                format!("Verified: {} {verb} what the stamps say{of_v1}.", counted(tables as u64, "table", "tables"))
            }
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
                    let is_first = text.is_empty();
                    text.push_str(&comment(&format!("{heading} {}", self.target.as_deref().unwrap_or_default())));
                    text.push_str(&if is_first { comment(READ_ONLY) } else { String::new() });
                    begun = true;
                }
                let word = table.table_type.map_or("", TableType::word);
                text.push_str(&format!("\n{}", comment(&format!("{} ({word})", table.name))));
                for step in steps {
                    text.push_str(&comment(&format!("v{}: {}", step.version, planned(&step.what))));
                    for sql in &step.sql {
                        let _ = writeln!(text, "{sql};");
                    }
                }
                if let Some(after) = &table.after {
                    text.push_str(&comment(&format!("stamp v{after}")));
                }
            }
        }
        let refused: Vec<&TableReport> = self.tables.iter().filter(|table| !table.refusals.is_empty()).collect();
        if text.is_empty() && refused.is_empty() {
            text.push_str(&comment("nothing to do"));
        }
        for table in refused {
            for refusal in &table.refusals {
                text.push_str(&comment(&format!("refused: {}: {refusal}", table.name)));
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

/// Said at the top of a plan: a line without SQL below it stands for work that no statement shows.
const READ_ONLY: &str = "to be read, not to be run: agno-migrate itself moves and archives the rows, and stamps";

/// A line of a plan that is no SQL. The name of a table may have line breaks.
fn comment(text: &str) -> String {
    format!("-- {}\n", text.trim_end().replace('\n', "\\n").replace('\r', "\\r"))
}

/// What was said of a thing done, said of a thing to do.
fn planned(what: &str) -> String {
    const VERBS: [(&str, &str); 11] = [
        ("copied ", "copy "),
        ("left ", "leave "),
        ("encoded ", "encode "),
        ("cleared ", "clear "),
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

/// Without the blank at the beginning of every line, and those at its end. A cell that is empty keeps its width.
fn trimmed(table: &Table) -> String {
    let lines = table.lines();
    lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.095 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}
