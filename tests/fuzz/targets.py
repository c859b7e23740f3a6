"""What coverage-guided fuzzing looks at: functions that take any bytes and hold for all of them.

`events`: any bytes in any pieces give the events that the oracle sees in the
whole body, never an error but the one that says that an event is too large.
`arguments`: any deltas of tool calls come out as the calls that the oracle
reads, whole or with the reason why not, ids and names once, in pieces that
add up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tests.fuzz.arguments import Called, Said, assembled, whole_call
from tests.fuzz.frames import decode
from tests.fuzz.json_reading import ANYTHING, Unsure
from wx_integrations.core.arguments import ArgumentsReader, MalformedArguments, parse_arguments
from wx_integrations.core.jsontext import Balance
from wx_integrations.core.sse import Decoder, Event, EventTooLarge
from wx_integrations.core.toolcalls import AssembledCall, Assembler, CallDelta, whole_calls
from wx_integrations.core.wire.frames import FunctionDelta, ToolCallDelta

LIMIT = 64


def events(data: bytes) -> None:
    """Decode the bytes whole, in the pieces that the first byte says, and byte by byte."""
    size = data[0] % 32 + 1 if data else 1
    body = data[1:]
    whole = decoded([body])
    pieces = decoded([body[start : start + size] for start in range(0, len(body), size)])
    bytewise = decoded([bytes([byte]) for byte in body])
    assert whole == pieces == bytewise, "another result in other pieces"
    found, too_large = whole
    assert too_large or all(len(data) <= LIMIT for _, data in found)
    try:
        there = [(frame.name, frame.data) for frame in decode(body)]
    except Unsure:
        return  # whether the last event, which was cut, is whole
    assert found == (there[: len(found)] if too_large else there), "not what is there"


def decoded(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Event], bool]:
    decoder = Decoder(limit)
    found: list[Event] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.close()
    except EventTooLarge:
        return found, True
    return found, False


# --------------------------------------------------------------------------- arguments


def arguments(data: bytes) -> None:
    """Read the bytes as arguments: whole, in pieces, and as deltas of several calls."""
    text = data.decode("utf-8", "replace")
    _strictly(text)
    _in_pieces(text)
    _assembled(data)


def _strictly(text: str) -> None:
    try:
        value = parse_arguments(text)
    except MalformedArguments:
        return
    assert value == json.loads(text), "another value than the standard library's"
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def _in_pieces(text: str) -> None:
    """An object means the same in any pieces; of anything else the pieces decide, as objects in a row show."""
    wanted = _meaning(text)
    for size in (len(text) or 1, 1, 3, 7):
        reader = ArgumentsReader()
        joined = "".join(reader.feed(text[start : start + size]) for start in range(0, len(text), size))
        joined += reader.finish()
        assert wanted is None or _meaning(joined) == wanted, "another result in other pieces"
    balance, bytewise = Balance(), Balance()
    balance.feed(text)
    for char in text:
        bytewise.feed(char)
    assert balance.closed == bytewise.closed


def _meaning(text: str) -> object:
    try:
        return parse_arguments(text)
    except MalformedArguments:
        return None


def _assembled(data: bytes) -> None:
    deltas = [delta for line in data.split(b"\n") if (delta := _delta(line)) is not None]
    assembler = Assembler(new_id=lambda: "made")
    shown: list[CallDelta] = []
    for delta in deltas:
        shown += assembler.feed(0, [delta])
    shown += assembler.finish()
    pieces: dict[int, list[CallDelta]] = {}
    for piece in shown:
        pieces.setdefault(piece.index, []).append(piece)
    for call in assembler.calls():
        first, *rest = pieces[call.index]
        assert (first.id, first.name) == (call.id, call.name)
        assert all(piece.id is None and piece.name is None for piece in rest)
        assert "".join(piece.arguments for piece in (first, *rest)) == call.arguments
        assert (call.parsed is None) != (call.error is None)
        assert call.parsed is None or json.loads(call.arguments) == call.parsed
    _agrees(assembler.calls(), assembled([_said(delta) for delta in deltas], None))
    whole = whole_calls(deltas, new_id=lambda: "made")
    try:
        meant = [whole_call(_said(delta), None) for delta in deltas]
    except Unsure:
        meant = []
    _agrees(whole, [call for call in meant if call is not None] if meant else ANYTHING)


def _agrees(calls: list[AssembledCall], meant: Any) -> None:
    """Compare calls with what the oracle reads."""
    for call in calls:
        assert (call.parsed is None) != (call.error is None)
    seen = [Called(call.id, call.name, call.parsed) for call in calls]
    assert seen == meant, f"not the calls that are there: {meant}"


DELTA = TypeAdapter(ToolCallDelta)


def _said(delta: ToolCallDelta) -> Said:
    index, id, function = delta.get("index"), delta.get("id") or "", delta.get("function")
    if function is None:
        return Said(index, id, "", None)
    return Said(index, id, function.get("name") or "", function.get("arguments"))


def _delta(line: bytes) -> ToolCallDelta | None:
    """Return a line as a delta: JSON of one, or else its first letters as index, id and name before a bar."""
    try:
        return DELTA.validate_json(line)
    except (ValidationError, ValueError):
        pass
    head, bar, rest = line.decode("utf-8", "replace").partition("|")
    if not bar:
        return None
    function = FunctionDelta(name=head[2:3] or None, arguments=rest)
    return ToolCallDelta(index=ord(head[0]) % 4 if head else None, id=head[1:2] or None, function=function)


TARGETS: dict[str, Callable[[bytes], None]] = {"events": events, "arguments": arguments}
