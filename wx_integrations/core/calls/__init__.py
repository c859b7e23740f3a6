"""Operations as values: a call says what to send and how to read the answer.

Each family's calls, with their shapes, are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wx_integrations.core.calls.targets import Deployment, Gateway, Model, Target
from wx_integrations.core.calls.values import Call, Host, StreamCall

if TYPE_CHECKING:
    from wx_integrations.core.calls.agent_tools import get_tool, list_tools, run_tool
    from wx_integrations.core.calls.chats import chat, chat_stream, ends_chat
    from wx_integrations.core.calls.texts import (
        embed,
        ends_generation,
        generate,
        generate_stream,
        model_specs,
        rerank,
        tokenize,
    )
else:  # for type checkers a name that is not there stays an error
    _TEXTS = ("embed", "ends_generation", "generate", "generate_stream", "model_specs", "rerank", "tokenize")
    _AGENT_TOOLS = ("get_tool", "list_tools", "run_tool")
    _CHATS = ("chat", "chat_stream", "ends_chat")
    _HOME = dict.fromkeys(_TEXTS, "texts") | dict.fromkeys(_AGENT_TOOLS, "agent_tools") | dict.fromkeys(_CHATS, "chats")

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return found


__all__ = [
    "Call",
    "Deployment",
    "Gateway",
    "Host",
    "Model",
    "StreamCall",
    "Target",
    "chat",
    "chat_stream",
    "embed",
    "ends_chat",
    "ends_generation",
    "generate",
    "generate_stream",
    "get_tool",
    "list_tools",
    "model_specs",
    "rerank",
    "run_tool",
    "tokenize",
]
