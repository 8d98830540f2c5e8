//! Lets those use a table that was made who use the one it belongs to: without that an app that is not the role of the migration
//! would be kept out of it, and whoever sees only some sessions would see the runs of all.

use super::client::Client;
use super::dialect::Postgres;
use crate::backend::Dialect;
use anyhow::Result;

/// The policy of a runs table whose sessions have some.
pub const POLICY: &str = "agno_migrate_by_session";

/// Gives a new table the owner of another. Returns what the user should know.
pub fn own(client: &mut Client, dialect: &Postgres, table: &str, like: &str) -> Result<Vec<String>> {
    let (own, other) = (dialect.table(table), dialect.table(like));
    let mut warnings = Vec::new();
    let owners = "SELECT quote_ident(pg_get_userbyid(l.relowner)), \
                    (pg_has_role(l.relowner, 'MEMBER') \
                     AND (has_schema_privilege(l.relowner, l.relnamespace, 'CREATE') OR current_setting('is_superuser') = 'on'))::text \
                  FROM pg_class l JOIN pg_class t ON t.oid = to_regclass($1) \
                  WHERE l.oid = to_regclass($2) AND l.relowner <> t.relowner";
    for row in client.ask(owners, &[&own, &other])? {
        match row.as_slice() {
            [Some(owner), Some(can_own)] if can_own == "true" => {
                client.run(&format!("ALTER TABLE {own} OWNER TO {owner}"))?;
            }
            [Some(owner), _] => {
                client.run(&format!("GRANT ALL ON {own} TO {owner}"))?;
                warnings.push(format!(
                    "{table} belongs to {}, since {owner}, which owns {like}, may not create anything in the schema; {owner} got all \
                     rights on it",
                    client.user()
                ));
            }
            _ => {}
        }
    }
    Ok(warnings)
}

/// Gives a new table the owner and the rights of another. Returns what the user should know.
pub fn share(client: &mut Client, dialect: &Postgres, table: &str, like: &str) -> Result<Vec<String>> {
    let warnings = self::own(client, dialect, table, like)?;
    let (own, other) = (dialect.table(table), dialect.table(like));
    let grants = "SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                    string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), \
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END \
                  FROM pg_class l, LATERAL aclexplode(l.relacl) a, pg_class t \
                  WHERE l.oid = to_regclass($2) AND t.oid = to_regclass($1) AND a.grantee NOT IN (l.relowner, t.relowner) \
                  GROUP BY a.grantee, a.is_grantable ORDER BY 1";
    for row in client.ask(grants, &[&own, &other])? {
        if let [Some(grantee), Some(rights), Some(option)] = row.as_slice() {
            client.run(&format!("GRANT {rights} ON {own} TO {grantee}{option}"))?;
        }
    }
    Ok(warnings)
}

/// Lets a role see the rows of a table whose session it sees, where that is limited. Returns what the user should know.
pub fn limit(client: &mut Client, dialect: &Postgres, runs: &str, sessions: &str) -> Result<Vec<String>> {
    let (own, other) = (dialect.table(runs), dialect.table(sessions));
    let limits = "SELECT c.relforcerowsecurity::text FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relrowsecurity";
    let Some(is_forced) = client.one(limits, &[&other])? else { return Ok(Vec::new()) };
    let force = if is_forced == "true" { ", FORCE ROW LEVEL SECURITY" } else { "" };
    client.run(&format!("ALTER TABLE {own} ENABLE ROW LEVEL SECURITY{force}"))?;
    // What the role sees of the sessions is decided by their own policies.
    client.run(&format!(
        "CREATE POLICY {POLICY} ON {own} USING (EXISTS (SELECT 1 FROM {other} s WHERE s.session_id = {own}.session_id))"
    ))?;
    Ok(vec![format!(
        "{sessions} has row-level security, so {runs} got it too: the policy {POLICY} shows a role the runs of the sessions that it \
         sees; make your own if it has to say more"
    )])
}
