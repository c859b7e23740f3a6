"""A bound on how many requests an adapter has under way in one event loop."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

MAX_CONCURRENCY = 8


class Bound:
    """One semaphore per running event loop: an adapter may live in several."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, asyncio.Semaphore]] = WeakKeyDictionary()

    def of(self, size: int) -> asyncio.Semaphore:
        """Return the running loop's semaphore; another size makes another one."""
        loop = asyncio.get_running_loop()
        known = self._by_loop.get(loop)
        if known is None or known[0] != size:
            known = self._by_loop[loop] = (size, asyncio.Semaphore(size))
        return known[1]

    def __copy__(self) -> Bound:
        return Bound()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Bound:
        return Bound()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Bound, ())
