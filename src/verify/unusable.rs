//! Tables that were Agno's, and cannot be used as such any more: neither `up` nor an app finds them.

use super::shape::unusable;
use crate::backend::Backend;
use crate::difference::Differences;
use crate::engine::{Engine, Observed};
use crate::report::{Outcome, TableReport};
use crate::schema::Shape;
use crate::schema::tables::{ARCHIVE_TABLE, KNOWN, TableType};
use crate::stamps;
use anyhow::Result;
use std::collections::BTreeMap;

/// How many columns a stamped table may have lost and still be told for what it was. Agno stamps all its tables: of those that
/// are of no type of ours, up to 3.1.10, none comes nearer to one than four columns (`PRODUCTS_TABLE_SCHEMA`).
const LOST: usize = 2;

/// The tables that have the name or the stamp of one of Agno's, and not its columns or its key.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn tables(engine: &mut Engine<'_>, observed: &Observed) -> Result<Vec<TableReport>> {
    let stamps = stamps::read(engine.backend, &observed.catalog, &engine.settings.versions_table)?;
    let mut reports = Vec::new();
    for (name, shape) in &observed.catalog.tables {
        let Some(table_type) = was(engine, observed, &stamps, name, shape) else { continue };
        let Some(difference) = unusable(engine.backend.dialect(), name, table_type, shape) else { continue };
        let mut differences = Differences::default();
        differences.add(difference);
        reports.push(TableReport {
            table_type: Some(table_type),
            name: name.clone(),
            stamp: stamps.get(name).cloned(),
            rows: Some(engine.rows(name)?),
            differences,
            outcome: Outcome::Differs,
            ..TableReport::default()
        });
    }
    Ok(reports)
}

/// What a table was that is none of Agno's now.
fn was(
    engine: &Engine<'_>,
    observed: &Observed,
    stamps: &BTreeMap<String, String>,
    name: &str,
    shape: &Shape,
) -> Option<TableType> {
    let survey = &observed.survey;
    let is_found = survey.found.iter().any(|found| found.name == name);
    // Told with its sessions.
    let is_runs = survey.found.iter().any(|found| found.runs.as_deref() == Some(name));
    let is_other = name == ARCHIVE_TABLE || name == engine.settings.versions_table;
    if is_found || is_runs || is_other || survey.v1.iter().any(|v1| v1 == name) {
        return None;
    }
    // With a name given for the type no other table is meant.
    let is_meant = |table_type: TableType| {
        engine.settings.named.tables.get(&table_type).is_none_or(|names| names.iter().any(|named| named == name))
    };
    let is_stamped = stamps.contains_key(name);
    let like = survey.looks_like.iter().find(|like| like.name == name && (like.blocks || is_stamped));
    let near = || {
        let lost = |table_type: TableType| {
            let known = table_type.known();
            known.key.iter().chain(known.columns).filter(|column| shape.column(column).is_none()).count()
        };
        let types = KNOWN.iter().map(|known| known.table_type).filter(|table_type| table_type.is_stamped());
        types.min_by_key(|table_type| lost(*table_type)).filter(|table_type| is_stamped && lost(*table_type) <= LOST)
    };
    like.map(|like| like.table_type).or_else(near).filter(|table_type| is_meant(*table_type))
}

/// The tables that are stamped and not there. Agno stamps tables before it makes them: that proves nothing.
///
/// # Errors
/// What the database does not let itself be asked.
pub fn missing(backend: &mut dyn Backend, observed: &Observed, versions_table: &str) -> Result<Option<String>> {
    let stamps = stamps::read(backend, &observed.catalog, versions_table)?;
    let names = KNOWN.iter().map(|known| known.default_name);
    let missing: Vec<&str> =
        names.filter(|name| stamps.contains_key(*name) && !observed.catalog.names.contains(*name)).collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "stamped and not there: {}; Agno stamps tables before it makes them. One that you had is in a backup only",
            missing.join(", ")
        )
    }))
}
