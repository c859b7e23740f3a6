"""Tools and output schemas in LangChain's many forms to the function and format of the wire; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.schemas import DEFINITIONS, inline
from wx_integrations.core.wire import chat as wire
from wx_integrations.langchain.forms import Schema, ToolLike

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")

UNNAMED = "output"
"""The name sent for a schema that has neither title nor name."""


def tool_of(tool: ToolLike, *, strict: bool | None = None) -> dict[str, Any]:
    """Return a tool as `{"type": "function", "function": {...}}`, with references written out.

    Args:
        tool: a BaseTool, callable, pydantic class (v2 or v1), TypedDict, or a
            dictionary: OpenAI tool or function, Anthropic tool, Bedrock tool, titled JSON Schema.
        strict: sent as the function's `strict`; None sends nothing.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(tool, Mapping) and isinstance(tool.get("type"), str) and "function" not in tool:
        kind = tool["type"]
        if kind != "object" and not {"name", "title", "input_schema"} & set(tool):
            raise ConfigurationError(
                f"watsonx.ai has no built-in tool {kind!r}", hint="Give a function the model can call", field="tools"
            )
    function = _function_of(tool, strict)
    return {"type": "function", "function": function}


def wire_tools(tools: Sequence[ToolLike]) -> list[wire.Tool]:
    """Return tools as they are sent.

    Raises:
        ConfigurationError: one is not a function; names its fields.
    """
    sent: list[wire.Tool] = []
    for position, tool in enumerate(tools):
        try:
            sent.append(wire.Tool.model_validate(tool_of(tool)))
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, f"tools[{position}]") from None
    return sent


def _function_of(schema: Any, strict: bool | None) -> dict[str, Any]:
    from langchain_core.utils.function_calling import convert_to_openai_tool  # few chats have tools

    try:
        if isinstance(schema, Mapping):
            converted = convert_to_openai_tool(_plain(schema), strict=strict)
        else:
            converted = convert_to_openai_tool(schema, strict=strict)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"not usable as a tool or schema: {error}", field="tools") from None
    inner = converted.get("function")
    function = dict(inner) if isinstance(inner, Mapping) else {}
    if not (isinstance(function.get("name"), str) and function["name"]):
        raise ConfigurationError("not usable as a tool or schema: it has no name", field="tools")
    if strict is not None:
        function["strict"] = strict
    if not function.get("description"):
        function.pop("description", None)
    parameters = _own_parameters(schema, strict) or _recursive_parameters(schema) or function.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ConfigurationError(f"{function['name']!r}: the parameters are no JSON Schema", field="tools")
    if parameters is not None:
        function["parameters"] = inline(parameters)
    return function


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dictionary in a form LangChain's converter knows."""
    if schema.get("type") == "function" and isinstance(schema.get("function"), Mapping):
        inner = dict(schema["function"])
        if set(schema) - {"type", "function"}:
            further = sorted(set(schema) - {"type", "function"})
            raise ConfigurationError(
                f"a tool has {', '.join(further)} beside function; the API takes only type and function", field="tools"
            )
        return _checked(inner)
    if "name" in schema and "input_schema" not in schema:
        return _checked(dict(schema))
    return dict(schema)


def _is_tool(schema: Any) -> bool:
    from langchain_core.tools import BaseTool

    return isinstance(schema, BaseTool)


_FUNCTION_KEYS = frozenset({"name", "description", "parameters", "strict"})


def _checked(function: dict[str, Any]) -> dict[str, Any]:
    """Refuse a function with keys that LangChain's converter would leave out."""
    if unknown := sorted(set(function) - _FUNCTION_KEYS):
        raise ConfigurationError(
            f"the function {function.get('name', '')!r} has {', '.join(unknown)}, which the API does not know",
            hint=f"A function has {', '.join(sorted(_FUNCTION_KEYS))}",
            field="tools",
        )
    if not isinstance(function.get("name"), str):
        raise ConfigurationError("a function has no name", field="tools")
    return function


