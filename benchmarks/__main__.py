"""What this package costs, side by side with others.

```
python -m benchmarks                          # everything; writes RESULTS.md, results.json and plots/
python -m benchmarks --quick                  # a smoke test of everything; writes nothing
python -m benchmarks chat stream --rounds 5   # some tasks; prints, and writes nothing unless --write
python -m benchmarks chat --only ours,ibm-sdk # some contenders, by name or kind, with their floors
python -m benchmarks --list
```
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.contenders import CONTENDERS
from benchmarks.environments import SUITE, prepare
from benchmarks.fixture import running
from benchmarks.race import Race, cores
from benchmarks.readings import Readings
from benchmarks.report import table
from benchmarks.tasks import TASKS


def main() -> None:
    options = _options()
    if options.list:
        print("tasks:     ", *TASKS, "\ncontenders:", *CONTENDERS)
        return
    if unknown := [name for name in options.tasks if name not in TASKS]:
        sys.exit(f"no such task: {', '.join(unknown)}; there are {', '.join(TASKS)}")
    only = frozenset(filter(None, options.only.split(",")))
    tasks = [TASKS[name] for name in options.tasks or TASKS if not (options.quick and TASKS[name].full_only)]
    taking_part = {name for task in tasks for name in task.contenders(only)}
    prepare([SUITE, *sorted({CONTENDERS[name].environment for name in taking_part})], again=options.again)
    with running(cores()[1]) as fixture:
        race = Race(fixture, quick=options.quick, rounds=2 if options.quick else options.rounds, only=only)
        try:
            for task in tasks:
                print(table(Readings(task.name, race.run(task))), flush=True)
        finally:
            race.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = __doc__
    parser.add_argument("tasks", nargs="*", metavar="task")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after the warm-up (5)")
    parser.add_argument("--only", default="", help="contenders, by name or kind (ours, incumbent), with commas")
    parser.add_argument("--quick", action="store_true", help="two small rounds: does everything work?")
    parser.add_argument("--again", action="store_true", help="make the environments new, with the newest versions")
    parser.add_argument("--list", action="store_true", help="list tasks and contenders")
    return parser.parse_args()


if __name__ == "__main__":
    main()
