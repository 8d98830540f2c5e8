//! Agno is the judge: real releases open what we made, and go on with it.
//!
//! Needs the virtual environments of `tests/agno/setup`, in $AGNO_VENVS. Without them these tests say that they were
//! skipped, and fail when $AGNO_MIGRATE_TEST_ALL is set, as tests/run does.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Database, Kind, RELEASES, assert_same, kinds};

/// Tables that Agno's own migration knows, under their default names.
const COMPARED: [&str; 10] = [
    "agno_memories",
    "agno_sessions",
    "agno_runs",
    "agno_metrics",
    "agno_eval_runs",
    "agno_knowledge",
    "agno_approvals",
    "agno_components",
    "agno_schedules",
    "agno_schedule_runs",
];

/// The folder of the environments, or the reason to skip.
fn venvs(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("AGNO_VENVS").map(PathBuf::from);
    let missing = RELEASES
        .iter()
        .find(|(release, _)| found.as_ref().is_none_or(|found| !found.join(release).join("bin/python").exists()));
    match missing {
        None => found,
        Some((release, _)) => {
            assert!(std::env::var_os("AGNO_MIGRATE_TEST_ALL").is_none(), "{test}: no environment of Agno {release}");
            println!("skipped {test}: no environment of Agno {release}; see tests/agno/setup");
            None
        }
    }
}

/// What the scripts of tests/agno take for a database.
fn place(database: &Database) -> String {
    database.url.replace("postgresql://", "postgresql+psycopg://")
}

/// SQLite, and the oldest server: how a release reads is not the server's business.
fn judged() -> Vec<Kind> {
    kinds().into_iter().take(2).collect()
}

/// These, and the newest server.
fn judged_and_newest() -> Vec<Kind> {
    let kinds = kinds();
    judged().into_iter().chain(kinds.into_iter().skip(2).last()).collect()
}

/// Runs a script of tests/agno under a release and returns its JSON.
fn agno(venvs: &Path, release: &str, script: &str, database: &Database, arguments: &[&str]) -> Value {
    let output = Command::new(venvs.join(release).join("bin/python"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agno").join(script))
        .arg(place(database))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Agno {release}, {script} {arguments:?}: {stderr}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(value["log"], Value::Array(Vec::new()), "Agno {release}, {script} {arguments:?} complained");
    value
}

/// What every release says of a conversation: its runs in order with their messages; and of memories.
fn essence(read: &Value) -> BTreeMap<String, Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut essence = BTreeMap::new();
    for session in list(&read["sessions"]) {
        let runs = list(&session["runs"]).into_iter().map(|run| {
            let messages = list(&run["messages"]).into_iter().map(|m| serde_json::json!([m["role"], m["content"]]));
            let messages: Vec<Value> = messages.collect();
            serde_json::json!({"run_id": run["run_id"], "status": run["status"], "content": run["content"], "messages": messages})
        });
        let said = serde_json::json!({
            "runs": runs.collect::<Vec<_>>(),
            "user_id": session["user_id"],
            "summary": session["summary"]["summary"],
            "state": session["session_data"]["session_state"],
        });
        essence.insert(format!("session {}", session["session_id"]), said);
    }
    for memory in list(&read["memories"]) {
        let said = serde_json::json!([memory["memory"], memory["topics"], memory["user_id"]]);
        essence.insert(format!("memory {}", memory["memory_id"]), said);
    }
    assert!(essence.len() > 10, "{read}");
    essence
}

const CONVERSATIONS: [&str; 4] = ["agent-1", "team-0", "flow-0", "no-runs"];

fn copy(database: &Database) -> Database {
    match database.kind {
        Kind::Sqlite => {
            let copy = Database::empty();
            std::fs::copy(&database.path, &copy.path).expect("copies");
            copy
        }
        Kind::Postgres(server) => support::postgres::copy(server, database),
    }
}

/// What a release says of one more run in each session.
fn gone_on(venvs: &Path, release: &str, database: &Database, sessions: &[&str]) -> Value {
    let options: Vec<&str> = sessions.iter().flat_map(|session| ["--session", session]).collect();
    let mut answer = agno(venvs, release, "judge.py", database, &[&["go-on"], options.as_slice()].concat());
    answer["sessions"].take()
}

fn goes_on(venvs: &Path, release: &str, database: &Database, what: &str) {
    let said = gone_on(venvs, release, &copy(database), &CONVERSATIONS);
    for session in CONVERSATIONS {
        let count = |key: &str| said[session][key].as_array().map_or(0, Vec::len);
        assert!(count("after") > count("before"), "{what}: {session}: {said}");
        assert_eq!(said[session]["history_messages"], said[session]["history_expected"], "{what}: {session}");
    }
}

/// The rows of a table without times; payloads as values, since Agno encodes them anew.
fn rows_without_times(database: &Database, table: &str) -> Vec<String> {
    if let Kind::Postgres(_) = database.kind {
        if !database.has(table) {
            return Vec::new();
        }
        let sql = format!("SELECT (to_jsonb(t) - 'created_at' - 'updated_at')::text FROM {table} t ORDER BY 1");
        return database.query(&sql).concat();
    }
    let connection = database.open();
    let Ok(mut statement) = connection.prepare(&format!("SELECT * FROM {table}")) else { return Vec::new() };
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let mut fields = BTreeMap::new();
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !["created_at", "updated_at"].contains(&name.as_str()))
        {
            let value = support::sqlite::text(&row.get(at)?);
            let value = serde_json::from_str::<Value>(&value).map_or(value, |value| value.to_string());
            fields.insert(name.clone(), value);
        }
        Ok(format!("{fields:?}"))
    });
    let mut rows: Vec<String> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    rows.sort();
    rows
}

