"""Any number of documents in order of how well they answer a query, for both frameworks and without either.

```python
ranker = Ranker(Session.of(connection), Model("cross-encoder/ms-marco-minilm-l-12-v2", project_id="..."), top_n=3)
list(ranker.rank("what is granite?", passages))          # index and score; or: list(await ranker.arank(...))
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any

from pydantic_core import from_json

from wx_integrations.core import calls
from wx_integrations.core.batching import Batch, check_texts
from wx_integrations.core.bulk import Bounds, Whole, Work
from wx_integrations.core.calls import Call, Target
from wx_integrations.core.crew import Answered
from wx_integrations.core.session import Session
from wx_integrations.core.wire.rerank import RerankParameters, RerankReturnOptions

_BOUNDS = Bounds(empty="send")


@dataclass(frozen=True)
class Ranked:
    """The documents, best first, and what they took.

    Attributes:
        indices: of the documents.
        scores: of the documents; unbounded logits.
        input_token_count: tokens the service read.
        requests: requests answered well.
    """

    indices: list[int]
    scores: list[float]
    input_token_count: int = 0
    requests: int = 0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield each document's index and score."""
        return zip(self.indices, self.scores, strict=True)


@dataclass(frozen=True)
class Ranker:
    """Ranks any number of documents; more than fit into a request go in several, and are ranked as one.

    Attributes:
        session: the clients that send them, and the limiter.
        target: the model.
        parameters: of every request.
        bounds: how much goes into a request, and how fast requests follow each other.
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

        Args:
            query: what they should answer.
            documents: any number of them.

        Raises:
            ConfigurationError: something is no text; nothing was sent.
            PartialFailure: some documents failed; it carries the scores of the others.
        """
        work, whole = self._begin(documents)
        for piece in work.pieces((), lambda batch: self._send(query, batch)):
            whole.add(piece)
        return self._ranked(work, whole)

    async def arank(self, query: str, documents: Sequence[str]) -> Ranked:
        """Rank documents; none need no request. See `rank`."""
        work, whole = self._begin(documents)
        async with aclosing(work.apieces((), lambda batch: self._asend(query, batch))) as pieces:
            async for piece in pieces:
                whole.add(piece)
        return self._ranked(work, whole)

    # ------------------------------------------------------------------ a job

    def _begin(self, documents: Sequence[str]) -> tuple[Work[float | None], Whole[float | None]]:
        check_texts(documents, "documents", allow_empty=self.bounds.empty == "send")
        cut = self.parameters.truncate_input_tokens if self.parameters else None
        work: Work[float | None] = Work(self.session, self.bounds, cut=cut, noun="documents", total=len(documents))
        work.job.feed(documents)
        return work, Whole(len(documents))

    def _ranked(self, work: Work[float | None], whole: Whole[float | None]) -> Ranked:
        scores: list[Any] = whole.finish(work.job)
        indices = best(scores, self.top_n, self.score_threshold)
        ranked = [scores[index] for index in indices]
        return Ranked(indices, ranked, work.job.input_token_count, work.job.batches)

    # ------------------------------------------------------------------ a batch

    def _send(self, query: str, batch: Batch) -> Answered[float | None]:
        return self.session.client.run(self._call(query, batch))

    async def _asend(self, query: str, batch: Batch) -> Answered[float | None]:
        return await self.session.async_client.run(self._call(query, batch))

    @property
    def _most(self) -> int | None:
        """How many documents of a batch were asked for, if not all."""
        options = self.parameters.return_options if self.parameters else None
        return self.top_n if self.top_n is not None else options.top_n if options else None

    def _call(self, query: str, batch: Batch) -> Call[Answered[float | None]]:
        parameters = self.parameters
        if self.top_n is not None:
            parameters = parameters or RerankParameters()
            options = parameters.return_options or RerankReturnOptions()
            few = options.model_copy(update={"top_n": min(self.top_n, len(batch.texts))})
            parameters = parameters.model_copy(update={"return_options": few})
        return as_scores(calls.rerank(self.target, query, batch.texts, parameters), len(batch.texts), self._most)


def as_scores(call: Call[Any], wanted: int, most: int | None = None) -> Call[Answered[float | None]]:
    """Return a rerank call whose answer is read into a score for each document; see `read_scores`."""
    return call._replace(parse=partial(read_scores, wanted=wanted, most=most))


def read_scores(content: bytes, wanted: int, most: int | None = None) -> Answered[float | None]:
    """Return each document's score, None for those beyond the best that were asked for, and the tokens it took.

    Args:
        content: the answer.
        wanted: how many documents were sent.
        most: how many of them were asked back; all by default.

    Raises:
        ValueError: the answer does not fit, or a document is missing, is there twice, or was not sent.
    """
    match from_json(content, allow_inf_nan=False):
        case {"results": list(items), **rest}:
            count = rest.get("input_token_count", 0)
        case _:
            raise ValueError("there is no ranking in it")
    if type(count) is not int:
        raise ValueError("the number of tokens is none")
    scores: list[float | None] = [None] * wanted
    try:
        for item in items:  # one look at each, because they are many
            index, score = item["index"], item["score"]
            if type(score) is not float or not isfinite(score):
                score = number_of(score)
            if type(index) is not int or not 0 <= index < wanted:
                raise ValueError(f"the answer ranks others than the {wanted} documents that were sent")
            if scores[index] is not None:
                raise ValueError("the answer ranks a document twice")
            scores[index] = score
    except (TypeError, KeyError):
        raise ValueError("a result has no index or no score") from None
    due = wanted if most is None else min(most, wanted)
    if len(items) < due:
        raise ValueError(f"{due} documents should be ranked, but the answer ranks {len(items)}")
    return scores, count


def number_of(score: Any) -> float:
    """Return a score as a float.

    Raises:
        ValueError: it is none, or too large for one.
    """
    if type(score) is not float and type(score) is not int:
        raise ValueError("a score is no number")
    try:
        number = float(score)
    except OverflowError:
        number = inf
    if not isfinite(number):
        raise ValueError("a score is too large for a float")
    return number


def best(scores: Sequence[float | None], top_n: int | None, score_threshold: float | None) -> list[int]:
    """Return the indices of the best scores, best first; equal scores keep the documents' order."""
    ranked: Sequence[int]
    if score_threshold is None and None not in scores:
        ranked = range(len(scores))
    else:
        least = float("-inf") if score_threshold is None else score_threshold
        ranked = [index for index, score in enumerate(scores) if score is not None and score >= least]
    key: Any = scores.__getitem__
    return sorted(ranked, key=key, reverse=True)[:top_n]
