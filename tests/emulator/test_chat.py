"""Chat: bodies and frames exactly as recorded, and what each parameter does."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.emulator.lab import (
    CHAT_MODEL,
    WEATHER,
    Lab,
    data_of,
    error_of,
    events_of,
    frames_of,
    stream_of,
    tool,
)
from wx_integrations.emulator.brain import Finish, Refusal, Text
from wx_integrations.emulator.scripted import Reasoning, ScriptedBrain, calling
from wx_integrations.emulator.service import Deployed, Framing, Pacing

ID = re.compile(r"chatcmpl-[0-9a-f]{32}")
CALL_ID = re.compile(r"chatcmpl-tool-[0-9a-f]{32}")


def scripted(*pieces: Any, **settings: Any) -> Lab:
    brain = ScriptedBrain()
    brain.reply(*pieces, **{name: settings.pop(name) for name in ("finish", "usage") if name in settings})
    return Lab(brain, **settings)


def test_a_whole_answer() -> None:
    answer = data_of(scripted("Hello", usage=(190, 18)).chat())
    assert ID.fullmatch(answer["id"])
    assert answer == {
        "id": answer["id"],
        "object": "chat.completion",
        "model_id": CHAT_MODEL,
        "model": CHAT_MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "created": 1764692529,
        "model_version": "1.0.0",
        "created_at": "2025-12-02T16:22:09.590Z",
        "usage": {"completion_tokens": 18, "prompt_tokens": 190, "total_tokens": 208},
    }
    assert list(answer) == [
        *("id", "object", "model_id", "model", "choices", "created", "model_version", "created_at", "usage"),
    ]


def test_a_tool_call_has_no_content() -> None:
    answer = data_of(scripted(calling("get_current_time", country="Italy")).chat())
    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert "content" not in choice["message"]
    assert CALL_ID.fullmatch(call["id"])
    assert call["function"] == {"name": "get_current_time", "arguments": '{"country": "Italy"}'}


def test_the_recorded_text_stream_byte_for_byte() -> None:
    lab = scripted("Hello", " there", usage=(190, 18))
    raw = stream_of(lab.chat_stream(max_tokens=0))
    head = re.search(rb"chatcmpl-[0-9a-f]{32}", raw)
    assert head is not None
    models = b'"model_id":"ibm/granite-4-h-small","model":"ibm/granite-4-h-small"'
    shared = b'"object":"chat.completion.chunk",' + models + b',"choices":'
    times = b'"created":1764692529,"model_version":"1.0.0","created_at":"2025-12-02T16:22:09.590Z"'
    warning = (
        b'"system":{"warnings":[{"message":"The value of \'max_tokens\' for this model was set to value 1024",'
        b'"id":"unspecified_max_token","additional_properties":{"limit":0,"new_value":1024,"parameter":"max_tokens",'
        b'"value":0}}]}'
    )

    def frame(number: int, choices: bytes, rest: bytes = b"") -> bytes:
        data = b'{"id":"' + head.group() + b'",' + shared + choices + b"," + times + rest + b"}"
        return b"id: %d\nevent: message\ndata: " % number + data + b"\n\n"

    assert raw == b"".join(
        [
            frame(1, b'[{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":""}}]', b"," + warning),
            frame(2, b'[{"index":0,"finish_reason":null,"delta":{"content":"Hello"}}]'),
            frame(3, b'[{"index":0,"finish_reason":null,"delta":{"content":" there"}}]'),
            frame(4, b'[{"index":0,"finish_reason":"stop","delta":{"content":""}}]'),
            frame(5, b"[]", b',"usage":{"completion_tokens":18,"prompt_tokens":190,"total_tokens":208}'),
        ]
    )


def test_tool_call_deltas() -> None:
    lab = scripted(calling("get_weather", city="San Francisco"), calling("now"))
    events = [data for _, _, data in events_of(lab.chat_stream())]
    deltas = [event["choices"][0]["delta"]["tool_calls"][0] for event in events[1:-2]]
    first, second = (delta for delta in deltas if "id" in delta)
    assert first == {
        "index": 0,
        "id": first["id"],
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    assert second["index"] == 1
    pieces = [delta for delta in deltas if "id" not in delta]
    assert all(set(delta) == {"index", "function"} and delta["function"]["name"] == "" for delta in pieces)
    text = "".join(delta["function"]["arguments"] for delta in pieces if delta["index"] == 0)
    assert json.loads(text) == {"city": "San Francisco"}
    assert len([delta for delta in pieces if delta["index"] == 0]) > 1
    assert events[-2]["choices"] == [{"index": 0, "finish_reason": "tool_calls", "delta": {"content": ""}}]


def test_reasoning_comes_first_and_apart() -> None:
    lab = scripted(Reasoning("Hmm."), "Yes.")
    deltas = [data["choices"][0]["delta"] for _, _, data in events_of(lab.chat_stream())[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hmm."},
        {"content": "Yes."},
        {"content": ""},
    ]
    whole = data_of(scripted(Reasoning("Hmm."), "Yes.").chat())["choices"][0]["message"]
    assert whole == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hmm."}


@pytest.mark.parametrize(
    ("ending", "tail"),
    [
        ("eof", []),
        ("close_empty", [b"id: 5\nevent: close\ndata: {}\n\n"]),
        ("close_bare", [b"id: 5\nevent: close\n\n"]),
    ],
)
def test_endings_of_older_recordings(ending: Any, tail: list[bytes]) -> None:
    lab = scripted("Hello", framing=Framing(ending=ending))
    frames = [frame.data for frame in frames_of(lab.chat_stream())]
    assert frames[4:] == tail
    assert b'"choices":[]' in frames[3]


def test_usage_under_the_close_event() -> None:
    lab = scripted("Hello", framing=Framing(ending="close_usage"))
    number, event, data = events_of(lab.chat_stream())[-1]
    assert (number, event, data["choices"]) == ("4", "close", [])
    assert data["usage"]["total_tokens"] > 0


def test_finish_reason_on_the_last_delta() -> None:
    lab = scripted("a", "b", framing=Framing(finish="on_last_delta"))
    choices = [data["choices"] for _, _, data in events_of(lab.chat_stream())]
    assert choices[2] == [{"index": 0, "finish_reason": "stop", "delta": {"content": "b"}}]
    assert choices[3] == []


def test_an_error_in_the_middle_becomes_an_error_event() -> None:
    lab = scripted("Hel", Refusal(500, "downstream_request_failed", "gone"))
    events = events_of(lab.chat_stream())
    assert [event for _, event, _ in events] == ["message", "message", "error"]
    assert events[-1][2]["errors"][0]["code"] == "downstream_request_failed"


def test_an_error_before_the_first_piece_is_a_status() -> None:
    brain = ScriptedBrain()
    brain.refuse(403, "token_quota_reached", "used up")
    assert error_of(Lab(brain).chat_stream())["status"] == 403


def test_pacing_is_told_not_done() -> None:
    lab = scripted("a", "b", "c", pacing=Pacing(first=2.0, each=0.5))
    waits = [frame.wait for frame in frames_of(lab.chat_stream())]
    assert waits == [0.0, 2.0, 0.5, 0.5, 0.5, 0.0]
    whole = scripted("a", "b", "c", pacing=Pacing(first=2.0, each=0.5), usage=(1, 3)).chat()
    assert whole.wait == 3.0


def test_closing_a_stream_stops_the_brain_at_any_point() -> None:
    for taken in (0, 1, 3):
        stopped: list[bool] = []

        def pieces(stopped: list[bool] = stopped) -> Any:
            try:
                while True:
                    yield Text("again ")
            finally:
                stopped.append(True)

        brain = ScriptedBrain()
        brain.chat = lambda *_: pieces()  # type: ignore[method-assign]
        lab = Lab(brain)
        reply = lab.chat_stream()
        frames = frames_of(reply)
        for _ in range(taken):
            next(frames)
        assert stopped == []
        reply.close()
        assert stopped == [True]
        assert lab.emulator.journal.last.state == "abandoned"
        assert lab.emulator.journal.last.frames == taken


# --------------------------------------------------------------------------- parameters


def test_the_same_request_gets_the_same_answer() -> None:
    first, second = Lab(), Lab()
    assert data_of(first.chat("Hi", seed=7)) == data_of(second.chat("Hi", seed=7))


def test_max_tokens_cuts_and_says_so() -> None:
    answer = data_of(Lab().chat("one two three four", max_tokens=3))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    newer = data_of(Lab().chat("one two three four", max_tokens=3, max_completion_tokens=5))
    assert newer["usage"]["completion_tokens"] == 5


def test_max_tokens_cuts_tool_arguments_too() -> None:
    answer = data_of(Lab().chat("weather in Rome", tools=[WEATHER], max_tokens=4))
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])


def test_stop_is_cut_out() -> None:
    answer = data_of(Lab().chat("one two three", stop=["two"]))
    assert answer["choices"][0]["message"]["content"] == "You said: one "
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_n_choices_share_one_prompt() -> None:
    answer = data_of(Lab().chat("Hi", n=3))
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert texts == ["You said: Hi", "(2) You said: Hi", "(3) You said: Hi"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["prompt_tokens"] == data_of(Lab().chat("Hi"))["usage"]["prompt_tokens"]
    events = events_of(Lab().chat_stream("Hi", n=2))
    assert {choice["index"] for _, _, data in events for choice in data["choices"]} == {0, 1}
    assert len([data for _, _, data in events if "usage" in data]) == 1


def test_logprobs() -> None:
    answer = data_of(Lab().chat("Hi", logprobs=True, top_logprobs=2))
    content = answer["choices"][0]["logprobs"]["content"]
    assert "".join(item["token"] for item in content) == "You said: Hi"
    assert all(item["logprob"] <= 0 and len(item["top_logprobs"]) == 2 for item in content)
    assert bytes(content[0]["bytes"]).decode() == content[0]["token"]
    streamed = [data["choices"][0] for _, _, data in events_of(Lab().chat_stream("Hi", logprobs=True))[1:-2]]
    assert all(len(choice["logprobs"]["content"]) == 1 for choice in streamed)
    assert "logprobs" not in data_of(Lab().chat("Hi"))["choices"][0]


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, False),
        ({"chat_template_kwargs": {"thinking": True}}, True),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True),
        ({"include_reasoning": True}, True),
        ({"reasoning_effort": "low"}, True),
        ({"include_reasoning": False, "chat_template_kwargs": {"thinking": True}}, False),
        ({"include_reasoning": True, "chat_template_kwargs": {"thinking": False}}, False),
    ],
)
def test_reasoning_when_asked(fields: dict[str, Any], thinks: bool) -> None:
    assert ("reasoning_content" in Lab().message("Hi", **fields)) == thinks


def test_the_control_role_switches_thinking_on() -> None:
    messages = [{"role": "control", "content": "thinking"}, {"role": "user", "content": "Hi"}]
    assert "reasoning_content" in Lab().message(messages)


def test_warnings() -> None:
    body = Lab.chat_body()
    del body["max_tokens"]
    found = data_of(Lab().post("/ml/v1/text/chat", {**body, "time_limit": 700_000}))["system"]["warnings"]
    assert [warning["id"] for warning in found] == ["unspecified_max_token", "time_limit_out_of_range"]
    assert found[1]["additional_properties"]["new_value"] == 600_000
    assert "system" not in data_of(Lab().chat(max_completion_tokens=0))


def test_media_are_taken_and_counted() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "video_url", "data_asset": {"id": "x"}},
    ]
    reply = Lab().chat([{"role": "user", "content": parts}], model_id="emulator/all-senses")
    answer = data_of(reply)
    assert answer["usage"]["prompt_tokens"] > 3 * 256
    assert "[image_url]" in answer["choices"][0]["message"]["content"]


# --------------------------------------------------------------------------- deployments

DEPLOYMENT = "/ml/v1/deployments/{}/text/chat"
USER = [{"role": "user", "content": "Hello"}]


def test_any_deployment_answers_unless_they_are_listed() -> None:
    assert data_of(Lab().post(DEPLOYMENT.format("anything"), {"messages": USER}))["model_id"] == CHAT_MODEL
    lab = Lab(deployments={"mine": Deployed("openai/gpt-oss-120b")})
    assert data_of(lab.post(DEPLOYMENT.format("mine"), {"messages": USER}))["model_id"] == "openai/gpt-oss-120b"
    error = error_of(lab.post(DEPLOYMENT.format("other"), {"messages": USER}))
    assert (error["status"], error["code"]) == (404, "deployment_does_not_exist")
    assert error["message"] == "Deployment with id 'other' does not exist. Re-try with a valid deployment id."
    stream = lab.post("/ml/v1/deployments/mine/text/chat_stream", {"messages": USER, "max_tokens": 9})
    assert events_of(stream)[0][2]["model_id"] == "openai/gpt-oss-120b"


def test_a_deployment_of_a_model_that_cannot_chat() -> None:
    lab = Lab(deployments={"old": Deployed("google/flan-ul2")})
    assert error_of(lab.post(DEPLOYMENT.format("old"), {"messages": USER}))["code"] == "model_no_support_for_function"


def test_a_prompt_template_takes_context_but_no_system_message() -> None:
    lab = Lab(deployments={"rag": Deployed(CHAT_MODEL, template="Use this: {context}")})
    body = {
        "messages": [{"role": "user", "content": "Who wrote the granite book?"}],
        "context": "Ann wrote the granite book.",
    }
    answer = data_of(lab.post(DEPLOYMENT.format("rag"), body))
    assert answer["choices"][0]["message"]["content"] == "Use this: Ann wrote the granite book."
    system = {"messages": [{"role": "system", "content": "Be nice"}, *USER]}
    assert error_of(lab.post(DEPLOYMENT.format("rag"), system))["code"] == "invalid_request_entity"


def test_a_brain_without_an_end_is_a_bug_that_shows() -> None:
    brain = ScriptedBrain()
    brain.chat = lambda *_: iter([Text("no end")])  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no Finish"):
        Lab(brain).chat()


def test_a_scripted_finish_ends_the_answer() -> None:
    answer = data_of(scripted("cut", Finish("time_limit", 5, 1), "never").chat())
    assert answer["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "cut"},
        "finish_reason": "time_limit",
    }
    assert answer["usage"] == {"completion_tokens": 1, "prompt_tokens": 5, "total_tokens": 6}


def test_unknown_tools_of_the_history_are_no_problem() -> None:
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "What is 1 + 2?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "abc", "type": "function", "function": {"name": "gone", "arguments": "not json"}}],
        },
        {"role": "tool", "content": "3", "tool_call_id": "abc"},
    ]
    assert Lab().message(history, tools=[tool("other", "Something else.")])["content"] == "gone says: 3"
