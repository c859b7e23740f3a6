"""LangChain's standard suites for a tool that takes one text and a tool with an input schema."""

from __future__ import annotations

from typing import Any

import httpx
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from tests.support.tool_service import ToolService
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.transport import EmulatorTransport
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


class TestEmulatedTextToolIntegration(ToolsIntegrationTests):
    """PythonInterpreter on the emulator, which runs the code."""

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return _emulated("PythonInterpreter")

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"input": "print(6 * 7)"}


class TestEmulatedSchemaToolIntegration(ToolsIntegrationTests):
    """Wikipedia on the emulator."""

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return _emulated("Wikipedia")

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "Eiffel Tower"}


def _emulated(name: str) -> WatsonxTool:
    transport = EmulatorTransport(Emulator())
    toolkit = WatsonxToolkit(
        url="https://us-south.ml.cloud.ibm.com",
        api_key="key",
        httpx_client=httpx.Client(transport=transport),
        async_httpx_client=httpx.AsyncClient(transport=transport),
    )
    return toolkit.get_tool(name)
