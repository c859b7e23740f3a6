"""The emulator on a socket, for other programs: an ASGI app, and a server in a thread of this process.

```python
with LocalServer(Emulator(strict=False), tls=True) as server:
    print(server.url, server.ca_path)
```

Needs the extra `local`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import trustme
import uvicorn
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
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


class NotLoopback(ValueError):
    """The emulator was asked to listen where others on the network can reach it."""


def asgi_app(emulator: Emulator) -> Starlette:
    """Return the emulator as an ASGI application."""
    threads = anyio.CapacityLimiter(THREADS)

    async def answer(web: WebRequest) -> WebResponse:
        request = Request(web.method, _url(web.scope), dict(web.headers), await web.body())
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


# --------------------------------------------------------------------------- a server in a thread


class LocalServer:
    """Serves an emulator from a thread of this process; a context manager.

    Args:
        port: 0 takes a free one.
        tls: serve https with a throw-away certificate; its CA is at `ca_path`.
        names: further host names for the certificate.
        allow_remote: listen on addresses that others can reach.

    Raises:
        NotLoopback: the host is not a loopback address and `allow_remote` is not set.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        names: Sequence[str] = (),
        allow_remote: bool = False,
    ) -> None:
        if not allow_remote and not _is_loopback(host):
            raise NotLoopback(f"{host} can be reached by others; pass allow_remote=True if that is meant")
        self.emulator = emulator
        self.host = host
        self._port = port
        self._tls = tls
        self._names = tuple(names)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def ca_path(self) -> str | None:
        """The file with the throw-away certificate authority; None without TLS or before the start."""
        return str(Path(self._folder.name) / "ca.pem") if self._folder is not None else None

    def start(self) -> LocalServer:
        """Begin to listen; returns when requests are answered.

        Raises:
            OSError: the port is taken.
            RuntimeError: the server did not come up.
        """
        if self._thread is not None:
            raise RuntimeError("the server is already running")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self.host, self._port))
            self._server = uvicorn.Server(self._config())
            self._thread = threading.Thread(target=self._run, name="wx-emulator", daemon=True)
            self._thread.start()
            self._wait_until_started()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End: no new requests, running streams are cut after a moment."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)
            if self._thread.is_alive() and self._server is not None:
                self._server.force_exit = True
                self._thread.join(STOP_TIMEOUT)
        if self._socket is not None:
            self._socket.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._server = self._thread = self._folder = None

    def wait(self) -> None:
        """Stay until the server ends."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _config(self) -> uvicorn.Config:
        files = self._certificate() if self._tls else {}
        return uvicorn.Config(
            asgi_app(self.emulator),
            http=BreakableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            **files,
        )

    def _certificate(self) -> dict[str, Any]:
        self._folder = tempfile.TemporaryDirectory(prefix="wx-emulator-")
        folder = Path(self._folder.name)
        authority = trustme.CA(organization_name="wx_integrations throw-away CA")
        leaf = authority.issue_cert("localhost", "127.0.0.1", "::1", *self._names)
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        return {"ssl_certfile": str(folder / "server.pem"), "ssl_keyfile": str(folder / "server.pem")}

    def _run(self) -> None:
        if self._server is not None and self._socket is not None:
            quiet = _OwnThread(threading.get_ident())
            logger = logging.getLogger("uvicorn.error")
            logger.addFilter(quiet)
            try:
                self._server.run(sockets=[self._socket])
            finally:
                logger.removeFilter(quiet)

    def _wait_until_started(self) -> None:
        waited = 0.0
        pause = threading.Event()
        while self._server is not None and not self._server.started:
            if self._thread is None or not self._thread.is_alive() or waited > START_TIMEOUT:
                raise RuntimeError("the server did not start")
            pause.wait(0.01)
            waited += 0.01


class _OwnThread(logging.Filter):
    """Drops what uvicorn logs from one thread, so that other servers of this process keep their logs."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep records of other threads."""
        return record.thread != self._thread


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
