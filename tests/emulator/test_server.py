"""The emulator on a real socket: plain and TLS, broken connections, clients that leave."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulator.lab import CHAT_MODEL, Lab
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.asgi import asgi_app
from wx_integrations.emulator.brain import Text
from wx_integrations.emulator.faults import Broken, Cut, ErrorEvent, Fault, RateLimited, Slow
from wx_integrations.emulator.scripted import ScriptedBrain
from wx_integrations.emulator.server import LocalServer, NotLoopback

VERSION = {"version": "2024-03-14"}
CHAT = "/ml/v1/text/chat"
STREAM = "/ml/v1/text/chat_stream"
BODY = Lab.chat_body()


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def server(request: pytest.FixtureRequest) -> Iterator[LocalServer]:
    with LocalServer(Emulator(strict=False), tls=request.param) as running:
        yield running


@pytest.fixture
def client(server: LocalServer) -> Iterator[httpx.Client]:
    server.emulator.faults.clear()
    server.emulator.journal.clear()
    with client_of(server) as made:
        yield made


def trust(server: LocalServer) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=server.ca_path) if server.ca_path else True


def client_of(server: LocalServer) -> httpx.Client:
    headers = {"authorization": "Bearer x"}
    return httpx.Client(base_url=server.url, verify=trust(server), headers=headers, params=VERSION, timeout=10)


def test_calls_complete(server: LocalServer, client: httpx.Client) -> None:
    answer = client.post(CHAT, json=BODY)
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hello"
    assert answer.headers["content-length"] == str(len(answer.content))
    with client.stream("POST", STREAM, json=BODY) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        raw = stream.read()
    assert raw.endswith(b"}\n\n")
    assert b"[DONE]" not in raw
    assert (
        client.get("/ml/v1/foundation_model_specs", params={"limit": "1"}).json()["next"]["href"].startswith(server.url)
    )
    assert [entry.status for entry in server.emulator.journal] == [200, 200, 200]
    assert server.emulator.journal[0].query == VERSION


def test_errors_and_unknown_paths(client: httpx.Client) -> None:
    assert client.post(CHAT, json={**BODY, "model_id": "none"}).json()["errors"][0]["code"] == "model_not_supported"
    assert client.get("/nowhere").status_code == 404
    assert client.request("PATCH", CHAT).status_code == 405
    assert client.get("/v2/projects/a%2Fb").json()["metadata"]["guid"] == "a/b"


async def test_many_at_once(server: LocalServer) -> None:
    headers = {"authorization": "Bearer x"}
    async with httpx.AsyncClient(base_url=server.url, verify=trust(server), headers=headers, params=VERSION) as client:
        answers = await asyncio.gather(*(client.post(CHAT, json=Lab.chat_body(f"number {n}")) for n in range(40)))
    found = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert found == [f"You said: number {n}" for n in range(40)]


@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        (Broken("reset"), (httpx.ReadError, httpx.RemoteProtocolError)),
        (Broken("refuse"), (httpx.ReadError, httpx.RemoteProtocolError)),
        (Broken("close"), (httpx.RemoteProtocolError,)),
        (Broken("garbage"), (httpx.RemoteProtocolError,)),
        (Broken("timeout"), (httpx.ReadTimeout,)),
        (Cut(after=2), (httpx.RemoteProtocolError,)),
        (Cut(after=2, how="reset"), (httpx.ReadError, httpx.RemoteProtocolError)),
        (Cut(after=2, how="timeout"), (httpx.ReadTimeout,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [CHAT, STREAM])
def test_connections_really_break(
    server: LocalServer, client: httpx.Client, fault: Fault, errors: tuple[type[Exception], ...], path: str
) -> None:
    server.emulator.faults.add(fault, times=1)
    with pytest.raises(httpx.TransportError) as caught:
        client.post(path, json=BODY, timeout=httpx.Timeout(10, read=0.3))
    assert isinstance(caught.value, errors)
    assert client.post(path, json=BODY).status_code == 200


def test_a_cut_stream_delivers_what_came_before(server: LocalServer, client: httpx.Client) -> None:
    server.emulator.faults.add(Cut(after=3), times=1)
    seen = b""
    error = None
    with client.stream("POST", STREAM, json=BODY) as stream:
        try:
            for piece in stream.iter_raw():
                seen += piece
        except httpx.TransportError as caught:
            error = caught
    assert isinstance(error, httpx.RemoteProtocolError)
    assert seen.count(b"data: ") == 3


def test_statuses_events_and_waits(server: LocalServer, client: httpx.Client) -> None:
    faults = server.emulator.faults
    faults.add(RateLimited(2), nth=[1])
    faults.add(ErrorEvent(after=1), nth=[2])
    faults.add(Slow(before=0.01, each=0.001, size=200), nth=[3])
    faults.add(Cut(after=2, how="end"), nth=[4])
    limited = client.post(CHAT, json=BODY)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert b"event: error\n" in client.post(STREAM, json=BODY).content
    assert client.post(CHAT, json=BODY).json()["object"] == "chat.completion"
    assert client.post(STREAM, json=BODY).content.count(b"data: ") == 2


def test_leaving_stops_the_brain(server: LocalServer, client: httpx.Client) -> None:
    stopped = threading.Event()

    def endless(*_: Any) -> Iterator[Text]:
        try:
            while True:
                yield Text("again ")
        finally:
            stopped.set()

    brain = server.emulator.service.brain
    speaking = ScriptedBrain()
    speaking.chat = endless  # type: ignore[method-assign,assignment]
    server.emulator.service.brain = speaking
    try:
        with client.stream("POST", STREAM, json=BODY) as stream:
            next(stream.iter_raw())
        assert stopped.wait(10)
    finally:
        server.emulator.service.brain = brain


def test_a_failing_brain_is_a_500_with_the_reason(
    server: LocalServer, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    brain = server.emulator.service.brain
    script = ScriptedBrain()
    script.reply("Hel", ZeroDivisionError("in the middle"))
    server.emulator.service.brain = script
    try:
        caplog.set_level(logging.ERROR)
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(STREAM, json=BODY)
        answer = client.post(CHAT, json=BODY)
    finally:
        server.emulator.service.brain = brain
    assert answer.status_code == 500
    assert "ScriptExhausted: the script has no answer to chat" in answer.json()["errors"][0]["message"]
    assert [record.name for record in caplog.records] == ["wx_integrations.emulator.asgi"] * 2


# --------------------------------------------------------------------------- life


def test_the_certificate_is_checked_and_thrown_away() -> None:
    server = LocalServer(Emulator(), tls=True)
    before = server.ca_path
    with server:
        path = server.ca_path
        assert (before, path is None) == (None, False)
        assert server.url.startswith("https://127.0.0.1:")
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)
    with pytest.raises(FileNotFoundError):
        ssl.create_default_context(cafile=path)


def test_further_names_for_the_certificate() -> None:
    with LocalServer(Emulator(), tls=True, names=["us-south.ml.cloud.ibm.com"]) as server:
        context = trust(server)
        assert isinstance(context, ssl.SSLContext)
        raw = socket.create_connection(("127.0.0.1", server.port))
        with context.wrap_socket(raw, server_hostname="us-south.ml.cloud.ibm.com") as wrapped:
            assert wrapped.version() is not None


def test_the_port_can_be_chosen_and_taken() -> None:
    with LocalServer(Emulator()) as first:
        second = LocalServer(Emulator(), port=first.port)
        with pytest.raises(OSError, match=r"(?i)in use"):
            second.start()
        with pytest.raises(RuntimeError, match="already running"):
            first.start()
        port = first.port
    with LocalServer(Emulator(strict=False), port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        with client_of(again) as client:
            assert client.get("/ml/wml_services/v2/version").json() == {"version": "5.3.0"}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_only_loopback_unless_allowed(host: str) -> None:
    with pytest.raises(NotLoopback, match="allow_remote=True"):
        LocalServer(Emulator(), host=host)
    assert LocalServer(Emulator(), host=host, allow_remote=True).host == host


def test_stopping_ends_open_streams() -> None:
    server = LocalServer(Emulator(strict=False)).start()
    server.emulator.faults.add(Cut(after=1, how="timeout"))
    with client_of(server) as client, client.stream("POST", STREAM, json=BODY) as stream:
        pieces = stream.iter_raw()
        next(pieces)
        server.stop()
        with pytest.raises(httpx.TransportError):
            list(pieces)
    assert server.emulator.journal.last.state == "abandoned"
    server.stop()
    server.wait()


def test_several_servers_side_by_side_and_in_turn() -> None:
    with LocalServer(Emulator(strict=False)) as one, LocalServer(Emulator(strict=False)) as two:
        assert one.port != two.port
        for server in (one, two):
            with client_of(server) as client:
                assert client.post(CHAT, json=BODY).json()["model_id"] == CHAT_MODEL
    assert len(one.emulator.journal) == len(two.emulator.journal) == 1


async def test_the_asgi_app_without_a_server() -> None:
    transport = httpx.ASGITransport(app=asgi_app(Emulator(strict=False)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test", params=VERSION) as client:
        answer = await client.post(CHAT, json=BODY, headers={"authorization": "Bearer x"})
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hello"


async def test_breaking_needs_a_real_connection() -> None:
    emulator = Emulator(strict=False)
    emulator.faults.add(Broken("reset"))
    transport = httpx.ASGITransport(app=asgi_app(emulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://test", params=VERSION) as client:
        with pytest.raises(ExceptionGroup) as caught:
            await client.post(CHAT, json=BODY, headers={"authorization": "Bearer x"})
    assert "needs LocalServer" in str(caught.value.exceptions[0])
