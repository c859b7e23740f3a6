"""Utility agent tools: what there is, and running one.

Source: watsonx.ai API reference, "Utility agent tools (Beta)".
"""

from typing import Any

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import JsonObject


class UtilityTool(Received):
    """A tool: what it does, what it takes, and how it can be configured.

    `agent_description` is the precise instruction for models; without one
    `description` stands in. Without `input_schema` the input is one text.
    """

    name: str
    description: str
    agent_description: str | None = None
    input_schema: dict[str, Any] | None = None
    config_schema: dict[str, Any] | None = None


class UtilityTools(Received):
    resources: list[UtilityTool]


class ToolRunRequest(Sent):
    tool_name: str | None = None
    """Which tool, unless the path says it."""
    input: str | JsonObject
    config: JsonObject | None = None


class ToolRunAnswer(Received):
    output: str
    """Often JSON as text; WebCrawler's is JSON as text within JSON as text."""
