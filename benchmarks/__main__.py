"""What this package costs, side by side with others.

```
python -m benchmarks                          # everything; writes RESULTS.md, results.json and plots/
python -m benchmarks --quick                  # a smoke test of everything; writes nothing
python -m benchmarks chat stream --rounds 5   # some tasks; prints, writes nothing
python -m benchmarks chat --only ours,ibm-sdk # some contenders, by name or kind, with their floors
python -m benchmarks import answer --into     # some tasks again, at the commit of RESULTS.md, and into it
python -m benchmarks --list
```
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import targets
from benchmarks.contenders import CONTENDERS
from benchmarks.environments import SUITE, prepare
from benchmarks.fixture import running
from benchmarks.race import Race, cores
from benchmarks.readings import Readings
from benchmarks.report import table
from benchmarks.results import Results, facts
from benchmarks.subject import subject
from benchmarks.targets import missed
from benchmarks.tasks import TASKS, Task


def main() -> None:
    options = _options()
    if options.list:
        print("tasks:     ", *TASKS, "\ncontenders:", *CONTENDERS)
        return
    if options.redraw:
        Results.load().write()
        return
    if unknown := [name for name in options.tasks if name not in TASKS]:
        sys.exit(f"no such task: {', '.join(unknown)}; there are {', '.join(TASKS)}")
    only = frozenset(filter(None, options.only.split(",")))
    tasks = [TASKS[name] for name in options.tasks or TASKS if not (options.quick and TASKS[name].full_only)]
    if options.into and (only or options.quick or options.commit or not options.tasks):
        sys.exit("--into takes tasks, with all their contenders and full options, and the commit of RESULTS.md")
    whole = not (options.tasks or only or options.quick)
    kept = Results.load() if options.into else None
    needed = sorted({CONTENDERS[name].environment for task in tasks for name in task.contenders(only)})
    prepare([SUITE, *needed], again=options.again)
    revision = kept.facts["commit"] if kept else options.commit or ("HEAD" if whole else "")
    with subject(revision) as measured, running(cores()[1]) as fixture:
        rounds = 2 if options.quick else options.rounds
        turns = 1 if options.quick else options.turns
        race = Race(fixture, measured.root, quick=options.quick, rounds=rounds, turns=turns, only=only)
        known = facts(measured.commit, dirty=measured.dirty, rounds=rounds, environments=needed) if whole else {}
        results = kept or Results(known)
        try:
            _run(race, results, tasks, save=whole or options.into)
        finally:
            race.close()
    if whole or options.into:
        results.write()
    if options.check and (found := missed(results.readings)):
        sys.exit("not reached:\n" + "\n".join(found))


def _run(race: Race, results: Results, tasks: list[Task], *, save: bool) -> None:
    """Run tasks, print their tables, and keep what was read."""
    began, before = time.monotonic(), results.facts.get("minutes", 0)
    for task in tasks:
        print(f"{(time.monotonic() - began) / 60:5.1f} min {task.name}", file=sys.stderr, flush=True)
        rounds = race.run(task)
        results.facts["minutes"] = before + round((time.monotonic() - began) / 60)
        results.add(task.name, rounds, save=save)
        print(table(Readings(task.name, rounds)), flush=True)
    print(targets.table(results.readings))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = __doc__
    parser.add_argument("tasks", nargs="*", metavar="task")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds after the warm-up (5; starts of programs: 21)"
    )
    parser.add_argument("--turns", type=int, default=4, help="tries in a round while others use the core (4)")
    parser.add_argument("--only", default="", help="contenders, by name or kind (ours, incumbent), with commas")
    parser.add_argument("--quick", action="store_true", help="two small rounds: does everything work?")
    parser.add_argument("--again", action="store_true", help="make the environments new, with the newest versions")
    parser.add_argument(
        "--commit", default="", help="measure this commit (without tasks: HEAD), not the files as they are"
    )
    parser.add_argument("--check", action="store_true", help="exit with an error if a target was not reached")
    parser.add_argument("--into", action="store_true", help="put tasks into RESULTS.md, measured at its commit")
    parser.add_argument("--redraw", action="store_true", help="write RESULTS.md and plots again from results.json")
    parser.add_argument("--list", action="store_true", help="list tasks and contenders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
