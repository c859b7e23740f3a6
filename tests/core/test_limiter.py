"""The limiter: who waits, for how long, and in which order; whatever the thread or event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.core.simulation import Clock, Process, _held
from tests.support.clock import FakeTime
from wx_integrations.core.limiter import Caller, Lane, Limiter, Turns, Waiter
from wx_integrations.core.pace import START, Signals


class Gate:
    """A limiter on fake time, and one way to pass it in both colours."""

    def __init__(self, time: FakeTime, colour: str) -> None:
        self.time = time
        self.colour = colour
        self.limiter = Limiter(lambda: time.value)

    def pass_(self, caller: Caller | None = None, *, again: bool = False) -> float:
        who = caller or self.limiter.everybody
        if self.colour == "sync":
            return self.limiter.hold(who, again=again, sleep=self.time.sleep)
        return asyncio.run(self.limiter.ahold(who, again=again, sleep=self.time.asleep))

    def answer(self, status: int | None = 200, caller: Caller | None = None, **signals: Any) -> None:
        who = caller or self.limiter.everybody
        self.limiter.answered(who, status, self.time.value, Signals(**signals))


@pytest.fixture(params=["sync", "async"])
def gate(request: pytest.FixtureRequest, time: FakeTime) -> Gate:
    return Gate(time, request.param)


# --------------------------------------------------------------------------- every request


def test_nobody_waits_before_the_service_says_so(gate: Gate) -> None:
    for _ in range(1000):
        assert gate.pass_() == 0.0
    assert gate.time.slept == []


def test_a_stated_limit_spaces_requests(gate: Gate) -> None:
    gate.pass_()
    gate.answer(rate=8.0)
    began = gate.time.value
    for _ in range(16):
        gate.pass_()
        gate.answer()
    assert gate.time.value - began == pytest.approx(16 / 8 / 0.97, abs=0.03)


def test_one_who_comes_late_does_not_delay_the_next(gate: Gate) -> None:
    gate.pass_()
    gate.answer(rate=8.0)
    gate.pass_()
    began = gate.time.value
    for _ in range(40):
        gate.time.move(0.07)  # as if woken late, or busy between two requests
        gate.pass_()
        gate.answer()
    assert gate.time.value - began == pytest.approx(40 / 8 / 0.97, abs=0.15)


def test_not_even_those_who_are_late_crowd_a_second(gate: Gate) -> None:
    gate.pass_()
    gate.answer(rate=8.0)
    times = []
    for number in range(60):
        gate.pass_()
        times.append(gate.time.value)
        gate.answer()
        gate.time.move(0.4 if number % 7 == 0 else 0.0)
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[8:], strict=False))


def test_everybody_waits_as_long_as_retry_after_asks(gate: Gate) -> None:
    gate.pass_()
    gate.answer(429, retry_after=7.0)
    assert gate.pass_(Caller(bulk=True)) == pytest.approx(7.0)


def test_a_repetition_that_is_alone_has_waited_enough(gate: Gate) -> None:
    for _ in range(3):
        gate.pass_(again=True)
        gate.answer(429)
    assert gate.time.slept == []
    gate.pass_()
    assert gate.pass_(again=True) > 0, "somebody else is under way"


def test_no_answer_teaches_nothing(gate: Gate) -> None:
    gate.pass_()
    gate.answer(None)
    assert gate.limiter.pace.is_open(gate.time.value)


def test_a_bound_of_the_user_spaces_requests_of_its_lane_only(gate: Gate) -> None:
    bounded = Caller(gate.limiter.lane(None, 2.0), bulk=True)
    assert [round(gate.pass_(bounded), 2) for _ in range(4)] == [0.0, 0.5, 0.5, 0.5]
    assert gate.pass_() == 0.0


def test_both_the_users_bound_and_the_services_count(gate: Gate) -> None:
    gate.pass_()
    gate.answer(rate=1.0)
    bounded = Caller(gate.limiter.lane(None, 100.0), bulk=True)
    began = gate.time.value
    for _ in range(4):
        gate.pass_(bounded)
    assert gate.time.value - began == pytest.approx(4 / 0.97, abs=0.05)


def test_a_clock_that_stands_still_ends_the_wait() -> None:
    limiter = Limiter(lambda: 5.0)
    limiter.answered(limiter.everybody, 429, 5.0, Signals(retry_after=10.0))
    slept: list[float] = []
    assert limiter.hold(limiter.everybody, again=False, sleep=slept.append) == 0.0
    assert slept == [10.0]


def test_refusals_are_counted_for_who_got_them(gate: Gate) -> None:
    caller = Caller(bulk=True)
    gate.pass_(caller)
    gate.answer(429, caller)
    gate.pass_(caller)
    gate.answer(200, caller)
    assert (caller.refusals, gate.limiter.everybody.refusals) == (1, 0)


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    limiter = Limiter()
    limiter.answered(limiter.everybody, 200, 0.0, Signals(rate=0.01))
    await limiter.ahold(limiter.everybody, again=False, sleep=asyncio.sleep)
    waiting = asyncio.create_task(limiter.ahold(limiter.everybody, again=False, sleep=asyncio.sleep))
    await asyncio.sleep(0)
    assert len(limiter._turns) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(limiter._turns) == 0


def test_a_small_caller_is_not_stuck_behind_a_large_one() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    limiter.answered(limiter.everybody, 200, 0.0, Signals(rate=1.0))
    passed: list[str] = []

    def request(name: str, caller: Caller) -> Process:
        yield from _held(limiter, caller)
        passed.append(name)

    large = Caller(bulk=True)
    for number in range(20):
        clock.start(request(f"large {number}", large))
    clock.start(request("small", limiter.everybody), at=3.0)
    clock.run(100)
    assert passed.index("small") <= 5
    assert [name for name in passed if name != "small"] == [f"large {number}" for number in range(20)]


def test_threads_and_loops_share_one_limit() -> None:
    limiter = Limiter()
    limiter.answered(limiter.everybody, 200, 0.0, Signals(rate=200.0))
    times: list[float] = []

    def in_thread() -> None:
        import time

        for _ in range(10):
            limiter.hold(limiter.everybody, again=False, sleep=time.sleep)
            times.append(limiter.clock())

    async def in_loop() -> None:
        for _ in range(10):
            await limiter.ahold(limiter.everybody, again=False, sleep=asyncio.sleep)
            times.append(limiter.clock())

    threads = [threading.Thread(target=in_thread) for _ in range(2)]
    threads += [threading.Thread(target=lambda: asyncio.run(in_loop())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 40
    assert max(times) - min(times) >= 38 / 194 - 0.01


# --------------------------------------------------------------------------- turns


def test_turns_are_taken_one_each() -> None:
    turns, one, two = Turns(), Caller(), Caller()
    tickets = {name: turns.arrive(caller) for name, caller in [("a", one), ("b", one), ("c", one), ("d", two)]}
    assert turns.delay(tickets["a"], 0.0, 1.0) == 0.0
    waits = {name: turns.delay(tickets[name], 0.0, 1.0) for name in "bcd"}
    assert waits["d"] < waits["b"] < waits["c"]


def test_leaving_twice_does_no_harm() -> None:
    turns = Turns()
    first, second = turns.arrive(Caller()), turns.arrive(Caller())
    turns.leave(first)
    turns.leave(first)
    assert len(turns) == 1
    assert turns.delay(second, 0.0, None) == 0.0
    assert len(turns) == 0


# --------------------------------------------------------------------------- bulk jobs


class Job:
    """Wishes for leave and notes when it comes."""

    def __init__(self, limiter: Limiter, lane: Lane | None = None) -> None:
        self.limiter = limiter
        self.caller = Caller(lane, bulk=True)
        self.woken = 0

    def ask(self) -> bool:
        self.waiter = Waiter(self.caller, self.wake)
        return self.limiter.take(self.waiter)

    def wake(self) -> None:
        self.woken += 1


def test_five_at_a_time_to_begin_with() -> None:
    limiter = Limiter(lambda: 0.0)
    job = Job(limiter)
    assert [job.ask() for _ in range(7)] == [True] * START + [False] * 2
    limiter.give(job.caller)
    assert job.woken == 1


def test_who_waits_longest_goes_first() -> None:
    limiter = Limiter(lambda: 0.0)
    greedy, patient = Job(limiter), Job(limiter)
    for _ in range(START):
        assert greedy.ask()
    assert not patient.ask()
    assert not greedy.ask()
    limiter.give(greedy.caller)
    assert (patient.woken, greedy.woken) == (1, 0)
    limiter.give(greedy.caller)
    assert (patient.woken, greedy.woken) == (1, 1)


def test_max_concurrency_bounds_all_that_have_it() -> None:
    limiter = Limiter(lambda: 0.0)
    lane = limiter.lane(2, None)
    assert limiter.lane(2, None) is lane
    one, two, free = Job(limiter, lane), Job(limiter, lane), Job(limiter)
    assert [one.ask(), two.ask(), two.ask()] == [True, True, False]
    assert free.ask(), "another lane has room"
    limiter.give(one.caller)
    assert two.woken == 1


def test_max_concurrency_above_the_default_is_allowed() -> None:
    limiter = Limiter(lambda: 0.0)
    for _ in range(2000):
        limiter.answered(Caller(bulk=True), 200, 0.0)
    job = Job(limiter, limiter.lane(40, None))
    assert [job.ask() for _ in range(41)] == [True] * 40 + [False]


def test_a_wish_withdrawn_is_not_granted() -> None:
    limiter = Limiter(lambda: 0.0)
    job, other = Job(limiter), Job(limiter)
    for _ in range(START):
        job.ask()
    assert not other.ask()
    limiter.withdraw(other.waiter)
    limiter.give(job.caller)
    assert other.woken == 0
    assert job.ask()


def test_leave_that_came_meanwhile_goes_to_the_next() -> None:
    limiter = Limiter(lambda: 0.0)
    job, quitter, third = Job(limiter), Job(limiter), Job(limiter)
    for _ in range(START):
        job.ask()
    quitter.ask()
    third.ask()
    limiter.give(job.caller)
    assert quitter.woken == 1
    limiter.withdraw(quitter.waiter)
    assert third.woken == 1


def test_leave_for_a_loop_that_is_gone_goes_to_the_next() -> None:
    limiter = Limiter(lambda: 0.0)
    job, gone, third = Job(limiter), Job(limiter), Job(limiter)
    for _ in range(START):
        job.ask()

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    limiter.take(Waiter(gone.caller, closed))
    third.ask()
    limiter.give(job.caller)
    assert third.woken == 1


def test_a_forked_child_starts_with_an_empty_house() -> None:
    limiter = Limiter(lambda: 0.0)
    job = Job(limiter)
    for _ in range(START + 1):
        job.ask()
    limiter.start_afresh()
    assert Job(limiter).ask()


# --------------------------------------------------------------------------- whose


def test_an_account_has_one_limiter() -> None:
    one = Limiter.of(("url", "key"))
    assert Limiter.of(("url", "key")) is one
    assert Limiter.of(("url", "other key")) is not one
