//! Databases of Agno v1 made by hand, row by row: cases that no fixture has. And the judge of what becomes of them.

use super::{Database, Kind};
use rusqlite::types::Value as Field;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The environments of Agno releases, or none (and said).
pub fn venvs() -> Option<PathBuf> {
    let found = std::env::var_os("AGNO_VENVS").map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("AGNO_MIGRATE_TEST_ALL").is_none(), "AGNO_VENVS names no environments");
        eprintln!("skipped: no environments of Agno releases; see tests/agno/setup");
    }
    found
}

fn judge(python: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agno/judge_v1.py"))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs")
}

/// Converts what a release wrote, and lets another judge it.
pub fn judged(venvs: &Path, from: &Database, target: &Database, schema: &str, release: &str) {
    let python = |release: &str| venvs.join(release).join("bin/python");
    let url = |database: &Database| database.url.replace("postgresql://", "postgresql+psycopg://");
    let expected = from.folder().join("expected.json");
    let output = judge(&python("2.9.0"), &["expect", &url(from)]);
    assert!(output.status.success(), "{}: {}", from.url, String::from_utf8_lossy(&output.stderr));
    std::fs::write(&expected, &output.stdout).expect("written");
    let arguments = ["v1-to-v2", "--from", &from.url, "--to", schema];
    target.ok(&arguments);
    if from.kind != Kind::Sqlite {
        // The classic agents of this fixture keep theirs in the schema public.
        target.ok(&[&arguments[..], &["--from-schema", "public"]].concat());
    }
    let output = judge(&python(release), &["compare", expected.to_str().expect("UTF-8"), &url(target)]);
    let said = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} at {schema} on {release}: {said:.3000} {stderr:.2000}", from.url);
}
