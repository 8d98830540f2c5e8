//! Whose id is whose, when sessions, runs or memories of v1 share one: nobody is lost, whatever the tables are called, whatever
//! was converted before, and at every schema.

mod support;

use agno_migrate::report::Report;
use serde_json::{Value, json};
use support::v1::{AGENTS, SHARED, TEAMS, agent, database, judged, memories, run, venvs, with};
use support::{Database, Kind, SCHEMAS, assert_same, differences, kinds};

fn empty(kind: Kind) -> Database {
    match kind {
        Kind::Sqlite => Database::empty(),
        Kind::Postgres(server) => support::postgres::empty(server),
    }
}

/// The numbers of a report, table by table.
fn numbers(report: &Report) -> Vec<(String, [u64; 6])> {
    let of = |account: &agno_migrate::v1::account::Account| {
        assert!(account.is_balanced(), "{account:?}");
        let numbers = [account.read, account.written, account.already_there, account.merged, account.rejected, account.runs];
        (account.table.clone(), numbers)
    };
    report.converted.iter().map(of).collect()
}

/// Converts, holds the result against what was told before, converts and verifies again: the same, and nothing is written.
fn converted(target: &Database, from: &[&Database], to: &str) -> Report {
    let urls = || from.iter().flat_map(|database| ["--from", database.url.as_str()]);
    let arguments: Vec<&str> = ["v1-to-v2", "--to", to].into_iter().chain(urls()).collect();
    let told = target.run(&[&arguments[..], &["--dry-run"]].concat());
    let report = target.run(&arguments);
    assert_eq!(numbers(&told), numbers(&report), "told and done\n{}", told.to_json());
    let renamed = |report: &Report| report.converted.iter().flat_map(|account| account.renamed.clone()).collect::<Vec<_>>();
    assert_eq!(renamed(&told), renamed(&report));
    let before = target.dump();
    let again = target.run(&arguments);
    assert_eq!(numbers(&again).iter().map(|(_, numbers)| numbers[1]).sum::<u64>(), 0, "a second run wrote");
    assert_same(&target.dump(), &before, "a second run");
    let verify: Vec<&str> = ["verify"].into_iter().chain(urls()).collect();
    let found = differences(&target.run(&verify));
    let rejected: u64 = numbers(&report).iter().map(|(_, numbers)| numbers[4]).sum();
    assert_eq!(found.len() as u64, rejected, "{found:?}");
    report
}

fn sessions(target: &Database) -> Vec<Vec<String>> {
    target.query("SELECT session_id, session_type, coalesce(agent_id, team_id, workflow_id) FROM agno_sessions ORDER BY 1")
}

fn runs(target: &Database) -> Vec<Vec<String>> {
    target.query("SELECT run_id, session_id, parent_run_id FROM agno_runs ORDER BY session_id, run_index")
}

fn team(session: &str, team: &str, runs: Value) -> Value {
    json!({"session_id": session, "team_id": team, "team_data": {"team_id": team}, "memory": {"runs": runs}, "created_at": 5})
}

#[test]
fn two_agents_of_one_session_and_second_both_stay() {
    for kind in kinds() {
        for schema in SCHEMAS {
            let one = agent("s", "A", 5, &["r1"]);
            let other = agent("s", "B", 5, &["r2"]);
            let v1 = database(&[("agents1", AGENTS, vec![one]), ("agents2", AGENTS, vec![other])]);
            let target = empty(kind);
            let report = converted(&target, &[&v1], schema);
            assert_eq!(sessions(&target), [["s", "agent", "A"], ["s:agents2", "agent", "B"]]);
            assert_eq!(report.converted[1].renamed, [("s".to_owned(), "s:agents2".to_owned())]);
            target.ok(&["up"]);
            // Nobody else has its run: that keeps its id.
            assert_eq!(runs(&target), [["r1", "s", "NULL"], ["r2", "s:agents2", "NULL"]]);
        }
    }
}

