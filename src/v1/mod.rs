//! `v1-to-v2`: reads the tables of Agno v1 in pages and converts each row (`convert::v1`); a sink in a thread beside it writes
//! them, a batch in a transaction, or holds them against what is there. What is there already is left alone, ids are derived:
//! a run that was cut off is simply run again.

pub mod account;
mod beside;
pub mod command;
mod comparing;
mod family;
mod making;
mod memories;
mod names;
mod placing;
mod sink;
pub mod source;
pub mod target;
mod vectors;

use crate::backend::Backend;
use crate::convert::v1::{Converted, SessionMemory, Storage};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use account::Account;
use anyhow::{Context, Result};
use beside::{Beside, beside};
use family::is_member;
pub use names::Purpose;
use names::{Names, hash};
use placing::{Pending, convert_row};
use sink::{Rows, Sink, Taken};
use source::{From, Kind, Table, session_row, shares_key};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Rows and bytes of runs that are handed over at once: each transaction costs a wait for the disk.
const ROWS_A_BATCH: usize = 1000;
const BYTES_A_BATCH: usize = 4 << 20;

const SAME_ID: &str = "another row of the table has its id";

/// What is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Sessions.
    pub storage: bool,
    /// Memories.
    pub memory: bool,
    /// Documents of PgVector.
    pub vectors: bool,
}

/// The conversion of some sources.
pub struct Converter<'c> {
    /// The databases that have v1 tables.
    sources: &'c mut [Box<dyn Backend>],
    /// Who is told.
    progress: &'c mut dyn Progress,
    /// How the target stores JSON.
    storage: Storage,
    /// A source is the target's own file: reading waits until nothing is being written.
    in_turn: bool,
    /// Whose id is whose.
    names: Names,
    /// By the hash of a session's id, which table has the row of the team that leads, where rows of several share it.
    heads: HashMap<u64, Option<usize>>,
    /// Hashes of the ids of all sessions that have a row.
    seen: HashSet<u64>,
    /// Memories that sessions repeat, by id and user.
    inside: HashMap<(String, Option<String>), SessionMemory>,
}

/// The thread that has the sink.
type Other = Beside<Rows, Taken>;

/// The table that is read, by its number among all of sessions.
#[derive(Clone, Copy)]
struct Reading<'t> {
    tables: &'t [Table],
    number: usize,
    /// The earliest time of its rows.
    earliest: Option<i64>,
}

impl<'t> Reading<'t> {
    fn table(&self) -> &'t Table {
        &self.tables[self.number]
    }
}

/// What was inside rows and belongs to other sessions: the number of the table, and the session.
#[derive(Default)]
struct Foreign {
    summaries: BTreeSet<(usize, String)>,
    runs: BTreeSet<(usize, String)>,
}

impl Foreign {
    fn add(&mut self, table: usize, converted: &mut Converted) {
        self.summaries.extend(converted.foreign_summaries.drain(..).map(|session| (table, session)));
        self.runs.extend(converted.foreign_runs.drain(..).map(|session| (table, session)));
    }
}

