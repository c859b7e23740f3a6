"""The fields adapters have: arguments and environment in, one shared session and one target out."""

from __future__ import annotations

import copy
import pickle
import ssl
import types
from typing import Annotated, Any, Union, get_args, get_origin

import httpx
import pytest
from pydantic import BaseModel, Field, SecretStr

from wx_integrations.core.calls import Deployment, Gateway, Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ConnectionFields, ModelFields
from wx_integrations.core.retry import RetryPolicy

URL = "https://us-south.ml.cloud.ibm.com"


class Base(BaseModel):
    """Stands for a framework's class."""

    callbacks: list[str] | None = None


class Adapter(ModelFields, Base):
    """Stands for an adapter."""

    temperature: float | None = Field(default=None, alias="temp")
    stop: list[str] = []


def made(**settings: Any) -> Adapter:
    return Adapter(**{"model_id": "m", "url": URL, "api_key": "k", "project_id": "p", **settings})


# --------------------------------------------------------------------------- arguments


SHARED = sorted(ConnectionFields.model_fields.keys() & Connection.model_fields.keys())


@pytest.mark.parametrize("name", SHARED)
def test_an_adapters_field_has_the_type_of_the_connections(name: str) -> None:
    # The adapter has checked it when it builds the connection, which does not look again.
    own, theirs = ConnectionFields.model_fields[name], Connection.model_fields[name]
    assert _types(own.annotation) - {type(None)} == _types(theirs.annotation) - {type(None)}


def _types(annotation: Any) -> set[Any]:
    union = isinstance(annotation, types.UnionType) or get_origin(annotation) is Union
    parts = get_args(annotation) if union else (annotation,)
    return {get_args(part)[0] if get_origin(part) is Annotated else part for part in parts}