#[test]
fn a_command_for_each_database_is_as_good_as_one() {
    for schema in SCHEMAS {
        let one = database(&[("agents", AGENTS, vec![agent("s", "A", 5, &["r"]), agent("t", "A", 5, &["u"])])]);
        let other = database(&[("agents", AGENTS, vec![agent("s", "B", 5, &["x"]), agent("v", "B", 6, &["r", "y"])])]);
        let (apart, at_once) = (Database::empty(), Database::empty());
        converted(&apart, &[&one], schema);
        converted(&apart, &[&other], schema);
        converted(&at_once, &[&one, &other], schema);
        assert_same(&apart.dump(), &at_once.dump(), schema);
        apart.ok(&["up"]);
        let expected = [["r", "s"], ["x", "s:agents"], ["u", "t"], ["r:v", "v"], ["y", "v"]];
        let found: Vec<Vec<String>> = runs(&apart).into_iter().map(|row| row[..2].to_vec()).collect();
        assert_eq!(found, expected, "{schema}");
        for from in [&one, &other] {
            assert_eq!(differences(&apart.ok(&["verify", "--from", &from.url])), [""; 0], "{schema}");
        }
    }
}

#[test]
fn a_copy_of_a_row_is_that_row() {
    let one = database(&[("agents", AGENTS, vec![agent("s", "A", 5, &["r"])])]);
    let target = Database::empty();
    let report = converted(&target, &[&one, &one], "3.0.0");
    assert_eq!(sessions(&target), [["s", "agent", "A"]]);
    assert_eq!(report.converted[1].already_there, 1);
}

/// The app may say anew whose a session is.
#[test]
fn what_the_app_gave_to_another_agent_is_there_still() {
    let v1 = database(&[("agents", AGENTS, vec![agent("s", "A", 5, &["r"])])]);
    for schema in ["2.5.6", "3.0.0"] {
        let target = Database::empty();
        let arguments = ["v1-to-v2", "--to", schema, "--from", &v1.url];
        target.ok(&arguments);
        target.sql("UPDATE agno_sessions SET agent_id = 'named', updated_at = 9");
        target.ok(&arguments);
        assert_eq!(sessions(&target), [["s", "agent", "named"]]);
    }
}

/// A team, a team that is its member, and members of both, each with a table of its own.
fn nested(names: [&str; 4], second: i64) -> Database {
    let inner = run("i1", json!({"team_id": "I", "member_responses": [run("m1", json!({"agent_id": "M"}))]}));
    let outer = run("o1", json!({"team_id": "O", "member_responses": [inner.clone(), run("n1", json!({"agent_id": "N"}))]}));
    let member = json!({"team_session_id": "s"});
    let own = with(team("s", "I", json!([inner, run("i2", json!({"team_id": "I"}))])), json!({"created_at": second}));
    database(&[
        (names[0], TEAMS, vec![with(own, member.clone())]),
        (names[1], TEAMS, vec![team("s", "O", json!([outer]))]),
        (names[2], AGENTS, vec![with(agent("s", "M", 5, &["m1", "m2"]), member.clone())]),
        (names[3], AGENTS, vec![with(agent("s", "N", 5, &["n1"]), member)]),
    ])
}

#[test]
fn teams_in_teams_are_one_session_whatever_their_tables_are_called() {
    for names in [["inner", "outer", "m", "n"], ["z_inner", "outer", "m", "n"]] {
        for second in [5, 6] {
            let v1 = nested(names, second);
            let target = Database::empty();
            let report = converted(&target, &[&v1], "3.0.0");
            assert_eq!(sessions(&target), [["s", "team", "O"]], "{names:?}");
            let mut found: Vec<Vec<String>> = runs(&target);
            found.sort();
            let expected = [
                ["i1", "s", "o1"],
                ["i2", "s", "o1"],
                ["m1", "s", "i1"],
                ["m2", "s", "o1"],
                ["n1", "s", "o1"],
                ["o1", "s", "NULL"],
            ];
            assert_eq!(found, expected, "{names:?}");
            assert_eq!(report.converted.iter().map(|account| account.merged).sum::<u64>(), 3);
        }
    }
}

#[test]
fn an_inner_team_leads_where_the_outer_one_was_not_stored() {
    for names in [["a", "b"], ["b", "a"]] {
        let inner = run("i1", json!({"team_id": "I"}));
        let middle = run("m1", json!({"team_id": "M", "member_responses": [inner.clone()]}));
        let member = json!({"team_session_id": "s"});
        let v1 = database(&[
            (names[0], TEAMS, vec![with(team("s", "I", json!([inner])), member.clone())]),
            (names[1], TEAMS, vec![with(team("s", "M", json!([middle])), member)]),
        ]);
        let target = Database::empty();
        converted(&target, &[&v1], "3.0.0");
        assert_eq!(sessions(&target), [["s", "team", "M"]]);
        assert_eq!(runs(&target), [["i1", "s", "m1"], ["m1", "s", "NULL"]]);
    }
}

