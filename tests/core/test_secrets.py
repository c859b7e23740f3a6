"""Canaries in every credential; nothing a user could print or store of settings, clients and errors shows one."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.canaries import CLOUD, CPD, CREDENTIALS, leaks, leaks_of, leaks_told_by
from wx_integrations.core import secrets, token_cell, token_sources
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.session import Session

IN_JSON = ("model_dump json", "model_dump_json", "type adapter")
STORED = ("pickle", "pickle 0", "deepcopy")


class Adapter(ModelFields):
    """What any adapter is."""


# --------------------------------------------------------------------------- at rest


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_connection_and_its_clients_show_none(kind: str) -> None:
    connection = Connection(**CREDENTIALS[kind])
    session = Session.of(connection)
    assert hash(connection) == hash(Connection(**CREDENTIALS[kind]))
    functions = kind == "token_function"  # nobody's JSON or pickle
    without = (*IN_JSON, *STORED) if functions else ()
    assert leaks_of(connection, without=without) == {}
    assert leaks_of(session, without=STORED if functions else ()) == {}
    for part in (session.client, session.async_client, session.client._shared, session.client._shared.auth):
        assert leaks_of(part, without=("pickle", "pickle 0", "copy", "deepcopy")) == {}
    for value in (connection.to_dict(), connection.hosts, connection.token_source):
        assert leaks(f"{value!r} {value}") == []
    assert leaks(f"{connection.login_key!r} {connection.account_key!r}") == []


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_an_adapter_shows_none(kind: str) -> None:
    adapter = Adapter(model_id="m", project_id="p", **CREDENTIALS[kind])
    _ = adapter.session
    assert leaks_of(adapter, without=("pickle", "pickle 0")) == {}
    given = Adapter(model_id="m", project_id="p", connection=Connection(**CREDENTIALS[kind]))
    assert leaks_of(given, without=("pickle", "pickle 0")) == {}


def test_hidden_headers_and_proxies_are_what_they_were() -> None:
    """They are dictionaries for whoever uses them, of a connection and of an adapter."""
    headers = {"X-Api-Key": "canary-header", "X-Trace": "7"}
    proxies = {"https": "http://me:canary@p.example.com:1", "http": "http://p.example.com:1"}
    for made in (
        Connection(url=CLOUD, token="t", headers=headers, proxies=proxies),
        Adapter(model_id="m", project_id="p", url=CLOUD, token="t", headers=headers, proxies=proxies),
        Adapter(model_id="m", project_id="p", url=CLOUD, token="t").model_copy(
            update={"headers": headers, "proxies": proxies}
        ),
    ):
        assert made.headers == headers
        assert made.proxies == proxies
        assert made.headers["X-Api-Key"] == "canary-header"
        assert repr(made.headers) == repr({"X-Api-Key": "**********", "X-Trace": "7"})
        assert repr(made.proxies) == repr({"https": "**********", "http": "http://p.example.com:1"})
    assert headers == {"X-Api-Key": "canary-header", "X-Trace": "7"}


# --------------------------------------------------------------------------- pickles


@pytest.mark.parametrize("kind", [kind for kind in CREDENTIALS if kind != "token_function"])
@pytest.mark.parametrize("ship", [False, True])
def test_pickles_carry_secrets_only_if_asked(kind: str, ship: bool) -> None:
    connection = Connection(**CREDENTIALS[kind], pickle_secrets=ship)
    adapter = Adapter(model_id="m", project_id="p", **CREDENTIALS[kind], pickle_secrets=ship)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in (connection, Session.of(connection), adapter):
            data = pickle.dumps(value, protocol=protocol)
            assert bool(leaks(data.decode("latin-1"))) is ship
    if ship:
        assert pickle.loads(pickle.dumps(connection)) == connection
        assert pickle.loads(pickle.dumps(adapter)).settled_connection == adapter.settled_connection


VARIABLES = {"api_key": "WATSONX_API_KEY", "token": "WATSONX_TOKEN", "password": "WATSONX_PASSWORD"}


@pytest.mark.parametrize("kind", [*VARIABLES, "zen_api_key", "software key"])
def test_the_other_side_takes_secrets_from_its_environment(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(**CREDENTIALS[kind])
    data = pickle.dumps(connection)
    restored = pickle.loads(data)
    field = {"software key": "api_key"}.get(kind, kind)
    assert restored.missing_secrets == (field,)
    assert isinstance(restored.token_source, token_sources.Missing)
    monkeypatch.setenv(VARIABLES.get(field, "WATSONX_ZEN_API_KEY"), CREDENTIALS[kind][field])
    assert pickle.loads(data) == connection
    assert leaks_of(pickle.loads(data)) == {}


# --------------------------------------------------------------------------- refusals

WRONG: list[dict[str, Any]] = [
    {"timeout": -1},
    {"nonsense": 1},
    {"version": "x"},
    {"project_id": "a", "space_id": "b"},
    {"retry_total": -1},
    {"url": "http://cpd.example.com"},
    {"url": "https://me:canary@cpd.example.com"},
    {"auth_url": "https://me:canary@cpd.example.com/token"},
    {"platform_url": "https://me:canary@cpd.example.com"},
    {"headers": {"X": "a\nb", "Authorization": "canary-header"}},
    {"headers": [("Authorization", "canary-header")]},
    {"headers": {"Authorization": "canary\n"}},
    {"headers": "canary"},
    {"proxies": {"https": "nonsense://me:canary@p"}},
    {"proxies": {"https": ["canary"]}},
    {"proxies": "http://me:canary@p"},
    {"verify": 7.5},
    {"auth_type": "x"},
    {"token_function": 5},
    {"retry": "x"},
    {"limits": "x"},
    {"httpx_client": "x"},
]


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_refusals_of_settings_show_none(kind: str) -> None:
    """The caller's own frame aside, which has what the caller wrote."""
    for wrong in WRONG if kind in ("api_key", "headers", "proxies") else WRONG[:3]:
        settings = {**CREDENTIALS[kind], **wrong}
        for build in (Connection, Client, AsyncClient, Connection.from_env):
            failure = refusal_of(build, settings)
            assert leaks_told_by(failure) == {}, (build, wrong)
            assert failure.__traceback__ is not None
        if "retry_total" not in wrong:
            failure = refusal_of(Adapter, {"model_id": "m", "project_id": "p", **settings})
            assert leaks_told_by(failure) == {}, wrong


