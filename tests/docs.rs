//! docs/versions.md, docs/commands.md and what a wheel installs under share/ are made of the declaration and of the command line.
//! `UPDATE_DOCS=1 cargo test --test docs` writes them; without it a difference is a failure.

use agno_migrate::cli::Cli;
use agno_migrate::schema::release::releases_of;
use agno_migrate::schema::tables::{KNOWN, RUNS};
use agno_migrate::schema::versions::MIGRATIONS;
use clap::{Arg, Command, CommandFactory};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process;

const MADE: &str = "<!-- Made by tests/docs.rs: change the source, then UPDATE_DOCS=1 cargo test --test docs -->\n";

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "docs/{name} is out of date: UPDATE_DOCS=1 cargo test --test docs writes it");
}

#[test]
fn versions() {
    let mut text = format!("# Schema versions\n\n{MADE}\nWhat each schema version wants of each type of table.\n\n");
    text.push_str("| schema | Agno releases |\n|---|---|\n");
    for migration in MIGRATIONS {
        writeln!(text, "| {} | {} |", migration.version, releases_of(&migration.version)).expect("text");
    }
    for migration in MIGRATIONS {
        writeln!(text, "\n## {}\n", migration.version).expect("text");
        if migration.tables.is_empty() {
            text.push_str("The oldest: what Agno 2.0 made. A database without stamps is taken for it.\n");
            continue;
        }
        text.push_str("| table | wants |\n|---|---|\n");
        for (table_type, steps) in migration.tables {
            let facts: Vec<String> = steps.iter().map(|step| step.describe()).collect();
            writeln!(text, "| {table_type} | {} |", facts.join("<br>")).expect("text");
        }
    }
    text.push_str("\n## Tables\n\nA table is found by its key and these columns, whatever its name.\n\n");
    text.push_str("| type | default name | since Agno | key | columns |\n|---|---|---|---|---|\n");
    for known in KNOWN {
        let (key, columns) = (known.key.join(", "), known.columns.join(", "));
        let name = if known.default_name.is_empty() { "of the app's choice" } else { known.default_name };
        writeln!(text, "| {} | {name} | {} | {key} | {columns} |", known.word, known.since).expect("text");
    }
    text.push_str("\n## The runs table\n\n| column | type |\n|---|---|\n");
    for column in RUNS.columns {
        let null = if column.required { " NOT NULL" } else { "" };
        writeln!(text, "| {} | {}{null} |", column.name, column.column_type).expect("text");
    }
    check("versions.md", &text);
}

/// An option or argument as a row of a table.
fn row(arg: &Arg) -> String {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("`-{short}`, `--{long}`"),
        (Some(long), None) => format!("`--{long}`"),
        _ => String::new(),
    };
    let takes = arg.get_action().takes_values();
    let value =
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
    let said =
        [name, if takes { value } else { String::new() }].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if takes && !values.is_empty() {
        write!(help, " (one of {})", values.join(", ")).expect("text");
    }
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(", ");
    let env = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    format!("| {} | {help} | {} | {env} |\n", said.join(" "), if takes { default } else { String::new() })
}

fn rows<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let rows: String = args.map(row).collect();
    if !rows.is_empty() {
        text.push_str("| option | meaning | default | environment |\n|---|---|---|---|\n");
        text.push_str(&rows);
    }
}

#[test]
fn commands() {
    let mut cli = Cli::command();
    cli.build();
    let is_shown = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
    let mut text = format!("# Commands\n\n{MADE}\n{}\n", cli.get_about().map(ToString::to_string).unwrap_or_default());
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(&mut text, command);
    }
    text.push_str("\n## Options for every command\n\n");
    rows(&mut text, cli.get_arguments().filter(|arg| arg.is_global_set()).filter(is_shown));
    let codes = cli.get_after_help().map(ToString::to_string).unwrap_or_default();
    writeln!(text, "\n## Exit codes\n\n{}", codes.trim_start_matches("Exit codes: ")).expect("text");
    check("commands.md", &text);
}

