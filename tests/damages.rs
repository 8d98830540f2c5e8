//! Every damage that `verify` has to find, and that what it names mends it.

mod support;

use agno_migrate::report::Report;
use std::collections::BTreeSet;
use std::sync::Mutex;
use support::{Database, Kind, assert_same, differences, on_every_kind};

/// A damage, what has to be said of it, and the way out.
struct Damage {
    what: &'static str,
    /// On SQLite, and on PostgreSQL.
    sql: [&'static str; 2],
    said: &'static str,
    way: Way,
}

/// What brings the database back to what its stamps say.
enum Way {
    /// The commands and statements that are named.
    Named,
    /// These, but for differences with these words, which they bring to light.
    Partly(&'static str),
    /// What is described in words, done with this statement; then `up --force`.
    ByHand(&'static str),
    /// Only someone who knows which side is right.
    Judged,
}

const DELETED: Way = Way::ByHand("DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0");

const fn both(sql: &'static str) -> [&'static str; 2] {
    [sql, sql]
}

const DAMAGES: &[Damage] = &[
    Damage {
        what: "a run is missing",
        sql: both("DELETE FROM agno_runs WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[0]: run {first} is only in the old column",
        way: Way::Named,
    },
    Damage {
        what: "a run was changed",
        sql: both("UPDATE agno_runs SET run_data = '{\"run_id\": \"x\"}' WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[0]: run {first} has another content in the runs table",
        way: DELETED,
    },
    Damage {
        what: "a run has lost its parent's place",
        sql: both(
            "UPDATE agno_runs SET run_type = 'team', parent_run_id = 'p' WHERE session_id = 'agent-1' AND run_index = 0",
        ),
        said: "agno_sessions: agent-1 runs[0]: run {first} has another run_type, parent_run_id in the runs table",
        way: DELETED,
    },
    Damage {
        what: "a run has another status and agent",
        sql: both(
            "UPDATE agno_runs SET status = 'PAUSED', agent_id = 'other' WHERE session_id = 'agent-1' AND run_index = 0",
        ),
        said: "agno_sessions: agent-1 runs[0]: run {first} has another agent_id, status in the runs table",
        way: DELETED,
    },
    Damage {
        what: "runs are out of order",
        sql: both("UPDATE agno_runs SET run_index = 9 WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[1]: run {second} comes before the run that it followed",
        way: Way::ByHand("UPDATE agno_runs SET run_index = 0 WHERE session_id = 'agent-1' AND run_index = 9"),
    },
    Damage {
        what: "a run is in another session",
        sql: both("UPDATE agno_runs SET session_id = 'agent-0' WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[0]: the row of run {first} belongs to session agent-0: this one is only in the old column",
        way: Way::ByHand("UPDATE agno_runs SET session_id = 'agent-1' WHERE run_id = '{first}'"),
    },
    Damage {
        what: "a run is twice in the old column",
        sql: both(
            "UPDATE agno_sessions SET runs = '[{\"run_id\": \"a\"}, {\"run_id\": \"a\"}]' WHERE session_id = 'agent-1'",
        ),
        said: "agno_sessions: agent-1 runs[1]: its id a is that of a run before it: it is only in the old column",
        way: Way::Judged,
    },
    Damage {
        what: "a run without an id",
        sql: both("UPDATE agno_sessions SET runs = '[{\"id\": \"a\"}]' WHERE session_id = 'agent-1'"),
        said: "agno_sessions: agent-1 runs[0]: has no run_id: it is only in the old column",
        way: Way::Judged,
    },
    Damage {
        what: "an element that is no run",
        sql: both("UPDATE agno_sessions SET runs = '[null]' WHERE session_id = 'agent-1'"),
        said: "agno_sessions: agent-1 runs[0]: is no object: it is only in the old column",
        way: Way::Judged,
    },
    Damage {
        what: "the old column is no list",
        sql: both("UPDATE agno_sessions SET runs = '{\"run_id\": \"a\"}' WHERE session_id = 'agent-1'"),
        said: "agno_sessions: agent-1: its runs are no list: nothing of it is in the runs table",
        way: Way::Judged,
    },
    Damage {
        what: "an app of Agno 2 went on with a session",
        sql: both("UPDATE agno_sessions SET runs = '[{\"run_id\": \"new\"}]' WHERE session_id = 'agent-1'"),
        said: "agno_sessions: agent-1 runs[0]: run new is only in the old column",
        way: Way::Named,
    },
    Damage {
        what: "a run without a session",
        sql: both(
            "{no keys} INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at, updated_at) \
              VALUES ('lost', 'gone', 'agent', 0, '{}', 1, 1)",
        ),
        said: "agno_sessions: lost: its row in agno_runs has no session",
        way: Way::ByHand("DELETE FROM agno_runs WHERE run_id = 'lost'"),
    },
    Damage {
        what: "an index is missing",
        sql: both("DROP INDEX {schema}idx_agno_eval_runs_user_id"),
        said: "agno_eval_runs: : it lacks index on (user_id)",
        way: Way::Named,
    },
    Damage {
        what: "an index of the runs table is missing",
        sql: both("DROP INDEX {schema}idx_agno_runs_session_id"),
        said: "agno_sessions: : it lacks index on (session_id) of agno_runs",
        way: Way::Named,
    },
    Damage {
        what: "a unique key is missing",
        sql: both("DROP INDEX {schema}agno_schedules_uq_user_name"),
        said: "agno_schedules: : it lacks unique index on (user_id, name) where user_id is not NULL",
        way: Way::Named,
    },
    Damage {
        what: "a column is missing",
        sql: both("ALTER TABLE agno_schedules DROP COLUMN disabled_reason"),
        said: "agno_schedules: : it lacks column disabled_reason VARCHAR",
        way: Way::Named,
    },
    Damage {
        what: "the runs table is missing",
        sql: both("DROP TABLE agno_runs"),
        said: "agno_sessions: : it lacks a runs table: key run_id, 9 indexes, rows go with their session",
        way: Way::Named,
    },
    Damage {
        what: "a stamp that is not known",
        sql: both(
            "UPDATE agno_schema_versions SET version = '9.9.9' WHERE table_name = 'agno_evals' OR table_name = 'agno_eval_runs'",
        ),
        said: "agno_eval_runs: : it is stamped 9.9.9, which this agno-migrate does not know",
        way: Way::ByHand("UPDATE agno_schema_versions SET version = '3.0.0'"),
    },
    Damage {
        what: "an entity memory on a key that users share",
        sql: both(
            "INSERT INTO agno_learnings (learning_id, learning_type, namespace, user_id, entity_id, entity_type, content, created_at) \
              VALUES ('entity_user_person_zoe', 'entity_memory', 'user', 'u', 'zoe', 'person', '{\"facts\": []}', 1)",
        ),
        said: "agno_learnings: entity_user_person_zoe: its key is shared across users",
        way: Way::Named,
    },
    Damage {
        what: "archived values whose column is there",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('evals', 'agno_eval_runs', 'x', 'user_id', {value})"),
        said: "agno_migrate_archive: agno_eval_runs user_id: 1 value wait in the archive, and the table has the column again",
        way: Way::Named,
    },
    Damage {
        what: "archived values of a table that is not there",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('evals', 'renamed', 'x', 'user_id', {value})"),
        said: "agno_migrate_archive: renamed user_id: 1 value of a table that is not there",
        way: Way::Named,
    },
    Damage {
        what: "a run has another owner",
        sql: both("UPDATE agno_runs SET user_id = 'mallory' WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[0]: run {first} has another user_id in the runs table",
        way: DELETED,
    },
    Damage {
        what: "a run has another time",
        sql: both("UPDATE agno_runs SET created_at = 5, updated_at = 5 WHERE session_id = 'agent-1' AND run_index = 0"),
        said: "agno_sessions: agent-1 runs[0]: run {first} has another created_at in the runs table",
        way: DELETED,
    },
    Damage {
        what: "the runs table lacks a column",
        sql: both("ALTER TABLE agno_runs DROP COLUMN parent_run_id"),
        said: "agno_sessions: : its runs table agno_runs lacks column parent_run_id",
        way: Way::Partly("has another parent_run_id"),
    },
    Damage {
        what: "the runs table has lost its payloads",
        sql: both("ALTER TABLE agno_runs DROP COLUMN run_data"),
        said: "agno_sessions: : its runs table agno_runs lacks column run_data",
        way: Way::Judged,
    },
    Damage {
        what: "the runs table has lost its key",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY (\"run_id\")', 'CHECK (1)') WHERE name = 'agno_runs'; \
             DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_agno_runs_1'",
            "ALTER TABLE agno_runs DROP CONSTRAINT agno_runs_pkey CASCADE",
        ],
        said: "agno_sessions: : its runs table agno_runs has lost its key run_id",
        way: Way::Named,
    },
    Damage {
        what: "the runs table has lost its foreign key",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, 'FOREIGN KEY(\"session_id\") REFERENCES \"agno_sessions\" (\"session_id\") \
             ON DELETE CASCADE', 'CHECK (1)') WHERE name = 'agno_runs'",
            "ALTER TABLE agno_runs DROP CONSTRAINT agno_runs_session_id_fkey",
        ],
        said: "agno_sessions: : its runs table agno_runs lacks the foreign key on agno_sessions: rows would stay when their session \
               is deleted",
        way: Way::Named,
    },
    Damage {
        what: "the foreign key of the runs table does not cascade",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, ' ON DELETE CASCADE', '') WHERE name = 'agno_runs'",
            "ALTER TABLE agno_runs DROP CONSTRAINT agno_runs_session_id_fkey; \
             ALTER TABLE agno_runs ADD FOREIGN KEY (session_id) REFERENCES agno_sessions (session_id)",
        ],
        said: "agno_sessions: : its runs table agno_runs does not delete its rows with their session (ON DELETE CASCADE)",
        way: Way::Named,
    },
    Damage {
        what: "payloads of another type",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, '\"run_data\" JSON', '\"run_data\" BLOB') WHERE name = 'agno_runs'",
            "ALTER TABLE agno_runs ALTER COLUMN run_data TYPE json",
        ],
        said: "agno_sessions: : in its runs table agno_runs column run_data is {blob}, not {jsonb}",
        way: Way::Named,
    },
    Damage {
        what: "payloads that may be missing",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, '\"run_data\" JSON NOT NULL', '\"run_data\" JSON') WHERE name = 'agno_runs'",
            "ALTER TABLE agno_runs ALTER COLUMN run_data DROP NOT NULL",
        ],
        said: "agno_sessions: : in its runs table agno_runs column run_data is not NOT NULL",
        way: Way::Named,
    },
    Damage {
        what: "places that are text",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, '\"run_index\" BIGINT', '\"run_index\" VARCHAR') WHERE name = 'agno_runs'",
            "ALTER TABLE agno_runs ALTER COLUMN run_index TYPE text",
        ],
        said: "agno_sessions: : in its runs table agno_runs column run_index is {text}, not BIGINT",
        way: Way::Named,
    },
    Damage {
        what: "times of memories that are text",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, 'created_at BIGINT', 'created_at VARCHAR') WHERE name = 'agno_memories'",
            "ALTER TABLE agno_memories ALTER COLUMN created_at TYPE text",
        ],
        said: "agno_memories: : column created_at is {text}, not BIGINT",
        way: Way::Named,
    },
    Damage {
        what: "owners that are numbers",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, '\"user_id\" VARCHAR', '\"user_id\" BIGINT') WHERE name = 'agno_eval_runs'",
            "ALTER TABLE agno_eval_runs ALTER COLUMN user_id TYPE integer USING NULL",
        ],
        said: "agno_eval_runs: : column user_id is {number}, not VARCHAR",
        way: Way::Named,
    },
    Damage {
        what: "owners that must be there",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, '\"user_id\" VARCHAR', '\"user_id\" VARCHAR NOT NULL') WHERE name = 'agno_eval_runs'",
            "UPDATE agno_eval_runs SET user_id = ''; ALTER TABLE agno_eval_runs ALTER COLUMN user_id SET NOT NULL",
        ],
        said: "agno_eval_runs: : column user_id is NOT NULL, and Agno writes NULL to it",
        way: Way::Named,
    },
    Damage {
        what: "a table has lost its key",
        sql: both(
            "CREATE TABLE {schema}copied AS SELECT * FROM agno_memories; DROP TABLE agno_memories; \
             ALTER TABLE {schema}copied RENAME TO agno_memories",
        ),
        said: "agno_memories: : it is no memories table any more: memory_id is not its key",
        way: Way::Named,
    },
    Damage {
        what: "the sessions have lost their key",
        sql: [
            "{rewrite} UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY (session_id)', 'CHECK (1)') WHERE name = 'agno_sessions'; \
             DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_agno_sessions_1'",
            "ALTER TABLE agno_sessions DROP CONSTRAINT agno_sessions_pkey CASCADE",
        ],
        said: "agno_sessions: : it is no sessions table any more: session_id is not its key",
        way: Way::Named,
    },
    Damage {
        what: "a table has lost a column of the first release",
        sql: both("ALTER TABLE agno_eval_runs DROP COLUMN eval_data"),
        said: "agno_eval_runs: : it is no evals table any more: it lacks eval_data",
        way: Way::ByHand("ALTER TABLE agno_eval_runs ADD COLUMN eval_data {jsonb}"),
    },
    Damage {
        what: "a table with a name of the user's has lost a column",
        sql: both("ALTER TABLE support DROP COLUMN metadata"),
        said: "support: : it is no sessions table any more: it lacks metadata",
        way: Way::ByHand("ALTER TABLE support ADD COLUMN metadata {jsonb}"),
    },
    Damage {
        what: "a run of a schedule that is gone",
        sql: both("{no keys} UPDATE agno_schedule_runs SET schedule_id = 'gone' WHERE id = 'schedule-run-0'"),
        said: "agno_schedule_runs: schedule-run-0: its schedule is not in agno_schedules",
        way: Way::ByHand("DELETE FROM agno_schedule_runs WHERE id = 'schedule-run-0'"),
    },
    Damage {
        what: "an entity memory under another user's key",
        sql: both(
            "INSERT INTO agno_learnings (learning_id, learning_type, namespace, user_id, entity_id, entity_type, content, created_at) \
              VALUES ('entity_user_0000000000000000_person_zoe', 'entity_memory', 'user', 'u', 'zoe', 'person', '{\"facts\": []}', 1)",
        ),
        said: "agno_learnings: entity_user_0000000000000000_person_zoe: its key names another user than its owner",
        way: Way::ByHand(
            "UPDATE agno_learnings SET learning_id = 'entity_user_0bfe935e70c321c7_person_zoe' WHERE entity_id = 'zoe'",
        ),
    },
    Damage {
        what: "archived values of a column that no version has",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('evals', 'agno_eval_runs', 'x', 'nonsense', {value})"),
        said: "agno_migrate_archive: agno_eval_runs nonsense: 1 value that no version of evals archives",
        way: Way::Named,
    },
    Damage {
        what: "archived values of an unknown type",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('banana', 'agno_eval_runs', 'x', 'user_id', {value})"),
        said: "agno_migrate_archive: agno_eval_runs user_id: 1 value of banana, a type that no table of Agno has",
        way: Way::Named,
    },
    Damage {
        what: "an archived row of a table that archives none",
        sql: both(
            "{archive} INSERT INTO agno_migrate_archive VALUES ('evals', 'agno_eval_runs', 'x', 'row.run_id', {value})",
        ),
        said: "agno_migrate_archive: agno_eval_runs run_id: 1 value that no version of evals archives",
        way: Way::Named,
    },
    Damage {
        what: "archived values of runs that are rows",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('runs', 'agno_runs', '{first}', 'user_id', {value})"),
        said: "agno_migrate_archive: agno_runs user_id: 1 value wait in the archive, and the runs table has its rows",
        way: Way::Named,
    },
    Damage {
        what: "an archived row that is not whole",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('metrics', 'agno_metrics', 'x', 'row.id', {value})"),
        said: "agno_migrate_archive: x: this row of agno_metrics waits in the archive without all its columns: it cannot come back",
        way: Way::ByHand("DELETE FROM agno_migrate_archive WHERE table_name = 'agno_metrics' AND row_key = 'x'"),
    },
    Damage {
        what: "an archived row without its key",
        sql: both("{archive} INSERT INTO agno_migrate_archive VALUES ('metrics', 'agno_metrics', 'y', 'row.date', {value})"),
        said: "agno_migrate_archive: y: this row of agno_metrics waits in the archive without all its columns: it cannot come back",
        way: Way::ByHand("DELETE FROM agno_migrate_archive WHERE table_name = 'agno_metrics' AND row_key = 'y'"),
    },
    Damage {
        what: "an archive that is none",
        sql: both("CREATE TABLE {schema}agno_migrate_archive (mine INTEGER)"),
        said: "agno_migrate_archive: : it has not the columns of an archive",
        way: Way::ByHand("ALTER TABLE agno_migrate_archive RENAME TO mine"),
    },
];

