//! Every schema version and what it wants of each table type. To add one, append it.
//!
//! Source: `agno/db/migrations/versions/` and the `schemas.py` of Agno 3.1.10 (2.9.0 for culture), checked against tables
//! that releases made themselves: where a release's migration and its fresh table differ, the fresh table is right.

use super::step::{
    Column, ColumnType, Condition, Index, Move, Retype, Step,
    Step::{AddColumn, CreateIndex, CreateTable, MoveKey, PrimaryKey, Retire},
    parsed, text, widened,
};
use super::tables::{RUNS, TableType, TableType::*};
use semver::Version;

/// One schema version.
#[derive(Debug)]
pub struct Migration {
    /// Its number, as Agno stamps it.
    pub version: Version,
    /// What it wants, by table type; a type that is not listed stays as it was.
    pub tables: &'static [(TableType, &'static [Step])],
}

const fn version(major: u64, minor: u64, patch: u64, tables: &'static [(TableType, &'static [Step])]) -> Migration {
    Migration { version: Version::new(major, minor, patch), tables }
}

const fn on(table_type: TableType, steps: &'static [Step]) -> (TableType, &'static [Step]) {
    (table_type, steps)
}

/// A row belongs to a user.
const OWNED: &[Step] = &[AddColumn(text("user_id")), CreateIndex(Index::on(&["user_id"]))];

const MEMORY_TYPES: &[Retype] = &[parsed("memory"), parsed("topics"), widened("input")];

const SESSION_TYPES: &[Retype] = &[
    parsed("session_data"),
    parsed("agent_data"),
    parsed("team_data"),
    parsed("workflow_data"),
    parsed("metadata"),
    parsed("runs"),
    parsed("summary"),
];

/// Every schema version, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    version(2, 0, 0, &[]),
    version(
        2,
        3,
        0,
        &[
            on(
                Memories,
                &[
                    Step::Retype(MEMORY_TYPES),
                    AddColumn(Column::new("created_at", ColumnType::BigInt).filled("coalesce(updated_at, {now})")),
                    AddColumn(Column::new("feedback", ColumnType::Text)),
                    CreateIndex(Index::on(&["created_at"])),
                ],
            ),
            on(Sessions, &[Step::Retype(SESSION_TYPES)]),
            on(Metrics, &[Step::Retype(&[parsed("token_metrics"), parsed("model_metrics")])]),
            on(Evals, &[Step::Retype(&[parsed("eval_data"), parsed("eval_input")])]),
            on(Knowledge, &[Step::Retype(&[parsed("metadata"), widened("description"), widened("status_message")])]),
            on(Culture, &[Step::Retype(&[widened("input"), widened("summary")])]),
        ],
    ),
    version(2, 5, 0, &[on(Sessions, &[PrimaryKey { column: "session_id", unique: "uq_session_id" }])]),
    version(2, 5, 6, &[on(Approvals, &[AddColumn(text("run_status")), CreateIndex(Index::on(&["run_status"]))])]),
    version(
        3,
        0,
        0,
        &[
            on(
                Sessions,
                &[
                    CreateTable(&RUNS),
                    Step::Move(Move::Runs),
                    Step::Move(Move::Encoding),
                    Retire(Column::new("runs", ColumnType::Jsonb)),
                ],
            ),
            on(
                Metrics,
                &[
                    AddColumn(text("user_id").filled("''")),
                    // The key moves before the index: the other order deadlocks two replicas.
                    MoveKey {
                        from: Index::key("uq_metrics_date_period", &["date", "aggregation_period"]),
                        to: Index::key("uq_metrics_user_date_period", &["user_id", "date", "aggregation_period"]),
                    },
                    // Behind the key: the column may have been there, and the day goes when either comes.
                    Step::Move(Move::OpenDay),
                    Step::Move(Move::OwnedRows),
                    CreateIndex(Index::on(&["user_id"])),
                ],
            ),
            on(Evals, OWNED),
            on(
                Knowledge,
                &[
                    AddColumn(text("user_id")),
                    CreateIndex(Index::on(&["user_id"])),
                    CreateIndex(Index::on(&["user_id", "linked_to"])),
                ],
            ),
            on(Components, OWNED),
            on(
                Schedules,
                &[
                    AddColumn(text("user_id")),
                    AddColumn(text("managed_by")),
                    AddColumn(text("target_type")),
                    AddColumn(text("target_id")),
                    AddColumn(text("created_by_run_id")),
                    AddColumn(text("created_by_session_id")),
                    AddColumn(text("updated_by_run_id")),
                    AddColumn(text("updated_by_session_id")),
                    AddColumn(text("disabled_reason")),
                    CreateIndex(Index::on(&["user_id"])),
                    CreateIndex(Index::on(&["managed_by"])),
                    CreateIndex(Index::on(&["target_id"])),
                    CreateIndex(Index::on(&["user_id", "enabled", "next_run_at"])),
                    CreateIndex(Index::unique_where("uq_user_name", &["user_id", "name"], Condition::NotNull("user_id"))),
                    CreateIndex(Index::unique_where("uq_unowned_name", &["name"], Condition::Null("user_id"))),
                ],
            ),
            on(ScheduleRuns, OWNED),
            on(Learnings, &[Step::Move(Move::EntityKeys)]),
            on(Vectors, &[AddColumn(text("user_id")), CreateIndex(Index::on(&["user_id"]).apart())]),
        ],
    ),
];

impl Migration {
    /// What it wants of a table type.
    pub fn steps(&self, table_type: TableType) -> &'static [Step] {
        self.tables.iter().find(|(of, _)| *of == table_type).map_or(&[], |(_, steps)| steps)
    }
}

/// The oldest schema version: what a database without stamps is on.
pub fn oldest() -> &'static Version {
    &MIGRATIONS[0].version
}

/// The newest schema version.
pub fn newest() -> &'static Version {
    &MIGRATIONS[MIGRATIONS.len() - 1].version
}
