"""What a contender is.

A new one is one small class: its name, the environment it is installed in, the
imports and the construction as a program would write them, and one method for
each task it can do. A task without its method is left out for that contender.

The methods, each doing what the adapter's user would do, and returning what
the user would get in its plainest form:

| method | does | returns |
|---|---|---|
| `chat()` | one question | the text |
| `achat()` | the same, awaited | the text |
| `batch(count, threads)` | many questions in threads | the texts |
| `stream()`, `astream()` | one question, streamed | yields pieces of text |
| `stream_tools()` | a streamed answer that calls tools | yields anything for each piece |
| `embed(texts)` | many texts | a vector each |
| `rerank(texts)` | a ranking | (index, score), best first |
| `count_tokens(text)` | a text's tokens | their number |
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from benchmarks.answers import MODEL

QUESTION = "Where was the World Series of 2020 played?"
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add numbers.",
        "parameters": {
            "type": "object",
            "properties": {"numbers": {"type": "array", "items": {"type": "integer"}}},
            "required": ["numbers"],
        },
    },
}
PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
VERSION = "2024-03-14"
Kind = Literal["raw", "floor", "together", "ours", "incumbent"]


@dataclass(frozen=True)
class Place:
    """Where the service is: its plain URL, its TLS URL, and the file with the certificates to trust."""

    url: str
    https: str
    ca: str


class Contender:
    """One way of talking to the service."""

    name: ClassVar[str]
    """What it is called on the command line."""
    title: ClassVar[str]
    environment: ClassVar[str]
    """The file of `requirements/` that it needs."""
    kind: ClassVar[Kind]
    floor: ClassVar[str] = ""
    """The no-op model of its framework, by name; without one, raw httpx alone is its floor."""
    tasks: ClassVar[frozenset[str]] = frozenset()
    """The only tasks it takes part in, by name; all that it has methods for if empty."""
    imports: ClassVar[str] = ""
    """Source: what a program that chats imports."""
    construct: ClassVar[str] = ""
    """Source: makes `model` out of URL (of the TLS or the plain port), HTTPS, CA, KEY, PROJECT and MODEL."""
    call: ClassVar[str] = ""
    """Source: an expression, the text that `model` answers to QUESTION."""

    events: int = 10_000
    """How many pieces a stream has, for those who make it up."""
    pause: int = 0
    """After how many pieces those who make it up let other tasks run, as who reads a socket must; never by default."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: dict[str, Any] = names(place)
        exec(self.imports, self.names)

    def build(self) -> Any:
        """Return a chat model made as a program would make it."""
        exec(self.construct, self.names)
        return self.names["model"]

    @cached_property
    def model(self) -> Any:
        return self.build()

    def batch(self, count: int, threads: int) -> list[str]:
        """Ask in threads; frameworks that have a batch of their own use that."""
        chat = self.chat  # type: ignore[attr-defined]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda _: chat(), range(count)))


def names(place: Place, *, tls: bool = False) -> dict[str, Any]:
    """Return what a contender's source may name."""
    url = place.https if tls else place.url
    known = {"URL": url, "HTTPS": place.https, "CA": place.ca, "KEY": "key", "TOKEN": "a.b.c"}
    return known | {"PROJECT": PROJECT, "MODEL": MODEL, "VERSION": VERSION, "QUESTION": QUESTION}
