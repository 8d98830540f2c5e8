"""A model that answers without an LLM, the same way each time, for every Agno release from 1.0 to 1.8."""

import json
from importlib.metadata import version
from types import SimpleNamespace

from agno.models.base import Model
from agno.models.message import Message
from agno.models.response import ModelResponse

ANSWERS = [
    "The answer is forty-two.",
    'Quoted "text", it\'s a back\\slash, a\nnew line and a tab\t.',
    "Café, naïve, 数据库, 🚀, \u2028 and a lone bracket ] } [ {.",
    '{"run_id": "not-a-run", "looks": ["like", "json"]}',
]
OLDEST = version("agno").startswith("1.0.")


def usage(count):
    """Some providers tell OpenAI's words as an object, others a dictionary."""
    if count % 2:
        return SimpleNamespace(
            prompt_tokens=100 + count,
            completion_tokens=50,
            total_tokens=150 + count,
            prompt_tokens_details={"cached_tokens": 10, "audio_tokens": 3},
            completion_tokens_details={"reasoning_tokens": 5, "audio_tokens": 2},
        )
    return {
        "input_tokens": 100 + count,
        "output_tokens": 50,
        "total_tokens": 150 + count,
        "cached_tokens": 7,
        "cache_write_tokens": 4,
        "additional_metrics": {"queue_time": 0.25, "region": "eu"},
    }


class FakeModel(Model):
    """Answers from a list. `calls` are tool calls it makes first, as (name, arguments)."""

    def __init__(self, calls=(), **extra):
        super().__init__(id="fake-model-1", name="FakeModel", provider="Fake")
        self.calls = list(calls)
        self.extra = extra
        self.count = 0

    def answer(self):
        self.count += 1
        response = ModelResponse(content=ANSWERS[self.count % len(ANSWERS)])
        response.role = "assistant"
        if self.count <= len(self.calls):
            name, arguments = self.calls[self.count - 1]
            call = {"name": name, "arguments": json.dumps(arguments)}
            response.content = None
            response.tool_calls = [{"id": f"call_{self.count}", "type": "function", "function": call}]
        for key, value in self.extra.items():
            setattr(response, key, value)
        response.response_usage = usage(self.count)
        return response

    def invoke(self, *args, **kwargs):
        return self.answer()

    async def ainvoke(self, *args, **kwargs):
        return self.answer()

    def invoke_stream(self, *args, **kwargs):
        yield self.answer()

    async def ainvoke_stream(self, *args, **kwargs):
        yield self.answer()

    def parse_provider_response(self, response, **kwargs):
        return response

    def parse_provider_response_delta(self, response, **kwargs):
        return response

    # Agno 1.0 has no loop of its own: each provider's class makes the messages, and their metrics are a plain dictionary.
    if OLDEST:

        def response(self, messages):
            answer = self.answer()
            assistant = self.keep(answer, messages)
            response = ModelResponse(content=assistant.content, audio=assistant.audio_output)
            if answer.tool_calls:
                # What they begin the text of the tools with.
                response.content, response.tool_calls = "", []
                if self.handle_tool_calls(assistant, messages, response) is not None:
                    return self.handle_post_tool_call_messages(messages=messages, model_response=response)
            return response

        def response_stream(self, messages):
            answer = self.answer()
            assistant = self.keep(answer, messages, time_to_first_token=0.125)
            if assistant.content:
                yield ModelResponse(content=assistant.content)
            if answer.tool_calls:
                yield from self.handle_stream_tool_calls(assistant, messages)
                yield from self.handle_post_tool_call_messages_stream(messages=messages)

        async def aresponse(self, messages):
            return self.response(messages)

        async def aresponse_stream(self, messages):
            for response in self.response_stream(messages):
                yield response

        def keep(self, answer, messages, **metrics):
            assistant = Message(role="assistant", content=answer.content, tool_calls=answer.tool_calls)
            assistant.audio_output = answer.audio
            assistant.metrics = {"time": 0.5, **metrics, "input_tokens": 100 + self.count, "output_tokens": 50}
            if self.count % 2:
                details = {"cached_tokens": 10, "audio_tokens": 3}
                assistant.metrics.update(prompt_tokens=100 + self.count, completion_tokens=50, prompt_tokens_details=details)
            else:
                # Groq's.
                assistant.metrics.update(prompt_time=0.0625, queue_time=0.25, completion_time=0.375)
            assistant.metrics["total_tokens"] = 150 + self.count
            messages.append(assistant)
            return assistant
