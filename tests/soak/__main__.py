"""Runs a trial and prints its figures: `python -m tests.soak --calls 10000`."""

from __future__ import annotations

import argparse
import faulthandler
import sys

from rich.console import Console
from rich.table import Table

from tests.soak.trial import ACCOUNTS, LOOPS, TASKS, THREADS, Figures, Trial
from tests.soak.verdicts import TRIES


def main() -> int:
    """Run a trial; the exit code says whether something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.3, help="share of the requests that meet trouble")
    parser.add_argument("--seed", type=int, default=0, help="of the dice")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--patience", type=float, default=1800, help="seconds after which a hang is one")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(given.patience, exit=True)  # says where the calls are that never came back
    figures = Trial(given.calls, share=given.share, seed=given.seed, tls=not given.plain).run()
    show(figures, Console())
    return 1 if figures.wrong else 0


def show(figures: Figures, console: Console) -> None:
    """Print the figures as tables."""
    table = Table("figure", "value", title="Storm")
    struck = sum(count for name, count in figures.troubles.items() if not name.startswith("token:"))
    rows: list[tuple[str, object]] = [
        ("calls", figures.calls),
        ("accounts, threads, tasks, event loops", f"{ACCOUNTS} + 1 fickle, {THREADS}, {TASKS}, {LOOPS}"),
        ("right answers", figures.right),
        ("typed errors", sum(figures.errors.values())),
        ("cancelled by us", figures.cancelled),
        ("gave up on a busy machine", figures.late),
        ("requests", figures.requests),
        ("requests with trouble", f"{struck} ({struck / max(1, figures.requests):.1%})"),
        ("most requests of one call", f"{figures.most_requests} (policy: {TRIES}, 1 more for a token)"),
        ("attempts the service never saw", figures.unseen),
        ("token exchanges, expiries, requests", f"{figures.exchanges}, {figures.expiries}, {figures.token_requests}"),
        *((f"left: {name}", count) for name, count in figures.left.items()),
        ("seconds", f"{figures.seconds:.1f}"),
        ("wrong", len(figures.wrong)),
    ]
    for name, value in rows:
        table.add_row(name, str(value))
    console.print(table)
    kinds = Table("call", "right", "errors", title="Calls")
    for name, counts in sorted(figures.by_kind.items()):
        errors = ", ".join(f"{label} {count}" for label, count in counts.most_common() if label != "right")
        kinds.add_row(name, str(counts["right"]), errors)
    console.print(kinds)
    troubles = Table("trouble", "requests", title="Troubles")
    for name, count in sorted(figures.troubles.items()):
        troubles.add_row(name, str(count))
    console.print(troubles)
    for complaint in figures.wrong[:20]:
        console.print(complaint, markup=False)


if __name__ == "__main__":
    sys.exit(main())
