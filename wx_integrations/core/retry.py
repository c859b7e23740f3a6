"""When to send again: one policy (pure), and the two transports that obey it.

A request is repeated only while nothing of its answer has been handed on:
never after the first streamed byte. Whole answers are read inside the
transport, so a connection that dies half-way counts as no answer.
"""

import asyncio
import logging
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import httpx
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from wx_integrations.core.errors import ConfigurationError, ConnectionFailed, TimedOut, WatsonxError, retry_after
from wx_integrations.core.wire.shapes import ON_FIRST_USE

WatsonxErrorT = TypeVar("WatsonxErrorT", bound=WatsonxError)
logger = logging.getLogger("wx_integrations")

DEFAULT_STATUSES = (429, 500, 502, 503, 504, 520, 521, 524)


class RetryPolicy(BaseModel):
    """How often and how long to try again.

    Attributes:
        retry_total: repetitions after the first try; 0 turns them off.
        retry_backoff_factor: seconds; the n-th wait is drawn between 0 and factor * 2**n (full jitter).
        retry_status_forcelist: HTTP statuses worth another try.
        retry_max_wait: seconds; bound of one drawn wait.
        retry_time_budget: seconds for all tries and waits of a call; a `Retry-After` beyond it ends the call.
        retry_read_timeouts: whether a generation is repeated after a read timeout (it may be billed twice).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=ON_FIRST_USE)

    retry_total: int = Field(default=5, ge=0, validation_alias=AliasChoices("retry_total", "total"))
    retry_backoff_factor: float = Field(
        default=0.5, ge=0, allow_inf_nan=False, validation_alias=AliasChoices("retry_backoff_factor", "backoff_factor")
    )
    retry_status_forcelist: tuple[int, ...] = Field(
        default=DEFAULT_STATUSES, validation_alias=AliasChoices("retry_status_forcelist", "status_forcelist")
    )
    retry_max_wait: float = Field(
        default=30.0, ge=0, allow_inf_nan=False, validation_alias=AliasChoices("retry_max_wait", "max_wait")
    )
    retry_time_budget: float = Field(
        default=120.0, ge=0, validation_alias=AliasChoices("retry_time_budget", "time_budget")
    )
    retry_read_timeouts: bool = Field(
        default=False, validation_alias=AliasChoices("retry_read_timeouts", "read_timeouts")
    )

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, "retry policy") from None

    def wait(
        self,
        retries: int,
        elapsed: float,
        *,
        status: int | None = None,
        asked: float | None = None,
        error: Exception | None = None,
        generates: bool = False,
        draw: Callable[[], float] = random.random,
    ) -> float | None:
        """Return the seconds to wait before the next try, or None to give up.

        Args:
            retries: repetitions made so far.
            elapsed: seconds since the call began.
            status: the answer's status, if there was an answer.
            asked: the seconds its `Retry-After` asks for.
            error: what went wrong, if there was no answer.
            generates: whether the model writes text.
            draw: a number in [0, 1).
        """
        if retries >= self.retry_total:
            return None
        if error is not None:
            worth = self._worth_repeating(error, generates=generates)
        else:
            worth = status in self.retry_status_forcelist
        if not worth:
            return None
        if asked is not None:
            seconds = asked
        else:
            seconds = draw() * min(self.retry_max_wait, self.retry_backoff_factor * 2.0 ** min(retries, 60))
        return seconds if elapsed + seconds <= self.retry_time_budget else None

    def _worth_repeating(self, error: Exception, *, generates: bool) -> bool:
        if isinstance(error, httpx.ReadTimeout):
            return self.retry_read_timeouts or not generates
        if isinstance(error, httpx.ConnectError):
            return not is_permanent(error)
        return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.TimeoutException)


USUAL = RetryPolicy.model_construct()
"""The policy of who says nothing about it."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def is_permanent(error: BaseException) -> bool:
    """Whether a failed connection would fail again: a bad certificate, no TLS, or an unknown host name."""
    return any(
        (isinstance(cause, ssl.SSLError) and not isinstance(cause, _BROKEN_OFF))
        or (isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME)
        for cause in causes(error)
    )


