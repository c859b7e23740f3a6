"""Calls about texts: generation, embeddings, rerank, tokenization, and the list of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wx_integrations.core.calls.targets import Gateway, Target
from wx_integrations.core.calls.values import Call, StreamCall, encode, reader

if TYPE_CHECKING:  # each call loads the shapes that it needs
    from wx_integrations.core.wire.embeddings import EmbeddingParameters, Embeddings
    from wx_integrations.core.wire.models import ModelSpecsPage
    from wx_integrations.core.wire.rerank import Ranking, RerankParameters
    from wx_integrations.core.wire.text import Generation, GenerationRequest
    from wx_integrations.core.wire.tokenization import Tokenization


def generate(target: Target, request: GenerationRequest) -> Call[Generation]:
    """Continue a text."""
    return Call(
        path=target.path("text/generation"),
        body=encode(target.stamp(request)),
        parse=_generation_reader(target),
        versioned=target.versioned,
        headers=target.headers(),
        generates=True,
    )


def generate_stream(target: Target, request: GenerationRequest) -> StreamCall[Generation]:
    """Continue a text piece by piece."""
    body = target.stamp(request)
    if isinstance(target, Gateway):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return StreamCall(
        path=target.path("text/generation_stream"),
        body=encode(body),
        parse=_generation_reader(target),
        is_last=ends_generation,
        versioned=target.versioned,
        headers=target.headers(),
    )


def _generation_reader(target: Target) -> Callable[[bytes], Generation]:
    if isinstance(target, Gateway):
        from wx_integrations.core.wire import gateway

        return gateway.generation
    from wx_integrations.core.wire.text import Generation

    return reader(Generation)


def ends_generation(frame: Generation) -> bool:
    """Whether a frame says why the text ends."""
    return any(result.stop_reason and result.stop_reason.lower() != "not_finished" for result in frame.results)


def embed(target: Target, texts: Sequence[str], parameters: EmbeddingParameters | None = None) -> Call[Embeddings]:
    """Embed up to 1000 texts."""
    from wx_integrations.core.wire.embeddings import EmbeddingsRequest

    return Call(
        path=target.path("text/embeddings"),
        body=encode(target.stamp(EmbeddingsRequest(inputs=list(texts), parameters=parameters))),
        parse=_embeddings_reader(target),
        versioned=target.versioned,
        headers=target.headers(),
    )


def _embeddings_reader(target: Target) -> Callable[[bytes], Embeddings]:
    if isinstance(target, Gateway):
        from wx_integrations.core.wire import gateway

        return gateway.embeddings
    from wx_integrations.core.wire.embeddings import Embeddings

    return Embeddings.model_validate_json


MOST_DOCUMENTS = 1000
"""Documents one request takes."""


def rerank(
    target: Target, query: str, documents: Sequence[str], parameters: RerankParameters | None = None
) -> Call[Ranking]:
    """Order up to 1000 documents by how well they answer the query, best first."""
    from wx_integrations.core.wire.rerank import Passage, Ranking, RerankRequest

    path = target.path("text/rerank")
    plain = len(documents) <= MOST_DOCUMENTS and set(map(type, documents)) <= {str}  # a model each would cost the most
    passages = [] if plain else [Passage(text=text) for text in documents]
    body = target.stamp(RerankRequest(query=query, inputs=passages, parameters=parameters))
    if plain:
        body["inputs"] = [{"text": text} for text in documents]
    return Call(
        path=path,
        body=encode(body),
        parse=Ranking.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
    )


def tokenize(target: Target, text: str, *, return_tokens: bool = False) -> Call[Tokenization]:
    """Count, and if asked show, a text's tokens."""
    from wx_integrations.core.wire.tokenization import Tokenization, TokenizationParameters, TokenizationRequest

    parameters = TokenizationParameters(return_tokens=True) if return_tokens else None
    return Call(
        path=target.path("text/tokenization"),
        body=encode(target.stamp(TokenizationRequest(input=text, parameters=parameters))),
        parse=Tokenization.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
    )


def model_specs(*, filters: str | None = None, limit: int = 200, start: str | None = None) -> Call[ModelSpecsPage]:
    """List a page of up to 200 foundation models; `filters` as in the API reference."""
    from wx_integrations.core.wire.models import ModelSpecsPage

    query = {"limit": str(limit)}
    if filters:
        query["filters"] = filters
    if start:
        query["start"] = start
    return Call(
        method="GET", path="/ml/v1/foundation_model_specs", query=query, parse=ModelSpecsPage.model_validate_json
    )
