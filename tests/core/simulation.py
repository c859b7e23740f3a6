"""Services and callers on a simulated clock, to see what the limiter makes of them.

```python
figures = simulate(Window(8), workers=5, seconds=1000)
figures.share(8), figures.refused
```
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

from wx_integrations.core.limiter import Caller, Limiter
from wx_integrations.core.pace import NOTHING, Signals

Process = Generator[float, None, None]
"""Yields the seconds it sleeps."""


class Clock:
    """Runs processes in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._agenda: list[tuple[float, int, Process]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self.now

    def start(self, process: Process, at: float = 0.0) -> None:
        heapq.heappush(self._agenda, (at, next(self._count), process))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, process = heapq.heappop(self._agenda)
            seconds = next(process, None)
            if seconds is not None:
                self.start(process, self.now + max(seconds, 1e-6))
        self.now = until


class Service(Protocol):
    """Admits or refuses a request."""

    def admit(self, now: float) -> tuple[int, Signals]: ...

    def done(self) -> None: ...


@dataclass
class Window:
    """At most so many requests in any second, as a sliding window.

    Attributes:
        limit: requests per second, or what they are at a time.
        states: whether the answers name the limit, or the number that they name.
        retry_after: seconds a refusal asks to wait.
    """

    limit: float | Callable[[float], float]
    states: bool | float = False
    retry_after: float | None = None
    times: deque[float] = field(default_factory=deque)

    def admit(self, now: float) -> tuple[int, Signals]:
        limit = self.limit(now) if callable(self.limit) else self.limit
        while self.times and now - self.times[0] >= 1.0:
            self.times.popleft()
        stated = None if self.states is False else limit if self.states is True else self.states
        if len(self.times) >= limit:
            return 429, Signals(self.retry_after, stated)
        self.times.append(now)
        return 200, NOTHING if stated is None else Signals(rate=stated)

    def done(self) -> None:
        """Nothing is kept."""


@dataclass
class Capacity:
    """At most so many requests at a time."""

    most: int
    busy: int = 0

    def admit(self, now: float) -> tuple[int, Signals]:
        if self.busy >= self.most:
            return 503, NOTHING
        self.busy += 1
        return 200, NOTHING

    def done(self) -> None:
        self.busy -= 1


@dataclass
class Figures:
    """What happened after the warm-up."""

    seconds: float
    good: int = 0
    refused: int = 0
    faults: int = 0
    by_caller: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.good / self.seconds

    def share(self, limit: float) -> float:
        return self.rate / limit


def simulate(
    service: Service,
    *,
    workers: int = 8,
    jobs: int = 1,
    seconds: float = 1000.0,
    warm_up: float = 10.0,
    latency: float = 0.2,
    faults: float = 0.0,
    think: float = 0.0,
    window: bool = False,
    seed: int = 1,
    limiter: Limiter | None = None,
) -> Figures:
    """Run workers of several jobs against a service, each repeating what was refused.

    Args:
        workers: of each job.
        faults: share of requests that are refused for no reason.
        think: seconds between a worker's requests.
        window: let only as many workers work as the pace says.
    """
    chance = random.Random(seed)
    clock = Clock()
    used = limiter or Limiter(clock)
    used.clock = clock
    figures = Figures(seconds - warm_up)

    def work(caller: Caller, number: int, place: int) -> Process:
        attempt = 0
        while True:
            while window and place >= used.pace.width(clock.now, workers):
                yield 0.05
            yield from _held(used, caller)
            sent = clock.now
            yield chance.uniform(0.0, 0.01)
            status, signals = service.admit(clock.now)
            fault = status == 200 and chance.random() < faults
            if fault:
                service.done()
                status, signals = 503, NOTHING
            yield latency * chance.uniform(0.5, 1.5) if status == 200 else 0.01
            if status == 200:
                service.done()
            used.answered(caller, status, sent, signals)
            if clock.now >= warm_up:
                figures.good += status == 200
                figures.refused += status != 200 and not fault
                figures.faults += fault
                if status == 200:
                    figures.by_caller[number] = figures.by_caller.get(number, 0) + 1
            attempt = 0 if status == 200 else attempt + 1
            if attempt:
                yield signals.retry_after or chance.random() * min(30.0, 0.5 * 2.0 ** (attempt - 1))
            elif think:
                yield chance.expovariate(1 / think)

    for number in range(jobs):
        caller = Caller(bulk=True)
        for place in range(workers):
            clock.start(work(caller, number, place))
    clock.run(seconds)
    return figures


def _held(limiter: Limiter, caller: Caller) -> Process:
    """Wait as `Limiter.hold` does, on the simulated clock."""
    for turns in limiter._enter(caller, again=False):
        ticket = limiter._arrive(turns, caller)
        while (seconds := limiter._delay(turns, ticket)) > 0:
            yield seconds
        limiter._leave(turns, ticket)
        limiter._go(limiter.clock())
