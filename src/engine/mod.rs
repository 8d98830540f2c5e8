//! The one walk over tables and versions: observe, compare, render, execute, stamp. `up`, `down`, `plan` and `status` are
//! this walk, fed with different steps.

mod course;
mod observed;
mod planning;
mod walk;

pub use course::{Course, Moves};
pub use observed::Observed;
pub use planning::TablePlan;
pub use walk::Failed;

use crate::archive::{self, Archive};
use crate::backend::Backend;
use crate::discover::{self, Found, Named};
use crate::progress::Progress;
use crate::schema::tables::{TableType, VERSIONS_TABLE};
use crate::stamps;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the user said about all tables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names of tables.
    pub named: Named,
    /// The version table.
    pub versions_table: String,
    /// Only these types; all without.
    pub only: Option<BTreeSet<TableType>>,
    /// How long other programs are waited for.
    pub lock_wait: Duration,
    /// The second the command started: the time of rows that have none.
    pub now: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            named: Named::default(),
            versions_table: VERSIONS_TABLE.to_owned(),
            only: None,
            lock_wait: Duration::from_secs(300),
            now: 0,
        }
    }
}

/// The walk.
pub struct Engine<'a> {
    /// The database.
    pub backend: &'a mut dyn Backend,
    /// Who is told.
    pub progress: &'a mut dyn Progress,
    /// What the user said.
    pub settings: Settings,
    /// Statements that wait for the end of the transaction, each with what it does.
    pub apart: Vec<(String, String)>,
}

impl Engine<'_> {
    /// Looks at the whole database.
    pub fn observe(&mut self) -> Result<Observed> {
        let catalog = self.backend.catalog()?;
        let stamps = stamps::read(self.backend, &catalog, &self.settings.versions_table)?;
        let versions = &self.settings.versions_table;
        let mut survey = discover::survey(&catalog, &stamps, &self.settings.named, versions);
        if versions != VERSIONS_TABLE
            && !catalog.tables.contains_key(versions)
            && catalog.tables.contains_key(VERSIONS_TABLE)
        {
            survey.refusals.push(format!(
                "there is no table {versions}, and the database has {VERSIONS_TABLE}: correct --table versions="
            ));
        }
        let archived = archive::columns(self.backend, &catalog)?;
        Ok(Observed { catalog, survey, archived, dialect: self.backend.dialect() })
    }

    /// The rows of a table.
    pub fn rows(&mut self, table: &str) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", self.backend.dialect().table(table));
        let count = self.backend.query(&sql, &[])?.into_iter().flatten().flatten().next();
        count.unwrap_or_default().parse().with_context(|| format!("counting the rows of {table}"))
    }
}

pub(crate) fn gone() -> anyhow::Error {
    anyhow!("the table has gone since it was found: run the command again")
}

fn archive_of<'b>(backend: &'b mut dyn Backend, table: &'b Found) -> Archive<'b> {
    Archive { backend, table_type: table.table_type, table: &table.name }
}
