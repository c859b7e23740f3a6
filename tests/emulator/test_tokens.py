"""Token endpoints of every cloud, and which tokens are let in."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.emulator.lab import GRANT, IAM, ML, SOFTWARE, Clock, Lab, data_of, error_of
from wx_integrations.emulator.exchange import Reply

FORM = {"content-type": "application/x-www-form-urlencoded"}
ACCOUNT = "https://account-iam.platform.saas.ibm.com"
GOV = "https://dai.ibmforusgov.com"


def claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def iam(lab: Lab, **form: str) -> Reply:
    return lab.send("POST", "/identity/token", urlencode(form).encode(), host=IAM, headers=FORM)


def key_grant(lab: Lab, key: str = "good") -> Reply:
    return iam(lab, grant_type=GRANT + "apikey", apikey=key)


def test_iam_answers_as_recorded() -> None:
    lab = Lab(token_lifetime=3600)
    answer = data_of(key_grant(lab))
    now = int(lab.clock.now)
    assert answer == {
        "access_token": answer["access_token"],
        "refresh_token": "not_supported",
        "ims_user_id": 14364907,
        "token_type": "Bearer",
        "expires_in": 3600,
        "expiration": now + 3600,
        "scope": "ibm openid",
    }
    assert claims(answer["access_token"])["iat"] == now
    assert claims(answer["access_token"])["exp"] == now + 3600


def test_iam_takes_the_official_sdks_unescaped_form() -> None:
    lab = Lab(api_keys={"abc-_DEF"})
    body = b"apikey=abc-_DEF&grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey"
    reply = lab.send("POST", "/identity/token", body, host=IAM, headers={**FORM, "authorization": "Basic Yng6Yng="})
    assert reply.status == 200


def test_wrong_key_gets_the_recorded_refusal() -> None:
    reply = key_grant(Lab(api_keys={"good"}), "bad")
    assert isinstance(reply.body, bytes)
    body = json.loads(reply.body)
    assert reply.status == 400
    assert body["errorCode"] == "BXNIM0415E"
    assert body["errorMessage"] == "Provided API key could not be found."
    assert body["context"]["requestType"] == "incoming.Identity_Token"
    assert "errors" not in body


def test_empty_key_is_never_good() -> None:
    reply = iam(Lab(), grant_type=GRANT + "apikey", apikey="")
    assert isinstance(reply.body, bytes)
    assert json.loads(reply.body)["errorCode"] == "BXNIM0109E"
    assert json.loads(reply.body)["errorDetails"] == "Property 'apikey' either missing or empty."


@pytest.mark.parametrize(("form", "code"), [({}, "BXNIM0109E"), ({"grant_type": "magic"}, "BXNIM0106E")])
def test_odd_grants_are_refused(form: dict[str, str], code: str) -> None:
    reply = iam(Lab(), **form)
    assert isinstance(reply.body, bytes)
    assert (reply.status, json.loads(reply.body)["errorCode"]) == (400, code)


@pytest.mark.parametrize("by_query", [True, False])
def test_trusted_profile(by_query: bool) -> None:
    lab = Lab()
    given = {"grant_type": GRANT + "assume", "access_token": lab.token, "profile_id": "Profile-1"}
    reply = lab.send("POST", "/identity/token", host=IAM, query=given) if by_query else iam(lab, **given)
    token = data_of(reply)["access_token"]
    assert claims(token)["sub"] == "profile"
    lab.token = token
    assert lab.chat().status == 200


def test_trusted_profile_needs_a_good_token() -> None:
    reply = iam(Lab(), grant_type=GRANT + "assume", access_token="a.b.c", profile_id="Profile-1")
    assert reply.status == 400


@pytest.mark.parametrize("secret", ["password", "api_key"])
def test_cloud_pak_for_data(secret: str) -> None:
    lab = Lab(api_keys={"good"})
    answer = data_of(lab.post("/icp4d-api/v1/authorize", {"username": "u", secret: "good"}, host=SOFTWARE))
    lab.token = answer["token"]
    assert lab.post("/ml/v1/text/chat", lab.chat_body(), host=SOFTWARE).status == 200
    assert claims(lab.token)["sub"] == "u"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "u", "password": "bad"}, 401),
        ({"username": "u"}, 400),
        ({"password": "good"}, 400),
        ({"username": "u", "password": "good", "api_key": "good"}, 400),
        (["u", "good"], 400),
    ],
)
def test_cloud_pak_for_data_refuses(body: Any, status: int) -> None:
    assert Lab(api_keys={"good"}).post("/icp4d-api/v1/authorize", body, host=SOFTWARE).status == status


def test_iam_integrated_software_takes_two_steps() -> None:
    lab = Lab(api_keys={"good"})
    form = urlencode({"grant_type": "password", "username": "u", "password": "good", "scope": "openid"}).encode()
    first = lab.send("POST", "/idprovider/v1/auth/identitytoken", form, host=SOFTWARE, headers=FORM)
    headers = {"username": "u", "iam-token": data_of(first)["access_token"]}
    second = lab.send("GET", "/v1/preauth/validateAuth", host=SOFTWARE, headers=headers)
    lab.token = data_of(second)["accessToken"]
    assert lab.chat().status == 200


def test_iam_integrated_software_refuses() -> None:
    lab = Lab(api_keys={"good"})
    form = urlencode({"grant_type": "password", "username": "u", "password": "bad"}).encode()
    assert lab.send("POST", "/idprovider/v1/auth/identitytoken", form, host=SOFTWARE, headers=FORM).status == 400
    headers = {"username": "u", "iam-token": "x.y.z"}
    assert lab.send("GET", "/v1/preauth/validateAuth", host=SOFTWARE, headers=headers).status == 401


@pytest.mark.parametrize(("host", "path"), [(ACCOUNT, "/api/2.0/apikeys/token"), (GOV, "/api/rest/mcsp/apikeys/token")])
def test_aws_and_govcloud(host: str, path: str) -> None:
    lab = Lab(api_keys={"good"})
    assert lab.post(path, {"apikey": "bad"}, host=host).status == 401
    lab.token = data_of(lab.post(path, {"apikey": "good"}, host=host))["token"]
    aws = "https://us-east-1.aws.wxai.ibm.com"
    assert lab.post("/ml/v1/text/chat", lab.chat_body(), host=aws).status == 200


# --------------------------------------------------------------------------- who gets in


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Digest abc"])
def test_no_usable_token(header: str | None) -> None:
    lab = Lab()
    reply = lab.post(
        "/ml/v1/text/chat",
        lab.chat_body(),
        headers={"authorization": header} if header is not None else {"authorization": ""},
    )
    assert error_of(reply)["code"] == "authentication_token_not_valid"
    assert reply.status == 401


def test_expired_token_gets_the_recorded_refusal() -> None:
    lab = Lab(token_lifetime=60)
    lab.clock.now += 59
    assert lab.chat().status == 200
    lab.clock.now += 1
    error = error_of(lab.chat())
    assert error["code"] == "authentication_token_expired"
    assert error["message"] == "Failed to authenticate the request due to an expired token"
    assert error["status"] == 401


def test_tokens_can_be_expired_and_revoked_by_a_test() -> None:
    lab = Lab()
    old = lab.token
    lab.emulator.office.expire_all()
    assert error_of(lab.chat())["code"] == "authentication_token_expired"
    lab.token = data_of(key_grant(lab))["access_token"]
    assert lab.token != old
    assert lab.chat().status == 200
    lab.emulator.office.revoke(lab.token)
    assert error_of(lab.chat())["code"] == "authentication_token_not_valid"


def test_lifetime_is_settable_while_running() -> None:
    lab = Lab()
    lab.emulator.office.lifetime = 5
    assert data_of(key_grant(lab))["expires_in"] == 5


def test_foreign_token() -> None:
    lab = Lab()
    head, body, signature = lab.token.split(".")
    for token in ("x", "a.b.c", f"{head}.{body}.{signature[::-1]}"):
        lab.token = token
        error = error_of(lab.chat())
        assert error["code"] == "authentication_token_not_valid"
        assert error["message"].startswith("Failed to authenticate the request due to invalid token: ")


def test_static_tokens() -> None:
    lab = Lab(tokens={"my-token"})
    lab.token = "my-token"
    assert lab.chat().status == 200
    lab.token = "another"
    assert lab.chat().status == 401


def test_lenient_takes_any_token_but_a_stale_one() -> None:
    lab = Lab(strict=False, token_lifetime=60)
    good = lab.token
    lab.token = "x"
    assert lab.chat().status == 200
    body = lab.chat_body()
    assert lab.post("/ml/v1/text/chat", body, headers={"authorization": "Basic x"}).status == 200
    lab.token = good
    lab.clock.now += 61
    assert error_of(lab.chat())["code"] == "authentication_token_expired"


def test_lenient_with_real_tokens_demanded() -> None:
    lab = Lab(strict=False, any_token=False)
    lab.token = "x"
    assert lab.chat().status == 401


def test_zen_api_key() -> None:
    lab = Lab(api_keys={"good"})
    for text, status in (("u:good", 200), ("u:bad", 401), (":good", 401)):
        header = "ZenApiKey " + base64.b64encode(text.encode()).decode()
        body = lab.chat_body()
        assert lab.post("/ml/v1/text/chat", body, host=SOFTWARE, headers={"authorization": header}).status == status
    assert lab.post("/ml/v1/text/chat", body, host=SOFTWARE, headers={"authorization": "ZenApiKey %%%"}).status == 401


def test_tokens_differ_and_are_counted() -> None:
    lab = Lab()
    before = lab.emulator.office.exchanges
    tokens = {data_of(key_grant(lab))["access_token"] for _ in range(5)}
    assert len(tokens) == 5
    assert lab.emulator.office.exchanges == before + 5


def test_two_emulators_with_other_keys_do_not_know_each_others_tokens() -> None:
    from wx_integrations.emulator.tokens import TokenOffice

    clock = Clock()
    one, two = (TokenOffice(clock=clock, signing_key=key) for key in (b"one", b"two"))
    one.admit(f"Bearer {one.issue().text}")
    lab = Lab()
    lab.token = two.issue().text
    assert lab.post("/ml/v1/text/chat", lab.chat_body(), host=ML).status == 401
