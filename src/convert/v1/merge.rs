//! Member sessions that carry the id of their team's session: 1.1.14 to 1.1.17 and 1.8 write one for every member with
//! storage, also for a team that is a member of another.

use super::Converted;
use super::ledger::{Count, Counts, Ledger, Place};
use super::members::Members;
use super::read::read;
use super::tree::Node;
use std::borrow::Cow;

/// Merges a member's session into the session of its team. The member's runs are member runs there already; those that are
/// not are put before the team run that follows them in time, or the last one. What else the member's row held is kept under
/// `agno_v1` in session_data.
pub fn member(team: &mut Converted, mut member: Converted) {
    let mut runs = std::mem::take(&mut member.session.runs);
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
    keep(team, &member.session);
    team.memories.extend(member.memories);
    team.foreign_summaries.extend(member.foreign_summaries);
    team.foreign_runs.extend(member.foreign_runs);
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

/// Keeps what a member's row says besides its runs. What it only repeats of its team's session is there already.
fn keep(team: &mut Converted, member: &super::Session) {
    let own = team.session.session_data.take();
    let mut data = match own.as_deref().map(read) {
        Some(Ok((Node::Object { members, .. }, _))) => members,
        _ => Members::new(),
    };
    let mut ledger = Ledger::default();
    let root = Place::Root;
    let sessions = Place::Key(&root, "member_sessions");
    let id = member.agent_id.as_deref().or(member.team_id.as_deref());
    let place = Place::Key(&sessions, id.unwrap_or_default());
    if let Some((member_data, _)) = member.session_data.as_deref().and_then(|text| read(text).ok()) {
        let member_data = without_known(member_data, &team.session.runs, &mut team.counts);
        ledger.keep(place, if member_data.is_falsy() { Node::Null } else { member_data });
    }
    let (with, of) = (&team.session, member);
    let documents = [
        ("agent_data", &of.agent_data, &with.agent_data),
        ("team_data", &of.team_data, &with.team_data),
        ("extra_data", &of.metadata, &with.metadata),
        ("summary", &of.summary, &with.summary),
    ];
    for (name, document, there) in documents {
        if let Some((node, _)) = document.as_deref().filter(|_| document != there).and_then(|text| read(text).ok()) {
            ledger.keep(Place::Key(&place, name), if node.is_falsy() { Node::Null } else { node });
        }
    }
    if of.user_id != with.user_id {
        ledger.keep(Place::Key(&place, "user_id"), Node::some_text(of.user_id.as_deref()));
    }
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
