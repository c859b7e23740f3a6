"""A conversation: streamed answers, tools in between, and turns that leave no trace when they fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from wx_integrations.cli.conversation import MOST_ROUNDS, Called, Conversation, Event, Offered, Said, Thought
from wx_integrations.core.calls import Model
from wx_integrations.core.client import Client
from wx_integrations.core.errors import ConfigurationError, NotFound, StreamBroken
from wx_integrations.core.wire.chat import ChatParameters
from wx_integrations.emulator.brain import Calling
from wx_integrations.emulator.faults import Cut
from wx_integrations.emulator.testing import Reasoning, Watsonx, calling


def shout(arguments: dict[str, Any]) -> str:
    if "text" not in arguments:
        raise ValueError("text is missing")
    return str(arguments["text"]).upper()


TOOLS = (Offered("shout", "Make it loud.", {"type": "object", "properties": {"text": {"type": "string"}}}, shout),)


@pytest.fixture
def client(watsonx: Watsonx) -> Iterator[Client]:
    with Client(retry_total=0) as made:
        yield made


@pytest.fixture
def conversation(client: Client) -> Conversation:
    target = Model("ibm/granite-4-h-small", client.connection.project_id)
    parameters = ChatParameters(temperature=0, max_completion_tokens=100)
    return Conversation(client, target, "Be kind.", parameters, TOOLS)


def texts(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Said))


def test_turns_follow_each_other(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply("He", "llo.").reply("Bye.")
    assert list(conversation.say("one")) == [Said("He"), Said("llo.")]
    assert texts(list(conversation.say("two"))) == "Bye."
    body = watsonx.expect_chat("two", system="Be kind", tools=["shout"], temperature=0, max_completion_tokens=100).body
    assert [(message["role"], message["content"]) for message in body["messages"]] == [
        ("system", "Be kind."),
        ("user", "one"),
        ("assistant", "Hello."),
        ("user", "two"),
    ]


def test_tools_are_run_and_told_about(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply("Wait. ", calling("shout", text="hi"), calling("shout", text="ho")).reply("HI HO")
    events = list(conversation.say("Shout"))
    assert events == [
        Said("Wait. "),
        Called("shout", '{"text": "hi"}', "HI", failed=False),
        Called("shout", '{"text": "ho"}', "HO", failed=False),
        Said("HI HO"),
    ]
    messages = watsonx.expect_chat(tool_result="HO").body["messages"]
    calls = messages[2]["tool_calls"]
    assert messages[2]["content"] == "Wait. "
    assert [call["function"]["arguments"] for call in calls] == ['{"text": "hi"}', '{"text": "ho"}']
    assert [message["tool_call_id"] for message in messages[3:]] == [call["id"] for call in calls]
    assert len(conversation.messages) == 5


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (calling("shout"), "Error: text is missing"),
        (calling("whisper", text="x"), "Error: there is no tool 'whisper'"),
        (Calling("shout", '{"text": '), "Error: "),
        (Calling("shout", "[1]"), "Error: "),
    ],
)
def test_calls_that_fail_are_told_to_the_model(
    watsonx: Watsonx, conversation: Conversation, call: Calling, result: str
) -> None:
    watsonx.reply(call).reply("Sorry.")
    called = next(event for event in conversation.say("Shout") if isinstance(event, Called))
    assert called.failed
    assert called.result.startswith(result)
    assert len(watsonx.chats) == 1
    list(conversation.say("again"))


def test_thinking_is_told_apart(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply(Reasoning("hm"), "Yes.")
    assert list(conversation.say("Really?")) == [Thought("hm"), Said("Yes.")]
    assert "hm" not in str(conversation.messages)


def test_a_turn_that_fails_leaves_no_trace(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply("one two three four five").fail(Cut(after=2), path="text/chat_stream")
    with pytest.raises(StreamBroken):
        list(conversation.say("one"))
    watsonx.refuse(404, "model_not_supported")
    with pytest.raises(NotFound):
        list(conversation.say("two"))
    assert conversation.messages == []
    assert texts(list(conversation.say("three"))) == "You said: three"
    watsonx.expect_chat("three", messages=[{"role": "system"}, {"role": "user", "content": "three"}])


def test_a_turn_that_is_left_leaves_no_trace(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply(*["word "] * 50)
    events = conversation.say("one")
    next(events)
    events.close()
    assert conversation.messages == []
    assert watsonx.requests[0].state == "abandoned"


def test_a_model_that_never_stops_calling(watsonx: Watsonx, conversation: Conversation) -> None:
    for _ in range(MOST_ROUNDS):
        watsonx.call("shout", text="hi")
    with pytest.raises(ConfigurationError, match="called tools 10 times in a row"):
        list(conversation.say("go"))
    assert conversation.messages == []
    assert len(watsonx.chats) == MOST_ROUNDS


def test_an_empty_answer_keeps_the_conversation_going(watsonx: Watsonx, conversation: Conversation) -> None:
    watsonx.reply("")
    assert texts(list(conversation.say("one"))) == ""
    assert texts(list(conversation.say("two"))) == "You said: two"


def test_a_call_without_a_name(watsonx: Watsonx, conversation: Conversation) -> None:
    frame = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    watsonx.replay("".join(f"data: {json.dumps(data)}\n\n" for data in (frame, last)))
    with pytest.raises(StreamBroken, match="without a name"):
        list(conversation.say("one"))
