//! Proves, reading only, that a database is what its stamps say: shapes, runs, keys of entity memories, the archive.

use crate::archive;
use crate::difference::{Compared, Difference, Differences};
use crate::discover::{Found, Stamp};
use crate::engine::{Engine, Observed};
use crate::report::{Outcome, TableReport};
use crate::rows;
use crate::schema::tables::{ARCHIVE_TABLE, TableType};
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
    report.differences.append(shape(observed, table));
    if table.table_type == TableType::Sessions && is_at(table, Step::Move(Move::Runs)) {
        of_runs(engine, observed, table, &mut report)
            .with_context(|| format!("cannot compare the runs of {}", table.name))?;
    }
    if table.table_type == TableType::Learnings && is_at(table, Step::Move(Move::EntityKeys)) {
        let ids = rows::on_shared_keys_still(engine.backend, &table.name)?;
        let mend = format!("agno-migrate up{} moves it", to(table));
        report.differences.append(each(ids, "its key is shared across users", &mend));
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

/// What versions up to the stamp want and the table lacks.
fn shape(observed: &Observed, table: &Found) -> Differences {
    let mut differences = Differences::default();
    for fact in observed.drift(table) {
        let mend = format!("agno-migrate up{} makes it", to(table));
        differences.add(of_table(format!("it lacks {fact}"), mend));
    }
    let Some(runs) = observed.catalog.tables.get(table.runs.as_deref().unwrap_or_default()) else { return differences };
    let is_child = |name: &str| runs.foreign_keys.iter().any(|key| key.parent.eq_ignore_ascii_case(name));
    if is_at(table, Step::Move(Move::Runs)) && !is_child(&table.name) {
        let what =
            format!("its runs table lacks the foreign key on {}: rows would stay when their session is deleted", table.name);
        differences.add(of_table(what, "agno-migrate down v2.5.6 and up again make the runs table anew".to_owned()));
    }
    differences
}

/// The old column, and rows without a session.
fn of_runs(engine: &mut Engine<'_>, observed: &Observed, table: &Found, report: &mut TableReport) -> Result<()> {
    // Without the table its lack was told with the shape.
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

/// Holds the archive against the tables its values come from.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn archive(engine: &mut Engine<'_>, observed: &Observed) -> Result<Option<TableReport>> {
    if !observed.catalog.tables.contains_key(ARCHIVE_TABLE) {
        return Ok(None);
    }
    let mut report = TableReport { name: ARCHIVE_TABLE.to_owned(), ..TableReport::default() };
    report.rows = Some(engine.rows(ARCHIVE_TABLE)?);
    for kept in archive::kept(engine.backend)? {
        let values = crate::report::counted(kept.values, "value", "values");
        let shape = observed.catalog.tables.get(&kept.table);
        let found = observed.survey.found.iter().find(|found| found.name == kept.table);
        // A runs table goes at down and is made again at up: its values wait for it beside its sessions table.
        let will_come = observed.survey.found.iter().any(|found| found.runs.as_ref() == Some(&kept.table));
        match (shape, kept.place) {
            (_, archive::Place::Taken) => {
                report
                    .notes
                    .push(format!("{values} of {} are kept whose place in column {} the app took", kept.table, kept.column));
            }
            (None, _) if !will_come => report.differences.add(Difference {
                id: Some(kept.table.clone()),
                item: Some(kept.column.clone()),
                what: format!("{values} of a table that is not there"),
                mend: "bring the table back under its name, or delete these rows of the archive".to_owned(),
            }),
            (Some(shape), place) if shape.column(archive::needs(place, &kept.column)).is_some() => {
                let to = found.map(to).unwrap_or_default();
                report.differences.add(Difference {
                    id: Some(kept.table.clone()),
                    item: Some(kept.column.clone()),
                    what: format!("{values} wait in the archive, and the table has the column again"),
                    mend: format!("agno-migrate up{to} puts them back"),
                });
            }
            (Some(_), archive::Place::Value) => {
                let gone = found.map_or(Ok(0), |found| archive::without_row(engine.backend, found, &kept.column))?;
                if gone > 0 {
                    report.notes.push(format!(
                        "{} of {} belong to rows that were deleted since: the next up forgets them",
                        crate::report::counted(gone, "archived value", "archived values"),
                        kept.table
                    ));
                }
            }
            _ => {}
        }
    }
    report.outcome = if report.differences.is_empty() { Outcome::Proven } else { Outcome::Differs };
    Ok(Some(report))
}
