//! The one walk over tables and versions: observe, compare, render, execute, stamp. `up`, `down`, `plan` and `status` are
//! this walk, fed with different steps.

use crate::archive::{self, Archive};
use crate::backend::{Backend, Catalog};
use crate::discover::{self, Found, Named, Stamp, Survey};
use crate::error::Stop;
use crate::guards;
use crate::plan::{self, Action, Decision, Guard, Subject};
use crate::progress::{Event, Progress, interrupted};
use crate::report::{Outcome, StepReport, TableReport};
use crate::rows;
use crate::schema::tables::{TableType, VERSIONS_TABLE};
use crate::schema::{Direction, MIGRATIONS, Move, Shape, Step};
use crate::stamps;
use anyhow::{Context, Result, anyhow};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What the user said about all tables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names of tables.
    pub named: Named,
    /// The version table.
    pub versions_table: String,
    /// Only these types; all without.
    pub only: Option<BTreeSet<TableType>>,
    /// How long other programs are waited for.
    pub lock_wait: Duration,
    /// The second the command started: the time of rows that have none.
    pub now: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            named: Named::default(),
            versions_table: VERSIONS_TABLE.to_owned(),
            only: None,
            lock_wait: Duration::from_secs(300),
            now: 0,
        }
    }
}

/// Where the walk goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// Up to a version.
    Up {
        /// The version.
        target: Version,
        /// Which data moves are done.
        moves: Moves,
    },
    /// Down to a version.
    Down {
        /// The version.
        target: Version,
    },
}

/// Which data moves an `up` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// Those of versions above the stamp, or whose table was made only now.
    Due,
    /// Those of stamped versions again (`--force`). They never overwrite a row.
    Again,
}

impl Course {
    /// The version it goes to.
    pub fn target(&self) -> &Version {
        match self {
            Course::Up { target, .. } | Course::Down { target } => target,
        }
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        match self {
            Course::Up { .. } => Direction::Up,
            Course::Down { .. } => Direction::Down,
        }
    }

    /// The versions to walk over, in order, with their steps for a type, in order.
    fn legs(&self, table_type: TableType) -> Vec<Leg> {
        let leg = |migration: &'static crate::schema::Migration| Leg {
            version: migration.version.clone(),
            steps: migration.steps(table_type).iter().collect(),
        };
        match self {
            Course::Up { target, .. } => MIGRATIONS.iter().filter(|m| m.version <= *target).map(leg).collect(),
            Course::Down { target } => MIGRATIONS
                .iter()
                .rev()
                .filter(|m| m.version > *target)
                .map(leg)
                .map(|mut leg| {
                    leg.steps.reverse();
                    leg
                })
                .collect(),
        }
    }
}

/// A version's steps for a table.
struct Leg {
    version: Version,
    steps: Vec<&'static Step>,
}

/// What a leg takes, found out without changing anything.
struct Planned {
    version: Version,
    steps: Vec<StepReport>,
}

/// A table and what its walk takes.
pub struct TablePlan {
    /// The table.
    pub table: Found,
    /// What it takes, by version.
    legs: Vec<Planned>,
    /// What stands in the way.
    pub refusals: Vec<String>,
    /// What the table is stamped with when the walk is over.
    stamp: Option<Version>,
    /// The statements, for a rehearsal.
    statements: Vec<String>,
}

impl TablePlan {
    /// Every step, in order.
    pub fn steps(&self) -> Vec<StepReport> {
        self.legs.iter().flat_map(|leg| leg.steps.clone()).collect()
    }

    /// What the table is stamped with when the walk is over; `None` when its stamp stays.
    pub fn stamp(&self) -> Option<&Version> {
        self.stamp.as_ref()
    }

    /// Nothing is to be done, not even a stamp to be written.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.stamp.is_none()
    }
}

/// The walk.
pub struct Engine<'a> {
    /// The database.
    pub backend: &'a mut dyn Backend,
    /// Who is told.
    pub progress: &'a mut dyn Progress,
    /// What the user said.
    pub settings: Settings,
}

/// Everything that was observed before anything is decided.
pub struct Observed {
    /// The tables of the database.
    pub catalog: Catalog,
    /// Agno's among them.
    pub survey: Survey,
    /// Columns with values in the archive, by table.
    archived: BTreeMap<String, BTreeSet<String>>,
}

