"""Agents of LangGraph with the toolkit's tools, end to end on the emulator: its brain, its tools, its wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.runnables import Runnable

from tests.langchain.chatting import Caller, Stage, calls_of, scripted
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.faults import Faults, Status
from wx_integrations.emulator.scripted import calling
from wx_integrations.emulator.server import LocalServer
from wx_integrations.emulator.tools.toolbox import Toolbox
from wx_integrations.emulator.tools.vector_index import VectorIndex
from wx_integrations.langchain import WatsonxToolkit

RUN = "utility_agent_tools/run"
SEARCH_THEN_COMPUTE = 'First use GoogleSearch("Eiffel Tower"), then PythonInterpreter("print(330 * 2)")'


def kit(stage: Stage, **settings: Any) -> WatsonxToolkit:
    connection = stage.settings(**settings)
    for name in ("model_id", "max_completion_tokens"):
        connection.pop(name, None)
    return WatsonxToolkit(**connection)


def agent(stage: Stage, *names: str, **settings: Any) -> Runnable[Any, Any]:
    toolkit = kit(stage, **settings)
    return create_agent(stage.model(), [toolkit.get_tool(name) for name in names])


async def ask(caller: Caller, agent: Runnable[Any, Any], words: str) -> list[BaseMessage]:
    """Return what was said after the question."""
    state = await caller.invoke(agent, {"messages": [("user", words)]})
    messages: list[BaseMessage] = state["messages"]
    return messages[1:]


def results(messages: list[BaseMessage]) -> list[ToolMessage]:
    return [message for message in messages if isinstance(message, ToolMessage)]


def runs(stage: Stage) -> list[Any]:
    return stage.emulator.journal.bodies(RUN)


async def test_search_then_compute_then_answer(stage: Stage, caller: Caller) -> None:
    said = await ask(caller, agent(stage, "GoogleSearch", "PythonInterpreter"), SEARCH_THEN_COMPUTE)
    first, found, second, computed, last = said
    assert isinstance(first, AIMessage)
    assert isinstance(second, AIMessage)
    assert calls_of(first) == [("GoogleSearch", {"input": "Eiffel Tower"})]
    assert calls_of(second) == [("PythonInterpreter", {"input": "print(330 * 2)"})]
    assert isinstance(found, ToolMessage)
    assert found.artifact[0]["title"] == "Eiffel Tower"
    assert isinstance(computed, ToolMessage)
    assert computed.content == "660\n"
    assert "660" in str(last.content)
    assert runs(stage) == [
        {"tool_name": "GoogleSearch", "input": "Eiffel Tower"},
        {"tool_name": "PythonInterpreter", "input": "print(330 * 2)"},
    ]
    told = [tool["function"] for tool in stage.chats()[0]["tools"]]
    assert [function["name"] for function in told] == ["GoogleSearch", "PythonInterpreter"]
    answers = [message for message in stage.sent["messages"] if message["role"] == "tool"]
    assert [answer["content"] for answer in answers] == [found.content, "660\n"]
    assert [answer["tool_call_id"] for answer in answers] == [found.tool_call_id, computed.tool_call_id]


async def test_parallel_calls(stage: Stage, caller: Caller) -> None:
    said = await ask(caller, agent(stage, "Weather", "GoogleSearch"), "What is the weather in Rome and in Paris?")
    first = said[0]
    assert isinstance(first, AIMessage)
    assert calls_of(first) == [("Weather", {"location": "Rome"}), ("Weather", {"location": "Paris"})]
    weather = results(said)
    assert [message.tool_call_id for message in weather] == [call["id"] for call in first.tool_calls]
    assert [str(message.content).splitlines()[0] for message in weather] == [
        "Current weather in rome, italy:",
        "Current weather in paris, france:",
    ]
    assert sorted(body["input"]["location"] for body in runs(stage)) == ["Paris", "Rome"]


async def test_a_tool_that_fails_is_tried_again(caller: Caller) -> None:
    stage, brain = scripted()
    brain.call("PythonInterpreter", input="print(1 / 0)")
    brain.call("PythonInterpreter", input="print(6 * 7)")
    brain.reply("The answer is 42.")
    said = await ask(caller, agent(stage, "PythonInterpreter"), "Compute it")
    failed, worked = results(said)
    assert "ZeroDivisionError" in failed.content
    assert worked.content == "42\n"
    assert said[-1].content == "The answer is 42."
    assert "ZeroDivisionError" in stage.chats()[1]["messages"][-1]["content"]
    brain.expect_done()


async def test_a_refusal_is_read_by_the_model(caller: Caller) -> None:
    stage, brain = scripted()
    brain.call("Weather", location="Atlantis")
    brain.call("Weather", city="Rome")
    brain.call("Weather", location="Rome")
    brain.reply("21.3 degrees")
    said = await ask(caller, agent(stage, "Weather"), "How warm is it?")
    unknown, wrong, good = results(said)
    assert (unknown.status, wrong.status, good.status) == ("error", "error", "success")
    assert "no network" in unknown.content
    assert wrong.content == "Weather input: location: is required"
    assert [body["input"] for body in runs(stage)] == [{"location": "Atlantis"}, {"location": "Rome"}]
    assert [message["content"] for message in stage.sent["messages"] if message["role"] == "tool"] == [
        unknown.content,
        wrong.content,
        good.content,
    ]


async def test_trouble_of_the_service_is_outlived(caller: Caller) -> None:
    faults = Faults()
    faults.add(Status(503), path=RUN, nth=[1])
    stage = Stage(options={"faults": faults})
    said = await ask(
        caller, agent(stage, "GoogleSearch", retry={"retry_backoff_factor": 0}), 'Use GoogleSearch("Eiffel Tower")'
    )
    assert results(said)[0].status == "success"
    assert [entry.status for entry in stage.emulator.journal.find(RUN)] == [503, 200]


async def test_several_tools_in_one_answer(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(calling("GoogleSearch", input="Eiffel Tower"), calling("PythonInterpreter", input="print(330)"))
    brain.reply("330 metres")
    said = await ask(caller, agent(stage, "GoogleSearch", "PythonInterpreter"), "How tall?")
    assert [message.name for message in results(said)] == ["GoogleSearch", "PythonInterpreter"]
    assert said[-1].content == "330 metres"


async def test_streams(stage: Stage, caller: Caller) -> None:
    given = {"messages": [("user", SEARCH_THEN_COMPUTE)]}
    tools = agent(stage, "GoogleSearch", "PythonInterpreter")
    updates = await caller.stream(tools, given, stream_mode="updates")
    assert [next(iter(update)) for update in updates] == ["model", "tools", "model", "tools", "model"]
    pieces = await caller.stream(tools, given, stream_mode="messages")
    chunks = [message for message, _ in pieces if isinstance(message, AIMessageChunk)]
    assert len([chunk for chunk in chunks if chunk.content]) > 3
    assert "660" in "".join(str(chunk.content) for chunk in chunks)
    assert [message.content for message, _ in pieces if isinstance(message, ToolMessage)][-1] == "660\n"
    assert [entry.path.rpartition("/")[2] for entry in stage.emulator.journal.find("text/chat_stream")] == [
        "chat_stream"
    ] * 3


async def test_documents_of_ones_own(tmp_path: Path, caller: Caller) -> None:
    (tmp_path / "heights.md").write_text("The office tower on Granite Street is 87 metres tall.")
    brain = DeterministicBrain()
    index = VectorIndex.from_folder(tmp_path, brain, about="our buildings")
    stage = Stage(brain, {"tools": Toolbox(indexes={"buildings": index})})
    toolkit = kit(stage, tool_configs={"RAGQuery": {"vectorIndexId": "buildings"}})
    rag = toolkit.get_tool("RAGQuery")
    assert rag.description.endswith("specific knowledge about our buildings.")
    said = await ask(caller, create_agent(stage.model(), [rag]), 'Use RAGQuery("How tall is the office tower?")')
    assert results(said)[0].content == "The office tower on Granite Street is 87 metres tall."
    assert runs(stage)[0]["config"] == {
        "vectorIndexId": "buildings",
        "projectId": stage.settings()["project_id"],
    }


async def test_settings_that_are_missing_stop_the_agent(stage: Stage, caller: Caller) -> None:
    with pytest.raises(ConfigurationError, match="vectorIndexId"):
        await ask(caller, agent(stage, "RAGQuery"), 'Use RAGQuery("How tall?")')
    assert not runs(stage)


async def test_tools_that_are_off_say_so(caller: Caller) -> None:
    stage = Stage(options={"tools": False})
    with pytest.raises(Exception, match="tools of this emulator are off"):
        await kit(stage).aget_tools()


async def test_all_tools_at_once(stage: Stage, caller: Caller) -> None:
    tools = create_agent(stage.model(), kit(stage).get_tools())
    said = await ask(caller, tools, "What is the weather in Tokyo?")
    assert str(results(said)[0].content).startswith("Current weather in tokyo, japan:")
    assert len(stage.chats()[0]["tools"]) == 6


async def test_over_sockets(caller: Caller) -> None:
    with LocalServer(Emulator(strict=False)) as server:
        toolkit = WatsonxToolkit(url=server.url, token="any", project_id="p")
        python = await toolkit.aget_tool("PythonInterpreter")
        if caller.colour == "sync":
            assert python.invoke("print(6 * 7)") == "42\n"
        else:
            outputs = await asyncio.gather(*(python.ainvoke(f"print({number})") for number in range(4)))
            assert outputs == ["0\n", "1\n", "2\n", "3\n"]
            await toolkit.async_client.aclose()
        toolkit.client.close()
