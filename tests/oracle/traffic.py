"""What two clients sent for the same call, field by field; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tests.oracle.witnesses.inputs import DEPLOYMENT, PROJECT
from wx_integrations.emulator.journal import Entry

_HEADERS = frozenset({"accept", "authorization", "content-type", "user-agent"})
_OWN_HEADERS = ("x-", "ibm-", "watsonx-")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:chatcmpl-tool-|call_)?[0-9a-f]{24,32}")
_KNOWN_IDS = frozenset({PROJECT, DEPLOYMENT})
REQUESTS, RESULT = "(requests)", "(result)"
"""Fields of a difference that are none of a request: how many there are, and what the caller gets."""


class Absent:
    """Stands for a field that is not there."""

    def __repr__(self) -> str:
        return "-"


ABSENT = Absent()


@dataclass(frozen=True)
class Sent:
    """A request without what changes from run to run: address, ids, versions of programs.

    Headers are those that say something: who asks, what is sent and wanted,
    and the service's own. What is left out is of the HTTP library:
    connection, accepted compressions, lengths.
    """

    method: str
    path: str
    fields: Mapping[str, Any]

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @classmethod
    def of(cls, entry: Entry) -> Sent:
        """Return a journal's entry as what was sent."""
        headers = {name: _header(name, value) for name, value in entry.headers.items() if _says_something(name)}
        fields = {"query": dict(entry.query), "header": headers}
        if entry.body is not None:
            fields["body"] = entry.body
        return cls(entry.method, steady(entry.path), steady(fields))


def _says_something(name: str) -> bool:
    return name in _HEADERS or name.startswith(_OWN_HEADERS)


def _header(name: str, value: str) -> str:
    return re.split(r"[/ ]", value, maxsplit=1)[0] if name == "user-agent" else value


def steady(value: Any) -> Any:
    """Return a value with the ids that change from run to run replaced."""
    if isinstance(value, str):
        return _ID.sub(lambda found: found[0] if found[0] in _KNOWN_IDS else "<id>", value)
    if isinstance(value, Mapping):
        return {name: steady(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [steady(inner) for inner in value]
    return value


@dataclass(frozen=True)
class Difference:
    """A field that is not the same.

    Attributes:
        request: method and path of the request; empty for a result.
        field: such as "body.messages[0].content".
        theirs, ours: the values as the report shows them.
    """

    request: str
    field: str
    theirs: str
    ours: str


def compare(theirs: Sequence[Sent], ours: Sequence[Sent]) -> list[Difference]:
    """Return how the requests for a call differ; each difference once.

    Requests of the same method and path are compared in their order, those
    that may be sent at a time in the order of their texts.
    """
    found: dict[Difference, None] = {}
    for line in dict.fromkeys(sent.line for sent in (*theirs, *ours)):
        left, right = ([sent for sent in _ordered(side) if sent.line == line] for side in (theirs, ours))
        if len(left) != len(right):
            found[Difference(line, REQUESTS, str(len(left)), str(len(right)))] = None
        for one, other in zip(left, right, strict=False):
            for field, mine, yours in unequal(one.fields, other.fields):
                found[Difference(line, field, shown(mine), shown(yours))] = None
    return list(found)


def _ordered(requests: Sequence[Sent]) -> list[Sent]:
    return sorted(requests, key=_text)


def _text(sent: Sent) -> str:
    body = sent.fields.get("body")
    if not isinstance(body, Mapping):
        return ""
    inputs = body.get("inputs")
    return str(inputs[0]) if isinstance(inputs, list) and inputs else str(body.get("input", ""))


def unequal(left: Any, right: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the deepest places where two values differ, with what is there."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for name in sorted({*left, *right}):
            inner = f"{place}.{name}" if place else str(name)
            yield from unequal(left.get(name, ABSENT), right.get(name, ABSENT), inner)
    elif isinstance(left, list) and isinstance(right, list) and _holds_objects((*left, *right)):
        for index, (one, other) in enumerate(zip_longest(left, right, fillvalue=ABSENT)):
            yield from unequal(one, other, f"{place}[{index}]")
    elif left != right or isinstance(left, bool) is not isinstance(right, bool):
        yield place, left, right


def _holds_objects(values: Iterable[Any]) -> bool:
    return any(isinstance(value, Mapping) for value in values)


_LONG = 70


def shown(value: Any) -> str:
    """Return a value for a table's cell: JSON, a long list by its length, a long text by its beginning."""
    if isinstance(value, Absent):
        return repr(value)
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)} items from {shown(value[0])} to {shown(value[-1])}"
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
