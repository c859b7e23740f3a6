"""Connection: what settings are accepted, from where, and which are refused."""

from __future__ import annotations

import copy
import datetime
import pickle
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from wx_integrations.core import token_sources as sources
from wx_integrations.core.connection import API_VERSION, Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.retry import RetryPolicy

URL = "https://us-south.ml.cloud.ibm.com"
CPD = "https://cpd.example.com"


def made(**settings: Any) -> Connection:
    return Connection(**{"url": URL, "api_key": "k", **settings})


def source_of(**settings: Any) -> sources.Source:
    return Connection(**settings).token_source


# --------------------------------------------------------------------------- the official SDK's fields


@pytest.mark.parametrize(
    ("credentials", "kind"),
    [
        ({"url": URL, "api_key": "k"}, sources.Iam),
        ({"url": URL, "apikey": "k"}, sources.Iam),
        ({"url": URL, "token": "t"}, sources.Fixed),
        ({"url": URL, "api_key": "k", "trusted_profile_id": "Profile-1"}, sources.Iam),
        ({"url": URL, "token": "t", "trusted_profile_id": "Profile-1"}, sources.Iam),
        ({"url": CPD, "username": "u", "password": "p", "instance_id": "openshift"}, sources.Software),
        ({"url": CPD, "username": "u", "password": "p", "account_id": "a"}, sources.Software),
        ({"url": CPD, "username": "u", "api_key": "k", "instance_id": "openshift", "version": "5.0"}, sources.Software),
        ({"url": CPD, "token": "t", "instance_id": "openshift", "version": "5.2"}, sources.Fixed),
        (
            {"url": CPD, "username": "u", "password": "p", "bedrock_url": "https://cp-console.example"},
            sources.SoftwareIam,
        ),
        ({"url": CPD, "api_key": "k", "platform_url": "https://api.example.com"}, sources.Iam),
        ({"url": CPD, "api_key": "k", "auth_url": "https://iam.example.com/identity/token"}, sources.Iam),
        ({"url": "https://us-east-1.aws.wxai.ibm.com", "api_key": "k"}, sources.ApiKeyService),
        ({"url": "https://wxai.ibmforusgov.com", "api_key": "k"}, sources.ApiKeyService),
        (
            {
                "url": URL,
                "api_key": "k",
                "name": "n",
                "iam_serviceid_crn": "crn:v1",
                "projects_token": "p",
                "proxies": {"https": "https://proxy.example.com"},
                "verify": False,
                "project_id": "x",
            },
            sources.Iam,
        ),
    ],
)
def test_every_field_of_the_official_credentials(credentials: dict[str, Any], kind: type) -> None:
    made = Connection.from_dict(credentials)
    assert isinstance(made.token_source, kind)
    data = made.to_dict()
    assert {name: _open(data[name]) for name in credentials if name not in ("url", "apikey")} == {
        name: value for name, value in credentials.items() if name not in ("url", "apikey")
    }
    assert Connection.from_dict(data) == made


