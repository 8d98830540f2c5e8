//! What was observed, and what a table has on its way through the versions.

use crate::archive;
use crate::backend::{Catalog, Dialect};
use crate::discover::{Found, Stamp, Survey, has_columns};
use crate::plan::{self, Action, Decision, Subject};
use crate::schema::tables::{ARCHIVE_TABLE, TableType};
use crate::schema::versions::oldest;
use crate::schema::{Direction, MIGRATIONS, Migration, Shape, Step};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was observed before anything is decided.
pub struct Observed {
    /// The tables of the database.
    pub catalog: Catalog,
    /// Agno's among them.
    pub survey: Survey,
    /// Columns with values in the archive, by table.
    pub(super) archived: BTreeMap<String, BTreeSet<String>>,
    pub(super) dialect: &'static dyn Dialect,
}

/// A table on its way through the versions.
pub(super) struct State {
    pub(super) shape: Shape,
    /// The table was changed since its shape was observed.
    pub(super) is_outdated: bool,
    pub(super) runs: Option<Shape>,
    pub(super) names: BTreeSet<String>,
    pub(super) archived: BTreeSet<String>,
    /// Values of its runs are in the archive.
    pub(super) has_archived_runs: bool,
    pub(super) referenced_by: Vec<String>,
    /// The column of an owner was there before the walk.
    pub(super) had_owner: bool,
    pub(super) stamp: Version,
}

impl Observed {
    pub(super) fn has_archive(&self) -> bool {
        self.catalog.tables.get(ARCHIVE_TABLE).is_some_and(archive::is_one)
    }

    /// Whether the runs table of a sessions table has a stamp.
    pub(super) fn has_stamped_runs(&self, table: &Found) -> bool {
        let is_it = |found: &&Found| found.table_type == TableType::Runs && Some(&found.name) == table.runs.as_ref();
        self.survey.found.iter().find(is_it).is_some_and(|runs| runs.stamp != Stamp::None)
    }

    /// A table as the walk finds it; `None` when it has gone.
    pub(super) fn state(&self, table: &Found, stamp: Version) -> Option<State> {
        let shape = self.catalog.tables.get(&table.name)?.clone();
        let runs = table.runs.as_ref().and_then(|runs| self.catalog.tables.get(runs));
        Some(State {
            had_owner: shape.column(archive::OWNER).is_some(),
            shape,
            is_outdated: false,
            // A table of the user's may have the name.
            runs: runs.filter(|shape| has_columns(shape, TableType::Runs)).cloned(),
            names: self.catalog.names.clone(),
            archived: self.archived.get(&table.name).cloned().unwrap_or_default(),
            has_archived_runs: table.runs.as_ref().is_some_and(|runs| self.archived.contains_key(runs)),
            referenced_by: referencing(&self.catalog, table.runs.as_deref(), &table.name),
            stamp,
        })
    }

    /// The facts of a version that a table lacks, in words.
    fn lacking(&self, table: &Found, migration: &Migration) -> Vec<String> {
        let Some(mut state) = self.state(table, oldest().clone()) else { return Vec::new() };
        state.archived.clear();
        let facts = migration.steps(table.table_type).iter().filter(|step| !matches!(step, Step::Move(_)));
        facts
            .filter_map(|step| match plan::decide(step, Direction::Up, &state.subject(table, self.dialect)) {
                Decision::Holds => None,
                // The table is there: its indexes are not all.
                Decision::Do(actions, _) if matches!(step, Step::CreateTable(_)) && state.runs.is_some() => {
                    let indexes = actions.iter().filter_map(|action| match action {
                        Action::CreateIndex { on, index, .. } => {
                            Some(format!("{} of {on}", Step::CreateIndex(*index).describe()))
                        }
                        _ => None,
                    });
                    Some(indexes.collect::<Vec<_>>().join(", "))
                }
                _ => Some(step.describe()),
            })
            .collect()
    }

    /// What the stamp of a table claims and the table lacks, in words.
    pub fn drift(&self, table: &Found) -> Vec<String> {
        let Some(stamp) = table.stamp.version() else { return Vec::new() };
        let claimed = MIGRATIONS.iter().filter(|migration| migration.version <= *stamp);
        claimed.flat_map(|migration| self.lacking(table, migration)).collect()
    }

    /// The version the shape of a table has: the newest whose facts, and those of all before it, it holds.
    pub fn shape_version(&self, table: &Found) -> Version {
        let held = MIGRATIONS.iter().take_while(|migration| self.lacking(table, migration).is_empty());
        held.last().map_or(oldest(), |migration| &migration.version).clone()
    }
}

impl State {
    pub(super) fn subject<'s>(&'s self, table: &'s Found, dialect: &'s dyn Dialect) -> Subject<'s> {
        Subject {
            table: &table.name,
            shape: &self.shape,
            runs: table.runs.as_deref().map(|name| (name, self.runs.as_ref())),
            names: &self.names,
            archived: &self.archived,
            runs_referenced_by: &self.referenced_by,
            dialect,
        }
    }

    /// Predicts what an action leaves.
    pub(super) fn predict(&mut self, table: &Found, action: &Action, dialect: &dyn Dialect) {
        self.shape = plan::after(&self.shape, action, &table.name, dialect);
        match action {
            Action::CreateTable { name, table, parent, key, indexes } => {
                self.runs = Some(plan::created(table, parent, indexes, dialect));
                self.names.extend([name.clone(), key.clone()]);
                self.names.extend(indexes.iter().cloned());
            }
            Action::CreateIndex { name, .. }
            | Action::AddPrimaryKey { name, .. }
            | Action::DropPrimaryKey { unique: name, .. }
            | Action::ReplaceKey { name, .. } => {
                self.names.insert(name.clone());
            }
            Action::DropTable { name } => {
                self.runs = None;
                self.names.remove(name);
            }
            Action::DropIndex { name } => {
                self.names.remove(name);
            }
            _ => {}
        }
    }
}

/// Tables with a foreign key on the runs table, besides the sessions table and itself.
fn referencing(catalog: &Catalog, runs: Option<&str>, sessions: &str) -> Vec<String> {
    let Some(runs) = runs else { return Vec::new() };
    let refers = |shape: &Shape| shape.foreign_keys.iter().any(|key| key.parent.eq_ignore_ascii_case(runs));
    catalog
        .tables
        .iter()
        .filter(|(name, shape)| *name != runs && *name != sessions && refers(shape))
        .map(|(name, _)| name.clone())
        .collect()
}
