"""Shapes on the wire: strict in what is sent, lenient in what is received, typed in between."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from wx_integrations.core import wire
from wx_integrations.core.calls.values import encode
from wx_integrations.core.wire import chat, shapes, text
from wx_integrations.core.wire.chat import ChatRequest, Completion
from wx_integrations.core.wire.embeddings import Embeddings, EmbeddingsRequest
from wx_integrations.core.wire.frames import chunk_reader, notes_of, usage_of
from wx_integrations.core.wire.rerank import Ranking, RerankRequest
from wx_integrations.core.wire.tokenization import Tokenization, TokenizationRequest

GOLDEN = Path(__file__).parent.parent / "golden" / "answers"


def answer(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def models(module: Any, base: type[BaseModel]) -> list[type[BaseModel]]:
    """Every shape of a kind that a module defines."""
    found = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, base)]
    return [item for item in found if item.__module__ == module.__name__]


MODULES = [import_module(f"{wire.__name__}.{found.name}") for found in iter_modules(wire.__path__)]
SENT = [model for module in MODULES for model in models(module, shapes.Sent)]
RECEIVED = [model for module in MODULES for model in models(module, shapes.Received)]
HI = {"messages": [{"role": "user", "content": "Hi"}]}


def refusal(model: type[BaseModel], data: dict[str, Any]) -> str:
    """The report on data that a shape refuses."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return str(caught.value)


# --------------------------------------------------------------------------- what is sent


