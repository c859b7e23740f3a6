"""Who is let in where, route by route, and that each says no in its own family's words."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.emulator.lab import (
    CHAT_MODEL,
    EMBEDDING_MODEL,
    GRANT,
    IAM,
    ML,
    PLATFORM,
    PROJECT,
    RERANK_MODEL,
    SOFTWARE,
    TEXT_MODEL,
    VERSION,
    Lab,
)
from wx_integrations.emulator.app import ROUTES
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.refusals import Refused, body_of
from wx_integrations.emulator.service import Route

GOLDEN = Path(__file__).parents[1] / "golden" / "refusals"
ACCOUNT = "https://account-iam.platform.saas.ibm.com"
HOSTS = {"ml": ML, "platform": PLATFORM, "iam": IAM, "account": ACCOUNT, "software": SOFTWARE}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MESSAGES = [{"role": "user", "content": "Hello"}]
MODEL = {"model_id": CHAT_MODEL, "project_id": PROJECT}


@dataclass(frozen=True)
class Good:
    """A request that a route takes."""

    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)


def form(**fields: str) -> Good:
    return Good(urlencode(fields).encode(), headers=FORM)


DEPLOYMENT = {"deployment": "any"}
SCOPE = {"project_id": PROJECT}
TOOLS = "/wx/v1-beta/utility_agent_tools"
GOOD: dict[str, Good] = {
    "POST /identity/token": form(grant_type=GRANT + "apikey", apikey="key"),
    "POST /icp4d-api/v1/authorize": Good({"username": "u", "api_key": "key"}),
    "POST /idprovider/v1/auth/identitytoken": form(grant_type="password", username="u", password="key"),
    "GET /v1/preauth/validateAuth": Good(headers={"username": "u", "iam-token": "own"}),
    "POST /api/2.0/apikeys/token": Good({"apikey": "key"}),
    "POST /api/rest/mcsp/apikeys/token": Good({"apikey": "key"}),
    "POST /ml/v1/text/chat": Good({**MODEL, "messages": MESSAGES}),
    "POST /ml/v1/text/chat_stream": Good({**MODEL, "messages": MESSAGES}),
    "POST /ml/v1/text/embeddings": Good({**MODEL, "model_id": EMBEDDING_MODEL, "inputs": ["a"]}),
    "POST /ml/v1/text/rerank": Good({**MODEL, "model_id": RERANK_MODEL, "query": "a", "inputs": [{"text": "a"}]}),
    "POST /ml/v1/text/tokenization": Good({**MODEL, "input": "a"}),
    "POST /ml/v1/text/generation": Good({**MODEL, "model_id": TEXT_MODEL, "input": "a"}),
    "POST /ml/v1/text/generation_stream": Good({**MODEL, "model_id": TEXT_MODEL, "input": "a"}),
    "POST /ml/v1/deployments/{deployment}/text/chat": Good({"messages": MESSAGES}, arguments=DEPLOYMENT),
    "POST /ml/v1/deployments/{deployment}/text/chat_stream": Good({"messages": MESSAGES}, arguments=DEPLOYMENT),
    "POST /ml/v1/deployments/{deployment}/text/generation": Good({"input": "a"}, arguments=DEPLOYMENT),
    "POST /ml/v1/deployments/{deployment}/text/generation_stream": Good({"input": "a"}, arguments=DEPLOYMENT),
    "POST /ml/gateway/v1/chat/completions": Good({"model": CHAT_MODEL, "messages": MESSAGES}),
    "POST /ml/gateway/v1/completions": Good({"model": TEXT_MODEL, "prompt": "a"}),
    "POST /ml/gateway/v1/embeddings": Good({"model": EMBEDDING_MODEL, "input": "a"}),
    "GET /ml/gateway/v1/models": Good(),
    "GET /ml/gateway/v1/models/{uuid}": Good(arguments={"uuid": "given below"}),
    "GET /ml/v1/foundation_model_specs": Good(),
    "GET /ml/v1/foundation_model_tasks": Good(),
    "GET /ml/v4/deployments": Good(query=SCOPE),
    "GET /ml/v4/deployments/{deployment}": Good(query=SCOPE, arguments=DEPLOYMENT),
    "GET /ml/wml_services/v2/version": Good(),
    "GET /v2/projects/{id}": Good(arguments={"id": PROJECT}),
    "GET /v2/spaces/{id}": Good(arguments={"id": PROJECT}),
    f"GET {TOOLS}": Good(),
    f"POST {TOOLS}/run": Good({"tool_name": "Weather", "input": {"location": "Rome"}}),
    f"POST {TOOLS}/run/{{tool}}": Good({"input": {"location": "Rome"}}, arguments={"tool": "Weather"}),
    f"GET {TOOLS}/resources/{{name}}": Good(arguments={"name": "image-1.png"}),
    f"GET {TOOLS}/{{tool}}": Good(arguments={"tool": "Weather"}),
}


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def lab_with_a_picture(**settings: Any) -> Lab:
    lab = Lab(**{"api_keys": {"key"}, **settings})
    toolbox = lab.emulator.service.tools
    assert toolbox is not None
    toolbox.keep_image(".png", b"picture")
    return lab


def ask(lab: Lab, route: Route, *, method: str | None = None, place: str | None = None, **changes: Any) -> Reply:
    """Send a route's good request, with what is to be different."""
    good = GOOD[name_of(route)]
    path = route.path
    for name, value in good.arguments.items():
        path = path.replace("{" + name + "}", uuid_of(lab) if name == "uuid" else value)
    query = {**good.query, **({"version": VERSION} if route.versioned else {})}
    headers = {**good.headers, **changes.get("headers", {})}
    if headers.get("iam-token") == "own":
        headers["iam-token"] = lab.token
    body = changes.get("body", good.body)
    host = HOSTS[place or route.place]
    return lab.send(method or route.method, path, body, host=host, query=query, headers=headers)


