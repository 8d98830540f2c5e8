//! The contract of a backend: from every database a release wrote to every schema, and back.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use support::{DEFAULTS, Database, Kind, RELEASES, SCHEMAS, assert_same, kinds};

/// The shape Agno gives a default table in a schema: in the newest release of the schema that makes it; for a schema before the
/// table's time, in the first that does.
fn agnos_shape(kind: Kind, schema: &str, table: &str) -> BTreeSet<String> {
    let at = SCHEMAS.iter().position(|known| *known == schema).expect("a schema");
    let of = |schema: &str| {
        RELEASES.iter().rev().filter(|(_, of)| *of == schema).find_map(|(release, _)| made_by(kind, release, table))
    };
    let earlier = SCHEMAS[..=at].iter().rev().find_map(|schema| of(schema));
    let made = earlier.or_else(|| SCHEMAS[at..].iter().find_map(|schema| of(schema)));
    let mut shape = made.expect("a release that makes the table");
    if schema == "3.0.0" && table == "agno_sessions" {
        shape.insert(retained(kind));
    }
    shape
}

/// The shape a release gives a default table, if it makes it. Asked once for all tests.
fn made_by(kind: Kind, release: &str, table: &str) -> Option<BTreeSet<String>> {
    type Shapes = BTreeMap<String, BTreeSet<String>>;
    static MADE: Mutex<BTreeMap<(String, String), Shapes>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let of_release =
        made.entry((format!("{kind:?}"), release.to_owned())).or_insert_with(|| kind.fresh(release).shapes(&DEFAULTS));
    of_release.get(table).cloned()
}

/// The column that stays until it is dropped.
fn retained(kind: Kind) -> String {
    if kind == Kind::Sqlite { "column runs JSON".to_owned() } else { "column runs jsonb".to_owned() }
}

/// Takes a database from the schema it was written in to another.
fn take(database: &Database, from: &str, to: &str) {
    if from <= to {
        database.ok(&["up", "--to", to]);
    } else {
        database.ok(&["down", to, "--yes"]);
    }
}

fn assert_shapes(database: &Database, schema: &str, what: &str) {
    // The same under other names.
    let named = [("agent-session", "agno_sessions"), ("support", "agno_sessions"), ("sessões memórias", "agno_memories")];
    let runs_of: Vec<String> = named.iter().map(|(table, _)| format!("{table}_runs")).collect();
    let tables: Vec<&str> =
        DEFAULTS.into_iter().chain(named.map(|(table, _)| table)).chain(runs_of.iter().map(String::as_str)).collect();
    let shapes = database.shapes(&tables);
    for (table, default) in DEFAULTS.map(|table| (table, table)).into_iter().chain(named) {
        let Some(mut shape) = shapes.get(table).cloned() else { continue };
        if schema == "3.0.0" && default == "agno_sessions" {
            // Retained, if it was ever there.
            shape.insert(retained(database.kind));
        }
        if schema == "3.0.0" && default == "agno_sessions" && table != default {
            // PostgreSQL quotes names where it must.
            let is_quoted = database.kind != Kind::Sqlite && table.contains('-');
            let name = if is_quoted { format!("\"{table}\"") } else { table.to_owned() };
            let runs = shapes.get(&format!("{table}_runs")).cloned().unwrap_or_default();
            let expected: BTreeSet<String> = agnos_shape(database.kind, schema, "agno_runs")
                .into_iter()
                .map(|fact| fact.replace("agno_sessions", &name))
                .collect();
            assert_eq!(runs, expected, "{what}: runs of {table}");
        }
        assert_eq!(shape, agnos_shape(database.kind, schema, default), "{what}: {table} in schema {schema}");
    }
}

/// Rows of each table, archived rows of metrics and rows of runs that are in lists counted in.
fn counts(database: &Database) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (table, rows) in database.dump() {
        if table == "agno_migrate_archive" {
            let sql =
                "SELECT count(*) FROM agno_migrate_archive WHERE table_name = 'agno_metrics' AND column_name = 'row.id'";
            *counts.entry("agno_metrics".to_owned()).or_default() += database.one(sql).parse::<usize>().expect("a count");
        } else if !table.ends_with("_runs") || table == "agno_eval_runs" || table == "agno_schedule_runs" {
            *counts.entry(table).or_default() += rows.len();
        }
    }
    counts
}