def test_a_connection_and_a_policy_may_be_data() -> None:
    settings = {"url": URL, "api_key": "k", "project_id": "p", "retry": {"retry_total": 2}}
    adapter = Adapter(model_id="m", connection=settings)
    assert adapter.settled_connection == Connection(url=URL, api_key="k", project_id="p", max_retries=2)
    assert made(retry={"retry_total": 2}).settled_connection == adapter.settled_connection


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"retry": 5}, "retry: Input should be a valid dictionary or instance of RetryPolicy"),
        ({"retry": {"total": -1}}, "retry policy: total: Input should be greater"),
        ({"connection": 5, "url": None, "api_key": None}, "connection: Input should be a valid dictionary or instance"),
    ],
)
def test_data_that_is_no_connection_or_policy_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**settings)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("watsonx_client", "Give connection=, or the credentials themselves"),
        ("api_client", "Give connection=, or the credentials themselves"),
        ("watsonx_embed", "Give model_id"),
        ("watsonx_embed_gateway", "Give model,"),
        ("watsonx_rerank", "Give model_id"),
    ],
)
def test_objects_of_another_sdk_are_refused_with_what_to_give_instead(name: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        made(**{name: object()})
    assert advice in str(caught.value)
    assert "httpx_client" not in str(caught.value)


def test_fields_make_a_connection() -> None:
    adapter = made(
        timeout=5,
        max_retries=2,
        headers={"X-A": "a"},
        proxies={"https": "http://p:1"},
        verify=False,
        limits=httpx.Limits(max_connections=3),
    )
    assert adapter.settled_connection == Connection(
        url=URL,
        api_key="k",
        project_id="p",
        timeout=5,
        max_retries=2,
        headers={"X-A": "a"},
        proxies={"https": "http://p:1"},
        verify=False,
        limits=httpx.Limits(max_connections=3),
    )


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        ({"apikey": "old"}, "api_key", SecretStr("old")),
        ({"api_key": None, "token": "t"}, "token", SecretStr("t")),
        ({"url": None, "region": "eu-de"}, "url", "https://eu-de.ml.cloud.ibm.com"),
        ({"retry": RetryPolicy(retry_total=1)}, "retry", RetryPolicy(retry_total=1)),
        ({"project_id": None, "space_id": "s"}, "space_id", "s"),
        ({"trusted_profile_id": "P"}, "trusted_profile_id", "P"),
        ({"version": "2026-01-01"}, "version", "2026-01-01"),
        ({"instance_id": "i"}, "instance_id", "i"),
        ({"auth_url": "https://iam.example.com/t"}, "auth_url", "https://iam.example.com/t"),
        ({"pickle_secrets": True}, "pickle_secrets", True),
    ],
)
def test_each_argument_arrives(settings: dict[str, Any], field: str, value: Any) -> None:
    if "apikey" in settings:
        settings = {"api_key": None, **settings}
    assert getattr(made(**settings).settled_connection, field) == value


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"temprature": 1}, "Did you mean 'temp"),
        ({"api_kye": "k"}, "Did you mean 'api_key'"),
        ({"apikey": "other"}, "both api_key and apikey"),
        ({"space_id": "s"}, "both project_id and space_id"),
        ({"token": "t"}, "different ways to log in"),
        ({"model_id": None}, "model_id is not set"),
        ({"model_id": ""}, "model_id is empty"),
        ({"model_id": " m"}, "white space"),
        ({"deployment_id": "d"}, "both model_id and deployment_id"),
        ({"model": "g"}, "both model_id and model"),
        ({"project_id": None}, "neither project_id nor space_id"),
        ({"timeout": -1}, "timeout"),
        ({"max_retries": -1}, "retry_total"),
        ({"temp": "warm"}, "temp"),
        ({"headers": {"X": "a\nb"}}, "headers"),
        ({"url": "http://cpd.example.com"}, "plain http"),
        ({"auth_type": "magic"}, "auth_type"),
        ({"connection": Connection(url=URL, api_key="k")}, "both connection and"),
        ({"connection": "c"}, "connection"),
        ({"httpx_client": object()}, "httpx_client"),
    ],
)
def test_refusals_name_the_argument(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        made(**settings)


def test_what_was_given_is_not_changed() -> None:
    headers, stop = {"Authorization": "Bearer x"}, ["a"]
    adapter = made(headers=headers, stop=stop)
    assert (headers, stop) == ({"Authorization": "Bearer x"}, ["a"])
    assert adapter.settled_connection.headers == headers


def test_a_connection_as_it_is_or_with_another_scope() -> None:
    connection = Connection(url=URL, api_key="k", project_id="p", max_retries=9)
    adapter = Adapter(model_id="m", connection=connection)
    assert adapter.settled_connection is connection
    other = Adapter(model_id="m", connection=connection, space_id="s")
    assert other.settled_connection.scope() == {"space_id": "s"}
    assert other.settled_connection.retry.retry_total == 9
    assert other.session is adapter.session


def test_the_environment_fills_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_URL", URL)
    monkeypatch.setenv("WATSONX_API_KEY", "of-the-environment")
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p")
    adapter = Adapter(model_id="m")
    assert adapter.settled_connection == Connection(url=URL, api_key="of-the-environment", project_id="p")
    given = Adapter(model_id="m", apikey="given", space_id="s", region="eu-de")
    assert given.settled_connection == Connection(region="eu-de", api_key="given", space_id="s")
    # An adapter with a connection of its own ignores the environment.
    assert Adapter(deployment_id="d", connection=Connection(url=URL, token="t")).settled_connection.project_id is None


@pytest.mark.parametrize("name", ["allow_http", "use_private_token_url"])
def test_an_explicit_no_beats_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"WATSONX_{name.upper()}", "true")
    assert getattr(made().settled_connection, name) is True
    assert getattr(made(**{name: False}).settled_connection, name) is False


# --------------------------------------------------------------------------- sessions and targets


def test_ten_adapters_share_one_session() -> None:
    adapters = [made(project_id=f"p{number % 2}", stop=[str(number)]) for number in range(10)]
    assert len({id(adapter.session) for adapter in adapters}) == 1
    assert adapters[0].client is adapters[9].client
    assert adapters[0].async_client is adapters[9].async_client
    assert made(timeout=3).session is not adapters[0].session


def test_targets() -> None:
    assert made().target == Model("m", project_id="p")
    assert made(project_id=None, space_id="s").target == Model("m", space_id="s")
    assert made(model_id=None, deployment_id="d", project_id=None).target == Deployment("d")
    assert made(model_id=None, model="g").target == Gateway("g", "p", None)


def test_targets_for_one_call() -> None:
    adapter = made()
    assert adapter.target_for(model_id="other") == Model("other", project_id="p")
    assert adapter.target_for(model="other") == Model("other", project_id="p")  # frameworks say `model`
    assert adapter.target_for(deployment_id="d") == Deployment("d")
    gateway = made(model_id=None, model="g")
    assert gateway.target_for(model="h") == Gateway("h", "p", None)
    assert gateway.target_for(model_id="m") == Model("m", project_id="p")
    with pytest.raises(ConfigurationError, match="both"):
        adapter.target_for(model_id="a", deployment_id="b")


