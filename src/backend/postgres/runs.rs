//! The move of runs inside the server: no run leaves it, either way.

use super::client::Client;
use super::dialect::Postgres;
use super::json::ABOUT_DATA;
use super::sharing;
use crate::backend::{Dialect, LEFT_NAMED, Moved, Row};
use crate::progress::{Event, Progress};
use anyhow::Result;

/// The most one JSONB value may hold in an array, in bytes, less what the entries themselves take.
const LARGEST_LIST: i64 = 255 << 20;

/// A sessions table and its runs table, quoted.
pub struct Tables<'d> {
    dialect: &'d Postgres,
    /// The names as they are.
    pub(super) sessions_name: &'d str,
    runs_name: &'d str,
    pub(super) sessions: String,
    pub(super) runs: String,
}

/// A table filled without keys and indexes, next to which they are made again as they were.
struct Bare {
    constraints: Vec<(String, String)>,
    indexes: Vec<String>,
    required: Vec<String>,
}

/// What kind of run the object says it is; NULL: it does not. Source: `get_run_type` as `src/convert/runs/run.rs` has it.
pub(super) fn run_type(run: &str) -> String {
    // True as Python sees an id or a name.
    let filled =
        |key: String| format!("coalesce({run} -> '{key}', 'null') NOT IN ('null', '\"\"', 'false', '0', '[]', '{{}}')");
    let kinds = ["agent", "team", "workflow"]
        .map(|kind| format!("WHEN {} OR {} THEN '{kind}'", filled(format!("{kind}_id")), filled(format!("{kind}_name"))));
    format!("CASE {} END", kinds.join(" "))
}

