"""Which tool to call: the frameworks' ways of saying it, as the two exclusive fields of the API."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire import chat as wire


class ToolSelection(NamedTuple):
    """The two exclusive fields that say which tool to call; both None leave it to the service.

    The Model Gateway has one field for both; stamping a request for it maps
    `tool_choice_option` to `tool_choice`.
    """

    tool_choice_option: wire.ToolChoiceOption | None = None
    tool_choice: "wire.ToolChoice | None" = None


_OPTIONS: Final[Mapping[str, wire.ToolChoiceOption]] = {
    "none": "none",
    "auto": "auto",
    "required": "required",
    "any": "required",
}


def select_tool(choice: str | bool | Mapping[str, Any] | None, names: Sequence[str]) -> ToolSelection:
    """Translate a framework's tool choice.

    Args:
        choice: "auto", "none", "required" or "any" (the same), the name of a tool, True (required), False or None
            (say nothing), or a dictionary: `{"type": "function", "function": {"name": ...}}`,
            `{"type": "function" | "tool", "name": ...}`, `{"type": "auto" | "any" | "none" | "required"}`.
        names: the names of the tools offered.

    Raises:
        ConfigurationError: an unknown name or form, or a call is forced and no tool is offered.
    """
    if isinstance(choice, Mapping):
        choice = _named_in(choice)
    if choice is None or choice is False:
        return ToolSelection()
    if choice is True:
        choice = "required"
    if not isinstance(choice, str):
        raise _bad_choice(f"{type(choice).__name__} is not a tool choice")
    option = _OPTIONS.get(choice)
    if not names:
        if option in ("auto", "none"):
            return ToolSelection()
        raise _bad_choice(f"{choice!r} needs tools, and none are offered", hint="Bind tools, or leave tool_choice out")
    if option is not None:
        return ToolSelection(tool_choice_option=option)
    if choice not in names:
        near = difflib.get_close_matches(choice, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Tools are {', '.join(names)}; or auto, none, required, any"
        raise _bad_choice(f"{choice!r} is not one of the tools", hint=hint)
    return ToolSelection(tool_choice=wire.ToolChoice(function=wire.FunctionName(name=choice)))


def _named_in(choice: Mapping[str, Any]) -> str:
    """Return the name or option that a dictionary stands for."""
    match dict(choice):
        case {"type": "function", "function": {"name": str(name), **more}, **rest} if name and not more and not rest:
            return name
        case {"type": "function" | "tool", "name": str(name), **rest} if name and not rest:
            return name
        case {"type": str(option), **rest} if option in _OPTIONS and not rest:
            return option
    raise _bad_choice(
        "the dictionary is not a tool choice", hint='Give {"type": "function", "function": {"name": "..."}}, or a name'
    )


def _bad_choice(message: str, *, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError(f"tool_choice: {message}", hint=hint, field="tool_choice")
