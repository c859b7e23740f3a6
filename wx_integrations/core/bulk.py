"""Many texts to vectors or scores: batched, bounded, in order; one object for both colours.

```python
embedder = Embedder(Session.of(connection), Model("ibm/granite-embedding-278m-multilingual", project_id="..."))
embedder.embed(texts).vectors            # or: (await embedder.aembed(texts)).vectors
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from wx_integrations.core import calls
from wx_integrations.core.batching import MAX_BYTES, MAX_TEXTS, Room, batches, check_texts
from wx_integrations.core.calls import Call, Target
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse
from wx_integrations.core.session import Session
from wx_integrations.core.wire.text import (
    EmbeddingParameters,
    Embeddings,
    Ranking,
    RerankParameters,
    RerankReturnOptions,
)

Vector = list[float]


@dataclass(frozen=True)
class Bounds:
    """How much goes into a request, and how fast requests may follow each other.

    Attributes:
        batch_size: texts in a request, up to 1000.
        batch_tokens: estimated tokens in a request; None for no bound.
        batch_bytes: bytes of text in a request; None for no bound.
        max_concurrency: requests at a time; None lets the service decide.
        requests_per_second: None lets the service decide.
        empty: what to do with a text without any characters: "refuse", or "send" it as it is.

    Raises:
        ConfigurationError: a bound is out of range.
    """

    batch_size: int = MAX_TEXTS
    batch_tokens: int | None = None
    batch_bytes: int | None = MAX_BYTES
    max_concurrency: int | None = None
    requests_per_second: float | None = None
    empty: Literal["refuse", "send"] = "refuse"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= MAX_TEXTS:
            raise ConfigurationError(f"batch_size: must be from 1 to {MAX_TEXTS}", field="batch_size")
        for name in ("batch_tokens", "batch_bytes", "max_concurrency", "requests_per_second"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name}: must be more than 0", field=name)
        if self.empty not in ("refuse", "send"):
            raise ConfigurationError("empty: must be 'refuse' or 'send'", field="empty")

    def room(self, per_text: int | None = None) -> Room:
        """Return what fits into a request when the service cuts each text to `per_text` tokens."""
        return Room(self.batch_size, self.batch_tokens, self.batch_bytes, per_text)


@dataclass(frozen=True)
class Embedded:
    """Vectors in the order of their texts, and what they took.

    Attributes:
        input_token_count: tokens the service read.
    """

    vectors: list[Vector] = field(repr=False)
    input_token_count: int = 0


@dataclass(frozen=True)
class Place:
    """One document's place: its index among the documents and its score (an unbounded logit)."""

    index: int
    score: float


@dataclass(frozen=True)
class Ranked:
    """Documents' places, best first, and what they took."""

    places: list[Place]
    input_token_count: int = 0


@dataclass(frozen=True)
class Embedder:
    """Embeds any number of texts."""

    session: Session
    target: Target
    parameters: EmbeddingParameters | None = None
    bounds: Bounds = Bounds()

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; none need no request."""
        calls, vectors, count = self._calls(texts), [], 0
        for call, wanted in calls:
            answer = self.session.client.run(call)
            vectors += vectors_of(answer, wanted)
            count += answer.input_token_count
        return Embedded(vectors, count)

    async def aembed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; none need no request."""
        calls, vectors, count = self._calls(texts), [], 0
        for call, wanted in calls:
            answer = await self.session.async_client.run(call)
            vectors += vectors_of(answer, wanted)
            count += answer.input_token_count
        return Embedded(vectors, count)

    def _calls(self, texts: Sequence[str]) -> list[tuple[Call[Embeddings], int]]:
        check_texts(texts, "texts", allow_empty=self.bounds.empty == "send")
        cut = self.parameters.truncate_input_tokens if self.parameters else None
        return [
            (calls.embed(self.target, batch.texts, self.parameters), len(batch.texts))
            for batch in batches(texts, self.bounds.room(cut))
        ]


def vectors_of(answer: Embeddings, wanted: int) -> list[Vector]:
    """Return the vectors of an answer.

    Raises:
        UnexpectedResponse: there are not as many as texts were sent.
    """
    if len(answer.results) != wanted:
        raise UnexpectedResponse(f"{wanted} texts were sent, but {len(answer.results)} embeddings came back")
    return [item.embedding for item in answer.results]


@dataclass(frozen=True)
class Ranker:
    """Orders any number of documents by how well they answer a query.

    Attributes:
        top_n: how many to return, all without it.
        score_threshold: the least score to return.
    """

    session: Session
    target: Target
    parameters: RerankParameters | None = None
    bounds: Bounds = Bounds(empty="send")
    top_n: int | None = None
    score_threshold: float | None = None

    def rank(self, query: str, documents: Sequence[str]) -> Ranked:
        """Order documents, best first; none need no request."""
        places, count = [], 0
        for call, start, wanted in self._calls(query, documents):
            answer = self.session.client.run(call)
            places += places_of(answer, start, wanted)
            count += answer.input_token_count
        return Ranked(best(places, self.top_n, self.score_threshold), count)

    async def arank(self, query: str, documents: Sequence[str]) -> Ranked:
        """Order documents, best first; none need no request."""
        places, count = [], 0
        for call, start, wanted in self._calls(query, documents):
            answer = await self.session.async_client.run(call)
            places += places_of(answer, start, wanted)
            count += answer.input_token_count
        return Ranked(best(places, self.top_n, self.score_threshold), count)

    def _calls(self, query: str, documents: Sequence[str]) -> list[tuple[Call[Ranking], int, int]]:
        check_texts(documents, "documents", allow_empty=self.bounds.empty == "send")
        cut = self.parameters.truncate_input_tokens if self.parameters else None
        return [
            (self._call(query, batch.texts), batch.start, len(batch.texts))
            for batch in batches(documents, self.bounds.room(cut))
        ]

    def _call(self, query: str, documents: list[str]) -> Call[Ranking]:
        parameters = self.parameters
        if self.top_n is not None:
            parameters = parameters or RerankParameters()
            options = parameters.return_options or RerankReturnOptions()
            few = options.model_copy(update={"top_n": min(self.top_n, len(documents))})
            parameters = parameters.model_copy(update={"return_options": few})
        return calls.rerank(self.target, query, documents, parameters)


def places_of(answer: Ranking, start: int, wanted: int) -> list[Place]:
    """Return the places of a batch whose first document has the index `start`.

    Raises:
        UnexpectedResponse: one is not among the documents sent, or is there twice.
    """
    seen = {item.index for item in answer.results}
    if len(seen) != len(answer.results):
        raise UnexpectedResponse("the answer ranks a document twice")
    for index in seen:
        if not 0 <= index < wanted:
            raise UnexpectedResponse(f"{wanted} documents were sent, but the answer ranks number {index}")
    return [Place(start + item.index, item.score) for item in answer.results]


def best(places: list[Place], top_n: int | None, score_threshold: float | None) -> list[Place]:
    """Return places by score, best first; equal scores keep the documents' order."""
    if score_threshold is not None:
        places = [place for place in places if place.score >= score_threshold]
    return sorted(places, key=lambda place: (-place.score, place.index))[:top_n]
