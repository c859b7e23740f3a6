"""The comparison of traffic: its rules, and the report that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.__main__ import REPORT
from tests.oracle.comparison import Comparison, Recording, unused
from tests.oracle.marks import needs_witnesses
from tests.oracle.reasons import REASONS, Reason, reason_of
from tests.oracle.recorder import Recorder
from tests.oracle.recording import Evidence
from tests.oracle.report import render
from tests.oracle.traffic import ABSENT, REQUESTS, RESULT, Difference, Sent, compare, shown, steady, unequal
from tests.oracle.witnesses.inputs import PROJECT
from tests.oracle.witnesses.performing import Calls, names_of
from wx_integrations.emulator.exchange import Request
from wx_integrations.emulator.journal import Entry, Journal

LINE = "POST /ml/v1/text/chat"


def sent(path: str = "/ml/v1/text/chat", **fields: Any) -> Sent:
    return Sent("POST", path, fields)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({"a": {"b": None}}, {"a": {}}, [("a.b", None, ABSENT)]),
        ({"a": True}, {"a": 1}, [("a", True, 1)]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": 1}]}, [("a[1]", {"c": 2}, ABSENT)]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("a[0].b", 1, 2)]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, [("a", ["x", "y"], ["y", "x"])]),
        ({"a": {"b": 1}}, {"a": "b"}, [("a", {"b": 1}, "b")]),
    ],
)
def test_the_deepest_places_that_differ(left: Any, right: Any, expected: list[Any]) -> None:
    assert list(unequal(left, right)) == expected


def test_a_missing_request_is_a_difference() -> None:
    assert compare([sent(), sent()], [sent()]) == [Difference(LINE, REQUESTS, "2", "1")]
    assert compare([sent()], [sent("/other")]) == [
        Difference(LINE, REQUESTS, "1", "0"),
        Difference("POST /other", REQUESTS, "0", "1"),
    ]


def test_requests_are_compared_in_their_order_and_those_with_texts_by_their_texts() -> None:
    first, second = sent(body={"seed": 1}), sent(body={"seed": 2})
    assert len(compare([first, second], [second, first])) == 2
    one, other = sent(body={"inputs": ["a"]}), sent(body={"inputs": ["b"]})
    assert compare([one, other], [other, one]) == []


def test_a_difference_is_told_once() -> None:
    theirs, ours = sent(query={"version": "1"}), sent(query={"version": "2"})
    assert compare([theirs, theirs], [ours, ours]) == [Difference(LINE, "query.version", '"1"', '"2"')]


def test_ids_that_change_are_masked_and_known_ones_stay() -> None:
    call = "chatcmpl-tool-0123456789abcdef0123456789abcdef"
    found = steady(
        {"id": call, "trace": "0123456789abcdef0123456789abcdef", "project": PROJECT, "text": "abcdef", "n": 1}
    )
    assert found == {"id": "<id>", "trace": "<id>", "project": PROJECT, "text": "abcdef", "n": 1}
    assert steady(["5c1f6ad3-4f4f-4d2b-9d38-0fd0a1b6a0f2"]) == ["<id>"]


def test_of_the_headers_stays_what_says_something() -> None:
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer a.b.c",
        "Connection": "keep-alive",
        "Content-Length": "2",
        "Host": "127.0.0.1:1",
        "User-Agent": "someone/1.2 (linux)",
        "X-IBM-Project-ID": PROJECT,
    }
    entry = Journal().open(Request("POST", "https://x/ml/v1/text/chat?version=1", headers, b"{}"), "t", secret=False)
    assert Sent.of(entry).fields == {
        "query": {"version": "1"},
        "header": {
            "accept": "*/*",
            "authorization": "Bearer ***",
            "user-agent": "someone",
            "x-ibm-project-id": PROJECT,
        },
        "body": {},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, "-"),
        (None, "null"),
        ("é", '"é"'),
        ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
        ([f"text {number}" for number in range(9)], '9 items from "text 0" to "text 8"'),
        ("x" * 100, '"' + "x" * 69 + "..."),
    ],
)
def test_values_in_a_cell(value: Any, text: str) -> None:
    assert shown(value) == text


# --------------------------------------------------------------------------- reasons


def test_a_reason_covers_what_all_its_patterns_match() -> None:
    reason = Reason("kind", "text", r"body\.stop", "POST .*", theirs="-", client="a", call="chat.*")
    difference = Difference(LINE, "body.stop", "-", '["x"]')
    assert reason.covers("a", "chat_stop", difference)
    assert not reason.covers("b", "chat_stop", difference)
    assert not reason.covers("a", "tools", difference)
    assert not reason.covers("a", "chat_stop", Difference(LINE, "body.stops", "-", "1"))
    assert not reason.covers("a", "chat_stop", Difference(LINE, "body.stop", "1", "2"))
    assert reason_of("a", "chat", difference, [reason]) is reason
    assert reason_of("a", "chat", difference, []) is None


@pytest.mark.parametrize("field", ["body.temperature", "body.messages[0].role", "header.authorization", RESULT])
def test_no_reason_is_so_wide_that_it_covers_what_nobody_thought_of(field: str) -> None:
    for client in ("ibm-watsonx-ai", "langchain-ibm", "llama-index-ibm", "litellm"):
        assert reason_of(client, "chat", Difference(LINE, field, '"a"', '"b"')) is None
        assert reason_of(client, "chat", Difference(LINE, field, '"a"', "-")) is None


class _Two(Calls):
    family = "theirs"

    def chat(self) -> None:
        """Nothing."""

    def _hidden(self) -> None:
        """Nothing."""


def test_calls_are_the_public_methods_in_their_order() -> None:
    class More(_Two):
        def later(self) -> None:
            """Nothing."""

        def chat(self) -> None:
            """Nothing else."""

    assert names_of(More) == ["chat", "later"]


def recordings(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[Recording, Recording]:
    """Return two recordings of one chat with these parameters."""
    found = []
    for family, fields in (("theirs", theirs), ("ours", ours)):
        recorder = Recorder(strict=False)
        recorder.handle(Request("GET", f"https://x/step/{family}/chat"))
        headers = {"content-type": "application/json", "authorization": "Bearer x"}
        body = {"model_id": "ibm/granite-4-h-small", "project_id": PROJECT, **fields}
        url = "https://x/ml/v1/text/chat?version=2024-03-14"
        recorder.handle(Request("POST", url, headers, json.dumps(body).encode()))
        found.append(Recording(family, {"chat": {"ok": "Hello"}}, recorder.steps))
    return found[0], found[1]


def test_a_difference_without_a_reason_is_found_and_shown() -> None:
    comparison = Comparison.of(*recordings({"top_p": 0.5}, {"top_p": 0.25}))
    expected = Difference(LINE, "body.top_p", "0.5", "0.25")
    assert comparison.unexplained == [("chat", expected)]
    text = render([comparison], {"x": "1.0"})
    assert "| POST text/chat | body.top_p | `0.5` | `0.25` | **none** |" in text
    because = Reason("kind", "Because.", r"body\.top_p")
    explained = Comparison.of(*recordings({"top_p": 0.5}, {"top_p": 0.25}), [because])
    assert (explained.unexplained, explained.reasons) == ([], [because])


def test_another_result_is_a_difference() -> None:
    theirs, ours = recordings({}, {})
    failed = Recording("ours", {"chat": {"error": "Boom: no"}}, ours.steps)
    assert Comparison.of(theirs, failed).unexplained == [("chat", Difference("", RESULT, '"Hello"', "raises Boom"))]


def test_the_recorder_tells_calls_apart_and_troubles_last_for_one() -> None:
    recorder = Recorder(strict=True)
    body = (
        f'{{"model_id":"ibm/granite-4-h-small","project_id":"{PROJECT}","messages":[{{"role":"user","content":"x"}}]}}'
    )
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    chat = Request("POST", "https://x/ml/v1/text/chat?version=2024-03-14", headers, body.encode())
    statuses = []
    for step in ("one", "two"):
        recorder.handle(Request("GET", f"https://x/step/someone/{step}"))
        if step == "one":
            recorder.handle(Request("GET", "https://x/now/overloaded"))
        statuses += [recorder.handle(chat).status, recorder.handle(chat).status]
    assert statuses == [503, 200, 200, 200]
    steps = recorder.steps
    assert [len(steps["someone", name].entries) for name in ("one", "two")] == [2, 2]
    assert [refusal.status for refusal in steps["someone", "one"].refusals] == [503]
    assert all(isinstance(entry, Entry) for entry in steps["someone", "two"].entries)


# --------------------------------------------------------------------------- the report


def test_the_committed_report_has_every_reason_and_no_difference_without_one() -> None:
    text = REPORT.read_text("utf-8")
    assert "**none**" not in text
    assert [reason.text for reason in REASONS if reason.text not in text] == []


def test_the_committed_report_names_nothing_of_one_machine() -> None:
    text = REPORT.read_text("utf-8")
    assert "127.0.0.1" not in text
    assert str(Path.home()) not in text


@pytest.mark.oracle
@needs_witnesses[1]
def test_every_difference_has_a_reason_and_every_reason_a_difference(comparisons: list[Comparison]) -> None:
    assert [(comparison.client, comparison.unexplained) for comparison in comparisons if comparison.unexplained] == []
    assert unused(comparisons) == []


@pytest.mark.oracle
@needs_witnesses[1]
def test_the_report_is_up_to_date(comparisons: list[Comparison], lenient: Evidence) -> None:
    """Else, after a look at the differences: python -m tests.oracle --write, with the versions that it shall name."""
    assert render(comparisons, lenient.versions).splitlines() == REPORT.read_text("utf-8").splitlines()


@pytest.mark.oracle
@needs_witnesses[1]
def test_the_strict_emulator_refuses_nothing_of_ours_but_what_is_meant_to_fail(comparisons: list[Comparison]) -> None:
    meant = {"unknown_model", "unknown_model_unchecked", "wrong_key", "refused_token", "token_refused_early"}
    meant |= {"overloaded_once", "limited_once"}
    refused = {call.call for comparison in comparisons for call in comparison.calls if call.refused}
    assert refused == meant
