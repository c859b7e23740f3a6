"""Tools: every kind, every choice, what goes over the wire and what comes back."""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from tests.langchain.chatting import MODEL, Caller, Stage, calls_of, scripted, whole
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.scripted import calling
from wx_integrations.langchain import WatsonxWarning
from wx_integrations.langchain.schemas import tool_of

ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}


class AddPydantic(BaseModel):
    """Add numbers."""

    a: int
    b: int


class AddV1(BaseModelV1):
    """Add numbers."""

    a: int
    b: int


class AddTypedDict(TypedDict):
    """Add numbers."""

    a: int
    b: int


def add_callable(a: int, b: int) -> int:
    """Add numbers."""
    return a + b


@tool
def add_tool(a: int, b: int) -> int:
    """Add numbers."""
    return a + b


def _add(numbers: Any) -> Any:
    return numbers["a"] + numbers["b"]


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # as_tool is in beta
    ADD_RUNNABLE = RunnableLambda(_add).as_tool(AddPydantic, name="add_runnable", description="Add numbers.")
FUNCTION = {"name": "add_dict", "description": "Add numbers.", "parameters": ADD}

KINDS: dict[str, Any] = {
    "AddPydantic": AddPydantic,
    "AddV1": AddV1,
    "AddTypedDict": AddTypedDict,
    "add_callable": add_callable,
    "add_tool": add_tool,
    "add_runnable": ADD_RUNNABLE,
    "add_dict": FUNCTION,
}
DICTIONARIES: dict[str, Any] = {
    "openai tool": {"type": "function", "function": FUNCTION},
    "openai function": FUNCTION,
    "anthropic": {"name": "add_dict", "description": "Add numbers.", "input_schema": ADD, "cache_control": {}},
    "bedrock": {"toolSpec": {"name": "add_dict", "description": "Add numbers.", "inputSchema": {"json": ADD}}},
    "json schema": {"title": "add_dict", "description": "Add numbers.", **ADD},
}


