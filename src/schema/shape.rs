//! What a database has: the answer of a backend that was asked about a table.

use super::step::{ColumnType, Condition, Index};

/// A column that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnShape {
    /// Its name.
    pub name: String,
    /// What it holds; `None` for a type the declaration has no word for.
    pub column_type: Option<ColumnType>,
    /// Its type as the database writes it.
    pub declared: String,
    /// NOT NULL.
    pub required: bool,
    /// Its value is computed by the database: it can be read but not written.
    pub generated: bool,
}

/// An index or unique key that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexShape {
    /// Its name.
    pub name: String,
    /// Its columns in order. Empty when it covers an expression, sorts downwards or collates in its own way: it then holds no
    /// fact of ours.
    pub columns: Vec<String>,
    /// Two rows may not have equal values in them.
    pub unique: bool,
    /// Its WHERE, as the database tells it.
    pub condition: Option<String>,
    /// Finished and usable.
    pub valid: bool,
    /// It belongs to a UNIQUE or PRIMARY KEY of the table: it cannot be dropped by itself.
    pub constraint: bool,
}

/// A foreign key of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyShape {
    /// Its columns.
    pub columns: Vec<String>,
    /// The table it names.
    pub parent: String,
    /// ON DELETE CASCADE: a row goes with the one that it names.
    pub cascades: bool,
}

/// A table that is there.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Shape {
    /// Its columns, in order.
    pub columns: Vec<ColumnShape>,
    /// The columns of its primary key; empty without one.
    pub primary_key: Vec<String>,
    /// What its primary key is called, where keys have names that are needed to drop them (PostgreSQL).
    pub primary_key_name: Option<String>,
    /// Its indexes, those of unique keys included, that of the primary key not.
    pub indexes: Vec<IndexShape>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKeyShape>,
    /// The statements that made it, where the database keeps them (SQLite): a rebuild edits these, so nothing in them is lost.
    pub definition: Option<Definition>,
}

/// The statements that made a table and what hangs on it, as the database keeps them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Definition {
    /// CREATE TABLE.
    pub table: String,
    /// CREATE INDEX, by name.
    pub indexes: Vec<(String, String)>,
    /// CREATE TRIGGER, by name.
    pub triggers: Vec<(String, String)>,
}

impl Shape {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The indexes that hold what `index` wants, whatever their names.
    pub fn covering<'a>(&'a self, index: &'a Index) -> impl Iterator<Item = &'a IndexShape> + 'a {
        self.indexes.iter().filter(move |there| there.holds(index))
    }

    /// A unique key or index, or the primary key, over exactly these columns.
    pub fn is_unique(&self, columns: &[&str]) -> bool {
        self.primary_key == columns
            || self
                .indexes
                .iter()
                .any(|index| index.unique && index.valid && index.condition.is_none() && index.columns == columns)
    }
}

impl IndexShape {
    /// Same columns in the same order, same rows, same uniqueness, finished.
    pub fn holds(&self, index: &Index) -> bool {
        self.valid
            && self.unique == index.unique
            && self.columns == index.columns
            && match (&self.condition, index.condition) {
                (None, None) => true,
                (Some(there), Some(wanted)) => plain(there) == plain(&wanted.to_string()),
                _ => false,
            }
    }

    /// Whether Agno or we gave it its name. Agno's own migration of 2.5.6 says `ix_` where its tables say `idx_`.
    pub fn is_agnos(&self, table: &str, index: &Index) -> bool {
        let name = index.name(table);
        let stem = self.name.strip_suffix("_2").unwrap_or(&self.name);
        self.constraint
            || stem == name
            || name.strip_prefix("idx_").is_some_and(|rest| stem.strip_prefix("ix_") == Some(rest))
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Null(column) => write!(f, "{column} IS NULL"),
            Condition::NotNull(column) => write!(f, "{column} IS NOT NULL"),
        }
    }
}

/// A condition without what the databases add when they print it: case, blanks, brackets, quotes.
fn plain(condition: &str) -> String {
    condition.chars().filter(|c| !c.is_whitespace() && !"()\"`[]".contains(*c)).flat_map(char::to_lowercase).collect()
}
