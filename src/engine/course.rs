//! Where a walk goes, and over which versions.

use crate::schema::tables::TableType;
use crate::schema::{Direction, MIGRATIONS, Migration, Step};
use semver::Version;

/// Where the walk goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// Up to a version.
    Up {
        /// The version.
        target: Version,
        /// Which data moves are done.
        moves: Moves,
    },
    /// Down to a version.
    Down {
        /// The version.
        target: Version,
    },
}

/// Which data moves an `up` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// Those of versions above the stamp, or whose table was made only now.
    Due,
    /// Those of stamped versions again (`--force`). They never overwrite a row.
    Again,
}

impl Course {
    /// The version it goes to.
    pub fn target(&self) -> &Version {
        match self {
            Course::Up { target, .. } | Course::Down { target } => target,
        }
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        match self {
            Course::Up { .. } => Direction::Up,
            Course::Down { .. } => Direction::Down,
        }
    }

    /// The versions to walk over, in order, with their steps for a type, in order.
    pub(super) fn legs(&self, table_type: TableType) -> Vec<Leg> {
        let leg = |migration: &'static Migration| Leg {
            version: migration.version.clone(),
            steps: migration.steps(table_type).iter().collect(),
        };
        match self {
            Course::Up { target, .. } => MIGRATIONS.iter().filter(|m| m.version <= *target).map(leg).collect(),
            Course::Down { target } => MIGRATIONS
                .iter()
                .rev()
                .filter(|m| m.version > *target)
                .map(leg)
                .map(|mut leg| {
                    leg.steps.reverse();
                    leg
                })
                .collect(),
        }
    }
}

/// A version's steps for a table.
pub(super) struct Leg {
    pub(super) version: Version,
    pub(super) steps: Vec<&'static Step>,
}
