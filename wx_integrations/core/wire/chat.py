"""Chat: messages, the request and the completion; `frames` has its stream.

Source: watsonx.ai API reference, "Text chat", "Text chat stream" and the
deployment twins; fields newer than the page come from the official SDKs.

Messages of others than the user, content parts, functions and response formats
have their own files, which are loaded when first used; their names are here as
well.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from wx_integrations.core.wire.late import Late
from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import JsonObject as JsonObject
from wx_integrations.core.wire.shared import MaybeCrypto, MaybeDetails
from wx_integrations.core.wire.shared import NonEmpty as NonEmpty
from wx_integrations.core.wire.shared import Usage as Usage

ToolChoiceOption = Literal["none", "auto", "required"]

if TYPE_CHECKING:
    from wx_integrations.core.wire.formats import JsonObjectFormat as JsonObjectFormat
    from wx_integrations.core.wire.formats import JsonSchema as JsonSchema
    from wx_integrations.core.wire.formats import JsonSchemaFormat as JsonSchemaFormat
    from wx_integrations.core.wire.formats import ResponseFormat as ResponseFormat
    from wx_integrations.core.wire.formats import TextFormat as TextFormat
    from wx_integrations.core.wire.frames import Chunk as Chunk
    from wx_integrations.core.wire.frames import ToolCallDelta as ToolCallDelta
    from wx_integrations.core.wire.functions import Function as Function
    from wx_integrations.core.wire.functions import FunctionCall as FunctionCall
    from wx_integrations.core.wire.functions import FunctionName as FunctionName
    from wx_integrations.core.wire.functions import Tool as Tool
    from wx_integrations.core.wire.functions import ToolCall as ToolCall
    from wx_integrations.core.wire.functions import ToolChoice as ToolChoice
    from wx_integrations.core.wire.messages import AssistantMessage as AssistantMessage
    from wx_integrations.core.wire.messages import ControlMessage as ControlMessage
    from wx_integrations.core.wire.messages import DeveloperMessage as DeveloperMessage
    from wx_integrations.core.wire.messages import SystemMessage as SystemMessage
    from wx_integrations.core.wire.messages import ToolMessage as ToolMessage
    from wx_integrations.core.wire.parts import AudioPart as AudioPart
    from wx_integrations.core.wire.parts import DataAsset as DataAsset
    from wx_integrations.core.wire.parts import ImagePart as ImagePart
    from wx_integrations.core.wire.parts import ImageUrl as ImageUrl
    from wx_integrations.core.wire.parts import InputAudio as InputAudio
    from wx_integrations.core.wire.parts import Part as Part
    from wx_integrations.core.wire.parts import TextPart as TextPart
    from wx_integrations.core.wire.parts import VideoPart as VideoPart
    from wx_integrations.core.wire.parts import VideoUrl as VideoUrl
    from wx_integrations.core.wire.rare import Crypto as Crypto
    from wx_integrations.core.wire.rare import SystemDetails as SystemDetails
    from wx_integrations.core.wire.rare import Warning as Warning  # noqa: A004

    Message: TypeAlias = (
        "SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | ControlMessage"
    )
    _Tool = Tool
    _ToolCalls = list[ToolCallDelta]
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
    Message = Annotated[
        Any,
        Late(
            {
                "user": "chat.UserMessage",
                "system": "messages.SystemMessage",
                "developer": "messages.DeveloperMessage",
                "assistant": "messages.AssistantMessage",
                "tool": "messages.ToolMessage",
                "control": "messages.ControlMessage",
            },
            by="role",
        ),
    ]
    _Tool = Annotated[Any, Late("functions.Tool")]
    _ToolCalls = Annotated[Any, Late("frames.CALLS")]
    _ToolChoice = Annotated[Any, Late("functions.ToolChoice")]

    _FILES = {
        "formats": ("JsonObjectFormat", "JsonSchema", "JsonSchemaFormat", "TextFormat"),
        "messages": ("AssistantMessage", "ControlMessage", "DeveloperMessage", "SystemMessage", "ToolMessage"),
        "functions": ("Function", "FunctionCall", "FunctionName", "Tool", "ToolCall", "ToolChoice"),
        "parts": (
            *("AudioPart", "DataAsset", "ImagePart", "ImageUrl", "InputAudio", "TextPart", "VideoPart", "VideoUrl"),
        ),
        "frames": ("Chunk", "ToolCallDelta"),
        "rare": ("Crypto", "SystemDetails", "Warning"),
    }

    def __getattr__(name: str) -> Any:
        for file, names in _FILES.items():
            if name in names:
                found = globals()[name] = getattr(import_module(f"{__package__}.{file}"), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --------------------------------------------------------------------------- messages


class UserMessage(Sent):
    role: Literal["user"] = "user"
    content: str | list[Part]
    name: str | None = None


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
    crypto: MaybeCrypto = None

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


THINK = "<think>"
"""What begins a thought in the content of models without `reasoning_content`; a text without it has none."""


class Delta(Received):
    """What one choice says."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: _ToolCalls | None = None


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
    system: MaybeDetails = None
    moderations: Any = None
    detections: Any = None

    @property
    def model_name(self) -> str | None:
        """The model that answered; ML answers carry `model_id`, gateway answers `model`."""
        return self.model_id or self.model

    @property
    def warnings(self) -> list[Warning]:
        return (self.system and self.system.warnings) or []
