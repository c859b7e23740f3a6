"""Arguments of tool calls in pieces that LangChain can add up: not too long, not too deep, and never repaired; pure."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from wx_integrations.core.arguments import whole_object
from wx_integrations.core.toolcalls import AssembledCall, CallDelta

_DEEPEST = 200
"""Brackets within each other that LangChain's JSON reader surely bears."""
_LONG = 256
"""Characters of arguments that LangChain is handed at a time: what does not parse it tries again without each last
character, which takes minutes for a piece of a megabyte."""


def piece_of(delta: CallDelta) -> ToolCallChunk:
    """Return a delta as LangChain has it."""
    return tool_call_chunk(name=delta.name, args=delta.arguments, id=delta.id, index=delta.index)


def is_long(piece: ToolCallChunk) -> bool:
    """Whether LangChain had to try long to parse a piece."""
    text = piece["args"] or ""
    return len(text) > _LONG and not (text[0] == "{" and whole_object(text))


def parts_of(piece: ToolCallChunk) -> Iterator[ToolCallChunk]:
    """Yield a piece in parts that add up to it."""
    if not is_long(piece):
        yield piece
        return
    text, index = piece["args"] or "", piece["index"]
    yield tool_call_chunk(name=piece["name"], args=text[:_LONG], id=piece["id"], index=index)
    for start in range(_LONG, len(text), _LONG):
        yield tool_call_chunk(name=None, args=text[start : start + _LONG], id=None, index=index)


def seal_of(call: AssembledCall) -> ToolCallChunk | None:
    """Return a last piece that keeps a broken call from being repaired, or None if none is needed.

    LangChain completes cut-off JSON when it adds chunks up, so arguments that
    hit the token limit would look whole and be executed. A bracket that closes
    nothing is the one thing it does not repair.
    """
    if call.parsed is not None or not (len(call.arguments) > _LONG or _would_be_repaired(call.arguments)):
        return None
    return tool_call_chunk(name=None, args=_unmatched(call.arguments), id=None, index=call.index)


def is_deep(text: str) -> bool:
    """Whether brackets are nested so deeply that LangChain's JSON reader gives up with a RecursionError."""
    level = deepest = 0
    inside = escaped = False
    if text.count("{") + text.count("[") <= _DEEPEST:
        return False
    for char in text:
        if inside:
            inside = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        else:
            level += (char in "{[") - (char in "]}")
            deepest = max(deepest, level)
    return deepest > _DEEPEST


def _would_be_repaired(text: str) -> bool:
    try:
        return isinstance(parse_partial_json(text) if text else {}, dict)
    except ValueError:
        return False


def _unmatched(text: str) -> str:
    """Return the shortest end that leaves an open JSON text with a bracket that closes nothing."""
    inside, escaped = False, False
    depth: list[str] = []
    for char in text:
        if inside:
            inside = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "{[":
            depth.append("}" if char == "{" else "]")
        elif char in "}]" and depth:
            depth.pop()
    end = ("\\" if escaped else "") + '"' if inside else ""
    return end + ("]" if depth and depth[-1] == "}" else "}")
