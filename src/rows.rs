//! The moves of rows, as far as they are the same on every database.

use crate::archive::Archive;
use crate::backend::{Backend, Moved, Value};
use crate::convert::learnings::{self, EntityRow, Fate};
use crate::discover::{Found, Survey};
use crate::plan::Over;
use crate::progress::Progress;
use crate::schema::tables::{ARCHIVE_TABLE, TableType};
use crate::schema::{Column, ColumnType, Direction, Move, Shape};
use anyhow::Result;

/// What a move did, and how to say it.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The counts.
    pub moved: Moved,
    /// What the counts are of.
    pub what: Counted,
    /// What the user should know besides.
    pub warnings: Vec<String>,
    /// What may be worth knowing.
    pub notes: Vec<String>,
}

/// What a move counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// Runs.
    #[default]
    Runs,
    /// Days of metrics that were deleted.
    ClearedDays,
    /// Rows that came back from the archive.
    Restored,
    /// Rows that went to the archive.
    Archived,
    /// Entity memories.
    Learnings,
}

/// When a run began, and when the app last changed it.
const CREATED_AT: Column = Column::new("created_at", ColumnType::BigInt);
const UPDATED_AT: Column = Column::new("updated_at", ColumnType::BigInt);

/// What a row of the runs table says that its run does not, with the rows of which the split would say something else: when
/// it began, where neither it nor its session says so; when the app last changed it; whose it is, where that is not its session's
/// user; its place, where earlier ones were deleted.
const OF_ROWS: [(Column, &str); 4] = [
    (
        CREATED_AT,
        "created_at IS DISTINCT FROM coalesce({said}, (SELECT s.created_at FROM {sessions} s WHERE s.session_id = {runs}.session_id))",
    ),
    (UPDATED_AT, "(updated_at IS NULL OR updated_at <> created_at)"),
    (
        Column::new("user_id", ColumnType::Varchar),
        "user_id IS DISTINCT FROM (SELECT s.user_id FROM {sessions} s WHERE s.session_id = {runs}.session_id)",
    ),
    (
        Column::new(PLACE, ColumnType::BigInt),
        "session_id IN (SELECT i.session_id FROM {runs} i GROUP BY i.session_id \
           HAVING count(i.run_index) <> count(*) OR count(DISTINCT i.run_index) <> count(*) OR min(i.run_index) <> 0 \
             OR max(i.run_index) <> count(*) - 1)",
    ),
];

/// The place of a run in its session.
const PLACE: &str = "run_index";

/// Forgets the archived places of sessions that have got runs since: the older app has put those behind the others in the list,
/// whose places have no holes.
fn forget_places(backend: &mut dyn Backend, runs: &str) -> Result<()> {
    let (own, archive) = (backend.dialect().table(runs), backend.dialect().table(ARCHIVE_TABLE));
    let sql = format!(
        "DELETE FROM {archive} WHERE table_name = $1 AND column_name = '{PLACE}' AND row_key IN ( \
           SELECT r.run_id FROM {own} r WHERE r.session_id IN ( \
             SELECT x.session_id FROM {own} x \
             JOIN {archive} a ON a.table_name = $1 AND a.column_name = '{PLACE}' AND a.row_key = x.run_id \
             GROUP BY x.session_id HAVING count(*) < (SELECT count(*) FROM {own} y WHERE y.session_id = x.session_id)))"
    );
    backend.execute(&sql, &[runs.into()]).map(|_| ())
}

/// Whether a column of a runs table is archived beside the list of its session.
pub fn is_of_rows(column: &str) -> bool {
    OF_ROWS.iter().any(|(of_rows, _)| of_rows.name == column)
}

