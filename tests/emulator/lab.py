"""An emulator to poke at with plain requests: no HTTP client in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.exchange import Frame, Reply, Request

ML = "https://us-south.ml.cloud.ibm.com"
IAM = "https://iam.cloud.ibm.com"
PLATFORM = "https://api.dataplatform.cloud.ibm.com"
SOFTWARE = "https://cpd.example.com"
PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
CHAT_MODEL = "ibm/granite-4-h-small"
TEXT_MODEL = "ibm/granite-3-3-8b-instruct"
EMBEDDING_MODEL = "ibm/slate-125m-english-rtrvr"
RERANK_MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"
VERSION = "2024-03-14"
GRANT = "urn:ibm:params:oauth:grant-type:"


class Clock:
    """Time that only moves when told to."""

    def __init__(self, now: float = 1_764_692_529.59) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Lab:
    """An emulator with a frozen clock and a good token."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.clock = settings.setdefault("clock", Clock())
        self.emulator = Emulator(*arguments, **settings)
        self.token = self.emulator.office.issue().text

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: str = ML,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request with a token and, below /ml/v1, a version; None as a header's value leaves it out."""
        version = {"version": VERSION} if path.startswith("/ml/v1/") else {}
        query = version if query is None else query
        given: dict[str, Any] = {"authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given = {"content-type": "application/json", **given}
        given = {name: value for name, value in given.items() if value is not None}
        url = f"{host}{path}" + (f"?{urlencode(query)}" if query else "")
        return self.emulator.handle(Request(method, url, given, body or b""))

    def post(self, path: str, body: Any, **options: Any) -> Reply:
        """POST a JSON body."""
        return self.send("POST", path, body, **options)

    def chat(self, prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> Reply:
        """Chat with the usual model."""
        return self.post("/ml/v1/text/chat", self.chat_body(prompt, **fields))

    def chat_stream(self, prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> Reply:
        """Chat with the usual model, streamed."""
        return self.post("/ml/v1/text/chat_stream", self.chat_body(prompt, **fields))

    @staticmethod
    def chat_body(prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> dict[str, Any]:
        """Return a chat body."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return {"model_id": CHAT_MODEL, "project_id": PROJECT, "messages": messages, "max_tokens": 500, **fields}

    def message(self, prompt: str | list[dict[str, Any]] = "Hello", **fields: Any) -> Any:
        """Return the first choice's message."""
        return data_of(self.chat(prompt, **fields))["choices"][0]["message"]

    def calls(self, prompt: str | list[dict[str, Any]], tools: list[dict[str, Any]], **fields: Any) -> list[Any]:
        """Return the tool calls as (name, arguments) pairs."""
        found = self.message(prompt, tools=tools, **fields).get("tool_calls", [])
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found]


def data_of(reply: Reply) -> Any:
    """Return the JSON of a good reply."""
    assert isinstance(reply.body, bytes)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def error_of(reply: Reply) -> Any:
    """Return the first error of a reply in the ML API's words, with its status."""
    assert isinstance(reply.body, bytes)
    body = json.loads(reply.body)
    assert set(body) == {"errors", "trace", "status_code"}
    assert body["status_code"] == reply.status
    assert body["trace"] == reply.headers["x-global-transaction-id"]
    return {"status": reply.status, **body["errors"][0]}


def frames_of(reply: Reply) -> Iterator[Frame]:
    """Return the frames of a streamed reply."""
    assert not isinstance(reply.body, bytes), reply.body
    return reply.body


def stream_of(reply: Reply) -> bytes:
    """Return a whole stream."""
    assert reply.status == 200
    return b"".join(frame.data for frame in frames_of(reply))


def events_of(reply: Reply) -> list[tuple[str, str, Any]]:
    """Return id, event and data of each event, read by nothing but the three-line form."""
    events = []
    text = stream_of(reply).decode()
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        number, event, data = block.split("\n")
        assert number.startswith("id: ")
        assert event.startswith("event: ")
        assert data.startswith("data: ")
        events.append((number[4:], event[7:], json.loads(data[6:])))
    return events


def tool(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """Return a tool; properties are given by their schema, all required unless said."""
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
WEATHER = tool("get_weather", "Get the weather in a city.", city=STRING)
ADD = tool("add", "Add two numbers.", a=INTEGER, b=INTEGER)
MULTIPLY = tool("multiply", "Multiply two numbers.", a=INTEGER, b=INTEGER)
