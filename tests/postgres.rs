//! What only PostgreSQL has: locks, poolers, TLS, rights, types, vectors. Skipped without a server.

mod support;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::postgres::{beside, connect, database, servers};
use support::{Database, Dump, Kind, assert_same, binary, kinds};

/// The servers, as kinds; empty without any (and said).
fn postgres() -> Vec<Kind> {
    kinds().into_iter().filter(|kind| *kind != Kind::Sqlite).collect()
}

/// The first server: for what does not differ between their versions.
fn one_server() -> Option<Kind> {
    postgres().first().copied()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn json_that_jsonb_cannot_hold_is_mended_or_refused() {
    for kind in postgres() {
        let database = kind.of("2.0.11");
        database.sql(
            r#"UPDATE agno_memories SET memory = '"a\u0000b \\u0000 \ud83d\ude00"' WHERE memory_id = 'memory-0';
               UPDATE agno_memories SET topics = '["\ud800x", "\u00e9"]' WHERE memory_id = 'memory-1';
               UPDATE agno_sessions SET runs = '[{"run_id": "with-nul", "agent_id": "a", "content": "x\u0000y", "n": 1.10}]'
               WHERE session_id = 'no-runs';"#,
        );
        let report = database.ok(&["up"]);
        let (_, warnings) = report.messages();
        let said = warnings.join("\n");
        assert!(
            said.contains("agno_memories: NUL characters were taken out in 1 row") && said.contains("memory-0"),
            "{said}"
        );
        assert!(said.contains("surrogates without a partner became U+FFFD in 1 row") && said.contains("memory-1"), "{said}");
        assert!(
            said.contains("agno_sessions: NUL characters were taken out in 1 row") && said.contains("no-runs"),
            "{said}"
        );
        let memory =
            |column: &str, id: &str| database.one(&format!("SELECT {column} FROM agno_memories WHERE memory_id = '{id}'"));
        assert_eq!(memory("memory", "memory-0"), "\"ab \\\\u0000 \u{1f600}\"");
        assert_eq!(memory("topics", "memory-1"), "[\"\u{fffd}x\", \"\u{e9}\"]");
        assert_eq!(
            database.one("SELECT run_data->>'content' || (run_data->>'n') FROM agno_runs WHERE run_id = 'with-nul'"),
            "xy1.10"
        );

        let database = kind.of("2.0.11");
        database.sql("UPDATE agno_memories SET memory = '1e200000' WHERE memory_id = 'memory-0'");
        let report = database.run(&["up"]);
        assert_eq!((report.exit_code, database.stamps().len()), (6, 0), "{}", report.to_json());
        let why = report.failure.expect("a reason");
        assert!(
            why.contains("agno_memories: values of these rows cannot become JSONB") && why.contains("memory-0"),
            "{why}"
        );
        assert!(why.contains("--only sessions"), "{why}");
    }
}

#[test]
fn what_hangs_on_a_table_is_named_before_anything_changes() {
    for kind in postgres() {
        let cases = [
            ("CREATE VIEW people AS SELECT user_id FROM agno_eval_runs", "the view people uses the column user_id"),
            (
                "CREATE TABLE bindings (run_id varchar REFERENCES agno_runs (run_id), session_id varchar REFERENCES agno_sessions (session_id))",
                "bindings has a foreign key on the runs table",
            ),
            (
                "ALTER TABLE agno_schedules ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON agno_schedules USING (managed_by IS NULL)",
                "policy mine on table agno_schedules uses the column managed_by",
            ),
            ("CREATE INDEX mine ON agno_components (user_id, name)", "index mine uses the column user_id"),
            (
                "CREATE SCHEMA other; CREATE MATERIALIZED VIEW other.all_runs AS SELECT run_id FROM agno_runs",
                "the materialized view other.all_runs uses the table agno_runs",
            ),
        ];
        for (sql, reason) in cases {
            let database = kind.of("3.1.10");
            database.sql(sql);
            let why = database.refused(&["down", "2.5.6", "--yes"], 6);
            assert!(why.replace("ai.", "").contains(reason), "{sql}\n{why}");
        }
        let database = kind.of("2.0.11");
        database.sql("CREATE VIEW lists AS SELECT runs FROM agno_sessions");
        let why = database.refused(&["up"], 6);
        assert!(why.contains("uses the column runs, whose type changes"), "{why}");
        database.ok(&["up", "--only", "memories,metrics,evals,knowledge"]);

        let database = kind.of("2.0.11");
        database.sql("CREATE TABLE mine (session_id varchar REFERENCES agno_sessions (session_id))");
        let why = database.refused(&["up"], 6);
        assert!(why.contains("mine (mine_session_id_fkey) rests on agno_sessions_uq_session_id"), "{why}");
    }
}

#[test]
fn what_the_user_added_survives() {
    for kind in postgres() {
        let database = kind.of("2.0.11");
        database.sql(
            "ALTER TABLE agno_sessions ADD COLUMN mine varchar DEFAULT 'x' CHECK (mine <> 'y');
             CREATE INDEX mine_too ON agno_sessions (mine);
             CREATE FUNCTION hello() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER greets BEFORE INSERT ON agno_sessions FOR EACH ROW EXECUTE FUNCTION hello();
             CREATE VIEW names AS SELECT session_id, user_id FROM agno_sessions;
             GRANT SELECT ON agno_sessions TO PUBLIC;",
        );
        let facts = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname = 'greets') || ',' || \
                            (SELECT count(*) FROM pg_indexes WHERE indexname = 'mine_too') || ',' || \
                            (SELECT count(*) FROM names) || ',' || \
                            (SELECT count(*) FROM agno_sessions WHERE mine = 'x') || ',' || \
                            (SELECT relacl::text FROM pg_class WHERE oid = 'agno_sessions'::regclass)";
        let before = database.one(facts);
        database.ok(&["up"]);
        assert_eq!(database.one(facts), before);
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one(facts), before);
    }
}