/// What stands for the words of a kind of database.
fn words(text: &str, kind: Kind) -> String {
    let archive = "CREATE TABLE {schema}agno_migrate_archive (table_type VARCHAR NOT NULL, table_name VARCHAR NOT NULL, \
                     row_key VARCHAR NOT NULL, column_name VARCHAR NOT NULL, value {any}, \
                     PRIMARY KEY (table_name, row_key, column_name));";
    let of_kind: [(&str, [&str; 2]); 9] = [
        ("{archive}", [archive, archive]),
        ("{schema}", ["", "ai."]),
        ("{any}", ["BLOB", "TEXT"]),
        ("{value}", ["'u'", "'u'"]),
        ("{no keys}", ["PRAGMA foreign_keys = OFF;", "SET session_replication_role = replica;"]),
        ("{rewrite}", ["PRAGMA writable_schema = ON;", ""]),
        ("{jsonb}", ["JSON", "JSONB"]),
        ("{text}", ["VARCHAR", "text"]),
        ("{number}", ["BIGINT", "integer"]),
    ];
    let at = usize::from(kind != Kind::Sqlite);
    let blob = if kind == Kind::Sqlite { "BLOB" } else { "json" };
    of_kind.iter().fold(text.replace("{blob}", blob), |text, (word, of)| text.replace(word, of[at]))
}

