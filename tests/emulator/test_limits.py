"""The documented limits of every field: what lies within is taken, what lies beyond is refused by name.

Source: watsonx.ai API reference and, for fields that it does not show, the
official SDKs' types and documentation.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.lab import (
    CHAT_MODEL,
    EMBEDDING_MODEL,
    PLATFORM,
    PROJECT,
    RERANK_MODEL,
    TEXT_MODEL,
    VERSION,
    WEATHER,
    Lab,
    error_of,
    tool,
)
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.service import Deployed

USER = {"role": "user", "content": "Hello"}
PROMPT = "/ml/v1/text/generation"
CHAT = "/ml/v1/text/chat"
DEPLOYED = "/ml/v1/deployments/d/text/chat"
GATEWAY = "/ml/gateway/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model_id": CHAT_MODEL, "project_id": PROJECT, "messages": [USER]},
    f"{CHAT}_stream": {"model_id": CHAT_MODEL, "project_id": PROJECT, "messages": [USER]},
    DEPLOYED: {"messages": [USER]},
    PROMPT: {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x"},
    "/ml/v1/deployments/d/text/generation": {"input": "x"},
    "/ml/v1/text/embeddings": {"model_id": EMBEDDING_MODEL, "project_id": PROJECT, "inputs": ["x"]},
    "/ml/v1/text/rerank": {"model_id": RERANK_MODEL, "project_id": PROJECT, "query": "x", "inputs": [{"text": "x"}]},
    "/ml/v1/text/tokenization": {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x"},
    GATEWAY: {"model": CHAT_MODEL, "messages": [USER]},
    "/ml/gateway/v1/completions": {"model": TEXT_MODEL, "prompt": "x"},
    "/ml/gateway/v1/embeddings": {"model": EMBEDDING_MODEL, "input": "x"},
}


def with_field(body: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return a body with a field, given by its path, set."""
    first, _, rest = name.partition(".")
    return {**body, first: with_field(body.get(first, {}), rest, value) if rest else value}


def post(path: str, name: str, value: Any, *, strict: bool = True, **fields: Any) -> Reply:
    lab = Lab(strict=strict, deployments={"d": Deployed(CHAT_MODEL)})
    return lab.post(path, with_field({**BODIES[path], **fields}, name, value))


def codes(reply: Reply) -> tuple[int, str, str | None]:
    """Return status, code and the name of the field; the gateway has no targets."""
    assert isinstance(reply.body, bytes)
    body = json.loads(reply.body)
    if "errors" in body:
        return reply.status, body["errors"][0]["code"], body["errors"][0].get("target", {}).get("name")
    return reply.status, body["error"]["code"], None


Row = tuple[list[Any], list[Any], list[Any]]
"""What is taken, what lies beyond the limits, and what is of another type."""

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NAMED = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
TEXTS: Row = ([["a"]], [], ["a", [1]])
SWITCH: Row = ([True, False], [], [1, "true"])
COUNT: Row = ([0, 5], [-1], [1.5, "5", True])
PENALTY: Row = ([-2, 0, 1.5, 2], [-2.1, 2.1], ["1", True])

