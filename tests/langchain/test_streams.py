"""Streams: recorded tool-call variants, what chunks add up to, reasoning, early leave."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from tests.langchain.chatting import MODEL, Caller, Stage, calls_of, frames, scripted, whole
from wx_integrations.core.errors import ConfigurationError, StreamBroken
from wx_integrations.emulator.brain import Calling, Reasoning
from wx_integrations.emulator.faults import Cut, ErrorEvent
from wx_integrations.emulator.scripted import ScriptedBrain, calling
from wx_integrations.langchain import ChatWatsonx

GOLDEN = Path(__file__).parent.parent / "golden" / "tool_streams"
TOOLS = [
    {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}}
    for name in ("sum", "sub", "get_current_time")
]
ITALY = ("get_current_time", {"country": "Italy"})
TWOS = {"firstNumber": 2, "secondNumber": 2}


@dataclass(frozen=True)
class Variant:
    """A recorded stream and what it means."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    text: str = ""
    reasoning: str | None = None
    ids: list[str] | None = None
    pieces: int = 2
    """At least so many chunks show the arguments of the first call."""
    finish: str = "tool_calls"


VARIANTS = {
    "granite-3-3-8b": Variant(
        [("sum", TWOS), ("sub", TWOS)],
        ids=["chatcmpl-tool-0a1b9ab8d9e84a1d9d2f4b6f5b0a7c11", "chatcmpl-tool-5a3c1f0e7f6b4d6e8a9b0c1d2e3f4a55"],
        pieces=1,
    ),
    "granite-4-h-small": Variant([ITALY], ids=["chatcmpl-tool-ce5a84405758488fb88eab9d50e908d5"], pieces=5),
    "llama-4-maverick": Variant([("sum", TWOS)], pieces=6),
    "mistral-large-2024": Variant([("sum", TWOS)], pieces=6),
    "mistral-large-2512": Variant([ITALY], text="I'll look up the time in Italy.", ids=["ENqBTHVxT"], pieces=1),
    "gpt-oss-120b": Variant([ITALY], reasoning="The user asks for the time in Italy. Call the tool.", pieces=5),
    "llama-3-3-70b-json-schema": Variant(text='{"name": "Ada"}', finish="stop", pieces=0),
}


def on_stage(name: str, **settings: Any) -> tuple[ChatWatsonx, Stage]:
    stage, brain = scripted()
    brain.replay((GOLDEN / f"{name}.sse").read_bytes())
    return stage.model(**settings), stage


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("name", VARIANTS)
async def test_recorded_variants_add_up(name: str, version: str, caller: Caller) -> None:
    variant = VARIANTS[name]
    model, _ = on_stage(name, output_version=version)
    chunks = await caller.stream(model.bind_tools(TOOLS), "go")
    message = whole(chunks)
    assert calls_of(message) == variant.calls
    assert message.invalid_tool_calls == []
    assert message.text == variant.text
    assert [call["id"] for call in message.tool_calls] == (
        variant.ids or [call["id"] for call in message.tool_calls if call["id"]]
    )
    assert message.response_metadata["finish_reason"] == variant.finish
    assert message.usage_metadata == {"input_tokens": 192, "output_tokens": 28, "total_tokens": 220}
    blocks = [block for block in message.content_blocks if block["type"] == "tool_call"]
    assert [(block["name"], block["args"]) for block in blocks] == variant.calls
    thoughts = [block for block in message.content_blocks if block["type"] == "reasoning"]
    assert [block["reasoning"] for block in thoughts] == ([variant.reasoning] if variant.reasoning else [])


@pytest.mark.parametrize("name", VARIANTS)
async def test_recorded_variants_show_their_pieces(name: str, caller: Caller) -> None:
    model, _ = on_stage(name)
    chunks = await caller.stream(model.bind_tools(TOOLS), "go")
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    first = [piece for piece in pieces if piece["index"] == 0]
    assert len([piece for piece in first if piece["args"]]) >= VARIANTS[name].pieces
    by_index: dict[int | None, list[Any]] = {}
    for piece in pieces:
        by_index.setdefault(piece["index"], []).append(piece)
    for opening, *rest in by_index.values():
        assert opening["id"]
        assert opening["name"]
        assert all(piece["id"] is None and piece["name"] is None for piece in rest)
    assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1
    assert [chunk.chunk_position for chunk in chunks].index("last") == len(chunks) - 1


