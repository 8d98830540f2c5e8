//! Member sessions that carry the id of their team's session: 1.1.14 to 1.1.17 and 1.8 write one for every member with
//! storage.

use super::Converted;
use super::ledger::{Count, Counts, Ledger, Place};
use super::members::Members;
use super::read::read;
use super::tree::Node;
use std::borrow::Cow;

/// Merges a member's session into the session of its team. The member's runs are member runs there already; those that are
/// not are put before the team run that follows them in time, or the last one. What else the member's row held is kept under
/// `agno_v1` in session_data.
pub fn member(team: &mut Converted, member: Converted) {
    let mut runs = member.session.runs;
    let before = runs.len();
    runs.retain(|run| team.session.runs.iter().all(|known| known.row.run_id != run.row.run_id));
    team.counts.more(Count::MergedRuns, before - runs.len());
    for mut run in runs {
        let is_team = |known: &super::Run| known.row.run_type == Some("team") && known.row.parent_run_id.is_none();
        let follows = |known: &super::Run| is_team(known) && known.row.created_at >= run.row.created_at;
        let runs = &team.session.runs;
        let at = runs.iter().position(follows).or_else(|| runs.iter().rposition(is_team));
        if let (None, Some(at)) = (&run.row.parent_run_id, at) {
            adopt(&mut run, &team.session.runs[at].row.run_id);
        }
        let at = at.unwrap_or(team.session.runs.len());
        team.session.runs.insert(at, run);
    }
    keep(team, member.session.agent_id.as_deref(), member.session.session_data.as_deref());
    team.memories.extend(member.memories);
    team.foreign_summaries.extend(member.foreign_summaries);
    team.counts.add(&member.counts);
}

fn adopt(run: &mut super::Run, parent: &str) {
    let json = match read(&run.json) {
        Ok((Node::Object { mut members, .. }, _)) => {
            members.set("parent_run_id", Node::text(parent.to_owned()));
            Node::object(members).to_json()
        }
        // It was written here a moment ago.
        _ => return,
    };
    run.json = json;
    run.row.parent_run_id = Some(parent.to_owned());
}

fn keep(team: &mut Converted, agent_id: Option<&str>, session_data: Option<&str>) {
    let Some((member_data, _)) = session_data.and_then(|text| read(text).ok()) else { return };
    let member_data = without_known(member_data, &team.session.runs, &mut team.counts);
    if member_data.is_falsy() {
        return;
    }
    let own = team.session.session_data.take();
    let mut data = match own.as_deref().map(read) {
        Some(Ok((Node::Object { members, .. }, _))) => members,
        _ => Members::new(),
    };
    let mut ledger = Ledger::default();
    let root = Place::Root;
    let sessions = Place::Key(&root, "member_sessions");
    ledger.keep(Place::Key(&sessions, agent_id.unwrap_or_default()), member_data);
    super::ledger::file(&mut data, ledger.take());
    team.session.session_data = Some(Node::object(data).to_json());
    team.counts.add(&ledger.counts);
}

/// The data of a member's session without runs of the team that its shared memory repeated.
fn without_known<'t>(data: Node<'t>, runs: &[super::Run], counts: &mut Counts) -> Node<'t> {
    let (Node::Object { members: agno_v1, .. }, Node::Object { mut members, .. }) =
        (data.get("agno_v1").clone(), data.clone())
    else {
        return data;
    };
    let known = |(key, value): &(Cow<'t, str>, Node<'t>)| {
        key.starts_with("team_runs[")
            && runs.iter().any(|run| value.get("run_id").plain().as_deref() == Some(&run.row.run_id))
    };
    let before = agno_v1.len();
    let rest: Members<'t> = agno_v1.into_iter().filter(|member| !known(member)).collect();
    counts.more(Count::MergedRuns, before - rest.len());
    if rest.is_empty() {
        members.take("agno_v1");
    } else {
        members.set("agno_v1", Node::object(rest));
    }
    Node::object(members)
}

/// Notes under `agno_v1` in session_data the id that a session had in v1.
pub fn keep_id(session: &mut super::Session, original: &str) {
    let own = session.session_data.take();
    let mut data = match own.as_deref().map(read) {
        Some(Ok((Node::Object { members, .. }, _))) => members,
        _ => Members::new(),
    };
    let mut ledger = Ledger::default();
    ledger.keep(Place::Key(&Place::Root, "session_id"), Node::text(original.to_owned()));
    super::ledger::file(&mut data, ledger.take());
    session.session_data = Some(Node::object(data).to_json());
}

#[cfg(test)]
mod tests {
    use crate::convert::v1::ledger::Count;
    use crate::convert::v1::{Context, Converted, SessionRow, convert_session};

    fn converted(kind: &str, memory: &str) -> Converted {
        let id = Some(kind.as_bytes());
        let (agent_id, team_id) = if kind == "a" { (id, None) } else { (None, id) };
        let row = SessionRow {
            session_id: Some(b"s"),
            agent_id,
            team_id,
            memory: Some(memory.as_bytes()),
            session_data: Some(br#"{"session_state":{"x":1}}"#),
            created_at: Some(b"1"),
            ..SessionRow::default()
        };
        convert_session(&row, &Context::default()).expect("converts")
    }

    #[test]
    fn a_member_adds_only_what_its_team_lacks() {
        let run = |id: &str, who: &str, at: i64| format!(r#"{{"run_id":"{id}","{who}":"x","created_at":{at}}}"#);
        let mut team = converted("t", &format!(r#"{{"runs":[{},{}]}}"#, run("t1", "team_id", 10), run("t2", "team_id", 20)));
        let shared = [
            run("t1", "agent_id", 10),
            run("m", "agent_id", 15),
            run("late", "agent_id", 30),
            run("t2", "team_id", 20),
            run("t3", "team_id", 20),
        ];
        let member = converted("a", &format!(r#"{{"runs":[{}]}}"#, shared.join(",")));
        super::member(&mut team, member);
        let ids: Vec<_> = team.session.runs.iter().map(|run| run.row.run_id.as_str()).collect();
        assert_eq!(ids, ["t1", "m", "late", "t2"]);
        assert_eq!(team.session.runs[1].row.parent_run_id.as_deref(), Some("t2"));
        assert!(team.session.runs[1].json.contains(r#""parent_run_id":"t2""#));
        assert_eq!(team.counts.of(Count::MergedRuns), 2);
        let data = team.session.session_data.expect("has data");
        assert!(
            data.starts_with(
                r#"{"session_state":{"x":1},"agno_v1":{"member_sessions.a":{"session_state":{"x":1},"agno_v1":{"#
            )
        );
        assert!(data.contains("\"t3\"") && !data.contains("\"t2\""), "{data}");
    }
}
