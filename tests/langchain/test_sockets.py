"""ChatWatsonx over real sockets and TLS: the few things that no in-process transport shows."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from tests.langchain.chatting import LIMIT, MODEL, PROJECT, Caller, calls_of, whole
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.server import LocalServer
from wx_integrations.emulator.service import Pacing
from wx_integrations.langchain import ChatWatsonx

TOOL = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(Emulator(), tls=True) as server:
        yield server


def model(server: LocalServer) -> ChatWatsonx:
    return ChatWatsonx(
        model_id=MODEL,
        url=server.url,
        api_key="key",
        project_id=PROJECT,
        verify=server.ca_path,
        max_completion_tokens=LIMIT,
    )


async def test_calls_streams_and_tools(server: LocalServer, caller: Caller) -> None:
    chat = model(server)
    assert (await caller.invoke(chat, "hello")).content == "You said: hello"
    assert whole(await caller.stream(chat, "hello")).content == "You said: hello"
    assert calls_of(await caller.invoke(chat.bind_tools([TOOL]), "use add for 3")) == [("add", {"a": 3})]


def test_several_event_loops(server: LocalServer) -> None:
    chat = model(server)

    async def twice() -> list[str]:
        answers = await asyncio.gather(chat.ainvoke("a"), chat.ainvoke("b"))
        return [str(answer.text) for answer in answers]

    for _ in range(3):
        assert asyncio.run(twice()) == ["You said: a", "You said: b"]


async def test_leaving_a_stream_stops_the_service() -> None:
    emulator = Emulator(pacing=Pacing(each=0.01))
    with LocalServer(emulator) as slow:
        chat = ChatWatsonx(model_id=MODEL, url=slow.url, api_key="key", project_id=PROJECT, max_completion_tokens=LIMIT)
        async for _ in chat.astream("word " * 150):
            break
        gc.collect()
        for _ in range(500):
            if emulator.journal.last.state != "open":
                break
            await asyncio.sleep(0.02)
        assert emulator.journal.last.state == "abandoned"
