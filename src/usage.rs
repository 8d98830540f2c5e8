//! What a wrong command line probably meant.

use crate::backend::url::is_file_name;
use crate::schema::Target;
use crate::schema::release;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to say to an error of clap besides what clap says; `words`: those behind the program's name.
pub fn tip(error: &clap::Error, words: &[String]) -> Option<String> {
    let command = words.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    let is_version = |word: &str| word.parse::<Target>().is_ok();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
            match (command, argument.as_str()) {
                ("up" | "v1-to-v2", version) if is_version(version) => {
                    Some(format!("the version is said with --to: agno-migrate {command} --to {version}"))
                }
                ("down" | "plan", "--to") => Some(format!("the version needs no --to: agno-migrate {command} VERSION")),
                (_, word) if word.contains("://") || is_file_name(word) => Some("a database is named with --db".to_owned()),
                _ => None,
            }
        }
        ErrorKind::MissingRequiredArgument if command == "down" => {
            let of_backup =
                words.iter().zip(words.iter().skip(1)).any(|(word, next)| word == "--backup" && is_version(next));
            Some(match of_backup {
                true => "--backup took the version for its PATH: say the version first".to_owned(),
                false => format!("the schema versions are:\n{}", release::list()),
            })
        }
        _ => None,
    }
}

/// The text of an error with a tip of ours before its usage, instead of clap's to pass the word as a value.
pub fn with_tip(said: &str, tip: &str) -> String {
    let is_claps = |line: &&str| !line.trim_start().starts_with("tip: to pass ");
    let said = said.lines().filter(is_claps).collect::<Vec<_>>().join("\n").replace("\n\n\n", "\n\n");
    match said.split_once("\n\n") {
        Some((message, usage)) => format!("{message}\n\n  tip: {tip}\n\n{}\n", usage.trim_start()),
        None => format!("{said}\n\n  tip: {tip}\n"),
    }
}
