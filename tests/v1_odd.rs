//! Odd rows and odd places of v1: one row that cannot be had never stops the others, and what is not done is said.

mod support;

use agno_migrate::report::Report;
use agno_migrate::v1::account::Account;
use serde_json::{Value, json};
use support::v1::{AGENTS, SHARED, agent, database, memories, run, with};
use support::{Database, Kind, assert_same, differences, kinds};

fn empty(kind: Kind) -> Database {
    match kind {
        Kind::Sqlite => Database::empty(),
        Kind::Postgres(server) => support::postgres::empty(server),
    }
}

fn server() -> Option<Kind> {
    kinds().get(1).copied()
}

fn account<'r>(report: &'r Report, table: &str) -> &'r Account {
    let account = report.converted.iter().find(|account| account.table == table).expect("an account");
    assert!(account.is_balanced(), "{account:?}");
    account
}

fn rejected(account: &Account) -> Vec<&str> {
    account.rejections.iter().map(|(id, _)| id.as_str()).collect()
}

fn state(session: &str, state: &str) -> Value {
    json!({"session_id": session, "agent_id": "A", "session_data": format!("{{\"session_state\": {state}}}"), "created_at": 5})
}

#[test]
fn a_row_without_any_time_gets_one() {
    for kind in kinds() {
        let bare = |session: &str| json!({"session_id": session, "agent_id": "A"});
        let at = |session: &str, at: Value| with(bare(session), json!({"created_at": at}));
        let v1 = database(&[
            ("nowhere", AGENTS, vec![bare("n")]),
            ("fractions", AGENTS, vec![bare("f"), at("f2", json!(1_700_000_000.5))]),
            ("texts", AGENTS, vec![bare("t"), at("t2", json!("2023-11-14 22:13:20"))]),
            ("millis", AGENTS, vec![bare("m"), at("m2", json!(1_700_000_000_123_i64)), at("m3", json!(1_800_000_000))]),
        ]);
        let target = empty(kind);
        target.ok(&["v1-to-v2", "--from", &v1.url]);
        let found = target.query("SELECT session_id, created_at FROM agno_sessions WHERE length(session_id) = 1 ORDER BY 1");
        let expected = [["f", "1700000000"], ["m", "1700000000"], ["n", "1735689600"], ["t", "1700000000"]];
        assert_eq!(found, expected);
        assert_eq!(differences(&target.ok(&["verify", "--from", &v1.url])), [""; 0]);
    }
}

