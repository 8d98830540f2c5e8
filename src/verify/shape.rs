//! The shapes: columns, keys and indexes that the stamp of a table claims.

use super::{is_at, of_table, to};
use crate::backend::Dialect;
use crate::cleanup;
use crate::difference::{Difference, Differences};
use crate::discover::{Found, has_columns};
use crate::engine::Observed;
use crate::plan::same_type;
use crate::schema::tables::{RUNS, TableType};
use crate::schema::versions::oldest;
use crate::schema::{Column, ColumnShape, MIGRATIONS, Move, Shape, Step};

/// What versions up to the stamp want and the table lacks.
pub fn shape(observed: &Observed, table: &Found, dialect: &dyn Dialect) -> Differences {
    let mut differences = Differences::default();
    let trouble = runs_trouble(observed, table);
    for fact in observed.drift(table) {
        // A runs table that is there, and is none, has differences of its own.
        if trouble.is_some() && fact == Step::CreateTable(&RUNS).describe() {
            continue;
        }
        let mend = format!("agno-migrate up{} makes it", to(table));
        differences.add(of_table(format!("it lacks {fact}"), mend));
    }
    differences.append(types(observed, table, dialect));
    if let Some(fact) = lost_runs(observed, table) {
        let version = table.stamp.version().unwrap_or(oldest());
        let mend = format!("agno-migrate down v{version} makes the column again, empty: its runs are in a backup only");
        differences.add(of_table(format!("it lacks {fact}"), mend));
    }
    differences.append(of_runs(observed, table, dialect));
    differences
}

/// The column, in words, that a sessions table of a version that keeps the runs in it has lost. One whose runs table is there already is only
/// stamped low.
pub fn lost_runs(observed: &Observed, table: &Found) -> Option<String> {
    let has_column = observed.catalog.tables.get(&table.name)?.column("runs").is_some();
    let has_table = runs_of(observed, table).is_some_and(|(_, shape)| has_columns(shape, TableType::Runs));
    (cleanup::needs_column(table) && !has_column && !has_table)
        .then(|| "column runs, where its version keeps the runs".to_owned())
}

/// The runs table of a sessions table, if something has its name.
fn runs_of<'o>(observed: &'o Observed, table: &'o Found) -> Option<(&'o str, &'o Shape)> {
    let name = table.runs.as_deref()?;
    observed.catalog.tables.get(name).map(|shape| (name, shape))
}

/// What keeps the runs table of a sessions table from being one, so that nothing can be compared with it.
pub fn runs_trouble(observed: &Observed, table: &Found) -> Option<String> {
    let (name, shape) = runs_of(observed, table)?;
    let missing: Vec<&str> =
        RUNS.columns.iter().map(|column| column.name).filter(|column| shape.column(column).is_none()).collect();
    if !missing.is_empty() {
        Some(format!("its runs table {name} lacks {}", missing.join(", ")))
    } else if !shape.is_unique(&[RUNS.key]) {
        Some(format!("its runs table {name} has lost its key {}", RUNS.key))
    } else {
        None
    }
}

/// The runs table against its declaration.
fn of_runs(observed: &Observed, table: &Found, dialect: &dyn Dialect) -> Differences {
    let mut differences = Differences::default();
    if !is_at(table, Step::Move(Move::Runs)) {
        return differences;
    }
    let Some((name, shape)) = runs_of(observed, table) else { return differences };
    let quoted = dialect.table(name);
    for column in RUNS.columns {
        let Some(there) = shape.column(column.name) else {
            let mend = match column.required {
                true => format!("restore {name} from a backup: what the column held is nowhere else"),
                false => format!(
                    "ALTER TABLE {quoted} ADD COLUMN {} {} makes it again, empty; then agno-migrate verify names the rows that want \
                     their value",
                    dialect.quote(column.name),
                    dialect.type_name(column.column_type)
                ),
            };
            differences.add(of_table(format!("its runs table {name} lacks column {}", column.name), mend));
            continue;
        };
        if let Some(what) = other_column(column, there, dialect) {
            let mend = alter(dialect, name, column, there).unwrap_or_else(|| ANEW.to_owned());
            differences.add(of_table(format!("in its runs table {name} {what}"), mend));
        }
    }
    if shape.column(RUNS.key).is_some() && !shape.is_unique(&[RUNS.key]) {
        let what = format!("its runs table {name} has lost its key {}", RUNS.key);
        differences.add(of_table(what, key_again(dialect, name, RUNS.key)));
    }
    // A key that is not there for the runs table is no parent of it either.
    let parent = shape.foreign_keys.iter().find(|key| key.parent.eq_ignore_ascii_case(&table.name));
    let what = match parent {
        Some(key) if key.cascades => return differences,
        Some(_) => "does not delete its rows with their session (ON DELETE CASCADE)".to_owned(),
        None => format!("lacks the foreign key on {}: rows would stay when their session is deleted", table.name),
    };
    differences.add(of_table(format!("its runs table {name} {what}"), ANEW.to_owned()));
    differences
}

