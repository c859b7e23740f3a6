"""An httpx transport of both colours that records requests and plays answers; for hosts that are not on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Recorder:
    """Plays answers in order, the last one for ever.

    Attributes:
        requests: what was sent, in order.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self._last: Answer = httpx.Response(200, json={})
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        if isinstance(self._last, httpx.Response):
            source = self._last
            return httpx.Response(source.status_code, headers=source.headers, content=source.content)
        return self._last(request)

    @contextmanager
    def clients(self, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the two settings of a connection that send everything here."""
        transport = httpx.MockTransport(self)
        with httpx.Client(transport=transport, **options) as client:
            # Nothing is open in the asynchronous one, so it need not be closed.
            yield {"httpx_client": client, "async_httpx_client": httpx.AsyncClient(transport=transport, **options)}


def sent(requests: Sequence[httpx.Request]) -> list[tuple[str, str]]:
    """Return method and URL of requests."""
    return [(request.method, str(request.url)) for request in requests]
