//! The old column held against the runs table, inside the server: only ids and verdicts leave it.

use super::client::Client;
use super::json::{self, ABOUT_DATA};
use super::runs::{self, Tables};
use crate::difference::{Compared, Difference, RunDiffers};
use crate::error::Stop;
use crate::progress::{Event, Progress, interrupted};
use anyhow::Result;

/// What of a row is held against its run, besides the payload, and when: what the run says itself. What comes from its session may
/// have changed there since: the session of nobody may have become somebody's. The place is compared as an order: runs that the
/// app deleted leave holes.
fn compared_columns() -> [(&'static str, String); 8] {
    let always = || "true".to_owned();
    [
        ("run_type", format!("({}) IS NOT NULL", runs::run_type("w.run_data"))),
        ("agent_id", always()),
        ("team_id", always()),
        ("workflow_id", always()),
        ("parent_run_id", always()),
        ("status", always()),
        (
            "created_at",
            "CASE jsonb_typeof(w.run_data -> 'created_at') WHEN 'number' THEN (w.run_data -> 'created_at')::numeric >= 1 ELSE false END"
                .to_owned(),
        ),
        // A run may say whose it is.
        ("user_id", "r.user_id IS NOT NULL AND w.run_data ->> 'user_id' IS DISTINCT FROM r.user_id".to_owned()),
    ]
}

const NO_LIST: &str = "its runs are no list";

/// Holds every run of the old column against its row. A column that was made JSON again may hold what cannot be compared: its
/// sessions are differences.
pub fn compare(tables: &Tables<'_>, client: &mut Client, progress: &mut dyn Progress) -> Result<Compared> {
    let mut compared = Compared::default();
    let is_readable = client.attempt(ABOUT_DATA, |client| {
        compared = compare_readable(tables, client, progress)?;
        Ok(())
    })?;
    if !is_readable {
        compared = Compared { is_impossible: true, ..Compared::default() };
        name_unreadable(tables, client, &mut compared)?;
    }
    Ok(compared)
}

/// The server said that a value is no JSONB; says which.
fn name_unreadable(tables: &Tables<'_>, client: &mut Client, compared: &mut Compared) -> Result<()> {
    let sessions = json::not_jsonb(client, &tables.sessions, "session_id", &["runs".to_owned()])?;
    let difference = |id: Option<String>, whose: &str| Difference {
        id,
        item: None,
        what: format!("{whose} runs hold what JSONB cannot: no run of the table could be compared"),
        mend: "agno-migrate up makes the column JSONB again, and mends or names what it cannot hold".to_owned(),
    };
    if sessions.is_empty() {
        compared.differences.add(difference(None, "some"));
    }
    sessions.into_iter().for_each(|session| compared.differences.add(difference(Some(session), "its")));
    Ok(())
}

fn compare_readable(tables: &Tables<'_>, client: &mut Client, progress: &mut dyn Progress) -> Result<Compared> {
    let total = client.one(&format!("SELECT count(*) FROM {}", tables.sessions), &[])?.unwrap_or_default();
    progress.on(Event::Rows { name: tables.sessions_name.to_owned(), total: total.parse().unwrap_or(0) });
    // `up` writes both times the same: a run that the app changed later, and that is one still, counts as it is.
    let columns = compared_columns()
        .map(|(column, when)| format!("CASE WHEN w.{column} IS DISTINCT FROM r.{column} AND {when} THEN '{column}' END"))
        .join(", ");
    // OFFSET 0: payloads are compared before the rows are sorted, and do not go along.
    let sql = format!(
        "SELECT session_id::text, (w.run_index)::text, w.run_id::text, \
                CASE WHEN w.run_id IS NULL THEN verdict WHEN nth > 1 THEN 'twin' \
                     WHEN verdict = 'same' AND NOT coalesce(place > lag(place) OVER o, true) THEN 'order' ELSE verdict END, detail \
         FROM (SELECT w.session_id, w.run_index, w.run_id, \
                 row_number() OVER (PARTITION BY w.session_id, w.run_id ORDER BY w.run_index) AS nth, \
                 w.verdict, w.detail, w.place FROM ( \
           SELECT w.session_id, w.run_index, w.run_id, \
             CASE WHEN w.run_id IS NULL THEN 'no row' WHEN r.run_id IS NULL THEN 'missing' \
                  WHEN r.session_id <> w.session_id THEN 'elsewhere' \
                  WHEN r.updated_at <> r.created_at AND r.run_data::jsonb ->> 'run_id' = r.run_id THEN 'changed' \
                  WHEN r.run_data::jsonb IS DISTINCT FROM w.run_data THEN 'content' \
                  WHEN concat({columns}) <> '' THEN 'columns' ELSE 'same' END AS verdict, \
             CASE WHEN w.run_id IS NULL THEN CASE jsonb_typeof(w.run_data) WHEN 'object' THEN 'has no run_id' \
                    ELSE CASE WHEN EXISTS (SELECT 1 FROM {sessions} s WHERE s.session_id = w.session_id \
                                           AND jsonb_typeof(s.runs::jsonb) = 'array') \
                         THEN 'is no object' ELSE '{NO_LIST}' END END \
                  WHEN r.session_id <> w.session_id THEN r.session_id \
                  ELSE concat_ws(', ', {columns}) END::text AS detail, \
             ROW(r.run_index, r.created_at, r.run_id) AS place \
           FROM ({rows}) w LEFT JOIN {runs} r ON r.run_id = w.run_id OFFSET 0) w OFFSET 0) w \
         WINDOW o AS (PARTITION BY session_id, verdict = 'same' ORDER BY run_index) \
         ORDER BY session_id, run_index",
        rows = tables.rows(),
        sessions = tables.sessions,
        runs = tables.runs,
    );
    let mut compared = Compared::default();
    client.scan(&sql, &[], &mut |fields| {
        if compared.runs % 1000 == 0 && interrupted() {
            return Err(Stop::Interrupted.into());
        }
        let text =
            |at: usize| fields.get(at).copied().flatten().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let (session, index, id, detail) = (text(0), text(1).parse().unwrap_or(0), text(2), text(4));
        compared.runs += 1;
        let differs = match text(3).as_str() {
            "same" => return Ok(true),
            "changed" => {
                compared.changed += 1;
                return Ok(true);
            }
            "no row" if detail == NO_LIST => {
                compared.runs -= 1;
                compared.no_list(&session, &detail);
                return Ok(true);
            }
            "no row" => RunDiffers::NoRow(detail),
            "twin" => RunDiffers::NoRow(format!("its id {id} is that of a run before it")),
            "missing" => RunDiffers::Missing(id),
            "elsewhere" => RunDiffers::Elsewhere(id, detail),
            "content" => RunDiffers::Content(id),
            "columns" => RunDiffers::Columns(id, detail),
            _ => RunDiffers::Order(id),
        };
        compared.differs(&session, index, &differs);
        Ok(true)
    })?;
    Ok(compared)
}
