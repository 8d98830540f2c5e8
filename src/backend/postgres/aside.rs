//! What is set aside while rows of a table are written, and put back before the transaction ends: triggers of the user, which
//! would take what moves for a change of the app's (on SQLite they are silent too), and the lack of a replica identity, with
//! which a published table cannot be written.

use super::client::Client;
use super::dialect::Postgres;
use crate::backend::Dialect;
use anyhow::Result;

/// What puts everything back as it was.
#[derive(Default)]
pub struct Aside {
    statements: Vec<String>,
}

impl Aside {
    /// Sets aside what would get in the way of writing a table. One that has nothing of the kind is not locked.
    pub fn set(&mut self, client: &mut Client, dialect: &Postgres, table: &str) -> Result<()> {
        let quoted = dialect.table(table);
        let (mut now, mut afterwards) = (Vec::new(), Vec::new());
        for row in client.ask(ENABLED_TRIGGERS, &[&quoted])? {
            let [Some(name), Some(state)] = row.as_slice() else { continue };
            let name = dialect.quote(name);
            let enable = match state.as_str() {
                "R" => "ENABLE REPLICA TRIGGER",
                "A" => "ENABLE ALWAYS TRIGGER",
                _ => "ENABLE TRIGGER",
            };
            now.push(format!("DISABLE TRIGGER {name}"));
            afterwards.push(format!("{enable} {name}"));
        }
        if let Some(identity) = client.one(PUBLISHED_WITHOUT_IDENTITY, &[&quoted])? {
            now.push("REPLICA IDENTITY FULL".to_owned());
            afterwards.push(format!("REPLICA IDENTITY {identity}"));
        }
        if now.is_empty() {
            return Ok(());
        }
        // IF EXISTS: the table may be dropped in the same transaction.
        self.statements.push(format!("ALTER TABLE IF EXISTS {quoted} {}", afterwards.join(", ")));
        client.run(&format!("ALTER TABLE {quoted} {}", now.join(", ")))
    }

    /// Puts it back.
    pub fn put_back(&mut self, client: &mut Client) -> Result<()> {
        std::mem::take(&mut self.statements).iter().try_for_each(|statement| client.run(statement))
    }
}

/// The user's triggers of a table that may fire, each with its state.
pub const ENABLED_TRIGGERS: &str = "SELECT t.tgname::text, t.tgenabled::text FROM pg_trigger t \
    WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY t.tgname";

const PUBLISHED_WITHOUT_IDENTITY: &str = "SELECT CASE c.relreplident WHEN 'n' THEN 'NOTHING' ELSE 'DEFAULT' END \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1) \
      AND (c.relreplident = 'n' OR c.relreplident = 'd' \
           AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary)) \
      AND EXISTS (SELECT 1 FROM pg_publication) \
      AND EXISTS (SELECT 1 FROM pg_publication_tables p WHERE p.schemaname = n.nspname AND p.tablename = c.relname)";
