//! One run of an agent or a team.
//!
//! Source: `agno/run/response.py`, `agno/run/team.py` of Agno 1.8.4, `agno/run/agent.py`, `agno/run/team.py` of 2.0.11 and
//! 3.1.10.

use super::ledger::{self, Count, Ledger, Place};
use super::media::{self, At, Kind, Medium, Packing};
use super::members::Members;
use super::message;
use super::metrics;
use super::shapes;
use super::tools;
use super::tree::{Node, Text};
use std::borrow::Cow;

/// What ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// An agent.
    Agent,
    /// A team.
    Team,
    /// A workflow.
    Workflow,
}

impl Ran {
    /// The word of `session_type` and `run_type`.
    pub fn word(self) -> &'static str {
        match self {
            Ran::Agent => "agent",
            Ran::Team => "team",
            Ran::Workflow => "workflow",
        }
    }
}

/// What a run takes from its session.
#[derive(Clone, Debug)]
pub struct Owner<'t> {
    /// The session's id.
    pub session_id: Cow<'t, str>,
    /// The session's type.
    pub ran: Ran,
    /// The session's agent, team or workflow.
    pub id: Option<Cow<'t, str>>,
    /// When the session began, in seconds since 1970, if it is known.
    pub created_at: Option<i64>,
}

/// A converted run, not yet written: its id and parent may still change.
#[derive(Debug)]
pub struct Draft<'t> {
    /// What ran.
    pub ran: Ran,
    /// Its id.
    pub run_id: String,
    /// The run that called it.
    pub parent: Option<String>,
    /// All members, ids included.
    pub members: Members<'t>,
}

/// The id of a run, derived from its place when it has none.
pub fn id_of(members: &Members<'_>, owner: &Owner<'_>, place: &str) -> String {
    match members.get("run_id") {
        Node::Number(number) => number.to_string(),
        node => node.plain().map_or_else(|| super::ids::derived(&owner.session_id, place), Cow::into_owned),
    }
}

/// What ran, by what the run says of itself; `else_`: when it says nothing.
pub fn ran(members: &Members<'_>, else_: Ran) -> Ran {
    let says = |key: &str| !members.get(key).is_falsy();
    if says("agent_id") || says("agent_name") {
        Ran::Agent
    } else if says("team_id") || says("team_name") || members.get("member_responses").is_list() {
        Ran::Team
    } else if members.has("agent_id") {
        // Agno goes by the key alone.
        Ran::Agent
    } else {
        else_
    }
}

/// Converts a run. Its member runs must have been taken out.
pub fn convert<'t>(
    mut members: Members<'t>,
    ran: Ran,
    run_id: String,
    owner: &Owner<'t>,
    counts: &mut Ledger<'_>,
) -> Draft<'t> {
    let mut ledger = Ledger::open();
    let root = Place::Root;
    let at = At { session_id: &owner.session_id, run_id: &run_id, place: root };

    status(&mut members, &mut ledger);
    drop_events(&mut members, &mut ledger);
    let history = unpack_extra_data(&mut members, at, &mut ledger);
    let thinking = members.take("thinking");
    message::think(&mut members, thinking, at, &mut ledger);

    for key in ["messages", "additional_input", "reasoning_messages"] {
        if members.has(key) {
            let value = members.take(key);
            let mut messages = message::list(value, at.key(key), &mut ledger);
            if key == "messages" {
                message::mark_history(&mut messages, members.get("additional_input"), &history, &mut ledger);
            }
            members.set_some(key, messages);
        }
    }
    media(&mut members, at, &mut ledger);
    if members.has("tools") {
        let tools = members.take("tools");
        members.set_some("tools", tools::list(tools, at.key("tools"), &mut ledger));
    }
    if members.has("metrics") {
        let value = members.take("metrics");
        let value = metrics::convert(value, metrics::Of::Run, at.key("metrics").place, &mut ledger);
        members.set_some("metrics", value);
    }
    input(&mut members, at, &mut ledger);
    created_at(&mut members, owner, &mut ledger);
    identify(&mut members, ran, &run_id, owner, &mut ledger);
    if ran == Ran::Team {
        // 2.9.0 erases member runs that are nested when it saves: they have been unfolded, or are none.
        let odd = members.take("member_responses");
        if !matches!(&odd, Node::List { items, .. } if items.is_empty()) {
            ledger.keep(at.key("member_responses").place, odd);
        }
        members.set("member_responses", Node::list(Vec::new()));
    }
    let fields = if ran == Ran::Team { &shapes::TEAM_RUN } else { &shapes::AGENT_RUN };
    let mut members = fields.mend(members, root, &mut ledger);
    keep(&mut members, &mut ledger);
    counts.close(&ledger);
    let parent = members.get("parent_run_id").plain().map(Cow::into_owned);
    Draft { ran, run_id, parent, members }
}

