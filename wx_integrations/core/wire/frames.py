"""The frames of a chat stream: data that is checked and stays as it came.

A stream has thousands of frames, so they are dictionaries: to make objects of
one costs more than to read it. What the API reference does not know stays in
them. The shapes say which keys may be there and what they hold; each may be
absent.

Source: watsonx.ai API reference, "Text chat stream"; fields newer than the
page come from the official SDKs.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, with_config
from pydantic_core import CoreSchema, SchemaValidator, core_schema, from_json
from typing_extensions import TypedDict

from wx_integrations.core.wire.rare import SystemDetails, Warning  # noqa: A004
from wx_integrations.core.wire.shapes import Received
from wx_integrations.core.wire.shared import Usage

_CHECKED = ConfigDict(strict=True, allow_inf_nan=False)  # what is unknown stays in the data, it is not copied
_KEPT = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
"""Of shapes that stand in whole answers as well, which are copied."""


class Like:
    """What fits a shape, or null."""

    def __init__(self, shape: type[Received]) -> None:
        self.shape = shape

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler.generate_schema(self.shape))


@with_config(_KEPT)
class FunctionDelta(TypedDict, total=False):
    """A piece of a function call; `arguments` is text, but some models send the object itself, or anything else."""

    name: str | None
    arguments: Any


@with_config(_KEPT)
class ToolCallDelta(TypedDict, total=False):
    """A call, or a piece of one in a stream, as it arrived; not yet normalised."""

    index: int | None
    id: str | None
    type: str | None
    function: FunctionDelta | None


CALLS: TypeAdapter[list[ToolCallDelta]] = TypeAdapter(list[ToolCallDelta], config=_CHECKED | {"defer_build": True})


@with_config(_CHECKED)
class StreamDelta(TypedDict, total=False):
    """The next piece of what one choice says."""

    role: str | None
    content: str | None
    refusal: str | None
    reasoning_content: str | None
    reasoning: str | None
    tool_calls: list[ToolCallDelta] | None


@with_config(_CHECKED)
class StreamChoice(TypedDict, total=False):
    index: int
    """0 if absent."""
    delta: StreamDelta | None
    finish_reason: str | None
    logprobs: dict[str, Any] | None


@with_config(_CHECKED)
class Chunk(TypedDict, total=False):
    """One frame of a chat stream; the first and last often carry no text.

    ML frames name the model in `model_id`, gateway frames in `model`.
    """

    id: str | None
    model_id: str | None
    model: str | None
    model_version: str | None
    created: Any
    usage: Annotated[dict[str, Any] | None, Like(Usage)]
    system: Annotated[dict[str, Any] | None, Like(SystemDetails)]
    moderations: Any
    detections: Any
    choices: list[StreamChoice]


REMARKS = ("system", "moderations", "detections")
"""Where a frame says something about the answer; few do."""
ABOUT = frozenset((*REMARKS, "usage"))
"""The same, with the token counts."""


@cache
def chunk_reader() -> Callable[[bytes], Chunk]:
    """Return what reads a frame; raises ValueError for what is none."""
    # a validator of one's own: it alone decides whether errors show what they are about
    shape = TypeAdapter(Chunk).core_schema
    check = SchemaValidator(shape, core_schema.CoreConfig(hide_input_in_errors=True)).validate_python

    def read(data: bytes) -> Chunk:
        chunk: Chunk = from_json(data)
        check(chunk)
        return chunk

    return read


def model_of(chunk: Chunk) -> str | None:
    """Return the model that answered."""
    return chunk.get("model_id") or chunk.get("model")


def usage_of(chunk: Chunk) -> Usage | None:
    """Return a frame's token counts, if it has any."""
    counts = chunk.get("usage")
    return None if counts is None else Usage.model_validate(counts)


def notes_of(chunk: Chunk) -> list[Warning]:
    """Return the service's notes about the request that a frame brings."""
    details = chunk.get("system")
    return (details and SystemDetails.model_validate(details).warnings) or []
