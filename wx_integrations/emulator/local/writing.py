"""Lets an engine write and cuts what it writes into pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wx_integrations.emulator.brain import Finish, Piece, Reasoning, Text, Token
from wx_integrations.emulator.local.conversation import Turn
from wx_integrations.emulator.local.engine import Frame, TimeUp

_GENERATION_REASONS = {"eos": "eos_token", "limit": "max_tokens", "word": "stop_sequence", "none": "eos_token"}


class Writer(Protocol):
    """What is needed of an engine to write."""

    def ask(self, path: str, body: Mapping[str, Any]) -> Frame: ...

    def stream(self, path: str, body: Mapping[str, Any], deadline: float | None = None) -> Iterator[Frame]: ...

    def tokens(self, text: str, *, special: bool = False) -> list[tuple[int, str]]: ...

    def text_of(self, ids: Sequence[int]) -> str: ...

    def prompt_of(self, messages: Sequence[Mapping[str, Any]], template: Mapping[str, Any] | None = None) -> str: ...

    def check_grammar(self, grammar: str) -> None: ...


def deadline_of(time_limit: int | None) -> float | None:
    """Return the moment, on the monotonic clock, when a limit in milliseconds is over."""
    return None if time_limit is None else time.monotonic() + time_limit / 1000


def write_answer(
    engine: Writer,
    turns: Sequence[Turn],
    sampling: Mapping[str, Any],
    *,
    grammar: str | None = None,
    deadline: float | None = None,
) -> Iterator[Piece]:
    """Answer a conversation in text; ends with one Finish."""
    body: dict[str, Any] = {**sampling, "messages": list(turns), "stream_options": {"include_usage": True}}
    if grammar is not None:
        body["grammar"] = grammar
    reason, usage, written = "stop", {"prompt_tokens": 0, "completion_tokens": 0}, 0
    try:
        for frame in engine.stream("/v1/chat/completions", body, deadline):
            usage = frame.get("usage") or usage
            for choice in frame.get("choices", ()):
                reason = choice.get("finish_reason") or reason
                for piece in _chat_pieces(choice):
                    written += 1
                    yield piece
    except TimeUp:
        prompt = engine.prompt_of(turns, sampling.get("chat_template_kwargs"))
        yield Finish("time_limit", len(engine.tokens(prompt)), written)
        return
    yield Finish(reason, int(usage["prompt_tokens"]), int(usage["completion_tokens"]))


def _chat_pieces(choice: Mapping[str, Any]) -> Iterator[Piece]:
    delta = choice.get("delta") or {}
    if thought := delta.get("reasoning_content"):
        yield Reasoning(thought)
    tokens = tuple(_token(entry) for entry in (choice.get("logprobs") or {}).get("content") or ())
    if delta.get("content") or tokens:
        yield Text(delta.get("content") or "", tokens)


def write_on(
    engine: Writer,
    prompt: str | Sequence[int],
    sampling: Mapping[str, Any],
    *,
    least: int = 0,
    keep_stop: bool = False,
    deadline: float | None = None,
) -> Iterator[Piece]:
    """Continue a text; ends with one Finish.

    Args:
        least: tokens to write whatever the model or a stop sequence says.
        keep_stop: the sequence that ended the text is part of it.
    """
    if least <= 0:
        yield from _write_on(engine, prompt, sampling, keep_stop=keep_stop, deadline=deadline)
        return
    limit = int(sampling["n_predict"])
    begun: list[str] = []
    first = Finish("max_tokens", 0, 0)
    unstopped = {**sampling, "n_predict": min(least, limit), "ignore_eos": True, "stop": []}
    for piece in _write_on(engine, prompt, unstopped, keep_stop=False, deadline=deadline):
        if isinstance(piece, Finish):
            first = piece
        else:
            begun.append(piece.text if isinstance(piece, Text) else "")
            yield piece
    if first.reason != "max_tokens" or first.completion_tokens >= limit:
        yield first
        return
    longer = (prompt if isinstance(prompt, str) else engine.text_of(prompt)) + "".join(begun)
    rest = {**sampling, "n_predict": limit - first.completion_tokens}
    for piece in _write_on(engine, longer, rest, keep_stop=keep_stop, deadline=deadline):
        if isinstance(piece, Finish):
            piece = Finish(piece.reason, first.prompt_tokens, first.completion_tokens + piece.completion_tokens)
        yield piece


def _write_on(
    engine: Writer,
    prompt: str | Sequence[int],
    sampling: Mapping[str, Any],
    *,
    keep_stop: bool,
    deadline: float | None,
) -> Iterator[Piece]:
    reason, read, count = "eos_token", 0, 0
    body = {**sampling, "prompt": prompt if isinstance(prompt, str) else list(prompt)}
    try:
        for frame in engine.stream("/completion", body, deadline):
            read, count = int(frame.get("tokens_evaluated", read)), int(frame.get("tokens_predicted", count))
            if frame.get("stop"):
                reason = _GENERATION_REASONS.get(frame.get("stop_type", ""), "eos_token")
                if keep_stop and frame.get("stopping_word"):
                    yield Text(frame["stopping_word"])
            elif frame.get("content") or frame.get("completion_probabilities"):
                tokens = tuple(_token(entry) for entry in frame.get("completion_probabilities") or ())
                yield Text(frame.get("content", ""), tokens)
    except TimeUp:
        reason = "time_limit"
    yield Finish(reason, read, count)


@dataclass(frozen=True)
class Written:
    """A text written to its end: why it ended, the tokens read and written."""

    text: str
    reason: str
    read: int
    written: int


def written(engine: Writer, body: Mapping[str, Any], deadline: float | None = None) -> Written:
    """Let the engine continue a prompt and wait for the end.

    Raises:
        TimeUp: the deadline has passed.
    """
    text: list[str] = []
    last: Frame = {}
    for last in engine.stream("/completion", body, deadline):
        text.append(last.get("content", ""))
    reason = _GENERATION_REASONS.get(last.get("stop_type", ""), "eos_token")
    return Written("".join(text), reason, int(last.get("tokens_evaluated", 0)), int(last.get("tokens_predicted", 0)))


def _token(entry: Mapping[str, Any]) -> Token:
    top = tuple((other["token"], float(other["logprob"])) for other in entry.get("top_logprobs") or ())
    return Token(entry["token"], float(entry["logprob"]), top)
