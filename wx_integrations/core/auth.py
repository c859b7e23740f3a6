"""Tokens: where they come from, when they are renewed, and the header they become.

A `TokenSource` says how to get a token, as a generator of requests; a
`TokenCell` keeps the current one and lets exactly one caller renew it,
however many threads, tasks and event loops ask; `TokenAuth` puts it on each
request and, when the service calls it expired or invalid, renews it once and
repeats the request once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import copy
import logging
import math
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from pydantic_core import from_json, to_json

from wx_integrations import __version__
from wx_integrations.core import errors
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse, WatsonxError
from wx_integrations.core.retry import FAILURE, TRAIL, RetryPolicy, Trail, connection_error, noted, without_traceback
from wx_integrations.core.secrets import flaw, opened, redact, sent_secrets
from wx_integrations.core.wire.service import IamToken, PlatformToken, ValidatedToken

logger = logging.getLogger("wx_integrations")

API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
ASSUME_GRANT = "urn:ibm:params:oauth:grant-type:assume"
USER_AGENT = f"wx-integrations/{__version__}"
_COMMON = {b"Accept": b"application/json", b"Accept-Encoding": b"gzip, deflate", b"User-Agent": USER_AGENT.encode()}
FORM = {**_COMMON, b"Content-Type": b"application/x-www-form-urlencoded"}
JSON = {**_COMMON, b"Content-Type": b"application/json"}
RENEWABLE_CODES = frozenset({"authentication_token_expired", "authentication_token_not_valid"})
RETRY_PAUSE = 30.0
"""Seconds between attempts to renew a token that is still good."""


@dataclass(frozen=True)
class Token:
    """An access token and how long it lives (seconds), if known."""

    value: SecretStr
    lifetime: float | None = None


Exchange: TypeAlias = Generator[httpx.Request, httpx.Response, Token]
TokenFunction: TypeAlias = Callable[[], Any]
AsyncTokenFunction: TypeAlias = Callable[[], Awaitable[Any]]


class TokenSource(Protocol):
    """Where tokens come from: an exchange of requests, the same for both colours."""

    def exchange(self) -> Exchange:
        """Yield requests, receive their answers (read), return the token."""


# --------------------------------------------------------------------------- sources


@dataclass(frozen=True, repr=False)
class Iam:
    """IBM Cloud IAM: an API key for a token, and that (or a given one) for a trusted profile's if one is named."""

    url: str
    api_key: SecretStr | None
    profile_id: str | None = None
    token: SecretStr | None = None

    def exchange(self) -> Exchange:
        found = Token(self.token) if self.token is not None else None
        if found is None:
            form = {"grant_type": API_KEY_GRANT, "apikey": self.api_key}
            found = _read((yield _post_form(self.url, form)), IamToken)
        if self.profile_id:
            form = {"grant_type": ASSUME_GRANT, "access_token": found.value, "profile_id": self.profile_id}
            found = _read((yield _post_form(self.url, form)), IamToken)
        return found


@dataclass(frozen=True, repr=False)
class ApiKeyService:
    """AWS and GovCloud: an API key for a token."""

    url: str
    api_key: SecretStr

    def exchange(self) -> Exchange:
        return _read((yield _post_json(self.url, {"apikey": self.api_key})), PlatformToken)


@dataclass(frozen=True, repr=False)
class Software:
    """Cloud Pak for Data: a user name with its password or API key."""

    url: str
    username: str
    password: SecretStr | None = None
    api_key: SecretStr | None = None
    account_id: str | None = None

    def exchange(self) -> Exchange:
        secret = {"password": self.password} if self.password is not None else {"api_key": self.api_key}
        tenant = {"account_id": self.account_id} if self.account_id else {}
        body = {"username": self.username, **secret, **tenant}
        return _read((yield _post_json(self.url, body)), PlatformToken)


