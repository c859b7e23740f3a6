"""A bulk job as a value: what it sends next, and what each outcome means."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core.batching import Batch, Room
from wx_integrations.core.errors import (
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    PartialFailure,
    RateLimited,
    ServiceError,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
)
from wx_integrations.core.jobs import HELD, PATIENCE, ROUNDS, Done, Job


def refused(status: int = 400) -> ServiceError:
    kinds = {400: InvalidRequest, 401: Unauthorized, 404: NotFound, 422: InvalidRequest, 429: RateLimited}
    kind = kinds.get(status, Unavailable if status >= 500 else ServiceError)
    return kind(f"HTTP {status}: no", status=status)


def fed(texts: list[str], size: int = 4, **settings: Any) -> Job[str]:
    job: Job[str] = Job(Room(size), **settings)
    for text in texts:
        job.push(text)
    job.end()
    return job


def answer(job: Job[str], batch: Batch) -> None:
    """Answer as a service that repeats each text would."""
    job.succeeded(batch, [text.upper() for text in batch.texts], len(batch.texts))


def finished(job: Job[str], bad: str = "!") -> dict[int, Any]:
    """Run a job against a service that refuses batches with a bad text; return results and errors by index."""
    found: dict[int, Any] = {}
    while not job.over:
        batch = job.next()
        if any(bad in text for text in batch.texts):
            job.fail(batch, refused())
        else:
            answer(job, batch)
        take(job, found)
    take(job, found)
    return found


def take(job: Job[str], found: dict[int, Any]) -> None:
    for piece in job.drain():
        pairs = [(piece.start, piece.error)] if piece.error else enumerate(piece.results, piece.start)
        for index, value in pairs:
            assert index not in found
            found[index] = value


# --------------------------------------------------------------------------- halving


@given(st.lists(st.sampled_from(["a", "b", "c!"]), min_size=1, max_size=60), st.integers(1, 16))
def test_only_the_texts_at_fault_fail(texts: list[str], size: int) -> None:
    job = fed(["good", *texts], size)
    found = finished(job)
    if job.stopped_by is None:
        assert sorted(found) == list(range(len(texts) + 1))
    for index, value in found.items():
        text = ["good", *texts][index]
        assert isinstance(value, InvalidRequest) if "!" in text else value == text.upper()
    assert {index for index, value in found.items() if isinstance(value, WatsonxError)} == set(job.failed)


def test_halving_costs_few_requests() -> None:
    texts = [f"text {n}" for n in range(1000)]
    texts[617] = "bad!"
    job = fed(texts, 1000)
    sent = 0
    while not job.over:
        batch = job.next()
        sent += 1
        job.fail(batch, refused()) if "bad!" in batch.texts else answer(job, batch)
    assert set(job.failed) == {617}
    assert job.texts == 999
    assert sent <= 21


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_about_content_is_halved(status: int) -> None:
    job = fed(["a", "b"])
    job.fail(job.next(), refused(status))
    assert [job.next().texts, job.next().texts] == [["a"], ["b"]]


def test_a_request_that_is_wrong_in_itself_is_given_up_soon() -> None:
    job = fed([f"{n}!" for n in range(1000)], 1000)
    sent = 0
    while not job.over:
        job.fail(job.next(), refused())
        sent += 1
    assert len(job.failed) == PATIENCE
    assert sent < 40
    failure = job.failure({}, 1000)
    assert isinstance(failure, PartialFailure)
    assert len(failure.untried) == 1000 - PATIENCE


def test_texts_that_all_fail_are_all_named_when_one_went_well() -> None:
    job = fed(["fine", *(f"{n}!" for n in range(50))], 1)
    finished(job)
    assert len(job.failed) == 50
    assert job.stopped_by is None


# --------------------------------------------------------------------------- trying again


@pytest.mark.parametrize("error", [refused(429), refused(503), ConnectionFailed("reset"), TimedOut("late")])
def test_what_may_pass_is_tried_again_while_others_are_answered(error: WatsonxError) -> None:
    job = fed(["a", "b"], 1)
    answer(job, job.next())
    for _ in range(ROUNDS):
        batch = job.next()
        job.fail(batch, error)
        assert not job.over
    answer(job, job.next())
    assert job.failure({0: "A", 1: "B"}) is None


@pytest.mark.parametrize("error", [refused(429), refused(503), ConnectionFailed("reset"), UnexpectedResponse("what?")])
@pytest.mark.parametrize("texts", [["a"], ["a", "b"]], ids=["alone", "first of two"])
def test_what_nobody_has_got_is_not_asked_for_beyond_the_retry_policy(texts: list[str], error: WatsonxError) -> None:
    job = fed(texts, 1)
    job.fail(job.next(), error)
    assert job.over
    assert job.failure({}) is error


def test_what_does_not_pass_ends_the_job() -> None:
    job = fed(["a", "b", "c", "d"], 1)
    answer(job, job.next())
    first, second = job.next(), job.next()
    for _ in range(ROUNDS):
        job.fail(first, refused(503))
        first = job.next()
    error = refused(503)
    error.attempts, error.waited = 6, 7.5
    job.fail(first, error)
    assert job.stopped_by is error
    assert (job.has_batch, job.over) == (False, False), "another request is under way"
    answer(job, second)
    assert (job.has_batch, job.over) == (False, True)
    failure = job.failure({0: "A", 2: "C"})
    assert isinstance(failure, PartialFailure)
    assert (failure.done, failure.failed, failure.untried) == ({0: "A", 2: "C"}, {}, (1, 3))
    assert failure.cause is error
    assert str(failure).startswith("only 2 of 4 done: HTTP 503: no (after 6 attempts, 7.5 s of waiting)")
    assert failure.__cause__ is error


def test_an_answer_that_makes_no_sense_gets_one_more_chance() -> None:
    job = fed(["a", "b"], 1)
    answer(job, job.next())
    error = UnexpectedResponse("what?")
    job.fail(job.next(), error)
    assert not job.over
    job.fail(job.next(), error)
    assert job.stopped_by is error


def test_without_rounds_nothing_is_tried_again() -> None:
    job = fed(["a"], rounds=0)
    job.fail(job.next(), refused(503))
    assert job.over


@pytest.mark.parametrize("error", [refused(401), refused(404), refused(409), ConfigurationError("no key")])
def test_what_every_batch_would_meet_ends_the_job_at_once(error: WatsonxError) -> None:
    job = fed(["a", "b"], 1)
    job.fail(job.next(), error)
    assert job.over
    assert job.failure({}) is error, "nothing was done, so there is nothing to carry"


# --------------------------------------------------------------------------- what it ends with


def test_a_failure_carries_all_that_is_known() -> None:
    job = fed(["a", "b" * 30 + "!", "c", "d"], 2)
    found = finished(job)
    failure = job.failure({index: value for index, value in found.items() if isinstance(value, str)})
    assert isinstance(failure, PartialFailure)
    assert failure.done == {0: "A", 2: "C", 3: "D"}
    assert list(failure.failed) == [1]
    assert failure.untried == ()
    assert failure.input_token_count == 3
    assert str(failure) == (
        "1 of 4 texts failed: texts[1] (31 characters, about 11 tokens): HTTP 400: no. "
        "Texts that are too long can be cut with truncate_input_tokens. "
        "The results of the others are in the error's `done`"
    )
    again = pickle.loads(pickle.dumps(failure))
    assert (again.done, list(again.failed), str(again)) == (failure.done, [1], str(failure))


def test_the_only_text_fails_with_its_own_error() -> None:
    job = fed(["x" * 60], noun="documents")
    job.fail(job.next(), refused())
    failure = job.failure({}, 1)
    assert isinstance(failure, InvalidRequest)
    assert str(failure) == (
        "HTTP 400: no. The text has 60 characters, about 21 tokens. "
        "Texts that are too long can be cut with truncate_input_tokens"
    )


def test_many_failures_are_counted_rather_than_listed() -> None:
    job = fed(["a", *["b!"] * 9], 1)
    finished(job)
    assert "texts[3]" in str(job.failure({0: "A"}))
    assert "; and 6 more" in str(job.failure({0: "A"}))


def test_a_flaw_fails_its_text_and_no_other() -> None:
    def flaw(text: Any, index: int) -> WatsonxError | None:
        return None if isinstance(text, str) else ConfigurationError(f"texts[{index}] is no text")

    job = fed(["a", None, "c", "d"], flaw=flaw)  # type: ignore[list-item]
    assert (job.next().texts, job.next().texts) == (["a"], ["c", "d"])
    assert list(job.failed) == [1]
    assert [piece.start for piece in job.drain()] == [1]


# --------------------------------------------------------------------------- order


@given(st.integers(1, 40), st.integers(1, 7), st.randoms())
def test_an_ordered_job_gives_in_order_whatever_comes_first(count: int, size: int, chance: random.Random) -> None:
    texts = [f"t{n}" + ("!" if chance.random() < 0.1 else "") for n in range(count)]
    job: Job[str] = Job(Room(size), ordered=True)
    open_batches: list[Batch] = []
    given_out: list[str | WatsonxError] = []
    source = iter(["fine", *texts])
    while not job.over:
        while job.hungry:
            text = next(source, None)
            job.end() if text is None else job.push(text)
        if job.has_batch and (chance.random() < 0.6 or not open_batches):
            open_batches.append(job.next())
        elif open_batches:
            batch = open_batches.pop(chance.randrange(len(open_batches)))
            bad = any("!" in text for text in batch.texts)
            job.fail(batch, refused()) if bad else answer(job, batch)
        for piece in job.drain():
            given_out += piece.results if piece.error is None else [piece.error]
        assert len(job.leftover()) <= 7 * (HELD + len(open_batches) + len(texts))
    if job.stopped_by is None:
        assert len(given_out) == count + 1
    for text, value in zip(["fine", *texts], given_out, strict=False):
        assert isinstance(value, InvalidRequest) if "!" in text else value == text.upper()


def test_an_ordered_job_takes_no_more_while_an_early_batch_is_late() -> None:
    job: Job[str] = Job(Room(1), ordered=True)
    late = None
    taken = 0
    while job.hungry:
        job.push("a")
        taken += 1
        batch = job.next()
        if late is None:
            late = batch
        else:
            answer(job, batch)
    assert taken == HELD + 1
    assert job.drain() == []
    assert len(job.leftover()) == HELD
    assert late is not None
    answer(job, late)
    assert [piece.start for piece in job.drain()] == list(range(HELD + 1))
    assert job.hungry


def test_a_piece_knows_where_it_ends() -> None:
    assert Done(3, ["a", "b"]).end == 5
    assert Done(3, [], ConfigurationError("x")).end == 4
