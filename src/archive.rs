//! The archive: a table made only when needed, which keeps what an older schema has no place for until `up` puts it back.
//!
//! A row of it is one value: table type, table, key of the row, column, value. Values of rows that were archived whole have
//! `row.` before the name of the column.

use crate::backend::{Backend, Catalog, Value};
use crate::discover::Found;
use crate::plan::Over;
use crate::schema::tables::{ARCHIVE_TABLE, TableType};
use crate::schema::{Column, Shape};
use anyhow::{Result, anyhow};
use std::collections::{BTreeMap, BTreeSet};

/// The column that says whose row it is, for [`crate::schema::Move::OwnedRows`].
pub const OWNER: &str = "user_id";

/// The columns of the archive.
const COLUMNS: [&str; 5] = ["table_type", "table_name", "row_key", "column_name", "value"];

/// Why something that has the name of the archive is none; `None`: it is the archive, or nothing has the name.
pub fn stranger(catalog: &Catalog) -> Option<String> {
    let why = match catalog.tables.get(ARCHIVE_TABLE) {
        Some(shape) => {
            let lacking: Vec<&str> = COLUMNS.into_iter().filter(|column| shape.column(column).is_none()).collect();
            Some(format!("lacks {}", lacking.join(", "))).filter(|_| !lacking.is_empty())
        }
        None => catalog.names.contains(ARCHIVE_TABLE).then(|| "is no table".to_owned()),
    };
    why.map(|why| {
        format!("{ARCHIVE_TABLE} {why}: it has the name of the table in which agno-migrate keeps values; rename it")
    })
}

/// Which columns of which tables have values in the archive.
pub fn columns(backend: &mut dyn Backend, catalog: &Catalog) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if !catalog.tables.get(ARCHIVE_TABLE).is_some_and(is_one) {
        return Ok(columns);
    }
    let archive = backend.dialect().table(ARCHIVE_TABLE);
    let sql = format!("SELECT DISTINCT table_type, table_name, column_name FROM {archive}");
    for row in backend.query(&sql, &[])? {
        if let [Some(table_type), Some(table), Some(column)] = row.as_slice()
            && TableType::from_word(table_type).is_some()
        {
            columns.entry(table.clone()).or_default().insert(column.clone());
        }
    }
    Ok(columns)
}

/// Whether the table of its name is an archive.
pub fn is_one(shape: &Shape) -> bool {
    COLUMNS.iter().all(|column| shape.column(column).is_some())
}

/// What is before the column of a value whose whole row was archived.
pub const ROW: &str = "row.";

/// What is before the column of a value whose place the app took: it is kept, but never put back.
const LOST: &str = "lost.";

/// What a value in the archive waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its column.
    Value,
    /// Its whole row.
    Row,
    /// Nothing: the app took its place.
    Taken,
}

/// The values of a column in the archive.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What the archive says that the table keeps.
    pub table_type: String,
    /// The table they come from.
    pub table: String,
    /// The column.
    pub column: String,
    /// The column as the archive calls it.
    pub entry: String,
    /// What they wait for.
    pub place: Place,
    /// How many.
    pub values: u64,
}

/// The column in an entry without its `lost.`: a number and `row.` may be before it.
fn of_taken(rest: &str) -> &str {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let rest = rest.split_once('.').filter(|(number, _)| is_number(number)).map_or(rest, |(_, rest)| rest);
    rest.strip_prefix(ROW).unwrap_or(rest)
}

/// What the archive holds, by table and column.
pub fn kept(backend: &mut dyn Backend) -> Result<Vec<Kept>> {
    let sql = format!(
        "SELECT table_type, table_name, column_name, {} FROM {} GROUP BY table_type, table_name, column_name \
         ORDER BY table_name, column_name, table_type",
        backend.dialect().to_archive("count(*)"),
        backend.dialect().table(ARCHIVE_TABLE)
    );
    let kept = |mut row: Vec<Option<String>>| {
        let (count, entry, table, table_type) = (row.pop()??, row.pop()??, row.pop()??, row.pop()??);
        let (place, column) = match (entry.strip_prefix(LOST), entry.strip_prefix(ROW)) {
            (Some(rest), _) => (Place::Taken, of_taken(rest)),
            (None, Some(rest)) => (Place::Row, rest),
            (None, None) => (Place::Value, entry.as_str()),
        };
        let column = column.to_owned();
        Some(Kept { table_type, table, column, entry, place, values: count.parse().unwrap_or(0) })
    };
    Ok(backend.query(&sql, &[])?.into_iter().filter_map(kept).collect())
}

