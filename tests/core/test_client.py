"""The clients over real connections: requests, answers, streams, the plain level."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from typing import Any

import httpx
import pytest

from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.recorder import Recorder
from tests.support.server import (
    CLOSE,
    HANG,
    Script,
    Seen,
    Server,
    Step,
    answer,
    chunk,
    error,
    frames,
    head,
    pause,
    stream,
    wait_until,
)
from tests.support.tokens import iam
from wx_integrations import __version__
from wx_integrations.core.calls import (
    Call,
    Model,
    StreamCall,
    chat,
    chat_stream,
    embed,
    generate,
    model_specs,
    tokenize,
)
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import (
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    ServiceError,
    StreamBroken,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
)
from wx_integrations.core.session import Session
from wx_integrations.core.wire.chat import ChatRequest, UserMessage
from wx_integrations.core.wire.text import GenerationRequest

Serve = Callable[..., Server]
MODEL = Model("ibm/granite-4-h-small", project_id="p")
REQUEST = ChatRequest(messages=[UserMessage(content="hi")])
SPECS = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "token": "t", "timeout": 10, "max_retries": 0, **settings})


def piece(text: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a frame of a chat stream."""
    choice = {"index": 0, "finish_reason": finish, "delta": {"content": text}}
    return {"id": "chat-1", "model_id": "m", "model": "m", "created": 1, "choices": [choice], **more}


END = piece("", "stop")


def texts(chunks: Sequence[Any]) -> list[str | None]:
    return [(choices[0]["delta"] or {}).get("content") for chunk in chunks if (choices := chunk.get("choices"))]


# --------------------------------------------------------------------------- requests


def test_what_a_call_sends(colour: Colour, serve: Serve) -> None:
    completion = {"id": "1", "model_id": "m", "created": 1, "choices": [], "usage": {}}
    server = serve(Script(answer(200, completion)))
    colour.run(colour.session(connect(server, version="2026-08-11")), chat(MODEL, REQUEST))
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.query) == ("POST", "/ml/v1/text/chat", {"version": "2026-08-11"})
    assert seen.json == {
        "model_id": "ibm/granite-4-h-small",
        "project_id": "p",
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert {name: value for name, value in seen.headers if name != "content-length"} == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "content-type": "application/json",
        "authorization": "Bearer t",
        "user-agent": f"wx-integrations/{__version__}",
    }


def test_a_stream_asks_for_events(colour: Colour, serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a"), END))))
    chunks = colour.all(colour.session(connect(server)), chat_stream(MODEL, REQUEST))
    assert texts(chunks) == ["a", ""]
    (seen,) = server.seen
    assert seen.header("accept") == "text/event-stream"
    assert (seen.path, seen.query) == ("/ml/v1/text/chat_stream", {"version": "2024-03-14"})


def test_a_get_has_no_body(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS))
    colour.run(colour.session(connect(server)), model_specs(filters="function_text_chat"))
    (seen,) = server.seen
    assert seen.method == "GET"
    assert seen.query == {"version": "2024-03-14", "limit": "200", "filters": "function_text_chat"}
    assert seen.header("content-type") is None
    assert seen.header("content-length") is None


def test_an_installation_below_a_path(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS))
    session = colour.session(connect(server, url=f"{server.url}/zen/ml/v1/text/chat"))
    colour.run(session, model_specs())
    colour.get(session, "/v2/spaces")
    assert [seen.path for seen in server.seen] == ["/zen/ml/v1/foundation_model_specs", "/zen/v2/spaces"]


def test_ipv6(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS), host="::1")
    colour.run(colour.session(connect(server)), model_specs())
    assert server.seen[0].header("host") == f"[::1]:{server.port}"


