"""A source's tools, listed once when first needed; safe to use from threads and from any event loop."""

from __future__ import annotations

import asyncio
import difflib
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, PrivateAttr, field_serializer, field_validator

from wx_integrations.core.agent_tools import AgentTool, ServiceTools, ToolSource, public_config
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ConnectionFields
from wx_integrations.core.secrets import Guarded
from wx_integrations.core.wire.tools import UtilityTool


class Toolbox:
    """The tools of a source with their settings.

    Args:
        source: where they come from.
        configs: settings by tool name.
        scope: `project_id` or `space_id`, for tools that ask for one.
    """

    def __init__(
        self,
        source: ToolSource,
        configs: Mapping[str, Mapping[str, Any]] | None = None,
        scope: Mapping[str, str] | None = None,
    ) -> None:
        self.source = source
        self.configs = {name: Guarded(config) for name, config in (configs or {}).items()}
        self.scope = dict(scope or {})
        self._tools: tuple[AgentTool, ...] | None = None
        self._lock = threading.Lock()
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    def tools(self) -> tuple[AgentTool, ...]:
        """Return the tools, asking for them the first time."""
        with self._lock:
            if self._tools is None:
                self._tools = self._made(self.source.tools())
            return self._tools

    async def atools(self) -> tuple[AgentTool, ...]:
        """Return the tools, asking for them the first time."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._tools is None:
                self._tools = self._made(await self.source.atools())
            return self._tools

    def forget(self) -> None:
        """Ask again the next time."""
        self._tools = None

    def _made(self, listed: Sequence[UtilityTool]) -> tuple[AgentTool, ...]:
        known = [about.name for about in listed]
        for name in self.configs:
            named(name, known)
        return tuple(
            AgentTool(about, self.source, scope=self.scope).with_config(config)
            if (config := self.configs.get(about.name))
            else AgentTool(about, self.source, scope=self.scope)
            for about in listed
        )

    def __reduce__(self) -> tuple[Any, ...]:
        configs = {name: public_config(config) or {} for name, config in self.configs.items()}
        return (Toolbox, (self.source, configs, self.scope))


def named(name: str, known: Sequence[str]) -> int:
    """Return where a name is among the known ones.

    Raises:
        ConfigurationError: it is not among them; names the nearest.
    """
    if name in known:
        return known.index(name)
    near = difflib.get_close_matches(name, known, n=1)
    raise ConfigurationError(
        f"A tool with the given name ({name}) was not found",
        hint=(f"Did you mean {near[0]!r}? " if near else "") + f"There are {', '.join(known) or 'none'}",
        field="tool_name",
    )


_NOWHERE, _NOBODY = "https://localhost", "nobody"
"""Stand for the service and its user where another source runs the tools; nothing is ever sent there."""


class ToolboxFields(ConnectionFields):
    """What an adapter for a whole toolbox takes: a connection or another source, and the tools' settings."""

    tool_configs: dict[str, dict[str, Any]] | None = Field(default=None, repr=False)
    """Settings by tool name."""
    source: ToolSource | None = Field(default=None, exclude=True, repr=False)
    """Where the tools come from instead of the service; a connection is not needed then."""

    _toolbox: Toolbox | None = PrivateAttr(default=None)

    @field_validator("tool_configs")
    @classmethod
    def _guarded_configs(cls, value: dict[str, dict[str, Any]] | None) -> dict[str, Any] | None:
        return None if value is None else {name: Guarded(config) for name, config in value.items()}

    @field_serializer("tool_configs")
    def _public_configs(self, value: dict[str, dict[str, Any]] | None) -> dict[str, Any] | None:
        return None if value is None else {name: public_config(config) for name, config in value.items()}

    @property
    def toolbox(self) -> Toolbox:
        """The tools as their source knows them; nothing is asked before they are needed."""
        if self._toolbox is None:
            connection = self.settled_connection
            scope = {"project_id": connection.project_id, "space_id": connection.space_id}
            given = {name: value for name, value in scope.items() if value}
            self._toolbox = Toolbox(self.source or ServiceTools(self.session), self.tool_configs, given)
        return self._toolbox

    def refresh(self) -> None:
        """Ask for the tools again the next time."""
        self.toolbox.forget()

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._toolbox = None

    def _build_connection(self, make: Callable[..., Connection] = Connection) -> Connection:
        if self.source is not None and self.connection is None:
            return Connection(url=_NOWHERE, token=_NOBODY, project_id=self.project_id, space_id=self.space_id)
        return super()._build_connection(make)

    def __getstate__(self) -> dict[Any, Any]:
        state = dict(super().__getstate__())
        configs = {name: public_config(config) for name, config in (self.tool_configs or {}).items()}
        fields = {**state["__dict__"], "tool_configs": configs or None}
        private = {**state["__pydantic_private__"], "_toolbox": None}
        return {**state, "__dict__": fields, "__pydantic_private__": private}
