"""One trial: server, storm and calls, and the check of everything that came back."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.soak.errands import PROJECT, Errand, Errands
from tests.soak.storm import Met, Storm
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import PartialFailure, WatsonxError
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session
from wx_integrations.core.transport import ShardedTransport
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Faults
from wx_integrations.emulator.server import LocalServer

THREADS, TASKS, LOOPS = 32, 200, 5
ACCOUNTS = 4
"""Each with a token and a limiter of its own: one alone would be slowed down by the refusals, as it should."""
POLICY = RetryPolicy(retry_total=4, retry_backoff_factor=0.1, retry_max_wait=1.0, retry_time_budget=3000)
LIFETIME = 500_000.0
SKEW = 50_000_000.0
"""Seconds by which the service's clock is wrong in the beginning; it jumps on, past the end of all tokens."""
JUMP = 1_000_000.0
JUMPS = 3
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""


@dataclass(frozen=True)
class Outcome:
    """What a call came to: an answer or an error."""

    errand: Errand
    number: int
    colour: str
    answer: Any = None
    error: BaseException | None = None


@dataclass
class Figures:
    """What a trial came to."""

    calls: int = 0
    right: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    requests: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    most_requests: int = 0
    exchanges: int = 0
    expiries: int = 0
    left: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Trial:
    """A storm over a server and many calls through it.

    Args:
        calls: how many.
        share: of requests that meet trouble.
        seed: of the dice.
        tls: whether the sockets speak TLS.
    """

    def __init__(self, calls: int, *, share: float = 0.3, seed: int = 0, tls: bool = True) -> None:
        self.calls = calls
        self.seed = seed
        self._skew = SKEW
        self.keys = [f"key-of-account-{number}" for number in range(ACCOUNTS)]
        self.emulator = Emulator(api_keys=self.keys, token_lifetime=LIFETIME, clock=lambda: time.time() + self._skew)
        self.storm = Storm(self.emulator, share=share, seed=seed)
        faults = Faults()
        faults.add(self.storm)
        self.emulator.faults = faults
        self.server = LocalServer(self.emulator, tls=tls)
        self.accounts: list[Errands] = []
        self.outcomes: list[Outcome] = []
        self._lock = threading.Lock()
        self._left: Counter[str] = Counter()
        self.tasks_left: list[str] = []

    def run(self) -> Figures:
        """Run all calls and check what came back."""
        sockets, threads = open_sockets(), threading.active_count()
        began = time.monotonic()
        with self.server:
            self._run_all()
            seconds = time.monotonic() - began
            connections = self._connections_left()
        gc.collect()
        self._left["server connections"] = connections
        self._left["sockets"] = settled(lambda: open_sockets() - sockets)
        self._left["threads"] = settled(lambda: threading.active_count() - threads)
        return self._figures(seconds)

    def _run_all(self) -> None:
        self.accounts = [Errands(self._connection(key)) for key in self.keys]
        kinds = [errands.all() for errands in self.accounts]
        dead = Errands(Connection(url=NOBODY, token="nobody", project_id=PROJECT, retry=POLICY)).all()[0]
        plan = []
        for number in range(1, self.calls + 1):
            own = kinds[number % len(kinds)]
            plan.append((dead if number % 100 == 99 else own[number // len(kinds) % len(own)], number))
        half = len(plan) // 2
        with ThreadPoolExecutor(THREADS) as pool, self._clock_jumps():
            running = [pool.submit(self._call, *one) for one in plan[:half]]
            for part in range(LOOPS):
                asyncio.run(self._loop(plan[half + part :: LOOPS]))
            for future in running:
                future.result()
        self.storm.calm = True
        for number, (errands, own) in enumerate(zip(self.accounts, kinds, strict=True), start=self.calls + 1):
            self._call(own[0], number)
            limiter: Any = errands.session.limiter
            self._left["requests in the limiters"] += limiter._sending + len(limiter._turns)
            errands.session.client.close()

    def _connection(self, key: str) -> Connection:
        return Connection(
            url=self.server.url,
            api_key=key,
            project_id=PROJECT,
            verify=self.server.ca_path,
            retry=POLICY,
            timeout=60.0,
        )

    @contextmanager
    def _clock_jumps(self) -> Iterator[None]:
        """Let the service's clock jump ahead now and then, which ends all tokens."""
        done = threading.Event()
        marks = [self.calls * (jump + 1) // (JUMPS + 1) for jump in range(JUMPS)]

        def jump() -> None:
            for mark in marks:
                while len(self.outcomes) < mark and not done.wait(0.01):
                    pass
                if done.is_set():
                    return
                self.storm.expiry.happen(self._jump)

        thread = threading.Thread(target=jump)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _jump(self) -> None:
        self._skew += JUMP

    # ------------------------------------------------------------------ calls

    def _call(self, errand: Errand, number: int) -> None:
        try:
            self._note(Outcome(errand, number, "sync", errand.run(number)))
        except BaseException as error:
            self._note(Outcome(errand, number, "sync", error=error))

    async def _loop(self, plan: list[tuple[Errand, int]]) -> None:
        """Make calls with so many tasks at a time in one event loop."""
        source = iter(plan)

        async def worker() -> None:
            for errand, number in source:
                try:
                    self._note(Outcome(errand, number, "async", await errand.arun(number)))
                except BaseException as error:
                    self._note(Outcome(errand, number, "async", error=error))

        await asyncio.gather(*(worker() for _ in range(TASKS)))
        for _ in range(100):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                break
            await asyncio.sleep(0.01)
        self._left["tasks"] += len(others)
        self.tasks_left += [repr(task) for task in others]
        self._left["load of the pools"] += sum(load_of(errands.session) for errands in self.accounts)

    def _note(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)

    # ------------------------------------------------------------------ what is left, what came back

    def _connections_left(self) -> int:
        running: Any = self.server._server
        return settled(lambda: len(running.server_state.connections))

    def _figures(self, seconds: float) -> Figures:
        figures = Figures(calls=self.calls, seconds=seconds, requests=self.storm.requests)
        figures.troubles = self.storm.counts
        figures.exchanges = self.storm.expiry.exchanged
        figures.expiries = self.storm.expiry.ended
        figures.left = dict(self._left)
        for outcome in self.outcomes:
            seen = self.storm.met.get(outcome.number, [])
            figures.most_requests = max(figures.most_requests, len(seen))
            label, complaint = verdict(outcome, seen)
            figures.by_kind.setdefault(outcome.errand.name, Counter())[label] += 1
            if label == "right":
                figures.right += 1
            else:
                figures.errors[label] += 1
            if complaint:
                figures.wrong.append(
                    f"{outcome.colour} {outcome.errand.name} {outcome.number}: {complaint}; met {seen}"
                )
        numbers = Counter(outcome.number for outcome in self.outcomes)
        if sorted(numbers) != list(range(1, self.calls + ACCOUNTS + 1)) or set(numbers.values()) != {1}:
            figures.wrong.append("some calls were lost, or came back twice")
        if figures.exchanges != figures.expiries + ACCOUNTS:
            figures.wrong.append(
                f"{figures.exchanges} token exchanges for {ACCOUNTS} accounts, {figures.expiries} expiries"
            )
        if figures.exchanges != self.emulator.office.exchanges:
            figures.wrong.append("tokens were given out behind the storm's back")
        figures.wrong += [f"{count} {name} left" for name, count in figures.left.items() if count]
        figures.wrong += self.tasks_left
        return figures


# --------------------------------------------------------------------------- verdicts

_RETRIED = frozenset({"429", "429, seconds", "429, date", "500", "502", "503", "503, no body", "504", "520"})
_BROKEN = frozenset({"refused", "reset before headers", "closed before headers", "not HTTP"})
_IN_THE_BODY = frozenset({"reset in the body", "closed in the body"})
_CUT = frozenset({"stream cut", "stream ends early", "stream reset", "error event", "error event at once"})


def verdict(outcome: Outcome, seen: list[Met]) -> tuple[str, str]:
    """Return what a call came to, and what is wrong with that, if anything.

    Args:
        seen: its requests as the service saw them.
    """
    errand, error = outcome.errand, outcome.error
    # One repetition after a refused token does not count against the policy.
    bound = (POLICY.retry_total + 1 + 1) * (errand.rounds + 1)
    if len(seen) > bound:
        return "too many requests", f"{len(seen)} requests, the policy allows {bound}"
    if error is None:
        if outcome.answer != errand.right(outcome.number):
            return "wrong answer", f"{outcome.answer!r:.200} instead of {errand.right(outcome.number)!r:.200}"
        if seen and seen[-1].status != 200:
            return "right", "an answer although the service refused"
        return "right", ""
    if not isinstance(error, WatsonxError):
        return type(error).__name__, f"not an error of the package: {error!r}"
    told = _innermost(error)
    label = type(error).__name__
    if not errand.rounds and told.attempts < len(seen) and "no token" not in told.message:
        return label, f"it says {told.attempts} attempts, the service saw {len(seen)}"
    expected = _names(seen, errand)
    found = {cls.__name__ for cls in type(told).__mro__}
    return label, "" if expected & found else f"{told!r}, expected one of {sorted(expected)}"


def _innermost(error: WatsonxError) -> WatsonxError:
    """Return what went wrong with the one batch of a bulk job."""
    return next(iter(error.failed.values())) if isinstance(error, PartialFailure) else error


def _names(seen: list[Met], errand: Errand) -> set[str]:
    """Return which errors are right for what the requests of a call met."""
    late = {"TimedOut", "StreamBroken"} if errand.name.startswith("impatient") else set()
    return late | _names_of_last(seen, errand)


def _names_of_last(seen: list[Met], errand: Errand) -> set[str]:
    if not seen:  # nobody listens, or there was no token
        return {"ConnectionFailed", "Unavailable"}
    last = seen[-1]
    if [met.status for met in seen].count(401) >= 2 and last.status == 401:
        return {"Unauthorized"}
    kind = last.kind
    if kind in _RETRIED:
        return {"RateLimited" if last.status == 429 else "Unavailable"}
    if kind in _BROKEN:
        return {"ConnectionFailed"}
    if kind in _IN_THE_BODY:
        return {"StreamBroken"} if errand.streams else {"ConnectionFailed"}
    if kind in _CUT:
        return {"StreamBroken"}
    if kind == "200, web page":
        return {"UnexpectedResponse"}
    if kind == "200, error object":
        return {"ServiceError"}
    if last.status == 401:  # the token could not be renewed
        return {"ConnectionFailed", "Unavailable"}
    return set()


# --------------------------------------------------------------------------- counting


def load_of(session: Session) -> int:
    """Return how many requests the running loop's pools believe to be under way."""
    live: Any = session.async_client._loops.get(id(asyncio.get_running_loop()))
    pools = live.http._transport.inner.inner if live is not None else None
    return sum(pools.load) if isinstance(pools, ShardedTransport) else 0


def open_sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (a listing of links, some gone by now)
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")  # noqa: PTH115
        except OSError:
            continue
    return count


def settled(count: Callable[[], int], seconds: float = 10.0) -> int:
    """Return a count once it is zero, or what it is after a while."""
    for _ in range(int(seconds / 0.02)):
        if count() <= 0:
            return 0
        time.sleep(0.02)
    return count()
