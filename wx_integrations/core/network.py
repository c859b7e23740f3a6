"""What httpcore reads from and writes to: TCP and TLS on asyncio alone, without a socket left over by a cancellation.

httpcore 1.0's own backend loses the socket of a connection that is cancelled
while it is being made, until the garbage collector finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any

import httpcore

ATTEMPT_DELAY = 0.25
"""Seconds after which a host's next address is tried as well (RFC 8305)."""
HIGH, LOW = 262_144, 65_536
"""Bytes that wait to be read, above which no more are taken from the socket, and below which they are again."""
MOST = 32_768
"""Bytes that are read at once: some eighty frames of a stream, which keep a framework busy for two milliseconds."""
HANDSHAKE = 60.0
"""Seconds of a TLS handshake without a timeout of its own."""


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Opens connections in the running event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Connect to whichever of the host's addresses answers first."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if local_address is None else {"local_addr": (local_address, 0)}
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):  # uvloop cannot
            options["happy_eyeballs_delay"] = ATTEMPT_DELAY
        try:
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(Stream, host, port, **options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for option in socket_options or ():
            stream.get_extra_info("socket").setsockopt(*option)
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection; one reads and one writes at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._full = self._paused = False
        self._reader: asyncio.Future[bool] | None = None
        self._writer: asyncio.Future[bool] | None = None

    # ------------------------------------------------------------------ what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self._ended = True
        _wake(self._reader)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    # ------------------------------------------------------------------ what httpcore asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, waiting for something; nothing at the end."""
        if self._pieces:
            await asyncio.sleep(0)  # who never waits would hold the event loop until all is read
        if not self._pieces and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            if not await _woken(self._reader, timeout):
                raise httpcore.ReadTimeout
        if not self._pieces:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error)) from self._error
            return b""
        piece, max_bytes = self._pieces.popleft(), min(max_bytes, MOST)
        if len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self._size -= len(piece)
        if self._paused and self._size <= LOW:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand bytes to the socket, waiting while it is full."""
        if not buffer:
            return
        if self._transport.is_closing():
            raise httpcore.WriteError("the connection is closed") from self._error
        self._transport.write(buffer)
        if self._full:
            self._writer = asyncio.get_running_loop().create_future()
            if not await _woken(self._writer, timeout):
                raise httpcore.WriteTimeout
            if self._error is not None or self._transport.is_closing():
                raise httpcore.WriteError("the connection is closed") from self._error

    async def aclose(self) -> None:
        """Close the socket at once; there is nothing to wait for, and so nothing to be cancelled in."""
        self._ended = True
        self._pieces.clear()
        with contextlib.suppress(RuntimeError):  # the loop was closed before us
            self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        """Speak TLS from now on."""
        loop = asyncio.get_running_loop()
        try:
            if self._pieces:
                raise ssl.SSLError(1, "the server spoke before the TLS handshake")
            async with asyncio.timeout(timeout):
                self._transport = await loop.start_tls(
                    self._transport,
                    self,
                    ssl_context,
                    server_hostname=server_hostname,
                    ssl_handshake_timeout=HANDSHAKE if timeout is None else timeout + HANDSHAKE,
                )
        except TimeoutError as error:
            self._transport.abort()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self._transport.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            self._transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return the "socket", the "ssl_object", an address, or whether something "is_readable" (or the end)."""
        if info == "is_readable":
            return self._ended or bool(self._pieces) or _is_readable(self._transport.get_extra_info("socket"))
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info))


def _wake(waiter: asyncio.Future[bool] | None, woken: bool = True) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(woken)


async def _woken(waiter: asyncio.Future[bool], timeout: float | None) -> bool:
    """Return whether somebody woke the waiter in time."""
    if timeout is None:
        return await waiter
    timer = waiter.get_loop().call_later(timeout, _wake, waiter, False)
    try:
        return await waiter
    finally:
        timer.cancel()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_readable(sock: socket.socket | None) -> bool:
    """Whether an idle socket has something to read, which is the end: the loop may not have come to notice it yet."""
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
