"""Sending without the parts of an httpx client that nothing here uses: redirects, cookies, hooks, default headers.

They cost a fifth of a short call. What opens connections and what
authenticates is httpx's own, its transports and its `Auth`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import httpx


class Direct:
    """Sends requests through one transport.

    Args:
        transport: what sends them.

    Attributes:
        is_closed: whether it was closed.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self.transport = transport
        self.is_closed = False

    def send(self, request: httpx.Request, *, auth: httpx.Auth, stream: bool = False) -> httpx.Response:
        """Send a request, with those that its authentication needs before or after, and return its answer.

        Args:
            request: what to send.
            auth: sees each answer, and says whether a request follows it.
            stream: leave the body for the caller, who closes the answer.

        Raises:
            httpx.HTTPError: no answer arrived, or not all of it.
        """
        flow = auth.sync_auth_flow(request)
        try:
            sent = next(flow)
            while True:
                response = self.transport.handle_request(sent)
                response.request = sent
                try:
                    following = _next(flow, response)
                    if following is not None or not stream:
                        response.read()
                except BaseException:
                    response.close()
                    raise
                if following is None:
                    return response
                sent = following
        finally:
            flow.close()

    def close(self) -> None:
        """Close the connections."""
        self.is_closed = True
        self.transport.close()


class AsyncDirect:
    """Sends requests through one transport; see `Direct`."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.is_closed = False

    async def send(self, request: httpx.Request, *, auth: httpx.Auth, stream: bool = False) -> httpx.Response:
        """Send a request, with those that its authentication needs, and return its answer; see `Direct.send`."""
        flow = auth.async_auth_flow(request)
        try:
            sent = await anext(flow)
            while True:
                response = await self.transport.handle_async_request(sent)
                response.request = sent
                try:
                    following = await _anext(flow, response)
                    if following is not None or not stream:
                        await response.aread()
                except BaseException:
                    await response.aclose()
                    raise
                if following is None:
                    return response
                sent = following
        finally:
            await flow.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self.is_closed = True
        await self.transport.aclose()


def _next(flow: Generator[httpx.Request, httpx.Response, None], response: httpx.Response) -> httpx.Request | None:
    """Return the request that follows an answer, if any."""
    try:
        return flow.send(response)
    except StopIteration:
        return None


async def _anext(flow: AsyncGenerator[httpx.Request, httpx.Response], response: httpx.Response) -> httpx.Request | None:
    """Return the request that follows an answer, if any."""
    try:
        return await flow.asend(response)
    except StopAsyncIteration:
        return None
