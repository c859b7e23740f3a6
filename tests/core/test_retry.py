"""When to send again: the policy by values, and what goes over the wire under it."""

from __future__ import annotations

import contextlib
import email.utils
import logging
import math
import pickle
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.late import LATE
from tests.support.recorder import Recorder
from tests.support.server import CLOSE, HANG, RESET, Script, Server, Step, answer, chunk, error, head, stream
from tests.support.tokens import iam
from wx_integrations.core.calls import Call, StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import (
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    RateLimited,
    StreamBroken,
    TimedOut,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
)
from wx_integrations.core.retry import RetryPolicy, is_permanent

CALL = model_specs()
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
BUSY = answer(503, "busy", content_type="text/plain")
GENERATION: Call[bytes] = Call(path="/ml/v1/text/chat", parse=lambda data: data, body=b"{}", generates=True)
STREAM: StreamCall[bytes] = StreamCall(
    path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: data == b'"end"', body=b"{}"
)
SHORT = httpx.Timeout(10, read=0.25)
"""Long enough for an answer on a busy machine, short enough to wait for."""
Serve = Callable[..., Server]


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "token": "t", "timeout": 10, **settings})


# --------------------------------------------------------------------------- the policy


def test_full_jitter() -> None:
    policy = RetryPolicy(retry_total=10, retry_backoff_factor=0.5, retry_max_wait=30)
    waits = [policy.wait(n, 0, status=503, draw=lambda: 1.0) for n in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [policy.wait(n, 0, status=503, draw=lambda: 0.0) for n in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 521, 524])
def test_statuses_worth_another_try(status: int) -> None:
    assert RetryPolicy().wait(0, 0, status=status, draw=lambda: 0.5) == 0.25


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 410, 413, 422, 501, 505])
def test_statuses_not_worth_it(status: int) -> None:
    assert RetryPolicy().wait(0, 0, status=status, asked=1) is None


def test_the_status_list_is_settable() -> None:
    policy = RetryPolicy(retry_status_forcelist=[418])
    assert policy.wait(0, 0, status=418) is not None
    assert policy.wait(0, 0, status=503) is None


def test_the_names_of_the_retrying_client_and_short_ones() -> None:
    assert RetryPolicy(total=1, backoff_factor=2, status_forcelist=(500,), max_wait=3, time_budget=4) == RetryPolicy(
        retry_total=1,
        retry_backoff_factor=2,
        retry_status_forcelist=(500,),
        retry_max_wait=3,
        retry_time_budget=4,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"retry_total": -1},
        {"retry_total": "many"},
        {"retry_backoff_factor": -0.1},
        {"retry_backoff_factor": math.inf},
        {"retry_max_wait": math.nan},
        {"retry_time_budget": math.nan},
        {"retry_time_budget": -1},
        {"retry_status_forcelist": ["x"]},
        {"retries": 3},
    ],
)
def test_nonsense_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        RetryPolicy(**settings)


@pytest.mark.parametrize(
    ("problem", "plain", "generation", "opted_in"),
    [
        (httpx.ReadTimeout("x"), True, False, True),
        (httpx.ConnectTimeout("x"), True, True, True),
        (httpx.WriteTimeout("x"), True, True, True),
        (httpx.PoolTimeout("x"), True, True, True),
        (httpx.ConnectError("x"), True, True, True),
        (httpx.ReadError("x"), True, True, True),
        (httpx.WriteError("x"), True, True, True),
        (httpx.RemoteProtocolError("x"), True, True, True),
        (httpx.LocalProtocolError("x"), False, False, False),
        (httpx.UnsupportedProtocol("x"), False, False, False),
        (httpx.ProxyError("x"), False, False, False),
    ],
)
def test_problems_worth_another_try(problem: Exception, plain: bool, generation: bool, opted_in: bool) -> None:
    policy = RetryPolicy()
    assert (policy.wait(0, 0, error=problem) is not None) is plain
    assert (policy.wait(0, 0, error=problem, generates=True) is not None) is generation
    again = RetryPolicy(retry_read_timeouts=True).wait(0, 0, error=problem, generates=True)
    assert (again is not None) is opted_in


