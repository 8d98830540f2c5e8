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
fn owners_that_the_app_writes_during_a_down_are_archived() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    database.ok(&["up"]);
    // Dropping it would lock the table before its owners are read.
    database.sql("DROP INDEX idx_agno_eval_runs_user_id");
    let mut app = connect(&database.url);
    app.batch_execute("BEGIN; UPDATE ai.agno_eval_runs SET user_id = 'ann'").expect("writes");
    let mut down = binary();
    down.args(["down", "2.5.6", "--yes", "--only", "evals", "--db", &database.url]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
    std::thread::sleep(Duration::from_secs(2));
    app.batch_execute("COMMIT").expect("ends");
    assert!(down.wait().expect("it ends").success());
    let rows = database.one("SELECT count(*) FROM agno_eval_runs");
    assert_ne!(rows, "0");
    assert_eq!(database.one("SELECT count(*) FROM agno_migrate_archive WHERE value = 'ann'"), rows);
}

#[test]
fn an_empty_runs_table_of_the_apps_is_not_made_anew() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        database.ok(&["up"]);
        // What an app that was updated too early leaves: its own table, still empty, here with something of the user's.
        database.sql("DELETE FROM agno_runs");
        database.sql(
            "UPDATE agno_schema_versions SET version = '2.5.6' WHERE table_name IN ('agno_sessions', 'agno_runs');
             DROP INDEX idx_agno_runs_status; ALTER TABLE agno_runs ADD COLUMN note text, REPLICA IDENTITY NOTHING;
             CREATE PUBLICATION theirs FOR TABLE agno_runs",
        );
        database.ok(&["up"]);
        assert_ne!(database.one("SELECT count(*) FROM agno_runs WHERE note IS NULL"), "0");
        assert_eq!(database.one("SELECT tablename FROM pg_publication_tables WHERE pubname = 'theirs'"), "agno_runs");
        assert_eq!(database.one("SELECT relreplident FROM pg_class WHERE relname = 'agno_runs'"), "n");
        database.sql("DROP PUBLICATION theirs");
    }
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
            // The older schema has no primary key there: another key stands in, or the app could not write.
            assert_eq!(database.one(identities), "di");
            database.sql("UPDATE agno_sessions SET updated_at = updated_at");
            database.ok(&["up"]);
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

#[test]
fn taken_names_of_keys_get_another() {
    for kind in postgres() {
        let database = kind.of("2.0.11");
        database.sql(
            "CREATE TABLE mine (a int, b int, c int, d int CONSTRAINT agno_runs_pkey UNIQUE, CONSTRAINT agno_sessions_pkey UNIQUE (a),
               CONSTRAINT agno_metrics_uq_metrics_user_date_period UNIQUE (b))",
        );
        let plan = database.ok(&["plan"]);
        let up = database.ok(&["up"]);
        assert_eq!(plan.tables.len(), up.tables.len());
        let keys =
            "SELECT string_agg(conname, ', ' ORDER BY conname) FROM pg_constraint WHERE conname LIKE '%!_2' ESCAPE '!'";
        assert_eq!(database.one(keys), "agno_metrics_uq_metrics_user_date_period_2, agno_runs_pkey_2, agno_sessions_pkey_2");
        database.ok(&["down", "2.0.0", "--yes"]);
        database.ok(&["up"]);
        assert!(database.ok(&["up"]).tables.iter().all(|table| table.steps.is_empty()));
    }
}

#[test]
fn sessions_too_large_as_jsonb_are_refused_before() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("3.1.10");
    // 12 MB of text each, and eight times as much as JSONB.
    database.sql(
        "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at)
         SELECT 'large-' || i, 'agent-0', 'agent', 100 + i, jsonb_build_object('run_id', 'large-' || i, 'n', n.n), 1
         FROM generate_series(1, 6) i, (SELECT jsonb_agg(1) AS n FROM generate_series(1, 4000000)) n",
    );
    let report = database.run(&["down", "2.5.6", "--yes", "--only", "sessions"]);
    let why = report.failure.expect("a reason");
    assert!(report.exit_code == 6 && why.contains("too large together") && why.contains("agent-0"), "{why}");
}

