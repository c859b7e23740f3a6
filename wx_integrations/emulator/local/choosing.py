"""The first step of a tool call: which function comes next, if any.

A language model is shown worked examples and may then write nothing but one
of the names. The examples matter: asked without them, a model of 1.5 B
parameters calls a function for a greeting. They are read once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from wx_integrations.core.wire.chat import Function
from wx_integrations.emulator.local.conversation import RETURNED, Turn
from wx_integrations.emulator.local.judge import cosine
from wx_integrations.emulator.local.sampling import choice_grammar
from wx_integrations.emulator.local.vectors import Embedder
from wx_integrations.emulator.local.writing import Writer, written

_ANSWER = "answer"
_NEAR = 0.2
"""From this cosine on a message and a function's description are about the same thing."""
_LONGEST_TURN = 1200
"""Characters of a turn that are shown; which function comes next does not hang on the end of a long result."""
_LONGEST_TRANSCRIPT = 6000

_TASK = "Decide what the assistant does next: call one of the functions, or answer. Reply with one name only."
_TO_ANSWER = (
    f"- {_ANSWER}: Say something yourself: greetings, general knowledge, writing, or the result is there already."
)
_EXAMPLE_FUNCTIONS = f"""\
- find_order(order_id): Find an order and its delivery state.
- search_notes(query): Search the notes of the team.
{_TO_ANSWER}"""
_FOUND = f"""\
Assistant: I call find_order({{"order_id": 771}}).
find_order({{"order_id": 771}}){RETURNED}
on its way"""
_EXAMPLES = (
    ("User: Where is my order 771?", "find_order"),
    ("User: Good morning! How are you?", _ANSWER),
    ("User: Who leads the Apollo project?", "search_notes"),
    ("User: What is the highest mountain on Earth?", _ANSWER),
    ("User: Write a short poem about rain.", _ANSWER),
    (f"User: Where is my order 771?\n{_FOUND}", _ANSWER),
    (f"User: Where is my order 771, and who leads the Apollo project?\n{_FOUND}", "search_notes"),
)


class Chooser(Protocol):
    """Decides which function comes next."""

    def choose(
        self, turns: Sequence[Turn], functions: Sequence[Function], *, may_answer: bool, deadline: float | None
    ) -> str | None:
        """Return a function's name, or None to answer in text."""


class AskingChooser:
    """Lets the language model itself decide."""

    def __init__(self, engine: Writer) -> None:
        self._engine = engine
        self._examples: str | None = None

    def choose(
        self, turns: Sequence[Turn], functions: Sequence[Function], *, may_answer: bool, deadline: float | None
    ) -> str | None:
        names = [function.name for function in functions]
        if may_answer:
            names.append(_other_than(names))
        body: dict[str, Any] = {"temperature": 0, "cache_prompt": True, "scratch": True}
        # Reading the examples alone first makes every run start at the same place: the same question, the same answer.
        written(self._engine, {**body, "prompt": self._beginning(), "n_predict": 0}, deadline)
        prompt = self._engine.prompt_of([*_lesson(), _asked(_question(turns, functions))])
        body |= {"prompt": prompt, "n_predict": 64, "grammar": choice_grammar(names)}
        name = written(self._engine, body, deadline).text
        return name if name in [function.name for function in functions] else None

    def _beginning(self) -> str:
        if self._examples is None:
            one, other = (self._engine.prompt_of([*_lesson(), _asked(ending)]) for ending in "ab")
            same = next(place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
            self._examples = one[:same]
        return self._examples


def _other_than(names: Sequence[str]) -> str:
    """Return the word for an answer in text; a function may have that name already."""
    return _ANSWER if _ANSWER not in names else f"{_ANSWER}_in_text"


def _lesson() -> list[Turn]:
    turns = [Turn(role="system", content=_TASK)]
    for number, (conversation, name) in enumerate(_EXAMPLES):
        head = f"Functions:\n{_EXAMPLE_FUNCTIONS}\n\n" if number == 0 else ""
        turns.append(_asked(f"{head}Conversation:\n{conversation}\n\nNext:"))
        turns.append(Turn(role="assistant", content=name))
    return turns


def _asked(text: str) -> Turn:
    return Turn(role="user", content=text)


def _question(turns: Sequence[Turn], functions: Sequence[Function]) -> str:
    listed = "\n".join(f"- {_signature(function)}" for function in functions)
    return f"Functions:\n{listed}\n{_TO_ANSWER}\n\nConversation:\n{transcript(turns)}\n\nNext:"


def _signature(function: Function) -> str:
    properties = (function.parameters or {}).get("properties")
    names = ", ".join(properties) if isinstance(properties, dict) else ""
    return f"{function.name}({names}): {function.description or ''}".rstrip(": ")


def transcript(turns: Sequence[Turn]) -> str:
    """Return the turns as a text of the conversation; long turns are cut, and of many the newest are kept."""
    lines = [_line(turn, is_first=number == 0) for number, turn in enumerate(turns)]
    head = lines[:1] if turns and turns[0]["role"] == "system" else []
    rest = lines[len(head) :]
    kept = len(rest)
    while kept > 1 and sum(map(len, rest[-kept:])) > _LONGEST_TRANSCRIPT:
        kept -= 1
    return "\n".join([*head, *rest[-kept:]])


def _line(turn: Turn, *, is_first: bool) -> str:
    text = turn["content"]
    text = text if len(text) <= _LONGEST_TURN else f"{text[:_LONGEST_TURN]} [...]"
    is_result = turn["role"] == "user" and not is_first and RETURNED in text
    speaker = {"system": "Instructions: ", "user": "" if is_result else "User: ", "assistant": "Assistant: "}
    return speaker[turn["role"]] + text


class NearnessChooser:
    """Compares the message with the functions' descriptions: for models too small to decide themselves.

    A result is followed by text, so an agent ends after one call.
    """

    def __init__(self, engine: Embedder) -> None:
        self._engine = engine

    def choose(
        self, turns: Sequence[Turn], functions: Sequence[Function], *, may_answer: bool, deadline: float | None
    ) -> str | None:
        message = turns[-1]["content"] if turns else ""
        if may_answer and RETURNED in message:
            return None
        texts = [message[:_LONGEST_TURN], *(function.description or function.name for function in functions)]
        vectors, _ = self._engine.vectors([self._cut(text) for text in texts])
        scores = cosine(vectors[0], vectors[1:])
        best = max(range(len(scores)), key=scores.__getitem__)
        return None if may_answer and scores[best] < _NEAR else functions[best].name

    def _cut(self, text: str) -> list[int]:
        return [token for token, _ in self._engine.tokens(text, special=True)][:256]
