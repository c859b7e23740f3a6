"""LangChain's standard suites for a tool that takes one text and a tool with an input schema."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from tests.support.tool_service import ToolService
from wx_integrations.langchain.tools import WatsonxTool, WatsonxToolkit


class _Text:
    """GoogleSearch, which takes one text."""

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        toolkit = WatsonxToolkit(**ToolService().settings(tool_configs={"GoogleSearch": {"maxResults": 3}}))
        return toolkit.get_tool("GoogleSearch")

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"input": "Search IBM"}


class _Schema:
    """Weather, built from its fields."""

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return WatsonxTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        toolkit = WatsonxToolkit(**ToolService().settings())
        schema = {
            "type": "object",
            "properties": {
                "location": {"title": "location", "description": "Name of the location", "type": "string"},
                "country": {"title": "country", "description": "Name of the state or country", "type": "string"},
            },
            "required": ["location"],
        }
        return {
            "name": "Weather",
            "description": "Find the weather for a city.",
            "tool_input_schema": schema,
            "source": toolkit.toolbox.source,
        }

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"location": "Naples"}


class TestTextToolUnit(_Text, ToolsUnitTests):
    pass


class TestSchemaToolUnit(_Schema, ToolsUnitTests):
    pass


class TestTextToolIntegration(_Text, ToolsIntegrationTests):
    pass


class TestSchemaToolIntegration(_Schema, ToolsIntegrationTests):
    pass
