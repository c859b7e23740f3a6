"""From readings to tables: medians, and ratios taken inside each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.tasks import Task

Rounds = list[dict[str, dict[str, Any]]]


def median(rounds: Rounds, value: Callable[[dict[str, dict[str, Any]]], float]) -> tuple[float, float, float] | None:
    """Return median, least and most of a value over the rounds in which it exists."""
    found = []
    for readings in rounds:
        try:
            found.append(value(readings))
        except KeyError:
            continue
    return (statistics.median(found), min(found), max(found)) if found else None


def per(readings: dict[str, dict[str, Any]], name: str, what: str = "cpu") -> float:
    """Return what one unit cost a contender, in seconds."""
    reading = readings[name]
    value: float = reading[what] / reading["count"]
    return value


def floor_of(readings: dict[str, dict[str, Any]], name: str, what: str = "cpu") -> float:
    """Return what one unit costs at least: raw httpx, and the framework's no-op model."""
    floor = CONTENDERS[name].floor
    return per(readings, "raw", what) + (per(readings, floor, what) if floor in readings else 0.0)


def table(task: Task, rounds: Rounds) -> str:
    """Return a task's table in Markdown."""
    lines = [
        f"\n### {task.title}",
        "",
        f"| | CPU us/{task.unit} | / raw | / floor | wall us/{task.unit} |",
        "|---|---|---|---|---|",
    ]
    for name in rounds[0] if rounds else ():
        cpu = median(rounds, lambda r, n=name: per(r, n))  # type: ignore[misc]
        wall = median(rounds, lambda r, n=name: per(r, n, "wall"))  # type: ignore[misc]
        if cpu is None or wall is None:
            lines.append(f"| {CONTENDERS[name].title} | failed | | | |")
            continue
        raw = median(rounds, lambda r, n=name: per(r, n) / per(r, "raw"))  # type: ignore[misc]
        floor = median(rounds, lambda r, n=name: per(r, n) / floor_of(r, n))  # type: ignore[misc]
        cells = [CONTENDERS[name].title, f"{cpu[0] * 1e6:.1f}", _spread(raw), _spread(floor), f"{wall[0] * 1e6:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(value: tuple[float, float, float] | None) -> str:
    return "" if value is None else f"{value[0]:.2f} [{value[1]:.2f}..{value[2]:.2f}]"
