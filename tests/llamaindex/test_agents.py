"""Agents: the framework's own loops on the model, with tools, memory, handoffs and streams of events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentInput,
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCall,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ThinkingBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context
from pydantic import BaseModel

from tests.llamaindex.conformance import add, multiply
from tests.llamaindex.conftest import Script, Service, call, chunk, usage_chunk
from wx_integrations.core.errors import UnexpectedResponse

pytestmark = [  # the framework looks through pydantic models by their old names
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key"),  # its memory buffer
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]


def says(text: str) -> list[dict[str, Any]]:
    """Return the frames of an answer in text."""
    return [chunk({"content": piece}) for piece in text.splitlines(keepends=True)] + [chunk({}, "stop"), usage_chunk()]


def calls(*named: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return the frames of an answer that calls tools: id, name, arguments."""
    deltas = [call(id, name, arguments, index) for index, (id, name, arguments) in enumerate(named)]
    return [*(chunk({"tool_calls": [delta]}) for delta in deltas), chunk({}, "tool_calls"), usage_chunk()]


async def events_of(handler: Any) -> list[Any]:
    return [event async for event in handler.stream_events()]


@pytest.fixture(params=["memory", "buffer"])
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """The framework's memories; the newer one holds a database connection, which nobody else closes."""
    if request.param == "buffer":
        yield ChatMemoryBuffer.from_defaults(token_limit=4000)
        return
    store = SQLAlchemyChatStore("messages", async_database_uri="sqlite+aiosqlite:///:memory:")
    yield Memory.from_defaults(token_limit=4000, chat_store=store)
    if store._async_engine is not None:
        await store._async_engine.dispose()


# --------------------------------------------------------------------------- one agent


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_on_the_emulator(streaming: bool, service: Service) -> None:
    agent = FunctionAgent(tools=[add, multiply], llm=service.llm(), streaming=streaming, system_prompt="Calculate.")
    handler = agent.run("Use the tool 'add' on 17 and 4.")
    events = await events_of(handler)
    result = await handler
    assert "21" in str(result)
    results = [event for event in events if isinstance(event, ToolCallResult)]
    assert [(event.tool_name, event.tool_kwargs, event.tool_output.content) for event in results] == [
        ("add", {"a": 17, "b": 4}, "21")
    ]
    assert bool([event for event in events if isinstance(event, AgentStream)]) is streaming
    first, second = service.sent()
    assert first["messages"][0] == {"role": "system", "content": "Calculate."}
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert second["messages"][2]["tool_calls"][0]["id"] == second["messages"][3]["tool_call_id"]


async def test_parallel_calls_run_and_go_back_together() -> None:
    script = Script(calls(("c1", "add", '{"a": 1, "b": 2}'), ("c2", "multiply", '{"a": 3, "b": 4}')), says("3 and 12"))
    agent = FunctionAgent(tools=[add, multiply], llm=script.llm())
    handler = agent.run("1+2 and 3*4?")
    events = await events_of(handler)
    assert str(await handler) == "3 and 12"
    assert [event.tool_name for event in events if isinstance(event, ToolCall) and type(event) is ToolCall] == [
        "add",
        "multiply",
    ]
    sent = script.requests[1]["messages"]
    assert [called["id"] for called in sent[1]["tool_calls"]] == ["c1", "c2"]
    answers = {message["tool_call_id"]: message["content"] for message in sent[2:]}
    assert answers == {"c1": "3", "c2": "12"}


