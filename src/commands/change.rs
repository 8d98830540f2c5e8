//! `up`, `down` and `plan`.

use super::{Answer, Ask, not_confirmed, stands_in_the_way, tables, tell_found, with_engine};
use crate::archive;
use crate::backend::Access;
use crate::cli::{Backup, Cli, Command, Only, Options};
use crate::discover::{Found, LooksLike};
use crate::engine::{Course, Engine, Moves, Observed, TablePlan};
use crate::error::Stop;
use crate::progress::Progress;
use crate::report::{Outcome, Report, TableReport};
use crate::saving;
use crate::schema::Target;
use crate::schema::tables::TableType;
use crate::schema::versions::newest;
use anyhow::Result;
use semver::Version;

/// `up` and `down`: check everything first, then change table by table.
pub(super) fn change(
    cli: &Cli,
    only: &Only,
    course: Course,
    backup: &Backup,
    ask: Ask<'_>,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> Result<()> {
    report.target = Some(format!("v{}", course.target()));
    let access = if report.dry_run { Access::Read } else { Access::Write };
    with_engine(&cli.options, only, access, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        let plans = engine.plan(&observed, &course)?;
        let mut refusals = refusals(&observed, only, &plans);
        if plans.iter().any(|plan| plan.stamp.is_some()) {
            let versions = engine.settings.versions_table.clone();
            refusals.extend(engine.backend.unwritable(&versions, course.direction())?.map(|why| (None, why)));
        }
        let work = plans.iter().filter(|plan| !plan.is_empty()).count();
        if report.dry_run {
            report.tables = plans.iter().map(planned).collect();
            refuse(&refusals, &plans)?;
            if work > 0 {
                writable(engine)?;
                saving::announce(engine.backend, backup, report)?;
                tell_consequences(&course, report);
            }
            return Ok(());
        }
        if !refusals.is_empty() {
            report.tables = plans.iter().map(not_begun).collect();
            return refuse(&refusals, &plans);
        }
        engine.backend.rollback()?;
        if work > 0 {
            writable(engine)?;
            saving::announce(engine.backend, backup, report)?;
            if let Command::Down { yes: false, .. } = &cli.command
                && ask(&question(work, &course, &report.database))? == Answer::No
            {
                return Err(not_confirmed());
            }
        }
        if work > 0 {
            saving::save(engine.backend, backup, engine.progress, report)?;
        }
        let outcome = walk(engine, plans, &course, report);
        tell_consequences(&course, report);
        outcome
    })
}

/// Refuses a database that cannot be written.
fn writable(engine: &mut Engine<'_>) -> Result<()> {
    match engine.backend.read_only()? {
        Some(reason) => Err(Stop::Refused(reason).into()),
        None => Ok(()),
    }
}

/// Walks table by table; a failure ends it, and what was done is told all the same.
fn walk(engine: &mut Engine<'_>, plans: Vec<TablePlan>, course: &Course, report: &mut Report) -> Result<()> {
    let mut plans = plans.into_iter();
    while let Some(plan) = plans.next() {
        if plan.is_empty() {
            report.tables.push(unchanged(&plan.table));
            continue;
        }
        match engine.walk(&plan, course) {
            Ok(table) => report.tables.push(table),
            Err(failed) => {
                report.tables.push(failed.report);
                report.tables.extend(plans.map(|plan| not_begun(&plan)));
                return Err(failed.error);
            }
        }
    }
    Ok(())
}

fn question(work: usize, course: &Course, database: &str) -> String {
    format!("Take {} of {database} down to v{}?", tables(work), course.target())
}

/// What the user must know about living with the result.
fn tell_consequences(course: &Course, report: &mut Report) {
    let last = newest();
    let changes = if report.dry_run { Outcome::Pending } else { Outcome::Migrated };
    let has_moved = |table_type: TableType| {
        let mut tables = report.tables.iter().filter(|table| table.table_type == Some(table_type));
        tables.any(|table| table.outcome == changes)
    };
    let (sessions, learnings) = (has_moved(TableType::Sessions), has_moved(TableType::Learnings));
    match course {
        Course::Up { target, .. } if target == last && sessions => report.notes.push(
            "stop every Agno 2 app on this database: it would write runs where Agno 3 does not look for them. The old column runs \
             stays as it was; until agno-migrate cleanup drops it Agno 3 reads it too, which is slower, and on PostgreSQL brings \
             back the runs that the app deletes: run cleanup as soon as you are content"
                .to_owned(),
        ),
        Course::Down { target } if *target < Version::new(2, 5, 6) && sessions => report.warnings.push(format!(
            "runs that a newer Agno wrote may not open in the releases of schema {target} (Agno 2.4.8 fails on runs of 2.9.0)"
        )),
        _ => {}
    }
    if let Course::Down { target } = course
        && target < last
        && learnings
    {
        report
            .notes
            .push("entity memories stay on keys that name their user: the older keys are shared across users".to_owned());
    }
}

