"""Writes a database the way an app on this Agno release does: make.py FILE_OR_URL. Run it with the release's own Python.

Everything goes through Agno's agents, teams, workflows and database classes; only the days of sessions are moved with SQL,
since metrics of the past cannot be had otherwise.
"""

import inspect
import sys
import time
from importlib.metadata import version

from agno.agent import Agent
from agno.db.schemas.evals import EvalRunRecord, EvalType
from agno.db.schemas.knowledge import KnowledgeRow
from agno.db.schemas.memory import UserMemory
from agno.media import Audio, Image
from agno.session import summary as session_summary
from agno.team import Team
from agno.workflow import Step, Workflow
from fake_model import FakeModel
from sqlalchemy import text

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + b"x" * 24
QUIET = {"telemetry": False}
TYPES = (
    "sessions runs memories metrics evals knowledge culture approvals components schedules schedule_runs learnings versions"
).split()


def database(place, **tables):
    if "://" in place:
        from agno.db.postgres import PostgresDb

        return PostgresDb(db_url=place, **tables)
    from agno.db.sqlite import SqliteDb

    return SqliteDb(db_file=place, **tables)


def optional(what, action):
    """What a release does not have yet is left out, and said."""
    try:
        return action()
    except (AttributeError, NotImplementedError, ImportError, ValueError) as error:
        if isinstance(error, ValueError) and "Unknown table type" not in str(error):
            raise
        print(f"  without {what}: {error!r:.80}", file=sys.stderr)


def accepts(function, **wanted):
    """The arguments that this release's function takes."""
    known = inspect.signature(function).parameters
    return {key: value for key, value in wanted.items() if key in known}


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def conversations(db):
    agent = Agent(id="helper", name="Helper", model=FakeModel(), db=db, metadata={"k": "v"}, **QUIET)
    for s in range(4):
        for r in range(3):
            user = [None, "ann", "bob", "café"][s]
            agent.run(f'Hello {r} "q" é', session_id=f"agent-{s}", user_id=user, session_state={"n": r, "time": [1]})
    tools = Agent(
        id="tools",
        name="Tools",
        model=FakeModel([("get_weather", {"city": "Rome"})]),
        tools=[get_weather],
        db=db,
        add_history_to_context=True,
        **QUIET,
    )
    tools.run("weather?", session_id="tools", user_id="ann")
    tools.run("again", session_id="tools", user_id="ann")
    media = Agent(id="media", name="Media", model=FakeModel(reasoning_content="let me think"), db=db, **QUIET)
    media.run(
        "look",
        session_id="media",
        user_id="ann",
        images=[Image(content=PNG), Image(url="http://example.org/i.png")],
        audio=[Audio(content=b"RIFFxxxx", format="wav")],
    )

    def members():
        return [
            Agent(id="m1", name="M One", role="first", model=FakeModel(), **QUIET),
            Agent(id="m2", name="M Two", role="second", model=FakeModel(), **QUIET),
        ]

    def team(s):
        # Agno 2.0 has another word for it.
        word = "task_description" if version("agno").startswith("2.0.") else "task"
        task = ("delegate_task_to_member", {"member_id": "m1", word: "do"})
        return Team(id="team", name="T", members=members(), model=FakeModel([task]), db=db, **QUIET)

    for s in range(2):
        for r in range(2):
            team(s).run(f"team {r}", session_id=f"team-{s}", user_id="bob")
    flow = Workflow(
        id="flow",
        name="Flow",
        db=db,
        steps=[Step(name="one", agent=Agent(id="step", name="S", model=FakeModel(), **QUIET)), Step(name="two", executor=step_two)],
        **accepts(Workflow, **QUIET),
    )
    flow.run(input="go", session_id="flow-0", user_id="ann")
    flow.run(input="go on", session_id="flow-0", user_id="ann")
    summarised = agent.get_session(session_id="agent-1", **accepts(agent.get_session, user_id="ann"))
    summarised.summary = session_summary.SessionSummary(summary="They talked, “quoted”.", topics=["talk"])
    db.upsert_session(summarised)


def session_without_runs(db):
    """After the metrics: Agno 2.0 cannot compute them with such a session."""
    agent = Agent(id="helper", model=FakeModel(), db=db, **QUIET)
    empty = agent.get_session(session_id="agent-2", **accepts(agent.get_session, user_id="bob"))
    empty.session_id, empty.runs = "no-runs", None
    db.upsert_session(empty)


def step_two(step_input):
    from agno.workflow.types import StepOutput

    return StepOutput(content="two")


def memories(db):
    for i in range(4):
        more = {"feedback": "good", "created_at": 1_700_000_000 + i} if i == 0 else {}
        memory = UserMemory(
            memory_id=f"memory-{i}",
            memory=f'likes "{i}" é',
            topics=["a", "b"] if i else None,
            user_id=["ann", "bob"][i % 2],
            **accepts(UserMemory, **more),
        )
        db.upsert_user_memory(memory)


def days(db, sessions="agno_sessions"):
    """Two finished days and today, which is open."""
    schema = "ai." if "postgres" in type(db).__module__ else ""
    with db.Session() as session, session.begin():
        for back, name in ((2, "agent-0"), (1, "agent-1"), (1, "team-0")):
            session.execute(
                text(f"UPDATE {schema}{sessions} SET created_at = created_at - :s, updated_at = updated_at - :s WHERE session_id = :id"),
                {"s": back * 86400, "id": name},
            )
    db.calculate_metrics()


