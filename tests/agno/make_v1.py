"""Writes a v1 database the way an app on this Agno release (1.0 to 1.8) does: make_v1.py FILE_OR_URL. Run it with the
release's own Python. Everything goes through Agno's own classes.

A part runs from the release on that has its feature; a part that fails then ends the whole.
"""

import inspect
import os
import sys
import tempfile
from datetime import datetime
from importlib.metadata import version

from agno.agent import Agent
from agno.media import Audio, AudioArtifact, Image, ImageArtifact, Video, VideoArtifact
from agno.memory.agent import AgentMemory
from agno.memory.memory import Memory as ClassicMemory
from agno.memory.row import MemoryRow
from agno.memory.summary import SessionSummary as ClassicSummary
from agno.run.response import RunResponse
from agno.workflow import Workflow
from fake_model_v1 import FakeModel
from pydantic import BaseModel

RELEASE = tuple(int(part) for part in version("agno").split("."))
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + b"x" * 24
QUIET = {"telemetry": False, "monitoring": False}
# User data that looks like Agno's own fields.
TRAPS = {"time": 1, "event": "mine", "thinking": "t", "images": [{"length": "3"}], "metrics": {"time": [1, None]}}
PARTS = []


def since(*release):
    """The first release that can do this part."""

    def add(part):
        PARTS.append((release, part))
        return part

    return add


def accepts(function, **wanted):
    """The arguments that this release's function takes."""
    known = inspect.signature(function).parameters
    return {key: value for key, value in wanted.items() if key in known}


# -- where it is stored


def storage(table, mode="agent", schema="ai"):
    place = {"db_url": PLACE, "schema": schema} if IS_URL else {"db_file": PLACE}
    if RELEASE < (1, 1):
        if mode == "workflow":
            from agno.storage.workflow import postgres, sqlite

            Storage = postgres.PostgresWorkflowStorage if IS_URL else sqlite.SqliteWorkflowStorage
        else:
            from agno.storage.agent import postgres, sqlite

            Storage = postgres.PostgresAgentStorage if IS_URL else sqlite.SqliteAgentStorage
        return Storage(table_name=table, **place)
    from agno.storage import postgres, sqlite

    return (postgres.PostgresStorage if IS_URL else sqlite.SqliteStorage)(table_name=table, mode=mode, **place)


def memory_table(package, table):
    """The memory database of `agno.memory.db` or `agno.memory.v2.db`."""
    from importlib import import_module

    module = import_module(f"{package}.{'postgres' if IS_URL else 'sqlite'}")
    names = ("PostgresMemoryDb", "PgMemoryDb") if IS_URL else ("SqliteMemoryDb",)
    Db = next(getattr(module, name) for name in names if hasattr(module, name))
    db = Db(table_name=table, **({"db_url": PLACE} if IS_URL else {"db_file": PLACE}))
    db.create()
    return db


# -- what they are made of


def agent(id, session_id, user_id, model=None, table="agent_sessions", **more):
    kept = {"storage": storage(table)} if table else {}
    return Agent(
        agent_id=id, name=id, session_id=session_id, user_id=user_id, model=model or FakeModel(), **kept, **QUIET, **more
    )


def member(id, model=None, table=None, **more):
    """An agent whose name is the id that every release gives a member."""
    kept = {"storage": table if not isinstance(table, str) else storage(table)} if table else {}
    return Agent(agent_id=id, name=id, role=f"does {id}", model=model or FakeModel(), **kept, **QUIET, **more)


def task(member_id, text="do it"):
    """The tool call with which a team in coordinate mode asks a member."""
    name = "agent_name" if RELEASE < (1, 2) else "member_id"
    return "transfer_task_to_member", {name: member_id, "task_description": text, "expected_output": "a word"}


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def remember(time: str, event: str, images: list) -> str:
    """Has parameters that are named as fields of Agno."""
    return f"{event} at {time}"


def break_down(depth: int) -> str:
    """Raises."""
    raise RuntimeError(f"broke down at {depth}")


def add_item(agent: Agent, item: str) -> str:
    """Adds an item to the session's state."""
    agent.session_state.setdefault("items", []).append(item)
    return "added"


