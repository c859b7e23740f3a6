"""Trying what may be refused: the package's own errors, in words, are the one other way to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wx_integrations.core.errors import WatsonxError

T = TypeVar("T")


def tried(make: Callable[[], T]) -> T | None:
    """Return what is made, or None if the package refuses it and says why."""
    try:
        return make()
    except WatsonxError as error:
        if not str(error).strip():
            raise AssertionError("a refusal without words") from error
        return None