def rest(db):
    def eval_run(n):
        record = EvalRunRecord(
            run_id=f"eval-{n}",
            eval_type=EvalType.ACCURACY,
            eval_data={"score": 1.10, "big": 2**60},
            eval_input={"q": "é"},
            agent_id="helper",
        )
        db.create_eval_run(record)

    eval_run(0)
    eval_run(1)
    if has_column(db, "evals", "user_id"):
        # AgentOS sets the owner; the database class has no argument for it.
        schema = "ai." if "postgres" in type(db).__module__ else ""
        with db.Session() as session, session.begin():
            session.execute(text(f"UPDATE {schema}agno_eval_runs SET user_id = 'ann' WHERE run_id = 'eval-1'"))

    def document(n, **owner):
        row = KnowledgeRow(
            id=f"doc-{n}", name=f"doc {n}", description="d", metadata={"x": [1, None]}, type="t", size=1, status="ok", **owner
        )
        db.upsert_knowledge_content(row)

    document(0)
    document(1, **accepts(KnowledgeRow, user_id="bob", linked_to="kb"))

    def culture():
        from agno.db.schemas.culture import CulturalKnowledge

        db.upsert_cultural_knowledge(CulturalKnowledge(id="culture-0", name="Tone", content="Be kind", summary="s", input="i"))

    optional("culture", culture)
    now = int(time.time())

    def schedules():
        for n, owner in enumerate([None, "ann"]):
            row = {
                "id": f"schedule-{n}",
                "name": f"every {n}",
                "method": "POST",
                "endpoint": "/agents/helper/runs",
                "payload": {"message": "hi"},
                "cron_expr": "0 9 * * *",
                "timezone": "UTC",
                "timeout_seconds": 60,
                "max_retries": 1,
                "retry_delay_seconds": 5,
                "enabled": True,
                "next_run_at": now + 3600,
                "created_at": now,
            }
            run = {"id": f"schedule-run-{n}", "schedule_id": row["id"], "attempt": 1, "status": "success", "created_at": now}
            if has_column(db, "schedules", "user_id") and owner:
                row |= {"user_id": owner, "managed_by": "studio", "target_type": "agent", "target_id": "helper"}
                row |= {"created_by_run_id": "r", "created_by_session_id": "s", "disabled_reason": "none"}
                run |= {"user_id": owner}
            db.create_schedule(row)
            db.create_schedule_run(run)

    optional("schedules", schedules)

    def approvals():
        for n in range(2):
            row = {
                "id": f"approval-{n}",
                "run_id": f"run-{n}",
                "session_id": "agent-0",
                "status": "pending",
                "source_type": "agent",
                "pause_type": "confirmation",
                "tool_args": {"a": 1},
                "created_at": now,
            }
            if has_column(db, "approvals", "run_status"):
                row["run_status"] = "PAUSED" if n else None
            db.create_approval(row)

    optional("approvals", approvals)

    def components():
        from agno.db.base import ComponentType

        for n, owner in enumerate([None, "ann"]):
            db.upsert_component(
                component_id=f"component-{n}",
                component_type=ComponentType.AGENT,
                name=f"Component {n}",
                metadata={"m": n},
                **(accepts(db.upsert_component, user_id=owner) if owner else {}),
            )

    optional("components", components)

    def learnings():
        def put(id, namespace, owner, content, entity=None, kind="entity_memory"):
            db.upsert_learning(
                id=id,
                learning_type=kind,
                content=content,
                user_id=owner,
                namespace=namespace,
                entity_id=entity,
                entity_type="person" if entity else None,
                agent_id="helper",
                metadata={"m": 1},
            )

        facts = {"facts": [{"id": "1", "content": "Likes tea"}]}
        put("entity_user_person_eve", "user", "ann", {"user_id": "ann", "name": "Eve", **facts}, "eve")
        put("entity_user_person_max", "user", "bob", {"name": "Max", **facts}, "max")
        # Ann's row, which Bob's app wrote over: the key was the same for both.
        put("entity_user_person_collided", "user", "ann", {"user_id": "bob", "name": "X", **facts}, "collided")
        put("entity_user_person_nobodys", "user", None, {"name": "Y"}, "nobodys")
        put("entity_global_person_eve", "global", None, {"name": "Eve", **facts}, "eve")
        put("user_profile_ann", None, "ann", {"user_id": "ann", "name": "Ann"}, kind="user_profile")

    optional("learnings", learnings)


def has_column(db, table_type, column):
    return column in db._get_table(table_type, create_table_if_not_found=True).c


def own_names(place):
    for n, names in enumerate([{"session_table": "agent-session", "memory_table": "sessões memórias"}, {"session_table": "support"}]):
        db = database(place, **names)
        agent = Agent(id="own", name="Own", model=FakeModel(), db=db, **QUIET)
        for r in range(2):
            agent.run(f"hi {r}", session_id=f"own-{n}", user_id="ann")
        if "memory_table" in names:
            db.upsert_user_memory(UserMemory(memory_id="own-memory", memory="m", topics=["t"], user_id="ann"))


def main(place):
    db = database(place)
    for table_type in TYPES:
        optional(table_type, lambda: db._get_table(table_type, create_table_if_not_found=True))
    conversations(db)
    memories(db)
    days(db)
    session_without_runs(db)
    rest(db)
    own_names(place)
    if "://" not in place:
        db.db_engine.dispose()
        import sqlite3

        with sqlite3.connect(place) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
