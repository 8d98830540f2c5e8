//! What real databases look like: shapes and rows that a correct tool survives, each with nothing lost.

mod support;

use std::fmt::Write as _;
use support::Database;

/// A database of schema 2.5.6 whose sessions have these values in `runs` (SQL literals), s0, s1 .. with rising times.
fn with_runs(values: &[&str]) -> Database {
    let database = Database::fresh("2.9.0");
    let mut sql = String::new();
    for (at, runs) in values.iter().enumerate() {
        let _ = writeln!(
            sql,
            "INSERT INTO agno_sessions (session_id, session_type, user_id, runs, created_at) VALUES ('s{at}', 'agent', 'u{at}', {runs}, {});",
            100 + at
        );
    }
    database.sql(&sql);
    database
}

fn runs(database: &Database) -> String {
    database.one("SELECT group_concat(session_id || '.' || run_index || '=' || run_id) FROM (SELECT * FROM agno_runs ORDER BY session_id, run_index)")
}

/// What the report says of rows that stayed: `id item: reason`.
fn left(report: &agno_migrate::report::Report) -> Vec<String> {
    let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("sessions");
    assert_eq!(sessions.left_count, sessions.left.len() as u64);
    let one =
        |left: &agno_migrate::backend::Left| format!("{} {}: {}", left.id, left.item.as_deref().unwrap_or("-"), left.reason);
    sessions.left.iter().map(one).collect()
}

#[test]
fn lists_that_hold_no_run() {
    let database = with_runs(&["NULL", "'null'", "'[]'", "'\"[]\"'", "'\"null\"'", "''", "' '"]);
    let before = database.dump();
    let report = database.ok(&["up"]);
    assert_eq!(left(&report), [""; 0]);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "0");
    database.ok(&["down", "2.5.6", "--yes"]);
    // Agno 2.0 to 2.4 break on an empty list: NULL stands for it.
    let none = |row: &String| {
        row.replace(r#""runs": "[]""#, r#""runs": "NULL""#).replace(r#""runs": "\"[]\"""#, r#""runs": "NULL""#)
    };
    assert_eq!(database.dump()["agno_sessions"], before["agno_sessions"].iter().map(none).collect::<Vec<_>>());
}

#[test]
fn a_view_whose_text_is_no_utf_8_is_in_nobodys_way() {
    let database = with_runs(&["'[{\"run_id\": \"a\"}]'"]);
    // As a script in Latin-1 makes it.
    database.sql(
        "CREATE VIEW v AS SELECT 'cafe' AS c; PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = CAST(replace(CAST(sql AS BLOB), x'6665', x'66e9') AS TEXT) WHERE name = 'v';
         PRAGMA writable_schema = OFF",
    );
    assert_eq!(database.one("SELECT hex(c) FROM v"), "636166E9");
    database.ok(&["status"]);
    database.ok(&["up"]);
    assert_eq!(runs(&database), "s0.0=a");
    database.ok(&["verify"]);
    database.ok(&["down", "2.5.6", "--yes"]);
    assert_eq!(database.one("SELECT hex(c) FROM v"), "636166E9");
}

#[test]
fn what_is_no_list_stays_and_is_named() {
    let database = with_runs(&[
        "'{\"run_id\": 1}'",
        "'3'",
        "7",
        "'\"hello\"'",
        "'[{\"run_id\": \"a\"}'",
        "'[{\"run_id\": \"b\"}, nonsense'",
        "x'ff00'",
    ]);
    let before = database.dump();
    let report = database.ok(&["up"]);
    assert_eq!(
        left(&report),
        [
            "s0 -: its runs are no list",
            "s1 -: its runs are no list",
            "s2 -: its runs are no list",
            "s3 -: its runs are no list",
            "s4 -: its runs are no JSON, or break off",
            "s5 -: its runs are no JSON, or break off",
            "s6 -: its runs are no list",
        ]
    );
    assert!(report.messages().1.iter().any(|warning| warning.contains("agno_sessions: 7 could not move")), "a warning");
    database.ok(&["down", "2.5.6", "--yes"]);
    assert_eq!(database.dump()["agno_sessions"], before["agno_sessions"], "they are where they were");
}

