"""Operations as values: a call says what to send and how to read the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

T = TypeVar("T")
Host = Literal["ml", "platform"]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its answer.

    Attributes:
        path: below the host, such as `/ml/v1/text/chat`.
        parse: the answer's bytes to a value; raises ValueError when it does not fit.
        body: JSON bytes, or None for none.
        method: the HTTP method.
        host: which of the connection's hosts serves it.
        versioned: whether the `version` date goes along.
        generates: whether the model writes text, which must not be repeated after a read timeout.
        query: further query parameters.
        headers: further headers, such as the gateway's scope.
    """

    path: str
    parse: Callable[[bytes], T]
    body: bytes | None = field(default=None, repr=False)
    method: str = "POST"
    host: Host = "ml"
    versioned: bool = True
    generates: bool = False
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class StreamCall(Generic[T]):
    """One request whose answer is a stream of events.

    Attributes:
        parse: one event's data to a value.
        is_last: whether a value ends a complete answer; a stream that stops without one is broken.
    """

    path: str
    parse: Callable[[bytes], T]
    is_last: Callable[[T], bool]
    body: bytes = field(repr=False)
    versioned: bool = True
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    method: ClassVar[str] = "POST"
    host: ClassVar[Host] = "ml"
    generates: ClassVar[bool] = True
    query: ClassVar[None] = None
