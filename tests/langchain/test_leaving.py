"""Whoever leaves a stream closes the answer at once: seen by the server, over real connections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from tests.support.leftovers import busy, open_in, pools_of, until
from tests.support.server import HANG, Script, Server, frames, stream
from wx_integrations.langchain import ChatWatsonx, WatsonxLLM

Start = Callable[..., Server]


def piece(text: str) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]}


CHAT = stream(*frames(piece("a"), piece("b")), HANG, end=False)
TEXT = stream(*frames(*[{"results": [{"generated_text": "a", "stop_reason": "not_finished"}]}] * 2), HANG, end=False)
"""Answers that go on for ever, after two frames."""


@pytest.fixture
def serve() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *answers: stack.enter_context(Server(Script(*answers)))


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What is closed is closed because it was left, not because the garbage collector came by."""
    gc.disable()
    yield
    gc.enable()


def made(adapter: type[Any], server: Server, **settings: Any) -> Any:
    given = {"url": server.url, "token": "t", "project_id": "p", "model_id": "m", "max_retries": 0}
    return adapter(**{**given, **settings})


RUNNABLES: dict[str, Callable[[Server], tuple[Any, Any]]] = {
    "model": lambda server: (made(ChatWatsonx, server), "hi"),
    "bound": lambda server: (made(ChatWatsonx, server).bind(temperature=0), "hi"),
    "chain": lambda server: (
        ChatPromptTemplate.from_template("say {word}") | made(ChatWatsonx, server) | StrOutputParser(),
        {"word": "hi"},
    ),
    "text": lambda server: (made(WatsonxLLM, server), "hi"),
    "text chain": lambda server: (made(WatsonxLLM, server) | StrOutputParser(), "hi"),
    "fallbacks": lambda server: (made(ChatWatsonx, server).with_fallbacks([RunnableLambda(str)]), "hi"),
    "retries": lambda server: (made(ChatWatsonx, server).with_retry(), "hi"),
}


def served(serve: Start, kind: str) -> tuple[Server, Runnable[Any, Any], Any, ChatWatsonx | WatsonxLLM]:
    server = serve(TEXT if kind.startswith("text") else CHAT)
    runnable, given = RUNNABLES[kind](server)
    model: Any = runnable
    while not isinstance(model, ChatWatsonx | WatsonxLLM):
        model = getattr(model, "bound", None) or getattr(model, "runnable", None) or model.steps[-2]
    return server, runnable, given, model


@pytest.mark.parametrize("leave", ["break", "error", "close", "forget"])
@pytest.mark.parametrize("kind", [kind for kind in RUNNABLES if not kind.endswith("chain")])
def test_leaving_a_stream(serve: Start, kind: str, leave: str) -> None:
    server, runnable, given, model = served(serve, kind)

    def consume() -> None:
        chunks: Any = runnable.stream(given)
        next(chunks)
        if leave == "close":
            chunks.close()
        elif leave != "forget":
            for _ in chunks:
                if leave == "error":
                    raise KeyError("consumer")
                break

    if leave == "error":
        with pytest.raises(KeyError):
            consume()
    else:
        consume()
    assert server.seen[0].left.wait(10)
    live: Any = model.client._live
    assert (live.users, busy(pools_of(live.http.transport)[0])) == (0, [])


