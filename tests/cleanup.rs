//! `cleanup`: what is proven goes, what is nowhere else stays, unless someone who was told says so.

mod support;

use agno_migrate::cli::Cli;
use agno_migrate::commands::{self, Answer};
use agno_migrate::progress::Silent;
use clap::Parser;
use std::time::Duration;
use support::{Database, Kind, assert_same, differences, kinds};

/// Brought to the newest schema.
fn newest(kind: Kind, release: &str) -> Database {
    let database = kind.of(release);
    database.ok(&["up"]);
    database
}

#[test]
fn cleanup_drops_what_is_proven_and_down_still_works() {
    for kind in kinds() {
        for release in ["2.0.11", "2.4.8", "2.9.0"] {
            let (database, kept) = (newest(kind, release), newest(kind, release));
            let before = database.dump();
            let planned = database.ok(&["cleanup", "--dry-run"]);
            assert_eq!(planned.tables.iter().map(|table| table.steps.len()).sum::<usize>(), 3, "{release}");
            assert_same(&database.dump(), &before, "a dry run");
            let report = database.ok(&["cleanup", "--yes", "--vacuum"]);
            assert_eq!(
                report.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(),
                ["agent-session", "agno_sessions", "support"]
            );
            for table in ["agno_sessions", "agent-session", "support"] {
                assert!(!database.shape(table).iter().any(|fact| fact.starts_with("column runs ")), "{table}");
            }
            assert_eq!(database.dump()["agno_runs"], before["agno_runs"]);
            assert_eq!(differences(&database.ok(&["verify"])), [""; 0]);
            assert!(database.ok(&["cleanup", "--yes"]).tables.is_empty());
            assert!(database.ok(&["up"]).tables.iter().all(|table| table.steps.is_empty()));
            // As from a database that was not cleaned up; what was encoded, and an empty list, may be written otherwise.
            for version in ["2.5.6", "2.0.0"] {
                database.ok(&["down", version, "--yes"]);
                kept.ok(&["down", version, "--yes"]);
                assert_eq!(runs_of(&database), runs_of(&kept), "{release} at {version}");
            }
            database.ok(&["up"]);
            assert_eq!(database.dump()["agno_runs"], before["agno_runs"], "{release}");
        }
    }
}

/// The lists of runs, as values.
fn runs_of(database: &Database) -> Vec<Vec<serde_json::Value>> {
    let lists = database.query("SELECT coalesce(CAST(runs AS TEXT), '[]') FROM agno_sessions ORDER BY session_id");
    let list = |row: Vec<String>| {
        let mut value: serde_json::Value = serde_json::from_str(&row[0]).expect("JSON");
        if let serde_json::Value::String(text) = &value {
            value = serde_json::from_str(text).expect("JSON in JSON");
        }
        value.as_array().cloned().unwrap_or_default()
    };
    lists.into_iter().map(list).collect()
}

#[test]
fn cleanup_refuses_what_is_nowhere_else() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        database.sql(
            "DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0;
             UPDATE agno_sessions SET runs = '[null]' WHERE session_id = 'team-0'",
        );
        let before = database.dump();
        let why = database.refused(&["cleanup", "--yes"], 6);
        assert!(why.contains("agent-1") && why.contains("team-0") && why.contains("--force"), "{why}");
        assert_same(&database.dump(), &before, "refused");
        let report = database.ok(&["cleanup", "--yes", "--force"]);
        let warnings: Vec<&String> = report.tables.iter().flat_map(|table| &table.warnings).collect();
        assert!(warnings.iter().any(|warning| warning.contains("agent-1") && warning.contains("team-0")), "{warnings:?}");
        assert!(!database.shape("agno_sessions").iter().any(|fact| fact.starts_with("column runs ")));
    }
}

#[test]
fn cleanup_leaves_older_schemas_alone_and_says_what_is_in_its_way() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        let before = database.dump();
        assert!(database.ok(&["cleanup", "--yes"]).tables.is_empty());
        assert_same(&database.dump(), &before, "2.5.6 needs its column");
        database.ok(&["up"]);
        database.sql("CREATE VIEW mine AS SELECT session_id, runs FROM agno_sessions");
        let before = database.dump();
        let why = database.refused(&["cleanup", "--yes"], 6);
        assert!(why.contains("mine"), "{why}");
        assert_same(&database.dump(), &before, "a view");
        database.sql("DROP VIEW mine");
        database.sql("DROP TABLE agno_runs");
        let why = database.refused(&["cleanup", "--yes"], 6);
        assert!(why.contains("agno_runs is not there"), "{why}");
    }
}

