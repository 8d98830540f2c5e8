//! The planner: compares what a step wants with what a table has. Pure: values in, values out, no database.

use crate::backend::Dialect;
use crate::schema::tables::runs_name;
use crate::schema::{Column, ColumnShape, ColumnType, Direction, Index, IndexShape, Move, NewTable, Retype, Shape, Step};
use std::collections::BTreeSet;

/// What is to be done to a table. A [`Dialect`] writes it as SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the runs table of a sessions table.
    CreateTable {
        /// Its name.
        name: String,
        /// What it is.
        table: &'static NewTable,
        /// The table its rows belong to.
        parent: String,
        /// The name of its key, where keys share their names with tables.
        key: String,
        /// The names of its indexes, in the order of the declaration.
        indexes: Vec<String>,
    },
    /// Drop the runs table.
    DropTable {
        /// Its name.
        name: String,
    },
    /// Add a column and fill it.
    AddColumn(Column),
    /// Fill the NULLs of a column and make it NOT NULL.
    Require(Column),
    /// Drop a column.
    DropColumn(Column),
    /// Create an index.
    CreateIndex {
        /// The table it is on: the step's, or its runs table.
        on: String,
        /// Its name.
        name: String,
        /// What it covers.
        index: Index,
    },
    /// Drop an index.
    DropIndex {
        /// Its name.
        name: String,
    },
    /// Give columns other types, all at once.
    Retype(Vec<Retype>),
    /// Replace a unique key by a primary key.
    AddPrimaryKey {
        /// Name of the key.
        name: String,
        /// Its column.
        column: &'static str,
        /// Unique constraints on the same column that go.
        replaces: Vec<String>,
    },
    /// Replace the primary key by a unique key.
    DropPrimaryKey {
        /// Its column.
        column: &'static str,
        /// Name of the unique key.
        unique: String,
    },
    /// Replace unique keys by another.
    ReplaceKey {
        /// The keys that go.
        drop: Vec<IndexShape>,
        /// Name of the new one.
        name: String,
        /// What it covers.
        key: Index,
    },
    /// Keep the values of a column in the archive.
    Archive(Column),
    /// Put archived values of a column back.
    Restore {
        /// The column.
        column: Column,
        /// Which rows get theirs.
        over: Over,
    },
    /// Rows move.
    Move(Move, Direction),
}

/// Which rows get an archived value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// All: the column was added just now.
    All,
    /// Those that have none: the column was there before, and what the app wrote counts.
    Null,
}

/// What must be true of the rows before an action; asked of the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Guard {
    /// No two rows are equal in what the index covers.
    Unique(Index),
    /// No value of the column is NULL, and no two are equal.
    Key(&'static str),
    /// Every row with a value in the column has a key by which the archive knows it.
    Keyed(Column),
    /// Every row of the runs table has its session.
    NoOrphans,
    /// Every session's runs fit into one value.
    Sizes,
    /// Every session that has rows in the runs table has a list, or nothing, in its column.
    Lists,
    /// The runs table, if it is there, was made in a way that runs can be moved into and out of.
    Movable,
    /// Every value can have its new type.
    Convertible(Vec<Retype>),
}

/// The planner's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The fact holds already (or, going down, does not hold any more).
    Holds,
    /// It takes these actions, in order, if the guards hold.
    Do(Vec<Action>, Vec<Guard>),
    /// Something stands in the way; the sentence says what, and what to do.
    Refuse(String),
}

/// The table a step is about, and what is around it.
pub struct Subject<'a> {
    /// Its name.
    pub table: &'a str,
    /// What it has.
    pub shape: &'a Shape,
    /// Its runs table: the name, and the shape if it is there. Only sessions tables have one.
    pub runs: Option<(&'a str, Option<&'a Shape>)>,
    /// Every name of a table or index in the database: new names avoid them.
    pub names: &'a BTreeSet<String>,
    /// Columns of this table that have values in the archive.
    pub archived: &'a BTreeSet<String>,
    /// Tables with a foreign key on the runs table.
    pub runs_referenced_by: &'a [String],
    /// How the database calls things.
    pub dialect: &'a dyn Dialect,
}

/// What a step takes in a direction.
pub fn decide(step: &Step, direction: Direction, subject: &Subject<'_>) -> Decision {
    match direction {
        Direction::Up => decide_up(step, subject),
        Direction::Down => decide_down(step, subject),
    }
}

