//! The one walk over tables and versions: observe, compare, render, execute, stamp. `up`, `down`, `plan` and `status` are
//! this walk, fed with different steps.

use crate::archive::{self, Archive};
use crate::backend::{Backend, Catalog, Dialect};
use crate::discover::{self, Found, Named, Stamp, Survey};
use crate::error::Stop;
use crate::guards;
use crate::plan::{self, Action, Decision, Guard, Subject};
use crate::progress::{Event, Progress, interrupted};
use crate::report::{StepReport, TableReport};
use crate::rows;
use crate::schema::tables::{ARCHIVE_TABLE, TableType, VERSIONS_TABLE};
use crate::schema::versions::oldest;
use crate::schema::{Direction, MIGRATIONS, Migration, Move, Shape, Step};
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
        let leg = |migration: &'static Migration| Leg {
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

/// Between two tries for the lock of a table.
const PAUSE: Duration = Duration::from_secs(1);

/// A version's steps for a table.
struct Leg {
    version: Version,
    steps: Vec<&'static Step>,
}

/// A table and what its walk takes, found out without changing anything.
pub struct TablePlan {
    /// The table.
    pub table: Found,
    /// What it takes, in order.
    pub steps: Vec<StepReport>,
    /// What stands in the way.
    pub refusals: Vec<String>,
    /// What the table is stamped with when the walk is over; `None` when its stamp stays.
    pub stamp: Option<Version>,
    /// The versions that take something.
    versions: BTreeSet<Version>,
    /// What the steps do.
    actions: Vec<Action>,
}

impl TablePlan {
    /// Nothing is to be done, not even a stamp to be written.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.stamp.is_none()
    }
}

/// Everything that was observed before anything is decided.
pub struct Observed {
    /// The tables of the database.
    pub catalog: Catalog,
    /// Agno's among them.
    pub survey: Survey,
    /// Columns with values in the archive, by table.
    archived: BTreeMap<String, BTreeSet<String>>,
    dialect: &'static dyn Dialect,
}

/// A table on its way through the versions.
struct State {
    shape: Shape,
    runs: Option<Shape>,
    names: BTreeSet<String>,
    archived: BTreeSet<String>,
    referenced_by: Vec<String>,
    /// The column of an owner was there before the walk.
    had_owner: bool,
    stamp: Version,
}

/// What a walk does with what it decides.
enum Mode<'m> {
    /// Notes it in a plan.
    Tell(&'m mut TablePlan),
    /// Does it and notes it in a report.
    Do(&'m mut TableReport),
}

impl Mode<'_> {
    /// A plan collects every reason, a change stops at the first.
    fn refuse(&mut self, why: String) -> Result<()> {
        match self {
            Mode::Tell(plan) => plan.refusals.push(why),
            Mode::Do(_) => return Err(Stop::Refused(why).into()),
        }
        Ok(())
    }
}

impl Observed {
    fn has_archive(&self) -> bool {
        self.catalog.tables.contains_key(ARCHIVE_TABLE)
    }

    /// A table as the walk finds it; `None` when it has gone.
    fn state(&self, table: &Found, stamp: Version) -> Option<State> {
        let shape = self.catalog.tables.get(&table.name)?.clone();
        Some(State {
            had_owner: shape.column(archive::OWNER).is_some(),
            shape,
            runs: table.runs.as_ref().and_then(|runs| self.catalog.tables.get(runs)).cloned(),
            names: self.catalog.names.clone(),
            archived: self.archived.get(&table.name).cloned().unwrap_or_default(),
            referenced_by: referencing(&self.catalog, table.runs.as_deref(), &table.name),
            stamp,
        })
    }

    /// The facts of a version that a table lacks, in words.
    fn lacking(&self, table: &Found, migration: &Migration) -> Vec<String> {
        let Some(mut state) = self.state(table, oldest().clone()) else { return Vec::new() };
        state.archived.clear();
        let facts = migration.steps(table.table_type).iter().filter(|step| !matches!(step, Step::Move(_)));
        facts
            .filter_map(|step| match plan::decide(step, Direction::Up, &state.subject(table, self.dialect)) {
                Decision::Holds => None,
                // The table is there: its indexes are not all.
                Decision::Do(actions, _) if matches!(step, Step::CreateTable(_)) && state.runs.is_some() => {
                    let indexes = actions.iter().filter_map(|action| match action {
                        Action::CreateIndex { on, index, .. } => {
                            Some(format!("{} of {on}", Step::CreateIndex(*index).describe()))
                        }
                        _ => None,
                    });
                    Some(indexes.collect::<Vec<_>>().join(", "))
                }
                _ => Some(step.describe()),
            })
            .collect()
    }

