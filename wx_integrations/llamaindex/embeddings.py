"""WatsonxEmbeddings: text embeddings of watsonx.ai for LlamaIndex."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported there
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from pydantic import ConfigDict, Field

from wx_integrations.core.batching import MAX_TEXTS
from wx_integrations.core.embedder import Embedder
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.wire.embeddings import EmbeddingParameters
from wx_integrations.llamaindex.bounds import BulkFields
from wx_integrations.llamaindex.serialization import with_connection

dispatcher = get_dispatcher(__name__)


class WatsonxEmbeddings(ModelFields, BulkFields, BaseEmbedding):
    """IBM watsonx.ai as LlamaIndex's embedding model.

        embed_model = WatsonxEmbeddings(model_id="ibm/granite-embedding-278m-multilingual", project_id="...")
        embed_model.get_text_embedding("What is granite?")

    Give `model_id` (catalogue) or `model` (Model Gateway). Credentials and
    scope that are not given come from WATSONX_* variables. Nothing is sent
    before the first call, and nothing for no texts. Many texts go in several
    requests at a time, as fast as the service allows; `PartialFailure` tells
    which texts failed and carries the vectors of the others.
    """

    model_config = ConfigDict(defer_build=False)

    embed_batch_size: int = Field(default=MAX_TEXTS, gt=0, le=MAX_TEXTS)
    """Texts per request."""
    truncate_input_tokens: int | None = Field(default=None, ge=1)
    """Cuts the end of each text after that many tokens; without it the service refuses texts that are too long."""
    empty: Literal["refuse", "send"] = "refuse"
    """Whether a text without any characters is refused before anything is sent, or sent as it is."""

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serialises it."""
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
        """Return the settings as data, without secrets; `kwargs` as of pydantic's `model_dump`."""
        return with_connection(self, super().to_dict(**kwargs))

    def embedder(self) -> Embedder:
        """Return the engine behind this adapter; it can do more than LlamaIndex asks for."""
        cut = self.truncate_input_tokens
        parameters = None if cut is None else EmbeddingParameters(truncate_input_tokens=cut)
        bounds = self.bounds(self.embed_batch_size, self.empty, self.num_workers)
        return Embedder(self.session, self.target, parameters, bounds)

    # ------------------------------------------------------------------ many texts

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> list[Embedding]:
        """Return a vector for each text, in their order.

        Args:
            texts: any number of them; none need no request.
            show_progress: show a bar.
            **kwargs: for the framework, where its cache or rate limiter is used.

        Raises:
            ConfigurationError: a text is empty or no text; nothing was sent.
            PartialFailure: some texts failed; it carries the vectors of the others.
        """
        if self._left_to_the_framework:
            vectors: list[Embedding] = super().get_text_embedding_batch(texts, show_progress, **kwargs)
            return vectors
        with self._reported(texts) as report:
            return report(self.embedder().embed(texts, show_progress=show_progress).vectors)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Return a vector for each text, in their order; see `get_text_embedding_batch`."""
        if self._left_to_the_framework:
            vectors: list[Embedding] = await super().aget_text_embedding_batch(texts, show_progress, **kwargs)
            return vectors
        with self._reported(texts) as report:
            return report((await self.embedder().aembed(texts, show_progress=show_progress)).vectors)

    @property
    def _left_to_the_framework(self) -> bool:
        """Whether the framework takes the texts batch by batch, for its cache or its rate limiter."""
        return self.embeddings_cache is not None or self.rate_limiter is not None

    @contextmanager
    def _reported(self, texts: Sequence[str]) -> Iterator[Callable[[list[Embedding]], list[Embedding]]]:
        """Tell instrumentation and callbacks about each batch, its texts and its vectors."""
        size = self.embed_batch_size
        batches = [slice(start, start + size) for start in range(0, len(texts), size)]
        model = self.to_payload()
        events = []
        for _ in batches:
            dispatcher.event(EmbeddingStartEvent(model_dict=model))
            payload: dict[str, Any] = {EventPayload.SERIALIZED: model}
            events.append(self.callback_manager.on_event_start(CBEventType.EMBEDDING, payload=payload))

        def report(vectors: list[Embedding]) -> list[Embedding]:
            for batch, event in zip(batches, events, strict=True):
                chunks, made = list(texts[batch]), vectors[batch]
                done: dict[str, Any] = {EventPayload.CHUNKS: chunks, EventPayload.EMBEDDINGS: made}
                self.callback_manager.on_event_end(CBEventType.EMBEDDING, payload=done, event_id=event)
                dispatcher.event(EmbeddingEndEvent(chunks=chunks, embeddings=made))
            return vectors

        try:
            yield report
        except BaseException as error:
            failed: dict[str, Any] = {EventPayload.EXCEPTION: error}
            for event in events:
                self.callback_manager.on_event_end(CBEventType.EMBEDDING, payload=failed, event_id=event)
            raise

    # ------------------------------------------------------------------ one text, one batch

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._get_text_embeddings([query])[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self.embedder().embed(texts).vectors

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._aget_text_embeddings([query]))[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return (await self.embedder().aembed(texts)).vectors