fn decide_up(step: &Step, subject: &Subject<'_>) -> Decision {
    let shape = subject.shape;
    match step {
        Step::CreateTable(table) => create_table(table, subject),
        Step::AddColumn(column) => {
            let archived = subject.archived.contains(column.name);
            match (shape.column(column.name), archived) {
                (Some(there), _) if there.generated => Decision::Refuse(format!(
                    "the column {} is computed by the database, Agno writes to it: drop or rename it",
                    column.name
                )),
                (Some(there), true) if column.required && !there.required => {
                    act([Action::Restore { column: *column, over: Over::Null }, Action::Require(*column)])
                }
                (Some(there), false) if column.required && !there.required => act([Action::Require(*column)]),
                (Some(_), false) => Decision::Holds,
                (Some(_), true) => act([Action::Restore { column: *column, over: Over::Null }]),
                (None, false) => act([Action::AddColumn(*column)]),
                (None, true) => act([Action::AddColumn(*column), Action::Restore { column: *column, over: Over::All }]),
            }
        }
        Step::CreateIndex(index) => match missing_index(subject.table, shape, index, subject) {
            missing if missing.is_empty() => Decision::Holds,
            missing if index.unique => Decision::Do(missing, vec![Guard::Unique(*index)]),
            missing => act(missing),
        },
        Step::Retype(retypes) => retype(retypes.iter().copied(), subject),
        Step::PrimaryKey { column, unique: _ } => {
            // Where tables cannot be given a key, a unique index does what it does.
            let stands_in = !subject.dialect.alters_columns() && shape.primary_key.is_empty() && shape.is_unique(&[column]);
            if shape.primary_key == [*column] || stands_in {
                return Decision::Holds;
            }
            let replaces =
                shape.indexes.iter().filter(|i| i.constraint && i.unique && i.columns == [*column]).map(|i| i.name.clone());
            let name = free_name(&subject.dialect.fit(&format!("{}_pkey", subject.table)), subject.names);
            Decision::Do(
                vec![Action::AddPrimaryKey { name, column, replaces: replaces.collect() }],
                vec![Guard::Key(column)],
            )
        }
        Step::MoveKey { from, to } => move_key(from, to, subject, vec![Guard::Unique(*to)]),
        Step::Retire(_) => Decision::Holds,
        Step::Move(Move::Runs) if shape.column("runs").is_none() => Decision::Holds,
        Step::Move(Move::Runs) => Decision::Do(vec![Action::Move(Move::Runs, Direction::Up)], vec![Guard::Movable]),
        Step::Move(rows) => act([Action::Move(*rows, Direction::Up)]),
    }
}

fn decide_down(step: &Step, subject: &Subject<'_>) -> Decision {
    let shape = subject.shape;
    match step {
        Step::CreateTable(table) => match subject.runs {
            Some((_, Some(_))) if !subject.runs_referenced_by.is_empty() => Decision::Refuse(format!(
                "{} has a foreign key on the runs table, which goes: drop that key or table first",
                subject.runs_referenced_by.join(", ")
            )),
            Some((name, Some(runs))) => match users_own(name, runs, table) {
                own if own.is_empty() => act([Action::DropTable { name: name.to_owned() }]),
                own => Decision::Refuse(format!(
                    "{name} goes, and it has what Agno did not give it: {}; drop that first, or keep it elsewhere",
                    own.join(", ")
                )),
            },
            _ => Decision::Holds,
        },
        Step::AddColumn(column) => match shape.column(column.name) {
            None => Decision::Holds,
            Some(_) => {
                Decision::Do(vec![Action::Archive(*column), Action::DropColumn(*column)], vec![Guard::Keyed(*column)])
            }
        },
        Step::CreateIndex(index) => {
            let agnos: Vec<&IndexShape> =
                shape.indexes.iter().filter(|i| i.columns == index.columns && i.is_agnos(subject.table, index)).collect();
            match agnos.as_slice() {
                [] => Decision::Holds,
                found => act(found.iter().map(|index| Action::DropIndex { name: index.name.clone() })),
            }
        }
        Step::Retype(retypes) => {
            retype(retypes.iter().map(|r| Retype { column: r.column, from: r.to, to: r.from }), subject)
        }
        Step::PrimaryKey { column, unique } => {
            if subject.dialect.key_is_primary() || shape.primary_key != [*column] {
                return Decision::Holds;
            }
            let unique = free_name(&subject.dialect.fit(&format!("{}_{unique}", subject.table)), subject.names);
            act([Action::DropPrimaryKey { column, unique }])
        }
        Step::MoveKey { from, to } => move_key(to, from, subject, Vec::new()),
        Step::Retire(column) => match shape.column(column.name) {
            Some(_) => Decision::Holds,
            None => act([Action::AddColumn(*column)]),
        },
        Step::Move(Move::Runs) => match subject.runs {
            Some((_, Some(_))) => Decision::Do(
                vec![Action::Move(Move::Runs, Direction::Down)],
                vec![Guard::Movable, Guard::NoOrphans, Guard::Sizes, Guard::Lists],
            ),
            _ => Decision::Holds,
        },
        Step::Move(rows) => act([Action::Move(*rows, Direction::Down)]),
    }
}

