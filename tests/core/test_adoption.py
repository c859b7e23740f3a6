"""An async generator within another is closed once, whoever leaves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from wx_integrations.core.adoption import Adopted


class Log:
    """What happened, and what a loop complained of."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.complaints: list[Any] = []

    def complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.complaints.append(context["message"])


async def inner(log: Log) -> AsyncGenerator[int, None]:
    try:
        for number in range(10):
            yield number
    finally:
        await asyncio.sleep(0)  # as to close a connection takes a moment
        log.done.append("inner")


async def outer(log: Log, adopt: Any = Adopted) -> AsyncGenerator[int, None]:
    async with adopt(inner(log)) as numbers:
        async for number in numbers:
            yield number
    log.done.append("outer")


async def test_everything_comes_through() -> None:
    log = Log()
    assert [number async for number in outer(log)] == [*range(10)]
    assert log.done == ["inner", "outer"]


@pytest.mark.parametrize("adopt", [Adopted, aclosing])
def test_a_loop_that_shuts_down_closes_both(adopt: Any) -> None:
    """With `aclosing` it complains, which is why there is another way."""
    log, kept = Log(), []

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(log.complain)
        for _ in range(5):
            kept.append(outer(log, adopt))
            assert await anext(kept[-1]) == 0

    asyncio.run(leave())
    assert log.done == ["inner"] * 5
    assert bool(log.complaints) is (adopt is aclosing)


async def test_left_cancelled_dropped_and_closed() -> None:
    log = Log()
    left = outer(log)
    async for _ in left:
        break
    await left.aclose()
    assert log.done == ["inner"]
    dropped: Any = outer(log)
    await anext(dropped)
    del dropped
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert log.done == ["inner"] * 2
    never_begun = outer(log)
    await never_begun.aclose()
    async with Adopted(inner(log)):
        pass
    assert log.done == ["inner"] * 2

    async def stuck() -> None:
        async for _ in outer(log):
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    for _ in range(5):
        await asyncio.sleep(0)
    assert log.done == ["inner"] * 3


async def test_an_error_closes_at_once() -> None:
    log = Log()
    held: list[BaseException] = []
    try:
        async with Adopted(inner(log)) as numbers:
            async for _ in numbers:
                raise ZeroDivisionError
    except ZeroDivisionError as error:
        held.append(error)  # with its frames
    assert log.done == ["inner"]
    assert held


def test_the_end_of_a_loop_that_was_closed_by_hand_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    log = Log()
    loop = asyncio.new_event_loop()
    kept: list[Any] = [outer(log)]
    loop.run_until_complete(anext(kept[0]))
    loop.close()
    kept.clear()
    gc.collect()
    assert [str(warning.message) for warning in recwarn.list] == []
