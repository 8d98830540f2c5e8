//! From the databases that real Agno 1.0 to 1.8 and phidata wrote to every schema of v2, and Agno goes on with them.

mod support;

use agno_migrate::report::Report;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::v1::{judged, venvs};
use support::{Database, Kind, SCHEMAS, assert_same, kinds};

const RELEASES: [&str; 6] = ["1.0.0", "1.1.17", "1.2.16", "1.5.10", "1.8.4", "phidata-2.7.10"];

/// The name of a fixture's file, without what it ends in.
fn stem(release: &str) -> String {
    if release.starts_with("phidata") { release.to_owned() } else { format!("agno-{release}") }
}

fn fixture(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1/sqlite").join(format!("{}.db", stem(release)))
}

/// A copy of what a release wrote: nothing of it is to change.
fn source(kind: Kind, release: &str) -> Database {
    match kind {
        Kind::Sqlite => {
            let database = Database::empty();
            std::fs::copy(fixture(release), &database.path).expect("the fixture");
            database
        }
        Kind::Postgres(server) => support::postgres::database(server, &format!("../v1/postgres/{}", stem(release))),
    }
}

fn empty(kind: Kind) -> Database {
    match kind {
        Kind::Sqlite => Database::empty(),
        Kind::Postgres(server) => support::postgres::empty(server),
    }
}

fn assert_balanced(report: &Report, what: &str) {
    assert!(!report.converted.is_empty(), "{what}: nothing was converted");
    for account in &report.converted {
        assert!(account.is_balanced(), "{what}: {account:?}");
        assert_eq!(account.rejected, 0, "{what}: {account:?}");
    }
}

fn written(report: &Report) -> u64 {
    report.converted.iter().map(|account| account.written).sum()
}

#[test]
fn every_fixture_reaches_every_schema() {
    for release in RELEASES {
        let original = source(Kind::Sqlite, release);
        let before = original.dump();
        let mut runs: BTreeMap<&str, u64> = BTreeMap::new();
        for schema in SCHEMAS {
            let what = format!("{release} to {schema}");
            let target = Database::empty();
            let told = target.ok(&["v1-to-v2", "--from", &original.url, "--to", schema, "--dry-run"]);
            assert!(!target.path.exists(), "{what}: a dry run made a file");
            let arguments = ["v1-to-v2", "--from", &original.url, "--to", schema];
            let report = target.ok(&arguments);
            assert_balanced(&report, &what);
            assert_eq!(written(&told), written(&report), "{what}: told and done");
            let told = target.ok(&["v1-to-v2", "--from", &original.url, "--to", schema, "--dry-run"]);
            assert_balanced(&told, &what);
            assert_eq!(written(&told), 0, "{what}: there already");
            runs.insert(schema, report.converted.iter().map(|account| account.runs).sum());
            assert_eq!(target.ok(&["current"]).current, Some(format!("v{schema}")), "{what}");
            assert!(target.ok(&["status"]).tables.iter().all(|table| table.drift.is_empty()), "{what}: drift");
            let done = target.dump();
            let again = target.ok(&arguments);
            assert_balanced(&again, &what);
            assert_eq!(written(&again), 0, "{what}: a second run wrote");
            assert_same(&target.dump(), &done, &what);
            // And from there as any other database, to the same as converting to the newest at once.
            target.ok(&["up"]);
            let newest = Database::empty();
            newest.ok(&["v1-to-v2", "--from", &original.url]);
            assert_eq!(
                target.query("SELECT run_id, session_id, run_index, run_data FROM agno_runs ORDER BY 1"),
                newest.query("SELECT run_id, session_id, run_index, run_data FROM agno_runs ORDER BY 1"),
                "{what}: up afterwards"
            );
        }
        assert!(runs.values().all(|number| *number == runs["3.0.0"] && *number > 5), "{release}: {runs:?}");
        assert_same(&original.dump(), &before, &format!("{release}: the source"));
    }
}