SAMPLING: dict[str, Row] = {
    "frequency_penalty": PENALTY,
    "presence_penalty": PENALTY,
    "temperature": ([0, 1, 2], [-0.1, 2.1], ["1", [1]]),
    "max_tokens": COUNT,
    "n": ([1, 2], [0, -1], [1.5, "2"]),
    "seed": ([-1, 0, 41], [], [0.5, "41"]),
}
CHATTING: dict[str, Row] = {
    **SAMPLING,
    "max_completion_tokens": COUNT,
    "logit_bias": ([{"1": -100}, {"1": 100}, {}], [{"1": -101}, {"1": 101}], [{"1": 0.5}, [1]]),
    "logprobs": SWITCH,
    "tools": ([[WEATHER]], [[], [WEATHER] * 129], [WEATHER, ["get_weather"]]),
    "response_format": ([{"type": "text"}, {"type": "json_object"}, NAMED], [{"type": "xml"}], ["text", ["text"]]),
    "reasoning_effort": (["low", "medium", "high"], ["none", "extreme"], []),
}
CHAT_ONLY: dict[str, Row] = {
    "messages": ([[USER] * 3], [[], [USER] * 1001], ["x", USER]),
    "top_p": ([0.1, 1], [0, 1.1], ["1"]),
    "stop": ([[], ["a"], ["a", "b", "c", "d"]], [["a", "b", "c", "d", "e"], ["a", "a"]], ["a", [1]]),
    "time_limit": ([1, 600_001], [0, -1], [0.5, "1"]),
    "repetition_penalty": ([1, 1.5], [], ["1"]),
    "length_penalty": ([1, 1.5], [], [{"decay_factor": 2}]),
    "guided_choice": TEXTS,
    "guided_regex": (["a+"], [], [["a+"]]),
    "guided_json": ([SCHEMA], [], ["{}"]),
    "include_reasoning": SWITCH,
    "chat_template_kwargs": ([{"thinking": True}, {}], [], [True, ["thinking"]]),
    "tool_choice_option": (["none"], ["any", "get_weather"], []),
}
CRYPTO: Row = ([{"key_ref": "k"}], [{"key_ref": ""}], ["k"])
WRITING: dict[str, Row] = {
    "decoding_method": (["greedy", "sample"], ["beam"], []),
    "length_penalty": ([{"decay_factor": 1.1, "start_index": 0}, {}], [], [1.5]),
    "length_penalty.decay_factor": ([1.1], [1, 0], ["2"]),
    "length_penalty.start_index": ([0], [-1], [0.5]),
    "max_new_tokens": COUNT,
    "min_new_tokens": COUNT,
    "random_seed": ([1, 2**31], [0, -1], [1.5]),
    "stop_sequences": ([[], ["a", "b", "c", "d", "e", "f"]], [["a"] * 7, ["a", "a"]], ["a", [1]]),
    "temperature": ([0, 0.05, 2], [-0.1, 2.1], ["1"]),
    "time_limit": ([1], [0], [0.5]),
    "top_k": ([1, 100], [0, 101], [1.5]),
    "top_p": ([0.1, 1], [0, 1.1], ["1"]),
    "repetition_penalty": ([1, 2], [0.9, 2.1], ["1"]),
    "truncate_input_tokens": ([1], [0], [1.5]),
    "include_stop_sequence": SWITCH,
    "return_options.input_text": SWITCH,
    "return_options.generated_tokens": SWITCH,
    "return_options.top_n_tokens": ([0], [-1], [0.5]),
}
MODERATED: dict[str, Row] = {
    "moderations.hap.input.enabled": SWITCH,
    "moderations.hap.output.threshold": ([0, 0.75, 1], [], ["0.75", True]),
    "moderations.pii.mask.remove_entity_value": SWITCH,
    "moderations.granite_guardian.input": ([{"threshold": 0.5}, {"further": 1}], [], [True]),
    "moderations.input_ranges": ([[], [{"start": 0, "end": 5}]], [], [{"start": 0, "end": 5}, [5]]),
}
GATEWAY_ROWS: dict[str, Row] = {
    **CHATTING,
    "logit_bias": ([{"1": 1}], [], [{"1": 0.5}]),
    "top_p": ([0, 1], [-0.1, 1.1], ["1"]),
    "stop": (["a", ["a", "b"]], [], [1]),
    "stream": SWITCH,
    "tool_choice": (["none"], ["any"], []),
    "parallel_tool_calls": SWITCH,
    "user": (["me"], [], [1]),
}
LIMITS: dict[str, dict[str, Row]] = {
    CHAT: {**CHATTING, **CHAT_ONLY, **MODERATED, "crypto": CRYPTO},
    f"{CHAT}_stream": {**SAMPLING, "crypto": CRYPTO},
    DEPLOYED: {**CHATTING, **CHAT_ONLY, **MODERATED, "context": (["x", ""], [], [1])},
    PROMPT: {
        **{f"parameters.{name}": row for name, row in WRITING.items()},
        **MODERATED,
        "crypto": CRYPTO,
        "parameters": ([{}], [], ["x", []]),
    },
    "/ml/v1/deployments/d/text/generation": {
        **{f"parameters.{name}": row for name, row in WRITING.items()},
        "parameters.typical_p": ([0.5], [], ["x"]),
        "parameters.prompt_variables": ([{}], [], ["x"]),
    },
    "/ml/v1/text/embeddings": {
        "inputs": ([["x"] * 1000], [["x"] * 1001], ["x", [1]]),
        "parameters.truncate_input_tokens": ([1, 128], [], [0.5]),
        "parameters.return_options.input_text": SWITCH,
        "crypto": CRYPTO,
    },
    "/ml/v1/text/rerank": {
        "inputs": ([[], [{"text": "x"}] * 1000], [[{"text": "x"}] * 1001], ["x", ["x"]]),
        "parameters.truncate_input_tokens": ([1, 128], [], [0.5]),
        "parameters.return_options.top_n": ([1, 5], [], [0.5]),
        "parameters.return_options.inputs": SWITCH,
        "parameters.return_options.query": SWITCH,
        "crypto": CRYPTO,
    },
    "/ml/v1/text/tokenization": {"parameters.return_tokens": SWITCH, "crypto": CRYPTO},
    GATEWAY: GATEWAY_ROWS,
    "/ml/gateway/v1/completions": {**SAMPLING, "logprobs": ([0, 5], [-1, 6], [0.5]), "echo": SWITCH},
    "/ml/gateway/v1/embeddings": {
        "dimensions": ([1, 8], [0], [0.5]),
        "encoding_format": (["float", "base64"], ["hex"], []),
        "input": (["x", ["x", "y"]], [], [1, {"text": "x"}]),
    },
}
ROWS = [(path, name) for path, rows in LIMITS.items() for name in rows]