/// Columns, indexes and triggers of a table that are not of its declaration.
fn users_own(name: &str, shape: &Shape, table: &NewTable) -> Vec<String> {
    let columns = shape.columns.iter().filter(|column| table.columns.iter().all(|ours| ours.name != column.name));
    let is_agnos = |index: &&IndexShape| {
        // What stands for a key that was lost is no index of the user's.
        index.constraint
            || index.unique && index.columns == [table.key]
            || table.indexes.iter().any(|ours| index.columns == ours.columns)
    };
    let indexes = shape.indexes.iter().filter(|index| !is_agnos(index));
    let triggers = shape.definition.iter().flat_map(|definition| &definition.triggers);
    let columns = columns.map(|column| format!("column {} of {name}", column.name));
    let indexes = indexes.map(|index| format!("index {}", index.name));
    columns.chain(indexes).chain(triggers.map(|(trigger, _)| format!("trigger {trigger}"))).collect()
}

fn act(actions: impl IntoIterator<Item = Action>) -> Decision {
    Decision::Do(actions.into_iter().collect(), Vec::new())
}

fn create_table(table: &'static NewTable, subject: &Subject<'_>) -> Decision {
    let default = runs_name(subject.table);
    let (name, shape) = subject.runs.unwrap_or((&default, None));
    let Some(shape) = shape else {
        if subject.shape.column("runs").is_none() {
            // Agno 3 made the sessions and has had no run yet: it makes the table at the first.
            return Decision::Holds;
        }
        if subject.dialect.longest_name().is_some_and(|longest| name.len() > longest) {
            return Decision::Refuse(format!(
                "the runs table would be called {name}, which is longer than {} allows, and Agno 3 could not use it: name it with \
                 --table runs=NAME, and give the app the same name (runs_table)",
                subject.dialect.word()
            ));
        }
        if subject.names.contains(name) {
            return Decision::Refuse(format!(
                "the runs table would be called {name}, and something else has that name: rename it, or name the runs table \
                 with --table runs=NAME"
            ));
        }
        let mut names = subject.names.clone();
        let mut free = |wanted: &str| {
            let free = free_name(&subject.dialect.fit(wanted), &names);
            names.insert(free.clone());
            free
        };
        let key = free(&table.key_name(name));
        let indexes = table.indexes.iter().map(|index| free(&index.name(name)));
        return act([Action::CreateTable {
            name: name.to_owned(),
            table,
            parent: subject.table.to_owned(),
            key,
            indexes: indexes.collect(),
        }]);
    };
    match table.indexes.iter().flat_map(|index| missing_index(name, shape, index, subject)).collect::<Vec<_>>() {
        missing if missing.is_empty() => Decision::Holds,
        missing => act(missing),
    }
}

/// What it takes to have an index: nothing when it is there. One whose building was cut off goes first.
fn missing_index(on: &str, shape: &Shape, index: &Index, subject: &Subject<'_>) -> Vec<Action> {
    if shape.covering(index).next().is_some() {
        return Vec::new();
    }
    let cut_off: Vec<String> = shape
        .indexes
        .iter()
        .filter(|there| !there.valid && there.columns == index.columns && there.is_agnos(on, index))
        .map(|there| there.name.clone())
        .collect();
    let names = subject.names.iter().filter(|name| !cut_off.contains(name)).cloned().collect();
    let name = free_name(&subject.dialect.fit(&index.name(on)), &names);
    let drops = cut_off.into_iter().map(|name| Action::DropIndex { name });
    drops.chain([Action::CreateIndex { on: on.to_owned(), name, index: *index }]).collect()
}

