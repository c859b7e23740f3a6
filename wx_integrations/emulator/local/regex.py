"""Regular expressions as grammars of the engine (GBNF).

The engine's own handling of a broken expression is to ignore it, so the
expression is read by Python and written out again; what a grammar cannot say
(looking around, references back) is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from wx_integrations.emulator.brain import Refusal

_CATEGORIES = {
    op.CATEGORY_DIGIT: "0-9",
    op.CATEGORY_WORD: "a-zA-Z0-9_",
    op.CATEGORY_SPACE: r" \t\n\r",
}
_NEGATED = {
    op.CATEGORY_NOT_DIGIT: "0-9",
    op.CATEGORY_NOT_WORD: "a-zA-Z0-9_",
    op.CATEGORY_NOT_SPACE: r" \t\n\r",
}


def grammar_of_regex(pattern: str) -> str:
    """Return the grammar of the texts that an expression matches as a whole.

    Raises:
        Refusal: the expression is broken or needs more than a grammar.
    """
    try:
        parsed = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise _refused(f"is not a regular expression: {error}") from error
    if parsed.state.flags & (re.IGNORECASE | re.MULTILINE):
        raise _refused("uses a flag, which cannot be enforced")
    items = list(parsed)
    while items and items[0] == (op.AT, op.AT_BEGINNING):
        items.pop(0)
    while items and items[-1] == (op.AT, op.AT_END):
        items.pop()
    return "root ::= " + (_sequence(items) or '""')


def _refused(why: str) -> Refusal:
    return Refusal(400, "invalid_input_argument", f"guided_regex {why}.")


def _sequence(items: Sequence[tuple[Any, Any]]) -> str:
    return " ".join(filter(None, (_item(kind, value) for kind, value in items)))


def _item(kind: Any, value: Any) -> str:
    write = _WRITERS.get(kind)
    if write is None:
        raise _refused(f"uses {str(kind).lower().replace('_', ' ')}, which cannot be enforced")
    return write(value)


def _repeat(value: Any) -> str:
    low, high, items = value
    inner = _sequence(list(items))
    if not inner:
        return ""
    count = f"{low}," if high == op.MAXREPEAT else f"{low},{high}"
    return f"({inner}){{{count}}}"


def _branch(value: Any) -> str:
    return "(" + " | ".join(_sequence(list(branch)) or '""' for branch in value[1]) + ")"


def _group(value: Any) -> str:
    _, added, removed, items = value
    if added or removed:
        raise _refused("uses a flag, which cannot be enforced")
    return f"({_sequence(list(items)) or chr(34) * 2})"


def _class(value: Any) -> str:
    items = list(value)
    negated = bool(items) and items[0][0] == op.NEGATE
    body = "".join(_member(kind, what) for kind, what in items[negated:])
    return f"[{'^' if negated else ''}{body}]"


def _member(kind: Any, value: Any) -> str:
    if kind == op.LITERAL:
        return _character(value)
    if kind == op.RANGE:
        return f"{_character(value[0])}-{_character(value[1])}"
    if kind == op.CATEGORY and value in _CATEGORIES:
        return _CATEGORIES[value]
    raise _refused("negates a category inside brackets, which cannot be enforced")


def _category(value: Any) -> str:
    return f"[{_CATEGORIES[value]}]" if value in _CATEGORIES else f"[^{_NEGATED[value]}]"


def _character(code: int) -> str:
    if code < 0x100:
        character = chr(code)
        return character if character.isascii() and character.isalnum() else f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


_WRITERS: dict[Any, Callable[[Any], str]] = {
    op.LITERAL: lambda value: f"[{_character(value)}]",
    op.NOT_LITERAL: lambda value: f"[^{_character(value)}]",
    op.ANY: lambda value: r"[^\n]",
    op.IN: lambda value: _category(value[0][1]) if len(value) == 1 and value[0][0] == op.CATEGORY else _class(value),
    op.CATEGORY: _category,
    op.MAX_REPEAT: _repeat,
    op.MIN_REPEAT: _repeat,
    op.BRANCH: _branch,
    op.SUBPATTERN: _group,
}