def test_platform_calls_go_to_the_platform_host(colour: Colour) -> None:
    recorder = Recorder(httpx.Response(200, json={}))
    with recorder.clients() as clients:
        session = colour.session(Connection(region="eu-de", token="t", **clients))
        call: Call[bytes] = Call(path="/wx/v1/prompts", parse=bytes, host="platform", versioned=False, method="GET")
        colour.run(session, call)
        for path in ("/wx/v1/prompts", "/v2/spaces", "wx/v1-beta/utility_agent_tools", "/ml/v4/deployments"):
            colour.get(session, path)
    assert [str(request.url) for request in recorder.requests] == [
        "https://api.eu-de.dataplatform.cloud.ibm.com/wx/v1/prompts",
        "https://api.eu-de.dataplatform.cloud.ibm.com/wx/v1/prompts",
        "https://api.eu-de.dataplatform.cloud.ibm.com/v2/spaces",
        "https://api.eu-de.dataplatform.cloud.ibm.com/wx/v1-beta/utility_agent_tools",
        "https://eu-de.ml.cloud.ibm.com/ml/v4/deployments?version=2024-03-14",
    ]


# --------------------------------------------------------------------------- the plain level


def test_request_raw_returns_any_answer(colour: Colour, serve: Serve) -> None:
    server = serve(Script(answer(418, "short and stout", {"X-A": "1"}, content_type="text/plain")))
    session = colour.session(connect(server))
    response = colour.request_raw(
        session,
        "put",
        "/ml/v1/x",
        json={"a": "ä"},
        params={"q": "1 2"},
        headers={"accept": "text/plain", "CONTENT-TYPE": "application/json-patch+json"},
    )
    assert (response.status_code, response.text, response.headers["x-a"]) == (418, "short and stout", "1")
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.query) == ("PUT", "/ml/v1/x", {"q": "1 2", "version": "2024-03-14"})
    assert seen.json == {"a": "ä"}
    assert seen.header("accept") == "text/plain"  # once, and the caller's
    assert seen.header("content-type") == "application/json-patch+json"


def test_request_returns_json_or_raises(colour: Colour, serve: Serve) -> None:
    server = serve(
        Script(
            answer(200, {"a": 1}),
            answer(204),
            answer(200, "[1]"),
            answer(200, "<html>"),
            error(404, "not_found", "no such thing"),
        )
    )
    session = colour.session(connect(server))
    assert colour.request(session, "POST", "/v2/x", content=b"raw") == {"a": 1}
    assert server.seen[0].body == b"raw"
    assert "version" not in server.seen[0].query
    assert colour.request(session, "DELETE", "/ml/v1/x") is None
    assert colour.get(session, "/ml/gateway/v1/models") == [1]
    assert "version" not in server.seen[2].query
    with pytest.raises(UnexpectedResponse, match="WATSONX_URL"):
        colour.get(session, "/ml/v1/x")
    with pytest.raises(NotFound, match="no such thing"):
        colour.get(session, "/ml/v1/x", params={"version": "2025-01-01"})
    assert server.seen[4].query == {"version": "2025-01-01"}


def test_full_urls_of_ones_own_hosts(colour: Colour, serve: Serve) -> None:
    server = serve(Script(answer(200, {})))
    session = colour.session(connect(server))
    colour.get(session, f"{server.url}/ml/v1/specs?start=x&version=2025-01-01")  # such as a page's `next`
    colour.get(session, "/v2/assets?callback=https://elsewhere.example.com")
    assert server.seen[0].query == {"start": "x", "version": "2025-01-01"}
    assert server.seen[1].query == {"callback": "https://elsewhere.example.com"}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/ml/v1/x",
        "http://127.0.0.1:1/ml/v1/x",
        "https://127.0.0.1:{port}/ml/v1/x",
        "http://localhost:{port}/ml/v1/x",
        "http://127.0.0.1:{port}@evil.example.com/",
        "ftp://127.0.0.1:{port}/",
        "http://[",
        "http://a\x00b/",
    ],
)
def test_other_urls_get_no_token(colour: Colour, serve: Serve, url: str) -> None:
    server = serve(Script(answer(200, {})))
    session = colour.session(connect(server))
    with pytest.raises(ConfigurationError, match=r"path|no token"):
        colour.get(session, url.replace("{port}", str(server.port)))
    assert server.seen == []


