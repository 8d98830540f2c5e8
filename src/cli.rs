//! Every flag and subcommand, once; help, man page, completions and docs/commands.md are made of this.

use crate::backend::url::DEFAULT_URL;
use crate::backend::{Access, DEFAULT_SCHEMA, Opening};
use crate::discover::Named;
use crate::environment::variable;
use crate::error::Stop;
use crate::schema::Target;
use crate::schema::release::{self, NEWEST_RELEASE};
use crate::schema::tables::{KNOWN, TableType, VERSIONS_TABLE};
use crate::v1::source::Kind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

/// Migrate the databases of Agno, the Python agent framework, between schema versions. Fast, without Python, without losing
/// a row.
#[derive(Clone, Debug, Parser)]
#[command(name = "agno-migrate", version, long_version = LONG_VERSION.as_str(), max_term_width = 100, after_help = EXIT_CODES,
          propagate_version = true)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub options: Options,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What `--version` adds to `-V`: which databases this build knows.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let (version, schemas) = (env!("CARGO_PKG_VERSION"), release::list());
    format!("{version}\n\nSchema versions and their Agno releases, checked up to Agno {NEWEST_RELEASE}:\n{schemas}")
});

const EXIT_CODES: &str = "\
Exit codes: 0 done or nothing to do; 1 failed; 2 usage; 3 --check: migrations are pending; 4 drift, or verify found a \
difference; 5 a lock was not had in time; 6 refused, something stands in the way; 130 interrupted. Whatever happens, every table is at a whole version, and \
running the command again goes on.";

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Bring every Agno table up to a schema version
    ///
    /// Stop every app on an older Agno first: Agno 2 on a database of schema 3.0.0 writes runs where Agno 3 does not look
    /// once they are cleaned up. Facts that a stamp claims and a table lacks are mended too.
    Up {
        /// The schema version, or an Agno release: 2.5.6, v3.0.0, 2.9.0, latest
        #[arg(long, value_name = "VERSION", default_value = "latest", env = "AGNO_MIGRATE_TO")]
        to: Target,
        /// Do the data moves of stamped versions again; never overwrites a row, never lowers a stamp
        #[arg(long)]
        force: bool,
        /// Only these tables
        #[command(flatten)]
        only: Only,
        /// Say what would be done and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Copy the file first
        #[command(flatten)]
        backup: Backup,
    },
    /// Bring every Agno table back to a schema version, losing nothing
    ///
    /// Values that the older schema has no place for wait in the table agno_migrate_archive until `up` puts them back.
    Down {
        /// The schema version, or an Agno release: 2.5.6, v2.3.0, 2.9.0
        #[arg(value_name = "VERSION")]
        to: Target,
        /// Only these tables
        #[command(flatten)]
        only: Only,
        /// Say what would be done and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Copy the file first
        #[command(flatten)]
        backup: Backup,
    },
    /// Print the schema version of the database: the lowest of its tables
    Current {
        /// End with 3 when migrations are pending, with 4 on drift
        #[arg(long)]
        check: bool,
    },
    /// Show every table: rows, stamped version, version of its shape, what is pending or drifted
    Status {
        /// End with 3 when migrations are pending, with 4 on drift
        #[arg(long)]
        check: bool,
    },
    /// Show what `up` and `down` would do, step by step, with the SQL
    Plan {
        /// The schema version, or an Agno release
        #[arg(value_name = "VERSION", default_value = "latest", env = "AGNO_MIGRATE_TO")]
        to: Target,
        /// Only these tables
        #[command(flatten)]
        only: Only,
    },
    /// Convert the tables of Agno v1, and of phidata, into those of v2 and v3
    ///
    /// Without a selector everything that is found is converted. The old tables stay as they are. What is there already is left
    /// alone: run it again after an interruption, or when an app on v1 has gone on.
    #[command(name = "v1-to-v2")]
    V1ToV2 {
        /// Sessions of agents, teams and workflows
        #[arg(long)]
        storage: bool,
        /// Memories of users
        #[arg(long)]
        memory: bool,
        /// Documents of PgVector: the columns that v2 reads
        #[arg(long)]
        vectors: bool,
        /// The database that has the v1 tables; may be repeated [env: AGNO_MIGRATE_FROM, separated by ;] [default: the one of --db]
        #[arg(long, value_name = "URL")]
        from: Vec<String>,
        /// The schema that has the v1 tables, when it is not that of --schema (PostgreSQL)
        #[arg(long, value_name = "NAME", env = "AGNO_MIGRATE_FROM_SCHEMA")]
        from_schema: Option<String>,
        /// The schema version of tables that are made new, or an Agno release
        #[arg(long, value_name = "VERSION", default_value = "latest", env = "AGNO_MIGRATE_TO")]
        to: Target,
        /// Convert and say what would be written, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Copy the file first
        #[command(flatten)]
        backup: Backup,
    },
    /// Prove, reading only, that the data is what the stamps say
    ///
    /// Holds the shape of every table against its stamp, every run of the old column against the runs table, and the archive
    /// against the tables its values come from. Says what differs, by id, and what mends it; ends with 4 when something does.
    Verify {
        /// A database with tables of v1 that were converted into this one: their rows are compared too; may be repeated [env:
        /// AGNO_MIGRATE_FROM, separated by ;]
        #[arg(long, value_name = "URL")]
        from: Vec<String>,
        /// The schema that has the v1 tables, when it is not that of --schema (PostgreSQL)
        #[arg(long, value_name = "NAME", env = "AGNO_MIGRATE_FROM_SCHEMA")]
        from_schema: Option<String>,
    },
    /// Drop the old column `runs` once every run in it is proven to be in the runs table
    ///
    /// For databases at schema 3.0.0 whose users are happy with it: the column is a copy until then. `down` works after it too.
    Cleanup {
        /// Say what would be done and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Drop the column although it has runs that are nowhere else; their sessions are named
        #[arg(long)]
        force: bool,
        /// Give the space back to the disk: writes the file (SQLite) or the table (PostgreSQL) anew, and nobody can use it meanwhile
        #[arg(long)]
        vacuum: bool,
        /// Copy the file first
        #[command(flatten)]
        backup: Backup,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    Man {
        /// Of this command alone
        command: Option<String>,
    },
}

