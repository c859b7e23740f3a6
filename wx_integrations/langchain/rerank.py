"""WatsonxRerank: reranking by watsonx.ai as a LangChain document compressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import Field, ValidationError

from wx_integrations.core.bulk_fields import BulkFields
from wx_integrations.core.calls import rerank
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.core.ranker import Ranked, Ranker
from wx_integrations.core.wire.rerank import RerankParameters
from wx_integrations.langchain.arguments import params_as_dict, refuse_unknown

_NAMES = tuple(RerankParameters.model_fields)
_CALL = (*_NAMES, *CALL_OPTIONS, "params", "top_n", "score_threshold")

Rankable = str | Document | Mapping[str, Any]
"""What can be ranked: a text, a Document, or a dictionary with `text` (or `page_content`)."""


class WatsonxRerank(BulkFields, BaseDocumentCompressor, RunnableSerializable[dict[str, Any], list[Document]]):
    """Rerankers of IBM watsonx.ai.

    Give `model_id` (a model of the catalogue, within a project or space).
    Connection settings that are left out come from WATSONX_* variables.
    Building one touches no network.

        reranker = WatsonxRerank(model_id="cross-encoder/ms-marco-minilm-l-12-v2", top_n=3)
        reranker.compress_documents(documents, "What is granite?")

    As a Runnable it takes `{"query": ..., "documents": [...]}`:

        {"query": RunnablePassthrough(), "documents": retriever} | reranker

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    top_n: int | None = Field(default=None, ge=1)
    """How many documents to return; all by default."""
    score_threshold: float | None = None
    """The least score to return; scores are the model's, unbounded and of either sign."""
    truncate_input_tokens: int | None = Field(default=None, ge=1)
    """Cuts the end of each document after that many tokens."""
    params: Any = None
    """The API's parameters as a dictionary or an object with `to_dict`: truncate_input_tokens, return_options."""

    def _check(self) -> None:
        super()._check()
        ranker = self.ranker()
        rerank(self.target, "x", ["x"], ranker.parameters)  # what the target cannot take is refused here, not in a call

    # ------------------------------------------------------------------ scores

    def rerank(self, documents: Sequence[Rankable], query: str, **kwargs: Any) -> list[dict[str, Any]]:
        """Return `{"index", "relevance_score"}` of each document, best first.

        Args:
            documents: texts, Documents, or dictionaries with `text`; none need no request.
            query: what they should answer.
            **kwargs: `top_n`, `score_threshold`, `truncate_input_tokens`, `return_options`, `params`, `timeout`,
                `retry` for this call.
        """
        return _scores(self.ranker(**kwargs).rank(_query(query), _texts(documents)))

    async def arerank(self, documents: Sequence[Rankable], query: str, **kwargs: Any) -> list[dict[str, Any]]:
        """Return `{"index", "relevance_score"}` of each document, best first; see `rerank`."""
        return _scores(await self.ranker(**kwargs).arank(_query(query), _texts(documents)))

    # ------------------------------------------------------------------ documents

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None, **kwargs: Any
    ) -> list[Document]:
        """Return copies of the documents, best first, with their score as `relevance_score` in the metadata.

        Args:
            documents: what to order; they stay as they are.
            query: what they should answer.
            callbacks: not called: LangChain has no event for compressors.
            **kwargs: as in `rerank`.
        """
        return _scored(documents, self.rerank(documents, query, **kwargs))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None, **kwargs: Any
    ) -> list[Document]:
        """Return copies of the documents, best first; see `compress_documents`."""
        return _scored(documents, await self.arerank(documents, query, **kwargs))

    # ------------------------------------------------------------------ as a Runnable

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Return copies of the documents, best first; `kwargs` as in `rerank`."""
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return copies of the documents, best first; `kwargs` as in `rerank`."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def _invoke(self, given: dict[str, Any], **kwargs: Any) -> list[Document]:
        return self.compress_documents(*_read(given), **kwargs)

    async def _ainvoke(self, given: dict[str, Any], **kwargs: Any) -> list[Document]:
        return await self.acompress_documents(*_read(given), **kwargs)

    # ------------------------------------------------------------------ one call

    def ranker(self, **kwargs: Any) -> Ranker:
        """Return the engine behind this adapter.

        Args:
            **kwargs: as in `rerank`.
        """
        refuse_unknown(kwargs, _CALL, f"a call of {type(self).__name__}")
        parameters = self._parameters(kwargs)
        top_n = kwargs.get("top_n", self.top_n)
        asked = parameters.return_options.top_n if parameters and parameters.return_options else None
        if top_n is None:
            top_n = asked
        if top_n is not None and (not isinstance(top_n, int) or top_n < 1):
            raise ConfigurationError("top_n: must be a whole number, 1 or more", field="top_n")
        threshold = kwargs.get("score_threshold", self.score_threshold)
        return Ranker(self.session_with(kwargs), self.target, parameters, self.bounds("send"), top_n, threshold)

    def _parameters(self, given: Mapping[str, Any]) -> RerankParameters | None:
        """Put defaults and call-time parameters together; call-time wins."""
        defaults = params_as_dict(self.params)
        refuse_unknown(defaults, _NAMES, "params")
        if self.truncate_input_tokens is not None and "truncate_input_tokens" in defaults:
            raise ConfigurationError(
                "truncate_input_tokens is set twice: by itself and in params",
                hint="Leave one out",
                field="truncate_input_tokens",
            )
        once = params_as_dict(given.get("params"))
        refuse_unknown(once, _NAMES, "params")
        typed = {} if self.truncate_input_tokens is None else {"truncate_input_tokens": self.truncate_input_tokens}
        call = {name: given[name] for name in _NAMES if given.get(name) is not None}
        merged = defaults | typed | once | call
        if merged.get("return_options") is not None:
            merged["return_options"] = params_as_dict(merged["return_options"])
        try:
            return RerankParameters(**merged) if merged else None
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, type(self).__name__) from None


def _read(given: Any) -> tuple[list[Document], str]:
    if isinstance(given, Mapping) and set(given) == {"query", "documents"}:
        return given["documents"], given["query"]
    raise ConfigurationError(
        "a reranker takes a dictionary with exactly query and documents", hint='{"query": ..., "documents": [...]}'
    )


def _query(query: Any) -> str:
    if not isinstance(query, str):
        raise ConfigurationError(f"query is {type(query).__name__}, not text", field="query")
    return query


def _texts(documents: Sequence[Rankable]) -> list[str]:
    if isinstance(documents, str | bytes | Mapping | Document):
        raise ConfigurationError(
            f"documents is a single {type(documents).__name__}", hint="Give a list", field="documents"
        )
    if set(map(type, documents)) == {str}:
        return [*documents]  # type: ignore[list-item]  # the type says more than the checker sees
    return [_text(document, index) for index, document in enumerate(documents)]


def _text(document: Any, index: int) -> str:
    if isinstance(document, str):
        return document
    if isinstance(document, Document):
        return document.page_content
    match document:
        case {"text": str(text)} | {"page_content": str(text)}:
            return text
    what = "has no text" if isinstance(document, Mapping) else f"is {type(document).__name__}"
    raise ConfigurationError(
        f"documents[{index}] {what}",
        hint='Give texts, Documents, or dictionaries with "text"',
        field="documents",
    )


def _scores(ranked: Ranked) -> list[dict[str, Any]]:
    return [{"index": index, "relevance_score": score} for index, score in ranked]


def _scored(documents: Sequence[Document], scores: Sequence[Mapping[str, Any]]) -> list[Document]:
    found = []
    for score in scores:
        document = documents[score["index"]]
        metadata = {**deepcopy(document.metadata), "relevance_score": score["relevance_score"]}
        found.append(document.model_copy(update={"metadata": metadata}))
    return found