@pytest.mark.parametrize("model", SENT, ids=lambda model: model.__name__)
def test_sent_shapes_refuse_unknown_fields_and_never_change(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["strict"]
    assert model.model_config["frozen"]
    assert "no_such_field" in refusal(model, {"no_such_field": 1})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "Be brief.", "name": "s"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA==", "detail": "low"}},
                {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "image_url", "data_asset": {"id": "asset"}},
                {"type": "input_audio", "data_asset": {"id": "asset"}},
            ],
        },
        {"role": "assistant", "content": "Hello", "name": "bot"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "refusal": "No."},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "a"},
        {"role": "control", "content": "thinking"},
    ],
    ids=lambda message: message["role"],
)
def test_a_message_goes_out_as_it_is_written(message: dict[str, Any]) -> None:
    assert ChatRequest.model_validate({"messages": [message]}).to_wire() == {"messages": [message]}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "bot", "content": "x"}, "role|tag"),
        ({"content": "x"}, "role|tag"),
        ({"role": "system"}, "content"),
        ({"role": "system", "content": [{"type": "text", "text": "x"}]}, "content"),
        ({"role": "user", "content": None}, "content"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "tag"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "exactly one of image_url and data_asset"),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "u"}, "data_asset": {"id": "a"}}],
            },
            "exactly one of image_url and data_asset",
        ),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": ""}}]}, "at least 1 character"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "best"}}]}, "detail"),
        ({"role": "assistant"}, "needs content, tool_calls or refusal"),
        ({"role": "assistant", "tool_calls": []}, "tool_calls"),
        (
            {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": "{}"}}]},
            "at least 1 character",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]},
            "arguments",
        ),
        ({"role": "tool", "content": "4"}, "tool_call_id"),
        ({"role": "tool", "content": "4", "tool_call_id": "a", "name": "f"}, "name"),
        ({"role": "tool", "content": {"a": 1}, "tool_call_id": "a"}, "content"),
    ],
)
def test_a_message_the_wire_cannot_carry(message: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ChatRequest.model_validate({"messages": [message]})


LIMITS: dict[str, tuple[list[Any], list[Any]]] = {
    "frequency_penalty": ([-2, 0, 2, 0.5], [-2.1, 2.1, "1", float("nan")]),
    "presence_penalty": ([-2, 2], [-3, 3, True]),
    "logit_bias": ([{"1": -100, "2": 100}], [{"1": 101}, {"1": 0.5}, []]),
    "logprobs": ([True, False], [1, "true"]),
    "max_tokens": ([0, 1, 10**6], [-1, 1.5, "5", True]),
    "max_completion_tokens": ([0], [-1]),
    "n": ([1, 5], [0, -1]),
    "seed": ([-1, 0, 2**31], [1.5, "1"]),
    "stop": ([[], ["a"], ["a", "b", "c", "d"]], [["a"] * 2, ["a", "b", "c", "d", "e"], "a", [1]]),
    "temperature": ([0, 0.5, 2, 2.0], [-0.1, 2.1, "0.5", float("inf")]),
    "top_p": ([0.1, 1], [0, 1.1]),
    "time_limit": ([1, 600_001], [0, -1, 1.5]),
    "response_format": (
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
        ],
        [
            *({"type": "xml"}, {"type": "json_schema"}, {"type": "json_object", "schema": {}}),
            {"type": "json_schema", "json_schema": {"name": "a"}},
            {"type": "json_schema", "json_schema": {"schema": {}}},
        ],
    ),
    "reasoning_effort": (["low", "medium", "high"], ["max", ""]),
    "include_reasoning": ([True, False], ["yes"]),
    "guided_choice": ([["yes", "no"]], ["yes", [1]]),
    "guided_regex": (["[a-z]+"], [1]),
    "guided_grammar": (["root ::= 'a'"], [b"x"]),
    "guided_json": ([{"type": "object"}], ["{}", [1]]),
    "chat_template_kwargs": ([{"thinking": True}], ["thinking"]),
    "repetition_penalty": ([1.1], ["1"]),
    "length_penalty": ([0.5], ["1"]),
    "moderations": ([{"pii": {"input": {"enabled": True}}}], [True]),
    "crypto": ([{"key_ref": "crn"}], ["crn", {}, {"key_ref": ""}, {"key_ref": "crn", "more": 1}]),
    "context": (["Today is Wednesday"], [1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_parameter_within_and_beyond_its_limits(name: str) -> None:
    within, beyond = LIMITS[name]
    for value in within:
        assert ChatRequest.model_validate({**HI, name: value}).to_wire() == {**HI, name: value}
    for value in beyond:
        assert name in refusal(ChatRequest, {**HI, name: value})


def test_every_parameter_of_a_chat_is_tested() -> None:
    assert set(LIMITS) | {"top_logprobs"} == set(chat.ChatParameters.model_fields)


def test_top_logprobs_needs_logprobs() -> None:
    sent = {**HI, "logprobs": True, "top_logprobs": 20}
    assert ChatRequest.model_validate(sent).to_wire() == sent
    assert "needs logprobs=True" in refusal(ChatRequest, {**HI, "top_logprobs": 5})
    assert "needs logprobs=True" in refusal(ChatRequest, {**HI, "logprobs": False, "top_logprobs": 5})
    assert "top_logprobs" in refusal(ChatRequest, {**HI, "logprobs": True, "top_logprobs": 21})


def test_the_two_ways_to_choose_a_tool_exclude_each_other() -> None:
    chosen = {"type": "function", "function": {"name": "f"}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    for choice in ({"tool_choice": chosen}, {"tool_choice_option": "required"}):
        assert ChatRequest.model_validate({**HI, "tools": tools, **choice}).to_wire() == {
            **HI,
            "tools": tools,
            **choice,
        }
    both = {**HI, "tools": tools, "tool_choice": chosen, "tool_choice_option": "auto"}
    assert "either tool_choice or tool_choice_option" in refusal(ChatRequest, both)
    assert "tool_choice_option" in refusal(ChatRequest, {**HI, "tool_choice_option": "any"})


def test_how_many_messages_and_tools_go() -> None:
    message = HI["messages"][0]
    tool = {"type": "function", "function": {"name": "f"}}
    assert len(ChatRequest.model_validate({"messages": [message] * 1000}).messages) == 1000
    assert "messages" in refusal(ChatRequest, {"messages": []})
    assert "messages" in refusal(ChatRequest, {"messages": [message] * 1001})
    assert "tools" in refusal(ChatRequest, {**HI, "tools": []})
    assert "tools" in refusal(ChatRequest, {**HI, "tools": [tool] * 129})
    assert len(ChatRequest.model_validate({**HI, "tools": [tool] * 128}).tools or ()) == 128


def test_refusals_do_not_show_values() -> None:
    report = refusal(
        ChatRequest, {"messages": [{"role": "user", "content": 12345}], "crypto": "hunter2", "oops": "s3cret"}
    )
    assert not {"12345", "hunter2", "s3cret"} & set(report.replace("'", " ").split())
    assert "oops" in report


def test_only_what_was_given_goes_out() -> None:
    assert ChatRequest.model_validate({**HI, "seed": None, "tools": None}).to_wire() == HI
    assert text.GenerationRequest(input="a", parameters=text.GenerationParameters()).to_wire() == {
        "input": "a",
        "parameters": {},
    }


@pytest.mark.parametrize("stops", [["a"] * 7, ["a", "a"], "a", [1]])
def test_a_generation_has_up_to_six_different_stop_sequences(stops: Any) -> None:
    six = list("abcdef")
    assert text.GenerationParameters(stop_sequences=six).to_wire() == {"stop_sequences": six}
    assert "stop_sequences" in refusal(text.GenerationParameters, {"stop_sequences": stops})


@pytest.mark.parametrize("shape", [text.GenerationRequest, EmbeddingsRequest, RerankRequest, TokenizationRequest])
@pytest.mark.parametrize("crypto", ["crn", {}, {"key_ref": ""}, {"key_ref": "crn", "more": 1}])
def test_a_key_is_named_by_its_reference(shape: type[BaseModel], crypto: Any) -> None:
    good: dict[str, Any] = {"input": "a", "inputs": ["a"], "query": "a", "crypto": {"key_ref": "crn"}}
    if shape is RerankRequest:
        good["inputs"] = [{"text": "a"}]
    fitting = {name: value for name, value in good.items() if name in shape.model_fields}
    assert shape.model_validate(fitting).model_dump(exclude_none=True) == fitting
    assert "crypto" in refusal(shape, {**fitting, "crypto": crypto})


def test_what_the_caller_gave_is_left_alone() -> None:
    parameters: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string", "default": None}}}
    before = json.dumps(parameters)
    function = chat.Function(name="f", parameters=parameters)
    sent = function.to_wire()
    sent["parameters"]["properties"].clear()
    assert json.dumps(parameters) == before


def test_a_schemas_own_nulls_survive() -> None:
    """Absent fields are left out, but a null within a user's JSON is content."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"enum": ["x", None], "default": None}}}
    assert chat.Function(name="f", parameters=schema).to_wire()["parameters"] == schema
    request = ChatRequest.model_validate({**HI, "guided_json": schema})
    assert request.to_wire()["guided_json"] == schema


@given(st.text())
def test_any_text_reaches_the_wire_as_utf_8(said: str) -> None:
    request = ChatRequest(messages=[chat.UserMessage(content=said)])
    assert json.loads(encode(request.to_wire())) == {"messages": [{"role": "user", "content": said}]}


# --------------------------------------------------------------------------- what is received


@pytest.mark.parametrize("model", RECEIVED, ids=lambda model: model.__name__)
def test_received_shapes_keep_unknown_fields(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "allow"
    assert model.model_config["frozen"]


def test_the_reference_chat_answer() -> None:
    completion = Completion.model_validate_json(answer("chat"))
    (choice,) = completion.choices
    assert choice.message is not None
    assert choice.message.content is not None
    assert choice.message.content.startswith("The 2020 World Series was played at Globe Life Field")
    assert (choice.finish_reason, completion.model_name) == ("stop", "meta-llama/llama-3-8b-instruct")
    assert completion.usage == chat.Usage(prompt_tokens=59, completion_tokens=47, total_tokens=106)
    assert (completion.created, completion.created_at) == (1689958352, "2023-07-21T16:52:32.190Z")
    assert completion.warnings == []


def test_the_reference_tool_call() -> None:
    (choice,) = Completion.model_validate_json(answer("chat_tool_call")).choices
    assert choice.message is not None
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or []
    assert call.get("id") == "chatcmpl-tool-ef093f0cbbff4c6a973aa0873f73fc99"
    function = call.get("function") or {}
    assert function.get("name") == "get_current_weather"
    assert function.get("arguments") == '{\n  "location": "Boston, MA",\n  "unit": "fahrenheit"\n}\n'


def test_a_blocked_input() -> None:
    chunk = chunk_reader()(answer("chat_blocked"))
    (choice,) = chunk["choices"]
    assert (choice.get("delta"), choice.get("finish_reason")) == (None, None)
    assert [warning.id for warning in notes_of(chunk)] == ["UNSUITABLE_INPUT"]
    assert chunk["moderations"]["pii"][0]["entity"] == "PhoneNumber"
    assert chunk["detections"]["input"][0]["message_index"] == 0


def test_the_reference_answers_of_the_text_operations() -> None:
    generation = text.Generation.model_validate_json(answer("generation"))
    assert [(result.generated_text, result.stop_reason) for result in generation.results] == [("4,000 km", "eos_token")]
    embeddings = Embeddings.model_validate_json(answer("embeddings"))
    assert [item.embedding for item in embeddings.results] == [[-0.006929283, -0.005336422, -0.024047505]]
    assert embeddings.input_token_count == 10
    ranking = Ranking.model_validate_json(answer("rerank"))
    assert [(item.index, item.score) for item in ranking.results] == [(1, 8.77), (0, -2.58)]
    tokens = Tokenization.model_validate_json(answer("tokenization"))
    assert (tokens.result.token_count, (tokens.result.tokens or [])[-1]) == (11, "we")


def test_what_the_reference_does_not_know_is_kept() -> None:
    body = (
        '{"choices":[{"index":0,"delta":{"content":"a","audio":{"id":"x"},"tool_calls":[{"id":"c","seal":1,'
        '"function":{"name":"f","strict":true}}]},"logprobs":null}],"system_fingerprint":"f","service_tier":null,'
        '"cached":false,"usage":{"prompt_tokens":1,"queue_time":0.5}}'
    )
    assert chunk_reader()(body.encode()) == json.loads(body)
    completion = Completion.model_validate_json(body.replace("delta", "message"))
    assert completion.model_extra == {"system_fingerprint": "f", "service_tier": None, "cached": False}
    assert completion.choices[0].message is not None
    assert completion.choices[0].message.model_extra == {"audio": {"id": "x"}}
    assert completion.choices[0].message.tool_calls == json.loads(body)["choices"][0]["delta"]["tool_calls"]
    assert completion.usage is not None
    assert completion.usage.model_extra == {"queue_time": 0.5}
    assert completion.model_dump(mode="json", exclude_unset=True) == json.loads(body.replace("delta", "message"))


@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        '{"choices":[]}',
        '{"choices":[{}]}',
        '{"choices":[{"delta":null}]}',
        '{"choices":[{"delta":{}}],"usage":null,"system":null}',
        '{"choices":[{"delta":{"content":null,"tool_calls":null,"role":null}}]}',
        '{"choices":[{"delta":{"tool_calls":[]}}],"system":{}}',
        '{"choices":[{"delta":{"tool_calls":[{}]}}],"system":{"warnings":null}}',
        '{"choices":[{"delta":{"tool_calls":[{"function":null}]}}]}',
    ],
)
def test_sparse_frames_are_frames(frame: str) -> None:
    chunk = chunk_reader()(frame.encode())
    assert chunk == json.loads(frame)
    assert notes_of(chunk) == []
    assert usage_of(chunk) is None


@pytest.mark.parametrize("arguments", ['"{}"', '{"a":1}', "[1]", "1", "null", "true"])
def test_arguments_of_any_type_arrive(arguments: str) -> None:
    call = f'{{"index":0,"function":{{"name":"f","arguments":{arguments}}}}}'
    said = f'{{"choices":[{{"message":{{"tool_calls":[{call}]}},"delta":{{"tool_calls":[{call}]}}}}]}}'
    message = Completion.model_validate_json(said).choices[0].message
    assert message is not None
    delta = chunk_reader()(said.encode())["choices"][0]["delta"] or {}
    for found in (message.tool_calls, delta.get("tool_calls")):
        function = (found or [{}])[0].get("function") or {}
        assert function.get("arguments") == json.loads(arguments)


@pytest.mark.parametrize(
    ("model", "body", "field"),
    [
        (Completion, "{}", "choices"),
        (Completion, '{"choices":{}}', "choices"),
        (Completion, '{"choices":[{"message":{"content":5}}]}', "content"),
        (Completion, '{"choices":[{"index":"0"}]}', "index"),
        (Completion, '{"choices":[],"usage":{"prompt_tokens":"9"}}', "prompt_tokens"),
        (Embeddings, '{"results":[{"embedding":["a"]}]}', "embedding"),
        (Ranking, '{"results":[{"index":0}]}', "score"),
        (Tokenization, '{"result":{}}', "token_count"),
    ],
)
def test_a_field_of_another_type_is_an_error_not_a_guess(model: type[BaseModel], body: str, field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        model.model_validate_json(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("[]", "dictionary"),
        ('{"choices":null}', "choices"),
        ('{"choices":[null]}', "choices.0"),
        ('{"choices":[{"index":"0"}]}', "index"),
        ('{"choices":[{"index":true}]}', "index"),
        ('{"choices":[{"finish_reason":1}]}', "finish_reason"),
        ('{"choices":[{"logprobs":[]}]}', "logprobs"),
        ('{"choices":[{"delta":"x"}]}', "delta"),
        ('{"choices":[{"delta":{"content":5}}]}', "content"),
        ('{"choices":[{"delta":{"content":["a"]}}]}', "content"),
        ('{"choices":[{"delta":{"reasoning":{}}}]}', "reasoning"),
        ('{"choices":[{"delta":{"tool_calls":[null]}}]}', "tool_calls"),
        ('{"choices":[{"delta":{"tool_calls":[{"index":0.5}]}}]}', "tool_calls.0.index"),
        ('{"choices":[{"delta":{"tool_calls":[{"function":{"name":1}}]}}]}', "function.name"),
        ('{"model_id":1}', "model_id"),
        ('{"usage":{"prompt_tokens":"9"}}', "usage.prompt_tokens"),
        ('{"usage":7}', "usage"),
        ('{"system":{"warnings":{}}}', "system.warnings"),
    ],
)
def test_a_field_of_a_frame_of_another_type_is_an_error_not_a_guess(body: str, field: str) -> None:
    with pytest.raises(ValidationError, match=field) as caught:
        chunk_reader()(body.encode())
    assert "input_value" not in str(caught.value)


def test_numbers_that_are_none_are_refused() -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        with pytest.raises(ValidationError):
            Embeddings.model_validate_json(f'{{"results":[{{"embedding":[{number}]}}]}}')
