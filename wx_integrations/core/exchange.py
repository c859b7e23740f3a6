"""The part of a call that does not wait: requests out, values and errors in.

Both clients share it, so that they differ by `async` and `await` alone.
"""

from __future__ import annotations

import copy
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
from pydantic_core import from_json, to_json

from wx_integrations.core import errors
from wx_integrations.core.calls import Call, StreamCall
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, ServiceError, UnexpectedResponse, WatsonxError
from wx_integrations.core.retry import TRAIL, RetryPolicy, Trail, Waiting, connection_error
from wx_integrations.core.secrets import redact, sent_secrets, unguarded
from wx_integrations.core.settings import check_headers, timeout_dict
from wx_integrations.core.token_sources import USER_AGENT

T = TypeVar("T")
Timeout = float | httpx.Timeout | None
_RUNS_A_TOOL = "/utility_agent_tools/run"
_SPENT = httpx.ByteStream(b"")


class Plan:
    """The part of running a call that does not wait: requests out, values and errors in."""

    def __init__(self, connection: Connection, waiting: Waiting) -> None:
        self.connection = connection
        self.waiting = waiting
        self.hosts = {"ml": connection.hosts.ml, "platform": connection.hosts.platform}
        self.timeout = timeout_dict(connection.httpx_timeout)
        self.retry = connection.retry
        self._urls: dict[tuple[str, str, bool], httpx.URL] = {}

    def borrow(self, client: httpx.Client | httpx.AsyncClient | None) -> None:
        """Let the timeout of the user's own client count, unless the connection has one or it is httpx's default.

        That default, 5 seconds, would cut every longer generation off.
        """
        if client is not None and self.connection.timeout is None and client.timeout != httpx.Timeout(5.0):
            self.timeout = timeout_dict(client.timeout)

    def with_options(self, timeout: Timeout, retry: RetryPolicy | None) -> Plan:
        """Return a plan with another timeout or retry policy, where given."""
        other = copy.copy(self)
        if timeout is not None:
            other.timeout = timeout_dict(timeout)
        if retry is not None:
            other.retry = retry
        return other

    def request(
        self, call: Call[Any] | StreamCall[Any], timeout: Timeout, retry: RetryPolicy | None
    ) -> tuple[httpx.Request, Trail]:
        """Build the request of a call, and the trail it will leave."""
        streams = isinstance(call, StreamCall)
        trail = Trail(retry or self.retry, whole=not streams, generates=call.generates)
        headers = {
            "Accept": "text/event-stream" if streams else "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
            "User-Agent": USER_AGENT,
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.headers:
            headers.update(call.headers)
        return self._request(call.method, self.url(call), headers, call.body, timeout, trail), trail

    def url(self, call: Call[Any] | StreamCall[Any]) -> httpx.URL:
        key = (call.host, call.path, call.versioned)
        url = self._urls.get(key)
        if url is None:
            url = httpx.URL(self.hosts[call.host] + call.path)
            if call.versioned:
                url = url.copy_add_param("version", self.connection.version_date)
            if len(self._urls) < 64:
                self._urls[key] = url
        return url.copy_merge_params(dict(call.query)) if call.query else url

    def _request(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str] | httpx.Headers,
        content: bytes | None,
        timeout: Timeout,
        trail: Trail,
    ) -> httpx.Request:
        limits = self.timeout if timeout is None else timeout_dict(timeout)
        extensions = {"timeout": limits, TRAIL: trail}
        return httpx.Request(method, url, headers=headers, content=content, extensions=extensions)

    def raw_request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: Timeout = None,
        retry: RetryPolicy | None = None,
    ) -> tuple[httpx.Request, Trail]:
        """Build a request of the plain level; the version date goes along below `/ml/` unless given."""
        if json is not None and content is not None:
            raise ConfigurationError("both json and content are given", field="content")
        check_headers(headers or {})
        url = self._plain_url(path)
        if params:
            url = url.copy_merge_params(dict(params))
        if url.path.startswith("/ml/") and not url.path.startswith("/ml/gateway/") and "version" not in url.params:
            url = url.copy_add_param("version", self.connection.version_date)
        sent = httpx.Headers(
            {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}
        )
        body = content
        if json is not None:
            sent["Content-Type"] = "application/json"
            body = _json_body(json)
        sent.update(unguarded(headers or {}))
        # What a POST does may be under way although its answer is late: a second one would do it again.
        trail = Trail(retry or self.retry, generates=method.upper() in ("POST", "PATCH"))
        return self._request(method.upper(), url, sent, body, timeout, trail), trail

    def _plain_url(self, path: str) -> httpx.URL:
        try:
            if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
                path = "/" + path.lstrip("/")
                return httpx.URL(self.hosts["platform" if path.startswith(("/wx/", "/v2/")) else "ml"] + path)
            url = httpx.URL(path)
        except (httpx.InvalidURL, ValueError):
            raise ConfigurationError("path cannot be part of a URL", field="path") from None
        if not any(_same_origin(url, httpx.URL(base)) for base in self.hosts.values()):
            raise ConfigurationError(
                f"{url.host} is not a host of this connection, so it gets no token",
                hint=f"Use a path, or a URL of {' or '.join(dict.fromkeys(self.hosts.values()))}",
                field="path",
            )
        return url

    # ------------------------------------------------------------------ answers

    def read(self, call: Call[T], response: httpx.Response, trail: Trail) -> T:
        """Return the value of an answer, or raise what it says."""
        if not response.is_success:
            raise self.refusal(response, trail)
        try:
            value = _read(call.parse, response.content)
        except (ValueError, RecursionError) as error:
            raise self.not_understood(response, trail, error) from None
        fault = _fault(value)
        if fault is not None:
            del value  # a traceback may show local variables
            raise self.not_understood(response, trail, ValueError(fault))
        note_trace(value, trace_of(response))
        response.stream = _SPENT  # it and the answer hold each other: megabytes would wait for the garbage collector
        return value

    def read_json(self, response: httpx.Response, trail: Trail) -> Any:
        """Return the JSON of a plain answer (None for an empty one), or raise what it says."""
        if not response.is_success:
            raise self.refusal(response, trail)
        if not response.content:
            return None
        try:
            return _read(from_json, response.content)
        except ValueError as error:
            raise self.not_understood(response, trail, error) from None

    def refusal(self, response: httpx.Response, trail: Trail) -> ServiceError:
        error = errors.from_response(response.status_code, response.headers, _shown(response), now=self.waiting.now())
        error.attempts, error.waited = trail.attempts, trail.waited
        return error

    def not_understood(self, response: httpx.Response, trail: Trail, why: Exception) -> WatsonxError:
        """Return the error for an answer with a good status and a bad body."""
        content = _shown(response)
        envelope = errors.parse_envelope(content)
        error: WatsonxError
        if envelope is not None and (envelope.errors or envelope.error or envelope.error_code):
            error = errors.from_response(
                envelope.status_code or response.status_code, response.headers, content, now=self.waiting.now()
            )
        else:
            error = UnexpectedResponse(
                f"{response.request.url.host} answered HTTP {response.status_code} with something else than "
                f"{response.request.url.path} should give ({place(why)})",
                status=response.status_code,
                excerpt=errors.excerpt(content),
                hint="Check url (WATSONX_URL) and any proxy in between",
            )
        error.attempts, error.waited = trail.attempts, trail.waited
        return error


