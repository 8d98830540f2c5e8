//! SQLite's way of writing an action. What ALTER TABLE cannot do is done by one rebuild: create beside, copy, drop, rename.

use super::definition::TableText;
use crate::backend::Dialect;
use crate::plan::Action;
use crate::schema::{Column, ColumnShape, ColumnType, Definition, Index, NewTable, Shape};

/// SQLite.
pub struct Sqlite;

/// The name of a table while it is rebuilt; it never outlives the transaction.
const REBUILT: &str = "agno_migrate_rebuilt";

/// The name by which the rowid of a table is reached: a column of the user's may have any of them. `None`: it has none, or none
/// that is free.
pub fn rowid_name(shape: &Shape) -> Option<&'static str> {
    let text = shape.definition.as_ref().and_then(|definition| TableText::parse(&definition.table));
    if text.is_some_and(|text| text.without_rowid()) {
        return None;
    }
    let is_free = |name: &&str| !shape.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(is_free)
}

/// A function of our connections: when the run in a value says that it began, as the split reads it. SQLite's own functions of
/// JSON took four times as long, and know no NaN.
pub const CREATED_AT_OF: &str = "agno_migrate_created_at";

impl Dialect for Sqlite {
    fn word(&self) -> &'static str {
        "SQLite"
    }

    fn type_name(&self, column_type: ColumnType) -> &'static str {
        match column_type {
            ColumnType::Varchar | ColumnType::Text => "VARCHAR",
            ColumnType::Json | ColumnType::Jsonb => "JSON",
            ColumnType::BigInt => "BIGINT",
        }
    }

    fn seen_as(&self, column_type: ColumnType) -> ColumnType {
        match column_type {
            ColumnType::Varchar | ColumnType::Text => ColumnType::Varchar,
            ColumnType::Json | ColumnType::Jsonb => ColumnType::Json,
            ColumnType::BigInt => ColumnType::BigInt,
        }
    }

    fn any_type(&self) -> &'static str {
        // No type, no affinity: a value comes back as what it was.
        ""
    }

    fn to_archive(&self, expression: &str) -> String {
        expression.to_owned()
    }

    fn of_archive(&self, expression: &str, _: ColumnType) -> String {
        expression.to_owned()
    }

    fn of_archive_as(&self, expression: &str, _: &ColumnShape) -> String {
        expression.to_owned()
    }

    fn as_text(&self, column: &str) -> String {
        column.to_owned()
    }

    fn is_object(&self, column: &str) -> String {
        // Agno 2 may have encoded it twice.
        format!("CASE WHEN json_valid({column}) THEN json_type({column}) IN ('object', 'text') ELSE false END")
    }

    fn run_created_at(&self, column: &str) -> String {
        format!("{CREATED_AT_OF}({column})")
    }

    fn of_text(&self, parameter: &str) -> String {
        parameter.to_owned()
    }

    fn reads_like(&self, column: &str, parameter: &str) -> String {
        // Bytes are never equal to a text.
        format!("{column} IN ({parameter}, CAST({parameter} AS BLOB))")
    }

    fn is_text(&self, column: &str) -> String {
        format!("typeof({column}) = 'text'")
    }

    fn key_is_primary(&self) -> bool {
        true
    }

    fn render(&self, table: &str, action: &Action, shape: &Shape, now: i64) -> Result<Vec<String>, String> {
        let quoted = self.quote(table);
        Ok(match action {
            Action::CreateTable { name, table, parent, indexes, .. } => self.create_table(name, table, parent, indexes),
            Action::DropTable { name } => vec![format!("DROP TABLE {}", self.quote(name))],
            Action::AddColumn(column) if !column.required => {
                vec![format!("ALTER TABLE {quoted} ADD COLUMN {}", self.column(column))]
            }
            Action::AddColumn(_) | Action::Require(_) | Action::ReplaceKey { .. } => {
                return self.rebuild(table, action, shape, now);
            }
            Action::DropColumn(column) => {
                vec![format!("ALTER TABLE {quoted} DROP COLUMN {}", self.quote(column.name))]
            }
            Action::CreateIndex { on, name, index } => vec![self.create_index(on, name, index)],
            Action::DropIndex { name } => vec![format!("DROP INDEX {}", self.quote(name))],
            Action::AddPrimaryKey { column, .. } => {
                return Err(format!("SQLite cannot make {column} the primary key of a table that has another"));
            }
            Action::Retype(_)
            | Action::DropPrimaryKey { .. }
            | Action::Archive(_)
            | Action::Restore { .. }
            | Action::Move(..) => Vec::new(),
        })
    }

    fn redefine(&self, table: &str, action: &Action, shape: &Shape) -> Option<Definition> {
        let mut definition = shape.definition.clone()?;
        let mut text = TableText::parse(&definition.table)?;
        match action {
            Action::AddColumn(column) => text.add_column(self.column(column)),
            Action::Require(column) if !text.require(column.name) => return None,
            Action::DropColumn(column) => {
                text.drop_column(column.name);
            }
            Action::CreateIndex { on, name, index } if on == table => {
                definition.indexes.push((name.clone(), self.create_index(on, name, index)));
            }
            Action::DropIndex { name } => definition.indexes.retain(|(there, _)| there != name),
            Action::ReplaceKey { drop, name, key } => {
                for index in drop {
                    if index.constraint && !text.drop_unique(&index.columns) {
                        return None;
                    }
                    definition.indexes.retain(|(there, _)| *there != index.name);
                }
                if !shape.covering(key).any(|index| index.constraint) {
                    text.add_constraint(format!("CONSTRAINT {} UNIQUE ({})", self.quote(name), self.list(key.columns)));
                }
            }
            _ => {}
        }
        definition.table = text.text();
        Some(definition)
    }
}

