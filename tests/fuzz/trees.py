"""Changes of JSON values: types, keys, nulls, giant numbers, deep nesting, strange texts."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Raw:
    """JSON text to be written as it is, for what Python's writer would not write."""

    text: str


def write(value: Any) -> bytes:
    """Return a value as JSON, with raw parts put in."""
    raws: list[str] = []

    def placeholder(item: Any) -> Any:
        raws.append(item.text)
        return f"\0raw{len(raws) - 1}\0"

    text = json.dumps(value, default=placeholder, ensure_ascii=False)
    for number, raw in enumerate(raws):
        text = text.replace(f'"\\u0000raw{number}\\u0000"', raw, 1)
    return text.encode("utf-8", "surrogatepass")


def places(value: Any, path: Path = ()) -> list[Path]:
    """Return the paths of everything within a value, itself first."""
    found = [path]
    if isinstance(value, dict):
        for name, item in value.items():
            found += places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value[:20]):
            found += places(item, (*path, index))
    return found


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def changed(value: Any, path: Path, new: Any) -> Any:
    """Return a copy of a value with another one at a path."""
    if not path:
        return new
    copied = copy.copy(value)
    copied[path[0]] = changed(value[path[0]], path[1:], new)
    return copied


# --------------------------------------------------------------------------- what to put in

STRANGE_TEXTS = (
    "",
    " ",
    "null",
    "x",
    "\u2028\u2029\u0085",
    "\ufeff",
    "\x00\x1f\x7f",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﷽ \U0001f9d1\u200d\U0001f680",
    '{"a": 1}',
    '{"a": 1',
    '"{\\"a\\": 1}"',
    '"{\\"a\\": 1',
    "[1, 2]",
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\ud800"}',
    '{"a": 1}{"b": 2}',
    "data: x\n\nevent: error\ndata: y\n\n",
    "\r\n\r\r\n",
    "' OR 1=1; -- <script>",
    "0" * 400,
    "%s%n{0}{a}$HOME",
    "</think>",
    "NaN",
    "-1",
    "true",
    "[" * 5000,
    '{"a":' * 5000,
    '{"a": "' + "y" * 5000,
    "y" * 5000,
    '{"a": 1}' + " " * 5000 + "x",
    "<think>" * 50,
    "<think>why</think>because",
    '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>',
    '<tool_call>[{"name": "add", "arguments": "{\\"a\\": 1}"}, {"name": 7}]</tool_call> and more',
    '<tool_call>{"name": "add", "arguments": ' + "[" * 5000,
    "<tool_call>" * 500,
    "\n" * 5000,
)
STRANGE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    2**31,
    2**63,
    -(2**64),
    10**30,
    10**400,
    0.5,
    -0.0,
    1e308,
    1.0,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    [{}],
    ["x"],
    [1, "a", None],
    {"a": 1},
    {"": ""},
    {"message": None},
    [{"index": 0}],
)
RAW_VALUES = (
    Raw("1e999"),
    Raw("-1E400"),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("1" * 5000),
    Raw("0." + "1" * 2000),
    Raw("1e-999"),
    Raw("-0"),
    Raw('"\\ud800"'),
    Raw('"\\udc00\\ud800"'),
    Raw('"\\ud83d\\ude00"'),
    Raw('"\\u0000"'),
    Raw("01"),
    Raw("+1"),
    Raw(".5"),
    Raw("1."),
    Raw("'x'"),
    Raw("undefined"),
    Raw("{a: 1}"),
    Raw("[1,]"),
    Raw('{"a": 1,}'),
    Raw('"\t"'),
    Raw('"\\x41"'),
    Raw('"open'),
    Raw("[" * 300 + "]" * 300),
    Raw('{"a":' * 300 + "1" + "}" * 300),
    Raw("[" * 60 + "]" * 60),
    Raw("[" * 100_000),
    Raw("[" * 100_000 + "]" * 100_000),
    Raw('{"a":' * 50_000 + "1" + "}" * 50_000),
)

