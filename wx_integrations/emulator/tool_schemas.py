"""What the service checks of the schemas that come with tools: the names of types.

Source: the refusal recorded in https://github.com/IBM/watsonx-ai-samples/pull/87 (2025-06-23).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wx_integrations.core.wire.chat import Tool
from wx_integrations.emulator.refusals import Refused

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")


def check_tools(tools: Sequence[Tool]) -> None:
    """Check the types that the tools' parameters have.

    Raises:
        Refused: names the first place where there is no type of JSON Schema, in the recorded words.
    """
    for index, tool in enumerate(tools):
        for place in unknown_types(tool.function.parameters or {}, ""):
            known = ", ".join(f"'{name}'" for name in TYPES)
            where = f"tools[{index}].function.parameters: at '{place}'"
            message = f"Json document validation error: {where}: value must be one of {known}"
            raise Refused(400, "json_validation_error", message)


def unknown_types(schema: Any, place: str) -> Iterator[str]:
    """Yield the places, as JSON pointers, of types that JSON Schema does not have."""
    if not isinstance(schema, dict):
        return
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not all(kind in TYPES for kind in kinds):
            yield f"{place}/type"
    for keyword in _NAMED:
        inner = schema.get(keyword)
        for name, part in inner.items() if isinstance(inner, dict) else ():
            yield from unknown_types(part, f"{place}/{keyword}/{name.replace('~', '~0').replace('/', '~1')}")
    for keyword in _LISTED:
        inner = schema.get(keyword)
        for number, part in enumerate(inner) if isinstance(inner, list) else ():
            yield from unknown_types(part, f"{place}/{keyword}/{number}")
    for keyword in _SINGLE:
        yield from unknown_types(schema.get(keyword), f"{place}/{keyword}")