/// A copy made before anything is changed.
#[derive(Args, Clone, Debug, Default)]
pub struct Backup {
    /// Copy the SQLite file before it is changed: to PATH, into the folder PATH, or without PATH beside it [env:
    /// AGNO_MIGRATE_BACKUP, a PATH or true]
    #[arg(long = "backup", value_name = "PATH", num_args = 0..=1)]
    path: Option<Option<PathBuf>>,
}

impl Backup {
    /// `None`: no copy is wanted; an inner `None`: beside the file.
    ///
    /// # Errors
    /// [`Stop::Usage`] for a variable that is no text.
    pub fn wanted(&self) -> Result<Option<Option<PathBuf>>, Stop> {
        if self.path.is_some() {
            return Ok(self.path.clone());
        }
        let of_environment = variable("AGNO_MIGRATE_BACKUP")?;
        Ok(of_environment.and_then(|value| match value.to_ascii_lowercase().as_str() {
            // Switched as the variables of flags are; a file of such a name is ./true.
            "0" | "n" | "no" | "f" | "false" | "off" => None,
            "1" | "y" | "yes" | "t" | "true" | "on" => Some(None),
            _ => Some(Some(PathBuf::from(value))),
        }))
    }
}

/// A choice of tables.
#[derive(Clone, Args, Debug, Default)]
pub struct Only {
    /// Only tables of these types, separated by commas; sessions brings its runs along
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = only_type, env = "AGNO_MIGRATE_ONLY")]
    pub only: Vec<TableType>,
}

