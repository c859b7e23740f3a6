"""Follows a JSON object through pieces, to know where its text goes astray; pure."""

from __future__ import annotations

import re
from typing import Final

from wx_integrations.core.jsontext import SPACE

FAR: Final = 4096
"""Characters behind the last place where closing what is open made an object: cutting further back takes long."""
DEEP: Final = 200
"""Brackets within each other that any JSON reader bears."""

_INSIDE = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[-+.0-9A-Za-z]*")
_SPACES = re.compile(f"[{SPACE}]*")
_SCALAR = re.compile(r"true|false|null|NaN|-?Infinity|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


class _State:
    """Between two characters.

    Attributes:
        closable: whether closing what is open makes an object here.
        leads: where a character leads; commas and closing brackets depend on what is open as well.
    """

    __slots__ = ("closable", "leads")

    def __init__(self, *, closable: bool = False) -> None:
        self.closable = closable
        self.leads: dict[str, _State] = {}


_VALUE, _KEY, _COLON = _State(), _State(), _State()
_FIRST_VALUE, _FIRST_KEY, _AFTER, _END = (_State(closable=True) for _ in range(4))
_IN_WORD, _IN_KEY, _IN_TEXT = _State(), _State(), _State(closable=True)
_VALUE.leads = _FIRST_VALUE.leads = {
    "{": _FIRST_KEY,
    "[": _FIRST_VALUE,
    '"': _IN_TEXT,
    **dict.fromkeys("-0123456789tfnNI", _IN_WORD),
}
_KEY.leads = _FIRST_KEY.leads = {'"': _IN_KEY}
_COLON.leads = {":": _VALUE}
_CLOSING: Final = {"{": "}", "[": "]"}


class Prefix:
    """What has come of a JSON object so far.

    Attributes:
        astray: how many characters came before it was clear that no object comes of it, or none that could be
            closed without cutting far back, or one too deep; None while all is well.
    """

    __slots__ = ("_escape", "_good", "_open", "_place", "_state", "_word", "astray")

    def __init__(self) -> None:
        self.astray: int | None = None
        self._state = _VALUE
        self._open: list[str] = []
        self._escape = ""  # a backslash and what came of its sequence
        self._word = ""  # a number or a word on its way
        self._place = 0
        self._good = 0

    def feed(self, text: str) -> None:
        """Take the next piece."""
        start, at = self._place, 0
        while at < len(text) and self.astray is None:
            before, at = at, self._step(text, at)
            if at < 0:
                self.astray = start + before
                return
            if self._state.closable:
                self._good = start + at
            elif start + at - self._good > FAR:
                self.astray = self._good + FAR
            if len(self._open) > DEEP:
                self.astray = start + at
        self._place = start + at

    def _step(self, text: str, at: int) -> int:
        """Take one token or a part of it; return where it ends, -1 if it cannot be."""
        state = self._state
        if state is _IN_WORD:
            return self._in_word(text, at)
        if state is _IN_TEXT or state is _IN_KEY:
            return self._in_string(text, at)
        char = text[at]
        if char in SPACE:
            return _end(_SPACES, text, at)
        if not self._open and (state is not _VALUE or char != "{"):
            return -1  # only an object will do, and nothing behind it
        if (following := state.leads.get(char)) is not None:
            self._state = following
            if char in _CLOSING:
                self._open.append(_CLOSING[char])
            return at if following is _IN_WORD else at + 1
        if char == "," and state is _AFTER:
            self._state = _KEY if self._open[-1] == "}" else _VALUE
        elif char == self._open[-1] and state.closable:
            self._open.pop()
            self._state = _AFTER if self._open else _END
        else:
            return -1
        return at + 1

    def _in_string(self, text: str, at: int) -> int:
        if self._escape:
            return self._in_escape(text, at)
        end = _end(_INSIDE, text, at)
        if end == len(text):
            return end
        if text[end] == "\\":
            self._escape = "\\"
        elif text[end] == '"':
            self._state = _COLON if self._state is _IN_KEY else _AFTER
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
        end = _end(_WORD, text, at)
        self._word += text[at:end]
        if end == len(text):
            return end
        word, self._word = self._word, ""
        if _SCALAR.fullmatch(word) is None:
            return -1
        self._state = _AFTER
        return end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where a pattern that may match nothing ends."""
    found = pattern.match(text, at)
    return found.end() if found is not None else at
