//! Runs of workflows: of the old kind, which stored what `run()` returned, and of workflow_v2, with steps.
//!
//! Source: `agno/run/v2/workflow.py`, `agno/workflow/v2/types.py` of Agno 1.8.4, `agno/run/workflow.py`,
//! `agno/workflow/types.py` of 2.0.11 and 3.1.10.

use super::ledger::{Count, Ledger, Place};
use super::media::At;
use super::members::Members;
use super::message;
use super::metrics;
use super::run::{self, Draft, Owner, Ran};
use super::runs;
use super::shapes;
use super::tree::Node;
use super::validator;
use std::borrow::Cow;

/// Which kind of workflow wrote a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `agno.workflow`: runs in the memory.
    Classic,
    /// `agno.workflow.v2`: runs in a column of their own.
    Steps,
}

/// Converts a run of a workflow. `names`: those of the workflow's steps, for steps that do not say theirs.
pub fn convert<'t>(
    mut members: Members<'t>,
    kind: Kind,
    names: &[Node<'t>],
    place: &str,
    owner: &Owner<'t>,
    counts: &mut Ledger<'_>,
) -> Draft<'t> {
    let run_id = run::id_of(&members, owner, place);
    let mut ledger = Ledger::open();
    let at = At { session_id: &owner.session_id, run_id: &run_id, place: Place::Root };

    status(&mut members, kind, &mut ledger);
    run::drop_events(&mut members, &mut ledger);
    if kind == Kind::Steps {
        if let Node::Object { .. } = members.get("extra_data") {
            let extra_data = members.take("extra_data");
            if let Some(second) = members.fill("metadata", extra_data) {
                ledger.keep(at.key("extra_data").place, second);
            }
        }
    }
    workflow_metrics(&mut members, at, &mut ledger);
    executors(&mut members, at, owner, &mut ledger);
    steps(&mut members, names, at, owner, &mut ledger);
    run::media(&mut members, at, &mut ledger);
    message::whole(&mut members, "created_at");
    if let (None, Some(time)) = (members.get("created_at").as_i64(), owner.created_at) {
        let unreadable = members.take("created_at");
        ledger.keep(at.key("created_at").place, unreadable);
        members.set("created_at", Node::int(time));
    }
    run::number_run(&mut members, &run_id, &mut ledger);
    if members.get("workflow_id").filled_text().is_none() {
        let odd = members.take("workflow_id");
        ledger.keep(at.key("workflow_id").place, if odd.is_falsy() { Node::Null } else { odd });
        members.set_some("workflow_id", Node::some_text(owner.id.clone()));
    }
    run::in_session(&mut members, owner, &mut ledger);
    let mut members = shapes::WORKFLOW_RUN.mend(members, Place::Root, &mut ledger);
    run::keep(&mut members, &mut ledger);
    counts.close(&ledger);
    Draft { ran: Ran::Workflow, run_id, parent: None, members }
}

/// A workflow_v2 run that never ended was cut off; the old kind stored what had ended without saying so.
fn status<'t>(members: &mut Members<'t>, kind: Kind, ledger: &mut Ledger<'t>) {
    let word = members.get("status").plain().map(|status| status.to_ascii_uppercase());
    match (kind, word.as_deref()) {
        (Kind::Steps, Some("RUNNING" | "PENDING")) => members.set("status", Node::text("CANCELLED")),
        _ => run::status(members, ledger),
    }
}

/// `workflow_metrics` become `metrics`: the steps by name, those of parallel steps beside them, nothing else.
fn workflow_metrics<'t>(members: &mut Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    for key in ["workflow_metrics", "metrics"] {
        let mut converted = Members::new();
        match members.take(key) {
            Node::Object { members: mut metrics, .. } if matches!(metrics.get("steps"), Node::Object { .. }) => {
                let steps = metrics.take("steps");
                flatten(steps, &mut converted, at.key(key).key("steps"), ledger);
                ledger.counts.more(Count::MetricsParts, usize::from(!metrics.take("total_steps").is_null()));
                for (name, value) in metrics {
                    ledger.keep(at.key(key).key(&name).place, value);
                }
            }
            other => ledger.keep(at.key(key).place, other),
        }
        if !converted.is_empty() {
            let second = members.take("metrics");
            ledger.keep(at.key("metrics").place, second);
            let metrics = Node::object([("steps".into(), Node::object(converted))].into_iter().collect());
            members.set("metrics", metrics);
            return;
        }
    }
}

