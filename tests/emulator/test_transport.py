"""The emulator behind httpx, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.emulator.lab import ML, Lab
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Text
from wx_integrations.emulator.faults import Broken, Cut, Fault, Slow
from wx_integrations.emulator.scripted import ScriptedBrain, ScriptExhausted
from wx_integrations.emulator.service import Pacing
from wx_integrations.emulator.transport import EmulatorTransport

URL = f"{ML}/ml/v1/text/"
VERSION = {"version": "2024-03-14"}


@dataclass
class Seen:
    """What came of a request: the answer, the pieces, or the error."""

    status: int = 0
    pieces: list[bytes] = field(default_factory=list)
    error: Exception | None = None


Sender = Callable[..., Seen]


@dataclass
class Rig:
    """A transport whose waits are written down instead of done."""

    emulator: Emulator
    waited: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def pause(seconds: float) -> None:
            if seconds:
                self.waited.append(seconds)

        self.transport = EmulatorTransport(self.emulator, sleep=self.waited.append, async_sleep=pause)
        self.headers = {"authorization": f"Bearer {self.emulator.office.issue().text}"}


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Sender:
    """Send one streamed POST and read at most so many pieces, in either colour."""

    def sync(rig: Rig, operation: str, body: Any, *, most: int | None = None, timeout: float = 5.0) -> Seen:
        seen = Seen()
        with httpx.Client(transport=rig.transport, headers=rig.headers, params=VERSION, timeout=timeout) as client:
            try:
                with client.stream("POST", URL + operation, json=body) as response:
                    seen.status = response.status_code
                    for piece in response.iter_raw():
                        seen.pieces.append(piece)
                        if len(seen.pieces) == most:
                            break
            except httpx.TransportError as error:
                seen.error = error
        return seen

    async def in_loop(rig: Rig, operation: str, body: Any, most: int | None, timeout: float) -> Seen:
        seen = Seen()
        async with httpx.AsyncClient(
            transport=rig.transport, headers=rig.headers, params=VERSION, timeout=timeout
        ) as client:
            try:
                async with client.stream("POST", URL + operation, json=body) as response:
                    seen.status = response.status_code
                    async for piece in response.aiter_raw():
                        seen.pieces.append(piece)
                        if len(seen.pieces) == most:
                            break
            except httpx.TransportError as error:
                seen.error = error
        return seen

    def through_a_loop(rig: Rig, operation: str, body: Any, *, most: int | None = None, timeout: float = 5.0) -> Seen:
        return asyncio.run(in_loop(rig, operation, body, most, timeout))

    return sync if request.param == "sync" else through_a_loop


def test_whole_answers(send: Sender) -> None:
    rig = Rig(Emulator())
    seen = send(rig, "chat", Lab.chat_body())
    assert (seen.status, seen.error) == (200, None)
    assert b"You said: Hello" in b"".join(seen.pieces)
    entry = rig.emulator.journal.one("text/chat")
    assert entry.headers["host"] == "us-south.ml.cloud.ibm.com"
    assert entry.body["messages"] == [{"role": "user", "content": "Hello"}]


def test_streams_come_frame_by_frame(send: Sender) -> None:
    seen = send(Rig(Emulator()), "chat_stream", Lab.chat_body())
    assert [piece.split(b"\n")[0] for piece in seen.pieces] == [b"id: %d" % n for n in range(1, len(seen.pieces) + 1)]


class Endless(ScriptedBrain):
    """Talks until stopped, and notes how far it got."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.stopped = False

    def chat(self, *_: Any) -> Iterator[Text]:
        try:
            while True:
                self.said += 1
                yield Text("again ")
        finally:
            self.stopped = True