def _open(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_from_dict_leaves_none_out_and_the_dictionary_alone() -> None:
    credentials = {"url": URL, "apikey": "k", "token": None, "proxies": None}
    before = dict(credentials)
    assert Connection.from_dict(credentials) == made()
    assert credentials == before


def test_settings_of_langchain_ibm_that_are_secrets_there() -> None:
    connection = Connection(
        url=SecretStr(CPD), username=SecretStr("u"), password=SecretStr("p"), version=SecretStr("5.1")
    )
    assert (connection.url, connection.username, connection.version) == (CPD, "u", "5.1")


def test_arguments_are_not_changed() -> None:
    headers, proxies = {"Authorization": "Bearer x"}, {"https": "http://u:p@proxy.example.com"}
    made(headers=headers, proxies=proxies)
    assert headers == {"Authorization": "Bearer x"}
    assert proxies == {"https": "http://u:p@proxy.example.com"}


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "field", "env"),
    [
        ({"api_key": "k"}, "url", "WATSONX_URL"),
        ({"url": "", "api_key": "k"}, "url", "WATSONX_URL"),
        ({"url": URL}, "api_key", "WATSONX_API_KEY"),
        ({"url": URL, "api_key": ""}, "api_key", "WATSONX_API_KEY"),
        ({"url": URL, "api_key": " k"}, "api_key", "WATSONX_API_KEY"),
        ({"url": URL, "api_key": "k\n"}, "api_key", "WATSONX_API_KEY"),
        ({"url": URL, "api_key": "schlüssel"}, "api_key", "WATSONX_API_KEY"),
        ({"url": URL, "token": "a\x00b"}, "token", "WATSONX_TOKEN"),
        ({"url": URL, "api_key": "k", "token": "t"}, "api_key", None),
        ({"url": URL, "api_key": "k", "apikey": "k2"}, "apikey", None),
        ({"url": URL, "api_key": "k", "project_id": "p", "space_id": "s"}, "space_id", "WATSONX_SPACE_ID"),
        ({"url": URL, "api_key": "k", "project_id": ""}, "project_id", "WATSONX_PROJECT_ID"),
        ({"url": URL, "api_key": "k", "project_id": "prüfung"}, "project_id", "WATSONX_PROJECT_ID"),
        ({"url": URL, "api_key": "k", "region": "eu-de"}, "region", None),
        ({"region": "mars", "api_key": "k"}, "region", "WATSONX_REGION"),
        ({"url": URL, "username": "u", "api_key": "k"}, "username", "WATSONX_USERNAME"),
        ({"url": CPD, "api_key": "k"}, "username", "WATSONX_USERNAME"),
        ({"url": CPD, "password": "p"}, "username", "WATSONX_USERNAME"),
        ({"url": CPD, "username": "u"}, "api_key", "WATSONX_API_KEY"),
        ({"url": CPD, "username": "u", "password": "p", "api_key": "k"}, "password", None),
        ({"url": URL, "api_key": "k", "version": "yesterday"}, "version", "WATSONX_VERSION"),
        ({"url": URL, "api_key": "k", "version": "2024-13-45"}, "version", "WATSONX_VERSION"),
        ({"url": URL, "api_key": "k", "timeout": 0}, "timeout", None),
        ({"url": URL, "api_key": "k", "timeout": float("inf")}, "timeout", None),
        ({"url": URL, "api_key": "k", "timeout": float("nan")}, "timeout", None),
        ({"url": URL, "api_key": "k", "timeout": httpx.Timeout(5, read=-1)}, "timeout", None),
        ({"url": URL, "api_key": "k", "limits": httpx.Limits(max_connections=0)}, "limits", None),
        ({"url": URL, "api_key": "k", "headers": {"X-A": "a\r\nX-B: b"}}, "headers", None),
        ({"url": URL, "api_key": "k", "headers": {"X-A": "ä"}}, "headers", None),
        ({"url": URL, "api_key": "k", "headers": {"X A": "a"}}, "headers", None),
        ({"url": URL, "api_key": "k", "headers": {"X-A": 1}}, "headers", None),
        ({"url": URL, "api_key": "k", "headers": "X-A: a"}, "headers", None),
        ({"url": URL, "api_key": "k", "proxies": {"https": "proxy"}}, "proxies", None),
        ({"url": URL, "api_key": "k", "proxies": {"https": "ftp://proxy"}}, "proxies", None),
        ({"url": URL, "api_key": "k", "proxies": {"https": None}}, "proxies", None),
        ({"url": URL, "api_key": "k", "proxies": {"gopher": "http://proxy"}}, "proxies", None),
        ({"url": URL, "api_key": "k", "proxies": "http://proxy"}, "proxies", None),
        ({"url": URL, "api_key": "k", "verify": ""}, "verify", None),
        ({"url": URL, "api_key": "k", "verify": 7.5}, "verify", None),
        ({"url": URL, "api_key": "k", "max_retries": -1}, "retry_total", None),
        ({"url": URL, "api_key": "k", "max_retries": 1, "retry_total": 2}, "max_retries", None),
        ({"url": URL, "api_key": "k", "max_retries": 1, "retry": RetryPolicy()}, "retry", None),
        ({"url": URL, "api_key": "k", "retry_backoff_factor": float("nan")}, "retry_backoff_factor", None),
        ({"url": URL, "api_key": "k", "auth_type": "oauth"}, "auth_type", None),
        ({"url": URL, "api_key": "k", "auth_type": "aws"}, "auth_type", None),
        ({"url": URL, "username": "u", "api_key": "k", "auth_type": "cp4d"}, "auth_type", None),
        ({"url": URL, "username": "u", "api_key": "k", "auth_type": "zen"}, "auth_type", None),
        ({"url": "https://wxai.ibmforusgov.com", "api_key": "k", "auth_type": "iam"}, "auth_type", None),
        ({"url": URL, "token": "t", "auth_type": "iam", "api_key": None, "password": "p"}, "password", None),
        ({"url": CPD, "username": "u", "password": "p", "auth_type": "zen"}, "api_key", None),
        ({"url": CPD, "username": "u", "password": "p", "auth_type": "iam"}, "api_key", "WATSONX_API_KEY"),
        ({"url": CPD, "username": "u", "token_function": str, "auth_type": "cp4d", "password": "p"}, "password", None),
        ({"url": CPD, "username": "u", "password": "p", "auth_type": "cp4d_iam"}, "bedrock_url", None),
        (
            {"url": "https://us-east-1.aws.wxai.ibm.com", "api_key": "k", "trusted_profile_id": "P"},
            "trusted_profile_id",
            0,
        ),
        ({"url": CPD, "username": "u", "api_key": "k", "trusted_profile_id": "P"}, "trusted_profile_id", None),
        ({"url": CPD, "token": "t", "trusted_profile_id": "P"}, "trusted_profile_id", 0),
        ({"url": URL, "token_function": str, "trusted_profile_id": "P"}, "trusted_profile_id", None),
        ({"url": URL, "api_kye": "k"}, "api_kye", None),
        ({"url": URL, "api_key": 5}, "api_key", None),
    ],
)
def test_nonsense_is_refused_by_name(settings: dict[str, Any], field: str, env: str | int | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Connection(**settings)
    said = str(caught.value)
    assert caught.value.field == field or field in said
    assert field in said
    if isinstance(env, str):
        assert caught.value.env == env
        assert env in said


def test_a_misspelt_argument_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'project_id'"):
        made(projct_id="p")


def test_one_of_several_ways_to_log_in_names_all_variables() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Connection(url=URL, api_key="k", token="t")
    assert "WATSONX_TOKEN" in str(caught.value)
    assert "WATSONX_API_KEY" in str(caught.value)


def test_what_scope_says_without_project_and_space() -> None:
    assert made(project_id="p").scope() == {"project_id": "p"}
    assert made(space_id="s").scope() == {"space_id": "s"}
    with pytest.raises(ConfigurationError, match="WATSONX_PROJECT_ID"):
        made().scope()


# --------------------------------------------------------------------------- values that follow


def test_the_version_date() -> None:
    assert made().version_date == API_VERSION == "2024-03-14"
    assert made(version="2026-08-11").version_date == "2026-08-11"
    software = Connection(url=CPD, username="u", api_key="k", version="5.1")
    assert software.version_date == API_VERSION


def test_retry_names_of_the_retrying_client() -> None:
    policy = made(retry_total=7, retry_backoff_factor=0.25, retry_status_forcelist=[503]).retry
    assert (policy.retry_total, policy.retry_backoff_factor, policy.retry_status_forcelist) == (7, 0.25, (503,))
    assert made(max_retries=2).retry.retry_total == 2
    assert made(max_retries=0).retry.retry_total == 0
    given = RetryPolicy(total=1, backoff_factor=2, status_forcelist=[500])
    assert made(retry=given).retry is given


def test_timeouts() -> None:
    assert made().httpx_timeout == httpx.Timeout(connect=10, read=600, write=60, pool=None)
    assert made(timeout=7).httpx_timeout == httpx.Timeout(7)
    assert made(timeout=httpx.Timeout(None)).httpx_timeout == httpx.Timeout(None)


def test_a_path_of_a_certificate_file(tmp_path: Path) -> None:
    assert made(verify=tmp_path / "ca.pem").verify == str(tmp_path / "ca.pem")


# --------------------------------------------------------------------------- the environment


def test_from_env_reads_every_variable() -> None:
    cloud = Connection.from_env(
        {
            "WATSONX_REGION": "eu-de",
            "WATSONX_API_KEY": "k",
            "WATSONX_PROJECT_ID": "p",
            "WATSONX_VERSION": "2026-01-01",
            "WATSONX_TRUSTED_PROFILE_ID": "Profile-1",
            "WATSONX_AUTH_URL": "https://iam.example.com/t",
            "WATSONX_PLATFORM_URL": "https://api.example.com",
            "WATSONX_INSTANCE_ID": "i",
        }
    )
    expected = Connection(
        region="eu-de",
        api_key="k",
        project_id="p",
        version="2026-01-01",
        trusted_profile_id="Profile-1",
        auth_url="https://iam.example.com/t",
        platform_url="https://api.example.com",
        instance_id="i",
    )
    assert cloud == expected
    software = Connection.from_env(
        {
            "WATSONX_URL": "http://cpd.example.com",
            "WATSONX_ALLOW_HTTP": "true",
            "WATSONX_USERNAME": "u",
            "WATSONX_PASSWORD": "p",
            "WATSONX_BEDROCK_URL": "https://cp-console.example.com",
            "WATSONX_SPACE_ID": "s",
            "WATSONX_USE_PRIVATE_TOKEN_URL": "1",
        }
    )
    assert software == Connection(
        url="http://cpd.example.com",
        allow_http=True,
        username="u",
        password="p",
        bedrock_url="https://cp-console.example.com",
        space_id="s",
        use_private_token_url=True,
    )
    assert Connection.from_env({"WATSONX_URL": URL, "WATSONX_APIKEY": "old"}) == made(api_key="old")
    assert Connection.from_env({"WATSONX_URL": URL, "WATSONX_TOKEN": "t"}) == Connection(url=URL, token="t")
    assert Connection.from_env({"WATSONX_URL": CPD, "WATSONX_ZEN_API_KEY": "z"}).zen_api_key == SecretStr("z")


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({"url": URL}, {"WATSONX_URL": CPD, "WATSONX_API_KEY": "k"}, {"url": URL, "api_key": "k"}),
        ({"region": "eu-de"}, {"WATSONX_URL": CPD, "WATSONX_API_KEY": "k"}, {"region": "eu-de", "api_key": "k"}),
        ({"url": URL, "token": "t"}, {"WATSONX_API_KEY": "k"}, {"url": URL, "token": "t"}),
        ({"url": URL, "api_key": "mine"}, {"WATSONX_API_KEY": "k"}, {"url": URL, "api_key": "mine"}),
        ({"url": URL, "apikey": "mine"}, {"WATSONX_API_KEY": "k"}, {"url": URL, "api_key": "mine"}),
        ({"url": URL, "api_key": "k"}, {"WATSONX_TOKEN": "t"}, {"url": URL, "api_key": "k"}),
        (
            {"url": URL, "api_key": "k", "space_id": "s"},
            {"WATSONX_PROJECT_ID": "p"},
            {"url": URL, "api_key": "k", "space_id": "s"},
        ),
        # On IBM Cloud user names do not count, wherever the URL comes from.
        ({"url": URL}, {"WATSONX_API_KEY": "k", "WATSONX_USERNAME": "u"}, {"url": URL, "api_key": "k"}),
        ({"url": "us-south"}, {"WATSONX_API_KEY": "k", "WATSONX_USERNAME": "u"}, {"url": URL, "api_key": "k"}),
        ({"url": SecretStr(URL)}, {"WATSONX_API_KEY": "k", "WATSONX_USERNAME": "u"}, {"url": URL, "api_key": "k"}),
        (
            {},
            {"WATSONX_URL": CPD, "WATSONX_API_KEY": "k", "WATSONX_USERNAME": "u"},
            {"url": CPD, "api_key": "k", "username": "u"},
        ),
        (
            {"username": "u"},
            {"WATSONX_URL": CPD, "WATSONX_API_KEY": "k"},
            {"url": CPD, "api_key": "k", "username": "u"},
        ),
        (
            {"password": "p"},
            {"WATSONX_URL": CPD, "WATSONX_API_KEY": "k", "WATSONX_USERNAME": "u"},
            {"url": CPD, "password": "p", "username": "u"},
        ),
        # A token that was given is used as it is; one of the environment assumes the environment's profile.
        ({"token": "t"}, {"WATSONX_URL": URL, "WATSONX_TRUSTED_PROFILE_ID": "P"}, {"url": URL, "token": "t"}),
        (
            {},
            {"WATSONX_URL": URL, "WATSONX_TOKEN": "t", "WATSONX_TRUSTED_PROFILE_ID": "P"},
            {"url": URL, "token": "t", "trusted_profile_id": "P"},
        ),
        ({"url": URL, "api_key": "k", "allow_http": False}, {"WATSONX_ALLOW_HTTP": "1"}, {"url": URL, "api_key": "k"}),
        ({"url": URL, "api_key": "k"}, {"WATSONX_PROJECT_ID": ""}, {"url": URL, "api_key": "k"}),
    ],
)
def test_what_is_given_beats_the_environment(
    settings: dict[str, Any], environ: dict[str, str], expected: dict[str, Any]
) -> None:
    assert Connection.from_env(environ, **settings) == Connection(**expected)


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"WATSONX_PROJECT_ID": "p", "WATSONX_SPACE_ID": "s"}, ("WATSONX_PROJECT_ID", "WATSONX_SPACE_ID")),
        ({"WATSONX_REGION": "eu-de"}, ("url", "region", "eu-de")),
        ({"WATSONX_API_KEY": "k\n"}, ("WATSONX_API_KEY",)),
        ({"WATSONX_VERSION": "new"}, ("WATSONX_VERSION",)),
    ],
)
def test_contradictions_and_nonsense_in_the_environment_are_named(
    environ: dict[str, str], names: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Connection.from_env({"WATSONX_URL": URL, "WATSONX_API_KEY": "k", **environ})
    for name in names:
        assert name in str(caught.value)


def test_an_empty_environment_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="WATSONX_URL"):
        Connection.from_env({})
    with pytest.raises(ConfigurationError, match="WATSONX_API_KEY"):
        Connection.from_env({"WATSONX_URL": URL})