#[test]
fn a_team_in_a_table_that_served_several_has_its_members() {
    for (members, shared) in [("agents", "shared"), ("z_agents", "shared")] {
        let response = run("t1", json!({"team_id": "T", "member_responses": [run("r1", json!({"agent_id": "A"}))]}));
        let member = with(agent("s", "A", 5, &["r1", "rx"]), json!({"team_session_id": "s"}));
        // In one more table that served several a member comes before its team.
        let other = with(agent("s", "B", 5, &["b1"]), json!({"team_session_id": "s"}));
        let v1 = database(&[
            (members, AGENTS, vec![member]),
            ("a_shared", SHARED, vec![other]),
            (shared, SHARED, vec![team("s", "T", json!([response]))]),
        ]);
        let target = Database::empty();
        converted(&target, &[&v1], "3.0.0");
        assert_eq!(sessions(&target), [["s", "team", "T"]]);
        let mut found = runs(&target);
        found.sort();
        assert_eq!(found, [["b1", "s", "t1"], ["r1", "s", "t1"], ["rx", "s", "t1"], ["t1", "s", "NULL"]]);
    }
}

#[test]
fn a_team_that_gets_another_id_keeps_its_members() {
    let response = run("t1", json!({"team_id": "T", "member_responses": [run("r1", json!({"agent_id": "A"}))]}));
    let member = with(agent("s", "A", 5, &["r1", "rx"]), json!({"team_session_id": "s"}));
    let v1 = database(&[("agents", AGENTS, vec![member]), ("teams", TEAMS, vec![team("s", "T", json!([response]))])]);
    let other = database(&[("agents", AGENTS, vec![agent("s", "X", 5, &["x"])])]);
    for schema in SCHEMAS {
        let target = Database::empty();
        target.ok(&["v1-to-v2", "--to", schema, "--from", &other.url]);
        converted(&target, &[&v1], schema);
        target.ok(&["up"]);
        assert_eq!(sessions(&target), [["s", "agent", "X"], ["s:teams", "team", "T"]]);
        let expected = [["x", "s", "NULL"], ["r1", "s:teams", "t1"], ["rx", "s:teams", "t1"], ["t1", "s:teams", "NULL"]];
        let mut found = runs(&target);
        found.sort_by_key(|row| (row[1].clone(), row[0].clone()));
        assert_eq!(found, expected, "{schema}");
    }
}

/// A run of a member's row that another session has too is not lost behind that.
#[test]
fn extra_runs_of_members_get_ids_that_are_free() {
    let v1 = database(&[
        (
            "teams",
            TEAMS,
            vec![team("a", "T", json!([run("x", json!({"team_id": "T"}))])), team("s", "T", json!([run("t", json!({}))]))],
        ),
        ("agents", AGENTS, vec![with(agent("s", "A", 5, &["x"]), json!({"team_session_id": "s"}))]),
    ]);
    let target = Database::empty();
    converted(&target, &[&v1], "3.0.0");
    assert_eq!(runs(&target), [["x", "a", "NULL"], ["x:s", "s", "t"], ["t", "s", "NULL"]]);
}

#[test]
fn what_a_member_row_says_besides_its_runs_stays() {
    let member = with(
        agent("s", "A", 5, &["r"]),
        json!({"team_session_id": "s", "extra_data": {"k": "v"}, "agent_data": {"name": "the agent"},
            "memory": {"runs": [run("r", json!({}))], "summary": {"summary": "in short"}}}),
    );
    let v1 =
        database(&[("agents", AGENTS, vec![member]), ("teams", TEAMS, vec![team("s", "T", json!([run("t", json!({}))]))])]);
    let target = Database::empty();
    converted(&target, &[&v1], "3.0.0");
    let data: Value = serde_json::from_str(&target.one("SELECT session_data FROM agno_sessions")).expect("JSON");
    let kept = &data["agno_v1"];
    assert_eq!(kept["member_sessions.A.extra_data"], json!({"k": "v"}), "{data}");
    assert_eq!(kept["member_sessions.A.agent_data"], json!({"name": "the agent"}), "{data}");
    assert_eq!(kept["member_sessions.A.summary"]["summary"], "in short", "{data}");
}

