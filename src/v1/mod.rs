//! `v1-to-v2`: reads the tables of Agno v1 in pages and converts each row (`convert::v1`); a sink in a thread beside it writes
//! them, a batch in a transaction, or holds them against what is there. What is there already is left alone, ids are derived:
//! a run that was cut off is simply run again.

pub mod account;
mod beside;
pub mod command;
mod comparing;
mod sink;
pub mod source;
pub mod target;

use crate::backend::{Backend, Dialect};
use crate::convert::v1::{
    Context as Conversion, Converted, Memory, Rejected, SessionMemory, Storage, convert_memory, convert_session, merge,
};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use account::Account;
use anyhow::{Context, Result};
use beside::{Beside, beside};
use sink::{Rows, Sink, Taken, in_transaction};
use source::{From, Kind, Table, memory_row, session_row, shares_key};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// Rows and bytes of runs that are handed over at once: each transaction costs a wait for the disk.
const ROWS_A_BATCH: usize = 1000;
const BYTES_A_BATCH: usize = 4 << 20;

/// Memories that are handed over at once.
const MEMORIES_A_BATCH: usize = 2000;

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
    /// Hashes of the ids of runs, with that of the session that has each: 16 bytes a run, whatever its size.
    taken: HashMap<u64, u64>,
    /// Hashes of the ids of team sessions, which members may share.
    teams: HashSet<u64>,
    /// Hashes of the ids of all sessions.
    seen: HashSet<u64>,
    /// Summaries of sessions that were inside others: the account of the row, and the session.
    summaries: BTreeSet<(usize, String)>,
    /// Memories that sessions repeat, by id.
    inside: HashMap<String, SessionMemory>,
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The thread that has the sink.
type Other = Beside<Rows, Taken>;

/// A converted row on its way, and the key it was read by.
struct Pending {
    key: String,
    converted: Result<Converted, Rejected>,
    has_team: bool,
}