def sources(agent=None, query=None, num_documents=None, **more):
    """A retriever: what a knowledge base would give."""
    return [{"content": "Tea is a drink.", "name": "tea", "meta_data": {"time": 1}}]


def image_content():
    """What of an artifact's content a release can store: before 1.8 bytes had to be text."""
    return PNG if RELEASE >= (1, 8) else b"iVBORw0KGgo="


# -- agents


@since(1, 0)
def tools_state_and_history():
    def helper(calls=()):
        return agent(
            "tools",
            "tools",
            "ann",
            FakeModel(calls),
            tools=[get_weather, remember, break_down, add_item],
            add_history_to_messages=True,
            num_history_responses=3,
            session_state=dict(TRAPS),
            extra_data=dict(TRAPS, k="v"),
        )

    memorable = {"time": "noon", "event": "lunch", "images": [{"url": "x"}]}
    first = helper([("get_weather", {"city": "Rome"}), ("remember", memorable), ("add_item", {"item": "é"})])
    first.run('What is the weather "there", is it nice?')
    first.run("And now?")
    # The app is started again.
    again = helper([("break_down", {"depth": 3})])
    again.run("Break down.")
    again.run("Enough.")


@since(1, 0)
def plain_conversations():
    for n, user in enumerate([None, "bob", "café"]):
        helper = agent("helper", f"plain-{n}", user)
        for r in range(2):
            helper.run(f"Hello {r}")
    helper = agent("helper", "streamed", "ann", tools=[get_weather], add_history_to_messages=True)
    for r in range(2):
        helper.model = FakeModel([("get_weather", {"city": "Oslo"})])
        for _ in helper.run(f"Stream {r}", stream=True, stream_intermediate_steps=True):
            pass
    agent("helper", "list", "ann").run([{"type": "text", "text": "A list as content"}])
    agent("helper", "given", "ann").run(messages=[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}])
    named = agent("helper", "named", "ann")
    named.run("A name for this.")
    named.rename_session("Its name")
    # Opened, never used.
    unused = agent("helper", "unused", "ann")
    wanted = {"session_id": "unused", "user_id": "ann"}
    unused.read_from_storage(**accepts(unused.read_from_storage, **wanted))
    unused.write_to_storage(**accepts(unused.write_to_storage, **wanted))


@since(1, 0)
def media_by_bytes_and_by_url():
    helper = agent("media", "media", "ann")
    pictures = [Image(url="http://example.org/i.png", detail="high"), Image(filepath="./i.png")]
    sounds = [Audio(filepath="./a.wav", format="wav")]
    films = [Video(filepath="./v.mp4")]
    if RELEASE < (1, 1):
        # A session with bytes in it is not stored by this release: apps gave it text.
        pictures.append(Image(content="aGVsbG8=", id="image-text"))
        sounds.append(Audio(content="UklGRg==", format="wav"))
    else:
        pictures.append(Image(content=PNG, format="png"))
        sounds.append(Audio(content=b"RIFFxxxx", format="wav"))
        films.append(Video(content=b"\0\0\0\x18ftyp", format="mp4"))
    helper.run("Look and listen.", images=pictures, audio=sounds, videos=films)
    helper.run("And this.", images=[Image(url="http://example.org/j.png", id="image-j")])
    if RELEASE >= (1, 1):
        # Agno does not store these urls, and cannot read the runs again.
        from agno.media import File

        lost = {"audio": [Audio(url="http://example.org/a.wav", format="wav")]}
        lost["files"] = [File(content=b"abc", mime_type="text/plain"), File(url="http://example.org/f.pdf")]
        if RELEASE >= (1, 5):
            lost["videos"] = [Video(url="http://example.org/v.mp4")]
        agent("media", "media-lost", "ann").run("Fetch and listen.", **lost)