impl Sqlite {
    fn list(&self, columns: &[&str]) -> String {
        columns.iter().map(|column| self.quote(column)).collect::<Vec<_>>().join(", ")
    }

    fn column(&self, column: &Column) -> String {
        let null = if column.required { " NOT NULL" } else { "" };
        format!("{} {}{null}", self.quote(column.name), self.type_name(column.column_type))
    }

    fn create_index(&self, on: &str, name: &str, index: &Index) -> String {
        format!(
            "CREATE {}INDEX {} ON {} ({}){}",
            if index.unique { "UNIQUE " } else { "" },
            self.quote(name),
            self.quote(on),
            self.list(index.columns),
            index.condition.map_or(String::new(), |condition| format!(" WHERE {condition}")),
        )
    }

    fn create_table(&self, name: &str, table: &NewTable, parent: &str, indexes: &[String]) -> Vec<String> {
        let mut parts: Vec<String> = table.columns.iter().map(|column| self.column(column)).collect();
        parts.push(format!("PRIMARY KEY ({})", self.quote(table.key)));
        parts.extend(table.parent_column.map(|column| {
            format!("FOREIGN KEY({0}) REFERENCES {1} ({0}) ON DELETE CASCADE", self.quote(column), self.quote(parent))
        }));
        let mut statements = vec![format!("CREATE TABLE {} (\n\t{}\n)", self.quote(name), parts.join(", \n\t"))];
        statements.extend(table.indexes.iter().zip(indexes).map(|(index, as_name)| self.create_index(name, as_name, index)));
        statements
    }

    /// Rows keep their rowids; indexes and triggers are made again from their own text.
    fn rebuild(&self, table: &str, action: &Action, shape: &Shape, now: i64) -> Result<Vec<String>, String> {
        let cannot = || {
            "its CREATE TABLE statement is written in a way that agno-migrate does not dare to edit: the table has to be \
             created again, which would lose what it does not understand"
                .to_owned()
        };
        let definition = self.redefine(table, action, shape).ok_or_else(cannot)?;
        let text = TableText::parse(&definition.table).ok_or_else(cannot)?;

        let stored = shape.columns.iter().filter(|column| !column.generated);
        let (mut into, mut from): (Vec<String>, Vec<String>) =
            stored.map(|column| (self.quote(&column.name), self.quote(&column.name))).unzip();
        if !text.without_rowid() {
            let rowid = rowid_name(shape).ok_or_else(|| {
                "its columns use every name SQLite has for the rowid, which a rebuild must keep: rename one of rowid, \
                 _rowid_, oid"
                    .to_owned()
            })?;
            into.insert(0, rowid.to_owned());
            from.insert(0, rowid.to_owned());
        }
        if let Action::Require(column) = action
            && let Some(at) = into.iter().position(|name| *name == self.quote(column.name))
        {
            let fill = column.fill.unwrap_or("NULL").replace("{now}", &now.to_string());
            from[at] = format!("coalesce({}, {fill})", from[at]);
        }
        if let Action::AddColumn(column) = action {
            into.push(self.quote(column.name));
            from.push(column.fill.unwrap_or("NULL").replace("{now}", &now.to_string()));
        }

        let (old, new) = (self.quote(table), self.quote(REBUILT));
        let mut statements = vec![
            text.create(&new),
            format!("INSERT INTO {new} ({}) SELECT {} FROM {old}", into.join(", "), from.join(", ")),
        ];
        if text.counts_up() {
            // It goes with the table, and a number that was once given is never given again.
            statements.push(format!("DELETE FROM sqlite_sequence WHERE name = '{REBUILT}'"));
            statements.push(format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT '{REBUILT}', seq FROM sqlite_sequence WHERE name = '{}'",
                table.replace('\'', "''")
            ));
        }
        statements.extend([format!("DROP TABLE {old}"), format!("ALTER TABLE {new} RENAME TO {old}")]);
        statements.extend(definition.indexes.iter().map(|(_, sql)| sql.clone()));
        statements.extend(definition.triggers.iter().map(|(_, sql)| sql.clone()));
        Ok(statements)
    }
}