def test_leaving_a_chain(serve: Start) -> None:
    """In a thread LangChain reads what is left for its trace, and then everything is given back."""
    end = {"id": "1", "choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}]}
    server = serve(stream(*frames(piece("a"), piece("b"), end)))
    runnable, given = RUNNABLES["chain"](server)
    model = runnable.steps[1]
    for _ in runnable.stream(given):
        break
    (pool,) = pools_of(model.client._live.http.transport)
    assert (model.client._live.users, busy(pool), open_in(pool)) == (0, [], 1)


WAYS: dict[str, Callable[[Any, Any], AsyncIterator[Any]]] = {
    "astream": lambda runnable, given: runnable.astream(given),
    "astream_events": lambda runnable, given: runnable.astream_events(given, version="v2"),
}


@pytest.mark.parametrize("leave", ["break", "error", "aclosing", "forget", "cancel", "timeout"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RUNNABLES)
async def test_leaving_an_asynchronous_stream(serve: Start, kind: str, way: str, leave: str) -> None:
    server, runnable, given, model = served(serve, kind)
    begun = asyncio.Event()

    def is_token(item: Any) -> bool:
        return way == "astream" or str(item["event"]).endswith("_stream")

    async def read(chunks: AsyncIterator[Any]) -> None:
        async for chunk in chunks:
            if not is_token(chunk):
                continue
            begun.set()
            if leave == "error":
                raise KeyError("consumer")
            if leave not in ("cancel", "timeout"):
                break

    async def consume() -> None:
        if leave == "aclosing":
            async with aclosing(WAYS[way](runnable, given)) as chunks:  # type: ignore[type-var]
                await read(chunks)
        elif leave == "timeout":
            async with asyncio.timeout(0.3):
                await read(WAYS[way](runnable, given))
        else:
            await read(WAYS[way](runnable, given))

    task = asyncio.create_task(consume())
    if leave == "cancel":
        await begun.wait()
        task.cancel()
    expected = {"error": KeyError, "timeout": TimeoutError, "cancel": asyncio.CancelledError}
    if leave in expected:
        with pytest.raises(expected[leave]):
            await task
    else:
        await task
    del task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    (live,) = model.async_client._loops.values()
    await until(lambda: live.users == 0)
    assert not any(busy(pool) for pool in pools_of(live.http.transport))  # type: ignore[union-attr]
    await until(lambda: len(asyncio.all_tasks()) == 1)


@pytest.mark.parametrize("adapter", [ChatWatsonx, WatsonxLLM])
async def test_cancelling_a_whole_answer(serve: Start, adapter: type[Any]) -> None:
    server = serve([HANG])
    task = asyncio.create_task(made(adapter, server).ainvoke("hi"))
    await asyncio.to_thread(server.next)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)


# --------------------------------------------------------------------------- agents


def agent(server: Server, **settings: Any) -> Any:
    return create_agent(made(ChatWatsonx, server, **settings), tools=[])


ASKED: Any = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("leave", ["break", "error", "aclosing", "cancel"])
@pytest.mark.parametrize("way", ["messages", "events"])
async def test_leaving_an_agent(serve: Start, way: str, leave: str) -> None:
    server = serve(CHAT)
    running = agent(server)
    begun = asyncio.Event()

    def open_() -> Any:
        if way == "messages":
            return running.astream(ASKED, stream_mode="messages")
        return running.astream_events(ASKED, version="v2")

    async def read(items: Any) -> None:
        async for item in items:
            if way == "events" and item["event"] != "on_chat_model_stream":
                continue
            begun.set()
            if leave == "error":
                raise KeyError("consumer")
            if leave != "cancel":
                break

    async def consume() -> None:
        if leave == "aclosing":
            async with aclosing(open_()) as items:
                await read(items)
        else:
            await read(open_())

    task = asyncio.create_task(consume())
    if leave == "cancel":
        await begun.wait()
        task.cancel()
    expected = {"error": KeyError, "cancel": asyncio.CancelledError}
    if leave in expected:
        with pytest.raises(expected[leave]):
            await task
    else:
        await task
    del task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)


async def test_cancelling_an_agent_that_waits(serve: Start) -> None:
    server = serve([HANG])
    task = asyncio.create_task(agent(server).ainvoke(ASKED))
    await asyncio.to_thread(server.next)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)


def test_leaving_an_agent_in_a_thread(serve: Start) -> None:
    """LangGraph waits for the thread that runs the node; the answer's own timeout ends that."""
    server = serve(CHAT)
    for _ in agent(server, timeout=0.5).stream(ASKED, stream_mode="messages"):
        break
    assert server.seen[0].left.wait(10)
