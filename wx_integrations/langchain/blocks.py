"""Our answers as LangChain's standard content blocks.

Registered with langchain-core under the provider name of our answers, so that
`message.content_blocks` and `output_version="v1"` know reasoning, text and
tool calls.
"""

from __future__ import annotations

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

from wx_integrations.langchain.metadata import PROVIDER


def translate_content(message: AIMessage) -> list[types.ContentBlock]:
    """Return a whole answer's blocks: reasoning, text, tool calls.

    Raises:
        NotImplementedError: the content is not one of ours; langchain-core then reads it as it can.
    """
    blocks = _spoken(message)
    for call in message.tool_calls:
        blocks.append({"type": "tool_call", "id": call.get("id"), "name": call["name"], "args": call["args"]})
    return blocks


def translate_content_chunk(message: AIMessageChunk) -> list[types.ContentBlock]:
    """Return a chunk's blocks; calls come as pieces until the last chunk is in.

    Calls carry an index of their own kind ("lc_tc_0"), because text and
    reasoning blocks are numbered by langchain-core and must not meet them.

    Raises:
        NotImplementedError: the content is not one of ours.
    """
    if message.chunk_position == "last":
        return translate_content(message)
    blocks = _spoken(message)
    for piece in message.tool_call_chunks:
        block: types.ToolCallChunk = {
            "type": "tool_call_chunk",
            "id": piece.get("id"),
            "name": piece.get("name"),
            "args": piece.get("args"),
        }
        if (index := piece.get("index")) is not None:
            block["index"] = f"lc_tc_{index}"
        blocks.append(block)
    return blocks


def _spoken(message: AIMessage) -> list[types.ContentBlock]:
    if not isinstance(message.content, str):
        raise NotImplementedError
    blocks: list[types.ContentBlock] = []
    thought = message.additional_kwargs.get("reasoning_content")
    if isinstance(thought, str) and thought:
        blocks.append({"type": "reasoning", "reasoning": thought})
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    return blocks


def register() -> None:
    """Tell langchain-core how our answers read."""
    register_translator(PROVIDER, translate_content, translate_content_chunk)
