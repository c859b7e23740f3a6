"""Conversations as plain turns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.conversation import Turn, plain_turns, with_instructions, with_request
from wx_integrations.emulator.local.requests import text_turns


def asked(*messages: Any, **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages), **fields})


def turns(*messages: Any) -> list[Turn]:
    return plain_turns(asked(*messages).messages)


def test_instructions_come_first_and_once() -> None:
    assert turns(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Bye"},
    ) == [
        {"role": "system", "content": "Be kind.\n\nBe brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]


def test_turns_alternate() -> None:
    got = turns(
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": "d"},
        {"role": "assistant", "content": None, "refusal": "e"},
    )
    assert got == [{"role": "user", "content": "a\n\nb\nc"}, {"role": "assistant", "content": "d\n\ne"}]


def test_calls_and_results_become_sentences() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    got = turns(
        {"role": "user", "content": "Rome?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "unheard of", "content": "windy"},
    )
    assert got[1:] == [
        {"role": "assistant", "content": 'Let me see.\nI call weather({"city": "Rome"}).'},
        {"role": "user", "content": 'weather({"city": "Rome"}) returned:\nsunny\n\nThe tool returned:\nwindy'},
    ]


def test_a_control_message_adds_no_turn() -> None:
    assert turns({"role": "control", "content": "thinking"}, {"role": "user", "content": "Hi"}) == [
        {"role": "user", "content": "Hi"}
    ]


def test_what_is_not_text_is_refused_by_name() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(Refusal, match="image_url") as caught:
        turns({"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]})
    assert caught.value.status == 400


def test_added_texts_leave_the_given_turns_alone() -> None:
    given = [Turn(role="user", content="Hi")]
    assert with_instructions(given, "Be kind.") == [{"role": "system", "content": "Be kind."}, *given]
    assert with_instructions(with_instructions(given, "a"), "b")[0]["content"] == "a\n\nb"
    assert with_request(given, "Now.") == [{"role": "user", "content": "Hi\n\nNow."}]
    assert with_request([Turn(role="assistant", content="x")], "Now.")[-1] == {"role": "user", "content": "Now."}
    assert given == [{"role": "user", "content": "Hi"}]


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_a_wanted_schema_is_told_to_a_model_that_listens() -> None:
    fields: list[dict[str, Any]] = [
        {"guided_json": SCHEMA},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
    ]
    for field in fields:
        request = asked({"role": "user", "content": "Hi"}, **field)
        assert json.dumps(SCHEMA) in text_turns(request, thorough=True)[0]["content"]
        assert text_turns(request, thorough=False) == [{"role": "user", "content": "Hi"}]


def test_after_a_result_the_question_is_brought_back() -> None:
    request = asked({"role": "user", "content": "Hi"}, {"role": "tool", "tool_call_id": "1", "content": "5"})
    assert text_turns(request, thorough=True)[-1]["content"].endswith("Answer my question with the results above.")
    assert text_turns(request, thorough=False)[-1]["content"].endswith("returned:\n5")
