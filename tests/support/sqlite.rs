//! SQLite databases as comparable values.

use super::Dump;
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use std::collections::{BTreeMap, BTreeSet};

/// The rows of a query, as text.
pub fn query(connection: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|at| Ok(text(&row.get(at)?))).collect::<Result<_, _>>());
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

pub fn dump(connection: &Connection) -> Dump {
    let mut tables = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'agno_schema_versions' \
         AND name NOT LIKE 'sqlite_%'",
        )
        .expect("tables");
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0)).expect("tables").map(|row| row.expect("a name")).collect();
    tables.into_iter().map(|table| (table.clone(), rows(connection, &table))).collect()
}

pub fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a table");
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let is_sessions = names.iter().any(|name| name == "session_type");
    let runs = if table == "agno_sessions" { "agno_runs".to_owned() } else { format!("{table}_runs") };
    let has_runs = connection.prepare(&format!("SELECT 1 FROM \"{runs}\"")).is_ok();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let mut fields = BTreeMap::new();
            for (at, name) in names.iter().enumerate() {
                let value = match row.get_ref(at)? {
                    ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
                    other => other.into(),
                };
                if is_sessions && has_runs && name == "runs" {
                    // Retained, and no part of what the database says.
                    continue;
                }
                // Going down encodes what Agno 3 wrote once in sessions twice: the same data.
                let value = if is_sessions { decoded(&text(&value)) } else { format!("{value:?}") };
                fields.insert(name.clone(), value);
            }
            Ok(format!("{fields:?}"))
        })
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    rows.sort();
    rows
}

/// JSON in a JSON string, as the JSON it holds.
fn decoded(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(inner) if inner.starts_with(['{', '[']) => inner,
        _ => text.to_owned(),
    }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(int) => int.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Columns with types and nullability, keys, unique and other indexes by what they cover; column order and names aside.
pub fn shape(connection: &Connection, table: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut add = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = statement.query_map([table], |row| row.get::<_, String>(0)).expect("facts");
        facts.extend(found.map(|fact| fact.expect("a fact")));
    };
    add("SELECT 'column ' || name || ' ' || replace(type, 'TEXT', 'VARCHAR') || iif(\"notnull\", ' NOT NULL', '') || \
         iif(pk, ' KEY', '') FROM pragma_table_xinfo(?1)");
    add("SELECT iif(i.\"unique\", 'unique ', 'index ') || (SELECT group_concat(name) FROM pragma_index_info(i.name)) || \
         coalesce(' WHERE' || nullif(substr(s.sql, instr(s.sql, ' WHERE ') + 6), s.sql), '') \
         FROM pragma_index_list(?1) i LEFT JOIN sqlite_schema s ON s.name = i.name WHERE instr(coalesce(s.sql, ''), ' WHERE ') > 0");
    add("SELECT iif(i.\"unique\", 'unique ', 'index ') || (SELECT group_concat(name) FROM pragma_index_info(i.name)) \
         FROM pragma_index_list(?1) i LEFT JOIN sqlite_schema s ON s.name = i.name WHERE instr(coalesce(s.sql, ''), ' WHERE ') = 0");
    add("SELECT 'foreign key ' || \"from\" || ' ' || \"table\" || ' ' || on_delete FROM pragma_foreign_key_list(?1)");
    facts
}
