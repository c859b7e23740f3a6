"""The documents of `wx demo`: what is read of a folder, how it is cut, which passages an answer cites."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from wx_integrations.cli.rag import CHUNK_LENGTH, DOCUMENTS, cited, load, split
from wx_integrations.core.errors import ConfigurationError


def test_the_shipped_documents() -> None:
    found = load()
    names = [document.metadata["source"] for document in found.documents]
    assert names == sorted(path.name for path in DOCUMENTS.glob("*.md"))
    assert len(names) == 6
    assert (found.skipped, found.shipped) == ([], True)
    as_a_folder = load(DOCUMENTS)
    assert (as_a_folder.documents, as_a_folder.skipped, as_a_folder.shipped) == (found.documents, [], False)


def test_what_is_read_of_a_folder(tmp_path: Path) -> None:
    contents = {
        "b/notes.TXT": b"deeper",
        "a.md": "\ufeffwith a mark".encode(),
        "c.rst": "é".encode(),
        "empty.md": b" \n",
        "latin.txt": b"caf\xe9",
        "zeroes.md": b"a\0b",
        "picture.png": b"\x89PNG",
        ".hidden.md": b"no",
        ".git/notes.md": b"no",
        "LICENCE.txt": b"a text like any",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = load(tmp_path)
    assert {document.metadata["source"]: document.page_content for document in found.documents} == {
        "LICENCE.txt": "a text like any",
        "a.md": "with a mark",
        "b/notes.TXT": "deeper",
        "c.rst": "é",
    }
    assert [path.name for path in found.skipped] == ["latin.txt", "picture.png", "zeroes.md"]
    assert not found.shipped


def test_folders_without_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere does not exist$"):
        load(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"holds no text\. Put \.md, \.txt, \.rst files there, in UTF-8$"):
        load(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(ConfigurationError, match=r"holds no text; 1 other files are in it"):
        load(tmp_path)
    with pytest.raises(ConfigurationError, match=r"a\.pdf is not a folder$"):
        load(tmp_path / "a.pdf")


def test_passages_begin_with_their_headings_and_are_short() -> None:
    text = "# The fleet\n\n## MS Terna\n\n" + "She carries 142 cars. " * 30 + "\n\n## MS Alke\n\nShe is old."
    passages = split([Document(text, metadata={"source": "fleet.md"})])
    assert passages[-1].page_content == "The fleet - MS Alke: She is old."
    assert all(passage.page_content.startswith("The fleet - MS ") for passage in passages)
    assert max(len(passage.page_content) for passage in passages) <= CHUNK_LENGTH + len("The fleet - MS Terna: ")
    assert all(passage.metadata == {"source": "fleet.md"} for passage in passages)
    assert "".join(passage.page_content for passage in passages).count("142 cars") == 30


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [("It is 3 [2][1], see [2].", [2, 1]), ("[1, 3]", [1, 3]), ("[0] [4] [x]", []), ("I don't know.", [])],
)
def test_citations(answer: str, numbers: list[int]) -> None:
    assert cited(answer, [Document("p")] * 3) == numbers
