"""What the calls of a storm ask, and the right answers: no two calls have the same one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_index.core.schema import NodeWithScore, TextNode

from wx_integrations.core.toolcalls import whole_calls
from wx_integrations.emulator.deterministic import DeterministicBrain

CHAT, EMBEDDING, RERANK = (
    "ibm/granite-4-h-small",
    "ibm/slate-125m-english-rtrvr",
    "cross-encoder/ms-marco-minilm-l-12-v2",
)
ADD: dict[str, Any] = {
    "name": "add",
    "description": "Add a number.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
HASTE = "impatient"
"""Is in the questions of calls that do not wait for long."""
_BRAIN = DeterministicBrain()


def mark(number: int) -> str:
    return f"mark{number:07d}"


def prompt(number: int) -> str:
    """Return a prompt whose mark comes early, so that one can leave when it has arrived."""
    return f"note {mark(number)} and say it back to me with all of these words"


def hasty(number: int) -> str:
    return f"{prompt(number)} {HASTE}"


def echoed(number: int) -> str:
    return f"You said: {prompt(number)}"


def hastily(number: int) -> str:
    return f"You said: {hasty(number)}"


def until_the_mark(number: int) -> str:
    """Return what is read of an answer by those who leave it early."""
    return f"You said: note {mark(number)}"


def has_arrived(text: str, number: int) -> bool:
    return mark(number) in text


def sum_wanted(number: int) -> str:
    return f"use add for {number} {mark(number)}"


def summed(number: int) -> list[Any]:
    return [{"a": number}]


def passages(number: int) -> list[str]:
    """Return passages in an order, and one of them with a length, that depend on the number."""
    words = " ".join(["word"] * (number % 49))
    rest = [
        f"all about {mark(number)}",
        f"granite is a rock {words}",
        "bananas are yellow",
        f"number {number % 10} of ten",
        "rivers run",
        "stars shine at night",
    ]
    order, place = [], number % 720
    for left in range(len(rest), 0, -1):
        place, chosen = divmod(place, left)
        order.append(rest.pop(chosen))
    return order


def question(number: int) -> str:
    return f"what about {mark(number)} and rock"


def vectors(number: int) -> list[list[float]]:
    return [list(vector) for vector in _BRAIN.embed(EMBEDDING, passages(number), None).vectors]


def ranks(number: int) -> list[tuple[int, float]]:
    scores = _BRAIN.rerank(RERANK, question(number), passages(number), None).scores
    return sorted(enumerate(scores), key=lambda place: -place[1])


def ranked_texts(number: int) -> list[tuple[str, float | None]]:
    return [(passages(number)[index], score) for index, score in ranks(number)]


# --------------------------------------------------------------------------- answers in a form that can be compared


def text_of(chunk: Any) -> str:
    """Return the text of a frame."""
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in chunk.get("choices", ()))


def called(answer: Any) -> list[Any]:
    return [call.parsed for call in whole_calls(answer.choices[0].message.tool_calls or ())]


def places(found: Iterable[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(place["index"], place["relevance_score"]) for place in found]


def nodes(number: int) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text)) for text in passages(number)]


def scores(found: Iterable[NodeWithScore]) -> list[tuple[str, float | None]]:
    return [(node.text, node.score) for node in found]
