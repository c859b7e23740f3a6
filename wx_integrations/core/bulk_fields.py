"""The fields of adapters that embed or rank many texts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wx_integrations.core.batching import MAX_BYTES, MAX_TEXTS
from wx_integrations.core.bulk import Bounds
from wx_integrations.core.fields import ModelFields


class BulkFields(ModelFields):
    """How much goes into a request, and how fast requests may follow each other; see `Bounds`.

    Without any setting, five requests are under way to begin with, more while
    the service answers well, and fewer when it refuses; a limit that it states
    is kept to.
    """

    batch_size: int = Field(default=MAX_TEXTS, ge=1, le=MAX_TEXTS)
    """Texts in a request."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Estimated tokens in a request; no bound by default."""
    batch_bytes: int | None = Field(default=MAX_BYTES, ge=1)
    """Bytes of text in a request."""
    max_concurrency: int | None = Field(default=None, ge=1)
    """Requests at a time; by default as many as the service answers well."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """By default as many as the service allows."""

    def bounds(self, empty: Literal["refuse", "send"]) -> Bounds:
        """Return the bounds of a job.

        Args:
            empty: what to do with a text without any characters.
        """
        return Bounds(
            batch_size=self.batch_size,
            batch_tokens=self.batch_tokens,
            batch_bytes=self.batch_bytes,
            max_concurrency=self.max_concurrency,
            requests_per_second=self.requests_per_second,
            empty=empty,
        )
