//! Finds out what a walk takes, without changing anything; and takes it, when it is to be done.

use super::course::Leg;
use super::observed::State;
use super::{Course, Engine, Moves, Observed, archive_of, gone};
use crate::archive;
use crate::discover::{Found, Stamp};
use crate::error::Stop;
use crate::guards;
use crate::plan::{self, Action, Decision, Guard};
use crate::report::{StepReport, TableReport};
use crate::rows;
use crate::schema::tables::TableType;
use crate::schema::{Direction, MIGRATIONS, Move, Step};
use anyhow::{Context, Result};
use semver::Version;
use std::collections::BTreeSet;

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
    pub(super) versions: BTreeSet<Version>,
    /// What the steps do.
    pub(super) actions: Vec<Action>,
}

impl TablePlan {
    /// Nothing is to be done, not even a stamp to be written.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.stamp.is_none()
    }
}

/// What a walk does with what it decides.
pub(super) enum Mode<'m> {
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

impl Engine<'_> {
    /// Finds out what a walk takes for every table of the chosen types, and what stands in the way, without changing
    /// anything. Runs tables go with their sessions.
    pub fn plan(&mut self, observed: &Observed, course: &Course) -> Result<Vec<TablePlan>> {
        let only = self.settings.only.clone();
        let is_chosen = |found: &&Found| {
            found.table_type != TableType::Runs && only.as_ref().is_none_or(|only| only.contains(&found.table_type))
        };
        let chosen = observed.survey.found.iter().filter(is_chosen);
        let mut plans = chosen
            .map(|table| self.plan_table(observed, table, course).with_context(|| format!("cannot look at {}", table.name)))
            .collect::<Result<Vec<_>>>()?;
        // Of all tables together: each may fit where all of them do not.
        let copies_runs = |plan: &&mut TablePlan| plan.actions.contains(&Action::Move(Move::Runs, Direction::Up));
        let mut copying: Vec<&mut TablePlan> = plans.iter_mut().filter(copies_runs).collect();
        let names: Vec<&str> = copying.iter().map(|plan| plan.table.name.as_str()).collect();
        let room = if names.is_empty() { None } else { self.backend.room(&names)? };
        if let (Some(why), Some(first)) = (room, copying.first_mut()) {
            first.refusals.push(why);
        }
        Ok(plans)
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
        // Moves of rows have no statements to show, and need rights.
        if plan.refusals.is_empty() && !plan.actions.is_empty() {
            plan.refusals.extend(self.backend.rehearse(&table.name, &plan.actions, &statements)?);
        }
        plan.stamp = self.final_stamp(observed, table, course, &state, plan.steps.is_empty());
        Ok(plan)
    }

    /// What a table is stamped with at the end; `None` when its stamp is right as it is.
    fn final_stamp(
        &self,
        observed: &Observed,
        table: &Found,
        course: &Course,
        end: &State,
        unchanged: bool,
    ) -> Option<Version> {
        if !table.table_type.is_stamped() {
            return None;
        }
        let (target, stamp) = (course.target(), &end.stamp);
        if course.direction() == Direction::Up
            && stamp >= target
            && end.runs.is_some()
            && table.stamp != Stamp::None
            && !observed.has_stamped_runs(table)
        {
            // The runs table is there, or was made for a stamp that claimed it: it has the stamp of its sessions.
            return Some(stamp.clone());
        }
        let is_right = match course {
            Course::Up { .. } => stamp >= target,
            Course::Down { .. } if stamp > target => false,
            // Schema 2.0.0 needs no stamp.
            Course::Down { .. } if stamp == target => unchanged || table.stamp != Stamp::None,
            // A lower table is left alone, unless all that the target wants is there and only the stamp is missing.
            Course::Down { .. } => table.stamp != Stamp::None || !self.has_all_up_to(table, target, end),
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
    pub(super) fn take(
        &mut self,
        table: &Found,
        leg: &Leg,
        course: &Course,
        observed: &Observed,
        state: &mut State,
        mode: &mut Mode<'_>,
    ) -> Result<()> {
        let dialect = self.backend.dialect();
        let mut makes_place = false;
        for step in &leg.steps {
            self.look_again(table, state)?;
            let (actions, guards) = match plan::decide(step, course.direction(), &state.subject(table, dialect)) {
                Decision::Holds => continue,
                Decision::Refuse(why) => {
                    mode.refuse(why)?;
                    continue;
                }
                Decision::Do(actions, guards) => (actions, guards),
            };
            if let Step::Move(rows) = step
                && !self.is_due(*rows, table, leg, course, state, makes_place)?
            {
                continue;
            }
            if matches!(mode, Mode::Do(_)) && actions.iter().any(Action::takes_away) {
                // What an app would write now would go with the column, the rows or the runs table.
                let tables = [Some(table.name.as_str()), state.runs.as_ref().and(table.runs.as_deref())];
                self.backend.hold(&tables.into_iter().flatten().collect::<Vec<_>>())?;
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
                self.look_again(table, state)?;
                makes_place |= action.makes_place();
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
                state.is_outdated = matches!(mode, Mode::Do(_)) && action.changes_shape_of(&table.name);
            }
        }
        Ok(())
    }

    /// What is there counts, not what was predicted: observes a table again that an action changed, before anything more is
    /// decided or done on it.
    fn look_again(&mut self, table: &Found, state: &mut State) -> Result<()> {
        if state.is_outdated {
            state.shape = self.backend.shape(&table.name)?.ok_or_else(gone)?;
            state.is_outdated = false;
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
        makes_place: bool,
    ) -> Result<bool> {
        let backend = &mut *self.backend;
        match (rows, course) {
            (Move::Runs, Course::Up { moves, .. }) => {
                // A stamp that claims the version of a table made only now lies about its rows too.
                let is_due = leg.version > state.stamp || *moves == Moves::Again || makes_place;
                // Values of runs that are gone wait in the archive for them: without the move they would wait for ever.
                Ok(is_due && (state.has_archived_runs || rows::any_runs(backend, &table.name)?))
            }
            (Move::Runs, Course::Down { .. }) => Ok(true),
            (Move::OpenDay, Course::Up { .. }) => {
                Ok(makes_place && rows::open_day(backend, &table.name, state.had_owner)?.is_some())
            }
            (Move::OwnedRows, Course::Up { .. }) => Ok(archive::has_rows(&state.archived)),
            (Move::OwnedRows, Course::Down { .. }) => archive_of(backend, table).has_owned_rows(&state.shape),
            (Move::EntityKeys, Course::Up { .. }) => {
                let shared = if leg.version > state.stamp { rows::Shared::Any } else { rows::Shared::Movable };
                rows::any_shared_keys(backend, &table.name, shared)
            }
            // A session without runs may be all that Agno 3 wrote.
            (Move::Encoding, Course::Down { .. }) => {
                Ok((leg.version <= state.stamp || state.runs.is_some()) && backend.has_plain_sessions(&table.name)?)
            }
            (Move::Encoding, Course::Up { .. }) | (Move::OpenDay | Move::EntityKeys, Course::Down { .. }) => Ok(false),
        }
    }
}
