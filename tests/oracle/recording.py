"""Recordings of the witnesses, by the interpreter that has them, and of ours, by this one."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.oracle.comparison import Comparison, Recording
from tests.oracle.ours import OURS
from tests.oracle.recorder import KEY, Recorder
from tests.oracle.witnesses.performing import Server, perform
from wx_integrations.emulator.server import LocalServer

PYTHON = os.environ.get("WX_ORACLE_PYTHON", sys.executable)
_TIMEOUT = 900.0
"""Seconds for all calls of all witnesses; they take about one minute."""
# The folder comes last on the path, and -P keeps the repository off it: nothing here can be taken for theirs.
_PROGRAM = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module('witnesses', run_name='__main__')"


@dataclass(frozen=True)
class Evidence:
    """What the witnesses got and sent, and the versions of their packages."""

    results: dict[str, dict[str, Any]]
    versions: dict[str, str]
    recorder: Recorder

    def recording(self, client: str) -> Recording:
        """Return one client's part."""
        return Recording(client, self.results[client], self.recorder.steps)


@cache
def has_witnesses() -> bool:
    """Whether the interpreter has the clients."""
    probe = [PYTHON, "-c", "import importlib.util, sys; sys.exit(not importlib.util.find_spec('ibm_watsonx_ai'))"]
    return subprocess.run(probe, check=False, timeout=60).returncode == 0


def hear_witnesses(*, strict: bool) -> Evidence:
    """Let every installed client make its calls, in a process of its own.

    Raises:
        RuntimeError: the process failed; shows the end of what it wrote.
    """
    recorder = Recorder(strict=strict)
    with LocalServer(recorder, tls=True) as server:
        command = [PYTHON, "-P", "-c", _PROGRAM, str(Path(__file__).parent), server.url, str(server.ca_path), KEY]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(f"the witnesses failed:\n{done.stderr[-3000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Evidence(told["results"], told["versions"], recorder)


def record_ours(evidence: Evidence) -> dict[str, Recording]:
    """Let our classes make the calls of the witnesses in the same order, against the strict emulator."""
    recorder = Recorder(strict=True)
    found = {}
    with LocalServer(recorder, tls=True) as server:
        for client, theirs in evidence.results.items():
            kind = OURS[client]
            results = perform(kind(Server(server.url, str(server.ca_path), KEY)), theirs)
            found[client] = Recording(kind.family, results, recorder.steps)
        gc.collect()  # what is no longer used closes its connections while the server is there to see it
    return found


def compare_all(evidence: Evidence, ours: Mapping[str, Recording]) -> list[Comparison]:
    """Compare each witness with ours."""
    return [Comparison.of(evidence.recording(client), ours[client]) for client in evidence.results]
