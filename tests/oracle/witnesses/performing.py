"""Calls of a client, one after another: before each the server is told its name."""

from __future__ import annotations

import contextlib
import ssl
import traceback
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Server:
    """Where the service is, and what opens it.

    Attributes:
        ca: the file with its certificate authority.
        key: an API key that is accepted.
    """

    url: str
    ca: str
    key: str

    def tell(self, what: str) -> None:
        """Ask the recorder for something: `/step/<name>`, or `/now/<trouble>`."""
        context = ssl.create_default_context(cafile=self.ca)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(self.url + what, context=context, timeout=30).close()


class Calls:
    """A client's calls: each public method is one, in the order of their definition; it returns what JSON can hold.

    Attributes:
        family: whose they are.
    """

    family = ""

    def __init__(self, server: Server) -> None:
        self._server = server


def names_of(kind: type[Calls]) -> list[str]:
    """Return the names of the calls; a subclass's own come after the ones it inherits."""
    found = [name for base in reversed(kind.__mro__) for name, value in vars(base).items() if callable(value)]
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


def perform(calls: Calls, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Make every call, or these in their order; a call's failure is its result."""
    results: dict[str, Any] = {}
    for name in names_of(type(calls)) if names is None else names:
        calls._server.tell(f"/step/{calls.family}/{name}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                results[name] = {"ok": getattr(calls, name)()}
            except Exception as error:
                shown = traceback.format_exc()[-1500:]
                results[name] = {"error": f"{type(error).__name__}: {error}", "trace": shown}
    return results


def error_of(call: Callable[[], Any]) -> str:
    """Return the name of what a call raises."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "no error"


def peak(vector: list[float]) -> int:
    """Return where a vector is largest, which tells vectors apart."""
    return vector.index(max(vector))
