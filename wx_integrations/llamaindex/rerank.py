"""WatsonxRerank: reranking by watsonx.ai as a LlamaIndex node postprocessor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported there
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, PrivateAttr

from wx_integrations.core.calls import Call, rerank
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.wire.text import RankedPassage, Ranking, RerankParameters, RerankReturnOptions
from wx_integrations.llamaindex.concurrency import MAX_CONCURRENCY, Bound
from wx_integrations.llamaindex.metadata import with_connection

dispatcher = get_dispatcher(__name__)

MAX_BATCH = 1000
"""Passages one request takes (watsonx.ai API reference)."""


class WatsonxRerank(ModelFields, BaseNodePostprocessor):
    """IBM watsonx.ai as LlamaIndex's reranker.

        reranker = WatsonxRerank(model_id="cross-encoder/ms-marco-minilm-l-12-v2", top_n=3, project_id="...")
        index.as_query_engine(node_postprocessors=[reranker])

    Returns new `NodeWithScore`s, best first, around the same nodes; scores
    are the model's, unbounded and of either sign. More than a thousand nodes
    go in several requests.
    """

    top_n: int | None = Field(default=None, gt=0)
    """How many nodes to return; all without it."""
    truncate_input_tokens: int | None = None
    """Cuts each passage after that many tokens."""
    metadata_mode: MetadataMode = MetadataMode.EMBED
    """Which of a node's metadata the model reads along with its text."""
    max_concurrency: int = Field(default=MAX_CONCURRENCY, gt=0)
    """Requests at a time per event loop."""

    _bound: Bound = PrivateAttr(default_factory=Bound)

    @classmethod
    def class_name(cls) -> str:
        return "WatsonxRerank"

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in settings.items() if name != "callback_manager" or value is not None}
        return super()._prepared(kept)

    def _check(self) -> None:
        super()._check()
        self.target.path("text/rerank")  # refuses targets that do not rerank

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the settings as data, without secrets."""
        return with_connection(self, super().to_dict(**kwargs))

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._reported(nodes, query) as report:
            rankings = [self.client.run(call) for call in self._calls(nodes, query)]
            return report(self._best(nodes, rankings))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._reported(nodes, query) as report:
            rankings = await asyncio.gather(*(self._arun(call) for call in self._calls(nodes, query)))
            return report(self._best(nodes, rankings))

    async def _arun(self, call: Call[Ranking]) -> Ranking:
        async with self._bound.of(self.max_concurrency):
            return await self.async_client.run(call)

    def _calls(self, nodes: Sequence[NodeWithScore], query: str) -> list[Call[Ranking]]:
        texts = [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]
        batches = [texts[start : start + MAX_BATCH] for start in range(0, len(texts), MAX_BATCH)]
        return [rerank(self.target, query, batch, self._parameters(len(batch))) for batch in batches]

    def _parameters(self, size: int) -> RerankParameters | None:
        options = None if self.top_n is None else RerankReturnOptions(top_n=min(self.top_n, size))
        if options is None and self.truncate_input_tokens is None:
            return None
        return RerankParameters(truncate_input_tokens=self.truncate_input_tokens, return_options=options)

    def _best(self, nodes: Sequence[NodeWithScore], rankings: Iterable[Ranking]) -> list[NodeWithScore]:
        """Return the nodes in the order of their scores; equal scores keep the order they came in."""
        ranked: list[tuple[int, RankedPassage]] = []
        for number, ranking in enumerate(rankings):
            start = number * MAX_BATCH
            size = min(MAX_BATCH, len(nodes) - start)
            for item in ranking.results:
                if not 0 <= item.index < size:
                    raise UnexpectedResponse(f"{size} passages were sent, but the answer ranks number {item.index}")
                ranked.append((start + item.index, item))
        ranked.sort(key=lambda pair: (-pair[1].score, pair[0]))
        return [NodeWithScore(node=nodes[place].node, score=item.score) for place, item in ranked[: self.top_n]]

    @contextmanager
    def _reported(
        self, nodes: list[NodeWithScore], query: str
    ) -> Iterator[Callable[[list[NodeWithScore]], list[NodeWithScore]]]:
        """Tell instrumentation and callbacks about a reranking, its nodes and its outcome."""
        top_n = self.top_n or len(nodes)
        name = self.target.name
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:

            def report(best: list[NodeWithScore]) -> list[NodeWithScore]:
                event.on_end(payload={EventPayload.NODES: best})
                dispatcher.event(ReRankEndEvent(nodes=best))
                return best

            yield report


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise ConfigurationError(
            "there is no query to rank by", hint="Give query_bundle or query_str", field="query_bundle"
        )
    return bundle.query_str
