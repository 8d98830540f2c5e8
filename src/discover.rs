//! Finds Agno's tables by their shape: a quarter of real databases use names of their own.

use crate::backend::Catalog;
use crate::schema::release::{NEWEST_RELEASE, schema_of};
use crate::schema::tables::{ARCHIVE_TABLE, KNOWN, TableType, runs_name};
use crate::schema::{Shape, versions::oldest};
use crate::v1::source::kind_of;
use semver::Version;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Names the user gave with `--table`.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The tables of a type; a type that is not listed is found by shape.
    pub tables: BTreeMap<TableType, Vec<String>>,
}

/// What a table is stamped with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// No row: schema 2.0.0.
    None,
    /// A schema version.
    Version(Version),
    /// Something that is no version, or newer than known; as it is written.
    Unknown(String),
}

/// A table of Agno's.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it keeps.
    pub table_type: TableType,
    /// Its name.
    pub name: String,
    /// Its stamp.
    pub stamp: Stamp,
    /// Of a sessions table: the name its runs table has or would get.
    pub runs: Option<String>,
}

/// A table that is almost one of Agno's.
#[derive(Clone, Debug)]
pub struct LooksLike {
    /// What it would keep.
    pub table_type: TableType,
    /// Its name.
    pub name: String,
    /// What keeps it from being one.
    pub reason: String,
    /// It was named, or has the name Agno would use: changing the others while Agno trips over this one helps nobody. A runs
    /// table is in the way of its sessions.
    pub blocks: bool,
}

/// Everything found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Agno's tables, in the order in which they are migrated.
    pub found: Vec<Found>,
    /// Tables that are almost Agno's.
    pub looks_like: Vec<LooksLike>,
    /// Tables of Agno v1 or phidata.
    pub v1: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What was named and cannot be.
    pub refusals: Vec<String>,
}

impl Stamp {
    /// Reads what a version table says. Agno reads an empty version as 2.0.0.
    pub fn read(text: Option<&str>) -> Stamp {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Stamp::None };
        let unknown = || Stamp::Unknown(text.to_owned());
        let Ok(python) = pep440_rs::Version::from_str(text) else { return unknown() };
        let part = |at: usize| python.release().get(at).copied().unwrap_or(0);
        let release = Version::new(part(0), part(1), part(2));
        match schema_of(&release) {
            // A stamp is a schema version, and the newest one known is that of the newest release checked.
            Some(version) if release <= NEWEST_RELEASE => Stamp::Version(version.clone()),
            _ => unknown(),
        }
    }

    /// The schema version; `None` when it is unknown.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Stamp::None => Some(oldest()),
            Stamp::Version(version) => Some(version),
            Stamp::Unknown(_) => None,
        }
    }
}

/// Why a table is not one of a type: `Ok` when it is, `Err(None)` when it is not even near.
fn judge(shape: &Shape, table_type: TableType) -> Result<(), Option<String>> {
    let known = table_type.known();
    let missing: Vec<&str> =
        known.key.iter().chain(known.columns).copied().filter(|column| shape.column(column).is_none()).collect();
    if !missing.is_empty() {
        return Err(Some(format!("it lacks {}", missing.join(", "))));
    }
    let is_vector = |shape: &Shape| shape.column("embedding").is_some_and(|column| column.declared.contains("vec"));
    if table_type == TableType::Vectors && !is_vector(shape) {
        return Err(None);
    }
    if shape.is_unique(known.key) { Ok(()) } else { Err(Some(format!("{} is not its key", known.key.join(", ")))) }
}

/// Whether a table has all columns of a type: at most the key is missing.
pub fn has_columns(shape: &Shape, table_type: TableType) -> bool {
    let known = table_type.known();
    known.key.iter().chain(known.columns).all(|column| shape.column(column).is_some())
}

/// The types a table may be, by its shape.
fn type_of(shape: &Shape) -> Option<TableType> {
    KNOWN.iter().map(|known| known.table_type).find(|table_type| judge(shape, *table_type).is_ok())
}