/// Does what differences name: statements, then commands.
fn follow(database: &Database, report: &Report) {
    let mends: BTreeSet<&str> =
        report.tables.iter().flat_map(|table| &table.differences.named).map(|one| one.mend.as_str()).collect();
    for mend in &mends {
        let begins = ["ALTER TABLE", "CREATE UNIQUE INDEX", "DELETE FROM"].iter().filter_map(|verb| mend.find(verb)).min();
        if let Some(begin) = begins {
            let ends = [" makes it", " takes them", ", once"].iter().filter_map(|end| mend.find(end)).min();
            database.sql(&mend[begin..ends.unwrap_or(mend.len())]);
        }
    }
    for mend in &mends {
        let commands: Vec<Vec<&str>> = match mend.find("agno-migrate ") {
            Some(_) if mend.contains("up again") => vec![vec!["down", "v2.5.6"], vec!["up"]],
            Some(at) => mend[at..].split("agno-migrate ").filter(|part| !part.is_empty()).map(command).collect(),
            None => Vec::new(),
        };
        for mut words in commands {
            if words.first() == Some(&"down") {
                words.push("--yes");
            }
            if ["up", "down"].contains(words.first().unwrap_or(&"")) {
                let report = database.run(&words);
                assert_eq!(report.failure, None, "{words:?}, by {mend}");
            }
        }
    }
}

