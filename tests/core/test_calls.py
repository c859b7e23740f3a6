"""Calls as values: what each sends where, against bodies typed from the API reference."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wx_integrations.core import calls
from wx_integrations.core.calls import Call, Deployment, Gateway, Model, StreamCall, Target
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.chat import (
    AssistantMessage,
    ChatRequest,
    Crypto,
    Function,
    FunctionName,
    SystemMessage,
    TextPart,
    Tool,
    ToolChoice,
    UserMessage,
)
from wx_integrations.core.wire.embeddings import EmbeddingParameters, EmbeddingReturnOptions
from wx_integrations.core.wire.rerank import RerankParameters, RerankReturnOptions
from wx_integrations.core.wire.text import Generation, GenerationParameters, GenerationRequest

GOLDEN = Path(__file__).parent.parent / "golden"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
OTHER_PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
DEPLOYMENT = Deployment("8d5c1bc3-2d1f-4d3e-9d0c-6d1f5b0a7c11")
GATEWAY = Gateway("claude-sonnet-5", project_id=PROJECT)
HI = ChatRequest(messages=[UserMessage(content="Hi")])


def golden(name: str) -> Any:
    return json.loads((GOLDEN / "requests" / f"{name}.json").read_bytes())


def body(call: Call[Any] | StreamCall[Any]) -> Any:
    assert call.body is not None
    return json.loads(call.body)


# --------------------------------------------------------------------------- the API reference's own bodies

WORLD_SERIES = ChatRequest(
    messages=[
        SystemMessage(content="You are a helpful assistant."),
        UserMessage(content=[TextPart(text="Who won the world series in 2020?")]),
        AssistantMessage(content="The Los Angeles Dodgers won the World Series in 2020."),
        UserMessage(content=[TextPart(text="Where was it played?")]),
    ],
    max_tokens=100,
    temperature=0,
    time_limit=1000,
)
CLOCK = ChatRequest(
    messages=[UserMessage(content=[TextPart(text="What time is it in Italy?")])],
    tools=[
        Tool(
            function=Function(
                name="get_current_time", parameters={"type": "object", "properties": {"country": {"type": "string"}}}
            )
        )
    ],
    tool_choice_option="auto",
    max_completion_tokens=256,
    temperature=0,
    time_limit=60000,
)
IN_CONTEXT = ChatRequest(
    messages=[UserMessage(content="Hi")], context="test", max_completion_tokens=0, temperature=0, time_limit=60000
)
BANGALORE = GenerationRequest(
    input="how far is paris from bangalore:", parameters=GenerationParameters(max_new_tokens=100, time_limit=1000)
)

REFERENCE: dict[str, tuple[Call[Any] | StreamCall[Any], str]] = {
    "chat": (calls.chat(Model("meta-llama/llama-3-8b-instruct", PROJECT), WORLD_SERIES), "/ml/v1/text/chat"),
    "chat_tools": (
        calls.chat_stream(Model("ibm/granite-4-h-small", PROJECT), CLOCK),
        "/ml/v1/text/chat_stream",
    ),
    "deployment_chat": (
        calls.chat(DEPLOYMENT, IN_CONTEXT),
        "/ml/v1/deployments/8d5c1bc3-2d1f-4d3e-9d0c-6d1f5b0a7c11/text/chat",
    ),
    "generation": (calls.generate(Model("google/flan-t5-xxl", PROJECT), BANGALORE), "/ml/v1/text/generation"),
    "deployment_generation": (
        calls.generate_stream(DEPLOYMENT, BANGALORE),
        "/ml/v1/deployments/8d5c1bc3-2d1f-4d3e-9d0c-6d1f5b0a7c11/text/generation_stream",
    ),
    "embeddings": (
        calls.embed(
            Model("slate", OTHER_PROJECT),
            [
                "Youth craves thrills while adulthood cherishes wisdom.",
                "Youth seeks ambition while adulthood finds contentment.",
                "Dreams chased in youth while goals pursued in adulthood.",
            ],
        ),
        "/ml/v1/text/embeddings",
    ),
    "embeddings_parameters": (
        calls.embed(
            Model("ibm/slate-125m-english-rtrvr", OTHER_PROJECT),
            ["Youth craves thrills"],
            EmbeddingParameters(truncate_input_tokens=128, return_options=EmbeddingReturnOptions(input_text=True)),
        ),
        "/ml/v1/text/embeddings",
    ),
    "rerank": (
        calls.rerank(
            Model("cross-encoder/ms-marco-minilm-l-12-v2", OTHER_PROJECT),
            "As a Youth, I craved excitement while in adulthood I followed Enthusiastic Pursuit.",
            [item["text"] for item in golden("rerank")["inputs"]],
            RerankParameters(return_options=RerankReturnOptions(top_n=2)),
        ),
        "/ml/v1/text/rerank",
    ),
    "tokenization": (
        calls.tokenize(
            Model("google/flan-ul2,", PROJECT),
            "Write a tagline for an alumni association: Together we",
            return_tokens=True,
        ),
        "/ml/v1/text/tokenization",
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_a_body_of_the_api_reference(name: str) -> None:
    call, path = REFERENCE[name]
    assert body(call) == golden(name)
    assert (call.method, call.path, call.host, call.versioned) == ("POST", path, "ml", True)
    assert call.query is None
    assert call.headers is None


def test_every_golden_body_is_tested() -> None:
    assert {path.stem for path in (GOLDEN / "requests").glob("*.json")} == set(REFERENCE)


def test_only_what_was_given_is_sent() -> None:
    assert body(calls.chat(Model("m", PROJECT), HI)) == {
        "model_id": "m",
        "project_id": PROJECT,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert body(calls.tokenize(Model("m", PROJECT), "a")) == {"model_id": "m", "project_id": PROJECT, "input": "a"}


def test_what_writes_text_is_marked_as_such() -> None:
    model = Model("m", PROJECT)
    assert calls.chat(model, HI).generates
    assert calls.generate(model, BANGALORE).generates
    assert calls.chat_stream(model, HI).generates
    assert not calls.embed(model, ["a"]).generates
    assert not calls.rerank(model, "q", ["a"]).generates
    assert not calls.tokenize(model, "a").generates


# --------------------------------------------------------------------------- targets


def test_a_space_instead_of_a_project() -> None:
    sent = body(calls.chat(Model("m", space_id="s"), HI))
    assert (sent["space_id"], sent.get("project_id")) == ("s", None)
    assert "project_id" not in sent


@pytest.mark.parametrize("model", [Model("m"), Model("m", "", ""), Model("m", PROJECT, "s")])
def test_a_model_needs_exactly_one_scope(model: Model) -> None:
    with pytest.raises(ConfigurationError, match="project_id") as caught:
        calls.chat(model, HI)
    assert caught.value.field == "project_id"
    assert "WATSONX_PROJECT_ID" in str(caught.value)


def test_the_gateway_takes_at_most_one_scope() -> None:
    with pytest.raises(ConfigurationError, match="both project_id and space_id"):
        calls.chat(Gateway("m", PROJECT, "s"), HI)


def test_a_serving_name_is_quoted_in_the_path() -> None:
    assert calls.chat(Deployment("my app/ä?"), HI).path == "/ml/v1/deployments/my%20app%2F%C3%A4%3F/text/chat"


def test_context_is_for_deployments() -> None:
    with pytest.raises(ConfigurationError, match="context is for deployments only") as caught:
        calls.chat(Model("m", PROJECT), IN_CONTEXT)
    assert caught.value.field == "context"


def test_crypto_is_for_models() -> None:
    request = ChatRequest(messages=[UserMessage(content="Hi")], crypto=Crypto(key_ref="crn:1"))
    assert body(calls.chat(Model("m", PROJECT), request))["crypto"] == {"key_ref": "crn:1"}
    with pytest.raises(ConfigurationError, match="crypto"):
        calls.chat(DEPLOYMENT, request)


@pytest.mark.parametrize("target", [Model("m", PROJECT), DEPLOYMENT, GATEWAY], ids=lambda target: type(target).__name__)
def test_targets_are_values(target: Target) -> None:
    assert pickle.loads(pickle.dumps(target)) == target
    assert hash(pickle.loads(pickle.dumps(target))) == hash(target)
    assert target.name in ("m", DEPLOYMENT.deployment_id, "claude-sonnet-5")


def test_a_calls_repr_shows_neither_body_nor_headers() -> None:
    for call in (calls.chat(GATEWAY, HI), calls.chat_stream(GATEWAY, HI)):
        assert "Hi" not in repr(call)
        assert PROJECT not in repr(call)


# --------------------------------------------------------------------------- the gateway


def test_the_gateway_speaks_openai() -> None:
    request = ChatRequest(
        messages=[UserMessage(content="Hi")],
        tools=[Tool(function=Function(name="f"))],
        tool_choice=ToolChoice(function=FunctionName(name="f")),
        max_tokens=5,
        temperature=0.5,
    )
    call = calls.chat(GATEWAY, request)
    assert body(call) == {
        "model": "claude-sonnet-5",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "max_tokens": 5,
        "temperature": 0.5,
    }
    assert (call.path, call.versioned) == ("/ml/gateway/v1/chat/completions", False)
    assert call.headers == {"X-IBM-Project-ID": PROJECT}


def test_the_gateways_one_field_for_tool_choice() -> None:
    request = HI.model_copy(update={"tools": [Tool(function=Function(name="f"))], "tool_choice_option": "required"})
    sent = body(calls.chat(GATEWAY, request))
    assert sent["tool_choice"] == "required"
    assert "tool_choice_option" not in sent


def test_the_gateways_streams_say_so_and_ask_for_usage() -> None:
    for call in (calls.chat_stream(GATEWAY, HI), calls.generate_stream(GATEWAY, GenerationRequest(input="a"))):
        assert body(call)["stream"] is True
        assert body(call)["stream_options"] == {"include_usage": True}


def test_scopes_of_the_gateway_travel_in_headers() -> None:
    assert calls.embed(Gateway("m", space_id="s"), ["a"]).headers == {"X-IBM-Space-ID": "s"}
    assert calls.embed(Gateway("m"), ["a"]).headers is None


def test_generation_on_the_gateway() -> None:
    parameters = GenerationParameters(max_new_tokens=5, random_seed=1, stop_sequences=["."], temperature=0.5, top_p=0.9)
    call = calls.generate(GATEWAY, GenerationRequest(input="a", parameters=parameters))
    assert call.path == "/ml/gateway/v1/completions"
    assert body(call) == {
        "model": "claude-sonnet-5",
        "prompt": "a",
        "max_tokens": 5,
        "seed": 1,
        "stop": ["."],
        "temperature": 0.5,
        "top_p": 0.9,
    }


def test_embeddings_on_the_gateway() -> None:
    call = calls.embed(GATEWAY, ["a", "b"])
    assert call.path == "/ml/gateway/v1/embeddings"
    assert body(call) == {"model": "claude-sonnet-5", "input": ["a", "b"]}
    answer = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 3}}
    read = call.parse(json.dumps(answer).encode())
    assert [item.embedding for item in read.results] == [[1.0], [2.0]]
    assert read.input_token_count == 3


@pytest.mark.parametrize("indices", [[0, 0], [0, 2], [1, 2], [-1, 0]])
def test_embeddings_that_are_not_one_per_text_are_refused(indices: list[int]) -> None:
    answer = {"data": [{"index": index, "embedding": [1.0]} for index in indices]}
    with pytest.raises(ValueError, match="indices"):
        calls.embed(GATEWAY, ["a", "b"]).parse(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("time_limit", HI.model_copy(update={"time_limit": 5})),
        ("guided_json", HI.model_copy(update={"guided_json": {}})),
        ("repetition_penalty", HI.model_copy(update={"repetition_penalty": 1.1})),
        ("context", HI.model_copy(update={"context": "x"})),
        ("moderations", HI.model_copy(update={"moderations": {"pii": {}}})),
    ],
)
def test_what_the_gateway_does_not_know_is_refused_by_name(name: str, request_: ChatRequest) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        calls.chat(GATEWAY, request_)
    assert caught.value.field == name


def test_parameters_of_generation_and_embedding_the_gateway_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match="top_k"):
        calls.generate(GATEWAY, GenerationRequest(input="a", parameters=GenerationParameters(top_k=5)))
    with pytest.raises(ConfigurationError, match="moderations"):
        calls.generate(GATEWAY, GenerationRequest(input="a", moderations={"hap": {}}))
    with pytest.raises(ConfigurationError, match="parameters"):
        calls.embed(GATEWAY, ["a"], EmbeddingParameters(truncate_input_tokens=5))


@pytest.mark.parametrize("operation", ["text/rerank", "text/tokenization", "time_series/forecast"])
def test_what_the_gateway_does_not_do(operation: str) -> None:
    with pytest.raises(ConfigurationError, match="the Model Gateway has no") as caught:
        GATEWAY.path(operation)
    assert caught.value.field == "model"


# --------------------------------------------------------------------------- the end of a stream

CHUNKS: list[tuple[bool, str]] = [
    (False, '{"choices":[{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":""}}]}'),
    (False, '{"choices":[{"index":0,"finish_reason":null,"delta":{"content":"Hello"}}]}'),
    (True, '{"choices":[{"index":0,"finish_reason":"stop","delta":{"content":""}}]}'),
    (True, '{"choices":[{"index":0,"finish_reason":"tool_calls","delta":{}}]}'),
    (True, '{"choices":[{"index":0,"finish_reason":"length","delta":{"content":"x"}}]}'),
    (True, '{"choices":[],"usage":{"completion_tokens":18,"prompt_tokens":190,"total_tokens":208}}'),
    # 2024: a running usage in every frame
    (False, '{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"total_tokens":9}}'),
    (False, '{"choices":[{"index":0,"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":9,"total_tokens":9}}'),
    (
        False,
        '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}],"usage":{"prompt_tokens":9}}',
    ),
    (False, '{"choices":[{"index":0,"delta":{"reasoning":"hm"}}],"usage":{"prompt_tokens":9}}'),
    (False, '{"choices":[{"index":0,"delta":{"refusal":"no"}}],"usage":{"prompt_tokens":9}}'),
    # blocked input: one frame, no delta
    (True, '{"choices":[{"index":0,"finish_reason":null}],"usage":{"prompt_tokens":9}}'),
    # the gateway: empty reasons, usage beside a choice
    (False, '{"choices":[{"index":0,"delta":{"role":"assistant","content":"Ciao"},"finish_reason":""}],"usage":null}'),
    (True, '{"choices":[{"index":0,"delta":{"content":""},"finish_reason":""}],"usage":{"prompt_tokens":498}}'),
    (False, "{}"),
    (False, '{"choices":[]}'),
]


@pytest.mark.parametrize(("last", "frame"), CHUNKS)
def test_which_frame_ends_a_chat(last: bool, frame: str) -> None:
    call = calls.chat_stream(Model("m", PROJECT), HI)
    assert call.is_last(call.parse(frame.encode())) is last
    assert calls.ends_chat(json.loads(frame)) is last


@pytest.mark.parametrize(
    ("last", "frame"),
    [
        (False, "{}"),
        (False, '{"results":[{"generated_text":"","generated_token_count":0,"stop_reason":"not_finished"}]}'),
        (False, '{"results":[{"generated_text":"a","stop_reason":"NOT_FINISHED"}]}'),
        (False, '{"results":[{"generated_text":"a"}]}'),
        (True, '{"results":[{"generated_text":".","stop_reason":"eos_token"}]}'),
        (True, '{"results":[{"generated_text":"","stop_reason":"MAX_TOKENS"}]}'),
    ],
)
def test_which_frame_ends_a_generation(last: bool, frame: str) -> None:
    call = calls.generate_stream(Model("m", PROJECT), BANGALORE)
    assert call.is_last(call.parse(frame.encode())) is last
    assert calls.ends_generation(Generation.model_validate_json(frame)) is last


# --------------------------------------------------------------------------- the model list


def test_the_model_list_asks_for_a_page() -> None:
    call = calls.model_specs()
    assert (call.method, call.path, call.body, call.versioned) == ("GET", "/ml/v1/foundation_model_specs", None, True)
    assert call.query == {"limit": "200"}
    filtered = calls.model_specs(filters="function_text_chat,!lifecycle_withdrawn:and", limit=10, start="g1AAAA")
    assert filtered.query == {
        "limit": "10",
        "filters": "function_text_chat,!lifecycle_withdrawn:and",
        "start": "g1AAAA",
    }


def test_a_page_of_the_model_list() -> None:
    page = calls.model_specs().parse(
        b'{"total_count":1,"limit":100,"first":{"href":"https://us-south.ml.cloud.ibm.com/ml/v1/foundation_model_specs'
        b'?version=2024-03-14"},"resources":[{"model_id":"ibm/granite-4-h-small","label":"granite-4-h-small",'
        b'"provider":"IBM","source":"IBM","short_description":"...","functions":[{"id":"text_chat"}],'
        b'"tasks":[{"id":"function_calling","ratings":{"quality":3}}],"input_tier":"class_1","output_tier":"class_1",'
        b'"number_params":"32b","min_shot_size":0,"model_limits":{"max_sequence_length":131072,'
        b'"max_output_tokens":16384},"lifecycle":[{"id":"available","start_date":"2025-10-02"}]}]}'
    )
    (spec,) = page.resources
    assert spec.model_id == "ibm/granite-4-h-small"
    assert [function.id for function in spec.functions or ()] == ["text_chat"]
    assert spec.model_limits is not None
    assert spec.model_limits.max_sequence_length == 131072


# --------------------------------------------------------------------------- what JSON cannot carry

HALF = "a\ud83d"


@pytest.mark.parametrize(
    "make",
    [
        lambda: calls.chat(GATEWAY, ChatRequest(messages=[UserMessage(content=HALF)])),
        lambda: calls.chat_stream(Model("m", PROJECT), ChatRequest(messages=[UserMessage(content=HALF)])),
        lambda: calls.generate(DEPLOYMENT, GenerationRequest(input=HALF)),
        lambda: calls.generate_stream(GATEWAY, GenerationRequest(input=HALF)),
        lambda: calls.embed(Model("m", PROJECT), ["b", HALF]),
        lambda: calls.rerank(Model("m", PROJECT), HALF, ["b"]),
        lambda: calls.rerank(Model("m", PROJECT), "b", [HALF]),
        lambda: calls.tokenize(Model("m", PROJECT), HALF),
        lambda: calls.run_tool("Wikipedia", HALF),
        lambda: calls.run_tool("Wikipedia", {"query": HALF}),
    ],
)
def test_half_a_surrogate_pair_is_refused_before_anything_is_sent(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match="half of a surrogate pair") as raised:
        make()
    assert raised.value.__cause__ is None
