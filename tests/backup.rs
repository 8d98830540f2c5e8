//! Copies before a change, and many databases in one call.

mod support;

use support::{Database, Kind, assert_same, kinds};

#[test]
fn a_backup_is_the_database_as_it_was() {
    let database = Database::of("2.9.0");
    // The newest rows are only in the log.
    let app = database.open();
    app.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; INSERT INTO agno_sessions (session_id, session_type, created_at) VALUES ('in-the-log', 'agent', 1)").expect("writes");
    let before = database.dump();
    let folder = database.folder().join("saved");
    std::fs::create_dir(&folder).expect("a folder");
    let path = folder.to_str().expect("UTF-8");
    let told = database.ok(&["up", "--dry-run", "--backup", path]);
    assert!(told.notes.iter().any(|note| note.starts_with(&format!("would save the database as it is to {path}"))));
    assert!(told.backup.is_none() && std::fs::read_dir(&folder).expect("lists").count() == 0, "only told");
    let report = database.ok(&["up", "--backup", path]);
    let saved = report.backup.expect("a file");
    assert!(saved.starts_with(path), "{saved}");
    assert_eq!(std::fs::read_dir(&folder).expect("lists").count(), 1, "nothing but the copy");
    let copy = rusqlite::Connection::open(&saved).expect("opens");
    assert_same(&support::sqlite::dump(&copy), &before, "the copy");
    // Nothing to do: no copy either.
    assert_eq!(database.ok(&["up", "--backup", path]).backup, None);
    // A file that is there is never written over, and then nothing is changed.
    let before = database.dump();
    for more in [&["down", "2.5.6", "--yes"][..], &["down", "2.5.6", "--dry-run"], &["cleanup", "--dry-run"], &["cleanup"]] {
        let why = database.refused(&[more, &["--backup", &saved]].concat(), 6);
        assert!(why.contains("is there already"), "{more:?}: {why}");
    }
    assert_same(&database.dump(), &before, "no copy, no change");
    // Beside it, and once more in the same second.
    let first = database.ok(&["down", "2.5.6", "--yes", "--backup"]).backup.expect("a file");
    let second = database.ok(&["up", "--backup"]).backup.expect("a file");
    assert!(first != second && first.contains("agno.db.backup-"), "{first} {second}");
}

#[test]
fn a_backup_has_the_rights_of_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let database = Database::of("2.9.0");
    let file = database.folder().join("agno.db");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("sets");
    let saved = database.ok(&["up", "--backup"]).backup.expect("a file");
    assert_eq!(std::fs::metadata(saved).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn postgres_says_how_it_is_saved() {
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = kind.of("2.9.0");
        let before = database.dump();
        for how in [&["up", "--backup"][..], &["up", "--dry-run", "--backup"]] {
            let why = database.refused(how, 6);
            assert!(why.contains("pg_dump"), "{why}");
        }
        assert_same(&database.dump(), &before, "not saved, not changed");
    }
}

