"""Tool calls in two constrained steps: choose a function, then fill in its arguments.

The engine's own parser of tool calls is not used: small models wrap calls in
prose or fences. Constrained by the function's schema, the arguments are
always valid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wx_integrations.core.wire.chat import AssistantMessage, ChatRequest, Function, Message, ToolMessage
from wx_integrations.emulator.brain import Calling, Finish, Piece
from wx_integrations.emulator.local.choosing import Chooser
from wx_integrations.emulator.local.conversation import Turn, plain_turns, with_instructions
from wx_integrations.emulator.local.engine import TimeUp
from wx_integrations.emulator.local.sampling import json_grammar
from wx_integrations.emulator.local.writing import Writer, written


def call_tool(
    engine: Writer,
    chooser: Chooser,
    request: ChatRequest,
    sampling: Mapping[str, Any],
    deadline: float | None,
) -> list[Piece] | None:
    """Return a call and the finish, or None when the answer is to be text.

    A call that was just made, with the same arguments, is not made again:
    models that do not know when to stop would run in circles.
    """
    turns = plain_turns(request.messages)
    try:
        function, free = _next_function(chooser, request, turns, deadline)
        if function is None:
            return None
        call, finish = _fill(engine, function, turns, sampling, deadline, repeats=_has_results(request.messages))
    except TimeUp:
        return [Finish("time_limit", 0, 0)]
    if free and (call.name, _canonical(call.arguments)) in _just_called(request.messages):
        return None
    return [call, finish]


def _next_function(
    chooser: Chooser, request: ChatRequest, turns: Sequence[Turn], deadline: float | None
) -> tuple[Function | None, bool]:
    """Return the function to call, and whether text would have been allowed instead."""
    functions = {tool.function.name: tool.function for tool in request.tools or ()}
    if request.tool_choice is not None:
        return functions[request.tool_choice.function.name], False
    must = request.tool_choice_option == "required"
    if must and len(functions) == 1:
        return next(iter(functions.values())), False
    name = chooser.choose(turns, list(functions.values()), may_answer=not must, deadline=deadline)
    return (None if name is None else functions[name]), not must


def _fill(
    engine: Writer,
    function: Function,
    turns: Sequence[Turn],
    sampling: Mapping[str, Any],
    deadline: float | None,
    *,
    repeats: bool,
) -> tuple[Calling, Finish]:
    """Let the engine write the arguments."""
    schema = function.parameters or {}
    if takes_nothing(schema):
        read = len(engine.tokens(engine.prompt_of(turns)))
        return Calling(function.name, "{}"), Finish("tool_calls", read, 1)
    grammar = json_grammar(schema)
    engine.check_grammar(grammar)
    task = (
        f"You call the function {function.name} now: {function.description or ''}\n"
        f"Its parameters as a JSON schema: {json.dumps(schema, ensure_ascii=False)}\n"
        "Reply only with the arguments of the next call as JSON."
    )
    task += " Do not repeat a call whose result is there." if repeats else ""
    prompt = engine.prompt_of(with_instructions(turns, task))
    body = {name: sampling[name] for name in ("temperature", "top_p", "seed", "cache_prompt") if name in sampling}
    body |= {"prompt": prompt, "grammar": grammar, "n_predict": sampling["max_tokens"]}
    answer = written(engine, body, deadline)
    reason = "length" if answer.reason == "max_tokens" else "tool_calls"
    return Calling(function.name, answer.text.strip()), Finish(reason, answer.read, answer.written)


def takes_nothing(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema names no argument at all."""
    return not schema.keys() & {"properties", "patternProperties", "anyOf", "oneOf", "allOf", "$ref"} or (
        schema.get("properties") == {} and not schema.get("additionalProperties")
    )


def _has_results(messages: Sequence[Message]) -> bool:
    return any(isinstance(message, ToolMessage) for message in messages)


def _just_called(messages: Sequence[Message]) -> set[tuple[str, str]]:
    """Return the calls of the last assistant message, if nothing but results followed it."""
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            calls = message.tool_calls or ()
            return {(call.function.name, _canonical(call.function.arguments)) for call in calls}
        if not isinstance(message, ToolMessage):
            break
    return set()


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments
