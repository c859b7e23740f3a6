"""Adapters as data, as LlamaIndex keeps them."""

from __future__ import annotations

from typing import Any

from wx_integrations.core.fields import ModelFields


def with_connection(adapter: ModelFields, data: dict[str, Any]) -> dict[str, Any]:
    """Return an adapter's data with the plain settings of a connection that it was given whole."""
    if adapter.connection is None:
        return data
    plain = {
        name: value
        for name, value in adapter.settled_connection.to_dict().items()
        if name in data and isinstance(value, str | int | float | bool)
    }
    return {**data, **plain}
