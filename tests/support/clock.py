"""Time and chance that stand still until a test moves them."""

from __future__ import annotations

import asyncio
import threading

from wx_integrations.core.retry import Waiting


class FakeTime:
    """A clock that sleeping moves.

    Attributes:
        slept: the seconds of each sleep.
        draw: what chance gives, in [0, 1).
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_700_000_000.0, draw: float = 0.5) -> None:
        self.value = start
        self.wall = wall - start
        self.slept: list[float] = []
        self.draw = draw
        self._lock = threading.Lock()

    def move(self, seconds: float) -> None:
        with self._lock:
            self.value += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)

    @property
    def waiting(self) -> Waiting:
        return Waiting(
            clock=lambda: self.value,
            now=lambda: self.value + self.wall,
            sleep=self.sleep,
            asleep=self.asleep,
            draw=lambda: self.draw,
        )
