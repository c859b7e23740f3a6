"""What bulk embedding and bulk ranking have in common: bounds, and a job at work."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from wx_integrations.core.adoption import Adopted
from wx_integrations.core.batching import MAX_BYTES, MAX_TEXTS, Batch, Room, flaw_of
from wx_integrations.core.crew import Answered, arun, run
from wx_integrations.core.errors import ConfigurationError, WatsonxError
from wx_integrations.core.jobs import ROUNDS, Done, Job
from wx_integrations.core.limiter import Caller
from wx_integrations.core.progress import Bar, Progress, Watcher
from wx_integrations.core.session import Session

R = TypeVar("R")
OnFailure = Callable[[int, WatsonxError], object]
"""Is told the index of a text that failed, and why."""


@dataclass(frozen=True)
class Bounds:
    """How much goes into a request, and how fast requests may follow each other.

    Attributes:
        batch_size: texts in a request, up to 1000.
        batch_tokens: estimated tokens in a request; None for no bound.
        batch_bytes: bytes of text in a request; None for no bound.
        max_concurrency: requests at a time, of all that have the same bounds; None lets the service decide.
        requests_per_second: of all that have the same bounds; None lets the service decide.
        empty: what to do with a text without any characters: "refuse", or "send" it as it is.

    Raises:
        ConfigurationError: a bound is out of range.
    """

    batch_size: int = MAX_TEXTS
    batch_tokens: int | None = None
    batch_bytes: int | None = MAX_BYTES
    max_concurrency: int | None = None
    requests_per_second: float | None = None
    empty: Literal["refuse", "send"] = "refuse"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= MAX_TEXTS:
            raise ConfigurationError(f"batch_size: must be from 1 to {MAX_TEXTS}", field="batch_size")
        for name in ("batch_tokens", "batch_bytes", "max_concurrency", "requests_per_second"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name}: must be more than 0", field=name)
        if self.empty not in ("refuse", "send"):
            raise ConfigurationError("empty: must be 'refuse' or 'send'", field="empty")

    def room(self, per_text: int | None = None) -> Room:
        """Return what fits into a request when the service cuts each text to `per_text` tokens."""
        return Room(self.batch_size, self.batch_tokens, self.batch_bytes, per_text)


@dataclass(frozen=True)
class Watching:
    """Who is told how far a job is.

    Attributes:
        on_progress: is called after every batch.
        show_progress: show a bar.
    """

    on_progress: Watcher | None = None
    show_progress: bool = False


class Work(Generic[R]):
    """A job at work: its place in the limiter, and who watches it.

    Args:
        cut: tokens to which the service cuts each text.
        noun: what the texts are called in messages.
        total: how many there are, if that is known.
        stream: the texts come bit by bit: each is checked as it comes.
        ordered: the results keep the order of the texts, and few are held.
        number: returns the index by which the caller knows a text.
    """

    def __init__(
        self,
        session: Session,
        bounds: Bounds,
        *,
        cut: int | None = None,
        noun: str = "texts",
        total: int | None = None,
        stream: bool = False,
        ordered: bool = False,
        number: Callable[[int], int] | None = None,
        watching: Watching | None = None,
    ) -> None:
        watching = watching or Watching()
        self.job: Job[R] = Job(
            bounds.room(cut),
            noun=noun,
            ordered=ordered,
            rounds=ROUNDS if session.client.retry.retry_total else 0,
            flaw=partial(flaw_of, name=noun, allow_empty=bounds.empty == "send") if stream else None,
            number=number,
        )
        self._limiter = session.limiter
        self._caller = Caller(self._limiter.lane(bounds.max_concurrency, bounds.requests_per_second), bulk=True)
        self._total = total
        self._began = self._limiter.clock()
        self._bar = Bar(noun, total) if watching.show_progress else None
        self._watchers = [watcher for watcher in (watching.on_progress, self._bar) if watcher is not None]

    def pieces(self, texts: Iterable[str], send: Callable[[Batch], Answered[R]]) -> Generator[Done[R], None, None]:
        """Yield the pieces of the outcome; see `crew.run`."""
        with closing(run(self.job, texts, send, self._limiter, self._caller, self._watch)) as pieces, closing(self):
            yield from pieces

    async def apieces(
        self, texts: Iterable[str] | AsyncIterable[str], send: Callable[[Batch], Awaitable[Answered[R]]]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield the pieces of the outcome; see `crew.arun`."""
        running = arun(self.job, texts, send, self._limiter, self._caller, self._watch)
        async with Adopted(running) as pieces:
            with closing(self):
                async for piece in pieces:
                    yield piece

    def _watch(self, in_flight: int) -> None:
        if not self._watchers:
            return
        job = self.job
        progress = Progress(
            texts=job.texts,
            failed=len(job.failed),
            total=self._total,
            input_token_count=job.input_token_count,
            requests=job.batches,
            refusals=self._caller.refusals,
            in_flight=in_flight,
            seconds=self._limiter.clock() - self._began,
        )
        for watcher in self._watchers:
            watcher(progress)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    # ------------------------------------------------------------------ bit by bit

    def told(self, piece: Done[R], on_failure: OnFailure | None) -> Iterable[R | None]:
        """Return a piece's results; a failure is told and becomes None, or is raised when nobody is to be told."""
        if piece.error is None:
            return piece.results
        if on_failure is None:
            failure = self.job.failure(self.job.leftover())
            assert failure is not None
            raise failure
        on_failure(piece.start, piece.error)
        return (None,)

    def finish(self) -> None:
        """Raise what ended the job early."""
        failure = self.job.failure(self.job.leftover()) if self.job.stopped_by is not None else None
        if failure is not None:
            raise failure


class Whole(Generic[R]):
    """The results of all texts, put in their places as they come."""

    def __init__(self, total: int) -> None:
        self.results: list[Any] = [None] * total
        self._spans: list[tuple[int, int]] = []

    def add(self, piece: Done[R]) -> None:
        if piece.error is None:
            self.results[piece.start : piece.end] = piece.results
            self._spans.append((piece.start, piece.end))

    def finish(self, job: Job[R]) -> list[R]:
        """Return the results.

        Raises:
            PartialFailure: some are missing; it carries the others.
        """
        if job.failed or job.stopped_by is not None:
            done = {index: self.results[index] for start, end in self._spans for index in range(start, end)}
            failure = job.failure(done, len(self.results))
            if failure is not None:
                raise failure
        return self.results
