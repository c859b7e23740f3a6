"""A short storm, and proof that a trial notices what it is there to notice; `python -m tests.soak` is the long one."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.soak import counting, questions, storm
from tests.soak.errands import Errands
from tests.soak.storm import Met
from tests.soak.test_verdicts import CALL, OK
from tests.soak.trial import ACCOUNTS, Figures, Trial
from tests.soak.verdicts import POLICY, Outcome
from wx_integrations.core import retry, turnstile
from wx_integrations.core.errors import ConnectionFailed
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.streams import Reading
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.faults import Cut, Page, Status
from wx_integrations.emulator.service import Visit
from wx_integrations.emulator.troubles import Answer


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_call_ends_in_a_right_answer_or_the_right_error(tls: bool) -> None:
    figures = Trial(160, seed=20_261_120, tls=tls).run()
    assert figures.wrong == []
    assert figures.right + figures.cancelled + sum(figures.errors.values()) == 160 + ACCOUNTS + 1
    assert figures.right > 80
    assert figures.errors
    assert figures.cancelled
    assert sum(figures.troubles.values()) > 30
    assert figures.exchanges == figures.expiries + ACCOUNTS
    assert figures.expiries >= 3 * ACCOUNTS  # those between the parts at least
    assert set(figures.left.values()) == {0}


def test_no_two_calls_have_the_same_answer() -> None:
    """Or one that got another's would pass."""
    numbers = range(1, 10_000, 23)
    for right in (questions.vectors, questions.ranks, questions.ranked_texts, questions.summed, questions.echoed):
        assert len({repr(right(number)) for number in numbers}) == len(numbers)


# --------------------------------------------------------------------------- what a trial notices

CALM = 0.0


def small(share: float = CALM, calls: int = 50) -> Trial:
    return Trial(calls, share=share, seed=1, tls=False, threads=4, tasks=8)


def complaints(trial: Trial) -> str:
    return "\n".join(trial.run().wrong)


def amid(trial: Trial, happen: Callable[[Trial], object]) -> Figures:
    """Run a trial in the middle of which something happens."""
    between = trial._between

    def then(part: int) -> None:
        between(part)
        if part == 3:
            happen(trial)

    trial._between = then  # type: ignore[method-assign]
    return trial.run()


def test_nothing_is_noticed_when_nothing_is_wrong() -> None:
    assert complaints(small()) == ""


def test_answers_that_go_to_another_call() -> None:
    """Each path's answers come one call late; the first has nobody's to get."""
    trial = small()
    kept: dict[str, Any] = {}
    answer = trial.storm.apply

    def swapped(visit: Any, right: Any) -> Any:
        reply, path = answer(visit, right), visit.request.path
        if not isinstance(reply.body, bytes) or reply.status != 200 or visit.route.secret:
            return reply
        other, kept[path] = kept.get(path, reply.body), reply.body
        return replace(reply, body=other)

    trial.storm.apply = swapped  # type: ignore[method-assign,assignment]
    wrong = trial.run().wrong
    assert len(wrong) > 20
    assert all(" instead of " in line for line in wrong)
    assert {kind for line in wrong for kind in ("chat", "tools", "embeddings", "rerank", "generation") if kind in line}


def fabricated(calls: int = 10) -> Trial:
    """Return a trial as if calls had gone well."""
    trial = Trial(calls)
    trial.outcomes = [Outcome(CALL, number, "sync", CALL.right(number)) for number in range(1, calls + 1)]
    for number in range(1, calls + 1):
        trial.storm.met[number].append(OK)
    trial.storm.requests = calls
    trial.storm.expiry.exchanged = trial.storm.token_requests = ACCOUNTS
    return trial


def test_calls_that_come_back_not_once() -> None:
    assert fabricated().figures().wrong == []
    lost, twice = fabricated(), fabricated()
    del lost.outcomes[3]
    twice.outcomes.append(twice.outcomes[3])
    for trial in (lost, twice):
        assert trial.figures().wrong == ["some calls were lost, or came back twice"]


def test_a_request_that_belongs_to_no_call() -> None:
    trial = fabricated()
    trial.storm.unmarked["/ml/v1/foundation_model_specs"] += 1
    trial.storm.requests += 1
    assert trial.figures().wrong == ["requests that belong to no call: {'/ml/v1/foundation_model_specs': 1}"]


def test_tokens_that_are_asked_for_too_often() -> None:
    again, never, stubborn = fabricated(), fabricated(), fabricated()
    again.storm.expiry.exchanged += 1
    never.storm.expiry.ended += 1
    stubborn.storm.token_requests += POLICY.retry_total * ACCOUNTS + 1
    assert again.figures().wrong == [f"{ACCOUNTS + 1} token exchanges for {ACCOUNTS} accounts, 0 expiries"]
    assert never.figures().wrong == [f"{ACCOUNTS} token exchanges for {ACCOUNTS} accounts, 1 expiries"]
    assert stubborn.figures().wrong == [f"{5 * ACCOUNTS + 1} requests for {ACCOUNTS} tokens"]


def test_attempts_that_nobody_saw() -> None:
    trial = fabricated()
    for number in range(1, 5):
        error = ConnectionFailed("m")
        error.attempts = POLICY.retry_total + 1
        trial.outcomes[number - 1] = Outcome(CALL, number, "sync", error=error)
        trial.storm.met[number] = [Met("refused", 0)]
    assert trial.figures().wrong == ["errors tell of 16 attempts that nobody saw"]


