"""Canaries on their way: what failures, logs and tasks show of a call, and who gets a token at all."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.canaries import leaks, leaks_told_by, told_by
from tests.support.certificates import QUICK, Authority
from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.echo import TOKEN_PATH, TROUBLES, Hostile, echoed, granting, recorded, refusing
from tests.support.server import HANG, Script, Seen, Server, Step, answer, error
from tests.support.tokens import iam
from wx_integrations.core.bulk import Bounds
from wx_integrations.core.calls import Model, StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.embedder import Embedder
from wx_integrations.core.errors import ConfigurationError, ConnectionFailed, Unauthorized, WatsonxError

Serve = Callable[..., Server]
CALL = model_specs()
STREAM: StreamCall[bytes] = StreamCall(
    path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: False, body=b"{}"
)
SPECS = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})


class Records(logging.Handler):
    """Every record of every logger, with all that it holds."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.names: set[str] = set()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.add(record.name.partition(".")[0])
        self.told.append(f"{record.getMessage()} {record.args!r} {vars(record)!r}")

    @property
    def leaks(self) -> list[str]:
        return [leak for text in self.told for leak in leaks(text)]


@pytest.fixture
def records() -> Iterator[Records]:
    """Everything is logged, at DEBUG."""
    handler, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


def sent_tokens(server: Server) -> list[str]:
    """Return the tokens that a server got, and the parts of them that hold the canary."""
    headers = [seen.header("authorization") or "" for seen in server.seen]
    tokens = [header.split()[-1] for header in headers if header]
    return [part for token in tokens for part in (token, token.split(".")[1])]


def settings_of(server: Server, **more: Any) -> dict[str, Any]:
    own = {"url": server.url, "api_key": "canary-key", "headers": {"X-Api-Key": "canary-header"}}
    return {**own, "timeout": 5, "max_retries": 1, **more}


# --------------------------------------------------------------------------- failures


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("where", ["token", "profile", "call", "stream"])
def test_failures_show_none(
    colour: Colour, serve: Serve, time: FakeTime, records: Records, trouble: str, where: str
) -> None:
    asked: list[int] = []

    def token(seen: Seen) -> Sequence[Step]:
        asked.append(1)
        if where == "token" or (where == "profile" and len(asked) >= 2):
            return TROUBLES[trouble](seen)
        return granting(seen)

    server = serve(Hostile(token, TROUBLES[trouble]))
    patience = httpx.Timeout(10, read=0.25) if trouble == "hang" else 5
    profile = {"trusted_profile_id": "Profile-1"} if where == "profile" else {}
    session = colour.session(Connection(**settings_of(server, timeout=patience, **profile)), time.waiting)
    with pytest.raises(WatsonxError) as caught:
        colour.all(session, STREAM) if where == "stream" else colour.run(session, CALL)
    assert any("canary" in echoed(seen) for seen in server.seen)  # they were sent
    # What a server streamed is in the frames as it came.
    told = told_by(caught.value, frames=where != "stream")
    assert {name: found for name, text in told.items() if (found := leaks(text))} == {}
    assert records.leaks == []
    for secret in sent_tokens(server):
        assert [name for name, text in told.items() if secret in text] == []
        assert [text for text in records.told if secret in text] == []
    assert "httpcore" in records.names or trouble in ("reset", "cut", "hang")


def test_no_connection_shows_none(colour: Colour, records: Records, time: FakeTime) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for login in ({"api_key": "canary-key"}, {"token": "canary-token"}):
            connection = Connection(url=url, headers={"X-Api-Key": "canary-header"}, **login)
            session = colour.session(connection, time.waiting)
            with pytest.raises(ConnectionFailed) as caught:
                colour.run(session, CALL)
            assert leaks_told_by(caught.value) == {}
            with pytest.raises(ConnectionFailed) as caught:
                colour.all(session, STREAM)
            assert leaks_told_by(caught.value) == {}
    assert records.leaks == []