impl<'d> Tables<'d> {
    /// Of these names.
    pub fn new(dialect: &'d Postgres, sessions: &'d str, runs: &'d str) -> Tables<'d> {
        Tables {
            dialect,
            sessions_name: sessions,
            runs_name: runs,
            sessions: dialect.table(sessions),
            runs: dialect.table(runs),
        }
    }

    /// Copies each element of the lists into a row.
    pub fn split(&self, client: &mut Client, progress: &mut dyn Progress) -> Result<Moved> {
        let total = client.one(&format!("SELECT count(*) FROM {}", self.sessions), &[])?.unwrap_or_default();
        progress.on(Event::Rows { name: self.sessions_name.to_owned(), total: total.parse().unwrap_or(0) });
        // Reads go on; what an app would write now would be missed.
        client.run(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", self.sessions))?;
        let mut moved = Moved::default();
        if self.is_new(client)? {
            // Filled bare, keys and indexes afterwards: three times as fast as into a table that has them.
            let bare = self.strip(client)?;
            client.run(&format!("DROP TABLE {}", self.runs))?;
            compress_fast(client)?;
            client.run(IN_TWO)?;
            let create = format!("CREATE TABLE {} AS {}", self.runs, self.rows());
            // A publication of all tables lets no row without a key be deleted.
            let deletable = format!("ALTER TABLE {} REPLICA IDENTITY FULL", self.runs);
            // Making columns required and building keys and indexes finds what cannot be a row, ids that two runs have and those
            // that are too long: no search for them in the usual case.
            let is_dressed = loop {
                moved = Moved { moved: client.execute(&create, &[])?, ..Moved::default() };
                client.run(ALONE)?;
                if client.attempt("23502 23505 54000", |client| self.dress(client, &bare))? {
                    break true;
                }
                client.run(&deletable)?;
                let broken = self.leave_broken(client, &self.runs, &mut moved)?;
                moved.moved -= broken;
                if broken == 0 || !self.decode(client)? {
                    break broken > 0 && client.attempt("23505 54000", |client| self.dress(client, &bare))?;
                }
                client.run(&format!("DROP TABLE {}; {IN_TWO}", self.runs))?;
            };
            if !is_dressed {
                moved.moved -= self.leave_twins(client, &self.runs, &mut moved)?;
                if !client.attempt("54000", |client| self.dress(client, &bare))? {
                    moved.moved -= self.leave_long(client, &self.runs, &mut moved)?;
                    // Indexes are built over rows that this transaction deleted, too: only writing the table anew leaves them out.
                    let anew = format!("ALTER TABLE {} ALTER COLUMN run_id TYPE varchar USING run_id || ''", self.runs);
                    client.run(&anew)?;
                    self.dress(client, &bare)?;
                }
            }
            // The table is another than the one that had them; what they tell was told of that.
            sharing::share(client, self.dialect, self.runs_name, self.sessions_name)?;
            sharing::limit(client, self.dialect, self.runs_name, self.sessions_name)?;
        } else {
            let rows = "pg_temp.agno_migrate_runs";
            let create = format!("CREATE TEMP TABLE agno_migrate_runs ON COMMIT DROP AS {}", self.rows());
            client.run(&create)?;
            while self.leave_broken(client, rows, &mut moved)? > 0 && self.decode(client)? {
                moved = Moved::default();
                client.run(&format!("DROP TABLE {rows}; {create}"))?;
            }
            self.leave_long(client, rows, &mut moved)?;
            self.leave_twins(client, rows, &mut moved)?;
            self.add(client, rows, &mut moved)?;
            client.run(&format!("DROP TABLE {rows}"))?;
        }
        // No ANALYZE: autovacuum does it within its minute, and sampling would hold the lock for a tenth longer.
        Ok(moved)
    }

    /// Whether the runs table was made in this transaction: nothing hangs on it that is not ours. Asked of the type of its rows:
    /// the entry of the table itself changes with an index or a replica identity, too. Another owner or name in this transaction
    /// would look the same, so that it has to be empty as well.
    fn is_new(&self, client: &mut Client) -> Result<bool> {
        let sql = "SELECT (t.xmin::text::bigint = (pg_current_xact_id()::text::bigint & 4294967295))::text \
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = c.reltype \
                   WHERE n.nspname = $1 AND c.relname = $2";
        Ok(client.one(sql, &[&self.dialect.schema, self.runs_name])?.as_deref() == Some("true")
            && client.one(&format!("SELECT 1::text FROM {} LIMIT 1", self.runs), &[])?.is_none())
    }

    /// The rows of all elements; those that cannot be rows have no run_id.
    pub(super) fn rows(&self) -> String {
        let id = |key: &str| {
            format!("CASE WHEN jsonb_typeof(e.run -> '{key}') IN ('string', 'number') THEN e.run ->> '{key}' END")
        };
        let created = format!("coalesce({}, s.created_at)", self.dialect.run_created_at("e.run"));
        // Nothing that keeps a part of it apart, such as OFFSET 0: that saves unpacking the list twice, and costs the second process.
        format!(
            "SELECT ({run_id})::varchar AS run_id, s.session_id::varchar AS session_id, \
                    coalesce({kind}, s.session_type)::varchar AS run_type, \
                    ({agent})::varchar AS agent_id, ({team})::varchar AS team_id, ({workflow})::varchar AS workflow_id, \
                    s.user_id::varchar AS user_id, ({parent})::varchar AS parent_run_id, \
                    (CASE WHEN jsonb_typeof(e.run -> 'status') = 'string' THEN e.run ->> 'status' END)::varchar AS status, \
                    e.n - 1 AS run_index, e.run AS run_data, {created} AS created_at, {created} AS updated_at \
             FROM {sessions} s CROSS JOIN LATERAL jsonb_array_elements( \
                    CASE jsonb_typeof(s.runs::jsonb) WHEN 'array' THEN s.runs::jsonb WHEN 'null' THEN '[]'::jsonb ELSE '[null]'::jsonb END \
                  ) WITH ORDINALITY AS e(run, n) \
             WHERE s.runs IS NOT NULL",
            kind = run_type("e.run"),
            run_id = id("run_id"),
            agent = id("agent_id"),
            team = id("team_id"),
            workflow = id("workflow_id"),
            parent = id("parent_run_id"),
            sessions = self.sessions,
        )
    }

    /// Takes out of the new rows what cannot be one, and names it; returns how many.
    fn leave_broken(&self, client: &mut Client, rows: &str, moved: &mut Moved) -> Result<u64> {
        let broken = format!(
            "DELETE FROM {rows} WHERE run_id IS NULL OR run_type IS NULL OR created_at IS NULL RETURNING session_id, run_index, \
               CASE WHEN jsonb_typeof(run_data) <> 'object' THEN 'is no object' WHEN run_id IS NULL THEN 'has no run_id' \
               ELSE 'it and its session lack created_at or a type, which a row needs' END AS why"
        );
        self.name_left(client, &broken, moved)
    }

    /// Lists that were encoded twice, as Agno 3 reads them too: the column gets the list itself. Looked for only when something
    /// was no list. Whether there were any.
    fn decode(&self, client: &mut Client) -> Result<bool> {
        let strings = format!(
            "SELECT session_id::text FROM {} WHERE runs IS NOT NULL AND jsonb_typeof(runs::jsonb) = 'string'",
            self.sessions
        );
        let inner = "(runs::jsonb #>> '{}')::jsonb";
        let decode =
            format!("UPDATE {} SET runs = {inner} WHERE session_id = $1 AND jsonb_typeof({inner}) = 'array'", self.sessions);
        let mut any = false;
        for session in client.query(&strings, &[])?.into_iter().flatten().flatten() {
            let mut decoded = 0;
            // A string that is no JSON stays.
            client.attempt(ABOUT_DATA, |client| {
                decoded = client.execute(&decode, &[session.as_str().into()])?;
                Ok(())
            })?;
            any |= decoded > 0;
        }
        Ok(any)
    }

    /// Takes out of the new rows those with ids that no index can hold, and names them; returns how many.
    fn leave_long(&self, client: &mut Client, rows: &str, moved: &mut Moved) -> Result<u64> {
        let sizes = ["run_id", "agent_id", "team_id", "workflow_id", "parent_run_id", "status"]
            .map(|column| format!("coalesce(octet_length({column}), 0)"));
        let long = format!(
            "DELETE FROM {rows} WHERE {} > {LONGEST_IDS} RETURNING session_id, run_index, 'has ids that are too long for an index' AS why",
            sizes.join(" + ")
        );
        self.name_left(client, &long, moved)
    }

    /// Notes rows that stay, which `left` answers with: session_id, run_index, why. Those that are named are fetched, in order; the
    /// others are counted where they are. Returns how many.
    fn name_left(&self, client: &mut Client, left: &str, moved: &mut Moved) -> Result<u64> {
        let sql = format!(
            "WITH l AS ({left}), named AS ( \
               SELECT l.*, count(*) OVER () AS total FROM l ORDER BY session_id COLLATE \"C\", run_index, why LIMIT {LEFT_NAMED}) \
             SELECT n.session_id::text, n.run_index, n.why::text, \
               (jsonb_typeof(s.runs::jsonb) IN ('array', 'null'))::text, n.total FROM named n \
             JOIN {} s ON s.session_id = n.session_id ORDER BY n.session_id COLLATE \"C\", n.run_index, n.why",
            self.sessions
        );
        let rows = client.query(&sql, &[])?;
        let mut count = 0_u64;
        for row in rows {
            let [Some(session), Some(index), Some(why), is_list, Some(total)] = row.as_slice() else { continue };
            count = total.parse().unwrap_or(0);
            if is_list.as_deref() == Some("true") {
                moved.leave(session, Some(format!("runs[{index}]")), why.as_str());
            } else {
                moved.leave(session, None, "its runs are no list");
            }
        }
        moved.left_count += count.saturating_sub(LEFT_NAMED as u64);
        Ok(count)
    }

    /// Takes out of the new rows those whose id another has: the first by (sessions.created_at, session_id, position) keeps it.
    /// Names them and returns how many.
    fn leave_twins(&self, client: &mut Client, rows: &str, moved: &mut Moved) -> Result<u64> {
        let losers = format!(
            "DELETE FROM {rows} r USING ( \
               SELECT r.ctid AS place, first_value(r.session_id) OVER w AS keeper, row_number() OVER w AS nth \
               FROM {rows} r JOIN {} s ON s.session_id = r.session_id \
               WINDOW w AS (PARTITION BY r.run_id ORDER BY s.created_at, r.session_id, r.run_index)) d \
             WHERE r.ctid = d.place AND d.nth > 1 \
             RETURNING r.session_id, r.run_index, \
               CASE WHEN d.keeper = r.session_id THEN 'its id ' || r.run_id || ' is that of a run before it' \
               ELSE 'its id ' || r.run_id || ' is that of a run of session ' || d.keeper || ', which is older' END AS why",
            self.sessions
        );
        self.name_left(client, &losers, moved)
    }

    /// Adds rows to a table that has some: a row that is there is never written over.
    fn add(&self, client: &mut Client, rows: &str, moved: &mut Moved) -> Result<()> {
        let strangers = format!(
            "SELECT n.session_id, n.run_index, 'its id ' || n.run_id || ' is that of a run of session ' || r.session_id AS why \
             FROM {rows} n JOIN {} r ON r.run_id = n.run_id WHERE r.session_id <> n.session_id",
            self.runs
        );
        self.name_left(client, &strangers, moved)?;
        let there = format!(
            "SELECT count(*) FROM {rows} n JOIN {} r ON r.run_id = n.run_id AND r.session_id = n.session_id",
            self.runs
        );
        moved.already_there += client.one(&there, &[])?.and_then(|count| count.parse().ok()).unwrap_or(0);
        let columns = "run_id, session_id, run_type, agent_id, team_id, workflow_id, user_id, parent_run_id, status, run_index, \
                       run_data, created_at, updated_at";
        let insert = format!(
            "INSERT INTO {runs} ({columns}) SELECT {columns} FROM {rows} n \
             WHERE NOT EXISTS (SELECT 1 FROM {runs} r WHERE r.run_id = n.run_id)",
            runs = self.runs
        );
        moved.moved += client.execute(&insert, &[])?;
        Ok(())
    }

    /// What the runs table has besides its columns.
    fn strip(&self, client: &mut Client) -> Result<Bare> {
        let of_table = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
        let is_it = "n.nspname = $1 AND c.relname = $2";
        let names = [self.dialect.schema.as_str(), self.runs_name];
        let pairs = |rows: Vec<Row>| {
            rows.into_iter().filter_map(|mut row| Some((row.first_mut()?.take()?, row.get_mut(1)?.take()?))).collect()
        };
        let constraints = client.ask(
            &format!(
                "SELECT k.conname::text, pg_get_constraintdef(k.oid) {of_table} JOIN pg_constraint k ON k.conrelid = c.oid \
                 WHERE {is_it} AND k.contype IN ('p', 'u', 'f', 'c') ORDER BY k.contype = 'f', k.oid"
            ),
            &names,
        )?;
        let indexes = client.ask(
            &format!(
                "SELECT pg_get_indexdef(x.indexrelid) {of_table} JOIN pg_index x ON x.indrelid = c.oid WHERE {is_it} \
                 AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = c.oid) \
                 ORDER BY x.indexrelid"
            ),
            &names,
        )?;
        let required = client.ask(
            &format!(
                "SELECT a.attname::text {of_table} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull \
                 WHERE {is_it} ORDER BY a.attnum"
            ),
            &names,
        )?;
        Ok(Bare {
            constraints: pairs(constraints),
            indexes: indexes.into_iter().flatten().flatten().collect(),
            required: required.into_iter().flatten().flatten().collect(),
        })
    }

    fn dress(&self, client: &mut Client, bare: &Bare) -> Result<()> {
        // One statement: the table is looked through once for all of them.
        let required =
            bare.required.iter().map(|column| format!("ALTER COLUMN {} SET NOT NULL", self.dialect.quote(column)));
        let constraints =
            bare.constraints.iter().map(|(name, text)| format!("ADD CONSTRAINT {} {text}", self.dialect.quote(name)));
        let identity = ["REPLICA IDENTITY DEFAULT".to_owned()];
        let changes = required.chain(constraints).chain(identity).collect::<Vec<_>>().join(", ");
        client.run(&format!("ALTER TABLE {} {changes}", self.runs))?;
        bare.indexes.iter().try_for_each(|index| client.run(index))
    }

    /// Puts the rows back into the lists, as Agno 3 shows them: the old list first, each row in place of the first element that
    /// has its id, then the other rows. Source: `merge_runs_table_with_legacy_blob` in `agno/db/utils.py` of 3.1.10. A list
    /// that already says so is not written.
    pub fn join(&self, client: &mut Client, progress: &mut dyn Progress) -> Result<Moved> {
        let count = client.one(&format!("SELECT count(*) FROM {}", self.runs), &[])?.and_then(|count| count.parse().ok());
        progress.on(Event::Rows { name: self.runs_name.to_owned(), total: count.unwrap_or(0) });
        compress_fast(client)?;
        client.run(IN_TWO)?;
        let joined = format!(
            "UPDATE {sessions} s SET runs = m.list FROM ( \
               SELECT p.session_id, ( \
                 WITH old AS MATERIALIZED ( \
                   SELECT i.run, i.n, i.id, row_number() OVER (PARTITION BY i.id ORDER BY i.n) AS nth FROM ( \
                     SELECT e.run, e.n, CASE WHEN jsonb_typeof(e.run -> 'run_id') IN ('string', 'number') THEN e.run ->> 'run_id' END AS id \
                     FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p.runs::jsonb) = 'array' THEN p.runs::jsonb ELSE '[]'::jsonb END) \
                          WITH ORDINALITY AS e(run, n)) i) \
                 SELECT jsonb_agg(x.run ORDER BY x.n, x.run_index, x.created_at, x.run_id) FROM ( \
                   SELECT coalesce(r.run_data, o.run) AS run, o.n, NULL::bigint AS run_index, NULL::bigint AS created_at, NULL::varchar AS run_id \
                   FROM old o LEFT JOIN {runs} r ON r.session_id = p.session_id AND r.run_id = o.id AND o.nth = 1 \
                   UNION ALL \
                   SELECT r.run_data, NULL, r.run_index, r.created_at, r.run_id FROM {runs} r \
                   WHERE r.session_id = p.session_id AND NOT EXISTS (SELECT 1 FROM old o WHERE o.id = r.run_id)) x) AS list \
               FROM {sessions} p WHERE EXISTS (SELECT 1 FROM {runs} r WHERE r.session_id = p.session_id)) m \
             WHERE s.session_id = m.session_id AND s.runs::jsonb IS DISTINCT FROM m.list",
            sessions = self.sessions,
            runs = self.runs,
        );
        client.execute(&joined, &[])?;
        // Agno 2.0 to 2.4 break on an empty list: NULL stands for it.
        let empty = format!("UPDATE {} SET runs = NULL WHERE runs::jsonb = '[]'::jsonb", self.sessions);
        client.execute(&empty, &[])?;
        client.run(ALONE)?;
        Ok(Moved { moved: count.unwrap_or(0), ..Moved::default() })
    }

    /// Sessions whose rows would be too large for one value together.
    pub fn oversized(&self, client: &mut Client) -> Result<Vec<String>> {
        // Stored sizes are cheap to ask for, and lz4 makes nothing smaller than a 255th; only what may be too large is measured:
        // unpacked, as JSONB, which may be a multiple of its text.
        let sql = format!(
            "SELECT r.session_id::text FROM {runs} r WHERE r.session_id IN ( \
               SELECT session_id FROM {runs} GROUP BY session_id HAVING sum(pg_column_size(run_data)) > {}) \
             GROUP BY r.session_id HAVING sum(pg_column_size(jsonb_build_array(r.run_data::jsonb))) > {LARGEST_LIST} ORDER BY 1",
            LARGEST_LIST / 256,
            runs = self.runs,
        );
        Ok(client.query(&sql, &[])?.into_iter().flatten().flatten().collect())
    }

    /// Sessions with rows whose column holds something else than a list.
    pub fn unreadable(&self, client: &mut Client) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT s.session_id::text FROM {} s WHERE s.runs IS NOT NULL \
             AND jsonb_typeof(s.runs::jsonb) NOT IN ('array', 'null') \
             AND EXISTS (SELECT 1 FROM {} r WHERE r.session_id = s.session_id) ORDER BY 1",
            self.sessions, self.runs
        );
        Ok(client.query(&sql, &[])?.into_iter().flatten().flatten().collect())
    }
}

/// The most bytes that the ids of a run may have together: a row of an index takes a third of a page.
const LONGEST_IDS: i64 = 2600;

/// The end of [`IN_TWO`]: small questions are answered faster by one process, and so are the indexes of small tables made.
pub const ALONE: &str = "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL min_parallel_table_scan_size TO DEFAULT";

/// One more process to unpack and split: more of them measured no faster.
pub const IN_TWO: &str = "SET LOCAL max_parallel_workers_per_gather = 1; SET LOCAL min_parallel_table_scan_size = 0; \
                      SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0";

/// lz4 for what this transaction writes, where the server has it: compressing with pglz is half of the time of a move. Every
/// server that can write both reads both.
pub fn compress_fast(client: &mut Client) -> Result<()> {
    let has = "SELECT 1::text FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";
    match client.one(has, &[])? {
        Some(_) => client.run("SET LOCAL default_toast_compression = 'lz4'"),
        None => Ok(()),
    }
}