fn flatten<'t>(steps: Node<'t>, into: &mut Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) {
    let Node::Object { members: steps, .. } = steps else {
        ledger.keep(at.place, steps);
        return;
    };
    for (name, step) in steps {
        let here = at.key(&name);
        let Node::Object { members: mut step, .. } = step else {
            ledger.keep(here.place, step);
            continue;
        };
        let parallel = step.take("parallel_steps");
        let inner = step.take("metrics");
        if !inner.is_null() {
            let inner = metrics::convert(inner, metrics::Of::Run, here.key("metrics").place, ledger);
            step.set_some("metrics", inner);
        }
        let mut free = name.clone();
        while into.has(&free) {
            free = format!("{free}'").into();
        }
        if let Some(step) = validator::mend_object(&shapes::STEP_METRICS, Node::object(step), here.place, ledger) {
            into.push(free, step);
        }
        if !parallel.is_null() {
            flatten(parallel, into, here.key("parallel_steps"), ledger);
        }
    }
}

/// Runs of steps that are in v2's place already.
fn executors<'t>(members: &mut Members<'t>, at: At<'_>, owner: &Owner<'t>, ledger: &mut Ledger<'t>) {
    let Node::List { items, .. } = members.get("step_executor_runs") else { return };
    if items.is_empty() {
        return;
    }
    let Node::List { items, .. } = members.take("step_executor_runs") else { return };
    let list = at.key("step_executor_runs");
    let mut drafts = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Node::Object { members, .. } => {
                runs::unfold(members, None, Ran::Agent, list.index(index), owner, ledger, &mut drafts);
            }
            other => ledger.keep(list.index(index).place, other),
        }
    }
    members.set("step_executor_runs", Node::list(drafts.into_iter().map(written).collect()));
}

/// The steps and the runs they called, which v2 keeps beside them.
fn steps<'t>(members: &mut Members<'t>, names: &[Node<'t>], at: At<'_>, owner: &Owner<'t>, ledger: &mut Ledger<'t>) {
    let key = if members.has("step_responses") { "step_responses" } else { "step_results" };
    let items = match members.take(key) {
        Node::List { items, .. } => items,
        Node::Null => return,
        other => {
            ledger.keep(at.key(key).place, other);
            return;
        }
    };
    let named = names.len() == items.iter().filter(|item| matches!(item, Node::Object { .. })).count();
    let has_metrics = members.has("metrics");
    let mut executors = match members.take("step_executor_runs") {
        Node::List { items, .. } => items,
        other => {
            ledger.keep(at.key("step_executor_runs").place, other);
            Vec::new()
        }
    };
    let list = at.key(key);
    let mut results = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let here = list.index(index);
        let Node::Object { members: mut step, .. } = item else {
            ledger.keep(here.place, item);
            continue;
        };
        step_metrics(&mut step, has_metrics, here, ledger);
        if step.get("step_name").filled_text().is_none() {
            let odd = step.take("step_name");
            ledger.keep(here.key("step_name").place, if odd.is_falsy() { Node::Null } else { odd });
            let name = names.get(results.len()).filter(|name| named && name.filled_text().is_some());
            step.set_some("step_name", name.cloned().unwrap_or(Node::Null));
        }
        if step.get("step_id").filled_text().is_none() {
            let odd = step.take("step_id");
            ledger.keep(here.key("step_id").place, if odd.is_falsy() { Node::Null } else { odd });
            step.set("step_id", Node::text(here.id()));
        }
        executors.extend(call(&mut step, here, owner, ledger));
        run::media(&mut step, here, ledger);
        results.push(Node::object(step));
    }
    members.set("step_results", Node::list(results));
    if members.get("input").is_null() {
        // That of the first run it called.
        let called = |run: &&Node<'t>| run.get("parent_run_id").plain().as_deref() == Some(at.run_id);
        let mut inputs = executors.iter().filter(called).map(|run| run.get("input").get("input_content"));
        let input = inputs.find(|input| !input.is_null()).cloned().unwrap_or(Node::Null);
        members.take("input");
        members.set_some("input", input);
    }
    if !executors.is_empty() {
        members.set("step_executor_runs", Node::list(executors));
    }
}

