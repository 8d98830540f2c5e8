//! `current`, `status` and `verify`: commands that only look.

use super::change::planned;
use super::{DRIFT, PENDING, tell_found, with_engine};
use crate::backend::Access;
use crate::cli::{Only, Options};
use crate::discover::{Found, Stamp};
use crate::engine::{Course, Moves, Observed};
use crate::error::Stop;
use crate::progress::{Event, Progress};
use crate::report::{Outcome, Report, TableReport};
use crate::schema::tables::TableType;
use crate::schema::versions::{newest, oldest};
use crate::verify;
use anyhow::Result;

/// What a stamp claims and the table lacks, in words.
fn drift(observed: &Observed, table: &Found) -> Vec<String> {
    let facts = observed.drift(table).into_iter().chain(verify::lost_runs(observed, table));
    facts.map(|fact| format!("lacks {fact}")).collect()
}

/// `current`: one line.
pub(super) fn current(options: &Options, check: bool, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        report.warnings.extend(observed.survey.refusals.iter().cloned());
        let found = &observed.survey.found;
        for table in found {
            let drift = drift(&observed, table);
            let is_newest = table.table_type == TableType::Runs || table.stamp.version() == Some(newest());
            let outcome = if is_newest && drift.is_empty() { Outcome::Unchanged } else { Outcome::Pending };
            report.tables.push(TableReport { drift, outcome, ..TableReport::of(table) });
        }
        // A runs table without a stamp was made by hand or by a migration that was killed: its sessions tell the version.
        let counted = found.iter().filter(|table| {
            table.table_type.is_stamped() && (table.table_type != TableType::Runs || table.stamp != Stamp::None)
        });
        let lowest = counted.clone().filter_map(|table| table.stamp.version()).min();
        let unknown = counted.clone().find_map(|table| match &table.stamp {
            Stamp::Unknown(text) => Some(format!("v{}", text.trim_start_matches('v'))),
            _ => None,
        });
        // What cannot be read is printed as it is, when there is nothing else.
        report.current = lowest.map(|version| format!("v{version}")).or(unknown).or_else(|| Some(format!("v{}", oldest())));
        if found.is_empty() {
            report
                .notes
                .push("the database has no table of Agno's: a new one is at v2.0.0 until Agno makes tables".to_owned());
        }
        for table in counted.clone() {
            match &table.stamp {
                Stamp::Unknown(text) => {
                    report.warnings.push(format!("{} is stamped {text}, which is not known", table.name))
                }
                stamp => {
                    let version = stamp.version();
                    if version > lowest {
                        let version = version.map(ToString::to_string).unwrap_or_default();
                        report.notes.push(format!("{} is at v{version}", table.name));
                    }
                }
            }
        }
        if check {
            let latest = Course::Up { target: newest().clone(), moves: Moves::Due };
            let pending = engine.plan(&observed, &latest)?.iter().any(|plan| !plan.is_empty());
            checked(pending, has_unknown(&observed), report);
            everything_was_seen("not everything was checked", &observed)?;
        }
        Ok(())
    })
}

/// `status`: a row per table.
pub(super) fn status(options: &Options, check: bool, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        report.warnings.extend(observed.survey.refusals.iter().cloned());
        let course = Course::Up { target: newest().clone(), moves: Moves::Due };
        let plans = engine.plan(&observed, &course)?;
        for table in &observed.survey.found {
            let plan = plans.iter().find(|plan| plan.table.name == table.name);
            let mut row = plan.map_or_else(
                // What has no plan goes with its sessions.
                || TableReport { outcome: Outcome::Unchanged, ..TableReport::of(table) },
                planned,
            );
            row.drift = drift(&observed, table);
            row.shape = Some(observed.shape_version(table));
            row.rows = Some(engine.rows(&table.name)?);
            report.tables.push(row);
        }
        if check {
            checked(plans.iter().any(|plan| !plan.is_empty()), has_unknown(&observed), report);
            everything_was_seen("not everything was checked", &observed)?;
        }
        Ok(())
    })
}

/// Whether a stamp is not known: nobody can say that such a table is right.
fn has_unknown(observed: &Observed) -> bool {
    observed.survey.found.iter().any(|table| matches!(table.stamp, Stamp::Unknown(_)))
}

fn checked(pending: bool, unknown: bool, report: &mut Report) {
    if unknown || report.tables.iter().any(|table| !table.drift.is_empty()) {
        report.exit_code = DRIFT;
    } else if pending {
        report.exit_code = PENDING;
    }
}

/// Tables that were named and are not there were not looked at: that is no proof.
fn everything_was_seen(else_said: &str, observed: &Observed) -> Result<()> {
    match observed.survey.refusals.as_slice() {
        [] => Ok(()),
        refusals => Err(Stop::Refused(format!("{else_said}:\n  {}", refusals.join("\n  "))).into()),
    }
}

/// `verify`: every table against its stamp.
pub(super) fn verify(options: &Options, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        for table in &observed.survey.found {
            engine.progress.on(Event::Table { name: table.name.clone(), work: "being verified".to_owned() });
            let outcome = verify::table(engine, &observed, table);
            engine.progress.on(Event::TableDone);
            report.tables.push(outcome?);
        }
        report.tables.extend(verify::unusable(engine, &observed)?);
        report.tables.extend(verify::archive(engine, &observed)?);
        report.notes.extend(verify::missing(engine.backend, &observed, &engine.settings.versions_table)?);
        everything_was_seen("not everything was verified", &observed)
    })
}
