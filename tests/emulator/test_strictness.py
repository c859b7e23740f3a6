"""What is refused, by name and with the documented codes; and what lenient lets pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.lab import (
    EMBEDDING_MODEL,
    PROJECT,
    RERANK_MODEL,
    TEXT_MODEL,
    WEATHER,
    Lab,
    data_of,
    error_of,
    tool,
)

USER = {"role": "user", "content": "Hello"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"foo": 1}, "foo"),
        ({"stop_sequences": ["x"]}, "stop_sequences"),
        ({"model": "x"}, "model"),
        ({"messages": [{**USER, "mood": "good"}]}, "messages[0].mood"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]}]},
            "messages[0].content[0].cache",
        ),
        ({"tools": [{**WEATHER, "extra": 1}]}, "tools[0].extra"),
        ({"response_format": {"type": "json_object", "x": 1}}, "response_format.x"),
    ],
)
def test_unknown_fields_are_refused_by_name_and_let_pass_when_lenient(fields: dict[str, Any], name: str) -> None:
    error = error_of(Lab().chat(prompt="Hello", **fields) if "messages" not in fields else _with(fields))
    assert (error["status"], error["code"]) == (400, "json_validation_error")
    assert error["target"] == {"type": "field", "name": name}
    assert error["message"] == f"Invalid request: `{name}` is not a known field"
    lenient = Lab(strict=False)
    assert lenient.post("/ml/v1/text/chat", {**lenient.chat_body(), **fields}).status == 200


def _with(fields: dict[str, Any]) -> Any:
    lab = Lab()
    return lab.post("/ml/v1/text/chat", {**lab.chat_body(), **fields})


def test_lenient_drops_unknown_fields_at_several_depths_and_keeps_the_rest() -> None:
    lab = Lab(strict=False)
    part = {"type": "text", "text": "Hello", "extra": 1}
    image = {**IMAGE, "extra": 2, "image_url": {**IMAGE["image_url"], "extra": 3}}  # type: ignore[dict-item]
    body = lab.chat_body([{"role": "user", "content": [part, image], "extra": 4}], extra=5)
    body["model_id"] = "emulator/all-senses"
    answer = data_of(lab.post("/ml/v1/text/chat", body))
    assert answer["choices"][0]["message"]["content"] == "You said: Hello\n[image_url]"


@pytest.mark.parametrize(
    ("fields", "code", "name"),
    [
        ({"messages": []}, "json_validation_error", "messages"),
        ({"messages": "Hello"}, "json_type_error", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "json_validation_error", "messages[0]"),
        ({"messages": [{"content": "x"}]}, "json_type_error", "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_request_entity", "messages[0].tool_call_id"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "json_validation_error", "messages"),
        ({"messages": [{"role": "system", "content": ["x"]}]}, "json_type_error", "messages[0].content"),
        ({"context": "x"}, "json_validation_error", "context"),
    ],
)
def test_bad_values(fields: dict[str, Any], code: str, name: str) -> None:
    error = error_of(_with(fields))
    assert (error["status"], error["code"], error["target"]["name"]) == (400, code, name)


def test_tool_choice_and_option_exclude_each_other() -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    error = error_of(_with({"tools": [WEATHER], "tool_choice": choice, "tool_choice_option": "auto"}))
    assert "tool_choice_option" in error["message"]


def test_tool_choice_must_name_a_tool() -> None:
    choice = {"type": "function", "function": {"name": "other"}}
    assert error_of(_with({"tools": [WEATHER], "tool_choice": choice}))["code"] == "invalid_request_entity"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_request_entity"),
        (b"[]", "json_type_error"),
        (b'{"a":NaN}', "invalid_request_entity"),
        (b"\xff", "invalid_request_entity"),
    ],
)
def test_bodies_that_are_not_json_objects(body: bytes, code: str) -> None:
    lab = Lab()
    reply = lab.send("POST", "/ml/v1/text/chat", body, headers={"content-type": "application/json"})
    assert error_of(reply)["code"] == code


def test_content_type_matters_to_the_strict() -> None:
    import json

    for strict, status in ((True, 400), (False, 200)):
        lab = Lab(strict=strict)
        body = json.dumps(lab.chat_body()).encode()
        reply = lab.send("POST", "/ml/v1/text/chat", body, headers={"content-type": "text/plain"})
        assert reply.status == status


def test_missing_model() -> None:
    body = Lab.chat_body()
    del body["model_id"]
    assert error_of(Lab().post("/ml/v1/text/chat", body))["target"]["name"] == "model_id"
    assert error_of(Lab().chat(model_id=3))["code"] == "json_type_error"


def test_unknown_model_gets_the_recorded_refusal() -> None:
    error = error_of(Lab().chat(model_id="doesn't exist"))
    assert error == {
        "status": 404,
        "code": "model_not_supported",
        "message": "Model 'doesn't exist' is not supported",
        "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat",
    }


@pytest.mark.parametrize(
    ("path", "model", "rest"),
    [
        ("text/chat", EMBEDDING_MODEL, {"messages": [USER]}),
        ("text/generation", EMBEDDING_MODEL, {"input": "x"}),
        ("text/embeddings", TEXT_MODEL, {"inputs": ["x"]}),
        ("text/rerank", EMBEDDING_MODEL, {"query": "x", "inputs": [{"text": "x"}]}),
        ("text/generation", "openai/gpt-oss-120b", {"input": "x"}),
        ("text/chat", TEXT_MODEL, {"messages": [{"role": "user", "content": [IMAGE]}]}),
    ],
)
def test_models_do_only_what_they_can(path: str, model: str, rest: dict[str, Any]) -> None:
    reply = Lab().post(f"/ml/v1/{path}", {"model_id": model, "project_id": PROJECT, **rest})
    assert error_of(reply)["code"] == "model_no_support_for_function"


def test_withdrawn_models_are_gone_and_deprecated_ones_say_so() -> None:
    lab = Lab()
    gone = lab.post("/ml/v1/text/generation", {"model_id": "google/flan-t5-xxl", "project_id": "p", "input": "x"})
    assert error_of(gone)["code"] == "model_not_supported"
    body = {"model_id": "ibm/granite-13b-instruct-v2", "project_id": "p", "input": "x"}
    warnings = data_of(lab.post("/ml/v1/text/generation", body))["system"]["warnings"]
    assert "deprecated since 2025-01-01" in warnings[0]["message"]


def test_too_long_for_the_model() -> None:
    error = error_of(Lab().chat("word " * 300, model_id="emulator/short-sighted"))
    assert (error["status"], error["code"]) == (400, "invalid_input_argument")
    assert error["message"] == (
        "Invalid input argument for Model 'emulator/short-sighted': the number of input tokens 305 cannot exceed the "
        "total tokens limit 256 for this model"
    )


@pytest.mark.parametrize(
    ("path", "model", "rest"),
    [
        ("text/embeddings", EMBEDDING_MODEL, {"inputs": ["short", "word " * 600]}),
        ("text/rerank", RERANK_MODEL, {"query": "x", "inputs": [{"text": "word " * 600}]}),
    ],
)
def test_too_long_to_embed_or_rank(path: str, model: str, rest: dict[str, Any]) -> None:
    body = {"model_id": model, "project_id": PROJECT, **rest}
    error = error_of(Lab().post(f"/ml/v1/{path}", body))
    assert "Token sequence length is longer than the specified maximum sequence length" in error["message"]
    cut = {**body, "parameters": {"truncate_input_tokens": 100}}
    assert Lab().post(f"/ml/v1/{path}", cut).status == 200


@pytest.mark.parametrize("field", ["model_id", "project_id", "space_id", "crypto"])
def test_deployments_refuse_what_the_deployment_says(field: str) -> None:
    path = "/ml/v1/deployments/my-deployment/text/chat"
    value: Any = {"key_ref": "k"} if field == "crypto" else "x"
    body = {"messages": [USER], field: value}
    error = error_of(Lab().post(path, body))
    assert (error["code"], error["target"]["name"]) == ("json_validation_error", field)
    if field != "crypto":
        assert Lab(strict=False).post(path, body).status == 200


def test_names_of_other_operations_are_not_known() -> None:
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": "x", "parameters": {"max_tokens": 3}}
    error = error_of(Lab().post("/ml/v1/text/generation", body))
    assert (error["status"], error["target"]["name"]) == (400, "parameters.max_tokens")


def test_no_passages_have_no_order() -> None:
    none = {"model_id": RERANK_MODEL, "project_id": PROJECT, "query": "x", "inputs": []}
    assert data_of(Lab().post("/ml/v1/text/rerank", none))["results"] == []


def test_a_schema_that_cannot_be_filled_is_refused() -> None:
    broken = tool("broken", "Broken.", value={"$ref": "#/$defs/Missing"})
    error = error_of(Lab().chat("use broken()", tools=[broken], tool_choice_option="required"))
    assert error["message"] == "Invalid request: tool parameters: #/$defs/Missing leads nowhere"
