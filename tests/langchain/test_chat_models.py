"""ChatWatsonx: construction, parameters, targets, and what an answer says about itself."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from tests.langchain.chatting import LIMIT, MODEL, PROJECT, URL, Caller, Stage, scripted, whole
from wx_integrations.core.calls import Deployment, Gateway, Model
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import (
    ConfigurationError,
    InvalidRequest,
    NotFound,
    RateLimited,
    UnexpectedResponse,
)
from wx_integrations.core.wire.chat import ChatParameters
from wx_integrations.emulator.brain import Reasoning
from wx_integrations.emulator.faults import Status
from wx_integrations.emulator.service import Deployed
from wx_integrations.langchain import ChatWatsonx, WatsonxWarning
from wx_integrations.langchain import media as fetching

BASE: dict[str, Any] = {"model_id": MODEL, "url": URL, "api_key": "key", "project_id": PROJECT}

PARAMETERS: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "repetition_penalty": 1.1,
    "length_penalty": 1.0,
    "logit_bias": {"42": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "max_tokens": 7,
    "max_completion_tokens": 8,
    "n": 1,
    "response_format": {"type": "json_object"},
    "seed": 42,
    "stop": ["END"],
    "temperature": 0,
    "top_p": 0.9,
    "time_limit": 60000,
    "guided_choice": ["yes", "no"],
    "guided_regex": "a+",
    "guided_grammar": "root ::= 'a'",
    "guided_json": {"type": "object", "properties": {}},
    "include_reasoning": False,
    "reasoning_effort": "low",
    "chat_template_kwargs": {"thinking": True},
    "moderations": {"hap": {"input": {"enabled": True}}},
    "crypto": {"key_ref": "crn"},
}
DEPLOYMENTS_ONLY = {"context"}


# --------------------------------------------------------------------------- construction


def test_every_parameter_is_an_argument() -> None:
    assert set(PARAMETERS) | DEPLOYMENTS_ONLY == set(ChatParameters.model_fields)
    assert set(ChatParameters.model_fields) <= set(ChatWatsonx.model_fields)


LANGCHAIN_IBM = (
    *("model_id", "model", "deployment_id", "project_id", "space_id", "url", "api_key", "apikey", "token"),
    *("password", "username", "instance_id", "version", "params", "frequency_penalty", "logprobs", "top_logprobs"),
    *("max_tokens", "max_completion_tokens", "n", "presence_penalty", "temperature", "response_format", "top_p"),
    *("time_limit", "logit_bias", "seed", "stop", "chat_template_kwargs", "reasoning_effort", "include_reasoning"),
    *("repetition_penalty", "length_penalty", "verify", "validate_model", "streaming"),
)
FURTHER = (
    *("region", "timeout", "max_retries", "proxies", "headers", "auth_url", "platform_url", "httpx_client"),
    *("async_httpx_client", "connection", "guided_choice", "guided_regex", "guided_grammar", "guided_json"),
)


def test_the_arguments_of_langchain_ibm_and_more_are_known() -> None:
    assert set(LANGCHAIN_IBM) | set(FURTHER) <= ChatWatsonx.argument_names()


@pytest.mark.parametrize("name", PARAMETERS)
async def test_a_constructor_parameter_reaches_the_wire(name: str, caller: Caller) -> None:
    given = {name: PARAMETERS[name]} | ({"logprobs": True} if name == "top_logprobs" else {})
    stage, brain = scripted()
    brain.reply("ok")
    await caller.invoke(stage.model(**given), "hi")
    assert stage.sent[name] == PARAMETERS[name]
    if name != "max_completion_tokens":
        assert stage.sent["max_completion_tokens"] == LIMIT


@pytest.mark.parametrize("name", PARAMETERS)
async def test_a_call_parameter_reaches_the_wire(name: str, caller: Caller) -> None:
    given = {name: PARAMETERS[name]} | ({"logprobs": True} if name == "top_logprobs" else {})
    stage, brain = scripted()
    brain.reply("ok")
    await caller.stream(stage.model(), "hi", **given)
    assert stage.sent[name] == PARAMETERS[name]


def test_params_become_the_arguments_of_their_names() -> None:
    class TextChatParameters:
        def to_dict(self) -> dict[str, Any]:
            return {"temperature": 0.2, "seed": None}

    class Parameters(BaseModel):
        temperature: float = 0.2
        seed: int | None = None

    for params in ({"temperature": 0.2}, TextChatParameters(), Parameters()):
        model = ChatWatsonx(**BASE, params=params)
        assert model.temperature == 0.2
        assert model.parameters == {"temperature": 0.2}
    same = ChatWatsonx(**BASE, params={"temperature": 0.2}, temperature=0.2)
    assert same.parameters == {"temperature": 0.2}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": {"temperature": 0.2}, "temperature": 0.3}, "temperature is given both"),
        ({"params": {"temprature": 0.2}}, "Did you mean 'temperature'"),
        ({"params": "temperature=1"}, "params: a dictionary"),
        ({"temprature": 0.2}, "Did you mean 'temperature'"),
        ({"max_new_tokens": 10}, "max_completion_tokens"),
        ({"decoding_method": "greedy"}, "temperature=0"),
        ({"watsonx_client": object()}, "connection="),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"top_logprobs": 3}, "top_logprobs needs logprobs"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ["a", "a"]}, "unique"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"response_format": 5}, "response_format"),
        ({"deployment_id": "d"}, "both model_id and deployment_id"),
        ({"space_id": "s"}, "both project_id and space_id"),
        ({"region": "mars"}, "region"),
        ({"media_urls": "guess"}, "media_urls"),
    ],
)
def test_nonsense_is_refused_at_construction(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ChatWatsonx(**{**BASE, **given})


def test_no_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no model"):
        ChatWatsonx(url=URL, api_key="key", project_id=PROJECT)


def test_neither_project_nor_space_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither project_id nor space_id"):
        ChatWatsonx(model_id=MODEL, url=URL, api_key="key")


def test_the_environment_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_REGION", "eu-de")
    monkeypatch.setenv("WATSONX_APIKEY", "old-name")
    monkeypatch.setenv("WATSONX_SPACE_ID", "space")
    model = ChatWatsonx(model_id=MODEL)
    assert model.settled_connection.hosts.ml == "https://eu-de.ml.cloud.ibm.com"
    assert model.settled_connection.space_id == "space"
    assert model.api_key is not None
    assert model.api_key.get_secret_value() == "old-name"


def test_a_url_with_a_path_is_normalised() -> None:
    model = ChatWatsonx(**{**BASE, "url": f"{URL}/ml/v1/text/chat?version=2024-03-14"})
    assert model.settled_connection.hosts.ml == URL


def test_a_connection_instead_of_its_settings() -> None:
    connection = Connection(url=URL, api_key="key", project_id=PROJECT)
    model = ChatWatsonx(model_id=MODEL, connection=connection)
    assert model.settled_connection is connection
    assert model.target == Model(MODEL, project_id=PROJECT)


def test_construction_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a client was opened")

    monkeypatch.setattr(httpx, "Client", fail)
    monkeypatch.setattr(httpx, "AsyncClient", fail)
    monkeypatch.setattr("ssl.create_default_context", fail)
    model = ChatWatsonx(**BASE, temperature=0.5, validate_model=True)
    assert model.target == Model(MODEL, project_id=PROJECT)


def test_equal_settings_share_one_session() -> None:
    first, second = ChatWatsonx(**BASE), ChatWatsonx(**BASE, temperature=0.5)
    assert first.session is second.session


# --------------------------------------------------------------------------- one call


async def test_a_plain_call(stage: Stage, caller: Caller) -> None:
    message = await caller.invoke(stage.model(temperature=0), [("system", "Be brief."), ("human", "hello")])
    assert isinstance(message, AIMessage)
    assert message.content == "You said: hello"
    assert stage.sent == {
        "model_id": MODEL,
        "project_id": PROJECT,
        "max_completion_tokens": LIMIT,
        "temperature": 0.0,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
    }
    entry = stage.emulator.journal.last
    assert entry.path == "/ml/v1/text/chat"
    assert entry.query == {"version": "2024-03-14"}


async def test_two_requests_for_the_first_answer_one_for_the_next(stage: Stage, caller: Caller) -> None:
    model = stage.model()
    await caller.invoke(model, "hello")
    await caller.invoke(model, "hello")
    assert [entry.path for entry in stage.emulator.journal] == ["/identity/token", *["/ml/v1/text/chat"] * 2]


async def test_stop_is_sent_as_stop(stage: Stage, caller: Caller) -> None:
    model = stage.model(stop=["never"])
    message = await caller.invoke(model, "one two three", stop=["two"])
    assert stage.sent["stop"] == ["two"]
    assert "stop_sequences" not in stage.sent
    assert message.content == "You said: one "
    await caller.invoke(model, "x", stop=[])
    assert "stop" not in stage.sent
    await caller.invoke(model, "x")
    assert stage.sent["stop"] == ["never"]


async def test_call_time_wins(stage: Stage, caller: Caller) -> None:
    model = stage.model(temperature=0.1, seed=1, params={"top_p": 0.5})
    await caller.invoke(model, "x", temperature=0.9, params={"top_p": 0.6, "seed": 2}, seed=3)
    assert (stage.sent["temperature"], stage.sent["top_p"], stage.sent["seed"]) == (0.9, 0.6, 3)
    await caller.invoke(model, "x", temperature=None)
    assert stage.sent["temperature"] == 0.1


async def test_the_limits_two_names_are_one_limit(stage: Stage, caller: Caller) -> None:
    model = stage.model(max_completion_tokens=100)
    await caller.invoke(model, "x", max_tokens=5)
    assert stage.sent["max_tokens"] == 5
    assert "max_completion_tokens" not in stage.sent


async def test_switching_logprobs_off_takes_top_logprobs_along(stage: Stage, caller: Caller) -> None:
    model = stage.model(logprobs=True, top_logprobs=2)
    await caller.invoke(model, "x", logprobs=False)
    assert stage.sent["logprobs"] is False
    assert "top_logprobs" not in stage.sent


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temprature": 0.2}, "Did you mean 'temperature'"),
        ({"max_new_tokens": 10}, "max_completion_tokens"),
        ({"random_seed": 10}, "use seed"),
        ({"stop_sequences": ["x"]}, "use stop"),
        ({"params": {"min_new_tokens": 1}}, "no lower bound"),
        ({"temperature": 3}, "temperature"),
        ({"context": "x"}, "deployments only"),
        ({"model_id": "a", "deployment_id": "b"}, "both model_id and deployment_id"),
        ({"tool_choice": "any"}, "without tools"),
        ({"stop": ["x"] * 5}, "stop"),
    ],
)
async def test_a_wrong_call_is_refused_before_anything_is_sent(
    given: dict[str, Any], message: str, stage: Stage, caller: Caller
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await caller.invoke(stage.model(), "hello", **given)
    assert len(stage.emulator.journal) == 0


async def test_an_empty_conversation_is_refused(stage: Stage, caller: Caller) -> None:
    with pytest.raises(ConfigurationError, match="messages"):
        await caller.invoke(stage.model(), [])
    assert len(stage.emulator.journal) == 0


async def test_arguments_are_left_as_they_were(stage: Stage, caller: Caller) -> None:
    params = {"temperature": 0.5}
    stop = ["END"]
    messages = [HumanMessage("hello")]
    model = stage.model(params=params)
    await caller.invoke(model, messages, stop=stop, params={"seed": 1})
    assert (params, stop, messages) == ({"temperature": 0.5}, ["END"], [HumanMessage("hello")])
    assert model.parameters == {"temperature": 0.5, "max_completion_tokens": LIMIT}


async def test_several_answers(stage: Stage, caller: Caller) -> None:
    result = await caller.generate(stage.model(n=3), [HumanMessage("hello")])
    texts = [generation.text for generation in result.generations[0]]
    assert texts == ["You said: hello", "(2) You said: hello", "(3) You said: hello"]
    counts = [generation.message.usage_metadata for generation in result.generations[0]]
    assert counts[0] is not None
    assert counts[1:] == [None, None]
    assert stage.sent["n"] == 3


async def test_log_probabilities(stage: Stage, caller: Caller) -> None:
    message = await caller.invoke(stage.model(logprobs=True), "hello")
    tokens = message.response_metadata["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == message.content


async def test_a_batch(stage: Stage, caller: Caller) -> None:
    messages = await caller.batch(stage.model(), ["a", "b", "c"])
    assert [message.content for message in messages] == ["You said: a", "You said: b", "You said: c"]


async def test_an_override_of_the_model(stage: Stage, caller: Caller) -> None:
    model = stage.model()
    other = "meta-llama/llama-3-3-70b-instruct"
    for given in ({"model": other}, {"model_id": other}):
        message = await caller.invoke(model, "hello", **given)
        assert message.response_metadata["model_name"] == other
        assert stage.sent["model_id"] == other
    message = await caller.invoke(model, "hello", deployment_id="d1")
    assert stage.emulator.journal.last.path == "/ml/v1/deployments/d1/text/chat"


# --------------------------------------------------------------------------- targets


async def test_a_space(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model(project_id=None, space_id="space"), "hello")
    assert stage.sent["space_id"] == "space"
    assert "project_id" not in stage.sent


async def test_a_deployment_gets_neither_model_nor_scope(caller: Caller) -> None:
    stage = Stage(options={"deployments": {"mine": Deployed(MODEL)}})
    model = stage.model(deployment_id="mine")
    assert model.target == Deployment("mine")
    await caller.invoke(model, "hello")
    assert stage.sent == {"max_completion_tokens": LIMIT, "messages": [{"role": "user", "content": "hello"}]}
    assert stage.emulator.journal.last.path == "/ml/v1/deployments/mine/text/chat"
    await caller.stream(model, "hello")
    assert set(stage.sent) == {"max_completion_tokens", "messages"}
    assert stage.emulator.journal.last.path == "/ml/v1/deployments/mine/text/chat_stream"


async def test_a_deployed_prompt_template(caller: Caller) -> None:
    stage = Stage(options={"deployments": {"mine": Deployed(MODEL, template="Facts: {context}")}})
    model = stage.model(deployment_id="mine", context="Rome is in Italy.")
    await caller.invoke(model, "hello")
    assert stage.sent["context"] == "Rome is in Italy."
    with pytest.raises(ConfigurationError, match="takes no system message"):
        await caller.invoke(model, [SystemMessage("x"), HumanMessage("hello")])


async def test_the_gateway_speaks_openai(stage: Stage, caller: Caller) -> None:
    model = stage.model(model=MODEL, stop=["x"])
    assert model.target == Gateway(MODEL, project_id=PROJECT)
    tool = {"name": "add", "parameters": {"type": "object", "properties": {}}}
    bound = model.bind_tools([tool], tool_choice="any", parallel_tool_calls=False)
    message = await caller.invoke(bound, "hello")
    assert message.response_metadata["model_name"] == MODEL
    assert stage.sent["model"] == MODEL
    assert stage.sent["tool_choice"] == "required"
    assert stage.sent["parallel_tool_calls"] is False
    assert stage.sent["stop"] == ["x"]
    assert not {"tool_choice_option", "stop_sequences", "model_id", "project_id", "params"} & set(stage.sent)
    entry = stage.emulator.journal.last
    assert entry.path == "/ml/gateway/v1/chat/completions"
    assert entry.headers["x-ibm-project-id"] == PROJECT
    text = whole(await caller.stream(model, "hello", max_tokens=50))
    assert text.content == "You said: hello"
    assert text.usage_metadata is not None
    assert stage.sent["stream_options"] == {"include_usage": True}
    assert stage.sent["max_tokens"] == 50


async def test_a_parameter_that_the_gateway_lacks_is_refused(stage: Stage, caller: Caller) -> None:
    with pytest.raises(ConfigurationError, match="guided_regex is not known to the Model Gateway"):
        await caller.invoke(stage.model(model=MODEL), "hello", guided_regex="a+")
    assert len(stage.emulator.journal) == 0


# --------------------------------------------------------------------------- what an answer says


async def test_metadata_is_the_same_streamed_or_not(stage: Stage, caller: Caller) -> None:
    plain = await caller.invoke(stage.model(), "hello")
    streamed = whole(await caller.stream(stage.model(), "hello"))
    for message in (plain, streamed):
        metadata = message.response_metadata
        assert metadata["model_provider"] == "watsonx"
        assert metadata["model_name"] == MODEL
        assert metadata["finish_reason"] == metadata["finish_reason_raw"] == "stop"
        assert metadata["id"].startswith("chatcmpl-")
        assert isinstance(metadata["created"], int)
        assert metadata["model_version"] == "1.0.0"
        assert metadata["trace"] in {entry.trace for entry in stage.emulator.journal}
        assert message.id is not None
        assert message.id.startswith("lc_run--")
    assert plain.usage_metadata == streamed.usage_metadata
    assert set(plain.response_metadata) == set(streamed.response_metadata)


def answer(choices: list[dict[str, Any]], **top: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model_id": MODEL, "created": 1, "choices": choices, **top}


def says(content: str | None, reason: str | None, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", **({} if content is None else {"content": content}), **message}
    return {"index": 0, "message": said, "finish_reason": reason}


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("choice", "normal"),
    [
        (says("a", "stop"), "stop"),
        (says("a", "eos_token"), "stop"),
        (says("a", "length"), "length"),
        (says("a", "time_limit"), "length"),
        (says("a", "tool_calls"), "stop"),
        (says(None, "stop", tool_calls=[CALL]), "tool_calls"),
        (says(None, None, tool_calls=[CALL]), "tool_calls"),
        (says(None, "length", tool_calls=[CALL]), "length"),
        (says("a", ""), None),
        (says("a", None), None),
        (says("a", "cancelled"), "cancelled"),
    ],
)
async def test_finish_reasons_are_normalised_and_kept(
    choice: dict[str, Any], normal: str | None, caller: Caller
) -> None:
    stage, brain = scripted()
    brain.replay(answer([choice]))
    message = await caller.invoke(stage.model(), "hello")
    assert message.response_metadata["finish_reason"] == normal
    assert message.response_metadata["finish_reason_raw"] == choice["finish_reason"]


async def test_no_choices_is_a_typed_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(answer([]))
    with pytest.raises(UnexpectedResponse, match="no choices"):
        await caller.invoke(stage.model(), "hello")


async def test_a_choice_without_message_is_a_typed_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(answer([{"index": 0, "finish_reason": "stop"}]))
    with pytest.raises(UnexpectedResponse, match="without a message"):
        await caller.invoke(stage.model(), "hello")


async def test_a_failed_finish_is_an_error(caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(answer([says("half", "error")]))
    with pytest.raises(UnexpectedResponse, match="finish_reason error"):
        await caller.invoke(stage.model(), "hello")


async def test_a_refusal(caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(answer([says(None, "stop", refusal="I will not.")]))
    message = await caller.invoke(stage.model(), "hello")
    assert message.content == ""
    assert message.additional_kwargs["refusal"] == "I will not."


BLOCKED = {
    "usage": {"prompt_tokens": 9},
    "system": {"warnings": [{"id": "UNSUITABLE_INPUT", "message": "Unsuitable input detected."}]},
    "moderations": {"hap": [{"score": 0.9, "input": True, "entity": "has_HAP"}]},
    "detections": {"input": [{"message_index": 0, "results": [{"detection": "has_HAP", "score": 0.9}]}]},
}


@pytest.mark.parametrize("choices", [[], [{"index": 0, "finish_reason": None}]])
async def test_blocked_input_is_an_outcome(choices: list[dict[str, Any]], caller: Caller) -> None:
    stage, brain = scripted()
    brain.replay(answer(choices, **BLOCKED))
    brain.replay(f"id: 1\nevent: message\ndata: {json.dumps(answer(choices, **BLOCKED))}\n\n")
    with pytest.warns(WatsonxWarning, match="UNSUITABLE_INPUT"):
        plain = await caller.invoke(stage.model(), "insult")
    with pytest.warns(WatsonxWarning, match="UNSUITABLE_INPUT"):
        streamed = whole(await caller.stream(stage.model(), "insult"))
    for message in (plain, streamed):
        assert message.content == ""
        assert message.additional_kwargs["refusal"] == "Unsuitable input detected."
        assert message.response_metadata["finish_reason"] == "content_filter"
        assert message.response_metadata["moderations"] == BLOCKED["moderations"]
        assert message.response_metadata["detections"] == BLOCKED["detections"]
        assert message.usage_metadata == {"input_tokens": 9, "output_tokens": 0, "total_tokens": 9}


async def test_moderated_output_keeps_its_detections(caller: Caller) -> None:
    detections = {"output": [{"choice_index": 0, "results": [{"detection": "PhoneNumber"}]}]}
    stage, brain = scripted()
    brain.replay(answer([says("Call ***", "stop")], detections=detections))
    message = await caller.invoke(stage.model(moderations={"pii": {}}), "hello")
    assert message.content == "Call ***"
    assert message.response_metadata["detections"] == detections
    assert stage.sent["moderations"] == {"pii": {}}


async def test_notes_of_the_service_are_warnings_and_metadata(stage: Stage, caller: Caller) -> None:
    model = stage.model(max_completion_tokens=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plain = await caller.invoke(model, "hello")
        streamed = whole(await caller.stream(model, "hello"))
    assert [str(item.message).split(":")[0] for item in caught] == ["watsonx.ai [unspecified_max_token]"] * 2
    assert all(item.category is WatsonxWarning for item in caught)
    for message in (plain, streamed):
        [note] = message.response_metadata["warnings"]
        assert note["id"] == "unspecified_max_token"


async def test_reasoning(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply(Reasoning("hm"), "Hi")
    message = await caller.invoke(stage.model(), "hello")
    assert message.additional_kwargs["reasoning_content"] == "hm"
    assert message.content_blocks == [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hi"}]


async def test_reasoning_from_tags_and_v1_content(caller: Caller) -> None:
    stage, brain = scripted()
    brain.reply("<think>hm</think>Hi")
    message = await caller.invoke(stage.model(output_version="v1"), "hello")
    assert message.content == [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hi"}]
    assert message.response_metadata["output_version"] == "v1"


# --------------------------------------------------------------------------- media


IMAGE = base64.b64encode(b"png").decode()


async def test_images_sounds_and_videos_arrive(stage: Stage, caller: Caller) -> None:
    model = stage.model(model_id="emulator/all-senses")
    blocks: list[Any] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "base64": IMAGE, "mime_type": "image/png"},
        {"type": "audio", "base64": IMAGE, "mime_type": "audio/wav"},
        {"type": "video", "base64": IMAGE, "mime_type": "video/mp4"},
        {"type": "image_url", "data_asset": {"id": "asset"}},
    ]
    await caller.invoke(model, [HumanMessage(blocks)])
    assert stage.sent["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
        {"type": "input_audio", "input_audio": {"data": IMAGE, "format": "wav"}},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{IMAGE}"}},
        {"type": "image_url", "data_asset": {"id": "asset"}},
    ]


LINK = "https://images.example.com/cat.png?signature=secret"


Answers = dict[str, tuple[int, dict[str, Any]]]
"""What the web answers: status and contents, by URL."""


def from_the_web(monkeypatch: pytest.MonkeyPatch, answers: Answers, address: str = "1.1.1.1") -> None:
    """Let `fetch` find these answers, whatever it asks."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        status, contents = answers[str(request.url)]
        return httpx.Response(status, **contents)

    transport = httpx.MockTransport(handle)
    monkeypatch.setattr(fetching, "_client", lambda _: httpx.Client(transport=transport))
    monkeypatch.setattr(fetching, "_async_client", lambda _: httpx.AsyncClient(transport=transport))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (address, 443))])


