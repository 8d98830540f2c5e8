//! The table types of Agno: their names, how one is recognised, and the tables a migration creates.

use super::step::{Column, ColumnType, Index, required, text};
use serde::{Serialize, Serializer};
use std::fmt;

/// A kind of table that Agno keeps. Its name is the word of `--only`, `--table`, the reports and the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableType {
    /// What the agents remember of a user.
    Memories,
    /// One row per conversation.
    Sessions,
    /// One row per run of a conversation, since schema 3.0.0.
    Runs,
    /// Usage per day.
    Metrics,
    /// Evaluation results.
    Evals,
    /// Documents of the knowledge base.
    Knowledge,
    /// Cultural knowledge, Agno 2.1.10 to 2.9.
    Culture,
    /// Requests for a human's approval.
    Approvals,
    /// Agents, teams and workflows built in a UI.
    Components,
    /// Recurring runs.
    Schedules,
    /// What the recurring runs did.
    ScheduleRuns,
    /// What the learning stores keep.
    Learnings,
    /// Embedded documents, of the class PgVector. Agno does not stamp them.
    Vectors,
}

/// How a table of a type is recognised and called.
#[derive(Debug)]
pub struct Known {
    /// The type described.
    pub table_type: TableType,
    /// The word used for it everywhere.
    pub word: &'static str,
    /// The name Agno gives it unless the app chose another; empty when the app always does.
    pub default_name: &'static str,
    /// Its primary key.
    pub key: &'static [&'static str],
    /// The other columns that every release gave it, from the first one on (sessions: without `runs`, which may be dropped).
    pub columns: &'static [&'static str],
    /// The first Agno release that had it.
    pub since: &'static str,
}

