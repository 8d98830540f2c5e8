//! Who holds a lock that was waited for.

use crate::backend::Row;

/// What a statement may have waited for: modes of locks that others hold; `None` for one that waits for nothing, and is no news.
pub fn conflicting(sql: &str) -> Option<&'static str> {
    let word = sql.split_whitespace().next().unwrap_or_default();
    Some(match word {
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "SET" | "RESET" => return None,
        "SELECT" | "WITH" => "AccessExclusiveLock",
        // Rows have locks of their own, which tables do not tell apart.
        "INSERT" | "UPDATE" | "DELETE" => {
            "AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock,RowExclusiveLock,RowShareLock"
        }
        "LOCK" | "CREATE" => {
            "AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock,RowExclusiveLock"
        }
        _ => {
            "AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock,RowExclusiveLock,RowShareLock,\
             AccessShareLock"
        }
    })
}

/// The session `a` in words.
macro_rules! session {
    () => {
        "'pid ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), 'no application_name') || ', ' \
           || coalesce(a.state, 'unknown') || ', for ' \
           || coalesce(round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start)))::text, '?') || ' s)'"
    };
}

/// Holders of locks on tables of the schema $1, all or those of the lines of $2, in one of the modes $3: the strongest first.
pub const BLOCKERS: &str = concat!(
    "SELECT ",
    session!(),
    " FROM pg_stat_activity a JOIN ( \
        SELECT l.pid, min(array_position(string_to_array($3, ','), l.mode)) AS strength FROM pg_locks l \
        JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE l.granted AND l.pid <> pg_backend_pid() AND l.mode = ANY (string_to_array($3, ',')) \
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
          AND CASE WHEN $2 = '' THEN n.nspname = $1 ELSE c.oid IN (SELECT to_regclass(t) FROM unnest(string_to_array($2, E'\\n')) t) END \
        GROUP BY l.pid) l ON l.pid = a.pid ORDER BY l.strength, a.xact_start LIMIT 5"
);

/// Those whom the statement with the tag $1 waits for.
pub const WAITED_FOR: &str = concat!(
    "SELECT ",
    session!(),
    " FROM pg_stat_activity a WHERE a.pid IN ( \
        SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w \
        WHERE w.pid <> pg_backend_pid() AND w.wait_event_type = 'Lock' AND strpos(w.query, $1) > 0) \
      ORDER BY a.xact_start LIMIT 5"
);

/// The sessions of an answer, as a list.
pub fn named(rows: Vec<Row>) -> Option<String> {
    let named: Vec<String> = rows.into_iter().flatten().flatten().collect();
    (!named.is_empty()).then(|| named.join(", "))
}
