"""WatsonxEmbeddings: text embeddings of watsonx.ai for LlamaIndex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from pydantic import Field, PrivateAttr

from wx_integrations.core.calls import Call, embed
from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.wire.text import EmbeddingParameters, Embeddings
from wx_integrations.llamaindex.concurrency import MAX_CONCURRENCY, Bound
from wx_integrations.llamaindex.metadata import with_connection

MAX_BATCH = 1000
"""Texts one request takes (watsonx.ai API reference)."""


class WatsonxEmbeddings(ModelFields, BaseEmbedding):
    """IBM watsonx.ai as LlamaIndex's embedding model.

        embed_model = WatsonxEmbeddings(model_id="ibm/granite-embedding-278m-multilingual", project_id="...")
        embed_model.get_text_embedding("What is granite?")

    Credentials and scope that are not given come from WATSONX_* variables.
    Nothing is sent before the first call, and nothing for no texts.
    """

    embed_batch_size: int = Field(default=MAX_BATCH, gt=0, le=MAX_BATCH)
    """Texts per request."""
    truncate_input_tokens: int | None = None
    """Cuts the end of each text after that many tokens; without it the service refuses texts that are too long."""
    max_concurrency: int = Field(default=MAX_CONCURRENCY, gt=0)
    """Requests at a time per event loop; `num_workers` bounds a single batch call further."""

    _bound: Bound = PrivateAttr(default_factory=Bound)

    @classmethod
    def class_name(cls) -> str:
        return "WatsonxEmbeddings"

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in settings.items() if name != "callback_manager" or value is not None}
        return super()._prepared(kept)

    def _check(self) -> None:
        super()._check()
        self.target.path("text/embeddings")  # refuses targets that do not embed
        self.model_name = self.target.name

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the settings as data, without secrets."""
        return with_connection(self, super().to_dict(**kwargs))

    # ------------------------------------------------------------------ one text

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._get_text_embeddings([query])[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._aget_text_embeddings([query]))[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    # ------------------------------------------------------------------ a batch

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        if not texts:
            return []
        return _vectors(self.client.run(self._call(texts)), len(texts))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        if not texts:
            return []
        async with self._bound.of(self.max_concurrency):
            return _vectors(await self.async_client.run(self._call(texts)), len(texts))

    def _call(self, texts: Sequence[str]) -> Call[Embeddings]:
        cut = self.truncate_input_tokens
        return embed(self.target, texts, None if cut is None else EmbeddingParameters(truncate_input_tokens=cut))


def _vectors(answer: Embeddings, wanted: int) -> list[Embedding]:
    if len(answer.results) != wanted:
        raise UnexpectedResponse(f"{wanted} texts were sent, but {len(answer.results)} embeddings came back")
    return [item.embedding for item in answer.results]