@dataclass(frozen=True, repr=False)
class SoftwareIam:
    """Cloud Pak for Data with integrated IAM: Bedrock's token, then the platform's."""

    bedrock_url: str
    url: str
    username: str
    password: SecretStr
    account_id: str | None = None

    def exchange(self) -> Exchange:
        form = {"grant_type": "password", "username": self.username, "password": self.password, "scope": "openid"}
        if self.account_id:
            form["account_id"] = self.account_id
        first = _read((yield _post_form(self.bedrock_url, form)), IamToken)
        # As bytes: a name may have letters that headers normally have not.
        headers = {b"username": self.username.encode(), b"iam-token": first.value.get_secret_value().encode()}
        request = httpx.Request("GET", f"{self.url}/v1/preauth/validateAuth", headers={**_COMMON, **headers})
        del headers
        found = _read((yield request), ValidatedToken)
        return Token(found.value, found.lifetime or first.lifetime)


@dataclass(frozen=True, repr=False)
class Fixed:
    """A token or header the user gave; it is never renewed."""

    header: SecretStr


@dataclass(frozen=True, repr=False)
class Called:
    """A function of the user's that returns a token, sync, async or one of each."""

    function: TokenFunction | None = None
    afunction: AsyncTokenFunction | None = None


@dataclass(frozen=True, repr=False)
class Missing:
    """Credentials that stayed behind when the connection was pickled."""

    fields: tuple[str, ...]


Source: TypeAlias = Iam | ApiKeyService | Software | SoftwareIam | Fixed | Called | Missing


def bearer(token: SecretStr) -> SecretStr:
    """Return the Authorization value of a token; one that names its scheme is taken as it is."""
    text = token.get_secret_value()
    scheme = text.split(" ", 1)[0].lower() if " " in text else ""
    return token if scheme in ("bearer", "basic", "zenapikey") else SecretStr(f"Bearer {text}")


def zen_header(api_key: SecretStr, username: str | None = None) -> SecretStr:
    """Return Cloud Pak for Data's header of a user name and an API key, or of a ready-made key of both."""
    key = api_key.get_secret_value().removeprefix("ZenApiKey ")
    if username is not None:
        key = base64.b64encode(f"{username}:{key}".encode()).decode()
    return SecretStr(f"ZenApiKey {key}")


def lifetime_of(token: str) -> float | None:
    """Return a JWT's lifetime in seconds (`exp` - `iat`), or None when it says nothing.

    The difference is used, not `exp` itself, so a wrong local clock does no harm.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = from_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return _seconds(float(claims["exp"]) - float(claims["iat"]))
    except (ValueError, KeyError, TypeError, OverflowError, binascii.Error):
        return None


def _seconds(value: Any) -> float | None:
    """Return a lifetime that makes sense; anything else says nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def called_token(answer: Any) -> Token:
    """Return what a token function gave: a string, or an object with `token` and maybe `expires_in` (seconds).

    Raises:
        ConfigurationError: anything else.
    """
    value, lifetime = answer, None
    if isinstance(answer, tuple) and len(answer) == 2:
        value, lifetime = answer
    elif isinstance(answer, Mapping):
        value, lifetime = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
    elif not isinstance(answer, str) and hasattr(answer, "token"):
        value, lifetime = answer.token, getattr(answer, "expires_in", None)
    value = opened(value)
    if not isinstance(value, str) or flaw("token", value):
        kind = type(answer).__name__
        del answer, value  # a traceback may show local variables
        raise ConfigurationError(
            f"token_function returned {kind}, not a token that can be sent",
            hint="Return the token as str, or (token, seconds it lives)",
            field="token_function",
        )
    return Token(SecretStr(value), _seconds(lifetime) or lifetime_of(value))


def _given(answer: IamToken | PlatformToken | ValidatedToken) -> Token:
    """Return the token of an answer; raises ValueError when it has none that can be sent."""
    lifetime = None
    if isinstance(answer, IamToken):
        value, lifetime = answer.access_token, _seconds(answer.expires_in)
    elif isinstance(answer, PlatformToken):
        value = answer.token
    else:
        value = answer.access_token or answer.token or ""
    if flaw("token", value):
        raise ValueError("no token")
    return Token(SecretStr(value), lifetime or lifetime_of(value))


