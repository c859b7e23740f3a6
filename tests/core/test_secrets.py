"""Canaries in every credential; nothing a user could see, log or store may show one."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import httpx
import pytest
from rich.pretty import pretty_repr

from tests.support.certificates import QUICK
from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.server import CLOSE, HANG, RESET, Script, Seen, Server, Step, answer, error, head, stream
from tests.support.tokens import jwt
from wx_integrations.core import secrets, token_cell, token_sources
from wx_integrations.core.calls import StreamCall, model_specs
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, Unauthorized, WatsonxError
from wx_integrations.core.fields import ModelFields

Serve = Callable[..., Server]
CALL = model_specs()
STREAM: StreamCall[bytes] = StreamCall(
    path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: False, body=b"{}"
)
URL = "https://us-south.ml.cloud.ibm.com"
CPD = "https://cpd.example.com"

CREDENTIALS: dict[str, dict[str, Any]] = {
    "api_key": {"url": URL, "api_key": "canary-key"},
    "token": {"url": URL, "token": "canary-token"},
    "token and profile": {"url": URL, "token": "canary-token", "trusted_profile_id": "P"},
    "password": {"url": CPD, "username": "u", "password": "canary-password"},
    "integrated iam": {"url": CPD, "username": "u", "password": "canary-pw", "bedrock_url": "https://b.example.com"},
    "software key": {"url": CPD, "username": "u", "api_key": "canary-key"},
    "zen": {"url": CPD, "username": "u", "api_key": "canary-key", "auth_type": "zen"},
    "zen_api_key": {"url": CPD, "zen_api_key": "canary-zen"},
    "aws": {"url": "https://us-east-1.aws.wxai.ibm.com", "api_key": "canary-key"},
    "projects_token": {"url": URL, "api_key": "canary-key", "projects_token": "canary-projects"},
    "headers": {"url": URL, "token": "t-canary", "headers": {"X-Api-Key": "canary-header", "Cookie": "s=canary"}},
    "authorization": {"url": URL, "token": "t-canary", "headers": {"Authorization": "Bearer canary-header"}},
    "proxies": {"url": URL, "token": "t-canary", "proxies": {"https": "http://me:canary-proxy@p.example.com:1"}},
}


def frames_of(failure: BaseException) -> Iterator[FrameType]:
    """Yield the frames of a traceback from the package's first on; those before are the test's own."""
    inside = False
    for frame, _ in traceback.walk_tb(failure.__traceback__):
        inside = inside or "/wx_integrations/" in frame.f_code.co_filename
        if inside:
            yield frame


def locals_of(failure: BaseException) -> str:
    """Return the local variables of an exception's frames as rich shows them in tracebacks."""
    shown = [f"{name} = {pretty_repr(value)}" for frame in frames_of(failure) for name, value in frame.f_locals.items()]
    return "\n".join(shown)


