"""The scripted brain: says what it is told, and recordings go out byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.emulator.lab import (
    EMBEDDING_MODEL,
    PROJECT,
    RERANK_MODEL,
    TEXT_MODEL,
    Lab,
    data_of,
    error_of,
    frames_of,
    stream_of,
)
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.scripted import ScriptedBrain, ScriptExhausted, Text

GOLDEN = Path(__file__).parents[1] / "golden"
STREAMS = sorted([*GOLDEN.glob("streams/*.sse"), *GOLDEN.glob("tool_streams/*.sse")])


def test_answers_in_order() -> None:
    brain = ScriptedBrain()
    brain.call("get_weather", city="Rome").reply("It is ", "sunny.").refuse(429, "rate_limit_reached_requests", "slow")
    lab = Lab(brain)
    assert lab.message()["tool_calls"][0]["function"]["name"] == "get_weather"
    assert lab.message()["content"] == "It is sunny."
    assert error_of(lab.chat())["code"] == "rate_limit_reached_requests"
    brain.expect_done()


def test_an_empty_script_complains_and_says_what_was_asked() -> None:
    brain = ScriptedBrain()
    brain.reply("for another", model=TEXT_MODEL)
    with pytest.raises(
        ScriptExhausted, match=r"chat with ibm/granite-4-h-small \(after 0 answers, 1 left for others\): 'Hi'"
    ):
        Lab(brain).chat("Hi")
    with pytest.raises(AssertionError) as caught:
        brain.expect_done()
    assert str(caught.value) == (
        f"1 scripted answer was never asked for; next: 'for another' (to chat with {TEXT_MODEL})"
    )


def test_what_is_left_is_said_as_it_was_scripted() -> None:
    scripted = {
        "'a', 'b' (to generation)": ScriptedBrain().reply("a", "b", to="generation"),
        "'a', RuntimeError('b') (to chat)": ScriptedBrain().reply(Text("a"), RuntimeError("b")),
        'fare({"to": "Rome"}) (to chat)': ScriptedBrain().call("fare", to="Rome"),
        "429 busy (to chat)": ScriptedBrain().refuse(429, "busy"),
        "a recording of 8 bytes (to rerank)": ScriptedBrain().replay({"a": 1}, to="rerank"),
        f"'{'x' * 299}... (to chat)": ScriptedBrain().reply("x" * 1000),
    }
    for text, brain in scripted.items():
        with pytest.raises(AssertionError) as caught:
            brain.expect_done()
        assert text in str(caught.value)
    with pytest.raises(AssertionError, match=r"^2 scripted answers were never asked for; next: 'one'"):
        ScriptedBrain().reply("one").reply("two").expect_done()


def test_per_model_and_per_operation() -> None:
    brain = ScriptedBrain()
    brain.reply("granite", model=TEXT_MODEL).reply("any").reply("continued", to="generation")
    lab = Lab(brain)
    assert brain.remaining == 3
    assert lab.message()["content"] == "any"
    assert lab.message(model_id=TEXT_MODEL)["content"] == "granite"
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x"}
    result = data_of(lab.post("/ml/v1/text/generation", body))["results"][0]
    assert (result["generated_text"], result["stop_reason"]) == ("continued", "eos_token")
    with pytest.raises(ScriptExhausted):
        lab.post("/ml/v1/text/generation", body)


def test_a_fallback_answers_when_the_script_is_empty() -> None:
    brain = ScriptedBrain(DeterministicBrain())
    brain.reply("first")
    lab = Lab(brain)
    assert [lab.message()["content"] for _ in range(2)] == ["first", "You said: Hello"]
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x"}
    assert data_of(lab.post("/ml/v1/text/generation", body))["results"][0]["generated_text"] == "You said: x"
    lab.emulator.close()


def test_vectors_follow_the_rules_but_can_fail() -> None:
    brain = ScriptedBrain()
    brain.refuse(500, "downstream_request_failed", to="embeddings").refuse(503, "x", to="rerank")
    brain.refuse(404, "x", to="tokenization")
    lab = Lab(brain)
    requests: list[tuple[str, dict[str, Any], int]] = [
        ("embeddings", {"model_id": EMBEDDING_MODEL, "inputs": ["x"]}, 500),
        ("rerank", {"model_id": RERANK_MODEL, "query": "x", "inputs": [{"text": "x"}]}, 503),
        ("tokenization", {"model_id": TEXT_MODEL, "input": "x"}, 404),
    ]
    for operation, body, status in requests:
        found = [lab.post(f"/ml/v1/text/{operation}", {**body, "project_id": PROJECT}).status for _ in range(2)]
        assert found == [status, 200]


def test_finish_and_usage_can_be_said() -> None:
    brain = ScriptedBrain()
    brain.reply("cut", finish="length", usage=(7, 1))
    answer = data_of(Lab(brain).chat())
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}


def test_whole_bodies_are_replayed() -> None:
    brain = ScriptedBrain()
    brain.replay({"choices": []}).replay('{"a":  1}').replay(b"<html>", status=502, content_type="text/html")
    lab = Lab(brain)
    replies = [lab.chat() for _ in range(3)]
    bodies = [b"".join(frame.data for frame in frames_of(reply)) for reply in replies]
    assert bodies == [b'{"choices": []}', b'{"a":  1}', b"<html>"]
    assert [(reply.status, reply.headers["content-type"]) for reply in replies] == [
        (200, "application/json"),
        (200, "application/json"),
        (502, "text/html"),
    ]


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name)
def test_recorded_streams_are_replayed_byte_for_byte(path: Path) -> None:
    recorded = path.read_bytes()
    brain = ScriptedBrain()
    brain.replay(recorded)
    reply = Lab(brain).chat_stream()
    frames = [frame.data for frame in frames_of(reply)]
    assert reply.headers["content-type"] == "text/event-stream"
    assert b"".join(frames) == recorded
    assert len(frames) == recorded.rstrip(b"\n").count(b"\n\n") + 1


def test_there_are_recordings() -> None:
    assert len(STREAMS) >= 12


def test_replays_for_other_operations() -> None:
    brain = ScriptedBrain()
    brain.replay(b"data: {}\n\n", to="generation").replay({"odd": 1}, to="embeddings")
    lab = Lab(brain)
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x"}
    assert stream_of(lab.post("/ml/v1/text/generation_stream", body)) == b"data: {}\n\n"
    odd = lab.post("/ml/v1/text/embeddings", {"model_id": EMBEDDING_MODEL, "project_id": PROJECT, "inputs": ["x"]})
    assert stream_of(odd) == b'{"odd": 1}'
