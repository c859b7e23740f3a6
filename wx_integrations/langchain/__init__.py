"""IBM watsonx.ai for LangChain.

Names are loaded when first used. Needs the extra: `pip install "wx-integrations[langchain]"`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wx_integrations.langchain.chat_models import ChatWatsonx as ChatWatsonx
    from wx_integrations.langchain.configurable import init_chat_model as init_chat_model
    from wx_integrations.langchain.embeddings import WatsonxEmbeddings as WatsonxEmbeddings
    from wx_integrations.langchain.llms import WatsonxLLM as WatsonxLLM
    from wx_integrations.langchain.metadata import WatsonxWarning as WatsonxWarning
    from wx_integrations.langchain.rerank import WatsonxRerank as WatsonxRerank
    from wx_integrations.langchain.tools import WatsonxTool as WatsonxTool
    from wx_integrations.langchain.tools import WatsonxToolkit as WatsonxToolkit
    from wx_integrations.langchain.tools import convert_to_watsonx_tool as convert_to_watsonx_tool

_HOME = {
    "ChatWatsonx": "chat_models",
    "WatsonxEmbeddings": "embeddings",
    "WatsonxLLM": "llms",
    "WatsonxRerank": "rerank",
    "WatsonxTool": "tools",
    "WatsonxToolkit": "tools",
    "WatsonxWarning": "metadata",
    "convert_to_watsonx_tool": "tools",
    "init_chat_model": "configurable",
}
"""Every public name and the module it lives in."""

_FRAMEWORK = {
    "chat_models": "langchain_core.language_models.chat_models",
    "configurable": "langchain_core.language_models.chat_models",
    "embeddings": "langchain_core.embeddings.embeddings",
    "llms": "langchain_core.language_models.llms",
    "metadata": "langchain_core.messages.base",
    "rerank": "langchain_core.documents.compressor",
    "tools": "langchain_core.tools.base",
}
"""What each module needs first of LangChain.

It is imported from here, where the stack is shallow. CPython keeps its frames
in pieces of 16 KiB, and maps and unmaps one whenever a call crosses the end of
the last: from deeper down LangChain's own, deep imports take a tenth longer.
"""

__all__ = [  # pyright: ignore
    "ChatWatsonx",
    "WatsonxEmbeddings",
    "WatsonxLLM",
    "WatsonxRerank",
    "WatsonxTool",
    "WatsonxToolkit",
    "WatsonxWarning",
    "convert_to_watsonx_tool",
    "init_chat_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        __import__(_FRAMEWORK[_HOME[name]])
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("langchain_core"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs LangChain ({error.name} is not installed). "
            'Install it with: pip install "wx-integrations[langchain]"',
            name=error.name,
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
