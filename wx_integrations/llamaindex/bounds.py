"""The settings of bulk work, for embeddings and reranker alike."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from wx_integrations.core.batching import MAX_BYTES
from wx_integrations.core.bulk import Bounds


class BulkFields(BaseModel):
    """How much goes into a request, and how fast requests may follow each other.

    Adapters of one connection share its limiter: it finds out by itself what
    the service allows; these settings only bound it further.
    """

    model_config = ConfigDict(defer_build=True)

    batch_tokens: int | None = Field(default=None, ge=1)
    """Estimated tokens in a request; no bound by default."""
    batch_bytes: int | None = Field(default=MAX_BYTES, ge=1)
    """Bytes of text in a request."""
    max_concurrency: int | None = Field(default=None, ge=1)
    """Requests at a time; by default as many as the service answers well."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """By default as many as the service allows."""

    def bounds(self, batch_size: int, empty: Literal["refuse", "send"], max_concurrency: int | None = None) -> Bounds:
        """Return the settings as the engine takes them.

        Args:
            batch_size: texts in a request.
            empty: what to do with a text without any characters.
            max_concurrency: another bound of requests at a time; the lower one counts.
        """
        concurrency = [bound for bound in (self.max_concurrency, max_concurrency) if bound is not None]
        return Bounds(
            batch_size=batch_size,
            batch_tokens=self.batch_tokens,
            batch_bytes=self.batch_bytes,
            max_concurrency=min(concurrency, default=None),
            requests_per_second=self.requests_per_second,
            empty=empty,
        )