# --------------------------------------------------------------------------- identity


def test_equal_settings_are_equal_and_share_a_login() -> None:
    one = made(headers={"X-A": "a"}, timeout=httpx.Timeout(5), limits=httpx.Limits(max_connections=3), verify="ca.pem")
    two = made(headers={"X-A": "a"}, timeout=httpx.Timeout(5), limits=httpx.Limits(max_connections=3), verify="ca.pem")
    assert one == two
    assert hash(one) == hash(two)
    assert one.login_key == two.login_key
    assert made(region="us-south") == made()
    assert made(project_id="p") != made()
    assert made(project_id="p").login_key == made(space_id="s").login_key == made().login_key


@pytest.mark.parametrize(
    "other",
    [
        {"api_key": "k2"},
        {"url": "https://eu-de.ml.cloud.ibm.com"},
        {"verify": False},
        {"timeout": 3},
        {"headers": {"X-A": "a"}},
        {"max_retries": 1},
        {"proxies": {}},
        {"auth_url": "https://iam.example.com"},
        {"version": "2026-01-01"},
    ],
)
def test_other_settings_are_another_login(other: dict[str, Any]) -> None:
    assert made(**other).login_key != made().login_key


def test_what_cannot_be_hashed_still_makes_a_login() -> None:
    class Function(dict[str, str]):
        def __call__(self) -> str:
            return "t"

    function = Function()
    one = Connection(url=URL, token_function=function)
    assert hash(one) == hash(Connection(url=URL, token_function=function))
    assert one != Connection(url=URL, token_function=Function())


