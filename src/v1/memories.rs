//! Memories: of their tables, and those that only sessions hold.

use super::names::hash;
use super::sink::Rows;
use super::source::{From, Kind, Table, memory_row, shares_key};
use super::{Account, Converter, Other, SAME_ID};
use crate::convert::v1::{Memory, SessionMemory, convert_memory};
use crate::error::Stop;
use crate::progress::{Event, interrupted};
use anyhow::Result;
use std::collections::HashSet;

/// Memories that are handed over at once.
const MEMORIES_A_BATCH: usize = 2000;

impl Converter<'_> {
    /// Keeps memories that sessions hold until all are known: many sessions repeat one.
    pub(super) fn collect(&mut self, memories: Vec<SessionMemory>) {
        for memory in memories {
            let id = (memory.memory.memory_id.clone(), memory.memory.user_id.clone());
            let newest = match self.inside.remove(&id) {
                Some(there) => there.newer(memory),
                None => memory,
            };
            self.inside.insert(id, newest);
        }
    }

    pub(super) fn memory_table(&mut self, table: &Table, other: &mut Other, account: &mut Account) -> Result<()> {
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
            let names = &mut self.names;
            let last = table.page(&mut *self.sources[table.source], &from, &mut |fields| {
                account.read += 1;
                let key = fields.first().copied().flatten().map(<[u8]>::to_vec);
                if previous == key || shares_key(fields) {
                    account.reject(&String::from_utf8_lossy(&key.unwrap_or_default()), SAME_ID);
                    return Ok(());
                }
                previous = key;
                match convert_memory(&memory_row(fields), notation, storage) {
                    Ok((mut memory, counts)) => {
                        account.counts.add(&counts);
                        match names.remember(&mut memory, &mut account.counts) {
                            true => batch.push(memory),
                            false => account.already_there += 1,
                        }
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

    /// Memories that only sessions hold. What was deleted in a memory table stays deleted: users who have rows there are left out.
    pub(super) fn inside_memories(&mut self, tables: &[Table], other: &mut Other, account: &mut Account) -> Result<()> {
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
        // Always in one order: of two users' memories with one id the first keeps it.
        let order = |memory: &Memory| (memory.memory_id.clone(), memory.user_id.clone());
        inside.sort_by_cached_key(|memory| order(&memory.memory));
        account.read = inside.len() as u64;
        let mut batch = Vec::new();
        for SessionMemory { mut memory, .. } in inside {
            if users.contains(&hash(memory.user_id.as_deref().unwrap_or_default().as_bytes())) {
                account.merged += 1;
            } else if self.names.remember(&mut memory, &mut account.counts) {
                batch.push(memory);
            } else {
                account.already_there += 1;
            }
            if batch.len() >= MEMORIES_A_BATCH {
                account.take(other.give(Rows::Memories(std::mem::take(&mut batch)), self.progress)?);
            }
        }
        if !batch.is_empty() {
            account.take(other.give(Rows::Memories(batch), self.progress)?);
        }
        account.take(other.settle(self.progress)?);
        Ok(())
    }
}