#[test]
fn twins_and_runs_without_ids_stay_and_are_named() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        database.sql(
            r#"ALTER TABLE agno_sessions ALTER COLUMN created_at DROP NOT NULL;
               UPDATE agno_sessions SET created_at = 5, runs = '[{"run_id": "twin", "agent_id": "a"}, {"no": "id"}, 7, {"run_id": 12, "team_id": "t", "created_at": 99.9}]'
               WHERE session_id = 'no-runs';
               INSERT INTO agno_sessions (session_id, session_type, created_at, runs) VALUES
                 ('a-later', 'agent', 6, '[{"run_id": "twin"}, {"run_id": "own"}, {"run_id": "own"}]'),
                 ('scalar', 'agent', 7, '"[nothing"'), ('timeless', 'agent', NULL, '[{"run_id": "never"}, {"run_id": "timed", "created_at": 9}]'),
                 ('string', 'agent', 8, '"[{\"run_id\": \"encoded twice\"}]"'), ('null', 'agent', 7, 'null')"#,
        );
        let report = database.ok(&["up"]);
        let left: Vec<String> = report
            .tables
            .iter()
            .flat_map(|table| &table.left)
            .map(|left| format!("{} {} {}", left.id, left.item.as_deref().unwrap_or_default(), left.reason))
            .filter(|left| !left.contains("entity"))
            .collect();
        assert_eq!(
            left,
            [
                "no-runs runs[1] has no run_id",
                "no-runs runs[2] is no object",
                "scalar  its runs are no list",
                "timeless runs[0] it and its session lack created_at or a type, which a row needs",
                "a-later runs[0] its id twin is that of a run of session no-runs, which is older",
                "a-later runs[2] its id own is that of a run before it",
            ]
        );
        assert_eq!(database.one("SELECT run_id FROM agno_runs WHERE session_id = 'string'"), "encoded twice");
        assert_eq!(database.one("SELECT run_id FROM agno_runs WHERE session_id = 'timeless'"), "timed");
        assert_eq!(
            database.query("SELECT run_id, session_id, run_index, run_type, created_at FROM agno_runs WHERE session_id IN ('no-runs', 'a-later') ORDER BY 1"),
            [["12", "no-runs", "3", "team", "99"], ["own", "a-later", "1", "agent", "6"], ["twin", "no-runs", "0", "agent", "5"]]
        );
        // A run the app changed and one it added stay as they are when the move is forced again.
        database.sql(
            "UPDATE agno_runs SET status = 'changed' WHERE run_id = 'own'; DELETE FROM agno_runs WHERE run_id = '12';
             INSERT INTO agno_runs (run_id, session_id, run_type, run_data, created_at) VALUES ('new', 'null', 'agent', '{\"run_id\": \"new\"}', 1)",
        );
        let report = database.ok(&["up", "--force"]);
        let sessions = report.tables.iter().find(|table| table.name == "agno_sessions").expect("sessions");
        assert_eq!((sessions.moved, sessions.left_count), (1, 6), "{}", report.to_json());
        assert_eq!(database.one("SELECT status FROM agno_runs WHERE run_id = 'own'"), "changed");
        assert_eq!(database.one("SELECT count(*) FROM agno_runs WHERE run_id IN ('12', 'new')"), "2");
    }
}