#[test]
fn elements_that_cannot_be_rows_stay_and_the_others_go() {
    let list = r#"'[{"run_id": "a"}, {"no": "id"}, null, 3, {"run_id": 12}, {"run_id": true}, "text", {"run_id": "a", "again": 1}]'"#;
    let invalid = "CAST(x'5b7b2272756e5f6964223a2278ff227d2c7b2272756e5f6964223a226f6b227d5d' AS TEXT)";
    let database = with_runs(&[list, invalid]);
    let before = database.dump();
    let report = database.ok(&["up"]);
    assert_eq!(runs(&database), "s0.0=a,s0.4=12,s1.1=ok");
    assert_eq!(
        left(&report),
        [
            "s0 runs[1]: has no run_id",
            "s0 runs[2]: is no object",
            "s0 runs[3]: is no object",
            "s0 runs[5]: has no run_id",
            "s0 runs[6]: is no object",
            "s1 runs[0]: is not valid UTF-8",
            "s0 runs[7]: its id a is that of a run before it",
        ]
    );
    database.ok(&["down", "2.5.6", "--yes"]);
    let hex = "SELECT group_concat(hex(runs)) FROM agno_sessions";
    let after = database.one(hex);
    let original = with_runs(&[list, invalid]);
    // s0 was encoded once: it is encoded twice now, with the same elements; s1 likewise, bad bytes included.
    assert_ne!(after, original.one(hex));
    assert_eq!(database.dump()["agno_sessions"][0].replace(", ", ""), before["agno_sessions"][0].replace(", ", ""));
    database.ok(&["up"]);
    assert_eq!(runs(&database), "s0.0=a,s0.4=12,s1.1=ok");
}

#[test]
fn an_id_that_two_sessions_have_goes_to_the_older() {
    let database = with_runs(&[
        "'[{\"run_id\": \"x\", \"of\": 0}, {\"run_id\": \"own0\"}]'",
        "'[{\"run_id\": \"own1\"}, {\"run_id\": \"x\", \"of\": 1}]'",
        "'[{\"run_id\": \"x\", \"of\": 2}]'",
    ]);
    // The last one is the oldest.
    database.sql("UPDATE agno_sessions SET created_at = 1 WHERE session_id = 's2'");
    let report = database.ok(&["up"]);
    assert_eq!(runs(&database), "s0.1=own0,s1.0=own1,s2.0=x");
    assert_eq!(database.one("SELECT json_extract(run_data, '$.of') || user_id FROM agno_runs WHERE run_id = 'x'"), "2u2");
    assert_eq!(
        left(&report),
        [
            "s1 runs[1]: its id x is that of a run of session s0",
            "s0 runs[0]: its id x is that of a run of session s2, which is older",
        ]
    );
    // Many of them, so that rows go in several at a time.
    let many = |n: usize| {
        let list: Vec<String> = (0..40).map(|run| format!("{{\"run_id\": \"r{}\"}}", run + n * 20)).collect();
        format!("'[{}]'", list.join(","))
    };
    let database = with_runs(&[&many(0), &many(1), &many(2)]);
    let report = database.ok(&["up"]);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "80");
    assert_eq!(left(&report).len(), 40);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE session_id = 's1' AND run_index < 20"), "0");
}

