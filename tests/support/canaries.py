"""Canaries where secrets belong, and everything a user could see or store of a value or of a failure.

Every secret of these tests has the word in it, so one search finds any of
them, however it was written: plainly, in base64, in hexadecimal digits.
"""

from __future__ import annotations

import base64
import copy
import inspect
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import rich.pretty
import rich.traceback
from hypothesis.vendor.pretty import pretty
from pydantic import BaseModel, SecretStr, TypeAdapter

CANARY = "canary"
TESTS = str(Path(__file__).parents[1])
"""What is in frames of the tests themselves is what a caller wrote, and not counted."""


def _needles() -> tuple[str, ...]:
    """Return the word in every way it may be written; in base64 it depends on what stands before it."""
    word = CANARY.encode()
    in_base64 = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + word).decode().rstrip("=")
        in_base64.append(text[-(-before * 8 // 6) : (before + len(word)) * 8 // 6])
    return (CANARY, CANARY.upper(), word.hex(), *in_base64)


NEEDLES = _needles()


def leaks(text: str) -> list[str]:
    """Return where a canary shows, with what stands around it."""
    found = []
    for needle in NEEDLES:
        start = text.find(needle)
        if start >= 0:
            found.append(text[max(0, start - 60) : start + 60])
    return found


# --------------------------------------------------------------------------- values

WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value} {value!r} {value!s}",
    "pprint": pprint.pformat,
    "rich": rich.pretty.pretty_repr,
    "pretty": pretty,
    "vars": lambda value: _all_of(vars(value)),
    "the vars of vars": lambda value: "".join(_all_of(vars(inner)) for inner in vars(value).values() if _has(inner)),
    "private": lambda value: _all_of(getattr(value, "__pydantic_private__", None)),
    "members": lambda value: repr(inspect.getmembers_static(value, lambda member: not callable(member))),
    "copy": lambda value: _all_of(vars(copy.copy(value))),
    "deepcopy": lambda value: _all_of(vars(copy.deepcopy(value))),
    "pickle": lambda value: pickle.dumps(value).decode("latin-1"),
    "pickle 0": lambda value: pickle.dumps(value, protocol=0).decode("latin-1"),
}
OF_MODELS: dict[str, Callable[[Any], str]] = {
    "model_dump": lambda value: _all_of(value.model_dump()),
    "model_dump json": lambda value: json.dumps(value.model_dump(mode="json")),
    "model_dump_json": lambda value: value.model_dump_json(),
    "round trip": lambda value: _all_of(value.model_dump(round_trip=True)),
    "dict": lambda value: _all_of(dict(value)),
    "model_copy": lambda value: _all_of(vars(value.model_copy())),
    "type adapter": lambda value: TypeAdapter(type(value)).dump_json(value).decode(),
}


def shown(value: Any, *, without: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every way to see or store a value, and what it shows.

    Args:
        value: anything.
        without: ways that are not open to this value, or that show secrets on purpose.
    """
    ways = dict(WAYS)
    if isinstance(value, BaseModel):
        ways |= OF_MODELS
    if is_dataclass(value):
        ways["asdict"] = lambda value: _all_of(asdict(value))
    for name, way in ways.items():
        if name not in without:
            yield name, way(value)


def leaks_of(value: Any, *, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return the ways that show a canary of a value."""
    return {name: found for name, text in shown(value, without=without) if (found := leaks(text))}


def _has(value: Any) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, type | SecretStr)


def _all_of(value: Any) -> str:
    return "\n".join([repr(value), pprint.pformat(value), rich.pretty.pretty_repr(value), pretty(value)])


# --------------------------------------------------------------------------- failures


def chain_of(failure: BaseException) -> Iterator[BaseException]:
    """Yield a failure and those that Python, and whoever does as it does, would show with it."""
    waiting = [failure]
    while waiting:
        one = waiting.pop()
        yield one
        inner = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        waiting += [inner] if inner is not None else []
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is none of the tests'."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(TESTS):
        trace = trace.tb_next
    return trace


def told_by(failure: BaseException, *, frames: bool = True) -> dict[str, str]:
    """Return all that a program would print, log or store of a failure.

    Args:
        failure: what was raised.
        frames: with the local variables of every frame but the tests' own.
    """
    told: dict[str, str] = {}
    for number, one in enumerate(chain_of(failure)):
        one.__traceback__ = without_our_frames(one.__traceback__)
        told[f"{number} str"] = f"{one} {one!r} {one.args!r}"
        told[f"{number} vars"] = _all_of(vars(one))
        told[f"{number} notes"] = repr(getattr(one, "__notes__", ()))
    told["traceback"] = "".join(traceback.format_exception(failure))
    told["pickle"] = _pickled(failure)
    told["log"] = _logged(failure)
    if frames:
        kind = type(failure)
        with_locals = traceback.TracebackException(kind, failure, failure.__traceback__, capture_locals=True)
        told["traceback with locals"] = "".join(with_locals.format())
        told["rich"] = _in_rich(failure)
        for number, one in enumerate(chain_of(failure)):
            told[f"{number} locals"] = _locals(one)
    return told


def leaks_told_by(failure: BaseException, *, frames: bool = True) -> dict[str, list[str]]:
    """Return where a failure shows a canary."""
    return {name: found for name, text in told_by(failure, frames=frames).items() if (found := leaks(text))}


def _pickled(failure: BaseException) -> str:
    try:
        return pickle.dumps(failure).decode("latin-1")
    except (TypeError, AttributeError, pickle.PicklingError):
        return ""


def _logged(failure: BaseException) -> str:
    into = io.StringIO()
    handler = logging.StreamHandler(into)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it failed", (), None)
    record.exc_info = (type(failure), failure, failure.__traceback__)
    handler.handle(record)
    return into.getvalue()


def _in_rich(failure: BaseException) -> str:
    """Return what rich's tracebacks are made of; to lay them out takes long."""
    trace = rich.traceback.Traceback.extract(
        type(failure),
        failure,
        failure.__traceback__,
        show_locals=True,
        locals_max_length=1000,
        locals_max_string=100_000,
        locals_max_depth=None,
        locals_hide_dunder=False,
    )
    found = [f"{stack.exc_type} {stack.exc_value} {stack.notes}" for stack in trace.stacks]
    found += [
        f"{frame.name} {name} = {node.render(max_width=10_000)}"
        for stack in trace.stacks
        for frame in stack.frames
        for name, node in (frame.locals or {}).items()
    ]
    return "\n".join(found)


def _locals(failure: BaseException) -> str:
    """Return the local variables of a failure's frames, those that other programs would cut short as well."""
    found = [
        f"{frame.f_code.co_qualname} {name} = {value!r} {rich.pretty.pretty_repr(value)}"
        for frame, _ in traceback.walk_tb(failure.__traceback__)
        for name, value in frame.f_locals.items()
        if not inspect.ismodule(value)
    ]
    return "\n".join(found)


# --------------------------------------------------------------------------- credentials

CLOUD = "https://us-south.ml.cloud.ibm.com"
CPD = "https://cpd.example.com"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"


def _gives_a_token() -> str:
    return "canary-called"


async def _agives_a_token() -> str:
    return "canary-called"


CREDENTIALS: Mapping[str, Mapping[str, Any]] = {
    "api_key": {"url": CLOUD, "api_key": "canary-key"},
    "token": {"url": CLOUD, "token": "canary-token"},
    "token and profile": {"url": CLOUD, "token": "canary-token", "trusted_profile_id": "P"},
    "token_function": {"url": CLOUD, "token_function": _gives_a_token, "atoken_function": _agives_a_token},
    "password": {"url": CPD, "username": "u", "password": "canary-password"},
    "integrated iam": {"url": CPD, "username": "u", "password": "canary-pw", "bedrock_url": "https://b.example.com"},
    "software key": {"url": CPD, "username": "u", "api_key": "canary-key"},
    "zen": {"url": CPD, "username": "u", "api_key": "canary-key", "auth_type": "zen"},
    "zen_api_key": {"url": CPD, "zen_api_key": "canary-zen"},
    "aws": {"url": "https://us-east-1.aws.wxai.ibm.com", "api_key": "canary-key"},
    "headers": {"url": CLOUD, "token": "t-canary", "headers": {"X-Api-Key": "canary-header", "Cookie": "s=canary"}},
    "authorization": {"url": CLOUD, "token": "t-canary", "headers": {"Authorization": "Bearer canary-header"}},
    "proxies": {"url": CLOUD, "token": "t-canary", "proxies": {"https": "http://me:canary-proxy@p.example.com:1"}},
}
"""A canary in every credential that a connection takes; the functions give theirs when they are called."""