#[test]
fn what_cannot_have_another_type_is_named_before() {
    for kind in postgres() {
        let cases = [
            (
                "2.0.11",
                "ALTER TABLE agno_sessions ADD CONSTRAINT lists CHECK (json_typeof(runs) <> 'number')",
                "up",
                "the constraint lists",
            ),
            ("2.0.11", "CREATE INDEX mine ON agno_memories ((json_typeof(topics)))", "up", "mine uses the column topics"),
            (
                "3.1.10",
                "CREATE INDEX gin ON agno_sessions USING gin (session_data)",
                "down 2.0.0 --yes",
                "gin uses the column session_data",
            ),
            (
                "3.1.10",
                "CREATE INDEX plain ON agno_sessions (metadata)",
                "down 2.0.0 --yes",
                "plain uses the column metadata",
            ),
            ("2.0.11", "ALTER TABLE agno_sessions SET UNLOGGED", "up", "SET LOGGED"),
        ];
        for (release, sql, command, named) in cases {
            let database = kind.of(release);
            database.sql(sql);
            let why = database.refused(&command.split(' ').collect::<Vec<_>>(), 6);
            assert!(why.contains(named), "{sql}: {why}");
        }
        let database = kind.of("2.0.11");
        database.sql(
            "ALTER TABLE agno_sessions ADD CHECK (runs IS NOT NULL OR true); CREATE INDEX mine ON agno_sessions ((session_data ->> 'x'))",
        );
        database.ok(&["up"]);
        database.ok(&["down", "2.0.0", "--yes"]);
    }
}

#[test]
fn runs_with_ids_too_long_for_an_index_stay_and_are_named() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        database.sql(
            r#"UPDATE agno_sessions SET runs = jsonb_build_array(jsonb_build_object('run_id', 'short'), jsonb_build_object('run_id', 'long', 'agent_id',
                 (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i))) WHERE session_id = 'no-runs'"#,
        );
        for _ in 0..2 {
            let report = database.ok(&["up", "--force", "--only", "sessions"]);
            let left: Vec<String> = report
                .tables
                .iter()
                .flat_map(|table| &table.left)
                .map(|left| format!("{} {:?} {}", left.id, left.item, left.reason))
                .collect();
            assert_eq!(left, ["no-runs Some(\"runs[1]\") has ids that are too long for an index"]);
        }
        database.ok(&["down", "2.5.6", "--yes", "--only", "sessions"]);
        assert_eq!(database.one("SELECT jsonb_array_length(runs) FROM agno_sessions WHERE session_id = 'no-runs'"), "2");
    }
}