/// `name`, or the first of `name_2`, `name_3` .. that nothing has.
fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let is_free = |name: &String| !taken.iter().any(|there| there.eq_ignore_ascii_case(name));
    std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}_{n}"))).find(is_free).unwrap_or_default()
}

fn retype(retypes: impl Iterator<Item = Retype>, subject: &Subject<'_>) -> Decision {
    let due: Vec<Retype> = retypes
        .filter(|retype| {
            let there = subject.shape.column(retype.column).and_then(|column| column.column_type);
            let same = |a, b| subject.dialect.type_name(a) == subject.dialect.type_name(b);
            there.is_some_and(|there| same(there, retype.from)) && !same(retype.from, retype.to)
        })
        .collect();
    if due.is_empty() {
        return Decision::Holds;
    }
    Decision::Do(vec![Action::Retype(due.clone())], vec![Guard::Convertible(due)])
}

fn move_key(from: &Index, to: &Index, subject: &Subject<'_>, guards: Vec<Guard>) -> Decision {
    let there = subject.shape.covering(to).any(|index| index.constraint);
    let drop: Vec<IndexShape> = subject.shape.covering(from).cloned().collect();
    // It would refuse rows that the new key allows.
    let own = drop.iter().filter(|index| !index.is_agnos(subject.table, from)).map(|index| index.name.as_str());
    let own: Vec<&str> = own.collect();
    if !own.is_empty() {
        return Decision::Refuse(format!(
            "the unique index {} on ({}) is none of Agno's, and no row could differ in ({}) alone: drop it first",
            own.join(", "),
            from.columns.join(", "),
            to.columns.join(", ")
        ));
    }
    if there && drop.is_empty() {
        return Decision::Holds;
    }
    let stay = subject.names.iter().filter(|name| drop.iter().all(|index| index.name != **name)).cloned().collect();
    let name = free_name(&subject.dialect.fit(&to.name(subject.table)), &stay);
    Decision::Do(vec![Action::ReplaceKey { drop, name, key: *to }], guards)
}

/// The shape after an action, as a database that did it would tell it. Feeds the next step of a plan that is only shown;
/// a test holds it against what the databases tell.
pub fn after(shape: &Shape, action: &Action, table: &str, dialect: &dyn Dialect) -> Shape {
    let mut shape = Shape { definition: dialect.redefine(table, action, shape), ..shape.clone() };
    let column_shape = |column: &Column| ColumnShape {
        name: column.name.to_owned(),
        column_type: Some(dialect.seen_as(column.column_type)),
        declared: dialect.type_name(column.column_type).to_owned(),
        required: column.required,
        generated: false,
    };
    let index_shape = |name: &str, columns: &[&str], index: &Index, constraint: bool| IndexShape {
        name: name.to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        unique: index.unique,
        condition: index.condition.map(|condition| condition.to_string()),
        valid: true,
        constraint,
    };
    match action {
        Action::AddColumn(column) => shape.columns.push(column_shape(column)),
        Action::Require(column) => {
            shape.columns.iter_mut().filter(|there| there.name == column.name).for_each(|there| there.required = true);
        }
        Action::DropColumn(column) => shape.columns.retain(|there| there.name != column.name),
        Action::CreateIndex { on, name, index } if on == table => {
            shape.indexes.push(index_shape(name, index.columns, index, false));
        }
        Action::DropIndex { name } => shape.indexes.retain(|index| index.name != *name),
        Action::Retype(retypes) => {
            for column in &mut shape.columns {
                if let Some(retype) = retypes.iter().find(|retype| retype.column == column.name) {
                    column.column_type = Some(dialect.seen_as(retype.to));
                    column.declared = dialect.type_name(retype.to).to_owned();
                }
            }
        }
        Action::AddPrimaryKey { name, column, replaces } => {
            shape.primary_key = vec![(*column).to_owned()];
            shape.primary_key_name = Some(name.clone());
            shape.indexes.retain(|index| !replaces.contains(&index.name));
        }
        Action::DropPrimaryKey { column, unique } => {
            shape.primary_key.clear();
            shape.primary_key_name = None;
            shape.indexes.push(index_shape(unique, &[column], &Index::key("", &[]), true));
        }
        Action::ReplaceKey { drop, name, key } => {
            shape.indexes.retain(|index| !drop.contains(index));
            if !shape.covering(key).any(|index| index.constraint) {
                shape.indexes.push(index_shape(name, key.columns, key, true));
            }
        }
        Action::CreateTable { .. }
        | Action::CreateIndex { .. }
        | Action::DropTable { .. }
        | Action::Archive(_)
        | Action::Restore { .. }
        | Action::Move(..) => {}
    }
    shape
}