#[test]
fn what_would_be_lost_needs_someone_who_says_so() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        database.sql("DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0");
        let before = database.dump();
        let cleanup = |arguments: &[&str], answer: Answer| {
            let all = ["agno-migrate", "cleanup", "--db", &database.url].into_iter().chain(arguments.iter().copied());
            let cli = Cli::try_parse_from(all).expect("arguments");
            let mut asked = String::new();
            let report = commands::run(&cli, &mut Silent, &mut |question| {
                asked.push_str(question);
                Ok(answer)
            });
            (report.exit_code, report.failure.unwrap_or_default(), asked)
        };
        let (code, why, asked) = cleanup(&["--force"], Answer::Nobody);
        assert!(code == 6 && why.contains("--yes") && why.contains("agent-1"), "{code} {why}");
        assert!(asked.contains("1 run that is not in the runs table") && asked.contains("Drop the old column"), "{asked}");
        assert_eq!(cleanup(&["--force"], Answer::No).0, 6);
        assert_same(&database.dump(), &before, "not confirmed");
        assert_eq!(cleanup(&["--force"], Answer::Yes).0, 0);
        // What loses nothing goes on in a deploy job.
        let proven = newest(kind, "2.9.0");
        let cli = Cli::try_parse_from(["agno-migrate", "cleanup", "--db", &proven.url]).expect("arguments");
        assert_eq!(commands::run(&cli, &mut Silent, &mut |_| Ok(Answer::Nobody)).exit_code, 0);
        assert!(!proven.shape("agno_sessions").iter().any(|fact| fact.starts_with("column runs ")));
    }
}

/// The role, or the database, may be set to read one state for a whole transaction: what an app writes before the table is held
/// has to be seen all the same, and what nobody was asked about does not go.
#[test]
fn a_run_that_comes_at_the_last_moment_is_seen() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        for words in [["cleanup", "--yes"], ["cleanup", "--force"]] {
            let database = newest(kind, "2.9.0");
            let name = database.url.rsplit_once('/').expect("a URL").1.to_owned();
            database.sql(&format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'"));
            let mut app = support::postgres::connect(&database.url);
            let mut onlooker = support::postgres::connect(&database.url);
            app.batch_execute(
                "BEGIN; UPDATE agno_sessions SET runs = '[{\"run_id\": \"late\"}]' WHERE session_id = 'agent-1'",
            )
            .expect("writes");
            let report = std::thread::scope(|scope| {
                let cleaning = scope.spawn(|| {
                    let words = words.into_iter().chain(["--db", &database.url, "--lock-wait", "60"]);
                    let cli = Cli::try_parse_from(["agno-migrate"].into_iter().chain(words)).expect("arguments");
                    commands::run(&cli, &mut Silent, &mut |_| Ok(Answer::Nobody))
                });
                // It has planned, and waits for the app.
                let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'agno_sessions'::regclass";
                while onlooker.query_one(waits, &[]).expect("looks").get::<_, i64>(0) == 0 {
                    assert!(!cleaning.is_finished(), "it did not wait");
                    std::thread::sleep(Duration::from_millis(5));
                }
                app.batch_execute("COMMIT").expect("commits");
                cleaning.join().expect("ends")
            });
            let why = report.failure.unwrap_or_default();
            assert!(report.exit_code == 6 && why.contains("agent-1"), "{} {why}", report.exit_code);
            assert!(database.shape("agno_sessions").iter().any(|fact| fact.starts_with("column runs ")));
        }
    }
}

/// What JSONB cannot hold keeps the server from comparing at all: nobody can say what a drop would lose.
#[test]
fn what_could_not_be_compared_is_not_dropped() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = newest(kind, "2.9.0");
        database.sql(
            "ALTER TABLE agno_sessions ALTER COLUMN runs TYPE json;
             UPDATE agno_sessions SET runs = '[{\"run_id\": \"a\", \"content\": \"\\u0000\"}]' WHERE session_id = 'agent-1';
             UPDATE agno_sessions SET runs = '[{\"run_id\": \"b\", \"content\": \"\\ud83d\\ude00\"}]' WHERE session_id = 'team-0'",
        );
        let report = database.run(&["cleanup", "--force", "--yes"]);
        let why = report.failure.unwrap_or_default();
        assert!(report.exit_code == 6 && why.contains("no run of it could be compared"), "{why}");
        assert!(database.shape("agno_sessions").iter().any(|fact| fact.starts_with("column runs ")));
        let report = database.run(&["verify"]);
        let named: Vec<Option<&str>> = report
            .tables
            .iter()
            .filter(|table| table.name == "agno_sessions")
            .flat_map(|table| &table.differences.named)
            .filter(|difference| difference.what.contains("JSONB cannot"))
            .map(|difference| difference.id.as_deref())
            .collect();
        assert_eq!((report.exit_code, named), (4, vec![Some("agent-1")]), "a pair of surrogates is no fault");
    }
}

