//! Drops the old column `runs` of sessions tables, once every run in it is proven to be in the runs table.

use crate::difference::Differences;
use crate::discover::Found;
use crate::engine::{Engine, Failed, Observed, gone};
use crate::error::Stop;
use crate::guards::NAMED;
use crate::plan::Action;
use crate::progress::Event;
use crate::report::{Outcome, StepReport, TableReport};
use crate::schema::tables::TableType;
use crate::schema::versions::newest;
use crate::schema::{Column, MIGRATIONS, Move, Step};
use crate::verify;
use anyhow::Result;
use std::time::Instant;

/// The direction of its steps in a report.
pub const DIRECTION: &str = "cleanup";

/// What becomes of a column that holds runs which are nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It stays.
    Stays,
    /// It is dropped when it holds no others than those that the plan named (`--force`, and somebody said yes to it).
    Told,
    /// It is dropped, and what was lost is named (`--force --yes`).
    Goes,
}

/// The column that a type keeps without use.
fn retired(table_type: TableType) -> Option<Column> {
    let steps = MIGRATIONS.iter().flat_map(|migration| migration.steps(table_type));
    steps.into_iter().find_map(|step| match step {
        Step::Retire(column) => Some(*column),
        _ => None,
    })
}

/// Whether a table is of a version that uses the column: known, and below the one that retires it.
pub fn needs_column(table: &Found) -> bool {
    retired(table.table_type).is_some()
        && table.stamp.version().is_some_and(|stamp| stamp < newest())
        && !verify::is_at(table, Step::Move(Move::Runs))
}

/// The sessions tables that keep the column, each with what its drop takes and what stands in the way.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn plan(engine: &mut Engine<'_>, observed: &Observed, unproven: Unproven) -> Result<Vec<TableReport>> {
    let mut plans = Vec::new();
    for table in &observed.survey.found {
        let Some(column) = retired(table.table_type) else { continue };
        let Some(shape) = observed.catalog.tables.get(&table.name) else { continue };
        if shape.column(column.name).is_none() || !verify::is_at(table, Step::Move(Move::Runs)) {
            continue;
        }
        let started = Instant::now();
        let mut report = TableReport::of(table);
        let runs = table.runs.as_deref().unwrap_or_default();
        if !observed.catalog.tables.contains_key(runs) {
            report.refusals.push(format!("its runs table {runs} is not there: agno-migrate up makes it"));
        }
        report.refusals.extend(verify::runs_trouble(observed, table).map(cannot_hold));
        if !report.refusals.is_empty() {
            report.outcome = Outcome::Refused;
            plans.push(report);
            continue;
        }
        engine.progress.on(Event::Table { name: table.name.clone(), work: "being verified".to_owned() });
        let compared = engine.backend.compare_runs(&table.name, runs, engine.progress);
        engine.progress.on(Event::TableDone);
        let compared = compared?;
        if compared.is_impossible {
            report.refusals.push(NOT_COMPARED.to_owned());
        }
        verify::note(&mut report, compared);
        if unproven == Unproven::Stays && !report.differences.is_empty() {
            report.refusals.push(not_proven(&report.differences, runs));
        }
        let action = Action::DropColumn(column);
        match engine.backend.dialect().render(&table.name, &action, shape, engine.settings.now) {
            Ok(sql) => {
                report.refusals.extend(engine.backend.rehearse(&table.name, std::slice::from_ref(&action), &sql)?);
                let version = table.stamp.version().map(ToString::to_string).unwrap_or_default();
                report.steps.push(StepReport { version, direction: DIRECTION, what: action.done(), sql });
            }
            Err(why) => report.refusals.push(why),
        }
        report.outcome = if report.refusals.is_empty() { Outcome::Pending } else { Outcome::Refused };
        report.seconds = started.elapsed().as_secs_f64();
        plans.push(report);
    }
    Ok(plans)
}

/// Nobody knows what a drop would lose: not even `--force` does it.
const NOT_COMPARED: &str = "its column runs holds what JSONB cannot, so no run of it could be compared: agno-migrate up mends that, then run cleanup";

/// What is there in the place of the runs table proves nothing: not even `--force` drops the column beside it.
fn cannot_hold(trouble: String) -> String {
    format!("{trouble}: agno-migrate verify says what mends it")
}

fn not_proven(differences: &Differences, runs: &str) -> String {
    format!(
        "{} of the column runs {} not the same in {runs}, or not there, of {}: agno-migrate verify says what differs and what mends it; \
         --force drops the column all the same",
        crate::report::counted(differences.count, "run", "runs"),
        if differences.count == 1 { "is" } else { "are" },
        sessions(differences)
    )
}

