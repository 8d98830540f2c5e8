//! The version table, as Agno keeps it. Source: `upsert_schema_version` and `VERSIONS_TABLE_SCHEMA` of Agno 2.3 and newer.

use crate::backend::{Backend, Catalog};
use crate::error::Stop;
use anyhow::Result;
use semver::Version;
use std::collections::BTreeMap;

/// The columns Agno gives it.
const COLUMNS: [&str; 4] = ["table_name", "version", "created_at", "updated_at"];

/// The stamps, by table name; empty when there is no version table.
pub fn read(backend: &mut dyn Backend, catalog: &Catalog, versions: &str) -> Result<BTreeMap<String, String>> {
    let Some(shape) = catalog.tables.get(versions) else {
        return match catalog.names.contains(versions) {
            true => Err(Stop::Refused(format!(
                "{versions} is no table, and the version table would have that name: rename it, or say --table versions=NAME"
            ))
            .into()),
            false => Ok(BTreeMap::new()),
        };
    };
    let lacking: Vec<&str> = COLUMNS.into_iter().filter(|column| shape.column(column).is_none()).collect();
    if !lacking.is_empty() {
        return Err(Stop::Refused(format!(
            "{versions} is no version table of Agno: it lacks {}; name the right one with --table versions=NAME",
            lacking.join(", ")
        ))
        .into());
    }
    let sql = format!("SELECT table_name, version FROM {} ORDER BY version", backend.dialect().table(versions));
    let stamps = backend.query(&sql, &[])?.into_iter().filter_map(|row| match row.as_slice() {
        [Some(table), version] => Some((table.clone(), version.clone().unwrap_or_default())),
        _ => None,
    });
    Ok(stamps.collect())
}

/// Stamps a table; makes the version table when there is none.
pub fn write(backend: &mut dyn Backend, versions: &str, table: &str, version: &Version) -> Result<()> {
    let dialect = backend.dialect();
    let quoted = dialect.table(versions);
    if !backend.has_table(versions)? {
        let create = format!(
            "CREATE TABLE {quoted} (\n\ttable_name VARCHAR NOT NULL, \n\tversion VARCHAR NOT NULL, \n\t\
             created_at VARCHAR NOT NULL, \n\tupdated_at VARCHAR, \n\tPRIMARY KEY (table_name)\n)"
        );
        backend.execute(&create, &[])?;
        let index = dialect.quote(&dialect.fit(&format!("idx_{versions}_created_at")));
        backend.execute(&format!("CREATE INDEX {index} ON {quoted} (created_at)"), &[])?;
        // Agno stamps its tables, too.
        backend.share(versions, table)?;
    }
    let now = jiff::ZonedDateTime::now().datetime().strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    let values = [version.to_string().as_str().into(), now.as_str().into(), table.into()];
    let update = format!("UPDATE {quoted} SET version = $1, updated_at = $2 WHERE table_name = $3");
    if backend.execute(&update, &values)? == 0 {
        let insert = format!("INSERT INTO {quoted} (version, created_at, updated_at, table_name) VALUES ($1, $2, $2, $3)");
        backend.execute(&insert, &values)?;
    }
    Ok(())
}

/// Takes the stamp of a table that was dropped.
pub fn remove(backend: &mut dyn Backend, versions: &str, table: &str) -> Result<()> {
    let sql = format!("DELETE FROM {} WHERE table_name = $1", backend.dialect().table(versions));
    backend.execute(&sql, &[table.into()]).map(|_| ())
}
