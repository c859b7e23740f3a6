"""Every notebook runs from top to bottom against the emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.server import LocalServer

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Jupyter's own
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def emulated_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WATSONX_")]:
        monkeypatch.delenv(name)
    with LocalServer(Emulator()) as server:
        monkeypatch.setenv("WATSONX_URL", server.url)
        monkeypatch.setenv("WATSONX_API_KEY", "any")
        monkeypatch.setenv("WATSONX_PROJECT_ID", "63dc4cf1-252f-424b-b52d-5cdd9814987f")
        yield


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, emulated_environment: None) -> None:
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert outputs
    assert all(outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_its_outputs_and_no_machine(path: Path) -> None:
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    text = path.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/home/", "/root/", "/work/", "/tmp/", "Traceback"))