def _post_form(url: str, form: Mapping[str, Any]) -> httpx.Request:
    content = urlencode({name: opened(value) for name, value in form.items()}).encode()
    return httpx.Request("POST", url, headers=FORM, content=content)


def _post_json(url: str, body: Mapping[str, Any]) -> httpx.Request:
    return httpx.Request("POST", url, headers=JSON, content=to_json({n: opened(v) for n, v in body.items()}))


def _read(response: httpx.Response, shape: type[IamToken] | type[PlatformToken] | type[ValidatedToken]) -> Token:
    """Read a token endpoint's answer.

    Raises:
        ServiceError: it says no; a 4xx is about the credentials.
        UnexpectedResponse: it is not a token answer.
    """
    request = response.request
    failure = response.extensions.get(FAILURE)
    if failure is not None:
        raise connection_error(failure, request) from without_traceback(failure)
    if not response.is_success:
        raise _refusal(response)
    with contextlib.suppress(ValueError):
        return _given(shape.model_validate_json(response.content))
    # The body may hold a token, so no excerpt.
    raise noted(
        UnexpectedResponse(
            f"{request.url.host} answered without a token",
            status=response.status_code,
            hint="Check url and auth_url (WATSONX_AUTH_URL), and any proxy in between",
        ),
        request,
    )


def _refusal(response: httpx.Response) -> errors.ServiceError:
    request, status = response.request, response.status_code
    host = request.url.host
    refused = 400 <= status < 500 and status not in (404, 408, 429)
    error = errors.from_response(
        status,
        response.headers,
        redact(response.content, sent_secrets(request.headers.items(), request.content)),
        now=time.time(),
        kind=errors.Unauthorized if refused else None,
    )
    error.message = f"no token from {host}: {error.message}"
    if refused and (not error.hint or error.code is None):
        error.hint = "Check the credentials (WATSONX_API_KEY, or WATSONX_USERNAME and WATSONX_PASSWORD) and url"
    elif status == 404:
        error.hint = f"Check url and auth_url: {host} has no token endpoint at {request.url.path}"
    return noted(error, request)


# --------------------------------------------------------------------------- the cell


@dataclass(frozen=True)
class _Held:
    header: SecretStr
    renew_at: float
    expires_at: float


@dataclass(frozen=True)
class Lead:
    """This caller renews, for itself and those who wait."""

    future: Future[SecretStr | None]


