"""The kinds of trouble: what a client gets instead of, or made from, the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Literal, Protocol

from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.exchange import Frame, Reply, Trouble, compact, html_reply, json_reply
from wx_integrations.emulator.refusals import Refused, body_of, reply_to
from wx_integrations.emulator.service import Visit

Answer = Callable[[], Reply]
LIMIT_TEXT = "Rate limit of {rate} requests per {per}s was reached for instance id {id} (user IBMid-0, plan {id})"
INSTANCE = "00000000-0000-4000-8000-000000000000"
_CODES = {
    429: ("rate_limit_reached_requests", LIMIT_TEXT.format(rate=2, per=1, id=INSTANCE)),
    500: ("downstream_request_failed", "Downstream request failed"),
}


class Fault(Protocol):
    """Something that goes wrong with one request."""

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Return what the client gets instead of, or made from, the right answer."""


@dataclass(frozen=True)
class Status:
    """An error status; 429 and 500 in the service's words, other 5xx as a gateway's web page.

    Attributes:
        body: "service" or "html" or "empty" to choose; "auto" as above.
    """

    status: int
    code: str | None = None
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Literal["auto", "service", "html", "empty"] = "auto"

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer with the status."""
        kind = self.body
        if kind == "auto":
            kind = "html" if self.status > 500 and self.code is None else "service"
        if kind == "empty":
            return Reply(self.status, dict(self.headers))
        if kind == "html":
            return html_reply(self.status, f"upstream error {self.status}", self.headers)
        code, message = _CODES.get(self.status, ("error", f"Emulated status {self.status}"))
        refusal = Refused(self.status, self.code or code, self.message or message, headers=self.headers)
        return reply_to(visit.route.family, refusal, trace=visit.trace, anchor=visit.route.anchor)


@dataclass(frozen=True)
class RateLimited:
    """429 with the recorded body.

    Attributes:
        retry_after: seconds to announce, None for no header.
        as_date: announce them as an HTTP date.
    """

    retry_after: float | None = None
    as_date: bool = False

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer 429."""
        headers = {}
        if self.retry_after is not None:
            date = formatdate(visit.service.clock() + self.retry_after, usegmt=True)
            headers["retry-after"] = date if self.as_date else f"{self.retry_after:g}"
        return Status(429, headers=headers).apply(visit, answer)


@dataclass(frozen=True)
class Broken:
    """The connection fails before an answer: "refuse", "reset", "close", "timeout" or "garbage"."""

    trouble: Trouble = "reset"

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Break the connection."""
        return Reply(0, trouble=self.trouble)


@dataclass(frozen=True)
class Cut:
    """The answer begins and then ends too early.

    Attributes:
        after: frames of a stream, or bytes of a whole body, that still arrive.
        how: "close" (the peer hangs up in the middle), "reset" (what was under way may be lost too),
            "timeout" (silence), or "end" (a stream that ends cleanly, but too early).
    """

    after: int = 1
    how: Literal["close", "reset", "timeout", "end"] = "close"

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Cut the right answer short."""
        return _altered(answer(), self._frames, pieces=self.after)

    def _frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for _, frame in zip(range(self.after), frames, strict=False):
            yield frame
        if self.how != "end":
            yield Frame(trouble=self.how)


@dataclass(frozen=True)
class ErrorEvent:
    """A stream turns into an `event: error`.

    Attributes:
        after: right frames before it.
        plain: send text instead of the service's JSON.
    """

    after: int = 1
    code: str = "downstream_request_failed"
    message: str = "Downstream request failed"
    plain: bool = False

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Put the error event into the right stream."""
        body = body_of(
            visit.route.family, Refusal(500, self.code, self.message), trace=visit.trace, anchor=visit.route.anchor
        )
        data = self.message.encode() if self.plain else compact(body)

        def frames(right: Iterator[Frame]) -> Iterator[Frame]:
            for _, frame in zip(range(self.after), right, strict=False):
                yield frame
            yield Frame(f"id: {self.after + 1}\nevent: error\ndata: ".encode() + data + b"\n\n")

        return _altered(answer(), frames, pieces=self.after)


@dataclass(frozen=True)
class Page:
    """A web page where JSON should be; status 200 by default, as a captive portal answers."""

    status: int = 200

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer with a page."""
        return html_reply(self.status, "Please log in to the network")


