"""JSON Schemas on their way to the service.

Some models of the service answer with nothing when a schema holds `$ref`
(reported in cuga-agent #89), so references are written out before sending.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from wx_integrations.core.errors import ConfigurationError

DEFINITIONS = ("$defs", "definitions")

_NAMED: Final = frozenset({*DEFINITIONS, "properties", "patternProperties", "dependentSchemas"})
"""Keywords whose value maps names, which may look like keywords, to schemas."""
_DATA: Final = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose value is data, where `$ref` is a key like any other."""
_REMARKS: Final = frozenset({"title", "description", "default", "example", "examples", "deprecated", "$comment"})
"""Keywords that constrain nothing, so the one beside a reference stands in for the target's."""
_MAX_PARTS: Final = 100_000
_MAX_DEPTH: Final = 100


def inline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a schema with its local references written out.

    A reference that leads back to itself cannot be written out; it stays, and
    so do the definitions it needs. References to other documents stay as they
    are. A keyword beside a reference that says something else than the target
    does becomes a further condition (`allOf`), unless it is a mere remark.

    Raises:
        ConfigurationError: written out, it would be nested deeper than 100 or have more than 100,000 parts.
    """
    writer = _Writer(schema)
    written = writer.schema(schema, (), 0)
    assert isinstance(written, dict)
    result = {key: value for key, value in written.items() if key not in DEFINITIONS}
    kept = writer.definitions()
    for key in DEFINITIONS:
        names = {_names(ref)[1]: value for ref, value in kept.items() if _names(ref)[0] == key}
        if names:
            result[key] = names
    return result


class _Writer:
    """Writes out one schema; remembers which references lead back to themselves."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._again: set[str] = set()
        self._parts = 0

    def definitions(self) -> dict[str, Any]:
        """Return the definitions that the references that stayed point at, or into, by reference.

        Whatever else they point at is where it was.
        """
        kept: dict[str, Any] = {}
        while waiting := {home for ref in self._again if (home := _home(ref))} - kept.keys():
            for ref in waiting:
                kept[ref] = self.schema(_target(self._root, ref), (ref,), 0)
        return kept

    def schema(self, node: Any, open_refs: tuple[str, ...], depth: int) -> Any:
        """Return a schema, or a list of them, written out."""
        self._count(depth)
        if isinstance(node, list | tuple):
            return [self.schema(item, open_refs, depth + 1) for item in node]
        if not isinstance(node, Mapping):
            return node
        ref = node.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return self._keywords(node, node, open_refs, depth)
        beside = self._keywords(node, [key for key in node if key != "$ref"], open_refs, depth)
        target = _target(self._root, ref)
        if target is None:
            return {"$ref": ref, **beside}
        if ref == "#" or ref in open_refs:
            self._again.add(ref)
            return {"$ref": ref, **beside}
        return _both(self.schema(target, (*open_refs, ref), depth + 1), beside)

    def _keywords(
        self, node: Mapping[str, Any], keys: Iterable[str], open_refs: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for key in keys:
            value = node[key]
            if key in _DATA or (node is self._root and key in DEFINITIONS):
                written[key] = copy.deepcopy(value)
            elif key in _NAMED and isinstance(value, Mapping):
                written[key] = {name: self.schema(item, open_refs, depth + 1) for name, item in value.items()}
            else:
                written[key] = self.schema(value, open_refs, depth + 1)
        return written

    def _count(self, depth: int) -> None:
        self._parts += 1
        if depth > _MAX_DEPTH or self._parts > _MAX_PARTS:
            what = f"is nested deeper than {_MAX_DEPTH}" if depth > _MAX_DEPTH else f"has more than {_MAX_PARTS} parts"
            raise ConfigurationError(
                f"the schema, with its references written out, {what}", hint="Give a smaller schema"
            )


def _both(body: Any, beside: dict[str, Any]) -> Any:
    """Return a reference's target and the keywords beside the reference as one schema."""
    if not beside or body is False:
        return body
    if not isinstance(body, dict):
        return beside
    clash = [key for key in beside if key not in _REMARKS and key in body and body[key] != beside[key]]
    if not clash:
        return {**body, **beside}
    first = {key: value for key, value in body.items() if key not in _REMARKS or key not in beside}
    return {**beside, "allOf": [first, *beside.get("allOf", [])]}


def _names(ref: str) -> list[str]:
    """Return the steps of `#/a/b`."""
    return [unquote(part).replace("~1", "/").replace("~0", "~") for part in ref.removeprefix("#").split("/")[1:]]


def _home(ref: str) -> str | None:
    """Return the reference of the definition that a reference points at or into, None if into none."""
    if len(names := _names(ref)) < 2 or names[0] not in DEFINITIONS:
        return None
    return "/".join(ref.split("/")[:3])


def _target(root: Mapping[str, Any], ref: str) -> Any:
    """Return what `#/a/b` points at, or None."""
    node: Any = root
    for key in _names(ref):
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
