"""Embeddings: what is sent, in how many requests, how many at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.storage.kvstore import SimpleKVStore

from tests.llamaindex.conftest import PROJECT, URL, Colour, Script, Service
from wx_integrations.core.errors import ConfigurationError, InvalidRequest, PartialFailure, UnexpectedResponse
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.llamaindex import WatsonxEmbeddings

MODEL = "ibm/slate-125m-english-rtrvr"


async def test_a_batch_on_the_wire(service: Service, colour: Colour) -> None:
    embed_model = service.embeddings(truncate_input_tokens=128)
    vectors = await colour.call(embed_model, "get_text_embedding_batch", ["a", "b"])
    assert service.sent() == [
        {
            "model_id": MODEL,
            "project_id": PROJECT,
            "inputs": ["a", "b"],
            "parameters": {"truncate_input_tokens": 128},
        }
    ]
    assert len(vectors) == 2


@pytest.mark.parametrize("method", ["get_query_embedding", "get_text_embedding"])
async def test_one_text_on_the_wire(method: str, service: Service, colour: Colour) -> None:
    await colour.call(service.embeddings(), method, "a")
    assert service.sent() == [{"model_id": MODEL, "project_id": PROJECT, "inputs": ["a"]}]


async def test_nothing_is_sent_for_nothing(service: Service, colour: Colour) -> None:
    embed_model = service.embeddings()
    assert await colour.call(embed_model, "get_text_embedding_batch", []) == []
    assert await colour.call(embed_model, "_get_text_embeddings", []) == []
    assert len(service.emulator.journal) == 0


async def test_as_few_requests_as_the_api_allows(service: Service, colour: Colour) -> None:
    texts = [f"text {number}" for number in range(2001)]
    vectors = await colour.call(service.embeddings(), "get_text_embedding_batch", texts)
    assert sorted(len(body["inputs"]) for body in service.sent()) == [1, 1000, 1000]
    assert len(vectors) == 2001
    assert vectors[2000] == await colour.call(service.embeddings(), "get_text_embedding", "text 2000")


async def test_the_gateway(service: Service, colour: Colour) -> None:
    gateway = WatsonxEmbeddings(**{**service.connection, "model": MODEL})
    assert gateway.model_name == MODEL
    vector = await colour.call(gateway, "get_text_embedding", "a")
    assert service.sent() == [{"model": MODEL, "input": ["a"]}]
    assert vector == pytest.approx(service.embeddings().get_text_embedding("a"))


def test_deployments_do_not_embed(service: Service) -> None:
    with pytest.raises(ConfigurationError, match="deployments have no embeddings"):
        WatsonxEmbeddings(**{**service.connection, "deployment_id": "mine"})


async def test_a_text_that_is_too_long(service: Service, colour: Colour) -> None:
    long = "word " * 600
    with pytest.raises(InvalidRequest, match="maximum sequence length"):
        await colour.call(service.embeddings(), "get_text_embedding", long)
    assert await colour.call(service.embeddings(truncate_input_tokens=500), "get_text_embedding", long)


async def test_an_answer_with_too_few_vectors(colour: Colour) -> None:
    answer = {"model_id": MODEL, "results": [{"embedding": [1.0]}], "input_token_count": 2}
    embed_model = WatsonxEmbeddings(model_id=MODEL, **Script(*[answer] * 9).connection)
    with pytest.raises(UnexpectedResponse, match="2 texts were sent, but 1 embeddings came back"):
        await colour.call(embed_model, "get_text_embedding_batch", ["a", "b"])


async def test_an_empty_text_is_refused_unless_wanted(service: Service, colour: Colour) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        await colour.call(service.embeddings(), "get_text_embedding_batch", ["a", ""])
    assert service.sent() == []
    assert len(await colour.call(service.embeddings(empty="send"), "get_text_embedding_batch", ["a", ""])) == 2


async def test_what_succeeded_is_not_lost(service: Service, colour: Colour) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    embed_model = service.embeddings(callback_manager=CallbackManager([debug]))
    with pytest.raises(PartialFailure) as caught:
        await colour.call(embed_model, "get_text_embedding_batch", ["a", "word " * 600, "b"])
    assert sorted(caught.value.done) == [0, 2]
    assert list(caught.value.failed) == [1]
    [(_, end)] = debug.get_event_pairs(CBEventType.EMBEDDING)
    assert end.payload is not None
    assert end.payload[EventPayload.EXCEPTION] is caught.value


async def test_the_framework_s_rate_limiter(service: Service, colour: Colour) -> None:
    limiter = TokenBucketRateLimiter(requests_per_minute=6000)
    embed_model = service.embeddings(rate_limiter=limiter, embed_batch_size=2)
    assert len(await colour.call(embed_model, "get_text_embedding_batch", ["a", "b", "c"])) == 3
    assert [len(body["inputs"]) for body in service.sent()] == [2, 1]


async def test_the_framework_s_cache(service: Service, colour: Colour) -> None:
    embed_model = service.embeddings(embeddings_cache=SimpleKVStore())
    first = await colour.call(embed_model, "get_text_embedding_batch", ["a", "b"])
    second = await colour.call(embed_model, "get_text_embedding_batch", ["a", "b", "c"])
    assert second[:2] == first
    assert [body["inputs"] for body in service.sent()] == [["a", "b"], ["c"]]


class Counting(EmulatorTransport):
    """Counts how many requests are under way at a time."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self.now = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "embeddings" not in request.url.path:
            return await super().handle_async_request(request)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return await super().handle_async_request(request)


def counted(transport: Counting, **settings: Any) -> WatsonxEmbeddings:
    return WatsonxEmbeddings(
        model_id=MODEL,
        url=URL,
        api_key="k",
        project_id=PROJECT,
        async_httpx_client=httpx.AsyncClient(transport=transport),
        embed_batch_size=1,
        **settings,
    )


@pytest.mark.parametrize(("settings", "most"), [({}, 8), ({"max_concurrency": 3}, 3), ({"num_workers": 2}, 2)], ids=str)
async def test_concurrency_is_bounded(settings: dict[str, Any], most: int) -> None:
    transport = Counting(Emulator())
    vectors = await counted(transport, **settings).aget_text_embedding_batch([f"text {n}" for n in range(20)])
    assert len(vectors) == 20
    assert 1 < transport.most <= most


def test_concurrency_is_bounded_in_every_event_loop() -> None:
    transport = Counting(Emulator())
    embed_model = counted(transport, max_concurrency=2)
    for _ in range(2):
        transport.most = 0
        vectors = asyncio.run(embed_model.aget_text_embedding_batch([f"text {n}" for n in range(6)]))
        assert (len(vectors), transport.most) == (6, 2)


async def test_many_single_texts_share_the_bound() -> None:
    transport = Counting(Emulator())
    embed_model = counted(transport, max_concurrency=2)
    await asyncio.gather(*(embed_model.aget_text_embedding(f"text {n}") for n in range(6)))
    assert transport.most == 2