async def test_the_stream_of_an_agent_shows_text_thinking_and_calls() -> None:
    frames = [
        chunk({"reasoning_content": "add them"}),
        chunk({"content": "One "}),
        chunk({"content": "moment"}),
        chunk({"tool_calls": [call("c1", "add", '{"a": 1', 0)]}),
        chunk({"tool_calls": [call(None, "", ', "b": 2}', 0)]}),
        chunk({}, "tool_calls"),
        usage_chunk(),
    ]
    script = Script(frames, says("3"))
    handler = FunctionAgent(tools=[add], llm=script.llm()).run("1+2?")
    streamed = [event for event in await events_of(handler) if isinstance(event, AgentStream)][: len(frames)]
    output: Any = await handler
    assert [event.thinking_delta for event in streamed][:2] == ["add them", None]
    assert "".join(event.delta for event in streamed) == "One moment"
    assert streamed[-1].response == "One moment"
    assert [len(event.tool_calls) for event in streamed] == [0, 0, 0, 1, 1, 1, 1]
    assert streamed[-1].tool_calls[0].tool_kwargs == {"a": 1, "b": 2}
    assert streamed[-1].raw == frames[-1]
    assert str(output) == "3"
    assert output.tool_calls[0].tool_output.content == "3"


async def test_the_first_tool_can_be_chosen() -> None:
    script = Script(calls(("c1", "multiply", '{"a": 3, "b": 4}')), says("12"))
    agent = FunctionAgent(tools=[add, multiply], llm=script.llm(), initial_tool_choice="multiply")
    assert str(await agent.run("3 and 4?")) == "12"
    first, second = script.requests
    assert first["tool_choice"]["function"]["name"] == "multiply"
    assert second["tool_choice_option"] == "auto"


async def test_a_tool_that_fails_is_told_to_the_model() -> None:
    def broken(a: int) -> int:
        """Break."""
        raise RuntimeError("no luck")

    script = Script(calls(("c1", "broken", '{"a": 1}')), says("It failed."))
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(fn=broken)], llm=script.llm())
    assert str(await agent.run("break")) == "It failed."
    assert "no luck" in script.requests[1]["messages"][-1]["content"]


async def test_malformed_arguments_end_the_run_with_their_text() -> None:
    """Better an error than a tool that runs with nothing."""
    ran = []

    def delete(path: str = "everything") -> str:
        """Delete a file."""
        ran.append(path)
        return "done"

    script = Script(calls(("c1", "delete", '{"path": oops')))
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(fn=delete)], llm=script.llm())
    with pytest.raises(UnexpectedResponse, match="oops"):
        await agent.run("delete it")
    assert ran == []


async def test_memory_and_context_carry_a_conversation(memory: Any, service: Service) -> None:
    agent = FunctionAgent(tools=[add], llm=service.llm())
    context = Context(agent)
    await agent.run("Use the tool 'add' on 17 and 4.", ctx=context, memory=memory)
    await agent.run("Hello again", ctx=context, memory=memory)
    roles = [message["role"] for message in service.sent()[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_memory_of_the_user(memory: Any, service: Service) -> None:
    agent = FunctionAgent(tools=[add], llm=service.llm())
    await agent.run("Use the tool 'add' on 17 and 4.", memory=memory)
    messages = await memory.aget_all() if hasattr(memory, "aget_all") else memory.get_all()
    assert [message.role for message in messages] == [
        MessageRole.USER,
        MessageRole.ASSISTANT,
        MessageRole.TOOL,
        MessageRole.ASSISTANT,
    ]
    assert [type(block) for block in messages[1].blocks] == [ToolCallBlock]


async def test_thinking_in_memory_stays_at_home(memory: Any) -> None:
    script = Script([chunk({"reasoning_content": "hm"}), chunk({"content": "hi"}, "stop"), usage_chunk()], says("yes"))
    agent = FunctionAgent(tools=[add], llm=script.llm())
    first: Any = await agent.run("hello", memory=memory)
    assert first.response.blocks[0] == ThinkingBlock(content="hm")
    await agent.run("still there?", memory=memory)
    assert script.requests[1]["messages"][1] == {"role": "assistant", "content": "hi"}


class Sum(BaseModel):
    total: int


async def test_an_agent_with_a_structured_answer() -> None:
    final = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"total": 3}'}}]}
    script = Script(calls(("c1", "add", '{"a": 1, "b": 2}')), says("3"), final)
    agent = FunctionAgent(tools=[add], llm=script.llm(), output_cls=Sum)
    result: Any = await agent.run("1+2?")
    assert result.get_pydantic_model(Sum) == Sum(total=3)
    assert script.requests[2]["response_format"]["json_schema"]["name"] == "Sum"


# --------------------------------------------------------------------------- ReAct


async def test_a_react_agent() -> None:
    script = Script(
        says('Thought: I need to add.\nAction: add\nAction Input: {"a": 17, "b": 4}\n'),
        says("Thought: I can answer without using any more tools.\nAnswer: It is 21.\n"),
    )
    handler = ReActAgent(tools=[add], llm=script.llm()).run("17+4?")
    events = await events_of(handler)
    assert str(await handler) == "It is 21."
    assert [event.tool_output.content for event in events if isinstance(event, ToolCallResult)] == ["21"]
    assert "tools" not in script.requests[0]
    assert "Observation: 21" in script.requests[1]["messages"][-1]["content"]


async def test_a_model_without_tools_falls_back_to_react() -> None:
    script = Script(says("Thought: Easy.\nAnswer: Hello.\n"))
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=script.llm("mistralai/mixtral-8x7b-instruct-v01"))
    assert isinstance(next(iter(workflow.agents.values())), ReActAgent)
    assert str(await workflow.run("Hello")) == "Hello."


