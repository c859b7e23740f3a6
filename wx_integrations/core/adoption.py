"""Async generators within async generators."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Adopted(Generic[T]):
    """An async generator that another one takes from and closes at the end of its block; nobody else closes it.

    An event loop that shuts down closes all async generators that it has seen,
    at once. One that is just being closed by another is then closed a second
    time, which Python refuses ("already running"), and asyncio logs. The loop
    does not see this one begin.

    Args:
        source: not begun yet.
    """

    __slots__ = ("_begun", "_source")

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        if self._begun:
            return self._source.__anext__()
        self._begun = True
        seen_by = sys.get_asyncgen_hooks().firstiter
        sys.set_asyncgen_hooks(firstiter=None)
        try:
            return self._source.__anext__()
        finally:
            sys.set_asyncgen_hooks(firstiter=seen_by)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._source.aclose()
