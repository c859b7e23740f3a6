"""WatsonxLLM: what goes over the wire, and what comes back; both colours."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, load
from langchain_core.outputs import LLMResult
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import ConfigurableField

from wx_integrations.core.errors import (
    ConfigurationError,
    NotFound,
    StreamBroken,
    UnexpectedResponse,
)
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.service import Deployed
from wx_integrations.emulator.transport import EmulatorTransport
from wx_integrations.langchain.llms import WatsonxLLM
from wx_integrations.langchain.metadata import WatsonxWarning

URL = "https://us-south.ml.cloud.ibm.com"
MODEL = "ibm/granite-4-h-small"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
REQUESTS = Path(__file__).parent.parent / "golden" / "requests"
STREAMS = Path(__file__).parent.parent / "golden" / "text_streams"
EVERY_PARAMETER: dict[str, Any] = {
    "decoding_method": "sample",
    "length_penalty": {"decay_factor": 2.5, "start_index": 5},
    "max_new_tokens": 50,
    "min_new_tokens": 2,
    "random_seed": 7,
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "time_limit": 1000,
    "top_k": 40,
    "top_p": 0.9,
    "repetition_penalty": 1.1,
    "truncate_input_tokens": 100,
    "return_options": {"generated_tokens": True, "token_logprobs": True},
    "include_stop_sequence": False,
}


class Wire:
    """A scripted service: keeps what it was asked, answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(
            200, json=generated(json.loads(request.content).get("input", ""))
        )
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
        return self.answer(request)

    def streams(self, name: str) -> None:
        content = (STREAMS / name).read_bytes()
        self.answer = lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]

    @property
    def body(self) -> Any:
        assert len(self.requests) == 1
        return self.bodies[0]

    def llm(self, **settings: Any) -> WatsonxLLM:
        transport = httpx.MockTransport(self)
        place = {"model_id": MODEL, "project_id": PROJECT}
        if "deployment_id" in settings or "model" in settings:
            place = {}
        return WatsonxLLM(
            **{
                "url": URL,
                "token": "t",
                "httpx_client": httpx.Client(transport=transport),
                "async_httpx_client": httpx.AsyncClient(transport=transport),
                **place,
                **settings,
            }
        )


def generated(text: str, **more: Any) -> dict[str, Any]:
    result = {"generated_text": f"<{text}>", "generated_token_count": 4, "input_token_count": 12, **more}
    result.setdefault("stop_reason", "eos_token")
    return {"model_id": MODEL, "created_at": "2023-07-21T16:52:32.190Z", "results": [result]}


class Colour:
    """The same calls, waiting or awaiting."""

    def __init__(self, kind: Literal["sync", "async"]) -> None:
        self.kind = kind

    async def invoke(self, llm: Any, *args: Any, **kwargs: Any) -> Any:
        return llm.invoke(*args, **kwargs) if self.kind == "sync" else await llm.ainvoke(*args, **kwargs)

    async def batch(self, llm: Any, *args: Any, **kwargs: Any) -> Any:
        return llm.batch(*args, **kwargs) if self.kind == "sync" else await llm.abatch(*args, **kwargs)

    async def generate(self, llm: WatsonxLLM, *args: Any, **kwargs: Any) -> LLMResult:
        return llm.generate(*args, **kwargs) if self.kind == "sync" else await llm.agenerate(*args, **kwargs)

    async def stream(self, llm: Any, *args: Any, **kwargs: Any) -> list[str]:
        if self.kind == "sync":
            return list(llm.stream(*args, **kwargs))
        return [piece async for piece in llm.astream(*args, **kwargs)]


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


def emulated(emulator: Emulator, **settings: Any) -> WatsonxLLM:
    transport = EmulatorTransport(emulator)
    return WatsonxLLM(
        url=URL,
        api_key="k",
        httpx_client=httpx.Client(transport=transport),
        async_httpx_client=httpx.AsyncClient(transport=transport),
        **settings,
    )


