"""RAGQuery: indexes from folders, and what they find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator.lab import PLATFORM, PROJECT, Lab
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.tools.toolbox import Toolbox
from wx_integrations.emulator.tools.vector_index import VectorIndex, cut

BASE = "/wx/v1-beta/utility_agent_tools"


def body_of(reply: Reply) -> Any:
    """Return the JSON of a reply, whatever its status."""
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "geology"
    (root / "more").mkdir(parents=True)
    (root / "granite.md").write_text("Granite is an igneous rock.\n\nIt cools slowly underground.")
    (root / "more" / "basalt.txt").write_text("Basalt is a volcanic rock that cools fast at the surface.")
    (root / "more" / "page.html").write_text("<h1>Marble</h1><script>no()</script><p>Marble was limestone once.</p>")
    (root / "picture.png").write_bytes(b"\x89PNG")
    return root


def test_an_index_of_a_folder(folder: Path) -> None:
    brain = DeterministicBrain()
    index = VectorIndex.from_folder(folder, brain)
    assert [piece.source for piece in index.pieces] == ["granite.md", "more/basalt.txt", "more/page.html"]
    assert index.about == "geology"
    assert index.search("volcanic basalt at the surface", brain, 1)[0].source == "more/basalt.txt"
    assert "no()" not in index.pieces[2].text
    assert "<h1>" not in index.pieces[2].text


def test_indexes_can_be_kept(folder: Path, tmp_path: Path) -> None:
    index = VectorIndex.from_folder(folder, DeterministicBrain(), about="rocks")
    index.save(tmp_path / "index.json")
    assert VectorIndex.load(tmp_path / "index.json") == index
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="no vector index"):
        VectorIndex.load(tmp_path / "other.json")


def test_folders_without_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text"):
        VectorIndex.from_folder(tmp_path, DeterministicBrain())
    with pytest.raises(ValueError, match="no embedding model"):
        VectorIndex.from_folder(tmp_path, DeterministicBrain(cards=[]))
    with pytest.raises(ValueError, match="overlap"):
        VectorIndex.from_folder(tmp_path, DeterministicBrain(), size=10, overlap=10)


def test_ragquery_over_the_wire(folder: Path) -> None:
    brain = DeterministicBrain()
    lab = Lab(brain, tools=Toolbox(indexes={"rocks": VectorIndex.from_folder(folder, brain)}))
    config = {"vectorIndexId": "rocks", "projectId": PROJECT}
    reply = lab.post(f"{BASE}/run/RAGQuery", {"input": "What is granite?", "config": config}, host=PLATFORM)
    pieces = body_of(reply)["output"].split("\n\n")
    assert pieces[0] == "Granite is an igneous rock."
    several = {"vectorIndexIds": ["rocks", "rocks"], "spaceId": "s"}
    reply = lab.post(f"{BASE}/run/RAGQuery", {"input": "What is granite?", "config": several}, host=PLATFORM)
    assert body_of(reply)["output"].count("Granite is an igneous rock.") == 2
    missing = {"vectorIndexId": "plants", "projectId": PROJECT}
    reply = lab.post(f"{BASE}/run/RAGQuery", {"input": "What?", "config": missing}, host=PLATFORM)
    assert reply.status == 400
    assert "there are rocks" in body_of(reply)["message"]


def test_the_instruction_says_what_the_documents_are_about(folder: Path) -> None:
    index = VectorIndex.from_folder(folder, DeterministicBrain(), about="rocks of all kinds")
    lab = Lab(tools=Toolbox(indexes={"rocks": index}))
    told = body_of(lab.send("GET", f"{BASE}/RAGQuery", host=PLATFORM))["agent_description"]
    assert told.endswith("specific knowledge about rocks of all kinds.")


@given(text=st.text(alphabet="ab .\n", max_size=400), size=st.integers(5, 60))
def test_pieces_are_short_and_nothing_is_lost(text: str, size: int) -> None:
    pieces = cut(text, size, 0)
    assert all(0 < len(piece) <= size for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@given(
    marks=st.lists(st.sampled_from([" ", "\n", "\n\n", ". "]), max_size=60),
    size=st.integers(20, 80),
    overlap=st.integers(1, 15),
)
def test_pieces_that_overlap_lose_no_word(marks: list[str], size: int, overlap: int) -> None:
    text = "".join(f"w{number}{mark}" for number, mark in enumerate(marks))
    pieces = cut(text, size, overlap)
    assert all(0 < len(piece) <= size for piece in pieces)
    words = [word for piece in pieces for word in piece.replace(".", " ").split()]
    assert list(dict.fromkeys(words)) == [f"w{number}" for number in range(len(marks))]
