"""From readings to figures: medians over rounds, and ratios taken inside each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.tasks import TASKS

Round = dict[str, dict[str, Any]]
"""What each contender's turn of one round gave."""


@dataclass(frozen=True)
class Figure:
    """A median over rounds, with the least and the most."""

    median: float
    least: float
    most: float


Reader = Callable[[Round, str], float]


class Readings:
    """The readings of one task."""

    def __init__(self, task: str, rounds: list[Round]) -> None:
        self.task = TASKS[task]
        self.rounds = rounds

    @property
    def names(self) -> list[str]:
        """The contenders, in the tables' order."""
        return [name for name in CONTENDERS if any(name in one for one in self.rounds)]

    def figure(self, column: str, name: str) -> Figure | None:
        """Return a column's figure for a contender; None if it failed, or has nothing to compare with."""
        found = []
        for one in self.rounds:
            try:
                found.append(COLUMNS[column].read(self, one, name))
            except KeyError:
                continue
        return Figure(statistics.median(found), min(found), max(found)) if found else None

    # ------------------------------------------------------------------ inside a round

    def per(self, one: Round, name: str, what: str = "cpu") -> float:
        """Return what one unit cost, in seconds."""
        value: float = one[name][what] / one[name]["count"]
        return value

    def against_raw(self, one: Round, name: str, what: str = "cpu") -> float:
        return self.per(one, name, what) / self.per(one, "raw", what)

    def against_floor(self, one: Round, name: str) -> float:
        """Return the ratio to raw httpx plus the framework's no-op model."""
        kind = CONTENDERS[name]
        if kind.kind in ("raw", "floor"):
            raise KeyError(name)
        floor = self.per(one, "raw")
        if kind.floor:
            floor += self.per(one, kind.floor)
        return self.per(one, name) / floor

    def against_together(self, one: Round, name: str) -> float:
        """Return the ratio to the framework's no-op model over raw httpx, both in one process."""
        kind = CONTENDERS[name]
        if kind.kind in ("raw", "floor", "together"):
            raise KeyError(name)
        both = (other for other, it in CONTENDERS.items() if it.kind == "together" and it.floor == kind.floor)
        return self.per(one, name) / self.per(one, next(both, "raw"))

    def against_framework(self, one: Round, name: str, what: str = "cpu") -> float:
        """Return the ratio to the framework's own program, which has raw httpx in it."""
        if CONTENDERS[name].kind in ("raw", "floor"):
            raise KeyError(name)
        return self.per(one, name, what) / self.per(one, CONTENDERS[name].floor or "raw", what)

    def against_ideal(self, one: Round, name: str) -> float:
        """Return wall time over what the service's delay alone would take."""
        reading, options = one[name], self.task.options
        at_once = options.get("concurrency") or options["threads"]
        ideal = self.task.behaviour["delay"] * reading["count"] / at_once
        value: float = reading["wall"] / ideal
        return value


@dataclass(frozen=True)
class Column:
    """One column of a table: `{unit}` in the heading is the task's."""

    heading: str
    read: Callable[[Readings, Round, str], float]
    form: str = "{:.0f}"
    spread: bool = False


def _seen(what: str, scale: float = 1.0) -> Callable[[Readings, Round, str], float]:
    def read(readings: Readings, one: Round, name: str) -> float:
        value: float = one[name][what]
        return value * scale

    return read


def _per(what: str, scale: float) -> Callable[[Readings, Round, str], float]:
    return lambda readings, one, name: readings.per(one, name, what) * scale


def _stage(end: str, start: str) -> Callable[[Readings, Round, str], float]:
    """Return the milliseconds between two stamps."""

    def read(readings: Readings, one: Round, name: str) -> float:
        value: float = one[name][end] - one[name][start]
        return value * 1e3

    return read


def _ratio(what: str) -> Callable[[Readings, Round, str], float]:
    return lambda readings, one, name: float(one[name][what] / one["raw"][what])


def _later(what: str) -> Callable[[Readings, Round, str], float]:
    return lambda readings, one, name: float(one[name][what] - one["raw"][what]) * 1e3


def _packages(readings: Readings, one: Round, name: str) -> float:
    """Count the third-party packages that its floor has not."""
    floor = one[CONTENDERS[name].floor or "raw"]["packages"]
    own = {"wx_integrations"} | ({"pydantic", "pydantic_core"} if CONTENDERS[name].kind == "ours" else set())
    typed = {"annotated_types", "typing_extensions", "typing_inspection"} if own - {"wx_integrations"} else set()
    return float(len(set(one[name]["packages"]) - set(floor) - own - typed))


