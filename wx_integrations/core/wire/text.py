"""Generation, embeddings, rerank, tokenization and the model list.

Source: watsonx.ai API reference, "Text generation", "Text embeddings", "Text
rerank", "Text tokenization" and "Foundation model specs".
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import Crypto, JsonObject, SystemDetails

# --------------------------------------------------------------------------- generation


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
    crypto: Crypto | None = None


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
    system: SystemDetails | None = None


# --------------------------------------------------------------------------- embeddings


class EmbeddingReturnOptions(Sent):
    input_text: bool | None = None


class EmbeddingParameters(Sent):
    truncate_input_tokens: int | None = None
    """Cuts the end of each text, unlike generation."""
    return_options: EmbeddingReturnOptions | None = None


class EmbeddingsRequest(Sent):
    inputs: Annotated[list[str], Field(min_length=1, max_length=1000)]
    parameters: EmbeddingParameters | None = None
    crypto: Crypto | None = None


class Embedding(Received):
    embedding: list[float]


class Embeddings(Received):
    """One vector per input, in the order of the inputs."""

    model_id: str | None = None
    results: list[Embedding]
    created_at: Any = None
    input_token_count: int = 0
    system: SystemDetails | None = None


# --------------------------------------------------------------------------- rerank


class Passage(Sent):
    text: str


class RerankReturnOptions(Sent):
    top_n: int | None = Field(default=None, ge=1)
    inputs: bool | None = None
    query: bool | None = None


class RerankParameters(Sent):
    truncate_input_tokens: int | None = None
    return_options: RerankReturnOptions | None = None


class RerankRequest(Sent):
    query: str
    inputs: Annotated[list[Passage], Field(max_length=1000)]
    parameters: RerankParameters | None = None
    crypto: Crypto | None = None


class RankedPassage(Received):
    """A passage's place: its index among the inputs and its score (an unbounded logit)."""

    index: int
    score: float


class Ranking(Received):
    model_id: str | None = None
    model_version: str | None = None
    results: list[RankedPassage]
    created_at: Any = None
    input_token_count: int = 0
    query: str | None = None
    system: SystemDetails | None = None


# --------------------------------------------------------------------------- tokenization


class TokenizationParameters(Sent):
    return_tokens: bool | None = None


class TokenizationRequest(Sent):
    input: str
    parameters: TokenizationParameters | None = None
    crypto: Crypto | None = None


class TokenizationResult(Received):
    token_count: int
    tokens: list[str] | None = None


class Tokenization(Received):
    model_id: str | None = None
    result: TokenizationResult


# --------------------------------------------------------------------------- model list


class ModelFunction(Received):
    id: str


class ModelLimits(Received):
    max_sequence_length: int | None = None
    max_output_tokens: int | None = None
    embedding_dimension: int | None = None


class LifecycleStage(Received):
    """A stage ("available", "deprecated", "constricted", "withdrawn") and when it starts."""

    id: str
    label: str | None = None
    start_date: str | None = None
    alternative_model_ids: list[str] | None = None
    url: str | None = None


class ModelSpec(Received):
    model_id: str
    label: str | None = None
    provider: str | None = None
    source: str | None = None
    short_description: str | None = None
    long_description: str | None = None
    input_tier: str | None = None
    output_tier: str | None = None
    number_params: str | None = None
    functions: list[ModelFunction] | None = None
    task_ids: list[str] | None = None
    model_limits: ModelLimits | None = None
    lifecycle: list[LifecycleStage] | None = None
    tech_preview: bool | None = None


class Href(Received):
    href: str


class ModelSpecsPage(Received):
    """A page of the model list; the last one has no `next`."""

    total_count: int | None = None
    limit: int | None = None
    first: Href | None = None
    next: Href | None = None
    resources: list[ModelSpec] = []