def test_tls_failures_show_none(colour: Colour, serve: Serve, authority: Authority, records: Records) -> None:
    server = serve(Hostile(), tls=authority.self_signed())
    connection = Connection(**settings_of(server, verify=str(authority.file)))
    with pytest.raises(ConnectionFailed) as caught:
        colour.run(colour.session(connection), CALL)
    assert leaks_told_by(caught.value) == {}
    assert records.leaks == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_s_password_is_not_shown(
    colour: Colour, serve: Serve, records: Records, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(Script(answer(407, "who are you")))
    url = f"http://me:canary-proxy@127.0.0.1:{proxy.port}"
    here = {"url": f"{scheme}://cpd.example.com", "token": "canary-token", "allow_http": True, "verify": QUICK}
    given = Connection(**here, proxies={scheme: url})
    monkeypatch.setenv(f"{scheme}_proxy", url)
    for connection in (given, Connection(**here)):
        with pytest.raises(WatsonxError) as caught:
            colour.run(colour.session(connection), CALL)
        assert leaks_told_by(caught.value) == {}
    assert [seen.header("proxy-authorization") for seen in proxy.seen] == ["Basic bWU6Y2FuYXJ5LXByb3h5"] * 2
    assert records.leaks == []


def test_a_renewal_that_fails_shows_neither_the_old_token_nor_the_new(
    colour: Colour, serve: Serve, time: FakeTime, records: Records
) -> None:
    def token(seen: Seen) -> Sequence[Step]:
        return granting(seen) if len(server.calls(TOKEN_PATH)) == 1 else refusing(400)(seen)

    server = serve(Hostile(token, lambda seen: error(401, "authentication_token_expired", echoed(seen))))
    session = colour.session(Connection(**settings_of(server)), time.waiting)
    with pytest.raises(Unauthorized) as caught:
        colour.run(session, CALL)
    told = told_by(caught.value)
    assert {name: found for name, text in told.items() if (found := leaks(text))} == {}
    assert records.leaks == []
    assert len(server.calls(TOKEN_PATH)) == 2
    for secret in sent_tokens(server):
        assert [name for name, text in told.items() if secret in text] == []


def test_token_functions_answers_are_not_shown(colour: Colour, serve: Serve, records: Records) -> None:
    server = serve(Script(answer(200, {})))
    for value in ("canary\n", ["canary"], {"token": "canary\n"}, ("canary\n", 5)):
        connection = Connection(url=server.url, token_function=lambda value=value: value)
        with pytest.raises(ConfigurationError) as caught:
            colour.run(colour.session(connection), CALL)
        assert leaks_told_by(caught.value) == {}
    assert records.leaks == []


@pytest.mark.parametrize("trouble", ["401 echo", "200 echo", "cut"])
def test_bulk_work_that_fails_in_part_shows_none(
    colour: Colour, serve: Serve, time: FakeTime, records: Records, trouble: str, tmp_path: Path
) -> None:
    def call(seen: Seen) -> Sequence[Step]:
        return TROUBLES[trouble](seen) if b"bad" in seen.body else recorded(seen)

    server = serve(Hostile(call=call))
    session = colour.session(Connection(**settings_of(server, max_retries=0)), time.waiting)
    embedder = Embedder(session, Model("m", "p"), bounds=Bounds(batch_size=1))
    path, texts = tmp_path / "kept.sqlite", ["good", "bad", "good too"]
    with pytest.raises(WatsonxError) as caught:
        embedder.embed(texts) if colour.name == "sync" else colour.wait(embedder.aembed(texts))
    assert leaks_told_by(caught.value) == {}
    with pytest.raises(WatsonxError) as caught:
        embedder.embed_to(path, texts) if colour.name == "sync" else colour.wait(embedder.aembed_to(path, texts))
    assert leaks_told_by(caught.value) == {}
    assert path.stat().st_size > 0
    assert leaks("".join(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir())) == []
    assert records.leaks == []


# --------------------------------------------------------------------------- what is left in the middle


async def test_a_cancelled_call_shows_none(serve: Serve, records: Records) -> None:
    """`asyncio.timeout` shows where it cut, with the frames of the layers below."""
    server = serve(Hostile(call=lambda seen: [HANG]))
    session = Connection(**settings_of(server))
    client = Colour("async").session(session).async_client
    asyncio.get_running_loop().set_debug(True)
    task = asyncio.create_task(client.run(CALL))
    await asyncio.to_thread(server.next)
    await asyncio.to_thread(server.next)
    shown = f"{task!r} {task.get_coro()!r} {task.get_stack()!r} {asyncio.all_tasks()!r}"
    assert leaks(shown) == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task
    assert leaks_told_by(cancelled.value) == {}
    with pytest.raises(TimeoutError) as late:
        async with asyncio.timeout(0.1):
            await client.run(CALL)
    assert leaks_told_by(late.value) == {}
    await client.aclose()
    assert records.leaks == []


class Interrupting(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Is interrupted while it sends, with the headers at hand as in httpcore."""

    def __init__(self, interruption: type[BaseException]) -> None:
        self.interruption = interruption

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == TOKEN_PATH:
            return httpx.Response(200, json={"access_token": "canary-token", "expires_in": 3600})
        headers = request.headers.raw
        assert any(b"canary" in value for _, value in headers)
        raise self.interruption

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_interruption_while_sending_shows_none(
    colour: Colour, interruption: type[BaseException], streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.canaries.TESTS", "nowhere")  # the transport's frame counts
    transport = Interrupting(interruption)
    clients: dict[str, Any] = {
        "httpx_client": httpx.Client(transport=transport),
        "async_httpx_client": httpx.AsyncClient(transport=transport),
    }
    session = colour.session(Connection(region="us-south", token="canary-token", **clients))
    failure: BaseException | None = None
    try:
        colour.all(session, STREAM) if streamed else colour.run(session, CALL)
    except BaseException as error:
        failure = error
    assert isinstance(failure, interruption)
    while failure.__traceback__ is not None and "/core/" not in failure.__traceback__.tb_frame.f_code.co_filename:
        failure.__traceback__ = failure.__traceback__.tb_next
    assert failure.__traceback__ is not None
    assert leaks_told_by(failure) == {}


def test_a_failing_hook_of_the_user_s_client_keeps_its_traceback(colour: Colour) -> None:
    """What is cut is what interrupts; a mistake of the user's must be found."""

    def mistaken(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("a mistake of the user's")

    transport = httpx.MockTransport(mistaken)
    clients: dict[str, Any] = {
        "httpx_client": httpx.Client(transport=transport),
        "async_httpx_client": httpx.AsyncClient(transport=transport),
    }
    session = colour.session(Connection(region="us-south", token="t", **clients))
    with pytest.raises(ZeroDivisionError) as caught:
        colour.run(session, CALL)
    assert "in mistaken" in "".join(told_by(caught.value)["traceback"])


# --------------------------------------------------------------------------- strangers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("own_client", [False, True])
def test_a_redirect_gives_no_other_host_the_token(colour: Colour, serve: Serve, status: int, own_client: bool) -> None:
    """Neither the service nor the token endpoint can send a token or a key elsewhere."""
    stranger = serve(Script(SPECS, token=iam()))
    for place in ("token", "call"):
        away = lambda seen: answer(status, b"", {"Location": f"{stranger.url}{seen.target}"})  # noqa: E731
        server = serve(Hostile(away, away) if place == "token" else Hostile(call=away))
        clients: dict[str, Any] = {}
        if own_client:
            follow: dict[str, Any] = {"follow_redirects": True, "verify": QUICK}
            clients = {"httpx_client": httpx.Client(**follow), "async_httpx_client": httpx.AsyncClient(**follow)}
        session = colour.session(Connection(**settings_of(server, **clients)))
        with pytest.raises(WatsonxError, match=f"HTTP {status}.*redirects are not followed") as caught:
            colour.run(session, CALL)
        assert leaks_told_by(caught.value) == {}
        with pytest.raises(WatsonxError):
            colour.all(session, STREAM)
        for client in clients.values():
            client.close() if isinstance(client, httpx.Client) else colour.wait(client.aclose())
        assert len(server.seen) >= 2
    assert (stranger.accepted, stranger.seen) == (0, [])


def test_the_next_page_on_another_host_is_refused(colour: Colour, serve: Serve) -> None:
    stranger = serve(Script(SPECS))
    pages = {"limit": 1, "resources": [], "first": {"href": "x"}, "next": {"href": f"{stranger.url}/ml/v1/x?start=1"}}
    server = serve(Hostile(call=lambda seen: answer(200, pages)))
    session = colour.session(Connection(**settings_of(server)))
    following = colour.get(session, "/ml/v1/foundation_model_specs")["next"]["href"]
    for url in (following, following.replace("127.0.0.1", "localhost"), f"{server.url}@127.0.0.1:{stranger.port}/x"):
        with pytest.raises(ConfigurationError, match=r"gets no token|cannot be part") as caught:
            colour.get(session, url)
        assert leaks_told_by(caught.value) == {}
    assert stranger.accepted == 0
    before = len(server.seen)
    colour.get(session, following.replace(str(stranger.port), str(server.port)))  # its own page goes
    assert len(server.seen) == before + 1


def test_only_the_configured_hosts_are_asked(colour: Colour, serve: Serve) -> None:
    """Three hosts, each named: each gets what is its own, and only the token host the key."""
    ml, platform, login = (serve(Hostile(call=lambda seen: answer(200, {}))) for _ in range(3))
    settings = settings_of(ml, platform_url=platform.url, auth_url=f"{login.url}{TOKEN_PATH}")
    session = colour.session(Connection(**settings))
    colour.get(session, "/ml/v1/x")
    colour.get(session, "/wx/v1-beta/x")
    for server, path in ((ml, "/ml/v1/x"), (platform, "/wx/v1-beta/x"), (login, TOKEN_PATH)):
        assert [seen.path for seen in server.seen] == [path]
    assert "canary-key" in login.seen[0].body.decode()
    assert login.seen[0].header("x-api-key") is None
    for server in (ml, platform):
        (seen,) = server.seen
        assert re.fullmatch(r"Bearer \S+", seen.header("authorization") or "")
        assert "canary-key" not in echoed(seen)


def test_nothing_of_this_is_left_in_memory(serve: Serve) -> None:
    """A response that was answered does not keep its request, and so its headers, alive."""
    server = serve(Hostile())
    with Colour("sync").session(Connection(**settings_of(server))).client as client:
        client.run(CALL)
        gc.collect()
        alive = [one for one in gc.get_objects() if isinstance(one, httpx.Request) and one.url.port == server.port]
    assert alive == []
