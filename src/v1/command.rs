//! The command `v1-to-v2`: finds the sources, makes the targets, lets the converter run, fills the report.

use super::account::Account;
use super::comparing::Comparing;
use super::making;
use super::sink::{Mode, Targets, Writing};
use super::source::{self, Kind, Table};
use super::target::Target as TargetTable;
use super::{Chosen, Converter, Purpose, vectors};
use crate::backend::url::Location;
use crate::backend::{self, Access, Backend};
use crate::cli::{Backup, Options};
use crate::convert::v1::Storage;
use crate::discover::{Named, Survey};
use crate::engine::{Engine, Settings};
use crate::error::Stop;
use crate::progress::Progress;
use crate::report::Report;
use crate::saving;
use crate::schema::tables::TableType;
use anyhow::Result;
use semver::Version;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Exit code when rows were rejected.
const REJECTED: u8 = 1;

/// Where the v1 tables are.
pub struct Sources<'s> {
    /// Databases; without any that of the target.
    pub urls: &'s [String],
    /// Their schema, when it is not that of the target (PostgreSQL).
    pub schema: Option<&'s str>,
}

/// What is to be converted, and how.
pub struct Wanted<'w> {
    /// The kinds of tables.
    pub chosen: Chosen,
    /// The schema version of tables that are made new.
    pub to: &'w Version,
    /// Nothing is written.
    pub dry_run: bool,
    /// The copy of a target that is there.
    pub backup: &'w Backup,
}

/// Converts what is chosen from the sources into the database of the options.
///
/// # Errors
/// What keeps it from beginning, or stops the whole. Rows that cannot be converted are in the report.
pub fn convert(
    options: &Options,
    wanted: &Wanted<'_>,
    from: &Sources<'_>,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let Wanted { chosen, to, dry_run, backup } = *wanted;
    let access = if dry_run { Access::Read } else { Access::Write };
    let own_url = options.url()?;
    report.database = backend::name_of(&own_url).unwrap_or_default();
    // The sources first: a target is not made for nothing.
    let mut sources = open_sources(options, from, &own_url, access, progress)?;
    let mut tables = choose_tables(options, &mut sources, chosen, report)?;
    if tables.is_empty() {
        let kind = if chosen.storage || chosen.memory { "table" } else { "PgVector table" };
        report.notes.push(format!(
            "there is no {kind} of Agno v1 in {}: nothing was converted{}",
            names(&sources),
            elsewhere(&mut sources)?
        ));
        return Ok(());
    }
    let is_own = |source: usize| from.urls.get(source).is_none_or(|url| is_same_database(url, &own_url));
    tables.retain(|table| {
        let stays = table.kind == Kind::Vectors && !is_own(table.source);
        if stays {
            report.notes.push(format!(
                "{}: PgVector tables are not copied, they are extended where they are: run agno-migrate v1-to-v2 --vectors with \
                 --db for {}",
                table.name,
                sources[table.source].name()
            ));
        }
        !stays
    });
    if tables.is_empty() {
        return Ok(());
    }
    let is_new = matches!(backend::url::parse(&own_url)?, Location::Sqlite(path) if !path.exists());
    if access == Access::Write && !from.urls.is_empty() {
        backend::make(&own_url)?;
    }
    let opening = options.opening(access);
    let mut target = if dry_run { backend::open_to_tell(&own_url, &opening) } else { backend::open(&own_url, &opening) }?;
    report.database = target.name();
    if let Some(reason) = if dry_run { None } else { target.read_only()? } {
        return Err(Stop::Refused(reason).into());
    }
    if !is_new {
        saving::announce(&mut *target, backup, report)?;
        if !dry_run {
            saving::save(&mut *target, backup, progress, report)?;
        }
    }
    let mut open = |table_type: TableType, wanted: bool| match wanted {
        true => table(options, table_type, (!dry_run).then_some(to), &mut *target, progress),
        false => Ok(None),
    };
    let targets = Targets {
        sessions: open(TableType::Sessions, wants_sessions(chosen, &tables))?,
        memories: open(TableType::Memories, wants_memories(chosen, &tables))?,
    };
    let storage = storage_of(&*target);
    let in_turn = (0..sources.len()).any(is_own);
    let mode = if dry_run { Mode::Tell } else { Mode::Write };
    let mut sink = Writing { backend: &mut *target, targets: &targets, lock_wait: options.lock_wait, mode };
    let (accounts, outcome) =
        Converter::new(&mut sources, progress, storage, in_turn, Purpose::Write).run(&tables, chosen, &mut sink);
    report.converted = accounts;
    outcome?;
    if chosen.vectors {
        for table in tables.iter().filter(|table| table.kind == Kind::Vectors) {
            let mut account = Account::of(&table.name, Kind::Vectors.word());
            let source = &mut *sources[table.source];
            account.steps = if dry_run {
                vectors::told(source.dialect(), table)
            } else {
                // What was read is read.
                source.rollback()?;
                vectors::extend(source, table, options.lock_wait, progress)?
            };
            report.converted.push(account);
        }
    }
    if report.converted.iter().any(|account| account.rejected > 0) {
        report.exit_code = REJECTED;
    }
    Ok(())
}