def test_a_connection_is_frozen_and_copies_are_itself() -> None:
    connection = made()
    with pytest.raises(Exception, match="frozen"):
        connection.url = CPD  # type: ignore[misc]
    assert copy.copy(connection) is connection
    assert copy.deepcopy({"c": [connection]})["c"][0] is connection


# --------------------------------------------------------------------------- pickles


def roundtrip(connection: Connection) -> Connection:
    restored = pickle.loads(pickle.dumps(connection))
    assert isinstance(restored, Connection)
    return restored


def test_a_pickle_takes_its_secrets_from_where_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = made(api_key="canary", project_id="p", max_retries=3)
    assert b"canary" not in pickle.dumps(connection)
    monkeypatch.setenv("WATSONX_APIKEY", "canary")
    assert roundtrip(connection) == connection


def test_a_pickle_without_its_secrets_says_so_when_it_is_used() -> None:
    restored = roundtrip(made(api_key="canary"))
    assert isinstance(restored.token_source, sources.Missing)
    assert restored.token_source.fields == ("api_key",)
    assert restored.hosts.ml == URL


def test_a_pickle_of_a_pickle_remembers_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = made(api_key="canary")
    twice = roundtrip(roundtrip(connection))
    assert twice.token_source == sources.Missing(("api_key",))
    monkeypatch.setenv("WATSONX_API_KEY", "canary")
    assert roundtrip(twice) == connection


