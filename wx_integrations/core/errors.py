"""The errors of this package.

```
WatsonxError
├── ConfigurationError (also ValueError)   nothing was sent; a setting is wrong or missing
├── ConnectionFailed                       no answer arrived
│   └── TimedOut
├── ServiceError                           an answer says no
│   ├── InvalidRequest    400, 422
│   ├── Unauthorized      401, 403, or a token endpoint that refuses the credentials
│   ├── NotFound          404, 410
│   ├── RateLimited       429
│   └── Unavailable       5xx
├── StreamBroken                           the answer began and failed
├── OutputTruncated                        structured output hit the token limit
├── UnexpectedResponse                     an answer could not be understood
└── PartialFailure                         some of many texts failed; the others' results come along
```

Messages state facts and the next step, never a secret. Every error pickles.
`from_response` is pure: status, headers and body in, error out.
"""

from __future__ import annotations

import email.utils
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json

if TYPE_CHECKING:  # loaded when there is an error to read
    from wx_integrations.core.wire.service import ErrorEnvelope

EXCERPT_LENGTH = 300
MESSAGE_LENGTH = 2000


class WatsonxError(Exception):
    """Root of every error this package raises on purpose.

    Attributes:
        message: the fact, without the hint.
        hint: the next step, if one is known.
        attempts: requests sent for this call, retries included; 0 when nothing was sent.
        waited: seconds slept between them.

    Further `details` that the constructor gets become attributes.
    """

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.attempts: int = 0
        self.waited: float = 0.0
        for name, value in details.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        text = self.message
        if self.attempts > 1:
            text += f" (after {self.attempts} attempts, {self.waited:.1f} s of waiting)"
        return f"{text}. {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_revive, (type(self), self.message), self.__dict__)


def _revive(kind: type[WatsonxError], message: str) -> WatsonxError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


class ConfigurationError(WatsonxError, ValueError):
    """A setting or an argument is wrong or missing; nothing was sent.

    Attributes:
        field: the argument concerned, if it is one.
        env: the environment variable that sets it, if there is one.
    """

    field: str | None
    env: str | None

    def __init__(
        self, message: str, *, hint: str | None = None, field: str | None = None, env: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, field=field, env=env)

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} ({self.env})" if self.env and self.env not in text else text

    @classmethod
    def from_validation(cls, error: ValidationError, what: str) -> ConfigurationError:
        """Turn pydantic's report into one line per field, without the values (they may be secret).

        Args:
            error: the report.
            what: whose fields they are, for the message.
        """
        lines = []
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(part) for part in item["loc"])
            text = item["msg"].removeprefix("Value error, ")
            lines.append(f"{place}: {text}" if place else text)
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
        return cls(f"{what}: " + "; ".join(lines), field=str(first[0]) if first else None)


class ConnectionFailed(WatsonxError):
    """No answer arrived: refused, reset, unresolved, or a TLS failure."""


class TimedOut(ConnectionFailed):
    """No answer arrived in time."""


class ServiceError(WatsonxError):
    """The service answered and said no.

    Attributes:
        status: the HTTP status.
        code: the service's own code, such as "model_not_supported".
        trace: the service's trace id, to quote in a support case.
        retry_after: seconds the service asked to wait, if it did.
        more_info: the service's link.
        body: the first characters of the body as it came.
    """

    status: int
    code: str | None
    trace: str | None
    retry_after: float | None
    more_info: str | None
    body: str | None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        trace: str | None = None,
        retry_after: float | None = None,
        more_info: str | None = None,
        body: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            message,
            hint=hint,
            status=status,
            code=code,
            trace=trace,
            retry_after=retry_after,
            more_info=more_info,
            body=body,
        )

    @property
    def status_code(self) -> int:
        """The HTTP status, under the name httpx and the OpenAI SDK use."""
        return self.status


class InvalidRequest(ServiceError):
    """400 or 422: the service refused the request's content."""


class Unauthorized(ServiceError):
    """401, 403, or refused credentials: the service does not let this caller in."""


class NotFound(ServiceError):
    """404 or 410: no such model, deployment or endpoint."""


class RateLimited(ServiceError):
    """429: too many requests; `retry_after` says how long to wait if the service did."""


class Unavailable(ServiceError):
    """5xx: the service failed."""


