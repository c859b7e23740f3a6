"""Whatever a server sends: values of the right kind or the package's errors, never anything else.

Recorded bodies and frames are changed at random: types, missing keys, nulls, giant numbers, deep nesting, bytes that
are no text.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wx_integrations.core.calls import (
    Call,
    Gateway,
    Model,
    StreamCall,
    chat,
    chat_stream,
    embed,
    generate,
    generate_stream,
    model_specs,
    rerank,
    tokenize,
)
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import StreamBroken, WatsonxError
from wx_integrations.core.exchange import Plan
from wx_integrations.core.retry import RetryPolicy, Trail, Waiting
from wx_integrations.core.streams import Reading
from wx_integrations.core.wire.chat import ChatRequest, UserMessage
from wx_integrations.core.wire.text import GenerationRequest

CASES = int(os.environ.get("WX_TEST_CASES", "40"))
"""How many cases of each kind; thousands take a minute."""
GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = Model("m", project_id="p")
GATEWAY = Gateway("m", project_id="p")
CHAT = ChatRequest(messages=[UserMessage(content="hi")])
PLAN = Plan(Connection(region="us-south", token="t"), Waiting())

CALLS: dict[str, Call[Any]] = {
    "answers/chat.json": chat(MODEL, CHAT),
    "answers/chat_blocked.json": chat(MODEL, CHAT),
    "answers/chat_tool_call.json": chat(MODEL, CHAT),
    "answers/embeddings.json": embed(MODEL, ["a"]),
    "answers/generation.json": generate(MODEL, GenerationRequest(input="a")),
    "answers/rerank.json": rerank(MODEL, "q", ["a"]),
    "answers/tokenization.json": tokenize(MODEL, "a"),
    "others/specs.json": model_specs(),
    "others/chat_logprobs.json": chat(MODEL, CHAT),
    "others/gateway_chat.json": chat(GATEWAY, CHAT),
    "others/gateway_completion.json": generate(GATEWAY, GenerationRequest(input="a")),
    "others/gateway_embeddings.json": embed(GATEWAY, ["a"]),
}
STREAMS: dict[str, StreamCall[Any]] = {
    **{
        str(path.relative_to(GOLDEN)): chat_stream(GATEWAY if path.stem == "gateway" else MODEL, CHAT)
        for path in sorted((GOLDEN / "tool_streams").glob("*.sse"))
    },
    **{
        str(path.relative_to(GOLDEN)): generate_stream(MODEL, GenerationRequest(input="a"))
        for path in sorted((GOLDEN / "text_streams").glob("*.sse"))
    },
}
HOSTILE: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        10**30,
        -(10**400),
        1e308,
        float("nan"),
        float("inf"),
        "",
        "null",
        "x" * 1000,
        "\ud800",
    ),
    *([], {}, [[]], [None], {"": None}, [[[[[[]]]]]], {"a": {"a": {"a": 1}}}, {"errors": [{}]}, {"error": "x"}),
]


def mutated(value: Any, chance: random.Random) -> Any:
    """Return JSON data with one to four places changed."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 4)):
        holder: Any = None
        place: Any = None
        current = value
        while isinstance(current, dict | list) and current and (holder is None or chance.random() < 0.8):
            holder, place = current, chance.choice(list(current) if isinstance(current, dict) else range(len(current)))
            current = holder[place]
        if holder is None:
            value = copy.deepcopy(chance.choice(HOSTILE))
        elif chance.random() < 0.3:
            del holder[place]
        else:
            holder[place] = copy.deepcopy(chance.choice(HOSTILE))
    return value


def encoded(value: Any, chance: random.Random) -> bytes:
    """Return JSON as bytes, now and then no longer quite JSON."""
    data = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    kind = chance.randint(0, 9)
    if kind == 0:
        place = chance.randrange(len(data) + 1)
        data = data[:place] + bytes([chance.randrange(256)]) + data[place:]
    elif kind == 1:
        data = data[: chance.randrange(len(data) + 1)]
    elif kind == 2:
        data = b"\xef\xbb\xbf" + data
    elif kind == 3:
        data = b'{"a":' * 3000 + data + b"}" * 3000
    return data


def response(content: bytes, status: int = 200, **headers: str) -> httpx.Response:
    request = httpx.Request("POST", "https://us-south.ml.cloud.ibm.com/ml/v1/x", headers={"Authorization": "Bearer t"})
    return httpx.Response(status, headers=headers, content=content, request=request)


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_answer_is_read(name: str) -> None:
    call = CALLS[name]
    content = (GOLDEN / name).read_bytes()
    trail = Trail(RetryPolicy())
    assert PLAN.read(call, response(content), trail) == call.parse(content)