/// How many archived values of a column belong to rows that are no longer there.
pub fn without_row(backend: &mut dyn Backend, table: &Found, column: &str) -> Result<u64> {
    let dialect = backend.dialect();
    let sql = format!(
        "SELECT {} FROM {} a WHERE a.table_name = $1 AND a.column_name = $2 \
         AND NOT EXISTS (SELECT 1 FROM {} t WHERE t.{} = a.row_key)",
        dialect.to_archive("count(*)"),
        dialect.table(ARCHIVE_TABLE),
        dialect.table(&table.name),
        dialect.quote(table.table_type.known().key[0])
    );
    let count = backend.query(&sql, &[table.name.as_str().into(), column.into()])?.into_iter().flatten().flatten().next();
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// Whether the archive holds whole rows of a table, by what [`columns`] found.
pub fn has_rows(columns: &BTreeSet<String>) -> bool {
    columns.iter().any(|column| column.starts_with(ROW))
}

/// A table and its archive.
pub struct Archive<'b> {
    /// The database.
    pub backend: &'b mut dyn Backend,
    /// The type of the table.
    pub table_type: TableType,
    /// The name of the table.
    pub table: &'b str,
}

impl Archive<'_> {
    fn key(&self) -> String {
        self.backend.dialect().quote(self.table_type.known().key[0])
    }

    fn own(&self) -> String {
        self.backend.dialect().table(self.table)
    }

    fn archive(&self) -> String {
        self.backend.dialect().table(ARCHIVE_TABLE)
    }

    fn create(&mut self) -> Result<()> {
        if self.backend.has_table(ARCHIVE_TABLE)? {
            return Ok(());
        }
        let sql = format!(
            "CREATE TABLE {} (table_type VARCHAR NOT NULL, table_name VARCHAR NOT NULL, row_key {key} NOT NULL, \
             column_name VARCHAR NOT NULL, value {any}, PRIMARY KEY (table_name, row_key, column_name))",
            self.archive(),
            key = self.backend.dialect().any_key_type(),
            any = self.backend.dialect().any_type()
        );
        self.backend.execute(&sql, &[])?;
        // Whoever has the table has to be able to go on with what it keeps.
        self.backend.own(ARCHIVE_TABLE, self.table).map(|_| ())
    }

    /// Archives a column of some rows, as `entry`.
    fn put(&mut self, column: &str, entry: &str, rows: &str) -> Result<u64> {
        // One that waits already is of a place that was there again since, with another value.
        self.set_aside(column, entry, rows)?;
        let sql = format!(
            "INSERT INTO {archive} (table_type, table_name, row_key, column_name, value) \
             SELECT '{word}', $1, {key}, $2, {value} FROM {own} WHERE {rows} \
             ON CONFLICT (table_name, row_key, column_name) DO UPDATE SET value = excluded.value",
            archive = self.archive(),
            word = self.table_type,
            key = self.key(),
            value = self.backend.dialect().to_archive(&self.backend.dialect().quote(column)),
            own = self.own(),
        );
        self.backend.execute(&sql, &[self.table.into(), entry.into()])
    }

    /// Keeps the archived values of a column aside where a row is there and has another: they are asked for no more.
    pub fn give_way(&mut self, column: &Column) -> Result<()> {
        self.set_aside(column.name, column.name, "true")
    }

    /// Gives archived values of an entry another name, under which they are kept and asked for no more, where the row has another
    /// value in the column. `rows`: of which rows.
    fn set_aside(&mut self, column: &str, entry: &str, rows: &str) -> Result<()> {
        let (archive, own, key) = (self.archive(), self.own(), self.key());
        let dialect = self.backend.dialect();
        let value = dialect.to_archive(&format!("{own}.{}", dialect.quote(column)));
        let mine = format!(
            "table_name = $1 AND column_name = $2 AND EXISTS (SELECT 1 FROM {own} WHERE {own}.{key} = {archive}.row_key \
             AND {value} IS DISTINCT FROM {archive}.value AND ({rows}))"
        );
        self.name_lost(&mine, &[self.table.into(), entry.into()])
    }

    /// Puts `lost.` before the names of entries, or the first `lost.2.`, `lost.3.` .. that is free.
    fn name_lost(&mut self, mine: &str, parameters: &[Value]) -> Result<()> {
        const MOST: u32 = 10_000;
        let archive = self.archive();
        let mut prefix = LOST.to_owned();
        for number in 2..MOST {
            let sql = format!(
                "UPDATE {archive} SET column_name = '{prefix}' || column_name WHERE {mine} AND NOT EXISTS (SELECT 1 FROM {archive} b \
                 WHERE b.table_name = {archive}.table_name AND b.row_key = {archive}.row_key \
                   AND b.column_name = '{prefix}' || {archive}.column_name)"
            );
            self.backend.execute(&sql, parameters)?;
            let left = format!("SELECT 1 FROM {archive} WHERE {mine} LIMIT 1");
            if self.backend.query(&left, parameters)?.is_empty() {
                return Ok(());
            }
            prefix = format!("{LOST}{number}.");
        }
        Err(anyhow!(
            "{ARCHIVE_TABLE} does not take another name for values that wait in it: see what keeps it from being written"
        ))
    }

    fn any(&mut self, condition: &str) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE {condition} LIMIT 1", self.own());
        Ok(!self.backend.query(&sql, &[])?.is_empty())
    }

    /// Keeps every value of a column; returns how many.
    pub fn keep(&mut self, column: &Column) -> Result<u64> {
        // The value that stands for "nobody's" comes back by itself.
        let quoted = self.backend.dialect().quote(column.name);
        let rows = if column.fill == Some("''") { format!("{quoted} <> ''") } else { "true".to_owned() };
        self.keep_of(column, &rows)
    }

    /// Keeps the values of a column of some rows; returns how many.
    pub fn keep_of(&mut self, column: &Column, rows: &str) -> Result<u64> {
        let quoted = self.backend.dialect().quote(column.name);
        self.keep_all_of(column, &format!("{quoted} IS NOT NULL AND {rows}"))
    }

    /// Keeps the values of a column of some rows, NULLs too; returns how many.
    pub fn keep_all_of(&mut self, column: &Column, rows: &str) -> Result<u64> {
        if !self.any(rows)? {
            return Ok(0);
        }
        self.create()?;
        self.put(column.name, column.name, rows)
    }

    /// Whether there are values of a column.
    pub fn has(&mut self, column: &Column) -> Result<bool> {
        if !self.backend.has_table(ARCHIVE_TABLE)? {
            return Ok(false);
        }
        let sql = format!("SELECT 1 FROM {} WHERE table_name = $1 AND column_name = $2 LIMIT 1", self.archive());
        Ok(!self.backend.query(&sql, &[self.table.into(), column.name.into()])?.is_empty())
    }

    /// Puts the values of a column back by key and forgets them; those of rows that were deleted since are forgotten too.
    /// Returns how many came back.
    pub fn restore(&mut self, column: &Column, over: Over) -> Result<u64> {
        let (archive, own, key) = (self.archive(), self.own(), self.key());
        let quoted = self.backend.dialect().quote(column.name);
        let of_row = format!("a.table_name = $1 AND a.column_name = $2 AND a.row_key = {own}.{key}");
        let missing = match over {
            Over::All => "",
            Over::Null => &format!(" AND {quoted} IS NULL"),
        };
        let value = self.backend.dialect().of_archive("a.value", column.column_type);
        let sql = format!(
            "UPDATE {own} SET {quoted} = (SELECT {value} FROM {archive} a WHERE {of_row}) \
             WHERE EXISTS (SELECT 1 FROM {archive} a WHERE {of_row}){missing}"
        );
        let parameters = [self.table.into(), column.name.into()];
        let restored = self.backend.execute(&sql, &parameters)?;
        if over == Over::Null {
            // What the app wrote since counts; the value it took the place of is kept, and asked for no more.
            self.give_way(column)?;
        }
        let sql = format!("DELETE FROM {archive} WHERE table_name = $1 AND column_name = $2");
        self.backend.execute(&sql, &parameters)?;
        self.drop_if_empty()?;
        Ok(restored)
    }

    /// Rows that belong to one user, as a condition.
    fn owned(&self) -> String {
        format!("{} <> ''", self.backend.dialect().quote(OWNER))
    }

    /// Whether there are rows of single users.
    pub fn has_owned_rows(&mut self, shape: &Shape) -> Result<bool> {
        let owned = self.owned();
        Ok(shape.column(OWNER).is_some() && self.any(&owned)?)
    }

    /// Moves the rows of single users into the archive, whole; returns how many.
    pub fn keep_owned_rows(&mut self, shape: &Shape) -> Result<u64> {
        self.create()?;
        let owned = self.owned();
        for column in shape.columns.iter().filter(|column| !column.generated) {
            let quoted = self.backend.dialect().quote(&column.name);
            self.put(&column.name, &format!("{ROW}{}", column.name), &format!("{quoted} IS NOT NULL AND {owned}"))?;
        }
        let sql = format!("DELETE FROM {} WHERE {owned}", self.own());
        self.backend.execute(&sql, &[])
    }

    /// The keys of rows that wait in the archive, whole.
    fn whole_rows(&mut self) -> Result<Vec<String>> {
        let sql = format!("SELECT row_key FROM {} WHERE table_name = $1 AND column_name = $2", self.archive());
        let rows = self
            .backend
            .query(&sql, &[self.table.into(), format!("{ROW}{}", self.table_type.known().key[0]).as_str().into()])?;
        Ok(rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
    }

    /// Puts archived rows back; returns how many, and the keys of those that cannot since the app wrote a row in their place.
    pub fn restore_rows(&mut self, shape: &Shape) -> Result<(u64, Vec<String>)> {
        let (archive, own, key) = (self.archive(), self.own(), self.key());
        let mut restored = 0;
        let mut stay = Vec::new();
        let stored: Vec<_> = shape.columns.iter().filter(|column| !column.generated).collect();
        let names = stored.iter().map(|c| self.backend.dialect().quote(&c.name)).collect::<Vec<_>>().join(", ");
        let values = stored.iter().map(|c| {
            let value = format!("max(CASE column_name WHEN '{ROW}{}' THEN value END)", c.name.replace('\'', "''"));
            self.backend.dialect().of_archive_as(&value, c)
        });
        let insert = format!(
            "INSERT INTO {own} ({names}) SELECT {} FROM {archive} WHERE table_name = $1 AND row_key = $2 GROUP BY row_key \
             ON CONFLICT DO NOTHING",
            values.collect::<Vec<_>>().join(", ")
        );
        // A row a day and user: few enough to go one by one, and then each knows its fate.
        for row in self.whole_rows()? {
            let parameters: [Value; 2] = [self.table.into(), row.as_str().into()];
            let there = format!("SELECT 1 FROM {own} WHERE {key} = $1");
            if self.backend.query(&there, &parameters[1..])?.is_empty() && self.backend.execute(&insert, &parameters)? == 1 {
                let sql = format!("DELETE FROM {archive} WHERE table_name = $1 AND row_key = $2");
                self.backend.execute(&sql, &parameters)?;
                restored += 1;
            } else {
                let mine = format!("table_name = $1 AND row_key = $2 AND column_name LIKE '{ROW}%'");
                self.name_lost(&mine, &parameters)?;
                stay.push(row);
            }
        }
        self.drop_if_empty()?;
        Ok((restored, stay))
    }

    fn drop_if_empty(&mut self) -> Result<()> {
        let archive = self.archive();
        if self.backend.query(&format!("SELECT 1 FROM {archive} LIMIT 1"), &[])?.is_empty() {
            self.backend.execute(&format!("DROP TABLE {archive}"), &[])?;
        }
        Ok(())
    }
}
