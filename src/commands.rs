//! One short function per command: open the database, let the engine walk, fill the report.

use crate::backend::{self, Access, megabytes};
use crate::cleanup::{self, Unproven};
use crate::cli::{Backup, Cli, Command, Only, Options};
use crate::discover::{Found, Stamp};
use crate::engine::{Course, Engine, Moves, Observed, Settings, TablePlan};
use crate::error::{Stop, exit_code};
use crate::progress::{Event, Progress};
use crate::report::{LooksLikeReport, Outcome, Report, TableReport};
use crate::schema::Target;
use crate::schema::tables::TableType;
use crate::schema::versions::{newest, oldest};
use crate::v1::Chosen;
use crate::v1::command as conversion;
use crate::verify;
use anyhow::Result;
use semver::Version;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Exit code of `--check` when migrations are pending.
const PENDING: u8 = 3;
/// Exit code of drift.
const DRIFT: u8 = 4;

/// Whether to go on, asked before a `down`: the sentence, and the answer.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<bool>;

/// The exit code of several databases: that of the worst.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const WORST_FIRST: [u8; 8] = [130, 1, 2, 6, 5, DRIFT, PENDING, 0];
    let rank = |code: &u8| WORST_FIRST.iter().position(|known| known == code).unwrap_or(1);
    codes.into_iter().min_by_key(rank).unwrap_or(0)
}

/// Runs a command on one database. The report says everything, a failure included; it has its exit code.
pub fn run(cli: &Cli, progress: &mut dyn Progress, ask: Ask<'_>) -> Report {
    let started = Instant::now();
    let (name, dry_run) = match &cli.command {
        Command::Up { dry_run, .. } => ("up", *dry_run),
        Command::Down { dry_run, .. } => ("down", *dry_run),
        Command::Current { .. } => ("current", false),
        Command::Status { .. } => ("status", false),
        Command::Plan { .. } => ("plan", true),
        Command::V1ToV2 { dry_run, .. } => ("v1-to-v2", *dry_run),
        Command::Verify { .. } => ("verify", false),
        Command::Cleanup { dry_run, .. } => ("cleanup", *dry_run),
        // Printed by main, which has no report for them.
        Command::Completions { .. } | Command::Man => ("", false),
    };
    let mut report = Report { dry_run, ..Report::new(name, String::new()) };
    let outcome = match &cli.command {
        Command::Up { to, force, only, backup, .. } => {
            let moves = if *force { Moves::Again } else { Moves::Due };
            change(cli, only, Course::Up { target: to.0.clone(), moves }, backup, ask, progress, &mut report)
        }
        Command::Down { to, only, backup, .. } => {
            change(cli, only, Course::Down { target: to.0.clone() }, backup, ask, progress, &mut report)
        }
        Command::Current { check } => current(&cli.options, *check, progress, &mut report),
        Command::Status { check } => status(&cli.options, *check, progress, &mut report),
        Command::Plan { to, only } => plan(&cli.options, only, to, progress, &mut report),
        Command::V1ToV2 { storage, memory, vectors, from, from_schema, to, dry_run } => {
            let all = !(*storage || *memory || *vectors);
            let chosen = Chosen { storage: *storage || all, memory: *memory || all, vectors: *vectors || all };
            let sources = conversion::Sources { urls: from, schema: from_schema.as_deref() };
            conversion::convert(&cli.options, chosen, &sources, &to.0, *dry_run, progress, &mut report)
        }
        Command::Verify { from, from_schema } => verify(&cli.options, progress, &mut report).and_then(|()| {
            let sources = conversion::Sources { urls: from, schema: from_schema.as_deref() };
            if from.is_empty() { Ok(()) } else { conversion::verify(&cli.options, &sources, progress, &mut report) }
        }),
        Command::Cleanup { yes, force, vacuum, backup, .. } => {
            let wanted = Cleaning {
                unproven: if *force { Unproven::Goes } else { Unproven::Stays },
                vacuum: *vacuum,
                yes: *yes,
                backup,
            };
            cleanup(&cli.options, &wanted, ask, progress, &mut report)
        }
        Command::Completions { .. } | Command::Man => Ok(()),
    };
    let differs = report.tables.iter().any(|table| !table.differences.is_empty())
        || report.converted.iter().any(|account| !account.differences.is_empty());
    if report.command == "verify" && differs {
        report.exit_code = DRIFT;
    }
    if report.database.is_empty() {
        // Not even opened: it still has a name.
        let name = cli.options.url().ok().and_then(|url| backend::name_of(&url));
        report.database = name.unwrap_or_default();
    }
    if let Err(error) = outcome {
        report.exit_code = exit_code(&error);
        report.failure = Some(sentence(&error));
    }
    report.seconds = started.elapsed().as_secs_f64();
    report
}

