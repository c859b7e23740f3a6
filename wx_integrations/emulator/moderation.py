"""Moderation by rule: phone numbers, mail addresses and a few rude words are detected, the rest is not.

The shapes are recorded (official Java SDK, 2026). The detector for
`granite_guardian` is taken but never finds anything. A mask is read as: the
value is left out of the report and starred out of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from wx_integrations.core.wire.chat import JsonObject
from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.emulator.bodies import validate
from wx_integrations.emulator.brain import Piece, Text
from wx_integrations.emulator.service import Visit

Side = Literal["input", "output"]
BLOCKED = (
    "Unsuitable input detected. Please check the detected entities on your input and try again with the "
    "unsuitable input removed."
)
_PATTERNS: dict[str, tuple[tuple[str, float, re.Pattern[str]], ...]] = {
    "pii": (
        ("PhoneNumber", 0.8, re.compile(r"(?<![\w.])\+?\d(?:[ -]?\d){8,13}(?![\w.]*\w)")),
        ("EmailAddress", 0.8, re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")),
    ),
    "hap": (("has_HAP", 0.95, re.compile(r"\b(?:idiot|stupid|moron|damn|bastard)s?\b", re.IGNORECASE)),),
    "granite_guardian": (),
}
_IDS = {"pii": "en_syntax_rbr_pii", "hap": "en_syntax_hap"}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
WARNING = {"message": BLOCKED, "id": "UNSUITABLE_INPUT"}


@dataclass(frozen=True)
class Found:
    """Something that a detector found; start inclusive, end exclusive."""

    detector: str
    entity: str
    score: float
    start: int
    end: int
    word: str
    masked: bool


class Switch(Received):
    enabled: bool | None = None
    threshold: float | None = None


class Mask(Received):
    remove_entity_value: bool | None = None


class Detector(Received):
    """How one detector is set; further keys are allowed."""

    input: Switch | None = None
    output: Switch | None = None
    mask: Mask | None = None


class TextRange(Received):
    """Start inclusive, end exclusive."""

    start: int
    end: int


class Wishes(Sent):
    """The `moderations` of a request."""

    hap: Detector | None = None
    pii: Detector | None = None
    granite_guardian: Detector | None = None
    input_ranges: list[TextRange] | None = None


def read_moderation(visit: Visit, wishes: JsonObject | None) -> Moderation:
    """Return what a request wants moderated.

    Raises:
        Refused: a detector is not known, or set to what it does not have.
    """
    validate(visit, Wishes, wishes or {}, "moderations")
    return Moderation(wishes)


class Moderation:
    """What one request wants moderated."""

    def __init__(self, wishes: JsonObject | None) -> None:
        self._wishes = wishes or {}

    def watches(self, side: Side) -> bool:
        """Whether any detector is on for a side."""
        return any(self._switch(name, side) is not None for name in _PATTERNS)

    def find(self, text: str, side: Side, offset: int = 0) -> list[Found]:
        """Return what the detectors of a side find in a text."""
        found = []
        for name, patterns in _PATTERNS.items():
            threshold = self._switch(name, side)
            if threshold is None:
                continue
            for entity, score, pattern in patterns:
                for match in pattern.finditer(text):
                    if score >= threshold and (side == "output" or self._in_ranges(match)):
                        start, end = match.start() + offset, match.end() + offset
                        found.append(Found(name, entity, score, start, end, match.group(), self._masks(name)))
        return found

    def _wish(self, name: str) -> dict[str, JsonValue]:
        wish = self._wishes.get(name)
        return wish if isinstance(wish, dict) else {}

    def _switch(self, name: str, side: Side) -> float | None:
        """Return a detector's threshold, None when it is off; a side that is given is on unless it says otherwise."""
        wish = self._wish(name).get(side)
        if not isinstance(wish, dict) or wish.get("enabled") is False:
            return None
        threshold = wish.get("threshold", 0.0)
        return float(threshold) if isinstance(threshold, int | float) else 0.0

    def _masks(self, name: str) -> bool:
        mask = self._wish(name).get("mask")
        return isinstance(mask, dict) and mask.get("remove_entity_value") is True

    def _in_ranges(self, match: re.Match[str]) -> bool:
        ranges = self._wishes.get("input_ranges")
        if not isinstance(ranges, list):
            return True
        pairs = [(row.get("start", 0), row.get("end", 0)) for row in ranges if isinstance(row, dict)]
        return any(_number(start) <= match.start() and match.end() <= _number(end) for start, end in pairs)


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0.0


# --------------------------------------------------------------------------- reports


def report(found: Sequence[Found], side: Side) -> dict[str, Any]:
    """Return the `moderations` object for what was found."""
    rows: dict[str, Any] = {}
    for one in found:
        row: dict[str, Any] = {
            "score": one.score,
            "input": side == "input",
            "position": {"start": one.start, "end": one.end},
            "entity": one.entity,
        }
        rows.setdefault(one.detector, []).append(row if one.masked else {**row, "word": one.word})
    return rows


def chat_report(found: Sequence[Found], side: Side, index: int) -> dict[str, Any]:
    """Return the `moderations` and `detections` of a chat answer; `index` is the message's or the choice's."""
    results = [
        {
            "detector_id": _IDS[one.detector],
            "detection_type": one.detector,
            "detection": one.entity,
            "score": one.score,
            **({} if one.masked else {"text": one.word}),
            "start": one.start,
            "end": one.end,
        }
        for one in found
    ]
    place = {"message_index" if side == "input" else "choice_index": index}
    return {"moderations": report(found, side), "detections": {side: [{**place, "results": results}]}}


def joined_reports(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the reports of two choices as one."""
    if not first:
        return second
    rows = {name: list(found) for name, found in first["moderations"].items()}
    for name, found in second["moderations"].items():
        rows[name] = [*rows.get(name, []), *found]
    places = [*first["detections"]["output"], *second["detections"]["output"]]
    return {"moderations": rows, "detections": {"output": places}}


def starred(text: str, found: Sequence[Found], offset: int = 0) -> str:
    """Return a text with what a mask covers starred out."""
    for one in found:
        if one.masked:
            start, end = one.start - offset, one.end - offset
            text = text[:start] + "*" * (end - start) + text[end:]
    return text


def by_sentence(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Join pieces of text into sentences, as the service does when it moderates a stream."""
    held = Text("")
    for piece in pieces:
        if isinstance(piece, Text):
            held = Text(held.text + piece.text, (*held.tokens, *piece.tokens))
            if _SENTENCE_END.search(held.text):
                yield held
                held = Text("")
        else:
            if held.text:
                yield held
                held = Text("")
            yield piece