/// The runs of every session, in order, wherever they are kept: session id, then the payload of each.
fn runs(database: &Database, sessions: &str) -> BTreeMap<String, Vec<String>> {
    let runs_table = if sessions == "agno_sessions" { "agno_runs".to_owned() } else { format!("{sessions}_runs") };
    let mut all = BTreeMap::new();
    let text = |column: &str| match database.kind {
        Kind::Sqlite => column.to_owned(),
        Kind::Postgres(_) => format!("{column}::jsonb::text"),
    };
    if database.has(&runs_table) {
        let rows = format!(
            "SELECT session_id, {} FROM \"{runs_table}\" ORDER BY session_id, run_index, created_at, run_id",
            text("run_data")
        );
        for row in database.query(&rows) {
            all.entry(row[0].clone()).or_insert_with(Vec::new).push(row[1].clone());
        }
        return all;
    }
    let lists = format!("SELECT session_id, {} FROM \"{sessions}\" WHERE runs IS NOT NULL", text("runs"));
    for row in database.query(&lists) {
        let list = serde_json::from_str::<String>(&row[1]).unwrap_or(row[1].clone());
        // RawValue keeps the bytes of each element.
        let list: Option<Vec<Box<serde_json::value::RawValue>>> = serde_json::from_str(&list).expect("a list");
        let list: Vec<String> = list.unwrap_or_default().iter().map(|run| run.get().to_owned()).collect();
        if !list.is_empty() {
            all.insert(row[0].clone(), list);
        }
    }
    all
}

#[test]
fn every_fixture_reaches_every_schema() {
    for kind in kinds() {
        for (release, from) in RELEASES {
            for to in SCHEMAS {
                let what = format!("{release} to {to}");
                let database = kind.of(release);
                let before = counts(&database);
                let tables = ["agno_sessions", "agent-session", "support"];
                let runs_before = tables.map(|table| runs(&database, table));
                take(&database, from, to);
                assert_shapes(&database, to, &what);

                let mut after = counts(&database);
                if from < "3.0.0" && to == "3.0.0" {
                    // The open day is the app's to compute again.
                    *after.get_mut("agno_metrics").expect("metrics") += 1;
                }
                assert_eq!(after, before, "{what}: rows");
                assert_eq!(tables.map(|table| runs(&database, table)), runs_before, "{what}: runs, byte for byte");
                for (table, stamp) in database.stamps() {
                    let is_ours = DEFAULTS.contains(&table.as_str()) || table.starts_with("s") || table.starts_with("agent");
                    assert!(!is_ours || stamp == to, "{what}: {table} is stamped {stamp}");
                }
                assert_eq!(database.ok(&["current"]).current, Some(format!("v{to}")), "{what}");
                assert!(database.ok(&["status"]).tables.iter().all(|table| table.drift.is_empty()), "{what}: drift");

                let done = database.dump();
                let stamps = database.stamps();
                let again = if from <= to { database.ok(&["up", "--to", to]) } else { database.ok(&["down", to, "--yes"]) };
                assert!(
                    again.tables.iter().all(|table| table.steps.is_empty() && table.after.is_none()),
                    "{}",
                    again.to_json()
                );
                assert_eq!((database.dump(), database.stamps()), (done, stamps), "{what}: a second run changed something");
            }
        }
    }
}

#[test]
fn up_down_up_is_the_identity_on_data() {
    for kind in kinds() {
        for (release, from) in RELEASES {
            for low in SCHEMAS.iter().filter(|low| **low <= "2.5.6") {
                let database = kind.of(release);
                // From where the data is in the newest schema.
                database.ok(&["up"]);
                let newest = database.dump();
                database.ok(&["down", low, "--yes"]);
                database.ok(&["up"]);
                assert_same(&database.dump(), &newest, &format!("{release}: up, down to {low}, up"));
                // And the release that wrote it gets back what it wrote.
                if low == &from {
                    database.ok(&["down", low, "--yes"]);
                    let lowest = database.dump();
                    database.ok(&["up"]);
                    database.ok(&["down", low, "--yes"]);
                    assert_same(&database.dump(), &lowest, &format!("{release}: down, up, down"));
                }
            }
        }
    }
}

#[test]
fn a_database_comes_back_to_the_bytes_its_release_wrote() {
    for kind in kinds() {
        for (release, from) in RELEASES.iter().filter(|(_, from)| *from < "3.0.0") {
            let database = kind.of(release);
            let before = database.dump();
            database.ok(&["up"]);
            database.ok(&["down", from, "--yes"]);
            let mut after = database.dump();
            let mut before = before;
            // The open day was the app's to compute again; entity memories keep their keys: both are said.
            for dump in [&mut before, &mut after] {
                dump.get_mut("agno_metrics")
                    .expect("metrics")
                    .retain(|row| !row.contains("\"completed\": \"Integer(0)\"") && !row.contains("\"completed\": false"));
                dump.remove("agno_learnings");
                dump.remove("agno_migrate_archive");
                // Stamps make this table; releases before 2.3 have none.
                dump.remove("agno_schema_versions");
            }
            assert_same(&after, &before, release);
            let lists =
                |database: &Database| database.query("SELECT session_id, runs FROM agno_sessions ORDER BY session_id");
            if kind == Kind::Sqlite {
                assert_eq!(lists(&database), lists(&kind.of(release)), "{release}: the column runs, byte for byte");
            }
        }
    }
}