/// Does a move.
pub fn apply(
    backend: &mut dyn Backend,
    rows: Move,
    direction: Direction,
    table: &Found,
    shape: &Shape,
    survey: &Survey,
    progress: &mut dyn Progress,
) -> Result<Applied> {
    let runs = table.runs.as_deref().unwrap_or_default();
    let of = |what: Counted, moved: Moved| Applied { moved, what, ..Applied::default() };
    let count = |rows: u64| Moved { moved: rows, ..Moved::default() };
    Ok(match (rows, direction) {
        (Move::Runs, Direction::Up) => {
            let mut archive = Archive { backend, table_type: TableType::Runs, table: runs };
            for (column, _) in &OF_ROWS {
                // What Agno 3 has written already counts.
                if archive.has(column)? {
                    archive.give_way(column)?;
                }
            }
            let moved = archive.backend.split_runs(&table.name, runs, progress)?;
            for (column, _) in &OF_ROWS {
                if archive.has(column)? {
                    if column.name == PLACE {
                        forget_places(archive.backend, runs)?;
                    }
                    archive.restore(column, Over::All)?;
                }
            }
            of(Counted::Runs, moved)
        }
        (Move::Runs, Direction::Down) => {
            let dialect = backend.dialect();
            let (sessions, own, said) =
                (dialect.table(&table.name), dialect.table(runs), dialect.run_created_at("run_data"));
            let mut archive = Archive { backend, table_type: TableType::Runs, table: runs };
            for (column, rows) in &OF_ROWS {
                let rows = rows.replace("{sessions}", &sessions).replace("{runs}", &own).replace("{said}", &said);
                if archive.keep_all_of(column, &rows)? > 0 && *column == CREATED_AT {
                    // The split would write both times the same.
                    archive.keep_all_of(&UPDATED_AT, &rows)?;
                }
            }
            of(Counted::Runs, backend.join_runs(&table.name, runs, progress)?)
        }
        (Move::Encoding, Direction::Down) => {
            backend.encode_sessions(&table.name)?;
            Applied::default()
        }
        (Move::OpenDay, Direction::Up) => clear_open_day(backend, table, survey)?,
        (Move::OwnedRows, Direction::Up) => {
            let mut archive = Archive { backend, table_type: table.table_type, table: &table.name };
            let (restored, stay) = archive.restore_rows(shape)?;
            let mut applied = of(Counted::Restored, count(restored));
            for id in stay {
                applied.moved.leave(&id, None, "the app wrote a row in its place: it stays in the archive");
            }
            applied
        }
        (Move::OwnedRows, Direction::Down) => {
            let mut archive = Archive { backend, table_type: table.table_type, table: &table.name };
            of(Counted::Archived, count(archive.keep_owned_rows(shape)?))
        }
        (Move::EntityKeys, Direction::Up) => move_entity_keys(backend, &table.name)?,
        (Move::Encoding, Direction::Up) | (Move::OpenDay | Move::EntityKeys, Direction::Down) => Applied::default(),
    })
}

/// Whether a sessions table has anything in its column `runs`.
pub fn any_runs(backend: &mut dyn Backend, sessions: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {} WHERE runs IS NOT NULL LIMIT 1", backend.dialect().table(sessions));
    Ok(!backend.query(&sql, &[])?.is_empty())
}

/// The newest day of a metrics table when it is unfinished, unowned and later than every finished day: its date. `owned`:
/// the table has a column for owners.
///
/// Source: `_drop_incomplete_metrics_rows` in `agno/db/migrations/versions/v3_0_0.py` of Agno 3.1.10.
pub fn open_day(backend: &mut dyn Backend, metrics: &str, owned: bool) -> Result<Option<String>> {
    let table = backend.dialect().table(metrics);
    let unowned = if owned { "(user_id = '' OR user_id IS NULL)" } else { "true" };
    let sql = format!(
        "SELECT DISTINCT {} FROM {table} m WHERE NOT m.completed AND {unowned} AND m.date = (SELECT max(date) FROM {table}) \
         AND NOT EXISTS (SELECT 1 FROM {table} f WHERE f.completed AND f.date >= m.date)",
        backend.dialect().as_text("m.date")
    );
    Ok(backend.query(&sql, &[])?.into_iter().flatten().flatten().next())
}