@pytest.mark.parametrize("path", ["//evil.example.com/x", "/\\evil.example.com", "@evil.example.com", "../../x", ""])
def test_no_path_leaves_the_host(colour: Colour, serve: Serve, path: str) -> None:
    server = serve(Script(answer(200, {})))
    colour.get(colour.session(connect(server)), path)
    assert server.seen[0].header("host") == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "options",
    [
        {"json": {}, "content": b""},
        {"json": object()},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X": "ä"}},
        {"headers": {"a b": "c"}},
        {"timeout": -1},
    ],
)
def test_what_cannot_be_sent_is_refused(colour: Colour, serve: Serve, options: dict[str, Any]) -> None:
    server = serve(Script(answer(200, {})))
    with pytest.raises(ConfigurationError):
        colour.request(colour.session(connect(server)), "POST", "/x", **options)
    with pytest.raises(ConfigurationError):
        colour.get(colour.session(connect(server)), "/x\x00")
    assert server.accepted == 0


@pytest.mark.parametrize("place", ["https://evil.example.com/", "/elsewhere", "//evil", "http://[", ""])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(colour: Colour, serve: Serve, status: int, place: str) -> None:
    server = serve(Script(answer(status, b"", {"Location": place})))
    session = colour.session(connect(server))
    with pytest.raises((ServiceError, ConnectionFailed)) as caught:
        colour.run(session, model_specs())
    if isinstance(caught.value, ServiceError):
        assert caught.value.status == status
        assert "redirects are not followed" in str(caught.value)
    with pytest.raises((ServiceError, ConnectionFailed)):
        colour.all(session, chat_stream(MODEL, REQUEST))
    assert len(server.seen) == 2
    if place != "http://[":
        assert colour.request_raw(session, "GET", "/ml/v1/x").status_code == status


def test_the_token_endpoints_redirects_are_not_followed_either(colour: Colour, serve: Serve) -> None:
    elsewhere = serve(Script(token=iam()))
    server = serve(Script(SPECS, token=lambda _: answer(307, b"", {"Location": f"{elsewhere.url}/identity/token"})))
    with pytest.raises(ServiceError, match="307"):
        colour.run(colour.session(connect(server, token=None, api_key="k")), model_specs())
    assert elsewhere.seen == []
    assert len(server.seen) == 1


# --------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (answer(200, "<!DOCTYPE html><p>login", content_type="text/html"), UnexpectedResponse, "WATSONX_URL"),
        (answer(200, b""), UnexpectedResponse, "something else"),
        (answer(200, b"\xff\xfe"), UnexpectedResponse, "something else"),
        (answer(200, "[]"), UnexpectedResponse, "something else"),
        (answer(200, '{"choices": 5}'), UnexpectedResponse, "choices"),
        (answer(200, "[" * 100_000), UnexpectedResponse, "something else"),
        (answer(200, {"errors": [{"code": "c", "message": "said"}], "status_code": 400}), InvalidRequest, "said"),
        (answer(200, {"error": "said"}), ServiceError, "said"),
        (answer(200, {"token": 5}), UnexpectedResponse, "something else"),
        (answer(200, {"error": {"code": "c", "message": "said"}}), ServiceError, "said"),
        (error(500, "downstream_request_failed", "said"), Unavailable, "downstream_request_failed: said"),
        (answer(599, b""), Unavailable, "no body"),
    ],
)
def test_answers_that_are_none(
    colour: Colour, serve: Serve, reply: Sequence[Step], kind: type[Exception], text: str
) -> None:
    session = colour.session(connect(serve(Script(reply))))
    with pytest.raises(kind, match=text) as caught:
        colour.run(session, chat(MODEL, REQUEST))
    assert isinstance(caught.value, WatsonxError)
    assert caught.value.attempts == 1
    with pytest.raises(WatsonxError):
        colour.run(session, embed(MODEL, ["a"]))
    with pytest.raises(WatsonxError):
        colour.run(session, tokenize(MODEL, "a"))
    with pytest.raises(WatsonxError):
        colour.run(session, model_specs())
    with pytest.raises(WatsonxError):
        colour.run(session, generate(MODEL, GenerationRequest(input="a")))


# --------------------------------------------------------------------------- streams


def test_events_arrive_as_they_are_sent(colour: Colour, serve: Serve) -> None:
    """Nothing waits for the end: the server goes on only after the client has seen the event before."""
    go_on = threading.Event()
    first, last = frames(piece("first"), END)
    server = serve(Script(stream(first, lambda: pause(go_on), last)))
    with colour.stream(colour.session(connect(server)), chat_stream(MODEL, REQUEST)) as values:
        assert next(values)["choices"][0]["delta"] == {"content": "first"}
        go_on.set()
        assert len(list(values)) == 1


