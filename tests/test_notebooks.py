"""Every notebook runs from top to bottom on the emulator; the committed ones show what they did."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks import FOLDER, NOTEBOOKS, code_cells, emulated_environment, flaws, pictures, read, run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Jupyter's own
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def variables() -> Iterator[Mapping[str, str]]:
    with emulated_environment() as found:
        yield found


@each_notebook
def test_it_runs(path: Path, tmp_path: Path, variables: Mapping[str, str]) -> None:
    notebook = run(path, variables, tmp_path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)
    assert pictures(notebook) == pictures(read(path))
    assert not [cell for cell in cells if "Warning" in str(cell.outputs)]


@each_notebook
def test_it_shows_what_it_did_and_no_machine(path: Path) -> None:
    assert flaws(path) == []


def test_there_are_seven_and_pictures_where_they_explain() -> None:
    shown = {path.stem[:2]: pictures(read(path)) for path in NOTEBOOKS}
    assert sorted(shown) == [f"{number:02}" for number in range(1, 8)]
    assert min(shown[number] for number in ("01", "02", "03", "05")) >= 1


def test_a_notebooks_flaws_are_found(tmp_path: Path) -> None:
    text = (FOLDER / "01_langchain_chat.ipynb").read_text(encoding="utf-8")
    path = tmp_path / "flawed.ipynb"
    path.write_text(text.replace('"execution_count": 2', '"execution_count": 7').replace("sea", "/home/me/sea"))
    found = flaws(path)
    assert "its cells were not run once each, from top to bottom" in found
    assert [flaw for flaw in found if "a place of a machine" in flaw]


# --------------------------------------------------------------------------- what notebook 07 says of others

INCUMBENTS: Any = json.loads((FOLDER / "incumbents.json").read_text(encoding="utf-8"))
ORACLE = os.environ.get("WX_ORACLE_PYTHON")
NOT_TAKEN = {
    "ChatWatsonx": {"watsonx_client", "watsonx_model", "watsonx_model_gateway"},
    "WatsonxLLM": {"watsonx_client", "watsonx_model", "watsonx_model_gateway", "api_client"},
    "WatsonxEmbeddings": {"watsonx_client", "watsonx_embed", "watsonx_embed_gateway", "api_client"},
    "WatsonxRerank": {"watsonx_client", "watsonx_rerank", "api_client", "streaming", "validate_model"},
    "WatsonxToolkit": {"watsonx_client"},
}
"""Objects of another SDK, and two settings without a meaning for a reranker."""


@pytest.mark.parametrize("each", INCUMBENTS["classes"], ids=lambda each: f"{each['module']}.{each['name']}")
def test_our_classes_take_the_arguments_of_their_namesakes(each: Any) -> None:
    room = "langchain" if each["module"].startswith("langchain") else "llamaindex"
    ours = getattr(importlib.import_module(f"wx_integrations.{room}"), each["name"])
    assert len(each["arguments"]) > 10
    assert set(each["arguments"]) - ours.argument_names() <= NOT_TAKEN[each["name"]]


@pytest.mark.oracle
@pytest.mark.skipif(ORACLE is None, reason="set WX_ORACLE_PYTHON to a Python with the dependency group `oracle`")
def test_the_list_of_arguments_is_that_of_the_packages() -> None:
    assert ORACLE is not None
    program = Path(__file__).with_name("incumbents.py")
    done = subprocess.run([ORACLE, str(program)], capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout) == INCUMBENTS


def test_the_figures_of_the_comparison_are_those_measured() -> None:
    traffic = (Path(__file__).parent / "oracle" / "TRAFFIC.md").read_text(encoding="utf-8")
    measured = traffic.partition("## langchain-ibm\n")[2].partition("\n## ")[0]
    said = "\n".join(cell.source for cell in read(FOLDER / "07_moving_here.ipynb").cells)
    for call, row, theirs, ours in (
        ("new_chat", "building `ChatWatsonx`", "3: release, project, model list", 0),
        ("new_embeddings", "building `WatsonxEmbeddings`", "2: release, project", 0),
        ("chat", "`invoke`", "1", 1),
        ("wrong_key", "a wrong key, until the error comes", "5", 1),
    ):
        assert f"\n| {call} | {theirs[0]} | {ours} |" in measured
        assert f"\n| {row} | {theirs} | {ours} |" in said
    for name in ("InvalidCredentialsError", "CannotSetProjectOrSpace", "WMLClientError", "ApiRequestFailure"):
        assert f'`"{name}"`' in measured
        assert f"`{name}`" in said