/// The way on where a table cannot be altered: nothing is lost by it.
const ANEW: &str = "agno-migrate down v2.5.6 and up again make the runs table anew";

/// The columns that versions up to the stamp added, where they are not what Agno writes to.
fn types(observed: &Observed, table: &Found, dialect: &dyn Dialect) -> Differences {
    let mut differences = Differences::default();
    let Some((stamp, shape)) = table.stamp.version().zip(observed.catalog.tables.get(&table.name)) else {
        return differences;
    };
    let mut before = oldest();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version <= *stamp) {
        for step in migration.steps(table.table_type) {
            let Step::AddColumn(column) = step else { continue };
            let Some(there) = shape.column(column.name) else { continue };
            // A type of the user's own making may hold the same.
            let is_known = there.column_type.is_some();
            let Some(what) = other_column(column, there, dialect).filter(|_| is_known) else { continue };
            let mend = alter(dialect, &table.name, column, there).unwrap_or_else(|| {
                let only = table.table_type;
                format!(
                    "agno-migrate down v{before} --only {only} and agno-migrate up{} make it anew, with its values",
                    to(table)
                )
            });
            differences.add(of_table(what, mend));
        }
        before = &migration.version;
    }
    differences
}

/// How a column is not the one that is wanted. A column that misses its NOT NULL is told as one that is lacking, where a step
/// adds it.
fn other_column(wanted: &Column, there: &ColumnShape, dialect: &dyn Dialect) -> Option<String> {
    let is_same = |seen| same_type(seen, dialect.seen_as(wanted.column_type));
    let name = wanted.name;
    if !there.column_type.is_some_and(is_same) {
        Some(format!("column {name} is {}, not {}", there.declared, dialect.type_name(wanted.column_type)))
    } else if there.required && !wanted.required {
        Some(format!("column {name} is NOT NULL, and Agno writes NULL to it"))
    } else if !there.required && wanted.required && wanted.fill.is_none() {
        Some(format!("column {name} is not NOT NULL"))
    } else {
        None
    }
}

/// The statement that makes a column what is wanted, where there is one.
fn alter(dialect: &dyn Dialect, table: &str, wanted: &Column, there: &ColumnShape) -> Option<String> {
    if !dialect.alters_columns() {
        return None;
    }
    let (column, type_name) = (dialect.quote(wanted.name), dialect.type_name(wanted.column_type));
    let is_same = |seen| same_type(seen, dialect.seen_as(wanted.column_type));
    let change = if !there.column_type.is_some_and(is_same) {
        format!("TYPE {type_name} USING {column}::{type_name}")
    } else if wanted.required {
        "SET NOT NULL".to_owned()
    } else {
        "DROP NOT NULL".to_owned()
    };
    Some(format!("ALTER TABLE {} ALTER COLUMN {column} {change}", dialect.table(table)))
}

/// The statement that gives a table its key back.
pub fn key_again(dialect: &dyn Dialect, table: &str, key: &str) -> String {
    let (quoted, key_column) = (dialect.table(table), dialect.quote(key));
    let statement = match dialect.alters_columns() {
        true => format!("ALTER TABLE {quoted} ADD PRIMARY KEY ({key_column})"),
        false => format!("CREATE UNIQUE INDEX {} ON {quoted} ({key_column})", dialect.quote(&format!("{table}_key"))),
    };
    format!("{statement} makes it again, once no two rows share a {key}")
}

/// A difference of a table that is Agno's and cannot be used, with what makes it one again.
pub fn unusable(dialect: &dyn Dialect, table: &str, table_type: TableType, shape: &Shape) -> Option<Difference> {
    let known = table_type.known();
    let missing: Vec<&str> =
        known.key.iter().chain(known.columns).copied().filter(|column| shape.column(column).is_none()).collect();
    let what = format!("it is no {table_type} table any more");
    match (missing.as_slice(), known.key) {
        ([], [key]) if !shape.is_unique(known.key) => {
            Some(of_table(format!("{what}: {key} is not its key"), key_again(dialect, table, key)))
        }
        ([], _) => None,
        (missing, _) => Some(of_table(
            format!("{what}: it lacks {}", missing.join(", ")),
            "add what it lacks again, as Agno makes it (what it held is in a backup only); if the table is not Agno's, rename it"
                .to_owned(),
        )),
    }
}
