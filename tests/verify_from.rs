//! `verify --from`: what was converted from v1, held against what is there.

mod support;

use std::path::Path;
use support::{Database, Kind, assert_same, differences, kinds};

const RELEASES: [&str; 6] = ["agno-1.0.0", "agno-1.1.17", "agno-1.2.16", "agno-1.5.10", "agno-1.8.4", "phidata-2.7.10"];

/// A copy of what a release wrote.
fn source(release: &str) -> Database {
    let database = Database::empty();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/sqlite").join(format!("{release}.db"));
    std::fs::copy(fixture, &database.path).expect("the fixture");
    database
}

fn empty(kind: Kind) -> Database {
    match kind {
        Kind::Sqlite => Database::empty(),
        Kind::Postgres(server) => support::postgres::empty(server),
    }
}

#[test]
fn what_was_converted_is_proven_and_stays_so_through_every_schema() {
    for kind in kinds() {
        for release in RELEASES {
            let v1 = source(release);
            // The oldest and the newest say enough, and on servers two releases do.
            if kind != Kind::Sqlite && !["agno-1.1.17", "agno-1.8.4"].contains(&release) {
                continue;
            }
            for schema in ["2.0.0", "3.0.0"] {
                let what = format!("{release} at {schema} on {kind:?}");
                let target = empty(kind);
                target.ok(&["v1-to-v2", "--from", &v1.url, "--to", schema]);
                let verify = ["verify", "--from", v1.url.as_str()];
                let ways: [&[&str]; 3] = [&["current"], &["up"], &["down", "2.0.0", "--yes"]];
                for way in ways {
                    target.ok(way);
                    let before = target.dump();
                    let report = target.ok(&verify);
                    assert_eq!(differences(&report), [""; 0], "{what} after {way:?}");
                    let account = |account: &agno_migrate::v1::account::Account| {
                        (account.read, account.already_there + account.merged)
                    };
                    for (read, proven) in report.converted.iter().map(account) {
                        assert_eq!(read, proven, "{what}: {:?}", report.converted);
                    }
                    assert!(report.converted.iter().map(|account| account.runs).sum::<u64>() > 5, "{what}");
                    assert_same(&target.dump(), &before, &what);
                }
            }
        }
    }
}