@pytest.mark.parametrize(("path", "name"), ROWS)
@pytest.mark.parametrize("strict", [True, False])
def test_limits(path: str, name: str, strict: bool) -> None:
    taken, beyond, foreign = LIMITS[path][name]
    for value in taken:
        reply = post(path, name, value, strict=strict)
        assert reply.status == 200, (value, reply.body)
    for values, code in ((beyond, "json_validation_error"), (foreign, "json_type_error")):
        for value in values:
            status, found, target = codes(post(path, name, value, strict=strict))
            assert (status, found) == (400, code), value
            assert target is None or target.startswith(name), value


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, name in ROWS if "." in name])
def test_unknown_fields_within_fields(path: str, name: str) -> None:
    parent = name.rpartition(".")[0]
    if parent.startswith("moderations."):  # further keys of a detector are allowed
        return
    reply = post(path, f"{parent}.mood", "good")
    if parent == "moderations":
        assert codes(reply) == (400, "json_validation_error", "moderations.mood")
    elif "errors" in json.loads(reply.body if isinstance(reply.body, bytes) else b"{}"):
        assert codes(reply) == (400, "json_validation_error", f"{parent}.mood")
    else:
        assert codes(reply)[:2] == (400, "json_validation_error")
    assert post(path, f"{parent}.mood", "good", strict=False).status == 200


# --------------------------------------------------------------------------- fields that depend on others


@pytest.mark.parametrize("value", [0, 20])
def test_alternatives_need_log_probabilities(value: int) -> None:
    assert post(CHAT, "top_logprobs", value, logprobs=True).status == 200
    assert codes(post(CHAT, "top_logprobs", value))[:2] == (400, "json_validation_error")


@pytest.mark.parametrize(
    ("value", "code"), [(-1, "json_validation_error"), (21, "json_validation_error"), (1.5, "json_type_error")]
)
@pytest.mark.parametrize("path", [CHAT, GATEWAY])
def test_alternatives_have_limits(path: str, value: float, code: str) -> None:
    assert codes(post(path, "top_logprobs", value, logprobs=True))[:2] == (400, code)


