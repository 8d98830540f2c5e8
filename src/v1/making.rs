//! Which tables of v2 converted rows go to, and making those that are missing.

use crate::discover::{Found, Survey};
use crate::engine::{Course, Engine, Moves};
use crate::error::Stop;
use crate::plan::Action;
use crate::schema::Shape;
use crate::schema::tables::{MEMORIES, NewTable, SESSIONS, TableType};
use crate::schema::versions::newest;
use anyhow::{Result, anyhow};
use semver::Version;

/// The table of a type to write to: the named one, the only one, or the one with the default name.
pub fn choose(survey: &Survey, table_type: TableType, named: Option<&str>) -> Result<String> {
    let found: Vec<&Found> = survey.found.iter().filter(|found| found.table_type == table_type).collect();
    let default = table_type.known().default_name;
    Ok(match (named, found.as_slice()) {
        (Some(name), _) => name.to_owned(),
        (None, []) => default.to_owned(),
        (None, [only]) => only.name.clone(),
        (None, many) if many.iter().any(|found| found.name == default) => default.to_owned(),
        (None, many) => {
            let names = many.iter().map(|found| found.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Stop::Usage(format!(
                "there are several {table_type} tables ({names}): say which with --table {table_type}=NAME"
            ))
            .into());
        }
    })
}

/// Makes a table as Agno of the schema `to` does, when it is not there.
pub fn make(engine: &mut Engine<'_>, table_type: TableType, name: &str, to: &Version) -> Result<bool> {
    let observed = engine.observe()?;
    if observed.catalog.tables.contains_key(name) {
        return Ok(false);
    }
    let new: &'static NewTable = if table_type == TableType::Sessions { &SESSIONS } else { &MEMORIES };
    let dialect = engine.backend.dialect();
    let indexes = new.indexes.iter().map(|index| dialect.fit(&index.name(name))).collect();
    let key = dialect.fit(&new.key_name(name));
    let create = Action::CreateTable { name: name.to_owned(), table: new, parent: String::new(), key, indexes };
    let statements = dialect.render(name, &create, &Shape::default(), 0).map_err(|why| anyhow!(why))?;
    engine.settings.named.tables.insert(table_type, vec![name.to_owned()]);
    engine.settings.only = Some([table_type].into());
    // In one transaction: a table of an older schema that a killed run left would be taken for the app's.
    engine.backend.begin(engine.settings.lock_wait, engine.progress)?;
    let outcome = make_inside(engine, table_type, name, to, &statements).and_then(|()| engine.backend.commit());
    if outcome.is_err() {
        let _ = engine.backend.rollback();
    }
    outcome.map(|()| true)
}

fn make_inside(
    engine: &mut Engine<'_>,
    table_type: TableType,
    name: &str,
    to: &Version,
    statements: &[String],
) -> Result<()> {
    engine.backend.make_schema()?;
    for statement in statements {
        engine.backend.execute(statement, &[])?;
    }
    // From the oldest schema up, as any other table: an empty one takes no time.
    let course = Course::Up { target: to.clone(), moves: Moves::Due };
    let observed = engine.observe()?;
    for plan in engine.plan(&observed, &course)? {
        if let Some(why) = plan.refusals.first() {
            return Err(Stop::Refused(format!("{name}: {why}")).into());
        }
        engine.walk_inside(&plan, &course)?;
    }
    if table_type == TableType::Sessions && to >= newest() {
        // Agno 3 makes its tables without it.
        let sql = format!("ALTER TABLE {} DROP COLUMN runs", engine.backend.dialect().table(name));
        engine.backend.execute(&sql, &[])?;
    }
    Ok(())
}
