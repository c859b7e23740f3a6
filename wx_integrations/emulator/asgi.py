"""The emulator as an ASGI application; needs the extra `local`."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.routing import Route as WebRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.exchange import Frame, Reply, Request, Trouble, json_reply

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_TRANSPORT = "wx_integrations.transport"
_FOREVER = 1e9
_log = logging.getLogger(__name__)
THREADS = 64


def asgi_app(emulator: Emulator, *, tools: bool = False) -> Starlette:
    """Return the emulator as an ASGI application.

    Args:
        tools: serve the utility agent tools; whoever can reach the server can run programs with them.
    """
    threads = anyio.CapacityLimiter(THREADS)

    async def answer(web: WebRequest) -> WebResponse:
        request = Request(web.method, _url(web.scope), dict(web.headers), await web.body(), trusted=tools)
        try:
            reply = await to_thread.run_sync(emulator.handle, request, limiter=threads)
        except Exception as error:
            _log.exception("the brain failed")
            reply = _failed(error)
        return EmulatedResponse(reply, threads)

    return Starlette(routes=[WebRoute("/{path:path}", answer, methods=_METHODS)])


def _failed(error: Exception) -> Reply:
    """Return the answer to a request that the brain could not cope with, with the reason for whoever looks."""
    item = {"code": "downstream_request_failed", "message": f"{type(error).__name__}: {error}"}
    return json_reply(500, {"errors": [item], "status_code": 500})


def _url(scope: Scope) -> str:
    """Return the URL as the client wrote it, with its escapes."""
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"localhost").decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


class EmulatedResponse(WebResponse):
    """Sends a reply: waits, streams and breaks as the reply says; a client that leaves stops the brain."""

    def __init__(self, reply: Reply, threads: anyio.CapacityLimiter) -> None:
        super().__init__(b"", reply.status if reply.status >= 200 else 500)
        self._reply = reply
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._leave_with_the_client, receive, group.cancel_scope)
                await self._send(scope, send)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._reply.close, limiter=self._threads)

    async def _leave_with_the_client(self, receive: Receive, scope: anyio.CancelScope) -> None:
        message: Message = {}
        while message.get("type") != "http.disconnect":
            message = await receive()
        scope.cancel()

    async def _send(self, scope: Scope, send: Send) -> None:
        reply = self._reply
        if reply.wait:
            await anyio.sleep(reply.wait)
        if reply.trouble is not None:
            return await self._break(scope, reply.trouble)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        if isinstance(reply.body, bytes):
            headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if isinstance(reply.body, bytes):
            return await send({"type": "http.response.body", "body": reply.body})
        async for frame in self._frames(reply.body):
            if frame.wait:
                await anyio.sleep(frame.wait)
            if frame.trouble is not None:
                return await self._break(scope, frame.trouble)
            await send({"type": "http.response.body", "body": frame.data, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})

    async def _frames(self, frames: Iterator[Frame]) -> AsyncIterator[Frame]:
        while True:
            try:
                frame = await to_thread.run_sync(next, frames, None, limiter=self._threads)
            except Exception:
                _log.exception("the brain failed in the middle of a stream")
                frame = Frame(trouble="close")
            if frame is None:
                return
            yield frame

    async def _break(self, scope: Scope, trouble: Trouble) -> None:
        """Break the connection for real, then wait until it is gone."""
        transport = scope.get(_TRANSPORT)
        if trouble != "timeout":
            if transport is None:
                raise RuntimeError("breaking connections needs LocalServer")
            if trouble == "garbage":
                transport.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            if trouble in ("garbage", "close"):
                transport.close()
            else:
                _reset(transport)
        await anyio.sleep(_FOREVER)


def _reset(transport: Any) -> None:
    """Make the kernel send RST instead of an orderly end."""
    raw = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which also hands its transport to the app so that it can be broken."""

    def connection_made(self, transport: Any) -> None:
        """Remember the transport of this connection."""
        super().connection_made(transport)
        self.app: Any = _with_transport(self.app, transport)


def _with_transport(app: ASGIApp, transport: Any) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def bound(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_TRANSPORT] = transport
        await app(scope, receive, send)

    return bound