@since(1, 0)
def media_that_agents_make():
    helper = agent("artist", "artist", "ann")
    helper.run("Draw.")
    film = {"length": "12", "eta": "soon"}
    pictures = [{"url": "http://example.org/p.png", "alt_text": "a p"}]
    sounds = [{"url": "http://example.org/s.mp3", "length": "4.5"}, {"base64_audio": "UklGRg==", "mime_type": "audio/mp3"}]
    if RELEASE >= (1, 5):
        pictures.append({"content": image_content(), "mime_type": "image/png", "original_prompt": "p"})
    for n, picture in enumerate(pictures):
        helper.add_image(ImageArtifact(id=f"image-{n}", **picture))
    for n, sound in enumerate(sounds):
        helper.add_audio(AudioArtifact(id=f"audio-{n}", **sound))
    helper.add_video(VideoArtifact(id="video-0", url="http://example.org/v.mp4", **film))
    helper.run("Again.")


@since(1, 1)
def what_models_say_beside_text():
    from agno.media import AudioResponse

    extra = dict(thinking="let me think", redacted_thinking="xx", reasoning_content="because")
    if RELEASE >= (1, 2):
        extra["provider_data"] = {"signature": "sig"}
    if RELEASE >= (1, 5):
        from agno.models.message import Citations, UrlCitation

        extra["citations"] = Citations(urls=[UrlCitation(url="http://example.org", title="Example")], raw=[{"a": 1}])
        extra["image"] = ImageArtifact(id="image-out", mime_type="image/png", content=image_content())
    for calls in ((), [("get_weather", {"city": "Rome"})]):
        thinker = agent("thinker", "thinking", "ann", FakeModel(calls, **extra), tools=[get_weather])
        thinker.run("Think.")
    speech = AudioResponse(id="speech-1", content="UklGRg==", transcript="spoken", expires_at=99, mime_type="audio/wav")
    agent("speaker", "speech", "ann", FakeModel(audio=speech, content=None)).run("Speak.")
    transcript = AudioResponse(id="speech-2", transcript="only text", expires_at=99)
    agent("speaker", "transcript", "ann", FakeModel(audio=transcript, content=None)).run("Speak.")


@since(1, 0)
def knowledge_examples_and_reasoning():
    reader = agent("reader", "references", "bob", add_references=True, retriever=sources, add_context=True, context={"time": 1})
    reader.run("What is tea?")
    examples = [{"role": "user", "content": "few shot"}, {"role": "assistant", "content": "answer"}]
    taught = agent("taught", "examples", "bob", add_messages=examples, add_history_to_messages=True)
    taught.run("First.")
    taught.run("Second.")
    reasoner = agent("reasoner", "reasoning", "bob")
    reasoner.run("Before.")
    if RELEASE >= (1, 2):
        from agno.tools.reasoning import ReasoningTools

        calls = [("think", {"title": "Look", "thought": "t", "action": "a", "confidence": 0.5})]
        calls.append(("analyze", {"title": "Say", "result": "r", "analysis": "an", "next_action": "final_answer", "confidence": 1.0}))
        agent("reasoner", "reasoning", "bob", FakeModel(calls), tools=[ReasoningTools()]).run("Reason.")


class Movie(BaseModel):
    title: str
    year: int


@since(1, 0)
def structured_output():
    model = FakeModel(content='{"title": "M", "year": 1931}')
    agent("critic", "structured", "bob", model, response_model=Movie).run("A film.")


@since(1, 5)
def events():
    kept = {"store_events": True} if RELEASE >= (1, 7) else {}
    for stream in (True, False):
        model = FakeModel([("get_weather", {"city": "Rome"})])
        observed = agent("observed", "events", "bob", model, tools=[get_weather], add_history_to_messages=True, **kept)
        run = observed.run("Watch.", stream=stream, **({"stream_intermediate_steps": True} if stream else {}))
        if stream:
            list(run)