/// What applies to every command.
#[derive(Clone, Args, Debug)]
#[command(next_help_heading = "Options for every command")]
pub struct Options {
    /// The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default:
    /// sqlite:///agno.db]
    #[arg(long, global = true, value_name = "URL")]
    pub db: Vec<String>,
    /// A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]
    #[arg(long, global = true, value_name = "LIST")]
    pub db_file: Option<PathBuf>,
    /// A table's own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env:
    /// AGNO_MIGRATE_TABLE, separated by ;]
    #[arg(long = "table", global = true, value_name = "TYPE=NAME", value_parser = named_table)]
    pub tables: Vec<NamedTable>,
    /// Seconds to wait for another migration or an application that holds the database
    #[arg(long, global = true, value_name = "SECONDS", default_value = "300", value_parser = seconds, env = "AGNO_MIGRATE_LOCK_WAIT")]
    pub lock_wait: Duration,
    /// Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)
    #[arg(long, global = true, value_name = "SECONDS", default_value = "5", value_parser = seconds, env = "AGNO_MIGRATE_LOCK_TIMEOUT")]
    pub lock_timeout: Duration,
    /// Seconds to wait for a server that is still starting
    #[arg(long, global = true, value_name = "SECONDS", default_value = "0", value_parser = seconds, env = "AGNO_MIGRATE_WAIT")]
    pub wait: Duration,
    /// The schema that has the tables (PostgreSQL)
    #[arg(long, global = true, value_name = "NAME", default_value = DEFAULT_SCHEMA, env = "AGNO_MIGRATE_SCHEMA")]
    pub schema: String,
    /// Print the result as one JSON document
    #[arg(long, global = true, env = "AGNO_MIGRATE_JSON")]
    pub json: bool,
    /// Say nothing but the result, warnings and errors
    #[arg(long, short, global = true, env = "AGNO_MIGRATE_QUIET", conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say each step that was taken
    #[arg(long, short, global = true, env = "AGNO_MIGRATE_VERBOSE")]
    pub verbose: bool,
    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "AGNO_MIGRATE_COLOR")]
    pub color: Colors,
    /// No progress bars
    #[arg(long, global = true, env = "AGNO_MIGRATE_NO_PROGRESS")]
    pub no_progress: bool,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colors {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A table's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTable {
    /// Its type; `None`: the version table, or a table of v1.
    pub table_type: Option<TableType>,
    /// What it keeps, of a table of v1.
    pub v1: Option<Kind>,
    /// Its name.
    pub name: String,
}

impl Cli {
    /// Takes what was not said from variables that hold lists. Not clap's: it would cut arguments at the semicolon too, and names
    /// and passwords may have one.
    ///
    /// # Errors
    /// [`Stop::Usage`] for what is no list of tables.
    pub fn complete(&mut self) -> Result<(), Stop> {
        if let (true, Some(list)) = (self.options.tables.is_empty(), variable("AGNO_MIGRATE_TABLE")?) {
            let tables = list.split(SEPARATOR).map(str::trim).filter(|said| !said.is_empty()).map(named_table);
            self.options.tables =
                tables.collect::<Result<_, _>>().map_err(|why| Stop::Usage(format!("AGNO_MIGRATE_TABLE: {why}")))?;
        }
        if let Command::V1ToV2 { from, .. } | Command::Verify { from, .. } = &mut self.command
            && let (true, Some(list)) = (from.is_empty(), variable("AGNO_MIGRATE_FROM")?)
        {
            from.extend(list.split(SEPARATOR).map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned));
        }
        Ok(())
    }

    /// The databases the command is run on, one after the other.
    ///
    /// # Errors
    /// See [`Options::databases`]; several for a command that takes one, or one backup file for several.
    pub fn databases(&self) -> Result<Vec<String>, Stop> {
        let databases = match &self.command {
            Command::V1ToV2 { .. } => vec![self.options.url()?],
            _ => self.options.databases()?,
        };
        let backup = self.backup().map(Backup::wanted).transpose()?.flatten();
        if let (2.., Some(Some(file))) = (databases.len(), backup)
            && !file.is_dir()
        {
            return Err(Stop::Usage(format!(
                "--backup {} is no folder, and several databases want a copy: name a folder that is there",
                file.display()
            )));
        }
        Ok(databases)
    }

    fn backup(&self) -> Option<&Backup> {
        match &self.command {
            Command::Up { backup, .. }
            | Command::Down { backup, .. }
            | Command::Cleanup { backup, .. }
            | Command::V1ToV2 { backup, .. } => Some(backup),
            _ => None,
        }
    }
}

