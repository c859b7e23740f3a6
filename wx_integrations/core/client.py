"""Client and AsyncClient: they run calls.

Both open their httpx client on first use. `AsyncClient` keeps one per
running event loop, closed when that loop shuts down, so one object serves
any number of loops.
"""

from __future__ import annotations

import asyncio
import copy
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Self, TypeVar

import httpx
from pydantic import SecretStr

from wx_integrations.core import auth
from wx_integrations.core import token_sources as sources
from wx_integrations.core.calls import Call, StreamCall
from wx_integrations.core.connection import Connection
from wx_integrations.core.direct import AsyncDirect, Direct
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.exchange import Plan, Timeout, unread
from wx_integrations.core.limiter import Limiter
from wx_integrations.core.retry import (
    AsyncRetryTransport,
    RetryPolicy,
    RetryTransport,
    Waiting,
    cut_short,
    without_traceback,
)
from wx_integrations.core.secrets import Guarded, guarded, seal, secret_header, unguarded
from wx_integrations.core.settings import check_headers, check_text, timeout_dict
from wx_integrations.core.token_cell import TokenCell
from wx_integrations.core.transport import (
    DEFAULT_LIMITS,
    AsyncBorrowedTransport,
    BorrowedTransport,
    async_transport,
    build_mounts,
    ssl_context,
    sync_transport,
)
from wx_integrations.core.turnstile import AsyncTurnstile, Turnstile

T = TypeVar("T")
_everyone: weakref.WeakSet[Shared] = weakref.WeakSet()


class Shared:
    """What the clients of one connection share: the token, the TLS settings, and what a user changed."""

    def __init__(self, connection: Connection, waiting: Waiting | None = None) -> None:
        self.connection = connection
        self.waiting = waiting or Waiting()
        self.cell = TokenCell(self.waiting.clock)
        self.auth = self._auth(connection.token_source, dict(connection.headers or {}))
        self.limiter = Limiter(waiting.clock) if waiting else Limiter.of(connection.account_key)
        self.generation = 0
        self.lock = threading.RLock()
        self._context: ssl.SSLContext | None = None
        _everyone.add(self)

    def _auth(self, source: sources.Source, headers: dict[str, str]) -> httpx.Auth:
        self.source, self.headers = source, Guarded(headers)
        if any(name.lower() == "authorization" for name in headers):
            return auth.FixedAuth(headers)
        if isinstance(source, sources.Missing):
            return auth.MissingAuth(source.fields)
        if isinstance(source, sources.Fixed):
            return auth.FixedAuth({"Authorization": source.header.get_secret_value(), **headers})
        timeout = timeout_dict(self.connection.httpx_timeout)
        return auth.TokenAuth(source, self.cell, self.connection.retry, timeout, headers)

    def set_token(self, token: SecretStr) -> None:
        check_text("token", token)
        self.auth = self._auth(sources.Fixed(sources.bearer(token)), self.headers)

    def set_headers(self, headers: Mapping[str, Any]) -> None:
        check_headers(headers)
        own = {name.lower() for name in headers}
        kept = {name: value for name, value in (self.connection.headers or {}).items() if name.lower() not in own}
        self.auth = self._auth(self.source, {**kept, **unguarded(headers)})

    @property
    def context(self) -> ssl.SSLContext:
        """One SSL context for all: each costs milliseconds and most of a megabyte."""
        with self.lock:
            if self._context is None:
                self._context = ssl_context(self.connection.verify, plain=self.connection.is_plain)
            return self._context

    def start_afresh(self) -> None:
        """Forget the parent's sockets and locks in a forked child."""
        self.generation += 1
        self.lock = threading.RLock()
        self.cell.forget_leader()
        self.limiter.start_afresh()


def _after_fork() -> None:
    for shared in list(_everyone):
        shared.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Live:
    """An open httpx client and how many use it."""

    def __init__(self, http: httpx.Client | Direct, generation: int) -> None:
        self.http = http
        self.generation = generation
        self.users = 0
        self.retired = False

    def end(self) -> None:
        """Close it unless somebody uses it: when the interpreter ends, a thread may be in the middle of a stream."""
        self.retired = True
        if not self.users:
            self.http.close()


