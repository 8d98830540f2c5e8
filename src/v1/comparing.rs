//! Holds converted rows against what is there, for `verify --from`.

use crate::backend::Backend;
use crate::convert::runs::{Element, RunList, id_of};
use crate::convert::v1::{Converted, Memory, Run, Session};
use crate::difference::{Difference, Differences};
use crate::progress::Progress;
use crate::v1::sink::{Rows, Sink, Taken, Targets, is_same};
use crate::v1::target::{RunColumns, Target, There};
use anyhow::Result;
use serde_json::Value;
use std::collections::HashMap;

/// Reads what is there and compares it.
pub struct Comparing<'c> {
    /// The database.
    pub backend: &'c mut dyn Backend,
    /// Its tables.
    pub targets: &'c Targets,
}

const MISSING: &str = "agno-migrate v1-to-v2 writes it";
const OTHER: &str = "if the old row is right, delete the new one and run agno-migrate v1-to-v2 again";

impl Sink for Comparing<'_> {
    fn take(&mut self, rows: Rows, _: &mut dyn Progress) -> Result<Taken> {
        let mut taken = Taken::default();
        match rows {
            Rows::Sessions(sessions) => {
                for converted in &sessions {
                    self.session(converted, &mut taken)?;
                }
            }
            Rows::Memories(memories) => self.memories(&memories, &mut taken)?,
        }
        Ok(taken)
    }

    fn target(&mut self) -> (&mut dyn Backend, &Targets) {
        let backend: &mut dyn Backend = &mut *self.backend;
        (backend, self.targets)
    }
}

fn differs(differences: &mut Differences, id: &str, item: Option<String>, what: String, mend: &str) {
    differences.add(Difference { id: Some(id.to_owned()), item, what, mend: mend.to_owned() });
}

