"""Tool calls, translated once for both frameworks: deltas and whole calls.

A stream's deltas come in many shapes (recorded 2024 to 2026). The assembler
turns them into one: every call has an index (0, 1, 2, ... within its choice),
its id and name come exactly once, on its first delta, and its arguments are
the object's text, never double-encoded. What is no JSON object stays as it
came and carries an error; nothing is guessed. Choosing a tool and parsing
arguments live beside this and are offered here too.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from wx_integrations.core.arguments import ArgumentsReader, MalformedArguments, parse_arguments
from wx_integrations.core.jsontext import Balance
from wx_integrations.core.toolchoice import ToolSelection, select_tool
from wx_integrations.core.wire.frames import ToolCallDelta

__all__ = [
    "AssembledCall",
    "Assembler",
    "CallDelta",
    "MalformedArguments",
    "ToolSelection",
    "new_call_id",
    "parse_arguments",
    "select_tool",
    "whole_calls",
]


class CallDelta(NamedTuple):
    """A normalised piece of a call.

    Attributes:
        choice: the choice's index.
        index: the call's index within the choice, in order of first appearance.
        id: on the call's first piece only.
        name: on the call's first piece only; empty if the model never named a function.
        arguments: the next piece of the object's text; may be empty.
    """

    choice: int
    index: int  # type: ignore[assignment]  # hides that of tuples
    id: str | None
    name: str | None
    arguments: str


class AssembledCall(NamedTuple):
    """A call so far, or whole.

    Attributes:
        index: its place among the calls of its choice.
        id: the service's, or a made one if the service gave none.
        name: the function; empty if the model never named one.
        arguments: the object's text; what came, if that is no object.
        parsed: the object, or None.
        error: why `parsed` is None.
    """

    index: int  # type: ignore[assignment]  # hides that of tuples
    id: str
    name: str
    arguments: str
    parsed: dict[str, Any] | None
    error: str | None


def new_call_id() -> str:
    """Return an id in the form of the service's own: `chatcmpl-tool-` and 32 hexadecimal digits."""
    return f"chatcmpl-tool-{uuid.uuid4().hex}"


# --------------------------------------------------------------------------- assembly


class Assembler:
    """Folds the tool deltas of one answer, any number of choices and calls, in any interleaving.

    Which call a delta belongs to:

    - its index decides; without one its id does, else it goes on with the last call;
    - another name, or another id with a name, opens another call once the one
      before is complete (servers that send every call as index 0, or without
      index); repeated ids and names are dropped.

    A call is shown from when its name is known. Deltas that say nothing (no
    id, name or arguments) are passed over.

    Args:
        new_id: makes an id for a call that has none when its name arrives.
    """

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._new_id = new_id
        self._choices: dict[int, _Choice] = {}

    def feed(self, choice: int, deltas: Sequence[ToolCallDelta]) -> list[CallDelta]:
        """Take one frame's deltas of a choice and return what can be shown now."""
        shown: list[CallDelta] = []
        for delta in deltas:
            id, name, text = _said(delta)
            if not (id or name or text):
                continue
            if choice not in self._choices:
                self._choices[choice] = _Choice(choice, self._new_id)
            piece = self._choices[choice].call_for(delta.get("index"), id, name).take(id, name, text)
            if piece is not None:
                shown.append(piece)
        return shown

    def finish(self, choice: int | None = None, *, cut: bool = False) -> list[CallDelta]:
        """Return what was held back, at the end of one choice or of all.

        Arguments that arrive for a call after this make it malformed.

        Args:
            choice: its index, or None for all.
            cut: the answer hit a limit, so arguments that never came do not mean `{}`.
        """
        ending = [self._choices[key] for key in sorted(self._choices) if choice in (None, key)]
        pieces = [call.finish(cut=cut) for state in ending for call in state.calls]
        return [piece for piece in pieces if piece is not None]

    def calls(self, choice: int = 0) -> list[AssembledCall]:
        """Return the calls shown so far, in order; their arguments are the pieces returned so far, joined."""
        state = self._choices.get(choice)
        return [call.assembled() for call in state.calls if call.shown] if state else []


def whole_calls(
    tool_calls: Sequence[ToolCallDelta], *, new_id: Callable[[], str] = new_call_id, cut: bool = False
) -> list[AssembledCall]:
    """Return the calls of an answer that was not streamed, each entry one call, by the same rules.

    Args:
        tool_calls: the message's `tool_calls`.
        new_id: makes an id for a call without one.
        cut: the answer hit a limit, so arguments that are missing do not mean `{}`.
    """
    calls: list[AssembledCall] = []
    for given in tool_calls:
        id, name, text = _said(given)
        if not (id or name or text):
            continue
        call = _Call(0, len(calls), new_id)
        call.take(id, name, text)
        call.finish(cut=cut)
        whole = call.assembled()
        calls.append(whole._replace(arguments=text) if call.reader.fault else whole)
    return calls


