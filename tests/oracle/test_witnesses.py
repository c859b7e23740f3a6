"""Clients of others, unmodified, against the emulator over TLS.

They run in a process of their own, by the interpreter that has them: this one,
or the one that WX_ORACLE_PYTHON names.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.oracle.marks import needs_witnesses
from tests.oracle.recorder import Call, Refusal
from tests.oracle.recording import Evidence
from tests.oracle.witnesses.inputs import DEPLOYMENT

pytestmark = needs_witnesses

SDK, LANGCHAIN, LLAMAINDEX, LITELLM = "ibm-watsonx-ai", "langchain-ibm", "llama-index-ibm", "litellm"
BY_IBM = (SDK, LANGCHAIN, LLAMAINDEX)
ALL = (*BY_IBM, LITELLM)

FAILING = {
    # A token that the service refuses before its time is sent again and again, then the call fails.
    **{(client, "token_refused_early"): "ApiRequestFailure" for client in BY_IBM},
    (LITELLM, "token_refused_early"): "AuthenticationError",
    # Most models' prompts have no form that litellm knows: it sends `input: null`.
    (LITELLM, "generate_without_template"): "BadRequestError",
}


def failures(evidence: Evidence) -> dict[Call, str]:
    """Return what the calls that failed raised."""
    return {
        (client, call): re.split(r"[:(]", result["error"])[0]
        for client, results in evidence.results.items()
        for call, result in results.items()
        if "error" in result
    }


def refusals(evidence: Evidence) -> dict[Call, list[Refusal]]:
    """Return what was refused, by call."""
    return {call: step.refusals for call, step in evidence.recorder.steps.items() if step.refusals}


def test_every_witness_testifies(lenient: Evidence) -> None:
    assert set(lenient.results) == set(ALL)
    assert sum(map(len, lenient.results.values())) >= 180


def test_every_call_completes_but_those_that_the_clients_themselves_get_wrong(lenient: Evidence) -> None:
    assert failures(lenient) == FAILING


HELLO, STORY = "You said: Hello", "You said: Once upon a time"
ANSWERS: dict[str, Any] = {
    "chat": HELLO,
    "chat_async": HELLO,
    "chat_stream": HELLO,
    "chat_stream_async": HELLO,
    "chat_parameters": HELLO,
    "chat_talk": "You said: Ada",
    "chat_picture": "You said: What is this?\n[image_url]",
    "chat_schema": '{"name": "Ada"}',
    "structured_by_tool": {"name": "Ada"},
    "structured_by_schema": {"name": "Ada"},
    "tools_none": 0,
    "tools_loop": "get_weather says: Sunny.",
    "tools_result": "get_weather says: Sunny.",
    "generate_parameters": STORY,
    "generate_async": STORY,
    "complete": STORY,
    "complete_stream": STORY,
    "tokenize": {"token_count": 4, "tokens": ["Write", " a", " tag", " line"]},
    "embed_many": 1500,
    "deployment_chat": HELLO,
    "deployment_stream": HELLO,
    "deployment_generate": STORY,
    "gateway_chat": HELLO,
    "gateway_stream": HELLO,
    "gateway_completion": STORY,
    "cloud_account": HELLO,
    "software_account": HELLO,
    "software_password": HELLO,
    "opaque_token": HELLO,
    "tokens_run_out": [HELLO, HELLO],
    "details": "ibm/granite-3-3-8b-instruct",
    "window": 131_072,
}


@pytest.mark.parametrize("client", ALL)
def test_the_answers_are_right(client: str, lenient: Evidence) -> None:
    results = lenient.results[client]
    expected = {call: answer for call, answer in ANSWERS.items() if call in results}
    assert {call: results[call].get("ok") for call in expected} == expected
    assert len(expected) >= 9
    tools = {call: result["ok"] for call, result in results.items() if re.fullmatch(r"tools(_stream|_named)?", call)}
    assert len(tools) == 3
    assert set(map(str, tools.values())) == {"{'city': 'Rome'}" if client in BY_IBM[1:] else '{"city": "Rome"}'}


def refused_by(status: int, code: str | None, path: str, times: int = 1, target: str | None = None) -> list[Refusal]:
    return [Refusal(path, status, code, target)] * times


CHAT = "/ml/v1/text/chat"
PROJECT_PATH = "/v2/projects/12ac4cf1-252f-424b-b52d-5cdd9814987f"
BAD_MODEL = refused_by(404, "model_not_supported", CHAT)
MEANT: dict[Call, list[Refusal]] = {
    **{(client, "overloaded_once"): refused_by(503, None, CHAT) for client in ALL},
    **{(client, "limited_once"): refused_by(429, "rate_limit_reached_requests", CHAT) for client in ALL},
    **{
        (client, "bad_parameter"): refused_by(400, "json_validation_error", CHAT, target="temperature")
        for client in ALL
    },
    **{(client, "token_refused_early"): refused_by(401, "authentication_token_expired", CHAT, 4) for client in BY_IBM},
    (LITELLM, "token_refused_early"): refused_by(401, "authentication_token_expired", CHAT),
    **{
        (client, "refused_token"): refused_by(401, "authentication_token_not_valid", PROJECT_PATH, 4)
        for client in BY_IBM
    },
    **{(client, "wrong_key"): refused_by(400, "BXNIM0415E", "/identity/token") for client in (SDK, LITELLM)},
    **{
        (client, "wrong_key"): refused_by(401, None, "/icp4d-api/v1/authorize", 4) for client in (LANGCHAIN, LLAMAINDEX)
    },
    (SDK, "unknown_model_unchecked"): BAD_MODEL,
    (LANGCHAIN, "unknown_model_unchecked"): BAD_MODEL,
    (LITELLM, "unknown_model"): BAD_MODEL,
    (LITELLM, "generate_without_template"): refused_by(400, "json_validation_error", "/ml/v1/text/generation"),
}
"""What is refused by the lenient emulator too: the calls that are about trouble, and one that sends no prompt."""


def test_the_lenient_emulator_refuses_only_what_was_meant_to_fail(lenient: Evidence) -> None:
    assert refusals(lenient) == MEANT


UNKNOWN: dict[Call, tuple[str, str]] = {
    (SDK, "tokenize_with_parameters"): ("/ml/v1/text/tokenization", "parameters.max_new_tokens"),
    (LANGCHAIN, "count_tokens"): ("/ml/v1/text/tokenization", "parameters.max_new_tokens"),
    (LANGCHAIN, "chat_stop"): (CHAT, "stop_sequences"),
    (LITELLM, "embed"): ("/ml/v1/text/embeddings", "parameters.token"),
    (LITELLM, "generate_stream"): ("/ml/v1/text/generation_stream", "parameters.stream"),
    (LITELLM, "deployment_chat"): (f"/ml/v1/deployments/{DEPLOYMENT}/text/chat", "model"),
    (LITELLM, "deployment_stream"): (f"/ml/v1/deployments/{DEPLOYMENT}/text/chat_stream", "model"),
    **{(LITELLM, call): (f"{CHAT}_stream", "model") for call in ("chat_stream", "chat_stream_async", "tools_stream")},
}
"""Fields that the API reference does not have, where a client sends them: all that the strict emulator adds.

litellm's chats all carry `model` and `stream`; those are not listed.
"""


def test_the_strict_emulator_refuses_only_what_the_reference_does_not_know(strict: Evidence) -> None:
    found = refusals(strict)
    for call, (path, name) in UNKNOWN.items():
        assert found.pop(call) == refused_by(400, "json_validation_error", path, target=name)
    with_a_model = refused_by(400, "json_validation_error", CHAT, target="model")
    by_litellm = {call for call, refused in found.items() if call[0] == LITELLM and set(refused) == set(with_a_model)}
    assert "chat" in {call for _, call in by_litellm}
    rest = {call: refused for call, refused in found.items() if call not in by_litellm}
    assert rest == {call: refused for call, refused in MEANT.items() if call not in by_litellm}


def test_the_figures(lenient: Evidence, strict: Evidence) -> None:
    """How many calls and requests there were is the same for both, but for what the strict one stops."""
    counts = [Counter(client for client, _ in evidence.recorder.steps) for evidence in (lenient, strict)]
    assert counts[0] == counts[1]
    assert counts[0] == {client: len(results) for client, results in lenient.results.items()}
