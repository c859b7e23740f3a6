"""The service, in process: the emulator, or a script of the exact bodies and frames to answer with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import httpx
import pytest

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank

URL = "https://us-south.ml.cloud.ibm.com"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
CHAT_MODEL = "ibm/granite-4-h-small"


class Colour:
    """Runs the synchronous or the asynchronous twin of a method, so that one test covers both."""

    def __init__(self, name: Literal["sync", "async"]) -> None:
        self.name = name

    async def call(self, target: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call `method`, or await its twin with an `a` in front."""
        if self.name == "sync":
            return getattr(target, method)(*args, **kwargs)
        return await getattr(target, _twin(method))(*args, **kwargs)

    async def stream(
        self, target: Any, method: str, *args: Any, into: list[Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Return everything that a streaming method yields, also in `into`, should it break."""
        items = [] if into is None else into
        if self.name == "sync":
            items.extend(getattr(target, method)(*args, **kwargs))
        else:
            async for item in await getattr(target, _twin(method))(*args, **kwargs):
                items.append(item)  # what arrived before a failure is kept
        return items

    async def last(self, target: Any, method: str, *args: Any, streamed: bool, **kwargs: Any) -> Any:
        """Return the answer of a method, or the last of its streaming twin, `stream_` in front."""
        if streamed:
            return (await self.stream(target, f"stream_{method}", *args, **kwargs))[-1]
        return await self.call(target, method, *args, **kwargs)


def _twin(method: str) -> str:
    return f"_a{method[1:]}" if method.startswith("_") else f"a{method}"


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


class Service:
    """An emulator, and adapters connected to it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        transport = EmulatorTransport(emulator)
        self.connection: dict[str, Any] = {
            "url": URL,
            "api_key": "secret-key-123456",
            "project_id": PROJECT,
            "httpx_client": httpx.Client(transport=transport),
            "async_httpx_client": httpx.AsyncClient(transport=transport),
        }

    def llm(self, model_id: str | None = CHAT_MODEL, **settings: Any) -> WatsonxLLM:
        return WatsonxLLM(**{**self.connection, "model_id": model_id, **settings})

    def embeddings(self, model_id: str = "ibm/slate-125m-english-rtrvr", **settings: Any) -> WatsonxEmbeddings:
        return WatsonxEmbeddings(**{**self.connection, "model_id": model_id, **settings})

    def rerank(self, model_id: str = "cross-encoder/ms-marco-minilm-l-12-v2", **settings: Any) -> WatsonxRerank:
        return WatsonxRerank(**{**self.connection, "model_id": model_id, **settings})

    def sent(self, path: str | None = None) -> list[Any]:
        """Return the bodies of the requests to a path, or of all but those for tokens."""
        if path is not None:
            return self.emulator.journal.bodies(path)
        return [entry.body for entry in self.emulator.journal if entry.path != "/identity/token"]


@pytest.fixture
def service() -> Service:
    return Service(Emulator())


class Script:
    """A service that answers each request with the next of these: JSON for an answer, a list for a stream's frames.

    Everything asked is in `requests`, parsed; a status other than 200 is given as (status, body).
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.closed: list[bool] = []
        self._transport = _ScriptTransport(self)

    def llm(self, model_id: str | None = CHAT_MODEL, **settings: Any) -> WatsonxLLM:
        return WatsonxLLM(**{**self.connection, "model_id": model_id, **settings})

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "url": URL,
            "token": "a.static.token",
            "project_id": PROJECT,
            "httpx_client": httpx.Client(transport=self._transport),
            "async_httpx_client": httpx.AsyncClient(transport=self._transport),
            "max_retries": 0,
        }

    def next(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(json.loads(request.content) if request.content else {})
        self.paths.append(request.url.path)
        answer = self.answers.pop(0)
        if isinstance(answer, tuple):
            return httpx.Response(answer[0], json=answer[1])
        if isinstance(answer, list | bytes):
            self.closed.append(False)
            data = answer if isinstance(answer, bytes) else sse(answer)
            stream = _Frames(self, len(self.closed) - 1, data)
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)
        return httpx.Response(200, json=answer)


class _ScriptTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, script: Script) -> None:
        self._script = script

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._script.next(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._script.next(request)


class _Frames(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, script: Script, number: int, data: bytes) -> None:
        self._script, self._number = script, number
        self._pieces = [piece + b"\n\n" for piece in data.split(b"\n\n") if piece.strip()]

    def __iter__(self) -> Any:
        yield from self._pieces

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece

    def close(self) -> None:
        self._script.closed[self._number] = True

    async def aclose(self) -> None:
        self._script.closed[self._number] = True


def sse(frames: Sequence[dict[str, Any]]) -> bytes:
    """Return frames as the service frames them."""
    return b"".join(
        f"id: {number}\nevent: message\ndata: {json.dumps(frame)}\n\n".encode()
        for number, frame in enumerate(frames, start=1)
    )


@pytest.fixture
def script() -> Callable[..., Script]:
    return Script


# --------------------------------------------------------------------------- bodies


def completion(content: str | None = "hello", *, finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    """Return a whole chat answer."""
    said = {"role": "assistant", **({} if content is None else {"content": content}), **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model_id": CHAT_MODEL,
        "model": CHAT_MODEL,
        "choices": [{"index": 0, "message": said, "finish_reason": finish_reason}],
        "created": 1764688210,
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a frame of a chat stream."""
    choices = [] if delta is None else [{"index": 0, "finish_reason": finish_reason, "delta": delta}]
    return {"id": "chatcmpl-1", "model_id": CHAT_MODEL, "choices": choices, "created": 1764692529, **more}


def usage_chunk() -> dict[str, Any]:
    """Return the last frame of a chat stream."""
    return chunk(usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})


def call(id: str | None, name: str, arguments: str, index: int | None = None) -> dict[str, Any]:
    """Return a tool call, or a piece of one."""
    function = {"name": name, "arguments": arguments}
    place = {} if index is None else {"index": index}
    return {**place, **({} if id is None else {"id": id}), "type": "function", "function": function}