@pytest.mark.parametrize("leave", ["close", "error"])
def test_leaving_a_stream_closes_the_answer_at_once(colour: Colour, serve: Serve, leave: str) -> None:
    server = serve(Script(stream(*frames(piece("a"), piece("b")), HANG, end=False)))
    session = colour.session(connect(server))
    try:
        with colour.stream(session, chat_stream(MODEL, REQUEST)) as values:
            next(values)
            if leave == "error":
                raise KeyError("consumer")
    except KeyError:
        assert leave == "error"
    assert server.seen[0].left.wait(10)
    # The session goes on.
    server.handler = Script(stream(*frames(END)))
    assert len(colour.all(session, chat_stream(MODEL, REQUEST))) == 1


def test_breaking_out_of_the_loop_closes_the_answer_without_help(serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a")), HANG, end=False)))
    session = Session(connect(server))
    for _ in session.client.stream(chat_stream(MODEL, REQUEST)):
        break
    gc.collect()
    assert server.seen[0].left.wait(10)
    session.client.close()


async def test_breaking_out_of_the_loop_closes_the_answer_soon(serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a")), HANG, end=False)))
    session = Session(connect(server))
    async for _ in session.async_client.stream(chat_stream(MODEL, REQUEST)):
        break
    gc.collect()
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await session.async_client.aclose()


@pytest.mark.parametrize("when", ["before headers", "between events", "in a whole answer"])
async def test_cancelling_closes_the_answer_at_once(serve: Serve, when: str) -> None:
    begun = asyncio.Event()
    replies: dict[str, Sequence[Step]] = {
        "before headers": [HANG],
        "between events": stream(*frames(piece("a")), HANG, end=False),
        "in a whole answer": [head(200, {"Content-Length": "100"}), b"{", HANG],
    }
    server = serve(Script(replies[when]))
    session = Session(connect(server))

    async def consume() -> None:
        if when == "in a whole answer":
            await session.async_client.run(model_specs())
        async with aclosing(session.async_client.stream(chat_stream(MODEL, REQUEST))) as values:
            async for _ in values:
                begun.set()

    task = asyncio.create_task(consume())
    await (begun.wait() if when == "between events" else asyncio.to_thread(server.next))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.seen[0].left.wait, 10)
    await session.async_client.aclose()


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        ([], "ended before the answer was complete"),
        ([b'event: error\ndata: {"errors":[{"code":"c","message":"said"}]}\n\n'], "said"),
        ([b"event: error\ndata: plain words\n\n"], "plain words"),
        ([b'data: {"errors":[{"code":"c","message":"said"}]}\n\n'], "said"),
        ([b'data: {"error":{"message":"said"}}\n\n'], "said"),
        ([b'data: {"error":"said"}\n\n'], "said"),
        ([b"data: not json\n\n"], "cannot be understood"),
        ([b"data: \xff\xff\n\n"], "cannot be understood"),
        ([b'data: {"choices": 7}\n\n'], "choices"),
        ([b"data: " + b"[" * 100_000 + b"\n\n"], "cannot be understood"),
        ([b'data: {"id":"cut off'], "ended before"),
        ([CLOSE], "connection broke"),
    ],
)
def test_a_broken_stream_is_told_apart_from_a_finished_one(
    colour: Colour, serve: Serve, tail: Sequence[Step], text: str
) -> None:
    closing_step = [step for step in tail if not isinstance(step, bytes)]
    steps = stream(*frames(piece("so "), piece("far")), *tail, end=not closing_step)
    session = colour.session(connect(serve(Script(steps))))
    got: list[Any] = []
    with (
        pytest.raises(StreamBroken, match=text) as caught,
        colour.stream(session, chat_stream(MODEL, REQUEST)) as values,
    ):
        got.extend(values)
    assert texts(got) == ["so ", "far"]
    assert texts(caught.value.arrived) == ["so ", "far"]
    assert caught.value.attempts == 1