def refusal_of(build: Callable[..., Any], settings: dict[str, Any]) -> BaseException:
    with pytest.raises(ConfigurationError) as caught:
        build(**settings)
    return caught.value


@pytest.mark.parametrize("name", ["api_key", "token", "zen_api_key", "password", "projects_token"])
@pytest.mark.parametrize("value", ["canary ", "canary\n", "\x00canary", "canary-ä\x85", ["canary"], {"canary": 1}])
def test_refused_secrets_are_not_shown(name: str, value: Any) -> None:
    failure = refusal_of(Connection, {"url": CPD, "username": "u", name: value})
    assert leaks_told_by(failure) == {}


def test_secrets_of_the_environment_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATSONX_API_KEY", "WATSONX_TOKEN", "WATSONX_PASSWORD", "WATSONX_ZEN_API_KEY"):
        monkeypatch.setenv(name, "canary\n")
    failure = refusal_of(Connection.from_env, {"url": CLOUD})
    assert "WATSONX_API_KEY" in str(failure)
    assert leaks_told_by(failure) == {}
    monkeypatch.setenv("WATSONX_API_KEY", "canary-good")
    connection = Connection.from_env(url=CLOUD)
    assert connection.api_key is not None
    assert leaks_of(connection) == {}
    assert os.environ["WATSONX_API_KEY"] == "canary-good"


def test_changes_by_hand_are_not_shown() -> None:
    with Client(url=CLOUD, token="canary-1") as client:
        for change in (
            lambda: client.set_token("canary\n"),
            lambda: client.set_headers({"Authorization": "canary\n"}),
            lambda: client.request("GET", "/x", headers={"X-Api-Key": "canary\n"}),
        ):
            with pytest.raises(ConfigurationError) as caught:
                change()
            assert leaks_told_by(caught.value, frames=False) == {}
        client.set_token("canary-2")
        client.set_headers({"X-Api-Key": "canary-3"})
        for part in (client, client._shared, client._shared.auth):
            assert leaks_of(part, without=("pickle", "pickle 0", "copy", "deepcopy")) == {}


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
    tool = b'{"tool_name": "T", "input": {"token": 1}, "config": {"apiKey": "k-1", "maxResults": 3}}'
    assert secrets.sent_secrets([], tool) == ["k-1"]
    assert secrets.sent_secrets([], b'{"config": "x", "password": 7}') == []
    assert secrets.sent_secrets([], b"{broken") == []
    assert secrets.sent_secrets([], b"\xff\xff") == []


def test_tokens_of_the_cell_are_wrapped() -> None:
    cell = token_cell.TokenCell(lambda: 0.0)
    lead = cell.turn()
    assert isinstance(lead, token_cell.Lead)
    token = token_sources.called_token("canary")
    cell.fill(lead, token)
    for value in (token, lead, cell.turn(), cell._held, vars(cell)):
        assert leaks(repr(value)) == []


def test_the_search_finds_what_is_there() -> None:
    """Otherwise all of this shows nothing."""
    texts = (
        "a canary",
        "A CANARY",
        "5963616e617279",
        *(base64.b64encode(b"x" * n + b"canary!").decode() for n in range(4)),
    )
    assert [text for text in texts if not leaks(text)] == []
    assert leaks("nothing here, not even Y2FuYXI=") == []
    assert set(leaks_of(Printed("canary"))) >= {"repr", "str", "pprint", "rich", "vars", "pickle", "copy"}
    with pytest.raises(ValueError, match="no") as caught:
        raise ValueError("no") from RuntimeError("canary")
    assert set(leaks_told_by(caught.value)) >= {"traceback", "rich", "log", "1 str"}
    with pytest.raises(httpx.UnsupportedProtocol) as elsewhere:
        httpx.get("canary://x", trust_env=False, verify=False)
    assert set(leaks_told_by(elsewhere.value)) >= {"traceback with locals", "rich", "0 locals"}


@dataclass
class Printed:
    """Says what it holds."""

    secret: str