    /// What the stamp of a table claims and the table lacks, in words.
    pub fn drift(&self, table: &Found) -> Vec<String> {
        let Some(stamp) = table.stamp.version() else { return Vec::new() };
        let claimed = MIGRATIONS.iter().filter(|migration| migration.version <= *stamp);
        claimed.flat_map(|migration| self.lacking(table, migration)).collect()
    }

    /// The version the shape of a table has: the newest whose facts, and those of all before it, it holds.
    pub fn shape_version(&self, table: &Found) -> Version {
        let held = MIGRATIONS.iter().take_while(|migration| self.lacking(table, migration).is_empty());
        held.last().map_or(oldest(), |migration| &migration.version).clone()
    }
}

impl State {
    fn subject<'s>(&'s self, table: &'s Found, dialect: &'s dyn Dialect) -> Subject<'s> {
        Subject {
            table: &table.name,
            shape: &self.shape,
            runs: table.runs.as_deref().map(|name| (name, self.runs.as_ref())),
            names: &self.names,
            archived: &self.archived,
            runs_referenced_by: &self.referenced_by,
            dialect,
        }
    }

    /// Predicts what an action leaves.
    fn predict(&mut self, table: &Found, action: &Action, dialect: &dyn Dialect) {
        self.shape = plan::after(&self.shape, action, &table.name, dialect);
        match action {
            Action::CreateTable { name, table, parent, indexes } => {
                self.runs = Some(plan::created(table, parent, indexes, dialect));
                self.names.insert(name.clone());
                self.names.extend(indexes.iter().cloned());
            }
            Action::CreateIndex { name, .. } => {
                self.names.insert(name.clone());
            }
            Action::DropTable { name } => {
                self.runs = None;
                self.names.remove(name);
            }
            Action::DropIndex { name } => {
                self.names.remove(name);
            }
            _ => {}
        }
    }
}

/// What is done to a table inside a transaction.
pub(crate) type Work<'w> = &'w mut dyn FnMut(&mut Engine<'_>, &mut TableReport) -> Result<()>;

/// The walk.
pub struct Engine<'a> {
    /// The database.
    pub backend: &'a mut dyn Backend,
    /// Who is told.
    pub progress: &'a mut dyn Progress,
    /// What the user said.
    pub settings: Settings,
    /// Statements that wait for the end of the transaction.
    pub apart: Vec<String>,
}

