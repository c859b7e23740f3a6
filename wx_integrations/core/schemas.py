"""JSON Schemas on their way to the service.

Some models of the service answer with nothing when a schema holds `$ref`
(reported in cuga-agent #89), so references are written out before sending.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

DEFINITIONS = ("$defs", "definitions")


def inline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a schema with its local references written out.

    A reference that leads back to itself cannot be written out; it stays, and
    so do the definitions it needs. References to other documents stay as they
    are.
    """
    seen_again: set[str] = set()
    written = _written_out(schema, schema, (), seen_again)
    assert isinstance(written, dict)
    result = {key: value for key, value in written.items() if key not in DEFINITIONS}
    kept = _definitions_for(schema, seen_again)
    for key in DEFINITIONS:
        names = {ref.split("/", 2)[2]: value for ref, value in kept.items() if ref.startswith(f"#/{key}/")}
        if names:
            result[key] = names
    return result


def _definitions_for(schema: Mapping[str, Any], refs: set[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    waiting = set(refs)
    while waiting:
        ref = waiting.pop()
        if ref in kept or ref == "#":
            continue
        again: set[str] = set()
        kept[ref] = _written_out(_target(schema, ref), schema, (ref,), again)
        waiting |= again
    return kept


def _written_out(node: Any, root: Mapping[str, Any], open_refs: tuple[str, ...], again: set[str]) -> Any:
    if isinstance(node, Mapping):
        ref = node.get("$ref")
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        if isinstance(ref, str) and ref.startswith("#"):
            if ref == "#" or ref in open_refs or _target(root, ref) is None:
                again.update({ref} if _target(root, ref) is not None else ())
                return {"$ref": ref, **_members(siblings, root, open_refs, again)}
            body = _written_out(_target(root, ref), root, (*open_refs, ref), again)
            extra = _members(siblings, root, open_refs, again)
            return {**body, **extra} if isinstance(body, dict) else body
        return _members(node, root, open_refs, again)
    if isinstance(node, list | tuple):
        return [_written_out(item, root, open_refs, again) for item in node]
    return node


def _members(
    node: Mapping[str, Any], root: Mapping[str, Any], open_refs: tuple[str, ...], again: set[str]
) -> dict[str, Any]:
    at_root = node is root
    return {
        key: value if at_root and key in DEFINITIONS else _written_out(value, root, open_refs, again)
        for key, value in node.items()
    }


def _target(root: Mapping[str, Any], ref: str) -> Any:
    """Return what `#/a/b` points at, or None."""
    node: Any = root
    for part in ref.removeprefix("#").split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