@since(1, 5)
def paused():
    from agno.tools import tool

    @tool(requires_confirmation=True)
    def delete_file(path: str) -> str:
        """Asks first."""
        return f"deleted {path}"

    @tool(external_execution=True)
    def shell(command: str) -> str:
        """The app does it."""
        return "never"

    @tool(requires_user_input=True, user_input_fields=["to"])
    def send(subject: str, to: str) -> str:
        """The user says to whom."""
        return f"sent {subject} to {to}"

    cases = {
        "confirm": (delete_file, {"path": "/x"}),
        "external": (shell, {"command": "ls"}),
        "input": (send, {"subject": "s"}),
    }
    for name, (function, arguments) in cases.items():
        careful = agent("careful", f"paused-{name}", "bob", FakeModel(), tools=[function])
        careful.run("Hello.")
        careful.model = FakeModel([(function.name, arguments)])
        assert careful.run("Do it.").is_paused
    # One that was paused and then went on.
    careful = agent("careful", "resumed", "bob", FakeModel([("delete_file", {"path": "/y"})]), tools=[delete_file])
    response = careful.run("Do it.")
    for one in response.tools:
        one.confirmed = True
    careful.continue_run(run_response=response) if RELEASE < (1, 8) else careful.continue_run(response)


# -- memory


@since(1, 0)
def classic_memory():
    table = memory_table("agno.memory.db", "agent_memory")
    for n, topic in enumerate([None, "pets"]):
        memory = ClassicMemory(memory=f'it\'s "{n}" \\ é\nlikes tea', input="I like tea", topic=topic)
        table.upsert_memory(MemoryRow(user_id="ann", memory=memory.to_dict()))
    memory = AgentMemory(db=table, user_id="ann", create_user_memories=False)
    memory.load_user_memories()
    memory.summary = ClassicSummary(summary="They talked of tea, “quoted”.", topics=["tea"])
    model = FakeModel([("get_weather", {"city": "Oslo"})])
    classic = agent("classic", "classic", "ann", model, table=None, memory=memory, tools=[get_weather])
    classic.storage = storage("classic_sessions", schema="public")
    classic.run("One.")
    classic.run("Two.", messages=[{"role": "user", "content": "More."}])

    # Memories that live in the session alone.
    memory = AgentMemory(user_id="eve", create_user_memories=False)
    memory.memories = [
        ClassicMemory(memory="has a dog", topic="pets", input="my dog"),
        ClassicMemory(id="own-id", memory="has a cat"),
    ]
    lonely = agent("classic", "classic-lonely", "eve", table=None, memory=memory)
    lonely.storage = storage("classic_sessions", schema="public")
    lonely.run("Hello.")


@since(1, 3)
def memory_v2():
    from agno.memory.v2.memory import Memory
    from agno.memory.v2.schema import SessionSummary, UserMemory

    table = memory_table("agno.memory.v2.db", "user_memories")
    shared = Memory(db=table)
    for user in ("ann", "café"):
        for n in range(3):
            topics = ["tea", "ünï"] if n else None
            shared.add_user_memory(UserMemory(memory=f'it\'s "{n}" \\ 🚀\nof {user}', topics=topics, input="in"), user_id=user)
    changing = shared.add_user_memory(UserMemory(memory="will change"), user_id="ann")
    shared.replace_user_memory(changing, UserMemory(memory="has changed", topics=["tea"]), user_id="ann")
    now = datetime(2025, 6, 1, 12, 30, 15, 123456)
    shared.summaries = {
        "ann": {"summary": SessionSummary(summary="They talked, “quoted”.", topics=["talk"], last_updated=now)},
        "nobody": {"elsewhere": SessionSummary(summary="Of another session")},
    }
    # Both sessions keep the whole memory object, of all users.
    for id in ("summary", "no-summary"):
        keeper = agent("keeper", id, "ann", memory=shared)
        keeper.run("Remember.")
        keeper.run("Remember more.")

    # Memories that live in the session alone.
    lonely = Memory()
    lonely.add_user_memory(UserMemory(memory="only here", topics=["alone"]), user_id="eve")
    agent("keeper", "lonely", "eve", memory=lonely).run("Hello.")


# -- teams


# Agno 1.1.17 cannot read a team's session that it wrote.
TEAMS_GO_ON = RELEASE >= (1, 2)


def make_team(id, session_id, members, calls=(), table="team_sessions", **more):
    from agno.team import Team

    kept = {"storage": table if not isinstance(table, str) else storage(table, "team")} if table else {}
    more.setdefault("mode", "coordinate")
    model = FakeModel(list(calls))
    return Team(
        members=members, team_id=id, name=id, session_id=session_id, user_id="bob", model=model, **kept, **QUIET, **more
    )


