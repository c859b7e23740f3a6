"""Answers to responses: whole ones and folded streams, as values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from tests.llamaindex.conftest import call, chunk, completion, usage_chunk
from wx_integrations.core.wire.chat import Completion
from wx_integrations.core.wire.frames import Chunk
from wx_integrations.core.wire.text import Generation
from wx_integrations.llamaindex.answers import (
    IN_PROGRESS,
    Fold,
    chat_of,
    completion_of,
    from_completion,
)
from wx_integrations.llamaindex.generations import TextFold, from_generation
from wx_integrations.llamaindex.messages import to_wire

GOLDEN = Path(__file__).parents[1] / "golden" / "tool_streams"


def whole(body: dict[str, Any], **options: Any) -> ChatResponse:
    return from_completion(Completion.model_validate(body), **options)


def raw(response: ChatResponse | CompletionResponse) -> dict[str, Any]:
    assert isinstance(response.raw, dict)
    return response.raw


def folded(frames: list[dict[str, Any]], **options: Any) -> list[ChatResponse]:
    fold = Fold(**options)
    responses = [fold.feed(cast(Chunk, frame)) for frame in frames]
    last = fold.end()
    return [*responses, last] if last is not None else responses


# --------------------------------------------------------------------------- whole answers


def test_a_text() -> None:
    body = completion("hello")
    response = whole(body)
    assert response.message.role == MessageRole.ASSISTANT
    assert response.message.blocks == [TextBlock(text="hello")]
    assert response.raw == body
    assert response.delta is None
    assert response.logprobs is None
    assert response.additional_kwargs == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "finish_reason": "stop",
        "model": "ibm/granite-4-h-small",
    }


def test_raw_keeps_what_this_package_does_not_know() -> None:
    body = completion() | {"something_new": {"a": 1}, "system": {"warnings": [{"message": "old model", "id": "x"}]}}
    assert whole(body).raw == body


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking(name: str) -> None:
    response = whole(completion("4", **{name: "2 + 2"}))
    assert response.message.blocks == [ThinkingBlock(content="2 + 2"), TextBlock(text="4")]


def test_thinking_written_into_the_text() -> None:
    response = whole(completion("<think>2 + 2</think>\n4"))
    assert response.message.blocks == [ThinkingBlock(content="2 + 2"), TextBlock(text="4")]


def test_tool_calls() -> None:
    body = completion(
        None,
        finish_reason="tool_calls",
        tool_calls=[call("c1", "add", '{"a": 1}'), call("c2", "now", "null"), call("c3", "add", '"{\\"a\\": 2}"')],
    )
    response = whole(body)
    assert response.message.blocks == [
        ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
        ToolCallBlock(tool_call_id="c2", tool_name="now", tool_kwargs={}),
        ToolCallBlock(tool_call_id="c3", tool_name="add", tool_kwargs={"a": 2}),
    ]
    assert [kept["id"] for kept in response.message.additional_kwargs["tool_calls"]] == ["c1", "c2", "c3"]


def test_malformed_arguments_stay_as_they_came() -> None:
    response = whole(completion(None, tool_calls=[call("c1", "add", '{"a": 1')]))
    assert response.message.blocks == [ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a": 1')]


def test_the_first_call_only_when_asked() -> None:
    body = completion(None, tool_calls=[call("c1", "f", "{}"), call("c2", "f", "{}")])
    assert len(whole(body).message.blocks) == 2
    only = whole(body, single_call=True)
    assert [block.tool_call_id for block in only.message.blocks if isinstance(block, ToolCallBlock)] == ["c1"]
    assert len(only.message.additional_kwargs["tool_calls"]) == 1


def test_a_call_without_an_id_gets_one_that_goes_back() -> None:
    response = whole(completion(None, tool_calls=[call(None, "f", "{}")]))
    [block] = response.message.blocks
    assert isinstance(block, ToolCallBlock)
    assert block.tool_call_id
    [sent] = to_wire([response.message])
    assert sent.to_wire()["tool_calls"][0]["id"] == block.tool_call_id


def test_a_refusal() -> None:
    response = whole(completion(None, refusal="I will not"))
    assert response.message.additional_kwargs["refusal"] == "I will not"
    assert [message.to_wire() for message in to_wire([response.message])] == [
        {"role": "assistant", "refusal": "I will not"}
    ]


@pytest.mark.parametrize("choices", [[], [{"index": 0, "finish_reason": None}]], ids=["none", "empty"])
def test_blocked_input_answers_nothing_and_says_why(choices: list[Any]) -> None:
    warning = {"message": "Unsuitable input detected.", "id": "UNSUITABLE_INPUT"}
    body = completion() | {"choices": choices, "system": {"warnings": [warning]}}
    response = whole(body)
    assert response.message.content == ""
    assert raw(response)["system"]["warnings"] == [warning]
    assert response.additional_kwargs["warnings"] == [warning]


def test_of_several_choices_the_first_is_the_answer() -> None:
    body = completion("one")
    body["choices"].insert(0, {"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "stop"})
    response = whole(body)
    assert response.message.content == "one"
    assert len(raw(response)["choices"]) == 2


def test_log_probabilities() -> None:
    body = completion("hi")
    body["choices"][0]["logprobs"] = {
        "content": [
            {
                "token": "hi",
                "logprob": -0.1,
                "bytes": [104, 105],
                "top_logprobs": [{"token": "hi", "logprob": -0.1}, {"token": "yo", "logprob": -2.0}],
            },
            {"token": "!", "logprob": -0.5},
        ]
    }
    logprobs = whole(body).logprobs
    assert logprobs is not None
    assert [[(item.token, item.logprob) for item in token] for token in logprobs] == [
        [("hi", -0.1), ("yo", -2.0)],
        [("!", -0.5)],
    ]
    assert logprobs[0][0].bytes == [104, 105]


@pytest.mark.parametrize(
    "body",
    [
        completion("hello"),
        completion("4", reasoning_content="2 + 2"),
        completion("see", tool_calls=[call("c1", "add", '{"a": 1}'), call("c2", "add", '{"a"')]),
        completion(None, refusal="no"),
    ],
)
def test_an_answer_goes_back_as_it_came(body: dict[str, Any]) -> None:
    said = body["choices"][0]["message"]
    [sent] = [message.to_wire() for message in to_wire([whole(body).message])]
    assert sent.get("content") == said.get("content")
    assert sent.get("refusal") == said.get("refusal")
    got, came = sent.get("tool_calls", []), said.get("tool_calls", [])
    assert [(item["id"], item["function"]["name"]) for item in got] == [
        (item["id"], item["function"]["name"]) for item in came
    ]
    for one, other in zip(got, came, strict=True):
        mine, theirs = one["function"]["arguments"], other["function"]["arguments"]
        assert mine == theirs or json.loads(mine) == json.loads(theirs)


# --------------------------------------------------------------------------- streams


def test_a_streamed_text() -> None:
    frames = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"content": ""}, "stop"),
        usage_chunk(),
    ]
    responses = folded(frames)
    assert [response.delta for response in responses] == ["", "Hel", "lo", "", ""]
    assert [response.message.content for response in responses] == ["", "Hel", "Hello", "Hello", "Hello"]
    assert [response.raw for response in responses] == frames
    assert [IN_PROGRESS in response.additional_kwargs for response in responses] == [True, True, True, False, False]
    assert responses[-1].additional_kwargs["total_tokens"] == 12
    assert responses[-1].additional_kwargs["finish_reason"] == "stop"
    assert raw(responses[-1])["usage"]["prompt_tokens"] == 5


def test_usage_in_every_frame_is_not_added_up() -> None:
    usage = [{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in (0, 1, 2)]
    responses = folded(
        [
            chunk({"content": "a"}, usage=usage[0]),
            chunk({"content": "b"}, usage=usage[1]),
            chunk({}, "stop", usage=usage[2]),
        ]
    )
    assert responses[-1].additional_kwargs["total_tokens"] == 7
    assert IN_PROGRESS in responses[1].additional_kwargs


def test_streamed_thinking() -> None:
    responses = folded(
        [chunk({"reasoning_content": "2 "}), chunk({"reasoning_content": "+ 2"}), chunk({"content": "4"}, "stop")]
    )
    assert [response.additional_kwargs.get("thinking_delta") for response in responses] == ["2 ", "+ 2", None]
    assert responses[-1].message.blocks == [ThinkingBlock(content="2 + 2"), TextBlock(text="4")]


def test_streamed_thinking_between_tags() -> None:
    pieces = ["<th", "ink>2 + 2</thi", "nk>\n", "4", "<x"]
    responses = folded([chunk({"content": piece}) for piece in pieces] + [chunk({}, "stop")])
    assert responses[-1].message.blocks == [ThinkingBlock(content="2 + 2"), TextBlock(text="4<x")]
    assert "".join(response.delta or "" for response in responses) == "4<x"
    assert "".join(response.additional_kwargs.get("thinking_delta") or "" for response in responses) == "2 + 2"


def test_a_thought_that_is_cut_off_is_not_lost() -> None:
    responses = folded([chunk({"content": "<think>2 + 2</th"}), chunk({}, "length")])
    assert responses[-1].message.blocks == [ThinkingBlock(content="2 + 2</th"), TextBlock(text="")]


def test_interleaved_calls_come_out_whole() -> None:
    frames = [
        chunk({"tool_calls": [call("c1", "add", "", 0), call("c2", "mul", '{"x"', 1)]}),
        chunk({"tool_calls": [call(None, "", '{"a": ', 0)]}),
        chunk({"tool_calls": [call(None, "", ": 3}", 1), call(None, "", "1}", 0)]}),
        chunk({"content": ""}, "tool_calls"),
        usage_chunk(),
    ]
    responses = folded(frames)
    assert responses[-1].message.blocks == [
        ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
        ToolCallBlock(tool_call_id="c2", tool_name="mul", tool_kwargs={"x": 3}),
    ]
    seen = [
        [block.tool_call_id for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        for response in responses
    ]
    assert seen == [["c1", "c2"]] * 5
    only = folded(frames, single_call=True)[-1]
    assert [block.tool_call_id for block in only.message.blocks if isinstance(block, ToolCallBlock)] == ["c1"]


def golden_frames(name: str) -> list[dict[str, Any]]:
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(item) for item in data if item and item != "[DONE]"]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.sse")))
def test_every_recorded_shape_of_tool_calls(name: str) -> None:
    """No call is lost, doubled or left as text; ids and names never repeat."""
    last = folded(golden_frames(name))[-1]
    calls = [block for block in last.message.blocks if isinstance(block, ToolCallBlock)]
    assert len({block.tool_call_id for block in calls}) == len(calls)
    assert all(block.tool_call_id and isinstance(block.tool_kwargs, dict) for block in calls)
    assert IN_PROGRESS not in last.additional_kwargs
    if "json-schema" in name:
        assert not calls
        assert json.loads(last.message.content or "")
    else:
        assert calls
        assert all(block.tool_kwargs for block in calls)


def test_the_complete_objects_of_mistral_large_2512() -> None:
    last = folded(golden_frames("mistral-large-2512.sse"))[-1]
    [text, called] = last.message.blocks
    assert text == TextBlock(text="I'll look up the time in Italy.")
    assert called == ToolCallBlock(
        tool_call_id="ENqBTHVxT", tool_name="get_current_time", tool_kwargs={"country": "Italy"}
    )


def test_a_stream_without_a_finish_reason_ends_with_a_whole_answer() -> None:
    frames = [chunk({"tool_calls": [call("c1", "f", "", 0)]}), chunk({"tool_calls": [call(None, "", '{"a": 1}', 0)]})]
    responses = folded(frames)
    assert len(responses) == 3
    assert IN_PROGRESS not in responses[-1].additional_kwargs
    assert responses[-1].message.blocks == [ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs={"a": 1})]


def test_frames_of_other_choices_stay_in_raw() -> None:
    other = chunk({"content": "x"})
    other["choices"][0]["index"] = 1
    responses = folded([chunk({"content": "a"}), other, chunk({"content": "b"}, "stop")])
    assert responses[-1].message.content == "ab"
    assert responses[1].raw == other
    assert responses[1].delta == ""


def test_frames_without_a_delta() -> None:
    blocked = {"model_id": "m", "choices": [{"index": 0, "finish_reason": None}], "usage": {"prompt_tokens": 9}}
    [response] = folded([blocked])
    assert response.message.content == ""
    assert response.additional_kwargs["prompt_tokens"] == 9


def test_streamed_log_probabilities_are_the_whole_so_far() -> None:
    frames = [chunk({"content": text}) for text in "ab"] + [chunk({}, "stop")]
    for frame, text in zip(frames, "ab", strict=False):
        frame["choices"][0]["logprobs"] = {"content": [{"token": text, "logprob": -1.0}]}
    responses = folded(frames)
    assert [len(response.logprobs or ()) for response in responses] == [1, 2, 2]


def test_a_warning_of_the_first_frame_is_in_the_last_response() -> None:
    warning = {"message": "max_tokens was set to 1024", "id": "unspecified_max_token"}
    frames = [chunk({"content": "a"}, system={"warnings": [warning]}), chunk({}, "stop"), usage_chunk()]
    assert folded(frames)[-1].additional_kwargs["warnings"] == [warning]


# --------------------------------------------------------------------------- text generation


def generation(text: str, stop: str, **counts: int) -> Generation:
    return Generation.model_validate(
        {"model_id": "google/flan-ul2", "results": [{"generated_text": text, "stop_reason": stop, **counts}]}
    )


def test_a_generation() -> None:
    response = from_generation(generation("4,000 km", "eos_token", generated_token_count=4, input_token_count=12))
    assert response.text == "4,000 km"
    assert response.additional_kwargs == {
        "prompt_tokens": 12,
        "completion_tokens": 4,
        "total_tokens": 16,
        "finish_reason": "eos_token",
        "model": "google/flan-ul2",
    }
    assert raw(response)["usage"] == {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16}
    assert raw(response)["results"][0]["generated_text"] == "4,000 km"


def test_a_streamed_generation() -> None:
    fold = TextFold()
    frames = [
        Generation.model_validate({}),
        generation("", "not_finished", generated_token_count=0, input_token_count=68),
        generation("To", "not_finished", generated_token_count=1, input_token_count=0),
        generation("day", "EOS_TOKEN", generated_token_count=2, input_token_count=0),
    ]
    responses = [response for frame in frames if (response := fold.feed(frame)) is not None]
    assert [(response.delta, response.text) for response in responses] == [("", ""), ("To", "To"), ("day", "Today")]
    assert responses[-1].additional_kwargs == {
        "prompt_tokens": 68,
        "completion_tokens": 2,
        "total_tokens": 70,
        "finish_reason": "EOS_TOKEN",
        "model": "google/flan-ul2",
    }
    assert IN_PROGRESS in responses[0].additional_kwargs
    assert raw(responses[-1])["usage"]["total_tokens"] == 70


def test_a_generation_s_log_probabilities() -> None:
    tokens = [
        {"text": "a", "logprob": -0.5, "top_tokens": [{"text": "a", "logprob": -0.5}, {"text": "b", "logprob": -1}]},
        {"text": "c", "rank": 1},
    ]
    body = {"results": [{"generated_text": "ac", "stop_reason": "eos_token", "generated_tokens": tokens}]}
    logprobs = from_generation(Generation.model_validate(body)).logprobs
    assert logprobs is not None
    assert [[(item.token, item.logprob) for item in token] for token in logprobs] == [[("a", -0.5), ("b", -1.0)]]


def test_between_chat_and_completion_nothing_is_lost() -> None:
    response = whole(completion("4", reasoning_content="2 + 2"))
    text = completion_of(response)
    assert (text.text, text.raw, text.additional_kwargs["total_tokens"]) == ("4", response.raw, 12)
    back = chat_of(text)
    assert (back.message.content, back.raw) == ("4", response.raw)
    assert back.additional_kwargs == text.additional_kwargs
