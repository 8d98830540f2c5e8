"""Writes a v1 database whose rows share session ids: make_v1_shared.py FILE. Run it with the Python of Agno 1.8.4.

Two agents of one session with tables of their own; a team whose member is a team, each with a table; a table that served a team
and its member, beside a member with a table of its own.
"""

import os
import sys
import tempfile

import make_v1

PLACE = os.path.abspath(sys.argv[1])
make_v1.PLACE, make_v1.IS_URL = PLACE, False
os.chdir(tempfile.mkdtemp())

make_v1.agent("researcher", "chat-1", "ann", table="researcher_sessions").run("Research it.")
make_v1.agent("writer", "chat-1", "ann", table="writer_sessions").run("Write it.")

inner = make_v1.make_team("inner", None, [make_v1.member("m1")], [make_v1.task("m1")], "a_inner_teams")
tasks = [make_v1.task("inner"), make_v1.task("m2")]
make_v1.make_team("outer", "nest-1", [inner, make_v1.member("m2")], tasks, "outer_teams").run("Nest.")

shared = make_v1.storage("shared_sessions", "agent")
members = [make_v1.member("m8", None, shared), make_v1.member("m9", None, "agent_sessions")]
sharing = make_v1.make_team("sharing", "s-0", members, [make_v1.task("m8"), make_v1.task("m9")], shared)
sharing.run("Share.")
sharing.run("Share again.")
