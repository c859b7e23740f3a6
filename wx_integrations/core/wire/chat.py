"""Chat: messages, the request and the completion; `frames` has its stream.

Source: watsonx.ai API reference, "Text chat", "Text chat stream" and the
deployment twins; fields newer than the page come from the official SDKs.

Content parts, functions and response formats have their own files, which are
loaded when first used; their names are here as well.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from wx_integrations.core.wire.frames import ToolCallDelta
from wx_integrations.core.wire.late import Late
from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import Crypto as Crypto
from wx_integrations.core.wire.shared import JsonObject as JsonObject
from wx_integrations.core.wire.shared import NonEmpty as NonEmpty
from wx_integrations.core.wire.shared import SystemDetails as SystemDetails
from wx_integrations.core.wire.shared import Usage as Usage
from wx_integrations.core.wire.shared import Warning as Warning  # noqa: A004

ToolChoiceOption = Literal["none", "auto", "required"]

if TYPE_CHECKING:
    from wx_integrations.core.wire.formats import JsonObjectFormat as JsonObjectFormat
    from wx_integrations.core.wire.formats import JsonSchema as JsonSchema
    from wx_integrations.core.wire.formats import JsonSchemaFormat as JsonSchemaFormat
    from wx_integrations.core.wire.formats import ResponseFormat as ResponseFormat
    from wx_integrations.core.wire.formats import TextFormat as TextFormat
    from wx_integrations.core.wire.functions import Function as Function
    from wx_integrations.core.wire.functions import FunctionCall as FunctionCall
    from wx_integrations.core.wire.functions import FunctionName as FunctionName
    from wx_integrations.core.wire.functions import Tool as Tool
    from wx_integrations.core.wire.functions import ToolCall as ToolCall
    from wx_integrations.core.wire.functions import ToolChoice as ToolChoice
    from wx_integrations.core.wire.parts import AudioPart as AudioPart
    from wx_integrations.core.wire.parts import DataAsset as DataAsset
    from wx_integrations.core.wire.parts import ImagePart as ImagePart
    from wx_integrations.core.wire.parts import ImageUrl as ImageUrl
    from wx_integrations.core.wire.parts import InputAudio as InputAudio
    from wx_integrations.core.wire.parts import Part as Part
    from wx_integrations.core.wire.parts import TextPart as TextPart
    from wx_integrations.core.wire.parts import VideoPart as VideoPart
    from wx_integrations.core.wire.parts import VideoUrl as VideoUrl

    _Tool = Tool
    _ToolCall = ToolCall
    _ToolChoice = ToolChoice
else:
    Part = Annotated[
        Any,
        Late(
            {
                "text": "parts.TextPart",
                "image_url": "parts.ImagePart",
                "video_url": "parts.VideoPart",
                "input_audio": "parts.AudioPart",
            }
        ),
    ]
    ResponseFormat = Annotated[
        Any,
        Late(
            {
                "text": "formats.TextFormat",
                "json_object": "formats.JsonObjectFormat",
                "json_schema": "formats.JsonSchemaFormat",
            }
        ),
    ]
    _Tool = Annotated[Any, Late("functions.Tool")]
    _ToolCall = Annotated[Any, Late("functions.ToolCall")]
    _ToolChoice = Annotated[Any, Late("functions.ToolChoice")]

    _FILES = {
        "formats": ("JsonObjectFormat", "JsonSchema", "JsonSchemaFormat", "TextFormat"),
        "functions": ("Function", "FunctionCall", "FunctionName", "Tool", "ToolCall", "ToolChoice"),
        "parts": (
            *("AudioPart", "DataAsset", "ImagePart", "ImageUrl", "InputAudio", "TextPart", "VideoPart", "VideoUrl"),
        ),
    }

    def __getattr__(name: str) -> Any:
        for file, names in _FILES.items():
            if name in names:
                found = globals()[name] = getattr(import_module(f"{__package__}.{file}"), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --------------------------------------------------------------------------- messages


class SystemMessage(Sent):
    role: Literal["system"] = "system"
    content: str
    name: str | None = None


class DeveloperMessage(Sent):
    """Instructions of the developer; the Model Gateway only."""

    role: Literal["developer"] = "developer"
    content: str
    name: str | None = None


class UserMessage(Sent):
    role: Literal["user"] = "user"
    content: str | list[Part]
    name: str | None = None


class AssistantMessage(Sent):
    """The model's turn: text, tool calls or a refusal."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = Field(default=None, min_length=1)

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


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | ControlMessage,
    Field(discriminator="role"),
]

# --------------------------------------------------------------------------- request


class ChatParameters(Sent):
    """How to answer: everything of a chat request that is neither a message nor a tool.

    Bounds are those of the API reference; where its own samples sit on an
    open bound (temperature 0, top_p 1) the bound is inclusive.
    """

    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    logit_bias: dict[str, Annotated[int, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    max_tokens: int | None = Field(default=None, ge=0)
    max_completion_tokens: int | None = Field(default=None, ge=0)
    n: int | None = Field(default=None, ge=1)
    response_format: ResponseFormat | None = None
    seed: int | None = None
    stop: list[str] | None = Field(default=None, max_length=4)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    time_limit: int | None = Field(default=None, gt=0)
    guided_choice: list[str] | None = None
    guided_regex: str | None = None
    guided_grammar: str | None = None
    guided_json: JsonObject | None = None
    include_reasoning: bool | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    chat_template_kwargs: JsonObject | None = None
    moderations: JsonObject | None = None
    context: str | None = None
    """Text for a deployed prompt template; deployments only."""
    crypto: Crypto | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs=True")
        if self.stop is not None and len(set(self.stop)) != len(self.stop):
            raise ValueError("stop must hold unique sequences")
        return self


class ChatRequest(ChatParameters):
    """A whole conversation with what may be called and how to answer."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    tools: list[_Tool] | None = Field(default=None, min_length=1, max_length=128)
    tool_choice_option: ToolChoiceOption | None = None
    tool_choice: _ToolChoice | None = None

    @model_validator(mode="after")
    def _one_tool_choice(self) -> Self:
        if self.tool_choice is not None and self.tool_choice_option is not None:
            raise ValueError("give either tool_choice or tool_choice_option, not both")
        return self


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise ValidationError for parameters that no request takes; only the shape of requests is built for it."""
    if parameters:
        ChatRequest(messages=[UserMessage(content="")], **parameters)


# --------------------------------------------------------------------------- answer


class Delta(Received):
    """What one choice says."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class Choice(Received):
    index: int = 0
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class Completion(Received):
    """A whole chat answer."""

    choices: list[Choice]
    id: str | None = None
    model_id: str | None = None
    model: str | None = None
    model_version: str | None = None
    created: Any = None
    created_at: Any = None
    usage: Usage | None = None
    system: SystemDetails | None = None
    moderations: Any = None
    detections: Any = None

    @property
    def model_name(self) -> str | None:
        """The model that answered; ML answers carry `model_id`, gateway answers `model`."""
        return self.model_id or self.model

    @property
    def warnings(self) -> list[Warning]:
        return (self.system and self.system.warnings) or []
