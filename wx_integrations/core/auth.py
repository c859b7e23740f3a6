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
import copy
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

import httpx
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from wx_integrations.core import errors
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse, WatsonxError
from wx_integrations.core.retry import FAILURE, TRAIL, RetryPolicy, Trail, connection_error
from wx_integrations.core.wire.service import IamToken, PlatformToken, ValidatedToken
from wx_integrations.core.wire.shapes import ReceivedT

logger = logging.getLogger("wx_integrations")

API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
ASSUME_GRANT = "urn:ibm:params:oauth:grant-type:assume"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
RENEWABLE_CODES = frozenset({"authentication_token_expired", "authentication_token_not_valid"})
RETRY_PAUSE = 30.0
"""Seconds between attempts to renew a token that is still good."""


@dataclass(frozen=True)
class Token:
    """An access token and how long it lives (seconds), if known."""

    value: str
    lifetime: float | None = None

    def __repr__(self) -> str:
        return f"Token(lifetime={self.lifetime})"


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
    """IBM Cloud IAM: an API key for a token, and that for a trusted profile's if one is named."""

    url: str
    api_key: str
    profile_id: str | None = None

    def exchange(self) -> Exchange:
        form = {"grant_type": API_KEY_GRANT, "apikey": self.api_key}
        answer = _read((yield _post_form(self.url, form)), IamToken)
        if self.profile_id:
            form = {"grant_type": ASSUME_GRANT, "access_token": answer.access_token, "profile_id": self.profile_id}
            answer = _read((yield _post_form(self.url, form)), IamToken)
        return Token(answer.access_token, answer.expires_in or lifetime_of(answer.access_token))


@dataclass(frozen=True, repr=False)
class ApiKeyService:
    """AWS and GovCloud: an API key for a token."""

    url: str
    api_key: str

    def exchange(self) -> Exchange:
        answer = _read((yield _post_json(self.url, {"apikey": self.api_key})), PlatformToken)
        return Token(answer.token, lifetime_of(answer.token))


@dataclass(frozen=True, repr=False)
class Software:
    """Cloud Pak for Data: a user name with its password or API key."""

    url: str
    username: str
    password: str | None = None
    api_key: str | None = None

    def exchange(self) -> Exchange:
        secret = {"password": self.password} if self.password is not None else {"api_key": self.api_key}
        answer = _read((yield _post_json(self.url, {"username": self.username, **secret})), PlatformToken)
        return Token(answer.token, lifetime_of(answer.token))


@dataclass(frozen=True, repr=False)
class SoftwareIam:
    """Cloud Pak for Data with integrated IAM: Bedrock's token, then the platform's."""

    bedrock_url: str
    url: str
    username: str
    password: str

    def exchange(self) -> Exchange:
        form = {"grant_type": "password", "username": self.username, "password": self.password, "scope": "openid"}
        first = _read((yield _post_form(f"{self.bedrock_url}/idprovider/v1/auth/identitytoken", form)), IamToken)
        headers = {"username": self.username, "iam-token": first.access_token, "Accept": "application/json"}
        answer = _read(
            (yield httpx.Request("GET", f"{self.url}/v1/preauth/validateAuth", headers=headers)), ValidatedToken
        )
        token = answer.access_token or answer.token
        if not token:
            raise UnexpectedResponse("the platform's token answer holds no token")
        return Token(token, lifetime_of(token))


@dataclass(frozen=True, repr=False)
class Fixed:
    """A token or header the user gave; it is never renewed."""

    header: str


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


def bearer(token: str) -> str:
    """Return the Authorization value of a token; one that names its scheme is taken as it is."""
    scheme = token.split(" ", 1)[0].lower() if " " in token else ""
    return token if scheme in ("bearer", "basic", "zenapikey") else f"Bearer {token}"


def zen_header(username: str, api_key: str) -> str:
    """Return Cloud Pak for Data's ready-made header of a user name and an API key."""
    return "ZenApiKey " + base64.b64encode(f"{username}:{api_key}".encode()).decode()


