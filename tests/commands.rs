//! The command line as a user meets it: output, exit codes, and every kind of wrong input.

mod support;

use agno_migrate::cli::Cli;
use agno_migrate::schema::release::{NEWEST_RELEASE, releases_of};
use agno_migrate::schema::versions::MIGRATIONS;
use clap::CommandFactory;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use support::{Database, binary};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Runs the binary and returns exit code and stderr.
fn fails(arguments: &[&str]) -> (i32, String) {
    let output = binary().args(arguments).output().expect("runs");
    assert_eq!(stdout(&output), "", "a failure before anything was found prints no result");
    (output.status.code().expect("a code"), stderr(&output))
}

#[test]
fn the_four_commands_of_the_mission() {
    let database = Database::of("2.0.11");
    let current = database.binary(&["current"]);
    assert_eq!((stdout(&current).as_str(), current.status.code()), ("v2.0.0\n", Some(0)));
    let up = database.binary(&["up", "--to", "v2.3.0"]);
    assert_eq!(up.status.code(), Some(0), "{}", stderr(&up));
    assert!(stdout(&up).contains("agno_memories     v2.0.0 -> v2.3.0"), "{}", stdout(&up));
    assert!(stdout(&up).contains("8 tables at v2.3.0"), "{}", stdout(&up));
    assert_eq!(stdout(&database.binary(&["current"])), "v2.3.0\n");
    let up = database.binary(&["up"]);
    assert!(stdout(&up).contains("created table agno_runs; 25 runs moved"), "{}", stdout(&up));
    assert!(stderr(&up).contains("note: stop every Agno 2 app"), "{}", stderr(&up));
    assert!(stderr(&up).contains("run cleanup as soon as you are content"), "{}", stderr(&up));
    assert_eq!(stdout(&database.binary(&["up", "-q"])), "Nothing to do: 8 tables are at or above v3.0.0.\n");
    // Nobody to ask: a deploy job goes on.
    let down = database.binary(&["down", "v2.3.0"]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    assert!(stderr(&down).contains("warning: runs that a newer Agno wrote"), "{}", stderr(&down));
    assert_eq!(stdout(&database.binary(&["current"])), "v2.3.0\n");
}

#[test]
fn the_database_is_found_where_agno_looks() {
    let database = Database::of("2.9.0");
    let run = |command: &mut Command| {
        let output = command.arg("current").current_dir(database.folder()).output().expect("runs");
        (stdout(&output), output.status.code())
    };
    let path = database.path.display();
    let good = ("v2.5.6\n".to_owned(), Some(0));
    assert_eq!(run(&mut binary()), good, "agno.db in the folder");
    assert_eq!(run(binary().env("AGNO_DB_URL", format!("sqlite:///{path}"))), good);
    assert_eq!(run(binary().env("DATABASE_URL", format!("sqlite+aiosqlite:///{path}"))), good);
    assert_eq!(run(binary().env("DATABASE_URL", "sqlite:///no.db").env("AGNO_DB_URL", "agno.db")), good);
    assert_eq!(run(binary().env("AGNO_DB_URL", "sqlite:///no.db").args(["--db", "./agno.db"])), good);
}

#[test]
fn json_is_one_document_that_says_it_all() {
    let database = Database::of("2.9.0");
    let up = database.binary(&["up", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&up.stdout).expect("JSON");
    assert_eq!((&report["schema"], &report["command"], &report["exit_code"]), (&1.into(), &"up".into(), &0.into()));
    let sessions = report["tables"].as_array().expect("tables").iter().find(|t| t["name"] == "agno_sessions").expect("it");
    assert_eq!(
        (&sessions["before"], &sessions["after"], &sessions["moved"]),
        (&"2.5.6".into(), &"3.0.0".into(), &25.into())
    );
    assert_eq!(sessions["type"], "sessions");
    let learnings = report["tables"].as_array().expect("tables").iter().find(|t| t["type"] == "learnings").expect("it");
    assert_eq!(learnings["left"][0]["id"], "entity_user_person_nobodys");
    assert!(learnings["warnings"][0].as_str().expect("text").contains("entity_user_person_collided"));
    for command in
        [&["status", "--json"][..], &["current", "--json"], &["plan", "2.0.0", "--json"], &["up", "--json", "--to", "9"]]
    {
        let output = database.binary(command);
        if output.status.code() != Some(2) {
            serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON");
        }
    }
    let missing = binary().args(["up", "--json", "--db", "missing.db"]).output().expect("runs");
    let report: serde_json::Value = serde_json::from_slice(&missing.stdout).expect("JSON even then");
    assert!(report["failure"].as_str().expect("text").contains("there is no file missing.db"));
}

#[test]
fn check_tells_by_its_exit_code() {
    let database = Database::of("2.9.0");
    assert_eq!(database.binary(&["current", "--check"]).status.code(), Some(3));
    assert_eq!(database.binary(&["status", "--check"]).status.code(), Some(3));
    database.ok(&["up"]);
    assert_eq!(database.binary(&["current", "--check"]).status.code(), Some(0));
    database.sql("DROP INDEX idx_agno_eval_runs_user_id");
    assert_eq!(database.binary(&["current", "--check"]).status.code(), Some(4));
    let status = database.binary(&["status", "--check"]);
    assert_eq!(status.status.code(), Some(4));
    assert!(stdout(&status).contains("drift: lacks index on (user_id)"), "{}", stdout(&status));
    let current = database.binary(&["current"]);
    assert!(stderr(&current).contains("warning: agno_eval_runs: lacks index on (user_id)"), "{}", stderr(&current));
    // What a stamp claims and the table lacks is mended.
    database.ok(&["up"]);
    assert_eq!(database.binary(&["current", "--check"]).status.code(), Some(0));
}

#[test]
fn plan_prints_sql_and_comments() {
    let database = Database::of("2.9.0");
    let plan = stdout(&database.binary(&["plan"]));
    assert!(plan.starts_with("-- up to v3.0.0\n"), "{plan}");
    assert!(plan.contains("\nALTER TABLE \"agno_eval_runs\" ADD COLUMN \"user_id\" VARCHAR;\n"), "{plan}");
    assert!(plan.contains("-- v3.0.0: copy each run of the column runs into a row of the runs table\n"), "{plan}");
    assert!(plan.contains("-- stamp v3.0.0\n"), "{plan}");
    assert!(plan.contains("\n-- to be read, not to be run"), "{plan}");
    // The schema statements are SQL that SQLite takes.
    let copy = Database::of("2.9.0");
    copy.sql(&stdout(&database.binary(&["plan", "--only", "evals,knowledge,schedules,metrics"])));
    let mixed = Database::of("2.9.0");
    mixed.ok(&["up", "--only", "evals"]);
    mixed.ok(&["down", "2.0.0", "--only", "memories", "--yes"]);
    let plan = stdout(&mixed.binary(&["plan", "2.5.6"]));
    let (up, down) = (plan.find("-- up to v2.5.6").expect("up"), plan.find("-- down to v2.5.6").expect("down"));
    assert!(up < down && plan[up..down].contains("agno_memories") && plan[down..].contains("agno_eval_runs"), "{plan}");
}

#[test]
fn no_name_of_a_table_breaks_the_comments_of_a_plan() {
    let database = Database::of("2.9.0");
    database.sql("ALTER TABLE agno_sessions RENAME TO \"x\nDROP TABLE y; --\"");
    let plan = stdout(&database.binary(&["plan"]));
    assert!(plan.contains("\n-- x\\nDROP TABLE y; -- (sessions)\n"), "{plan}");
    database.ok(&["up"]);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    for command in ["up", "current", "status", "plan"] {
        let (code, message) = fails(&[command, "--db", &at("none.db")]);
        assert_eq!(code, 1, "{command}");
        assert!(message.contains("there is no file") && message.contains("none.db"), "{message}");
        assert!(!Path::new(&at("none.db")).exists(), "it was created");
    }
    std::fs::create_dir(at("folder")).expect("a folder");
    let (code, message) = fails(&["up", "--db", &at("folder")]);
    assert_eq!((code, message.contains("is a directory")), (1, true), "{message}");
    std::fs::write(at("text.db"), "this is no database, and long enough to be sure of that").expect("writes");
    let (code, message) = fails(&["up", "--db", &at("text.db")]);
    assert_eq!((code, message.contains("not a SQLite database")), (1, true), "{message}");
    std::fs::write(at("zero.db"), "").expect("writes");
    let output = binary().args(["up", "--db", &at("zero.db")]).output().expect("runs");
    assert_eq!(stdout(&output), "Nothing to migrate: the database has no table of Agno's.\n");
    let output = binary().args(["current", "--check", "--db", &at("zero.db")]).output().expect("runs");
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("v2.0.0\n", Some(0)));
    assert!(stderr(&output).contains("no table of Agno's"));
}

#[test]
fn a_corrupt_page_stops_and_leaves_whole_versions() {
    let database = Database::of("2.9.0");
    // The schema reads, the rows do not.
    let root =
        database.one("SELECT rootpage FROM sqlite_schema WHERE name = 'agno_sessions'").parse::<usize>().expect("a page");
    let mut bytes = std::fs::read(&database.path).expect("reads");
    bytes[(root - 1) * 4096..root * 4096].fill(0xab);
    std::fs::write(&database.path, &bytes).expect("writes");
    let output = database.binary(&["up"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("the database file is damaged"), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot look at agno_sessions"), "{}", stderr(&output));
}

#[test]
fn a_file_without_the_right_to_write_is_refused() {
    let database = Database::of("2.9.0");
    let bytes = std::fs::read(&database.path).expect("reads");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights");
    // Root may write anything: the right is tried as nobody.
    let copied = database.folder().join("agno-migrate");
    std::fs::copy(env!("CARGO_BIN_EXE_agno-migrate"), &copied).expect("copies");
    let as_nobody = |arguments: &[&str]| {
        let mut command = match Command::new("id").arg("-u").output() {
            Ok(id) if id.stdout == b"0\n" => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copied);
                command
            }
            _ => Command::new(&copied),
        };
        command.env_remove("AGNO_DB_URL").args(arguments).arg("--db").arg(&database.path).output().expect("runs")
    };
    // SQLite writes its journal beside the file: the right to write the file is not enough.
    mode(&database.path, 0o666);
    mode(database.folder(), 0o555);
    let up = as_nobody(&["up"]);
    assert_eq!(up.status.code(), Some(6), "{}", stderr(&up));
    assert!(stderr(&up).contains("SQLite makes files beside the database while it changes it"), "{}", stderr(&up));
    mode(database.folder(), 0o755);
    mode(&database.path, 0o444);
    let up = as_nobody(&["up"]);
    assert_eq!(up.status.code(), Some(6), "{}", stderr(&up));
    assert!(stderr(&up).contains("cannot be written: give this user the right"), "{}", stderr(&up));
    let told = as_nobody(&["up", "--dry-run"]);
    assert_eq!((told.status.code(), stderr(&told)), (Some(6), stderr(&up)), "what is told is what would happen");
    assert_eq!(stdout(&as_nobody(&["current"])), "v2.5.6\n", "reading needs no such right");
    assert_eq!(std::fs::read(&database.path).expect("reads"), bytes);
    mode(&database.path, 0o000);
    let up = as_nobody(&["current"]);
    assert_eq!(up.status.code(), Some(1));
    assert!(stderr(&up).contains("check the rights"), "{}", stderr(&up));
}

#[test]
fn wrong_words_are_usage_errors_that_list_the_right_ones() {
    let database = Database::of("2.9.0");
    let usage = |arguments: &[&str], expected: &str| {
        let output = database.binary(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    };
    usage(&["up", "--to", "banana"], "'banana' is not a version");
    usage(&["up", "--to", "banana"], "v2.5.6  Agno 2.5.6 to 2.x");
    usage(&["up", "--to", "1.8.4"], "the oldest is 2.0.0");
    usage(&["down", "9.0.0"], "newer than 3.1.10");
    usage(&["down"], "VERSION");
    usage(&["up", "--only", "sessions,sesions"], "there is no table type 'sesions'; there are memories, sessions, metrics");
    usage(&["up", "--only", "runs"], "runs go with their sessions");
    usage(&["up", "--table", "sessions"], "TYPE=NAME");
    usage(&["up", "--table", "session=x"], "there is no table type 'session'");
    usage(&["up", "--lock-wait=-1"], "a number of seconds, 0 or more");
    usage(&["migrate"], "unrecognized subcommand");
    usage(&["up", "--backup", ""], "--backup");
    usage(&["up", "--backup="], "--backup");
}

#[test]
fn a_password_in_the_wrong_place_is_not_shown() {
    let silent = |command: &mut Command, expected: &str| {
        let output = command.output().expect("runs");
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{expected}: {said}");
    };
    let url = "postgresql://me:hunter2@host/db";
    silent(binary().args(["up", "--db", "mysql://me:hunter2@host/db"]), "'mysql'");
    silent(binary().args(["up", "--db", "host=there password=hunter2"]), "give its URL, postgresql://");
    silent(binary().args(["up", "--db", "postgresql://me:p@ss?hunter2@host/db"]), "has to be percent-encoded");
    silent(binary().args(["down", url]), "'postgresql://me:***@host/db' is not a version");
    silent(binary().arg(url), "unrecognized subcommand 'postgresql://me:***@host/db'");
    silent(binary().args(["up", url]), "unexpected argument 'postgresql://me:***@host/db'");
    silent(binary().args(["up", &format!("--to={url}")]), "'postgresql://me:***@host/db' is not a version");
    silent(binary().arg("up").env("AGNO_MIGRATE_ONLY", url), "there is no table type 'postgresql://me:***@host/db'");
    silent(binary().args(["up", "--db-file", url]), "a URL is for --db");
    silent(binary().arg("up").env("AGNO_DB_FILE", url), "a URL is for --db");
    let folder = Database::empty();
    let list = folder.folder().join("list");
    std::fs::write(&list, "mysql://me:hunter2@a/db\nmysql://me:hunter2@b/db\n").expect("writes");
    silent(binary().arg("up").arg("--db-file").arg(&list), "== database 2 of 2");
}

#[test]
fn variables_that_are_empty_say_nothing_and_those_that_are_no_text_are_refused() {
    let database = Database::of("2.9.0");
    let current = |name: &str, value: &OsStr| {
        let output = binary().args(["current", "--db", &database.url]).env(name, value).output().expect("runs");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let quietly = (Some(0), "v2.5.6\n".to_owned());
    let variables: Vec<String> =
        variables_of(&Cli::command()).into_iter().chain(["AGNO_MIGRATE_BACKUP".to_owned()]).collect();
    assert!(variables.len() > 5, "{variables:?}");
    for name in &variables {
        let (code, said, why) = current(name, OsStr::new(""));
        assert_eq!((code, said), quietly, "{name}: {why}");
    }
    for (value, is_json) in [("0", false), ("false", false), ("no", false), ("1", true), ("true", true), ("yes", true)] {
        let (code, said, why) = current("AGNO_MIGRATE_JSON", OsStr::new(value));
        assert_eq!((code, said.starts_with('{')), (Some(0), is_json), "{value}: {why}");
    }
    let no_text = OsStr::from_bytes(b"a\xff");
    for name in ["AGNO_DB_URL", "DATABASE_URL", "AGNO_DB_FILE"] {
        let output = binary().arg("current").env(name, no_text).current_dir(database.folder()).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(&format!("the variable {name} is not valid UTF-8")), "{}", stderr(&output));
    }
    let argument = binary().arg("current").arg(no_text).output().expect("runs");
    assert_eq!(argument.status.code(), Some(2), "{}", stderr(&argument));
}

fn variables_of(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_env());
    let mut all: BTreeSet<String> = own.map(|name| name.to_string_lossy().into_owned()).collect();
    all.extend(command.get_subcommands().flat_map(variables_of));
    all
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = Database::empty();
    let pipe = folder.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let (code, why) = fails(&["up", "--db", &pipe.to_string_lossy()]);
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("is neither a file nor a directory"), "{why}");
    let (code, why) = fails(&["up", "--db", &format!("sqlite:///{}", pipe.to_string_lossy().trim_start_matches('/'))]);
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("its URL has four slashes, sqlite:////"), "{why}");
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let database = Database::of("2.9.0");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let output = binary().args(["current", "--db", &database.url]).stdout(full).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write the result"), "{}", stderr(&output));
}

