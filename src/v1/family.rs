//! Rows of several tables that share a session id: a team's session, and those of its members. Agno 1.8 gives each member with
//! storage of its own a row under the id of its team's session, also a team that is a member of another.
//!
//! Which row is the team's own is decided by what the rows say, whatever their tables are called and whichever is read first.

use super::names::hash;
use super::placing::own_hash;
use super::source::session_row;
use super::{Converter, Kind, Reading};
use crate::convert::v1::{Context as Conversion, Converted, SessionRow, convert_session};
use anyhow::Result;
use std::cmp::Reverse;

/// What a row is among those with its id.
pub enum Role {
    /// A session of its own.
    Alone,
    /// Part of a team's session, which another row is.
    Member,
    /// A team's session, and those of its members.
    Head(Vec<Converted>),
}

/// Another row with the same id.
struct Relative {
    table: usize,
    is_member: bool,
    converted: Converted,
}

/// Whether a row says that it is part of the session of a team: by that session's id, or, an agent's, by its team.
pub fn is_member(row: &SessionRow<'_>, converted: &Converted) -> bool {
    match converted.session.session_type.as_str() {
        "workflow" => false,
        "team" => row.team_session_id == row.session_id,
        _ => row.team_session_id == row.session_id || row.team_id.is_some(),
    }
}

impl Converter<'_> {
    /// What a row is among those with its id.
    pub(super) fn role(&mut self, key: &str, is_member: bool, converted: &Converted, reading: Reading<'_>) -> Result<Role> {
        let is_team = converted.session.session_type == "team";
        if !is_team && !is_member {
            return Ok(Role::Alone);
        }
        let id = hash(key.as_bytes());
        let head = match self.heads.get(&id) {
            Some(head) if *head != Some(reading.number) => *head,
            _ => {
                let relatives = self.relatives(key, None, reading)?;
                let teams = relatives.iter().filter(|other| is_a_team(&other.converted));
                let own = is_team.then(|| (rank(is_member, converted), reading.number));
                let ranks = teams.map(|other| (rank(other.is_member, &other.converted), other.table));
                let head = ranks.chain(own).min().map(|(_, table)| table);
                self.heads.insert(id, head);
                if head == Some(reading.number) {
                    return Ok(Role::Head(members(relatives)));
                }
                head
            }
        };
        Ok(if is_member && head.is_some() { Role::Member } else { Role::Alone })
    }

    /// The members of a team's session, as parts of a session with another id.
    pub(super) fn members_under(&mut self, key: &str, id: Option<&str>, reading: Reading<'_>) -> Result<Vec<Converted>> {
        Ok(members(self.relatives(key, id, reading)?))
    }

    /// The rows of other tables with an id, converted: those of teams, and of their members.
    fn relatives(&mut self, key: &str, id: Option<&str>, reading: Reading<'_>) -> Result<Vec<Relative>> {
        let mut relatives = Vec::new();
        for (number, table) in reading.tables.iter().enumerate() {
            if number == reading.number || table.kind == Kind::Workflows {
                continue;
            }
            let mut found = None;
            let (names, storage) = (&self.names, self.storage);
            table.row(&mut *self.sources[table.source], key, &mut |fields| {
                let mut row = session_row(fields);
                let own = own_hash(id.unwrap_or(key), storage);
                let is_taken = |run: &str| names.has_run(run, own);
                let says = row;
                row.session_id = id.map(str::as_bytes).or(row.session_id);
                let conversion = Conversion { storage, mode: table.kind.mode(), earliest: None, taken: Some(&is_taken) };
                // Rows that share an id inside a table are rejected, but for the first.
                if let (None, Ok(converted)) = (&found, convert_session(&row, &conversion)) {
                    found = Some(Relative { table: number, is_member: is_member(&says, &converted), converted });
                }
                Ok(())
            })?;
            relatives.extend(found.filter(|found| found.is_member || is_a_team(&found.converted)));
        }
        Ok(relatives)
    }
}

fn is_a_team(converted: &Converted) -> bool {
    converted.session.session_type == "team"
}

/// The team that leads comes first: one that is no member; of members the one that has the runs of the others too.
fn rank(is_member: bool, converted: &Converted) -> (bool, Reverse<usize>, Option<i64>, Option<String>) {
    let session = &converted.session;
    (is_member, Reverse(session.runs.len()), session.created_at, session.team_id.clone())
}

fn members(relatives: Vec<Relative>) -> Vec<Converted> {
    relatives.into_iter().filter(|relative| relative.is_member).map(|relative| relative.converted).collect()
}
