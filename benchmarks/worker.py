"""A process that holds one contender, pinned to one core.

```
python -m benchmarks.worker CONTENDER CORE PLACE
```

It reads one request a line (JSON: `loop`, `options`) and writes one reading a
line: `count`, `cpu` and `wall` (seconds), `others` (the share of the core that
other processes used meanwhile), and what the loop saw.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.contender import Place
from benchmarks.loops import LOOPS, Meter

TICK = os.sysconf("SC_CLK_TCK")


class Core:
    """How busy one core was since this was made, by the kernel's books."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.before = self.busy()

    def busy(self) -> float:
        """Return the seconds in which the core worked for processes, or for other machines (steal)."""
        status = Path("/proc/stat")
        if self.number is None or not status.exists():
            return 0.0
        for line in status.read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self.number}":
                user, nice, system, _, _, _, _, steal, *_ = map(int, ticks)
                return (user + nice + system + steal) / TICK
        return 0.0

    def others(self, cpu: float, wall: float) -> float:
        """Return the share that others used, given what this process did."""
        return max(0.0, self.busy() - self.before - cpu) / wall


def memory(what: str) -> int:
    """Return kilobytes of this process: `VmRSS` now, `VmHWM` at its peak (`getrusage` counts the parent's too)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(what))


def measure(contender: Any, runner: asyncio.Runner, core: int | None, request: dict[str, Any]) -> dict[str, Any]:
    """Run a loop once."""
    gc.collect()
    before = memory("VmRSS")
    books, meter = Core(core), Meter()
    count, seen = LOOPS[request["loop"]](contender, runner, **request["options"])
    taken = meter.read()
    return {
        "count": count,
        **taken,
        **seen,
        "others": books.others(taken["cpu"], taken["wall"]),
        "peak_kb": memory("VmHWM"),
        "rise_kb": memory("VmHWM") - before,
    }


def main(name: str, core: str, place: str, out: TextIO) -> None:
    """Answer requests until the input ends."""
    if core != "-":
        os.sched_setaffinity(0, {int(core)})
    contender = CONTENDERS[name](Place(**json.loads(place)))
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            try:
                reading = measure(contender, runner, None if core == "-" else int(core), json.loads(line))
            except Exception:
                reading = {"error": traceback.format_exc(limit=-4)}
            out.write(json.dumps(reading) + "\n")
            out.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:  # what libraries print goes elsewhere
        os.dup2(2, 1)
        _, contender, core, place = sys.argv
        main(contender, core, place, answers)
