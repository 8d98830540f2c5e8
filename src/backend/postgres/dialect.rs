//! PostgreSQL's way of writing an action.

use crate::backend::Dialect;
use crate::plan::Action;
use crate::schema::{Column, ColumnShape, ColumnType, Definition, Index, IndexShape, NewTable, Retype, Shape};
use sha2::{Digest, Sha256};

/// PostgreSQL, with the tables in one schema.
#[derive(Debug)]
pub struct Postgres {
    /// The schema.
    pub schema: String,
}

/// The longest name in bytes: NAMEDATALEN - 1 of every server that was not built otherwise.
pub const LONGEST_NAME: usize = 63;

impl Dialect for Postgres {
    fn word(&self) -> &'static str {
        "PostgreSQL"
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{}", self.quote(&self.schema), self.quote(name))
    }

    fn type_name(&self, column_type: ColumnType) -> &'static str {
        match column_type {
            ColumnType::Varchar => "VARCHAR",
            ColumnType::Text => "TEXT",
            ColumnType::Json => "JSON",
            ColumnType::Jsonb => "JSONB",
            ColumnType::BigInt => "BIGINT",
        }
    }

    fn alters_columns(&self) -> bool {
        true
    }

    fn seen_as(&self, column_type: ColumnType) -> ColumnType {
        column_type
    }

    /// Cut, with the first 8 hex digits of the hash of the whole at the end.
    fn fit(&self, name: &str) -> String {
        if name.len() <= LONGEST_NAME {
            return name.to_owned();
        }
        let hash: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let mut end = LONGEST_NAME - 1 - hash.len();
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}_{hash}", &name[..end])
    }

    fn longest_name(&self) -> Option<usize> {
        Some(LONGEST_NAME)
    }

    fn builds_apart(&self) -> bool {
        true
    }

    fn any_type(&self) -> &'static str {
        "TEXT"
    }

    fn any_key_type(&self) -> &'static str {
        "VARCHAR"
    }

    fn to_archive(&self, expression: &str) -> String {
        format!("({expression})::text")
    }

    fn of_archive(&self, expression: &str, column_type: ColumnType) -> String {
        format!("CAST({expression} AS {})", self.type_name(column_type))
    }

    fn of_archive_as(&self, expression: &str, column: &ColumnShape) -> String {
        format!("CAST({expression} AS {})", column.declared)
    }

    fn as_text(&self, column: &str) -> String {
        format!("{column}::text")
    }

    fn is_object(&self, column: &str) -> String {
        format!("jsonb_typeof({column}::jsonb) = 'object'")
    }

    fn run_created_at(&self, column: &str) -> String {
        let said = format!("({column}::jsonb -> 'created_at')");
        format!(
            "CASE WHEN jsonb_typeof{said} = 'number' AND {said}::numeric >= 1 AND {said}::numeric < 9223372036854775807 \
             THEN trunc({said}::numeric)::bigint END"
        )
    }

    fn of_text(&self, parameter: &str) -> String {
        format!("CAST({parameter} AS jsonb)")
    }

    fn is_text(&self, _: &str) -> String {
        "true".to_owned()
    }

    fn key_is_primary(&self) -> bool {
        false
    }

    fn render(&self, table: &str, action: &Action, shape: &Shape, now: i64) -> Result<Vec<String>, String> {
        let quoted = self.table(table);
        Ok(match action {
            Action::CreateTable { name, table, parent, key, indexes } => {
                self.create_table(name, table, parent, key, indexes)
            }
            Action::DropTable { name } => vec![format!("DROP TABLE {}", self.table(name))],
            Action::AddColumn(column) => self.add_column(&quoted, column, now),
            Action::Require(column) => {
                let (name, fill) =
                    (self.quote(column.name), column.fill.unwrap_or("NULL").replace("{now}", &now.to_string()));
                vec![
                    format!("UPDATE {quoted} SET {name} = {fill} WHERE {name} IS NULL"),
                    format!("ALTER TABLE {quoted} ALTER COLUMN {name} SET NOT NULL"),
                ]
            }
            Action::DropColumn(column) => vec![format!("ALTER TABLE {quoted} DROP COLUMN {}", self.quote(column.name))],
            Action::CreateIndex { on, name, index } => vec![self.create_index(on, name, index)],
            Action::DropIndex { name } => vec![format!("DROP INDEX {}", self.table(name))],
            Action::Retype(retypes) => vec![self.retype(&quoted, retypes)],
            Action::AddPrimaryKey { name, column, replaces } => {
                // Building the index lets readers go on; only taking it as the key, an instant, does not.
                let built = self.quote(name);
                let drops: String = replaces.iter().map(|old| format!("DROP CONSTRAINT {}, ", self.quote(old))).collect();
                vec![
                    format!("CREATE UNIQUE INDEX {built} ON {quoted} ({})", self.quote(column)),
                    format!("ALTER TABLE {quoted} {drops}ADD CONSTRAINT {built} PRIMARY KEY USING INDEX {built}"),
                ]
            }
            Action::DropPrimaryKey { column, unique } => {
                let key = shape.primary_key_name.as_deref().unwrap_or_default();
                let built = self.quote(unique);
                vec![
                    format!("CREATE UNIQUE INDEX {built} ON {quoted} ({})", self.quote(column)),
                    format!(
                        "ALTER TABLE {quoted} DROP CONSTRAINT {}, ADD CONSTRAINT {built} UNIQUE USING INDEX {built}",
                        self.quote(key)
                    ),
                    // Going with a primary key leaves NOT NULL on some servers and takes it on others.
                    format!("ALTER TABLE {quoted} ALTER COLUMN {} SET NOT NULL", self.quote(column)),
                ]
            }
            Action::ReplaceKey { drop, name, key } => self.replace_key(&quoted, drop, name, key, shape),
            Action::Archive(_) | Action::Restore { .. } | Action::Move(..) => Vec::new(),
        })
    }

    fn redefine(&self, _: &str, _: &Action, _: &Shape) -> Option<Definition> {
        None
    }
}

