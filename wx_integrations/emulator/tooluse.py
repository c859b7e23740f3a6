"""Which tools to call, and with what, without weights: by the words that tool and prompt share."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wx_integrations.core.wire.chat import (
    AssistantMessage,
    ChatRequest,
    Function,
    Message,
    TextPart,
    ToolMessage,
    UserMessage,
)
from wx_integrations.emulator.bounds import Impossible
from wx_integrations.emulator.brain import Calling, Refusal
from wx_integrations.emulator.schema import Grower
from wx_integrations.emulator.words import Prompt, stem, stems

_ONE_AFTER_ANOTHER = re.compile(r"\b(?:then|after that|afterwards|first|next|finally|the result)\b", re.IGNORECASE)
_REFERS_BACK = re.compile(r"\b(?:result|results|it|that|answer|sum|product|output)\b", re.IGNORECASE)
_LOOKUP = frozenset(map(stem, ("search", "retrieve", "retriever", "lookup", "wikipedia", "knowledge", "document")))
_QUESTION = re.compile(r"\?\s*$|^\s*(?:who|what|when|where|which|how|why|find|search|look)\b", re.IGNORECASE)
NAMED = 10


def text_of(message: Message) -> str:
    """Return a message's text; images and sounds are only mentioned."""
    content = message.content
    if isinstance(content, list):
        return "\n".join(part.text if isinstance(part, TextPart) else f"[{part.type}]" for part in content)
    return content or ""


@dataclass(frozen=True)
class Turn:
    """The last turn of a conversation: what the user said and what tools said since.

    Attributes:
        calls: name and arguments of the calls made since, arguments as canonical JSON.
        results: tool name and result of each.
    """

    prompt: str
    calls: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Turn:
        """Read the last turn."""
        last = max((i for i, message in enumerate(messages) if isinstance(message, UserMessage)), default=0)
        calls: list[tuple[str, str]] = []
        names: dict[str, str] = {}
        results: list[tuple[str, str]] = []
        for message in messages[last + 1 :]:
            if isinstance(message, AssistantMessage):
                for call in message.tool_calls or ():
                    names[call.id] = call.function.name
                    calls.append((call.function.name, _canonical(call.function.arguments)))
            elif isinstance(message, ToolMessage):
                results.append((names.get(message.tool_call_id, "tool"), message.content))
        return cls(text_of(messages[last]), tuple(calls), tuple(results))

    @property
    def result_text(self) -> str:
        return "\n".join(result for _, result in self.results)


def calls_for(request: ChatRequest) -> list[Calling]:
    """Return the tool calls that a request asks for, none when it is to be answered in text.

    A call that was made since the user last spoke is never made again.
    """
    functions = [tool.function for tool in request.tools or ()]
    option = request.tool_choice_option
    if not functions or option == "none":
        return []
    turn = Turn.of(request.messages)
    if request.tool_choice is not None:
        named = request.tool_choice.function.name
        chosen = [function for function in functions if function.name == named]
        if not chosen:
            raise Refusal(
                400, "invalid_request_entity", f"Invalid request: tool_choice names {named!r}, which is no tool"
            )
    elif option == "required":
        chosen = _required(functions, turn)
    else:
        chosen = _plausible(functions, turn)
    calls = [call for function, clause in _clauses(chosen, turn) for call in _filled(function, clause, turn)]
    return [call for call in calls if (call.name, _canonical(call.arguments)) not in turn.calls]


# --------------------------------------------------------------------------- which


def score(function: Function, prompt: Prompt) -> float:
    """Return how much a prompt asks for a function; below 1 it does not."""
    if _is_named(function.name, prompt.text):
        return NAMED
    named = len(stems(function.name) & prompt.stems)
    about = stems(_summary(function))
    described = len(about & prompt.stems)
    if named:
        return 2 * named + described * 0.5
    return described * 0.5 if described >= 2 else 0


def _summary(function: Function) -> str:
    """Return the first sentence of a description, past a signature that some frameworks put before it."""
    text = re.sub(rf"^{re.escape(function.name)}\(.*\n", "", function.description or "")
    return re.split(r"(?<=[.!?])\s|\n", text.strip())[0]


def _is_named(name: str, text: str) -> bool:
    """Whether a text names a function as code does: by a name that is no plain word, quoted, or with a ( after it."""
    place = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    if place is None:
        return False
    around = text[max(0, place.start() - 1) : place.end() + 1]
    return bool(re.search(r"[_\d]|[a-z][A-Z]", name)) or around[-1:] == "(" or around[:1] in tuple("\"'`")


def _uncalled(functions: Sequence[Function], turn: Turn) -> list[Function]:
    called = {name for name, _ in turn.calls}
    return [function for function in functions if function.name not in called]


