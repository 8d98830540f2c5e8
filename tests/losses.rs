//! Ways in which a value could get lost that a review found: each was once true.

mod support;

use support::{Database, assert_same, kinds};

#[test]
fn a_session_with_an_empty_id_keeps_its_runs() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        database.sql(
            "INSERT INTO agno_sessions (session_id, session_type, created_at) VALUES ('', 'agent', 5);
             INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at, updated_at)
             VALUES ('of-nobody', '', 'agent', 0, '{\"run_id\": \"of-nobody\"}', 5, 5)",
        );
        database.ok(&["up"]);
        let before = database.dump();
        database.ok(&["down", "2.5.6", "--yes"]);
        assert!(database.one("SELECT runs FROM agno_sessions WHERE session_id = ''").contains("of-nobody"));
        database.ok(&["up"]);
        assert_same(&database.dump(), &before, "empty id");
    }
}

#[test]
fn what_the_user_put_on_the_runs_table_is_in_the_way_of_dropping_it() {
    for kind in kinds() {
        for (sql, named) in [
            ("ALTER TABLE agno_runs ADD COLUMN rating INTEGER", "column rating of agno_runs"),
            ("CREATE INDEX my_own ON agno_runs (status, created_at)", "index my_own"),
        ] {
            let database = kind.of("3.1.10");
            database.sql(sql);
            let why = database.refused(&["down", "2.5.6", "--yes"], 6);
            assert!(why.contains(named), "{why}");
        }
    }
    let database = Database::of("3.1.10");
    database.sql("CREATE TRIGGER mine AFTER INSERT ON AGNO_RUNS BEGIN SELECT 1; END");
    let why = database.refused(&["down", "2.5.6", "--yes"], 6);
    assert!(why.contains("trigger mine"), "{why}");
}

#[test]
fn runs_keep_their_owner_place_and_time() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        // An owner the session does not have, holes in the order, times that are not those of creation.
        database.sql(
            "UPDATE agno_runs SET user_id = 'secret' WHERE session_id = 'agent-1' AND run_index = 0;
             UPDATE agno_runs SET user_id = NULL WHERE session_id = 'agent-1' AND run_index = 1;
             UPDATE agno_runs SET run_index = run_index + 3 WHERE session_id = 'agent-0';
             UPDATE agno_runs SET updated_at = NULL WHERE session_id = 'agent-1' AND run_index = 0;
             UPDATE agno_runs SET updated_at = 7 WHERE session_id = 'agent-1' AND run_index = 1",
        );
        database.ok(&["up"]);
        let before = database.dump();
        for low in ["2.5.6", "2.0.0"] {
            database.ok(&["down", low, "--yes"]);
            database.ok(&["up"]);
            assert_same(&database.dump(), &before, low);
        }
    }
}

#[test]
fn a_trigger_written_in_capitals_survives_a_rebuild() {
    let database = Database::of("2.0.11");
    database.sql("CREATE TRIGGER mine AFTER INSERT ON AGNO_MEMORIES BEGIN SELECT 1; END");
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT count(*) FROM sqlite_schema WHERE name = 'mine'"), "1");
    database.ok(&["down", "2.0.0", "--yes"]);
    assert_eq!(database.one("SELECT count(*) FROM sqlite_schema WHERE name = 'mine'"), "1");
}

#[test]
fn an_emptied_list_becomes_null_going_down() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        database.ok(&["down", "2.5.6", "--yes"]);
        database.ok(&["up"]);
        database.sql("DELETE FROM agno_runs WHERE session_id = 'agent-0'; UPDATE agno_sessions SET runs = '[]' WHERE session_id = 'agent-0'");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one("SELECT runs FROM agno_sessions WHERE session_id = 'agent-0'"), "NULL");
    }
}

#[test]
fn names_that_are_misspelt_or_shared_are_refused() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        let named = ["--table", "sessions=agno_sessions", "--table", "runs=agno_rnus"];
        let mut down = vec!["down", "2.5.6", "--yes", "--only", "sessions"];
        down.extend(named);
        let why = database.refused(&down, 6);
        assert!(why.contains("there is no table agno_rnus, and agno_runs has the runs of agno_sessions"), "{why}");
        let why = database.refused(&["down", "2.5.6", "--yes", "--table", "versions=agno_schema_version"], 6);
        assert!(why.contains("correct --table versions="), "{why}");

        let database = kind.of("2.9.0");
        database.sql("ALTER TABLE support RENAME TO agno");
        let why = database.refused(&["up"], 6);
        assert!(why.contains("would share the runs table agno_runs"), "{why}");
    }
}

