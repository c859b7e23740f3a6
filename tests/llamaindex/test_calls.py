"""What goes over the wire: every parameter, every target, both endpoints; and what failure looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, TextBlock, VideoBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from pydantic import BaseModel

from tests.llamaindex.conformance import Recorder
from tests.llamaindex.conformance import recorder as recorder
from tests.llamaindex.conftest import CHAT_MODEL, PROJECT, Colour, Script, Service, chunk, completion, usage_chunk
from tests.llamaindex.test_messages import MP4, PNG, WAV
from wx_integrations.core.errors import ConfigurationError, NotFound, StreamBroken
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.service import Deployed

SCOPE = {"model_id": CHAT_MODEL, "project_id": PROJECT}
HI = [ChatMessage(role="user", content="hi")]
SAYS_HI = [{"role": "user", "content": "hi"}]
STREAM = [chunk({"content": "hello"}), chunk({}, "stop"), usage_chunk()]

EVERY_PARAMETER: dict[str, Any] = {
    "temperature": 0.5,
    "max_completion_tokens": 60,
    "top_p": 0.9,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "repetition_penalty": 1.1,
    "length_penalty": 1.2,
    "logit_bias": {"10": -5},
    "logprobs": True,
    "top_logprobs": 2,
    "n": 1,
    "seed": 7,
    "stop": ["END"],
    "time_limit": 1000,
    "response_format": {"type": "json_object"},
    "guided_choice": ["a", "b"],
    "guided_regex": "a+",
    "guided_grammar": "root ::= 'a'",
    "guided_json": {"type": "object"},
    "include_reasoning": False,
    "reasoning_effort": "low",
    "chat_template_kwargs": {"thinking": True},
    "moderations": {"hap": {"input": {"enabled": True}}},
    "crypto": {"key_ref": "k"},
}


# --------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("where", ["constructor", "additional_params", "call"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_every_parameter_reaches_the_wire(colour: Colour, where: str, streamed: bool) -> None:
    script = Script(STREAM if streamed else completion())
    settings = {"constructor": EVERY_PARAMETER, "additional_params": {"additional_params": EVERY_PARAMETER}}
    llm = script.llm(**settings.get(where, {}))
    extra = EVERY_PARAMETER if where == "call" else {}
    await colour.last(llm, "chat", HI, streamed=streamed, **extra)
    assert script.requests == [{**SCOPE, "messages": SAYS_HI, **EVERY_PARAMETER}]
    assert script.paths == [f"/ml/v1/text/chat{'_stream' if streamed else ''}"]


async def test_layers_win_one_by_one(colour: Colour) -> None:
    script = Script(completion(), completion())
    llm = script.llm(temperature=0.1, seed=1, top_p=0.5, additional_params={"seed": 2, "top_p": 0.6})
    await colour.call(llm, "complete", "hi", top_p=0.7)
    await colour.call(llm, "complete", "hi", temperature=None)
    assert [{name: body.get(name) for name in ("temperature", "seed", "top_p")} for body in script.requests] == [
        {"temperature": 0.1, "seed": 2, "top_p": 0.7},
        {"temperature": 0.1, "seed": 2, "top_p": 0.6},
    ]


@pytest.mark.parametrize(
    ("constructor", "call", "sent"),
    [
        ({"max_new_tokens": 50}, {}, {"max_tokens": 50}),
        ({"max_tokens": 50}, {"max_new_tokens": 5}, {"max_tokens": 5}),
        ({"max_new_tokens": 50}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 50}, {"max_tokens": 5}, {"max_tokens": 5}),
        ({"stop": "END"}, {}, {"stop": ["END"]}),
        ({"stop": ["a"]}, {"stop": []}, {}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": False}, {"logprobs": False}),
        ({"additional_params": {"stop_sequences": ["x"], "random_seed": 4}}, {}, {"stop": ["x"], "seed": 4}),
        ({}, {"stop": "now"}, {"stop": ["now"]}),
    ],
    ids=str,
)
async def test_names_and_limits(
    constructor: dict[str, Any], call: dict[str, Any], sent: dict[str, Any], colour: Colour
) -> None:
    script = Script(completion())
    await colour.call(script.llm(**constructor), "chat", HI, **call)
    assert script.requests == [{**SCOPE, "messages": SAYS_HI, **sent}]


class City(BaseModel):
    name: str


async def test_a_class_as_response_format(colour: Colour) -> None:
    script = Script(completion("{}"))
    await colour.call(script.llm(), "chat", HI, response_format=City)
    shape = script.requests[0]["response_format"]
    assert shape["type"] == "json_schema"
    assert (shape["json_schema"]["name"], shape["json_schema"]["schema"]["required"]) == ("City", ["name"])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"top_k": 4}, "top_k belongs to text generation"),
        ({"temperature": 9}, "temperature"),
        ({"tool_choice": "add"}, "tool_choice"),
        ({"tools": ["?"]}, "str is no tool"),
        ({"tools": [{"type": "function", "function": {"nam": "x"}}]}, "tool None"),
        ({"tool_choice": "auto", "tool_choice_option": "auto"}, "both tool_choice"),
        ({"model_id": "a", "deployment_id": "b"}, "model_id and deployment_id"),
        ({"context": "x"}, "context is for deployments only"),
    ],
    ids=str,
)
async def test_nothing_is_sent_when_an_argument_is_wrong(call: dict[str, Any], says: str, colour: Colour) -> None:
    script = Script()
    for method in ("chat", "stream_chat"):
        with pytest.raises(ConfigurationError, match=says):
            await colour.call(script.llm(), method, HI, **call)
    assert script.requests == []


async def test_no_messages(colour: Colour) -> None:
    with pytest.raises(ConfigurationError, match="no messages"):
        await colour.call(Script().llm(), "chat", [])


# --------------------------------------------------------------------------- targets


async def test_a_deployment_gets_neither_model_nor_scope(colour: Colour) -> None:
    script = Script(completion(), STREAM)
    llm = script.llm(None, deployment_id="my model", context="about rocks")
    await colour.call(llm, "chat", HI)
    await colour.stream(llm, "stream_chat", HI)
    assert script.requests == [{"messages": SAYS_HI, "context": "about rocks"}] * 2
    assert [path.rsplit("/", 3)[-3:] for path in script.paths] == [
        ["my model", "text", "chat"],
        ["my model", "text", "chat_stream"],
    ]


async def test_the_gateway_speaks_its_own_words(colour: Colour) -> None:
    script = Script(completion(), STREAM)
    llm = script.llm(None, model="gpt")
    tools = [{"type": "function", "function": {"name": "f"}}]
    await colour.call(llm, "chat", [ChatMessage(role="developer", content="be brief"), *HI], tools=tools)
    await colour.stream(llm, "stream_chat", HI, tools=tools, tool_choice="required")
    first, second = script.requests
    assert first["model"] == "gpt"
    assert first["messages"][0] == {"role": "developer", "content": "be brief"}
    assert "model_id" not in first
    assert "project_id" not in first
    assert second["tool_choice"] == "required"
    assert second["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("override", [{"model_id": "google/other"}, {"model": "google/other"}], ids=str)
async def test_a_call_can_name_another_model(override: dict[str, str], colour: Colour) -> None:
    script = Script(completion(), completion())
    llm = script.llm()
    await colour.call(llm, "chat", HI, **override)
    await colour.call(llm, "complete", "hi", deployment_id="d")
    assert script.requests[0]["model_id"] == "google/other"
    assert script.paths[1] == "/ml/v1/deployments/d/text/chat"
    assert llm.target.name == CHAT_MODEL


# --------------------------------------------------------------------------- blocks


async def test_blocks_reach_the_service(service: Service, colour: Colour, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    llm = service.llm("emulator/all-senses")
    blocks = [
        TextBlock(text="What is all this?"),
        ImageBlock(path=path),
        ImageBlock(image=PNG),
        AudioBlock(audio=WAV),
        VideoBlock(video=MP4, video_mimetype="video/mp4"),
    ]
    message = ChatMessage(role="user", blocks=blocks)
    await colour.call(llm, "chat", [message])
    await colour.stream(llm, "stream_chat", [message])
    for body in service.sent():
        kinds = [part["type"] for part in body["messages"][0]["content"]]
        assert kinds == ["text", "image_url", "image_url", "input_audio", "video_url"]
        assert body["messages"][0]["content"][1] == body["messages"][0]["content"][2]


async def test_the_model_s_thinking_comes_and_stays_at_home(service: Service, colour: Colour) -> None:
    llm = service.llm("openai/gpt-oss-120b", reasoning_effort="low")
    response = await colour.call(llm, "chat", HI)
    last = await colour.last(llm, "chat", HI, streamed=True)
    assert response.message.blocks[0].block_type == last.message.blocks[0].block_type == "thinking"
    assert response.message.blocks == last.message.blocks
    await colour.call(llm, "chat", [*HI, response.message, *HI])
    sent = service.sent()[-1]["messages"][1]
    assert sent == {"role": "assistant", "content": response.message.content}


# --------------------------------------------------------------------------- text generation


GENERATED = {
    "model_id": "google/flan-ul2",
    "results": [{"generated_text": "hello", "stop_reason": "eos_token", "generated_token_count": 1}],
}


@pytest.mark.parametrize(
    "settings",
    [
        {"use_text_generation": True},
        {"model_id": "google/flan-ul2"},
        {"deployment_id": "d", "use_text_generation": True},
    ],
    ids=str,
)
async def test_text_generation_when_asked_or_without_chat(settings: dict[str, Any], colour: Colour) -> None:
    script = Script(GENERATED, [GENERATED], GENERATED, [GENERATED])
    settings = {"model_id": None if "deployment_id" in settings else CHAT_MODEL, **settings}
    llm = script.llm(**settings, temperature=0.5, additional_params={"decoding_method": "sample", "top_k": 5})
    assert (await colour.call(llm, "complete", "hi")).text == "hello"
    assert (await colour.stream(llm, "stream_complete", "hi"))[-1].text == "hello"
    assert (await colour.call(llm, "chat", HI)).message.content == "hello"
    assert (await colour.stream(llm, "stream_chat", HI))[-1].message.content == "hello"
    parameters = {"temperature": 0.5, "decoding_method": "sample", "top_k": 5}
    assert [body["parameters"] for body in script.requests] == [parameters] * 4
    assert [body["input"] for body in script.requests] == ["hi", "hi", "user: hi\nassistant: ", "user: hi\nassistant: "]
    assert [path.rpartition("/")[2] for path in script.paths] == ["generation", "generation_stream"] * 2


async def test_text_generation_for_one_call(service: Service, colour: Colour) -> None:
    llm = service.llm(max_tokens=5, stop=["END"], seed=3)
    response = await colour.call(llm, "complete", "say blue", use_text_generation=True)
    assert "blue" in response.text
    await colour.call(llm, "complete", "say blue")
    assert service.sent("text/generation") == [
        {
            **SCOPE,
            "input": "say blue",
            "parameters": {"max_new_tokens": 5, "stop_sequences": ["END"], "random_seed": 3},
        }
    ]
    assert len(service.sent("text/chat")) == 1


async def test_prompts_are_wrapped_as_the_user_says(colour: Colour) -> None:
    script = Script(GENERATED, GENERATED, GENERATED)
    llm = script.llm(
        "google/flan-ul2",
        completion_to_prompt=lambda text: f"<{text}>",
        messages_to_prompt=lambda messages: "|".join(str(message.content) for message in messages),
    )
    await colour.call(llm, "complete", "hi")
    await colour.call(llm, "complete", "hi", formatted=True)
    await colour.call(llm, "chat", [*HI, *HI])
    assert [body["input"] for body in script.requests] == ["<hi>", "hi", "hi|hi"]


async def test_moderations_stand_beside_the_parameters(colour: Colour) -> None:
    script = Script(GENERATED)
    moderations = {"hap": {"input": {"enabled": True}}}
    await colour.call(script.llm("google/flan-ul2", moderations=moderations), "complete", "hi")
    assert script.requests[0] == {
        "model_id": "google/flan-ul2",
        "project_id": PROJECT,
        "input": "hi",
        "moderations": moderations,
    }


async def test_a_deployed_prompt_template_needs_no_input(service: Service, colour: Colour) -> None:
    template = Deployed("google/flan-ul2", template="Tell me about {topic}.")
    templates = Service(Emulator(deployments={"template": template}))
    llm = templates.llm(None, deployment_id="template", use_text_generation=True)
    response = await colour.call(llm, "complete", "", prompt_variables={"topic": "rocks"})
    assert "rocks" in response.text
    assert templates.sent() == [{"parameters": {"prompt_variables": {"topic": "rocks"}}}]


async def test_text_generation_takes_text_and_no_tools(colour: Colour) -> None:
    llm = Script().llm("google/flan-ul2")
    with pytest.raises(ConfigurationError, match=r"message 0 \(user\): text generation takes text only, not a image"):
        await colour.call(llm, "chat", [ChatMessage(role="user", blocks=[ImageBlock(image=PNG)])])
    with pytest.raises(ConfigurationError, match="knows no tools"):
        await colour.call(llm, "chat", HI, tools=[{"type": "function", "function": {"name": "f"}}])
    with pytest.raises(ConfigurationError, match="logit_bias belongs to the chat API"):
        await colour.call(llm, "complete", "hi", logit_bias={"1": 1})


async def test_the_gateway_generates_too(service: Service, colour: Colour) -> None:
    llm = service.llm(None, model="ibm/granite-4-h-small", use_text_generation=True, max_new_tokens=9)
    whole = await colour.call(llm, "complete", "say blue")
    streamed = await colour.stream(llm, "stream_complete", "say blue")
    assert whole.text == streamed[-1].text
    assert service.sent()[0] == {"model": "ibm/granite-4-h-small", "prompt": "say blue", "max_tokens": 9}


# --------------------------------------------------------------------------- failure


NO_MODEL = (404, {"errors": [{"code": "model_not_supported", "message": "Model 'x' is not supported"}], "trace": "t"})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_errors_are_typed_and_reach_the_observers(colour: Colour, streamed: bool, recorder: Recorder) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    llm = Script(NO_MODEL).llm(callback_manager=CallbackManager([debug]))
    with pytest.raises(NotFound) as caught:
        await colour.last(llm, "chat", HI, streamed=streamed)
    assert (caught.value.status, caught.value.code, caught.value.trace) == (404, "model_not_supported", "t")
    [(_, end)] = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert end.payload[EventPayload.EXCEPTION] is caught.value
    assert "LLMChatEndEvent" not in recorder.names("LLM")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_refused_model_is_looked_up_when_asked_to(colour: Colour, streamed: bool, service: Service) -> None:
    llm = service.llm("ibm/granite-4.0-h-small", validate_model=True)
    with pytest.raises(NotFound, match="Did you mean 'ibm/granite-4-h-small'"):
        await colour.last(llm, "chat", HI, streamed=streamed)
    assert len(service.emulator.journal.find("foundation_model_specs")) == 1
    with pytest.raises(NotFound):
        await colour.call(service.llm("ibm/granite-4.0-h-small"), "chat", HI)
    assert len(service.emulator.journal.find("foundation_model_specs")) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_failed_lookup_leaves_the_error_as_it_was(colour: Colour, streamed: bool) -> None:
    llm = Script(NO_MODEL, (500, {})).llm(validate_model=True)
    with pytest.raises(NotFound, match="is not supported"):
        await colour.last(llm, "chat", HI, streamed=streamed)


async def test_a_stream_that_stops_early_is_broken(colour: Colour) -> None:
    script = Script([chunk({"content": "hel"})])
    seen: list[Any] = []
    with pytest.raises(StreamBroken):
        await colour.stream(script.llm(), "stream_chat", HI, into=seen)
    assert [response.message.content for response in seen] == ["hel"]
    assert script.closed == [True]


@pytest.mark.parametrize("method", ["stream_chat", "stream_complete"])
@pytest.mark.parametrize("generate", [False, True], ids=["chat", "generation"])
async def test_a_stream_closes_when_the_consumer_leaves(colour: Colour, method: str, generate: bool) -> None:
    import asyncio

    frames = [{"results": [{"generated_text": "x", "stop_reason": "not_finished"}]}] * 3 if generate else STREAM
    script = Script(frames)
    llm = script.llm(use_text_generation=generate)
    asked = "hi" if method == "stream_complete" else HI
    if colour.name == "sync":
        stream = getattr(llm, method)(asked)
        next(iter(stream))
        stream.close()
    else:
        astream = await getattr(llm, f"a{method}")(asked)
        await anext(astream)
        await astream.aclose()
        for _ in range(5):  # the framework's wrapper leaves the inner stream to the loop
            await asyncio.sleep(0)
    assert script.closed == [True]


async def test_a_request_that_is_never_read_is_never_sent(colour: Colour) -> None:
    script = Script(STREAM)
    if colour.name == "sync":
        script.llm().stream_chat(HI)
    else:
        await script.llm().astream_chat(HI)
    assert script.requests == []
