//! `verify` on every kind of database, and every damage that it has to find.

mod support;

use support::{Database, Kind, RELEASES, assert_same, differences, kinds};

/// Brought to the newest schema, with every entity memory on a key of its own.
fn newest(kind: Kind, release: &str) -> Database {
    let database = kind.of(release);
    database.ok(&["up"]);
    database
}

#[test]
fn what_up_made_is_proven_at_every_version() {
    for kind in kinds() {
        for (release, _) in RELEASES {
            let database = newest(kind, release);
            for version in ["3.0.0", "2.5.6", "2.0.0", "3.0.0"] {
                let way = if version == "3.0.0" { vec!["up"] } else { vec!["down", version, "--yes"] };
                database.ok(&way);
                let before = database.dump();
                let report = database.ok(&["verify"]);
                assert_eq!(differences(&report), [""; 0], "{release} at {version}");
                assert_same(&database.dump(), &before, "verify changes nothing");
            }
            let compared: u64 = database.ok(&["verify"]).tables.iter().filter_map(|table| table.compared).sum();
            if release != "3.1.10" {
                let rows: u64 = database.one("SELECT count(*) FROM agno_runs").parse().expect("a number");
                assert!(compared >= rows && rows > 0, "{release}: {compared} of {rows}");
            }
        }
    }
}

#[test]
fn a_stamp_too_high_is_found_on_every_table() {
    for kind in kinds() {
        let database = kind.of("2.0.11");
        database.ok(&["up", "--to", "2.5.6"]);
        database.sql("UPDATE agno_schema_versions SET version = '3.0.0'");
        let report = database.run(&["verify"]);
        assert_eq!(report.exit_code, 4);
        for table in ["agno_sessions", "agno_metrics", "agno_eval_runs", "agno_knowledge"] {
            let differs = report.tables.iter().any(|one| one.name == table && !one.differences.is_empty());
            assert!(differs, "{table}");
        }
        // The command it names mends it.
        database.ok(&["up"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
    }
}

#[test]
fn what_the_app_did_since_is_no_difference() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        // A run that was gone on with, one that is new, one that was deleted everywhere.
        let json = if kind == Kind::Sqlite { "" } else { "::jsonb" };
        database.sql(
            &
            "UPDATE agno_runs SET run_data = replace('{\"run_id\": \"X\", \"status\": \"COMPLETED\"}', 'X', run_id){json}, updated_at = created_at + 60
               WHERE session_id = 'agent-1' AND run_index = 0;
             UPDATE agno_sessions SET user_id = 'later' WHERE session_id = 'agent-1';
             INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at, updated_at)
               VALUES ('later', 'agent-1', 'agent', 99, '{\"run_id\": \"later\"}', 1800000000, 1800000000);
             DELETE FROM agno_runs WHERE session_id = 'team-0';
             DELETE FROM agno_sessions WHERE session_id = 'team-0'"
                .replace("{json}", json),
        );
        let report = database.ok(&["verify"]);
        assert_eq!(differences(&report), [""; 0]);
        assert_eq!(report.tables.iter().map(|table| table.changed).sum::<u64>(), 1);
        // What is no run any more was not written by the app, whatever its times say.
        for times in ["updated_at = created_at + 60", "updated_at = NULL"] {
            database.sql(&format!(
                "UPDATE agno_runs SET run_data = '{{}}', {times} WHERE session_id = 'agent-1' AND run_index = 1"
            ));
            let report = database.run(&["verify"]);
            assert!(differences(&report).iter().any(|one| one.contains("another content")), "{:?}", differences(&report));
            database.refused(&["cleanup", "--yes"], 6);
        }
    }
}

#[test]
fn up_force_mends_a_missing_run() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let before = database.dump();
        database.sql("DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0");
        assert_eq!(database.run(&["verify"]).exit_code, 4);
        database.ok(&["up", "--force"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        assert_same(&database.dump(), &before, "mended");
    }
}