#[test]
fn in_the_same_database_and_what_the_app_does_stays() {
    for kind in kinds() {
        let database = source(kind, "1.8.4");
        let report = database.ok(&["v1-to-v2"]);
        assert_balanced(&report, "1.8.4");
        database.sql(
            "UPDATE agno_sessions SET session_data = '{\"session_state\": {\"mine\": 1}}' WHERE session_id = 'speech';
             DELETE FROM agno_memories WHERE memory_id = (SELECT min(memory_id) FROM agno_memories)",
        );
        let before = database.dump();
        let again = database.ok(&["v1-to-v2", "--storage"]);
        assert_eq!(written(&again), 0);
        assert_same(&database.dump(), &before, "the app's changes");
    }
}

#[test]
fn from_any_kind_to_any_kind() {
    for from in kinds() {
        for to in kinds() {
            let what = format!("{from:?} to {to:?}");
            let (original, target) = (source(from, "1.5.10"), empty(to));
            let report = target.ok(&["v1-to-v2", "--from", &original.url]);
            assert_balanced(&report, &what);
            let sessions = "SELECT session_id, session_type, user_id FROM agno_sessions ORDER BY 1";
            let runs = "SELECT run_id, session_id, run_type, run_index, status FROM agno_runs ORDER BY 1";
            let memories = "SELECT memory_id, user_id, updated_at FROM agno_memories ORDER BY 1";
            // What each release wrote on each database is a conversation of its own, but of the same shape.
            let count = |sql: &str| target.query(sql).len();
            let expected = if from == Kind::Sqlite { (51, true, 12) } else { (49, true, 10) };
            assert_eq!((count(sessions), count(runs) > 50, count(memories)), expected, "{what}");
            assert_eq!(written(&target.ok(&["v1-to-v2", "--from", &original.url])), 0, "{what}");
        }
    }
}

#[test]
fn wrong_names_and_sources_are_said() {
    let database = source(Kind::Sqlite, "1.8.4");
    let why = database.refused(&["v1-to-v2", "--table", "v1-agents=agent_sesions"], 6);
    assert!(why.contains("there is no v1 table agent_sesions") && why.contains("agent_sessions"), "{why}");
    let why = database.refused(&["v1-to-v2", "--table", "v1-memories=agent_sessions"], 6);
    assert!(why.contains("is no v1-memories table"), "{why}");
    let why = database.refused(&["v1-to-v2", "--table", "sessions=agent_sessions"], 6);
    assert!(why.contains("agent_sessions is a table of v1"), "{why}");
    let two = Database::of("2.9.0");
    let report = two.ok(&["v1-to-v2"]);
    assert!(report.notes.iter().any(|note| note.contains("tables of Agno 2 or 3, and none of v1")), "{:?}", report.notes);
    let only = database.ok(&["v1-to-v2", "--table", "v1-agents=classic_sessions", "--storage"]);
    let tables: Vec<&str> = only.converted.iter().map(|account| account.table.as_str()).collect();
    assert!(tables.contains(&"classic_sessions") && !tables.contains(&"agent_sessions"), "{tables:?}");
}

#[test]
fn summaries_of_sessions_without_a_row_are_told() {
    let (original, target) = (source(Kind::Sqlite, "1.8.4"), Database::empty());
    let report = target.ok(&["v1-to-v2", "--from", &original.url]);
    let (_, warnings) = report.messages();
    let told = "agent_sessions: it has summaries of sessions that have no row, which have no place: elsewhere";
    assert!(warnings.iter().any(|warning| warning == told), "{warnings:?}");
}

