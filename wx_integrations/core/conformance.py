"""Whether a value conforms to a JSON Schema, and where it does not; pure.

For the schemas of tools: every keyword of JSON Schema 2020-12 that
constrains a value by itself, and local references. Messages name the place
and the rule, never the value, which may be secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wx_integrations.core.schemas import inline

_DEPTH = 64
"""A value nested deeper than this is not looked into: recursive schemas end somewhere."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A place in a value and the rule it breaks; `path` is empty for the value itself."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


def violations(
    schema: Mapping[str, Any], value: Any, *, patterns: bool = True, known_only: bool = False
) -> list[Violation]:
    """Return every rule of a schema that a value breaks.

    Args:
        schema: a JSON Schema.
        value: JSON-like data.
        patterns: check `pattern` too; those of the service are JavaScript's and may be slow to match.
        known_only: refuse properties of the value itself that the schema does not
            name, even if it does not say `additionalProperties: false`.
    """
    checker = _Checker(inline(schema), patterns)
    found = list(checker.check(checker.root, value, "", 0))
    if known_only and isinstance(value, Mapping):
        found += _unknown(checker.root, value)
    return list(dict.fromkeys(found))


def _unknown(schema: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[Violation]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or {"additionalProperties", "patternProperties"} & set(schema):
        return
    for name in value:
        if name not in properties:
            near = difflib.get_close_matches(str(name), list(properties), n=1)
            yield Violation(str(name), "is not known" + (f"; did you mean {near[0]!r}?" if near else ""))


class _Checker:
    def __init__(self, root: Mapping[str, Any], patterns: bool) -> None:
        self.root = root
        self.patterns = patterns

    def check(self, schema: Any, value: Any, path: str, depth: int) -> Iterator[Violation]:
        if schema is False:
            yield Violation(path, "is not allowed")
        if not isinstance(schema, Mapping) or depth > _DEPTH:
            return
        if isinstance(ref := schema.get("$ref"), str):
            yield from self.check(self._target(ref), value, path, depth + 1)
        for rule in self._own(schema, value):
            yield Violation(path, rule)
        if isinstance(value, Mapping):
            yield from self._object(schema, value, path, depth)
        elif _is_list(value):
            yield from self._array(schema, value, path, depth)
        yield from self._combined(schema, value, path, depth)

    def _fits(self, schema: Any, value: Any, depth: int) -> bool:
        return not any(True for _ in self.check(schema, value, "", depth + 1))

    def _target(self, ref: str) -> Any:
        node: Any = self.root
        for part in ref.removeprefix("#").split("/")[1:]:
            node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        return node

    # ------------------------------------------------------------------ the value itself

    def _own(self, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        kinds = schema.get("type")
        allowed = [kinds] if isinstance(kinds, str) else list(kinds or ())
        if allowed and not any(_is(kind, value) for kind in allowed):
            yield f"must be {' or '.join(allowed)}"
            return
        if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
            yield f"must be one of {', '.join(map(repr, schema['enum']))}"
        if "const" in schema and not _same(value, schema["const"]):
            yield f"must be {schema['const']!r}"
        if _is("number", value):
            yield from _number(schema, value)
        elif isinstance(value, str):
            yield from self._text(schema, value)

    def _text(self, schema: Mapping[str, Any], value: str) -> Iterator[str]:
        if "minLength" in schema and len(value) < schema["minLength"]:
            yield f"must have at least {schema['minLength']} characters"
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            yield f"must have at most {schema['maxLength']} characters"
        pattern = schema.get("pattern")
        if self.patterns and isinstance(pattern, str):
            try:
                matches = re.search(pattern, value) is not None
            except re.error:
                return  # JavaScript knows patterns that Python does not; the service decides
            if not matches:
                yield f"must match {pattern}"

    # ------------------------------------------------------------------ what it holds

    def _object(
        self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str, depth: int
    ) -> Iterator[Violation]:
        for name in schema.get("required", ()):
            if name not in value:
                yield Violation(_below(path, name), "is required")
        yield from _counted(len(value), schema, "Properties", path)
        properties = schema.get("properties", {})
        patterned = schema.get("patternProperties", {})
        for name, part in value.items():
            place = _below(path, name)
            known = name in properties
            if known:
                yield from self.check(properties[name], part, place, depth + 1)
            for pattern, rule in patterned.items():
                if re.search(pattern, str(name)):
                    known = True
                    yield from self.check(rule, part, place, depth + 1)
            if not known and "additionalProperties" in schema:
                yield from self._further(schema, properties, part, place, depth)
            if "propertyNames" in schema:
                yield from self.check(schema["propertyNames"], name, place, depth + 1)
        for name, needed in schema.get("dependentRequired", {}).items():
            if name in value:
                yield from (
                    Violation(_below(path, one), f"is required with {name}") for one in needed if one not in value
                )

    def _further(
        self, schema: Mapping[str, Any], properties: Mapping[str, Any], part: Any, place: str, depth: int
    ) -> Iterator[Violation]:
        if schema["additionalProperties"] is not False:
            yield from self.check(schema["additionalProperties"], part, place, depth + 1)
            return
        name = place.rpartition(".")[2]
        near = difflib.get_close_matches(name, list(properties), n=1)
        yield Violation(place, "is not known" + (f"; did you mean {near[0]!r}?" if near else ""))

    def _array(self, schema: Mapping[str, Any], value: Sequence[Any], path: str, depth: int) -> Iterator[Violation]:
        yield from _counted(len(value), schema, "Items", path)
        if schema.get("uniqueItems") and any(_same(one, two) for i, one in enumerate(value) for two in value[:i]):
            yield Violation(path, "must not hold the same twice")
        first = schema.get("prefixItems", ())
        for position, part in enumerate(value):
            rule = first[position] if position < len(first) else schema.get("items", True)
            yield from self.check(rule, part, f"{path}[{position}]", depth + 1)
        if "contains" in schema and not any(self._fits(schema["contains"], part, depth) for part in value):
            yield Violation(path, "lacks an item that is needed")

    # ------------------------------------------------------------------ combinations

    def _combined(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> Iterator[Violation]:
        for part in schema.get("allOf", ()):
            yield from self.check(part, value, path, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if branches := schema.get(keyword):
                fitting = sum(self._fits(branch, value, depth) for branch in branches)
                if fitting == 0 or (keyword == "oneOf" and fitting > 1):
                    yield Violation(path, _choice(branches, keyword, fitting))
        if "not" in schema and self._fits(schema["not"], value, depth):
            yield Violation(path, "is of a kind that is not allowed")
        if "if" in schema:
            branch = "then" if self._fits(schema["if"], value, depth) else "else"
            yield from self.check(schema.get(branch, True), value, path, depth + 1)


def _number(schema: Mapping[str, Any], value: float) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield f"must be at least {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"must be at most {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"must be more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"must be less than {schema['exclusiveMaximum']}"
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        yield f"must be a multiple of {step}"


def _counted(count: int, schema: Mapping[str, Any], what: str, path: str) -> Iterator[Violation]:
    if f"min{what}" in schema and count < schema[f"min{what}"]:
        yield Violation(path, f"must have at least {schema[f'min{what}']} {what.lower()}")
    if f"max{what}" in schema and count > schema[f"max{what}"]:
        yield Violation(path, f"must have at most {schema[f'max{what}']} {what.lower()}")


def _choice(branches: Sequence[Any], keyword: str, fitting: int) -> str:
    """Say what a choice asks for; the service uses it for settings of which one is needed."""
    needed = [
        branch.get("required") for branch in branches if isinstance(branch, Mapping) and set(branch) == {"required"}
    ]
    if len(needed) == len(branches):
        names = " or ".join(" with ".join(names) for names in needed if names)
        return f"only one is allowed of {names}" if fitting else f"{names} is required"
    return f"fits {fitting} of its {len(branches)} forms, {'one' if keyword == 'oneOf' else 'at least one'} is needed"


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return _is_list(value)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "integer":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
        case _:
            return True


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON: 1 is 1.0 but not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _below(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