/// What JSONB, an index or a stack cannot take is rejected by id, whether we know it before or the server says so.
#[test]
fn a_value_that_a_server_does_not_take_stops_nothing_else() {
    let Some(kind) = server() else { return };
    let deep = |levels: usize| format!("{{\"d\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    // Nothing that an index could compress.
    let long: String = (0..2000).map(|at: u64| format!("{:x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let mut rows: Vec<Value> = (0..40).map(|at| agent(&format!("ok-{at}"), "A", 5, &[&format!("r-{at}")])).collect();
    rows.extend([
        state("deep", &deep(100_000)),
        state("exponent", r#"{"n": 1e999999}"#),
        state("nan", r#"{"n": NaN}"#),
        state("surrogate", r#"{"s": "\ud800"}"#),
        state("fine", &format!(r#"{{"n": {}, "e": 1e300, "d": {}}}"#, u64::MAX, deep(500))),
        with(agent("long", "A", 5, &["r-long"]), json!({"user_id": long})),
    ]);
    let v1 = database(&[("agents", AGENTS, rows)]);
    let memory = |id: &str, user: &str| json!({"id": id, "user_id": user, "memory": "{'memory': 'tea'}"});
    memories(&v1, "remembered", &[memory("a", "u"), memory("b", &long), memory("c", "u")]);
    for schema in ["2.5.6", "3.0.0"] {
        let target = empty(kind);
        let arguments = ["v1-to-v2", "--to", schema, "--from", &v1.url];
        let report = target.run(&arguments);
        assert_eq!((report.exit_code, report.failure.as_deref()), (1, None), "{}", report.to_json());
        let agents = account(&report, "agents");
        let mut found = rejected(agents);
        found.sort_unstable();
        // An index of user ids came with the runs table.
        let (expected, written): (&[&str], u64) = match schema {
            "2.5.6" => (&["deep", "exponent", "nan", "surrogate"], 42),
            _ => (&["deep", "exponent", "long", "nan", "surrogate"], 41),
        };
        assert_eq!(found, expected, "{schema}");
        assert_eq!((agents.written, agents.runs), (written, written - 1));
        assert_eq!(rejected(account(&report, "remembered")), ["b"]);
        for (id, reason) in agents.rejections.iter().chain(&account(&report, "remembered").rejections) {
            assert!(reason.len() < 200 && !reason.contains("999999"), "{id}: {reason}");
        }
        assert_eq!(target.one("SELECT count(*) FROM agno_sessions"), written.to_string());
        assert_eq!(target.one("SELECT count(*) FROM agno_memories"), "2");
        let before = target.dump();
        let again = target.run(&arguments);
        assert_eq!(account(&again, "agents").already_there, written);
        assert_same(&target.dump(), &before, "again");
    }
}

/// A constraint of the user's own is no reason to stop either.
#[test]
fn a_row_that_a_constraint_refuses_is_named() {
    let Some(kind) = server() else { return };
    let one = database(&[("x", AGENTS, vec![agent("x", "X", 5, &[])])]);
    let v1 = database(&[("agents", AGENTS, vec![agent("a", "A", 5, &["r"]), agent("b", "B", 5, &["s"])])]);
    let target = empty(kind);
    target.ok(&["v1-to-v2", "--from", &one.url]);
    target.sql("ALTER TABLE ai.agno_runs ADD CHECK (agent_id <> 'B')");
    let report = target.run(&["v1-to-v2", "--from", &v1.url]);
    let agents = account(&report, "agents");
    assert_eq!((rejected(agents), agents.written, agents.runs), (vec!["b"], 1, 1), "{}", report.to_json());
    assert_eq!(target.query("SELECT session_id FROM agno_sessions ORDER BY 1"), [["a"], ["x"]]);
    assert_eq!(target.one("SELECT count(*) FROM agno_runs"), "1");
}

#[test]
fn memories_alone_name_the_sessions_that_cannot_be_read() {
    let bad = json!({"session_id": "bad", "user_id": "ann", "agent_id": "A", "created_at": 5,
        "memory": {"runs": 5, "memories": {"ann": {"m1": {"memory": "likes tea"}}}}});
    let v1 = database(&[("agents", AGENTS, vec![bad, agent("good", "A", 5, &["r"])])]);
    let target = Database::empty();
    for arguments in
        [vec!["v1-to-v2", "--memory", "--dry-run", "--from", &v1.url], vec!["v1-to-v2", "--memory", "--from", &v1.url]]
    {
        let report = target.run(&arguments);
        assert_eq!((report.exit_code, rejected(account(&report, "agents"))), (1, vec!["bad"]), "{}", report.to_json());
    }
}

#[test]
fn runs_of_sessions_without_a_row_are_told() {
    let runs =
        json!({"runs": {"gone": [run("r1", json!({}))], "own": [run("r2", json!({}))], "there": [run("r3", json!({}))]}});
    let own = json!({"session_id": "own", "agent_id": "A", "memory": runs, "created_at": 5});
    let v1 = database(&[("agents", AGENTS, vec![own, agent("there", "A", 5, &["r3"])])]);
    let report = Database::empty().ok(&["v1-to-v2", "--from", &v1.url]);
    let (_, warnings) = report.messages();
    assert_eq!(warnings, ["agents: it has runs of sessions that have no row, which are not converted: gone"]);
}

/// The last run decides in v1's own reading; but a team's run in an agent's session has no place that every Agno reads.
#[test]
fn a_shared_row_in_which_a_team_ran_is_the_teams() {
    for runs in [["t1", "a1"], ["a1", "t1"]] {
        let of = |id: &&str| run(id, if id.starts_with('t') { json!({"team_id": "T"}) } else { json!({"agent_id": "A"}) });
        let row = json!({"session_id": "s", "agent_id": "A", "team_id": "T", "team_data": {"team_id": "T"},
            "memory": {"runs": runs.iter().map(of).collect::<Vec<_>>()}, "created_at": 5});
        let target = Database::empty();
        target.ok(&["v1-to-v2", "--from", &database(&[("shared", SHARED, vec![row])]).url]);
        assert_eq!(target.one("SELECT session_type FROM agno_sessions"), "team");
        assert_eq!(target.one("SELECT count(*) FROM agno_runs"), "2");
    }
}

#[test]
fn one_file_by_two_names_is_one() {
    for mode in ["delete", "wal"] {
        let v1 = database(&[(
            "agents",
            AGENTS,
            (0..500).map(|at| agent(&format!("s{at}"), "A", 5, &[&format!("r{at}")])).collect(),
        )]);
        v1.sql(&format!("PRAGMA journal_mode = {mode}"));
        let link = v1.folder().join("link.db");
        std::os::unix::fs::symlink(&v1.path, &link).expect("a link");
        let dotted = format!("sqlite:///{}", v1.folder().join(".").join("agno.db").display());
        for name in [link.to_str().expect("UTF-8"), &dotted] {
            v1.sql("DROP TABLE IF EXISTS agno_sessions; DROP TABLE IF EXISTS agno_runs; DROP TABLE IF EXISTS agno_memories");
            let report = v1.ok(&["v1-to-v2", "--from", name, "--lock-wait", "5"]);
            assert_eq!(account(&report, "agents").written, 500, "{mode} {name}");
            assert_eq!(v1.one("SELECT count(*) FROM agno_runs"), "500");
        }
    }
}

#[test]
fn times_are_read_in_one_style() {
    let Some(kind) = server() else { return };
    let v1 = empty(kind);
    v1.sql(
        "CREATE SCHEMA ai;
         CREATE TABLE ai.user_memories (id varchar PRIMARY KEY, user_id varchar, memory jsonb, created_at timestamptz, updated_at timestamptz);
         INSERT INTO ai.user_memories VALUES ('1', 'u', '{\"memory\": \"x\"}', '2024-05-01 12:00:00+00', NULL);
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''German, DMY''', current_database());
           EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); END $$",
    );
    for target in [Database::empty(), empty(kind)] {
        target.ok(&["v1-to-v2", "--from", &v1.url]);
        assert_eq!(target.one("SELECT created_at FROM agno_memories"), "1714564800");
    }
}

#[test]
fn tables_of_another_schema_are_found_for_the_user() {
    let Some(kind) = server() else { return };
    let v1 = empty(kind);
    v1.sql(
        "CREATE TABLE public.agent_sessions (session_id varchar PRIMARY KEY, user_id varchar, memory jsonb, session_data jsonb,
           extra_data jsonb, created_at bigint, updated_at bigint, agent_id varchar, agent_data jsonb, team_session_id varchar)",
    );
    let report = v1.ok(&["v1-to-v2"]);
    assert!(
        report.notes.iter().any(|note| note.ends_with("; the schema public has some: --from-schema public reads them")),
        "{:?}",
        report.notes
    );
    let why = v1.refused(&["verify", "--from", &v1.url], 6);
    assert!(why.contains("--from-schema public"), "{why}");
    assert!(v1.ok(&["v1-to-v2", "--from-schema", "public"]).notes.is_empty());
}

/// Documents are where they are: extended there, when it is the app's database, and told before.
#[test]
fn vectors_are_extended_where_the_app_has_them() {
    let Some(kind) = server() else { return };
    let docs = |more: &str| {
        let database = empty(kind);
        database.sql(&format!(
            "CREATE SCHEMA ai; CREATE TABLE ai.docs (id varchar PRIMARY KEY, name varchar, meta_data jsonb, filters jsonb, content text,
               embedding text, usage jsonb, content_hash varchar {more})"
        ));
        database
    };
    let indexes = "SELECT count(*) FROM pg_indexes WHERE indexname IN ('idx_docs_content_hash', 'idx_docs_content_id')";
    let steps = |report: &Report| report.converted.first().map(|account| account.steps.clone()).unwrap_or_default();
    let database = docs("");
    let told = steps(&database.ok(&["v1-to-v2", "--vectors", "--dry-run"]));
    assert_eq!(
        told,
        ["would add index idx_docs_content_hash", "would add column content_id", "would add index idx_docs_content_id"]
    );
    assert_eq!(database.one(indexes), "0");
    let target = Database::empty();
    for selectors in [vec![], vec!["--vectors"]] {
        let report = target.ok(&[vec!["v1-to-v2", "--from", &database.url], selectors].concat());
        assert!(
            report.notes.iter().any(|note| note.starts_with("docs: PgVector tables are not copied")),
            "{:?}",
            report.notes
        );
        assert!(!target.path.exists(), "an empty file was left behind");
        assert_eq!(database.one(indexes), "0");
    }
    let done = steps(&database.ok(&["v1-to-v2", "--vectors", "--from", &database.url]));
    assert_eq!(done.iter().map(|step| step.replace("added", "would add")).collect::<Vec<_>>(), told);
    let half = docs(", content_id varchar");
    assert_eq!(steps(&half.ok(&["v1-to-v2"])).len(), 2);
    for database in [database, half] {
        assert_eq!(database.one(indexes), "2");
        assert!(database.ok(&["v1-to-v2"]).converted.is_empty(), "a second run");
    }
}

#[test]
fn kills_on_the_way_from_a_server_change_nothing_in_the_end() {
    let Some(kind) = server() else { return };
    let (Kind::Postgres(number), reference) = (kind, Database::empty()) else { return };
    let original = support::postgres::database(number, "../v1/postgres/agno-1.8.4");
    let started = std::time::Instant::now();
    reference.ok(&["v1-to-v2", "--from", &original.url]);
    let takes = started.elapsed();
    for at in 0..12u32 {
        let target = Database::empty();
        let mut child = support::binary()
            .args(["v1-to-v2", "-q", "--from", &original.url, "--db", &target.url])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(takes * at / 12);
        let _ = child.kill();
        child.wait().expect("it ends");
        target.ok(&["v1-to-v2", "--from", &original.url]);
        assert_same(&target.dump(), &reference.dump(), &format!("killed at {at}/12"));
    }
}
