"""Authorization on each request: given, or from the session's token cell.

`TokenAuth` stamps the cell's token and, when the service calls it expired or
invalid, has it renewed once and repeats the request once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import cast

import httpx
from pydantic import SecretStr

from wx_integrations.core import errors
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.retry import TRAIL, RetryPolicy, Trail, logger
from wx_integrations.core.secrets import Guarded
from wx_integrations.core.token_cell import Lead, TokenCell, Wait, ended, raise_failure
from wx_integrations.core.token_sources import Called, Token, TokenSource, called_token

RENEWABLE_CODES = frozenset({"authentication_token_expired", "authentication_token_not_valid"})


class FixedAuth(httpx.Auth):
    """Puts the same headers on each request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = Guarded(headers)

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
        self._headers = Guarded(headers)

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
        place = (request.method, request.url.host, request.url.path)
        logger.debug("%s %s%s: 401; once more with a new token", *place)
