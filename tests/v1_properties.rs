//! Properties of the v1 conversion, on rows made by breaking the golden ones: parts replaced by parts of other rows, by odd
//! values, or removed. Whatever goes in, what comes out is JSON that Agno reads, nothing panics, and converting the output
//! changes nothing.

use agno_migrate::convert::v1::read::{DEPTH, read};
use agno_migrate::convert::v1::shapes::{AGENT_RUN, TEAM_RUN, WORKFLOW_RUN};
use agno_migrate::convert::v1::validator::Check;
use agno_migrate::convert::v1::{
    Context, Converted, MemoryRow, Mode, Notation, SessionRow, Storage, convert_memory, convert_session,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The JSON columns of a row, in the order of [`Columns`].
const DOCUMENTS: [&str; 9] = [
    "memory",
    "session_data",
    "extra_data",
    "agent_data",
    "team_data",
    "workflow_data",
    "runs",
    "user_data",
    "session_state",
];

/// The golden rows.
static ROWS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let inputs = paths.iter().filter(|path| path.to_string_lossy().ends_with(".in.json"));
    let read =
        |path: &std::path::PathBuf| serde_json::from_str::<Value>(&fs::read_to_string(path).expect("text")).expect("JSON");
    inputs.map(read).map(|mut input| input["row"].take()).filter(Value::is_object).collect()
});

/// Every part of every golden row, and odd values.
static PARTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut parts = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("text"),
        json!([]),
        json!({}),
        json!([null]),
        json!([[]]),
        json!([1, "x", {}]),
        json!({"a": {"b": []}}),
        json!({"agno_v1": 7}),
        serde_json::from_str("1e400").expect("a number"),
        serde_json::from_str("123456789012345678901234567890").expect("a number"),
    ];
    ROWS.iter().for_each(|row| collect(row, &mut parts));
    parts
});

fn collect(value: &Value, into: &mut Vec<Value>) {
    into.push(value.clone());
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(members) => members.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Replaces the part with this number; the row itself is 0.
fn replace(value: &mut Value, number: &mut usize, with: &Value) -> bool {
    if *number == 0 {
        *value = with.clone();
        return true;
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, number, with)),
        Value::Object(members) => members.values_mut().any(|value| replace(value, number, with)),
        _ => false,
    }
}

prop_compose! {
    /// A golden row with some parts replaced.
    fn broken_row()(
        row in any::<prop::sample::Index>(),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
    ) -> Value {
        let mut row = row.get(&ROWS).clone();
        for (place, part) in breaks {
            // The row stays an object.
            let mut number = 1 + place.index(count(&row).max(2) - 1);
            replace(&mut row, &mut number, part.get(&PARTS));
        }
        row
    }
}

/// The columns of a row as texts.
struct Columns {
    texts: [Option<String>; 9],
    documents: [Option<String>; 9],
}

impl Columns {
    fn of(row: &Value) -> Columns {
        let text = |name: &str| match &row[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        };
        let document = |name: &str| Some(row[name].to_string()).filter(|_| !row[name].is_null());
        let texts = [
            "session_id",
            "user_id",
            "agent_id",
            "team_id",
            "workflow_id",
            "workflow_name",
            "team_session_id",
            "created_at",
            "updated_at",
        ];
        Columns { texts: texts.map(text), documents: DOCUMENTS.map(document) }
    }

    fn row(&self) -> SessionRow<'_> {
        let [session_id, user_id, agent_id, team_id, workflow_id, workflow_name, team_session_id, created_at, updated_at] =
            self.texts.each_ref().map(bytes);
        let [memory, session_data, extra_data, agent_data, team_data, workflow_data, runs, user_data, session_state] =
            self.documents.each_ref().map(bytes);
        SessionRow {
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
        }
    }
}

fn bytes(text: &Option<String>) -> Option<&[u8]> {
    text.as_ref().map(String::as_bytes)
}

fn parsed(json: &Option<String>) -> Value {
    json.as_ref().map_or(Value::Null, |json| serde_json::from_str(json).expect("JSON"))
}

