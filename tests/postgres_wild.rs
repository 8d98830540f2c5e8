//! PostgreSQL databases as they are found: triggers, publications, policies, rights, values. Skipped without a server.

mod support;

use std::process::Stdio;
use std::time::Duration;
use support::postgres::connect;
use support::{Kind, assert_same, binary, kinds};

fn postgres() -> Vec<Kind> {
    kinds().into_iter().filter(|kind| *kind != Kind::Sqlite).collect()
}

#[test]
fn runs_that_the_app_writes_during_a_down_are_in_the_list() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    database.ok(&["up"]);
    database.sql(
        "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at)
         SELECT 'r' || i, 'agent-0', 'agent', 100 + i, jsonb_build_object('run_id', 'r' || i, 'content', repeat('x', 300)), 1
         FROM generate_series(1, 30000) i",
    );
    let mut app = connect(&database.url);
    let mut down = binary();
    down.args(["down", "2.5.6", "--yes", "--only", "sessions", "--db", &database.url]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut committed = 0;
    for i in 0.. {
        let insert = format!(
            "INSERT INTO ai.agno_runs (run_id, session_id, run_type, run_data, created_at)
             VALUES ('app-{i}', 'agent-1', 'agent', '{{\"run_id\": \"app-{i}\"}}', 1)"
        );
        if app.batch_execute(&insert).is_err() {
            break;
        }
        committed += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(down.wait().expect("it ends").success());
    let there = "SELECT count(*) FROM agno_sessions s, jsonb_array_elements(s.runs) r \
                 WHERE s.session_id = 'agent-1' AND r ->> 'run_id' LIKE 'app-%'";
    assert_eq!(database.one(there), committed.to_string());
}

#[test]
fn archived_values_do_not_depend_on_settings() {
    for kind in postgres() {
        let database = kind.of("3.1.10");
        // A day of one user goes to the archive whole.
        database.sql(
            "ALTER TABLE agno_metrics ADD COLUMN at timestamptz DEFAULT '2024-03-04 05:06:07+00', ADD COLUMN took interval DEFAULT '-1 day 02:03',
               ADD COLUMN raw bytea DEFAULT '\\x00ff', ADD COLUMN exact float8 DEFAULT 0.1::float8 + 0.2::float8;
             UPDATE agno_metrics SET user_id = 'ann' WHERE id = (SELECT id FROM agno_metrics WHERE user_id = '' LIMIT 1)",
        );
        let before = database.dump();
        let set = |setting: &str| {
            let name = database.one("SELECT current_database()");
            database.sql(&format!("ALTER DATABASE \"{name}\" SET {setting}"));
        };
        for setting in ["DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "bytea_output = 'escape'"] {
            set(setting);
        }
        set("extra_float_digits = -10");
        database.ok(&["down", "2.5.6", "--yes", "--only", "metrics"]);
        set("DateStyle = 'SQL, MDY'");
        database.ok(&["up", "--only", "metrics"]);
        for setting in
            ["DateStyle TO DEFAULT", "IntervalStyle TO DEFAULT", "bytea_output TO DEFAULT", "extra_float_digits TO DEFAULT"]
        {
            set(setting);
        }
        assert_same(&database.dump(), &before, "down and up");
    }
}

#[test]
fn a_value_that_a_server_quotes_is_not_told() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("3.1.10");
    database
        .sql("UPDATE agno_metrics SET user_id = 'ann' WHERE id = (SELECT id FROM agno_metrics WHERE user_id = '' LIMIT 1)");
    database.ok(&["down", "2.5.6", "--yes", "--only", "metrics"]);
    database.sql("UPDATE agno_migrate_archive SET value = 'my-secret' WHERE column_name = 'row.date'");
    let report = database.run(&["up", "--only", "metrics"]);
    assert_eq!(report.exit_code, 1);
    let why = report.failure.expect("a reason");
    assert!(why.contains("a value is not of the form") && !why.contains("my-secret"), "{why}");
}