def uuid_of(lab: Lab) -> str:
    reply = lab.send("GET", "/ml/gateway/v1/models")
    assert isinstance(reply.body, bytes)
    return str(json.loads(reply.body)["data"][0]["uuid"])


def said(reply: Reply, family: str) -> dict[str, Any]:
    """Return code and message of a refusal, after a look at its family's shape."""
    assert isinstance(reply.body, bytes)
    body: Any = json.loads(reply.body)
    found: dict[str, Any] = {"status": reply.status}
    match family:
        case "ml":
            assert set(body) == {"errors", "trace", "status_code"}
            [item] = body["errors"]
            assert {"code", "message", "more_info"} <= set(item) <= {"code", "message", "more_info", "target"}
            assert body["status_code"] == reply.status
            return {**found, **item}
        case "platform":
            assert set(body) == {"errors", "trace"}
            return {**found, **body["errors"][0]}
        case "gateway":
            assert set(body) == {"error"}
            assert set(body["error"]) == {"code", "message", "request_id"}
            return {**found, **body["error"]}
        case "tools":
            assert set(body) == {"code", "error", "reason", "message", "description"}
            assert body["code"] == reply.status
            return {**found, "code": None, "message": body["description"]}
        case "iam":
            assert {"errorCode", "errorMessage", "context"} <= set(body)
            return {**found, "code": body["errorCode"], "message": body["errorMessage"]}
        case _:
            assert set(body) == {"_messageCode_", "message"}
            assert body["_messageCode_"] == str(reply.status)
            return {**found, "code": None, "message": body["message"]}


def is_page(reply: Reply) -> bool:
    return isinstance(reply.body, bytes) and reply.body.startswith(b"<!DOCTYPE html>")


ALL = pytest.mark.parametrize("route", ROUTES, ids=name_of)
WITH_TOKEN = pytest.mark.parametrize("route", [route for route in ROUTES if route.token], ids=name_of)


