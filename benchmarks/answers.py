"""What the fake service says: bodies made once, in the service's own shapes.

watsonx.ai's shapes are those of the watsonx.ai API reference; the two answers
of a gateway (`/v1/...`) are for clients that speak OpenAI's dialect.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import struct
import time
from typing import Any

TEXT = "The 2020 World Series was played in Arlington, Texas, with no fans in attendance."
MODEL = "ibm/granite-4-h-small"
_SAME = {"created": 1764692529, "model_version": "4.0.0", "created_at": "2025-12-02T16:22:09.590Z"}
_USAGE = {"completion_tokens": 18, "prompt_tokens": 190, "total_tokens": 208}
_NAME = "chatcmpl-1677d3cfb8fb41ffa1de5bdb9ea32a3c"


def _packed(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


# --------------------------------------------------------------------------- token, project, models


def token() -> bytes:
    """Return an IAM answer with an unsigned JWT that lives an hour: IBM's client reads its `exp`."""

    def part(data: object) -> str:
        return base64.urlsafe_b64encode(_packed(data)).rstrip(b"=").decode()

    now = int(time.time())
    text = f"{part({'alg': 'none'})}.{part({'iat': now, 'exp': now + 3600})}.{part('signature')}"
    return _packed({"access_token": text, "token_type": "Bearer", "expires_in": 3600, "expiration": now + 3600})


@functools.cache
def project() -> bytes:
    """Return a project with its storage and its runtime, of which IBM's client reads both."""
    entity = {
        "name": "benchmarks",
        "storage": {"type": "bmcos_object_storage", "guid": "0"},
        "scope": {"bss_account_id": "0"},
        "compute": [{"name": "wml", "guid": "0", "type": "machine_learning", "crn": "crn:v1:bluemix:public:pm-20::"}],
    }
    return _packed({"metadata": {"guid": "0", "url": "/v2/projects/0"}, "entity": entity})


@functools.cache
def model_specs() -> bytes:
    """Return a catalogue of the real one's weight: some 90 kB."""
    functions = [{"id": name} for name in ("text_chat", "text_generation", "embedding", "rerank", "autoai_rag")]

    def spec(name: str) -> dict[str, Any]:
        ratings = [{"id": f"task_{number}", "ratings": {"quality": 3}} for number in range(12)]
        return {
            "model_id": name,
            "label": name,
            "provider": "IBM",
            "source": "IBM",
            "short_description": "A model. " * 20,
            "long_description": "A model that is described at some length. " * 10,
            "functions": functions,
            "task_ids": [f"task_{number}" for number in range(12)],
            "tasks": ratings,
            "input_tier": "class_1",
            "output_tier": "class_1",
            "number_params": "32b",
            "model_limits": {"max_sequence_length": 131072, "max_output_tokens": 16384},
            "lifecycle": [{"id": "available", "start_date": "2025-10-02"}],
        }

    names = [MODEL, *(f"ibm/model-{number}" for number in range(55))]
    specs = [spec(name) for name in names]
    return _packed({"total_count": len(specs), "limit": 200, "first": {"href": "/"}, "resources": specs})


# --------------------------------------------------------------------------- answers in one piece


@functools.cache
def chat(dialect: str = "watsonx") -> bytes:
    """Return an answer to a conversation."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    answer = {"id": _NAME, "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": _USAGE}
    return _packed(answer | _SAME | ({"model_id": MODEL} if dialect == "watsonx" else {}))


@functools.cache
def embeddings(count: int, dimension: int, form: str = "watsonx") -> bytes:
    """Return vectors: `form` is watsonx, openai (numbers) or base64 (OpenAI's packed floats)."""
    chance = random.Random(dimension)
    row = [round(chance.gauss(0, 0.05), 9) for _ in range(dimension)]
    rows = [row[number % dimension :] + row[: number % dimension] for number in range(count)]
    if form == "watsonx":
        items: list[Any] = [{"embedding": item} for item in rows]
        return _packed({"model_id": MODEL, "results": items, "input_token_count": 7 * count} | _SAME)
    made = (
        [base64.b64encode(struct.pack(f"<{dimension}f", *item)).decode() for item in rows] if form == "base64" else rows
    )
    items = [{"object": "embedding", "index": place, "embedding": item} for place, item in enumerate(made)]
    usage = {"prompt_tokens": 7 * count, "total_tokens": 7 * count}
    return _packed({"object": "list", "model": MODEL, "data": items, "usage": usage})


@functools.cache
def scores(count: int) -> bytes:
    """Return a ranking, best first, which is not the order of the passages."""
    items = [{"index": (number * 7919) % count, "score": 9.5 - number / 100} for number in range(count)]
    return _packed({"model_id": MODEL, "results": items, "input_token_count": 7 * count} | _SAME)


@functools.cache
def tokens() -> bytes:
    """Return the tokens of a text."""
    return _packed({"model_id": MODEL, "result": {"token_count": 11, "tokens": ["tok"] * 11}})


# --------------------------------------------------------------------------- events


def event(number: int, delta: dict[str, Any], dialect: str = "watsonx", finish: str | None = None) -> bytes:
    """Return one event of a stream, as the service writes it."""
    choice = {"index": 0, "finish_reason": finish, "delta": delta}
    return _framed(number, {"choices": [choice]}, dialect)


def _framed(number: int, said: dict[str, Any], dialect: str) -> bytes:
    data = {"id": _NAME, "object": "chat.completion.chunk", "model_id": MODEL, "model": MODEL} | said | _SAME
    if dialect != "watsonx":
        del data["model_id"]
        return b"data: %s\n\n" % _packed(data)
    return b"id: %d\nevent: message\ndata: %s\n\n" % (number, _packed(data))


def _ended(events: list[bytes], finish: str, dialect: str) -> list[bytes]:
    number = len(events) + 1
    events.append(event(number, {"content": ""}, dialect, finish))
    events.append(_framed(number + 1, {"choices": [], "usage": _USAGE}, dialect))
    if dialect != "watsonx":
        events.append(b"data: [DONE]\n\n")
    return events


WORDS = ("the ", "park ", "in ", "town ", "was ", "full ")


@functools.cache
def text_events(count: int, dialect: str = "watsonx") -> list[bytes]:
    """Return a stream of `count` pieces of text, then its end and its usage."""
    first = [event(1, {"role": "assistant", "content": ""}, dialect)]
    return _ended(
        first + [event(number + 2, {"content": WORDS[number % len(WORDS)]}, dialect) for number in range(count)],
        "stop",
        dialect,
    )


def tool_pieces(count: int) -> list[tuple[int, str, str]]:
    """Return the pieces of two tool calls: which call, its name (in its first piece), a piece of its arguments."""
    pieces = []
    for call in range(2):
        numbers = [f", {number % 10}" for number in range(count // 2 - 3)]
        pieces += [(call, "add", ""), *((call, "", piece) for piece in ['{"numbers": [1', *numbers, "]}"])]
    return pieces


@functools.cache
def tool_events(count: int, dialect: str = "watsonx") -> list[bytes]:
    """Return a stream of two tool calls in `count` pieces, then its end and its usage."""
    events = [event(1, {"role": "assistant", "content": ""}, dialect)]
    for call, name, arguments in tool_pieces(count):
        function = {"name": name, "arguments": arguments}
        if dialect != "watsonx" and not name:
            del function["name"]
        first = {"id": f"call_{call}", "type": "function"} if name else {}
        part = {"index": call, **first, "function": function}
        events.append(event(len(events) + 1, {"tool_calls": [part]}, dialect))
    return _ended(events, "tool_calls", dialect)