#[test]
fn a_stamp_that_is_not_known_does_not_pass_a_check() {
    let database = Database::of("3.1.10");
    database.sql("UPDATE agno_schema_versions SET version = '4.0.0'");
    let report = database.run(&["current", "--check"]);
    assert_eq!((report.exit_code, report.current.as_deref()), (4, Some("v4.0.0")));
    assert_eq!(database.run(&["status", "--check"]).exit_code, 4);

    let database = Database::of("3.1.10");
    database.sql("UPDATE agno_schema_versions SET version = '9.9.9' WHERE table_name = 'agno_runs'");
    let why = database.refused(&["down", "2.5.6", "--yes"], 6);
    assert!(why.contains("its runs table is stamped 9.9.9"), "{why}");
}

#[test]
fn a_column_that_may_be_null_and_must_not_is_mended() {
    for kind in kinds() {
        let database = kind.of("2.2.13");
        database.sql(
            "ALTER TABLE agno_memories ADD COLUMN created_at BIGINT; ALTER TABLE agno_metrics ADD COLUMN user_id VARCHAR",
        );
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT count(*) FROM agno_memories WHERE created_at IS NULL"), "0");
        assert_eq!(database.one("SELECT count(*) FROM agno_metrics WHERE user_id IS NULL"), "0");
        let fresh = kind.fresh("3.1.10");
        assert_eq!(database.shape("agno_memories"), fresh.shape("agno_memories"));
        assert_eq!(database.shape("agno_metrics"), fresh.shape("agno_metrics"));
    }
}

#[test]
fn values_whose_place_was_taken_are_settled_once() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        database.ok(&["down", "2.5.6", "--yes"]);
        // Agno's own migration, and the app after it, before ours.
        database.ok(&["up"]);
        let owned = database.one("SELECT min(id) FROM agno_metrics WHERE user_id <> ''");
        database.ok(&["down", "2.5.6", "--yes"]);
        database.sql(&format!(
            "INSERT INTO agno_metrics SELECT * FROM agno_metrics WHERE false;
             UPDATE agno_metrics SET id = '{owned}' WHERE id = (SELECT min(id) FROM agno_metrics)"
        ));
        let report = database.run(&["up"]);
        assert_eq!(report.exit_code, 0, "{}", report.to_json());
        assert!(
            report.tables.iter().any(|table| table.name == "agno_metrics" && table.left_count == 1),
            "{}",
            report.to_json()
        );
        assert_eq!(database.run(&["current", "--check"]).exit_code, 0, "{kind:?}: pending for ever");
        assert_eq!(database.one("SELECT count(*) > 0 FROM agno_migrate_archive").replace('t', "1"), "1");
    }
}

#[test]
fn a_run_that_lacks_what_a_row_needs_stays() {
    let database = Database::of("2.9.0");
    database.sql(
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'created_at BIGINT NOT NULL', 'created_at BIGINT') WHERE name = 'agno_sessions'",
    );
    database.sql(
        r#"INSERT INTO agno_sessions (session_id, session_type, runs) VALUES ('timeless', 'agent', '"[{\"run_id\": \"no-time\"}]"')"#,
    );
    let report = database.run(&["up"]);
    assert_eq!(report.exit_code, 0, "{}", report.to_json());
    let left: Vec<_> = report.tables.iter().flat_map(|table| &table.left).filter(|left| left.id == "timeless").collect();
    assert_eq!(left.len(), 1, "{}", report.to_json());
}

#[test]
fn what_is_there_already_is_counted_right() {
    let database = Database::of("2.9.0");
    database.ok(&["up"]);
    let rows: u64 = database.one("SELECT count(*) FROM agno_runs").parse().expect("a number");
    let report = database.ok(&["up", "--force", "--only", "sessions"]);
    let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("sessions");
    assert_eq!((sessions.already_there, sessions.moved, sessions.left_count), (rows, 0, 0));
}

#[test]
fn a_comment_at_the_end_of_a_column_swallows_nothing() {
    let database = Database::empty();
    let ddl = std::fs::read_to_string(support::Kind::Sqlite.fixtures().join("fresh-2.0.11.sql")).expect("DDL");
    database.sql(&ddl.replace("topics JSON, ", "topics JSON -- what it is about\n, "));
    database.ok(&["up"]);
    assert!(database.shape("agno_memories").contains("column topics JSON"));
}