def test_idle_too_long(colour: Colour, serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a")), HANG, end=False)))
    session = colour.session(connect(server))
    with pytest.raises(StreamBroken, match="no more data arrived in time") as caught:
        colour.all(session, chat_stream(MODEL, REQUEST), timeout=httpx.Timeout(10, read=0.25))
    assert texts(caught.value.arrived) == ["a"]
    assert server.seen[0].left.wait(10)


def test_comments_keep_a_stream_alive(colour: Colour, serve: Serve) -> None:
    first, last = frames(piece("a"), END)
    beat: list[Step] = [b": keep-alive\n\n", lambda: pause(threading.Event(), 0.05)]
    server = serve(Script(stream(first, *beat * 8, last)))
    assert (
        len(
            colour.all(
                colour.session(connect(server)), chat_stream(MODEL, REQUEST), timeout=httpx.Timeout(10, read=0.35)
            )
        )
        == 2
    )


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (error(404, "model_not_supported", "said"), NotFound, "said"),
        (answer(200, {"errors": [{"code": "c", "message": "said"}], "status_code": 400}), InvalidRequest, "said"),
        (answer(200, {"error": {"message": "said"}}), ServiceError, "said"),
        (answer(200, "<html>", content_type="text/html; charset=utf-8"), UnexpectedResponse, "WATSONX_URL"),
        (answer(200, {"choices": []}), UnexpectedResponse, "not an event stream"),
        (answer(200, b"", content_type="text/event-stream"), StreamBroken, "ended before"),
    ],
)
def test_an_answer_that_is_no_stream(
    colour: Colour, serve: Serve, reply: Sequence[Step], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        colour.all(colour.session(connect(serve(Script(reply)))), chat_stream(MODEL, REQUEST))


@pytest.mark.parametrize(
    "done", [b"data: [DONE]\n\n", b"event: close\ndata: {}\n\n", b"event: close\n\n", b": end\n\n"]
)
def test_what_follows_the_last_event(colour: Colour, serve: Serve, done: bytes) -> None:
    server = serve(Script(stream(*frames(piece("a"), END), done)))
    assert texts(colour.all(colour.session(connect(server)), chat_stream(MODEL, REQUEST))) == ["a", ""]


def test_strange_but_good_streams(colour: Colour, serve: Serve) -> None:
    """Line ends within a text, a byte order mark, a megabyte in a frame, frames cut anywhere."""
    payloads = [piece("a\u2028b\u2029c\x85d"), piece("x" * 1_000_000), END]
    data = b"\xef\xbb\xbf" + b"".join(frames(*payloads)).replace(b"\n", b"\r\n")
    pieces = [data[place : place + 977] for place in range(0, len(data), 977)]
    server = serve(Script(stream(*pieces)))
    chunks = colour.all(colour.session(connect(server)), chat_stream(MODEL, REQUEST))
    assert texts(chunks) == ["a\u2028b\u2029c\x85d", "x" * 1_000_000, ""]


def test_a_compressed_stream(colour: Colour, serve: Serve) -> None:
    packer = zlib.compressobj(wbits=31)
    data = [packer.compress(frame) + packer.flush(zlib.Z_SYNC_FLUSH) for frame in frames(piece("a"), END)]
    steps: list[Step] = [
        head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})
    ]
    steps += [chunk(part) for part in [*data, packer.flush()]]
    server = serve(Script([*steps, b"0\r\n\r\n"]))
    assert len(colour.all(colour.session(connect(server)), chat_stream(MODEL, REQUEST))) == 2


def test_a_finished_streams_connection_is_used_again(colour: Colour, serve: Serve) -> None:
    server = serve(Script(stream(*frames(END))))
    session = colour.session(connect(server))
    for _ in range(5):
        colour.all(session, chat_stream(MODEL, REQUEST))
    assert server.accepted == 1


def test_a_stream_whose_values_are_no_models(colour: Colour, serve: Serve) -> None:
    call: StreamCall[Any] = StreamCall(
        path="/ml/v1/x", parse=json.loads, is_last=lambda value: value == {"last": True}, body=b"{}"
    )
    server = serve(Script(stream(*frames({"a": 1}, [2], {"last": True}))))
    assert colour.all(colour.session(connect(server)), call) == [{"a": 1}, [2], {"last": True}]


# --------------------------------------------------------------------------- many at once


