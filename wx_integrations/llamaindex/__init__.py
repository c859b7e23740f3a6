"""IBM watsonx.ai for LlamaIndex: LLM, embeddings, reranker and tools.

Names are loaded when first used. Needs the extra: `pip install "wx-integrations[llamaindex]"`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wx_integrations.llamaindex.embeddings import WatsonxEmbeddings as WatsonxEmbeddings
    from wx_integrations.llamaindex.llms import WatsonxLLM as WatsonxLLM
    from wx_integrations.llamaindex.rerank import WatsonxRerank as WatsonxRerank
    from wx_integrations.llamaindex.tokenizer import WatsonxTokenizer as WatsonxTokenizer
    from wx_integrations.llamaindex.tool_spec import WatsonxToolSpec as WatsonxToolSpec

_HOME = {
    "WatsonxEmbeddings": "embeddings",
    "WatsonxLLM": "llms",
    "WatsonxRerank": "rerank",
    "WatsonxTokenizer": "tokenizer",
    "WatsonxToolSpec": "tool_spec",
}

__all__ = ["WatsonxEmbeddings", "WatsonxLLM", "WatsonxRerank", "WatsonxTokenizer", "WatsonxToolSpec"]  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("llama_index"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs LlamaIndex ({error.name} is not installed). "
            'Install it with: pip install "wx-integrations[llamaindex]"',
            name=error.name,
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
