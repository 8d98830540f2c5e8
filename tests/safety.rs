//! What must not break: other programs on the file, a process that dies, and everything the user built around the tables.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Database, assert_same, binary};

fn spawn(database: &Database, arguments: &[&str]) -> Child {
    let mut command: Command = binary();
    command.args(arguments).arg("--db").arg(&database.path).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("starts")
}

#[test]
fn an_application_that_writes_is_waited_for_and_then_blamed() {
    for mode in ["delete", "wal"] {
        let database = Database::of("2.9.0");
        let app = database.open();
        app.pragma_update(None, "journal_mode", mode).expect("a mode");
        let before = database.dump();
        app.execute_batch("BEGIN IMMEDIATE; UPDATE agno_eval_runs SET name = 'busy'").expect("locks");
        let output = database.binary(&["up", "--lock-wait", "0.3"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{mode}: {message}");
        assert!(message.contains("another program") && message.contains("--lock-wait"), "{message}");
        app.execute_batch("ROLLBACK").expect("unlocks");
        assert_same(&database.dump(), &before, mode);

        app.execute_batch("BEGIN IMMEDIATE; UPDATE agno_eval_runs SET name = 'busy'").expect("locks");
        let waiting = spawn(&database, &["up", "--lock-wait", "60"]);
        std::thread::sleep(Duration::from_millis(400));
        app.execute_batch("COMMIT").expect("unlocks");
        let output = waiting.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(database.one("SELECT name FROM agno_eval_runs LIMIT 1"), "busy");
    }
}

#[test]
fn a_reader_that_stays_is_blamed_and_nothing_changes() {
    let database = Database::of("2.9.0");
    let before = database.dump();
    let reader = database.open();
    let mut statement = reader.prepare("SELECT * FROM agno_sessions").expect("reads");
    let mut rows = statement.query([]).expect("reads");
    rows.next().expect("a row");
    let output = database.binary(&["up", "--lock-wait", "0.3"]);
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    drop(rows);
    assert_same(&database.dump(), &before, "after the lock was not had");
    database.ok(&["up"]);
}

#[test]
fn what_only_reads_copes_with_a_write_that_was_cut_off() {
    let source = Database::of("2.9.0");
    let app = source.open();
    // A cache of a page writes pages into the file before the commit, as a large move does.
    let write = "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE agno_sessions SET metadata = hex(randomblob(20000))";
    app.execute_batch(write).expect("writes");
    for words in [vec!["status"], vec!["current"], vec!["plan"], vec!["verify"], vec!["up", "--dry-run"], vec!["up"]] {
        let cut_off = Database::empty();
        std::fs::copy(&source.path, &cut_off.path).expect("copies");
        let journal = |path: &std::path::Path| std::path::PathBuf::from(format!("{}-journal", path.display()));
        std::fs::copy(journal(&source.path), journal(&cut_off.path)).expect("there is a journal");
        cut_off.ok(&words);
        assert!(!journal(&cut_off.path).exists(), "{words:?}");
        assert_eq!(cut_off.one("SELECT max(length(metadata)) < 20000 FROM agno_sessions"), "1", "{words:?}");
        assert_eq!(cut_off.one("PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn two_at_once_do_the_work_once() {
    for round in 0..5 {
        let database = Database::of("2.9.0");
        let children: Vec<Child> = (0..4).map(|_| spawn(&database, &["up", "--json"])).collect();
        let mut moved = 0;
        for child in children {
            let output = child.wait_with_output().expect("ends");
            assert_eq!(output.status.code(), Some(0), "{round}: {}", String::from_utf8_lossy(&output.stderr));
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            moved +=
                report["tables"].as_array().expect("tables").iter().map(|t| t["moved"].as_u64().unwrap_or(0)).sum::<u64>();
        }
        let alone = Database::of("2.9.0");
        alone.ok(&["up"]);
        assert_same(&database.dump(), &alone.dump(), "four at once");
        // 29 runs and 3 entity memories, each moved by one of the four.
        assert_eq!(moved, 32, "{round}");
        assert_eq!(database.one("PRAGMA integrity_check"), "ok");
    }
}

/// Enough runs for the kills to land in the middle of something.
fn large(release: &str, megabytes: usize) -> Database {
    let database = Database::of(release);
    let connection = database.open();
    let run = |n: usize| format!("{{\"run_id\": \"big{n}\", \"text\": \"{}\"}}", "x".repeat(2000));
    let mut insert = connection
        .prepare("INSERT INTO agno_sessions (session_id, session_type, runs, created_at) VALUES (?1, 'agent', ?2, ?3)")
        .expect("a statement");
    for session in 0..megabytes * 50 {
        let list = (0..10).map(|n| run(session * 10 + n)).collect::<Vec<_>>().join(", ");
        let twice = serde_json::to_string(&format!("[{list}]")).expect("a string");
        insert.execute((format!("large{session}"), twice, session as i64)).expect("inserts");
    }
    drop(insert);
    database
}

/// Kills the command after each of some times, and runs it to its end: it must end as if nothing had happened.
fn killed(start: &Database, arguments: &[&str], uninterrupted: &support::Dump, signal: &str) {
    let whole = Instant::now();
    let copy = copy_of(start);
    copy.ok(arguments);
    let whole = whole.elapsed();
    for moment in 1..=10 {
        let copy = copy_of(start);
        let mut child = spawn(&copy, arguments);
        std::thread::sleep(whole * moment / 11);
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        let status = child.wait().expect("ends");
        if signal == "-INT" {
            assert!(matches!(status.code(), Some(130 | 0)), "{status}");
        }
        assert_eq!(copy.one("PRAGMA integrity_check"), "ok");
        for (table, stamp) in copy.stamps() {
            assert!(support::SCHEMAS.contains(&stamp.as_str()), "{table} is at {stamp}");
        }
        assert!(copy.dump().contains_key("agno_sessions"));
        copy.ok(arguments);
        assert_same(&copy.dump(), uninterrupted, &format!("{arguments:?}, {signal} at {moment}/11"));
    }
}

fn copy_of(database: &Database) -> Database {
    let copy = Database::empty();
    std::fs::copy(&database.path, &copy.path).expect("copies");
    copy
}

#[test]
fn a_process_that_dies_or_is_interrupted_leaves_whole_versions() {
    let low = large("2.9.0", 4);
    let high = copy_of(&low);
    high.ok(&["up"]);
    let up = high.dump();
    let down = copy_of(&high);
    down.ok(&["down", "2.0.0", "--yes"]);
    let down = down.dump();
    for signal in ["-KILL", "-INT"] {
        killed(&low, &["up"], &up, signal);
        killed(&high, &["down", "2.0.0", "--yes"], &down, signal);
    }
}

#[test]
fn what_the_user_built_around_the_tables_survives() {
    let database = Database::of("2.2.13");
    database.sql(
        "ALTER TABLE agno_metrics ADD COLUMN mine TEXT COLLATE NOCASE DEFAULT 'd' CHECK (mine <> 'bad');
         ALTER TABLE agno_metrics ADD COLUMN doubled GENERATED ALWAYS AS (users_count * 2) VIRTUAL;
         ALTER TABLE agno_memories ADD COLUMN \"my note\" TEXT DEFAULT 'none';
         UPDATE agno_memories SET \"my note\" = memory_id;
         CREATE INDEX my_index ON agno_metrics (mine COLLATE NOCASE DESC) WHERE mine IS NOT NULL;
         CREATE UNIQUE INDEX my_unique ON agno_memories (memory_id, \"my note\");
         CREATE TABLE log (what TEXT);
         CREATE TRIGGER my_trigger AFTER UPDATE ON agno_memories BEGIN INSERT INTO log VALUES (new.memory_id); END;
         CREATE VIEW my_view AS SELECT m.memory_id, s.session_id FROM agno_memories m, agno_sessions s;
         CREATE TABLE child (memory VARCHAR REFERENCES agno_memories (memory_id) ON DELETE CASCADE, metric VARCHAR REFERENCES agno_metrics (id) ON DELETE CASCADE);
         INSERT INTO child SELECT memory_id, (SELECT id FROM agno_metrics LIMIT 1) FROM agno_memories;
         INSERT INTO child VALUES ('an orphan from before', NULL);
         CREATE VIRTUAL TABLE search USING fts5(content);",
    );
    let order = |table: &str, key: &str| {
        database.one(&format!("SELECT group_concat({key} || rowid) FROM (SELECT rowid, * FROM {table} ORDER BY {key})"))
    };
    let (memories, metrics) = (order("agno_memories", "memory_id"), order("agno_metrics WHERE completed", "id"));
    for command in [&["up"][..], &["down", "2.0.0", "--yes"], &["up"]] {
        let log = database.one("SELECT count(*) FROM log");
        database.ok(command);
        assert_eq!(database.one("SELECT count(*) FROM log"), log, "a rebuild is no update: triggers stay silent");
        assert_eq!(database.one("SELECT count(*) FROM child"), "5", "rows of child tables");
        assert_eq!(
            (order("agno_memories", "memory_id"), order("agno_metrics WHERE completed", "id")),
            (memories.clone(), metrics.clone()),
            "rowids"
        );
        assert_eq!(database.one("SELECT \"my note\" FROM agno_memories WHERE memory_id = 'memory-2'"), "memory-2");
        assert_eq!(database.one("SELECT mine || doubled FROM agno_metrics WHERE completed LIMIT 1").len(), 2);
        database.one("SELECT count(*) FROM my_view");
        let names = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE name LIKE 'my\\_%' ESCAPE '\\' ORDER BY name)";
        assert_eq!(database.one(names), "my_index,my_trigger,my_unique,my_view");
        database.sql("UPDATE agno_memories SET input = 'fires' WHERE memory_id = 'memory-1'");
        assert_eq!(database.one("SELECT max(rowid) FROM log").parse::<u64>().ok(), log.parse::<u64>().ok().map(|n| n + 1));
        assert!(database.open().execute("UPDATE agno_metrics SET mine = 'bad'", []).is_err(), "the CHECK is there");
    }
}

#[test]
fn what_stands_in_the_way_is_named_before_the_first_change() {
    let refused = |sql: &str, command: &[&str], expected: &[&str]| {
        let database = Database::of("3.1.10");
        database.sql(sql);
        let why = database.refused(command, 6);
        for expected in expected {
            assert!(why.contains(expected), "{sql}: {why}");
        }
        // The others can go on.
        assert!(why.contains("To go on without these tables: --only "), "{why}");
    };
    let down = ["down", "2.5.6", "--yes"];
    refused("CREATE INDEX mine ON agno_eval_runs (user_id, name)", &down, &["agno_eval_runs", "mine"]);
    refused(
        "CREATE VIEW v AS SELECT user_id FROM agno_knowledge",
        &down,
        &["agno_knowledge: the view v uses what would go"],
    );
    refused(
        "CREATE TABLE log (who TEXT); CREATE TRIGGER t AFTER INSERT ON agno_schedules BEGIN INSERT INTO log VALUES (new.managed_by); END",
        &down,
        &["agno_schedules", "trigger t"],
    );
    refused(
        "CREATE TABLE bound (run VARCHAR REFERENCES agno_runs (run_id))",
        &down,
        &["agno_sessions: bound has a foreign key on the runs table"],
    );
    refused(
        "INSERT INTO agno_runs (run_id, session_id, run_type, run_data, created_at) VALUES ('lost', 'nowhere', 'agent', '{}', 1)",
        &down,
        &["rows of agno_runs have no session to go back to: lost"],
    );
    refused(
        "ALTER TABLE agno_sessions ADD COLUMN runs JSON; UPDATE agno_sessions SET runs = 1 WHERE session_id = 'tools'",
        &down,
        &["the column runs of 1 session holds no list, and there are rows of it in agno_runs: tools"],
    );
}

#[test]
fn schedules_that_share_a_name_are_named_before_the_first_change() {
    let database = Database::of("2.9.0");
    database.sql("UPDATE agno_schedules SET name = 'the same'");
    let why = database.refused(&["up"], 6);
    assert!(why.contains("agno_schedules: rows share what must be unique (name): schedule-0 and schedule-1"), "{why}");
    // With owners that come back from the archive they do not share it.
    let database = Database::of("3.1.10");
    database.ok(&["down", "2.5.6", "--yes"]);
    database.sql("UPDATE agno_schedules SET name = 'the same'");
    database.ok(&["up"]);
    assert_eq!(
        database.one("SELECT group_concat(name || coalesce(user_id, '-')) FROM agno_schedules"),
        "the same-,the sameann"
    );
}

#[test]
fn names_that_are_taken_are_avoided() {
    let database = Database::of("2.9.0");
    database.sql("CREATE INDEX idx_agno_eval_runs_user_id ON agno_eval_runs (name)");
    database.ok(&["up"]);
    assert_eq!(
        database.one("SELECT tbl_name FROM sqlite_schema WHERE name = 'idx_agno_eval_runs_user_id_2'"),
        "agno_eval_runs"
    );
    database.ok(&["down", "2.5.6", "--yes"]);
    assert_eq!(database.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'idx_agno_eval_runs_user_id%'"), "1");
    let database = Database::of("2.9.0");
    database.sql("CREATE TABLE agno_runs (mine TEXT)");
    let why = database.refused(&["up"], 6);
    assert!(why.contains("agno_runs"), "{why}");
}

#[test]
fn a_write_that_fails_in_the_middle_changes_nothing() {
    let database = large("2.9.0", 3);
    let before = database.dump();
    let blocks = std::fs::metadata(&database.path).expect("a file").len() / 1024 + 700;
    // A limit on the size of files, which SQLite meets as a disk that takes no more.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_agno-migrate"), "up", "--db"])
        .arg(&database.path)
        .output()
        .expect("runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("agno_sessions to v3.0.0"), "{message}");
    assert_eq!(database.dump()["agno_sessions"], before["agno_sessions"]);
    assert!(database.shape("agno_runs").is_empty());
    database.ok(&["up"]);
}