/// Finds the tables.
pub fn survey(catalog: &Catalog, stamps: &BTreeMap<String, String>, named: &Named, versions_table: &str) -> Survey {
    let mut survey = Survey::default();
    let mut runs_tables: Vec<&str> = Vec::new();
    let foreign = |name: &str| name == ARCHIVE_TABLE || name == versions_table;

    for (name, shape) in catalog.tables.iter().filter(|(name, _)| !foreign(name)) {
        if kind_of(shape).is_some() {
            survey.v1.push(name.clone());
            continue;
        }
        let is_named = |table_type| named.tables.get(&table_type).is_some_and(|names| names.contains(name));
        match type_of(shape) {
            Some(TableType::Runs) => runs_tables.push(name),
            Some(table_type) if named.tables.contains_key(&table_type) && !is_named(table_type) => {}
            Some(table_type) => survey.found.push(found(table_type, name, stamps)),
            None => {
                for known in KNOWN {
                    let default = name == known.default_name && !named.tables.contains_key(&known.table_type);
                    if (default || has_columns(shape, known.table_type))
                        && let Err(Some(reason)) = judge(shape, known.table_type)
                    {
                        let (table_type, name) = (known.table_type, name.clone());
                        let blocks = default || is_named(table_type);
                        survey.looks_like.push(LooksLike { table_type, name, reason, blocks });
                    }
                }
            }
        }
    }

    for (name, (shape, what)) in &catalog.unusual {
        for known in KNOWN {
            let is_named = named.tables.get(&known.table_type).is_some_and(|names| names.contains(name));
            let default = name == known.default_name && !named.tables.contains_key(&known.table_type);
            if default || is_named || has_columns(shape, known.table_type) {
                let reason = format!("it is {what}, and Agno's are ordinary ones");
                let (table_type, name) = (known.table_type, name.clone());
                survey.looks_like.push(LooksLike { table_type, name, reason, blocks: default || is_named });
            }
        }
    }

    for (table_type, names) in &named.tables {
        for name in names.iter().filter(|name| !catalog.unusual.contains_key(*name)) {
            check_named(*table_type, name, catalog, &mut survey);
        }
    }
    survey.found.sort_by(|a, b| (a.table_type, &a.name).cmp(&(b.table_type, &b.name)));
    assign_runs(catalog, stamps, named, &runs_tables, &mut survey);
    // Rows would go into it twice, and nothing would tell them apart.
    let runs: Vec<&String> = survey.found.iter().filter_map(|found| found.runs.as_ref()).collect();
    let in_its_place = |table: &LooksLike| table.table_type == TableType::Runs && runs.contains(&&table.name);
    survey.looks_like.iter_mut().filter(|table| in_its_place(table)).for_each(|table| table.blocks = true);
    survey
}

fn found(table_type: TableType, name: &str, stamps: &BTreeMap<String, String>) -> Found {
    Found { table_type, name: name.to_owned(), stamp: Stamp::read(stamps.get(name).map(String::as_str)), runs: None }
}

/// A name that is not there may be a table that Agno has not made yet, or a misspelling.
fn check_named(table_type: TableType, name: &str, catalog: &Catalog, survey: &mut Survey) {
    let others: Vec<&str> = catalog
        .tables
        .iter()
        .filter(|(other, shape)| *other != name && type_of(shape) == Some(table_type))
        .map(|(other, _)| other.as_str())
        .collect();
    match catalog.tables.get(name) {
        None if others.is_empty() || table_type == TableType::Runs => {
            if table_type != TableType::Runs {
                survey
                    .warnings
                    .push(format!("there is no table {name} ({table_type}): skipped, Agno makes it at first use"));
            }
        }
        None => survey.refusals.push(format!(
            "there is no table {name}, and the database has {} of that type ({table_type}): correct --table {table_type}=",
            others.join(", ")
        )),
        Some(shape) => {
            if let Err(reason) = judge(shape, table_type) {
                let reason = reason.unwrap_or_default();
                survey
                    .refusals
                    .push(format!("{name} is no {table_type} table of Agno: {reason}; correct --table {table_type}="));
            }
        }
    }
}

/// A runs table belongs to the sessions table its foreign key names, else to the one whose name it follows.
fn assign_runs(
    catalog: &Catalog,
    stamps: &BTreeMap<String, String>,
    named: &Named,
    runs_tables: &[&str],
    survey: &mut Survey,
) {
    let mut sessions: Vec<&mut Found> =
        survey.found.iter_mut().filter(|found| found.table_type == TableType::Sessions).collect();
    let by_key = |sessions: &str| {
        runs_tables.iter().find(|runs| {
            catalog.tables.get(**runs).is_some_and(|shape| {
                shape
                    .foreign_keys
                    .iter()
                    .any(|key| key.columns == ["session_id"] && key.parent.eq_ignore_ascii_case(sessions))
            })
        })
    };
    match named.tables.get(&TableType::Runs).map(Vec::as_slice) {
        None => {
            for table in &mut sessions {
                table.runs = Some(by_key(&table.name).map_or_else(|| runs_name(&table.name), |runs| (*runs).to_owned()));
            }
        }
        Some([runs]) if sessions.len() == 1 => {
            let own = sessions[0].name.clone();
            let by_name = runs_name(&own);
            let other = by_key(&own)
                .map(|name| (*name).to_owned())
                .or_else(|| runs_tables.contains(&by_name.as_str()).then_some(by_name));
            match other {
                Some(other) if other != *runs && !catalog.tables.contains_key(runs) => survey
                    .refusals
                    .push(format!("there is no table {runs}, and {other} has the runs of {own}: correct --table runs=")),
                _ => sessions[0].runs = Some(runs.clone()),
            }
        }
        Some(_) => survey.refusals.push(format!(
            "--table runs= needs exactly one sessions table, and there are {}: name it with --table sessions=NAME",
            sessions.len()
        )),
    }
    let owners: Vec<(String, String)> =
        survey.found.iter().filter_map(|found| Some((found.runs.clone()?, found.name.clone()))).collect();
    for (at, (runs, own)) in owners.iter().enumerate() {
        if let Some((_, other)) = owners[..at].iter().find(|(earlier, _)| earlier.eq_ignore_ascii_case(runs)) {
            survey.refusals.push(format!(
                "the sessions tables {other} and {own} would share the runs table {runs}: migrate them one by one, with --table \
                 sessions=NAME and --table runs=NAME"
            ));
        }
        let parents = catalog.tables.get(runs).map(|shape| shape.foreign_keys.iter().map(|key| key.parent.as_str()));
        let parents: Vec<&str> = parents.into_iter().flatten().collect();
        if !parents.is_empty() && !parents.iter().any(|parent| parent.eq_ignore_ascii_case(own)) {
            survey.refusals.push(format!(
                "the runs table of {own} would be {runs}, and that belongs to {}: name another with --table sessions={own} --table \
                 runs=NAME",
                parents.join(", ")
            ));
        }
    }
    let mut at = survey.found.len();
    while at > 0 {
        at -= 1;
        let Some(runs) = survey.found[at].runs.clone() else { continue };
        if catalog.tables.get(&runs).is_some_and(|shape| judge(shape, TableType::Runs).is_ok()) {
            survey.found.insert(at + 1, found(TableType::Runs, &runs, stamps));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_as_agno_writes_them() {
        let version = |text| Stamp::read(Some(text)).version().map(Version::to_string);
        assert_eq!(Stamp::read(None), Stamp::None);
        assert_eq!(Stamp::read(Some("")).version(), Some(oldest()));
        for (text, schema) in [("2.5.0", "2.5.0"), ("v2.3.0", "2.3.0"), ("3.0.0a1", "3.0.0"), ("2.4.8", "2.3.0")] {
            assert_eq!(version(text).as_deref(), Some(schema));
        }
        for text in ["4.0.0", "3.2.0", "1.0.0", "banana"] {
            assert_eq!(Stamp::read(Some(text)), Stamp::Unknown(text.to_owned()));
        }
    }
}