@pytest.mark.parametrize(
    ("cause", "permanent"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), True),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), False),
        (ssl.SSLZeroReturnError(6, "closed"), False),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), False),
        (ConnectionRefusedError(111, "refused"), False),
    ],
)
def test_which_connections_would_fail_again(cause: Exception, permanent: bool) -> None:
    problem = httpx.ConnectError("x")
    problem.__cause__ = cause
    assert is_permanent(problem) is permanent
    assert (RetryPolicy().wait(0, 0, error=problem) is None) is permanent


finite = st.floats(0, 1e6, allow_nan=False)


@given(
    policy=st.builds(
        RetryPolicy,
        retry_total=st.integers(0, 100),
        retry_backoff_factor=st.floats(0, 1e300),
        retry_max_wait=finite,
        retry_time_budget=st.one_of(finite, st.just(math.inf)),
    ),
    retries=st.integers(0, 10_000),
    elapsed=finite,
    status=st.one_of(st.none(), st.integers(100, 599)),
    asked=st.one_of(st.none(), st.floats(0, 1e9)),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_within_the_budgets(
    policy: RetryPolicy, retries: int, elapsed: float, status: int | None, asked: float | None, draw: float
) -> None:
    seconds = policy.wait(retries, elapsed, status=status, asked=asked, draw=lambda: draw)
    if seconds is None:
        return
    assert retries < policy.retry_total
    assert status in policy.retry_status_forcelist
    assert 0 <= seconds < math.inf
    assert elapsed + seconds <= policy.retry_time_budget
    assert seconds == asked if asked is not None else seconds <= policy.retry_max_wait


# --------------------------------------------------------------------------- on the wire


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 521, 524])
def test_repeated_until_it_works(colour: Colour, serve: Serve, time: FakeTime, status: int) -> None:
    server = serve(Script(answer(status, b""), answer(status, b"<html>"), OK))
    session = colour.session(connect(server), time.waiting)
    colour.run(session, CALL)
    assert len(server.seen) == 3
    assert time.slept == [0.25, 0.5]
    assert len({(seen.target, tuple(seen.headers), seen.body) for seen in server.seen}) == 1  # the same thrice


@pytest.mark.parametrize("total", [0, 1, 3])
def test_the_number_of_requests_is_exact(colour: Colour, serve: Serve, time: FakeTime, total: int) -> None:
    server = serve(Script(BUSY))
    session = colour.session(connect(server, max_retries=total), time.waiting)
    with pytest.raises(Unavailable) as caught:
        colour.run(session, CALL)
    assert len(server.seen) == total + 1 == caught.value.attempts
    assert caught.value.waited == sum(time.slept) == sum(0.25 * 2**n for n in range(total))
    if total:
        assert f"after {total + 1} attempts" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).attempts == total + 1


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 501])
def test_other_statuses_are_sent_once(colour: Colour, serve: Serve, time: FakeTime, status: int) -> None:
    server = serve(Script(error(status, "code")))
    with pytest.raises(Exception, match=str(status)) as caught:
        colour.run(colour.session(connect(server), time.waiting), CALL)
    assert len(server.seen) == 1
    assert caught.value.attempts == 1  # type: ignore[attr-defined]
    assert time.slept == []


@pytest.mark.parametrize(
    ("asked", "slept"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("-3", 0),
        ("Wed, 15 Nov 2023 00:00:00 GMT", 1_700_006_400 - 1_700_000_000),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("soon", 0.25),
        ("nan", 0.25),
        ("1e999", 0.25),
        ("", 0.25),
    ],
)
def test_retry_after_comes_first(colour: Colour, serve: Serve, time: FakeTime, asked: str, slept: float) -> None:
    server = serve(Script(answer(429, b"", {"Retry-After": asked}), OK))
    session = colour.session(connect(server, retry_time_budget=10_000), time.waiting)
    colour.run(session, CALL)
    assert time.slept == [pytest.approx(slept)]
    assert len(server.seen) == 2


