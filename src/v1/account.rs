//! The accounts of a conversion: what was read is what was written, was there, was merged or was rejected.

use crate::convert::v1::ledger::Counts;
use crate::difference::{Difference, Differences};
use crate::v1::sink::Taken;
use serde::{Serialize, Serializer};

/// How many rejected rows an account names.
const NAMED: usize = 1000;

/// A v1 table and what became of its rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    /// The table.
    pub table: String,
    /// What it keeps, in the word of `--table`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Rows read.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Runs inside what was written.
    pub runs: u64,
    /// Rows that were there already, and were left alone.
    pub already_there: u64,
    /// Rows that are part of another: a member's session with the id of its team's, a memory whose user has a table.
    pub merged: u64,
    /// Rows that could not be converted.
    pub rejected: u64,
    /// The first of them: id and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<(String, String)>,
    /// Sessions that got another id since another session has theirs: before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(String, String)>,
    /// Sessions that have no row, and whose summaries were inside rows of others: there is nothing to put them on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_summaries: Vec<String>,
    /// Rows that the app changed since they were converted: not compared any further.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Where what is there is not what was converted.
    #[serde(skip_serializing_if = "Differences::is_empty")]
    pub differences: Differences,
    /// Sessions that have no row, and whose runs were inside rows of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_runs: Vec<String>,
    /// What was done to the table itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// What was left out or kept aside inside rows that were written, in words.
    #[serde(serialize_with = "phrases")]
    pub counts: Counts,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn phrases<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(count, number)| (count.phrase(), number)))
}

impl Account {
    /// Of a table of which nothing was read yet.
    pub fn of(table: &str, kind: &'static str) -> Account {
        Account { table: table.to_owned(), kind, ..Account::default() }
    }

    /// Adds what became of some rows.
    pub(super) fn take(&mut self, taken: Option<Taken>) {
        let Some(taken) = taken else { return };
        self.written += taken.written;
        self.already_there += taken.already_there;
        self.runs += taken.runs;
        self.counts.add(&taken.counts);
        self.changed += taken.changed;
        self.differences.append(taken.differences);
        for (id, reason) in &taken.refused {
            // It has no new id after all.
            self.renamed.retain(|(_, after)| after != id);
            self.reject(id, reason);
        }
        for id in &taken.collided {
            self.reject(id, "another program wrote a session with its id meanwhile: run agno-migrate again");
        }
    }

    /// A row that could not be converted.
    pub fn reject(&mut self, id: &str, reason: &str) {
        self.rejected += 1;
        if self.rejections.len() < NAMED {
            self.rejections.push((id.to_owned(), reason.to_owned()));
        }
    }

    /// Rows that nothing can name.
    pub fn reject_many(&mut self, number: u64, reason: &str) {
        if number > 0 {
            self.rejected += number;
            self.rejections.push((format!("{number} rows"), reason.to_owned()));
        }
    }

    /// What cannot be converted is not there: for `verify` a difference.
    pub(super) fn rejections_differ(&mut self) {
        self.differences.count += self.rejected - self.rejections.len() as u64;
        for (id, reason) in std::mem::take(&mut self.rejections) {
            self.differences.add(Difference {
                id: Some(id),
                item: None,
                what: format!("cannot be converted: {reason}"),
                mend: "it is only in the old table: keep that, or mend the row and run agno-migrate v1-to-v2".to_owned(),
            });
        }
    }

    /// Of the rows only those count that could not be converted: the others were read for what is inside them.
    pub(super) fn keep_rejections(&mut self) {
        self.read = self.rejected;
        (self.merged, self.counts) = (0, Counts::default());
    }

    /// Whether every row that was read is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.read == self.written + self.already_there + self.merged + self.rejected
    }
}