@pytest.mark.parametrize("name", VARIANTS)
async def test_streaming_inside_invoke_gives_the_same_message(name: str, caller: Caller) -> None:
    streamed, _ = on_stage(name, streaming=True)
    plain, _ = on_stage(name)
    message = await caller.invoke(streamed.bind_tools(TOOLS), "go")
    expected = whole(await caller.stream(plain.bind_tools(TOOLS), "go"))
    assert isinstance(message, AIMessage)
    assert not isinstance(message, AIMessageChunk)
    assert (message.content, calls_of(message)) == (expected.content, calls_of(expected))


async def test_the_gateways_stream(caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay((GOLDEN / "gateway.sse").read_bytes())
    model = stage.model(model=MODEL)
    message = whole(await caller.stream(model.bind_tools(TOOLS), "go"))
    assert message.text == "Let me check."
    assert calls_of(message) == [ITALY]
    assert message.tool_calls[0]["id"] == "toolu_01A09q90qw90lq917835lq9"
    assert message.usage_metadata == {"input_tokens": 498, "output_tokens": 75, "total_tokens": 573}
    assert message.response_metadata["model_name"] == "claude-sonnet-5"
    assert stage.sent["stream"] is True
    assert stage.sent["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_parallel_calls_interleaved(version: str, caller: Caller) -> None:
    def delta(index: int, **call: Any) -> str:
        return frame({"tool_calls": [{"index": index, **call}]})

    stage, brain = scripted()
    brain.replay(
        frames(
            frame({"role": "assistant", "content": ""}),
            delta(0, id="a", function={"name": "sum", "arguments": ""}),
            delta(1, id="b", function={"name": "sub", "arguments": ""}),
            delta(0, function={"arguments": '{"x"'}),
            delta(1, function={"arguments": '{"y"'}),
            delta(1, function={"arguments": ": 2}"}),
            delta(0, function={"arguments": ": 1}"}),
            frame({}, finish="tool_calls"),
            usage(3, 4),
        )
    )
    message = whole(await caller.stream(stage.model(output_version=version).bind_tools(TOOLS), "go"))
    assert calls_of(message) == [("sum", {"x": 1}), ("sub", {"y": 2})]
    assert [call["id"] for call in message.tool_calls] == ["a", "b"]


def frame(delta: dict[str, Any] | None, *, finish: str | None = None, **top: Any) -> str:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if delta is not None:
        choice["delta"] = delta
    return json.dumps({"id": "chatcmpl-1", "model_id": MODEL, "created": 1, "choices": [choice], **top})


def usage(read: int, written: int, **further: Any) -> str:
    counts = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **further}
    return json.dumps({"id": "chatcmpl-1", "model_id": MODEL, "created": 1, "choices": [], "usage": counts})


def replaying(*data: str) -> ChatWatsonx:
    stage, brain = scripted()
    brain.replay(frames(*data))
    return stage.model()


# --------------------------------------------------------------------------- broken calls


@pytest.mark.parametrize(
    "arguments",
    ['{"a": "Par', '{"a": 1', '{"a": [1, 2', '{"a": "x\\', "{'a': 1}", '{"a": {"b": "}', "[1, 2", "not json"],
)
async def test_a_cut_call_is_never_repaired(arguments: str, caller: Caller) -> None:
    model = replaying(
        frame({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "sum", "arguments": ""}}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}),
        frame({}, finish="length"),
        usage(1, 9),
    )
    message = whole(await caller.stream(model.bind_tools(TOOLS), "go"))
    assert message.tool_calls == []
    [broken] = message.invalid_tool_calls
    assert (broken["name"], broken["id"]) == ("sum", "c1")
    assert broken["args"] is not None
    assert broken["args"].startswith(arguments)
    assert message.response_metadata["finish_reason"] == "length"


async def test_a_cut_call_stays_verbatim_when_not_streamed(caller: Caller) -> None:
    stage, brain = scripted()
    call = {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"a": "Par'}}
    said = {"role": "assistant", "tool_calls": [call]}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [{"index": 0, "message": said, "finish_reason": "length"}]})
    message = await caller.invoke(stage.model().bind_tools(TOOLS), "go")
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"] == '{"a": "Par'
    assert message.invalid_tool_calls[0]["error"]


