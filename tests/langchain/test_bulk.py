"""What WatsonxEmbeddings and WatsonxRerank make of the bulk engine: failures, progress, streams, files, processes."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.langchain.retrieving import EMBEDDING_MODEL, RERANK_MODEL, Shelf, Twins
from wx_integrations.core.errors import InvalidRequest, PartialFailure
from wx_integrations.core.progress import Progress
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Embedded, Refusal
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.faults import RateLimited
from wx_integrations.emulator.server import LocalServer
from wx_integrations.langchain import WatsonxEmbeddings, WatsonxRerank


class Picky(DeterministicBrain):
    """Refuses texts of more than 50 characters unless it may cut them."""

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        if truncate is None and any(len(text) > 50 for text in texts):
            raise Refusal(400, "invalid_input_argument", "Input text exceeds the maximum sequence length")
        return super().embed(model_id, texts, truncate)


@pytest.fixture(params=["sync", "async"])
def twins(request: pytest.FixtureRequest) -> Twins:
    return Twins(request.param)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(Picky())


TEXTS = [f"document {number}" for number in range(30)]
LONG = "a text that is too long " * 9


async def test_one_text_that_is_too_long_does_not_take_the_others_along(shelf: Shelf, twins: Twins) -> None:
    texts = [*TEXTS[:7], LONG, *TEXTS[7:]]
    with pytest.raises(PartialFailure) as raised:
        await twins.call(shelf.embeddings(), "embed_documents", texts)
    failure = raised.value
    assert list(failure.failed) == [7]
    assert len(failure.done) == 30
    assert "texts[7] (216 characters, about 73 tokens)" in str(failure)
    assert "truncate_input_tokens" in str(failure)
    whole = await twins.call(shelf.embeddings(truncate_input_tokens=10), "embed_documents", texts)
    assert whole[:7] == [failure.done[index] for index in range(7)]


async def test_a_query_that_is_too_long_says_so(shelf: Shelf, twins: Twins) -> None:
    with pytest.raises(InvalidRequest, match="The text has 216 characters"):
        await twins.call(shelf.embeddings(), "embed_query", LONG)


async def test_progress_is_told_for_documents(shelf: Shelf, twins: Twins) -> None:
    seen: list[Progress] = []
    model = shelf.embeddings(batch_size=10, on_progress=seen.append)
    await twins.call(model, "embed_documents", TEXTS)
    assert seen[-1].texts == seen[-1].total == 30
    await twins.call(model, "embed_query", "a question")
    assert len(seen) == 3, "a question is no job"


async def test_a_bar_can_be_shown(shelf: Shelf, twins: Twins, capsys: pytest.CaptureFixture[str]) -> None:
    await twins.call(shelf.embeddings(show_progress=True), "embed_documents", TEXTS)
    assert "30.0/30.0" in capsys.readouterr().err


async def test_a_stream_gives_what_embed_documents_gives(shelf: Shelf, twins: Twins) -> None:
    model = shelf.embeddings(batch_size=4)
    if twins.colour == "sync":
        found = list(model.stream(text for text in TEXTS))
    else:
        found = [vector async for vector in model.astream(text for text in TEXTS)]
    assert found == await twins.call(model, "embed_documents", TEXTS)


async def test_a_file_keeps_what_was_embedded(shelf: Shelf, twins: Twins, tmp_path: Path) -> None:
    model = shelf.embeddings(batch_size=4)
    path = tmp_path / "corpus.sqlite"
    told: list[int] = []
    kept = await twins.call(model, "embed_to", path, [*TEXTS, LONG], on_failure=lambda index, error: told.append(index))
    assert (kept.embedded, kept.failed, told) == (30, 1, [30])
    shelf.emulator.journal.clear()
    again = await twins.call(model, "embed_to", str(path), TEXTS)
    assert (again.embedded, again.reused) == (0, 30)
    assert len(shelf.emulator.journal) == 0
    with model.embedder().checkpoint(path) as checkpoint:
        assert list(checkpoint.vectors(TEXTS)) == await twins.call(model, "embed_documents", TEXTS)


async def test_a_refused_reranking_is_repeated(shelf: Shelf, twins: Twins) -> None:
    shelf.emulator.faults.add(RateLimited(retry_after=0.01), path="text/rerank", times=2)
    assert len(await twins.call(shelf.rerank(), "rerank", TEXTS, "document 7")) == 30
    assert len(shelf.bodies("text/rerank")) == 3


async def test_adapters_of_one_connection_share_one_limiter(shelf: Shelf) -> None:
    model = shelf.embeddings(max_retries=2)
    same = {"httpx_client": model.httpx_client, "async_httpx_client": model.async_httpx_client}
    ranker = shelf.rerank(timeout=5, **same)
    chat = shelf.model(**same)
    assert model.session.limiter is ranker.session.limiter is chat.session.limiter
    assert model.session is not ranker.session


# --------------------------------------------------------------------------- other processes


def embed_there(data: bytes) -> list[list[float]]:
    model: WatsonxEmbeddings = pickle.loads(data)
    return model.embed_documents(TEXTS)


def rank_there(data: bytes) -> list[dict[str, Any]]:
    model: WatsonxRerank = pickle.loads(data)
    return model.rerank(TEXTS, "document 7")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(Emulator()) as server:
        yield server


def test_adapters_work_in_spawned_workers(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_API_KEY", "key-of-the-environment")
    settings: dict[str, Any] = {"url": server.url, "project_id": "p" * 36}
    embeddings = WatsonxEmbeddings(model_id=EMBEDDING_MODEL, batch_size=7, **settings)
    ranker = WatsonxRerank(model_id=RERANK_MODEL, top_n=3, **settings)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        vectors = pool.submit(embed_there, pickle.dumps(embeddings)).result()
        scores = pool.submit(rank_there, pickle.dumps(ranker)).result()
    assert vectors == embeddings.embed_documents(TEXTS)
    assert scores == ranker.rerank(TEXTS, "document 7")
    assert scores[0]["index"] == 7
