//! JSON that JSONB cannot hold: found exactly, mended where that is possible, named where it is not.

use super::client::Client;
use super::runs::{ALONE, IN_TWO, compress_fast};
use crate::backend::{Mended, Value};
use crate::convert::jsonb;
use crate::error::Stop;
use anyhow::Result;

/// The text of a JSON column without NUL characters, or with `instead` in their place. Pairs of backslashes are hidden
/// meanwhile, since `u0000` behind one is no escape: JSON text has no control character of its own. All on the server: values may
/// be larger than the memory of a client.
fn without_nul(column: &str, instead: &str) -> String {
    format!("replace(replace({}, '\\u0000', '{instead}'), chr(1), '\\\\')", hidden(column))
}

fn hidden(column: &str) -> String {
    format!("replace({column}::text, '\\\\', chr(1))")
}

/// Whether a value of the column has a NUL in the key of an object.
fn has_nul_in_key(column: &str) -> String {
    let hidden = hidden(column);
    // No JSONB comes of a larger text, and an expression is not matched against one.
    format!(
        "CASE WHEN octet_length({column}::text) < 268435456 AND strpos({hidden}, '\\u0000') > 0 \
         THEN {hidden} ~ '\\\\u0000([^\"\\\\]|\\\\.)*\"\\s*:' ELSE false END"
    )
}

/// How many keys the objects in JSON text have together, those that are equal counted once.
fn keys(text: &str) -> String {
    let all = "strict $.** ? (@.type() == \"object\").keyvalue().key";
    format!("(SELECT count(*) FROM jsonb_path_query(CAST({text} AS jsonb), '{all}'))")
}

/// Stands for what is taken out, where keys are counted: nobody's text.
const MARK: &str = "\\u0001\\u0002agno-migrate\\u0003";

/// Whether every value of the columns can become JSONB: the server tries, in one scan.
fn all_convertible(client: &mut Client, table: &str, columns: &[String]) -> Result<bool> {
    let tries = columns.iter().map(|column| format!("count({column}::jsonb)")).collect::<Vec<_>>().join(", ");
    client.run(IN_TWO)?;
    let all = client.attempt(ABOUT_DATA, |client| client.query(&format!("SELECT {tries} FROM {table}"), &[]).map(|_| ()))?;
    client.run(ALONE)?;
    Ok(all)
}

/// SQLSTATEs that are about values: data exceptions, limits of a value, characters that the encoding of the database lacks.
pub const ABOUT_DATA: &str = "22 54 0A000";

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
    bad.sort();
    bad.dedup();
    Ok(bad)
}

fn is_jsonb(client: &mut Client, table: &str, key: &str, column: &str, id: &str) -> Result<bool> {
    let as_it_is = format!("SELECT {column}::jsonb IS NULL FROM {table} WHERE {key} = $1");
    client.attempt(ABOUT_DATA, |client| client.ask(&as_it_is, &[id]).map(|_| ()))
}

/// Whether a value can become JSONB as it is, or mended without losing anything: of keys that would become equal all but one
/// would go.
fn is_mendable(client: &mut Client, table: &str, key: &str, column: &str, id: &str) -> Result<bool> {
    if is_jsonb(client, table, key, column, id)? {
        return Ok(true);
    }
    let value = without_nul(column, "");
    let (kept, marked) = (keys(&value), keys(&without_nul(column, MARK)));
    let sql = format!(
        "SELECT (CASE WHEN {} THEN {kept} = {marked} ELSE ({value})::jsonb IS NOT NULL END)::text FROM {table} WHERE {key} = $1",
        has_nul_in_key(column)
    );
    let mut is_whole = false;
    let mut ask = |client: &mut Client, sql: &str, values: &[&str]| {
        client.attempt(ABOUT_DATA, |client| {
            is_whole = client.one(sql, values)?.as_deref() == Some("true");
            Ok(())
        })
    };
    if ask(client, &sql, &[id])? {
        return Ok(is_whole);
    }
    // Surrogates that stand alone are rare enough to be looked at here.
    let text = text_of(client, table, key, column, id)?;
    let (Some(mended), Some(marked)) = (jsonb::mended(&text), jsonb::marked(&text, MARK)) else { return Ok(false) };
    let sql = format!("SELECT ({} = {})::text", keys("$1"), keys("$2"));
    Ok(ask(client, &sql, &[&mended.text, &marked.text])? && is_whole)
}

fn text_of(client: &mut Client, table: &str, key: &str, column: &str, id: &str) -> Result<String> {
    let text = client.one(&format!("SELECT {column}::text FROM {table} WHERE {key} = $1"), &[id])?;
    Ok(text.unwrap_or_default())
}

/// Takes out of the columns what JSONB cannot hold; tells what of which row. Nothing else of a value changes.
pub fn mend(client: &mut Client, table: &str, key: &str, columns: &[String]) -> Result<Mended> {
    let mut all = Mended::default();
    for column in columns {
        let with_nul = format!("{column} IS NOT NULL AND strpos({}, '\\u0000') > 0", hidden(column));
        let in_keys = format!("SELECT {key}::text FROM {table} WHERE {with_nul} AND {}", has_nul_in_key(column));
        for id in client.query(&in_keys, &[])?.into_iter().flatten().flatten() {
            if !is_mendable(client, table, key, column, &id)? {
                return Err(Stop::Refused(not_whole(column, &id)).into());
            }
        }
        let mend = format!(
            "UPDATE {table} SET {column} = CAST({} AS json) WHERE {with_nul} RETURNING {key}::text",
            without_nul(column, "")
        );
        all.nuls.extend(client.query(&mend, &[])?.into_iter().flatten().flatten());
        for id in not_jsonb(client, table, key, std::slice::from_ref(column))? {
            let text = text_of(client, table, key, column, &id)?;
            let Some(mended) = jsonb::mended(&text) else { continue };
            client.ask(&format!("UPDATE {table} SET {column} = CAST($1 AS json) WHERE {key} = $2"), &[&mended.text, &id])?;
            all.surrogates.push(id);
        }
    }
    for ids in [&mut all.nuls, &mut all.surrogates] {
        ids.sort();
        ids.dedup();
    }
    Ok(all)
}

fn not_whole(column: &str, id: &str) -> String {
    format!("the column {column} of the row {id} cannot become JSONB without losing something: mend or delete it")
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