class StreamBroken(WatsonxError):
    """A stream began and failed.

    Attributes:
        event: the service's error event as text, if it sent one.
        code: the service's own code, if it sent one.
        trace: the service's trace id, if it sent one.
        arrived: what had arrived before, oldest first.
    """

    event: str | None
    code: str | None
    trace: str | None
    arrived: tuple[Any, ...]

    def __init__(
        self,
        message: str,
        *,
        event: str | None = None,
        code: str | None = None,
        trace: str | None = None,
        arrived: tuple[Any, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, event=event, code=code, trace=trace, arrived=arrived)


class OutputTruncated(WatsonxError):
    """Structured output hit the token limit, so it is not whole.

    Attributes:
        text: what the model had written.
    """

    text: str | None

    def __init__(self, message: str, *, text: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, text=text, hint=hint)


class UnexpectedResponse(WatsonxError):
    """An answer could not be understood.

    Attributes:
        status: the HTTP status, if there was one.
        excerpt: the first characters of what arrived.
    """

    status: int | None
    excerpt: str | None

    def __init__(
        self, message: str, *, status: int | None = None, excerpt: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, status=status, excerpt=excerpt, hint=hint)


class PartialFailure(WatsonxError):
    """Some of many texts could not be processed; nothing that succeeded is lost.

    Attributes:
        done: the results, by index of their text.
        failed: what went wrong, by index of its text.
        untried: indices of texts that were not sent, or had no outcome, because the job ended early.
        cause: what ended it, if it ended early.
        input_token_count: tokens the service read.
    """

    done: dict[int, Any]
    failed: dict[int, WatsonxError]
    untried: tuple[int, ...]
    cause: WatsonxError | None
    input_token_count: int

    def __init__(
        self,
        message: str,
        *,
        done: dict[int, Any],
        failed: dict[int, WatsonxError],
        untried: tuple[int, ...] = (),
        cause: WatsonxError | None = None,
        input_token_count: int = 0,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            message,
            hint=hint,
            done=done,
            failed=failed,
            untried=untried,
            cause=cause,
            input_token_count=input_token_count,
        )


# --------------------------------------------------------------------------- from an answer

_BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    410: NotFound,
    422: InvalidRequest,
    429: RateLimited,
}

_NO_RUNTIME = "Associate a watsonx.ai Runtime instance with the project (project > Manage > Services & integrations)"

_HINTS_BY_CODE = {
    "BXNIM0415E": "Check api_key (WATSONX_API_KEY): IBM Cloud does not know this key",
    "authentication_token_expired": "Give a fresh token (WATSONX_TOKEN), or an api_key so that tokens renew themselves",
    "authentication_token_not_valid": "Check token (WATSONX_TOKEN) and that it belongs to this region and cloud",
    "model_not_supported": "Check model_id and region (WATSONX_URL): models differ by region; "
    "`wx models` lists what yours serves",
    "model_no_support_for_function": "This model cannot do that; choose one whose functions include it (`wx models`)",
    "token_quota_reached": "The plan's token quota is used up; wait for the next period or change the plan",
    "no_associated_service_instance": _NO_RUNTIME,
    "no_associated_service_instance_error": _NO_RUNTIME,
    "authorization_rejected": "Check that this user may use the project or space",
    "user_authorization_failed": "Check that this user may use the project or space",
    "rate_limit_reached_requests": "Send fewer requests at a time, or wait as long as retry_after says",
    "consumption_limit_reached": "The shared capacity is used up; try again later or use a dedicated deployment",
}

_HINTS_BY_TEXT = {
    "can not call public host": "The instance is private: use the region's private URL (https://private.<region>...)",
    "tool choice requires --enable-auto-tool-choice": "This model or deployment is not set up for tool calling; "
    "choose one that is (`wx models`), or ask for structured output by json_schema",
    "cannot include any tags": "A firewall in front of the service refuses text with tags; "
    "remove markup such as <script> from the input",
}

_HINTS_BY_STATUS = {
    401: "Check the credentials (WATSONX_API_KEY or WATSONX_TOKEN) and that url belongs to the same cloud",
    403: "Check that this user may use the project or space, and that url is the right region",
    404: "Check url (WATSONX_URL), model_id and deployment_id",
    429: "Send fewer requests at a time, or wait as long as retry_after says",
}


def excerpt(content: bytes | str) -> str:
    """Return the start of a body as printable text."""
    start = content[: EXCERPT_LENGTH * 4]
    text = start if isinstance(start, str) else start.decode("utf-8", "replace")
    printable = "".join(char if char.isprintable() else " " for char in text[:EXCERPT_LENGTH])
    return printable + ("…" if len(text) > EXCERPT_LENGTH or len(content) > len(start) else "")


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds of `Retry-After` (a number or an HTTP date), or None.

    A date counts from the answer's own `Date`, so that a wrong clock here or
    there does no harm.

    Args:
        headers: the answer's headers, keys case-insensitive or lower case.
        now: POSIX time, to turn a date into seconds when the answer has none.
    """
    value = (headers.get("retry-after") or "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - (_dated(headers) or now)
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _dated(headers: Mapping[str, str]) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(headers.get("date") or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def parse_envelope(content: bytes) -> ErrorEnvelope | None:
    """Return the error body, or None when it is not one of the service's families."""
    from wx_integrations.core.wire.service import ErrorEnvelope

    try:
        data = from_json(content.removeprefix(BOM_UTF8))
        if not isinstance(data, dict):
            return None
        envelope = ErrorEnvelope.model_validate(data)
    except (ValueError, RecursionError):
        return None
    return envelope


