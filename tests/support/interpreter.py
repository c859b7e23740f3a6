"""Scripts in an interpreter of their own, with every warning an error; what it says at its end is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.server import Server

ROOT = Path(__file__).parents[2]

PROLOGUE = """
import asyncio, gc, logging, os, pickle, sys, threading
logging.getLogger("asyncio").setLevel(logging.ERROR)  # it tells of slow steps, which a busy machine has
URL = os.environ["WATSONX_URL"]
def sockets():
    gc.collect()
    import stat
    found = 0
    for fd in range(3, 1024):
        try:
            found += stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            pass
    return found
def together(count, work):
    barrier = threading.Barrier(count)
    def one():
        barrier.wait()
        work()
    threads = [threading.Thread(target=one) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def run(server: Server, imports: str, script: str, **environ: str) -> str:
    """Run a script in an interpreter of its own; return what it prints, and refuse what it says on stderr.

    Args:
        server: where WATSONX_URL points.
        imports: what is imported before warnings become errors: those of imports are not ours to mend.
        script: the rest.
        **environ: further variables.
    """
    warn = "import warnings; warnings.simplefilter('error')\n"
    code = PROLOGUE + textwrap.dedent(imports) + warn + textwrap.dedent(script)
    path = environ.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "WATSONX_URL": server.url,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path))),
            "PYTHONWARNINGS": "ignore" if "langchain" in imports or "llamaindex" in imports else "error",
            **environ,
        },
        check=False,
    )
    if done.stderr or done.returncode:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