SET_CONTEXT = ("set_team_context" if RELEASE < (1, 5) else "set_shared_context", {"state": "shared “context”"})


@since(1, 1, 17)
def teams():
    def coordinated():
        m1 = member("m1", FakeModel([("get_weather", {"city": "Rome"})]), "member_sessions", tools=[get_weather])
        m2 = member("m2", None, "member_sessions")
        calls = [task("m1", "look"), task("m2", "tell"), SET_CONTEXT]
        history = {"enable_team_history": True}
        state = {"session_state": dict(TRAPS, own=1)}
        if RELEASE >= (1, 5):
            state["team_session_state"] = {"shared": {"time": 2}, "own": "not this"}
        return make_team(
            "coordinated", "team-0", [m1, m2], calls, enable_agentic_context=True, extra_data={"k": "v"}, **history, **state
        )

    coordinated().run("Ask both.")
    if TEAMS_GO_ON:
        # Started again.
        coordinated().run("And again.")
    make_team("router", "routed", [member("m3")], [("forward_task_to_member", task_to("m3"))], mode="route").run("Route.")
    together = [("run_member_agents", {"task_description": "all", "expected_output": "a word"})]
    make_team("together", "together", [member("m4"), member("m5")], together, mode="collaborate").run("All of you.")
    seen = make_team("viewer", "team-media", [member("m6")], [task("m6")])
    seen.run("Look.", images=[Image(url="http://example.org/t.png"), Image(content=PNG)])


def task_to(member_id):
    return {key: value for key, value in task(member_id)[1].items() if key != "task_description"}


@since(1, 1, 17)
def a_team_that_streams():
    members = [member("m7", FakeModel([("get_weather", {"city": "Rome"})]), "member_sessions", tools=[get_weather])]
    kept = {"store_events": True} if RELEASE >= (1, 7) else {}
    for _ in make_team("streaming", "team-stream", members, [task("m7")], **kept).run("Go.", stream=True, stream_intermediate_steps=True):
        pass


@since(1, 1, 17)
def one_table_for_a_team_and_its_members():
    shared = storage("shared_sessions", "agent")
    members = [member("m8", None, shared), member("m9", None, shared)]
    sharing = make_team("sharing", "shared-0", members, [task("m8"), task("m9")], shared)
    sharing.run("Share.")
    if TEAMS_GO_ON:
        sharing.run("Share again.")


@since(1, 1, 17)
def nested_teams():
    inner = make_team("inner", "nested-inner", [member("m10", None, "member_sessions")], [task("m10")])
    make_team("outer", "nested", [inner, member("m11")], [task("inner"), task("m11")]).run("Nest.")


@since(1, 1, 17)
def classic_team_memory():
    from agno.memory.team import TeamMemory

    team = make_team("classic-team", "classic-team", [member("m12")], [task("m12"), SET_CONTEXT], memory=TeamMemory(), enable_agentic_context=True)
    team.run("One.")
    if TEAMS_GO_ON:
        team.model = FakeModel([task("m12")])
        team.run("Two.")


@since(1, 3)
def a_team_with_memory():
    from agno.memory.v2.memory import Memory
    from agno.memory.v2.schema import SessionSummary

    memory = Memory(db=memory_table("agno.memory.v2.db", "user_memories"))
    memory.summaries = {"bob": {"team-summary": SessionSummary(summary="The team talked.", topics=[], last_updated=datetime(2025, 6, 2))}}
    make_team("remembering", "team-summary", [member("m13")], [task("m13")], memory=memory).run("Remember.")


# -- workflows