#[test]
fn a_table_without_a_key_loses_no_row_uncounted() {
    let (original, target) = (source(Kind::Sqlite, "1.8.4"), Database::empty());
    // Copies beside the first row, and across the end of a page.
    original.sql(
        "CREATE TABLE loose AS SELECT * FROM agent_sessions;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 120)
           INSERT INTO loose SELECT a.* FROM agent_sessions a, n WHERE a.session_id = 'plain-0';
         DROP TABLE agent_sessions;
         CREATE TABLE memories_loose AS SELECT * FROM user_memories UNION ALL SELECT * FROM user_memories;
         DROP TABLE user_memories",
    );
    let report = target.run(&["v1-to-v2", "--from", &original.url]);
    assert_eq!(report.exit_code, 1);
    for account in &report.converted {
        assert!(account.is_balanced(), "{account:?}");
    }
    let of = |name: &str| report.converted.iter().find(|account| account.table == name).expect("an account");
    assert_eq!((of("loose").read, of("loose").rejected), (147, 120));
    assert_eq!((of("memories_loose").read, of("memories_loose").rejected), (14, 7));
}

/// Pages are found by key; keys that are no text are in no order that a page could begin at.
#[test]
fn keys_that_are_bytes_are_read_once() {
    let v1 = source(Kind::Sqlite, "1.8.4");
    let rows: u64 = v1.one("SELECT count(*) FROM agent_sessions").parse().expect("a number");
    v1.sql(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 179)
         INSERT INTO agent_sessions (session_id, agent_id, memory, session_data, created_at)
           SELECT CASE i % 3 WHEN 0 THEN CAST('blob-' || i AS BLOB) WHEN 1 THEN x'ff' || CAST(i AS TEXT) ELSE 'text-' || i END,
             agent_id, memory, session_data, created_at
           FROM n, (SELECT * FROM agent_sessions WHERE session_id = 'plain-0')",
    );
    let target = Database::empty();
    let report = target.run(&["v1-to-v2", "--storage", "--from", &v1.url]);
    let account = report.converted.iter().find(|account| account.table == "agent_sessions").expect("an account");
    assert!(account.is_balanced() && account.read == rows + 180, "{account:?}");
    let there = target.one("SELECT count(*) FROM agno_sessions WHERE session_id LIKE 'text-%'");
    assert_eq!(there, "60");
    let proven = target.run(&["verify", "--from", &v1.url]);
    assert_eq!(proven.exit_code, if account.rejected == 0 { 0 } else { 4 }, "{:?}", proven.failure);
}

#[test]
fn bytes_that_read_like_text_hide_no_rows() {
    let v1 = source(Kind::Sqlite, "1.8.4");
    // Texts, then bytes, which come after all text: pages end within either.
    let tables =
        [("agent_sessions", "session_id", "agent_id, memory, created_at"), ("user_memories", "id", "user_id, memory")];
    for (table, id, columns) in tables {
        v1.sql(&format!(
            "DELETE FROM {table} WHERE rowid > (SELECT min(rowid) FROM {table});
             UPDATE {table} SET {id} = 'text-100';
             WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 164)
               INSERT INTO {table} ({id}, {columns})
               SELECT iif(i < 145, 'text-' || i, CAST('blob-' || i AS BLOB)), {columns} FROM n, {table} WHERE {id} = 'text-100'"
        ));
    }
    v1.sql(
        "INSERT INTO agent_sessions (session_id, agent_id, memory, created_at)
           SELECT CAST('text-101' AS BLOB), agent_id, memory, created_at FROM agent_sessions WHERE session_id = 'text-101'",
    );
    let target = Database::empty();
    let report = target.run(&["v1-to-v2", "--storage", "--memory", "--from", &v1.url]);
    for (table, to, id) in
        [("agent_sessions", "agno_sessions", "session_id"), ("user_memories", "agno_memories", "memory_id")]
    {
        let account = report.converted.iter().find(|account| account.table == table).expect("an account");
        let rows = v1.one(&format!("SELECT count(*) FROM {table}"));
        assert!(account.is_balanced() && account.read.to_string() == rows, "{account:?}");
        for (name, count) in [("text-", "45"), ("blob-", "20")] {
            let sql = format!("SELECT count(*) FROM {to} WHERE CAST({id} AS TEXT) LIKE '{name}%'");
            assert_eq!(target.one(&sql), count, "{to} {name}");
        }
    }
    // One text and the bytes of it are one id in v2: the text has it.
    assert_eq!(report.exit_code, 1);
    let rejected: Vec<&str> =
        report.converted.iter().flat_map(|account| &account.rejections).map(|(id, _)| id.as_str()).collect();
    assert_eq!(rejected, ["text-101"]);
    let proven = target.run(&["verify", "--from", &v1.url]);
    let differences: u64 = proven.converted.iter().map(|account| account.differences.count).sum();
    assert_eq!((proven.exit_code, differences), (4, 1));
}

