//! The command `v1-to-v2`: finds the sources, makes the targets, lets the converter run, fills the report.

use super::account::Account;
use super::source::{self, Kind, Table};
use super::target::{self, Target as TargetTable};
use super::{Chosen, Converter, extend_vectors};
use crate::backend::{self, Access, Backend};
use crate::cli::Options;
use crate::discover::{Named, Survey};
use crate::engine::{Engine, Settings};
use crate::error::Stop;
use crate::progress::Progress;
use crate::report::Report;
use crate::schema::tables::TableType;
use anyhow::Result;
use semver::Version;
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

/// Converts what is chosen from the sources into the database of the options.
///
/// # Errors
/// What keeps it from beginning, or stops the whole. Rows that cannot be converted are in the report.
pub fn convert(
    options: &Options,
    chosen: Chosen,
    from: &Sources<'_>,
    to: &Version,
    dry_run: bool,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> Result<()> {
    let access = if dry_run { Access::Read } else { Access::Write };
    let own_url = options.url()?;
    let mut target = open_target(options, &own_url, access, from.urls.is_empty())?;
    report.database = target.name();
    let urls: Vec<String> = if from.urls.is_empty() { vec![own_url.clone()] } else { from.urls.to_vec() };
    let mut sources = Vec::new();
    for url in &urls {
        // The same file is opened as the target is: reading it as one that nobody writes would be wrong.
        let access = if *url == own_url { access } else { Access::Read };
        let mut opening = options.opening(access);
        opening.schema = from.schema.map_or(opening.schema, str::to_owned);
        sources.push(backend::open(url, &opening)?);
    }
    let tables = choose_tables(options, &mut sources, chosen, report)?;
    if tables.is_empty() {
        let names = sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
        report.notes.push(format!("there is no table of Agno v1 in {names}: nothing was converted"));
        return Ok(());
    }
    if let Some(reason) = if dry_run { None } else { target.read_only()? } {
        return Err(Stop::Refused(reason).into());
    }
    let storage = tables.iter().any(|table| table.kind.is_storage());
    let wants_sessions = chosen.storage && storage;
    let wants_memories = chosen.memory && (storage || tables.iter().any(|table| table.kind == Kind::Memories));
    let open = |table_type: TableType, target: &mut dyn Backend, progress: &mut dyn Progress| {
        table(options, table_type, to, dry_run, target, progress)
    };
    let sessions = if wants_sessions { open(TableType::Sessions, &mut *target, progress)? } else { None };
    let memories = if wants_memories { open(TableType::Memories, &mut *target, progress)? } else { None };

    let mut converter = Converter::new(&mut sources, &mut *target, progress, options.lock_wait, dry_run);
    converter.sessions = sessions;
    converter.memories = memories;
    let (accounts, outcome) = converter.run(&tables, chosen);
    report.converted = accounts;
    outcome?;
    if chosen.vectors {
        for table in tables.iter().filter(|table| table.kind == Kind::Vectors) {
            let mut account = Account::of(&table.name, Kind::Vectors.word());
            if !dry_run {
                account.steps = extend_vectors(&mut *sources[table.source], table, options.lock_wait, progress)?;
                report.converted.push(account);
            }
        }
    }
    if report.converted.iter().any(|account| account.rejected > 0) {
        report.exit_code = REJECTED;
    }
    Ok(())
}

/// Opens the database that is written. A SQLite file that is not there is made only when the sources are others.
fn open_target(options: &Options, url: &str, access: Access, is_source: bool) -> Result<Box<dyn Backend>> {
    if access == Access::Write && !is_source {
        backend::make(url)?;
    }
    backend::open(url, &options.opening(access))
}

/// The v1 tables to convert: the named ones of a kind, else all that are found.
fn choose_tables(
    options: &Options,
    sources: &mut [Box<dyn Backend>],
    chosen: Chosen,
    report: &mut Report,
) -> Result<Vec<Table>> {
    let mut found = Vec::new();
    for (at, source) in sources.iter_mut().enumerate() {
        let catalog = source.catalog()?;
        let tables = source::tables(&catalog, at);
        if tables.is_empty() && catalog.tables.values().any(|shape| shape.column("session_type").is_some()) {
            report.notes.push(format!("{} has tables of Agno 2 or 3, and none of v1", source.name()));
        }
        found.extend(tables);
    }
    let named = options.named_v1();
    for (kind, name) in &named {
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

/// A table to write to; made when it is not there. `None`: a dry run, and it is not there.
fn table(
    options: &Options,
    table_type: TableType,
    to: &Version,
    dry_run: bool,
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
    let name = target::choose(&survey, table_type, name_of(table_type))?;
    let is_v1 = engine.observe()?.catalog.tables.get(&name).is_some_and(|shape| source::kind_of(shape).is_some());
    if is_v1 {
        return Err(Stop::Refused(format!(
            "{name} is a table of v1, and the target would have that name: say --table {table_type}=OTHER_NAME, and give the app the \
             same name"
        ))
        .into());
    }
    let is_there = engine.observe()?.catalog.tables.contains_key(&name);
    if !is_there && dry_run {
        return Ok(None);
    }
    if is_there && !survey.found.iter().any(|found| found.name == name && found.table_type == table_type) {
        return Err(Stop::Refused(format!(
            "{name} is no {table_type} table of Agno: rename it, or say --table {table_type}=OTHER_NAME"
        ))
        .into());
    }
    target::make(&mut engine, table_type, &name, to)?;
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