#[test]
fn rows_that_agno_3_wrote_already_are_left_alone() {
    let database = with_runs(&["'[{\"run_id\": \"a\", \"v\": \"old\"}, {\"run_id\": \"b\"}]'", "'[{\"run_id\": \"a\"}]'"]);
    database.sql(
        &std::fs::read_to_string(support::Kind::Sqlite.fixtures().join("fresh-3.1.10.sql"))
            .expect("DDL")
            .split(';')
            .filter(|sql| sql.contains("agno_runs"))
            .fold(String::new(), |all, sql| all + sql + ";"),
    );
    database.sql("INSERT INTO agno_runs (run_id, session_id, run_type, run_data, run_index, created_at)
         VALUES ('a', 's0', 'agent', '{\"run_id\": \"a\", \"v\": \"new\"}', 0, 5), ('c', 's0', 'agent', '{\"run_id\": \"c\"}', 2, 6)");
    let report = database.ok(&["up"]);
    let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("sessions");
    assert_eq!((sessions.moved, sessions.already_there), (1, 1));
    assert_eq!(left(&report), ["s1 runs[0]: its id a is that of a run of session s0"]);
    assert_eq!(runs(&database), "s0.0=a,s0.1=b,s0.2=c");
    assert_eq!(database.one("SELECT json_extract(run_data, '$.v') FROM agno_runs WHERE run_id = 'a'"), "new");
    database.ok(&["down", "2.5.6", "--yes"]);
    let list: String =
        serde_json::from_str(&database.one("SELECT runs FROM agno_sessions WHERE session_id = 's0'")).expect("a string");
    assert_eq!(list, r#"[{"run_id": "a", "v": "new"}, {"run_id": "b"}, {"run_id": "c"}]"#);
}

#[test]
fn force_moves_what_came_after_and_overwrites_nothing() {
    let database = with_runs(&["'[{\"run_id\": \"a\"}]'"]);
    database.ok(&["up"]);
    database.sql(
        "UPDATE agno_runs SET run_data = '{\"run_id\": \"a\", \"changed\": true}';
                  UPDATE agno_sessions SET runs = '[{\"run_id\": \"a\"}, {\"run_id\": \"late\"}]'",
    );
    database.ok(&["up"]);
    assert_eq!(runs(&database), "s0.0=a", "a stamped move is not repeated by itself");
    let report = database.ok(&["up", "--force"]);
    assert_eq!(runs(&database), "s0.0=a,s0.1=late");
    let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("sessions");
    assert_eq!((sessions.moved, sessions.already_there), (1, 1));
    assert!(database.one("SELECT run_data FROM agno_runs WHERE run_id = 'a'").contains("changed"));
    let before = database.dump();
    database.ok(&["up", "--force", "--to", "2.3.0"]);
    assert_eq!(
        (database.dump(), database.stamps()["agno_sessions"].as_str()),
        (before, "3.0.0"),
        "a stamp is never lowered"
    );
}

#[test]
fn runs_keep_every_byte_and_their_session_counts() {
    let run = r#"{"run_id": "r", "session_id": "elsewhere", "user_id": "else", "agent_id": "other", "f": 1.10, "big": 9007199254740993, "nan": NaN, "inf": [Infinity, -Infinity], "b" : "\u0000 \ud83d é 🚀", "created_at": 1700000000.75, "events": [{"run_id": "e"}]}"#;
    let database = with_runs(&[&format!("'[{run}]'")]);
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT run_data FROM agno_runs"), run);
    assert_eq!(
        database.one(
            "SELECT session_id || user_id || run_type || agent_id || created_at || (updated_at = created_at) FROM agno_runs"
        ),
        "s0u0agentother17000000001"
    );
    database.ok(&["down", "2.5.6", "--yes"]);
    let list: String = serde_json::from_str(&database.one("SELECT runs FROM agno_sessions")).expect("a string");
    assert_eq!(list, format!("[{run}]"));
}

#[test]
fn times_and_ids_of_any_kind() {
    let database = with_runs(&[
        "'[{\"run_id\": \"a\"}]'",
        "'[{\"run_id\": \"b\"}]'",
        "'[{\"run_id\": \"c\"}]'",
        "'[{\"run_id\": \"d\"}]'",
    ]);
    database.sql(
        "UPDATE agno_sessions SET created_at = 1700000000.5 WHERE session_id = 's0';
         UPDATE agno_sessions SET created_at = '2024-01-01' WHERE session_id = 's1';
         UPDATE agno_sessions SET created_at = 1700000000123, user_id = NULL WHERE session_id = 's2';
         UPDATE agno_sessions SET session_id = '' WHERE session_id = 's3';",
    );
    let report = database.ok(&["up"]);
    // Agno 3 computes with the number: text is none.
    assert_eq!(left(&report), ["s1 runs[0]: it and its session lack created_at or a type, which a row needs"]);
    assert_eq!(
        database.one("SELECT group_concat(run_id || created_at) FROM (SELECT * FROM agno_runs ORDER BY run_id)"),
        "a1700000000,c1700000000123,d103"
    );
    database.ok(&["down", "2.0.0", "--yes"]);
    assert_eq!(
        database.one("SELECT group_concat(runs) FROM (SELECT * FROM agno_sessions ORDER BY runs)").matches("run_id").count(),
        4
    );
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "3");
}

#[test]
fn a_session_whose_id_is_bytes_keeps_its_runs() {
    let database = with_runs(&["'[{\"run_id\": \"a\"}]'", "'[{\"run_id\": \"b\"}]'"]);
    database.sql("UPDATE agno_sessions SET session_id = x'7330' WHERE session_id = 's0'");
    let report = database.ok(&["up"]);
    assert_eq!(left(&report), ["s0 -: the session id is bytes, not text"]);
    assert_eq!(database.one("SELECT group_concat(run_id || session_id) FROM agno_runs"), "bs1");
    database.ok(&["down", "2.0.0", "--yes"]);
    assert_eq!(database.one("SELECT group_concat(runs, '') FROM agno_sessions").matches("run_id").count(), 2);
}

#[test]
fn owners_that_are_no_utf8_stay_the_owners() {
    let database = Database::of("2.9.0");
    let owner = "CAST(x'61ff62' AS TEXT)";
    database.sql(&format!("UPDATE agno_sessions SET user_id = {owner}, session_type = CAST(x'61fe' AS TEXT)"));
    database.sql(&format!("UPDATE agno_memories SET user_id = {owner}, feedback = {owner}"));
    let runs = "SELECT group_concat(DISTINCT typeof(user_id) || hex(user_id)) FROM agno_runs";
    let sessions = "SELECT group_concat(DISTINCT hex(user_id) || hex(session_type)) FROM agno_sessions";
    let memories = "SELECT group_concat(DISTINCT hex(user_id) || hex(feedback)) FROM agno_memories";
    database.ok(&["up"]);
    assert_eq!(database.one(runs), "text61FF62");
    database.ok(&["verify"]);
    let owned = ["agno_eval_runs", "agno_knowledge", "agno_schedules", "agno_schedule_runs", "agno_components"];
    for table in owned {
        database.sql(&format!("UPDATE {table} SET user_id = {owner}"));
    }
    for _ in 0..2 {
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one(sessions), "61FF6261FE");
        database.ok(&["up"]);
        assert_eq!((database.one(runs), database.one(memories)), ("text61FF62".to_owned(), "61FF6261FF62".to_owned()));
        for table in owned {
            let owners = format!("SELECT coalesce(group_concat(DISTINCT hex(user_id)), '61FF62') FROM {table}");
            assert_eq!(database.one(&owners), "61FF62", "{table}");
        }
    }
}

