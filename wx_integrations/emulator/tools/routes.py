"""The routes of the utility agent tools; they belong to the platform host.

Source: watsonx.ai API reference, "Utility agent tools (Beta)". The pictures'
route is the emulator's own.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from wx_integrations.core.wire.tools import ToolRunRequest
from wx_integrations.emulator.bodies import read_object, validate
from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Route, Visit
from wx_integrations.emulator.tools.card import Bench, EmulatedTool, Input, ToolFailed
from wx_integrations.emulator.tools.toolbox import Toolbox

BASE = "/wx/v1-beta/utility_agent_tools"


def list_tools(visit: Visit) -> Reply:
    """List the tools."""
    return json_reply(200, {"resources": [tool.card.body() for tool in _toolbox(visit).tools]})


def describe(visit: Visit) -> Reply:
    """Describe one tool."""
    return json_reply(200, _tool(visit, visit.arguments["tool"]).card.body())


def run(visit: Visit) -> Reply:
    """Run a tool that the body or the path names."""
    data = read_object(visit)
    toolbox = _toolbox(visit)
    request = validate(visit, ToolRunRequest, data)
    name = visit.arguments.get("tool") or request.tool_name
    if name is None:
        raise Refused(400, "", "tool_name is required")
    if request.tool_name not in (None, name):
        raise Refused(400, "", f"tool_name is {request.tool_name!r}, but the path names {name!r}")
    tool = _tool(visit, name)
    given = read_input(tool.card.input_schema, request.input, strict=visit.service.strict)
    bench = Bench(visit.service.brain, lambda ending, data: _address(visit, toolbox.keep_image(ending, data)))
    try:
        return json_reply(200, {"output": tool.run(given, request.config or {}, bench)})
    except ToolFailed as error:
        raise Refused(error.status, "", f"{name}: {error}") from None


def picture(visit: Visit) -> Reply:
    """Return a picture that code has drawn."""
    name = visit.arguments["name"]
    data = _toolbox(visit).image(name)
    if data is None:
        raise Refused(404, "", f"there is no picture {name!r}")
    return Reply(200, {"content-type": mimetypes.guess_type(name)[0] or "application/octet-stream"}, data)


def read_input(schema: Mapping[str, Any] | None, given: Input, *, strict: bool) -> Input:
    """Return an input that has the fields of a tool's schema.

    Lenient reading leaves out optional fields that are null, which langchain-ibm sends.

    Raises:
        Refused: names the field that is missing, unknown or of a wrong kind.
    """
    if schema is None:
        return given
    if isinstance(given, str):
        raise Refused(400, "", f"input must be an object with {', '.join(schema['required'])}")
    properties, needed = schema["properties"], schema["required"]
    if not strict:
        given = {name: value for name, value in given.items() if value is not None or name in needed}
    for name in needed:
        if name not in given:
            raise Refused(400, "", f"input.{name} is required")
    for name, value in given.items():
        if name not in properties:
            raise Refused(400, "", f"input.{name} is not known; known: {', '.join(properties)}")
        if properties[name]["type"] == "string" and not isinstance(value, str):
            raise Refused(400, "", f"input.{name} must be a string")
    return given


def _toolbox(visit: Visit) -> Toolbox:
    toolbox = visit.service.tools
    if toolbox is None or not visit.request.trusted:
        message = "the tools of this emulator are off, as they run code and fetch pages on the machine it is on"
        raise Refused(403, "", message)
    return toolbox


def _tool(visit: Visit, name: str) -> EmulatedTool:
    tool = _toolbox(visit).named(name)
    if tool is None:
        raise Refused(404, "", f"there is no tool {name!r}")
    return tool


def _address(visit: Visit, name: str) -> str:
    parts = urlsplit(visit.request.url)
    host = visit.request.header("host") or parts.netloc
    return f"{parts.scheme}://{host}{BASE}/resources/{name}"


ROUTES = (
    Route("GET", BASE, list_tools, place="platform", family="tools", token=False),
    Route("POST", f"{BASE}/run", run, place="platform", family="tools"),
    Route("POST", f"{BASE}/run/{{tool}}", run, place="platform", family="tools"),
    Route("GET", f"{BASE}/resources/{{name}}", picture, place="platform", family="tools", token=False),
    Route("GET", f"{BASE}/{{tool}}", describe, place="platform", family="tools", token=False),
)