def test_retry_after_beyond_the_budget_ends_the_call_at_once(colour: Colour, serve: Serve, time: FakeTime) -> None:
    date = email.utils.formatdate(1_700_000_000 + 3600, usegmt=True)
    server = serve(Script(error(429, "rate_limit_reached_requests", Retry_After=date)))
    with pytest.raises(RateLimited) as caught:
        colour.run(colour.session(connect(server), time.waiting), CALL)
    assert caught.value.retry_after == 3600
    assert len(server.seen) == 1
    assert time.slept == []


def test_the_time_budget_counts_tries_and_waits(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([lambda: time.move(40), *BUSY]))
    session = colour.session(connect(server, max_retries=50, retry_time_budget=100), time.waiting)
    with pytest.raises(Unavailable):
        colour.run(session, CALL)
    assert len(server.seen) == 3


def test_a_policy_for_one_call(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(BUSY))
    session = colour.session(connect(server, max_retries=1), time.waiting)
    for total, requests in ((0, 1), (4, 5)):
        with pytest.raises(Unavailable):
            colour.run(session, CALL, retry=RetryPolicy(retry_total=total))
        assert len(server.seen) == requests
        server.seen.clear()
    with pytest.raises(Unavailable):
        colour.request(session, "GET", "/v2/projects", retry=RetryPolicy(retry_total=2))
    assert len(server.seen) == 3


def test_resets_before_the_answer_are_repeated(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([RESET], [CLOSE], [b"HTTP/1.1 200 OK\r\nContent-Le", RESET], [b"garbage\r\n\r\n", CLOSE], OK))
    colour.run(colour.session(connect(server), time.waiting), CALL)
    assert len(server.seen) == 5
    assert time.slept == [0.25, 0.5, 1, 2]


def test_resets_in_the_middle_of_a_whole_body_are_repeated(colour: Colour, serve: Serve, time: FakeTime) -> None:
    start = head(200, {"Content-Type": "application/json", "Content-Length": "100"})
    chunked = head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    server = serve(
        Script([start, b'{"limit":', RESET], [start, b"{", CLOSE], [chunked, chunk(b"{"), b"5\r\nab", RESET], OK)
    )
    colour.run(colour.session(connect(server), time.waiting), CALL)
    assert len(server.seen) == 4


def test_a_connection_that_stays_broken_is_named(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([RESET]))
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{server.port}") as caught:
        colour.run(colour.session(connect(server, max_retries=2), time.waiting), CALL)
    assert not isinstance(caught.value, TimedOut)
    assert (len(server.seen), caught.value.attempts, caught.value.waited) == (3, 3, 0.75)


def test_nobody_listens(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(OK))
    session = colour.session(connect(server, max_retries=2), time.waiting)
    server.close()
    with pytest.raises(ConnectionFailed, match="WATSONX_URL") as caught:
        colour.run(session, CALL)
    assert caught.value.attempts == 3


def test_an_unknown_host_name_is_not_tried_again(colour: Colour, time: FakeTime) -> None:
    unknown = httpx.ConnectError("Name or service not known")
    unknown.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    recorder = Recorder(unknown)
    with recorder.clients() as clients:
        session = colour.session(Connection(region="us-south", token="t", **clients), time.waiting)
        with pytest.raises(ConnectionFailed, match="no such host"):
            colour.run(session, CALL)
    assert len(recorder.requests) == 1


def test_a_read_timeout_of_a_generation_is_not_repeated(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([HANG], answer(200, b"done")))
    session = colour.session(connect(server, timeout=SHORT), time.waiting)
    with pytest.raises(TimedOut, match="Raise timeout") as caught:
        colour.run(session, GENERATION)
    assert (len(server.seen), caught.value.attempts) == (1, 1)


