"""A model that answers without an LLM, the same way each time, for every Agno release from 2.0 on."""

import json

from agno.models.base import Model
from agno.models.response import ModelResponse

try:
    from agno.metrics import MessageMetrics as Usage
except ImportError:
    from agno.models.metrics import Metrics as Usage

ANSWERS = [
    "The answer is forty-two.",
    'Quoted "text", a back\\slash, a\nnew line and a tab\t.',
    "Café, naïve, 数据库, 🚀, \u2028 and a lone bracket ] } [ {.",
    '{"run_id": "not-a-run", "looks": ["like", "json"]}',
]


class FakeModel(Model):
    """Answers from a list. `calls` are tool calls it makes first, as (name, arguments)."""

    def __init__(self, calls=(), **extra):
        super().__init__(id="fake-model-1", name="FakeModel", provider="Fake")
        self.calls = list(calls)
        self.extra = extra
        self.seen = []
        self.count = 0

    def answer(self, *args, **kwargs):
        messages = kwargs.get("messages") or (args[0] if args else [])
        self.seen.append([(m.role, m.content) for m in messages])
        self.count += 1
        response = ModelResponse(role="assistant", content=ANSWERS[self.count % len(ANSWERS)])
        if self.count <= len(self.calls):
            name, arguments = self.calls[self.count - 1]
            call = {"name": name, "arguments": json.dumps(arguments)}
            response.content = None
            response.tool_calls = [{"id": f"call_{self.count}", "type": "function", "function": call}]
        for key, value in self.extra.items():
            setattr(response, key, value)
        usage = Usage(input_tokens=100 + self.count, output_tokens=50, total_tokens=150 + self.count)
        response.response_usage = usage
        return response

    def invoke(self, *args, **kwargs):
        return self.answer(*args, **kwargs)

    async def ainvoke(self, *args, **kwargs):
        return self.answer(*args, **kwargs)

    def invoke_stream(self, *args, **kwargs):
        yield self.answer(*args, **kwargs)

    async def ainvoke_stream(self, *args, **kwargs):
        yield self.answer(*args, **kwargs)

    def parse_provider_response(self, response, **kwargs):
        return response

    def parse_provider_response_delta(self, response, **kwargs):
        return response

    _parse_provider_response = parse_provider_response
    _parse_provider_response_delta = parse_provider_response_delta