def test_no_route_is_left_out() -> None:
    assert set(GOOD) == {name_of(route) for route in ROUTES}


@ALL
@pytest.mark.parametrize("strict", [True, False])
def test_good_requests_are_taken(route: Route, strict: bool) -> None:
    assert ask(lab_with_a_picture(strict=strict), route).status == 200


# --------------------------------------------------------------------------- hosts and methods


@ALL
def test_each_host_serves_its_own_and_software_serves_all(route: Route) -> None:
    lab = lab_with_a_picture()
    for place in HOSTS:
        reply = ask(lab, route, place=place)
        if place in (route.place, "software"):
            assert reply.status == 200
        else:
            assert (reply.status, is_page(reply)) == (404, True)
            assert isinstance(reply.body, bytes)
            assert f"it belongs to the {route.place} host".encode() in reply.body


@ALL
def test_other_methods_are_told_which_one_is_meant(route: Route) -> None:
    lab = lab_with_a_picture()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {route.method}:
        # "/run" may be taken for the name of a tool, and that is asked for with GET.
        if route.path.endswith("/run") and method == "GET":
            continue
        reply = ask(lab, route, method=method)
        assert (reply.status, is_page(reply)) == (405, True)
        assert route.method in reply.headers["allow"]


# --------------------------------------------------------------------------- tokens

EXPIRED = "Failed to authenticate the request due to an expired token"
INVALID = "Failed to authenticate the request due to invalid token: "


@WITH_TOKEN
@pytest.mark.parametrize("header", [None, "", "Bearer", "Digest x", "Bearer x", "Bearer a.b.c", "Basic eDp5"])
def test_without_a_good_token_nobody_is_let_in(route: Route, header: str | None) -> None:
    found = said(ask(lab_with_a_picture(), route, headers={"authorization": header}), route.family)
    assert found["status"] == 401
    assert found["code"] in ("authentication_token_not_valid", None)
    assert found["message"].startswith(INVALID)


@WITH_TOKEN
@pytest.mark.parametrize("how", ["by time", "by hand", "revoked"])
def test_a_stale_token_is_refused_as_recorded(route: Route, how: str) -> None:
    lab = lab_with_a_picture(token_lifetime=60)
    if how == "by time":
        lab.clock.now += 61
    elif how == "by hand":
        lab.emulator.office.expire_all()
    else:
        lab.emulator.office.revoke(lab.token)
    asked = ask(lab, route) if "{uuid}" not in route.path else lab.send("GET", "/ml/gateway/v1/models/x")
    found = said(asked, route.family)
    code = "authentication_token_not_valid" if how == "revoked" else "authentication_token_expired"
    assert (found["status"], found["code"]) == (401, None if route.family == "tools" else code)
    if how != "revoked":
        assert found["message"] == ("jwt expired" if route.family == "tools" else EXPIRED)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.token], ids=name_of)
def test_the_others_need_none(route: Route) -> None:
    assert ask(lab_with_a_picture(), route, headers={"authorization": None}).status == 200


@WITH_TOKEN
def test_cloud_pak_for_datas_key_opens_software_only(route: Route) -> None:
    zen = {"authorization": "ZenApiKey " + base64.b64encode(b"u:key").decode()}
    assert ask(lab_with_a_picture(), route, place="software", headers=zen).status == 200
    assert ask(lab_with_a_picture(strict=False), route, headers=zen).status == 200
    found = said(ask(lab_with_a_picture(), route, headers=zen), route.family)
    assert (found["status"], found["message"]) == (401, f"{INVALID}ZenApiKey is for Cloud Pak for Data")


# --------------------------------------------------------------------------- bodies

BODIES = [route for route in ROUTES if isinstance(GOOD[name_of(route)].body, dict)]
SHAPED = [route for route in BODIES if route.family != "software"]