@pytest.mark.parametrize("opted_in", ["connection", "call", "not a generation"])
def test_other_read_timeouts_are(
    colour: Colour, serve: Serve, time: FakeTime, late: dict[str, Any], opted_in: str
) -> None:
    server = serve(Script(LATE, OK))
    settings = {"retry_read_timeouts": True} if opted_in == "connection" else {}
    options = {"retry": RetryPolicy(retry_read_timeouts=True)} if opted_in == "call" else {}
    session = colour.session(connect(server, **late, **settings), time.waiting)
    call: Call[Any] = CALL if opted_in == "not a generation" else GENERATION
    colour.run(session, call, **options)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("method", "requests"), [("GET", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1), ("post", 1), ("PATCH", 1)]
)
def test_plain_requests_that_may_have_done_something_are_not_repeated_after_a_read_timeout(
    colour: Colour, serve: Serve, time: FakeTime, method: str, requests: int
) -> None:
    server = serve(Script([HANG]))
    session = colour.session(connect(server, timeout=SHORT, max_retries=2), time.waiting)
    with pytest.raises(TimedOut) as caught:
        colour.request(session, method, "/v2/x")
    assert (len(server.seen), caught.value.attempts) == (requests, requests)
    with pytest.raises(TimedOut):
        colour.request(session, method, "/v2/x", retry=RetryPolicy(retry_total=1, retry_read_timeouts=True))
    assert len(server.seen) == requests + 2


def test_a_dribbled_body_is_no_timeout(colour: Colour, serve: Serve, time: FakeTime) -> None:
    whole = b"".join(step for step in OK if isinstance(step, bytes))
    server = serve(Script([bytes([byte]) for byte in whole]))
    assert colour.run(colour.session(connect(server, timeout=5), time.waiting), CALL).resources == []


def test_a_timeout_for_one_call(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([HANG]))
    session = colour.session(connect(server, timeout=10, max_retries=0), time.waiting)
    with pytest.raises(TimedOut):
        colour.run(session, CALL, timeout=0.25)
    with pytest.raises(TimedOut):
        colour.run(session, CALL, timeout=SHORT)
    wrong: list[Any] = [0, -1, math.inf, math.nan, "5"]
    for value in wrong:
        with pytest.raises(ConfigurationError, match="timeout"):
            colour.run(session, CALL, timeout=value)
    assert 1 <= len(server.seen) <= 2  # the first may have been cut before it was sent


# --------------------------------------------------------------------------- streams


def test_a_stream_is_repeated_before_its_first_byte(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(BUSY, [RESET], error(429, "rate_limit_reached_requests"), stream(b'data: "end"\n\n')))
    assert colour.all(colour.session(connect(server), time.waiting), STREAM) == [b'"end"']
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "trouble",
    [
        stream(b'data: "a"\n\n', RESET, end=False),
        stream(b'data: "a"\n\n', CLOSE, end=False),
        stream(b'data: "a"\n\n'),
        stream(b'data: "a"\n\n', b'event: error\ndata: {"errors":[{"code":"x"}],"status_code":503}\n\n'),
        stream(b'data: "a"\n\n', HANG, end=False),
        stream(RESET, end=False),
    ],
    ids=["reset", "close", "truncated", "error", "idle", "nothing"],
)
def test_a_stream_is_never_repeated_once_its_answer_began(
    colour: Colour, serve: Serve, time: FakeTime, trouble: Sequence[Step]
) -> None:
    server = serve(Script(trouble))
    session = colour.session(connect(server, timeout=SHORT, retry_read_timeouts=True), time.waiting)
    with pytest.raises(StreamBroken):
        colour.all(session, STREAM)
    assert len(server.seen) == 1
    assert time.slept == []


def test_a_streams_first_byte_that_never_comes(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script([HANG]))
    session = colour.session(connect(server, timeout=SHORT), time.waiting)
    with pytest.raises(TimedOut):
        colour.all(session, STREAM)
    assert len(server.seen) == 1


# --------------------------------------------------------------------------- what is seen


