"""Coverage-guided fuzzing with atheris: `python -m tests.fuzz.guided events --seconds 300`.

Needs the dependency group `fuzz`. Begins with the kept corpus, adds what it
finds and keeps what is needed for the same coverage. A sample that fails is
printed; add it to the corpus once it is mended.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz import corpus

TARGETS = ("events", "arguments")
INSIDE = "--inside"
"""First argument of the process that fuzzes, as atheris never gives control back."""
LONGEST = 400
"""Bytes of a sample."""
RUNNER = """#!/bin/sh
exec {python} -m tests.fuzz.guided --inside {target} "$0" "$@"
"""
"""What libFuzzer starts again when it merges."""


def main() -> int:
    """Fuzz a target and keep what it found; the exit code says whether something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long to look")
    parser.add_argument("--seed", type=int, default=0, help="of the dice; 0 for another each time")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder, least = Path(temporary, "all"), Path(temporary, "least")
        folder.mkdir()
        least.mkdir()
        for number, sample in enumerate(corpus.load(given.target)):
            (folder / f"kept-{number}").write_bytes(sample)
        runner = Path(temporary, "runner")
        runner.write_text(RUNNER.format(python=shlex.quote(sys.executable), target=given.target))
        runner.chmod(0o700)
        options = [f"-max_total_time={given.seconds}", f"-seed={given.seed}", f"-artifact_prefix={temporary}/failed-"]
        found = _fuzz(runner, *options, "-print_final_stats=1", str(folder))
        failed = sorted(Path(temporary).glob("failed-*"))
        for path in failed:
            sys.stdout.write(f"failed: {path.read_bytes()!r}\n")
        if failed or found.returncode:
            sys.stdout.write(found.stderr[-5000:])
            return 1
        merged = _fuzz(runner, "-merge=1", str(least), str(folder))
        merged.check_returncode()
        corpus.save(given.target, (path.read_bytes() for path in least.iterdir()))
    for name in ("number_of_executed_units", "average_exec_per_sec", "peak_rss_mb"):
        sys.stdout.write(f"{name:<26}{_figure(name, found.stderr)}\n")
    sys.stdout.write(f"{'samples kept':<26}{len(corpus.load(given.target))}\n")
    return 0


def _fuzz(runner: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(runner), f"-max_len={LONGEST}", *options]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)


def _figure(name: str, log: str) -> str:
    found = re.findall(rf"stat::{name}:\s*(\d+)", log)
    return found[-1] if found else "?"


def _inside(target: str, *command: str) -> None:
    """Become libFuzzer, under the name of the runner."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["wx_integrations"]):
        targets: Any = importlib.import_module("tests.fuzz.targets")
    atheris.Setup(list(command), targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [INSIDE]:
        _inside(*sys.argv[2:])
    sys.exit(main())