#[test]
fn values_that_went_down_wait_with_a_purpose() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        database.ok(&["up"]);
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        database.sql("DELETE FROM agno_eval_runs");
        let report = database.ok(&["verify"]);
        assert_eq!(differences(&report), [""; 0]);
        let notes: Vec<&String> = report.tables.iter().flat_map(|table| &table.notes).collect();
        assert!(
            notes.iter().any(|note| note.contains("agno_eval_runs belong to rows that were deleted since")),
            "{notes:?}"
        );
        database.ok(&["up"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
    }
}

/// An app of Agno 3 makes its runs table at first use: what waits for the runs of the lists has its purpose all the same.
#[test]
fn values_of_runs_wait_for_up_beside_an_empty_table() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let runs = database.dump()["agno_runs"].clone();
        database.sql("UPDATE agno_runs SET updated_at = 1900000000 WHERE session_id = 'agent-1' AND run_index = 0");
        let changed = database.dump()["agno_runs"].clone();
        assert_ne!(runs, changed);
        let other = newest(kind, "2.9.0");
        let ddl = if kind == Kind::Sqlite {
            other.one("SELECT sql FROM sqlite_schema WHERE name = 'agno_runs'")
        } else {
            String::new()
        };
        database.ok(&["down", "2.5.6", "--yes"]);
        if kind == Kind::Sqlite {
            database.sql(&ddl);
        } else {
            database.sql(
                "CREATE TABLE ai.agno_runs (run_id VARCHAR PRIMARY KEY, session_id VARCHAR NOT NULL REFERENCES agno_sessions ON DELETE CASCADE,
                   run_type VARCHAR NOT NULL, agent_id VARCHAR, team_id VARCHAR, workflow_id VARCHAR, user_id VARCHAR,
                   parent_run_id VARCHAR, status VARCHAR, run_index BIGINT, run_data JSONB NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT)",
            );
        }
        let found = differences(&database.run(&["verify"]));
        assert!(!found.iter().any(|one| one.contains("the runs table has its rows")), "{found:?}");
        database.ok(&["up"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        assert_eq!(database.dump()["agno_runs"], changed);
    }
}

#[test]
fn a_name_that_is_wrong_proves_nothing() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let why = database.refused(&["verify", "--table", "sessions=agno_sesions"], 6);
        assert!(why.contains("agno_sesions"), "{why}");
    }
}

/// A column that someone made JSON again may hold what the server cannot compare.
#[test]
fn what_the_server_cannot_compare_is_named() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = newest(kind, "2.9.0");
        database.sql(
            "ALTER TABLE agno_sessions ALTER COLUMN runs TYPE JSON;
             UPDATE agno_sessions SET runs = '[{\"run_id\": \"a\", \"content\": \"\\u0000\"}]' WHERE session_id = 'agent-1'",
        );
        let report = database.run(&["verify"]);
        assert_eq!(report.exit_code, 4, "{:?}", report.failure);
        let found = differences(&report);
        assert!(
            found.iter().any(|one| one.starts_with("agno_sessions: agent-1: its runs hold what JSONB cannot")),
            "{found:?}"
        );
        let report = database.run(&["cleanup", "--yes"]);
        let why = report.failure.unwrap_or_default();
        assert!(report.exit_code == 6 && why.contains("agent-1"), "{why}");
        database.ok(&["up"]);
        let found = differences(&database.run(&["verify"]));
        assert_eq!(found, ["agno_sessions: agent-1 runs[0]: run a is only in the old column"]);
    }
}