/// Every table type, in the order in which tables are migrated and reported.
/// Source: `agno/db/sqlite/schemas.py` and `agno/db/postgres/schemas.py` of the release in `since`.
pub const KNOWN: &[Known] = &[
    Known {
        table_type: TableType::Memories,
        word: "memories",
        default_name: "agno_memories",
        key: &["memory_id"],
        columns: &["memory", "input", "agent_id", "team_id", "user_id", "topics", "updated_at"],
        since: "2.0.0",
    },
    Known {
        table_type: TableType::Sessions,
        word: "sessions",
        default_name: "agno_sessions",
        key: &["session_id"],
        columns: &[
            "session_type",
            "agent_id",
            "team_id",
            "workflow_id",
            "user_id",
            "session_data",
            "agent_data",
            "team_data",
            "workflow_data",
            "metadata",
            "summary",
            "created_at",
            "updated_at",
        ],
        since: "2.0.0",
    },
    Known {
        table_type: TableType::Runs,
        word: "runs",
        default_name: "agno_runs",
        key: &["run_id"],
        columns: &[
            "session_id",
            "run_type",
            "agent_id",
            "team_id",
            "workflow_id",
            "user_id",
            "parent_run_id",
            "status",
            "run_index",
            "run_data",
            "created_at",
            "updated_at",
        ],
        since: "3.0.0",
    },
    Known {
        table_type: TableType::Metrics,
        word: "metrics",
        default_name: "agno_metrics",
        key: &["id"],
        columns: &[
            "agent_runs_count",
            "team_runs_count",
            "workflow_runs_count",
            "agent_sessions_count",
            "team_sessions_count",
            "workflow_sessions_count",
            "users_count",
            "token_metrics",
            "model_metrics",
            "date",
            "aggregation_period",
            "created_at",
            "updated_at",
            "completed",
        ],
        since: "2.0.0",
    },
    Known {
        table_type: TableType::Evals,
        word: "evals",
        default_name: "agno_eval_runs",
        key: &["run_id"],
        columns: &[
            "eval_type",
            "eval_data",
            "eval_input",
            "name",
            "agent_id",
            "team_id",
            "workflow_id",
            "model_id",
            "model_provider",
            "evaluated_component_name",
            "created_at",
            "updated_at",
        ],
        since: "2.0.0",
    },
    Known {
        table_type: TableType::Knowledge,
        word: "knowledge",
        default_name: "agno_knowledge",
        key: &["id"],
        columns: &[
            "name",
            "description",
            "metadata",
            "type",
            "size",
            "linked_to",
            "access_count",
            "status",
            "status_message",
            "created_at",
            "updated_at",
        ],
        since: "2.0.0",
    },
    Known {
        table_type: TableType::Culture,
        word: "culture",
        default_name: "agno_culture",
        key: &["id"],
        columns: &["name", "summary", "content", "metadata", "input", "created_at", "updated_at", "agent_id", "team_id"],
        since: "2.1.10",
    },
    Known {
        table_type: TableType::Approvals,
        word: "approvals",
        default_name: "agno_approvals",
        key: &["id"],
        columns: &[
            "run_id",
            "session_id",
            "status",
            "source_type",
            "approval_type",
            "pause_type",
            "tool_name",
            "tool_args",
            "expires_at",
            "agent_id",
            "team_id",
            "workflow_id",
            "user_id",
            "schedule_id",
            "schedule_run_id",
            "source_name",
            "requirements",
            "context",
            "resolution_data",
            "resolved_by",
            "resolved_at",
            "created_at",
            "updated_at",
        ],
        since: "2.5.0",
    },
    Known {
        table_type: TableType::Components,
        word: "components",
        default_name: "agno_components",
        key: &["component_id"],
        columns: &[
            "component_type",
            "name",
            "description",
            "current_version",
            "metadata",
            "created_at",
            "updated_at",
            "deleted_at",
        ],
        since: "2.4.0",
    },
    Known {
        table_type: TableType::Schedules,
        word: "schedules",
        default_name: "agno_schedules",
        key: &["id"],
        columns: &[
            "name",
            "description",
            "method",
            "endpoint",
            "payload",
            "cron_expr",
            "timezone",
            "timeout_seconds",
            "max_retries",
            "retry_delay_seconds",
            "enabled",
            "next_run_at",
            "locked_by",
            "locked_at",
            "created_at",
            "updated_at",
        ],
        since: "2.5.0",
    },
    Known {
        table_type: TableType::ScheduleRuns,
        word: "schedule_runs",
        default_name: "agno_schedule_runs",
        key: &["id"],
        columns: &[
            "schedule_id",
            "attempt",
            "triggered_at",
            "completed_at",
            "status",
            "status_code",
            "run_id",
            "session_id",
            "error",
            "input",
            "output",
            "requirements",
            "created_at",
        ],
        since: "2.5.0",
    },
    Known {
        table_type: TableType::Learnings,
        word: "learnings",
        default_name: "agno_learnings",
        key: &["learning_id"],
        columns: &[
            "learning_type",
            "namespace",
            "user_id",
            "agent_id",
            "team_id",
            "workflow_id",
            "session_id",
            "entity_id",
            "entity_type",
            "content",
            "metadata",
            "created_at",
            "updated_at",
        ],
        since: "2.3.25",
    },
    // Source: `get_table_v1` in `agno/vectordb/pgvector/pgvector.py`.
    Known {
        table_type: TableType::Vectors,
        word: "vectors",
        default_name: "",
        key: &["id"],
        columns: &["name", "meta_data", "filters", "content", "embedding", "usage", "content_hash", "content_id"],
        since: "2.0.0",
    },
];

/// A table that a migration creates, in full.
#[derive(Debug, PartialEq)]
pub struct NewTable {
    /// Its columns, in Agno's order.
    pub columns: &'static [Column],
    /// Its primary key.
    pub key: &'static str,
    /// The column that names a row of the parent table by its key, where there is one; rows go with their parent.
    pub parent_column: Option<&'static str>,
    /// The suffix of the unique key that stands for the primary key where tables had none at first (PostgreSQL, sessions).
    pub unique: Option<&'static str>,
    /// Its indexes besides the key.
    pub indexes: &'static [Index],
}

impl NewTable {
    /// What Agno calls the key of such a table.
    pub fn key_name(&self, table: &str) -> String {
        format!("{table}_{}", self.unique.unwrap_or("pkey"))
    }
}

