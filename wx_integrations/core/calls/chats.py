"""Chat calls."""

from __future__ import annotations

from wx_integrations.core.calls.targets import Gateway, Target
from wx_integrations.core.calls.values import Call, StreamCall, encode
from wx_integrations.core.wire.chat import ChatRequest, Chunk, Completion


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
    body = target.stamp(request)
    if isinstance(target, Gateway):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return StreamCall(
        path=target.path("text/chat_stream"),
        body=encode(body),
        parse=Chunk.model_validate_json,
        is_last=ends_chat,
        versioned=target.versioned,
        headers=target.headers(),
    )


def ends_chat(chunk: Chunk) -> bool:
    """Whether a frame ends a complete answer: a finish reason, or usage without text.

    The gateway's unfinished frames say `finish_reason: ""`, and some models
    never say a reason but send the usage frame.
    """
    if any(choice.finish_reason for choice in chunk.choices):
        return True
    return chunk.usage is not None and not any(
        delta is not None
        and any((delta.content, delta.tool_calls, delta.reasoning_content, delta.reasoning, delta.refusal, delta.role))
        for delta in (choice.delta for choice in chunk.choices)
    )
