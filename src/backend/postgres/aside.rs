//! What is set aside while rows of a table are written, and put back before the transaction ends: triggers and rules of the user,
//! which would take what moves for a change of the app's (on SQLite triggers are silent too) or keep it from being written at
//! all; and the replica identity of a published table, without which it cannot be written and whose index may go.

use super::client::Client;
use super::dialect::Postgres;
use crate::backend::Dialect;
use anyhow::Result;

/// What puts everything back as it was.
#[derive(Default)]
pub struct Aside {
    statements: Vec<String>,
    identities: Vec<(String, Identity)>,
}

/// By what subscribers know the rows of a published table.
enum Identity {
    /// Nothing, in these words: whoever publishes it can only insert.
    Lacking(&'static str),
    /// The primary key.
    Key,
    /// An index of this name.
    Index(String),
}

impl Aside {
    /// Sets aside what would get in the way of writing a table. One that has nothing of the kind is not locked.
    pub fn set(&mut self, client: &mut Client, dialect: &Postgres, table: &str) -> Result<()> {
        let quoted = dialect.table(table);
        let (mut now, mut afterwards) = (Vec::new(), Vec::new());
        for row in client.ask(MAY_FIRE, &[&quoted])? {
            let [Some(name), Some(state), Some(kind)] = row.as_slice() else { continue };
            let name = dialect.quote(name);
            let enable = match state.as_str() {
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => "ENABLE",
            };
            now.push(format!("DISABLE {kind} {name}"));
            afterwards.push(format!("{enable} {kind} {name}"));
        }
        for row in client.ask(IDENTITY_OF_PUBLISHED, &[&quoted])? {
            let identity = match row.as_slice() {
                [Some(kind), has_key, Some(index)] => match (kind.as_str(), has_key.as_deref()) {
                    ("i", _) => Identity::Index(index.clone()),
                    ("d", Some("true")) => Identity::Key,
                    ("d", _) => Identity::Lacking("DEFAULT"),
                    _ => Identity::Lacking("NOTHING"),
                },
                _ => continue,
            };
            if !matches!(identity, Identity::Key) {
                now.push("REPLICA IDENTITY FULL".to_owned());
            }
            self.identities.push((quoted.clone(), identity));
        }
        if now.is_empty() {
            return Ok(());
        }
        if !afterwards.is_empty() {
            // IF EXISTS: the table may be dropped in the same transaction.
            self.statements.push(format!("ALTER TABLE IF EXISTS {quoted} {}", afterwards.join(", ")));
        }
        client.run(&format!("ALTER TABLE {quoted} {}", now.join(", ")))
    }

    /// Puts it back. An identity whose key or index has gone becomes that of the key that took its place.
    pub fn put_back(&mut self, client: &mut Client, dialect: &Postgres) -> Result<()> {
        std::mem::take(&mut self.statements).iter().try_for_each(|statement| client.run(statement))?;
        for (table, identity) in std::mem::take(&mut self.identities) {
            let Some(best) = client.one(BEST_IDENTITY, &[&table])? else { continue };
            let wanted = match &identity {
                Identity::Lacking(word) => (*word).to_owned(),
                Identity::Key if best == "DEFAULT" => continue,
                Identity::Index(name) if client.one(INDEX_OF, &[&table, name])?.is_some() => {
                    format!("USING INDEX {}", dialect.quote(name))
                }
                Identity::Key | Identity::Index(_) => best,
            };
            client.run(&format!("ALTER TABLE {table} REPLICA IDENTITY {wanted}"))?;
        }
        Ok(())
    }
}

/// The user's triggers and rules of a table that may fire, each with its state and what it is.
pub const MAY_FIRE: &str = "SELECT t.tgname::text, t.tgenabled::text, 'TRIGGER' FROM pg_trigger t \
    WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D' \
    UNION ALL SELECT w.rulename::text, w.ev_enabled::text, 'RULE' FROM pg_rewrite w \
    WHERE w.ev_class = to_regclass($1) AND w.ev_type <> '1' AND w.ev_enabled <> 'D' ORDER BY 3, 1";

/// The kind of the replica identity of a published table, whether it has a primary key, and the index of the identity. None for
/// one that is not published, or by all its columns.
const IDENTITY_OF_PUBLISHED: &str = "SELECT c.relreplident::text, \
      (EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary))::text, \
      coalesce((SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
                WHERE x.indrelid = c.oid AND x.indisreplident LIMIT 1), '') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1) AND c.relreplident <> 'f' \
      AND EXISTS (SELECT 1 FROM pg_publication) \
      AND EXISTS (SELECT 1 FROM pg_publication_tables p WHERE p.schemaname = n.nspname AND p.tablename = c.relname)";

/// What a table's rows can be known by: its primary key, else a unique key without NULLs, else all columns. None without a table.
const BEST_IDENTITY: &str = "SELECT coalesce((SELECT CASE WHEN x.indisprimary THEN 'DEFAULT' ELSE 'USING INDEX ' || quote_ident(i.relname) END \
      FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
      WHERE x.indrelid = c.oid AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL \
        AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (x.indkey) AND NOT a.attnotnull) \
      ORDER BY x.indisprimary DESC, i.relname LIMIT 1), 'FULL') FROM pg_class c WHERE c.oid = to_regclass($1)";

/// Whether an index is still there.
const INDEX_OF: &str = "SELECT 1::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
    WHERE x.indrelid = to_regclass($1) AND i.relname = $2";