#[test]
fn giving_space_back_waits_for_readers_and_names_them() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = newest(kind, "2.9.0");
        database.ok(&["cleanup", "--yes"]);
        let mut reader = support::postgres::connect(&database.url);
        reader
            .batch_execute("SET application_name = 'the reader'; BEGIN; SELECT count(*) FROM agno_sessions")
            .expect("reads");
        let report = database.run(&["cleanup", "--yes", "--vacuum", "--lock-wait", "1", "--lock-timeout", "0.2"]);
        let why = report.failure.unwrap_or_default();
        assert!(report.exit_code == 5 && why.contains("the reader"), "{} {why}", report.exit_code);
        let waits = ["cleanup", "--yes", "--vacuum", "--lock-wait", "30", "--lock-timeout", "0.2"];
        std::thread::scope(|scope| {
            let cleaning = scope.spawn(|| database.run(&waits));
            std::thread::sleep(Duration::from_secs(1));
            reader.batch_execute("COMMIT").expect("ends");
            let report = cleaning.join().expect("ends");
            assert_eq!(report.exit_code, 0, "{:?}", report.failure);
        });
    }
}

/// Beyond what is named too: every session that would lose something counts, once.
#[test]
fn what_would_be_lost_is_counted_to_the_end_and_told_beforehand() {
    for kind in kinds() {
        let database = newest(kind, "2.9.0");
        let cast = if kind == Kind::Sqlite { "" } else { "::jsonb" };
        let numbers = match kind {
            Kind::Sqlite => {
                "(WITH RECURSIVE n(n) AS (SELECT 10000 UNION ALL SELECT n + 1 FROM n WHERE n < 12999) SELECT n FROM n) n"
            }
            Kind::Postgres(_) => "generate_series(10000, 12999) n",
        };
        database.sql(&format!(
            "INSERT INTO agno_sessions (session_id, session_type, runs, created_at)
             SELECT 's' || n, 'agent', ('[{{\"x\": 1}}, {{\"run_id\": \"' || n || '\"}}]'){cast}, 1 FROM {numbers}"
        ));
        let before = database.dump();
        let why = database.refused(&["cleanup", "--yes"], 6);
        let told = "of 3,000 sessions: s10000, s10001,";
        assert!(why.contains("6,000 runs") && why.contains(told) && why.contains("and 2980 more"), "{why}");
        let report = database.ok(&["cleanup", "--force", "--dry-run"]);
        let warnings: Vec<&String> = report.tables.iter().flat_map(|table| &table.warnings).collect();
        assert!(warnings.iter().any(|one| one.contains(told) && one.contains("would be lost")), "{warnings:?}");
        assert_same(&database.dump(), &before, "only told");
        let report = database.ok(&["cleanup", "--force", "--yes"]);
        let differences = report.tables.iter().map(|table| &table.differences).find(|one| !one.is_empty()).expect("some");
        assert_eq!((differences.count, differences.ids, differences.named.len()), (6000, 3000, 1000));
        let warnings: Vec<&String> = report.tables.iter().flat_map(|table| &table.warnings).collect();
        assert!(warnings.iter().any(|one| one.contains(told) && one.contains("went with the column")), "{warnings:?}");
    }
}

/// A table that cannot be looked at proves nothing.
#[test]
fn cleanup_waits_for_what_verify_finds_unusable() {
    let damages = [
        (
            "ALTER TABLE agno_eval_runs DROP COLUMN eval_data",
            "agno_eval_runs: it is no evals table any more: it lacks eval_data",
        ),
        ("ALTER TABLE agno_runs DROP COLUMN parent_run_id", "agno_sessions: its runs table agno_runs lacks parent_run_id"),
    ];
    for kind in kinds() {
        for (damage, said) in damages {
            let database = newest(kind, "2.9.0");
            database.sql(damage);
            for arguments in [&["cleanup", "--yes"][..], &["cleanup", "--yes", "--force"]] {
                let why = database.refused(arguments, 6);
                assert!(why.contains(said), "{why}");
            }
        }
        if kind != Kind::Sqlite {
            let database = newest(kind, "2.9.0");
            database.sql("ALTER TABLE agno_runs DROP CONSTRAINT agno_runs_pkey CASCADE");
            let why = database.refused(&["cleanup", "--yes", "--force"], 6);
            assert!(why.contains("agno_runs has lost its key run_id"), "{why}");
        }
    }
}

/// Room is looked for before the first change, not after the column is gone.
#[test]
fn giving_space_back_is_refused_before_anything_goes() {
    let database = newest(Kind::Sqlite, "2.9.0");
    let before = database.dump();
    let cleanup = ["cleanup", "--yes", "--vacuum", "--db", database.url.as_str()];
    // No byte is ever free there.
    let output = support::binary().args(cleanup).env("SQLITE_TMPDIR", "/proc").output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("on the disk of /proc") && stderr.contains(" and 0 MB are free"), "{stderr}");
    assert_same(&database.dump(), &before, "refused");
    assert!(database.shape("agno_sessions").iter().any(|fact| fact.starts_with("column runs ")));
    let output = support::binary().args(cleanup).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
