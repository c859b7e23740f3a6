"""What thinks behind the emulator: the Brain protocol and its vocabulary.

The emulator owns the wire (routes, auth, shapes, framing); a brain only
answers. Brains are synchronous; answers stream as iterators of pieces, and
closing the iterator cancels the work. A brain raises `Refusal` when the
service would have said no.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from wx_integrations.core.wire.chat import ChatRequest
from wx_integrations.core.wire.text import GenerationParameters


@dataclass(frozen=True)
class Token:
    """One generated token with its log probability and the likeliest alternatives."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Text:
    """A piece of the answer's text, with its tokens when log probabilities were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Reasoning:
    """A piece of the thinking before the answer; `text` is a part of it."""

    text: str


@dataclass(frozen=True)
class Calling:
    """One whole tool call: the tool's `name`, and `arguments`, which is JSON as text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Finish:
    """The end of an answer: why, and how many tokens it took.

    Reasons for chat: stop, length, tool_calls, time_limit, cancelled, error.
    Reasons for generation: eos_token, max_tokens, stop_sequence, time_limit, ...
    """

    reason: str
    prompt_tokens: int
    completion_tokens: int


Piece = Text | Reasoning | Calling | Finish


@dataclass(frozen=True)
class Embedded:
    """Vectors, one per text, and the tokens read."""

    vectors: Sequence[Sequence[float]]
    token_count: int


@dataclass(frozen=True)
class Ranked:
    """Scores, one per passage in the order given, and the tokens read."""

    scores: Sequence[float]
    token_count: int


@dataclass(frozen=True)
class ModelCard:
    """A model the brain serves, as the model list shows it.

    Attributes:
        functions: the service's function ids: text_chat, text_generation, embedding, rerank, ...
        aliases: further ids under which it answers; the answer names `model_id`, so it stays honest.
        alias_patterns: whole families of such ids, as of `fnmatch`; they are not listed.
    """

    model_id: str
    label: str
    provider: str
    description: str
    functions: tuple[str, ...]
    max_sequence_length: int
    max_output_tokens: int
    number_params: str = ""
    aliases: tuple[str, ...] = ()
    lifecycle: tuple[dict[str, Any], ...] = field(default=({"id": "available", "start_date": "2024-01-01"},))
    alias_patterns: tuple[str, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Tell whether the model answers under an id."""
        return (
            name == self.model_id
            or name in self.aliases
            or any(fnmatchcase(name, pattern) for pattern in self.alias_patterns)
        )


class Refusal(Exception):
    """The brain cannot do this; becomes an error body of the service."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Verbatim(Exception):
    """The brain answers with these very bytes, past all rendering; for replaying recordings.

    Attributes:
        frames: the body's pieces, in order; one piece for a whole body.
    """

    def __init__(self, frames: Sequence[bytes], *, status: int, content_type: str) -> None:
        super().__init__(status)
        self.frames = tuple(frames)
        self.status = status
        self.content_type = content_type


class Brain(Protocol):
    """Answers what the emulator asks; `model_id` is always one of the cards' ids, never an alias."""

    @property
    def cards(self) -> Sequence[ModelCard]:
        """The models served."""

    def chat(self, model_id: str, request: ChatRequest, choice: int = 0) -> Iterator[Piece]:
        """Answer a conversation; ends with exactly one Finish. `choice` counts the `n` choices."""

    def generate(self, model_id: str, text: str, parameters: GenerationParameters) -> Iterator[Piece]:
        """Continue a text; ends with exactly one Finish."""

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        """Embed texts; `truncate` cuts each after that many tokens."""

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Ranked:
        """Score passages by how well they answer the query."""

    def tokenize(self, model_id: str, text: str) -> Sequence[str]:
        """Split a text into the model's tokens."""

    def close(self) -> None:
        """Free what the brain holds."""
