//! What a schema of a PostgreSQL database has, asked of its system catalogs.

use crate::backend::{Catalog, Row};
use crate::schema::{ColumnShape, ColumnType, ForeignKeyShape, IndexShape, Shape};
use anyhow::Result;
use std::collections::BTreeMap;

/// Ordinary tables of the schema $1, all or the one named $2: no views, partitions, foreign or inherited tables.
const ORDINARY: &str = "n.nspname = $1 AND c.relkind = 'r' AND ($2 = '' OR c.relname = $2) \
     AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid)";

/// Asks the server, with the schema and the table as parameters.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &[&str]) -> Result<Vec<Row>>;

/// Everything in the schema.
pub fn catalog(schema: &str, ask: Ask<'_>) -> Result<Catalog> {
    let names = ask(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1",
        &[schema],
    )?;
    Ok(Catalog { tables: tables(schema, "", ask)?, names: names.into_iter().flatten().flatten().collect() })
}

/// One table.
pub fn shape(schema: &str, table: &str, ask: Ask<'_>) -> Result<Option<Shape>> {
    if table.is_empty() {
        return Ok(None);
    }
    Ok(tables(schema, table, ask)?.remove(table))
}

fn tables(schema: &str, table: &str, ask: Ask<'_>) -> Result<BTreeMap<String, Shape>> {
    let mut tables: BTreeMap<String, Shape> = BTreeMap::new();
    let mut each = |sql: &str| {
        let sql = sql.replace("{ordinary}", ORDINARY);
        ask(&sql, &[schema, table]).map(|rows| rows.into_iter().map(Fields))
    };

    for mut row in
        each("SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ordinary}")?
    {
        tables.insert(row.text(), Shape::default());
    }

    for mut row in each(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, \
                (a.attgenerated <> '' OR a.attidentity = 'a')::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE {ordinary} ORDER BY c.relname, a.attnum",
    )? {
        let Some(shape) = tables.get_mut(&row.text()) else { continue };
        let (name, declared) = (row.text(), row.text());
        shape.columns.push(ColumnShape {
            name,
            column_type: column_type(&declared),
            declared,
            required: row.flag(),
            generated: row.flag(),
        });
    }

    for mut row in each(
        "SELECT c.relname::text, i.relname::text, x.indisunique::text, (x.indisvalid AND x.indisready)::text, \
                (k.contype IS NOT NULL)::text, x.indisprimary::text, pg_get_expr(x.indpred, x.indrelid), \
                (SELECT json_agg(CASE WHEN m.amname = 'btree' AND x.indoption[p - 1] & 1 = 0 THEN a.attname END ORDER BY p) \
                 FROM generate_series(1, x.indnkeyatts) p \
                 LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[p - 1])::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam \
         LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x') \
         WHERE {ordinary} ORDER BY c.relname, i.oid",
    )? {
        let Some(shape) = tables.get_mut(&row.text()) else { continue };
        let (name, unique, valid, constraint, primary) = (row.text(), row.flag(), row.flag(), row.flag(), row.flag());
        let condition = row.next();
        let columns: Vec<Option<String>> = serde_json::from_str(&row.text()).unwrap_or_default();
        let columns = columns.into_iter().collect::<Option<Vec<String>>>().unwrap_or_default();
        if primary {
            shape.primary_key = columns;
            shape.primary_key_name = Some(name);
        } else {
            shape.indexes.push(IndexShape { name, columns, unique, condition, valid, constraint });
        }
    }

    for mut row in each(
        "SELECT c.relname::text, r.relname::text, \
                (SELECT json_agg(a.attname ORDER BY u.p) FROM unnest(k.conkey) WITH ORDINALITY u(attnum, p) \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum)::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' \
         JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = c.relnamespace \
         WHERE {ordinary} ORDER BY c.relname, k.oid",
    )? {
        let Some(shape) = tables.get_mut(&row.text()) else { continue };
        let parent = row.text();
        let columns = serde_json::from_str(&row.text()).unwrap_or_default();
        shape.foreign_keys.push(ForeignKeyShape { columns, parent });
    }
    Ok(tables)
}

/// A row whose fields are taken one after the other.
struct Fields(Row);

impl Fields {
    fn next(&mut self) -> Option<String> {
        if self.0.is_empty() { None } else { self.0.remove(0) }
    }

    fn text(&mut self) -> String {
        self.next().unwrap_or_default()
    }

    fn flag(&mut self) -> bool {
        self.next().as_deref() == Some("true")
    }
}

/// The type of a column, by the words of `format_type`.
fn column_type(declared: &str) -> Option<ColumnType> {
    match declared.split('(').next().unwrap_or_default() {
        "character varying" => Some(ColumnType::Varchar),
        "text" => Some(ColumnType::Text),
        "json" => Some(ColumnType::Json),
        "jsonb" => Some(ColumnType::Jsonb),
        "bigint" | "integer" => Some(ColumnType::BigInt),
        _ => None,
    }
}
