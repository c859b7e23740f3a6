"""Embeddings as NumPy matrices, read one vector at a time.

No JSON decoder at hand writes into an array, so the numbers become Python
floats on the way; but only those of one vector exist at a time, a tenth of
the memory of lists.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from pydantic_core import from_json

from wx_integrations.core.calls import Call
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.vectors import Vectors, vectors_of

_VECTOR = re.compile(rb'"embedding"\s*:\s*(\[[^\]]*\])')
"""A vector in its place; inside a JSON string the quotes would be escaped, so no text can look like it."""


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


def as_matrix(call: Call[Any]) -> Call[Vectors]:
    """Return an embeddings call whose answer is read into a matrix."""
    np = numpy()
    fields = {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}
    return Call(**{**fields, "parse": lambda content: read_matrix(content, np)})


def read_matrix(content: bytes, np: Any) -> Vectors:
    """Read an answer of the service or of the Model Gateway; its rows share one matrix.

    Raises:
        ValueError: it does not fit, or the vectors are not equally long.
    """
    spans = [match.span(1) for match in _VECTOR.finditer(content)]
    rest: list[bytes] = []
    end = 0
    for place, (start, stop) in enumerate(spans):
        rest += (content[end:start], b"[%d]" % place)
        end = stop
    answer = vectors_of(from_json(b"".join([*rest, content[end:]]), allow_inf_nan=False))
    if len(answer.rows) != len(spans):
        raise ValueError("the embeddings are not where they should be")
    matrix = None
    for row, (place,) in enumerate(answer.rows):
        start, stop = spans[int(place)]
        vector = from_json(content[start:stop], allow_inf_nan=False)
        if matrix is None:
            matrix = np.empty((len(spans), len(vector)), dtype=np.float32)
        if len(vector) != matrix.shape[1]:
            raise ValueError("the embeddings are not equally long")
        try:
            matrix[row] = vector
        except TypeError:
            raise ValueError(f"embedding {row} holds something else than numbers") from None
    return Vectors([] if matrix is None else list(matrix), answer.input_token_count)
