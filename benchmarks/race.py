"""Contenders next to each other: each in its own process, round by round, in rotating order.

A ratio is taken inside a round, so that what slows the machine for a while
slows both sides of it. A turn during which other processes used more than 5 %
of the contender's core is repeated, at most three times, and the quietest is
kept, not the fastest. Nothing is subtracted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import cold
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.contender import Place
from benchmarks.environments import python, variables
from benchmarks.fixture import Fixture
from benchmarks.tasks import Task

Reading = dict[str, Any]
NOISE = 0.05


def cores() -> tuple[int | None, int | None]:
    """Return the contenders' core and the service's; None where there is only one, or no pinning."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


class Worker:
    """One contender's process."""

    def __init__(self, name: str, place: Place, root: Path) -> None:
        core, _ = cores()
        command = [
            python(CONTENDERS[name].environment),
            "-m",
            "benchmarks.worker",
            name,
            str("-" if core is None else core),
        ]
        self.process = subprocess.Popen(
            [*command, json.dumps(asdict(place))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("WX_BENCHMARKS_LOUD") else subprocess.DEVNULL,
            text=True,
            cwd=root,
            env=variables(root) | {"SSL_CERT_FILE": place.ca},
        )

    def run(self, loop: str, options: dict[str, Any]) -> Reading:
        """Run a loop once and return what was read."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"loop": loop, "options": options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process ended with {self.process.wait()}"}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Race:
    """Runs tasks; the contenders' processes live as long as this does.

    Args:
        fixture: the service.
        root: the folder with the package to measure.
        quick: with the tasks' small options.
        rounds: measured rounds, the warm-up aside.
        turns: how often a contender may try in a round, if the machine is busy.
        only: contenders, by name or kind; all if empty.
    """

    def __init__(
        self, fixture: Fixture, root: Path, *, quick: bool, rounds: int, turns: int, only: frozenset[str]
    ) -> None:
        self.fixture = fixture
        self.root = root
        self.quick = quick
        self.rounds = rounds
        self.turns = turns
        self.only = only
        self.workers: dict[str, Worker] = {}

    def run(self, task: Task) -> list[dict[str, Reading]]:
        """Return the readings of each round by contender; who failed once is not asked again."""
        if task.alone:
            self.close()
        names = task.contenders(self.only)
        found: list[dict[str, Reading]] = []
        failed: dict[str, Reading] = {}
        rounds = max(task.least, min(self.rounds, task.rounds))
        if self.quick and (task.fresh or task.loop in cold.LOOPS):
            rounds = 1
        for number in range(0 if task.fresh else -1, rounds):  # the first is the warm-up; new processes need none
            readings: dict[str, Reading] = {}
            present = [name for name in names if name not in failed and self.takes_part(task, name, number)]
            turn = number % max(1, len(present))
            for name in present[turn:] + present[:turn]:
                reading = self.turn(task, name, tries=self.turns if number >= 0 else 1)
                if "error" in reading:
                    print(f"{task.name}: {name} failed\n{reading['error']}", file=sys.stderr, flush=True)
                    failed[name] = reading
                readings[name] = reading
            if number >= 0:
                found.append(readings | failed)
        return found

    def takes_part(self, task: Task, name: str, number: int) -> bool:
        """Return whether a contender runs in a round; costly ones do in two."""
        return name not in task.costly or (number in (0, 1) and not self.quick)

    def turn(self, task: Task, name: str, *, tries: int) -> Reading:
        """Return a contender's reading, the quietest of some if the machine is busy."""
        best: Reading = {}
        for _ in range(tries):
            reading = self.once(task, name)
            if "error" in reading:
                return reading
            if not best or reading["others"] < best["others"]:
                best = reading
            if best["others"] <= NOISE:
                break
        return best

    def once(self, task: Task, name: str) -> Reading:
        self.fixture.set(**task.behaviour)
        reading = self.read(task, name)
        if "error" in reading:
            return reading
        counts = self.fixture.counts()
        return reading | {
            "requests": sum(counts["requests"].values()),
            "tokens": sum(times for name, times in counts["requests"].items() if name.endswith("/token")),
            "opened": counts["opened"],
            "most_in_flight": counts["most_in_flight"],
        }

    def read(self, task: Task, name: str) -> Reading:
        """Run the task's loop in the process for it: a new program, a new worker, or the one that lives."""
        place = replace(self.fixture.place, url=self.fixture.place.https) if task.tls else self.fixture.place
        if task.loop in cold.LOOPS:
            return cold.run(task.loop, name, place, cores()[0], self.root)
        options = task.options | (task.quick if self.quick else {})
        lasting = None if task.fresh else self.workers.pop(name, None)
        worker = lasting or Worker(name, place, self.root)
        reading = worker.run(task.loop, options)
        if task.fresh or "error" in reading:
            worker.close()
        else:
            self.workers[name] = worker
        return reading

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()
