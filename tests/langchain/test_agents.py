"""Agents in LangGraph: loops, streams, parallel tools, structured responses, tools that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from tests.langchain.chatting import Caller, Stage, calls_of, scripted
from wx_integrations.emulator.brain import Reasoning
from wx_integrations.emulator.scripted import Calling, ScriptedBrain, calling

# LangGraph's own objects are unfinished business of theirs: their serializer and beta notices
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"sunny in {city}"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fails(city: str) -> str:
    """Always fail."""
    raise ValueError(f"no weather in {city}")


class Weather(BaseModel):
    """The weather."""

    city: str
    sunny: bool


def ask(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def said(messages: list[Any]) -> list[str]:
    return [message.type for message in messages]


async def test_a_loop_by_rule(stage: Stage, caller: Caller) -> None:
    agent = create_agent(stage.model(), [get_weather, add])
    result = await caller.invoke(agent, ask("use add for 3 and 4"))
    assert said(result["messages"]) == ["human", "ai", "tool", "ai"]
    assert calls_of(result["messages"][1]) == [("add", {"a": 3, "b": 4})]
    assert result["messages"][-1].content == "add says: 7"
    first, second = stage.chats()
    assert [item["function"]["name"] for item in first["tools"]] == ["get_weather", "add"]
    assert "tool_choice_option" not in first
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]


async def test_parallel_tools(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(calling("get_weather", city="Rome"), calling("get_weather", city="Oslo")).reply("Both sunny.")
    agent = create_agent(stage.model(), [get_weather])
    result = await caller.invoke(agent, ask("weather?"))
    assert said(result["messages"]) == ["human", "ai", "tool", "tool", "ai"]
    results = [message for message in stage.sent["messages"] if message["role"] == "tool"]
    assert {message["content"] for message in results} == {"sunny in Rome", "sunny in Oslo"}
    calls = stage.sent["messages"][1]["tool_calls"]
    assert [call["id"] for call in calls] == [message["tool_call_id"] for message in results]


async def test_a_system_prompt_and_a_second_turn(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("Hi.").reply("Bye.")
    agent = create_agent(stage.model(), [get_weather], system_prompt="Be brief.", checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await caller.invoke(agent, ask("hello"), config)
    await caller.invoke(agent, ask("goodbye"), config)
    roles = [message["role"] for message in stage.sent["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


async def test_a_tool_that_fails_answers_with_its_error(caller: Caller) -> None:
    from langchain.agents.middleware import wrap_tool_call

    @wrap_tool_call
    def forgive(request: Any, handler: Any) -> Any:
        try:
            return handler(request)
        except ValueError as error:
            return ToolMessage(f"Error: {error}", tool_call_id=request.tool_call["id"], status="error")

    @wrap_tool_call
    async def aforgive(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except ValueError as error:
            return ToolMessage(f"Error: {error}", tool_call_id=request.tool_call["id"], status="error")

    stage, brain = scripted()
    brain.call("fails", city="Rome").reply("I could not find out.")
    agent = create_agent(stage.model(), [fails], middleware=[forgive if caller.colour == "sync" else aforgive])
    result = await caller.invoke(agent, ask("weather?"))
    assert result["messages"][2].status == "error"
    assert stage.sent["messages"][2]["content"] == "Error: no weather in Rome"
    assert result["messages"][-1].content == "I could not find out."


async def test_a_broken_call_is_never_executed(caller: Caller) -> None:
    for streaming in (False, True):
        stage, brain = scripted()
        brain.reply(Calling("get_weather", '{"city": "Ro'), finish="length")
        agent = create_agent(stage.model(streaming=streaming), [get_weather])
        result = await caller.invoke(agent, ask("weather?"))
        assert said(result["messages"]) == ["human", "ai"]
        assert len(result["messages"][-1].invalid_tool_calls) == 1


async def test_streamed_tokens_of_an_agent(caller: Caller) -> None:
    brain = ScriptedBrain()
    brain.reply(Reasoning("hm"), calling("get_weather", city="Rome")).reply("It ", "is ", "sunny.")
    agent = create_agent(Stage(brain).model(), [get_weather])
    pieces = await caller.stream(agent, ask("weather?"), stream_mode="messages")
    chunks = [piece for piece, _ in pieces if isinstance(piece, AIMessageChunk)]
    assert "".join(chunk.text for chunk in chunks) == "It is sunny."
    shown = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert shown[0]["name"] == "get_weather"
    assert "".join(piece["args"] or "" for piece in shown) == '{"city": "Rome"}'
    finals = [piece for piece, _ in pieces if isinstance(piece, ToolMessage)]
    assert [message.content for message in finals] == ["sunny in Rome"]


async def test_events_of_an_agent() -> None:
    brain = ScriptedBrain()
    brain.call("get_weather", city="Rome").reply("Sunny.")
    agent = create_agent(Stage(brain).model(), [get_weather])
    events = [event async for event in agent.astream_events(ask("weather?"), version="v2")]
    ends = [event["data"]["output"] for event in events if event["event"] == "on_chat_model_end"]
    assert [message.response_metadata["finish_reason"] for message in ends] == ["tool_calls", "stop"]
    assert all(message.usage_metadata for message in ends)


async def test_v1_content_in_a_loop(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(Reasoning("hm"), "Let me see.", calling("add", a=1, b=2)).reply("3")
    agent = create_agent(stage.model(output_version="v1"), [add])
    result = await caller.invoke(agent, ask("1+2?"))
    assert [block["type"] for block in result["messages"][1].content] == ["reasoning", "text", "tool_call"]
    assistant = stage.sent["messages"][1]
    assert assistant["content"] == "Let me see."
    assert len(assistant["tool_calls"]) == 1


# --------------------------------------------------------------------------- structured responses


async def test_the_profile_picks_the_providers_own_structured_output(caller: Caller) -> None:
    stage, brain = scripted()
    brain.call("get_weather", city="Rome").reply('{"city": "Rome", "sunny": true}')
    agent = create_agent(stage.model(), [get_weather], response_format=Weather)
    result = await caller.invoke(agent, ask("weather?"))
    assert result["structured_response"] == Weather(city="Rome", sunny=True)
    for sent in stage.chats():
        assert sent["response_format"]["type"] == "json_schema"
        assert [item["function"]["name"] for item in sent["tools"]] == ["get_weather"]
        assert "tool_choice_option" not in sent


async def test_an_unknown_model_gets_a_tool_instead(caller: Caller) -> None:
    stage, brain = scripted()
    brain.call("Weather", city="Rome", sunny=True)
    agent = create_agent(stage.model(deployment_id="mine"), [get_weather], response_format=Weather)
    result = await caller.invoke(agent, ask("weather?"))
    assert result["structured_response"] == Weather(city="Rome", sunny=True)
    assert "response_format" not in stage.sent
    assert stage.sent["tool_choice_option"] == "required"


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy])
async def test_either_strategy_by_name(strategy: Any, caller: Caller) -> None:
    stage, brain = scripted()
    answer: dict[str, Any] = {"city": "Rome", "sunny": True}
    brain.call("Weather", **answer) if strategy is ToolStrategy else brain.reply('{"city": "Rome", "sunny": true}')
    agent = create_agent(stage.model(), [], response_format=strategy(Weather))
    result = await caller.invoke(agent, ask("weather?"))
    assert result["structured_response"] == Weather(**answer)


async def test_a_strict_schema_of_the_agent_is_sent(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply('{"city": "Rome", "sunny": true}')
    agent = create_agent(stage.model(), [], response_format=ProviderStrategy(Weather, strict=True))
    await caller.invoke(agent, ask("weather?"))
    assert stage.sent["response_format"]["json_schema"]["strict"] is True


# --------------------------------------------------------------------------- many at once


async def test_many_agents_at_once() -> None:
    stage = Stage()
    agent = create_agent(stage.model(), [add])
    results = await asyncio.gather(*(agent.ainvoke(ask(f"use add for {n} and 1")) for n in range(20)))
    assert [result["messages"][-1].content for result in results] == [f"add says: {n + 1}" for n in range(20)]
    stage.emulator.journal.expect("/identity/token", times=1)


def test_loops_in_several_event_loops() -> None:
    stage = Stage()
    agent = create_agent(stage.model(), [add])
    for n in range(3):
        result = asyncio.run(agent.ainvoke(ask(f"use add for {n} and 1")))
        assert isinstance(result["messages"][-1], AIMessage)
        assert result["messages"][-1].content == f"add says: {n + 1}"
