//! JSON that JSONB cannot hold: found exactly, mended where that is possible, named where it is not.

use super::client::Client;
use super::runs::{ALONE, IN_TWO, compress_fast};
use crate::backend::{Mended, Value};
use crate::convert::jsonb;
use anyhow::Result;

/// Whether a value of the column may have an escape that JSONB refuses. Cheap enough for every row; what is found is looked at
/// closely.
fn suspicious(column: &str) -> String {
    format!("({column}::text ~ '\\\\u(0000|[dD][89abAB][0-9a-fA-F][0-9a-fA-F])' OR {column}::text ~ '\\\\u[dD][c-fC-F]')")
}

/// Whether every value of the columns can become JSONB: the server tries, in one scan.
fn all_convertible(client: &mut Client, table: &str, columns: &[String]) -> Result<bool> {
    let tries = columns.iter().map(|column| format!("count({column}::jsonb)")).collect::<Vec<_>>().join(", ");
    client.run(IN_TWO)?;
    let all = client.attempt(ABOUT_DATA, |client| client.query(&format!("SELECT {tries} FROM {table}"), &[]).map(|_| ()))?;
    client.run(ALONE)?;
    Ok(all)
}

/// SQLSTATEs that are about values: data exceptions, and limits of a value.
pub const ABOUT_DATA: &str = "22 54";

/// The keys of rows that cannot become JSONB, not even mended. `columns` are quoted.
pub fn unconvertible(client: &mut Client, table: &str, key: &str, columns: &[String]) -> Result<Vec<String>> {
    failing(client, table, key, columns, is_mendable)
}

/// The keys of rows that cannot become JSONB as they are. `columns` are quoted.
pub fn not_jsonb(client: &mut Client, table: &str, key: &str, columns: &[String]) -> Result<Vec<String>> {
    failing(client, table, key, columns, is_jsonb)
}

/// A close look at one value: table, key, column, the key's value.
type Closely = fn(&mut Client, &str, &str, &str, &str) -> Result<bool>;

fn failing(client: &mut Client, table: &str, key: &str, columns: &[String], is_well: Closely) -> Result<Vec<String>> {
    if all_convertible(client, table, columns)? {
        return Ok(Vec::new());
    }
    let mut bad = Vec::new();
    for column in columns {
        let mut last: Option<String> = None;
        // Row by row, but only in databases that have such a value.
        let next = format!(
            "SELECT {key}::text FROM {table} WHERE {column} IS NOT NULL AND ($1 IS NULL OR {key} > $1) ORDER BY {key} LIMIT 1000"
        );
        loop {
            let value = last.as_deref().map_or(Value::Null, Value::from);
            let page: Vec<String> = client.query(&next, &[value])?.into_iter().flatten().flatten().collect();
            let Some(end) = page.last().cloned() else { break };
            let from = last.clone();
            let tried =
                format!("SELECT count({column}::jsonb) FROM {table} WHERE ($1 IS NULL OR {key} > $1) AND {key} <= $2");
            let values = [from.as_deref().map_or(Value::Null, Value::from), end.as_str().into()];
            if !client.attempt(ABOUT_DATA, |client| client.query(&tried, &values).map(|_| ()))? {
                for id in &page {
                    if !is_well(client, table, key, column, id)? {
                        bad.push(id.clone());
                    }
                }
            }
            last = Some(end);
        }
    }
    bad.dedup();
    Ok(bad)
}

fn is_jsonb(client: &mut Client, table: &str, key: &str, column: &str, id: &str) -> Result<bool> {
    let as_it_is = format!("SELECT {column}::jsonb IS NULL FROM {table} WHERE {key} = $1");
    client.attempt(ABOUT_DATA, |client| client.ask(&as_it_is, &[id]).map(|_| ()))
}

/// Whether a value can become JSONB as it is, or mended.
fn is_mendable(client: &mut Client, table: &str, key: &str, column: &str, id: &str) -> Result<bool> {
    if is_jsonb(client, table, key, column, id)? {
        return Ok(true);
    }
    let text = client.one(&format!("SELECT {column}::text FROM {table} WHERE {key} = $1"), &[id])?.unwrap_or_default();
    let Some(mended) = jsonb::mended(&text) else { return Ok(false) };
    client.attempt(ABOUT_DATA, |client| client.ask("SELECT CAST($1 AS jsonb) IS NULL", &[&mended.text]).map(|_| ()))
}

/// Takes out of the columns what JSONB cannot hold; tells what of which row. Nothing else of a value changes.
pub fn mend(client: &mut Client, table: &str, key: &str, columns: &[String]) -> Result<Mended> {
    let mut all = Mended::default();
    for column in columns {
        let sql =
            format!("SELECT {key}::text FROM {table} WHERE {column} IS NOT NULL AND {} ORDER BY 1", suspicious(column));
        for id in client.query(&sql, &[])?.into_iter().flatten().flatten() {
            let text =
                client.one(&format!("SELECT {column}::text FROM {table} WHERE {key} = $1"), &[&id])?.unwrap_or_default();
            let Some(mended) = jsonb::mended(&text) else { continue };
            client.ask(&format!("UPDATE {table} SET {column} = CAST($1 AS json) WHERE {key} = $2"), &[&mended.text, &id])?;
            if mended.nuls > 0 {
                all.nuls.push(id.clone());
            }
            if mended.surrogates > 0 {
                all.surrogates.push(id);
            }
        }
    }
    for ids in [&mut all.nuls, &mut all.surrogates] {
        ids.sort();
        ids.dedup();
    }
    Ok(all)
}

/// Runs a change of types; when a value is in the way, mends what can be mended and runs it again.
pub fn retype(client: &mut Client, table: &str, key: &str, columns: &[String], statement: &str) -> Result<Mended> {
    compress_fast(client)?;
    if client.attempt(ABOUT_DATA, |client| client.run(statement))? {
        return Ok(Mended::default());
    }
    let mended = mend(client, table, key, columns)?;
    client.run(statement)?;
    Ok(mended)
}
