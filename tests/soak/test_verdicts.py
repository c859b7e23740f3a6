"""What a verdict lets pass, and what it does not: by values, so that each rule is seen to hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.soak.calling import Clock, Errand
from tests.soak.storm import PAUSE, Met
from tests.soak.verdicts import Outcome, judge
from wx_integrations.core.errors import (
    ConnectionFailed,
    PartialFailure,
    RateLimited,
    ServiceError,
    StreamBroken,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
)


async def _never(number: int) -> Any:
    raise AssertionError


CALL = Errand("call", lambda n: n, _never, lambda n: f"answer {n}")
STREAM = replace(CALL, streams=True)
HASTY = replace(CALL, impatient=True)
HASTY_STREAM = replace(STREAM, impatient=True)
FICKLE = replace(CALL, fickle=True)
OK = Met(None, 200)
EXPIRED = Met(None, 401)
BUSY = Met("503", 503)
FULL = Met("429", 429)
GONE = Met("refused", 0)
CUT = Met("stream cut", 200)
PAGE = Met("200, web page", 200)
ERROR = Met("200, error object", 200)
BODY = Met("closed in the body", 200)
RESET = Met("reset in the body", 200)


def told(error: WatsonxError, attempts: int, waited: float = 0.0) -> WatsonxError:
    error.attempts, error.waited = attempts, waited
    return error


def unavailable(attempts: int = 5) -> WatsonxError:
    return told(Unavailable("m", status=503), attempts)


def failed(attempts: int = 5) -> WatsonxError:
    return told(ConnectionFailed("m"), attempts)


def complaint(errand: Errand, seen: list[Met], error: BaseException | None, answer: Any = "answer 7") -> str:
    outcome = Outcome(errand, 7, "sync", answer, error)
    return judge(outcome, _spaced(seen)).complaint


def _spaced(seen: list[Met], gap: float = PAUSE / Clock.SPEED) -> list[Met]:
    """Put the requests one after another, with the pauses that were asked for."""
    return [replace(met, arrived=number * gap, answered=number * gap) for number, met in enumerate(seen)]


@pytest.mark.parametrize(
    ("errand", "seen", "error"),
    [
        (CALL, [OK], None),
        (CALL, [BUSY, GONE, BODY, FULL, OK], None),
        (CALL, [BUSY, BUSY, EXPIRED, BUSY, BUSY, OK], None),
        (CALL, [BUSY] * 5, unavailable()),
        (CALL, [BUSY, BUSY, BUSY, BUSY, FULL], told(RateLimited("m", status=429), 5)),
        (CALL, [BUSY, EXPIRED, BUSY, BUSY, BUSY, BUSY], unavailable(6)),
        (CALL, [GONE] * 5, failed()),
        (CALL, [GONE] * 4, failed()),  # one never reached the service
        (CALL, [], failed()),
        (CALL, [EXPIRED, EXPIRED], told(Unauthorized("m", status=401), 2)),
        (CALL, [EXPIRED], unavailable()),
        (CALL, [EXPIRED], told(UnexpectedResponse("answered without a token"), 2)),
        (CALL, [PAGE], told(UnexpectedResponse("m"), 1)),
        (CALL, [ERROR], told(ServiceError("m", status=200), 1)),
        (STREAM, [BUSY, CUT], told(StreamBroken("m"), 2)),
        (STREAM, [BODY], None),  # it was over before
        (STREAM, [RESET, OK], None),
        (STREAM, [RESET], told(StreamBroken("m"), 1)),
        (HASTY, [OK], told(TimedOut("m"), 1)),
        (HASTY, [Met("silence", 200)], told(TimedOut("m"), 1)),
        (HASTY_STREAM, [OK], told(StreamBroken("m"), 1)),
        (FICKLE, [BUSY, OK], TimeoutError()),
        (FICKLE, [], TimeoutError()),
        (CALL, [BUSY] * 5, PartialFailure("m", done={}, failed={0: unavailable()})),
    ],
)
def test_what_passes(errand: Errand, seen: list[Met], error: WatsonxError | None) -> None:
    assert complaint(errand, seen, error) == ""


@pytest.mark.parametrize(
    ("errand", "seen", "error", "words"),
    [
        (CALL, [BUSY] * 6, unavailable(6), "last allowed"),
        (CALL, [BUSY] * 5 + [OK], None, "last allowed"),
        (CALL, [OK, OK], None, "last allowed"),
        (CALL, [PAGE, OK], None, "last allowed"),
        (CALL, [ERROR, OK], None, "last allowed"),
        (CALL, [EXPIRED, EXPIRED, OK], None, "last allowed"),
        (STREAM, [CUT, OK], None, "last allowed"),
        (HASTY, [Met("silence", 200), OK], None, "last allowed"),
        (FICKLE, [BUSY] * 6, TimeoutError(), "last allowed"),
        (CALL, [BUSY, BUSY], unavailable(2), "gave up after 2 of 5"),
        (CALL, [GONE], failed(1), "gave up after 1 of 5"),
        (CALL, [BUSY] * 5, unavailable(4), "says 4 attempts"),
        (CALL, [BUSY] * 5, unavailable(6), "says 6 attempts"),
        (CALL, [BUSY] * 5, told(Unavailable("m", status=503), 5, 99.0), "99.0 s of waiting"),
        (CALL, [BUSY] * 5, failed(), "expected ['Unavailable']"),
        (CALL, [BUSY] * 5, told(RateLimited("m", status=429), 5), "expected ['Unavailable']"),
        (CALL, [PAGE], told(ServiceError("m", status=200), 1), "expected ['UnexpectedResponse']"),
        (CALL, [OK], unavailable(1), "expected ['right']"),
        (CALL, [OK], told(TimedOut("m"), 1), "expected ['right']"),
        (CALL, [EXPIRED], told(Unauthorized("m", status=401), 1), "no token"),
        (CALL, [EXPIRED], unavailable(1), "1 attempts to get a token"),
        (CALL, [], unavailable(3), "3 attempts to get a token"),
        (CALL, [Met(None, 404)], None, "in spite of trouble"),
        (CALL, [BODY], told(StreamBroken("m"), 1), "StreamBroken"),
        (STREAM, [CUT], failed(1), "expected ['StreamBroken']"),
        (STREAM, [CUT], None, "in spite of trouble"),
        (CALL, [BUSY], None, "in spite of trouble"),
        (CALL, [EXPIRED], None, "in spite of trouble"),
        (CALL, [], None, "without a request"),
        (CALL, [OK], KeyError("choices"), "not an error of the package"),
        (CALL, [OK], TimeoutError(), "not an error of the package"),
        (HASTY, [OK], told(StreamBroken("m"), 1), "expected ['TimedOut', 'right']"),
    ],
)
def test_what_does_not(errand: Errand, seen: list[Met], error: BaseException | None, words: str) -> None:
    assert words in complaint(errand, seen, error)


def test_another_s_answer_does_not() -> None:
    assert "'answer 8' instead of 'answer 7'" in complaint(CALL, [OK], None, answer="answer 8")


def test_who_comes_back_before_it_was_asked_to_does_not() -> None:
    asked = [replace(FULL, asked=PAUSE), OK]
    outcome = Outcome(CALL, 7, "sync", "answer 7")
    assert judge(outcome, _spaced(asked)).complaint == ""
    assert "asked to wait" in judge(outcome, _spaced(asked, 0.9 * PAUSE / Clock.SPEED)).complaint
    error = told(RateLimited("m", status=429), 5, 4 * PAUSE)
    five = [replace(FULL, asked=PAUSE)] * 5
    assert judge(Outcome(CALL, 7, "sync", error=error), _spaced(five)).complaint == ""
    error.waited = PAUSE
    assert "of waiting" in judge(Outcome(CALL, 7, "sync", error=error), _spaced(five)).complaint


def test_what_is_counted() -> None:
    late = judge(Outcome(HASTY, 7, "sync", error=told(TimedOut("m"), 1)), [OK])
    assert (late.label, late.late, late.unseen) == ("TimedOut", True, 0)
    unseen = judge(Outcome(CALL, 7, "sync", error=failed()), [GONE] * 3)
    assert (unseen.label, unseen.late, unseen.unseen) == ("ConnectionFailed", False, 2)
    assert judge(Outcome(FICKLE, 7, "async", error=TimeoutError()), [OK]).label == "cancelled"
