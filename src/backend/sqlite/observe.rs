//! What a SQLite file has, asked through its pragmas.

use super::definition::index_condition;
use crate::backend::Catalog;
use crate::schema::{ColumnShape, ColumnType, Definition, ForeignKeyShape, IndexShape, Shape};
use rusqlite::{Connection, Result, Row};
use std::collections::BTreeMap;

/// Ordinary tables: no views, no virtual tables, none of SQLite's own.
const ORDINARY: &str = "m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.sql NOT LIKE 'CREATE VIRTUAL%'";

/// Shapes, each with the definitions of the table, its indexes and triggers, of which it is made up: as long as those are the
/// same the shape is. Asking takes SQLite a tenth of a second in a migration of a database without rows, comparing next to nothing.
#[derive(Default)]
pub struct Known(BTreeMap<String, (Definitions, Shape)>);

/// What the schema has of a table: names, and how each was made, in bytes: that of a view of the user's need be no UTF-8.
type Definitions = Vec<(String, Vec<u8>)>;

/// So many tables that have changed are asked for one by one; more of them all at once.
const FEW: usize = 4;

/// Everything in the file.
pub fn catalog(connection: &Connection, known: &mut Known) -> Result<Catalog> {
    let mut names = connection.prepare("SELECT name FROM sqlite_schema")?;
    let names = names.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let definitions = definitions(connection)?;
    known.0.retain(|table, (as_was, _)| definitions.get(table) == Some(as_was));
    let unknown: Vec<&String> = definitions.keys().filter(|table| !known.0.contains_key(*table)).collect();
    let mut observed = Tables::new();
    if unknown.len() > FEW {
        observed = tables(connection, None)?;
    } else {
        for table in unknown {
            observed.append(&mut tables(connection, Some(table))?);
        }
    }
    for (table, definitions) in definitions {
        if let Some(shape) = observed.remove(&table) {
            known.0.insert(table, (definitions, shape));
        }
    }
    let tables = known.0.iter().map(|(table, (_, shape))| (table.clone(), shape.clone())).collect();
    Ok(Catalog { tables, names, unusual: BTreeMap::new() })
}

/// One table.
pub fn shape(connection: &Connection, table: &str, known: &mut Known) -> Result<Option<Shape>> {
    let Some(definitions) = definitions(connection)?.remove(table) else { return Ok(None) };
    if let Some((_, shape)) = known.0.get(table).filter(|(as_was, _)| *as_was == definitions) {
        return Ok(Some(shape.clone()));
    }
    let observed = tables(connection, Some(table))?.remove(table);
    if let Some(shape) = &observed {
        known.0.insert(table.to_owned(), (definitions, shape.clone()));
    }
    Ok(observed)
}

/// Whether there is an ordinary table of the name.
pub fn has_table(connection: &Connection, table: &str) -> Result<bool> {
    connection.prepare(&format!("SELECT 1 FROM sqlite_schema m WHERE {ORDINARY} AND m.name = $1"))?.exists([table])
}

/// The definitions of ordinary tables.
fn definitions(connection: &Connection) -> Result<BTreeMap<String, Definitions>> {
    let sql = format!("SELECT m.name, m.tbl_name, m.sql, {ORDINARY} FROM sqlite_schema m ORDER BY m.rowid");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut tables: BTreeMap<String, Definitions> = BTreeMap::new();
    // What belongs to a table may write its name in other letters.
    let mut of_table: BTreeMap<String, Definitions> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (name, table): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, Option<bool>>(3)? == Some(true) {
            tables.insert(name.clone(), Vec::new());
        }
        let definition = row.get_ref(2)?.as_bytes_or_null()?.unwrap_or_default();
        of_table.entry(table.to_ascii_lowercase()).or_default().push((name, definition.to_vec()));
    }
    for (table, definitions) in &mut tables {
        *definitions = of_table.remove(&table.to_ascii_lowercase()).unwrap_or_default();
    }
    Ok(tables)
}

/// What is known so far.
type Tables = BTreeMap<String, Shape>;

