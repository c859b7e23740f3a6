"""The fake service without a network: a transport that answers in this process.

For counts that no scheduler and no socket may disturb.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from benchmarks import answers
from wx_integrations.core import client


class Answering(httpx.BaseTransport):
    """Answers synchronously with bodies made beforehand.

    Attributes:
        events: pieces of a stream.
        texts: vectors of an embeddings answer.
        last: the request that came last.
    """

    def __init__(self, events: int = 100, texts: int = 100, dimension: int = 768) -> None:
        self.events = answers.text_events(events)
        self.vectors = answers.embeddings(texts, dimension)
        self.last: httpx.Request | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.last = request
        path = urlsplit(str(request.url)).path
        if path.endswith("chat_stream"):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Events(self.events))
        body = answers.token() if path.endswith("/token") else self.vectors
        if path.endswith("/chat"):
            body = answers.chat()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))


class _Events(httpx.SyncByteStream):
    """Gives one event after another."""

    def __init__(self, events: list[bytes]) -> None:
        self.events = events

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.events)


def go_offline(transport: Answering) -> None:
    """Let every client of this package that is built from now on use a transport, below retries and limiter."""
    vars(client)["sync_transport"] = lambda *_: transport
