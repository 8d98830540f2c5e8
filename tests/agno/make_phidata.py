"""Writes a database the way an app on phidata, Agno before 1.0, does: make_phidata.py FILE_OR_URL, with phidata's own Python."""

import json
import os
import sqlite3
import sys

from phi.agent import Agent
from phi.memory.agent import AgentMemory
from phi.memory.memory import Memory
from phi.memory.row import MemoryRow
from phi.memory.summary import SessionSummary
from phi.model.base import Model
from phi.model.message import Message
from phi.model.response import ModelResponse
from phi.run.response import RunResponse
from phi.tools.function import Function
from phi.workflow import Workflow


class FakeModel(Model):
    """Phidata leaves the loop of messages and tool calls to each provider's class: this is the least of one."""

    id: str = "fake-model-1"
    name: str = "FakeModel"
    provider: str = "Fake"
    calls: list = []
    count: int = 0

    def response(self, messages):
        self.count += 1
        message = Message(role="assistant", content=f'Answer {self.count}, it\'s "quoted" é')
        message.metrics = {"time": 0.5, "input_tokens": 100 + self.count, "output_tokens": 50, "total_tokens": 150 + self.count}
        message.metrics.update(prompt_tokens=100 + self.count, completion_tokens=50, prompt_tokens_details={"cached_tokens": 10})
        messages.append(message)
        if self.count > len(self.calls):
            return ModelResponse(content=message.content)
        name, arguments = self.calls[self.count - 1]
        message.content = None
        call = {"id": f"call_{self.count}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        message.tool_calls = [call]
        results = []
        from phi.utils.tools import get_function_call_for_tool_call

        for _ in self.run_function_calls([get_function_call_for_tool_call(call, self.functions)], results):
            pass
        messages.extend(results)
        return self.handle_post_tool_call_messages(messages, ModelResponse(content=""))

    def response_stream(self, messages):
        yield self.response(messages)


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def main(place):
    if "://" in place:
        from phi.memory.db.postgres import PgMemoryDb as MemoryDb
        from phi.storage.agent.postgres import PgAgentStorage as AgentStorage
        from phi.storage.workflow.postgres import PgWorkflowStorage as WorkflowStorage

        at = {"db_url": place}
    else:
        from phi.memory.db.sqlite import SqliteMemoryDb as MemoryDb
        from phi.storage.agent.sqlite import SqlAgentStorage as AgentStorage
        from phi.storage.workflow.sqlite import SqlWorkflowStorage as WorkflowStorage

        at = {"db_file": place}

    def agent(id, session_id, model=None, **more):
        storage = AgentStorage(table_name="agent_sessions", **at)
        more.setdefault("user_id", "ann")
        return Agent(
            agent_id=id,
            name=id,
            session_id=session_id,
            model=model or FakeModel(),
            storage=storage,
            monitoring=False,
            telemetry=False,
            **more,
        )

    def helper(calls=()):
        return agent(
            "tools",
            "tools",
            FakeModel(calls=list(calls)),
            tools=[get_weather],
            add_history_to_messages=True,
            session_state={"time": 1, "event": "mine"},
            user_data={"likes": "tea", "time": 1},
            session_data={"images": [{"a": 1}]},
        )

    first = helper([("get_weather", {"city": "Rome"})])
    first.run('What is the weather "there"?')
    first.run("And now?")
    helper().run("The app is started again.")
    agent("plain", "plain", user_id=None).run("Hello.")
    pictures = agent("pictures", "pictures")
    pictures.run("Look.", images=["http://example.org/i.png"])
    given = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    agent("plain", "given").run(messages=given)

    table = MemoryDb(table_name="agent_memory", **at)
    table.create()
    for n, topic in enumerate([None, "pets"]):
        memory = Memory(memory=f'it\'s "{n}" \\ é\nlikes tea', input="I like tea", topic=topic)
        table.upsert_memory(MemoryRow(user_id="ann", memory=memory.to_dict()))
    memory = AgentMemory(db=table, user_id="ann", create_user_memories=False)
    memory.load_user_memories()
    memory.summary = SessionSummary(summary="They talked of tea.", topics=["tea"])
    agent("classic", "classic", memory=memory).run("Remember.")

    class Counting(Workflow):
        writer: Agent = Agent(agent_id="writer", model=FakeModel(), telemetry=False)

        def run(self, topic: str):
            self.session_state["n"] = self.session_state.get("n", 0) + 1
            if topic == "ask":
                return self.writer.run(topic)
            return RunResponse(content=f"{topic} {self.session_state['n']}")

    flow = Counting(
        workflow_id="counting",
        session_id="flow",
        user_id="ann",
        user_data={"likes": "tea"},
        storage=WorkflowStorage(table_name="workflow_sessions", **at),
    )
    flow.run(topic="count")
    flow.run(topic="ask")
    if "://" not in place:
        with sqlite3.connect(place) as connection:
            connection.execute("VACUUM")
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)