#[test]
fn every_damage_is_found_and_named() {
    let damages = [
        (
            "DELETE FROM agno_runs WHERE session_id = 'plain-0'; DELETE FROM agno_sessions WHERE session_id = 'plain-0'",
            "agent_sessions: plain-0: its session is missing",
        ),
        (
            "DELETE FROM agno_runs WHERE session_id = 'plain-0' AND run_index = 1",
            "agent_sessions: plain-0 runs[1]: run {second} is missing",
        ),
        (
            "UPDATE agno_runs SET run_data = '{\"run_id\": \"other\"}' WHERE session_id = 'plain-0' AND run_index = 1",
            "agent_sessions: plain-0 runs[1]: run {second} has another content",
        ),
        (
            "UPDATE agno_runs SET run_index = 99 WHERE session_id = 'plain-0' AND run_index = 0",
            "agent_sessions: plain-0 runs[0]: run {first} comes after one that it came before",
        ),
        (
            "UPDATE agno_sessions SET session_data = '{\"session_state\": {}}' WHERE session_id = 'plain-0'",
            "agent_sessions: plain-0: its session has another session_data",
        ),
        (
            "UPDATE agno_runs SET status = 'PAUSED', parent_run_id = 'p' WHERE session_id = 'plain-0' AND run_index = 1",
            "agent_sessions: plain-0 runs[1]: run {second} has another parent_run_id, status",
        ),
        ("DROP TABLE agno_memories", "user_memories: {memory}: its memory is missing: there is no table of memories"),
        (
            "UPDATE agno_sessions SET user_id = 'mallory' WHERE session_id = 'plain-0'",
            "agent_sessions: plain-0: its session has another user_id",
        ),
        ("DELETE FROM agno_memories WHERE memory_id = '{memory}'", "user_memories: {memory}: its memory is missing"),
        (
            "UPDATE agno_memories SET memory = '\"other\"', topics = '[\"x\"]' WHERE memory_id = '{memory}'",
            "user_memories: {memory}: its memory has another memory, topics",
        ),
        (
            "UPDATE agno_memories SET user_id = 'mallory' WHERE memory_id = '{memory}'",
            "user_memories: {memory}: its memory has another user_id",
        ),
        (
            "UPDATE agno_memories SET created_at = 3, agent_id = 'a', team_id = 't' WHERE memory_id = '{memory}'",
            "user_memories: {memory}: its memory has another agent_id, team_id, created_at",
        ),
        (
            "UPDATE agno_runs SET user_id = 'mallory' WHERE session_id = 'plain-0' AND run_index = 1",
            "agent_sessions: plain-0 runs[1]: run {second} has another user_id",
        ),
        (
            "UPDATE agno_runs SET created_at = 5, updated_at = 5 WHERE session_id = 'plain-0' AND run_index = 1",
            "agent_sessions: plain-0 runs[1]: run {second} has another created_at",
        ),
        (
            "UPDATE agno_sessions SET created_at = 7 WHERE session_id = 'plain-0'",
            "agent_sessions: plain-0: its session has another session_type or created_at",
        ),
        (
            "UPDATE agno_sessions SET session_type = 'workflow' WHERE session_id = 'plain-0'",
            "agent_sessions: plain-0: its session has another session_type or created_at",
        ),
        (
            "DROP TABLE agno_runs",
            "team_sessions: : agno_sessions has no table of runs that could be asked: no run was compared",
        ),
        (
            "ALTER TABLE agno_runs DROP COLUMN parent_run_id",
            "team_sessions: : agno_sessions has no table of runs that could be asked: no run was compared",
        ),
    ];
    let v1 = source("agno-1.8.4");
    let memory = v1.one("SELECT min(id) FROM user_memories");
    for kind in kinds() {
        for (sql, said) in damages {
            let target = empty(kind);
            target.ok(&["v1-to-v2", "--from", &v1.url]);
            let run = |index: u8| {
                target.one(&format!("SELECT run_id FROM agno_runs WHERE session_id = 'plain-0' AND run_index = {index}"))
            };
            let said = said.replace("{first}", &run(0)).replace("{second}", &run(1)).replace("{memory}", &memory);
            target.sql(&sql.replace("{memory}", &memory));
            let report = target.run(&["verify", "--from", &v1.url]);
            assert_eq!(report.exit_code, 4, "{sql}: {:?}", report.failure);
            assert!(differences(&report).contains(&said), "{sql}: {:#?} lacks {said}", differences(&report));
        }
    }
}

#[test]
fn what_the_app_did_since_is_counted() {
    let v1 = source("agno-1.8.4");
    for kind in kinds() {
        let target = empty(kind);
        target.ok(&["v1-to-v2", "--from", &v1.url]);
        target.sql(
            "UPDATE agno_sessions SET session_data = '{\"session_state\": {\"more\": 1}}', updated_at = 1900000000
               WHERE session_id = 'plain-0';
             INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at, updated_at)
               VALUES ('later', 'plain-0', 'agent', 99, '{\"run_id\": \"later\"}', 1900000000, 1900000000);
             UPDATE agno_memories SET memory = '\"newer\"', updated_at = 1900000000
               WHERE memory_id = (SELECT min(memory_id) FROM agno_memories)",
        );
        let report = target.ok(&["verify", "--from", &v1.url]);
        assert_eq!(differences(&report), [""; 0]);
        assert_eq!(report.converted.iter().map(|account| account.changed).sum::<u64>(), 2);
    }
}

