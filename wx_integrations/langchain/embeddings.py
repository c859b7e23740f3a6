"""WatsonxEmbeddings: text embeddings of watsonx.ai and its Model Gateway for LangChain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.embeddings import Embeddings
from pydantic import Field, ValidationError

from wx_integrations.core.batching import MAX_BYTES, MAX_TEXTS
from wx_integrations.core.bulk import Bounds
from wx_integrations.core.calls import embed
from wx_integrations.core.embedder import Embedded, Embedder
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.wire.text import EmbeddingParameters
from wx_integrations.langchain.parameters import params_as_dict, refuse_unknown

_NAMES = tuple(EmbeddingParameters.model_fields)


class WatsonxEmbeddings(ModelFields, Embeddings):
    """Embedding models of IBM watsonx.ai.

    Give `model_id` (a model of the catalogue, within a project or space) or
    `model` (the Model Gateway). Connection settings that are left out come
    from WATSONX_* variables. Building one touches no network.

        embeddings = WatsonxEmbeddings(model_id="ibm/granite-embedding-278m-multilingual")
        embeddings.embed_query("What is granite?")

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    truncate_input_tokens: int | None = Field(default=None, ge=1)
    """Cuts the end of each text after that many tokens; without it the service refuses texts that are too long."""
    params: Any = None
    """The API's parameters as a dictionary or an object with `to_dict`: truncate_input_tokens, return_options."""
    batch_size: int = Field(default=MAX_TEXTS, ge=1, le=MAX_TEXTS)
    """Texts in a request."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Estimated tokens in a request; no bound by default."""
    batch_bytes: int | None = Field(default=MAX_BYTES, ge=1)
    """Bytes of text in a request."""
    max_concurrency: int | None = Field(default=None, ge=1)
    """Requests at a time; by default as many as the service answers well."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """By default as many as the service allows."""
    empty: Literal["refuse", "send"] = "refuse"
    """Whether a text without any characters is refused before anything is sent, or sent as it is."""

    def _check(self) -> None:
        super()._check()
        embed(self.target, ["x"], self._parameters({}))  # what the target cannot take is refused here, not in a call

    def embed_documents(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        """Return a vector for each text, in their order.

        Args:
            texts: any number of them; none need no request.
            **kwargs: `params`, `truncate_input_tokens`, `return_options` for this call.

        Raises:
            ConfigurationError: a text is empty or no text; nothing was sent.
        """
        return self.embed(texts, **kwargs).vectors

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return a text's vector; `kwargs` as in `embed_documents`."""
        return self.embed([text], **kwargs).vectors[0]

    async def aembed_documents(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        """Return a vector for each text, in their order; see `embed_documents`."""
        return (await self.aembed(texts, **kwargs)).vectors

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return a text's vector; `kwargs` as in `embed_documents`."""
        return (await self.aembed([text], **kwargs)).vectors[0]

    def embed(self, texts: Sequence[str], **kwargs: Any) -> Embedded:
        """Return the vectors together with what they took; see `embed_documents`."""
        return self.embedder(**kwargs).embed(texts)

    async def aembed(self, texts: Sequence[str], **kwargs: Any) -> Embedded:
        """Return the vectors together with what they took; see `embed_documents`."""
        return await self.embedder(**kwargs).aembed(texts)

    def embedder(self, **kwargs: Any) -> Embedder:
        """Return the engine behind this adapter, with parameters for a call; it can do more than LangChain asks for."""
        bounds = Bounds(
            batch_size=self.batch_size,
            batch_tokens=self.batch_tokens,
            batch_bytes=self.batch_bytes,
            max_concurrency=self.max_concurrency,
            requests_per_second=self.requests_per_second,
            empty=self.empty,
        )
        return Embedder(self.session, self.target, self._parameters(kwargs), bounds)

    def _parameters(self, given: Mapping[str, Any]) -> EmbeddingParameters | None:
        """Put defaults and call-time parameters together; call-time wins."""
        owner = type(self).__name__
        refuse_unknown(given, (*_NAMES, "params"), f"a call of {owner}")
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
        try:
            return EmbeddingParameters(**merged) if merged else None
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, owner) from None
