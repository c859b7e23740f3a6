"""A bulk job: what to send next, and what an outcome means; pure.

A batch refused for its content (400, 413, 422) is halved until the text at
fault stands alone, so that only that text fails. A batch that found no
answer, or too many others, is tried again while others find one; if none
does, the retry policy has had its say. Anything else, such as a wrong key,
would fail for every batch and ends the job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wx_integrations.core.batching import Batch, Batcher, Room, estimate_tokens, slices
from wx_integrations.core.errors import (
    ConnectionFailed,
    InvalidRequest,
    PartialFailure,
    RateLimited,
    ServiceError,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
)

R = TypeVar("R")

ROUNDS = 3
"""Further rounds of a batch for which the client's own retries did not suffice, in a job that gets answers."""
PATIENCE = 8
"""Single texts refused, and none accepted, after which the request itself must be at fault."""
HELD = 4
"""Finished batches that may wait to be taken, or for an earlier one when the order counts."""
AHEAD = 5000
"""Texts of a stream on their way or waiting to be taken, so that its memory has a bound whatever its length."""
SHOWN = 3
"""Failures that a message names."""


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """A piece of the outcome: results for consecutive texts, or the error of one text.

    Attributes:
        start: the first text's index.
    """

    start: int
    results: list[R]
    error: WatsonxError | None = None

    @property
    def end(self) -> int:
        return self.start + (1 if self.error else len(self.results))


