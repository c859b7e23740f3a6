"""An embeddings answer read straight into lists of floats, one vector at a time.

A parse tree of the whole body would take megabytes more memory for each
request under way, and checking the numbers afterwards a fifth more time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic_core import SchemaValidator, core_schema, from_json

from wx_integrations.core.calls import Call

_KEY = b'"embedding"'
"""In front of a vector; inside a JSON string its quotes would be escaped, so no text can look like it."""
_OPEN = re.compile(rb"\s*+:\s*+\[")
_NUMBERS = SchemaValidator(core_schema.list_schema(core_schema.float_schema(strict=True, allow_inf_nan=False)))


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
    return call._replace(parse=read_vectors)


def read_vectors(content: bytes) -> Vectors:
    """Read an answer of the service or of the Model Gateway.

    Raises:
        ValueError: it does not fit.
    """
    outline = read_outline(content)
    return Vectors([read_numbers(content, span, row) for row, span in enumerate(outline.spans)], outline.count)


@dataclass(frozen=True, slots=True)
class Outline:
    """An answer without its numbers: where each text's vector is, and the tokens read."""

    spans: list[tuple[int, int]]
    count: int


def read_outline(content: bytes) -> Outline:
    """Read everything of an answer but the numbers.

    Raises:
        ValueError: it does not fit.
    """
    found: list[tuple[int, int]] = []
    rest: list[bytes] = []
    done = looked = 0
    while (key := content.find(_KEY, looked)) >= 0:
        looked = key + len(_KEY)
        opened = _OPEN.match(content, looked)
        if opened is None:
            continue
        start, stop = opened.end() - 1, content.find(b"]", looked) + 1
        if not stop:
            raise ValueError("an embedding has no end")
        rest += (content[done:start], b"[%d]" % len(found))
        found.append((start, stop))
        done = looked = stop
    places, count = places_of(from_json(b"".join([*rest, content[done:]])))
    if set(map(type, places)) - {int} or sorted(places) != list(range(len(found))):
        raise ValueError("the embeddings are not where they should be")
    return Outline([found[place] for place in places], count)


def places_of(data: Any) -> tuple[list[int], int]:
    """Return which of the vectors belongs to each text, and the tokens read.

    Raises:
        ValueError: the answer does not fit.
    """
    match data:
        case {"results": list(items)}:
            count = data.get("input_token_count", 0)
        case {"data": list(items), "usage": {**usage}}:
            items, count = in_order(items), usage.get("prompt_tokens", 0)
        case {"data": list(items)} if data.get("usage") is None:
            items, count = in_order(items), 0
        case _:
            raise ValueError("there are no embeddings in it")
    if type(count) is not int:
        raise ValueError("the number of tokens is none")
    try:
        return [place for (place,) in (item["embedding"] for item in items)], count
    except (TypeError, KeyError, ValueError):
        raise ValueError("an item has no embedding") from None


def read_numbers(content: bytes, span: tuple[int, int], row: int) -> list[float]:
    """Return the floats of one vector.

    Raises:
        ValueError: something in it is no number that a float can hold.
    """
    try:
        numbers: list[float] = _NUMBERS.validate_json(content[span[0] : span[1]])
    except ValueError:
        raise ValueError(f"embedding {row} holds something else than numbers that a float can hold") from None
    return numbers


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
    if set(map(type, indices)) - {int} or indices != list(range(len(items))):
        raise ValueError("the embeddings' indices are not 0, 1, 2, ...")
    return items