impl<'c> Converter<'c> {
    /// Nothing has been read yet.
    pub fn new(
        sources: &'c mut [Box<dyn Backend>],
        progress: &'c mut dyn Progress,
        storage: Storage,
        in_turn: bool,
    ) -> Converter<'c> {
        Converter {
            in_turn,
            sources,
            progress,
            storage,
            taken: HashMap::new(),
            teams: HashSet::new(),
            seen: HashSet::new(),
            summaries: BTreeSet::new(),
            inside: HashMap::new(),
        }
    }

    /// Converts the tables into the sink: sessions of teams and workflows first, then of agents, then memories.
    ///
    /// # Errors
    /// What stops the whole: a database that goes away. Rows that cannot be converted are in the accounts.
    pub fn run(&mut self, tables: &[Table], chosen: Chosen, sink: &mut dyn Sink) -> (Vec<Account>, Result<()>) {
        let mut accounts = Vec::new();
        let taken = &mut self.taken;
        let known = sink.each_run(&mut |run, session| {
            taken.insert(hash(run), hash(session));
        });
        if let Err(error) = known {
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
        let mut ordered: Vec<&Table> = tables.iter().filter(|table| table.kind.is_storage()).collect();
        ordered.sort_by(|a, b| (a.kind, a.source, &a.name).cmp(&(b.kind, b.source, &b.name)));
        for table in ordered {
            let mut account = Account::of(&table.name, table.kind.word());
            let outcome = self.storage_table(table, tables, chosen, other, &mut account, accounts.len());
            let outcome = self.finish(outcome, other, &mut account);
            if chosen.storage || outcome.is_err() {
                accounts.push(account);
            }
            outcome.with_context(|| format!("converting {}", table.name))?;
        }
        for (at, session) in std::mem::take(&mut self.summaries) {
            if let Some(account) = accounts.get_mut(at).filter(|_| !self.seen.contains(&hash(session.as_bytes()))) {
                account.lost_summaries.push(session);
            }
        }
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
        table: &Table,
        all: &[Table],
        chosen: Chosen,
        other: &mut Other,
        account: &mut Account,
        number: usize,
    ) -> Result<()> {
        let source = &mut self.sources[table.source];
        self.progress.on(Event::Table { name: table.name.clone(), work: "to v2".to_owned() });
        let earliest = table.earliest(&mut **source)?;
        let nameless = table.without_key(&mut **source)?;
        account.read += nameless;
        account.reject_many(nameless, "the row has no session_id");
        let storage = self.storage;
        let mut collided = Vec::new();
        let mut previous = None;
        let mut from = From::Start;
        let mut page: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        loop {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            if self.in_turn {
                collided.extend(account.take(other.settle(self.progress)?));
            }
            let taken = &mut self.taken;
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
                let converted = convert_row(&row, table, storage, earliest, taken, None);
                bytes +=
                    converted.iter().flat_map(|converted| &converted.session.runs).map(|run| run.json.len()).sum::<usize>();
                page.push(Pending { key, converted, has_team: row.team_id.is_some() });
                Ok(())
            })?;
            if last.is_none() || page.len() >= ROWS_A_BATCH || bytes >= BYTES_A_BATCH {
                bytes = 0;
                let ready = self.settle(std::mem::take(&mut page), all, account, number)?;
                if chosen.storage && !ready.is_empty() {
                    collided.extend(account.take(other.give(Rows::Sessions(ready), self.progress)?));
                }
                self.progress.on(Event::Moved { done: account.read });
            }
            let Some(last) = last else { break };
            from = last;
        }
        collided.extend(account.take(other.settle(self.progress)?));
        self.count_again(table, account)?;
        for id in collided {
            self.renamed(table, &id, earliest, other, account)?;
        }
        self.progress.on(Event::TableDone);
        Ok(())
    }

    /// Settles which rows of a page are sessions of their own; returns them.
    fn settle(&mut self, page: Vec<Pending>, all: &[Table], account: &mut Account, number: usize) -> Result<Vec<Converted>> {
        let mut ready: Vec<Converted> = Vec::new();
        for Pending { key, converted, has_team } in page {
            let mut converted = match converted {
                Ok(converted) => converted,
                Err(rejected) => {
                    account.reject(&rejected.id, &rejected.reason);
                    continue;
                }
            };
            self.seen.insert(hash(key.as_bytes()));
            let is_team = converted.session.session_type == "team";
            let shares_id = converted.team_session_id.as_deref() == Some(&key) || has_team;
            if !is_team && shares_id && self.teams.contains(&hash(key.as_bytes())) {
                // Its runs are member runs of the team's session, which was converted before.
                account.merged += 1;
                self.collect(converted.memories);
                continue;
            }
            if is_team {
                self.teams.insert(hash(key.as_bytes()));
                self.merge_members(&key, &mut converted, all)?;
            }
            self.collect(std::mem::take(&mut converted.memories));
            self.summaries.extend(converted.foreign_summaries.drain(..).map(|session| (number, session)));
            ready.push(converted);
        }
        Ok(ready)
    }

    /// A session whose id another has: it gets one of its own, made of its id and its table, and says so.
    fn renamed(
        &mut self,
        table: &Table,
        original: &str,
        earliest: Option<i64>,
        other: &mut Other,
        account: &mut Account,
    ) -> Result<()> {
        let storage = self.storage;
        for nth in 1.. {
            let id =
                if nth == 1 { format!("{original}:{}", table.name) } else { format!("{original}:{}:{nth}", table.name) };
            let mut renamed = None;
            let taken = &mut self.taken;
            table.row(&mut *self.sources[table.source], original, &mut |fields| {
                renamed = convert_row(&session_row(fields), table, storage, earliest, taken, Some(&id)).ok();
                Ok(())
            })?;
            let Some(mut renamed) = renamed else {
                account.reject(original, "cannot be converted under another id");
                return Ok(());
            };
            merge::keep_id(&mut renamed.session, original);
            other.give(Rows::Sessions(vec![renamed]), self.progress)?;
            let taken = other.settle(self.progress)?;
            let is_new = taken.as_ref().is_some_and(|taken| taken.written > 0);
            if account.take(taken).is_empty() {
                if is_new {
                    account.renamed.push((original.to_owned(), id));
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Members with storage of their own may carry the id of their team's session: their runs go into it.
    fn merge_members(&mut self, id: &str, team: &mut Converted, all: &[Table]) -> Result<()> {
        let storage = self.storage;
        for table in all.iter().filter(|table| table.kind == Kind::Agents) {
            let mut members = Vec::new();
            // Its run ids are those of the team's session: none of them is taken.
            table.row(&mut *self.sources[table.source], id, &mut |fields| {
                let row = session_row(fields);
                let has_team = row.team_id.is_some();
                let conversion = Conversion { storage, mode: table.kind.mode(), earliest: None, taken: None };
                if let Ok(member) = convert_session(&row, &conversion)
                    && member.session.session_type == "agent"
                    && (has_team || member.team_session_id.as_deref() == Some(id))
                {
                    members.push(member);
                }
                Ok(())
            })?;
            members.into_iter().for_each(|member| merge::member(team, member));
        }
        for run in &team.session.runs {
            self.taken.insert(hash(run.row.run_id.as_bytes()), hash(id.as_bytes()));
        }
        Ok(())
    }

    fn collect(&mut self, memories: Vec<SessionMemory>) {
        for memory in memories {
            let id = memory.memory.memory_id.clone();
            let newest = match self.inside.remove(&id) {
                Some(there) => there.newer(memory),
                None => memory,
            };
            self.inside.insert(id, newest);
        }
    }

    fn memory_table(&mut self, table: &Table, other: &mut Other, account: &mut Account) -> Result<()> {
        self.progress.on(Event::Table { name: table.name.clone(), work: "to v2".to_owned() });
        let (notation, storage) = (table.notation(), self.storage);
        let nameless = table.without_key(&mut *self.sources[table.source])?;
        account.read += nameless;
        account.reject_many(nameless, "the row has no id");
        let mut previous: Option<Vec<u8>> = None;
        let mut from = From::Start;
        let mut batch: Vec<Memory> = Vec::new();
        loop {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            if self.in_turn {
                account.take(other.settle(self.progress)?);
            }
            let last = table.page(&mut *self.sources[table.source], &from, &mut |fields| {
                account.read += 1;
                let key = fields.first().copied().flatten().map(<[u8]>::to_vec);
                if previous == key || shares_key(fields) {
                    account.reject(&String::from_utf8_lossy(&key.unwrap_or_default()), SAME_ID);
                    return Ok(());
                }
                previous = key;
                match convert_memory(&memory_row(fields), notation, storage) {
                    Ok((memory, counts)) => {
                        account.counts.add(&counts);
                        batch.push(memory);
                    }
                    Err(rejected) => account.reject(&rejected.id, &rejected.reason),
                }
                Ok(())
            })?;
            if (last.is_none() && !batch.is_empty()) || batch.len() >= MEMORIES_A_BATCH {
                account.take(other.give(Rows::Memories(std::mem::take(&mut batch)), self.progress)?);
            }
            let Some(last) = last else { break };
            from = last;
            self.progress.on(Event::Moved { done: account.read });
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

    /// Memories that only sessions hold. What was deleted in a memory table stays deleted: users who have rows there are left out.
    fn inside_memories(&mut self, tables: &[Table], other: &mut Other, account: &mut Account) -> Result<()> {
        let mut users: HashSet<u64> = HashSet::new();
        for table in tables.iter().filter(|table| table.kind == Kind::Memories) {
            let source = &mut self.sources[table.source];
            let sql = format!("SELECT DISTINCT coalesce(user_id, '') FROM {}", source.dialect().table(&table.name));
            source.scan(&sql, &[], &mut |fields| {
                users.extend(fields.first().copied().flatten().map(hash));
                Ok(true)
            })?;
        }
        let mut inside: Vec<SessionMemory> = std::mem::take(&mut self.inside).into_values().collect();
        inside.sort_by(|a, b| a.memory.memory_id.cmp(&b.memory.memory_id));
        account.read = inside.len() as u64;
        let (mine, kept): (Vec<_>, Vec<_>) = inside
            .into_iter()
            .map(|memory| memory.memory)
            .partition(|memory| !users.contains(&hash(memory.user_id.as_deref().unwrap_or_default().as_bytes())));
        account.merged = kept.len() as u64;
        for batch in mine.chunks(MEMORIES_A_BATCH) {
            account.take(other.give(Rows::Memories(batch.to_vec()), self.progress)?);
        }
        account.take(other.settle(self.progress)?);
        Ok(())
    }
}

/// Converts a row, and notes the ids of its runs. `id`: the session id it gets instead of its own.
fn convert_row(
    row: &crate::convert::v1::SessionRow<'_>,
    table: &Table,
    storage: Storage,
    earliest: Option<i64>,
    taken: &mut HashMap<u64, u64>,
    id: Option<&str>,
) -> Result<Converted, Rejected> {
    let mut row = *row;
    if let Some(id) = id {
        row.session_id = Some(id.as_bytes());
    }
    let own = hash(row.session_id.unwrap_or_default());
    let is_taken = |run: &str| taken.get(&hash(run.as_bytes())).is_some_and(|session| *session != own);
    let conversion = Conversion { storage, mode: table.kind.mode(), earliest, taken: Some(&is_taken) };
    let converted = convert_session(&row, &conversion)?;
    for run in &converted.session.runs {
        taken.entry(hash(run.row.run_id.as_bytes())).or_insert(own);
    }
    Ok(converted)
}

/// Gives PgVector tables of v1 the columns that v2 reads, with their indexes; returns what was done, in words.
pub fn extend_vectors(
    backend: &mut dyn Backend,
    table: &Table,
    lock_wait: Duration,
    progress: &mut dyn Progress,
) -> Result<Vec<String>> {
    let dialect: &'static dyn Dialect = backend.dialect();
    let quoted = dialect.table(&table.name);
    let mut done = Vec::new();
    in_transaction(backend, lock_wait, progress, |backend| {
        for column in ["content_hash", "content_id"] {
            if table.shape.column(column).is_none() {
                backend.execute(&format!("ALTER TABLE {quoted} ADD COLUMN {column} VARCHAR"), &[])?;
                done.push(format!("added column {column}"));
            }
            let name = dialect.fit(&format!("idx_{}_{column}", table.name));
            backend.execute(&format!("CREATE INDEX IF NOT EXISTS {} ON {quoted} ({column})", dialect.quote(&name)), &[])?;
            done.push(format!("created index {name}"));
        }
        Ok(())
    })?;
    Ok(done)
}
