"""Lets the Agno release of this Python open a database, tell what it sees, and go on with it.

judge.py FILE_OR_URL read                 everything the release's own API returns
judge.py FILE_OR_URL shape                which tables the release accepts
judge.py FILE_OR_URL go-on --session ID   one more run in that session (repeatable: in each), saved and read again
options: --table TYPE=NAME (repeatable), --schema NAME (Postgres), --history-runs N (go-on)

stdout is one JSON document. Its "log" lists what Agno warned of or swallowed, and what it silently left out.
read and shape change nothing: a SQLite file is copied first, Postgres sessions are read-only.
"""

import argparse
import collections
import dataclasses
import datetime
import enum
import inspect
import json
import logging
import math
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

ARGUMENTS = {
    "sessions": "session_table",
    "runs": "runs_table",
    "memories": "memory_table",
    "metrics": "metrics_table",
    "evals": "eval_table",
    "knowledge": "knowledge_table",
    "culture": "culture_table",
    "approvals": "approvals_table",
    "components": "components_table",
    "schedules": "schedules_table",
    "schedule_runs": "schedule_runs_table",
    "learnings": "learnings_table",
    "versions": "versions_table",
}
MANY = 10**6

# Agno reports some failed reads at debug level only, then returns nothing.
SWALLOWED = re.compile(r"(Exception|Error|Failed|Could not|Unable)\b", re.I)


