//! What `verify` finds: where the data is not what the stamps say.

use serde::Serialize;

/// How many differences of a table are named; all are counted.
pub const NAMED: usize = 1000;

/// One place where a table is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Whose: the id of a session, a run or a row; `None`: the table's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which one it is there, when the id names several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What differs. Never contents, only ids and names.
    pub what: String,
    /// The command that mends it, or what to do.
    pub mend: String,
}

/// The differences of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// How many there are.
    pub count: u64,
    /// How many ids they are of: those of one id come one after the other.
    pub ids: u64,
    /// The id that came last.
    #[serde(skip)]
    last: Option<String>,
    /// The first [`NAMED`] of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Difference>,
}

impl Differences {
    /// Counts one, and names it while there is room.
    pub fn add(&mut self, difference: Difference) {
        self.count += 1;
        if difference.id.is_some() && self.last != difference.id {
            self.ids += 1;
            self.last.clone_from(&difference.id);
        }
        if self.named.len() < NAMED {
            self.named.push(difference);
        }
    }

    /// Adds those of another check.
    pub fn append(&mut self, other: Differences) {
        self.count += other.count;
        self.ids += other.ids;
        self.last = other.last;
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The column `runs` of a sessions table held against its runs table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Elements of the column.
    pub runs: u64,
    /// Rows that the app changed after they were moved: not compared any further.
    pub changed: u64,
    /// What differs.
    pub differences: Differences,
    /// Nothing could be compared: what differs is only why.
    pub is_impossible: bool,
}

impl Compared {
    /// An element of a session's list whose row is not what it should be.
    pub fn differs(&mut self, session: &str, index: i64, why: &RunDiffers) {
        self.differences.add(Difference {
            id: Some(session.to_owned()),
            item: Some(format!("runs[{index}]")),
            what: why.what(),
            mend: why.mend().to_owned(),
        });
    }

    /// A session whose column holds something else than a list.
    pub fn no_list(&mut self, session: &str, why: &str) {
        self.differences.add(Difference {
            id: Some(session.to_owned()),
            item: None,
            what: format!("{why}: nothing of it is in the runs table"),
            mend: KEEP_OR_DROP.to_owned(),
        });
    }
}

const KEEP_OR_DROP: &str = "it stays in the old column as long as that is kept; agno-migrate cleanup --force drops it";

/// How a run of the old column may differ from the runs table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunDiffers {
    /// It cannot be a row, for this reason.
    NoRow(String),
    /// No row has its id.
    Missing(String),
    /// The row of its id belongs to another session.
    Elsewhere(String, String),
    /// The row holds another payload.
    Content(String),
    /// These columns of the row are not what the payload and the session say.
    Columns(String, String),
    /// Its row comes before that of the run before it.
    Order(String),
}

impl RunDiffers {
    fn what(&self) -> String {
        match self {
            RunDiffers::NoRow(why) => format!("{why}: it is only in the old column"),
            RunDiffers::Missing(id) => format!("run {id} is only in the old column"),
            RunDiffers::Elsewhere(id, other) => {
                format!("the row of run {id} belongs to session {other}: this one is only in the old column")
            }
            RunDiffers::Content(id) => format!("run {id} has another content in the runs table"),
            RunDiffers::Columns(id, columns) => format!("run {id} has another {columns} in the runs table"),
            RunDiffers::Order(id) => format!("run {id} comes before the run that it followed"),
        }
    }

    fn mend(&self) -> &'static str {
        match self {
            RunDiffers::NoRow(_) => KEEP_OR_DROP,
            RunDiffers::Missing(_) => "if the app did not delete it: agno-migrate up --force copies it",
            RunDiffers::Elsewhere(..) => {
                "if the row is wrong, correct its session_id; if it is right, give the run of the old column an id of its own and run \
                 agno-migrate up --force"
            }
            // Agno 3 gives a session to another user and leaves its rows as they are: `reassign_session_owner`.
            RunDiffers::Columns(_, columns) if columns == "user_id" => {
                "if the session was given to another user, all is well, and agno-migrate cleanup --force drops the old column; else set \
                 user_id of the row to that of its session"
            }
            RunDiffers::Content(_) | RunDiffers::Columns(..) => {
                "if the old column is right, delete the row and run agno-migrate up --force; if the row is right, agno-migrate \
                 cleanup --force drops the old column"
            }
            // Deleting the rows would lose the runs that Agno 3 added since, and what it changed in the others.
            RunDiffers::Order(_) => {
                "number the rows of this session anew: run_index of each is the place of its run in the old column, and the runs that \
                 Agno 3 added follow in their order; no row has to go"
            }
        }
    }
}
