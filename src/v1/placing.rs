//! What becomes of a converted row: a session of its own, under its id or another, or part of a session that another row is.

use super::family::Role;
use super::names::{Fit, Names, hash};
use super::source::session_row;
use super::{Account, Converter, Reading};
use crate::convert::v1::{Context as Conversion, Converted, Rejected, SessionRow, Storage, convert_session, merge};
use anyhow::Result;

/// A converted row on its way, and the key it was read by.
pub struct Pending {
    /// The key.
    pub key: String,
    /// What became of it.
    pub converted: Converted,
    /// It says that it is part of a team's session.
    pub is_member: bool,
}

impl Converter<'_> {
    /// Settles what becomes of a row: whether it is a session of its own, and under which id. `None`: part of another, or there.
    pub(super) fn settle(
        &mut self,
        pending: Pending,
        reading: Reading<'_>,
        account: &mut Account,
    ) -> Result<Option<Converted>> {
        let Pending { key, mut converted, is_member } = pending;
        let mut is_head = false;
        match self.role(&key, is_member, &converted, reading)? {
            Role::Alone => {}
            Role::Member => {
                account.merged += 1;
                self.collect(converted.memories);
                return Ok(None);
            }
            Role::Head(members) => {
                is_head = true;
                members.into_iter().for_each(|member| merge::member(&mut converted, member));
            }
        }
        let own = converted.session.session_id.clone();
        // How many ids were tried: the own one, that with the table's name, then numbers.
        let mut nth = 0;
        loop {
            let fit = self.names.fit(&converted.session);
            match fit {
                Fit::Free | Fit::There => {
                    if nth > 0 {
                        if fit == Fit::Free {
                            account.renamed.push((own.clone(), converted.session.session_id.clone()));
                        }
                        merge::keep_id(&mut converted.session, &own);
                    }
                    self.names.enter(&converted.session, reading.number);
                    return Ok(Some(converted));
                }
                Fit::Row(table) if nth == 0 && self.is_copy(&key, table, reading)? => {
                    account.already_there += 1;
                    self.collect(converted.memories);
                    return Ok(None);
                }
                Fit::Row(_) | Fit::Other => nth += 1,
                // A row of the same page took one of its runs since it was converted.
                Fit::Runs => {}
            }
            let name = &reading.table().name;
            let id = match nth {
                0 => None,
                1 => Some(format!("{own}:{name}")),
                nth => Some(format!("{own}:{name}:{nth}")),
            };
            let Some(again) = self.under(&key, id.as_deref(), is_head, reading)? else {
                account.reject(&own, "another session has its id or those of its runs, and it cannot be read by its own");
                return Ok(None);
            };
            converted = again;
        }
    }

    /// Reads a row once more, and converts it under another id, a team's with its members.
    fn under(&mut self, key: &str, id: Option<&str>, is_head: bool, reading: Reading<'_>) -> Result<Option<Converted>> {
        let table = reading.table();
        let mut converted = None;
        let (names, storage) = (&self.names, self.storage);
        table.row(&mut *self.sources[table.source], key, &mut |fields| {
            if converted.is_none() {
                converted = convert_row(&session_row(fields), reading, storage, names, id).ok();
            }
            Ok(())
        })?;
        if let (Some(converted), true) = (&mut converted, is_head) {
            let members = self.members_under(key, id, reading)?;
            members.into_iter().for_each(|member| merge::member(converted, member));
        }
        Ok(converted)
    }

    /// Whether a row of another table is this one, byte for byte: databases are copied.
    fn is_copy(&mut self, key: &str, other: usize, reading: Reading<'_>) -> Result<bool> {
        let mut rows = Vec::new();
        for table in [reading.table(), &reading.tables[other]] {
            table.row(&mut *self.sources[table.source], key, &mut |fields| {
                rows.push(fields.iter().map(|field| field.map(<[u8]>::to_vec)).collect::<Vec<_>>());
                Ok(())
            })?;
        }
        Ok(other != reading.number && rows.len() == 2 && rows[0] == rows[1])
    }
}

/// The hash of a session's id as the target holds it.
pub(super) fn own_hash(id: &str, storage: Storage) -> u64 {
    match storage {
        Storage::Jsonb if id.contains('\0') => hash(id.replace('\0', "").as_bytes()),
        _ => hash(id.as_bytes()),
    }
}

/// Converts a row. `id`: the session id it gets instead of its own.
pub(super) fn convert_row(
    row: &SessionRow<'_>,
    reading: Reading<'_>,
    storage: Storage,
    names: &Names,
    id: Option<&str>,
) -> Result<Converted, Rejected> {
    let mut row = *row;
    if let Some(id) = id {
        row.session_id = Some(id.as_bytes());
    }
    let own = own_hash(&String::from_utf8_lossy(row.session_id.unwrap_or_default()), storage);
    let is_taken = |run: &str| names.has_run(run, own);
    let (mode, earliest) = (reading.table().kind.mode(), reading.earliest);
    convert_session(&row, &Conversion { storage, mode, earliest, taken: Some(&is_taken) })
}
