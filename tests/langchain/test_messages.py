"""Messages of LangChain on their way to the wire; pure."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import content as standard

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.langchain.content import MediaRules
from wx_integrations.langchain.messages import linked_media, to_wire

PIXEL = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PIXEL}"


def sent(message: BaseMessage, **options: Any) -> dict[str, Any]:
    [wire] = to_wire([message], **options)
    return wire.to_wire()


def parts(*blocks: Any, **options: Any) -> Any:
    return sent(HumanMessage(list(blocks)), **options)["content"]


# --------------------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("hi"), {"role": "user", "content": "hi"}),
        (HumanMessage(""), {"role": "user", "content": ""}),
        (HumanMessage("hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}),
        (HumanMessageChunk(content="hi"), {"role": "user", "content": "hi"}),
        (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
        (SystemMessage([{"type": "text", "text": "a"}, "b"]), {"role": "system", "content": "a\nb"}),
        (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
        (AIMessage(""), {"role": "assistant", "content": ""}),
        (AIMessageChunk(content="yes"), {"role": "assistant", "content": "yes"}),
        (ToolMessage("42", tool_call_id="c1"), {"role": "tool", "content": "42", "tool_call_id": "c1"}),
        (
            ToolMessage("no", tool_call_id="c1", name="add", status="error", artifact={"local": 1}),
            {"role": "tool", "content": "no", "tool_call_id": "c1"},
        ),
        (ChatMessage(content="thinking", role="control"), {"role": "control", "content": "thinking"}),
        (ChatMessage(content="hi", role="user"), {"role": "user", "content": "hi"}),
        (ChatMessage(content="hi", role="assistant"), {"role": "assistant", "content": "hi"}),
        (ChatMessage(content="hi", role="system"), {"role": "system", "content": "hi"}),
    ],
)
def test_each_message_has_one_translation(message: BaseMessage, expected: dict[str, Any]) -> None:
    assert sent(message) == expected


def test_the_developer_role_is_the_gateways() -> None:
    message = SystemMessage("be brief", additional_kwargs={"__openai_role__": "developer"})
    assert sent(message, gateway=True) == {"role": "developer", "content": "be brief"}
    with pytest.raises(ConfigurationError, match="only the Model Gateway"):
        sent(message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (FunctionMessage(content="x", name="f"), "ToolMessage"),
        (RemoveMessage(id="1"), "LangGraph"),
        (HumanMessage([]), "no content"),
        (ChatMessage(content="x", role="critic"), "role 'critic'"),
        (ChatMessage(content="x", role="developer"), "developer"),
        (ToolMessage("x", tool_call_id=""), "tool_call_id"),
    ],
)
def test_what_the_api_does_not_know_is_refused_with_its_place(message: BaseMessage, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        to_wire([HumanMessage("hi"), message])
    assert "messages[1]" in refused.value.message


# --------------------------------------------------------------------------- user content


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("plain", {"type": "text", "text": "plain"}),
        ({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "t"}),
        (standard.create_plaintext_block("body", title="T"), {"type": "text", "text": "T\nbody"}),
        (
            {"type": "text-plain", "base64": base64.b64encode("ü".encode()).decode(), "mime_type": "text/plain"},
            {"type": "text", "text": "ü"},
        ),
        ({"type": "image_url", "image_url": {"url": DATA_URL}}, {"type": "image_url", "image_url": {"url": DATA_URL}}),
        (
            {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        ),
        ({"type": "image_url", "image_url": DATA_URL}, {"type": "image_url", "image_url": {"url": DATA_URL}}),
        (
            standard.create_image_block(base64=PIXEL, mime_type="image/png"),
            {"type": "image_url", "image_url": {"url": DATA_URL}},
        ),
        ({"type": "image", "url": DATA_URL}, {"type": "image_url", "image_url": {"url": DATA_URL}}),
        (
            {"type": "image", "base64": PIXEL, "mime_type": "image/png", "extras": {"detail": "high"}},
            {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "high"}},
        ),
        (
            {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": DATA_URL}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "image_url", "image_url": {"url": DATA_URL}},
        ),
        (
            standard.create_video_block(base64="AAAA", mime_type="video/mp4"),
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            standard.create_audio_block(base64="AAAA", mime_type="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
        (
            {"type": "audio", "base64": "AAAA", "mime_type": "audio/x-wav"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (
            {"type": "audio", "url": "data:audio/wav;base64,AAAA"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        ({"type": "image_url", "data_asset": {"id": "a1"}}, {"type": "image_url", "data_asset": {"id": "a1"}}),
        ({"type": "video_url", "data_asset": {"id": "a1"}}, {"type": "video_url", "data_asset": {"id": "a1"}}),
        ({"type": "input_audio", "data_asset": {"id": "a1"}}, {"type": "input_audio", "data_asset": {"id": "a1"}}),
        ({"type": "non_standard", "value": {"type": "text", "text": "t"}}, {"type": "text", "text": "t"}),
    ],
)
def test_each_block_becomes_a_part(block: Any, expected: dict[str, Any]) -> None:
    assert parts({"type": "text", "text": "look:"}, block) == [{"type": "text", "text": "look:"}, expected]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}, "does not take files"),
        ({"type": "file", "file": {"file_id": "f"}}, "does not take files"),
        ({"type": "document", "source": {}}, "does not take files"),
        ({"type": "image", "file_id": "f1"}, "data_asset"),
        ({"type": "image", "base64": PIXEL}, "mime_type"),
        ({"type": "image"}, "neither base64 nor url"),
        ({"type": "image_url"}, "lacks its content"),
        ({"type": "image_url", "image_url": {"url": ""}}, "neither|refuse|URL"),
        ({"type": "text"}, "lacks its content"),
        ({"type": "text-plain", "mime_type": "text/plain"}, "neither text nor base64"),
        ({"type": "text-plain", "base64": "/w==", "mime_type": "text/plain"}, "not UTF-8"),
        ({"type": "tool_result", "content": "x"}, "ToolMessage"),
        ({"type": "reasoning", "reasoning": "x"}, "'reasoning'"),
        ({"type": "hologram"}, "'hologram'"),
        ({"no": "type"}, "None"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(block: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        parts(block)
    assert refused.value.field == "messages"


LINK = "https://example.com/cat.png"


def test_links_are_refused_unless_the_policy_says_otherwise() -> None:
    block = {"type": "image", "url": LINK}
    with pytest.raises(ConfigurationError, match="media_urls"):
        parts(block)
    assert parts(block, rules=MediaRules(forward=True)) == [{"type": "image_url", "image_url": {"url": LINK}}]
    fetched = MediaRules(fetched={LINK: DATA_URL})
    assert parts(block, rules=fetched) == [{"type": "image_url", "image_url": {"url": DATA_URL}}]


def test_linked_audio_cannot_be_forwarded() -> None:
    with pytest.raises(ConfigurationError, match="audio"):
        parts({"type": "audio", "url": "https://example.com/a.wav"}, rules=MediaRules(forward=True))


def test_links_are_found_once_in_order() -> None:
    messages = [
        SystemMessage("x"),
        HumanMessage(
            [
                {"type": "image", "url": LINK},
                {"type": "image_url", "image_url": {"url": "http://example.com/2"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/3"}},
                {"type": "image_url", "image_url": {"url": DATA_URL}},
                {"type": "non_standard", "value": {"type": "video_url", "video_url": "https://example.com/4"}},
                {"type": "text", "text": LINK},
            ]
        ),
        HumanMessage([{"type": "image", "url": LINK}]),
    ]
    found = [LINK, "http://example.com/2", "https://example.com/3", "https://example.com/4"]
    assert linked_media(messages) == found


# --------------------------------------------------------------------------- assistant content

CALL = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
WIRE_CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}


def test_a_call_goes_back_with_its_id() -> None:
    assert sent(AIMessage("", tool_calls=[CALL])) == {"role": "assistant", "tool_calls": [WIRE_CALL]}
    both = sent(AIMessage("Let me see.", tool_calls=[CALL]))
    assert both == {"role": "assistant", "content": "Let me see.", "tool_calls": [WIRE_CALL]}


def test_a_broken_call_goes_back_as_it_came() -> None:
    broken = {"name": "add", "args": '{"a": ', "id": "c1", "error": "cut", "type": "invalid_tool_call"}
    message = sent(AIMessage("", invalid_tool_calls=[broken]))
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": '}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}},
        {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":1}'},
    ],
)
def test_calls_as_blocks_count_once(block: dict[str, Any]) -> None:
    text = {"type": "text", "text": "Hm."}
    expected = {"role": "assistant", "content": "Hm.", "tool_calls": [WIRE_CALL]}
    assert sent(AIMessage([text, block], tool_calls=[CALL])) == expected
    assert sent(AIMessage([text, block])) == expected


def test_thoughts_stay_at_home() -> None:
    message = AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "reasoning", "reasoning": "hm"},
            {"type": "text", "text": "Hel"},
            {"type": "text", "text": "lo"},
        ],
        additional_kwargs={"reasoning_content": "hm"},
    )
    assert sent(message) == {"role": "assistant", "content": "Hello"}


def test_a_refusal_goes_back_as_one() -> None:
    assert sent(AIMessage("", additional_kwargs={"refusal": "no"})) == {"role": "assistant", "refusal": "no"}
    assert sent(AIMessage([{"type": "refusal", "refusal": "no"}])) == {"role": "assistant", "refusal": "no"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (AIMessage("", tool_calls=[{**CALL, "id": None}]), "lacks its id"),
        (AIMessage("", tool_calls=[{**CALL, "name": ""}]), "lacks its name"),
        (AIMessage("", tool_calls=[{**CALL, "args": {"a": object()}}]), "not JSON"),
        (AIMessage([{"type": "image", "base64": PIXEL, "mime_type": "image/png"}]), "text only"),
        (AIMessage([{"type": "server_tool_call", "id": "1", "name": "x", "args": {}}]), "server_tool_call"),
        (SystemMessage([{"type": "image_url", "image_url": {"url": DATA_URL}}]), "text only"),
    ],
)
def test_assistant_and_system_messages_refuse_what_they_cannot_carry(message: BaseMessage, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        sent(message)


def test_old_function_calls_in_additional_kwargs_are_understood() -> None:
    message = AIMessage("", additional_kwargs={"tool_calls": [WIRE_CALL]})
    assert sent(message)["tool_calls"][0]["id"] == "c1"


# --------------------------------------------------------------------------- properties


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_no_text_of_a_user_is_lost_or_changed(texts: list[str]) -> None:
    content = parts(*[{"type": "text", "text": text} for text in texts])
    assert [part["text"] for part in content] == texts


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_arguments_survive_the_way_back(value: Any) -> None:
    import json

    message = sent(AIMessage("", tool_calls=[{**CALL, "args": {"value": value}}]))
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"value": value}


def test_messages_are_left_as_they_were() -> None:
    messages = [
        SystemMessage([{"type": "text", "text": "s"}]),
        HumanMessage([{"type": "image", "base64": PIXEL, "mime_type": "image/png"}]),
        AIMessage([{"type": "tool_use", "id": "c1", "name": "add", "input": {}}], tool_calls=[CALL]),
        ToolMessage([{"type": "text", "text": "1"}], tool_call_id="c1"),
    ]
    before = copy.deepcopy(messages)
    to_wire(messages)
    assert messages == before