class Heard(BaseCallbackHandler):
    """Remembers what callbacks were told."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.starts: list[dict[str, Any]] = []
        self.ends: list[LLMResult] = []
        self.errors: list[BaseException] = []

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        self.starts.append({**kwargs, "serialized": serialized})

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **kwargs: Any) -> None:
        assert kwargs["chunk"].text == token
        self.tokens.append(str(token))

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.ends.append(response)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


# --------------------------------------------------------------------------- what goes over the wire


@pytest.mark.parametrize(
    ("name", "place", "path"),
    [
        ("generation", {"model_id": "google/flan-t5-xxl"}, "/ml/v1/text/generation"),
        ("deployment_generation", {"deployment_id": "d"}, "/ml/v1/deployments/d/text/generation"),
    ],
)
async def test_samples_of_the_reference(
    wire: Wire, colour: Colour, name: str, place: dict[str, str], path: str
) -> None:
    llm = wire.llm(**place, max_new_tokens=100, time_limit=1000)
    await colour.invoke(llm, "how far is paris from bangalore:")
    assert wire.body == json.loads((REQUESTS / f"{name}.json").read_text())
    request = wire.requests[0]
    assert request.url.path == path
    assert request.url.params["version"] == "2024-03-14"


async def test_without_parameters_none_are_sent(wire: Wire, colour: Colour) -> None:
    assert await colour.invoke(wire.llm(), "hi") == "<hi>"
    assert wire.body == {"model_id": MODEL, "project_id": PROJECT, "input": "hi"}


def test_every_parameter_of_the_wire_is_an_argument() -> None:
    assert set(GenerationParameters.model_fields) <= set(WatsonxLLM.model_fields)


@pytest.mark.parametrize("way", ["fields", "params", "call", "call_params", "object"])
async def test_every_parameter_arrives(wire: Wire, colour: Colour, way: str) -> None:
    given = deepcopy(EVERY_PARAMETER)

    class Parameters:
        def to_dict(self) -> dict[str, Any]:
            return given

    match way:
        case "fields":
            await colour.invoke(wire.llm(**given), "hi")
        case "params":
            await colour.invoke(wire.llm(params=given), "hi")
        case "object":
            await colour.invoke(wire.llm(params=Parameters()), "hi")
        case "call":
            await colour.invoke(wire.llm(), "hi", **given)
        case _:
            await colour.invoke(wire.llm(), "hi", params=given)
    assert wire.body["parameters"] == EVERY_PARAMETER
    assert given == EVERY_PARAMETER


async def test_the_call_wins_and_never_sticks(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(params={"temperature": 0.5, "max_new_tokens": 5}, top_k=3)
    before = llm.asdict()
    await colour.invoke(llm, "a", temperature=0.9, params={"max_new_tokens": 9, "temperature": 0.1})
    await colour.batch(llm, ["b"], random_seed=4)
    await colour.invoke(llm, "c")
    assert [body["parameters"] for body in wire.bodies] == [
        {"temperature": 0.9, "max_new_tokens": 9, "top_k": 3},
        {"temperature": 0.5, "max_new_tokens": 5, "top_k": 3, "random_seed": 4},
        {"temperature": 0.5, "max_new_tokens": 5, "top_k": 3},
    ]
    assert llm.asdict() == before


async def test_call_parameters_of_streams_do_not_stick(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2025.sse")
    llm = wire.llm(temperature=0.5)
    with pytest.warns(WatsonxWarning):
        await colour.stream(llm, "a", temperature=0.9, guardrails=True)
    with pytest.warns(WatsonxWarning):
        await colour.stream(llm, "b")
    assert wire.bodies[0]["parameters"] == {"temperature": 0.9}
    assert set(wire.bodies[0]["moderations"]) == {"hap"}
    assert wire.bodies[1]["parameters"] == {"temperature": 0.5}
    assert "moderations" not in wire.bodies[1]


async def test_stop_is_stop_sequences(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(stop_sequences=["default"])
    await colour.invoke(llm, "a", stop=["\n", "END"])
    await colour.invoke(llm, "b")
    await colour.invoke(llm, "c", stop=[])
    await colour.invoke(llm.bind(stop=["bound"]), "d")
    await colour.generate(llm, ["e"], ["positional"])
    assert [body.get("parameters") for body in wire.bodies] == [
        {"stop_sequences": ["\n", "END"]},
        {"stop_sequences": ["default"]},
        None,
        {"stop_sequences": ["bound"]},
        {"stop_sequences": ["positional"]},
    ]


async def test_synonyms(wire: Wire, colour: Colour) -> None:
    await colour.invoke(wire.llm(max_tokens=5, seed=3, stop="END"), "a", max_completion_tokens=9)
    assert wire.body["parameters"] == {"max_new_tokens": 9, "random_seed": 3, "stop_sequences": ["END"]}


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"moderations": {"pii": {"input": {"enabled": True}}}}, {"pii": {"input": {"enabled": True}}}),
        ({"guardrails": True}, {"hap": {"input": {"enabled": True}, "output": {"enabled": True}}}),
        (
            {
                "guardrails": True,
                "guardrails_hap_params": {"input": False, "threshold": 0.6, "mask": {"remove_entity_value": True}},
                "guardrails_pii_params": {},
                "guardrails_granite_guardian_params": {"threshold": 0.4},
            },
            {
                "hap": {
                    "input": {"enabled": False},
                    "output": {"enabled": True, "threshold": 0.6},
                    "mask": {"remove_entity_value": True},
                },
                "pii": {"input": {"enabled": True}, "output": {"enabled": True}},
                "granite_guardian": {"input": {"enabled": True, "threshold": 0.4}},
            },
        ),
        ({"guardrails": False}, None),
        ({"moderations": {}}, None),
    ],
)
async def test_moderations(wire: Wire, colour: Colour, settings: dict[str, Any], sent: Any) -> None:
    await colour.invoke(wire.llm(**settings), "a")
    await colour.invoke(wire.llm(), "a", **settings)
    assert [body.get("moderations") for body in wire.bodies] == [sent, sent]


async def test_a_call_replaces_the_moderation(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(guardrails=True, guardrails_pii_params={})
    await colour.invoke(llm, "a", guardrails=False)
    await colour.invoke(llm, "a", moderations={"pii": {"input": {"enabled": True}}})
    await colour.invoke(llm, "a")
    assert [sorted(body.get("moderations", {})) for body in wire.bodies] == [[], ["pii"], ["hap", "pii"]]


async def test_deployment(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(deployment_id="my-prompt", project_id=PROJECT, prompt_variables={"name": "Ada"}, typical_p=0.5)
    await colour.invoke(llm, "")
    assert wire.requests[0].url.path == "/ml/v1/deployments/my-prompt/text/generation"
    assert wire.body == {"input": "", "parameters": {"prompt_variables": {"name": "Ada"}, "typical_p": 0.5}}


async def test_gateway(wire: Wire, colour: Colour) -> None:
    choice = {"index": 0, "text": "Ciao", "finish_reason": "length", "logprobs": {"tokens": ["Ciao"]}}
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    answer = {"id": "x", "object": "text_completion", "created": 1, "model": "gpt", "choices": [choice], "usage": usage}
    wire.answer = lambda _: httpx.Response(200, json=answer)
    llm = wire.llm(model="openai/gpt", max_tokens=1, project_id=PROJECT)
    result = await colour.generate(llm, ["Say ciao"], stop=["x"], seed=2)
    request = wire.requests[0]
    assert request.url.path == "/ml/gateway/v1/completions"
    assert request.headers["x-ibm-project-id"] == PROJECT
    assert wire.body == {"model": "openai/gpt", "prompt": "Say ciao", "max_tokens": 1, "seed": 2, "stop": ["x"]}
    info = result.generations[0][0].generation_info
    assert info is not None
    assert (info["finish_reason"], info["stop_reason"]) == ("length", "length")
    assert info["logprobs"] == {"tokens": ["Ciao"]}
    assert result.llm_output is not None
    assert result.llm_output["token_usage"] == {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    assert result.llm_output["model_name"] == "gpt"


async def test_another_model_for_one_call(wire: Wire, colour: Colour) -> None:
    llm = wire.llm()
    await colour.invoke(llm, "a", model="other/model")
    await colour.invoke(llm, "a", model_id="third/model")
    await colour.invoke(llm, "a")
    assert [body["model_id"] for body in wire.bodies] == ["other/model", "third/model", MODEL]


async def test_crypto(wire: Wire, colour: Colour) -> None:
    await colour.invoke(wire.llm(crypto={"key_ref": "ref"}), "a")
    assert wire.body["crypto"] == {"key_ref": "ref"}


# --------------------------------------------------------------------------- what is refused before anything is sent


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temprature": 1}, "temperature"),
        ({"params": {"max_new_token": 1}}, "max_new_tokens"),
        ({"params": "x"}, "params"),
        ({"params": {"url": "https://eu-de.ml.cloud.ibm.com"}}, "url"),
        ({"params": {"temperature": 1.0}, "temperature": 0.5}, "temperature"),
        ({"temperature": 3.0}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"random_seed": 0}, "random_seed"),
        ({"top_k": 101}, "top_k"),
        ({"stop_sequences": list("abcdefg")}, "stop_sequences"),
        ({"decoding_method": "beam"}, "decoding_method"),
        ({"length_penalty": {"decay": 1}}, "decay"),
        ({"return_options": {"tokens": True}}, "tokens"),
        ({"prompt_variables": {"a": "b"}}, "deployments only"),
        ({"typical_p": 0.5}, "deployments only"),
        ({"guardrails_hap_params": {"input": True}}, "guardrails=True"),
        ({"guardrails": True, "guardrails_pii_params": {"threshold": 1}}, "threshold"),
        ({"guardrails": True, "guardrails_hap_params": {"input": "yes"}}, "input"),
        ({"guardrails": True, "moderations": {"pii": {}}}, "moderations"),
        ({"max_tokens": 5, "max_new_tokens": 6}, "max_new_tokens"),
        ({"n": 2}, "chat API"),
        ({"watsonx_client": object()}, "connection="),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"model": "gateway/model", "top_k": 3}, "top_k"),
        ({"model": "gateway/model", "guardrails": True}, "moderations"),
        ({"deployment_id": "d", "crypto": {"key_ref": "x"}}, "crypto"),
        ({"deployment_id": "d", "model_id": MODEL}, "model_id"),
    ],
)
def test_refused_arguments(wire: Wire, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wire.llm(**settings)
    assert words in str(caught.value)
    assert not wire.requests


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temprature": 1}, "temperature"),
        ({"tools": []}, "ChatWatsonx"),
        ({"temperature": 9.0}, "temperature"),
        ({"stop": ["a"], "stop_sequences": ["b"]}, "stop"),
        ({"params": {"nonsense": 1}}, "nonsense"),
        ({"seed": 1, "random_seed": 2}, "random_seed"),
    ],
)
async def test_refused_call_parameters(wire: Wire, colour: Colour, given: dict[str, Any], words: str) -> None:
    heard = Heard()
    for call in (colour.invoke, colour.stream):
        with pytest.raises(ConfigurationError) as caught:
            await call(wire.llm(), "a", config={"callbacks": [heard]}, **given)
        assert words in str(caught.value)
    assert not wire.requests
    assert not heard.starts


async def test_several_prompts_are_not_streamed(wire: Wire, colour: Colour) -> None:
    with pytest.raises(ConfigurationError, match="one prompt"):
        await colour.generate(wire.llm(), ["a", "b"], stream=True)
    assert not wire.requests
    result = await colour.generate(wire.llm(streaming=True), ["a", "b"])
    assert [one[0].text for one in result.generations] == ["<a>", "<b>"]


def test_construction_opens_nothing(wire: Wire) -> None:
    wire.llm(temperature=0.5)
    assert not wire.requests


# --------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("eos_token", "stop"),
        ("EOS_TOKEN", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("TOKEN_LIMIT", "length"),
        ("time_limit", "length"),
        ("cancelled", "cancelled"),
    ],
)
async def test_generation_info(wire: Wire, colour: Colour, raw: str, normal: str) -> None:
    entities = {"hap": [{"score": 0.9, "input": False, "position": {"start": 0, "end": 4}, "entity": "has_HAP"}]}
    tokens = [{"text": "4", "logprob": -0.1, "rank": 1, "top_tokens": [{"text": "4", "logprob": -0.1}]}]
    body = generated("x", stop_reason=raw, seed=7, moderations=entities, generated_tokens=tokens, input_tokens=tokens)
    wire.answer = lambda _: httpx.Response(200, json=body)
    result = await colour.generate(wire.llm(), ["x"])
    assert result.generations[0][0].generation_info == {
        "finish_reason": normal,
        "stop_reason": raw,
        "generated_token_count": 4,
        "input_token_count": 12,
        "seed": 7,
        "moderations": entities,
        "generated_tokens": tokens,
        "input_tokens": tokens,
        "model_name": MODEL,
        "created_at": "2023-07-21T16:52:32.190Z",
    }


async def test_llm_output_adds_up(wire: Wire, colour: Colour) -> None:
    result = await colour.generate(wire.llm(), ["a", "b", "c"])
    assert result.llm_output == {
        "token_usage": {"prompt_tokens": 36, "completion_tokens": 12, "total_tokens": 48},
        "model_name": MODEL,
        "model_id": MODEL,
        "deployment_id": None,
    }


async def test_warnings_of_the_service(wire: Wire, colour: Colour) -> None:
    note = {"message": "This model will be withdrawn", "id": "deprecated"}
    wire.answer = lambda _: httpx.Response(200, json={**generated("x"), "system": {"warnings": [note]}})
    with pytest.warns(WatsonxWarning, match="will be withdrawn"):
        result = await colour.generate(wire.llm(), ["x"])
    info = result.generations[0][0].generation_info
    assert info is not None
    assert info["warnings"] == [note]


@pytest.mark.parametrize("body", [{"results": []}, generated("half", stop_reason="error"), {}])
async def test_answers_without_text(wire: Wire, colour: Colour, body: dict[str, Any]) -> None:
    wire.answer = lambda _: httpx.Response(200, json=body)
    with pytest.raises(UnexpectedResponse):
        await colour.invoke(wire.llm(), "x")


async def test_refusals_are_typed(wire: Wire, colour: Colour) -> None:
    error = {"errors": [{"code": "model_not_supported", "message": "Model 'x' is not supported"}], "trace": "abc"}
    wire.answer = lambda _: httpx.Response(404, json=error)
    heard = Heard()
    with pytest.raises(NotFound) as caught:
        await colour.invoke(wire.llm(), "x", config={"callbacks": [heard]})
    assert (caught.value.code, caught.value.trace) == ("model_not_supported", "abc")
    assert heard.errors == [caught.value]


# --------------------------------------------------------------------------- several prompts


async def test_prompts_go_out_together_and_come_back_in_order(wire: Wire, colour: Colour) -> None:
    busy, most = 0, 0
    lock = threading.Lock()
    together = threading.Barrier(3)

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        if colour.kind == "sync":
            together.wait(timeout=20)  # three at a time, or this breaks
        with lock:
            busy -= 1
        return httpx.Response(200, json=generated(json.loads(request.content)["input"]))

    wire.answer = answer
    result = await colour.generate(wire.llm(max_concurrency=3), [str(number) for number in range(9)])
    assert [one[0].text for one in result.generations] == [f"<{number}>" for number in range(9)]
    assert most <= 3
    assert len(wire.requests) == 9


async def test_async_prompts_overlap_within_the_limit() -> None:
    import asyncio

    busy, most = 0, 0
    release = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if most == 3:
            release.set()
        await release.wait()
        busy -= 1
        return httpx.Response(200, json=generated(json.loads(request.content)["input"]))

    llm = WatsonxLLM(
        url=URL,
        token="t",
        model_id=MODEL,
        project_id=PROJECT,
        max_concurrency=3,
        async_httpx_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)),
    )
    assert await llm.abatch(["a", "b", "c", "d", "e"]) == ["<a>", "<b>", "<c>", "<d>", "<e>"]
    assert most == 3


async def test_one_failing_prompt_fails_the_batch(wire: Wire, colour: Colour) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        text = json.loads(request.content)["input"]
        return httpx.Response(400 if text == "bad" else 200, json=generated(text))

    wire.answer = answer
    with pytest.raises(Exception, match="400"):
        await colour.batch(wire.llm(), ["a", "bad", "c"])


async def test_batch_keeps_its_bounds(wire: Wire, colour: Colour) -> None:
    texts = await colour.batch(wire.llm(), ["a", "b", "c"], config={"max_concurrency": 2})
    assert texts == ["<a>", "<b>", "<c>"]
    assert await colour.batch(wire.llm(), []) == []


# --------------------------------------------------------------------------- streams


async def test_stream_of_2025(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2025.sse")
    heard = Heard()
    with pytest.warns(WatsonxWarning, match="third-party license"):
        pieces = await colour.stream(wire.llm(), "x", config={"callbacks": [heard]})
    assert [piece for piece in pieces if piece] == ["Toda", "y", "."]
    assert heard.tokens == ["Toda", "y", "."]
    generation = heard.ends[0].generations[0][0]
    info = generation.generation_info
    assert info is not None
    assert generation.text == "Today."
    assert info.pop("warnings")[0]["id"] == "disclaimer_warning"
    assert info == {
        "finish_reason": "stop",
        "stop_reason": "eos_token",
        "input_token_count": 68,
        "generated_token_count": 3,
        "model_name": "ibm/granite-13b-instruct-v2",
        "created_at": "2025-06-24T15:30:13.500Z",
    }
    assert wire.requests[0].url.path == "/ml/v1/text/generation_stream"


async def test_stream_of_2024(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2024.sse")
    heard = Heard()
    assert "".join(await colour.stream(wire.llm(), "x", config={"callbacks": [heard]})) == "Today."
    info = heard.ends[0].generations[0][0].generation_info
    assert info is not None
    assert (info["finish_reason"], info["stop_reason"]) == ("length", "MAX_TOKENS")
    assert (info["input_token_count"], info["generated_token_count"]) == (2, 2)


async def test_stream_of_the_gateway(wire: Wire, colour: Colour) -> None:
    wire.streams("gateway.sse")
    heard = Heard()
    llm = wire.llm(model="openai/gpt-3.5-turbo-instruct", max_new_tokens=9)
    assert "".join(await colour.stream(llm, "x", config={"callbacks": [heard]})) == "Ciao! Va bene."
    assert wire.body == {
        "model": "openai/gpt-3.5-turbo-instruct",
        "prompt": "x",
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    info = heard.ends[0].generations[0][0].generation_info
    assert info is not None
    assert info["finish_reason"] == "stop"
    assert (info["input_token_count"], info["generated_token_count"]) == (4, 5)


async def test_deployment_stream(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2024.sse")
    await colour.stream(wire.llm(deployment_id="d"), "x")
    assert wire.requests[0].url.path == "/ml/v1/deployments/d/text/generation_stream"
    assert wire.body == {"input": "x"}


async def test_streaming_invoke_tells_callbacks_the_tokens(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2024.sse")
    heard = Heard()
    llm = wire.llm(streaming=True, temperature=0.5)
    result = await colour.generate(llm, ["x"], callbacks=[heard], temperature=0.7)
    assert heard.tokens == ["Today", "."]
    assert result.generations[0][0].text == "Today."
    assert result.llm_output is not None
    assert result.llm_output["token_usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert result.llm_output["model_name"] == "ibm/granite-13b-instruct-v2"
    assert wire.body["parameters"] == {"temperature": 0.7}


async def test_a_stream_can_be_asked_for_in_one_call(wire: Wire, colour: Colour) -> None:
    wire.streams("recorded-2024.sse")
    result = await colour.generate(wire.llm(), ["x"], stream=True)
    assert result.generations[0][0].text == "Today."
    assert wire.requests[0].url.path.endswith("generation_stream")


async def test_a_stream_that_stops_early_is_broken(wire: Wire, colour: Colour) -> None:
    whole = (STREAMS / "recorded-2024.sse").read_bytes().split(b"id: 3")[0]
    wire.answer = lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=whole)
    with pytest.raises(StreamBroken):
        await colour.stream(wire.llm(), "x")


async def test_a_model_that_fails_while_streaming(wire: Wire, colour: Colour) -> None:
    text = (STREAMS / "recorded-2024.sse").read_text().replace("MAX_TOKENS", "error")
    wire.answer = lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)
    heard = Heard()
    with pytest.raises(StreamBroken) as caught:
        await colour.stream(wire.llm(), "x", config={"callbacks": [heard]})
    assert "".join(caught.value.arrived) == "Today"
    assert heard.errors == [caught.value]


async def test_stream_lists_are_put_together(wire: Wire, colour: Colour) -> None:
    def frame(text: str, reason: str) -> str:
        result = {"generated_text": text, "stop_reason": reason, "generated_tokens": [{"text": text}]}
        moderations = {"hap": [{"entity": text}]}
        return f"event: message\ndata: {json.dumps({'results': [{**result, 'moderations': moderations}]})}\n\n"

    content = frame("a", "not_finished") + frame("b", "eos_token")
    wire.answer = lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, text=content)
    heard = Heard()
    await colour.stream(wire.llm(), "x", config={"callbacks": [heard]})
    info = heard.ends[0].generations[0][0].generation_info
    assert info is not None
    assert info["generated_tokens"] == [{"text": "a"}, {"text": "b"}]
    assert info["moderations"] == {"hap": [{"entity": "a"}, {"entity": "b"}]}


async def test_leaving_a_stream_closes_the_answer(colour: Colour) -> None:
    closed: list[bool] = []

    class Frames(httpx.SyncByteStream, httpx.AsyncByteStream):
        def _frames(self) -> Iterator[bytes]:
            result = {"generated_text": "a", "stop_reason": "not_finished"}
            while True:
                yield b"data: " + json.dumps({"results": [result]}).encode() + b"\n\n"

        def __iter__(self) -> Iterator[bytes]:
            return self._frames()

        async def __aiter__(self) -> Any:
            for frame in self._frames():
                yield frame

        def close(self) -> None:
            closed.append(True)

        async def aclose(self) -> None:
            closed.append(True)

    wire = Wire()
    wire.answer = lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Frames())
    llm = wire.llm()
    if colour.kind == "sync":
        pieces = llm.stream("x")
        assert next(pieces) == "a"
        pieces.close()  # type: ignore[attr-defined]
    else:
        more = llm.astream("x")
        assert await anext(more) == "a"
        await more.aclose()  # type: ignore[attr-defined]
    assert closed == [True]


# --------------------------------------------------------------------------- cache, tracing, copies


async def test_the_cache_knows_what_decides_an_answer(wire: Wire, colour: Colour) -> None:
    cache = InMemoryCache()
    settings: list[dict[str, Any]] = [
        {},
        {"temperature": 0.1},
        {"temperature": 0.2},
        {"model_id": "other/model"},
        {"project_id": None, "space_id": PROJECT},
        {"url": "https://eu-de.ml.cloud.ibm.com"},
        {"guardrails": True},
        {"deployment_id": "d"},
    ]
    for setting in settings:
        await colour.invoke(wire.llm(cache=cache, **setting), "same")
    assert len(wire.requests) == len(settings)
    for setting in settings:
        await colour.invoke(wire.llm(cache=cache, **setting), "same")
    assert len(wire.requests) == len(settings)


async def test_the_cache_knows_the_parameters_of_a_call(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(cache=InMemoryCache())
    for given in ({}, {"max_new_tokens": 5}, {"max_new_tokens": 6}, {"model": "other/model"}, {"stop": ["x"]}):
        await colour.invoke(llm, "same", **given)
    assert len(wire.requests) == 5
    assert await colour.invoke(llm, "same", max_new_tokens=5) == "<same>"
    assert len(wire.requests) == 5


async def test_tracing_sees_model_and_effective_parameters(wire: Wire, colour: Colour) -> None:
    heard = Heard()
    llm = wire.llm(temperature=0.5, stop_sequences=["END"])
    await colour.invoke(llm, "a", config={"callbacks": [heard], "metadata": {"mine": 1}}, max_new_tokens=7)
    start = heard.starts[0]
    assert start["invocation_params"]["max_new_tokens"] == 7
    assert start["invocation_params"]["temperature"] == 0.5
    assert start["invocation_params"]["model_id"] == MODEL
    expected = {
        "mine": 1,
        "ls_provider": "ibm",
        "ls_model_type": "llm",
        "ls_model_name": MODEL,
        "ls_temperature": 0.5,
        "ls_max_tokens": 7,
        "ls_stop": ["END"],
    }
    assert {name: start["metadata"][name] for name in expected} == expected


def test_serialisation_keeps_settings_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = WatsonxLLM(
        model_id=MODEL,
        project_id=PROJECT,
        url=URL,
        api_key="very-secret",
        params={"temperature": 0.5, "length_penalty": {"decay_factor": 1.5}},
        guardrails=True,
    )
    text = dumps(llm)
    assert "very-secret" not in text
    monkeypatch.setenv("WATSONX_API_KEY", "from-env")
    with suppress_langchain_beta_warning():
        revived = load(
            dumpd(llm),
            secrets_map={"WATSONX_API_KEY": "again"},
            valid_namespaces=["wx_integrations"],
            allowed_objects=[WatsonxLLM],
        )
    assert isinstance(revived, WatsonxLLM)
    assert revived.asdict() == llm.asdict()
    assert revived.api_key is not None
    assert revived.api_key.get_secret_value() == "again"


def test_pickle_and_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = WatsonxLLM(model_id=MODEL, project_id=PROJECT, url=URL, api_key="very-secret", temperature=0.5)
    data = pickle.dumps(llm)
    assert b"very-secret" not in data
    monkeypatch.setenv("WATSONX_API_KEY", "from-env")
    assert pickle.loads(data).asdict() == llm.asdict()
    assert deepcopy(llm).asdict() == llm.asdict()
    changed = llm.model_copy(update={"temperature": 0.9})
    assert changed.asdict()["temperature"] == 0.9
    assert llm.asdict()["temperature"] == 0.5
    with pytest.raises(ConfigurationError):
        llm.model_copy(update={"temperature": 9.0})
    assert "very-secret" not in repr(llm)
    assert "very-secret" not in str(llm)


async def test_configurable_fields(wire: Wire, colour: Colour) -> None:
    llm = wire.llm(temperature=0.5).configurable_fields(temperature=ConfigurableField(id="heat"))
    await colour.invoke(llm, "a", config={"configurable": {"heat": 0.9}})
    await colour.invoke(llm, "a")
    assert [body["parameters"]["temperature"] for body in wire.bodies] == [0.9, 0.5]


async def test_in_a_chain(wire: Wire, colour: Colour) -> None:
    chain = PromptTemplate.from_template("Tell me about {thing}") | wire.llm().bind(stop=["\n"])
    assert await colour.invoke(chain, {"thing": "granite"}) == "<Tell me about granite>"
    assert wire.body["parameters"] == {"stop_sequences": ["\n"]}


async def test_arguments_are_left_alone(wire: Wire, colour: Colour) -> None:
    params: dict[str, Any] = {"stop_sequences": ["a"], "length_penalty": {"decay_factor": 2.0}}
    stop, prompts, before = ["x"], ["p", "q"], deepcopy(params)
    await colour.generate(wire.llm(params=params), prompts, stop)
    assert (params, stop, prompts) == (before, ["x"], ["p", "q"])


# --------------------------------------------------------------------------- tokens


async def test_token_counts(wire: Wire) -> None:
    result = {"token_count": 3, "tokens": ["Write", "a", "tag"]}
    wire.answer = lambda _: httpx.Response(200, json={"model_id": MODEL, "result": result})
    assert wire.llm().get_num_tokens("Write a tag") == 3
    assert await wire.llm().aget_num_tokens("Write a tag") == 3
    llm = wire.llm()
    assert llm.get_tokens("Write a tag") == ["Write", "a", "tag"]
    assert await llm.aget_tokens("Write a tag") == ["Write", "a", "tag"]
    tokens = {"return_tokens": True}
    assert [body.get("parameters") for body in wire.bodies] == [None, None, tokens, tokens]
    assert {request.url.path for request in wire.requests} == {"/ml/v1/text/tokenization"}


def test_texts_are_counted_once(wire: Wire) -> None:
    wire.answer = lambda _: httpx.Response(200, json={"model_id": MODEL, "result": {"token_count": 3}})
    llm = wire.llm()
    assert [llm.get_num_tokens("Write a tag"), llm.get_num_tokens("Write a tag")] == [3, 3]
    assert len(wire.requests) == 1


def test_token_ids_are_not_made_up(wire: Wire) -> None:
    with pytest.raises(ConfigurationError, match="custom_get_token_ids"):
        wire.llm().get_token_ids("Write a tag")
    own = wire.llm(custom_get_token_ids=lambda text: [len(word) for word in text.split()])
    assert own.get_token_ids("Write a tag") == [5, 1, 3]
    assert own.get_num_tokens("Write a tag") == 3
    assert not wire.requests


@pytest.mark.parametrize("place", [{"deployment_id": "d"}, {"model": "m"}])
async def test_where_there_is_no_tokenizer_counts_are_estimates(wire: Wire, place: dict[str, str]) -> None:
    llm = wire.llm(**place)
    with pytest.warns(WatsonxWarning, match="estimated"):
        assert llm.get_num_tokens("Write a tag!") == 3
    assert await llm.aget_num_tokens("Write a tag!") == 3
    with pytest.raises(ConfigurationError):
        llm.get_tokens("x")
    with pytest.raises(ConfigurationError):
        await llm.aget_tokens("x")
    assert not wire.requests


# --------------------------------------------------------------------------- on the emulator


async def test_emulated_generation(emulator: Emulator, colour: Colour) -> None:
    llm = emulated(emulator, model_id=MODEL, project_id=PROJECT, max_new_tokens=30)
    said = await colour.invoke(llm, "Tell me about granite")
    assert said
    assert "".join(await colour.stream(llm, "Tell me about granite")) == said
    assert [body["input"] for body in emulator.journal.bodies("text/generation")] == ["Tell me about granite"]
    assert llm.get_num_tokens("Tell me about granite") > 2


async def test_emulated_gateway(emulator: Emulator, colour: Colour) -> None:
    llm = emulated(emulator, model=MODEL, max_new_tokens=30)
    said = await colour.invoke(llm, "Tell me about granite")
    assert said
    assert "".join(await colour.stream(llm, "Tell me about granite")) == said


async def test_emulated_prompt_template(colour: Colour) -> None:
    deployments = {"greeting": Deployed(MODEL, template="Greet {name} warmly")}
    emulator = Emulator(deployments=deployments)
    llm = emulated(emulator, deployment_id="greeting", prompt_variables={"name": "Ada"})
    said = await colour.invoke(llm, "")
    assert "Greet Ada warmly" in said
    assert "Greet Grace warmly" in await colour.invoke(llm, "", prompt_variables={"name": "Grace"})
    assert "".join(await colour.stream(llm, "")) == said


async def test_emulated_batch_is_like_single_calls(emulator: Emulator, colour: Colour) -> None:
    llm = emulated(emulator, model_id=MODEL, project_id=PROJECT)
    prompts = [f"Number {number}" for number in range(5)]
    assert await colour.batch(llm, prompts) == [await colour.invoke(llm, prompt) for prompt in prompts]