/// What stands in the way, and of which type.
type Refusal = (Option<TableType>, String);

/// Everything that stands in the way of the chosen types.
fn refusals(observed: &Observed, only: &Only, plans: &[TablePlan]) -> Vec<Refusal> {
    let survey = &observed.survey;
    let is_chosen = |table_type: &TableType| only.only.is_empty() || only.only.contains(table_type);
    let named = survey.refusals.iter().cloned().chain(archive::stranger(&observed.catalog)).map(|why| (None, why));
    // Runs go with their sessions.
    let goes_with = |table: &LooksLike| match table.table_type {
        TableType::Runs => TableType::Sessions,
        other => other,
    };
    let blocking = survey.looks_like.iter().filter(|table| table.blocks && is_chosen(&goes_with(table))).map(|table| {
        let why = format!(
            "{} has the name of Agno's {} table and is none: {}; rename it",
            table.name, table.table_type, table.reason
        );
        (Some(goes_with(table)), why)
    });
    let planned = plans.iter().flat_map(|plan| {
        plan.refusals.iter().map(|why| (Some(plan.table.table_type), format!("{}: {why}", plan.table.name)))
    });
    named.chain(blocking).chain(planned).collect()
}

/// All reasons at once, and the `--only` that leaves the refused tables out.
fn refuse(refusals: &[Refusal], plans: &[TablePlan]) -> Result<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = refusals.iter().map(|(_, why)| why.clone()).collect();
    let mut message = stands_in_the_way(&reasons);
    let is_refused = |table_type: TableType| refusals.iter().any(|(of, _)| *of == Some(table_type));
    let mut others: Vec<&str> =
        plans.iter().map(|plan| plan.table.table_type).filter(|other| !is_refused(*other)).map(TableType::word).collect();
    others.dedup();
    if refusals.iter().all(|(of, _)| of.is_some()) && !others.is_empty() {
        message.push_str(&format!("\nTo go on without these tables: --only {}", others.join(",")));
    }
    Err(Stop::Refused(message).into())
}

/// A table for which nothing was to be done.
fn unchanged(table: &Found) -> TableReport {
    TableReport { outcome: Outcome::Unchanged, ..TableReport::of(table) }
}

/// A table of a plan that is only shown.
pub(super) fn planned(plan: &TablePlan) -> TableReport {
    TableReport { steps: plan.steps.clone(), after: plan.stamp.clone(), ..not_begun(plan) }
}

/// A table of a walk that did not come to it.
fn not_begun(plan: &TablePlan) -> TableReport {
    let outcome = match (plan.refusals.is_empty(), plan.is_empty()) {
        (false, _) => Outcome::Refused,
        (true, true) => Outcome::Unchanged,
        (true, false) => Outcome::Pending,
    };
    TableReport { outcome, refusals: plan.refusals.clone(), ..TableReport::of(&plan.table) }
}

/// `plan`: up steps for lower tables, down steps for higher ones.
pub(super) fn plan(
    options: &Options,
    only: &Only,
    to: &Target,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> Result<()> {
    report.target = Some(format!("v{}", to.0));
    with_engine(options, only, Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        let up = Course::Up { target: to.0.clone(), moves: Moves::Due };
        let down = Course::Down { target: to.0.clone() };
        let plans_up = engine.plan(&observed, &up)?;
        let plans_down = engine.plan(&observed, &down)?;
        for (above, below) in plans_up.iter().zip(&plans_down) {
            let mut table = planned(above);
            let higher = !below.steps.is_empty() || below.table.stamp.version() > Some(&to.0);
            if higher {
                table.steps.extend(below.steps.iter().cloned());
                table.after = below.stamp.clone();
                table.refusals.extend(below.refusals.iter().cloned());
                table.refusals.dedup();
            }
            report.tables.push(table);
        }
        let mut all = refusals(&observed, only, &plans_up);
        all.extend(refusals(&observed, only, &plans_down));
        all.sort();
        all.dedup();
        refuse(&all, &plans_up)
    })
}