/// A run may say what kind it is by a name alone, and an empty id says nothing.
#[test]
fn the_kind_of_a_run_is_compared_when_the_run_says_it() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.sql(
            "INSERT INTO agno_sessions (session_id, session_type, runs, created_at) VALUES
               ('kinds', 'team', '[{\"run_id\": \"named\", \"agent_name\": \"x\"}, {\"run_id\": \"empty\", \"agent_id\": \"\"}]', 5)",
        );
        database.ok(&["up"]);
        database.sql("UPDATE agno_sessions SET session_type = 'workflow' WHERE session_id = 'kinds'");
        database.ok(&["verify"]);
        database.sql("UPDATE agno_runs SET run_type = 'workflow' WHERE run_id = 'named'");
        let report = database.run(&["verify"]);
        assert_eq!(report.exit_code, 4, "{:?}", report.failure);
        assert!(differences(&report).concat().contains("run named has another run_type"), "{:?}", differences(&report));
    }
}

/// Below 3.0.0 the column is where the runs are.
#[test]
fn a_column_of_runs_that_is_lost_is_missed() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.ok(&["verify"]);
        database.sql("ALTER TABLE agno_sessions DROP COLUMN runs");
        let said = "lacks column runs, where its version keeps the runs";
        let report = database.run(&["verify"]);
        assert_eq!(report.exit_code, 4, "{:?}", report.failure);
        assert_eq!(differences(&report), [format!("agno_sessions: : it {said}")]);
        let drift = database.run(&["status", "--check"]);
        assert_eq!(drift.exit_code, 4);
        assert!(drift.tables.iter().any(|table| table.drift.iter().any(|one| one == said)));
        let mend = &report.tables.iter().find_map(|table| table.differences.named.first()).expect("one").mend;
        assert!(mend.starts_with("agno-migrate down v2.5.6 makes the column again"), "{mend}");
        database.ok(&["down", "v2.5.6", "--yes"]);
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        // One that is only stamped low has its runs where Agno 3 reads them.
        let low = newest(kind, "2.9.0");
        low.ok(&["cleanup", "--yes"]);
        low.sql("UPDATE agno_schema_versions SET version = '2.5.6' WHERE table_name = 'agno_sessions'");
        assert_eq!(differences(&low.ok(&["verify"])), [""; 0]);
    }
}

/// Agno stamps tables before it makes them: that one is gone cannot be proven, only said.
#[test]
fn stamped_tables_that_are_not_there_are_named() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        assert!(database.ok(&["verify"]).notes.is_empty());
        database.sql("DROP TABLE agno_eval_runs");
        let notes = database.ok(&["verify"]).notes;
        assert!(notes.iter().any(|note| note.starts_with("stamped and not there: agno_eval_runs;")), "{notes:?}");
    }
}

/// What Agno 3 does to the old column and to times: a run may say that it was made in milliseconds, or later than any clock.
#[test]
fn lists_and_times_that_the_app_wrote_are_no_difference() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        let json = if kind == Kind::Sqlite { "" } else { "::jsonb" };
        database.sql(
            "INSERT INTO agno_sessions (session_id, session_type, runs, created_at) VALUES ('later', 'agent',
               '[{\"run_id\": \"ms\", \"created_at\": 1795442285000}, {\"run_id\": \"end\", \"é\": 1.0, \"n\": null}]', 5)",
        );
        database.ok(&["up"]);
        database.sql(
            &"UPDATE agno_runs SET run_data = '{\"run_id\": \"ms\", \"content\": \"more\"}'{json}, updated_at = 1795442285
              WHERE run_id = 'ms'"
                .replace("{json}", json),
        );
        // `json.dumps` of what is left, which SQLAlchemy encodes once more.
        let list = match kind {
            Kind::Sqlite => r#""[{\"run_id\": \"end\", \"\\u00e9\": 1.0, \"n\": null}]""#,
            Kind::Postgres(_) => r#"[{"run_id": "end", "\u00e9": 1.0, "n": null}]"#,
        };
        let list = list.replace('\'', "''");
        let before = database.ok(&["verify"]);
        assert_eq!(differences(&before), [""; 0]);
        assert_eq!(before.tables.iter().map(|table| table.changed).sum::<u64>(), 1);
        database.sql(&format!(
            "DELETE FROM agno_runs WHERE run_id = 'ms'; UPDATE agno_sessions SET runs = '{list}' WHERE session_id = 'later'"
        ));
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        database.ok(&["cleanup", "--yes"]);
    }
}