def lifetime_of(token: str) -> float | None:
    """Return a JWT's lifetime in seconds (`exp` - `iat`), or None when it says nothing.

    The difference is used, not `exp` itself, so a wrong local clock does no harm.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = from_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


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
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"token_function returned {type(answer).__name__}, not a token",
            hint="Return the token as str, or (token, seconds it lives)",
            field="token_function",
        )
    seconds = float(lifetime) if isinstance(lifetime, int | float) else lifetime_of(value)
    return Token(value, seconds)


def _post_form(url: str, form: dict[str, str]) -> httpx.Request:
    return httpx.Request("POST", url, headers=FORM, content=urlencode(form).encode())


def _post_json(url: str, body: dict[str, Any]) -> httpx.Request:
    return httpx.Request("POST", url, headers=JSON, content=to_json(body))


def _read(response: httpx.Response, shape: type[ReceivedT]) -> ReceivedT:
    """Read a token endpoint's answer.

    Raises:
        ServiceError: it says no; a 4xx is about the credentials.
        UnexpectedResponse: it is not a token answer.
    """
    host = response.request.url.host
    failure = response.extensions.get(FAILURE)
    if failure is not None:
        raise connection_error(failure, response.request) from failure
    if not response.is_success:
        refused = 400 <= response.status_code < 500 and response.status_code not in (404, 408, 429)
        error = errors.from_response(
            response.status_code,
            response.headers,
            response.content,
            now=time.time(),
            kind=errors.Unauthorized if refused else None,
        )
        error.message = f"no token from {host}: {error.message}"
        if refused and not error.hint:
            error.hint = "Check the credentials (WATSONX_API_KEY, or WATSONX_USERNAME and WATSONX_PASSWORD) and url"
        elif response.status_code == 404:
            error.hint = f"Check url and auth_url: {host} has no token endpoint at {response.request.url.path}"
        raise error
    try:
        return shape.model_validate_json(response.content)
    except ValidationError:
        # The body may hold a token, so no excerpt.
        raise UnexpectedResponse(
            f"{host} answered without a token",
            status=response.status_code,
            hint="Check url and auth_url (WATSONX_AUTH_URL), and any proxy in between",
        ) from None


# --------------------------------------------------------------------------- the cell


@dataclass(frozen=True)
class _Held:
    header: str
    renew_at: float
    expires_at: float


@dataclass(frozen=True)
class Lead:
    """This caller renews; `fallback` is the old header while it is still good."""

    future: Future[str | None]
    fallback: str | None


@dataclass(frozen=True)
class Wait:
    """Another caller renews, in the thread named."""

    future: Future[str | None]
    thread: int


class TokenCell:
    """The current token of a session, renewed ahead of its end by one caller at a time.

    Renewal starts 15 minutes before the end (lives over 30 minutes), at the
    last third (3 to 30), or one minute before (shorter); until the end the
    old token serves everybody else, and the renewer too if renewing fails.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._leader: Wait | None = None
        self._pause_until = 0.0

    def turn(self, rejected: str | None = None) -> str | Lead | Wait:
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
            good = held is not None and now < held.expires_at
            if held is not None and good and (self._leader is not None or now < self._pause_until):
                return held.header
            if self._leader is not None:
                return self._leader
            future: Future[str | None] = Future()
            self._leader = Wait(future, threading.get_ident())
            return Lead(future, held.header if held is not None and good else None)

    def fill(self, lead: Lead, token: Token) -> str:
        """Keep a new token, wake those who wait, and return its header."""
        now = self._clock()
        header = bearer(token.value)
        lifetime = token.lifetime
        if lifetime is None:
            held = _Held(header, float("inf"), float("inf"))
        else:
            early = 900.0 if lifetime > 1800 else lifetime / 3 if lifetime > 180 else 60.0
            held = _Held(header, now + lifetime - early, now + lifetime)
        with self._lock:
            self._held, self._leader = held, None
        lead.future.set_result(header)
        return header

    def fail(self, lead: Lead, error: BaseException) -> str | None:
        """Pass a failure on; return the old header if it still serves.

        A caller that was cancelled, or left, just gives up the lead: those
        who wait take their turn again.
        """
        failed = isinstance(error, Exception)
        with self._lock:
            self._leader = None
            if failed and lead.fallback is not None:
                self._pause_until = self._clock() + RETRY_PAUSE
        if failed:
            lead.future.set_exception(error)
        else:
            lead.future.set_result(None)
        if failed and lead.fallback is not None:
            logger.debug("renewing the token failed (%s); the old one still serves", type(error).__name__)
            return lead.fallback
        return None

    def forget_leader(self) -> None:
        """Start afresh in a forked child, where no other thread lives on."""
        self._lock = threading.Lock()
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
        names = ", ".join(f"WATSONX_{name.upper()}" for name in self._fields)
        raise ConfigurationError(
            f"{', '.join(self._fields)}: not pickled, and not in this process's environment",
            hint=f"Set {names} here, or pickle_secrets=True there",
            field=self._fields[0],
        )