#[test]
fn named_tables_are_checked() {
    let database = Database::of("2.9.0");
    let why = database.refused(&["up", "--table", "sessions=agent_session"], 6);
    assert!(
        why.contains("there is no table agent_session, and the database has agent-session, agno_sessions, support"),
        "{why}"
    );
    let why = database.refused(&["up", "--table", "memories=agno_sessions"], 6);
    assert!(why.contains("agno_sessions is no memories table of Agno: it lacks memory_id"), "{why}");
    let why = database.refused(&["up", "--table", "runs=my_runs"], 6);
    assert!(why.contains("needs exactly one sessions table, and there are 3"), "{why}");

    let report = database.ok(&["up", "--table", "sessions=support", "--table", "runs=my runs", "--only", "sessions"]);
    assert_eq!(report.tables.len(), 1);
    assert_eq!(database.one("SELECT count(*) FROM \"my runs\""), "2");
    assert_eq!(database.stamps()["support"], "3.0.0");
    assert_eq!(database.stamps()["agno_sessions"], "2.5.6");

    let empty = Database::empty();
    empty.sql("CREATE TABLE other (a)");
    let report = empty.ok(&["up", "--table", "sessions=later"]);
    assert!(report.warnings[0].contains("there is no table later (sessions): skipped"), "{:?}", report.warnings);
}

