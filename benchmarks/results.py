"""The results of a whole run: the file they are kept in, and RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import targets
from benchmarks.environments import SUITE, python, variables, versions
from benchmarks.race import NOISE, cores
from benchmarks.readings import Readings, Round
from benchmarks.report import table
from benchmarks.tasks import STARTS

HERE = Path(__file__).parent
DATA, PAGE, PLOTS = HERE / "results.json", HERE / "RESULTS.md", HERE / "plots"
NAMED = (
    *("httpx", "httpcore", "pydantic", "langchain-core", "llama-index-core", "ibm-watsonx-ai", "langchain-ibm"),
    *("llama-index-llms-ibm", "llama-index-embeddings-ibm", "llama-index-postprocessor-ibm"),
    *("langchain-openai", "openai", "litellm"),
)


class Results:
    """What a run found, task by task; saved after each, so that an interrupted run is not lost."""

    def __init__(self, facts: dict[str, Any], tasks: dict[str, list[Round]] | None = None) -> None:
        self.facts = facts
        self.tasks = tasks or {}

    def add(self, task: str, rounds: list[Round], *, save: bool) -> None:
        self.tasks[task] = rounds
        if save:
            DATA.write_text(json.dumps({"facts": self.facts, "tasks": self.tasks}, default=str))

    @classmethod
    def load(cls) -> Results:
        """Return what the last run found."""
        return cls(**json.loads(DATA.read_text()))

    @property
    def readings(self) -> dict[str, Readings]:
        return {task: Readings(task, rounds) for task, rounds in self.tasks.items()}

    def write(self) -> None:
        """Write RESULTS.md and the plots."""
        subprocess.run(
            [python(SUITE), "-m", "benchmarks.plots"], check=True, cwd=HERE.parent, env=variables(HERE.parent)
        )
        PAGE.write_text(self.page())

    def page(self) -> str:
        """Return RESULTS.md."""
        turns = [reading for rounds in self.tasks.values() for one in rounds for reading in one.values()]
        busy = sum(reading.get("others", 0) > NOISE for reading in turns)
        parts = [HEAD.format(**self.facts, starts=STARTS, turns=len(turns), busy=busy, noise=f"{NOISE:.0%}")]
        parts += ["## Targets\n", targets.table(self.readings), "## Plots\n"]
        parts += [f"![{plot.stem}](plots/{plot.name})\n" for plot in sorted(PLOTS.glob("*.png"))]
        parts += ["## Tables\n", *(table(readings) for readings in self.readings.values()), "## Versions\n"]
        parts += ["| | " + " | ".join(self.facts["versions"]) + " |", "|---" * (len(self.facts["versions"]) + 1) + "|"]
        for name in NAMED:
            found = [kind.get(name, "") for kind in self.facts["versions"].values()]
            parts.append(f"| {name} | {' | '.join(found)} |")
        return "\n".join(parts) + "\n"


HEAD = """# What it costs, side by side with others

Made by `python -m benchmarks` on {date} from commit `{commit}`{dirty}: {rounds} rounds, {starts} of
starting programs, {minutes} minutes. {machine}; {system}; Python {python}.

How to read it: every contender runs in its own process, pinned to one core, the service on another; each round runs
all of them next to each other in rotating order; a ratio is taken inside a round, and the median of the rounds is
given, with [least..most]. Nothing is subtracted. A turn during which others used more than {noise} of the core was
repeated, a few times at most, and the quietest kept; {busy} of {turns} turns stayed above that. **raw** is `httpx` as
documented (`json=`, `.json()`, `iter_lines()`); the **floor** is raw plus a no-op model of the framework. Absolute
times are medians of one machine and serve to compare the rows of a table.
"""


def facts(commit: str, *, dirty: bool, rounds: int, environments: list[str]) -> dict[str, Any]:
    """Return what a reader must know about a run."""
    model = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) // 1024**2 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    pinned = "pinned" if cores()[0] is not None else "not pinned"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "dirty": " and uncommitted changes" if dirty else "",
        "rounds": rounds,
        "minutes": 0,
        "machine": f"{os.cpu_count()} cores ({''.join(model[:1])}, {pinned}), {''.join(map(str, memory))} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: versions(name) for name in environments if name != SUITE},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