def test_no_answer_is_lost_or_mixed_up(colour: Colour, serve: Serve) -> None:
    def echo(seen: Seen) -> Sequence[Step]:
        return answer(200, {"echo": seen.json})

    server = serve(echo)
    session = colour.session(connect(server))
    numbers = iter(range(10_000))
    lock = threading.Lock()

    def number() -> int:
        with lock:
            return next(numbers)

    def work() -> bool:
        mine = number()
        return bool(session.client.request("POST", "/v2/x", json=mine) == {"echo": mine})

    async def awork() -> bool:
        mine = number()
        return bool(await session.async_client.request("POST", "/v2/x", json=mine) == {"echo": mine})

    results = colour.together(32 if colour.name == "sync" else 200, work, awork)
    assert set(results) == {True}
    assert len(server.seen) == len(results)


async def test_the_loads_of_all_pools_return_to_nothing(serve: Serve) -> None:
    """After answers, cancellations, streams left, errors and resets alike."""
    gate = threading.Event()

    def mixed(seen: Seen) -> Sequence[Step]:
        kind = seen.query.get("kind", "stream")
        replies: dict[str, Sequence[Step]] = {
            "ok": answer(200, {}),
            "bad": answer(500, b"x"),
            "hang": [HANG],
            "reset": [CLOSE],
            "stream": stream(*frames(piece("a"), piece("b")), HANG, end=False),
        }
        return replies[kind]

    server = serve(mixed)
    session = Session(connect(server))
    client = session.async_client

    async def one(kind: str) -> None:
        await client.get("/v2/x", params={"kind": kind})

    async def leave() -> None:
        async with aclosing(client.stream(chat_stream(MODEL, REQUEST))) as values:
            async for _ in values:
                return

    async def stay() -> None:
        async with aclosing(client.stream(chat_stream(MODEL, REQUEST))) as values:
            async for _ in values:
                pass

    tasks = [asyncio.create_task(work) for _ in range(15) for work in (one("ok"), one("bad"), one("reset"), leave())]
    slow = [asyncio.create_task(work) for _ in range(15) for work in (one("hang"), stay())]
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.02)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert len(loads(client)) > 16
    assert not any(loads(client))
    gate.set()
    await client.aclose()


def loads(client: AsyncClient) -> list[int]:
    (live,) = client._loops.values()
    transport: Any = live.http.transport  # type: ignore[union-attr]
    while not hasattr(transport, "load"):
        transport = transport.inner
    return list(transport.load)


async def test_limits_hold(serve: Serve) -> None:
    server = serve(Script(answer(200, {})))
    for most in (1, 5, 40):
        session = Session(connect(server, limits=httpx.Limits(max_connections=most)))
        before = server.accepted
        await asyncio.gather(*(session.async_client.get("/v2/x") for _ in range(60)))
        assert server.accepted - before <= most
        await session.async_client.aclose()


async def test_few_requests_at_a_time_stay_on_few_connections(serve: Serve) -> None:
    server = serve(Script(answer(200, {})))
    session = Session(connect(server))
    for _ in range(10):
        await asyncio.gather(*(session.async_client.get("/v2/x") for _ in range(3)))
    assert server.accepted <= 3
    await session.async_client.aclose()


# --------------------------------------------------------------------------- opening and closing


def test_clients_alone_take_settings_and_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(Script(SPECS))
    monkeypatch.setenv("WATSONX_URL", server.url)
    monkeypatch.setenv("WATSONX_TOKEN", "of-the-environment")
    with Client() as client:
        client.run(model_specs())

    async def use() -> None:
        async with AsyncClient(token="given", max_retries=0) as client:
            await client.run(model_specs())

    asyncio.run(use())
    assert [seen.header("authorization") for seen in server.seen] == ["Bearer of-the-environment", "Bearer given"]
    with pytest.raises(ConfigurationError, match="connection and token"):
        Client(connect(server), token="t")
    with pytest.raises(ConfigurationError, match="toke"):
        Client(toke="t")
    assert repr(client) == f"Client({server.url})"


def test_a_closed_client_opens_again(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS))
    session = colour.session(connect(server))
    colour.run(session, model_specs())
    colour.close_clients(session)
    colour.close_clients(session)
    colour.run(session, model_specs())
    assert server.accepted == 2


