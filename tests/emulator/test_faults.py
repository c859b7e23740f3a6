"""Scripted trouble: what the client sees, when it strikes, and that the right answer's work is stopped."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.emulator.lab import CHAT_MODEL, GRANT, IAM, Lab, data_of, error_of, frames_of, stream_of
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.faults import (
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Faults,
    Malformed,
    Page,
    RateLimited,
    Slow,
    StaleToken,
    Status,
)


def struck(fault: Fault, **when: Any) -> Lab:
    faults = Faults()
    faults.add(fault, **when)
    return Lab(faults=faults)


def body_of(reply: Reply) -> bytes:
    assert isinstance(reply.body, bytes)
    return reply.body


# --------------------------------------------------------------------------- kinds


def test_429_as_recorded() -> None:
    reply = struck(RateLimited()).chat()
    error = error_of(reply)
    assert (error["status"], error["code"]) == (429, "rate_limit_reached_requests")
    assert error["message"].startswith("Rate limit of 2 requests per 1s was reached for instance id ")
    assert "retry-after" not in reply.headers


def test_429_with_seconds_or_a_date() -> None:
    assert struck(RateLimited(2)).chat().headers["retry-after"] == "2"
    assert struck(RateLimited(0.5)).chat().headers["retry-after"] == "0.5"
    lab = struck(RateLimited(30, as_date=True))
    text = lab.chat().headers["retry-after"]
    assert text.endswith(" GMT")
    assert parsedate_to_datetime(text).timestamp() == int(lab.clock.now + 30)


@pytest.mark.parametrize("status", [502, 503, 504, 520])
def test_gateways_in_between_answer_with_pages(status: int) -> None:
    reply = struck(Status(status)).chat()
    assert reply.status == status
    assert body_of(reply).startswith(b"<!DOCTYPE html>")


def test_statuses_in_the_services_words() -> None:
    assert error_of(struck(Status(500)).chat())["code"] == "downstream_request_failed"
    said = error_of(struck(Status(403, "token_quota_reached", "used up")).chat())
    assert (said["status"], said["code"], said["message"]) == (403, "token_quota_reached", "used up")
    assert error_of(struck(Status(503, body="service")).chat())["status"] == 503
    assert body_of(struck(Status(500, body="empty")).chat()) == b""
    assert struck(Status(503, headers={"retry-after": "1"})).chat().headers["retry-after"] == "1"


def test_each_service_fails_in_its_own_words() -> None:
    lab = struck(Status(500))
    token = lab.send("POST", "/identity/token", b"", host=IAM)
    assert set(json.loads(body_of(token))) == {"errorCode", "errorMessage", "context"}
    gateway = lab.post("/ml/gateway/v1/chat/completions", {"model": CHAT_MODEL, "messages": []})
    assert set(json.loads(body_of(gateway))) == {"error"}


@pytest.mark.parametrize("trouble", ["refuse", "reset", "close", "timeout", "garbage"])
def test_broken_connections_answer_nothing(trouble: Any) -> None:
    lab = struck(Broken(trouble))
    assert lab.chat().trouble == trouble
    assert (lab.emulator.journal.last.status, lab.emulator.journal.last.fault) == (0, "Broken")


def test_a_cut_stream() -> None:
    lab = struck(Cut(after=2, how="reset"))
    frames = list(frames_of(lab.chat_stream()))
    assert [frame.trouble for frame in frames] == [None, None, "reset"]
    assert lab.emulator.journal.last.fault == "Cut"


def test_a_cut_body() -> None:
    frames = list(frames_of(struck(Cut(after=10)).chat()))
    assert [(len(frame.data), frame.trouble) for frame in frames] == [(10, None)] * 10 + [(0, "close")]


def test_a_stream_that_ends_too_early_looks_healthy() -> None:
    whole = stream_of(Lab().chat_stream())
    cut = stream_of(struck(Cut(after=3, how="end")).chat_stream())
    assert whole.startswith(cut)
    assert cut.count(b"data: ") == 3


def test_an_error_event() -> None:
    frames = [frame.data for frame in frames_of(struck(ErrorEvent(after=2)).chat_stream())]
    assert frames[2].startswith(b'id: 3\nevent: error\ndata: {"errors":[{"code":"downstream_request_failed"')
    assert len(frames) == 3
    plain = [frame.data for frame in frames_of(struck(ErrorEvent(after=0, plain=True, message="no")).chat_stream())]
    assert plain == [b"id: 1\nevent: error\ndata: no\n\n"]


def test_a_page_and_an_error_object_with_status_200() -> None:
    page = struck(Page()).chat()
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    assert data_of(struck(ErrorObject("oops")).chat())["error"]["message"] == "oops"


@pytest.mark.parametrize("how", ["truncated", "empty", "utf8"])
def test_malformed_bodies_cannot_be_read(how: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        json.loads(body_of(struck(Malformed(how)).chat()))


def test_malformed_bodies_that_can_be_read() -> None:
    assert json.loads(body_of(struck(Malformed("null")).chat())) is None
    assert json.loads(body_of(struck(Malformed("types")).chat()))["choices"] == 7


def test_malformed_streams_keep_their_framing() -> None:
    raw = stream_of(struck(Malformed("null")).chat_stream())
    assert raw.startswith(b"id: 1\nevent: message\ndata: null\n\nid: 2\nevent: message\ndata: null\n\n")


def test_slow_answers() -> None:
    assert struck(Slow(before=5)).chat().wait == 5
    dribble = list(frames_of(struck(Slow(before=1, each=2, size=100)).chat()))
    assert {frame.wait for frame in dribble} == {2}
    assert json.loads(b"".join(frame.data for frame in dribble))["object"] == "chat.completion"


def test_a_token_that_goes_stale_now() -> None:
    lab = struck(StaleToken(), path="text/chat", nth=[2])
    assert lab.chat().status == 200
    assert error_of(lab.chat())["code"] == "authentication_token_expired"
    lab.token = lab.emulator.office.issue().text
    assert lab.chat().status == 200


# --------------------------------------------------------------------------- when


def statuses(lab: Lab, count: int) -> list[int]:
    return [lab.chat().status for _ in range(count)]


def test_nth_times_and_all() -> None:
    assert statuses(struck(Status(503), nth=[2, 4]), 5) == [200, 503, 200, 503, 200]
    assert statuses(struck(Status(503), times=2), 4) == [503, 503, 200, 200]
    assert statuses(struck(Status(503)), 3) == [503] * 3


def test_paths_and_methods() -> None:
    lab = struck(Status(503), path="text/chat")
    assert (lab.chat().status, lab.chat_stream().status) == (503, 200)
    lab = struck(Status(503), path="/ml/v1/text/chat_stream")
    assert (lab.chat().status, lab.chat_stream().status) == (200, 503)
    lab = struck(Status(503), method="get")
    assert lab.chat().status == 200
    assert lab.send("GET", "/ml/v1/foundation_model_specs").status == 503


def test_token_endpoints_can_fail_alone() -> None:
    lab = struck(Status(500), path="/identity/token", times=1)
    grant = f"grant_type={GRANT}apikey&apikey=k".encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    found = [lab.send("POST", "/identity/token", grant, host=IAM, headers=form).status for _ in range(2)]
    assert found == [500, 200]
    assert lab.chat().status == 200


def test_chance_is_seeded() -> None:
    def run(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.add(Status(503), probability=0.3)
        return statuses(Lab(faults=faults), 100)

    assert run(1) == run(1) != run(2)
    assert 15 < run(1).count(503) < 45


def test_every_rule_counts_every_fitting_request_and_the_first_that_strikes_counts() -> None:
    faults = Faults()
    first = faults.add(Status(500), nth=[1])
    second = faults.add(Status(502), nth=[1, 2])
    assert statuses(Lab(faults=faults), 3) == [500, 502, 200]
    assert (first.seen, first.struck, second.seen, second.struck) == (3, 1, 3, 1)
    faults.clear()
    assert faults.rules == []


def test_unknown_paths_are_not_struck() -> None:
    assert struck(Status(503)).send("GET", "/nothing").status == 404


def test_rate_limit_with_its_headers() -> None:
    lab = Lab()
    lab.emulator.faults.limit(2, per=1.0)
    replies = [lab.chat() for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    left = [(reply.headers["x-requests-limit-rate"], reply.headers["x-requests-limit-remaining"]) for reply in replies]
    assert left == [("2", "1"), ("2", "0"), ("2", "0")]
    assert "Rate limit of 2 requests per 1s" in error_of(replies[2])["message"]
    assert lab.send("GET", "/ml/v1/foundation_model_specs").status == 200
    lab.clock.now += 1.0
    assert lab.chat().status == 200
    assert lab.emulator.journal.find(status=429)[0].fault == "Limit"


def test_rate_limit_for_one_path() -> None:
    lab = Lab()
    lab.emulator.faults.limit(1, per=2.5, path="text/chat")
    assert [lab.chat().status, lab.chat_stream().status, lab.chat().status] == [200, 200, 429]


def test_faults_can_be_added_while_running() -> None:
    lab = Lab()
    assert lab.chat().status == 200
    lab.emulator.faults.add(Status(503), times=1)
    assert statuses(lab, 2) == [503, 200]


@pytest.mark.parametrize(
    "fault", [Cut(after=1), Cut(after=1, how="end"), ErrorEvent(after=1), Slow(each=0.1), Malformed()]
)
@pytest.mark.parametrize("leave", [True, False])
def test_altered_streams_stop_the_brain(fault: Fault, leave: bool) -> None:
    lab = struck(fault)
    stopped = []
    chat = lab.emulator.brain.chat

    def watched(*arguments: Any) -> Any:
        try:
            yield from chat(*arguments)
        finally:
            stopped.append(True)

    lab.emulator.brain.chat = watched  # type: ignore[method-assign,assignment]
    reply = lab.chat_stream()
    if leave:
        next(frames_of(reply))
    else:
        list(frames_of(reply))
    reply.close()
    assert stopped == [True]
