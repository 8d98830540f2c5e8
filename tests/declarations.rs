//! Rules over the whole declaration: the next version that is added is checked by itself.

use agno_migrate::schema::release::{NEWEST_RELEASE, releases_of, schema_of};
use agno_migrate::schema::tables::{KNOWN, RUNS, TableType};
use agno_migrate::schema::versions::MIGRATIONS;
use agno_migrate::schema::{Column, Condition, Index, Step};
use std::collections::BTreeSet;

/// Every step, with its version and type.
fn steps() -> impl Iterator<Item = (String, TableType, &'static Step)> {
    MIGRATIONS.iter().flat_map(|migration| {
        migration.tables.iter().flat_map(move |(table_type, steps)| {
            steps.iter().map(move |step| (migration.version.to_string(), *table_type, step))
        })
    })
}

fn indexes(step: &Step) -> Vec<Index> {
    match step {
        Step::CreateIndex(index) => vec![*index],
        Step::MoveKey { from, to } => vec![*from, *to],
        Step::CreateTable(table) => table.indexes.to_vec(),
        _ => Vec::new(),
    }
}

fn columns(step: &Step) -> Vec<Column> {
    match step {
        Step::AddColumn(column) | Step::Retire(column) => vec![*column],
        Step::CreateTable(table) => table.columns.to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn versions_rise_and_each_wants_something() {
    let versions: Vec<_> = MIGRATIONS.iter().map(|migration| &migration.version).collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    for migration in &MIGRATIONS[1..] {
        assert!(!migration.tables.is_empty(), "{} wants nothing", migration.version);
    }
    for migration in MIGRATIONS {
        let types: BTreeSet<_> = migration.tables.iter().map(|(table_type, _)| table_type).collect();
        assert_eq!(types.len(), migration.tables.len(), "{} lists a type twice", migration.version);
        assert!(migration.tables.iter().all(|(_, steps)| !steps.is_empty()), "{}", migration.version);
    }
}

#[test]
fn every_version_belongs_to_releases() {
    for migration in MIGRATIONS {
        assert_eq!(schema_of(&migration.version), Some(&migration.version));
        assert!(releases_of(&migration.version).starts_with(&migration.version.to_string()));
    }
    assert!(schema_of(&NEWEST_RELEASE).is_some());
}

#[test]
fn no_fact_is_declared_twice() {
    let mut seen = BTreeSet::new();
    for (version, table_type, step) in steps() {
        for column in columns(step).iter().filter(|_| matches!(step, Step::AddColumn(_))) {
            assert!(seen.insert((table_type, format!("column {}", column.name))), "{version} {table_type}: {}", column.name);
        }
        for index in indexes(step) {
            assert!(seen.insert((table_type, format!("{index:?}"))), "{version} {table_type}: {index:?}");
        }
    }
}

#[test]
fn names_are_plain_and_short() {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    for (version, table_type, step) in steps() {
        let table = table_type.known().default_name;
        for index in indexes(step) {
            let name = index.name(table);
            assert!(name.len() <= 63 && plain(&name), "{version}: {name}");
            assert!(!index.columns.is_empty(), "{version}: {name} covers nothing");
        }
        for column in columns(step) {
            assert!(plain(column.name), "{version}: {}", column.name);
        }
    }
}

#[test]
fn an_index_is_on_columns_that_are_there() {
    for (at, migration) in MIGRATIONS.iter().enumerate() {
        for (table_type, steps) in migration.tables {
            let known = table_type.known();
            let mut there: BTreeSet<&str> = known.key.iter().chain(known.columns).copied().collect();
            for earlier in &MIGRATIONS[..at] {
                there.extend(earlier.steps(*table_type).iter().flat_map(columns).map(|column| column.name));
            }
            for step in *steps {
                if !matches!(step, Step::CreateTable(_)) {
                    there.extend(columns(step).iter().map(|column| column.name));
                    for index in indexes(step) {
                        let of_condition = index.condition.map(|condition| match condition {
                            Condition::Null(column) | Condition::NotNull(column) => column,
                        });
                        for column in index.columns.iter().copied().chain(of_condition) {
                            assert!(there.contains(column), "v{} {table_type}: {column}", migration.version);
                        }
                    }
                }
            }
        }
    }
    for index in RUNS.indexes {
        assert!(index.columns.iter().all(|column| RUNS.columns.iter().any(|there| there.name == *column)), "{index:?}");
    }
}

#[test]
fn a_required_column_says_what_old_rows_get() {
    for (version, table_type, step) in steps() {
        if let Step::AddColumn(column) = step {
            assert_eq!(column.required, column.fill.is_some(), "{version} {table_type}: {}", column.name);
        }
        assert!(!step.describe().is_empty());
    }
}

#[test]
fn table_types_are_listed_in_their_order() {
    for (at, known) in KNOWN.iter().enumerate() {
        assert_eq!(known.table_type as usize, at, "{}", known.word);
        assert_eq!(known.table_type.known().word, known.word);
        assert_eq!(TableType::from_word(known.word), Some(known.table_type));
        assert!(!known.key.is_empty() && !known.columns.is_empty());
    }
    let words: BTreeSet<_> = KNOWN.iter().map(|known| known.word).collect();
    assert_eq!(words.len(), KNOWN.len());
}