Change = Callable[[Any, Path, random.Random], Any]


def replace(value: Any, path: Path, chance: random.Random) -> Any:
    """Put a value of any type in its place."""
    return changed(value, path, chance.choice(STRANGE_VALUES))


def null(value: Any, path: Path, chance: random.Random) -> Any:
    """Put null in its place."""
    return changed(value, path, None)


def rewrite(value: Any, path: Path, chance: random.Random) -> Any:
    """Put a strange text in its place, or into the text there."""
    there = at(value, path)
    strange = chance.choice(STRANGE_TEXTS)
    if isinstance(there, str) and chance.random() < 0.5:
        place = chance.randint(0, len(there))
        strange = there[:place] + strange + there[place:]
    return changed(value, path, strange)


def splice(value: Any, path: Path, chance: random.Random) -> Any:
    """Put in what is no JSON, or only just."""
    return changed(value, path, chance.choice(RAW_VALUES))


def remove(value: Any, path: Path, chance: random.Random) -> Any:
    """Take a key or an element out."""
    if not path:
        return {}
    parent = copy.copy(at(value, path[:-1]))
    del parent[path[-1]]
    return changed(value, path[:-1], parent)


def rename(value: Any, path: Path, chance: random.Random) -> Any:
    """Give a key another name."""
    if not path or not isinstance(path[-1], str):
        return remove(value, path, chance)
    parent = dict(at(value, path[:-1]))
    name = chance.choice((path[-1] + "_", path[-1].upper(), "_" + path[-1], path[-1][:-1] or "x"))
    parent[name] = parent.pop(path[-1])
    return changed(value, path[:-1], parent)


def add(value: Any, path: Path, chance: random.Random) -> Any:
    """Add an unknown key beside the others, or an element."""
    there = at(value, path)
    new = chance.choice((*STRANGE_VALUES, *STRANGE_TEXTS, *RAW_VALUES))
    if isinstance(there, dict):
        return changed(value, path, {**there, chance.choice(("new", "x", "détail", "trace", "type")): new})
    if isinstance(there, list):
        where = chance.randint(0, len(there))
        return changed(value, path, [*there[:where], new, *there[where:]])
    return changed(value, path, [there, new])


def double(value: Any, path: Path, chance: random.Random) -> Any:
    """Say an element of a list twice, or turn a list around, or empty it."""
    there = at(value, path)
    if isinstance(there, list):
        return changed(value, path, chance.choice(([*there, *there], there[::-1], [], there[:1])))
    return changed(value, path, [there])


def wrap(value: Any, path: Path, chance: random.Random) -> Any:
    """Put a value into a text, as doubly encoded JSON is."""
    there = at(value, path)
    return changed(value, path, json.dumps(there))


def grow(value: Any, path: Path, chance: random.Random) -> Any:
    """Put in something very large."""
    size = chance.choice((70_000, 1_000_000))
    return changed(value, path, chance.choice(("x" * size, [0] * (size // 10), "\u2028" * (size // 3))))


CHANGES: tuple[tuple[Change, int], ...] = (
    (replace, 30),
    (null, 8),
    (rewrite, 16),
    (splice, 12),
    (remove, 12),
    (rename, 5),
    (add, 10),
    (double, 4),
    (wrap, 3),
    (grow, 1),
)


FAVOURED = (
    "arguments",
    "content",
    "reasoning_content",
    "generated_text",
    "text",
    "output",
    "name",
    "embedding",
    "index",
)
"""What matters most is changed more often."""


def mutate(value: Any, chance: random.Random) -> tuple[Any, str]:
    """Return a value with one change, and what was changed."""
    found = places(value)
    favoured = [path for path in found if path and path[-1] in FAVOURED]
    path = chance.choice(favoured if favoured and chance.random() < 0.25 else found)
    change = chance.choices([change for change, _ in CHANGES], [weight for _, weight in CHANGES])[0]
    return change(value, path, chance), f"{change.__name__} {'.'.join(map(str, path)) or '(all)'}"