/// Files what was left under `metadata.agno_v1`.
pub fn keep<'t>(members: &mut Members<'t>, ledger: &mut Ledger<'t>) {
    let left = ledger.take();
    if left.is_empty() {
        return;
    }
    let mut metadata = match members.take("metadata") {
        Node::Object { members, .. } => members,
        // Too deep to be taken apart: it goes along as it is.
        Node::Null => Members::new(),
        raw => [("metadata".into(), raw)].into_iter().collect(),
    };
    ledger::file(&mut metadata, left);
    members.set("metadata", Node::object(metadata));
}

/// v1 stored a run when it was over and hardly ever said so.
pub fn status<'t>(members: &mut Members<'t>, ledger: &mut Ledger<'t>) {
    let status = members.take("status");
    let word = status.plain().map(|status| status.to_ascii_uppercase());
    let settled = match word.as_deref() {
        Some(word @ ("PAUSED" | "CANCELLED" | "ERROR" | "COMPLETED")) => Node::text(word.to_owned()),
        None | Some("RUNNING" | "PENDING") => {
            if word.is_none() && !status.is_falsy() {
                ledger.keep(Place::Key(&Place::Root, "status"), status);
            }
            Node::text(match members.get("event") {
                Node::Text(event) if event.is("RunPaused") => "PAUSED",
                Node::Text(event) if event.is("RunCancelled") => "CANCELLED",
                Node::Text(event) if event.is("RunError") => "ERROR",
                _ => "COMPLETED",
            })
        }
        Some(_) => status,
    };
    members.set("status", settled);
}

/// What Agno 2 breaks on or has in another place.
pub fn drop_events(members: &mut Members<'_>, ledger: &mut Ledger<'_>) {
    for (key, count) in [
        ("event", Count::Events),
        ("events", Count::Events),
        ("formatted_tool_calls", Count::FormattedToolCalls),
        ("team_session_id", Count::TeamSessionIds),
    ] {
        match members.take(key) {
            Node::List { items, .. } => ledger.counts.more(count, items.len()),
            value => ledger.counts.more(count, usize::from(!value.is_falsy())),
        }
    }
}

/// Spreads `extra_data` over the fields of v2; returns the history that Agno 1.0 and 1.1 repeat in it.
fn unpack_extra_data<'t>(members: &mut Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    let here = at.key("extra_data");
    let extra_data = match members.take("extra_data") {
        Node::Object { members, .. } => members,
        other => {
            ledger.keep(here.place, other);
            return Node::Null;
        }
    };
    let mut history = Node::Null;
    for (key, value) in extra_data {
        let refused = match key.as_ref() {
            "add_messages" => members.fill("additional_input", value),
            "references" | "reasoning_steps" | "reasoning_messages" => members.fill(key.clone(), value),
            "reasoning_content" if members.get("reasoning_content") == &value => None,
            "reasoning_content" => members.fill(key.clone(), value),
            "history" if value.is_list() => {
                history = value;
                None
            }
            _ => Some(value),
        };
        if let Some(refused) = refused {
            ledger.keep(here.key(&key).place, refused);
        }
    }
    history
}

/// The media of the run itself.
pub fn media<'t>(members: &mut Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    for (key, kind) in [("images", Kind::Image), ("videos", Kind::Video), ("audio", Kind::Audio), ("files", Kind::File)] {
        if members.has(key) {
            let value = members.take(key);
            let (media, transcripts) = media::list(value, kind, Packing::Plain, at.key(key), ledger);
            members.set_some(key, media);
            for transcript in transcripts {
                ledger.keep(at.key(key).key("transcript").place, Node::Text(transcript));
            }
        }
    }
    if members.has("response_audio") {
        let value = members.take("response_audio");
        match media::one(value, Kind::Audio, Packing::Plain, at.key("response_audio"), ledger) {
            Medium::Kept(audio) => members.set("response_audio", audio),
            Medium::Lost(Some(transcript)) => said(members, transcript, at, ledger),
            Medium::Lost(None) | Medium::Left => {}
        }
    }
}