@dataclass(frozen=True)
class Wait:
    """Another caller renews: a thread, or a task of a thread's event loop."""

    future: Future[SecretStr | None]
    thread: int
    loop: weakref.ref[asyncio.AbstractEventLoop] | None

    def is_gone(self) -> bool:
        """Whether the renewer can never go on: its loop was closed under it."""
        loop = self.loop() if self.loop is not None else None
        return self.loop is not None and (loop is None or loop.is_closed())

    def would_block(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether the renewer stands still as long as we wait: a task of our thread, but not of our running loop."""
        if self.thread != threading.get_ident():
            return False
        return loop is None or self.loop is None or self.loop() is not loop


class TokenCell:
    """The current token of a session, renewed ahead of its end by one caller at a time.

    Renewal starts 15 minutes before the end (lives over 30 minutes), at the
    last third (3 to 30), or one minute before (shorter; half-way, if it lives
    less than two); until the end the old token serves everybody else, and the
    renewer too if renewing fails.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Reentrant: the garbage collector may end an abandoned exchange of ours anywhere, and so call `fail`.
        self._lock = threading.RLock()
        self._held: _Held | None = None
        self._leader: Wait | None = None
        self._pause_until = 0.0

    def turn(self, rejected: SecretStr | None = None) -> SecretStr | Lead | Wait:
        """Return the header to use, or what to do to get one.

        Args:
            rejected: a header the service has just refused.
        """
        with self._lock:
            held, now = self._held, self._clock()
            if held is not None and held.header == rejected:
                held = self._held = None
            if held is not None and now < held.renew_at:
                return held.header
            leader = self._leader
            if leader is not None and leader.is_gone():
                leader.future.set_result(None)
                leader = self._leader = None
            if held is not None and now < held.expires_at and (leader is not None or now < self._pause_until):
                return held.header
            if leader is not None:
                return leader
            future: Future[SecretStr | None] = Future()
            loop = asyncio._get_running_loop()
            self._leader = Wait(future, threading.get_ident(), weakref.ref(loop) if loop is not None else None)
            return Lead(future)

    def fill(self, lead: Lead | None, token: Token) -> SecretStr:
        """Keep a new token, wake those who wait, and return its header."""
        header = bearer(token.value)
        lifetime = token.lifetime
        now = self._clock()
        if lifetime is None:
            held = _Held(header, float("inf"), float("inf"))
        else:
            early = 900.0 if lifetime > 1800 else lifetime / 3 if lifetime > 180 else min(60.0, lifetime / 2)
            held = _Held(header, now + lifetime - early, now + lifetime)
        with self._lock:
            self._held = held
        self._end(lead, None)
        return header

    def fail(self, lead: Lead | None, error: BaseException) -> SecretStr | None:
        """Pass a failure on; return the old header if it still serves.

        A caller that was cancelled, or left, just gives up the lead: those
        who wait take their turn again.
        """
        fallback = None
        if lead is not None and isinstance(error, Exception):
            with self._lock:
                held, now = self._held, self._clock()
                if held is not None and now < held.expires_at:
                    fallback, self._pause_until = held.header, now + RETRY_PAUSE
        if fallback is not None:
            logger.debug("renewing the token failed (%s); the old one still serves", type(error).__name__)
            self._end(lead, None)
        else:
            self._end(lead, error if isinstance(error, Exception) else None)
        return fallback

    def _end(self, lead: Lead | None, error: Exception | None) -> None:
        """End a lead: those who wait get the error, or take their turn again."""
        if lead is None:
            return
        with self._lock:
            if self._leader is not None and self._leader.future is lead.future:
                self._leader = None
            if lead.future.done():
                return  # taken over by another, as our loop was closed
        if error is not None:
            lead.future.set_exception(error)
        else:
            lead.future.set_result(None)

    def forget_leader(self) -> None:
        """Start afresh in a forked child, where no other thread lives on."""
        self._lock = threading.RLock()
        self._leader = None


# --------------------------------------------------------------------------- httpx auth


class FixedAuth(httpx.Auth):
    """Puts the same headers on each request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._headers)
        yield request


class MissingAuth(httpx.Auth):
    """Refuses to send: the secrets stayed behind when the connection was pickled."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._fields = fields

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        names = [f"WATSONX_{name.upper()}" for name in self._fields if name not in ("headers", "proxies")]
        raise ConfigurationError(
            f"{', '.join(self._fields)}: not pickled, and not in this process's environment",
            hint=f"Set {' and '.join(names)} here, or pickle_secrets=True there"
            if names
            else "Set pickle_secrets=True there",
            field=self._fields[0],
        )


class TokenAuth(httpx.Auth):
    """Stamps the cell's token, renewing it ahead of time and once more when it is refused."""

    def __init__(
        self,
        source: TokenSource | Called,
        cell: TokenCell,
        policy: RetryPolicy,
        timeout: Mapping[str, float | None],
        headers: Mapping[str, str],
    ) -> None:
        self._source = source
        self._cell = cell
        self._policy = policy
        self._timeout = dict(timeout)
        self._headers = dict(headers)

    def _stamp(self, request: httpx.Request, header: SecretStr) -> None:
        request.headers["Authorization"] = header.get_secret_value()
        if self._headers:
            request.headers.update(self._headers)

    def _prepare(self, request: httpx.Request) -> httpx.Request:
        request.extensions = {"timeout": self._timeout, TRAIL: Trail(self._policy, soft=True)}
        return request

    # The two flows differ by async and await, and by how one waits for another's exchange.

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        rejected: SecretStr | None = None
        while True:
            header: SecretStr | None = None
            while header is None:
                turn = self._cell.turn(rejected)
                if isinstance(turn, SecretStr):
                    header = turn
                elif isinstance(turn, Wait) and not turn.would_block(None):
                    turn.future.exception()
                    raise_failure(turn.future)
                else:
                    lead = turn if isinstance(turn, Lead) else None
                    try:
                        token = self._called(lead)
                        if token is None:
                            exchange = self._source.exchange()  # type: ignore[union-attr]
                            sent = next(exchange)
                            while token is None:
                                response = yield self._prepare(sent)
                                response.read()
                                try:
                                    sent = exchange.send(response)
                                except StopIteration as done:
                                    token = cast(Token, done.value)
                    except BaseException as error:
                        header = self._cell.fail(lead, error)
                        if header is None:
                            raise
                    else:
                        header = self._cell.fill(lead, token)
            self._stamp(request, header)
            response = yield request
            if rejected is not None or response.status_code != 401:
                return
            response.read()
            if not is_renewable(response.content):
                return
            grant(request)
            rejected = header

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        rejected: SecretStr | None = None
        while True:
            header: SecretStr | None = None
            while header is None:
                turn = self._cell.turn(rejected)
                if isinstance(turn, SecretStr):
                    header = turn
                elif isinstance(turn, Wait) and not turn.would_block(asyncio.get_running_loop()):
                    await ended(turn.future)
                    raise_failure(turn.future)
                else:
                    lead = turn if isinstance(turn, Lead) else None
                    try:
                        token = await self._acalled()
                        if token is None:
                            exchange = self._source.exchange()  # type: ignore[union-attr]
                            sent = next(exchange)
                            while token is None:
                                response = yield self._prepare(sent)
                                await response.aread()
                                try:
                                    sent = exchange.send(response)
                                except StopIteration as done:
                                    token = cast(Token, done.value)
                    except BaseException as error:
                        header = self._cell.fail(lead, error)
                        if header is None:
                            raise
                    else:
                        header = self._cell.fill(lead, token)
            self._stamp(request, header)
            response = yield request
            if rejected is not None or response.status_code != 401:
                return
            await response.aread()
            if not is_renewable(response.content):
                return
            grant(request)
            rejected = header

    def _called(self, lead: Lead | None) -> Token | None:
        if not isinstance(self._source, Called):
            return None
        if self._source.function is None:
            # The asynchronous callers can go on without us.
            self._cell.fail(lead, GeneratorExit())
            raise ConfigurationError(
                "token_function is not set, only atoken_function is",
                hint="Give token_function as well for synchronous calls",
                field="token_function",
            )
        return called_token(self._source.function())

    async def _acalled(self) -> Token | None:
        if not isinstance(self._source, Called):
            return None
        if self._source.afunction is not None:
            return called_token(await self._source.afunction())
        assert self._source.function is not None
        return called_token(await asyncio.to_thread(self._source.function))


def is_renewable(body: bytes) -> bool:
    """Whether a 401 is about the token itself, so that a new one may help.

    The service names it in a code; agent tools say "jwt expired"; an answer
    that gives no reason gets the benefit of the doubt.
    """
    envelope = errors.parse_envelope(body)
    if envelope is None:
        return True
    code = errors.facts(envelope)["code"]
    return code is None or code in RENEWABLE_CODES or envelope.description == "jwt expired" or not envelope.errors


def grant(request: httpx.Request) -> None:
    """Allow one attempt more than the policy says, for the repetition with a new token."""
    trail = request.extensions.get(TRAIL)
    if isinstance(trail, Trail):
        trail.granted += 1


def raise_failure(future: Future[SecretStr | None]) -> None:
    """Raise what another's exchange failed with, as a copy of one's own; without a failure, do nothing."""
    error = future.exception()
    if error is not None:
        raise (copy.copy(error) if isinstance(error, WatsonxError) else error) from None


async def ended(future: Future[SecretStr | None]) -> None:
    """Wait until another's exchange has ended, without a say in it."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # our loop was closed meanwhile
            loop.call_soon_threadsafe(lambda: None if woken.done() else woken.set_result(None))

    future.add_done_callback(wake)
    await woken