#[test]
fn stamps_that_are_not_known_stop_writers_only() {
    for stamp in ["4.0.0", "banana"] {
        let database = Database::of("2.9.0");
        database.sql(&format!("UPDATE agno_schema_versions SET version = '{stamp}' WHERE table_name = 'agno_eval_runs'"));
        for command in [&["up"][..], &["down", "2.0.0", "--yes"]] {
            let why = database.refused(command, 6);
            assert!(
                why.contains(&format!("agno_eval_runs: it is stamped {stamp}")) && why.contains("update agno-migrate"),
                "{why}"
            );
            assert!(why.contains("--only memories,sessions,metrics,knowledge"), "{why}");
        }
        let current = database.binary(&["current"]);
        assert_eq!(stdout(&current), "v2.5.6\n");
        assert!(stderr(&current).contains(&format!("agno_eval_runs is stamped {stamp}, which is not known")));
        assert!(stdout(&database.binary(&["status"])).contains(stamp));
        database.ok(&["up", "--only", "sessions"]);
        // On a table that does not exist it is nobody's business.
        let database = Database::of("2.9.0");
        database.sql(&format!("INSERT INTO agno_schema_versions VALUES ('gone', '{stamp}', '', '')"));
        database.ok(&["up"]);
    }
}

#[test]
fn any_table_name_works() {
    let long = "n".repeat(200);
    for name in ["we \"quote\"", "with space", "sessões", "semi;colon--", "percent%s", "$1", "select", "a'b", long.as_str()]
    {
        let database = Database::of("2.9.0");
        let quoted = name.replace('"', "\"\"");
        database.sql(&format!("ALTER TABLE support RENAME TO \"{quoted}\""));
        let runs = format!("\"{quoted}_runs\"");
        database.ok(&["up"]);
        assert_eq!(database.one(&format!("SELECT count(*) FROM {runs}")), "2", "{name}");
        assert_eq!(database.stamps()[name], "3.0.0");
        database.ok(&["down", "2.0.0", "--yes"]);
        assert_eq!(database.one(&format!("SELECT count(*) FROM \"{quoted}\"")), "1", "{name}");
        database.ok(&["up"]);
    }
}

