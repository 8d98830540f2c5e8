"""An app of Agno 3 at work on a migrated database: work.py FILE_OR_URL. Prints the id of the run that it deleted.

Runs are added to an agent's, a team's and a workflow's session, one of the old ones is changed, one is deleted, and a session
goes.
"""

import sys

from make import QUIET, Agent, FakeModel, database

place = sys.argv[1]
db = database(place)
agent = Agent(id="helper", name="Helper", model=FakeModel(), db=db, metadata={"k": "v"}, **QUIET)
for number in range(3):
    user = [None, "ann", "bob"][number]
    agent.run("more", session_id=f"agent-{number}", user_id=user)

session = agent.get_session(session_id="agent-1", user_id="ann")
first = session.runs[0]
first.content = "edited by the app"
db.upsert_run(first, session_id="agent-1", user_id="ann")

gone = agent.get_session(session_id="agent-0").runs[0].run_id
assert db.delete_run(gone)
assert db.delete_session(session_id="agent-3")
print(gone)
