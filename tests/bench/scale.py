"""Scales a fixture up: scale.py FIXTURE INTO SESSIONS RUNS. Sessions and runs are those of the fixture, with new ids."""

import json
import random
import shutil
import sqlite3
import sys
import uuid


def main(fixture, into, sessions, runs):
    shutil.copy(fixture, into)
    db = sqlite3.connect(into)
    db.executescript("PRAGMA journal_mode = off; PRAGMA synchronous = off")
    names = [column[1] for column in db.execute("PRAGMA table_info(agno_sessions)")]
    models = [dict(zip(names, row)) for row in db.execute("SELECT * FROM agno_sessions WHERE length(runs) > 10")]
    payloads = [run for model in models for run in json.loads(json.loads(model["runs"]))]
    chance = random.Random(7)

    def new_id():
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    def rows():
        for n in range(sessions):
            row = dict(models[n % len(models)], session_id=new_id(), user_id=f"user-{n % 997}")
            # Times in the order of writing, as in a real database.
            row["created_at"] = 1_700_000_000 + n
            own = [
                dict(payloads[(n * 7 + k) % len(payloads)], run_id=new_id(), session_id=row["session_id"], created_at=row["created_at"] + k)
                for k in range(runs)
            ]
            row["runs"] = json.dumps(json.dumps(own))
            yield [row[name] for name in names]

    db.executemany(f"INSERT INTO agno_sessions VALUES ({','.join('?' * len(names))})", rows())
    db.commit()
    db.execute("PRAGMA journal_mode = delete")
    count, size = db.execute("SELECT count(*), sum(length(runs)) FROM agno_sessions").fetchone()
    print(f"{into}: {count} sessions, {size / 1e6:.0f} MB of runs")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
