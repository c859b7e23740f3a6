"""Answers of 50 MB, frames of 1 MB and what else is large, of every kind that can be."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.fuzz.mutations import Case
from tests.fuzz.seeds import Answer, Kind, Seed

LARGE = 50_000_000
_EVENTS = "text/event-stream"


def giants(size: int = LARGE) -> Iterator[Case]:
    """Yield large answers, right ones and wrong ones."""
    text = "x" * size
    said = {"role": "assistant", "content": text}
    chat = {"model_id": "m", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    yield _case("chat", json.dumps(chat).encode(), f"{size} characters of text")
    yield _case("chat", b" " * size + b"{}", f"{size} bytes of space")
    yield _case("chat", b"[" * size, f"{size} brackets")
    yield _case("chat", b"x" * size, f"{size} bytes of nothing")
    yield _case("chat", b'{"choices": "' + b"\\ud800" * (size // 6) + b'"}', "half surrogate pairs")
    yield _case("chat", b'{"choices":[' + b"{}," * min(size // 30, 30_000) + b"{}]}", "choices without a message")
    yield _case("embeddings", b'{"results":[{"embedding":[' + b"0.125," * (size // 6) + b"0]}]}", "millions of numbers")
    yield _case("embeddings", b'{"results":[' + b'{"embedding":[' * (size // 14), "millions of open vectors")
    yield _case("tool_run", b'{"output": "' + b" " * size + b'"}', f"{size} bytes of space as output")
    yield _case("tool_run", b'{"output": "' + b"\\n" * (size // 2) + b'"}', "millions of lines as output")
    yield _case(
        "refusal", b'{"errors":[{"code":"c","message":"' + b"m" * size + b'"}]}', "a long complaint", status=500
    )
    yield _case("iam_token", b'{"access_token": "' + b"a" * size + b'"', "a token without end")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": text})}}
    calling = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    yield _case("chat", json.dumps({"model_id": "m", "choices": [calling]}).encode(), f"{size} characters of arguments")


def large_streams(size: int = LARGE) -> Iterator[Case]:
    """Yield streams with large frames, many frames and endless lines."""
    million = "y" * min(size, 1_000_000)
    frames = [_delta({"content": million}) for _ in range(max(1, min(size // 1_000_000, 10)))]
    yield _stream([*frames, _delta({}, "stop")], "frames of a megabyte")
    yield _stream(
        [_delta({"content": "z"}) for _ in range(min(size // 100, 3_000))] + [_delta({}, "stop")], "many frames"
    )
    yield _case("chat_stream", b"data: " + b"x" * size, "a line without end", content_type=_EVENTS)
    yield _case("chat_stream", b"data:\n" * (size // 6), "an event without end", content_type=_EVENTS)
    yield _case("chat_stream", b": comment\n\n" * (size // 11), "nothing but comments", content_type=_EVENTS)
    yield _case("chat_stream", b"\n" * size, "nothing but ends of lines", content_type=_EVENTS)
    pieces = [
        _delta({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": "'}}]}),
        *[_delta({"tool_calls": [{"index": 0, "function": {"arguments": million[:2000]}}]})] * min(size // 2000, 400),
        _delta({"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]}, "tool_calls"),
    ]
    yield _stream(pieces, "long arguments in many pieces")
    row = [_delta({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]})]
    row += [_delta({"tool_calls": [{"index": 0, "function": {"arguments": json.dumps({"a": n})}}]}) for n in range(400)]
    yield _stream([*row, _delta({}, "tool_calls")], "hundreds of whole objects in a row")


def _delta(said: dict[str, object], reason: str | None = None) -> bytes:
    return json.dumps({"model_id": "m", "choices": [{"index": 0, "delta": said, "finish_reason": reason}]}).encode()


def _stream(frames: list[bytes], what: str) -> Case:
    return _case("chat_stream", b"".join(b"data: " + frame + b"\n\n" for frame in frames), what, content_type=_EVENTS)


def _case(kind: Kind, body: bytes, what: str, *, status: int = 200, content_type: str = "application/json") -> Case:
    cuts = tuple(range(0, len(body), 65_536))
    answer = Answer(body, status, content_type, cuts=cuts)
    return Case(Seed(f"large/{kind}", kind, answer), answer, what)
