"""A folded stream says what the whole answer says, however it is cut; pure."""

from __future__ import annotations

import itertools
import json
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from tests.langchain.chatting import MODEL, whole
from wx_integrations.core.wire.chat import Completion
from wx_integrations.core.wire.frames import Chunk
from wx_integrations.langchain.answers import Reading, to_result
from wx_integrations.langchain.fold import Fold

READING = Reading(written=("add",))
WORDS = st.lists(
    st.sampled_from(
        [
            *("<think>", "</think>", "<response>", "</response>", "<tool_call>", "</tool_call>"),
            *('{"name": "add", "arguments": {"a": 1}}', "Hello", " ", "\n", "<", "ü"),
        ]
    ),
    max_size=8,
)
CUTS = st.lists(st.integers(0, 120), max_size=8)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


def streamed(*deltas: dict[str, Any], finish: str = "stop") -> AIMessageChunk:
    fold = Fold(READING)
    chunks = []
    for delta in deltas:
        frame = {"id": "1", "model_id": MODEL, "choices": [{"index": 0, "delta": delta}]}
        chunks += list(fold.feed(cast(Chunk, frame)))
    end = {"id": "1", "model_id": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    chunks += [*fold.feed(cast(Chunk, end)), *fold.finish()]
    messages = [chunk.message for chunk in chunks]
    assert all(isinstance(message, AIMessageChunk) for message in messages)
    return whole([message for message in messages if isinstance(message, AIMessageChunk)])


def answered(message: dict[str, Any], finish: str = "stop") -> AIMessage:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    completion = Completion.model_validate({"id": "1", "model_id": MODEL, "choices": [choice]})
    [generation] = to_result(completion, READING).generations
    assert isinstance(generation.message, AIMessage)
    return generation.message


def meaning(message: AIMessage) -> tuple[Any, ...]:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    reasoning = message.additional_kwargs.get("reasoning_content", "")
    return message.content, reasoning, calls, message.response_metadata["finish_reason"]


@given(WORDS, CUTS)
def test_text_thoughts_and_written_calls(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)
    deltas = [{"content": piece} for piece in pieces(text, cuts)]
    assert meaning(streamed(*deltas)) == meaning(answered({"content": text}))


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=8), max_size=4), CUTS)
def test_arguments(arguments: dict[str, Any], cuts: list[int]) -> None:
    text = json.dumps(arguments)
    opening = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "add", "arguments": ""}}]}
    parts = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces(text, cuts)]
    message = streamed(opening, *parts, finish="tool_calls")
    assert [(call["name"], call["args"], call["id"]) for call in message.tool_calls] == [("add", arguments, "c1")]
    assert message.invalid_tool_calls == []


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), min_size=1, max_size=3), st.integers(1, 200))
def test_cut_arguments_are_never_usable(arguments: dict[str, Any], size: int) -> None:
    text = json.dumps(arguments)
    kept = text[: min(size, len(text) - 1)]
    call = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": kept}}
    message = streamed({"tool_calls": [call]}, finish="length")
    assert message.tool_calls == []
    [broken] = message.invalid_tool_calls
    assert (broken["args"] or "").startswith(kept)
    plain = answered({"tool_calls": [call]}, finish="length")
    assert plain.tool_calls == []
    assert plain.invalid_tool_calls[0]["args"] == kept


# --------------------------------------------------------------------------- broken arguments


BROKEN = {
    "no JSON": "x" * 20_000,
    "a name without end": '{"' + "k" * 20_000,
    "behind an object": '{"a": 1} ' + "x" * 20_000,
    "in the middle": '{"a": "' + "v" * 5000 + '", b: ' + "x" * 20_000,
    "spaces and no end": '{"a": 1,' + " " * 20_000,
    "deep": '{"a": ' + "[" * 20_000,
    "an endless number": '{"a": 1' + "e" * 20_000,
    "quotes": '"' * 20_001,
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("size", [37, 30_000])
def test_broken_arguments_can_be_added_up_at_any_moment(what: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain adds up what came whenever a stream breaks or is left; it must not look for an object for ever."""
    read: list[int] = []

    def loads(text: str, **options: Any) -> Any:
        read.append(len(text))
        return json.loads(text, **options)

    counting = SimpleNamespace(loads=loads, JSONDecodeError=json.JSONDecodeError)
    monkeypatch.setattr(sys.modules["langchain_core.utils.json"], "json", counting)
    fold, text = Fold(READING), BROKEN[what]
    chunks: list[AIMessageChunk] = []
    for start in range(0, len(text), size):
        function = {"name": "f" if not start else None, "arguments": text[start : start + size]}
        calls = [{"index": 0, "id": "c" if not start else None, "function": function}]
        frame = {"id": "1", "model_id": MODEL, "choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
        found = [chunk.message for chunk in fold.feed(cast(Chunk, frame))]
        chunks += [message for message in found if isinstance(message, AIMessageChunk)]
    for moment in {len(chunks), len(chunks) // 2, len(chunks) // 7 + 1}:
        before = len(read)
        added = whole(chunks[:1]) + chunks[1:moment]
        assert added.tool_call_chunks[0]["name"] == "f"
        assert sum(read[before:]) < 5000 * len(text)  # twice that and much more, if it tries character by character
    assert sum(read) < 20_000 * len(text)
    rest = [chunk.message for chunk in fold.finish()]
    final = chunks[0] + [*chunks[1:], *(message for message in rest if isinstance(message, AIMessageChunk))]
    assert isinstance(final, AIMessageChunk)
    assert final.tool_calls == []
    [broken] = final.invalid_tool_calls
    assert len(broken["args"] or "") - len(text) in range(1, 4)  # what came, and the seal


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=30), CUTS)
def test_long_arguments_that_are_right_stay_so(value: dict[str, Any], cuts: list[int]) -> None:
    text = json.dumps({"long": "y" * 300, **value})
    deltas = [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": piece}}]}
        for piece in pieces(text, [cut * 7 for cut in cuts])
    ]
    assert meaning(streamed(*deltas))[2] == [("f", json.loads(text))]
