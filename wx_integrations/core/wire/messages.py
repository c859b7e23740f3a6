"""Messages of a chat from others than the user.

Source: watsonx.ai API reference, "Text chat".
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from wx_integrations.core.wire.late import Late
from wx_integrations.core.wire.shapes import Sent
from wx_integrations.core.wire.shared import NonEmpty

if TYPE_CHECKING:
    from wx_integrations.core.wire.functions import ToolCall
else:
    ToolCall = Annotated[Any, Late("functions.ToolCall")]


class SystemMessage(Sent):
    role: Literal["system"] = "system"
    content: str
    name: str | None = None


class DeveloperMessage(Sent):
    """Instructions of the developer; the Model Gateway only."""

    role: Literal["developer"] = "developer"
    content: str
    name: str | None = None


class AssistantMessage(Sent):
    """The model's turn: text, tool calls or a refusal."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.refusal is None and self.tool_calls is None:
            raise ValueError("an assistant message needs content, tool_calls or refusal")
        return self


class ToolMessage(Sent):
    """The result of one tool call; text only."""

    role: Literal["tool"] = "tool"
    content: str
    tool_call_id: NonEmpty


class ControlMessage(Sent):
    """Switches a behaviour of the model on ("thinking" for Granite 3.2 and 3.3)."""

    role: Literal["control"] = "control"
    content: str
    name: str | None = None