#[test]
fn a_session_larger_than_the_streaming_limit() {
    // 3 MB in runs of 100 KB, once and twice encoded.
    let run = |n: usize| format!("{{\"run_id\": \"r{n}\", \"text\": \"{}\"}}", "é\\n\\\"x\\\\ ".repeat(12_000));
    let list = (0..30).map(run).collect::<Vec<_>>().join(", ");
    let list = format!("[{list}]");
    for text in [list.clone(), serde_json::to_string(&list).expect("a string")] {
        let database = with_runs(&["NULL", "'[{\"run_id\": \"small\"}]'"]);
        database.open().execute("UPDATE agno_sessions SET runs = ?1 WHERE session_id = 's0'", [&text]).expect("updates");
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "31");
        assert_eq!(database.one("SELECT run_data FROM agno_runs WHERE run_id = 'r17'"), run(17));
        database.ok(&["down", "2.5.6", "--yes"]);
        let back: String =
            serde_json::from_str(&database.one("SELECT runs FROM agno_sessions WHERE session_id = 's0'")).expect("s");
        assert!(back == list, "the list is not what it was");
        // Broken at its end: nothing of it moves.
        database
            .open()
            .execute("UPDATE agno_sessions SET runs = ?1 WHERE session_id = 's0'", [&text[..text.len() - 2]])
            .expect("updates");
        let report = database.ok(&["up"]);
        assert_eq!(left(&report), ["s0 -: its runs are no JSON, or break off"]);
        assert_eq!(runs(&database), "s1.0=small");
    }
}

