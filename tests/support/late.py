"""Answers that count as too late, whatever the clock says: no busy machine makes or hides these read timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.certificates import QUICK
from tests.support.server import answer

LATE = answer(200, b"", {"X-Late": "yes"})
"""What a server sends for an answer that its client shall not wait for any longer."""


class LateTransport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if "x-late" in response.headers:
            response.close()
            raise httpx.ReadTimeout("late", request=request)
        return response


class AsyncLateTransport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if "x-late" in response.headers:
            await response.aclose()
            raise httpx.ReadTimeout("late", request=request)
        return response


@contextmanager
def late_clients() -> Iterator[dict[str, Any]]:
    """Yield a connection's own clients of both colours, for which `LATE` is a read timeout."""
    client = httpx.Client(transport=LateTransport(verify=QUICK))
    with client:
        yield {
            "httpx_client": client,
            "async_httpx_client": httpx.AsyncClient(transport=AsyncLateTransport(verify=QUICK)),
        }
