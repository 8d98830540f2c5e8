//! PgVector tables of v1, which v2 goes on with where they are.

use crate::backend::{Backend, Dialect};
use crate::progress::Progress;
use crate::v1::sink::in_transaction;
use crate::v1::source::{Table, VECTOR_COLUMNS, has_index};
use anyhow::Result;
use std::time::Duration;

/// What a table lacks of what v2 reads: statements, and in words what they do.
fn lacking(dialect: &dyn Dialect, table: &Table) -> Vec<(String, String)> {
    let quoted = dialect.table(&table.name);
    let mut steps = Vec::new();
    for column in VECTOR_COLUMNS {
        if table.shape.column(column).is_none() {
            steps.push((format!("ALTER TABLE {quoted} ADD COLUMN {column} VARCHAR"), format!("column {column}")));
        }
        if !has_index(&table.shape, column) {
            let name = dialect.fit(&format!("idx_{}_{column}", table.name));
            let sql = format!("CREATE INDEX IF NOT EXISTS {} ON {quoted} ({column})", dialect.quote(&name));
            steps.push((sql, format!("index {name}")));
        }
    }
    steps
}

/// What [`extend`] would do, in words.
pub fn told(dialect: &dyn Dialect, table: &Table) -> Vec<String> {
    lacking(dialect, table).into_iter().map(|(_, what)| format!("would add {what}")).collect()
}

/// Gives a table the columns that v2 reads, with their indexes; returns what was done, in words.
///
/// # Errors
/// What the database does not do.
pub fn extend(
    backend: &mut dyn Backend,
    table: &Table,
    lock_wait: Duration,
    progress: &mut dyn Progress,
) -> Result<Vec<String>> {
    let steps = lacking(backend.dialect(), table);
    in_transaction(backend, lock_wait, progress, |backend| {
        steps.iter().try_for_each(|(sql, _)| backend.execute(sql, &[]).map(|_| ()))
    })?;
    Ok(steps.into_iter().map(|(_, what)| format!("added {what}")).collect())
}
