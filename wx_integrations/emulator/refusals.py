"""How the services say no: six families of error bodies.

Source: watsonx.ai API reference and bodies recorded by the official SDKs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.exchange import Reply, html_reply, json_reply

Family = Literal["ml", "iam", "tools", "gateway", "files", "schemas", "platform", "software"]
DOCS = "https://cloud.ibm.com/apidocs/watsonx-ai"

TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    501: "Not Implemented",
}


class Refused(Refusal):
    """A refusal that can name what it is about.

    Attributes:
        target: the kind ("field", "parameter", "header") and the name of what is wrong.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: tuple[Literal["field", "parameter", "header"], str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.target = target
        self.headers = dict(headers or {})


def body_of(family: Family, refusal: Refusal, *, trace: str, anchor: str = "") -> Any:
    """Return the error body in the words of a family."""
    return _BODIES[family](refusal, trace, anchor)


def reply_to(family: Family, refusal: Refusal, *, trace: str, anchor: str = "") -> Reply:
    """Return the answer that says no."""
    headers = getattr(refusal, "headers", None)
    return json_reply(refusal.status, body_of(family, refusal, trace=trace, anchor=anchor), headers)


def wrong_place(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the page for a path or a method that this host does not serve."""
    return html_reply(status, text, headers)


def _item(refusal: Refusal, anchor: str) -> dict[str, Any]:
    item: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    target = getattr(refusal, "target", None)
    if target:
        item["target"] = {"type": target[0], "name": target[1]}
    item["more_info"] = DOCS + (f"#{anchor}" if anchor else "")
    return item


def _ml(refusal: Refusal, trace: str, anchor: str) -> Any:
    return {"errors": [_item(refusal, anchor)], "trace": trace, "status_code": refusal.status}


def _iam(refusal: Refusal, trace: str, anchor: str) -> Any:
    code, _, details = refusal.code.partition("|")
    body: dict[str, Any] = {"errorCode": code, "errorMessage": refusal.message}
    if details:
        body["errorDetails"] = details
    context = {"requestId": trace, "requestType": "incoming.Identity_Token", "locale": "en_US"}
    return {**body, "context": {**context, "url": "https://iam.cloud.ibm.com"}}


def _tools(refusal: Refusal, trace: str, anchor: str) -> Any:
    text = TEXTS.get(refusal.status, "Error")
    message = "Access denied" if refusal.status in (401, 403) else refusal.message
    return {
        "code": refusal.status,
        "error": text,
        "reason": text,
        "message": message,
        "description": "jwt expired" if refusal.code == "authentication_token_expired" else refusal.message,
    }


def _gateway(refusal: Refusal, trace: str, anchor: str) -> Any:
    return {"error": {"code": refusal.code, "message": refusal.message, "request_id": trace}}


def _files(refusal: Refusal, trace: str, anchor: str) -> Any:
    kind = "authentication_error" if refusal.status == 401 else "invalid_request_error"
    inner = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    outer = {"message": f"{refusal.status} {refusal.message}", "status": refusal.status, "error": inner}
    info = {"code": refusal.code, "param": None, "type": kind, "more_info": f"{DOCS}#{anchor}", "trace": trace}
    return {**outer, **info}


def _schemas(refusal: Refusal, trace: str, anchor: str) -> Any:
    return {"error": refusal.message}


def _platform(refusal: Refusal, trace: str, anchor: str) -> Any:
    return {"trace": trace, "errors": [{"code": refusal.code, "message": refusal.message}]}


def _software(refusal: Refusal, trace: str, anchor: str) -> Any:
    return {"_messageCode_": str(refusal.status), "message": refusal.message}


_BODIES: dict[Family, Callable[[Refusal, str, str], Any]] = {
    "ml": _ml,
    "iam": _iam,
    "tools": _tools,
    "gateway": _gateway,
    "files": _files,
    "schemas": _schemas,
    "platform": _platform,
    "software": _software,
}