COLUMNS: dict[str, Column] = {
    "cpu": Column("CPU us/{unit}", _per("cpu", 1e6), "{:.1f}"),
    "wall": Column("wall us/{unit}", _per("wall", 1e6), "{:.1f}"),
    "cpu ms": Column("CPU ms", _per("cpu", 1e3)),
    "wall ms": Column("wall ms", _per("wall", 1e3)),
    "wall ms/all": Column("wall ms", _seen("wall", 1e3)),
    "rate": Column("{unit}s/s", lambda r, one, name: 1 / r.per(one, name, "wall")),
    "cpu/raw": Column("CPU / raw", lambda r, one, name: r.against_raw(one, name), "{:.2f}", spread=True),
    "wall/raw": Column("wall / raw", lambda r, one, name: r.against_raw(one, name, "wall"), "{:.2f}", spread=True),
    "cpu/floor": Column("CPU / floor", lambda r, one, name: r.against_floor(one, name), "{:.2f}", spread=True),
    "cpu/together": Column(
        "CPU / floor in one process", lambda r, one, name: r.against_together(one, name), "{:.2f}", spread=True
    ),
    "cpu/framework": Column("CPU / floor", lambda r, one, name: r.against_framework(one, name), "{:.2f}", spread=True),
    "wall/framework": Column(
        "wall / floor", lambda r, one, name: r.against_framework(one, name, "wall"), "{:.2f}", spread=True
    ),
    "wall/ideal": Column("wall / ideal", lambda r, one, name: r.against_ideal(one, name), "{:.2f}", spread=True),
    "import ms": Column("import", _seen("imported", 1e3)),
    "construct ms": Column("construct", _stage("constructed", "imported")),
    "call ms": Column("call", _stage("cpu", "constructed")),
    "modules": Column("modules", _seen("modules")),
    "objects": Column("gc objects", _seen("objects")),
    "rss": Column("RSS MB", _seen("rss_kb", 1 / 1024)),
    "peak": Column("peak MB", _seen("peak_kb", 1 / 1024)),
    "rise": Column("rise MB", _seen("rise_kb", 1 / 1024)),
    "packages": Column("packages", _packages),
    "requests": Column("requests", _seen("requests")),
    "requests each": Column("requests", lambda r, one, name: float(one[name]["requests"] / one[name]["count"])),
    "tokens": Column("token requests", _seen("tokens")),
    "opened": Column("connections opened", _seen("opened")),
    "most in flight": Column("most in flight", _seen("most_in_flight")),
    "contexts": Column("SSL contexts", _seen("contexts")),
    "first us": Column("first, us", _seen("first_cpu", 1e6)),
    "next us": Column("next, us", _seen("next_cpu", 1e6)),
    "next KiB": Column("next, KiB", _seen("next_bytes", 1 / 1024), "{:.1f}"),
    "peak/raw": Column("peak / raw", _ratio("peak_kb"), "{:.2f}"),
    "rise/raw": Column("rise / raw", _ratio("rise_kb"), "{:.2f}"),
    "first-raw": Column("first, ms later than raw", _later("first_late"), "{:.2f}", spread=True),
    "ours us": Column("client, us", _seen("ours_call", 1e6), "{:.1f}"),
    "careful us": Column("careful, us", _seen("careful_call", 1e6), "{:.1f}"),
    "bare us": Column("bare, us", _seen("bare_call", 1e6), "{:.1f}"),
    "documented us": Column("documented, us", _seen("documented_call", 1e6), "{:.1f}"),
    "added us": Column(
        "added, us",
        lambda r, one, name: (one[name]["ours_call"] - one[name]["careful_call"]) * 1e6,
        "{:.1f}",
        spread=True,
    ),
    "first": Column("first, ms late", _seen("first_late", 1e3), "{:.2f}", spread=True),
    "late": Column("median, ms late", _seen("median_late", 1e3), "{:.2f}"),
    "latest": Column("latest, ms late", _seen("most_late", 1e3), "{:.2f}"),
    "held ms": Column("wall ms", _seen("held_wall", 1e3), "{:.1f}", spread=True),
    "held CPU ms": Column("CPU ms", _seen("held_cpu", 1e3), "{:.1f}", spread=True),
}
