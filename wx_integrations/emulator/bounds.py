"""What a JSON schema demands of numbers and texts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any


class Impossible(ValueError):
    """No value for this schema can be grown here."""


def options_of(schema: Mapping[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    for key in ("anyOf", "oneOf"):
        for branch in schema.get(key, ()):
            if isinstance(branch, Mapping) and "enum" in branch:
                return list(branch["enum"])
    return []


def within(number: float, schema: Mapping[str, Any], *, whole: bool) -> bool:
    if whole and number != int(number):
        return False
    step = schema.get("multipleOf")
    return (
        number >= schema.get("minimum", -math.inf)
        and number > _exclusive(schema, "exclusiveMinimum", -math.inf)
        and number <= schema.get("maximum", math.inf)
        and number < _exclusive(schema, "exclusiveMaximum", math.inf)
        and (not step or math.isclose(number / step, round(number / step)))
    )


def _exclusive(schema: Mapping[str, Any], name: str, default: float) -> float:
    bound = schema.get(name, default)
    if bound is True:
        return float(schema.get(name.removeprefix("exclusive").lower(), default))
    return default if bound is False else bound


def least_number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """Return a number within the bounds, near the lower one, or else near zero."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = _exclusive(schema, "exclusiveMinimum", -math.inf), _exclusive(schema, "exclusiveMaximum", math.inf)
    step = schema.get("multipleOf") or (1 if whole else None)
    start = next((bound for bound in (max(low, above), min(high, below)) if math.isfinite(bound)), 0)
    candidates: list[float] = [0, start, start + (step or 1), start - (step or 1)]
    if math.isfinite(max(low, above)) and math.isfinite(min(high, below)):
        candidates.append((max(low, above) + min(high, below)) / 2)
    if step:
        candidates += [
            math.ceil(start / step) * step,
            math.floor(start / step) * step,
            (math.floor(start / step) + 1) * step,
        ]
    for candidate in candidates:
        value = round(candidate) if whole else candidate
        if within(value, schema, whole=whole):
            return int(value) if whole else value
    raise Impossible("no number lies within the bounds")


def sized(text: str, schema: Mapping[str, Any]) -> str:
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if len(text) < least:
        text = (text or "x") * (least // max(1, len(text)) + 1)
        text = text[: max(least, 1)]
    return text[: int(most)] if most is not None else text


def found_in(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except (re.error, FutureWarning) as error:
        raise Impossible(f"{pattern!r} is not a regular expression: {error}") from None