impl Postgres {
    fn list(&self, columns: &[&str]) -> String {
        columns.iter().map(|column| self.quote(column)).collect::<Vec<_>>().join(", ")
    }

    fn column(&self, column: &Column) -> String {
        let null = if column.required { " NOT NULL" } else { "" };
        format!("{} {}{null}", self.quote(column.name), self.type_name(column.column_type))
    }

    fn add_column(&self, quoted: &str, column: &Column, now: i64) -> Vec<String> {
        let name = self.quote(column.name);
        match column.fill {
            None => vec![format!("ALTER TABLE {quoted} ADD COLUMN {}", self.column(column))],
            // A constant default is kept beside the rows: none of them is written.
            Some(fill) if fill.starts_with('\'') => vec![
                format!("ALTER TABLE {quoted} ADD COLUMN {} DEFAULT {fill}", self.column(column)),
                format!("ALTER TABLE {quoted} ALTER COLUMN {name} DROP DEFAULT"),
            ],
            Some(fill) => vec![
                format!("ALTER TABLE {quoted} ADD COLUMN {name} {}", self.type_name(column.column_type)),
                format!("UPDATE {quoted} SET {name} = {}", fill.replace("{now}", &now.to_string())),
                format!("ALTER TABLE {quoted} ALTER COLUMN {name} SET NOT NULL"),
            ],
        }
    }

    /// All columns in one statement: the table is written once.
    fn retype(&self, quoted: &str, retypes: &[Retype]) -> String {
        let one = |retype: &Retype| {
            let (column, to) = (self.quote(retype.column), self.type_name(retype.to));
            format!("ALTER COLUMN {column} TYPE {to} USING {column}::{to}")
        };
        format!("ALTER TABLE {quoted} {}", retypes.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    fn create_index(&self, on: &str, name: &str, index: &Index) -> String {
        format!(
            "CREATE {}INDEX {}{} ON {} ({}){}",
            if index.unique { "UNIQUE " } else { "" },
            // Another replica may be building it.
            if index.apart { "CONCURRENTLY IF NOT EXISTS " } else { "" },
            self.quote(name),
            self.table(on),
            self.list(index.columns),
            index.condition.map_or(String::new(), |condition| format!(" WHERE {condition}")),
        )
    }

    fn replace_key(&self, quoted: &str, drop: &[IndexShape], name: &str, key: &Index, shape: &Shape) -> Vec<String> {
        let (constraints, plain): (Vec<_>, Vec<_>) = drop.iter().partition(|index| index.constraint);
        let mut changes: Vec<String> =
            constraints.iter().map(|index| format!("DROP CONSTRAINT {}", self.quote(&index.name))).collect();
        if !shape.covering(key).any(|index| index.constraint) {
            changes.push(format!("ADD CONSTRAINT {} UNIQUE ({})", self.quote(name), self.list(key.columns)));
        }
        let mut statements: Vec<String> =
            plain.iter().map(|index| format!("DROP INDEX {}", self.table(&index.name))).collect();
        if !changes.is_empty() {
            statements.push(format!("ALTER TABLE {quoted} {}", changes.join(", ")));
        }
        statements
    }

    fn create_table(&self, name: &str, table: &NewTable, parent: &str, key: &str, indexes: &[String]) -> Vec<String> {
        let mut parts: Vec<String> = table.columns.iter().map(|column| self.column(column)).collect();
        let kind = table.unique.map_or("PRIMARY KEY", |_| "UNIQUE");
        parts.push(format!("CONSTRAINT {} {kind} ({})", self.quote(key), self.quote(table.key)));
        parts.extend(table.parent_column.map(|column| {
            format!(
                "CONSTRAINT {} FOREIGN KEY (\"{column}\") REFERENCES {} (\"{column}\") ON DELETE CASCADE",
                self.quote(&self.fit(&format!("{name}_{column}_fkey"))),
                self.table(parent),
            )
        }));
        let mut statements = vec![format!("CREATE TABLE {} (\n\t{}\n)", self.table(name), parts.join(", \n\t"))];
        statements.extend(table.indexes.iter().zip(indexes).map(|(index, as_name)| self.create_index(name, as_name, index)));
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let dialect = Postgres { schema: "ai".to_owned() };
        assert_eq!(dialect.fit("idx_short"), "idx_short");
        let (a, b) = (dialect.fit(&format!("{}a", "n".repeat(63))), dialect.fit(&format!("{}b", "n".repeat(63))));
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
        assert!(dialect.fit(&"é".repeat(40)).len() <= 63);
    }

    #[test]
    fn names_are_quoted() {
        let dialect = Postgres { schema: "a\"i".to_owned() };
        assert_eq!(dialect.table("x y"), "\"a\"\"i\".\"x y\"");
    }
}