def chain_of(failure: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that Python would show with it."""
    current: BaseException | None = failure
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def told_by(failure: BaseException) -> str:
    """Return what an exception tells, without the frames, where what a server streamed is."""
    return "".join(traceback.format_exception(failure)) + repr(vars(failure)) + pickle.dumps(failure).decode("latin-1")


def everything_about(failure: BaseException) -> str:
    """Return all that a program would show or store of an exception."""
    parts = ["".join(traceback.format_exception(failure)), repr(vars(failure))]
    parts.append(pickle.dumps(failure).decode("latin-1"))
    for one in chain_of(failure):
        parts += [str(one), repr(one), locals_of(one)]
    return "\n".join(parts)


# --------------------------------------------------------------------------- at rest


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_connection_shows_none(kind: str) -> None:
    connection = Connection(**CREDENTIALS[kind])
    session_parts = Client(connection), AsyncClient(connection)
    shown = [
        *(repr(connection), str(connection), f"{connection}", repr(connection.to_dict()), repr(connection.hosts)),
        *(repr(connection.model_dump()), connection.model_dump_json(), json.dumps(connection.model_dump(mode="json"))),
        *(repr(connection.token_source), repr(connection.login_key), repr(vars(connection))),
        *(repr(part) + repr(vars(part)) + repr(part._shared.auth) for part in session_parts),
        pickle.dumps(connection).decode("latin-1"),
    ]
    # `vars` is the raw inside of a model; headers and proxies are there as they are sent.
    allowed = {shown.index(repr(vars(connection))), shown.index(repr(connection.login_key))}
    leaks = [text for number, text in enumerate(shown) if "canary" in text and number not in allowed]
    assert leaks == []
    if kind not in ("headers", "authorization", "proxies"):
        assert not [text for text in shown if "canary" in text]


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_tracebacks_of_refused_settings_show_none(kind: str) -> None:
    """The caller's own frame aside, which has what the caller wrote."""

    class Adapter(ModelFields):
        pass

    wrongs: list[dict[str, Any]] = [
        {"timeout": -1},
        {"nonsense": 1},
        {"version": "x"},
        {"project_id": "a", "space_id": "b"},
        {"retry_total": -1},
        {"url": "http://cpd.example.com"},
        {"headers": {"X": "a\nb", "Authorization": "canary-header"}},
        {"verify": 7.5},
        {"auth_type": "x"},
        {"token_function": 5},
    ]
    for wrong in wrongs:
        settings = {**CREDENTIALS[kind], **wrong}
        for build in (Connection, Client, AsyncClient, Connection.from_env):
            failure = refusal_of(build, settings)
            assert "canary" not in everything_about(failure), (build, wrong)
            assert len(list(frames_of(failure))) > 0
        if "retry_total" not in wrong and "projects_token" not in settings:
            failure = refusal_of(Adapter, {"model_id": "m", **settings})
            assert "canary" not in everything_about(failure), wrong


def refusal_of(build: Callable[..., Any], settings: dict[str, Any]) -> BaseException:
    with pytest.raises(ConfigurationError) as caught:
        build(**settings)
    return caught.value


@pytest.mark.parametrize("name", ["api_key", "token", "zen_api_key", "password", "projects_token"])
@pytest.mark.parametrize("value", ["canary ", "canary\n", "\x00canary", "canary-ä\x85", ["canary"], {"canary": 1}])
def test_refused_secrets_are_not_shown(name: str, value: Any) -> None:
    failure = refusal_of(Connection, {"url": CPD, "username": "u", name: value})
    shown = everything_about(failure) if isinstance(value, str) else str(failure) + repr(failure)
    assert "canary" not in shown


def test_secrets_of_the_environment_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATSONX_API_KEY", "WATSONX_TOKEN", "WATSONX_PASSWORD", "WATSONX_ZEN_API_KEY"):
        monkeypatch.setenv(name, "canary\n")
    failure = refusal_of(Connection.from_env, {"url": URL})
    assert "WATSONX_API_KEY" in str(failure)
    assert "canary" not in everything_about(failure)


# --------------------------------------------------------------------------- on the way


class Echo:
    """A hostile server: it answers with everything it was sent, and gives tokens that are canaries themselves."""

    def __init__(self, token: Callable[[Seen], Sequence[Step]], call: Callable[[Seen], Sequence[Step]]) -> None:
        self.token, self.call = token, call

    def __call__(self, seen: Seen) -> Sequence[Step]:
        return self.token(seen) if seen.path == "/identity/token" else self.call(seen)


def granting(seen: Seen) -> Sequence[Step]:
    # `hint` shows that further fields of a token answer are not shown either.
    return answer(200, {"access_token": jwt(sub="canary"), "refresh_token": "canary-refresh", "expires_in": 3600})


def echoed(seen: Seen) -> str:
    return f"{seen.target} {dict(seen.headers)} {seen.body.decode()}"


def refusing(status: int) -> Callable[[Seen], Sequence[Step]]:
    def refuse(seen: Seen) -> Sequence[Step]:
        body = {"errors": [{"code": "c", "message": echoed(seen)}], "errorMessage": echoed(seen)}
        return answer(status, body if status % 2 else echoed(seen))

    return refuse


TROUBLES: dict[str, Callable[[Seen], Sequence[Step]]] = {
    "400 echo": refusing(400),
    "401 echo": refusing(401),
    "500 echo": refusing(500),
    "503 echo": refusing(503),
    "200 echo": lambda seen: answer(200, echoed(seen)),
    "200 other": lambda seen: answer(200, {"token": 5, "access_token": None, "echo": echoed(seen)}),
    "200 unsendable": lambda seen: answer(200, {"access_token": "unsendable\n", "echo": echoed(seen)}),
    "reset": lambda seen: [RESET],
    "cut": lambda seen: [head(200, {"Content-Length": "9"}), b"{", CLOSE],
    "hang": lambda seen: [HANG],
    "redirect": lambda seen: answer(302, b"", {"Location": "https://elsewhere.example.com/" + "x"}),
    "stream error": lambda seen: stream(b"event: error\ndata: " + echoed(seen).encode() + b"\n\n"),
    "stream cut": lambda seen: stream(b'data: "a"\n\n', RESET, end=False),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("where", ["token", "profile", "call", "stream"])
def test_exceptions_show_none(
    colour: Colour, serve: Serve, time: FakeTime, caplog: pytest.LogCaptureFixture, trouble: str, where: str
) -> None:
    asked: list[int] = []

    def token(seen: Seen) -> Sequence[Step]:
        asked.append(1)
        if where == "token" or (where == "profile" and len(asked) >= 2):
            return TROUBLES[trouble](seen)
        return granting(seen)

    server = serve(Echo(token, TROUBLES[trouble]))
    settings: dict[str, Any] = {"url": server.url, "api_key": "canary-key", "max_retries": 1, "verify": QUICK}
    settings |= {
        "timeout": httpx.Timeout(10, read=0.25) if trouble == "hang" else 5,
        "headers": {"X-Api-Key": "canary-header"},
    }
    if where == "profile":
        settings["trusted_profile_id"] = "Profile-1"
    session = colour.session(Connection(**settings), time.waiting)
    del settings
    with caplog.at_level(logging.DEBUG), pytest.raises(WatsonxError) as caught:
        colour.all(session, STREAM) if where == "stream" else colour.run(session, CALL)
    assert any("canary" in echoed(seen) for seen in server.seen)  # they were sent
    shown = everything_about(caught.value) if where != "stream" else told_by(caught.value)
    token_sent = [str(seen.header("authorization")).split()[-1] for seen in server.seen if seen.header("authorization")]
    for secret in ("canary", *(part for token in token_sent for part in [token, token.split(".")[1]])):
        assert secret not in shown
        assert secret not in caplog.text


def test_a_renewal_that_fails_shows_neither_the_old_token_nor_the_new(
    colour: Colour, serve: Serve, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    def token(seen: Seen) -> Sequence[Step]:
        return granting(seen) if len(server.calls("/identity/token")) == 1 else refusing(400)(seen)

    server = serve(Echo(token, lambda seen: error(401, "authentication_token_expired", echoed(seen))))
    connection = Connection(url=server.url, api_key="canary-key", verify=QUICK)
    session = colour.session(connection, time.waiting)
    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthorized) as caught:
        colour.run(session, CALL)
    (sent,) = [seen.header("authorization") for seen in server.seen if seen.header("authorization")]
    shown = everything_about(caught.value) + caplog.text
    assert "canary" not in shown
    assert str(sent).split(".")[1] not in shown


def test_token_functions_answers_are_not_shown(colour: Colour, serve: Serve) -> None:
    server = serve(Script(answer(200, {})))
    for value in ("canary\n", ["canary"], {"token": "canary\n"}, ("canary\n", 5)):
        connection = Connection(url=server.url, token_function=lambda value=value: value, verify=QUICK)
        with pytest.raises(ConfigurationError) as caught:
            colour.run(colour.session(connection), CALL)
        assert "canary" not in everything_about(caught.value)


def test_changes_by_hand_are_not_shown(serve: Serve) -> None:
    with Client(url=URL, token="canary-1") as client:
        for change in (
            lambda: client.set_token("canary\n"),
            lambda: client.set_headers({"Authorization": "canary\n"}),
            lambda: client.request("GET", "/x", headers={"X-Api-Key": "canary\n"}),
        ):
            with pytest.raises(ConfigurationError) as caught:
                change()
            assert "canary" not in str(caught.value) + repr(vars(caught.value))
        client.set_token("canary-2")
        client.set_headers({"X-Api-Key": "canary-3"})
        assert "canary" not in repr(client) + repr(vars(client)) + repr(client._shared.auth)


# --------------------------------------------------------------------------- the parts


def test_what_looks_secret() -> None:
    for name in ("Authorization", "X-Api-Key", "Cookie", "X-Auth-Token", "X-Secret", "Proxy-Authorization"):
        assert secrets.secret_header(name, "x")
    for name in ("X-Trace", "User-Agent", "Accept", "Content-Type", "X-IBM-Project-ID"):
        assert not secrets.secret_header(name, "x")


def test_redaction_finds_every_form() -> None:
    body = b"key=a+b/c%3D a%2Bb%2Fc%3D a+b/c="
    assert b"a+b/c=" not in secrets.redact(body, ["a+b/c="])
    assert b"%2F" not in secrets.redact(body, ["a+b/c="])
    assert secrets.redact(b"abc", ["a", "ab"]) == b"abc"  # too short to mean anything


def test_what_a_request_holds() -> None:
    headers = httpx.Headers({"Authorization": "Bearer t-1", "X-Trace": "x", "Cookie": "c-1"})
    found = set(secrets.sent_secrets(headers.items(), b"grant_type=g&apikey=k%2B1"))
    assert found == {"Bearer t-1", "t-1", "c-1", "k+1"}
    assert "p-1" in secrets.sent_secrets([], b'{"username":"u","password":"p-1"}')
    assert secrets.sent_secrets([], b"{broken") == []
    assert secrets.sent_secrets([], b"\xff\xff") == []


def test_tokens_of_the_cell_are_wrapped() -> None:
    cell = token_cell.TokenCell(lambda: 0.0)
    lead = cell.turn()
    assert isinstance(lead, token_cell.Lead)
    token = token_sources.called_token("canary")
    cell.fill(lead, token)
    shown = [repr(value) for value in (token, lead, cell.turn(), cell._held, vars(cell))]
    assert not [text for text in shown if "canary" in text]
