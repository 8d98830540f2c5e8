//! What a schema of a PostgreSQL database has, asked of its system catalogs.

use crate::backend::{Catalog, Row};
use crate::schema::{ColumnShape, ColumnType, ForeignKeyShape, IndexShape, Shape};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Tables of the schema $1, all or the one named $2.
const OF_SCHEMA: &str = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1";
const WANTED: &str = "c.relkind = 'r' AND ($2 = '' OR c.relname = $2)";

/// Asks the server, with the schema and the table as parameters.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &[&str]) -> Result<Vec<Row>>;

/// Everything in the schema.
pub fn catalog(schema: &str, ask: Ask<'_>) -> Result<Catalog> {
    let names = ask(
        // A table is a type, too: a domain or an enum may have its name.
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 \
         UNION SELECT t.typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typelem = 0",
        &[schema],
    )?;
    Ok(Catalog {
        tables: tables(schema, "", ask)?,
        names: names.into_iter().flatten().flatten().collect(),
        unusual: unusual(schema, ask)?,
    })
}

/// Tables that are no ordinary ones; parts of partitioned ones are theirs.
fn unusual(schema: &str, ask: Ask<'_>) -> Result<BTreeMap<String, (Shape, &'static str)>> {
    let sql = format!(
        "SELECT c.relname::text, c.relkind::text, a.attname::text {OF_SCHEMA} \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE NOT c.relispartition AND (c.relkind IN ('p', 'f') OR c.relkind = 'r' \
           AND EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid))"
    );
    let mut unusual: BTreeMap<String, (Shape, &'static str)> = BTreeMap::new();
    for mut row in ask(&sql, &[schema])?.into_iter().map(Fields) {
        let (table, kind, name) = (row.text(), row.text(), row.text());
        let what = match kind.as_str() {
            "p" => "a partitioned table",
            "f" => "a foreign table",
            _ => "a table with inheritance",
        };
        let (shape, _) = unusual.entry(table).or_insert((Shape::default(), what));
        shape.columns.push(ColumnShape {
            name,
            column_type: None,
            declared: String::new(),
            required: false,
            generated: false,
        });
    }
    Ok(unusual)
}

/// One table.
pub fn shape(schema: &str, table: &str, ask: Ask<'_>) -> Result<Option<Shape>> {
    if table.is_empty() {
        return Ok(None);
    }
    Ok(tables(schema, table, ask)?.remove(table))
}

/// Whether there is an ordinary table of the name.
pub fn has_table(schema: &str, table: &str, ask: Ask<'_>) -> Result<bool> {
    Ok(!table.is_empty() && !ask(&ordinary(), &[schema, table])?.is_empty())
}

/// Ordinary tables: no views, partitions, foreign or inherited ones.
fn ordinary() -> String {
    format!(
        "SELECT c.relname::text {OF_SCHEMA} WHERE {WANTED} \
         AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid)"
    )
}

/// Asked in simple statements, put together here: planning a clever one takes the server longer than answering it.
fn tables(schema: &str, table: &str, ask: Ask<'_>) -> Result<BTreeMap<String, Shape>> {
    let mut tables: BTreeMap<String, Shape> = BTreeMap::new();
    // Names of columns by their numbers, which keys and indexes are written in.
    let mut numbers: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut each = |sql: &str| {
        let sql = sql.replace("{of_schema}", OF_SCHEMA).replace("{wanted}", WANTED);
        ask(&sql, &[schema, table]).map(|rows| rows.into_iter().map(Fields))
    };

    for mut row in each(&ordinary())? {
        tables.insert(row.text(), Shape::default());
    }

    for mut row in each(
        "SELECT c.relname::text, a.attnum::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                (a.attgenerated <> '' OR a.attidentity = 'a') \
         {of_schema} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE {wanted} ORDER BY c.relname, a.attnum",
    )? {
        let table = row.text();
        let Some(shape) = tables.get_mut(&table) else { continue };
        let (number, name, declared) = (row.text(), row.text(), row.text());
        numbers.entry(table).or_default().insert(number, name.clone());
        shape.columns.push(ColumnShape {
            name,
            column_type: column_type(&declared),
            declared,
            required: row.flag(),
            generated: row.flag(),
        });
    }
    let named = |table: &str, number: &str| numbers.get(table)?.get(number).cloned();

    for mut row in each(
        "SELECT c.relname::text, i.relname::text, x.indisunique, \
                (x.indisvalid AND x.indisready), k.contype IS NOT NULL, \
                x.indisprimary, m.amname::text, pg_get_expr(x.indpred, x.indrelid), x.indnkeyatts, x.indkey::text, x.indoption::text \
         {of_schema} JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam \
         LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x') \
         WHERE {wanted} ORDER BY c.relname, i.oid",
    )? {
        let table = row.text();
        let Some(shape) = tables.get_mut(&table) else { continue };
        let (name, unique, valid, constraint, primary) = (row.text(), row.flag(), row.flag(), row.flag(), row.flag());
        let is_ordered = row.text() == "btree";
        let condition = row.next();
        let (width, keys, options) = (row.text().parse().unwrap_or(0), row.text(), row.text());
        // Bit 1 of an option: downwards. Number 0: an expression.
        let column = |(number, option): (&str, &str)| {
            let is_upwards = option.parse::<u8>().is_ok_and(|bits| bits & 1 == 0);
            if is_ordered && is_upwards { named(&table, number) } else { None }
        };
        let columns = keys.split(' ').zip(options.split(' ')).take(width).map(column);
        let columns = columns.collect::<Option<Vec<String>>>().unwrap_or_default();
        if primary {
            shape.primary_key = columns;
            shape.primary_key_name = Some(name);
        } else {
            shape.indexes.push(IndexShape { name, columns, unique, condition, valid, constraint });
        }
    }

    for mut row in each(
        "SELECT c.relname::text, r.relname::text, array_to_string(k.conkey, ' '), k.confdeltype = 'c' \
         {of_schema} JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' \
         JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = c.relnamespace \
         WHERE {wanted} ORDER BY c.relname, k.oid",
    )? {
        let table = row.text();
        let Some(shape) = tables.get_mut(&table) else { continue };
        let parent = row.text();
        let columns = row.text().split(' ').filter_map(|number| named(&table, number)).collect();
        shape.foreign_keys.push(ForeignKeyShape { columns, parent, cascades: row.flag() });
    }

    let mut invalid: Vec<&mut IndexShape> =
        tables.values_mut().flat_map(|shape| &mut shape.indexes).filter(|index| !index.valid).collect();
    if !invalid.is_empty() {
        // One that is being built by another replica will be valid, or is by now. Asked apart: planning this takes longer than
        // all the others.
        let good = "SELECT i.relname::text FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace AND n.nspname = $1 \
                    JOIN pg_index x ON x.indexrelid = i.oid \
                    WHERE x.indisvalid AND x.indisready OR EXISTS (SELECT 1 FROM pg_stat_progress_create_index p \
                      WHERE p.index_relid = i.oid AND p.datname = current_database())";
        let good: BTreeSet<String> = ask(good, &[schema])?.into_iter().flatten().flatten().collect();
        invalid.iter_mut().for_each(|index| index.valid = good.contains(&index.name));
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
