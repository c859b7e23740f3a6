"""An example for a regular expression: the shortest text that a common pattern matches."""

from __future__ import annotations

import re

_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_QUANTIFIER = re.compile(r"[*+?]|\{(\d*)(,?)(\d*)\}")


class Unsupported(ValueError):
    """The pattern uses something that no example can be made for here."""


def example(pattern: str) -> str:
    """Return a text that the pattern matches, anchored or not.

    Raises:
        Unsupported: the pattern is wrong, or beyond literals, classes, groups, alternatives and counts.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, FutureWarning) as error:
        raise Unsupported(f"{pattern!r} is not a regular expression: {error}") from None
    text = _Reader(pattern).alternatives()
    if not compiled.search(text):
        raise Unsupported(f"no example for {pattern!r}")
    return text


class _Reader:
    """Reads a pattern from left to right and writes one text for it."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def alternatives(self) -> str:
        """Read alternatives up to the end of the group; the first one counts."""
        texts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            texts.append(self._sequence())
        return texts[0]

    def _sequence(self) -> str:
        text = ""
        while self._peek() and self._peek() not in "|)":
            text += self._counted(self._atom())
        return text

    def _counted(self, atom: str) -> str:
        match = _QUANTIFIER.match(self._pattern, self._at)
        if match is None:
            return atom
        self._at = match.end()
        if self._peek() in ("?", "+"):
            self._take()
        if match.group() in "*?":
            return ""
        return atom if match.group() == "+" else atom * min(int(match.group(1) or 0), 1000)

    def _atom(self) -> str:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        return {"^": "", "$": "", ".": "a"}.get(char, char)

    def _escape(self) -> str:
        char = self._take()
        if char in "bBAZ":
            return ""
        if char.isdigit():
            raise Unsupported("back references are not supported")
        if char in "ux":
            digits = self._pattern[self._at : self._at + (4 if char == "u" else 2)]
            self._at += len(digits)
            return chr(int(digits, 16))
        return _CLASSES.get(char, char)

    def _group(self) -> str:
        self._depth += 1
        if self._depth > 50:
            raise Unsupported("the pattern nests too deeply")
        silent = False
        if self._peek() == "?":
            self._take()
            kind = self._take()
            if kind in "=!" or (kind == "<" and self._peek() in "=!"):
                silent = True
                self._at += kind == "<"
            elif kind in "P<":
                self._at = self._pattern.index(">", self._at) + 1
            elif kind != ":":
                raise Unsupported(f"(?{kind} is not supported")
        text = self.alternatives()
        self._take()
        self._depth -= 1
        return "" if silent else text

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._take()
        members: list[str] = []
        while self._peek() and (self._peek() != "]" or not members):
            char = self._take()
            if char == "\\":
                char = self._escape() or "b"
            members.append(char)
        self._take()
        if not negated:
            return members[0] if members else ""
        outside = (char for char in "a0 -_AZz9" if not re.match(f"[{self._source_of(members)}]", char))
        return next(outside, "~")

    @staticmethod
    def _source_of(members: list[str]) -> str:
        return "".join(char if char == "-" else re.escape(char) for char in members) or "^"
