"""Agents of LlamaIndex with the tool spec's tools, end to end on the emulator: its brain, its tools, its wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult

from tests.llamaindex.conftest import PROJECT, Service
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.scripted import ScriptedBrain, calling
from wx_integrations.emulator.tools.toolbox import Toolbox
from wx_integrations.emulator.tools.vector_index import VectorIndex
from wx_integrations.llamaindex import WatsonxToolSpec

pytestmark = [  # the framework looks through pydantic models by their old names
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key"),  # its memory buffer
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

RUN = "utility_agent_tools/run"
SEARCH_THEN_COMPUTE = 'First use GoogleSearch("Eiffel Tower"), then PythonInterpreter("print(330 * 2)")'


class Loop:
    """One run of an agent: its answer, the tools' results, and how many pieces were streamed."""

    def __init__(self, answer: str, results: list[ToolCallResult], pieces: int) -> None:
        self.answer = answer
        self.results = results
        self.pieces = pieces

    @property
    def called(self) -> list[tuple[str, Any]]:
        return [(result.tool_name, result.tool_kwargs) for result in self.results]


async def loop(service: Service, names: list[str], words: str, *, streaming: bool = True, **settings: Any) -> Loop:
    tools = await WatsonxToolSpec(**service.connection, **settings).to_tool_list_async(names)
    agent = FunctionAgent(tools=[*tools], llm=service.llm(), streaming=streaming)
    handler = agent.run(words)
    events = [event async for event in handler.stream_events()]
    answer = str(await handler)
    results = [event for event in events if isinstance(event, ToolCallResult)]
    return Loop(answer, results, sum(isinstance(event, AgentStream) for event in events))


def scripted() -> tuple[Service, ScriptedBrain]:
    brain = ScriptedBrain()
    return Service(Emulator(brain)), brain


@pytest.mark.parametrize("streaming", [True, False])
async def test_search_then_compute_then_answer(service: Service, streaming: bool) -> None:
    done = await loop(service, ["GoogleSearch", "PythonInterpreter"], SEARCH_THEN_COMPUTE, streaming=streaming)
    assert done.called == [
        ("GoogleSearch", {"input": "Eiffel Tower"}),
        ("PythonInterpreter", {"input": "print(330 * 2)"}),
    ]
    found, computed = done.results
    assert found.tool_output.raw_output[0]["title"] == "Eiffel Tower"
    assert computed.tool_output.content == "660\n"
    assert "660" in done.answer
    assert bool(done.pieces) is streaming
    assert service.sent(RUN) == [
        {"tool_name": "GoogleSearch", "input": "Eiffel Tower"},
        {"tool_name": "PythonInterpreter", "input": "print(330 * 2)"},
    ]
    chats = service.sent("text/chat_stream" if streaming else "text/chat")
    told = [tool["function"]["name"] for tool in chats[0]["tools"]]
    assert told == ["GoogleSearch", "PythonInterpreter"]
    answers = [message["content"] for message in chats[-1]["messages"] if message["role"] == "tool"]
    assert answers == [found.tool_output.content, "660\n"]


async def test_parallel_calls(service: Service) -> None:
    done = await loop(service, ["Weather", "GoogleSearch"], "What is the weather in Rome and in Paris?")
    assert sorted(kwargs["location"] for _, kwargs in done.called) == ["Paris", "Rome"]
    assert sorted(body["input"]["location"] for body in service.sent(RUN)) == ["Paris", "Rome"]
    assert all("made up by the emulator" in result.tool_output.content for result in done.results)


async def test_a_tool_that_fails_is_tried_again() -> None:
    service, brain = scripted()
    brain.call("PythonInterpreter", input="print(1 / 0)")
    brain.call("PythonInterpreter", input="print(6 * 7)")
    brain.reply("The answer is 42.")
    done = await loop(service, ["PythonInterpreter"], "Compute it")
    failed, worked = done.results
    assert "ZeroDivisionError" in failed.tool_output.content
    assert worked.tool_output.content == "42\n"
    assert done.answer == "The answer is 42."
    brain.expect_done()


async def test_a_refusal_is_read_by_the_model() -> None:
    service, brain = scripted()
    brain.call("Weather", location="Atlantis")
    brain.call("Weather", city="Rome")
    brain.call("Weather", location="Rome")
    brain.reply("21.3 degrees")
    done = await loop(service, ["Weather"], "How warm is it?")
    unknown, wrong, good = (result.tool_output for result in done.results)
    assert (unknown.is_error, wrong.is_error, good.is_error) == (True, True, False)
    assert "no network" in unknown.content
    assert "Weather input: location: is required" in wrong.content
    chats = service.sent("text/chat_stream")
    answers = [message["content"] for message in chats[-1]["messages"] if message["role"] == "tool"]
    assert answers == [unknown.content, wrong.content, good.content]


async def test_several_tools_in_one_answer() -> None:
    service, brain = scripted()
    brain.reply(calling("GoogleSearch", input="Eiffel Tower"), calling("PythonInterpreter", input="print(330)"))
    brain.reply("330 metres")
    done = await loop(service, ["GoogleSearch", "PythonInterpreter"], "How tall?")
    assert sorted(name for name, _ in done.called) == ["GoogleSearch", "PythonInterpreter"]
    assert done.answer == "330 metres"


async def test_documents_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "heights.md").write_text("The office tower on Granite Street is 87 metres tall.")
    brain = DeterministicBrain()
    index = VectorIndex.from_folder(tmp_path, brain, about="our buildings")
    service = Service(Emulator(brain, tools=Toolbox(indexes={"buildings": index})))
    settings: dict[str, Any] = {"tool_configs": {"RAGQuery": {"vectorIndexId": "buildings"}}}
    done = await loop(service, ["RAGQuery"], 'Use RAGQuery("How tall is the office tower?")', **settings)
    assert done.results[0].tool_output.content == "The office tower on Granite Street is 87 metres tall."
    assert service.sent(RUN)[0]["config"] == {"vectorIndexId": "buildings", "projectId": PROJECT}
