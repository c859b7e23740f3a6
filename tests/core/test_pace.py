"""The pace: what each answer teaches, and what comes of it over thousands of simulated seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.simulation import Capacity, Figures, Window, simulate
from wx_integrations.core.limiter import Limiter
from wx_integrations.core.pace import FLOOR, MOST, NOTHING, SHARE, START, Pace, Signals, read_signals

# --------------------------------------------------------------------------- what answers say


@pytest.mark.parametrize(
    ("headers", "signals"),
    [
        ([], NOTHING),
        ([(b"content-type", b"application/json"), (b"x-requests-id", b"7")], NOTHING),
        ([(b"x-requests-limit-rate", b"8")], Signals(rate=8.0)),
        ([(b"X-Requests-Limit-Rate", b"8"), (b"X-Requests-Limit-Remaining", b"3")], Signals(rate=8.0, remaining=3)),
        ([(b"x-requests-limit-remaining", b"0"), (b"x-requests-limit-reset", b"12")], Signals(remaining=0, reset=12.0)),
        ([(b"x-requests-limit-reset", b"1700000030")], Signals(reset=30.0)),
        ([(b"x-requests-limit-reset", b"1700000030500")], Signals(reset=30.5)),
        ([(b"x-requests-limit-reset", b"1600000000")], Signals(reset=0.0)),
        ([(b"x-requests-limit-rate", b"0")], Signals()),
        ([(b"x-requests-limit-rate", b"many"), (b"x-requests-limit-reset", b"inf")], NOTHING),
        ([(b"x-requests-limit-rate", b"-3")], NOTHING),
    ],
)
def test_signals_of_headers(headers: list[tuple[bytes, bytes]], signals: Signals) -> None:
    assert read_signals(headers, now=1_700_000_000.0) == signals


def test_a_refusal_names_the_limit_in_words() -> None:
    body = b'{"errors":[{"message":"Rate limit of 120 requests per 60s was reached for instance id x"}]}'
    assert read_signals([], retry_after=2.0, body=body) == Signals(retry_after=2.0, named=2.0)
    assert read_signals([(b"x-requests-limit-rate", b"8")], body=body) == Signals(rate=8.0, named=2.0)
    assert read_signals([], body=b"Rate limit of 5 requests per 0s") is NOTHING


@given(st.lists(st.tuples(st.sampled_from([b"x-requests-limit-rate", b"x-requests-limit-reset"]), st.binary())))
def test_no_header_can_break_it(headers: list[tuple[bytes, bytes]]) -> None:
    signals = read_signals(headers)
    assert signals.rate is None or signals.rate > 0


# --------------------------------------------------------------------------- what they teach


def taught(*answers: tuple[int, float], signals: Signals = NOTHING, latency: float = 0.1) -> Pace:
    pace = Pace()
    for status, now in answers:
        pace.answered(status, now - latency, now, signals, bulk=True)
    return pace


def test_nothing_is_held_up_before_the_service_says_so() -> None:
    pace = taught(*((200, n / 100) for n in range(1000)))
    assert pace.is_open(10.0)
    assert pace.rate(10.0) is None


def test_a_refusal_halves_what_worked_and_it_comes_back() -> None:
    pace = taught(*((200, n / 10) for n in range(100)), (429, 10.0))
    assert pace.rate(10.0) == pytest.approx(5.0, abs=0.5)
    assert pace.rate(10.0 + 4 / 10) == pytest.approx(10.0, rel=0.2)
    assert not pace.is_open(10.0)


def test_a_single_503_halves_bulk_work_and_holds_nobody_else_up() -> None:
    pace = taught(*((200, n / 10) for n in range(100)))
    before = pace.width(10.0, MOST)
    pace.answered(503, 9.9, 10.0)
    assert pace.is_open(10.0)
    assert pace.width(10.0, MOST) == before // 2
    assert pace.width(12.0, MOST) == before
    pace.answered(503, 10.1, 10.2)
    assert not pace.is_open(10.2)


def test_a_refusal_before_anything_worked_starts_at_the_bottom_and_seeks() -> None:
    pace = taught((429, 1.0))
    assert pace.rate(1.0) == FLOOR
    assert pace.rate(20.0) is not None
    assert (pace.rate(20.0) or 0) > 50


def test_refusals_of_one_overload_count_once() -> None:
    pace = taught(*((200, n / 10) for n in range(100)), *[(429, 10.0)] * 20)
    assert (pace.cuts, pace.refusals) == (1, 20)


def test_retry_after_holds_everybody_up() -> None:
    pace = taught((429, 1.0), signals=Signals(retry_after=7.0))
    assert pace.paused_until == 8.0
    assert taught((503, 1.0), signals=Signals(retry_after=7.0)).paused_until == 8.0
    assert taught((429, 1.0), signals=Signals(retry_after=1e9)).paused_until == 301.0
    assert taught((429, 1.0), signals=Signals(retry_after=0.0)).paused_until < 1.0


def test_nothing_remaining_holds_up_until_the_reset() -> None:
    assert taught((200, 1.0), signals=Signals(remaining=0, reset=3.0)).paused_until == 4.0
    assert taught((200, 1.0), signals=Signals(remaining=1, reset=3.0)).paused_until < 1.0
    assert taught((200, 1.0), signals=Signals(remaining=0)).paused_until < 1.0


def test_a_stated_limit_is_kept_to() -> None:
    pace = taught((200, 1.0), signals=Signals(rate=8.0))
    assert pace.rate(1.0) == 8.0 * SHARE
    pace.answered(200, 2.0, 2.1, Signals(rate=2.0))
    assert pace.rate(2.1) == 2.0 * SHARE
    pace.answered(429, 3.0, 3.1, Signals(rate=2.0))
    assert pace.rate(100.0) == 2.0 * SHARE


def test_headers_count_more_than_words() -> None:
    pace = taught((429, 1.0), signals=Signals(named=2.0))
    assert pace.stated == 2.0
    pace.answered(200, 2.0, 2.1, Signals(rate=8.0))
    pace.answered(429, 3.0, 3.1, Signals(named=2.0))
    assert pace.stated == 8.0


def test_a_refusal_out_of_a_clear_sky_leaves_a_stated_limit_as_it_is() -> None:
    pace = taught(*((200, n / 8) for n in range(100)), signals=Signals(rate=8.0))
    pace.answered(503, 12.4, 12.5)
    assert pace.rate(12.5) == pytest.approx(8.0 * SHARE / 2)
    assert pace.rate(13.2) == pytest.approx(8.0 * SHARE)


def test_refusals_in_close_succession_cost_more() -> None:
    pace = taught(*((200, n / 10) for n in range(100)))
    now, rates = 10.0, []
    for _ in range(12):
        pace.answered(429, now - 0.01, now)
        rates.append(pace.rate(now))
        now += 1.0
    assert rates[-1] is not None
    assert rates[-1] < 2.0
    assert rates[-1] >= FLOOR


def test_it_opens_again_when_nobody_was_held_up_for_long() -> None:
    pace = taught(*((200, n / 10) for n in range(10)), (429, 1.0))
    assert not pace.is_open(30.0)
    assert pace.rate(62.0) is None
    pace = taught(*((200, n / 10) for n in range(10)), (429, 1.0))
    pace.held(60.0)
    assert pace.rate(62.0) is not None


def worked(pace: Pace, count: int, seconds: float, *, start: float = 0.0, size: int = 0) -> Pace:
    """Let a pace see good answers of bulk work that each took so long."""
    for number in range(count):
        now = start + number * 0.1
        pace.answered(200, now - seconds, now, bulk=True, size=size)
    return pace


def test_bulk_starts_with_five_at_a_time_and_grows() -> None:
    pace = Pace()
    assert pace.width(0.0, MOST) == START == 5
    worked(pace, 200, 0.5)
    assert pace.width(200.0, MOST) == MOST
    assert pace.width(200.0, 3) == 3


def test_more_at_a_time_is_no_use_when_each_takes_longer_for_it() -> None:
    pace = worked(Pace(), 10, 0.5)
    width = pace.width(1.0, MOST)
    worked(pace, 200, 0.9, start=1.0)
    assert pace.width(30.0, MOST) == width
    worked(pace, 40, 1.5, start=30.0)
    assert pace.width(60.0, MOST) == START
    worked(pace, 400, 0.5, start=60.0)
    assert pace.width(100.0, MOST) == MOST


def test_what_is_usual_is_learnt_anew_when_few_are_under_way() -> None:
    pace = worked(Pace(), 10, 0.5)
    worked(pace, 1000, 2.0, start=1.0)
    assert pace.width(200.0, MOST) > START


def test_large_answers_are_few_at_a_time_unless_the_user_says_how_many() -> None:
    pace = worked(Pace(), 200, 0.5, size=10_000_000)
    assert pace.width(200.0, MOST, careful=True) == 6
    assert pace.width(200.0, MOST) == MOST
    assert worked(Pace(), 100, 0.5, size=100_000_000).width(200.0, MOST, careful=True) == START
    assert worked(Pace(), 200, 0.5, size=1_000_000).width(200.0, MOST, careful=True) == MOST


def test_what_is_no_bulk_does_not_widen_it() -> None:
    pace = Pace()
    for number in range(200):
        pace.answered(200, number, number + 0.5)
    assert pace.width(200.0, MOST) == START


def test_a_known_rate_needs_as_many_at_a_time_as_answers_take() -> None:
    pace = taught((200, 1.0), signals=Signals(rate=8.0), latency=1.0)
    assert 10 <= pace.width(1.0, MOST) <= 12
    pace = taught((200, 1.0), signals=Signals(rate=8.0), latency=0.01)
    assert pace.width(1.0, MOST) == START


ANSWERS = st.tuples(
    st.sampled_from([200, 400, 429, 503, 500]),
    st.floats(0.0, 5.0),
    st.sampled_from([NOTHING, Signals(retry_after=1.0), Signals(rate=8.0), Signals(remaining=0, reset=1.0)]),
)


@given(st.lists(ANSWERS, max_size=60))
def test_whatever_comes_the_pace_stays_sound(answers: list[tuple[int, float, Signals]]) -> None:
    pace, now = Pace(), 0.0
    for status, later, signals in answers:
        now += later
        pace.answered(status, max(0.0, now - 0.5), now, signals, bulk=True)
        rate = pace.rate(now)
        assert rate is None or 0 < rate < 1e9
        assert rate is None or pace.stated is None or rate <= pace.stated
        assert 1 <= pace.width(now, MOST) <= MOST


# --------------------------------------------------------------------------- over thousands of seconds


LIMITS = pytest.mark.parametrize(("limit", "seconds"), [(2, 4000), (8, 2000), (50, 300)])


@LIMITS
def test_a_stated_limit_is_used_up_without_a_refusal(limit: int, seconds: int) -> None:
    figures = simulate(Window(limit, states=True), workers=max(8, limit // 2), seconds=seconds)
    assert figures.share(limit) > 0.95
    assert figures.refused == 0


@LIMITS
def test_a_stated_limit_is_used_despite_accidents(limit: int, seconds: int) -> None:
    figures = simulate(Window(limit, states=True), workers=max(8, limit // 2), seconds=seconds, faults=0.02)
    assert figures.share(limit) > 0.9
    assert figures.refused == 0


@LIMITS
def test_an_unstated_limit_is_found(limit: int, seconds: int) -> None:
    figures = simulate(Window(limit), workers=max(8, limit // 2), seconds=seconds, warm_up=60)
    assert figures.share(limit) > (0.9 if limit > 2 else 0.85)
    assert figures.refused < 0.06 * figures.good


def test_an_unstated_limit_is_found_despite_accidents() -> None:
    figures = simulate(Window(8), seconds=2000, faults=0.02)
    assert figures.share(8) > 0.8
    assert figures.refused < 0.04 * figures.good


def test_retry_after_is_obeyed_at_little_cost() -> None:
    figures = simulate(Window(8, states=True, retry_after=1.0), seconds=1000)
    assert figures.share(8) > 0.95
    assert simulate(Window(8, retry_after=1.0), seconds=1000).share(8) > 0.75


def limit_of_the_hour(now: float) -> float:
    return 8 if now < 1000 else 2 if now < 2000 else 20


@pytest.mark.parametrize(("states", "share"), [(True, 0.95), (False, 0.7)])
def test_a_limit_that_changes_is_followed(states: bool, share: float) -> None:
    figures = simulate(Window(limit_of_the_hour, states), workers=8, seconds=3000, warm_up=0)
    assert figures.share(10) > share
    assert figures.refused < 0.05 * figures.good


def test_several_jobs_share_evenly() -> None:
    figures = simulate(Window(8, states=True), jobs=3, workers=6, seconds=1000, faults=0.01)
    assert figures.share(8) > 0.9
    assert max(figures.by_caller.values()) < 1.05 * min(figures.by_caller.values())


def test_a_limit_on_requests_at_a_time_is_found_too() -> None:
    figures = simulate(Capacity(4), workers=16, seconds=500)
    assert figures.rate > 0.6 * 4 / 0.2
    assert figures.refused < 0.08 * figures.good


def test_without_a_limit_nothing_is_held_up() -> None:
    figures = simulate(Window(1e9), workers=100, seconds=10, warm_up=0)
    assert figures.rate > 0.95 * 100 / 0.215


def test_figures_are_counted_after_the_warm_up() -> None:
    assert Figures(100.0, good=400).share(8) == 0.5
    limiter = Limiter()
    figures = simulate(Window(8, states=True), seconds=100, warm_up=50, limiter=limiter)
    assert figures.seconds == 50
    assert limiter.pace.stated == 8
