//! What hangs on a table and would keep an action from being done, asked of the catalogs before anything is changed.

use super::client::Client;
use super::dialect::Postgres;
use super::rights;
use super::sharing;
use crate::backend::{Dialect, Row};
use crate::plan::Action;
use crate::schema::{ColumnType, Move};
use anyhow::Result;

/// Why the actions on a table would fail, in sentences; empty when nothing stands in the way.
pub fn find(client: &mut Client, dialect: &Postgres, table: &str, actions: &[Action]) -> Result<Vec<String>> {
    let mut found = rights::lacking(client, dialect, table, actions)?;
    // What goes by itself is in nobody's way.
    let going: Vec<&str> = actions.iter().flat_map(goes).collect();
    for action in actions {
        match action {
            Action::DropColumn(column) => {
                for thing in dependents(client, dialect, table, Some(column.name))? {
                    if !going.contains(&thing.name.as_str()) {
                        found.push(format!(
                            "{} uses the column {}, which goes: drop it, and create it again afterwards without that",
                            thing.description, column.name
                        ));
                    }
                }
            }
            Action::Retype(retypes) => {
                for retype in retypes {
                    // Keys and indexes on text are made again by the server.
                    let is_json = matches!(retype.to, ColumnType::Json | ColumnType::Jsonb);
                    for thing in dependents(client, dialect, table, Some(retype.column))? {
                        let is_made_again = (thing.is_index || thing.is_constraint) && !(is_json && thing.is_about_json);
                        if !is_made_again {
                            found.push(format!(
                                "{} uses the column {}, whose type changes: drop it, and create it again afterwards",
                                thing.description, retype.column
                            ));
                        }
                    }
                }
            }
            Action::DropTable { name } => {
                let sql = "SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = $1::regclass AND NOT t.tgisinternal";
                for trigger in client.ask(sql, &[&quoted(dialect, name)])?.into_iter().flatten().flatten() {
                    found.push(format!(
                        "the trigger {trigger} of {name} would go with it: drop it first, or keep it elsewhere"
                    ));
                }
                for thing in dependents(client, dialect, name, None)?.iter().filter(|thing| !thing.is_index) {
                    found.push(format!("{} uses the table {name}, which goes: drop it first", thing.description));
                }
            }
            Action::CreateTable { name, parent, .. } => {
                let sql = "SELECT 1::text FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relpersistence <> 'p'";
                if client.one(sql, &[&quoted(dialect, parent)])?.is_some() {
                    found.push(format!(
                        "it is UNLOGGED, and {name}, which is not, cannot refer to it: ALTER TABLE {} SET LOGGED",
                        quoted(dialect, parent)
                    ));
                }
            }
            Action::AddPrimaryKey { column, replaces, .. } => {
                let sql = "SELECT k.conname::text FROM pg_constraint k WHERE k.conrelid = $1::regclass AND k.contype = 'p'";
                if let Some(other) = client.one(sql, &[&quoted(dialect, table)])? {
                    found.push(format!(
                        "it has another primary key, {other}, and {column} has to be it: drop that constraint"
                    ));
                }
                for key in replaces {
                    found.extend(foreign_keys_on(client, dialect, table, key, &going)?);
                }
            }
            Action::DropPrimaryKey { .. } => {
                let sql = "SELECT k.conname::text FROM pg_constraint k WHERE k.conrelid = $1::regclass AND k.contype = 'p'";
                if let Some(key) = client.one(sql, &[&quoted(dialect, table)])? {
                    found.extend(foreign_keys_on(client, dialect, table, &key, &going)?);
                }
            }
            Action::ReplaceKey { drop, .. } => {
                for key in drop.iter().filter(|key| key.constraint) {
                    found.extend(foreign_keys_on(client, dialect, table, &key.name, &going)?);
                }
            }
            Action::Move(Move::OwnedRows, _) => {
                // Putting them back takes ON CONFLICT, which no table with such rules takes, not even with disabled ones.
                let sql =
                    "SELECT w.rulename::text FROM pg_rewrite w WHERE w.ev_class = $1::regclass AND w.ev_type IN ('2', '3')";
                for rule in client.ask(sql, &[&quoted(dialect, table)])?.into_iter().flatten().flatten() {
                    found.push(format!(
                        "the rule {rule} of {table} would keep rows from being written: drop it, and create it again afterwards"
                    ));
                }
            }
            _ => {}
        }
    }
    // The same view may use several columns.
    found.sort();
    found.dedup();
    Ok(found)
}