/// Takes the run out of a step: it and its member runs, itself the last.
fn call<'t>(step: &mut Members<'t>, at: At<'_>, owner: &Owner<'t>, ledger: &mut Ledger<'t>) -> Vec<Node<'t>> {
    let response = match step.take("response") {
        Node::Object { members, .. } => members,
        other => {
            ledger.keep(at.key("response").place, other);
            return Vec::new();
        }
    };
    let mut drafts = Vec::new();
    runs::unfold(response, Some(at.run_id), Ran::Agent, at.key("response"), owner, ledger, &mut drafts);
    if let Some(draft) = drafts.last_mut() {
        draft.members.set("workflow_step_id", step.get("step_id").clone());
        if let Some(second) = step.fill("step_run_id", Node::text(draft.run_id.clone())) {
            ledger.keep(at.key("response").key("run_id").place, second);
        }
    }
    drafts.into_iter().map(written).collect()
}

/// A draft whose parent is settled.
fn written(mut draft: Draft<'_>) -> Node<'_> {
    if let Some(parent) = draft.parent {
        draft.members.set("parent_run_id", Node::text(parent));
    }
    Node::object(draft.members)
}

/// The metrics of a step say what it was: that belongs to the step itself.
fn step_metrics<'t>(step: &mut Members<'t>, repeated: bool, at: At<'_>, ledger: &mut Ledger<'t>) {
    let here = at.key("metrics");
    let mut members = match step.take("metrics") {
        Node::Object { members, .. } => members,
        other => {
            ledger.keep(here.place, other);
            return;
        }
    };
    if members.get("executor_type").is_null() {
        let metrics = metrics::convert(Node::object(members), metrics::Of::Run, here.place, ledger);
        step.set_some("metrics", metrics);
        return;
    }
    for key in ["step_name", "executor_type", "executor_name"] {
        let value = members.take(key);
        if let Some(second) = step.fill(key, value) {
            if second != *step.get(key) {
                ledger.keep(here.key(key).place, second);
            }
        }
    }
    let inner = members.take("metrics");
    if !inner.is_null() {
        let inner = metrics::convert(inner, metrics::Of::Run, here.key("metrics").place, ledger);
        step.set_some("metrics", inner);
    }
    for (key, value) in members {
        if key == "parallel_steps" && repeated {
            ledger.counts.one(Count::MetricsParts);
        } else {
            ledger.keep(here.key(&key).place, value);
        }
    }
}

/// The names of a workflow's steps, in order.
pub fn step_names<'t>(workflow_data: &Node<'t>) -> Vec<Node<'t>> {
    workflow_data.get("steps").items().iter().map(|step| step.get("name").clone()).collect()
}

/// `workflow_data` with the name of a workflow_v2 row; `None` when it stays as it is.
pub fn with_name<'t>(workflow_data: &Node<'t>, name: Option<Cow<'t, str>>) -> Option<Node<'t>> {
    let name = name.filter(|name| !name.is_empty())?;
    let mut members = match workflow_data {
        Node::Object { members, .. } => members.clone(),
        Node::Null => Members::new(),
        _ => return None,
    };
    if !members.get("name").is_null() {
        return None;
    }
    members.set("name", Node::text(name));
    Some(Node::object(members))
}