#[test]
fn every_right_that_is_lacking_is_named_before() {
    let Some(kind) = postgres().first().copied() else { return };
    // Each of these takes one right from a role that has all others.
    let owned = "agno_learnings";
    let cases = [
        ("2.9.0", "up", format!("ALTER TABLE {owned} OWNER TO postgres; GRANT SELECT ON {owned} TO ROLE"), "lacks DELETE, UPDATE on agno_learnings"),
        ("2.9.0", "up --force", "REVOKE TEMP ON DATABASE DB FROM PUBLIC".to_owned(), "may not create temporary tables"),
        ("3.1.10", "down 2.5.6 --yes", "ALTER TABLE agno_runs OWNER TO postgres; GRANT ALL ON agno_runs TO ROLE".to_owned(), "is not the owner of agno_runs"),
        ("2.9.0", "up", "ALTER TABLE agno_schema_versions OWNER TO postgres; GRANT SELECT ON agno_schema_versions TO ROLE".to_owned(), "on agno_schema_versions"),
        (
            "3.1.10",
            "down 2.5.6 --yes",
            "CREATE TABLE agno_migrate_archive (table_type varchar, table_name varchar, row_key varchar, column_name varchar, value text, PRIMARY KEY (table_name, row_key, column_name)); \
             GRANT SELECT ON agno_migrate_archive TO ROLE"
                .to_owned(),
            "lacks INSERT, UPDATE on agno_migrate_archive",
        ),
        (
            "2.9.0",
            "up",
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER touches BEFORE UPDATE ON agno_learnings \
             FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE agno_learnings OWNER TO postgres; GRANT ALL ON agno_learnings TO ROLE"
                .to_owned(),
            "has triggers or rules that have to be disabled while rows are written (touches)",
        ),
    ];
    for (at, (release, command, sql, reason)) in cases.iter().enumerate() {
        let database = kind.of(release);
        if command.contains("--force") {
            database.ok(&["up"]);
        }
        let role = format!("rights{}_{at}", std::process::id());
        let name = database.one("SELECT quote_ident(current_database())");
        database.sql(&format!(
            "CREATE ROLE {role} LOGIN; DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'ai' LOOP \
               EXECUTE format('ALTER TABLE ai.%I OWNER TO {role}', t); END LOOP; END $$; ALTER SCHEMA ai OWNER TO {role}"
        ));
        database.sql(&sql.replace("ROLE", &role).replace("DB", &name));
        let url = database.url.replace("postgres@", &format!("{role}@"));
        let before = (database.dump(), database.stamps());
        let output = binary().args(command.split(' ')).args(["--db", &url]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(6) && said.contains(reason), "{command} {sql}: {said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!((database.dump(), database.stamps()), before);
    }
}

#[test]
fn the_app_can_use_what_another_role_made() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        let role = format!("shares{}", std::process::id());
        let (app, migrator, reader) = (format!("{role}_app"), format!("{role}_migrator"), format!("{role}_reader"));
        database.sql(&format!("DROP TABLE agno_schema_versions; CREATE ROLE {app} LOGIN; CREATE ROLE {migrator} LOGIN; CREATE ROLE {reader} LOGIN; GRANT {app} TO {migrator}"));
        database.sql(&format!(
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'ai' LOOP \
               EXECUTE format('ALTER TABLE ai.%I OWNER TO {app}', t); END LOOP; END $$; GRANT CREATE, USAGE ON SCHEMA ai TO {app}; \
             GRANT USAGE ON SCHEMA ai TO {reader}; GRANT SELECT ON agno_sessions TO {reader} WITH GRANT OPTION"
        ));
        let url = database.url.replace("postgres@", &format!("{migrator}@"));
        let facts = "SELECT string_agg(c.relname || ' ' || pg_get_userbyid(c.relowner) || ' ' || (SELECT count(*) FROM aclexplode(c.relacl) a \
                       WHERE pg_get_userbyid(a.grantee) LIKE '%reader' AND is_grantable), ', ' ORDER BY 1) FROM pg_class c \
                     WHERE c.relname IN ('agno_runs', 'agno_schema_versions')";
        for command in ["up", "down 2.5.6 --yes", "up"] {
            let output = binary().args(command.split(' ')).args(["--db", &url]).output().expect("runs");
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            let there = database.one(facts);
            assert!(there.contains(&format!("agno_schema_versions {app} ")), "{there}");
            assert!(command.starts_with("down") || there.contains(&format!("agno_runs {app} 1")), "{command}: {there}");
        }
        // What a superuser put into the archive the app takes out again.
        database.sql("UPDATE agno_eval_runs SET user_id = 'ann'");
        database.ok(&["down", "2.5.6", "--yes"]);
        let owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'agno_migrate_archive'";
        assert_eq!(database.one(owner), app);
        let as_app = database.url.replace("postgres@", &format!("{app}@"));
        let output = binary().args(["up", "--db", &as_app]).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!database.has("agno_migrate_archive"));
        let mut as_app = connect(&as_app);
        as_app
            .batch_execute("UPDATE ai.agno_runs SET status = status; UPDATE ai.agno_schema_versions SET version = version")
            .expect("rights");
        // Nothing is left of a session without a run to move either.
        let empty = kind.fresh("2.9.0");
        empty.sql(&format!("ALTER TABLE agno_sessions OWNER TO {app}; GRANT CREATE ON SCHEMA ai TO {app}"));
        empty.ok(&["up"]);
        assert!(empty.one(facts).contains(&format!("agno_runs {app} ")), "{}", empty.one(facts));
    }
}

#[test]
fn who_sees_some_sessions_sees_their_runs_only() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        let role = format!("sees{}", std::process::id());
        database.sql(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA ai TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON agno_sessions TO {role};
             ALTER TABLE agno_sessions ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON agno_sessions USING (session_id = 'agent-0')"
        ));
        for _ in 0..2 {
            let report = database.ok(&["up"]);
            let (_, warnings) = report.messages();
            assert!(warnings.iter().any(|warning| warning.contains("row-level security")), "{warnings:?}");
            let mut limited = connect(&database.url.replace("postgres@", &format!("{role}@")));
            let sees = "SELECT string_agg(DISTINCT session_id, ',') FROM ai.agno_runs";
            let sees: String = limited.query_one(sees, &[]).expect("reads").get(0);
            assert_eq!(sees, "agent-0");
            limited.batch_execute("INSERT INTO ai.agno_runs (run_id, session_id, run_type, run_data, created_at) VALUES ('x', 'agent-1', 'agent', '{}', 1)").expect_err("limited");
            database.ok(&["down", "2.5.6", "--yes"]);
        }
    }
}

