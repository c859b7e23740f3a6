"""What is measured: one value per row of the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders import CONTENDERS

Options = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One table of the results.

    Attributes:
        name: what it is called on the command line.
        title: the table's heading.
        loop: the function of `loops` that does it.
        options: the loop's arguments.
        quick: the arguments that `--quick` changes.
        behaviour: how the service behaves meanwhile.
        unit: what is counted.
        needs: the contender's method; who has none is left out.
        without: contenders left out, with the reason.
        rounds: at most so many rounds.
        fresh: a new process for each turn, for peak memory.
        full_only: left out by `--quick`.
    """

    name: str
    title: str
    loop: str
    options: Options = field(default_factory=dict)
    quick: Options = field(default_factory=dict)
    behaviour: dict[str, float] = field(default_factory=dict)
    unit: str = "call"
    needs: str = ""
    without: dict[str, str] = field(default_factory=dict)
    rounds: int = 99
    fresh: bool = False
    full_only: bool = False

    def contenders(self, only: frozenset[str]) -> list[str]:
        """Return who can do it, among those asked for; the no-op models that are somebody's floor included."""
        able = [name for name, kind in CONTENDERS.items() if hasattr(kind, self.needs or self.loop)]
        able = [name for name in able if name not in self.without]
        if not only:
            return able
        asked = {name for name in able if name in only or CONTENDERS[name].kind in only}
        asked |= {CONTENDERS[name].floor for name in asked} | {"raw"}
        return [name for name in able if name in asked]


TASKS: dict[str, Task] = {
    task.name: task for task in (Task("chat", "One question after another", "chat", {"calls": 500}, {"calls": 150}),)
}
