"""JSON text in pieces: a string unescaped as it comes, and the end of a value found."""

from __future__ import annotations

import re
from typing import Final

SPACE: Final = " \t\n\r"
"""What JSON calls white space."""

_SPECIAL = re.compile(r'["\\]')
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_OPEN_UNICODE = re.compile(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class JsonString:
    """The inside of a JSON string, from after its opening quote.

    An escape that JSON does not know, and half a surrogate pair, stay as they
    are: the object inside then does not parse either.
    """

    __slots__ = ("_open_escape", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._open_escape = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Return the piece's meaning, and what stands after the closing quote and white space."""
        if self.closed:
            return "", text.lstrip(SPACE)
        text = self.take_open_escape() + text
        meant: list[str] = []
        place = 0
        while found := _SPECIAL.search(text, place):
            start = found.start()
            meant.append(text[place:start])
            if text[start] == '"':
                self.closed = True
                return "".join(meant), text[start + 1 :].lstrip(SPACE)
            escape = _read_escape(text, start)
            if escape is None:
                self._open_escape = text[start:]
                return "".join(meant), ""
            piece, place = escape
            meant.append(piece)
        meant.append(text[place:])
        return "".join(meant), ""

    def take_open_escape(self) -> str:
        """Return, and forget, an escape whose end has not arrived."""
        taken, self._open_escape = self._open_escape, ""
        return taken


def _read_escape(text: str, start: int) -> tuple[str, int] | None:
    """Return what the escape at `start` means and where it ends, or None while it is incomplete."""
    unit = _UNICODE.match(text, start)
    if unit is None:
        if _OPEN_UNICODE.match(text, start):
            return None
        kind = text[start + 1]
        return _ESCAPES.get(kind, "\\" + kind), start + 2
    code, end = int(unit[1], 16), unit.end()
    if not 0xD800 <= code <= 0xDFFF:
        return chr(code), end
    if code < 0xDC00:
        if _OPEN_UNICODE.match(text, end):
            return None
        low = _UNICODE.match(text, end)
        if low is not None and 0xDC00 <= int(low[1], 16) <= 0xDFFF:
            return chr(0x10000 + ((code - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)), low.end()
    return unit[0], end


class Balance:
    """Follows brackets and strings through pieces of JSON, to know when the outermost value has closed."""

    __slots__ = ("_depth", "_escaped", "_in_string", "closed")

    _OUTSIDE = re.compile(r'["{}\[\]]')
    _INSIDE = _SPECIAL

    def __init__(self) -> None:
        self.closed = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> None:
        place = 1 if self._escaped and text else 0
        self._escaped = self._escaped and not text
        while found := (self._INSIDE if self._in_string else self._OUTSIDE).search(text, place):
            place = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = place == len(text)
                    place += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    self.closed = self.closed or self._depth <= 0
