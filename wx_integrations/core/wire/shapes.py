"""The two kinds of shape: what we send is strict, what we receive is lenient.

Field names are the names on the wire. A limit is written down only where the
API reference or an official SDK states it.

Every program pays for the shapes it imports, so pydantic builds the validator
of each when it is first used, and files with pydantic classes or named tuples
do without `from __future__ import annotations`: the texts would be evaluated
again for each class and subclass, or compiled for each field.
"""

from typing import Any, TypeVar

from pydantic import VERSION, BaseModel, ConfigDict

ON_FIRST_USE = tuple(int(part) for part in VERSION.split(".")[:2]) >= (2, 12)
"""Whether shapes are built when first used; before pydantic 2.12 threads could get in each other's way."""


class Sent(BaseModel):
    """A body we send: unknown fields are refused by name, nothing is coerced."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=ON_FIRST_USE,
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the body as JSON-ready data; absent fields are left out, never sent as null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Received(BaseModel):
    """A body we receive: unknown fields are kept, known ones must have their type."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=ON_FIRST_USE,
    )


SentT = TypeVar("SentT", bound=Sent)
ReceivedT = TypeVar("ReceivedT", bound=Received)
