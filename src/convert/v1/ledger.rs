//! What a conversion leaves out: nothing without keeping it or counting it.

use super::members::Members;
use super::tree::Node;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Events of runs: v2 has other names for them and breaks on v1's.
    Events,
    /// Tool calls as texts, which repeat `tools`.
    FormattedToolCalls,
    /// Ids of team sessions, which repeat the session.
    TeamSessionIds,
    /// Timers, prompt and completion details and other parts of metrics that are summed up elsewhere.
    MetricsParts,
    /// Media without url, path or content: v1 lost the url when it stored them.
    MediaLost,
    /// Nulls in place of runs.
    NullRuns,
    /// Runs of other sessions inside a session's memory.
    ForeignRuns,
    /// Runs that stood twice in a session: the later one counts.
    RepeatedRuns,
    /// Runs whose id another session has: they got an id of their own.
    RenamedRuns,
    /// Runs of a member's own session that the team's session has already.
    MergedRuns,
    /// Messages of history that a run repeated.
    RepeatedHistory,
    /// Settings of the app inside a memory.
    Settings,
    /// Team contexts that repeat member runs, or belong to other sessions.
    TeamContext,
    /// Summaries of other sessions inside a session's memory.
    ForeignSummaries,
    /// Parts of a memory or summary that v2 has no field for.
    MemoryParts,
    /// Memories inside a session without a text.
    EmptyMemories,
    /// Memories whose id a memory of another user has: they got an id of their own.
    RenamedMemories,
    /// NUL characters that were removed.
    Nuls,
    /// Values kept under `agno_v1` because v2 has no field for them or would break on them.
    Kept,
}

impl Count {
    /// All of them, in the order of the report.
    pub const ALL: [Count; 19] = [
        Count::Events,
        Count::FormattedToolCalls,
        Count::TeamSessionIds,
        Count::MetricsParts,
        Count::MediaLost,
        Count::NullRuns,
        Count::ForeignRuns,
        Count::RepeatedRuns,
        Count::RenamedRuns,
        Count::MergedRuns,
        Count::RepeatedHistory,
        Count::Settings,
        Count::TeamContext,
        Count::ForeignSummaries,
        Count::MemoryParts,
        Count::EmptyMemories,
        Count::RenamedMemories,
        Count::Nuls,
        Count::Kept,
    ];

    /// In words, as the report has it.
    pub fn phrase(self) -> &'static str {
        match self {
            Count::Events => "run events dropped",
            Count::FormattedToolCalls => "lists of formatted tool calls dropped",
            Count::TeamSessionIds => "ids of team sessions dropped",
            Count::MetricsParts => "timers and details of metrics dropped",
            Count::MediaLost => "media without url, path or content dropped",
            Count::NullRuns => "empty runs dropped",
            Count::ForeignRuns => "runs of other sessions left to those",
            Count::RepeatedRuns => "runs stored twice",
            Count::RenamedRuns => "runs renamed because another session has their id",
            Count::MergedRuns => "runs of members merged into the team's session",
            Count::RepeatedHistory => "repeated histories dropped",
            Count::Settings => "settings of the app dropped",
            Count::TeamContext => "team contexts that repeat runs or belong to other sessions dropped",
            Count::ForeignSummaries => "summaries of other sessions left to those",
            Count::MemoryParts => "parts of memories without a place in v2 dropped",
            Count::EmptyMemories => "memories without a text dropped",
            Count::RenamedMemories => "memories renamed because another user's has their id",
            Count::Nuls => "NUL characters removed",
            Count::Kept => "values kept under agno_v1",
        }
    }
}

/// How often each thing was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Count::ALL.len()]);

impl Counts {
    /// Counts one more.
    pub fn one(&mut self, what: Count) {
        self.more(what, 1);
    }

    /// Counts some more.
    pub fn more(&mut self, what: Count, number: usize) {
        self.0[what as usize] += number as u64;
    }

    /// How often it was met.
    pub fn of(&self, what: Count) -> u64 {
        self.0[what as usize]
    }

    /// Adds the counts of another row.
    pub fn add(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// What was met at all.
    pub fn iter(&self) -> impl Iterator<Item = (Count, u64)> + '_ {
        Count::ALL.into_iter().map(|what| (what, self.of(what))).filter(|(_, number)| *number > 0)
    }
}

/// A place in a document. Written out only when something is left there, so it costs nothing on the way.
#[derive(Clone, Copy, Debug)]
pub enum Place<'p> {
    /// The document itself.
    Root,
    /// A member of an object.
    Key(&'p Place<'p>, &'p str),
    /// An element of a list.
    Index(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Key(Place::Root, key) => out.write_str(key),
            Place::Key(parent, key) => write!(out, "{parent}.{key}"),
            Place::Index(parent, index) => write!(out, "{parent}[{index}]"),
        }
    }
}

/// What a document could not carry over, by place, and what was counted.
#[derive(Debug, Default)]
pub struct Ledger<'t> {
    left: Members<'t>,
    /// What was counted.
    pub counts: Counts,
}

impl<'t> Ledger<'t> {
    /// Keeps a value under the place where it stood. Null says nothing and is not kept.
    pub fn keep(&mut self, place: Place<'_>, value: Node<'t>) {
        if !value.is_null() {
            self.counts.one(Count::Kept);
            self.left.push(place.to_string(), value);
        }
    }

    /// Takes what was kept, to be written.
    pub fn take(&mut self) -> Members<'t> {
        std::mem::take(&mut self.left)
    }

    /// A ledger for a document inside this one's; its counts come back by [`Ledger::close`].
    pub fn open() -> Ledger<'t> {
        Ledger::default()
    }

    /// Takes over the counts of an inner document.
    pub fn close(&mut self, inner: &Ledger<'_>) {
        self.counts.add(&inner.counts);
    }
}

/// Adds what was left to the object `agno_v1` among `members`. What is there already from an earlier conversion stays.
pub fn file<'t>(members: &mut Members<'t>, left: Members<'t>) {
    if left.is_empty() {
        return;
    }
    let mut agno_v1 = match members.take("agno_v1") {
        Node::Object { members, .. } => members,
        Node::Null => Members::new(),
        other => [("agno_v1".into(), other)].into_iter().collect(),
    };
    let mut names: HashSet<Cow<'t, str>> = agno_v1.iter().map(|(name, _)| name.clone()).collect();
    for (place, value) in left {
        let mut name = place.clone();
        // The same place can only be taken by an earlier conversion of another row.
        let mut number = 2;
        loop {
            if names.insert(name.clone()) {
                agno_v1.push(name, value);
                break;
            }
            if *agno_v1.get(&name) == value {
                break;
            }
            name = format!("{place}:{number}").into();
            number += 1;
        }
    }
    members.set("agno_v1", Node::object(agno_v1));
}