impl<'c> Converter<'c> {
    /// Nothing has been read yet.
    pub fn new(
        sources: &'c mut [Box<dyn Backend>],
        progress: &'c mut dyn Progress,
        storage: Storage,
        in_turn: bool,
        purpose: Purpose,
    ) -> Converter<'c> {
        Converter {
            in_turn,
            sources,
            progress,
            storage,
            names: Names::new(purpose),
            heads: HashMap::new(),
            seen: HashSet::new(),
            inside: HashMap::new(),
        }
    }

    /// Converts the tables into the sink: sessions of teams and workflows first, then of agents, then memories.
    ///
    /// # Errors
    /// What stops the whole: a database that goes away. Rows that cannot be converted are in the accounts.
    pub fn run(&mut self, tables: &[Table], chosen: Chosen, sink: &mut dyn Sink) -> (Vec<Account>, Result<()>) {
        let mut accounts = Vec::new();
        let (backend, targets) = sink.target();
        if let Err(error) = self.names.load(backend, targets) {
            return (accounts, Err(error));
        }
        let outcome = beside(
            |rows, progress| sink.take(rows, progress),
            |other| self.run_tables(tables, chosen, other, &mut accounts),
        );
        (accounts, outcome)
    }

    fn run_tables(
        &mut self,
        tables: &[Table],
        chosen: Chosen,
        other: &mut Other,
        accounts: &mut Vec<Account>,
    ) -> Result<()> {
        let mut of_sessions: Vec<Table> = tables.iter().filter(|table| table.kind.is_storage()).cloned().collect();
        // Whoever comes first keeps its id: teams and workflows before agents, and tables that served several before those of
        // agents only.
        let order = |table: &Table| (table.kind, !table.serves_several(), table.source, table.name.clone());
        of_sessions.sort_by_cached_key(order);
        let mut foreign = Foreign::default();
        let mut of_tables = Vec::new();
        for (number, table) in of_sessions.iter().enumerate() {
            let mut account = Account::of(&table.name, table.kind.word());
            let reading = Reading { tables: &of_sessions, number, earliest: None };
            let outcome = self.storage_table(reading, chosen, other, &mut account, &mut foreign);
            let outcome = self.finish(outcome, other, &mut account);
            if !chosen.storage {
                account.keep_rejections();
            }
            of_tables.push(account);
            if let Err(error) = outcome {
                accounts.append(&mut of_tables);
                return Err(error.context(format!("converting {}", table.name)));
            }
        }
        let is_lost = |session: &String| !self.seen.contains(&hash(session.as_bytes()));
        for (at, session) in foreign.summaries.into_iter().filter(|(_, session)| is_lost(session)) {
            of_tables[at].lost_summaries.push(session);
        }
        for (at, session) in foreign.runs.into_iter().filter(|(_, session)| is_lost(session)) {
            of_tables[at].lost_runs.push(session);
        }
        accounts.extend(of_tables.into_iter().filter(|account| chosen.storage || account.rejected > 0));
        if !chosen.memory {
            return Ok(());
        }
        for table in tables.iter().filter(|table| table.kind == Kind::Memories) {
            let mut account = Account::of(&table.name, table.kind.word());
            let outcome = self.memory_table(table, other, &mut account);
            let outcome = self.finish(outcome, other, &mut account);
            accounts.push(account);
            outcome.with_context(|| format!("converting {}", table.name))?;
        }
        let mut account = Account::of("memories inside sessions", "v1-memories");
        let outcome = self.inside_memories(tables, other, &mut account);
        let outcome = self.finish(outcome, other, &mut account);
        if account.read > 0 {
            accounts.push(account);
        }
        outcome.context("converting memories inside sessions")
    }

    /// When reading failed, what is being written still counts.
    fn finish(&mut self, outcome: Result<()>, other: &mut Other, account: &mut Account) -> Result<()> {
        if outcome.is_err() {
            let last = other.settle(self.progress).ok().flatten();
            account.take(last);
        }
        outcome
    }

    fn storage_table(
        &mut self,
        reading: Reading<'_>,
        chosen: Chosen,
        other: &mut Other,
        account: &mut Account,
        foreign: &mut Foreign,
    ) -> Result<()> {
        let table = reading.table();
        let source = &mut self.sources[table.source];
        self.progress.on(Event::Table { name: table.name.clone(), work: "to v2".to_owned() });
        let reading = Reading { earliest: table.earliest(&mut **source)?, ..reading };
        let nameless = table.without_key(&mut **source)?;
        account.read += nameless;
        account.reject_many(nameless, "the row has no session_id");
        let mut previous = None;
        let mut from = From::Start;
        let mut ready = Vec::new();
        let mut bytes = 0;
        loop {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            if self.in_turn {
                account.take(other.settle(self.progress)?);
            }
            let (names, storage) = (&self.names, self.storage);
            let mut page: Vec<Pending> = Vec::new();
            let last = table.page(&mut *self.sources[table.source], &from, &mut |fields| {
                let row = session_row(fields);
                let key = String::from_utf8_lossy(row.session_id.unwrap_or_default()).into_owned();
                account.read += 1;
                // In the order of ids: a table without a key may have one twice.
                if previous.as_ref() == Some(&key) || shares_key(fields) {
                    account.reject(&key, SAME_ID);
                    return Ok(());
                }
                previous = Some(key.clone());
                match convert_row(&row, reading, storage, names, None) {
                    Ok(converted) => {
                        page.push(Pending { is_member: is_member(&row, &converted), key, converted });
                    }
                    Err(rejected) => account.reject(&rejected.id, &rejected.reason),
                }
                Ok(())
            })?;
            for pending in page {
                self.seen.insert(hash(pending.key.as_bytes()));
                if !chosen.storage {
                    self.collect(pending.converted.memories);
                } else if let Some(mut converted) = self.settle(pending, reading, account)? {
                    self.collect(std::mem::take(&mut converted.memories));
                    foreign.add(reading.number, &mut converted);
                    bytes += converted.session.runs.iter().map(|run| run.json.len()).sum::<usize>();
                    ready.push(converted);
                }
            }
            if !ready.is_empty() && (last.is_none() || ready.len() >= ROWS_A_BATCH || bytes >= BYTES_A_BATCH) {
                bytes = 0;
                account.take(other.give(Rows::Sessions(std::mem::take(&mut ready)), self.progress)?);
            }
            self.progress.on(Event::Moved { done: account.read });
            let Some(last) = last else { break };
            from = last;
        }
        account.take(other.settle(self.progress)?);
        self.count_again(table, account)?;
        self.progress.on(Event::TableDone);
        Ok(())
    }

    /// Rows that no page had: of one id, cut by the end of a page, or written by the app meanwhile.
    fn count_again(&mut self, table: &Table, account: &mut Account) -> Result<()> {
        let unread = table.rows(&mut *self.sources[table.source])?.saturating_sub(account.read);
        account.read += unread;
        account.reject_many(unread, "has the id of another row, or was written meanwhile: run agno-migrate again");
        Ok(())
    }
}