#[test]
fn vectors_get_their_owners() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'";
        if database.one(available) == "0" {
            continue;
        }
        database.sql(
            "CREATE EXTENSION vector SCHEMA public;
             CREATE TABLE docs (id varchar PRIMARY KEY, name varchar, meta_data jsonb DEFAULT '{}'::jsonb, filters jsonb, content text,
               embedding vector(3), usage jsonb, created_at timestamptz DEFAULT now(), updated_at timestamptz, content_hash varchar,
               content_id varchar);
             CREATE TABLE older (LIKE docs INCLUDING ALL); ALTER TABLE older DROP COLUMN content_id;
             INSERT INTO docs (id, content, embedding) VALUES ('a', 'x', '[1,2,3]'), ('b', 'y', '[4,5,6]')",
        );
        let report = database.ok(&["up"]);
        assert!(report.notes.iter().any(|note| note.contains("older")), "{:?}", report.notes);
        let index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_docs_user_id'::regclass";
        assert_eq!(database.one(index), "t");
        assert_eq!(database.one("SELECT count(*) FROM agno_schema_versions WHERE table_name = 'docs'"), "0");
        assert_eq!(database.ok(&["current"]).current.as_deref(), Some("v3.0.0"));
        // A build that was cut off leaves an index that is not valid.
        database.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_docs_user_id'::regclass");
        assert_eq!(database.run(&["status", "--check"]).exit_code, 3);
        database.ok(&["up"]);
        assert_eq!(database.one(index), "t");
        assert!(database.ok(&["up"]).tables.iter().all(|table| table.steps.is_empty()));

        database.sql("UPDATE docs SET user_id = 'ann' WHERE id = 'b'");
        database.ok(&["down", "2.5.6", "--yes"]);
        assert_eq!(
            database.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'user_id'"),
            "0"
        );
        database.ok(&["up"]);
        let owners = database.query("SELECT id, coalesce(user_id, '-'), embedding::text FROM docs ORDER BY 1");
        assert_eq!(owners, [["a", "-", "[1,2,3]"], ["b", "ann", "[4,5,6]"]]);
    }
}

/// Ends a client and says what it wrote.
fn finish(child: std::process::Child) -> Output {
    child.wait_with_output().expect("it ends")
}