class TokenAuth(httpx.Auth):
    """Stamps the cell's token, renewing it ahead of time and once more when it is refused."""

    def __init__(
        self,
        source: TokenSource | Called,
        cell: TokenCell,
        policy: RetryPolicy,
        timeout: httpx.Timeout,
        headers: Mapping[str, str],
    ) -> None:
        self._source = source
        self._cell = cell
        self._policy = policy
        self._timeout = timeout.as_dict()
        self._headers = dict(headers)

    def _stamp(self, request: httpx.Request, header: str) -> None:
        request.headers["Authorization"] = header
        request.headers.update(self._headers)

    def _prepare(self, request: httpx.Request) -> httpx.Request:
        request.extensions = {"timeout": self._timeout, TRAIL: Trail(self._policy, soft=True)}
        return request

    # The two flows differ by async and await, and by how one waits for another's exchange.

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        header = yield from self._header()
        self._stamp(request, header)
        response = yield request
        if response.status_code == 401:
            response.read()
            if is_renewable(response.content):
                grant(request)
                self._stamp(request, (yield from self._header(rejected=header)))
                yield request

    def _header(self, rejected: str | None = None) -> Generator[httpx.Request, httpx.Response, str]:
        while True:
            turn = self._cell.turn(rejected)
            if isinstance(turn, str):
                return turn
            if isinstance(turn, Wait) and turn.thread == threading.get_ident():
                # The renewer is a task of this thread's event loop, which cannot go on while we block it.
                return bearer((yield from self._token()).value)
            if isinstance(turn, Wait):
                header = result_of(turn.future)
                if header is not None:
                    return header
                continue
            try:
                token = yield from self._token()
            except BaseException as error:
                fallback = self._cell.fail(turn, error)
                if fallback is None:
                    raise
                return fallback
            return self._cell.fill(turn, token)

    def _token(self) -> Generator[httpx.Request, httpx.Response, Token]:
        if isinstance(self._source, Called):
            if self._source.function is None:
                raise ConfigurationError(
                    "token_function is not set, only atoken_function is",
                    hint="Give token_function as well for synchronous calls",
                    field="token_function",
                )
            return called_token(self._source.function())
        exchange = self._source.exchange()
        request = next(exchange)
        while True:
            response = yield self._prepare(request)
            response.read()
            try:
                request = exchange.send(response)
            except StopIteration as done:
                return cast(Token, done.value)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        rejected: str | None = None
        while True:
            header: str | None = None
            while header is None:
                turn = self._cell.turn(rejected)
                if isinstance(turn, str):
                    header = turn
                elif isinstance(turn, Wait):
                    header = await aresult_of(turn.future)
                else:
                    try:
                        token = await self._called()
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
                        header = self._cell.fail(turn, error)
                        if header is None:
                            raise
                    else:
                        header = self._cell.fill(turn, token)
            self._stamp(request, header)
            response = yield request
            if rejected is not None or response.status_code != 401:
                return
            await response.aread()
            if not is_renewable(response.content):
                return
            grant(request)
            rejected = header

    async def _called(self) -> Token | None:
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


def result_of(future: Future[str | None]) -> str | None:
    """Wait for another thread's exchange; its error is raised as a copy of one's own."""
    error = future.exception()
    if error is not None:
        raise _own(error) from None
    return future.result()


async def aresult_of(future: Future[str | None]) -> str | None:
    """Wait for another task's exchange without cancelling it when one is cancelled."""
    try:
        return await asyncio.shield(asyncio.wrap_future(future))
    except Exception as error:
        raise _own(error) from None


def _own(error: BaseException) -> BaseException:
    return copy.copy(error) if isinstance(error, WatsonxError) else error
