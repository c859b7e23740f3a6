"""What a client's pools hold on to, and a task that is cancelled at exactly one point."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Reached(Exception):
    """The work came to the point at which it was to be cancelled."""


@types.coroutine
def cancelled_at(work: Coroutine[Any, Any, Any], point: int) -> Generator[Any, Any, Any]:
    """Run work, and cancel it when it waits for the n-th time, as `Task.cancel` does; returns what it returns.

    Raises:
        Reached: the work waited that often, and was cancelled.
    """
    waits = 0
    try:
        step = work.send(None)
        while True:
            waits += 1
            if waits == point:
                if step is not None:
                    step._asyncio_future_blocking = False
                    step.cancel()
                step = work.throw(asyncio.CancelledError())
            else:
                yield step
                step = work.send(None)
    except StopIteration as done:
        if waits >= point:  # it was through, but for the cancellation
            raise Reached from None
        return done.value
    except asyncio.CancelledError:
        if waits < point:
            raise
        raise Reached from None


async def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    """Wait until a condition comes true.

    Raises:
        TimeoutError: it does not.
    """
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0)


def pools_of(transport: Any) -> list[Any]:
    """Return httpcore's pools below the package's transports."""
    while hasattr(transport, "inner"):
        transport = transport.inner
    return [shard._pool for shard in getattr(transport, "shards", [transport])]


def busy(pool: Any) -> list[str]:
    """Return the requests and the connections that a pool believes to be in use."""
    connections = [repr(one) for one in pool.connections if not (one.is_idle() or one.is_closed())]
    return [*map(repr, pool._requests), *connections]


def open_in(pool: Any) -> int:
    """Return how many connections a pool keeps open."""
    return sum(not one.is_closed() for one in pool.connections)