/// The shape of a table that [`Action::CreateTable`] makes.
pub fn created(table: &NewTable, parent: &str, indexes: &[String], dialect: &dyn Dialect) -> Shape {
    let column = |column: &Column| ColumnShape {
        name: column.name.to_owned(),
        column_type: Some(dialect.seen_as(column.column_type)),
        declared: dialect.type_name(column.column_type).to_owned(),
        required: column.required,
        generated: false,
    };
    let named = |(index, name): (&Index, &String)| IndexShape {
        name: name.clone(),
        columns: index.columns.iter().map(|column| (*column).to_owned()).collect(),
        unique: index.unique,
        condition: None,
        valid: true,
        constraint: false,
    };
    Shape {
        columns: table.columns.iter().map(column).collect(),
        primary_key: vec![table.key.to_owned()],
        indexes: table.indexes.iter().zip(indexes).map(named).collect(),
        foreign_keys: table
            .parent_column
            .map(|column| crate::schema::ForeignKeyShape {
                columns: vec![column.to_owned()],
                parent: parent.to_owned(),
                cascades: true,
            })
            .into_iter()
            .collect(),
        ..Shape::default()
    }
}

impl Action {
    /// Whether it changes columns, keys or tables, and not only rows.
    pub fn changes_shape(&self) -> bool {
        !matches!(self, Action::Move(..) | Action::Restore { .. } | Action::Archive(_))
    }

    /// The same of `table`, which it is of, and not of the runs table.
    pub fn changes_shape_of(&self, table: &str) -> bool {
        match self {
            Action::CreateTable { .. } | Action::DropTable { .. } => false,
            Action::CreateIndex { on, .. } => on == table,
            _ => self.changes_shape(),
        }
    }

    /// Whether it takes values from where an app writes them to where it does not look.
    pub fn takes_away(&self) -> bool {
        matches!(self, Action::Archive(_) | Action::Move(Move::Runs | Move::OwnedRows, Direction::Down))
    }

    /// Whether rows move because of it: it makes the place they go to, or what tells them apart.
    pub fn makes_place(&self) -> bool {
        matches!(self, Action::CreateTable { .. } | Action::AddColumn(_) | Action::ReplaceKey { .. })
    }

    /// What it does, for the report: `added column user_id`.
    pub fn done(&self) -> String {
        match self {
            Action::CreateTable { name, .. } => format!("created table {name}"),
            Action::DropTable { name } => format!("dropped table {name}"),
            Action::AddColumn(column) => format!("added column {}", column.name),
            Action::Require(column) => format!("filled column {} and made it NOT NULL", column.name),
            Action::DropColumn(column) => format!("dropped column {}", column.name),
            Action::CreateIndex { name, .. } => format!("created index {name}"),
            Action::DropIndex { name } => format!("dropped index {name}"),
            Action::Retype(retypes) => {
                let one = |retype: &Retype| format!("{} to {}", retype.column, retype.to);
                format!("changed types: {}", retypes.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Action::AddPrimaryKey { column, .. } => format!("made {column} the primary key"),
            Action::DropPrimaryKey { column, .. } => format!("made {column} unique instead of the primary key"),
            Action::ReplaceKey { key, .. } => format!("moved the unique key to ({})", key.columns.join(", ")),
            Action::Archive(column) => format!("archived values of {}", column.name),
            Action::Restore { column, .. } => format!("restored values of {}", column.name),
            Action::Move(rows, direction) => rows.done(*direction),
        }
    }
}

/// Two types that the judge of shapes calls equal.
pub fn same_type(a: ColumnType, b: ColumnType) -> bool {
    let plain = |t| if t == ColumnType::Text { ColumnType::Varchar } else { t };
    plain(a) == plain(b)
}
