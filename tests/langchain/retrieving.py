"""WatsonxEmbeddings and WatsonxRerank on the in-process emulator, and one way to call them in both colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.langchain.chatting import Stage
from wx_integrations.langchain import WatsonxEmbeddings, WatsonxRerank

EMBEDDING_MODEL = "ibm/granite-embedding-278m-multilingual"
RERANK_MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"
DIMENSION = 384


class Shelf(Stage):
    """An emulator, and the retrieval adapters on it."""

    def _settings(self, model_id: str, settings: dict[str, Any]) -> dict[str, Any]:
        if not {"deployment_id", "model"} & settings.keys():
            settings = {"model_id": model_id, **settings}
        made = self.settings(**settings)
        del made["max_completion_tokens"]
        return {name: value for name, value in made.items() if value is not None}

    def embeddings(self, **settings: Any) -> WatsonxEmbeddings:
        return WatsonxEmbeddings(**self._settings(EMBEDDING_MODEL, settings))

    def rerank(self, **settings: Any) -> WatsonxRerank:
        return WatsonxRerank(**self._settings(RERANK_MODEL, settings))

    def bodies(self, operation: str) -> list[Any]:
        """Return the bodies of the requests for an operation, such as "text/embeddings"."""
        return self.emulator.journal.bodies(operation)


@dataclass(frozen=True)
class Twins:
    """Calls a method, or its twin with an `a` in front, so that a test is written once."""

    colour: str

    async def call(self, target: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.colour == "sync":
            return getattr(target, method)(*args, **kwargs)
        return await getattr(target, f"a{method}")(*args, **kwargs)
