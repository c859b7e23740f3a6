"""The bulk engine on an in-process emulator: batches, order, failures, streams, arrays, progress."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import httpx
import pytest

from tests.core.bulking import Bench, Both, CountingBrain, slowly, texts_of, vector
from wx_integrations import ConfigurationError, InvalidRequest, Unauthorized
from wx_integrations.core.bulk import Bounds
from wx_integrations.core.errors import ConnectionFailed, PartialFailure, RateLimited, Unavailable, UnexpectedResponse
from wx_integrations.core.limiter import Waiter
from wx_integrations.core.progress import Progress
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Broken, Malformed, Status
from wx_integrations.emulator.faults import RateLimited as TooMany


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --------------------------------------------------------------------------- all at once


def test_vectors_come_in_the_order_of_the_texts(bench: Bench, both: Both) -> None:
    embedded = both.call(bench.embedder(batch_size=7), "embed", texts_of(200))
    assert embedded.vectors == [vector(number) for number in range(200)]
    assert (embedded.input_token_count, embedded.requests) == (400, 29)
    assert sorted(text for texts in bench.sent for text in texts) == sorted(texts_of(200))


def test_no_texts_need_no_request(bench: Bench, both: Both) -> None:
    assert both.call(bench.embedder(), "embed", []).vectors == []
    assert both.all(bench.embedder(), "stream", []) == []
    assert both.call(bench.ranker(), "rank", "q", []).indices == []
    assert len(bench.emulator.journal) == 0


def test_one_batch_is_sent_by_the_thread_that_asks(bench: Bench) -> None:
    seen: list[str] = []
    client = bench.connection.httpx_client
    assert client is not None
    client.event_hooks["request"] = [lambda request: seen.append(threading.current_thread().name)]
    bench.embedder().embed(texts_of(3))
    assert set(seen) == {threading.current_thread().name}


def test_what_the_caller_has_in_its_context_goes_along() -> None:
    tag: ContextVar[str] = ContextVar("tag", default="none")
    seen: list[str] = []
    bench = Bench()
    client = bench.connection.httpx_client
    assert client is not None
    client.event_hooks["request"] = [lambda request: seen.append(tag.get())]
    tag.set("mine")
    bench.embedder(batch_size=1).embed(texts_of(4))
    assert set(seen) == {"mine"}


# --------------------------------------------------------------------------- failures


def test_only_the_bad_text_fails_and_the_others_are_kept(bench: Bench, both: Both) -> None:
    with pytest.raises(PartialFailure) as raised:
        both.call(bench.embedder(batch_size=50), "embed", texts_of(200, bad=[17, 133]))
    failure = raised.value
    assert sorted(failure.failed) == [17, 133]
    assert all(isinstance(error, InvalidRequest) for error in failure.failed.values())
    assert failure.done == {number: vector(number) for number in range(200) if number not in (17, 133)}
    assert failure.untried == ()
    assert "2 of 200 texts failed: texts[17] (9 characters, about 4 tokens): HTTP 400" in str(failure)


def test_a_single_text_fails_with_the_services_own_error(bench: Bench, both: Both) -> None:
    with pytest.raises(InvalidRequest, match="The text has 8 characters"):
        both.call(bench.embedder(), "embed", texts_of(1, bad=[0]))


def test_a_wrong_key_is_reported_as_such_and_once(both: Both) -> None:
    bench = Bench(emulator=Emulator(CountingBrain(), api_keys=["another"]))
    with pytest.raises(Unauthorized):
        both.call(bench.embedder(batch_size=1), "embed", texts_of(50))
    assert bench.sent == []


def test_what_was_done_before_the_end_is_kept(bench: Bench, both: Both) -> None:
    bench.emulator.faults.add(Status(403, code="token_quota_reached"), path="text/embeddings", nth=range(4, 100))
    with pytest.raises(PartialFailure) as raised:
        both.call(bench.embedder(batch_size=10, max_concurrency=1), "embed", texts_of(100))
    failure = raised.value
    assert failure.done == {number: vector(number) for number in range(30)}
    assert failure.untried == tuple(range(30, 100))
    assert isinstance(failure.cause, Unauthorized)
    assert len(bench.sent) == 4


@pytest.mark.parametrize("fault", [TooMany(), Status(503), Broken("reset")])
def test_what_passes_is_waited_out_beyond_the_clients_retries(both: Both, fault: Any) -> None:
    bench = Bench(retry=RetryPolicy(total=1, backoff_factor=0.001))
    bench.emulator.faults.add(fault, path="text/embeddings", nth=range(2, 7))
    embedder = bench.embedder(batch_size=1, max_concurrency=1)
    assert both.call(embedder, "embed", texts_of(3)).vectors == [vector(number) for number in range(3)]
    assert len(bench.sent) == 8


@pytest.mark.parametrize("fault", [TooMany(), Status(503), Broken("reset")])
@pytest.mark.parametrize("count", [1, 3])
def test_a_request_that_nothing_answers_is_sent_as_often_as_the_policy_says(both: Both, fault: Any, count: int) -> None:
    bench = Bench(retry=RetryPolicy(total=2, backoff_factor=0.001))
    bench.emulator.faults.add(fault, path="text/embeddings")
    with pytest.raises((RateLimited, Unavailable, ConnectionFailed)) as raised:
        both.call(bench.embedder(), "embed", texts_of(count))
    assert len(bench.emulator.journal.find("text/embeddings")) == 3 == raised.value.attempts


def test_without_retries_there_are_no_further_rounds_either(both: Both) -> None:
    bench = Bench(retry=RetryPolicy(total=0))
    bench.emulator.faults.add(TooMany(), path="text/embeddings")
    with pytest.raises(RateLimited):
        both.call(bench.embedder(), "embed", texts_of(3))
    assert len(bench.sent) == 1


@pytest.mark.parametrize("how", ["truncated", "types", "empty", "null"])
def test_an_answer_that_makes_no_sense_is_asked_for_once_more(bench: Bench, both: Both, how: Any) -> None:
    embedder = bench.embedder(batch_size=1, max_concurrency=1)
    bench.emulator.faults.add(Malformed(how), path="text/embeddings", nth=[2])
    assert both.call(embedder, "embed", texts_of(3)).vectors == [vector(number) for number in range(3)]
    bench.emulator.faults.add(Malformed(how), path="text/embeddings")
    with pytest.raises(UnexpectedResponse):
        both.call(embedder, "embed", texts_of(3))


def test_a_bug_is_no_error_of_a_text(bench: Bench, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("wx_integrations.core.embedder.rows_of", broken)
    with pytest.raises(ZeroDivisionError):
        both.call(bench.embedder(batch_size=1), "embed", texts_of(9))


# --------------------------------------------------------------------------- bit by bit


def test_a_stream_yields_in_order(bench: Bench, both: Both) -> None:
    found = both.all(bench.embedder(batch_size=7), "stream", iter(texts_of(200)))
    assert found == [vector(number) for number in range(200)]


def test_an_asynchronous_source_is_taken_as_well(bench: Bench) -> None:
    found = Both("async").all(bench.embedder(batch_size=7), "stream", slowly(texts_of(50)))
    assert found == [vector(number) for number in range(50)]


def test_a_stream_takes_texts_only_as_it_needs_them(bench: Bench) -> None:
    taken = []

    def source() -> Iterator[str]:
        for text in texts_of(100_000):
            taken.append(text)
            yield text

    stream = bench.embedder(batch_size=10).stream(source())
    first = [next(stream) for _ in range(25)]
    assert first == [vector(number) for number in range(25)]
    assert len(taken) <= 10 * (16 + 4 + 4)
    stream.close()
    sent = len(bench.sent)
    assert sent <= 24


def test_a_failure_in_a_stream_comes_in_its_place(bench: Bench, both: Both) -> None:
    found: list[Any] = []
    embedder = bench.embedder(batch_size=5)

    texts = texts_of(40, bad=[12])

    async def gather() -> None:
        async for item in embedder.astream(texts):
            found.append(item)  # noqa: PERF401  # a comprehension would lose what came before the failure

    def take() -> None:
        if both.colour == "async":
            asyncio.run(gather())
            return
        for item in embedder.stream(texts):
            found.append(item)  # noqa: PERF402

    with pytest.raises(PartialFailure) as raised:
        take()
    failure = raised.value
    assert list(failure.failed) == [12]
    assert all(index > 12 for index in failure.done)
    assert all(failure.done[index] == vector(index) for index in failure.done)
    assert found == [vector(number) for number in range(12)]


def test_a_stream_goes_on_when_somebody_is_told_of_failures(bench: Bench, both: Both) -> None:
    told: list[tuple[int, type]] = []
    texts: list[Any] = [*texts_of(40, bad=[12]), "", 5, "text 99"]
    found = both.all(
        bench.embedder(batch_size=5), "stream", texts, on_failure=lambda index, error: told.append((index, type(error)))
    )
    assert found == [*(vector(number) if number != 12 else None for number in range(40)), None, None, vector(99)]
    assert sorted(told) == [(12, InvalidRequest), (40, ConfigurationError), (41, ConfigurationError)]


def test_a_stream_whose_source_fails_passes_that_on(bench: Bench, both: Both) -> None:
    def source() -> Iterator[str]:
        yield from texts_of(25)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        both.all(bench.embedder(batch_size=10), "stream", source())


async def test_leaving_a_stream_cancels_what_is_under_way(bench: Bench) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def slow(request: httpx.Request) -> None:
        if request.url.path.endswith("embeddings"):
            begun.append("x")
            try:
                await asyncio.sleep(0 if len(begun) == 1 else 60)
            except asyncio.CancelledError:
                ended.append("x")
                raise

    client = bench.connection.async_httpx_client
    assert client is not None
    client.event_hooks["request"] = [slow]
    stream = bench.embedder(batch_size=1).astream(texts_of(100))
    assert await anext(stream) == vector(0)
    await stream.aclose()
    assert len(ended) == len(begun) - 1 > 0
    assert bench.session.limiter._bulk == 0


async def test_cancelling_a_call_cancels_what_is_under_way(bench: Bench) -> None:
    async def slow(request: httpx.Request) -> None:
        await asyncio.sleep(60)

    client = bench.connection.async_httpx_client
    assert client is not None
    client.event_hooks["request"] = [slow]
    task = asyncio.create_task(bench.embedder(batch_size=1).aembed(texts_of(100)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.session.limiter._bulk == 0
    client.event_hooks["request"] = []
    assert len((await bench.embedder(batch_size=1).aembed(texts_of(9))).vectors) == 9


# --------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1001}, "batch_size"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"batch_bytes": 0}, "batch_bytes"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"requests_per_second": float("nan")}, "requests_per_second"),
        ({"empty": "drop"}, "empty"),
    ],
)
def test_bounds_out_of_range_are_refused(bounds: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Bounds(**bounds)
    assert raised.value.field == field


class Crowd:
    """Counts how many requests are under way at a time."""

    def __init__(self, bench: Bench, seconds: float = 0.01) -> None:
        self.now = self.most = 0
        self.seconds = seconds
        self._lock = threading.Lock()
        inner = bench.emulator.handle

        def handle(request: Any) -> Any:
            self._enter(1)
            threading.Event().wait(self.seconds)
            self._enter(-1)
            return inner(request)

        bench.emulator.handle = handle  # type: ignore[method-assign]

    def _enter(self, by: int) -> None:
        with self._lock:
            self.now += by
            self.most = max(self.most, self.now)


def test_max_concurrency_bounds_all_jobs_that_have_it(bench: Bench) -> None:
    bench.embedder().embed(texts_of(1))  # the token is there
    crowd = Crowd(bench)
    threads = [
        threading.Thread(target=bench.embedder(batch_size=1, max_concurrency=3).embed, args=(texts_of(20),))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowd.most == 3
    assert len(bench.sent) == 81


def test_several_are_under_way_from_the_start(bench: Bench) -> None:
    bench.embedder().embed(texts_of(1))
    crowd = Crowd(bench, 0.05)
    bench.embedder(batch_size=1).embed(texts_of(5))
    assert crowd.most == 5


def test_loops_and_threads_use_one_engine_side_by_side(bench: Bench) -> None:
    results: list[Any] = []

    def sync() -> None:
        results.append(bench.embedder(batch_size=3, max_concurrency=2).embed(texts_of(30)).vectors)

    def in_loop() -> None:
        results.append(asyncio.run(bench.embedder(batch_size=3, max_concurrency=2).aembed(texts_of(30))).vectors)

    threads = [threading.Thread(target=work) for work in (sync, in_loop, sync, in_loop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[vector(number) for number in range(30)]] * 4


def test_leave_that_comes_when_nothing_is_left_goes_back(bench: Bench, both: Both) -> None:
    both.call(bench.embedder(batch_size=1), "embed", texts_of(60))
    limiter = bench.session.limiter
    assert limiter._bulk == 0
    assert not limiter._waiters
    caller = limiter.everybody
    assert limiter.take(Waiter(caller, lambda: None))
    limiter.give(caller)


# --------------------------------------------------------------------------- arrays


def test_arrays_hold_the_same_numbers(bench: Bench, both: Both) -> None:
    import numpy as np

    embedded = both.call(bench.embedder(arrays=True, batch_size=7), "embed", texts_of(30))
    assert embedded.vectors.dtype == np.float32
    assert embedded.vectors.tolist() == [vector(number) for number in range(30)]
    assert embedded.input_token_count == 60
    rows = both.all(bench.embedder(arrays=True, batch_size=7), "stream", texts_of(9))
    assert [row.tolist() for row in rows] == [vector(number) for number in range(9)]
    assert both.call(bench.embedder(arrays=True), "embed", []).vectors.shape == (0, 0)


# --------------------------------------------------------------------------- progress


def test_progress_tells_texts_tokens_and_trouble(bench: Bench, both: Both) -> None:
    bench.emulator.faults.add(Status(503), path="text/embeddings", times=1)
    seen: list[Progress] = []
    with pytest.raises(PartialFailure):
        both.call(
            bench.embedder(batch_size=10, max_concurrency=2), "embed", texts_of(40, bad=[3]), on_progress=seen.append
        )
    last = seen[-1]
    assert (last.texts, last.failed, last.total, last.input_token_count) == (39, 1, 40, 78)
    assert last.refusals == 1
    assert last.in_flight == 0
    assert [progress.texts for progress in seen] == sorted(progress.texts for progress in seen)
    assert last.requests >= 4


def test_progress_does_the_sums() -> None:
    progress = Progress(50, 10, 100, 200, 5, 0, 1, seconds=10.0)
    assert (progress.texts_per_second, progress.tokens_per_second, progress.seconds_left) == (5.0, 20.0, 8.0)
    assert Progress(0, 0, None, 0, 0, 0, 0, 0.0).seconds_left is None
    assert Progress(0, 0, 5, 0, 0, 0, 0, 0.0).texts_per_second == 0.0


def test_a_bar_shows_what_there_is_to_see(bench: Bench, both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    both.call(bench.embedder(batch_size=10), "embed", texts_of(40), show_progress=True)
    shown = capsys.readouterr().err
    assert "40.0/40.0" in shown
    assert "tokens/s" in shown
    assert "refused=0" in shown


def test_a_notebook_without_widgets_gets_a_plain_bar_and_no_warning() -> None:
    program = """