def test_a_token_that_is_fetched_without_need() -> None:
    def forget(trial: Trial) -> None:
        trial.accounts[0].session.client._shared.cell._held = None

    assert any(f"token exchanges for {ACCOUNTS} accounts" in line for line in amid(small(), forget).wrong)


def policed(trial: Trial, policy: RetryPolicy) -> Trial:
    """Let the clients keep to another policy than the verdicts."""
    make = trial._errands

    def errands(key: str) -> Errands:
        made = make(key)
        settings = {**made.connection.to_dict(), "retry": policy}
        return Errands(type(made.connection)(**settings), trial.clock)

    trial._errands = errands  # type: ignore[method-assign]
    return trial


@pytest.fixture
def tokens_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble meets calls only: who gets no token makes no request that could be judged."""

    def token(self: storm.Storm, visit: Visit, answer: Answer) -> Reply:
        self.token_requests += 1
        return self.expiry.exchange("", answer)

    monkeypatch.setattr(storm.Storm, "_token", token)


@pytest.mark.usefixtures("tokens_for_all")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"retry_total": POLICY.retry_total + 1}, "was the last allowed"),
        ({"retry_total": POLICY.retry_total - 1}, "gave up after 4 of 5 attempts"),
    ],
    ids=["too often", "too seldom"],
)
def test_a_policy_that_is_not_kept_to(changed: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "WHOLE", {"503": Status(503)})
    monkeypatch.setattr(storm, "STREAMED", {})
    trial = policed(small(1.0, calls=10), RetryPolicy(**{**POLICY.model_dump(), **changed}))
    assert words in complaints(trial)


@pytest.mark.usefixtures("tokens_for_all")
def test_a_pause_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "WHOLE", {"429, seconds": storm.Full("seconds")})
    monkeypatch.setattr(storm, "STREAMED", {})
    for module in (retry, turnstile):
        monkeypatch.setattr(module, "retry_after", lambda *_, **__: None)
    assert "asked to wait 2.0 s" in complaints(small(0.5, calls=20))


@pytest.mark.usefixtures("tokens_for_all")
def test_a_stream_that_was_cut_and_passes_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "WHOLE", {"500": Status(500)})
    monkeypatch.setattr(storm, "STREAMED", {"stream ends early": Cut(after=2, how="end")})
    monkeypatch.setattr(storm, "SLOW", {})
    monkeypatch.setattr(Reading, "rest", lambda self: ())
    assert "' instead of 'You said: note mark" in complaints(small(0.4))


@pytest.mark.usefixtures("tokens_for_all")
def test_an_error_that_is_none_of_the_package_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *_: Any) -> Any:
        raise KeyError("choices")

    monkeypatch.setattr(storm, "WHOLE", {"200, web page": Page()})
    monkeypatch.setattr("wx_integrations.core.exchange.Plan.not_understood", broken)
    assert "not an error of the package: KeyError('choices')" in complaints(small(0.6, calls=20))


# --------------------------------------------------------------------------- what is left


@pytest.fixture
def kept() -> Iterator[list[Callable[[], object]]]:
    """What gives back what a test has let leak."""
    found: list[Callable[[], object]] = []
    yield found
    for give_back in found:
        give_back()


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for what never comes back."""
    patience = counting.settled
    monkeypatch.setattr(counting, "settled", lambda count: patience(count, 0.2))
    tasks = counting.tasks_left
    monkeypatch.setattr(counting, "tasks_left", lambda sessions: tasks(sessions, 0.05))


@pytest.mark.usefixtures("quickly")
def test_what_is_left_behind(kept: list[Callable[[], object]]) -> None:
    end = threading.Event()

    def leak(trial: Trial) -> None:
        left = socket.create_connection(("127.0.0.1", trial.server.port))
        thread = threading.Thread(target=end.wait)
        thread.start()
        kept.extend((left.close, end.set, thread.join))
        limiter: Any = trial.accounts[0].session.limiter
        limiter._sending += 1
        limiter._bulk += 1

    assert set(amid(small(), leak).wrong) == {
        "1 server connections left",
        "1 sockets left",
        "1 threads left",
        "1 requests in the limiters left",
        "1 bulk leaves left",
    }


@pytest.mark.usefixtures("quickly")
def test_answers_that_stay_open_and_tasks_that_go_on(kept: list[Callable[[], object]]) -> None:
    """In both colours: the clients, the pools, the sockets and the loops tell."""
    trial = small()
    loop = trial._loop

    async def careless(plan: Any) -> None:
        errands = trial.accounts[1]
        stream = errands.session.async_client.stream(errands._streamed(questions.prompt(0)))
        await anext(stream)
        task = asyncio.create_task(asyncio.sleep(100))
        await loop(plan)
        task.cancel()
        await stream.aclose()

    def leak(trial: Trial) -> None:
        errands = trial.accounts[0]
        stream = errands.session.client.stream(errands._streamed(questions.prompt(0)))
        next(stream)
        kept.append(stream.close)

    trial._loop = careless  # type: ignore[method-assign]
    wrong = amid(trial, leak).wrong
    assert {"6 users of clients left", "5 load of the pools left", "12 connections in use left"} <= set(wrong)
    assert "5 tasks left" in wrong
    assert any(line.endswith(" sockets left") for line in wrong)
    assert sum("Task pending" in line for line in wrong) == 5


def test_a_count_settles_as_soon_as_it_can() -> None:
    began = time.monotonic()
    assert counting.settled(lambda: 0) == 0
    left = iter([3, 2, 1])
    assert counting.settled(lambda: next(left, 0)) == 0
    assert counting.settled(lambda: 5, 0.05) == 5
    assert time.monotonic() >= began + 0.05
