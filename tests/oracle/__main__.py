"""Compares our traffic with that of other clients: `WX_ORACLE_PYTHON=<python> python -m tests.oracle [--write]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.oracle import recording
from tests.oracle.comparison import unused
from tests.oracle.report import figures, render

REPORT = Path(__file__).with_name("TRAFFIC.md")


def main() -> int:
    """Print the figures; the exit code says whether a difference has no reason, or the report is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    given = parser.parse_args()
    console = Console(soft_wrap=True, markup=False, highlight=False)
    if not recording.has_witnesses():
        parser.error("this Python has no witnesses: set WX_ORACLE_PYTHON to one with the dependency group `oracle`")
    evidence = recording.hear_witnesses(strict=False)
    comparisons = recording.compare_all(evidence, recording.record_ours(evidence))
    text = render(comparisons, evidence.versions)
    head, rows = figures(comparisons)
    table = Table(*(str(name) for name in head), title="Differences, each with a reason")
    for row in rows:
        table.add_row(*(str(value) for value in row))
    console.print(table)
    for comparison in comparisons:
        for call, one in comparison.unexplained:
            console.print(f"no reason: {comparison.client}: {call}: {one}")
    stale = unused(comparisons)
    for reason in stale:
        console.print(f"no difference has this reason any more: {reason}")
    bad = bool(stale) or any(comparison.unexplained for comparison in comparisons)
    if given.write and not bad:
        REPORT.write_text(text, "utf-8")
        console.print(f"written: {REPORT}")
        return 0
    if not given.write and text != REPORT.read_text("utf-8"):
        console.print(f"{REPORT.name} is not up to date; --write writes it")
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
