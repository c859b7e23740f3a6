"""What is done with a contender and timed, inside the process that holds it.

Each loop returns how much it did (calls, events, texts) and what it saw; the
worker adds CPU and wall time. Answers are checked, so that nobody wins by
doing less.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import ssl
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.answers import TEXT

Seen = dict[str, float]
Loop = Callable[..., tuple[int, Seen]]


class Meter:
    """CPU seconds (of all threads) and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> Seen:
        return {"cpu": time.process_time() - self.cpu, "wall": time.perf_counter() - self.wall}


def chat(contender: Any, runner: asyncio.Runner, calls: int) -> tuple[int, Seen]:
    """Ask one question after another."""
    ask = contender.chat
    for _ in range(calls):
        answer = ask()
    assert answer == TEXT, answer
    return calls, {}


def achat(contender: Any, runner: asyncio.Runner, calls: int, concurrency: int) -> tuple[int, Seen]:
    """Ask in `concurrency` coroutines, each one question after another."""

    async def asker() -> None:
        for _ in range(calls // concurrency):
            answer = await contender.achat()
            assert answer == TEXT, answer

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(asker())

    runner.run(together())
    return calls // concurrency * concurrency, {}


def batch(contender: Any, runner: asyncio.Runner, calls: int, threads: int) -> tuple[int, Seen]:
    """Ask in threads."""
    found = contender.batch(calls, threads)
    assert found == [TEXT] * calls
    return calls, {}


def stream(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """Read a stream."""
    contender.events = events
    count = sum(1 for piece in contender.stream() if piece)
    assert count == events, count
    return events, {}


def astream(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """Read a stream in a coroutine."""

    async def read() -> int:
        count = 0
        async for piece in contender.astream():
            if piece:
                count += 1
        return count

    contender.events = events
    count = runner.run(read())
    assert count == events, count
    return events, {}


def stream_tools(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """Read a stream of tool calls."""
    contender.events = events
    count = sum(1 for _ in contender.stream_tools())
    assert count, "nothing came"  # langchain-ibm gives the calls when they are complete
    return events, {}


# --------------------------------------------------------------------------- objects


def construct(contender: Any, runner: asyncio.Runner, times: int) -> tuple[int, Seen]:
    """Build models: the first, the next ones, and what they keep in memory."""
    first = Meter()
    kept = [contender.build()]
    seen = {"first_cpu": first.read()["cpu"]}
    following = []
    for _ in range(times):
        meter = Meter()
        kept.append(contender.build())
        following.append(meter.read()["cpu"])
    seen["next_cpu"] = sorted(following)[times // 2]
    tracemalloc.start()
    before = _traced()
    kept += [contender.build() for _ in range(times)]
    seen["next_bytes"] = (_traced() - before) / times
    tracemalloc.stop()
    return len(kept), seen


def _traced() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def ten(contender: Any, runner: asyncio.Runner) -> tuple[int, Seen]:
    """Build ten models of equal settings; ask each, in both colours."""
    kept = [type(contender)(contender.place) for _ in range(10)]
    for one in kept:
        assert one.chat() == TEXT

    async def ask() -> None:
        for one in kept:
            assert await one.achat() == TEXT

    runner.run(ask())
    return 10, {"contexts": float(sum(isinstance(one, ssl.SSLContext) for one in gc.get_objects()))}


def overhead(contender: Any, runner: asyncio.Runner, calls: int) -> tuple[int, Seen]:
    """Compare the client with bare httpx, both over a transport that answers by itself, in alternating blocks."""
    blocks: dict[str, list[float]] = {}
    for _ in range(10):
        for name, ask in contender.overhead().items():
            ask()
            meter = Meter()
            for _ in range(calls // 10):
                ask()
            blocks.setdefault(f"{name}_call", []).append(meter.read()["cpu"] / (calls // 10))
    return calls, {name: sorted(taken)[len(taken) // 2] for name, taken in blocks.items()}


# --------------------------------------------------------------------------- when things arrive


def dribble(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """Read a stream with pauses; each piece says when it was written, by this machine's one monotonic clock."""
    late = [time.monotonic() - float(piece) for piece in contender.stream() if piece]
    return _lateness(late, events)


def adribble(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """The same in a coroutine."""

    async def read() -> list[float]:
        return [time.monotonic() - float(piece) async for piece in contender.astream() if piece]

    return _lateness(runner.run(read()), events)


def _lateness(late: list[float], events: int) -> tuple[int, Seen]:
    assert len(late) == events, len(late)
    return events, {"first_late": late[0], "median_late": sorted(late)[len(late) // 2], "most_late": max(late)}


def held(contender: Any, runner: asyncio.Runner, events: int) -> tuple[int, Seen]:
    """Read a stream while a task ticks: the longest time between two ticks is how long the loop was held.

    Wall time, and CPU time of this thread: only the second is honest on a busy machine,
    only the first sees waiting inside a synchronous call.
    """
    ticks: list[tuple[float, float]] = []

    async def tick() -> None:
        while True:
            ticks.append((time.perf_counter(), time.thread_time()))
            await asyncio.sleep(0)

    async def read() -> int:
        ticker = asyncio.create_task(tick())
        await asyncio.sleep(0)
        count = 0
        async for piece in contender.astream():
            if piece:
                count += 1
        ticks.append((time.perf_counter(), time.thread_time()))
        ticker.cancel()
        return count

    contender.events, contender.pause = events, 100
    count = runner.run(read())
    contender.pause = 0
    assert count == events, count
    gaps = [(later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in itertools.pairwise(ticks)]
    return events, {"held_wall": max(gap[0] for gap in gaps), "held_cpu": max(gap[1] for gap in gaps)}


# --------------------------------------------------------------------------- many texts


def embed(contender: Any, runner: asyncio.Runner, texts: int, dimension: int) -> tuple[int, Seen]:
    """Embed many texts."""
    vectors = contender.embed(texts_of(texts))
    assert len(vectors) == texts
    assert len(vectors[0]) == len(vectors[-1]) == dimension
    return texts, {}


def rerank(contender: Any, runner: asyncio.Runner, texts: int, times: int, length: int) -> tuple[int, Seen]:
    """Rank passages of a length, each a sentence that is repeated."""
    passages = [(text * length)[:length] for text in texts_of(texts)]
    for _ in range(times):
        found = contender.rerank(passages)
    assert found[0] == (0, 9.5), found[0]
    assert len(found) == texts
    return texts * times, {}


def count_tokens(contender: Any, runner: asyncio.Runner, calls: int, texts: int) -> tuple[int, Seen]:
    """Count the tokens of a few texts again and again, as a splitter or a memory does."""
    known = texts_of(texts)
    for number in range(calls):
        assert contender.count_tokens(known[number % texts]) == 11
    return calls, {}


def texts_of(count: int) -> list[str]:
    """Return sentences of 74 characters each."""
    return [
        f"text number {number:4}, with some more words of the usual length of a sentence. " for number in range(count)
    ]


LOOPS: dict[str, Loop] = {
    loop.__name__: loop
    for loop in (
        *(chat, achat, batch, stream, astream, stream_tools, construct, ten, overhead),
        *(dribble, adribble, held, embed, rerank, count_tokens),
    )
}
