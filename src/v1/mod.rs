//! `v1-to-v2`: reads the tables of Agno v1 in pages, converts each row (`convert::v1`), writes batches of a page each in a
//! transaction of their own. What is there already is left alone, ids are derived: a run that was cut off is simply run again.

pub mod account;
pub mod command;
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
use source::{Kind, Table, memory_row, session_row};
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;
use target::Target;

/// Rows and bytes of runs that are written at once: each transaction costs a wait for the disk.
const ROWS_A_BATCH: usize = 1000;
const BYTES_A_BATCH: usize = 4 << 20;

/// Memories that are written at once.
const MEMORIES_A_BATCH: usize = 2000;

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

/// The conversion of some sources into one target.
pub struct Converter<'c> {
    /// The databases that have v1 tables.
    pub sources: &'c mut [Box<dyn Backend>],
    /// The database that is written.
    pub target: &'c mut dyn Backend,
    /// Its sessions table; `None`: sessions are only looked through for memories.
    pub sessions: Option<Target>,
    /// Its memories table.
    pub memories: Option<Target>,
    /// Who is told.
    pub progress: &'c mut dyn Progress,
    /// How long other programs are waited for.
    pub lock_wait: Duration,
    /// Nothing is written.
    pub dry_run: bool,
    /// Hashes of the ids of runs, with that of the session that has each: 16 bytes a run, whatever its size.
    taken: HashMap<u64, u64>,
    /// Hashes of the ids of team sessions, which members may share.
    teams: HashSet<u64>,
    /// Memories that sessions repeat, by id.
    inside: HashMap<String, SessionMemory>,
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

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
        target: &'c mut dyn Backend,
        progress: &'c mut dyn Progress,
        lock_wait: Duration,
        dry_run: bool,
    ) -> Converter<'c> {
        Converter {
            sources,
            target,
            sessions: None,
            memories: None,
            progress,
            lock_wait,
            dry_run,
            taken: HashMap::new(),
            teams: HashSet::new(),
            inside: HashMap::new(),
        }
    }

    fn storage(&self) -> Storage {
        if self.target.dialect().key_is_primary() { Storage::Text } else { Storage::Jsonb }
    }

    /// Converts the tables: sessions of teams and workflows first, then of agents, then memories.
    ///
    /// # Errors
    /// What stops the whole: a database that goes away. Rows that cannot be converted are in the accounts.
    pub fn run(&mut self, tables: &[Table], chosen: Chosen) -> (Vec<Account>, Result<()>) {
        let mut accounts = Vec::new();
        let outcome = self.run_tables(tables, chosen, &mut accounts);
        (accounts, outcome)
    }

    fn run_tables(&mut self, tables: &[Table], chosen: Chosen, accounts: &mut Vec<Account>) -> Result<()> {
        if let Some(sessions) = &self.sessions {
            let taken = &mut self.taken;
            sessions.each_run(self.target, &mut |run, session| {
                taken.insert(hash(run), hash(session));
            })?;
        }
        let mut ordered: Vec<&Table> = tables.iter().filter(|table| table.kind.is_storage()).collect();
        ordered.sort_by(|a, b| (a.kind, a.source, &a.name).cmp(&(b.kind, b.source, &b.name)));
        for table in ordered {
            let mut account = Account::of(&table.name, table.kind.word());
            let outcome = self.storage_table(table, tables, chosen, &mut account);
            if chosen.storage || outcome.is_err() {
                accounts.push(account);
            }
            outcome.with_context(|| format!("converting {}", table.name))?;
        }
        if !chosen.memory {
            return Ok(());
        }
        for table in tables.iter().filter(|table| table.kind == Kind::Memories) {
            let mut account = Account::of(&table.name, table.kind.word());
            let outcome = self.memory_table(table, &mut account);
            accounts.push(account);
            outcome.with_context(|| format!("converting {}", table.name))?;
        }
        let mut account = Account::of("memories inside sessions", "v1-memories");
        self.inside_memories(tables, &mut account).context("converting memories inside sessions")?;
        if account.read > 0 {
            accounts.push(account);
        }
        Ok(())
    }

    fn storage_table(&mut self, table: &Table, all: &[Table], chosen: Chosen, account: &mut Account) -> Result<()> {
        let source = &mut self.sources[table.source];
        self.progress.on(Event::Table { name: table.name.clone(), work: "to v2".to_owned() });
        let earliest = table.earliest(&mut **source)?;
        let nameless = table.without_key(&mut **source)?;
        account.read += nameless;
        account.reject_many(nameless, "the row has no session_id");
        let storage = self.storage();
        let mut after: Option<String> = None;
        let mut page: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        loop {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            let taken = &mut self.taken;
            let last = table.page(&mut *self.sources[table.source], after.as_deref(), &mut |fields| {
                let row = session_row(fields);
                let key = String::from_utf8_lossy(row.session_id.unwrap_or_default()).into_owned();
                let converted = convert_row(&row, table, storage, earliest, taken, None);
                account.read += 1;
                bytes +=
                    converted.iter().flat_map(|converted| &converted.session.runs).map(|run| run.json.len()).sum::<usize>();
                page.push(Pending { key, converted, has_team: row.team_id.is_some() });
                Ok(())
            })?;
            if last.is_none() || page.len() >= ROWS_A_BATCH || bytes >= BYTES_A_BATCH {
                bytes = 0;
                self.write_page(table, all, std::mem::take(&mut page), earliest, chosen, account)?;
                self.progress.on(Event::Moved { done: account.read });
            }
            let Some(last) = last else { break };
            after = Some(last);
        }
        self.progress.on(Event::TableDone);
        Ok(())
    }

    /// Settles whose id is whose, and writes the rest of a page in one transaction.
    fn write_page(
        &mut self,
        table: &Table,
        all: &[Table],
        page: Vec<Pending>,
        earliest: Option<i64>,
        chosen: Chosen,
        account: &mut Account,
    ) -> Result<()> {
        let mut ready: Vec<Converted> = Vec::new();
        for Pending { key, converted, has_team } in page {
            let mut converted = match converted {
                Ok(converted) => converted,
                Err(rejected) => {
                    account.reject(&rejected.id, &rejected.reason);
                    continue;
                }
            };
            let is_team = converted.session.session_type == "team";
            let shares_id = converted.team_session_id.as_deref() == Some(&key) || has_team;
            if !is_team && shares_id && self.teams.contains(&hash(key.as_bytes())) {
                // Its runs are member runs of the team's session, which was written before.
                account.merged += 1;
                self.collect(converted.memories);
                continue;
            }
            if is_team {
                self.teams.insert(hash(key.as_bytes()));
                self.merge_members(&key, &mut converted, all)?;
            }
            ready.push(converted);
        }
        let Some(sessions) = &self.sessions else {
            for converted in ready {
                self.collect(converted.memories);
            }
            return Ok(());
        };
        let ids: Vec<&str> = ready.iter().map(|converted| converted.session.session_id.as_str()).collect();
        let there = sessions.sessions(self.target, &ids)?;
        let mut write = Vec::new();
        for converted in ready {
            match there.get(&converted.session.session_id) {
                None => write.push(converted),
                Some(other) if is_same(other, &converted) => {
                    account.already_there += 1;
                    self.collect(converted.memories);
                }
                Some(_) => write.extend(self.renamed(table, converted, earliest, account)?),
            }
        }
        for converted in &write {
            account.counts.add(&converted.counts);
            account.runs += converted.session.runs.len() as u64;
        }
        let (batch, memories): (Vec<_>, Vec<_>) =
            write.into_iter().map(|converted| (converted.session, converted.memories)).unzip();
        memories.into_iter().for_each(|memories| self.collect(memories));
        account.written += batch.len() as u64;
        if self.dry_run || batch.is_empty() || !chosen.storage {
            return Ok(());
        }
        let Some(sessions) = &self.sessions else { return Ok(()) };
        in_transaction(self.target, self.lock_wait, self.progress, |target| {
            sessions.put_sessions(target, &batch).map(|_| ())
        })
    }

    /// A session whose id another has: it gets one of its own, made of its id and its table, and says so.
    fn renamed(
        &mut self,
        table: &Table,
        converted: Converted,
        earliest: Option<i64>,
        account: &mut Account,
    ) -> Result<Option<Converted>> {
        let original = converted.session.session_id;
        let storage = self.storage();
        for nth in 1.. {
            let id =
                if nth == 1 { format!("{original}:{}", table.name) } else { format!("{original}:{}:{nth}", table.name) };
            let mut renamed = None;
            let taken = &mut self.taken;
            table.row(&mut *self.sources[table.source], &original, &mut |fields| {
                renamed = convert_row(&session_row(fields), table, storage, earliest, taken, Some(&id)).ok();
                Ok(())
            })?;
            let Some(mut renamed) = renamed else {
                account.reject(&original, "cannot be converted under another id");
                return Ok(None);
            };
            let there = match &self.sessions {
                Some(sessions) => sessions.sessions(self.target, &[&id])?,
                None => HashMap::new(),
            };
            match there.get(&id) {
                Some(other) if is_same(other, &renamed) => {
                    account.already_there += 1;
                    self.collect(renamed.memories);
                    return Ok(None);
                }
                Some(_) => continue,
                None => {
                    merge::keep_id(&mut renamed.session, &original);
                    account.renamed.push((original, id));
                    return Ok(Some(renamed));
                }
            }
        }
        Ok(None)
    }

    /// Members with storage of their own may carry the id of their team's session: their runs go into it.
    fn merge_members(&mut self, id: &str, team: &mut Converted, all: &[Table]) -> Result<()> {
        let storage = self.storage();
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

    fn memory_table(&mut self, table: &Table, account: &mut Account) -> Result<()> {
        self.progress.on(Event::Table { name: table.name.clone(), work: "to v2".to_owned() });
        let (notation, storage) = (table.notation(), self.storage());
        let nameless = table.without_key(&mut *self.sources[table.source])?;
        account.read += nameless;
        account.reject_many(nameless, "the row has no id");
        let mut after: Option<String> = None;
        let mut batch: Vec<Memory> = Vec::new();
        loop {
            if interrupted() {
                return Err(Stop::Interrupted.into());
            }
            let last = table.page(&mut *self.sources[table.source], after.as_deref(), &mut |fields| {
                account.read += 1;
                match convert_memory(&memory_row(fields), notation, storage) {
                    Ok((memory, counts)) => {
                        account.counts.add(&counts);
                        batch.push(memory);
                    }
                    Err(rejected) => account.reject(&rejected.id, &rejected.reason),
                }
                Ok(())
            })?;
            if last.is_none() || batch.len() >= MEMORIES_A_BATCH {
                self.write_memories(&std::mem::take(&mut batch), account)?;
            }
            let Some(last) = last else { break };
            after = Some(last);
            self.progress.on(Event::Moved { done: account.read });
        }
        self.progress.on(Event::TableDone);
        Ok(())
    }

    fn write_memories(&mut self, batch: &[Memory], account: &mut Account) -> Result<()> {
        let Some(memories) = &self.memories else {
            account.written += batch.len() as u64;
            return Ok(());
        };
        if batch.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        let outcome = in_transaction(self.target, self.lock_wait, self.progress, |target| {
            written = memories.put_memories(target, batch)?;
            if self.dry_run { Err(DryRun.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if error.is::<DryRun>() => {}
            other => other?,
        }
        account.written += written;
        account.already_there += batch.len() as u64 - written;
        Ok(())
    }

    /// Memories that only sessions hold. What was deleted in a memory table stays deleted: users who have rows there are left out.
    fn inside_memories(&mut self, tables: &[Table], account: &mut Account) -> Result<()> {
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
            self.write_memories(batch, account)?;
        }
        Ok(())
    }
}

/// Ends a transaction that was only to tell what it would do.
#[derive(Debug)]
struct DryRun;

impl std::fmt::Display for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing is written by a dry run")
    }
}

impl std::error::Error for DryRun {}

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

/// Whether a session that is there is the one that was converted.
fn is_same(there: &(String, String), converted: &Converted) -> bool {
    let created = converted.session.created_at.map(|at| at.to_string()).unwrap_or_default();
    there.0 == converted.session.session_type && there.1 == created
}

fn in_transaction(
    target: &mut dyn Backend,
    wait: Duration,
    progress: &mut dyn Progress,
    work: impl FnOnce(&mut dyn Backend) -> Result<()>,
) -> Result<()> {
    target.begin(wait, progress)?;
    let outcome = work(target).and_then(|()| target.commit());
    if outcome.is_err() {
        let _ = target.rollback();
    }
    outcome
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
