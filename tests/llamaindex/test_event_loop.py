"""The event loop is never blocked: every asynchronous method runs under a watch for blocking calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from blockbuster import BlockBuster, BlockingError, blockbuster_ctx
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.prompts import PromptTemplate

from tests.llamaindex.conformance import ADD, Invoice, RerankConformance
from tests.llamaindex.conftest import Service
from tests.llamaindex.test_messages import PNG
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.service import Pacing
from wx_integrations.emulator.transport import EmulatorTransport

MESSAGES = [ChatMessage(content="Invoice number 42 for the customer 'Ada'. Use the tool 'add' on 1 and 2.")]
PROMPT = PromptTemplate("Invoice number 42 for the customer 'Ada'.")


@pytest.fixture
def watched() -> Iterator[BlockBuster]:
    with blockbuster_ctx() as watch:
        yield watch


class Patient(EmulatorTransport):
    """Lets the loop turn before each answer."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(10):
            await asyncio.sleep(0)
        return await super().handle_async_request(request)


@pytest.fixture
def slow() -> Service:
    """A service that takes its time, so that the loop has to be free meanwhile."""
    service = Service(Emulator(pacing=Pacing(first=0.01, each=0.001)))
    service.connection["async_httpx_client"] = httpx.AsyncClient(transport=Patient(service.emulator))
    return service


async def collect(stream: Awaitable[Any]) -> list[Any]:
    return [item async for item in await stream]


Action = Callable[[Service], Awaitable[Any]]
ACTIONS: dict[str, Action] = {
    "achat": lambda service: service.llm().achat(MESSAGES),
    "astream_chat": lambda service: collect(service.llm().astream_chat(MESSAGES)),
    "acomplete": lambda service: service.llm().acomplete("hi"),
    "astream_complete": lambda service: collect(service.llm().astream_complete("hi")),
    "acomplete, generated": lambda service: service.llm("google/flan-ul2").acomplete("hi"),
    "astream_complete, generated": lambda service: collect(service.llm("google/flan-ul2").astream_complete("hi")),
    "achat_with_tools": lambda service: service.llm().achat_with_tools([ADD], chat_history=MESSAGES),
    "astream_chat_with_tools": lambda service: collect(
        service.llm().astream_chat_with_tools([ADD], chat_history=MESSAGES)
    ),
    "apredict_and_call": lambda service: service.llm().apredict_and_call([ADD], chat_history=MESSAGES),
    "apredict": lambda service: service.llm().apredict(PROMPT),
    "astructured_predict": lambda service: service.llm().astructured_predict(Invoice, PROMPT),
    "astructured_predict, by call": lambda service: service.llm(
        structured_output="function_calling"
    ).astructured_predict(Invoice, PROMPT),
    "astream_structured_predict": lambda service: collect(service.llm().astream_structured_predict(Invoice, PROMPT)),
    "arefresh_profile": lambda service: service.llm().arefresh_profile(),
    "tokenizer.acall": lambda service: service.llm().tokenizer.acall("granite"),
    "aget_text_embedding_batch": lambda service: service.embeddings(embed_batch_size=1).aget_text_embedding_batch(
        ["a", "b", "c"]
    ),
    "aget_query_embedding": lambda service: service.embeddings().aget_query_embedding("a"),
    "apostprocess_nodes": lambda service: service.rerank().apostprocess_nodes(
        RerankConformance.nodes(), query_str="granite"
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
async def test_the_loop_keeps_ticking(name: str, slow: Service, watched: BlockBuster) -> None:
    ticks = 0
    done = False

    async def clock() -> None:
        nonlocal ticks
        while not done:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(clock())
    result = await ACTIONS[name](slow)
    done = True
    await ticking
    assert result
    assert ticks > 10


@pytest.mark.parametrize("name", ACTIONS)
async def test_no_thread_is_needed(name: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asynchronous all the way down: nothing is handed to a thread."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a thread was asked for")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "run_in_executor", refuse)
    assert await ACTIONS[name](service)


async def test_files_are_read_aside(service: Service, watched: BlockBuster, tmp_path: Path) -> None:
    """A file on disk has no asynchronous form; it is read in a thread."""
    path = tmp_path / "a.png"
    await asyncio.to_thread(path.write_bytes, PNG)
    block = await asyncio.to_thread(lambda: ImageBlock(path=path))
    await service.llm("emulator/all-senses").achat(
        [ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), block])]
    )
    assert service.sent()[0]["messages"][0]["content"][1]["type"] == "image_url"


async def test_the_watch_sees_blocking_calls(watched: BlockBuster, tmp_path: Path) -> None:
    import time

    with pytest.raises(BlockingError):
        time.sleep(0.001)  # noqa: ASYNC251  # on purpose
