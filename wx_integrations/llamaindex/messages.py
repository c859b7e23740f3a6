"""LlamaIndex messages to wire messages, block by block.

Every block is translated or refused; nothing is left out, with one exception
that the API forces: a model's thinking has no place in a request, so the
thinking blocks of earlier answers stay at home.

Of `additional_kwargs` the wire's own words are read (`name`, `refusal`,
`tool_call_id`, and `tool_calls` where a message has no tool call blocks); the
rest is the framework's bookkeeping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire import chat as wire
from wx_integrations.llamaindex import media

_REFUSED: Mapping[type[Any], tuple[str, str]] = {
    DocumentBlock: ("the chat API takes no documents", "Extract the text (or the pages as images) first"),
    CachePoint: ("the service has no cache points", "Leave the CachePoint out"),
    CitableBlock: ("the service has no citable blocks", "Give title and content as text"),
    CitationBlock: ("the service has no citations", "Give the cited content as text"),
}


def to_wire(
    messages: Sequence[ChatMessage], contents: media.Contents | None = None, *, gateway: bool = False
) -> list[wire.Message]:
    """Return a conversation as wire messages.

    Args:
        messages: left as they are.
        contents: what `media.read` read of `media.unread`.
        gateway: whether they go to the Model Gateway, which alone knows the developer role.

    Raises:
        ConfigurationError: a message has something the wire cannot carry, says which message and what to do.
    """
    if not messages:
        raise ConfigurationError("there are no messages", hint="Give at least one", field="messages")
    sent: list[wire.Message] = []
    for index, message in enumerate(messages):
        try:
            sent.append(_message(message, contents or {}, gateway))
        except ConfigurationError as error:
            place = f"message {index} ({message.role.value})"
            raise ConfigurationError(f"{place}: {error.message}", hint=error.hint, field="messages") from None
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, f"message {index} ({message.role.value})") from None
    return sent


def _message(message: ChatMessage, contents: media.Contents, gateway: bool) -> wire.Message:
    name = message.additional_kwargs.get("name")
    match message.role:
        case MessageRole.SYSTEM:
            return wire.SystemMessage(content=_text(message), name=name)
        case MessageRole.DEVELOPER:
            if not gateway:
                raise _refusal("only the Model Gateway knows the developer role", "Use MessageRole.SYSTEM")
            return wire.DeveloperMessage(content=_text(message), name=name)
        case MessageRole.USER:
            return wire.UserMessage(content=_user_content(message, contents), name=name)
        case MessageRole.ASSISTANT | MessageRole.CHATBOT | MessageRole.MODEL:
            return _assistant(message, name)
        case MessageRole.TOOL | MessageRole.FUNCTION:
            return _tool(message)
        case _:
            raise _refusal(f"the role {message.role!r} is unknown", "Use one of MessageRole's")


# --------------------------------------------------------------------------- content


def _user_content(message: ChatMessage, contents: media.Contents) -> str | list[wire.Part]:
    match message.blocks:
        case []:
            raise _refusal("it has no content", "Give it a text or another block")
        case [TextBlock(text=text)]:
            return text
        case blocks:
            return [_part(block, contents) for block in blocks]


def _part(block: ContentBlock, contents: media.Contents) -> wire.Part:
    from wx_integrations.llamaindex import parts  # most messages are text

    match block:
        case TextBlock():
            return wire.TextPart(text=block.text)
        case ImageBlock():
            return parts.image_part(block, contents)
        case AudioBlock():
            return parts.audio_part(block, contents)
        case VideoBlock():
            return parts.video_part(block, contents)
        case ThinkingBlock() | ToolCallBlock():
            raise _refusal(
                f"a {block.block_type} block belongs to the assistant", "Give the message the role assistant"
            )
        case DocumentBlock() | CachePoint() | CitableBlock() | CitationBlock():
            raise _refusal(*_REFUSED[type(block)])
        case _:
            raise _unknown(block)


def _text(message: ChatMessage) -> str:
    """Return the text of a message that carries nothing else; several texts a line each, as the framework joins."""
    texts = []
    for block in message.blocks:
        match block:
            case TextBlock():
                texts.append(block.text)
            case DocumentBlock() | CachePoint() | CitableBlock() | CitationBlock():
                raise _refusal(*_REFUSED[type(block)])
            case ImageBlock() | AudioBlock() | VideoBlock() | ThinkingBlock() | ToolCallBlock():
                raise _refusal(
                    f"a {message.role.value} message carries text only, not a {block.block_type} block",
                    "Put images, audio and video into a user message",
                )
            case _:
                raise _unknown(block)
    if not texts and message.role not in (MessageRole.TOOL, MessageRole.FUNCTION):
        raise _refusal("it has no content", "Give it a text")
    return "\n".join(texts)


# --------------------------------------------------------------------------- tools


def _tool(message: ChatMessage) -> wire.ToolMessage:
    call_id = message.additional_kwargs.get("tool_call_id")
    if not call_id:
        raise _refusal(
            "it does not say which call it answers",
            'Give additional_kwargs={"tool_call_id": ...}, the id of the ToolCallBlock',
        )
    return wire.ToolMessage(content=_text(message), tool_call_id=call_id)


def _assistant(message: ChatMessage, name: Any) -> wire.AssistantMessage:
    texts: list[str] = []
    calls: list[wire.ToolCall] = []
    for block in message.blocks:
        match block:
            case TextBlock():
                texts.append(block.text)
            case ToolCallBlock():
                calls.append(_call(block.tool_call_id, block.tool_name, block.tool_kwargs))
            case ThinkingBlock():
                pass  # the API has no field for it; see the module's docstring
            case DocumentBlock() | CachePoint() | CitableBlock() | CitationBlock():
                raise _refusal(*_REFUSED[type(block)])
            case ImageBlock() | AudioBlock() | VideoBlock():
                raise _refusal(
                    f"an assistant message carries no {block.block_type}",
                    "Put images, audio and video into a user message",
                )
            case _:
                raise _unknown(block)
    if not calls:
        older = message.additional_kwargs.get("tool_calls") or ()
        if not isinstance(older, Sequence) or isinstance(older, str):
            raise _refusal("additional_kwargs['tool_calls'] is no list", "Use ToolCallBlock")
        calls = [_legacy_call(call) for call in older]
    if "function_call" in message.additional_kwargs:
        raise _refusal("function_call has no id", "Use a ToolCallBlock")
    refusal = message.additional_kwargs.get("refusal")
    text = "\n".join(texts)
    content = text if text or not (calls or refusal) else None
    return wire.AssistantMessage(content=content, name=name, refusal=refusal, tool_calls=calls or None)


def _call(call_id: Any, name: Any, arguments: Any) -> wire.ToolCall:
    if not call_id:
        raise _refusal(f"the call of {name!r} has no id", "Give tool_call_id, and the same in the tool's message")
    text = arguments if isinstance(arguments, str) else to_json(arguments).decode()
    return wire.ToolCall(id=call_id, function=wire.FunctionCall(name=name, arguments=text))


def _legacy_call(call: Any) -> wire.ToolCall:
    """Read a call as older integrations keep it in `additional_kwargs`: wire dicts, their objects, tool selections."""
    data = call.model_dump() if isinstance(call, BaseModel) else call
    match data:
        case {"id": call_id, "function": {"name": name, "arguments": arguments}}:
            return _call(call_id, name, arguments)
        case {"tool_id": call_id, "tool_name": name, "tool_kwargs": arguments}:
            return _call(call_id, name, arguments)
        case _:
            raise _refusal("additional_kwargs['tool_calls'] holds something that is no tool call", "Use ToolCallBlock")


def _refusal(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, hint=hint, field="messages")


def _unknown(block: object) -> ConfigurationError:
    return _refusal(f"{type(block).__name__} is newer than this package", "Use one of the older blocks")
