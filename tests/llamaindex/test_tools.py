"""Tools: what is offered, how one is chosen, and what comes back when a model calls badly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.types import BaseTool, ToolOutput
from pydantic import BaseModel

from tests.llamaindex.conformance import ADD, MULTIPLY
from tests.llamaindex.conftest import Colour, Script, Service, call, chunk, completion, usage_chunk
from wx_integrations.core.errors import ConfigurationError, OutputTruncated, UnexpectedResponse
from wx_integrations.core.wire.chat import Tool
from wx_integrations.llamaindex.answers import IN_PROGRESS

GOLDEN = Path(__file__).parents[1] / "golden" / "tool_streams"
streamed_too = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def answer(calls: list[dict[str, Any]], streamed: bool, finish_reason: str = "tool_calls") -> Any:
    """Return an answer with these calls: a body, or the frames of a stream."""
    if not streamed:
        return completion(None, tool_calls=calls, finish_reason=finish_reason)
    deltas = [chunk({"tool_calls": [{"index": index, **one}]}) for index, one in enumerate(calls)]
    return [*deltas, chunk({"content": ""}, finish_reason), usage_chunk()]


# --------------------------------------------------------------------------- what is offered


class Street(BaseModel):
    name: str


class Address(BaseModel):
    street: Street
    city: str


class Move(BaseModel):
    to: Address


def move(to: Address) -> str:
    """Move somewhere."""
    return to.city


async def test_a_tool_on_the_wire(colour: Colour) -> None:
    script = Script(completion())
    tool = FunctionTool.from_defaults(fn=move, fn_schema=Move, description="Move somewhere.")
    await colour.call(script.llm(), "chat_with_tools", [tool], user_msg="hi")
    [body] = script.requests
    [sent] = body["tools"]
    assert sent["type"] == "function"
    assert sent["function"]["name"] == "move"
    assert sent["function"]["description"] == "Move somewhere."
    parameters = sent["function"]["parameters"]
    assert "$ref" not in json.dumps(parameters)
    assert parameters["properties"]["to"]["properties"]["street"]["properties"]["name"]["type"] == "string"
    assert "strict" not in sent["function"]
    assert body["tool_choice_option"] == "auto"
    assert "tool_choice" not in body
    assert body["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("settings", "options", "strict"),
    [({}, {"strict": True}, True), ({"strict": True}, {}, True), ({"strict": True}, {"strict": False}, False)],
    ids=str,
)
async def test_strict_tools(settings: dict[str, Any], options: dict[str, Any], strict: bool, colour: Colour) -> None:
    script = Script(completion())
    await colour.call(script.llm(**settings), "chat_with_tools", [ADD], user_msg="hi", **options)
    assert script.requests[0]["tools"][0]["function"]["strict"] is strict


async def test_tools_in_every_form(colour: Colour) -> None:
    class Plain(BaseTool):
        @property
        def metadata(self) -> ToolMetadata:
            return ToolMetadata(name="plain", description="d" * 2000)

        def __call__(self, input: Any) -> ToolOutput:
            raise NotImplementedError

    script = Script(completion())
    as_dict = {"type": "function", "function": {"name": "dict", "parameters": {"type": "object"}}}
    as_wire = Tool.model_validate({"function": {"name": "wire"}})
    await colour.call(
        script.llm(), "chat", [ChatMessage(content="hi")], tools=[ADD, Plain(), as_dict, as_wire], tool_choice="wire"
    )
    assert [tool["function"]["name"] for tool in script.requests[0]["tools"]] == ["add", "plain", "dict", "wire"]
    assert script.requests[0]["tool_choice"] == {"type": "function", "function": {"name": "wire"}}
    assert as_dict == {"type": "function", "function": {"name": "dict", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"tool_choice_option": "auto"}),
        ({"tool_required": True}, {"tool_choice_option": "required"}),
        ({"tool_choice": "none"}, {"tool_choice_option": "none"}),
        ({"tool_choice": "any"}, {"tool_choice_option": "required"}),
        ({"tool_choice": "auto", "tool_required": True}, {"tool_choice_option": "auto"}),
        ({"tool_choice": "multiply"}, {"tool_choice": {"type": "function", "function": {"name": "multiply"}}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        ),
        ({"tool_choice_option": "required"}, {"tool_choice_option": "required"}),
    ],
    ids=str,
)
@streamed_too
async def test_choosing(options: dict[str, Any], sent: dict[str, Any], streamed: bool, colour: Colour) -> None:
    script = Script([chunk({"content": "x"}, "stop")] if streamed else completion())
    await colour.last(script.llm(), "chat_with_tools", [ADD, MULTIPLY], user_msg="hi", streamed=streamed, **options)
    [body] = script.requests
    assert {name: body[name] for name in ("tool_choice", "tool_choice_option") if name in body} == sent


async def test_an_unknown_tool_is_refused(colour: Colour) -> None:
    with pytest.raises(ConfigurationError, match=r"'ad' is not one of the tools.*Did you mean 'add'"):
        await colour.call(Script().llm(), "chat_with_tools", [ADD], user_msg="hi", tool_choice="ad")


async def test_no_tools_send_nothing_about_tools(colour: Colour) -> None:
    script = Script(completion())
    await colour.call(script.llm(), "chat_with_tools", [], user_msg="hi", tool_required=True)
    assert not [name for name in script.requests[0] if name.startswith("tool")]


async def test_a_message_and_a_history(colour: Colour) -> None:
    script = Script(completion())
    history = [ChatMessage(role="assistant", content="before")]
    await colour.call(
        script.llm(),
        "chat_with_tools",
        [ADD],
        user_msg=ChatMessage(content="hi"),
        chat_history=history,
        temperature=0.5,
    )
    assert [message["content"] for message in script.requests[0]["messages"]] == ["before", "hi"]
    assert script.requests[0]["temperature"] == 0.5
    assert history == [ChatMessage(role="assistant", content="before")]


# --------------------------------------------------------------------------- what comes back


@streamed_too
async def test_two_calls_in_one_piece(streamed: bool, colour: Colour) -> None:
    calls = [call("c1", "add", '{"a": 1, "b": 2}'), call("c2", "add", '{"a": 3, "b": 4}')]
    body: Any = completion(None, tool_calls=calls)
    if streamed:
        indexed = [{"index": index, **one} for index, one in enumerate(calls)]
        body = [chunk({"tool_calls": indexed}), chunk({}, "tool_calls"), usage_chunk()]
    llm = Script(body).llm()
    response = await colour.last(
        llm, "chat_with_tools", [ADD], user_msg="hi", allow_parallel_tool_calls=True, streamed=streamed
    )
    selections = llm.get_tool_calls_from_response(response)
    assert [(one.tool_id, one.tool_kwargs["b"]) for one in selections] == [("c1", 2), ("c2", 4)]


@streamed_too
async def test_malformed_arguments_are_an_error_with_the_text(streamed: bool, colour: Colour) -> None:
    llm = Script(answer([call("c1", "add", '{"a": 1, oops')], streamed)).llm()
    response = await colour.last(llm, "chat_with_tools", [ADD], user_msg="hi", streamed=streamed)
    [block] = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    assert block.tool_kwargs == '{"a": 1, oops'
    with pytest.raises(UnexpectedResponse, match="the call of 'add' are not a JSON object") as caught:
        llm.get_tool_calls_from_response(response)
    assert caught.value.excerpt == '{"a": 1, oops'
    assert '{"a": 1, oops' in str(caught.value)
    with pytest.raises(UnexpectedResponse):
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)


@pytest.mark.parametrize("arguments", ["[1, 2]", '"text"', "7"])
async def test_arguments_that_are_no_object(arguments: str, colour: Colour) -> None:
    llm = Script(answer([call("c1", "add", arguments)], streamed=False)).llm()
    response = await colour.call(llm, "chat_with_tools", [ADD], user_msg="hi")
    with pytest.raises(UnexpectedResponse, match="not a JSON object"):
        llm.get_tool_calls_from_response(response)


@pytest.mark.parametrize("arguments", ["", "null", "{}", '"{}"'])
@streamed_too
async def test_a_tool_without_parameters(arguments: str, streamed: bool, colour: Colour) -> None:
    llm = Script(answer([call("c1", "now", arguments)], streamed)).llm()
    tool = FunctionTool.from_defaults(fn=lambda: "noon", name="now")
    response = await colour.last(llm, "chat_with_tools", [tool], user_msg="hi", streamed=streamed)
    [selection] = llm.get_tool_calls_from_response(response)
    assert selection.tool_kwargs == {}


@streamed_too
async def test_arguments_cut_off_at_the_token_limit(streamed: bool, colour: Colour) -> None:
    llm = Script(answer([call("c1", "add", '{"a": 1, "b"')], streamed, finish_reason="length")).llm()
    response = await colour.last(llm, "chat_with_tools", [ADD], user_msg="hi", streamed=streamed)
    with pytest.raises(OutputTruncated, match="cut off at the token limit") as caught:
        llm.get_tool_calls_from_response(response)
    assert caught.value.text == '{"a": 1, "b"'


async def test_cut_off_before_a_call(colour: Colour) -> None:
    llm = Script(completion("Let me think", finish_reason="length")).llm()
    response = await colour.call(llm, "chat_with_tools", [ADD], user_msg="hi", tool_required=True)
    with pytest.raises(OutputTruncated, match="before it called a tool"):
        llm.get_tool_calls_from_response(response)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


async def test_while_arguments_arrive_they_can_be_read_as_far_as_they_go(colour: Colour) -> None:
    pieces = ["", '{"a"', ": 1", ', "b": ', "2}"]
    frames = [chunk({"tool_calls": [call("c1", "add", pieces[0], 0)]})]
    frames += [chunk({"tool_calls": [call(None, "", piece, 0)]}) for piece in pieces[1:]]
    llm = Script([*frames, chunk({}, "tool_calls"), usage_chunk()]).llm()
    responses = await colour.stream(llm, "stream_chat_with_tools", [ADD], user_msg="hi")
    seen = [
        [selection.tool_kwargs for selection in llm.get_tool_calls_from_response(response)] for response in responses
    ]
    assert seen[0] == [{}]
    assert seen[2] == [{"a": 1}]
    assert seen[-1] == [{"a": 1, "b": 2}]
    assert [IN_PROGRESS in response.additional_kwargs for response in responses] == [True] * 5 + [False, False]


async def test_a_call_that_was_held_back_when_no_finish_reason_came(colour: Colour) -> None:
    whole = ['{"a": 0, "b": 0}', '{"a": 17, "b": 4}', "{}"]
    frames = [chunk({"tool_calls": [call("c1", "add", "", 0)]})]
    frames += [chunk({"tool_calls": [call(None, "", text, 0)]}) for text in whole]
    llm = Script([*frames, usage_chunk()]).llm()
    responses = await colour.stream(llm, "stream_chat_with_tools", [ADD], user_msg="hi")
    [selection] = llm.get_tool_calls_from_response(responses[-1])
    assert selection.tool_kwargs == {"a": 17, "b": 4}
    assert responses[-1].additional_kwargs["total_tokens"] == 12


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.sse") if "schema" not in path.name))
async def test_recorded_streams_can_be_called(name: str, colour: Colour) -> None:
    script = Script((GOLDEN / name).read_bytes())
    llm = script.llm(None, model="m") if name == "gateway.sse" else script.llm()
    responses = await colour.stream(llm, "stream_chat_with_tools", [ADD], user_msg="hi", allow_parallel_tool_calls=True)
    selections = llm.get_tool_calls_from_response(responses[-1])
    assert selections
    assert all(selection.tool_id and selection.tool_name and selection.tool_kwargs for selection in selections)
    for response in responses:
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)


def test_answers_made_by_hand_have_to_be_whole() -> None:
    llm = Script().llm()
    block = ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs='{"a": 1')
    response = ChatResponse(message=ChatMessage(role="assistant", blocks=[block]))
    with pytest.raises(UnexpectedResponse):
        llm.get_tool_calls_from_response(response)
    block.tool_kwargs = '{"a": 1}'
    assert llm.get_tool_calls_from_response(response)[0].tool_kwargs == {"a": 1}


# --------------------------------------------------------------------------- predict and call


async def test_a_tool_that_fails(service: Service, colour: Colour) -> None:
    def broken(a: int) -> int:
        """Break."""
        raise RuntimeError("no luck")

    tool = FunctionTool.from_defaults(fn=broken)
    asked = {"user_msg": "Use the tool 'broken' on 1."}
    output = await colour.call(service.llm(), "predict_and_call", [tool], **asked)
    assert "no luck" in output.response
    with pytest.raises(ValueError, match="no luck"):
        await colour.call(service.llm(), "predict_and_call", [tool], error_on_tool_error=True, **asked)


async def test_predicting_a_call_that_does_not_come(service: Service, colour: Colour) -> None:
    llm = service.llm()
    with pytest.raises(ValueError, match="at least one tool call"):
        await colour.call(llm, "predict_and_call", [ADD], user_msg="Hello")
    output = await colour.call(llm, "predict_and_call", [ADD], user_msg="Hello", error_on_no_tool_call=False)
    assert "Hello" in output.response
