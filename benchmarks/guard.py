"""Whether the hot paths do more work than they did: counts, not clocks.

```
python -m benchmarks.guard                     # count, compare with guard.json; 1 if something rose
python -m benchmarks.guard --portable          # without valgrind: seconds instead of minutes
python -m benchmarks.guard --commit HEAD~1     # the same of a commit
python -m benchmarks.guard --accept "reason"   # these counts are the ones to compare with from now on
```

Three counts of one call of each path of `hot_paths`:

- instructions, by `valgrind --tool=callgrind`, where it is installed: the difference between
  many calls and none, so that the start of the process does not count;
- calls of functions, Python's and C's;
- memory blocks that the answer and the garbage it made hold (`sys.getallocatedblocks`).

The interpreter that runs this is the one that is counted with; baselines are
kept for each minor version of Python, with the versions of what else counts.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, variables
from benchmarks.hot_paths import installed, times
from benchmarks.subject import subject

BASELINE = Path(__file__).parent / "guard.json"
TOLERANCE = {"instructions": 0.03, "calls": 0.01, "blocks": 0.03}
"""The rise that is no news; counts repeat to a few thousandths."""
SLACK = {"instructions": 0, "calls": 2, "blocks": 4}
"""And this much besides, for the small counts."""
COUNTED_WITH = ("httpx", "httpcore", "pydantic", "pydantic-core", "langchain-core", "llama-index-core")
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Change:
    """A count that is not what it was."""

    path: str
    what: str
    before: int
    now: int

    @property
    def share(self) -> float:
        return self.now / self.before - 1 if self.before else float("inf")

    @property
    def matters(self) -> bool:
        """Whether it is more than the tolerance, up or down."""
        return abs(self.now - self.before) > self.before * TOLERANCE[self.what] + SLACK[self.what]

    @property
    def rose(self) -> bool:
        return self.matters and self.now > self.before

    def __str__(self) -> str:
        return f"{self.path}: {self.what} {self.before:,} -> {self.now:,} ({self.share:+.1%})"


def compare(before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> list[Change]:
    """Return what both have counted."""
    return [
        Change(path, what, before[path][what], count)
        for path, counts in now.items()
        for what, count in counts.items()
        if what in before.get(path, {})
    ]


# --------------------------------------------------------------------------- counting


def count(paths: Iterable[str], *, portable: bool, root: Path = ROOT) -> Counts:
    """Count each path.

    Args:
        paths: names of `hot_paths`.
        portable: without instructions.
        root: the folder with the package.
    """
    found: Counts = {path: json.loads(_python(root, "profile", path).stdout) for path in paths}
    if not portable and shutil.which("valgrind"):
        for framework in dict.fromkeys(path.split()[0] for path in found):
            mine = [path for path in found if path.split()[0] == framework]
            for path, instructions in _instructions(root, mine).items():
                found[path]["instructions"] = instructions
    return found


def _instructions(root: Path, paths: list[str]) -> dict[str, int]:
    """Return instructions per call: a run that calls a path often less a run that calls none."""
    none = dict.fromkeys(paths, 0)
    start = _collected(root, none)
    return {path: (_collected(root, none | {path: times(path)}) - start) // times(path) for path in paths}


def _collected(root: Path, wanted: dict[str, int]) -> int:
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    told = re.search(r"Collected : (\d+)", _python(root, "run", json.dumps(wanted), under=valgrind).stderr)
    assert told, "valgrind collected nothing"
    return int(told[1])


def _python(root: Path, *arguments: str, under: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*under, sys.executable, "-m", "benchmarks.hot_paths", *arguments],
        capture_output=True,
        text=True,
        cwd=root,
        env=variables(root) | {"OPENBLAS_NUM_THREADS": "1"},  # LlamaIndex loads numpy, whose idle threads count as well
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done


# --------------------------------------------------------------------------- the baseline


def minor() -> str:
    """Return the key of this Python's baseline."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def load() -> dict[str, Any]:
    """Return all baselines, by minor version of Python."""
    baselines: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    return baselines


def accept(counts: Counts, reason: str, commit: str = "") -> None:
    """Make counts the baseline; what rose or fell goes into its log with the reason. Counts not made now stay."""
    baselines = load()
    mine = baselines.setdefault(minor(), {"log": []})
    old: Counts = mine.get("counts", {})
    changes = [str(change) for change in compare(old, counts) if change.matters]
    mine["versions"] = versions()
    mine["counts"] = {path: old.get(path, {}) | counts.get(path, {}) for path in {**old, **counts}}
    mine["log"].append({"date": time.strftime("%Y-%m-%d"), "commit": commit, "reason": reason, "changes": changes})
    BASELINE.write_text(json.dumps(baselines, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Return the versions that counts hang on."""
    found = {"python": sys.version.split()[0]}
    for name in COUNTED_WITH:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.guard", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = __doc__
    parser.add_argument("paths", nargs="*", metavar="path", help=f"of {', '.join(installed())}; all by default")
    parser.add_argument("--portable", action="store_true", help="count no instructions")
    parser.add_argument("--accept", metavar="REASON", help="keep these counts, and why")
    parser.add_argument("--commit", default="", help="count this commit, not the files as they are")
    options = parser.parse_args()
    with subject(options.commit) as counted:
        counts = count(options.paths or installed(), portable=options.portable, root=counted.root)
    baseline = load().get(minor(), {})
    print("\n".join(report(baseline, counts)))
    if options.accept:
        accept(counts, options.accept, f"{counted.commit}{' and changes' if counted.dirty else ''}")
    elif any(change.rose for change in compare(baseline.get("counts", {}), counts)):
        sys.exit('something rose: find out why, or --accept "reason"')


def report(baseline: Mapping[str, Any], counts: Counts) -> list[str]:
    """Return lines for the reader: every count, and what changed."""
    known = {(one.path, one.what): one for one in compare(baseline.get("counts", {}), counts)}
    lines = []
    for path, found in counts.items():
        for what, number in found.items():
            change = known.get((path, what))
            mark = "new" if change is None else f"{change.share:+7.2%}"
            told = "" if change is None or not change.matters else "  ROSE" if change.rose else "  fell"
            lines.append(f"{path:22} {what:13}{number:15,}  {mark}{told}")
    if (then := baseline.get("versions")) and then != (now := versions()):
        other = [
            f"{name} {then.get(name)} -> {now.get(name)}" for name in {**then, **now} if then.get(name) != now.get(name)
        ]
        lines.append(f"counted with other versions than the baseline: {', '.join(other)}")
    return lines


if __name__ == "__main__":
    main()
