//! Rights that the role lacks for what is planned, and those that others need of a table that is made.

use super::aside::MAY_FIRE;
use super::client::Client;
use super::dialect::Postgres;
use crate::backend::Dialect;
use crate::plan::Action;
use crate::schema::tables::{ARCHIVE_TABLE, runs_name};
use crate::schema::{Direction, Move};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// What the actions on a table need.
#[derive(Default)]
struct Needs {
    /// Tables that are changed, which takes their owner.
    owned: BTreeSet<String>,
    /// Rights on tables.
    rights: BTreeMap<String, BTreeSet<&'static str>>,
    /// Tables and indexes are made.
    creates: bool,
    /// So are temporary tables.
    temporary: bool,
}

impl Needs {
    fn of(&mut self, table: &str, rights: &[&'static str]) {
        self.rights.entry(table.to_owned()).or_default().extend(rights);
    }
}

/// Rights that the role lacks, in sentences.
pub fn lacking(client: &mut Client, dialect: &Postgres, table: &str, actions: &[Action]) -> Result<Vec<String>> {
    let runs = runs_of(client, dialect, table, actions)?;
    let makes_runs = actions.iter().any(|action| matches!(action, Action::CreateTable { .. }));
    let archive = exists(client, dialect, ARCHIVE_TABLE)?;
    let mut needs = Needs::default();
    let mut written = BTreeSet::from([table]);
    for action in actions {
        match action {
            Action::CreateTable { .. } => {
                needs.creates = true;
                needs.owned.insert(table.to_owned());
            }
            Action::CreateIndex { on, .. } => {
                needs.creates = true;
                needs.owned.insert(on.clone());
            }
            Action::DropTable { name } => {
                needs.owned.insert(name.clone());
            }
            Action::AddPrimaryKey { .. } | Action::DropPrimaryKey { .. } | Action::ReplaceKey { .. } => {
                needs.creates = true;
                needs.owned.insert(table.to_owned());
            }
            Action::Archive(_) if archive => needs.of(ARCHIVE_TABLE, &["SELECT", "INSERT", "UPDATE"]),
            Action::Archive(_) => needs.creates = true,
            Action::Restore { .. } => {
                needs.of(table, &["SELECT", "UPDATE"]);
                // It goes when it is empty.
                needs.owned.insert(ARCHIVE_TABLE.to_owned());
            }
            // A lock that keeps writers away takes the right to write.
            Action::Move(Move::Runs, Direction::Up) => {
                needs.of(table, &["SELECT", "UPDATE"]);
                if !makes_runs {
                    needs.temporary = true;
                    needs.of(&runs, &["SELECT", "INSERT", "UPDATE"]);
                    written.insert(&runs);
                }
                if archive && has_archived(client, dialect, &runs)? {
                    needs.owned.insert(ARCHIVE_TABLE.to_owned());
                }
            }
            Action::Move(Move::Runs, Direction::Down) => {
                needs.of(table, &["SELECT", "UPDATE"]);
                needs.of(&runs, &["SELECT", "UPDATE"]);
                if archive {
                    needs.of(ARCHIVE_TABLE, &["SELECT", "INSERT", "UPDATE"]);
                }
            }
            Action::Move(Move::OwnedRows, Direction::Up) => {
                needs.of(table, &["SELECT", "INSERT"]);
                needs.owned.insert(ARCHIVE_TABLE.to_owned());
            }
            Action::Move(Move::OwnedRows, Direction::Down) => {
                needs.of(table, &["SELECT", "DELETE"]);
                match archive {
                    true => needs.of(ARCHIVE_TABLE, &["SELECT", "INSERT", "UPDATE"]),
                    false => needs.creates = true,
                }
            }
            Action::Move(Move::OpenDay, _) => needs.of(table, &["SELECT", "DELETE"]),
            Action::Move(Move::EntityKeys, _) => needs.of(table, &["SELECT", "UPDATE", "DELETE"]),
            _ => {
                needs.owned.insert(table.to_owned());
            }
        }
    }
    let mut lacking = Vec::new();
    for name in &needs.owned {
        if let Some(owner) = other_owner(client, dialect, name)? {
            let whose = if name == table { "its owner".to_owned() } else { format!("the owner of {name}") };
            lacking.push(format!(
                "the role {user} is not {whose}, which changing it takes: run this as {owner}, or GRANT {owner} TO {user}",
                user = client.user()
            ));
        }
    }
    for (name, rights) in &needs.rights {
        lacking.extend(lacking_on(client, dialect, name, rights)?);
    }
    for name in written {
        lacking.extend(cannot_silence(client, dialect, name)?);
    }
    if needs.creates {
        lacking.extend(may_not_create(client, dialect)?);
    }
    if needs.temporary {
        let sql = "SELECT quote_ident(current_database()) WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')";
        if let Some(database) = client.one(sql, &[])? {
            lacking.push(format!(
                "the role {user} may not create temporary tables, through which runs go to a table that has some: GRANT TEMPORARY \
                 ON DATABASE {database} TO {user}",
                user = client.user()
            ));
        }
    }
    Ok(lacking)
}

/// The same for a table that rows are written to and that is made when it is not there.
pub fn lacking_to_write(
    client: &mut Client,
    dialect: &Postgres,
    table: &str,
    direction: Direction,
) -> Result<Option<String>> {
    if exists(client, dialect, table)? {
        let mut rights = BTreeSet::from(["SELECT", "INSERT", "UPDATE"]);
        if direction == Direction::Down {
            rights.insert("DELETE");
        }
        return lacking_on(client, dialect, table, &rights);
    }
    may_not_create(client, dialect)
}

/// The runs table of a sessions table: the one an action names, the one that refers to it, or the one of the default name.
fn runs_of(client: &mut Client, dialect: &Postgres, table: &str, actions: &[Action]) -> Result<String> {
    let named = actions.iter().find_map(|action| match action {
        Action::CreateTable { name, .. } | Action::DropTable { name } => Some(name.clone()),
        Action::CreateIndex { on, .. } if on != table => Some(on.clone()),
        _ => None,
    });
    let refers = "SELECT c.relname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                  WHERE k.contype = 'f' AND k.confrelid = to_regclass($1) \
                    AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'run_data')";
    Ok(match named {
        Some(named) => named,
        None => client.one(refers, &[&dialect.table(table)])?.unwrap_or_else(|| runs_name(table)),
    })
}

fn exists(client: &mut Client, dialect: &Postgres, table: &str) -> Result<bool> {
    Ok(client.one("SELECT to_regclass($1)::text", &[&dialect.table(table)])?.is_some())
}

fn has_archived(client: &mut Client, dialect: &Postgres, table: &str) -> Result<bool> {
    let sql = format!("SELECT 1::text FROM {} WHERE table_name = $1 LIMIT 1", dialect.table(ARCHIVE_TABLE));
    Ok(client.one(&sql, &[table])?.is_some())
}

/// The owner of a table, when the role has not its rights.
fn other_owner(client: &mut Client, dialect: &Postgres, table: &str) -> Result<Option<String>> {
    let sql = "SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c \
               WHERE c.oid = to_regclass($1) AND NOT pg_has_role(c.relowner, 'USAGE')";
    client.one(sql, &[&dialect.table(table)])
}

fn lacking_on(client: &mut Client, dialect: &Postgres, table: &str, rights: &BTreeSet<&str>) -> Result<Option<String>> {
    let quoted = dialect.table(table);
    let wanted = rights.iter().copied().collect::<Vec<_>>().join(",");
    let sql = "SELECT string_agg(r, ', ') FROM unnest(string_to_array($2, ',')) r \
               WHERE to_regclass($1) IS NOT NULL AND NOT has_table_privilege(to_regclass($1), r)";
    Ok(client.one(sql, &[&quoted, &wanted])?.map(|lacks| {
        format!("the role {user} lacks {lacks} on {table}: GRANT {lacks} ON {quoted} TO {user}", user = client.user())
    }))
}

/// Only its owner can disable a trigger or a rule.
fn cannot_silence(client: &mut Client, dialect: &Postgres, table: &str) -> Result<Option<String>> {
    let Some(owner) = other_owner(client, dialect, table)? else { return Ok(None) };
    let triggers = client.ask(MAY_FIRE, &[&dialect.table(table)])?;
    let names: Vec<String> = triggers.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    Ok((!names.is_empty()).then(|| {
        format!(
            "{table} has triggers or rules that have to be disabled while rows are written ({}), which takes its owner: run this as {owner}, \
             or GRANT {owner} TO {}",
            names.join(", "),
            client.user()
        )
    }))
}

fn may_not_create(client: &mut Client, dialect: &Postgres) -> Result<Option<String>> {
    let sql = "SELECT quote_ident(n.nspname) FROM pg_namespace n WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'CREATE')";
    Ok(client.one(sql, &[&dialect.schema])?.map(|schema| {
        format!(
            "the role {user} may not create anything in the schema {schema}: GRANT CREATE ON SCHEMA {schema} TO {user}",
            user = client.user()
        )
    }))
}