# --------------------------------------------------------------------------- text, reasoning, usage


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_reasoning_from_either_key(key: str, caller: Caller) -> None:
    model = replaying(frame({key: "hm "}), frame({key: "yes"}), frame({"content": "Hi"}, finish="stop"), usage(1, 3))
    message = whole(await caller.stream(model, "go"))
    assert message.content == "Hi"
    assert message.additional_kwargs["reasoning_content"] == "hm yes"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


async def test_inline_thoughts_become_reasoning_while_streaming(caller: Caller) -> None:
    answer = "<think>\nfirst this</think>\n<response>Hello <b>you</b></response>"
    pieces = [answer[place : place + 3] for place in range(0, len(answer), 3)]
    model = replaying(*[frame({"content": piece}) for piece in pieces], frame({}, finish="stop"), usage(1, 3))
    chunks = await caller.stream(model, "go")
    message = whole(chunks)
    assert message.content == "Hello <b>you</b>"
    assert message.additional_kwargs["reasoning_content"] == "first this"
    assert sum("reasoning_content" in chunk.additional_kwargs for chunk in chunks) > 2


async def test_inline_thoughts_stay_text_when_switched_off(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("<think>a</think>b")
    message = whole(await caller.stream(stage.model(thinking_tags=False), "go"))
    assert message.content == "<think>a</think>b"
    assert "reasoning_content" not in message.additional_kwargs


async def test_v1_content_keeps_the_order(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(Reasoning("hm"), "Let me ", "see.", calling("sum", a=1), calling("sub", b=2))
    message = whole(await caller.stream(stage.model(output_version="v1").bind_tools(TOOLS), "go"))
    assert message.content_blocks == message.content
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call", "tool_call"]
    assert calls_of(message) == [("sum", {"a": 1}), ("sub", {"b": 2})]
    again = Stage()
    again.model().invoke([HumanMessage("x"), message, HumanMessage("y")])
    assert again.sent["messages"][1]["content"] == "Let me see."
    assert len(again.sent["messages"][1]["tool_calls"]) == 2


async def test_who_provides_it_is_said_where_langchain_reads_by_provider(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(Reasoning("hm"), "Let me ", "see.", calling("sum", a=1))
    chunks = [*await caller.stream(stage.model().bind_tools(TOOLS), "go")]
    assert chunks[0].response_metadata == {"model_provider": "watsonx", "model_name": MODEL}
    plain = [chunk for chunk in chunks if chunk.content]
    assert [chunk.content for chunk in plain] == ["Let me ", "see."]
    for chunk in chunks:
        named = chunk.model_copy(update={"response_metadata": {"model_provider": "watsonx"}})
        assert chunk.content_blocks == named.content_blocks
        assert chunk in plain or chunk.response_metadata["model_provider"] == "watsonx"
    assert whole(chunks).response_metadata["model_provider"] == "watsonx"


async def test_running_usage_counts_once(caller: Caller) -> None:
    counts = [{"prompt_tokens": 7, "completion_tokens": n, "total_tokens": 7 + n} for n in (0, 1, 2)]
    model = replaying(
        frame({"content": "a"}, usage=counts[0]),
        frame({"content": "b"}, usage=counts[1]),
        frame({"content": ""}, finish="stop", usage=counts[2]),
    )
    message = whole(await caller.stream(model, "go"))
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


async def test_usage_details(caller: Caller) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    model = replaying(frame({"content": "a"}, finish="stop"), usage(7, 5, **details))
    counts = whole(await caller.stream(model, "go")).usage_metadata
    assert counts is not None
    assert counts["input_token_details"] == {"cache_read": 4}
    assert counts["output_token_details"] == {"reasoning": 2}


@pytest.mark.parametrize("odd", [None, {}, "null"])
async def test_odd_deltas(odd: Any, caller: Caller) -> None:
    middle = frame(odd) if odd != "null" else frame({}).replace('"delta": {}', '"delta": null')
    model = replaying(frame({"content": "a"}), middle, frame({"content": None}), frame({}, finish="stop"), usage(1, 1))
    assert whole(await caller.stream(model, "go")).content == "a"


async def test_a_stream_without_finish_frame(caller: Caller) -> None:
    model = replaying(frame({"content": "a"}), usage(1, 1))
    message = whole(await caller.stream(model, "go"))
    assert message.content == "a"
    assert message.response_metadata["finish_reason"] is None


@pytest.mark.parametrize("end", ["id: 9\nevent: close\n\n", "id: 9\nevent: close\ndata: {}\n\n"])
async def test_close_events_end_a_stream(end: str, caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(frames(frame({"content": "a"}, finish="stop"), usage(1, 1)) + end)
    assert whole(await caller.stream(stage.model(), "go")).content == "a"


async def test_logprobs_of_all_frames(caller: Caller) -> None:
    stage = Stage()
    message = whole(await caller.stream(stage.model(logprobs=True, top_logprobs=2), "hello"))
    tokens = message.response_metadata["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == message.content
    assert len(tokens[0]["top_logprobs"]) == 2
    assert stage.sent["logprobs"] is True


# --------------------------------------------------------------------------- errors and leaving


async def test_an_error_event_breaks_the_stream(caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(ErrorEvent(after=2), path="text/chat_stream")
    with pytest.raises(StreamBroken, match="downstream_request_failed"):
        await caller.stream(stage.model(), "hello")


async def test_a_stream_that_stops_early_is_broken(caller: Caller) -> None:
    stage = Stage()
    stage.emulator.faults.add(Cut(after=2, how="end"), path="text/chat_stream")
    with pytest.raises(StreamBroken, match="ended before"):
        await caller.stream(stage.model(), "hello")


async def test_a_failed_finish_is_an_error(caller: Caller) -> None:
    model = replaying(frame({"content": "a"}), frame({}, finish="error"), usage(1, 1))
    with pytest.raises(StreamBroken, match="finish_reason error"):
        await caller.stream(model, "go")


def test_leaving_closes_the_answer() -> None:
    stage = Stage()
    stream = stage.model().stream("a long question with many words to echo")
    next(stream)
    entry = stage.emulator.journal.last
    states = [entry.state]
    stream.close()  # type: ignore[attr-defined]
    states.append(entry.state)
    assert states == ["open", "abandoned"]


async def test_leaving_closes_the_answer_async() -> None:
    stage = Stage()
    stream: AsyncIterator[Any] = stage.model().astream("a long question with many words to echo")
    async with aclosing(stream) as pieces:  # type: ignore[type-var]
        async for _ in pieces:
            break
    entry = stage.emulator.journal.last
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert entry.state == "abandoned"


async def test_a_cancelled_stream_is_closed() -> None:
    stage = Stage()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in stage.model().astream("many words to echo for a while"):
            begun.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert stage.emulator.journal.last.state == "abandoned"


async def test_several_answers_are_not_streamed(caller: Caller) -> None:
    stage = Stage()
    with pytest.raises(ConfigurationError, match="n is more than 1"):
        await caller.stream(stage.model(), "hello", n=2)
    assert stage.chats() == []


def test_streaming_by_default_with_several_answers_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="streaming"):
        Stage().model(streaming=True, n=2)


# --------------------------------------------------------------------------- events


@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_events_v3_carry_the_calls(caller: Caller) -> None:
    brain = ScriptedBrain()
    brain.reply(Reasoning("hm"), "Let me see.", Calling("sum", '{"a": 1}'))
    model = Stage(brain).model()
    if caller.colour == "sync":
        stream = model.stream_events("go", version="v3")
        events = list(stream)
        message = stream.output
    else:
        live = await model.astream_events("go", version="v3")
        events = [event async for event in live]
        message = await live.output
    kinds = [event["content"]["type"] for event in events if event["event"] == "content-block-finish"]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert calls_of(message) == [("sum", {"a": 1})]
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] > 0
    assert message.response_metadata["finish_reason"] == "tool_calls"


async def test_events_v2_name_the_model() -> None:
    model = Stage().model()
    events = [event async for event in model.astream_events("hello", version="v2")]
    assert events[0]["event"] == "on_chat_model_start"
    assert events[-1]["event"] == "on_chat_model_end"
    assert events[-1]["data"]["output"].response_metadata["model_name"] == MODEL
