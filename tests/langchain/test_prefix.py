"""Where the text of a JSON object goes astray, however it arrives."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from wx_integrations.langchain.prefix import FAR, Prefix

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES)
JSONISH = st.lists(st.sampled_from([*'{}[]":, \\u0e1-+.tfnrue\n\x00', '"a": ', "true", "null", "12", '"b"'])).map(
    "".join
)


def astray(*pieces: str) -> int | None:
    followed = Prefix()
    for piece in pieces:
        followed.feed(piece)
    return followed.astray


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


@given(OBJECTS, st.booleans(), st.sampled_from([None, 0, 2]), st.lists(st.integers(0)))
def test_an_object_never_goes_astray(value: dict[str, Any], ascii: bool, indent: int | None, cuts: list[int]) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)
    assert astray(*in_pieces(f" {text} ", cuts)) is None


@given(JSONISH, st.lists(st.integers(0)))
def test_any_text_goes_astray_at_the_same_place_in_any_pieces(text: str, cuts: list[int]) -> None:
    assert astray(*in_pieces(text, cuts)) == astray(text) == astray(*text)


@given(JSONISH.map("{".__add__) | OBJECTS.map(json.dumps).flatmap(lambda text: st.text().map(text.__add__)))
def test_it_goes_astray_where_pydantic_says_so(text: str) -> None:
    """Up to there the text can be continued to an object, with the next character it cannot."""
    place = astray(text)
    before = text if place is None else text[:place]
    from_json(before, allow_partial="trailing-strings")
    if place is not None:
        with pytest.raises(ValueError, match=" at line "):
            from_json(text)  # a word that is none is only known by its end


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("   ", None),
        ("x", 0),
        ("[1]", 0),
        ('"text"', 0),
        ("7", 0),
        ("{}", None),
        ("{} ", None),
        ("{}x", 2),
        ("{}{}", 2),
        ('{"a" 1}', 5),
        ('{"a": 01}', 6),
        ('{"a": 1,}', 8),
        ('{"a": [1,]}', 9),
        ('{"a": tru', None),
        ('{"a": trux}', 6),
        ('{"a": "\\x"}', 8),
        ('{"a": "\\u12g4"}', 11),
        ('{"a": "\n"}', 7),
        ('{"a": 1]', 7),
        ("{'a': 1}", 1),
        ('{"a": {"b": [{}, "', None),
        ('{"' + "k" * FAR, 1 + FAR),
        ('{"' + "k" * (FAR - 10) + '": "v', None),
        ('{"a": "' + "v" * 10 * FAR, None),
    ],
)
def test_places(text: str, place: int | None) -> None:
    assert astray(text) == place