#[test]
fn rows_that_were_rejected_are_differences() {
    let v1 = source("agno-1.8.4");
    v1.sql("UPDATE agent_sessions SET memory = '{broken' WHERE session_id = 'plain-0'");
    let target = Database::empty();
    assert_eq!(target.run(&["v1-to-v2", "--from", &v1.url]).exit_code, 1);
    let report = target.run(&["verify", "--from", &v1.url]);
    assert_eq!(report.exit_code, 4);
    let found = differences(&report);
    assert!(found.iter().any(|one| one.starts_with("agent_sessions: plain-0: cannot be converted: ")), "{found:?}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let (v1, target) = (source("agno-1.8.4"), Database::of("2.9.0"));
    let empty = Database::empty();
    std::fs::write(&empty.path, "").expect("an empty file");
    let why = empty.refused(&["verify", "--from", &v1.url], 6);
    assert!(why.contains("v1-to-v2 makes it"), "{why}");
    let why = target.refused(&["verify", "--from", &target.url], 6);
    assert!(why.contains("no table of Agno v1"), "{why}");
    let why = target.refused(&["verify", "--from", &v1.url, "--table", "v1-agents=agnet_sessions"], 6);
    assert!(why.contains("agnet_sessions"), "{why}");
    // Into a database that has sessions of its own: those are nobody's difference.
    target.ok(&["v1-to-v2", "--from", &v1.url, "--table", "sessions=agno_sessions", "--table", "memories=agno_memories"]);
    let report =
        target.ok(&["verify", "--from", &v1.url, "--table", "sessions=agno_sessions", "--table", "memories=agno_memories"]);
    assert_eq!(differences(&report), [""; 0]);
}

#[test]
fn memories_of_sessions_are_missed_with_their_table() {
    let v1 = source("agno-1.1.17");
    let target = Database::empty();
    target.ok(&["v1-to-v2", "--storage", "--from", &v1.url]);
    v1.sql("DROP TABLE agent_memory");
    let report = target.run(&["verify", "--from", &v1.url]);
    assert_eq!(report.exit_code, 4, "{:?}", report.failure);
    let found = differences(&report);
    assert!(found.iter().any(|one| one.contains("its memory is missing")), "{found:?}");
    target.ok(&["v1-to-v2", "--from", &v1.url]);
    assert_eq!(differences(&target.ok(&["verify", "--from", &v1.url])), [""; 0]);
}

/// Values that a reader of JSON easily takes for others: digits of large numbers, what Python writes for no number.
#[test]
fn values_are_compared_to_the_last_digit() {
    let v1 = source("agno-1.8.4");
    v1.sql("UPDATE agent_sessions SET session_data = '{\"session_state\": {\"n\": 12345678901234567890}}' WHERE session_id = 'plain-0'");
    for kind in kinds() {
        let target = empty(kind);
        target.ok(&["v1-to-v2", "--from", &v1.url]);
        assert_eq!(differences(&target.ok(&["verify", "--from", &v1.url])), [""; 0]);
        target.sql(
            "UPDATE agno_sessions SET session_data = '{\"session_state\": {\"n\": 12345678901234567891}}' WHERE session_id = 'plain-0'",
        );
        let report = target.run(&["verify", "--from", &v1.url]);
        assert_eq!(differences(&report), ["agent_sessions: plain-0: its session has another session_data"]);
    }
    v1.sql("UPDATE agent_sessions SET session_data = '{\"session_state\": {\"n\": NaN}}' WHERE session_id = 'plain-0'");
    let target = Database::empty();
    target.ok(&["v1-to-v2", "--from", &v1.url]);
    for way in [vec!["current"], vec!["down", "2.0.0", "--yes"], vec!["up"]] {
        target.ok(&way);
        assert_eq!(differences(&target.ok(&["verify", "--from", &v1.url])), [""; 0], "{way:?}");
    }
}

/// One that is told for missing would be written a second time.
#[test]
fn a_session_that_was_changed_is_not_missing() {
    let v1 = source("agno-1.8.4");
    for kind in kinds() {
        let target = empty(kind);
        target.ok(&["v1-to-v2", "--from", &v1.url]);
        let made = target.one("SELECT created_at FROM agno_sessions WHERE session_id = 'plain-0'");
        target.sql("UPDATE agno_sessions SET created_at = 7, session_type = 'team' WHERE session_id = 'plain-0'");
        let report = target.run(&["verify", "--from", &v1.url]);
        let said = "agent_sessions: plain-0: its session has another session_type or created_at";
        assert_eq!((report.exit_code, differences(&report)), (4, vec![said.to_owned()]));
        target.sql(&format!(
            "UPDATE agno_sessions SET created_at = {made}, session_type = 'agent' WHERE session_id = 'plain-0'"
        ));
        assert_eq!(differences(&target.ok(&["verify", "--from", &v1.url])), [""; 0]);
    }
}