/// An error and its causes in one line, outermost first, without a cause that repeats what was said.
fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !parts.iter().any(|part| part.contains(&cause)) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}

/// Opens the database and calls `then` with an engine for it.
fn with_engine<T>(
    options: &Options,
    only: &Only,
    access: Access,
    progress: &mut dyn Progress,
    report: &mut Report,
    then: impl FnOnce(&mut Engine<'_>, &mut Report) -> Result<T>,
) -> Result<T> {
    let mut backend = backend::open(&options.url()?, &options.opening(access))?;
    report.database = backend.name();
    // One state of the database for everything that is found out: another migration may be at work.
    backend.snapshot(progress)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let settings = Settings {
        named: options.named(),
        versions_table: options.versions_table(),
        only: (!only.only.is_empty()).then(|| only.only.iter().copied().collect()),
        lock_wait: options.lock_wait,
        now: i64::try_from(now).unwrap_or_default(),
    };
    then(&mut Engine { backend: &mut *backend, progress, settings, apart: Vec::new() }, report)
}

/// What every command says of what was found.
fn tell_found(engine: &mut Engine<'_>, observed: &Observed, report: &mut Report) -> Result<()> {
    let survey = &observed.survey;
    report.warnings.extend(survey.warnings.iter().cloned());
    report.v1_tables.clone_from(&survey.v1);
    if !survey.v1.is_empty() {
        report
            .notes
            .push(format!("tables of Agno v1, left alone: {}; agno-migrate v1-to-v2 converts them", survey.v1.join(", ")));
    }
    report.looks_like = survey
        .looks_like
        .iter()
        .map(|table| LooksLikeReport {
            name: table.name.clone(),
            table_type: table.table_type,
            reason: table.reason.clone(),
        })
        .collect();
    if survey.found.is_empty() {
        let elsewhere = engine.backend.elsewhere()?;
        if !elsewhere.is_empty() {
            report
                .notes
                .push(format!("Agno's tables are in another schema: say --schema {}", elsewhere.join(" or --schema ")));
        }
    }
    Ok(())
}

/// `up` and `down`: check everything first, then change table by table.
fn change(
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
        let refusals = refusals(&observed, only, &plans);
        if report.dry_run {
            report.tables = plans.iter().map(planned).collect();
            return refuse(&refusals, &plans);
        }
        if !refusals.is_empty() {
            report.tables = plans.iter().map(not_begun).collect();
            return refuse(&refusals, &plans);
        }
        engine.backend.rollback()?;
        let work = plans.iter().filter(|plan| !plan.is_empty()).count();
        if work > 0 {
            if let Some(reason) = engine.backend.read_only()? {
                return Err(Stop::Refused(reason).into());
            }
            if let Command::Down { yes: false, .. } = &cli.command
                && !ask(&question(work, &course, &report.database))?
            {
                return Err(not_confirmed());
            }
        }
        if work > 0 {
            save(engine, backup, report)?;
        }
        tell_consequences(&plans, &course, report);
        let mut plans = plans.into_iter();
        while let Some(plan) = plans.next() {
            if plan.is_empty() {
                report.tables.push(unchanged(&plan.table));
                continue;
            }
            match engine.walk(&plan, &course) {
                Ok(table) => report.tables.push(table),
                Err(failed) => {
                    report.tables.push(failed.report);
                    report.tables.extend(plans.map(|plan| not_begun(&plan)));
                    return Err(failed.error);
                }
            }
        }
        Ok(())
    })
}

fn question(work: usize, course: &Course, database: &str) -> String {
    format!("Take {} of {database} down to v{}?", tables(work), course.target())
}

/// `1 table`, `2 tables`.
fn tables(number: usize) -> String {
    if number == 1 { "1 table".to_owned() } else { format!("{number} tables") }
}

/// Copies the database when that was asked for, before the first change.
fn save(engine: &mut Engine<'_>, backup: &Backup, report: &mut Report) -> Result<()> {
    if let Some(path) = backup.wanted() {
        let saved = engine.backend.backup(path, engine.progress)?;
        report.notes.push(format!("saved the database as it was to {}", saved.display()));
        report.backup = Some(saved.display().to_string());
    }
    Ok(())
}

/// What a `cleanup` was asked to do.
struct Cleaning<'c> {
    unproven: Unproven,
    vacuum: bool,
    yes: bool,
    backup: &'c Backup,
}

