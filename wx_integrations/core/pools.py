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
from typing import Any

import httpx


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
    stay on few connections; another pool is made when all are in use.

    Args:
        make: makes the pool of that number.
        most: how many there may be.
    """

    def __init__(self, make: Callable[[int], httpx.AsyncHTTPTransport], most: int) -> None:
        self._make = make
        self._most = most
        self.shards = [make(0)]
        self.load = [0]

    def _place(self) -> int:
        """Return the number of the pool that is used least."""
        least, count = min(self.load), len(self.load)
        if not least or count == self._most:
            return self.load.index(least)
        self.shards.append(self._make(count))
        self.load.append(0)
        return count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = self._place()
        self.load[place] += 1
        try:
            response = await self.shards[place].handle_async_request(request)
        except BaseException as error:
            self.load[place] -= 1
            await to_the_end(close_orphans(self.shards[place]))
            if asyncio._get_running_loop() is None:  # collected, as the loop was closed: httpcore is confused by that
                raise GeneratorExit from error
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _CountedStream(response.stream, self, place)
        return response

    async def aclose(self) -> None:
        async with contextlib.AsyncExitStack() as stack:  # every one, even if one fails
            for shard in reversed(self.shards):
                stack.push_async_callback(shard.aclose)


class _CountedStream(httpx.AsyncByteStream):
    """A body that lowers its pool's load once, when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, owner: ShardedTransport, place: int) -> None:
        self.inner = inner
        self.owner = owner
        self.place = place
        self.open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.inner:
                yield piece
        except (Exception, asyncio.CancelledError):
            await to_the_end(close_orphans(self.owner.shards[self.place]))
            raise

    async def aclose(self) -> None:
        if self.open:
            self.open = False
            self.owner.load[self.place] -= 1
        await to_the_end(self.inner.aclose())


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
