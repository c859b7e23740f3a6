"""Programs in new processes: what an import costs, and the way to the first answer.

A program is the contender's source as it stands in its class, between lines
that read clocks; nothing of this suite is imported into it before the last
clock is read.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.answers import TEXT
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.contender import Place, names
from benchmarks.environments import python, variables
from benchmarks.worker import Core

LOOPS = ("import", "answer")

IMPORT = """
import time
started = time.perf_counter(), time.process_time()
{imports}
took = time.perf_counter() - started[0], time.process_time() - started[1]
import gc, json, sys
from pathlib import Path
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
known = sys.modules.copy()
files = [(name.split(".")[0], getattr(module, "__file__", None) or "") for name, module in known.items()]
print(json.dumps({{
    "wall": took[0], "cpu": took[1], "count": 1,
    "modules": len(known),
    "objects": len(gc.get_objects()),
    "rss_kb": int(status["VmRSS"].split()[0]),
    "packages": sorted({{name for name, file in files if "site-packages" in file}}),
}}))
"""

ANSWER = """
{given}
{imports}
import time
imported = time.process_time()
{construct}
constructed = time.process_time()
text = {call}
answered, cpu = time.monotonic(), time.process_time()
import json
from pathlib import Path
assert text == {text!r}, text
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({{
    "answered": answered, "imported": imported, "constructed": constructed, "cpu": cpu, "count": 1,
    "peak_kb": int(status["VmHWM"].split()[0]),
}}))
"""


def run(loop: str, name: str, place: Place, core: int | None, root: Path) -> dict[str, Any]:
    """Run a contender's program (`import` or `answer`) once and return what was read."""
    kind = CONTENDERS[name]
    given = "\n".join(f"{key} = {value!r}" for key, value in names(place).items())
    if loop == "import":
        program = IMPORT.format(imports=kind.imports)
    else:
        program = ANSWER.format(given=given, imports=kind.imports, construct=kind.construct, call=kind.call, text=TEXT)
    command = [python(kind.environment), "-c", program]
    environment = variables(root) | {"SSL_CERT_FILE": place.ca, "WATSONX_IAM_URL": f"{place.url}/identity/token"}
    used = _children()
    books, started = Core(core), time.monotonic()
    done = subprocess.run(
        ["taskset", "-c", str(core), *command] if core is not None and shutil.which("taskset") else command,
        capture_output=True,
        text=True,
        cwd=root,
        env=environment,
        check=False,
    )
    others = books.others(_children() - used, time.monotonic() - started)
    if done.returncode:
        return {"error": done.stderr[-2000:]}
    reading: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "answered" in reading:
        reading["wall"] = reading.pop("answered") - started
    return reading | {"others": others}


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
