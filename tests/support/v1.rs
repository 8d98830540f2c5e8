//! Databases of Agno v1 made by hand, row by row: cases that no fixture has.

use super::Database;
use rusqlite::types::Value as Field;
use serde_json::{Value, json};

const COMMON: &str = "session_id VARCHAR PRIMARY KEY, user_id VARCHAR, memory JSON, session_data JSON, extra_data JSON, \
                      created_at INTEGER, updated_at INTEGER";
pub const AGENTS: &str = "agent_id VARCHAR, agent_data JSON, team_session_id VARCHAR";
pub const TEAMS: &str = "team_id VARCHAR, team_data JSON, team_session_id VARCHAR";
/// A table that served agents and teams.
pub const SHARED: &str = "agent_id VARCHAR, agent_data JSON, team_session_id VARCHAR, team_id VARCHAR, team_data JSON";

/// A database with tables of sessions, each with its own columns and rows.
pub fn database(tables: &[(&str, &str, Vec<Value>)]) -> Database {
    let database = Database::empty();
    for (name, columns, rows) in tables {
        database.sql(&format!("CREATE TABLE \"{name}\" ({COMMON}, {columns})"));
        rows.iter().for_each(|row| insert(&database, name, row));
    }
    database
}

/// Adds a table of memories.
pub fn memories(database: &Database, name: &str, rows: &[Value]) {
    database.sql(&format!(
        "CREATE TABLE \"{name}\" (id VARCHAR PRIMARY KEY, user_id VARCHAR, memory VARCHAR, created_at DATETIME, updated_at DATETIME)"
    ));
    rows.iter().for_each(|row| insert(database, name, row));
}

fn insert(database: &Database, table: &str, row: &Value) {
    let row = row.as_object().expect("an object");
    let columns = row.keys().cloned().collect::<Vec<_>>().join(", ");
    let places = vec!["?"; row.len()].join(", ");
    let fields = row.values().map(|value| match value {
        Value::Null => Field::Null,
        Value::String(text) => Field::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Field::Integer(number),
            None => Field::Real(number.as_f64().expect("a number")),
        },
        value => Field::Text(value.to_string()),
    });
    let sql = format!("INSERT INTO \"{table}\" ({columns}) VALUES ({places})");
    database.open().execute(&sql, rusqlite::params_from_iter(fields)).expect("inserts");
}

/// A run.
pub fn run(id: &str, more: Value) -> Value {
    let mut run = json!({"run_id": id, "content": format!("c {id}"), "created_at": 1_700_000_000,
        "messages": [{"role": "user", "content": format!("q {id}")}, {"role": "assistant", "content": format!("a {id}")}]});
    run.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    run
}

/// A row of an agent with runs of these ids.
pub fn agent(session: &str, agent: &str, created_at: i64, runs: &[&str]) -> Value {
    let runs: Vec<Value> = runs.iter().map(|id| run(id, json!({"agent_id": agent}))).collect();
    json!({"session_id": session, "agent_id": agent, "memory": {"runs": runs}, "created_at": created_at})
}

/// A row with other fields.
pub fn with(mut row: Value, more: Value) -> Value {
    row.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    row
}