/// The way back that the guides and the refusal describe.
#[test]
fn what_pg_dump_saved_comes_back() {
    let version = std::process::Command::new("pg_dump").arg("--version").output();
    let Ok(version) = version else {
        assert!(std::env::var_os("AGNO_MIGRATE_TEST_ALL").is_none(), "pg_dump is not there");
        println!("skipped: pg_dump is not there");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let newest: u32 = version.split([' ', '.']).find_map(|word| word.parse().ok()).expect("a version");
    let mut tried = 0;
    for kind in kinds().into_iter().filter(|kind| *kind != Kind::Sqlite) {
        let database = kind.of("2.9.0");
        // It refuses servers that are newer than itself.
        if database.one("SELECT current_setting('server_version_num')::int / 10000").parse::<u32>().expect("a version")
            > newest
        {
            continue;
        }
        tried += 1;
        let tool = |program: &str, arguments: &[&str]| {
            let output = std::process::Command::new(program).args(arguments).output().expect("runs");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let file = database.folder().join("agno.dump");
        let (file, url) = (file.to_str().expect("UTF-8"), database.url.as_str());
        let (before, stamps) = (database.dump(), database.stamps());
        tool("pg_dump", &["--format=custom", "--schema=ai", &format!("--file={file}"), url]);
        database.ok(&["up"]);
        tool("psql", &["--quiet", "--command=DROP SCHEMA ai CASCADE", url]);
        tool("pg_restore", &[&format!("--dbname={url}"), file]);
        assert_same(&database.dump(), &before, "brought back");
        assert_eq!(database.stamps(), stamps);
        assert_eq!(support::differences(&database.ok(&["verify"])), [""; 0]);
        database.ok(&["up"]);
        // From the newest schema too: there the runs are rows with a foreign key.
        let after = database.dump();
        tool("pg_dump", &["--format=custom", "--schema=ai", &format!("--file={file}-2"), url]);
        database.ok(&["down", "2.0.0", "--yes"]);
        tool("psql", &["--quiet", "--command=DROP SCHEMA ai CASCADE", url]);
        tool("pg_restore", &[&format!("--dbname={url}"), &format!("{file}-2")]);
        assert_same(&database.dump(), &after, "brought back");
        assert_eq!(support::differences(&database.ok(&["verify"])), [""; 0]);
    }
    assert!(tried > 0 || kinds().len() == 1, "pg_dump {newest} saves none of the servers");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let database = Database::of("2.9.0");
    let folder = database.folder().join("closed");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).expect("sets");
    if std::fs::write(folder.join("x"), "").is_ok() {
        println!("skipped: root may write everywhere");
        return;
    }
    let why = database.refused(&["up", "--backup", folder.to_str().expect("UTF-8")], 6);
    assert!(why.contains("no file can be made in") && why.contains("--backup PATH"), "{why}");
}

#[test]
fn many_databases_in_one_call() {
    let (good, newer) = (Database::of("2.9.0"), Database::of("2.4.8"));
    let name = |database: &Database| database.folder().join("agno.db").to_str().expect("UTF-8").to_owned();
    let missing = good.folder().join("missing.db").to_str().expect("UTF-8").to_owned();
    let run = |arguments: &[&str]| {
        let output = support::binary().args(arguments).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let list = good.folder().join("list");
    std::fs::write(&list, format!("# all of them\n{missing}\n\n  {}\n", name(&newer))).expect("writes");
    let list = list.to_str().expect("UTF-8");

    let (code, stdout, _) = run(&["current", "--db", &name(&good), "--db", &name(&newer)]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout, format!("== {}\nv2.5.6\n== {}\nv2.3.0\n", name(&good), name(&newer)));

    // One that fails does not stop the others, and the worst is the exit code.
    let (code, stdout, stderr) = run(&["up", "--db", &name(&good), "--db-file", list]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("error: {missing}: there is no file")), "{stderr}");
    assert_eq!(stdout.matches("tables at v3.0.0").count(), 2, "{stdout}");
    assert_eq!(good.ok(&["current"]).current.as_deref(), Some("v3.0.0"));
    assert_eq!(newer.ok(&["current"]).current.as_deref(), Some("v3.0.0"));

    let (code, stdout, _) = run(&["current", "--check", "--json", "--db-file", list]);
    assert_eq!(code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!(document["exit_code"], 1);
    assert_eq!(document["databases"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["databases"][1]["current"], "v3.0.0");

    // What cannot be read, or names nothing, is a usage error.
    let empty = good.folder().join("empty");
    std::fs::write(&empty, "# none\n").expect("writes");
    for wrong in [empty.to_str().expect("UTF-8"), "/nowhere/list"] {
        let (code, stdout, stderr) = run(&["current", "--db-file", wrong]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("--db-file"), "{stderr}");
    }
    let (code, _, stderr) = run(&["v1-to-v2", "--db", &name(&good), "--db", &name(&newer)]);
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn the_worst_exit_code_counts() {
    use agno_migrate::commands::worst;
    assert_eq!(worst([0, 0]), 0);
    assert_eq!(worst([0, 3, 4]), 4);
    assert_eq!(worst([6, 5, 4]), 6);
    assert_eq!(worst([6, 1, 5]), 1);
    assert_eq!(worst([130, 1]), 130);
}

#[test]
fn a_backup_takes_nothing_of_others() {
    let database = Database::of("2.9.0");
    let folder = database.folder().to_str().expect("UTF-8").to_owned();
    let before = database.dump();
    // What is there is the user's, whatever it is called.
    let (wanted, beside) = (format!("{folder}/copy"), format!("{folder}/copy.partial"));
    std::fs::write(&beside, "mine").expect("writes");
    let saved = database.ok(&["up", "--backup", &wanted]).backup.expect("a file");
    assert_eq!((saved.as_str(), std::fs::read_to_string(&beside).expect("reads").as_str()), (wanted.as_str(), "mine"));
    // A folder that is not there, and one name for several copies.
    let nowhere = format!("{folder}/nowhere/copy");
    let why = database.refused(&["down", "2.5.6", "--yes", "--backup", &nowhere], 6);
    assert!(why.contains("there is no folder"), "{why}");
    let second = Database::of("2.9.0");
    let both = ["--db", database.url.as_str(), "--db", second.url.as_str()];
    let output = support::binary().args(["up", "--backup", &nowhere]).args(both).output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name a folder"));
    assert_same(&second.dump(), &before, "nothing was begun");
    let copies = format!("{folder}/copies");
    std::fs::create_dir(&copies).expect("a folder");
    let output = support::binary().args(["down", "2.0.0", "--yes", "--backup", &copies]).args(both).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(&copies).expect("lists").count(), 2);
}

#[test]
fn the_variable_of_backup_is_switched_like_a_flag() {
    for (value, copies) in [("", 0), ("false", 0), ("0", 0), ("No", 0), ("true", 1), ("1", 1), ("YES", 1)] {
        let database = Database::of("2.9.0");
        let command = ["up", "--db", database.url.as_str()];
        let output = support::binary().args(command).env("AGNO_MIGRATE_BACKUP", value).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let names = std::fs::read_dir(database.folder()).expect("lists").flatten();
        let backups = names.filter(|file| file.file_name().to_string_lossy().starts_with("agno.db.backup-")).count();
        assert_eq!(backups, copies, "{value:?}");
    }
}

#[test]
fn giving_space_back_is_a_change_too() {
    let database = Database::of("2.9.0");
    database.ok(&["up"]);
    database.ok(&["cleanup", "--yes"]);
    let before = database.dump();
    let saved = database.ok(&["cleanup", "--yes", "--vacuum", "--backup"]).backup.expect("a file");
    assert_same(&support::sqlite::dump(&rusqlite::Connection::open(saved).expect("opens")), &before, "the copy");
}

#[test]
fn two_backups_at_once_both_are_whole() {
    let database = Database::of("2.9.0");
    let start = || {
        let mut command = support::binary();
        command.args(["up", "--backup", "--db", &database.url]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("runs")
    };
    let codes: Vec<Option<i32>> =
        [start(), start()].into_iter().map(|mut child| child.wait().expect("ends").code()).collect();
    // One may find that the other did the work. Names that nobody chose are in nobody's way.
    assert_eq!(codes, [Some(0), Some(0)]);
    let after = database.dump();
    let mut copies = 0;
    let files: Vec<_> = std::fs::read_dir(database.folder()).expect("lists").flatten().collect();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(!name.contains(".partial"), "{name}");
        if name.starts_with("agno.db.backup-") {
            copies += 1;
            // The later one may hold what the other migrator had moved by then: whole, and no way is lost from it.
            let copy = file.path().display().to_string();
            let output = support::binary().args(["up", "--db", &copy]).output().expect("runs");
            assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let copy = support::sqlite::dump(&rusqlite::Connection::open(copy).expect("opens"));
            assert_same(&copy, &after, &name);
        }
    }
    assert!(copies > 0);
}

#[test]
fn a_conversion_copies_the_file_that_it_writes_to() {
    let database = Database::empty();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/sqlite/agno-1.8.4.db"), &database.path)
        .expect("copies");
    let before = database.dump();
    let told = database.ok(&["v1-to-v2", "--dry-run", "--backup"]);
    assert!(told.backup.is_none() && told.notes.iter().any(|note| note.starts_with("would save")), "{:?}", told.notes);
    let saved = database.ok(&["v1-to-v2", "--backup"]).backup.expect("a file");
    let copy = rusqlite::Connection::open(&saved).expect("opens");
    assert_same(&support::sqlite::dump(&copy), &before, "the copy");
    // A target that is made new has nothing to be saved.
    let target = Database::empty();
    assert_eq!(target.ok(&["v1-to-v2", "--from", &saved, "--backup"]).backup, None);
    let why = target.refused(&["v1-to-v2", "--from", &saved, "--backup", &saved], 6);
    assert!(why.contains("is there already"), "{why}");
}
