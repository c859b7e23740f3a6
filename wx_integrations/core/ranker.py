"""Any number of documents in order of how well they answer a query, for both frameworks and without either.

```python
ranker = Ranker(Session.of(connection), Model("cross-encoder/ms-marco-minilm-l-12-v2", project_id="..."), top_n=3)
ranker.rank("what is granite?", passages).places          # or: (await ranker.arank(...)).places
```
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from wx_integrations.core import calls
from wx_integrations.core.batching import Batch, check_texts
from wx_integrations.core.bulk import Bounds, Whole, Work
from wx_integrations.core.calls import Call, Target
from wx_integrations.core.crew import Answered
from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.core.session import Session
from wx_integrations.core.wire.text import Ranking, RerankParameters, RerankReturnOptions

_BOUNDS = Bounds(empty="send")


@dataclass(frozen=True)
class Place:
    """One document's place: its index among the documents and its score (an unbounded logit)."""

    index: int
    score: float


@dataclass(frozen=True)
class Ranked:
    """Documents' places, best first, and what they took.

    Attributes:
        input_token_count: tokens the service read.
        requests: requests answered well.
    """

    places: list[Place]
    input_token_count: int = 0
    requests: int = 0


@dataclass(frozen=True)
class Ranker:
    """Ranks any number of documents; more than fit into a request go in several, and are ranked as one.

    Attributes:
        top_n: how many to return, all without it.
        score_threshold: the least score to return.
    """

    session: Session
    target: Target
    parameters: RerankParameters | None = None
    bounds: Bounds = _BOUNDS
    top_n: int | None = None
    score_threshold: float | None = None

    def rank(self, query: str, documents: Sequence[str]) -> Ranked:
        """Rank documents; none need no request.

        Raises:
            ConfigurationError: something is no text; nothing was sent.
            PartialFailure: some documents failed; it carries the scores of the others.
        """
        work, whole = self._begin(documents)
        for piece in work.pieces(documents, lambda batch: self._send(query, batch)):
            whole.add(piece)
        return self._ranked(work, whole)

    async def arank(self, query: str, documents: Sequence[str]) -> Ranked:
        """Rank documents; none need no request.

        Raises:
            ConfigurationError: something is no text; nothing was sent.
            PartialFailure: some documents failed; it carries the scores of the others.
        """
        work, whole = self._begin(documents)
        async with aclosing(work.apieces(documents, lambda batch: self._asend(query, batch))) as pieces:
            async for piece in pieces:
                whole.add(piece)
        return self._ranked(work, whole)

    # ------------------------------------------------------------------ a job

    def _begin(self, documents: Sequence[str]) -> tuple[Work[float | None], Whole[float | None]]:
        check_texts(documents, "documents", allow_empty=self.bounds.empty == "send")
        cut = self.parameters.truncate_input_tokens if self.parameters else None
        work: Work[float | None] = Work(self.session, self.bounds, cut=cut, noun="documents", total=len(documents))
        return work, Whole(len(documents))

    def _ranked(self, work: Work[float | None], whole: Whole[float | None]) -> Ranked:
        scores = whole.finish(work.job)
        places = best(scores, self.top_n, self.score_threshold)
        return Ranked(places, work.job.input_token_count, work.job.batches)

    # ------------------------------------------------------------------ a batch

    def _send(self, query: str, batch: Batch) -> Answered[float | None]:
        return scores_of(self.session.client.run(self._call(query, batch)), len(batch.texts), self._most)

    async def _asend(self, query: str, batch: Batch) -> Answered[float | None]:
        return scores_of(await self.session.async_client.run(self._call(query, batch)), len(batch.texts), self._most)

    @property
    def _most(self) -> int | None:
        """How many documents of a batch were asked for, if not all."""
        options = self.parameters.return_options if self.parameters else None
        return self.top_n if self.top_n is not None else options.top_n if options else None

    def _call(self, query: str, batch: Batch) -> Call[Ranking]:
        parameters = self.parameters
        if self.top_n is not None:
            parameters = parameters or RerankParameters()
            options = parameters.return_options or RerankReturnOptions()
            few = options.model_copy(update={"top_n": min(self.top_n, len(batch.texts))})
            parameters = parameters.model_copy(update={"return_options": few})
        return calls.rerank(self.target, query, batch.texts, parameters)


def scores_of(answer: Ranking, wanted: int, most: int | None = None) -> Answered[float | None]:
    """Return each document's score, None for those beyond the best that were asked for, and the tokens it took.

    Args:
        answer: of the service.
        wanted: how many documents were sent.
        most: how many of them were asked back; all by default.

    Raises:
        UnexpectedResponse: one is not among the documents sent, is there twice, or is missing.
    """
    scores: list[float | None] = [None] * wanted
    for item in answer.results:
        if not 0 <= item.index < wanted:
            raise UnexpectedResponse(f"{wanted} documents were sent, but the answer ranks number {item.index}")
        if scores[item.index] is not None:
            raise UnexpectedResponse(f"the answer ranks document {item.index} twice")
        scores[item.index] = item.score
    due = wanted if most is None else min(most, wanted)
    if len(answer.results) < due:
        raise UnexpectedResponse(f"{due} documents should be ranked, but the answer ranks {len(answer.results)}")
    return scores, answer.input_token_count


def best(scores: Sequence[float | None], top_n: int | None, score_threshold: float | None) -> list[Place]:
    """Return places by score, best first; equal scores keep the documents' order."""
    least = float("-inf") if score_threshold is None else score_threshold
    places = [Place(index, score) for index, score in enumerate(scores) if score is not None and score >= least]
    return sorted(places, key=lambda place: -place.score)[:top_n]
