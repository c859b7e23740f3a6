"""Streams over real connections: whoever leaves closes the answer at once, and only whole answers count as whole."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from tests.support.colour import Colour
from tests.support.leftovers import busy, pools_of, until
from tests.support.server import CLOSE, HANG, RESET, Script, Server, Step, frames, pause, stream
from wx_integrations.core.calls import Deployment, Gateway, Model, chat_stream, generate_stream
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import StreamBroken, TimedOut
from wx_integrations.core.session import Session
from wx_integrations.core.wire.chat import ChatRequest, UserMessage
from wx_integrations.core.wire.text import GenerationRequest

Serve = Callable[..., Server]
MODEL = Model("ibm/granite-4-h-small", project_id="p")
SAID = [UserMessage(content="hi")]
CALL = chat_stream(MODEL, ChatRequest(messages=[*SAID]))


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "token": "t", **settings})


def piece(text: str = "", finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "1", "choices": [choice], **more}


USAGE = {"id": "1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
GOES_ON = stream(*frames(piece("a"), piece("b")), HANG, end=False)
"""An answer that goes on for ever, after two frames."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is closed is closed because it was left, not because the garbage collector came by."""
    gc.disable()
    yield
    gc.enable()


# --------------------------------------------------------------------------- leaving


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", ["break", "error", "return", "close", "forget", "throw"])
def test_whoever_leaves_closes_the_answer_at_once(serve: Serve, leave: str) -> None:
    server = serve(Script(GOES_ON))
    session = Session(connect(server))

    def consume() -> None:
        values: Any = session.client.stream(CALL)
        next(values)
        if leave == "close":
            values.close()
        elif leave == "throw":
            values.throw(KeyError("consumer"))
        elif leave != "forget":
            for _ in values:
                if leave == "break":
                    break
                if leave == "error":
                    raise KeyError("consumer")
                return

    if leave in ("error", "throw"):
        with pytest.raises(KeyError):
            consume()
    else:
        consume()
    assert server.seen[0].left.wait(10)
    live: Any = session.client._live
    assert (live.users, busy(pools_of(live.http.transport)[0])) == (0, [])
    session.client.close()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", ["break", "error", "return", "close", "forget", "throw", "cancel", "timeout"])
@pytest.mark.parametrize("careful", [True, False], ids=["aclosing", "bare"])
async def test_whoever_leaves_closes_the_answer_at_once_async(serve: Serve, leave: str, careful: bool) -> None:
    server = serve(Script(GOES_ON))
    session = Session(connect(server))

    async def read(values: Any) -> None:
        await anext(values)
        if leave == "close":
            await values.aclose()
        elif leave == "throw":
            await values.athrow(KeyError("consumer"))
        elif leave == "timeout":
            async with asyncio.timeout(0.05):
                async for _ in values:
                    pass
        elif leave != "forget":
            async for _ in values:
                if leave == "break":
                    break
                if leave == "error":
                    raise KeyError("consumer")
                if leave == "return":
                    return

    async def consume() -> None:
        if careful:
            async with aclosing(session.async_client.stream(CALL)) as values:
                await read(values)
        else:
            await read(session.async_client.stream(CALL))

    task = asyncio.create_task(consume())
    expected = {"error": KeyError, "throw": KeyError, "timeout": TimeoutError, "cancel": asyncio.CancelledError}
    if leave == "cancel":
        await asyncio.to_thread(server.next)
        await until(lambda: any(busy(pool) for pool in pools_here(session)))
        task.cancel()
    if leave in expected:
        with pytest.raises(expected[leave]):
            await task
    else:
        await task
    del task
    if careful:
        assert not any(busy(pool) for pool in pools_here(session))
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await until(lambda: not any(busy(pool) for pool in pools_here(session)))
    (live,) = session.async_client._loops.values()
    await until(lambda: live.users == 0)
    await session.async_client.aclose()


def pools_here(session: Session) -> list[Any]:
    (live,) = session.async_client._loops.values()
    return pools_of(live.http.transport)  # type: ignore[union-attr]


def test_leaving_before_the_answer_has_begun(serve: Serve) -> None:
    """A generator that was never asked has sent nothing."""
    server = serve(Script(GOES_ON))
    session = Session(connect(server))
    session.client.stream(CALL).close()
    assert server.seen == []