def test_closing_while_others_use_it_loses_no_call(serve: Serve) -> None:
    """A call between taking the open client and sending must not meet a closed one."""
    server = serve(Script(SPECS))
    client = Session(connect(server)).client
    stop = threading.Event()

    def keep_closing() -> None:
        while not stop.is_set():
            client.close()

    closer = threading.Thread(target=keep_closing)
    closer.start()
    try:
        for _ in range(50):
            client.run(model_specs())
    finally:
        stop.set()
        closer.join(10)
        client.close()
    assert len(server.seen) == 50
    assert wait_until(lambda: server.open_connections() == 0)


async def test_closing_while_others_use_it_loses_no_asynchronous_call(serve: Serve) -> None:
    server = serve(Script(SPECS))
    client = Session(connect(server)).async_client
    for _ in range(10):
        work = [asyncio.create_task(client.run(model_specs())) for _ in range(4)]
        await asyncio.sleep(0)
        await client.aclose()
        await asyncio.gather(*work)
    assert len(server.seen) == 40
    await client.aclose()
    assert await asyncio.to_thread(wait_until, lambda: server.open_connections() == 0)


def test_closing_leaves_a_running_stream_alone(colour: Colour, serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a"), piece("b"), END))))
    session = colour.session(connect(server))
    with colour.stream(session, chat_stream(MODEL, REQUEST)) as values:
        next(values)
        colour.close_clients(session)
        assert len(list(values)) == 2
    assert wait_until(lambda: server.open_connections() == 0)


@pytest.mark.parametrize("missing", ["api_key", "headers", "proxies"])
def test_secrets_that_stayed_behind_are_missed_before_anything_is_sent(
    colour: Colour, serve: Serve, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Script(SPECS))
    settings: dict[str, Any] = {"token": None, "api_key": "k", "verify": None}
    if missing != "api_key":
        monkeypatch.setenv("WATSONX_API_KEY", "k")
        settings[missing] = {"headers": {"X-Api-Key": "x"}, "proxies": {"https": "http://u:p@p:1"}}[missing]
    session = colour.session(pickle.loads(pickle.dumps(connect(server, **settings))))
    advice = "WATSONX_API_KEY" if missing == "api_key" else "pickle_secrets"
    for work in (lambda: colour.run(session, model_specs()), lambda: colour.get(session, "/v2/x")):
        with pytest.raises(ConfigurationError, match=f"{missing}: not pickled.*{advice}"):
            work()
    assert server.seen == []
    if missing == "api_key":
        session.client.set_token("by-hand")
        colour.run(session, model_specs())
        assert server.seen[0].header("authorization") == "Bearer by-hand"


# --------------------------------------------------------------------------- one's own httpx clients


def borrowed(colour: Colour, **options: Any) -> tuple[dict[str, Any], Any]:
    """Return the setting for one's own httpx client of the colour, and the client; `end` closes it."""
    if colour.name == "sync":
        client: Any = httpx.Client(**options)
        return {"httpx_client": client}, client
    client = httpx.AsyncClient(**options)
    return {"async_httpx_client": client}, client


def hook(colour: Colour, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function as an event hook of the colour."""

    async def awaited(subject: Any) -> None:
        function(subject)

    return function if colour.name == "sync" else awaited


def end(colour: Colour, client: Any) -> None:
    assert not client.is_closed
    if colour.name == "sync":
        client.close()
    else:
        colour.wait(client.aclose())


def test_ones_own_client_is_used_as_it_is_and_not_closed(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS))
    hooked: list[str] = []
    settings, client = borrowed(
        colour,
        headers={"X-Corp": "1", "Authorization": "Basic x", "Accept": "x/y"},
        cookies={"sticky": "a"},
        params={"tenant": "t1"},
        auth=("u", "p"),
        follow_redirects=True,
        event_hooks={"request": [hook(colour, lambda request: hooked.append(request.url.path))]},
    )
    session = colour.session(connect(server, **settings))
    colour.run(session, model_specs())
    (seen,) = server.seen
    assert seen.header("x-corp") == "1"
    assert seen.header("cookie") == "sticky=a"
    assert seen.query["tenant"] == "t1"
    assert seen.header("authorization") == "Bearer t"  # ours, not the client's
    assert seen.header("accept") == "application/json"
    assert hooked == ["/ml/v1/foundation_model_specs"]
    server.handler = Script(answer(302, b"", {"Location": "/elsewhere"}))
    with pytest.raises(ServiceError, match="302"):
        colour.run(session, model_specs())
    colour.close_clients(session)
    end(colour, client)


@pytest.mark.parametrize(
    ("given", "connection", "expected"),
    [
        ({"timeout": 7}, {}, 7),
        ({}, {}, 600),  # a default of httpx would cut every longer generation
        ({"timeout": 7}, {"timeout": 8}, 8),
        ({"timeout": None}, {}, None),
    ],
)
def test_whose_timeout_counts(
    colour: Colour, serve: Serve, given: dict[str, Any], connection: dict[str, Any], expected: Any
) -> None:
    seen: list[Any] = []
    note = hook(colour, lambda request: seen.append(request.extensions["timeout"]["read"]))
    settings, client = borrowed(colour, event_hooks={"request": [note]}, **given)
    server = serve(Script(SPECS))
    session = colour.session(Connection(url=server.url, token="t", **settings, **connection))
    colour.run(session, model_specs())
    colour.run(session, model_specs(), timeout=3)
    assert seen == [expected, 3.0]
    end(colour, client)


def test_hooks_that_read_and_raise(colour: Colour, serve: Serve) -> None:
    server = serve(Script(SPECS, error(404, "model_not_supported", "said"), stream(*frames(piece("a"), END))))

    def plain(response: httpx.Response) -> None:
        response.read()
        response.raise_for_status()

    async def awaited(response: httpx.Response) -> None:
        await response.aread()
        response.raise_for_status()

    hooks = {"response": [plain if colour.name == "sync" else awaited]}
    settings, client = borrowed(colour, event_hooks=hooks)
    session = colour.session(connect(server, **settings))
    assert colour.run(session, model_specs()).resources == []
    with pytest.raises(NotFound, match="said"):
        colour.run(session, model_specs())
    assert len(colour.all(session, chat_stream(MODEL, REQUEST))) == 2
    end(colour, client)


def test_hooks_that_raise_without_reading(colour: Colour, serve: Serve) -> None:
    server = serve(Script(error(404, "model_not_supported", "said")))
    hooks = {"response": [hook(colour, lambda response: response.raise_for_status())]}
    settings, client = borrowed(colour, event_hooks=hooks)
    with pytest.raises(NotFound) as caught:
        colour.run(colour.session(connect(server, **settings)), model_specs())
    assert caught.value.status == 404
    end(colour, client)


def test_retries_and_tokens_work_over_ones_own_client(colour: Colour, serve: Serve, time: FakeTime) -> None:
    expired = error(401, "authentication_token_expired")
    server = serve(script := Script(answer(503), expired, SPECS, token=iam()))
    settings, client = borrowed(colour)
    connection = connect(server, token=None, api_key="k", max_retries=1, **settings)
    colour.run(colour.session(connection, time.waiting), model_specs())
    assert script.tokens == 2
    assert len(server.seen) == 5
    end(colour, client)


def test_the_proxies_of_ones_own_client(colour: Colour, serve: Serve) -> None:
    proxy = serve(Script(SPECS))
    settings, client = borrowed(colour, proxy=f"http://127.0.0.1:{proxy.port}")
    connection = Connection(url="http://cpd.example.com", token="t", allow_http=True, **settings)
    colour.run(colour.session(connection), model_specs())
    assert proxy.seen[0].target.startswith("http://cpd.example.com/ml/v1/foundation_model_specs?")
    end(colour, client)


def test_a_closed_client_of_ones_own_is_named(colour: Colour, serve: Serve) -> None:
    settings, client = borrowed(colour)
    session = colour.session(connect(serve(Script(SPECS)), **settings))
    end(colour, client)
    with pytest.raises(ConfigurationError, match="httpx_client"):
        colour.run(session, model_specs())


def test_a_closed_generator_closes_the_answer(serve: Serve) -> None:
    server = serve(Script(stream(*frames(piece("a")), HANG, end=False)))
    session = Session(connect(server))
    with closing(session.client.stream(chat_stream(MODEL, REQUEST))) as values:
        next(values)
    session.client.close()
    assert server.seen[0].left.wait(10)
