//! What waits in the archive while apps go on with the older schema.

mod support;

use support::{Database, Kind, assert_same, kinds};

/// A list of runs r0, r1 .., as Agno writes it.
fn list(runs: &[u32]) -> String {
    let run = |at: &u32| format!(r#"{{"run_id": "r{at}", "agent_id": "a", "created_at": {}}}"#, 1_700_000_000 + 60 * at);
    format!("[{}]", runs.iter().map(run).collect::<Vec<_>>().join(", "))
}

/// What Agno 3 does when it deletes runs: their rows go, and their elements of the old list.
fn delete_runs(database: &Database, first_left: u32, end: u32) {
    let left: Vec<u32> = (first_left..end).collect();
    database.sql(&format!(
        "DELETE FROM agno_runs WHERE session_id = 's' AND run_id IN ({}); UPDATE agno_sessions SET runs = '{}' WHERE session_id = 's'",
        (0..first_left).map(|at| format!("'r{at}'")).collect::<Vec<_>>().join(", "),
        list(&left)
    ));
}

/// A database with one more session, which has ten runs and has lost the first five at schema 3.0.0.
fn with_holes(kind: Kind) -> Database {
    let database = kind.of("2.9.0");
    let all: Vec<u32> = (0..10).collect();
    database.sql(&format!(
        "INSERT INTO agno_sessions (session_id, session_type, agent_id, created_at, runs) VALUES ('s', 'agent', 'a', 5, '{}')",
        list(&all)
    ));
    database.ok(&["up"]);
    delete_runs(&database, 5, 10);
    database
}

const ORDER: &str = "SELECT run_id, run_index FROM agno_runs WHERE session_id = 's' ORDER BY run_index, created_at, run_id";

#[test]
fn a_conversation_that_went_on_below_stays_in_order() {
    for kind in kinds() {
        let database = with_holes(kind);
        let before = database.dump();
        database.ok(&["down", "2.5.6", "--yes"]);
        database.ok(&["up"]);
        assert_same(&database.dump(), &before, "nothing was added: the places are as they were");
        database.ok(&["down", "2.5.6", "--yes"]);
        // Agno 2 goes on: two more runs at the end of the list.
        let longer: Vec<u32> = (5..12).collect();
        database.sql(&format!("UPDATE agno_sessions SET runs = '{}' WHERE session_id = 's'", list(&longer)));
        database.ok(&["up"]);
        let expected: Vec<Vec<String>> = longer.iter().map(|at| vec![format!("r{at}"), (at - 5).to_string()]).collect();
        assert_eq!(database.query(ORDER), expected);
        database.ok(&["verify"]);
        database.ok(&["cleanup", "--yes"]);
        // And deletes one of the middle, and goes on once more.
        database.ok(&["down", "2.5.6", "--yes"]);
        let shorter = [5, 6, 8, 9, 10, 11, 12];
        database.sql(&format!("UPDATE agno_sessions SET runs = '{}' WHERE session_id = 's'", list(&shorter)));
        database.ok(&["up"]);
        let order: Vec<String> = database.query(ORDER).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(order, shorter.map(|at| format!("r{at}")));
        database.ok(&["verify"]);
    }
}

#[test]
fn what_waits_for_runs_of_deleted_sessions_is_forgotten_with_them() {
    for kind in kinds() {
        let database = with_holes(kind);
        database.ok(&["down", "2.5.6", "--yes"]);
        database.sql("DELETE FROM agno_sessions");
        database.ok(&["up"]);
        database.ok(&["verify"]);
        assert!(!database.has("agno_migrate_archive"));
    }
}

#[test]
fn a_value_that_waits_is_never_written_over() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.ok(&["up"]);
        let id = database.one("SELECT min(memory_id) FROM agno_memories");
        let set =
            |value: &str| database.sql(&format!("UPDATE agno_memories SET feedback = '{value}' WHERE memory_id = '{id}'"));
        for round in 1..=3 {
            set(&format!("waits {round}"));
            database.ok(&["down", "2.0.0", "--yes", "--only", "memories"]);
            // Another hand makes the column, and the app fills it.
            database.sql("ALTER TABLE agno_memories ADD COLUMN feedback VARCHAR");
            set(&format!("of the app {round}"));
            database.ok(&["up", "--only", "memories"]);
            assert_eq!(
                database.one(&format!("SELECT feedback FROM agno_memories WHERE memory_id = '{id}'")),
                format!("of the app {round}")
            );
        }
        // Down again before an up: what waited is kept beside what waits now.
        database.ok(&["down", "2.0.0", "--yes", "--only", "memories"]);
        database.sql("ALTER TABLE agno_memories ADD COLUMN feedback VARCHAR");
        set("of the app 4");
        database.ok(&["down", "2.0.0", "--yes", "--only", "memories"]);
        let kept = format!(
            "SELECT value FROM agno_migrate_archive WHERE row_key = '{id}' AND column_name LIKE '%feedback' ORDER BY 1"
        );
        let kept: Vec<String> = database.query(&kept).concat();
        assert_eq!(kept, ["of the app 3", "of the app 4", "waits 1", "waits 2", "waits 3"]);
        database.ok(&["verify"]);
        database.ok(&["up"]);
        assert_eq!(database.one(&format!("SELECT feedback FROM agno_memories WHERE memory_id = '{id}'")), "of the app 4");
    }
}

