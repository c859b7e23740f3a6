"""Whatever is sent, the emulator answers; it never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulator.lab import CHAT_MODEL, EMBEDDING_MODEL, PROJECT, RERANK_MODEL, TEXT_MODEL, WEATHER, Lab
from wx_integrations.emulator.app import ROUTES
from wx_integrations.emulator.exchange import Reply, Request

PATHS = sorted(
    route.path.replace("{deployment}", "d") for route in ROUTES if route.method == "POST" and "wx/" not in route.path
)
GOOD: dict[str, dict[str, Any]] = {
    "/ml/v1/text/chat": {
        "model_id": CHAT_MODEL,
        "project_id": PROJECT,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [WEATHER],
    },
    "/ml/v1/text/chat_stream": {
        "model_id": CHAT_MODEL,
        "project_id": PROJECT,
        "messages": [{"role": "user", "content": "Hi"}],
        "n": 2,
    },
    "/ml/v1/text/generation": {
        "model_id": TEXT_MODEL,
        "project_id": PROJECT,
        "input": "x",
        "parameters": {"max_new_tokens": 3},
    },
    "/ml/v1/text/embeddings": {"model_id": EMBEDDING_MODEL, "project_id": PROJECT, "inputs": ["x"]},
    "/ml/v1/text/rerank": {"model_id": RERANK_MODEL, "project_id": PROJECT, "query": "x", "inputs": [{"text": "x"}]},
    "/ml/gateway/v1/chat/completions": {
        "model": CHAT_MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    },
}
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def answered(reply: Reply) -> int:
    """Read a reply to its end; returns its status."""
    if not isinstance(reply.body, bytes):
        assert all(frame.trouble is None for frame in reply.body)
    return reply.status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("strict", [True, False])
def test_any_bytes(path: str, strict: bool) -> None:
    lab = Lab(strict=strict)
    deep = b"[" * 100_000
    for body in (
        b"",
        b"\xff\xfe",
        b"null",
        b"7",
        b'"x"',
        b"[]",
        b"{}",
        b"{",
        deep,
        b'{"a":' * 5000,
        b"\x00" * 10,
        b"1e999",
    ):
        host = "https://cpd.example.com"
        reply = lab.send("POST", path, body, host=host, headers={"content-type": "application/json"})
        assert 400 <= answered(reply) < 500


@pytest.mark.parametrize("strict", [True, False])
@settings(deadline=None)
@given(data=st.data())
def test_good_bodies_with_one_field_gone_wrong(strict: bool, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(GOOD)))
    body = json.loads(json.dumps(GOOD[path]))
    place: Any = body
    for _ in range(data.draw(st.integers(0, 4))):
        inner = [
            value
            for value in (place.values() if isinstance(place, dict) else place)
            if isinstance(value, dict | list) and value
        ]
        if not inner:
            break
        place = data.draw(st.sampled_from(inner))
    names = [*sorted(place), "extra"] if isinstance(place, dict) else list(range(len(place)))
    place[data.draw(st.sampled_from(names))] = data.draw(JSON)
    status = answered(Lab(strict=strict).post(path, body))
    assert status in (200, 400, 404)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("depth", [50, 100, 150, 400])
def test_deep_nesting(strict: bool, depth: int) -> None:
    schema = '{"properties":{"a":' * depth + "1" + '},"required":["a"]}' * depth
    good = json.dumps(GOOD["/ml/v1/text/chat"]).removesuffix("}")
    body = f'{good},"guided_json":{schema},"extra":{schema}}}'.encode()
    reply = Lab(strict=strict).send("POST", "/ml/v1/text/chat", body, headers={"content-type": "application/json"})
    assert answered(reply) == 400


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["GET", "POST", "PUT", "DELETE", "X"]))
def test_any_path_and_query(path: str, query: str, method: str) -> None:
    lab = Lab()
    reply = lab.emulator.handle(Request(method, f"https://x.example/{path}?{query}", {"host": query}, b""))
    assert reply.status in (400, 401, 404, 405)
