"""Ranking of texts.

Source: watsonx.ai API reference, "Text rerank".
"""

from typing import Annotated, Any

from pydantic import Field

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import MaybeCrypto, MaybeDetails


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
    crypto: MaybeCrypto = None


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
    system: MaybeDetails = None
