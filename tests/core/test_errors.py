"""Errors: what the service's bodies say, the next step, and that errors travel between processes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core import errors
from wx_integrations.core.errors import (
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    OutputTruncated,
    PartialFailure,
    RateLimited,
    ServiceError,
    StreamBroken,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
    WatsonxError,
    from_response,
)
from wx_integrations.core.wire.chat import ChatRequest

# --------------------------------------------------------------------------- the body families

BODIES: dict[str, tuple[int, Any, type[ServiceError], dict[str, Any]]] = {
    "ML API": (
        404,
        {
            "errors": [
                {
                    "code": "model_not_supported",
                    "message": "Model 'doesn't exist' is not supported",
                    "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat-stream",
                }
            ],
            "trace": "245ff8904f4aaf0fdaedc0bf05e2e45b",
            "status_code": 404,
        },
        NotFound,
        {
            "message": "HTTP 404 model_not_supported: Model 'doesn't exist' is not supported",
            "code": "model_not_supported",
            "trace": "245ff8904f4aaf0fdaedc0bf05e2e45b",
            "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat-stream",
            "hint": "Check model_id and region (WATSONX_URL): models differ by region; "
            "`wx models` lists what yours serves",
        },
    ),
    "ML API, several errors with targets": (
        400,
        {
            "errors": [
                {"code": "json_validation_error", "message": "too long ", "target": {"type": "field", "name": "stop"}},
                {"code": "json_type_error", "message": "not a number"},
            ],
            "trace": "t",
        },
        InvalidRequest,
        {
            "message": "HTTP 400 json_validation_error: too long (field stop); not a number",
            "code": "json_validation_error",
        },
    ),
    "IAM": (
        400,
        {
            "errorCode": "BXNIM0415E",
            "errorMessage": "Provided API key could not be found.",
            "context": {"requestId": "bTlidjk-", "url": "https://iam.cloud.ibm.com", "locale": "en_US"},
        },
        InvalidRequest,
        {
            "message": "HTTP 400 BXNIM0415E: Provided API key could not be found",
            "code": "BXNIM0415E",
            "hint": "Check api_key (WATSONX_API_KEY): IBM Cloud does not know this key",
        },
    ),
    "IAM with details": (
        400,
        {"errorCode": "BXNIM0109E", "errorMessage": "Property missing.", "errorDetails": "apikey"},
        InvalidRequest,
        {"message": "HTTP 400 BXNIM0109E: Property missing. apikey", "code": "BXNIM0109E", "hint": None},
    ),
    "agent tools": (
        401,
        {
            "code": 401,
            "error": "Unauthorized",
            "reason": "Unauthorized",
            "message": "Access denied",
            "description": "jwt expired",
        },
        Unauthorized,
        {"message": "HTTP 401 Unauthorized: Access denied: jwt expired: Unauthorized", "code": "Unauthorized"},
    ),
    "gateway": (
        404,
        {
            "error": {
                "code": "model_not_found",
                "message": "The model `foo` does not exist.",
                "request_id": "req-12345",
            }
        },
        NotFound,
        {
            "message": "HTTP 404 model_not_found: The model `foo` does not exist",
            "code": "model_not_found",
            "trace": "req-12345",
        },
    ),
    "files": (
        401,
        {
            "message": "401 Failed to authenticate the request due to an expired token",
            "status": 401,
            "error": {
                "message": "Failed to authenticate the request due to an expired token",
                "type": "authentication_error",
                "param": None,
                "code": "authentication_token_expired",
            },
            "code": "authentication_token_expired",
            "param": None,
            "type": "authentication_error",
            "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#upload_file",
            "trace": "c8d777a8fe6551b6069a8cef52c52956",
        },
        Unauthorized,
        {
            "message": "HTTP 401 authentication_token_expired: "
            "Failed to authenticate the request due to an expired token",
            "code": "authentication_token_expired",
            "trace": "c8d777a8fe6551b6069a8cef52c52956",
            "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#upload_file",
            "hint": "Give a fresh token (WATSONX_TOKEN), or an api_key so that tokens renew themselves",
        },
    ),
    "text schemas": (
        404,
        {"error": "Schema '5e8a' not found"},
        NotFound,
        {"message": "HTTP 404: Schema '5e8a' not found", "code": None},
    ),
    "rate limit": (
        429,
        {
            "errors": [
                {
                    "code": "rate_limit_reached_requests",
                    "message": "Rate limit of 2 requests per 1s was reached for instance id 1 (user IBMid-1, plan 2)",
                }
            ],
            "trace": "t",
            "status_code": 429,
        },
        RateLimited,
        {
            "code": "rate_limit_reached_requests",
            "hint": "Send fewer requests at a time, or wait as long as retry_after says",
        },
    ),
    "no JSON": (
        503,
        "upstream connect error",
        Unavailable,
        {"message": "HTTP 503: upstream connect error", "code": None},
    ),
    "empty": (502, "", Unavailable, {"message": "HTTP 502: the answer has no body", "body": None}),
    "a web page": (
        404,
        "<!DOCTYPE html><html><body>Not here</body></html>",
        NotFound,
        {"message": "HTTP 404: the answer is a web page or XML, not the service's JSON", "code": None},
    ),
    "object storage XML": (
        403,
        '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>',
        Unauthorized,
        {"message": "HTTP 403: the answer is a web page or XML, not the service's JSON"},
    ),
    "firewall": (
        400,
        "Invalid content. You cannot include any tags in the HTTP request.",
        InvalidRequest,
        {
            "message": "HTTP 400: Invalid content. You cannot include any tags in the HTTP request",
            "hint": "A firewall in front of the service refuses text with tags; "
            "remove markup such as <script> from the input",
        },
    ),
    "JSON that says nothing": (500, {"status": "bad"}, Unavailable, {"message": 'HTTP 500: {"status": "bad"}'}),
    "a JSON list": (500, [1], Unavailable, {"message": "HTTP 500: [1]"}),
    "another shape of errors": (400, {"errors": "x"}, InvalidRequest, {"message": 'HTTP 400: {"errors": "x"}'}),
    "errors without words": (400, {"errors": [{"code": "a"}]}, InvalidRequest, {"message": "HTTP 400 a: a"}),
    "a status of its own": (418, {"error": {"type": "teapot"}}, ServiceError, {"code": "teapot"}),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_says_no(name: str) -> None:
    status, body, kind, expected = BODIES[name]
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = from_response(status, {}, content)
    assert type(error) is kind
    assert (error.status, error.status_code) == (status, status)
    assert {key: getattr(error, key) for key in expected} == expected
    assert str(error).startswith(error.message)
    assert isinstance(error, WatsonxError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, InvalidRequest), (422, InvalidRequest), (401, Unauthorized), (403, Unauthorized), (404, NotFound)),
        *((410, NotFound), (429, RateLimited), (500, Unavailable), (502, Unavailable), (503, Unavailable)),
        *((504, Unavailable), (520, Unavailable), (524, Unavailable), (409, ServiceError), (302, ServiceError)),
    ],
)
def test_the_status_decides_the_class(status: int, kind: type[ServiceError]) -> None:
    assert type(from_response(status, {}, b"{}")) is kind


def test_a_token_endpoint_may_name_another_class() -> None:
    error = from_response(400, {}, b'{"errorCode":"BXNIM0415E","errorMessage":"x"}', kind=Unauthorized)
    assert (type(error), error.status) == (Unauthorized, 400)


def test_the_trace_may_come_in_a_header() -> None:
    assert from_response(500, {"x-global-transaction-id": "g", "x-request-id": "r"}, b"").trace == "g"
    assert from_response(500, {"x-request-id": "r"}, b"").trace == "r"
    assert from_response(500, {"x-request-id": "r"}, b'{"trace":"b","errors":[{"code":"c"}]}').trace == "b"


@pytest.mark.parametrize("code", errors._HINTS_BY_CODE)
def test_every_known_code_has_a_next_step(code: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": "m"}]}).encode()
    error = from_response(400, {}, body)
    assert error.hint == errors._HINTS_BY_CODE[code]
    assert str(error) == f"HTTP 400 {code}: m. {error.hint}"


# As users of the service quote it: IBM/watsonx-ai-samples issue 90 (the gateway's family) and 403 answers of text/chat.
WITHOUT_RUNTIME = "project_id 63dc4cf1 is not associated with a WML instance"


@pytest.mark.parametrize("code", ["no_associated_service_instance_error", "no_associated_service_instance"])
@pytest.mark.parametrize("family", ["errors", "error"])
def test_a_project_without_a_runtime_is_told_what_to_associate(code: str, family: str) -> None:
    item = {"code": code, "message": WITHOUT_RUNTIME}
    error = from_response(403, {}, json.dumps({family: [item] if family == "errors" else item}).encode())
    assert (type(error), error.code) == (Unauthorized, code)
    assert error.hint == (
        "Associate a watsonx.ai Runtime instance with the project (project > Manage > Services & integrations)"
    )


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_statuses_have_a_next_step_too(status: int) -> None:
    assert from_response(status, {}, b"{}").hint == errors._HINTS_BY_STATUS[status]
    assert from_response(500, {}, b"{}").hint is None


def test_a_private_instance_has_a_next_step() -> None:
    error = from_response(403, {}, b"Instance can not call public host")
    assert error.hint is not None
    assert "private URL" in error.hint


# --------------------------------------------------------------------------- Retry-After

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("nan", None),
        ("1e400", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("Tue, 14 Nov 99999999 22:14:20 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert errors.retry_after({"retry-after": value}, now=NOW) == seconds
    assert from_response(429, {"retry-after": value}, b"{}", now=NOW).retry_after == seconds


def test_a_date_counts_from_the_answers_own() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:05 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert errors.retry_after(headers, now=NOW + 1e6) == 5.0
    assert errors.retry_after({**headers, "date": "yesterday"}, now=NOW + 1e9) == 0.0
    assert errors.retry_after({"retry-after": "7", "date": "yesterday"}, now=NOW) == 7.0


def test_without_retry_after() -> None:
    assert errors.retry_after({}, now=NOW) is None


# --------------------------------------------------------------------------- excerpts


def test_an_excerpt_is_short_and_printable() -> None:
    assert errors.excerpt(b"plain") == "plain"
    assert errors.excerpt("a\r\nb\x00c\x1b[31m\u2028d") == "a  b c [31m d"
    assert errors.excerpt(b"\xff\xfe") == "\ufffd\ufffd"
    assert errors.excerpt(b"x" * 300) == "x" * 300
    assert errors.excerpt(b"x" * 301) == "x" * 300 + "…"
    assert errors.excerpt("é" * 300) == "é" * 300
    assert errors.excerpt("é" * 301) == "é" * 300 + "…"
    assert errors.excerpt("é".encode() * 300) == "é" * 300
    assert errors.excerpt(b"x" * 50_000_000) == "x" * 300 + "…"
    assert errors.excerpt("half \ud83d a pair") == "half   a pair"
    assert errors.excerpt("") == errors.excerpt(b"") == ""


# --------------------------------------------------------------------------- the tree

EVERY_ERROR: list[WatsonxError] = [
    WatsonxError("m", hint="h"),
    ConfigurationError("m", hint="h", field="url", env="WATSONX_URL"),
    ConnectionFailed("m"),
    TimedOut("m", hint="h"),
    ServiceError("m", status=418, code="c", trace="t", retry_after=1.5, more_info="i", body="b", hint="h"),
    *(kind("m", status=400) for kind in (InvalidRequest, Unauthorized, NotFound, RateLimited, Unavailable)),
    StreamBroken("m", event="e", code="c", trace="t", arrived=(1, "two"), hint="h"),
    OutputTruncated("m", text="half", hint="h"),
    UnexpectedResponse("m", status=200, excerpt="<html>", hint="h"),
    PartialFailure("m", done={0: [0.5]}, failed={}, untried=(2,), input_token_count=7, hint="h"),
]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_travels_whole(error: WatsonxError) -> None:
    error.attempts, error.waited = 3, 1.25
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert again.__dict__ == error.__dict__
        assert (str(again), again.args) == (str(error), error.args)
        assert (again.attempts, again.waited) == (3, 1.25)


def test_every_error_is_tested() -> None:
    kinds = {item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, WatsonxError)}
    assert kinds == {type(error) for error in EVERY_ERROR}


def test_a_subclass_of_a_users_own_travels_too() -> None:
    assert pickle.loads(pickle.dumps(OurError("m", hint="h"))).hint == "h"


class OurError(Unavailable):
    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, status=503, hint=hint)


def test_what_an_error_says() -> None:
    error = ConnectionFailed("refused", hint="Check url")
    assert str(error) == "refused. Check url"
    error.attempts = 1
    assert str(error) == "refused. Check url"
    error.attempts, error.waited = 4, 2.345
    assert str(error) == "refused (after 4 attempts, 2.3 s of waiting). Check url"
    assert (error.message, error.hint) == ("refused", "Check url")
    assert str(ConnectionFailed("refused")) == "refused"


def test_where_the_errors_belong() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(TimedOut, ConnectionFailed)
    for kind in (InvalidRequest, Unauthorized, NotFound, RateLimited, Unavailable):
        assert issubclass(kind, ServiceError)
    for other in (StreamBroken, OutputTruncated, UnexpectedResponse, ConnectionFailed, ConfigurationError):
        assert issubclass(other, WatsonxError)
        assert not issubclass(other, ServiceError)


def test_a_validation_report_becomes_a_configuration_error_without_values() -> None:
    try:
        ChatRequest.model_validate(
            {
                "messages": [{"role": "user", "content": "s3cret"}],
                "temperature": 9,
                "logprobs": "s3cret",
                "oops": "s3cret",
            }
        )
    except ValueError as report:
        error = ConfigurationError.from_validation(report, "chat parameters")  # type: ignore[arg-type]
    assert str(error) == (
        "chat parameters: logprobs: Input should be a valid boolean; "
        "temperature: Input should be less than or equal to 2; oops: Extra inputs are not permitted"
    )
    assert error.field == "logprobs"


def test_a_report_on_the_whole_names_no_field() -> None:
    try:
        ChatRequest.model_validate({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 1})
    except ValueError as report:
        error = ConfigurationError.from_validation(report, "chat")  # type: ignore[arg-type]
    assert (str(error), error.field) == ("chat: top_logprobs needs logprobs=True", None)


# --------------------------------------------------------------------------- anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["errors", "error", "code", "message", "errorCode", "errorMessage", "trace", "target", "reason"]
            )
            | st.sampled_from(["more_info", "description", "status_code", "name", "type", "request_id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.integers(300, 599), json_values.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_becomes_an_error_that_travels(status: int, content: bytes) -> None:
    error = from_response(status, {}, content, now=NOW)
    assert error.status == status
    assert str(error).startswith(f"HTTP {status}")
    assert error.code is None or isinstance(error.code, str)
    assert error.trace is None or isinstance(error.trace, str)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"errors":' * 5000, b'{"error":' + b"[" * 300 + b"]" * 300 + b"}"]
)
def test_deep_nesting_is_no_accident(content: bytes) -> None:
    assert len(str(from_response(500, {}, content))) < 1000
