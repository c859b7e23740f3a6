"""Streams: pieces that are made while they are taken, and the events that carry them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from wx_integrations.emulator.brain import Piece
from wx_integrations.emulator.exchange import Frame, compact
from wx_integrations.emulator.service import Framing, Pacing

T = TypeVar("T")


class Primed(Generic[T]):
    """The same pieces with the first one already made, so that a refusal shows before the answer begins."""

    def __init__(self, pieces: Iterable[T]) -> None:
        self._pieces = iter(pieces)
        self._first = list(itertools.islice(self._pieces, 1))

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._first.pop() if self._first else next(self._pieces)

    def close(self) -> None:
        """Stop whoever makes the pieces."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class Frames:
    """The frames of a stream; closing them stops the sources, also when no frame was taken yet."""

    def __init__(self, frames: Iterator[Frame], sources: Sequence[Primed[Piece]]) -> None:
        self._frames = frames
        self._sources = sources

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def close(self) -> None:
        """Stop the stream and the brain behind it."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
        for source in self._sources:
            source.close()


class Events:
    """Numbers and encodes the events of one stream of `/ml/v1`."""

    def __init__(self, pacing: Pacing) -> None:
        self._numbers = itertools.count(1)
        self._pacing = pacing
        self._begun = False

    def message(self, value: Any, *, paced: bool = False, event: str = "message") -> Frame:
        """Return an event; `paced` ones carry tokens and so take their time."""
        text = f"id: {next(self._numbers)}\nevent: {event}\ndata: ".encode()
        return Frame(text + compact(value) + b"\n\n", self._wait() if paced else 0.0)

    def bare(self, event: str) -> Frame:
        """Return an event without data."""
        return Frame(f"id: {next(self._numbers)}\nevent: {event}\n\n".encode())

    def _wait(self) -> float:
        wait = self._pacing.each if self._begun else self._pacing.first
        self._begun = True
        return wait


def closing(events: Events, framing: Framing) -> Iterator[Frame]:
    """Yield the close event of older recordings, if the framing asks for one."""
    if framing.ending == "close_empty":
        yield events.message({}, event="close")
    elif framing.ending == "close_bare":
        yield events.bare("close")
