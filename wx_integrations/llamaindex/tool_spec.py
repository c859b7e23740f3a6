"""WatsonxToolSpec: the utility agent tools of watsonx.ai, or another source's tools, for LlamaIndex."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools import ToolOutput as LlamaToolOutput
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from pydantic import BaseModel, ConfigDict

from wx_integrations.core.agent_tools import AgentTool, ToolOutput
from wx_integrations.core.toolbox import ToolboxFields, named


@dataclass
class SchemaMetadata(ToolMetadata):
    """What LlamaIndex tells a model about a tool, with the tool's own JSON Schema, untouched."""

    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fn_schema = _model(self.name or "tool", self.parameters)

    def get_parameters_dict(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return deepcopy(self.parameters)


class _Arguments(BaseModel):
    """Takes what the schema of a tool takes; the tool checks it."""

    model_config = ConfigDict(extra="allow")
    SCHEMA: ClassVar[dict[str, Any]] = {}

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        return deepcopy(cls.SCHEMA)


def _model(name: str, schema: dict[str, Any]) -> type[BaseModel]:
    """Return a class for those parts of LlamaIndex that ask for one; its JSON Schema is the tool's."""
    plain = re.sub(r"\W", "_", name)  # a class cannot be called just anything
    return cast("type[BaseModel]", type(plain, (_Arguments,), {"SCHEMA": schema, "__module__": __name__}))


class WatsonxFunctionTool(FunctionTool):
    """A tool that the service (or another source) runs.

    The blocks of an output are its text; `raw_output` is the decoded JSON,
    the images, or the text again. Failures are raised; agents of LlamaIndex
    show their words to the model.
    """

    def __init__(self, tool: AgentTool, metadata: ToolMetadata | None = None) -> None:
        self.tool = tool
        told = SchemaMetadata(description=tool.description, name=tool.name, parameters=tool.parameters)
        super().__init__(fn=self._run, async_fn=self._arun, metadata=metadata or told)

    def with_config(self, config: Mapping[str, Any] | None) -> WatsonxFunctionTool:
        """Return the tool with other settings; this one keeps its own.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        return WatsonxFunctionTool(self.tool.with_config(config), self.metadata)

    def set_tool_config(self, config: Mapping[str, Any] | None) -> None:
        """Change the settings of this tool.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        self.tool = self.tool.with_config(config)

    def _run(self, /, *args: Any, **kwargs: Any) -> ToolOutput:
        return self.tool.run(args[0] if args else kwargs)

    async def _arun(self, /, *args: Any, **kwargs: Any) -> ToolOutput:
        return await self.tool.arun(args[0] if args else kwargs)

    # LlamaIndex's own `call` cannot pass on an argument that is named "self".

    def call(self, /, *args: Any, **kwargs: Any) -> LlamaToolOutput:
        return self._shown(self._run(*args, **kwargs), args, kwargs)

    async def acall(self, /, *args: Any, **kwargs: Any) -> LlamaToolOutput:
        return self._shown(await self._arun(*args, **kwargs), args, kwargs)

    def _shown(self, output: ToolOutput, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LlamaToolOutput:
        return LlamaToolOutput(
            blocks=[TextBlock(text=output.text)],
            tool_name=self.metadata.get_name(),
            raw_input={"args": args, "kwargs": kwargs},
            raw_output=output.artifact,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        told = None if isinstance(self.metadata, SchemaMetadata) else self.metadata
        return (WatsonxFunctionTool, (self.tool, told))

    def __copy__(self) -> WatsonxFunctionTool:
        return WatsonxFunctionTool(self.tool, self.metadata)

    def __deepcopy__(self, memo: dict[int, Any]) -> WatsonxFunctionTool:
        return self.__copy__()


class WatsonxToolSpec(ToolboxFields, BaseToolSpec):
    """The utility agent tools of watsonx.ai.

    Connection settings that are left out come from WATSONX_* variables. The
    list of tools is fetched when first needed, and once.

        spec = WatsonxToolSpec(tool_configs={"GoogleSearch": {"maxResults": 3}})
        agent = FunctionAgent(llm=WatsonxLLM(...), tools=spec.to_tool_list())

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    spec_functions: ClassVar[list[SPEC_FUNCTION_TYPE]] = []  # type: ignore[misc]
    """None here: the service says which there are."""

    def to_tool_list(
        self,
        spec_functions: Sequence[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: Mapping[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """Return the tools.

        Args:
            spec_functions: names of the tools wanted, all by default.
            func_to_metadata_mapping: what a model is told instead, by tool name.

        Raises:
            ConfigurationError: there is no tool of a name; names the nearest.
        """
        return _listed(self.toolbox.tools(), spec_functions, func_to_metadata_mapping)

    async def to_tool_list_async(
        self,
        spec_functions: Sequence[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: Mapping[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """Return the tools; see `to_tool_list`."""
        return _listed(await self.toolbox.atools(), spec_functions, func_to_metadata_mapping)


def _listed(
    tools: Sequence[AgentTool],
    wanted: Sequence[SPEC_FUNCTION_TYPE] | None,
    metadata: Mapping[str, ToolMetadata] | None,
) -> list[FunctionTool]:
    known = [tool.name for tool in tools]
    names = known if wanted is None else [one if isinstance(one, str) else one[0] for one in wanted]
    told = dict(metadata or {})
    for name in told:
        named(name, known)
    return [WatsonxFunctionTool(tools[named(name, known)], told.get(name)) for name in names]
