"""Hosts, paths, methods, the version date, scopes, trace ids."""

from __future__ import annotations

import json

import pytest

from tests.emulator.lab import CHAT_MODEL, IAM, ML, PLATFORM, PROJECT, SOFTWARE, Lab, data_of, error_of
from wx_integrations.emulator.app import ROUTES
from wx_integrations.emulator.exchange import Reply, Request
from wx_integrations.emulator.hosts import place_of


def is_page(reply: Reply) -> bool:
    return isinstance(reply.body, bytes) and reply.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("us-south.ml.cloud.ibm.com", "ml"),
        ("private.eu-de.ml.cloud.ibm.com", "ml"),
        ("wml-fvt.ml.test.cloud.ibm.com", "ml"),
        ("ap-south-1.aws.wxai.ibm.com", "ml"),
        ("private.us-east-1.aws.wxai.ibm.com", "ml"),
        ("wxai.ibmforusgov.com", "ml"),
        ("private.internal.wxai.prep.ibmforusgov.com", "ml"),
        ("api.dataplatform.cloud.ibm.com", "platform"),
        ("private.api.au-syd.dai.cloud.ibm.com", "platform"),
        ("api.eu-de.dataplatform.cloud.ibm.com", "platform"),
        ("api.dataplatform.test.cloud.ibm.com", "platform"),
        ("api.dai.dev.cloud.ibm.com", "platform"),
        ("api.ap-south-1.aws.data.ibm.com", "platform"),
        ("internal.api.dai.ibmforusgov.com", "platform"),
        ("iam.cloud.ibm.com", "iam"),
        ("iam.test.cloud.ibm.com", "iam"),
        ("account-iam.platform.saas.ibm.com", "account"),
        ("account-iam.awsg.usge1.private.platform.ibmforusgov.com", "account"),
        ("dai.ibmforusgov.com", "account"),
        ("127.0.0.1", "software"),
        ("cpd.example.com", "software"),
        ("ml.cloud.ibm.com.evil.example", "software"),
    ],
)
def test_places(host: str, place: str) -> None:
    assert place_of(host) == place


@pytest.mark.parametrize("host", [IAM, PLATFORM])
def test_inference_on_the_wrong_host_is_a_page(host: str) -> None:
    lab = Lab()
    reply = lab.post("/ml/v1/text/chat", lab.chat_body(), host=host)
    assert reply.status == 404
    assert is_page(reply)
    assert isinstance(reply.body, bytes)
    assert b"belongs to the ml host" in reply.body


def test_projects_are_not_on_the_ml_host() -> None:
    lab = Lab()
    assert lab.send("GET", f"/v2/projects/{PROJECT}", host=ML).status == 404
    assert lab.send("GET", f"/v2/projects/{PROJECT}", host=PLATFORM).status == 200


def test_software_serves_everything() -> None:
    lab = Lab()
    assert lab.send("GET", "/ml/wml_services/v2/version", host=SOFTWARE, headers={"authorization": ""}).status == 200
    assert lab.send("GET", f"/v2/projects/{PROJECT}", host=SOFTWARE).status == 200
    assert lab.post("/ml/v1/text/chat", lab.chat_body(), host=SOFTWARE).status == 200


def test_the_host_header_wins_over_the_address() -> None:
    lab = Lab()
    reply = lab.post(
        "/ml/v1/text/chat", lab.chat_body(), host="https://127.0.0.1:8443", headers={"host": "iam.cloud.ibm.com"}
    )
    assert reply.status == 404


def test_unknown_path_and_wrong_method() -> None:
    lab = Lab()
    missing = lab.send("GET", "/ml/v1/text/nothing")
    assert missing.status == 404
    assert is_page(missing)
    wrong = lab.send("GET", "/ml/v1/text/chat")
    assert wrong.status == 405
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.versioned], ids=lambda route: route.path)
@pytest.mark.parametrize("date", [None, "", "2024", "2024-3-14", "yesterday", "2024-03-14T00:00:00"])
def test_version_is_needed_and_well_formed(route: object, date: str | None) -> None:
    lab = Lab()
    method, path = getattr(route, "method", ""), getattr(route, "path", "").replace("{deployment}", "d")
    reply = lab.send(method, path, {} if method == "POST" else None, query={} if date is None else {"version": date})
    error = error_of(reply)
    assert (error["status"], error["code"]) == (400, "invalid_input_argument")
    assert error["target"] == {"type": "parameter", "name": "version"}


