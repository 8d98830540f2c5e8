//! What a run says of itself, as far as its row repeats it.

use crate::convert::scan::{self, Stop};

/// What an element of the list is.
#[derive(Debug, PartialEq)]
pub enum Element<'t> {
    /// A run that can become a row.
    Run(Fields<'t>),
    /// Something else, with the reason why it cannot.
    Other(&'static str),
}

/// A field of a run that its row repeats.
#[derive(Clone, Copy)]
enum Field {
    RunId,
    AgentId,
    AgentName,
    TeamId,
    TeamName,
    WorkflowId,
    WorkflowName,
    ParentRunId,
    Status,
    CreatedAt,
}

impl Field {
    /// How many there are.
    const COUNT: usize = 10;

    fn of(key: &[u8]) -> Option<Field> {
        Some(match key {
            b"run_id" => Field::RunId,
            b"agent_id" => Field::AgentId,
            b"agent_name" => Field::AgentName,
            b"team_id" => Field::TeamId,
            b"team_name" => Field::TeamName,
            b"workflow_id" => Field::WorkflowId,
            b"workflow_name" => Field::WorkflowName,
            b"parent_run_id" => Field::ParentRunId,
            b"status" => Field::Status,
            b"created_at" => Field::CreatedAt,
            _ => return None,
        })
    }
}

/// Where the values of fields are in an object; the last one counts where a key stands twice, as in Python.
pub type Places = [Option<(usize, usize)>; Field::COUNT];

/// The length of the object that begins `text`, and where its fields are.
pub fn places(text: &[u8]) -> Result<(usize, Places), Stop> {
    let mut places = Places::default();
    let length = scan::members(text, 0, |key, value| {
        if let Some(field) = Field::of(key) {
            places[field as usize] = Some((value.start, value.end));
        }
    })?;
    Ok((length, places))
}

/// The fields of a run that its row repeats, as they are written.
#[derive(Debug, PartialEq)]
pub struct Fields<'t>([Option<&'t [u8]>; Field::COUNT]);

/// The row of a run, without what it takes from its session.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run's id; a number as its text.
    pub run_id: String,
    /// `agent`, `team` or `workflow`; `None`: the session's type.
    pub run_type: Option<&'static str>,
    /// The agent that ran.
    pub agent_id: Option<String>,
    /// The team that ran.
    pub team_id: Option<String>,
    /// The workflow that ran.
    pub workflow_id: Option<String>,
    /// The run that called this one.
    pub parent_run_id: Option<String>,
    /// COMPLETED, PAUSED ..
    pub status: Option<String>,
    /// Seconds since 1970; `None`: the session's.
    pub created_at: Option<i64>,
}

impl<'t> Element<'t> {
    /// What `bytes`, an element, is. `places`: those of its fields, if it is an object that can be read.
    pub fn of(bytes: &'t [u8], places: Option<Places>) -> Element<'t> {
        if bytes.first() != Some(&b'{') {
            return Element::Other("is no object");
        }
        if std::str::from_utf8(bytes).is_err() {
            return Element::Other("is not valid UTF-8");
        }
        let Some(places) = places else { return Element::Other("is no JSON") };
        let fields = Fields(places.map(|place| place.and_then(|(start, end)| bytes.get(start..end))));
        match fields.run_id() {
            None => Element::Other("has no run_id"),
            Some(_) => Element::Run(fields),
        }
    }
}

/// The fields of a run, by its payload; `None`: it is none.
fn fields_of(payload: &[u8]) -> Option<Fields<'_>> {
    let places = if payload.first() == Some(&b'{') { places(payload).ok() } else { None };
    match Element::of(payload, places.map(|(_, places)| places)) {
        Element::Run(fields) => Some(fields),
        Element::Other(_) => None,
    }
}

/// When a run began, by its payload, in whole seconds since 1970; `None`: it says nothing of it, or is no run.
pub fn created_at_of(payload: &[u8]) -> Option<i64> {
    fields_of(payload)?.created_at()
}

/// The id of a run, by its payload; `None`: it is none.
pub fn id_of(payload: &[u8]) -> Option<String> {
    fields_of(payload)?.run_id()
}

/// Whose a run says it is, by its payload. Its row has the user of its session, or that of the call that wrote it.
pub fn user_of(payload: &[u8]) -> Option<String> {
    let mut user = None;
    let scanned = scan::members(payload, 0, |key, value| {
        if key == b"user_id" {
            user = id(payload.get(value));
        }
    });
    scanned.ok().and(user)
}

impl Fields<'_> {
    fn get(&self, field: Field) -> Option<&[u8]> {
        self.0[field as usize]
    }

    /// The run's id; a number as its text.
    fn run_id(&self) -> Option<String> {
        id(self.get(Field::RunId))
    }

    /// The row.
    pub fn row(&self) -> RunRow {
        let kinds = [
            ("agent", Field::AgentId, Field::AgentName),
            ("team", Field::TeamId, Field::TeamName),
            ("workflow", Field::WorkflowId, Field::WorkflowName),
        ];
        let is_of = |id: Field, name: Field| filled(self.get(id)) || filled(self.get(name));
        RunRow {
            run_id: self.run_id().unwrap_or_default(),
            run_type: kinds.into_iter().find(|(_, id, name)| is_of(*id, *name)).map(|(kind, ..)| kind),
            agent_id: id(self.get(Field::AgentId)),
            team_id: id(self.get(Field::TeamId)),
            workflow_id: id(self.get(Field::WorkflowId)),
            parent_run_id: id(self.get(Field::ParentRunId)),
            status: self.get(Field::Status).and_then(scan::string).map(|status| status.into_owned()),
            created_at: self.created_at(),
        }
    }

    /// Whole seconds since 1970.
    fn created_at(&self) -> Option<i64> {
        self.get(Field::CreatedAt).and_then(scan::number).and_then(seconds)
    }
}

/// A string or a number, as text.
fn id(value: Option<&[u8]>) -> Option<String> {
    let value = value?;
    scan::string(value).map(|text| text.into_owned()).or_else(|| scan::number(value).map(str::to_owned))
}

/// True as Python sees an id or a name.
fn filled(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| !matches!(value, b"null" | b"\"\"" | b"false" | b"0" | b"[]" | b"{}"))
}

/// Whole seconds of a number greater than 0.
fn seconds(number: &str) -> Option<i64> {
    let whole = number.parse::<i64>().ok().or_else(|| {
        let value = number.parse::<f64>().ok()?;
        // Above 2^53 a float is no time any more.
        (value < 9_007_199_254_740_992.0).then_some(value as i64)
    })?;
    (whole > 0).then_some(whole)
}