/// The output as a row of v1.
fn back(converted: &Converted) -> Value {
    let session = &converted.session;
    let runs = parsed(&session.runs_json());
    let workflow = session.session_type == "workflow";
    json!({
        "session_id": session.session_id,
        "user_id": session.user_id,
        "agent_id": session.agent_id,
        "team_id": session.team_id,
        "workflow_id": session.workflow_id,
        "memory": if workflow { Value::Null } else { json!({"runs": runs}) },
        "runs": if workflow { runs } else { Value::Null },
        "session_data": parsed(&session.session_data),
        "extra_data": parsed(&session.metadata),
        "agent_data": parsed(&session.agent_data),
        "team_data": parsed(&session.team_data),
        "workflow_data": parsed(&session.workflow_data),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    })
}

/// The first place where two values differ.
fn difference(first: &Value, second: &Value) -> Option<String> {
    match (first, second) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys());
            keys.filter(|key| a.get(*key) != b.get(*key)).find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => difference(a, b).map(|inner| format!("{key}.{inner}")),
                (a, b) => Some(format!("{key}: {a:?} became {b:?}")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(at, (a, b))| difference(a, b).map(|inner| format!("{at}.{inner}")))
        }
        (a, b) => (a != b).then(|| format!("{a} became {b}")),
    }
}

fn mode(session_type: &str) -> Mode {
    match session_type {
        "team" => Mode::Team,
        "workflow" => Mode::Workflow,
        _ => Mode::Agent,
    }
}

