"""The two transports that obey a session's limiter: every inference request passes, token requests do not."""

from __future__ import annotations

import io
from contextvars import ContextVar

import httpx

from wx_integrations.core.errors import retry_after
from wx_integrations.core.limiter import Caller, Limiter
from wx_integrations.core.pace import REFUSALS, read_signals
from wx_integrations.core.retry import TRAIL, Trail, Waiting

CALLER: ContextVar[Caller | None] = ContextVar("wx_integrations.caller", default=None)
"""On whose behalf this thread or task sends; None for nobody's in particular."""

LONGEST_REFUSAL = 65_536
"""Bytes of a refusal's body that are read for what it says about the limit."""


LARGEST_BUFFER = 64_000_000
"""Bytes that a `content-length` may make us reserve."""


class _Passage:
    """What both colours do without waiting."""

    def __init__(self, limiter: Limiter, waiting: Waiting) -> None:
        self.limiter = limiter
        self.waiting = waiting

    def concerns(self, request: httpx.Request) -> Trail | None:
        """Return the trail of a request that counts against the limit, which inference requests do."""
        if request.method != "POST" or not request.url.raw_path.startswith(b"/ml/"):
            return None
        trail = request.extensions.get(TRAIL)
        return trail if isinstance(trail, Trail) and not trail.soft else None

    def caller(self) -> Caller:
        return CALLER.get() or self.limiter.everybody

    def passed(self, caller: Caller, sent: float, response: httpx.Response | None) -> None:
        """Tell the limiter what came back; None for no answer."""
        if response is None:
            self.limiter.answered(caller, None, sent)
            return
        body = b"".join(response.stream) if isinstance(response.stream, httpx.ByteStream) else b""
        asked, words = None, b""
        if response.status_code in REFUSALS:
            asked, words = retry_after(response.headers, now=self.waiting.now()), body
        signals = read_signals(response.headers.raw, retry_after=asked, now=self.waiting.now(), body=words)
        self.limiter.answered(caller, response.status_code, sent, signals, size=len(body))


def is_read_here(response: httpx.Response, trail: Trail) -> bool:
    """Whether a body is wanted whole, or may say what the limit is and is short enough to look."""
    if response.status_code < 400:
        return trail.whole
    length = response.headers.get("content-length", "")
    return response.status_code == 429 and length.isdecimal() and int(length) <= LONGEST_REFUSAL


class Turnstile(httpx.BaseTransport):
    """Lets each attempt through when the limiter says so, and tells it what came back.

    Whole answers are read here: what takes long is often the body.
    """

    def __init__(self, inner: httpx.BaseTransport, limiter: Limiter, waiting: Waiting) -> None:
        self.inner = inner
        self._passage = _Passage(limiter, waiting)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        passage = self._passage
        trail = passage.concerns(request)
        if trail is None:
            return self.inner.handle_request(request)
        caller = passage.caller()
        held = passage.limiter.hold(caller, again=trail.attempts > 1, sleep=passage.waiting.sleep)
        _excuse(trail, held)
        sent = passage.limiter.clock()
        response = None
        try:
            arriving = self.inner.handle_request(request)
            response = self._read(arriving) if is_read_here(arriving, trail) else arriving
            return response
        finally:
            passage.passed(caller, sent, response)

    def _read(self, response: httpx.Response) -> httpx.Response:
        stream, body = response.stream, buffer_for(response)
        assert isinstance(stream, httpx.SyncByteStream)
        try:
            for piece in stream:
                body.write(piece)
        except httpx.TransportError:
            if response.status_code < 400:
                raise  # of a refusal the status says enough
        finally:
            stream.close()
        return _whole(response, body)

    def close(self) -> None:
        self.inner.close()


class AsyncTurnstile(httpx.AsyncBaseTransport):
    """Lets each attempt through when the limiter says so, and tells it what came back.

    Whole answers are read here: what takes long is often the body.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, limiter: Limiter, waiting: Waiting) -> None:
        self.inner = inner
        self._passage = _Passage(limiter, waiting)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        passage = self._passage
        trail = passage.concerns(request)
        if trail is None:
            return await self.inner.handle_async_request(request)
        caller = passage.caller()
        held = await passage.limiter.ahold(caller, again=trail.attempts > 1, sleep=passage.waiting.asleep)
        _excuse(trail, held)
        sent = passage.limiter.clock()
        response = None
        try:
            arriving = await self.inner.handle_async_request(request)
            response = await self._read(arriving) if is_read_here(arriving, trail) else arriving
            return response
        finally:
            passage.passed(caller, sent, response)

    async def _read(self, response: httpx.Response) -> httpx.Response:
        stream, body = response.stream, buffer_for(response)
        assert isinstance(stream, httpx.AsyncByteStream)
        try:
            async for piece in stream:
                body.write(piece)
        except httpx.TransportError:
            if response.status_code < 400:
                raise  # of a refusal the status says enough
        finally:
            await stream.aclose()
        return _whole(response, body)

    async def aclose(self) -> None:
        await self.inner.aclose()


def _excuse(trail: Trail, held: float) -> None:
    """Leave the wait for one's turn out of the retry policy's time budget."""
    if held and trail.started is not None:
        trail.started += held


def buffer_for(response: httpx.Response) -> io.BytesIO:
    """Return a buffer as long as the body will be: one that grows with ten megabytes copies them many times over."""
    length = response.headers.get("content-length", "")
    return io.BytesIO(bytes(min(int(length), LARGEST_BUFFER))) if length.isdecimal() else io.BytesIO()


def _whole(response: httpx.Response, body: io.BytesIO) -> httpx.Response:
    """Return an answer as if its body were still to come, but at once.

    Joined pieces would hold a body of megabytes twice; `getvalue` hands the buffer itself over.
    """
    body.truncate()
    response.stream = httpx.ByteStream(body.getvalue())
    return response
