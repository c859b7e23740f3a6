"""An embedder and a ranker on an emulator, in process or over sockets, and one way to call them in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from wx_integrations.core.bulk import Bounds
from wx_integrations.core.calls import Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.embedder import Embedder
from wx_integrations.core.ranker import Ranker
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Embedded, Ranked, Refusal
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.transport import EmulatorTransport

PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
EMBEDDING_MODEL = "ibm/granite-embedding-278m-multilingual"
RERANK_MODEL = "cross-encoder/ms-marco-minilm-l-12-v2"
QUICK = RetryPolicy(total=2, backoff_factor=0.001)


class CountingBrain(DeterministicBrain):
    """Embeds "text 7" as [7, 0.5] and ranks "text 7" with 7; refuses texts with a "!"."""

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        self._check(texts)
        return Embedded([[float(text.split()[1]), 0.5] for text in texts], 2 * len(texts))

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Ranked:
        self._check(passages)
        return Ranked([float(text.split()[1]) for text in passages], 2 * len(passages))

    def _check(self, texts: Sequence[str]) -> None:
        if any("!" in text for text in texts):
            raise Refusal(400, "invalid_input_argument", "the text is too long")


def texts_of(count: int, bad: Iterable[int] = ()) -> list[str]:
    wrong = set(bad)
    return [f"text {number}" + (" !" if number in wrong else "") for number in range(count)]


def vector(number: int) -> list[float]:
    return [float(number), 0.5]


@dataclass
class Bench:
    """An emulator that counts, and the engine on it."""

    url: str = "https://us-south.ml.cloud.ibm.com"
    emulator: Emulator = field(default_factory=lambda: Emulator(CountingBrain()))
    sockets: bool = False
    retry: RetryPolicy = QUICK

    def __post_init__(self) -> None:
        transport = EmulatorTransport(self.emulator)
        clients: dict[str, Any] = {}
        if not self.sockets:
            clients = {
                "httpx_client": httpx.Client(transport=transport),
                "async_httpx_client": httpx.AsyncClient(transport=transport),
            }
        self.connection = Connection(url=self.url, api_key="key", project_id=PROJECT, retry=self.retry, **clients)
        self.session = Session(self.connection)

    def embedder(self, arrays: bool = False, **bounds: Any) -> Embedder:
        return Embedder(self.session, Model(EMBEDDING_MODEL, PROJECT), bounds=Bounds(**bounds), arrays=arrays)

    def ranker(self, top_n: int | None = None, **bounds: Any) -> Ranker:
        return Ranker(self.session, Model(RERANK_MODEL, PROJECT), bounds=Bounds(empty="send", **bounds), top_n=top_n)

    @property
    def sent(self) -> list[list[str]]:
        """The texts of each embeddings request."""
        return [body["inputs"] for body in self.emulator.journal.bodies("text/embeddings")]


@dataclass(frozen=True)
class Both:
    """Calls a method or its asynchronous twin and waits for it."""

    colour: str

    def call(self, target: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.colour == "sync":
            return getattr(target, method)(*args, **kwargs)
        return asyncio.run(getattr(target, f"a{method}")(*args, **kwargs))

    def all(self, target: Any, method: str, texts: Any, **kwargs: Any) -> list[Any]:
        """Return all that a streaming method yields."""
        if self.colour == "sync":
            return list(getattr(target, method)(texts, **kwargs))

        async def gather() -> list[Any]:
            return [item async for item in getattr(target, f"a{method}")(texts, **kwargs)]

        return asyncio.run(gather())


async def slowly(texts: Iterable[str]) -> AsyncIterator[str]:
    """Yield texts as a source that has to wait for them does."""
    for text in texts:
        await asyncio.sleep(0)
        yield text
