"""What is asked of the model in text: the conversation, and what a small model must be told beside it."""

from __future__ import annotations

import json

from wx_integrations.core.wire.chat import ChatRequest, ToolMessage
from wx_integrations.emulator.local.conversation import Turn, plain_turns, with_instructions, with_request
from wx_integrations.emulator.local.sampling import wanted_schema

_RESULTS = "Answer my question with the results above."


def text_turns(request: ChatRequest, *, thorough: bool) -> list[Turn]:
    """Return the turns to answer in text.

    Args:
        thorough: the model follows instructions; a smaller one is only confused by more of them.
    """
    turns = plain_turns(request.messages)
    if not thorough:
        return turns
    if isinstance(request.messages[-1], ToolMessage):
        turns = with_request(turns, _RESULTS)
    schema = wanted_schema(request)
    if schema is not None:
        told = f"Answer only with JSON that follows this JSON schema: {json.dumps(schema, ensure_ascii=False)}"
        turns = with_instructions(turns, told)
    return turns
