"""Tools for agents, whoever runs them: what a model sees of them, what is sent, what comes back.

The service's utility agent tools are one source of tools; anything with the
four methods of `ToolSource` is another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, runtime_checkable

from wx_integrations.core import calls
from wx_integrations.core.conformance import Violation, violations
from wx_integrations.core.errors import ConfigurationError, NotFound
from wx_integrations.core.secrets import Guarded
from wx_integrations.core.session import Session
from wx_integrations.core.wire.tools import UtilityTool

ToolInput = str | Mapping[str, Any]

END_OF_SERVICE = (
    "IBM has announced the end of the utility agent tools (on IBM Cloud from August 2026, in Cloud Pak for Data "
    "with 5.4) in favour of watsonx Orchestrate's agent builder. Alternatives: watsonx Orchestrate, tools of your "
    "framework or of an MCP server in the same agent, another backend as `source`, or this package's emulator"
)
"""Source: the deprecation notes of the official Python SDK."""

TEXT_INPUT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"description": "Input to be used when running tool.", "type": "string"}},
    "required": ["input"],
}
"""What a model sees of a tool that takes one text (as the official SDKs show it)."""

_SCOPE = {"projectId": "project_id", "spaceId": "space_id"}
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_IMAGES = re.compile(r"\A\s*+(?:[^\n]*:[ \t]*\n\s*+)?(?=IMAGE\()")
_IMAGE = re.compile(r"IMAGE\(([^()\s]+)\)")
_NESTING = 5
"""How many times JSON may be wrapped in a JSON string; WebCrawler wraps twice."""


@runtime_checkable
class ToolSource(Protocol):
    """Where tools come from and who runs them."""

    def tools(self) -> Sequence[UtilityTool]:
        """List the tools."""

    async def atools(self) -> Sequence[UtilityTool]:
        """List the tools."""

    def run(self, name: str, input: ToolInput, config: Mapping[str, Any] | None) -> str:
        """Run a tool and return its output."""

    async def arun(self, name: str, input: ToolInput, config: Mapping[str, Any] | None) -> str:
        """Run a tool and return its output."""


@dataclass(frozen=True)
class ServiceTools:
    """The utility agent tools of watsonx.ai; a refusal with 404 or 410 says that they are being ended."""

    session: Session

    def tools(self) -> Sequence[UtilityTool]:
        """List the tools."""
        try:
            return self.session.client.run(calls.list_tools()).resources
        except NotFound as error:
            raise ended(error) from None

    async def atools(self) -> Sequence[UtilityTool]:
        """List the tools."""
        try:
            return (await self.session.async_client.run(calls.list_tools())).resources
        except NotFound as error:
            raise ended(error) from None

    def run(self, name: str, input: ToolInput, config: Mapping[str, Any] | None) -> str:
        """Run a tool and return its output."""
        try:
            return self.session.client.run(calls.run_tool(name, input, config)).output
        except NotFound as error:
            raise ended(error, name) from None

    async def arun(self, name: str, input: ToolInput, config: Mapping[str, Any] | None) -> str:
        """Run a tool and return its output."""
        try:
            return (await self.session.async_client.run(calls.run_tool(name, input, config))).output
        except NotFound as error:
            raise ended(error, name) from None


def ended(error: NotFound, name: str | None = None) -> NotFound:
    """Return the error with what it may mean and what else there is."""
    unknown = f"Either there is no tool {name!r}, or it is no longer served. " if name else ""
    error.hint = unknown + END_OF_SERVICE
    return error


# --------------------------------------------------------------------------- one tool


@dataclass(frozen=True)
class AgentTool:
    """One tool, ready to run.

    Attributes:
        about: what the source says about it.
        source: who runs it.
        config: its settings, as its config schema has them; may hold secrets.
        scope: `project_id` or `space_id`, for tools whose settings ask for one.
    """

    about: UtilityTool
    source: ToolSource
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    scope: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.config is not None:
            object.__setattr__(self, "config", Guarded(self.config))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "config": public_config(self.config)}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def description(self) -> str:
        """What a model is told: the precise instruction if there is one, the description otherwise."""
        return self.about.agent_description or self.about.description

    @property
    def takes_text(self) -> bool:
        """Whether the input is one text."""
        return self.about.input_schema is None

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments: the tool's own, untouched, or that of one text."""
        own = self.about.input_schema
        return deepcopy(dict(TEXT_INPUT) if own is None else own)

    def with_config(self, config: Mapping[str, Any] | None) -> Self:
        """Return the tool with other settings.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        changed = replace(self, config=deepcopy(dict(config)) if config is not None else None)
        _ = changed.sent_config()
        return changed

    def run(self, arguments: ToolInput) -> ToolOutput:
        """Run the tool.

        Raises:
            ConfigurationError: arguments or settings do not fit; nothing was sent.
            WatsonxError: the service or the connection failed.
        """
        return ToolOutput.read(self.source.run(self.name, self.sent_input(arguments), self.sent_config()))

    async def arun(self, arguments: ToolInput) -> ToolOutput:
        """Run the tool."""
        return ToolOutput.read(await self.source.arun(self.name, self.sent_input(arguments), self.sent_config()))

    # ------------------------------------------------------------------ what is sent

    def sent_input(self, arguments: ToolInput) -> ToolInput:
        """Return the input as it is sent: a text, or an object without the optional parts that were left unset.

        Raises:
            ConfigurationError: an argument is unknown, missing or of a wrong kind; names it.
        """
        if isinstance(arguments, str):
            arguments = {self._only_text(): arguments}
        schema = self.parameters
        properties = schema.get("properties") or {}
        needed = schema.get("required") or ()
        given = {
            name: value
            for name, value in arguments.items()
            if value is not None or name in needed or _takes_null(properties.get(name, True))
        }
        _refuse(violations(schema, given, patterns=False, known_only=self.takes_text), f"{self.name} input", "input")
        return str(given["input"]) if self.takes_text else given

    def _only_text(self) -> str:
        """Return the name of the argument that a bare text is for."""
        properties = self.parameters.get("properties") or {}
        if len(properties) != 1:
            raise ConfigurationError(
                f"{self.name} takes {', '.join(properties) or 'no arguments'}, not a bare text",
                hint="Give a dictionary",
                field="input",
            )
        return str(next(iter(properties)))

    def sent_config(self) -> dict[str, Any] | None:
        """Return the settings as they are sent, with project or space where the tool asks for one.

        Raises:
            ConfigurationError: a setting is unknown, missing or out of bounds; names it.
        """
        schema = self.about.config_schema
        config = Guarded(self.config or {})
        if not schema:
            if config:
                raise ConfigurationError(f"{self.name} takes no config", field="tool_config")
            return None
        asked = schema.get("properties") or {}
        if not any(name in config for name in _SCOPE):
            scope = {name: self.scope[ours] for name, ours in _SCOPE.items() if name in asked and self.scope.get(ours)}
            config |= scope
        _refuse(violations(schema, config, known_only=True), f"{self.name} config", "tool_config")
        return config or None


def _refuse(found: Sequence[Violation], what: str, field: str) -> None:
    if found:
        raise ConfigurationError(f"{what}: " + "; ".join(map(str, found)), field=found[0].path or field)


def _takes_null(schema: Any) -> bool:
    return not violations({"properties": {"x": schema}}, {"x": None})


def public_config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a tool's settings without those whose names sound secret, for pickles."""
    if config is None:
        return None
    return {name: value for name, value in config.items() if not _SECRET.search(name)}


# --------------------------------------------------------------------------- what comes back


@dataclass(frozen=True)
class ToolOutput:
    """A tool's output.

    Attributes:
        text: as it came; `str()` gives it.
        data: the JSON object or array that the text is, however often it was encoded; None when it is none.
        images: where the images are that the code drew (PythonInterpreter's `IMAGE(...)`).
    """

    text: str
    data: dict[str, Any] | list[Any] | None = None
    images: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> ToolOutput:
        """Read a tool's output."""
        data = decoded(text)
        images = tuple(_IMAGE.findall(text)) if data is None and _IMAGES.match(text) else ()
        return cls(text, data, images)

    @property
    def artifact(self) -> Any:
        """What a program wants of it: the data, the images, or the text; never None."""
        if self.data is not None:
            return self.data
        if self.images:
            return [{"type": "image", "url": url} for url in self.images]
        return self.text

    def __str__(self) -> str:
        return self.text


def decoded(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the JSON object or array that a text is or that JSON strings around it hold, None for anything else."""
    value: Any = text
    for _ in range(_NESTING):
        if not isinstance(value, str) or value.lstrip()[:1] not in tuple('{["'):
            return None
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, dict | list):
            return value
    return None