#[test]
fn tables_that_only_look_like_agnos() {
    let database = Database::of("2.9.0");
    database.sql(
        "CREATE TABLE copied AS SELECT * FROM agno_sessions; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
                  CREATE VIEW v AS SELECT * FROM agno_sessions",
    );
    let report = database.ok(&["up"]);
    assert!(database.shape("copied_runs").is_empty() && database.shape("v_runs").is_empty());
    assert_eq!(report.looks_like.len(), 1);
    assert_eq!(
        (report.looks_like[0].name.as_str(), report.looks_like[0].reason.as_str()),
        ("copied", "session_id is not its key")
    );

    let database = Database::of("2.9.0");
    database.sql("DROP TABLE agno_eval_runs; CREATE TABLE agno_eval_runs (run_id VARCHAR PRIMARY KEY, mine TEXT)");
    let why = database.refused(&["up"], 6);
    assert!(why.contains("agno_eval_runs has the name of Agno's evals table and is none: it lacks eval_type"), "{why}");
    database.ok(&["up", "--only", "sessions"]);
}

#[test]
fn v1_tables_are_told_from_v2_tables_of_the_same_name() {
    let database = Database::of("2.9.0");
    database.sql(
        "CREATE TABLE agent_sessions (session_id VARCHAR PRIMARY KEY, user_id VARCHAR, memory JSON, session_data JSON, extra_data JSON,
           created_at BIGINT, updated_at BIGINT, agent_id VARCHAR, agent_data JSON);
         CREATE TABLE memory (id VARCHAR PRIMARY KEY, user_id VARCHAR, memory VARCHAR, created_at DATETIME, updated_at DATETIME);
         DROP TABLE agno_memories; ALTER TABLE memory RENAME TO agno_memories",
    );
    let before = database.dump();
    let report = database.ok(&["up"]);
    assert_eq!(report.v1_tables, ["agent_sessions", "agno_memories"]);
    let after = database.dump();
    assert_eq!((&after["agent_sessions"], &after["agno_memories"]), (&before["agent_sessions"], &before["agno_memories"]));
}

#[test]
fn stamps_that_lie_are_mended_by_the_shape() {
    // 2.3.0 to 2.3.2 stamp 2.3.0 on tables of the shape before; 3.0.0a1 stamps 3.0.0 on tables of 2.5.6.
    let database = Database::of("2.2.13");
    database.sql(
        &std::fs::read_to_string(support::Kind::Sqlite.fixtures().join("fresh-2.4.8.sql"))
            .expect("DDL")
            .split(';')
            .filter(|sql| sql.contains("agno_schema_versions"))
            .fold(String::new(), |all, sql| all + sql + ";"),
    );
    database.sql(
        "INSERT INTO agno_schema_versions VALUES ('agno_memories', '2.3.0', '', NULL), ('agno_sessions', '3.0.0', '', NULL)",
    );
    assert_eq!(database.binary(&["status", "--check"]).status.code(), Some(4), "drift");
    database.ok(&["up"]);
    assert!(database.shape("agno_memories").contains("column created_at BIGINT NOT NULL"));
    assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "25", "runs move into a table made only now");
    // 2.5.6 to 2.5.10 stamp 2.5.0: nothing is wrong with that.
    let database = Database::of("2.9.0");
    database.sql("UPDATE agno_schema_versions SET version = '2.5.0'");
    assert_eq!(database.ok(&["current"]).current.as_deref(), Some("v2.5.0"));
    assert!(database.ok(&["status"]).tables.iter().all(|table| table.drift.is_empty()));
    // No version table at all.
    database.sql("DROP TABLE agno_schema_versions");
    assert_eq!(database.ok(&["current"]).current.as_deref(), Some("v2.0.0"));
    database.ok(&["up"]);
    assert!(database.ok(&["status"]).tables.iter().all(|table| table.stamp.as_deref() == Some("3.0.0")));
}

