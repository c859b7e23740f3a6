"""Whatever the pure modules of the LlamaIndex room are given, they hold: right values or the package's own errors."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from tests.fuzz.test_pure_core import JSON
from tests.fuzz.test_pure_langchain import COMPLETIONS, FUNCTIONS, MESSAGES
from tests.fuzz.trying import tried
from wx_integrations.core.wire.chat import Completion
from wx_integrations.core.wire.frames import Chunk
from wx_integrations.llamaindex import answers, logprobs, parameters, tools
from wx_integrations.llamaindex.messages import to_wire

BLOCKS = st.one_of(
    st.builds(TextBlock, text=st.text(max_size=12)),
    st.builds(ThinkingBlock, content=st.text(max_size=6) | st.none()),
    st.builds(ImageBlock, url=st.sampled_from(["data:image/png;base64,AAAA", "https://x.example/a.png", "ftp://x"])),
    st.builds(ImageBlock, image=st.just(b"\\x89PNG\\r\\n\\x1a\\n")),
    st.builds(AudioBlock, audio=st.just(b"UklGRg=="), format=st.sampled_from(["wav", "mp3", "x", None])),
    st.builds(DocumentBlock, data=st.just(b"x"), document_mimetype=st.just("text/plain")),
    st.builds(
        ToolCallBlock,
        tool_call_id=st.text(max_size=4) | st.none(),
        tool_name=st.text(max_size=4),
        tool_kwargs=st.dictionaries(st.text(max_size=4), JSON, max_size=2) | st.text(max_size=8),
    ),
)
HISTORY = st.lists(
    st.builds(
        ChatMessage,
        role=st.sampled_from(MessageRole),
        blocks=st.lists(BLOCKS, max_size=3),
        additional_kwargs=st.dictionaries(
            st.sampled_from(["tool_call_id", "name", "tool_calls", "x"]), JSON, max_size=2
        ),
    ),
    min_size=1,
    max_size=3,
)


@given(HISTORY, st.booleans())
def test_any_messages_go_out_whole_or_are_refused(history: list[ChatMessage], gateway: bool) -> None:
    sent = tried(lambda: to_wire(history, {}, gateway=gateway))
    if sent is None:
        return
    text = json.dumps([message.to_wire() for message in sent], ensure_ascii=False)
    for message in history:
        for block in message.blocks:
            if isinstance(block, TextBlock):
                assert json.dumps(block.text, ensure_ascii=False)[1:-1] in text
            if isinstance(block, ToolCallBlock):
                assert json.dumps(block.tool_name, ensure_ascii=False) in text


# --------------------------------------------------------------------------- answers


@given(COMPLETIONS)
def test_any_answer_says_all_that_it_says(data: dict[str, Any]) -> None:
    response = tried(lambda: answers.from_completion(Completion.model_validate(data)))
    if response is None:
        return
    first = min(data["choices"], key=lambda choice: choice["index"])
    said = first.get("message", {}).get("content") or ""
    assert (response.message.content or "").endswith(said) or "<" in said or first["message"].get("refusal")


FRAMES = st.lists(
    st.fixed_dictionaries(
        {
            "choices": st.lists(
                st.fixed_dictionaries(
                    {"index": st.just(0)},
                    optional={"delta": MESSAGES, "finish_reason": st.sampled_from(["stop", "length", None])},
                ),
                max_size=1,
            )
        },
        optional={"usage": st.just({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})},
    ),
    max_size=5,
)


@given(FRAMES, st.booleans())
def test_any_stream_adds_up(frames: list[dict[str, Any]], single_call: bool) -> None:
    whole = "".join(choice.get("delta", {}).get("content") or "" for frame in frames for choice in frame["choices"])

    def fold() -> str:
        folding, shown = answers.Fold(single_call=single_call), ""
        for frame in frames:
            shown += folding.feed(cast(Chunk, frame)).delta or ""
        last = folding.end()
        return shown + ((last.delta or "") if last else "")

    shown = tried(fold)
    assert shown is None or shown == whole or "<" in whole


@given(
    JSON
    | st.fixed_dictionaries(
        {
            "content": JSON
            | st.lists(st.dictionaries(st.sampled_from(["token", "logprob", "top_logprobs", "bytes"]), JSON))
        }
    )
)
def test_any_log_probabilities_are_read_or_refused(data: Any) -> None:
    for read in (logprobs.of_chat, lambda data: logprobs.of_generation((data or {}).get("content"))):
        if not isinstance(data, dict | None):
            continue
        if read is not logprobs.of_chat and not _objects((data or {}).get("content")):
            continue  # the wire shape has refused it before
        found = tried(lambda read=read: read(data))  # type: ignore[misc]
        assert found is None or all(found)


def _objects(content: Any) -> bool:
    return content is None or (isinstance(content, list) and all(isinstance(item, dict) for item in content))


# --------------------------------------------------------------------------- requests


@given(st.lists(st.dictionaries(st.sampled_from(sorted(parameters.known_names())), JSON, max_size=4), max_size=2))
def test_any_parameters_are_sent_or_refused(layers: list[dict[str, Any]]) -> None:
    for build in (parameters.for_chat, parameters.for_generation, parameters.limit):
        built: Any = tried(lambda build=build: build(*layers))  # type: ignore[misc]
        assert isinstance(built, dict | int | None)


@given(FUNCTIONS)
def test_any_dictionary_is_a_tool_or_refused(tool: dict[str, Any]) -> None:
    made = tried(lambda: tools.to_wire([tool]))
    assert made is None or made[0].function.name


@given(
    st.lists(
        st.builds(
            ToolCallBlock,
            tool_name=st.text(max_size=4),
            tool_kwargs=st.text(max_size=12)
            | st.dictionaries(st.text(max_size=3), JSON)
            | st.just('{"a": [1, {"b": "'),
        ),
        max_size=2,
    ),
    st.booleans(),
)
@example([ToolCallBlock(tool_name="f", tool_kwargs='{"a":' * 5000)], True)
@example([ToolCallBlock(tool_name="f", tool_kwargs="[" * 5000)], True)
def test_any_calls_are_selected_or_refused(calls: list[ToolCallBlock], in_progress: bool) -> None:
    told = {answers.IN_PROGRESS: True} if in_progress else {}
    response = ChatResponse(message=ChatMessage(role="assistant", blocks=calls), additional_kwargs=told)
    found = tried(lambda: tools.selections(response, error_on_no_tool_call=False))
    if found is None:
        assert not in_progress or not all(call.tool_name for call in calls)
        return
    assert [one.tool_name for one in found] == [call.tool_name for call in calls]
    if not calls:
        with pytest.raises(ValueError, match="at least one"):
            tools.selections(response, error_on_no_tool_call=True)
