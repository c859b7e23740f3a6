"""A folded stream says what the whole answer says, however it is cut; pure."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from tests.langchain.chatting import MODEL, whole
from wx_integrations.core.wire.chat import Chunk, Completion
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
        chunks += list(fold.feed(Chunk.model_validate(frame)))
    end = {"id": "1", "model_id": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    chunks += [*fold.feed(Chunk.model_validate(end)), *fold.finish()]
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
