//! `cleanup`.

use super::{Answer, Ask, not_confirmed, stands_in_the_way, tables, tell_found, with_engine};
use crate::backend::{Access, megabytes};
use crate::cleanup::{self, Unproven};
use crate::cli::{Backup, Only, Options};
use crate::error::Stop;
use crate::progress::Progress;
use crate::report::{Outcome, Report, TableReport};
use crate::saving;
use crate::schema::tables::TableType;
use crate::schema::versions::newest;
use crate::verify;
use anyhow::Result;

/// What a `cleanup` was asked to do.
pub(super) struct Cleaning<'c> {
    unproven: Unproven,
    vacuum: bool,
    yes: bool,
    backup: &'c Backup,
}

impl<'c> Cleaning<'c> {
    /// By the flags of the command.
    pub(super) fn new(force: bool, vacuum: bool, yes: bool, backup: &'c Backup) -> Cleaning<'c> {
        let unproven = match (force, yes) {
            (false, _) => Unproven::Stays,
            (true, false) => Unproven::Told,
            (true, true) => Unproven::Goes,
        };
        Cleaning { unproven, vacuum, yes, backup }
    }
}

/// `cleanup`: prove everything first, then drop table by table.
pub(super) fn cleanup(
    options: &Options,
    wanted: &Cleaning<'_>,
    ask: Ask<'_>,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let access = if report.dry_run { Access::Read } else { Access::Write };
    with_engine(options, &Only::default(), access, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        let lower = observed.survey.found.iter().filter(|table| cleanup::needs_column(table));
        report.notes.extend(
            lower.map(|table| {
                format!("{} is below v{} and needs its column runs: agno-migrate up first", table.name, newest())
            }),
        );
        let mut refusals = observed.survey.refusals.clone();
        for table in verify::unusable(engine, &observed)? {
            let why = table.differences.named.iter().map(|one| format!("{}: {}: {}", table.name, one.what, one.mend));
            refusals.extend(why);
        }
        let mut plans = cleanup::plan(engine, &observed, wanted.unproven)?;
        refusals.extend(plans.iter().flat_map(|plan| plan.refusals.iter().map(|why| format!("{}: {why}", plan.name))));
        if report.dry_run || !refusals.is_empty() {
            if wanted.unproven != Unproven::Stays {
                plans.iter_mut().for_each(|plan| plan.warnings.extend(cleanup::loss(plan)));
            }
            let changes = !plans.is_empty() || wanted.vacuum;
            report.tables = plans;
            if !refusals.is_empty() {
                return Err(Stop::Refused(stands_in_the_way(&refusals)).into());
            }
            return if changes { saving::announce(engine.backend, wanted.backup, report) } else { Ok(()) };
        }
        engine.backend.rollback()?;
        if !plans.is_empty() || wanted.vacuum {
            if let Some(reason) = engine.backend.read_only()? {
                return Err(Stop::Refused(reason).into());
            }
            saving::announce(engine.backend, wanted.backup, report)?;
        }
        if !plans.is_empty() {
            confirm(wanted, &plans, &report.database, ask)?;
        }
        if !plans.is_empty() || wanted.vacuum {
            saving::save(engine.backend, wanted.backup, engine.progress, report)?;
        }
        if wanted.vacuum {
            // After the copy, which takes room too, and before the first change.
            engine.backend.room_to_vacuum()?;
        }
        let mut left = plans.iter();
        while let Some(plan) = left.next() {
            match cleanup::drop_column(engine, plan, wanted.unproven) {
                Ok(table) => report.tables.push(table),
                Err(failed) => {
                    report.tables.push(failed.report);
                    report.tables.extend(left.map(|plan| TableReport { steps: Vec::new(), ..plan.clone() }));
                    return Err(failed.error);
                }
            }
        }
        let all = || observed.survey.found.iter().filter(|table| table.table_type == TableType::Sessions);
        if wanted.vacuum {
            let names: Vec<&str> = all().map(|table| table.name.as_str()).collect();
            let sizes = engine.backend.vacuum(&names, engine.progress)?;
            report.notes.push(format!(
                "gave space back: {} MB before, {} MB now",
                megabytes(sizes.before),
                megabytes(sizes.after)
            ));
        } else if report.tables.iter().any(|table| table.outcome == Outcome::Migrated) {
            report.notes.push("the space is used for new rows; --vacuum gives it back to the disk".to_owned());
        }
        Ok(())
    })
}

/// Asks unless that was said beforehand. What would be lost is said in the question, and nobody to ask is no consent to it.
fn confirm(wanted: &Cleaning<'_>, plans: &[TableReport], database: &str, ask: Ask<'_>) -> Result<()> {
    if wanted.yes {
        return Ok(());
    }
    let losses: Vec<String> = plans.iter().filter_map(cleanup::loss).collect();
    let question = format!("Drop the old column runs of {} of {database}?", tables(plans.len()));
    match (ask(&losses.iter().map(|loss| format!("{loss}\n")).chain([question]).collect::<String>())?, losses.is_empty()) {
        (Answer::Yes, _) | (Answer::Nobody, true) => Ok(()),
        (Answer::No, _) => Err(not_confirmed()),
        (Answer::Nobody, false) => Err(Stop::Refused(format!(
            "nothing was changed: nobody is there to be asked, and what would be lost needs --yes beside --force:\n  {}",
            losses.join("\n  ")
        ))
        .into()),
    }
}