@pytest.mark.parametrize("name", ["token_logprobs", "token_ranks", "top_n_tokens"])
def test_token_details_need_tokens(name: str) -> None:
    options = f"parameters.return_options.{name}"
    value = 2 if name == "top_n_tokens" else True
    assert codes(post(PROMPT, options, value)) == (400, "json_validation_error", "parameters.return_options")
    for tokens in ("generated_tokens", "input_tokens"):
        shown = {"return_options": {tokens: True}}
        assert post(PROMPT, options, value, parameters=shown).status == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (CHAT, "context"),
        (DEPLOYED, "crypto"),
        (PROMPT, "parameters.typical_p"),
        (PROMPT, "parameters.prompt_variables"),
    ],
)
def test_what_is_for_deployments_only_or_not_for_them(path: str, name: str) -> None:
    values: dict[str, Any] = {"crypto": {"key_ref": "k"}, "context": "x", "parameters.typical_p": 0.5}
    reply = post(path, name, values.get(name, {"a": "b"}))
    assert codes(reply) == (400, "json_validation_error", name)


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema.name"),
    ],
)
def test_a_schema_has_a_name_and_itself(format: dict[str, Any], name: str) -> None:
    assert codes(post(CHAT, "response_format", format)) == (400, "invalid_request_entity", name)


def test_a_format_needs_its_type() -> None:
    assert codes(post(CHAT, "response_format", {}))[0] == 400


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_prompt_is_refused_as_recorded(value: str | None) -> None:
    error = error_of(post(PROMPT, "input", value))
    assert (error["status"], error["code"]) == (400, "json_validation_error")
    assert error["message"] == "Json document validation error: 'input' cannot be missing or empty in the request body"


# --------------------------------------------------------------------------- tools


def test_a_type_that_json_schema_does_not_have_is_refused_as_recorded() -> None:
    add = tool("add", "Add.", a={"type": "int"})
    error = error_of(post(CHAT, "tools", [add]))
    assert (error["status"], error["code"]) == (400, "json_validation_error")
    assert error["message"] == (
        "Json document validation error: tools[0].function.parameters: at '/properties/a/type': value must be one of "
        "'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'"
    )
    assert post(CHAT, "tools", [add], strict=False).status == 200


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "dict"}, "/type"),
        ({"type": ["string", "None"]}, "/type"),
        ({"type": 1}, "/type"),
        ({"type": "array", "items": {"type": "str"}}, "/items/type"),
        ({"anyOf": [{"type": "string"}, {"type": "float"}]}, "/anyOf/1/type"),
        ({"type": "object", "additionalProperties": {"type": "any"}}, "/additionalProperties/type"),
        ({"$defs": {"a/b~c": {"type": "x"}}}, "/$defs/a~1b~0c/type"),
    ],
)
def test_wherever_the_type_is(schema: dict[str, Any], place: str) -> None:
    asked = tool("f", "F.")
    asked["function"]["parameters"] = schema
    assert f"at '{place}'" in error_of(post(CHAT, "tools", [WEATHER, asked]))["message"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"type": {"type": "string"}, "items": {"type": ["integer", "null"]}}},
        {"type": "object", "properties": {"a": {"enum": [{"type": "not a schema"}], "default": {"type": "x"}}}},
        {"type": "object", "additionalProperties": False},
        {},
    ],
)
def test_names_and_values_that_look_like_types_are_none(schema: dict[str, Any]) -> None:
    asked = tool("f", "F.")
    asked["function"]["parameters"] = schema
    assert post(CHAT, "tools", [asked]).status == 200


# --------------------------------------------------------------------------- the gateway


@pytest.mark.parametrize(
    "message",
    [
        {"role": "control", "content": "thinking"},
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}]},
    ],
)
def test_what_only_the_ml_api_knows_is_refused_by_the_gateway(message: dict[str, Any]) -> None:
    model = "emulator/all-senses"
    assert codes(post(GATEWAY, "messages", [message, USER], model=model))[:2] == (400, "json_validation_error")
    assert post(GATEWAY, "messages", [message, USER], strict=False, model=model).status == 200
    assert post(CHAT, "messages", [message, USER], model_id=model).status == 200


def test_the_gateways_developer_is_nobody_elsewhere() -> None:
    message = {"role": "developer", "content": "Be short."}
    assert post(GATEWAY, "messages", [message, USER]).status == 200
    assert codes(post(CHAT, "messages", [message, USER])) == (400, "json_validation_error", "messages")


@pytest.mark.parametrize("ids", [[1, 2], [[1], [2]]])
def test_token_ids_are_known_but_not_emulated(ids: list[Any]) -> None:
    assert codes(post("/ml/gateway/v1/embeddings", "input", ids))[:2] == (400, "unsupported_parameter")


# --------------------------------------------------------------------------- queries