/// The names of tables, indexes and constraints that an action drops.
fn goes(action: &Action) -> Vec<&str> {
    match action {
        Action::DropIndex { name } | Action::DropTable { name } => vec![name],
        Action::ReplaceKey { drop, .. } => drop.iter().map(|index| index.name.as_str()).collect(),
        Action::AddPrimaryKey { replaces, .. } => replaces.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn quoted(dialect: &Postgres, table: &str) -> String {
    dialect.table(table)
}

/// Something that depends on a table or column.
struct Thing {
    description: String,
    name: String,
    is_index: bool,
    is_constraint: bool,
    /// An index or constraint that names a function, or needs one type of JSON: with another it may not be made again.
    is_about_json: bool,
}

/// Views, rules, policies, triggers, foreign keys of other tables, generated columns, and indexes and constraints besides the
/// table's keys on `column`.
fn dependents(client: &mut Client, dialect: &Postgres, table: &str, column: Option<&str>) -> Result<Vec<Thing>> {
    let sql = "SELECT DISTINCT \
           CASE WHEN d.classid = 'pg_rewrite'::regclass \
                THEN (SELECT CASE c.relkind WHEN 'm' THEN 'the materialized view ' ELSE 'the view ' END || c.oid::regclass \
                      FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid = d.objid) \
                WHEN d.classid = 'pg_constraint'::regclass \
                THEN (SELECT 'the constraint ' || k.conname || ' of ' || k.conrelid::regclass FROM pg_constraint k WHERE k.oid = d.objid) \
                ELSE 'the ' || pg_describe_object(d.classid, d.objid, d.objsubid) END, \
           coalesce((SELECT c.relname::text FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid), \
                    (SELECT k.conname::text FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid), ''), \
           (d.classid = 'pg_class'::regclass AND EXISTS (SELECT 1 FROM pg_index x WHERE x.indexrelid = d.objid))::text, \
           (d.classid = 'pg_constraint'::regclass)::text, \
           coalesce((SELECT m.amname NOT IN ('btree', 'hash') OR d.refobjsubid = ANY (x.indkey) \
                       OR concat(pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid)) ~ '[\\w\"]\\(|json' \
                     FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam \
                     WHERE d.classid = 'pg_class'::regclass AND x.indexrelid = d.objid), \
                    (SELECT pg_get_constraintdef(k.oid) ~ '[\\w\"]\\(|json' FROM pg_constraint k \
                     WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid), false)::text \
         FROM pg_depend d \
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::regclass \
           AND ($2 = '' AND (d.deptype = 'n' OR d.classid = 'pg_constraint'::regclass) \
                OR d.refobjsubid = (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attname = $2 AND NOT a.attisdropped)) \
           AND d.deptype IN ('n', 'a') \
           AND NOT (d.classid = 'pg_constraint'::regclass AND $2 = '' \
                    AND EXISTS (SELECT 1 FROM pg_constraint k WHERE k.oid = d.objid AND k.conrelid = $1::regclass)) \
           AND NOT (d.classid = 'pg_constraint'::regclass \
                    AND EXISTS (SELECT 1 FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'n')) \
           AND NOT (d.classid = 'pg_class'::regclass AND d.objid = $1::regclass) \
           AND NOT (d.classid = 'pg_policy'::regclass AND EXISTS ( \
                    SELECT 1 FROM pg_policy p WHERE p.oid = d.objid AND p.polname = $3 AND p.polrelid = $1::regclass)) \
           AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS ( \
                    SELECT 1 FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum \
                    WHERE f.oid = d.objid AND a.attgenerated = ''))";
    let rows: Vec<Row> = client.ask(sql, &[&quoted(dialect, table), column.unwrap_or_default(), sharing::POLICY])?;
    let things = rows.into_iter().filter_map(|row| {
        let mut fields = row.into_iter();
        let mut next = || fields.next().flatten();
        let (description, name) = (next()?, next()?);
        let (is_index, is_constraint) = (next()? == "true", next()? == "true");
        let is_about_json = next()? == "true";
        Some(Thing { description, name, is_index, is_constraint, is_about_json })
    });
    Ok(things.collect())
}

/// Foreign keys that rest on a key of the table.
fn foreign_keys_on(client: &mut Client, dialect: &Postgres, table: &str, key: &str, going: &[&str]) -> Result<Vec<String>> {
    let sql = "SELECT c.relname::text, k.conrelid::regclass::text || ' (' || k.conname || ')' FROM pg_constraint k \
               JOIN pg_class c ON c.oid = k.conrelid \
               WHERE k.contype = 'f' AND k.confrelid = $1::regclass \
                 AND k.conindid = (SELECT u.conindid FROM pg_constraint u WHERE u.conrelid = $1::regclass AND u.conname = $2)";
    let keys = client.ask(sql, &[&quoted(dialect, table), key])?;
    let stay = keys.into_iter().filter(|row| !going.iter().any(|name| row.first() == Some(&Some((*name).to_owned()))));
    Ok(stay
        .filter_map(|mut row| row.pop().flatten())
        .map(|other| {
            format!("the foreign key of {other} rests on {key}, which goes: drop it, and create it again afterwards")
        })
        .collect())
}
