"""A stream being read: bytes to events to values, until the value that ends it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

import httpx

from wx_integrations.core import errors
from wx_integrations.core.calls import StreamCall
from wx_integrations.core.errors import StreamBroken, WatsonxError
from wx_integrations.core.exchange import Plan, is_error, note_trace, place, trace_of, unread
from wx_integrations.core.retry import Trail
from wx_integrations.core.secrets import redact, sent_secrets
from wx_integrations.core.sse import Decoder, Event

_NO_STREAM = ("application/json", "text/html", "application/xml", "text/xml")


class Reading:
    """A stream being read: events to values, until the value that ends it."""

    def __init__(self, plan: Plan, call: StreamCall[Any], trail: Trail, request: httpx.Request | None = None) -> None:
        self.plan, self.call, self.trail, self.request = plan, call, trail, request
        self.decoder = Decoder()
        self.arrived: list[bytes] = []  # raw, as bytes cost the garbage collector nothing
        self.complete = False
        self.finished: set[int] = set()
        self.ended = False
        self.trace: str | None = None

    def events(self, piece: bytes) -> list[Event]:
        """Return the events that a piece of the answer completes; raises StreamBroken on one that is too large."""
        try:
            return self.decoder.feed(piece)
        except ValueError as error:
            raise self.broken(f"the stream cannot be read ({error})") from None

    def rest(self) -> Iterable[Any]:
        """Yield what the end of the bytes completes; raises StreamBroken when the end came too early."""
        for name, data in self.decoder.close():
            value = self.value(name, data)
            if value is not None:
                yield value
        if not self.complete:
            raise self.broken("the stream ended before the answer was complete")

    def value(self, name: str, data: bytes) -> Any:
        """Return what an event says, None if that is nothing; raises StreamBroken on an error or a bad frame."""
        if self.ended or not data or data == b"{}":
            return None
        if data == b"[DONE]":
            self.ended, self.complete = True, bool(self.arrived)
            return None
        if name == "error":
            raise self.service_error(data)
        try:
            value = self.call.parse(data)
        except (ValueError, RecursionError) as error:
            if _is_error_body(data):
                raise self.service_error(data) from None
            raise self.broken(f"a frame of the stream cannot be understood ({place(error)})", data) from None
        if is_error(value):
            raise self.service_error(data)
        if not self.arrived:
            note_trace(value, self.trace)
        self.arrived.append(data)
        if self.call.is_last(value):
            self.complete = self.complete or self.call.choices == 1 or self._all_finished(value)
        return value

    def _all_finished(self, value: Any) -> bool:
        """Whether each of several choices has its finish reason, or the usage came, which is last."""
        found = {choice.get("index", 0) for choice in value.get("choices", ()) if choice.get("finish_reason")}
        self.finished |= found
        return not found or len(self.finished) >= self.call.choices

    def service_error(self, data: bytes) -> StreamBroken:
        data = self._shown(data)
        envelope = errors.parse_envelope(data)
        found = errors.facts(envelope) if envelope else {"code": None, "message": "", "trace": None}
        message = found["message"] or errors.excerpt(data)
        code = found["code"]
        label = f"the service broke the stream off{f' ({code})' if code else ''}"
        error = StreamBroken(
            f"{label}: {message.rstrip('. ')}",
            event=errors.excerpt(data),
            code=code,
            trace=found["trace"],
            arrived=self._values_so_far(),
            hint=errors.hint_for(None, code, message),
        )
        return self._noted(error)

    def broken(self, message: str, data: bytes | None = None) -> StreamBroken:
        event = errors.excerpt(self._shown(data)) if data is not None else None
        return self._noted(StreamBroken(message, event=event, arrived=self._values_so_far()))

    def _shown(self, data: bytes) -> bytes:
        return data if self.request is None else redact(data, sent_secrets(self.request.headers.items()))

    def _noted(self, error: StreamBroken) -> StreamBroken:
        error.attempts, error.waited = self.trail.attempts, self.trail.waited
        return error

    def _values_so_far(self) -> tuple[Any, ...]:
        return tuple(self.call.parse(data) for data in self.arrived)

    def pieces(self, response: httpx.Response) -> Iterable[bytes]:
        """Return the bytes of an answer as they arrive.

        What is not compressed comes from the connection itself: httpx' own
        layers above it cost as much as reading an event.
        """
        if "content-encoding" in response.headers:
            return response.iter_bytes()
        assert isinstance(response.stream, httpx.SyncByteStream)
        return response.stream

    def apieces(self, response: httpx.Response) -> AsyncIterable[bytes]:
        """Return the bytes of an answer as they arrive."""
        if "content-encoding" in response.headers:
            return response.aiter_bytes()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return response.stream

    def lacks(self, error: httpx.HTTPError) -> bool:
        """Whether something of the answer is missing after an error, or wrong: a broken checksum is about all of it."""
        return not self.complete or isinstance(error, httpx.DecodingError)

    def unread(self, error: httpx.HTTPError, request: httpx.Request) -> WatsonxError:
        """Return the package's error for one of httpx's that ended the answer."""
        if isinstance(error, httpx.DecodingError):
            return unread(error, request)
        what = "no more data arrived in time" if isinstance(error, httpx.TimeoutException) else "the connection broke"
        return self.broken(f"{what} in the middle of the stream")

    def check(self, response: httpx.Response) -> bool:
        """Whether the answer is a stream; if not, its body must be read and refused."""
        self.trace = trace_of(response)
        kind = response.headers.get("content-type", "").split(";", 1)[0].strip().lower()
        return response.is_success and kind not in _NO_STREAM

    def refuse(self, response: httpx.Response) -> WatsonxError:
        if not response.is_success:
            return self.plan.refusal(response, self.trail)
        return self.plan.not_understood(response, self.trail, ValueError("not an event stream"))


def _is_error_body(data: bytes) -> bool:
    envelope = errors.parse_envelope(data)
    return envelope is not None and bool(envelope.errors or envelope.error or envelope.error_code)
