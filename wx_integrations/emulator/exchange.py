"""What goes through the emulator: a request in, a reply out; no sockets, no httpx.

A reply's body is bytes or an iterator of frames. Waiting and breaking off are
part of the value: the skins (in-process transport, socket server) obey.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

Trouble = Literal["refuse", "reset", "close", "timeout", "garbage"]
"""How a connection fails: not accepted, reset, closed by the peer too early, silence, or bytes that are not HTTP."""


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Attributes:
        url: the full URL as the client sees it.
        headers: by name; looked up in lower case.
        trusted: whether whoever asks may have programs run on this machine.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    trusted: bool = True

    @cached_property
    def _lowered(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def header(self, name: str) -> str | None:
        """Return a header's value, whatever its case."""
        return self._lowered.get(name.lower())

    @cached_property
    def host(self) -> str:
        """The host name without port, in lower case; the Host header wins over the URL."""
        named = self.header("host")
        return (_split(f"//{named}") if named else self._parts).hostname or ""

    @cached_property
    def _parts(self) -> SplitResult:
        return _split(self.url)

    @cached_property
    def path(self) -> str:
        return self._parts.path or "/"

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; the last one wins."""
        return dict(parse_qsl(self._parts.query, keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """The body as a form; empty when it is not one."""
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            return {}


def _split(url: str) -> SplitResult:
    """Split a URL; one that makes no sense has no parts."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


@dataclass(frozen=True)
class Frame:
    """A piece of a body.

    Attributes:
        wait: seconds before it goes out.
        trouble: break the connection here instead.
    """

    data: bytes = b""
    wait: float = 0.0
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Reply:
    """One HTTP answer.

    Attributes:
        body: the whole, or its frames; closing the iterator stops the work behind it.
        wait: seconds before the answer begins.
        trouble: fail this way instead of answering.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[Frame] = b""
    wait: float = 0.0
    trouble: Trouble | None = None

    def close(self) -> None:
        """Stop the work behind the body."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


def compact(value: Any) -> bytes:
    """Return JSON the way the service writes it: no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON answer."""
    return Reply(status, {"content-type": "application/json", **(headers or {})}, compact(value))


def html_reply(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the kind of page a gateway in front of the service answers with."""
    page = f"<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><p>{text}</p></body></html>\n"
    return Reply(status, {"content-type": "text/html", **(headers or {})}, page.encode())
