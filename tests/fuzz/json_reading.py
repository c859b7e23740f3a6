"""Strict reading of JSON for the oracle: its own types and its own rules, nothing of the package's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DEEP = 90


class Wrong(Exception):
    """The answer is not what it has to be: whoever reads it must say so."""


class Unsure(Exception):
    """Reading it and refusing it are both right."""


class _Anything:
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING = _Anything()


def parse(content: bytes) -> Any:
    """Return a JSON text's value.

    Raises:
        Wrong: it is no JSON.
        Unsure: readers may differ: NaN, half surrogate pairs, numbers and nesting beyond what is usual.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("not UTF-8") from None
    try:
        value = json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise Unsure("deep") from None
    except ValueError as error:
        if "limit" in str(error):
            raise Unsure("a number of thousands of digits") from None
        raise Wrong("not JSON") from None
    if _SURROGATE.search(text):
        raise Unsure("surrogates")
    if text.count("[") + text.count("{") > _DEEP and depth(value) > _DEEP:
        raise Unsure("deep")
    return value


def _constant(name: str) -> Any:
    raise Unsure(name)


def depth(value: Any) -> int:
    """Return how deep a value is nested."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(item, dict):
            waiting += [(inner, level + 1) for inner in item.values()]
        elif isinstance(item, list):
            waiting += [(inner, level + 1) for inner in item]
    return deepest


# --------------------------------------------------------------------------- fields


def an_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("not an object")
    return value


def optional(data: dict[str, Any], name: str, kind: Callable[[Any], Any]) -> Any:
    """Return a field, None if it is absent or null."""
    value = data.get(name)
    return None if value is None else kind(value)


def counted(data: dict[str, Any], name: str) -> int:
    """Return a whole number, 0 if it is absent; null is wrong."""
    return 0 if name not in data else whole(data[name])


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("not a text")
    return value


def whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        raise Unsure("a whole number written as a fraction")
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong("not a whole number")
    return value


def number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Wrong("not a number")
    try:
        found = float(value)
    except OverflowError:
        raise Wrong("too large for a float") from None
    if not math.isfinite(found):
        raise Wrong("not finite")
    return found


def items(value: Any, kind: Callable[[Any], Any]) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong("not a list")
    return [kind(item) for item in value]


def texts(value: Any) -> list[str]:
    return items(value, text)


def objects(value: Any) -> list[dict[str, Any]]:
    return items(value, an_object)