const MEMORIES: &str = "memory JSON NOT NULL, input VARCHAR, agent_id VARCHAR, team_id VARCHAR, user_id VARCHAR, topics JSON, \
                        feedback VARCHAR, created_at BIGINT NOT NULL, updated_at BIGINT";

#[test]
fn keys_of_any_type_find_their_values() {
    let database = Database::empty();
    database.sql(&format!(
        "CREATE TABLE agno_memories (memory_id NOT NULL PRIMARY KEY, {MEMORIES});
         INSERT INTO agno_memories (memory_id, memory, feedback, created_at, updated_at) VALUES
           (1, '{{}}', 'of a number', 99, 5), ('1', '{{}}', 'of a text', 98, 5), (x'31', '{{}}', 'of bytes', 97, 5)"
    ));
    database.ok(&["up"]);
    let before = database.dump();
    database.ok(&["down", "2.0.0", "--yes"]);
    database.ok(&["verify"]);
    database.ok(&["up"]);
    assert_same(&database.dump(), &before, "up, down, up");
    assert!(!database.has("agno_migrate_archive"));
}

#[test]
fn rows_without_a_key_are_in_the_way_of_the_archive() {
    let database = Database::empty();
    database.sql(&format!(
        "CREATE TABLE agno_memories (memory_id VARCHAR PRIMARY KEY, {MEMORIES});
         INSERT INTO agno_memories (memory_id, memory, feedback, created_at, updated_at) VALUES (NULL, '{{}}', 'of nobody', 99, 5)"
    ));
    database.ok(&["up"]);
    for words in [&["down", "2.0.0", "--yes"][..], &["down", "2.0.0", "--dry-run"]] {
        let why = database.refused(words, 6);
        assert!(why.contains("archived by memory_id, which is NULL in some rows"), "{why}");
    }
    database.sql("UPDATE agno_memories SET memory_id = 'a'");
    database.ok(&["down", "2.0.0", "--yes"]);
}

#[test]
fn what_agno_3_wrote_already_counts() {
    for kind in kinds() {
        let database = with_holes(kind);
        database.sql("UPDATE agno_runs SET user_id = 'dave', updated_at = created_at + 5 WHERE run_id = 'r5'");
        database.ok(&["down", "2.5.6", "--yes"]);
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT user_id FROM agno_runs WHERE run_id = 'r5'"), "dave", "nothing came between");
        // Agno 3 is started too early: it makes the table itself and writes a run of which it knows more by now.
        let rows = database.query("SELECT run_data FROM agno_runs WHERE run_id = 'r5'");
        database.ok(&["down", "2.5.6", "--yes"]);
        let made = database.kind.fresh("3.1.10");
        let columns = "run_id, session_id, run_type, agent_id, user_id, run_index, run_data, created_at, updated_at";
        if kind == Kind::Sqlite {
            let sql = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema WHERE tbl_name = 'agno_runs' AND sql IS NOT NULL ORDER BY type DESC)";
            database.sql(&made.one(sql));
        } else {
            database.sql(
                "CREATE TABLE agno_runs (run_id varchar PRIMARY KEY, session_id varchar NOT NULL REFERENCES agno_sessions (session_id) ON DELETE CASCADE,
                   run_type varchar NOT NULL, agent_id varchar, team_id varchar, workflow_id varchar, user_id varchar, parent_run_id varchar,
                   status varchar, run_index bigint, run_data jsonb NOT NULL, created_at bigint NOT NULL, updated_at bigint)",
            );
        }
        database.sql(&format!(
            "INSERT INTO agno_runs ({columns}) VALUES ('r5', 's', 'agent', 'a', 'carol', 0, '{}', 1700000300, 1800000000)",
            rows[0][0]
        ));
        database.ok(&["up"]);
        assert_eq!(
            database.query("SELECT user_id, updated_at FROM agno_runs WHERE run_id = 'r5'"),
            [["carol", "1800000000"]]
        );
        let kept = "SELECT value FROM agno_migrate_archive WHERE row_key = 'r5' AND column_name = 'lost.user_id'";
        assert_eq!(database.one(kept), "dave");
        let order: Vec<String> = database.query(ORDER).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(order, ["r5", "r6", "r7", "r8", "r9"]);
        database.ok(&["verify"]);
    }
}

#[test]
fn a_run_without_a_place_keeps_that_of_the_list() {
    for kind in kinds() {
        let database = with_holes(kind);
        database.sql("UPDATE agno_runs SET run_index = NULL WHERE run_id = 'r8'");
        database.ok(&["down", "2.5.6", "--yes"]);
        let list_of = |database: &Database| {
            let text = if kind == Kind::Sqlite { "runs" } else { "runs::text" };
            let said = database.one(&format!("SELECT {text} FROM agno_sessions WHERE session_id = 's'"));
            let said = serde_json::from_str::<String>(&said).unwrap_or(said);
            serde_json::from_str::<Vec<serde_json::Value>>(&said).expect("a list")
        };
        let mut runs = list_of(&database);
        runs.push(serde_json::json!({"run_id": "new", "agent_id": "a", "created_at": 1_700_009_999}));
        let ids: Vec<String> = runs.iter().filter_map(|run| run["run_id"].as_str()).map(str::to_owned).collect();
        let text = serde_json::to_string(&runs).expect("JSON");
        database.sql(&format!("UPDATE agno_sessions SET runs = '{text}' WHERE session_id = 's'"));
        database.ok(&["up"]);
        let order: Vec<String> = database.query(ORDER).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(order, ids);
        database.ok(&["verify"]);
    }
}
