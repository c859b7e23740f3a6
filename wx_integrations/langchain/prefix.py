"""Follows a JSON object through pieces, to know where its text goes astray; pure."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

FAR: Final = 4096
"""Characters behind the last place where closing what is open made an object: cutting further back takes long."""
DEEP: Final = 200
"""Brackets within each other that any JSON reader bears."""

_INSIDE = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[-+.0-9A-Za-z]*")
_SCALAR = re.compile(r"true|false|null|NaN|-?Infinity|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_SCALARS_START = re.compile(r"[-0-9tfnNI]")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


class _State(Enum):
    VALUE = auto()
    FIRST_VALUE = auto()
    KEY = auto()
    FIRST_KEY = auto()
    COLON = auto()
    AFTER = auto()
    WORD = auto()
    NAMING = auto()
    """Inside a key."""
    SAYING = auto()
    """Inside a text that is a value."""
    END = auto()


class Prefix:
    """What has come of a JSON object so far.

    Attributes:
        astray: how many characters came before it was clear that no object comes of it, or none that could be
            closed without cutting far back, or one too deep; None while all is well.
    """

    __slots__ = ("_escape", "_good", "_open", "_place", "_state", "_word", "astray")

    def __init__(self) -> None:
        self.astray: int | None = None
        self._state = _State.VALUE
        self._open: list[str] = []
        self._escape = ""  # a backslash and what came of its sequence
        self._word = ""  # a number or a word on its way
        self._place = 0
        self._good = 0

    def feed(self, text: str) -> None:
        """Take the next piece."""
        at = 0
        while at < len(text) and self.astray is None:
            before = at
            at = self._step(text, at)
            if at < 0:
                self.astray = self._place
                return
            self._place += at - before
            if self._state in (_State.SAYING, _State.FIRST_VALUE, _State.FIRST_KEY, _State.AFTER, _State.END):
                self._good = self._place
            elif self._place - self._good > FAR:
                self.astray = self._good + FAR
            if len(self._open) > DEEP:
                self.astray = self._place

    def _step(self, text: str, at: int) -> int:
        """Take one token or a part of it; return where it ends, -1 if it cannot be."""
        match self._state:
            case _State.SAYING | _State.NAMING:
                return self._in_string(text, at)
            case _State.WORD:
                return self._in_word(text, at)
        char = text[at]
        if char in " \t\n\r":
            return at + 1
        match self._state, char:
            case ((_State.VALUE | _State.FIRST_VALUE), "{"):
                self._open.append("}")
                self._state = _State.FIRST_KEY
            case ((_State.VALUE | _State.FIRST_VALUE), _) if not self._open:
                return -1  # only an object will do
            case ((_State.VALUE | _State.FIRST_VALUE), "["):
                self._open.append("]")
                self._state = _State.FIRST_VALUE
            case ((_State.VALUE | _State.FIRST_VALUE), '"'):
                self._state = _State.SAYING
            case ((_State.KEY | _State.FIRST_KEY), '"'):
                self._state = _State.NAMING
            case _State.COLON, ":":
                self._state = _State.VALUE
            case _State.AFTER, ",":
                self._state = _State.KEY if self._open[-1] == "}" else _State.VALUE
            case ((_State.AFTER | _State.FIRST_KEY | _State.FIRST_VALUE), ("}" | "]")) if self._open[-1] == char:
                self._open.pop()
                self._state = _State.AFTER if self._open else _State.END
            case ((_State.VALUE | _State.FIRST_VALUE), _) if _SCALARS_START.match(char):
                self._state = _State.WORD
                return at
            case _:
                return -1
        return at + 1

    def _in_string(self, text: str, at: int) -> int:
        if self._escape:
            return self._in_escape(text, at)
        found = _INSIDE.match(text, at)
        end = found.end() if found is not None else at
        if end == len(text):
            return end
        if text[end] == "\\":
            self._escape = "\\"
        elif text[end] == '"':
            self._state = _State.COLON if self._state is _State.NAMING else _State.AFTER
        else:
            return -1
        return end + 1

    def _in_escape(self, text: str, at: int) -> int:
        char = text[at]
        if self._escape == "\\":
            if char not in '"\\/bfnrtu':
                return -1
            self._escape = "\\u" if char == "u" else ""
        elif char not in _HEXADECIMAL:
            return -1
        else:
            self._escape = self._escape + char if len(self._escape) < 5 else ""
        return at + 1

    def _in_word(self, text: str, at: int) -> int:
        found = _WORD.match(text, at)
        end = found.end() if found is not None else at
        self._word += text[at:end]
        if end == len(text):
            return end
        word, self._word = self._word, ""
        if _SCALAR.fullmatch(word) is None:
            return -1
        self._state = _State.AFTER
        return end