#[test]
fn agno_3_reads_every_migrated_database_and_goes_on() {
    let Some(venvs) = venvs("agno_3_reads_every_migrated_database_and_goes_on") else { return };
    for kind in judged_and_newest() {
        for (release, _) in RELEASES.iter().filter(|(_, schema)| *schema < "3.0.0") {
            let database = kind.of(release);
            let wrote = essence(&agno(&venvs, release, "judge.py", &database, &["read"]));
            database.ok(&["up"]);
            let reads = essence(&agno(&venvs, "3.1.10", "judge.py", &database, &["read"]));
            assert_eq!(reads, wrote, "{release}");
            goes_on(&venvs, "3.1.10", &database, release);
            let named = ["read", "--table", "sessions=agent-session", "--table", "memories=sessões memórias"];
            let named = agno(&venvs, "3.1.10", "judge.py", &database, &named);
            assert_eq!(named["sessions"][0]["runs"].as_array().map(Vec::len), Some(2), "{release}: {named}");
            assert_eq!(named["memories"][0]["memory_id"], "own-memory");
        }
    }
}

#[test]
fn agnos_own_migration_agrees() {
    let Some(venvs) = venvs("agnos_own_migration_agrees") else { return };
    for kind in judged() {
        for (release, _) in RELEASES {
            let (ours, theirs) = (kind.of(release), kind.of(release));
            ours.ok(&["up"]);
            let before = (ours.dump(), support::DEFAULTS.map(|table| ours.shape(table)));
            agno(&venvs, "3.1.10", "peer.py", &ours, &["up"]);
            let mut after = ours.dump();
            after.retain(|table, _| before.0.contains_key(table));
            assert_same(&after, &before.0, &format!("{release}: Agno's own migration changed a row of ours"));
            let shapes = support::DEFAULTS
                .map(|table| if before.0.contains_key(table) { ours.shape(table) } else { Default::default() });
            assert_eq!(shapes, before.1, "{release}: Agno's own migration changed a shape of ours");

            // It complains of what it cannot re-key; that is no failure.
            let _ = Command::new(venvs.join("3.1.10/bin/python"))
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agno/peer.py"))
                .arg(place(&theirs))
                .arg("up")
                .output()
                .expect("Python runs");
            for table in COMPARED {
                let (ours, theirs) = (rows_without_times(&ours, table), rows_without_times(&theirs, table));
                assert_eq!(ours, theirs, "{release}: {table}");
            }
        }
    }
}

#[test]
fn the_release_that_wrote_it_reads_it_again_and_goes_on() {
    let Some(venvs) = venvs("the_release_that_wrote_it_reads_it_again_and_goes_on") else { return };
    for kind in judged() {
        for (release, schema) in RELEASES {
            let database = kind.of(release);
            let wrote = essence(&agno(&venvs, release, "judge.py", &database, &["read"]));
            if schema < "3.0.0" {
                database.ok(&["up"]);
                database.ok(&["down", schema, "--yes"]);
            } else {
                database.ok(&["down", "2.0.0", "--yes"]);
                database.ok(&["up"]);
            }
            assert_eq!(essence(&agno(&venvs, release, "judge.py", &database, &["read"])), wrote, "{release}");
            goes_on(&venvs, release, &database, release);
        }
    }
}

#[test]
fn agno_2_9_reads_what_comes_down_and_what_it_adds_goes_up() {
    let Some(venvs) = venvs("agno_2_9_reads_what_comes_down_and_what_it_adds_goes_up") else { return };
    for kind in judged() {
        for (release, _) in RELEASES {
            let database = kind.of(release);
            let wrote = essence(&agno(&venvs, release, "judge.py", &database, &["read"]));
            database.ok(&["up"]);
            database.ok(&["down", "2.9.0", "--yes"]);
            assert_eq!(essence(&agno(&venvs, "2.9.0", "judge.py", &database, &["read"])), wrote, "{release}");
            goes_on(&venvs, "2.9.0", &database, release);
            // One more run of each kind, then up again: Agno 3 sees it last.
            let added = gone_on(&venvs, "2.9.0", &database, &CONVERSATIONS);
            database.ok(&["up"]);
            let reads = agno(&venvs, "3.1.10", "judge.py", &database, &["read"]);
            let sessions = reads["sessions"].as_array().expect("sessions");
            for id in CONVERSATIONS {
                let session = sessions.iter().find(|session| session["session_id"] == id).expect("it");
                let ids: Vec<&Value> = session["runs"].as_array().expect("runs").iter().map(|run| &run["run_id"]).collect();
                let after = added[id]["after"].as_array().expect("runs");
                assert_eq!(ids, after.iter().collect::<Vec<_>>(), "{release}: {id}");
            }
        }
    }
}
