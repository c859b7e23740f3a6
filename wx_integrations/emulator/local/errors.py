"""What can go wrong before a local model answers."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


class FetchError(Exception):
    """A model could not be fetched.

    Attributes:
        name: the model.
        what: what happened.
        next_step: what to do about it.
    """

    def __init__(self, name: str, what: str, next_step: str) -> None:
        self.name = name
        self.what = redact(what)
        self.next_step = redact(next_step)
        super().__init__(f"{name}: {self.what} {self.next_step}")

    def __reduce__(self) -> tuple[type[FetchError], tuple[str, str, str]]:
        return type(self), (self.name, self.what, self.next_step)


class MissingExtra(ImportError):
    """The engine for local models is not installed."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            "Local models need the engine xllamacpp, which is not installed or does not load here"
            + (f" ({detail})" if detail else "")
            + '. Install it with: pip install "wx-integrations[local]"'
            + " (on slim Linux images also: apt-get install libgomp1)."
        )


def redact(text: str) -> str:
    """Return the text without the credentials of the URLs in it."""
    return _CREDENTIALS.sub("", text)
