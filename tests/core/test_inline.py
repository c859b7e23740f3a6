"""Thoughts and tool calls that models write into their text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core.inline import ThoughtSplitter, WrittenCall, WrittenCalls


def split(*pieces: str) -> tuple[str, str]:
    splitter = ThoughtSplitter()
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.finish()]
    return "".join(thought for thought, _ in parts), "".join(text for _, text in parts)


@pytest.mark.parametrize(
    ("answer", "thought", "text"),
    [
        ("", "", ""),
        ("Hello", "", "Hello"),
        ("  Hello", "", "  Hello"),
        ("<think>why</think>because", "why", "because"),
        ("\n<think>\nwhy\n</think>\n\nbecause", "why\n", "because"),
        ("<think>why</think><response>because</response>", "why", "because"),
        ("<think>why</think>\n<response>\nbecause</response>\n", "why", "because\n"),
        ("<think>why", "why", ""),
        ("<think>a < b</thin", "a < b</thin", ""),
        ("<thinking>no tag", "", "<thinking>no tag"),
        ("say <think>x</think>", "", "say <think>x</think>"),
        ("<think></think>", "", ""),
        ("<think>x</think><respond>", "x", "<respond>"),
        ("<thi", "", "<thi"),
        ("<think>x</think><response>half", "x", "half"),
    ],
)
def test_an_answer_is_parted_into_thought_and_text(answer: str, thought: str, text: str) -> None:
    assert split(answer) == (thought, text)
    assert split(*answer) == (thought, text)


TAGGED = st.lists(
    st.sampled_from(["<think>", "</think>", "<response>", "</response>", " ", "\n", "a", "<", "</", "think>", "x y"]),
    max_size=12,
)


@given(TAGGED, st.lists(st.integers(0, 60), max_size=8))
def test_the_cuts_do_not_matter(parts: list[str], cuts: list[int]) -> None:
    answer = "".join(parts)
    places = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    assert split(*pieces) == split(answer)


def test_plain_text_passes_at_once() -> None:
    splitter = ThoughtSplitter()
    assert splitter.feed("Hello") == ("", "Hello")
    assert splitter.passes
    assert splitter.feed(" <think>") == ("", " <think>")


# --------------------------------------------------------------------------- calls


def find(*pieces: str, names: tuple[str, ...] = ("get_time", "add")) -> tuple[str, list[WrittenCall]]:
    finder = WrittenCalls(names)
    text = ""
    calls: list[WrittenCall] = []
    for piece in pieces:
        shown, found = finder.feed(piece)
        text, calls = text + shown, calls + found
    shown, found = finder.finish()
    return text + shown, calls + found


CALL = '{"name": "get_time", "arguments": {"country": "Italy"}}'
FOUND = WrittenCall("get_time", '{"country":"Italy"}')


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        ("just text", "just text", []),
        (f"<tool_call>{CALL}</tool_call>", "", [FOUND]),
        (f"Sure. <tool_call>\n{CALL}\n</tool_call> Done.", "Sure.  Done.", [FOUND]),
        (f"<tool_call>{CALL}</tool_call><tool_call>{CALL}</tool_call>", "", [FOUND, FOUND]),
        (f"<tool_call>[{CALL}, {CALL}]", "", [FOUND, FOUND]),
        (f"<|tool_call|>[{CALL}]", "", [FOUND]),
        ('<tool_call>{"name": "add", "parameters": {"a": 1}}</tool_call>', "", [WrittenCall("add", '{"a":1}')]),
        ('<tool_call>{"name": "add"}</tool_call>', "", [WrittenCall("add", "{}")]),
        ('<tool_call>{"name": "other", "arguments": {}}</tool_call>', None, []),
        ("<tool_call>not json</tool_call>", None, []),
        ('<tool_call>{"name": "add", "arguments": {"a": ', None, []),
        ("ends with <tool_", None, []),
        ("a < b and <b>bold</b>", None, []),
    ],
)
def test_written_calls_are_found_and_the_rest_stays_text(
    answer: str, text: str | None, calls: list[WrittenCall]
) -> None:
    expected = (answer if text is None else text, calls)
    assert find(answer) == expected
    assert find(*answer) == expected
