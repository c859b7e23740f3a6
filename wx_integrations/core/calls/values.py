"""Operations as values: a call says what to send and how to read the answer."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from wx_integrations.core.errors import ConfigurationError

T = TypeVar("T")
ShapeT = TypeVar("ShapeT", bound=BaseModel)
Host = Literal["ml", "platform"]


class Call(NamedTuple, Generic[T]):
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
    body: bytes | None = None
    method: str = "POST"
    host: Host = "ml"
    versioned: bool = True
    generates: bool = False
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"  # bodies and headers may hold what others should not see


class StreamCall(NamedTuple, Generic[T]):
    """One request whose answer is a stream of events.

    Attributes:
        parse: one event's data to a value.
        is_last: whether a value ends a complete answer; a stream that stops without one is broken.
        choices: how many answers come at once; each must end.
    """

    path: str
    parse: Callable[[bytes], T]
    is_last: Callable[[T], bool]
    body: bytes
    versioned: bool = True
    headers: Mapping[str, str] | None = None
    choices: int = 1
    method: str = "POST"
    host: Host = "ml"
    generates: bool = True
    query: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"StreamCall({self.method} {self.path})"


def reader(shape: type[ShapeT]) -> Callable[[bytes], ShapeT]:
    """Return what reads the JSON of a shape: its validator itself, because the frames of a stream are many."""
    shape.model_rebuild()  # shapes are built when first used
    read: Callable[[bytes], ShapeT] = shape.__pydantic_validator__.validate_json
    return read


HALF = "half of a surrogate pair, which is no character"
"""What a decoder with errors="surrogateescape" and some tokenizers leave in a text; UTF-8 cannot write it."""


def encode(body: dict[str, Any]) -> bytes:
    """Return a body as UTF-8 JSON.

    Raises:
        ConfigurationError: a text in it is none, or something is no JSON; nothing was sent.
    """
    try:
        return to_json(body)
    except PydanticSerializationError as error:
        if "surrogates" not in str(error):
            raise ConfigurationError("something in the request is no JSON") from None
        hint = "Decode it with errors='replace', or leave it out"
        raise ConfigurationError(f"a text holds {HALF}", hint=hint) from None