def _said(delta: ToolCallDelta) -> tuple[str, str, str]:
    """Return id, name and arguments as texts, empty when absent."""
    id, function = delta.get("id") or "", delta.get("function")
    if function is None:
        return id, "", ""
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else to_json(arguments).decode()
    return id, function.get("name") or "", arguments


class _Call:
    """One call on its way."""

    __slots__ = (
        *("_assembled", "_balance", "_choice", "_finished", "_id", "_index", "_new_id", "_pieces", "_unscanned"),
        *("given_id", "has_index", "name", "reader", "shown"),
    )

    def __init__(self, choice: int, index: int, new_id: Callable[[], str]) -> None:
        self.given_id = ""
        self.name = ""
        self.has_index = False
        self.shown = False
        self.reader = ArgumentsReader()
        self._choice = choice
        self._index = index
        self._new_id = new_id
        self._id = ""
        self._pieces: list[str] = []
        self._unscanned: list[str] = []
        self._balance = Balance()
        self._finished = False
        self._assembled: AssembledCall | None = None

    def take(self, id: str, name: str, arguments: str) -> CallDelta | None:
        """Take a delta; the first id and name count."""
        self.given_id = self.given_id or id
        self.name = self.name or name
        text = self.reader.feed(arguments) if arguments else ""
        return self._show(text)

    def finish(self, *, cut: bool) -> CallDelta | None:
        """Return what was held back; a call that was never named is shown without a name."""
        if self._finished:
            return None
        self._finished = True
        self._assembled = None
        return self._show(self.reader.finish(cut=cut))

    def is_complete(self) -> bool:
        """Whether the arguments that arrived are a whole value, so that the next delta may be another call's."""
        if self.reader.verbatim:
            for piece in self._unscanned:
                self._balance.feed(piece)
            self._unscanned.clear()
            return self._balance.closed
        return self.reader.complete

    def assembled(self) -> AssembledCall:
        """Return the call as it stands."""
        if self._assembled is None:
            text = "".join(self._pieces)
            self._pieces = [text] if text else []
            parsed, error = self._parsed(text)
            self._assembled = AssembledCall(self._index, self._id, self.name, text, parsed, error)
        return self._assembled

    def _parsed(self, text: str) -> tuple[dict[str, Any] | None, str | None]:
        if not self.name:
            return None, "the call names no function"
        if self.reader.fault:
            return None, self.reader.fault
        if not self._finished and not text.endswith("}"):
            return None, "the arguments are not complete yet"
        try:
            return parse_arguments(text), None
        except MalformedArguments as error:
            return None, str(error)

    def _show(self, text: str) -> CallDelta | None:
        if text:
            self._pieces.append(text)
            self._unscanned.append(text)
            self._assembled = None
        if self.shown:
            return CallDelta(self._choice, self._index, None, None, text) if text else None
        if not self.name and not self._finished:
            return None
        self.shown = True
        self._id = self.given_id or self._new_id()
        return CallDelta(self._choice, self._index, self._id, self.name, "".join(self._pieces))


class _Choice:
    """The calls of one choice, and which of them a delta belongs to."""

    __slots__ = ("_by_id", "_by_index", "_choice", "_last", "_new_id", "calls")

    def __init__(self, choice: int, new_id: Callable[[], str]) -> None:
        self.calls: list[_Call] = []
        self._choice = choice
        self._new_id = new_id
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None

    def call_for(self, index: int | None, id: str, name: str) -> _Call:
        """Return the call that a delta belongs to, a new one if to none."""
        found = self._unindexed(id, name) if index is None else self._indexed(index, id, name)
        call = found or self._open()
        if index is not None:
            self._by_index[index] = call
            call.has_index = True
        if id:
            self._by_id.setdefault(id, call)
        self._last = call
        return call

    def _indexed(self, index: int, id: str, name: str) -> _Call | None:
        call = self._by_index.get(index)
        if call is None:
            # a call that began without index and goes on with one
            call = self._by_id.get(id) if id else None if name else self._last
            return call if call is not None and not call.has_index else None
        if not name or (id and id == call.given_id):
            return call
        other_id = bool(id and call.given_id)
        other_name = bool(call.name and name != call.name)
        if (other_id and other_name) or ((other_id or other_name) and call.is_complete()):
            return None
        return call

    def _unindexed(self, id: str, name: str) -> _Call | None:
        call = self._by_id.get(id) or self._last
        if call is None or (id and id == call.given_id):
            return call
        if id and call.given_id:
            return None
        if name and call.name and (name != call.name or call.is_complete()):
            return None
        return call

    def _open(self) -> _Call:
        call = _Call(self._choice, len(self.calls), self._new_id)
        self.calls.append(call)
        return call