@pytest.mark.parametrize("name", KINDS)
async def test_each_kind_of_tool_reaches_the_wire_and_is_called(name: str, stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind_tools([KINDS[name]])
    message = await caller.invoke(bound, f"use {name} for 3 and 4")
    [sent] = stage.sent["tools"]
    assert sent["type"] == "function"
    assert (sent["function"]["name"], sent["function"]["description"]) == (name, "Add numbers.")
    parameters = sent["function"]["parameters"]
    assert parameters["properties"]["a"]["type"] == "integer"
    assert parameters["required"] == ["a", "b"]
    assert calls_of(message) == [(name, {"a": 3, "b": 4})]
    assert "tool_choice" not in stage.sent
    assert "tool_choice_option" not in stage.sent


@pytest.mark.parametrize("kind", DICTIONARIES)
def test_each_dictionary_means_the_same(kind: str) -> None:
    assert tool_of(DICTIONARIES[kind]) == {"type": "function", "function": FUNCTION}


def test_descriptions_and_defaults_of_parameters_are_sent() -> None:
    class Search(BaseModel):
        """Search."""

        query: str = Field(description="What to look for")
        kind: Literal["web", "news"] = "web"
        limit: Annotated[int, Field(ge=1, le=10)] = 5

    properties = tool_of(Search)["function"]["parameters"]["properties"]
    assert properties["query"]["description"] == "What to look for"
    assert properties["kind"]["enum"] == ["web", "news"]
    assert properties["limit"] == {"default": 5, "minimum": 1, "maximum": 10, "type": "integer"}


class Address(BaseModel):
    city: str


class Person(BaseModel):
    """A person."""

    name: str
    address: Address


class Node(BaseModel):
    """A node."""

    value: int
    children: list[Node] = []


def test_references_are_written_out() -> None:
    written = json.dumps(tool_of(Person))
    assert "$ref" not in written
    assert "$defs" not in written
    given = {"name": "f", "parameters": Person.model_json_schema()}
    assert "$ref" not in json.dumps(tool_of(given))


def test_a_schema_that_holds_itself_keeps_its_definition() -> None:
    parameters = tool_of(Node)["function"]["parameters"]
    assert json.dumps({"$ref": "#/$defs/Node"}) in json.dumps(parameters)
    assert "children" in parameters["$defs"]["Node"]["properties"]


async def test_nothing_is_sent_for_no_tools(stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind_tools([], tool_choice="auto", parallel_tool_calls=False)
    await caller.invoke(bound, "hello")
    assert not {"tools", "tool_choice", "tool_choice_option", "parallel_tool_calls"} & set(stage.sent)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, {}),
        (False, {}),
        ("auto", {"tool_choice_option": "auto"}),
        ("none", {"tool_choice_option": "none"}),
        ("any", {"tool_choice_option": "required"}),
        ("required", {"tool_choice_option": "required"}),
        (True, {"tool_choice_option": "required"}),
        ("add_tool", {"tool_choice": {"type": "function", "function": {"name": "add_tool"}}}),
        (
            {"type": "function", "function": {"name": "add_tool"}},
            {"tool_choice": {"type": "function", "function": {"name": "add_tool"}}},
        ),
    ],
)
async def test_each_choice_has_one_field(choice: Any, sent: dict[str, Any], stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind_tools([add_tool, add_callable], tool_choice=choice)
    await caller.invoke(bound, "hello")
    assert {name: stage.sent[name] for name in ("tool_choice", "tool_choice_option") if name in stage.sent} == sent


async def test_choice_fields_bound_by_hand(stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind(tools=[add_tool], tool_choice_option="required")
    await caller.invoke(bound, "hello")
    assert stage.sent["tool_choice_option"] == "required"
    with pytest.raises(ConfigurationError, match="both tool_choice and tool_choice_option"):
        await caller.invoke(bound, "hello", tool_choice="auto")


@pytest.mark.parametrize("choice", ["substract", {"type": "function", "function": {"name": "other"}}])
def test_an_unknown_tool_is_refused_when_it_is_bound(choice: Any) -> None:
    with pytest.raises(ConfigurationError, match="add_tool"):
        Stage().model().bind_tools([add_tool], tool_choice=choice)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "web_search"}, "no built-in tool 'web_search'"),
        ({"no": "name"}, "not usable"),
        (5, "not usable"),
        ({"type": "function", "function": {"name": "f"}, "cache_control": {}}, "cache_control"),
    ],
)
def test_what_is_no_tool_is_refused(given: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Stage().model().bind_tools([given])


async def test_fields_of_a_function_that_the_api_lacks_are_refused(stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind(tools=[{"type": "function", "function": {"name": "f", "parameter": {}}}])
    with pytest.raises(ConfigurationError, match="'f' has parameter"):
        await caller.invoke(bound, "hello")
    assert stage.chats() == []


@pytest.mark.parametrize("kind", [add_tool, AddPydantic, {"type": "function", "function": FUNCTION}])
async def test_strict_is_sent(kind: Any, stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model().bind_tools([kind], strict=True), "hello")
    [sent] = stage.sent["tools"]
    assert sent["function"]["strict"] is True
    assert sent["function"]["parameters"]["additionalProperties"] is False
    await caller.invoke(stage.model().bind_tools([kind]), "hello")
    assert "strict" not in stage.sent["tools"][0]["function"]


def test_given_tools_are_left_as_they_were() -> None:
    given = {"type": "function", "function": dict(FUNCTION)}
    before = json.dumps(given)
    tool_of(given, strict=True)
    assert json.dumps(given) == before


# --------------------------------------------------------------------------- parallel calls


async def test_parallel_calls_that_cannot_be_switched_off_are_said_to_be(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(calling("add_tool", a=1, b=2), calling("add_tool", a=3, b=4))
    bound = stage.model().bind_tools([add_tool], parallel_tool_calls=False)
    with pytest.warns(WatsonxWarning, match="no such switch"):
        message = await caller.invoke(bound, "hello")
    assert len(message.tool_calls) == 2
    assert "parallel_tool_calls" not in stage.sent


@pytest.mark.parametrize("asked", [True, None])
async def test_parallel_calls_are_the_default(asked: bool | None, stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model().bind_tools([add_tool], parallel_tool_calls=asked), "hello")
    assert "parallel_tool_calls" not in stage.sent


async def test_the_first_call_only_if_the_user_asks(caller: Caller) -> None:
    stage, brain = scripted()
    for _ in range(3):
        brain.reply("Hm. ", calling("add_tool", a=1, b=2), calling("add_tool", a=3, b=4))
    bound = stage.model().bind_tools([add_tool], parallel_tool_calls=False, first_tool_call_only=True)
    assert calls_of(await caller.invoke(bound, "hello")) == [("add_tool", {"a": 1, "b": 2})]
    assert calls_of(whole(await caller.stream(bound, "hello"))) == [("add_tool", {"a": 1, "b": 2})]
    always = stage.model(first_tool_call_only=True).bind_tools([add_tool])
    assert calls_of(await caller.invoke(always, "hello")) == [("add_tool", {"a": 1, "b": 2})]


# --------------------------------------------------------------------------- what comes back


async def test_double_encoded_arguments_are_read(caller: Caller) -> None:
    stage, brain = scripted()
    recorded = '"{\\n  \\"country\\": \\"Italy\\"\\n}"'
    call = {"id": "c1", "type": "function", "function": {"name": "get_current_time", "arguments": recorded}}
    said = {"role": "assistant", "tool_calls": [call]}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [choice]})
    message = await caller.invoke(stage.model().bind_tools([FUNCTION]), "time?")
    assert calls_of(message) == [("get_current_time", {"country": "Italy"})]


@pytest.mark.parametrize("arguments", ["null", "", "{}"])
async def test_a_call_without_arguments(arguments: str, caller: Caller) -> None:
    stage, brain = scripted()
    call = {"type": "function", "function": {"name": "now", "arguments": arguments}}
    said = {"role": "assistant", "tool_calls": [call]}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [choice]})
    message = await caller.invoke(stage.model().bind_tools([FUNCTION]), "time?")
    assert calls_of(message) == [("now", {})]
    assert message.tool_calls[0]["id"]