#[test]
fn no_target_is_made_for_nothing() {
    let target = Database::empty();
    let missing = target.folder().join("missing.db").to_str().expect("UTF-8").to_owned();
    assert_eq!(target.run(&["v1-to-v2", "--from", &missing]).exit_code, 1);
    let unrelated = Database::of("2.9.0");
    assert_eq!(target.run(&["v1-to-v2", "--from", &unrelated.url]).exit_code, 0);
    assert!(!target.path.exists(), "an empty file was left behind");
}

#[test]
fn rows_that_cannot_be_converted_are_named() {
    let database = source(Kind::Sqlite, "1.8.4");
    database.sql(
        "UPDATE agent_sessions SET memory = '{\"runs\": [' WHERE session_id = 'speech';
         UPDATE user_memories SET memory = 'import os' WHERE id = (SELECT min(id) FROM user_memories);",
    );
    let report = database.run(&["v1-to-v2"]);
    assert_eq!((report.exit_code, report.failure.as_deref()), (1, None));
    let rejected: Vec<&str> =
        report.converted.iter().flat_map(|account| &account.rejections).map(|(id, _)| id.as_str()).collect();
    assert!(rejected.contains(&"speech"), "{rejected:?}");
    assert!(report.converted.iter().all(|account| account.is_balanced()), "{:?}", report.converted);
    assert_eq!(database.one("SELECT count(*) FROM agno_sessions WHERE session_id = 'speech'"), "0");
}

#[test]
fn two_sessions_with_one_id_both_stay() {
    let (one, two, target) = (source(Kind::Sqlite, "1.8.4"), source(Kind::Sqlite, "1.8.4"), Database::empty());
    // The same id in another database, of another conversation.
    two.sql("UPDATE agent_sessions SET created_at = created_at + 5");
    let arguments = ["v1-to-v2", "--storage", "--from", &one.url, "--from", &two.url];
    let report = target.ok(&arguments);
    assert_balanced(&report, "two files");
    let sessions = |like: &str| target.one(&format!("SELECT count(*) FROM agno_sessions WHERE session_id LIKE '{like}'"));
    assert_eq!(sessions("%:agent_sessions"), one.one("SELECT count(*) FROM agent_sessions"));
    assert!(
        target
            .one("SELECT session_data FROM agno_sessions WHERE session_id = 'speech:agent_sessions'")
            .contains("\"session_id\":\"speech\"")
    );
    let again = target.ok(&arguments);
    assert_eq!(written(&again), 0, "{:?}", again.converted);
}

#[test]
fn kills_change_nothing_in_the_end() {
    let original = source(Kind::Sqlite, "1.8.4");
    let reference = Database::empty();
    let started = std::time::Instant::now();
    reference.ok(&["v1-to-v2", "--from", &original.url]);
    let takes = started.elapsed();
    for at in 0..30u32 {
        let target = Database::empty();
        let mut child = support::binary()
            .args(["v1-to-v2", "-q", "--from", &original.url, "--db", &target.url])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(takes * at / 30);
        let _ = child.kill();
        child.wait().expect("it ends");
        target.ok(&["v1-to-v2", "--from", &original.url]);
        assert_same(&target.dump(), &reference.dump(), &format!("killed at {at}/30"));
        assert_eq!(target.stamps(), reference.stamps());
    }
}

