"""Tokens over real connections: renewed ahead of time, by one caller for all, and once more when refused."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.late import LATE
from tests.support.server import HANG, RESET, Script, Seen, Server, Step, answer, error, pause, stream
from tests.support.tokens import WRONG_KEY, iam, iam_answer, jwt
from wx_integrations.core.calls import StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConnectionFailed, TimedOut, Unauthorized, Unavailable, UnexpectedResponse
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.session import Session

CALL = model_specs()
OK = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
EXPIRED = error(401, "authentication_token_expired", "Failed to authenticate the request due to an expired token")
Serve = Callable[..., Server]


def connect(server: Server, **settings: Any) -> Connection:
    return Connection(**{"url": server.url, "api_key": "the-api-key", "max_retries": 0, "timeout": 10, **settings})


def used(server: Server) -> list[str | None]:
    """Return the Authorization of each call, in order."""
    return [seen.header("authorization") for seen in server.calls("/ml/v1/foundation_model_specs")]


# --------------------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("lifetime", "fresh", "renewed"),
    [
        (3600, 2699, 2701),  # 15 minutes before the end
        (1801, 900, 902),
        (900, 599, 601),  # at the last third
        (181, 120, 121),
        (150, 89, 91),  # one minute before
        (120, 59, 61),
        (30, 14, 16),  # half-way
    ],
)
def test_renewed_ahead_of_its_end(
    colour: Colour, serve: Serve, time: FakeTime, lifetime: float, fresh: float, renewed: float
) -> None:
    script = Script(OK, token=iam(lifetime))
    session = colour.session(connect(serve(script)), time.waiting)
    start = time.value
    colour.run(session, CALL)
    time.value = start + fresh
    colour.run(session, CALL)
    assert script.tokens == 1
    time.value = start + renewed
    colour.run(session, CALL)
    colour.run(session, CALL)
    assert script.tokens == 2


def test_construction_sends_nothing_and_the_first_call_two_requests(colour: Colour, serve: Serve) -> None:
    server = serve(Script(OK, token=iam()))
    session = colour.session(connect(server))
    assert server.accepted == 0
    colour.run(session, CALL)
    assert [seen.path for seen in server.seen] == ["/identity/token", "/ml/v1/foundation_model_specs"]
    assert server.accepted == 1


# --------------------------------------------------------------------------- single flight


@pytest.mark.parametrize("count", [64])
def test_many_cold_callers_make_one_exchange(colour: Colour, serve: Serve, count: int) -> None:
    server = serve(script := Script(OK, token=iam()))
    session = colour.session(connect(server))
    results = colour.run_together(count if colour.name == "sync" else 200, session, CALL)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert script.tokens == 1
    assert len(set(used(server))) == 1


def test_threads_tasks_and_loops_together_make_one_exchange(serve: Serve) -> None:
    server = serve(script := Script(OK, token=iam()))
    session = Session(connect(server))
    barrier = threading.Barrier(24)

    def one() -> None:
        barrier.wait(10)
        session.client.run(CALL)

    async def several() -> None:
        await asyncio.gather(*(session.async_client.run(CALL) for _ in range(20)))

    def loop() -> None:
        barrier.wait(10)
        asyncio.run(several())

    with ThreadPoolExecutor(24) as pool:
        for future in [pool.submit(one if number % 3 else loop) for number in range(24)]:
            future.result(30)
    session.client.close()
    assert script.tokens == 1
    assert len(used(server)) == 16 + 8 * 20


def test_renewing_ahead_holds_nobody_up(serve: Serve, time: FakeTime) -> None:
    """While one caller renews, the others use the token that is still good."""
    renewing, go_on = threading.Event(), threading.Event()

    def tokens(_: Seen) -> Sequence[Step]:
        if script.tokens == 1:
            return iam_answer()
        return [renewing.set, lambda: pause(go_on), *iam_answer()]

    server = serve(script := Script(OK, token=tokens))
    session = Session(connect(server), waiting=time.waiting)
    session.client.run(CALL)
    time.move(2800)
    with ThreadPoolExecutor(1) as pool:
        renewer = pool.submit(session.client.run, CALL)
        assert renewing.wait(10)
        for _ in range(3):
            session.client.run(CALL)
        assert not renewer.done()
        go_on.set()
        renewer.result(10)
    session.client.run(CALL)
    session.client.close()
    first, *old, new, last = used(server)
    assert set(old) == {first}
    assert new == last != first
    assert script.tokens == 2


# --------------------------------------------------------------------------- failing


def test_a_wrong_key_fails_everybody_at_once_with_one_exchange(colour: Colour, serve: Serve) -> None:
    gate = threading.Event()
    server = serve(script := Script(OK, token=lambda _: [lambda: pause(gate, 0.2), *WRONG_KEY]))
    session = colour.session(connect(server, max_retries=3))
    results = colour.run_together(50, session, CALL)
    assert {type(result) for result in results} == {Unauthorized}
    assert len({id(result) for result in results}) == 50  # each raises its own
    assert all("WATSONX_API_KEY" in str(result) for result in results)
    assert all(result.attempts == 1 for result in results)
    assert script.tokens == 1
    assert used(server) == []


def test_a_dead_token_endpoint_costs_the_waiters_one_exchange(colour: Colour, serve: Serve, time: FakeTime) -> None:
    """Fifty callers share the retries of one: not fifty times four requests one after another."""
    nobody = threading.Event()

    def tokens(_: Seen) -> Sequence[Step]:
        down = answer(503, "down", content_type="text/plain")
        # The first answer waits until everybody is there.
        return [lambda: pause(nobody, 0.2), *down] if script.tokens == 1 else down

    server = serve(script := Script(OK, token=tokens))
    session = colour.session(connect(server, max_retries=3), time.waiting)
    results = colour.run_together(50, session, CALL)
    assert {type(result) for result in results} == {Unavailable}
    assert all((result.status, result.attempts) == (503, 4) for result in results)
    assert script.tokens == 4
    assert len(time.slept) == 3


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (answer(500, "down"), Unavailable),
        ([RESET], ConnectionFailed),
        (LATE, TimedOut),
        (answer(200, "<html>"), UnexpectedResponse),
        (WRONG_KEY, Unauthorized),
    ],
    ids=["500", "reset", "timeout", "html", "refused"],
)
def test_a_failed_renewal_serves_the_old_token_to_its_end(
    colour: Colour,
    serve: Serve,
    time: FakeTime,
    late: dict[str, Any],
    trouble: Sequence[Step],
    kind: type[Exception],
) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return iam_answer() if script.tokens in (1, 4) else trouble

    server = serve(script := Script(OK, token=tokens))
    session = colour.session(connect(server, **late), time.waiting)
    colour.run(session, CALL)
    time.move(2800)  # the token is good for 800 seconds more
    colour.run(session, CALL)
    colour.run(session, CALL)  # not tried again at once
    assert script.tokens == 2
    assert len(set(used(server))) == 1
    time.move(900)  # it has ended
    with pytest.raises(kind):
        colour.run(session, CALL)
    assert script.tokens == 3
    colour.run(session, CALL)
    assert script.tokens == 4
    assert len(set(used(server))) == 2


def test_after_a_failed_renewal_the_next_try_comes_half_a_minute_later(
    colour: Colour, serve: Serve, time: FakeTime
) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return answer(500, "down") if script.tokens == 2 else iam_answer()

    server = serve(script := Script(OK, token=tokens))
    session = colour.session(connect(server), time.waiting)
    colour.run(session, CALL)
    time.move(2800)
    colour.run(session, CALL)
    time.move(29)
    colour.run(session, CALL)
    assert script.tokens == 2
    time.move(2)
    colour.run(session, CALL)
    assert script.tokens == 3
    assert used(server)[3] != used(server)[2]


def test_a_token_that_ends_while_renewing_fails_is_not_used(colour: Colour, serve: Serve, time: FakeTime) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        if script.tokens == 1:
            return iam_answer()
        return [lambda: time.move(900), *answer(500, "down")]

    server = serve(script := Script(OK, token=tokens))
    session = colour.session(connect(server), time.waiting)
    colour.run(session, CALL)
    time.move(2800)
    with pytest.raises(Unavailable):
        colour.run(session, CALL)
    assert len(used(server)) == 1


def test_a_refused_connection_to_the_token_host(colour: Colour, serve: Serve, time: FakeTime) -> None:
    gone = serve(Script(OK, token=iam()))
    server = serve(Script(OK))
    session = colour.session(connect(server, auth_url=f"{gone.url}/identity/token"), time.waiting)
    colour.run(session, CALL)
    gone.close()
    time.move(2800)
    colour.run(session, CALL)  # the old one still serves
    time.move(900)
    with pytest.raises(ConnectionFailed, match=str(gone.port)) as caught:
        colour.run(session, CALL)
    assert caught.value.attempts == 1


# --------------------------------------------------------------------------- 401


@pytest.mark.parametrize(
    "refusal",
    [
        EXPIRED,
        error(401, "authentication_token_not_valid", "Failed to parse and verify token"),
        answer(401, {"code": 401, "error": "Unauthorized", "message": "Access denied", "description": "jwt expired"}),
        answer(
            401,
            {
                "message": "401 Failed",
                "status": 401,
                "error": {"message": "expired", "code": "authentication_token_expired"},
                "code": "authentication_token_expired",
            },
        ),
        answer(401, b""),
        answer(401, "<html>unauthorized</html>"),
    ],
)
def test_a_refused_token_is_renewed_once_and_the_call_repeated_once(
    colour: Colour, serve: Serve, refusal: Sequence[Step]
) -> None:
    server = serve(script := Script(refusal, OK, token=iam()))
    session = colour.session(connect(server))
    colour.run(session, CALL)
    assert script.tokens == 2
    first, second = used(server)
    assert first != second


def test_refused_twice_is_unauthorized(colour: Colour, serve: Serve) -> None:
    server = serve(script := Script(EXPIRED, token=iam()))
    session = colour.session(connect(server, max_retries=5))
    with pytest.raises(Unauthorized) as caught:
        colour.run(session, CALL)
    assert (caught.value.status, caught.value.code) == (401, "authentication_token_expired")
    assert caught.value.attempts == 2
    assert script.tokens == 2
    assert len(used(server)) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        error(401, "user_authorization_failed"),
        error(401, "authorization_rejected"),
        error(403, "authentication_token_expired"),
        error(403, "token_quota_reached"),
    ],
)
def test_other_refusals_are_not_repeated(colour: Colour, serve: Serve, refusal: Sequence[Step]) -> None:
    server = serve(script := Script(refusal, token=iam()))
    session = colour.session(connect(server, max_retries=5))
    with pytest.raises(Unauthorized):
        colour.run(session, CALL)
    assert script.tokens == 1
    assert len(used(server)) == 1


def test_a_static_token_is_never_renewed_nor_the_call_repeated(colour: Colour, serve: Serve) -> None:
    server = serve(Script(EXPIRED))
    session = colour.session(connect(server, api_key=None, token="mine", max_retries=5))
    with pytest.raises(Unauthorized, match="WATSONX_TOKEN"):
        colour.run(session, CALL)
    assert used(server) == ["Bearer mine"]


def test_a_token_expired_on_the_service_is_renewed_once_for_all(colour: Colour, serve: Serve) -> None:
    """Everybody sees 401 for the same token at once; one exchange serves all."""
    good: set[str] = set()

    def tokens(_: Seen) -> Sequence[Step]:
        token = jwt()
        if script.tokens > 1:
            good.add(f"Bearer {token}")
        return iam_answer(token=token)

    def calls(seen: Seen) -> Sequence[Step]:
        return OK if seen.header("authorization") in good else EXPIRED

    server = serve(script := Script(calls, token=tokens))
    session = colour.session(connect(server))
    results = colour.run_together(40, session, CALL)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert script.tokens == 2
    assert len(used(server)) <= 80


def test_retries_go_on_after_the_renewal(colour: Colour, serve: Serve, time: FakeTime) -> None:
    busy = answer(503, "busy")
    server = serve(script := Script(busy, EXPIRED, busy, OK, token=iam()))
    session = colour.session(connect(server, max_retries=2), time.waiting)
    colour.run(session, CALL)
    assert script.tokens == 2
    assert len(used(server)) == 4
    assert len(time.slept) == 2


def test_a_refused_token_of_a_stream_is_renewed_before_the_first_event(colour: Colour, serve: Serve) -> None:
    call: StreamCall[Any] = StreamCall(
        path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: True, body=b"{}"
    )
    server = serve(script := Script(EXPIRED, stream(b'data: {"a":1}\n\n'), token=iam()))
    session = colour.session(connect(server))
    assert colour.all(session, call) == [b'{"a":1}']
    assert script.tokens == 2


def test_a_token_function_is_asked_again_when_its_token_is_refused(colour: Colour, serve: Serve) -> None:
    server = serve(Script(EXPIRED, OK))
    names = iter("abc")
    session = colour.session(connect(server, api_key=None, token_function=lambda: next(names)))
    colour.run(session, CALL)
    assert used(server) == ["Bearer a", "Bearer b"]


# --------------------------------------------------------------------------- who renews leaves


async def test_a_cancelled_renewer_hands_over(serve: Serve) -> None:
    gate = threading.Event()

    def tokens(_: Seen) -> Sequence[Step]:
        return [HANG] if script.tokens == 1 else iam_answer()

    server = serve(script := Script(OK, token=tokens))
    session = Session(connect(server))
    leader = asyncio.create_task(session.async_client.run(CALL))
    await asyncio.to_thread(server.next)
    followers = [asyncio.create_task(session.async_client.run(CALL)) for _ in range(20)]
    thread = asyncio.create_task(asyncio.to_thread(session.client.run, CALL))
    await asyncio.sleep(0.01)
    leader.cancel()
    results = await asyncio.wait_for(asyncio.gather(*followers, thread, leader, return_exceptions=True), 10)
    assert isinstance(results.pop(), asyncio.CancelledError)
    assert [result for result in results if isinstance(result, BaseException)] == []
    assert script.tokens == 2
    assert server.seen[0].left.wait(10)  # the cancelled exchange was closed
    gate.set()
    session.client.close()
    await session.async_client.aclose()


async def test_a_cancelled_waiter_disturbs_nobody(serve: Serve) -> None:
    gate = threading.Event()
    server = serve(script := Script(OK, token=lambda _: [lambda: pause(gate), *iam_answer()]))
    session = Session(connect(server))
    tasks = [asyncio.create_task(session.async_client.run(CALL)) for _ in range(10)]
    await asyncio.to_thread(server.next)
    for task in tasks[1:6]:
        task.cancel()
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 5
    assert sum(not isinstance(result, BaseException) for result in results) == 5
    assert script.tokens == 1
    await session.async_client.aclose()


async def test_a_synchronous_call_inside_the_loop_of_the_renewer_does_not_wait_for_it(serve: Serve) -> None:
    """The loop cannot go on while its thread is blocked, so waiting would never end."""
    first = threading.Event()

    def tokens(_: Seen) -> Sequence[Step]:
        return [lambda: pause(first), *iam_answer()] if script.tokens == 1 else iam_answer()

    server = serve(script := Script(OK, token=tokens))
    session = Session(connect(server))
    leader = asyncio.create_task(session.async_client.run(CALL))
    await asyncio.to_thread(server.next)
    session.client.run(CALL)  # blocks this loop
    session.client.run(CALL)  # what the call above got serves this one, too
    assert script.tokens == 2
    first.set()
    await asyncio.wait_for(leader, 10)
    session.client.close()
    await session.async_client.aclose()


def test_a_renewer_in_a_loop_that_stands_still_is_not_waited_for_in_the_same_thread(serve: Serve) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return [lambda: pause(gate), *iam_answer()] if script.tokens == 1 else iam_answer()

    gate = threading.Event()
    server = serve(script := Script(OK, token=tokens))
    session = Session(connect(server))

    async def until_asked() -> None:
        await asyncio.to_thread(server.next)

    async def elsewhere() -> None:
        await asyncio.wait_for(session.async_client.run(CALL), 5)

    with asyncio.Runner() as standing:
        loop = standing.get_loop()
        leader = loop.create_task(session.async_client.run(CALL))
        standing.run(until_asked())
        with asyncio.Runner() as other:
            other.run(elsewhere())
        assert script.tokens == 2
        gate.set()

        async def end() -> None:
            await leader

        standing.run(end())
    assert script.tokens == 2


def test_a_renewer_whose_loop_was_closed_is_replaced(serve: Serve) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return [HANG] if script.tokens == 1 else iam_answer()

    server = serve(script := Script(OK, token=tokens))
    session = Session(connect(server))
    kept: list[Any] = [session]

    def abandon() -> None:
        loop = asyncio.new_event_loop()
        kept.append(loop.create_task(kept[0].async_client.run(CALL)))
        loop.run_until_complete(asyncio.to_thread(server.next))
        loop.close()  # without ending its tasks, which asyncio.run would do

    thread = threading.Thread(target=abandon)
    thread.start()
    thread.join(10)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(session.client.run, CALL).result(10)
    assert script.tokens == 2
    session.client.close()
    kept[1]._log_destroy_pending = False
    with warnings.catch_warnings():
        # The abandoned connection, which only its loop could have closed.
        warnings.simplefilter("ignore", ResourceWarning)
        kept.clear()
        del session
        gc.collect()


def test_an_abandoned_exchange_may_be_collected_anywhere(serve: Serve) -> None:
    """Even while this thread is inside the cell: that must not wait for itself."""
    session = Session(connect(serve(Script(OK, token=iam()))))
    cell = session.client._shared.cell
    flow = session.client._shared.auth.sync_auth_flow(httpx.Request("GET", "http://x/"))
    next(flow)  # it leads, and never goes on
    with cell._lock:
        flow.close()
    session.client.run(CALL)
    session.client.close()


# --------------------------------------------------------------------------- seen from outside


def test_debug_logs_tell_of_failed_renewals_without_the_token(
    colour: Colour, serve: Serve, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return iam_answer() if script.tokens == 1 else answer(500, "down")

    server = serve(script := Script(OK, token=tokens))
    session = colour.session(connect(server), time.waiting)
    with caplog.at_level(logging.DEBUG):
        colour.run(session, CALL)
        time.move(2800)
        colour.run(session, CALL)
    assert "the old one still serves" in caplog.text
    token = str(used(server)[0]).removeprefix("Bearer ")
    assert token not in caplog.text
    assert "the-api-key" not in caplog.text


def test_per_call_retries_do_not_shorten_the_exchange_for_all(colour: Colour, serve: Serve, time: FakeTime) -> None:
    def tokens(_: Seen) -> Sequence[Step]:
        return answer(503, "down") if script.tokens < 3 else iam_answer()

    script = Script(OK, token=tokens)
    session = colour.session(connect(serve(script), max_retries=2), time.waiting)
    colour.run(session, CALL, retry=RetryPolicy(retry_total=0))
    assert script.tokens == 3
