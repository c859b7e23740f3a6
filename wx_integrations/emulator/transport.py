"""The emulator behind httpx without sockets: one transport for both clients.

```python
transport = EmulatorTransport(Emulator())
httpx.Client(transport=transport); httpx.AsyncClient(transport=transport)
```
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.exchange import Frame, Reply, Request, Trouble

_TROUBLES: dict[Trouble, tuple[type[httpx.TransportError], str]] = {
    "refuse": (httpx.ConnectError, "Connection refused (emulated)"),
    "reset": (httpx.ReadError, "Connection reset by peer (emulated)"),
    "close": (httpx.RemoteProtocolError, "peer closed connection without sending complete message body (emulated)"),
    "timeout": (httpx.ReadTimeout, "The read operation timed out (emulated)"),
    "garbage": (httpx.RemoteProtocolError, "Server sent bytes that are not HTTP (emulated)"),
}


class EmulatorTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Both httpx transport roles over `Emulator.handle`.

    Waiting beyond the request's read timeout ends in `httpx.ReadTimeout`.
    The async role runs the brain in the event loop's thread: use the server
    for brains that think for long.

    Args:
        sleep: how the sync role waits.
        async_sleep: how the async role waits.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        sleep: Callable[[float], object] = time.sleep,
        async_sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self.emulator = emulator
        self._sleep = sleep
        self._async_sleep = async_sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a sync client."""
        request.read()
        reply = self.emulator.handle(_read(request))
        patience = _patience(request)
        try:
            self._wait(reply.wait, patience, request)
            _fail(reply.trouble, request)
        except BaseException:
            reply.close()
            raise
        return _response(reply, request, _SyncFrames(self, reply, request, patience))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        await request.aread()
        reply = self.emulator.handle(_read(request))
        patience = _patience(request)
        try:
            await self._async_wait(reply.wait, patience, request)
            _fail(reply.trouble, request)
        except BaseException:
            reply.close()
            raise
        return _response(reply, request, _AsyncFrames(self, reply, request, patience))

    def _wait(self, seconds: float, patience: float | None, request: httpx.Request) -> None:
        if patience is not None and seconds > patience:
            self._sleep(patience)
            _fail("timeout", request)
        if seconds > 0:
            self._sleep(seconds)

    async def _async_wait(self, seconds: float, patience: float | None, request: httpx.Request) -> None:
        if patience is not None and seconds > patience:
            await self._async_sleep(patience)
            _fail("timeout", request)
        await self._async_sleep(max(0.0, seconds))


class _SyncFrames(httpx.SyncByteStream):
    def __init__(
        self, transport: EmulatorTransport, reply: Reply, request: httpx.Request, patience: float | None
    ) -> None:
        self._transport = transport
        self._reply = reply
        self._request = request
        self._patience = patience

    def __iter__(self) -> Iterator[bytes]:
        for frame in _frames(self._reply):
            self._transport._wait(frame.wait, self._patience, self._request)
            _fail(frame.trouble, self._request)
            if frame.data:
                yield frame.data

    def close(self) -> None:
        self._reply.close()


class _AsyncFrames(httpx.AsyncByteStream):
    def __init__(
        self, transport: EmulatorTransport, reply: Reply, request: httpx.Request, patience: float | None
    ) -> None:
        self._transport = transport
        self._reply = reply
        self._request = request
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for frame in _frames(self._reply):
            await self._transport._async_wait(frame.wait, self._patience, self._request)
            _fail(frame.trouble, self._request)
            if frame.data:
                yield frame.data

    async def aclose(self) -> None:
        self._reply.close()


def _frames(reply: Reply) -> Iterator[Frame]:
    return iter([Frame(reply.body)]) if isinstance(reply.body, bytes) else reply.body


def _read(request: httpx.Request) -> Request:
    return Request(request.method, str(request.url), dict(request.headers), request.content)


def _patience(request: httpx.Request) -> float | None:
    timeout: dict[str, Any] = request.extensions.get("timeout") or {}
    return timeout.get("read")


def _fail(trouble: Trouble | None, request: httpx.Request) -> None:
    if trouble is not None:
        kind, message = _TROUBLES[trouble]
        raise kind(message, request=request)


def _response(
    reply: Reply, request: httpx.Request, stream: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    headers = dict(reply.headers)
    if isinstance(reply.body, bytes):
        headers["content-length"] = str(len(reply.body))
    return httpx.Response(reply.status, headers=headers, request=request, stream=stream)
