"""IBM watsonx.ai for LangChain and LlamaIndex, over a small REST core.

`wx_integrations.langchain` and `wx_integrations.llamaindex` hold the
adapters. Here is what both need: the connection, the retry policy, the
clients of the REST core and the errors. Everything is imported when first
used.

PYTEST_DONT_REWRITE: the package brings a pytest plugin, and may well be imported before pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wx_integrations.core.bulk import Bounds
    from wx_integrations.core.client import AsyncClient, Client
    from wx_integrations.core.connection import Connection
    from wx_integrations.core.embedder import Embedder
    from wx_integrations.core.errors import (
        ConfigurationError,
        ConnectionFailed,
        InvalidRequest,
        NotFound,
        OutputTruncated,
        PartialFailure,
        RateLimited,
        ServiceError,
        StreamBroken,
        TimedOut,
        Unauthorized,
        Unavailable,
        UnexpectedResponse,
        WatsonxError,
    )
    from wx_integrations.core.ranker import Ranker
    from wx_integrations.core.retry import RetryPolicy
    from wx_integrations.core.session import Session

__all__ = [
    "AsyncClient",
    "Bounds",
    "Client",
    "ConfigurationError",
    "Connection",
    "ConnectionFailed",
    "Embedder",
    "InvalidRequest",
    "NotFound",
    "OutputTruncated",
    "PartialFailure",
    "Ranker",
    "RateLimited",
    "RetryPolicy",
    "ServiceError",
    "Session",
    "StreamBroken",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "UnexpectedResponse",
    "WatsonxError",
    "__version__",
]

_HOMES = {
    "AsyncClient": "client",
    "Bounds": "bulk",
    "Client": "client",
    "Connection": "connection",
    "Embedder": "embedder",
    "Ranker": "ranker",
    "RetryPolicy": "retry",
    "Session": "session",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.core.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
