//! One short function per command: open the database, let the engine walk, fill the report.

mod change;
mod clean;
mod look;

use crate::backend::{self, Access};
use crate::cli::{Cli, Command, Only, Options};
use crate::engine::{Course, Engine, Moves, Observed, Settings};
use crate::error::{Stop, exit_code, holds};
use crate::progress::{Event, Progress, interrupted};
use crate::report::{LooksLikeReport, Report};
use crate::v1::Chosen;
use crate::v1::command as conversion;
use anyhow::Result;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Exit code of `--check` when migrations are pending.
const PENDING: u8 = 3;

/// Between two looks at a database that someone holds.
const PAUSE: Duration = Duration::from_secs(1);

/// Exit code of drift.
const DRIFT: u8 = 4;

/// Whether to go on, asked before a `down` and a `cleanup`: the sentence, and the answer.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Answer>;

/// What was said to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Change nothing.
    No,
    /// There is no terminal: a deploy job. It goes on with what can be taken back.
    Nobody,
}

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
        Command::Completions { .. } | Command::Man { .. } => ("", false),
    };
    let mut report = Report { dry_run, ..Report::new(name, String::new()) };
    let outcome = match &cli.command {
        Command::Up { to, force, only, backup, .. } => {
            let moves = if *force { Moves::Again } else { Moves::Due };
            change::change(cli, only, Course::Up { target: to.0.clone(), moves }, backup, ask, progress, &mut report)
        }
        Command::Down { to, only, backup, .. } => {
            change::change(cli, only, Course::Down { target: to.0.clone() }, backup, ask, progress, &mut report)
        }
        Command::Current { check } => look::current(&cli.options, *check, progress, &mut report),
        Command::Status { check } => look::status(&cli.options, *check, progress, &mut report),
        Command::Plan { to, only } => change::plan(&cli.options, only, to, progress, &mut report),
        Command::V1ToV2 { storage, memory, vectors, from, from_schema, to, dry_run, backup } => {
            let all = !(*storage || *memory || *vectors);
            let chosen = Chosen { storage: *storage || all, memory: *memory || all, vectors: *vectors || all };
            let sources = conversion::Sources { urls: from, schema: from_schema.as_deref() };
            let wanted = conversion::Wanted { chosen, to: &to.0, dry_run: *dry_run, backup };
            conversion::convert(&cli.options, &wanted, &sources, progress, &mut report)
        }
        Command::Verify { from, from_schema } => look::verify(&cli.options, progress, &mut report).and_then(|()| {
            let sources = conversion::Sources { urls: from, schema: from_schema.as_deref() };
            if from.is_empty() { Ok(()) } else { conversion::verify(&cli.options, &sources, progress, &mut report) }
        }),
        Command::Cleanup { yes, force, vacuum, backup, .. } => {
            let wanted = clean::Cleaning::new(*force, *vacuum, *yes, backup);
            clean::cleanup(&cli.options, &wanted, ask, progress, &mut report)
        }
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
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
        let advice = match error.chain().find_map(|cause| cause.downcast_ref::<Stop>()) {
            Some(Stop::Busy(_)) => {
                "; another program holds it: run the command again, or wait longer with --lock-timeout SECONDS"
            }
            _ => "",
        };
        report.failure = Some(sentence(&error) + advice);
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
    mut then: impl FnMut(&mut Engine<'_>, &mut Report) -> Result<T>,
) -> Result<T> {
    let mut backend = backend::open(&options.url()?, &options.opening(access))?;
    report.database = backend.name();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let settings = Settings {
        named: options.named(),
        versions_table: options.versions_table(),
        only: (!only.only.is_empty()).then(|| only.only.iter().copied().collect()),
        lock_wait: options.lock_wait,
        now: i64::try_from(now).unwrap_or_default(),
    };
    let (started, before) = (Instant::now(), report.clone());
    loop {
        // One state of the database for everything that is found out: another migration may be at work.
        backend.snapshot(progress)?;
        let settings = settings.clone();
        let outcome = then(&mut Engine { backend: &mut *backend, progress, settings, apart: Vec::new() }, report);
        // Someone holds a table that had to be looked at: nothing has changed yet, since a change waits by itself.
        match outcome {
            Err(error) if is_busy(&error) && !interrupted() => {
                backend.rollback()?;
                let who = backend.blockers(&[])?.unwrap_or_else(|| "someone".to_owned());
                if started.elapsed() >= options.lock_wait {
                    return Err(Stop::Locked(holds(&who)).into());
                }
                progress.on(Event::Waiting(format!("waiting for {who}, which holds a table")));
                std::thread::sleep(PAUSE);
                report.clone_from(&before);
            }
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Stop::Busy(_))))
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

/// `1 table`, `2 tables`.
fn tables(number: usize) -> String {
    if number == 1 { "1 table".to_owned() } else { format!("{number} tables") }
}

fn not_confirmed() -> anyhow::Error {
    Stop::Refused("not confirmed: nothing was changed; --yes goes on without asking".to_owned()).into()
}

fn stands_in_the_way(reasons: &[String]) -> String {
    format!("nothing was changed, since this stands in the way:\n  {}", reasons.join("\n  "))
}
