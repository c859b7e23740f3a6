"""Embeddings of texts.

Source: watsonx.ai API reference, "Text embeddings".
"""

from typing import Annotated, Any

from pydantic import Field

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import MaybeCrypto, MaybeDetails


class EmbeddingReturnOptions(Sent):
    input_text: bool | None = None


class EmbeddingParameters(Sent):
    truncate_input_tokens: int | None = None
    """Cuts the end of each text, unlike generation."""
    return_options: EmbeddingReturnOptions | None = None


class EmbeddingsRequest(Sent):
    inputs: Annotated[list[str], Field(min_length=1, max_length=1000)]
    parameters: EmbeddingParameters | None = None
    crypto: MaybeCrypto = None


class Embedding(Received):
    embedding: list[float]


class Embeddings(Received):
    """One vector per input, in the order of the inputs."""

    model_id: str | None = None
    results: list[Embedding]
    created_at: Any = None
    input_token_count: int = 0
    system: MaybeDetails = None
