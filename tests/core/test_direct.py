"""Sending straight through a transport: every answer is closed or in the caller's hands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from wx_integrations.core.direct import AsyncDirect, Direct


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body of two pieces, or of one and a failure."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        if self.fails:
            raise httpx.ReadError("gone")
        yield b"b"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, *bodies: Body) -> None:
        self.bodies = list(bodies)
        self.sent: list[str] = []
        self.closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.url.path)
        return httpx.Response(200, stream=self.bodies[len(self.sent) - 1])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


class Login(httpx.Auth):
    """Sends a request of its own first, and may refuse the answer."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.ended = False

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            response = yield httpx.Request("POST", "http://x/token")
            assert response.read() == b"ab"
            yield request
            if self.refuses:
                raise ValueError("refused")
        finally:
            self.ended = True

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            response = yield httpx.Request("POST", "http://x/token")
            assert await response.aread() == b"ab"
            yield request
            if self.refuses:
                raise ValueError("refused")
        finally:
            self.ended = True


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Any:
    async def sent(wire: Wire, auth: httpx.Auth, *, stream: bool) -> httpx.Response:
        question = httpx.Request("GET", "http://x/question")
        if request.param == "sync":
            return Direct(wire).send(question, auth=auth, stream=stream)
        return await AsyncDirect(wire).send(question, auth=auth, stream=stream)

    return sent


@pytest.mark.parametrize("stream", [False, True])
async def test_what_authentication_needs_is_sent_as_well(send: Any, stream: bool) -> None:
    wire, login = Wire(Body(), Body()), Login()
    response = await send(wire, login, stream=stream)
    assert wire.sent == ["/token", "/question"]
    assert response.request.url.path == "/question"
    assert [body.closed for body in wire.bodies] == [1, 0 if stream else 1]
    assert login.ended
    if stream:
        assert not response.is_closed
    else:
        assert response.content == b"ab"


@pytest.mark.parametrize(("failing", "closed"), [(0, [1, 0]), (1, [1, 1])])
async def test_a_body_that_fails_is_closed(send: Any, failing: int, closed: list[int]) -> None:
    wire, login = Wire(Body(fails=failing == 0), Body(fails=failing == 1)), Login()
    with pytest.raises(httpx.ReadError):
        await send(wire, login, stream=False)
    assert [body.closed for body in wire.bodies] == closed
    assert login.ended


async def test_an_answer_that_authentication_refuses_is_closed(send: Any) -> None:
    wire, login = Wire(Body(), Body()), Login(refuses=True)
    with pytest.raises(ValueError, match="refused"):
        await send(wire, login, stream=True)
    assert [body.closed for body in wire.bodies] == [1, 1]
    assert login.ended


async def test_closing_closes_the_transport() -> None:
    wire, awire = Wire(), Wire()
    direct = Direct(wire)
    direct.close()
    async with aclosing(AsyncDirect(awire)) as adirect:
        assert not adirect.is_closed
    assert (wire.closed, direct.is_closed, awire.closed, adirect.is_closed) == (True, True, True, True)