#[test]
fn a_table_of_the_users_that_has_the_name_of_a_runs_table_stays_theirs() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.sql("CREATE TABLE support_runs (run_id VARCHAR(36), status VARCHAR(10)); INSERT INTO support_runs VALUES ('mine', 'ok')");
        let before = database.dump();
        let why = database.refused(&["up"], 6);
        assert!(
            why.contains("support: the runs table would be called support_runs, and something else has that name"),
            "{why}"
        );
        assert_same(&database.dump(), &before, "refused before the first change");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one("SELECT run_id FROM support_runs"), "mine");
    }
}

#[test]
fn down_raises_no_stamp() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        let stamps = "SELECT string_agg(stamp, ' ') \
                      FROM (SELECT table_name || version AS stamp FROM agno_schema_versions ORDER BY table_name) s";
        let before = database.one(stamps);
        assert!(database.ok(&["down", "3.0.0", "--yes"]).tables.iter().all(|table| table.steps.is_empty()));
        assert_eq!(database.one(stamps), before);
    }
}

#[test]
fn the_open_day_goes_when_only_the_key_moves_too() {
    for kind in kinds() {
        let usual = kind.of("2.9.0");
        let report = usual.ok(&["up", "--only", "metrics"]);
        assert!(report.to_json().contains("\"cleared\": 1"), "the fixture has an open day\n{}", report.to_json());
        // Someone added the column by hand: the key still moves, and the unowned day would be counted twice.
        let by_hand = kind.of("2.9.0");
        by_hand.sql("ALTER TABLE agno_metrics ADD COLUMN user_id VARCHAR NOT NULL DEFAULT ''");
        by_hand.ok(&["up", "--only", "metrics"]);
        assert_same(&by_hand.dump(), &usual.dump(), "a column added by hand");
    }
}

#[test]
fn an_index_that_is_missing_moves_no_row() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.ok(&["up"]);
        // The app deleted a run and has not been cleaned up: its copy in the old column is no reason to bring it back.
        database
            .sql("DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0; DROP INDEX idx_agno_runs_status");
        let before = database.dump();
        database.ok(&["up"]);
        assert_same(&database.dump(), &before, "only the index");
    }
}

/// A sessions table as Agno 2 makes it, with columns of the user's, and two sessions with lists that are read as streams.
fn large_sessions(columns: &str, values: [&str; 2]) -> Database {
    let database = Database::empty();
    let list = |user: &str| {
        let run = |at: usize| format!(r#"{{"run_id": "{user}{at}", "agent_id": "a", "x": "{}"}}"#, "y".repeat(300_000));
        format!("[{}]", (0..6).map(run).collect::<Vec<_>>().join(", "))
    };
    database.sql(&format!(
        "CREATE TABLE agno_sessions (session_id VARCHAR NOT NULL, session_type VARCHAR NOT NULL, agent_id VARCHAR, team_id VARCHAR,
           workflow_id VARCHAR, user_id VARCHAR, session_data JSON, agent_data JSON, team_data JSON, workflow_data JSON,
           metadata JSON, runs JSON, summary JSON, created_at BIGINT NOT NULL, updated_at BIGINT, {columns}, PRIMARY KEY (session_id));
         INSERT INTO agno_sessions (session_id, session_type, user_id, created_at, runs{0}) VALUES
           ('s1', 'agent', 'alice', 1, '{2}'{1}), ('s2', 'agent', 'bob', 2, '{3}'{4})",
        if values[0].is_empty() { "" } else { ", rowid" },
        values[0],
        list("alice"),
        list("bob"),
        values[1],
    ));
    database
}

#[test]
fn a_column_named_rowid_does_not_mix_up_sessions() {
    let database = large_sessions("rowid INTEGER", [", 2", ", 1"]);
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE run_id LIKE user_id || '%'"), "12");
    database.ok(&["verify"]);
    database.sql("UPDATE agno_runs SET session_id = 's2' WHERE run_id = 'alice0'");
    assert_eq!(database.run(&["verify"]).exit_code, 4, "the right list is compared");
}

#[test]
fn large_lists_beside_generated_columns_move() {
    let database = large_sessions("length INTEGER GENERATED ALWAYS AS (length(session_id)) VIRTUAL", ["", ""]);
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE run_id LIKE user_id || '%'"), "12");
    database.ok(&["verify"]);
    database.ok(&["down", "2.0.0", "--yes"]);
    database.ok(&["up"]);
    database.ok(&["cleanup", "--yes"]);
}