#[test]
fn a_wal_database_with_rows_only_in_its_log() {
    let database = Database::of("3.1.10");
    let app = database.open();
    app.pragma_update(None, "journal_mode", "wal").expect("wal");
    app.pragma_update(None, "wal_autocheckpoint", 0).expect("a pragma");
    app.execute_batch("UPDATE agno_eval_runs SET name = 'in the log' WHERE run_id = 'eval-0'").expect("writes");
    let file = std::fs::read(&database.path).expect("reads");
    let evals = |report: &agno_migrate::report::Report| {
        report.tables.iter().find(|t| t.name == "agno_eval_runs").and_then(|t| t.rows)
    };
    assert_eq!(evals(&database.ok(&["status"])), Some(2));
    database.ok(&["plan", "2.0.0"]);
    assert_eq!(std::fs::read(&database.path).expect("reads"), file, "a command that only reads checkpointed the log");
    database.ok(&["down", "2.5.6", "--yes"]);
    assert_eq!(
        app.query_row("SELECT name FROM agno_eval_runs WHERE run_id = 'eval-0'", [], |r| r.get::<_, String>(0)).expect("it"),
        "in the log"
    );
    database.ok(&["up"]);
    drop(app);
    assert_eq!(database.one("PRAGMA journal_mode"), "wal");
}

#[test]
fn settings_of_the_file_stay() {
    for setting in [
        "PRAGMA page_size = 1024",
        "PRAGMA auto_vacuum = 1",
        "PRAGMA auto_vacuum = 2",
        "PRAGMA encoding = 'UTF-16'",
        "PRAGMA user_version = 7",
    ] {
        let database = Database::empty();
        database.sql(&format!(
            "{setting}; {}",
            std::fs::read_to_string(support::Kind::Sqlite.fixtures().join("fresh-2.9.0.sql")).expect("DDL")
        ));
        database.sql("INSERT INTO agno_sessions (session_id, session_type, created_at) VALUES ('no-runs', 'agent', 1)");
        database.sql("INSERT INTO agno_sessions (session_id, session_type, runs, created_at) VALUES ('é', 'team', '[{\"run_id\":\"ü\"}]', 1)");
        let big: String = (0..3000).map(|n| format!("{{\"run_id\":\"big{n}\",\"é\":\"{}\"}},", "y".repeat(900))).collect();
        database
            .open()
            .execute(
                "UPDATE agno_sessions SET runs = ?1 WHERE session_id = 'no-runs'",
                [format!("[{}]", big.trim_end_matches(','))],
            )
            .expect("updates");
        let pragma = setting.split(' ').nth(1).expect("a word");
        let value = database.one(&format!("PRAGMA {pragma}"));
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "3001", "{setting}");
        assert_eq!(database.one(&format!("PRAGMA {pragma}")), value, "{setting}");
        assert_eq!(database.one("PRAGMA integrity_check"), "ok", "{setting}");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one("PRAGMA integrity_check"), "ok", "{setting}");
    }
}