def test_pickle_secrets_ships_them() -> None:
    connection = made(
        api_key="canary", headers={"X-Api-Key": "c2"}, proxies={"all": "http://u:c3@p:1"}, pickle_secrets=True
    )
    assert b"canary" in pickle.dumps(connection)
    assert roundtrip(connection) == connection


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"headers": {"Authorization": "Bearer canary", "X-Trace": "1"}}, "headers"),
        ({"headers": {"X-Api-Key": "canary"}}, "headers"),
        ({"headers": {"Cookie": "session=canary"}}, "headers"),
        ({"proxies": {"https": "http://me:canary@proxy.example.com", "http": "http://other"}}, "proxies"),
        ({"projects_token": "canary"}, None),
    ],
)
def test_secrets_in_headers_and_proxies_stay_behind(
    settings: dict[str, Any], field: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATSONX_API_KEY", "k")
    connection = made(**settings)
    assert b"canary" not in pickle.dumps(connection)
    restored = roundtrip(connection)
    if field is None:
        assert isinstance(restored.token_source, sources.Iam)
    else:
        assert restored.token_source == sources.Missing((field,))
    assert roundtrip(made(headers={"X-Trace": "1"}, proxies={"all": "http://p:1"})).headers == {"X-Trace": "1"}


def test_live_objects_are_not_pickled() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with httpx.Client() as client:
        for settings in ({"httpx_client": client}, {"verify": context}):
            with pytest.raises(ConfigurationError, match=next(iter(settings))):
                pickle.dumps(made(**settings))


def test_dates_of_the_calendar() -> None:
    assert made(version=datetime.date(2026, 2, 28).isoformat()).version_date == "2026-02-28"
    with pytest.raises(ConfigurationError, match="version"):
        made(version="2026-02-30")


def test_a_copy_with_changes_is_another_connection_and_checked() -> None:
    connection = made(project_id="p", headers={"X-Api-Key": "h"}, pickle_secrets=True)
    assert connection.hosts.ml == URL
    other = connection.model_copy(update={"project_id": "q", "url": "eu-de"})
    assert (connection.project_id, connection.url) == ("p", URL)
    assert (other.project_id, other.hosts.ml) == ("q", "https://eu-de.ml.cloud.ibm.com")
    assert other.api_key == SecretStr("k")
    assert other.headers == {"X-Api-Key": "h"}
    assert connection.model_copy() is connection
    assert connection.model_copy(deep=True) is connection
    assert connection.model_copy(update={"space_id": "s", "project_id": None}).scope() == {"space_id": "s"}
    with pytest.raises(ConfigurationError, match="both project_id and space_id"):
        connection.model_copy(update={"space_id": "s"})
    with pytest.raises(ConfigurationError, match="Did you mean 'project_id'"):
        connection.model_copy(update={"projct_id": "s"})
