"""Calls of the utility agent tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from pydantic import ValidationError

from wx_integrations.core.calls.values import Call, encode
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.tools import ToolRunAnswer, ToolRunRequest, UtilityTool, UtilityTools

_TOOLS = "/wx/v1-beta/utility_agent_tools"


def list_tools() -> Call[UtilityTools]:
    """List the utility agent tools and what each takes."""
    return Call(method="GET", path=_TOOLS, host="platform", versioned=False, parse=UtilityTools.model_validate_json)


def get_tool(name: str) -> Call[UtilityTool]:
    """Describe one utility agent tool; who asks may be told more than the list says."""
    return Call(
        method="GET",
        path=f"{_TOOLS}/{quote(name, safe='')}",
        host="platform",
        versioned=False,
        parse=UtilityTool.model_validate_json,
    )


def run_tool(
    name: str,
    input: str | Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    *,
    named_by: Literal["body", "path"] = "body",
) -> Call[ToolRunAnswer]:
    """Run a utility agent tool.

    Args:
        name: the tool's name.
        input: a text, or an object for a tool with an input schema.
        config: the tool's settings, as its config schema has them.
        named_by: which of the API's two ways names the tool.

    Raises:
        ConfigurationError: something in input or config is no JSON.
    """
    try:
        request = ToolRunRequest(
            tool_name=name if named_by == "body" else None,
            input=input if isinstance(input, str) else dict(input),
            config=dict(config) if config else None,
        )
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, name) from None
    return Call(
        path=f"{_TOOLS}/run" if named_by == "body" else f"{_TOOLS}/run/{quote(name, safe='')}",
        body=encode(request.to_wire()),
        parse=ToolRunAnswer.model_validate_json,
        host="platform",
        versioned=False,
        generates=True,  # a tool that is still working is not started again
    )