#[test]
fn completions_and_the_man_page_come_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = binary().args(["completions", shell]).output().expect("runs");
        assert!(stdout(&output).contains("lock-wait"), "{shell}");
    }
    let man = stdout(&binary().arg("man").output().expect("runs"));
    assert!(man.contains(".TH agno-migrate 1") && man.contains("lock\\-wait"), "{man}");
    let help = stdout(&binary().arg("--help").output().expect("runs"));
    for command in ["up", "down", "current", "status", "plan", "v1-to-v2", "verify", "cleanup", "completions", "man"] {
        assert!(help.contains(&format!("  {command}")), "{help}");
    }
    assert!(help.contains("5 a lock was not had in time"), "{help}");
}

#[test]
fn the_version_says_which_databases_it_knows() {
    let said = |arguments: &[&str]| stdout(&binary().args(arguments).output().expect("runs"));
    let short = concat!("agno-migrate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(said(&["-V"]), short);
    let long = said(&["--version"]);
    assert!(long.starts_with(short) && long.contains(&format!("Agno {NEWEST_RELEASE}:\n")), "{long}");
    for migration in MIGRATIONS {
        let line = format!("\n  v{}  Agno {}\n", migration.version, releases_of(&migration.version));
        assert!(long.contains(&line), "{line} in {long}");
    }
}

#[test]
fn what_was_said_wrongly_is_told_as_json_too() {
    for words in [
        &["up", "--json", "--to", "banana"][..],
        &["up", "--json", "--only", "x"],
        &["up", "--json", "--nope"],
        &["down", "--json"],
        &["up", "--json", "--db-file", "/nowhere"],
    ] {
        let output = binary().args(words).output().expect("runs");
        assert_eq!(output.status.code(), Some(2));
        let report: serde_json::Value =
            serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!((&report["schema"], &report["exit_code"]), (&1.into(), &2.into()));
        assert!(report["failure"].as_str().is_some_and(|why| !why.is_empty() && !why.starts_with("error")), "{report}");
    }
    let help = binary().args(["up", "--json", "--help"]).output().expect("runs");
    assert!(help.status.success() && stdout(&help).starts_with("Bring every Agno table"));
}

#[test]
fn names_with_a_semicolon_can_be_said() {
    let database = Database::of("2.9.0");
    database.sql("ALTER TABLE agno_sessions RENAME TO \"a;b\"");
    database.ok(&["up", "--table", "sessions=a;b"]);
    let several = database.binary(&["status", "--table", "memories=agno_memories", "--table", "evals=agno_eval_runs"]);
    let mut by_variable = binary();
    let by_variable = by_variable
        .args(["status", "--db", &database.url])
        .env("AGNO_MIGRATE_TABLE", "memories=agno_memories; evals=agno_eval_runs");
    assert_eq!(stdout(&by_variable.output().expect("runs")), stdout(&several));
    let wrong =
        binary().args(["status", "--db", &database.url]).env("AGNO_MIGRATE_TABLE", "sessions=agno_sessions;banana").output();
    let wrong = wrong.expect("runs");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("AGNO_MIGRATE_TABLE: say TYPE=NAME"), "{}", stderr(&wrong));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let database = Database::of("2.9.0");
    let painted = |arguments: &[&str]| stderr(&database.binary(arguments)).contains('\u{1b}');
    assert!(!painted(&["up", "--table", "sessions=x"]), "no colours in a pipe");
    assert!(painted(&["up", "--table", "sessions=x", "--color", "always"]));
    assert!(!painted(&["up", "--table", "sessions=x", "--color=never"]));
}