fn spawn(database: &Database, arguments: &[&str]) -> std::process::Child {
    let mut command = binary();
    command.args(arguments).args(["--db", &database.url]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary runs")
}

#[test]
fn many_replicas_at_once() {
    for kind in postgres() {
        let expected: Dump = {
            let database = kind.of("2.9.0");
            database.ok(&["up"]);
            database.dump()
        };
        // The promise is twenty times; once more on each other server.
        let rounds = if Some(kind) == one_server() { 20 } else { 5 };
        for _ in 0..rounds {
            let database = kind.of("2.9.0");
            let all: Vec<_> = (0..8).map(|_| spawn(&database, &["up", "--json"])).collect();
            let mut created = 0;
            for output in all.into_iter().map(finish) {
                assert_eq!(output.status.code(), Some(0), "{}", text(&output));
                created += String::from_utf8_lossy(&output.stdout).matches("created table agno_runs").count();
            }
            assert_eq!(created, 1, "one did the work");
            assert_same(&database.dump(), &expected, "eight at once");
        }
    }
}

#[test]
fn a_reader_that_stays_is_named() {
    let Some(kind) = one_server() else { return };
    let database = kind.of("2.9.0");
    let mut reader = connect(&format!("{}?application_name=slow-report", database.url));
    reader.batch_execute("BEGIN; SELECT count(*) FROM ai.agno_eval_runs").expect("reads");
    let before = (database.dump(), database.stamps());
    let output = database.binary(&["up", "--only", "evals", "--lock-timeout", "0.2", "--lock-wait", "1"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("slow-report") && said.contains("pid ") && said.contains("idle in transaction"), "{said}");
    assert_eq!((database.dump(), database.stamps()), before);
    let patient = spawn(&database, &["up", "--only", "evals", "--lock-timeout", "0.2"]);
    std::thread::sleep(Duration::from_millis(700));
    reader.batch_execute("COMMIT").expect("ends");
    let output = finish(patient);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(database.stamps()["agno_eval_runs"], "3.0.0");
}

/// Many sessions, so that an `up` takes long enough to be disturbed.
fn large(kind: Kind) -> Database {
    let database = kind.of("2.9.0");
    database.sql(
        "INSERT INTO agno_sessions (session_id, session_type, created_at, runs)
         SELECT 'many-' || i, 'agent', i, (SELECT jsonb_agg(jsonb_build_object('run_id', i || '-' || k, 'agent_id', 'a', 'content', repeat(md5(i::text || k), 20)))
           FROM generate_series(1, 10) k) FROM generate_series(1, 1500) i",
    );
    database
}

#[test]
fn kills_leave_whole_versions() {
    let Some(kind) = one_server() else { return };
    let reference = large(kind);
    let started = Instant::now();
    reference.ok(&["up"]);
    let takes = started.elapsed();
    let (up, stamps) = (reference.dump(), reference.stamps());
    reference.ok(&["down", "2.5.6", "--yes"]);
    let down = reference.dump();
    for (arguments, rerun, expected) in
        [(["up", "--json", "-q"], vec!["up"], &up), (["down", "2.5.6", "--yes"], vec!["down", "2.5.6", "--yes"], &down)]
    {
        for at in 0..30u32 {
            let database = large(kind);
            if arguments[0] == "down" {
                database.ok(&["up"]);
            }
            let mut child = spawn(&database, &arguments);
            std::thread::sleep(takes * at / 30);
            if at % 2 == 0 {
                child.kill().expect("kills");
            } else {
                database.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name = 'agno-migrate'",
                );
            }
            let output = finish(child);
            assert!(at % 2 == 0 || matches!(output.status.code(), Some(0 | 1)), "{}", text(&output));
            // The server may still be rolling back what its client left.
            let report = database.ok(&rerun);
            assert_same(&database.dump(), expected, &format!("{arguments:?} {at}: {}", report.to_json()));
            if arguments[0] == "up" {
                assert_eq!(database.stamps(), stamps);
            }
        }
    }
}

#[test]
fn rights_that_are_lacking_are_named() {
    let Some(kind) = one_server() else { return };
    let database = kind.of("2.9.0");
    let name = format!("role{}", std::process::id());
    database.sql(&format!("CREATE ROLE {name}_none LOGIN; CREATE ROLE {name}_reads LOGIN; CREATE ROLE {name}_owns LOGIN"));
    database
        .sql(&format!("GRANT USAGE ON SCHEMA ai TO {name}_reads; GRANT SELECT ON ALL TABLES IN SCHEMA ai TO {name}_reads"));
    let as_role = |role: &str| database.url.replace("postgres@", &format!("{name}_{role}@"));
    let run =
        |role: &str, arguments: &[&str]| binary().args(arguments).args(["--db", &as_role(role)]).output().expect("runs");

    let output = run("none", &["up"]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output));
    assert!(text(&output).contains("lacks a right (permission denied for schema ai)"), "{}", text(&output));

    assert_eq!(run("reads", &["current"]).status.code(), Some(0));
    assert_eq!(run("reads", &["status"]).status.code(), Some(0));
    let output = run("reads", &["up"]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains(&format!("the role {name}_reads is not its owner")) && said.contains("GRANT postgres TO"),
        "{said}"
    );

    database.sql(&format!(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'ai' LOOP \
           EXECUTE format('ALTER TABLE ai.%I OWNER TO {name}_owns', t); END LOOP; END $$; ALTER SCHEMA ai OWNER TO {name}_owns"
    ));
    let output = run("owns", &["up"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = run("owns", &["down", "2.0.0", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn names_of_63_bytes_and_more() {
    for kind in postgres() {
        let database = kind.of("2.9.0");
        let (longest, fits) = ("s".repeat(63), "t".repeat(50));
        database.sql(&format!("ALTER TABLE support RENAME TO {fits}; ALTER TABLE \"agent-session\" RENAME TO {longest}"));
        let why = database.refused(&["up"], 6);
        assert!(why.contains("longer than PostgreSQL allows") && why.contains("--table runs=NAME"), "{why}");
        database.sql(&format!("DROP TABLE {longest}"));
        database.ok(&["up"]);
        assert!(database.has(&format!("{fits}_runs")));
        assert!(database.ok(&["up"]).tables.iter().all(|table| table.steps.is_empty()));
        database.ok(&["down", "2.0.0", "--yes"]);
        database.ok(&["up"]);
    }
}

#[test]
fn another_schema() {
    let Some(kind) = one_server() else { return };
    let database = kind.of("2.9.0");
    database.sql("ALTER SCHEMA ai RENAME TO \"Mein Schema\"");
    let report = database.ok(&["up"]);
    assert!(report.notes.iter().any(|note| note.contains("--schema Mein Schema")), "{:?}", report.notes);
    database.ok(&["up", "--schema", "Mein Schema"]);
    assert_eq!(database.ok(&["current", "--schema", "Mein Schema"]).current.as_deref(), Some("v3.0.0"));
    database.ok(&["down", "2.0.0", "--yes", "--schema", "Mein Schema"]);
}

/// A server that a test changes.
struct Cluster {
    folder: tempfile::TempDir,
    url: String,
}

impl Cluster {
    fn script(action: &str, folder: &std::path::Path) -> String {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres-cluster");
        let output =
            Command::new(script).arg(action).arg(folder).stderr(Stdio::inherit()).output().expect("the script runs");
        assert!(output.status.success(), "tests/postgres-cluster {action}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn start() -> Cluster {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("rights");
        let url = Cluster::script("start", &folder.path().join("server"));
        Cluster { folder, url }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("server")
    }

    /// A fixture in the database `name`.
    fn load(&self, name: &str, fixture: &str) -> String {
        connect(&self.url).batch_execute(&format!("CREATE DATABASE \"{name}\"")).expect("a database");
        let url = beside(&self.url, name);
        let file = Kind::Postgres(0).fixtures().join(format!("{fixture}.sql"));
        connect(&url).batch_execute(&std::fs::read_to_string(file).expect("the fixture")).expect("it loads");
        url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        Cluster::script("stop", &self.dir());
    }
}

#[test]
fn tls_and_passwords() {
    if one_server().is_none() {
        return;
    }
    let cluster = Cluster::start();
    cluster.load("agno", "agno-2.9.0");
    Cluster::script("tls", &cluster.dir());
    let port = cluster.url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port").to_owned();
    let password = std::fs::read_to_string(cluster.dir().join("password")).expect("the password");
    let encoded = "p%40s%3As%2Fw%3Fo%23r%25d%201";
    let file = |name: &str| cluster.dir().join(name).to_str().expect("UTF-8").to_owned();
    let run = |url: &str, environment: &[(&str, &str)]| {
        let mut command = binary();
        command.env("HOME", "/nonexistent").env_remove("PGPASSWORD").args(["current", "-v", "--db", url]);
        let output = command.envs(environment.iter().copied()).output().expect("runs");
        let said = text(&output);
        assert!(!said.contains(&password) && !said.contains(encoded), "the password is told: {said}");
        (output.status.code(), said)
    };
    let url = |user: &str, host: &str, mode: &str| format!("postgresql+psycopg://{user}@{host}:{port}/agno?sslmode={mode}");
    let me = format!("secure:{encoded}");
    let ok = |url: &str, environment: &[(&str, &str)]| {
        let (code, said) = run(url, environment);
        assert_eq!(code, Some(0), "{url}: {said}");
        assert!(said.contains("v2.5.6"), "{said}");
    };
    let fails = |url: &str, environment: &[(&str, &str)], why: &str| {
        let (code, said) = run(url, environment);
        assert_eq!(code, Some(1), "{url}: {said}");
        assert!(said.contains(why), "{url}: {said}");
    };
    let (ca, other) = (format!("&sslrootcert={}", file("ca.pem")), format!("&sslrootcert={}", file("other.pem")));
    for mode in ["prefer", "require"] {
        ok(&url(&me, "127.0.0.1", mode), &[]);
    }
    ok(&(url(&me, "localhost", "verify-full") + &ca), &[]);
    ok(&(url(&me, "127.0.0.1", "verify-ca") + &ca), &[]);
    ok(&url("secure", "localhost", "require"), &[("PGPASSWORD", password.as_str())]);
    ok(
        &format!("postgresql://secure@localhost:{port}/agno"),
        &[("PGPASSWORD", &password), ("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &file("ca.pem"))],
    );
    // The socket is in the folder of the server.
    ok(&format!("postgresql://postgres@/agno?host={}&port={port}", cluster.dir().display()), &[]);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        ok(&url(&me, "[::1]", "require"), &[]);
    }
    // A certificate instead of a password.
    let (certificate, key) = (file("client.crt"), file("client.key"));
    let mine = format!("{ca}&sslcert={certificate}&sslkey={key}");
    ok(&(url("certified", "localhost", "verify-full") + &mine), &[]);
    ok(
        &(url("certified", "localhost", "verify-full") + &ca),
        &[("PGSSLCERT", certificate.as_str()), ("PGSSLKEY", key.as_str())],
    );
    fails(&(url("certified", "localhost", "verify-full") + &ca), &[], "certificate");
    let swapped = format!("{ca}&sslcert={certificate}&sslkey={}", file("other.key"));
    fails(&(url("certified", "localhost", "verify-full") + &swapped), &[], "do not go together");
    fails(
        &(url("certified", "localhost", "verify-full") + &ca + "&sslcert=/nowhere.crt&sslkey=/nowhere.key"),
        &[],
        "/nowhere.",
    );
    fails(&(url(&me, "127.0.0.1", "verify-full") + &ca), &[], "made out to another host name");
    fails(&(url(&me, "localhost", "verify-full") + &other), &[], "an authority that is not trusted");
    fails(&(url(&me, "localhost", "verify-ca") + &other), &[], "an authority that is not trusted");
    fails(&url(&me, "localhost", "disable"), &[], "does not let secure in");
    fails(&url("secure:wrong", "localhost", "require"), &[], "does not accept the password of secure");
    fails(&url("secure", "localhost", "require"), &[], "wants a password");
    fails(&url(&me, "localhost", "require").replace("/agno?", "/none?"), &[], "there is no database none");
    fails(&url(&me, "no-such-host.invalid", "require"), &[], "cannot connect to postgresql://secure@no-such-host.invalid");
    fails(&format!("postgresql://{me}@localhost:1/agno"), &[], "nothing answers there");
}

#[test]
fn behind_a_pooler_in_transaction_mode() {
    if one_server().is_none() {
        return;
    }
    let cluster = Cluster::start();
    let pooler = Cluster::script("pooler", &cluster.dir());
    let direct = cluster.load("agno", "agno-2.0.11");
    let url = beside(&pooler, "agno");
    for round in 0..3 {
        let all: Vec<_> = (0..4)
            .map(|_| {
                let mut command = binary();
                command.args(["up", "--db", &url]).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("runs")
            })
            .collect();
        for output in all.into_iter().map(finish) {
            assert_eq!(output.status.code(), Some(0), "{round}: {}", text(&output));
        }
        let output = binary().args(["down", "2.0.0", "--yes", "--db", &url]).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{round}: {}", text(&output));
    }
    let output = binary().args(["up", "--db", &url]).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = binary().args(["cleanup", "--yes", "--vacuum", "--db", &url]).output().expect("runs");
    assert!(output.status.code() == Some(0) && text(&output).contains("gave space back"), "{}", text(&output));
    // Nothing leaks into the connections that others use.
    let leaked = support::postgres::query(&direct, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
    assert_eq!(leaked, [["0"]]);
    let settings =
        support::postgres::query(&url, "SELECT current_setting('lock_timeout') || current_setting('statement_timeout')");
    assert_eq!(settings, [["00"]]);
}

#[test]
fn a_server_that_starts_is_waited_for() {
    if one_server().is_none() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let url = format!("postgresql://postgres@127.0.0.1:{port}/x");
    let started = Instant::now();
    let output = binary().args(["current", "--wait", "1", "--db", &url]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("nothing answers there"), "{}", text(&output));
    assert!(started.elapsed() > Duration::from_millis(900));
}

#[test]
fn a_server_that_starts_late_is_found() {
    if one_server().is_none() {
        return;
    }
    let cluster = Cluster::start();
    let url = cluster.load("agno", "agno-2.9.0");
    Cluster::script("halt", &cluster.dir());
    let mut up = binary();
    let up = up.args(["up", "--wait", "60", "--db", &url]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let up = up.expect("runs");
    std::thread::sleep(Duration::from_secs(1));
    Cluster::script("crash", &cluster.dir());
    let output = finish(up);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_file_of_passwords_is_read_as_by_psql() {
    use std::os::unix::fs::PermissionsExt;
    if one_server().is_none() {
        return;
    }
    let cluster = Cluster::start();
    cluster.load("agno", "agno-2.9.0");
    Cluster::script("tls", &cluster.dir());
    let port = cluster.url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port").to_owned();
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join(".pgpass");
    let password = std::fs::read_to_string(cluster.dir().join("password")).expect("the password");
    std::fs::write(&file, format!("localhost:{port}:*:secure:{}\n", password.replace(':', "\\:"))).expect("writes");
    let run = |mode: u32| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("rights");
        // Nothing is at the first host, and the file has only the second.
        let url = format!("postgresql://secure@127.0.0.1:1,localhost:{port}/agno?sslmode=require");
        let output = binary().env("HOME", home.path()).args(["current", "-v", "--db", &url]).output().expect("runs");
        assert!(!text(&output).contains(&password));
        (output.status.code(), text(&output))
    };
    let (code, said) = run(0o600);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(0o644);
    assert!(code == Some(1) && said.contains("others may read it; chmod 600 it"), "{said}");
    // Whoever has an authority at home wants it asked.
    std::fs::create_dir(home.path().join(".postgresql")).expect("a folder");
    std::fs::copy(cluster.dir().join("other.pem"), home.path().join(".postgresql/root.crt")).expect("copies");
    let (code, said) = run(0o600);
    assert!(code == Some(1) && said.contains("an authority that is not trusted"), "{said}");
}

#[test]
fn a_session_too_large_for_one_value_is_refused_going_down() {
    let Some(Kind::Postgres(server)) = one_server() else { return };
    let database = database(server, "agno-3.1.10");
    database.sql(
        "INSERT INTO agno_runs (run_id, session_id, run_type, run_index, run_data, created_at)
         SELECT 'large-' || i, 'agent-0', 'agent', 100 + i, jsonb_build_object('run_id', 'large-' || i, 'content', repeat('x', 90000000)), 1
         FROM generate_series(1, 3) i",
    );
    let report = database.run(&["down", "2.5.6", "--yes"]);
    assert_eq!(report.exit_code, 6);
    let why = report.failure.expect("a reason");
    assert!(why.contains("too large together") && why.contains("agent-0"), "{why}");
}

#[test]
fn there_are_servers_or_it_is_said() {
    assert_eq!(postgres().len(), servers().len());
}
