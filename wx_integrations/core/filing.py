"""Which texts still need a vector, and what becomes of each: the bookkeeping of a job that goes to disk; pure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wx_integrations.core.bulk import OnFailure
from wx_integrations.core.jobs import Done, Job

CHUNK = 500
"""Texts that are looked up at a time."""

Pairs = list[tuple[bytes, Sequence[float]]]
"""Keys and vectors."""


class Shelf(Protocol):
    """Where vectors are kept."""

    path: Path

    def key(self, text: str) -> bytes:
        """Return what a text's vector is kept under."""

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys that have a vector."""


@dataclass(frozen=True)
class Kept:
    """What a job left in its checkpoint.

    Attributes:
        path: the file.
        texts: texts seen, the same one twice counts twice.
        embedded: texts embedded now.
        reused: texts whose vectors were there, or were asked for by another text just like it.
        failed: texts that failed and were told of.
        input_token_count: tokens the service read now.
        requests: requests answered well now.
    """

    path: Path
    texts: int
    embedded: int
    reused: int
    failed: int
    input_token_count: int
    requests: int


def chunks(texts: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield texts in lists of up to `CHUNK`."""
    source = iter(texts)
    while chunk := list(itertools.islice(source, CHUNK)):
        yield chunk


@dataclass
class Intake:
    """Sorts out which texts still need a vector, and under which key it goes.

    Attributes:
        texts: texts seen.
        reused: texts that needed no request.
        embedded: texts that got a vector.
    """

    checkpoint: Shelf
    texts: int = 0
    reused: int = 0
    embedded: int = 0
    _sent: int = 0
    _asked: dict[int, tuple[int, bytes | None]] = field(default_factory=dict)
    _twins: dict[bytes, list[int]] = field(default_factory=dict)
    _kept: set[bytes] = field(default_factory=set)

    def number(self, position: int) -> int:
        """Return the index, among all texts, of one that was sent."""
        return self._asked[position][0]

    def missing(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the texts that need a vector."""
        for chunk in chunks(texts):
            keys = self._keys(chunk)
            yield from self._sorted(chunk, self.checkpoint.known(keys))

    async def amissing(self, texts: AsyncIterable[str] | Iterable[str]) -> AsyncGenerator[str, None]:
        """Yield the texts that need a vector; the file is read in another thread."""
        async for chunk in achunks(texts):
            keys = self._keys(chunk)
            for text in self._sorted(chunk, await asyncio.to_thread(self.checkpoint.known, keys)):
                yield text

    def _keys(self, chunk: list[Any]) -> list[bytes]:
        for key in self._kept:  # they are on disk, where the coming look finds them
            del self._twins[key]
        self._kept.clear()
        return list({self.checkpoint.key(text) for text in chunk if isinstance(text, str)})

    def _sorted(self, chunk: list[Any], known: set[bytes]) -> Iterator[str]:
        for text in chunk:
            index, key = self.texts, self.checkpoint.key(text) if isinstance(text, str) else None
            self.texts += 1
            if key is not None and key in known:
                self.reused += 1
            elif key is not None and key in self._twins:
                self._twins[key].append(index)
                self.reused += 1
            else:
                if key is not None:
                    self._twins[key] = []
                self._asked[self._sent] = (index, key)
                self._sent += 1
                yield text

    def pairs(self, piece: Done[Any]) -> Pairs:
        """Return the keys and vectors of a piece of the outcome."""
        found: Pairs = []
        for position, result in enumerate(piece.results, piece.start):
            key = self._asked.pop(position)[1]
            assert key is not None
            found.append((key, result))
            self._kept.add(key)
        self.embedded += len(found)
        return found

    def lost(self, piece: Done[Any]) -> list[int]:
        """Return the indices of a text that failed: its own, and those of texts just like it."""
        index, key = self._asked.pop(piece.start)
        twins = self._twins.pop(key, []) if key is not None else []
        self.reused -= len(twins)
        return [index, *twins]


@dataclass
class Filing:
    """Files a job's outcome into a checkpoint, and says in the end what is there."""

    checkpoint: Shelf
    intake: Intake
    on_failure: OnFailure | None
    failed: int = 0

    def sort(self, piece: Done[Any], job: Job[Any]) -> Pairs:
        """Return what of a piece is to be kept; what failed is told."""
        if piece.error is None:
            return self.intake.pairs(piece)
        first, *twins = self.intake.lost(piece)
        for twin in twins:
            job.blame(twin, like=first)
        self.failed += 1 + len(twins)
        if self.on_failure is not None:
            for index in (first, *twins):
                self.on_failure(index, piece.error)
        return []

    def finish(self, job: Job[Any]) -> Kept:
        """Return what was kept.

        Raises:
            PartialFailure: texts failed and nobody was told, or the job ended early.
        """
        if job.stopped_by is not None or (self.failed and self.on_failure is None):
            kept = f"What was embedded is kept in {self.checkpoint.path}; the same call continues from there"
            failure = job.failure({}, self.intake.texts, kept=kept)
            if failure is not None:
                raise failure
        return Kept(
            path=self.checkpoint.path,
            texts=self.intake.texts,
            embedded=self.intake.embedded,
            reused=self.intake.reused,
            failed=self.failed,
            input_token_count=job.input_token_count,
            requests=job.batches,
        )


async def achunks(texts: AsyncIterable[Any] | Iterable[Any]) -> AsyncGenerator[list[Any], None]:
    """Yield texts in lists of up to `CHUNK`."""
    if not isinstance(texts, AsyncIterable):
        for chunk in chunks(texts):
            yield chunk
        return
    chunk = []
    async for text in texts:
        chunk.append(text)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