/// The app computes the day again from its sessions. Without any left the row is all there is: it stays.
fn clear_open_day(backend: &mut dyn Backend, table: &Found, survey: &Survey) -> Result<Applied> {
    let mut applied = Applied { what: Counted::ClearedDays, ..Applied::default() };
    let Some(day) = open_day(backend, &table.name, true)? else { return Ok(applied) };
    let metrics = backend.dialect().table(&table.name);
    let begins = backend.day_begins("m.date");
    let mut any_session = false;
    for sessions in survey.found.iter().filter(|found| found.table_type == TableType::Sessions) {
        let sql = format!(
            "SELECT 1 FROM {metrics} m, {} s WHERE m.date = (SELECT max(date) FROM {metrics}) \
             AND s.created_at >= {begins} AND s.created_at < {begins} + 86400 LIMIT 1",
            backend.dialect().table(&sessions.name)
        );
        any_session |= !backend.query(&sql, &[])?.is_empty();
    }
    if any_session {
        let sql = format!(
            "DELETE FROM {metrics} WHERE NOT completed AND (user_id = '' OR user_id IS NULL) \
             AND date = (SELECT max(date) FROM {metrics})"
        );
        applied.moved.moved = backend.execute(&sql, &[])?;
    } else {
        applied.notes.push(format!("the open day {day} stays: no session of it is left to compute it again from"));
    }
    Ok(applied)
}

/// Entity memories of namespace `user` that are on a shared key, or whose key cannot be told.
fn on_shared_keys() -> String {
    format!(
        "learning_type = '{}' AND namespace = 'user' AND (coalesce(entity_type, '') = '' OR coalesce(entity_id, '') = '' \
         OR learning_id = 'entity_user_' || entity_type || '_' || entity_id)",
        learnings::ENTITY_MEMORY
    )
}

/// Whether there are entity memories to move; with [`Shared::Any`] also those that will have to stay, to be told.
pub fn any_shared_keys(backend: &mut dyn Backend, table: &str, shared: Shared) -> Result<bool> {
    let sql = format!("{} LIMIT 1", of_shared_keys(backend, table, shared));
    Ok(!backend.query(&sql, &[])?.is_empty())
}

/// The entity memories on shared keys that could move: at a version that wants them moved there are none.
pub fn on_shared_keys_still(backend: &mut dyn Backend, table: &str) -> Result<Vec<String>> {
    let sql = format!("{} ORDER BY learning_id LIMIT 1000", of_shared_keys(backend, table, Shared::Movable));
    Ok(backend.query(&sql, &[])?.into_iter().flatten().flatten().collect())
}

fn of_shared_keys(backend: &mut dyn Backend, table: &str, shared: Shared) -> String {
    let dialect = backend.dialect();
    let movable = match shared {
        Shared::Any => String::new(),
        Shared::Movable => format!(
            " AND coalesce(entity_type, '') <> '' AND coalesce(entity_id, '') <> '' AND coalesce(user_id, '') <> '' AND {}",
            dialect.is_object("content")
        ),
    };
    format!("SELECT learning_id FROM {} WHERE {}{movable}", dialect.table(table), on_shared_keys())
}

/// Which entity memories on shared keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// All.
    Any,
    /// Those that have an owner, and content that tells who wrote it.
    Movable,
}

