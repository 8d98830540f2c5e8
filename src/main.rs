//! Parse, run, print, exit.

use agno_migrate::cli::{Cli, Colors, Command};
use agno_migrate::commands::{self, Answer};
use agno_migrate::environment::{self, Secrets};
use agno_migrate::manual;
use agno_migrate::progress::{self, Progress, Silent};
use agno_migrate::report::Report;
use agno_migrate::terminal::{self, plain};
use agno_migrate::usage;
use clap::{CommandFactory, FromArgMatches};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A second Ctrl-C ends at once; the transaction in hand is rolled back by the database.
    let _ = ctrlc::set_handler(|| {
        if progress::interrupted() {
            std::process::exit(130);
        }
        progress::interrupt();
    });
    let secrets = Secrets::of_process();
    let command = environment::heeded(Cli::command().color(colors_of_arguments()));
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let mut cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let said = error.render().to_string();
            let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            let tipped = usage::tip(&error, &words).map(|tip| usage::with_tip(&said, &tip));
            let said = tipped.clone().unwrap_or(said);
            match secrets.hide(&said) {
                safe if safe != said || tipped.is_some() => {
                    let _ = write!(io::stderr(), "{safe}");
                }
                _ => {
                    let _ = error.print();
                }
            }
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // Help and the version are what was asked for.
            if code != 0 && environment::wants_json() {
                let message = said.split("\n\n").next().unwrap_or_default();
                let report = Report::usage(secrets.hide(message.strip_prefix("error: ").unwrap_or(message)), code);
                print(report.to_json().as_bytes());
            }
            return ExitCode::from(code);
        }
    };
    match &cli.command {
        Command::Completions { shell } => {
            return print(manual::completions(*shell).as_bytes());
        }
        Command::Man { command } => {
            return match manual::man(command.as_deref()) {
                Ok(Some(page)) => print(&page),
                Ok(None) => {
                    let name = secrets.hide(command.as_deref().unwrap_or_default());
                    let _ = writeln!(io::stderr(), "error: there is no command '{name}': agno-migrate help lists them");
                    ExitCode::from(2)
                }
                Err(_) => ExitCode::FAILURE,
            };
        }
        _ => {}
    }

    let databases = match cli.complete().and_then(|()| cli.databases()) {
        Ok(databases) => databases,
        Err(stop) => {
            let message = secrets.hide(&stop.to_string());
            let _ = writeln!(io::stderr(), "error: {message}");
            if cli.options.json {
                print(Report::usage(message, stop.exit_code()).to_json().as_bytes());
            }
            return ExitCode::from(stop.exit_code());
        }
    };
    let reports = run_each(&cli, &databases, &secrets);
    let json = match reports.as_slice() {
        _ if !cli.options.json => return ExitCode::from(commands::worst(reports.iter().map(|report| report.exit_code))),
        [one] if databases.len() == 1 => one.to_json(),
        several => Report::several_to_json(several, commands::worst(several.iter().map(|report| report.exit_code))),
    };
    match print(secrets.hide(&json).as_bytes()) {
        ExitCode::SUCCESS => ExitCode::from(commands::worst(reports.iter().map(|report| report.exit_code))),
        failed => failed,
    }
}

/// One database after the other; what stops one does not stop the others, but Ctrl-C does. Text is printed as it comes.
fn run_each(cli: &Cli, databases: &[String], secrets: &Secrets) -> Vec<Report> {
    let watched = terminal::is_watched() && !cli.options.no_progress && !cli.options.quiet && !cli.options.json;
    let mut reports = Vec::new();
    for (at, url) in databases.iter().enumerate() {
        let one = Cli { options: cli.options.for_one(url), command: cli.command.clone() };
        let mut progress: Box<dyn Progress> = match (watched, cli.options.quiet) {
            (true, _) => Box::new(terminal::Bars::new()),
            (false, true) => Box::new(Silent),
            (false, false) => Box::new(terminal::Waits::default()),
        };
        let mut report = commands::run(&one, &mut *progress, &mut |question| {
            Ok(match terminal::can_ask() {
                true if terminal::ask(question)? => Answer::Yes,
                true => Answer::No,
                false => Answer::Nobody,
            })
        });
        drop(progress);
        let is_one_of_many = databases.len() > 1;
        if is_one_of_many && report.database.is_empty() {
            // What is wrong with its URL is said, and not the URL.
            report.database = format!("database {} of {}", at + 1, databases.len());
        }
        if is_one_of_many && !cli.options.json {
            print(format!("== {}\n", plain(&report.database)).as_bytes());
        }
        tell(cli, &report, is_one_of_many.then_some(report.database.as_str()), secrets);
        if !cli.options.json && print(plain(&secrets.hide(&report.to_text())).as_bytes()) != ExitCode::SUCCESS {
            report.exit_code = 1;
        }
        reports.push(report);
        if progress::interrupted() {
            break;
        }
    }
    reports
}

/// clap needs to know about colours before it has read the arguments.
fn colors_of_arguments() -> clap::ColorChoice {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let said = arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix("--color") {
        Some("") => arguments.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    match said {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// Writes the result to stdout. Whoever closed the pipe has read enough.
fn print(text: &[u8]) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: cannot write the result: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Notes, warnings and errors go to stderr, with the database where there are several.
fn tell(cli: &Cli, report: &Report, database: Option<&str>, secrets: &Secrets) {
    let of = database.map_or(String::new(), |name| format!("{}: ", plain(name)));
    let colored = match cli.options.color {
        Colors::Always => true,
        Colors::Never => false,
        Colors::Auto => terminal::is_colored(),
    };
    let paint = |code: &str, word: &str| if colored { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() };
    let mut stderr = io::stderr().lock();
    let (notes, warnings) = report.messages();
    if !cli.options.quiet {
        for table in report.tables.iter().filter(|_| cli.options.verbose && !report.dry_run) {
            for step in &table.steps {
                let _ = writeln!(stderr, "{of}{}: v{} {}", plain(&table.name), step.version, plain(&step.what));
            }
        }
        for note in notes {
            let _ = writeln!(stderr, "{}: {of}{}", paint("36", "note"), plain(&secrets.hide(&note)));
        }
    }
    for warning in warnings {
        let _ = writeln!(stderr, "{}: {of}{}", paint("33", "warning"), plain(&secrets.hide(&warning)));
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(stderr, "{}: {of}{}", paint("31", "error"), plain(&secrets.hide(failure)));
    }
}
