"""The journal: everything is written down, no secret ever."""

from __future__ import annotations

import base64
import pickle
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from tests.emulator.lab import CHAT_MODEL, GRANT, IAM, ML, SOFTWARE, Lab, frames_of
from wx_integrations.emulator.exchange import Request
from wx_integrations.emulator.journal import MASK, Journal

FORM = {"content-type": "application/x-www-form-urlencoded"}
CANARY = "canary-7f3a9"


def test_what_an_entry_tells() -> None:
    lab = Lab()
    lab.post("/ml/v1/text/chat", lab.chat_body(), headers={"X-Global-Transaction-Id": "t1", "User-Agent": "me"})
    entry = lab.emulator.journal.last
    assert (entry.index, entry.method, entry.host, entry.path) == (
        0,
        "POST",
        "us-south.ml.cloud.ibm.com",
        "/ml/v1/text/chat",
    )
    assert entry.query == {"version": "2024-03-14"}
    assert entry.body == lab.chat_body()
    assert (entry.status, entry.fault, entry.trace, entry.state) == (200, None, "t1", "whole")
    assert entry.headers["user-agent"] == "me"
    assert str(entry) == "#0 POST /ml/v1/text/chat -> 200"


def test_no_secret_is_ever_kept() -> None:
    """Canaries in every place that carries secrets; everything the journal holds is searched."""
    lab = Lab(strict=False)
    emulator = lab.emulator
    zen = base64.b64encode(f"user:{CANARY}".encode()).decode()
    issued = emulator.office.issue().text
    form = urlencode({"grant_type": GRANT + "apikey", "apikey": CANARY}).encode()
    lab.send("POST", "/identity/token", form, host=IAM, headers={**FORM, "authorization": f"Basic {CANARY}"})
    lab.send(
        "POST",
        "/identity/token",
        host=IAM,
        query={"grant_type": GRANT + "assume", "access_token": issued, "apikey": CANARY},
    )
    for secret in ("password", "api_key"):
        lab.post("/icp4d-api/v1/authorize", {"username": "u", secret: CANARY, "other": CANARY}, host=SOFTWARE)
    lab.send("POST", "/icp4d-api/v1/authorize", f'"{CANARY}"'.encode(), host=SOFTWARE)
    lab.send("POST", "/icp4d-api/v1/authorize", CANARY.encode(), host=SOFTWARE)
    lab.send("GET", "/v1/preauth/validateAuth", host=SOFTWARE, headers={"username": "u", "iam-token": CANARY})
    lab.post("/api/2.0/apikeys/token", {"apikey": CANARY}, host=SOFTWARE)
    headers = {
        "cookie": f"session={CANARY}",
        "x-api-key": CANARY,
        "proxy-authorization": CANARY,
        "x-auth-token": CANARY,
    }
    lab.post("/ml/v1/text/chat", lab.chat_body(), headers=headers)
    lab.post("/ml/v1/text/chat", lab.chat_body(), headers={"authorization": f"ZenApiKey {zen}"})
    lab.post("/ml/v1/text/chat", lab.chat_body(f"my token is {CANARY}"), headers={"authorization": f"Bearer {CANARY}"})
    lab.send(
        "GET", f"/nowhere/{CANARY}", query={"q": CANARY, "token": "other-" + CANARY}, headers={"authorization": CANARY}
    )
    held = (
        repr(emulator.journal)
        + emulator.journal.summary()
        + str(pickle.dumps(emulator.journal.entries))
        + repr(emulator.office)
    )
    for secret in (CANARY, zen, issued, lab.token):
        assert secret not in held
    assert len(emulator.journal) == 12
    assert MASK in held


def test_the_scheme_and_harmless_form_fields_stay_readable() -> None:
    lab = Lab()
    form = urlencode({"grant_type": GRANT + "apikey", "apikey": "k", "response_type": "cloud_iam"}).encode()
    lab.send("POST", "/identity/token", form, host=IAM, headers=FORM)
    lab.chat()
    first, second = lab.emulator.journal
    assert first.body == {"grant_type": GRANT + "apikey", "apikey": MASK, "response_type": "cloud_iam"}
    assert second.headers["authorization"] == f"Bearer {MASK}"


def test_finding_and_asserting() -> None:
    lab = Lab()
    lab.chat("one")
    lab.chat("two")
    lab.chat(model_id="none")
    journal = lab.emulator.journal
    assert len(journal.find("text/chat")) == len(journal.find("/ml/v1/text/chat")) == 3
    assert journal.find("chat_stream") == journal.find("t/chat") == []
    assert [entry.index for entry in journal.find(status=404)] == [2]
    assert len(journal.find(method="post", host="us-south.ml.cloud.ibm.com")) == 3
    assert [body["messages"][0]["content"] for body in journal.bodies("text/chat")] == ["one", "two", "Hello"]
    assert journal.one("text/chat", status=404).index == 2
    assert journal.expect("text/chat", times=3)[0] is journal[0]
    with pytest.raises(
        AssertionError, match=r"expected 1 requests to text/chat, found 3\n#0 POST /ml/v1/text/chat -> 200"
    ):
        journal.expect("text/chat", times=1)
    with pytest.raises(AssertionError, match="found 2"):
        journal.one("text/chat", status=200)
    journal.clear()
    assert len(journal) == 0
    with pytest.raises(AssertionError, match="found none"):
        _ = journal.last
    assert journal.summary() == "(no requests)"


def test_requests_do_not_show_their_secrets() -> None:
    request = Request("POST", f"{ML}/identity/token?apikey={CANARY}", {"authorization": CANARY}, CANARY.encode())
    assert CANARY not in repr(request)


def test_streams_are_followed_to_their_end() -> None:
    lab = Lab()
    reply = lab.chat_stream()
    entry = lab.emulator.journal.last
    assert (entry.state, entry.frames) == ("open", 0)
    frames = list(frames_of(reply))
    assert (entry.state, entry.frames) == ("finished", len(frames))


def test_odd_bodies_are_kept_as_text() -> None:
    journal = Journal()
    for body, kept in ((b"", None), (b"\xff{", "\ufffd{"), (b"null", "null"), (b"[1]", [1])):
        journal.open(Request("POST", ML, {}, body), "t", secret=False)
        assert journal.last.body == kept


def test_many_threads_write_one_journal() -> None:
    lab = Lab()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: lab.chat(f"number {number}"), range(200)))
    entries = list(lab.emulator.journal)
    assert [entry.index for entry in entries] == list(range(200))
    asked = {entry.body["messages"][0]["content"] for entry in entries}
    assert asked == {f"number {number}" for number in range(200)}
    assert len({entry.trace for entry in entries}) == 200


def test_the_journal_does_not_share_the_callers_body() -> None:
    lab = Lab()
    body = lab.chat_body()
    lab.post("/ml/v1/text/chat", body)
    lab.emulator.journal.last.body["model_id"] = "changed"
    assert body["model_id"] == CHAT_MODEL