# --------------------------------------------------------------------------- several agents


async def test_a_workflow_hands_over() -> None:
    script = Script(
        calls(("c1", "handoff", '{"to_agent": "calculator", "reason": "numbers"}')),
        calls(("c2", "add", '{"a": 17, "b": 4}')),
        says("It is 21."),
    )
    llm = script.llm()
    greeter = FunctionAgent(
        name="greeter", description="Greets.", llm=llm, tools=[multiply], can_handoff_to=["calculator"]
    )
    calculator = FunctionAgent(name="calculator", description="Adds.", llm=llm, tools=[add], system_prompt="Add.")
    workflow = AgentWorkflow(agents=[greeter, calculator], root_agent="greeter")
    handler = workflow.run("What is 17 + 4?")
    events = await events_of(handler)
    result: Any = await handler
    assert str(result) == "It is 21."
    assert result.current_agent_name == "calculator"
    assert [event.current_agent_name for event in events if isinstance(event, AgentInput)] == [
        "greeter",
        "calculator",
        "calculator",
    ]
    assert [event.tool_name for event in events if isinstance(event, ToolCallResult)] == ["handoff", "add"]
    assert {event.current_agent_name for event in events if isinstance(event, AgentStream)} == {"greeter", "calculator"}
    assert len([event for event in events if isinstance(event, AgentOutput)]) == 3
    first, second, _ = script.requests
    assert {tool["function"]["name"] for tool in first["tools"]} == {"multiply", "handoff"}
    assert second["messages"][0] == {"role": "system", "content": "Add."}


async def test_a_workflow_keeps_state_between_agents(service: Service) -> None:
    async def remember(ctx: Context, what: str) -> str:
        """Remember something."""
        async with ctx.store.edit_state() as state:
            state["state"]["note"] = what
        return "Remembered."

    # the framework does not resolve annotations that are text
    remember.__annotations__ |= {"ctx": Context, "what": str}
    script = Script(calls(("c1", "remember", '{"what": "granite"}')), says("Done."))
    agent = FunctionAgent(name="a", description="d", llm=script.llm(), tools=[remember])
    workflow = AgentWorkflow(agents=[agent], root_agent="a", initial_state={"note": ""})
    context = Context(workflow)
    assert str(await workflow.run(ChatMessage(content="Remember granite."), ctx=context)) == "Done."
    assert (await context.store.get("state"))["note"] == "granite"
    assert script.requests[0]["tools"][0]["function"]["parameters"]["required"] == ["what"]
