"""Constructors: what they take, refuse, remember and give away; nothing of it touches the network."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.schema import MetadataMode

from tests.llamaindex.conftest import PROJECT, URL, Colour, Service
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank

SECRET = "a-very-secret-key"
GIVEN: dict[str, Any] = {"url": URL, "api_key": SECRET, "project_id": PROJECT}
ADAPTERS: list[tuple[type[Any], dict[str, Any]]] = [
    (WatsonxLLM, {"model_id": "ibm/granite-4-h-small", "temperature": 0.5, "additional_params": {"seed": 3}}),
    (WatsonxEmbeddings, {"model_id": "ibm/slate-125m-english-rtrvr", "truncate_input_tokens": 128}),
    (WatsonxRerank, {"model_id": "cross-encoder/ms-marco-minilm-l-12-v2", "top_n": 3, "metadata_mode": "none"}),
]
each_adapter = pytest.mark.parametrize(("adapter", "own"), ADAPTERS, ids=lambda value: getattr(value, "__name__", ""))


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("WATSONX"):
            monkeypatch.delenv(name)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a constructor must not open anything")

    monkeypatch.setattr(httpx.Client, "__init__", refuse)
    monkeypatch.setattr(httpx.AsyncClient, "__init__", refuse)


# --------------------------------------------------------------------------- arguments


def test_every_argument_of_the_incumbent_is_known(no_network: None) -> None:
    llm = WatsonxLLM(
        model_id="ibm/granite-4-h-small",
        temperature=0.5,
        max_new_tokens=50,
        additional_params={"top_p": 0.9},
        project_id=PROJECT,
        url=URL,
        apikey=SECRET,
        version="2024-03-14",
        verify=False,
        validate_model=True,
        callback_manager=CallbackManager([]),
    )
    assert llm.settled_connection.verify is False
    assert llm.settled_connection.api_key is not None
    assert llm.settled_connection.api_key.get_secret_value() == SECRET
    assert WatsonxLLM(deployment_id="d", url=URL, token="t", callback_manager=None).target.name == "d"
    assert WatsonxLLM(
        model_id="m", space_id="s", url="https://cpd.example.com", username="u", password="p", instance_id="openshift"
    ).space_id


@each_adapter
def test_construction_opens_nothing(adapter: type[Any], own: dict[str, Any], no_network: None) -> None:
    assert adapter(**GIVEN, **own).target.name == own["model_id"]


@each_adapter
def test_an_unknown_argument_is_refused_by_name(adapter: type[Any], own: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="projct_id") as caught:
        adapter(**{**GIVEN, **own, "projct_id": "x"})
    assert "project_id" in str(caught.value)


@each_adapter
def test_model_and_deployment_exclude_each_other(adapter: type[Any], own: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="model_id"):
        adapter(**{**GIVEN, **own, "deployment_id": "d"})
    with pytest.raises(ConfigurationError, match="model_id is not set"):
        adapter(**GIVEN)


@each_adapter
def test_the_environment_fills_in(adapter: type[Any], own: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_URL", URL)
    monkeypatch.setenv("WATSONX_APIKEY", SECRET)
    monkeypatch.setenv("WATSONX_PROJECT_ID", PROJECT)
    made = adapter(**own)
    assert (made.url, made.project_id) == (URL, PROJECT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_logprobs": 3}, "top_logprobs needs logprobs"),
        ({"stop": ["a", "a"]}, "unique"),
        ({"additional_params": {"temprature": 1}}, "Did you mean 'temperature'"),
        ({"additional_params": {"decoding_method": "greedy"}}, "decoding_method belongs to text generation"),
        ({"additional_params": {"top_k": 3}}, "top_k belongs to text generation"),
        ({"max_new_tokens": 5, "max_tokens": 6}, "different values"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"use_text_generation": True, "seed": 1, "frequency_penalty": 1}, "frequency_penalty belongs to the chat API"),
        ({"use_text_generation": True, "additional_params": {"top_k": 1000}}, "top_k"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused_at_once(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        WatsonxLLM(model_id="ibm/granite-4-h-small", **GIVEN, **arguments)


@pytest.mark.parametrize("size", [0, 1001])
def test_a_batch_fits_a_request(size: int) -> None:
    with pytest.raises(ConfigurationError, match="embed_batch_size"):
        WatsonxEmbeddings(model_id="m", embed_batch_size=size, **GIVEN)


def test_top_n_is_positive() -> None:
    with pytest.raises(ConfigurationError, match="top_n"):
        WatsonxRerank(model_id="m", top_n=0, **GIVEN)


# --------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("arguments", "window", "output", "chat", "tools"),
    [
        ({"model_id": "meta-llama/llama-3-3-70b-instruct"}, 131072, 1024, True, True),
        ({"model_id": "meta-llama/llama-3-3-70b-instruct", "max_new_tokens": 50}, 131072, 50, True, True),
        ({"model_id": "meta-llama/llama-3-3-70b-instruct", "max_tokens": 0}, 131072, 8192, True, True),
        ({"model_id": "meta-llama/llama-3-3-70b-instruct", "max_tokens": 99999}, 131072, 8192, True, True),
        (
            {"model_id": "meta-llama/llama-3-3-70b-instruct", "additional_params": {"max_tokens": 7}},
            131072,
            7,
            True,
            True,
        ),
        ({"model_id": "meta-llama/llama-3-3-70b-instruct", "use_text_generation": True}, 131072, 20, False, False),
        ({"model_id": "mistralai/mixtral-8x7b-instruct-v01"}, 32768, 1024, True, False),
        ({"model_id": "google/flan-ul2"}, 4096, 20, False, False),
        ({"model_id": "somebody/something-new"}, DEFAULT_CONTEXT_WINDOW, 1024, True, True),
        ({"deployment_id": "mine"}, DEFAULT_CONTEXT_WINDOW, 1024, True, True),
        (
            {"deployment_id": "mine", "context_window": 8192, "is_function_calling_model": False},
            8192,
            1024,
            True,
            False,
        ),
        ({"deployment_id": "mine", "is_chat_model": False}, DEFAULT_CONTEXT_WINDOW, 1024, False, False),
        ({"model": "openai/gpt-5"}, DEFAULT_CONTEXT_WINDOW, 1024, True, True),
    ],
    ids=str,
)
def test_metadata(
    arguments: dict[str, Any], window: int, output: int, chat: bool, tools: bool, no_network: None
) -> None:
    metadata = WatsonxLLM(**GIVEN, **arguments).metadata
    assert metadata.context_window == window
    assert metadata.num_output == output
    assert metadata.is_chat_model is chat
    assert metadata.is_function_calling_model is tools
    assert metadata.model_name == next(
        arguments[key] for key in ("model_id", "deployment_id", "model") if key in arguments
    )
    assert metadata.system_role == MessageRole.SYSTEM


async def test_the_profile_can_be_refreshed(service: Service, colour: Colour) -> None:
    llm = service.llm("ibm/granite-4-h-small", max_tokens=0)
    assert llm.metadata.num_output == 256  # the shipped table does not know the maximum
    assert service.sent() == []
    profile = await colour.call(llm, "refresh_profile")
    assert (profile.context_window, profile.max_output_tokens) == (131072, 16384)
    assert llm.metadata.num_output == 16384
    [entry] = service.emulator.journal.find("foundation_model_specs")
    assert entry.query["filters"] == "modelid_ibm/granite-4-h-small"
    llm.model_id = "google/flan-ul2"
    assert llm.profile is not None
    assert llm.profile.model_id == "google/flan-ul2"


async def test_a_refresh_says_when_there_is_nothing_to_refresh(service: Service, colour: Colour) -> None:
    with pytest.raises(ConfigurationError, match="not in the service's model list"):
        await colour.call(service.llm("ibm/granite-5"), "refresh_profile")
    with pytest.raises(ConfigurationError, match="models of the catalogue only"):
        await colour.call(service.llm(None, deployment_id="d"), "refresh_profile")


# --------------------------------------------------------------------------- copies, pickles, dictionaries


@each_adapter
def test_to_dict_and_back_without_secrets(
    adapter: type[Any], own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(**GIVEN, **own)
    data = made.to_dict()
    assert data["class_name"] == adapter.class_name() == adapter.__name__
    assert SECRET not in str(data)
    assert SECRET not in made.to_json()
    assert SECRET not in repr(made) + str(made)
    monkeypatch.setenv("WATSONX_API_KEY", SECRET)
    again = adapter.from_dict(json.loads(made.to_json()))
    assert again.to_dict() == data
    assert again.settled_connection == made.settled_connection
    assert again.target == made.target


@each_adapter
def test_a_given_connection_is_in_the_dictionary(
    adapter: type[Any], own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(connection=Connection(**GIVEN), **own)
    data = made.to_dict()
    assert (data["url"], data["project_id"]) == (URL, PROJECT)
    assert SECRET not in str(data)
    monkeypatch.setenv("WATSONX_API_KEY", SECRET)
    assert adapter.from_dict(data).settled_connection == made.settled_connection


@each_adapter
@pytest.mark.parametrize("by", ["fields", "connection"])
def test_pickle_leaves_the_secrets_at_home(
    adapter: type[Any], own: dict[str, Any], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(**own, **GIVEN) if by == "fields" else adapter(**own, connection=Connection(**GIVEN))
    pickled = pickle.dumps(made)
    assert SECRET.encode() not in pickled
    strange = pickle.loads(pickled)
    assert strange.target == made.target
    assert strange.to_dict() == made.to_dict()
    monkeypatch.setenv("WATSONX_API_KEY", SECRET)
    again = pickle.loads(pickled)
    assert again.settled_connection == made.settled_connection
    assert again.to_dict() == made.to_dict()


def test_what_was_used_before_leaves_no_secret_in_the_pickle() -> None:
    llm = WatsonxLLM(model_id="ibm/granite-4-h-small", **GIVEN)
    _ = llm.session, llm.tokenizer
    pickled = pickle.dumps(llm)
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled).tokenizer.target == llm.target


@each_adapter
def test_secrets_travel_when_asked_to(adapter: type[Any], own: dict[str, Any]) -> None:
    again = pickle.loads(pickle.dumps(adapter(**GIVEN, **own, pickle_secrets=True)))
    assert again.settled_connection.api_key.get_secret_value() == SECRET


@each_adapter
def test_copies_share_the_session(adapter: type[Any], own: dict[str, Any]) -> None:
    made = adapter(**GIVEN, **own)
    for copied in (copy.copy(made), copy.deepcopy(made), made.model_copy(), adapter(**GIVEN, **own)):
        assert copied.session is made.session


def test_a_copied_model_with_other_settings() -> None:
    llm = WatsonxLLM(model_id="ibm/granite-4-h-small", **GIVEN)
    other = llm.model_copy(update={"model_id": "google/flan-ul2", "temperature": 0.25})
    assert (other.target.name, other.metadata.is_chat_model, other.temperature) == ("google/flan-ul2", False, 0.25)
    assert llm.target.name == "ibm/granite-4-h-small"


def test_what_observers_see_has_no_secrets() -> None:
    llm = WatsonxLLM(model_id="ibm/granite-4-h-small", **GIVEN, temperature=0.5, additional_params={"seed": 3})
    payload = llm.to_payload()
    assert payload["class_name"] == "WatsonxLLM"
    assert payload["model_name"] == "ibm/granite-4-h-small"
    assert payload["parameters"] == {"temperature": 0.5, "seed": 3}
    assert SECRET not in str(payload)


def test_the_embedding_model_s_name() -> None:
    embed_model = WatsonxEmbeddings(model_id="ibm/slate-125m-english-rtrvr", **GIVEN)
    assert embed_model.model_name == "ibm/slate-125m-english-rtrvr"
    assert embed_model.embed_batch_size == 1000
    assert embed_model.to_payload()["model_name"] == "ibm/slate-125m-english-rtrvr"


def test_the_reranker_s_metadata_mode_by_name() -> None:
    assert WatsonxRerank(model_id="m", metadata_mode="llm", **GIVEN).metadata_mode is MetadataMode.LLM


def test_one_model_in_many_event_loops() -> None:
    import asyncio

    transport = EmulatorTransport(Emulator())
    llm = WatsonxLLM(
        model_id="ibm/granite-4-h-small", **GIVEN, async_httpx_client=httpx.AsyncClient(transport=transport)
    )

    async def ask() -> Any:
        response = await llm.achat([ChatMessage(content="hello")])
        return response.message.content

    assert [asyncio.run(ask()) for _ in range(3)] == ["You said: hello"] * 3
