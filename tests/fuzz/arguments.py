"""Tool calls for the oracle: what the arguments of a call mean, decided with the standard library alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from tests.fuzz.json_reading import ANYTHING, Unsure, an_object, depth, optional, text, whole

CUT = frozenset({"length", "max_tokens", "token_limit", "time_limit", "cancelled"})
_DEEP = 90
BROKEN = None
"""The parsed arguments of a call that must not be executed."""


@dataclass(frozen=True)
class Said:
    """A tool call, or a piece of one, as it came."""

    index: int | None
    id: str
    name: str
    arguments: Any

    @classmethod
    def of(cls, data: dict[str, Any]) -> Said:
        function = optional(data, "function", an_object) or {}
        optional(data, "type", text)
        return cls(
            optional(data, "index", whole),
            optional(data, "id", text) or "",
            optional(function, "name", text) or "",
            function.get("arguments"),
        )

    @property
    def empty(self) -> bool:
        return not (self.id or self.name) and self.arguments in (None, "")


@dataclass(frozen=True)
class Called:
    """A whole call; `arguments` is None when they are no object, which somebody must be told."""

    id: Any
    name: str
    arguments: Any


def whole_call(said: Said, reason: str | None) -> Called | None:
    """Return a call of an answer that was not streamed; None for an entry that says nothing."""
    if said.empty:
        return None
    given = said.arguments
    if isinstance(given, dict):
        given = json.dumps(given)
    elif given is not None and not isinstance(given, str):
        given = "0"
    return Called(said.id or ANYTHING, said.name, meaning(given, cut=reason in CUT) if said.name else BROKEN)


def meaning(given: str | None, *, cut: bool) -> dict[str, Any] | None:
    """Return the object that a text of arguments means, or BROKEN.

    Raises:
        Unsure: it can be read in more than one way.
    """
    stripped = (given or "").strip(" \t\n\r")
    if not stripped:
        return BROKEN if cut else {}
    for _ in range(4):
        value = _parsed(stripped)
        if isinstance(value, dict):
            return value
        if value is None and stripped == "null":
            return {}
        if not isinstance(value, str):
            if stripped.startswith('"'):
                raise Unsure("text behind a value, or an open one")
            return BROKEN
        stripped = value.strip(" \t\n\r")
        if not stripped:
            return {}
    raise Unsure("many quotes")


def _parsed(given: str) -> Any:
    """Return a JSON text's value, ANYTHING but a text or an object when it is none."""
    try:
        value = json.loads(given, parse_constant=_constant)
    except RecursionError:
        raise Unsure("deep") from None
    except ValueError:
        return 0
    if depth(value) > _DEEP:
        raise Unsure("deep")
    return 0 if _is_infinite(value) or _has_surrogates(value) else value


def _constant(name: str) -> Any:
    raise ValueError(name)


def _is_infinite(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case dict():
            return any(map(_is_infinite, value.values()))
        case list():
            return any(map(_is_infinite, value))
    return False


def _has_surrogates(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


# --------------------------------------------------------------------------- streamed


def assembled(pieces: list[Said], reason: str | None) -> Any:
    """Return the calls that deltas make, in order of appearance.

    Only what every reader would read alike: calls told apart by index, ids and
    names that do not contradict themselves; anything else is ANYTHING.
    """
    told = [piece for piece in pieces if not piece.empty]
    if any(not isinstance(piece.arguments, str | None) for piece in told):
        return ANYTHING
    calls: dict[int | None, list[Said]] = {}
    for piece in told:
        calls.setdefault(piece.index, []).append(piece)
    if None in calls and len(calls) > 1:
        return ANYTHING
    try:
        return [_one(deltas, reason) for deltas in calls.values()]
    except Unsure:
        return ANYTHING


def _one(deltas: list[Said], reason: str | None) -> Called:
    ids = {delta.id for delta in deltas if delta.id}
    names = {delta.name for delta in deltas if delta.name}
    if len(ids) > 1 or len(names) != 1:
        raise Unsure("a call that contradicts itself")
    if deltas[0].index is None and sum(bool(delta.name) for delta in deltas) > 1:
        raise Unsure("a name said again, which may be another call")
    if ids and not any(delta.id for delta in deltas[: 1 + next(i for i, delta in enumerate(deltas) if delta.name)]):
        raise Unsure("an id that comes after the name")
    texts = [delta.arguments for delta in deltas if delta.arguments and delta.arguments.strip(" \t\n\r")]
    objects = [found for piece in texts if isinstance(found := _parsed(piece), dict)]
    whole = "".join(delta.arguments or "" for delta in deltas)
    if len(objects) > 1 and len(objects) == len(texts):
        weights = [sum(len(str(value)) for value in found.values()) for found in objects]
        heaviest = [found for found, weight in zip(objects, weights, strict=True) if weight == max(weights)]
        if any(found != heaviest[0] for found in heaviest):
            raise Unsure("objects that carry as much as each other")
        best = heaviest[-1]
        return Called(next(iter(ids), ANYTHING), next(iter(names)), best)
    if objects and len(texts) > 1:
        raise Unsure("objects and fragments")
    return Called(next(iter(ids), ANYTHING), next(iter(names)), meaning(whole, cut=reason in CUT))