/// What a drop of the column would lose, in words; `None`: nothing.
pub fn loss(plan: &TableReport) -> Option<String> {
    let lost = || format!("{}: {} would be lost, of {}", plan.name, unproven_runs(plan), sessions(&plan.differences));
    (!plan.differences.is_empty()).then(lost)
}

fn unproven_runs(report: &TableReport) -> String {
    let (one, several) =
        ("run that is not in the runs table as it was there", "runs that are not in the runs table as they were there");
    crate::report::counted(report.differences.count, one, several)
}

/// The sessions that differences are of.
fn sessions(differences: &Differences) -> String {
    let mut ids: Vec<&str> = differences.named.iter().filter_map(|one| one.id.as_deref()).collect();
    ids.dedup();
    let named = ids.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match differences.ids.saturating_sub(ids.len().min(NAMED) as u64) {
        0 if ids.len() == 1 => format!("session {named}"),
        0 => format!("sessions {named}"),
        more => format!("{}: {named} and {more} more", crate::report::counted(differences.ids, "session", "sessions")),
    }
}

/// Drops the column of one table, compared again in the same transaction: what an app wrote meanwhile counts.
///
/// # Errors
/// [`Stop::Refused`] when the comparison fails now; else what the database does not do. Nothing has changed then.
pub fn drop_column(engine: &mut Engine<'_>, planned: &TableReport, unproven: Unproven) -> Result<TableReport, Box<Failed>> {
    let started = Instant::now();
    let name = planned.name.clone();
    let mut report = TableReport { steps: Vec::new(), outcome: Outcome::Pending, ..planned.clone() };
    engine.progress.on(Event::Table { name: name.clone(), work: "dropping the old column".to_owned() });
    let found =
        Found { table_type: TableType::Sessions, name: name.clone(), stamp: crate::discover::Stamp::None, runs: None };
    let mut work = |engine: &mut Engine<'_>, report: &mut TableReport| {
        let observed = engine.observe()?;
        let is_it = |found: &&Found| found.name == name && found.table_type == TableType::Sessions;
        let table = observed.survey.found.iter().find(is_it).ok_or_else(gone)?;
        let shape = observed.catalog.tables.get(&name).ok_or_else(gone)?;
        let Some(column) = retired(table.table_type)
            .filter(|column| shape.column(column.name).is_some() && verify::is_at(table, Step::Move(Move::Runs)))
        else {
            // Another cleanup, or a down, was here first.
            return Ok(());
        };
        let runs = table.runs.clone().unwrap_or_default();
        engine.backend.hold(&[&name, &runs])?;
        if let Some(trouble) = verify::runs_trouble(&observed, table) {
            return Err(Stop::Refused(cannot_hold(trouble)).into());
        }
        let compared = engine.backend.compare_runs(&name, &runs, engine.progress)?;
        if compared.is_impossible {
            return Err(Stop::Refused(NOT_COMPARED.to_owned()).into());
        }
        report.differences = Differences::default();
        verify::note(report, compared);
        if !report.differences.is_empty() {
            match unproven {
                Unproven::Stays => return Err(Stop::Refused(not_proven(&report.differences, &runs)).into()),
                Unproven::Told if report.differences != planned.differences => {
                    let now = not_proven(&report.differences, &runs);
                    return Err(Stop::Refused(format!("an app has written since you were asked, and now {now}")).into());
                }
                Unproven::Told | Unproven::Goes => {}
            }
            report.warnings.push(format!(
                "{name}: {} went with the column, of {}",
                unproven_runs(report),
                sessions(&report.differences)
            ));
        }
        let action = Action::DropColumn(column);
        engine.act(table, &action, shape, &observed, report)?;
        report.steps = planned.steps.iter().map(|step| StepReport { sql: Vec::new(), ..step.clone() }).collect();
        Ok(())
    };
    let outcome = engine.patiently(&found, &mut report, &mut work);
    engine.progress.on(Event::TableDone);
    match outcome {
        Ok(()) => {
            report.outcome = if report.steps.is_empty() { Outcome::Unchanged } else { Outcome::Migrated };
            report.seconds = started.elapsed().as_secs_f64();
            Ok(report)
        }
        Err(error) => {
            report.failed(started.elapsed());
            Err(Box::new(Failed { report, error: error.context(name) }))
        }
    }
}