#[test]
fn a_runs_table_without_its_key_is_in_the_way_of_its_sessions() {
    const COLUMNS: &str = "run_id VARCHAR, session_id VARCHAR, run_type VARCHAR, agent_id VARCHAR, team_id VARCHAR, workflow_id VARCHAR, \
                           user_id VARCHAR, parent_run_id VARCHAR, status VARCHAR, run_index BIGINT, run_data JSON, \
                           created_at BIGINT, updated_at BIGINT";
    for kind in kinds() {
        for table in ["agno_runs", "support_runs"] {
            let database = kind.of("2.9.0");
            database.sql(&format!("CREATE TABLE {table} ({COLUMNS})"));
            for words in [&["up"][..], &["up", "--only", "sessions"], &["up", "--only", "sessions", "--force"]] {
                let why = database.refused(words, 6);
                assert!(why.contains(&format!("{table} has the name of Agno's runs table and is none")), "{why}");
                assert!(!why.contains("--only sessions") && !why.contains(",sessions"), "{why}");
            }
            database.ok(&["up", "--only", "memories"]);
        }
    }
}

#[test]
fn runs_tables_of_any_making_take_runs_or_say_why_not() {
    const COLUMNS: &str = "run_id VARCHAR NOT NULL PRIMARY KEY, session_id VARCHAR NOT NULL, run_type VARCHAR NOT NULL, agent_id VARCHAR, \
                           team_id VARCHAR, workflow_id VARCHAR, user_id VARCHAR, parent_run_id VARCHAR, status VARCHAR, \
                           run_index BIGINT, run_data JSON, created_at BIGINT NOT NULL, updated_at BIGINT";
    // An id that two sessions have is settled by the rowids of the rows.
    let sessions = |database: &Database| {
        database.sql(
            r#"INSERT INTO agno_sessions (session_id, session_type, created_at, runs) VALUES
                 ('a-younger', 'agent', 9, '[{"run_id": "shared", "agent_id": "y"}]'),
                 ('b-older', 'agent', 1, '[{"run_id": "shared", "agent_id": "o"}]')"#,
        );
    };
    let database = Database::of("2.9.0");
    sessions(&database);
    database.sql(&format!("CREATE TABLE agno_runs ({COLUMNS}, rowid VARCHAR)"));
    database.ok(&["up"]);
    assert_eq!(database.one("SELECT session_id FROM agno_runs WHERE run_id = 'shared'"), "b-older");
    for without in [") WITHOUT ROWID", ", rowid VARCHAR, _rowid_ VARCHAR, oid VARCHAR)"] {
        let database = Database::of("2.9.0");
        sessions(&database);
        database.sql(&format!("CREATE TABLE agno_runs ({COLUMNS}{without}"));
        let why = database.refused(&["up"], 6);
        assert!(why.contains("agno_runs is WITHOUT ROWID, or has columns named"), "{why}");
        database.ok(&["up", "--only", "memories"]);
    }
}

#[test]
fn sessions_that_agno_3_wrote_without_a_run_go_down_as_agno_2_reads_them() {
    for kind in kinds() {
        let database = kind.fresh("3.1.10");
        // Agno 3 makes the runs table at the first run.
        database.sql("DROP TABLE IF EXISTS agno_sandbox_bindings; DROP TABLE IF EXISTS agno_sessions_sandbox_bindings; DROP TABLE agno_runs");
        database.sql(
            "CREATE TABLE IF NOT EXISTS agno_schema_versions (table_name VARCHAR PRIMARY KEY, version VARCHAR, created_at VARCHAR, updated_at VARCHAR);
             DELETE FROM agno_schema_versions;
             INSERT INTO agno_schema_versions (table_name, version, created_at) VALUES ('agno_sessions', '3.0.0', 'now');
             INSERT INTO agno_sessions (session_id, session_type, session_data, created_at) VALUES ('s', 'agent', '{\"session_state\": {\"a\": 1}}', 5)",
        );
        for words in [&["current", "--check"][..], &["status", "--check"], &["verify"]] {
            let report = database.run(words);
            let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("the table");
            assert!(sessions.drift.is_empty() && sessions.differences.is_empty(), "{words:?}\n{}", report.to_json());
        }
        let before = database.dump();
        database.ok(&["down", "2.0.0", "--yes", "--only", "sessions"]);
        let data = database.one("SELECT session_data FROM agno_sessions");
        assert_eq!(data.starts_with('"'), kind == support::Kind::Sqlite, "{data}");
        database.ok(&["up", "--only", "sessions"]);
        database.sql("DROP TABLE agno_runs; ALTER TABLE agno_sessions DROP COLUMN runs");
        assert_same(&database.dump(), &before, "back");
    }
}

