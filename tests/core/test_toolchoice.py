"""Every way of choosing a tool, exhaustively."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.toolcalls import ToolSelection, select_tool
from wx_integrations.core.wire.chat import ChatRequest, Function, FunctionName, Tool, ToolChoice, UserMessage

NAMES = ("get_weather", "add")
SILENT = ToolSelection()


def forced(name: str) -> ToolSelection:
    return ToolSelection(tool_choice=ToolChoice(function=FunctionName(name=name)))


CHOICES: list[tuple[Any, ToolSelection]] = [
    (None, SILENT),
    (False, SILENT),
    (True, ToolSelection(tool_choice_option="required")),
    ("required", ToolSelection(tool_choice_option="required")),
    ("any", ToolSelection(tool_choice_option="required")),
    ("auto", ToolSelection(tool_choice_option="auto")),
    ("none", ToolSelection(tool_choice_option="none")),
    ("add", forced("add")),
    ({"type": "function", "function": {"name": "add"}}, forced("add")),
    ({"type": "function", "name": "add"}, forced("add")),
    ({"type": "tool", "name": "add"}, forced("add")),
    ({"type": "any"}, ToolSelection(tool_choice_option="required")),
    ({"type": "required"}, ToolSelection(tool_choice_option="required")),
    ({"type": "auto"}, ToolSelection(tool_choice_option="auto")),
    ({"type": "none"}, ToolSelection(tool_choice_option="none")),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES, ids=repr)
def test_a_choice(choice: Any, expected: ToolSelection) -> None:
    before = repr(choice)
    assert select_tool(choice, NAMES) == expected
    assert repr(choice) == before


@pytest.mark.parametrize(
    "choice",
    [
        *("", "Add", "subtract", "function", 1, 0, 1.0, [], ["add"], b"add", object()),
        *({}, {"name": "add"}, {"type": "function"}, {"type": "function", "function": {}}, {"type": "add"}),
        {"type": "function", "function": {"name": ""}},
        {"type": "function", "function": {"name": "subtract"}},
        {"type": "function", "function": {"name": "add", "arguments": "{}"}},
        {"type": "function", "function": {"name": "add"}, "strict": True},
        {"type": "function", "function": "add"},
        {"type": "tool", "name": "add", "disable_parallel_tool_use": True},
        {"type": ["auto"]},
        {1: 2},
    ],
    ids=lambda choice: type(choice).__name__ if type(choice) is object else repr(choice),
)
def test_anything_else_is_refused_by_name(choice: Any) -> None:
    with pytest.raises(ConfigurationError, match="tool_choice: ") as caught:
        select_tool(choice, NAMES)
    assert caught.value.field == "tool_choice"


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'get_wether' is not one of the tools\. Did you mean 'get_weather'\?"
    ):
        select_tool("get_wether", NAMES)
    with pytest.raises(ConfigurationError, match="Tools are get_weather, add; or auto, none, required, any"):
        select_tool("xyz", NAMES)


@pytest.mark.parametrize("choice", [None, False, "auto", "none"])
def test_without_tools_there_is_nothing_to_say(choice: Any) -> None:
    assert select_tool(choice, []) == SILENT


@pytest.mark.parametrize("choice", [True, "any", "required", "add", {"type": "function", "function": {"name": "add"}}])
def test_without_tools_no_call_can_be_forced(choice: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"needs tools, and none are offered\. Bind tools"):
        select_tool(choice, [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["type", "function", "name", "x"]) | st.text(), inner)
    ),
    max_leaves=8,
)


@given(json_values, st.lists(st.text(min_size=1), max_size=3))
def test_anything_gives_at_most_one_field_or_is_refused(choice: Any, names: list[str]) -> None:
    try:
        selection = select_tool(choice, names)
    except ConfigurationError:
        return
    assert selection.tool_choice is None or selection.tool_choice_option is None
    if selection.tool_choice is not None:
        assert selection.tool_choice.function.name in names


@given(st.lists(st.text(min_size=1).filter(lambda name: name not in ("none", "auto", "required", "any")), min_size=1))
def test_every_offered_name_can_be_forced(names: list[str]) -> None:
    for name in names:
        assert select_tool(name, names) == forced(name)


@pytest.mark.parametrize(
    ("choice", "on_ml", "on_gateway"),
    [
        (None, {}, {}),
        ("any", {"tool_choice_option": "required"}, {"tool_choice": "required"}),
        ("none", {"tool_choice_option": "none"}, {"tool_choice": "none"}),
        (
            "add",
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        ),
    ],
)
def test_what_goes_over_the_wire(choice: Any, on_ml: dict[str, Any], on_gateway: dict[str, Any]) -> None:
    selection = select_tool(choice, NAMES)
    request = ChatRequest(
        messages=[UserMessage(content="1 + 1?")],
        tools=[Tool(function=Function(name=name)) for name in NAMES],
        tool_choice_option=selection.tool_choice_option,
        tool_choice=selection.tool_choice,
    )

    def chosen(body: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in body.items() if key.startswith("tool_choice")}

    assert chosen(calls.Model("ibm/granite-4-h-small", project_id="p").stamp(request)) == on_ml
    assert chosen(calls.Deployment("d").stamp(request)) == on_ml
    assert chosen(calls.Gateway("claude-sonnet-5").stamp(request)) == on_gateway
