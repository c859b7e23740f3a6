"""Connections of the event loop: what is cancelled, refused or cut leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import httpcore
import httpx
import pytest

from tests.support.certificates import Authority
from tests.support.leftovers import Reached, busy, cancelled_at, open_in, pools_of, until
from tests.support.server import (
    CLOSE,
    HANG,
    RESET,
    Script,
    Server,
    Step,
    answer,
    error,
    joined,
    stream,
    wait_until,
)
from tests.support.tokens import iam
from wx_integrations.core.calls import StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConnectionFailed, WatsonxError
from wx_integrations.core.network import HIGH, MOST, AsyncioBackend, Stream
from wx_integrations.core.pools import orphans_of, to_the_end
from wx_integrations.core.session import Session
from wx_integrations.core.transport import async_transport, sync_transport

CALL = model_specs()
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
STREAM: StreamCall[bytes] = StreamCall(
    path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: data == b'"end"', body=b"{}"
)
Serve = Callable[..., Server]


# --------------------------------------------------------------------------- cancelled at every point


def has_open(server: Server, count: int) -> bool:
    return server.open_connections() == count


ANSWERS: dict[str, Sequence[Step]] = {
    "whole": OK,
    "in pieces": [bytes([byte]) for byte in joined(OK)],
    "refused": error(400, "code"),
    "reset": [RESET],
    "stream": stream(b'data: "a"\n\n', b'data: "end"\n\n'),
    "stream reset": stream(b'data: "a"\n\n', RESET, end=False),
}


@pytest.mark.parametrize("most", [None, 1], ids=["", "one connection"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_cancelled_at_any_point_a_call_leaves_nothing_in_use(
    serve: Serve, authority: Authority, kind: str, tls: bool, warm: bool, most: int | None
) -> None:
    """Whichever wait is cancelled: no connection stays in use, and the server sees those end that are not kept."""
    script: dict[str, Any] = {"now": ANSWERS[kind]}
    handler = Script(lambda _: script["now"], token=iam())
    server = serve(handler, **({"tls": authority.good()} if tls else {}))
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most or 100)
    session = Session(
        Connection(
            url=server.url,
            api_key="k",
            verify=str(authority.file) if tls else None,
            max_retries=1,
            limits=limits,
            retry_backoff_factor=0.0,
        )
    )
    client = session.async_client

    async def work() -> None:
        try:
            if kind.startswith("stream"):
                async for _ in client.stream(STREAM):
                    pass
            else:
                await client.run(CALL)
        except WatsonxError:
            pass

    point, reached = 0, True
    while reached:
        point += 1
        if not warm:
            await client.aclose()
        else:
            script["now"] = OK
            await client.run(CALL)
            script["now"] = ANSWERS[kind]
        session.client._shared.cell.forget_leader()
        try:
            await cancelled_at(work(), point)
            reached = False
        except Reached:
            pass
        await asyncio.sleep(0)
        live = client._loops[id(asyncio.get_running_loop())] if client._loops else None
        if live is None:
            continue
        pools = pools_of(live.http.transport)  # type: ignore[union-attr]
        assert [busy(pool) for pool in pools] == [[]] * len(pools), f"at wait {point}"
        assert live.users == 0
        kept = sum(map(open_in, pools))
        await until(partial(has_open, server, kept))
    assert point > 3
    script["now"] = OK
    await asyncio.wait_for(client.run(CALL), 10)  # and it still works
    await client.aclose()


# --------------------------------------------------------------------------- one connection


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    yield made
    made.close()


class Peer:
    """The other end of one connection, in the test's hands."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.end: socket.socket | None = None

    async def connected(self) -> tuple[Stream, socket.socket]:
        stream = await AsyncioBackend().connect_tcp("127.0.0.1", self.port, timeout=10)
        end, _ = await asyncio.to_thread(self._listener.accept)
        end.settimeout(10)
        self.end = end
        return stream, end

    def close(self) -> None:
        self._listener.close()
        if self.end is not None:
            self.end.close()


async def test_what_arrives_is_read_to_the_end(peer: Peer) -> None:
    stream, end = await peer.connected()
    end.sendall(b"abcdef")
    assert [await stream.read(4), await stream.read(4)] == [b"abcd", b"ef"]
    assert not stream.get_extra_info("is_readable")
    end.sendall(b"last")
    end.close()
    assert await stream.read(100, 10) == b"last"
    assert await stream.read(100, 10) == b""
    assert await stream.read(100, 10) == b""
    assert stream.get_extra_info("is_readable")
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"x")
    await stream.aclose()


