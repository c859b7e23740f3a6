"""What fits an expectation, and how the difference reads."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.emulator.expectations import difference, distance, fits, texts_of, tool_names, unsaid

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_everything_fits_itself_and_anything(value: Any) -> None:
    assert fits(value, value)
    assert fits(ANY, value)
    assert difference(value, value) == ""
    assert distance(value, value) == 0


@given(st.dictionaries(st.sampled_from("xyz"), JSON), st.dictionaries(st.sampled_from("uvw"), JSON))
def test_further_keys_do_no_harm(expected: dict[str, Any], further: dict[str, Any]) -> None:
    assert fits(expected, {**further, **expected})


@given(JSON, JSON)
def test_there_is_a_difference_exactly_when_it_does_not_fit(expected: Any, actual: Any) -> None:
    assert (difference(expected, actual) == "") == fits(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"b": 1}),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2, 3]}}),
        ([1], []),
        (True, 1),
        (0, False),
        (re.compile("x"), "y"),
        (re.compile("x"), None),
        ({"a": 1}, [1]),
        ([{"a": 1}], [{"a": 2}]),
    ],
)
def test_what_does_not_fit(expected: Any, actual: Any) -> None:
    assert not fits(expected, actual)
    assert difference(expected, actual)


def test_patterns_are_searched_for() -> None:
    assert fits({"a": [re.compile("o w")]}, {"a": ["hello world"], "b": 1})


def test_the_difference_shows_what_was_asked_about_only() -> None:
    expected = {"temperature": 0, "messages": [{"role": "user", "content": re.compile("Rome")}], "model_id": ANY}
    sent = {"temperature": 1, "messages": [{"role": "user", "content": "Paris", "name": "a"}], "model_id": "m", "n": 1}
    assert difference(expected, sent).splitlines() == [
        "--- expected",
        "+++ sent",
        "@@ -1,10 +1,10 @@",
        " {",
        '   "messages": [',
        "     {",
        '-      "content": "<matches \'Rome\'>",',
        '+      "content": "Paris",',
        '       "role": "user"',
        "     }",
        "   ],",
        '   "model_id": "<ANY>",',
        '-  "temperature": 0',
        '+  "temperature": 1',
        " }",
    ]
    assert distance(expected, sent) == 4


def test_a_missing_key_is_said_to_be_missing() -> None:
    assert '+  "a": "(missing)"' in difference({"a": 1}, {"b": 1})


def test_the_texts_of_messages() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url"}, {"type": "text", "text": "two"}]
    body = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": parts},
            {"role": "assistant", "tool_calls": []},
            "odd",
        ]
    }
    assert list(texts_of(body, "user")) == ["one\ntwo"]
    assert list(texts_of(body, "system")) == ["s"]
    assert list(texts_of(body, "assistant")) == []
    assert list(texts_of(None, "user")) == list(texts_of({"messages": 3}, "user")) == []


def test_what_a_chat_lacks() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("b", "a")]
    body = {"messages": [{"role": "user", "content": "hello"}], "tools": tools}
    assert tool_names(body) == ["b", "a"]
    assert tool_names({}) == tool_names(None) == []
    assert unsaid(body, {"user": "ell", "system": None}, ["a", "b"]) == []
    assert unsaid(body, {"user": re.compile("^h")}, None) == []
    assert unsaid(body, {"user": "bye", "system": re.compile("be")}, []) == [
        "no user message holds 'bye'; user messages: ['hello']",
        "no system message holds 'be'; system messages: none",
        "tools offered: ['b', 'a'], expected: none",
    ]