/// Holds what was converted from the sources against the database of the options, reading only. Rows that cannot be converted
/// are differences: they are not there.
///
/// # Errors
/// What keeps it from beginning, or stops the whole.
pub fn verify(options: &Options, from: &Sources<'_>, progress: &mut dyn Progress, report: &mut Report) -> Result<()> {
    let own_url = options.url()?;
    let chosen = Chosen { storage: true, memory: true, vectors: false };
    let mut sources = open_sources(options, from, &own_url, Access::Read, progress)?;
    let tables = choose_tables(options, &mut sources, chosen, report)?;
    if tables.is_empty() {
        let elsewhere = elsewhere(&mut sources)?;
        return Err(Stop::Refused(format!(
            "there is no table of Agno v1 in {}: correct --from{elsewhere}",
            names(&sources)
        ))
        .into());
    }
    let mut target = backend::open(&own_url, &options.opening(Access::Read))?;
    let mut open = |table_type: TableType, wanted: bool| match wanted {
        true => table(options, table_type, None, &mut *target, progress),
        false => Ok(None),
    };
    let targets = Targets {
        sessions: open(TableType::Sessions, wants_sessions(chosen, &tables))?,
        memories: open(TableType::Memories, wants_memories(chosen, &tables))?,
    };
    // Where only memories are missing each of them is a difference.
    if targets.sessions.is_none() && (wants_sessions(chosen, &tables) || targets.memories.is_none()) {
        return Err(Stop::Refused(format!(
            "{} has no table that the rows of v1 were converted into: agno-migrate v1-to-v2 makes it; --table sessions=NAME and \
             memories=NAME name it",
            target.name()
        ))
        .into());
    }
    let storage = storage_of(&*target);
    let in_turn = false;
    let mut sink = Comparing { backend: &mut *target, targets: &targets, told: false };
    let (mut accounts, outcome) =
        Converter::new(&mut sources, progress, storage, in_turn, Purpose::Compare).run(&tables, chosen, &mut sink);
    for account in &mut accounts {
        account.rejections_differ();
    }
    report.converted = accounts;
    outcome
}

fn wants_sessions(chosen: Chosen, tables: &[Table]) -> bool {
    chosen.storage && tables.iter().any(|table| table.kind.is_storage())
}

/// Sessions may hold memories too.
fn wants_memories(chosen: Chosen, tables: &[Table]) -> bool {
    chosen.memory && tables.iter().any(|table| table.kind.is_storage() || table.kind == Kind::Memories)
}

fn storage_of(target: &dyn Backend) -> Storage {
    if target.dialect().key_is_primary() { Storage::Text } else { Storage::Jsonb }
}

fn names(sources: &[Box<dyn Backend>]) -> String {
    sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ")
}

/// In which other schemas there are v1 tables, as the end of a sentence.
fn elsewhere(sources: &mut [Box<dyn Backend>]) -> Result<String> {
    let mut schemas = Vec::new();
    for source in sources {
        schemas.extend(source.v1_elsewhere()?);
    }
    Ok(match schemas.as_slice() {
        [] => String::new(),
        [only] => format!("; the schema {only} has some: --from-schema {only} reads them"),
        many => format!("; the schemas {} have some: --from-schema NAME reads those of one", many.join(", ")),
    })
}

/// Whether two URLs name one database: a file may be spelled in many ways.
fn is_same_database(one: &str, other: &str) -> bool {
    match (backend::url::parse(one), backend::url::parse(other)) {
        (Ok(Location::Sqlite(one)), Ok(Location::Sqlite(other))) => {
            let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
            real(&one) == real(&other)
        }
        (Ok(Location::Postgres(_)), Ok(Location::Postgres(_))) => backend::name_of(one) == backend::name_of(other),
        _ => false,
    }
}

/// Opens the databases that have v1 tables: those of `--from`, else that of the target.
fn open_sources(
    options: &Options,
    from: &Sources<'_>,
    own_url: &str,
    access: Access,
    progress: &mut dyn Progress,
) -> Result<Vec<Box<dyn Backend>>> {
    let own = [own_url.to_owned()];
    let urls = if from.urls.is_empty() { &own[..] } else { from.urls };
    let mut open = |url: &String| {
        // The same file is opened as the target is: reading it as one that nobody writes would be wrong.
        let is_file = matches!(backend::url::parse(url), Ok(Location::Sqlite(_)));
        let access = if is_file && is_same_database(url, own_url) { access } else { Access::Read };
        let mut opening = options.opening(access);
        opening.schema = from.schema.map_or(opening.schema, str::to_owned);
        let mut source = backend::open(url, &opening)?;
        // A server has states, and may hide rows from a role: in a transaction of ours it says so instead. A file would be locked.
        if !is_file {
            source.snapshot(progress)?;
        }
        Ok(source)
    };
    urls.iter().map(&mut open).collect()
}