/// `cleanup`: prove everything first, then drop table by table.
fn cleanup(
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
        let mut refusals = observed.survey.refusals.clone();
        let plans = cleanup::plan(engine, &observed, wanted.unproven)?;
        refusals.extend(plans.iter().flat_map(|plan| plan.refusals.iter().map(|why| format!("{}: {why}", plan.name))));
        if report.dry_run || !refusals.is_empty() {
            report.tables = plans;
            return match refusals.is_empty() {
                true => Ok(()),
                false => Err(Stop::Refused(stands_in_the_way(&refusals)).into()),
            };
        }
        engine.backend.rollback()?;
        if !plans.is_empty() || wanted.vacuum {
            if let Some(reason) = engine.backend.read_only()? {
                return Err(Stop::Refused(reason).into());
            }
        }
        if !plans.is_empty() {
            let question = format!("Drop the old column runs of {} of {}?", tables(plans.len()), report.database);
            if !wanted.yes && !ask(&question)? {
                return Err(not_confirmed());
            }
            save(engine, wanted.backup, report)?;
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
            let sizes = engine.backend.vacuum(&names)?;
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

fn not_confirmed() -> anyhow::Error {
    Stop::Refused("not confirmed: nothing was changed; --yes goes on without asking".to_owned()).into()
}

fn stands_in_the_way(reasons: &[String]) -> String {
    format!("nothing was changed, since this stands in the way:\n  {}", reasons.join("\n  "))
}

/// What the user must know about living with the result.
fn tell_consequences(plans: &[TablePlan], course: &Course, report: &mut Report) {
    let last = newest();
    let moves_runs = |plan: &&TablePlan| plan.table.table_type == TableType::Sessions && !plan.is_empty();
    let sessions = plans.iter().any(|plan| moves_runs(&plan));
    match course {
        Course::Up { target, .. } if target == last && sessions => report.notes.push(
            "stop every Agno 2 app on this database: it would write runs where Agno 3 does not look for them. The old column \
             runs stays as it was, and Agno 3 reads it too until it is dropped"
                .to_owned(),
        ),
        Course::Down { target } if *target < Version::new(2, 5, 6) && sessions => report.warnings.push(format!(
            "runs that a newer Agno wrote may not open in the releases of schema {target} (Agno 2.4.8 fails on runs of 2.9.0)"
        )),
        _ => {}
    }
    if let Course::Down { target } = course
        && target < last
        && plans.iter().any(|plan| plan.table.table_type == TableType::Learnings && !plan.is_empty())
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
    let named = survey.refusals.iter().map(|why| (None, why.clone()));
    let blocking = survey.looks_like.iter().filter(|table| table.blocks && is_chosen(&table.table_type)).map(|table| {
        let why = format!(
            "{} has the name of Agno's {} table and is none: {}; rename it",
            table.name, table.table_type, table.reason
        );
        (Some(table.table_type), why)
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
fn planned(plan: &TablePlan) -> TableReport {
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
fn plan(options: &Options, only: &Only, to: &Target, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
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

/// What a stamp claims and the table lacks, in words.
fn drift(observed: &Observed, table: &Found) -> Vec<String> {
    observed.drift(table).into_iter().map(|fact| format!("lacks {fact}")).collect()
}

/// `current`: one line.
fn current(options: &Options, check: bool, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        report.warnings.extend(observed.survey.refusals.iter().cloned());
        let found = &observed.survey.found;
        for table in found {
            let drift = drift(&observed, table);
            report.tables.push(TableReport { drift, ..TableReport::of(table) });
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
        }
        Ok(())
    })
}

/// `status`: a row per table.
fn status(options: &Options, check: bool, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        report.warnings.extend(observed.survey.refusals.iter().cloned());
        let course = Course::Up { target: newest().clone(), moves: Moves::Due };
        let plans = engine.plan(&observed, &course)?;
        for table in &observed.survey.found {
            let plan = plans.iter().find(|plan| plan.table.name == table.name);
            let mut row = plan.map_or_else(|| TableReport::of(table), planned);
            row.drift = drift(&observed, table);
            row.shape = Some(observed.shape_version(table));
            row.rows = Some(engine.rows(&table.name)?);
            report.tables.push(row);
        }
        if check {
            checked(plans.iter().any(|plan| !plan.is_empty()), has_unknown(&observed), report);
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

/// `verify`: every table against its stamp.
fn verify(options: &Options, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    with_engine(options, &Only::default(), Access::Read, progress, report, |engine, report| {
        let observed = engine.observe()?;
        tell_found(engine, &observed, report)?;
        report.warnings.extend(observed.survey.refusals.iter().cloned());
        for table in &observed.survey.found {
            engine.progress.on(Event::Table { name: table.name.clone(), work: "being verified".to_owned() });
            let outcome = verify::table(engine, &observed, table);
            engine.progress.on(Event::TableDone);
            report.tables.push(outcome?);
        }
        report.tables.extend(verify::archive(engine, &observed)?);
        Ok(())
    })
}