@pytest.mark.parametrize("route", BODIES, ids=name_of)
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
def test_what_is_no_object_is_refused(route: Route, strict: bool, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    found = said(ask(lab_with_a_picture(strict=strict), route, body=body, headers=headers), route.family)
    assert found["status"] == 400
    if route.family in ("ml", "gateway"):
        codes = {b"[]": "json_type_error", b'"x"': "json_type_error", b"null": "json_type_error"}
        assert found["code"] == codes.get(body, "invalid_request_entity")


@pytest.mark.parametrize("route", BODIES, ids=name_of)
def test_unknown_fields_are_refused_by_name_unless_one_is_lenient(route: Route) -> None:
    body = {**GOOD[name_of(route)].body, "mood": "good"}
    found = said(ask(lab_with_a_picture(), route, body=body), route.family)
    assert found["status"] == 400
    assert "mood" in found["message"]
    assert ask(lab_with_a_picture(strict=False), route, body=body).status == 200


@pytest.mark.parametrize("route", SHAPED, ids=name_of)
def test_bodies_say_that_they_are_json(route: Route) -> None:
    body = json.dumps(GOOD[name_of(route)].body).encode()
    for headers in ({}, {"content-type": "text/plain"}):
        found = said(ask(lab_with_a_picture(), route, body=body, headers=headers), route.family)
        assert found["status"] == 400
        assert "Content-Type" in found["message"]
        assert ask(lab_with_a_picture(strict=False), route, body=body, headers=headers).status == 200
    json_too = {"content-type": "Application/JSON; charset=utf-8"}
    assert ask(lab_with_a_picture(), route, body=body, headers=json_too).status == 200


@pytest.mark.parametrize("route", SHAPED, ids=name_of)
def test_what_is_needed_is_named(route: Route) -> None:
    good = GOOD[name_of(route)].body
    optional = {"project_id", "tool_name"}
    for name in set(good) - optional:
        rest = {key: value for key, value in good.items() if key != name}
        found = said(ask(lab_with_a_picture(), route, body=rest), route.family)
        assert found["status"] == 400
        assert name in found["message"]


def _wrong(value: Any) -> Any:
    return 7 if isinstance(value, str | list) else "x"


@pytest.mark.parametrize("route", BODIES, ids=name_of)
@pytest.mark.parametrize("strict", [True, False])
def test_values_of_another_type_are_refused(route: Route, strict: bool) -> None:
    good = GOOD[name_of(route)].body
    for name, value in good.items():
        wrong = [7] if route.family == "tools" and name == "input" else _wrong(value)
        found = said(ask(lab_with_a_picture(strict=strict), route, body={**good, name: wrong}), route.family)
        assert found["status"] == 400, name
        if route.family == "ml":
            assert (found["code"], found["target"]["name"]) == ("json_type_error", name)


# --------------------------------------------------------------------------- scopes, models, deployments

SCOPED = [route for route in BODIES if "model_id" in GOOD[name_of(route)].body]
DEPLOYED = [route for route in BODIES if "{deployment}" in route.path]


@pytest.mark.parametrize("route", SCOPED, ids=name_of)
def test_a_request_is_in_a_project_or_in_a_space(route: Route) -> None:
    good = GOOD[name_of(route)].body
    bare = {name: value for name, value in good.items() if name != "project_id"}
    neither = said(ask(lab_with_a_picture(), route, body=bare), "ml")
    assert (neither["status"], neither["code"]) == (400, "invalid_request_entity")
    both = {**good, "space_id": PROJECT}
    refused = said(ask(lab_with_a_picture(), route, body=both), "ml")
    assert (refused["code"], refused["target"]["name"]) == ("invalid_request_entity", "space_id")
    assert ask(lab_with_a_picture(strict=False), route, body=both).status == 200
    assert ask(lab_with_a_picture(), route, body={**bare, "space_id": PROJECT}).status == 200
    for scope in ("project_id", "space_id"):
        closed = said(ask(lab_with_a_picture(projects={"other"}), route, body={**bare, scope: PROJECT}), "ml")
        assert (closed["status"], closed["code"]) == (403, "no_associated_service_instance_error")
        for wrong in (7, "", ["x"]):
            assert (
                said(ask(lab_with_a_picture(), route, body={**bare, scope: wrong}), "ml")["code"] == "json_type_error"
            )


@pytest.mark.parametrize("route", SCOPED, ids=name_of)
@pytest.mark.parametrize("strict", [True, False])
def test_models_that_are_not_there(route: Route, strict: bool) -> None:
    body = {**GOOD[name_of(route)].body, "model_id": "no/such"}
    found = said(ask(lab_with_a_picture(strict=strict), route, body=body), "ml")
    assert (found["status"], found["code"]) == (404, "model_not_supported")
    assert found["message"] == "Model 'no/such' is not supported"
    assert found["more_info"].endswith("#" + route.path.rpartition("/v1/")[2].replace("/", "-").replace("_", "-"))


@pytest.mark.parametrize("route", DEPLOYED, ids=name_of)
@pytest.mark.parametrize("strict", [True, False])
def test_deployments_that_are_not_there(route: Route, strict: bool) -> None:
    found = said(ask(lab_with_a_picture(strict=strict, deployments={}), route), "ml")
    assert (found["status"], found["code"]) == (404, "deployment_does_not_exist")


GATEWAY = [route for route in BODIES if route.family == "gateway"]


@pytest.mark.parametrize("route", GATEWAY, ids=name_of)
def test_the_gateways_models_and_scopes(route: Route) -> None:
    body = {**GOOD[name_of(route)].body, "model": "foo"}
    found = said(ask(lab_with_a_picture(), route, body=body), "gateway")
    assert (found["status"], found["code"]) == (404, "model_not_found")
    assert found["message"] == "The model `foo` does not exist."
    for header in ("X-IBM-Project-ID", "X-IBM-Space-ID"):
        lab = lab_with_a_picture(projects={PROJECT})
        assert ask(lab, route, headers={header: PROJECT}).status == 200
        closed = said(ask(lab, route, headers={header: "other"}), "gateway")
        assert (closed["status"], closed["code"]) == (403, "no_associated_service_instance_error")
        assert closed["message"].endswith("_id other is not associated with a WML instance")


# --------------------------------------------------------------------------- the families themselves


@pytest.mark.parametrize(
    ("family", "golden", "refusal"),
    [
        ("ml", "ml", Refusal(404, "model_not_supported", "x")),
        ("iam", "iam", Refusal(400, "BXNIM0415E", "x")),
        ("tools", "tools", Refusal(401, "authentication_token_expired", "x")),
        ("gateway", "gateway", Refusal(500, "Internal Server Error", "x")),
        ("files", "files", Refusal(401, "authentication_token_expired", "x")),
        ("schemas", "schemas", Refusal(404, "", "x")),
    ],
)
def test_the_six_families_are_as_recorded(family: Any, golden: str, refusal: Refusal) -> None:
    recorded = json.loads((GOLDEN / f"{golden}.json").read_text())
    made = body_of(family, refusal, trace="t", anchor="a")
    assert set(made) == set(recorded)
    assert {name: type(value) for name, value in made.items()} == {
        name: type(value) for name, value in recorded.items()
    }
    inner = {"ml": "errors", "gateway": "error", "files": "error"}.get(family)
    if inner:
        ours, theirs = made[inner], recorded[inner]
        assert set(ours[0] if family == "ml" else ours) == set(theirs[0] if family == "ml" else theirs)


def test_a_target_is_told_only_by_the_ml_api() -> None:
    refusal = Refused(400, "json_type_error", "x", target=("field", "n"))
    assert body_of("ml", refusal, trace="t")["errors"][0]["target"] == {"type": "field", "name": "n"}
    assert "target" not in json.dumps(body_of("gateway", refusal, trace="t"))
