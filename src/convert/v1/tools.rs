//! Tool calls.
//!
//! Source: `ToolExecution` in `agno/models/response.py` of Agno 1.8.4, 2.0.11 and 3.1.10.

use super::ledger::Ledger;
use super::media::At;
use super::members::Members;
use super::message;
use super::metrics;
use super::tree::Node;

/// Converts a list of tool calls; null for what is none, which goes to the ledger.
pub fn list<'t>(node: Node<'t>, at: At<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    let Node::List { items, source } = node else {
        ledger.keep(at.place, node);
        return Node::Null;
    };
    if items.is_empty() {
        return Node::List { items, source };
    }
    let tools = items.into_iter().enumerate().map(|(index, item)| match item {
        Node::Object { members, .. } => tool(members, at.index(index), ledger),
        other => other,
    });
    Node::list(tools.collect())
}

/// Up to 1.4 a tool call was stored as the message of its result.
fn tool<'t>(mut members: Members<'t>, at: At<'_>, ledger: &mut Ledger<'t>) -> Node<'t> {
    if members.has("content") {
        let content = members.take("content");
        if let Some(second) = members.fill("result", content) {
            ledger.keep(at.key("content").place, second);
        }
    }
    if members.has("metrics") {
        let value = members.take("metrics");
        let value = metrics::of_tool(value, at.key("metrics").place, ledger);
        members.set_some("metrics", value);
    }
    message::whole(&mut members, "created_at");
    Node::object(members)
}
