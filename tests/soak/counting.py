"""What is left when nothing should be: sockets, threads, tasks, connections in use, places in queues."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from wx_integrations.core.pools import ShardedTransport
from wx_integrations.core.session import Session


def in_use(session: Session) -> Counter[str]:
    """Return what the synchronous client and the limiter believe to be under way."""
    live: Any = session.client._live
    limiter: Any = session.limiter
    lanes = list(limiter._lanes.values())
    return Counter(
        {
            "users of clients": live.users if live is not None else 0,
            "connections in use": busy_connections(live.http.transport) if live is not None else 0,
            "requests in the limiters": limiter._sending + len(limiter._turns) + len(limiter._waiters),
            "bulk leaves": limiter._bulk + sum(lane.in_flight + len(lane.turns) for lane in lanes),
        }
    )


def in_use_here(session: Session) -> Counter[str]:
    """Return what the running loop's client believes to be under way."""
    live: Any = session.async_client._loops.get(id(asyncio.get_running_loop()))
    if live is None:
        return Counter()
    pools = inner(live.http.transport)
    return Counter(
        {
            "users of clients": live.users,
            "load of the pools": sum(pools.load) if isinstance(pools, ShardedTransport) else 0,
            "connections in use": busy_connections(live.http.transport),
        }
    )


def inner(transport: Any) -> Any:
    """Return the innermost of the package's transports."""
    while hasattr(transport, "inner"):
        transport = transport.inner
    return transport


def busy_connections(transport: Any) -> int:
    """Return how many connections of a transport's pools are in use, and how many requests wait for one."""
    found = inner(transport)
    pools = [shard._pool for shard in found.shards] if isinstance(found, ShardedTransport) else [found._pool]
    return sum(len(pool._requests) + sum(not one.is_idle() for one in pool.connections) for pool in pools)


async def tasks_left(sessions: Sequence[Session], seconds: float = 2.0) -> list[str]:
    """Return the running loop's other tasks, once there are none and nothing is in use, or after a while.

    Who breaks out of an `async for` leaves the closing to the loop, a task for each generator in the generator.
    """
    for _ in range(int(seconds / 0.01)):
        if not _others() and not any(sum(in_use_here(session).values()) for session in sessions):
            return []
        await asyncio.sleep(0.01)
    return [repr(task) for task in _others()]


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def open_sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (a listing of links, some gone by now)
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")  # noqa: PTH115
        except OSError:
            continue
    return count


def running_threads() -> int:
    return threading.active_count()


def settled(count: Callable[[], int], seconds: float = 10.0) -> int:
    """Return a count once it is zero, or what it is after a while."""
    for _ in range(int(seconds / 0.02)):
        if count() <= 0:
            return 0
        time.sleep(0.02)
    return count()