#[test]
fn what_is_no_version_table_is_said_before_anything_changes() {
    for (sql, told) in [
        ("ALTER TABLE agno_schema_versions DROP COLUMN updated_at", "it lacks updated_at"),
        (
            "ALTER TABLE agno_schema_versions RENAME TO mine; CREATE VIEW agno_schema_versions AS SELECT * FROM mine",
            "agno_schema_versions is no table",
        ),
    ] {
        let database = Database::of("2.9.0");
        database.sql(sql);
        let before = database.dump();
        let report = database.run(&["up"]);
        assert_eq!(report.exit_code, 6);
        let why = report.failure.expect("a reason");
        assert!(why.contains(told) && why.contains("--table versions="), "{why}");
        assert_eq!(database.dump(), before);
    }
}

#[test]
fn the_log_beside_a_file_that_a_link_names_is_read() {
    let database = Database::fresh("2.9.0");
    let app = database.open();
    app.pragma_update(None, "journal_mode", "wal").expect("wal");
    app.pragma_update(None, "wal_autocheckpoint", 0).expect("a pragma");
    app.execute_batch("INSERT INTO agno_sessions (session_id, session_type, runs, created_at) VALUES ('in-the-log', 'agent', '[{\"run_id\": \"r\"}]', 1)")
        .expect("writes");
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("linked.db");
    std::os::unix::fs::symlink(&database.path, &link).expect("a link");
    let by_link = |words: &[&str]| support::binary().args(words).arg("--db").arg(&link).output().expect("runs");
    let said = by_link(&["status"]);
    let said = String::from_utf8(said.stdout).expect("UTF-8");
    let sessions: Vec<&str> = said.lines().filter(|line| line.contains("agno_sessions")).collect();
    assert!(sessions.len() == 1 && sessions[0].split_whitespace().nth(2) == Some("1"), "{said}");
    assert_eq!(by_link(&["current", "--check"]).status.code(), Some(3));
    assert_eq!(by_link(&["up"]).status.code(), Some(0));
    assert_eq!(database.one("SELECT count(*) FROM agno_runs"), "1");
}

#[test]
fn a_session_whose_id_is_a_number_keeps_its_list() {
    for id_type in ["INTEGER", "REAL", ""] {
        let database = Database::empty();
        database.sql(&format!(
            "CREATE TABLE agno_sessions (session_id {id_type} NOT NULL PRIMARY KEY, session_type VARCHAR NOT NULL, agent_id VARCHAR,
               team_id VARCHAR, workflow_id VARCHAR, user_id VARCHAR, session_data JSON, agent_data JSON, team_data JSON,
               workflow_data JSON, metadata JSON, runs JSON, summary JSON, created_at BIGINT NOT NULL, updated_at BIGINT);
             INSERT INTO agno_sessions (session_id, session_type, created_at, runs) VALUES (101, 'agent', 5, '[{{\"run_id\": \"r\"}}]')"
        ));
        let report = database.ok(&["up"]);
        let why = left(&report);
        assert!(why.len() == 1 && why[0].contains("the session id is a number, not text"), "{why:?}");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one("SELECT runs FROM agno_sessions"), "[{\"run_id\": \"r\"}]");
    }
}

#[test]
fn numbers_that_a_table_gave_are_not_given_again() {
    let database = Database::empty();
    database.sql(
        "CREATE TABLE agno_memories (n INTEGER PRIMARY KEY AUTOINCREMENT, memory_id VARCHAR NOT NULL UNIQUE, memory JSON NOT NULL,
           input VARCHAR, agent_id VARCHAR, team_id VARCHAR, user_id VARCHAR, topics JSON, updated_at BIGINT);
         INSERT INTO agno_memories (memory_id, memory, updated_at) VALUES ('a', '{}', 1), ('b', '{}', 1), ('c', '{}', 1);
         DELETE FROM agno_memories WHERE n > 1",
    );
    for words in [&["up"][..], &["down", "2.0.0", "--yes"], &["up"]] {
        database.ok(words);
        assert_eq!(database.query("SELECT name, seq FROM sqlite_sequence"), [["agno_memories", "3"]], "{words:?}");
    }
}
