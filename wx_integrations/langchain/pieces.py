"""Arguments of tool calls in pieces that LangChain can add up: not too long, not too deep, and never repaired; pure."""

from __future__ import annotations

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from wx_integrations.core.arguments import whole_object
from wx_integrations.core.toolcalls import AssembledCall, CallDelta
from wx_integrations.langchain.prefix import Prefix

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


def parts_of(piece: ToolCallChunk) -> list[ToolCallChunk]:
    """Return a piece in parts that add up to it."""
    if not is_long(piece):
        return [piece]
    text, index = piece["args"] or "", piece["index"]
    first = tool_call_chunk(name=piece["name"], args=text[:_LONG], id=piece["id"], index=index)
    starts = range(_LONG, len(text), _LONG)
    return [first, *(tool_call_chunk(name=None, args=text[at : at + _LONG], id=None, index=index) for at in starts)]


class Pieces:
    """Cuts the arguments of one answer's calls so that LangChain can add them up at any moment.

    LangChain adds chunks up also when a stream breaks or its consumer leaves,
    and looks for an object in what had come: in vain for minutes if a megabyte
    is none. As soon as long arguments go astray, or hold a name of thousands
    of characters, they get a seal, a bracket that closes nothing, behind which
    it does not look.
    """

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._lengths: dict[int, int] = {}
        self._prefixes: dict[int, Prefix] = {}
        self._sealed: set[int] = set()

    def of(self, delta: CallDelta) -> list[ToolCallChunk]:
        """Return a delta as LangChain has it, in as many parts as are needed."""
        piece, index = piece_of(delta), delta.index
        before = self._lengths.get(index, 0)
        astray = self._follow(index, delta.arguments, whole=not before and not is_long(piece))
        if astray is None:
            return parts_of(piece)
        text = "".join(self._texts.pop(index))
        self._sealed.add(index)
        place = max(astray, before, _LONG)
        head, seal, tail = text[before:place], _unmatched(text[:place]), text[place:]
        found = [tool_call_chunk(name=delta.name, args="", id=delta.id, index=index)]
        for part in (head, seal, tail):
            found += parts_of(tool_call_chunk(name=None, args=part, id=None, index=index))
        return found

    def _follow(self, index: int, text: str, *, whole: bool) -> int | None:
        """Return where a call's long arguments went astray, once; `whole` says that this piece is an object."""
        if index in self._sealed:
            return None
        texts = self._texts.setdefault(index, [])
        texts.append(text)
        length = self._lengths[index] = self._lengths.get(index, 0) + len(text)
        if whole or length <= _LONG:
            return None
        if index not in self._prefixes:
            self._prefixes[index] = Prefix()
            text = "".join(texts)
        self._prefixes[index].feed(text)
        return self._prefixes[index].astray

    def seal_of(self, call: AssembledCall) -> ToolCallChunk | None:
        """Return a last piece that keeps a broken call from being repaired, or None if none is needed.

        LangChain completes cut-off JSON when it adds chunks up, so arguments that
        hit the token limit would look whole and be executed. A bracket that closes
        nothing is the one thing it does not repair.
        """
        if call.parsed is not None or call.index in self._sealed:
            return None
        if len(call.arguments) <= _LONG and not _would_be_repaired(call.arguments):
            return None
        return tool_call_chunk(name=None, args=_unmatched(call.arguments), id=None, index=call.index)


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
