"""Each way to log in, byte by byte.

Sources: IBM Cloud IAM's documentation, the watsonx.ai API reference (Authentication) and the official SDKs' requests.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from tests.support.colour import Colour
from tests.support.recorder import Recorder, sent
from tests.support.tokens import jwt
from wx_integrations import __version__
from wx_integrations.core.calls import model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, Unauthorized, Unavailable, UnexpectedResponse

URL = "https://us-south.ml.cloud.ibm.com"
CPD = "https://cpd.example.com"
SPECS = {"limit": 1, "first": {"href": "x"}, "resources": []}
ANSWER = httpx.Response(200, json=SPECS)


def run(colour: Colour, recorder: Recorder, times: int = 1, **settings: Any) -> list[httpx.Request]:
    """Run calls with the settings; return all requests."""
    with recorder.clients() as clients:
        session = colour.session(Connection(**settings, **clients, max_retries=0))
        for _ in range(times):
            colour.run(session, model_specs())
    return recorder.requests


def form(request: httpx.Request) -> dict[str, str]:
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl(request.content.decode(), strict_parsing=True))


def body(request: httpx.Request) -> Any:
    assert request.headers["content-type"] == "application/json"
    return json.loads(request.content)


def iam(token: str, **fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 3600, **fields})


def test_iam(colour: Colour) -> None:
    token = jwt()
    requests = run(colour, Recorder(iam(token), ANSWER), url=URL, api_key="key+/=& %")
    assert sent(requests)[0] == ("POST", "https://iam.cloud.ibm.com/identity/token")
    assert sent(requests)[1][1].startswith(f"{URL}/ml/v1/foundation_model_specs?")
    exchange, call = requests
    assert exchange.content == (
        b"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=key%2B%2F%3D%26+%25"
    )
    assert form(exchange) == {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "key+/=& %"}
    assert exchange.headers["accept"] == "application/json"
    assert exchange.headers["user-agent"] == call.headers["user-agent"] == f"wx-integrations/{__version__}"
    assert "authorization" not in exchange.headers
    assert call.headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("given", ["api_key", "token"])
def test_trusted_profile(colour: Colour, given: str) -> None:
    first, second = jwt(), jwt()
    answers = [iam(first), iam(second), ANSWER] if given == "api_key" else [iam(second), ANSWER]
    settings: dict[str, Any] = {given: "k" if given == "api_key" else first}
    requests = run(colour, Recorder(*answers), url=URL, trusted_profile_id="Profile-1", **settings)
    exchange = requests[-2]
    assert sent(requests)[:-1] == [("POST", "https://iam.cloud.ibm.com/identity/token")] * (len(requests) - 1)
    # In the body, as IAM documents it: an access token in a query would end up in logs.
    assert form(exchange) == {
        "grant_type": "urn:ibm:params:oauth:grant-type:assume",
        "access_token": first,
        "profile_id": "Profile-1",
    }
    assert not exchange.url.query
    assert requests[-1].headers["authorization"] == f"Bearer {second}"


@pytest.mark.parametrize(
    ("url", "options", "token_url"),
    [
        (
            "https://ap-south-1.aws.wxai.ibm.com",
            {},
            "https://account-iam.platform.saas.ibm.com/api/2.0/apikeys/token",
        ),
        ("https://wxai.ibmforusgov.com", {}, "https://dai.ibmforusgov.com/api/rest/mcsp/apikeys/token"),
        (
            "https://wxai.ibmforusgov.com",
            {"use_private_token_url": True},
            "https://account-iam.awsg.usge1.private.platform.ibmforusgov.com/api/2.0/apikeys/token",
        ),
        (
            "https://wxai.ibmforusgov.com",
            {"auth_url": "https://mcsp.example.com"},
            "https://mcsp.example.com/api/2.0/apikeys/token",
        ),
        ("http://localhost:8080", {"auth_type": "aws"}, "http://localhost:8080/api/2.0/apikeys/token"),
        ("http://localhost:8080/wx", {"auth_type": "aws"}, "http://localhost:8080/api/2.0/apikeys/token"),
    ],
)
def test_aws_and_govcloud(colour: Colour, url: str, options: dict[str, Any], token_url: str) -> None:
    token = jwt()
    recorder = Recorder(httpx.Response(200, json={"token": token}), ANSWER)
    exchange, call = run(colour, recorder, url=url, api_key="k", **options)
    assert sent([exchange]) == [("POST", token_url)]
    assert exchange.content == b'{"apikey":"k"}'
    assert body(exchange) == {"apikey": "k"}
    assert "authorization" not in exchange.headers
    assert call.headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"password": "p ä"}, {"username": "u", "password": "p ä"}),
        ({"api_key": "k"}, {"username": "u", "api_key": "k"}),
        ({"api_key": "k", "account_id": "a"}, {"username": "u", "api_key": "k", "account_id": "a"}),
    ],
)
@pytest.mark.parametrize(
    ("url", "token_url"),
    [
        (CPD, f"{CPD}/icp4d-api/v1/authorize"),
        (f"{CPD}/zen", f"{CPD}/zen/icp4d-api/v1/authorize"),
        (f"{CPD}:31002", f"{CPD}:31843/icp4d-api/v1/authorize"),
    ],
)
def test_software(colour: Colour, settings: dict[str, Any], secret: dict[str, str], url: str, token_url: str) -> None:
    token = jwt()
    recorder = Recorder(httpx.Response(200, json={"token": token, "_messageCode_": "200"}), ANSWER)
    exchange, call = run(colour, recorder, url=url, username="u", **settings)
    assert sent([exchange]) == [("POST", token_url)]
    assert body(exchange) == secret
    assert call.headers["authorization"] == f"Bearer {token}"
    assert str(call.url).startswith(f"{url}/ml/v1/")


def test_software_with_integrated_iam(colour: Colour) -> None:
    first, second = jwt(), jwt()
    recorder = Recorder(iam(first), httpx.Response(200, json={"accessToken": second}), ANSWER)
    requests = run(
        colour,
        recorder,
        url=CPD,
        username="ü",
        password="p&=",
        bedrock_url="https://cp-console.example.com/",
        account_id="a",
    )
    assert sent(requests)[:2] == [
        ("POST", "https://cp-console.example.com/idprovider/v1/auth/identitytoken"),
        ("GET", f"{CPD}/v1/preauth/validateAuth"),
    ]
    assert form(requests[0]) == {
        "grant_type": "password",
        "username": "ü",
        "password": "p&=",
        "scope": "openid",
        "account_id": "a",
    }
    assert dict(requests[1].headers.raw)[b"username"] == "ü".encode()
    assert requests[1].headers["iam-token"] == first
    assert "authorization" not in requests[1].headers
    assert requests[2].headers["authorization"] == f"Bearer {second}"


def test_software_with_integrated_iam_at_an_auth_url(colour: Colour) -> None:
    recorder = Recorder(iam(jwt()), httpx.Response(200, json={"token": "platform"}), ANSWER)
    requests = run(
        colour,
        recorder,
        url=CPD,
        username="u",
        password="p",
        bedrock_url="https://cp-console.example.com",
        auth_url="https://iam.example.com/token",
    )
    assert sent(requests)[0] == ("POST", "https://iam.example.com/token")
    assert requests[2].headers["authorization"] == "Bearer platform"


@pytest.mark.parametrize(
    "settings",
    [
        {"auth_type": "zen", "username": "u", "api_key": "k"},
        {"zen_api_key": base64.b64encode(b"u:k").decode()},
        {"zen_api_key": "ZenApiKey " + base64.b64encode(b"u:k").decode()},
    ],
)
def test_zen_api_key(colour: Colour, settings: dict[str, Any]) -> None:
    (call,) = run(colour, Recorder(ANSWER), url=CPD, **settings)
    assert call.headers["authorization"] == "ZenApiKey " + base64.b64encode(b"u:k").decode()


@pytest.mark.parametrize("token", ["a.b.c", "opaque", "Bearer a.b.c", "Basic dTpw", "ZenApiKey dTpr"])
def test_static_token(colour: Colour, token: str) -> None:
    (call,) = run(colour, Recorder(ANSWER), url=URL, token=token)
    assert call.headers["authorization"] == (token if " " in token else f"Bearer {token}")


def test_a_given_authorization_header_wins_and_nothing_is_exchanged(colour: Colour) -> None:
    (call,) = run(colour, Recorder(ANSWER), url=URL, api_key="k", headers={"authorization": "Custom x", "X-A": "a"})
    assert call.headers.get_list("authorization") == ["Custom x"]
    assert call.headers["x-a"] == "a"


def test_extra_headers_are_merged_last_and_not_sent_to_token_hosts(colour: Colour) -> None:
    recorder = Recorder(iam(jwt()), ANSWER)
    exchange, call = run(colour, recorder, url=URL, api_key="k", headers={"X-A": "a", "user-agent": "mine"})
    assert "x-a" not in exchange.headers
    assert call.headers["x-a"] == "a"
    assert call.headers.get_list("user-agent") == ["mine"]


# --------------------------------------------------------------------------- functions


class Named:
    """What some token providers return."""

    token = "named"
    expires_in = 3600


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("plain", "Bearer plain"),
        (("pair", 3600), "Bearer pair"),
        ({"token": "mapped", "expires_in": 3600}, "Bearer mapped"),
        ({"access_token": "mapped"}, "Bearer mapped"),
        (Named(), "Bearer named"),
        ("ZenApiKey x", "ZenApiKey x"),
        (("pair", 10**400), "Bearer pair"),
        (("pair", float("nan")), "Bearer pair"),
        (("pair", -5), "Bearer pair"),
        (("pair", True), "Bearer pair"),
    ],
)
@pytest.mark.parametrize("twins", ["token_function", "atoken_function", "both"])
def test_token_functions(colour: Colour, answer: Any, expected: str, twins: str) -> None:
    called = []

    def function() -> Any:
        called.append("sync")
        return answer

    async def afunction() -> Any:
        called.append("async")
        return answer

    settings: dict[str, Any] = {"token_function": function, "atoken_function": afunction}
    if twins != "both":
        settings = {twins: settings[twins]}
    if twins == "atoken_function" and colour.name == "sync":
        with pytest.raises(ConfigurationError, match="token_function"):
            run(colour, Recorder(ANSWER), url=URL, **settings)
        assert called == []
        return
    requests = run(colour, Recorder(ANSWER), times=2, url=URL, **settings)
    assert [request.headers["authorization"] for request in requests] == [expected, expected]
    assert called == ["async" if colour.name == "async" and twins != "token_function" else "sync"]


@pytest.mark.parametrize("answer", [None, "", 5, {}, {"token": ""}, "with\nnewline", "ä", ("a", "b", "c")])
def test_what_is_no_token_is_refused(colour: Colour, answer: Any) -> None:
    recorder = Recorder(ANSWER)
    with pytest.raises(ConfigurationError, match="token_function returned"):
        run(colour, recorder, url=URL, token_function=lambda: answer)
    assert recorder.requests == []


def test_an_error_of_the_users_function_comes_through(colour: Colour) -> None:
    def function() -> str:
        raise KeyError("vault")

    with pytest.raises(KeyError, match="vault"):
        run(colour, Recorder(ANSWER), url=URL, token_function=function)


# --------------------------------------------------------------------------- refusals


def test_a_wrong_key_names_its_variable(colour: Colour) -> None:
    refusal = {
        "errorCode": "BXNIM0415E",
        "errorMessage": "Provided API key could not be found.",
        "context": {"requestId": "r-1"},
    }
    recorder = Recorder(httpx.Response(400, json=refusal))
    with pytest.raises(Unauthorized, match="WATSONX_API_KEY") as caught:
        run(colour, recorder, url=URL, api_key="wrong")
    assert (caught.value.status, caught.value.code) == (400, "BXNIM0415E")
    assert "Provided API key could not be found" in str(caught.value)
    assert caught.value.attempts == 1
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx.Response(401, text="nope"), Unauthorized, "WATSONX_USERNAME"),
        (httpx.Response(403, json={"errors": []}), Unauthorized, "WATSONX_API_KEY"),
        (httpx.Response(404, text="<html>"), Exception, "auth_url"),
        (httpx.Response(500, text="down"), Unavailable, "no token from iam.cloud.ibm.com"),
        (httpx.Response(200, text="<html>login</html>"), UnexpectedResponse, "WATSONX_AUTH_URL"),
        (httpx.Response(200, json={"token": 5}), UnexpectedResponse, "without a token"),
        (httpx.Response(200, json={"access_token": ""}), UnexpectedResponse, "without a token"),
        (httpx.Response(200, json={"access_token": "a\nb"}), UnexpectedResponse, "without a token"),
        (httpx.Response(200, json=[]), UnexpectedResponse, "without a token"),
        (httpx.Response(200, json={"access_token": "a.b.c", "expires_in": "3600"}), UnexpectedResponse, "without a"),
        (httpx.Response(200, json={"access_token": "a.b.c", "expires_in": True}), UnexpectedResponse, "without a"),
        (httpx.Response(200, text='{"access_token":"a.b.c","expires_in":NaN}'), UnexpectedResponse, "without a token"),
        (httpx.Response(302, headers={"location": "https://evil.example.com"}), Exception, "302"),
    ],
)
def test_what_token_endpoints_say_otherwise(
    colour: Colour, answer: httpx.Response, kind: type[Exception], text: str
) -> None:
    recorder = Recorder(answer)
    with pytest.raises(kind, match=text) as caught:
        run(colour, recorder, url=URL, api_key="k")
    assert len(recorder.requests) == 1
    assert getattr(caught.value, "attempts", None) == 1


@pytest.mark.parametrize("hostile", ["exp", "iat"])
@pytest.mark.parametrize("value", [None, "x", 10**400, float("nan"), float("-inf"), -1, [], {"a": 1}, True])
def test_hostile_claims_say_nothing_about_the_lifetime(colour: Colour, hostile: str, value: Any) -> None:
    claims = json.dumps({"iat": 1, "exp": 1, hostile: value}).encode()
    token = f"e30.{base64.urlsafe_b64encode(claims).decode()}.c2ln"
    recorder = Recorder(httpx.Response(200, json={"token": token}), ANSWER)
    requests = run(colour, recorder, times=3, url=CPD, username="u", api_key="k")
    assert len(requests) == 4  # one exchange serves all


@pytest.mark.parametrize("token", ["a.b.c", "a.!!!.c", "a..c", "opaque", "a.e30.c", "a.W10.c", "a.bnVsbA.c"])
def test_tokens_that_say_nothing_are_kept_until_refused(colour: Colour, token: str) -> None:
    recorder = Recorder(httpx.Response(200, json={"token": token}), ANSWER)
    assert len(run(colour, recorder, times=3, url=CPD, username="u", api_key="k")) == 4


def test_without_a_lifetime_the_tokens_own_counts(colour: Colour) -> None:
    recorder = Recorder(httpx.Response(200, json={"access_token": jwt(3600)}), ANSWER)
    assert len(run(colour, recorder, times=2, url=URL, api_key="k")) == 3


# --------------------------------------------------------------------------- changed by hand


def test_set_token_ends_renewal_for_all_who_share(colour: Colour) -> None:
    recorder = Recorder(iam(jwt()), ANSWER)
    with recorder.clients() as clients:
        session = colour.session(Connection(url=URL, api_key="k", **clients, max_retries=0))
        colour.run(session, model_specs())
        session.client.set_token("by-hand")
        colour.run(session, model_specs())
        assert recorder.requests[-1].headers["authorization"] == "Bearer by-hand"
        for wrong in ("", " x", "a\nb", "ä"):
            with pytest.raises(ConfigurationError, match="token"):
                session.async_client.set_token(wrong)
        recorder._answers = iter([httpx.Response(401, json={"errors": [{"code": "authentication_token_expired"}]})])
        with pytest.raises(Unauthorized, match="WATSONX_TOKEN"):
            colour.run(session, model_specs())
    assert len(recorder.requests) == 4


def test_set_headers_is_merged_last_and_may_replace_authorization(colour: Colour) -> None:
    recorder = Recorder(iam(jwt()), ANSWER)
    with recorder.clients() as clients:
        connection = Connection(url=URL, api_key="k", headers={"X-Own": "o", "X-Two": "2"}, **clients)
        session = colour.session(connection)
        session.client.set_headers({"X-Set": "s", "x-two": "two", "Content-Type": "application/json; charset=utf-8"})
        colour.run(session, model_specs())
        call = recorder.requests[-1]
        assert [call.headers.get_list(name) for name in ("x-own", "x-set", "x-two")] == [["o"], ["s"], ["two"]]
        assert call.headers.get_list("content-type") == ["application/json; charset=utf-8"]
        session.async_client.set_headers({"Authorization": "Bearer mine"})
        colour.run(session, model_specs())
        call = recorder.requests[-1]
        assert call.headers["authorization"] == "Bearer mine"
        assert call.headers["x-own"] == "o"
        assert "x-set" not in call.headers
        for wrong in ({"X": "a\nb"}, {"a b": "c"}, {"X": None}, "X: y"):
            with pytest.raises(ConfigurationError, match="headers"):
                session.client.set_headers(wrong)  # type: ignore[arg-type]