/// The words of a command at the beginning of a sentence.
fn command(text: &str) -> Vec<&str> {
    let is_word = |word: &&str| {
        ["up", "down", "--force", "--to", "--only"].contains(word)
            || word.starts_with('v') && word.ends_with(char::is_numeric)
            || agno_migrate::schema::TableType::from_word(word).is_some()
    };
    text.split(' ').take_while(is_word).collect()
}

fn copy(database: &Database) -> Database {
    match database.kind {
        Kind::Sqlite => {
            let copy = Database::empty();
            std::fs::copy(&database.path, &copy.path).expect("copies");
            copy
        }
        Kind::Postgres(server) => support::postgres::copy(server, database),
    }
}

#[test]
fn every_damage_is_found_and_named_and_mended() {
    let failed = Mutex::new(Vec::new());
    on_every_kind(|kind| {
        let whole = kind.of("2.9.0");
        whole.ok(&["up"]);
        for damage in DAMAGES {
            let checked =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| is_found_and_mended(kind, &whole, damage)));
            if checked.is_err() {
                failed.lock().expect("no other failed").push(format!("{} on {kind:?}", damage.what));
            }
        }
    });
    assert_eq!(failed.into_inner().expect("no other failed"), [""; 0]);
}

fn is_found_and_mended(kind: Kind, whole: &Database, damage: &Damage) {
    let database = copy(whole);
    let run = |index: u8| {
        database.one(&format!("SELECT run_id FROM agno_runs WHERE session_id = 'agent-1' AND run_index = {index}"))
    };
    let (first, second) = (run(0), run(1));
    let filled = |text: &str| words(text, kind).replace("{first}", &first).replace("{second}", &second);
    database.sql(&filled(damage.sql[usize::from(kind != Kind::Sqlite)]));
    let said = filled(damage.said);
    let before = database.dump();
    let report = database.run(&["verify"]);
    let what = format!("{} on {kind:?}", damage.what);
    assert_eq!((report.failure.as_deref(), report.exit_code), (None, 4), "{what}");
    assert!(differences(&report).contains(&said), "{what}: {:#?} lacks {said}", differences(&report));
    assert_same(&database.dump(), &before, &what);

    let mut report = report;
    let left = match damage.way {
        Way::Judged => return,
        Way::ByHand(sql) => {
            database.sql(&filled(sql));
            database.ok(&["up", "--force"]);
            report = database.run(&["verify"]);
            None
        }
        Way::Named => None,
        Way::Partly(left) => Some(left),
    };
    // What is mended may bring to light what could not be looked at before.
    for _ in 0..4 {
        let found = differences(&report);
        if found.iter().all(|one| left.is_some_and(|left| one.contains(left))) {
            break;
        }
        follow(&database, &report);
        report = database.run(&["verify"]);
    }
    let found = differences(&report);
    let is_left = |one: &String| left.is_some_and(|left| one.contains(left));
    assert_eq!(report.failure, None, "{what}");
    assert!(found.iter().all(is_left) && found.is_empty() == left.is_none(), "{what} stays: {report:#?}");
    // Nothing is lost by mending.
    if let Way::Named = damage.way
        && !damage.said.contains("archive")
    {
        let (whole, mended) = (whole.dump(), database.dump());
        assert!(mended["agno_runs"].len() >= whole["agno_runs"].len(), "{what}");
    }
}
