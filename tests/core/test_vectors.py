"""Embeddings answers read into lists and into arrays: the same numbers, and the same refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core.arrays import read_matrix
from wx_integrations.core.vectors import Vectors, read_vectors

NUMBERS = st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32) | st.integers(-5, 5)
ROWS = st.integers(1, 6).flatmap(lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), max_size=6))
Read = Callable[[bytes], Vectors]


def into_arrays(content: bytes) -> Vectors:
    return read_matrix(content, np)


@pytest.fixture(params=[read_vectors, into_arrays])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param  # type: ignore[no-any-return]


def body(rows: Any, **more: Any) -> bytes:
    items = [{"embedding": row, "input": 'a "embedding": [1] b'} for row in rows]
    return json.dumps({"model_id": "m", "results": items, "input_token_count": 7, **more}).encode()


@given(ROWS)
def test_lists_hold_every_number_as_a_float(rows: list[list[float]]) -> None:
    found = read_vectors(body(rows))
    assert found.rows == rows
    assert found.input_token_count == 7
    assert all(type(number) is float for row in found.rows for number in row)


@given(ROWS)
def test_arrays_hold_the_same_numbers(rows: list[list[float]]) -> None:
    found = into_arrays(body(rows))
    assert [row.tolist() for row in found.rows] == [[float(np.float32(number)) for number in row] for row in rows]
    assert found.input_token_count == 7


def test_the_gateways_items_go_by_their_index(read: Read) -> None:
    items = [{"object": "embedding", "index": index, "embedding": [float(index)]} for index in (2, 0, 1)]
    found = read(json.dumps({"data": items, "usage": {"prompt_tokens": 5, "total_tokens": 5}}).encode())
    assert [list(row) for row in found.rows] == [[0.0], [1.0], [2.0]]
    assert found.input_token_count == 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'{"errors":[{"code":"x","message":"y"}]}',
        b'{"results":"x"}',
        b'{"results":[{"vector":[0.5]}]}',
        b'{"results":[7]}',
        b'{"results":[{"embedding":"x"}]}',
        b'{"results":[{"embedding":["0.5"]}]}',
        b'{"results":[{"embedding":{"0":1}},{"embedding":[0.5]}]}',
        b'{"results":[{"embedding":"x"},{"embedding":[0.5]}]}',
        b'{"results":[{"vector":[0.5]}],"embedding":[0.5]}',
        b'{"results":[{"embedding":[0.5],"more":{"embedding":[0.5]}}]}',
        b'{"results":[' + b'{"embedding":[' * 50_000,
        b'{"results":[{"embedding":[1e999]}]}',
        b'{"results":[{"embedding":[null]}]}',
        b'{"results":[{"embedding":[true]}]}',
        b'{"results":[{"embedding":[[0.5]]}]}',
        b'{"results":[{"embedding":[NaN]}]}',
        b'{"results":[{"embedding":[Infinity]}]}',
        b'{"results":[{"embedding":[0.5]}',
        b'{"results":[{"embedding":[0.5,]}]}',
        b'{"data":[{"embedding":[0.5]}]}',
        b'{"data":[{"index":1,"embedding":[0.5]}]}',
        b'{"data":[{"index":0,"embedding":[0.5]},{"index":0,"embedding":[0.5]}]}',
    ],
)
def test_what_does_not_fit_is_refused(read: Read, content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(content)


def test_rows_of_different_lengths_make_no_matrix() -> None:
    with pytest.raises(ValueError, match="not equally long"):
        into_arrays(body([[0.5], [0.5, 0.25]]))
