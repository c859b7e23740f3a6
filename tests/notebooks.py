"""Runs the notebooks, and says what is wrong with one.

```
python -m tests.notebooks                    # run all on the emulator, by rule: what the tests do
python -m tests.notebooks --write [NAME ...] # run with the real local models and keep the outputs
python -m tests.notebooks --look [NAME ...]  # only look at what is committed
```
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.server import LocalServer

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TIMEOUT = 1800
"""Seconds that a cell may take; the local models share the machine with others."""
LARGEST = 500_000
"""Bytes of a notebook with its pictures."""
_MACHINE = re.compile(r"/(?:home|root|work|Users|tmp|var|opt|mnt)/|[A-Z]:\\\\|site-packages|ipykernel_\d+")
"""What a path of the machine that ran a notebook looks like."""
_NOISE = re.compile(r"Warning|Traceback|\x1b\[")


def read(path: Path) -> Any:
    """Return a notebook."""
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]


@contextmanager
def emulated_environment() -> Iterator[dict[str, str]]:
    """Serve the emulator with the deterministic brain; gives the variables that lead to it."""
    with LocalServer(Emulator()) as server:
        yield {
            "WATSONX_URL": server.url,
            "WATSONX_API_KEY": "any",
            "WATSONX_PROJECT_ID": str(uuid.UUID(int=1)),
        }


def run(path: Path, variables: Mapping[str, str], folder: Path) -> Any:
    """Return a notebook run from top to bottom.

    Args:
        variables: the WATSONX_* variables; the process's own do not count.
        folder: where it runs, beside a copy of the data that it reads.

    Raises:
        CellExecutionError: a cell failed.
    """
    for data in FOLDER.glob("*.json"):
        shutil.copy(data, folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WATSONX_")}
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
    )
    client.execute(env={**kept, **variables})
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook: Any) -> int:
    """Return how many pictures a notebook's outputs hold."""
    return sum("image/png" in output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs)


def flaws(path: Path) -> list[str]:
    """Return what is wrong with a committed notebook, in words."""
    notebook = read(path)
    cells = code_cells(notebook)
    found = []
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("its cells were not run once each, from top to bottom")
    for number, cell in enumerate(cells, 1):
        if not cell.outputs:
            found.append(f"cell {number} shows nothing")
        for output in cell.outputs:
            text = _text_of(output)
            if output.output_type == "error":
                found.append(f"cell {number} failed: {output.ename}")
            if noise := _NOISE.search(text):
                found.append(f"cell {number} shows {noise.group()!r}")
            if place := _MACHINE.search(text):
                found.append(f"cell {number} shows a place of a machine: {place.group()!r}")
    if _MACHINE.search("".join(cell.source for cell in notebook.cells)):
        found.append("its text names a place of a machine")
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        found.append("it does not begin with a heading")
    if path.stat().st_size > LARGEST:
        found.append(f"it is larger than {LARGEST} bytes")
    return found


def _text_of(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    texts = [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(map(str, texts))


# --------------------------------------------------------------------------- from the command line


def main() -> int:
    """Run, write or look at notebooks."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks", description=__doc__.split("\n")[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="run with the real local models and keep the outputs")
    how.add_argument("--look", action="store_true", help="run nothing")
    parser.add_argument("names", nargs="*", help="how their file names begin; all by default")
    given = parser.parse_args()
    chosen = [path for path in NOTEBOOKS if not given.names or path.name.startswith(tuple(given.names))]
    bad = 0
    for path in chosen:
        began = time.monotonic()
        if given.write:
            _write(path)
        elif not given.look:
            with emulated_environment() as variables, tempfile.TemporaryDirectory() as folder:
                run(path, variables, Path(folder))
        seconds = time.monotonic() - began
        found = flaws(path)
        bad += bool(found)
        sys.stdout.write(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1000:.0f} kB\n")
        sys.stdout.writelines(f"  {flaw}\n" for flaw in found)
    return 1 if bad else 0


def _write(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        notebook = run(path, {}, Path(folder))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main())
