"""An embeddings answer read straight into lists of floats.

A model object per vector, or a parse tree of the whole body, would cost a
third more time and megabytes more memory for each request under way.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from wx_integrations.core.calls import Call


@dataclass(frozen=True, slots=True)
class Vectors:
    """An answer's vectors in the order of the texts, and the tokens read.

    Attributes:
        rows: lists of floats, or the rows of a NumPy matrix.
    """

    rows: list[Any]
    input_token_count: int


def as_vectors(call: Call[Any]) -> Call[Vectors]:
    """Return an embeddings call whose answer is read into lists."""
    fields = {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}
    return Call(**{**fields, "parse": read_vectors})


def read_vectors(content: bytes) -> Vectors:
    """Read an answer of the service or of the Model Gateway.

    Raises:
        ValueError: it does not fit.
    """
    return vectors_of(from_json(content, allow_inf_nan=False))


def vectors_of(data: Any) -> Vectors:
    """Return the vectors of an answer's JSON.

    Raises:
        ValueError: it does not fit.
    """
    match data:
        case {"results": list(items)}:
            count = data.get("input_token_count", 0)
        case {"data": list(items)}:
            items, count = in_order(items), (data.get("usage") or {}).get("prompt_tokens", 0)
        case _:
            raise ValueError("there are no embeddings in it")
    try:
        rows = [item["embedding"] for item in items]
    except (TypeError, KeyError):
        raise ValueError("an item has no embedding") from None
    for place, row in enumerate(rows):
        if not isinstance(row, list):
            raise ValueError(f"embedding {place} is no list")  # noqa: TRY004 (what a parser raises)
        kinds = set(map(type, row))
        if kinds == {float}:
            continue
        if kinds - {float, int}:
            raise ValueError(f"embedding {place} holds something else than numbers")
        rows[place] = [float(number) for number in row]
    return Vectors(rows, count if isinstance(count, int) else 0)


def in_order(items: list[Any]) -> list[Any]:
    """Return the gateway's items by their index.

    Raises:
        ValueError: the indices are not 0, 1, 2, ...
    """
    try:
        items = sorted(items, key=lambda item: item["index"])
        indices = [item["index"] for item in items]
    except (TypeError, KeyError):
        raise ValueError("an item has no index") from None
    if indices != list(range(len(items))):
        raise ValueError("the embeddings' indices are not 0, 1, 2, ...")
    return items