#[test]
fn rows_written_in_between_survive() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        let owners = |database: &Database| {
            let rows = database.query("SELECT run_id || coalesce(user_id, '-') FROM agno_eval_runs ORDER BY run_id");
            rows.concat().join(",")
        };
        assert_eq!(owners(&database), "eval-0-,eval-1ann");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one("SELECT count(*) FROM agno_migrate_archive WHERE column_name = 'feedback'"), "1");
        let list = r#"[{"run_id": "added", "agent_id": "helper"}]"#;
        // As the release of that schema writes it.
        let list = if kind == Kind::Sqlite { serde_json::to_string(list).expect("JSON") } else { list.to_owned() };
        database.sql(&format!(
            "DELETE FROM agno_eval_runs WHERE run_id = 'eval-1';
             INSERT INTO agno_eval_runs (run_id, eval_type, eval_data, eval_input, created_at) VALUES ('eval-2', 'x', '{{}}', '{{}}', 5);
             UPDATE agno_memories SET memory = '\"changed\"', updated_at = 77 WHERE memory_id = 'memory-0';
             INSERT INTO agno_memories (memory_id, memory, updated_at) VALUES ('new', '\"m\"', 1234), ('timeless', '\"m\"', NULL);
             UPDATE agno_schedules SET name = 'renamed' WHERE id = 'schedule-1';
             UPDATE agno_sessions SET runs = '{list}' WHERE session_id = 'no-runs';
             DELETE FROM agno_sessions WHERE session_id = 'agent-3';",
        ));
        database.ok(&["up"]);
        assert_eq!(owners(&database), "eval-0-,eval-2-");
        let memory =
            |id: &str, column: &str| database.one(&format!("SELECT {column} FROM agno_memories WHERE memory_id = '{id}'"));
        assert_eq!(memory("memory-0", "CAST(memory AS TEXT) || feedback || created_at"), "\"changed\"good1700000000");
        assert_eq!(memory("new", "created_at"), "1234");
        assert!(memory("timeless", "created_at").parse::<i64>().expect("a time") > 1_700_000_000);
        assert_eq!(
            database.one("SELECT name || user_id || managed_by FROM agno_schedules WHERE id = 'schedule-1'"),
            "renamedannstudio"
        );
        assert_eq!(database.one("SELECT session_id FROM agno_runs WHERE run_id = 'added'"), "no-runs");
        assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE session_id = 'agent-3'"), "0");
        assert!(!database.has("agno_migrate_archive"), "the archive goes");
    }
}

/// What an app on the newest schema may have done since: rows added, changed and deleted.
const DONE_ABOVE: &str = r#"
    DELETE FROM agno_sessions WHERE session_id = 'agent-3';
    DELETE FROM agno_runs WHERE session_id = 'agent-3';
    DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0;
    UPDATE agno_runs SET updated_at = 9999999999 WHERE session_id = 'team-0' AND run_index = 0;
    INSERT INTO agno_runs (run_id, session_id, run_type, user_id, run_index, run_data, created_at, updated_at)
      VALUES ('late', 'no-runs', 'agent', 'ann', 0, '{"run_id": "late", "agent_id": "helper", "x": 1.10}', 6, 7);
    UPDATE agno_runs SET agent_id = 'helper' WHERE run_id = 'late';
    UPDATE agno_memories SET created_at = 12, updated_at = 13 WHERE memory_id = 'memory-0';
    INSERT INTO agno_memories (memory_id, memory, created_at, updated_at, feedback) VALUES ('new', '"m"', 5, NULL, 'fine');
    DELETE FROM agno_memories WHERE memory_id = 'memory-1';
    UPDATE agno_metrics SET user_id = 'bea' WHERE completed AND user_id = '';
    UPDATE agno_eval_runs SET user_id = 'ann';
    UPDATE agno_knowledge SET user_id = 'bob';
"#;

/// What an app on any older schema may have done.
const DONE_BELOW: &str = r#"
    DELETE FROM agno_sessions WHERE session_id = 'agent-2';
    UPDATE agno_sessions SET user_id = 'zoe', updated_at = 99 WHERE session_id = 'agent-1';
    INSERT INTO agno_sessions (session_id, session_type, created_at) VALUES ('empty', 'agent', 5);
    UPDATE agno_memories SET memory = '"changed"', updated_at = 77 WHERE memory_id = 'memory-0';
    INSERT INTO agno_memories (memory_id, memory, updated_at{created_at}) VALUES ('low', '"m"', 1234{at});
    DELETE FROM agno_memories WHERE memory_id = 'memory-2';
    INSERT INTO agno_eval_runs (run_id, eval_type, eval_data, eval_input, created_at) VALUES ('low', 'x', '{}', '{}', 5);
    DELETE FROM agno_knowledge;