def _read(parse: Callable[[bytes], T], content: bytes) -> T:
    """Return a body's value, that of one behind a byte order mark as well, which readers may ignore (RFC 8259)."""
    try:
        return parse(content)
    except ValueError:
        if not content.startswith(BOM_UTF8):
            raise
    return parse(content.removeprefix(BOM_UTF8))


def _shown(response: httpx.Response) -> bytes:
    """Return a body as it may be shown: without the request's secrets, should the answer repeat them."""
    request = response.request
    body = request.content if _RUNS_A_TOOL in request.url.path else b""
    return redact(response.content, sent_secrets(request.headers.items(), body))


def trace_of(response: httpx.Response) -> str | None:
    """Return the service's trace id of an answer."""
    trace: str | None = response.headers.get("x-global-transaction-id") or response.headers.get("x-request-id")
    return trace


def note_trace(value: Any, trace: str | None) -> None:
    """Keep the service's trace id with an answer, beside the fields it does not know, as "trace"."""
    extra = _further(value)
    if isinstance(extra, dict) and trace:
        extra.setdefault("trace", trace)


def _json_body(value: Any) -> bytes:
    try:
        return to_json(value)
    except ValueError as error:
        raise ConfigurationError(f"json cannot be written as JSON ({error})", field="json") from None


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _further(value: Any) -> Any:
    """Return what a value holds besides the fields it knows: of data everything, of other things than shapes None."""
    return value if isinstance(value, dict) else getattr(value, "model_extra", None)


def is_error(value: Any) -> bool:
    """Whether a lenient shape took an error body in."""
    extra = _further(value)
    if not extra or not (extra.get("errors") or extra.get("error")):
        return False
    return not any(extra.get(name) or getattr(value, name, None) for name in _RIGHT)


_RIGHT = ("choices", "results", "resources", "result")


def _fault(value: Any) -> str | None:
    """Return why a value is none although its body could be read, None for a good one."""
    if is_error(value):
        return "an error body"
    if getattr(value, "model_extra", None) and not value.model_fields_set & type(value).model_fields.keys():
        return "none of its fields"
    return None


def place(error: Exception) -> str:
    """Return where a body went wrong, without its content."""
    report = getattr(error, "errors", None)
    if callable(report):
        first = report(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)


def unread(error: httpx.HTTPError, request: httpx.Request) -> WatsonxError:
    """Return the package's error for one of httpx's."""
    if isinstance(error, httpx.DecodingError):
        return UnexpectedResponse(f"{request.url.host} sent a body that cannot be decompressed")
    return connection_error(error, request)