/// What was said without its sound is the content of the run, unless it has one.
fn said<'t>(members: &mut Members<'t>, transcript: Text<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    let transcript = Node::Text(transcript);
    let answered = members.get("messages").items().iter().any(|message| *message.get("content") == transcript);
    if members.get("content").is_falsy() {
        members.set("content", transcript);
    } else if *members.get("content") != transcript && !answered {
        ledger.keep(at.key("response_audio").key("transcript").place, transcript);
    }
}

/// v1 stores no input: the team's history and AgentOS read it.
fn input<'t>(members: &mut Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    let content = match members.take("input") {
        Node::Null => message::asked(members.get("messages")),
        input if input.is_object() => {
            if !input.get("input_content").is_null() {
                members.set("input", input);
                return;
            }
            ledger.keep(at.key("input").place, input);
            message::asked(members.get("messages"))
        }
        other => other,
    };
    if !content.is_null() {
        members.set("input", Node::object([("input_content".into(), content)].into_iter().collect()));
    }
}

/// A run without a time gets that of its first message, or of its session: Agno would take the time of reading.
fn created_at<'t>(members: &mut Members<'t>, owner: &Owner<'_>, ledger: &mut Ledger<'t>) {
    message::whole(members, "created_at");
    if members.get("created_at").as_i64().is_none() {
        let messages = members.get("messages").items();
        let first = messages.iter().find_map(|message| message.get("created_at").as_i64()).filter(|time| *time > 0);
        if let Some(time) = first.or(owner.created_at) {
            let unreadable = members.take("created_at");
            ledger.keep(Place::Key(&Place::Root, "created_at"), unreadable);
            members.set("created_at", Node::int(time));
        }
    }
}

/// Who ran, when nothing says it.
const UNKNOWN: &str = "unknown";

/// Ids as Agno insists on them: it silently drops a run without a key `agent_id` or `team_id`, and saves no null.
fn identify<'t>(members: &mut Members<'t>, ran: Ran, run_id: &str, owner: &Owner<'t>, ledger: &mut Ledger<'t>) {
    number_run(members, run_id, ledger);
    let (key, name) = if ran == Ran::Team { ("team_id", "team_name") } else { ("agent_id", "agent_name") };
    match members.take(key) {
        Node::Number(number) => members.set(key, Node::text(number.into_owned())),
        id if id.filled_text().is_some() => members.set(key, id),
        odd => {
            let own = owner.id.clone().filter(|_| owner.ran == ran).map(Node::text);
            let named = || Some(members.get(name).clone()).filter(|name| name.filled_text().is_some());
            let id = own.or_else(named).unwrap_or_else(|| Node::text(UNKNOWN));
            members.set(key, id);
            ledger.keep(Place::Key(&Place::Root, key), if odd.is_falsy() { Node::Null } else { odd });
        }
    }
    if members.get(name).is_falsy() {
        members.take(name);
    }
    in_session(members, owner, ledger);
}

/// Sets the id of a run; one that was no text is kept.
pub fn number_run<'t>(members: &mut Members<'t>, run_id: &str, ledger: &mut Ledger<'t>) {
    let old = members.take("run_id");
    if !matches!(old, Node::Number(_)) && old.plain().as_deref() != Some(run_id) && !old.is_falsy() {
        ledger.keep(Place::Key(&Place::Root, "run_id"), old);
    }
    members.set("run_id", Node::text(run_id.to_owned()));
}

/// The session of a run is that of the row it is written under.
pub fn in_session<'t>(members: &mut Members<'t>, owner: &Owner<'t>, ledger: &mut Ledger<'t>) {
    let session_id = Node::text(owner.session_id.clone());
    let old = members.take("session_id");
    if old != session_id && old.plain().as_deref() != Some(owner.session_id.as_ref()) {
        ledger.keep(Place::Key(&Place::Root, "session_id"), old);
    }
    members.set("session_id", session_id);
}