class Job(Generic[R]):
    """Feeds on texts, hands out batches, takes outcomes and gives results.

    Args:
        room: how much fits into one request.
        noun: what the texts are called in messages.
        ordered: give results in the order of the texts, and hold few back for that.
        rounds: further rounds of a batch that found no answer, when others found one.
        flaw: returns what makes a text unfit to be sent, given its index; None for nothing.
        number: returns the index by which the caller knows a text; its own count without it.

    Attributes:
        failed: errors by index.
        input_token_count: tokens the service read.
        batches: requests answered well.
        texts: texts with a result.
        stopped_by: what ended the job early.
    """

    def __init__(
        self,
        room: Room,
        *,
        noun: str = "texts",
        ordered: bool = False,
        rounds: int = ROUNDS,
        flaw: Callable[[Any, int], WatsonxError | None] | None = None,
        number: Callable[[int], int] | None = None,
    ) -> None:
        self.noun = noun
        self.failed: dict[int, WatsonxError] = {}
        self.input_token_count = 0
        self.batches = 0
        self.texts = 0
        self.stopped_by: WatsonxError | None = None
        self._ordered = ordered
        self._rounds = rounds
        self._room, self._flaw, self._number = room, flaw, number or (lambda index: index)
        self._batcher = Batcher(room)
        self._backlog: deque[Batch] = deque()
        self._open: dict[int, Batch] = {}
        self._ended = False
        self._taken = 0
        self._sizes: dict[int, tuple[int, int]] = {}
        self._finished: dict[int, Done[R]] = {}
        self._position = 0

    # ------------------------------------------------------------------ texts in, batches out

    @property
    def hungry(self) -> bool:
        """Whether more texts are wanted now."""
        if self._ended or self._backlog or self.stopped_by is not None:
            return False
        on_their_way = sum(len(batch.texts) for batch in self._open.values())
        waiting = sum(len(done.results) for done in self._finished.values())
        return len(self._finished) < HELD and on_their_way + waiting < AHEAD

    def push(self, text: str) -> None:
        """Take a text."""
        flaw = self._flaw(text, self._number(self._taken)) if self._flaw is not None else None
        self._taken += 1
        batch = self._batcher.push(text) if flaw is None else self._batcher.flush()
        if batch is not None:
            self._backlog.append(batch)
        if flaw is not None:
            self._give_up(self._taken - 1, text, flaw)
            self._batcher = Batcher(self._room, self._taken)

    def feed(self, texts: Sequence[str]) -> None:
        """Take all texts at once; there are no more, and they need no further look."""
        self._backlog.extend(slices(texts, self._room))
        self._taken, self._ended = len(texts), True

    def end(self) -> None:
        """Take note that there are no more texts."""
        self._ended = True
        batch = self._batcher.flush()
        if batch is not None:
            self._backlog.append(batch)

    @property
    def has_batch(self) -> bool:
        """Whether a batch can be sent now."""
        return bool(self._backlog) and self.stopped_by is None

    @property
    def is_last(self) -> bool:
        """Whether the batch that comes next is the only one left."""
        return self._ended and len(self._backlog) == 1 and not self._open

    def next(self) -> Batch:
        """Hand out a batch to send."""
        batch = self._backlog.popleft()
        self._open[batch.start] = batch
        return batch

    @property
    def over(self) -> bool:
        """Whether nothing is left to send or to wait for."""
        return not self._open and (self.stopped_by is not None or (self._ended and not self._backlog))

    # ------------------------------------------------------------------ outcomes in

    def succeeded(self, batch: Batch, results: list[R], input_token_count: int = 0) -> None:
        """Take the results of a batch, one per text."""
        del self._open[batch.start]
        self.batches += 1
        self.texts += len(batch.texts)
        self.input_token_count += input_token_count
        self._finished[batch.start] = Done(batch.start, results)

    def fail(self, batch: Batch, error: WatsonxError) -> None:
        """Decide what becomes of a batch that failed."""
        del self._open[batch.start]
        if is_about_content(error):
            self._refused(batch, error)
        elif self._is_worth_another_round(batch, error):
            self._backlog.appendleft(batch.again())
        else:
            self._stop(batch, error)

    def _is_worth_another_round(self, batch: Batch, error: WatsonxError) -> bool:
        """Whether a batch may yet find its answer: others have, so that it is not the service that is down."""
        most = 1 if isinstance(error, UnexpectedResponse) else self._rounds
        return self.batches > 0 and is_passing(error) and batch.rounds < most

    def _refused(self, batch: Batch, error: WatsonxError) -> None:
        if len(batch.texts) > 1:
            self._backlog.extendleft(reversed(batch.halves()))
            return
        self._give_up(batch.start, batch.texts[0], error)
        if not self.texts and len(self.failed) >= PATIENCE:
            self._stop(None, error)

    def _give_up(self, index: int, text: Any, error: WatsonxError) -> None:
        name = self._number(index)
        self.failed[name] = error
        self._sizes[name] = (len(text), estimate_tokens(text)) if isinstance(text, str) else (0, 0)
        self._finished[index] = Done(index, [], error)

    def _stop(self, batch: Batch | None, error: WatsonxError) -> None:
        if batch is not None:
            self._backlog.appendleft(batch)
        if self.stopped_by is None:
            self.stopped_by = error

    def blame(self, index: int, like: int) -> None:
        """Note that a text failed for the reason of another one just like it."""
        self.failed[index], self._sizes[index] = self.failed[like], self._sizes[like]

    # ------------------------------------------------------------------ results out

    def drain(self) -> list[Done[R]]:
        """Return the pieces of the outcome that may be given now."""
        if not self._ordered:
            found = list(self._finished.values())
            self._finished.clear()
            return found
        found = []
        while self._position in self._finished:
            piece = self._finished.pop(self._position)
            self._position = piece.end
            found.append(piece)
        return found

    def leftover(self) -> dict[int, R]:
        """Return, by index, the results that wait for an earlier one."""
        pieces = self._finished.values()
        return {piece.start + place: result for piece in pieces for place, result in enumerate(piece.results)}

    def failure(
        self, done: Mapping[int, Any], total: int | None = None, *, kept: str | None = None
    ) -> WatsonxError | None:
        """Return the error the job ends with, if it does.

        Args:
            done: results by index, to go along.
            total: how many texts there are; those beyond the ones taken count as untried.
            kept: where the results are, if they are not in `done`.
        """
        if not self.failed and self.stopped_by is None:
            return None
        total = self._taken if total is None else total
        rest = range(self._position, total)
        untried = () if kept else tuple(index for index in rest if index not in done and index not in self.failed)
        if not done and self._has_one_cause() and not (kept and self.texts):
            return self._alone(total)
        error = PartialFailure(
            self._message(self.texts, total),
            done=dict(done),
            failed=dict(self.failed),
            untried=untried,
            cause=self.stopped_by,
            input_token_count=self.input_token_count,
            hint=self._hint(kept),
        )
        cause = self.stopped_by or next(iter(self.failed.values()))
        error.__cause__, error.attempts, error.waited = cause, cause.attempts, cause.waited
        return error

    def _has_one_cause(self) -> bool:
        return (self.stopped_by is not None and not self.failed) or (self._taken == 1 and len(self.failed) == 1)

    def _alone(self, total: int) -> WatsonxError:
        """Return the only error there is, with the text's size if it is about a text."""
        if not self.failed:
            assert self.stopped_by is not None
            return self.stopped_by
        index, error = next(iter(self.failed.items()))
        error.hint = f"The text has {self._size(index)}. {self._advice()}"
        return error

    def _message(self, done: int, total: int) -> str:
        lost = f"{len(self.failed)} of {total} {self.noun} failed" if self.failed else f"only {done} of {total} done"
        parts = [f"{self.noun}[{index}] ({self._size(index)}): {error.message}" for index, error in self._few()]
        if len(self.failed) > SHOWN:
            parts.append(f"and {len(self.failed) - SHOWN} more")
        if self.stopped_by is not None and self.stopped_by not in self.failed.values():
            parts.append(f"then stopped: {self.stopped_by.message}" if parts else self.stopped_by.message)
        return f"{lost}: " + "; ".join(parts)

    def _few(self) -> list[tuple[int, WatsonxError]]:
        return sorted(self.failed.items())[:SHOWN]

    def _size(self, index: int) -> str:
        length, tokens = self._sizes[index]
        return f"{length} characters, about {tokens} tokens"

    def _advice(self) -> str:
        return "Texts that are too long can be cut with truncate_input_tokens"

    def _hint(self, kept: str | None) -> str:
        kept = kept or "The results of the others are in the error's `done`"
        return f"{self._advice()}. {kept}" if self.failed else kept


def is_about_content(error: WatsonxError) -> bool:
    """Whether other texts might be accepted in the same request."""
    return isinstance(error, InvalidRequest) or (isinstance(error, ServiceError) and error.status == 413)


def is_passing(error: WatsonxError) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, RateLimited | Unavailable | ConnectionFailed | UnexpectedResponse)
