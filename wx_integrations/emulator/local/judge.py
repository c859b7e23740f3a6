"""Reranking with a language model as the judge: how much likelier is yes than no?

The score of a passage is log P(yes) - log P(no) of the first word the model
would say when asked whether the passage answers the query. Like a
cross-encoder's, it is an unbounded logit: above 0 the judge leans to yes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wx_integrations.emulator.brain import Ranked
from wx_integrations.emulator.local.conversation import Turn
from wx_integrations.emulator.local.writing import Writer

_FLOOR = math.log(1e-6)
"""What an answer that is not among the likeliest twenty words counts."""

_JUDGE = (
    "Judge whether the Document meets the requirements based on the Query."
    ' Note that the answer can only be "yes" or "no".'
)


def judge(engine: Writer, query: str, passages: Sequence[str], room: int) -> Ranked:
    """Score passages, one look at each.

    Args:
        room: tokens that a passage may have; the rest of it is not read.
    """
    scores: list[float] = []
    read = 0
    for number, passage in enumerate(passages):
        prompt = engine.prompt_of(_question(query, shortened(engine, passage, room)))
        body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 20, "cache_prompt": number > 0}
        frame = engine.ask("/completion", body)
        read += int(frame["tokens_evaluated"])
        said = frame.get("completion_probabilities")  # not there when the judge says nothing
        scores.append(_leaning(said[0]["top_logprobs"] if said else []))
    return Ranked(scores, read)


def _question(query: str, passage: str) -> list[Turn]:
    """The query comes first, so that what all passages share is read once."""
    return [
        Turn(role="system", content=_JUDGE),
        Turn(role="user", content=f"Query: {query}\nDocument: {passage}"),
    ]


def _leaning(likeliest: Sequence[Mapping[str, Any]]) -> float:
    mass = {"yes": 0.0, "no": 0.0}
    for entry in likeliest:
        word = entry["token"].strip().lower()
        if word in mass:
            mass[word] += math.exp(entry["logprob"])
    yes, no = (max(math.log(value), _FLOOR) if value else _FLOOR for value in mass.values())
    return yes - no


def shortened(engine: Writer, text: str, room: int) -> str:
    """Return the start of a text that has at most so many tokens."""
    if len(text.encode()) <= room:
        return text
    pieces = engine.tokens(text)
    return text if len(pieces) <= room else "".join(piece for _, piece in pieces[:room])


def cosine(query: Sequence[float], passages: Sequence[Sequence[float]]) -> list[float]:
    """Return the cosine of each passage's vector with the query's; all have length 1."""
    return [math.fsum(a * b for a, b in zip(query, passage, strict=True)) for passage in passages]
