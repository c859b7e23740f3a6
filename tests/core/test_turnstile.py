"""The transports that obey the limiter: which requests pass them, what they read, and what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.clock import FakeTime
from wx_integrations.core.calls import Model, chat, chat_stream, embed, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConnectionFailed, RateLimited, TimedOut, UnexpectedResponse
from wx_integrations.core.limiter import Caller
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session
from wx_integrations.core.turnstile import CALLER, LARGEST_BUFFER, LONGEST_REFUSAL
from wx_integrations.core.wire.chat import ChatRequest, UserMessage

URL = "https://us-south.ml.cloud.ibm.com"
MODEL = Model("m", "p")
HI = ChatRequest(messages=[UserMessage(content="hi")])
VECTORS = b'{"results":[{"embedding":[0.5]}],"input_token_count":1}'
LIMIT = b'{"errors":[{"code":"rate_limit_reached_requests","message":"Rate limit of 2 requests per 1s was reached"}]}'
TOKEN = b'{"access_token":"a.b.c","expires_in":3600}'

Answer = Callable[[httpx.Request], httpx.Response]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces, and may break off."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks = breaks
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.read += 1
            yield piece
        if self.breaks:
            raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


class Desk:
    """A session whose service is a function, on fake time, in one colour."""

    def __init__(self, colour: str, time: FakeTime, answer: Answer, **settings: Any) -> None:
        self.colour, self.time = colour, time
        self.seen: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return answer(request)

        transport = httpx.MockTransport(handle)
        connection = Connection(
            url=URL,
            **{"token": "a.b.c", **settings},
            httpx_client=httpx.Client(transport=transport),
            async_httpx_client=httpx.AsyncClient(transport=transport),
        )
        self.session = Session(connection, waiting=time.waiting)
        self.limiter = self.session.limiter

    def run(self, call: Any, **options: Any) -> Any:
        if self.colour == "sync":
            return self.session.client.run(call, **options)
        return asyncio.run(self.session.async_client.run(call, **options))

    def stream(self, call: Any) -> list[Any]:
        if self.colour == "sync":
            return list(self.session.client.stream(call))

        async def gather() -> list[Any]:
            return [item async for item in self.session.async_client.stream(call)]

        return asyncio.run(gather())


MakeDesk = Callable[..., Desk]


@pytest.fixture(params=["sync", "async"])
def desk(request: pytest.FixtureRequest, time: FakeTime) -> MakeDesk:
    return lambda answer, **settings: Desk(request.param, time, answer, **settings)


def ok(request: httpx.Request, **headers: str) -> httpx.Response:
    if request.url.path == "/identity/token":
        return httpx.Response(200, content=TOKEN)
    if request.method == "GET":
        return httpx.Response(200, json={"resources": []})
    return httpx.Response(200, content=VECTORS, headers=headers)


def queue(*answers: httpx.Response) -> Answer:
    rest = list(answers)
    return lambda request: rest.pop(0)


# --------------------------------------------------------------------------- which requests


def test_inference_requests_are_paced_when_the_service_says_so(desk: MakeDesk, time: FakeTime) -> None:
    made = desk(lambda request: ok(request, **{"x-requests-limit-rate": "2"}))
    for _ in range(5):
        made.run(embed(MODEL, ["a"]))
    assert sum(time.slept) == pytest.approx(4 / 2 / 0.97, abs=0.05)


def test_other_requests_are_not(desk: MakeDesk, time: FakeTime) -> None:
    made = desk(lambda request: ok(request, **{"retry-after": "50"}), token=None, api_key="k")
    made.limiter.pace.paused_until = time.value + 1000
    made.run(model_specs())
    assert [request.url.path for request in made.seen] == ["/identity/token", "/ml/v1/foundation_model_specs"]
    assert time.slept == []
    made.run(embed(MODEL, ["a"]))
    assert sum(time.slept) == pytest.approx(1000)


def test_a_users_own_request_below_ml_is_paced_too(desk: MakeDesk, time: FakeTime) -> None:
    made = desk(ok)
    made.limiter.pace.paused_until = time.value + 7
    if made.colour == "sync":
        made.session.client.request("POST", "/ml/v1/text/embeddings", json={})
    else:
        asyncio.run(made.session.async_client.request("POST", "/ml/v1/text/embeddings", json={}))
    assert sum(time.slept) == pytest.approx(7)


# --------------------------------------------------------------------------- what is read and told


def test_the_words_of_a_refusal_set_the_pace(desk: MakeDesk) -> None:
    made = desk(queue(httpx.Response(429, content=LIMIT), httpx.Response(200, content=VECTORS)))
    made.run(embed(MODEL, ["a"]))
    assert made.limiter.pace.stated == 2.0


def test_everybody_waits_when_one_is_asked_to(desk: MakeDesk, time: FakeTime) -> None:
    made = desk(queue(httpx.Response(429, headers={"retry-after": "9"}), httpx.Response(200, content=VECTORS)))
    with pytest.raises(RateLimited):
        made.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=0))
    made.run(embed(MODEL, ["a"]))
    assert sum(time.slept) == pytest.approx(9)


def test_a_refusal_is_told_whole_although_it_was_read(desk: MakeDesk) -> None:
    made = desk(lambda request: httpx.Response(429, content=LIMIT))
    with pytest.raises(RateLimited, match="rate_limit_reached_requests: Rate limit of 2 requests") as raised:
        made.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=0))
    assert raised.value.body == LIMIT.decode()


def test_a_refusal_too_long_to_look_at_is_left_to_others(desk: MakeDesk) -> None:
    body = LIMIT + b" " * LONGEST_REFUSAL
    made = desk(lambda request: httpx.Response(429, headers={"content-length": str(len(body))}, stream=Body(body)))
    with pytest.raises(RateLimited):
        made.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=0))
    assert made.limiter.pace.stated is None
    assert made.limiter.pace.refusals == 1


def test_a_body_that_breaks_off_is_no_answer(desk: MakeDesk) -> None:
    made = desk(queue(httpx.Response(200, stream=Body(b"{", breaks=True)), httpx.Response(200, content=VECTORS)))
    assert made.run(embed(MODEL, ["a"])).input_token_count == 1
    assert made.limiter._sending == 0


def test_a_refusal_that_breaks_off_is_still_a_refusal(desk: MakeDesk, time: FakeTime) -> None:
    headers = {"content-length": "100", "retry-after": "3"}
    made = desk(
        queue(
            httpx.Response(429, headers=headers, stream=Body(b"{", breaks=True)), httpx.Response(200, content=VECTORS)
        )
    )
    made.run(embed(MODEL, ["a"]))
    assert sum(time.slept) == pytest.approx(3)


def test_no_answer_is_told_as_such(desk: MakeDesk) -> None:
    def nothing(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    made = desk(nothing)
    with pytest.raises(TimedOut):
        made.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=1, backoff_factor=0))
    assert made.limiter._sending == 0
    assert made.limiter.pace.refusals == 0


def test_a_stream_is_not_read_here(desk: MakeDesk) -> None:
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    body = Body(frame)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    made = desk(answer)
    assert len(made.stream(chat_stream(MODEL, HI))) == 1
    assert body.read == 1
    assert made.limiter._sending == 0


@pytest.mark.parametrize("length", ["0", "5", "-1", "9" * 30, str(LARGEST_BUFFER * 2), "²", "x"])
def test_a_length_that_is_wrong_does_no_harm(desk: MakeDesk, length: str) -> None:
    headers = [(b"content-length", length.encode("latin-1"))]
    made = desk(lambda request: httpx.Response(200, headers=headers, stream=Body(VECTORS[:9], VECTORS[9:])))
    assert made.run(embed(MODEL, ["a"])).results[0].embedding == [0.5]


def test_a_compressed_body_is_unpacked_once(desk: MakeDesk) -> None:
    import gzip

    packed = gzip.compress(VECTORS)
    made = desk(lambda request: httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed))
    assert made.run(embed(MODEL, ["a"])).results[0].embedding == [0.5]
    broken = desk(lambda request: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Body(breaks=True)))
    with pytest.raises(ConnectionFailed, match="broke"):
        broken.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=0))


def test_a_page_where_json_should_be_is_reported_as_before(desk: MakeDesk) -> None:
    made = desk(lambda request: httpx.Response(200, content=b"<html>", headers={"content-type": "text/html"}))
    with pytest.raises(UnexpectedResponse):
        made.run(chat(MODEL, HI))


# --------------------------------------------------------------------------- the policy's budget, and who asks


def test_waiting_for_ones_turn_does_not_use_the_retry_budget_up(desk: MakeDesk, time: FakeTime) -> None:
    made = desk(queue(*(httpx.Response(503) for _ in range(2)), httpx.Response(200, content=VECTORS)))
    made.limiter.pace.paused_until = time.value + 1000
    made.run(embed(MODEL, ["a"]), retry=RetryPolicy(total=3, backoff_factor=1, time_budget=5))
    assert len(made.seen) == 3
    assert sum(time.slept) >= 1000


def test_the_caller_in_the_context_takes_the_turn(desk: MakeDesk) -> None:
    made = desk(queue(httpx.Response(429), httpx.Response(200, content=VECTORS)))
    job = Caller(bulk=True)
    token = CALLER.set(job)
    try:
        made.run(embed(MODEL, ["a"]))
    finally:
        CALLER.reset(token)
    assert (job.refusals, made.limiter.everybody.refusals) == (1, 0)
