//! Variables and arguments as people give them: what is empty says nothing, what is no text is refused, and what may hold a
//! password is not shown.

use crate::error::Stop;
use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};
use std::env::{self, VarError};
use std::ffi::OsString;

/// The value of a variable; `None` when it is not set, or empty.
///
/// # Errors
/// [`Stop::Usage`] for bytes that are no text: to go on without the variable could change another database.
pub fn variable(name: &str) -> Result<Option<String>, Stop> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Stop::Usage(format!("the variable {name} is not valid UTF-8"))),
    }
}

/// The command with the manners of variables: an empty one is as good as none, and a flag's is off when it says false, no, 0.
pub fn heeded(command: Command) -> Command {
    command.mut_args(heeded_by).mut_subcommands(heeded)
}

fn heeded_by(argument: Arg) -> Arg {
    let Some(value) = argument.get_env().map(env::var_os) else { return argument };
    match (value, argument.get_action()) {
        (Some(value), _) if value.is_empty() => argument.env(None::<&'static str>),
        (_, ArgAction::SetTrue) => argument.value_parser(FalseyValueParser::new()),
        _ => argument,
    }
}

/// Text without the database URLs among the words of a command: a password in the wrong place is still one.
pub fn without_urls(text: String, words: impl Iterator<Item = OsString>) -> String {
    words.fold(text, |text, word| {
        let word = word.to_string_lossy();
        match secret(&word) {
            Some(url) => text.replace(url, "<database URL>"),
            None => text,
        }
    })
}

/// The part of a word that may hold a password.
fn secret(word: &str) -> Option<&str> {
    if let Some(at) = word.find("://") {
        let of_scheme = |character: char| character.is_ascii_alphanumeric() || "+-.".contains(character);
        let begin = word[..at].trim_end_matches(of_scheme).len();
        return Some(&word[begin..]).filter(|url| url.contains('@'));
    }
    Some(word).filter(|word| word.contains("password="))
}

/// Every word the command was given: arguments, and variables that stand for arguments.
pub fn words() -> impl Iterator<Item = OsString> {
    let is_ours = |name: &OsString| name.to_string_lossy().starts_with("AGNO_");
    env::args_os().chain(env::vars_os().filter(move |(name, _)| is_ours(name)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_the_wrong_place_are_not_shown() {
        let shown = |text: &str, word: &str| without_urls(text.to_owned(), [OsString::from(word)].into_iter());
        let url = "postgresql+psycopg://me:hunter2@host/db";
        assert_eq!(shown(&format!("invalid value '{url}'"), url), "invalid value '<database URL>'");
        assert_eq!(shown(&format!("invalid value '{url}'"), &format!("--to={url}")), "invalid value '<database URL>'");
        assert_eq!(shown("no 'host=x password=hunter2'", "host=x password=hunter2"), "no '<database URL>'");
        assert_eq!(shown("no 'sqlite:///agno.db'", "sqlite:///agno.db"), "no 'sqlite:///agno.db'");
        assert_eq!(shown("é", "é://@"), "é");
    }
}