/// Runs may belong to another than their session: those that say so themselves, and those that the archive brought back.
#[test]
fn owners_of_their_own_are_no_difference() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let json = if kind == Kind::Sqlite { "" } else { "::jsonb" };
        database.sql(
            &"INSERT INTO agno_sessions (session_id, session_type, created_at) VALUES ('shared', 'agent', 5);
              INSERT INTO agno_runs (run_id, session_id, run_type, user_id, run_index, run_data, created_at, updated_at)
                VALUES ('own', 'shared', 'agent', 'bob', 0, '{\"run_id\": \"own\", \"user_id\": \"bob\", \"created_at\": 9}'{json}, 9, 9)"
                .replace("{json}", json),
        );
        database.ok(&["down", "2.5.6", "--yes"]);
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT user_id FROM agno_runs WHERE run_id = 'own'"), "bob");
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
        // A session of nobody that became somebody's.
        database.sql("UPDATE agno_sessions SET user_id = 'ann' WHERE session_id = 'shared'");
        assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
    }
}

/// Agno 3.1.10 works on a migrated database: runs are added, changed and deleted, a session is deleted.
#[test]
fn what_agno_3_does_is_no_difference() {
    let python = std::env::var_os("AGNO_VENVS").map(|venvs| std::path::Path::new(&venvs).join("3.1.10/bin/python"));
    let Some(python) = python.filter(|python| python.exists()) else {
        assert!(std::env::var_os("AGNO_MIGRATE_TEST_ALL").is_none(), "no environment of Agno 3.1.10");
        println!("skipped: no environment of Agno 3.1.10; see tests/agno/setup");
        return;
    };
    for kind in kinds().into_iter().take(2) {
        for release in ["2.0.11", "2.4.8", "2.9.0"] {
            let database = newest(kind, release);
            let output = std::process::Command::new(&python)
                .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agno/work.py"))
                .arg(database.url.replace("postgresql://", "postgresql+psycopg://"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .output()
                .expect("Python runs");
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{release}: {}", String::from_utf8_lossy(&output.stderr));
            let deleted = stdout.lines().last().unwrap_or_default();
            let report = database.run(&["verify"]);
            let mut expected = Vec::new();
            if kind != Kind::Sqlite {
                // There Agno looks for the old column outside of its schema, and leaves the run in it.
                expected.push(format!("agno_sessions: agent-0 runs[0]: run {deleted} is only in the old column"));
            }
            assert_eq!(differences(&report), expected, "{release}");
            let changed = report.tables.iter().map(|table| table.changed).sum::<u64>();
            assert!(changed > 0, "{release}: {stdout}");
            let cleanup: &[&str] =
                if expected.is_empty() { &["cleanup", "--yes"] } else { &["cleanup", "--yes", "--force"] };
            let runs = database.dump()["agno_runs"].len();
            database.ok(cleanup);
            assert_eq!(database.dump()["agno_runs"].len(), runs);
            assert_eq!(differences(&database.ok(&["verify"])), [""; 0], "{release}");
        }
    }
}

/// Agno stamps every table it makes, also those of types that no version changes: some come near to ours.
#[test]
fn other_tables_of_agno_are_taken_for_none_of_ours() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let namespace = if kind == Kind::Sqlite { "" } else { "ai." };
        database.sql(&format!(
            "CREATE TABLE {namespace}agno_products (component_id VARCHAR PRIMARY KEY, name VARCHAR, description VARCHAR,
               metadata VARCHAR, created_at BIGINT, updated_at BIGINT);
             INSERT INTO agno_schema_versions (table_name, version, created_at) VALUES ('agno_products', '3.0.0', 'x')"
        ));
        let report = database.ok(&["verify"]);
        assert!(differences(&report).is_empty() && report.notes.is_empty(), "{:?}", report.notes);
    }
}