fn describe(text: &mut String, command: &Command) {
    writeln!(text, "\n## agno-migrate {}\n", command.get_name()).expect("text");
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    writeln!(text, "{about}\n").expect("text");
    let own =
        command.get_arguments().filter(|arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version"));
    rows(text, own);
}

/// What the binary prints.
fn printed(arguments: &[&str]) -> String {
    let output = process::Command::new(env!("CARGO_BIN_EXE_agno-migrate")).args(arguments).output().expect("runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn completions() {
    for (shell, path) in [
        ("bash", "bash-completion/completions/agno-migrate"),
        ("zsh", "zsh/site-functions/_agno-migrate"),
        ("fish", "fish/vendor_completions.d/agno-migrate.fish"),
    ] {
        check(&format!("wheel/data/share/{path}"), &printed(&["completions", shell]));
    }
}

/// What bash offers behind these words, the last of which is being typed.
fn offered(words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = format!(
        "source /dev/stdin; COMP_WORDS=(agno-migrate {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _agno__migrate agno-migrate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = process::Command::new("bash")
        .args(["-c", &script])
        .stdin(process::Stdio::piped())
        .stdout(process::Stdio::piped())
        .spawn()
        .expect("bash runs");
    let completions = printed(&["completions", "bash"]);
    std::io::Write::write_all(&mut bash.stdin.take().expect("a pipe"), completions.as_bytes()).expect("written");
    let output = bash.wait_with_output().expect("ends");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let has = |words: &[&str], wanted: &str| assert!(offered(words).contains(&wanted.to_owned()), "{words:?}");
    has(&["u"], "up");
    has(&["up", "--d"], "--dry-run");
    has(&["v1-to-v2", "--f"], "--from");
    has(&["completions", ""], "fish");
    has(&["status", "--color", ""], "never");
}

/// The page of `agno-migrate man` refers to one page for each command: the wheel has those too.
#[test]
fn man_pages() {
    let files = |folder: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    };
    let made = tempfile::tempdir().expect("a folder");
    clap_mangen::generate_to(Cli::command(), made.path()).expect("pages");
    let read = |name: &str| std::fs::read_to_string(made.path().join(name)).expect("a page");
    assert_eq!(read("agno-migrate.1"), printed(&["man"]));
    assert!(printed(&["man", "nothing"]).is_empty());
    for name in files(made.path()) {
        if let Some(command) = name.strip_prefix("agno-migrate-").and_then(|rest| rest.strip_suffix(".1")) {
            assert_eq!(read(&name), printed(&["man", command]));
        }
        check(&format!("wheel/data/share/man/man1/{name}"), &read(&name));
    }
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/wheel/data/share/man/man1");
    assert_eq!(files(&committed), files(made.path()), "a page of a command that is gone");
}

/// The messages that docs/troubleshoot.md explains are those of the source: each phrase in backquotes that begins an entry.
#[test]
fn messages_that_are_explained_are_there() {
    fn source(folder: &std::path::Path, text: &mut String) {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                source(&path, text);
            } else {
                text.push_str(&std::fs::read_to_string(path).expect("text"));
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    source(&root.join("src"), &mut text);
    // A string that goes on in the next line goes on without the blanks before it.
    let mut parts = text.split("\\\n");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        joined.push_str(part.trim_start());
    }
    let guide = std::fs::read_to_string(root.join("docs/troubleshoot.md")).expect("the guide");
    let mut explained = 0;
    for entry in guide.lines().filter_map(|line| line.strip_prefix("- ")) {
        let Some(end) = entry.find("`:") else { continue };
        for message in entry[..=end].split('`').skip(1).step_by(2) {
            assert!(joined.contains(message), "no message says: {message}");
            explained += 1;
        }
    }
    assert!(explained > 30, "{explained} messages");
}