def test_a_loop_that_ends_closes_what_its_tasks_left_open(serve: Serve) -> None:
    server = serve(Script(GOES_ON))
    session = Session(connect(server))
    kept: list[Any] = []

    async def leave() -> None:
        kept.append(session.async_client.stream(CALL))
        await anext(kept[0])

    asyncio.run(leave())
    assert server.seen[0].left.wait(10)


# --------------------------------------------------------------------------- whole or not


def read(colour: Colour, session: Session, call: Any, **options: Any) -> tuple[list[Any], StreamBroken | None]:
    """Return what a stream yields, and how it broke."""
    got: list[Any] = []
    try:
        with colour.stream(session, call, **options) as values:
            got.extend(values)
    except StreamBroken as error:
        return got, error
    return got, None


FINISH = piece("", "stop")
WHOLE: dict[str, Sequence[Any]] = {
    "finish and usage": [piece("a"), FINISH, USAGE],
    "finish only": [piece("a"), FINISH],
    "finish on the last delta": [piece("a", "stop")],
    "usage only": [piece("a"), USAGE],
    "length": [piece("a", "length")],
    "usage with an empty delta": [piece("a"), piece("", "", usage=USAGE["usage"])],
    "blocked": [{"id": "1", "choices": [{"index": 0, "finish_reason": None}], "usage": {"prompt_tokens": 9}}],
}
UNFINISHED: dict[str, Sequence[Any]] = {
    "nothing": [],
    "text": [piece("a")],
    "an empty finish": [piece("a", "")],
    "running usage": [piece("a", usage=USAGE["usage"])],
}
ENDS: dict[str, Sequence[Step]] = {
    "end": [],
    "done": [b"data: [DONE]\n\n"],
    "close event": [b"event: close\ndata: {}\n\n"],
    "empty close event": [b"event: close\n\n"],
    "comment": [b": bye\n\n"],
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", WHOLE)
def test_a_finished_answer_is_whole_however_it_ends(colour: Colour, serve: Serve, kind: str, end: str) -> None:
    server = serve(Script(stream(*frames(*WHOLE[kind]), *ENDS[end])))
    got, broken = read(colour, colour.session(connect(server)), CALL)
    assert len(got) == len(WHOLE[kind])
    assert broken is None


@pytest.mark.parametrize("end", ["reset", "close", "silence"])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_finished_answer_stays_whole_when_the_connection_breaks_after_it(
    colour: Colour, serve: Serve, kind: str, end: str
) -> None:
    steps: dict[str, Step] = {"reset": RESET, "close": CLOSE, "silence": HANG}
    server = serve(Script(stream(*frames(*WHOLE[kind]), steps[end], end=False)))
    session = colour.session(connect(server))
    got, broken = read(colour, session, CALL, timeout=httpx.Timeout(10, read=0.25))
    assert len(got) == len(WHOLE[kind])
    assert broken is None


@pytest.mark.parametrize("end", ["end", "close event", "empty close event", "comment", "reset", "close", "silence"])
@pytest.mark.parametrize("kind", UNFINISHED)
def test_an_unfinished_answer_is_never_whole(colour: Colour, serve: Serve, kind: str, end: str) -> None:
    last: dict[str, list[Step]] = {"reset": [RESET], "close": [CLOSE], "silence": [HANG]}
    tail = last.get(end) or ENDS[end]
    server = serve(Script(stream(*frames(*UNFINISHED[kind]), *tail, end=end not in last)))
    session = colour.session(connect(server))
    got, broken = read(colour, session, CALL, timeout=httpx.Timeout(10, read=0.25))
    assert broken is not None
    assert list(broken.arrived) == got
    assert len(got) == len(UNFINISHED[kind])
    words = {"silence": "no more data arrived in time", "reset": "connection broke", "close": "connection broke"}
    assert words.get(end, "ended before the answer was complete") in str(broken)


def test_an_error_after_the_finish_is_an_error(colour: Colour, serve: Serve) -> None:
    body = b'event: error\ndata: {"errors":[{"code":"c","message":"said"}],"status_code":500}\n\n'
    server = serve(Script(stream(*frames(piece("a"), FINISH), body)))
    _, broken = read(colour, colour.session(connect(server)), CALL)
    assert broken is not None
    assert "said" in str(broken)


@pytest.mark.parametrize(
    "target", [MODEL, Deployment("d"), Gateway("m", project_id="p")], ids=lambda t: type(t).__name__
)
def test_of_several_choices_each_must_finish(colour: Colour, serve: Serve, target: Any) -> None:
    call = chat_stream(target, ChatRequest(messages=[*SAID], n=2))
    one, other = piece("", "stop", index=0), piece("", "stop", index=1)
    both = {"id": "1", "choices": [*one["choices"], *other["choices"]]}
    for sent, whole in (
        ([piece("a"), piece("b", index=1), one], False),
        ([piece("a"), one], False),
        ([piece("a"), one, one], False),
        ([piece("a"), one, piece("b", index=1), other], True),
        ([both], True),
        ([piece("a"), one, USAGE], True),
    ):
        server = serve(Script(stream(*frames(*sent))))
        got, broken = read(colour, colour.session(connect(server)), call)
        assert len(got) == len(sent)
        assert (broken is None) is whole


def test_a_generation_is_whole_when_it_says_why_it_ended(colour: Colour, serve: Serve) -> None:
    call = generate_stream(MODEL, GenerationRequest(input="hi"))

    def result(reason: str) -> dict[str, Any]:
        return {"results": [{"generated_text": "a", "stop_reason": reason}]}

    for sent, whole in (
        ([result("not_finished")], False),
        ([result("not_finished"), result("eos_token")], True),
        ([result("NOT_FINISHED"), result("MAX_TOKENS")], True),
        ([], False),
    ):
        server = serve(Script(stream(*frames(*sent))))
        got, broken = read(colour, colour.session(connect(server)), call)
        assert len(got) == len(sent)
        assert (broken is None) is whole


# --------------------------------------------------------------------------- idle

SHORT = httpx.Timeout(10, read=0.25)


@pytest.mark.parametrize("where", ["connection", "connection, seconds", "call", "call, seconds"])
def test_the_wait_for_the_next_chunk_is_bounded(colour: Colour, serve: Serve, where: str) -> None:
    server = serve(Script(GOES_ON))
    limit = 0.25 if where.endswith("seconds") else SHORT
    settings = {"timeout": limit} if where.startswith("connection") else {"timeout": 60}
    options = {"timeout": limit} if where.startswith("call") else {}
    got, broken = read(colour, colour.session(connect(server, **settings)), CALL, **options)
    assert len(got) == 2
    assert broken is not None
    assert "no more data arrived in time" in str(broken)
    assert server.seen[0].left.wait(10)


def test_an_answer_may_take_longer_than_the_wait_for_one_chunk(colour: Colour, serve: Serve) -> None:
    """The bound is on the silence, not on the whole."""
    never = threading.Event()
    slowly: list[Step] = []
    for frame in frames(*[piece("a")] * 8, FINISH):
        slowly += [lambda: pause(never, 0.15), frame]
    server = serve(Script(stream(*slowly)))
    got, broken = read(colour, colour.session(connect(server)), CALL, timeout=httpx.Timeout(10, read=1.2))
    assert (len(got), broken) == (9, None)


def test_a_consumer_may_take_its_time(colour: Colour, serve: Serve) -> None:
    """What has arrived meanwhile counts as in time."""
    sent = threading.Event()
    server = serve(Script([*stream(*frames(piece("a"), piece("b"), FINISH)), sent.set]))
    session = colour.session(connect(server))
    got = []
    with colour.stream(session, CALL, timeout=httpx.Timeout(10, read=1.0)) as values:
        for value in values:
            got.append(value)
            if len(got) == 1:
                assert sent.wait(10)
                threading.Event().wait(1.1)
    assert len(got) == 3


def test_without_an_answer_it_is_a_timeout(colour: Colour, serve: Serve) -> None:
    server = serve(Script([HANG]))
    session = colour.session(connect(server, max_retries=0))
    with pytest.raises(TimedOut):
        colour.all(session, CALL, timeout=SHORT)
    assert server.seen[0].left.wait(10)
