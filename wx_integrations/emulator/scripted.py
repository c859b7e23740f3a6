"""The brain for tests: says what it is told, in order.

```python
brain = ScriptedBrain()
brain.call("get_weather", location="Rome")   # the first answer calls a tool
brain.reply("It is ", "sunny.")              # the second is text, streamed in two pieces
brain.refuse(429, "rate_limit_reached_requests", "slow down")
brain.replay(recorded_sse)                   # these very bytes
```
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import (
    Brain,
    Calling,
    Embedded,
    Finish,
    ModelCard,
    Piece,
    Ranked,
    Reasoning,
    Refusal,
    Text,
    Verbatim,
)
from wx_integrations.emulator.deterministic import DeterministicBrain, count_prompt
from wx_integrations.emulator.words import tokenize

To = Literal["chat", "generation", "embeddings", "rerank", "tokenization"]
_SHOWN = 300
"""Letters of an answer in a message."""
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")


class ScriptExhausted(AssertionError):
    """A request came that the script has no answer for."""


@dataclass(frozen=True)
class Line:
    """One scripted answer: pieces in order, an exception among them breaks off there."""

    to: To
    model: str | None
    pieces: tuple[str | Piece | Exception, ...]
    finish: str | None = None
    usage: tuple[int, int] | None = None

    def __str__(self) -> str:
        said = ", ".join(map(_shown, self.pieces))
        asked = "" if self.model is None else f" with {self.model}"
        return f"{said[:_SHOWN]}{'...' if len(said) > _SHOWN else ''} (to {self.to}{asked})"


class ScriptedBrain:
    """Answers from a queue.

    Args:
        fallback: answers when the queue has nothing for a request; without one that is an error
            for chat and generation, while embeddings, rerank and tokenization are answered by rule.
        cards: the models to serve; the fallback's by default.
    """

    def __init__(self, fallback: Brain | None = None, *, cards: Sequence[ModelCard] | None = None) -> None:
        self._fallback = fallback
        self._rules: Brain = fallback or (DeterministicBrain() if cards is None else DeterministicBrain(cards))
        self.cards = tuple(self._rules.cards if cards is None else cards)
        self._lines: list[Line] = []
        self._given = 0
        self._lock = threading.Lock()

    @property
    def remaining(self) -> int:
        """How many scripted answers were not asked for yet."""
        return len(self._lines)

    def close(self) -> None:
        """Free what the fallback holds."""
        if self._fallback is not None:
            self._fallback.close()

    # ------------------------------------------------------------------ the script

    def reply(
        self,
        *pieces: str | Piece | Exception,
        to: To = "chat",
        model: str | None = None,
        finish: str | None = None,
        usage: tuple[int, int] | None = None,
    ) -> ScriptedBrain:
        """Queue an answer made of text, calls and reasoning, streamed piece by piece.

        Args:
            to: what kind of request gets it.
            model: only requests to this model get it.
            finish: the finish reason, if not the natural one.
            usage: prompt and completion tokens, if not the counted ones.
        """
        self._lines.append(Line(to, model, pieces, finish, usage))
        return self

    def call(self, name: str, /, *, model: str | None = None, **arguments: Any) -> ScriptedBrain:
        """Queue an answer that calls one tool."""
        return self.reply(calling(name, **arguments), model=model)

    def refuse(
        self, status: int, code: str, message: str = "scripted", *, to: To = "chat", model: str | None = None
    ) -> ScriptedBrain:
        """Queue an error of the service."""
        return self.reply(Refusal(status, code, message), to=to, model=model)

    def replay(
        self,
        body: bytes | str | dict[str, Any] | list[Any],
        *,
        status: int = 200,
        content_type: str | None = None,
        to: To = "chat",
        model: str | None = None,
    ) -> ScriptedBrain:
        """Queue a body that goes out byte for byte; data is written as JSON, event streams one event at a time."""
        raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        plain = raw.lstrip()[:1] in (b"{", b"[", b"")
        kind = content_type or ("application/json" if plain else "text/event-stream")
        frames = [raw] if "event-stream" not in kind else [part for part in _EVENT_END.split(raw) if part]
        return self.reply(Verbatim(frames, status=status, content_type=kind), to=to, model=model)

    def expect_done(self) -> None:
        """Check that everything was asked for.

        Raises:
            AssertionError: answers are left.
        """
        if self._lines:
            count = len(self._lines)
            what = "1 scripted answer was" if count == 1 else f"{count} scripted answers were"
            raise AssertionError(f"{what} never asked for; next: {self._lines[0]}")

    def _next(self, to: To, model_id: str) -> Line | None:
        with self._lock:
            for line in self._lines:
                if line.to == to and line.model in (None, model_id):
                    self._lines.remove(line)
                    self._given += 1
                    break
            else:
                return None
        if line.pieces and isinstance(line.pieces[0], Exception):
            raise line.pieces[0]
        return line

    def _exhausted(self, to: To, model_id: str, asked: str) -> ScriptExhausted:
        return ScriptExhausted(
            f"the script has no answer to {to} with {model_id} (after {self._given} answers, "
            f"{len(self._lines)} left for others): {asked[:200]!r}"
        )

    # ------------------------------------------------------------------ the brain

    def chat(self, model_id: str, request: ChatRequest, choice: int = 0) -> Iterator[Piece]:
        """Say the next chat answer."""
        line = self._next("chat", model_id)
        if line is None:
            if self._fallback is None:
                raise self._exhausted("chat", model_id, str(request.messages[-1].content))
            return self._fallback.chat(model_id, request, choice)
        return _said(line, count_prompt(request), "stop")

    def generate(self, model_id: str, text: str, parameters: GenerationParameters) -> Iterator[Piece]:
        """Say the next generation."""
        line = self._next("generation", model_id)
        if line is None:
            if self._fallback is None:
                raise self._exhausted("generation", model_id, text)
            return self._fallback.generate(model_id, text, parameters)
        return _said(line, len(tokenize(text)), "eos_token")

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        """Embed by rule, unless an error or a recording is next."""
        self._next("embeddings", model_id)
        return self._rules.embed(model_id, texts, truncate)

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Ranked:
        """Rank by rule, unless an error or a recording is next."""
        self._next("rerank", model_id)
        return self._rules.rerank(model_id, query, passages, truncate)

    def tokenize(self, model_id: str, text: str) -> Sequence[str]:
        """Split by rule, unless an error or a recording is next."""
        self._next("tokenization", model_id)
        return self._rules.tokenize(model_id, text)


def calling(name: str, /, **arguments: Any) -> Calling:
    """Return a call of the tool `name` with these arguments, for a scripted answer."""
    return Calling(name, json.dumps(arguments, ensure_ascii=False))


def _shown(piece: str | Piece | Exception) -> str:
    """Return a piece of an answer as a test's author wrote it."""
    if isinstance(piece, Calling):
        return f"{piece.name}({piece.arguments})"
    if isinstance(piece, Verbatim):
        return f"a recording of {sum(map(len, piece.frames))} bytes"
    if isinstance(piece, Refusal):
        return f"{piece.status} {piece.code}"
    return repr(piece.text if isinstance(piece, Text) else piece)


def _said(line: Line, read: int, natural: str) -> Iterator[Piece]:
    written = 0
    for piece in line.pieces:
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, str):
            piece = Text(piece)
        if isinstance(piece, Finish):
            yield piece
            return
        written += len(tokenize(piece.arguments if isinstance(piece, Calling) else piece.text))
        if isinstance(piece, Calling):
            natural = "tool_calls"
        yield piece
    prompt, completion = line.usage or (read, written)
    yield Finish(line.finish or natural, prompt, completion)


__all__ = ["Calling", "Finish", "Reasoning", "ScriptExhausted", "ScriptedBrain", "Text", "calling"]
