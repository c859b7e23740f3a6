"""Text generation.

Source: watsonx.ai API reference, "Text generation".
"""

from typing import Any, Literal

from pydantic import Field, field_validator

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import JsonObject, MaybeCrypto, MaybeDetails


class LengthPenalty(Sent):
    decay_factor: float | None = Field(default=None, gt=1)
    start_index: int | None = Field(default=None, ge=0)


class GenerationReturnOptions(Sent):
    input_text: bool | None = None
    generated_tokens: bool | None = None
    input_tokens: bool | None = None
    token_logprobs: bool | None = None
    token_ranks: bool | None = None
    top_n_tokens: int | None = Field(default=None, ge=0)


class GenerationParameters(Sent):
    """How to continue the text; limits as documented by the official SDKs."""

    decoding_method: Literal["sample", "greedy"] | None = None
    length_penalty: LengthPenalty | None = None
    max_new_tokens: int | None = Field(default=None, ge=0)
    min_new_tokens: int | None = Field(default=None, ge=0)
    random_seed: int | None = Field(default=None, ge=1)
    stop_sequences: list[str] | None = Field(default=None, max_length=6)
    temperature: float | None = Field(default=None, ge=0, le=2)
    time_limit: int | None = Field(default=None, gt=0)
    top_k: int | None = Field(default=None, ge=1, le=100)
    top_p: float | None = Field(default=None, gt=0, le=1)
    repetition_penalty: float | None = Field(default=None, ge=1, le=2)
    truncate_input_tokens: int | None = Field(default=None, ge=1)
    """Cuts the start of the input, so the end stays."""
    return_options: GenerationReturnOptions | None = None
    include_stop_sequence: bool | None = None
    prompt_variables: JsonObject | None = None
    """Values of a deployed prompt template; deployments only."""
    typical_p: float | None = None
    """Deployments only."""

    @field_validator("stop_sequences")
    @classmethod
    def _unique(cls, stops: list[str] | None) -> list[str] | None:
        if stops is not None and len(set(stops)) != len(stops):
            raise ValueError("must hold unique sequences")
        return stops


class GenerationRequest(Sent):
    input: str | None = None
    """Needed by models; a deployed prompt template may do without."""
    parameters: GenerationParameters | None = None
    moderations: JsonObject | None = None
    crypto: MaybeCrypto = None


class GenerationResult(Received):
    generated_text: str
    stop_reason: str | None = None
    generated_token_count: int | None = None
    input_token_count: int | None = None
    seed: int | None = None
    generated_tokens: list[dict[str, Any]] | None = None
    input_tokens: list[dict[str, Any]] | None = None
    moderations: Any = None


class Generation(Received):
    """A whole generation, or one frame of its stream (frames may come without results)."""

    model_id: str | None = None
    model_version: str | None = None
    created_at: Any = None
    results: list[GenerationResult] = []
    system: MaybeDetails = None
