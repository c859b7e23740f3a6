"""Chat calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wx_integrations.core.calls.targets import Gateway, Target
from wx_integrations.core.calls.values import Call, StreamCall, encode
from wx_integrations.core.wire.chat import ChatRequest, Completion

if TYPE_CHECKING:
    from wx_integrations.core.wire.frames import Chunk, StreamDelta


def chat(target: Target, request: ChatRequest) -> Call[Completion]:
    """Answer a conversation."""
    return Call(
        path=target.path("text/chat"),
        body=encode(target.stamp(request)),
        parse=Completion.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
        generates=True,
    )


def chat_stream(target: Target, request: ChatRequest) -> StreamCall[Chunk]:
    """Answer a conversation piece by piece."""
    from wx_integrations.core.wire.frames import chunk_reader

    body = target.stamp(request)
    if isinstance(target, Gateway):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return StreamCall(
        path=target.path("text/chat_stream"),
        body=encode(body),
        parse=chunk_reader(),
        is_last=ends_chat,
        versioned=target.versioned,
        headers=target.headers(),
        choices=request.n or 1,
    )


def ends_chat(chunk: Chunk) -> bool:
    """Whether a frame ends a complete answer: a finish reason, or usage without text.

    The gateway's unfinished frames say `finish_reason: ""`, and some models
    never say a reason but send the usage frame.
    """
    choices = chunk.get("choices", ())
    for choice in choices:
        if choice.get("finish_reason"):
            return True
    return chunk.get("usage") is not None and not any(_says(choice.get("delta")) for choice in choices)


def _says(delta: StreamDelta | None) -> bool:
    return delta is not None and any(map(delta.get, _SAID))


_SAID = ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "role")