#[test]
fn tables_that_are_no_ordinary_ones_are_said_to_be() {
    for kind in postgres() {
        for (sql, what) in [
            (
                "CREATE TABLE agno_sessions (LIKE old) PARTITION BY HASH (session_id); CREATE TABLE part PARTITION OF agno_sessions FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
                "a partitioned table",
            ),
            (
                "CREATE TABLE agno_sessions (LIKE old INCLUDING ALL); CREATE TABLE child () INHERITS (agno_sessions)",
                "a table with inheritance",
            ),
        ] {
            let database = kind.fresh("2.9.0");
            database.sql(&format!("ALTER TABLE agno_sessions RENAME TO old; {sql}; DROP TABLE old CASCADE"));
            let status = database.ok(&["status"]);
            assert!(
                status.looks_like.iter().any(|table| table.name == "agno_sessions" && table.reason.contains(what)),
                "{}",
                status.to_json()
            );
            for arguments in [&["up"][..], &["up", "--table", "sessions=agno_sessions"]] {
                let why = database.refused(arguments, 6);
                assert!(why.contains("agno_sessions") && why.contains(what), "{why}");
            }
            database.ok(&["up", "--only", "memories"]);
        }
    }
}

#[test]
fn another_schema_is_named_whatever_table_it_has() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.fresh("2.9.0");
    database.sql("CREATE SCHEMA other; ALTER TABLE agno_memories SET SCHEMA other");
    let report = database.ok(&["current", "--schema", "public"]);
    assert!(report.notes.iter().any(|note| note.contains("--schema ai or --schema other")), "{:?}", report.notes);
}

#[test]
fn databases_of_other_encodings() {
    let Some(Kind::Postgres(server)) = postgres().first().copied() else { return };
    let admin = &support::postgres::servers()[server];
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}-{}", encoding.to_lowercase(), std::process::id());
        connect(admin)
            .batch_execute(&format!("CREATE DATABASE \"{name}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
            .expect("a database");
        let url = support::postgres::beside(admin, &name);
        let fixture =
            std::fs::read_to_string(Kind::Postgres(server).fixtures().join("fresh-2.0.11.sql")).expect("the fixture");
        connect(&url).batch_execute(&fixture).expect("it loads");
        connect(&url)
            .batch_execute(
                r#"INSERT INTO agno_memories (memory_id, memory, user_id) VALUES ('bad', '{"a": "\u20ac"}', 'x'), ('good', '{"a": "b"}', 'x');
                   INSERT INTO agno_memories (memory_id, memory, topics, user_id) VALUES ('both', '"\u20ac"', '"\u20ac"', 'x')"#,
            )
            .expect("rows");
        let output = binary().args(["up", "--db", &url]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(6) && said.contains("characters that the encoding"), "{encoding}: {said}");
        assert!(said.contains("): bad, both;"), "{encoding}: {said}");
        connect(&url).batch_execute("DELETE FROM agno_memories WHERE memory_id <> 'good'").expect("deletes");
        let output = binary().args(["up", "--db", &url]).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{encoding}: {}", String::from_utf8_lossy(&output.stderr));
        connect(admin).batch_execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).expect("drops");
    }
}

#[test]
fn rows_that_others_refer_to_are_refused_and_not_a_crash() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    // A key of the user's on what the runs table will be cannot be; on entity memories that get another key it can.
    database.sql(
        "CREATE TABLE notes (learning_id varchar REFERENCES agno_learnings (learning_id));
         INSERT INTO notes SELECT learning_id FROM agno_learnings WHERE learning_type = 'entity_memory' AND namespace = 'user'",
    );
    let report = database.run(&["up", "--only", "learnings"]);
    let why = report.failure.expect("a reason");
    assert!(
        report.exit_code == 6 && why.contains("notes_learning_id_fkey") && why.contains("run the command again"),
        "{why}"
    );
}

