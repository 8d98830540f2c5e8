//! Changes one table: a transaction per version, each with its stamp.

use super::course::Leg;
use super::planning::Mode;
use super::{Course, Engine, Observed, TablePlan, archive_of, gone};
use crate::discover::{Found, Stamp};
use crate::error::{Stop, holds};
use crate::plan::Action;
use crate::progress::{Event, interrupted};
use crate::report::TableReport;
use crate::rows;
use crate::schema::tables::ARCHIVE_TABLE;
use crate::schema::{Direction, MIGRATIONS, Move, Shape, Step};
use crate::stamps;
use anyhow::{Context, Result};
use semver::Version;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two tries for the lock of a table.
const PAUSE: Duration = Duration::from_secs(1);

/// What is done to a table inside a transaction.
pub(crate) type Work<'w> = &'w mut dyn FnMut(&mut Engine<'_>, &mut TableReport) -> Result<()>;

impl Engine<'_> {
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
                // Down, the leg is of the version that is left, unless there is only a stamp to be written.
                let is_left = course.direction() == Direction::Down && leg.version > *course.target();
                let way = if is_left { "down from" } else { "to" };
                let error = error.context(format!("{} {way} v{}", table.name, leg.version));
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
            let Err(error) = outcome else { return self.build_apart(report) };
            let is_busy = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Stop::Busy(_))));
            if !is_busy || interrupted() {
                return Err(error);
            }
            let ours = [self.settings.versions_table.as_str(), ARCHIVE_TABLE];
            let tables: Vec<&str> = [table.name.as_str()].into_iter().chain(table.runs.as_deref()).chain(ours).collect();
            let who = self.backend.blockers(&tables).ok().flatten().unwrap_or_else(|| "someone".to_owned());
            if started.elapsed() >= self.settings.lock_wait {
                return Err(Stop::Locked(holds(&who)).into());
            }
            self.progress.on(Event::Waiting(format!("waiting for {who}, which holds {}", table.name)));
            // Whoever queued behind us goes first.
            std::thread::sleep(PAUSE);
        }
    }

    /// Builds what a transaction left to be built after it. When this is cut off the next run finds it missing.
    fn build_apart(&mut self, report: &mut TableReport) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.apart).into_iter();
        while let Some((statement, what)) = waiting.next() {
            let built = self.backend.execute_apart(&statement, self.progress);
            if built.is_err() {
                // The rest of its version is there; this and those after it are not.
                let not_done: Vec<String> = std::iter::once(what).chain(waiting.map(|(_, what)| what)).collect();
                report.steps.retain(|step| !not_done.contains(&step.what));
                return built.context("building an index beside the application's work");
            }
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
        if !leg.steps.is_empty() {
            let own = [Some(now.name.as_str()), now.runs.as_deref()];
            self.backend.set_aside(&own.into_iter().flatten().collect::<Vec<_>>())?;
        }
        if course.direction() == Direction::Up && leg.steps.contains(&&Step::Move(Move::Runs)) {
            self.backend.before_split()?;
        }
        self.take(now, leg, course, &observed, &mut state, &mut Mode::Do(report))?;
        // Another migration may have stamped it higher meanwhile: up never lowers a stamp.
        let is_lowered = |stamp: &Version| course.direction() == Direction::Up && current >= *stamp;
        match stamp.filter(|stamp| !is_lowered(stamp)) {
            Some(stamp) => self.stamp(now, &stamp, report),
            None if now.stamp != Stamp::None && !observed.has_stamped_runs(now) => self.stamp_runs(now, &current),
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
        let may_orphan = self.may_orphan(table, action, shape)?;
        let before = if may_orphan { self.backend.orphans_of(&table.name)? } else { BTreeMap::new() };
        let done = self.perform(table, action, shape, observed, report)?;
        if may_orphan {
            let after = self.backend.orphans_of(&table.name)?;
            let lost = |(child, count): &(&String, &u64)| before.get(*child).is_none_or(|before| *count > before);
            let children: Vec<&str> = after.iter().filter(lost).map(|(child, _)| child.as_str()).collect();
            if !children.is_empty() {
                return Err(Stop::Refused(format!(
                    "rows of {} would lose the row that their foreign key names: delete them, or drop that key first",
                    children.join(", ")
                ))
                .into());
            }
        }
        Ok(done)
    }

    /// Whether rows of other tables may lose the row they point to: the table is made anew, or rows of it go or get other keys.
    fn may_orphan(&self, table: &Found, action: &Action, shape: &Shape) -> Result<bool> {
        Ok(match action {
            Action::Move(Move::OpenDay | Move::OwnedRows | Move::EntityKeys, _) => true,
            Action::CreateTable { .. } => false,
            _ => {
                let rendered = self.backend.dialect().render(&table.name, action, shape, self.settings.now);
                rendered.map_err(Stop::Refused)?.len() > 1
            }
        })
    }

    fn perform(
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
                self.apart.extend(rendered.map_err(Stop::Refused)?.into_iter().map(|statement| (statement, action.done())));
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
                for statement in statements {
                    let first = statement.lines().next().unwrap_or_default();
                    backend.execute(&statement, &[]).with_context(|| format!("running: {first}"))?;
                }
                if let Action::CreateTable { name, parent, .. } = action {
                    report.warnings.extend(backend.share(name, parent)?);
                    report.warnings.extend(backend.limit(name, parent)?);
                }
            }
        }
        Ok(true)
    }

    fn stamp(&mut self, table: &Found, stamp: &Version, report: &mut TableReport) -> Result<()> {
        stamps::write(self.backend, &self.settings.versions_table, &table.name, stamp)?;
        self.stamp_runs(table, stamp)?;
        report.after = Some(stamp.clone());
        Ok(())
    }

    /// The runs table has the stamp of its sessions; one that was dropped has none.
    fn stamp_runs(&mut self, table: &Found, stamp: &Version) -> Result<()> {
        let Some(runs) = &table.runs else { return Ok(()) };
        let versions = &self.settings.versions_table;
        match self.backend.has_table(runs)? {
            true => stamps::write(self.backend, versions, runs, stamp),
            false => stamps::remove(self.backend, versions, runs),
        }
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
