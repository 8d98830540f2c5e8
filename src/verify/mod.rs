//! Proves, reading only, that a database is what its stamps say: shapes, runs, keys of entity memories, the archive.

mod archive;
mod shape;
mod unusable;

pub use archive::archive;
pub use shape::{lost_runs, runs_trouble};
pub use unusable::{missing, tables as unusable};

use crate::convert::learnings;
use crate::difference::{Compared, Difference, Differences};
use crate::discover::{Found, Stamp};
use crate::engine::{Engine, Observed};
use crate::report::{Outcome, TableReport};
use crate::rows;
use crate::schema::tables::TableType;
use crate::schema::{MIGRATIONS, Move, Step};
use anyhow::{Context, Result};
use semver::Version;
use std::time::Instant;

/// Holds a table against its stamp.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn table(engine: &mut Engine<'_>, observed: &Observed, table: &Found) -> Result<TableReport> {
    let started = Instant::now();
    let mut report = TableReport::of(table);
    report.rows = Some(engine.rows(&table.name)?);
    report.differences.append(stamp(table, &engine.settings.versions_table));
    report.differences.append(shape::shape(observed, table, engine.backend.dialect()));
    if table.table_type == TableType::Sessions && is_at(table, Step::Move(Move::Runs)) {
        of_runs(engine, observed, table, &mut report)
            .with_context(|| format!("cannot compare the runs of {}", table.name))?;
    }
    if table.table_type == TableType::Learnings && is_at(table, Step::Move(Move::EntityKeys)) {
        let ids = rows::on_shared_keys_still(engine.backend, &table.name)?;
        let mend = format!("agno-migrate up{} moves it", to(table));
        report.differences.append(each(ids, "its key is shared across users", &mend));
        report.differences.append(on_keys_of_others(engine, table)?);
    }
    if table.table_type == TableType::ScheduleRuns {
        report.differences.append(without_schedule(engine, observed, table)?);
    }
    report.outcome = if report.differences.is_empty() { Outcome::Proven } else { Outcome::Differs };
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// ` --to v2.5.6`, when the newest version is not what the stamp says.
fn to(table: &Found) -> String {
    match table.stamp.version() {
        Some(version) if version != crate::schema::versions::newest() => format!(" --to v{version}"),
        _ => String::new(),
    }
}

/// Whether a table is stamped with the version of a step, or a later one.
pub fn is_at(table: &Found, step: Step) -> bool {
    let of_step = MIGRATIONS.iter().find(|migration| migration.steps(table.table_type).contains(&step));
    let versions: Option<(&Version, &Version)> = table.stamp.version().zip(of_step.map(|migration| &migration.version));
    versions.is_some_and(|(stamp, version)| stamp >= version)
}

fn each(ids: Vec<String>, what: &str, mend: &str) -> Differences {
    let mut differences = Differences::default();
    for id in ids {
        differences.add(Difference { id: Some(id), item: None, what: what.to_owned(), mend: mend.to_owned() });
    }
    differences
}

fn of_table(what: String, mend: String) -> Difference {
    Difference { id: None, item: None, what, mend }
}

fn stamp(table: &Found, versions_table: &str) -> Differences {
    let mut differences = Differences::default();
    if let Stamp::Unknown(text) = &table.stamp {
        let mend = format!("update agno-migrate, or correct the stamp in {versions_table}");
        differences.add(of_table(format!("it is stamped {text}, which this agno-migrate does not know"), mend));
    }
    differences
}

