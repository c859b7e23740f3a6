"""LlamaIndex tools to the wire, and calls back to tool selections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from pydantic import ValidationError
from pydantic_core import from_json

from wx_integrations.core.errors import EXCERPT_LENGTH, ConfigurationError, OutputTruncated, UnexpectedResponse, excerpt
from wx_integrations.core.schemas import inline
from wx_integrations.core.toolcalls import MalformedArguments, parse_arguments
from wx_integrations.core.wire.chat import Tool
from wx_integrations.llamaindex.answers import IN_PROGRESS


def to_wire(tools: Sequence[Any], *, strict: bool | None = None) -> list[Tool]:
    """Return tools as the wire has them: LlamaIndex tools, OpenAI-style dicts, or wire tools.

    References in schemas are written out. `strict` is for tools that do not say it themselves.

    Raises:
        ConfigurationError: something is no tool.
    """
    return [_tool(tool, strict) for tool in tools]


def _tool(tool: Any, strict: bool | None) -> Tool:
    match tool:
        case Tool():
            return tool
        case BaseTool():
            data = tool.metadata.to_openai_tool(skip_length_check=True)
        case {"function": dict()}:
            data = dict(tool)
        case _:
            raise ConfigurationError(
                f"{type(tool).__name__} is no tool",
                hint='Give a LlamaIndex tool or {"type": "function", "function": {...}}',
                field="tools",
            )
    function = dict(data["function"])
    if isinstance(function.get("parameters"), dict):
        function["parameters"] = inline(function["parameters"])
    if strict is not None:
        function.setdefault("strict", strict)
    try:
        return Tool.model_validate({**data, "function": function})
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, f"tool {function.get('name')!r}") from None


def selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """Return the calls of an answer.

    While a stream is in progress the arguments are as complete as they can
    be; at the end they have to be whole.

    Raises:
        ValueError: there is no call and `error_on_no_tool_call` asks for one.
        OutputTruncated: the arguments are cut because the answer hit its token limit.
        UnexpectedResponse: a call names no tool, or its arguments are no JSON object; `excerpt` is their text.
    """
    calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    if not calls and error_on_no_tool_call and response.additional_kwargs.get("finish_reason") == "length":
        raise OutputTruncated(
            "the answer hit the token limit before it called a tool",
            text=response.message.content,
            hint="Raise max_tokens",
        )
    if not calls and error_on_no_tool_call:
        raise ValueError(f"Expected at least one tool call, but got {len(calls)} tool calls.")
    return [
        ToolSelection(tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=_arguments(call, response))
        for call in calls
    ]


def _arguments(call: ToolCallBlock, response: ChatResponse) -> dict[str, Any]:
    if not call.tool_name:
        raise UnexpectedResponse("a tool call names no tool", excerpt=str(call.tool_kwargs)[:EXCERPT_LENGTH])
    if isinstance(call.tool_kwargs, dict):
        return call.tool_kwargs
    try:
        return parse_arguments(call.tool_kwargs)
    except MalformedArguments as error:
        if response.additional_kwargs.get(IN_PROGRESS):
            return _so_far(call.tool_kwargs)
        if response.additional_kwargs.get("finish_reason") == "length":
            raise OutputTruncated(
                f"the arguments of the call of {call.tool_name!r} are cut off at the token limit",
                text=call.tool_kwargs,
                hint="Raise max_tokens",
            ) from None
        raise UnexpectedResponse(
            f"the arguments of the call of {call.tool_name!r} are not a JSON object "
            f"({error}): {excerpt(call.tool_kwargs)}",
            excerpt=call.tool_kwargs,
        ) from None


def _so_far(text: str) -> dict[str, Any]:
    """Return what can be read of arguments that are still arriving."""
    try:
        parsed: Any = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