impl Engine<'_> {
    /// Looks at the whole database.
    pub fn observe(&mut self) -> Result<Observed> {
        let catalog = self.backend.catalog()?;
        let stamps = stamps::read(self.backend, &catalog, &self.settings.versions_table)?;
        let survey = discover::survey(&catalog, &stamps, &self.settings.named, &self.settings.versions_table);
        let archived = archive::columns(self.backend, &catalog)?;
        Ok(Observed { catalog, survey, archived })
    }

    /// The tables a walk is about: those of the chosen types. Runs tables go with their sessions.
    pub fn chosen<'o>(&self, observed: &'o Observed) -> Vec<&'o Found> {
        let only = self.settings.only.as_ref();
        let is_chosen = |found: &&Found| {
            found.table_type != TableType::Runs && only.is_none_or(|only| only.contains(&found.table_type))
        };
        observed.survey.found.iter().filter(is_chosen).collect()
    }

    /// Finds out what a walk takes for every table, and what stands in the way, without changing anything.
    pub fn plan(&mut self, observed: &Observed, course: &Course) -> Result<Vec<TablePlan>> {
        let tables: Vec<Found> = self.chosen(observed).into_iter().cloned().collect();
        let mut plans = Vec::new();
        let mut names = observed.catalog.names.clone();
        for table in tables {
            let mut plan = self.plan_table(observed, &mut names, table, course)?;
            if plan.refusals.is_empty() && !plan.statements.is_empty() {
                plan.refusals.extend(self.backend.rehearse(&plan.statements)?);
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    fn plan_table(
        &mut self,
        observed: &Observed,
        names: &mut BTreeSet<String>,
        table: Found,
        course: &Course,
    ) -> Result<TablePlan> {
        let dialect = self.backend.dialect();
        let mut plan = TablePlan { legs: Vec::new(), refusals: Vec::new(), stamp: None, statements: Vec::new(), table };
        let table = plan.table.clone();
        let Some(stamp) = table.stamp.version() else {
            if let Stamp::Unknown(text) = &table.stamp {
                plan.refusals.push(format!(
                    "it is stamped {text}, which this agno-migrate does not know: update agno-migrate, or correct the stamp in {}",
                    self.settings.versions_table
                ));
            }
            return Ok(plan);
        };
        let Some(mut shape) = observed.catalog.tables.get(&table.name).cloned() else { return Ok(plan) };
        let mut runs = table.runs.as_ref().and_then(|runs| observed.catalog.tables.get(runs)).cloned();
        let nothing = BTreeSet::new();

        for leg in course.legs(table.table_type) {
            let mut steps = Vec::new();
            let mut changes_shape = false;
            for step in &leg.steps {
                let referenced = referencing(&observed.catalog, table.runs.as_deref(), &table.name);
                let subject = Subject {
                    table: &table.name,
                    shape: &shape,
                    runs: table.runs.as_deref().map(|name| (name, runs.as_ref())),
                    names,
                    archived: observed.archived.get(&table.name).unwrap_or(&nothing),
                    runs_referenced_by: &referenced,
                    dialect,
                };
                let (actions, guards) = match plan::decide(step, course.direction(), &subject) {
                    Decision::Holds => continue,
                    Decision::Refuse(why) => {
                        plan.refusals.push(why);
                        continue;
                    }
                    Decision::Do(actions, guards) => (actions, guards),
                };
                if let Step::Move(rows) = step
                    && !self.is_due(*rows, &table, &shape, &leg.version, stamp, course, changes_shape, observed)?
                {
                    continue;
                }
                for guard in &guards {
                    plan.refusals.extend(self.check(guard, &table, &shape, observed.has_archive())?);
                }
                for action in actions {
                    if matches!(&action, Action::Archive(column) if !self.has_values(&table, &shape, column.name)?) {
                        continue;
                    }
                    changes_shape |= !matches!(action, Action::Move(..) | Action::Restore { .. } | Action::Archive(_));
                    match dialect.render(&table.name, &action, &shape, self.settings.now) {
                        Err(why) => plan.refusals.push(why),
                        Ok(sql) => {
                            plan.statements.extend(sql.clone());
                            steps.push(StepReport::new(&leg.version, course.direction(), &action, sql));
                        }
                    }
                    note_names(names, &action);
                    shape = plan::after(&shape, &action, &table.name, dialect);
                    match &action {
                        Action::CreateTable { table: new, parent, indexes, .. } => {
                            runs = Some(plan::created(new, parent, indexes, dialect));
                        }
                        Action::DropTable { .. } => runs = None,
                        _ => {}
                    }
                }
            }
            if !steps.is_empty() {
                plan.legs.push(Planned { version: leg.version, steps });
            }
        }
        plan.stamp = self.final_stamp(&table, stamp, course, &shape, runs.as_ref(), observed, &plan);
        Ok(plan)
    }

    /// What a table is stamped with at the end; `None` when its stamp is right as it is.
    #[allow(clippy::too_many_arguments)]
    fn final_stamp(
        &self,
        table: &Found,
        stamp: &Version,
        course: &Course,
        shape: &Shape,
        runs: Option<&Shape>,
        observed: &Observed,
        plan: &TablePlan,
    ) -> Option<Version> {
        let target = course.target();
        let stamped = table.stamp != Stamp::None;
        let right = match course {
            // Schema 2.0.0 needs no stamp.
            Course::Up { .. } => stamp >= target,
            Course::Down { .. } if stamp > target => false,
            Course::Down { .. } => {
                // A lower table is left alone, unless all that the target wants is there: then only the stamp is missing.
                stamp == target && (stamped || plan.legs.is_empty())
                    || !self.holds_up_to(table, stamp, target, shape, runs, observed)
            }
        };
        (!right).then(|| target.clone())
    }

    /// Whether a table has every fact of versions up to `target`, and no data move between its stamp and there.
    fn holds_up_to(
        &self,
        table: &Found,
        stamp: &Version,
        target: &Version,
        shape: &Shape,
        runs: Option<&Shape>,
        observed: &Observed,
    ) -> bool {
        let nothing = BTreeSet::new();
        let subject = Subject {
            table: &table.name,
            shape,
            runs: table.runs.as_deref().map(|name| (name, runs)),
            names: &observed.catalog.names,
            archived: &nothing,
            runs_referenced_by: &[],
            dialect: self.backend.dialect(),
        };
        MIGRATIONS.iter().filter(|migration| migration.version <= *target).all(|migration| {
            migration.steps(table.table_type).iter().all(|step| match step {
                Step::Move(_) => migration.version <= *stamp,
                step => plan::decide(step, Direction::Up, &subject) == Decision::Holds,
            })
        })
    }

    /// Whether rows have to move. Shapes tell that of columns and keys; this is asked of the rows.
    #[allow(clippy::too_many_arguments)]
    fn is_due(
        &mut self,
        rows: Move,
        table: &Found,
        shape: &Shape,
        version: &Version,
        stamp: &Version,
        course: &Course,
        changes_shape: bool,
        observed: &Observed,
    ) -> Result<bool> {
        let backend = &mut *self.backend;
        match (rows, course) {
            (Move::Runs, Course::Up { moves, .. }) => {
                let due = version > stamp || *moves == Moves::Again || changes_shape;
                Ok(due && rows::any_runs(backend, &table.name)?)
            }
            (Move::Runs, Course::Down { .. }) => Ok(true),
            (Move::OpenDay, Course::Up { .. }) => Ok(changes_shape && {
                let owned = shape.column(archive::OWNER).is_some() && observed.has_column(&table.name, archive::OWNER);
                rows::open_day(backend, &table.name, owned)?.is_some()
            }),
            (Move::OwnedRows, Course::Up { .. }) => {
                Ok(observed.archived.get(&table.name).is_some_and(|columns| columns.contains(table.table_type.known().key[0])))
            }
            (Move::OwnedRows, Course::Down { .. }) => archive_of(backend, table).has_owned_rows(shape),
            (Move::EntityKeys, Course::Up { .. }) => rows::any_shared_keys(backend, &table.name),
            (Move::OpenDay | Move::EntityKeys, Course::Down { .. }) => Ok(false),
        }
    }

    fn check(&mut self, guard: &Guard, table: &Found, shape: &Shape, archived: bool) -> Result<Option<String>> {
        guards::check(self.backend, guard, table, shape, archived)
    }

    fn has_values(&mut self, table: &Found, shape: &Shape, column: &str) -> Result<bool> {
        if shape.column(column).is_none() || !self.backend.shape(&table.name)?.is_some_and(|s| s.column(column).is_some()) {
            return Ok(false);
        }
        let dialect = self.backend.dialect();
        let sql = format!("SELECT 1 FROM {} WHERE {} IS NOT NULL LIMIT 1", dialect.table(&table.name), dialect.quote(column));
        Ok(!self.backend.query(&sql, &[])?.is_empty())
    }

    /// Walks one table: a transaction per version that takes something, each with its stamp.
    pub fn walk(&mut self, planned: &TablePlan, observed: &Observed, course: &Course) -> Result<TableReport, Box<Failed>> {
        let started = Instant::now();
        let table = &planned.table;
        let mut report = TableReport::new(table, course);
        self.progress.on(Event::Table { name: table.name.clone(), work: format!("to v{}", course.target()) });
        let legs = course.legs(table.table_type);
        let mut due: Vec<&Leg> =
            legs.iter().filter(|leg| planned.legs.iter().any(|planned| planned.version == leg.version)).collect();
        let stamp_only = Leg { version: course.target().clone(), steps: Vec::new() };
        if due.is_empty() && planned.stamp.is_some() {
            due.push(&stamp_only);
        }
        for (at, leg) in due.iter().enumerate() {
            let stamp = if at + 1 == due.len() { planned.stamp.clone() } else { Some(stamp_after(leg, course)) };
            if let Err(error) = self.leg(table, leg, stamp, observed, course, &mut report) {
                report.failed(started.elapsed());
                self.progress.on(Event::TableDone);
                let error = error.context(format!("{} to v{}", table.name, leg.version));
                return Err(Box::new(Failed { report, error }));
            }
        }
        report.finished(started.elapsed());
        self.progress.on(Event::TableDone);
        Ok(report)
    }

    /// One version of one table, in one transaction with its stamp.
    fn leg(
        &mut self,
        table: &Found,
        leg: &Leg,
        stamp: Option<Version>,
        observed: &Observed,
        course: &Course,
        report: &mut TableReport,
    ) -> Result<()> {
        if interrupted() {
            return Err(Stop::Interrupted.into());
        }
        self.backend.begin(self.settings.lock_wait, self.progress)?;
        let before = report.clone();
        let outcome = self.in_transaction(table, leg, stamp, observed, course, report).and_then(|()| self.backend.commit());
        if outcome.is_err() {
            // What the transaction did never was; the first error is the one that counts.
            *report = before;
            let _ = self.backend.rollback();
        }
        outcome
    }

    fn in_transaction(
        &mut self,
        table: &Found,
        leg: &Leg,
        stamp: Option<Version>,
        observed: &Observed,
        course: &Course,
        report: &mut TableReport,
    ) -> Result<()> {
        let dialect = self.backend.dialect();
        let gone = || anyhow!("the table has gone since it was found: run the command again");
        // Observed again inside the lock: another migration may have been here first.
        let catalog = self.backend.catalog()?;
        let observed = Observed {
            archived: archive::columns(self.backend, &catalog)?,
            survey: observed.survey.clone(),
            catalog,
        };
        let mut shape = observed.catalog.tables.get(&table.name).cloned().ok_or_else(gone)?;
        let stamps = stamps::read(self.backend, &observed.catalog, &self.settings.versions_table)?;
        let current = Stamp::read(stamps.get(&table.name).map(String::as_str));
        let Some(current) = current.version().cloned() else {
            return Err(Stop::Refused("its stamp has changed to a version that is not known".to_owned()).into());
        };
        let mut names = observed.catalog.names.clone();
        let nothing = BTreeSet::new();
        let mut changes_shape = false;
        for step in &leg.steps {
            let runs = match &table.runs {
                Some(runs) => self.backend.shape(runs)?,
                None => None,
            };
            let referenced = referencing(&observed.catalog, table.runs.as_deref(), &table.name);
            let subject = Subject {
                table: &table.name,
                shape: &shape,
                runs: table.runs.as_deref().map(|name| (name, runs.as_ref())),
                names: &names,
                archived: observed.archived.get(&table.name).unwrap_or(&nothing),
                runs_referenced_by: &referenced,
                dialect,
            };
            let (actions, guards) = match plan::decide(step, course.direction(), &subject) {
                Decision::Holds => continue,
                Decision::Refuse(why) => return Err(Stop::Refused(why).into()),
                Decision::Do(actions, guards) => (actions, guards),
            };
            if let Step::Move(rows) = step
                && !self.is_due(*rows, table, &shape, &leg.version, &current, course, changes_shape, &observed)?
            {
                continue;
            }
            for guard in &guards {
                if let Some(why) = self.check(guard, table, &shape, observed.has_archive())? {
                    return Err(Stop::Refused(why).into());
                }
            }
            for action in actions {
                changes_shape |= !matches!(action, Action::Move(..) | Action::Restore { .. } | Action::Archive(_));
                self.act(table, &leg.version, &action, &shape, &observed, course, report)
                    .with_context(|| action.done())?;
                note_names(&mut names, &action);
                shape = self.backend.shape(&table.name)?.ok_or_else(gone)?;
            }
        }
        if let Some(stamp) = stamp {
            self.stamp(table, &stamp, &current, course, report)?;
        }
        Ok(())
    }

    /// Does one action and notes it in the report.
    #[allow(clippy::too_many_arguments)]
    fn act(
        &mut self,
        table: &Found,
        version: &Version,
        action: &Action,
        shape: &Shape,
        observed: &Observed,
        course: &Course,
        report: &mut TableReport,
    ) -> Result<()> {
        let backend = &mut *self.backend;
        match action {
            Action::Archive(column) => {
                let unowned = column.fill == Some("''");
                let kept = archive_of(backend, table).keep(column.name, unowned)?;
                report.archived += kept;
                if kept > 0 {
                    report.done(version, course.direction(), action);
                }
                return Ok(());
            }
            Action::Restore { column, over } => {
                report.restored += archive_of(backend, table).restore(column.name, column.column_type, *over)?;
            }
            Action::Move(rows, direction) => {
                let moved = rows::apply(backend, *rows, *direction, table, shape, &observed.survey, self.progress)?;
                report.add(moved);
            }
            _ => {
                let parent = match action {
                    Action::DropTable { name } => name,
                    _ => &table.name,
                };
                let orphans = backend.orphans_of(parent)?;
                let statements = backend.dialect().render(&table.name, action, shape, self.settings.now);
                for statement in statements.map_err(Stop::Refused)? {
                    backend.execute(&statement, &[]).with_context(|| format!("running: {}", first_line(&statement)))?;
                }
                let dropped = matches!(action, Action::DropTable { .. });
                if !dropped && backend.orphans_of(parent)? > orphans {
                    return Err(anyhow!("rows of other tables would lose the row they belong to"));
                }
            }
        }
        report.done(version, course.direction(), action);
        Ok(())
    }

    fn stamp(
        &mut self,
        table: &Found,
        stamp: &Version,
        current: &Version,
        course: &Course,
        report: &mut TableReport,
    ) -> Result<()> {
        // Another migration may have stamped it higher meanwhile: up never lowers a stamp.
        if course.direction() == Direction::Up && current >= stamp {
            return Ok(());
        }
        let versions = &self.settings.versions_table;
        stamps::write(self.backend, versions, &table.name, stamp)?;
        if let Some(runs) = &table.runs {
            match self.backend.shape(runs)? {
                Some(_) => stamps::write(self.backend, versions, runs, stamp)?,
                None => stamps::remove(self.backend, versions, runs)?,
            }
        }
        report.after = Some(stamp.clone());
        Ok(())
    }
}

impl Observed {
    fn has_archive(&self) -> bool {
        self.catalog.tables.contains_key(crate::schema::tables::ARCHIVE_TABLE)
    }

    fn has_column(&self, table: &str, column: &str) -> bool {
        self.catalog.tables.get(table).is_some_and(|shape| shape.column(column).is_some())
    }
}

/// A walk that stopped: what it had done, and why it stopped.
pub struct Failed {
    /// What was done.
    pub report: TableReport,
    /// Why it stopped.
    pub error: anyhow::Error,
}

/// What a table is stamped with between two legs.
fn stamp_after(leg: &Leg, course: &Course) -> Version {
    match course {
        Course::Up { .. } => leg.version.clone(),
        Course::Down { target } => MIGRATIONS
            .iter()
            .rev()
            .map(|migration| &migration.version)
            .find(|version| **version < leg.version)
            .unwrap_or(target)
            .clone(),
    }
}

fn archive_of<'b>(backend: &'b mut dyn Backend, table: &'b Found) -> Archive<'b> {
    Archive { backend, table_type: table.table_type, table: &table.name }
}

/// Tables with a foreign key on the runs table, besides the sessions table and itself.
fn referencing(catalog: &Catalog, runs: Option<&str>, sessions: &str) -> Vec<String> {
    let Some(runs) = runs else { return Vec::new() };
    let refers = |shape: &Shape| shape.foreign_keys.iter().any(|key| key.parent.eq_ignore_ascii_case(runs));
    catalog
        .tables
        .iter()
        .filter(|(name, shape)| *name != runs && *name != sessions && refers(shape))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Names that an action takes or frees.
fn note_names(names: &mut BTreeSet<String>, action: &Action) {
    match action {
        Action::CreateTable { name, indexes, .. } => {
            names.insert(name.clone());
            names.extend(indexes.iter().cloned());
        }
        Action::CreateIndex { name, .. } => {
            names.insert(name.clone());
        }
        Action::DropIndex { name } | Action::DropTable { name } => {
            names.remove(name);
        }
        _ => {}
    }
}

fn first_line(statement: &str) -> &str {
    statement.lines().next().unwrap_or_default()
}

/// The outcome of a table for which nothing was to be done.
pub fn unchanged(table: &Found, course: &Course) -> TableReport {
    let mut report = TableReport::new(table, course);
    report.outcome = Outcome::Unchanged;
    report
}
