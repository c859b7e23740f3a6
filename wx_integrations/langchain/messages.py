"""LangChain messages to the wire; pure.

Each message class has exactly one translation. What the API has no place for
is refused by name, with two exceptions that LangChain's own providers share:
thoughts of earlier turns are not sent back, and a tool message's name, status
and artifact stay local.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire import chat as wire
from wx_integrations.langchain.content import MediaRules, media_urls, refuse, to_parts, to_said, to_text

_NO_RULES = MediaRules()


def to_wire(
    messages: Iterable[BaseMessage], *, gateway: bool = False, rules: MediaRules = _NO_RULES
) -> list[wire.Message]:
    """Translate a conversation.

    Args:
        messages: the conversation, oldest first; not changed.
        gateway: whether the Model Gateway is meant, which alone knows the developer role.
        rules: how URLs of media travel.

    Raises:
        ConfigurationError: something cannot be carried; names the message by its position.
    """
    translated: list[wire.Message] = []
    for position, message in enumerate(messages):
        try:
            translated.append(_message(message, gateway, rules))
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, f"messages[{position}] ({message.type})") from None
        except ConfigurationError as error:
            raise ConfigurationError(
                f"messages[{position}] ({message.type}): {error.message}", hint=error.hint, field="messages"
            ) from None
    return translated


def _message(message: BaseMessage, gateway: bool, rules: MediaRules) -> wire.Message:
    match message:
        case HumanMessage():
            return wire.UserMessage(content=to_parts(message.content, rules), name=message.name)
        case AIMessage():
            return _assistant(message)
        case SystemMessage():
            role = message.additional_kwargs.get("__openai_role__", "system")
            return _by_role(role, message, gateway, rules)
        case ToolMessage():
            return wire.ToolMessage(
                content=to_text(message.content, "a tool message"), tool_call_id=message.tool_call_id
            )
        case ChatMessage():
            return _by_role(message.role, message, gateway, rules)
        case FunctionMessage():
            raise refuse("function messages are not known to watsonx.ai", "Send a ToolMessage with its tool_call_id")
        case RemoveMessage():
            raise refuse("a RemoveMessage is an instruction to LangGraph's state, not part of a conversation")
    raise refuse(f"messages of class {type(message).__name__} are not known", "Send LangChain's message classes")


def _by_role(role: str, message: BaseMessage, gateway: bool, rules: MediaRules) -> wire.Message:
    match role:
        case "system":
            return wire.SystemMessage(content=to_text(message.content, "a system message"), name=message.name)
        case "developer" if gateway:
            return wire.DeveloperMessage(content=to_text(message.content, "a developer message"), name=message.name)
        case "developer":
            raise refuse("only the Model Gateway (model=...) knows the role developer", "Send a SystemMessage")
        case "control":
            return wire.ControlMessage(content=to_text(message.content, "a control message"), name=message.name)
        case "user" | "human":
            return wire.UserMessage(content=to_parts(message.content, rules), name=message.name)
        case "assistant" | "ai":
            return wire.AssistantMessage(content=to_text(message.content, "an assistant message"), name=message.name)
        case _:
            raise refuse(
                f"watsonx.ai does not know the role {role!r}",
                "Roles: system, user, assistant, control; tool results go in a ToolMessage",
            )


def _assistant(message: AIMessage) -> wire.AssistantMessage:
    said = to_said(message.content)
    calls = [_call(call["id"], call["name"], call["args"]) for call in message.tool_calls]
    calls += [_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    known = {call.id for call in calls}
    calls += [
        _call(id_, name, arguments)
        for id_, name, arguments in said.calls
        if id_ not in known and not (calls and id_ is None)
    ]
    refusal = said.refusal or message.additional_kwargs.get("refusal") or None
    return wire.AssistantMessage(
        content=said.text if said.text or not (calls or refusal) else None,
        name=message.name,
        refusal=refusal,
        tool_calls=calls or None,
    )


def _call(id_: str | None, name: str | None, arguments: Any) -> wire.ToolCall:
    if not id_ or not name:
        raise refuse(
            f"a tool call ({name or 'without a name'}) lacks its {'name' if id_ else 'id'}",
            "Give every tool call an id and a name, or take the call out of the history",
        )
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, str):
        try:
            arguments = to_json(arguments, inf_nan_mode="constants").decode()
        except PydanticSerializationError as error:
            raise refuse(f"the arguments of the call to {name} are not JSON: {error}") from None
    return wire.ToolCall(id=id_, function=wire.FunctionCall(name=name, arguments=arguments))


def linked_media(messages: Iterable[BaseMessage]) -> list[str]:
    """Return the `http(s)` URLs of media in the user messages, each once, in order."""
    urls: dict[str, None] = {}
    for message in messages:
        if isinstance(message, HumanMessage) or (
            isinstance(message, ChatMessage) and message.role in ("user", "human")
        ):
            urls.update(dict.fromkeys(media_urls(message.content)))
    return list(urls)
