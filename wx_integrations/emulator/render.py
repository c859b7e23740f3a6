"""An answer becomes a completion body or server-sent events, as the service was recorded to send them.

Chat frames: one with the role, then the deltas, then the finish reason, then
the usage with no choices; then the connection ends (no `[DONE]` on `/ml/v1`).
Source: recordings in the official SDKs' tests, 2025 and 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wx_integrations.emulator.brain import Calling, Finish, Piece, Reasoning, Refusal, Text, Token
from wx_integrations.emulator.exchange import Frame
from wx_integrations.emulator.moderation import Moderation, chat_report, joined_reports, starred
from wx_integrations.emulator.refusals import body_of
from wx_integrations.emulator.service import Framing, Visit
from wx_integrations.emulator.streams import Events, Frames, Primed, closing

ARGUMENT_PIECE = 12
"""Characters of a tool call's arguments in one delta."""


@dataclass(frozen=True)
class Head:
    """What a body and every frame of one answer repeat."""

    id: str
    model_id: str
    created: int
    created_at: str
    warnings: Sequence[dict[str, Any]] = ()
    model_version: str = "1.0.0"


@dataclass
class Answer:
    """One choice, gathered."""

    text: str = ""
    reasoning: str = ""
    calls: list[Calling] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    finish: Finish | None = None

    @classmethod
    def gather(cls, pieces: Iterator[Piece]) -> Answer:
        """Collect the pieces of one choice."""
        answer = cls()
        for piece in pieces:
            match piece:
                case Text():
                    answer.text += piece.text
                    answer.tokens.extend(piece.tokens)
                case Reasoning():
                    answer.reasoning += piece.text
                case Calling():
                    answer.calls.append(piece)
                case Finish():
                    answer.finish = piece
        return answer

    @property
    def end(self) -> Finish:
        if self.finish is None:
            raise RuntimeError("the brain's answer has no Finish")
        return self.finish


# --------------------------------------------------------------------------- chat, whole


def usage_of(ends: Sequence[Finish]) -> dict[str, int]:
    """Return the usage of all choices; the prompt counts once."""
    written = sum(end.completion_tokens for end in ends)
    read = ends[0].prompt_tokens if ends else 0
    return {"completion_tokens": written, "prompt_tokens": read, "total_tokens": read + written}


def message_of(visit: Visit, answer: Answer) -> dict[str, Any]:
    """Return the assistant's message; without text when it only calls tools."""
    message: dict[str, Any] = {"role": "assistant"}
    if answer.text or not answer.calls:
        message["content"] = answer.text
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": f"chatcmpl-tool-{visit.service.ids.hex()}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.calls
        ]
    return message


def completion(visit: Visit, head: Head, answers: Sequence[Answer], moderation: Moderation) -> dict[str, Any]:
    """Return a whole chat answer."""
    choices = []
    reports: dict[str, Any] = {}
    for index, answer in enumerate(answers):
        found = moderation.find(answer.text, "output")
        answer.text = starred(answer.text, found)
        if found:
            reports = joined_reports(reports, chat_report(found, "output", index))
        choice = {"index": index, "message": message_of(visit, answer), "finish_reason": answer.end.reason}
        if answer.tokens:
            choice["logprobs"] = logprobs(answer.tokens)
        choices.append(choice)
    usage = usage_of([answer.end for answer in answers])
    return {**chat_body(head, "chat.completion", choices, usage=usage, warnings=head.warnings), **reports}


def logprobs(tokens: Iterable[Token]) -> dict[str, Any]:
    """Return log probabilities in the shape of the gateway's API, which the ML API shares."""
    return {
        "content": [
            {
                **_logprob(token.text, token.logprob),
                "top_logprobs": [_logprob(text, logprob) for text, logprob in token.top],
            }
            for token in tokens
        ]
    }


def _logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def chat_body(
    head: Head,
    kind: str,
    choices: list[dict[str, Any]],
    *,
    usage: dict[str, int] | None = None,
    warnings: Sequence[dict[str, Any]] = (),
    created_at: str | None = None,
) -> dict[str, Any]:
    """Return a chat body, or a frame of one, in the recorded order of fields."""
    body: dict[str, Any] = {
        "id": head.id,
        "object": kind,
        "model_id": head.model_id,
        "model": head.model_id,
        "choices": choices,
        "created": head.created,
        "model_version": head.model_version,
        "created_at": created_at or head.created_at,
    }
    if usage is not None:
        body["usage"] = usage
    if warnings:
        body["system"] = {"warnings": list(warnings)}
    return body


