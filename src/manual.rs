//! What the program prints of itself, made of the command line: completion scripts and man pages.

use crate::cli::Cli;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::io;

/// The completion script for a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "agno-migrate", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6 takes the hyphen of the program's name for one between commands in half of the places.
        Shell::Bash => script.replace("agno__subcmd__migrate", "agno__migrate"),
        _ => script,
    }
}

/// The man page of the program, or of one of its commands.
///
/// # Errors
/// `None` inside: there is no such command.
pub fn man(command: Option<&str>) -> io::Result<Option<Vec<u8>>> {
    // `help` has no page that could be referred to.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let page = match command {
        None => Some(program),
        Some(name) => program.find_subcommand(name).cloned(),
    };
    let render = |command: Command| {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map(|()| page)
    };
    page.map(render).transpose()
}
