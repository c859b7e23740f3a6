"""One limiter per account: every adapter's requests pass it, whatever their session, thread or event loop.

It holds requests up only when the service has said how much it bears (see
`pace`) or a user has set a bound. What waits is served in turns: a caller that
sends little is not stuck behind one that sends much. Nobody is woken by
another: each waits as long as it is told and asks again, so the queue knows
neither threads nor loops.
"""

from __future__ import annotations

import threading
import time
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from wx_integrations.core.pace import MOST, NOTHING, REFUSALS, SHARE, Pace, Signals

NAP = 0.05
"""Seconds of a wait that are slept at once; of a longer one half, because the pace may change meanwhile."""


SLACK, STRICT = 0.25, 0.02
"""Seconds by which one who comes late to a turn does not delay the next, as a busy machine wakes nobody in time: when
the limit is known, and when it is guessed from refusals, which two at once would bring about."""
MOST_COUNTED = 1000
"""Requests of which it is known when they passed."""
SECOND = 1.03
"""What a second is here, as the service counts them where requests arrive, some sooner and some later."""


class Lane:
    """What equal bounds share: the adapters that a user gave the same ones.

    Attributes:
        max_concurrency: bulk requests at a time; None for the limiter's own judgement.
        requests_per_second: None for no bound.
    """

    def __init__(self, max_concurrency: int | None = None, requests_per_second: float | None = None) -> None:
        self.max_concurrency = max_concurrency
        self.requests_per_second = requests_per_second
        self.in_flight = 0
        self.turns = Turns()


class Caller:
    """Somebody who takes turns with others: a bulk job, or all calls that belong to none.

    Attributes:
        refusals: answers of 429 and 503 it got.
    """

    def __init__(self, lane: Lane | None = None, *, bulk: bool = False) -> None:
        self.lane = lane or Lane()
        self.bulk = bulk
        self.refusals = 0


class Ticket:
    """A place in a queue."""

    __slots__ = ("caller", "key")

    def __init__(self, caller: Caller, key: tuple[int, int]) -> None:
        self.caller = caller
        self.key = key


class Turns:
    """Who may send when: callers in turn, at a given rate; pure.

    Start-time fair queueing: a ticket's number counts its caller's turns, and
    a caller that was away starts with the present turn.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[int, int]] = []
        self._numbers: dict[int, int] = {}
        self._turn = 0
        self._arrivals = 0
        self._next_at = float("-inf")
        self._passed: deque[float] = deque(maxlen=MOST_COUNTED)

    def __len__(self) -> int:
        return len(self._queue)

    def arrive(self, caller: Caller) -> Ticket:
        """Queue up."""
        if not self._queue:
            self._numbers.clear()
        number = max(self._turn, self._numbers.get(id(caller), 0)) + 1
        self._numbers[id(caller)] = number
        self._arrivals += 1
        ticket = Ticket(caller, (number, self._arrivals))
        insort(self._queue, ticket.key)
        return ticket

    def delay(self, ticket: Ticket, now: float, rate: float | None, slack: float = STRICT) -> float:
        """Return the seconds until the ticket's turn; 0 takes it off the queue."""
        place = bisect_left(self._queue, ticket.key)
        if rate is not None:
            if not self._passed:
                self._next_at = max(self._next_at, now)
            due = self._next_at + place / rate
            if slack > STRICT:
                due = max(due, self._full_until(place, max(1, int(rate / SHARE + 0.01))))
            if due > now:
                return due - now
            self._next_at = max(self._next_at, now - slack) + 1 / rate
            self._passed.append(now)
        del self._queue[place]
        self._turn = max(self._turn, ticket.key[0])
        return 0.0

    def not_before(self, when: float) -> None:
        """Let nobody make up for turns missed before a moment."""
        self._next_at = max(self._next_at, when)

    def _full_until(self, place: int, most: int) -> float:
        """Return when one more fits behind those who passed and those ahead, with at most so many in a second."""
        back = most - place
        if 0 < back <= len(self._passed):
            return self._passed[-back] + SECOND
        return float("-inf")

    def leave(self, ticket: Ticket) -> None:
        """Give a place up."""
        place = bisect_left(self._queue, ticket.key)
        if place < len(self._queue) and self._queue[place] == ticket.key:
            del self._queue[place]


class Waiter:
    """A bulk job's wish to send one more batch.

    Attributes:
        wake: called, from any thread, when the wish is granted later than at once.
    """

    __slots__ = ("caller", "granted", "wake")

    def __init__(self, caller: Caller, wake: Callable[[], object]) -> None:
        self.caller = caller
        self.wake = wake
        self.granted = False


_limiters: weakref.WeakValueDictionary[tuple[Any, ...], Limiter] = weakref.WeakValueDictionary()
_registry = threading.Lock()


