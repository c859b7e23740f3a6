"""Embeddings as NumPy matrices, read one vector at a time.

No JSON decoder at hand writes into an array, so the numbers become Python
floats on the way; but only those of one vector exist at a time, a tenth of
the memory of lists.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from wx_integrations.core.calls import Call
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.text import Embeddings

_VECTOR = re.compile(rb'"embedding"\s*:\s*(\[[^\]]*\])')
"""A vector in its place; inside a JSON string the quotes would be escaped, so no text can look like it."""


@dataclass(frozen=True)
class Matrix:
    """An answer's vectors as the rows of a matrix of 32-bit floats."""

    rows: Any
    input_token_count: int


def numpy() -> Any:
    """Return NumPy.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import numpy as np
    except ImportError:
        raise ConfigurationError("arrays need NumPy", hint="pip install numpy", field="arrays") from None
    return np


def as_matrix(call: Call[Embeddings]) -> Call[Matrix]:
    """Return a call whose answer is read into a matrix."""
    np, parse = numpy(), call.parse
    fields = {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}
    return Call(**{**fields, "parse": lambda content: read_matrix(content, parse, np)})


def read_matrix(content: bytes, parse: Callable[[bytes], Embeddings], np: Any) -> Matrix:
    """Read an answer.

    Raises:
        ValueError: it does not fit, or the vectors are not equally long.
    """
    spans = [match.span(1) for match in _VECTOR.finditer(content)]
    rest, end = [], 0
    for start, stop in spans:
        rest.append(content[end:start])
        end = stop
    answer = parse(b"[]".join([*rest, content[end:]]))
    if len(answer.results) != len(spans):
        raise ValueError("the embeddings are not where they should be")
    rows = np.empty((len(spans), 0), dtype=np.float32)
    for place, (start, stop) in enumerate(spans):
        vector = from_json(content[start:stop], allow_inf_nan=False)
        if place == 0:
            rows = np.empty((len(spans), len(vector)), dtype=np.float32)
        if len(vector) != rows.shape[1]:
            raise ValueError("the embeddings are not equally long")
        rows[place] = vector
    return Matrix(rows, answer.input_token_count)
