//! What the planner predicts is what the database has after doing it.

mod support;

use agno_migrate::backend::{Backend, Opening, open};
use agno_migrate::discover;
use agno_migrate::plan::{self, Action, Decision, Subject};
use agno_migrate::schema::tables::{TableType, runs_name};
use agno_migrate::schema::versions::MIGRATIONS;
use agno_migrate::schema::{ColumnShape, Direction, IndexShape, Shape, Step};
use std::collections::BTreeSet;
use support::{RELEASES, on_every_kind};

/// A shape without what has no order, and without the text of definitions, which the database may space as it likes.
fn comparable(shape: &Shape) -> (Vec<String>, Vec<String>, BTreeSet<String>, BTreeSet<String>) {
    let index = |index: &IndexShape| {
        // SQLite names the index of a constraint itself.
        let name = if index.constraint { "" } else { &index.name };
        let columns = &index.columns;
        let plain = |condition: &String| condition.replace(['(', ')'], "");
        let condition = index.condition.as_ref().map(plain);
        format!("{name} {columns:?} {} {condition:?} {} {}", index.unique, index.valid, index.constraint)
    };
    let column =
        |column: &ColumnShape| format!("{} {:?} {} {}", column.name, column.column_type, column.required, column.generated);
    let mut columns: Vec<String> = shape.columns.iter().map(column).collect();
    columns.sort();
    let keys = shape.foreign_keys.iter().map(|key| format!("{key:?}")).collect();
    (columns, shape.primary_key.clone(), shape.indexes.iter().map(index).collect(), keys)
}

/// Takes every step of every version on every table, one action at a time; returns how many.
fn predict_all(backend: &mut dyn Backend, direction: Direction) -> usize {
    let mut migrations: Vec<_> = MIGRATIONS.iter().collect();
    if direction == Direction::Down {
        migrations.reverse();
    }
    let stamps = Default::default();
    let survey =
        discover::survey(&backend.catalog().expect("a catalog"), &stamps, &Default::default(), "agno_schema_versions");
    let mut actions_taken = 0;
    for found in survey.found.iter().filter(|found| found.table_type != TableType::Runs) {
        for migration in &migrations {
            let mut steps: Vec<&Step> = migration.steps(found.table_type).iter().collect();
            if direction == Direction::Down {
                steps.reverse();
            }
            for step in steps {
                actions_taken += predict(backend, &found.name, step, direction);
            }
        }
    }
    actions_taken
}

fn predict(backend: &mut dyn Backend, table: &str, step: &Step, direction: Direction) -> usize {
    let catalog = backend.catalog().expect("a catalog");
    let dialect = backend.dialect();
    let runs = runs_name(table);
    let subject = Subject {
        table,
        shape: &catalog.tables[table],
        runs: Some((&runs, catalog.tables.get(&runs))),
        names: &catalog.names,
        archived: &BTreeSet::new(),
        runs_referenced_by: &[],
        dialect,
    };
    let Decision::Do(actions, _) = plan::decide(step, direction, &subject) else { return 0 };
    let mut taken = 0;
    for action in actions.iter().filter(|action| action.changes_shape()) {
        let before = backend.shape(table).expect("observed").expect("the table");
        let predicted = plan::after(&before, action, table, dialect);
        for statement in dialect.render(table, action, &before, 0).expect("SQL") {
            backend.execute(&statement, &[]).expect("runs");
        }
        let observed = backend.shape(table).expect("observed").expect("the table");
        assert_eq!(comparable(&predicted), comparable(&observed), "{table}: {action:?}");
        match action {
            Action::CreateTable { name, table: new, parent, indexes, .. } => {
                let observed = backend.shape(name).expect("observed").expect("the new table");
                let predicted = plan::created(new, parent, indexes, dialect);
                assert_eq!(comparable(&predicted), comparable(&observed), "{name}");
            }
            Action::DropTable { name } => assert!(backend.shape(name).expect("observed").is_none()),
            _ => {}
        }
        taken += 1;
    }
    // What was done holds.
    let catalog = backend.catalog().expect("a catalog");
    let subject = Subject {
        shape: &catalog.tables[table],
        runs: Some((&runs, catalog.tables.get(&runs))),
        names: &catalog.names,
        ..subject
    };
    if taken > 0 {
        assert_eq!(plan::decide(step, direction, &subject), Decision::Holds, "{table}: {step:?}");
    }
    taken
}

#[test]
fn the_predicted_shape_is_the_observed_one() {
    on_every_kind(|kind| {
        for (release, _) in RELEASES {
            let database = kind.fresh(release);
            let mut backend = open(&database.url, &Opening::default()).expect("opens");
            let up = predict_all(&mut *backend, Direction::Up);
            assert!(release == "3.1.10" || up > 10, "{release}: {up} actions");
            assert!(predict_all(&mut *backend, Direction::Down) > 10);
            assert!(predict_all(&mut *backend, Direction::Up) > 10);
        }
    });
}
