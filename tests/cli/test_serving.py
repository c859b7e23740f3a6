"""`wx serve`: trouble, limit, pacing and journal from the command line."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator.lab import CHAT_MODEL, ML, PROJECT, Lab
from wx_integrations.cli import serving
from wx_integrations.cli.serving import Outfit, ServedEmulator, read_limit, read_rule
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Reply, Request
from wx_integrations.emulator.faults import (
    Broken,
    Cut,
    ErrorEvent,
    ErrorObject,
    Fault,
    Malformed,
    Page,
    RateLimited,
    Rule,
    Slow,
    StaleToken,
    Status,
)
from wx_integrations.emulator.watsonx import LoggedIn

CHAT = f"{ML}/ml/v1/text/chat?version=2024-03-14"
STREAM = f"{ML}/ml/v1/text/chat_stream?version=2024-03-14"
TOKEN = "https://iam.cloud.ibm.com/identity/token"
SECRET = "Bearer a-secret-token"


def ask(emulator: ServedEmulator, url: str = CHAT, text: str = "Hello") -> Reply:
    body = json.dumps(Lab.chat_body(text)).encode()
    reply = emulator.handle(Request("POST", url, {"authorization": SECRET}, body))
    if not isinstance(reply.body, bytes):
        list(reply.body)
    return reply


def made(**outfit: Any) -> ServedEmulator:
    emulator = Outfit(**outfit).make(DeterministicBrain(), strict=False)
    assert isinstance(emulator, ServedEmulator)
    return emulator


# --------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", Status(503)),
        ("400", Status(400)),
        ("429", RateLimited()),
        ("429=1.5", RateLimited(1.5)),
        ("refuse", Broken("refuse")),
        ("timeout", Broken("timeout")),
        ("garbage", Broken("garbage")),
        ("cut", Cut()),
        ("cut=3", Cut(after=3)),
        ("error-event", ErrorEvent()),
        ("error-object", ErrorObject()),
        ("page", Page()),
        ("malformed", Malformed()),
        ("slow=2", Slow(before=2)),
        ("stale-token", StaleToken()),
    ],
)
def test_faults(text: str, fault: Fault) -> None:
    rule = read_rule(text)
    assert isinstance(rule, LoggedIn)
    assert (rule.fault, rule.path, rule.nth, rule.times, rule.probability) == (fault, None, None, None, None)


@pytest.mark.parametrize(
    ("text", "path", "when"),
    [
        ("503@text/chat", "text/chat", (None, None, None)),
        ("503@/ml/v1/text/chat:10%", "/ml/v1/text/chat", (None, None, 0.1)),
        ("503:x3", None, (None, 3, None)),
        (" reset@identity/token:#2,5 ", "identity/token", ((2, 5), None, None)),
    ],
)
def test_where_and_when(text: str, path: str | None, when: tuple[Any, Any, Any]) -> None:
    rule = read_rule(text)
    assert (rule.path, (rule.nth, rule.times, rule.probability)) == (path, when)
    assert type(rule) is (LoggedIn if path is None else Rule)


WRONG = [
    "",
    "x",
    "200",
    "600",
    "503=1",
    "slow",
    "slow=x",
    "slow=1.2.3",
    "reset=1",
    "503:",
    "503:10",
    "503:x",
    "503:#a",
    "503@",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_understood_is_told_how(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not understood\. Give WHAT") as caught:
        read_rule(text)
    assert repr(text) in str(caught.value)


@given(st.text(alphabet="0123459=.@/:x#%,abcdefgklmnorstuwy-", max_size=20))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert read_rule(text).fault is not None


def test_limits() -> None:
    assert read_limit("8") == (8, 1.0)
    assert read_limit(" 120/60 ") == (120, 60.0)
    for text in ("", "x", "8/", "8/0", "-1", "1.5"):
        with pytest.raises(ConfigurationError, match="is not a rate"):
            read_limit(text)


# --------------------------------------------------------------------------- serving


def test_trouble_leaves_the_token_exchange_alone() -> None:
    emulator = made(rules=[read_rule("503:x1")])
    form = b"grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey=k"
    assert emulator.handle(Request("POST", TOKEN, {}, form)).status == 200
    assert [ask(emulator).status for _ in range(2)] == [503, 200]


def test_pacing_and_limit() -> None:
    emulator = made(pacing=(0.5, 0.25), limit=(1, 60.0))
    reply = ask(emulator)
    assert reply.wait >= 0.5
    assert ask(emulator).status == 429


def test_the_journal_is_written_without_secrets() -> None:
    out = io.StringIO()
    emulator = made(journal=out)
    ask(emulator)
    ask(emulator, STREAM)
    emulator.handle(Request("GET", f"{ML}/nowhere"))
    entries = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(entry["index"], entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        (0, "POST", "/ml/v1/text/chat", 200),
        (1, "POST", "/ml/v1/text/chat_stream", 200),
        (2, "GET", "/nowhere", 404),
    ]
    assert entries[0]["body"]["model_id"] == CHAT_MODEL
    assert entries[0]["body"]["project_id"] == PROJECT
    assert "a-secret-token" not in out.getvalue()


def test_only_the_newest_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "KEPT", 3)
    emulator = made()
    for number in range(5):
        ask(emulator, text=f"number {number}")
    assert [entry.index for entry in emulator.journal] == [2, 3, 4]


def test_many_threads_write_whole_lines() -> None:
    out = io.StringIO()
    emulator = made(journal=out)
    threads = [threading.Thread(target=ask, args=(emulator, CHAT, f"number {number}")) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted(entry["index"] for entry in entries) == list(range(24))
    said = {entry["body"]["messages"][0]["content"] for entry in entries}
    assert said == {f"number {number}" for number in range(24)}
    assert {entry["status"] for entry in entries} == {200}