class Waiting(NamedTuple):
    """Time and chance, so that tests are instant and exact."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.random


class Trail:
    """What happened to one request: how often it was sent and how long it waited in between.

    Args:
        policy: decides about further attempts.
        whole: whether the answer is read inside the transport (not for streams).
        generates: whether the model writes text.
        soft: whether a failure comes back as a response: the auth flow, a generator, sees nothing else.
        attempts: how often it was sent.
        waited: seconds.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        whole: bool = True,
        generates: bool = False,
        soft: bool = False,
        attempts: int = 0,
        waited: float = 0.0,
    ) -> None:
        self.policy, self.whole, self.generates, self.soft = policy, whole, generates, soft
        self.attempts, self.waited = attempts, waited
        self.granted = 0
        """Attempts that do not count against the policy: the repetition after a token was refused."""
        self.started: float | None = None

    def begin(self, waiting: Waiting) -> None:
        """Count one more attempt; the first starts the clock."""
        self.attempts += 1
        if self.started is None:
            self.started = waiting.clock()

    def next_wait(self, waiting: Waiting, request: httpx.Request, outcome: httpx.Response | Exception) -> float | None:
        """Decide about another try, and note it."""
        elapsed = waiting.clock() - (self.started or 0.0)
        retries = self.attempts - 1 - self.granted
        if isinstance(outcome, httpx.Response):
            asked = retry_after(outcome.headers, now=waiting.now())
            seconds = self.policy.wait(retries, elapsed, status=outcome.status_code, asked=asked, draw=waiting.draw)
            what = str(outcome.status_code)
        else:
            seconds = self.policy.wait(retries, elapsed, error=outcome, generates=self.generates, draw=waiting.draw)
            what = type(outcome).__name__
        place = (request.method, request.url.host, request.url.path, what)
        if seconds is not None:
            self.waited += seconds
            last = self.policy.retry_total + 1 + self.granted
            logger.debug("%s %s%s: %s; try %d of %d in %.2f s", *place, self.attempts + 1, last, seconds)
        elif isinstance(outcome, Exception) or outcome.status_code >= 400:
            logger.debug("%s %s%s: %s; no try after %d, %.2f s waited", *place, self.attempts, self.waited)
        return seconds


TRAIL = "wx_integrations.trail"
"""The request extension that carries the Trail."""
FAILURE = "wx_integrations.failure"
"""The response extension that carries the error of a soft request."""


def connection_error(error: httpx.HTTPError, request: httpx.Request) -> ConnectionFailed:
    """Return the package's error for a request without an answer."""
    place = f"{request.url.host}:{request.url.port or (443 if request.url.scheme == 'https' else 80)}"
    chain = list(causes(error))
    failed: ConnectionFailed
    if isinstance(error, httpx.TimeoutException):
        kind = {httpx.ConnectTimeout: "connect", httpx.PoolTimeout: "get a connection", httpx.WriteTimeout: "send"}
        what = kind.get(type(error), "answer")
        failed = TimedOut(
            f"{place} took too long to {what}",
            hint="Raise timeout, or send less at a time" if what == "answer" else None,
        )
    elif any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        reason = next(cause for cause in chain if isinstance(cause, ssl.SSLCertVerificationError)).verify_message
        failed = ConnectionFailed(
            f"{place}: the TLS certificate is not trusted ({reason})",
            hint="Give the authority's certificate: verify='/path/to/ca.pem' or SSL_CERT_FILE",
        )
    elif any(isinstance(cause, socket.gaierror) for cause in chain):
        failed = ConnectionFailed(
            f"{request.url.host}: no such host", hint="Check url (WATSONX_URL), the network and the proxy settings"
        )
    elif isinstance(error, httpx.ProxyError):
        failed = ConnectionFailed("the proxy refused", hint="Check proxies and HTTPS_PROXY")
    elif isinstance(error, httpx.ConnectError):
        failed = ConnectionFailed(
            f"{place}: no connection ({_reason(error)})", hint="Check url (WATSONX_URL) and that the service is up"
        )
    else:
        failed = ConnectionFailed(f"{place}: the connection broke before the answer was whole ({_reason(error)})")
    return noted(failed, request)


def noted(error: WatsonxErrorT, request: httpx.Request) -> WatsonxErrorT:
    """Write into an error how often its request was sent."""
    trail = request.extensions.get(TRAIL)
    if isinstance(trail, Trail):
        error.attempts, error.waited = trail.attempts, trail.waited
    return error