@pytest.mark.parametrize("name", CALLS)
@settings(deadline=None, max_examples=CASES)
@given(seed=st.integers(0, 2**32), status=st.sampled_from([200, 200, 200, 201, 400, 404, 500]))
def test_a_changed_answer_is_read_or_refused(name: str, seed: int, status: int) -> None:
    chance = random.Random(seed)
    content = encoded(mutated(json.loads((GOLDEN / name).read_bytes()), chance), chance)
    trail = Trail(RetryPolicy(), attempts=2, waited=1.5)
    value, error = outcome(lambda: PLAN.read(CALLS[name], response(content, status), trail))
    if error is None:
        assert status < 300
        assert type(value) is type(CALLS[name].parse((GOLDEN / name).read_bytes()))
    else:
        assert (error.attempts, error.waited) == (2, 1.5)
        assert len(str(error)) < 5000
        assert str(error).isprintable()


def outcome(action: Callable[[], Any]) -> tuple[Any, WatsonxError | None]:
    """Return a value, or the package's error instead; any other error is a failure."""
    try:
        return action(), None
    except WatsonxError as error:
        return None, error


@pytest.mark.parametrize("status", [200, 404, 500])
@settings(deadline=None, max_examples=CASES)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(status: int, content: bytes) -> None:
    answered = response(content, status)
    for call in CALLS.values():
        _, error = outcome(lambda call=call: PLAN.read(call, answered, Trail(RetryPolicy())))  # type: ignore[misc]
        assert error is None or error.__cause__ is None
    value, error = outcome(lambda: PLAN.read_json(answered, Trail(RetryPolicy())))
    if error is None:
        assert status == 200
        assert value is not None or content == b"" or b"null" in content


# --------------------------------------------------------------------------- streams


def read_all(call: StreamCall[Any], pieces: list[bytes]) -> tuple[list[Any], str | None]:
    """Return what a stream yields, and how it breaks."""
    reading = Reading(PLAN, call, Trail(RetryPolicy()))
    values: list[Any] = []

    def read() -> None:
        for piece in pieces:
            for name, data in reading.events(piece):
                if (value := reading.value(name, data)) is not None:
                    values.append(value)
        values.extend(reading.rest())

    _, error = outcome(read)
    if error is None:
        return values, None
    assert isinstance(error, StreamBroken)
    assert repr(list(error.arrived)) == repr(values)
    return values, str(error)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(0, 12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    values, broken = read_all(STREAMS[name], [data])
    assert broken is None
    assert values


@pytest.mark.parametrize("name", STREAMS)
@settings(deadline=None, max_examples=CASES)
@given(seed=st.integers(0, 2**32))
def test_a_changed_stream_is_read_or_broken_alike_in_any_pieces(name: str, seed: int) -> None:
    chance = random.Random(seed)
    data = changed_stream((GOLDEN / name).read_bytes(), chance)
    whole = read_all(STREAMS[name], [data])
    in_pieces = read_all(STREAMS[name], cut(data, chance))
    assert repr(in_pieces) == repr(whole)


def changed_stream(data: bytes, chance: random.Random) -> bytes:
    """Return a stream with frames changed, dropped, doubled, cut or followed by nonsense."""
    frames = data.replace(b"\r\n", b"\n").split(b"\n\n")
    changes: list[Callable[[bytes], bytes]] = [
        lambda frame: b"",
        lambda frame: frame + b"\n\n" + frame,
        lambda frame: frame.replace(b"data:", b"event: error\ndata:"),
        lambda frame: frame.replace(b"\n", b"\r"),
        lambda frame: frame[: chance.randrange(len(frame) + 1)],
        lambda frame: b"data: " + chance.randbytes(20),
        lambda frame: b"data: " + b"[" * 5000,
        lambda frame: changed_frame(frame, chance),
        lambda frame: changed_frame(frame, chance),
        lambda frame: changed_frame(frame, chance),
    ]
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(frames))
        frames[place] = chance.choice(changes)(frames[place])
    return b"\n\n".join(frames)


def changed_frame(frame: bytes, chance: random.Random) -> bytes:
    start, mark, data = frame.partition(b"data:")
    try:
        changed = encoded(mutated(json.loads(data), chance), chance)
    except (ValueError, RecursionError):  # an earlier change made it no JSON, or deep
        return frame
    return start + mark + b" " + changed