/// An id is what an app, or a user of it, made it: it must not talk to the terminal.
#[test]
fn control_characters_of_ids_are_shown() {
    let database = Database::of("2.9.0");
    database
        .sql("UPDATE agno_sessions SET session_id = 'a' || char(27) || '[2J', runs = '[null]' WHERE session_id = 'agent-1'");
    let output = database.binary(&["up"]);
    let said = [output.stdout, output.stderr].concat();
    assert!(!said.contains(&27), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("a\\u{1b}[2J"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_wrong_command_line_is_told_what_it_meant() {
    let said = |words: &[&str]| {
        let output = support::binary().args(words).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    for (words, tip) in [
        (&["up", "3.0.0"][..], "tip: the version is said with --to: agno-migrate up --to 3.0.0\n\nUsage:"),
        (&["-q", "plan", "--to", "2.5.6"], "tip: the version needs no --to: agno-migrate plan VERSION\n\nUsage:"),
        (&["status", "app.db"], "tip: a database is named with --db\n\nUsage:"),
        (&["up", "2.5.6x"], "error: unexpected argument '2.5.6x' found\n\nUsage:"),
        (&["down"], "tip: the schema versions are:\n  v2.0.0"),
        (&["down", "--backup", "2.5.6"], "tip: --backup took the version for its PATH: say the version first\n\nUsage:"),
        (&["up", "--table", "sessions=a,memories=b"], "one table at a time: repeat --table, or put ; between them"),
        (&["up", "--db", "sqlite:one.db"], "a SQLite URL has three slashes"),
        (&["up", "--db", "\"sqlite:///agno.db\""], "has quotes around it"),
    ] {
        let said = said(words);
        assert!(said.contains(tip) && !said.contains("as a value"), "{words:?}: {said}");
    }
    let output = support::binary().args(["--json", "up", "--to", "foo"]).output().expect("runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["failure"].as_str().is_some_and(|why| why.contains("v2.5.6  Agno 2.5.6")), "{report}");
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_neighbours() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["two.db", "one.sqlite", "notes.txt"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let output = support::binary().arg("up").current_dir(&folder).output().expect("runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("there is no file agno.db: ") && said.contains(" has one.sqlite, two.db\n"), "{said}");
}

#[test]
fn a_job_that_waits_says_so() {
    let database = Database::of("2.9.0");
    let app = database.open();
    app.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let output = database.binary(&["up", "--lock-wait", "2"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        (output.status.code(), said.matches("note: waiting for a program that holds ").count()),
        (Some(5), 1),
        "{said}"
    );
    assert!(
        !String::from_utf8(database.binary(&["up", "-q", "--lock-wait", "2"]).stderr).expect("UTF-8").contains("waiting")
    );
}

#[test]
fn a_check_of_tables_that_are_not_there_is_no_check() {
    let database = Database::of("3.1.10");
    for words in [&["current", "--check"][..], &["status", "--check"]] {
        let words = [words, &["--table", "sessions=nope"]].concat();
        assert!(database.refused(&words, 6).contains("not everything was checked"));
        assert_eq!(database.run(&[words[0], "--table", "sessions=nope"]).exit_code, 0);
    }
}
