"""RAGQuery: the pieces of documents that are nearest to a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wx_integrations.emulator.tools.card import Bench, Input, ToolCard, ToolFailed, check_config, text_of
from wx_integrations.emulator.tools.vector_index import VectorIndex

_SCHEMA = {
    "title": "config schema for RAGQuery tool",
    "type": "object",
    "properties": {
        "vectorIndexId": {"title": "Vector index identifier", "type": "string"},
        "projectId": {"title": "Project identifier", "type": "string"},
        "spaceId": {"title": "Space identifier", "type": "string"},
    },
    "required": ["vectorIndexId"],
    "oneOf": [{"required": ["projectId"]}, {"required": ["spaceId"]}],
}
"""As in the API reference."""

_SETTINGS = ("vectorIndexId", "vectorIndexIds", "projectId", "spaceId")


@dataclass(frozen=True)
class RAGQuery:
    """Searches vector indexes.

    Attributes:
        indexes: by the id that the settings name.
        pieces: how many pieces come back for each index.
    """

    indexes: Mapping[str, VectorIndex] = field(default_factory=dict)
    pieces: int = 5

    @property
    def card(self) -> ToolCard:
        """How the list shows it; the instruction names what the documents are about."""
        told = "Search information in documents to provide context to a user query."
        about = " and ".join(index.about for index in self.indexes.values())
        useful = f" Useful when asked to ground the answer in specific knowledge about {about}." if about else ""
        return ToolCard("RAGQuery", "Search the documents in a vector index.", told + useful, config_schema=_SCHEMA)

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Return the nearest pieces, parted by blank lines."""
        check_config(config, _SETTINGS)
        question = text_of(input, "input", "query")
        if ("projectId" in config) == ("spaceId" in config):
            raise ToolFailed("config must have one of projectId and spaceId")
        found = [
            piece.text
            for name in _names(config)
            for piece in self._index(name).search(question, bench.brain, self.pieces)
        ]
        return "\n\n".join(found)

    def _index(self, name: str) -> VectorIndex:
        if name not in self.indexes:
            known = f"there are {', '.join(self.indexes)}" if self.indexes else "the emulator was given none"
            raise ToolFailed(f"there is no vector index {name!r}; {known}")
        return self.indexes[name]


def _names(config: Mapping[str, Any]) -> list[str]:
    given = [config[name] for name in ("vectorIndexId", "vectorIndexIds") if name in config]
    if len(given) != 1:
        raise ToolFailed("config must have vectorIndexId (or vectorIndexIds)")
    names = [given[0]] if isinstance(given[0], str) else given[0]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ToolFailed("config.vectorIndexId must be a text, config.vectorIndexIds a list of them")
    return names
