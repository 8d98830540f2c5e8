//! The archive against the tables its values come from.

use super::{is_at, to};
use crate::archive::{self, Kept, Place};
use crate::difference::{Difference, Differences};
use crate::discover::Found;
use crate::engine::{Engine, Observed};
use crate::report::{Outcome, TableReport, counted};
use crate::rows;
use crate::schema::tables::{ARCHIVE_TABLE, TableType};
use crate::schema::{MIGRATIONS, Move, Step};
use anyhow::Result;
use std::collections::BTreeSet;

/// Holds the archive against the tables its values come from.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn archive(engine: &mut Engine<'_>, observed: &Observed) -> Result<Option<TableReport>> {
    let Some(shape) = observed.catalog.tables.get(ARCHIVE_TABLE) else { return Ok(None) };
    let mut report = TableReport { name: ARCHIVE_TABLE.to_owned(), ..TableReport::default() };
    report.rows = Some(engine.rows(ARCHIVE_TABLE)?);
    if archive::is_one(shape) {
        let all = archive::kept(engine.backend)?;
        // Rows that wait as a whole come back as a whole: where one cannot, none is said to.
        let mut broken = BTreeSet::new();
        for found in &observed.survey.found {
            let is_of = |kept: &Kept| kept.table == found.name && kept.place == Place::Row;
            if has_rows(found.table_type) && all.iter().any(is_of) {
                let incomplete = incomplete(engine, observed, found)?;
                if !incomplete.is_empty() {
                    broken.insert(found.name.as_str());
                }
                report.differences.append(incomplete);
            }
        }
        for kept in all.iter().filter(|kept| kept.place != Place::Row || !broken.contains(kept.table.as_str())) {
            of_column(engine, observed, kept, &mut report)?;
        }
    } else {
        report.differences.add(Difference {
            id: None,
            item: None,
            what: "it has not the columns of an archive".to_owned(),
            mend: "rename it: agno-migrate makes its own when it needs one".to_owned(),
        });
    }
    report.outcome = if report.differences.is_empty() { Outcome::Proven } else { Outcome::Differs };
    Ok(Some(report))
}

/// The values of one column of one table.
fn of_column(engine: &mut Engine<'_>, observed: &Observed, kept: &Kept, report: &mut TableReport) -> Result<()> {
    let values = counted(kept.values, "value", "values");
    let shape = observed.catalog.tables.get(&kept.table);
    let found = observed.survey.found.iter().find(|found| found.name == kept.table);
    // A runs table goes at down and is made again at up: its values wait for it beside its sessions table.
    let sessions = observed.survey.found.iter().find(|found| found.runs.as_ref() == Some(&kept.table));
    let moved = sessions.is_some_and(|sessions| is_at(sessions, Step::Move(Move::Runs)));
    let (what, mend) = match (shape, TableType::from_word(&kept.table_type)) {
        _ if kept.place == Place::Taken => {
            let (table, column) = (&kept.table, &kept.column);
            report.notes.push(format!("{values} of {table} are kept whose place in column {column} the app took"));
            return Ok(());
        }
        (_, None) => (format!("{values} of {}, a type that no table of Agno has", kept.table_type), forget(engine, kept)),
        (_, Some(table_type)) if !has_place(table_type, kept) => {
            (format!("{values} that no version of {table_type} archives"), forget(engine, kept))
        }
        (None, _) if sessions.is_none() => (
            format!("{values} of a table that is not there"),
            format!("bring the table back under its name; or, if nobody needs them, {}", forget(engine, kept)),
        ),
        (Some(_), Some(TableType::Runs)) if moved => (
            format!("{values} wait in the archive, and the runs table has its rows"),
            format!("the rows count: {}", forget(engine, kept)),
        ),
        // A row is told once, with its key.
        (Some(shape), Some(table_type)) if kept.place == Place::Row => {
            if shape.column(archive::OWNER).is_none() || kept.column != table_type.known().key[0] {
                return Ok(());
            }
            (format!("{values} wait in the archive, and the table has the column again"), put_back(found))
        }
        (Some(shape), _) if shape.column(&kept.column).is_some() => {
            (format!("{values} wait in the archive, and the table has the column again"), put_back(found))
        }
        (Some(_), _) => {
            let gone = found.map_or(Ok(0), |found| archive::without_row(engine.backend, found, &kept.column))?;
            if gone > 0 {
                report.notes.push(format!(
                    "{} of {} belong to rows that were deleted since: the next up forgets them",
                    counted(gone, "archived value", "archived values"),
                    kept.table
                ));
            }
            return Ok(());
        }
        (None, _) => return Ok(()),
    };
    report.differences.add(Difference { id: Some(kept.table.clone()), item: Some(kept.column.clone()), what, mend });
    Ok(())
}

fn put_back(found: Option<&Found>) -> String {
    format!("agno-migrate up{} puts them back", found.map(to).unwrap_or_default())
}

/// The statement that takes values out of the archive.
fn forget(engine: &Engine<'_>, kept: &Kept) -> String {
    format!(
        "DELETE FROM {} WHERE table_name = '{}' AND column_name = '{}' takes them out",
        engine.backend.dialect().table(ARCHIVE_TABLE),
        kept.table.replace('\'', "''"),
        kept.entry.replace('\'', "''")
    )
}

/// Whether any version archives such a value.
fn has_place(table_type: TableType, kept: &Kept) -> bool {
    let mut steps = MIGRATIONS.iter().flat_map(|migration| migration.steps(table_type));
    match kept.place {
        Place::Taken => true,
        Place::Row => has_rows(table_type),
        Place::Value if table_type == TableType::Runs => rows::is_of_rows(&kept.column),
        Place::Value => steps.any(|step| matches!(step, Step::AddColumn(column) if column.name == kept.column)),
    }
}

/// Whether rows of a type are archived whole.
fn has_rows(table_type: TableType) -> bool {
    let mut steps = MIGRATIONS.iter().flat_map(|migration| migration.steps(table_type));
    steps.any(|step| matches!(step, Step::Move(Move::OwnedRows)))
}

/// Rows that wait as a whole and lack what the table wants of each: they cannot come back.
fn incomplete(engine: &mut Engine<'_>, observed: &Observed, found: &Found) -> Result<Differences> {
    let mut differences = Differences::default();
    let Some(shape) = observed.catalog.tables.get(&found.name) else { return Ok(differences) };
    let required = shape
        .columns
        .iter()
        .filter(|column| column.required && !column.generated)
        .map(|column| format!("'{}{}'", archive::ROW, column.name.replace('\'', "''")));
    let required: Vec<String> = required.collect();
    let dialect = engine.backend.dialect();
    let table = dialect.table(ARCHIVE_TABLE);
    let sql = format!(
        "SELECT row_key FROM {table} WHERE table_name = $1 AND column_name LIKE '{}%' GROUP BY row_key \
         HAVING count(CASE WHEN column_name IN ({}) THEN 1 END) < {} ORDER BY row_key",
        archive::ROW,
        required.join(", "),
        required.len()
    );
    let of_table = found.name.replace('\'', "''");
    engine.backend.scan(&sql, &[found.name.as_str().into()], &mut |fields| {
        let id = fields.first().copied().flatten().map(|id| String::from_utf8_lossy(id).into_owned());
        differences.add(Difference {
            id,
            item: None,
            what: format!("this row of {} waits in the archive without all its columns: it cannot come back", found.name),
            mend: format!(
                "DELETE FROM {table} WHERE table_name = '{of_table}' AND row_key = ID takes it out; what is missing is in a backup only"
            ),
        });
        Ok(true)
    })?;
    Ok(differences)
}
