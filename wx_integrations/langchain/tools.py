"""WatsonxToolkit and WatsonxTool: the utility agent tools of watsonx.ai, or another source's tools, for LangChain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal, Self

from langchain_core.tools import BaseTool, BaseToolkit, ToolException
from pydantic import Field, PrivateAttr, field_serializer, field_validator

from wx_integrations.core.agent_tools import AgentTool, ToolOutput, ToolSource, public_config
from wx_integrations.core.errors import ConfigurationError, WatsonxError
from wx_integrations.core.secrets import Guarded, seal
from wx_integrations.core.toolbox import ToolboxFields, named
from wx_integrations.core.wire.tools import UtilityTool

ErrorHandling = bool | str | Callable[[ToolException], Any] | None


class WatsonxTool(BaseTool):
    """A tool that the service (or another source) runs.

    The model sees the tool's own input schema, untouched. The content of an
    answer is the tool's output as text; its artifact is the decoded JSON, the
    images, or the text again.

    A tool that fails raises `ToolException`; within an agent, where the
    failure belongs to a tool call, the model gets the words instead
    (`handle_tool_error` changes that). Wrong settings raise `ConfigurationError`.

        search = toolkit.get_tool("GoogleSearch").with_tool_config({"maxResults": 3})
        search.invoke("weather Toronto")
    """

    agent_description: str | None = None
    """The precise instruction for models; when there is one it is also the `description`."""
    tool_input_schema: dict[str, Any] | None = None
    """JSON Schema of the input; without one the tool takes one text."""
    tool_config_schema: dict[str, Any] | None = None
    """JSON Schema of the settings; without one there are none."""
    tool_config: dict[str, Any] | None = Field(default=None, repr=False)
    """The settings; checked before anything is sent."""
    tool_scope: dict[str, str] = Field(default_factory=dict, repr=False)
    """`project_id` or `space_id`, for tools whose settings ask for one."""
    source: ToolSource = Field(exclude=True, repr=False)
    """Who runs the tool."""

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """LangChain's; what `_run` returns has both."""
    handle_tool_error: ErrorHandling = None
    """None: the model gets the words of a failure, a program gets the exception. Anything else is as in LangChain."""

    @field_validator("tool_config")
    @classmethod
    def _guarded_config(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else Guarded(value)

    @field_serializer("tool_config")
    def _public_config(self, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return public_config(value)

    def __init__(self, **settings: Any) -> None:
        seal(settings)
        if settings.get("agent_description"):
            settings["description"] = settings["agent_description"]
        super().__init__(**settings)
        self.args_schema = self.bound.parameters

    @classmethod
    def of(cls, tool: AgentTool, **settings: Any) -> Self:
        """Return an agent tool as LangChain's; `settings` are further arguments."""
        about = tool.about
        return cls(
            name=about.name,
            description=about.description,
            agent_description=about.agent_description,
            tool_input_schema=deepcopy(about.input_schema),
            tool_config_schema=deepcopy(about.config_schema),
            tool_config=Guarded(deepcopy(dict(tool.config))) if tool.config else None,
            tool_scope=dict(tool.scope),
            source=tool.source,
            **settings,
        )

    @property
    def bound(self) -> AgentTool:
        """The tool as its source knows it, with the settings."""
        about = UtilityTool(
            name=self.name,
            description=self.description,
            agent_description=self.agent_description,
            input_schema=self.tool_input_schema,
            config_schema=self.tool_config_schema,
        )
        return AgentTool(about, self.source, self.tool_config, self.tool_scope)

    def set_tool_config(self, tool_config: Mapping[str, Any] | None) -> None:
        """Change the settings of this tool to `tool_config`; None takes them away.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        config = self.bound.with_config(tool_config).config
        self.tool_config = None if config is None else Guarded(config)

    def with_tool_config(self, tool_config: Mapping[str, Any] | None) -> Self:
        """Return the tool with `tool_config` as its settings; this one keeps its own.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        copied = self.model_copy()
        copied.set_tool_config(tool_config)
        return copied

    # ------------------------------------------------------------------ what LangChain calls

    @property
    def args(self) -> dict[str, Any]:
        """The properties of the input's JSON Schema, by name."""
        schema = self.args_schema
        return dict(schema.get("properties") or {}) if isinstance(schema, dict) else super().args

    def _parse_input(self, tool_input: str | dict[str, Any], tool_call_id: str | None) -> str | dict[str, Any]:
        if isinstance(tool_input, str) and isinstance(self.args_schema, dict):
            return tool_input  # LangChain refuses texts for tools with a JSON Schema; ours may take one
        return super()._parse_input(tool_input, tool_call_id)

    def run(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Run the tool as LangChain's `BaseTool.run` does; `invoke` is the usual way.

        Args:
            tool_input: a text, or the arguments by name.
            *args: as of `BaseTool.run`.
            **kwargs: as of `BaseTool.run`.

        Raises:
            ToolException: the tool failed, and this is no call by an agent.
        """
        return super(WatsonxTool, self._for(kwargs.get("tool_call_id"))).run(tool_input, *args, **kwargs)

    async def arun(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Run the tool; see `run`."""
        return await super(WatsonxTool, self._for(kwargs.get("tool_call_id"))).arun(tool_input, *args, **kwargs)

    def _for(self, tool_call_id: str | None) -> Self:
        if self.handle_tool_error is not None or tool_call_id is None:
            return self
        return self.model_copy(update={"handle_tool_error": True})

    def _run(self, /, *args: Any, **kwargs: Any) -> tuple[str, Any]:
        tool, arguments = self._prepared(args, kwargs)
        try:
            output = tool.run(arguments)
        except ConfigurationError:
            raise
        except WatsonxError as error:
            raise ToolException(f"{self.name} failed: {error}") from error
        return _answer(output)

    async def _arun(self, /, *args: Any, **kwargs: Any) -> tuple[str, Any]:
        tool, arguments = self._prepared(args, kwargs)
        try:
            output = await tool.arun(arguments)
        except ConfigurationError:
            raise
        except WatsonxError as error:
            raise ToolException(f"{self.name} failed: {error}") from error
        return _answer(output)

    def _prepared(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[AgentTool, str | dict[str, Any]]:
        """Return the tool and its arguments, both checked; only wrong arguments are the model's fault."""
        tool = self.bound
        arguments = args[0] if args else dict(kwargs)
        _ = tool.sent_config()
        try:
            _ = tool.sent_input(arguments)
        except ConfigurationError as error:
            raise ToolException(str(error)) from error
        return tool, arguments

    def __getstate__(self) -> dict[Any, Any]:
        state = dict(super().__getstate__())
        return {**state, "__dict__": {**state["__dict__"], "tool_config": public_config(self.tool_config)}}


def _answer(output: ToolOutput) -> tuple[str, Any]:
    return output.text, output.artifact


class WatsonxToolkit(ToolboxFields, BaseToolkit):
    """The utility agent tools of watsonx.ai.

    Connection settings that are left out come from WATSONX_* variables. The
    list of tools is fetched when first needed, and once.

        toolkit = WatsonxToolkit(tool_configs={"GoogleSearch": {"maxResults": 3}})
        agent = create_agent(ChatWatsonx(...), toolkit.get_tools())

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    handle_tool_error: ErrorHandling = Field(default=None, exclude=True)
    """Given to every tool."""

    _tools: list[WatsonxTool] | None = PrivateAttr(default=None)

    def get_tools(self) -> list[BaseTool]:
        """Return the tools; the same ones each time."""
        return [*self._own()]

    async def aget_tools(self) -> list[BaseTool]:
        """Return the tools; the same ones each time."""
        await self.toolbox.atools()
        return [*self._own()]

    def get_tool(self, tool_name: str) -> WatsonxTool:
        """Return the tool called `tool_name`.

        Raises:
            ConfigurationError: there is none; names the nearest.
        """
        tools = self._own()
        return tools[named(tool_name, [tool.name for tool in tools])]

    async def aget_tool(self, tool_name: str) -> WatsonxTool:
        """Return the tool called `tool_name`; see `get_tool`."""
        await self.toolbox.atools()
        return self.get_tool(tool_name)

    def refresh(self) -> None:
        """Ask for the tools again the next time."""
        super().refresh()
        self._tools = None

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._tools = None

    def _own(self) -> list[WatsonxTool]:
        if self._tools is None:
            tools = self.toolbox.tools()
            self._tools = [WatsonxTool.of(tool, handle_tool_error=self.handle_tool_error) for tool in tools]
        return self._tools

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {**state["__pydantic_private__"], "_tools": None}}


def convert_to_watsonx_tool(tool: WatsonxTool) -> dict[str, Any]:
    """Return a tool in the form the chat API takes, its schema untouched.

    LangChain's own converter leaves titles out.
    """
    function = {"name": tool.name, "description": tool.description, "parameters": tool.bound.parameters}
    return {"type": "function", "function": function}


__all__ = ["WatsonxTool", "WatsonxToolkit", "convert_to_watsonx_tool"]