impl Engine<'_> {
    /// Looks at the whole database.
    pub fn observe(&mut self) -> Result<Observed> {
        let catalog = self.backend.catalog()?;
        let stamps = stamps::read(self.backend, &catalog, &self.settings.versions_table)?;
        let versions = &self.settings.versions_table;
        let mut survey = discover::survey(&catalog, &stamps, &self.settings.named, versions);
        if versions != VERSIONS_TABLE
            && !catalog.tables.contains_key(versions)
            && catalog.tables.contains_key(VERSIONS_TABLE)
        {
            survey.refusals.push(format!(
                "there is no table {versions}, and the database has {VERSIONS_TABLE}: correct --table versions="
            ));
        }
        let archived = archive::columns(self.backend, &catalog)?;
        Ok(Observed { catalog, survey, archived, dialect: self.backend.dialect() })
    }

    /// The rows of a table.
    pub fn rows(&mut self, table: &str) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", self.backend.dialect().table(table));
        let count = self.backend.query(&sql, &[])?.into_iter().flatten().flatten().next();
        count.unwrap_or_default().parse().with_context(|| format!("counting the rows of {table}"))
    }

    /// Finds out what a walk takes for every table of the chosen types, and what stands in the way, without changing
    /// anything. Runs tables go with their sessions.
    pub fn plan(&mut self, observed: &Observed, course: &Course) -> Result<Vec<TablePlan>> {
        let only = self.settings.only.clone();
        let is_chosen = |found: &&Found| {
            found.table_type != TableType::Runs && only.as_ref().is_none_or(|only| only.contains(&found.table_type))
        };
        let chosen = observed.survey.found.iter().filter(is_chosen);
        chosen
            .map(|table| self.plan_table(observed, table, course).with_context(|| format!("cannot look at {}", table.name)))
            .collect()
    }

    fn plan_table(&mut self, observed: &Observed, table: &Found, course: &Course) -> Result<TablePlan> {
        let mut plan = TablePlan {
            table: table.clone(),
            steps: Vec::new(),
            refusals: Vec::new(),
            stamp: None,
            versions: BTreeSet::new(),
            actions: Vec::new(),
        };
        let Some(stamp) = table.stamp.version() else {
            if let Stamp::Unknown(text) = &table.stamp {
                plan.refusals.push(format!(
                    "it is stamped {text}, which this agno-migrate does not know: update agno-migrate, or correct the stamp in {}",
                    self.settings.versions_table
                ));
            }
            return Ok(plan);
        };
        let is_runs = |found: &&Found| found.table_type == TableType::Runs && Some(&found.name) == table.runs.as_ref();
        if let Some(Stamp::Unknown(text)) = observed.survey.found.iter().find(is_runs).map(|runs| &runs.stamp) {
            plan.refusals.push(format!(
                "its runs table is stamped {text}, which this agno-migrate does not know: update agno-migrate, or correct the stamp \
                 in {}",
                self.settings.versions_table
            ));
            return Ok(plan);
        }
        let Some(mut state) = observed.state(table, stamp.clone()) else { return Ok(plan) };
        for leg in course.legs(table.table_type) {
            let before = plan.steps.len();
            self.take(table, &leg, course, observed, &mut state, &mut Mode::Tell(&mut plan))?;
            if plan.steps.len() > before {
                plan.versions.insert(leg.version);
            }
        }
        let statements: Vec<String> = plan.steps.iter().flat_map(|step| step.sql.clone()).collect();
        if plan.refusals.is_empty() && !statements.is_empty() {
            plan.refusals.extend(self.backend.rehearse(&table.name, &plan.actions, &statements)?);
        }
        plan.stamp = self.final_stamp(table, course, &state, plan.steps.is_empty());
        Ok(plan)
    }

    /// What a table is stamped with at the end; `None` when its stamp is right as it is.
    fn final_stamp(&self, table: &Found, course: &Course, end: &State, unchanged: bool) -> Option<Version> {
        if !table.table_type.is_stamped() {
            return None;
        }
        let (target, stamp) = (course.target(), &end.stamp);
        let is_right = match course {
            Course::Up { .. } => stamp >= target,
            Course::Down { .. } if stamp > target => false,
            // Schema 2.0.0 needs no stamp.
            Course::Down { .. } if stamp == target => unchanged || table.stamp != Stamp::None,
            // A lower table is left alone, unless all that the target wants is there and only the stamp is missing.
            Course::Down { .. } => !self.has_all_up_to(table, target, end),
        };
        (!is_right).then(|| target.clone())
    }

    /// Whether a table has every fact of versions up to `target`, and no data move between its stamp and there.
    fn has_all_up_to(&self, table: &Found, target: &Version, state: &State) -> bool {
        let subject = state.subject(table, self.backend.dialect());
        MIGRATIONS.iter().filter(|migration| migration.version <= *target).all(|migration| {
            migration.steps(table.table_type).iter().all(|step| match step {
                Step::Move(_) => migration.version <= state.stamp,
                step => plan::decide(step, Direction::Up, &subject) == Decision::Holds,
            })
        })
    }

    /// Takes one version's steps: decides each, and tells or does what it takes.
    fn take(
        &mut self,
        table: &Found,
        leg: &Leg,
        course: &Course,
        observed: &Observed,
        state: &mut State,
        mode: &mut Mode<'_>,
    ) -> Result<()> {
        let dialect = self.backend.dialect();
        let mut changes_shape = false;
        for step in &leg.steps {
            let (actions, guards) = match plan::decide(step, course.direction(), &state.subject(table, dialect)) {
                Decision::Holds => continue,
                Decision::Refuse(why) => {
                    mode.refuse(why)?;
                    continue;
                }
                Decision::Do(actions, guards) => (actions, guards),
            };
            if let Step::Move(rows) = step
                && !self.is_due(*rows, table, leg, course, state, changes_shape)?
            {
                continue;
            }
            for guard in &guards {
                // What a change of types cannot carry it refuses by itself: looking first would take as long again.
                if matches!((&guard, &*mode), (Guard::Convertible(_), Mode::Do(_))) {
                    continue;
                }
                if let Some(why) = guards::check(self.backend, guard, table, &state.shape, observed.has_archive())? {
                    mode.refuse(why)?;
                }
            }
            for action in actions {
                changes_shape |= action.changes_shape();
                match mode {
                    Mode::Tell(plan) => match dialect.render(&table.name, &action, &state.shape, self.settings.now) {
                        Ok(sql) => {
                            plan.steps.push(StepReport::new(&leg.version, course.direction(), &action, sql));
                            plan.actions.push(action.clone());
                        }
                        Err(why) => plan.refusals.push(why),
                    },
                    Mode::Do(report) => {
                        let done = self.act(table, &action, &state.shape, observed, report);
                        if done.with_context(|| action.done())? {
                            report.done(&leg.version, course.direction(), &action);
                        }
                    }
                }
                state.predict(table, &action, dialect);
                if let Mode::Do(_) = mode {
                    // What is there counts, not what was predicted.
                    state.shape = self.backend.shape(&table.name)?.ok_or_else(gone)?;
                }
            }
        }
        Ok(())
    }

    /// Whether rows have to move. Shapes tell that of columns and keys; this is asked of the rows.
    fn is_due(
        &mut self,
        rows: Move,
        table: &Found,
        leg: &Leg,
        course: &Course,
        state: &State,
        changes_shape: bool,
    ) -> Result<bool> {
        let backend = &mut *self.backend;
        match (rows, course) {
            (Move::Runs, Course::Up { moves, .. }) => {
                // A stamp that claims the version of a table made only now lies about its rows too.
                let is_due = leg.version > state.stamp || *moves == Moves::Again || changes_shape;
                Ok(is_due && rows::any_runs(backend, &table.name)?)
            }
            (Move::Runs, Course::Down { .. }) => Ok(true),
            (Move::OpenDay, Course::Up { .. }) => {
                Ok(changes_shape && rows::open_day(backend, &table.name, state.had_owner)?.is_some())
            }
            (Move::OwnedRows, Course::Up { .. }) => Ok(archive::has_rows(&state.archived)),
            (Move::OwnedRows, Course::Down { .. }) => archive_of(backend, table).has_owned_rows(&state.shape),
            (Move::EntityKeys, Course::Up { .. }) => {
                let shared = if leg.version > state.stamp { rows::Shared::Any } else { rows::Shared::Movable };
                rows::any_shared_keys(backend, &table.name, shared)
            }
            (Move::OpenDay | Move::EntityKeys, Course::Down { .. }) => Ok(false),
        }
    }

    /// Walks one table: a transaction per version that takes something, each with its stamp.
    pub fn walk(&mut self, planned: &TablePlan, course: &Course) -> Result<TableReport, Box<Failed>> {
        let started = Instant::now();
        let table = &planned.table;
        let mut report = TableReport::of(table);
        self.progress.on(Event::Table { name: table.name.clone(), work: format!("to v{}", course.target()) });
        let legs = course.legs(table.table_type);
        let mut due: Vec<&Leg> = legs.iter().filter(|leg| planned.versions.contains(&leg.version)).collect();
        let stamp_only = Leg { version: course.target().clone(), steps: Vec::new() };
        if due.is_empty() {
            due.push(&stamp_only);
        }
        for (at, leg) in due.iter().enumerate() {
            let stamp = match at + 1 == due.len() {
                true => planned.stamp.clone(),
                false => table.table_type.is_stamped().then(|| stamp_after(leg, course)),
            };
            let mut work = |engine: &mut Engine<'_>, report: &mut TableReport| {
                engine.in_transaction(table, leg, stamp.clone(), course, report)
            };
            if let Err(error) = self.patiently(table, &mut report, &mut work) {
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

    /// Walks one table inside a transaction that has begun: for a table that is made in it.
    pub fn walk_inside(&mut self, planned: &TablePlan, course: &Course) -> Result<()> {
        let mut report = TableReport::of(&planned.table);
        let legs = course.legs(planned.table.table_type);
        for leg in legs.iter().filter(|leg| planned.versions.contains(&leg.version)) {
            self.in_transaction(&planned.table, leg, Some(stamp_after(leg, course)), course, &mut report)?;
        }
        match &planned.stamp {
            Some(stamp) => self.stamp(&planned.table, stamp, &mut report),
            None => Ok(()),
        }
    }

    /// Does work on a table in a transaction; when an application holds the table, again and again until the wait is over.
    pub(crate) fn patiently(&mut self, table: &Found, report: &mut TableReport, work: Work<'_>) -> Result<()> {
        let started = Instant::now();
        loop {
            self.apart.clear();
            let outcome = self.transaction(report, work);
            let Err(error) = outcome else { return self.build_apart() };
            let is_busy = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Stop::Busy(_))));
            if !is_busy || interrupted() {
                return Err(error);
            }
            let tables: Vec<&str> = [Some(table.name.as_str()), table.runs.as_deref()].into_iter().flatten().collect();
            let who = self.backend.blockers(&tables).ok().flatten().unwrap_or_else(|| "someone".to_owned());
            if started.elapsed() >= self.settings.lock_wait {
                return Err(Stop::Locked(format!(
                    "{who} holds a lock on the table: end that session or let it finish, then run the command again; --lock-wait \
                     SECONDS waits longer"
                ))
                .into());
            }
            self.progress.on(Event::Waiting(format!("waiting for {who}, which holds {}", table.name)));
            // Whoever queued behind us goes first.
            std::thread::sleep(PAUSE);
        }
    }

    /// Builds what a transaction left to be built after it. When this is cut off the next run finds it missing.
    fn build_apart(&mut self) -> Result<()> {
        for statement in std::mem::take(&mut self.apart) {
            self.backend.execute_apart(&statement).context("building an index beside the application's work")?;
        }
        Ok(())
    }

    /// Does work in a transaction of its own.
    fn transaction(&mut self, report: &mut TableReport, work: Work<'_>) -> Result<()> {
        if interrupted() {
            return Err(Stop::Interrupted.into());
        }
        self.backend.begin(self.settings.lock_wait, self.progress)?;
        let before = report.clone();
        let outcome = work(self, report).and_then(|()| self.backend.commit());
        if outcome.is_err() {
            // What the transaction did never was; the first error is the one that counts.
            *report = before;
            let _ = self.backend.rollback();
        }
        outcome
    }

    /// One version of one table, with its stamp.
    fn in_transaction(
        &mut self,
        table: &Found,
        leg: &Leg,
        stamp: Option<Version>,
        course: &Course,
        report: &mut TableReport,
    ) -> Result<()> {
        // Observed again inside the lock: another migration may have been here first.
        let observed = self.observe()?;
        let there =
            observed.survey.found.iter().find(|found| found.name == table.name && found.table_type == table.table_type);
        let now = there.ok_or_else(gone)?;
        let Some(current) = now.stamp.version().cloned() else {
            return Err(Stop::Refused("its stamp has changed to a version that is not known".to_owned()).into());
        };
        let mut state = observed.state(now, current.clone()).ok_or_else(gone)?;
        self.take(now, leg, course, &observed, &mut state, &mut Mode::Do(report))?;
        // Another migration may have stamped it higher meanwhile: up never lowers a stamp.
        let is_lowered = |stamp: &Version| course.direction() == Direction::Up && current >= *stamp;
        match stamp.filter(|stamp| !is_lowered(stamp)) {
            Some(stamp) => self.stamp(now, &stamp, report),
            None => Ok(()),
        }
    }

    /// Does one action; false when there was nothing to do.
    pub(crate) fn act(
        &mut self,
        table: &Found,
        action: &Action,
        shape: &Shape,
        observed: &Observed,
        report: &mut TableReport,
    ) -> Result<bool> {
        let backend = &mut *self.backend;
        match action {
            Action::Archive(column) => {
                let kept = archive_of(backend, table).keep(column)?;
                report.archived += kept;
                return Ok(kept > 0);
            }
            Action::Restore { column, over } => {
                report.restored += archive_of(backend, table).restore(column, *over)?;
            }
            Action::CreateIndex { index, .. } if index.apart && backend.dialect().builds_apart() => {
                let rendered = backend.dialect().render(&table.name, action, shape, self.settings.now);
                self.apart.extend(rendered.map_err(Stop::Refused)?);
            }
            Action::Retype(retypes) => {
                let rendered = backend.dialect().render(&table.name, action, shape, self.settings.now);
                for statement in rendered.map_err(Stop::Refused)? {
                    let key = table.table_type.known().key[0];
                    report.mended(backend.retype(&table.name, key, retypes, &statement)?);
                }
            }
            Action::Move(rows, direction) => {
                report.add(rows::apply(backend, *rows, *direction, table, shape, &observed.survey, self.progress)?);
            }
            _ => {
                let rendered = backend.dialect().render(&table.name, action, shape, self.settings.now);
                let statements = rendered.map_err(Stop::Refused)?;
                // Several statements: the table is made anew, and the rows that point to it must still find theirs.
                let is_rebuilt = statements.len() > 1 && !matches!(action, Action::CreateTable { .. });
                let orphans = if is_rebuilt { backend.orphans_of(&table.name)? } else { 0 };
                for statement in statements {
                    let first = statement.lines().next().unwrap_or_default();
                    backend.execute(&statement, &[]).with_context(|| format!("running: {first}"))?;
                }
                if is_rebuilt && backend.orphans_of(&table.name)? > orphans {
                    return Err(anyhow!("rows of other tables would lose the row they belong to"));
                }
            }
        }
        Ok(true)
    }

    fn stamp(&mut self, table: &Found, stamp: &Version, report: &mut TableReport) -> Result<()> {
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

pub(crate) fn gone() -> anyhow::Error {
    anyhow!("the table has gone since it was found: run the command again")
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
