//! PostgreSQL databases as comparable values. Each test has a database of its own, a copy of a fixture.

use super::{Database, Dump, Kind};
use postgres::{Client, NoTls, SimpleQueryMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The URLs of the servers to test on.
pub fn servers() -> &'static [String] {
    static SERVERS: OnceLock<Vec<String>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let said = std::env::var("AGNO_MIGRATE_TEST_POSTGRES").unwrap_or_default();
        said.split_whitespace().map(str::to_owned).collect()
    })
}

/// The URL of a database on the server of another.
pub fn beside(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

/// A copy of a fixture.
pub fn database(server: usize, fixture: &str) -> Database {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static TEMPLATES: Mutex<BTreeSet<(usize, String)>> = Mutex::new(BTreeSet::new());
    let admin = &servers()[server];
    let process = std::process::id();
    let template = format!("{}-{process}", fixture.replace('/', "-"));
    let mut templates = TEMPLATES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if templates.insert((server, template.clone())) {
        connect(admin).batch_execute(&format!("CREATE DATABASE \"{template}\"")).expect("a template");
        let file = Kind::Postgres(server).fixtures().join(format!("{fixture}.sql"));
        let sql = std::fs::read_to_string(file).expect("the fixture");
        connect(&beside(admin, &template)).batch_execute(&sql).expect("the fixture loads");
    }
    let name = format!("test-{process}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
    connect(admin).batch_execute(&create).expect("a database");
    drop(templates);
    let folder = tempfile::tempdir().expect("a folder");
    Database { kind: Kind::Postgres(server), folder, path: PathBuf::new(), url: beside(admin, &name) }
}

/// A database without anything.
pub fn empty(server: usize) -> Database {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("empty-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let admin = &servers()[server];
    connect(admin).batch_execute(&format!("CREATE DATABASE \"{name}\"")).expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    Database { kind: Kind::Postgres(server), folder, path: PathBuf::new(), url: beside(admin, &name) }
}

/// A copy of a database that nobody is connected to.
pub fn copy(server: usize, of: &Database) -> Database {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("copy-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let (_, template) = of.url.rsplit_once('/').expect("a URL with a database");
    let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
    connect(&servers()[server]).batch_execute(&create).expect("a copy");
    let folder = tempfile::tempdir().expect("a folder");
    Database { kind: Kind::Postgres(server), folder, path: PathBuf::new(), url: beside(&of.url, &name) }
}

/// Drops the database. A server that is gone by now (some tests stop theirs) takes it with it.
pub fn remove(database: &Database) {
    let Kind::Postgres(server) = database.kind else { return };
    let Some((_, name)) = database.url.rsplit_once('/') else { return };
    if let Ok(mut client) = Client::connect(&servers()[server], NoTls) {
        let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    }
}

/// A connection whose names are those of schema ai.
pub fn connect(url: &str) -> Client {
    let mut client = Client::connect(url, NoTls).unwrap_or_else(|error| panic!("{url}: {error}"));
    client.batch_execute("SET search_path = ai, public").expect("a setting");
    client
}

pub fn query(url: &str, sql: &str) -> Vec<Vec<String>> {
    rows(&mut connect(url), sql)
}

fn rows(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned()).collect())
            }
            _ => None,
        })
        .collect()
}

pub fn dump(url: &str) -> Dump {
    // One connection for all: a new one reads the catalogs anew, which takes longer than the rows.
    let mut client = connect(url);
    let tables = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE n.nspname = 'ai' AND c.relkind = 'r' AND c.relname <> 'agno_schema_versions'";
    let tables: Vec<String> = rows(&mut client, tables).into_iter().flatten().collect();
    let runs_of = |table: &str| if table == "agno_sessions" { "agno_runs".to_owned() } else { format!("{table}_runs") };
    let mut of_table = |table: &String| {
        // Retained, and no part of what the database says.
        let without = if tables.contains(&runs_of(table)) { " - 'runs'" } else { "" };
        let sql = format!("SELECT (to_jsonb(t){without})::text FROM ai.\"{table}\" t ORDER BY 1");
        let mut rows: Vec<String> = rows(&mut client, &sql).into_iter().flatten().collect();
        rows.sort();
        rows
    };
    tables.iter().map(|table| (table.clone(), of_table(table))).collect::<BTreeMap<_, _>>()
}

/// Columns with types and nullability, keys, unique and other indexes by what they cover; column order and names aside.
pub fn shape(url: &str, table: &str) -> BTreeSet<String> {
    shapes(url, &[table]).remove(0)
}

pub fn shapes(url: &str, tables: &[&str]) -> Vec<BTreeSet<String>> {
    let mut client = connect(url);
    tables.iter().map(|table| shape_of(&mut client, table)).collect()
}

fn shape_of(client: &mut Client, table: &str) -> BTreeSet<String> {
    let table = format!("'ai.\"{}\"'", table.replace('\'', "''"));
    let facts = format!(
        "SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END \
           || CASE WHEN atthasdef THEN ' DEFAULT' ELSE '' END \
         FROM pg_attribute WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped \
         UNION ALL SELECT regexp_replace(pg_get_indexdef(indexrelid), ' INDEX .* USING', ' INDEX USING') || indisvalid \
         FROM pg_index WHERE indrelid = to_regclass({table}) \
         UNION ALL SELECT 'constraint ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass({table}) AND contype <> 'n'"
    );
    rows(client, &facts).into_iter().flatten().collect()
}
