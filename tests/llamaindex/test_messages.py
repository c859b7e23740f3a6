"""Messages to the wire: every block is translated or refused, nothing is changed."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.llamaindex import media
from wx_integrations.llamaindex.messages import to_wire

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAV = bytes.fromhex("524946462400000057415645666d74201000000001000100401f0000803e0000020010006461746100000000")
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 16


def wire(*messages: ChatMessage, gateway: bool = False) -> list[dict[str, Any]]:
    contents = media.read(media.unread(messages))
    return [message.to_wire() for message in to_wire(messages, contents, gateway=gateway)]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --------------------------------------------------------------------------- roles and text


def test_plain_conversation() -> None:
    assert wire(
        ChatMessage(role="system", content="be brief"),
        ChatMessage(role="user", content="hi", additional_kwargs={"name": "ann"}),
        ChatMessage(role="assistant", content="hello"),
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": "hello"},
    ]


@pytest.mark.parametrize("role", [MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL])
def test_the_model_s_roles(role: MessageRole) -> None:
    assert wire(ChatMessage(role=role, content="x")) == [{"role": "assistant", "content": "x"}]


@pytest.mark.parametrize("role", [MessageRole.TOOL, MessageRole.FUNCTION])
def test_the_tool_s_roles(role: MessageRole) -> None:
    message = ChatMessage(role=role, content="4", additional_kwargs={"tool_call_id": "c1", "tool_name": "add"})
    assert wire(message) == [{"role": "tool", "content": "4", "tool_call_id": "c1"}]


def test_only_the_gateway_knows_the_developer() -> None:
    message = ChatMessage(role=MessageRole.DEVELOPER, content="x")
    assert wire(message, gateway=True) == [{"role": "developer", "content": "x"}]
    with pytest.raises(ConfigurationError, match=r"message 0 \(developer\): only the Model Gateway"):
        wire(message)


def test_several_texts_of_a_user_stay_apart() -> None:
    message = ChatMessage(role="user", blocks=[TextBlock(text="a"), TextBlock(text="b")])
    assert wire(message) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ]


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_several_texts_where_the_wire_takes_one_are_joined_as_the_framework_joins_them(role: str) -> None:
    message = ChatMessage(role=role, blocks=[TextBlock(text="a"), TextBlock(text="b")])
    assert wire(message)[0]["content"] == message.content == "a\nb"


@given(st.text())
def test_any_text_arrives_as_it_is(text: str) -> None:
    assert wire(ChatMessage(role="user", content=text))[0]["content"] == text


# --------------------------------------------------------------------------- media


def image_url(block: ImageBlock) -> dict[str, Any]:
    [part] = wire(ChatMessage(role="user", blocks=[block]))[0]["content"]
    assert part["type"] == "image_url"
    result: dict[str, Any] = part["image_url"]
    return result


def test_image_from_bytes() -> None:
    assert image_url(ImageBlock(image=PNG)) == {"url": f"data:image/png;base64,{b64(PNG)}"}


def test_image_detail() -> None:
    assert image_url(ImageBlock(image=PNG, detail="low"))["detail"] == "low"
    with pytest.raises(ConfigurationError, match="detail"):
        image_url(ImageBlock(image=PNG, detail="huge"))


@pytest.mark.parametrize("name", ["picture.png", "picture"])
def test_image_from_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PNG)
    assert image_url(ImageBlock(path=path)) == {"url": f"data:image/png;base64,{b64(PNG)}"}


def test_image_from_an_open_file_which_stays_where_it_was() -> None:
    file = BytesIO(PNG)
    file.seek(3)
    assert image_url(ImageBlock(image=file, image_mimetype="image/png"))["url"].endswith(b64(PNG))
    assert file.tell() == 3


@pytest.mark.parametrize("url", ["https://example.com/cat.png", f"data:image/png;base64,{b64(PNG)}"])
def test_an_image_s_address_is_passed_on(url: str) -> None:
    assert image_url(ImageBlock(url=url)) == {"url": url}


def test_audio_and_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4)
    message = ChatMessage(
        role="user",
        blocks=[
            TextBlock(text="what is this?"),
            AudioBlock(audio=WAV),
            AudioBlock(url=f"data:audio/mpeg;base64,{b64(b'abc')}"),
            VideoBlock(video=MP4, video_mimetype="video/mp4"),
            VideoBlock(path=path),
            VideoBlock(url=f"data:video/mp4;base64,{b64(MP4)}"),
        ],
    )
    video = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{b64(MP4)}"}}
    assert wire(message)[0]["content"] == [
        {"type": "text", "text": "what is this?"},
        {"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": b64(b"abc"), "format": "mp3"}},
        video,
        video,
        video,
    ]


def test_audio_and_video_from_open_files() -> None:
    blocks = [AudioBlock(audio=BytesIO(WAV)), VideoBlock(video=BytesIO(MP4))]
    audio, video = wire(ChatMessage(role="user", blocks=blocks))[0]["content"]
    assert audio["input_audio"] == {"data": b64(WAV), "format": "wav"}
    assert video["video_url"]["url"] == f"data:video/mp4;base64,{b64(MP4)}"


@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_a_block_of_tomorrow_is_refused(role: str) -> None:
    message = ChatMessage(role=role)
    message.blocks = ["a block this package has never seen"]  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="newer than this package"):
        wire(message)


def test_a_role_of_tomorrow_is_refused() -> None:
    message = ChatMessage(content="x").model_copy(update={"role": SimpleNamespace(value="narrator")})
    with pytest.raises(ConfigurationError, match="unknown"):
        wire(message)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (AudioBlock(url="https://example.com/a.mp3"), "takes audio as data"),
        (VideoBlock(url="https://example.com/v.mp4"), "takes video as data"),
        (AudioBlock(url="data:audio/mpeg,abc"), "not base64"),
        (AudioBlock(audio=b"\x00\x01\x02 nothing known"), "format is unknown"),
        (ImageBlock(image=b"\x00\x01\x02 nothing known"), "type is unknown"),
        (VideoBlock(video=b"\x00\x01\x02 nothing known"), "type is unknown"),
        (ImageBlock(url="ftp://example.com/cat.png"), "data URL or a web address"),
        (ImageBlock(), "image is empty"),
        (AudioBlock(), "audio is empty"),
        (VideoBlock(video=MP4, fps=3), "no fps"),
        (VideoBlock(video=MP4, detail="low"), "no detail"),
        (DocumentBlock(data=b"%PDF-1.7", title="a.pdf"), "takes no documents"),
        (CachePoint(cache_control={"type": "ephemeral"}), "no cache points"),
        (CitableBlock(title="t", source="s", content="c"), "no citable blocks"),
        (CitationBlock(cited_content="c", source="s", title="t", additional_location_info={}), "no citations"),
        (ThinkingBlock(content="hm"), "belongs to the assistant"),
        (ToolCallBlock(tool_name="f"), "belongs to the assistant"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_a_user_cannot_send_is_refused(block: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^message 1 \(user\): .*{says}") as caught:
        wire(ChatMessage(role="user", content="hi"), ChatMessage(role="user", blocks=[block]))
    assert caught.value.field == "messages"
    assert caught.value.hint or says == "image is empty"


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
@pytest.mark.parametrize("block", [ImageBlock(image=PNG), DocumentBlock(data=b"x")], ids=["image", "document"])
def test_other_roles_carry_text_only(role: str, block: Any) -> None:
    message = ChatMessage(role=role, blocks=[block], additional_kwargs={"tool_call_id": "1"})
    with pytest.raises(ConfigurationError, match=rf"message 0 \({role}\)"):
        wire(message)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    block = ImageBlock(path=path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot read the image's file"):
        wire(ChatMessage(role="user", blocks=[block]))


# --------------------------------------------------------------------------- tool calls


def test_tool_calls_and_their_results() -> None:
    history = [
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="add them"),
                TextBlock(text="one moment"),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1, "b": "ü"}),
                ToolCallBlock(tool_call_id="c2", tool_name="add", tool_kwargs='{"a": 3'),
            ],
        ),
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
    ]
    first, second = wire(*history)
    assert first["content"] == "one moment"
    assert [call["id"] for call in first["tool_calls"]] == ["c1", "c2"]
    assert json.loads(first["tool_calls"][0]["function"]["arguments"]) == {"a": 1, "b": "ü"}
    assert first["tool_calls"][1] == {
        "id": "c2",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 3'},
    }
    assert second == {"role": "tool", "content": "3", "tool_call_id": "c1"}


def test_a_message_that_only_calls_has_no_content() -> None:
    message = ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="f")])
    assert "content" not in wire(message)[0]


def test_an_empty_answer_stays_an_empty_answer() -> None:
    assert wire(ChatMessage(role="assistant", blocks=[ThinkingBlock(content="x")])) == [
        {"role": "assistant", "content": ""}
    ]


def test_a_refusal_goes_back_as_a_refusal() -> None:
    message = ChatMessage(role="assistant", additional_kwargs={"refusal": "no"})
    assert wire(message) == [{"role": "assistant", "refusal": "no"}]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ToolSelection(tool_id="c", tool_name="f", tool_kwargs={}),
    ],
)
def test_calls_kept_the_old_way_are_not_lost(call: Any) -> None:
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
    assert wire(message)[0]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def test_blocks_win_over_the_old_way() -> None:
    message = ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="new", tool_name="f")],
        additional_kwargs={"tool_calls": [{"id": "old", "function": {"name": "f", "arguments": "{}"}}]},
    )
    assert [call["id"] for call in wire(message)[0]["tool_calls"]] == ["new"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (ChatMessage(role="tool", content="3"), "which call it answers"),
        (ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="f")]), "'f' has no id"),
        (ChatMessage(role="assistant", additional_kwargs={"tool_calls": ["?"]}), "no tool call"),
        (ChatMessage(role="assistant", additional_kwargs={"function_call": {}}), "function_call"),
        (ChatMessage(role="user", blocks=[]), "no content"),
        (ChatMessage(role="system", blocks=[]), "no content"),
        (ChatMessage(role="user", content="x", additional_kwargs={"name": 3}), "name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_incomplete_messages_are_refused(message: ChatMessage, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        wire(message)


def test_a_tool_without_an_answer_answers_nothing() -> None:
    message = ChatMessage(role="tool", blocks=[], additional_kwargs={"tool_call_id": "c"})
    assert wire(message)[0]["content"] == ""


def test_no_messages() -> None:
    with pytest.raises(ConfigurationError, match="no messages"):
        to_wire([])


def test_the_caller_s_messages_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    history = [
        ChatMessage(role="user", blocks=[TextBlock(text="a"), ImageBlock(path=path)], additional_kwargs={"x": [1]}),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"a": [1]})]),
    ]
    before = [message.model_copy(deep=True) for message in history]
    wire(*history)
    assert history == before