class _Common:
    """What both colours offer without waiting.

    Args:
        connection: where and as whom; without it, settings and WATSONX_* variables are read.
        shared: what to share with other clients of the same connection.
        **settings: a Connection's settings.
    """

    def __init__(self, connection: Connection | None = None, *, shared: Shared | None = None, **settings: Any) -> None:
        if connection is not None and settings:
            raise ConfigurationError(f"both connection and {', '.join(settings)} are given", field="connection")
        self._shared = shared or Shared(connection or Connection.from_env(**settings))
        self._plan = Plan(self._shared.connection, self._shared.waiting)

    @property
    def connection(self) -> Connection:
        """Where, as whom and how it asks."""
        return self._shared.connection

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy of calls that bring none."""
        return self._plan.retry

    def with_options(self, *, timeout: Timeout = None, retry: RetryPolicy | None = None) -> Self:
        """Return this client with another timeout or retry policy; token, limiter and connections are the same ones.

        Args:
            timeout: seconds (or httpx.Timeout) for calls that bring none.
            retry: the policy of calls that bring none.

        Raises:
            ConfigurationError: the timeout is none.
        """
        other = copy.copy(self)
        other._plan = self._plan.with_options(timeout, retry)
        return other

    def set_token(self, token: str | SecretStr) -> None:
        """Use this token from now on; it is not renewed any more."""
        if isinstance(token, str):
            token = SecretStr(token)
        self._shared.set_token(token)

    def set_headers(self, headers: Mapping[str, str]) -> None:
        """Send these headers with every request from now on, merged last, so they can replace any other.

        They replace those of an earlier `set_headers`; the connection's own stay unless named again.
        """
        self._shared.set_headers(guarded(headers, secret_header))

    def __repr__(self) -> str:
        shared = getattr(self, "_shared", None)  # none yet in a traceback out of __init__
        return f"{type(self).__name__}({shared.connection.hosts.ml if shared else ''})"


class Client(_Common):
    """Runs calls and waits for them; safe to share between threads.

    Args:
        connection: where and as whom; without it, settings and WATSONX_* variables are read.
        shared: what to share with other clients of the same connection.
        **settings: a Connection's settings.
    """

    _live: _Live | None = None
    _root: Client | None = None
    """Whose connections a client with other options uses."""

    def __init__(self, connection: Connection | None = None, *, shared: Shared | None = None, **settings: Any) -> None:
        seal(settings)
        super().__init__(connection, shared=shared, **settings)
        self._plan.borrow(self.connection.httpx_client)
        self._closer: weakref.finalize[[], Client] | None = None

    def with_options(self, *, timeout: Timeout = None, retry: RetryPolicy | None = None) -> Self:
        other = super().with_options(timeout=timeout, retry=retry)
        other._root, other._live, other._closer = self._root or self, None, None
        return other

    def run(self, call: Call[T], *, timeout: Timeout = None, retry: RetryPolicy | None = None) -> T:
        """Send a call and return its value.

        Args:
            call: what to do.
            timeout: seconds (or httpx.Timeout), instead of the connection's.
            retry: a policy, instead of the connection's.

        Raises:
            ServiceError: the service says no.
            ConnectionFailed: no answer arrived.
            UnexpectedResponse: the answer could not be understood.
        """
        request, trail = self._plan.request(call, timeout, retry)
        return self._plan.read(call, self._fetch(request), trail)

    def stream(
        self, call: StreamCall[T], *, timeout: Timeout = None, retry: RetryPolicy | None = None
    ) -> Generator[T, None, None]:
        """Send a call and yield its values as they arrive; closing the generator closes the answer.

        Args:
            call: what to do.
            timeout: seconds without a byte (or httpx.Timeout), instead of the connection's.
            retry: a policy, instead of the connection's; nothing is repeated once the answer began.

        Raises:
            ServiceError: the service says no.
            ConnectionFailed: no answer arrived.
            StreamBroken: the answer began and failed, or ended before it was complete.
        """
        from wx_integrations.core.streams import Reading

        request, trail = self._plan.request(call, timeout, retry)
        reading = Reading(self._plan, call, trail, request)
        live = self._enter()
        try:
            response = self._send(live.http, request, stream=True)
            try:
                if not reading.check(response):
                    response.read()
                    raise reading.refuse(response)
                for piece in reading.pieces(response):
                    for name, data in reading.events(piece):
                        value = reading.value(name, data)
                        if value is not None:
                            yield value
                yield from reading.rest()
            except httpx.HTTPError as error:
                if reading.lacks(error):
                    raise reading.unread(error, request) from without_traceback(error)
            finally:
                response.close()
        finally:
            self._leave(live)

    def request_raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send any request to one of the connection's hosts and return the answer, whatever its status.

        Args:
            method: the HTTP method.
            path: below the ml host (`/wx` and `/v2`: the platform host), or a full URL of either.
            **options: `json` or `content`, `params`, `headers`, `timeout`, `retry`.
        """
        request, _ = self._plan.raw_request(method, path, **options)
        return self._fetch(request)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send any request and return the answer's JSON (None for an empty one).

        Args:
            method: the HTTP method.
            path: as of `request_raw`.
            **options: as of `request_raw`.

        Raises:
            ServiceError: the service says no.
            UnexpectedResponse: the answer is not JSON.
        """
        request, trail = self._plan.raw_request(method, path, **options)
        return self._plan.read_json(self._fetch(request), trail)

    def get(self, path: str, **options: Any) -> Any:
        """Send a GET request and return the answer's JSON; `path` and `options` as of `request_raw`."""
        return self.request("GET", path, **options)

    def _fetch(self, request: httpx.Request) -> httpx.Response:
        live = self._enter()
        try:
            return self._send(live.http, request)
        finally:
            self._leave(live)

    def _send(self, http: httpx.Client | Direct, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            return http.send(request, auth=self._shared.auth, stream=stream)
        except httpx.HTTPError as error:
            raise unread(error, request) from without_traceback(error)
        except BaseException as error:
            cut_short(error)
            raise

    def _enter(self) -> _Live:
        """Return the open httpx client, which stays open until we leave."""
        if self._root is not None:
            return self._root._enter()
        with self._shared.lock:
            live = self._live
            if live is None or live.generation != self._shared.generation:
                live = _Live(self._build(), self._shared.generation)
                self._live, self._closer = live, weakref.finalize(self, live.end)
            live.users += 1
            return live

    def _leave(self, live: _Live) -> None:
        with self._shared.lock:
            live.users -= 1
            last = live.retired and not live.users
        if last:
            live.http.close()

    def _build(self) -> httpx.Client | Direct:
        connection, waiting, limiter = self.connection, self._shared.waiting, self._shared.limiter
        if connection.httpx_client is not None:
            own = Turnstile(BorrowedTransport(connection.httpx_client), limiter, waiting)
            return Direct(RetryTransport(own, waiting))
        context, limits = self._shared.context, connection.limits or DEFAULT_LIMITS

        def make(proxy: str | None) -> httpx.BaseTransport:
            turnstile = Turnstile(sync_transport(context, limits, proxy), limiter, waiting)
            return RetryTransport(turnstile, waiting)

        mounts = build_mounts(connection.proxies, make)
        return httpx.Client(transport=make(None), mounts=mounts, trust_env=False) if mounts else Direct(make(None))

    def close(self) -> None:
        """Close the connections, those in use as soon as they are not; the next call opens new ones."""
        if self._root is not None:
            self._root.close()
            return
        with self._shared.lock:
            live, self._live = self._live, None
            if live is None:
                return
            live.retired = True
            idle = not live.users
            if self._closer is not None:
                self._closer.detach()
        if idle:
            live.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Common):
    """Runs calls in the running event loop; one object serves any number of loops, one after another or at once.

    Args:
        connection: where and as whom; without it, settings and WATSONX_* variables are read.
        shared: what to share with other clients of the same connection.
        **settings: a Connection's settings.
    """

    def __init__(self, connection: Connection | None = None, *, shared: Shared | None = None, **settings: Any) -> None:
        seal(settings)
        super().__init__(connection, shared=shared, **settings)
        self._plan.borrow(self.connection.async_httpx_client)
        self._loops: dict[int, _LiveInLoop] = {}

    async def run(self, call: Call[T], *, timeout: Timeout = None, retry: RetryPolicy | None = None) -> T:
        """Send a call and return its value.

        Args:
            call: what to do.
            timeout: seconds (or httpx.Timeout), instead of the connection's.
            retry: a policy, instead of the connection's.

        Raises:
            ServiceError: the service says no.
            ConnectionFailed: no answer arrived.
            UnexpectedResponse: the answer could not be understood.
        """
        request, trail = self._plan.request(call, timeout, retry)
        return self._plan.read(call, await self._fetch(request), trail)

    async def stream(
        self, call: StreamCall[T], *, timeout: Timeout = None, retry: RetryPolicy | None = None
    ) -> AsyncGenerator[T, None]:
        """Send a call and yield its values as they arrive; closing the generator closes the answer.

        Args:
            call: what to do.
            timeout: seconds without a byte (or httpx.Timeout), instead of the connection's.
            retry: a policy, instead of the connection's; nothing is repeated once the answer began.

        Raises:
            ServiceError: the service says no.
            ConnectionFailed: no answer arrived.
            StreamBroken: the answer began and failed, or ended before it was complete.
        """
        from wx_integrations.core.streams import Reading

        request, trail = self._plan.request(call, timeout, retry)
        reading = Reading(self._plan, call, trail, request)
        live = await self._enter()
        try:
            response = await self._send(live.http, request, stream=True)
            try:
                if not reading.check(response):
                    await response.aread()
                    raise reading.refuse(response)
                async for piece in reading.apieces(response):
                    for name, data in reading.events(piece):
                        value = reading.value(name, data)
                        if value is not None:
                            yield value
                for value in reading.rest():
                    yield value
            except httpx.HTTPError as error:
                if reading.lacks(error):
                    raise reading.unread(error, request) from without_traceback(error)
            finally:
                await response.aclose()
        finally:
            await self._leave(live)

    async def request_raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send any request to one of the connection's hosts and return the answer, whatever its status.

        Args:
            method: the HTTP method.
            path: below the ml host (`/wx` and `/v2`: the platform host), or a full URL of either.
            **options: `json` or `content`, `params`, `headers`, `timeout`, `retry`.
        """
        request, _ = self._plan.raw_request(method, path, **options)
        return await self._fetch(request)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Send any request and return the answer's JSON (None for an empty one).

        Args:
            method: the HTTP method.
            path: as of `request_raw`.
            **options: as of `request_raw`.

        Raises:
            ServiceError: the service says no.
            UnexpectedResponse: the answer is not JSON.
        """
        request, trail = self._plan.raw_request(method, path, **options)
        return self._plan.read_json(await self._fetch(request), trail)

    async def get(self, path: str, **options: Any) -> Any:
        """Send a GET request and return the answer's JSON; `path` and `options` as of `request_raw`."""
        return await self.request("GET", path, **options)

    async def _fetch(self, request: httpx.Request) -> httpx.Response:
        live = await self._enter()
        try:
            return await self._send(live.http, request)
        finally:
            await self._leave(live)

    async def _send(
        self, http: httpx.AsyncClient | AsyncDirect, request: httpx.Request, *, stream: bool = False
    ) -> httpx.Response:
        try:
            return await http.send(request, auth=self._shared.auth, stream=stream)
        except httpx.HTTPError as error:
            raise unread(error, request) from without_traceback(error)
        except BaseException as error:
            cut_short(error)
            raise

    async def _enter(self) -> _LiveInLoop:
        """Return the running loop's open httpx client, which stays open until we leave."""
        loop = asyncio.get_running_loop()
        live = self._loops.get(id(loop))
        if live is None or not live.serves(loop, self._shared.generation):
            for key, old in list(self._loops.items()):
                if old.is_dead(self._shared.generation):
                    self._loops.pop(key, None)
            live = _LiveInLoop(self._build(), loop, self._shared.generation)
            self._loops[id(loop)] = live
            await live.keeper.__anext__()
        live.users += 1
        return live

    async def _leave(self, live: _LiveInLoop) -> None:
        live.users -= 1
        if live.retired and not live.users:
            await live.keeper.aclose()

    def _build(self) -> httpx.AsyncClient | AsyncDirect:
        connection, waiting, limiter = self.connection, self._shared.waiting, self._shared.limiter
        if connection.async_httpx_client is not None:
            own = AsyncTurnstile(AsyncBorrowedTransport(connection.async_httpx_client), limiter, waiting)
            return AsyncDirect(AsyncRetryTransport(own, waiting))
        context, limits = self._shared.context, connection.limits or DEFAULT_LIMITS

        def make(proxy: str | None) -> httpx.AsyncBaseTransport:
            turnstile = AsyncTurnstile(async_transport(context, limits, proxy), limiter, waiting)
            return AsyncRetryTransport(turnstile, waiting)

        mounts = build_mounts(connection.proxies, make)
        if not mounts:
            return AsyncDirect(make(None))
        return httpx.AsyncClient(transport=make(None), mounts=mounts, trust_env=False)

    async def aclose(self) -> None:
        """Close the running loop's connections, those in use as soon as they are not; the next call opens new ones."""
        live = self._loops.pop(id(asyncio.get_running_loop()), None)
        if live is not None:
            live.retired = True
            if not live.users:
                await live.keeper.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _LiveInLoop:
    """One loop's httpx client.

    `keeper` is an async generator suspended around the client: a loop that
    shuts down closes its async generators, and so the client, in time.
    """

    def __init__(self, http: httpx.AsyncClient | AsyncDirect, loop: asyncio.AbstractEventLoop, generation: int) -> None:
        self.http = http
        self.loop = weakref.ref(loop)
        self.generation = generation
        self.users = 0
        self.retired = False
        self.keeper = _keep(http)

    def serves(self, loop: asyncio.AbstractEventLoop, generation: int) -> bool:
        return self.loop() is loop and self.generation == generation and not self.http.is_closed

    def is_dead(self, generation: int) -> bool:
        loop = self.loop()
        return loop is None or loop.is_closed() or self.generation != generation or self.http.is_closed


async def _keep(http: httpx.AsyncClient | AsyncDirect) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await http.aclose()
