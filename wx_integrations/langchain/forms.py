"""The forms that tools and output schemas come in, for signatures; `schemas` translates them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
else:  # LangChain's tools are a module that chats without tools need not pay for
    ToolLike = Mapping[str, Any] | type | Callable[..., Any]
Schema = Mapping[str, Any] | type

Method = Literal["json_schema", "function_calling", "json_mode", "guided_json"]
"""How structured output is asked for."""
Parsed = TypeVar("Parsed")


class WithRaw(TypedDict, Generic[Parsed]):
    """What `include_raw=True` gives: the message, and the value or why there is none."""

    raw: AIMessage
    parsed: Parsed | None
    parsing_error: BaseException | None