@pytest.mark.parametrize("arguments", ["{'a': 1}", "[1]", "7", '{"a": 1} and more'])
async def test_malformed_arguments_stay_verbatim(arguments: str, caller: Caller) -> None:
    stage, brain = scripted()
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": arguments}}
    good = {"id": "c2", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    said = {"role": "assistant", "tool_calls": [call, good]}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    brain.replay({"id": "1", "model_id": MODEL, "choices": [choice]})
    message = await caller.invoke(stage.model().bind_tools([FUNCTION]), "go")
    assert calls_of(message) == [("add", {"a": 2})]
    [broken] = message.invalid_tool_calls
    assert (broken["args"], broken["id"], broken["name"]) == (arguments, "c1", "add")
    assert broken["error"]


async def test_a_whole_round(stage: Stage, caller: Caller) -> None:
    bound = stage.model().bind_tools([add_tool])
    question = HumanMessage("use add_tool for 3 and 4")
    asked = await caller.invoke(bound, [question])
    result = add_tool.invoke(asked.tool_calls[0])
    assert isinstance(result, ToolMessage)
    answered = await caller.invoke(bound, [question, asked, result])
    assert answered.content == "add_tool says: 7"
    call = asked.tool_calls[0]
    assert stage.sent["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call["id"], "type": "function", "function": {"name": "add_tool", "arguments": '{"a":3,"b":4}'}}
            ],
        },
        {"role": "tool", "content": "7", "tool_call_id": call["id"]},
    ]


async def test_list_content_of_a_tool_message_is_flattened(stage: Stage, caller: Caller) -> None:
    history = [
        HumanMessage("go"),
        AIMessage("", tool_calls=[{"name": "add_tool", "args": {}, "id": "c1"}]),
        ToolMessage([{"type": "text", "text": "one"}, "two"], tool_call_id="c1"),
    ]
    await caller.invoke(stage.model(), history)
    assert stage.sent["messages"][2] == {"role": "tool", "content": "one\ntwo", "tool_call_id": "c1"}


async def test_an_image_in_a_tool_message_is_refused(stage: Stage, caller: Caller) -> None:
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    history = [
        HumanMessage("go"),
        AIMessage("", tool_calls=[{"name": "add_tool", "args": {}, "id": "c1"}]),
        ToolMessage([image], tool_call_id="c1"),
    ]
    with pytest.raises(ConfigurationError, match=r"text only in a tool message.*HumanMessage"):
        await caller.invoke(stage.model(), history)
    assert stage.chats() == []


# --------------------------------------------------------------------------- calls written as text

WRITTEN = 'Sure. <tool_call>{"name": "add_tool", "arguments": {"a": 1, "b": 2}}</tool_call>'


async def test_written_calls_are_recovered_when_asked(caller: Caller) -> None:
    stage, brain = scripted()
    for _ in range(2):
        brain.reply(*[WRITTEN[place : place + 5] for place in range(0, len(WRITTEN), 5)])
    bound = stage.model(recover_tool_calls=True).bind_tools([add_tool])
    plain = await caller.invoke(bound, "go")
    chunks = await caller.stream(bound, "go")
    for message in (plain, whole(chunks)):
        assert message.content == "Sure. "
        assert calls_of(message) == [("add_tool", {"a": 1, "b": 2})]
        assert message.tool_calls[0]["id"]
        assert message.response_metadata["finish_reason"] == "tool_calls"
    assert not any("<tool" in chunk.text for chunk in chunks)


async def test_written_calls_stay_text_otherwise(caller: Caller) -> None:
    stage, brain = scripted()
    for _ in range(3):
        brain.reply(WRITTEN)
    by_default = await caller.invoke(stage.model().bind_tools([add_tool]), "go")
    without_tools = await caller.invoke(stage.model(recover_tool_calls=True), "go")
    other_tools = whole(await caller.stream(stage.model(recover_tool_calls=True).bind_tools([add_callable]), "go"))
    for message in (by_default, without_tools, other_tools):
        assert message.content == WRITTEN
        assert message.tool_calls == []


async def test_real_and_written_calls_get_different_places(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(calling("add_tool", a=5, b=6), WRITTEN)
    bound = stage.model(recover_tool_calls=True).bind_tools([add_tool])
    message = whole(await caller.stream(bound, "go"))
    assert calls_of(message) == [("add_tool", {"a": 5, "b": 6}), ("add_tool", {"a": 1, "b": 2})]
    assert len({call["id"] for call in message.tool_calls}) == 2


def test_no_warning_without_reason(stage: Stage) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stage.model().bind_tools([add_tool], parallel_tool_calls=True).invoke("hello")
    assert len(stage.chats()) == 1


def test_a_structured_tool_with_a_json_schema(stage: Stage) -> None:
    made: BaseTool = StructuredTool(name="made", description="Made.", args_schema=Person.model_json_schema())
    stage.model().bind_tools([made]).invoke("hello")
    [sent] = stage.sent["tools"]
    assert sent["function"]["parameters"]["properties"]["address"]["properties"]["city"]["type"] == "string"
    assert "$ref" not in json.dumps(sent)