def without_traceback(error: BaseException) -> BaseException:
    """Return an error of the layers below without its frames, whose local variables hold headers and bodies."""
    for cause in causes(error):
        cause.__traceback__ = None
    return error


def cut_short(error: BaseException) -> None:
    """Take the frames of the layers below from what interrupts a call; a mistake keeps them, for who looks for it."""
    if not isinstance(error, Exception):
        without_traceback(error)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _whole(response: httpx.Response, content: bytes) -> httpx.Response:
    status, headers, extensions = response.status_code, response.headers, response.extensions
    try:
        return httpx.Response(status, headers=headers, content=content, extensions=extensions)
    except httpx.DecodingError:
        if status < 400:
            raise
        # The status says enough.
        return httpx.Response(status, headers=_without_encoding(headers), extensions=extensions)


def _without_encoding(headers: httpx.Headers) -> httpx.Headers:
    kept = httpx.Headers(headers)
    kept.pop("content-encoding", None)
    return kept


class RetryTransport(httpx.BaseTransport):
    """Sends a request as often as its Trail's policy says."""

    def __init__(self, inner: httpx.BaseTransport, waiting: Waiting) -> None:
        self.inner = inner
        self.waiting = waiting

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        trail = request.extensions.get(TRAIL)
        if not isinstance(trail, Trail):
            return self.inner.handle_request(request)
        while True:
            trail.begin(self.waiting)
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self.inner.handle_request(request)
                if trail.whole and outcome.status_code < 400:
                    return outcome if isinstance(outcome.stream, httpx.ByteStream) else self._read(outcome)
            except httpx.TransportError as error:
                outcome = error
            seconds = trail.next_wait(self.waiting, request, outcome)
            if seconds is None:
                if isinstance(outcome, httpx.Response):
                    return self._read(outcome) if outcome.status_code >= 400 else outcome
                if trail.soft:
                    return httpx.Response(599, extensions={FAILURE: outcome})
                raise outcome
            if isinstance(outcome, httpx.Response):
                outcome.close()
            self.waiting.sleep(seconds)

    def _read(self, response: httpx.Response) -> httpx.Response:
        assert isinstance(response.stream, httpx.SyncByteStream)
        pieces: list[bytes] = []
        try:
            for piece in response.stream:
                pieces.append(piece)  # noqa: PERF402  # what came before a failure counts
        except httpx.TransportError:
            if response.status_code < 400:
                raise
        finally:
            response.close()
        return _whole(response, b"".join(pieces))

    def close(self) -> None:
        self.inner.close()


class AsyncRetryTransport(httpx.AsyncBaseTransport):
    """Sends a request as often as its Trail's policy says."""

    def __init__(self, inner: httpx.AsyncBaseTransport, waiting: Waiting) -> None:
        self.inner = inner
        self.waiting = waiting

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trail = request.extensions.get(TRAIL)
        if not isinstance(trail, Trail):
            return await self.inner.handle_async_request(request)
        while True:
            trail.begin(self.waiting)
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self.inner.handle_async_request(request)
                if trail.whole and outcome.status_code < 400:
                    return outcome if isinstance(outcome.stream, httpx.ByteStream) else await self._read(outcome)
            except httpx.TransportError as error:
                outcome = error
            seconds = trail.next_wait(self.waiting, request, outcome)
            if seconds is None:
                if isinstance(outcome, httpx.Response):
                    return await self._read(outcome) if outcome.status_code >= 400 else outcome
                if trail.soft:
                    return httpx.Response(599, extensions={FAILURE: outcome})
                raise outcome
            if isinstance(outcome, httpx.Response):
                await outcome.aclose()
            await self.waiting.asleep(seconds)

    async def _read(self, response: httpx.Response) -> httpx.Response:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        pieces: list[bytes] = []
        try:
            async for piece in response.stream:
                pieces.append(piece)  # noqa: PERF401  # what came before a failure counts
        except httpx.TransportError:
            if response.status_code < 400:
                raise
        finally:
            await response.aclose()
        return _whole(response, b"".join(pieces))

    async def aclose(self) -> None:
        await self.inner.aclose()
