"""What of an adapter goes into LangChain's JSON: settings as they are, secrets by reference."""

from __future__ import annotations

from typing import Any

from wx_integrations.core.connection import ENVIRONMENT, SECRETS
from wx_integrations.core.fields import ConnectionFields

_FURTHER = ("verify", "timeout", "proxies")
"""Settings that pydantic does not dump but JSON can carry, when they are plain."""


def secrets(adapter: ConnectionFields) -> dict[str, str]:
    """Return each secret argument and the environment variable that stands for it."""
    known = type(adapter).model_fields
    return {name: ENVIRONMENT[name][0] for name in SECRETS if name in known and name in ENVIRONMENT}


def attributes(adapter: ConnectionFields) -> dict[str, Any]:
    """Return arguments beyond the dumped fields that make an equal adapter again.

    A given `connection` is written out as its settings. Open clients,
    callables, TLS contexts and extra headers (which may hold credentials) stay
    behind.
    """
    found: dict[str, Any] = {name: getattr(adapter, name, None) for name in _FURTHER}
    if adapter.connection is not None:
        settings = adapter.settled_connection.to_dict()
        found |= {name: value for name, value in settings.items() if name in type(adapter).model_fields}
    found |= adapter._options
    if found.get("retry") is not None or adapter.retry is not None or adapter.connection is not None:
        found["retry"] = (found.get("retry") or adapter.settled_connection.retry).model_dump(mode="json")
    if found.get("proxies"):
        found["proxies"] = dict(found["proxies"])
    return {name: value for name, value in found.items() if value is not None and _is_plain(name, value)}


def _is_plain(name: str, value: Any) -> bool:
    if name in SECRETS or name == "retry":
        return True
    if name == "proxies":
        return all(isinstance(url, str) and "@" not in url for url in value.values())
    return isinstance(value, bool | int | float | str)
