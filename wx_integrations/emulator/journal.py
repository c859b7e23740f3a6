"""The journal: what was asked and how it went, without secrets."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wx_integrations.emulator.exchange import Frame, Request

MASK = "***"
_SECRET_NAME = re.compile(r"auth|token|key|secret|password|passwd|credential|cookie|session", re.IGNORECASE)
_HARMLESS = frozenset({"watsonx-ai-sdk-request-id"})
_SHOWN_IN_FORMS = frozenset({"grant_type", "response_type", "scope", "username"})
_SCHEMES = frozenset({"Bearer", "Basic", "ZenApiKey"})
_PARTS = re.compile(r"[\s=;,]+")
_FIELD = re.compile(r"[A-Za-z_]{1,40}")
_SHORTEST = 6
"""Shorter texts are not struck wherever they appear, only where they stand for a secret."""
_BODY_LIMIT = 2_000_000

State = Literal["whole", "open", "finished", "abandoned"]


@dataclass
class Entry:
    """One request and its answer.

    Attributes:
        index: counts from 0 in the order of arrival.
        headers: names in lower case; values that may be secret are masked.
        body: parsed JSON or form, text otherwise, None when empty.
        status: of the reply; 0 when none was given.
        fault: the name of the trouble applied, if any.
        state: "whole", or how far a streamed answer is: "open", "finished", "abandoned".
        frames: streamed frames handed out.
    """

    index: int
    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    trace: str
    status: int = 0
    fault: str | None = None
    state: State = "whole"
    frames: int = 0

    def __str__(self) -> str:
        return f"#{self.index} {self.method} {self.path} -> {self.status}" + (f" ({self.fault})" if self.fault else "")


@dataclass
class Journal:
    """Every request in order; safe to use from many threads."""

    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self.entries))

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]

    @property
    def last(self) -> Entry:
        """The newest entry.

        Raises:
            AssertionError: nothing was asked yet.
        """
        return self._need(list(self.entries), "any request")[-1]

    def open(self, request: Request, trace: str, *, secret: bool) -> Entry:
        """Write down a request; `secret` masks the whole body but harmless form fields."""
        seen = _given_secrets(request)
        query = {name: _masked(name, _strike(value, seen)) for name, value in request.query.items()}
        headers = {name.lower(): _header(name, _strike(value, seen)) for name, value in request.headers.items()}
        body = _secret_body(request) if secret else _open_body(request, seen)
        with self._lock:
            path = _strike(request.path, seen)
            entry = Entry(len(self.entries), request.method, request.host, path, query, headers, body, trace)
            self.entries.append(entry)
        return entry

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.entries.clear()

    # ------------------------------------------------------------------ look and assert

    def find(
        self, path: str | None = None, *, method: str | None = None, status: int | None = None, host: str | None = None
    ) -> list[Entry]:
        """Return the entries that fit; `path` may be the end of a path, such as "text/chat"."""
        return [
            entry
            for entry in list(self.entries)
            if (path is None or entry.path == path or entry.path.endswith("/" + path.lstrip("/")))
            and (method is None or entry.method == method.upper())
            and (status is None or entry.status == status)
            and (host is None or entry.host == host)
        ]

    def bodies(self, path: str | None = None) -> list[Any]:
        """Return the bodies sent to a path."""
        return [entry.body for entry in self.find(path)]

    def one(self, path: str | None = None, **filters: Any) -> Entry:
        """Return the only entry that fits.

        Raises:
            AssertionError: none or several fit; the message lists what was asked.
        """
        found = self.find(path, **filters)
        if len(found) != 1:
            raise AssertionError(f"expected one request to {path or 'anything'}, found {len(found)}\n{self.summary()}")
        return found[0]

    def expect(self, path: str, *, times: int) -> list[Entry]:
        """Return the entries for a path after checking how many there are.

        Raises:
            AssertionError: there are more or fewer.
        """
        found = self.find(path)
        if len(found) != times:
            raise AssertionError(f"expected {times} requests to {path}, found {len(found)}\n{self.summary()}")
        return found

    def summary(self) -> str:
        """Return one line per request."""
        return "\n".join(str(entry) for entry in list(self.entries)) or "(no requests)"

    def _need(self, found: list[Entry], what: str) -> list[Entry]:
        if not found:
            raise AssertionError(f"expected {what}, found none")
        return found


class Watched:
    """The frames of a streamed answer, counted into its entry."""

    def __init__(self, frames: Iterator[Frame], entry: Entry) -> None:
        self._frames = frames
        self._entry = entry
        entry.state = "open"

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            frame = next(self._frames)
        except StopIteration:
            self._entry.state = "finished"
            raise
        self._entry.frames += 1
        return frame

    def close(self) -> None:
        """Stop the work behind the frames."""
        if self._entry.state == "open":
            self._entry.state = "abandoned"
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()


# --------------------------------------------------------------------------- without secrets


def _given_secrets(request: Request) -> list[str]:
    """Return the secrets that the request itself carries, to strike them wherever they appear."""
    found: list[str] = []
    for name, value in request.headers.items():
        if not _is_secret(name):
            continue
        scheme, _, rest = value.partition(" ")
        found += _PARTS.split(rest if scheme in _SCHEMES else value)
        if scheme == "ZenApiKey":
            found.append(_zen_key(rest))
    return [part for part in found if len(part) >= _SHORTEST]


def _zen_key(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_secret(name: str) -> bool:
    return name.lower() not in _HARMLESS and _SECRET_NAME.search(name) is not None


def _strike(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _masked(name: str, value: str) -> str:
    return MASK if _is_secret(name) else value


def _header(name: str, value: str) -> str:
    if name.lower() == "authorization":
        scheme, _, rest = value.partition(" ")
        return f"{scheme} {MASK}" if rest else MASK
    return _masked(name, value)


def _secret_body(request: Request) -> Mapping[str, str] | str | None:
    if not request.body:
        return None
    given = _json(request.body)
    fields = given if isinstance(given, dict) else request.form
    if not fields or not all(_FIELD.fullmatch(str(name)) for name in fields):
        return MASK
    return {str(name): str(value) if name in _SHOWN_IN_FORMS else MASK for name, value in fields.items()}


def _open_body(request: Request, secrets: list[str]) -> Any:
    if not request.body:
        return None
    body = request.body[:_BODY_LIMIT]
    if any(secret.encode() in body for secret in secrets):
        body = _strike(body.decode("utf-8", "replace"), secrets).encode()
    parsed = _json(body)
    return body.decode("utf-8", "replace") if parsed is None else parsed


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
