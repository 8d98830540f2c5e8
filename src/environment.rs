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

/// Whether the result is wanted as JSON, asked of the words themselves: those of a command that was said wrongly cannot be parsed.
pub fn wants_json() -> bool {
    let is_on = |value: String| !["0", "n", "no", "f", "false", "off"].contains(&value.to_ascii_lowercase().as_str());
    env::args_os().any(|word| word == "--json") || variable("AGNO_MIGRATE_JSON").ok().flatten().is_some_and(is_on)
}

/// The passwords among the words of a command, each with what is around it: a password in the wrong place is still one, and a
/// message may repeat it. A password alone is no help: it may be `postgres`.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// What is hidden, longest first, and what stands for it.
    fragments: Vec<(String, String)>,
}

/// What stands for a password.
const HIDDEN: &str = "***";

impl Secrets {
    /// Those of this process: of its arguments, and of variables that stand for arguments.
    pub fn of_process() -> Secrets {
        let is_ours = |name: &OsString| name.to_string_lossy().starts_with("AGNO_") || name == "DATABASE_URL";
        Secrets::of(env::args_os().chain(env::vars_os().filter(move |(name, _)| is_ours(name)).map(|(_, value)| value)))
    }

    fn of(words: impl Iterator<Item = OsString>) -> Secrets {
        let mut fragments = Vec::new();
        for word in words {
            let word = word.to_string_lossy();
            fragments.extend(user_infos(&word).into_iter().map(|info| {
                let user = info.split(':').next().unwrap_or_default();
                (info.to_owned(), format!("{user}:{HIDDEN}@"))
            }));
            fragments.extend(pairs(&word).into_iter().map(|pair| {
                let (key, _) = pair.split_once('=').unwrap_or((pair, ""));
                (pair.to_owned(), format!("{key}={HIDDEN}"))
            }));
        }
        fragments.sort_by_key(|(fragment, _)| std::cmp::Reverse(fragment.len()));
        Secrets { fragments }
    }

    /// The text without them.
    pub fn hide(&self, text: &str) -> String {
        self.fragments.iter().fold(text.to_owned(), |text, (fragment, hidden)| text.replace(fragment, hidden))
    }
}

/// What may be `user:password@`, from wherever it may begin: nothing says how a URL in the wrong place is put.
fn user_infos(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in word.match_indices('@') {
        let before = &word[..at];
        let behind = |marks: &[char]| before.rfind(marks).map_or(0, |mark| mark + 1);
        let of_scheme = before.rfind("://").map_or(behind(&['=']), |scheme| scheme + 3);
        for from in [of_scheme, behind(&['/', ',', ';', '=', ' ', '\'', '"'])] {
            let is_info = before[from..].contains(':') && !before[from..].starts_with(':');
            found.extend(is_info.then_some(&word[from..=at]));
        }
    }
    found
}

/// What may be `password=..`, with blanks around the sign or not.
fn pairs(word: &str) -> Vec<&str> {
    let lower = word.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, _) in lower.match_indices("pass") {
        let key = lower[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(lower.len(), |end| at + end);
        let sign = key + (lower[key..].len() - lower[key..].trim_start().len());
        let Some(value) = lower[sign..].strip_prefix('=') else { continue };
        let from = lower.len() - value.trim_start().len();
        let end = lower[from..].find(['&', ' ', ',', ';', '\'', '"']).map_or(lower.len(), |end| from + end);
        found.extend((end > from).then(|| &word[at..end]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_the_wrong_place_are_not_shown() {
        for word in [
            "postgresql+psycopg://me:hunter2@host/db",
            "--to=postgresql://me:hunter2@host/db",
            "postgresql://me:hunter2/3@host/db",
            "postgresql://me:hun ter2@host:99999/db",
            "postgresql://me:a:hunter2@host/db",
            "memories,postgresql://me:hunter2@h/db,x",
            "sessions=postgresql://me:hunter2@h/db",
            "postgresql:/me:hunter2@h/db",
            "postgres:me:hunter2@h",
            "me:hunter2@host",
            "host=x password=hunter2",
            "host=x PASSWORD = hunter2 dbname=y",
            "postgresql://h/db?user=x&password=hunter2&x=y",
            "user=me pass=hunter2",
            "PGPASSWORD=hunter2",
        ] {
            let secrets = Secrets::of([OsString::from(word)].into_iter());
            for said in [format!("invalid value '{word}' for it"), word.replace("//", "/"), word.to_owned()] {
                let shown = secrets.hide(&said);
                assert!(!shown.contains("hunter2") && !shown.contains("ter2"), "{word}: {shown}");
            }
        }
    }

    #[test]
    fn what_is_no_password_is_shown() {
        for word in
            ["sqlite:///agno.db", "postgresql://me@host:5432/db", "é://@", "@", "::@", "pass", "compass=", "a@b", "x=y"]
        {
            assert_eq!(Secrets::of([OsString::from(word)].into_iter()).hide(word), word);
        }
        let secrets = Secrets::of([OsString::from("postgresql://postgres:postgres@host/postgres")].into_iter());
        assert_eq!(
            secrets.hide("cannot connect to postgresql://postgres@host/postgres"),
            "cannot connect to postgresql://postgres@host/postgres"
        );
    }
}