/// Every document is one that Agno reads.
fn sound(converted: &Converted) -> Result<(), TestCaseError> {
    let session = &converted.session;
    for object in [&session.session_data, &session.agent_data, &session.team_data, &session.workflow_data, &session.metadata]
    {
        prop_assert!(object.is_none() || parsed(object).is_object());
    }
    if session.summary.is_some() {
        prop_assert!(parsed(&session.summary)["summary"].is_string());
    }
    let mut ids = std::collections::HashSet::new();
    for run in &session.runs {
        let value: Value = serde_json::from_str(&run.json).expect("JSON");
        prop_assert_eq!(&value["run_id"], &json!(run.row.run_id));
        prop_assert_eq!(&value["session_id"], &json!(session.session_id));
        prop_assert_eq!(&value["parent_run_id"], &json!(run.row.parent_run_id));
        prop_assert!(ids.insert(run.row.run_id.clone()), "{} twice", run.row.run_id);
        let keys = ["agent_id", "team_id"].iter().filter(|key| value.get(key).is_some()).count();
        prop_assert_eq!(keys, usize::from(session.session_type != "workflow"));
        let types: &[&str] = match session.session_type.as_str() {
            "agent" => &["agent"],
            "team" => &["agent", "team"],
            _ => &["workflow"],
        };
        prop_assert!(run.row.run_type.is_some_and(|run_type| types.contains(&run_type)));
        let shape = match run.row.run_type {
            Some("team") => &TEAM_RUN,
            Some("workflow") => &WORKFLOW_RUN,
            _ => &AGENT_RUN,
        };
        let (node, _) = read(&run.json).expect("JSON");
        prop_assert!(Check::Of(shape).fits(&node), "{}", run.json);
        for step_run in node.get("step_executor_runs").items() {
            let fits = Check::Of(&AGENT_RUN).fits(step_run) || Check::Of(&TEAM_RUN).fits(step_run);
            prop_assert!(fits, "{}", step_run.to_json());
        }
    }
    for memory in &converted.memories {
        prop_assert!(parsed(&Some(memory.memory.memory.clone())).is_string());
        prop_assert!(memory.memory.topics.is_none() || parsed(&memory.memory.topics).is_array());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_in_agno_reads_what_comes_out_and_it_stays_so(row in broken_row()) {
        let columns = Columns::of(&row);
        let Ok(first) = convert_session(&columns.row(), &Context::default()) else { return Ok(()) };
        sound(&first)?;

        let again = back(&first);
        let columns = Columns::of(&again);
        let context = Context { mode: mode(&first.session.session_type), ..Context::default() };
        let second = convert_session(&columns.row(), &context).expect("its own output");
        let difference = difference(&again, &back(&second));
        prop_assert!(difference.is_none(), "{:?}", difference);
        let kinds = |converted: &Converted| converted.session.runs.iter().map(|run| run.row.clone()).collect::<Vec<_>>();
        prop_assert_eq!(kinds(&second), kinds(&first));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), column in 0usize..12) {
        let fallback: &[u8] = b"s";
        let at = |index: usize, or: Option<&'static [u8]>| if index == column { Some(bytes.as_slice()) } else { or };
        let row = SessionRow {
            session_id: at(0, Some(fallback)),
            agent_id: at(1, Some(fallback)),
            memory: at(2, None),
            session_data: at(3, None),
            extra_data: at(4, None),
            runs: at(5, None),
            created_at: at(6, None),
            team_data: at(7, None),
            workflow_id: at(8, None),
            session_state: at(9, None),
            ..SessionRow::default()
        };
        for storage in [Storage::Text, Storage::Jsonb] {
            let _ = convert_session(&row, &Context { storage, ..Context::default() });
            let row = MemoryRow { id: Some(b"m"), memory: Some(&bytes), ..MemoryRow::default() };
            let _ = convert_memory(&row, Notation::Python, storage);
            let _ = convert_memory(&row, Notation::Json, storage);
        }
    }

    #[test]
    fn jsonb_gets_no_nul(row in broken_row(), text in "[a\\\\\u{0}\"u0]{0,8}", place in any::<prop::sample::Index>()) {
        let mut row = row;
        let mut number = 1 + place.index(count(&row).max(2) - 1);
        replace(&mut row, &mut number, &Value::String(text));
        let columns = Columns::of(&row);
        if let Ok(converted) = convert_session(&columns.row(), &Context { storage: Storage::Jsonb, ..Context::default() }) {
            let session = &converted.session;
            let all = [session.runs_json(), session.session_data.clone(), session.metadata.clone(), session.summary.clone()];
            for value in all.iter().map(parsed) {
                prop_assert!(!holds_nul(&value));
            }
        }
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[test]
fn invalid_utf8_is_rejected_by_id() {
    let row = SessionRow { session_id: Some(b"s"), memory: Some(b"{\"runs\": \"\xff\"}"), ..SessionRow::default() };
    let rejected = convert_session(&row, &Context::default()).expect_err("is no text");
    assert_eq!((rejected.id.as_str(), rejected.reason.as_str()), ("s", "has a memory that is not valid UTF-8"));
    let row = SessionRow { session_id: Some(b"s\xff"), ..SessionRow::default() };
    assert_eq!(convert_session(&row, &Context::default()).expect_err("is no text").id, "s\u{fffd}");
    let row = MemoryRow { id: Some(b"m"), memory: Some(b"{'memory': '\xff'}"), ..MemoryRow::default() };
    let rejected = convert_memory(&row, Notation::Python, Storage::Text).expect_err("is no text");
    assert_eq!((rejected.id.as_str(), rejected.reason.as_str()), ("m", "is not valid UTF-8"));
}

/// Teams within teams, deeper than a tree is read, cost no stack and lose nothing.
#[test]
fn teams_within_teams() {
    for levels in [3, DEPTH / 2 - 4, DEPTH, 5_000] {
        let opening: String =
            (0..levels).map(|level| format!(r#"{{"run_id":"t{level}","team_id":"t","member_responses":["#)).collect();
        let memory = format!(r#"{{"runs":[{opening}{{"run_id":"last","agent_id":"a"}}{}]}}"#, "]}".repeat(levels));
        let row = SessionRow {
            session_id: Some(b"s"),
            team_id: Some(b"t"),
            memory: Some(memory.as_bytes()),
            ..SessionRow::default()
        };
        let converted = convert_session(&row, &Context::default()).expect("converts");
        let runs = converted.session.runs_json().expect("has runs");
        let all = runs + converted.session.session_data.as_deref().unwrap_or_default();
        assert!(all.contains("\"last\""));
        if levels <= DEPTH / 2 - 4 {
            assert_eq!(converted.session.runs.len(), levels + 1);
        }
    }
}