impl Comparing<'_> {
    /// One at a time: a session and its runs may be large.
    fn session(&mut self, converted: &Converted, taken: &mut Taken) -> Result<()> {
        let Some(target) = &self.targets.sessions else { return Ok(()) };
        let session = &converted.session;
        let id = session.session_id.as_str();
        match target.sessions(self.backend, &[id])?.get(id) {
            None => {
                let what = "its session is missing".to_owned();
                differs(&mut taken.differences, id, None, what, MISSING);
                return Ok(());
            }
            Some(other) if !is_same(other, converted) => {
                taken.collided.push(id.to_owned());
                return Ok(());
            }
            Some(_) => taken.already_there += 1,
        }
        let has_changed = target.row(self.backend, id, &mut |there| {
            let has_changed = there.number("updated_at") != session.updated_at;
            if !has_changed {
                let other = other_columns(session, there);
                if !other.is_empty() {
                    let what = format!("its session has another {}", other.join(", "));
                    differs(&mut taken.differences, id, None, what, OTHER);
                }
            }
            Ok(has_changed)
        })?;
        taken.changed += u64::from(has_changed);
        self.runs(target, session, has_changed, taken)
    }

    /// The runs of a session, where they are. Those that the app added come after ours.
    fn runs(&mut self, target: &Target, session: &Session, has_changed: bool, taken: &mut Taken) -> Result<()> {
        let id = session.session_id.as_str();
        let places: HashMap<&str, usize> =
            session.runs.iter().enumerate().map(|(at, run)| (run.row.run_id.as_str(), at)).collect();
        let mut found = vec![false; session.runs.len()];
        let mut last = 0;
        let differences = &mut taken.differences;
        let mut each = |run_id: &str, payload: &[u8], touched: bool, columns: Option<RunColumns<'_>>| {
            let Some((at, run)) = places.get(run_id).and_then(|at| Some((*at, session.runs.get(*at)?))) else { return };
            if std::mem::replace(&mut found[at], true) {
                return;
            }
            let item = || Some(format!("runs[{at}]"));
            if at < last {
                differs(differences, id, item(), format!("run {run_id} comes after one that it came before"), OTHER);
            }
            last = last.max(at);
            // What the app changed is a run still.
            if touched && id_of(payload).as_deref() == Some(run_id) {
                return;
            }
            if !same_run(run, payload) {
                differs(differences, id, item(), format!("run {run_id} has another content"), OTHER);
            } else if let Some(there) = columns {
                let wanted = [
                    ("run_type", Some(run.row.run_type.unwrap_or(&session.session_type))),
                    ("agent_id", run.row.agent_id.as_deref()),
                    ("team_id", run.row.team_id.as_deref()),
                    ("workflow_id", run.row.workflow_id.as_deref()),
                    ("parent_run_id", run.row.parent_run_id.as_deref()),
                    ("status", run.row.status.as_deref()),
                ];
                let other = wanted.into_iter().zip(there).filter(|((_, wanted), there)| wanted.map(str::as_bytes) != *there);
                let other: Vec<&str> = other.map(|((column, _), _)| column).collect();
                if !other.is_empty() {
                    differs(differences, id, item(), format!("run {run_id} has another {}", other.join(", ")), OTHER);
                }
            }
        };
        target.each_run_of(self.backend, id, &mut |run| {
            each(run.id, run.payload, run.touched.unwrap_or(has_changed), run.columns);
        })?;
        taken.runs += session.runs.len() as u64;
        for (at, run) in session.runs.iter().enumerate().filter(|(at, _)| !found[*at]) {
            let mend = "if the app did not delete it: delete the new session and run agno-migrate v1-to-v2 again";
            let what = format!("run {} is missing", run.row.run_id);
            differs(&mut taken.differences, id, Some(format!("runs[{at}]")), what, mend);
        }
        Ok(())
    }

    fn memories(&mut self, batch: &[Memory], taken: &mut Taken) -> Result<()> {
        let Some(target) = &self.targets.memories else {
            for memory in batch {
                let what = "its memory is missing: there is no table of memories".to_owned();
                differs(&mut taken.differences, &memory.memory_id, None, what, MISSING);
            }
            return Ok(());
        };
        for memory in batch {
            let id = memory.memory_id.as_str();
            let mut is_there = false;
            let mut other = Vec::new();
            let mut has_changed = false;
            target.row(self.backend, id, &mut |there| {
                is_there = true;
                has_changed = there.number("updated_at") != memory.updated_at;
                let json = |column: &str, wanted: Option<&str>| same_json(there.text(column), wanted);
                let columns = [
                    ("memory", json("memory", Some(&memory.memory))),
                    ("topics", json("topics", memory.topics.as_deref())),
                    ("input", there.text("input") == memory.input.as_deref().map(str::as_bytes)),
                    ("user_id", there.text("user_id") == memory.user_id.as_deref().map(str::as_bytes)),
                ];
                other = columns.into_iter().filter(|(_, is_same)| !is_same).map(|(column, _)| column).collect();
                Ok(has_changed)
            })?;
            if !is_there {
                let mend = "if the app did not delete it: agno-migrate v1-to-v2 writes it";
                differs(&mut taken.differences, id, None, "its memory is missing".to_owned(), mend);
                continue;
            }
            taken.already_there += 1;
            if has_changed {
                taken.changed += 1;
            } else if !other.is_empty() {
                differs(&mut taken.differences, id, None, format!("its memory has another {}", other.join(", ")), OTHER);
            }
        }
        Ok(())
    }
}

