"""The advice, as a pure function of what was found."""

from __future__ import annotations

import pytest

from wx_integrations.cli import cures
from wx_integrations.cli.reach import Reached, Trouble
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, RateLimited, Unauthorized, UnexpectedResponse

DALLAS = "https://us-south.ml.cloud.ibm.com"
PRIVATE = "https://private.us-south.ml.cloud.ibm.com"


def connection(url: str = DALLAS, **settings: object) -> Connection:
    return Connection(**{"url": url, "api_key": "k", "project_id": "p", **settings})


def test_private_and_public_urls() -> None:
    assert cures.private_of(DALLAS) == PRIVATE
    assert cures.public_of(PRIVATE) == DALLAS
    assert cures.private_of("https://cpd.example.com") is None
    assert cures.public_of(DALLAS) is None
    assert cures.public_of("https://private.internal.wxai.ibmforusgov.com") is None


@pytest.mark.parametrize(
    ("url", "settings", "said"),
    [
        (DALLAS, {}, None),
        (PRIVATE, {}, None),
        (PRIVATE, {"auth_url": "https://iam.cloud.ibm.com"}, None),
        (PRIVATE, {"auth_url": "https://private.iam.cloud.ibm.com"}, None),
        (DALLAS, {"auth_url": "https://private.iam.cloud.ibm.com"}, "auth_url is private but url is public"),
        (
            PRIVATE,
            {"platform_url": "https://api.dataplatform.cloud.ibm.com"},
            "url is private but platform_url is public",
        ),
        (
            DALLAS,
            {"platform_url": "https://private.api.dataplatform.cloud.ibm.com"},
            "platform_url is private but url is public",
        ),
        ("https://private.internal.wxai.ibmforusgov.com", {}, None),
    ],
)
def test_mixed_hosts(url: str, settings: dict[str, str], said: str | None) -> None:
    assert cures.mixed_hosts(connection(url, **settings)) == said


@pytest.mark.parametrize(
    "trouble", ["name", "proxy", "proxy_refuses", "refused", "certificate", "tls", "timeout", "broken"]
)
def test_every_trouble_has_advice_that_names_a_setting(trouble: Trouble) -> None:
    reached = Reached(DALLAS, 0.1, "http://proxy.example:3128", trouble, "reason")
    advice = cures.for_network(reached, connection(), "url")
    assert any(name in advice for name in ("WATSONX_URL", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"))


def test_strangers() -> None:
    advice = cures.for_stranger(connection(project_id=None, space_id="s"), "an-account")
    assert advice.startswith("The login works, but this user (account an-account) may not use the space: ")


def test_unknown_projects_and_spaces() -> None:
    here = connection()
    advice = cures.for_unknown_scope(here, searched=False, found_in=None)
    assert "WATSONX_PROJECT_ID" in advice
    assert advice.endswith("it may be in another region: `wx doctor --search-regions` looks there")
    assert cures.for_unknown_scope(here, searched=True, found_in=None).endswith("; no other region knows it either")
    elsewhere = connection("https://cpd.example.com", username="me", project_id=None, space_id="s")
    assert cures.for_unknown_scope(elsewhere, searched=False, found_in=None) == (
        "Check WATSONX_SPACE_ID, and that the key is of the account that owns the space"
    )


def test_answers_that_say_no() -> None:
    quota = Unauthorized("HTTP 403", status=403, code="token_quota_reached", hint="wait")
    assert cures.for_answer(quota, connection()) == "wait"
    stranger = Unauthorized("HTTP 403", status=403, hint="other")
    assert str(cures.for_answer(stranger, connection())).startswith("The login works")
    assert cures.for_answer(stranger, connection(), logged_in=False) == (
        "other. Keys are made at https://cloud.ibm.com/iam/apikeys"
    )
    assert cures.for_answer(stranger, connection(api_key=None, token="t"), logged_in=False) == "other"
    assert cures.for_answer(RateLimited("HTTP 429", status=429, hint="slower"), connection()) == "slower"
    assert cures.for_answer(UnexpectedResponse("what?"), connection()) == (
        "Check url (WATSONX_URL) and any proxy or log-in page in between"
    )
    private = Unauthorized("Can not call public host with a private instance", status=403)
    assert cures.for_answer(private, connection()) == f"The instance is private: set WATSONX_URL={PRIVATE}"


def test_settings() -> None:
    missing = ConfigurationError("url is not set", hint="Give url", field="url")
    assert str(cures.for_setting(missing)).startswith("Give url. The region stands in the address")
    wrong = ConfigurationError("url: not an http(s) URL", hint="Give https://", field="url")
    assert cures.for_setting(wrong) == "Give https://"
    assert cures.for_setting(ConfigurationError("odd")) is None


def test_variables() -> None:
    assert cures.unread_variables(
        ["WATSONX_PROJECTID", "WATSONX_MAX_RETRIES", "WATSONX_URL", "PATH", "WATSONX_XYZ"]
    ) == ["WATSONX_PROJECTID is not read; did you mean WATSONX_PROJECT_ID?"]
    assert cures.two_keys({"WATSONX_API_KEY": "a", "WATSONX_APIKEY": "a"}) is None
    assert cures.two_keys({"WATSONX_API_KEY": "", "WATSONX_APIKEY": "a"}) is None
    assert cures.two_keys({"WATSONX_API_KEY": "a", "WATSONX_APIKEY": "b"}) == (
        "WATSONX_API_KEY and WATSONX_APIKEY differ; WATSONX_API_KEY is used"
    )