def _plausible(functions: Sequence[Function], turn: Turn) -> list[Function]:
    prompt = Prompt(turn.prompt)
    scores = {function.name: score(function, prompt) for function in functions}
    asked = [function for function in functions if scores[function.name] >= 1]
    if any(scores[function.name] >= NAMED for function in asked):
        asked = [function for function in asked if scores[function.name] >= NAMED]
    if not asked and _QUESTION.search(turn.prompt):
        asked = [function for function in functions if stems(function.name) & _LOOKUP][:1]
    remaining = _uncalled(asked, turn)
    remaining.sort(key=lambda function: _position(function, prompt))
    if len(remaining) > 1 and _ONE_AFTER_ANOTHER.search(turn.prompt):
        return remaining[:1]
    if len(remaining) > 1 and not _asks_for_several(turn.prompt):
        return [max(remaining, key=lambda function: scores[function.name])] if not turn.calls else []
    return remaining


def _asks_for_several(text: str) -> bool:
    return re.search(r"\b(?:and|both|also|as well as|then)\b|;|\?.*\?", text, re.IGNORECASE | re.DOTALL) is not None


def _required(functions: Sequence[Function], turn: Turn) -> list[Function]:
    prompt = Prompt(turn.prompt)
    return sorted(_uncalled(functions, turn), key=lambda function: -score(function, prompt))[:1]


# --------------------------------------------------------------------------- with what


def _position(function: Function, prompt: Prompt) -> int:
    """Where the prompt first speaks of a function."""
    wanted = stems(function.name) or stems(function.description or "")
    exact = prompt.text.find(function.name)
    if exact >= 0:
        return exact
    for match in re.finditer(r"[^\W_]+", prompt.text):
        if stem(match.group()) in wanted:
            return match.start()
    return len(prompt.text)


def _clauses(functions: Sequence[Function], turn: Turn) -> list[tuple[Function, str]]:
    """Give each function its part of the prompt: from where it is spoken of to the next one."""
    prompt = Prompt(turn.prompt)
    if len(functions) == 1:
        start = _clause_start(functions[0], turn, prompt)
        return [(functions[0], prompt.text[start:])]
    places = [_position(function, prompt) for function in functions]
    parts = []
    for number, function in enumerate(functions):
        start = places[number] if number else 0
        end = places[number + 1] if number + 1 < len(places) else len(prompt.text)
        parts.append((function, prompt.text[start:end] if start < end else prompt.text))
    return parts


def _clause_start(function: Function, turn: Turn, prompt: Prompt) -> int:
    """Skip what earlier calls of this turn were about."""
    place = _position(function, prompt)
    return place if turn.calls and place < len(prompt.text) else 0


def _filled(function: Function, clause: str, turn: Turn) -> list[Calling]:
    """Return a call with its arguments; several when the clause lists values for its only text."""
    schema: dict[str, Any] = dict(function.parameters or {})
    text = clause.replace(function.name, " ")
    if turn.results:
        text = f"{turn.result_text}\n{text}" if _REFERS_BACK.search(clause) else f"{text}\n{turn.result_text}"
    prompt = Prompt(text)
    listed = prompt.joined_names() if _takes_one_text(schema) else []
    if len(listed) < 2 or turn.calls:
        return [Calling(function.name, _arguments(schema, prompt, first=_offered(function, prompt)))]
    return [
        Calling(function.name, _arguments(schema, prompt, taken=[text for text in prompt.texts if text != value]))
        for value in listed
    ]


def _takes_one_text(schema: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    needed = schema.get("required", [])
    return (
        len(needed) == 1
        and isinstance(properties.get(needed[0]), dict)
        and (properties[needed[0]].get("type") == "string" and "enum" not in properties[needed[0]])
    )


def _offered(function: Function, prompt: Prompt) -> list[str]:
    """Return what the description lists as "name: explanation" and the prompt speaks of."""
    listed = re.findall(r"(?m)(?:^\s*[-*]?\s*|[{,\s])[\"']?([\w-]+)[\"']?:\s", function.description or "")
    return [name for name in listed if prompt.names_it(name)]


def _arguments(schema: dict[str, Any], prompt: Prompt, *, first: Sequence[str] = (), taken: Sequence[str] = ()) -> str:
    if not schema.get("properties") and not schema.get("required"):
        return "{}"
    try:
        return json.dumps(
            Grower({"type": "object", **schema}, prompt, first=first, taken=taken).grow(), ensure_ascii=False
        )
    except Impossible as error:
        raise Refusal(400, "invalid_request_entity", f"Invalid request: tool parameters: {error}") from None


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