def _own_parameters(schema: Any, strict: bool | None) -> dict[str, Any] | None:
    """Return the JSON Schema that a tool brings itself; LangChain's converter would leave its titles out."""
    if _is_tool(schema) and isinstance(schema.args_schema, dict) and not strict:
        return schema.args_schema
    return None


def _recursive_parameters(schema: Any) -> dict[str, Any] | None:
    """Return the parameters of a pydantic class that refers to itself, which LangChain's converter would cut off."""
    if _is_tool(schema):
        schema = schema.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    written = inline(schema.model_json_schema())
    if not any(key in written for key in DEFINITIONS):
        return None
    return {key: value for key, value in written.items() if key not in ("title", "description")}


# --------------------------------------------------------------------------- output schemas


def function_of(schema: Schema, *, strict: bool | None = None) -> dict[str, Any]:
    """Return an output schema as name, description, parameters and strict.

    Args:
        schema: a pydantic class (v2 or v1), TypedDict, or a dictionary: JSON
            Schema with or without title, OpenAI's `{"name", "schema"}`, its whole
            `response_format`, or a tool in one of the forms of `tool_of`.
    """
    if isinstance(schema, Mapping):
        schema = _as_function(schema)
    if strict is None and isinstance(schema, Mapping):
        strict = schema.get("strict")
    function = _function_of(schema, strict)
    return {**function, "name": _NOT_IN_NAMES.sub("_", function["name"])[:64]}


def _as_function(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    match schema:
        case {"type": "json_schema", "json_schema": Mapping() as inner}:
            _only(schema, "type", "json_schema")
            return _as_function(inner)
        case {"name": str(name), "schema": Mapping() as body}:
            _only(schema, "name", "schema", "description", "strict")
            named = {"name": name, "parameters": dict(body)}
            return named | {key: schema[key] for key in ("description", "strict") if schema.get(key) is not None}
        case {"type": "function"} | {"name": str(), "parameters": _} | {"name": str(), "input_schema": _}:
            return schema
        case {"toolSpec": _}:
            return schema
    body = {key: value for key, value in schema.items() if key not in ("title", "description", "strict")}
    named = {"name": str(schema.get("title") or UNNAMED), "parameters": body}
    return named | {key: schema[key] for key in ("description", "strict") if schema.get(key) is not None}


def _only(schema: Mapping[str, Any], *known: str) -> None:
    """Refuse keys that would be left out."""
    if unknown := sorted(set(schema) - set(known)):
        raise ConfigurationError(
            f"response_format has {', '.join(unknown)}, which the API does not know",
            hint=f"It takes {', '.join(known)}",
            field="response_format",
        )


def parameters_of(schema: Schema) -> dict[str, Any]:
    """Return an output schema as plain JSON Schema, with references written out."""
    return _body(function_of(schema))


def guide_of(schema: Schema) -> dict[str, Any]:
    """Return what was given as `guided_json` as JSON Schema; one that is, keeps its titles."""
    return inline(schema) if isinstance(schema, Mapping) else parameters_of(schema)


def _body(function: Mapping[str, Any]) -> dict[str, Any]:
    return dict(function.get("parameters") or {"type": "object", "properties": {}})


def json_schema_format(schema: Schema, *, strict: bool | None = None) -> dict[str, Any]:
    """Return an output schema as a `response_format` of type `json_schema`."""
    function = function_of(schema, strict=strict)
    inner = {"name": function["name"], "schema": _body(function)}
    inner |= {key: function[key] for key in ("description", "strict") if function.get(key) is not None}
    return {"type": "json_schema", "json_schema": inner}


def response_format_of(value: Any) -> dict[str, Any] | None:
    """Return what was given as `response_format` in the shape of the wire.

    Raises:
        ConfigurationError: it is neither a format nor a schema.
    """
    match value:
        case None:
            return None
        case {"type": "text" | "json_object"}:
            _only(value, "type")
            return dict(value)
        case Mapping() | type():
            return json_schema_format(value)
    raise ConfigurationError(
        f"response_format: {type(value).__name__} is not known",
        hint='Give {"type": "json_object"}, {"type": "json_schema", ...}, or a schema',
        field="response_format",
    )