"#;

#[test]
fn what_is_done_on_either_side_survives_the_way_there_and_back() {
    for kind in kinds() {
        // What servers differ in is not the release that wrote the rows: the first takes the oldest and the newest, others one.
        let is_tried = |release: &str| match kind {
            Kind::Sqlite => true,
            Kind::Postgres(0) => ["2.0.11", "3.1.10"].contains(&release),
            Kind::Postgres(_) => release == "3.1.10",
        };
        for (release, _) in RELEASES.into_iter().filter(|(release, _)| is_tried(release)) {
            for low in SCHEMAS.into_iter().filter(|schema| *schema != "3.0.0") {
                let what = format!("{release}, {low}");
                let database = kind.of(release);
                database.ok(&["up"]);
                // The old column would bring back what is deleted.
                database.ok(&["cleanup", "--yes"]);
                database.sql(DONE_ABOVE);
                let above = database.dump();
                database.ok(&["down", low, "--yes"]);
                database.ok(&["up"]);
                assert_same(&database.dump(), &above, &format!("{what}: done above"));

                database.ok(&["down", low, "--yes"]);
                let (column, value) = if low == "2.0.0" { ("", "") } else { (", created_at", ", 1234") };
                database.sql(&DONE_BELOW.replace("{created_at}", column).replace("{at}", value));
                let mut below = database.dump();
                database.ok(&["up"]);
                assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE session_id = 'agent-2'"), "0", "{what}");
                assert_ne!(database.one("SELECT count(*) FROM agno_runs WHERE session_id = 'agent-1'"), "0", "{what}");
                database.ok(&["down", low, "--yes"]);
                let mut again = database.dump();
                // Values of rows that were deleted below have nothing to come back to.
                below.remove("agno_migrate_archive");
                again.remove("agno_migrate_archive");
                assert_same(&again, &below, &format!("{what}: done below"));
            }
        }
    }
}

#[test]
fn metrics_of_single_users_wait_in_the_archive() {
    for kind in kinds() {
        let database = kind.of("3.1.10");
        let all = database.dump()["agno_metrics"].clone();
        let owned = database.one("SELECT count(*) FROM agno_metrics WHERE user_id <> ''");
        assert_ne!(owned, "0");
        let report = database.ok(&["down", "2.5.6", "--yes"]);
        let metrics = report.tables.iter().find(|table| table.name == "agno_metrics").expect("metrics");
        assert_eq!(metrics.archived.to_string(), owned);
        assert_eq!(database.one("SELECT count(*) FROM agno_metrics"), (all.len() as u64 - metrics.archived).to_string());
        database.ok(&["up"]);
        assert_eq!(database.dump()["agno_metrics"], all);
    }
}

#[test]
fn only_the_chosen_types_move() {
    for kind in kinds() {
        let database = kind.of("2.9.0");
        database.ok(&["up", "--only", "evals,knowledge"]);
        let stamps = database.stamps();
        assert_eq!((stamps["agno_eval_runs"].as_str(), stamps["agno_knowledge"].as_str()), ("3.0.0", "3.0.0"));
        assert_eq!(stamps["agno_sessions"], "2.5.6");
        assert!(database.shape("agno_runs").is_empty());
        database.ok(&["down", "2.5.6", "--yes", "--only", "evals"]);
        assert_eq!(database.stamps()["agno_eval_runs"], "2.5.6");
        assert_eq!(database.stamps()["agno_knowledge"], "3.0.0");
    }
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_up_does() {
    for (release, _) in RELEASES {
        let database = Database::of(release);
        let bytes = std::fs::read(&database.path).expect("reads");
        let told = database.ok(&["up", "--dry-run"]);
        database.ok(&["plan", "2.0.0"]);
        database.ok(&["status"]);
        database.ok(&["current"]);
        database.ok(&["down", "2.0.0", "--dry-run"]);
        assert_eq!(std::fs::read(&database.path).expect("reads"), bytes, "{release}: a command that only reads wrote");
        assert_eq!(std::fs::read_dir(database.folder()).expect("lists").count(), 1, "{release}: files were left beside it");

        let done = database.ok(&["up"]);
        let steps = |report: &agno_migrate::report::Report| -> Vec<String> {
            report
                .tables
                .iter()
                .flat_map(|table| table.steps.iter().map(move |s| format!("{} {}", table.name, s.what)))
                .collect()
        };
        assert_eq!(steps(&told), steps(&done), "{release}");
    }
}