#[test]
fn triggers_are_silent_and_stay_as_they_are() {
    for kind in postgres() {
        let database = kind.of("2.0.11");
        database.sql(
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at = 77; RETURN NEW; END';
             CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
             CREATE TRIGGER touches BEFORE UPDATE ON agno_memories FOR EACH ROW EXECUTE FUNCTION touch();
             CREATE TRIGGER always BEFORE UPDATE ON agno_sessions FOR EACH ROW EXECUTE FUNCTION touch();
             CREATE TRIGGER never BEFORE UPDATE ON agno_sessions FOR EACH ROW EXECUTE FUNCTION forbid();
             CREATE TRIGGER copies BEFORE UPDATE ON agno_sessions FOR EACH ROW EXECUTE FUNCTION touch();
             ALTER TABLE agno_sessions ENABLE ALWAYS TRIGGER always, DISABLE TRIGGER never, ENABLE REPLICA TRIGGER copies;",
        );
        let states = "SELECT string_agg(tgname || ' ' || tgenabled::text, ', ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal";
        let times = "SELECT (SELECT count(*) FROM agno_memories WHERE updated_at = 77) + (SELECT count(*) FROM agno_sessions WHERE updated_at = 77)";
        let before = database.one(states);
        assert_eq!(before, "always A, copies R, never D, touches O");
        for arguments in [&["up"][..], &["down", "2.0.0", "--yes"], &["up"]] {
            database.ok(arguments);
            assert_eq!((database.one(states), database.one(times)), (before.clone(), "0".to_owned()), "{arguments:?}");
        }
    }
}

#[test]
fn published_tables_can_be_migrated() {
    for kind in postgres() {
        for publication in ["FOR ALL TABLES", "FOR TABLE ai.agno_sessions, ai.agno_memories"] {
            let database = kind.of("2.0.11");
            // A publication of another database is none of its own: names repeat.
            database.sql(&format!(
                "UPDATE agno_sessions SET runs = '[{{\"run_id\": \"nul\", \"content\": \"x\\u0000\"}}, {{\"no\": 1}}]' WHERE session_id = 'no-runs';
                 CREATE PUBLICATION everything {publication}"
            ));
            let report = database.ok(&["up"]);
            assert_eq!(report.tables.iter().map(|table| table.left_count).sum::<u64>(), 1, "{}", report.to_json());
            let identities = "SELECT string_agg(DISTINCT relreplident::text, '') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'ai'::regnamespace";
            assert_eq!(database.one(identities), "d");
            database.ok(&["down", "2.0.0", "--yes"]);
            assert_eq!(database.one(identities), "d");
        }
    }
}

#[test]
fn keys_that_only_nul_tells_apart_are_refused() {
    for kind in postgres() {
        for value in [
            r#"{"a": 1, "a\u0000": 2}"#,
            r#"{"x": [{"a": 1, "\u0000a\"": 2, "a\"": 3}]}"#,
            r#"{"\ud800": 1, "\ufffd\u0000": 2}"#,
        ] {
            let database = kind.of("2.0.11");
            database.sql(&format!("UPDATE agno_memories SET memory = '{value}' WHERE memory_id = 'memory-0'"));
            let report = database.run(&["up"]);
            assert_eq!((report.exit_code, database.stamps().len()), (6, 0), "{}", report.to_json());
            let why = report.failure.expect("a reason");
            assert!(why.contains("keys that would be equal") && why.contains("memory-0"), "{why}");
        }
        let database = kind.of("2.0.11");
        database.sql(
            r#"UPDATE agno_memories SET memory = '{"a": 1, "a": 3, "b\u0000": {"a\\u0000": 4, "a": "\u0000\":"}}' WHERE memory_id = 'memory-0'"#,
        );
        database.ok(&["up"]);
        assert_eq!(
            database.one("SELECT memory FROM agno_memories WHERE memory_id = 'memory-0'"),
            r#"{"a": 3, "b": {"a": "\":", "a\\u0000": 4}}"#
        );
    }
}
