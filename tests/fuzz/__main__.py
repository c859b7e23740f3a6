"""Runs a campaign and prints its figures: `python -m tests.fuzz --cases 20000 --seed 1`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.campaign import Campaign, Figures, Finding
from tests.fuzz.giants import giants, large_streams


def main() -> int:
    """Run a campaign; the exit code says whether something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="answers to make")
    parser.add_argument("--seed", type=int, default=0, help="of the dice; the same seed makes the same cases")
    parser.add_argument("--only", action="append", default=[], help="part of the names of the subjects to try")
    parser.add_argument("--large", type=int, default=0, help="bytes of large answers to try as well, such as 50000000")
    parser.add_argument("--show", type=int, default=20, help="kinds of findings to show")
    given = parser.parse_args()
    campaign = Campaign(given.seed, given.only)
    began = time.monotonic()

    def tell(number: int) -> None:
        if number and number % 1000 == 0:
            found = len(campaign.figures.findings)
            sys.stderr.write(f"{number} cases, {time.monotonic() - began:.0f} s, {found} findings\n")

    try:
        figures = campaign.run(given.cases, tell)
        for case in [*giants(given.large), *large_streams(given.large)] if given.large else []:
            campaign.try_case(case)
    finally:
        campaign.close()
    sys.stdout.write(report(figures, given.seed, time.monotonic() - began, given.show))
    return 1 if figures.findings else 0


def report(figures: Figures, seed: int, seconds: float, show: int) -> str:
    """Return the figures as text."""
    lines = [
        f"seed                 {seed}",
        f"answers              {figures.cases}",
        f"bytes                {figures.bytes}",
        f"readings             {figures.runs}",
        f"seconds              {seconds:.1f}",
    ]
    lines += [f"{name:<21}{count}" for name, count in sorted(figures.outcomes.items())]
    lines += ["errors:"] + [f"  {name:<19}{count}" for name, count in figures.errors.most_common()]
    lines += [f"slowest              {figures.slowest[0]:.3f} s of CPU: {figures.slowest[1][:300]}"]
    lines += [f"findings             {len(figures.findings)}"]
    groups: dict[str, list[Finding]] = {}
    for finding in figures.findings:
        groups.setdefault(_key(finding), []).append(finding)
    for key, found in sorted(groups.items(), key=lambda group: -len(group[1]))[:show]:
        lines += ["", f"{len(found)} x {key}, such as", str(found[0])]
    return "\n".join(lines) + "\n"


def _key(finding: Finding) -> str:
    """Return what findings of one cause have in common, as far as can be told."""
    if finding.what == "crash":
        last = [line for line in finding.detail.strip().splitlines() if line[:1].strip()][-1]
        return f"crash of {finding.subject}: {last[:100]}"
    return f"{finding.what} by {finding.subject}: {finding.detail.split(',')[0].split(' is ')[0][:60]}"


if __name__ == "__main__":
    sys.exit(main())