@dataclass(frozen=True)
class ErrorObject:
    """Status 200 whose body is an error."""

    message: str = "Something went wrong"

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Answer 200 with an error object."""
        return json_reply(
            200, {"error": {"code": "internal_error", "message": self.message, "request_id": visit.trace}}
        )


@dataclass(frozen=True)
class Malformed:
    """The right answer with broken contents.

    Attributes:
        how: "truncated" JSON, "types" (numbers and texts swapped), "empty", "utf8" (invalid bytes), "null".
    """

    how: Literal["truncated", "types", "empty", "utf8", "null"] = "truncated"

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Break the right answer's contents; of a stream, each frame."""
        reply = answer()
        if isinstance(reply.body, bytes):
            return replace(reply, body=self._broken(reply.body))

        def frames(right: Iterator[Frame]) -> Iterator[Frame]:
            for frame in right:
                head, mark, data = frame.data.rstrip(b"\n").rpartition(b"data: ")
                yield replace(frame, data=head + mark + self._broken(data) + b"\n\n")

        return _altered(reply, frames, pieces=0)

    def _broken(self, body: bytes) -> bytes:
        match self.how:
            case "truncated":
                return body[: len(body) // 2]
            case "types":
                return body.replace(b'"choices":', b'"choices":7,"_":').replace(b'"results":', b'"results":"x","_":')
            case "utf8":
                return body[: len(body) // 2] + b"\xff\xfe" + body[len(body) // 2 :]
            case "null":
                return b"null"
            case "empty":
                return b""


@dataclass(frozen=True)
class Slow:
    """The right answer, late: seconds before it begins and before each further piece.

    Attributes:
        size: bytes of a whole body per piece.
    """

    before: float = 0.0
    each: float = 0.0
    size: int = 64

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Delay the right answer."""
        reply = answer()
        reply = replace(reply, wait=reply.wait + self.before)

        def frames(right: Iterator[Frame]) -> Iterator[Frame]:
            for frame in right:
                yield replace(frame, wait=frame.wait + self.each)

        return _altered(reply, frames, pieces=self.size) if self.each else reply


@dataclass(frozen=True)
class StaleToken:
    """Every token issued so far expires just now, so that the request is refused with 401."""

    def apply(self, visit: Visit, answer: Answer) -> Reply:
        """Expire the tokens, then answer."""
        visit.service.office.expire_all()
        return answer()


# --------------------------------------------------------------------------- altered bodies


class Altered:
    """Frames made from other frames; closing closes those."""

    def __init__(self, right: Iterator[Frame], frames: Iterator[Frame]) -> None:
        self._right = right
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._frames, None)
        if frame is None or frame.trouble is not None:
            self.close()
        if frame is None:
            raise StopIteration
        return frame

    def close(self) -> None:
        """Stop the work behind the right frames."""
        for frames in (self._right, self._frames):
            close = getattr(frames, "close", None)
            if close is not None:
                close()


def _altered(reply: Reply, change: Callable[[Iterator[Frame]], Iterator[Frame]], *, pieces: int) -> Reply:
    """Change the frames of a reply; a whole body falls into pieces of that many bytes first."""
    if isinstance(reply.body, bytes):
        size = max(1, pieces)
        starts = range(0, len(reply.body), size)
        right = iter([Frame(reply.body[start : start + size]) for start in starts])
    else:
        right = reply.body
    return replace(reply, body=Altered(right, change(right)))
