"""The Model Gateway: OpenAI's paths with the recorded framing and errors."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

import pytest

from tests.emulator.lab import (
    CHAT_MODEL,
    EMBEDDING_MODEL,
    TEXT_MODEL,
    WEATHER,
    Lab,
    data_of,
    frames_of,
    stream_of,
    tool,
)
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.scripted import ScriptedBrain, calling

CHAT = "/ml/gateway/v1/chat/completions"
USER = [{"role": "user", "content": "Hello"}]


def chat(lab: Lab, **fields: Any) -> Reply:
    return lab.post(CHAT, {"model": CHAT_MODEL, "messages": USER, **fields})


def chunks(reply: Reply) -> list[Any]:
    blocks = stream_of(reply).decode().removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    assert blocks[-1] == "data: [DONE]"
    return [json.loads(block[6:]) for block in blocks[:-1]]


def gateway_error(reply: Reply) -> Any:
    assert isinstance(reply.body, bytes)
    body = json.loads(reply.body)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "request_id"}
    return {"status": reply.status, **body["error"]}


def test_a_whole_answer() -> None:
    answer = data_of(chat(Lab()))
    assert answer == {
        "id": answer["id"],
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "You said: Hello"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "created": 1764692529,
        "model": CHAT_MODEL,
        "system_fingerprint": None,
        "service_tier": None,
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
        "cached": False,
    }


def test_the_recorded_stream_byte_for_byte() -> None:
    brain = ScriptedBrain()
    brain.reply("Ciao! Va", " bene", usage=(498, 75))
    raw = stream_of(chat(Lab(brain), stream=True, stream_options={"include_usage": True}))
    found = re.search(rb"chatcmpl-[0-9a-f]{32}", raw)
    assert found is not None
    tail = (
        b'"created":1764692529,"model":"ibm/granite-4-h-small","system_fingerprint":null,"service_tier":null,"usage":'
    )

    def frame(delta: bytes, reason: bytes, usage: bytes = b"null") -> bytes:
        choice = b'[{"index":0,"delta":' + delta + b',"finish_reason":"' + reason + b'","logprobs":null}],'
        head = b'data: {"id":"' + found.group() + b'","object":"chat.completion.chunk","choices":'
        return head + choice + tail + usage + b',"cached":false}\n\n'

    assert raw == b"".join(
        [
            frame(b'{"role":"assistant","content":"Ciao! Va"}', b""),
            frame(b'{"content":" bene"}', b""),
            frame(b'{"content":""}', b"stop"),
            frame(b'{"content":""}', b"", b'{"prompt_tokens":498,"completion_tokens":75,"total_tokens":573}'),
            b"data: [DONE]\n\n",
        ]
    )


def test_usage_only_when_asked() -> None:
    assert all(chunk["usage"] is None for chunk in chunks(chat(Lab(), stream=True)))


def test_tool_deltas_repeat_empty_ids_and_names() -> None:
    brain = ScriptedBrain()
    brain.reply(calling("get_weather", city="San Francisco"))
    found = chunks(chat(Lab(brain), stream=True, tools=[WEATHER]))
    deltas = [chunk["choices"][0]["delta"] for chunk in found[:-1]]
    assert all(delta["content"] == "" for delta in deltas)
    assert deltas[0]["role"] == "assistant"
    first, *rest = [delta["tool_calls"][0] for delta in deltas]
    assert first["id"].startswith("call_")
    assert first["function"] == {"name": "get_weather", "arguments": ""}
    assert all(piece["id"] == "" and piece["type"] == "function" and piece["function"]["name"] == "" for piece in rest)
    assert json.loads("".join(piece["function"]["arguments"] for piece in rest)) == {"city": "San Francisco"}
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", True),
        ("required", True),
        ("none", False),
        ({"type": "function", "function": {"name": "get_weather"}}, True),
    ],
)
def test_tool_choice_in_one_field(choice: Any, called: bool) -> None:
    message = data_of(
        chat(Lab(), messages=[{"role": "user", "content": "weather in Rome"}], tools=[WEATHER], tool_choice=choice)
    )["choices"][0]["message"]
    assert ("tool_calls" in message) == called


def test_one_call_at_a_time_when_told() -> None:
    ask = [{"role": "user", "content": "What is the weather in Paris and London?"}]
    for parallel, count in ((True, 2), (False, 1)):
        answer = data_of(chat(Lab(), messages=ask, tools=[WEATHER], parallel_tool_calls=parallel))
        assert len(answer["choices"][0]["message"]["tool_calls"]) == count


def test_parameters_reach_the_brain() -> None:
    answer = data_of(chat(Lab(), max_completion_tokens=2, n=2, logprobs=True, top_logprobs=1, stop="zzz", top_p=0.5))
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length", "length"]
    assert len(answer["choices"][0]["logprobs"]["content"]) == 2
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": 7}}}
    assert data_of(chat(Lab(), response_format=shape))["choices"][0]["message"]["content"] == "7"


def test_the_developer_role_is_known_here() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *USER]
    assert chat(Lab(), messages=messages).status == 200


def test_errors_have_their_own_family() -> None:
    missing = gateway_error(chat(Lab(), model="foo"))
    assert (missing["status"], missing["code"]) == (404, "model_not_found")
    assert missing["message"] == "The model `foo` does not exist."
    assert gateway_error(chat(Lab(), model=EMBEDDING_MODEL))["status"] == 404
    assert gateway_error(chat(Lab(), max_new_tokens=3))["status"] == 400
    assert gateway_error(chat(Lab(), audio={"voice": "x"}))["code"] == "unsupported_parameter"
    lab = Lab()
    lab.token = "x"
    assert gateway_error(chat(lab))["status"] == 401
    assert chat(Lab(strict=False), max_new_tokens=3, audio={"voice": "x"}).status == 200


def test_an_error_in_the_middle() -> None:
    brain = ScriptedBrain()
    brain.reply("a", Refusal(500, "Internal Server Error", "gone"))
    frames = [frame.data for frame in frames_of(chat(Lab(brain), stream=True))]
    assert frames[-1].startswith(b'event: error\ndata: {"error":{"code":"Internal Server Error"')


def test_completions() -> None:
    body = {"model": TEXT_MODEL, "prompt": "Once upon", "max_tokens": 3, "echo": True}
    answer = data_of(Lab().post("/ml/gateway/v1/completions", body))
    assert answer["object"] == "text_completion"
    (choice,) = answer["choices"]
    assert choice == {"index": 0, "text": "Once uponYou said:", "logprobs": None, "finish_reason": "length"}
    several = data_of(
        Lab().post("/ml/gateway/v1/completions", {**body, "prompt": ["a", "b"], "stop": ["said"], "n": 2})
    )
    assert [choice["finish_reason"] for choice in several["choices"]] == ["stop"] * 4
    streamed = chunks(Lab().post("/ml/gateway/v1/completions", {**body, "stream": True}))
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == "You said:"
    assert streamed[-1]["choices"][0]["finish_reason"] == "length"
    assert gateway_error(Lab().post("/ml/gateway/v1/completions", {**body, "suffix": "x"}))["status"] == 400


def test_embeddings() -> None:
    path = "/ml/gateway/v1/embeddings"
    answer = data_of(Lab().post(path, {"model": EMBEDDING_MODEL, "input": ["a", "b"]}))
    assert (answer["object"], answer["model"]) == ("list", EMBEDDING_MODEL)
    assert [(row["object"], row["index"], len(row["embedding"])) for row in answer["data"]] == [
        ("embedding", 0, 384),
        ("embedding", 1, 384),
    ]
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    one = data_of(
        Lab().post(path, {"model": EMBEDDING_MODEL, "input": "a", "dimensions": 8, "encoding_format": "base64"})
    )
    raw = base64.b64decode(one["data"][0]["embedding"])
    assert len(struct.unpack("<8f", raw)) == 8
    assert gateway_error(Lab().post(path, {"model": EMBEDDING_MODEL, "input": []}))["status"] == 400


def test_models() -> None:
    lab = Lab()
    listed = data_of(lab.send("GET", "/ml/gateway/v1/models"))
    assert listed["object"] == "list"
    first = listed["data"][0]
    assert first["id"] == CHAT_MODEL
    assert data_of(lab.send("GET", f"/ml/gateway/v1/models/{first['uuid']}")) == first
    assert gateway_error(lab.send("GET", "/ml/gateway/v1/models/none"))["status"] == 404


def test_images_need_a_model_that_sees() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    reply = chat(Lab(), messages=[{"role": "user", "content": [picture]}])
    assert gateway_error(reply)["status"] == 404


def test_reasoning_and_several_tools_stream_together() -> None:
    now = tool("now", "Tell the time.")
    ask = [{"role": "user", "content": "call get_weather for Rome and now()"}]
    found = chunks(chat(Lab(), messages=ask, tools=[WEATHER, now], stream=True, reasoning_effort="low"))
    kinds = [set(chunk["choices"][0]["delta"]) for chunk in found]
    assert {"role", "content", "reasoning_content"} in kinds
    names = [
        call["function"]["name"]
        for chunk in found
        for call in chunk["choices"][0]["delta"].get("tool_calls", [])
        if call["function"]["name"]
    ]
    assert sorted(names) == ["get_weather", "now"]