/// The runs table, as Agno 3.1.10 makes it. Source: `_get_run_table_schema` in `agno/db/sqlite/schemas.py` and
/// `agno/db/postgres/schemas.py`.
pub const RUNS: NewTable = NewTable {
    columns: &[
        required("run_id", ColumnType::Varchar),
        required("session_id", ColumnType::Varchar),
        required("run_type", ColumnType::Varchar),
        text("agent_id"),
        text("team_id"),
        text("workflow_id"),
        text("user_id"),
        text("parent_run_id"),
        text("status"),
        Column::new("run_index", ColumnType::BigInt),
        required("run_data", ColumnType::Jsonb),
        required("created_at", ColumnType::BigInt),
        Column::new("updated_at", ColumnType::BigInt),
    ],
    key: "run_id",
    parent_column: Some("session_id"),
    unique: None,
    indexes: &[
        Index::on(&["session_id"]),
        Index::on(&["run_type"]),
        Index::on(&["agent_id"]),
        Index::on(&["team_id"]),
        Index::on(&["workflow_id"]),
        Index::on(&["user_id"]),
        Index::on(&["status"]),
        Index::on(&["created_at"]),
        Index::on(&["session_id", "run_index"]),
    ],
};

/// The sessions table as Agno 2.0 made it; `up` takes it to any other version. Source: `agno/db/sqlite/schemas.py` and
/// `agno/db/postgres/schemas.py` of 2.0.11.
pub const SESSIONS: NewTable = NewTable {
    columns: &[
        required("session_id", ColumnType::Varchar),
        required("session_type", ColumnType::Varchar),
        text("agent_id"),
        text("team_id"),
        text("workflow_id"),
        text("user_id"),
        Column::new("session_data", ColumnType::Json),
        Column::new("agent_data", ColumnType::Json),
        Column::new("team_data", ColumnType::Json),
        Column::new("workflow_data", ColumnType::Json),
        Column::new("metadata", ColumnType::Json),
        Column::new("runs", ColumnType::Json),
        Column::new("summary", ColumnType::Json),
        required("created_at", ColumnType::BigInt),
        Column::new("updated_at", ColumnType::BigInt),
    ],
    key: "session_id",
    parent_column: None,
    unique: Some("uq_session_id"),
    indexes: &[Index::on(&["session_type"]), Index::on(&["created_at"])],
};

/// The memories table as Agno 2.0 made it. Source: as for [`SESSIONS`].
pub const MEMORIES: NewTable = NewTable {
    columns: &[
        required("memory_id", ColumnType::Varchar),
        required("memory", ColumnType::Json),
        text("input"),
        text("agent_id"),
        text("team_id"),
        text("user_id"),
        Column::new("topics", ColumnType::Json),
        Column::new("updated_at", ColumnType::BigInt),
    ],
    key: "memory_id",
    parent_column: None,
    unique: None,
    indexes: &[Index::on(&["user_id"]), Index::on(&["updated_at"])],
};

impl TableType {
    /// How it is recognised and called.
    pub fn known(self) -> &'static Known {
        // KNOWN has an entry per variant, in their order; a test in tests/declarations.rs holds that.
        &KNOWN[self as usize]
    }

    /// The word for it: `schedule_runs`.
    pub fn word(self) -> &'static str {
        self.known().word
    }

    /// Whether Agno keeps a version for tables of it; without one only the shape tells.
    pub fn is_stamped(self) -> bool {
        self != TableType::Vectors
    }

    /// The type a word stands for, if any.
    pub fn from_word(word: &str) -> Option<TableType> {
        KNOWN.iter().find(|known| known.word == word).map(|known| known.table_type)
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for TableType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// The name of the runs table of a sessions table. Source: `BaseDb.__init__` in `agno/db/base.py` of 3.1.10.
pub fn runs_name(sessions: &str) -> String {
    if sessions == TableType::Sessions.known().default_name {
        TableType::Runs.known().default_name.to_owned()
    } else {
        format!("{sessions}_runs")
    }
}

/// Where Agno keeps the schema version of each table, unless the app chose another name.
pub const VERSIONS_TABLE: &str = "agno_schema_versions";

/// Where a `down` keeps the values that the older schema has no place for.
pub const ARCHIVE_TABLE: &str = "agno_migrate_archive";
