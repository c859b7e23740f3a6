"""Embeddings as NumPy matrices, read one vector at a time.

No JSON decoder at hand writes into an array, so the numbers become Python
floats on the way; but only those of one vector exist at a time, a tenth of
the memory of lists.
"""

from __future__ import annotations

from typing import Any

from wx_integrations.core.calls import Call
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.vectors import Vectors, read_numbers, read_outline


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
    return call._replace(parse=lambda content: read_matrix(content, np))


def read_matrix(content: bytes, np: Any) -> Vectors:
    """Read an answer of the service or of the Model Gateway; its rows share one matrix.

    Raises:
        ValueError: it does not fit, or the vectors are not equally long.
    """
    outline = read_outline(content)
    matrix = None
    for row, span in enumerate(outline.spans):
        vector = read_numbers(content, span, row)
        if matrix is None:
            matrix = np.empty((len(outline.spans), len(vector)), dtype=np.float32)
        if len(vector) != matrix.shape[1]:
            raise ValueError("the embeddings are not equally long")
        with np.errstate(over="ignore"):
            matrix[row] = vector
    if matrix is not None and not np.isfinite(matrix).all():
        raise ValueError("an embedding holds a number too large for a 32-bit float")
    return Vectors([] if matrix is None else list(matrix), outline.count)