/// The columns of a session that differ.
fn other_columns(session: &Session, there: &There<'_>) -> Vec<&'static str> {
    let texts = [
        ("agent_id", &session.agent_id),
        ("team_id", &session.team_id),
        ("workflow_id", &session.workflow_id),
        ("user_id", &session.user_id),
    ];
    let documents = [
        ("session_data", &session.session_data),
        ("agent_data", &session.agent_data),
        ("team_data", &session.team_data),
        ("workflow_data", &session.workflow_data),
        ("metadata", &session.metadata),
        ("summary", &session.summary),
    ];
    let texts = texts.into_iter().filter(|(column, wanted)| there.text(column) != wanted.as_deref().map(str::as_bytes));
    let documents = documents.into_iter().filter(|(column, wanted)| !same_json(there.text(column), wanted.as_deref()));
    texts.chain(documents).map(|(column, _)| column).collect()
}

fn same_run(run: &Run, payload: &[u8]) -> bool {
    run.json.as_bytes() == payload || same_json(Some(payload), Some(&run.json))
}

/// Whether two texts are the same JSON, however it is encoded: Agno 2 on SQLite encodes twice, JSONB writes numbers its own way.
fn same_json(there: Option<&[u8]>, wanted: Option<&str>) -> bool {
    let read = |text: &[u8]| -> Option<Value> {
        match serde_json::from_slice(text).ok()? {
            // Encoded twice are lists and objects.
            Value::String(inner) => match serde_json::from_str(&inner) {
                Ok(value @ (Value::Array(_) | Value::Object(_))) => Some(value),
                _ => Some(Value::String(inner)),
            },
            value => Some(value),
        }
    };
    match (there, wanted) {
        (None, None) => true,
        (Some(there), Some(wanted)) if there == wanted.as_bytes() => true,
        // As text first: NaN, which Python writes, is no value.
        (Some(there), Some(wanted)) if wanted.starts_with(['{', '[']) && is_encoded(there, wanted) => true,
        (Some(there), Some(wanted)) => match (read(there), read(wanted.as_bytes())) {
            (Some(there), Some(wanted)) => same_value(&there, &wanted),
            _ => false,
        },
        // JSON null stands for NULL.
        (Some(text), None) => read(text) == Some(Value::Null),
        (None, Some(text)) => read(text.as_bytes()) == Some(Value::Null),
    }
}

/// Whether the text is the JSON string of another.
fn is_encoded(text: &[u8], of: &str) -> bool {
    serde_json::from_slice::<String>(text).is_ok_and(|inner| inner == of)
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // 1.0 and 1, 1e5 and 100000; by every digit, of which a float has only the first.
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.to_string(), b.to_string());
            a == b || decimal(&a).is_some_and(|digits| decimal(&b) == Some(digits))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A JSON number as its sign, its digits without zeros around them, and the power of ten behind them; `None`: a power beyond
/// all use.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (digits, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    let digits = all.trim_end_matches('0');
    let behind = i64::try_from(all.len() - digits.len()).ok()? - i64::try_from(part.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_add(behind)?;
    match digits.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        digits => Some((is_negative, digits.to_owned(), power)),
    }
}

/// The runs of a list, each with its id.
pub(super) fn each_of_list(list: &[u8], each: &mut dyn FnMut(&str, &[u8])) {
    // A list that cannot be read has none of the runs: each of them is told as missing.
    let Ok(Some(mut list)) = RunList::open(list) else { return };
    while let Ok(Some((payload, element))) = list.next_element() {
        if let Element::Run(fields) = element {
            each(&fields.row().run_id, payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_as_values() {
        let same = |there: &str, wanted: &str| same_json(Some(there.as_bytes()), Some(wanted));
        assert!(same(r#"{"a": 1.0, "b": [1e5]}"#, r#"{"b":[100000],"a":1.0}"#));
        assert!(same(r#""{\"a\": 1}""#, r#"{"a":1}"#));
        assert!(same(r#""text""#, r#""text""#));
        assert!(same(r#""{\"s\": NaN}""#, r#"{"s": NaN}"#));
        assert!(!same("1234567890123456789", "1234567890123456780"));
        assert!(
            !same("9007199254740993", "9007199254740992.0") && !same("0.12345678901234567891", "0.12345678901234567799")
        );
        assert!(same("-0.0", "0") && same("1200", "1.2E+3") && same("0.0120", "12e-3") && same("1e500", "10.0e499"));
        assert!(!same("-1", "1") && !same("1e500", "1e501") && !same("1e99999999999999999999", "2e99999999999999999999"));
        assert!(!same(r#""123""#, "123") && !same(r#""null""#, "null"));
        assert!(!same(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!same(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#));
        assert!(!same("[1, 2]", "[2, 1]"));
        assert!(same_json(None, None) && same_json(Some(b"null"), None) && !same_json(Some(b"1"), None));
    }
}
