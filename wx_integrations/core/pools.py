"""Pools of connections that stay quick with many requests, and forget none of them.

httpcore 1.0's asynchronous pool walks all its connections at the start and
the end of every request, which is quadratic in the number of live
connections. `ShardedTransport` spreads requests over small pools by least
load, which keeps each walk short. Both transports clear up what httpcore's
pools forget: connections that nobody uses and nobody closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from functools import partial
from math import inf
from time import monotonic
from typing import Any

import httpx

AT_ONCE = 16
"""Pools that go with one request: to close one takes some twenty microseconds."""


class TidyTransport(httpx.HTTPTransport):
    """A pool that no failure takes a place from."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except BaseException:
            for orphan in orphans_of(self._pool):
                orphan.close()
            raise


class ShardedTransport(httpx.AsyncBaseTransport):
    """Several pools behind one transport; each request goes to the least loaded one.

    Among equally loaded pools the first wins, so that few requests at a time
    stay on few connections. Another pool is made when all are in use, and the
    last ones go, some with each request, when they have not been needed for long.

    Args:
        make: makes the pool of that number.
        most: how many there may be.
        expiry: seconds after which a pool that nobody uses may go, never without it.
    """

    def __init__(self, make: Callable[[int], httpx.AsyncHTTPTransport], most: int, expiry: float | None) -> None:
        self._make = make
        self._most = most
        self._expiry = inf if expiry is None else expiry
        self.shards = [make(0)]
        self.load = [0]
        self._left = [monotonic()]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._trim()
        place = self._place()
        shard = self.shards[place]
        self.load[place] += 1
        try:
            response = await shard.handle_async_request(request)
        except BaseException as error:
            self._leave(place)
            await to_the_end(close_orphans(shard))
            if asyncio._get_running_loop() is None:  # collected, as the loop was closed: httpcore is confused by that
                raise GeneratorExit from error
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _CountedStream(response.stream, shard, partial(self._leave, place))
        return response

    def _place(self) -> int:
        """Return the number of the pool that is used least."""
        least, count = min(self.load), len(self.load)
        if not least or count == self._most:
            return self.load.index(least)
        self.shards.append(self._make(count))
        self.load.append(0)
        self._left.append(0.0)
        return count

    def _leave(self, place: int) -> None:
        self.load[place] -= 1
        self._left[place] = monotonic()

    async def _trim(self) -> None:
        """Close some of the last pools if nobody has used them for long: their connections are old, and in the way."""
        for _ in range(AT_ONCE):
            if len(self.load) == 1 or self.load[-1] or monotonic() - self._left[-1] <= self._expiry:
                return
            self.load.pop()
            self._left.pop()
            await to_the_end(self.shards.pop().aclose())

    async def aclose(self) -> None:
        async with contextlib.AsyncExitStack() as stack:  # every one, even if one fails
            for shard in reversed(self.shards):
                stack.push_async_callback(shard.aclose)


class _CountedStream(httpx.AsyncByteStream):
    """A body that is known to its pool until it is closed."""

    def __init__(
        self, inner: httpx.AsyncByteStream, shard: httpx.AsyncHTTPTransport, leave: Callable[[], None]
    ) -> None:
        self.inner = inner
        self.shard = shard
        self.leave = leave
        self.open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.inner:
                yield piece
        except (Exception, asyncio.CancelledError):
            await to_the_end(close_orphans(self.shard))
            raise

    async def aclose(self) -> None:
        try:
            await to_the_end(self.inner.aclose())
        finally:  # not before: whoever came meanwhile would find the connection in use, and open another
            if self.open:
                self.open = False
                self.leave()


async def close_orphans(transport: httpx.AsyncBaseTransport) -> None:
    """Close the connections of a pool that are in use by no request."""
    for orphan in orphans_of(getattr(transport, "_pool", None)):
        await orphan.aclose()


_INNER = ("_optional_thread_lock", "_requests", "_connections", "_assign_requests_to_connections")
"""What httpcore's pools have had inside since 1.0.3; others are left to themselves."""


def orphans_of(pool: Any) -> list[Any]:
    """Take the connections that are in use by no request out of a pool; they are to be closed.

    httpcore 1.0 leaves one behind when a request is cancelled between its connection and its first byte or while a
    broken answer is closed, or when TLS fails behind a proxy; it would take a place in the pool for good.
    """
    if not all(hasattr(pool, name) for name in _INNER):
        return []
    with pool._optional_thread_lock:
        used = {id(request.connection) for request in pool._requests}
        found = [one for one in pool._connections if id(one) not in used and not (one.is_idle() or one.is_closed())]
        for orphan in found:
            pool._connections.remove(orphan)
        # Who waits for a place gets theirs.
        return [*found, *(pool._assign_requests_to_connections() if found else ())]


@types.coroutine
def to_the_end(work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Run work to its end even if the task is cancelled on the way; then it is.

    httpcore shields its closing from anyio's cancellation, not from asyncio's: a connection whose closing was cancelled
    would stay in use for good.
    """
    cancelled = None
    try:
        step = work.send(None)
        while True:
            try:
                yield step
            except asyncio.CancelledError as error:
                cancelled = error
                step = work.send(None) if step is None else work.throw(error)  # what it waits for was cancelled, too
            else:
                step = work.send(None)
    except StopIteration:
        pass
    finally:
        work.close()
    if cancelled is not None:
        raise cancelled
