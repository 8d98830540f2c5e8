//! Tries a change of the schema on a copy in memory that has every table, index, view and trigger and not one row. SQLite
//! itself then says what would fail, before the first change of the file.

use rusqlite::{Connection, Result, Row};
use std::collections::BTreeSet;

/// The copy. Of use for one table after the other: what one of them takes is taken back before the next.
pub struct Rehearsal {
    copy: Connection,
    /// What it was made of.
    definitions: Vec<String>,
    /// What was broken before anything was tried.
    broken: BTreeSet<(String, String)>,
    triggers_and_views: BTreeSet<String>,
}

impl Rehearsal {
    /// Of what a database has now: the `last`, when it is still that.
    pub fn of<'l>(connection: &Connection, last: &'l mut Option<Rehearsal>) -> Result<&'l Rehearsal> {
        let definitions = definitions(connection)?;
        let last_one = last.take().filter(|last| last.definitions == definitions);
        let rehearsal = match last_one {
            Some(rehearsal) => rehearsal,
            None => Rehearsal::new(definitions)?,
        };
        Ok(last.insert(rehearsal))
    }

    fn new(definitions: Vec<String>) -> Result<Rehearsal> {
        let copy = Connection::open_in_memory()?;
        copy.pragma_update(None, "foreign_keys", false)?;
        copy.pragma_update(None, "legacy_alter_table", true)?;
        for definition in &definitions {
            // A virtual table whose module is not built in cannot be copied, nor can what hangs on it; ours are ordinary.
            let _ = copy.execute_batch(definition);
        }
        let (broken, triggers_and_views) = (broken(&copy)?, triggers_and_views(&copy)?);
        Ok(Rehearsal { copy, definitions, broken, triggers_and_views })
    }

    /// What the statements would fail on or break, in sentences; empty when they go through.
    pub fn rehearse(&self, statements: &[String]) -> Result<Vec<String>> {
        self.copy.execute_batch("BEGIN")?;
        let found = self.try_out(statements);
        if !self.copy.is_autocommit() {
            self.copy.execute_batch("ROLLBACK")?;
        }
        found
    }

    fn try_out(&self, statements: &[String]) -> Result<Vec<String>> {
        let (copy, before) = (&self.copy, &self.broken);
        let failed =
            statements.iter().find_map(|statement| copy.execute_batch(statement).err().map(|error| (statement, error)));
        let newly: Vec<String> = broken(copy)?
            .difference(before)
            .map(|(kind, name)| {
                format!("the {kind} {name} uses what would go: drop it, and create it again afterwards without that")
            })
            .collect();
        let now = triggers_and_views(copy)?;
        let gone =
            self.triggers_and_views.difference(&now).map(|name| format!("{name} would be lost: drop it first")).collect();
        if failed.is_none() && newly.is_empty() {
            return Ok(gone);
        }
        Ok(match failed {
            // SQLite compiles every view and trigger when it changes a table, and stops at one that it cannot.
            Some(_) if newly.is_empty() && !before.is_empty() => before
                .iter()
                .map(|(kind, name)| {
                    format!(
                        "the {kind} {name} is broken already, and SQLite changes no table while it is: mend it, or drop it first"
                    )
                })
                .collect(),
            Some((statement, error)) if newly.is_empty() => {
                let first = statement.lines().next().unwrap_or_default();
                vec![format!(
                    "{}, found by trying: {first}; drop what is named, and create it again afterwards",
                    sentence(&error)
                )]
            }
            _ => newly,
        })
    }
}

/// What makes every table, index, view and trigger, in an order that works.
fn definitions(connection: &Connection) -> Result<Vec<String>> {
    let mut objects = connection.prepare(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid",
    )?;
    // One that is no UTF-8 does not compile like this, and is broken before and after.
    let text = |row: &Row<'_>| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned());
    objects.query_map([], text)?.collect()
}

fn triggers_and_views(copy: &Connection) -> Result<BTreeSet<String>> {
    let mut names =
        copy.prepare("SELECT 'the ' || type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', 'view')")?;
    names.query_map([], |row| row.get(0))?.collect()
}

fn sentence(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) | rusqlite::Error::SqlInputError { msg: message, .. } => {
            message.clone()
        }
        other => other.to_string(),
    }
}

/// The views that cannot be read and the triggers that cannot fire.
fn broken(copy: &Connection) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    let mut views = copy.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?;
    for view in views.query_map([], |row| row.get::<_, String>(0))? {
        let view = view?;
        if copy.prepare(&format!("SELECT * FROM {}", quote(&view))).is_err() {
            found.insert(("view".to_owned(), view));
        }
    }
    let mut triggers = copy.prepare("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger'")?;
    for row in triggers.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (trigger, table) = row?;
        if !fires(copy, &table)? {
            found.insert(("trigger".to_owned(), trigger));
        }
    }
    Ok(found)
}

/// Whether the statements that fire triggers on a table can be compiled, which compiles the triggers.
fn fires(copy: &Connection, table: &str) -> Result<bool> {
    let mut columns = copy.prepare("SELECT name FROM pragma_table_xinfo($1) WHERE hidden = 0")?;
    let columns: Vec<String> = columns.query_map([table], |row| row.get(0))?.collect::<Result<_>>()?;
    let table = quote(table);
    let sets = columns.iter().map(|column| format!("{0} = {0}", quote(column))).collect::<Vec<_>>().join(", ");
    Ok([format!("INSERT INTO {table} DEFAULT VALUES"), format!("UPDATE {table} SET {sets}"), format!("DELETE FROM {table}")]
        .iter()
        .all(|statement| columns.is_empty() || copy.prepare(statement).is_ok()))
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_table_takes_is_taken_back_before_the_next() -> Result<()> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("CREATE TABLE t (a, b); CREATE TABLE u (a); CREATE VIEW v AS SELECT b FROM t")?;
        let mut last = None;
        let mut rehearse = |statements: &[&str]| {
            let statements: Vec<String> = statements.iter().map(|statement| (*statement).to_owned()).collect();
            Rehearsal::of(&connection, &mut last)?.rehearse(&statements)
        };
        let broken = rehearse(&["DROP TABLE u", "DROP TABLE t"])?;
        assert!(matches!(broken.as_slice(), [one] if one.contains("the view v uses what would go")), "{broken:?}");
        let failed = rehearse(&["CREATE TABLE w (a)", "ALTER TABLE nothing RENAME TO t"])?;
        assert!(matches!(failed.as_slice(), [one] if one.contains("found by trying")), "{failed:?}");
        assert_eq!(rehearse(&["ALTER TABLE u ADD COLUMN b"])?, Vec::<String>::new());
        assert_eq!(rehearse(&["ALTER TABLE u ADD COLUMN b"])?, Vec::<String>::new());
        // Another schema takes another copy.
        connection.execute_batch("ALTER TABLE u ADD COLUMN b")?;
        assert_eq!(rehearse(&["ALTER TABLE u ADD COLUMN b"])?.len(), 1);
        Ok(())
    }
}