#[test]
fn unique_indexes_of_the_user_on_metrics_do_not_vanish() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        // The condition on a line of its own: the index covers some rows only.
        database.sql("CREATE UNIQUE INDEX one_done ON agno_metrics (date, aggregation_period)\nWHERE completed");
        database.ok(&["up", "--only", "metrics"]);
        assert!(database.shape("agno_metrics").iter().any(|fact| fact.contains("completed")), "it is there still");
        let database = kind.of("2.9.0");
        database.sql("CREATE UNIQUE INDEX mine ON agno_metrics (date, aggregation_period)");
        let why = database.refused(&["up", "--only", "metrics"], 6);
        assert!(why.contains("the unique index mine on (date, aggregation_period) is none of Agno's"), "{why}");
    }
    let database = Database::of("2.9.0");
    database.sql("CREATE INDEX some ON agno_eval_runs (agent_id)\nWHERE agent_id = 'x'; ALTER TABLE agno_eval_runs ADD COLUMN user_id VARCHAR; \
                  CREATE INDEX part ON agno_eval_runs (user_id)\nWHERE user_id = 'x'");
    database.ok(&["up", "--only", "evals"]);
    assert!(database.shape("agno_eval_runs").contains("index user_id"), "an index over some rows is not the one over all");
}

#[test]
fn rows_of_the_users_tables_do_not_lose_the_row_they_point_to() {
    let database = Database::of("2.9.0");
    database.sql(
        "CREATE TABLE kid (day VARCHAR REFERENCES agno_metrics(id) ON DELETE CASCADE);
         INSERT INTO kid SELECT id FROM agno_metrics WHERE NOT completed",
    );
    let why = database.refused(&["up", "--only", "metrics"], 6);
    assert!(why.contains("rows of kid would lose the row that their foreign key names"), "{why}");
    database.sql(
        "DELETE FROM kid; INSERT INTO kid SELECT id FROM agno_metrics WHERE completed; INSERT INTO kid VALUES ('never was')",
    );
    database.ok(&["up", "--only", "metrics"]);

    // A key that SQLite itself cannot check.
    let database = Database::of("2.9.0");
    database.sql("CREATE TABLE child (d REFERENCES agno_metrics(date)); INSERT INTO child VALUES (1)");
    database.ok(&["up"]);
}

#[test]
fn a_stamp_that_lied_is_that_of_the_runs_table_too() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.sql("UPDATE agno_schema_versions SET version = '3.0.0'");
        database.ok(&["up"]);
        assert_eq!(database.stamps().get("agno_runs").map(String::as_str), Some("3.0.0"));
        database.sql("DELETE FROM agno_schema_versions WHERE table_name = 'agno_runs'");
        database.ok(&["up", "--to", "2.5.6"]);
        let stamps = database.stamps();
        assert_eq!((stamps["agno_runs"].as_str(), stamps["agno_sessions"].as_str()), ("3.0.0", "3.0.0"));
        assert!(database.ok(&["up"]).tables.iter().all(|table| table.steps.is_empty()));
        assert_eq!(database.stamps(), stamps);
    }
}

#[test]
fn what_has_the_name_of_the_archive_and_is_none_is_in_the_way() {
    for kind in kinds() {
        for (sql, told) in [
            ("CREATE TABLE agno_migrate_archive (a INTEGER)", "agno_migrate_archive lacks table_type, table_name"),
            ("CREATE VIEW agno_migrate_archive AS SELECT 1 AS value", "agno_migrate_archive is no table"),
        ] {
            let database = kind.of("3.1.10");
            database.sql(sql);
            for words in [&["up"][..], &["down", "2.5.6", "--yes"]] {
                let why = database.refused(words, 6);
                assert!(why.contains(told) && why.contains("rename it"), "{why}");
            }
            assert_eq!(database.run(&["current"]).exit_code, 0, "who only looks goes on");
            assert_eq!(database.run(&["status"]).exit_code, 0, "who only looks goes on");
        }
    }
}

#[test]
fn a_view_that_is_broken_already_is_named() {
    let database = Database::of("3.1.10");
    database.sql("CREATE VIEW broken AS SELECT * FROM nowhere");
    let why = database.refused(&["down", "2.5.6", "--yes"], 6);
    assert!(why.contains("the view broken is broken already"), "{why}");
}

#[test]
fn archived_times_come_back_into_a_column_that_may_be_null() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.sql("UPDATE agno_memories SET created_at = 111");
        database.ok(&["down", "2.0.0", "--yes", "--only", "memories"]);
        database.sql("ALTER TABLE agno_memories ADD COLUMN created_at BIGINT");
        database.ok(&["up", "--only", "memories"]);
        assert_eq!(database.one("SELECT count(*) FROM agno_memories WHERE created_at <> 111"), "0");
        assert!(!database.has("agno_migrate_archive") || kind == support::Kind::Sqlite, "nothing waits");
    }
}