import sys, types
from wx_integrations.core.progress import Bar
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
sys.modules["ipywidgets"] = sys.modules["IPython.html"] = None
Bar("texts", 3).close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "0.00/3.00" in done.stderr
    assert "Warning" not in done.stderr


def test_without_tqdm_a_bar_is_refused(bench: Bench, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(ConfigurationError, match=r"wx-integrations\[progress\]"):
        both.call(bench.embedder(), "embed", texts_of(1), show_progress=True)
    assert len(bench.emulator.journal) == 0


# --------------------------------------------------------------------------- ranking


def test_thousands_of_documents_are_ranked_as_one(bench: Bench, both: Both) -> None:
    order = [(number * 7919) % 2500 for number in range(2500)]
    ranked = both.call(bench.ranker(), "rank", "q", [f"text {number}" for number in order])
    assert [order[index] for index in ranked.indices] == list(range(2499, -1, -1))
    assert (ranked.input_token_count, ranked.requests) == (5000, 3)
    best = both.call(bench.ranker(top_n=5, batch_size=100), "rank", "q", [f"text {number}" for number in order])
    assert [*best] == [*ranked][:5]


def test_a_document_that_fails_takes_no_other_along(bench: Bench, both: Both) -> None:
    with pytest.raises(PartialFailure) as raised:
        both.call(bench.ranker(batch_size=10), "rank", "q", texts_of(40, bad=[21]))
    assert list(raised.value.failed) == [21]
    assert raised.value.done[39] == 39.0
    assert "documents[21]" in str(raised.value)
