"""The arguments of a tool call: strict parsing, and reading them piece by piece as models write them.

Models of the service send the same JSON object in several ways (recorded
streams, 2024 to 2026): in fragments, whole in one delta, as a JSON string
around the JSON (granite-4), or as a row of deltas that are each a complete
object (mistral-large-2512). What arrived decides which way it is, never the
name of the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

from pydantic_core import from_json

from wx_integrations.core.jsontext import SPACE, JsonString

_HUGE = re.compile(r"\d[eE]\+?\d|\d{309}")
_MAX_LEVELS: Final = 8
"""JSON strings within each other that are taken off; two have been seen."""


class MalformedArguments(ValueError):
    """Arguments are not a JSON object."""


def parse_arguments(text: str) -> dict[str, Any]:
    """Return arguments as a dictionary: strict JSON, an object, nothing repaired.

    Of duplicate keys the last counts, as with every reader of the Python
    ecosystem. NaN, infinities and numbers beyond a float are refused, and so
    are half surrogate pairs and nesting deeper than 200.

    Raises:
        MalformedArguments: anything else; the message does not show the text.
    """
    try:
        value = from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise MalformedArguments(f"the arguments are not JSON ({error})") from None
    except TypeError:
        raise MalformedArguments("the arguments are not JSON (half a surrogate pair)") from None
    if not isinstance(value, dict):
        raise MalformedArguments(f"the arguments are a JSON {_KINDS[type(value)]}, not an object")
    if _HUGE.search(text) and _has_infinity(value):
        raise MalformedArguments("the arguments hold a number too large for a float")
    return value


_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _has_infinity(value: dict[str, Any]) -> bool:
    return any(isinstance(leaf, float) and not math.isfinite(leaf) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    """Yield all that is neither object nor array."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        else:
            yield item


# --------------------------------------------------------------------------- piece by piece


class _Way(Enum):
    UNDECIDED = auto()
    VERBATIM = auto()
    """Fragments of the object, or of something else: shown as they come."""
    STRING = auto()
    """A JSON string around the object: unescaped as it comes."""
    WHOLE = auto()
    """Complete objects: held until the end, the one that carries most counts."""


class ArgumentsReader:
    """Turns the argument texts of one call's deltas into the object's text, as early as it is certain.

    All that `feed` and `finish` return, joined, is the text of the arguments.
    What is no object comes out as it came in. `""`, `null` and a JSON string
    around either become `{}` at the end.

    A JSON string that holds a whole object counts even without its closing
    quote: that text has only one reading.

    Attributes:
        fault: why the text is not to be trusted although it may parse, or None.
    """

    __slots__ = ("_best", "_best_weight", "_finished", "_head", "_levels", "_raw", "_way", "fault")

    def __init__(self) -> None:
        self.fault: str | None = None
        self._way = _Way.UNDECIDED
        self._raw: list[str] = []  # as it came, while nothing of it has been returned
        self._head = ""  # what the innermost text begins with: a part of "null"
        self._levels: list[JsonString] = []
        self._best = ""
        self._best_weight: tuple[int, int] | None = None
        self._finished = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown now."""
        if self._finished:
            if text.strip(SPACE):
                self.fault = "more arguments arrived after the call had ended"
            return text
        if self._way is _Way.VERBATIM:
            return text
        if self._way is _Way.STRING:
            return self._unescaped(text)
        self._raw.append(text)
        stripped = text.strip(SPACE)
        if not stripped and not self._levels and not self._head:
            return ""
        if self._way is _Way.WHOLE:
            return self._next_whole(stripped)
        return self._decide(text, stripped)

    def finish(self, *, cut: bool = False) -> str:
        """Return what was held back.

        Args:
            cut: the answer was cut off, so arguments that never came are missing and do not mean `{}`.
        """
        if self._finished:
            return ""
        self._finished = True
        if self._way is _Way.WHOLE:
            return self._best
        if self._way is _Way.STRING:
            return "".join(level.take_open_escape() for level in reversed(self._levels))
        if self._way is _Way.VERBATIM:
            return ""
        raw = "".join(self._raw)
        absent = self._head in ("", "null") and all(level.closed for level in self._levels)
        return "{}" if absent and not (cut and not raw.strip(SPACE)) else raw

    @property
    def verbatim(self) -> bool:
        """Whether the text is shown as it comes, so that its end is not known from here."""
        return self._way is _Way.VERBATIM

    @property
    def complete(self) -> bool:
        """Whether a whole value has arrived, as far as is known from here."""
        if self._way is _Way.UNDECIDED:
            return self._head == "null" or bool(self._levels and self._levels[0].closed)
        return self._way is _Way.WHOLE or (self._way is _Way.STRING and self._closed)

    @property
    def _closed(self) -> bool:
        return bool(self._levels) and self._levels[0].closed

    def _decide(self, text: str, stripped: str) -> str:
        """Find out which way the arguments come; return nothing until that is certain."""
        if not self._levels and not self._head:
            whole = whole_object(stripped)
            if whole is not None:
                self._way, self._best = _Way.WHOLE, whole
                return ""
        inner = self._unescaped(text)
        while self.fault is None:
            if not self._head:
                inner = inner.lstrip(SPACE)
            if not inner:
                return ""
            if self._head or inner[0] not in '"{':
                word = self._head + inner
                if "null".startswith(word) or word.rstrip(SPACE) == "null":
                    self._head = word.rstrip(SPACE)
                    return ""
                break
            if inner[0] == "{":
                if not self._levels:
                    break
                self._way = _Way.STRING
                self._raw.clear()
                return inner
            if len(self._levels) == _MAX_LEVELS:
                break
            self._levels.append(JsonString())
            inner = self._unescaped(inner[1:], depth=len(self._levels) - 1)
        return self._give_up()

    def _give_up(self) -> str:
        """Return all as it came."""
        self._way, self.fault = _Way.VERBATIM, None
        raw = "".join(self._raw)
        self._raw.clear()
        return raw

    def _next_whole(self, stripped: str) -> str:
        """Weigh another complete object against the best so far."""
        whole = whole_object(stripped)
        if whole is not None:
            weight = _weight(whole)
            if weight >= (self._best_weight or _weight(self._best)):
                self._best, self._best_weight = whole, weight
            return ""
        if stripped[0] in '{"' and not parse_arguments(self._best):
            # `{}` as a placeholder in front of the real arguments, which come in fragments
            self._way = _Way.UNDECIDED
            del self._raw[:-1]
            return self._decide(self._raw[0], stripped)
        return self._give_up()

    def _unescaped(self, text: str, depth: int = 0) -> str:
        """Take text through the levels of JSON strings from `depth` inwards."""
        if depth == len(self._levels):
            return text
        inner, beyond = self._levels[depth].feed(text)
        inner = self._unescaped(inner, depth + 1)
        if beyond:
            self.fault = "text follows the JSON string around the arguments"
            del self._levels[depth:]
            inner += f'"{beyond}'
        return inner


def whole_object(text: str) -> str | None:
    """Return the object's text if a text without white space around it is one whole object, else None.

    JSON strings around the object are taken off.
    """
    for _ in range(_MAX_LEVELS):
        if not (len(text) > 1 and text[0] == text[-1] == '"'):
            break
        try:
            text = from_json(text).strip(SPACE)
        except (ValueError, TypeError):
            return None
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        parse_arguments(text)
    except MalformedArguments:
        return None
    return text


def _weight(text: str) -> tuple[int, int]:
    """Return how much an object carries: the length of its values, then of its text."""
    leaves = _leaves(parse_arguments(text))
    return sum(len(str(leaf)) for leaf in leaves if leaf is not None), len(text)
