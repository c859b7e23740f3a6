"""What the Model Gateway takes: OpenAI's names.

Source: the official SDKs' gateway types (the API reference page predates it).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from wx_integrations.core.wire.chat import JsonObject, Message, NonEmpty, ResponseFormat, Tool, ToolChoice
from wx_integrations.core.wire.shapes import Sent

Penalty = Annotated[float, Field(ge=-2, le=2)]


class StreamOptions(Sent):
    include_usage: bool | None = None


class GatewayParameters(Sent):
    """What chat and completions share."""

    model: NonEmpty
    cache: JsonObject | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, int] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    metadata: JsonObject | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Penalty | None = None
    router: JsonObject | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None

    @property
    def stops(self) -> list[str] | None:
        """The stop sequences as a list."""
        return [self.stop] if isinstance(self.stop, str) else self.stop


class GatewayChat(GatewayParameters):
    messages: Annotated[list[Message], Field(min_length=1)]
    audio: JsonObject | None = None
    function_call: JsonValue = None
    functions: list[JsonObject] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    modalities: list[str] | None = None
    parallel_tool_calls: bool | None = None
    prediction: JsonObject | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    response_format: ResponseFormat | None = None
    service_tier: str | None = None
    store: bool | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class GatewayCompletion(GatewayParameters):
    prompt: str | list[str]
    best_of: Annotated[int, Field(ge=1)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    suffix: str | None = None


class GatewayEmbeddings(Sent):
    model: NonEmpty
    input: str | list[str] | list[int] | list[list[int]]
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


# Fields that the emulated gateway understands but has no use for would change the answer if a real
# provider saw them; refusing them is more honest than ignoring them.
NOT_EMULATED: dict[type[Sent], tuple[str, ...]] = {
    GatewayChat: ("audio", "function_call", "functions", "prediction"),
    GatewayCompletion: ("suffix",),
}


def unsupported_in(request: Sent) -> str | None:
    """Return the name of a field that the emulated gateway does not take, if one is set."""
    given: dict[str, Any] = request.to_wire()
    return next((name for name in NOT_EMULATED.get(type(request), ()) if name in given), None)