impl Options {
    /// The databases: those of `--db` and `--db-file`, else of the environment, else Agno's default.
    ///
    /// # Errors
    /// A list that cannot be read, or names none.
    pub fn databases(&self) -> Result<Vec<String>, Stop> {
        let mut databases: Vec<String> = self.db.iter().filter(|url| !url.is_empty()).cloned().collect();
        let list = match &self.db_file {
            None if databases.is_empty() => variable("AGNO_DB_FILE")?.map(PathBuf::from),
            said => said.clone(),
        };
        if let Some(list) = list {
            if list.to_string_lossy().contains("://") {
                return Err(Stop::Usage(
                    "--db-file and AGNO_DB_FILE name a file with URLs in it: a URL is for --db".to_owned(),
                ));
            }
            let usage = |why: String| Stop::Usage(format!("--db-file {}: {why}", list.display()));
            let text = std::fs::read_to_string(&list).map_err(|error| match error.kind() {
                ErrorKind::InvalidData => {
                    usage("is no text: it has a URL on each line, and a database is for --db".to_owned())
                }
                _ => usage(format!("cannot be read: {error}")),
            })?;
            let before = databases.len();
            databases.extend(
                text.trim_start_matches('\u{feff}')
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty() && !line.starts_with('#'))
                    .map(str::to_owned),
            );
            if databases.len() == before {
                return Err(usage("names no database: write one on each line".to_owned()));
            }
        }
        if databases.is_empty() {
            let url = match variable("AGNO_DB_URL")? {
                None => variable("DATABASE_URL")?,
                said => said,
            };
            databases.push(url.unwrap_or_else(|| DEFAULT_URL.to_owned()));
        }
        Ok(databases)
    }

    /// The one database that a command is about.
    ///
    /// # Errors
    /// See [`Options::databases`]; several.
    pub fn url(&self) -> Result<String, Stop> {
        match self.databases()?.as_slice() {
            [url] => Ok(url.clone()),
            several => Err(Stop::Usage(format!("one database is written, and {} are named: say --db once", several.len()))),
        }
    }

    /// The same options for one database.
    pub fn for_one(&self, url: &str) -> Options {
        Options { db: vec![url.to_owned()], db_file: None, ..self.clone() }
    }

    /// How the database is opened.
    pub fn opening(&self, access: Access) -> Opening {
        Opening {
            access,
            lock_wait: self.lock_wait,
            lock_timeout: self.lock_timeout,
            wait: self.wait,
            schema: self.schema.clone(),
        }
    }

    /// The tables that have names of their own.
    pub fn named(&self) -> Named {
        let mut named = Named::default();
        for table in &self.tables {
            if let Some(table_type) = table.table_type {
                named.tables.entry(table_type).or_default().push(table.name.clone());
            }
        }
        named
    }

    /// The tables of v1 that were named.
    pub fn named_v1(&self) -> Vec<(Kind, &str)> {
        let kind = |table: &NamedTable| match table.table_type {
            Some(TableType::Vectors) => Some(Kind::Vectors),
            _ => table.v1,
        };
        self.tables.iter().filter_map(|table| Some((kind(table)?, table.name.as_str()))).collect()
    }

    /// The version table.
    pub fn versions_table(&self) -> String {
        let named = self.tables.iter().rev().find(|table| table.table_type.is_none() && table.v1.is_none());
        named.map_or(VERSIONS_TABLE.to_owned(), |table| table.name.clone())
    }
}

/// Between the values of a variable.
const SEPARATOR: char = ';';

/// The types a user may choose from.
fn choosable() -> Vec<&'static str> {
    KNOWN.iter().filter(|known| known.table_type != TableType::Runs).map(|known| known.word).collect()
}

fn only_type(word: &str) -> Result<TableType, String> {
    let table_type = TableType::from_word(word.trim()).filter(|table_type| *table_type != TableType::Runs);
    table_type.ok_or_else(|| match word.trim() {
        "runs" => "runs go with their sessions: say sessions".to_owned(),
        word => format!("there is no table type '{word}'; there are {}", choosable().join(", ")),
    })
}

fn named_table(said: &str) -> Result<NamedTable, String> {
    let types = || format!("{}, runs, versions, v1-agents, v1-teams, v1-workflows, v1-memories", choosable().join(", "));
    let Some((word, name)) = said.split_once('=') else {
        return Err(format!("say TYPE=NAME; the types are {}", types()));
    };
    if name.is_empty() {
        return Err(format!("{word}= lacks the name of the table"));
    }
    let of_another = |rest: &str| rest.split_once('=').is_some_and(|(word, _)| TableType::from_word(word.trim()).is_some());
    if name.split_once(',').is_some_and(|(_, rest)| of_another(rest)) {
        return Err(format!("one table at a time: repeat --table, or put {SEPARATOR} between them in AGNO_MIGRATE_TABLE"));
    }
    let v1 = Kind::from_word(word.trim());
    let table_type = match word.trim() {
        "versions" => None,
        _ if v1.is_some() => None,
        word => match TableType::from_word(word) {
            Some(table_type) => Some(table_type),
            None => return Err(format!("there is no table type '{word}'; there are {}", types())),
        },
    };
    Ok(NamedTable { table_type, v1, name: name.to_owned() })
}

fn seconds(said: &str) -> Result<Duration, String> {
    let seconds: f64 = said.parse().map_err(|_| "say a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "say a number of seconds, 0 or more".to_owned())
}