/// The v1 tables to convert: the named ones of a kind, else all that are found.
fn choose_tables(
    options: &Options,
    sources: &mut [Box<dyn Backend>],
    chosen: Chosen,
    report: &mut Report,
) -> Result<Vec<Table>> {
    let mut found = Vec::new();
    let mut has_columns = Vec::new();
    for (at, source) in sources.iter_mut().enumerate() {
        let catalog = source.catalog()?;
        let tables = source::tables(&catalog, at);
        has_columns
            .extend(catalog.tables.iter().filter(|(_, shape)| source::has_vectors(shape)).map(|(name, _)| name.clone()));
        if tables.is_empty() && catalog.tables.values().any(|shape| shape.column("session_type").is_some()) {
            report.notes.push(format!("{} has tables of Agno 2 or 3, and none of v1", source.name()));
        }
        found.extend(tables);
    }
    let named = options.named_v1();
    for (_, name) in named.iter().filter(|(kind, _)| *kind == Kind::Vectors && chosen.vectors) {
        // One that has the columns already is right as it is.
        if !has_columns.iter().any(|there| there == name) && !found.iter().any(|table: &Table| table.name == *name) {
            return Err(Stop::Refused(format!("{name} is no PgVector table: correct --table vectors=")).into());
        }
    }
    for (kind, name) in named.iter().filter(|(kind, _)| *kind != Kind::Vectors) {
        match found.iter_mut().find(|table| table.name == *name) {
            // A name says more than the shape: a table of agents may look like one of several.
            Some(table) if table.kind.is_storage() == kind.is_storage() => table.kind = *kind,
            Some(table) => {
                return Err(Stop::Refused(format!(
                    "{name} is no {} table: it looks like {}; correct --table",
                    kind.word(),
                    table.kind.word()
                ))
                .into());
            }
            None => {
                let there: Vec<&str> = found.iter().map(|table| table.name.as_str()).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                return Err(Stop::Refused(format!(
                    "there is no v1 table {name}: correct --table {}=; v1 tables found: {there}",
                    kind.word()
                ))
                .into());
            }
        }
    }
    let is_wanted = |table: &Table| {
        let of_kind: Vec<&str> = named.iter().filter(|(kind, _)| *kind == table.kind).map(|(_, name)| *name).collect();
        (of_kind.is_empty() || of_kind.contains(&table.name.as_str()))
            && match table.kind {
                Kind::Vectors => chosen.vectors,
                Kind::Memories => chosen.memory,
                // Sessions hold memories too.
                _ => chosen.storage || chosen.memory,
            }
    };
    Ok(found.into_iter().filter(is_wanted).collect())
}

/// A table to write to, or to compare with. One that is not there is made at the version `to`; without one, `None`.
fn table(
    options: &Options,
    table_type: TableType,
    to: Option<&Version>,
    backend: &mut dyn Backend,
    progress: &mut dyn Progress,
) -> Result<Option<TargetTable>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let settings = Settings {
        named: Named::default(),
        versions_table: options.versions_table(),
        only: None,
        lock_wait: options.lock_wait,
        now: i64::try_from(now).unwrap_or_default(),
    };
    let mut engine = Engine { backend, progress, settings, apart: Vec::new() };
    let named = options.named();
    let name_of = |table_type| named.tables.get(&table_type).and_then(|names| names.first()).map(String::as_str);
    let survey = engine.observe()?.survey;
    let name = making::choose(&survey, table_type, name_of(table_type))?;
    let is_v1 = engine.observe()?.catalog.tables.get(&name).is_some_and(|shape| source::kind_of(shape).is_some());
    if is_v1 {
        return Err(Stop::Refused(format!(
            "{name} is a table of v1, and the target would have that name: say --table {table_type}=OTHER_NAME, and give the app the \
             same name"
        ))
        .into());
    }
    let is_there = engine.observe()?.catalog.tables.contains_key(&name);
    if !is_there && to.is_none() {
        return Ok(None);
    }
    if is_there && !survey.found.iter().any(|found| found.name == name && found.table_type == table_type) {
        return Err(Stop::Refused(format!(
            "{name} is no {table_type} table of Agno: rename it, or say --table {table_type}=OTHER_NAME"
        ))
        .into());
    }
    if let Some(to) = to {
        making::make(&mut engine, table_type, &name, to)?;
    }
    engine.settings.named = Named::default();
    engine.settings.only = None;
    let survey = engine.observe()?.survey;
    let runs = runs_of(&survey, &name, name_of(TableType::Runs));
    Ok(Some(TargetTable::open(engine.backend, table_type, &name, runs.as_deref())?))
}

/// The runs table of a sessions table, when it is there.
fn runs_of(survey: &Survey, sessions: &str, named: Option<&str>) -> Option<String> {
    let found = survey.found.iter().find(|found| found.name == sessions)?;
    named.map(str::to_owned).or_else(|| found.runs.clone())
}