#[test]
fn vectors_get_the_columns_of_v2() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = empty(kind);
        database.sql("CREATE SCHEMA ai");
        if database.one("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "0" {
            continue;
        }
        database.sql(
            "CREATE EXTENSION vector SCHEMA public;
             CREATE TABLE ai.docs (id varchar PRIMARY KEY, name varchar, meta_data jsonb DEFAULT '{}'::jsonb, filters jsonb,
               content text, embedding vector(3), usage jsonb, created_at timestamptz DEFAULT now(), updated_at timestamptz,
               content_hash varchar);
             INSERT INTO ai.docs (id, content, embedding, content_hash) VALUES ('a', 'x', '[1,2,3]', 'h')",
        );
        database.sql("CREATE TABLE ai.other AS SELECT * FROM ai.docs; CREATE TABLE ai.mine (id int)");
        for wrong in ["vectors=mine", "vectors=nowhere"] {
            let why = database.refused(&["v1-to-v2", "--vectors", "--table", wrong], 6);
            assert!(why.contains("is no PgVector table"), "{why}");
        }
        let report = database.ok(&["v1-to-v2", "--vectors", "--table", "vectors=docs"]);
        assert_eq!(report.converted.len(), 1, "{}", report.to_json());
        database.sql("DROP TABLE ai.other");
        assert_eq!(database.query("SELECT id, content_hash, content_id FROM docs"), [["a", "h", "NULL"]]);
        let indexes = "SELECT count(*) FROM pg_indexes WHERE indexname IN ('idx_docs_content_hash', 'idx_docs_content_id')";
        assert_eq!(database.one(indexes), "2");
        assert!(database.ok(&["v1-to-v2", "--vectors"]).converted.is_empty(), "a second run");
        // And on to owners.
        database.ok(&["up"]);
        assert_eq!(database.one("SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_docs_user_id'"), "1");
    }
}

#[test]
fn agno_goes_on() {
    let Some(venvs) = venvs() else { return };
    // Each schema by the release that speaks it, and the one before the newest by the newest too.
    let cases = [("3.0.0", "3.1.10"), ("2.5.6", "2.9.0"), ("2.5.6", "3.1.10"), ("2.3.0", "2.4.8"), ("2.0.0", "2.0.11")];
    for (schema, release) in cases {
        for from in RELEASES {
            judged(&venvs, &source(Kind::Sqlite, from), &Database::empty(), schema, release);
        }
    }
}

#[test]
fn agno_goes_on_on_postgres() {
    let Some(venvs) = venvs() else { return };
    let Some(kind) = kinds().get(1).copied() else { return };
    // Every release once, and two of them at older schemas.
    let cases: [(&str, &str, &[&str]); 3] = [
        ("3.0.0", "3.1.10", &RELEASES),
        ("2.5.6", "2.9.0", &["1.1.17", "1.8.4"]),
        ("2.0.0", "2.0.11", &["1.1.17", "1.8.4"]),
    ];
    for (schema, release, fixtures) in cases {
        for from in fixtures {
            judged(&venvs, &source(kind, from), &empty(kind), schema, release);
        }
    }
}

#[test]
fn two_files_into_one_server() {
    let Some(kind) = kinds().get(1).copied() else { return };
    let (one, two, target) = (source(Kind::Sqlite, "1.8.4"), source(Kind::Sqlite, "1.0.0"), empty(kind));
    let report = target.ok(&["v1-to-v2", "--from", &one.url, "--from", &two.url]);
    assert_balanced(&report, "two files");
    let written = written(&report).to_string();
    let there = "SELECT (SELECT count(*) FROM agno_sessions) + (SELECT count(*) FROM agno_memories)";
    assert_eq!(target.one(there), written);
}