class Limiter:
    """Shared by all clients of an account; safe for threads and event loops.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.pace = Pace()
        self.everybody = Caller()
        """Calls that belong to no job."""
        self.start_afresh()
        self._lanes: dict[tuple[int | None, float | None], Lane] = {}

    @classmethod
    def of(cls, account: tuple[Any, ...]) -> Limiter:
        """Return the limiter of an account, which sessions with other timeouts or retries share."""
        with _registry:
            limiter = _limiters.get(account)
            if limiter is None:
                limiter = _limiters[account] = cls()
            return limiter

    def start_afresh(self) -> None:
        """Forget who was under way, in a forked child."""
        self._lock = threading.Lock()
        self._turns = Turns()
        self._sending = 0
        self._bulk = 0
        self._waiters: deque[Waiter] = deque()

    # ------------------------------------------------------------------ every request

    def hold(self, caller: Caller, *, again: bool, sleep: Callable[[float], object]) -> float:
        """Wait until the caller may send; returns the seconds it took.

        Args:
            again: whether this repeats a request, which has waited as its policy says.
        """
        queues = self._enter(caller, again)
        if not queues:
            return 0.0
        began = self.clock()
        for turns in queues:
            ticket = self._arrive(turns, caller)
            try:
                while (seconds := self._delay(turns, ticket)) > 0:
                    before = self.clock()
                    sleep(seconds)
                    if self.clock() <= before:
                        break  # a clock that stands still would keep us here for ever
            finally:
                self._leave(turns, ticket)
        return self._go(began)

    async def ahold(self, caller: Caller, *, again: bool, sleep: Callable[[float], Awaitable[object]]) -> float:
        """Wait until the caller may send; returns the seconds it took.

        Args:
            again: whether this repeats a request, which has waited as its policy says.
        """
        queues = self._enter(caller, again)
        if not queues:
            return 0.0
        began = self.clock()
        for turns in queues:
            ticket = self._arrive(turns, caller)
            try:
                while (seconds := self._delay(turns, ticket)) > 0:
                    before = self.clock()
                    await sleep(seconds)
                    if self.clock() <= before:
                        break  # a clock that stands still would keep us here for ever
            finally:
                self._leave(turns, ticket)
        return self._go(began)

    def _enter(self, caller: Caller, again: bool) -> tuple[Turns, ...]:
        """Return the queues to stand in, the lane's own bound first; without any the caller is on its way."""
        with self._lock:
            now = self.clock()
            queues = () if caller.lane.requests_per_second is None else (caller.lane.turns,)
            if not len(self._turns):
                alone = again and not self._sending and now >= self.pace.paused_until
                if alone or self.pace.is_open(now):
                    self._sending += not queues
                    return queues
            return (*queues, self._turns)

    def _arrive(self, turns: Turns, caller: Caller) -> Ticket:
        with self._lock:
            return turns.arrive(caller)

    def _delay(self, turns: Turns, ticket: Ticket) -> float:
        with self._lock:
            now = self.clock()
            if turns is not self._turns:
                return turns.delay(ticket, now, ticket.caller.lane.requests_per_second, STRICT)
            if now < self.pace.paused_until:
                turns.not_before(self.pace.paused_until)
                return self.pace.paused_until - now
            slack = SLACK if self.pace.stated is not None else STRICT
            seconds = turns.delay(ticket, now, self.pace.rate(now), slack)
            if seconds > 0:
                self.pace.held(now)
            return seconds if seconds <= NAP else max(NAP, seconds / 2)

    def _leave(self, turns: Turns, ticket: Ticket) -> None:
        with self._lock:
            turns.leave(ticket)

    def _go(self, began: float) -> float:
        with self._lock:
            self._sending += 1
            return self.clock() - began

    def answered(
        self, caller: Caller, status: int | None, sent: float, signals: Signals = NOTHING, *, size: int = 0
    ) -> None:
        """Learn from what came back.

        Args:
            status: the answer's; None when there was no answer.
            sent: when the request went out.
            signals: what the answer says about the limit.
            size: bytes of its body.
        """
        with self._lock:
            self._sending -= 1
            if status is None:
                return
            if status in REFUSALS:
                caller.refusals += 1
                self._turns.not_before(self.clock())
            self.pace.answered(
                status, sent, self.clock(), signals, bulk=caller.bulk, size=size, under_way=self._sending
            )

    # ------------------------------------------------------------------ bulk jobs

    def lane(self, max_concurrency: int | None = None, requests_per_second: float | None = None) -> Lane:
        """Return the lane of these bounds."""
        with self._lock:
            key = (max_concurrency, requests_per_second)
            if key not in self._lanes:
                self._lanes[key] = Lane(*key)
            return self._lanes[key]

    def take(self, waiter: Waiter) -> bool:
        """Ask for leave to send one more batch; without it the waiter is woken as soon as it has leave."""
        with self._lock:
            self._waiters.append(waiter)
            granted = self._serve()
        self._wake(granted, waiter)
        return waiter.granted

    def give(self, caller: Caller) -> None:
        """Give a leave back; who waits longest and may go gets it."""
        with self._lock:
            self._bulk -= 1
            caller.lane.in_flight -= 1
            granted = self._serve()
        self._wake(granted)

    def withdraw(self, waiter: Waiter) -> None:
        """Wait no longer; a leave that had come meanwhile is given back."""
        with self._lock:
            waiting = waiter in self._waiters
            if waiting:
                self._waiters.remove(waiter)
        if waiter.granted and not waiting:
            self.give(waiter.caller)

    def _serve(self) -> list[Waiter]:
        granted = []
        for waiter in tuple(self._waiters):
            lane = waiter.caller.lane
            most, careful = lane.max_concurrency or MOST, lane.max_concurrency is None
            width = self.pace.width(self.clock(), max(most, MOST), careful=careful)
            if lane.in_flight < most and self._bulk < width:
                self._bulk += 1
                lane.in_flight += 1
                waiter.granted = True
                self._waiters.remove(waiter)
                granted.append(waiter)
        return granted

    def _wake(self, granted: list[Waiter], asking: Waiter | None = None) -> None:
        for waiter in granted:
            if waiter is asking:
                continue
            try:
                waiter.wake()
            except RuntimeError:  # its event loop is gone
                self.give(waiter.caller)