fn tables(connection: &Connection, only: Option<&str>) -> Result<Tables> {
    let mut tables = Tables::new();
    // The table-valued pragmas answer for all tables in one statement each: a statement per table took ten times as long.
    let mut each = |sql: &str, read: &mut dyn FnMut(&mut Tables, &Row<'_>) -> Result<()>| -> Result<()> {
        let mut statement = connection.prepare(&sql.replace("{ordinary}", ORDINARY))?;
        let mut rows = statement.query([only])?;
        while let Some(row) = rows.next()? {
            read(&mut tables, row)?;
        }
        Ok(())
    };

    each(
        "SELECT m.name, m.sql FROM sqlite_schema m WHERE {ordinary} AND ($1 IS NULL OR m.name = $1)",
        &mut |tables, row| {
            let definition = Definition { table: row.get(1)?, ..Definition::default() };
            tables.insert(row.get(0)?, Shape { definition: Some(definition), ..Shape::default() });
            Ok(())
        },
    )?;

    let mut keys: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    each(
        "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk, c.hidden FROM sqlite_schema m, pragma_table_xinfo(m.name) c \
         WHERE {ordinary} AND ($1 IS NULL OR m.name = $1) ORDER BY m.name, c.cid",
        &mut |tables, row| {
            let table: String = row.get(0)?;
            let name: String = row.get(1)?;
            let place: i64 = row.get(4)?;
            if place > 0 {
                keys.entry(table.clone()).or_default().push((place, name.clone()));
            }
            let Some(shape) = tables.get_mut(&table) else { return Ok(()) };
            let declared: String = row.get(2)?;
            shape.columns.push(ColumnShape {
                name,
                column_type: column_type(&declared),
                declared,
                required: row.get(3)?,
                generated: row.get::<_, i64>(5)? != 0,
            });
            Ok(())
        },
    )?;

    each(
        "SELECT m.name, i.name, i.\"unique\", i.origin, s.sql, \
           (SELECT json_group_array(CASE WHEN x.cid >= 0 AND x.\"desc\" = 0 AND x.coll = 'BINARY' THEN x.name END) \
            FROM pragma_index_xinfo(i.name) x WHERE x.key) \
         FROM sqlite_schema m, pragma_index_list(m.name) i LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = i.name \
         WHERE {ordinary} AND ($1 IS NULL OR m.name = $1) ORDER BY m.name, i.seq DESC",
        &mut |tables, row| {
            let Some(shape) = tables.get_mut(&row.get::<_, String>(0)?) else { return Ok(()) };
            let name: String = row.get(1)?;
            let origin: String = row.get(3)?;
            let sql: Option<String> = row.get(4)?;
            let columns: Vec<Option<String>> = serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default();
            if origin != "pk" {
                shape.indexes.push(IndexShape {
                    name: name.clone(),
                    columns: columns.into_iter().collect::<Option<Vec<String>>>().unwrap_or_default(),
                    unique: row.get(2)?,
                    condition: sql.as_deref().and_then(index_condition).map(str::to_owned),
                    valid: true,
                    constraint: origin == "u",
                });
            }
            if let (Some(definition), Some(sql)) = (&mut shape.definition, sql) {
                definition.indexes.push((name, sql));
            }
            Ok(())
        },
    )?;

    each(
        "SELECT m.name, f.\"table\", f.\"from\", f.seq, f.on_delete = 'CASCADE' FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
         WHERE {ordinary} AND ($1 IS NULL OR m.name = $1) ORDER BY m.name, f.id, f.seq",
        &mut |tables, row| {
            let Some(shape) = tables.get_mut(&row.get::<_, String>(0)?) else { return Ok(()) };
            let column: String = row.get(2)?;
            match (row.get::<_, i64>(3)?, shape.foreign_keys.last_mut()) {
                (1.., Some(key)) => key.columns.push(column),
                _ => shape.foreign_keys.push(ForeignKeyShape {
                    columns: vec![column],
                    parent: row.get(1)?,
                    cascades: row.get(4)?,
                }),
            }
            Ok(())
        },
    )?;

    each(
        // A trigger's table is written as the user wrote it.
        "SELECT t.name, m.name, m.sql FROM sqlite_schema m \
         JOIN sqlite_schema t ON t.type = 'table' AND lower(t.name) = lower(m.tbl_name) \
         WHERE m.type = 'trigger' AND ($1 IS NULL OR t.name = $1) ORDER BY m.rowid",
        &mut |tables, row| {
            let definition = tables.get_mut(&row.get::<_, String>(0)?).and_then(|shape| shape.definition.as_mut());
            if let Some(definition) = definition {
                definition.triggers.push((row.get(1)?, row.get(2)?));
            }
            Ok(())
        },
    )?;

    for (table, mut key) in keys {
        key.sort();
        if let Some(shape) = tables.get_mut(&table) {
            shape.primary_key = key.into_iter().map(|(_, name)| name).collect();
        }
    }
    Ok(tables)
}

/// The type of a column, by the words SQLite knows it by.
fn column_type(declared: &str) -> Option<ColumnType> {
    let word = declared.split('(').next().unwrap_or_default().trim().to_ascii_uppercase();
    match word.as_str() {
        "VARCHAR" | "TEXT" => Some(ColumnType::Varchar),
        "JSON" => Some(ColumnType::Json),
        "BIGINT" | "INTEGER" | "INT" => Some(ColumnType::BigInt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_what_is_there() -> Result<()> {
        let connection = Connection::open_in_memory()?;
        let mut known = Known::default();
        for change in [
            "CREATE TABLE Parent (id PRIMARY KEY)",
            "CREATE TABLE t (a VARCHAR, b JSON NOT NULL, UNIQUE (a), FOREIGN KEY (a) REFERENCES Parent (id))",
            "CREATE INDEX one ON T (b)",
            "CREATE TRIGGER fires AFTER INSERT ON T BEGIN SELECT 1; END",
            "DROP INDEX one; CREATE UNIQUE INDEX one ON t (b DESC)",
            "ALTER TABLE t ADD COLUMN c BIGINT",
            "ALTER TABLE Parent RENAME TO other",
            "BEGIN; DROP TABLE t; CREATE TABLE t (a); CREATE VIEW v AS SELECT 1",
            "ROLLBACK",
            "CREATE TABLE u (a); CREATE TABLE w (a); CREATE TABLE x (a); CREATE TABLE y (a); CREATE TABLE z (a)",
            "DROP TABLE u; ALTER TABLE w RENAME TO u",
            "DROP TRIGGER fires",
        ] {
            connection.execute_batch(change)?;
            let there = catalog(&connection, &mut Known::default())?;
            for table in there.tables.keys() {
                assert_eq!(shape(&connection, table, &mut known)?.as_ref(), there.tables.get(table), "{change}");
                assert!(has_table(&connection, table)?);
            }
            assert_eq!(catalog(&connection, &mut known)?.tables, there.tables, "{change}");
        }
        assert!(!has_table(&connection, "v")? && !has_table(&connection, "parent")?);
        Ok(())
    }
}