def test_streams_are_lazy_and_leaving_stops_the_brain(send: Sender) -> None:
    brain = Endless()
    rig = Rig(Emulator(brain))
    seen = send(rig, "chat_stream", Lab.chat_body(), most=4)
    assert len(seen.pieces) == 4
    assert brain.stopped
    assert brain.said == 3
    entry = rig.emulator.journal.last
    assert (entry.state, entry.frames) == ("abandoned", 4)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Broken("refuse"), httpx.ConnectError),
        (Broken("reset"), httpx.ReadError),
        (Broken("close"), httpx.RemoteProtocolError),
        (Broken("timeout"), httpx.ReadTimeout),
        (Broken("garbage"), httpx.RemoteProtocolError),
        (Cut(after=2, how="reset"), httpx.ReadError),
        (Cut(after=2, how="close"), httpx.RemoteProtocolError),
        (Cut(after=2, how="timeout"), httpx.ReadTimeout),
    ],
)
@pytest.mark.parametrize("operation", ["chat", "chat_stream"])
def test_trouble_becomes_httpx_errors(send: Sender, fault: Fault, kind: type[Exception], operation: str) -> None:
    rig = Rig(Emulator())
    rig.emulator.faults.add(fault)
    seen = send(rig, operation, Lab.chat_body())
    assert type(seen.error) is kind
    assert isinstance(seen.error, httpx.TransportError)
    assert str(seen.error.request.url).startswith(URL)
    if isinstance(fault, Cut):
        assert seen.status == 200
        assert seen.pieces


def test_waiting_is_a_parameter(send: Sender) -> None:
    brain = ScriptedBrain()
    brain.reply("a", "b")
    rig = Rig(Emulator(brain, pacing=Pacing(first=2.0, each=0.5)))
    send(rig, "chat_stream", Lab.chat_body())
    assert rig.waited == [2.0, 0.5, 0.5]


def test_waiting_longer_than_the_read_timeout_is_a_timeout(send: Sender) -> None:
    rig = Rig(Emulator())
    rig.emulator.faults.add(Slow(before=60))
    seen = send(rig, "chat", Lab.chat_body(), timeout=3.0)
    assert isinstance(seen.error, httpx.ReadTimeout)
    assert rig.waited == [3.0]
    rig.emulator.faults.clear()
    rig.emulator.faults.add(Slow(each=4.0))
    seen = send(rig, "chat_stream", Lab.chat_body(), timeout=3.0)
    assert isinstance(seen.error, httpx.ReadTimeout)
    assert seen.status == 200
    assert rig.emulator.journal.last.state == "abandoned"


def test_a_late_failure_of_the_brain_is_not_disguised() -> None:
    rig = Rig(Emulator(ScriptedBrain()))
    expected = pytest.raises(ScriptExhausted, match="no answer to chat with ibm/granite-4-h-small")
    with httpx.Client(transport=rig.transport, headers=rig.headers, params=VERSION) as client, expected:
        client.post(URL + "chat", json=Lab.chat_body())


async def test_async_streams_let_others_run() -> None:
    rig = Rig(Emulator())
    transport = EmulatorTransport(rig.emulator)
    steps = 0

    async def others() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    async with httpx.AsyncClient(transport=transport, headers=rig.headers, params=VERSION) as client:
        response = await client.post(URL + "chat_stream", json=Lab.chat_body("word " * 50))
    task.cancel()
    assert response.status_code == 200
    assert steps >= response.content.count(b"data: ")


async def test_cancelling_a_task_stops_the_brain() -> None:
    brain = Endless()
    rig = Rig(Emulator(brain))
    begun = asyncio.Event()

    async def consume() -> None:
        client = httpx.AsyncClient(transport=rig.transport, headers=rig.headers, params=VERSION)
        async with client, client.stream("POST", URL + "chat_stream", json=Lab.chat_body()) as response:
            async for _ in response.aiter_raw():
                begun.set()
                await asyncio.sleep(0)

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert brain.stopped


def test_one_transport_for_many_loops_and_threads() -> None:
    rig = Rig(Emulator())

    async def ask() -> int:
        async with httpx.AsyncClient(transport=rig.transport, headers=rig.headers, params=VERSION) as client:
            replies = await asyncio.gather(*(client.post(URL + "chat", json=Lab.chat_body()) for _ in range(5)))
        return sum(reply.status_code == 200 for reply in replies)

    assert [asyncio.run(ask()) for _ in range(3)] == [5, 5, 5]
    assert len(rig.emulator.journal) == 15
