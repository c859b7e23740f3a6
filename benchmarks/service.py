"""The fake service: a raw protocol under uvloop, answering with bodies made beforehand.

```
python -m benchmarks.service FOLDER    # with server.pem in it; prints the two ports, plain and TLS
python -m benchmarks.service           # prints the plain port
```

It ends when its input does.

`GET /-/set?delay=0.1&events=10000&...` sets how it behaves and forgets its
counts; `GET /-/counts` tells them. Nobody is checked: the clients are measured,
not the service.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from benchmarks import answers

BLOCK = 16_384
"""Bytes per write of a stream without pace; each event stays one HTTP chunk."""


@dataclass
class Behaviour:
    """How the service answers until it is told otherwise."""

    delay: float = 0.0
    """Seconds before an answer (a token's excepted)."""
    events: int = 10_000
    """Pieces of a stream."""
    pace: float = 0.0
    """Seconds between the events of a stream; then each piece is the monotonic time of its writing."""
    tools: int = 0
    """Whether streams are tool calls."""
    dimension: int = 768


@dataclass
class Counts:
    """What happened since the behaviour was set."""

    requests: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    """Connections accepted."""
    in_flight: int = 0
    most_in_flight: int = 0


def _header(content_type: str, rest: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{rest}\r\n\r\n".encode()


def _whole(body: bytes) -> bytes:
    return _header("application/json", f"content-length: {len(body)}") + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM = _header("text/event-stream", "transfer-encoding: chunked")


class Service:
    """Routes, behaviour and counts, shared by all connections."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.counts = Counts()
        self.live = 0
        self.kept: dict[object, Any] = {}

    def answer(self, path: str, body: bytes) -> bytes | None:
        """Return the whole answer, or None for a stream."""
        if path.endswith(("chat_stream", "completions")) and (
            path.endswith("_stream") or b'"stream":true' in _tight(body)
        ):
            return None
        return self._answer(path, body)

    def _answer(self, path: str, body: bytes) -> bytes:
        dimension = self.behaviour.dimension
        if path.endswith("text/chat"):
            return self._kept("chat", answers.chat)
        if path.endswith("completions"):
            return self._kept("completions", answers.chat, "openai")
        if path.endswith("text/embeddings"):
            return self._kept("vectors", answers.embeddings, len(json.loads(body)["inputs"]), dimension)
        if path.endswith("embeddings"):
            form = "base64" if b'"base64"' in body else "openai"
            return self._kept("data", answers.embeddings, len(json.loads(body)["input"]), dimension, form)
        if path.endswith("rerank"):
            return self._kept("scores", answers.scores, len(json.loads(body)["inputs"]))
        if path.endswith("tokenization"):
            return self._kept("tokens", answers.tokens)
        if path.endswith("foundation_model_specs"):
            return self._kept("specs", answers.model_specs)
        if path.startswith("/v2/projects"):
            return self._kept("project", answers.project)
        if path.endswith("/token"):
            return _whole(answers.token())
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

    def _kept(self, *key: Any) -> bytes:
        """Return a whole answer, made by the function in second place the first time it is asked for."""
        if key not in self.kept:
            _, make, *given = key
            self.kept[key] = _whole(make(*given))
        found: bytes = self.kept[key]
        return found

    def blocks(self, path: str) -> list[bytes]:
        """Return a stream without pace: blocks of events, each event one HTTP chunk."""
        asked = self.behaviour
        dialect = "watsonx" if path.endswith("chat_stream") else "openai"
        key = (dialect, asked.events, asked.tools)
        if key not in self.kept:
            make = answers.tool_events if asked.tools else answers.text_events
            self.kept[key] = list(_blocks(_chunk(event) for event in make(asked.events, dialect)))
        found: list[bytes] = self.kept[key]
        return found

    def control(self, path: str, query: str) -> bytes:
        """Set the behaviour and forget the counts, or tell the counts."""
        if path == "/-/set":
            given: dict[str, Any] = {name: float(value) for name, value in parse_qsl(query)}
            whole = {item.name for item in fields(Behaviour) if item.type == "int"}
            self.behaviour = Behaviour(
                **{name: int(value) if name in whole else value for name, value in given.items()}
            )
            self.counts = Counts(in_flight=self.counts.in_flight, most_in_flight=self.counts.in_flight)
        told = {"requests": self.counts.requests, "opened": self.counts.opened, "live": self.live}
        return _whole(json.dumps(told | {"most_in_flight": self.counts.most_in_flight}).encode())


def _tight(body: bytes) -> bytes:
    return body.replace(b'": ', b'":') if len(body) < 100_000 else b""


def _blocks(pieces: Iterable[bytes]) -> Iterable[bytes]:
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


class Protocol(asyncio.Protocol):
    """One connection: requests one after another, each with a content-length or no body."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.buffer = bytearray()
        self.transport: asyncio.WriteTransport
        self.writable = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class
        self.writable.set()
        self.service.live += 1
        self.opened = False

    def connection_lost(self, error: Exception | None) -> None:
        self.service.live -= 1
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer
        buffer += data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[:end])
            found = head.lower().find(b"\r\ncontent-length:")
            length = int(head[found + 17 :].split(b"\r\n", 1)[0]) if found >= 0 else 0
            if len(buffer) < end + 4 + length:
                return
            body = bytes(buffer[end + 4 : end + 4 + length])
            del buffer[: end + 4 + length]
            self.receive(head, body)

    def receive(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        url = urlsplit(target)
        service, path = self.service, url.path
        if path.startswith("/-/"):
            self.transport.write(service.control(path, url.query))
            return
        counts = service.counts
        counts.requests[f"{method} {path}"] += 1
        if not self.opened:
            self.opened = True
            counts.opened += 1
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        answer = service.answer(path, body)
        delay = service.behaviour.delay
        if answer is None:
            self.task = asyncio.ensure_future(self.stream(path))
        elif delay and not path.endswith("/token"):
            asyncio.get_running_loop().call_later(delay, self.finish, answer)
        else:
            self.finish(answer)

    def finish(self, data: bytes) -> None:
        self.service.counts.in_flight -= 1
        if not self.transport.is_closing():
            self.transport.write(data)

    async def stream(self, path: str) -> None:
        try:
            self.transport.write(STREAM)
            if self.service.behaviour.pace:
                await self.dribble(path)
            else:
                for block in self.service.blocks(path):
                    self.transport.write(block)
                    await self.writable.wait()
        finally:
            self.finish(b"0\r\n\r\n")

    async def dribble(self, path: str) -> None:
        """Write an event, wait, write the next; each says when it was written."""
        behaviour = self.service.behaviour
        dialect = "watsonx" if path.endswith("chat_stream") else "openai"
        for number in range(behaviour.events):
            await asyncio.sleep(behaviour.pace)
            piece = answers.event(number, {"content": f"{time.monotonic():.6f} "}, dialect)
            self.transport.write(_chunk(piece))
        for last in answers.text_events(0, dialect)[1:]:
            self.transport.write(_chunk(last))


async def serve(folder: Path | None) -> None:
    """Answer until killed."""
    loop = asyncio.get_running_loop()
    service = Service()
    contexts: list[ssl.SSLContext | None] = [None]
    if folder is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        contexts.append(context)
    servers = [
        await loop.create_server(lambda: Protocol(service), "127.0.0.1", 0, ssl=context, backlog=4096)
        for context in contexts
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def end_with_the_input() -> None:
    """End this process when its input ends: whoever started it is gone then, however it went."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_input, daemon=True).start()
    main = serve(Path(sys.argv[1]) if sys.argv[1:] else None)
    if importlib.util.find_spec("uvloop"):
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
