"""The tool calls of an answer as LangChain's messages have them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages.content import InvalidToolCall
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call

from wx_integrations.core.inline import WrittenCall
from wx_integrations.core.toolcalls import AssembledCall, whole_calls
from wx_integrations.core.wire.frames import FunctionDelta, ToolCallDelta


def calls_of(
    deltas: Sequence[ToolCallDelta], written: Sequence[ToolCallDelta], *, cut: bool, first_only: bool
) -> dict[str, Any]:
    """Return the calls of an answer that was not streamed as arguments of a message; none give nothing.

    Args:
        deltas: the answer's own.
        written: those found in its text.
        cut: the answer hit a limit, so arguments that are missing do not mean `{}`.
        first_only: keep the first and drop the others.
    """
    calls = whole_calls(deltas, cut=cut) + whole_calls(written)
    if not calls:
        return {}
    valid, invalid = _parted(calls[:1] if first_only else calls)
    return {"tool_calls": valid, "invalid_tool_calls": invalid}


def as_delta(call: WrittenCall, index: int) -> ToolCallDelta:
    """Return a call found in the text as if the model had made it."""
    return ToolCallDelta(index=index, function=FunctionDelta(name=call.name, arguments=call.arguments))


def _parted(calls: Sequence[AssembledCall]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Split finished calls into usable ones and those whose arguments are not a JSON object, which stay verbatim."""
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in calls:
        if call.parsed is None:
            invalid.append(invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=call.error))
        else:
            valid.append(tool_call(name=call.name, args=call.parsed, id=call.id))
    return valid, invalid
