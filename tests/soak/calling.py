"""What a call of a storm is, and the clock it lives by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from wx_integrations.core.retry import Waiting

PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
LIMIT = 200
IMPATIENCE = 2.0
"""Seconds that an impatient call waits for the next byte: longer than a busy machine takes for an answer."""
FICKLE = 0.25
"""Seconds within which a fickle call is cancelled, if it has not ended."""


@dataclass(frozen=True)
class Errand:
    """A kind of call.

    Attributes:
        run: makes call number n and returns its answer in a form that can be compared.
        arun: the same without blocking.
        right: the right answer of call number n.
        streams: whether the answer is a stream.
        impatient: whether it gives up when nothing arrives for a while.
        fickle: whether it is cancelled on the way, if the colour has that.
    """

    name: str
    run: Callable[[int], Any]
    arun: Callable[[int], Coroutine[Any, Any, Any]]
    right: Callable[[int], Any]
    streams: bool = False
    impatient: bool = False
    fickle: bool = False


class Clock:
    """The clients' time: faster than ours, so that waits of seconds are short, and able to leap."""

    SPEED = 25.0

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() * self.SPEED + self._ahead

    def leap(self, seconds: float) -> None:
        self._ahead += seconds

    async def _asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.SPEED)

    @property
    def waiting(self) -> Waiting:
        return Waiting(clock=self, sleep=lambda seconds: time.sleep(seconds / self.SPEED), asleep=self._asleep)


Made = Callable[..., Any]
"""Makes an adapter: its class, the model's id, and further settings."""
