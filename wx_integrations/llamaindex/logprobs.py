"""Log probabilities as LlamaIndex has them; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from llama_index.core.base.llms.types import LogProb

from wx_integrations.core.errors import UnexpectedResponse


def of_chat(data: dict[str, Any] | None) -> list[list[LogProb]] | None:
    """Return one list per token: the token itself first, then the alternatives the service named.

    Raises:
        UnexpectedResponse: they have not the shape of log probabilities.
    """
    tokens = (data or {}).get("content")
    if not tokens:
        return None
    with _log_probabilities():
        return [
            [_logprob(token), *(other for other in _alternatives(token) if other.token != token["token"])]
            for token in tokens
        ]


def _alternatives(token: Mapping[str, Any]) -> list[LogProb]:
    return [_logprob(other) for other in token.get("top_logprobs") or ()]


def _logprob(token: Mapping[str, Any]) -> LogProb:
    return LogProb(token=token["token"], logprob=_number(token["logprob"]), bytes=_bytes(token.get("bytes")))


def of_generation(tokens: list[dict[str, Any]] | None) -> list[list[LogProb]] | None:
    """Return the log probabilities of text generation (`return_options.token_logprobs`).

    Raises:
        UnexpectedResponse: they have not the shape of log probabilities.
    """
    known = [token for token in tokens or () if token.get("logprob") is not None]
    if not known:
        return None
    with _log_probabilities():
        return [
            [
                LogProb(token=item["text"], logprob=_number(item["logprob"]))
                for item in (token, *(top for top in token.get("top_tokens") or () if top["text"] != token["text"]))
            ]
            for token in known
        ]


def _bytes(value: Any) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list) or any(type(byte) is not int for byte in value):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


@contextmanager
def _log_probabilities() -> Iterator[None]:
    try:
        yield
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        raise UnexpectedResponse("the answer's log probabilities are none", status=200) from None