@since(1, 0)
def workflows():
    class Counting(Workflow):
        def run(self, topic: str):
            self.session_state["n"] = self.session_state.get("n", 0) + 1
            return RunResponse(content=f"{topic} {self.session_state['n']}")

    class Asking(Workflow):
        writer: Agent = Agent(agent_id="writer", name="writer", model=FakeModel(), **QUIET)

        def run(self, topic: str):
            return self.writer.run(topic)

    class Streaming(Workflow):
        writer: Agent = Agent(agent_id="writer", name="writer", model=FakeModel(), **QUIET)

        def run(self, topic: str):
            yield from self.writer.run(topic, stream=True)

    def flow(kind, session_id, **more):
        return kind(
            workflow_id=kind.__name__.lower(),
            session_id=session_id,
            user_id="ann",
            storage=storage("workflow_sessions", "workflow"),
            **more,
        )

    counting = flow(Counting, "flow-counting", session_state=dict(TRAPS))
    counting.run(topic="é")
    counting.run(topic="more")
    flow(Asking, "flow-asking").run(topic="ask")
    list(flow(Streaming, "flow-streaming").run(topic="stream"))
    if RELEASE >= (1, 5):
        from agno.memory.workflow import WorkflowMemory

        flow(Asking, "flow-classic", memory=WorkflowMemory()).run(topic="classic")


@since(1, 7)
def workflows_of_steps():
    from agno.workflow.v2 import Condition, Loop, Parallel, Router, Step, Workflow, types

    def shout(given):
        made = ImageArtifact(id="made", url="http://example.org/m.png")
        return types.StepOutput(content=f"{given.message}!", images=[made])

    def flow(id, session_id, steps, **more):
        return Workflow(
            workflow_id=id,
            name=id,
            session_id=session_id,
            user_id="ann",
            storage=storage("workflow_v2_sessions", "workflow_v2"),
            steps=steps,
            **more,
        )

    def everything():
        # One model for each, and each made anew for a run: that is what apps do.
        return [
            Step(name="ask", agent=member("w1", FakeModel([("get_weather", {"city": "Rome"})]), tools=[get_weather])),
            Parallel(Step(name="left", agent=member("w2")), Step(name="right", executor=shout), name="both"),
            Step(name="team", team=make_team("step-team", None, [member("w3")], [task("w3")], table=None)),
            Step(name="shout", executor=shout),
        ]

    for n in range(2):
        flow("everything", "steps", everything(), workflow_session_state={"shared": {"time": n}}).run("Go.")
    loop = Loop(name="loop", steps=[Step(name="turn", agent=member("w4"))], max_iterations=2)
    for _ in flow("looping", "steps-loop", [loop], store_events=True).run("Go.", stream=True, stream_intermediate_steps=True):
        pass
    chosen = Step(name="chosen", executor=shout)
    choose = [
        Condition(name="if", evaluator=lambda given: True, steps=[Step(name="then", agent=member("w5"))]),
        Router(name="which", selector=lambda given: [chosen], choices=[chosen]),
    ]
    flow("choosing", "steps-choice", choose).run("Go.", images=[ImageArtifact(id="given", url="http://example.org/g.png")])

    def only(workflow, execution_input):
        return f"only {execution_input.message}"

    # Only streams are stored of such a workflow.
    flow("function", "steps-function", only).run("Go.")
    list(flow("function", "steps-function-streamed", only).run("Go.", stream=True))

    def fail(given):
        raise RuntimeError("a step that fails")

    broken = flow("failing", "steps-failing", [Step(name="fails", executor=fail, max_retries=0)])
    try:
        broken.run("Go.")
    except Exception as error:
        print(f"  a failing workflow ends with {error!r:.80}", file=sys.stderr)


def main():
    for release, part in PARTS:
        if RELEASE >= release:
            part()
        else:
            print(f"  without {part.__name__}: from {'.'.join(map(str, release))} on", file=sys.stderr)
    if not IS_URL:
        import sqlite3

        with sqlite3.connect(PLACE) as connection:
            # Many tables and indexes, all small.
            connection.execute("PRAGMA page_size = 1024")
            connection.execute("VACUUM")
        connection.close()


if __name__ == "__main__":
    PLACE = sys.argv[1]
    IS_URL = "://" in PLACE
    if not IS_URL:
        PLACE = os.path.abspath(PLACE)
    # Some releases look for a file of their own in the folder they run in.
    os.chdir(tempfile.mkdtemp())
    main()
