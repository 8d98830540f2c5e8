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

/// A damage, and what has to be said of it.
struct Damage {
    what: &'static str,
    sql: &'static str,
    said: &'static str,
}

const DAMAGES: [Damage; 21] = [
    Damage {
        what: "a run is missing",
        sql: "DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[0]: run {first} is only in the old column",
    },
    Damage {
        what: "a run was changed",
        sql: "UPDATE agno_runs SET run_data = '{\"run_id\": \"x\"}' WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[0]: run {first} has another content in the runs table",
    },
    Damage {
        what: "a run has lost its parent's place",
        sql: "UPDATE agno_runs SET run_type = 'team', parent_run_id = 'p' WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[0]: run {first} has another run_type, parent_run_id in the runs table",
    },
    Damage {
        what: "a run has another status and agent",
        sql: "UPDATE agno_runs SET status = 'PAUSED', agent_id = 'other' WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[0]: run {first} has another agent_id, status in the runs table",
    },
    Damage {
        what: "runs are out of order",
        sql: "UPDATE agno_runs SET run_index = 9 WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[1]: run {second} comes before the run that it followed",
    },
    Damage {
        what: "a run is in another session",
        sql: "UPDATE agno_runs SET session_id = 'agent-0' WHERE session_id = 'agent-1' AND run_index = 0",
        said: "agno_sessions: agent-1 runs[0]: the row of run {first} belongs to session agent-0: this one is only in the old column",
    },
    Damage {
        what: "a run is twice in the old column",
        sql: "UPDATE agno_sessions SET runs = '[{\"run_id\": \"a\"}, {\"run_id\": \"a\"}]' WHERE session_id = 'agent-1'",
        said: "agno_sessions: agent-1 runs[1]: its id a is that of a run before it: it is only in the old column",
    },
    Damage {
        what: "a run without an id",
        sql: "UPDATE agno_sessions SET runs = '[{\"id\": \"a\"}]' WHERE session_id = 'agent-1'",
        said: "agno_sessions: agent-1 runs[0]: has no run_id: it is only in the old column",
    },
    Damage {
        what: "an element that is no run",
        sql: "UPDATE agno_sessions SET runs = '[null]' WHERE session_id = 'agent-1'",
        said: "agno_sessions: agent-1 runs[0]: is no object: it is only in the old column",
    },
    Damage {
        what: "the old column is no list",
        sql: "UPDATE agno_sessions SET runs = '{\"run_id\": \"a\"}' WHERE session_id = 'agent-1'",
        said: "agno_sessions: agent-1: its runs are no list: nothing of it is in the runs table",
    },
    Damage {
        what: "an app of Agno 2 went on with a session",
        sql: "UPDATE agno_sessions SET runs = '[{\"run_id\": \"new\"}]' WHERE session_id = 'agent-1'",
        said: "agno_sessions: agent-1 runs[0]: run new is only in the old column",
    },
    Damage {
        what: "a run without a session",
        sql: "{no keys} INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at, updated_at) \
              VALUES ('lost', 'gone', 'agent', 0, '{}', 1, 1)",
        said: "agno_sessions: lost: its row in agno_runs has no session",
    },
    Damage {
        what: "an index is missing",
        sql: "DROP INDEX {schema}idx_agno_eval_runs_user_id",
        said: "agno_eval_runs: : it lacks index on (user_id)",
    },
    Damage {
        what: "an index of the runs table is missing",
        sql: "DROP INDEX {schema}idx_agno_runs_session_id",
        said: "agno_sessions: : it lacks index on (session_id) of agno_runs",
    },
    Damage {
        what: "a unique key is missing",
        sql: "DROP INDEX {schema}agno_schedules_uq_user_name",
        said: "agno_schedules: : it lacks unique index on (user_id, name) where user_id is not NULL",
    },
    Damage {
        what: "a column is missing",
        sql: "ALTER TABLE agno_schedules DROP COLUMN disabled_reason",
        said: "agno_schedules: : it lacks column disabled_reason VARCHAR",
    },
    Damage {
        what: "the runs table is missing",
        sql: "DROP TABLE agno_runs",
        said: "agno_sessions: : it lacks a runs table: key run_id, 9 indexes, rows go with their session",
    },
    Damage {
        what: "a stamp that is not known",
        sql: "UPDATE agno_schema_versions SET version = '9.9.9' WHERE table_name = 'agno_evals' OR table_name = 'agno_eval_runs'",
        said: "agno_eval_runs: : it is stamped 9.9.9, which this agno-migrate does not know",
    },
    Damage {
        what: "an entity memory on a key that users share",
        sql: "INSERT INTO agno_learnings (learning_id, learning_type, namespace, user_id, entity_id, entity_type, content, created_at) \
              VALUES ('entity_user_person_zoe', 'entity_memory', 'user', 'u', 'zoe', 'person', '{\"facts\": []}', 1)",
        said: "agno_learnings: entity_user_person_zoe: its key is shared across users",
    },
    Damage {
        what: "archived values whose column is there",
        sql: "CREATE TABLE {schema}agno_migrate_archive (table_type VARCHAR NOT NULL, table_name VARCHAR NOT NULL, \
                row_key VARCHAR NOT NULL, column_name VARCHAR NOT NULL, value {any}, PRIMARY KEY (table_name, row_key, column_name)); \
              INSERT INTO agno_migrate_archive VALUES ('evals', 'agno_eval_runs', 'x', 'user_id', {value})",
        said: "agno_migrate_archive: agno_eval_runs user_id: 1 value wait in the archive, and the table has the column again",
    },
    Damage {
        what: "archived values of a table that is not there",
        sql: "CREATE TABLE {schema}agno_migrate_archive (table_type VARCHAR NOT NULL, table_name VARCHAR NOT NULL, \
                row_key VARCHAR NOT NULL, column_name VARCHAR NOT NULL, value {any}, PRIMARY KEY (table_name, row_key, column_name)); \
              INSERT INTO agno_migrate_archive VALUES ('evals', 'renamed', 'x', 'user_id', {value})",
        said: "agno_migrate_archive: renamed user_id: 1 value of a table that is not there",
    },
];

#[test]
fn every_damage_is_found_and_named() {
    // One server: a migration for each damage, and the others are compared with in the tests below.
    for kind in kinds().into_iter().take(2) {
        for damage in &DAMAGES {
            let database = newest(kind, "2.9.0");
            let run = |index: u8| {
                database.one(&format!("SELECT run_id FROM agno_runs WHERE session_id = 'agent-1' AND run_index = {index}"))
            };
            let said = damage.said.replace("{first}", &run(0)).replace("{second}", &run(1));
            let (schema, any, value) = if kind == Kind::Sqlite { ("", "BLOB", "'u'") } else { ("ai.", "TEXT", "'u'") };
            let no_keys = match kind {
                Kind::Sqlite => "PRAGMA foreign_keys = OFF;",
                Kind::Postgres(_) => "SET session_replication_role = replica;",
            };
            let sql = damage.sql.replace("{schema}", schema).replace("{any}", any).replace("{value}", value);
            database.sql(&sql.replace("{no keys}", no_keys));
            let before = database.dump();
            let report = database.run(&["verify"]);
            assert_eq!(report.exit_code, 4, "{}: {:?}", damage.what, report.failure);
            assert!(differences(&report).contains(&said), "{}: {:#?} lacks {said}", damage.what, differences(&report));
            assert_same(&database.dump(), &before, damage.what);
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
