"""Reading request bodies: strictly, or leniently for clients that send more than the reference knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Visit

ShapeT = TypeVar("ShapeT", bound=BaseModel)
DEPTH = 256
_TYPE_ERRORS = ("_type", "_parsing", "model_attributes_type", "union_tag_not_found")


def read_object(visit: Visit) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        Refused: it is not JSON, or not an object.
    """
    kind = (visit.request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" and visit.service.strict:
        message = f"Content-Type must be application/json, not {kind or 'absent'}"
        raise Refused(400, "invalid_request_entity", message, target=("header", "Content-Type"))
    try:
        data = json.loads(visit.request.body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "invalid_request_entity", f"Invalid request: the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused(400, "json_type_error", "Invalid request: the body must be a JSON object")
    if _is_deep(data):
        raise Refused(400, "invalid_request_entity", f"Invalid request: the body nests deeper than {DEPTH} levels")
    return data


def _is_deep(data: Any) -> bool:
    """Whether a body nests deeper than anything sensible; read level by level, as recursion would overflow."""
    level = [data]
    for _ in range(DEPTH):
        inner = [value for value in level if isinstance(value, dict | list)]
        level = [part for value in inner for part in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def validate(visit: Visit, shape: type[ShapeT], data: Mapping[str, Any], where: str = "") -> ShapeT:
    """Return data as a shape; unknown fields are refused when strict and dropped when lenient.

    Args:
        where: the path of `data` within the body, for the messages.

    Raises:
        Refused: the data does not fit; names the first field that does not.
    """
    remaining = dict(data)
    while True:
        try:
            return shape.model_validate(remaining)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
            unknown = [item for item in errors if item["type"] == "extra_forbidden"]
            if visit.service.strict or not unknown:
                raise _refusal(errors, remaining, where) from None
            remaining = json.loads(json.dumps(remaining))
            dropped = [_drop(remaining, item["loc"]) for item in unknown]
            if not all(dropped):
                raise _refusal(errors, remaining, where) from None


def _steps(data: Any, place: Sequence[int | str], *, missing: bool = False) -> list[int | str] | None:
    """Return a place without the names of union branches that pydantic puts into it; None when it leads nowhere.

    Args:
        missing: the last step names a field that is not there.
    """
    if not place:
        return []
    step, rest = place[0], place[1:]
    if missing and not rest and isinstance(data, dict) and step not in data:
        return [step]
    if _has(data, step):
        inner = _steps(data[step], rest, missing=missing)
        if inner is not None:
            return [step, *inner]
    return _steps(data, rest, missing=missing) if rest else None


def _has(data: Any, step: int | str) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _drop(data: Any, place: Sequence[int | str]) -> bool:
    """Remove the field at a place; returns whether it was there."""
    steps = _steps(data, place)
    if not steps:
        return False
    for step in steps[:-1]:
        data = data[step]
    del data[steps[-1]]
    return True


def _name(data: Any, error: ErrorDetails, where: str) -> str:
    place = error["loc"]
    steps = _steps(data, place, missing=error["type"] == "missing")
    while steps is None:
        place = place[:-1]
        steps = _steps(data, place)
    name = where
    for step in steps:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else str(step)
    return name


def _refusal(errors: list[ErrorDetails], data: Any, where: str) -> Refused:
    unknown = [item for item in errors if item["type"] == "extra_forbidden"]
    missing = [item for item in errors if item["type"] == "missing"]
    first = (unknown or missing or errors)[0]
    name = _name(data, first, where)
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        code, message = "json_validation_error", f"Invalid request: `{name}` is not a known field"
    elif first["type"] == "missing":
        code, message = "invalid_request_entity", f"Invalid request: `{name}` is a required field"
    elif first["type"].endswith(_TYPE_ERRORS):
        code, message = "json_type_error", f"Invalid request: `{name}`: {text}"
    else:
        code, message = "json_validation_error", f"Invalid request: `{name or 'body'}`: {text}"
    return Refused(400, code, message, target=("field", name) if name else None)
