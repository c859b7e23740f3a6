"""Whoever leaves a stream closes the answer at once: seen by the server, over real connections."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

from tests.support.leftovers import busy, open_in, pools_of, until
from tests.support.server import HANG, Script, Server, frames, stream, wait_until
from wx_integrations.core.errors import StreamBroken
from wx_integrations.llamaindex import WatsonxLLM

Start = Callable[..., Server]


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "1",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}],
    }


CHAT = stream(*frames(piece("a"), piece("b")), HANG, end=False)
TEXT = stream(*frames(*[{"results": [{"generated_text": "a", "stop_reason": "not_finished"}]}] * 2), HANG, end=False)
"""Answers that go on for ever, after two frames."""
WHOLE = stream(*frames(piece("a"), piece("b"), piece("c", "stop")))
CUT = stream(*frames(piece("a"), piece("b")))


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


def llm(server: Server, **settings: Any) -> WatsonxLLM:
    given = {"url": server.url, "token": "t", "project_id": "p", "model_id": "m", "max_retries": 0}
    return WatsonxLLM(**{**given, **settings})


HI = [ChatMessage(content="hi")]
METHODS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "chat": ("stream_chat", HI, {}),
    "complete": ("stream_complete", "hi", {}),
    "generation": ("stream_complete", "hi", {"use_text_generation": True}),
    "chat by generation": ("stream_chat", HI, {"use_text_generation": True}),
    "tools": ("stream_chat_with_tools", [FunctionTool.from_defaults(lambda a: a, name="f")], {}),
}


def served(serve: Start, kind: str) -> tuple[Server, WatsonxLLM]:
    settings = METHODS[kind][2]
    server = serve(TEXT if settings else CHAT)
    return server, llm(server, **settings)


def arguments(kind: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    given = METHODS[kind][1]
    return (given,), {"user_msg": "hi"} if kind == "tools" else {}


@pytest.mark.parametrize("leave", ["break", "error", "close", "forget"])
@pytest.mark.parametrize("kind", METHODS)
def test_leaving_a_stream(serve: Start, kind: str, leave: str) -> None:
    server, model = served(serve, kind)
    args, kwargs = arguments(kind)

    def consume() -> None:
        answers: Any = getattr(model, METHODS[kind][0])(*args, **kwargs)
        next(answers)
        if leave == "close":
            answers.close()
        elif leave != "forget":
            for _ in answers:
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


@pytest.mark.parametrize("leave", ["break", "error", "aclosing", "forget", "cancel", "timeout"])
@pytest.mark.parametrize("kind", METHODS)
async def test_leaving_an_asynchronous_stream(serve: Start, kind: str, leave: str) -> None:
    server, model = served(serve, kind)
    args, kwargs = arguments(kind)
    begun = asyncio.Event()

    async def open_() -> Any:
        return await getattr(model, f"a{METHODS[kind][0]}")(*args, **kwargs)

    async def read(answers: Any) -> None:
        async for _ in answers:
            begun.set()
            if leave == "error":
                raise KeyError("consumer")
            if leave not in ("cancel", "timeout"):
                break

    async def consume() -> None:
        if leave == "aclosing":
            async with aclosing(await open_()) as answers:
                await read(answers)
        elif leave == "timeout":
            async with asyncio.timeout(0.2):
                await read(await open_())
        else:
            await read(await open_())

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
    await until(lambda: is_idle(model))


def is_idle(model: WatsonxLLM) -> bool:
    (live,) = model.async_client._loops.values()
    return live.users == 0 and not any(busy(pool) for pool in pools_of(live.http.transport))  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["achat", "acomplete"])
async def test_cancelling_a_whole_answer(serve: Start, method: str) -> None:
    server = serve([HANG])
    model = llm(server)
    task = asyncio.create_task(getattr(model, method)(HI if method == "achat" else "hi"))
    await asyncio.to_thread(server.next)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await until(lambda: is_idle(model))


# --------------------------------------------------------------------------- chat engines
# They read to the end for the conversation's memory, in a thread or a task of their own, whoever listens.


def engine_of(model: WatsonxLLM) -> SimpleChatEngine:
    return SimpleChatEngine.from_defaults(llm=model, memory=ChatMemoryBuffer.from_defaults(token_limit=4000))


def test_leaving_a_chat_engine(serve: Start) -> None:
    server = serve(WHOLE)
    model = llm(server)
    engine = engine_of(model)
    response = engine.stream_chat("hi")
    for _ in response.response_gen:
        break
    assert wait_until(lambda: engine.chat_history[-1].content == "abc")
    live: Any = model.client._live
    (pool,) = pools_of(live.http.transport)
    assert (live.users, busy(pool), open_in(pool)) == (0, [], 1)


async def test_leaving_an_asynchronous_chat_engine(serve: Start) -> None:
    server = serve(WHOLE)
    model = llm(server)
    engine = engine_of(model)
    response = await engine.astream_chat("hi")
    async for _ in response.async_response_gen():
        break
    assert response.awrite_response_to_history_task is not None
    await response.awrite_response_to_history_task
    assert engine.chat_history[-1].content == "abc"
    await until(lambda: is_idle(model))


async def test_cancelling_what_a_chat_engine_reads(serve: Start) -> None:
    server = serve(CHAT)
    model = llm(server)
    response = await engine_of(model).astream_chat("hi")
    async for _ in response.async_response_gen():
        break
    task = response.awrite_response_to_history_task
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await until(lambda: is_idle(model))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the engine's thread ends with it
def test_a_chat_engine_tells_of_a_broken_stream(serve: Start) -> None:
    response = engine_of(llm(serve(CUT))).stream_chat("hi")
    with pytest.raises(StreamBroken, match="ended before"):
        list(response.response_gen)


async def test_an_asynchronous_chat_engine_tells_of_a_broken_stream(serve: Start) -> None:
    response = await engine_of(llm(serve(CUT))).astream_chat("hi")
    with pytest.raises(StreamBroken, match="ended before"):
        async for _ in response.async_response_gen():
            pass


# --------------------------------------------------------------------------- agents


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
@pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")  # its memory buffer
async def test_cancelling_an_agent(serve: Start) -> None:
    server = serve(CHAT)
    model = llm(server)
    handler = FunctionAgent(llm=model, tools=[]).run("hi", memory=ChatMemoryBuffer.from_defaults(token_limit=4000))
    await asyncio.to_thread(server.next)
    await handler.cancel_run()
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await until(lambda: is_idle(model))