/// Entity memories of one user on a key that names another.
fn on_keys_of_others(engine: &mut Engine<'_>, table: &Found) -> Result<Differences> {
    let mut differences = Differences::default();
    let sql = format!(
        "SELECT learning_id, user_id, entity_type, entity_id FROM {} WHERE learning_type = '{}' AND namespace = 'user' \
         AND learning_id LIKE 'entity\\_user\\_%' ESCAPE '\\' AND learning_id <> 'entity_user_' || entity_type || '_' || entity_id \
         AND user_id <> '' AND entity_type <> '' AND entity_id <> '' ORDER BY learning_id",
        engine.backend.dialect().table(&table.name),
        learnings::ENTITY_MEMORY
    );
    engine.backend.scan(&sql, &[], &mut |fields| {
        let text = |at: usize| fields.get(at).copied().flatten().map(String::from_utf8_lossy).unwrap_or_default();
        let (id, key) = (text(0), learnings::key_of(&text(1), &text(2), &text(3)));
        if id != key {
            differences.add(Difference {
                id: Some(id.into_owned()),
                item: None,
                what: "its key names another user than its owner".to_owned(),
                mend: format!("if the owner is right, its learning_id is {key}; else correct user_id"),
            });
        }
        Ok(true)
    })?;
    Ok(differences)
}

/// Runs of schedules that are gone. Agno deletes them with their schedule.
fn without_schedule(engine: &mut Engine<'_>, observed: &Observed, table: &Found) -> Result<Differences> {
    let mut differences = Differences::default();
    let keys = observed.catalog.tables.get(&table.name).map(|shape| shape.foreign_keys.as_slice()).unwrap_or_default();
    let is_parent = |found: &&Found| {
        found.table_type == TableType::Schedules && keys.iter().any(|key| key.parent.eq_ignore_ascii_case(&found.name))
    };
    let Some(schedules) = observed.survey.found.iter().find(is_parent) else { return Ok(differences) };
    let dialect = engine.backend.dialect();
    let sql = format!(
        "SELECT r.id FROM {} r WHERE NOT EXISTS (SELECT 1 FROM {} s WHERE s.id = r.schedule_id) ORDER BY r.id",
        dialect.table(&table.name),
        dialect.table(&schedules.name)
    );
    engine.backend.scan(&sql, &[], &mut |fields| {
        differences.add(Difference {
            id: fields.first().copied().flatten().map(|id| String::from_utf8_lossy(id).into_owned()),
            item: None,
            what: format!("its schedule is not in {}", schedules.name),
            mend: "restore the schedule, or delete the row if nobody needs it".to_owned(),
        });
        Ok(true)
    })?;
    Ok(differences)
}

/// The old column, and rows without a session.
fn of_runs(engine: &mut Engine<'_>, observed: &Observed, table: &Found, report: &mut TableReport) -> Result<()> {
    // Without the table, or what makes it one, that was told with the shape.
    if runs_trouble(observed, table).is_some() {
        return Ok(());
    }
    let Some((runs, _)) = table.runs.as_deref().and_then(|name| observed.catalog.tables.get_key_value(name)) else {
        return Ok(());
    };
    if observed.catalog.tables.get(&table.name).is_some_and(|shape| shape.column("runs").is_some()) {
        let compared = engine.backend.compare_runs(&table.name, runs, engine.progress)?;
        note(report, compared);
    }
    let dialect = engine.backend.dialect();
    let sql = format!(
        "SELECT r.run_id FROM {} r WHERE NOT EXISTS (SELECT 1 FROM {} s WHERE s.session_id = r.session_id) ORDER BY r.run_id",
        dialect.table(runs),
        dialect.table(&table.name)
    );
    let differences = &mut report.differences;
    engine.backend.scan(&sql, &[], &mut |fields| {
        let id = fields.first().copied().flatten().map(|id| String::from_utf8_lossy(id).into_owned());
        differences.add(Difference {
            id,
            item: None,
            what: format!("its row in {runs} has no session"),
            mend: "restore the session, or delete the row if nobody needs it".to_owned(),
        });
        Ok(true)
    })
}

/// Adds what the comparison of the old column found.
pub fn note(report: &mut TableReport, compared: Compared) {
    report.compared = Some(compared.runs);
    report.changed = compared.changed;
    report.differences.append(compared.differences);
}
