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
