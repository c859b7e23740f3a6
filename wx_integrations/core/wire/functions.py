"""Functions that a chat model may call, and calls in a conversation's history."""

from typing import Literal

from wx_integrations.core.wire.shapes import Sent
from wx_integrations.core.wire.shared import JsonObject, NonEmpty


class Function(Sent):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: NonEmpty
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Sent):
    type: Literal["function"] = "function"
    function: Function


class FunctionName(Sent):
    name: NonEmpty


class ToolChoice(Sent):
    """Forces one function by name; excludes `tool_choice_option`."""

    type: Literal["function"] = "function"
    function: FunctionName


class FunctionCall(Sent):
    """A call in the history; `arguments` is JSON as text."""

    name: NonEmpty
    arguments: str


class ToolCall(Sent):
    id: NonEmpty
    type: Literal["function"] = "function"
    function: FunctionCall