# --------------------------------------------------------------------------- copies and pickles


def test_copies_share_the_session_and_nothing_that_changes() -> None:
    adapter = made(stop=["a"], callbacks=["c"])
    for twin in (copy.deepcopy(adapter), adapter.model_copy(deep=True), copy.deepcopy({"x": [adapter]})["x"][0]):
        assert twin == adapter
        assert twin.session is adapter.session
        assert twin.api_key == SecretStr("k")
        twin.stop.append("b")
    assert adapter.stop == ["a"]
    assert copy.copy(adapter).session is adapter.session


def test_copies_of_live_things_keep_them() -> None:
    def function() -> str:
        return "t"

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with httpx.Client() as client:
        adapter = made(api_key=None, token_function=function, httpx_client=client, verify=context)
        twin = copy.deepcopy(adapter)
        assert twin.httpx_client is client
        assert twin.verify is context
        assert twin.token_function is function
        assert twin.session is adapter.session


def test_a_copy_with_changes_checks_them() -> None:
    adapter = made()
    other = adapter.model_copy(update={"project_id": "q", "temperature": 1.0})
    assert other.target == Model("m", project_id="q")
    assert adapter.target == Model("m", project_id="p")
    rekeyed = adapter.model_copy(update={"api_key": "raw"})
    assert rekeyed.api_key == SecretStr("raw")
    assert rekeyed.session is not adapter.session
    with pytest.raises(ConfigurationError, match="both project_id and space_id"):
        adapter.model_copy(update={"space_id": "s"})
    with pytest.raises(ConfigurationError, match="projct_id"):
        adapter.model_copy(update={"projct_id": "s"})
    with pytest.raises(ConfigurationError, match="timeout"):
        adapter.model_copy(update={"timeout": -1})


def test_a_pickle_carries_no_secret_and_finds_it_where_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = made(
        api_key="canary-1",
        headers={"Authorization-Extra": "canary-2", "X-Trace": "t"},
        proxies={"https": "http://me:canary-3@p:1"},
        stop=["a"],
    )
    adapter.session  # noqa: B018  # opened sessions are left behind too
    data = pickle.dumps(adapter)
    assert b"canary" not in data
    restored = pickle.loads(data)
    assert restored.stop == ["a"]
    assert restored.target == Model("m", project_id="p")
    assert set(restored.settled_connection.missing_secrets) == {"api_key", "headers", "proxies"}
    monkeypatch.setenv("WATSONX_API_KEY", "k")
    plain = made(api_key="k", headers={"X-Trace": "t"})
    again = pickle.loads(pickle.dumps(plain))
    assert again == plain
    assert again.session is plain.session
    assert again.api_key == SecretStr("k")
    assert again.headers == {"X-Trace": "t"}


def test_pickle_secrets_ships_them() -> None:
    adapter = made(
        api_key="canary-1",
        headers={"Authorization-Extra": "canary-2"},
        proxies={"https": "http://me:canary-3@p:1"},
        pickle_secrets=True,
    )
    restored = pickle.loads(pickle.dumps(adapter))
    assert restored.settled_connection == adapter.settled_connection
    assert restored == adapter


def test_a_pickle_of_a_given_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = Adapter(model_id="m", connection=Connection(url=URL, token="canary", project_id="p"))
    data = pickle.dumps(adapter)
    assert b"canary" not in data
    monkeypatch.setenv("WATSONX_TOKEN", "canary")
    restored = pickle.loads(data)
    assert restored.session is adapter.session
    assert restored.connection == adapter.connection


def test_live_things_are_not_pickled() -> None:
    with httpx.Client() as client:
        for settings in ({"httpx_client": client}, {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}):
            with pytest.raises(ConfigurationError, match=next(iter(settings))):
                pickle.dumps(made(**settings))


def test_nothing_secret_is_shown() -> None:
    adapter = made(
        api_key="canary-1",
        headers={"Authorization-Extra": "canary-2"},
        proxies={"https": "http://me:canary-3@p:1"},
    )
    shown = [repr(adapter), str(adapter), str(adapter.model_dump()), adapter.model_dump_json(), str(adapter.session)]
    assert not [text for text in shown if "canary" in text]
