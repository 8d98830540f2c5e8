//! Golden pairs of the v1 conversion: every rule as a row of v1 (`NAME.in.json`) and what becomes of it (`NAME.out.json`).
//!
//! A row has its columns as JSON values, or under `raw_row` as the text the database holds. `UPDATE_GOLDEN=1` writes the
//! outputs anew, to be read before they are committed.

use agno_migrate::convert::v1::{
    Context, Converted, Memory, MemoryRow, Mode, Notation, Rejected, SessionRow, Storage, convert_memory, convert_session,
    ledger::Counts,
};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// A column as its text: JSON for everything but plain texts.
fn column(row: &Value, name: &str, plain: bool) -> Option<Vec<u8>> {
    match &row[name] {
        Value::Null => None,
        Value::String(text) if plain => Some(text.clone().into_bytes()),
        value => Some(value.to_string().into_bytes()),
    }
}

fn parsed(json: &Option<String>) -> Value {
    lenient(json.clone())
}

fn counted(counts: &Counts) -> Value {
    counts.iter().map(|(count, number)| (count.phrase().to_owned(), json!(number))).collect::<Map<_, _>>().into()
}

fn memory(memory: &Memory) -> Value {
    json!({
        "memory_id": memory.memory_id,
        "memory": parsed(&Some(memory.memory.clone())),
        "topics": parsed(&memory.topics),
        "input": memory.input,
        "user_id": memory.user_id,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
    })
}

/// What there is, without what is NULL.
fn session(converted: &Converted) -> Value {
    let session = &converted.session;
    let mut all = json!({
        "session_id": session.session_id,
        "session_type": session.session_type,
        "agent_id": session.agent_id,
        "team_id": session.team_id,
        "workflow_id": session.workflow_id,
        "user_id": session.user_id,
        "session_data": parsed(&session.session_data),
        "agent_data": parsed(&session.agent_data),
        "team_data": parsed(&session.team_data),
        "workflow_data": parsed(&session.workflow_data),
        "metadata": parsed(&session.metadata),
        "summary": parsed(&session.summary),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "runs": lenient(session.runs_json()),
        "memories": converted.memories.iter().map(|found| memory(&found.memory)).collect::<Vec<_>>(),
        "foreign_summaries": converted.foreign_summaries,
        "counts": counted(&converted.counts),
    });
    let empty = |value: &Value| {
        value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    all.as_object_mut().expect("an object").retain(|_, value| !empty(value));
    all
}

/// What serde does not read, as a lone surrogate or deep nesting, is shown as text.
fn lenient(json: Option<String>) -> Value {
    json.map_or(Value::Null, |json| serde_json::from_str(&json).unwrap_or(Value::String(json)))
}

fn rejected(rejected: &Rejected) -> Value {
    json!({"rejected": {"id": rejected.id, "reason": rejected.reason}})
}

fn convert(input: &Value) -> Value {
    let storage = if input["storage"] == "jsonb" { Storage::Jsonb } else { Storage::Text };
    if input["memory_row"].is_object() {
        let of = |name: &str| column(&input["memory_row"], name, true);
        let columns = [of("id"), of("user_id"), of("memory"), of("created_at"), of("updated_at")];
        let [id, user_id, text, created_at, updated_at] = columns.each_ref().map(Option::as_deref);
        let row = MemoryRow { id, user_id, memory: text, created_at, updated_at };
        let notation = if input["notation"] == "json" { Notation::Json } else { Notation::Python };
        return match convert_memory(&row, notation, storage) {
            Ok((converted, counts)) => json!({"memory": memory(&converted), "counts": counted(&counts)}),
            Err(reason) => rejected(&reason),
        };
    }
    let raw = input["raw_row"].is_object();
    let columns = if raw { &input["raw_row"] } else { &input["row"] };
    let text = |name: &str| column(columns, name, true);
    let data = |name: &str| column(columns, name, raw);
    let ids = ["session_id", "user_id", "agent_id", "team_id", "workflow_id", "workflow_name", "team_session_id"].map(text);
    let times = ["created_at", "updated_at"].map(text);
    let documents = [
        "memory",
        "session_data",
        "extra_data",
        "agent_data",
        "team_data",
        "workflow_data",
        "runs",
        "user_data",
        "session_state",
    ]
    .map(data);
    let [session_id, user_id, agent_id, team_id, workflow_id, workflow_name, team_session_id] =
        ids.each_ref().map(Option::as_deref);
    let [created_at, updated_at] = times.each_ref().map(Option::as_deref);
    let [memory, session_data, extra_data, agent_data, team_data, workflow_data, runs, user_data, session_state] =
        documents.each_ref().map(Option::as_deref);
    let row = SessionRow {
        session_id,
        user_id,
        agent_id,
        team_id,
        workflow_id,
        workflow_name,
        team_session_id,
        memory,
        session_data,
        extra_data,
        agent_data,
        team_data,
        workflow_data,
        runs,
        user_data,
        session_state,
        created_at,
        updated_at,
    };
    let taken: Vec<&str> = input["taken"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_taken = |id: &str| taken.contains(&id);
    let mode = match input["mode"].as_str() {
        Some("team") => Mode::Team,
        Some("workflow") => Mode::Workflow,
        _ => Mode::Agent,
    };
    let context = Context { storage, mode, earliest: input["earliest"].as_i64(), taken: Some(&is_taken) };
    match convert_session(&row, &context) {
        Ok(converted) => session(&converted),
        Err(reason) => rejected(&reason),
    }
}

#[test]
fn every_pair_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".in.json") else { continue };
        let input: Value = serde_json::from_str(&fs::read_to_string(&path).expect("text")).expect("JSON");
        let output = convert(&input);
        let expected_path = folder.join(format!("{name}.out.json"));
        if update {
            fs::write(&expected_path, serde_json::to_string_pretty(&output).expect("JSON") + "\n").expect("written");
        }
        let expected = fs::read_to_string(&expected_path).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        if expected.ok() != Some(output.clone()) {
            wrong.push(format!("{name}:\n{output:#}"));
        }
        seen += 1;
    }
    assert!(seen > 60, "only {seen} pairs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
