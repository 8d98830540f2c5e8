"""Scales a v1 fixture up: scale_v1.py FIXTURE INTO SESSIONS RUNS MEMORIES. Everything is the fixture's, with new ids.

Of the sessions 90 % are agents', 8 % teams', 2 % workflows' of steps. The size that speed is measured on, about 230 MB:

  scale_v1.py tests/fixtures/v1/sqlite/agno-1.8.4.db INTO 20000 3 50000
"""

import ast
import json
import random
import shutil
import sqlite3
import sys
import uuid

SHARES = {"agent_sessions": 0.90, "team_sessions": 0.08, "workflow_v2_sessions": 0.02}
FIRST = 1_700_000_000


def main(fixture, into, sessions, runs, memories):
    shutil.copy(fixture, into)
    db = sqlite3.connect(into)
    db.executescript("PRAGMA journal_mode = off; PRAGMA synchronous = off")
    chance = random.Random(7)

    def new_id():
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    def renewed(run, session_id, at):
        """The run, its members and the runs of its steps as those of another session."""
        run = dict(run, run_id=new_id(), session_id=session_id, created_at=at)
        if run.get("member_responses"):
            run["member_responses"] = [renewed(member, session_id, at) for member in run["member_responses"]]
        if run.get("step_responses"):
            run["step_responses"] = [steps_of(step, session_id, at) for step in run["step_responses"]]
        return run

    def steps_of(step, session_id, at):
        if isinstance(step, list):
            return [steps_of(one, session_id, at) for one in step]
        return dict(step, response=renewed(step["response"], session_id, at)) if step.get("response") else step

    def models_of(table):
        names = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
        found = []
        for row in db.execute(f"SELECT * FROM {table}"):
            row = dict(zip(names, row))
            memory = json.loads(row["memory"] or "null") or {}
            own = json.loads(row.get("runs") or "null") or memory.get("runs") or []
            # The classic memory wraps its runs: that shape is rare by 1.8.
            if own and not any("response" in run for run in own):
                found.append((row, memory, own))
        return names, found

    def rows(names, models, count):
        pool = [run for _, _, own in models for run in own]
        for n in range(count):
            row, memory, _ = models[n % len(models)]
            row = dict(row, session_id=new_id(), user_id=f"user-{n % 997}", created_at=FIRST + n)
            row["updated_at"] = None if n % 3 else FIRST + n
            own = [renewed(pool[(n * 7 + k) % len(pool)], row["session_id"], FIRST + n + k) for k in range(runs)]
            if "runs" in row:
                row["runs"] = json.dumps(own)
            else:
                summaries = [one for some in memory.get("summaries", {}).values() for one in some.values()]
                summaries = {row["user_id"]: {row["session_id"]: summaries[0]}} if summaries else {}
                row["memory"] = json.dumps({"summaries": summaries, "memories": {}, "runs": own})
            yield [row[name] for name in names]

    made = {table: (share, *models_of(table)) for table, share in SHARES.items()}
    kept = [(row[0], ast.literal_eval(row[2]), row[3], row[4]) for row in db.execute("SELECT * FROM user_memories")]
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        db.execute(f"DELETE FROM {table}")
    db.commit()
    # The fixture's pages are small ones.
    db.executescript("PRAGMA page_size = 4096; VACUUM")
    for table, (share, names, models) in made.items():
        count = round(sessions * share)
        db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(names))})", rows(names, models, count))

    def memory_rows():
        for n in range(memories):
            _, memory, created_at, updated_at = kept[n % len(kept)]
            id = new_id()
            yield id, f"user-{n % 997}", repr(dict(memory, memory_id=id)), created_at, updated_at

    db.executemany("INSERT INTO user_memories VALUES (?,?,?,?,?)", memory_rows())
    db.commit()
    db.execute("PRAGMA journal_mode = delete")
    size = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    print(f"{into}: {sessions} sessions, {memories} memories, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