#[test]
fn a_role_that_owns_one_table_migrates_it() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.4.8");
    let role = format!("one{}", std::process::id());
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE, USAGE ON SCHEMA ai TO {role}; ALTER TABLE agno_eval_runs OWNER TO {role}; \
         GRANT SELECT, INSERT, UPDATE ON agno_schema_versions TO {role}"
    ));
    let url = database.url.replace("postgres@", &format!("{role}@"));
    let output = binary().args(["up", "--only", "evals", "--db", &url]).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(database.stamps()["agno_eval_runs"], "3.0.0");
}

#[test]
fn rules_of_the_user_take_nothing() {
    for kind in postgres() {
        let database = kind.of("3.1.10");
        database.ok(&["up"]);
        for table in ["agno_sessions", "agno_eval_runs", "agno_learnings"] {
            database.sql(&format!(
                "CREATE RULE nope AS ON UPDATE TO {table} DO INSTEAD NOTHING; CREATE RULE neither AS ON DELETE TO {table} DO INSTEAD NOTHING"
            ));
        }
        database.sql("ALTER TABLE agno_sessions ENABLE ALWAYS RULE neither");
        // Rows that are put back would need ON CONFLICT, which such tables do not take.
        database.sql("CREATE RULE nope AS ON UPDATE TO agno_metrics DO INSTEAD NOTHING");
        let why = database.refused(&["down", "2.5.6", "--yes"], 6);
        assert!(why.contains("the rule nope of agno_metrics would keep rows from being written: drop it"), "{why}");
        database.sql("DROP RULE nope ON agno_metrics");
        let before = database.dump();
        database.ok(&["down", "2.5.6", "--yes"]);
        database.ok(&["up"]);
        assert_same(&database.dump(), &before, "down and up");
        let rules = "SELECT ev_class::regclass::text, rulename::text, ev_enabled::text FROM pg_rewrite \
                     WHERE rulename IN ('nope', 'neither') ORDER BY 1, 2";
        assert_eq!(database.query(rules).len(), 6);
        assert_eq!(
            database.query(rules).iter().filter(|row| row[2] == "A").map(|row| row[1].clone()).collect::<Vec<_>>(),
            ["neither"]
        );
    }
}

#[test]
fn a_published_table_keeps_an_identity() {
    for kind in postgres() {
        let identity = |database: &support::Database, table: &str| {
            database.one(&format!(
                "SELECT c.relreplident::text || coalesce(' ' || (SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), '') \
                 FROM pg_class c WHERE c.oid = '{table}'::regclass"
            ))
        };
        // Of an index that goes.
        let database = kind.of("2.4.8");
        database.sql(
            "ALTER TABLE agno_sessions REPLICA IDENTITY USING INDEX agno_sessions_uq_session_id;
             CREATE PUBLICATION sessions_of_app FOR TABLE agno_sessions, agno_metrics;
             ALTER TABLE agno_metrics REPLICA IDENTITY USING INDEX agno_metrics_uq_metrics_date_period",
        );
        database.ok(&["up"]);
        database.sql("UPDATE agno_sessions SET updated_at = updated_at; UPDATE agno_metrics SET updated_at = updated_at");
        assert_eq!(identity(&database, "agno_sessions"), "d");
        // Of a primary key that goes, and of an index that stays.
        database.sql("CREATE UNIQUE INDEX of_app ON agno_metrics (id, date); ALTER TABLE agno_metrics REPLICA IDENTITY USING INDEX of_app");
        database.ok(&["down", "2.3.0", "--yes"]);
        database.sql("UPDATE agno_sessions SET updated_at = updated_at; UPDATE agno_metrics SET updated_at = updated_at");
        assert!(identity(&database, "agno_sessions").starts_with("i "), "{}", identity(&database, "agno_sessions"));
        assert_eq!(identity(&database, "agno_metrics"), "i of_app");
    }
}

#[test]
fn names_may_be_quoted_or_taken_by_types() {
    for kind in postgres() {
        let database = kind.of("2.2.13");
        database.sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database()); END $$",
        );
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT bool_and(pg_typeof(runs) = 'jsonb'::regtype)::text FROM agno_sessions"), "true");
        database.ok(&["verify"]);
        let database = kind.of("2.9.0");
        database.sql("CREATE DOMAIN agno_runs AS text");
        for words in [&["up"][..], &["up", "--dry-run"]] {
            let why = database.refused(words, 6);
            assert!(why.contains("the runs table would be called agno_runs, and something else has that name"), "{why}");
        }
    }
}