def _plain(text: str, length: int) -> str:
    """Return the service's words on one line that no terminal obeys, and no longer than is useful."""
    shortened = text if len(text) <= length else text[:length] + "…"
    return shortened if shortened.isprintable() else "".join(c if c.isprintable() else " " for c in shortened)


def facts(envelope: ErrorEnvelope) -> dict[str, Any]:
    """Return code, message, trace and more_info of an error body, whichever family it is.

    An empty message means that the body says nothing about an error.
    """
    code: Any = None
    message: str | None = None
    more_info = envelope.more_info
    trace = envelope.trace
    if envelope.errors:
        first = envelope.errors[0]
        code, more_info = first.code, first.more_info or more_info
        parts = []
        for item in envelope.errors:
            target = f" ({item.target.type} {item.target.name})" if item.target and item.target.name else ""
            if item.message:
                parts.append(item.message.strip() + target)
        message = "; ".join(parts) or first.code
    elif envelope.error_code or envelope.error_message:
        code = envelope.error_code
        message = " ".join(part for part in (envelope.error_message, envelope.error_details) if part)
    elif isinstance(envelope.error, dict):
        code = envelope.error.get("code") or envelope.error.get("type") or envelope.code
        message = envelope.error.get("message") or envelope.message or str(code or "")
        trace = trace or envelope.error.get("request_id")
    elif envelope.error or envelope.description or envelope.message:
        code = envelope.code if isinstance(envelope.code, str) else envelope.error
        said = [envelope.message, envelope.description or envelope.reason, envelope.error]
        unique = [part for i, part in enumerate(said) if isinstance(part, str) and part and part not in said[:i]]
        message = ": ".join(unique)
        if code == message:
            code = None
    return {
        "code": _plain(str(code), 200) if code is not None else None,
        "message": _plain(message, MESSAGE_LENGTH) if isinstance(message, str) else "",
        "trace": trace if isinstance(trace, str) else None,
        "more_info": more_info,
    }


def hint_for(status: int | None, code: str | None, message: str) -> str | None:
    """Return the next step for an answer that says no."""
    lowered = message.lower()
    for text, hint in _HINTS_BY_TEXT.items():
        if text in lowered:
            return hint
    if 300 <= (status or 0) < 400:
        return "Check url (WATSONX_URL): redirects are not followed, they would carry the token elsewhere"
    return _HINTS_BY_CODE.get(code or "") or _HINTS_BY_STATUS.get(status or 0)


def from_response(
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    now: float = 0.0,
    kind: type[ServiceError] | None = None,
) -> ServiceError:
    """Build the error for an answer whose status, or whose body, says no.

    Args:
        status: the HTTP status.
        headers: the answer's headers.
        content: the body, whatever it is; it need not be JSON.
        now: POSIX time, for `Retry-After` dates.
        kind: the class to use instead of the one the status gives.
    """
    envelope = parse_envelope(content)
    found = facts(envelope) if envelope else {"code": None, "message": "", "trace": None, "more_info": None}
    if kind is None:
        kind = _BY_STATUS.get(status) or (Unavailable if status >= 500 else ServiceError)
    text = found["message"]
    hint = hint_for(status, found["code"], text or excerpt(content))
    if not text:
        start = content[:200].decode("utf-8", "replace")
        if re.match(r"\s*<(!doctype|html|\?xml)", start, re.IGNORECASE):
            text = "the answer is a web page or XML, not the service's JSON"
            hint = hint or "Check url (WATSONX_URL) and any proxy in between"
        else:
            text = excerpt(content) or "the answer has no body"
    label = f"HTTP {status}" + (f" {found['code']}" if found["code"] else "")
    trace = found["trace"] or headers.get("x-global-transaction-id") or headers.get("x-request-id")
    return kind(
        f"{label}: {text.rstrip('. ')}",
        status=status,
        code=found["code"],
        trace=trace,
        retry_after=retry_after(headers, now=now),
        more_info=found["more_info"],
        body=excerpt(content) or None,
        hint=hint,
    )