PICTURE: tuple[int, dict[str, Any]] = (200, {"content": b"png", "headers": {"content-type": "image/png"}})


async def test_links_are_fetched_when_asked(stage: Stage, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "https://cdn.example.com/cat.png"
    moved = (302, {"headers": {"location": elsewhere}})
    from_the_web(monkeypatch, {LINK: moved, elsewhere: PICTURE})
    model = stage.model(model_id="emulator/all-senses", media_urls="fetch")
    await caller.invoke(model, [HumanMessage([{"type": "image", "url": LINK}])])
    [part] = stage.sent["messages"][0]["content"]
    assert part["image_url"]["url"] == f"data:image/png;base64,{IMAGE}"


@pytest.mark.parametrize(
    ("response", "address", "reason"),
    [
        ((200, {"html": "<p>"}), "1.1.1.1", "not an image"),
        ((404, {}), "1.1.1.1", "HTTP 404"),
        (PICTURE, "127.0.0.1", "not public"),
        (PICTURE, "10.0.0.1", "not public"),
        (PICTURE, "169.254.169.254", "not public"),
        ((302, {"headers": {"location": LINK}}), "1.1.1.1", "redirects too often"),
        ((302, {"headers": {"location": "ftp://x/y"}}), "1.1.1.1", "only http and https"),
    ],
)
async def test_what_is_not_fetched(
    response: tuple[int, dict[str, Any]],
    address: str,
    reason: str,
    stage: Stage,
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from_the_web(monkeypatch, {LINK: response}, address)
    model = stage.model(media_urls="fetch")
    with pytest.raises(Exception, match=reason) as refused:
        await caller.invoke(model, [HumanMessage([{"type": "image", "url": LINK}])])
    assert "secret" not in str(refused.value)
    assert stage.chats() == []


async def test_too_large_a_picture_is_not_fetched(
    stage: Stage, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 2)
    from_the_web(monkeypatch, {LINK: PICTURE})
    with pytest.raises(ConfigurationError, match="larger than"):
        await caller.invoke(stage.model(media_urls="fetch"), [HumanMessage([{"type": "image", "url": LINK}])])


# --------------------------------------------------------------------------- refused models


async def test_a_misspelt_model_gets_a_suggestion_once(stage: Stage, caller: Caller) -> None:
    model = stage.model(model_id="ibm/granite-4.0-h-small")
    with pytest.raises(NotFound, match="Did you mean 'ibm/granite-4-h-small'"):
        await caller.invoke(model, "hello")
    stage.emulator.journal.expect("/ml/v1/foundation_model_specs", times=1)
    with pytest.raises(NotFound, match="model_not_supported"):
        await caller.stream(model, "hello")
    stage.emulator.journal.expect("/ml/v1/foundation_model_specs", times=1)


async def test_a_retired_model_names_its_successor(stage: Stage, caller: Caller) -> None:
    with pytest.raises(NotFound, match="its successor is 'ibm/granite-4-h-small'"):
        await caller.stream(stage.model(model_id="google/flan-t5-xxl"), "hello")


async def test_a_model_that_cannot_chat_names_others(stage: Stage, caller: Caller) -> None:
    with pytest.raises((InvalidRequest, NotFound), match="does not offer text_chat; models that do"):
        await caller.invoke(stage.model(model_id="google/flan-ul2"), "hello")


async def test_a_good_model_is_not_looked_up(stage: Stage, caller: Caller) -> None:
    await caller.invoke(stage.model(), "hello")
    assert stage.emulator.journal.find("foundation_model_specs") == []


async def test_validation_can_be_switched_off(stage: Stage, caller: Caller) -> None:
    with pytest.raises(NotFound):
        await caller.invoke(stage.model(model_id="ibm/nothing", validate_model=False), "hello")
    assert stage.emulator.journal.find("foundation_model_specs") == []


async def test_a_failing_look_up_changes_nothing(stage: Stage, caller: Caller) -> None:
    stage.emulator.faults.add(Status(500), path="foundation_model_specs")
    with pytest.raises(NotFound, match="model_not_supported"):
        await caller.invoke(stage.model(model_id="ibm/granite-4.0-h-small", max_retries=0), "hello")


async def test_other_failures_are_not_about_the_model(stage: Stage, caller: Caller) -> None:
    stage.emulator.faults.add(Status(429), path="text/chat")
    with pytest.raises(RateLimited):
        await caller.invoke(stage.model(max_retries=0), "hello")
    assert stage.emulator.journal.find("foundation_model_specs") == []


def test_the_class_is_langchains() -> None:
    assert issubclass(ChatWatsonx, BaseChatModel)
    assert ChatWatsonx(**BASE)._llm_type == "watsonx-chat"
