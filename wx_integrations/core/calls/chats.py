"""Chat calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic_core import from_json

from wx_integrations.core.calls.targets import Gateway, Target
from wx_integrations.core.calls.values import Call, StreamCall, encode, reader
from wx_integrations.core.wire.chat import ChatRequest, Chunk, Completion, StreamChoice


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
        parse=reader(Chunk),
        is_last=ends_chat,
        versioned=target.versioned,
        headers=target.headers(),
        choices=request.n or 1,
    )


class Frame(NamedTuple):
    """A frame of a chat stream with its JSON as data, for frameworks that show that as well."""

    chunk: Chunk
    raw: dict[str, Any]

    @property
    def choices(self) -> list[StreamChoice]:
        return self.chunk.choices

    @property
    def model_extra(self) -> dict[str, Any]:
        return self.raw


def chat_frames(target: Target, request: ChatRequest) -> StreamCall[Frame]:
    """Answer a conversation piece by piece, with each piece's JSON.

    The JSON is read once: to write it again from what was understood costs as
    much as everything else that is done for a piece.
    """
    plain = chat_stream(target, request)
    validate = Chunk.__pydantic_validator__.validate_python

    def read(data: bytes) -> Frame:
        raw = from_json(data)
        return Frame(validate(raw), raw)

    def is_last(frame: Frame) -> bool:
        return ends_chat(frame.chunk)

    return StreamCall(plain.path, read, is_last, plain.body, plain.versioned, plain.headers, plain.choices)


def ends_chat(chunk: Chunk) -> bool:
    """Whether a frame ends a complete answer: a finish reason, or usage without text.

    The gateway's unfinished frames say `finish_reason: ""`, and some models
    never say a reason but send the usage frame.
    """
    for choice in chunk.choices:
        if choice.finish_reason:
            return True
    return chunk.usage is not None and not any(
        delta is not None
        and any((delta.content, delta.tool_calls, delta.reasoning_content, delta.reasoning, delta.refusal, delta.role))
        for delta in (choice.delta for choice in chunk.choices)
    )
