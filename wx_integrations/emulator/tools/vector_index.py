"""A vector index that a user builds from a folder of texts, for RAGQuery."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wx_integrations.emulator.brain import Brain

TEXT_FILES = (".txt", ".md", ".rst", ".html", ".htm", ".csv", ".json", ".py")
_BATCH = 64
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)
_FORMAT = 1


@dataclass(frozen=True)
class Piece:
    """A part of a document.

    Attributes:
        source: the file it is from, relative to the folder.
    """

    text: str
    source: str
    vector: Sequence[float] = field(repr=False)


@dataclass(frozen=True)
class VectorIndex:
    """Pieces of documents and their vectors.

    Attributes:
        model_id: the embedding model, which must also embed the questions.
        about: what the documents are about, for the tool's description.
    """

    pieces: tuple[Piece, ...] = field(repr=False)
    model_id: str
    about: str = "the documents"

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        brain: Brain,
        *,
        model_id: str | None = None,
        about: str | None = None,
        size: int = 800,
        overlap: int = 100,
    ) -> VectorIndex:
        """Read the text files of a folder, cut them into pieces and embed them.

        Args:
            folder: read with the folders in it.
            brain: whose embedding model is used.
            model_id: the embedding model; the brain's first by default.
            about: what the documents are about; the folder's name by default.
            size: characters of a piece, at most.
            overlap: characters that a piece repeats of the one before it.

        Raises:
            ValueError: there is no text in the folder, or the brain has no embedding model.
        """
        if not 0 <= overlap < size:
            raise ValueError("overlap must be less than size")
        root = Path(folder)
        model = model_id or next((card.model_id for card in brain.cards if "embedding" in card.functions), None)
        if model is None:
            raise ValueError("the brain has no embedding model")
        parts = [(text, source) for source, whole in _files(root) for text in cut(whole, size, overlap)]
        if not parts:
            raise ValueError(f"no text in {root}; files that are read: {', '.join(TEXT_FILES)}")
        pieces: list[Piece] = []
        for start in range(0, len(parts), _BATCH):
            batch = parts[start : start + _BATCH]
            vectors = brain.embed(model, [text for text, _ in batch], -1).vectors
            pieces += [Piece(text, source, vector) for (text, source), vector in zip(batch, vectors, strict=True)]
        return cls(tuple(pieces), model, about or root.resolve().name)

    def search(self, question: str, brain: Brain, most: int) -> list[Piece]:
        """Return the pieces nearest to a question, the nearest first."""
        (wanted,) = brain.embed(self.model_id, [question], -1).vectors
        return sorted(self.pieces, key=lambda piece: -_nearness(wanted, piece.vector))[:most]

    def save(self, path: str | Path) -> None:
        """Write the index to a JSON file."""
        pieces = [{"text": piece.text, "source": piece.source, "vector": list(piece.vector)} for piece in self.pieces]
        data = {"format": _FORMAT, "model_id": self.model_id, "about": self.about, "pieces": pieces}
        Path(path).write_text(json.dumps(data, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> VectorIndex:
        """Read an index that `save` wrote.

        Raises:
            ValueError: the file is none.
        """
        data: Any = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError(f"{path} is no vector index of this package")
        pieces = tuple(Piece(piece["text"], piece["source"], piece["vector"]) for piece in data["pieces"])
        return cls(pieces, data["model_id"], data["about"])


def _nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors."""
    lengths = sum(a * a for a in one) * sum(b * b for b in other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths**0.5 if lengths else 0.0


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in TEXT_FILES and path.is_file():
            text = path.read_text("utf-8", "replace")
            shown = _TAGS.sub(" ", text) if path.suffix.lower() in (".html", ".htm") else text
            yield path.relative_to(root).as_posix(), shown


def cut(text: str, size: int, overlap: int) -> list[str]:
    """Return a text in pieces of at most `size` characters, cut between paragraphs, sentences or words if possible.

    Args:
        overlap: characters of the piece before that a piece repeats, up to a word's beginning.
    """
    pieces: list[str] = []
    start = end = 0
    text = text.strip()
    while end < len(text):
        end = _seam(text, start, end, min(len(text), start + size))
        pieces.append(text[start:end].strip())
        again = _word(text, end - overlap)
        start = again if overlap and start < again < end else end
    return [piece for piece in pieces if piece]


def _seam(text: str, start: int, before: int, end: int) -> int:
    """Return where to cut: in the latter half of a piece if possible, and beyond the cut before it."""
    if end == len(text):
        return end
    for mark in ("\n\n", "\n", ". ", " "):
        found = text.rfind(mark, max(start + (end - start) // 2, before), end)
        if found >= 0:
            return min(found + len(mark), end)
    return end


def _word(text: str, place: int) -> int:
    """Return where the next word begins."""
    found = re.compile(r"(?<=\s)\S").search(text, max(0, place))
    return found.start() if found else place