# --------------------------------------------------------------------------- chat, streamed


def chat_stream(visit: Visit, head: Head, choices: Sequence[Primed[Piece]], moderation: Moderation) -> Frames:
    """Return the frames of a chat stream."""
    return Frames(_chat_frames(visit, head, choices, moderation), choices)


def _chat_frames(visit: Visit, head: Head, choices: Sequence[Primed[Piece]], moderation: Moderation) -> Iterator[Frame]:
    events = Events(visit.service.pacing)
    ends: list[Finish] = []
    try:
        for index, pieces in enumerate(choices):
            opening = [_choice(index, {"role": "assistant", "content": ""})]
            warnings = head.warnings if index == 0 else ()
            yield events.message(chat_body(head, "chat.completion.chunk", opening, warnings=warnings))
            written = 0
            for choice in _choices(visit, index, pieces, ends):
                reports, written = _moderated(moderation, choice, written)
                yield events.message({**chat_body(head, "chat.completion.chunk", [choice]), **reports}, paced=True)
    except Refusal as refusal:
        yield events.message(error_of(visit, refusal), event="error")
        return
    now = visit.service.timestamp()
    last = chat_body(head, "chat.completion.chunk", [], usage=usage_of(ends), created_at=now)
    yield from ending(events, visit.service.framing, last)


def _moderated(moderation: Moderation, choice: dict[str, Any], written: int) -> tuple[dict[str, Any], int]:
    """Star out of a delta what must go; returns the report for its frame and the characters written so far."""
    delta = choice["delta"]
    text = delta.get("content") or ""
    found = moderation.find(text, "output", written)
    if not text or not moderation.watches("output"):
        return {}, written
    choice["delta"] = {"role": "assistant", **delta, "content": starred(text, found, written)}
    return chat_report(found, "output", choice["index"]) if found else {}, written + len(text)


def error_of(visit: Visit, refusal: Refusal) -> Any:
    """Return the data of an error event."""
    return body_of("ml", refusal, trace=visit.trace, anchor=visit.route.anchor)


def ending(events: Events, framing: Framing, last: dict[str, Any]) -> Iterator[Frame]:
    """Yield the last frame and what recorded streams had after it."""
    if framing.ending == "close_usage":
        yield events.message(last, event="close")
        return
    yield events.message(last)
    yield from closing(events, framing)


def _choice(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish, "delta": delta}


def _choices(visit: Visit, index: int, pieces: Iterable[Piece], ends: list[Finish]) -> Iterator[dict[str, Any]]:
    """Yield one choice's deltas; the finish reason alone at the end, or on the last delta."""
    held: dict[str, Any] | None = None
    joined = visit.service.framing.finish == "on_last_delta"
    for delta in _deltas(visit, index, pieces, ends):
        if joined:
            if held is not None:
                yield held
            held = delta
        else:
            yield delta
    reason = ends[-1].reason
    if held is not None:
        yield {**held, "finish_reason": reason}
    else:
        yield _choice(index, {"content": ""}, reason)


def _deltas(visit: Visit, index: int, pieces: Iterable[Piece], ends: list[Finish]) -> Iterator[dict[str, Any]]:
    calls = 0
    for piece in pieces:
        match piece:
            case Text():
                choice = _choice(index, {"content": piece.text})
                if piece.tokens:
                    choice["logprobs"] = logprobs(piece.tokens)
                yield choice
            case Reasoning():
                yield _choice(index, {"reasoning_content": piece.text})
            case Calling():
                for delta in call_deltas(f"chatcmpl-tool-{visit.service.ids.hex()}", calls, piece):
                    yield _choice(index, {"tool_calls": [delta]})
                calls += 1
            case Finish():
                ends.append(piece)


def call_deltas(call_id: str, number: int, call: Calling) -> Iterator[dict[str, Any]]:
    """Yield a call in pieces: first its id and name with empty arguments, then the arguments bit by bit."""
    yield {"index": number, "id": call_id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    for start in range(0, len(call.arguments), ARGUMENT_PIECE):
        piece = call.arguments[start : start + ARGUMENT_PIECE]
        yield {"index": number, "function": {"name": "", "arguments": piece}}
