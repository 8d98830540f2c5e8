"""Does Agno go on with what a v1 database became? In two steps, since no Python has both a v1 and a v2 release.

judge_v1.py expect SOURCE...             what must survive of the v1 tables of these databases, by the rules of the guide, as JSON
judge_v1.py compare EXPECT.json TARGET   opens the converted database with the Agno of this Python, through its own classes:
                                         every session and memory is as expected; a session that is read, saved and read again
                                         has lost nothing; a new run sees the old messages once; a paused run can be continued;
                                         the metrics of the days can be computed
options of compare: --table TYPE=NAME (repeatable), --schema NAME (Postgres), --only ID (repeatable: these sessions), --read-only

`expect` reads the raw tables and needs no Agno: any Python does for a file, one with SQLAlchemy for Postgres. It is written
from the rules, not from the converter, which is to be judged. `compare` works on a copy of a file, but in a Postgres database.

stdout is one JSON document with a list of `problems`; compare exits 1 when it has any.
"""

import argparse
import ast
import base64
import collections
import datetime
import hashlib
import json
import logging
import os
import re
import sqlite3
import sys
import tempfile
import zlib

import judge
from judge import plain

# -- the v1 database


def read_tables(place):
    """[(table, columns, rows)] of every table, JSON decoded."""
    if not judge.is_url(place):
        connection = sqlite3.connect(f"file:{os.path.abspath(place)}?mode=ro", uri=True)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            cursor = connection.execute(f"SELECT * FROM {quoted}")
            columns = [column[0] for column in cursor.description]
            yield name, columns, [dict(zip(columns, row)) for row in cursor]
        connection.close()
        return
    import sqlalchemy as sa

    engine = sa.create_engine(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql+psycopg:", place))
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        for schema in sorted(set(inspector.get_schema_names()) - {"information_schema"}):
            for name in sorted(inspector.get_table_names(schema=schema)):
                columns = [column["name"] for column in inspector.get_columns(name, schema=schema)]
                table = sa.table(name, *map(sa.column, columns), schema=schema)
                yield name, columns, [dict(row._mapping) for row in connection.execute(sa.select(table))]
    engine.dispose()


def decoded(value):
    return json.loads(value) if isinstance(value, str) else value


def object_of(value):
    """A memory: on SQLite the text is Python's."""
    return ast.literal_eval(value) if isinstance(value, str) else value


def epoch(value):
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        return int(value.timestamp())
    return value


def kind_of(row):
    """A table that served several modes has the columns of all: the row decides."""
    if row.get("workflow_id") or row.get("workflow_name"):
        return "workflow"
    if row.get("agent_id") and row.get("team_id"):
        if not row.get("team_data"):
            return "agent"
        runs = [unwrapped(run)[0] for run in runs_of(row)]
        return "team" if runs and runs[-1].get("team_id") else "agent"
    return "team" if row.get("team_id") else "agent"


def runs_of(row):
    if "runs" in row and row["runs"] is not None:
        return row["runs"]
    runs = (row.get("memory") or {}).get("runs") or []
    if isinstance(runs, dict):
        runs = [run for some in runs.values() for run in some]
    return runs


def unwrapped(run):
    """(the run itself, its members, what else was around it)"""
    if "response" in run and "run_id" not in run:
        inner = dict(run["response"] or {})
        around = {key: value for key, value in run.items() if key not in ("response", "member_responses")}
        members = list(inner.get("member_responses") or [])
        ids = {unwrapped(member)[0].get("run_id") for member in members}
        members += [m for m in run.get("member_responses") or [] if unwrapped(m)[0].get("run_id") not in ids]
        return inner, members, around
    return run, run.get("member_responses") or [], {}


# -- what must become of it


def content_bytes(content, zipped):
    """The bytes that the text in a v1 document stands for."""
    try:
        found = base64.b64decode(content, validate=True)
    except ValueError:
        return content.encode()
    if zipped:
        try:
            found = zlib.decompress(found)
        except zlib.error:
            pass
    return found


def hashes(found):
    """Of bytes, and of what is left without any base64 around it: Agno 2.0 adds some to a run's media at each save."""
    bare = found
    while bare:
        try:
            bare = base64.b64decode(bare, validate=True)
        except ValueError:
            break
    return {"hash": hashlib.sha256(found).hexdigest(), "bare": hashlib.sha256(bare).hexdigest()}


def expect_medium(medium, zipped):
    if isinstance(medium, str):
        # Phidata: an image is its url.
        return {"url": medium}
    found = {key: medium[key] for key in ("url", "filepath", "id") if medium.get(key)}
    content = medium.get("content") or medium.get("base64_audio")
    if content:
        found.update(hashes(content_bytes(content, zipped and not medium.get("id"))))
    if not set(found) - {"id"}:
        # Agno 1 lost the url: there is nothing to have.
        return None
    return found


def expect_media(holder, in_message):
    kinds = ("images", "videos", "audio")
    single = ("audio_output", "image_output") if in_message else ("response_audio",)
    media = {kind: [expect_medium(medium, in_message) for medium in holder.get(kind) or []] for kind in kinds}
    media = {kind: [medium for medium in some if medium] for kind, some in media.items()}
    media.update({kind: expect_medium(holder[kind], False) for kind in single if holder.get(kind)})
    return {kind: some for kind, some in media.items() if some}


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


RENAMED = {
    "audio_tokens": "audio_total_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
    "cached_tokens": "cache_read_tokens",
    "time": "duration",
}
KEPT = ("input_tokens", "output_tokens", "total_tokens", "cache_write_tokens", "reasoning_tokens", "time_to_first_token")


# What v1 sums up elsewhere, or nowhere.
TAKEN_APART = ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details", "timer", "additional_metrics")


def expect_metrics(metrics, others="additional_metrics"):
    """Of a run (lists) or a message (numbers): the numbers that are not 0. `others`: where what v2 has no field for goes."""
    found = {}

    def total(value):
        values = [v for v in (value if isinstance(value, list) else [value]) if number(v)]
        return sum(values) if values else 0

    def details(name, key):
        value = metrics.get(name)
        return sum(total(some.get(key)) for some in (value if isinstance(value, list) else [value]) if isinstance(some, dict))

    for key in (*KEPT, *RENAMED):
        value = metrics.get(key)
        if key == "time_to_first_token" and isinstance(value, list):
            value = next((v for v in value if number(v)), 0)
        found[RENAMED.get(key, key)] = total(value)
    fill = {
        "input_tokens": total(metrics.get("prompt_tokens")),
        "output_tokens": total(metrics.get("completion_tokens")),
        "cache_read_tokens": details("prompt_tokens_details", "cached_tokens"),
        "reasoning_tokens": details("completion_tokens_details", "reasoning_tokens"),
    }
    for name, value in fill.items():
        found[name] = found.get(name) or value
    rest = {}

    def add(name, values):
        for value in values:
            both = number(value) and number(rest.get(name))
            rest[name] = rest[name] + value if both else rest.get(name) if value is None else value

    several = metrics.get("additional_metrics")
    for some in several if isinstance(several, list) else [several]:
        for name, value in (some or {}).items():
            add(name, [value])
    for name in set(metrics) - {*KEPT, *RENAMED, *TAKEN_APART}:
        add(name, metrics[name] if isinstance(metrics[name], list) else [metrics[name]])
    found[others] = {name: value for name, value in rest.items() if value is not None}
    return {name: value for name, value in found.items() if value}


def expect_message(message):
    audio = message.get("audio_output") or {}
    content = message.get("content")
    if content is None and not expect_medium(audio, False):
        # The sound was never stored, what was said was.
        content = audio.get("transcript")
    return {
        "role": message["role"],
        "content": content,
        "from_history": bool(message.get("from_history")),
        "tool_calls": message.get("tool_calls") or [],
        **{key: message.get(key) for key in ("name", "tool_call_id", "tool_name", "tool_args", "tool_call_error", "provider_data")},
        "created_at": message.get("created_at"),
        "reasoning": [text for text in (message.get("thinking"), message.get("reasoning_content")) if text],
        "redacted": message.get("redacted_thinking"),
        "media": expect_media(message, True),
        "metrics": expect_metrics(message.get("metrics") or {}, "provider_metrics"),
    }


def expect_messages(run):
    """Agno 1.0 does not mark the messages that came from history, but tells which they were."""
    messages = [dict(message) for message in run.get("messages") or []]
    history = (run.get("extra_data") or {}).get("history") or []
    if history and not any("from_history" in message for message in messages):
        spoken = [n for n, message in enumerate(messages) if message.get("role") != "system"]
        for start in range(len(spoken) - len(history) + 1):
            found = spoken[start : start + len(history)]
            if [messages[n] for n in found] == history:
                for n in found:
                    messages[n]["from_history"] = True
                break
    return [expect_message(message) for message in messages]


def expect_status(run, in_steps):
    status = run.get("status")
    if status in ("PAUSED", "CANCELLED", "ERROR", "COMPLETED"):
        return status
    if in_steps and status in ("RUNNING", "PENDING"):
        return "CANCELLED"
    events = {"RunPaused": "PAUSED", "RunCancelled": "CANCELLED", "RunError": "ERROR"}
    return events.get(run.get("event"), "COMPLETED")


def expect_tool(tool):
    return {
        "id": tool.get("tool_call_id"),
        "name": tool.get("tool_name"),
        "args": tool.get("tool_args"),
        "result": tool.get("result", tool.get("content")),
        "error": tool.get("tool_call_error"),
        "duration": (tool.get("metrics") or {}).get("time"),
        **{key: tool[key] for key in ("requires_confirmation", "confirmed", "external_execution_required") if key in tool},
    }


def asked(messages):
    """What the user said: the content of the last own message."""
    own = [m["content"] for m in messages if m["role"] == "user" and not m["from_history"]]
    return own[-1] if own else None


def expect_run(run, around, parent, owner):
    extra = run.get("extra_data") or {}
    messages = expect_messages(run)
    return {
        "run_id": run.get("run_id"),
        "parent": parent,
        **{key: run.get(key) or owner.get(key) for key in ("agent_id", "team_id")},
        "status": expect_status(run, False),
        "content": run.get("content"),
        "created_at": run.get("created_at"),
        "model": run.get("model"),
        "input": around["input"] if "input" in around else asked(messages),
        "messages": messages,
        "metrics": expect_metrics(run.get("metrics") or {}),
        "tools": [expect_tool(tool) for tool in run.get("tools") or []],
        "media": expect_media(run, False),
        "reasoning": [t for t in (run.get("thinking"), run.get("reasoning_content") or extra.get("reasoning_content")) if t],
        "reasoning_steps": [step.get("title") for step in extra.get("reasoning_steps") or []],
        "references": [some.get("query") for some in extra.get("references") or []],
        "additional_input": [[m.get("role"), m.get("content")] for m in extra.get("add_messages") or []],
        "citations": [one.get("url") for one in (run.get("citations") or {}).get("urls") or []],
    }


def unfolded(element, parent, owner):
    """Members first, then the run itself."""
    run, members, around = unwrapped(element)
    found = []
    for member in members:
        # A member's own ids, whoever the team is.
        found += unfolded(member, run.get("run_id"), {})
    return found + [expect_run(run, around, parent, owner)]


def expect_runs(row, kind):
    if kind == "workflow":
        found = [expect_steps(run) if "runs" in row else expect_run(*workflow_parts(run)) for run in runs_of(row)]
        for run in found:
            run["agent_id"] = run["team_id"] = None
        return found
    owner = {f"{kind}_id": row.get(f"{kind}_id")}
    found, by_id = [], {}
    for element in runs_of(row):
        for run in unfolded(element, None, {} if unwrapped(element)[0].get("agent_id") or unwrapped(element)[0].get("team_id") else owner):
            same = by_id.get(run["run_id"]) if run["run_id"] else None
            if same:
                same["parent"] = same["parent"] or run["parent"]
                continue
            found.append(run)
            by_id[run["run_id"]] = run
    if kind == "team":
        # Agno 1.8 keeps the runs of members that have storage beside those of the team.
        team = None
        for run in reversed(found):
            if run["parent"]:
                continue
            if run["team_id"]:
                team = run["run_id"]
            else:
                run["parent"] = team
    return found


def workflow_parts(element):
    run, _, around = unwrapped(element)
    return run, around, None, {}


def flat(steps):
    for step in steps or []:
        if isinstance(step, list):
            yield from flat(step)
        else:
            yield step
            yield from flat(step.get("parallel_steps"))


def expect_steps(run):
    steps = list(flat(run.get("step_responses")))
    executors = []
    for step in steps:
        if step.get("response"):
            executors += unfolded(step["response"], None, {})
    for executor in executors:
        # Agno's own: which run or step is named there.
        executor.pop("parent")
    first = next((step["response"] for step in steps if step.get("response")), None)
    return {
        "run_id": run.get("run_id"),
        "parent": None,
        "status": expect_status(run, True),
        "content": run.get("content"),
        "created_at": run.get("created_at"),
        "input": asked(expect_messages(first)) if first else None,
        "messages": [],
        "tools": [],
        "media": expect_media(run, False),
        "steps": [
            {
                "name": step.get("step_name") or (step.get("metrics") or {}).get("step_name"),
                "content": step.get("content"),
                "success": step.get("success", True),
                "media": expect_media(step, False),
            }
            for step in steps
        ],
        "executors": executors,
    }


def expect_summary(row):
    memory = row.get("memory") or {}
    found = memory.get("summary")
    for user in (row.get("user_id"), "default", None):
        some = (memory.get("summaries") or {}).get(user)
        if isinstance(some, dict) and row["session_id"] in some:
            found = some[row["session_id"]]
            break
    if not found or not found.get("summary"):
        return None
    return {"summary": found["summary"], "topics": found.get("topics") or [], "updated_at": found.get("last_updated")}


def expect_session(row, kind, table):
    data = dict(row.get("session_data") or {})
    state = dict(data.pop("session_state", None) or {})
    for name in ("team_session_state", "workflow_session_state"):
        for key, value in (data.get(name) or {}).items():
            state.setdefault(key, value)
    metrics = data.pop("session_metrics", None) or {}
    for key, value in (decoded(row.get("session_state")) or {}).items():
        # Some workflow tables of phidata have it in a column.
        state.setdefault(key, value)
    runs = expect_runs(row, kind)
    first = next((m["content"] for run in runs for m in run["messages"] if m["role"] == "user"), None)
    if isinstance(first, list) and not data.get("session_name"):
        data["session_name"] = " ".join(part["text"] for part in first if isinstance(part, dict) and part.get("text"))
    return {
        "table": table,
        "type": kind,
        "user_id": row.get("user_id"),
        **{f"{kind}_id": row.get(f"{kind}_id"), f"{kind}_data": row.get(f"{kind}_data")},
        **({"workflow_name": row["workflow_name"]} if row.get("workflow_name") else {}),
        "created_at": row.get("created_at"),
        "updated_at": row.get("updated_at"),
        "state": state,
        "session_data": data,
        "session_metrics": expect_metrics(metrics),
        "metadata": row.get("extra_data"),
        "user_data": row.get("user_data"),
        "summary": expect_summary(row),
        "runs": runs,
    }


def says_member(row, kind):
    """A team's row that says it is part of another team's session."""
    return kind == "team" and row.get("team_session_id") == row["session_id"]


def is_member_of(row, kind, team):
    """An agent's or a team's row under its team's session id."""
    if kind == "team":
        return says_member(row, kind)
    ids = {run["run_id"] for run in team["runs"]}
    return bool(row.get("team_session_id") or row.get("team_id") or any(unwrapped(run)[0].get("run_id") in ids for run in runs_of(row)))


JSON_COLUMNS = "memory session_data extra_data user_data agent_data team_data workflow_data runs".split()


def expect(places):
    sessions, memories, merged, sources = {}, {}, [], collections.Counter()
    rows, stored, inside = [], {}, []
    for place in places:
        for table, columns, some in read_tables(place):
            if {"session_id", "memory", "session_data"} <= set(columns):
                for row in some:
                    row.update({name: decoded(row[name]) for name in JSON_COLUMNS if name in row})
                    rows.append((table, row, kind_of(row)))
                    sources[table] += 1
            elif set(columns) == {"id", "user_id", "memory", "created_at", "updated_at"}:
                for row in some:
                    stored[row["user_id"], row["id"]] = row
                    sources[table] += 1

    # A team that is a member of another comes after it, and before all agents.
    for table, row, kind in sorted(rows, key=lambda r: (r[2] == "agent", says_member(r[1], r[2]))):
        session_id = row["session_id"]
        there = sessions.get(session_id)
        if there and kind in ("agent", "team") and there["type"] == "team" and is_member_of(row, kind, there):
            ids = {run["run_id"] for run in there["runs"]}
            extra = [run for run in expect_runs(row, kind) if run["run_id"] not in ids]
            for run in extra:
                run["parent"] = run["parent"] or "any"
            there["runs"] += extra
            merged.append({"table": table, "session_id": session_id, "runs": [run["run_id"] for run in extra]})
        else:
            name = session_id if not there else f"{session_id}:{table}"
            sessions[name] = expect_session(row, kind, table)
        inside.append((row, kind))

    for id, row in ((row["id"], row) for row in stored.values()):
        memory = object_of(row["memory"])
        topics = memory.get("topics") or ([memory["topic"]] if memory.get("topic") else [])
        changed = row["updated_at"] or row["created_at"] or memory.get("last_updated")
        memories[f"{row['user_id']} {id}"] = {
            "memory_id": id,
            "memory": memory.get("memory"),
            "topics": topics,
            "input": memory.get("input"),
            "user_id": row["user_id"],
            "created_at": epoch(row["created_at"]),
            "updated_at": epoch(changed),
        }
    held = {row["user_id"] for row in stored.values()}
    newest = {}
    for row, _ in inside:
        some = (row.get("memory") or {}).get("memories") or {}
        if isinstance(some, list):
            some = {row["user_id"]: {memory.get("id") or classic_id(memory): memory for memory in some}}
        for user, theirs in some.items():
            for id, memory in theirs.items():
                if user in held or newest.get((user, id), "") > (memory.get("last_updated") or ""):
                    continue
                newest[user, id] = memory.get("last_updated") or ""
                topics = memory.get("topics") or ([memory["topic"]] if memory.get("topic") else [])
                memories[f"{user} {id}"] = {"memory_id": id, "memory": memory["memory"], "topics": topics, "input": memory.get("input"), "user_id": user}
    return {"sources": dict(sources), "merged": merged, "sessions": sessions, "memories": memories}


def classic_id(memory):
    """The id that its row in a memory table would have."""
    text = json.dumps(memory, sort_keys=True)
    return hashlib.md5(re.sub(r"[ \n\t]", "", text).encode()).hexdigest()


# -- what Agno sees


def seen_medium(medium):
    found = {key: str(getattr(medium, key)) for key in ("url", "filepath", "id") if getattr(medium, key, None)}
    content = getattr(medium, "content", None)
    if isinstance(content, str):
        # Agno hands it to the model as it is.
        found["hash"] = f"no bytes but text: {content[:20]}"
    elif content:
        found.update(hashes(content))
        if wraps_media():
            del found["hash"]
    return found


def wraps_media():
    import agno.run.agent

    return not hasattr(agno.run.agent, "reconstruct_images")


def seen_media(holder):
    found = {}
    for kind in ("images", "videos", "audio", "audio_output", "image_output", "response_audio"):
        value = getattr(holder, kind, None)
        if value:
            found[kind] = [seen_medium(m) for m in value] if isinstance(value, (list, tuple)) else seen_medium(value)
    return found


METRICS = {*KEPT, *RENAMED.values(), "additional_metrics", "provider_metrics"}


def seen_metrics(metrics):
    fields = metrics if isinstance(metrics, dict) else getattr(metrics, "__dict__", {})
    return {name: plain(value) for name, value in fields.items() if name in METRICS and value}


def seen_message(message):
    return {
        "role": message.role,
        "content": plain(message.content),
        "from_history": bool(message.from_history),
        "tool_calls": plain(message.tool_calls) or [],
        **{key: plain(getattr(message, key)) for key in ("name", "tool_call_id", "tool_name", "tool_args", "tool_call_error", "provider_data")},
        "created_at": message.created_at,
        "reasoning": message.reasoning_content or "",
        "redacted": message.redacted_reasoning_content,
        "media": seen_media(message),
        "metrics": seen_metrics(message.metrics),
    }


def seen_tool(tool):
    return {
        "id": tool.tool_call_id,
        "name": tool.tool_name,
        "args": plain(tool.tool_args),
        "result": plain(tool.result),
        "error": tool.tool_call_error,
        "duration": getattr(tool.metrics, "duration", None),
        **{key: getattr(tool, key) for key in ("requires_confirmation", "confirmed", "external_execution_required")},
    }


def seen_run(run):
    given = getattr(run, "input", None)
    found = {
        "run_id": run.run_id,
        "parent": getattr(run, "parent_run_id", None),
        **{key: getattr(run, key, None) for key in ("agent_id", "team_id", "model")},
        "status": plain(run.status),
        "content": plain(run.content),
        "created_at": run.created_at,
        "input": plain(getattr(given, "input_content", given)),
        "messages": [seen_message(m) for m in getattr(run, "messages", None) or []],
        "metrics": seen_metrics(run.metrics),
        "tools": [seen_tool(t) for t in getattr(run, "tools", None) or []],
        "media": seen_media(run),
        "reasoning": getattr(run, "reasoning_content", None) or "",
        "reasoning_steps": [getattr(step, "title", None) for step in getattr(run, "reasoning_steps", None) or []],
        "references": [getattr(some, "query", None) for some in getattr(run, "references", None) or []],
        "additional_input": [[m.role, plain(m.content)] for m in getattr(run, "additional_input", None) or []],
        "citations": [one.url for one in getattr(getattr(run, "citations", None), "urls", None) or []],
    }
    steps = getattr(run, "step_results", None)
    if steps is not None or hasattr(run, "step_executor_runs"):
        found["steps"] = [seen_step(step) for step in flat_seen(steps)]
        found["executors"] = [seen_run(one) for one in with_members(getattr(run, "step_executor_runs", None))]
    return found


def with_members(runs):
    for run in runs or []:
        yield from with_members(getattr(run, "member_responses", None))
        yield run


def flat_seen(steps):
    for step in steps or []:
        if isinstance(step, (list, tuple)):
            yield from flat_seen(step)
        else:
            yield step
            yield from flat_seen(getattr(step, "steps", None))


def seen_step(step):
    return {"name": step.step_name, "content": plain(step.content), "success": step.success, "media": seen_media(step)}


# -- comparing


def shown(value):
    text = json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    return text if len(text) < 160 else text[:160] + "…"


def same(wanted, got):
    """Equal, where nothing may be told as null, an empty list or an empty object."""
    if wanted in (None, [], {}) and got in (None, [], {}):
        return True
    return plain(wanted) == got


def differ(where, wanted, got, problems):
    for key, value in wanted.items():
        if not same(value, got.get(key)):
            problems.append(f"{where}: {key} is {shown(got.get(key))}, not {shown(value)}")


def check_text(where, name, parts, got, problems):
    """Every part, in this order."""
    rest = got
    for part in parts:
        if part not in rest:
            problems.append(f"{where}: {name} is {shown(got)}, without {shown(part)}")
            return
        rest = rest.split(part, 1)[1]


def check_media(where, wanted, got, problems):
    for kind in {*wanted, *got}:
        one, other = wanted.get(kind) or [], got.get(kind) or []
        if not isinstance(one, list):
            one, other = [one], [other] if other else []
        elif not isinstance(other, list):
            other = [other]
        if len(one) != len(other):
            problems.append(f"{where}: {len(other)} {kind}, not {len(one)}")
            continue
        for a, b in zip(one, other):
            # An id is made where there is none.
            differ(f"{where} {kind}", {k: v for k, v in a.items() if not (k == "hash" and wraps_media())}, b, problems)


def check_metrics(where, wanted, got, problems):
    for name, value in wanted.items():
        have = got.get(name)
        if isinstance(value, dict):
            if not isinstance(have, dict):
                problems.append(f"{where}: metrics {name} is {shown(have)}, not {shown(value)}")
            else:
                check_metrics(f"{where} {name}", {k: v for k, v in value.items() if number(v)}, have, problems)
                differ(f"{where} {name}", {k: v for k, v in value.items() if not number(v)}, have, problems)
            continue
        close = number(have) and (have == value or isinstance(value, float) and abs(have - value) <= 1e-9 * abs(value))
        if not close:
            problems.append(f"{where}: metrics {name} is {have!r}, not {value!r}")


def check_message(where, wanted, got, problems):
    special = ("reasoning", "media", "metrics", "created_at")
    differ(where, {k: v for k, v in wanted.items() if k not in special}, got, problems)
    if wanted["created_at"] is not None and wanted["created_at"] != got["created_at"]:
        problems.append(f"{where}: created_at is {got['created_at']}, not {wanted['created_at']}")
    check_text(where, "reasoning_content", wanted["reasoning"], got["reasoning"], problems)
    check_media(where, wanted["media"], got["media"], problems)
    check_metrics(where, wanted["metrics"], got["metrics"], problems)


def check_run(where, wanted, got, session_id, problems):
    plainly = {k: wanted[k] for k in ("status", "content", "input", "model", "created_at", "citations", "references") if wanted.get(k) is not None}
    for key in ("additional_input", "reasoning_steps"):
        if wanted.get(key):
            plainly[key] = wanted[key]
    for key in ("agent_id", "team_id"):
        if wanted.get(key):
            plainly[key] = wanted[key]
    differ(where, plainly, got, problems)
    parent = wanted.get("parent")
    if "parent" in wanted and not (parent == got["parent"] or parent == "any" and got["parent"] or parent and got["parent"] == f"{parent}:{session_id}"):
        problems.append(f"{where}: parent_run_id is {got['parent']}, not {parent}")
    one, other = wanted["messages"], got["messages"]
    if len(one) != len(other):
        problems.append(f"{where}: {len(other)} messages, not {len(one)}")
    for n, (a, b) in enumerate(zip(one, other)):
        check_message(f"{where} message {n}", a, b, problems)
    if len(wanted["tools"]) != len(got["tools"]):
        problems.append(f"{where}: {len(got['tools'])} tools, not {len(wanted['tools'])}")
    for n, (a, b) in enumerate(zip(wanted["tools"], got["tools"])):
        differ(f"{where} tool {n}", a, b, problems)
    check_metrics(where, wanted.get("metrics") or {}, got["metrics"], problems)
    check_media(where, wanted["media"], got["media"], problems)
    check_text(where, "reasoning_content", wanted.get("reasoning") or [], got["reasoning"], problems)
    if "steps" in wanted:
        steps = got.get("steps") or []
        if len(steps) != len(wanted["steps"]):
            problems.append(f"{where}: {len(steps)} steps, not {len(wanted['steps'])}")
        for n, (a, b) in enumerate(zip(wanted["steps"], steps)):
            differ(f"{where} step {n}", {k: v for k, v in a.items() if k != "media" and not (k == "name" and not v)}, b, problems)
            check_media(f"{where} step {n}", a["media"], b["media"], problems)
        check_runs(f"{where} executor", wanted["executors"], got.get("executors") or [], session_id, problems, False)


def check_runs(where, wanted, got, session_id, problems, ordered=True):
    """A run id that another session had first ends in this session's id; everything else is as expected."""
    left = {run["run_id"]: run for run in got}
    if len(left) != len(got):
        problems.append(f"{where}: a run id appears twice: {[run['run_id'] for run in got]}")
    order = []
    for n, run in enumerate(wanted):
        id = run["run_id"]
        found = left.pop(id, None) or left.pop(f"{id}:{session_id}", None)
        if not id and not found and n < len(got):
            # It had none: the one in its place.
            found = left.pop(got[n]["run_id"], None)
        if not found:
            problems.append(f"{where}: run {id} is missing")
            continue
        order.append((run, found))
        check_run(f"{where} run {id}", run, found, session_id, problems)
    for id in left:
        problems.append(f"{where}: run {id} was never there")
    if ordered:
        place = {run["run_id"]: n for n, run in enumerate(got)}
        top = [place[found["run_id"]] for run, found in order if not run.get("parent")]
        if top != sorted(top):
            problems.append(f"{where}: the runs are out of order")
        for run, found in order:
            if found["parent"] and place.get(found["parent"], MANY) < place[found["run_id"]] and run["parent"] != "any":
                problems.append(f"{where}: member run {run['run_id']} stands behind its team's run")


MANY = 10**9


def check_session(session_id, wanted, session, problems):
    where = f"session {session_id}"
    kind = wanted["type"]
    for key in ("user_id", f"{kind}_id", "created_at"):
        if plain(getattr(session, key)) != wanted[key]:
            problems.append(f"{where}: {key} is {getattr(session, key)!r}, not {wanted[key]!r}")
    have = object_or_nothing(where, f"{kind}_data", getattr(session, f"{kind}_data"), problems)
    for key, value in (wanted[f"{kind}_data"] or {}).items():
        if not same(value, have.get(key)):
            problems.append(f"{where}: {kind}_data.{key} is {shown(have.get(key))}, not {shown(value)}")
    if wanted.get("workflow_name") and have.get("name") != wanted["workflow_name"]:
        problems.append(f"{where}: workflow_data.name is {(have or {}).get('name')}, not {wanted['workflow_name']}")
    if not same(wanted["metadata"], plain(session.metadata)):
        problems.append(f"{where}: metadata is {shown(plain(session.metadata))}, not {shown(wanted['metadata'])}")
    data = object_or_nothing(where, "session_data", session.session_data, problems)
    if not same(wanted["state"], data.get("session_state")):
        problems.append(f"{where}: session_state is {shown(data.get('session_state'))}, not {shown(wanted['state'])}")
    differ(f"{where} session_data", wanted["session_data"], data, problems)
    ours = {"session_state", "session_metrics", "agno_v1", "session_name"}
    for key in set(data) - set(wanted["session_data"]) - ours:
        problems.append(f"{where}: session_data has a {key} that was never there")
    check_metrics(f"{where} session_metrics", without_times(wanted["session_metrics"]), data.get("session_metrics") or {}, problems)
    if wanted["user_data"] and (data.get("agno_v1") or {}).get("user_data") != wanted["user_data"]:
        problems.append(f"{where}: user_data is not in session_data.agno_v1")
    summary = getattr(session, "summary", None)
    got = None if summary is None else {
        "summary": summary.summary,
        "topics": plain(summary.topics) or [],
        "updated_at": plain(getattr(summary, "updated_at", None)),
    }
    if wanted["summary"] != got and not (wanted["summary"] and got and wanted["summary"]["updated_at"] is None and {**got, "updated_at": None} == wanted["summary"]):
        problems.append(f"{where}: summary is {shown(got)}, not {shown(wanted['summary'])}")
    check_runs(where, wanted["runs"], [seen_run(run) for run in session.runs or []], session_id, problems)


def object_or_nothing(where, name, value, problems):
    value = plain(value) or {}
    if not isinstance(value, dict):
        problems.append(f"{where}: {name} is no object but {shown(value)}")
        return {}
    return value


def without_times(metrics):
    return {name: value for name, value in metrics.items() if name.endswith("_tokens")}


# -- going on


def key(role, content):
    return role, json.dumps(content, sort_keys=True)


SPOKEN = ("user", "assistant", "tool")
SKIPPED = ("PAUSED", "CANCELLED", "ERROR")


def check_history(where, wanted, seen, prompt, problems):
    """Each old message of the session's own top runs, once; of its members' runs at most once."""
    if wanted["type"] == "workflow":
        # A workflow's history is text in front of the step's input.
        text = "\n".join(str(m.content) for m in seen if m.role == "user")
        blocks = re.findall(r"\[Workflow Run-(\d+)\]", text)
        count = sum(run["status"] == "COMPLETED" for run in wanted["runs"])
        if judge.has_workflow_history() and len(blocks) != count:
            problems.append(f"{where}: the model saw {len(blocks)} earlier runs of {count}")
        return
    owner = f"{wanted['type']}_id"
    top = [run for run in wanted["runs"] if not run["parent"] and run[owner] == wanted[owner] and run["status"] not in SKIPPED]

    def spoken(runs):
        return collections.Counter(
            key(m["role"], m["content"]) for run in runs for m in run["messages"] if m["role"] in SPOKEN and not m["from_history"]
        )

    needed, allowed = spoken(top), spoken(wanted["runs"])
    had = collections.Counter(key(m.role, plain(m.content)) for m in seen if m.role in SPOKEN and prompt not in str(m.content))
    for (role, content), count in (needed - had).items():
        problems.append(f"{where}: the model did not see {count} of a message: {role} {content[:60]}")
    for (role, content), count in (had - allowed).items():
        problems.append(f"{where}: the model saw a message {count} time(s) too often: {role} {content[:60]}")


def go_on(reopen, session_id, wanted, problems):
    where = f"session {session_id} goes on"
    prompt = f"The judge says: go on with {session_id}."
    kind, old = judge.find_session(reopen(), session_id)
    before = [seen_run(run) for run in old.runs or []]
    seen = []
    result = judge.next_run(reopen(), kind, old, seen, prompt, MANY)
    if plain(result.status) != "COMPLETED":
        problems.append(f"{where}: the new run ended as {plain(result.status)}: {result.content}")
    check_history(where, wanted, seen[0] if seen else [], prompt, problems)
    after_kind, new = judge.find_session(reopen(), session_id)
    after = [seen_run(run) for run in new.runs or []]
    if after_kind != kind:
        problems.append(f"{where}: it became a {after_kind} session")
    if [run["run_id"] for run in after] != [*(run["run_id"] for run in before), result.run_id]:
        problems.append(f"{where}: runs {[run['run_id'] for run in before]} became {[run['run_id'] for run in after]}")
    for was, run in zip(before, after):
        if was != run:
            problems.append(f"{where}: run {run['run_id']} changed")
    for name in ("user_id", "created_at", "metadata", "summary"):
        if plain(getattr(old, name, None)) != plain(getattr(new, name, None)):
            problems.append(f"{where}: {name} changed")
    if plain(judge.state_of(old)) != plain(judge.state_of(new)):
        problems.append(f"{where}: session_state changed")


def save_and_read(reopen, session_id, wanted, problems):
    where = f"session {session_id}, read and saved"
    db = reopen()
    kind, session = judge.find_session(db, session_id)
    was = judge.describe_session(session, kind)
    db.upsert_session(session)
    again_kind, again = judge.find_session(reopen(), session_id)
    now = judge.describe_session(again, again_kind)
    for name in was:
        if name != "updated_at" and was[name] != now.get(name):
            problems.append(f"{where}: {name} changed from {shown(was[name])} to {shown(now.get(name))}")
    changed = []
    check_session(session_id, wanted, again, changed)
    return [f"{problem} (when read and saved)" for problem in changed]


def answered(tool):
    """What a person does about a tool that waits."""
    if getattr(tool, "requires_confirmation", None):
        tool.confirmed = True
    if getattr(tool, "external_execution_required", None):
        tool.result = "done elsewhere"
    if getattr(tool, "requires_user_input", None):
        for field in tool.user_input_schema or []:
            if getattr(field, "value", None) is None:
                field.value = "the answer"
        tool.answered = True


def waiting_tool(tool):
    """The function that the app had, as far as the stored call tells it."""
    from agno.tools.function import Function

    def entrypoint(**given):
        return f"{tool.tool_name} was run"

    names = {*(tool.tool_args or {}), *(field.name for field in tool.user_input_schema or [])}
    parameters = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": []}
    flags = {"requires_confirmation": "requires_confirmation", "external_execution": "external_execution_required"}
    flags["requires_user_input"] = "requires_user_input"
    more = {name: True for name, attribute in flags.items() if getattr(tool, attribute, None)}
    return Function(name=tool.tool_name, parameters=parameters, entrypoint=entrypoint, skip_entrypoint_processing=True, **more)


def continue_paused(reopen, session_id, run_id, wanted, problems):
    where = f"session {session_id} run {run_id} is continued"
    import inspect

    from agno.agent import Agent

    _, session = judge.find_session(reopen(), session_id)
    before = {run.run_id: seen_run(run) for run in session.runs}
    run = next(run for run in session.runs if run.run_id == run_id)
    seen = []
    waiting = [tool for tool in run.tools if not tool.result]
    db = reopen()
    agent = Agent(
        id=run.agent_id,
        name="Judge",
        db=db,
        model=judge.fake_model(seen),
        tools=[waiting_tool(tool) for tool in waiting],
        telemetry=False,
        add_history_to_context=True,
    )
    known = inspect.signature(agent.continue_run).parameters
    for tool in run.tools:
        answered(tool)
    # Agno before 2.2 takes the tools themselves, later ones warn of that.
    how = {"requirements": requirements(run)} if "requirements" in known else {"updated_tools": run.tools}
    result = agent.continue_run(run_id=run_id, session_id=session_id, user_id=session.user_id, **how)
    if plain(result.status) != "COMPLETED":
        problems.append(f"{where}: it ended as {plain(result.status)}: {result.content}")
    _, session = judge.find_session(reopen(), session_id)
    after = {run.run_id: seen_run(run) for run in session.runs}
    if list(after) != list(before):
        problems.append(f"{where}: runs {list(before)} became {list(after)}")
    for id, was in before.items():
        if id != run_id and was != after.get(id):
            problems.append(f"{where}: run {id} changed")
    now = after.get(run_id)
    if not now:
        return
    if now["status"] != "COMPLETED":
        problems.append(f"{where}: it is stored as {now['status']}")
    old = [key(m["role"], m["content"]) for m in wanted["messages"] if not m["from_history"]]
    have = [key(m["role"], m["content"]) for m in now["messages"] if not m["from_history"]]
    if have[: len(old)] != old:
        problems.append(f"{where}: its messages were lost: {shown(have)}")
    if len(have) != len(old) + len(waiting) + 1:
        problems.append(f"{where}: {len(have)} messages after {len(old)}, {len(waiting)} tools and an answer")
    for tool in now["tools"]:
        if not tool["result"]:
            problems.append(f"{where}: tool {tool['name']} has no result")


def requirements(run):
    found = getattr(run, "requirements", None)
    if found:
        for one in found:
            answered(one.tool_execution)
            if getattr(one.tool_execution, "requires_confirmation", None):
                one.confirmation = True
        return found
    from agno.run.requirement import RunRequirement

    found = []
    for tool in run.tools:
        one = RunRequirement(tool_execution=tool)
        if tool.requires_confirmation:
            one.confirmation = True
        if getattr(tool, "external_execution_required", None):
            one.external_execution_result = tool.result
        found.append(one)
    return found


def check_memories(db, log, wanted, problems):
    found = {memory["memory_id"]: memory for memory in judge.read_memories(db, log)}
    table = db.memory_table_name
    import sqlalchemy

    stored = {column["name"] for column in sqlalchemy.inspect(db.db_engine).get_columns(table, schema=getattr(db, "db_schema", None))}
    # Memories of two users with one id: one of them has it, the other is told by its user and text.
    for memory in sorted(wanted.values(), key=lambda memory: memory["memory_id"] not in found):
        id = memory.pop("memory_id")
        if plain(found.get(id, {}).get("user_id")) != memory["user_id"]:
            others = (other for other, got in found.items() if got["user_id"] == memory["user_id"] and got["memory"] == memory["memory"])
            id = next(others, id)
        got = found.pop(id, None)
        if got is None:
            problems.append(f"memory {id} is missing")
            continue
        times = {name: memory[name] for name in ("created_at", "updated_at") if name in memory and name in stored}
        differ(f"memory {id}", {**{k: v for k, v in memory.items() if not k.endswith("_at")}, **times}, got, problems)
    for id in found:
        problems.append(f"memory {id} was never there")


def save_memories(reopen, problems):
    """An app reads a memory, saves it and reads it again."""
    before = judge.read_memories(reopen(), judge.Log())
    db = reopen()
    for memory in db.get_user_memories():
        db.upsert_user_memory(memory)
    after = judge.read_memories(reopen(), judge.Log())

    def told(memories):
        return sorted(({k: v for k, v in m.items() if k != "updated_at"} for m in memories), key=lambda m: m["memory_id"])

    if told(before) != told(after):
        problems.append("the memories changed when they were read and saved")


def forget_sessions_without_runs(db):
    """Agno before 2.2 cannot compute metrics with them, its own or ours."""
    import sqlalchemy as sa

    table = sa.table(db.session_table_name, sa.column("runs"), schema=getattr(db, "db_schema", None))
    with db.db_engine.begin() as connection:
        # SQLite has SQL's null or JSON's.
        nothing = sa.or_(table.c.runs.is_(None), sa.cast(table.c.runs, sa.Text) == "null")
        return connection.execute(sa.delete(table).where(nothing)).rowcount


def compare(args, expected, log):
    problems, opened = [], []

    def reopen():
        """The app's database, with connections of its own. It keeps the tables that it has looked at, and no rows: to look at them
        again for every session took three quarters of the time."""
        if not opened:
            opened.append(judge.open_db(args.place, args.tables, args.schema))
        opened[0].db_engine.dispose()
        return opened[0]

    def restart():
        for db in opened:
            db.db_engine.dispose()
        opened.clear()

    def attempt(where, action, *given):
        """What is wrong with one session must not hide the others. An app logs what Agno swallowed, too."""
        start = len(log.lines)
        found = []
        try:
            found += action(*given, found) or []
        except Exception as e:
            found.append(f"{where}: raised {judge.named(e, where=True)}")
        problems.extend(found)
        for line in log.lines[start:]:
            # It logs the messages, too.
            if line.removeprefix("DEBUG: ") not in said:
                problems.append(f"{where}: logged {line}")
        del log.lines[start:]

    db = reopen()
    there = judge.existing(db)
    if "sessions" not in there:
        return {"tables": there}, ["no sessions table, under the name given"]
    updated = dict(map(tuple, judge.select(db, there["sessions"], "session_id", "updated_at")))
    wanted = {id: some for id, some in expected["sessions"].items() if not args.only or id in args.only}
    for id in expected["sessions"]:
        if id not in updated:
            problems.append(f"session {id} is missing")
    for id in updated:
        if id not in expected["sessions"]:
            problems.append(f"session {id} was never there")
    wanted = {id: some for id, some in wanted.items() if id in updated}
    said = {m["content"] for some in wanted.values() for run in some["runs"] for m in run["messages"] if isinstance(m["content"], str)}

    def check(id, found):
        kind, session = judge.find_session(reopen(), id)
        if kind != wanted[id]["type"]:
            found.append(f"session {id} is a {kind} session, not {wanted[id]['type']}")
            return
        check_session(id, wanted[id], session, found)
        # Agno makes up the time of a workflow session that has none.
        if updated[id] != wanted[id]["updated_at"]:
            found.append(f"session {id}: updated_at is {updated[id]}, not {wanted[id]['updated_at']}")

    for id in wanted:
        attempt(f"session {id}", check, id)
    if "memories" in there:
        attempt("memories", lambda found: check_memories(reopen(), log, expected["memories"], found))
    elif expected["memories"]:
        problems.append("no memory table, under the name given")
    if args.read_only:
        return {"sessions": len(wanted), "memories": len(expected["memories"])}, problems

    restart()
    for id in wanted:
        attempt(f"session {id}, read and saved", lambda found, id=id: save_and_read(reopen, id, wanted[id], found))
    if "memories" in there:
        attempt("memories", lambda found: save_memories(reopen, found))
    paused = [(id, run) for id, some in wanted.items() for run in some["runs"] if run["status"] == "PAUSED" and run["agent_id"] and not run["parent"]]
    restart()
    for id in wanted:
        attempt(f"session {id} goes on", lambda found, id=id: go_on(reopen, id, wanted[id], found))
    for id, run in paused:
        attempt(f"session {id} continued", lambda found, id=id, run=run: continue_paused(reopen, id, run["run_id"], run, found))

    forgotten, computed = 0, "calculated"

    def metrics(found):
        nonlocal forgotten, computed
        from importlib.metadata import version

        try:
            reopen()._get_table("metrics", create_table_if_not_found=True)
        except Exception as e:
            if type(e).__name__ != "MigrationRequiredError":
                raise
            # Sessions of an older schema are read, its metrics are not: that table is not the converter's.
            log.lines.clear()
            computed = "skipped: the metrics table is of an older schema"
            return
        if version("agno").startswith(("2.0.", "2.1.", "2.2.")):
            forgotten = forget_sessions_without_runs(reopen())
        done, complaints = judge.count_metrics(reopen)
        found += complaints
        if done != "calculated":
            found.append(f"metrics: {done}")

    restart()
    attempt("metrics", metrics)
    restart()
    answer = {"sessions": len(wanted), "memories": len(expected["memories"]), "paused": len(paused), "metrics": computed}
    if forgotten:
        answer["forgotten_for_metrics"] = forgotten
    return answer, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("expect")
    one.add_argument("places", nargs="+", metavar="SOURCE")
    two = commands.add_parser("compare")
    two.add_argument("expected", metavar="EXPECT.json")
    two.add_argument("place", metavar="TARGET")
    two.add_argument("--table", action="append", default=[], metavar="TYPE=NAME")
    two.add_argument("--schema", default="ai")
    two.add_argument("--only", action="append", default=[], metavar="ID")
    two.add_argument("--read-only", action="store_true")
    args = parser.parse_args()
    if args.command == "expect":
        json.dump(expect(args.places), sys.stdout, indent=1, sort_keys=True)
        print()
        return
    args.tables = dict(pair.split("=", 1) for pair in args.table)
    with open(args.expected) as file:
        expected = json.load(file)
    # Debug lines of a run are of no interest, but what it swallows when it reads is.
    out, log = judge.silence(logging.DEBUG)
    with tempfile.TemporaryDirectory() as folder:
        if not judge.is_url(args.place):
            args.place = judge.copy_of(args.place, folder)
        answer, problems = compare(args, expected, log)
    json.dump({**answer, "problems": problems}, out, indent=1, sort_keys=True)
    out.write("\n")
    out.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.stderr.flush()
    os._exit(1 if problems else 0)


if __name__ == "__main__":
    main()