class Log(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def add(self, text):
        # SQL with its parameters says no more, and differs each time.
        text = text.split("\n[SQL")[0]
        # Agno prints sets of columns, in an order that changes from process to process.
        text = re.sub(r"\{('[^{}]*')\}", lambda m: "{" + ", ".join(sorted(m[1].split(", "))) + "}", text)
        # It retries and rereads: the same complaint once is enough.
        if text not in self.lines:
            self.lines.append(text)

    def emit(self, record):
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if record.exc_info and record.exc_info[1]:
                text += f" ({named(record.exc_info[1])})"
            self.add(f"{record.levelname}: {text}")
        else:
            self.debug(text)

    def debug(self, text, *args, **given):
        if SWALLOWED.match(str(text)):
            self.add(f"DEBUG: {text}")


def named(error, where=False):
    frames = traceback.extract_tb(error.__traceback__) if where else []
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{at}"


def silence(level=logging.DEBUG):
    """Takes stdout and all logging away from Agno, before it is imported; returns (where the JSON goes, the log)."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    log = Log()
    logging.getLogger().addHandler(log)
    logging.captureWarnings(True)
    import agno.utils.log

    # Off unless in debug mode, which every run switches off; all others import the function later.
    agno.utils.log.log_debug = log.debug
    for name in ("agno", "agno-team", "agno-workflow"):
        logger = logging.getLogger(name)
        logger.handlers = [log]
        logger.propagate = False
        logger.setLevel(level)
        logger.setLevel = lambda level: None
    return out, log


def is_url(place):
    return place.startswith("postgres")


def open_db(place, tables, schema="ai", readonly=False):
    names = {ARGUMENTS[kind]: name for kind, name in tables.items()}
    if is_url(place):
        from agno.db.postgres import PostgresDb as Db

        url = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql+psycopg:", place)
        if readonly:
            url += ("&" if "?" in url else "?") + "options=-c%20default_transaction_read_only%3Don"
        names.update(db_url=url, db_schema=schema)
    else:
        from agno.db.sqlite import SqliteDb as Db

        names["db_file"] = place
    known = inspect.signature(Db).parameters
    return Db(**{name: value for name, value in names.items() if name in known})


def copy_of(file, folder):
    copy = os.path.join(folder, "copy.db")
    for suffix in ("", "-wal", "-journal"):
        if os.path.exists(file + suffix):
            shutil.copyfile(file + suffix, copy + suffix)
    return copy


def existing(db):
    """{type: table name} of the types this release knows and this database has."""
    import sqlalchemy

    there = set(sqlalchemy.inspect(db.db_engine).get_table_names(schema=getattr(db, "db_schema", None)))
    names = {kind: getattr(db, argument + "_name", None) for kind, argument in ARGUMENTS.items()}
    return {kind: name for kind, name in names.items() if name in there}


def select(db, name, *columns):
    import sqlalchemy as sa

    table = sa.table(name, *map(sa.column, columns), schema=getattr(db, "db_schema", None))
    statement = sa.select(*table.columns) if columns else sa.select(sa.func.count()).select_from(table)
    with db.db_engine.connect() as connection:
        return connection.execute(statement).fetchall()


# -- what a release sees, as JSON


def plain(x):
    if isinstance(x, enum.Enum):
        return plain(x.value)
    if x is None or isinstance(x, (str, bool, int)):
        return x
    if isinstance(x, float):
        return x if math.isfinite(x) else str(x)
    if isinstance(x, (datetime.date, datetime.datetime)):
        return x.isoformat()
    if hasattr(x, "items"):
        return {str(plain(k)): plain(v) for k, v in x.items()}
    if isinstance(x, (set, frozenset)):
        return sorted((plain(v) for v in x), key=str)
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if hasattr(x, "model_dump"):
        return plain(x.model_dump())
    if hasattr(x, "to_dict"):
        return plain(x.to_dict())
    if dataclasses.is_dataclass(x):
        return plain(dataclasses.asdict(x))
    return str(x)


def filled(**fields):
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "", False)}


def tokens(metrics):
    steps = getattr(metrics, "steps", None)
    if isinstance(steps, dict):
        return {name: tokens(getattr(step, "metrics", None)) for name, step in steps.items()}
    fields = metrics if isinstance(metrics, dict) else getattr(metrics, "__dict__", {})
    found = {name: plain(value) for name, value in fields.items() if name.endswith("_tokens") and value}
    for name, value in found.items():
        if not isinstance(value, (int, float)):
            # Agno fails on it later, when it sums.
            logging.getLogger("judge").warning("%s is no number: %s", name, value)
    return found


def media(holder, *names):
    counts = {}
    for name in names:
        value = getattr(holder, name, None)
        if value:
            counts[name] = len(value) if isinstance(value, (list, tuple)) else 1
    return counts


def describe_message(message):
    # No id and created_at: Agno makes them up when the stored message has none.
    return {
        "role": message.role,
        "content": plain(message.content),
        **filled(
            tool_calls=plain(message.tool_calls),
            from_history=bool(message.from_history),
            tool_call_id=message.tool_call_id,
            tool_name=message.tool_name,
            reasoning_content=message.reasoning_content,
            metrics=tokens(message.metrics),
            media=media(message, "images", "videos", "audio", "files", "image_output", "video_output", "audio_output"),
        ),
    }


def describe_step(step):
    if isinstance(step, (list, tuple)):
        return [describe_step(s) for s in step]
    return {
        "step_name": step.step_name,
        "content": plain(step.content),
        "success": step.success,
        **filled(
            step_run_id=getattr(step, "step_run_id", None),
            error=plain(step.error),
            executor=getattr(step, "executor_name", None),
            metrics=tokens(step.metrics),
            steps=[describe_step(s) for s in getattr(step, "steps", None) or []],
        ),
    }


def describe_run(run):
    if isinstance(run, dict):
        return {"class": "dict", **plain(run)}
    given = getattr(run, "input", None)
    return {
        "run_id": run.run_id,
        "class": type(run).__name__,
        "status": plain(run.status),
        "parent_run_id": getattr(run, "parent_run_id", None),
        "content": plain(run.content),
        "messages": [describe_message(m) for m in getattr(run, "messages", None) or []],
        "metrics": tokens(run.metrics),
        "media": media(run, "images", "videos", "audio", "files", "response_audio"),
        "tools": [
            {"name": t.tool_name, "result": plain(t.result), **filled(args=plain(t.tool_args), error=t.tool_call_error)}
            for t in getattr(run, "tools", None) or []
        ],
        **filled(
            input=plain(getattr(given, "input_content", given)),
            input_media=media(given, "images", "videos", "audios", "files"),
            agent_id=getattr(run, "agent_id", None),
            team_id=getattr(run, "team_id", None),
            workflow_id=getattr(run, "workflow_id", None),
            model=getattr(run, "model", None),
            reasoning_content=getattr(run, "reasoning_content", None),
            reasoning_steps=len(getattr(run, "reasoning_steps", None) or []),
            references=len(getattr(run, "references", None) or []),
            events=[plain(getattr(e, "event", None)) for e in getattr(run, "events", None) or []],
            metadata=plain(getattr(run, "metadata", None)),
            member_responses=[describe_run(r) for r in getattr(run, "member_responses", None) or []],
            step_results=[describe_step(s) for s in getattr(run, "step_results", None) or []],
            step_executor_runs=[describe_run(r) for r in getattr(run, "step_executor_runs", None) or []],
        ),
    }


def describe_session(session, kind):
    return {
        "session_id": session.session_id,
        "type": kind,
        "user_id": session.user_id,
        **{
            name: plain(getattr(session, name))
            for name in ("agent_id", "team_id", "workflow_id", "agent_data", "team_data", "workflow_data")
            if getattr(session, name, None) is not None
        },
        "created_at": plain(session.created_at),
        "updated_at": plain(session.updated_at),
        "session_data": plain(session.session_data),
        "metadata": plain(session.metadata),
        "summary": plain(getattr(session, "summary", None)),
        "runs": [describe_run(run) for run in session.runs or []],
    }


def run_ids(runs):
    return [run.get("run_id") if isinstance(run, dict) else getattr(run, "run_id", None) for run in runs or []]


def read_sessions(db, log):
    from agno.db.base import SessionType

    found = []
    for kind in SessionType:
        page = 1
        while True:
            rows, _ = db.get_sessions(
                session_type=kind, sort_by="session_id", sort_order="asc", limit=200, page=page, deserialize=False
            )
            for row in rows:
                name = f"session {row['session_id']}"
                try:
                    session = db.get_session(session_id=row["session_id"], session_type=kind)
                    if session is None:
                        raise LookupError("get_sessions lists it, get_session returns nothing")
                    found.append(describe_session(session, kind.value))
                except Exception as e:
                    log.add(f"{name}: {named(e)}")
                    found.append({"session_id": row["session_id"], "type": kind.value, "error": named(e)})
                    continue
                stored, seen = run_ids(row.get("runs")), run_ids(session.runs)
                if stored != seen:
                    log.add(f"{name}: runs {stored} are stored, as objects they are {seen}")
            if len(rows) < 200:
                break
            page += 1
    return sorted(found, key=lambda session: session["session_id"])


def read_memories(db, log):
    raw = {row["memory_id"]: row for row in db.get_user_memories(deserialize=False)[0]}
    found = []
    for memory in db.get_user_memories():
        fields = plain(vars(memory))
        # Releases disagree on the class of a time, and make up the time that is not stored.
        for name in ("created_at", "updated_at"):
            value = getattr(memory, name, None)
            if isinstance(value, datetime.datetime):
                fields[name] = int(value.timestamp())
            if raw.get(memory.memory_id, {}).get(name) is None:
                fields.pop(name, None)
        found.append({name: value for name, value in fields.items() if value is not None})
    return found


def both(fetch, log, what):
    """The rows, after a look whether each becomes an object."""
    rows, objects = fetch(deserialize=False)[0], fetch(deserialize=True)
    if len(rows) != len(objects):
        log.add(f"{what}: {len(rows)} rows, {len(objects)} objects")
    return plain([dict(row) for row in rows])


def read_components(db, log):
    rows = db.list_components(include_deleted=True, limit=MANY)[0]
    return [
        {**plain(row), "configs": plain(db.list_configs(row["component_id"], include_config=True))} for row in rows
    ]


def read_schedules(db, log):
    rows = db.get_schedules(limit=MANY)[0]
    for row in rows:
        runs = [plain(run) for run in db.get_schedule_runs(row["id"], limit=MANY)[0]]
        row["runs"] = sorted(runs, key=lambda run: str(run["id"]))
    return plain(rows)


def read_metrics(db, log):
    # 3.x refreshes, that is writes, before it reads.
    db._metrics_refreshed_at = time.time()
    return plain([dict(row) for row in db.get_metrics()[0]])


READERS = {
    "sessions": ("get_sessions", read_sessions),
    "memories": ("get_user_memories", read_memories),
    "knowledge": ("get_knowledge_contents", lambda db, log: plain(db.get_knowledge_contents()[0])),
    "evals": ("get_eval_runs", lambda db, log: both(db.get_eval_runs, log, "evals")),
    "culture": ("get_all_cultural_knowledge", lambda db, log: both(db.get_all_cultural_knowledge, log, "culture")),
    "metrics": ("get_metrics", read_metrics),
    "approvals": ("get_approvals", lambda db, log: plain(db.get_approvals(limit=MANY)[0])),
    "components": ("list_components", read_components),
    "schedules": ("get_schedules", read_schedules),
    "learnings": ("get_learnings", lambda db, log: plain(db.get_learnings())),
}


def by_id(row):
    ids = ("session_id", "memory_id", "run_id", "id", "component_id", "learning_id", "date", "user_id")
    return [str(row.get(name)) for name in ids]


def read(db, log, there):
    answer = {}
    for kind, (api, reader) in READERS.items():
        if kind not in there or not hasattr(db, api):
            continue
        try:
            answer[kind] = sorted(reader(db, log), key=by_id)
        except Exception as e:
            log.add(f"{kind}: {named(e)}")
            answer[kind] = None
            continue
        rows = select(db, there[kind])[0][0]
        if rows != len(answer[kind]):
            log.add(f"{kind}: {rows} rows in {there[kind]}, Agno gives {len(answer[kind])}")
    if "schedule_runs" in there and answer.get("schedules") is not None:
        rows, seen = select(db, there["schedule_runs"])[0][0], sum(len(s["runs"]) for s in answer["schedules"])
        if rows != seen:
            log.add(f"schedule_runs: {rows} rows in {there['schedule_runs']}, Agno gives {seen}")
    if "runs" in there and answer.get("sessions") is not None:
        check_run_rows(select(db, there["runs"], "session_id", "run_id", "run_index", "created_at"), answer["sessions"], log)
    return answer


def check_run_rows(rows, sessions, log):
    """Agno hides what is wrong with the runs table as long as the sessions table has its old runs column."""
    by_session = collections.defaultdict(list)
    for session_id, run_id, index, created_at in rows:
        by_session[session_id].append((-1 if index is None else index, created_at or 0, run_id))
    for session in sessions:
        stored = [run_id for *_, run_id in sorted(by_session[session["session_id"]])]
        indexes = [index for index, *_ in by_session.pop(session["session_id"])]
        if "error" in session:
            continue
        name, seen = f"session {session['session_id']}", run_ids(session["runs"])
        if set(seen) - set(stored):
            log.add(f"{name}: runs {[r for r in seen if r not in stored]} are not in the runs table")
        if set(stored) - set(seen):
            log.add(f"{name}: Agno does not show runs {[r for r in stored if r not in seen]}")
        if set(stored) == set(seen) and stored != seen:
            log.add(f"{name}: the runs table has the order {stored}, Agno shows {seen}")
        if -1 in indexes:
            log.add(f"{name}: runs without run_index")
        elif indexes and max(indexes) >= len(seen):
            # The next run gets the number of runs as its index.
            log.add(f"{name}: run_index {max(indexes)} with {len(seen)} runs, the next run will not be last")
    for session_id, orphans in by_session.items():
        log.add(f"session {session_id}: Agno does not show it, it has {len(orphans)} runs")


def shape(db, log, there):
    valid, stamps = {}, {}
    for kind, name in there.items():
        try:
            valid[kind] = db._get_table(table_type=kind) is not None
        except Exception as e:
            valid[kind] = False
            log.add(f"{kind}: {named(e)}")
        if "versions" in there and kind != "versions":
            stamps[kind] = db.get_latest_schema_version(name)
    return {"tables": there, "valid": valid, "stamps": stamps}


# -- going on


def fake_model(seen):
    from agno.models.base import Model
    from agno.models.response import ModelResponse

    try:
        from agno.metrics import MessageMetrics as Metrics
    except ImportError:
        from agno.models.metrics import Metrics

    def answer(*args, **given):
        seen.append(list(given.get("messages") or args[0]))
        response = ModelResponse(role="assistant", content="The judge has heard it.")
        response.response_usage = Metrics(input_tokens=7, output_tokens=5, total_tokens=12)
        return response

    def stream(*args, **given):
        yield answer(*args, **given)

    async def later(*args, **given):
        return answer(*args, **given)

    async def stream_later(*args, **given):
        yield answer(*args, **given)

    def same(self, response, **given):
        return response

    methods = dict(
        _parse_provider_response=same,
        _parse_provider_response_delta=same,
        invoke=lambda self, *a, **k: answer(*a, **k),
        ainvoke=lambda self, *a, **k: later(*a, **k),
        invoke_stream=lambda self, *a, **k: stream(*a, **k),
        ainvoke_stream=lambda self, *a, **k: stream_later(*a, **k),
    )
    return type("JudgeModel", (Model,), methods)(id="judge-model", name="JudgeModel", provider="judge")


def make(cls, **given):
    known = inspect.signature(cls).parameters
    return cls(**{name: value for name, value in given.items() if name in known})


def find_session(db, session_id):
    """(its type, the session): a 3.x get_session takes any type for any row, so the row decides."""
    from agno.db.base import SessionType

    for kind in SessionType:
        row = db.get_session(session_id=session_id, session_type=kind, deserialize=False)
        if row and row["session_type"] == kind.value:
            return kind.value, db.get_session(session_id=session_id, session_type=kind)
    raise LookupError(f"no session {session_id}")


def own_top_runs(session, kind):
    """The runs whose messages are this session's history, by our own rule."""
    owner = getattr(session, f"{kind}_id")
    skipped = ("PAUSED", "CANCELLED", "ERROR", "REGENERATED")
    return [
        run
        for run in session.runs or []
        if not getattr(run, "parent_run_id", None)
        and getattr(run, f"{kind}_id", None) == owner
        and plain(run.status) not in skipped
    ]


def key(message):
    return message.role, json.dumps(plain(message.content), sort_keys=True)


def check_history(session, kind, seen, prompt, wanted_runs):
    """(earlier user messages the model saw, how many it should have seen, complaints)"""
    runs = own_top_runs(session, kind)[-wanted_runs:]
    if kind == "workflow":
        # A workflow's history is text in front of the step's input, completed runs only, no history at first.
        texts = [str(m.content) for m in seen if m.role == "user"]
        blocks = re.findall(r"\[Workflow Run-(\d+)\]", "\n".join(texts))
        complaints = ["a run of history appears twice"] if len(blocks) != len(set(blocks)) else []
        expected = sum(plain(run.status) == "COMPLETED" for run in runs) if has_workflow_history() else 0
        return len(blocks), expected, complaints

    def messages_of(some_runs):
        return collections.Counter(
            key(m) for run in some_runs for m in getattr(run, "messages", None) or [] if not m.from_history
        )

    # Releases differ in which runs of others they take; none may take a message more often than it is stored.
    stored = messages_of(session.runs or [])
    history = [m for m in seen if m.role in ("user", "assistant", "tool") and prompt not in str(m.content)]
    complaints = []
    for what, count in (collections.Counter(map(key, history)) - stored).items():
        complaints.append(f"a message of history appears {count} time(s) too often: {what[0]} {what[1][:60]}")
    # The other way to see a message twice: runs that hold copies of earlier ones without the mark. Equal ids give them
    # away, and where none are stored, an equal time in a run with more than one question.
    asked = [[(key(m), m.created_at) for m in run.messages or [] if m.role == "user" and not m.from_history] for run in runs]
    copies = collections.Counter(m for messages in asked for m in set(messages))
    ids = collections.Counter(m.id for m in history if getattr(m, "id", None))
    if any(count > 1 for count in ids.values()) or any(copies[m] > 1 for some in asked if len(some) > 1 for m in some):
        complaints.append("a message of history appears twice")
    expected = sum(count for (role, _), count in messages_of(runs).items() if role == "user")
    return sum(m.role == "user" for m in history), expected, complaints


def next_run(db, kind, session, seen, prompt, history_runs):
    from agno.agent import Agent
    from agno.team import Team
    from agno.workflow import Step, Workflow

    data = getattr(session, f"{kind}_data", None) or {}
    common = dict(
        id=getattr(session, f"{kind}_id"),
        name=data.get("name") or data.get(f"{kind}_name") or "Judge",
        db=db,
        telemetry=False,
        num_history_runs=history_runs,
    )
    helper = make(Agent, id="judge-helper", name="Judge helper", model=fake_model(seen), telemetry=False)
    if kind == "agent":
        actor = make(Agent, model=fake_model(seen), add_history_to_context=True, **common)
    elif kind == "team":
        actor = make(Team, members=[helper], model=fake_model(seen), add_history_to_context=True, **common)
    else:
        steps = [Step(name="judge", agent=helper)]
        actor = make(Workflow, steps=steps, add_workflow_history_to_steps=True, **common)
    return actor.run(input=prompt, session_id=session.session_id, user_id=session.user_id)


def state_of(session):
    state = (session.session_data or {}).get("session_state") or {}
    # Some releases store these two with the state.
    return {k: v for k, v in state.items() if k not in ("current_session_id", "current_user_id")}


def go_on(reopen, session_id, history_runs):
    problems = []
    kind, old = find_session(reopen(), session_id)
    before = run_ids(old.runs)
    described = [describe_run(run) for run in old.runs or []]
    prompt = f"The judge says: go on after {len(before)} runs."
    seen = []
    new_id = None
    try:
        result = next_run(reopen(), kind, old, seen, prompt, history_runs)
        new_id = result.run_id
        if plain(result.status) != "COMPLETED":
            problems.append(f"the new run ended as {plain(result.status)}: {result.content}")
    except Exception as e:
        problems.append(f"the new run raised {named(e, where=True)}")

    now_kind, new = find_session(reopen(), session_id)
    after = run_ids(new.runs)
    if now_kind != kind:
        problems.append(f"the session became a {now_kind} session")
    for run_id in before:
        if run_id not in after:
            problems.append(f"run {run_id} vanished")
    for name, ids in (("before", before), ("after", after)):
        if len(ids) != len(set(ids)):
            problems.append(f"a run id appears twice {name}: {ids}")
    if [run_id for run_id in after if run_id in before] != before:
        problems.append(f"the order changed: {before} became {after}")
    if after[-1:] != [new_id]:
        problems.append(f"the new run {new_id} is not last: {after}")
    if after[: len(before)] == before:
        for was, run in zip(described, new.runs or []):
            if was != describe_run(run):
                problems.append(f"run {run.run_id} changed")
    for name in ("user_id", "created_at", "metadata"):
        if plain(getattr(old, name)) != plain(getattr(new, name)):
            problems.append(f"{name} changed from {plain(getattr(old, name))} to {plain(getattr(new, name))}")
    if plain(state_of(old)) != plain(state_of(new)):
        problems.append("session_state changed")

    count, expected, complaints = check_history(old, kind, seen[0] if seen else [], prompt, history_runs)
    problems += complaints
    if count < expected:
        problems.append(f"the model saw {count} earlier user messages of {expected}")

    problems += save_memory(reopen, old.user_id or "judge", session_id)
    metrics, complaints = count_metrics(reopen)
    answer = {
        "type": kind,
        "before": before,
        "after": after,
        "history_messages": count,
        "history_expected": expected,
        "metrics": metrics,
    }
    return answer, problems + complaints


def has_workflow_history():
    from agno.workflow import Workflow

    return "add_workflow_history_to_steps" in inspect.signature(Workflow).parameters


def save_memory(reopen, user_id, session_id):
    from agno.db.schemas.memory import UserMemory

    memory_id = f"judge-{session_id}"
    try:
        db = reopen()
        others = {m.memory_id for m in db.get_user_memories()}
        db.upsert_user_memory(
            UserMemory(memory_id=memory_id, memory="Was here.", topics=["judge"], user_id=user_id)
        )
        memories = {m.memory_id: m for m in reopen().get_user_memories()}
        saved = memories.get(memory_id)
        if not saved or (saved.memory, saved.topics, saved.user_id) != ("Was here.", ["judge"], user_id):
            return [f"the memory was not saved: {plain(saved)}"]
        if not others <= set(memories):
            return ["saving a memory lost another"]
    except Exception as e:
        return [f"saving a memory raised {named(e)}"]
    return []


def count_metrics(reopen):
    """(what was done, complaints)"""
    from importlib.metadata import version

    from agno.db.base import SessionType

    db = reopen()
    release = tuple(map(int, version("agno").split(".")[:2]))
    if release < (2, 2) or release < (2, 3) and hasattr(db, "db_schema"):
        rows = [row for kind in SessionType for row in db.get_sessions(session_type=kind, deserialize=False)[0]]
        if any(row["runs"] is None for row in rows):
            return "skipped: this release fails on its own sessions without runs", []
    try:
        db.calculate_metrics()
        again = reopen()
        again._metrics_refreshed_at = time.time()
        # There is a run today.
        if not again.get_metrics()[0]:
            return "failed", ["calculate_metrics left no metrics"]
    except Exception as e:
        return "failed", [f"calculate_metrics raised {named(e)}"]
    return "calculated", []


def options(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", metavar="FILE_OR_URL")
    parser.add_argument("--table", action="append", default=[], metavar="TYPE=NAME")
    parser.add_argument("--schema", default="ai")
    return parser


def parsed(parser):
    args = parser.parse_args()
    args.tables = dict(pair.split("=", 1) for pair in args.table)
    for kind in args.tables:
        if kind not in ARGUMENTS:
            parser.error(f"no such table type: {kind}")
    if args.place.startswith("sqlite:///"):
        args.place = args.place[len("sqlite:///") :]
    if not is_url(args.place) and not os.path.isfile(args.place):
        parser.error(f"no such file: {args.place}")
    return args


def main():
    parser = options(__doc__)
    parser.add_argument("command", choices=["read", "shape", "go-on"])
    parser.add_argument("--session", action="append", default=[], dest="sessions", metavar="ID")
    parser.add_argument("--history-runs", type=int, default=1000)
    args = parsed(parser)
    if (args.command == "go-on") != bool(args.sessions):
        parser.error("go-on wants --session ID, the others do not")

    out, log = silence()
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        if args.command == "go-on":
            opened = []

            def reopen():
                opened.append(open_db(args.place, args.tables, args.schema))
                return opened[-1]

            answer = {"sessions": {}}
            for session in args.sessions:
                try:
                    answer["sessions"][session], complaints = go_on(reopen, session, args.history_runs)
                except Exception as e:
                    complaints = [f"raised {named(e, where=True)}"]
                problems += [f"session {session}: {complaint}" for complaint in complaints]
                for db in opened:
                    db.db_engine.dispose()
                opened.clear()
            problems += [f"logged {line}" for line in log.lines]
        else:
            place = args.place if is_url(args.place) else copy_of(args.place, folder)
            db = open_db(place, args.tables, args.schema, readonly=True)
            there = existing(db)
            for kind, name in args.tables.items():
                if kind not in there and hasattr(db, ARGUMENTS[kind] + "_name"):
                    log.add(f"{kind}: no table {name}")
            if not there:
                log.add("no table of Agno, under the names given")
            answer = {"read": read, "shape": shape}[args.command](db, log, there)
            db.db_engine.dispose()
    log.lines += [problem for problem in problems if not problem.startswith("logged ")]
    json.dump({**answer, "log": log.lines}, out, indent=1, sort_keys=True)
    out.write("\n")
    out.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    # Agno may leave threads behind that would keep the process.
    sys.stderr.flush()
    os._exit(1 if problems else 0)


if __name__ == "__main__":
    main()
