"""What a test expects of a recorded request, and how the two differ; pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest.mock import ANY

_MISSING = "(missing)"


def fits(expected: Any, actual: Any) -> bool:
    """Whether a value is as expected.

    A dictionary may have more keys than expected; a list must have as many
    items; a compiled pattern is searched for in a text; anything else must be
    equal, so `unittest.mock.ANY` fits everything.
    """
    if isinstance(expected, re.Pattern):
        return isinstance(actual, str) and expected.search(actual) is not None
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(
            name in actual and fits(value, actual[name]) for name, value in expected.items()
        )
    if isinstance(expected, list | tuple):
        return isinstance(actual, list | tuple) and len(expected) == len(actual) and all(map(fits, expected, actual))
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual or expected is ANY
    return bool(expected == actual)


def difference(expected: Any, actual: Any) -> str:
    """Return what is expected and what is there as a diff of JSON, of what is expected only."""
    lines = difflib.unified_diff(
        _lines(_shown(expected)), _lines(_part(expected, actual)), "expected", "sent", lineterm="", n=3
    )
    return "\n".join(lines)


def distance(expected: Any, actual: Any) -> int:
    """Return how many lines differ, to find the request that was probably meant."""
    return sum(line[:1] in "+-" for line in difference(expected, actual).splitlines()[2:])


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=repr).splitlines()


def _shown(expected: Any) -> Any:
    if expected is ANY:
        return "<ANY>"
    if isinstance(expected, re.Pattern):
        return f"<matches {expected.pattern!r}>"
    if isinstance(expected, Mapping):
        return {str(name): _shown(value) for name, value in expected.items()}
    if isinstance(expected, list | tuple):
        return [_shown(value) for value in expected]
    return expected


def _part(expected: Any, actual: Any) -> Any:
    """Return the part of a value that the expectation is about; what fits is written as expected."""
    if fits(expected, actual):
        return _shown(expected)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return {
            str(name): _part(value, actual[name]) if name in actual else _MISSING for name, value in expected.items()
        }
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        pairs = zip(expected, actual, strict=False)
        return [_part(*pair) for pair in pairs] + list(actual[len(expected) :])
    return actual


# --------------------------------------------------------------------------- chats


def texts_of(body: Any, role: str) -> Iterator[str]:
    """Yield the texts of a chat request's messages of one role; of a message in parts, its text parts together."""
    messages = body.get("messages") if isinstance(body, Mapping) else None
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, Mapping) and message.get("role") == role:
            content = message.get("content")
            if isinstance(content, str):
                yield content
            elif isinstance(content, list):
                parts = [part.get("text") for part in content if isinstance(part, Mapping)]
                yield "\n".join(part for part in parts if isinstance(part, str))


def tool_names(body: Any) -> list[str]:
    """Return the names of the tools that a chat request offers."""
    tools = body.get("tools") if isinstance(body, Mapping) else None
    return [str(tool.get("function", {}).get("name")) for tool in tools or []]


def unsaid(body: Any, said: Mapping[str, str | re.Pattern[str] | None], tools: Sequence[str] | None) -> list[str]:
    """Return what a chat request lacks of what was to be said and offered, in words.

    Args:
        body: the request's body.
        said: by role, a text or a pattern that one of its messages holds.
        tools: the names of the tools offered, in any order.
    """
    lacks = []
    for role, text in said.items():
        if text is None:
            continue
        found = list(texts_of(body, role))
        if not any(text.search(each) if isinstance(text, re.Pattern) else text in each for each in found):
            wanted = text.pattern if isinstance(text, re.Pattern) else text
            lacks.append(f"no {role} message holds {wanted!r}; {role} messages: {found or 'none'}")
    if tools is not None and sorted(tools) != sorted(tool_names(body)):
        lacks.append(f"tools offered: {tool_names(body) or 'none'}, expected: {list(tools) or 'none'}")
    return lacks