async def test_reading_stops_while_nobody_reads(peer: Peer) -> None:
    stream, end = await peer.connected()
    sending = asyncio.create_task(asyncio.to_thread(end.sendall, b"x" * 40_000_000))
    await until(lambda: stream._paused)
    assert HIGH < stream._size < 3 * HIGH
    read = 0
    while read < 40_000_000:
        read += len(await stream.read(65_536, 10))
    await sending
    assert read == 40_000_000
    await stream.aclose()


@pytest.mark.parametrize("most", [10_000, 65_536, 1_000_000])
async def test_others_have_their_turn_while_much_is_read(peer: Peer, most: int) -> None:
    stream, end = await peer.connected()
    end.sendall(b"x" * 200_000)
    await until(lambda: stream._size == 200_000)
    turns = []

    async def other() -> None:
        while stream._size:
            turns.append(stream._size)
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    pieces = []
    while stream._size:
        pieces.append(len(await stream.read(most, 10)))
    await beside
    assert sum(pieces) == 200_000
    assert max(pieces) == min(most, MOST)
    assert len(turns) >= len(pieces)
    await stream.aclose()


async def test_writing_waits_while_the_peer_does_not_read(peer: Peer) -> None:
    stream, end = await peer.connected()
    with pytest.raises(httpcore.WriteTimeout):
        await stream.write(b"x" * 100_000_000, timeout=0.01)
    writing = asyncio.create_task(stream.write(b"y", timeout=10))

    def drain() -> int:
        got = 0
        while piece := end.recv(1_000_000):
            got += len(piece)
            if piece.endswith(b"y"):
                return got
        return got

    await asyncio.to_thread(drain)
    await writing
    await stream.aclose()


async def test_a_peer_that_leaves_ends_the_writing(peer: Peer) -> None:
    stream, end = await peer.connected()

    writing = asyncio.create_task(stream.write(b"x" * 100_000_000, timeout=10))
    await until(lambda: stream._full)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    end.close()
    with pytest.raises(httpcore.WriteError):
        await writing
    with pytest.raises(httpcore.ReadError):
        await stream.read(10, 10)
    await stream.aclose()


async def test_a_reset_is_told_after_what_came_before(peer: Peer) -> None:
    stream, end = await peer.connected()
    end.sendall(b"abc")
    assert await stream.read(3, 10) == b"abc"
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    end.close()
    with pytest.raises(httpcore.ReadError, match="reset"):
        await stream.read(3, 10)
    await stream.aclose()


async def test_reading_waits_no_longer_than_it_is_told(peer: Peer) -> None:
    stream, end = await peer.connected()
    with pytest.raises(httpcore.ReadTimeout):
        await stream.read(3, 0.01)
    end.sendall(b"late")
    assert await stream.read(10, 10) == b"late"
    await stream.aclose()


async def test_closing_is_seen_at_once_and_can_be_done_twice(peer: Peer) -> None:
    stream, end = await peer.connected()
    reading = asyncio.create_task(stream.read(10))
    await asyncio.sleep(0)
    await stream.aclose()
    await stream.aclose()
    assert await asyncio.to_thread(end.recv, 10) == b""
    assert await reading == b""
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"x")


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(httpcore.ConnectError) as caught:
        await AsyncioBackend().connect_tcp("127.0.0.1", port, timeout=10)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]

    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed, peer.port)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    stream = await AsyncioBackend().connect_tcp("some.example", 443, timeout=10)
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", peer.port)
    assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
    assert stream.get_extra_info("ssl_object") is None
    await stream.aclose()


async def test_an_address_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    with pytest.raises(httpcore.ConnectTimeout):
        await AsyncioBackend().connect_tcp("127.0.0.1", 9, timeout=0.01)
    with pytest.raises(httpcore.ConnectTimeout):
        await AsyncioBackend().connect_tcp("localhost", 9, timeout=0.01)


async def test_options_and_a_local_address(peer: Peer) -> None:
    stream = await AsyncioBackend().connect_tcp(
        "127.0.0.1", peer.port, local_address="127.0.0.1", socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    )
    assert stream.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await AsyncioBackend().sleep(0)
    await stream.aclose()


# --------------------------------------------------------------------------- TLS


async def test_a_handshake_that_never_ends(peer: Peer, authority: Authority) -> None:
    stream, end = await peer.connected()
    with pytest.raises(httpcore.ConnectTimeout):
        await stream.start_tls(ssl.create_default_context(cafile=str(authority.file)), "127.0.0.1", timeout=0.05)
    assert await asyncio.to_thread(wait_until, lambda: end.recv(65_536) == b"")


@pytest.mark.parametrize("said", [b"hello, this is no TLS\r\n" * 10, b""], ids=["words", "nothing"])
async def test_a_peer_that_speaks_no_tls(peer: Peer, authority: Authority, said: bytes) -> None:
    stream, end = await peer.connected()
    handshake = asyncio.create_task(
        stream.start_tls(ssl.create_default_context(cafile=str(authority.file)), "127.0.0.1", timeout=10)
    )
    await asyncio.to_thread(end.recv, 65_536)
    if said:
        end.sendall(said)
    else:
        end.shutdown(socket.SHUT_WR)
    with pytest.raises(httpcore.ConnectError):
        await handshake
    assert await asyncio.to_thread(end.recv, 65_536) == b""


async def test_a_peer_that_speaks_before_the_handshake(peer: Peer, authority: Authority) -> None:
    stream, end = await peer.connected()
    end.sendall(b"220 mail.example ESMTP\r\n")
    await until(lambda: stream._pieces)
    with pytest.raises(httpcore.ConnectError, match="before the TLS handshake"):
        await stream.start_tls(ssl.create_default_context(cafile=str(authority.file)), "127.0.0.1", timeout=10)


class Tunnel:
    """An HTTP proxy that opens tunnels to one place, with or without TLS to itself."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self.opened = 0

    async def __aenter__(self) -> Tunnel:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT ")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
async def test_tls_within_a_tunnel(serve: Serve, authority: Authority, tls: bool) -> None:
    """To a proxy that itself speaks TLS it is TLS within TLS."""
    server = serve(Script(OK), tls=authority.good())
    context = ssl.create_default_context(cafile=str(authority.file))
    async with Tunnel(server.port, authority.good() if tls else None) as tunnel:
        proxy = httpx.Proxy(tunnel.url, ssl_context=context if tls else None)
        transport: Any = async_transport(context, httpx.Limits(), proxy)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport) as client:
            for _ in range(3):
                assert (await client.get(f"https://127.0.0.1:{server.port}/x")).status_code == 200
        assert (tunnel.opened, server.accepted) == (1, 1)


async def test_a_certificate_refused_in_a_tunnel_takes_no_place_in_the_pool(serve: Serve, authority: Authority) -> None:
    server = serve(Script(OK), tls=authority.self_signed())
    context = ssl.create_default_context(cafile=str(authority.file))
    url, limits = f"https://127.0.0.1:{server.port}/x", httpx.Limits(max_connections=1)
    async with Tunnel(server.port) as tunnel:
        transport: Any = async_transport(context, limits, tunnel.url)
        plain = sync_transport(context, limits, tunnel.url)
        async with httpx.AsyncClient(transport=transport, timeout=10) as client:
            with httpx.Client(transport=plain, timeout=10) as waiting:
                for _ in range(3):  # the second would wait for the place of the first
                    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                        await client.get(url)
                    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                        await asyncio.to_thread(waiting.get, url)
                assert [busy(pool) for pool in [*pools_of(transport), *pools_of(plain)]] == [[], []]
        assert transport.load == [0]


# --------------------------------------------------------------------------- closing


async def finishing(work: Coroutine[Any, Any, None]) -> None:
    await to_the_end(work)


async def test_work_is_done_to_the_end_though_it_is_cancelled() -> None:
    done = []

    async def work() -> None:
        for number in range(3):
            await asyncio.sleep(0)
            done.append(number)

    task = asyncio.create_task(finishing(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [0, 1, 2]


async def test_work_that_waits_for_somebody_is_told_of_the_cancellation() -> None:
    told = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            told.append("yes")
            raise

    task = asyncio.create_task(finishing(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["yes"]


async def test_the_work_s_own_error_comes_out() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        await to_the_end(work())


async def test_a_place_in_the_pool_goes_to_the_next_when_a_request_is_cancelled(serve: Serve) -> None:
    server = serve(Script([HANG], OK))
    limits = httpx.Limits(max_connections=1)
    session = Session(Connection(url=server.url, token="t", limits=limits, max_retries=0))
    first = asyncio.create_task(session.async_client.run(CALL))
    await asyncio.to_thread(server.next)
    second = asyncio.create_task(session.async_client.run(CALL))
    (live,) = session.async_client._loops.values()
    (pool,) = pools_of(live.http.transport)  # type: ignore[union-attr]
    await until(lambda: len(pool._requests) == 2)
    first.cancel()
    await asyncio.wait_for(second, 10)
    assert server.accepted == 2
    await session.async_client.aclose()


async def test_a_broken_connection_is_named(serve: Serve) -> None:
    server = serve(Script([CLOSE]))
    session = Session(Connection(url=server.url, token="t", max_retries=0))
    with pytest.raises(ConnectionFailed, match=r"broke before the answer was whole \(Server disconnected"):
        await session.async_client.run(CALL)
    await session.async_client.aclose()


def test_pools_of_another_make_are_left_to_themselves() -> None:
    assert orphans_of(None) == orphans_of(object()) == []