def test_debug_logs_tell_attempts_and_waits_without_secrets(
    colour: Colour, serve: Serve, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(Script(BUSY, [RESET], OK, token=iam()))
    session = colour.session(connect(server, token=None, api_key="the-canary"), time.waiting)
    with caplog.at_level(logging.DEBUG):
        colour.run(session, CALL)
    ours = [record.getMessage() for record in caplog.records if record.name == "wx_integrations"]
    assert ours[0] == "GET 127.0.0.1/ml/v1/foundation_model_specs: 503; try 2 of 6 in 0.25 s"
    assert ours[1].endswith("; try 3 of 6 in 0.50 s")
    token = str(server.seen[-1].header("authorization")).removeprefix("Bearer ")
    assert "the-canary" not in caplog.text
    assert token not in caplog.text
    assert token.split(".")[1] not in caplog.text


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ([BUSY], ["503; try 2 of 3 in 0.25 s", "503; try 3 of 3 in 0.50 s", "503; no try after 3, 0.75 s waited"]),
        ([error(404, "code")], ["404; no try after 1, 0.00 s waited"]),
        ([[RESET], error(400, "code")], ["ReadError; try 2 of 3 in 0.25 s", "400; no try after 2, 0.25 s waited"]),
        ([answer(429, b"", {"Retry-After": "7"}), OK], ["429; try 2 of 3 in 7.00 s"]),
        ([answer(429, b"", {"Retry-After": "700"})], ["429; no try after 1, 0.00 s waited"]),
        ([OK], []),
    ],
)
def test_debug_logs_tell_how_it_went_on_and_how_it_ended(
    colour: Colour,
    serve: Serve,
    time: FakeTime,
    caplog: pytest.LogCaptureFixture,
    replies: list[Sequence[Step]],
    said: list[str],
) -> None:
    server = serve(Script(*replies))
    session = colour.session(connect(server, max_retries=2), time.waiting)
    with caplog.at_level(logging.DEBUG, "wx_integrations"), contextlib.suppress(WatsonxError):
        colour.run(session, CALL)
    start = "GET 127.0.0.1/ml/v1/foundation_model_specs: "
    assert [record.getMessage() for record in caplog.records if record.name == "wx_integrations"] == [
        start + text for text in said
    ]


def test_the_try_with_a_new_token_is_told_apart_from_the_retries(
    colour: Colour, serve: Serve, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    expired = error(401, "authentication_token_expired")
    server = serve(Script(BUSY, expired, BUSY, BUSY, token=iam()))
    session = colour.session(connect(server, token=None, api_key="k", max_retries=2), time.waiting)
    with caplog.at_level(logging.DEBUG, "wx_integrations"), pytest.raises(Unavailable) as caught:
        colour.run(session, CALL)
    said = [
        record.getMessage().partition("specs: ")[2] for record in caplog.records if "specs: " in record.getMessage()
    ]
    assert said == [
        "503; try 2 of 3 in 0.25 s",
        "401; no try after 2, 0.25 s waited",
        "401; once more with a new token",
        "503; try 4 of 4 in 0.50 s",
        "503; no try after 4, 0.75 s waited",
    ]
    assert (caught.value.attempts, caught.value.waited) == (4, 0.75)


def test_an_error_body_that_breaks_off_is_still_an_error_of_its_status(
    colour: Colour, serve: Serve, time: FakeTime
) -> None:
    broken: list[Step] = [
        head(400, {"Content-Type": "application/json", "Content-Length": "500"}),
        b'{"errors":',
        RESET,
    ]
    server = serve(Script(broken))
    session = colour.session(connect(server), time.waiting)
    with pytest.raises(InvalidRequest) as caught:
        colour.run(session, CALL)
    assert caught.value.status == 400
    with pytest.raises(InvalidRequest):
        colour.all(session, STREAM)
    assert len(server.seen) == 2


def test_a_body_that_cannot_be_decompressed(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(answer(200, b"not gzip", {"Content-Encoding": "gzip"})))
    session = colour.session(connect(server), time.waiting)
    with pytest.raises(UnexpectedResponse, match="decompress"):
        colour.run(session, CALL)
    assert len(server.seen) == 1


def test_an_error_body_that_cannot_be_decompressed(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(answer(404, b"not gzip", {"Content-Encoding": "gzip"})))
    with pytest.raises(NotFound) as caught:
        colour.run(colour.session(connect(server), time.waiting), CALL)
    assert caught.value.status == 404


def test_connections_are_used_again_after_trouble(colour: Colour, serve: Serve, time: FakeTime) -> None:
    server = serve(Script(OK))
    session = colour.session(connect(server), time.waiting)
    for _ in range(5):
        colour.run(session, CALL)
    assert server.accepted == 1
