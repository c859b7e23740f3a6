"""IBM watsonx.ai for LangChain and LlamaIndex, over a small REST core.

`wx_integrations.langchain` and `wx_integrations.llamaindex` hold the
adapters. Here is what both need: the connection, the retry policy, the
clients of the REST core and the errors. Everything is imported when first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wx_integrations.core.client import AsyncClient, Client
    from wx_integrations.core.connection import Connection
    from wx_integrations.core.errors import (
        ConfigurationError,
        ConnectionFailed,
        InvalidRequest,
        NotFound,
        OutputTruncated,
        RateLimited,
        ServiceError,
        StreamBroken,
        TimedOut,
        Unauthorized,
        Unavailable,
        UnexpectedResponse,
        WatsonxError,
    )
    from wx_integrations.core.retry import RetryPolicy

__all__ = [
    "AsyncClient",
    "Client",
    "ConfigurationError",
    "Connection",
    "ConnectionFailed",
    "InvalidRequest",
    "NotFound",
    "OutputTruncated",
    "RateLimited",
    "RetryPolicy",
    "ServiceError",
    "StreamBroken",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "UnexpectedResponse",
    "WatsonxError",
    "__version__",
]

_HOMES = {"AsyncClient": "client", "Client": "client", "Connection": "connection", "RetryPolicy": "retry"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.core.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
