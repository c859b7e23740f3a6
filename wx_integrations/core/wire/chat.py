"""Chat: messages, tools, tool calls, the request, the completion and its stream.

Source: watsonx.ai API reference, "Text chat", "Text chat stream" and the
deployment twins; fields newer than the page come from the official SDKs.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from wx_integrations.core.wire.shapes import Received, Sent

NonEmpty = Annotated[str, StringConstraints(min_length=1)]
JsonObject = dict[str, JsonValue]


class Crypto(Sent):
    """The key that prompts and answers are encrypted with at rest."""

    key_ref: NonEmpty


# --------------------------------------------------------------------------- content parts


class DataAsset(Sent):
    """A platform asset that stands in for inline data."""

    id: NonEmpty


class TextPart(Sent):
    type: Literal["text"] = "text"
    text: str


class ImageUrl(Sent):
    """An image as a `data:` URL (base64)."""

    url: NonEmpty
    detail: Literal["low", "high", "auto"] | None = None


class VideoUrl(Sent):
    """A video as a `data:` URL (base64)."""

    url: NonEmpty


class InputAudio(Sent):
    """Audio as bare base64, with its format ("wav" or "mp3")."""

    data: NonEmpty
    format: NonEmpty


class _MediaPart(Sent):
    """A part that carries inline data or names a data asset, exactly one of them."""

    data_asset: DataAsset | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        inline = getattr(self, self.type)  # type: ignore[attr-defined]
        if (inline is None) == (self.data_asset is None):
            raise ValueError(f"give exactly one of {self.type} and data_asset")  # type: ignore[attr-defined]
        return self


class ImagePart(_MediaPart):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl | None = None


class VideoPart(_MediaPart):
    type: Literal["video_url"] = "video_url"
    video_url: VideoUrl | None = None


class AudioPart(_MediaPart):
    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio | None = None


Part = Annotated[TextPart | ImagePart | VideoPart | AudioPart, Field(discriminator="type")]

# --------------------------------------------------------------------------- tools


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


ToolChoiceOption = Literal["none", "auto", "required"]


class FunctionCall(Sent):
    """A call in the history; `arguments` is JSON as text."""

    name: NonEmpty
    arguments: str


class ToolCall(Sent):
    id: NonEmpty
    type: Literal["function"] = "function"
    function: FunctionCall


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
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None

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

# --------------------------------------------------------------------------- response format


class TextFormat(Sent):
    type: Literal["text"] = "text"


class JsonObjectFormat(Sent):
    type: Literal["json_object"] = "json_object"


class JsonSchema(Sent):
    name: NonEmpty
    description: str | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Sent):
    type: Literal["json_schema"] = "json_schema"
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]

# --------------------------------------------------------------------------- request


class ChatParameters(Sent):
    """How to answer: everything of a chat request that is neither a message nor a tool.

    Bounds are those of the API reference; where its own samples sit on an
    open bound (temperature 0, top_p 1) the bound is inclusive.
    """

    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    logit_bias: dict[str, Annotated[int, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = None
    stop: Annotated[list[str], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    time_limit: Annotated[int, Field(gt=0)] | None = None
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
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice_option: ToolChoiceOption | None = None
    tool_choice: ToolChoice | None = None

    @model_validator(mode="after")
    def _one_tool_choice(self) -> Self:
        if self.tool_choice is not None and self.tool_choice_option is not None:
            raise ValueError("give either tool_choice or tool_choice_option, not both")
        return self


# --------------------------------------------------------------------------- answer


class Usage(Received):
    """Token counts of one answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class Warning(Received):
    """A note of the service about the request (`system.warnings`)."""

    message: str = ""
    id: str | None = None
    more_info: str | None = None
    additional_properties: dict[str, Any] | None = None


class SystemDetails(Received):
    warnings: list[Warning] | None = None


class FunctionDelta(Received):
    """A piece of a function call; `arguments` is text, but some models send the object itself, or anything else."""

    name: str | None = None
    arguments: Any = None


class ToolCallDelta(Received):
    """A call, or a piece of one in a stream, as it arrived; not yet normalised."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class Delta(Received):
    """What one choice says: a whole message, or the next piece of it in a stream."""

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


class StreamChoice(Received):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Answer(Received):
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


class Completion(_Answer):
    """A whole chat answer."""

    choices: list[Choice]


class Chunk(_Answer):
    """One frame of a chat stream; the first and last often carry no text."""

    choices: list[StreamChoice] = []
