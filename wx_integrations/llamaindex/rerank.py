"""WatsonxRerank: reranking by watsonx.ai as a LlamaIndex node postprocessor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported there
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field

from wx_integrations.core.batching import MAX_TEXTS
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.ranker import Ranked, Ranker
from wx_integrations.core.wire.rerank import RerankParameters
from wx_integrations.llamaindex.bounds import BulkFields
from wx_integrations.llamaindex.serialization import with_connection

dispatcher = get_dispatcher(__name__)


class WatsonxRerank(ModelFields, BulkFields, BaseNodePostprocessor):
    """IBM watsonx.ai as LlamaIndex's reranker.

        reranker = WatsonxRerank(model_id="cross-encoder/ms-marco-minilm-l-12-v2", top_n=3, project_id="...")
        index.as_query_engine(node_postprocessors=[reranker])

    Returns new `NodeWithScore`s, best first, around the same nodes; scores
    are the model's, unbounded and of either sign. More than a thousand nodes
    go in several requests and are ranked as one.
    """

    model_config = ConfigDict(defer_build=False)

    top_n: int | None = Field(default=None, ge=1)
    """How many nodes to return; all without it."""
    score_threshold: float | None = None
    """The least score to return."""
    truncate_input_tokens: int | None = Field(default=None, ge=1)
    """Cuts each passage after that many tokens."""
    metadata_mode: MetadataMode = MetadataMode.EMBED
    """Which of a node's metadata the model reads along with its text."""
    batch_size: int = Field(default=MAX_TEXTS, ge=1, le=MAX_TEXTS)
    """Nodes per request."""

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serialises it."""
        return "WatsonxRerank"

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in settings.items() if name != "callback_manager" or value is not None}
        return super()._prepared(kept)

    def _check(self) -> None:
        super()._check()
        self.target.path("text/rerank")  # refuses targets that do not rerank

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the settings as data, without secrets; `kwargs` as of pydantic's `model_dump`."""
        return with_connection(self, super().to_dict(**kwargs))

    def ranker(self) -> Ranker:
        """Return the engine behind this adapter."""
        cut = self.truncate_input_tokens
        parameters = None if cut is None else RerankParameters(truncate_input_tokens=cut)
        bounds = self.bounds(self.batch_size, "send")
        return Ranker(self.session, self.target, parameters, bounds, self.top_n, self.score_threshold)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._reported(nodes, query) as report:
            return report(self.ranker().rank(query, self._texts(nodes)))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._reported(nodes, query) as report:
            return report(await self.ranker().arank(query, self._texts(nodes)))

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]

    @contextmanager
    def _reported(self, nodes: list[NodeWithScore], query: str) -> Iterator[Callable[[Ranked], list[NodeWithScore]]]:
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

            def report(ranked: Ranked) -> list[NodeWithScore]:
                best = [NodeWithScore(node=nodes[index].node, score=score) for index, score in ranked]
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