@pytest.mark.parametrize("date", ["2021-06-21", "2024-03-14", "2099-01-01"])
def test_any_date_is_taken(date: str) -> None:
    lab = Lab()
    assert lab.post("/ml/v1/text/chat", lab.chat_body(), query={"version": date}).status == 200


def test_the_gateway_takes_a_version_or_none_but_no_nonsense() -> None:
    lab = Lab()
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    path = "/ml/gateway/v1/chat/completions"
    assert lab.post(path, body).status == 200
    assert lab.post(path, body, query={"version": "2024-03-14"}).status == 200
    assert lab.post(path, body, query={"version": "today"}).status == 400


def test_trace_is_echoed_or_made() -> None:
    lab = Lab()
    sent = lab.post("/ml/v1/text/chat", {}, headers={"X-Global-Transaction-Id": "my-trace"})
    assert sent.headers["x-global-transaction-id"] == "my-trace"
    assert error_of(sent)["status"] == 400
    made = lab.chat().headers
    assert len(made["x-global-transaction-id"]) == 32
    assert made["x-request-id"] == made["x-global-transaction-id"]


def test_more_info_points_into_the_reference() -> None:
    reply = Lab().post("/ml/v1/text/chat_stream", {})
    assert error_of(reply)["more_info"] == "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat-stream"


def test_scope() -> None:
    lab = Lab()
    body = lab.chat_body()
    del body["project_id"]
    neither = error_of(lab.post("/ml/v1/text/chat", body))
    assert neither["message"] == "Invalid request: either `project_id` or `space_id` is required"
    assert lab.post("/ml/v1/text/chat", {**body, "space_id": "s"}).status == 200
    both = {**body, "project_id": "p", "space_id": "s"}
    assert error_of(lab.post("/ml/v1/text/chat", both))["target"]["name"] == "space_id"
    assert Lab(strict=False).post("/ml/v1/text/chat", both).status == 200
    assert error_of(lab.post("/ml/v1/text/chat", {**body, "project_id": 7}))["code"] == "json_type_error"


def test_only_known_projects_when_they_are_listed() -> None:
    lab = Lab(projects={PROJECT})
    assert lab.chat().status == 200
    error = error_of(lab.chat(project_id="other"))
    assert (error["status"], error["code"]) == (403, "no_associated_service_instance_error")
    assert error["message"] == "project_id other is not associated with a WML instance"
    gone = lab.send("GET", "/v2/projects/other", host=PLATFORM)
    assert isinstance(gone.body, bytes)
    assert (gone.status, set(json.loads(gone.body))) == (404, {"trace", "errors"})


def test_what_the_official_sdk_reads_of_a_project() -> None:
    entity = data_of(Lab().send("GET", f"/v2/projects/{PROJECT}", host=PLATFORM))["entity"]
    assert entity["storage"]["type"]
    assert entity["compute"][0]["type"] == "machine_learning"
    assert entity["compute"][0]["guid"]
    space = data_of(Lab().send("GET", f"/v2/spaces/{PROJECT}", host=PLATFORM))
    assert space["metadata"]["id"] == PROJECT


def test_request_reads_hosts_queries_and_forms() -> None:
    request = Request("GET", "https://[::1]:8443/a%20b?x=1&x=2&y=", {}, b"\xff")
    assert (request.host, request.path, request.query, request.form) == ("::1", "/a%20b", {"x": "2", "y": ""}, {})


def test_arguments_are_unescaped() -> None:
    lab = Lab(projects={"a b"})
    assert data_of(lab.send("GET", "/v2/projects/a%20b", host=PLATFORM))["metadata"]["guid"] == "a b"