#[test]
fn memories_of_two_users_with_one_id_both_stay() {
    let same = json!([{"memory": "likes tea", "input": "I like tea"}]);
    let of = |session: &str, user: &str| json!({"session_id": session, "user_id": user, "agent_id": "A", "memory": {"runs": [], "memories": same}, "created_at": 5});
    for kind in kinds() {
        let v1 = database(&[("agents", AGENTS, vec![of("s1", "ann"), of("s2", "bob")])]);
        memories(&v1, "m1", &[json!({"id": "x", "user_id": "cyd", "memory": "{'memory': 'likes tea'}"})]);
        memories(&v1, "m2", &[json!({"id": "x", "user_id": "dan", "memory": "{'memory': 'likes coffee'}"})]);
        let target = empty(kind);
        let report = converted(&target, &[&v1], "3.0.0");
        let found = target.query("SELECT user_id, memory FROM agno_memories ORDER BY 1");
        let expected =
            [["ann", "\"likes tea\""], ["bob", "\"likes tea\""], ["cyd", "\"likes tea\""], ["dan", "\"likes coffee\""]];
        assert_eq!(found, expected);
        let (notes, _) = report.messages();
        let counted = notes.iter().filter(|note| note.ends_with("1 memories renamed because another user's has their id"));
        assert_eq!(counted.count(), 2, "{notes:?}");
        // The same when each user came in a conversion of its own.
        assert_eq!(target.one("SELECT count(*) FROM agno_memories WHERE memory_id = 'x'"), "1");
    }
}

#[test]
fn ids_that_differ_by_a_nul_stay_two_on_a_server() {
    let Some(kind) = kinds().get(1).copied() else { return };
    let rows = vec![
        agent("a", "A", 5, &["ra"]),
        agent("a\0", "A", 5, &["rb"]),
        agent("b", "A", 7, &["x", "x\0"]),
        agent("\0", "A", 7, &["n"]),
    ];
    let v1 = database(&[("agents", AGENTS, rows)]);
    memories(
        &v1,
        "m",
        &[
            json!({"id": "i", "user_id": "u", "memory": "{'memory': 'one'}"}),
            json!({"id": "i\0", "user_id": "u", "memory": "{'memory': 'two'}"}),
        ],
    );
    for schema in ["2.5.6", "3.0.0"] {
        let target = empty(kind);
        let report = converted(&target, &[&v1], schema);
        target.ok(&["up"]);
        let found: Vec<Vec<String>> = runs(&target).into_iter().map(|row| row[..2].to_vec()).collect();
        assert_eq!(found, [["ra", "a"], ["rb", "a:agents"], ["x", "b"], ["x:b", "b"]], "{schema}");
        // An id of nothing but NULs is none there.
        assert_eq!(report.converted[0].rejected, 1);
        assert_eq!(report.converted[0].runs, 4);
    }
}

/// The told numbers are those of the run, also for what collides across batches and tables.
#[test]
fn a_dry_run_remembers_what_it_told() {
    let many: Vec<Value> = (0..30).map(|at| agent(&format!("s{at}"), "A", 5, &[&format!("r{at}")])).collect();
    let others: Vec<Value> = (0..30).map(|at| agent(&format!("s{at}"), "B", 6, &[&format!("r{at}")])).collect();
    let v1 = database(&[("one", AGENTS, many), ("two", AGENTS, others)]);
    let memory = json!({"id": "x", "user_id": "u", "memory": "{'memory':'a'}"});
    memories(&v1, "m1", std::slice::from_ref(&memory));
    memories(&v1, "m2", &[memory]);
    let report = converted(&Database::empty(), &[&v1], "3.0.0");
    assert_eq!(report.converted[1].renamed.len(), 30);
    assert_eq!(numbers(&report)[3], ("m2".to_owned(), [1, 0, 1, 0, 0, 0]));
}

/// What real Agno 1.8.4 wrote: two agents of one session, a team in a team, a table that served a team and its member.
#[test]
fn agno_goes_on_with_sessions_that_shared_an_id() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/sqlite/agno-1.8.4-shared.db");
    let source = || {
        let v1 = Database::empty();
        std::fs::copy(fixture, &v1.path).expect("the fixture");
        v1
    };
    let target = Database::empty();
    converted(&target, &[&source()], "3.0.0");
    let expected = [
        ["chat-1", "agent", "researcher"],
        ["chat-1:writer_sessions", "agent", "writer"],
        ["nest-1", "team", "outer"],
        ["s-0", "team", "sharing"],
    ];
    assert_eq!(sessions(&target), expected);
    let Some(venvs) = venvs() else { return };
    for (schema, release) in [("3.0.0", "3.1.10"), ("2.5.6", "2.9.0"), ("2.0.0", "2.0.11")] {
        judged(&venvs, &source(), &Database::empty(), schema, release);
    }
}
