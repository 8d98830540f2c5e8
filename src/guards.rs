//! What must be true of the rows before an action, asked of the database.

use crate::backend::Backend;
use crate::discover::Found;
use crate::plan::Guard;
use crate::schema::tables::ARCHIVE_TABLE;
use crate::schema::{Column, Condition, Index, Shape};
use anyhow::Result;

/// How many ids a message names.
pub const NAMED: usize = 20;

/// Why the guard does not hold, and what to do; `None` when it holds.
pub fn check(
    backend: &mut dyn Backend,
    guard: &Guard,
    table: &Found,
    shape: &Shape,
    archived: bool,
) -> Result<Option<String>> {
    match guard {
        Guard::Unique(index) => unique(backend, index, table, shape, archived),
        Guard::Key(column) => key(backend, column, table),
        Guard::Keyed(column) => keyed(backend, column, table, shape),
        Guard::Movable => table.runs.as_deref().map_or(Ok(None), |runs| backend.unmovable(runs)),
        Guard::NoOrphans => no_orphans(backend, table),
        Guard::Convertible(retypes) => {
            let ids = backend.unconvertible(&table.name, table.table_type.known().key[0], retypes)?;
            Ok((!ids.is_empty()).then(|| {
                format!(
                    "values of these rows cannot become JSONB (numbers beyond its range, more than 255 MB in one list, characters that \
                     the encoding of the database lacks, or keys that would be equal without the NUL characters in them): {}; mend \
                     or delete them",
                    listed(&ids)
                )
            }))
        }
        Guard::Lists => match &table.runs {
            Some(runs)
                if shape.column("runs").is_some()
                    && backend.shape(&table.name)?.is_some_and(|s| s.column("runs").is_some()) =>
            {
                Ok(match backend.unreadable_lists(&table.name, runs)? {
                    ids if ids.is_empty() => None,
                    ids => Some(format!(
                        "the column runs of {} holds no list, and there are rows of it in {runs}: {}; mend the column, or set it \
                         to NULL",
                        sessions(ids.len()),
                        listed(&ids)
                    )),
                })
            }
            _ => Ok(None),
        },
        Guard::Sizes => match &table.runs {
            None => Ok(None),
            Some(runs) => Ok(match backend.oversized(&table.name, runs)? {
                ids if ids.is_empty() => None,
                ids => Some(format!(
                    "the runs of {} are too large together for one value, as the older schema keeps them: {}; delete runs of it \
                     in the app, or stay on this schema",
                    sessions(ids.len()),
                    listed(&ids)
                )),
            }),
        },
    }
}

/// `1 session`, `2 sessions`.
fn sessions(count: usize) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

/// The first ids, and how many more there are.
pub fn listed(ids: &[String]) -> String {
    let named = ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > NAMED { format!("{named} and {} more", ids.len() - NAMED) } else { named }
}

fn keyed(backend: &mut dyn Backend, column: &Column, table: &Found, shape: &Shape) -> Result<Option<String>> {
    let key = table.table_type.known().key[0];
    if shape.column(key).is_none_or(|there| there.required) || shape.column(column.name).is_none() {
        return Ok(None);
    }
    let (own, quoted) = (backend.dialect().table(&table.name), backend.dialect().quote(column.name));
    let any = backend.query(&format!("SELECT 1 FROM {own} WHERE {key} IS NULL AND {quoted} IS NOT NULL LIMIT 1"), &[])?;
    Ok((!any.is_empty()).then(|| {
        format!(
            "{} goes, and its values are archived by {key}, which is NULL in some rows: give these rows a {key}, or delete them",
            column.name
        )
    }))
}

/// Before a column is there its values are those of the archive, or NULL.
fn unique(backend: &mut dyn Backend, index: &Index, table: &Found, shape: &Shape, archived: bool) -> Result<Option<String>> {
    let dialect = backend.dialect();
    let (own, key) = (dialect.table(&table.name), dialect.quote(table.table_type.known().key[0]));
    let real = backend.shape(&table.name)?.unwrap_or_default();
    let value = |column: &str| match (real.column(column), archived) {
        (Some(_), _) => dialect.to_archive(&format!("t.{}", dialect.quote(column))),
        (None, true) => format!(
            "(SELECT a.value FROM {} a WHERE a.table_name = '{}' AND a.column_name = '{column}' AND a.row_key = t.{key})",
            dialect.table(ARCHIVE_TABLE),
            table.name.replace('\'', "''"),
        ),
        (None, false) => "NULL".to_owned(),
    };
    // A column that is new and required has one value everywhere: it does not tell rows apart.
    let is_new_and_required =
        |column: &&&str| real.column(column).is_none() && shape.column(column).is_some_and(|column| column.required);
    let columns: Vec<&&str> = index.columns.iter().filter(|column| !is_new_and_required(column)).collect();
    if columns.iter().any(|column| value(column) == "NULL") {
        // NULLs are never equal.
        return Ok(None);
    }
    let mut conditions: Vec<String> = columns.iter().map(|column| format!("{} IS NOT NULL", value(column))).collect();
    if let Some(Condition::Null(column)) = index.condition {
        conditions.push(format!("{} IS NULL", value(column)));
    }
    let values = columns.iter().map(|column| value(column)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT min(t.{key}), max(t.{key}) FROM {own} t WHERE {} GROUP BY {values} HAVING count(*) > 1 LIMIT 100",
        conditions.join(" AND ")
    );
    let twins: Vec<String> = backend
        .query(&sql, &[])?
        .into_iter()
        .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" and "))
        .collect();
    Ok((!twins.is_empty()).then(|| {
        format!(
            "rows share what must be unique ({}): {}; rename or delete one of each, then run the command again",
            index.columns.join(", "),
            listed(&twins)
        )
    }))
}

fn key(backend: &mut dyn Backend, column: &str, table: &Found) -> Result<Option<String>> {
    let dialect = backend.dialect();
    let (own, quoted) = (dialect.table(&table.name), dialect.quote(column));
    let nulls = backend.query(&format!("SELECT count(*) FROM {own} WHERE {quoted} IS NULL"), &[])?;
    let nulls = nulls.into_iter().flatten().flatten().next().unwrap_or_default();
    let twins = backend.query(
        &format!("SELECT {quoted} FROM {own} WHERE {quoted} IS NOT NULL GROUP BY {quoted} HAVING count(*) > 1 LIMIT 100"),
        &[],
    )?;
    let twins: Vec<String> = twins.into_iter().flatten().flatten().collect();
    Ok(match (nulls.as_str(), twins.is_empty()) {
        ("0", true) => None,
        ("0", false) => Some(format!(
            "rows share {column}, which becomes the key: {}; delete or rename one of each, then run the command again",
            listed(&twins)
        )),
        (nulls, _) => Some(format!("{nulls} rows have no {column}, which becomes the key: delete them or give them one")),
    })
}

fn no_orphans(backend: &mut dyn Backend, table: &Found) -> Result<Option<String>> {
    let Some(runs) = &table.runs else { return Ok(None) };
    let dialect = backend.dialect();
    let sql = format!(
        "SELECT r.run_id FROM {} r WHERE NOT EXISTS (SELECT 1 FROM {} s WHERE s.session_id = r.session_id) LIMIT 1000",
        dialect.table(runs),
        dialect.table(&table.name)
    );
    let orphans: Vec<String> = backend.query(&sql, &[])?.into_iter().flatten().flatten().collect();
    Ok((!orphans.is_empty()).then(|| {
        format!(
            "rows of {runs} have no session to go back to: {}; restore their sessions, or delete them if nobody needs them",
            listed(&orphans)
        )
    }))
}
