"""The bulk engine over real sockets: a rate limit, faults at random, other processes, chat beside it."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import httpx
import pytest

from tests.core.bulking import EMBEDDING_MODEL, PROJECT, Bench, Both, CountingBrain, texts_of, vector
from wx_integrations.core.bulk import Bounds
from wx_integrations.core.calls import Model, chat
from wx_integrations.core.connection import Connection
from wx_integrations.core.embedder import Embedder
from wx_integrations.core.progress import Progress
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session
from wx_integrations.core.wire.chat import ChatRequest, UserMessage
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Broken, Status
from wx_integrations.emulator.faults import RateLimited as TooMany
from wx_integrations.emulator.server import LocalServer

PATH = "text/embeddings"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(Emulator(CountingBrain())) as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


def bench_on(server: LocalServer, **settings: Any) -> Bench:
    return Bench(url=server.url, emulator=server.emulator, sockets=True, **settings)


def test_twenty_thousand_texts_survive_a_limit_and_faults(server: LocalServer, both: Both) -> None:
    faults = server.emulator.faults
    faults.limit(8)
    faults.add(TooMany(), path=PATH, probability=0.05)
    faults.add(Status(503), path=PATH, probability=0.05)
    faults.add(Broken("reset"), path=PATH, probability=0.05)
    bench = bench_on(server, retry=RetryPolicy(total=3, backoff_factor=0.05))
    seen: list[Progress] = []
    embedded = both.call(bench.embedder(), "embed", texts_of(20_000), on_progress=seen.append)
    assert embedded.vectors == [vector(number) for number in range(20_000)]
    assert embedded.input_token_count == 40_000
    refused = server.emulator.journal.find(PATH, status=429)
    assert len([entry for entry in refused if entry.fault == "Limit"]) <= 6, "at most before the limit is known"
    assert seen[-1].texts == 20_000


def test_a_stream_survives_them_as_well(server: LocalServer, both: Both) -> None:
    faults = server.emulator.faults
    faults.limit(50)
    faults.add(TooMany(retry_after=0.1), path=PATH, probability=0.05)
    faults.add(Broken("reset"), path=PATH, probability=0.05)
    bench = bench_on(server, retry=RetryPolicy(total=3, backoff_factor=0.05))
    found = both.all(bench.embedder(batch_size=100), "stream", (text for text in texts_of(4000)))
    assert found == [vector(number) for number in range(4000)]


def test_chat_and_bulk_share_what_the_service_allows(server: LocalServer) -> None:
    server.emulator.faults.limit(20)
    bench = bench_on(server)
    model = Model("ibm/granite-4-h-small", PROJECT)
    request = ChatRequest(messages=[UserMessage(content="hi")], max_completion_tokens=5)
    other = Session(Connection(url=server.url, api_key="key", timeout=30))
    assert other.limiter is bench.session.limiter
    bench.embedder().embed(texts_of(1))  # the limit is known from here on
    bulk = threading.Thread(target=bench.embedder(batch_size=1).embed, args=(texts_of(30),))
    bulk.start()

    async def talk() -> list[Any]:
        return await asyncio.gather(*(other.async_client.run(chat(model, request)) for _ in range(10)))

    assert len(asyncio.run(talk())) == 10
    bulk.join()
    assert server.emulator.journal.find(status=429) == []


def test_a_user_is_not_held_up_where_the_service_states_no_limit(server: LocalServer) -> None:
    bench = bench_on(server)
    request = ChatRequest(messages=[UserMessage(content="hi")], max_completion_tokens=5)
    call = chat(Model("ibm/granite-4-h-small", PROJECT), request)

    async def talk() -> int:
        return len(await asyncio.gather(*(bench.session.async_client.run(call) for _ in range(200))))

    assert asyncio.run(talk()) == 200
    assert bench.session.limiter.pace.cuts == 0
    assert bench.session.limiter.pace.is_open(bench.session.limiter.clock())


# --------------------------------------------------------------------------- other processes


def work(embedder: bytes, start: int) -> list[list[float]]:
    """Embed some texts with an embedder that came from another process."""
    made = pickle.loads(embedder)
    return list(made.embed([f"text {number}" for number in range(start, start + 50)]).vectors)


def test_spawned_workers_use_the_same_code(server: LocalServer) -> None:
    connection = Connection(url=server.url, token="header.payload.signature", pickle_secrets=True)
    embedder = Embedder(
        Session.of(connection), Model(EMBEDDING_MODEL, PROJECT), bounds=Bounds(batch_size=10, max_concurrency=2)
    )
    server.emulator.office.any_token = True
    data = pickle.dumps(embedder)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(work, [data] * 4, range(0, 200, 50)))
    assert [found for part in parts for found in part] == [vector(number) for number in range(200)]
    assert len(server.emulator.journal.find(PATH)) == 20


def test_an_answer_leaves_nothing_to_the_garbage_collector(server: LocalServer) -> None:
    embedder = bench_on(server).embedder()
    embedder.embed(texts_of(1))
    gc.collect()
    gc.disable()
    try:
        before = [item for item in gc.get_objects() if isinstance(item, httpx.Response)]  # other tests' own
        embedder.embed(texts_of(5))
        asyncio.run(embedder.aembed(texts_of(5)))
        assert [item for item in gc.get_objects() if isinstance(item, httpx.Response)] == before
    finally:
        gc.enable()
