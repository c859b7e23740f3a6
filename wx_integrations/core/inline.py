"""What some models write into their text: thoughts between tags, and tool calls as text.

Granite 3.x and others put `<think>...</think>` (and `<response>...</response>`)
into the content instead of `reasoning_content`; some write `<tool_call>{...}`
when they should have called. Both splitters are pure, work on pieces of any
size and give the same result however the text is cut.
"""

from collections.abc import Collection, Iterator
from enum import Enum, auto
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from wx_integrations.core.wire.chat import THINK

_END_THINK = "</think>"
_RESPONSE, _END_RESPONSE = "<response>", "</response>"


class _Place(Enum):
    START = auto()
    THOUGHT = auto()
    BETWEEN = auto()
    RESPONSE = auto()
    TEXT = auto()


class ThoughtSplitter:
    """Parts an answer that begins with `<think>` into the thought and the text after it.

    Tags elsewhere are text like any other. Nothing is lost: an answer that
    ends within a thought is all thought.
    """

    __slots__ = ("_held", "_leading", "_place")

    def __init__(self) -> None:
        self._place = _Place.START
        self._held = ""
        self._leading = False

    @property
    def passes(self) -> bool:
        """Whether whatever follows is plain text, so that feeding is no longer needed."""
        return self._place is _Place.TEXT and not self._held

    def feed(self, text: str) -> tuple[str, str]:
        """Return the next piece of the thought and the next piece of the text; either may be empty."""
        if self._is(_Place.TEXT):
            return "", text
        self._held += text
        thought = ""
        if self._is(_Place.START):
            self._open(THINK, _Place.THOUGHT)
        if self._is(_Place.THOUGHT):
            thought, ended = self._until(_END_THINK, _Place.BETWEEN)
            if not ended:
                return thought, ""
        if self._is(_Place.BETWEEN):
            self._held = self._held.lstrip()
            self._open(_RESPONSE, _Place.RESPONSE)
        said = ""
        if self._is(_Place.RESPONSE):
            said, _ = self._until(_END_RESPONSE, _Place.TEXT)
        if self._is(_Place.TEXT):
            said, self._held = said + self._held, ""
        return thought, said

    def finish(self) -> tuple[str, str]:
        """Return what was held back at the end of the answer."""
        held, self._held = self._held, ""
        if self._place is _Place.THOUGHT:
            return held, ""
        return "", held

    def _is(self, place: _Place) -> bool:
        return self._place is place

    def _open(self, tag: str, inside: _Place) -> None:
        """Move inside if the held text begins with a tag, past it if it cannot, or wait."""
        start = self._held.lstrip()
        if start.startswith(tag):
            self._held = start[len(tag) :]
            self._place = inside
            self._leading = True
        elif not tag.startswith(start):
            self._place = _Place.TEXT

    def _until(self, tag: str, after: _Place) -> tuple[str, bool]:
        """Return the held text up to a tag, without white space in front, keeping back what may begin the tag."""
        if self._leading:
            self._held = self._held.lstrip()
            self._leading = not self._held
        before, found, rest = self._held.partition(tag)
        if found:
            self._held, self._place = rest, after
            return before, True
        keep = _overlap(self._held, tag)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown, False


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of a text may begin a tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


# --------------------------------------------------------------------------- tool calls as text


class WrittenCall(NamedTuple):
    """A tool call that a model wrote as text; `arguments` is JSON as text."""

    name: str
    arguments: str


_OPENINGS = {"<tool_call>": "</tool_call>", "<|tool_call|>": "<|end_of_text|>"}


class WrittenCalls:
    """Finds calls of known tools that a model wrote as text.

    What looks like a call but is none (no JSON, an unknown name) stays text,
    as it came.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self._opening = ""

    def feed(self, text: str) -> tuple[str, list[WrittenCall]]:
        """Return the text that can be shown and the calls that are complete."""
        self._held += text
        shown = ""
        calls: list[WrittenCall] = []
        while True:
            if not self._opening:
                shown += self._before_opening()
                if not self._opening:
                    return shown, calls
            body, closed, rest = self._held.partition(_OPENINGS[self._opening])
            if not closed:
                return shown, calls
            more_text, more_calls = self._read(body, closed)
            shown += more_text
            calls += more_calls
            self._held = rest

    def finish(self) -> tuple[str, list[WrittenCall]]:
        """Return what was held back; a call whose closing tag never came counts as well."""
        held, self._held = self._held, ""
        if not self._opening:
            return held, []
        return self._read(held, "")

    def _before_opening(self) -> str:
        """Return the held text up to the first opening tag, and step inside it if there is one."""
        found = [(place, tag) for tag in _OPENINGS if (place := self._held.find(tag)) >= 0]
        if found:
            place, self._opening = min(found)
            shown, self._held = self._held[:place], self._held[place + len(self._opening) :]
            return shown
        keep = max(_overlap(self._held, tag) for tag in _OPENINGS)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def _read(self, body: str, closing: str) -> tuple[str, list[WrittenCall]]:
        opening, self._opening = self._opening, ""
        calls = list(_calls(body, self._names))
        return ("", calls) if calls else (opening + body + closing, [])


def _calls(body: str, names: Collection[str]) -> Iterator[WrittenCall]:
    """Yield the calls of a JSON object or a list of them; nothing if any of it is no known call."""
    try:
        data = from_json(body.strip())
    except ValueError:
        return
    found = [_call(item, names) for item in (data if isinstance(data, list) else [data])]
    if None not in found:
        yield from (call for call in found if call is not None)


def _call(item: Any, names: Collection[str]) -> WrittenCall | None:
    match item:
        case {"name": str(name), "arguments": arguments} | {"name": str(name), "parameters": arguments}:
            pass
        case {"name": str(name)}:
            arguments = {}
        case _:
            return None
    if name not in names:
        return None
    if isinstance(arguments, dict):
        return WrittenCall(name, to_json(arguments).decode())
    return WrittenCall(name, arguments) if isinstance(arguments, str) else None