SPECS = "/ml/v1/foundation_model_specs"
QUERIES: list[tuple[str, str, list[str], list[str]]] = [
    (SPECS, "limit", ["1", "200"], ["0", "201", "-1", "1.5", "", "x", "٣"]),
    (SPECS, "tech_preview", ["true", "false"], ["yes", "", "True", "1"]),
    (SPECS, "start", [CHAT_MODEL], ["no/such", ""]),
    (
        SPECS,
        "filters",
        ["modelid_x", "function_text_chat,!lifecycle_withdrawn:and", "tier_class_1:or", "modelid_a/b:free"],
        ["", "!", "a,,b", "mood_good", f"modelid_{'x' * 1000}"],
    ),
    ("/ml/v1/foundation_model_tasks", "limit", ["1", "200"], ["0", "201"]),
    ("/ml/v4/deployments", "state", ["ready", "failed", "initializing", "updating"], ["gone", ""]),
]


@pytest.mark.parametrize(("path", "name", "taken", "refused"), QUERIES, ids=lambda value: str(value)[:30])
def test_queries(path: str, name: str, taken: list[str], refused: list[str]) -> None:
    always = {"version": VERSION, "project_id": PROJECT}
    for value in taken:
        assert Lab().send("GET", path, query={**always, name: value}).status == 200, value
    for value in refused:
        error = error_of(Lab().send("GET", path, query={**always, name: value}))
        assert (error["status"], error["code"]) == (400, "invalid_input_argument"), value
        assert error["target"] == {"type": "parameter", "name": name}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["first", "second"]),
        ({"serving_name": "first"}, ["first"]),
        ({"name": "second"}, ["second"]),
        ({"serving_name": "third"}, []),
        ({"state": "ready"}, ["first", "second"]),
        ({"state": "failed"}, []),
    ],
)
def test_deployments_are_filtered(query: dict[str, str], names: list[str]) -> None:
    lab = Lab(deployments={"first": Deployed(CHAT_MODEL), "second": Deployed(CHAT_MODEL)})
    reply = lab.send("GET", "/ml/v4/deployments", query={"version": VERSION, "space_id": PROJECT, **query})
    assert isinstance(reply.body, bytes)
    assert [row["metadata"]["name"] for row in json.loads(reply.body)["resources"]] == names


# --------------------------------------------------------------------------- tools that run, and tokens

RUN = "/wx/v1-beta/utility_agent_tools/run"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "x"},
        {"tool_name": "Weather"},
        {"tool_name": "Weather", "input": 7},
        {"tool_name": 7, "input": "x"},
        {"tool_name": "Weather", "input": {"location": "Rome"}, "config": "x"},
        {"tool_name": "Weather", "input": {"location": "Rome", "mood": "good"}},
        {"tool_name": "Weather", "input": {"location": "Rome"}, "config": {"mood": "good"}},
    ],
)
def test_bodies_of_tools(body: dict[str, Any]) -> None:
    reply = Lab().post(RUN, body, host=PLATFORM)
    assert isinstance(reply.body, bytes)
    found = json.loads(reply.body)
    assert (reply.status, found["code"], found["error"]) == (400, 400, "Bad Request")


@pytest.mark.parametrize("secret", [["x"], {"a": 1}, 7, True, None, ""])
@pytest.mark.parametrize("keys", [None, {"key"}])
def test_passwords_and_keys_are_texts(secret: Any, keys: set[str] | None) -> None:
    for body in ({"username": "u", "password": secret}, {"username": "u", "api_key": secret}, {"username": secret}):
        assert Lab(api_keys=keys).post("/icp4d-api/v1/authorize", body, host="https://cpd.example.com").status == 400
    status = (
        Lab(api_keys=keys).post("/api/2.0/apikeys/token", {"apikey": secret}, host="https://cpd.example.com").status
    )
    assert status == (401 if secret == "" else 400)


@pytest.mark.parametrize("date", ["２０２４-03-14", "2024-03-14 ", " 2024-03-14", "2024-03-14\n"])
def test_version_dates_are_written_in_ascii(date: str) -> None:
    reply = Lab().send("GET", SPECS, query={"version": date})
    assert error_of(reply)["target"] == {"type": "parameter", "name": "version"}
