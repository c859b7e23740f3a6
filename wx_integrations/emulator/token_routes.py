"""The token endpoints of all clouds and of the software.

Source: watsonx.ai API reference, "Authentication", and the official SDKs.
"""

from __future__ import annotations

import json
from typing import Any

from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Route, Visit
from wx_integrations.emulator.tokens import Token

GRANT = "urn:ibm:params:oauth:grant-type:"


def iam(visit: Visit) -> Reply:
    """Exchange an API key, or a token for a trusted profile's, at IBM Cloud's IAM."""
    given = {**visit.request.query, **visit.request.form}
    grant = given.get("grant_type")
    if not grant:
        raise _missing("grant_type")
    if grant == GRANT + "apikey":
        if not given.get("apikey"):
            raise _missing("apikey")
        if not visit.service.office.knows(given["apikey"]):
            raise Refused(400, "BXNIM0415E", "Provided API key could not be found.")
        return json_reply(200, _iam_token(visit.service.office.issue("key")))
    if grant == GRANT + "assume":
        return _assume(visit, given)
    message = f"Validation of property 'grant_type' with value '{grant[:80]}' failed."
    raise Refused(400, "BXNIM0106E", message)


def _assume(visit: Visit, given: dict[str, str]) -> Reply:
    for name in ("access_token", "profile_id"):
        if not given.get(name):
            raise _missing(name)
    try:
        visit.service.office.admit(f"Bearer {given['access_token']}")
    except Refused:
        raise Refused(400, "BXNIM0408E", "Provided token is invalid or expired.") from None
    return json_reply(200, _iam_token(visit.service.office.issue("profile")))


def _missing(name: str) -> Refused:
    return Refused(400, f"BXNIM0109E|Property '{name}' either missing or empty.", "Property missing or empty.")


def _iam_token(token: Token) -> dict[str, Any]:
    return {
        "access_token": token.text,
        "refresh_token": "not_supported",
        "ims_user_id": 14364907,
        "token_type": "Bearer",
        "expires_in": token.expires_at - token.issued_at,
        "expiration": token.expires_at,
        "scope": "ibm openid",
    }


def authorize(visit: Visit) -> Reply:
    """Exchange a user name with a password or an API key at Cloud Pak for Data."""
    given = _texts(visit, "username", "password", "api_key", "account_id")
    secrets = [given[name] for name in ("password", "api_key") if given.get(name)]
    if not given.get("username") or len(secrets) != 1:
        raise Refused(400, "400", "Give username and exactly one of password and api_key")
    if not visit.service.office.knows(secrets[0]):
        raise Refused(401, "401", "Username or password is wrong")
    token = visit.service.office.issue(given["username"])
    return json_reply(200, {"_messageCode_": "200", "message": "Success", "token": token.text})


def identity_token(visit: Visit) -> Reply:
    """Exchange user name and password at the software's own IAM; the first of two steps."""
    given = visit.request.form
    if given.get("grant_type") != "password" or not given.get("username"):
        raise _missing("grant_type" if given.get("username") else "username")
    if not visit.service.office.knows(given.get("password")):
        raise Refused(400, "BXNIM0602E", "Provided username and password combination is not valid.")
    return json_reply(200, _iam_token(visit.service.office.issue(given["username"])))


def validate(visit: Visit) -> Reply:
    """Turn the software's IAM token into a platform token; the second of two steps."""
    user, token = visit.request.header("username"), visit.request.header("iam-token")
    if not user or not token:
        raise Refused(401, "401", "Headers username and iam-token are required")
    visit.service.office.admit(f"Bearer {token}")
    platform = visit.service.office.issue(user)
    return json_reply(200, {"username": user, "accessToken": platform.text, "_messageCode_": "success"})


def platform_token(visit: Visit) -> Reply:
    """Exchange an API key on AWS and GovCloud."""
    if not visit.service.office.knows(_texts(visit, "apikey").get("apikey")):
        raise Refused(401, "401", "The API key is not valid")
    return json_reply(200, {"token": visit.service.office.issue("key").text})


def _texts(visit: Visit, *known: str) -> dict[str, str]:
    """Return the body, an object of texts; names that are not known are refused when strict.

    Raises:
        Refused: it is none.
    """
    try:
        data = json.loads(visit.request.body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Refused(400, "400", "The body must be a JSON object")
    for name, value in data.items():
        if name in known and not isinstance(value, str):
            raise Refused(400, "400", f"{name} must be a text")
        if name not in known and visit.service.strict:
            raise Refused(400, "400", f"{name[:80]} is not a known field")
    return data


ROUTES = (
    Route("POST", "/identity/token", iam, place="iam", family="iam", token=False, secret=True),
    Route("POST", "/icp4d-api/v1/authorize", authorize, "software", "software", token=False, secret=True),
    Route("POST", "/idprovider/v1/auth/identitytoken", identity_token, "software", "iam", token=False, secret=True),
    Route("GET", "/v1/preauth/validateAuth", validate, "software", "software", token=False, secret=True),
    Route("POST", "/api/2.0/apikeys/token", platform_token, "account", "software", token=False, secret=True),
    Route("POST", "/api/rest/mcsp/apikeys/token", platform_token, "account", "software", token=False, secret=True),
)
