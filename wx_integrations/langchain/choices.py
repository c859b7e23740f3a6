"""Which tools a call may, must or must not use; pure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.langchain.metadata import WatsonxWarning

_NO_PARALLEL_SWITCH = (
    "parallel_tool_calls=False: watsonx.ai has no such switch, so the model may still call several tools at once; "
    "first_tool_call_only=True keeps the first call only"
)


def refuse_without_tools(choice: Any) -> None:
    if choice not in (None, False, "auto", "none"):
        raise ConfigurationError(
            f"tool_choice={choice!r} without tools", hint="Give tools, or leave tool_choice out", field="tool_choice"
        )


def choice_of(given: Mapping[str, Any], names: Sequence[str], messages: Sequence[BaseMessage] = ()) -> dict[str, Any]:
    """Return `tool_choice` or `tool_choice_option` as they are sent, or neither."""
    choice, option = given.get("tool_choice"), given.get("tool_choice_option")
    if choice is False:
        choice = None
    if choice is not None and option is not None:
        raise ConfigurationError(
            "both tool_choice and tool_choice_option are given", hint="Give tool_choice only", field="tool_choice"
        )
    wanted = choice if choice is not None else option
    if not names:
        refuse_without_tools(wanted)
        return {}
    from wx_integrations.core.toolchoice import select_tool  # few chats have tools

    selection = select_tool(wanted, names)
    if given.get("force_once") and selection.tool_choice_option != "none" and _tool_has_answered(messages):
        return {}
    sent = {"tool_choice": selection.tool_choice, "tool_choice_option": selection.tool_choice_option}
    return {name: value for name, value in sent.items() if value is not None}


def _tool_has_answered(messages: Sequence[BaseMessage]) -> bool:
    """Whether a tool's result came after the latest message of the user."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return False
        if isinstance(message, ToolMessage):
            return True
    return False


def parallel_of(given: Mapping[str, Any], names: Sequence[str], *, gateway: bool) -> dict[str, Any]:
    """Return `parallel_tool_calls` for those who know it; elsewhere say that it cannot be turned off."""
    wanted = given.get("parallel_tool_calls")
    if wanted is None or not names:
        return {}
    if gateway:
        return {"parallel_tool_calls": wanted}
    if wanted is False and not given.get("first_tool_call_only"):
        warnings.warn(_NO_PARALLEL_SWITCH, WatsonxWarning, stacklevel=2)
    return {}
