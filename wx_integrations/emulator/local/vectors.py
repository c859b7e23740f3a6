"""Embeds texts with an engine, cutting or refusing what is too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wx_integrations.emulator.brain import Embedded, Refusal

_AT_ONCE = 64


class Embedder(Protocol):
    """What is needed of an engine to embed."""

    def tokens(self, text: str, *, special: bool = False) -> list[tuple[int, str]]: ...

    def vectors(self, inputs: Sequence[str | Sequence[int]]) -> tuple[list[list[float]], int]: ...


def embed(engine: Embedder, texts: Sequence[str], truncate: int | None, limit: int) -> Embedded:
    """Embed texts.

    Args:
        truncate: cut each text after that many tokens, the two that mark start and end included.
        limit: tokens the model can read.

    Raises:
        Refusal: a text is too long and may not be cut, or `truncate` leaves nothing.
    """
    if truncate is not None and truncate < 3:
        raise Refusal(
            400, "invalid_input_argument", "truncate_input_tokens must leave a token between start and end: 3 or more."
        )
    ready = [_fit(engine, text, number, truncate, limit) for number, text in enumerate(texts)]
    vectors: list[list[float]] = []
    read = 0
    for start in range(0, len(ready), _AT_ONCE):
        some, tokens = engine.vectors(ready[start : start + _AT_ONCE])
        vectors += some
        read += tokens
    return Embedded(vectors, read)


def _fit(engine: Embedder, text: str, number: int, truncate: int | None, limit: int) -> str | list[int]:
    most = limit if truncate is None else min(truncate, limit)
    if len(text.encode()) + 2 <= most:  # a token is at least a byte
        return text
    ids = [token for token, _ in engine.tokens(text, special=True)]
    if len(ids) <= most:
        return ids
    if truncate is None:
        raise Refusal(
            400,
            "invalid_input_argument",
            f"inputs[{number}] has {len(ids)} tokens; the model reads at most {limit}."
            " Split the text or set truncate_input_tokens.",
        )
    return [*ids[: most - 1], ids[-1]]
