//! Who is waited for on PostgreSQL, for how long, and what is said: locks, limits of time, servers that do not answer. Skipped
//! without a server.

mod support;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::postgres::{beside, connect, servers};
use support::{Database, Kind, binary, kinds};

fn postgres() -> Vec<Kind> {
    kinds().into_iter().filter(|kind| *kind != Kind::Sqlite).collect()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn named(database: &Database, name: &str) -> postgres::Client {
    connect(&format!("{}?application_name={name}", database.url))
}

/// With tables of vectors, when the server has them.
fn with_vectors(kind: Kind) -> Option<Database> {
    let database = kind.of("2.9.0");
    if database.one("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "0" {
        return None;
    }
    database.sql(
        "CREATE EXTENSION vector SCHEMA public;
         CREATE TABLE docs (id varchar PRIMARY KEY, name varchar, meta_data jsonb DEFAULT '{}'::jsonb, filters jsonb, content text,
           embedding vector(3), usage jsonb, created_at timestamptz DEFAULT now(), updated_at timestamptz, content_hash varchar,
           content_id varchar);
         INSERT INTO docs (id) SELECT i FROM generate_series(1, 1000) i",
    );
    Some(database)
}

#[test]
fn a_lock_met_while_planning_is_named() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    let mut holder = named(&database, "maintenance");
    holder.batch_execute("BEGIN; LOCK TABLE ai.agno_sessions IN ACCESS EXCLUSIVE MODE").expect("locks");
    for command in ["up", "status", "plan", "verify"] {
        let started = Instant::now();
        let output = database.binary(&[command, "--lock-wait", "2", "--lock-timeout", "0.3"]);
        let said = text(&output);
        assert!(
            output.status.code() == Some(5) && said.contains("maintenance") && said.contains("pid "),
            "{command}: {said}"
        );
        assert!(said.contains("--lock-wait") && started.elapsed() < Duration::from_secs(6), "{command}: {said}");
    }
    let mut up = binary();
    up.args(["up", "--lock-timeout", "0.3", "--db", &database.url]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let up = up.spawn().expect("runs");
    std::thread::sleep(Duration::from_secs(1));
    holder.batch_execute("COMMIT").expect("ends");
    let output = up.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(text(&output).matches("created table agno_runs").count(), 1);
}

#[test]
fn the_writer_among_many_readers_is_named() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    let mut readers: Vec<_> = (0..8).map(|_| named(&database, "reader")).collect();
    for reader in &mut readers {
        reader.batch_execute("BEGIN; SELECT count(*) FROM ai.agno_sessions").expect("reads");
    }
    let mut writer = named(&database, "the-writer");
    writer.batch_execute("BEGIN; UPDATE ai.agno_sessions SET updated_at = 1 WHERE session_id = 'agent-0'").expect("writes");
    let output = database.binary(&["up", "--only", "sessions", "--lock-wait", "1", "--lock-timeout", "0.3"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("the-writer") && !said.contains("(reader"), "{said}");
}

#[test]
fn an_index_beside_the_app_waits_no_longer_than_it_may() {
    for kind in postgres() {
        let Some(database) = with_vectors(kind) else { continue };
        let mut report = named(&database, "long-report");
        report.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ai.agno_memories").expect("reads");
        let started = Instant::now();
        let output = database.binary(&["up", "--only", "vectors", "--lock-wait", "2", "--lock-timeout", "1", "--json"]);
        let said = text(&output);
        assert!(output.status.code() == Some(5) && started.elapsed() < Duration::from_secs(15), "{said}");
        assert!(said.contains("long-report") && !said.contains("created index"), "{said}");
        report.batch_execute("COMMIT").expect("ends");
        database.ok(&["up", "--only", "vectors"]);
        assert_eq!(database.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_docs_user_id'::regclass"), "t");
    }
}

#[test]
fn limits_of_time_of_the_role_do_not_count() {
    for kind in postgres() {
        let database = with_vectors(kind).unwrap_or_else(|| kind.of("2.9.0"));
        let version: u32 = database.one("SHOW server_version_num").parse().expect("a number");
        let name = database.one("SELECT quote_ident(current_database())");
        database.sql(
            "INSERT INTO agno_sessions (session_id, session_type, created_at, runs)
             SELECT 'many-' || i, 'agent', i, jsonb_build_array(jsonb_build_object('run_id', i, 'c', repeat(md5(i::text), 30))) FROM generate_series(1, 20000) i",
        );
        if database.has("docs") {
            database.sql(
                "INSERT INTO docs (id, content) SELECT 'x' || i, repeat(md5(i::text), 20) FROM generate_series(1, 300000) i",
            );
        }
        database.sql(&format!("ALTER DATABASE {name} SET statement_timeout = '50ms'"));
        if version >= 170_000 {
            database.sql(&format!("ALTER DATABASE {name} SET transaction_timeout = '150ms'"));
        }
        database.ok(&["up"]);
        database.ok(&["cleanup", "--yes", "--vacuum"]);
        database.ok(&["down", "2.5.6", "--yes"]);
    }
}

#[test]
fn any_number_of_seconds_can_be_waited() {
    let Some(kind) = postgres().first().copied() else { return };
    kind.of("2.9.0").ok(&["up", "--lock-wait", "3000000", "--lock-timeout", "3000000"]);
}

/// A server that accepts and says nothing.
#[test]
fn a_server_that_is_mute_is_not_waited_for() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgresql://me@{}/x", mute.local_addr().expect("an address"));
    let started = Instant::now();
    let output = binary().args(["current", "--db", &format!("{url}?connect_timeout=1")]).output().expect("runs");
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("does not answer in time"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(5));

    let mut waits = binary();
    let waits = waits.args(["current", "--db", &url]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    std::thread::sleep(Duration::from_millis(500));
    Command::new("kill").arg(waits.id().to_string()).status().expect("kill runs");
    let output = waits.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
}

#[test]
fn connections_are_made_as_libpq_makes_them() {
    let Some(Kind::Postgres(server)) = postgres().first().copied() else { return };
    let database = Kind::Postgres(server).of("2.9.0");
    let url = beside(&servers()[server], "");
    let name = database.url.rsplit('/').next().expect("a name").to_owned();
    let (_, port) = url.trim_end_matches('/').rsplit_once(':').expect("a port");
    let ok = |url: &str, environment: &[(&str, &str)]| {
        let mut command = binary();
        command.env("HOME", "/nonexistent").args(["current", "--db", url]).envs(environment.iter().copied());
        let output = command.output().expect("runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "v2.5.6", "{url}: {}", text(&output));
    };
    ok(&format!("postgresql:///{name}"), &[("PGHOST", "127.0.0.1"), ("PGPORT", port), ("PGUSER", "postgres")]);
    // Nothing is at the first of them.
    let lists = [("PGHOST", "127.0.0.1,127.0.0.1"), ("PGPORT", &*format!("1,{port}"))];
    ok(&format!("postgresql://postgres@/{name}"), &lists);
    ok(&format!("postgresql://postgres@/{name}?host=127.0.0.1,127.0.0.1&port=1,{port}"), &[]);
    ok(&format!("postgresql://postgres@no-such-host.invalid:{port}/{name}?hostaddr=127.0.0.1"), &[]);
    let socket = database.one("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)");
    let encoded = socket.replace('/', "%2F");
    for mode in ["require", "verify-full"] {
        ok(&format!("postgresql://postgres@{encoded}:{port}/{name}?sslmode={mode}"), &[]);
        ok(&format!("postgresql://postgres@/{name}?host={socket}&port={port}"), &[("PGSSLMODE", mode)]);
    }
    ok(&format!("postgresql://postgres@127.0.0.1:{port}/{name}?options=-cstatement_timeout%3D10000&connect_timeout=5"), &[]);
    let output = binary().env("PGSERVICE", "mine").args(["current", "--db", &database.url]).output().expect("runs");
    assert!(output.status.code() == Some(2) && text(&output).contains("PGSERVICE"), "{}", text(&output));
}

#[test]
fn no_command_tells_the_password() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    let secret = "hunter2-%40%3A%2F";
    let url = database.url.replace("postgres@", &format!("postgres:{secret}@"));
    let (port, name) = url.rsplit_once(':').and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
    // What can fail about a connection, and none of it.
    let urls = [
        url.clone(),
        url.replace(&format!(":{port}/"), ":1/"),
        format!("{url}-none"),
        format!("{url}?sslmode=require"),
        format!("{url}?sslmode=maybe"),
        format!("{url}?sslrootcert=/nowhere.pem&sslmode=verify-full"),
        format!("{url}?options=-cnothing%3Dx"),
        url.replace("127.0.0.1", "no-such-host.invalid"),
        url.replace(port, "port"),
        format!("postgresql://postgres:{secret}@/{name}?host=/nowhere"),
    ];
    let commands = [
        "current",
        "status",
        "plan",
        "verify",
        "up --dry-run",
        "up",
        "cleanup --yes --vacuum",
        "down 2.0.0 --yes",
        "v1-to-v2 --dry-run",
        "up --backup",
        "up --only nothing",
        "up --table sessions=missing",
    ];
    for url in &urls {
        for command in commands {
            for more in [&["-v"][..], &["--json"]] {
                let output = binary().args(command.split(' ')).args(more).args(["--db", url]).output().expect("runs");
                let said = text(&output);
                assert!(!said.contains("hunter2"), "{command} {more:?} {url}: {said}");
            }
        }
    }
}

#[test]
fn a_job_that_waits_says_so_once_and_not_at_every_try() {
    let Some(kind) = postgres().first().copied() else { return };
    let database = kind.of("2.9.0");
    let mut app = connect(&database.url);
    app.batch_execute("BEGIN; LOCK TABLE ai.agno_sessions IN ROW EXCLUSIVE MODE").expect("a lock");
    let output = database.binary(&["up", "--only", "sessions", "--lock-wait", "6", "--lock-timeout", "1"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), said.matches("note: waiting for pid ").count()), (Some(5), 1), "{said}");
}
