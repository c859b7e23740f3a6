"""WatsonxEmbeddings: text embeddings of watsonx.ai and its Model Gateway for LangChain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from langchain_core.embeddings import Embeddings
from pydantic import Field, ValidationError

from wx_integrations.core import calls
from wx_integrations.core.bulk import OnFailure
from wx_integrations.core.bulk_fields import BulkFields
from wx_integrations.core.embedder import Embedded, Embedder
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS
from wx_integrations.core.filing import Kept
from wx_integrations.core.progress import Progress
from wx_integrations.core.wire.embeddings import EmbeddingParameters
from wx_integrations.langchain.arguments import params_as_dict, refuse_unknown

_NAMES = tuple(EmbeddingParameters.model_fields)


class WatsonxEmbeddings(BulkFields, Embeddings):
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
    empty: Literal["refuse", "send"] = "refuse"
    """Whether a text without any characters is refused before anything is sent, or sent as it is."""
    show_progress: bool = False
    """Show a progress bar for documents; needs the extra `progress`."""
    on_progress: Callable[[Progress], object] | None = Field(default=None, exclude=True, repr=False)
    """Is called after every batch of documents with how far the job is."""

    def _check(self) -> None:
        super()._check()
        calls.embed(
            self.target, ["x"], self._parameters({})
        )  # what the target cannot take is refused here, not in a call

    def embed_documents(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        """Return a vector for each text, in their order.

        Args:
            texts: any number of them; none need no request.
            **kwargs: `params`, `truncate_input_tokens`, `return_options`, `timeout`, `retry` for this call.

        Raises:
            ConfigurationError: a text is empty or no text; nothing was sent.
            PartialFailure: some texts failed; it carries the vectors of the others.
        """
        return self.embed(texts, **kwargs).vectors

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return a text's vector; `kwargs` as in `embed_documents`."""
        return self.embedder(**kwargs).embed([text]).vectors[0]

    async def aembed_documents(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        """Return a vector for each text, in their order; see `embed_documents`."""
        return (await self.aembed(texts, **kwargs)).vectors

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return a text's vector; `kwargs` as in `embed_documents`."""
        return (await self.embedder(**kwargs).aembed([text])).vectors[0]

    # ------------------------------------------------------------------ more than LangChain asks for

    def embed(self, texts: Sequence[str], **kwargs: Any) -> Embedded:
        """Return the vectors together with what they took; see `embed_documents`."""
        return self.embedder(**kwargs).embed(texts, **self._watching())

    async def aembed(self, texts: Sequence[str], **kwargs: Any) -> Embedded:
        """Return the vectors together with what they took; see `embed_documents`."""
        return await self.embedder(**kwargs).aembed(texts, **self._watching())

    def stream(self, texts: Iterable[str], *, on_failure: OnFailure | None = None) -> Generator[Any, None, None]:
        """Yield a vector for each of any number of texts, in their order, holding a few batches at a time.

        Args:
            texts: they are taken as they are needed.
            on_failure: is told the index of a text that failed, and why; None is yielded for it.
                Without it PartialFailure is raised in its place.
        """
        return self.embedder().stream(texts, on_failure=on_failure, **self._watching())

    def astream(
        self, texts: Iterable[str] | AsyncIterable[str], *, on_failure: OnFailure | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield a vector for each of any number of texts, in their order; see `stream`."""
        return self.embedder().astream(texts, on_failure=on_failure, **self._watching())

    def embed_to(self, path: str | Path, texts: Iterable[str], *, on_failure: OnFailure | None = None) -> Kept:
        """Embed texts into a file that a later call continues; texts that are in it already cost no request.

        Args:
            path: the file (SQLite); it is made if it is missing.
            texts: any number; they are taken as they are needed.
            on_failure: is told of texts that failed; without it PartialFailure is raised at the end.

        kept = embeddings.embed_to("corpus.sqlite", texts)
        with embeddings.embedder().checkpoint("corpus.sqlite") as checkpoint:
            vectors = list(checkpoint.vectors(texts))
        """
        return self.embedder().embed_to(path, texts, on_failure=on_failure, **self._watching())

    async def aembed_to(
        self, path: str | Path, texts: Iterable[str] | AsyncIterable[str], *, on_failure: OnFailure | None = None
    ) -> Kept:
        """Embed texts into a file that a later call continues; see `embed_to`."""
        return await self.embedder().aembed_to(path, texts, on_failure=on_failure, **self._watching())

    def _watching(self) -> dict[str, Any]:
        return {"on_progress": self.on_progress, "show_progress": self.show_progress}

    def embedder(self, **kwargs: Any) -> Embedder:
        """Return the engine behind this adapter; it can do more than LangChain asks for.

        Args:
            **kwargs: `params`, `truncate_input_tokens`, `return_options` of its calls.
        """
        return Embedder(self.session_with(kwargs), self.target, self._parameters(kwargs), self.bounds(self.empty))

    def _parameters(self, given: Mapping[str, Any]) -> EmbeddingParameters | None:
        """Put defaults and call-time parameters together; call-time wins."""
        owner = type(self).__name__
        refuse_unknown(given, (*_NAMES, *CALL_OPTIONS, "params"), f"a call of {owner}")
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
