"""One trial: server, storm and calls, and the check of everything that came back."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.soak import counting
from tests.soak.calling import PROJECT, Clock, Errand
from tests.soak.errands import Errands
from tests.soak.storm import Storm
from tests.soak.verdicts import POLICY, TRIES, Outcome, judge
from wx_integrations.core.connection import Connection
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Faults
from wx_integrations.emulator.server import LocalServer

THREADS, TASKS, LOOPS = 32, 200, 5
ACCOUNTS = 4
"""Each with a token and a limiter of its own: one alone would be slowed down by the refusals, as it should."""
FICKLE = "key-of-the-fickle-account"
"""Who is cancelled while fetching a token has it fetched again, so that these exchanges are not counted."""
LIFETIME = 500_000.0
EARLY = 900.0
"""Seconds before a token's end in which it is renewed."""
SKEW, JUMP, BACK = 50_000_000.0, 1_000_000.0, -120_000_000.0
"""Seconds by which the service's clock is wrong in the beginning, jumps on (past the end of all tokens), and back."""
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""
Plan = Sequence[tuple[Errand, int]]


@dataclass
class Figures:
    """What a trial came to."""

    calls: int = 0
    right: int = 0
    cancelled: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    requests: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    most_requests: int = 0
    unseen: int = 0
    late: int = 0
    exchanges: int = 0
    expiries: int = 0
    token_requests: int = 0
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
        threads: how many at a time.
        tasks: how many at a time in each event loop.
    """

    def __init__(
        self,
        calls: int,
        *,
        share: float = 0.3,
        seed: int = 0,
        tls: bool = True,
        threads: int = THREADS,
        tasks: int = TASKS,
    ) -> None:
        self.calls = calls
        self.threads = threads
        self.tasks = tasks
        self.clock = Clock()
        self._skew = SKEW
        self.keys = [f"key-of-account-{number}" for number in range(ACCOUNTS)]
        self.emulator = Emulator(
            api_keys=[*self.keys, FICKLE], token_lifetime=LIFETIME, clock=lambda: time.time() + self._skew
        )
        self.storm = Storm(self.emulator, share=share, seed=seed, uncounted=FICKLE)
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
        gc.collect()  # what others left would hide what we leave
        sockets, threads = counting.open_sockets(), counting.running_threads()
        began = time.monotonic()
        with self.server:
            self._run_all()
            seconds = time.monotonic() - began
            running: Any = self.server._server
            self._left["server connections"] = counting.settled(lambda: len(running.server_state.connections))
        gc.collect()
        self._left["sockets"] = counting.settled(lambda: counting.open_sockets() - sockets)
        self._left["threads"] = counting.settled(lambda: counting.running_threads() - threads)
        return self.figures(seconds)

    def _run_all(self) -> None:
        self.accounts = [self._errands(key) for key in [*self.keys, FICKLE]]
        plan = self._plan()
        size = -(-len(plan) // LOOPS)
        with ThreadPoolExecutor(self.threads) as pool:
            for part in range(LOOPS):
                self._between(part)
                self._run_part(pool, plan[part * size : (part + 1) * size], part)
        self.storm.calm = True
        for number, errands in enumerate(self.accounts, start=self.calls + 1):
            self._call(errands.steady()[0], number)
            self._left.update(counting.in_use(errands.session))
            errands.session.client.close()

    def _plan(self) -> list[tuple[Errand, int]]:
        """Spread the kinds over the accounts and the numbers."""
        kinds = [*(errands.steady() for errands in self.accounts[:-1]), self.accounts[-1].fickle()]
        nobody = Errands(Connection(url=NOBODY, token="nobody", project_id=PROJECT, retry=POLICY), self.clock)
        dead = nobody.steady()
        plan = []
        for number in range(1, self.calls + 1):
            own = kinds[number % len(kinds)] if number % 100 else dead
            plan.append((own[number // len(kinds) % len(own)], number))
        return plan

    def _errands(self, key: str) -> Errands:
        connection = Connection(
            url=self.server.url,
            api_key=key,
            project_id=PROJECT,
            verify=self.server.ca_path,
            retry=POLICY,
            timeout=120.0,
        )
        return Errands(connection, self.clock)

    # ------------------------------------------------------------------ clocks

    def _between(self, part: int) -> None:
        """While nothing is under way, let all tokens end, be due for renewal, or a clock go wrong."""
        self.storm.gentle = part == 2
        match part:
            case 1:  # as the clients see it
                self.storm.expiry.happen(lambda: self.clock.leap(LIFETIME))
            case 2:
                self.storm.expiry.happen(lambda: self.clock.leap(LIFETIME - EARLY / 2))
            case 3:
                self._skew += BACK
            case 4:
                self.storm.expiry.happen(self.emulator.office.expire_all)

    @contextmanager
    def _jump_amid(self, calls: int, part: int) -> Iterator[None]:
        """Let the service's clock jump ahead in the middle of a part, which ends all tokens."""
        amid = len(self.outcomes) + calls // 2
        done = threading.Event()

        def jump() -> None:
            while len(self.outcomes) < amid:
                if done.wait(0.01):
                    return
            self.storm.expiry.happen(self._jump)

        thread = threading.Thread(target=jump)
        if part != 2:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if part != 2:
                thread.join()

    def _jump(self) -> None:
        self._skew += JUMP

    # ------------------------------------------------------------------ calls

    def _run_part(self, pool: ThreadPoolExecutor, plan: Plan, part: int) -> None:
        with self._jump_amid(len(plan), part):
            running = [pool.submit(self._call, *one) for one in plan[::2]]
            asyncio.run(self._loop(plan[1::2]))
            for future in running:
                future.result()

    def _call(self, errand: Errand, number: int) -> None:
        try:
            self._note(Outcome(errand, number, "sync", errand.run(number)))
        except BaseException as error:
            self._note(Outcome(errand, number, "sync", error=error))

    async def _loop(self, plan: Plan) -> None:
        """Make calls with so many tasks at a time in one event loop."""
        source = iter(plan)

        async def worker() -> None:
            for errand, number in source:
                try:
                    self._note(Outcome(errand, number, "async", await errand.arun(number)))
                except BaseException as error:
                    self._note(Outcome(errand, number, "async", error=error))

        await asyncio.gather(*(worker() for _ in range(self.tasks)))
        sessions = [errands.session for errands in self.accounts]
        self.tasks_left += await counting.tasks_left(sessions)
        for session in sessions:
            self._left.update(counting.in_use_here(session))

    def _note(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)

    # ------------------------------------------------------------------ what came back

    def figures(self, seconds: float = 0.0) -> Figures:
        """Judge everything."""
        storm = self.storm
        figures = Figures(calls=self.calls, seconds=seconds, requests=storm.requests, troubles=storm.counts)
        figures.exchanges, figures.expiries = storm.expiry.exchanged, storm.expiry.ended
        figures.token_requests = storm.token_requests
        figures.left = {**self._left, "tasks": len(self.tasks_left)}
        for outcome in self.outcomes:
            self._judge(outcome, figures)
        figures.cancelled = figures.errors.pop("cancelled", 0)
        figures.wrong += self._amiss(figures)
        return figures

    def _judge(self, outcome: Outcome, figures: Figures) -> None:
        seen = self.storm.met.get(outcome.number, [])
        verdict = judge(outcome, seen)
        figures.most_requests = max(figures.most_requests, len(seen))
        figures.unseen += verdict.unseen
        figures.late += verdict.late
        figures.by_kind.setdefault(outcome.errand.name, Counter())[verdict.label] += 1
        if verdict.label == "right":
            figures.right += 1
        else:
            figures.errors[verdict.label] += 1
        if verdict.complaint:
            name = f"{outcome.colour} {outcome.errand.name} {outcome.number}"
            figures.wrong.append(f"{name}: {verdict.complaint}; met {seen}")

    def _amiss(self, figures: Figures) -> list[str]:
        """Return what is wrong with the whole."""
        storm, found = self.storm, []
        numbers = Counter(outcome.number for outcome in self.outcomes)
        if sorted(numbers) != list(range(1, self.calls + len(self.accounts) + 1)) or set(numbers.values()) != {1}:
            found.append("some calls were lost, or came back twice")
        if storm.unmarked or sum(map(len, storm.met.values())) != storm.requests:
            found.append(f"requests that belong to no call: {dict(storm.unmarked)}")
        if figures.exchanges != figures.expiries + ACCOUNTS:
            found.append(f"{figures.exchanges} token exchanges for {ACCOUNTS} accounts, {figures.expiries} expiries")
        without = sum("token" in str(outcome.error) for outcome in self.outcomes if outcome.error is not None)
        without += figures.errors["ConnectionFailed"]
        if figures.token_requests - figures.exchanges > POLICY.retry_total * figures.exchanges + TRIES * without:
            found.append(f"{figures.token_requests} requests for {figures.exchanges} tokens")
        if figures.unseen > max(3, self.calls // 500):  # one now and then goes to a connection that is being closed
            found.append(f"errors tell of {figures.unseen} attempts that nobody saw")
        found += [f"{count} {name} left" for name, count in figures.left.items() if count]
        return found + self.tasks_left