fn move_entity_keys(backend: &mut dyn Backend, table: &str) -> Result<Applied> {
    let dialect = backend.dialect();
    let own = dialect.table(table);
    let mut applied = Applied { what: Counted::Learnings, ..Applied::default() };
    let content = dialect.as_text("content");
    let next = format!(
        "SELECT learning_id, coalesce(entity_type, ''), coalesce(entity_id, ''), coalesce(user_id, ''), {content} FROM {own} \
         WHERE {} AND learning_id > $1 ORDER BY learning_id LIMIT 1",
        on_shared_keys()
    );
    let mut last = String::new();
    // Row by row: contents may be large, and few databases have any of these.
    while let Some(row) = backend.query(&next, &[last.as_str().into()])?.pop() {
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        let mut column = || columns.next().unwrap_or_default();
        let (id, entity_type, entity_id, owner, content) = (column(), column(), column(), column(), column());
        last.clone_from(&id);
        let row = EntityRow { entity_type: &entity_type, entity_id: &entity_id, owner: &owner, content: &content };
        match learnings::fate(&row) {
            Fate::Stays(why) => applied.moved.leave(&id, None, why),
            Fate::Quarantined(key) => {
                if has_row(backend, &own, &key)? {
                    applied.moved.leave(&id, None, format!("holds data of two users, and {key} is there already"));
                    continue;
                }
                let sql = format!("UPDATE {own} SET learning_id = $1, namespace = $2 WHERE learning_id = $3");
                backend.execute(&sql, &[key.as_str().into(), learnings::QUARANTINE.into(), id.as_str().into()])?;
                applied.moved.moved += 1;
                applied.warnings.push(format!(
                    "{table}: {id} held data of another user than its owner; it is now {key}, which no agent reads"
                ));
            }
            Fate::Owned(key) if has_row(backend, &own, &key)? => {
                if merge_rows(backend, &own, &id, &key, &content)? {
                    applied.moved.moved += 1;
                    applied.notes.push(format!("{table}: {id} was merged into {key}"));
                } else {
                    applied.moved.leave(&id, None, format!("cannot be merged into {key}, which is there already"));
                }
            }
            Fate::Owned(key) => {
                let sql = format!("UPDATE {own} SET learning_id = $1 WHERE learning_id = $2");
                backend.execute(&sql, &[key.as_str().into(), id.as_str().into()])?;
                applied.moved.moved += 1;
            }
        }
    }
    Ok(applied)
}

fn has_row(backend: &mut dyn Backend, own: &str, key: &str) -> Result<bool> {
    Ok(!backend.query(&format!("SELECT 1 FROM {own} WHERE learning_id = $1"), &[key.into()])?.is_empty())
}

/// Merges a row into the one that has its key: what that one lacks comes from the row that moves, the older created_at and
/// the newer updated_at stay.
fn merge_rows(backend: &mut dyn Backend, own: &str, moving: &str, having: &str, content: &str) -> Result<bool> {
    let dialect = backend.dialect();
    let there = backend
        .query(&format!("SELECT {} FROM {own} WHERE learning_id = $1", dialect.as_text("content")), &[having.into()])?;
    let there = there.into_iter().flatten().flatten().next().unwrap_or_default();
    let Some(merged) = learnings::merge(content, &there) else { return Ok(false) };
    let moving_column = |column: &str| format!("(SELECT m.{column} FROM {own} m WHERE m.learning_id = $3)");
    let filled = ["agent_id", "team_id", "workflow_id", "session_id"]
        .map(|column| format!("{column} = coalesce({column}, {})", moving_column(column)))
        .join(", ");
    // JSON null is no metadata either.
    let metadata = format!(
        "CASE WHEN coalesce({}, 'null') = 'null' THEN {} ELSE metadata END",
        dialect.as_text("metadata"),
        moving_column("metadata")
    );
    let (created, updated) = (moving_column("created_at"), moving_column("updated_at"));
    let sql = format!(
        "UPDATE {own} SET content = {}, {filled}, metadata = {metadata}, \
           created_at = CASE WHEN {created} < created_at THEN {created} ELSE created_at END, \
           updated_at = CASE WHEN updated_at IS NULL OR {updated} > updated_at THEN {updated} ELSE updated_at END \
         WHERE learning_id = $2",
        dialect.of_text("$1")
    );
    let values: [Value; 3] = [merged.as_str().into(), having.into(), moving.into()];
    backend.execute(&sql, &values)?;
    backend.execute(&format!("DELETE FROM {own} WHERE learning_id = $1"), &[moving.into()])?;
    Ok(true)
}
