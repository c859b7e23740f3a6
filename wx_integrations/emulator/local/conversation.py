"""A conversation as plain turns: what small models were trained on, whatever the client sent.

Instructions come first and once; tool calls and their results become
sentences, because most small models know no tool roles; turns alternate,
because many chat templates insist on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from wx_integrations.core.wire.chat import (
    AssistantMessage,
    ControlMessage,
    DeveloperMessage,
    Message,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from wx_integrations.emulator.brain import Refusal

RETURNED = " returned:"
"""Marks the result of a call."""


class Turn(TypedDict):
    """One message of the plain conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def plain_turns(messages: Sequence[Message]) -> list[Turn]:
    """Return the conversation as a system turn (if any) and alternating turns of user and assistant.

    A control message switches a way of thinking that these models do not have; it adds no turn.

    Raises:
        Refusal: a message holds something that is not text.
    """
    instructions: list[str] = []
    turns: list[Turn] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        match message:
            case SystemMessage() | DeveloperMessage():
                instructions.append(message.content)
            case UserMessage():
                _add(turns, "user", text_of(message))
            case AssistantMessage():
                calls.update((call.id, call) for call in message.tool_calls or ())
                _add(turns, "assistant", _said(message))
            case ToolMessage():
                _add(turns, "user", _result(message, calls.get(message.tool_call_id)))
            case ControlMessage():
                pass
    head: list[Turn] = [Turn(role="system", content="\n\n".join(instructions))] if instructions else []
    return head + turns


def with_instructions(turns: Sequence[Turn], text: str) -> list[Turn]:
    """Return the turns with a text added at the end of the instructions."""
    if turns and turns[0]["role"] == "system":
        return [Turn(role="system", content=f"{turns[0]['content']}\n\n{text}"), *turns[1:]]
    return [Turn(role="system", content=text), *turns]


def with_request(turns: Sequence[Turn], text: str) -> list[Turn]:
    """Return the turns with a text added to what the user said last."""
    asked = list(turns)
    _add(asked, "user", text)
    return asked


def text_of(message: UserMessage) -> str:
    """Return what a user said.

    Raises:
        Refusal: it holds an image, audio or video.
    """
    if isinstance(message.content, str):
        return message.content
    texts = []
    for part in message.content:
        if not isinstance(part, TextPart):
            raise Refusal(
                400, "invalid_input_argument", f"The local models read text only; the message holds {part.type}."
            )
        texts.append(part.text)
    return "\n".join(texts)


def written_call(call: ToolCall) -> str:
    """Return a call as a programmer writes it."""
    return f"{call.function.name}({call.function.arguments})"


def _said(message: AssistantMessage) -> str:
    calls = [f"I call {written_call(call)}." for call in message.tool_calls or ()]
    return "\n".join(filter(None, [message.content, message.refusal, *calls]))


def _result(message: ToolMessage, call: ToolCall | None) -> str:
    what = written_call(call) if call else "The tool"
    return f"{what}{RETURNED}\n{message.content}"


def _add(turns: list[Turn], role: Literal["user", "assistant"], text: str) -> None:
    if turns and turns[-1]["role"] == role:
        last: Any = turns[-1]
        turns[-1] = Turn(role=role, content=f"{last['content']}\n\n{text}")
    else:
        turns.append(Turn(role=role, content=text))
